//! Modules that are rolled out as a whole, on the sandbox (rule 38).

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_module_is_rolled_out_as_a_whole() {
    let mut lab = lab(&module("one"), INSIDE);
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Blue), 0));
    assert_eq!(lab.changes().await, Vec::<String>::new());
    assert_eq!(after(&lab).await, "web-blue");
    let blue = there(&lab);
    assert_eq!(blue.len(), 2, "{blue:?}");

    // One thing in it changes: all of it comes up again beside the old one.
    lab.write(&module("two"));
    let plan = lab.plan().await.plan;
    let actions: Vec<String> = plan
        .nodes
        .iter()
        .filter(|node| node.address.to_string().contains("app"))
        .map(|node| format!("{}: {}", node.address, node.action.word()))
        .collect();
    assert_eq!(
        actions,
        [
            "traffic.app: no change",
            "module.app@blue.stack.servers: no change",
            "module.app@green.stack.servers: create",
            "module.app@blue.helm.web: no change",
            "module.app@green.helm.web: create",
            "module.app: shift"
        ]
    );
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Green), 100));
    assert_eq!(after(&lab).await, "web-green", "what refers to it has its turn after the bake");
    assert_eq!(there(&lab).len(), 4);
    assert_eq!(lab.changes().await, Vec::<String>::new());
    let debts = lab.plan().await.plan.debts;
    assert_eq!(debts.iter().map(|d| d.address.to_string()).collect::<Vec<_>>(), ["module.app@blue"]);

    lab.write(&module("one"));
    assert!(lab.plan().await.plan.node(&"module.app".parse().unwrap()).unwrap().rollout.as_ref().unwrap().switch);
    lab.applied().await;
    assert_eq!((traffic(&lab, "module.app").await, after(&lab).await), ((Some(Color::Blue), 0), "web-blue".to_owned()));

    lab.world.advance(std::time::Duration::from_secs(2 * 3600)).unwrap();
    assert_eq!(lab.changes().await, ["module.app@green.helm.web: destroy", "module.app@green.stack.servers: destroy"]);
    lab.applied().await;
    assert_eq!(there(&lab), blue);
    let report = lab.destroy().await;
    assert_eq!(report.end, RunEnd::Succeeded, "{:?}", (&report.failures, &report.stuck));
    assert!(lab.subject().await.state.rollouts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_a_module_or_leaves_it_starts_its_other_colour() {
    let mut lab = lab(&module("one"), INSIDE);
    lab.applied().await;
    let more = format!("{INSIDE}\nvalue \"more\" {{ input = var.color }}\n");
    lab.files.insert("p/app/main.hcl".to_owned(), more);
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Green), 100));
    lab.files.insert("p/app/main.hcl".to_owned(), format!("{INSIDE}\nvalue \"less\" {{ input = var.color }}\n"));
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Blue), 0));
    let state = lab.subject().await.state;
    let has = |address: &str| state.resources.contains_key(&address.parse().unwrap());
    assert!(has("module.app@blue.value.less") && has("module.app@green.value.more"));
    assert!(!has("module.app@blue.value.more") && !has("module.app@green.value.less"));
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_in_a_module_is_mended_in_the_colour_that_has_the_traffic() {
    let lab = lab(&module("one"), INSIDE);
    lab.applied().await;
    let target = "object/web/Deployment/web-blue-headlamp".to_owned();
    let set = vec![("spec.replicas".to_owned(), "5".to_owned())];
    lab.world.drift(&sandbox::Drift { target, set, ..sandbox::Drift::default() }).unwrap();
    assert_eq!(lab.changes().await, ["module.app@blue.helm.web: update"]);
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Blue), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_fails_half_way_leaves_the_old_one_as_it_was() {
    let mut lab = lab(&module("one"), INSIDE);
    lab.applied().await;
    let blue = there(&lab);
    lab.write(&module("two"));
    lab.fail("helm:Install");
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert_eq!((traffic(&lab, "module.app").await, there(&lab)), ((Some(Color::Blue), 0), blue.clone()));
    // A first installation that failed half-way is none: it is gone on with, and gets the traffic when all of it is there.
    alarm(&lab, "green", "ALARM");
    lab.world.clear_faults(None).unwrap();
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert_eq!((traffic(&lab, "module.app").await, there(&lab)), ((Some(Color::Blue), 0), blue));
    alarm(&lab, "green", "OK");
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Green), 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_was_rolling_is_blue_and_goes_back_as_it_is() {
    let rolling = |tag| module(tag).replace("\"blue_green\"", "\"rolling\"").replace("self.color]", "\"blue\"]");
    let mut lab = lab(&rolling("one"), INSIDE);
    lab.applied().await;
    assert_eq!(after(&lab).await, "web");
    lab.write(&module("two"));
    lab.applied().await;
    assert_eq!(
        (traffic(&lab, "module.app").await, after(&lab).await),
        ((Some(Color::Green), 100), "web-green".to_owned())
    );
    lab.write(&rolling("two").replace("groups[\"blue\"]", "groups[\"green\"]"));
    lab.applied().await;
    let state = lab.subject().await.state;
    assert!(state.resources.contains_key(&"module.app.helm.web".parse().unwrap()), "{:?}", state.resources.keys());
    assert!(there(&lab).iter().all(|name| !name.contains("blue")), "{:?}", there(&lab));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_module_must_not_hold_is_refused() {
    let phases = "\nvalue \"early\" {\n  phase = phase.first\n  input = 1\n}\n";
    let cases: [(&str, &str, &str, &str); 4] = [
        (
            "  phase  = phase.services\n",
            "  phase  = phase.services\n  phases = { first = phase.base }\n",
            phases,
            "rollout_module",
        ),
        (
            "",
            "",
            "\nhelm \"inner\" {\n  chart = \"x\"\n  rollout {\n    strategy = \"canary\"\n    traffic = traffic.none\n  }\n}\ntraffic \"none\" {\n  service {\n    name = \"x\"\n    namespace = \"x\"\n  }\n}\n",
            "rollout_module",
        ),
        ("\"blue_green\"", "\"canary\"", "", "rollout_canary"),
        (
            "    verify \"errors\" {\n      cloudwatch {\n        alarm = \"errors-${self.color}\"\n      }\n      every       = \"30s\"\n      consecutive = 2\n    }\n",
            "",
            "",
            "rollout_unverified",
        ),
    ];
    for (from, to, inside, code) in cases {
        let text = module("one");
        assert!(text.contains(from), "{from}");
        let lab = lab(&text.replacen(from, to, 1), &format!("{INSIDE}{inside}"));
        assert!(codes(&lab).await.contains(&code.to_owned()), "{code}: {:?}", codes(&lab).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_killed_anywhere_ends_as_if_nothing_had_happened() {
    let mut lab = lab(&module("one"), INSIDE);
    lab.applied().await;
    lab.write(&module("two"));
    let kept = lab.keep();
    let before = lab.calls();
    lab.applied().await;
    let calls = lab.calls() - before;
    let step = usize::try_from(calls / 16).unwrap().max(1);
    let mut resumed = 0;
    for nth in (1..=calls).step_by(step) {
        lab.restore(&kept);
        lab.crash(nth, true);
        let Some(Ok(made)) = lab.until_crash(lab.try_plan()).await else {
            lab.reopen();
            continue;
        };
        if lab.until_crash(lab.apply_made(made)).await.is_none() {
            lab.reopen();
            if lab.subject().await.state.open_run().is_none() {
                continue; // it died before its first record, or after its last
            }
            resumed += 1;
            let report = lab.resumed().await;
            assert_eq!(report.end, RunEnd::Succeeded, "at {nth}: {}", failure(&report));
        }
        assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Green), 100), "at {nth}");
        assert_eq!(after(&lab).await, "web-green", "at {nth}");
        assert_eq!(lab.changes().await, Vec::<String>::new(), "at {nth}");
    }
    assert!(resumed > 5, "it was hardly ever cut off: {resumed}");
}
