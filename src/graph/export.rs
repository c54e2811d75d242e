//! The graph as dot, mermaid, JSON or SVG, phases as clusters. What is rolled out by colours is drawn step by step.

use crate::{
    graph::{Graph, Id, Node},
    lang::Declaration,
    rollout::{Leg, Outline},
};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

/// What is drawn: declarations by phase, and the edges between them with everything in between left out.
struct Picture {
    /// Phase (empty where none) to declarations, both in order.
    clusters: Vec<(Arc<str>, Vec<String>)>,
    /// From what comes first to what comes after.
    edges: Vec<(String, String)>,
    /// Between phases.
    phases: Vec<(Arc<str>, Arc<str>)>,
}

/// `stepwise` draws what is rolled out step by step; without it every declaration is one node.
fn picture(graph: &Graph, stepwise: bool) -> Picture {
    let mut by_phase: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
    let mut edges = Vec::new();
    // What depends on something that is rolled out comes after the last of its steps.
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let mut steps = Vec::new();
    for node in graph.index.keys() {
        // A module call is drawn only where it is rolled out as a whole: what comes after it then comes after its steps.
        let is_drawn = |unit: &Declaration| !unit.is_call() || graph.rollouts.contains_key(unit);
        let Some(declaration) = node.unit().filter(is_drawn) else { continue };
        let nodes = by_phase.entry(graph.phase_of(&declaration)).or_default();
        nodes.push(node.to_string());
        let before = graph.prerequisites(&declaration);
        let in_another = |inner: &Declaration| before.iter().any(|call| call.calls(inner));
        for before in before.iter().filter(|before| !in_another(before)) {
            edges.push((crate::graph::address(before).to_string(), node.to_string()));
        }
        let Some(outline) = graph.rollouts.get(&declaration).filter(|_| stepwise) else { continue };
        let mut before = node.to_string();
        for (leg, words) in outline.told().filter(|(leg, _)| *leg != Leg::Apply) {
            let step = format!("{node}: {words}");
            nodes.push(step.clone());
            steps.push((before.clone(), step.clone()));
            before = step;
            if leg != Leg::Retire {
                last.insert(node.to_string(), before.clone());
            }
        }
    }
    for (from, _) in &mut edges {
        if let Some(last) = last.get(from) {
            from.clone_from(last);
        }
    }
    edges.extend(steps);
    let mut clusters: Vec<_> = by_phase.remove("").map(|nodes| (Arc::from(""), nodes)).into_iter().collect();
    clusters.extend(graph.phases.iter().map(|p| (p.clone(), by_phase.remove(p).unwrap_or_default())));
    edges.sort();
    edges.dedup();
    Picture { clusters, edges, phases: phase_edges(graph) }
}

fn phase_edges(graph: &Graph) -> Vec<(Arc<str>, Arc<str>)> {
    let mut out = Vec::new();
    for phase in &graph.phases {
        let Some(start) = graph.id(&Node::PhaseStart(phase.clone())) else { continue };
        let mut before: Vec<Id> = graph.inner.neighbors_directed(start, petgraph::Incoming).collect();
        before.sort_by_key(|id| graph.inner[*id].clone());
        for id in before {
            if let Node::PhaseEnd(earlier) = &graph.inner[id] {
                out.push((earlier.clone(), phase.clone()));
            }
        }
    }
    out
}

/// Graphviz.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let picture = picture(graph, true);
    let quote = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph plan {\n  rankdir = LR\n  node [shape = box]\n");
    for (at, (phase, nodes)) in picture.clusters.iter().enumerate() {
        if phase.is_empty() {
            for n in nodes {
                let _ = writeln!(out, "  {}", quote(n));
            }
            continue;
        }
        let _ = writeln!(out, "  subgraph cluster_{at} {{\n    label = {}", quote(&format!("phase {phase}")));
        for n in nodes {
            let _ = writeln!(out, "    {}", quote(n));
        }
        out.push_str("  }\n");
    }
    for (from, to) in &picture.edges {
        let _ = writeln!(out, "  {} -> {}", quote(from), quote(to));
    }
    out.push_str("}\n");
    out
}

/// Mermaid.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let picture = picture(graph, true);
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    for node in picture.clusters.iter().flat_map(|(_, nodes)| nodes) {
        let id = format!("n{}", ids.len());
        ids.insert(node, id);
    }
    let mut out = String::from("flowchart LR\n");
    for (at, (phase, nodes)) in picture.clusters.iter().enumerate() {
        if !phase.is_empty() {
            let _ = writeln!(out, "  subgraph p{at}[\"phase {phase}\"]");
        }
        for node in nodes {
            let _ = writeln!(out, "    {}[\"{}\"]", ids[node.as_str()], node.replace('"', "#quot;"));
        }
        if !phase.is_empty() {
            out.push_str("  end\n");
        }
    }
    for (from, to) in &picture.edges {
        if let (Some(from), Some(to)) = (ids.get(from.as_str()), ids.get(to.as_str())) {
            let _ = writeln!(out, "  {from} --> {to}");
        }
    }
    out
}

