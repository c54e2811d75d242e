//! What the process that judges does: Guard over texts in memory, its report brought to an answer of our own.
//!
//! Source of the report's form: `FileReport` of cfn-guard 3.2, as `validate --structured --output-format json` prints it.

use crate::world::{GuardAnswer, GuardFault, GuardJob, GuardRequest, GuardText, Judged, Violation};
use cfn_guard::{
    CommandBuilder as _, ValidateBuilder,
    commands::{
        Executable as _,
        validate::{OutputFormatType, ShowSummaryType},
    },
    utils::{
        reader::{ReadBuffer, Reader},
        writer::{WriteBuffer, Writer},
    },
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Cursor,
};

/// Guard's exit code where a file of rules is none.
const NOT_PARSED: i32 = 5;

/// Judges. Before each file of rules is tried by itself `at` is told its name; before all of them are at work together, an empty one:
/// what ends the process then can be named.
#[must_use]
pub fn judge(request: &GuardRequest, at: &mut dyn FnMut(&str)) -> GuardAnswer {
    let mut answer = GuardAnswer::default();
    for file in request.jobs.iter().flat_map(|job| &job.rules) {
        at(&file.name);
        answer.faults.extend(unread(file));
    }
    if !answer.faults.is_empty() {
        return answer;
    }
    at("");
    for job in &request.jobs {
        match job_of(&job.rules, &job.data) {
            Ok(found) => answer.jobs.push(found),
            Err(why) => answer.faults.extend(at_fault(job, why)),
        }
    }
    if !answer.faults.is_empty() {
        answer.jobs.clear();
    }
    answer
}

/// Why a file of rules is none.
fn unread(file: &GuardText) -> Option<GuardFault> {
    let fault = |why: String| Some(GuardFault { name: file.name.clone(), why });
    let ended = match run(&[file], &[]) {
        Ok(ended) => ended,
        Err(why) => return fault(why),
    };
    if ended.code != NOT_PARSED {
        return None;
    }
    let said = ended.writer.err_to_stripped().unwrap_or_default();
    // "Parsing error handling rule file = NAME, Error = WHY\n---"
    let why = said.split_once("Error = ").map_or(said.as_str(), |(_, why)| why);
    fault(why.trim_end().trim_end_matches("---").trim().replace("RULES_STDIN[1]", &file.name))
}

/// Which file or document of a job Guard will not go on with.
fn at_fault(job: &GuardJob, why: String) -> Vec<GuardFault> {
    let fault = |text: &GuardText, why: String| GuardFault { name: text.name.clone(), why };
    let mut found = Vec::new();
    for document in &job.data {
        let alone = std::slice::from_ref(document);
        if let Err(why) = job_of(&[], alone) {
            found.push(fault(document, why));
        }
    }
    if found.is_empty() {
        for file in &job.rules {
            if let Err(why) = job_of(std::slice::from_ref(file), &job.data) {
                found.push(fault(file, why));
            }
        }
    }
    if found.is_empty() {
        found.push(GuardFault { name: String::new(), why });
    }
    found
}

struct Ended {
    code: i32,
    writer: Writer,
}

fn run(rules: &[&GuardText], data: &[GuardText]) -> Result<Ended, String> {
    let said = |e: cfn_guard::Error| e.to_string();
    let payload = json!({
        "rules": rules.iter().map(|file| &file.text).collect::<Vec<_>>(),
        "data": data.iter().map(|document| &document.text).collect::<Vec<_>>(),
    });
    let command = ValidateBuilder::default()
        .payload(true)
        .structured(true)
        .output_format(OutputFormatType::JSON)
        .show_summary(vec![ShowSummaryType::None])
        .try_build()
        .map_err(said)?;
    let mut writer = Writer::new_with_err(WriteBuffer::Vec(Vec::new()), WriteBuffer::Vec(Vec::new())).map_err(said)?;
    let mut reader = Reader::new(ReadBuffer::Cursor(Cursor::new(payload.to_string().into_bytes())));
    drop(payload);
    let code = command.execute(&mut writer, &mut reader).map_err(said)?;
    Ok(Ended { code, writer })
}

fn job_of(rules: &[GuardText], data: &[GuardText]) -> Result<Vec<Judged>, String> {
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let ended = run(&rules.iter().collect::<Vec<_>>(), data)?;
    let said = ended.writer.into_string().map_err(|e| e.to_string())?;
    let reports: Vec<Json> = serde_json::from_str(&said).map_err(|e| format!("its report cannot be read: {e}"))?;
    if reports.len() != data.len() {
        return Err(format!("it reports on {} documents, and was given {}", reports.len(), data.len()));
    }
    Ok(reports.iter().map(judged).collect())
}

