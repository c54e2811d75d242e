//! Bedrock's Converse, by a session like any other's: the account is looked at before anything is sent.

use super::{said, stopped};
use crate::world::{
    Advice, Advisor, Class, Enquiry, Failure, Sent, Unadvised,
    live::aws::{Session, failed},
};
use async_trait::async_trait;
use aws_sdk_bedrockruntime::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
    operation::converse::ConverseOutput,
    types::{
        ContentBlock, ConversationRole, InferenceConfiguration, Message, SpecificToolChoice, StopReason,
        SystemContentBlock, Tool, ToolChoice, ToolConfiguration, ToolInputSchema, ToolSpecification,
    },
};
use aws_smithy_types::{Document, Number, error::operation::BuildError};
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};

/// The call, as IAM names it.
const OPERATION: &str = "bedrock:InvokeModel";

/// A model of Bedrock's.
pub(in crate::world::live) struct Bedrock {
    /// The connection.
    pub(in crate::world::live) session: Arc<Session>,
    /// Its region.
    pub(in crate::world::live) region: String,
    /// What takes the place of Bedrock's own endpoint.
    pub(in crate::world::live) endpoint: Option<String>,
    /// The model, an inference profile, or the ARN of either.
    pub(in crate::world::live) model: String,
}

#[async_trait]
impl Advisor for Bedrock {
    fn sent(&self, enquiry: &Enquiry) -> Sent {
        let spec =
            json!({ "name": enquiry.form, "description": enquiry.purpose, "inputSchema": { "json": enquiry.schema } });
        let body = json!({
            "system": [{ "text": enquiry.system }],
            "messages": [{ "role": "user", "content": [{ "text": enquiry.text }] }],
            "inferenceConfig": { "maxTokens": enquiry.max_tokens },
            "toolConfig": { "tools": [{ "toolSpec": spec }], "toolChoice": { "tool": { "name": enquiry.form } } },
        });
        let own = || format!("https://bedrock-runtime.{}.amazonaws.com", self.region);
        let url = self.endpoint.clone().unwrap_or_else(own);
        let model: String = form_urlencoded::byte_serialize(self.model.as_bytes()).collect();
        Sent { url: format!("{}/model/{model}/converse", url.trim_end_matches('/')), body }
    }

    async fn ask(&self, enquiry: &Enquiry, timeout: Duration) -> Result<Advice, Unadvised> {
        // Who calls is asked first, and that takes its part of the time.
        let Ok(answered) = tokio::time::timeout(timeout, self.converse(enquiry, timeout)).await else {
            let failure = Failure::new(Class::TimedOut, OPERATION, self.model.clone(), "no answer in time");
            return Err(failure.hint("raise `timeout` of [note]").into());
        };
        answered
    }
}

impl Bedrock {
    async fn converse(&self, enquiry: &Enquiry, timeout: Duration) -> Result<Advice, Unadvised> {
        let config = self.session.config().await?;
        // Whoever asks tries again, and knows how much time is left.
        let mut builder = Builder::from(config).retry_config(RetryConfig::disabled()).timeout_config(
            TimeoutConfig::builder().operation_timeout(timeout).operation_attempt_timeout(timeout).build(),
        );
        if let Some(url) = &self.endpoint {
            builder = builder.endpoint_url(url);
        }
        let client = Client::from_conf(builder.build());
        let (message, tools) = request(enquiry).map_err(|e| self.failure(Class::Local, &e.to_string()))?;
        let answer = client
            .converse()
            .model_id(&self.model)
            .system(SystemContentBlock::Text(enquiry.system.clone()))
            .messages(message)
            .inference_config(InferenceConfiguration::builder().max_tokens(tokens(enquiry.max_tokens)).build())
            .tool_config(tools)
            .send()
            .await;
        let answer = answer.map_err(|error| {
            let after = error.raw_response().and_then(|raw| raw.headers().get("retry-after")?.trim().parse().ok());
            let failure = failed(OPERATION, &self.model)(error);
            Unadvised { failure, again_after: after.map(Duration::from_secs) }
        })?;
        self.read(answer, enquiry.form)
    }

    fn read(&self, answer: ConverseOutput, form: &str) -> Result<Advice, Unadvised> {
        let usage = answer.usage.as_ref();
        let count = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        let (input, output) = (count(usage.map(|u| u.input_tokens)), count(usage.map(|u| u.output_tokens)));
        let message = answer.output.and_then(|output| output.as_message().ok().cloned());
        let filled = message.into_iter().flat_map(|message| message.content).find_map(|block| match block {
            ContentBlock::ToolUse(filled) if filled.name == form => Some(filled.input),
            _ => None,
        });
        match filled {
            // What was cut off may well be JSON and say less than it was to.
            Some(filled) if answer.stop_reason == StopReason::ToolUse => {
                Ok(Advice { answer: to_json(filled), input_tokens: input, output_tokens: output })
            }
            _ => Err(stopped(OPERATION, &self.model, answer.stop_reason.as_str())),
        }
    }

    fn failure(&self, class: Class, what: &str) -> Failure {
        Failure::new(class, OPERATION, self.model.clone(), said(what))
    }
}

fn tokens(most: u32) -> i32 {
    i32::try_from(most).unwrap_or(i32::MAX)
}

/// What [`Advisor::sent`] tells, as the SDK wants it.
fn request(enquiry: &Enquiry) -> Result<(Message, ToolConfiguration), BuildError> {
    let text = ContentBlock::Text(enquiry.text.clone());
    let message = Message::builder().role(ConversationRole::User).content(text).build()?;
    let tool = ToolSpecification::builder()
        .name(enquiry.form)
        .description(enquiry.purpose)
        .input_schema(ToolInputSchema::Json(to_document(&enquiry.schema)))
        .build()?;
    let choice = ToolChoice::Tool(SpecificToolChoice::builder().name(enquiry.form).build()?);
    let tools = ToolConfiguration::builder().tools(Tool::ToolSpec(tool)).tool_choice(choice).build()?;
    Ok((message, tools))
}

fn to_document(json: &Json) -> Document {
    match json {
        Json::Null => Document::Null,
        Json::Bool(is) => Document::Bool(*is),
        Json::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(n), _) => Number::PosInt(n),
            (_, Some(n)) => Number::NegInt(n),
            _ => Number::Float(number.as_f64().unwrap_or_default()),
        }),
        Json::String(text) => Document::String(text.clone()),
        Json::Array(all) => Document::Array(all.iter().map(to_document).collect()),
        Json::Object(all) => Document::Object(all.iter().map(|(name, one)| (name.clone(), to_document(one))).collect()),
    }
}

fn to_json(document: Document) -> Json {
    match document {
        Document::Null => Json::Null,
        Document::Bool(is) => Json::Bool(is),
        Document::Number(Number::PosInt(n)) => json!(n),
        Document::Number(Number::NegInt(n)) => json!(n),
        Document::Number(Number::Float(n)) => json!(n),
        Document::String(text) => Json::String(text),
        Document::Array(all) => Json::Array(all.into_iter().map(to_json).collect()),
        Document::Object(all) => Json::Object(all.into_iter().map(|(name, one)| (name, to_json(one))).collect()),
    }
}
