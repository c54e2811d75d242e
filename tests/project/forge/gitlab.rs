//! The comment as a note of a merge request, on a server as strict as GitLab's REST reference (notes, merge requests, commits,
//! users; version 4).

use super::{Shop, ends};
use crate::support::{
    message::Message,
    web::{Reply, Web},
};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) const TOKEN: &str = "glpat-canaryTokenThatNobodyMaySee";
pub(crate) const HEAD: &str = "89abcdef0123456789abcdef0123456789abcdef";

#[derive(Default)]
pub(crate) struct State {
    pub(crate) notes: Vec<Json>,
    statuses: Vec<Json>,
    wrong: Vec<String>,
    /// What GitLab answers to the next status.
    status_fault: Option<(u16, &'static str)>,
    next: u64,
}

impl State {
    fn note(&mut self, user: u64, body: &str, system: bool) -> Json {
        self.next += 1;
        let note = json!({ "id": self.next, "body": body, "system": system, "author": { "id": user, "username": format!("u{user}") } });
        self.notes.push(note.clone());
        note
    }
}

fn reply(status: u16, body: &Json) -> Reply {
    Reply { status, ..Reply::json(body) }
}

/// The server.
pub(crate) struct Lab {
    web: Web,
    state: Arc<Mutex<State>>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let of_web = state.clone();
        let web = Web::new(move |request| {
            let mut state = of_web.lock().unwrap();
            answer(request, &mut state).unwrap_or_else(|(status, why)| {
                state.wrong.push(format!("{} {}: {why}", request.word(0), request.word(1)));
                reply(status, &json!({ "message": why }))
            })
        });
        Self { web, state }
    }

