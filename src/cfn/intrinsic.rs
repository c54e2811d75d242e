//! From a tree to an expression: which objects are functions, and whether their arguments are.
//!
//! Called by [`lower`](super::lower) for every value that may hold functions.

use super::{
    suggest::did_you_mean,
    syntax::{Tree, TreeKind},
};
use crate::{
    base::{Diagnostic, Diagnostics, Span},
    cfn::{Expr, ExprKind, Function, SubPart},
};

/// Where an expression stands, which decides what is a function there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Literal values only: Mappings, the template's Metadata.
    Literal,
    /// Resources and Outputs.
    Value,
    /// Conditions and Rules, where `Condition` is a function too.
    Condition,
}

const FUNCTIONS: &[&str] = &[
    "Ref",
    "Condition",
    "Fn::And",
    "Fn::Base64",
    "Fn::Cidr",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::ForEach",
    "Fn::GetAtt",
    "Fn::GetAZs",
    "Fn::GetStackOutput",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Length",
    "Fn::Not",
    "Fn::Or",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Fn::ToJsonString",
    "Fn::Transform",
];

const RULE_FUNCTIONS: &[&str] =
    &["Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn", "Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll"];

/// Reads an expression.
pub(super) fn expression(tree: &Tree, place: Place, problems: &mut Diagnostics) -> Expr {
    let kind = match &tree.kind {
        TreeKind::Null => ExprKind::Null,
        TreeKind::Bool(b) => ExprKind::Bool(*b),
        TreeKind::Number(n) => ExprKind::Number(n.clone()),
        TreeKind::String(s) => ExprKind::String(s.clone()),
        TreeKind::Array(items) => ExprKind::Array(items.iter().map(|t| expression(t, place, problems)).collect()),
        TreeKind::Object(entries) => match entries.as_slice() {
            [(name, at, argument)] if is_function(name, argument, place) => {
                let mut call = Call { name, at, argument, place, problems };
                ExprKind::Function(Box::new(call.function().unwrap_or_else(|| Function::Unsupported(name.clone()))))
            }
            _ => {
                for (name, at, _) in entries {
                    let looping = name.starts_with("Fn::ForEach") || name == "Fn::Transform";
                    if place != Place::Literal && entries.len() > 1 && name.starts_with("Fn::") && !looping {
                        problems.push(
                            Diagnostic::error("function_not_alone", format!("`{name}` stands beside other keys"))
                                .because("a function is an object with this one key")
                                .at(at, ""),
                        );
                    }
                }
                let entries =
                    entries.iter().map(|(k, s, t)| (k.clone(), s.clone(), expression(t, place, problems))).collect();
                ExprKind::Object(entries)
            }
        },
    };
    Expr { span: tree.span.clone(), kind }
}

fn is_function(name: &str, argument: &Tree, place: Place) -> bool {
    match name {
        _ if place == Place::Literal => false,
        "Ref" => true,
        // IAM statements have a key `Condition` too, with an object under it.
        "Condition" => place == Place::Condition && argument.as_str().is_some(),
        _ => name.starts_with("Fn::") && !name.starts_with("Fn::ForEach"),
    }
}

struct Call<'a> {
    name: &'a str,
    at: &'a Span,
    argument: &'a Tree,
    place: Place,
    problems: &'a mut Diagnostics,
}

