//! The comment at a forge: by the program as CI runs it, on a server as strict as GitHub's reference, one as GitLab's, and a real
//! Gitea; and every way in which a forge fails, by a clock of the test's own.

mod faults;
mod gitea;
pub(super) mod gitlab;
pub(super) mod hub;

use crate::{cli::Project, support::project::Said};
use hub::{APP, HEAD, Hub, NEWER, TOKEN, said};
use serde_json::{Value as Json, json};
use std::{fmt::Write as _, fs};

/// A project in a folder of its repository, whose topics a rule denies for having no name, and the plans of two environments.
pub(super) struct Shop {
    project: Project,
}

impl Shop {
    pub(super) fn new(topics: usize) -> Self {
        let shop = Self { project: Project::bare() };
        fs::create_dir(shop.project.path().join(".git")).unwrap();
        shop.project.write("terrace.toml", "name = \"nothing\"\n");
        shop.write("terrace.toml", "name = \"shop\"\n[policy.plan.app]\npacks = [\"policies/own\"]\n");
        shop.write("policies/own/pack.toml", "name = \"own\"\nversion = \"1.0.0\"\ndescription = \"ours\"\n[[rule]]\nname = \"topics_named\"\nseverity = \"deny\"\ncontrols = [\"CM-8\"]\non = \"template\"\nwhy = \"nobody finds it, @octocat\"\ninstead = \"TopicName: TEAM-PURPOSE\"\n");
        shop.write("policies/own/named.guard", "let topics = Resources.*[ Type == 'AWS::SNS::Topic' ]\nrule topics_named when %topics !empty {\n  %topics.Properties.TopicName exists <<the topic has no name>>\n}\n");
        shop.topics(topics);
        shop
    }

    fn write(&self, path: &str, text: &str) {
        self.project.write(&format!("infra/{path}"), text);
    }

    /// Plans it anew, with so many topics.
    pub(super) fn topics(&self, topics: usize) {
        self.write("plans/app/plan.hcl", "plan \"app\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n\nenvironment \"prd\" {\n  sandbox {}\n}\n\nstack \"topics\" {\n  template = \"${path.root}/t.yaml\"\n}\n");
        let mut template =
            "Resources:\n  Named:\n    Type: AWS::SNS::Topic\n    Properties: { TopicName: a }\n".to_owned();
        for topic in 0..topics {
            let _ = write!(template, "  Topic{topic}:\n    Type: AWS::SNS::Topic\n");
        }
        self.write("plans/app/t.yaml", &template);
        for env in ["dev", "prd"] {
            let planned = self.run(&["plan", "--env", env, "--out", &format!("{env}.plan")], &[]);
            assert_eq!(planned.code, Some(if topics == 0 { 0 } else { 3 }), "{planned:?}");
        }
    }

    /// Runs the program as CI does.
    pub(super) fn run(&self, words: &[&str], env: &[(&str, &str)]) -> Said {
        let mut command = self.project.command(words);
        command.current_dir(self.project.path().join("infra")).envs(env.iter().copied());
        let said = Said::of(&command.output().unwrap());
        assert!(!said.words().contains("canaryToken"), "{said:?}");
        said
    }

    /// Posts both plans as a job of GitHub Actions does.
    fn post(&self, hub: &Hub, more: &[&str]) -> Said {
        self.post_of(hub, HEAD, more)
    }

    /// The same as the job of this commit.
    fn post_of(&self, hub: &Hub, commit: &str, more: &[&str]) -> Said {
        self.event(&json!({ "pull_request": { "number": 7, "head": { "sha": commit } } }));
        let words: Vec<&str> = ["comment", "dev.plan", "prd.plan", "--github"].iter().chain(more).copied().collect();
        self.run(
            &words,
            &[
                ("GITHUB_TOKEN", TOKEN),
                ("GITHUB_API_URL", &hub.web.url),
                ("GITHUB_REPOSITORY", "acme/shop"),
                ("GITHUB_EVENT_PATH", "event.json"),
                ("GITHUB_SHA", "ffffffffffffffffffffffffffffffffffffffff"),
            ],
        )
    }

