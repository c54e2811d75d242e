//! Which comment is ours, and what is said of a commit: without any forge. What is done at one, and what fails there, is in
//! `tests/project/forge`.

use super::{MOST, Verdict, missing, ours, verdict};
use crate::{
    base::{ActionWord, Address},
    plan::{self, Attachment, Finding, Judgement, Place, Saved, Severity, Waiver, WaiverStanding, testing::node},
    review::{Book, comment::Wanted},
    world::{Annotation, Author, Comment, Conclusion, Level},
};
use proptest::prelude::*;

fn finding(file: &str, line: usize, severity: Severity) -> Finding {
    Finding {
        rule: "topics_named".to_owned(),
        pack: "own".to_owned(),
        severity,
        address: Some(Address::root("stack", "topics")),
        part: "Topic".to_owned(),
        path: String::new(),
        place: Some(Place { file: file.into(), line, column: 7 }),
        controls: vec!["CM-8".to_owned()],
        what: "the topic has no name.".to_owned(),
        why: "nobody finds it".to_owned(),
        instead: "TopicName: x".to_owned(),
        waiver: None,
    }
}

fn waived(standing: WaiverStanding) -> Finding {
    let waiver = Waiver {
        name: "w".to_owned(),
        standing,
        reason: "soon".to_owned(),
        by: "ann".to_owned(),
        approved_by: None,
        until: "2026-12-31T00:00:00Z".parse().unwrap(),
    };
    Finding { waiver: Some(waiver), ..finding("a.yaml", 3, Severity::Deny) }
}

fn saved(env: &str, findings: Option<Vec<Finding>>) -> Saved {
    let mut plan = plan::testing::plan(vec![node("value.size", "foundation", ActionWord::Create)]);
    plan.header.env = env.into();
    plan.judgement = findings.map(|findings| Judgement { findings, ..Judgement::default() });
    plan::saved(plan, Attachment::default()).unwrap()
}

fn of(plans: &[Saved]) -> Verdict {
    let wanted = Wanted { limit: 4_000, link: None, expected: Vec::new() };
    verdict(&plans.iter().collect::<Vec<_>>(), &Book::shipped(), "infra/", &wanted, Some("https://ci.example/1"))
}

#[test]
fn what_denies_fails_and_what_nobody_asked_is_no_success() {
    let warn = || finding("a.yaml", 3, Severity::Warn);
    let deny = || finding("a.yaml", 3, Severity::Deny);
    for (plans, conclusion, says) in [
        (vec![saved("dev", Some(vec![]))], Conclusion::Success, "1 change in 1 environment"),
        (vec![saved("dev", Some(vec![warn()]))], Conclusion::Neutral, "1 change in 1 environment; 1 warning"),
        (
            vec![saved("dev", Some(vec![])), saved("prd", None)],
            Conclusion::Neutral,
            "2 changes in 2 environments; policy was not asked",
        ),
        (
            vec![saved("dev", Some(vec![])), saved("prd", Some(vec![deny(), warn()]))],
            Conclusion::Failure,
            "denied by policy (1 finding): 2 changes in 2 environments; 1 warning",
        ),
        (
            vec![saved("dev", Some(vec![waived(WaiverStanding::Counts)]))],
            Conclusion::Success,
            "1 change in 1 environment; 1 waived",
        ),
        (
            vec![saved("dev", Some(vec![waived(WaiverStanding::Expired)]))],
            Conclusion::Failure,
            "denied by policy (1 finding): 1 change in 1 environment",
        ),
    ] {
        let found = of(&plans);
        assert_eq!(
            (found.check.conclusion, found.status.conclusion, &*found.status.description),
            (conclusion, conclusion, says)
        );
        assert_eq!(found.check.title, says);
        assert_eq!(
            (found.check.url.as_deref(), found.status.url.as_deref()),
            (Some("https://ci.example/1"), Some("https://ci.example/1"))
        );
        assert!(!found.check.summary.contains("<!--"), "no marker is in it: {}", found.check.summary);
    }
}

