//! What a run left: how it ended, what failed and why, what needs a person, and what to do next.

use crate::{
    apply::Report,
    base::{Address, RunEnd, format_duration},
    cli::style::{bold, clean, green, red, wrap, yellow},
};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// The report for a person. `rest` is the file of the plan for what is left.
pub(crate) fn render(report: &Report, rest: Option<&str>, width: usize) -> String {
    let mut out = String::from("\n");
    failures(report, width, &mut out);
    let did: Vec<String> = report
        .counts
        .iter()
        .filter(|(what, count)| **count > 0 && what.as_str() != "failed")
        .map(|(what, count)| format!("{count} {}", past(what)))
        .collect();
    // What was cut off in its middle is in no count, and may have changed something.
    let nothing = match report.end {
        RunEnd::RolledBack if !report.undone.is_empty() => "what it had done was undone",
        RunEnd::RolledBack if !report.failures.is_empty() => "what failed was taken back",
        RunEnd::Succeeded | RunEnd::RolledBack => "nothing was changed",
        _ if report.failures.is_empty() && report.stuck.is_empty() => "nothing was finished",
        _ => "nothing was finished, and what had begun may have changed a part",
    };
    let did = if did.is_empty() { nothing.to_owned() } else { did.join(", ") };
    let time = format_duration(report.elapsed);
    let (word, next) = match report.end {
        RunEnd::Succeeded => (green(bold("Done")), None),
        RunEnd::Failed => {
            (red(bold("Failed")), Some("mend the cause and run it again: what was done is kept".to_owned()))
        }
        RunEnd::RolledBack => {
            (red(bold("Failed, and rolled back")), Some("mend the cause and run it again".to_owned()))
        }
        RunEnd::Stuck => (red(bold("Stuck")), Some("a person is needed; terrace doctor says for what".to_owned())),
        RunEnd::BeyondPlan => (
            yellow(bold("Stopped before going beyond the plan")),
            rest.map(|file| format!("look at what is left with terrace show {file}, then terrace apply {file}")),
        ),
        RunEnd::Interrupted => (
            yellow(bold("Interrupted")),
            Some("terrace resume goes on, terrace resume --rollback takes it back".to_owned()),
        ),
    };
    let _ = writeln!(out, "{word}: {did} in {time}.");
    if let Some(next) = next {
        let _ = writeln!(out, "Next: {next}");
    }
    out
}

fn failures(report: &Report, width: usize, out: &mut String) {
    let mut lines = |mark: String, address: &Address, why: &str| {
        let _ = writeln!(out, "{mark} {}", bold(clean(address.as_str())));
        for line in wrap(&clean(why), width.saturating_sub(4)) {
            let _ = writeln!(out, "    {line}");
        }
    };
    for (address, why) in &report.failures {
        lines(red("failed"), address, why);
    }
    for (address, why) in &report.beyond {
        lines(yellow("beyond the plan"), address, why);
    }
    for (address, why, command) in &report.stuck {
        lines(red("stuck"), address, &format!("{why}\nrun: {command}"));
    }
    for (address, what, ok) in &report.undone {
        lines(if *ok { "undone".to_owned() } else { red("not undone") }, address, what);
    }
}

fn past(what: &str) -> &str {
    match what {
        "create" => "created",
        "update" => "updated",
        "replace" => "replaced",
        "destroy" => "destroyed",
        "import" => "imported",
        "forget" => "forgotten",
        "verify" => "verified",
        "read" => "read",
        other => other,
    }
}

/// The report for programs. Sensitive outputs are left out of it.
pub(crate) fn json(report: &Report, rest: Option<&str>) -> Json {
    let pairs = |pairs: &[(Address, String)]| -> Vec<Json> {
        pairs.iter().map(|(address, why)| json!({ "address": address, "why": why })).collect()
    };
    let stuck: Vec<Json> = report
        .stuck
        .iter()
        .map(|(address, why, command)| json!({ "address": address, "why": why, "command": command }))
        .collect();
    let undone: Vec<Json> =
        report.undone.iter().map(|(address, what, ok)| json!({ "address": address, "what": what, "ok": ok })).collect();
    let outputs: serde_json::Map<String, Json> = report
        .outputs
        .iter()
        .map(|(name, value)| {
            let hidden = value.has_sensitive();
            let shown = if hidden { Json::Null } else { value.to_json_lossy() };
            (name.to_string(), json!({ "value": shown, "sensitive": hidden }))
        })
        .collect();
    json!({
        "run": report.run, "end": report.end, "elapsed": report.elapsed.as_secs_f64(), "counts": report.counts,
        "failures": pairs(&report.failures), "beyond": pairs(&report.beyond), "stuck": stuck, "undone": undone,
        "outputs": outputs, "rest": rest,
    })
}