fn judged(report: &Json) -> Judged {
    let names = |key: &str| -> Vec<String> {
        let all = report[key].as_array().into_iter().flatten();
        all.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let mut found = Judged {
        passed: names("compliant"),
        skipped: names("not_applicable"),
        failed: Vec::new(),
        violations: Vec::new(),
    };
    for rule in report["not_compliant"].as_array().into_iter().flatten() {
        let Some(name) = rule["Rule"]["name"].as_str() else { continue };
        let mut places = Vec::new();
        flatten(name, &rule["Rule"], &mut places);
        if places.is_empty() {
            places.push(Violation { rule: name.to_owned(), path: String::new(), line: None, message: String::new() });
        }
        found.failed.push(name.to_owned());
        found.violations.append(&mut places);
    }
    found
}

/// The places of a rule or of what it consists of, in the order of the report.
fn flatten(rule: &str, of: &Json, out: &mut Vec<Violation>) {
    for check in of["checks"].as_array().into_iter().flatten() {
        if check["Rule"].is_object() {
            flatten(rule, &check["Rule"], out);
        } else if check["Disjunctions"].is_object() {
            // Of what could have held instead each is listed; it is one fault of each thing all the same.
            let mut each = Vec::new();
            flatten(rule, &check["Disjunctions"], &mut each);
            // What the rule says of it stands with one of them.
            let mut said: BTreeMap<String, String> = BTreeMap::new();
            for violation in each.iter().filter(|violation| !violation.message.is_empty()) {
                said.entry(subject(&violation.path).to_owned()).or_insert_with(|| violation.message.clone());
            }
            let mut seen = BTreeSet::new();
            each.retain(|violation| seen.insert(subject(&violation.path).to_owned()));
            for violation in each.iter_mut().filter(|violation| violation.message.is_empty()) {
                violation.message = said.get(subject(&violation.path)).cloned().unwrap_or_default();
            }
            out.append(&mut each);
        } else if check["Block"].is_object() {
            let block = &check["Block"];
            let path = block["unresolved"]["traversed_to"]["path"].as_str();
            out.push(violation(rule, path, &block["messages"]));
        } else {
            let clause = &check["Clause"];
            let clause = if clause["Unary"].is_object() { &clause["Unary"] } else { &clause["Binary"] };
            let found = &clause["check"];
            let paths = [
                &found["UnResolved"]["value"]["traversed_to"]["path"],
                &found["Resolved"]["value"]["path"],
                &found["Resolved"]["from"]["path"],
                &found["InResolved"]["from"]["path"],
            ];
            out.push(violation(rule, paths.iter().find_map(|path| path.as_str()), &clause["messages"]));
        }
    }
}

/// The thing that a path leads into: its first two steps.
fn subject(path: &str) -> &str {
    path.match_indices('/').nth(2).map_or(path, |(end, _)| &path[..end])
}

/// Guard's own words quote values, which may be nobody's business: only what the rule says is kept of them.
fn violation(rule: &str, path: Option<&str>, messages: &Json) -> Violation {
    let message = messages["custom_message"].as_str().unwrap_or_default();
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = messages["error_message"].as_str().and_then(|text| {
        let (_, rest) = text.split_once("[L:")?;
        rest.split_once(',')?.0.parse::<usize>().ok()
    });
    Violation {
        rule: rule.to_owned(),
        path: path.unwrap_or_default().to_owned(),
        line: line.map(|line| line + 1),
        message: message.trim_matches(';').trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> GuardText {
        GuardText { name: name.to_owned(), text: text.to_owned() }
    }

    fn ask(rules: &[&str], data: &[&str]) -> (GuardAnswer, Vec<String>) {
        let rules = rules.iter().enumerate().map(|(n, rule)| text(&format!("{n}.guard"), rule)).collect();
        let data = data.iter().enumerate().map(|(n, document)| text(&format!("{n}.json"), document)).collect();
        let mut at = Vec::new();
        let answer = judge(&GuardRequest::new(vec![GuardJob { rules, data }]), &mut |name| at.push(name.to_owned()));
        (answer, at)
    }

    const BUCKETS: &str = "let buckets = Resources.*[ Type == 'AWS::S3::Bucket' ]\n\
        rule bucket_encrypted when %buckets !empty {\n  %buckets.Properties.BucketEncryption exists <<encrypt it>>\n}\n\
        rule bucket_named when %buckets !empty {\n  %buckets {\n    Properties.BucketName == /^ok/ or\n    Properties.Other exists\n  }\n}\n";

    #[test]
    fn each_rule_has_a_status_for_each_document_and_each_fault_its_place() {
        let wrong = "Resources:\n  A:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: no\n  B:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: ok\n      BucketEncryption: {}\n";
        let (answer, at) = ask(&[BUCKETS], &[wrong, "{\"Resources\":{\"T\":{\"Type\":\"AWS::SNS::Topic\"}}}"]);
        assert!(answer.faults.is_empty(), "{answer:?}");
        assert_eq!(at, ["0.guard", ""]);
        let [one, other] = answer.jobs[0].as_slice() else { panic!("{answer:?}") };
        assert_eq!(one.failed, ["bucket_encrypted", "bucket_named"]);
        let first = &one.violations[0];
        assert_eq!((&*first.path, &*first.message), ("/Resources/A/Properties", "encrypt it"));
        assert!(first.line.is_some_and(|line| (4..=5).contains(&line)), "{first:?}");
        assert_eq!(one.violations.len(), 2, "{one:?}");
        assert!(one.violations[1].path.starts_with("/Resources/A"));
        assert_eq!((other.skipped.len(), other.failed.len()), (2, 0));
    }

    #[test]
    fn a_file_of_rules_that_does_not_parse_is_a_fault_and_never_a_skip() {
        let (answer, _) = ask(&[BUCKETS, "rule broken {\n  Resources.* exists\n"], &["{\"Resources\":{}}"]);
        assert!(answer.jobs.is_empty());
        assert_eq!(answer.faults[0].name, "1.guard");
        assert!(!answer.faults[0].why.is_empty());
    }

    #[test]
    fn a_document_that_is_none_is_named() {
        let (answer, _) = ask(&[BUCKETS], &["{\"Resources\":{}}", "{\"a\": ["]);
        assert_eq!(answer.faults[0].name, "1.json", "{answer:?}");
    }
}