#[test]
fn a_note_stands_on_its_line_once_and_never_outside_of_the_repository() {
    let both = || Some(vec![finding("plans/a.yaml", 3, Severity::Deny)]);
    let notes = of(&[saved("dev", both()), saved("prd", both())]).check.annotations;
    let note = Annotation {
        level: Level::Failure,
        path: "infra/plans/a.yaml".to_owned(),
        line: 3,
        title: "topics_named: stack.topics Topic".to_owned(),
        message: "the topic has no name.\nnobody finds it.\nInstead: TopicName: x.\nControls: CM-8.\nIn dev, prd."
            .to_owned(),
    };
    assert_eq!(notes, [note]);
    for file in ["", "/etc/passwd", "../other/a.yaml", "a/../../b.yaml"] {
        assert!(
            of(&[saved("dev", Some(vec![finding(file, 3, Severity::Deny)]))]).check.annotations.is_empty(),
            "{file}"
        );
    }
    assert!(of(&[saved("dev", Some(vec![finding("a.yaml", 0, Severity::Deny)]))]).check.annotations.is_empty());
    let notes = of(&[saved("dev", Some(vec![waived(WaiverStanding::Counts)]))]).check.annotations;
    assert!(
        notes[0].level == Level::Notice && notes[0].message.contains("Waived until 2026-12-31T00:00:00Z by ann: soon.")
    );
}

#[test]
fn ten_thousand_findings_are_a_bounded_number_of_notes_with_what_denies_first() {
    let mut all: Vec<Finding> = (1..10_000).map(|line| finding("a.yaml", line, Severity::Warn)).collect();
    all.push(finding("z.yaml", 1, Severity::Deny));
    let found = of(&[saved("dev", Some(all))]);
    assert_eq!((found.check.annotations.len(), found.check.annotations[0].level), (MOST, Level::Failure));
    assert!(found.check.summary.contains("The first 300 of 10000 findings"), "{}", found.check.summary);
    assert!(found.check.summary.chars().count() <= 65_535);
}

#[test]
fn ours_is_what_bears_our_marker_first_and_was_written_by_us() {
    let marker = "<!-- terrace: shop/app -->";
    let me = Author { login: "github-actions[bot]".to_owned(), id: None };
    let comment = |id, login: &str, body: &str| Comment {
        id,
        author: Some(Author { login: login.to_owned(), id: Some(9) }),
        body: body.to_owned(),
        url: None,
    };
    let all = [
        comment(9, "github-actions[bot]", &format!("{marker}\r\nlater")),
        comment(1, "github-actions", &format!("{marker}\na person of nearly that name")),
        comment(2, "GitHub-Actions[bot]", marker),
        comment(3, "github-actions[bot]", &format!("\n{marker}")),
        comment(4, "github-actions[bot]", &format!("{marker} and more")),
        comment(5, "github-actions[bot]", ""),
        Comment { author: None, ..comment(6, "", marker) },
    ];
    let found: Vec<u64> = ours(&all, marker, &me).iter().map(|comment| comment.id).collect();
    assert_eq!(found, [2, 9]);
    // A number decides where both have one: names can be given up and taken by others.
    let numbered = Author { login: "github-actions[bot]".to_owned(), id: Some(8) };
    assert!(ours(&all, marker, &numbered).is_empty());
}

#[test]
fn notes_are_added_only_where_none_is_out_of_date() {
    let note = |line| Annotation {
        level: Level::Failure,
        path: "a".to_owned(),
        line,
        title: "t".to_owned(),
        message: String::new(),
    };
    assert_eq!(missing(&[note(1)], &[note(1), note(2)]), Some(vec![note(2)]));
    assert_eq!(missing(&[], &[]), Some(vec![]));
    assert_eq!(missing(&[note(3)], &[note(1)]), None);
}

proptest! {
    #[test]
    fn whatever_rules_say_a_note_and_a_status_keep_to_their_limits(text in any::<String>(), times in 1_usize..400) {
        let long = text.repeat(times);
        let mut one = finding("a.yaml", 1, Severity::Deny);
        one.rule.clone_from(&long);
        one.part.clone_from(&long);
        one.what.clone_from(&long);
        one.why.clone_from(&long);
        one.instead.clone_from(&long);
        let found = of(&[saved("dev", Some(vec![one]))]);
        let note = &found.check.annotations[0];
        prop_assert!(note.title.chars().count() <= 255 && note.message.len() < 64 << 10);
        prop_assert!(!note.title.chars().any(char::is_control) && found.status.description.chars().count() <= 140);
        prop_assert!(!note.message.chars().any(|c| c.is_control() && c != '\n'));
    }
}
