//! What Terrace's own rules find in plans that are made by hand.

use super::*;
use crate::{
    plan::testing::{child, field, node, plan},
    policy::Strictness,
};

/// The rules that find something, each with how bad that is, of what and which part.
fn found(plan: &Plan) -> Vec<(String, Severity, String)> {
    let findings = own(plan, Beside::default(), &SourceMap::default(), &Strictness::new());
    findings
        .into_iter()
        .map(|f| {
            let address = f.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
            (f.rule, f.severity, format!("{address} {}", f.part).trim_end().to_owned())
        })
        .collect()
}

fn protected(nodes: Vec<Planned>) -> Plan {
    let mut plan = plan(nodes);
    plan.header.protected = true;
    plan
}

fn of(plan: &Plan, rule: &str) -> Vec<(Severity, String)> {
    found(plan).into_iter().filter(|(name, ..)| name == rule).map(|(_, severity, of)| (severity, of)).collect()
}

fn stack(action: ActionWord, children: Vec<ChildChange>) -> Planned {
    Planned { children, ..node("stack.data", "services", action) }
}

#[test]
fn data_that_goes_is_denied_where_it_is_protected_and_let_be_where_it_is_kept() {
    let database = |action, policy: Option<&str>| ChildChange {
        stateful: true,
        policy: policy.map(str::to_owned),
        ..child("Database", "AWS::RDS::DBInstance", action)
    };
    let replaced = || vec![stack(ActionWord::Update, vec![database(ActionWord::Replace, None)])];
    assert_eq!(of(&protected(replaced()), "data_stays"), [(Severity::Deny, "stack.data Database".to_owned())]);
    assert_eq!(of(&plan(replaced()), "data_stays"), []);
    let kept = protected(vec![stack(ActionWord::Delete, vec![database(ActionWord::Delete, Some("Snapshot"))])]);
    assert_eq!(of(&kept, "data_stays"), []);
    let kept =
        protected(vec![stack(ActionWord::Update, vec![database(ActionWord::Replace, Some("ReplaceAndSnapshot"))])]);
    assert_eq!(of(&kept, "data_stays"), []);
    let whole = Planned { stateful: true, ..node("terraform.data", "services", ActionWord::Delete) };
    assert_eq!(of(&protected(vec![whole]), "data_stays"), [(Severity::Deny, "terraform.data".to_owned())]);
}

#[test]
fn what_others_stand_on_is_not_made_anew_under_them() {
    let user = |action| Planned { after: vec!["stack.data".parse().unwrap()], ..node("helm.web", "services", action) };
    let under = |action| protected(vec![stack(ActionWord::Replace, Vec::new()), user(action)]);
    assert_eq!(of(&under(ActionWord::NoOp), "users_stay"), [(Severity::Deny, "stack.data".to_owned())]);
    assert_eq!(of(&under(ActionWord::Create), "users_stay"), [], "it is not there yet");
    assert_eq!(of(&under(ActionWord::Delete), "users_stay"), [], "it goes as well");
}

#[test]
fn a_phase_that_others_follow_wants_a_gate() {
    let changes = || vec![node("stack.vpc", "foundation", ActionWord::Create)];
    assert_eq!(of(&protected(changes()), "phases_are_gated"), [(Severity::Warn, "- phase foundation".to_owned())]);
    let last = vec![node("helm.web", "services", ActionWord::Create), node("helm.x", "cluster", ActionWord::Create)];
    assert_eq!(of(&protected(last), "phases_are_gated"), [], "nothing follows the last, and `cluster` has one");
    assert_eq!(of(&protected(vec![node("stack.vpc", "foundation", ActionWord::NoOp)]), "phases_are_gated"), []);
}

fn policy(action: &str, effect: &str) -> Value {
    let statement = serde_json::json!([{ "Effect": effect, "Action": action, "Resource": "arn:aws:s3:::a" }]);
    Value::from_json(&statement)
}

