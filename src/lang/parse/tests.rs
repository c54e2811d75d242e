//! Tests of the parser.

use super::*;
use crate::lang::ast::{Block, ObjectKey, SplatStep, TemplatePart, UnaryOp};
use proptest::prelude::*;

fn file() -> Arc<str> {
    "test.hcl".into()
}

/// An expression without its places, every operator in parentheses.
pub(crate) fn show(expr: &Expr) -> String {
    let list = |all: &[Expr]| all.iter().map(show).collect::<Vec<_>>().join(", ");
    match &expr.node {
        Node::Literal(value) => format!("{value:?}"),
        Node::Template(parts) => format!("t\"{}\"", show_parts(parts)),
        Node::Tuple(elements) => format!("[{}]", list(elements)),
        Node::Object(entries) => {
            let entry = |(key, value): &(ObjectKey, Expr)| match key {
                ObjectKey::Name(name) => format!("{name:?} = {}", show(value)),
                ObjectKey::Expr(key) => format!("({}) = {}", show(key), show(value)),
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Node::Name(name) => name.to_string(),
        Node::Attribute(of, name) => format!("{}.{name}", show(of)),
        Node::Index(of, index) => format!("{}[{}]", show(of), show(index)),
        Node::Splat(of, steps) => {
            let step = |step: &SplatStep| match step {
                SplatStep::Attribute(name) => format!(".{name}"),
                SplatStep::Index(index) => format!("[{}]", show(index)),
            };
            format!("<{}[*]{}>", show(of), steps.iter().map(step).collect::<String>())
        }
        Node::Call { name, arguments, expand } => {
            format!("{name}({}{})", list(arguments), if *expand { "..." } else { "" })
        }
        Node::Conditional(a, b, c) => format!("({} ? {} : {})", show(a), show(b), show(c)),
        Node::Unary(op, inner) => format!("({}{})", if *op == UnaryOp::Neg { "-" } else { "!" }, show(inner)),
        Node::Binary(op, a, b) => format!("({} {op:?} {})", show(a), show(b)),
        Node::For(each) => format!(
            "for({:?} {} in {}: {:?} => {}{} if {:?})",
            each.key,
            each.value,
            show(&each.collection),
            each.result_key.as_ref().map(show),
            show(&each.result),
            if each.group { "..." } else { "" },
            each.condition.as_ref().map(show),
        ),
    }
}

fn show_parts(parts: &[TemplatePart]) -> String {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Text(text) => text.to_string(),
        TemplatePart::Interpolation(inner) => format!("${{{}}}", show(inner)),
        TemplatePart::If { condition, then, otherwise } => {
            format!("%{{if {}}}{}%{{else}}{}%{{endif}}", show(condition), show_parts(then), show_parts(otherwise))
        }
        TemplatePart::For { key, value, collection, body } => {
            format!("%{{for {key:?} {value} in {}}}{}%{{endfor}}", show(collection), show_parts(body))
        }
    };
    parts.iter().map(part).collect()
}

/// A body without its places.
pub(crate) fn show_body(body: &Body) -> String {
    let attributes = body.attributes.iter().map(|(name, a)| format!("{name} = {}; ", show(&a.expr)));
    let block = |b: &Block| {
        let labels: Vec<&str> = b.labels.iter().map(|(l, _)| &**l).collect();
        format!("{} {labels:?} {{{}}} ", b.kind, show_body(&b.body))
    };
    attributes.chain(body.blocks.iter().map(block)).collect()
}

fn expr(text: &str) -> String {
    show(&parse_expression(text, &file()).unwrap_or_else(|e| panic!("{text}: {e:?}")))
}

/// The errors of a file, each with the text at its place.
fn errors(text: &str) -> Vec<String> {
    let (_, diagnostics) = parse_file(text, &file());
    diagnostics.iter().map(|d| format!("{} at `{}`", d.summary, &text[d.labels[0].span.range()])).collect()
}

#[test]
fn operators_bind_as_terraform_has_them() {
    assert_eq!(expr("a || b && c == d + e * -f"), "(a Or (b And (c Eq (d Add (e Mul (-f))))))");
    assert_eq!(expr("a - b - c"), "((a Sub b) Sub c)");
    assert_eq!(expr("!a.b ? c : d ? e : f"), "((!a.b) ? c : (d ? e : f))");
    assert_eq!(expr("(a + b) * c"), "((a Add b) Mul c)");
    assert_eq!(expr("a < b == c"), "((a Less b) Eq c)");
}

#[test]
fn references_take_names_indices_and_splats() {
    assert_eq!(expr("a.b[\"c\"].0.1[d].e"), "a.b[\"c\"][0][1][d].e");
    assert_eq!(expr("a.*.b[0]"), "<a[*].b>[0]");
    assert_eq!(expr("a[*].b[0].c"), "<a[*].b[0].c>");
    assert_eq!(expr("f(a, b...)[0]"), "f(a, b...)[0]");
    assert_eq!(expr("provider::x::f(1,)"), "provider::x::f(1)");
}

#[test]
fn collections_and_loops_are_read() {
    assert_eq!(
        expr("{ a = 1, \"b c\" : 2\n (d) = 3\n \"${e}f\" = 4, for = 5 }"),
        "{\"a\" = 1, \"b c\" = 2, (d) = 3, (t\"${e}f\") = 4, \"for\" = 5}"
    );
    assert_eq!(
        expr("[\n for k, v in m : v if k != \"\"\n]"),
        "for(Some(\"k\") v in m: None => v if Some(\"(k NotEq \\\"\\\")\"))"
    );
    assert_eq!(expr("{ for v in l : v.k => v... }"), "for(None v in l: Some(\"v.k\") => v... if None)");
    assert_eq!(expr("[1,\n2,\n]"), "[1, 2]");
}

#[test]
fn templates_resolve_escapes_and_strip_markers() {
    assert_eq!(expr(r#""a\n\u00e9$${x}%%{y}$z%""#), r#""a\né${x}%{y}$z%""#);
    assert_eq!(expr("\"${x}\""), "x");
    assert_eq!(expr("\"a ${~ x ~} b\""), "t\"a${x}b\"");
    assert_eq!(expr("\"%{ if a }b%{ else }c%{ endif }\""), "t\"%{if a}b%{else}c%{endif}\"");
    assert_eq!(expr("\"%{ for k, v in m ~} ${v} %{~ endfor }\""), "t\"%{for Some(\"k\") v in m}${v}%{endfor}\"");
}

#[test]
fn heredocs_keep_lines_and_lose_indentation_on_request() {
    assert_eq!(expr("<<EOT\n  a\n b\\n\nEOT\n"), "\"  a\\n b\\\\n\\n\"");
    assert_eq!(expr("<<-EOT\n    a ${x}\n\n      b\n    EOT\n"), "t\"a ${x}\n\n  b\n\"");
    assert_eq!(
        expr("<<-EOT\n  %{ for v in l ~}\n  ${v}\n  %{ endfor ~}\n  EOT\n"),
        "t\"%{for None v in l}  ${v}\n%{endfor}\""
    );
}

#[test]
fn places_are_those_in_the_file() {
    let text = "stack \"é\" {\n  a = [var.x, \"${var.yy}\"]\n}\n";
    let (body, diagnostics) = parse_file(text, &file());
    assert!(diagnostics.is_empty());
    assert_eq!(&text[body.blocks[0].header.range()], "stack \"é\"");
    let a = &body.blocks[0].body.attributes["a"];
    assert_eq!(&text[a.name_span.range()], "a");
    let mut seen = Vec::new();
    a.expr.walk(&mut |e| seen.push(&text[e.span.range()]));
    assert_eq!(seen, ["[var.x, \"${var.yy}\"]", "var.x", "var", "\"${var.yy}\"", "var"]);
}

#[test]
fn every_syntax_error_of_a_file_is_reported_and_good_blocks_are_kept() {
    let text = "\
a {
  x = [1, 2
  y = 3
}

good \"one\" {
  x = 1
}

b {
  x = \"open
  y = ]
  z = 1
}

c \"l {
  x = 1
}

good \"two\" {
  x = <<EOT
b {
EOT
}
";
    assert_eq!(
        errors(text),
        [
            "expected `,` or `]`, found `y` at `y`",
            "the block `a` is not closed at `a`",
            "a string that is not closed on its line at `\"`",
            "expected a value, found `]` at `]`",
            "a string that is not closed on its line at `\"`",
        ]
    );
    let (body, _) = parse_file(text, &file());
    let kept: Vec<(&str, bool)> = body.blocks.iter().map(|b| (&*b.kind, b.broken)).collect();
    assert_eq!(kept, [("a", true), ("good", false), ("b", true), ("good", false)]);
    assert!(body.blocks[2].body.attributes.contains_key("z"));
}

