//! The rules of plan, state and failure, each as a small life.

use crate::{
    apply::{Error, Options, RunFacts, run, testing::Lab},
    base::{ActionWord, NoEvents, RunEnd},
    plan::{self, Made, Mode, Request},
    world::sandbox::Drift,
};
use std::sync::Arc;

const TEMPLATE: &str = "Resources:\n  Q: { Type: AWS::SQS::Queue }\nOutputs:\n  Url: { Value: !Ref Q }\n";

fn lab(plan: &str) -> Lab {
    let mut lab = Lab::new(plan);
    lab.files.insert("p/a.yaml".to_owned(), TEMPLATE.to_owned());
    lab
}

async fn asked(lab: &Lab, request: Request) -> Made {
    plan::make(&lab.subject().await, &request, &NoEvents).await.unwrap_or_else(|e| panic!("{e:#?}"))
}

async fn refused(lab: &Lab) -> String {
    match lab.try_plan().await {
        Err(plan::Error::Problems(problems)) => format!("{problems:?}"),
        other => panic!("{other:#?}"),
    }
}

fn words(plan: &plan::Plan) -> Vec<String> {
    let acts = |n: &&plan::Planned| !matches!(n.action, ActionWord::NoOp | ActionWord::Read);
    plan.nodes.iter().filter(acts).map(|n| format!("{}: {}", n.address, n.action.word())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_plan_is_refused_and_all_that_moved_is_named() {
    let mut lab = lab("stack \"a\" { template = \"${path.root}/a.yaml\" }\nvalue \"v\" { input = 1 }\n");
    lab.applied().await;
    lab.write("stack \"a\" { template = \"${path.root}/a.yaml\" }\nvalue \"v\" { input = 2 }\n");
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let options = || Options { check_fresh: true, ..Lab::options() };
    lab.write("stack \"a\" { template = \"${path.root}/a.yaml\" }\nvalue \"v\" { input = 3 }\n");
    lab.applied().await;
    lab.world
        .drift(&Drift {
            target: "stack/p-dev-a".to_owned(),
            set: vec![("termination_protection".to_owned(), "true".to_owned())],
            ..Drift::default()
        })
        .unwrap();
    let error = run(lab.subject().await, saved, lab.store().await, options(), Arc::new(NoEvents)).await.unwrap_err();
    let Error::Stale(moved) = error else { panic!("{error}") };
    let text: Vec<String> = moved.iter().map(ToString::to_string).collect();
    assert!(
        text.iter().any(|m| m.contains("serial")) && text.iter().any(|m| m.contains("stack.a changed")),
        "{text:?}"
    );
    // The lock was given back.
    lab.store().await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_told_who_holds_the_lock() {
    let lab = lab("value \"v\" { input = 1 }\n");
    let store = lab.store().await;
    let Err(error) = lab.try_store().await else { panic!("two writers") };
    assert!(error.to_string().contains("locked by ada on here"), "{error}");
    store.close().await.unwrap();
    lab.applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_protected_is_neither_destroyed_nor_replaced() {
    let text = "value \"v\" {\n  input = 1\n  triggers_replace = N\n  lifecycle { prevent_destroy = true }\n}\n";
    let mut lab = lab(&text.replace('N', "1"));
    lab.applied().await;
    lab.write(&text.replace('N', "2"));
    assert!(refused(&lab).await.contains("prevent_destroy"));
    lab.write("");
    assert!(refused(&lab).await.contains("removed {"));
    lab.write("removed { from = value.v }\n");
    assert_eq!(lab.changes().await, ["value.v: forget"]);
    lab.applied().await;
    assert!(lab.subject().await.state.resources.is_empty());
}

async fn identity(lab: &Lab, address: &str) -> serde_json::Value {
    lab.subject().await.state.resources[&address.parse().unwrap()].identity.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_go_and_things_turned_off_are_destroyed_and_moves_touch_nothing() {
    let mut lab =
        lab("value \"v\" {\n  for_each = toset([\"a\", \"b\"])\n  input = each.key\n}\nvalue \"w\" { input = 1 }\n");
    lab.applied().await;
    let before = identity(&lab, "value.w").await;
    lab.write("value \"v\" {\n  for_each = toset([\"a\"])\n  input = each.key\n}\nvalue \"x\" { input = 1 }\nmoved {\n  from = value.w\n  to = value.x\n}\n");
    assert_eq!(lab.changes().await, ["value.v[\"b\"]: destroy"]);
    lab.applied().await;
    assert_eq!(identity(&lab, "value.x").await, before);
    lab.write("value \"x\" {\n  input = 1\n  when = false\n}\n");
    assert_eq!(lab.changes().await, ["value.v[\"a\"]: destroy", "value.x: destroy"]);
    lab.applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_owns_is_taken_over_only_by_an_import() {
    let text = "stack \"a\" {\n  name = \"shared\"\n  template = \"${path.root}/a.yaml\"\n}\n";
    let mut lab = lab(text);
    lab.applied().await;
    lab.write("removed { from = stack.a }\n");
    lab.applied().await;
    lab.write(text);
    let said = refused(&lab).await;
    assert!(said.contains("import {"), "{said}");
    lab.write(&format!("{text}import {{\n  to = stack.a\n  id = \"shared\"\n}}\n"));
    assert_eq!(lab.changes().await, ["stack.a: import"]);
    let executed = lab.calls_of("cloudformation:ExecuteChangeSet");
    lab.applied().await;
    assert_eq!(lab.calls_of("cloudformation:ExecuteChangeSet"), executed, "adopting changes nothing");
    assert!(lab.changes().await.is_empty());
    lab.write("stack \"b\" {\n  name = \"other\"\n  template = \"${path.root}/a.yaml\"\n}\nimport {\n  to = stack.b\n  id = \"other\"\n}\n");
    assert!(refused(&lab).await.contains("nothing to import"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_asked_for_triggered_or_forced() {
    let text = "value \"a\" { input = 1 }\nvalue \"b\" {\n  input = 1\n  lifecycle { replace_triggered_by = [value.a] }\n}\nvalue \"c\" { input = value.b.id }\n";
    let mut lab = lab(text);
    lab.applied().await;
    let made = asked(&lab, Request { replace: vec!["value.b".parse().unwrap()], ..Request::default() }).await;
    assert_eq!(words(&made.plan), ["value.b: replace", "value.c: update"], "a new id is not known before");
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
    lab.write(&text.replacen("input = 1", "input = 2", 1));
    assert_eq!(lab.changes().await, ["value.a: update", "value.b: replace", "value.c: update"]);
    let report = lab.applied().await;
    assert_eq!(report.counts["replace"], 1, "{:?}", report.counts);
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_takes_what_it_needs_and_ignored_fields_stay() {
    let mut lab = lab("value \"a\" { input = 1 }\nvalue \"b\" { input = value.a.id }\nvalue \"c\" { input = 1 }\n");
    let made = asked(&lab, Request { targets: vec!["value.b".parse().unwrap()], ..Request::default() }).await;
    assert_eq!(words(&made.plan), ["value.a: create", "value.b: create"]);
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
    lab.write("value \"a\" {\n  input = 2\n  lifecycle { ignore_changes = [input] }\n}\nvalue \"b\" { input = value.a.id }\nvalue \"c\" { input = 1 }\n");
    assert_eq!(lab.changes().await, ["value.c: create"]);
}

const VERIFIED: &str = "phase \"one\" { PHASE }\nvalue \"a\" {\n  phase = phase.one\n  input = 1\n  verify \"ready\" {\n    expression {\n      condition = HOLDS\n      error_message = \"not yet\"\n    }\n    within = \"10s\"\n  }\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_that_fails_halts_and_is_asked_again_until_it_passes() {
    let mut lab = lab(&VERIFIED.replace("PHASE", "").replace("HOLDS", "false"));
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::Failed);
    assert!(report.failures[0].1.contains("verify \"ready\" did not pass: not yet"), "{:?}", report.failures);
    assert_eq!(lab.changes().await, ["value.a: verify"]);
    lab.write(&VERIFIED.replace("PHASE", "").replace("HOLDS", "true"));
    lab.applied().await;
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_or_a_gate_that_fails_rolls_the_phase_back() {
    let text = VERIFIED.replace("PHASE", "on_failure = \"rollback\"").replace("HOLDS", "false");
    let gated = "phase \"one\" {\n  on_failure = \"rollback\"\n  verify \"gate\" {\n    expression {\n      condition = false\n      error_message = \"shut\"\n    }\n    within = \"10s\"\n  }\n}\nvalue \"a\" {\n  phase = phase.one\n  input = 1\n}\n";
    for text in [text.as_str(), gated] {
        let lab = lab(text);
        let report = lab.apply().await;
        assert_eq!(report.end, RunEnd::RolledBack, "{report:#?}");
        assert!(lab.subject().await.state.resources.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_only_warns_fails_nothing() {
    let text = "value \"a\" { input = 1 }\ncheck \"c\" {\n  severity = \"SEVERITY\"\n  expression {\n    condition = value.a.output == 2\n    error_message = \"it is not 2\"\n  }\n  within = \"1s\"\n}\n";
    assert_eq!(lab(&text.replace("SEVERITY", "warning")).apply().await.end, RunEnd::Succeeded);
    let report = lab(&text.replace("SEVERITY", "error")).apply().await;
    assert_eq!(report.end, RunEnd::Failed);
    assert!(report.failures[0].1.contains("it is not 2"), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_file_and_its_change_is_seen() {
    let text = "variable \"s\" {\n  type = string\n  sensitive = true\n  default = \"SECRET\"\n}\nvalue \"v\" { input = { plain = 1, secret = var.s } }\noutput \"o\" {\n  value = value.v.output.secret\n  sensitive = true\n}\n";
    let mut lab = lab(&text.replace("SECRET", "canary-one"));
    let report = lab.applied().await;
    assert_eq!(report.outputs["o"].as_str(), Some("canary-one"));
    let made = lab.plan().await;
    assert!(!made.plan.has_changes(), "{:?}", words(&made.plan));
    lab.write(&text.replace("SECRET", "canary-two"));
    assert_eq!(lab.changes().await, ["value.v: update"]);
    lab.applied().await;
    let mut folders = vec![lab.folder.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(6).any(|w| w == b"canary"), "{} holds a secret", path.display());
        }
    }
    assert!(files > 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_leaves_nothing_behind_but_what_was_done() {
    let lab = lab("stack \"a\" { template = \"${path.root}/a.yaml\" }\n");
    let left = async || {
        let names = lab.ledger().list("").await.unwrap();
        names.into_iter().filter(|name| !name.starts_with("audit/")).collect::<Vec<_>>()
    };
    lab.applied().await;
    assert_eq!(left().await, Vec::<String>::new());
    lab.destroy().await;
    assert_eq!(left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_come_last_and_users_before_what_they_use_across_moved_phases() {
    let phases = "phase \"one\" {}\nphase \"two\" { after = [phase.one] }\n";
    let mut lab = lab(&format!(
        "{phases}value \"base\" {{\n  phase = phase.two\n  input = 1\n}}\nvalue \"user\" {{\n  phase = phase.two\n  input = value.base.id\n}}\n"
    ));
    lab.applied().await;
    // State remembers a user in an earlier phase than what it uses.
    let store = lab.store().await;
    let mut user = store.with(|s| s.resources[&"value.user".parse().unwrap()].clone());
    user.phase = "one".into();
    store.commit(vec![crate::state::Record::Resource(Box::new(user))]).await.unwrap();
    store.close().await.unwrap();
    lab.write(phases);
    let report = lab.applied().await;
    assert_eq!(report.counts["destroy"], 2, "{report:#?}");
    assert!(lab.subject().await.state.resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_beyond_the_approved_plan_is_not_done_and_a_plan_for_the_rest_is_made() {
    let mut lab =
        lab("stack \"a\" { template = \"${path.root}/a.yaml\" }\nvalue \"v\" { input = stack.a.outputs.Url }\n");
    lab.applied().await;
    lab.files.insert(
        "p/a.yaml".to_owned(),
        TEMPLATE.replace("AWS::SQS::Queue }", "AWS::SQS::Queue, Properties: { DelaySeconds: 3 } }"),
    );
    let made = lab.plan().await;
    assert_eq!(words(&made.plan), ["stack.a: update"]);
    lab.world
        .drift(&Drift {
            target: "stack/p-dev-a".to_owned(),
            set: vec![("termination_protection".to_owned(), "true".to_owned())],
            ..Drift::default()
        })
        .unwrap();
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::BeyondPlan, "{report:#?}");
    let rest = report.rest.expect("a plan for the rest");
    assert_eq!(words(&rest.content), ["stack.a: update"]);
    plan::discard(&lab.subject().await, &rest.attachment.previews).await.unwrap();
    lab.applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_takes_over_what_is_live_and_touches_nothing() {
    let lab = lab("stack \"a\" { template = \"${path.root}/a.yaml\" }\n");
    lab.applied().await;
    let made = asked(&lab, Request { mode: Mode::RefreshOnly, ..Request::default() }).await;
    assert!(words(&made.plan).is_empty(), "{:?}", words(&made.plan));
    lab.world.drift(&Drift { target: "stack/p-dev-a".to_owned(), delete: true, ..Drift::default() }).ok();
    let options =
        Options { record: RunFacts { command: "refresh".to_owned(), ..RunFacts::default() }, ..Lab::options() };
    let made = asked(&lab, Request { mode: Mode::RefreshOnly, ..Request::default() }).await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let report = run(lab.subject().await, saved, lab.store().await, options, Arc::new(NoEvents)).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_failing_program_prints_reaches_neither_journal_nor_report() {
    let lab = lab(
        "command \"c\" {\n  create      = [\"sh\", \"-c\", \"echo $PW; echo $PW >&2; exit 1\"]\n  environment = { PW = sensitive(\"canary-three\") }\n}\n",
    );
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::Failed);
    assert!(report.failures[0].1.contains("(sensitive)"), "{:?}", report.failures);
    let log = std::fs::read_to_string(lab.folder.path().join("state/log")).unwrap();
    assert!(!log.contains("canary") && !format!("{report:?}").contains("canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_a_manifest_leaves_an_ignored_field_to_whoever_set_it() {
    let mut lab = lab("");
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    let declared = |image: &str| {
        format!(
            r#"
stack "cluster" {{
  template = "${{path.root}}/cluster.yaml"
  parameters = {{ ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }}
}}
kubernetes "main" {{
  eks {{ name = stack.cluster.outputs.ClusterName }}
}}
manifest "web" {{
  object = {{
    apiVersion = "apps/v1"
    kind = "Deployment"
    metadata = {{ name = "web", namespace = "default" }}
    spec = {{
      replicas = 1
      selector = {{ matchLabels = {{ app = "web" }} }}
      template = {{
        metadata = {{ labels = {{ app = "web" }} }}
        spec = {{ containers = [{{ name = "web", image = "{image}" }}] }}
      }}
    }}
  }}
  lifecycle {{
    ignore_changes = [object.spec.replicas]
  }}
}}
"#
        )
    };
    lab.write(&declared("nginx:1"));
    lab.applied().await;
    // How many pods it wants, behind how many are ready.
    let replicas = |lab: &Lab| {
        let rows = lab.world.show(Some("object")).unwrap().rows;
        let web = rows.iter().find(|r| r.name == "default/Deployment/web").unwrap();
        web.status.split_once('/').unwrap().1.to_owned()
    };
    let before = replicas(&lab);
    let set = vec![("spec.replicas".to_owned(), "3".to_owned())];
    let drift = Drift { target: "object/default/Deployment/web".to_owned(), set, ..Drift::default() };
    lab.world.drift(&drift).unwrap();
    lab.world.advance(std::time::Duration::from_secs(600)).unwrap();
    let scaled = replicas(&lab);
    assert_eq!((before.as_str(), scaled.as_str()), ("1 ready", "3 ready"));
    assert_eq!(lab.changes().await, Vec::<String>::new());
    lab.write(&declared("nginx:2"));
    assert_eq!(lab.apply().await.end, RunEnd::Succeeded);
    assert_eq!(replicas(&lab), scaled);
    assert_eq!(lab.changes().await, Vec::<String>::new());
}
