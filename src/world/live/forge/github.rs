//! GitHub and GitHub Enterprise, and Gitea, which has the same paths for all of this but check runs.
//!
//! Source: GitHub's REST reference (issue comments, check runs, commit statuses, pulls), version 2022-11-28, and for whose token
//! an app's is, `viewer` of its GraphQL reference; Gitea's own description of its interface (`/swagger.v1.json`).

use super::{Ask, ForgeKind, Line, cut, next_page, part};
use crate::world::{
    ANNOTATIONS, Annotation, Author, Check, CheckRun, Class, Comment, CommentPage, CommitStatus, Conclusion, Failure,
    Forge, Level, Outcome,
};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value as Json, json};

/// How many pages of annotations are read.
const PAGES: usize = 10;
const PULLS: &str = "`pull-requests: write`";
const CHECKS: &str = "`checks: write`";
const STATUSES: &str = "`statuses: write`";

/// A pull request of GitHub or Gitea.
pub(super) struct GitHub {
    line: Line,
    repository: String,
    number: u64,
}

impl GitHub {
    pub(super) const fn new(line: Line, repository: String, number: u64) -> Self {
        Self { line, repository, number }
    }

    fn path(&self, rest: &str) -> String {
        let repository: Vec<String> = self.repository.split('/').map(part).collect();
        format!("/repos/{}/{rest}", repository.join("/"))
    }

    /// Whose the token of an app is: it may not ask for a user, and GraphQL tells it all the same.
    async fn app(&self) -> Outcome<Author> {
        let base = self.line.base.as_str().trim_end_matches('/');
        // GitHub Enterprise: `/api/v3` and `/api/graphql`.
        let path = format!("{}/graphql", base.strip_suffix("/v3").unwrap_or(base));
        let body = json!({ "query": "query { viewer { login } }" });
        let mut ask = Ask::send(Method::POST, &path, body, "whose token", "to be an app's or a user's");
        ask.again = true;
        let (answer, _) = self.line.json(&ask).await?;
        let login = answer["data"]["viewer"]["login"].as_str().ok_or_else(|| {
            let what = "the token does not tell whose it is, and so not which comment is its own";
            self.line.failure(Class::Denied, &ask, what).hint("use the job's own GITHUB_TOKEN, an app's, or a user's")
        })?;
        // GraphQL calls an app's account by its bare name in places.
        let login = if login.ends_with("[bot]") { login.to_owned() } else { format!("{login}[bot]") };
        Ok(Author { login, id: None })
    }

    fn check_body(check: &Check, with_head: Option<&str>) -> Json {
        let annotations: Vec<Json> = check
            .annotations
            .iter()
            .take(ANNOTATIONS)
            .map(|a| {
                let level = match a.level {
                    Level::Failure => "failure",
                    Level::Warning => "warning",
                    Level::Notice => "notice",
                };
                json!({
                    "path": a.path, "start_line": a.line, "end_line": a.line, "annotation_level": level,
                    "title": cut(&a.title, 255), "message": cut(&a.message, 16_000),
                })
            })
            .collect();
        let conclusion = match check.conclusion {
            Conclusion::Success => "success",
            Conclusion::Neutral => "neutral",
            Conclusion::Failure => "failure",
        };
        let mut body = json!({
            "name": check.name, "external_id": check.external_id, "status": "completed", "conclusion": conclusion,
            "output": { "title": check.title, "summary": check.summary, "annotations": annotations },
        });
        if let Some(head) = with_head {
            body["head_sha"] = json!(head);
        }
        if let Some(url) = &check.url {
            body["details_url"] = json!(url);
        }
        body
    }
}

/// What a token that is no app's is told, and what an app's without the permission is: this token has no check runs.
fn no_checks(failure: Failure) -> Failure {
    if matches!(failure.class, Class::Denied | Class::NotFound) && !failure.message.contains("(401)") {
        return Failure { class: Class::Unsupported, ..failure };
    }
    failure
}

fn comment(json: &Json) -> Option<Comment> {
    let author =
        json["user"]["login"].as_str().map(|login| Author { login: login.to_owned(), id: json["user"]["id"].as_u64() });
    let (body, url) =
        (json["body"].as_str().unwrap_or_default().to_owned(), json["html_url"].as_str().map(str::to_owned));
    Some(Comment { id: json["id"].as_u64()?, author, body, url })
}

fn run(json: &Json) -> Option<CheckRun> {
    let external_id = json["external_id"].as_str().unwrap_or_default().to_owned();
    Some(CheckRun { id: json["id"].as_u64()?, external_id })
}

