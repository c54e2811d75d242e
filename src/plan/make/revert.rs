//! Putting back what drifted, and nothing else: of stacks by what their kind plans for it, of everything else by an update
//! that holds no other change.

use crate::plan::make::{Maker, Seen, Work, blank, remembered_connections};
use crate::{
    base::{ActionWord, Address, Diagnostic},
    graph::Id,
    kinds::{Cause, ChildChange, FieldChange, Kind, Observed, Preview, Undo, kind},
    lang::{Declaration, suggest},
    plan::{
        Left, Planned, Selection, connect,
        look::{self, Look, look_at_revert},
        selection,
        subject::world_problem,
    },
    state::Resource,
    world::Outcome,
};
use futures::future::BoxFuture;

/// What was found of one thing.
pub(super) struct Found {
    observed: Option<Observed>,
    drift: Vec<ChildChange>,
    preview: Option<Preview>,
    connections: connect::Connections,
}

impl<'s> Maker<'s> {
    /// Whether the drift of an address is to be put back: it is named, or nothing is and nobody decided to leave it alone.
    pub(super) fn reverts(&self, address: &Address) -> bool {
        let named = self.request.revert.iter().any(|selection| selection.is_for(address));
        let open = self.request.revert.is_empty() && !self.state.ignored.contains_key(address);
        self.state.resources.contains_key(address) && (named || open)
    }

    /// Says of what `--revert` names and nobody remembers that it is not there.
    pub(super) fn find_reverts(&mut self) {
        for selection in &self.request.revert {
            let address = &selection.address;
            let known = self.state.resources.keys();
            if !known.clone().any(|a| selection.is_for(a)) {
                let near = suggest::nearest(address.as_str(), known.map(Address::as_str));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.problems.push(
                    Diagnostic::error("not_in_state", format!("nothing is remembered under {address}"))
                        .hint(hint.unwrap_or_else(|| "terrace state list shows what there is".to_owned())),
                );
            } else if selection.inside.is_some() && !kind(address.kind()).is_some_and(Kind::drifts_by_field) {
                self.problems.push(
                    Diagnostic::error("revert_whole", format!("{selection}: no single field of this is put back"))
                        .because("it is put back as a whole, or not at all")
                        .hint(format!("terrace drift --revert '{address}'")),
                );
            }
        }
    }

    /// What is left of an update where `--revert` names fields of it; the update itself where it names it as a whole.
    pub(super) fn put_back(&mut self, planned: Planned) -> Option<Planned> {
        let meant: Vec<&Selection> = self.request.revert.iter().filter(|s| s.is_for(&planned.address)).collect();
        if planned.action == ActionWord::Read || meant.is_empty() || meant.iter().any(|s| s.inside.is_none()) {
            return self.only_reverts(&planned).then_some(planned);
        }
        let whole = selection::narrowed(&planned, &|_, _| true);
        let there = whole.map(|w| selection::all(&planned.address, &[], &w.children)).unwrap_or_default();
        for one in &meant {
            let is_it = |part: &str, path: Option<&str>| match path {
                Some(path) => one.has_field(Some(part), path),
                None => one.has_part(part),
            };
            if selection::narrowed(&planned, &is_it).is_some() {
                continue;
            }
            let left = self.state.ignored_fields.get(&planned.address);
            let is_left = left.is_some_and(|all| all.iter().any(|f| f.is_of(|part, path| one.has_field(part, path))));
            let problem = Diagnostic::error("no_drift", format!("{one}: nothing of this drifted"));
            self.problems.push(if is_left {
                problem
                    .because("somebody decided to leave it alone, so nobody looks at it")
                    .hint(format!("terrace drift --heed '{one}' takes that back"))
            } else {
                let hint = selection::hint(one, &there);
                problem.hint(hint.unwrap_or_else(|| "terrace drift shows what drifted".to_owned()))
            });
        }
        selection::narrowed(&planned, &|part, path| {
            meant.iter().any(|s| match path {
                Some(path) => s.has_field(Some(part), path),
                None => s.has_part(part),
            })
        })
    }

