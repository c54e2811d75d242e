//! Secrets Manager, SSM parameters, and who calls.

use super::{failure::failed, session::Session};
use crate::{
    base::Secret,
    world::{Caller, Class, Failure, Identity, Outcome, Parameter, Secrets},
};
use async_trait::async_trait;
use aws_sdk_ssm::types::ParameterType;
use base64::Engine as _;
use std::sync::Arc;

/// The small services over a session.
pub(super) struct LiveSecrets(pub(super) Arc<Session>);

#[async_trait]
impl Secrets for LiveSecrets {
    /// A binary secret is its base64 text.
    async fn secret(&self, id: &str) -> Outcome<Option<Secret<String>>> {
        let client = &self.0.clients().await?.secretsmanager;
        let answer = client.get_secret_value().secret_id(id).send().await;
        let Some(answer) = found(answer.map_err(failed("secretsmanager:GetSecretValue", id)))? else { return Ok(None) };
        let binary = answer.secret_binary.map(|b| base64::engine::general_purpose::STANDARD.encode(b.into_inner()));
        Ok(answer.secret_string.or(binary).map(Secret::new))
    }

    async fn parameter(&self, name: &str) -> Outcome<Option<Parameter>> {
        let client = &self.0.clients().await?.ssm;
        let answer = client.get_parameter().name(name).with_decryption(true).send().await;
        let Some(answer) = found(answer.map_err(failed("ssm:GetParameter", name)))? else { return Ok(None) };
        Ok(answer.parameter.map(|parameter| Parameter {
            value: Secret::new(parameter.value.unwrap_or_default()),
            secure: parameter.r#type == Some(ParameterType::SecureString),
            version: u64::try_from(parameter.version).unwrap_or_default(),
        }))
    }
}

#[async_trait]
impl Identity for LiveSecrets {
    async fn caller(&self) -> Outcome<Caller> {
        self.0.caller().await.cloned()
    }
}

/// Absent is no failure.
fn found<T>(answer: Result<T, Failure>) -> Outcome<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.class == Class::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
