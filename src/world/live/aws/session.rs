//! A connection made real: credentials, clients, and the guard that keeps every call in the declared account.

use super::{failure::failed, http, keyring::Keyring};
use crate::world::{AwsConnection, Caller, Class, Failure, Outcome};
use aws_config::{
    AppName, BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudformation::config::retry::RetryPartition;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// How often the SDK tries a call that was throttled or broke, its backoff between; whoever reads tries on after that.
const ATTEMPTS: u32 = 5;

/// One connection, used by everything that lives in its account and region. Nothing is called before the first use.
pub(in crate::world::live) struct Session {
    connection: AwsConnection,
    keyring: Arc<Keyring>,
    ready: OnceCell<Ready>,
}

/// What a connection has once it is known to be the right one.
struct Ready {
    clients: Clients,
    caller: Caller,
    /// Region, credentials and network, for what is signed by hand.
    config: SdkConfig,
    /// What takes the place of AWS's own endpoints, whoever said so.
    endpoint: Option<String>,
}

/// One client a service; calls to one service share the SDK's adaptive rate, so that a throttled account slows all of them.
pub(super) struct Clients {
    /// CloudFormation.
    pub(super) cloudformation: aws_sdk_cloudformation::Client,
    /// CloudWatch.
    pub(super) cloudwatch: aws_sdk_cloudwatch::Client,
    /// EKS.
    pub(super) eks: aws_sdk_eks::Client,
    /// Elastic Load Balancing.
    pub(super) elasticloadbalancing: aws_sdk_elasticloadbalancingv2::Client,
    /// Secrets Manager.
    pub(super) secretsmanager: aws_sdk_secretsmanager::Client,
    /// Parameters.
    pub(super) ssm: aws_sdk_ssm::Client,
    /// Templates.
    pub(super) s3: aws_sdk_s3::Client,
}

impl Clients {
    /// The rate that a throttled service allows is learnt for the account and region that it throttles, not for the process.
    fn new(config: &SdkConfig, account: &str) -> Self {
        let place = format!("{account}-{}", config.region().map_or("", Region::as_ref));
        let budget = |service: &str| RetryPartition::new(format!("{service}-{place}"));
        Self {
            cloudformation: aws_sdk_cloudformation::Client::from_conf(
                aws_sdk_cloudformation::config::Builder::from(config).retry_partition(budget("cloudformation")).build(),
            ),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(
                aws_sdk_cloudwatch::config::Builder::from(config).retry_partition(budget("cloudwatch")).build(),
            ),
            eks: aws_sdk_eks::Client::from_conf(
                aws_sdk_eks::config::Builder::from(config).retry_partition(budget("eks")).build(),
            ),
            elasticloadbalancing: aws_sdk_elasticloadbalancingv2::Client::from_conf(
                aws_sdk_elasticloadbalancingv2::config::Builder::from(config)
                    .retry_partition(budget("elasticloadbalancing"))
                    .build(),
            ),
            secretsmanager: aws_sdk_secretsmanager::Client::from_conf(
                aws_sdk_secretsmanager::config::Builder::from(config).retry_partition(budget("secretsmanager")).build(),
            ),
            // Buckets are named in the path: other servers than AWS's own know no names of hosts for them.
            s3: aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(config).force_path_style(true).retry_partition(budget("s3")).build(),
            ),
            ssm: aws_sdk_ssm::Client::from_conf(
                aws_sdk_ssm::config::Builder::from(config).retry_partition(budget("ssm")).build(),
            ),
        }
    }
}

impl Session {
    pub(super) fn new(connection: AwsConnection, keyring: Arc<Keyring>) -> Arc<Self> {
        Arc::new(Self { connection, keyring, ready: OnceCell::new() })
    }

    /// A session over a configuration that is known to be right, for tests.
    #[cfg(test)]
    pub(super) fn ready_with(connection: AwsConnection, config: &SdkConfig) -> Arc<Self> {
        let caller = Caller { account: connection.account_id.clone(), arn: String::new(), user_id: String::new() };
        let ready = OnceCell::new_with(Some(Ready {
            clients: Clients::new(config, &connection.account_id),
            caller,
            config: config.clone(),
            endpoint: config.endpoint_url().map(str::to_owned),
        }));
        let nobody = |_: &str| Err(Failure::new(Class::Denied, "sts:AssumeRole", "", "nobody is asked in tests"));
        Arc::new(Self { connection, keyring: Arc::new(Keyring::new(Arc::new(nobody), None)), ready })
    }

    /// The clients; the first use looks whose account this is.
    ///
    /// # Errors
    /// No credentials, an endpoint that does not answer, another account than the declared one.
    pub(super) async fn clients(&self) -> Outcome<&Clients> {
        Ok(&self.ready().await?.clients)
    }

    /// Region, credentials and network of the session, once it is known to be the right one.
    ///
    /// # Errors
    /// As [`Session::clients`].
    pub(in crate::world::live) async fn config(&self) -> Outcome<&SdkConfig> {
        Ok(&self.ready().await?.config)
    }

