//! A model's note on a saved plan: who is asked, what was said before, and what is told where nothing is said.
//!
//! Nothing in here has a part in what a plan is or whether it may be applied.
#![expect(clippy::disallowed_methods, reason = "keeps notes in the project's own folder")]

use crate::{
    base::{Digest, Secret, plural},
    cli::{
        context::Context,
        error::{Error, Result},
        project::Project,
        settings::{NoteSettings, Provider, is_here},
        style::one_line,
        views::{self, json, plan::Marked},
    },
    plan::Saved,
    review::{
        Book,
        note::{self, Answer, Note, Prompt},
    },
    world::{Advisor, AssumeRole, AwsConnection, Enquiry, World as _, live::ANTHROPIC},
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the key of Anthropic's API is had from: nowhere else.
const KEY: &str = "ANTHROPIC_API_KEY";
/// The version of the files in which notes are kept.
const FORMAT: u32 = 1;
/// A kept note that is longer than this is none.
const LONGEST: u64 = 1 << 20;
/// So many notes are kept.
const KEPT: usize = 100;

/// Whoever is asked, by terrace.toml.
pub(crate) struct Desk {
    settings: NoteSettings,
    advisor: Arc<dyn Advisor>,
    folder: PathBuf,
}

/// A plan as it is put before the model.
pub(crate) struct Question {
    /// What is sent of it.
    pub(crate) prompt: Prompt,
    enquiry: Enquiry,
    key: Digest,
}

/// A note that was made, and what it came to.
pub(crate) struct Written {
    /// The plan that it is about.
    pub(crate) plan: Digest,
    /// The provider's word.
    pub(crate) provider: &'static str,
    /// The model, as terrace.toml names it.
    pub(crate) model: String,
    /// What may be shown of it.
    pub(crate) note: Note,
    /// What the question and the answer came to in tokens, as the service counted.
    pub(crate) tokens: (u64, u64),
    /// It was made before.
    pub(crate) kept: bool,
    /// Elements of the plan that had no room in the question.
    pub(crate) left_out: Vec<String>,
}

/// What is kept of an answer.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    plan: Digest,
    answer: Answer,
    input_tokens: u64,
    output_tokens: u64,
}

impl Desk {
    /// Whoever terrace.toml names; nothing is asked yet.
    ///
    /// # Errors
    /// Nobody is named, or at an address that whoever runs this has not agreed to.
    pub(crate) fn open(project: &Project, context: &Context) -> Result<Self> {
        let settings = project.settings.note.clone().ok_or_else(|| {
            Error::new("note_off", "no model is asked for notes here")
                .hint("name one in a [note] table of terrace.toml; docs/note.md says what would be sent to it")
        })?;
        let live = context.live();
        let advisor = match settings.provider {
            Provider::Anthropic => {
                let key = context.surroundings.variable(KEY).map(|key| Secret::new(key.to_owned()));
                live.anthropic(settings.endpoint_url.as_deref().unwrap_or(ANTHROPIC), settings.model.clone(), key)
            }
            Provider::Bedrock => {
                let role = settings.role_arn.clone();
                let connection = AwsConnection {
                    region: settings.region.clone().unwrap_or_default(),
                    account_id: settings.account_id.clone().unwrap_or_default(),
                    profile: settings.profile.clone(),
                    assume_role: role.clone().map(|role_arn| AssumeRole { role_arn, ..AssumeRole::default() }),
                    ci_role_arn: role,
                    ..AwsConnection::default()
                };
                live.bedrock(&connection, settings.endpoint_url.clone(), settings.model.clone())
            }
        };
        Ok(Self { settings, advisor, folder: project.own_folder().join("note") })
    }

