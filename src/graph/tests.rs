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
fn a_module_that_is_rolled_out_is_drawn_and_what_refers_to_it_comes_after_its_bake() {
    let rollout =
        "rollout {\n  strategy = \"blue_green\"\n  traffic = traffic.t\n  steps = [50, 100]\n  bake = \"5m\"\n}";
    let text = format!(
        "{ENV}traffic \"t\" {{\n  service {{\n    name = \"t\"\n    namespace = \"t\"\n  }}\n}}\nmodule \"app\" {{\n  source = \"./app\"\n  {rollout}\n}}\nvalue \"after\" {{ input = module.app.x }}\n"
    );
    let inside = "value \"inner\" { input = 1 }\noutput \"x\" { value = value.inner.id }\n";
    let files = [("p/a.hcl", text.as_str()), ("p/app/a.hcl", inside)];
    let sources = MemorySources(files.map(|(name, text)| (name.to_owned(), text.as_bytes().into())).into());
    let schema = crate::kinds::schema();
    let (configuration, diagnostics) = load(&sources, "p", schema);
    let (graph, problems) = build(&configuration.unwrap_or_else(|| panic!("{diagnostics:?}")), schema);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(before(&graph, "module.app"), ["traffic.t", "module.app.value.inner"]);
    let drawn = dot(&graph);
    for edge in [
        "\"module.app.value.inner\" -> \"module.app\"",
        "\"module.app\" -> \"module.app: 50 %\"",
        "\"module.app: 100 %\" -> \"module.app: bake, 5m\"",
        "\"module.app: bake, 5m\" -> \"value.after\"",
    ] {
        assert!(drawn.contains(edge), "{edge} in {drawn}");
    }
    assert!(!drawn.contains("\"module.app.value.inner\" -> \"value.after\""), "{drawn}");
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

fn rolled_out(rollout: &str) -> Graph {
    let text = format!(
        "{ENV}phase \"services\" {{}}\nkubernetes \"main\" {{\n  kubeconfig {{}}\n}}\nvariable \"some\" {{\n  type    = any\n  default = 1\n}}\n\
         traffic \"web\" {{\n  phase = phase.services\n  service {{\n    namespace = \"a\"\n    name      = \"web\"\n  }}\n}}\n\
         helm \"web\" {{\n  phase = phase.services\n  chart = \"c\"\n  namespace = \"a\"\n  verify \"ready\" {{\n    tcp {{\n      host = \"a\"\n      port = 1\n    }}\n  }}\n\
         \x20 rollout {{\n    traffic = traffic.web\n{rollout}\n  }}\n}}\n\
         value \"after\" {{\n  phase = phase.services\n  input = helm.web.name\n}}\n"
    );
    let (graph, said) = check(&text);
    assert!(said.is_empty(), "{said:?}");
    graph
}

/// The edges of a drawing that have to do with what is rolled out.
fn drawn(graph: &Graph) -> Vec<String> {
    dot(graph)
        .lines()
        .filter(|line| line.contains("->") && line.contains("helm.web"))
        .map(str::trim)
        .map(str::to_owned)
        .collect()
}

const JUDGED: &str = "    verify \"errors\" {\n      tcp {\n        host = \"a\"\n        port = 1\n      }\n      every       = \"30s\"\n      consecutive = 3\n    }";

#[test]
fn a_blue_green_rollout_is_drawn_step_by_step_and_what_depends_on_it_comes_after_the_bake() {
    let steps = "    strategy = \"blue_green\"\n    steps    = [10, { weight = 50, pause = \"5m\" }, { weight = 100, pause = true }]\n    bake     = \"15m\"\n    keep     = \"1h\"\n";
    let graph = rolled_out(&format!("{steps}{JUDGED}"));
    assert_eq!(
        drawn(&graph),
        [
            r#""helm.web" -> "helm.web: verify""#,
            r#""helm.web: 10 %, 1m" -> "helm.web: 50 %, 5m""#,
            r#""helm.web: 100 %, until promoted" -> "helm.web: bake, 15m""#,
            r#""helm.web: 50 %, 5m" -> "helm.web: 100 %, until promoted""#,
            r#""helm.web: bake, 15m" -> "helm.web: old version retired after 1h""#,
            r#""helm.web: bake, 15m" -> "value.after""#,
            r#""helm.web: verify" -> "helm.web: 10 %, 1m""#,
            r#""traffic.web" -> "helm.web""#,
        ]
    );
    for drawing in [mermaid(&graph), svg(&graph)] {
        assert!(drawing.contains("helm.web: bake, 15m"), "{drawing}");
    }
    // A walk knows nothing of it.
    assert_eq!(before(&graph, "value.after"), ["helm.web"]);
    let told = json(&graph);
    let node = told["nodes"].as_array().unwrap().iter().find(|n| n["address"] == "helm.web").unwrap();
    assert_eq!(node["rollout"]["strategy"], "blue_green");
    let steps: Vec<String> = node["rollout"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| format!("{} {} {}", s["step"], s["weight"], s["expected"]))
        .collect();
    assert_eq!(
        steps,
        [
            "\"apply\" null null",
            "\"verify\" null null",
            "\"shift\" 10 60",
            "\"shift\" 50 300",
            "\"shift\" 100 null",
            "\"bake\" null 900",
            "\"retire\" null 3600",
        ]
    );
    let edge =
        |from: &str, to: &str| told["edges"].as_array().unwrap().contains(&serde_json::json!({"from": from, "to": to}));
    assert!(edge("helm.web", "value.after"));
}

#[test]
fn a_canary_ends_with_the_stable_version_and_what_is_not_written_out_is_one_step() {
    let graph =
        rolled_out(&format!("    strategy = \"canary\"\n    steps    = [var.some]\n    bake     = \"5m\"\n{JUDGED}"));
    let steps: Vec<String> = graph.rollouts.values().flat_map(Outline::told).map(|(_, words)| words).collect();
    assert_eq!(steps, ["new version", "verify", "steps", "bake, 5m", "stable updated", "canary retired"]);
    assert!(drawn(&graph).contains(&r#""helm.web: stable updated" -> "value.after""#.to_owned()));
}

#[test]
fn what_is_changed_in_place_is_one_node() {
    for rollout in ["    strategy = \"rolling\"", "    strategy = var.some"] {
        let graph = rolled_out(rollout);
        assert!(graph.rollouts.is_empty());
        assert_eq!(drawn(&graph).len(), 2, "{:?}", drawn(&graph));
    }
}