    fn event(&self, event: &Json) {
        self.write("event.json", &event.to_string());
    }
}

fn ends(said: &Said, code: i32, says: &str) {
    assert!(said.code == Some(code) && said.words().contains(says), "{code} {says}\n{}{}", said.out, said.err);
}

#[test]
fn a_pull_request_has_one_comment_for_all_environments_that_is_edited_in_place() {
    let (shop, hub) = (Shop::new(0), Hub::new());
    let marker = "<!-- terrace: shop/app -->";
    let others = {
        let mut state = hub.state();
        // Somebody who copies ours, another tool of the same bot, another plan, and a marker that is not in the first line.
        state.comment("mallory", &format!("{marker}\nno changes, believe me"));
        state.comment(APP, "<!-- coverage -->\n93 %");
        state.comment(APP, "<!-- terrace: shop/other -->\nmine");
        state.comment(APP, &format!("> {marker}\nquoted"));
        state.comments.clone()
    };
    let first = shop.post(&hub, &[]);
    ends(&first, 0, "comment created: https://github.example/acme/shop/pull/7#issuecomment-1005");
    assert_eq!(first.out, "", "what is posted is not printed");
    let body = hub.state().bodies()[4].to_owned();
    assert!(
        body.starts_with(&format!("{marker}\n<!-- commit: {HEAD} -->\n## Terrace: `app`"))
            && body.contains("| `dev`")
            && body.contains("| `prd`"),
        "{body}"
    );
    assert!(hub.seen().times("POST /repos/acme/shop/issues/7/comments") == 1);
    // Nothing new: nothing is written.
    ends(&shop.post(&hub, &[]), 0, "comment as it was");
    assert_eq!(hub.seen().times("PATCH /repos/acme/shop/issues/comments"), 0);
    // Another plan: the same comment.
    shop.topics(2);
    let again = shop.post(&hub, &["--json"]);
    let told: Json = serde_json::from_str(again.out.trim()).unwrap();
    assert_eq!(
        (&told["done"], &told["comment"], &told["conclusion"]),
        (&json!("edited"), &json!(1005), &json!("failure")),
        "{told}"
    );
    assert_eq!((&told["check_run"], &told["commit_status"]), (&json!(true), &json!(true)));
    {
        let state = hub.state();
        assert_eq!((state.comments.len(), state.times("POST /repos/acme/shop/issues/7/comments")), (5, 1));
        assert!(state.bodies()[4].contains("**Denied by policy.**"), "{}", state.bodies()[4]);
        assert_eq!(state.comments[..4], others[..], "comments of others are not touched");
    }
    hub.is_content();
}

#[test]
fn a_job_of_an_older_commit_leaves_the_comment_to_that_of_the_newest() {
    let (shop, hub) = (Shop::new(0), Hub::new());
    ends(&shop.post(&hub, &[]), 0, "comment created");
    assert!(hub.state().bodies()[0].contains("Of commit `0123456789ab`."), "{:?}", hub.state().bodies());
    // Somebody pushed, and that commit's job says nothing: what is there is of neither, and this is news.
    hub.state().pushed = true;
    shop.topics(1);
    ends(&shop.post(&hub, &[]), 0, "comment edited");
    // The newest commit's job.
    shop.topics(0);
    ends(&shop.post_of(&hub, NEWER, &[]), 0, "comment edited");
    assert!(hub.state().bodies()[0].contains("Of commit `89abcdef0123`."), "{:?}", hub.state().bodies());
    // One of the older that ends late.
    shop.topics(1);
    let told: Json = serde_json::from_str(shop.post(&hub, &["--json"]).out.trim()).unwrap();
    assert_eq!(told["done"], "superseded", "{told}");
    let late = shop.post(&hub, &[]);
    ends(&late, 0, "comment left as it is");
    ends(&late, 0, "it is about the pull request's newest commit, 89abcdef0123; this is about another");
    assert!(!hub.state().bodies()[0].contains("Denied by policy"), "{:?}", hub.state().bodies());
    assert_eq!(hub.state().statuses.last().unwrap()["state"], "failure", "the verdict is on its own commit");
    // And the newest again, planned anew.
    ends(&shop.post_of(&hub, NEWER, &[]), 0, "comment edited");
    hub.is_content();
}