    /// A plan as it would be put before the model.
    pub(crate) fn question(&self, saved: &Saved, book: &Book) -> Question {
        let prompt = note::prompt(&saved.content, book, &Marked, self.settings.budget_tokens);
        let enquiry = note::enquiry(&prompt, self.settings.max_tokens);
        let key = canonical_key(&json!({
            "plan": saved.digest, "provider": self.settings.provider.word(), "model": self.settings.model, "endpoint": self.settings.endpoint_url, "version": note::VERSION,
            "prompt": Digest::of(prompt.text.as_bytes()), "max_tokens": self.settings.max_tokens,
        }));
        Question { prompt, enquiry, key }
    }

    /// Shows what would be sent, and sends nothing.
    pub(crate) fn rehearse(&self, saved: &Saved, book: &Book, context: &Context) {
        let question = self.question(saved, book);
        let sent = self.advisor.sent(&question.enquiry);
        if context.terminal.json {
            let fields = json!({
                "plan": saved.digest, "provider": self.settings.provider.word(), "model": self.settings.model, "method": "POST",
                "url": sent.url, "body": sent.body, "reckoned_tokens": question.prompt.tokens, "left_out": question.prompt.left_out,
            });
            context.terminal.json_line(&json::answer("note_request", fields));
            return;
        }
        let body = serde_json::to_string_pretty(&sent.body).unwrap_or_default();
        context.terminal.data(&views::note::request(&sent.url, &question.prompt, &body));
        let tokens = plural(question.prompt.tokens, "token");
        context
            .terminal
            .status(&format!("Nothing was sent. The question comes to {tokens} at most, as reckoned here."));
    }

    /// The note on a plan: one that was made before, else the model's answer.
    ///
    /// # Errors
    /// Whatever keeps the answer from coming, or an answer that is none.
    pub(crate) async fn note(&self, saved: &Saved, book: &Book, anew: bool, context: &Context) -> Result<Written> {
        let question = self.question(saved, book);
        if let Some(kept) = self.kept(saved, &question).filter(|_| !anew) {
            return Ok(kept);
        }
        self.agreed(context)?;
        let (model, tokens) = (one_line(&self.settings.model), question.prompt.tokens);
        context
            .terminal
            .status(&format!("Asking {model} ({}) for a note, {tokens} tokens at most", self.settings.provider.word()));
        let (clock, budget) = (context.live().clock(), self.settings.timeout);
        let advice = note::ask(&*self.advisor, &*clock, &question.enquiry, budget).await?;
        let answer = note::read(&advice.answer).map_err(|why| {
            Error::new("note_answer", format!("{model} did not answer in the form that was asked for: {why}"))
                .hint("another model may; nothing of the plan depends on it")
        })?;
        let kept = Kept {
            format: FORMAT,
            plan: saved.digest.clone(),
            answer,
            input_tokens: advice.input_tokens,
            output_tokens: advice.output_tokens,
        };
        if let Err(why) = self.keep(&question, &kept) {
            context.terminal.status(&format!("note: it could not be kept for the next time: {why}"));
        }
        Ok(self.written(saved, &question, &kept, false))
    }

    /// The note that was made before, for those who only show it.
    pub(crate) fn made_before(&self, saved: &Saved, book: &Book) -> Option<Written> {
        self.kept(saved, &self.question(saved, book))
    }

    /// What is kept is held against the plan again: whoever wrote the file can say no more than a model could.
    fn written(&self, saved: &Saved, question: &Question, answered: &Kept, kept: bool) -> Written {
        let left_out = question.prompt.left_out.iter().map(|(sort, count)| format!("{count} {sort}")).collect();
        Written {
            plan: saved.digest.clone(),
            provider: self.settings.provider.word(),
            model: self.settings.model.clone(),
            note: note::check(&answered.answer, &saved.content),
            tokens: (answered.input_tokens, answered.output_tokens),
            kept,
            left_out,
        }
    }

    fn file(&self, question: &Question) -> PathBuf {
        self.folder.join(format!("{}.json", question.key.hex()))
    }

