//! Anthropic's Messages API, version 2023-06-01, over HTTP: one request, made to answer by a tool.
//!
//! Sources: "Messages", "Errors" and "Define tools" of the API's documentation. Redirects are not followed: the key would go along.

#![expect(clippy::disallowed_methods, reason = "this is where the API is called")]

use super::{said, stopped};
use crate::{
    base::Secret,
    world::{Advice, Advisor, Class, Enquiry, Failure, Outcome, Sent, Unadvised},
};
use async_trait::async_trait;
use reqwest::{Client, StatusCode, header::HeaderValue, redirect::Policy};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Where Anthropic's own API is.
pub const ANTHROPIC: &str = "https://api.anthropic.com";
/// The version of the API.
const VERSION: &str = "2023-06-01";
/// The call, as messages name it.
const OPERATION: &str = "anthropic:Messages";
/// The most that an answer may hold.
const BIGGEST: usize = 1 << 20;

/// A model behind the API.
pub(in crate::world::live) struct Anthropic {
    /// The API's address, without a slash at its end.
    pub(in crate::world::live) url: String,
    /// The model.
    pub(in crate::world::live) model: String,
    /// The key; without one nothing can be asked.
    pub(in crate::world::live) key: Option<Secret<String>>,
}

#[async_trait]
impl Advisor for Anthropic {
    fn sent(&self, enquiry: &Enquiry) -> Sent {
        let body = json!({
            "model": self.model,
            "max_tokens": enquiry.max_tokens,
            "system": enquiry.system,
            "messages": [{ "role": "user", "content": enquiry.text }],
            "tools": [{ "name": enquiry.form, "description": enquiry.purpose, "input_schema": enquiry.schema }],
            "tool_choice": { "type": "tool", "name": enquiry.form, "disable_parallel_tool_use": true },
        });
        Sent { url: format!("{}/v1/messages", self.url), body }
    }

    async fn ask(&self, enquiry: &Enquiry, timeout: Duration) -> Result<Advice, Unadvised> {
        let key = self.key()?;
        let sent = self.sent(enquiry);
        let client = Client::builder().redirect(Policy::none()).build();
        let client = client.map_err(|e| self.failure(Class::Local, &innermost(&e)))?;
        let request = client
            .post(&sent.url)
            .timeout(timeout)
            .header("x-api-key", key)
            .header("anthropic-version", VERSION)
            .header("content-type", "application/json")
            .header("user-agent", concat!("terrace/", env!("CARGO_PKG_VERSION")))
            .body(sent.body.to_string());
        let mut answer = Box::pin(request.send()).await.map_err(|e| self.unsent(&e))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > BIGGEST => {
                    return Err(self
                        .failure(Class::Invalid, &format!("its answer has more than {BIGGEST} bytes"))
                        .into());
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // A refusal says enough by its status.
                Err(_) if !status.is_success() => break,
                Err(e) if e.is_timeout() => return Err(self.unsent(&e).into()),
                Err(_) => return Err(self.failure(Class::Unavailable, "its answer broke off").into()),
            }
        }
        if status != StatusCode::OK {
            let after = headers.get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
            return Err(Unadvised {
                failure: self.refused(status, &body),
                again_after: after.map(Duration::from_secs),
            });
        }
        let answer: Json = serde_json::from_slice(&body).map_err(|_| {
            self.failure(Class::Invalid, "its answer is no JSON").hint("check `endpoint_url` of [note]")
        })?;
        self.read(&answer, enquiry.form)
    }
}

impl Anthropic {
    fn key(&self) -> Outcome<HeaderValue> {
        let missing = |what: &str| {
            Failure::new(Class::Denied, OPERATION, self.model.clone(), what)
                .hint("set ANTHROPIC_API_KEY to a key of the Claude Console")
        };
        let key = self.key.as_ref().ok_or_else(|| missing("there is no key"))?;
        let mut value =
            HeaderValue::from_str(key.expose()).map_err(|_| missing("the key in ANTHROPIC_API_KEY is none"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// What the answer holds, where it is one.
    fn read(&self, answer: &Json, form: &str) -> Result<Advice, Unadvised> {
        let reason = answer["stop_reason"].as_str().unwrap_or_default();
        let filled = answer["content"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|block| block["type"] == "tool_use" && block["name"] == form);
        // What was cut off may well be JSON and say less than it was to.
        let Some(filled) = filled.filter(|_| reason == "tool_use") else {
            return Err(stopped(OPERATION, &self.model, reason));
        };
        let tokens = |name: &str| answer["usage"][name].as_u64().unwrap_or_default();
        let answer = filled["input"].clone();
        Ok(Advice { answer, input_tokens: tokens("input_tokens"), output_tokens: tokens("output_tokens") })
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let error: Json = serde_json::from_slice(body).unwrap_or_default();
        let why = error["error"]["message"].as_str().map(said).unwrap_or_default();
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let class = match status.as_u16() {
            401 | 403 => Class::Denied,
            404 => Class::NotFound,
            408 | 504 => Class::TimedOut,
            429 => Class::Throttled,
            500..=599 => Class::Unavailable,
            _ => Class::Invalid,
        };
        let word = if status.as_u16() == 529 { "overloaded" } else { status.canonical_reason().unwrap_or("refused") };
        let failure = self.failure(class, &format!("HTTP {} {word}{why}", status.as_u16()));
        match class {
            Class::Denied => failure.hint("check ANTHROPIC_API_KEY, and that its workspace may use the model"),
            Class::NotFound => failure.hint("check `model` and `endpoint_url` of [note]"),
            _ => failure,
        }
    }

    fn unsent(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            return self.failure(Class::TimedOut, "no answer in time").hint("raise `timeout` of [note]");
        }
        let failure = self.failure(Class::Unavailable, &format!("it cannot be reached: {}", innermost(error)));
        failure.hint("check `endpoint_url` of [note], HTTPS_PROXY and NO_PROXY")
    }

    /// A failure in which the key cannot be, whoever repeats it.
    fn failure(&self, class: Class, what: &str) -> Failure {
        let what = match self.key.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) {
            Some(key) => what.replace(key.as_str(), "(sensitive)"),
            None => what.to_owned(),
        };
        Failure::new(class, OPERATION, self.model.clone(), what)
    }
}

/// The cause that says something; addresses, which may hold passwords, are left out.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    cause.map_or_else(|| "the request failed".to_owned(), |cause| said(&cause.to_string()))
}