impl<'a> Call<'a> {
    /// The function; `None` where its arguments are wrong, which was reported.
    fn function(&mut self) -> Option<Function> {
        Some(match self.name {
            "Ref" => Function::Ref(self.text("the name of a parameter or resource")?),
            "Condition" => Function::Condition(self.text("the name of a condition")?),
            "Fn::GetAtt" => {
                if let Some((id, attribute)) = self.argument.as_str().and_then(|s| s.split_once('.')) {
                    let kind = ExprKind::String(attribute.to_owned());
                    return Some(Function::GetAtt(id.to_owned(), Expr { span: self.argument.span.clone(), kind }));
                }
                let [id, attribute] = self.list("a logical id and an attribute", 2, 2)? else { return None };
                let Some(id) = id.as_str() else { return self.wrong("the logical id must be a string") };
                Function::GetAtt(id.to_owned(), self.expr(attribute))
            }
            "Fn::Sub" => return self.sub(),
            "Fn::Join" => {
                let [a, b] = self.list("a delimiter and a list", 2, 2)? else { return None };
                if !matches!(a.kind, TreeKind::String(_)) {
                    return self.wrong("the delimiter must be a string");
                }
                if b.scalar().is_some() {
                    return self.wrong("what is joined must be a list");
                }
                Function::Join(self.expr(a), self.expr(b))
            }
            "Fn::Select" => {
                let [a, b] = self.list("an index and a list", 2, 2)? else { return None };
                if let Some(index) = a.scalar()
                    && index.parse::<usize>().is_err()
                {
                    return self.wrong("the index must be a whole number from 0");
                }
                Function::Select(self.expr(a), self.expr(b))
            }
            "Fn::Split" => {
                let [a, b] = self.list("a delimiter and a string", 2, 2)? else { return None };
                if a.as_str().is_none_or(str::is_empty) {
                    return self.wrong("the delimiter must be a string with at least one character");
                }
                Function::Split(self.expr(a), self.expr(b))
            }
            "Fn::If" => {
                let [condition, yes, no] = self.list("a condition, a value if true, a value if false", 3, 3)? else {
                    return None;
                };
                let Some(condition) = condition.as_str() else {
                    return self.wrong("the first argument must be the name of a condition");
                };
                Function::If(condition.to_owned(), self.expr(yes), self.expr(no))
            }
            "Fn::Equals" => {
                let [a, b] = self.list("two values", 2, 2)? else { return None };
                Function::Equals(self.expr(a), self.expr(b))
            }
            "Fn::Not" => {
                let [a] = self.list("one condition", 1, 1)? else { return None };
                Function::Not(self.expr(a))
            }
            "Fn::And" => Function::And(self.conditions()?),
            "Fn::Or" => Function::Or(self.conditions()?),
            "Fn::FindInMap" => {
                let items = self.list("a mapping and two keys", 3, 4)?;
                let [map, top, second, rest @ ..] = items else { return None };
                let default = match rest.first() {
                    None => None,
                    Some(options) => match options.get("DefaultValue") {
                        Some(default) => Some(self.expr(default)),
                        None => return self.wrong("the fourth argument must be an object with DefaultValue"),
                    },
                };
                Function::FindInMap(self.expr(map), self.expr(top), self.expr(second), default)
            }
            "Fn::Cidr" => {
                let [block, count, rest @ ..] = self.list("a block, a count and a number of bits", 2, 3)? else {
                    return None;
                };
                let (block, count) = (self.expr(block), self.expr(count));
                Function::Cidr(block, count, rest.first().map(|bits| self.expr(bits)))
            }
            "Fn::ImportValue" => Function::ImportValue(self.single()?),
            "Fn::Base64" => Function::Base64(self.single()?),
            // Nothing at all means the stack's own region, as the empty string does.
            "Fn::GetAZs" if self.argument.kind == TreeKind::Null => {
                let kind = ExprKind::String(String::new());
                Function::GetAzs(Expr { span: self.argument.span.clone(), kind })
            }
            "Fn::GetAZs" => Function::GetAzs(self.single()?),
            "Fn::Length" => Function::Length(self.expr(self.argument)),
            "Fn::ToJsonString" => Function::ToJsonString(self.expr(self.argument)),
            "Fn::GetStackOutput" => {
                let (stack, output) = (self.argument.get("StackName"), self.argument.get("OutputName"));
                if stack.is_none() || output.is_none() {
                    return self.wrong("it takes an object with StackName and OutputName");
                }
                Function::StackOutput(self.expr(self.argument))
            }
            "Fn::Transform" => return self.transform(),
            name if RULE_FUNCTIONS.contains(&name) => {
                let items = match &self.argument.kind {
                    TreeKind::Array(items) => items.iter().map(|t| self.expr(t)).collect(),
                    _ => vec![self.expr(self.argument)],
                };
                Function::Rule(name.to_owned(), items)
            }
            name => {
                let problem =
                    Diagnostic::error("unknown_function", format!("there is no function `{name}`")).at(self.at, "");
                self.problems.push(did_you_mean(problem, name, FUNCTIONS));
                return None;
            }
        })
    }