    /// Where roles' sessions are kept.
    pub(in crate::world::live) const fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Where CloudFormation finds buckets: the S3 of the region, or the endpoint that takes its place.
    ///
    /// # Errors
    /// As [`Session::clients`].
    pub(super) async fn template_host(&self) -> Outcome<String> {
        if let Some(endpoint) = &self.ready().await?.endpoint {
            return Ok(endpoint.trim_end_matches('/').to_owned());
        }
        let region = &self.connection.region;
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        Ok(format!("https://s3.{region}.amazonaws.com{suffix}"))
    }

    /// Who calls.
    ///
    /// # Errors
    /// As [`Session::clients`].
    pub(super) async fn caller(&self) -> Outcome<&Caller> {
        Ok(&self.ready().await?.caller)
    }

    async fn ready(&self) -> Outcome<&Ready> {
        self.ready.get_or_try_init(|| self.begin()).await
    }

    async fn begin(&self) -> Outcome<Ready> {
        let config = config(&self.connection, &self.keyring).await?;
        // Where that is not AWS, an error must say whom was asked.
        let endpoint = config.endpoint_url().unwrap_or_default();
        let answer = sts(&config).get_caller_identity().send().await;
        let answer = answer.map_err(failed("sts:GetCallerIdentity", endpoint))?;
        let caller = Caller {
            account: answer.account.unwrap_or_default(),
            arn: answer.arn.unwrap_or_default(),
            user_id: answer.user_id.unwrap_or_default(),
        };
        self.guard(&caller)?;
        let clients = Clients::new(&config, &caller.account);
        let endpoint = config.endpoint_url().map(str::to_owned);
        Ok(Ready { clients, caller, config, endpoint })
    }

    /// Refuses another account than the declared one, before anything is asked of it.
    fn guard(&self, caller: &Caller) -> Outcome<()> {
        let declared = &self.connection.account_id;
        if declared.is_empty() || *declared == caller.account {
            return Ok(());
        }
        let message = format!(
            "the credentials are of the account {} ({}), and {declared} is declared",
            caller.account, caller.arn
        );
        Err(Failure::new(Class::Denied, "sts:GetCallerIdentity", declared.clone(), message).hint(
            "use credentials of the declared account (AWS_PROFILE, `profile`, `assume_role`), or correct account_id",
        ))
    }
}

/// The SDK's configuration of a connection: region, endpoint, credentials, retries, network.
///
/// Credentials come from where the AWS command line has them: environment, profile (SSO and `credential_process` included),
/// OIDC web identity, container, instance. `assume_role` takes on a role with these; in a CI job that has an OIDC token,
/// `ci_role_arn` is taken on by that instead. Endpoints come from `endpoint_url`, else `AWS_ENDPOINT_URL_<SERVICE>`,
/// `AWS_ENDPOINT_URL` or the profile; `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` are honoured. A profile that is
/// named is used even where the environment holds an access key.
///
/// # Errors
/// A certificate bundle that cannot be read. Missing credentials are told by the first call.
pub(in crate::world::live) async fn config(connection: &AwsConnection, keyring: &Keyring) -> Outcome<SdkConfig> {
    let base = base(connection, http::client()?, keyring.given.clone()).await;
    Ok(match keyring.role(connection, || sts(&base)).await? {
        Some((provider, cache)) => base.into_builder().credentials_provider(provider).identity_cache(cache).build(),
        None => base,
    })
}

/// A client that says soon where nobody answers: who calls is asked before anything else, and a person waits for it.
fn sts(config: &SdkConfig) -> aws_sdk_sts::Client {
    let retries = RetryConfig::standard().with_max_attempts(3);
    let config =
        aws_sdk_sts::config::Builder::from(config).retry_config(retries).timeout_config(http::short_timeouts());
    aws_sdk_sts::Client::from_conf(config.build())
}

async fn base(
    connection: &AwsConnection,
    http: SharedHttpClient,
    given: Option<SharedCredentialsProvider>,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(connection.region.clone()))
        .http_client(http.clone())
        .timeout_config(http::timeouts())
        .retry_config(RetryConfig::adaptive().with_max_attempts(ATTEMPTS));
    if let Ok(name) = AppName::new("terrace") {
        loader = loader.app_name(name);
    }
    if let Some(profile) = &connection.profile {
        // The SDK's chain would take an access key of the environment before the profile that the plan names.
        let settings =
            ProviderConfig::default().with_http_client(http).with_region(Some(Region::new(connection.region.clone())));
        let named = ProfileFileCredentialsProvider::builder().configure(&settings).profile_name(profile).build();
        loader = loader.profile_name(profile).credentials_provider(named);
    }
    if let Some(given) = given {
        loader = loader.credentials_provider(given);
    }
    if let Some(url) = &connection.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}
