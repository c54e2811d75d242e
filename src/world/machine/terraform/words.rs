//! What the programs say, read: diagnostics as JSON and as text, lock infos, events of an apply. Pure.

use crate::{
    base::Hidden,
    world::{Class, Failure, RootLock},
};
use serde_json::{Value as Json, json};

/// So many problems are told; more are counted.
const TOLD: usize = 3;
/// A problem's explanation is cut here.
const LONGEST: usize = 600;

/// A problem that a program told of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said {
    /// True for an error, false for a warning.
    pub(super) error: bool,
    /// In a few words.
    pub(super) summary: String,
    /// At length.
    pub(super) detail: String,
    /// The resource that it is about.
    pub(super) address: String,
    /// `main.tf:3`; empty where it has no place.
    pub(super) place: String,
}

impl Said {
    /// On one line: the resource first, the place last.
    pub(super) fn line(&self) -> String {
        let about = if self.address.is_empty() { String::new() } else { format!("{}: ", self.address) };
        let detail = flat(&self.detail);
        let mut cut: String = detail.chars().take(LONGEST).collect();
        if cut.len() < detail.len() {
            cut.push('…');
        }
        let detail = if cut.is_empty() { cut } else { format!(": {cut}") };
        let place = if self.place.is_empty() { String::new() } else { format!(" ({})", self.place) };
        format!("{about}{}{detail}{place}", self.summary)
    }
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The problems in a program's machine-readable output.
pub(super) fn in_events(log: &str) -> Vec<Said> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    events.filter(|event| event["type"] == "diagnostic").map(|event| of_json(&event["diagnostic"])).collect()
}

fn of_json(json: &Json) -> Said {
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let file = json["range"]["filename"].as_str().unwrap_or_default();
    let line = json["range"]["start"]["line"].as_u64().unwrap_or_default();
    Said {
        error: json["severity"] == "error",
        summary: text("summary"),
        detail: text("detail"),
        address: text("address"),
        place: if file.is_empty() { String::new() } else { format!("{file}:{line}") },
    }
}

/// The errors in what a program wrote for people, without colours: `Error: ..`, a blank line, where, a blank line, why.
pub(super) fn in_text(text: &str) -> Vec<Said> {
    let mut found: Vec<Said> = Vec::new();
    let mut paragraphs = text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()).peekable();
    while let Some(paragraph) = paragraphs.next() {
        let Some(summary) = paragraph.strip_prefix("Error: ") else { continue };
        let mut said = Said { error: true, summary: flat(summary), ..Said::default() };
        while let Some(next) = paragraphs.next_if(|p| !p.starts_with("Error: ") && !p.starts_with("Warning: ")) {
            if next.starts_with("on ") && next.contains(" line ") && said.place.is_empty() {
                said.place = place(next);
            } else {
                said.detail.push_str(if said.detail.is_empty() { "" } else { " " });
                said.detail.push_str(next);
            }
        }
        // That the root has to be right before anything else is no news beside what is wrong with it.
        if !said.summary.contains("encountered problems during initiali") && !found.contains(&said) {
            found.push(said);
        }
    }
    found
}

/// `on x.tf line 2, in variable "z":` as `x.tf:2`.
fn place(paragraph: &str) -> String {
    let mut words = paragraph.lines().next().unwrap_or_default().trim_start_matches("on ").splitn(2, " line ");
    let file = words.next().unwrap_or_default();
    let line: String = words.next().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    format!("{file}:{line}")
}

/// The lock that a problem is about; `None` where it is about something else.
pub(super) fn lock(said: &Said) -> Option<RootLock> {
    let about = said.summary.contains("acquiring the state lock") || said.summary.contains("locking state");
    let field = |name: &str| {
        let mut lines = said.detail.lines().map(str::trim);
        let value = lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        value.trim().to_owned()
    };
    about.then(|| RootLock {
        id: field("ID:"),
        operation: field("Operation:"),
        who: field("Who:"),
        created: field("Created:"),
    })
}

