//! Stacks on MiniStack by the program as people run it: what it costs in calls, what a failure says, what a kill leaves.

use crate::support::{Account, Project, Proxy, ministack, server::wait};
use std::{collections::BTreeMap, fmt::Write as _};

const TOPICS: &str = "\
Parameters:
  Name: { Type: String, Default: first }
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties: { DisplayName: !Ref Name }
  Parameter:
    Type: AWS::SSM::Parameter
    Properties: { Type: String, Value: !Ref Name }
Outputs:
  Topic: { Value: !Ref Topic, Export: { Name: shop-topic } }
";

/// A stack `main` of this template.
fn declared(file: &str, more: &str) -> String {
    format!("stack \"main\" {{\n  template = \"${{path.project}}/{file}\"\n{more}}}\n")
}

fn project(account: &Account, template: &str) -> Project {
    let project = Project::new(account, &declared("main.yaml", ""));
    project.write("main.yaml", template);
    project
}

fn of_stacks(proxy: &Proxy) -> BTreeMap<String, usize> {
    let counts = proxy.counts();
    proxy.forget();
    // Looking for drift is something that others do not do at all.
    let own = |name: &str| name.starts_with("cloudformation:") && !name.contains("Drift");
    counts.into_iter().filter(|(name, _)| own(name)).collect()
}

fn sum(counts: &BTreeMap<String, usize>) -> usize {
    counts.values().sum()
}

#[test]
fn a_stack_costs_no_more_calls_than_the_change_set_path_of_others() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let proxy = Proxy::new(&account.url);
    let project = project(&account.at(&proxy.url), TOPICS);
    project.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 0);
    let create = of_stacks(&proxy);
    project.write("plans/app/app.hcl", &declared("main.yaml", "  parameters = { Name = \"second\" }\n"));
    project.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 0);
    let update = of_stacks(&proxy);
    let again = project.ends(&["plan", "app", "--env", "dev"], 0);
    let nothing = of_stacks(&proxy);
    println!("create {create:?}\nupdate {update:?}\nnothing {nothing:?}\n{}", again.out);
    // Two descriptions and a template are what looking costs; one change set, made, described and executed, the change.
    assert!(sum(&create) <= 6, "{create:?}");
    assert!(sum(&update) <= 8, "{update:?}");
    assert_eq!(nothing.keys().collect::<Vec<_>>(), ["cloudformation:DescribeStacks", "cloudformation:GetTemplate"]);
    // One more description is for drift.
    assert!(sum(&nothing) <= 3, "{nothing:?}");
}

#[test]
fn a_failure_names_the_first_cause_and_our_line_and_the_next_apply_makes_it_anew() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let broken = TOPICS.replace("Type: String, Value", "Type: Bogus, Value");
    let project = project(&account, &broken);
    let said = project.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 1);
    println!("{}{}", said.out, said.err);
    assert!(said.err.contains("Parameter (AWS::SSM::Parameter) CREATE_FAILED"), "{}", said.err);
    assert!(said.err.contains("main.yaml:7"), "{}", said.err);
    project.write("main.yaml", TOPICS);
    let said = project.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 0);
    println!("{}{}", said.out, said.err);
    project.write("main.yaml", &broken);
    let said = project.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 1);
    println!("{}{}", said.out, said.err);
    assert!(said.err.contains("Parameter (AWS::SSM::Parameter) UPDATE_FAILED"), "{}", said.err);
    project.write("main.yaml", TOPICS);
    let said = project.ends(&["plan", "app", "--env", "dev"], 0);
    assert!(said.out.contains("UPDATE_ROLLBACK_COMPLETE") || said.out.contains("No changes"), "{}", said.out);
}

#[test]
fn nested_and_long_templates_are_read_from_a_bucket_and_compared_without_it() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let bucket = format!("templates-{}", account.id);
    wait(account.bucket(&bucket));
    let parent = "\
Resources:
  Child:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: ./parts/child.yaml
