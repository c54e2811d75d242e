//! Notifications: what happened goes as a CloudEvent to whom `notify` blocks name.
//!
//! They are sent after the fact by the command that saw it, a few times where nobody answers, and never fail a run. A process that
//! is killed sends nothing; `resume` tells how its run ended. What is sent again has the same id, so a receiver may get an
//! event twice and can know it.
//!
//! Sources: CloudEvents 1.0 (structured JSON over HTTP), and Standard Webhooks for the signature.
#![expect(clippy::disallowed_methods, reason = "sends requests, and waits before it tries again")]

use crate::{
    base::{Diagnostic, RunEnd, Secret, Value},
    cli::{context::Context, error::Result, stage::Stage, surroundings::Surroundings},
    kinds,
    lang::Evaluator,
};
use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use std::{collections::BTreeSet, time::Duration};

/// How often an event is sent before it is given up.
const TRIES: u32 = 4;
/// The pause before the second try, doubled before each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all of it may take, whatever becomes of it.
const LIMIT: Duration = Duration::from_secs(20);
/// The fewest bytes of a secret.
const SHORTEST: usize = 16;

/// What may happen, by the words of `events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A plan was made that changes something.
    Planned,
    /// A plan was stored, and people have to agree to it.
    WaitingForApproval,
    /// A run did all that it was to do.
    Applied,
    /// A run did not.
    Failed,
    /// An environment went back.
    RolledBack,
    /// Something changed behind Terrace's back.
    Drifted,
}

impl What {
    const ALL: [Self; 6] =
        [Self::Planned, Self::WaitingForApproval, Self::Applied, Self::Failed, Self::RolledBack, Self::Drifted];

    /// The word in `events`, and the end of the event's type.
    const fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::WaitingForApproval => "waiting_for_approval",
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Drifted => "drifted",
        }
    }
}

/// Something that happened.
pub(crate) struct Happening {
    /// What.
    pub(crate) what: What,
    /// What it is about: a run, or a plan's digest. With the word it makes the id, so that the same thing has the same.
    pub(crate) subject: String,
    /// What else is told of it.
    pub(crate) data: Json,
}

impl Happening {
    /// What the end of a run is; nothing where it goes on later.
    pub(crate) fn of_run(report: &crate::apply::Report, rollback: bool) -> Option<Self> {
        let what = match report.end {
            RunEnd::Succeeded if rollback => What::RolledBack,
            RunEnd::Succeeded => What::Applied,
            RunEnd::Failed | RunEnd::Stuck | RunEnd::BeyondPlan => What::Failed,
            RunEnd::RolledBack => What::RolledBack,
            RunEnd::Interrupted => return None,
        };
        let failures: Vec<Json> = report
            .failures
            .iter()
            .chain(&report.beyond)
            .map(|(address, why)| json!({ "address": address, "why": why }))
            .collect();
        let data = json!({ "run": report.run, "end": report.end, "counts": report.counts, "failures": failures });
        Some(Self { what, subject: report.run.to_string(), data })
    }
}

/// One `notify` block.
struct Hook {
    name: String,
    url: reqwest::Url,
    events: BTreeSet<What>,
    secret: Secret<Vec<u8>>,
}

/// Looks at all `notify` blocks before anything is done, so that a slip in one is not found when it would matter.
///
/// # Errors
/// One that is wrong.
pub(crate) fn check(stage: &Stage) -> Result<()> {
    hooks(stage).map(drop)
}

fn hooks(stage: &Stage) -> Result<Vec<Hook>> {
    let configuration = &stage.subject.configuration;
    let names = configuration.fixtures.keys().filter(|(kind, _)| &**kind == "notify").map(|(_, name)| name.clone());
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let sources: std::sync::Arc<dyn crate::lang::Sources> = stage.loaded.sources.clone();
    let (mut evaluator, problems) =
        Evaluator::new(configuration.clone(), stage.subject.given.clone(), sources, kinds::schema());
    if problems.has_errors() {
        return Err(stage.explained(problems));
    }
    let mut found = Vec::new();
    for name in names {
        let value = evaluator.fixture("notify", &name).map_err(|problems| stage.explained(problems))?;
        let span = configuration.fixtures.get(&("notify".into(), name.clone())).map(|f| f.span.clone());
        found.push(hook(&name, &value).map_err(|(what, hint)| {
            let diagnostic = Diagnostic::error("notify_wrong", format!("notify \"{name}\": {what}")).hint(hint);
            stage.explained(match span {
                Some(span) => diagnostic.at(&span, "declared here"),
                None => diagnostic,
            })
        })?);
    }
    Ok(found)
}

