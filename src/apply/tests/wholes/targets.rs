//! `--target` and modules that are rolled out as a whole: all of one, or nothing of it.

use super::*;
use crate::base::ActionWord;

fn does(made: &plan::Made) -> Vec<String> {
    let nodes = made.plan.nodes.iter().filter(|n| !matches!(n.action, ActionWord::NoOp | ActionWord::Read));
    nodes.map(|n| format!("{}: {}", n.address, n.action.word())).collect()
}

/// The module beside two values that nothing in it needs.
fn text(tag: &str) -> String {
    format!("{}\nvalue \"apart\" {{\n  phase = phase.base\n  input = \"{tag}\"\n}}\n", module(tag))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_named_is_meant_with_all_that_it_needs() {
    let mut lab = lab(&text("one"), INSIDE);
    let made = targeted(&lab, &["module.app"]).await.unwrap_or_else(|e| panic!("{e:#?}"));
    let words = does(&made);
    assert!(words.iter().any(|word| word == "module.app: shift"), "{words:?}");
    assert!(words.iter().any(|word| word == "stack.cluster: create"), "{words:?}");
    assert!(!words.iter().any(|word| word.contains("value.")), "{words:?}");
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Blue), 0));
    lab.write(&text("two"));
    let made = targeted(&lab, &["module.app"]).await.unwrap_or_else(|e| panic!("{e:#?}"));
    assert_eq!(
        does(&made),
        ["module.app@green.stack.servers: create", "module.app@green.helm.web: create", "module.app: shift"]
    );
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Green), 100));
    // Whatever refers to it takes all of it along.
    lab.write(&text("three"));
    let made = targeted(&lab, &["value.after"]).await.unwrap_or_else(|e| panic!("{e:#?}"));
    assert!(does(&made).contains(&"module.app: shift".to_owned()), "{:?}", does(&made));
    // To destroy one is to destroy both its colours, and nothing else.
    let targets = vec!["module.app".parse().unwrap()];
    let request = plan::Request { mode: plan::Mode::Destroy, targets, ..plan::Request::default() };
    let made = plan::make(&lab.subject().await, &request, &NoEvents).await.unwrap();
    let mut words = does(&made);
    words.sort();
    let of = |color: &str| ["helm.web", "stack.servers"].map(|part| format!("module.app@{color}.{part}: destroy"));
    assert_eq!(words, [of("blue"), of("green")].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_what_is_rolled_out_as_a_whole_is_no_target() {
    let parts = ["module.app.helm.web", "module.app.stack.servers", "module.app@green", "module.app@blue.helm.web"];
    let mut lab = lab(&text("one"), INSIDE);
    for installed in [false, true] {
        for part in parts {
            let problems = refused(&lab, &[part]).await;
            let codes: Vec<&str> = problems.iter().map(|p| &*p.code).collect();
            assert_eq!(codes, ["rollout_module"], "{part}: {problems:#?}");
            assert!(problems[0].hint.as_deref().unwrap().contains("--target module.app"), "{problems:#?}");
        }
        if !installed {
            lab.applied().await;
            lab.write(&text("two"));
        }
    }
    let problems = refused(&lab, &["module.other"]).await;
    assert_eq!(&*problems[0].code, "unknown_target");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_is_named_by_its_key() {
    let inside =
        "variable \"of\" { type = string }\nvalue \"a\" { input = var.of }\nvalue \"b\" { input = value.a.id }\n";
    let call =
        "module \"app\" {\n  source   = \"./app\"\n  for_each = toset([\"eu\", \"us\"])\n  of       = each.key\n}\n";
    let lab = lab(call, inside);
    let made = targeted(&lab, &["module.app[\"eu\"]"]).await.unwrap();
    assert_eq!(does(&made), ["module.app[\"eu\"].value.a: create", "module.app[\"eu\"].value.b: create"]);
    let made = targeted(&lab, &["module.app"]).await.unwrap();
    assert_eq!(does(&made).len(), 4);
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
    assert_eq!(lab.changes().await, Vec::<String>::new());
}