/// A lock in words: what holds it, whose it is, since when, and its id.
pub(super) fn tell(lock: &RootLock) -> String {
    let operation = lock.operation.trim_start_matches("OperationType").to_lowercase();
    let operation = if operation.is_empty() { "something".to_owned() } else { format!("`{operation}`") };
    let by = if lock.who.is_empty() { String::new() } else { format!(" of {}", lock.who) };
    let since = if lock.created.is_empty() { String::new() } else { format!(" since {}", lock.created) };
    let id = if lock.id.is_empty() { String::new() } else { format!(" (lock ID {})", lock.id) };
    format!("the state is locked: {operation}{by} holds it{since}{id}")
}

/// Where failures are about, and what helps against them.
pub(super) struct About<'a> {
    /// `terraform plan`.
    pub(super) operation: &'a str,
    /// The root's folder.
    pub(super) folder: &'a str,
    /// How the program is called for this root by hand: `terraform -chdir=DIR`.
    pub(super) by_hand: &'a str,
    /// What `force-unlock` is called for this root by hand, without the id.
    pub(super) unlock: &'a str,
    /// What a failure of no special kind is.
    pub(super) class: Class,
}

/// The failure that the errors make together, the first of which decides what can be done.
pub(super) fn failure(about: &About<'_>, said: &[Said], otherwise: &str) -> Failure {
    let errors: Vec<&Said> = said.iter().filter(|s| s.error).collect();
    let new = |class, message: String| Failure::new(class, about.operation, about.folder, message);
    let Some(first) = errors.first() else {
        let last = flat(otherwise);
        let last: String = last.chars().rev().take(LONGEST).collect::<Vec<_>>().into_iter().rev().collect();
        return new(about.class, if last.is_empty() { "it ended without a word".to_owned() } else { last });
    };
    if let Some(lock) = lock(first) {
        let unlock = if lock.id.is_empty() { "ID" } else { &lock.id };
        return new(Class::Conflict, tell(&lock)).hint(format!(
            "wait until that has ended; where its process is dead for certain, `{} {unlock}` breaks the lock",
            about.unlock
        ));
    }
    let mut lines: Vec<String> = Vec::new();
    for line in errors.iter().map(|s| s.line()) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let more = lines.len().saturating_sub(TOLD);
    lines.truncate(TOLD);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let message = lines.join("; ");
    let has = |words: &[&str]| words.iter().any(|w| first.summary.contains(w));
    if has(&["Saved plan is stale"]) {
        return new(Class::Conflict, "the saved plan is stale: the state was written since it was made".to_owned())
            .hint("plan again");
    }
    if has(&["Core version"]) {
        return new(Class::Local, message)
            .hint("have the version that the root asks for on PATH, or name it in terrace.toml");
    }
    if let Some(failure) = errors.iter().find_map(|said| lock_file(about, said)) {
        return failure;
    }
    if has(&["dependency lock file", "Provider dependency changes detected", "Lock file"]) {
        return new(Class::Invalid, message).hint(format!(
            "`{} init` brings the root's .terraform.lock.hcl up to date; look at it and commit it",
            about.by_hand
        ));
    }
    if has(&["provider package", "plugins are not installed", "Failed to install provider", "Could not load plugin"]) {
        return new(Class::Local, message).hint(
            "see to it that the registry can be reached, or name a mirror in the program's own configuration file",
        );
    }
    if has(&["Backend configuration changed", "Backend initialization required", "Backend type changed"]) {
        return new(Class::Invalid, message).hint(
            "the backend is not the one that the state was kept in; put it back, or move the state by the program's own \
             `init -migrate-state` and take the root over again with `import`",
        );
    }
    if has(&["No value for required variable"]) {
        return new(Class::Invalid, message)
            .hint("give it in `inputs` or `sensitive_inputs`; for a root that is no longer declared, as TF_VAR_NAME in the environment");
    }
    new(about.class, message)
}

