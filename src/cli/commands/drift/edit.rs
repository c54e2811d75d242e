//! What a person has to edit so that what is live is what is declared: as a diff of our own file where a literal stands there, in
//! words where a function, a parameter or nothing does.

use crate::{
    base::{ActionWord, Path, SourceMap, Span, Value},
    cfn::{Expr, ExprKind, Function, ResourceDecl, Template},
    cli::stage::Stage,
    kinds::{ChildChange, FieldChange, FieldName, kind, parse_path},
    lang::{Declaration, ast::Body, normalize},
    plan::Drift,
};
use std::{collections::BTreeMap, fmt::Write as _};

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Edit {
    /// The file, relative to the project; empty where none could be found.
    file: String,
    /// The line, from 1.
    line: usize,
    /// What, from what to what, in words.
    says: String,
    /// What to write in the place of which bytes, where that can be said.
    #[serde(skip)]
    instead: Option<(std::ops::Range<usize>, String)>,
    #[serde(skip)]
    text: std::sync::Arc<str>,
}

/// The edits that take one drift over into the files.
pub(super) fn of(drift: &Drift, stage: &Stage) -> Vec<Edit> {
    let texts = stage.texts();
    let declared = stage.subject.configuration.resource(&Declaration::from(&drift.address));
    let here = |says: String| -> Edit {
        let span = declared.map(|d| d.span.clone());
        let text = span.as_ref().and_then(|s| texts.text(&s.file)).cloned().unwrap_or_default();
        let file = span.as_ref().map(|s| s.file.to_string()).unwrap_or_default();
        let line = span.as_ref().and_then(|s| texts.position(s)).map_or(0, |(line, _)| line);
        Edit { file, line, says, instead: None, text }
    };
    if drift.gone {
        return vec![here(format!("{} is gone: take its block out", drift.address))];
    }
    let mut edits: Vec<Edit> = Vec::new();
    for field in &drift.fields {
        edits.push(here(format!("{}: {}", drift.address, in_words(&field.path, field))));
    }
    if drift.children.is_empty() {
        return edits;
    }
    let path = stage.subject.state.resources.get(&drift.address).and_then(|r| r.inputs.get("template").cloned());
    let path = path.as_ref().and_then(Value::as_str).and_then(|p| normalize("", p).ok());
    let file = path.and_then(|p| texts.text(&p).map(|text| (p, text.clone())));
    let Some((file, text)) = file else {
        let body = declared.map(|d| &d.body);
        edits.extend(drift.children.iter().flat_map(|child| part(drift, child, body, &texts, &here)));
        return edits;
    };
    let template = Template::parse(&file, &text).0;
    for child in &drift.children {
        let Some(resource) = template.resources.get(&child.name) else {
            edits.push(here(format!("{}: {}", drift.address, child_in_words(child))));
            continue;
        };
        if child.action == ActionWord::Delete {
            let line = line_of(&text, &resource.span);
            let says = format!("{} is gone: take it out, and what refers to it", child.name);
            edits.push(Edit { file: file.clone(), line, says, instead: None, text: text.clone() });
        }
        for field in &child.fields {
            edits.push(property(&file, &text, &child.name, resource, field, &here));
        }
    }
    edits
}

/// The edits of a part that is written in our files, as far as its kind knows where.
fn part(
    drift: &Drift,
    child: &ChildChange,
    body: Option<&Body>,
    texts: &SourceMap,
    here: &dyn Fn(String) -> Edit,
) -> Vec<Edit> {
    if child.action == ActionWord::Delete {
        return vec![here(format!("{}: {}", drift.address, child_in_words(child)))];
    }
    let one = |field: &FieldChange| {
        let words = format!("{}: {}", child.name, in_words(&field.path, field));
        let name = FieldName { part: Some(child.name.as_str().into()), path: Some(field.path.as_str().into()) };
        let places = kind(drift.address.kind()).zip(body).map(|(kind, body)| kind.written_at(body, texts, &name));
        let mut places = places.unwrap_or_default();
        let (Some(span), true) = (places.pop(), places.is_empty()) else { return here(words) };
        let Some(text) = texts.text(&span.file).cloned() else { return here(words) };
        // The whole plan may be declared with another value in its place: a literal alone can be put there.
        let scalar = |value: &Value| match value.to_json()? {
            serde_json::Value::String(text) => Some(text).filter(|text| !text.contains("${") && !text.contains("%{")),
            json @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => Some(json.to_string()),
            _ => None,
        };
        let shown = |value: &&Value| !value.has_sensitive() && !value.has_sealed();
        let live = field.after.as_ref().filter(shown).and_then(scalar);
        let is_literal = text.get(span.range()).is_some_and(|former| is_literal(former, field.before.as_ref()));
        let instead = live.filter(|_| is_literal).and_then(|live| replaced(&text, &span, &live));
        let says = if is_literal { words } else { format!("{words}; it is computed here") };
        Edit { file: span.file.to_string(), line: line_of(&text, &span), says, instead, text }
    };
    child.fields.iter().map(one).collect()
}

