//! What the server would make of the objects: its own dry run, compared with what is live. Those are left out that it was given
//! before as they are declared now, and that nobody changed since: of a thousand objects only those are tried that may change.

use crate::{
    base::{ActionWord, Diagnostic, Hidden, Path},
    kinds::{
        ChildChange, Context, Desired, Footprint, Observed, Owner, Preview, WrittenAt,
        manifest::{
            desired::{known_objects, references},
            live::{Seen, Types, objects, owner},
            operation::{is_same, marked},
            order::defined,
            place, scaled,
        },
        objects::{self as parts, ThreeWays, three_ways, type_of},
    },
    world::{ApplyOptions, Class, Failure, ObjectRef, Outcome},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How many objects are tried at once.
pub(super) const AT_ONCE: usize = 48;
/// For how long a dry run that fails in passing is tried again while a plan is made.
const TRYING: Duration = Duration::from_secs(10);
/// How many wrong objects are told of.
const TOLD: usize = 20;

/// One object's part of the change, and what the plan must know of it.
enum Tried {
    /// It stays as it is.
    Same,
    /// It changes.
    Changes(ChildChange),
    /// Its type, or its namespace, is not there yet.
    Needs(ChildChange, String, WrittenAt),
    /// The server refuses it.
    Refused(Path, Diagnostic),
}

pub(super) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
) -> Outcome<Option<Preview>> {
    let wanted = known_objects(&desired.inputs);
    let declared: BTreeSet<ObjectRef> = wanted.iter().map(|(_, reference, _)| reference.clone()).collect();
    let former: Vec<ObjectRef> = observed.map(|o| references(&o.identity)).unwrap_or_default();
    let all: BTreeSet<ObjectRef> = declared.iter().chain(former.iter()).cloned().collect();
    let (types, there) = if let Some(seen) = context.seen.take::<Seen>().filter(|seen| all.is_subset(&seen.asked)) {
        (seen.types, seen.there)
    } else {
        let types = Types::of(context, all.iter()).await?;
        let asked: Vec<ObjectRef> = all.iter().cloned().collect();
        let there = objects(context, &types, &asked).await?;
        (types, there)
    };
    let hidden = context.former.hidden(Some(&desired.inputs), observed.map(|o| &o.inputs));
    let force = desired.inputs.get("force_conflicts").and_then(crate::base::Value::as_bool).unwrap_or(false);
    let own_types = wanted.iter().flat_map(|(_, _, object)| defined(object));
    let mut brings: BTreeSet<String> = own_types.map(|(version, kind)| format!("{version} {kind}")).collect();
    let own_namespaces: BTreeSet<&str> =
        declared.iter().filter(|r| r.api_version == "v1" && r.kind == "Namespace").map(|r| r.name.as_str()).collect();

    brings.extend(own_namespaces.iter().map(|name| format!("Namespace {name}")));
    let trying = Trying { context, types: &types, force, hidden: &hidden, namespaces: &own_namespaces };
    let jobs: Vec<_> =
        wanted.iter().map(|(_, reference, object)| trying.one(reference, object, there.get(reference))).collect();
    let tried: Vec<Tried> = stream::iter(jobs).buffered(AT_ONCE).try_collect().await?;
    let mut children = Vec::new();
    let mut needs: BTreeMap<String, WrittenAt> = BTreeMap::new();
    let mut remarks: Vec<(Path, Diagnostic)> = Vec::new();
    for tried in tried {
        match tried {
            Tried::Same => {}
            Tried::Changes(child) => children.push(child),
            Tried::Needs(child, what, place) => {
                if !brings.contains(&what) {
                    needs.entry(what).or_insert(place);
                }
                children.push(child);
            }
            Tried::Refused(path, problem) => remarks.push((path, problem)),
        }
    }
    if remarks.len() > TOLD {
        let more = remarks.len() - TOLD;
        remarks.truncate(TOLD);
        let problem = Diagnostic::error("object_refused", format!("{more} more objects are refused by the cluster"));
        remarks.push((Path::default(), problem));
    }
    for reference in former.iter().filter(|r| !declared.contains(*r)) {
        let ways = ThreeWays { last: None, live: there.get(reference), next: None, hidden: &hidden };
        children.extend(three_ways(reference, &ways));
    }
    let replaces: Vec<&str> =
        children.iter().filter(|c| c.action == ActionWord::Replace).map(|c| c.name.as_str()).collect();
    let mut facts: BTreeMap<String, Json> = BTreeMap::new();
    if !replaces.is_empty() {
        facts.insert("replaces".to_owned(), json!(replaces));
    }
    let nothing = children.is_empty();
    let resolved = |(_, reference, object): &(String, ObjectRef, Json)| {
        (types.resolved(reference).unwrap_or_else(|| reference.clone()), object.clone())
    };
    let placed: Vec<(ObjectRef, Json)> = wanted.iter().map(resolved).collect();
    let mut footprint = Footprint::of(placed.iter().map(|(reference, object)| (reference, object)));
    if context.address.unit().is_some() {
        footprint = footprint.with_live_claims(context).await?;
    }
    remarks.extend(scaled::remarks(context, &children).await?);
    let footprint = Some(footprint);
    Ok(Some(Preview { children, facts, nothing, remarks, needs, brings, footprint, ..Preview::default() }))
}

/// What all tries of one manifest share.
struct Trying<'a> {
    context: &'a Context,
    types: &'a Types,
    force: bool,
    hidden: &'a Hidden,
    /// Namespaces that the same manifest makes.
    namespaces: &'a BTreeSet<&'a str>,
}

