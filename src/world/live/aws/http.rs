//! One HTTP client for all calls to AWS: through the network's proxy, with its own certificates, every call bounded.
//!
//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured. Certificates are those of the operating system and,
//! beside them, those of `AWS_CA_BUNDLE`, a file of PEM certificates, as the AWS command line has it.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the seam to the network: it reads its variables and the bundle"
)]

use crate::world::{Class, Failure, Outcome};
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{http::SharedHttpClient, runtime_components::RuntimeComponents};
use aws_smithy_types::timeout::TimeoutConfig;
use std::time::Duration;

/// A connection that is not made by then will not be made.
const CONNECT: Duration = Duration::from_secs(10);
/// One try of one call, its body included: DescribeStacks of a large account takes some seconds, a template's upload too.
const ATTEMPT: Duration = Duration::from_secs(60);

/// The client.
///
/// # Errors
/// `AWS_CA_BUNDLE` names a file that cannot be read or that holds no certificate.
pub(super) fn client() -> Outcome<SharedHttpClient> {
    let tls = TlsContext::builder()
        .with_trust_store(trust_store()?)
        .build()
        .map_err(|e| Failure::new(Class::Local, "tls", "", format!("TLS cannot be set up: {e}")))?;
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder()
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone());
        if let Some(settings) = settings {
            builder = builder.connector_settings(settings.clone());
        }
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder.build()
    }))
}

/// How long calls may take.
pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build()
}

/// How long calls may take that answer at once where anybody answers.
pub(super) fn short_timeouts() -> TimeoutConfig {
    let attempt = Duration::from_secs(10);
    TimeoutConfig::builder().connect_timeout(attempt).operation_attempt_timeout(attempt).build()
}

fn trust_store() -> Outcome<TrustStore> {
    let store = TrustStore::default();
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|p| !p.is_empty()) else { return Ok(store) };
    let fail = |message: String| {
        Failure::new(Class::Local, "read AWS_CA_BUNDLE", path.to_string_lossy(), message)
            .hint("name a file of PEM certificates in AWS_CA_BUNDLE, or unset it")
    };
    let bundle = std::fs::read(&path).map_err(|e| fail(e.to_string()))?;
    if !String::from_utf8_lossy(&bundle).contains("-----BEGIN CERTIFICATE-----") {
        return Err(fail("the file holds no PEM certificate".to_owned()));
    }
    Ok(store.with_pem_certificate(bundle))
}