#[test]
fn errors_say_what_was_meant() {
    for (text, hint) in [
        ("a: 1\n", "write NAME = VALUE"),
        ("a = 1 b = 2\n", "each attribute and each block has a line of its own"),
        ("a = { b.c = 1 }\n", "put it in parentheses"),
        ("a = \"${b: c}\"\n", "to have ${ as text"),
        ("a = \"\\d\"\n", "for a backslash write"),
        ("a = <<EOT\nb\n", "nothing but EOT"),
        ("a = {for x in y : x}\n", "write KEY => VALUE"),
        ("a = \"%{ fi x }\"\n", "directives are"),
        ("a = \"%{ if x }\"\n", "endif"),
        ("a {\n", "a `}` is missing"),
    ] {
        let (_, diagnostics) = parse_file(text, &file());
        let found = diagnostics.0[0].hint.clone().unwrap_or_default();
        assert!(found.contains(hint), "{text}: {diagnostics:?}");
    }
    assert_eq!(errors("a = 1\na = 2\n"), ["`a` is set twice at `a`"]);
    assert_eq!(errors("}\n"), ["a `}` that closes nothing at `}`"]);
}

#[test]
fn nothing_that_is_nested_or_long_overflows_the_stack() {
    let many = 100_000;
    for text in [
        "(".repeat(many),
        "[".repeat(many),
        "{a=".repeat(many),
        "-".repeat(many) + "1",
        "!".repeat(many) + "a",
        "a?".repeat(many),
        format!("a{}", ".b".repeat(many)),
        format!("a{}", "+a".repeat(many)),
        format!("a{}", "[0]".repeat(many)),
        "\"${".repeat(many),
        "f(".repeat(many),
        "[for x in ".repeat(many),
        format!("\"{}{}\"", "%{if a}".repeat(many), "%{endif}".repeat(many)),
    ] {
        assert!(parse_expression(&text, &file()).is_err());
        parse_file(&format!("a = {text}\n"), &file());
    }
    assert!(!errors(&"a {\n".repeat(many)).is_empty());
    // What people write is far from the bounds.
    let deep = format!("{}1{}", "[".repeat(90), "]".repeat(90));
    assert!(parse_expression(&deep, &file()).is_ok());
    let long = vec!["var.x"; 200].join(" + ");
    assert!(parse_expression(&long, &file()).is_ok());
}

