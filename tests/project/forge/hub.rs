//! A server as strict as GitHub's REST reference says that GitHub is, for one pull request: what it does not know it refuses and
//! remembers, and it fails on command.
//!
//! Source: "REST API endpoints" of GitHub (issue comments, check runs, commit statuses, pulls, users) in version 2022-11-28, with
//! the limits that stand there, and `viewer` of GraphQL.

use crate::support::{
    message::Message,
    web::{Reply, Web},
};
use serde_json::{Value as Json, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

pub(crate) const TOKEN: &str = "ghs_canaryTokenThatNobodyMaySee";
pub(crate) const NEWER: &str = "89abcdef0123456789abcdef0123456789abcdef";
pub(crate) const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";
/// Who holds the token.
pub(crate) const APP: &str = "github-actions[bot]";

/// What it knows.
#[derive(Default, Clone)]
pub(crate) struct State {
    /// Whether the token is an app's, or a person's.
    pub(crate) of_a_person: bool,
    pub(crate) comments: Vec<Json>,
    pub(crate) runs: Vec<Json>,
    pub(crate) notes: Vec<(u64, Json)>,
    pub(crate) statuses: Vec<Json>,
    /// Method and path of what was asked, in order.
    pub(crate) asked: Vec<String>,
    /// What was against the reference.
    pub(crate) wrong: Vec<String>,
    /// What is answered instead, once each: to a request that begins so.
    pub(crate) faults: VecDeque<(&'static str, Reply)>,
    /// Done once, just before a request that begins so is looked at.
    pub(crate) before: Option<(&'static str, Deed)>,
    /// Somebody pushed: the pull request's newest commit is [`NEWER`].
    pub(crate) pushed: bool,
    next: u64,
}

/// What is done to the hub behind a client's back.
pub(crate) type Deed = fn(&mut State);

impl State {
    pub(crate) fn comment(&mut self, login: &str, body: &str) -> u64 {
        self.next += 1;
        let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
        let id = 1_000 + self.next;
        self.comments.push(json!({
            "id": id, "body": body, "user": { "login": login, "id": login.len(), "type": kind },
            "html_url": format!("https://github.example/acme/shop/pull/7#issuecomment-{id}"),
        }));
        id
    }

    pub(crate) fn bodies(&self) -> Vec<&str> {
        self.comments.iter().map(|comment| comment["body"].as_str().unwrap()).collect()
    }

    pub(crate) fn fault(&mut self, at: &'static str, reply: Reply) {
        self.faults.push_back((at, reply));
    }

    /// How often something was asked that begins so.
    pub(crate) fn times(&self, at: &str) -> usize {
        self.asked.iter().filter(|asked| asked.starts_with(at)).count()
    }
}

/// The server.
pub(crate) struct Hub {
    pub(crate) web: Web,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let of_web = state.clone();
        let web = Web::new(move |request| answer(request, &mut of_web.lock().unwrap()));
        Self { web, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What it knows at this moment: to be looked at, however often in one sentence.
    pub(crate) fn seen(&self) -> State {
        self.state().clone()
    }

    /// Nothing that was asked is against the reference.
    pub(crate) fn is_content(&self) {
        assert_eq!(self.state().wrong, Vec::<String>::new());
    }
}

pub(crate) fn said(status: u16, message: &str) -> Reply {
    let mut reply = Reply::json(&json!({ "message": message, "documentation_url": "https://docs.github.com/rest" }));
    reply.status = status;
    reply
}

pub(crate) fn with(mut reply: Reply, headers: &[&str]) -> Reply {
    reply.headers.extend(headers.iter().map(|&header| header.to_owned()));
    reply
}

fn answer(request: &Message, state: &mut State) -> Reply {
    let (method, target) = (request.word(0).to_owned(), request.word(1).to_owned());
    let asked = format!("{method} {target}");
    state.asked.push(asked.clone());
    if let Some((_, then)) = state.before.take_if(|(at, _)| asked.starts_with(*at)) {
        then(state);
    }
    if let Some(position) = state.faults.iter().position(|(at, _)| asked.starts_with(at)) {
        return state.faults.remove(position).unwrap().1;
    }
    let host = format!("http://{}", request.header("host").unwrap_or_default());
    match strict(request, &method, &target, state) {
        Ok(mut reply) => {
            reply.headers.iter_mut().for_each(|header| *header = header.replace("HOST", &host));
            reply
        }
        Err((status, why)) => {
            state.wrong.push(format!("{asked}: {why}"));
            said(status, &why)
        }
    }
}

type Wrong = (u16, String);

fn wrong<T>(status: u16, why: impl Into<String>) -> Result<T, Wrong> {
    Err((status, why.into()))
}

fn strict(request: &Message, method: &str, target: &str, state: &mut State) -> Result<Reply, Wrong> {
    for (header, value) in [("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")] {
        if request.header(header) != Some(value) {
            return wrong(400, format!("{header} is {:?}", request.header(header)));
        }
    }
    if !request.header("user-agent").is_some_and(|agent| agent.starts_with("terrace/")) {
        return wrong(403, "Request forbidden by administrative rules: no User-Agent");
    }
    if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Ok(said(401, "Bad credentials"));
    }
    let body: Json = if ["POST", "PATCH"].contains(&method) {
        if request.header("content-type") != Some("application/json") {
            return wrong(415, "no JSON");
        }
        serde_json::from_slice(&request.body).or_else(|_| wrong(400, "Problems parsing JSON"))?
    } else if request.body.is_empty() {
        Json::Null
    } else {
        return wrong(400, "a body where none belongs");
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if let ("POST", "/graphql") = (method, path) {
        fields(&body, &["query"], &[])?;
        return match body["query"].as_str() {
            Some("query { viewer { login } }") => Ok(Reply::json(&json!({ "data": { "viewer": { "login": APP } } }))),
            _ => wrong(400, "another query"),
        };
    }
    if let ("GET", "/user") = (method, path) {
        return Ok(if state.of_a_person {
            Reply::json(&json!({ "login": "ada", "id": 3, "type": "User" }))
        } else {
            said(403, "Resource not accessible by integration")
        });
    }
    let Some(rest) = path.strip_prefix("/repos/acme/shop/") else { return Ok(said(404, "Not Found")) };
    let parts: Vec<&str> = rest.split('/').collect();
    let number = |text: &str| text.parse::<u64>().or_else(|_| wrong(404, "no number"));
    match (method, parts.as_slice()) {
        ("GET", ["pulls", "7"]) => {
            Ok(Reply::json(&json!({ "number": 7, "head": { "sha": if state.pushed { NEWER } else { HEAD } } })))
        }
        ("GET", ["issues", "7", "comments"]) => page(target, query, &state.comments.clone(), &|all| json!(all)),
        ("POST", ["issues", "7", "comments"]) => {
            let text = text_of(&body)?;
            let me = if state.of_a_person { "ada" } else { APP };
            state.comment(me, &text);
            let mut reply = Reply::json(state.comments.last().unwrap());
            reply.status = 201;
            Ok(reply)
        }
        ("PATCH", ["issues", "comments", id]) => {
            let (id, text) = (number(id)?, text_of(&body)?);
            let Some(comment) = state.comments.iter_mut().find(|c| c["id"] == id) else {
                return Ok(said(404, "Not Found"));
            };
            comment["body"] = json!(text);
            Ok(Reply::json(comment))
        }
        ("DELETE", ["issues", "comments", id]) => {
            let (id, before) = (number(id)?, state.comments.len());
            state.comments.retain(|c| c["id"] != id);
            Ok(if before == state.comments.len() { said(404, "Not Found") } else { Reply::text(204, "") })
        }
        ("POST", ["statuses", HEAD | NEWER]) => {
            fields(&body, &["state"], &["context", "description", "target_url"])?;
            let long = |field: &str, most: usize| body[field].as_str().is_some_and(|text| text.chars().count() > most);
            if !["error", "failure", "pending", "success"].contains(&body["state"].as_str().unwrap_or_default())
                || long("description", 140)
                || long("context", 255)
            {
                return wrong(422, "Validation Failed");
            }
            state.statuses.push(body);
            let mut reply = Reply::json(&json!({ "id": 1 }));
            reply.status = 201;
            Ok(reply)
        }
        ("GET", ["commits", HEAD | NEWER, "check-runs"]) => {
            let name =
                query.split('&').find_map(|q| q.strip_prefix("check_name=")).unwrap_or_default().replace("%2F", "/");
            let found: Vec<Json> = state.runs.iter().filter(|run| run["name"] == name.as_str()).cloned().collect();
            page(target, query, &found, &|all| json!({ "total_count": all.len(), "check_runs": all }))
        }
        ("GET", ["check-runs", id, "annotations"]) => {
            let id = number(id)?;
            let found: Vec<Json> =
                state.notes.iter().filter(|(of, _)| *of == id).map(|(_, note)| note.clone()).collect();
            page(target, query, &found, &|all| json!(all))
        }
        ("POST", ["check-runs"]) => {
            if state.of_a_person {
                return Ok(said(403, "You must authenticate via a GitHub App."));
            }
            if ![HEAD, NEWER].contains(&body["head_sha"].as_str().unwrap_or_default()) || !body["name"].is_string() {
                return wrong(422, "Invalid request. No commit found for SHA");
            }
            state.next += 1;
            let id = 5_000 + state.next;
            // A later one of a name takes the place of the former.
            let name = body["name"].clone();
            let notes = checked(&body, &["name", "head_sha"])?;
            state.runs.retain(|run| run["name"] != name);
            state.notes.extend(notes.into_iter().map(|note| (id, note)));
            let mut run = body;
            run["id"] = json!(id);
            state.runs.push(run.clone());
            let mut reply = Reply::json(&run);
            reply.status = 201;
            Ok(reply)
        }
        ("PATCH", ["check-runs", id]) => {
            let id = number(id)?;
            let notes = checked(&body, &[])?;
            let Some(run) = state.runs.iter_mut().find(|run| run["id"] == id) else {
                return Ok(said(404, "Not Found"));
            };
            run.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            let run = run.clone();
            // They are added to those that are there.
            state.notes.extend(notes.into_iter().map(|note| (id, note)));
            Ok(Reply::json(&run))
        }
        _ => wrong(404, "Not Found"),
    }
}

/// Only these fields, and all of the first.
fn fields(body: &Json, needed: &[&str], more: &[&str]) -> Result<(), Wrong> {
    let Some(object) = body.as_object() else { return wrong(422, "no object") };
    let unknown: Vec<&String> =
        object.keys().filter(|key| !needed.contains(&key.as_str()) && !more.contains(&key.as_str())).collect();
    match needed.iter().find(|name| !object.contains_key(**name)) {
        Some(name) => wrong(422, format!("{name} is missing")),
        None if !unknown.is_empty() => wrong(422, format!("unknown: {unknown:?}")),
        None => Ok(()),
    }
}

fn text_of(body: &Json) -> Result<String, Wrong> {
    fields(body, &["body"], &[])?;
    let text = body["body"].as_str().map_or_else(|| wrong(422, "no text"), Ok)?;
    if text.chars().count() > 65_536 {
        return wrong(422, "Body is too long (maximum is 65536 characters)");
    }
    Ok(text.to_owned())
}

/// The annotations of a check run's body, where it is right.
fn checked(body: &Json, needed: &[&str]) -> Result<Vec<Json>, Wrong> {
    fields(
        body,
        needed,
        &["name", "external_id", "status", "conclusion", "output", "details_url", "started_at", "completed_at"],
    )?;
    if body["status"] != "completed"
        || !["success", "neutral", "failure"].contains(&body["conclusion"].as_str().unwrap_or_default())
    {
        return wrong(422, "status and conclusion");
    }
    let output = &body["output"];
    fields(output, &["title", "summary"], &["annotations", "text", "images"])?;
    if output["summary"].as_str().is_none_or(|text| text.chars().count() > 65_535) {
        return wrong(422, "Only 65535 characters are allowed; summary");
    }
    let notes = output["annotations"].as_array().cloned().unwrap_or_default();
    if notes.len() > 50 {
        return wrong(422, "annotations exceeds a maximum quantity of 50");
    }
    for note in &notes {
        fields(
            note,
            &["path", "start_line", "end_line", "annotation_level", "message"],
            &["title", "raw_details", "start_column", "end_column"],
        )?;
        let path = note["path"].as_str().unwrap_or_default();
        let line = note["start_line"].as_u64().unwrap_or_default();
        let level = note["annotation_level"].as_str().unwrap_or_default();
        let long = |field: &str, most: usize| note[field].as_str().is_none_or(|text| text.len() > most);
        let outside = path.is_empty() || path.starts_with('/') || path.contains("..");
        if outside
            || line == 0
            || note["end_line"].as_u64() < Some(line)
            || !["notice", "warning", "failure"].contains(&level)
            || long("title", 255)
            || long("message", 64 << 10)
        {
            return wrong(422, format!("annotation: {note}"));
        }
    }
    Ok(notes)
}

/// A page of a list, with a link to the next.
fn page(target: &str, query: &str, all: &[Json], form: &dyn Fn(&[Json]) -> Json) -> Result<Reply, Wrong> {
    let value = |name: &str| query.split('&').find_map(|q| q.strip_prefix(&format!("{name}="))?.parse::<usize>().ok());
    let (size, at) = (value("per_page").unwrap_or(30), value("page").unwrap_or(1));
    if !(1..=100).contains(&size) || at == 0 {
        return wrong(422, "per_page is at most 100");
    }
    let some: Vec<Json> = all.iter().skip((at - 1) * size).take(size).cloned().collect();
    let reply = Reply::json(&form(&some));
    if at * size >= all.len() {
        return Ok(reply);
    }
    let base = target.split("&page=").next().unwrap();
    let link = format!("Link: <HOST{base}&page={}>; rel=\"next\", <HOST{base}&page=99>; rel=\"last\"", at + 1);
    Ok(with(reply, &[&link]))
}
