//! Tests of the formatter, against `terraform fmt` and by properties.

use super::*;
use crate::lang::parse::tests::show_body;
use proptest::prelude::*;

fn formatted(text: &str) -> String {
    format(text, &"t.hcl".into()).unwrap()
}

fn tree(text: &str) -> String {
    let (body, diagnostics) = parse_file(text, &"t.hcl".into());
    assert!(diagnostics.is_empty(), "{diagnostics:?}\n{text}");
    show_body(&body)
}

/// What was given to `terraform fmt` (1.11.4) and what came out of it.
const RECORDED: &str = include_str!("recorded.txt");

fn recorded() -> Vec<(&'static str, &'static str)> {
    RECORDED.split("======== given\n").skip(1).map(|case| case.split_once("-------- formatted\n").unwrap()).collect()
}

#[test]
fn what_terraform_formats_comes_out_the_same() {
    let cases = recorded();
    assert!(cases.len() > 20, "{}", cases.len());
    for (given, wanted) in cases {
        assert_eq!(formatted(given), wanted, "given:\n{given}");
    }
}

#[test]
fn a_file_with_a_syntax_error_stays_as_it_is() {
    assert!(format("a = [1, 2\n", &"t.hcl".into()).is_err());
}

#[test]
fn quotes_around_a_reference_go_and_comments_stay() {
    assert_eq!(formatted("a = \"${\"${var.x}\"}\"\n"), "a = var.x\n");
    assert_eq!(formatted("a = \"${ # why\n var.x }\"\n"), "a = \"${ # why\nvar.x}\"\n");
    assert_eq!(formatted("a {\n  b {}\n}\nstack network {\n}\n"), "a {\n  b {}\n}\nstack \"network\" {\n}\n");
}

/// Parts of files, good or bad together.
fn file() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "var.x",
        " = ",
        "=",
        " ",
        "  ",
        "\t",
        "\n",
        "\n\n",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ",",
        "\"",
        "${",
        "}",
        "%{if true}",
        "%{endif}",
        "~}",
        "# c\n",
        "/* c */",
        "// c\n",
        "<<EOT\n",
        "<<-EOT\n",
        "EOT\n",
        "  EOT\n",
        "1",
        "-",
        "!",
        "?",
        ":",
        "for x in ",
        "=>",
        "...",
        "&&",
        "==",
        ".",
        "*",
        "stack \"n\" {\n",
        "é",
        "\\n",
        "$${",
        "in",
        "a = 1\n",
        "x = { a = 1, b = [1] }\n",
        "a = \"${b}\"\n",
    ]);
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

/// Files that parse.
fn good_file() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "true",
        "null",
        "var.x",
        "\"s\"",
        "\"${var.x}\"",
        "\"a${ x }b%{ if y ~} c %{ endif }\"",
        "-1",
        "!a",
        "a-b",
        "f( a,b... )",
        "a [ 0 ]",
        "a[*].b",
        "<<EOT\n  x ${ y }\n z\nEOT\n",
        "<<-EOT\n    x\n      y\n    EOT\n",
        "\"é\"",
    ]);
    let expr = leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_filter("a heredoc ends a line", |e| e.iter().all(|e| !e.contains("EOT")))
                .prop_map(|e| format!("[{}]", e.join(" ,\n"))),
            (inner.clone(), inner.clone())
                .prop_filter("a heredoc ends a line", |(a, b)| !a.contains("EOT") && !b.contains("EOT"))
                .prop_map(|(a, b)| format!("{{ k={a} # c\n  longer  =   {b}\n }}")),
            (inner.clone(), inner.clone())
                .prop_filter("a heredoc ends a line", |(a, b)| !a.contains("EOT") && !b.contains("EOT"))
                .prop_map(|(a, b)| format!("({a}   +{b}\n)")),
            inner
                .prop_filter("a heredoc ends a line", |a| !a.contains("EOT"))
                .prop_map(|a| format!("\"${{\n {a} }}\"")),
        ]
    });
    let attribute =
        (0..100_u32, expr, prop::sample::select(vec!["\n", " # c\n", "\t// d\n", "\n\n\n"])).prop_map(|(n, e, end)| {
            let end = if e.ends_with('\n') { "" } else { end };
            format!("  a{n}{}= {e}{end}", " ".repeat(n as usize % 4))
        });
    let attributes =
        prop::collection::btree_map(0..1000_u32, attribute, 0..6).prop_map(|map| map.into_values().collect::<Vec<_>>());
    prop::collection::vec((attributes, prop::sample::select(vec!["b {", "b  \"l\" {", "b l{", "# c\nb {  # d"])), 0..4)
        .prop_map(|blocks| {
            let block = |(attributes, head): (Vec<String>, &str)| {
                let mut seen = std::collections::BTreeSet::new();
                let body: String = attributes
                    .into_iter()
                    .filter(|a| seen.insert(a.trim_start().split([' ', '=']).next().unwrap_or_default().to_owned()))
                    .collect();
                format!("{head}\n{body}}}\n")
            };
            blocks.into_iter().map(block).collect::<String>()
        })
}

fn comments(text: &str) -> Vec<String> {
    let all = tokens(text, 0..text.len());
    all.iter().filter(|t| t.kind == Kind::Comment).map(|t| t.text(text).to_owned()).collect()
}

proptest! {
    #[test]
    fn formatting_keeps_meaning_and_comments_and_is_done_once(text in good_file()) {
        let once = formatted(&text);
        prop_assert_eq!(tree(&once), tree(&text));
        prop_assert_eq!(comments(&once), comments(&text));
        prop_assert_eq!(formatted(&once), once);
    }

    #[test]
    fn formatting_anything_that_parses_keeps_it(text in file()) {
        if let Ok(once) = format(&text, &"t.hcl".into()) {
            prop_assert_eq!(tree(&once), tree(&text));
            prop_assert_eq!(comments(&once), comments(&text));
            prop_assert_eq!(formatted(&once), once);
        }
    }
}
