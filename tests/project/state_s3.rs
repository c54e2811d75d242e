//! State in a bucket as people meet it: real processes, stopped and killed; other machines that go on; moves to and fro.

#![expect(clippy::disallowed_methods, reason = "starts and stops processes, and looks at folders")]

use crate::support::{
    Account, Project, Proxy, Trouble, ministack, moto,
    project::Said,
    server::{Server, wait},
    trouble::What,
};
use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// Programs of a plan, and what they made. A program that makes `slow` waits while the gate is closed.
struct Workshop(tempfile::TempDir);

impl Workshop {
    fn new() -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        let at = workshop.0.path().display();
        workshop.write(
            "make",
            &format!("#!/bin/sh\ntouch {at}/$1.made\necho \"$1\" >> {at}/effects\nwhile [ \"$1\" = slow ] && [ -e {at}/gate ]; do sleep 0.05; done\n"),
        );
        workshop.write("read", &format!("#!/bin/sh\n[ -e {at}/$1.made ] || exit 3\necho '{{}}'\n"));
        workshop
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn close_gate(&self) {
        fs::write(self.path("gate"), "").unwrap();
    }

    fn open_gate(&self) {
        fs::remove_file(self.path("gate")).unwrap();
    }

    /// A plan of things that are made one after the other.
    fn plan(&self) -> String {
        let mut plan = String::from("value \"first\" { input = 1 }\n");
        let mut after = "value.first".to_owned();
        for name in ["early", "slow", "late"] {
            let at = self.0.path().display();
            let program = |what: &str| format!("[\"{at}/{what}\", \"{name}\"]");
            let (create, read) = (program("make"), program("read"));
            let _ = writeln!(plan, "command \"{name}\" {{\n  create = {create}\n  read = {read}");
            let _ = writeln!(plan, "  depends_on = [{after}]\n}}");
            after = format!("command.{name}");
        }
        plan.push_str("output \"first\" { value = value.first.output }\n");
        plan
    }

