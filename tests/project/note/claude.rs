//! Stand-ins for who serves models, as strict as what they stand for: the Messages API of Anthropic ("Messages", "Versions", "Errors" and "Define tools" of its
//! reference), and Converse of Amazon Bedrock (its page in the API reference), with the STS that is asked who calls. Answers have the shapes of recorded ones.

use crate::support::{
    message::Message,
    web::{Reply, Web},
};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex};

/// The key that is right.
pub(super) const KEY: &str = "sk-ant-of-the-test-0123456789";

/// A stand-in, and the bodies that it took.
pub(super) struct Served {
    pub(super) web: Web,
    taken: Arc<Mutex<Vec<Json>>>,
}

impl Served {
    /// How often a model was asked.
    pub(super) fn count(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// The last question.
    pub(super) fn last(&self) -> Json {
        self.taken.lock().unwrap().last().cloned().expect("it was asked")
    }
}

/// The Messages API: what is well asked is answered so.
pub(super) fn messages(answer: impl Fn(&Json, usize) -> Reply + Send + Sync + 'static) -> Served {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = taken.clone();
    let web = Web::new(move |request| match messages_asked(request) {
        Ok(body) => {
            let count = {
                let mut kept = kept.lock().unwrap();
                kept.push(body.clone());
                kept.len()
            };
            answer(&body, count)
        }
        Err((status, kind, what)) => error(status, kind, &what),
    });
    Served { web, taken }
}

/// Converse, behind an STS of one account.
pub(super) fn converse(answer: impl Fn(&Json, usize) -> Reply + Send + Sync + 'static) -> Served {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = taken.clone();
    let web = Web::new(move |request| {
        if request.word(1) == "/" && String::from_utf8_lossy(&request.body).contains("Action=GetCallerIdentity") {
            return caller();
        }
        match converse_asked(request) {
            Ok(body) => {
                let count = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(body.clone());
                    kept.len()
                };
                answer(&body, count)
            }
            Err(what) => fault(400, "ValidationException", &what),
        }
    });
    Served { web, taken }
}

