//! Drift and adoption with the program, on a server that speaks AWS's protocols and knows no drift-aware change sets. What is
//! changed behind its back is changed by the SDK.

use crate::support::{Account, Project, ministack, server::wait};
use aws_sdk_cloudformation::types::{Parameter, Tag};
use aws_sdk_ssm::types::ParameterType;

const TEMPLATE: &str = "\
Parameters:
  Text: { Type: String, Default: fixed }
Resources:
  Greeting:
    Type: AWS::SSM::Parameter
    Properties: { Name: /app/greeting, Type: String, Value: hello }
  Other:
    Type: AWS::SSM::Parameter
    Properties: { Name: /app/other, Type: String, Value: !Ref Text }
";

const STACK: &str = "stack \"a\" {\n  template = \"${path.project}/a.yaml\"\n}\n";

fn applied(account: &Account) -> Project {
    let project = Project::new(account, STACK);
    project.write("a.yaml", TEMPLATE);
    project.ends(&["apply", "app", "--auto-approve"], 0);
    project
}

fn put(account: &Account, name: &str, value: &str) {
    let client = aws_sdk_ssm::Client::new(&account.sdk());
    let call = client.put_parameter().name(name).value(value).r#type(ParameterType::String).overwrite(true);
    wait(call.send()).unwrap();
}

fn get(account: &Account, name: &str) -> String {
    let client = aws_sdk_ssm::Client::new(&account.sdk());
    let answer = wait(client.get_parameter().name(name).send()).unwrap();
    answer.parameter().and_then(|p| p.value()).unwrap_or_default().to_owned()
}

#[test]
fn what_somebody_changed_inside_a_stack_is_shown_and_put_back() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let project = applied(&account);
    assert!(project.ends(&["drift", "app", "--detailed-exitcode"], 0).err.contains("no drift"));
    put(&account, "/app/greeting", "moved");
    let shown = project.ends(&["drift", "app", "--detailed-exitcode"], 2);
    assert!(shown.out.contains("Greeting") && shown.out.contains("\"hello\" -> \"moved\""), "{shown:?}");
    // What is newly declared waits for an apply.
    project.write("plans/app/app.hcl", &STACK.replace("\n}\n", "\n  parameters = { Text = \"new\" }\n}\n"));
    let refused = project.ends(&["drift", "app", "--revert"], 64);
    assert!(refused.err.contains("--auto-approve"), "{refused:?}");
    let done = project.ends(&["drift", "app", "--revert", "--auto-approve", "--reason", "by hand"], 0);
    assert!(done.out.contains("\"moved\" -> \"hello\""), "{done:?}");
    assert!(done.err.contains("looked again"), "{done:?}");
    assert_eq!(get(&account, "/app/greeting"), "hello");
    assert_eq!(get(&account, "/app/other"), "fixed");
    assert!(project.ends(&["drift", "app", "--detailed-exitcode"], 0).err.contains("no drift"));
    let history = project.ends(&["history", "app"], 0);
    assert!(history.out.contains("drift --revert") && history.out.contains("by hand"), "{history:?}");
    assert_eq!(project.ends(&["plan", "app", "--detailed-exitcode"], 2).code, Some(2));
}

#[test]
fn what_is_taken_for_right_is_told_no_more_until_it_moves_again() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let project = applied(&account);
    put(&account, "/app/greeting", "moved");
    let accepted = project.ends(&["drift", "app", "--accept", "stack.a", "--reason", "so be it"], 0);
    assert!(accepted.out.contains("a.yaml:6: Greeting: Value: hello -> moved"), "{accepted:?}");
    assert!(
        accepted.out.contains("+    Properties: { Name: /app/greeting, Type: String, Value: moved }"),
        "{accepted:?}"
    );
    assert!(project.ends(&["drift", "app", "--detailed-exitcode"], 0).err.contains("no drift"));
    put(&account, "/app/greeting", "again");
    let told = project.ends(&["drift", "app", "--detailed-exitcode"], 2);
    assert!(told.out.contains("again"), "{told:?}");
    // The edit that was printed, applied: what is live is declared.
    put(&account, "/app/greeting", "moved");
    project.write("a.yaml", &TEMPLATE.replace("hello", "moved"));
    project.ends(&["apply", "app", "--auto-approve"], 0);
    assert_eq!(get(&account, "/app/greeting"), "moved");
    assert!(project.ends(&["drift", "app", "--detailed-exitcode"], 0).err.contains("no drift"));
}

/// Makes a stack as somebody else's tool does.
fn made(account: &Account, name: &str, template: &str, parameters: &[(&str, &str)], tags: &[(&str, &str)]) {
    let client = aws_sdk_cloudformation::Client::new(&account.sdk());
    let parameters =
        parameters.iter().map(|(k, v)| Parameter::builder().parameter_key(*k).parameter_value(*v).build()).collect();
    let tags = tags.iter().map(|(k, v)| Tag::builder().key(*k).value(*v).build()).collect();
    let call = client.create_stack().stack_name(name).template_body(template);
    wait(call.set_parameters(Some(parameters)).set_tags(Some(tags)).send()).unwrap();
}

#[test]
fn a_stack_of_whatever_making_is_taken_over_with_a_plan_that_shows_no_change() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    // Without the parameter BootstrapVersion, of which this server tells the value that it resolves to in place of its own.
    let cdk = r#"{
 "Resources": {
  "Greeting4B1A": {
   "Type": "AWS::SSM::Parameter",
   "Properties": { "Type": "String", "Value": "hello ${name}" },
   "Metadata": { "aws:cdk:path": "App/Greeting/Resource" }
  }
 }
}"#;
    made(&account, "by-hand", TEMPLATE, &[("Text", "typed \"so\" ${x}")], &[("team", "blue")]);
    made(&account, "AppStack", cdk, &[], &[("app", "cdk")]);
    let sceptre = "---\nParameters:\n  Names: { Type: CommaDelimitedList }\nResources:\n  List:\n    Type: AWS::SSM::Parameter\n    Properties: { Type: StringList, Value: !Join [',', !Ref Names] }\n";
    made(&account, "project-dev-names", sceptre, &[("Names", "a,b")], &[("Owner", "x y")]);

    let project = Project::new(&account, "");
    for (address, name) in
        [("stack.hand", "by-hand"), ("stack.cdk", "AppStack"), ("stack.sceptre", "project-dev-names")]
    {
        let written = project.ends(&["import", address, name, "app", "--generate", "--out", "cfn-templates"], 0);
        project.write(&format!("plans/app/{name}.hcl"), &written.out);
    }
    project.ends(&["fmt", "plans/app", "--check"], 0);
    let plan = project.ends(&["plan", "app"], 0);
    assert!(plan.out.contains("Plan: 3 to import."), "{plan:?}");
    assert!(!plan.out.contains("->"), "{plan:?}");
    // One is taken over by the command, the others by the blocks that were written.
    let taken = project.ends(&["import", "stack.hand", "by-hand", "app", "--auto-approve"], 0);
    assert!(taken.out.contains("1 to import"), "{taken:?}");
    project.ends(&["apply", "app", "--auto-approve"], 0);
    let after = project.ends(&["plan", "app", "--detailed-exitcode"], 0);
    assert!(after.out.contains("No changes"), "{after:?}");
}
