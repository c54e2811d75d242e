//! Functions and expressions against what `terraform console` printed for them, as recorded in terraform.txt by
//! tools/record-functions/record; and the functions that read files or the time, against the project's own sources.

#![expect(clippy::format_push_string, reason = "a page is put together once")]

use super::*;
use crate::{
    base::Diagnostics,
    lang::{
        EnvValues, Evaluator, Given, MemorySources, load, parse::parse_expression, show::show, test_schema::SCHEMA,
    },
};

const HEAD: &str = "plan \"p\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\nlocals {\n  secret = sensitive(\"s\")\n}\nvalue \"later\" {}\n";

/// Where Terrace differs on purpose, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("length([\"a\"])/length([\"a\",\"b\",\"c\"])", "Terraform counts in 64 bits, and here a number is a number"),
    ("format(\"%s\", null)", "an error in place of a result that is never known"),
    ("yamldecode(\"a: !!int \\\"5\\\"\\nb: !!float 1\\nc: !!bool yes\\n\")", "a tag that says int makes a number"),
];

fn evaluator() -> Evaluator {
    let mut sources = MemorySources::default();
    for (path, text) in [
        ("plan/a.hcl", HEAD),
        ("plan/files/a.json", "{\"x\": 1}"),
        ("plan/files/sub/b.json", "{}"),
        ("plan/files/c.txt", "text"),
        ("plan/files/t.tftpl", "Hello ${name}!\n%{ for x in items ~}\n- ${x}\n%{ endfor ~}\nend"),
    ] {
        sources.0.insert(path.into(), text.as_bytes().into());
    }
    sources.0.insert("plan/files/raw".into(), [0xff, 0xfe][..].into());
    let sources = Arc::new(sources);
    let (configuration, diagnostics) = load(&*sources, "plan", &SCHEMA);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    let given = Given {
        env: EnvValues { name: "dev".into(), region: "us-east-1".into(), account_id: "000000000000".into() },
        variables: [].into(),
        plan_time: "2026-01-02T03:04:05Z".parse().unwrap(),
    };
    Evaluator::new(Arc::new(configuration.unwrap()), given, sources, &SCHEMA).0
}

fn ask(evaluator: &mut Evaluator, expression: &str) -> Result<Value, Diagnostics> {
    let parsed = parse_expression(expression, &"<test>".into())?;
    evaluator.expression(&[], &parsed)
}

