//! What a plan looks like, by hand-made plans. Snapshots are without colour: what they say must not hang on it.

use super::render;
use crate::{
    base::{ActionWord, Address, Data, Diagnostic, Digest, Value},
    kinds::{Cause, FieldChange, Held, Holding, Holdings, Undo},
    plan::{
        DeferReason, Deferral, Drift, Finding, Judgement, Moment, OutputChange, Place, Plan, Planned, Severity, Waiver,
        WaiverStanding,
        testing::{child, field, node, plan},
    },
    review::Book,
};
use serde_json::json;

fn text(plan: &Plan) -> String {
    anstream::adapter::strip_str(&render(plan, &Book::shipped(), 100)).to_string()
}

#[expect(clippy::unnecessary_wraps, reason = "shortens the calls below")]
fn some(value: impl Into<Value>) -> Option<Value> {
    Some(value.into())
}

#[test]
fn a_new_colour_is_shown_with_the_name_that_it_gets() {
    let mut green = node("stack.app@green", "services", ActionWord::Create);
    green.identity = json!({ "name": "shop-dev-app-green" });
    let mut plain = node("stack.app", "services", ActionWord::Create);
    plain.identity = json!({ "name": "shop-dev-app" });
    let shown = text(&plan(vec![green, plain]));
    assert!(shown.contains("stack.app@green  create  called shop-dev-app-green\n"), "{shown}");
    assert!(!shown.contains("called shop-dev-app\n"), "{shown}");
}