#[test]
fn a_file_of_a_thousand_blocks_is_parsed_in_no_time() {
    let block =
        "helm \"x\" {\n  phase = phase.services\n  values = { a = { b = \"${var.x}-c\" } }\n  version = \"1\"\n}\n";
    let text = block.repeat(1000);
    let (body, diagnostics) = parse_file(&text, &file());
    assert!(diagnostics.is_empty());
    assert_eq!(body.blocks.len(), 1000);
}

proptest! {
    #[test]
    fn no_input_panics_and_every_place_can_be_shown(text in "(?s)[ a={}\"$%\\[\\]()<EOT\n\\-~:?.,*#/\\\\é0]{0,80}") {
        let (body, diagnostics) = parse_file(&text, &file());
        for d in &diagnostics {
            for label in &d.labels {
                prop_assert!(text.get(label.span.range()).is_some(), "{:?}", d);
            }
        }
        for attribute in body.attributes.values() {
            attribute.expr.walk(&mut |e| assert!(text.get(e.span.range()).is_some()));
        }
        let _ = parse_expression(&text, &file());
    }

    #[test]
    fn what_another_parser_of_hcl_takes_is_taken(text in "(a|b \"l\" \\{\n|\\}\n| = |1|var.x|\\[|\\]|\"s\"|\"\\$\\{a\\}\"|,|\n|\\(|\\)|\\+|\\?|:){0,20}") {
        if text.parse::<hcl_edit::structure::Body>().is_ok() {
            let (_, diagnostics) = parse_file(&text, &file());
            let syntax: Vec<_> = diagnostics.iter().filter(|d| d.code == "syntax").collect();
            prop_assert!(syntax.is_empty(), "{:?}", syntax);
        }
    }
}
