//! The bucket over the AWS SDK.

use super::bucket::{Bucket, Created, Object};
use crate::world::{
    AwsConnection, Class, Failure, Outcome,
    live::aws::{Keyring, config, failed},
};
use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{RequestChecksumCalculation, ResponseChecksumValidation},
    error::SdkError,
    operation::put_object::builders::PutObjectFluentBuilder,
    primitives::ByteStream,
    types::ServerSideEncryption,
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef, dyn_dispatch_hint},
        orchestrator::HttpResponse,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{
    config_bag::ConfigBag, error::metadata::ProvideErrorMetadata, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_types::service_config::ServiceConfigKey;
use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;

/// How objects are encrypted at rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// By the store's own keys: `AES256`.
    #[default]
    Aes256,
    /// By a key of KMS: `aws:kms`; the account's default key where none is named.
    Kms {
        /// The key's id, ARN or alias.
        key: Option<String>,
    },
    /// As the bucket says; for stores that refuse to be asked.
    Bucket,
}

/// Where state lies in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// What every key begins with.
    pub prefix: String,
    /// How objects are encrypted.
    pub encryption: Encryption,
}

/// How long one try of one call may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// A bucket over the SDK.
pub(super) struct SdkBucket {
    /// Made at the first use, unless it was given.
    client: OnceCell<Client>,
    /// How it is made.
    way: Option<(AwsConnection, Arc<Keyring>)>,
    place: S3Place,
}

impl SdkBucket {
    /// The bucket by a client.
    pub(super) fn new(client: Client, place: S3Place) -> Self {
        Self { client: OnceCell::new_with(Some(client)), way: None, place }
    }

    /// The bucket by a connection.
    pub(super) fn over(connection: AwsConnection, keyring: Arc<Keyring>, place: S3Place) -> Self {
        Self { client: OnceCell::new(), way: Some((connection, keyring)), place }
    }

    async fn client(&self) -> Outcome<&Client> {
        let make = async || match &self.way {
            Some((connection, keyring)) => client(connection, keyring).await,
            None => Err(Failure::new(Class::Local, "s3", self.place.bucket.clone(), "the bucket has no connection")),
        };
        self.client.get_or_try_init(make).await
    }

    fn upload(&self, client: &Client, key: &str, content: &[u8]) -> PutObjectFluentBuilder {
        let body = ByteStream::from(content.to_vec());
        let request = client.put_object().bucket(&self.place.bucket).key(key).body(body);
        match &self.place.encryption {
            Encryption::Aes256 => request.server_side_encryption(ServerSideEncryption::Aes256),
            Encryption::Kms { key } => {
                request.server_side_encryption(ServerSideEncryption::AwsKms).set_ssekms_key_id(key.clone())
            }
            Encryption::Bucket => request,
        }
    }

    /// The pages of a listing: keys, or the folders below a prefix.
    async fn pages(&self, prefix: &str, delimiter: Option<&str>) -> Outcome<Vec<String>> {
        let client = self.client().await?;
        let mut names = Vec::new();
        let mut next = None;
        loop {
            let request = client.list_objects_v2().bucket(&self.place.bucket).prefix(prefix);
            let request = request.set_delimiter(delimiter.map(str::to_owned)).set_continuation_token(next.take());
            let page = request.send().await.map_err(|e| self.failed("s3:ListBucket", prefix, e))?;
            if delimiter.is_some() {
                let folders = page.common_prefixes().iter().filter_map(|p| p.prefix());
                names.extend(folders.filter_map(|f| Some(f.strip_prefix(prefix)?.trim_end_matches('/').to_owned())));
            } else {
                names.extend(page.contents().iter().filter_map(|o| o.key().map(str::to_owned)));
            }
            match page.next_continuation_token {
                // A token that does not move would never end.
                Some(token) if page.is_truncated == Some(true) && page.continuation_token.as_ref() != Some(&token) => {
                    next = Some(token);
                }
                _ => break,
            }
        }
        names.sort();
        Ok(names)
    }