#[test]
fn rights_that_widen_are_found_and_those_that_narrow_or_deny_are_not() {
    let changed = |before: Value, after: Value| {
        let fields = vec![field("PolicyDocument.Statement", Some(before), Some(after))];
        let role = ChildChange { fields, ..child("Role", "AWS::IAM::Role", ActionWord::Update) };
        vec![stack(ActionWord::Update, vec![role])]
    };
    let widens = || changed(policy("s3:GetObject", "Allow"), policy("s3:*", "Allow"));
    assert_eq!(of(&protected(widens()), "rights_stay_narrow"), [(Severity::Deny, "stack.data Role".to_owned())]);
    assert_eq!(of(&plan(widens()), "rights_stay_narrow"), [(Severity::Warn, "stack.data Role".to_owned())]);
    let narrows = changed(policy("s3:*", "Allow"), policy("s3:GetObject", "Allow"));
    assert_eq!(of(&protected(narrows), "rights_stay_narrow"), []);
    let denies = changed(policy("s3:GetObject", "Deny"), policy("*", "Deny"));
    assert_eq!(of(&protected(denies), "rights_stay_narrow"), []);
    let as_text = changed(Value::from("s3:GetObject"), Value::from("[\"*\",\"s3:*\"]"));
    assert_eq!(of(&protected(as_text), "rights_stay_narrow").len(), 1);
    let part = changed(Value::from("iam:GetRole"), Value::from("iam:Create*"));
    assert_eq!(of(&protected(part), "rights_stay_narrow").len(), 1);
}

/// The template of `stack.data`, with these resources.
fn material(resources: &serde_json::Value) -> Material {
    let document = serde_json::json!({ "Resources": resources });
    Material {
        templates: vec![super::super::material::TemplateMatter::of("stack.data", document)],
        ..Material::default()
    }
}

fn of_with(plan: &Plan, material: &Material, rule: &str) -> Vec<(Severity, String)> {
    let findings =
        own(plan, Beside { material: Some(material), ..Beside::default() }, &SourceMap::default(), &Strictness::new());
    findings.into_iter().filter(|f| f.rule == rule).map(|f| (f.severity, f.part)).collect()
}

#[test]
fn what_comes_to_a_stack_that_is_there_is_looked_at() {
    let parts = vec![
        ChildChange {
            fields: vec![field("CidrIp", None, Some("0.0.0.0/0".into()))],
            ..child("Open", "AWS::EC2::SecurityGroupIngress", ActionWord::Create)
        },
        child("Closed", "AWS::EC2::SecurityGroupIngress", ActionWord::Create),
        child("Admin", "AWS::IAM::Policy", ActionWord::Create),
        child("Narrow", "AWS::IAM::Policy", ActionWord::Create),
    ];
    let allows = |action: &str| serde_json::json!({ "PolicyDocument": { "Statement": [{ "Effect": "Allow", "Action": action }] } });
    let material = material(&serde_json::json!({
        "Admin": { "Properties": allows("*") },
        "Narrow": { "Properties": allows("s3:GetObject") },
    }));
    let changed = protected(vec![stack(ActionWord::Update, parts.clone())]);
    assert_eq!(of_with(&changed, &material, "no_new_way_in"), [(Severity::Deny, "Open".to_owned())]);
    assert_eq!(of_with(&changed, &material, "rights_stay_narrow"), [(Severity::Deny, "Admin".to_owned())]);
    let new = protected(vec![stack(ActionWord::Create, parts)]);
    assert_eq!(of_with(&new, &material, "no_new_way_in"), [], "packs look at new templates");
}

#[test]
fn a_field_is_read_with_the_effect_of_its_statement() {
    let changed = |path: &str, before: &str, after: &str| {
        let fields = vec![field(path, Some(before.into()), Some(after.into()))];
        let role = ChildChange { fields, ..child("Role", "AWS::IAM::Role", ActionWord::Update) };
        protected(vec![stack(ActionWord::Update, vec![role])])
    };
    let template = |effect: &str| {
        let statement = serde_json::json!([{ "Effect": effect, "Action": "*" }]);
        let policies = serde_json::json!([{ "PolicyDocument": { "Statement": statement } }]);
        material(&serde_json::json!({ "Role": { "Properties": { "Policies": policies } } }))
    };
    let action = "Policies[0].PolicyDocument.Statement[0].Action";
    let found = |plan: &Plan, effect| of_with(plan, &template(effect), "rights_stay_narrow").len();
    assert_eq!(found(&changed(action, "s3:Put", "*"), "Deny"), 0);
    assert_eq!(found(&changed(action, "s3:Put", "*"), "Allow"), 1);
    assert_eq!(found(&changed("Policies[0].PolicyDocument.Statement[0].Effect", "Deny", "Allow"), "Allow"), 1);
}

#[test]
fn a_group_that_opens_is_denied_and_one_that_comes_with_its_stack_is_the_templates_matter() {
    let group = |action| {
        let cidr = Value::from("0.0.0.0/0");
        let fields = vec![field("SecurityGroupIngress[0].CidrIp", None, Some(cidr))];
        ChildChange { fields, ..child("Group", "AWS::EC2::SecurityGroup", action) }
    };
    let with = |whole, part| protected(vec![stack(whole, vec![group(part)])]);
    let severities =
        |plan: &Plan| of(plan, "no_new_way_in").into_iter().map(|(severity, _)| severity).collect::<Vec<_>>();
    assert_eq!(severities(&with(ActionWord::Update, ActionWord::Update)), [Severity::Deny]);
    assert_eq!(severities(&with(ActionWord::Update, ActionWord::Create)), [Severity::Warn]);
    assert_eq!(severities(&with(ActionWord::Create, ActionWord::Create)), []);
}