impl Trying<'_> {
    async fn one(&self, reference: &ObjectRef, object: &Json, live: Option<&Json>) -> Outcome<Tried> {
        let Self { context, types, force, hidden, .. } = self;
        let kubernetes = &context.cluster()?.kubernetes;
        let created =
            |next: &Json| three_ways(reference, &ThreeWays { last: None, live: None, next: Some(next), hidden });
        let Some(found) = types.resolved(reference) else {
            let what = type_of(reference);
            let written = || written(context, reference, object);
            return Ok(created(object).map_or(Tried::Same, |child| Tried::Needs(child, what, written())));
        };
        let request = marked(context, object, &found);
        // What was applied like this and still is needs no word of the server: apply would leave it alone, too.
        if live.is_some_and(|live| is_same(context, &request, live)) {
            return Ok(Tried::Same);
        }
        let ours = live.is_some_and(|l| matches!(owner(context, l), Owner::Ours(_)));
        let options = ApplyOptions { manager: parts::MANAGER.to_owned(), force: *force || ours, dry_run: true };
        let failure = match context.at_most(TRYING, || kubernetes.apply(&request, &options)).await {
            Ok(next) => {
                // The server's answer is the whole object: what is live and not in it goes.
                let ways = ThreeWays { last: live, live, next: Some(&next), hidden };
                return Ok(three_ways(reference, &ways).map_or(Tried::Same, Tried::Changes));
            }
            Err(failure) => failure,
        };
        match failure.class {
            // An object whose namespace is made by the same run cannot be tried: it is a create.
            Class::NotFound if live.is_none() => {
                let namespace = found.namespace.as_deref().filter(|n| is_missing(&failure, n));
                let needs = |child| match namespace {
                    Some(namespace) => {
                        Tried::Needs(child, format!("Namespace {namespace}"), written(context, reference, object))
                    }
                    None => Tried::Changes(child),
                };
                Ok(created(object).map_or(Tried::Same, needs))
            }
            // A namespace that is being deleted is gone when its turn to be made anew comes.
            Class::Conflict if is_going(&failure) && self.makes_namespace(&found) => {
                Ok(created(object).map_or(Tried::Same, Tried::Changes))
            }
            _ if live.is_some() && is_immutable(&failure.message) => {
                let ways = ThreeWays { last: None, live, next: Some(&request), hidden };
                Ok(three_ways(reference, &ways).map_or(Tried::Same, |mut child| {
                    child.action = ActionWord::Replace;
                    for field in &mut child.fields {
                        let last = field.path.split('.').next_back().unwrap_or("\u{0}");
                        field.forces_replacement = failure.message.contains(last);
                    }
                    Tried::Changes(child)
                }))
            }
            Class::Invalid | Class::Conflict | Class::Limit => {
                let (path, problem) = refused(context, reference, object, (&conflict_hint(failure), hidden));
                Ok(Tried::Refused(path, problem))
            }
            _ => Err(about(reference, failure)),
        }
    }

    fn makes_namespace(&self, reference: &ObjectRef) -> bool {
        reference.namespace.as_deref().is_some_and(|namespace| self.namespaces.contains(namespace))
    }
}

/// A failure of trying an object, with the webhook that did not answer where that is why.
fn about(reference: &ObjectRef, mut failure: Failure) -> Failure {
    if failure.subject.is_empty() {
        failure.subject = reference.to_string();
    }
    let called = failure.message.split_once("failed calling webhook \"").and_then(|(_, rest)| rest.split_once('"'));
    let Some((webhook, _)) = called else { return failure };
    let webhook = webhook.to_owned();
    failure.message = format!("the admission webhook {webhook} does not answer: {}", failure.message);
    failure.hint(format!(
        "see whether the pods behind {webhook} are ready; `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations` \
         names its service"
    ))
}

/// Where an object is written.
fn written(context: &Context, reference: &ObjectRef, object: &Json) -> WrittenAt {
    let place = place::of_failure(context, reference, object, "");
    WrittenAt { path: place.path, span: place.span }
}

/// What the server refuses, at the place in the plan's files where it is written.
fn refused(
    context: &Context,
    reference: &ObjectRef,
    object: &Json,
    (failure, hidden): (&Failure, &Hidden),
) -> (Path, Diagnostic) {
    let message = hidden.out_of(&failure.message);
    let found = place::of_failure(context, reference, object, &failure.message);
    let mut problem = Diagnostic::error("object_refused", format!("the cluster refuses {reference}"));
    problem = problem.because(match &found.line {
        Some(line) => format!("{message}, at {line}"),
        None => message,
    });
    problem.hint.clone_from(&failure.hint);
    if let Some(span) = &found.span {
        problem = problem.at(span, "");
    }
    (found.path, problem)
}

/// Says what to do about fields that others own.
pub(super) fn conflict_hint(failure: Failure) -> Failure {
    if failure.class != Class::Conflict || is_going(&failure) {
        return failure;
    }
    failure.hint("`force_conflicts = true` takes the field over; else leave it out of the declaration")
}

/// True for the server's words about a namespace that is not there.
fn is_missing(failure: &Failure, namespace: &str) -> bool {
    failure.message.contains(&format!("namespaces \"{namespace}\" not found"))
}

/// True for the server's words about a namespace that is being deleted.
pub(super) fn is_going(failure: &Failure) -> bool {
    failure.message.contains("because it is being terminated")
}

/// True for the server's words about a field that cannot be changed. Source: pkg/apis/*/validation of Kubernetes.
pub(super) fn is_immutable(message: &str) -> bool {
    const WORDS: [&str; 8] = [
        "immutable",
        "updates to statefulset spec for fields other than",
        "may not change once set",
        "cannot change roleRef",
        "pod updates may not change fields other than",
        "updates to provisioner are forbidden",
        "updates to parameters are forbidden",
        "updates to reclaimPolicy are forbidden",
    ];
    WORDS.iter().any(|words| message.contains(words))
}