    /// The failure of an action, as IAM names it, on a key.
    fn failed<E>(&self, action: &str, key: &str, error: SdkError<E, HttpResponse>) -> Failure
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let bucket = &self.place.bucket;
        let subject = format!("s3://{bucket}/{key}");
        let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
        let said = error.as_service_error().and_then(ProvideErrorMetadata::message).filter(|m| !m.is_empty());
        let fail = |class, message: &str| Failure::new(class, action, subject.clone(), message);
        match (status, code) {
            (_, "NoSuchBucket") => fail(Class::NotFound, &format!("there is no bucket {bucket}")).hint(format!(
                "make it first, in the region of the settings: aws s3 mb s3://{bucket}; \
                 versioning on is wise, and no lifecycle rule may delete current objects"
            )),
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            | (301 | 307, _) => {
                let region = error.raw_response().and_then(|a| a.headers().get("x-amz-bucket-region"));
                let hint = match region {
                    Some(region) => format!("write region = \"{region}\" in [state] of terrace.toml"),
                    None => "name the bucket's region in [state] of terrace.toml".to_owned(),
                };
                fail(Class::Invalid, &format!("the bucket {bucket} is in another region")).hint(hint)
            }
            (501, _) | (_, "NotImplemented") => fail(Class::Unsupported, said.unwrap_or("the store does not do this"))
                .hint(
                    "state needs conditional writes (If-None-Match) of the store; where it is the encryption that it \
                     cannot do, write sse = \"bucket\" in [state]",
                ),
            (403, "" | "AccessDenied" | "AllAccessDisabled") => fail(Class::Denied, said.unwrap_or("access denied"))
                .hint(format!(
                    "allow {action} on {} to whoever calls; docs/state.md lists what state needs",
                    if action == "s3:ListBucket" {
                        format!("arn:aws:s3:::{bucket}")
                    } else {
                        format!("arn:aws:s3:::{bucket}/{key}")
                    }
                )),
            _ => failed(action, &subject)(error),
        }
    }
}

#[async_trait]
impl Bucket for SdkBucket {
    async fn get(&self, key: &str) -> Outcome<Option<Object>> {
        let date = ServerDate::default();
        let request = self.client().await?.get_object().bucket(&self.place.bucket).key(key);
        let answer = match request.customize().interceptor(date.clone()).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("NoSuchKey") => {
                return Ok(None);
            }
            Err(error) => return Err(self.failed("s3:GetObject", key, error)),
        };
        let modified = answer.last_modified.and_then(|m| jiff::Timestamp::from_second(m.secs()).ok());
        let subject = format!("s3://{}/{key}", self.place.bucket);
        let content = answer.body.collect().await.map_err(|e| {
            Failure::new(Class::Unavailable, "s3:GetObject", subject, format!("the object broke off: {e}"))
        })?;
        Ok(Some(Object { content: content.to_vec(), modified, now: date.seen() }))
    }

    async fn put(&self, key: &str, content: &[u8]) -> Outcome<()> {
        let answer = self.upload(self.client().await?, key, content).send().await;
        answer.map(|_| ()).map_err(|e| self.failed("s3:PutObject", key, e))
    }

    async fn create(&self, key: &str, content: &[u8]) -> Outcome<Created> {
        let Err(error) = self.upload(self.client().await?, key, content).if_none_match("*").send().await else {
            return Ok(Created::New);
        };
        let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
        match (status, error.as_service_error().and_then(ProvideErrorMetadata::code)) {
            (412, _) | (_, Some("PreconditionFailed")) => Ok(Created::Exists),
            // Another conditional write of this key is under way: who won is seen by looking.
            (409, _) | (_, Some("ConditionalRequestConflict")) => Err(Failure::new(
                Class::Throttled,
                "s3:PutObject",
                format!("s3://{}/{key}", self.place.bucket),
                "another write of this key was under way, again and again",
            )),
            _ => Err(self.failed("s3:PutObject", key, error)),
        }
    }

    async fn list(&self, prefix: &str) -> Outcome<Vec<String>> {
        self.pages(prefix, None).await
    }

    async fn folders(&self, prefix: &str) -> Outcome<Vec<String>> {
        self.pages(prefix, Some("/")).await
    }

    async fn delete(&self, key: &str) -> Outcome<()> {
        let answer = self.client().await?.delete_object().bucket(&self.place.bucket).key(key).send().await;
        answer.map(|_| ()).map_err(|e| self.failed("s3:DeleteObject", key, e))
    }

    fn name(&self) -> &str {
        &self.place.bucket
    }
}

/// The client of a connection. Away from AWS a bucket has no host name of its own, and not every store knows the newer
/// checksums; what state stores is checked by its own.
async fn client(connection: &AwsConnection, keyring: &Keyring) -> Outcome<Client> {
    let shared = config(connection, keyring).await?;
    // Whoever writes asks what became of a write that got no answer, and tries again: a call of its own ends soon.
    let timeouts = TimeoutConfig::builder().connect_timeout(ATTEMPT).operation_attempt_timeout(ATTEMPT).build();
    let retries = RetryConfig::standard().with_max_attempts(2);
    let mut builder = aws_sdk_s3::config::Builder::from(&shared).retry_config(retries).timeout_config(timeouts);
    if elsewhere(&shared) {
        builder = builder
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(builder.build()))
}

/// True where an endpoint is named, for all services or for S3.
fn elsewhere(shared: &aws_types::SdkConfig) -> bool {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = shared.service_config().zip(key.ok()).and_then(|(settings, key)| settings.load_config(key));
    own.is_some() || shared.endpoint_url().is_some()
}

/// Takes down the `Date` of an answer: the store's own clock, by which the age of an object can be told.
#[derive(Debug, Clone, Default)]
struct ServerDate(Arc<Mutex<Option<jiff::Timestamp>>>);

impl ServerDate {
    fn seen(&self) -> Option<jiff::Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|zoned| zoned.timestamp());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}
