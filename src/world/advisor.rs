//! A model that is asked for its opinion of a plan: one question, one answer in a given form. Nothing in the world changes by it, and nothing that it says is
//! obeyed. It is no part of a [`super::World`]: what judges the sandbox's plans is as far away as what judges those of AWS.

use crate::world::Failure;
use async_trait::async_trait;
use serde_json::Value as Json;
use std::time::Duration;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Enquiry {
    /// What the model is to do, in words of ours alone.
    pub system: String,
    /// What it is to do it with.
    pub text: String,
    /// The form that it has to fill in: its name, as models name tools.
    pub form: &'static str,
    /// What the form is for.
    pub purpose: &'static str,
    /// The form's JSON schema.
    pub schema: Json,
    /// The most tokens that the answer may have.
    pub max_tokens: u32,
}

/// What is sent: to where, and which body. What authenticates the caller is no part of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Sent {
    /// To where.
    pub url: String,
    /// The body.
    pub body: Json,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The form as it was filled in. Nobody has looked yet whether it is.
    pub answer: Json,
    /// What the question came to, in tokens, as the service counts.
    pub input_tokens: u64,
    /// What the answer came to.
    pub output_tokens: u64,
}

/// No answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Unadvised {
    /// Why.
    pub failure: Failure,
    /// When the service wants to be asked again, where it says so.
    pub again_after: Option<Duration>,
}

impl From<Failure> for Unadvised {
    fn from(failure: Failure) -> Self {
        Self { failure, again_after: None }
    }
}

/// A model behind some service.
#[async_trait]
pub trait Advisor: Send + Sync {
    /// What [`Advisor::ask`] would send. Makes no call and needs no credentials.
    fn sent(&self, enquiry: &Enquiry) -> Sent;

    /// Asks once, without trying again.
    async fn ask(&self, enquiry: &Enquiry, timeout: Duration) -> Result<Advice, Unadvised>;
}
