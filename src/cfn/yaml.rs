//! YAML with places and the short forms of functions, as far as CloudFormation takes it: no aliases, no merges, one
//! document. Built on the parser's events, so that depth and duplicate keys are in our own hands.

use super::{
    json::duplicate_key,
    suggest::did_you_mean,
    syntax::{MAX_DEPTH, Tree, TreeKind},
};
use crate::base::{Diagnostic, Diagnostics, Span};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::{collections::BTreeMap, sync::Arc};

/// Functions with a short form, without `Fn::`.
const SHORT_FORMS: &[&str] = &[
    "And",
    "Base64",
    "Cidr",
    "Condition",
    "Contains",
    "EachMemberEquals",
    "EachMemberIn",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Ref",
    "RefAll",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
    "ValueOf",
    "ValueOfAll",
];

/// Reads one YAML document. At the first place that is not YAML it stops with a diagnostic and keeps what came before.
pub(super) fn read(file: &str, text: &str) -> (Tree, Diagnostics) {
    let mut builder = Builder::new(file, text);
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                let range = builder.place(span.start.index(), span.end.index());
                if !builder.take(event, range) {
                    break;
                }
            }
            Err(error) => {
                let at = error.marker().index();
                let span = builder.span(builder.place(at, at + 1));
                builder.problems.push(
                    Diagnostic::error("template_syntax", "the template is not YAML")
                        .because(error.info().to_owned())
                        .at(&span, "here"),
                );
                break;
            }
        }
    }
    while !builder.open.is_empty() {
        builder.close(None);
    }
    let root = builder.root.take().unwrap_or(Tree { span: builder.span((0, 0)), kind: TreeKind::Null });
    (root, builder.problems)
}

/// The tag `!` alone, which names no function and keeps a scalar a string.
fn is_plain(tag: &Tag) -> bool {
    matches!((tag.handle.as_str(), tag.suffix.as_str()), ("!", "") | ("", "!"))
}

struct Builder<'t> {
    file: Arc<str>,
    text: &'t str,
    /// The byte of each character, where that is not its index.
    bytes: Option<Vec<usize>>,
    open: Vec<Open>,
    root: Option<Tree>,
    documents: usize,
    problems: Diagnostics,
}

/// A collection whose end has not come yet.
struct Open {
    start: usize,
    tag: Option<String>,
    inside: Inside,
}

enum Inside {
    Sequence(Vec<Tree>),
    Mapping {
        entries: Vec<(String, Span, Tree)>,
        /// The place of each key, so that a second one is found at once.
        seen: BTreeMap<String, Span>,
        next: Next,
    },
}

/// What comes next in a mapping.
enum Next {
    Key,
    /// The value of this key.
    Value(String, Span),
    /// The value of a key that was refused.
    Nothing,
}

impl Inside {
    const fn mapping() -> Self {
        Self::Mapping { entries: Vec::new(), seen: BTreeMap::new(), next: Next::Key }
    }
}

impl<'t> Builder<'t> {
    fn new(file: &str, text: &'t str) -> Self {
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        let (open, problems) = (Vec::new(), Diagnostics::new());
        Self { file: file.into(), text, bytes, open, root: None, documents: 0, problems }
    }

    /// Bytes of a range of characters, without white space at its end.
    fn place(&self, start: usize, end: usize) -> (usize, usize) {
        let byte = |at: usize| match &self.bytes {
            Some(bytes) => bytes.get(at).copied().unwrap_or(self.text.len()),
            None => at.min(self.text.len()),
        };
        let (start, end) = (byte(start), byte(end));
        let inner = self.text.get(start..end).unwrap_or("");
        (start, start + inner.trim_end().len())
    }

    fn span(&self, (start, end): (usize, usize)) -> Span {
        Span::new(Arc::clone(&self.file), start..end.max(start))
    }

    fn refuse(&mut self, code: &'static str, what: &str, why: &str, place: (usize, usize)) {
        let span = self.span(place);
        self.problems.push(Diagnostic::error(code, what).because(why).at(&span, ""));
    }

