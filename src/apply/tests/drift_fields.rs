//! Single fields of objects put back, left alone and taken for right, as plans and runs.

use crate::{
    apply::{testing::Lab, tests::crashes::everything},
    base::{ActionWord, Address, NoEvents, RunEnd},
    kinds::{Cause, kind},
    plan::{self, Made, Mode, Request, Selection, accepted_part, selection},
    state::{AcceptedDrift, IgnoredDrift, IgnoredField, Record, Resource},
    world::sandbox::{Drift, Fault, FaultKind},
};

const COLOUR: &str = "manifest.settings:ConfigMap/apps/settings:data.colour";
const SIZE: &str = "manifest.settings:ConfigMap/apps/settings:data.size";
const REPLICAS: &str = "helm.web:Deployment/apps/web-podinfo:spec.replicas";
const IMAGE: &str = "helm.web:Deployment/apps/web-podinfo:spec.template.spec.containers.podinfo.image";

/// Two fields of an object and two of a release's are changed by somebody.
async fn meddled() -> Lab {
    let mut lab = Lab::new("");
    declare(&mut lab, |t| t);
    lab.applied().await;
    set(&lab, "object/apps/ConfigMap/settings", "data.colour", "green");
    set(&lab, "object/apps/ConfigMap/settings", "data.size", "small");
    set(&lab, "object/apps/Deployment/web-podinfo", "spec.replicas", "5");
    set(&lab, "object/apps/Deployment/web-podinfo", "spec.template.spec.containers.0.image", "other:1");
    assert_eq!(drifting(&lab).await, [REPLICAS, IMAGE, COLOUR, SIZE]);
    lab
}

fn declare(lab: &mut Lab, edit: impl Fn(String) -> String) {
    everything(lab, "", |t| edit(t.replace("colour = \"red\"", "colour = \"red\", size = \"big\"")));
}

fn set(lab: &Lab, target: &str, path: &str, value: &str) {
    let set = vec![(path.to_owned(), value.to_owned())];
    lab.world.drift(&Drift { target: target.to_owned(), set, ..Drift::default() }).unwrap();
}

async fn made(lab: &Lab, mode: Mode, revert: &[&str]) -> Result<Made, plan::Error> {
    let revert = revert.iter().map(|text| text.parse().unwrap()).collect();
    plan::make(&lab.subject().await, &Request { mode, revert, ..Request::default() }, &NoEvents).await
}

/// What an ordinary plan would put back, field by field.
async fn drifting(lab: &Lab) -> Vec<String> {
    let made = lab.plan().await;
    let fields = |cause: Cause| move |f: &&crate::kinds::FieldChange| f.cause == cause;
    let of = |node: &plan::Planned| -> Vec<String> {
        let children: Vec<_> = node
            .children
            .iter()
            .map(|c| crate::kinds::ChildChange {
                fields: c.fields.iter().filter(fields(Cause::Drift)).cloned().collect(),
                ..c.clone()
            })
            .filter(|c| !c.fields.is_empty())
            .collect();
        selection::all(&node.address, &[], &children).iter().map(ToString::to_string).collect()
    };
    made.plan.nodes.iter().flat_map(of).collect()
}

async fn commit(lab: &Lab, record: Record) {
    let store = lab.store().await;
    store.commit(vec![record]).await.unwrap();
    store.close().await.unwrap();
}

