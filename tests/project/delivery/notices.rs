//! What happened is told: once it did, signed, again where nobody answers, and never at the cost of a run.

use super::{PLAN, Shop};
use crate::support::{
    message::Message,
    server::free_port,
    web::{Reply, Web},
};
use serde_json::Value as Json;
use std::{
    io::Write as _,
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What came, and who told it.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<Vec<Message>>>);

impl Mailbox {
    /// A server that answers with these statuses, the last one from then on.
    fn open(&self, statuses: &'static [u16]) -> Web {
        let all = self.0.clone();
        Web::new(move |request| {
            let mut all = all.lock().unwrap();
            all.push(request.clone());
            Reply::text(*statuses.get(all.len() - 1).or(statuses.last()).unwrap(), "")
        })
    }

    fn messages(&self) -> Vec<Message> {
        self.0.lock().unwrap().clone()
    }

    fn events(&self) -> Vec<Json> {
        self.messages().iter().map(|m| serde_json::from_slice(&m.body).unwrap()).collect()
    }

    /// The ends of the events' types, in the order in which they came.
    fn words(&self) -> Vec<String> {
        let word = |event: Json| event["type"].as_str().unwrap().trim_start_matches("dev.terrace.").to_owned();
        self.events().into_iter().map(word).collect()
    }
}

/// A shop whose plan tells of these events.
fn shop(url: &str, events: &str) -> Shop {
    let shop = Shop::new();
    let notify = format!(
        "\nvariable \"hook\" {{\n  type = string\n  sensitive = true\n}}\n\nnotify \"chat\" {{\n  url = \"{url}\"\n  secret = var.hook\n{events}}}\n"
    );
    shop.0.write("plans/shop/plan.hcl", &format!("{PLAN}{notify}"));
    shop
}

/// As somebody says it who knows the secret.
fn says(shop: &Shop, words: &[&str]) -> (i32, String) {
    let output = shop.0.command(words).env("TERRACE_VAR_hook", SECRET).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(!said.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{said}");
    (output.status.code().unwrap(), said)
}

fn ends(shop: &Shop, words: &[&str], code: i32) -> String {
    let (found, said) = says(shop, words);
    assert_eq!(found, code, "{words:?}\n{said}");
    said
}

/// The signature that a message ought to have, by another implementation than the program's.
fn by_openssl(message: &Message) -> Option<String> {
    let key = "hexkey:31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0";
    let signed = format!(
        "{}.{}.{}",
        message.header("webhook-id").unwrap(),
        message.header("webhook-timestamp").unwrap(),
        String::from_utf8(message.body.clone()).unwrap()
    );
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", key, "-binary"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    child.stdin.take().unwrap().write_all(signed.as_bytes()).unwrap();
    let mac = child.wait_with_output().unwrap().stdout;
    let mut coder = Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    coder.stdin.take().unwrap().write_all(&mac).unwrap();
    Some(String::from_utf8(coder.wait_with_output().unwrap().stdout).unwrap())
}

#[test]
fn each_step_of_a_release_is_told_signed_and_under_an_id_of_its_own() {
    let mailbox = Mailbox::default();
    let web = mailbox.open(&[200]);
    let shop = shop(&web.url, "");
    let release = ends(&shop, &["release", "create", "--quiet"], 0).trim().to_owned();
    let promote = |env: &str, code: i32| ends(&shop, &["promote", &release, "--to", env, "--auto-approve"], code);
    promote("dev", 0);
    shop.advance("2h");
    promote("tst", 0);
    shop.advance("25h");
    promote("prd", 4);
    promote("prd", 4);
    assert_eq!(mailbox.words(), ["applied", "applied", "waiting_for_approval"], "a plan that waits is told once");
    ends(&shop, &["plan", "--env", "dev"], 0);
    shop.0.write(
        "plans/shop/environments/dev.toml",
        &format!("size = 2\nbroken = {:?}\n", shop.0.path().join("x").display().to_string()),
    );
    ends(&shop, &["plan", "--env", "dev"], 0);
    assert_eq!(mailbox.words()[3..], ["planned"], "a plan that changes nothing is none to be told of");
    let mut ids = Vec::new();
    for (message, event) in mailbox.messages().iter().zip(mailbox.events()) {
        assert_eq!(message.word(0), "POST");
        assert_eq!(message.header("content-type"), Some("application/cloudevents+json; charset=utf-8"));
        assert_eq!((event["specversion"].as_str(), &event["id"]), (Some("1.0"), &message.header("webhook-id").into()));
        assert!(event["source"].as_str().unwrap().starts_with("/terrace/test/shop/"), "{event}");
        assert!(event["time"].is_string() && event["data"]["environment"].is_string(), "{event}");
        let Some(right) = by_openssl(message) else { return };
        assert_eq!(message.header("webhook-signature"), Some(&*format!("v1,{right}")));
        ids.push(event["id"].as_str().unwrap().to_owned());
    }
    let told = &mailbox.events()[0]["data"];
    assert_eq!((&told["release"], told["end"].as_str()), (&release.clone().into(), Some("succeeded")));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn who_does_not_answer_at_first_is_told_again_the_same() {
    let mailbox = Mailbox::default();
    let web = mailbox.open(&[500, 503, 200]);
    let shop = shop(&web.url, "  events = [\"applied\"]\n");
    let said = ends(&shop, &["apply", "--env", "dev", "--auto-approve"], 0);
    assert!(!said.contains("notify"), "{said}");
    let events = mailbox.events();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event == &events[0]), "{events:?}");
}