#[test]
fn an_opening_is_an_address_and_no_word_of_one() {
    let opens = |kind: &str, fields: &[(&str, Value)]| {
        let fields = fields.iter().map(|(path, value)| field(path, None, Some(value.clone()))).collect();
        opens(&ChildChange { fields, ..child("It", kind, ActionWord::Update) })
    };
    let group = "AWS::EC2::SecurityGroup";
    assert!(opens(group, &[("SecurityGroupIngress", r#"[{"CidrIp":"0.0.0.0/0"}]"#.into())]), "as change sets write it");
    assert!(!opens(
        group,
        &[("SecurityGroupIngress", r#"[{"CidrIp":"10.0.0.0/8","Description":"not 0.0.0.0/0"}]"#.into())]
    ));
    assert!(!opens(group, &[("SecurityGroupIngress[0].Description", "0.0.0.0/0".into())]));
    let cluster = "AWS::EKS::Cluster";
    let public = ("ResourcesVpcConfig.EndpointPublicAccess", Value::from("true"));
    let few = ("ResourcesVpcConfig.PublicAccessCidrs[0]", Value::from("10.0.0.0/8"));
    assert!(opens(cluster, std::slice::from_ref(&public)) && !opens(cluster, &[public, few]));
}

#[test]
fn a_secret_in_the_clear_is_found_and_the_name_of_one_or_a_sealed_one_is_not() {
    let with = |name: &str, value: Value| {
        let inputs = Value::object([("values", Value::object([(name, value)]))]);
        protected(vec![Planned { inputs, ..node("helm.web", "services", ActionWord::Create) }])
    };
    let places = |plan: &Plan| of(plan, "no_secret_in_clear").into_iter().map(|(_, of)| of).collect::<Vec<_>>();
    assert_eq!(places(&with("adminPassword", "hunter2".into())), ["helm.web values.adminPassword"]);
    assert_eq!(places(&with("API_KEY", "abc".into())), ["helm.web values.API_KEY"]);
    assert_eq!(places(&with("adminPassword", Value::from("hunter2").with_mark(true))), [""; 0]);
    assert_eq!(places(&with("secretName", "web".into())), [""; 0]);
    assert_eq!(places(&with("password", "{{resolve:secretsmanager:x}}".into())), [""; 0]);
    assert_eq!(places(&with("password", "".into())), [""; 0]);
    assert_eq!(places(&with("existingSecret", "grafana-admin".into())), [""; 0], "the name of one");
    assert_eq!(places(&with("password", "/hunter2".into())), ["helm.web values.password"]);
    let variable = Value::object([("name", Value::from("DB_PASSWORD")), ("value", Value::from("hunter2"))]);
    assert_eq!(places(&with("env", variable)), ["helm.web values.env.value"]);
}

#[test]
fn a_plan_that_only_destroys_is_not_judged_and_severities_are_the_projects() {
    let mut gone =
        protected(vec![Planned { stateful: true, ..node("terraform.data", "services", ActionWord::Delete) }]);
    let strict = Strictness::from([("data_stays".to_owned(), Severity::Warn)]);
    let findings = own(&gone, Beside::default(), &SourceMap::default(), &strict);
    assert_eq!(findings.iter().map(|f| f.severity).collect::<Vec<_>>(), [Severity::Warn]);
    gone.header.mode = Mode::Destroy;
    assert!(own(&gone, Beside::default(), &SourceMap::default(), &strict).is_empty());
}

#[test]
fn what_the_nodes_do_not_hold_is_a_warning_of_their_group() {
    let group: Address = "stack.data".parse().unwrap();
    let lacking = [(Some(group), "12 vCPU are asked for, and 8 are there".to_owned())];
    let beside = Beside { lacking: &lacking, ..Beside::default() };
    let plan = plan(vec![stack(ActionWord::Update, Vec::new())]);
    let found = own(&plan, beside, &SourceMap::default(), &Strictness::new());
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((finding.rule.as_str(), finding.severity), ("nodes_hold_it", Severity::Warn));
    assert_eq!(finding.address.as_ref().map(Address::as_str), Some("stack.data"));
    assert!(finding.what.starts_with("12 vCPU"), "{finding:?}");
}
