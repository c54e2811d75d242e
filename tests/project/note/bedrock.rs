//! Notes by Bedrock: over MiniStack's Converse, which has no model behind it, and over a strict one that answers as a model does.

use super::{
    PLAN,
    claude::{converse, conversed, fault},
    good, lines,
};
use crate::{
    cli::Project,
    support::{Said, ministack, web::Reply},
};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A project whose notes come from Bedrock.
fn project(more: &str) -> Project {
    let project = Project::new(PLAN);
    let note = "[note]\nprovider = \"bedrock\"\nmodel = \"eu.anthropic.claude:1/0\"\nregion = \"eu-central-1\"\n";
    project.write("terrace.toml", &format!("name = \"test\"\n\n{note}{more}"));
    project
}

/// Runs the program with all of AWS there.
fn run(project: &Project, url: &str, words: &[&str]) -> Said {
    let mut command = project.command(words);
    command.env("AWS_ENDPOINT_URL", url).env("AWS_ACCESS_KEY_ID", "111122223333").env("AWS_SECRET_ACCESS_KEY", "test");
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/dev/null");
    command.env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null").env("NO_COLOR", "1");
    Said::of(&command.output().unwrap())
}

#[test]
fn a_service_without_a_model_behind_it_costs_one_line() {
    let Some(server) = ministack() else { return };
    let project = project("");
    let plain = run(&project, &server.url, &["plan", "--out", "p"]);
    let said = run(&project, &server.url, &["plan", "--annotate"]);
    assert_eq!((said.code, said.out), (Some(0), plain.out));
    assert!(
        said.err.contains("note: none: the model ended without the answer that it was asked for (end_turn)"),
        "{}",
        said.err
    );
    let said = run(&project, &server.url, &["review", "p"]);
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[test]
fn converse_is_asked_as_its_reference_has_it_and_its_answer_becomes_a_note() {
    let served = converse(|_, _| conversed("tool_use", &good()));
    let project = project("account_id = \"111122223333\"\nmax_tokens = 900\n");
    let plain = run(&project, &served.web.url, &["plan", "--out", "p"]);
    let shown = run(&project, "http://127.0.0.1:9", &["review", "p", "--dry-run", "--json"]);
    let said = run(&project, &served.web.url, &["plan", "--annotate"]);
    assert!(said.out.starts_with(&plain.out) && said.out.contains("| Who reads the second one?"), "{said:?}");
    assert!(said.out.contains("made by 1200 tokens in and 90 out"), "{}", said.out);
    let shown = &lines(&shown.out)[0];
    assert_eq!(shown["body"], served.last(), "what a dry run shows is what is sent");
    assert_eq!(
        shown["url"],
        "https://bedrock-runtime.eu-central-1.amazonaws.com/model/eu.anthropic.claude%3A1%2F0/converse"
    );
    assert_eq!(served.last()["inferenceConfig"], json!({ "maxTokens": 900 }));
}

#[test]
fn another_account_is_sent_nothing_and_what_bedrock_refuses_costs_one_line() {
    let reply: Arc<Mutex<Reply>> = Arc::new(Mutex::new(Reply::text(200, "")));
    let now = reply.clone();
    let served = converse(move |_, _| now.lock().unwrap().clone());
    let url = &served.web.url;
    let foreign = project("account_id = \"999999999999\"\n");
    let said = run(&foreign, url, &["plan", "--annotate"]);
    assert!(
        said.code == Some(0) && said.err.contains("note: none: the credentials are of the account 111122223333"),
        "{said:?}"
    );
    assert_eq!(served.count(), 0);
    let project = project("");
    let plain = run(&project, url, &["plan"]);
    let mut busy = fault(429, "ThrottlingException", "Too many tokens, please wait before trying again.");
    busy.headers.push("retry-after: 0".to_owned());
    let mut waking = fault(429, "ModelNotReadyException", "The model is not ready");
    waking.headers.push("retry-after: 0".to_owned());
    for (answer, says, times) in [
        (
            fault(403, "AccessDeniedException", "You don't have access to the model"),
            "You don't have access to the model",
            1,
        ),
        (
            fault(400, "ValidationException", "The provided model identifier is invalid."),
            "model identifier is invalid",
            1,
        ),
        (fault(404, "ResourceNotFoundException", "no such model"), "no such model", 1),
        (fault(408, "ModelTimeoutException", "Model has timed out"), "Model has timed out", 1),
        (busy, "Too many tokens", 2),
        (waking, "not ready", 2),
        (Reply::text(200, "<html>"), "note: none: ", 1),
        (conversed("max_tokens", &good()), "the answer is longer than it may be", 1),
        (conversed("guardrail_intervened", &good()), "the model declined to answer", 1),
        (conversed("tool_use", &json!({ "verdict": "approved" })), "did not answer in the form", 1),
    ] {
        *reply.lock().unwrap() = answer;
        let before = served.count();
        let said = run(&project, url, &["plan", "--annotate"]);
        assert_eq!((said.code, &said.out), (Some(0), &plain.out), "{says}\n{}", said.err);
        let notes: Vec<&str> = said.err.lines().filter(|line| line.starts_with("note: ")).collect();
        assert!(matches!(notes.as_slice(), [one] if one.contains(says)), "{says}\n{}", said.err);
        assert_eq!(served.count() - before, times, "{says}");
    }
}
