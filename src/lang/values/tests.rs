//! Tests of values from outside.

use super::*;
use crate::lang::{MemorySources, load, test_schema::SCHEMA};

const PLAN: &str = r#"
plan "p" {}
environment "dev" {
  sandbox {}
}
variable "name" {
  type = string
}
variable "nodes" {
  type = object({ min = number, kinds = list(string) })
}
variable "token" {
  type      = string
  sensitive = true
}
variable "any" {
  default = 1
}
"#;

fn configuration(files: &[(&str, &str)]) -> (Configuration, MemorySources) {
    let mut sources = MemorySources::default();
    for (path, text) in files.iter().chain(&[("p/plan.hcl", PLAN)]) {
        sources.0.insert((*path).to_owned(), text.as_bytes().into());
    }
    let (configuration, diagnostics) = load(&sources, "p", &SCHEMA);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    (configuration.unwrap(), sources)
}

fn variables() -> Variables {
    configuration(&[]).0.root.variables.clone()
}

fn read(path: &str, text: &str) -> (Values, Diagnostics) {
    of_file(text.as_bytes(), path, Origin::File, &variables(), &mut SourceMap::default())
}

#[test]
fn the_three_formats_say_the_same() {
    let toml = "name = \"a\"\n[nodes]\nmin = 0x10\nkinds = [\"x\"]\n";
    let hcl = "name = \"a\"\nnodes = {\n  min = 16\n  kinds = [\"x\"]\n}\n";
    let json = r#"{"name": "a", "nodes": {"min": 16, "kinds": ["x"]}}"#;
    let wanted = read("v.toml", toml);
    assert!(wanted.1.is_empty(), "{:?}", wanted.1);
    assert_eq!(wanted.0.len(), 2);
    for (path, text) in [("v.hcl", hcl), ("v.json", json)] {
        let (values, diagnostics) = read(path, text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        for (name, given) in &wanted.0 {
            assert_eq!(values[name].value, given.value, "{path}");
            let span = values[name].span.clone().unwrap();
            assert_eq!(text[span.range()].trim_matches('"'), &**name);
        }
    }
}

#[test]
fn what_wins_is_what_is_given_last_by_rank_and_then_by_order() {
    let variables = variables();
    let from = |origin, text: &str| {
        let value = Value::string(text);
        Values::from([("name".into(), Given { value, origin, span: None })])
    };
    let merged = merge([from(Origin::Argument, "a"), from(Origin::Process, "p"), from(Origin::File, "f")]);
    assert_eq!(merged["name"].value.as_str(), Some("a"));
    let merged = merge([from(Origin::File, "1"), from(Origin::File, "2"), from(Origin::Environment, "e")]);
    assert_eq!(merged["name"].value.as_str(), Some("2"));
    let lacking = missing(&variables, &merged, "dev");
    let lacking: Vec<&str> = lacking.iter().map(|d| &*d.summary).collect();
    assert_eq!(lacking, ["the variable `nodes` has no value", "the variable `token` has no value"]);
}

#[test]
fn an_unknown_name_is_said_with_what_was_meant() {
    let (_, diagnostics) = read("v.toml", "nods = 1\n"); // spellchecker:disable-line
    assert_eq!(diagnostics.0[0].hint.as_deref(), Some("did you mean `nodes`?"));
    let (_, diagnostics) = of_arguments(["nam=x"], &variables()); // spellchecker:disable-line
    assert_eq!(diagnostics.0[0].hint.as_deref(), Some("did you mean `name`?"));
}

#[test]
fn a_sensitive_variable_is_refused_in_an_environments_file_and_marked_elsewhere() {
    let (configuration, sources) = configuration(&[("p/environments/dev.toml", "token = \"hunter2\"\nname = \"n\"\n")]);
    let mut texts = SourceMap::default();
    let (values, diagnostics) = of_environment(&sources, &configuration, "dev", &mut texts);
    assert_eq!(diagnostics.0[0].code, "sensitive_value");
    assert!(!format!("{diagnostics:?}").contains("hunter2"));
    assert_eq!(values.keys().map(|k| &**k).collect::<Vec<_>>(), ["name"]);
    assert!(texts.text("p/environments/dev.toml").is_some());
    let (values, _) = of_arguments(["token=hunter2"], &variables());
    assert!(values["token"].value.is_sensitive());
    assert_eq!(of_environment(&sources, &configuration, "tst", &mut texts), (Values::new(), Diagnostics::new()));
}

#[test]
fn arguments_are_text_for_strings_and_expressions_for_the_rest() {
    let variables = variables();
    let (values, diagnostics) =
        of_arguments(["name=[1]=x", "nodes={ min = -1, kinds = [\"a\"] }", "any=plain text"], &variables);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(values["name"].value.as_str(), Some("[1]=x"));
    assert_eq!(values["nodes"].value.get("min").and_then(Value::as_i64), Some(-1));
    assert_eq!(values["any"].value.as_str(), Some("plain text"));
    let (_, diagnostics) = of_arguments(["nodes=[", "name"], &variables);
    assert_eq!(diagnostics.0.len(), 2);
    let environment =
        BTreeMap::from([("TERRACE_VAR_name".to_owned(), "n".to_owned()), ("TERRACE_VAR_x".to_owned(), String::new())]);
    assert_eq!(of_process(&environment, &variables).0.len(), 1);
}

#[test]
fn broken_files_are_shown_where_they_break() {
    for (path, text) in [
        ("v.toml", "name = \n"),
        ("v.toml", "any = nan\n"),
        ("v.hcl", "name = var.x\n"),
        ("v.hcl", "name {\n}\n"),
        ("v.json", "{\"name\": é}"),
        ("v.json", "[]"),
        ("v.yaml", ""),
    ] {
        let (_, diagnostics) = read(path, text);
        assert!(diagnostics.has_errors(), "{path}: {text}");
        for label in diagnostics.iter().flat_map(|d| &d.labels) {
            assert!(text.get(label.span.range()).is_some(), "{path}: {text}");
        }
    }
}
