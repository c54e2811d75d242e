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
        let state = self.context.terraform.state(&self.root, self.context.time_left()).await?;
        let was = self.step.identity.and_then(|i| i["lineage"].as_str());
        match was.and_then(|was| live::lost(was, state.lineage.as_deref())) {
            Some(why) => Err(live::lost_failure(self.context, &self.root, why)),
            None => Ok(state),
        }
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
        RootEnd::Failed(mut failure) => {
            if step.action == ActionWord::Delete {
                failure.operation = format!("{} destroy", work.root.program);
            }
            Err(failure)
        }
        RootEnd::CutOff { amid, made, .. } => {
            let state = work.state().await?;
            Err(cut_off(&work.root, &work.unsure(&amid, &made, &state)))
        }
        RootEnd::Unknown => Err(cut_off(&work.root, "")),
    }
}

fn cut_off(root: &Root, unsure: &str) -> Failure {
    let what = format!("its program was killed{unsure}; the next plan shows what is left to do");
    Failure::new(Class::Failed, "terraform apply", &root.folder, what)
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
    /// What a person has to look for: what was being made, and what was made and never came into the state.
    fn unsure(&self, amid: &[String], made: &[String], state: &RootState) -> String {
        let import = |words: &str| self.context.terraform.by_hand(&self.root, words);
        unsure(amid, made, state, &import)
    }

    async fn untouched(&self) -> Outcome<bool> {
        Ok(as_it_was(&self.state().await?, self.step.observed.map(|o| &o.image)))
    }

    /// The state's lock, where somebody holds it: told with whose it is and what to do.
    async fn locked(&self, started: Option<jiff::Timestamp>) -> Outcome<Option<Recovered>> {
        let terraform = &self.context.terraform;
        let Some(lock) = terraform.lock(&self.root, self.context.time_left()).await? else { return Ok(None) };
        let id = if lock.id.is_empty() { "ID" } else { &lock.id };
        let command = terraform.by_hand(&self.root, &format!("force-unlock {id}"));
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
        let unsure = self.unsure(amid, made, &state);
        Ok(Recovered::Stuck {
            why: format!("its program was killed half-way{unsure}; the next plan shows what is left to do"),
            command: "terrace apply".to_owned(),
        })
    }
}

fn unsure(amid: &[String], made: &[String], state: &RootState, by_hand: &dyn Fn(&str) -> String) -> String {
    let known = |address: &str| state.resources.iter().any(|(a, _)| a == address);
    let lost: Vec<&str> = made.iter().map(String::as_str).filter(|made| !known(made)).collect();
    let mut parts = Vec::new();
    if !amid.is_empty() {
        parts.push(format!(", at work on {}", amid.join(", ")));
    }
    if !lost.is_empty() {
        parts.push(format!("; it had made {}, which the state does not know", lost.join(", ")));
    }
    // What was being made is told with what was done to it: `a.b (create)`.
    let making = amid.iter().filter_map(|a| a.strip_suffix(" (create)")).filter(|a| !known(a));
    let sought: Vec<&str> = making.chain(lost).collect();
    let address = match sought.as_slice() {
        [] => return parts.concat(),
        [one] if one.contains(['"', '[', ' ']) => format!("'{}'", one.replace('\'', "'\\''")),
        [one] => (*one).to_owned(),
        _ => "ADDRESS".to_owned(),
    };
    let command = by_hand(&format!("import {address} ID"));
    parts.push(format!("; look whether that is there, and where it is, bring it into the state: `{command}`"));
    parts.concat()
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
    use super::{near, unsure};
    use crate::world::RootState;

    #[test]
    fn what_may_be_there_is_told_with_the_command_that_brings_it_into_this_state() {
        let state = RootState { resources: vec![("t.kept".to_owned(), "t".to_owned())], ..RootState::default() };
        let by_hand = |words: &str| format!("TF_WORKSPACE=dev terraform -chdir=infra {words}");
        let told = |amid: &[&str], made: &[&str]| {
            let all = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
            unsure(&all(amid), &all(made), &state, &by_hand)
        };
        let one = told(&["t.a[\"x\"] (create)"], &["t.kept"]);
        assert!(one.ends_with("`TF_WORKSPACE=dev terraform -chdir=infra import 't.a[\"x\"]' ID`"), "{one}");
        let two = told(&["t.a (create)"], &["t.b"]);
        assert!(two.contains("made t.b, which") && two.ends_with("-chdir=infra import ADDRESS ID`"), "{two}");
        // What was being destroyed or changed is in the state already.
        assert_eq!(told(&["t.kept (update)"], &["t.kept"]), ", at work on t.kept (update)");
    }

    #[test]
    fn a_lock_is_the_programs_own_where_it_was_taken_just_after_it_started() {
        let started: jiff::Timestamp = "2026-11-21T15:28:50Z".parse().unwrap();
        assert!(near("2026-11-21 15:28:51.030523086 +0000 UTC", started));
        assert!(!near("2026-11-21 15:20:51.030523086 +0000 UTC", started));
        assert!(!near("2026-11-21 16:28:51 +0000 UTC", started));
        assert!(!near("", started));
    }
}