/// What the root's lock file stands against: another version than the root asks for, another package than was locked. Told
/// under the same headings as a registry that does not answer, so the details say which it is.
fn lock_file(about: &About<'_>, said: &Said) -> Option<Failure> {
    let detail = flat(&said.detail);
    let new = |message: String| Failure::new(Class::Invalid, about.operation, about.folder, message);
    let commit = "look at the root's .terraform.lock.hcl and commit it";
    if let Some((provider, locked, asked)) = moved_pin(&detail) {
        let what = format!("the lock file pins {provider} {locked}, and the root asks for {asked}");
        let hint = format!("`{} init -upgrade -backend=false` moves the pin; {commit}", about.by_hand);
        return Some(new(what).hint(hint));
    }
    let other =
        ["match any of the checksums", "has unexpected SHA-256 hash"].iter().any(|words| detail.contains(words));
    if !other {
        return None;
    }
    let message = format!("a package is not the one that is locked: {}", said.line());
    Some(new(message).hint(format!(
        "where it is the right one, for another platform or from a mirror, `{} providers lock` records its checksums; {commit}; \
         else see what the mirror or the cache holds",
        about.by_hand
    )))
}

/// Provider, locked version and what is asked for: `locked provider P V does not match configured version constraint C; must ..` of
/// `init`, `provider P: locked version selection V doesn't match the updated version constraints "C"` of what comes after it.
fn moved_pin(detail: &str) -> Option<(&str, &str, &str)> {
    if let Some((_, rest)) = detail.split_once("locked provider ") {
        let (pin, asked) = rest.split_once(" does not match configured version constraint")?;
        let (provider, version) = pin.split_once(' ')?;
        let asked = asked.trim_start_matches('s').split(';').next().unwrap_or_default();
        return Some((provider, version, asked.trim()));
    }
    let (before, rest) = detail.split_once(": locked version selection ")?;
    let (version, asked) = rest.split_once(" doesn't match the updated version constraints \"")?;
    Some((before.rsplit(' ').next()?, version, asked.split('"').next()?))
}

/// The variable that is given in this file and that the root does not declare, where that is what a warning is about.
pub(super) fn undeclared<'s>(said: &'s Said, file: &str) -> Option<&'s str> {
    let name = said.detail.split_once("variable named \"")?.1.split('"').next()?;
    let about = said.summary == "Value for undeclared variable" && flat(&said.detail).contains(file);
    about.then_some(name)
}

/// How an apply stands by its events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Story {
    /// Whether any resource was begun with.
    pub(super) begun: bool,
    /// What was begun and not ended, by address, with the action.
    pub(super) amid: Vec<(String, String)>,
    /// What was made to the end, by address.
    pub(super) made: Vec<String>,
    /// The last words, where it ran to its end: `2 added, 0 changed, 0 destroyed`.
    pub(super) done: Option<String>,
}

/// Reads the events of an apply.
pub(super) fn story(log: &str) -> Story {
    let mut story = Story::default();
    for event in log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()) {
        let address = event["hook"]["resource"]["addr"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "apply_start" => {
                // Reading data changes nothing.
                let action = event["hook"]["action"].as_str().unwrap_or_default();
                if action != "read" {
                    story.begun = true;
                    story.amid.push((address.to_owned(), action.to_owned()));
                }
            }
            kind @ ("apply_complete" | "apply_errored") => {
                story.amid.retain(|(known, _)| known != address);
                if kind == "apply_complete" && event["hook"]["action"] == "create" {
                    story.made.push(address.to_owned());
                }
            }
            "change_summary" if matches!(event["changes"]["operation"].as_str(), Some("apply" | "destroy")) => {
                let count = |name: &str| event["changes"][name].as_u64().unwrap_or_default();
                story.done =
                    Some(format!("{} added, {} changed, {} destroyed", count("add"), count("change"), count("remove")));
            }
            _ => {}
        }
    }
    story
}