    /// What cannot be read as a note is none.
    fn kept(&self, saved: &Saved, question: &Question) -> Option<Written> {
        let file = self.file(question);
        let metadata = fs::symlink_metadata(&file).ok()?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            return None;
        }
        let kept: Kept = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        (kept.format == FORMAT && kept.plan == saved.digest).then(|| self.written(saved, question, &kept, true))
    }

    fn keep(&self, question: &Question, kept: &Kept) -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // Only its owner may read it.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.persist(self.file(question)).map_err(|e| e.error)?;
        forget_old(&self.folder)
    }

    /// Refuses to send a plan, and with it a key, to somewhere that only terrace.toml names: whoever proposes a change to that file must not choose where they go.
    fn agreed(&self, context: &Context) -> Result<()> {
        let Some(endpoint) = &self.settings.endpoint_url else { return Ok(()) };
        let Ok(url) = reqwest::Url::parse(endpoint) else { return Ok(()) };
        let host = url.host_str().unwrap_or_default();
        let (own, variable) = match self.settings.provider {
            Provider::Anthropic => (host == "api.anthropic.com", "ANTHROPIC_BASE_URL"),
            Provider::Bedrock => (is_bedrock(host), "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        };
        let same = |said: &str| said.trim_end_matches('/') == endpoint.trim_end_matches('/');
        if own || is_here(&url) || context.surroundings.variable(variable).is_some_and(same) {
            return Ok(());
        }
        Err(Error::new(
            "note_endpoint",
            format!("terrace.toml has plans sent to {host}, and whoever runs this has not agreed to that"),
        )
        .because("a change to terrace.toml alone must not lead a plan or a key to somebody else".to_owned())
        .hint(format!("set {variable} to the same address")))
    }
}

/// Whether a host is Bedrock's own in some region. Anybody may have other names below these domains.
fn is_bedrock(host: &str) -> bool {
    let ends = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    let Some(rest) = ends.iter().find_map(|end| host.strip_suffix(end)) else { return false };
    let service = |name: &str| rest.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
    let region = service("bedrock-runtime").or_else(|| service("bedrock-runtime-fips"));
    region.is_some_and(|region| region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
}

/// The note beside a plan that was just made: shown, or told in a line why there is none. Never more than that.
pub(crate) async fn annotate(saved: &Saved, book: &Book, project: &Project, context: &Context) {
    let none = |why: &str| {
        if context.terminal.json {
            context.terminal.json_line(&json::answer("note", json!({ "plan": saved.digest, "none": why })));
        } else {
            context.terminal.complain(&one_line(&format!("note: none: {why}")));
        }
    };
    if !context.uses_credentials {
        return none("nothing is sent of what comes from a fork");
    }
    if !saved.content.has_changes() {
        return none("nothing changes");
    }
    let desk = match Desk::open(project, context) {
        Ok(desk) => desk,
        Err(error) => return none(&error.summary()),
    };
    tokio::select! {
        written = desk.note(saved, book, false, context) => match written {
            Ok(written) => {
                if !context.terminal.json {
                    // Apart from the plan, which it is no part of.
                    context.terminal.data("\n");
                }
                show(&written, context);
            }
            Err(error) => none(&error.summary()),
        },
        _ = tokio::signal::ctrl_c() => none("interrupted"),
    }
}

/// Shows a note: on screen, or as JSON.
pub(crate) fn show(written: &Written, context: &Context) {
    if context.terminal.json {
        context.terminal.json_line(&views::note::json(written));
    } else {
        context.terminal.data(&views::note::render(written, context.terminal.width));
    }
}

fn canonical_key(value: &Json) -> Digest {
    Digest::of(crate::base::canonical_text(value).as_bytes())
}

/// Takes away the oldest of more notes than are kept.
fn forget_old(folder: &Path) -> std::io::Result<()> {
    let mut all: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    all.sort();
    for (_, path) in all.iter().take(all.len().saturating_sub(KEPT)) {
        fs::remove_file(path)?;
    }
    Ok(())
}
