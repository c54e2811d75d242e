//! Stacks in a run: what their change sets cost, what a kill leaves of them, when a saved one is stale.

use crate::{
    apply::{Error, doctor, mend, run, testing::Lab},
    base::ActionWord,
    plan::{self, Moved},
    world::sandbox::{Drift, Fault, FaultKind},
};
use std::{collections::BTreeMap, sync::Arc};

fn lab(days: u32) -> Lab {
    let mut lab = Lab::new(&plan_with(days));
    lab.files.insert(
        "p/queue.yaml".to_owned(),
        "Parameters: { Days: { Type: Number } }\nResources:\n  Queue:\n    Type: AWS::SQS::Queue\n    \
         Properties: { MessageRetentionPeriod: !Ref Days }\n"
            .to_owned(),
    );
    lab
}

fn plan_with(days: u32) -> String {
    format!("stack \"queue\" {{\n  template = \"${{path.root}}/queue.yaml\"\n  parameters = {{ Days = {days} }}\n}}\n")
}

fn calls(lab: &Lab, operations: &[&str]) -> Vec<u64> {
    operations.iter().map(|operation| lab.calls_of(&format!("cloudformation:{operation}"))).collect()
}

#[tokio::test]
async fn a_stack_costs_one_change_set_and_nothing_twice() {
    let mut lab = lab(60);
    let made = ["CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "ListChangeSets", "GetTemplate"];
    lab.applied().await;
    assert_eq!(calls(&lab, &made), [1, 1, 0, 0, 0], "a create");
    lab.write(&plan_with(61));
    lab.applied().await;
    let after_update = calls(&lab, &made);
    assert_eq!(after_update[..4], [2, 2, 0, 0], "an update");
    let described = lab.calls_of("cloudformation:DescribeStacks");
    let made_plan = lab.plan().await;
    assert!(made_plan.plan.nodes.iter().all(|node| node.action == ActionWord::NoOp));
    // Once for what it is, once for its drift.
    assert!(lab.calls_of("cloudformation:DescribeStacks") <= described + 2);
    assert_eq!(calls(&lab, &made)[..4], after_update[..4], "a plan of what did not change makes nothing");
}

#[tokio::test]
async fn a_plan_that_is_killed_while_it_looks_ahead_leaves_nothing_that_doctor_does_not_know() {
    for after in [false, true] {
        for operation in ["CreateChangeSet", "DescribeChangeSet"] {
            let mut lab = lab(60);
            lab.fault(&format!("cloudformation:{operation}"), FaultKind::Crash { after });
            assert!(lab.until_crash(lab.plan()).await.is_none());
            lab.reopen();
            let diagnosis = doctor(&lab.subject().await, 4).await.unwrap();
            assert_eq!(diagnosis.leftovers.len(), 1, "{operation} {after}");
            mend(&lab.subject().await, &diagnosis, &BTreeMap::new()).await.unwrap();
            assert!(doctor(&lab.subject().await, 4).await.unwrap().healthy());
            assert!(lab.live().is_empty(), "{:?}", lab.live());
        }
    }
}

#[tokio::test]
async fn a_saved_plan_whose_change_set_is_gone_is_stale() {
    let lab = lab(60);
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let (_, left) = saved.attachment.previews.iter().next().unwrap();
    let aws = crate::world::World::aws(&*lab.world, &lab.subject().await.aws).unwrap();
    aws.cloudformation.delete_change_set(left.attachment["change_set"].as_str().unwrap()).await.unwrap();
    let options = crate::apply::Options { check_fresh: true, ..Lab::options() };
    let events = Arc::new(crate::base::NoEvents);
    let refused = run(lab.subject().await, saved, lab.store().await, options, events).await.unwrap_err();
    let Error::Stale(moved) = refused else { panic!("{refused:?}") };
    assert!(matches!(&moved[..], [Moved::Spent { why, .. }] if why.contains("gone")), "{moved:?}");
}

#[tokio::test]
async fn after_a_kill_a_stack_whose_parameters_were_unknown_is_looked_at_again() {
    let two = |days: u32| {
        let second = "stack \"after\" {\n  template = \"${path.root}/after.yaml\"\n  parameters = { Days = stack.queue.outputs.Days }\n}\n";
        format!("{}{second}", plan_with(days))
    };
    for moved in [false, true] {
        let mut lab = lab(60);
        let queue = lab.files["p/queue.yaml"].clone();
        lab.files.insert("p/after.yaml".to_owned(), queue.clone());
        lab.files.insert("p/queue.yaml".to_owned(), format!("{queue}Outputs: {{ Days: {{ Value: !Ref Days }} }}\n"));
        lab.write(&two(60));
        lab.applied().await;
        lab.write(&two(61));
        let made = lab.plan().await;
        assert!(!made.attachment.previews.contains_key(&"stack.after".parse().unwrap()), "its parameter is not known");
        let crash = Fault::new("cloudformation:ExecuteChangeSet", FaultKind::Crash { after: false }).on("*after");
        lab.world.add_fault(&crash).unwrap();
        assert!(lab.until_crash(lab.apply_made(made)).await.is_none());
        lab.reopen();
        lab.world.clear_faults(None).unwrap();
        if moved {
            let target = lab
                .live()
                .into_iter()
                .find_map(|l| l.split_whitespace().find(|w| w.ends_with("-after")).map(str::to_owned));
            let set = vec![("termination_protection".to_owned(), "true".to_owned())];
            let target = format!("stack/{}", target.unwrap());
            lab.world.drift(&Drift { target, set, ..Drift::default() }).unwrap();
        }
        let report = lab.resumed().await;
        assert_eq!(report.beyond.is_empty(), !moved, "{report:#?}");
        assert_eq!(lab.plan().await.plan.nodes.iter().all(|n| n.action == ActionWord::NoOp), !moved);
    }
}
