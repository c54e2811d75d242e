//! Canaries in every place where a plan may hold a secret: none is in what a model would be sent, neither when a thing is made nor when its secret changes.

use super::ask_at;
use crate::{
    cli::Project,
    support::{Said, server::built},
};
use base64::Engine as _;

const PLAN: &str = r#"
variable "secret" {
  type      = string
  sensitive = true
}

variable "turn" {
  type = string
}

stack "network" {
  template = "${path.root}/network.yaml"
}

stack "cluster" {
  template = "${path.root}/cluster.yaml"
  parameters = {
    ClusterName = "notes-${env.name}"
    SubnetIds   = stack.network.outputs.SubnetIds
  }
}

kubernetes "main" {
  eks {
    name = stack.cluster.outputs.ClusterName
  }
}

stack "vault" {
  template   = "${path.root}/vault.yaml"
  parameters = { Password = var.secret }
}

stack "database" {
  depends_on = [stack.vault]
  template   = "${path.root}/database.yaml"
  parameters = {
    Password = var.secret
    Unmarked = "noecho-${var.turn}-kanarienvogel"
    Turn     = var.turn
  }
}

data "secret" "database" {
  secretsmanager = stack.vault.outputs.Arn
  key            = "password"
}

value "plain" {
  input = { word = var.secret, url = "https://app:${var.secret}@host/${var.turn}", of_world = data.secret.database.value }
}

value "clear" {
  input = { password = "clear-${var.turn}-kanarienvogel", env = [{ name = "API_TOKEN", value = "clear-${var.turn}-kanarienvogel" }] }
}

manifest "space" {
  object = { apiVersion = "v1", kind = "Namespace", metadata = { name = "shop" } }
}

manifest "secret" {
  depends_on = [manifest.space]
  object = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "login", namespace = "shop", labels = { turn = var.turn } }
    stringData = { word = "data-${var.turn}-kanarienvogel" }
    data       = { more = base64encode("data-${var.turn}-kanarienvogel") }
  }
}

helm "prometheus" {
  chart            = "prometheus"
  repository       = "https://prometheus-community.github.io/helm-charts"
  version          = "25.30.1"
  namespace        = "monitoring"
  values = {
    server       = { retention = "${var.turn}d", persistentVolume = { enabled = false } }
    alertmanager = { enabled = false }
  }
  sensitive_values = { server = { login = "chart-${var.turn}-kanarienvogel", other = var.secret } }
}

output "word" {
  value     = value.plain.output
  sensitive = true
}

output "turn" {
  value = var.turn
}
"#;

const ROOT: &str = r#"
terraform "dns" {
  root             = "${path.project}/infra"
  program          = "tofu"
  inputs           = { turn = var.turn }
  sensitive_inputs = { password = var.secret }
}
"#;

const INFRA: &str = r#"
variable "turn" {}
variable "password" {
  sensitive = true
}
resource "terraform_data" "login" {
  input = "${var.turn} ${var.password}"
}
output "login" {
  value     = terraform_data.login.output
  sensitive = true
}
"#;

const DATABASE: &str = r#"AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Password: { Type: String, NoEcho: true }
  Unmarked: { Type: String, NoEcho: true }
  Turn: { Type: String }
Resources:
  Parameter:
    Type: AWS::SSM::Parameter
    Properties:
      Type: String
      Value: !Sub "${Turn} ${Unmarked}"
      Description: !Ref Turn
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      Tags:
        - { Key: turn, Value: !Ref Turn }
        - { Key: word, Value: !Ref Password }
  Login:
    Type: AWS::SSM::Parameter
    Properties:
      Type: String
      Value: !Sub "${Turn} {{resolve:secretsmanager:of-the-test:SecretString:password}}"
Outputs:
  Word:
    Value: !Ref Password
"#;

const VAULT: &str = r#"AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Password: { Type: String, NoEcho: true }
Resources:
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties:
      Name: of-the-test
      SecretString: !Sub '{"password": "${Password}"}'
Outputs:
  Arn:
    Value: !Ref Secret
"#;

/// No part of a canary is in it, in clear or in base64, whatever it is a part of.
fn holds_no_canary(text: &str) {
    assert!(!text.contains("kanarienvogel"), "{}", around(text, "kanarienvogel"));
    for begin in 0..3 {
        // The middle of it is the same wherever in a text it begins.
        let coded = base64::engine::general_purpose::STANDARD.encode(&"kanarienvogel"[begin..begin + 9]);
        assert!(!text.contains(&coded), "{}", around(text, &coded));
    }
}

fn around(text: &str, found: &str) -> String {
    let at = text.find(found).unwrap();
    let begin = text[..at].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
    text[begin..].chars().take(600).collect()
}

fn project() -> (Project, bool) {
    let project = Project::bare();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quickstart/templates");
    for template in ["network.yaml", "cluster.yaml"] {
        project.write(
            &format!("plans/app/{template}"),
            &std::fs::read_to_string(format!("{examples}/{template}")).unwrap(),
        );
    }
    project.write("plans/app/database.yaml", DATABASE);
    project.write("plans/app/vault.yaml", VAULT);
    project.write("infra/main.tf", INFRA);
    let tofu = built("opentofu");
    let root = if tofu.is_some() { ROOT } else { "" };
    let head = "plan \"app\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n";
    project.write("plans/app/plan.hcl", &format!("{head}{PLAN}{root}"));
    ask_at(&project, "http://127.0.0.1:9", "budget_tokens = 500000\n");
    if let Some(tofu) = &tofu {
        let settings = std::fs::read_to_string(project.path().join("terrace.toml")).unwrap();
        project.write("terrace.toml", &format!("{settings}\n[tofu]\nprogram = \"{}\"\n", tofu.display()));
    }
    (project, tofu.is_some())
}

fn run(project: &Project, turn: u32, words: &[&str]) -> Said {
    let (turn, secret) = (format!("turn={turn}"), format!("secret=variable-{turn}-kanarienvogel"));
    let words: Vec<&str> = words.iter().copied().chain(["--var", &turn, "--var", &secret]).collect();
    let mut command = project.command(&words);
    let said = Said::of(&command.env("PATH", "/usr/bin:/bin").env("HOME", project.path()).output().unwrap());
    assert!(said.code == Some(0), "terrace {}\n{}{}", words.join(" "), said.out, said.err);
    said
}

#[test]
fn no_canary_reaches_a_prompt_wherever_a_secret_may_be() {
    let (project, with_root) = project();
    let sent = |turn: u32| {
        run(&project, turn, &["plan", "--out", "p"]);
        let prompt = project.stdout(&["review", "p", "--dry-run", "--json"], 0);
        holds_no_canary(&prompt);
        holds_no_canary(&project.stdout(&["review", "p", "--dry-run"], 0));
        prompt
    };
    let first = sent(1);
    run(&project, 1, &["apply", "--auto-approve"]);
    let then = sent(2);
    // What is beside the secrets is there: what does not change could not tell one.
    let named = ["stack.database", "value.plain", "value.clear", "manifest.secret", "helm.prometheus"];
    for address in named.iter().chain(with_root.then_some(&"terraform.dns")) {
        let said = format!("\\\"address\\\":\\\"{address}\\\"");
        assert!(first.contains(&said) && then.contains(&said), "{address}\n{then}");
    }
    assert!(then.contains("(sensitive)") && then.contains("(withheld)"), "{then}");
    // Taken away, all of it is told once more.
    run(&project, 1, &["plan", "--destroy", "--out", "p"]);
    holds_no_canary(&project.stdout(&["review", "p", "--dry-run", "--json"], 0));
}