/// A log with nothing but what its end is told by: which resources were begun and ended, and the problems without what is hidden
/// and without the lines of source that they quote.
pub(super) fn bare(log: &str, hidden: &Hidden) -> String {
    let plain = |json: &Json| json.as_str().map(|text| hidden.out_of(text));
    let events = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let kept = events.filter_map(|event| {
        let kind = event["type"].as_str()?;
        let line = match kind {
            "diagnostic" => {
                let said = &event["diagnostic"];
                let (summary, detail) = (plain(&said["summary"]), plain(&said["detail"]));
                json!({ "type": kind, "diagnostic": {
                    "severity": said["severity"], "summary": summary, "detail": detail,
                    "address": said["address"], "range": said["range"],
                }})
            }
            "apply_start" | "apply_complete" | "apply_errored" => {
                let (address, action) = (&event["hook"]["resource"]["addr"], &event["hook"]["action"]);
                json!({ "type": kind, "hook": { "resource": { "addr": address }, "action": action } })
            }
            "change_summary" => json!({ "type": kind, "changes": event["changes"] }),
            _ => return None,
        };
        Some(format!("{line}\n"))
    });
    kept.collect()
}

/// What of an event is worth saying while it runs.
pub(super) fn progress(line: &str) -> Option<String> {
    let event: Json = serde_json::from_str(line).ok()?;
    let kind = event["type"].as_str()?;
    matches!(kind, "apply_start" | "apply_progress" | "apply_complete" | "apply_errored")
        .then(|| event["@message"].as_str().map(str::to_owned))?
}

