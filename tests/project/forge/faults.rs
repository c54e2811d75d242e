//! Every way in which a forge fails, and what comes of it: on the strict server, with a clock that only the test moves.

use super::hub::{APP, HEAD, Hub, State, TOKEN, said, with};
use crate::support::{
    server::wait,
    web::{Reply, Web},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use terrace::{
    base::Secret,
    review::forge::{Checked, Done, Posted, check, post},
    world::{
        Annotation, Check, Class, Clock, Conclusion, Failure, Forge, Level,
        live::{ForgeKind, ForgePlace, Tell, open_forge},
    },
};

const MARKER: &str = "<!-- terrace: shop/app -->";
const BODY: &str = "<!-- terrace: shop/app -->\nnew";
const START: &str = "2026-03-01T12:00:00Z";

/// Moves only when somebody sleeps, who then has slept already.
#[derive(Default)]
struct Hand(Mutex<Vec<Duration>>);

impl Hand {
    fn slept(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(Duration::as_secs).collect()
    }
}

#[async_trait::async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        let slept: Duration = self.0.lock().unwrap().iter().sum();
        START.parse::<Timestamp>().unwrap() + SignedDuration::try_from(slept).unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.lock().unwrap().push(duration);
    }
}

fn open(url: &str, clock: &Arc<Hand>) -> Arc<dyn Forge> {
    open_telling(url, clock, Arc::new(|_: &str| ()))
}

fn open_telling(url: &str, clock: &Arc<Hand>, tell: Tell) -> Arc<dyn Forge> {
    let place =
        ForgePlace { kind: ForgeKind::GitHub, api: url.to_owned(), repository: "acme/shop".to_owned(), number: 7 };
    open_forge(&place, Secret::new(TOKEN.to_owned()), clock.clone(), tell).unwrap()
}

/// Posts on this server, and for how long it waited.
fn posted(hub: &Hub) -> (Result<Posted, Failure>, Vec<u64>) {
    let clock = Arc::new(Hand::default());
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let tell = told.clone();
    let forge =
        open_telling(&hub.web.url, &clock, Arc::new(move |line: &str| tell.lock().unwrap().push(line.to_owned())));
    let posted = wait(post(&*forge, MARKER, BODY, None));
    if let Err(failure) = &posted {
        assert!(!format!("{failure}{failure:?}").contains("canaryToken"), "{failure:?}");
    }
    let (slept, told) = (clock.slept(), told.lock().unwrap().clone());
    assert_eq!(slept.len(), told.len(), "nobody waits without knowing: {told:?}");
    assert!(told.iter().all(|line| line.contains("; it is tried again in ")), "{told:?}");
    (posted, slept)
}

fn cut() -> Reply {
    Reply::text(0, "")
}

/// Where comments are.
const LIST: &str = "GET /repos/acme/shop/issues/7/comments";
const CREATE: &str = "POST /repos/acme/shop/issues/7/comments";
const EDIT: &str = "PATCH /repos/acme/shop/issues/comments";

#[test]
fn what_passes_is_tried_again_and_doubled_is_nothing() {
    let hub = Hub::new();
    for _ in 0..2 {
        hub.state().fault(LIST, said(502, "Server Error"));
    }
    hub.state().fault(LIST, cut());
    let (done, slept) = posted(&hub);
    assert_eq!((done.unwrap().done, slept), (Done::Created, vec![1, 2, 4]));
    // A connection that is cut just after a comment was written: it is looked for, and not written twice.
    let hub = Hub::new();
    hub.state().before = Some((CREATE, |state: &mut State| _ = state.comment(APP, BODY)));
    hub.state().fault(CREATE, cut());
    let done = posted(&hub).0.unwrap();
    assert_eq!((done.done, hub.seen().comments.len()), (Done::Unchanged, 1));
    // The same where it was not written.
    let hub = Hub::new();
    hub.state().fault(CREATE, said(500, "oops"));
    assert_eq!(posted(&hub).0.unwrap().done, Done::Created);
    assert_eq!((hub.seen().comments.len(), hub.seen().times(CREATE)), (1, 2));
    // Somebody who never answers.
    let hub = Hub::new();
    for _ in 0..5 {
        hub.state().fault(LIST, said(503, "maintenance"));
    }
    let (failed, slept) = posted(&hub);
    let failed = failed.unwrap_err();
    assert_eq!((failed.class, slept), (Class::Unavailable, vec![1, 2, 4, 8]));
    assert!(failed.message.contains("503") && failed.message.contains("maintenance"), "{failed}");
    hub.is_content();
}