    fn effects(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("effects")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for(&self, name: &str) {
        until(&format!("{name} is made"), || self.path(&format!("{name}.made")).exists());
    }
}

fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never happened that {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A project whose state is in a bucket.
fn project(account: &Account, bucket: &str, plan: &str) -> Project {
    let project = Project::new(account, plan);
    project.write("terrace.toml", &settings(bucket));
    project
}

fn settings(bucket: &str) -> String {
    format!("name = \"test\"\n[state]\nbackend = \"s3\"\nbucket = \"{bucket}\"\nlease = \"2s\"\n")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn ended(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// No state in the project's folder.
fn nothing_local(project: &Project) {
    assert!(!project.path().join(".terrace/state").exists(), "state was written to the project's folder");
}

fn both(test: impl Fn(&Server)) {
    for server in [ministack(), moto()].into_iter().flatten() {
        test(server);
    }
}

#[test]
fn a_killed_apply_is_finished_from_another_folder() {
    both(|server| {
        let account = server.account();
        wait(account.bucket("killed"));
        let workshop = Workshop::new();
        workshop.close_gate();
        let here = project(&account, "killed", &workshop.plan());
        let mut apply = here.start(&["apply", "app", "--auto-approve"]);
        workshop.wait_for("slow");
        apply.kill().unwrap();
        apply.wait().unwrap();
        workshop.open_gate();

        // Another machine: the same files, and nothing else.
        let there = project(&account, "killed", &workshop.plan());
        let said = there.ends(&["plan", "app"], 5);
        assert!(said.err.contains("run_open"), "{}", said.err);
        let said = there.ends(&["status", "app"], 0);
        assert!(said.out.contains("s3://killed/terrace/test/app/dev/"), "{}", said.out);
        let said = there.ends(&["resume", "app", "--auto-approve", "--lock-timeout", "30s"], 0);
        assert!(said.err.contains("took over the lock of `apply`"), "{}", said.err);
        assert_eq!(workshop.effects(), ["early", "slow", "late"], "nothing twice, nothing forgotten");
        let said = there.ends(&["plan", "app", "--detailed-exitcode"], 0);
        assert!(said.out.contains("No changes") || said.err.contains("No changes"), "{}{}", said.out, said.err);
        assert!(here.ends(&["state", "list", "app"], 0).out.contains("command.late"));
        here.ends(&["state", "verify", "app"], 0);
        nothing_local(&here);
        nothing_local(&there);
    });
}

/// Kills an apply once its n-th object is written, finishes it from another folder, and looks whether all was done once.
fn killed_at(server: &Server, writes: usize) {
    let proxy = Proxy::new(&server.url);
    let account = server.account();
    let bucket = format!("killed-at-{writes}");
    wait(account.bucket(&bucket));
    let workshop = Workshop::new();
    let here = project(&account.at(&proxy.url), &bucket, &workshop.plan());
    let mut apply = here.start(&["apply", "app", "--auto-approve"]);
    proxy.wait_for("s3:PutObject", writes);
    apply.kill().unwrap();
    apply.wait().unwrap();

    let there = project(&account, &bucket, &workshop.plan());
    if let Some(id) = lock_of(&account, &bucket) {
        there.ends(&["unlock", "app", &id], 0);
    }
    there.ends(&["state", "verify", "app"], 0);
    let said = there.run(&["resume", "app", "--auto-approve"]);
    if said.code != Some(0) {
        assert!(said.err.contains("nothing_open"), "killed at {writes}: {}", said.err);
        there.ends(&["apply", "app", "--auto-approve"], 0);
    }
    assert_eq!(workshop.effects(), ["early", "slow", "late"], "killed at {writes}");
    there.ends(&["plan", "app", "--detailed-exitcode"], 0);
    there.ends(&["state", "verify", "app"], 0);
}

#[test]
fn an_apply_that_is_killed_at_any_write_is_finished_and_does_nothing_twice() {
    // An apply of this plan writes some fifteen objects.
    if let Some(server) = ministack() {
        for writes in 1..=12 {
            killed_at(server, writes);
        }
    }
    if let Some(server) = moto() {
        for writes in [2, 5, 8, 11] {
            killed_at(server, writes);
        }
    }
}

#[test]
fn a_paused_owner_that_wakes_up_cannot_write_and_says_so() {
    both(|server| {
        let account = server.account();
        wait(account.bucket("paused"));
        let workshop = Workshop::new();
        workshop.close_gate();
        let here = project(&account, "paused", &workshop.plan());
        let apply = here.start(&["apply", "app", "--auto-approve"]);
        workshop.wait_for("slow");
        signal(&apply, "STOP");
        // What it had begun ends behind its back.
        workshop.open_gate();

        let there = project(&account, "paused", &workshop.plan());
        there.ends(&["resume", "app", "--auto-approve", "--lock-timeout", "30s"], 0);
        assert_eq!(workshop.effects(), ["early", "slow", "late"]);
        let before = there.ends(&["state", "pull", "app"], 0).out;

        signal(&apply, "CONT");
        let said = ended(apply);
        assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
        assert!(said.err.contains("taken over by"), "{}", said.err);
        assert_eq!(workshop.effects(), ["early", "slow", "late"], "it made something all the same");
        assert_eq!(there.ends(&["state", "pull", "app"], 0).out, before, "it wrote all the same");
        there.ends(&["state", "verify", "app"], 0);
    });
}

#[test]
fn a_living_owner_is_named_and_not_taken_over_though_it_is_silent_for_long() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    wait(account.bucket("living"));
    let workshop = Workshop::new();
    workshop.close_gate();
    let here = project(&account, "living", &workshop.plan());
    here.write("terrace.toml", &settings("living").replace("2s", "4s"));
    let apply = here.start(&["apply", "app", "--auto-approve"]);
    workshop.wait_for("slow");
    // For long it has nothing to write but its signs of life.
    let said = here.ends(&["resume", "app", "--auto-approve", "--lock-timeout", "10s"], 5);
    assert!(said.err.contains("state_locked"), "{}", said.err);
    workshop.open_gate();
    assert_eq!(ended(apply).code, Some(0));
    assert_eq!(workshop.effects(), ["early", "slow", "late"]);
}

#[test]
fn a_broken_lock_stops_its_owner() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    wait(account.bucket("broken"));
    let workshop = Workshop::new();
    workshop.close_gate();
    let here = project(&account, "broken", &workshop.plan());
    let apply = here.start(&["apply", "app", "--auto-approve"]);
    workshop.wait_for("slow");
    let said = here.ends(&["status", "app", "--json"], 0);
    let status: serde_json::Value = serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
    let id = status["lock"]["id"].as_str().unwrap();
    here.ends(&["unlock", "app", "not-the-id"], 1);
    here.ends(&["unlock", "app", id], 0);
    workshop.open_gate();
    let said = ended(apply);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.err.contains("nothing was written"), "{}", said.err);
    here.ends(&["resume", "app", "--auto-approve"], 0);
    assert_eq!(workshop.effects(), ["early", "slow", "late"]);
}

#[test]
fn an_apply_makes_few_requests_of_the_bucket() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let account = server.account();
    wait(account.bucket("few"));
    let workshop = Workshop::new();
    let project = project(&account.at(&proxy.url), "few", &workshop.plan());
    // Nor is the lease renewed, however slow the machine is.
    project.write("terrace.toml", &settings("few").replace("2s", "10m"));
    let counted = |words: &[&str]| {
        proxy.forget();
        project.ends(words, 0);
        let of = |action: &str| proxy.count(&format!("s3:{action}"));
        (of("ListObjectsV2"), of("GetObject"), of("PutObject"), of("DeleteObject"))
    };
    let (lists, gets, puts, deletes) = counted(&["apply", "app", "--auto-approve"]);
    // Three effects are six records that must be durable by themselves; lock, probe, plan, start and end beside them. What
    // people decided lies beside the log, and is listed once at the instant of apply. The trail of audit says that the run began
    // and how it ended: each is written once, after its end was looked for. The rules that it passed are kept once, too. What is
    // only noted goes along with the next record that must be durable, or by itself where the writer happens to be free: one more.
    assert!(lists <= 5 && gets <= 6 && puts <= 20 && deletes <= 3, "{:?}", proxy.counts());
    let (lists, gets, puts, deletes) = counted(&["plan", "app"]);
    // All that a plan writes is who made it. It reads the log piece by piece.
    assert!(lists <= 1 && gets <= 19 && puts == 1 && deletes == 0, "{:?}", proxy.counts());
}