    pub(crate) fn api(&self) -> String {
        format!("{}/api/v4", self.web.url)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn answer(request: &Message, state: &mut State) -> Result<Reply, (u16, String)> {
    if request.header("private-token") != Some(TOKEN) {
        return Ok(reply(401, &json!({ "message": "401 Unauthorized" })));
    }
    let (method, target) = (request.word(0), request.word(1));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body: Json = match method {
        "POST" | "PUT" => serde_json::from_slice(&request.body).map_err(|_| (400, "no JSON".to_owned()))?,
        _ => Json::Null,
    };
    let only = |fields: &[&str]| {
        let known = body.as_object().is_some_and(|all| all.keys().all(|key| fields.contains(&key.as_str())));
        if known { Ok(()) } else { Err((400, format!("unknown fields: {body}"))) }
    };
    let text = || {
        only(&["body"])?;
        let text = body["body"].as_str().filter(|text| text.chars().count() <= 1_000_000);
        text.map(str::to_owned)
            .ok_or_else(|| (400, "{:note=>[\"is too long (maximum is 1000000 characters)\"]}".to_owned()))
    };
    if path == "/api/v4/user" {
        return Ok(reply(200, &json!({ "id": 5, "username": "u5" })));
    }
    let Some(rest) = path
        .strip_prefix("/api/v4/projects/acme%2Fgroup%2Fshop/")
        .or_else(|| path.strip_prefix("/api/v4/projects/42/"))
    else {
        return Ok(reply(404, &json!({ "message": "404 Project Not Found" })));
    };
    let id = |text: &str| text.parse::<u64>().map_err(|_| (404, "no number".to_owned()));
    match (method, rest.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["merge_requests", "3"]) => Ok(reply(200, &json!({ "iid": 3, "sha": HEAD }))),
        ("GET", ["merge_requests", "3", "notes"]) => {
            let value = |name: &str| query.split('&').find_map(|q| q.strip_prefix(&format!("{name}=")));
            let (size, page) = (value("per_page"), value("page").map_or(1, |p| p.parse::<usize>().unwrap()));
            if (size, value("sort"), value("order_by")) != (Some("100"), Some("asc"), Some("created_at")) {
                return Err((400, query.to_owned()));
            }
            let some: Vec<&Json> = state.notes.iter().skip((page - 1) * 100).take(100).collect();
            let mut found = reply(200, &json!(some));
            if page * 100 < state.notes.len() {
                let (host, base) = (request.header("host").unwrap(), target.split("&page=").next().unwrap());
                found.headers.push(format!("Link: <http://{host}{base}&page={}>; rel=\"next\"", page + 1));
            }
            Ok(found)
        }
        ("POST", ["merge_requests", "3", "notes"]) => Ok(reply(201, &state.note(5, &text()?, false))),
        ("PUT", ["merge_requests", "3", "notes", note]) => {
            let (id, text) = (id(note)?, text()?);
            let note = state.notes.iter_mut().find(|note| note["id"] == id && note["author"]["id"] == 5);
            let note = note.ok_or_else(|| (403, "403 Forbidden".to_owned()))?;
            note["body"] = json!(text);
            Ok(reply(200, note))
        }
        ("DELETE", ["merge_requests", "3", "notes", note]) => {
            let id = id(note)?;
            state.notes.retain(|note| note["id"] != id);
            Ok(Reply::text(204, ""))
        }
        ("POST", ["statuses", HEAD]) => {
            only(&["state", "name", "description", "target_url"])?;
            if !["success", "failed"].contains(&body["state"].as_str().unwrap_or_default()) {
                return Err((400, "state does not have a valid value".to_owned()));
            }
            if let Some((status, says)) = state.status_fault.take() {
                return Ok(reply(status, &json!({ "message": says })));
            }
            state.statuses.push(body);
            Ok(reply(201, &json!({ "id": 1 })))
        }
        _ => Err((404, "404 Not Found".to_owned())),
    }
}

#[test]
fn a_merge_request_has_one_note_of_ours_and_its_commit_a_status() {
    let (shop, lab) = (Shop::new(1), Lab::new());
    let marker = "<!-- terrace: shop/app -->";
    {
        let mut state = lab.state();
        state.note(6, &format!("{marker}\nof somebody else"), false);
        state.note(5, &format!("{marker}\nof GitLab itself"), true);
        for _ in 0..150 {
            state.note(7, "x", false);
        }
    }
    let api = lab.api();
    let ci = [
        ("GITLAB_TOKEN", TOKEN),
        ("CI_JOB_TOKEN", "another"),
        ("CI_API_V4_URL", api.as_str()),
        ("CI_PROJECT_ID", "42"),
        ("CI_MERGE_REQUEST_IID", "3"),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", HEAD),
        ("CI_COMMIT_SHA", "ffffffffffffffffffffffffffffffffffffffff"),
    ];
    let words = ["comment", "dev.plan", "prd.plan", "--gitlab"];
    ends(&shop.run(&words, &ci), 0, "comment created: 3 of 42");
    shop.topics(0);
    lab.state().status_fault = Some((400, "Cannot transition status via :success from :success"));
    ends(&shop.run(&words, &ci), 0, "comment edited");
    {
        let state = lab.state();
        assert_eq!((state.notes.len(), state.statuses.len()), (153, 1));
        let body = state.notes[152]["body"].as_str().unwrap();
        assert!(body.starts_with(marker) && body.contains("| `prd`") && !body.contains("Denied by policy"), "{body}");
        assert_eq!(state.notes[0]["body"], format!("{marker}\nof somebody else"));
        assert_eq!(
            (&state.statuses[0]["state"], &state.statuses[0]["name"]),
            (&json!("failed"), &json!("terrace/shop/app"))
        );
    }
    // By words alone, in a group of a group.
    let by_words =
        [&words[..], &["--repository", "acme/group/shop", "--pull-request", "3", "--api-url", &api]].concat();
    ends(&shop.run(&by_words, &ci[..1]), 0, "comment as it was");
    assert_eq!(lab.state().statuses.len(), 2);
    // Whoever may not, and what a job has by itself.
    lab.state().status_fault = Some((403, "403 Forbidden"));
    let said = shop.run(&by_words, &ci[..1]);
    ends(
        &said,
        0,
        "warning: no commit status: the token may not do this (403): it needs the scope `api` and the role Developer",
    );
    ends(&shop.run(&words, &ci[1..]), 1, "a job's own CI_JOB_TOKEN may not write notes");
    ends(&shop.run(&by_words, &[("GITLAB_TOKEN", "canaryTokenOfOthers")]), 1, "GitLab does not take the token (401)");
    let gone = [&words[..], &["--repository", "7", "--pull-request", "3", "--api-url", &api]].concat();
    ends(&shop.run(&gone, &ci[..1]), 1, "404 Project Not Found");
    assert_eq!(lab.state().wrong, Vec::<String>::new());
}