#[test]
fn a_failure_and_what_was_taken_back_are_told_by_their_names() {
    let mailbox = Mailbox::default();
    let web = mailbox.open(&[200]);
    let shop = shop(&web.url, "  events = [\"failed\", \"rolled_back\"]\n");
    let first = ends(&shop, &["release", "create", "--quiet"], 0).trim().to_owned();
    ends(&shop, &["promote", &first, "--to", "dev", "--auto-approve"], 0);
    shop.0.write("plans/shop/motd.txt", "bad");
    shop.0.write("broken-dev-bad", "");
    let bad = ends(&shop, &["release", "create", "--quiet"], 0).trim().to_owned();
    ends(&shop, &["promote", &bad, "--to", "dev", "--auto-approve"], 1);
    ends(&shop, &["rollback", "--env", "dev", "--auto-approve"], 0);
    assert_eq!(mailbox.words(), ["failed", "rolled_back"]);
    let why = mailbox.events()[0]["data"]["failures"].to_string();
    assert!(why.contains("value.answer"), "{why}");
}

#[test]
fn what_changed_behind_our_back_is_told_when_somebody_looks_for_it() {
    let mailbox = Mailbox::default();
    let web = mailbox.open(&[200]);
    let shop = shop(&web.url, "  events = [\"drifted\"]\n");
    ends(&shop, &["apply", "--env", "dev", "--auto-approve"], 0);
    ends(&shop, &["drift", "--env", "dev"], 0);
    assert_eq!(mailbox.words(), Vec::<String>::new(), "where nothing drifted nobody is told");
    let replicas = ["--set", "spec.replicas=7"];
    let target = "object/web/Deployment/web-headlamp";
    ends(&shop, &["sandbox", "drift", target, replicas[0], replicas[1]], 0);
    ends(&shop, &["drift", "--env", "dev", "--detailed-exitcode"], 2);
    assert_eq!(mailbox.words(), ["drifted"]);
    let event = &mailbox.events()[0];
    assert_eq!(event["data"]["drifted"], serde_json::json!(["helm.web"]), "{event}");
    assert_eq!(event["data"]["environment"], "dev");
    // What somebody leaves alone is nothing to be told of.
    ends(&shop, &["drift", "--env", "dev", "--ignore", "helm.web", "--reason", "a test"], 0);
    ends(&shop, &["drift", "--env", "dev"], 0);
    assert_eq!(mailbox.words().len(), 1);
}

#[test]
fn no_run_fails_or_hangs_by_whom_it_tells() {
    // One that takes the connection and says nothing, and one where nobody is.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let hanging = format!("http://{}", silent.local_addr().unwrap());
    let mailbox = Mailbox::default();
    let refusing = mailbox.open(&[400]);
    for (url, why) in [(hanging, "within 20s"), (nobody, "cannot be reached, 4 times"), (refusing.url.clone(), "400")] {
        let shop = shop(&url, "  events = [\"applied\"]\n");
        let started = Instant::now();
        let said = ends(&shop, &["apply", "--env", "dev", "--auto-approve"], 0);
        assert_eq!(said.matches("warning: notify \"chat\"").count(), 1, "{said}");
        assert!(said.contains(why), "{why}: {said}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }
    assert_eq!(mailbox.messages().len(), 1, "who refuses is not asked again");
}

#[test]
fn a_block_that_is_wrong_is_refused_before_anything_is_done() {
    let open = "http://127.0.0.1:9";
    let cases = [
        (open, "  events = [\"aplied\"]\n", "there is no event `aplied`"), // spellchecker:disable-line
        ("http://example.com/x", "", "is not encrypted"),
        ("nowhere", "", "its `url` is none"),
    ];
    for (url, events, why) in cases {
        let said = ends(&shop(url, events), &["apply", "--env", "dev", "--auto-approve"], 1);
        assert!(said.contains(why), "{why}: {said}");
    }
    let clear = Shop::new();
    let notify = format!("\nnotify \"chat\" {{\n  url = \"{open}\"\n  secret = \"0123456789abcdef\"\n}}\n");
    clear.0.write("plans/shop/plan.hcl", &format!("{PLAN}{notify}"));
    let said = ends(&clear, &["plan", "--env", "dev"], 1);
    assert!(said.contains("stands in clear") && said.contains("plan.hcl:"), "{said}");
    let short = shop(open, "");
    let output = short.0.command(&["plan", "--env", "dev"]).env("TERRACE_VAR_hook", "short").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("fewer than 16 bytes"));
    // An attribute that there is none of.
    let said = ends(&shop(open, "  event = []\n"), &["validate"], 1);
    assert!(said.contains("event"), "{said}");
}

#[test]
fn the_secret_is_in_no_state_no_plan_and_no_event() {
    let mailbox = Mailbox::default();
    let web = mailbox.open(&[200]);
    let shop = shop(&web.url, "");
    ends(&shop, &["plan", "--env", "dev", "--out", "saved.tplan"], 0);
    ends(&shop, &["apply", "--env", "dev", "--auto-approve"], 0);
    assert_eq!(mailbox.words(), ["planned", "applied"]);
    for needle in [SECRET, &SECRET[6..]] {
        let found = Command::new("grep").args(["-rl", needle, "."]).current_dir(shop.0.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
        assert!(!mailbox.events().iter().any(|event| event.to_string().contains(needle)));
    }
}
