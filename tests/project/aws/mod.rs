//! The program as people run it, on AWS's protocols: each test in an account of its own on MiniStack, most through a proxy
//! that counts its calls and makes trouble.

mod failures;
mod imports;
mod kills;
mod lives;
mod permissions;
mod refusals;
mod throttled;

use crate::support::{Account, Project, Proxy, ministack, server::wait};

/// A template with one parameter of the store at this path, whose value is the stack's parameter `Text`.
fn stored(path: &str) -> String {
    format!(
        "Parameters:\n  Text: {{ Type: String, Default: one }}\nResources:\n  P:\n    Type: AWS::SSM::Parameter\n    \
         Properties: {{ Name: {path}, Type: String, Value: !Ref Text }}\nOutputs:\n  Value: {{ Value: !GetAtt P.Value }}\n"
    )
}

/// Two stacks, the second with what the first puts out.
const PAIR: &str = r#"
variable "text" {
  default = "one"
}

variable "first" {
  default = "first.yaml"
}

stack "first" {
  template   = "${path.root}/${var.first}"
  parameters = { Text = var.text }
}

stack "second" {
  template   = "${path.root}/second.yaml"
  parameters = { Text = stack.first.outputs.Value }
}
"#;

/// A project with [`PAIR`], the proxy before it, and its account; `None` where MiniStack is not built.
fn pair() -> Option<(Project, Proxy, Account)> {
    let account = ministack()?.account();
    let proxy = Proxy::new(&account.url);
    let project = Project::new(&account.at(&proxy.url), PAIR);
    project.write("plans/app/first.yaml", &stored("/first"));
    project.write("plans/app/second.yaml", &stored("/second"));
    project.write("plans/app/renamed.yaml", &stored("/renamed"));
    project.write("plans/app/slow.yaml", &(stored("/first").replace("Outputs:", WAITS) + "  More: { Value: more }\n"));
    project.write("plans/app/bad.yaml", &stored("/first").replace("Outputs:", BOGUS));
    Some((project, proxy, account))
}

/// What cannot be made, at line 7 of a template.
const BOGUS: &str = "  Bad:\n    Type: AWS::SSM::Parameter\n    DependsOn: P\n    Properties: { Name: /bad, Type: Bogus, Value: v }\nOutputs:";

/// What takes three seconds and then fails, for nobody signals it.
const WAITS: &str = "  Handle: { Type: AWS::CloudFormation::WaitConditionHandle }\n  Wait:\n    Type: \
     AWS::CloudFormation::WaitCondition\n    DependsOn: P\n    Properties: { Handle: !Ref Handle, Timeout: '3' }\nOutputs:";

/// The status of a stack as the account has it; `None` where there is no such stack.
fn status(account: &Account, name: &str) -> Option<String> {
    let client = aws_sdk_cloudformation::Client::new(&account.sdk());
    let found = wait(client.describe_stacks().stack_name(name).send()).ok()?;
    found.stacks().first().and_then(|s| s.stack_status()).map(|s| s.as_str().to_owned())
}

/// The value of a parameter of the store.
fn parameter(account: &Account, name: &str) -> Option<String> {
    let client = aws_sdk_ssm::Client::new(&account.sdk());
    let found = wait(client.get_parameter().name(name).send()).ok()?;
    found.parameter.and_then(|p| p.value)
}