#[test]
fn limits_are_waited_for_where_that_is_soon_and_told_where_it_is_not() {
    let start: Timestamp = START.parse().unwrap();
    let reset = |after: i64| format!("X-RateLimit-Reset: {}", start.as_second() + after);
    let used_up = |after: i64| with(said(403, "API rate limit exceeded"), &["X-RateLimit-Remaining: 0", &reset(after)]);
    for (reply, waits) in [
        (used_up(90), 91),
        (with(said(403, "You have exceeded a secondary rate limit"), &["Retry-After: 7"]), 7),
        (said(403, "You have exceeded a secondary rate limit. Please wait."), 60),
        (with(said(429, "too many"), &["Retry-After: 3"]), 3),
        (with(said(429, ""), &["Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"]), 60),
    ] {
        // Whoever was told to wait did nothing yet, so that a comment is not written twice.
        let hub = Hub::new();
        hub.state().fault(CREATE, reply);
        let (done, slept) = posted(&hub);
        assert_eq!((done.unwrap().done, slept), (Done::Created, vec![waits]));
        assert_eq!((hub.seen().comments.len(), hub.seen().times(CREATE)), (1, 2));
    }
    let hub = Hub::new();
    hub.state().fault(LIST, used_up(3_000));
    let (failed, slept) = posted(&hub);
    let failed = failed.unwrap_err();
    assert_eq!((failed.class, slept), (Class::Throttled, vec![]));
    assert!(failed.message.contains("used up until 2026-03-01T12:50:00Z"), "{failed}");
    // However often it is asked to wait, the time has an end.
    let hub = Hub::new();
    for _ in 0..9 {
        hub.state().fault(LIST, with(said(429, "too many"), &["Retry-After: 100"]));
    }
    let (failed, slept) = posted(&hub);
    assert_eq!((failed.unwrap_err().class, slept), (Class::Throttled, vec![100, 100]));
}

#[test]
fn our_comment_is_found_behind_hundreds_of_others_and_no_further() {
    let hub = Hub::new();
    {
        let mut state = hub.state();
        for n in 0..250 {
            state.comment("ada", &format!("{n}"));
        }
        state.comment(APP, &format!("{MARKER}\nold"));
    }
    let done = posted(&hub).0.unwrap();
    assert_eq!((done.done, hub.seen().comments.len(), hub.seen().times(LIST)), (Done::Edited, 251, 3));
    hub.is_content();
    let hub = Hub::new();
    hub.state().comments =
        (0..3_001).map(|n| serde_json::json!({ "id": n, "body": "x", "user": { "login": "ada" } })).collect();
    let failed = posted(&hub).0.unwrap_err();
    assert_eq!((failed.class, hub.seen().times(LIST)), (Class::Limit, 30));
    assert!(failed.message.contains("none of the first 30 pages"), "{failed}");
}

#[test]
fn a_comment_that_goes_away_in_between_is_written_anew() {
    let hub = Hub::new();
    hub.state().comment(APP, &format!("{MARKER}\nold"));
    hub.state().before = Some((EDIT, |state: &mut State| state.comments.clear()));
    let done = posted(&hub).0.unwrap();
    assert_eq!((done.done, hub.seen().bodies()), (Done::Created, vec![BODY]));
    hub.is_content();
}