fn shown(expression: &str) -> String {
    match ask(&mut evaluator(), expression) {
        Ok(value) => show(&value),
        Err(diagnostics) => diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn every_recorded_expression_has_terraforms_result() {
    let mut evaluator = evaluator();
    let mut wrong = Vec::new();
    let table = include_str!("terraform.txt");
    let mut entries: Vec<(&str, String)> = Vec::new();
    for line in table.lines().filter(|l| !l.starts_with('#')) {
        match (line.strip_prefix("> "), entries.last_mut()) {
            (Some(expression), _) => entries.push((expression, String::new())),
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(entries.len() > 300, "the table is there");
    for (expression, expected) in &entries {
        let result = ask(&mut evaluator, expression);
        let found = match &result {
            Ok(value) => show(value) + "\n",
            Err(_) => "error\n".to_owned(),
        };
        let differs = DIFFERENT.iter().any(|(known, _)| known == expression);
        // Nulls have no type here.
        let expected = &expected.replace("tostring(null)", "null").replace("tobool(null)", "null");
        if (found == *expected) == differs {
            wrong.push(format!("> {expression}\nterraform: {expected}terrace:   {found}{result:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), entries.len(), wrong.join("\n"));
}

#[test]
fn the_table_is_in_order_and_says_of_every_function_what_it_does() {
    let names: Vec<&str> = names().collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted);
    for function in all() {
        assert!(!function.doc.is_empty(), "{}", function.name);
        assert_eq!(find(function.name).map(|f| f.name), Some(function.name));
    }
}

#[test]
fn the_documentation_lists_every_function() {
    let mut expected = String::new();
    for (family, table) in FAMILIES {
        expected.push_str(&format!("\n## {family}\n\n| function | gives |\n|---|---|\n"));
        for function in table {
            expected.push_str(&format!("| `{}` | {} |\n", function.signature(), function.doc));
        }
    }
    let documented = include_str!("../../../docs/functions.md");
    assert!(documented.ends_with(&expected), "docs/functions.md should end with:\n{expected}");
}

#[test]
fn files_are_read_from_the_projects_folder() {
    assert_eq!(shown("file(\"${path.root}/files/c.txt\")"), "\"text\"");
    assert_eq!(shown("jsondecode(file(\"plan/files/a.json\")).x"), "1");
    assert_eq!(shown("fileexists(\"plan/files/none\")"), "false");
    assert_eq!(shown("filebase64(\"plan/files/raw\")"), "\"//4=\"");
    assert_eq!(shown("filemd5(\"plan/files/c.txt\") == md5(\"text\")"), "true");
    assert_eq!(shown("fileset(\"plan/files\", \"**/*.json\")"), "toset([\n  \"a.json\",\n  \"sub/b.json\",\n])");
    assert_eq!(shown("fileset(\"plan\", \"files/{a,c}.*\")"), "toset([\n  \"files/a.json\",\n  \"files/c.txt\",\n])");
    assert_eq!(
        shown("templatefile(\"plan/files/t.tftpl\", { name = \"you\", items = [1, 2] })"),
        "<<EOT\nHello you!\n- 1\n- 2\nend\nEOT"
    );
    for (expression, expected) in [
        ("file(\"plan/files/raw\")", "is not UTF-8"),
        ("file(\"c.txt\")", "paths start at the project's folder"),
        ("file(\"../x\")", "leads out of the project"),
        ("templatefile(\"plan/files/t.tftpl\", { items = [] })", "there is no `name` here"),
        ("templatefile(\"plan/files/t.tftpl\", { name = path.root, items = [1] }).x", "has no attribute"),
    ] {
        let found = shown(expression);
        assert!(found.contains(expected), "{expression}: {found}");
    }
}

#[test]
fn the_time_is_the_plans() {
    assert_eq!(shown("timestamp()"), "\"2026-01-02T03:04:05Z\"");
    assert_eq!(shown("plantimestamp() == timestamp()"), "true");
}

#[test]
fn networks_contain_addresses_and_networks() {
    for (expression, expected) in [
        ("cidrcontains(\"10.0.0.0/8\", \"10.1.2.3\")", "true"),
        ("cidrcontains(\"10.0.0.0/8\", \"11.0.0.0/16\")", "false"),
        ("cidrcontains(\"10.0.0.0/8\", \"10.0.0.0/7\")", "false"),
        ("cidrcontains(\"fd00::/8\", \"fd12::1\")", "true"),
    ] {
        assert_eq!(shown(expression), expected, "{expression}");
    }
}

#[test]
fn what_functions_leave_out_says_what_to_do() {
    for (expression, expected) in [
        ("abspath(\"x\")", "there is no function `abspath`"),
        ("upper()", "`upper` takes 1 argument, not 0"),
        ("upper([])", "`upper`, `string`: a string is required, not a tuple: upper(string): the string in upper case"),
        ("join(\",\", [null])", "an element is null"),
        ("upper(null)", "it must not be null"),
        ("upper([\"a\"]...)", "\"A\""),
    ] {
        let found = shown(expression);
        assert!(found.contains(expected), "{expression}: {found}");
    }
}

#[test]
fn marks_pass_through_functions_part_by_part() {
    for (expression, expected) in [
        ("upper(local.secret)", "(sensitive value)"),
        ("merge({ a = 1 }, { b = local.secret })", "{\n  \"a\" = 1\n  \"b\" = (sensitive value)\n}"),
        ("keys({ a = local.secret })", "[\n  \"a\",\n]"),
        ("length([local.secret])", "1"),
        ("jsonencode({ a = local.secret })", "(sensitive value)"),
        ("lookup({ a = local.secret, b = 2 }, \"b\")", "2"),
        ("lookup({ b = 2 }, \"b\", local.secret)", "2"),
        ("coalesce(\"a\", local.secret)", "\"a\""),
        ("values({ a = value.later.output, b = 1 })", "[\n  (known after apply),\n  1,\n]"),
        ("length(value.later.output)", "(known after apply)"),
        ("length([value.later.output])", "1"),
        ("upper(value.later.output)", "(known after apply)"),
        ("join(\",\", [\"a\", value.later.output])", "(known after apply)"),
        ("contains([\"a\", value.later.output], \"a\")", "true"),
        ("contains([\"b\", value.later.output], \"a\")", "(known after apply)"),
        ("try(value.later.output.x, 1)", "(known after apply)"),
        ("issensitive(local.secret)", "true"),
        ("nonsensitive(local.secret)", "\"s\""),
        ("concat([1], [value.later.output])", "[\n  1,\n  (known after apply),\n]"),
        ("toset([local.secret])", "(sensitive value)"),
    ] {
        assert_eq!(shown(expression), expected, "{expression}");
    }
    let problem = shown("tonumber(local.secret)");
    assert!(problem.contains("(they are sensitive)"), "{problem}");
}