/// Whether a text is the literal of a value, and no expression that happens to have it.
fn is_literal(text: &str, value: Option<&Value>) -> bool {
    let bare = text.trim_matches(['"', '\'']);
    value.and_then(Value::to_json).is_some_and(|json| match json {
        serde_json::Value::String(value) => bare == value,
        other => other == *bare || serde_json::from_str(bare).is_ok_and(|json: serde_json::Value| json == other),
    })
}

/// The edit of one property of a template.
fn property(
    file: &str,
    text: &std::sync::Arc<str>,
    id: &str,
    resource: &ResourceDecl,
    field: &FieldChange,
    here: &dyn Fn(String) -> Edit,
) -> Edit {
    let words = format!("{id}: {}", in_words(&field.path, field));
    let at = |span: &Span, says: String, instead| Edit {
        file: file.to_owned(),
        line: line_of(text, span),
        says,
        instead,
        text: text.clone(),
    };
    let path = steps(&field.path);
    match find(resource.properties.as_ref(), &path) {
        Found::Literal(span) => {
            let live = field.after.as_ref().and_then(Value::as_str).unwrap_or_default();
            let instead = (live != "null").then(|| replaced(text, &span, live)).flatten();
            at(&span, words, instead)
        }
        Found::Parameter(name) => here(format!("parameters.{name}: {} ({id} {})", from_to(field), field.path)),
        Found::Function(span) => at(&span, format!("{words}; it is computed here"), None),
        Found::Nothing(span) => {
            let span = span.unwrap_or_else(|| resource.span.clone());
            at(&span, format!("{words}; the template does not say it"), None)
        }
    }
}

enum Found {
    Literal(Span),
    Parameter(String),
    Function(Span),
    Nothing(Option<Span>),
}

fn find(expr: Option<&Expr>, path: &[String]) -> Found {
    let Some(expr) = expr else { return Found::Nothing(None) };
    if let ExprKind::Function(function) = &expr.kind {
        return match &**function {
            Function::Ref(name) if path.is_empty() && !name.contains("::") => Found::Parameter(name.clone()),
            _ => Found::Function(expr.span.clone()),
        };
    }
    let Some((step, rest)) = path.split_first() else {
        return match expr.kind {
            ExprKind::Array(_) | ExprKind::Object(_) => Found::Function(expr.span.clone()),
            _ => Found::Literal(expr.span.clone()),
        };
    };
    let inner = match &expr.kind {
        ExprKind::Object(entries) => entries.iter().find(|(key, ..)| key == step).map(|(_, _, value)| value),
        ExprKind::Array(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)),
        _ => None,
    };
    match inner {
        Some(inner) => find(Some(inner), rest),
        None => Found::Nothing(Some(expr.span.clone())),
    }
}

fn steps(path: &str) -> Vec<String> {
    let written = parse_path(path).unwrap_or_else(|| Path::default().key(path));
    let text = |step: &crate::base::Step| match step {
        crate::base::Step::Key(key) => key.to_string(),
        crate::base::Step::Index(at) => at.to_string(),
    };
    written.0.iter().map(text).collect()
}

/// A literal with another one in its place; `None` where it takes more than one line.
fn replaced(text: &str, span: &Span, live: &str) -> Option<(std::ops::Range<usize>, String)> {
    let former = text.get(span.range())?;
    (!former.contains('\n') && !former.is_empty()).then(|| (span.range(), literal(former, live)))
}

/// A live value in the notation of the literal that it takes the place of.
fn literal(former: &str, live: &str) -> String {
    let quoted = || serde_json::Value::from(live).to_string();
    let plain = live.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && live.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    match former.chars().next() {
        Some('"') => quoted(),
        Some('\'') => format!("'{}'", live.replace('\'', "''")),
        // A word that was text must stay one.
        _ if plain && (is_number(former) || !is_number(live)) => live.to_owned(),
        _ => quoted(),
    }
}

fn line_of(text: &str, span: &Span) -> usize {
    text.get(..span.range().start).map_or(0, |before| before.matches('\n').count() + 1)
}

fn in_words(path: &str, field: &FieldChange) -> String {
    format!("{path}: {}", from_to(field))
}