    /// Takes one event; false where reading must stop.
    fn take(&mut self, event: Event<'_>, place: (usize, usize)) -> bool {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.refuse("several_documents", "the file holds several documents", "a template is one", place);
                    return false;
                }
            }
            Event::SequenceStart(_, tag) => return self.begin(Inside::Sequence(Vec::new()), tag.as_deref(), place),
            Event::MappingStart(_, tag) => {
                return self.begin(Inside::mapping(), tag.as_deref(), place);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(Some(place)),
            Event::Alias(_) => {
                let why = "CloudFormation does not take YAML aliases";
                self.refuse("yaml_alias", "an alias stands here", why, place);
                self.add(Tree { span: self.span(place), kind: TreeKind::Null });
            }
            Event::Scalar(text, style, _, tag) => {
                let kind = match tag.as_deref() {
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
                        TreeKind::String(text.into_owned())
                    }
                    Some(tag) if is_plain(tag) => TreeKind::String(text.into_owned()),
                    _ if style == ScalarStyle::Plain => self.plain(&text, place),
                    _ => TreeKind::String(text.into_owned()),
                };
                let tag = tag.as_deref().and_then(|tag| self.function(tag, place));
                let tree = Self::wrap(tag, Tree { span: self.span(place), kind });
                self.add(tree);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    fn begin(&mut self, inside: Inside, tag: Option<&Tag>, place: (usize, usize)) -> bool {
        if self.open.len() > MAX_DEPTH {
            self.refuse("template_syntax", "the template is nested more than 100 levels deep", "", place);
            return false;
        }
        let tag = tag.and_then(|tag| self.function(tag, place));
        self.open.push(Open { start: place.0, tag, inside });
        true
    }

    fn close(&mut self, end: Option<(usize, usize)>) {
        let Some(open) = self.open.pop() else { return };
        let (kind, last) = match open.inside {
            Inside::Sequence(items) => {
                let last = items.last().map(|t| t.span.end);
                (TreeKind::Array(items), last)
            }
            Inside::Mapping { entries, .. } => {
                let last = entries.last().map(|(_, _, t)| t.span.end);
                (TreeKind::Object(entries), last)
            }
        };
        // A block ends where its last entry does; a flow collection ends with its own bracket.
        let bracket = end.filter(|(start, end)| start < end).map(|(_, end)| end);
        let end = bracket.or(last.map(|n| n as usize)).unwrap_or(open.start);
        let tree = Tree { span: self.span((open.start, end)), kind };
        let tree = Self::wrap(open.tag, tree);
        self.add(tree);
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, tree: Tree) {
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(tree);
            return;
        };
        match &mut open.inside {
            Inside::Sequence(items) => items.push(tree),
            Inside::Mapping { entries, seen, next } => match std::mem::replace(next, Next::Key) {
                Next::Value(key, span) => entries.push((key, span, tree)),
                Next::Nothing => {}
                Next::Key => {
                    let text = tree.scalar().or_else(|| (tree.kind == TreeKind::Null).then(String::new));
                    let problem = match text {
                        None => Diagnostic::error("template_key", format!("{} cannot be a key", tree.what()))
                            .at(&tree.span, "write a string"),
                        Some(text) if text == "<<" => Diagnostic::error("yaml_alias", "a merge stands here")
                            .because("CloudFormation does not take YAML merges")
                            .at(&tree.span, ""),
                        Some(text) => {
                            if let Some(first) = seen.get(&text) {
                                duplicate_key(&text, &tree.span, first)
                            } else {
                                seen.insert(text.clone(), tree.span.clone());
                                *next = Next::Value(text, tree.span);
                                return;
                            }
                        }
                    };
                    *next = Next::Nothing;
                    self.problems.push(problem);
                }
            },
        }
    }

    /// The long name of a short form; reports what is none.
    fn function(&mut self, tag: &Tag, place: (usize, usize)) -> Option<String> {
        if tag.is_yaml_core_schema() || is_plain(tag) {
            return None;
        }
        let name = tag.suffix.as_str();
        if tag.handle != "!" || !SHORT_FORMS.contains(&name) {
            let span = self.span(place);
            let problem = Diagnostic::error("unknown_function", format!("there is no function `{tag}`")).at(&span, "");
            let problem = did_you_mean(problem, &tag.to_string(), SHORT_FORMS.iter().map(|s| format!("!{s}")));
            self.problems.push(problem);
            return None;
        }
        Some(if matches!(name, "Ref" | "Condition") { name.to_owned() } else { format!("Fn::{name}") })
    }

    /// A node under its function, in the long form.
    fn wrap(function: Option<String>, mut tree: Tree) -> Tree {
        let Some(function) = function else { return tree };
        // Only the short form of GetAtt takes `LogicalId.Attribute` as one string.
        if function == "Fn::GetAtt"
            && let Some((id, attribute)) = tree.as_str().and_then(|s| s.split_once('.'))
        {
            let part = |text: &str| Tree { span: tree.span.clone(), kind: TreeKind::String(text.to_owned()) };
            tree = Tree { span: tree.span.clone(), kind: TreeKind::Array(vec![part(id), part(attribute)]) };
        }
        let span = tree.span.clone();
        Tree { span: span.clone(), kind: TreeKind::Object(vec![(function, span, tree)]) }
    }

    /// What an unquoted scalar is, by YAML 1.1 as the service reads it. Digits after a leading zero stay text, so that
    /// an account number is never taken for an octal one.
    fn plain(&mut self, text: &str, place: (usize, usize)) -> TreeKind {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return TreeKind::Null,
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return TreeKind::Bool(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return TreeKind::Bool(false),
            _ => {}
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
        let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || (whole.len() > 1 && whole.starts_with('0')) || !fraction.is_none_or(is_digits) {
            return TreeKind::String(text.to_owned());
        }
        let Ok(number) = serde_json::from_str::<serde_json::Number>(text.trim_start_matches('+')) else {
            return TreeKind::String(text.to_owned());
        };
        if fraction.is_some_and(|f| f.len() > 1 && f.ends_with('0')) {
            let span = self.span(place);
            self.problems.push(
                Diagnostic::warning("number_loses_zero", format!("`{text}` is the number {number}"))
                    .because("the service drops the zeros at the end of a number")
                    .at(&span, "")
                    .hint(format!("write \"{text}\" in quotes, if it is a version")),
            );
        }
        TreeKind::Number(number)
    }
}