/// The decision to leave one field alone, as the command notes it.
async fn ignore(lab: &Lab, address: &str, part: &str, path: &str) {
    let decision = IgnoredDrift { reason: "a test".to_owned(), by: "ada".to_owned(), at: jiff::Timestamp::UNIX_EPOCH };
    let field = IgnoredField { part: Some(part.into()), path: path.into(), decision };
    commit(lab, Record::IgnoredFields { address: address.parse().unwrap(), fields: vec![field] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_put_back_alone_and_what_else_drifted_stays_as_it_is() {
    let mut lab = meddled().await;
    // What is newly declared takes no part in it either.
    declare(&mut lab, |t| t.replace("size = \"big\"", "size = \"big\", more = \"1\""));
    let plan = made(&lab, Mode::RevertDrift, &[COLOUR, REPLICAS]).await.unwrap();
    let words: Vec<String> =
        plan.plan.nodes.iter().filter(|n| n.action != ActionWord::Read).map(|n| n.address.to_string()).collect();
    assert_eq!(words, ["helm.web", "manifest.settings"]);
    let node = plan.plan.node(&"manifest.settings".parse().unwrap()).unwrap();
    assert_eq!(node.children.len(), 1);
    assert_eq!(node.children[0].fields.len(), 1, "{:#?}", node.children);
    assert_eq!(node.reasons, ["data.colour is taken back from kubectl-edit by force"]);
    let upgrades = lab.calls_of("helm:Upgrade");
    let report = lab.apply_made(plan).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{report:#?}");
    assert_eq!(lab.calls_of("helm:Upgrade"), upgrades, "no revision is made");
    assert_eq!(drifting(&lab).await, [IMAGE, SIZE]);
    // The rest is what it was, and an apply does all of it.
    lab.applied().await;
    assert_eq!(drifting(&lab).await, Vec::<String>::new());
    assert_eq!(lab.changes().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_drift_is_not_put_back_and_a_slip_is_told() {
    let lab = meddled().await;
    for (wrong, word) in [
        (
            "manifest.settings:ConfigMap/apps/settings:data.color",
            "did you mean `manifest.settings:ConfigMap/apps/settings:data.colour`",
        ), // spellchecker:disable-line
        (
            "manifest.settings:ConfigMap/apps/other",
            "what drifted: manifest.settings:ConfigMap/apps/settings:data.colour",
        ),
        ("manifest.setting", "did you mean `manifest.settings`"),
        ("stack.cluster:NodeGroup:ScalingConfig.DesiredSize", "revert_whole"),
    ] {
        let problem = format!("{:?}", made(&lab, Mode::RevertDrift, &[wrong]).await.unwrap_err());
        assert!(problem.contains(word), "{wrong}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_left_alone_is_neither_planned_nor_put_back_until_the_decision_is_taken_back() {
    let mut lab = meddled().await;
    ignore(&lab, "manifest.settings", "ConfigMap apps/settings", "data.colour").await;
    ignore(&lab, "helm.web", "Deployment apps/web-podinfo", "spec.replicas").await;
    assert_eq!(drifting(&lab).await, [IMAGE, SIZE]);
    let problem = format!("{:?}", made(&lab, Mode::RevertDrift, &[COLOUR]).await.unwrap_err());
    assert!(problem.contains("--heed"), "{problem}");
    // What is not left alone is put back beside it, of the release without an upgrade.
    let upgrades = lab.calls_of("helm:Upgrade");
    lab.applied().await;
    assert_eq!(lab.calls_of("helm:Upgrade"), upgrades);
    assert_eq!(lab.changes().await, Vec::<String>::new());
    // A change beside it leaves it, too.
    declare(&mut lab, |t| t.replace("size = \"big\"", "size = \"huge\""));
    lab.applied().await;
    assert_eq!(lab.changes().await, Vec::<String>::new());
    for address in ["manifest.settings", "helm.web"] {
        commit(&lab, Record::IgnoredFields { address: address.parse().unwrap(), fields: Vec::new() }).await;
    }
    assert_eq!(drifting(&lab).await, [REPLICAS, COLOUR]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_an_object_that_is_taken_for_right_is_an_ordinary_change_until_it_is_declared_so() {
    let mut lab = meddled().await;
    let address: Address = "manifest.settings".parse().unwrap();
    let plan = lab.plan().await.plan;
    let node = plan.node(&address).unwrap();
    let (child, field) = (&node.children[0], node.children[0].fields.iter().find(|f| f.path == "data.colour").unwrap());
    let happened = crate::kinds::FieldChange { after: field.before.clone(), ..field.clone() };
    let resource = lab.subject().await.state.resources[&address].clone();
    let inputs = kind("manifest").unwrap().take_over(&resource.inputs, &child.name, Some(&happened)).unwrap();
    commit(&lab, Record::Resource(Box::new(Resource { inputs, ..resource }))).await;
    assert_eq!(drifting(&lab).await, [REPLICAS, IMAGE, SIZE]);
    let plan = lab.plan().await.plan;
    let fields = &plan.node(&address).unwrap().children[0].fields;
    let colour = fields.iter().find(|f| f.path == "data.colour").unwrap();
    assert_eq!((colour.cause, colour.after.as_ref().unwrap().as_str()), (Cause::Declared, Some("red")));
    declare(&mut lab, |t| t.replace("colour = \"red\"", "colour = \"green\""));
    let plan = lab.plan().await.plan;
    let fields = &plan.node(&address).unwrap().children[0].fields;
    assert_eq!(fields.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["data.size"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_a_release_that_is_taken_for_right_is_no_drift_until_it_moves_again() {
    let lab = meddled().await;
    let address: Address = "helm.web".parse().unwrap();
    let plan = lab.plan().await.plan;
    let child = &plan.node(&address).unwrap().children[0];
    let field = child.fields.iter().find(|f| f.path == "spec.replicas").unwrap();
    let happened =
        crate::kinds::FieldChange { before: field.after.clone(), after: field.before.clone(), ..field.clone() };
    let seal = lab.subject().await.seal;
    let what = [accepted_part(&seal, &child.name, Some(&happened))].into();
    let drift = AcceptedDrift { what, reason: None, by: "ada".to_owned(), at: jiff::Timestamp::UNIX_EPOCH };
    commit(&lab, Record::Accepted { address, drift: Some(drift) }).await;
    assert_eq!(drifting(&lab).await, [IMAGE, COLOUR, SIZE]);
    lab.applied().await;
    assert_eq!(lab.changes().await, Vec::<String>::new());
    set(&lab, "object/apps/Deployment/web-podinfo", "spec.replicas", "7");
    assert_eq!(drifting(&lab).await, [REPLICAS]);
}

#[tokio::test(flavor = "multi_thread")]
async fn putting_back_fields_that_died_anywhere_is_finished_as_if_it_had_not() {
    let mut lab = meddled().await;
    let kept = lab.keep();
    let before = lab.calls();
    let plan = made(&lab, Mode::RevertDrift, &[COLOUR, REPLICAS]).await.unwrap();
    let planned = lab.calls() - before;
    assert_eq!(lab.apply_made(plan).await.unwrap().end, RunEnd::Succeeded);
    let calls = lab.calls() - before - planned;
    for n in 1..=calls {
        for after in [false, true] {
            lab.restore(&kept);
            let plan = made(&lab, Mode::RevertDrift, &[COLOUR, REPLICAS]).await.unwrap();
            lab.crash(n, after);
            let died = lab.until_crash(lab.apply_made(plan)).await.is_none();
            if died && lab.subject().await.state.open_run().is_none() {
                continue;
            }
            if died {
                let report = lab.resumed().await;
                assert_eq!(report.end, RunEnd::Succeeded, "dies at call {n}, after its effect {after}: {report:#?}");
            }
            lab.world.clear_faults(None).unwrap();
            assert_eq!(drifting(&lab).await, [IMAGE, SIZE], "dies at call {n}, after its effect: {after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_stays_so_where_its_phase_is_rolled_back() {
    let mut lab = meddled().await;
    everything(&mut lab, "on_failure = \"rollback\"", |t| {
        t.replace("colour = \"red\"", "colour = \"red\", size = \"big\"")
    });
    let plan = made(&lab, Mode::RevertDrift, &[COLOUR, REPLICAS]).await.unwrap();
    assert!(plan.plan.nodes.iter().all(|n| n.action == ActionWord::Read || n.undo != crate::kinds::Undo::Full));
    // The release comes first; then the server refuses the object.
    let fault = Fault::new("kubernetes:Apply", FaultKind::Deny).from_call(2);
    lab.world.add_fault(&fault.times(None)).unwrap();
    let report = lab.apply_made(plan).await.unwrap();
    assert_eq!(report.end, RunEnd::RolledBack, "{report:#?}");
    lab.world.clear_faults(None).unwrap();
    assert_eq!(drifting(&lab).await, [IMAGE, COLOUR, SIZE]);
}

#[test]
fn what_is_printed_is_what_is_read() {
    for text in [COLOUR, SIZE, REPLICAS, IMAGE] {
        assert_eq!(text.parse::<Selection>().unwrap().to_string(), text);
    }
}
