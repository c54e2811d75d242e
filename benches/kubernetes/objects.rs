//! A thousand objects, beside kubectl.

use crate::{Asked, Bench, Row, write};
use std::{fmt::Write as _, path::Path};

/// How many objects there are.
pub(crate) const COUNT: usize = 1000;
/// Rounds; each tool once in each, in a new namespace.
pub(crate) const ROUNDS: usize = 3;
/// Objects in a file.
const FILE: usize = 100;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>, String> {
    let apply = "kubectl apply --server-side";
    let mut rows = [
        Row::new("1,000 objects: apply", apply, Asked::Faster(10.0)),
        Row::new("apply again, nothing changed", apply, Asked::Faster(10.0)),
        Row::new("change 10 of them", apply, Asked::Faster(10.0)),
        Row::new("plan of the same, nothing changed", "kubectl diff --server-side", Asked::Faster(4.0)),
    ];
    let kubectl = crate::built("kubectl")?;
    let own = ["apply", "bench", "--env", "dev", "--auto-approve"];
    for round in 0..ROUNDS {
        let namespace = bench.cluster.namespace("own");
        let project = bench.project(&format!("objects-{round}"));
        write(
            &project.join("plans/bench/objects.hcl"),
            &format!("manifest \"objects\" {{\n  yaml      = \"objects\"\n  namespace = \"{namespace}\"\n}}\n"),
        );
        let folder = project.join("objects");
        objects(&folder, 0);
        rows[0].own.push(bench.terrace(&own, &project)?);
        rows[1].own.push(bench.terrace(&own, &project)?);
        objects(&folder, 10);
        rows[2].own.push(bench.terrace(&own, &project)?);
        rows[3].own.push(bench.terrace(&["plan", "bench", "--env", "dev"], &project)?);
        held(bench, &namespace)?;

        let namespace = bench.cluster.namespace("peer");
        let words = ["apply", "--server-side", "--namespace", &namespace, "--filename", "objects"];
        objects(&folder, 0);
        rows[0].peer.push(bench.step(&kubectl, &words, &project)?);
        rows[1].peer.push(bench.step(&kubectl, &words, &project)?);
        objects(&folder, 10);
        rows[2].peer.push(bench.step(&kubectl, &words, &project)?);
        let words = ["diff", "--server-side", "--namespace", &namespace, "--filename", "objects"];
        rows[3].peer.push(bench.step(&kubectl, &words, &project)?);
        held(bench, &namespace)?;
    }
    Ok(rows.into())
}

/// Writes all objects, the first ConfigMaps changed.
fn objects(folder: &Path, changed: usize) {
    for file in 0..COUNT / FILE {
        let mut text = String::new();
        for index in file * FILE..(file + 1) * FILE {
            let _ = match index % 10 {
                8 => writeln!(
                    text,
                    "---\napiVersion: v1\nkind: Service\nmetadata: {{ name: o{index:04} }}\nspec:\n  selector: {{ app: o{index:04} }}\n  ports: [{{ name: http, port: 80, protocol: TCP, targetPort: 8080 }}]"
                ),
                9 => writeln!(
                    text,
                    "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{ name: o{index:04}, labels: {{ app: o{index:04} }} }}"
                ),
                _ => {
                    // Of each file the first, so that changes lie apart.
                    let value = if index % FILE == 0 && index / FILE < changed { "changed" } else { "first" };
                    writeln!(
                        text,
                        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: o{index:04}, labels: {{ app: o{index:04} }} }}\ndata:\n  a: {value}\n  b: \"{index}\""
                    )
                }
            };
        }
        write(&folder.join(format!("{file:02}.yaml")), &text);
    }
}

/// That the tool did what it was to do: all ConfigMaps are there, ten of them changed.
fn held(bench: &Bench, namespace: &str) -> Result<(), String> {
    let maps = bench.cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector=app")).ok();
    let items = maps["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let changed = items.iter().filter(|map| map["data"]["a"] == "changed").count();
    let (all, expected) = (items.len(), COUNT / 10 * 8);
    if (all, changed) == (expected, 10) {
        Ok(())
    } else {
        Err(format!("{namespace} holds {all} ConfigMaps of {expected}, and {changed} changed of 10"))
    }
}
