//! Carrying out the root's saved plan, once, and finding out what became of that.

use super::{live, preview};
use crate::{
    base::{ActionWord, Hidden, Value},
    kinds::{Applied, Context, Recovered, Step},
    world::{Class, Failure, Kept, Outcome, Root, RootAim, RootEnd, RootState},
};
use serde_json::{Value as Json, json};

/// A lock that was taken within this time of the start of a program that was killed is that program's.
const ITS_OWN: i64 = 120;

/// Everything that a step is about.
struct Work<'s> {
    context: &'s Context,
    step: &'s Step<'s>,
    root: Root,
    hidden: Hidden,
}

impl<'s> Work<'s> {
    fn new(context: &'s Context, step: &'s Step<'s>) -> Outcome<Self> {
        let none = Json::Null;
        let desired = step.desired.filter(|_| step.action != ActionWord::Delete);
        let root = live::root(context, step.identity.unwrap_or(&none), desired)?;
        let hidden = Hidden::of(step.desired.map(|d| &d.inputs));
        Ok(Self { context, step, root, hidden })
    }

    fn aim(&self) -> RootAim {
        if self.step.action == ActionWord::Delete { RootAim::Destroyed } else { RootAim::Declared }
    }

    async fn state(&self) -> Outcome<RootState> {
        self.context.terraform.state(&self.root, self.context.time_left()).await
    }

    async fn discard(&self, name: &str) {
        // What cannot be taken away now is taken away with the next plan of the root, or by `doctor`.
        let _ = self.context.terraform.discard(&self.root.key, name).await;
    }

    /// What it led to, by what the state holds now.
    async fn applied(&self, note: String) -> Outcome<Applied> {
        if self.step.action == ActionWord::Delete {
            return Ok(Applied { identity: Json::Null, exports: Value::NULL, note });
        }
        let state = self.state().await?;
        let declared = self.step.desired.and_then(|d| d.identity.clone());
        let mut identity = declared.or_else(|| self.step.identity.cloned()).unwrap_or_else(|| json!({}));
        live::note_state(&mut identity, &state);
        Ok(Applied { identity, exports: live::exports(&state, &self.hidden), note })
    }

    /// The saved plan to carry out: the one that was approved, or one made now. `None` where nothing is to be done.
    async fn planned(&self) -> Outcome<Option<String>> {
        let attachment = self.step.attachment.filter(|a| a["plan"].is_string());
        if let Some(attachment) = attachment {
            let name = attachment["name"].as_str().unwrap_or_default();
            let kept = self.context.terraform.kept(&self.root.key, name, &preview::digest_of(attachment)).await?;
            return match kept {
                Kept::Whole => Ok(Some(name.to_owned())),
                other => {
                    let how = if other == Kept::Missing { "is gone" } else { "was altered" };
                    let what = format!("the saved plan that was approved {how}");
                    Err(Failure::new(Class::Conflict, "terraform apply", &self.root.folder, what).hint("plan again"))
                }
            };
        }
        let limit = self.context.time_left();
        let plan = self.context.terraform.plan(&self.root, self.aim(), self.step.token, limit).await?;
        if plan.changes {
            return Ok(Some(self.step.token.to_owned()));
        }
        self.discard(self.step.token).await;
        Ok(None)
    }
}

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let work = Work::new(context, step)?;
    let Some(name) = work.planned().await? else { return work.applied("nothing to do".to_owned()).await };
    let say = |line: &str| context.say(&work.hidden.out_of(line));
    let limit = context.time_left();
    // Asked to end a little before its time is over, it has time to write its state.
    let limit = limit.saturating_sub((limit / 4).min(std::time::Duration::from_secs(60)));
    let ended = context.terraform.apply(&work.root, &name, step.token, &say, limit).await?;
    work.discard(&name).await;
    match ended {
        RootEnd::Done { note } => work.applied(note).await,
        RootEnd::Failed(failure) => Err(failure),
        RootEnd::CutOff { amid, made, .. } => {
            let state = work.state().await?;
            Err(cut_off(&work.root, &unsure(&amid, &made, &state, &work.root)))
        }
        RootEnd::Unknown => Err(cut_off(&work.root, "")),
    }
}

fn cut_off(root: &Root, unsure: &str) -> Failure {
    let what = format!("its program was killed{unsure}; the next plan shows what is left to do");
    Failure::new(Class::Failed, "terraform apply", &root.folder, what)
}

/// What a person has to look for: what was being made, and what was made and never came into the state.
fn unsure(amid: &[String], made: &[String], state: &RootState, root: &Root) -> String {
    let lost: Vec<&str> =
        made.iter().filter(|m| !state.resources.iter().any(|(a, _)| a == *m)).map(String::as_str).collect();
    let mut parts = Vec::new();
    if !amid.is_empty() {
        parts.push(format!(", at work on {}", amid.join(", ")));
    }
    if !lost.is_empty() {
        parts.push(format!("; it had made {}, which the state does not know", lost.join(", ")));
    }
    if !parts.is_empty() {
        parts.push(format!("; look whether that is there, and `{} import` it where it is", root.program));
    }
    parts.concat()
}

