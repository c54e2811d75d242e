//! What is wrong with a rule before anything is done to it: groups that are not there, a rule that is somebody else's.

use super::{text, wanted::Groups};
use crate::{
    base::{Diagnostic, Path},
    kinds::{Context, Desired, Observed, Owner, Preview},
    world::{Class, ListenerRule, Outcome},
};

pub(in crate::kinds::traffic) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
) -> Outcome<Preview> {
    let mut preview = Preview::default();
    let Some(groups) = Groups::of(&desired.inputs) else { return Ok(preview) };
    let balancers = &context.aws()?.load_balancers;
    let at = |name: &str| Path::default().key("alb").key(name);
    for (name, arn) in [("blue", &groups.blue), ("green", &groups.green)] {
        if context.patiently(|| balancers.describe_target_group(arn)).await?.is_none() {
            let problem = Diagnostic::error("traffic_rule", format!("there is no target group {arn}"))
                .because("a rule forwards to target groups that are there")
                .hint("refer to an output of the stack that makes it");
            preview.remarks.push((at(name), problem));
        }
    }
    let Some(arn) = text(&desired.inputs, "rule").filter(|_| observed.is_none()) else { return Ok(preview) };
    let refused = match context.patiently(|| balancers.describe_rule(arn)).await? {
        Some(rule) => refusal(context, &rule, &groups).await?,
        None => Some((
            format!("there is no rule {arn}"),
            "write `listener` and a `priority`, and terrace makes one".to_owned(),
        )),
    };
    if let Some((what, hint)) = refused {
        preview.remarks.push((at("rule"), Diagnostic::error("traffic_rule", what).hint(hint)));
    }
    Ok(preview)
}

/// Why a rule that is there cannot be taken, and what to do instead.
pub(super) async fn refusal(
    context: &Context,
    rule: &ListenerRule,
    groups: &Groups,
) -> Outcome<Option<(String, String)>> {
    let arn = &rule.arn;
    let own = "write `listener` and a `priority` in place of `rule`, and terrace makes a rule of its own".to_owned();
    match context.marks.owner_by_tags(&rule.tags, &context.address) {
        Owner::Ours(address) if address == context.address.as_str() => return Ok(None),
        Owner::Ours(who) | Owner::Other(who) => {
            return Ok(Some((
                format!("the rule {arn} belongs to {who}: two that move it would undo each other's work"),
                own,
            )));
        }
        Owner::Nobody => {}
    }
    let cloudformation = &context.aws()?.cloudformation;
    let holder = match context.patiently(|| cloudformation.stack_of(arn)).await {
        // An endpoint that cannot say it has no such stack that matters.
        Err(failure) if failure.class == Class::Unsupported => None,
        other => other?,
    };
    if let Some((stack, logical)) = holder {
        let what = format!(
            "the rule {arn} is {logical} of the stack {stack}, which sets its actions: its next update would move the traffic back"
        );
        return Ok(Some((what, own)));
    }
    if rule.priority.is_none() {
        return Ok(Some((
            format!("{arn} is the default rule of its listener, which takes what no other rule does"),
            own,
        )));
    }
    if let Some(other) = rule.actions.iter().find(|action| *action != "forward") {
        let what = format!(
            "the rule {arn} has the action {other} beside or in place of a forward, and moving traffic would drop it"
        );
        return Ok(Some((what, own)));
    }
    let forwards = rule.forward.clone().unwrap_or_default();
    if let Some(other) = forwards.groups.keys().find(|group| **group != groups.blue && **group != groups.green) {
        let what = format!(
            "the rule {arn} forwards to {other}, which is neither blue nor green: taking it would move that traffic"
        );
        let hint = "have it forward to blue first, or declare that target group as `blue`".to_owned();
        return Ok(Some((what, hint)));
    }
    Ok(None)
}