/// An answer of the Messages API in which the tool is used so.
pub(super) fn used(input: &Json) -> Reply {
    stopped(
        "tool_use",
        &json!([{ "type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "write_note", "input": input }]),
    )
}

/// An answer of the Messages API that stopped so.
pub(super) fn stopped(reason: &str, content: &Json) -> Reply {
    Reply::json(&json!({
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF", "type": "message", "role": "assistant", "model": "claude-of-the-test", "content": content,
        "stop_reason": reason, "stop_sequence": null,
        "usage": { "input_tokens": 2095, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 503 },
    }))
}

/// An error of the Messages API.
pub(super) fn error(status: u16, kind: &str, what: &str) -> Reply {
    let body = json!({ "type": "error", "error": { "type": kind, "message": what }, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy" });
    Reply { status, ..Reply::json(&body) }
}

/// An answer of Converse in which the tool is used so.
pub(super) fn conversed(reason: &str, input: &Json) -> Reply {
    Reply::json(&json!({
        "output": { "message": { "role": "assistant", "content": [
            { "text": "Here is the note." },
            { "toolUse": { "toolUseId": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "name": "write_note", "input": input } },
        ] } },
        "stopReason": reason, "usage": { "inputTokens": 1200, "outputTokens": 90, "totalTokens": 1290 }, "metrics": { "latencyMs": 1275 },
    }))
}

/// An error of a service of AWS with JSON.
pub(super) fn fault(status: u16, code: &str, what: &str) -> Reply {
    let mut reply = Reply { status, ..Reply::json(&json!({ "message": what })) };
    reply.headers.push(format!("x-amzn-errortype: {code}"));
    reply
}

/// A note in the form that is asked for, of one sentence about each.
pub(super) fn note(summary: &[(&str, &[&str])], worries: &[(&str, &[&str])], questions: &[(&str, &[&str])]) -> Json {
    let list = |all: &[(&str, &[&str])]| {
        Json::Array(all.iter().map(|(text, addresses)| json!({ "text": text, "addresses": addresses })).collect())
    };
    json!({ "summary": list(summary), "worries": list(worries), "questions": list(questions) })
}

type Wrong = (u16, &'static str, String);

fn messages_asked(request: &Message) -> Result<Json, Wrong> {
    let invalid = |what: String| (400, "invalid_request_error", what);
    if (request.word(0), request.word(1)) != ("POST", "/v1/messages") {
        return Err((404, "not_found_error", "Not Found".to_owned()));
    }
    if request.header("x-api-key") != Some(KEY) {
        return Err((401, "authentication_error", "invalid x-api-key".to_owned()));
    }
    if request.header("anthropic-version") != Some("2023-06-01") {
        return Err(invalid("anthropic-version: header is required".to_owned()));
    }
    if request.header("content-type") != Some("application/json") {
        return Err((415, "invalid_request_error", "content-type: application/json is required".to_owned()));
    }
    let body: Json = serde_json::from_slice(&request.body).map_err(|e| invalid(e.to_string()))?;
    only(&body, &["model", "max_tokens", "messages", "system", "tools", "tool_choice"]).map_err(invalid)?;
    let good = || -> Option<()> {
        body["model"].as_str().filter(|m| !m.is_empty())?;
        body["max_tokens"].as_u64().filter(|n| *n >= 1)?;
        body["system"].as_str()?;
        let [message] = body["messages"].as_array()?.as_slice() else { return None };
        only(message, &["role", "content"]).ok()?;
        (message["role"] == "user").then_some(())?;
        message["content"].as_str().filter(|c| !c.is_empty())?;
        let [tool] = body["tools"].as_array()?.as_slice() else { return None };
        only(tool, &["name", "description", "input_schema"]).ok()?;
        is_schema(&tool["input_schema"]).then_some(())?;
        let name = tool["name"]
            .as_str()
            .filter(|n| n.len() <= 64 && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))?;
        let choice = &body["tool_choice"];
        only(choice, &["type", "name", "disable_parallel_tool_use"]).ok()?;
        (choice["type"] == "tool" && choice["name"] == name).then_some(())
    };
    good().ok_or_else(|| invalid(format!("not as the reference has it: {body}")))?;
    Ok(body)
}

fn converse_asked(request: &Message) -> Result<Json, String> {
    let path = request.word(1);
    let model = path.strip_prefix("/model/").and_then(|rest| rest.strip_suffix("/converse"));
    if request.word(0) != "POST" || model.is_none_or(|model| model.is_empty() || model.contains('/')) {
        return Err(format!("no operation at {path}"));
    }
    let signed = request.header("authorization").unwrap_or_default();
    if !signed.starts_with("AWS4-HMAC-SHA256 ") || !signed.contains("/bedrock/aws4_request") {
        return Err(format!("not signed for Bedrock: {signed}"));
    }
    let body: Json = serde_json::from_slice(&request.body).map_err(|e| e.to_string())?;
    only(&body, &["messages", "system", "inferenceConfig", "toolConfig"])?;
    let good = || -> Option<()> {
        let [message] = body["messages"].as_array()?.as_slice() else { return None };
        only(message, &["role", "content"]).ok()?;
        (message["role"] == "user").then_some(())?;
        message["content"][0]["text"].as_str()?;
        body["system"][0]["text"].as_str()?;
        only(&body["inferenceConfig"], &["maxTokens"]).ok()?;
        body["inferenceConfig"]["maxTokens"].as_u64()?;
        let tools = &body["toolConfig"];
        only(tools, &["tools", "toolChoice"]).ok()?;
        let spec = &tools["tools"][0]["toolSpec"];
        only(spec, &["name", "description", "inputSchema"]).ok()?;
        is_schema(&spec["inputSchema"]["json"]).then_some(())?;
        (tools["toolChoice"]["tool"]["name"] == spec["name"]).then_some(())
    };
    good().ok_or_else(|| format!("not as the reference has it: {body}"))?;
    Ok(body)
}

fn is_schema(schema: &Json) -> bool {
    schema["type"] == "object" && schema["properties"].is_object()
}

fn only(object: &Json, known: &[&str]) -> Result<(), String> {
    let fields = object.as_object().ok_or("it is no object")?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{name}: Extra inputs are not permitted")),
        None => Ok(()),
    }
}

fn caller() -> Reply {
    let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                <Arn>arn:aws:iam::111122223333:user/ada</Arn><UserId>AIDA</UserId><Account>111122223333</Account>\
                </GetCallerIdentityResult><ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></GetCallerIdentityResponse>";
    Reply { status: 200, headers: vec!["Content-Type: text/xml".to_owned()], body: body.into() }
}
