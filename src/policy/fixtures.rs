//! Rules held against their own fixtures: one that passes has to pass, one that fails has to fail, and by that very rule.

use super::{
    check::{Error, faults},
    material::as_judged,
    pack::{Fixture, On, Pack},
};
use crate::{
    base::{Diagnostic, Diagnostics, yaml},
    kinds::template_document,
    world::{Guard, GuardJob, GuardRequest, GuardText, Judged},
};
use serde_json::json;

/// What a fixture came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Proof {
    /// The pack.
    pub pack: String,
    /// The rule.
    pub rule: String,
    /// The fixture's file.
    pub file: String,
    /// Whether it has to pass.
    pub passes: bool,
    /// Why it is not as it has to be; `None` where it is.
    pub wrong: Option<String>,
}

/// Holds the rules of packs against their fixtures.
///
/// # Errors
/// Files of rules or fixtures that cannot be read, a process that gives no answer.
pub async fn prove(guard: &dyn Guard, packs: &[Pack]) -> Result<Vec<Proof>, Error> {
    let (mut jobs, mut of) = (Vec::new(), Vec::new());
    let mut problems = Diagnostics::new();
    for pack in packs {
        for file in &pack.files {
            let (mut data, mut here) = (Vec::new(), Vec::new());
            for fixture in pack.fixtures.iter().filter(|fixture| file.rules.contains(&fixture.rule)) {
                match documents(fixture, file.on) {
                    Ok(found) => {
                        here.push((pack, fixture, found.len()));
                        data.extend(found.into_iter().map(|text| GuardText { name: fixture.path.clone(), text }));
                    }
                    Err(why) => problems.push(
                        Diagnostic::error("policy_fixture", format!("{} cannot be read", fixture.path)).because(why),
                    ),
                }
            }
            jobs.push(GuardJob {
                rules: vec![GuardText { name: file.path.clone(), text: file.text.to_string() }],
                data,
            });
            of.push(here);
        }
    }
    if problems.has_errors() {
        return Err(Error::Problems(problems));
    }
    let answer = guard.judge(&GuardRequest::new(jobs)).await?;
    let faults = faults(&answer);
    if faults.has_errors() {
        return Err(Error::Problems(faults));
    }
    let mut proofs = Vec::new();
    for (here, judged) in of.into_iter().zip(&answer.jobs) {
        let mut judged = judged.as_slice();
        for (pack, fixture, count) in here {
            let (own, rest) = judged.split_at(count.min(judged.len()));
            judged = rest;
            proofs.push(Proof {
                pack: pack.name.clone(),
                rule: fixture.rule.clone(),
                file: fixture.path.clone(),
                passes: fixture.passes,
                wrong: wrong(fixture, own),
            });
        }
    }
    proofs.sort_by(|a, b| (&a.pack, &a.rule, &a.file).cmp(&(&b.pack, &b.rule, &b.file)));
    Ok(proofs)
}

/// A fixture as the documents that its rule looks at.
fn documents(fixture: &Fixture, on: On) -> Result<Vec<String>, String> {
    if on == On::Template {
        return Ok(vec![template_document(&fixture.path, &fixture.text).to_string()]);
    }
    let documents = yaml::documents(&fixture.text)?;
    let objects: Vec<_> = documents.iter().map(as_judged).collect();
    Ok(match on {
        On::Plan => documents.iter().map(ToString::to_string).collect(),
        On::Objects => vec![json!({ "objects": objects }).to_string()],
        On::Object | On::Template => objects.iter().map(ToString::to_string).collect(),
    })
}

fn wrong(fixture: &Fixture, judged: &[Judged]) -> Option<String> {
    let has = |list: fn(&Judged) -> &[String]| judged.iter().any(|j| list(j).contains(&fixture.rule));
    let (passed, failed) = (has(|j| &j.passed), has(|j| &j.failed));
    match (fixture.passes, passed, failed) {
        (true, _, true) => {
            let mut said = judged.iter().flat_map(|j| &j.violations).filter(|v| v.rule == fixture.rule);
            let at = said.next().map_or("", |violation| &*violation.path);
            Some(format!("it has to pass, and fails at {}", if at.is_empty() { "/" } else { at }))
        }
        (true, false, false) => Some("it has to pass, and the rule asks for nothing in it".to_owned()),
        (false, _, false) => Some("it has to fail, and does not".to_owned()),
        (true, true, false) | (false, _, true) => None,
    }
}
