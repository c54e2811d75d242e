//! GitLab: notes of a merge request, and the status of a commit. It has no check runs.
//!
//! Source: GitLab's REST reference (notes, merge requests, commits, users), version 4.

use super::{Ask, Line, cut, next_page, part};
use crate::world::{
    Annotation, Author, Check, CheckRun, Class, Comment, CommentPage, CommitStatus, Conclusion, Failure, Forge, Outcome,
};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value as Json, json};

const WRITE: &str = "the scope `api` and the role Reporter";
const STATUS: &str = "the scope `api` and the role Developer";

/// A merge request of GitLab.
pub(super) struct GitLab {
    line: Line,
    /// Everything before `/notes`.
    request: String,
    /// Everything before `/statuses`.
    project: String,
}

impl GitLab {
    pub(super) fn new(line: Line, project: &str, number: u64) -> Self {
        let project = format!("/projects/{}", part(project));
        Self { line, request: format!("{project}/merge_requests/{number}"), project }
    }

    fn none() -> Failure {
        Failure::new(Class::Unsupported, "GitLab: check run", "", "GitLab has no check runs")
    }
}

fn note(json: &Json) -> Option<Comment> {
    let author = json["author"]["username"].as_str();
    let author = author.map(|login| Author { login: login.to_owned(), id: json["author"]["id"].as_u64() });
    Some(Comment {
        id: json["id"].as_u64()?,
        author,
        body: json["body"].as_str().unwrap_or_default().to_owned(),
        url: None,
    })
}

#[async_trait]
impl Forge for GitLab {
    fn name(&self) -> &'static str {
        self.line.name()
    }

    async fn myself(&self) -> Outcome<Author> {
        let ask = Ask::get("/user", "whose token", "the scope `api`");
        let (user, _) = self.line.json(&ask).await?;
        let login = user["username"].as_str().ok_or_else(|| self.line.not_json(&ask))?;
        Ok(Author { login: login.to_owned(), id: user["id"].as_u64() })
    }

    async fn head(&self) -> Outcome<String> {
        let ask = Ask::get(&self.request, "read merge request", WRITE);
        let (request, _) = self.line.json(&ask).await?;
        request["sha"].as_str().map(str::to_owned).ok_or_else(|| self.line.not_json(&ask))
    }

    async fn comments(&self, next: Option<&str>) -> Outcome<CommentPage> {
        let first = format!("{}/notes?sort=asc&order_by=created_at&per_page=100", self.request);
        let ask = Ask::get(next.unwrap_or(&first), "list notes", WRITE);
        let (page, headers) = self.line.json(&ask).await?;
        let all = page.as_array().ok_or_else(|| self.line.not_json(&ask))?;
        // What GitLab itself notes of a merge request is nobody's comment.
        let comments = all.iter().filter(|n| n["system"] != json!(true)).filter_map(note).collect();
        Ok(CommentPage { comments, next: next_page(&headers) })
    }

    async fn create(&self, body: &str) -> Outcome<Comment> {
        let path = format!("{}/notes", self.request);
        let ask = Ask::send(Method::POST, &path, json!({ "body": body }), "create note", WRITE);
        let (made, _) = self.line.json(&ask).await?;
        note(&made).ok_or_else(|| self.line.not_json(&ask))
    }

    async fn edit(&self, id: u64, body: &str) -> Outcome<()> {
        let path = format!("{}/notes/{id}", self.request);
        let ask = Ask::send(Method::PUT, &path, json!({ "body": body }), "edit note", WRITE);
        self.line.call(&ask).await.map(drop)
    }

    async fn delete(&self, id: u64) -> Outcome<()> {
        self.line.delete(&format!("{}/notes/{id}", self.request), "delete note", WRITE).await
    }

    async fn status(&self, commit: &str, status: &CommitStatus) -> Outcome<()> {
        let path = format!("{}/statuses/{}", self.project, part(commit));
        let state = if status.conclusion == Conclusion::Failure { "failed" } else { "success" };
        let mut body = json!({ "state": state, "name": status.context, "description": cut(&status.description, 140) });
        if let Some(url) = &status.url {
            body["target_url"] = json!(url);
        }
        let mut ask = Ask::send(Method::POST, &path, body, "commit status", STATUS);
        ask.again = true;
        match self.line.call(&ask).await {
            // It says so already.
            Err(refused)
                if refused.message.contains("Cannot transition status")
                    && refused.message.contains(&format!("from :{state}")) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    async fn checks(&self, _: &str, _: &str) -> Outcome<Vec<CheckRun>> {
        Err(Self::none())
    }

    async fn annotations(&self, _: u64) -> Outcome<Vec<Annotation>> {
        Err(Self::none())
    }

    async fn create_check(&self, _: &str, _: &Check) -> Outcome<CheckRun> {
        Err(Self::none())
    }

    async fn update_check(&self, _: u64, _: &Check) -> Outcome<()> {
        Err(Self::none())
    }
}