#[test]
fn two_jobs_at_once_end_with_the_older_comment_alone() {
    // Another job was faster between our looking and our writing: its comment stays, and says what ours does.
    let hub = Hub::new();
    hub.state().before =
        Some((CREATE, |state: &mut State| _ = state.comment(APP, &format!("{MARKER}\nof another job"))));
    let done = posted(&hub).0.unwrap();
    assert_eq!((done.done, done.removed, hub.seen().bodies()), (Done::Edited, 1, vec![BODY]));
    assert_eq!(hub.seen().comments[0]["id"], 1001, "the oldest");
    // Another job was slower: it is its turn to tidy up, and if it is gone by then, ours.
    let hub = Hub::new();
    hub.state().comment(APP, BODY);
    hub.state().comment(APP, &format!("{MARKER}\nof another job"));
    hub.state().comment("mallory", &format!("{MARKER}\nof another job"));
    let done = posted(&hub).0.unwrap();
    assert_eq!((done.done, done.removed, hub.seen().comments.len()), (Done::Unchanged, 1, 2));
    // The other job tidied up while we did.
    let hub = Hub::new();
    hub.state().comment(APP, BODY);
    hub.state().comment(APP, BODY);
    hub.state().before = Some(("DELETE", |state: &mut State| drop(state.comments.pop())));
    assert_eq!(posted(&hub).0.unwrap().notes, Vec::<String>::new());
    hub.is_content();
    // As many as the machine likes, truly at once.
    let hub = Hub::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| posted(&hub).0.unwrap());
        }
    });
    assert_eq!(hub.seen().bodies(), vec![BODY]);
    hub.is_content();
}

#[test]
fn refusals_say_what_is_missing_and_are_not_tried_again() {
    for (at, reply, class, says, hint) in [
        (
            LIST,
            said(401, "Bad credentials"),
            Class::Denied,
            "does not take the token (401): Bad credentials",
            "expired",
        ),
        (
            CREATE,
            said(403, "Resource not accessible by integration"),
            Class::Denied,
            "needs `pull-requests: write`",
            "fork",
        ),
        (
            CREATE,
            said(403, "Unable to create comment because issue is locked."),
            Class::Denied,
            "the conversation is locked",
            "unlock",
        ),
        (
            LIST,
            said(404, "Not Found"),
            Class::NotFound,
            "(404): /repos/acme/shop/issues/7/comments",
            "the token does not see it",
        ),
        (LIST, said(410, "This issue was deleted"), Class::NotFound, "gone (410)", "switched off"),
        (
            CREATE,
            said(422, "Body is too long (maximum is 65536 characters)"),
            Class::Invalid,
            "does not take it (422): Body is too long",
            "",
        ),
        (LIST, Reply::text(200, "<html>Sign in</html>"), Class::Failed, "something that is no JSON", "proxy"),
        (LIST, Reply::text(403, "<html>Blocked</html>"), Class::Denied, "with a page for people", ""),
        (LIST, Reply::text(200, "{\"message\": \"no list\"}"), Class::Failed, "no JSON", ""),
        (CREATE, Reply::text(418, vec![0xff; 1000]), Class::Failed, "418", ""),
        (
            LIST,
            said(400, &format!("you sent {TOKEN}\r\nand {}", "x".repeat(9_000))),
            Class::Invalid,
            "you sent (sensitive)",
            "",
        ),
    ] {
        let hub = Hub::new();
        hub.state().fault(at, reply);
        let (failed, slept) = posted(&hub);
        let failed = failed.unwrap_err();
        assert!(failed.class == class && slept.is_empty(), "{failed:?}");
        assert!(
            failed.message.contains(says) && failed.message.len() < 600 && !failed.message.contains('\n'),
            "{failed:?}"
        );
        assert!(failed.hint.clone().unwrap_or_default().contains(hint), "{failed:?}");
        assert_eq!(hub.seen().times(at), 1);
        assert!(hub.seen().comments.is_empty());
    }
}

#[test]
fn a_token_goes_to_no_other_host() {
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    let other = Web::new(move |_| {
        *count.lock().unwrap() += 1;
        Reply::text(200, "[]")
    });
    // A redirect, and a next page.
    let hub = Hub::new();
    hub.state().fault(LIST, with(Reply::text(302, ""), &[&format!("Location: {}/x", other.url)]));
    let failed = posted(&hub).0.unwrap_err();
    assert!(failed.class == Class::Denied && failed.message.contains("alone"), "{failed}");
    let hub = Hub::new();
    hub.state().fault(LIST, with(Reply::text(200, "[]"), &[&format!("Link: <{}/x>; rel=\"next\"", other.url)]));
    assert_eq!(posted(&hub).0.unwrap_err().class, Class::Denied);
    assert_eq!(*seen.lock().unwrap(), 0);
    // On the same host it is followed, with all that was sent.
    let hub = Hub::new();
    hub.state().fault(CREATE, with(Reply::text(307, ""), &["Location: /repos/acme/shop/issues/7/comments"]));
    assert_eq!(posted(&hub).0.unwrap().done, Done::Created);
    assert_eq!(hub.seen().bodies(), vec![BODY]);
    hub.is_content();
    let hub = Hub::new();
    for _ in 0..9 {
        hub.state().fault(LIST, with(Reply::text(302, ""), &["Location: /repos/acme/shop/issues/7/comments"]));
    }
    assert!(posted(&hub).0.unwrap_err().message.contains("for ever"));
    // A repository that moved is not written to by its former name.
    let hub = Hub::new();
    hub.state().fault(CREATE, with(Reply::text(301, ""), &["Location: /repositories/1/issues/7/comments"]));
    let failed = posted(&hub).0.unwrap_err();
    assert!(failed.class == Class::Invalid && failed.message.contains("/repositories/1/"), "{failed}");
}