#[async_trait]
impl Forge for GitHub {
    fn name(&self) -> &'static str {
        self.line.name()
    }

    async fn myself(&self) -> Outcome<Author> {
        let ask = Ask::get("/user", "whose token", "to read its own user (`read:user`)");
        match self.line.json(&ask).await {
            Ok((user, _)) => match user["login"].as_str() {
                Some(login) => Ok(Author { login: login.to_owned(), id: user["id"].as_u64() }),
                None => Err(self.line.not_json(&ask)),
            },
            Err(refused) if refused.class == Class::Denied && refused.message.contains("(403)") => {
                if self.line.kind == ForgeKind::Gitea { Err(refused) } else { self.app().await }
            }
            Err(refused) => Err(refused),
        }
    }

    async fn head(&self) -> Outcome<String> {
        let path = self.path(&format!("pulls/{}", self.number));
        let ask = Ask::get(&path, "read pull request", "`pull-requests: read`");
        let (pull, _) = self.line.json(&ask).await?;
        pull["head"]["sha"].as_str().map(str::to_owned).ok_or_else(|| self.line.not_json(&ask))
    }

    async fn comments(&self, next: Option<&str>) -> Outcome<CommentPage> {
        if self.line.kind == ForgeKind::Gitea && next.is_none() {
            // Of the comments of what is not there Gitea 1.24 says that it broke; of a pull request, that it is not there.
            self.head().await?;
        }
        let first = self.path(&format!("issues/{}/comments?per_page=100", self.number));
        let ask = Ask::get(next.unwrap_or(&first), "list comments", "`pull-requests: read`");
        let (page, headers) = self.line.json(&ask).await?;
        let comments = page.as_array().ok_or_else(|| self.line.not_json(&ask))?.iter().filter_map(comment).collect();
        Ok(CommentPage { comments, next: next_page(&headers) })
    }

    async fn create(&self, body: &str) -> Outcome<Comment> {
        let path = self.path(&format!("issues/{}/comments", self.number));
        let ask = Ask::send(Method::POST, &path, json!({ "body": body }), "create comment", PULLS);
        let (made, _) = self.line.json(&ask).await?;
        comment(&made).ok_or_else(|| self.line.not_json(&ask))
    }

    async fn edit(&self, id: u64, body: &str) -> Outcome<()> {
        let path = self.path(&format!("issues/comments/{id}"));
        let ask = Ask::send(Method::PATCH, &path, json!({ "body": body }), "edit comment", PULLS);
        self.line.call(&ask).await.map(drop)
    }

    async fn delete(&self, id: u64) -> Outcome<()> {
        self.line.delete(&self.path(&format!("issues/comments/{id}")), "delete comment", PULLS).await
    }

    async fn status(&self, commit: &str, status: &CommitStatus) -> Outcome<()> {
        let path = self.path(&format!("statuses/{}", part(commit)));
        let state = if status.conclusion == Conclusion::Failure { "failure" } else { "success" };
        let mut body =
            json!({ "state": state, "context": status.context, "description": cut(&status.description, 140) });
        if let Some(url) = &status.url {
            body["target_url"] = json!(url);
        }
        let mut ask = Ask::send(Method::POST, &path, body, "commit status", STATUSES);
        // The last one of a context counts.
        ask.again = true;
        self.line.call(&ask).await.map(drop)
    }

    async fn checks(&self, commit: &str, name: &str) -> Outcome<Vec<CheckRun>> {
        if self.line.kind == ForgeKind::Gitea {
            return Err(Failure::new(Class::Unsupported, "Gitea: check run", "", "Gitea has no check runs"));
        }
        let path = self.path(&format!(
            "commits/{}/check-runs?check_name={}&filter=latest&per_page=100",
            part(commit),
            part(name)
        ));
        let ask = Ask::get(&path, "list check runs", CHECKS);
        let (found, _) = self.line.json(&ask).await.map_err(no_checks)?;
        Ok(found["check_runs"].as_array().into_iter().flatten().filter_map(run).collect())
    }

    async fn annotations(&self, run: u64) -> Outcome<Vec<Annotation>> {
        let mut found = Vec::new();
        let mut path = self.path(&format!("check-runs/{run}/annotations?per_page=100"));
        for _ in 0..PAGES {
            let ask = Ask::get(&path, "list annotations", CHECKS);
            let (page, headers) = self.line.json(&ask).await.map_err(no_checks)?;
            for one in page.as_array().into_iter().flatten() {
                let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
                let level = match one["annotation_level"].as_str() {
                    Some("failure") => Level::Failure,
                    Some("warning") => Level::Warning,
                    _ => Level::Notice,
                };
                let line = one["start_line"].as_u64().and_then(|line| usize::try_from(line).ok()).unwrap_or_default();
                found.push(Annotation {
                    level,
                    path: text("path"),
                    line,
                    title: text("title"),
                    message: text("message"),
                });
            }
            match next_page(&headers) {
                Some(next) => path = next,
                None => break,
            }
        }
        Ok(found)
    }

    async fn create_check(&self, commit: &str, check: &Check) -> Outcome<CheckRun> {
        let path = self.path("check-runs");
        let body = Self::check_body(check, Some(commit));
        let ask = Ask::send(Method::POST, &path, body, "create check run", CHECKS);
        let (made, _) = self.line.json(&ask).await.map_err(no_checks)?;
        run(&made).ok_or_else(|| self.line.not_json(&ask))
    }

    async fn update_check(&self, run: u64, check: &Check) -> Outcome<()> {
        let path = self.path(&format!("check-runs/{run}"));
        let mut ask = Ask::send(Method::PATCH, &path, Self::check_body(check, None), "update check run", CHECKS);
        // Annotations are added by each.
        ask.again = check.annotations.is_empty();
        self.line.call(&ask).await.map(drop).map_err(no_checks)
    }
}