    fn expr(&mut self, tree: &Tree) -> Expr {
        expression(tree, self.place, self.problems)
    }

    fn wrong<T>(&mut self, why: &str) -> Option<T> {
        self.problems.push(
            Diagnostic::error("wrong_arguments", format!("the arguments of `{}` are wrong", self.name))
                .because(why)
                .at(&self.argument.span, ""),
        );
        None
    }

    fn text(&mut self, what: &str) -> Option<String> {
        match self.argument.scalar() {
            Some(text) if !text.is_empty() => Some(text),
            _ => self.wrong(&format!("it takes {what}, not {}", self.argument.what())),
        }
    }

    /// An argument that is no literal list.
    fn single(&mut self) -> Option<Expr> {
        match &self.argument.kind {
            TreeKind::Array(_) | TreeKind::Null => self.wrong("it takes one value"),
            TreeKind::Object(_) if !matches!(self.expr(self.argument).kind, ExprKind::Function(_)) => {
                self.wrong("it takes a string or a function that gives one")
            }
            _ => Some(self.expr(self.argument)),
        }
    }

    fn list(&mut self, what: &str, least: usize, most: usize) -> Option<&'a [Tree]> {
        match &self.argument.kind {
            TreeKind::Array(items) if (least..=most).contains(&items.len()) => Some(items),
            TreeKind::Array(items) => self.wrong(&format!("it takes a list of {what}; here are {}", items.len())),
            _ => self.wrong(&format!("it takes a list of {what}, not {}", self.argument.what())),
        }
    }

    fn conditions(&mut self) -> Option<Vec<Expr>> {
        let items = self.list("2 to 10 conditions", 2, 10)?;
        Some(items.iter().map(|t| self.expr(t)).collect())
    }

    /// A name, an object of Name and Parameters, or a list of such objects.
    fn transform(&mut self) -> Option<Function> {
        let first = match &self.argument.kind {
            TreeKind::Array(items) => items.first()?,
            _ => self.argument,
        };
        match first.as_str().or_else(|| first.get("Name").and_then(Tree::as_str)) {
            Some(name) => Some(Function::Transform(name.to_owned(), self.expr(self.argument))),
            None => self.wrong("it takes an object with the Name of a macro and its Parameters"),
        }
    }

    fn sub(&mut self) -> Option<Function> {
        let (text, variables) = match &self.argument.kind {
            TreeKind::Array(items) => match items.as_slice() {
                [text, Tree { kind: TreeKind::Object(entries), .. }] => {
                    (text, entries.iter().map(|(name, _, t)| (name.clone(), self.expr(t))).collect())
                }
                _ => return self.wrong("it takes a string, or a list of a string and an object of variables"),
            },
            _ => (self.argument, Vec::new()),
        };
        // A macro may make the string.
        if text.get("Fn::Transform").is_some() {
            return match self.expr(text).kind {
                ExprKind::Function(function) => Some(*function),
                _ => None,
            };
        }
        let Some(string) = text.scalar() else { return self.wrong("what it fills in must be a string") };
        match sub_parts(&string, &text.span) {
            Ok(parts) => Some(Function::Sub(parts, variables)),
            Err(why) => self.wrong(why),
        }
    }
}

/// The parts of an `Fn::Sub` string. `${!Name}` stands for the text `${Name}`.
fn sub_parts(text: &str, span: &Span) -> Result<Vec<SubPart>, &'static str> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        literal.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find('}').ok_or("a `${` is not closed; write `${!` for the characters themselves")?;
        let (name, tail) = (after[..end].trim(), &after[end + 1..]);
        rest = tail;
        if let Some(escaped) = name.strip_prefix('!') {
            literal.push_str("${");
            literal.push_str(escaped);
            literal.push('}');
            continue;
        }
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c)) {
            return Err("between `${` and `}` stands the name of a parameter, resource, attribute or variable");
        }
        if !literal.is_empty() {
            parts.push(SubPart::Text(std::mem::take(&mut literal)));
        }
        parts.push(match name.split_once('.') {
            Some((id, attribute)) => SubPart::Attribute(id.to_owned(), attribute.to_owned(), span.clone()),
            None => SubPart::Name(name.to_owned(), span.clone()),
        });
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(SubPart::Text(literal));
    }
    Ok(parts)
}
