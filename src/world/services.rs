//! The small services: secrets and parameters, identity, programs, HTTP.

use crate::{base::Secret, world::Outcome};
use async_trait::async_trait;
use std::{collections::BTreeMap, time::Duration};

use super::kubernetes::HttpAnswer;

/// Secrets Manager and SSM parameters in one account and region.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The current version of a secret by name or ARN; `None` where there is none.
    async fn secret(&self, id: &str) -> Outcome<Option<Secret<String>>>;
    /// A parameter by name, decrypted; `None` where there is none.
    async fn parameter(&self, name: &str) -> Outcome<Option<Parameter>>;
}

/// An SSM parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The value.
    pub value: Secret<String>,
    /// True for `SecureString`.
    pub secure: bool,
    /// The version.
    pub version: u64,
}

/// A bucket that CloudFormation reads templates from.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Puts an object where there is none of this key, and returns the URL by which CloudFormation reads it. One that is
    /// there already stays as it is: keys are digests.
    async fn put_absent(&self, bucket: &str, key: &str, content: &[u8]) -> Outcome<String>;
}

/// STS: who calls.
#[async_trait]
pub trait Identity: Send + Sync {
    /// The caller.
    async fn caller(&self) -> Outcome<Caller>;
}

/// Who calls, as GetCallerIdentity tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Caller {
    /// The account's 12 digits.
    pub account: String,
    /// The ARN.
    pub arn: String,
    /// The unique id, which IAM's policies know as `${aws:userid}`; empty on the sandbox.
    pub user_id: String,
}

/// A program to run, without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The folder to run in.
    pub directory: String,
    /// Variables set beside the inherited ones.
    pub environment: BTreeMap<String, Secret<String>>,
    /// What it reads.
    pub stdin: Secret<String>,
    /// After this long it is ended, first gently.
    pub timeout: Duration,
}

/// What a program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramEnd {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it printed, cut at 1 MiB.
    pub stdout: String,
    /// What it complained, cut at 64 KiB.
    pub stderr: String,
}

/// Programs of the machine.
#[async_trait]
pub trait Command: Send + Sync {
    /// Runs to the end. A program that is missing is `Local`; one that was ended for its time is `TimedOut`.
    async fn run(&self, program: &Program) -> Outcome<ProgramEnd>;
}

/// HTTP and TCP from this machine.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends a request. Any answer is `Ok`; only a transport problem is an error.
    async fn request(
        &self,
        method: &str,
        url: &str,
        headers: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Outcome<HttpAnswer>;
    /// Opens and closes a connection.
    async fn connect(&self, host: &str, port: u16, timeout: Duration) -> Outcome<()>;
}