/// Name and version of a program by the first line of its `version`: `OpenTofu v1.12.6`.
pub(super) fn version(text: &str) -> Option<(String, semver::Version)> {
    let (name, version) = text.lines().next()?.trim().rsplit_once(" v")?;
    Some((name.to_owned(), semver::Version::parse(version).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_for_people_are_read_with_file_and_line_and_told_once() {
        let text = "\nError: Terraform encountered problems during initialisation, including problems\nwith the configuration, described below.\n\nThe Terraform configuration must be valid before initialization so that\nTerraform can determine.\n\n\nError: Invalid expression\n\n  on x.tf line 2, in variable \"z\":\n   2:   type = \n   3: }\n\nExpected the start of an expression, but found an invalid expression token.\n\nError: Invalid expression\n\n  on x.tf line 2, in variable \"z\":\n   2:   type = \n   3: }\n\nExpected the start of an expression, but found an invalid expression token.\n";
        let said = in_text(text);
        let lines: Vec<String> = said.iter().map(Said::line).collect();
        assert_eq!(
            lines,
            [
                "Invalid expression: Expected the start of an expression, but found an invalid expression token. (x.tf:2)"
            ]
        );
    }

    #[test]
    fn a_held_lock_is_named_with_who_holds_it_since_when_and_what_breaks_it() {
        let detail = "Error message: resource temporarily unavailable\nLock Info:\n  ID:        bfa438a6\n  Path:      x\n  Operation: OperationTypeApply\n  Who:       root@vm\n  Version:   1.12.6\n  Created:   2026-11-21 15:28:51 +0000 UTC\n  Info:      \n";
        let said = Said {
            error: true,
            summary: "Error acquiring the state lock".into(),
            detail: detail.into(),
            ..Said::default()
        };
        let about = About {
            operation: "terraform plan",
            folder: "infra",
            by_hand: "terraform -chdir=infra",
            unlock: "terraform -chdir=infra force-unlock",
            class: Class::Invalid,
        };
        let failure = failure(&about, &[said], "");
        assert_eq!(failure.class, Class::Conflict);
        assert_eq!(
            failure.message,
            "the state is locked: `apply` of root@vm holds it since 2026-11-21 15:28:51 +0000 UTC (lock ID bfa438a6)"
        );
        assert!(failure.hint.unwrap().contains("terraform -chdir=infra force-unlock bfa438a6"));
    }

    fn failed(summary: &str, detail: &str) -> Failure {
        let about = About {
            operation: "terraform init",
            folder: "infra",
            by_hand: "terraform -chdir=infra",
            unlock: "terraform -chdir=infra force-unlock",
            class: Class::Invalid,
        };
        let said = Said { error: true, summary: summary.into(), detail: detail.into(), ..Said::default() };
        failure(&about, &[said], "")
    }

    #[test]
    fn a_pin_that_the_root_has_moved_away_from_is_told_with_both_versions_and_what_moves_it() {
        let query = "Could not retrieve the list of available versions for provider hashicorp/null: locked provider\n\
            registry.terraform.io/hashicorp/null 3.2.1 does not match configured version\nconstraint ~> 3.3, != 3.3.1; must use terraform init -upgrade to allow\nselection of new versions";
        let later = "The following dependency selections recorded in the lock file are inconsistent with the current configuration:\n  \
            - provider registry.terraform.io/hashicorp/null: locked version selection 3.2.1 doesn't match the updated version constraints \"~> 3.3, != 3.3.1\"\n\nTo update";
        for (summary, detail) in
            [("Failed to query available provider packages", query), ("Inconsistent dependency lock file", later)]
        {
            let failure = failed(summary, detail);
            assert_eq!(
                failure.message,
                "the lock file pins registry.terraform.io/hashicorp/null 3.2.1, and the root asks for ~> 3.3, != 3.3.1"
            );
            assert!(failure.hint.unwrap().contains("`terraform -chdir=infra init -upgrade -backend=false`"));
        }
    }

    #[test]
    fn a_package_that_is_not_the_locked_one_is_no_registry_out_of_reach() {
        let detail = "Error while installing hashicorp/null v3.2.1: the local package for\nregistry.terraform.io/hashicorp/null 3.2.1 doesn't match any of the checksums\npreviously recorded in the dependency lock file (this might be because ..)";
        let failure = failed("Failed to install provider", detail);
        assert!(failure.message.contains("is not the one that is locked") && failure.message.contains("null v3.2.1"));
        assert!(failure.hint.unwrap().contains("`terraform -chdir=infra providers lock`"));
        let failure = failed("Failed to install provider", "could not connect to registry.terraform.io");
        assert!(failure.hint.unwrap().contains("registry can be reached"));
    }

    #[test]
    fn what_is_told_twice_is_shown_once() {
        let about = About { operation: "", folder: "", by_hand: "", unlock: "", class: Class::Failed };
        let said = Said { error: true, summary: "execution halted".into(), ..Said::default() };
        assert_eq!(failure(&about, &[said.clone(), said], "").message, "execution halted");
    }

    #[test]
    fn a_story_tells_what_was_begun_and_not_ended() {
        let event = |kind: &str, address: &str| {
            serde_json::json!({ "type": kind, "hook": { "resource": { "addr": address }, "action": "create" } })
                .to_string()
        };
        let log = [event("apply_start", "a.a"), event("apply_complete", "a.a"), event("apply_start", "a.b")].join("\n");
        let story = story(&format!("{log}\n{{\"half"));
        assert_eq!(story.amid, [("a.b".to_owned(), "create".to_owned())]);
        assert_eq!(story.made, ["a.a"]);
        assert!(story.begun && story.done.is_none());
    }

    #[test]
    fn both_programs_tell_their_names_and_versions() {
        let found = version("OpenTofu v1.12.6\non linux_amd64\n").unwrap();
        assert_eq!((found.0.as_str(), found.1.to_string().as_str()), ("OpenTofu", "1.12.6"));
        assert_eq!(version("Terraform v1.11.4\n").unwrap().0, "Terraform");
        assert!(version("something else").is_none());
    }
}