#[test]
fn an_environment_that_could_not_be_planned_is_named_and_no_success() {
    let (shop, hub) = (Shop::new(0), Hub::new());
    ends(&shop.post(&hub, &["--expect", "Dev,prd"]), 64, "the plan has no environment `Dev`");
    let plan = "plans/app/plan.hcl";
    let text = fs::read_to_string(shop.project.path().join("infra").join(plan)).unwrap();
    shop.write(
        plan,
        &format!("{text}\nenvironment \"tst\" {{\n  sandbox {{}}\n}}\n\nenvironment \"uat\" {{\n  sandbox {{}}\n}}\n"),
    );
    let done = shop.post(&hub, &["--expect", "prd,tst,dev,uat"]);
    ends(&done, 0, "comment created");
    let body = hub.state().bodies()[0].to_owned();
    assert!(body.contains("**No plan of `tst`, `uat`.** What changes there is not known."), "{body}");
    assert!(
        body.contains("| `tst` | **no plan** |") && body.contains("| `prd` (") && !body.contains("`prd` | **no"),
        "{body}"
    );
    let status = hub.state().statuses.last().unwrap().clone();
    assert_eq!(status["state"], "failure", "{status}");
    assert!(status["description"].as_str().unwrap().starts_with("no plan of tst, uat; "), "{status}");
    ends(&shop.post(&hub, &["--expect", "dev,prd"]), 0, "comment edited");
    assert!(!hub.state().bodies()[0].contains("No plan of"), "{:?}", hub.state().bodies());
    assert_eq!(hub.state().statuses.last().unwrap()["state"], "success");
    hub.is_content();
}

#[test]
fn findings_stand_on_their_lines_and_the_verdict_on_the_commit() {
    let (shop, hub) = (Shop::new(120), Hub::new());
    ends(&shop.post(&hub, &[]), 0, "comment created");
    {
        let state = hub.state();
        let run = &state.runs[0];
        assert_eq!((&run["name"], &run["external_id"]), (&json!("terrace/shop/app"), &json!("terrace: shop/app")));
        assert_eq!((&run["conclusion"], &run["head_sha"]), (&json!("failure"), &json!(HEAD)));
        assert!(run["output"]["title"].as_str().unwrap().starts_with("denied by policy (240 findings): "), "{run}");
        assert!(run["output"]["summary"].as_str().unwrap().starts_with("## Terrace: "), "{run}");
        assert_eq!(state.notes.len(), 120, "both environments find the same");
        let (_, note) = &state.notes[0];
        assert_eq!((&note["path"], &note["annotation_level"]), (&json!("infra/plans/app/t.yaml"), &json!("failure")));
        assert_eq!((&note["start_line"], &note["end_line"]), (&json!(5), &json!(5)), "{note}");
        assert_eq!(note["title"], "topics_named: stack.topics Topic0");
        let message = note["message"].as_str().unwrap();
        assert!(
            message.contains("the topic has no name") && message.ends_with("Controls: CM-8.\nIn dev, prd."),
            "{message}"
        );
        assert_eq!(
            (state.times("POST /repos/acme/shop/check-runs"), state.times("PATCH /repos/acme/shop/check-runs")),
            (1, 2)
        );
        let status = &state.statuses[0];
        assert_eq!((&status["state"], &status["context"]), (&json!("failure"), &json!("terrace/shop/app")));
        assert!(status["description"].as_str().unwrap().starts_with("denied by policy"), "{status}");
    }
    // The same commit again: the same run, and no note twice.
    ends(&shop.post(&hub, &[]), 0, "as it was");
    assert_eq!((hub.seen().runs.len(), hub.seen().notes.len()), (1, 120));
    assert_eq!(hub.seen().times("POST /repos/acme/shop/check-runs"), 1);
    // Notes cannot be taken away: one that is wanted no more makes a new run, which takes the place of the former.
    shop.topics(1);
    ends(&shop.post(&hub, &[]), 0, "edited");
    assert_eq!(hub.seen().times("POST /repos/acme/shop/check-runs"), 2);
    let id = hub.state().runs[0]["id"].as_u64().unwrap();
    assert_eq!(hub.seen().notes.iter().filter(|(of, _)| *of == id).count(), 1);
    shop.topics(0);
    ends(&shop.post(&hub, &[]), 0, "edited");
    assert_eq!(hub.seen().runs[0]["conclusion"], "success");
    assert_eq!(hub.seen().statuses.last().unwrap()["state"], "success");
    hub.is_content();
}