    /// Looks for drift inside a thing and at what it takes to put that back; `None` for what an ordinary update puts back.
    pub(super) fn look_at_revert(&mut self, id: Id, address: &Address) -> Option<BoxFuture<'s, Seen>> {
        let kind = kind(address.kind()).filter(|k| k.drifts_inside())?;
        let resource = self.state.resources.get(address)?.clone();
        self.stand_in(address);
        let accepted = self.state.accepted.get(address).map(|a| a.what.clone()).unwrap_or_default();
        let named = !self.request.revert.is_empty();
        let (subject, slots, timeout) = (self.subject, self.slots.clone(), self.request.read_timeout);
        let address = address.clone();
        Some(Box::pin(async move {
            let _slot = slots.acquire().await;
            let work = async {
                let connections = remembered_connections(subject, &resource);
                let context = connect::context(subject, &address, &connections, timeout, look::quiet())?;
                find(subject, &context, kind, connections, &resource, |drift| {
                    named || accepted.is_empty() || any_unaccepted(subject, drift, &accepted)
                })
                .await
            };
            let found = Box::new(work.await);
            Seen { what: Work::Revert { id, address, found }, look: Ok(Look::default()) }
        }))
    }

    pub(super) fn seen_revert(&mut self, address: &Address, found: Outcome<Found>) {
        let found = match found {
            Ok(found) => found,
            Err(failure) => return self.problems.push(world_problem(address, &failure)),
        };
        let (Some(observed), Some(preview)) = (found.observed, found.preview) else { return };
        let declaration = Declaration::from(address);
        let phase = self.subject.graph.phase.get(&declaration).cloned().unwrap_or_default();
        let mut planned = blank(address, phase, ActionWord::Update);
        planned.children = told(found.drift, preview.children);
        planned.facts = preview.facts;
        planned.identity = observed.identity;
        planned.fingerprint = Some(observed.fingerprint);
        planned.condition = observed.condition;
        planned.moved_from = self.moves.from(address).cloned();
        planned.undo = Undo::None("what somebody changed by hand is not brought back".to_owned());
        if let Some(resource) = self.subject.configuration.resource(&declaration) {
            planned.verify = resource.verify.iter().map(|v| v.name.clone()).collect();
        }
        if let Some(attachment) = preview.attachment {
            let left = Left { connections: found.connections, attachment };
            self.attachment.previews.insert(address.clone(), left);
        }
        self.push(planned);
    }

    /// Whether an ordinary update belongs into a plan that only puts back drift. One that does more is not made by it.
    pub(super) fn only_reverts(&mut self, planned: &Planned) -> bool {
        if planned.action == ActionWord::Read {
            return true;
        }
        let drifted = |f: &FieldChange| f.cause != Cause::Declared;
        let parts = || planned.children.iter().flat_map(|c| &c.fields);
        let gone = planned.action == ActionWord::Create;
        let any = gone || planned.fields.iter().chain(parts()).any(drifted) || planned.children.iter().any(made_again);
        if !any || !matches!(planned.action, ActionWord::Create | ActionWord::Update) {
            return false;
        }
        // What the code of a root asks for shows in its parts alone.
        let root = planned.address.kind() == "terraform" && parts().any(|f| f.cause == Cause::Declared);
        let declared = !gone && (root || planned.fields.iter().any(|f| f.cause == Cause::Declared));
        if declared {
            let address = &planned.address;
            let problem = |summary| {
                Diagnostic::warning("revert_with_changes", summary)
                    .because("putting back its drift would apply what is newly declared with it")
                    .hint(format!("terrace apply --target '{address}' does both; terrace plan shows it"))
            };
            let summary = format!("{address} is left out: its declaration changed as well");
            self.problems.push(problem(summary));
        }
        !declared
    }
}

/// A part that somebody deleted, and that an update makes again.
fn made_again(child: &ChildChange) -> bool {
    child.action == ActionWord::Create
}

fn any_unaccepted(
    subject: &crate::plan::Subject,
    drift: &[ChildChange],
    accepted: &std::collections::BTreeSet<std::sync::Arc<str>>,
) -> bool {
    let open = |part: &str, field| !accepted.contains(&super::drift::accepted_part(&subject.seal, part, field));
    drift.iter().any(|child| match child.action {
        ActionWord::Delete => open(&child.name, None),
        _ => child.fields.iter().any(|f| open(&child.name, Some(f))),
    })
}

async fn find(
    subject: &crate::plan::Subject,
    context: &crate::kinds::Context,
    kind: &dyn Kind,
    connections: connect::Connections,
    resource: &Resource,
    wanted: impl Fn(&[ChildChange]) -> bool,
) -> Outcome<Found> {
    let observed = context.patiently(|| kind.read(context, &resource.identity, None)).await?;
    let Some(live) = &observed else {
        return Ok(Found { observed, drift: Vec::new(), preview: None, connections });
    };
    let drift = kind.drift(context, &live.identity).await?;
    let preview = if drift.is_empty() || !wanted(&drift) {
        None
    } else {
        Some(look_at_revert(subject, context, kind, &connections, &live.identity).await?)
    };
    Ok(Found { observed, drift, preview, connections })
}

/// What drifted, the way it will be put back, with what the look ahead says of it.
fn told(drift: Vec<ChildChange>, mut ahead: Vec<ChildChange>) -> Vec<ChildChange> {
    let mut out = Vec::new();
    for child in drift {
        let at = ahead.iter().position(|c| c.name == child.name);
        let ahead = at.map(|at| ahead.remove(at));
        let made = child.action == ActionWord::Delete;
        let fields = child.fields.into_iter().map(|field| FieldChange {
            before: field.after.clone(),
            after: field.before.clone(),
            cause: Cause::Drift,
            ..field
        });
        out.push(ChildChange {
            action: match &ahead {
                Some(ahead) => ahead.action,
                None if made => ActionWord::Create,
                None => ActionWord::Update,
            },
            maybe_replace: ahead.as_ref().is_some_and(|a| a.maybe_replace),
            policy: ahead.and_then(|a| a.policy),
            fields: fields.collect(),
            ..child
        });
    }
    out.extend(ahead);
    out
}
