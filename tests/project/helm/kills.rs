//! SIGKILL to Terrace, to helm and to both in the middle of an upgrade: `resume` ends where an undisturbed run does.

use super::{Releases, WEB};
use std::{
    fs,
    process::Child,
    thread,
    time::{Duration, Instant},
};

/// Every process of this machine with its words, by its id.
pub(super) fn processes() -> Vec<(u32, String)> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&words).replace('\0', " ")))
    })
    .collect()
}

/// A project whose release is deployed, and the next version of whose plan takes three seconds to get ready.
fn slow(helm: &'static str) -> Option<Releases> {
    let releases = Releases::new(helm, WEB)?;
    releases.applied();
    let slow = "replicas = 2, pod = { \"testbed.terrace/ready-after\" = \"3s\" }";
    releases.declare(&WEB.replace("replicas = 1", slow));
    Some(releases)
}

/// Starts an apply and waits until its helm has opened its record; returns both.
fn in_the_middle(releases: &Releases) -> (Child, u32) {
    let mut child = releases.project.start(&["apply", "--auto-approve"]);
    let started = Instant::now();
    let helm = loop {
        let helm = processes().into_iter().find(|(_, words)| {
            words.contains(" upgrade ") && words.contains(&format!("--namespace {} ", releases.namespace))
        });
        if let Some((pid, _)) = helm
            && releases.statuses("web").iter().any(|status| status == "pending-upgrade")
        {
            break pid;
        }
        if started.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("helm never begins: {:?}", child.wait_with_output().unwrap());
        }
        thread::sleep(Duration::from_millis(20));
    };
    (child, helm)
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// What the run would have led to: the wanted objects, a deployed newest revision, nothing left to do.
fn as_undisturbed(releases: &Releases) {
    assert_eq!(releases.statuses("web").last().map(String::as_str), Some("deployed"));
    assert_eq!(releases.statuses("web").iter().filter(|s| *s == "deployed").count(), 1);
    let deployment = releases.live("deployments", "web");
    assert_eq!((&deployment["spec"]["replicas"], &deployment["status"]["readyReplicas"]), (&2.into(), &2.into()));
    let plan = releases.planned();
    assert!(plan.contains("No changes."), "{plan}");
}

fn terrace_is_killed(helm: &'static str) {
    let Some(releases) = slow(helm) else { return };
    let (mut child, _) = in_the_middle(&releases);
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = releases.project.ends(&["plan"], 5);
    assert!(refused.err.contains("terrace resume"), "{refused:?}");
    releases.project.ends(&["resume", "--auto-approve"], 0);
    // Its helm went on and was waited for: there was no second one.
    assert_eq!(releases.statuses("web"), ["superseded", "deployed"]);
    as_undisturbed(&releases);
}

#[test]
fn killed_while_helm_3_upgrades_terrace_waits_for_it_afterwards() {
    terrace_is_killed("helm3");
}

#[test]
fn killed_while_helm_4_upgrades_terrace_waits_for_it_afterwards() {
    terrace_is_killed("helm4");
}

fn both_are_killed(helm: &'static str) {
    let Some(releases) = slow(helm) else { return };
    let (mut child, helm) = in_the_middle(&releases);
    child.kill().unwrap();
    kill(helm);
    child.wait().unwrap();
    assert_eq!(releases.statuses("web"), ["deployed", "pending-upgrade"]);
    releases.project.ends(&["resume", "--auto-approve"], 0);
    assert_eq!(releases.statuses("web"), ["superseded", "failed", "deployed"]);
    as_undisturbed(&releases);
}

#[test]
fn both_killed_with_helm_3_the_upgrade_is_made_again_at_once() {
    both_are_killed("helm3");
}

#[test]
fn both_killed_with_helm_4_the_upgrade_is_made_again_at_once() {
    both_are_killed("helm4");
}

#[test]
fn a_helm_that_is_killed_alone_is_seen_and_the_upgrade_made_again() {
    let Some(releases) = slow("helm4") else { return };
    let (child, helm) = in_the_middle(&releases);
    kill(helm);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        releases.project.ends(&["resume", "--auto-approve"], 0);
    }
    assert_eq!(releases.statuses("web"), ["superseded", "failed", "deployed"], "{said}");
    as_undisturbed(&releases);
}

#[test]
fn a_release_that_another_machine_left_pending_is_told_with_its_age_and_mended_by_doctor() {
    let Some(releases) = Releases::new("helm3", WEB) else { return };
    releases.applied();
    releases.declare(&WEB.replace("replicas = 1", "replicas = 2"));
    releases.applied();
    releases.cluster.leave_pending(&releases.namespace, "web", "pending-upgrade", "2026-01-05T08:00:00Z");
    releases.declare(&WEB.replace("replicas = 1", "replicas = 3"));
    let refused = releases.project.run(&["plan"]);
    let text = format!("{}{}", refused.out, refused.err);
    assert!(refused.code != Some(0), "{text}");
    assert!(text.contains("pending-upgrade since") && text.contains("terrace doctor"), "{text}");
    let found = releases.project.run(&["doctor"]);
    let text = format!("{}{}", found.out, found.err);
    assert!(text.contains("pending-upgrade since") && text.contains("keeps the history"), "{text}");
    releases.project.ends(&["doctor", "--fix"], 0);
    assert_eq!(releases.statuses("web"), ["superseded", "failed"]);
    releases.applied();
    assert_eq!(releases.statuses("web").len(), 3);
    assert!(releases.planned().contains("No changes."));
}

#[test]
fn a_release_that_another_helm_left_pending_is_decided_by_a_person_before_its_time() {
    let Some(releases) = Releases::new("helm4", WEB) else { return };
    let by_hand = |name: &str| {
        let mut helm = releases.cluster.helm3().unwrap();
        helm.args(["install", name]).arg(releases.project.path().join("charts/web"));
        assert!(helm.args(["--namespace", &releases.namespace]).output().unwrap().status.success());
    };
    let pending = |name: &str| {
        let now = jiff::Timestamp::now().to_string();
        releases.cluster.leave_pending(&releases.namespace, name, "pending-upgrade", &now);
    };
    by_hand("web");
    let id = format!("{}/web", releases.namespace);
    releases.project.ends(&["import", "helm.web", &id, "--auto-approve"], 0);
    pending("web");
    let found = releases.project.ends(&["doctor"], 1).words();
    assert!(found.contains("begun by a helm that is not Terrace's") && found.contains("a person decides"), "{found}");
    assert!(found.contains("terrace doctor --fix --decide helm.web"), "{found}");
    releases.project.ends(&["doctor", "--fix"], 1);
    assert_eq!(releases.statuses("web"), ["pending-upgrade"]);
    releases.project.ends(&["doctor", "--fix", "--decide", "helm.other"], 64);
    releases.project.ends(&["doctor", "--fix", "--decide", "helm.web"], 0);
    assert_eq!(releases.statuses("web"), ["failed"]);

    // Of what it does not know, doctor has nothing to say, and nothing else is promised.
    by_hand("other");
    pending("other");
    releases.declare(&WEB.replace("\"web\"", "\"other\""));
    let refused = releases.project.run(&["plan"]);
    assert!(refused.code != Some(0) && !refused.words().contains("terrace doctor"), "{refused:?}");
    assert!(refused.words().contains("helm rollback other --namespace"), "{refused:?}");
}
