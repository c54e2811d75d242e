//! The difference of a stack: pure, from what is wanted, what is live and what a change set said.

use crate::{
    base::{ActionWord, Digest, Path, Value},
    cfn::{Expr, ExprKind, Function, ParameterType, Resolved, SubPart, Template},
    kinds::{
        Cause, Change, ChildChange, Comparison, ConditionEffect, Difference, FieldChange, Observed, Prior, Sides, Undo,
        stack::{
            children,
            desired::{POLICY, TEMPLATE, known_parameters, template_of},
            import,
            live::context_of,
        },
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Inputs that are no property of a live stack and never make a change by themselves.
const NOT_COMPARED: [&str; 5] = ["template", "capabilities", "on_create_failure", "name", "import_resources"];

pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let Difference { desired, prior, observed, preview, seal, .. } = *difference;
    let template = template_of(&desired.documents, &desired.inputs);
    let wanted = template.as_ref().map(|t| resolve(t, &desired.inputs, observed));
    let name = desired.inputs.get("name").cloned().unwrap_or(Value::UNKNOWN);

    let Some(live) = observed.filter(|_| !is_other(difference)) else {
        let mut change = Change::new(ActionWord::Create, new_exports(template.as_ref(), wanted.as_ref(), name));
        change.fields = fields(difference, None, None);
        change.children =
            preview.map_or_else(|| children::estimate(None, wanted.as_ref(), seal), |p| p.children.clone());
        children::show_ways_in(&mut change.children, wanted.as_ref());
        import::show(&mut change, desired, None);
        if let Some(observed) = observed {
            replace(&mut change, difference, observed);
        }
        return change;
    };

    let live_template = template_of(&live.documents, &live.inputs);
    let mut fields = fields(difference, Some(live), prior);
    let ignores_template = Comparison::from(difference).ignores(&Path::default().key("template"));
    let template_changed =
        !ignores_template && template_differs(difference, live, template.as_ref(), live_template.as_ref());
    if template_changed {
        fields.push(template_field(difference, live));
    }
    if policy_differs(difference) {
        let digest = |text: &str| Value::from(Digest::of(text.as_bytes()).short());
        fields.push(FieldChange {
            path: "stack_policy".to_owned(),
            before: None,
            after: desired.documents.get(POLICY).map(|text| digest(text)),
            cause: Cause::Declared,
            forces_replacement: false,
            because: None,
            owner: None,
        });
    }
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    fields.dedup_by(|a, b| a.path == b.path);

    let outside = |field: &FieldChange| field.path == "termination_protection" || field.path == "stack_policy";
    let nothing = preview.is_some_and(|p| p.nothing) && !fields.iter().any(outside);
    let told = preview.is_some_and(|p| !p.nothing && !p.children.is_empty());
    if nothing || (fields.is_empty() && !told) {
        return Change::new(ActionWord::NoOp, live.exports.clone());
    }
    let mut resources = match preview {
        Some(preview) if !preview.nothing => preview.children.clone(),
        Some(_) => Vec::new(),
        None => {
            let before = live_template.as_ref().map(|t| resolve(t, &live.inputs, observed));
            children::estimate(before.as_ref(), wanted.as_ref(), seal)
        }
    };
    children::show_ways_in(&mut resources, wanted.as_ref());
    let exports = kept_exports(live, template.as_ref(), live_template.as_ref(), &fields, &resources, preview.is_some());
    let mut change = Change::new(ActionWord::Update, exports);
    change.undo = undo(&fields, &resources);
    change.stateful = children::loses_data(&resources);
    if preview.is_none() && !resources.is_empty() {
        change.reasons.push("the resources are estimated from the templates; no change set was made".to_owned());
    }
    change.fields = fields;
    change.children = resources;
    import::show(&mut change, desired, Some(live));
    change
}

/// Whether a change set has to be made to know what would change. The values of parameters that Systems Manager holds
/// are CloudFormation's to look up: with such a parameter, only it can tell.
pub(super) fn asks_ahead(difference: &Difference<'_>) -> bool {
    let Some(live) = difference.observed else { return true };
    let from_ssm = template_of(&difference.desired.documents, &difference.desired.inputs)
        .is_none_or(|t| t.parameters.values().any(|p| matches!(p.parameter_type, ParameterType::SsmValue(_))));
    let change = diff(&Difference { preview: None, ..*difference });
    let outside = |field: &FieldChange| field.path == "termination_protection" || field.path == "stack_policy";
    let there = live.condition.as_ref().is_none_or(|c| c.effect == ConditionEffect::Note);
    let elsewhere = difference.desired.documents.get(TEMPLATE).is_some_and(|text| looks_elsewhere(text));
    from_ssm || elsewhere || !there || (change.action != ActionWord::NoOp && !change.fields.iter().all(outside))
}

/// Whether a template is made of what only the service sees: macros and includes, dynamic references, nested templates that
/// lie in a bucket of somebody's own.
fn looks_elsewhere(text: &str) -> bool {
    text.contains("Transform") || text.contains("{{resolve:") || (text.contains("TemplateURL") && text.contains("://"))
}

/// What destroying a stack means: each of its resources goes, but for what is retained.
pub(super) fn removal(_prior: Option<&Prior>, observed: Option<&Observed>) -> Change {
    let mut change = Change::new(ActionWord::Delete, Value::NULL);
    change.undo = Undo::None("a deleted stack is not brought back".to_owned());
    if let Some(live) = observed
        && let Some(template) = template_of(&live.documents, &live.inputs)
    {
        let before = resolve(&template, &live.inputs, observed);
        change.children = children::estimate(Some(&before), None, &|_| "sealed".into());
        change.stateful = children::loses_data(&change.children);
    }
    change
}

/// True where the live thing must go first: it failed to be made, or it has another name.
fn is_other(difference: &Difference<'_>) -> bool {
    let Some(observed) = difference.observed else { return false };
    let failed = observed.condition.as_ref().is_some_and(|c| c.effect == ConditionEffect::MustReplace);
    failed || renamed(difference, observed)
}

fn renamed(difference: &Difference<'_>, observed: &Observed) -> bool {
    match difference.desired.inputs.get("name") {
        Some(name) if Comparison::from(difference).ignores(&Path::default().key("name")) => {
            let _ = name;
            false
        }
        Some(name) => name.as_str() != observed.identity["name"].as_str(),
        None => false,
    }
}

fn replace(change: &mut Change, difference: &Difference<'_>, observed: &Observed) {
    change.action = ActionWord::Replace;
    if let Some(condition) = observed.condition.as_ref().filter(|c| c.effect == ConditionEffect::MustReplace) {
        change
            .reasons
            .push(format!("the stack is {}: it could not be made, and is deleted and made again", condition.word));
        change.undo = Undo::Partly("the stack that failed is not brought back".to_owned());
    }
    if renamed(difference, observed) {
        let before = Value::from_json(&observed.identity["name"]);
        change.reasons.push("another name is another stack".to_owned());
        change.undo = Undo::None("the former stack is deleted".to_owned());
        change.fields.push(FieldChange {
            path: "name".to_owned(),
            before: Some(before),
            after: difference.desired.inputs.get("name").cloned(),
            cause: Cause::Declared,
            forces_replacement: true,
            because: None,
            owner: None,
        });
        change.stateful = removal(None, Some(observed)).stateful;
    }
}

/// Everything but the template, compared.
fn fields(difference: &Difference<'_>, live: Option<&Observed>, prior: Option<&Prior>) -> Vec<FieldChange> {
    let compared = |inputs: &Value| without(inputs, &NOT_COMPARED);
    let desired = compared(&difference.desired.inputs);
    let (live, prior) = (live.map(|l| compared(&l.inputs)), prior.map(|p| compared(&p.inputs)));
    Comparison::from(difference)
        .fields(&Path::default(), Sides { desired: Some(&desired), live: live.as_ref(), prior: prior.as_ref() })
}

fn without(inputs: &Value, names: &[&str]) -> Value {
    let entries = inputs.as_map().map(|m| (**m).clone()).unwrap_or_default();
    Value::object(entries.into_iter().filter(|(name, _)| !names.contains(&&**name)))
}

/// Comments and notation are no difference: the parsed templates are compared where the texts differ.
fn template_differs(
    difference: &Difference<'_>,
    live: &Observed,
    wanted: Option<&Template>,
    there: Option<&Template>,
) -> bool {
    let Some(text) = difference.desired.documents.get(TEMPLATE) else { return false };
    match (live.documents.get(TEMPLATE), wanted, there) {
        (Some(live), Some(wanted), Some(there)) => live != text && wanted.to_json() != there.to_json(),
        // Remembered only: the digest of what was applied last stands in.
        _ => difference
            .prior
            .and_then(|p| p.documents.get(TEMPLATE))
            .is_none_or(|digest| *digest != Digest::of(text.as_bytes())),
    }
}

fn template_field(difference: &Difference<'_>, live: &Observed) -> FieldChange {
    let digest = |text: &str| Value::from(Digest::of(text.as_bytes()).short());
    let wanted = difference.desired.documents.get(TEMPLATE);
    let prior = difference.prior.and_then(|p| p.documents.get(TEMPLATE));
    let before = live.documents.get(TEMPLATE).map(|t| digest(t)).or_else(|| prior.map(|d| Value::from(d.short())));
    let unchanged = wanted.is_some_and(|text| prior.is_some_and(|d| *d == Digest::of(text.as_bytes())));
    FieldChange {
        path: "template".to_owned(),
        before,
        after: wanted.map(|t| digest(t)),
        cause: if unchanged { Cause::Drift } else { Cause::Declared },
        forces_replacement: false,
        because: None,
        owner: None,
    }
}

fn policy_differs(difference: &Difference<'_>) -> bool {
    let Some(text) = difference.desired.documents.get(POLICY) else { return false };
    if Comparison::from(difference).ignores(&Path::default().key("stack_policy")) {
        return false;
    }
    difference.prior.and_then(|p| p.documents.get(POLICY)).is_none_or(|d| *d != Digest::of(text.as_bytes()))
}

/// Resolves without asking anybody; what hangs on an unknown parameter or a secret is unknown.
pub(super) fn resolve(template: &Template, inputs: &Value, observed: Option<&Observed>) -> Resolved {
    let id = observed.and_then(|o| o.identity["id"].as_str()).unwrap_or_default();
    let name = inputs.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut context = context_of(id, name);
    (context.parameters, context.unknown_parameters) = known_parameters(inputs);
    template.resolve(&context).0
}

/// Exports of a stack that is to be made: its outputs are known by name, not by value.
fn new_exports(template: Option<&Template>, resolved: Option<&Resolved>, name: Value) -> Value {
    let outputs = match (template, resolved) {
        (Some(template), Some(resolved)) => {
            Value::object(template.outputs.keys().filter(|key| resolved.outputs.contains_key(*key)).map(|key| {
                let mark = resolved.outputs.get(key).is_some_and(|o| o.sensitive);
                (key.as_str(), Value::UNKNOWN.with_mark(mark))
            }))
        }
        _ => Value::UNKNOWN,
    };
    Value::object([("outputs", outputs), ("id", Value::UNKNOWN), ("arn", Value::UNKNOWN), ("name", name)])
}

/// Exports after an update: an output stays known where nothing that it is made of changes.
fn kept_exports(
    live: &Observed,
    template: Option<&Template>,
    live_template: Option<&Template>,
    fields: &[FieldChange],
    resources: &[ChildChange],
    told: bool,
) -> Value {
    let former = live.exports.get("outputs");
    let parameters: BTreeSet<&str> = fields
        .iter()
        .filter_map(|f| f.path.strip_prefix("parameters."))
        .map(|p| p.split(['.', '[']).next().unwrap_or(p))
        .collect();
    let changed: BTreeMap<&str, bool> = resources
        .iter()
        .map(|r| {
            let in_place = r.action == ActionWord::Update && !r.maybe_replace;
            (r.name.as_str(), !in_place)
        })
        .collect();
    let texts = |t: &Template| -> BTreeMap<String, String> {
        t.conditions.iter().map(|(name, condition)| (name.clone(), json_of(condition))).collect()
    };
    let conditions_move = template.zip(live_template).is_none_or(|(a, b)| texts(a) != texts(b));
    let outputs = template.map(|template| {
        template.outputs.iter().map(|(key, output)| {
            let same_text = live_template
                .and_then(|t| t.outputs.get(key))
                .is_some_and(|there| json_of(&there.value) == json_of(&output.value));
            let safe = same_text
                && (told || !resources.is_empty() || fields.iter().all(|f| f.path != "template"))
                && !depends(&output.value, &parameters, &changed, conditions_move, template);
            let value = former.and_then(|f| f.get(key)).filter(|_| safe).cloned().unwrap_or(Value::UNKNOWN);
            (key.clone(), value)
        })
    });
    let outputs = outputs.map_or(Value::UNKNOWN, Value::object);
    let mut exports = live.exports.as_map().map(|m| (**m).clone()).unwrap_or_default();
    exports.insert("outputs".into(), outputs);
    Value::object(exports)
}

/// The expression without its places.
fn json_of(expr: &Expr) -> String {
    fn strip(expr: &Expr, out: &mut String) {
        use std::fmt::Write as _;
        match &expr.kind {
            ExprKind::Object(entries) => entries.iter().for_each(|(k, _, v)| {
                let _ = write!(out, "{{{k:?}:");
                strip(v, out);
                out.push('}');
            }),
            ExprKind::Array(items) => {
                out.push('[');
                for item in items {
                    strip(item, out);
                    out.push(',');
                }
                out.push(']');
            }
            ExprKind::Function(function) => {
                match &**function {
                    Function::Ref(name) | Function::Condition(name) | Function::If(name, ..) => {
                        let _ = write!(out, "{name:?}");
                    }
                    Function::GetAtt(name, _) => {
                        let _ = write!(out, "@{name:?}");
                    }
                    Function::Sub(parts, variables) => {
                        for part in parts {
                            let _ = match part {
                                SubPart::Text(t) => write!(out, "{t:?}"),
                                SubPart::Name(n, _) => write!(out, "${{{n}}}"),
                                SubPart::Attribute(a, b, _) => write!(out, "${{{a}.{b}}}"),
                            };
                        }
                        for (name, _) in variables {
                            let _ = write!(out, "{name:?}=");
                        }
                    }
                    other => {
                        let _ = write!(out, "{:?}", std::mem::discriminant(other));
                    }
                }
                out.push('(');
                function.arguments().into_iter().for_each(|e| {
                    strip(e, out);
                    out.push(',');
                });
                out.push(')');
            }
            literal => {
                let _ = write!(out, "{literal:?}");
            }
        }
    }
    let mut out = String::new();
    strip(expr, &mut out);
    out
}

/// True where an output may get another value: it names a changed parameter, or a changed resource in a way that a change
/// in place can alter.
fn depends(
    expr: &Expr,
    parameters: &BTreeSet<&str>,
    changed: &BTreeMap<&str, bool>,
    conditions_move: bool,
    template: &Template,
) -> bool {
    // A resource's own name and ARN outlive a change in place; its other attributes may not.
    let touches = |name: &str, attribute: Option<&str>| {
        parameters.contains(name)
            || match changed.get(name) {
                None => false,
                Some(true) => true,
                Some(false) => attribute.is_some_and(|a| !matches!(a, "Arn" | "Id" | "Name")),
            }
    };
    let mut found = false;
    expr.walk(&mut |e| {
        let ExprKind::Function(function) = &e.kind else { return };
        found |= match &**function {
            Function::Ref(name) => touches(name, None),
            Function::GetAtt(name, attribute) => touches(name, attribute.as_str().or(Some("?"))),
            Function::Sub(parts, _) => parts.iter().any(|part| match part {
                SubPart::Name(name, _) => touches(name, None),
                SubPart::Attribute(name, attribute, _) => touches(name, Some(attribute)),
                SubPart::Text(_) => false,
            }),
            Function::If(condition, ..) => {
                conditions_move
                    || template
                        .conditions
                        .get(condition)
                        .is_none_or(|c| depends(c, parameters, changed, false, template))
            }
            Function::Condition(name) => {
                template.conditions.get(name).is_none_or(|c| depends(c, parameters, changed, false, template))
            }
            Function::Transform(..) | Function::ImportValue(_) => true,
            _ => false,
        };
    });
    found
}

fn undo(fields: &[FieldChange], resources: &[ChildChange]) -> Undo {
    let secrets: Vec<&str> = fields
        .iter()
        .filter(|f| [&f.before, &f.after].into_iter().flatten().any(Value::is_sensitive))
        .filter_map(|f| f.path.strip_prefix("parameters."))
        .collect();
    let mut not = Vec::new();
    if !secrets.is_empty() {
        not.push(format!("the former value of {} is not known to Terrace", secrets.join(", ")));
    }
    let lost: Vec<&str> = resources
        .iter()
        .filter(|r| r.stateful && matches!(r.action, ActionWord::Replace | ActionWord::Delete))
        .map(|r| r.name.as_str())
        .collect();
    if !lost.is_empty() {
        not.push(format!("what {} held is not brought back", lost.join(", ")));
    }
    if fields.iter().any(|f| f.path == "stack_policy") {
        not.push("the former stack policy is not put back".to_owned());
    }
    if not.is_empty() { Undo::Full } else { Undo::Partly(not.join("; ")) }
}