/// JSON, versioned: `{"version":1,"phases":[..],"nodes":[{"address","phase"}],"edges":[{"from","to"}]}`. What is rolled out by colours has a
/// `rollout` as well: `{"strategy","steps":[{"step","weight","expected"}]}`, seconds; its edges are those of the whole.
#[must_use]
pub fn json(graph: &Graph) -> serde_json::Value {
    let picture = picture(graph, false);
    let rollouts: BTreeMap<String, serde_json::Value> =
        graph.rollouts.iter().map(|(d, outline)| (crate::graph::address(d).to_string(), steps(outline))).collect();
    let nodes: Vec<_> = picture
        .clusters
        .iter()
        .flat_map(|(phase, nodes)| {
            let rollouts = &rollouts;
            nodes.iter().map(move |n| {
                let phase = if phase.is_empty() { None } else { Some(&**phase) };
                let mut node = serde_json::json!({ "address": n, "phase": phase });
                if let Some(rollout) = rollouts.get(n) {
                    node["rollout"] = rollout.clone();
                }
                node
            })
        })
        .collect();
    serde_json::json!({
        "version": 1,
        "phases": graph.phases.iter().map(|p| serde_json::json!({
            "name": &**p,
            "after": picture.phases.iter().filter(|(_, to)| to == p).map(|(from, _)| &**from).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "nodes": nodes,
        "edges": picture.edges.iter().map(|(from, to)| serde_json::json!({ "from": from, "to": to })).collect::<Vec<_>>(),
    })
}

fn steps(outline: &Outline) -> serde_json::Value {
    let step = |(leg, expected): &(Leg, Option<Duration>)| {
        let mut step = serde_json::json!({ "step": leg.word(), "expected": expected.map(|time| time.as_secs()) });
        if let Leg::Shift { weight, person } = leg {
            step["weight"] = (*weight).into();
            step["until_promoted"] = (*person).into();
        }
        step
    };
    serde_json::json!({ "strategy": outline.strategy, "steps": outline.legs.iter().map(step).collect::<Vec<_>>() })
}

const ROW: usize = 34;
const CHARACTER: usize = 8;
const MARGIN: usize = 16;

/// A self-contained SVG: one column a phase, an arrow an edge. For bigger graphs use dot.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let picture = picture(graph, true);
    let escape = |s: &str| s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut body = String::new();
    let mut place: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let (mut x, mut height) = (MARGIN, 0);
    for (phase, nodes) in picture.clusters.iter().filter(|(_, nodes)| !nodes.is_empty()) {
        let longest = nodes.iter().map(|n| n.chars().count()).chain([phase.chars().count() + 6]).max().unwrap_or(0);
        let width = longest * CHARACTER + 2 * MARGIN;
        let tall = (nodes.len() + 1) * ROW + MARGIN;
        let title = if phase.is_empty() { "data".to_owned() } else { format!("phase {phase}") };
        let _ = writeln!(
            body,
            "<rect class=\"phase\" x=\"{x}\" y=\"{MARGIN}\" width=\"{width}\" height=\"{tall}\" rx=\"6\"/><text class=\"title\" x=\"{}\" y=\"{}\">{}</text>",
            x + MARGIN,
            MARGIN + 22,
            escape(&title)
        );
        for (row, node) in nodes.iter().enumerate() {
            let y = MARGIN + (row + 1) * ROW;
            let inner = width - 2 * MARGIN;
            let _ = writeln!(
                body,
                "<rect class=\"node\" x=\"{}\" y=\"{y}\" width=\"{inner}\" height=\"{}\" rx=\"4\"/><text x=\"{}\" y=\"{}\">{}</text>",
                x + MARGIN,
                ROW - 8,
                x + MARGIN + 8,
                y + 18,
                escape(node)
            );
            place.insert(node, (x + MARGIN, x + MARGIN + inner, y + (ROW - 8) / 2));
        }
        x += width + 4 * MARGIN;
        height = height.max(tall + 2 * MARGIN);
    }
    for (from, to) in &picture.edges {
        let (Some((_, right, y1)), Some((left, to_right, y2))) = (place.get(from.as_str()), place.get(to.as_str()))
        else {
            continue;
        };
        let (end, bend) = if left >= right { (*left, (left - right) / 2) } else { (*to_right, 3 * MARGIN) };
        let second = if left >= right { end - bend } else { end + bend };
        let _ = writeln!(
            body,
            "<path class=\"edge\" d=\"M{right},{y1} C{},{y1} {second},{y2} {end},{y2}\" marker-end=\"url(#arrow)\"/>",
            right + bend
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{x}\" height=\"{height}\" viewBox=\"0 0 {x} {height}\" font-family=\"ui-monospace,monospace\" font-size=\"13\">\n\
         <style>.phase{{fill:#f4f6f8;stroke:#b8c0c8}}.node{{fill:#fff;stroke:#5b6770}}.edge{{fill:none;stroke:#5b6770}}.title{{font-weight:bold}}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#5b6770\"/></marker></defs>\n\
         {body}</svg>\n"
    )
}
