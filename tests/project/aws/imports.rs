//! Resources that somebody made, brought into stacks by import change sets, with the program on MiniStack.

use crate::support::{Account, Project, Proxy, Trouble, ministack, server::wait, trouble::What};
use aws_sdk_ssm::types::ParameterType;

const GREETING: &str = "\
Resources:
  Greeting:
    Type: AWS::SSM::Parameter
    DeletionPolicy: Retain
    Properties: { Name: /shop/greeting, Type: String, Value: hello }
";
const OTHER: &str =
    "  Other: { Type: AWS::SSM::Parameter, Properties: { Name: /shop/other, Type: String, Value: x } }\n";

fn declared(imports: &str) -> String {
    format!("stack \"main\" {{\n  template = \"${{path.project}}/main.yaml\"\n{imports}}}\n")
}

const IMPORTS: &str = "  import_resources = { Greeting = { Name = \"/shop/greeting\" } }\n";

fn made(account: &Account) {
    let client = aws_sdk_ssm::Client::new(&account.sdk());
    wait(client.put_parameter().name("/shop/greeting").value("hello").r#type(ParameterType::String).send()).unwrap();
}

#[test]
fn a_stack_is_made_of_what_exists_and_a_kill_imports_it_once() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let proxy = Proxy::new(&account.url);
    let project = Project::new(&account.at(&proxy.url), &declared(IMPORTS));
    project.write("main.yaml", GREETING);
    let refused = project.ends(&["plan", "app"], 1);
    assert!(refused.err.contains("was not found") && refused.err.contains("main.yaml:2"), "{refused:?}");
    made(&account);
    let plan = project.ends(&["plan", "app"], 0);
    assert!(plan.out.contains("& Greeting  AWS::SSM::Parameter  import"), "{}", plan.out);
    proxy.forget();
    proxy.trouble(Trouble::new("cloudformation:ExecuteChangeSet", What::Withhold).times(1));
    let mut child = project.start(&["apply", "app", "--auto-approve"]);
    proxy.wait_for("cloudformation:ExecuteChangeSet", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.peace();
    project.ends(&["resume", "app", "--auto-approve"], 0);
    assert_eq!(proxy.count("cloudformation:ExecuteChangeSet"), 1, "{:?}", proxy.counts());
    assert!(project.ends(&["plan", "app"], 0).out.contains("No changes"));
}

#[test]
fn what_exists_comes_into_a_stack_that_is_there_and_nothing_else_may_change_with_it() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    made(&account);
    let project = Project::new(&account, &declared(""));
    project.write("main.yaml", &format!("Resources:\n{OTHER}"));
    project.ends(&["apply", "app", "--auto-approve"], 0);
    project.write("plans/app/app.hcl", &declared(IMPORTS));
    project.write("main.yaml", &format!("{GREETING}{}", OTHER.replace("Value: x", "Value: y")));
    let refused = project.ends(&["plan", "app"], 1);
    let said = refused.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("beside importing Greeting: Other changes (./main.yaml:6)"), "{said}");
    project.write("main.yaml", &format!("{GREETING}{OTHER}"));
    project.ends(&["plan", "app", "--out", "import.plan"], 0);
    project.ends(&["apply", "import.plan", "--auto-approve"], 0);
    assert!(project.ends(&["plan", "app"], 0).out.contains("No changes"));
    // The second step, and the entry may go.
    project.write("plans/app/app.hcl", &declared(""));
    project.write("main.yaml", &format!("{GREETING}{}", OTHER.replace("Value: x", "Value: y")));
    project.ends(&["apply", "app", "--auto-approve"], 0);
    assert!(project.ends(&["plan", "app"], 0).out.contains("No changes"));
}