#[test]
fn creating_shows_inputs_and_parts_by_phase() {
    let mut network = node("stack.network", "foundation", ActionWord::Create);
    network.fields = vec![
        field("parameters.VpcCidr", None, some("10.0.0.0/16")),
        field("parameters.NatGateways", None, some(1)),
        field("tags", None, Some(Value::from_json(&json!({"Project": "shop", "Environment": "dev"})))),
        field("parameters.Password", None, Some(Value::from(Data::Sealed("x".into())).sensitive())),
    ];
    network.children = vec![
        child("Vpc", "AWS::EC2::VPC", ActionWord::Create),
        child("PrivateSubnetA", "AWS::EC2::Subnet", ActionWord::Create),
    ];
    let mut cluster = node("stack.cluster", "cluster", ActionWord::Create);
    cluster.fields =
        vec![field("parameters.VpcId", None, Some(Value::unknown_until("stack.network".parse().unwrap())))];
    cluster.verify = vec!["api".into()];
    let mut plan = plan(vec![network, cluster]);
    plan.header.state.lineage = "".into();
    let after = some(Value::unknown_until("stack.cluster".parse().unwrap()));
    plan.outputs.insert("endpoint".into(), OutputChange { before: None, after });
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn updating_shows_structure_inside_strings() {
    let mut helm = node("helm.istiod", "services", ActionWord::Update);
    let before = "global:\n  proxy:\n    image: a\n  hub: gcr.io\nports: [80, 443]\n";
    let after = "global:\n  proxy:\n    image: b\n  hub: gcr.io\n  debug: true\nports: [80, 8443]\n";
    helm.fields = vec![
        field("version", some("1.24.2"), some("1.24.3")),
        field("values.meshConfig", some(before), some(after)),
        field("values.policy", some("{\"a\": [1, 2]}"), some("{\"a\":[1,2,3]}")),
        FieldChange { cause: Cause::Drift, ..field("values.replicas", some(5), some(2)) },
    ];
    let mut deployment = child("istio-system/istiod", "apps/v1 Deployment", ActionWord::Update);
    deployment.fields = vec![field("spec.replicas", some(5), some(2))];
    helm.children = vec![deployment, child("istio-system/old", "v1 ConfigMap", ActionWord::Delete)];
    helm.undo = Undo::Partly("custom resources are kept".to_owned());
    helm.verify = vec!["ready".into()];
    insta::assert_snapshot!(text(&plan(vec![helm])));
}

#[test]
fn replacing_says_what_forces_it_and_what_is_lost() {
    let mut database = node("stack.database", "foundation", ActionWord::Replace);
    database.fields = vec![
        FieldChange { forces_replacement: true, ..field("name", some("shop-a"), some("shop-b")) },
        FieldChange { because: Some("parameter Size".to_owned()), ..field("parameters.Size", some("m"), some("l")) },
    ];
    database.reasons = vec!["the name of a stack cannot change".to_owned()];
    database.stateful = true;
    database.undo = Undo::None("a destroyed database does not come back".to_owned());
    let mut table = child("Table", "AWS::DynamoDB::Table", ActionWord::Replace);
    table.stateful = true;
    table.policy = Some("Retain".to_owned());
    let mut volume = child("Volume", "AWS::EC2::Volume", ActionWord::Update);
    volume.maybe_replace = true;
    volume.stateful = true;
    volume.fields = vec![field("Properties.Size", some(10), some(20))];
    database.children = vec![table, volume];
    let mut plan = plan(vec![database]);
    plan.header.protected = true;
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn what_is_planned_later_says_why_and_what_it_may_do() {
    let deferral = |reason, waits: &[&str], ceiling: &[ActionWord]| {
        Some(Deferral {
            reason,
            waits_for: waits.iter().map(|w| w.parse::<Address>().unwrap()).collect(),
            ceiling: ceiling.to_vec(),
            declaration: Digest::of(b""),
        })
    };
    let mut loki = node("helm.loki", "services", ActionWord::Defer);
    let reason = DeferReason::Connection { connection: "kubernetes.main".to_owned() };
    loki.deferral = deferral(reason, &["stack.cluster"], &[ActionWord::Create]);
    let mut many = node("manifest.team[*]", "services", ActionWord::Defer);
    many.deferral = deferral(
        DeferReason::Instances,
        &["stack.cluster", "data.secret.grafana_admin"],
        &[ActionWord::Create, ActionWord::Update],
    );
    let mut secret = node("data.secret.grafana_admin", "", ActionWord::Defer);
    let what = "the secret grafana does not exist yet".to_owned();
    secret.deferral = deferral(DeferReason::AbsentPrerequisite { what }, &["stack.secrets"], &[ActionWord::Read]);
    insta::assert_snapshot!(text(&plan(vec![secret, loki, many])));
}

#[test]
fn destroying_moving_importing_and_forgetting_have_their_words() {
    let gone = |address: &str| Planned {
        moment: Moment::Removal,
        undo: Undo::None("destroying it is not undone".to_owned()),
        ..node(address, "services", ActionWord::Delete)
    };
    let mut moved = node("helm.logs", "services", ActionWord::NoOp);
    moved.moved_from = Some("helm.loki".parse().unwrap());
    let mut import = node("stack.legacy", "foundation", ActionWord::Import);
    import.import = Some(json!("legacy-network"));
    let forget = Planned { moment: Moment::Removal, ..node("stack.given_away", "foundation", ActionWord::Forget) };
    let mut verify = node("helm.web", "services", ActionWord::Verify);
    verify.verify = vec!["ready".into(), "errors".into()];
    insta::assert_snapshot!(text(&plan(vec![import, moved, verify, gone("helm.old"), gone("stack.old"), forget])));
}

#[test]
fn drift_stands_apart_from_what_was_asked_for() {
    let mut plan = plan(vec![node("stack.network", "foundation", ActionWord::NoOp)]);
    let mut subnet = child("SubnetA", "AWS::EC2::Subnet", ActionWord::Update);
    subnet.fields = vec![FieldChange {
        cause: Cause::DriftLeft,
        ..field("Properties.MapPublicIpOnLaunch", some(false), some(true))
    }];
    plan.drift = vec![
        Drift {
            address: "stack.network".parse().unwrap(),
            fields: Vec::new(),
            children: vec![subnet, child("SubnetB", "AWS::EC2::Subnet", ActionWord::Delete)],
            ignored: None,
            gone: false,
        },
        Drift {
            address: "helm.web".parse().unwrap(),
            fields: vec![FieldChange { cause: Cause::DriftLeft, ..field("values.replicas", some(2), some(5)) }],
            children: Vec::new(),
            ignored: Some("load test until Friday (ada)".to_owned()),
            gone: false,
        },
    ];
    plan.notes = vec![
        Diagnostic::warning("bake_unwatched", "while no process runs, nothing aborts the rollout")
            .hint("keep `terrace apply` running until it is done"),
    ];
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn no_changes_is_said_in_a_line() {
    let nodes = (0..3).map(|n| node(&format!("value.v{n}"), "services", ActionWord::NoOp)).collect();
    insta::assert_snapshot!(text(&plan(nodes)));
}

#[test]
fn what_it_costs_is_said_with_what_moves_that_most_and_what_has_no_price() {
    let part = |name: &str, kind: &str, properties| Holding {
        name: name.to_owned(),
        kind: kind.to_owned(),
        properties,
        retained: false,
    };
    let nodes = |size: u64| {
        let properties =
            json!({"InstanceTypes": ["t3a.xlarge"], "DiskSize": 100, "ScalingConfig": {"DesiredSize": size}});
        part("Nodes", "AWS::EKS::Nodegroup", properties)
    };
    let gateway = |name: &str| part(name, "AWS::EC2::NatGateway", json!(null));
    let logs = |name: &str| part(name, "AWS::Logs::LogGroup", json!(null));
    let holdings = |before, after| Holdings::new(Held::of(before), Held::of(after));
    let cluster = Planned {
        holdings: holdings(vec![nodes(3)], vec![nodes(5), logs("Logs"), part("Odd", "AWS::Odd::Thing", json!(null))]),
        ..node("stack.cluster", "cluster", ActionWord::Update)
    };
    let network = Planned {
        holdings: holdings(
            vec![gateway("A"), gateway("B"), gateway("C")],
            vec![
                gateway("A"),
                part("Key", "AWS::KMS::Key", json!(null)),
                part("Files", "AWS::S3::Bucket", json!(null)),
            ],
        ),
        ..node("stack.network", "foundation", ActionWord::Update)
    };
    let chart = Planned {
        holdings: Holdings::new(Held::default(), Held::unknown("its chart could not be rendered")),
        ..node("helm.web", "services", ActionWord::Create)
    };
    insta::assert_snapshot!(text(&plan(vec![network, cluster, chart])));
}

#[test]
fn what_it_needs_is_held_against_its_nodes() {
    let part = |kind: &str, name: &str, properties| Holding {
        name: name.to_owned(),
        kind: kind.to_owned(),
        properties,
        retained: false,
    };
    let holds = |address: &str, parts| Planned {
        holdings: Holdings::new(Held::default(), Held::of(parts)),
        ..node(address, "cluster", ActionWord::Create)
    };
    let cluster = |nodes: u64| {
        let properties = json!({"InstanceTypes": ["t3a.xlarge"], "ScalingConfig": {"DesiredSize": nodes}});
        holds("stack.cluster", vec![part("AWS::EKS::Nodegroup", "Nodes", properties)])
    };
    let chart = || {
        let asks = |cpu: &str| json!({"containers": [{"cpu": cpu, "memory": "1Gi"}], "namespace": "a", "replicas": 4});
        let silent = json!({"containers": [{"cpu": null, "memory": null}], "namespace": "a"});
        let parts =
            vec![part("Deployment", "Deployment a/web", asks("1500m")), part("Deployment", "Deployment a/odd", silent)];
        holds("helm.web", parts)
    };
    let needs = |nodes: u64| {
        let all = text(&plan(vec![cluster(nodes), chart()]));
        let begin = all.find("What it needs").unwrap();
        all[begin..].split("\n\n").next().unwrap().to_owned()
    };
    insta::assert_snapshot!([needs(3), needs(1)].join("\n\n"));
}

#[test]
fn hostile_names_and_values_cannot_steer_the_terminal() {
    let mut evil = node("value.x[\"\u{1b}[2J\"]", "services", ActionWord::Create);
    evil.fields = vec![field("input", None, some("\u{1b}]0;owned\u{7}"))];
    evil.reasons = vec!["\u{1b}[31mred".to_owned()];
    assert!(!render(&plan(vec![evil]), &Book::shipped(), 100).contains("\u{1b}[2J"));
    let shown = text(&plan(vec![node("value.y", "services", ActionWord::Create)]));
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn a_narrow_page_loses_nothing() {
    let mut helm = node("helm.a", "services", ActionWord::Update);
    helm.fields = vec![field(
        "values.image",
        some("registry.example.com/team/app:1.0.0"),
        some("registry.example.com/team/app:1.0.1"),
    )];
    let narrow = anstream::adapter::strip_str(&render(&plan(vec![helm]), &Book::shipped(), 44)).to_string();
    assert!(
        narrow.contains("app:1.0.0\"") && narrow.contains("-> \"registry.example.com/team/app:1.0.1\""),
        "{narrow}"
    );
}

#[test]
fn what_rules_find_is_told_denials_first_and_warnings_a_line_for_each_rule() {
    let finding = |rule: &str, severity, address: &str| Finding {
        rule: rule.to_owned(),
        pack: "own".to_owned(),
        severity,
        address: Some(address.parse().unwrap()),
        part: "Topic".to_owned(),
        path: String::new(),
        place: Some(Place { file: "plans/p/t.yaml".into(), line: 3, column: 5 }),
        controls: vec!["CM-8".to_owned()],
        what: format!("{rule} does not hold"),
        why: "nobody finds it".to_owned(),
        instead: "give it a name".to_owned(),
        waiver: None,
    };
    let waiver = Waiver {
        name: "5f0c1d2e3a4b".to_owned(),
        standing: WaiverStanding::Counts,
        reason: "the new one comes in June".to_owned(),
        by: "ann".to_owned(),
        approved_by: Some("bob".to_owned()),
        until: "2030-01-01T00:00:00Z".parse().unwrap(),
    };
    let let_pass = Finding { waiver: Some(waiver), ..finding("named", Severity::Deny, "stack.b") };
    let mut findings = vec![finding("named", Severity::Deny, "stack.a"), let_pass];
    findings.push(finding("tagged", Severity::Warn, "stack.a"));
    findings.extend(["a", "b", "c", "d"].map(|n| finding("dull", Severity::Warn, &format!("helm.{n}"))));
    let judgement =
        Judgement { rules: 12, findings, idle_waivers: vec!["0011 (gone)".to_owned()], ..Judgement::default() };
    let nodes = ["stack.a", "helm.a", "helm.b", "helm.c"].map(|a| node(a, "services", ActionWord::Update));
    let nodes = nodes.into_iter().chain([node("helm.d", "services", ActionWord::NoOp)]).collect();
    let all = text(&Plan { judgement: Some(judgement), ..plan(nodes) });
    let begin = all.find("Policy").unwrap();
    let end = all.find("Phase").unwrap_or(all.len());
    insta::assert_snapshot!(all[begin..end].trim_end(), @"
    Policy  1 denied, 5 warnings, 1 waived  12 rules asked
      deny  stack.a Topic: named does not hold
            plans/p/t.yaml:3:5
            named (CM-8): nobody finds it
            instead: give it a name

      waived  stack.b Topic: named does not hold
            plans/p/t.yaml:3:5
            named (CM-8): nobody finds it
            waived until 2030-01-01T00:00:00Z by ann, agreed to by bob: the new one comes in June (5f0c1d2e3a4b)

      warn    3 × dull (CM-8): dull does not hold (helm.a, helm.b, helm.c)
      warn    1 × tagged (CM-8): tagged does not hold (stack.a)
      --json has each, with what to write instead
      1 warning of what does not change here: --json has them
      the waiver 0011 (gone) lets nothing pass: lift it, or look whether its rule is still there
    ");
}