#[test]
fn state_goes_to_the_bucket_and_back_and_nothing_is_lost() {
    both(|server| {
        let account = server.account();
        wait(account.bucket("moving"));
        let workshop = Workshop::new();
        let project = Project::new(&account, &workshop.plan());
        project.ends(&["apply", "app", "--auto-approve"], 0);
        let before = project.ends(&["state", "pull", "app"], 0).out;

        // Settings that would forget it are refused.
        project.write("terrace.toml", &settings("moving"));
        let said = project.ends(&["plan", "app"], 1);
        assert!(said.err.contains("state_not_migrated"), "{}", said.err);
        let said = project.ends(&["state", "migrate", "app"], 0);
        assert!(said.err.contains("read back and are the same"), "{}", said.err);
        assert_eq!(project.ends(&["state", "pull", "app"], 0).out, before);
        project.ends(&["plan", "app", "--detailed-exitcode"], 0);

        // What stayed behind is refused by name.
        let file = settings("moving").replace("\"s3\"", "\"file\"");
        project.write("terrace.toml", &file);
        let said = project.ends(&["apply", "app", "--auto-approve"], 1);
        assert!(said.err.contains("state_moved") && said.err.contains("s3://moving/"), "{}", said.err);

        // The bucket's state goes on, and comes back.
        project.write("terrace.toml", &settings("moving"));
        project.ends(&["state", "mv", "app", "value.first", "value.other"], 0);
        let after = project.ends(&["state", "pull", "app"], 0).out;
        let said = project.ends(&["state", "migrate", "app", "--to", "file"], 0);
        assert!(said.err.contains("backend = \"file\""), "{}", said.err);
        let said = project.ends(&["plan", "app"], 1);
        assert!(said.err.contains("state_not_migrated"), "{}", said.err);
        project.write("terrace.toml", &file);
        assert_eq!(project.ends(&["state", "pull", "app"], 0).out, after);
        project.ends(&["state", "verify", "app"], 0);
        // And once more there.
        project.ends(&["state", "migrate", "app", "--to", "s3"], 0);
        project.write("terrace.toml", &settings("moving"));
        assert_eq!(project.ends(&["state", "pull", "app"], 0).out, after);
    });
}

