//! Graphs of small plans, told as their edges.

use super::*;
use crate::lang::{MemorySources, load};

/// Loads one file and builds its graph; the summaries of all problems.
fn check(text: &str) -> (Graph, Vec<String>) {
    let sources = MemorySources([("p/a.hcl".to_owned(), text.as_bytes().into())].into());
    let schema = crate::kinds::schema();
    let (configuration, diagnostics) = load(&sources, "p", schema);
    let configuration = configuration.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let (graph, problems) = build(&configuration, schema);
    let said = diagnostics.iter().chain(problems.iter()).map(ToString::to_string).collect();
    (graph, said)
}

fn before(graph: &Graph, address: &str) -> Vec<String> {
    let address: Address = address.parse().unwrap();
    graph.prerequisites(&Declaration::from(&address)).iter().map(|d| super::address(d).to_string()).collect()
}

const ENV: &str = "plan \"p\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\n";

#[test]
fn references_make_edges_through_locals() {
    let (graph, said) = check(&format!(
        "{ENV}locals {{ x = value.a.id }}\nvalue \"a\" {{ input = 1 }}\nvalue \"b\" {{ input = local.x }}\nvalue \"c\" {{\n  input = 1\n  depends_on = [value.b]\n}}\n"
    ));
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(before(&graph, "value.b"), ["value.a"]);
    assert_eq!(before(&graph, "value.c"), ["value.b"]);
}

#[test]
fn a_cycle_is_shown_whole() {
    let (_, said) = check(&format!(
        "{ENV}locals {{ x = value.b.id }}\nvalue \"a\" {{ input = local.x }}\nvalue \"b\" {{ input = value.a.id }}\n"
    ));
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["value.a", "value.b", "local.x", "needs"] {
        assert!(said[0].contains(part), "{said:?}");
    }
}

#[test]
fn depending_on_a_later_phase_is_an_error_and_no_cycle() {
    let (_, said) = check(&format!(
        "{ENV}phase \"one\" {{}}\nphase \"two\" {{ after = [phase.one] }}\nvalue \"a\" {{\n  phase = phase.one\n  input = value.b.id\n}}\nvalue \"b\" {{\n  phase = phase.two\n  input = 1\n}}\n"
    ));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("value.a in phase one depends on value.b in phase two"), "{said:?}");
}

#[test]
fn phases_are_barriers_and_never_all_to_all() {
    use std::fmt::Write as _;
    let mut text = format!("{ENV}phase \"one\" {{}}\nphase \"two\" {{ after = [phase.one] }}\n");
    for n in 0..100 {
        let phase = if n < 50 { "one" } else { "two" };
        writeln!(text, "value \"v{n}\" {{\n  phase = phase.{phase}\n  input = 1\n}}").unwrap();
    }
    let (graph, said) = check(&text);
    assert!(said.is_empty(), "{said:?}");
    assert!(graph.inner.edge_count() < 4 * 100 + 10, "{}", graph.inner.edge_count());
    let walk = Walk::new(&graph, &|_| true, &|_| 1);
    let mut walk = walk;
    let mut seen = Vec::new();
    while let Some(id) = walk.take() {
        seen.push(graph.inner[id].to_string());
        walk.done(&graph, id);
    }
    assert!(walk.finished());
    let at = |name: &str| seen.iter().position(|s| s == name).unwrap();
    assert!(at("value.v0") < at("phase.one") && at("phase.one") < at("value.v99"));
}