type Wrong = (String, &'static str);

fn hook(name: &str, value: &Value) -> std::result::Result<Hook, Wrong> {
    let text = |attribute: &str| value.get(attribute).and_then(|v| v.as_str().map(str::to_owned));
    let address = text("url").ok_or_else(|| {
        ("its `url` is not known before the plan is applied".to_owned(), "write it, or give it by a variable")
    })?;
    let url = reqwest::Url::parse(&address).ok().filter(|url| url.host_str().is_some());
    let url = url.ok_or_else(|| ("its `url` is none".to_owned(), "write https://HOST/PATH"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(("its `url` is not encrypted".to_owned(), "write https://; http:// goes only to this machine"));
    }
    let secret = value.get("secret");
    if !secret.is_some_and(Value::is_sensitive) {
        return Err((
            "its `secret` stands in clear".to_owned(),
            "give it by a variable with sensitive = true, like secret = var.hook",
        ));
    }
    let secret = text("secret").ok_or_else(|| {
        (
            "its `secret` is not known before the plan is applied".to_owned(),
            "give it by a variable with sensitive = true",
        )
    })?;
    let bytes = match secret.strip_prefix("whsec_") {
        Some(coded) => base64::engine::general_purpose::STANDARD
            .decode(coded)
            .map_err(|_| ("its `secret` begins with whsec_ and is no base64".to_owned(), "give it as it was made"))?,
        None => secret.into_bytes(),
    };
    if bytes.len() < SHORTEST {
        return Err((format!("its `secret` has fewer than {SHORTEST} bytes"), "openssl rand -base64 32 makes one"));
    }
    let mut events = BTreeSet::new();
    match value.get("events").filter(|v| !v.is_null()) {
        None => events.extend(What::ALL),
        Some(list) => {
            for event in list.as_seq().into_iter().flat_map(|seq| seq.iter()) {
                let word = event.as_str().unwrap_or_default();
                let what = What::ALL.into_iter().find(|what| what.word() == word);
                events.insert(what.ok_or_else(|| {
                    (
                        format!("there is no event `{word}`"),
                        "events are planned, waiting_for_approval, applied, failed, rolled_back and drifted",
                    )
                })?);
            }
        }
    }
    Ok(Hook { name: name.to_owned(), url, events, secret: Secret::new(bytes) })
}

/// Tells whoever wants to know. What cannot be delivered is said once and changes nothing else.
pub(crate) async fn tell(stage: &Stage, context: &Context, happening: &Happening) {
    // What is wrong with a block was said before anything was done.
    let hooks = hooks(stage).unwrap_or_default();
    let wanted: Vec<&Hook> = hooks.iter().filter(|hook| hook.events.contains(&happening.what)).collect();
    if wanted.is_empty() {
        return;
    }
    let event = event(stage, context, happening);
    let Ok(client) = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()
    else {
        return;
    };
    let sent = wanted.iter().map(|hook| async {
        let sent = tokio::time::timeout(LIMIT, deliver(&client, hook, &event)).await;
        let why = match sent {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => format!("nothing came of it within {}s", LIMIT.as_secs()),
        };
        let host = hook.url.host_str().unwrap_or_default();
        context.terminal.status(&format!(
            "warning: notify \"{}\" could not tell {host} that it {}: {why}",
            hook.name,
            happening.what.word().replace('_', " ")
        ));
    });
    futures::future::join_all(sent).await;
}

fn event(stage: &Stage, context: &Context, happening: &Happening) -> Event {
    let subject = &stage.subject;
    let env = &subject.given.env.name;
    let plan = &stage.loaded.configuration.label;
    let mut data = json!({
        "project": subject.project,
        "plan": plan,
        "environment": env,
        "world": subject.world.name(),
        "account": subject.aws.account_id,
        "region": subject.aws.region,
        "release": subject.release,
        "by": context.surroundings.person(),
        "ci": context.surroundings.ci(),
    });
    if let (Some(data), Some(more)) = (data.as_object_mut(), happening.data.as_object()) {
        data.extend(more.clone());
    }
    let id = format!("{}-{}-{env}-{}", plan, happening.subject, happening.what.word());
    let id: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    let body = json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/terrace/{}/{plan}/{env}", subject.project),
        "type": format!("dev.terrace.{}", happening.what.word()),
        "subject": happening.subject,
        "time": Surroundings::now().to_string(),
        "datacontenttype": "application/json",
        "data": data,
    });
    Event { id, body: body.to_string() }
}

/// What is sent.
struct Event {
    id: String,
    body: String,
}

async fn deliver(client: &reqwest::Client, hook: &Hook, event: &Event) -> std::result::Result<(), String> {
    let mut tried = 0;
    loop {
        tried += 1;
        // A receiver refuses what was signed long ago, so each try is signed anew.
        let at = Surroundings::now().as_second();
        let request = client
            .post(hook.url.clone())
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("user-agent", concat!("terrace/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature(&hook.secret, &event.id, at, &event.body))
            .body(event.body.clone());
        let why = match Box::pin(request.send()).await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let passing = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
                if !passing {
                    return Err(format!("it answers {status}"));
                }
                format!("it answers {status}")
            }
            Err(error) if error.is_timeout() => "no answer in time".to_owned(),
            Err(_) => "it cannot be reached".to_owned(),
        };
        if tried == TRIES {
            return Err(format!("{why}, {TRIES} times"));
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(tried - 1)).await;
    }
}

/// The signature as Standard Webhooks has it: HMAC-SHA256 over id, time and body.
fn signature(secret: &Secret<Vec<u8>>, id: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).expect("invariant: HMAC takes keys of any length");
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        // The example of its specification's reference implementations.
        let secret = base64::engine::general_purpose::STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signature(&Secret::new(secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
