//! An expression of a template: JSON with a place on every node and its intrinsic functions told apart.
//!
//! [`lower`](super::lower) makes them from either notation; [`resolve`](super::resolve) evaluates them.

use crate::base::Span;

/// A value as the template says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExprKind {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string; it may hold dynamic references.
    String(String),
    /// A list.
    Array(Vec<Expr>),
    /// An object, in the order of the text: key, place of the key, value.
    Object(Vec<(String, Span, Expr)>),
    /// An intrinsic function.
    Function(Box<Function>),
}

/// An intrinsic function with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    /// `Ref`.
    Ref(String),
    /// `Fn::GetAtt`: logical id and attribute.
    GetAtt(String, Expr),
    /// `Fn::Sub`: the parts of the string and the variables of its second form.
    Sub(Vec<SubPart>, Vec<(String, Expr)>),
    /// `Fn::Join`: delimiter and list.
    Join(Expr, Expr),
    /// `Fn::Select`: index and list.
    Select(Expr, Expr),
    /// `Fn::Split`: delimiter and string.
    Split(Expr, Expr),
    /// `Fn::If`: condition, then, else.
    If(String, Expr, Expr),
    /// `Fn::Equals`.
    Equals(Expr, Expr),
    /// `Fn::And`.
    And(Vec<Expr>),
    /// `Fn::Or`.
    Or(Vec<Expr>),
    /// `Fn::Not`.
    Not(Expr),
    /// `Condition`: the value of a named condition.
    Condition(String),
    /// `Fn::FindInMap`: map, first key, second key, default.
    FindInMap(Expr, Expr, Expr, Option<Expr>),
    /// `Fn::ImportValue`.
    ImportValue(Expr),
    /// `Fn::GetStackOutput`: an object of StackName, OutputName and, where it is another one, Region and RoleArn.
    StackOutput(Expr),
    /// `Fn::Cidr`: block, count, bits.
    Cidr(Expr, Expr, Option<Expr>),
    /// `Fn::Base64`.
    Base64(Expr),
    /// `Fn::GetAZs`.
    GetAzs(Expr),
    /// `Fn::Length` (language extensions).
    Length(Expr),
    /// `Fn::ToJsonString` (language extensions).
    ToJsonString(Expr),
    /// `Fn::Transform`: the macro's name and its parameters.
    Transform(String, Expr),
    /// A function of the Rules section (`Fn::Contains`, `Fn::EachMemberIn`, `Fn::RefAll`, ...) by name.
    Rule(String, Vec<Expr>),
    /// A function this version does not know or whose arguments are wrong; a diagnostic says so.
    Unsupported(String),
}

/// A part of an `Fn::Sub` string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubPart {
    /// Text as it is.
    Text(String),
    /// `${Name}`.
    Name(String, Span),
    /// `${LogicalId.Attribute}`.
    Attribute(String, String, Span),
}

impl Expr {
    /// The string, where it is a literal one.
    pub fn as_str(&self) -> Option<&str> {
        if let ExprKind::String(s) = &self.kind { Some(s) } else { None }
    }

    /// The value under a key of a literal object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let ExprKind::Object(entries) = &self.kind else { return None };
        entries.iter().find(|(k, _, _)| k == key).map(|(_, _, v)| v)
    }

    /// The direct parts, arguments of functions included, in the order of the text.
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Array(items) => items.iter().collect(),
            ExprKind::Object(entries) => entries.iter().map(|(_, _, v)| v).collect(),
            ExprKind::Function(function) => function.arguments(),
            _ => Vec::new(),
        }
    }

    /// Calls `see` with every expression in it, itself first.
    pub fn walk<'a>(&'a self, see: &mut dyn FnMut(&'a Self)) {
        see(self);
        for child in self.children() {
            child.walk(see);
        }
    }
}

impl Function {
    /// The arguments that are expressions.
    pub fn arguments(&self) -> Vec<&Expr> {
        match self {
            Self::Ref(_) | Self::Condition(_) | Self::Unsupported(_) => Vec::new(),
            Self::GetAtt(_, a)
            | Self::Not(a)
            | Self::ImportValue(a)
            | Self::Base64(a)
            | Self::GetAzs(a)
            | Self::Length(a)
            | Self::ToJsonString(a)
            | Self::StackOutput(a)
            | Self::Transform(_, a) => vec![a],
            Self::Sub(_, variables) => variables.iter().map(|(_, e)| e).collect(),
            Self::Join(a, b) | Self::Select(a, b) | Self::Split(a, b) | Self::If(_, a, b) | Self::Equals(a, b) => {
                vec![a, b]
            }
            Self::And(items) | Self::Or(items) | Self::Rule(_, items) => items.iter().collect(),
            Self::FindInMap(a, b, c, d) => [a, b, c].into_iter().chain(d.as_ref()).collect(),
            Self::Cidr(a, b, c) => [a, b].into_iter().chain(c.as_ref()).collect(),
        }
    }
}