#[test]
fn a_status_stands_in_where_a_token_cannot_make_check_runs() {
    let (shop, hub) = (Shop::new(1), Hub::new());
    hub.state().of_a_person = true;
    let done = shop.post(&hub, &[]);
    ends(&done, 0, "no check run, a commit status stands in for it:");
    ends(&done, 0, "You must authenticate via a GitHub App.");
    assert_eq!((hub.seen().runs.len(), hub.seen().statuses.len()), (0, 1));
    assert_eq!(hub.seen().comments[0]["user"]["login"], "ada");
    // An app that was not given the right to, and none to statuses either: the comment is there all the same.
    let hub = Hub::new();
    hub.state().fault("POST /repos/acme/shop/check-runs", said(403, "Resource not accessible by integration"));
    hub.state().fault("POST /repos/acme/shop/statuses", said(403, "Resource not accessible by integration"));
    let done = shop.post(&hub, &[]);
    ends(
        &done,
        0,
        "no check run, a commit status stands in for it: the token may not do this (403): it needs `checks: write`",
    );
    ends(&done, 0, "warning: no commit status: the token may not do this (403): it needs `statuses: write`");
    assert_eq!(hub.seen().comments.len(), 1);
}

#[test]
fn what_a_fork_may_not_post_is_written_all_the_same() {
    let (shop, hub) = (Shop::new(0), Hub::new());
    shop.event(&json!({ "pull_request": { "number": 7, "head": { "sha": HEAD, "repo": { "full_name": "mallory/shop" } }, "base": { "repo": { "full_name": "acme/shop" } } } }));
    hub.state().fault("POST /repos/acme/shop/issues", said(403, "Resource not accessible by integration"));
    let env = [
        ("GITHUB_TOKEN", TOKEN),
        ("GITHUB_API_URL", &hub.web.url),
        ("GITHUB_REPOSITORY", "acme/shop"),
        ("GITHUB_EVENT_PATH", "event.json"),
        ("GITHUB_STEP_SUMMARY", "summary.md"),
    ];
    let done = shop.run(&["comment", "dev.plan", "prd.plan", "--github", "--summary", "--out", "all.md"], &env);
    ends(&done, 1, "error[access_denied]: the token may not do this (403): it needs `pull-requests: write`");
    ends(&done, 1, "comes from a fork");
    ends(&done, 1, "--summary or --out");
    for file in ["summary.md", "all.md"] {
        let text = fs::read_to_string(shop.project.path().join("infra").join(file)).unwrap();
        assert!(text.contains("<!-- terrace: shop/app -->"), "{text}");
    }
}