#[test]
fn a_move_that_fails_in_the_middle_leaves_the_source_at_work() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let account = server.account();
    wait(account.bucket("halfway"));
    let workshop = Workshop::new();
    let project = Project::new(&account.at(&proxy.url), &workshop.plan());
    project.ends(&["apply", "app", "--auto-approve"], 0);
    let file = settings("halfway").replace("\"s3\"", "\"file\"");
    project.write("terrace.toml", &file);
    let before = project.ends(&["state", "pull", "app"], 0).out;
    // Closer together at the beginning, where the calls differ most.
    for calls in (0..).map(|n: u32| n + n * n / 4) {
        proxy.trouble(Trouble::new("s3:*", What::Deny).after(calls));
        let said = project.run(&["state", "migrate", "app", "--to", "s3", "--lock-timeout", "0s"]);
        proxy.peace();
        if said.code == Some(0) {
            assert!(calls > 5, "nothing was tried");
            break;
        }
        assert!(said.err.contains("access_denied") || said.err.contains("state_locked"), "{}", said.err);
        assert_eq!(project.ends(&["state", "pull", "app"], 0).out, before, "after {calls} calls");
        // Where it failed before it gave the lock back, that ends with its lease, or now.
        if let Some(id) = lock_of(&account, "halfway") {
            let other = self::project(&account, "halfway", &workshop.plan());
            other.ends(&["unlock", "app", &id], 0);
        }
    }
}

#[test]
fn who_may_only_read_the_state_plans_before_there_is_one_and_after() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let account = server.account();
    wait(account.bucket("reading"));
    let plan = "value \"v\" {\n  input = 1\n}\n";
    let project = Project::new(&account.at(&proxy.url), plan);
    project.write("terrace.toml", &settings("reading"));
    proxy.trouble(Trouble::new("s3:PutObject", What::Deny));
    let shown = project.ends(&["plan", "app", "--no-change-sets"], 0);
    assert!(shown.out.contains("+ value.v"), "{shown:?}");
    project.ends(&["plan", "app", "--offline"], 0);
    proxy.peace();
    project.ends(&["apply", "app", "--auto-approve"], 0);
    proxy.forget();
    proxy.trouble(Trouble::new("s3:PutObject", What::Deny));
    let shown = project.ends(&["plan", "app", "--no-change-sets"], 0);
    assert!(shown.out.contains("No changes") && !shown.err.contains("audit"), "{shown:?}");
    // It tries to say who planned, in the trail of audit, and nothing else; who may not is not in it.
    assert_eq!(proxy.count("s3:PutObject"), 1, "{:?}", proxy.counts());
    proxy.peace();
    let trail = project.ends(&["audit", "log", "app", "--json"], 0).out;
    assert_eq!(trail.matches("\"deed\":\"run_").count(), 2, "{trail}");
    assert!(!trail.contains("\"deed\":\"plan\""), "{trail}");
}

/// The id of the lock that the last segment in a bucket tells of.
fn lock_of(account: &Account, bucket: &str) -> Option<String> {
    let config = aws_sdk_s3::config::Builder::from(&account.sdk()).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    wait(async {
        let page = client.list_objects_v2().bucket(bucket).send().await.unwrap();
        let key = page.contents().iter().filter_map(|o| o.key()).rfind(|k| k.contains("/log/"))?;
        let object = client.get_object().bucket(bucket).key(key).send().await.unwrap();
        let bytes = object.body.collect().await.unwrap().to_vec();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let header: serde_json::Value = serde_json::from_str(text.lines().nth(1)?).ok()?;
        header["owner"]["id"].as_str().map(str::to_owned)
    })
}

#[test]
fn a_pulled_state_is_pushed_only_where_it_belongs() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    wait(account.bucket("pushed"));
    let workshop = Workshop::new();
    let project = project(&account, "pushed", &workshop.plan());
    project.ends(&["apply", "app", "--auto-approve"], 0);
    project.ends(&["state", "pull", "app", "--out", "old.json"], 0);
    project.ends(&["state", "rm", "app", "value.first"], 0);
    let said = project.ends(&["state", "push", "app", "old.json"], 5);
    assert!(said.err.contains("state_serial"), "{}", said.err);
    let said = project.ends(&["state", "push", "app", "old.json", "--force"], 0);
    assert!(said.err.contains("kept as objects/replaced/"), "{}", said.err);
    assert!(project.ends(&["state", "list", "app"], 0).out.contains("value.first"));
    project.ends(&["plan", "app", "--detailed-exitcode"], 0);

    let other = Project::new(&account, "value \"x\" { input = 1 }\n");
    other.ends(&["apply", "app", "--auto-approve"], 0);
    other.ends(&["state", "pull", "app", "--out", "other.json"], 0);
    let path = other.path().join("other.json");
    let said = project.ends(&["state", "push", "app", path.to_str().unwrap()], 1);
    assert!(said.err.contains("state_lineage"), "{}", said.err);
    project.write("broken.json", "{\"format\":1}");
    let said = project.ends(&["state", "push", "app", "broken.json"], 1);
    assert!(said.err.contains("state_file"), "{}", said.err);
}