/// By the log of the program, which goes on without us; where that is cut off too, by the state and its lock.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let work = Work::new(context, step)?;
    let say = |line: &str| context.say(&work.hidden.out_of(line));
    match context.terraform.ended(&work.root, step.token, &say, context.time_left()).await? {
        RootEnd::Done { note } => {
            if let Some(name) = step.attachment.and_then(|a| a["name"].as_str()) {
                work.discard(name).await;
            }
            Ok(Recovered::Done(work.applied(note).await?))
        }
        RootEnd::Failed(failure) if failure.class == Class::Conflict => Ok(Recovered::NotDone),
        RootEnd::Failed(failure) => Ok(Recovered::Failed(failure)),
        RootEnd::CutOff { begun, amid, made, started } => {
            if let Some(stuck) = work.locked(Some(started)).await? {
                return Ok(stuck);
            }
            if begun {
                return work.half_done(&amid, &made).await;
            }
            Ok(Recovered::NotDone)
        }
        // The program was not started before the end, or on another machine.
        RootEnd::Unknown => {
            if let Some(stuck) = work.locked(None).await? {
                return Ok(stuck);
            }
            if work.untouched().await? { Ok(Recovered::NotDone) } else { work.half_done(&[], &[]).await }
        }
    }
}

impl Work<'_> {
    async fn untouched(&self) -> Outcome<bool> {
        Ok(as_it_was(&self.state().await?, self.step.observed.map(|o| &o.image)))
    }

    /// The state's lock, where somebody holds it: told with whose it is and what to do.
    async fn locked(&self, started: Option<jiff::Timestamp>) -> Outcome<Option<Recovered>> {
        let terraform = &self.context.terraform;
        let Some(lock) = terraform.lock(&self.root, self.context.time_left()).await? else { return Ok(None) };
        let command = terraform.unlock_command(&self.root, if lock.id.is_empty() { "ID" } else { &lock.id });
        let ours = started.is_some_and(|started| lock.operation.contains("Apply") && near(&lock.created, started));
        let who = if lock.who.is_empty() { "somebody" } else { &lock.who };
        let held = format!("the state is locked by {who} since {} (lock ID {})", lock.created, lock.id);
        let why = if ours {
            format!("its program was killed and left its lock behind: {held}; break it, then plan again")
        } else {
            format!("{held}, which is not the program that this run started; see how that ends, then plan again")
        };
        Ok(Some(Recovered::Stuck { why, command }))
    }

    /// It did a part. What is left is what a plan shows that a person sees again: a resource that was being made when its
    /// program was killed may be there without the state knowing of it.
    async fn half_done(&self, amid: &[String], made: &[String]) -> Outcome<Recovered> {
        let state = self.state().await?;
        if self.step.action == ActionWord::Delete && state.resources.is_empty() {
            return Ok(Recovered::Done(self.applied("found to be done".to_owned()).await?));
        }
        let unsure = unsure(amid, made, &state, &self.root);
        Ok(Recovered::Stuck {
            why: format!("its program was killed half-way{unsure}; the next plan shows what is left to do"),
            command: "terrace apply".to_owned(),
        })
    }
}

/// Whether a root's state is still as it was before a step.
pub(super) async fn untouched(context: &Context, identity: &Json, image: Option<&Value>) -> Outcome<bool> {
    let root = live::root(context, identity, None)?;
    Ok(as_it_was(&context.terraform.state(&root, context.time_left()).await?, image))
}

fn as_it_was(state: &RootState, image: Option<&Value>) -> bool {
    let was = |name: &str| image.and_then(|i| i.get(name)).and_then(Value::as_str).map(str::to_owned);
    match image {
        Some(_) => was("lineage") == state.lineage && was("serial") == Some(state.serial.to_string()),
        None => state.resources.is_empty(),
    }
}

/// Whether a moment, as a backend writes it (`2026-11-21 15:28:51.03 +0000 UTC`), is just after another.
fn near(created: &str, started: jiff::Timestamp) -> bool {
    let mut words = created.split_whitespace();
    let (Some(day), Some(time)) = (words.next(), words.next()) else { return false };
    let Ok(moment) = format!("{day}T{time}Z").parse::<jiff::Timestamp>() else { return false };
    (-2..=ITS_OWN).contains(&(moment.as_second() - started.as_second()))
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_lock_is_the_programs_own_where_it_was_taken_just_after_it_started() {
        let started: jiff::Timestamp = "2026-11-21T15:28:50Z".parse().unwrap();
        assert!(near("2026-11-21 15:28:51.030523086 +0000 UTC", started));
        assert!(!near("2026-11-21 15:20:51.030523086 +0000 UTC", started));
        assert!(!near("2026-11-21 16:28:51 +0000 UTC", started));
        assert!(!near("", started));
    }
}