";
    let project = project(&account, parent);
    project.write("parts/child.yaml", TOPICS);
    let said = project.ends(&["plan", "app", "--env", "dev"], 1);
    assert!(said.err.contains("template_bucket = "), "{}", said.err);
    project.environment(&format!(
        "    region = \"{}\"\n    account_id = \"{}\"\n    template_bucket = \"{bucket}\"\n",
        account.region, account.id
    ));
    let said = project.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 0);
    println!("{}{}", said.out, said.err);
    let said = project.ends(&["plan", "app", "--env", "dev"], 0);
    assert!(said.out.contains("No changes"), "{}", said.out);
    project.write("parts/child.yaml", &TOPICS.replace("Type: String, Value", "Type: Bogus, Value"));
    let said = project.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 1);
    println!("{}{}", said.out, said.err);
    assert!(said.err.contains("Child"), "{}", said.err);

    let mut long = String::from("Resources:\n");
    for at in 0..300 {
        let filler = "x".repeat(200);
        let _ =
            writeln!(long, "  P{at}: {{ Type: 'AWS::SNS::Topic', Properties: {{ DisplayName: 'd{at}{filler}' }} }}");
    }
    project.write("plans/app/app.hcl", &declared("long.yaml", "").replace("\"main\"", "\"long\""));
    project.write("long.yaml", &long);
    let said = project.ends(&["apply", "app", "--env", "dev", "--auto-approve", "--target", "stack.long"], 0);
    println!("{}", said.err);
}

#[test]
fn what_is_wrong_is_said_in_the_plan_with_our_line() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let exporter = project(&account, TOPICS);
    exporter.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 0);
    // A template that the service does not take.
    exporter.write("main.yaml", &TOPICS.replace("AWS::SNS::Topic", "AWS::SNS::Tropic"));
    let said = exporter.ends(&["plan", "app", "--env", "dev"], 1);
    println!("{}", said.err);
    assert!(said.err.contains("main.yaml"), "{}", said.err);
    // An import of nothing, then an export in use.
    let importing =
        "Resources:\n  T:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: !ImportValue shop-none\n";
    exporter.write("main.yaml", TOPICS);
    exporter.write("user.yaml", importing);
    let both = declared("main.yaml", "") + &declared("user.yaml", "").replace("\"main\"", "\"user\"");
    exporter.write("plans/app/app.hcl", &both);
    let said = exporter.run(&["plan", "app", "--env", "dev"]);
    println!("import of nothing: {:?}\n{}{}", said.code, said.out, said.err);
    exporter.write("user.yaml", &importing.replace("shop-none", "shop-topic"));
    exporter.ends(&["apply", "app", "--env", "dev", "--auto-approve"], 0);
    exporter.write("main.yaml", &TOPICS.replace(", Export: { Name: shop-topic }", ""));
    let said = exporter.ends(&["plan", "app", "--env", "dev"], 1);
    println!("{}", said.err);
    assert!(said.err.contains("shop-topic") && said.err.contains("app-dev-user"), "{}", said.err);
    // A name in use by another plan.
    let other = Project::new(&account, &declared("main.yaml", "  name = \"app-dev-main\"\n"));
    other.write("main.yaml", TOPICS);
    other.write("terrace.toml", "name = \"other\"\n");
    let said = other.ends(&["plan", "app", "--env", "dev"], 1);
    println!("{}", said.err);
}

#[test]
fn a_kill_in_the_middle_of_an_operation_starts_no_second_one() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let proxy = Proxy::new(&account.url);
    let waiting = "\
Resources:
  Handle: { Type: AWS::CloudFormation::WaitConditionHandle }
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    Properties: { Handle: !Ref Handle, Timeout: '3', Count: 1 }
";
    let project = project(&account.at(&proxy.url), waiting);
    let mut child = project.start(&["apply", "app", "--env", "dev", "--auto-approve"]);
    proxy.wait_for("cloudformation:ExecuteChangeSet", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let said = project.run(&["resume", "app", "--env", "dev", "--auto-approve"]);
    println!("{:?}\n{}{}", said.code, said.out, said.err);
    assert_eq!(proxy.count("cloudformation:ExecuteChangeSet"), 1);
    assert_eq!(proxy.count("cloudformation:CreateChangeSet"), 1);
}