#[test]
fn a_damaged_end_is_named_cut_on_request_and_kept() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let client = wait(account.bucket("damaged"));
    let workshop = Workshop::new();
    let project = project(&account, "damaged", &workshop.plan());
    project.ends(&["apply", "app", "--auto-approve"], 0);
    project.ends(&["state", "rm", "app", "value.first"], 0);
    let key = wait(async {
        let page = client.list_objects_v2().bucket("damaged").send().await.unwrap();
        let keys: Vec<&str> = page.contents().iter().filter_map(|o| o.key()).filter(|k| k.contains("/log/")).collect();
        // The last but one: the record of what was let go. Behind it the lock is given back.
        let key = keys[keys.len() - 2].to_owned();
        client.put_object().bucket("damaged").key(&key).body(b"rot".to_vec().into()).send().await.unwrap();
        key
    });
    let said = project.ends(&["plan", "app"], 1);
    assert!(said.err.contains("state_damaged") && said.err.contains(&key), "{}", said.err);
    project.ends(&["apply", "app", "--auto-approve"], 1);
    let said = project.ends(&["state", "verify", "app"], 1);
    assert!(said.err.contains(&key) && said.err.contains("terrace state repair"), "{}", said.err);
    let said = project.ends(&["state", "repair", "app"], 64);
    assert!(said.err.contains("--auto-approve"), "{}", said.err);
    let said = project.ends(&["state", "repair", "app", "--auto-approve"], 0);
    assert!(said.err.contains("kept as objects/cut/"), "{}", said.err);
    project.ends(&["state", "verify", "app"], 0);
    assert!(project.ends(&["state", "list", "app"], 0).out.contains("value.first"), "as it was before the damage");
}

#[test]
fn another_plans_outputs_are_read_from_the_bucket() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    wait(account.bucket("outputs"));
    let project =
        project(&account, "outputs", "value \"a\" { input = \"from app\" }\noutput \"a\" { value = value.a.output }\n");
    let environment = fs::read_to_string(project.path().join("plans/app/plan.hcl")).unwrap();
    project.write("plans/next/plan.hcl", &environment.replace("plan \"app\"", "plan \"next\""));
    project.write(
        "plans/next/next.hcl",
        "data \"plan_outputs\" \"app\" {\n  plan = \"app\"\n}\noutput \"b\" { value = data.plan_outputs.app.outputs.a }\nvalue \"b\" { input = data.plan_outputs.app.outputs.a }\n",
    );
    project.ends(&["apply", "app", "--auto-approve"], 0);
    project.ends(&["apply", "next", "--auto-approve"], 0);
    assert_eq!(project.ends(&["output", "next", "b", "--raw"], 0).out, "from app");
    nothing_local(&project);
}

#[test]
fn a_bucket_that_is_not_there_says_what_to_make() {
    let Some(server) = ministack() else { return };
    let project = project(&server.account(), "never-made", "value \"a\" { input = 1 }\n");
    let said = project.ends(&["plan", "app"], 1);
    assert!(said.err.contains("there is no bucket never-made"), "{}", said.err);
    assert!(said.err.contains("aws s3 mb"), "{}", said.err);
    nothing_local(&project);
}

#[test]
fn the_sandbox_keeps_its_state_beside_it_whatever_the_settings_say() {
    let Some(server) = ministack() else { return };
    let project = project(&server.account(), "never-made", "value \"a\" { input = 1 }\n");
    project.ends(&["apply", "app", "--auto-approve", "--sandbox"], 0);
    assert!(project.path().join(".terrace/state/app/dev/sandbox/snapshot").exists());
}