#[test]
fn where_it_goes_is_said_by_the_command_line_or_by_ci() {
    let (shop, hub) = (Shop::new(0), Hub::new());
    let words = ["comment", "dev.plan", "prd.plan", "--github", "--api-url", &hub.web.url];
    let words = |more: &[&'static str]| -> Vec<&str> { words.iter().copied().chain(more.iter().copied()).collect() };
    // By words alone: the commit is the pull request's newest.
    let all = words(&["--repository", "acme/shop", "--pull-request", "7"]);
    ends(&shop.run(&all, &[("GH_TOKEN", TOKEN)]), 0, "created");
    assert_eq!(hub.seen().statuses.len(), 1);
    // By the reference that is checked out, where there is no event. What CI has there of its own is the merge, and not meant.
    let env = [
        ("GITHUB_TOKEN", TOKEN),
        ("GITHUB_REPOSITORY", "acme/shop"),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_SHA", "ff"),
    ];
    ends(&shop.run(&words(&[]), &env), 0, "as it was");
    // Another pull request than the event's does not get the event's commit.
    shop.event(
        &json!({ "pull_request": { "number": 8, "head": { "sha": "ffffffffffffffffffffffffffffffffffffffff" } } }),
    );
    let env = [env[0], env[1], ("GITHUB_EVENT_PATH", "event.json")];
    ends(&shop.run(&words(&["--pull-request", "7"]), &env), 0, "as it was");
    assert_eq!(hub.seen().statuses.len(), 3);
    hub.is_content();
    for (more, env, code, says) in [
        (&["--pull-request", "7"][..], &[("GITHUB_TOKEN", TOKEN)][..], 64, "nothing says which repository"),
        (&["--repository", "acme/shop"], &[("GITHUB_TOKEN", TOKEN)], 64, "nothing says which pull request"),
        (
            &["--repository", "acme/shop", "--pull-request", "0"],
            &[("GITHUB_TOKEN", TOKEN)],
            64,
            "nothing says which pull request",
        ),
        (&["--repository", "../user", "--pull-request", "7"], &[("GITHUB_TOKEN", TOKEN)], 64, "is no repository"),
        (
            &["--repository", "acme/shop", "--pull-request", "7", "--commit", "main"],
            &[("GITHUB_TOKEN", TOKEN)],
            64,
            "no digest",
        ),
        (
            &["--repository", "acme/shop", "--pull-request", "7"],
            &[],
            1,
            "error[forge_token]: there is no token for GitHub: GITHUB_TOKEN or GH_TOKEN is not set",
        ),
        (&["--repository", "acme/shop", "--pull-request", "7"], &[("GITHUB_TOKEN", " ")], 1, "forge_token"),
        (
            &["--repository", "acme/shop", "--pull-request", "7"],
            &[("GITHUB_TOKEN", "canaryToken\nx")],
            1,
            "the token has characters in it",
        ),
        (
            &["--repository", "acme/shop", "--pull-request", "7"],
            &[("GITHUB_TOKEN", "canaryTokenOfOthers")],
            1,
            "GitHub does not take the token (401): Bad credentials",
        ),
        (
            &["--repository", "acme/gone", "--pull-request", "7"],
            &[("GITHUB_TOKEN", TOKEN)],
            1,
            "the token does not see it",
        ),
        (
            &["--repository", "acme/shop", "--pull-request", "7"],
            &[("GITHUB_TOKEN", TOKEN), ("GITHUB_EVENT_PATH", "nowhere")],
            1,
            "file_unreadable",
        ),
        (&["--gitlab"], &[], 64, "cannot be used with"),
    ] {
        ends(&shop.run(&words(more), env), code, says);
    }
    for url in ["http://forge.example", "forge.example", "https://ada:canaryToken@forge.example", "file:///etc"] {
        let words = ["comment", "dev.plan", "--github", "--repository", "a/b", "--pull-request", "1", "--api-url", url];
        ends(&shop.run(&words, &[("GITHUB_TOKEN", TOKEN)]), 1, "error[invalid_request]");
    }
    ends(&shop.run(&["comment", "dev.plan", "--repository", "a/b"], &[]), 64, "--github");
}