#[test]
fn an_answer_without_an_end_is_not_read_to_its_end() {
    let hub = Hub::new();
    hub.state().fault(LIST, Reply::text(200, vec![b' '; (64 << 20) + 1]));
    let (failed, slept) = posted(&hub);
    let failed = failed.unwrap_err();
    assert!(failed.class == Class::Limit && failed.message.contains("bigger than") && slept.is_empty(), "{failed}");
}

fn notes(lines: std::ops::Range<usize>) -> Check {
    let note = |line| Annotation {
        level: Level::Failure,
        path: "a.yaml".to_owned(),
        line,
        title: format!("rule {line}"),
        message: "no".to_owned(),
    };
    Check {
        name: "terrace/shop/app".to_owned(),
        external_id: "terrace: shop/app".to_owned(),
        conclusion: Conclusion::Failure,
        title: "denied".to_owned(),
        summary: "denied".to_owned(),
        annotations: lines.map(note).collect(),
        url: Some("https://ci.example/1".to_owned()),
    }
}

fn checked(hub: &Hub, wanted: &Check) -> Result<Checked, Failure> {
    let clock = Arc::new(Hand::default());
    wait(check(&*open(&hub.web.url, &clock), HEAD, wanted))
}

#[test]
fn a_check_run_bears_each_note_once_whatever_breaks() {
    // Cut off in the midst of adding, before or after it was done.
    let hub = Hub::new();
    hub.state().fault("PATCH /repos/acme/shop/check-runs", cut());
    assert!(matches!(checked(&hub, &notes(1..161)).unwrap(), Checked::Stands { annotations: 160, .. }));
    let mut lines: Vec<u64> = hub.state().notes.iter().map(|(_, note)| note["start_line"].as_u64().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, (1..161).collect::<Vec<u64>>());
    assert_eq!(hub.seen().runs.len(), 1);
    // Cut off when it was made.
    let hub = Hub::new();
    hub.state().fault("POST /repos/acme/shop/check-runs", cut());
    checked(&hub, &notes(1..2)).unwrap();
    assert_eq!((hub.seen().runs.len(), hub.seen().notes.len()), (1, 1));
    // One line that is not taken spoils no verdict.
    let hub = Hub::new();
    hub.state().fault("POST /repos/acme/shop/check-runs", said(422, "Invalid request: annotation out of range"));
    let Checked::Stands { annotations: 0, notes: told } = checked(&hub, &notes(1..3)).unwrap() else {
        panic!("it stands")
    };
    assert!(told[0].contains("annotation out of range"), "{told:?}");
    assert_eq!(hub.seen().runs[0]["conclusion"], "failure");
    // One of that name by another app is not ours to change.
    let hub = Hub::new();
    checked(&hub, &notes(1..2)).unwrap();
    hub.state().fault(
        "PATCH /repos/acme/shop/check-runs",
        said(403, "Invalid app_id - check run can only be modified by the GitHub App that created it."),
    );
    let edited = Check { conclusion: Conclusion::Success, ..notes(1..2) };
    checked(&hub, &edited).unwrap();
    assert_eq!(hub.seen().runs[0]["conclusion"], "success");
    // One of ours under another name is another.
    let hub = Hub::new();
    checked(&hub, &notes(1..2)).unwrap();
    checked(&hub, &Check { name: "terrace/shop/more".to_owned(), ..notes(1..2) }).unwrap();
    assert_eq!(hub.seen().runs.len(), 2);
    hub.is_content();
}