fn from_to(field: &FieldChange) -> String {
    let shown = |value: &Option<Value>| match value {
        Some(value) if value.has_sensitive() || value.has_sealed() => "(sensitive)".to_owned(),
        Some(value) => value.as_str().map_or_else(|| value.to_json_lossy().to_string(), str::to_owned),
        None => "(nothing)".to_owned(),
    };
    format!("{} -> {}", shown(&field.before), shown(&field.after))
}

fn child_in_words(child: &ChildChange) -> String {
    if child.action == ActionWord::Delete {
        return format!("{} is gone", child.name);
    }
    let fields: Vec<String> = child.fields.iter().map(|f| in_words(&f.path, f)).collect();
    format!("{} {}", child.name, fields.join("; "))
}

/// How many lines around a change a diff shows.
const AROUND: usize = 3;

/// All edits as a person reads them: each with its place, then what can be said as a diff.
pub(super) fn render(edits: &[Edit]) -> String {
    let mut out = String::new();
    for edit in edits {
        let place = if edit.file.is_empty() { String::new() } else { format!("{}:{}: ", edit.file, edit.line) };
        let _ = writeln!(out, "{place}{}", edit.says);
    }
    let mut files: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    for edit in edits.iter().filter(|e| e.instead.is_some()) {
        files.entry(&edit.file).or_default().push(edit);
    }
    for (file, edits) in files {
        let _ = write!(out, "\n--- {file}\n+++ {file}\n");
        hunks(&edits, &mut out);
    }
    out
}

/// A unified diff of changes that keep the number of lines.
fn hunks(edits: &[&Edit], out: &mut String) {
    let Some(first) = edits.first() else { return };
    let mut places: Vec<&(std::ops::Range<usize>, String)> = edits.iter().filter_map(|e| e.instead.as_ref()).collect();
    places.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    places.dedup_by_key(|(range, _)| range.start);
    let mut text = first.text.to_string();
    for (range, instead) in places {
        text.replace_range(range.clone(), instead);
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (first.text.lines().collect(), text.lines().collect());
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for at in (0..old.len()).filter(|at| old.get(*at) != new.get(*at)) {
        let (from, to) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(old.len()));
        match ranges.last_mut() {
            Some((_, end)) if from <= *end => *end = to,
            _ => ranges.push((from, to)),
        }
    }
    for (from, to) in ranges {
        let _ = writeln!(out, "@@ -{0},{1} +{0},{1} @@", from + 1, to - from);
        for (former, now) in old[from..to].iter().zip(&new[from..to]) {
            if former == now {
                let _ = writeln!(out, " {former}");
            } else {
                let _ = write!(out, "-{former}\n+{now}\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Cause;

    const TEMPLATE: &str = "\
Parameters:
  Days: { Type: Number, Default: 4 }
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: 'q'
      VisibilityTimeout: 30
      MessageRetentionPeriod: !Ref Days
      KmsMasterKeyId: !Sub '${Days}-x'
      Tags: [{ Key: team, Value: blue }, { Key: cost, Value: a }]
  Topic:
    Type: AWS::SNS::Topic
";

    fn rendered(fields: &[(&str, &str, &str)]) -> String {
        let template = Template::parse("t.yaml", TEMPLATE).0;
        let here = |says: String| Edit {
            file: "plan.hcl".to_owned(),
            line: 7,
            says,
            instead: None,
            text: std::sync::Arc::from(""),
        };
        let edits: Vec<Edit> = fields
            .iter()
            .map(|(path, before, after)| {
                let field = FieldChange {
                    path: (*path).to_owned(),
                    before: Some((*before).into()),
                    after: Some((*after).into()),
                    cause: Cause::DriftLeft,
                    forces_replacement: false,
                    because: None,
                    owner: None,
                };
                property("t.yaml", &TEMPLATE.into(), "Queue", &template.resources["Queue"], &field, &here)
            })
            .collect();
        render(&edits)
    }

    #[test]
    fn literals_become_a_diff_and_the_rest_is_said_with_its_place() {
        insta::assert_snapshot!(rendered(&[
            ("VisibilityTimeout", "30", "60"),
            ("QueueName", "q", "it's"),
            ("Tags.0.Value", "blue", "1e3"),
            ("Tags.1.Value", "a", "b"),
            ("MessageRetentionPeriod", "4", "9"),
            ("KmsMasterKeyId", "4-x", "5-x"),
            ("DelaySeconds", "null", "5"),
            ("VisibilityTimeout.Inner", "1", "2"),
        ]));
    }
}
