//! The IAM policies that docs/aws.md offers hold exactly what is called: nothing is called that they do not allow, and they
//! allow nothing that is not called, but for what is named here with its reason.

#![expect(clippy::disallowed_methods, reason = "reads the policies that are shipped")]

use super::{PAIR, pair, status};
use crate::support::{Account, Project, Trouble, trouble::What};
use std::{collections::BTreeSet, fs, path::Path};

/// What no test here calls, and why it is allowed all the same.
const RARELY: &[(&str, &str)] = &[
    (
        "cloudformation:ContinueUpdateRollback",
        "`doctor --fix` of a rollback that failed, which MiniStack has no way to make",
    ),
    ("cloudformation:DescribeStackResources", "where `traffic` takes a rule that is there"),
    ("cloudformation:GetTemplateSummary", "where `import_resources` brings something into a stack"),
    ("cloudformation:ListExports", "where an update takes an export away"),
    ("cloudformation:ListImports", "where an update takes an export away"),
    ("cloudformation:ListStackResources", "`doctor` of a deletion that failed, and upgrades of clusters"),
    ("cloudformation:RollbackStack", "`doctor --fix` of an update that was left as it failed"),
    ("eks:CancelUpdate", "upgrades, which no server here has"),
    ("eks:CreateAddon", "add-ons need a cluster"),
    ("eks:DeleteAddon", "add-ons need a cluster"),
    ("eks:DescribeAddon", "add-ons need a cluster"),
    ("eks:DescribeAddonConfiguration", "add-ons need a cluster"),
    ("eks:DescribeAddonVersions", "add-ons need a cluster"),
    ("eks:DescribeCluster", "add-ons need a cluster"),
    ("eks:DescribeInsight", "upgrades, which no server here has"),
    ("eks:DescribeNodegroup", "upgrades, which no server here has"),
    ("eks:DescribePodIdentityAssociation", "add-ons need a cluster"),
    ("eks:DescribeUpdate", "upgrades, which no server here has"),
    ("eks:ListAddons", "add-ons need a cluster"),
    ("eks:ListInsights", "upgrades, which no server here has"),
    ("eks:ListNodegroups", "upgrades, which no server here has"),
    ("eks:ListUpdates", "upgrades, which no server here has"),
    ("eks:TagResource", "add-ons need a cluster"),
    ("eks:UntagResource", "add-ons need a cluster"),
    ("eks:UpdateAddon", "add-ons need a cluster"),
    ("eks:UpdateClusterVersion", "upgrades, which no server here has"),
    ("eks:UpdateNodegroupVersion", "upgrades, which no server here has"),
    (
        "elasticloadbalancing:AddTags",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:CreateRule",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:DeleteRule",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:DescribeRules",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:DescribeTags",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:DescribeTargetGroupAttributes",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:DescribeTargetGroups",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:DescribeTargetHealth",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:ModifyRule",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:RemoveTags",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
    (
        "elasticloadbalancing:SetRulePriorities",
        "rules of load balancers, which `traffic` makes; MiniStack forgets what they forward to",
    ),
];

const MORE: &str = r#"
data "ssm_parameter" "there" {
  name = "/there"
}

data "secret" "there" {
  secretsmanager = "the/secret"
}

stack "kept" {
  template               = "${path.root}/kept.yaml"
  parameters             = { Text = data.ssm_parameter.there.value }
  termination_protection = var.protected
  stack_policy           = "${path.root}/policy.json"
}

variable "protected" {
  default = true
}

check "metric" {
  cloudwatch {
    namespace = "web"
    metric    = "errors"
    max       = 1
    empty     = "pass"
  }
}

check "alarm" {
  cloudwatch {
    alarm = "there-is-none"
  }
  severity = "warning"
  every    = "100ms"
  within   = "200ms"
}
"#;

#[test]
fn each_command_calls_what_its_policy_allows_and_nothing_else() {
    let Some((project, proxy, account)) = pair() else { return };
    prepare(&project, &account);
    let (read, plan, apply) = (policy("read"), policy("plan"), policy("apply"));
    assert!(read.is_subset(&plan) && plan.is_subset(&apply));
    let mut all = BTreeSet::new();
    let mut allowed = |policy: &BTreeSet<String>, words: &[&str], code: i32| {
        proxy.forget();
        project.ends(words, code);
        let calls: BTreeSet<String> = proxy.counts().into_keys().collect();
        let beyond: Vec<_> = calls.difference(policy).collect();
        assert!(beyond.is_empty(), "terrace {} calls {beyond:?}", words.join(" "));
        all.extend(calls);
    };

    allowed(&read, &["plan", "--no-change-sets"], 0);
    allowed(&apply, &["plan"], 0);
    allowed(&apply, &["apply", "--auto-approve"], 0);
    allowed(&read, &["plan", "--no-change-sets", "--var", "text=two"], 0);
    allowed(&plan, &["plan", "--var", "text=two"], 0);
    allowed(&plan, &["plan", "--destroy", "--var", "protected=false"], 0);
    allowed(&read, &["status"], 0);
    allowed(&read, &["doctor"], 0);
    allowed(&plan, &["drift"], 0);
    allowed(&apply, &["apply", "--auto-approve", "--var", "text=two", "--var", "protected=false"], 0);
    // A phase that is rolled back puts the first stack back without a change set.
    let phased = format!(
        "{}\nphase \"all\" {{\n  on_failure = \"rollback\"\n}}\n",
        PAIR.replace("  template ", "  phase = phase.all\n  template ")
    )
    .replace("second.yaml", "bad2.yaml");
    project.write("plans/app/app.hcl", &phased);
    project.write("plans/app/more.hcl", &MORE.replace("  template  ", "  phase = phase.all\n  template  "));
    project.write("plans/app/bad2.yaml", &super::stored("/second").replace("Outputs:", super::BOGUS));
    allowed(&apply, &["apply", "--auto-approve", "--var", "text=three", "--var", "protected=false"], 6);
    allowed(&apply, &["destroy", "--auto-approve", "--var", "protected=false"], 0);

    let rarely: BTreeSet<String> = RARELY.iter().map(|(action, _)| (*action).to_owned()).collect();
    let never: Vec<_> = apply.difference(&all).filter(|action| !rarely.contains(*action)).collect();
    assert!(never.is_empty(), "policies/iam/apply.json allows {never:?}, which nothing calls");
}

#[test]
fn who_may_only_plan_can_plan_stacks_that_are_not_there_yet() {
    let Some((project, proxy, account)) = pair() else { return };
    proxy.trouble(Trouble::new("cloudformation:DeleteStack", What::Deny));
    proxy.trouble(Trouble::new("cloudformation:ExecuteChangeSet", What::Deny));
    let plan = project.ends(&["plan"], 0).out;
    assert!(plan.contains("+ stack.first"), "{plan}");
    let beyond: Vec<String> = proxy.counts().into_keys().filter(|name| !policy("plan").contains(name)).collect();
    assert_eq!(beyond, ["cloudformation:DeleteStack"], "what it tries and may not");
    // What stays is an empty stack in review, which the next apply takes over.
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("REVIEW_IN_PROGRESS"));
    proxy.peace();
    project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("CREATE_COMPLETE"));
}

#[test]
fn every_policy_is_told_of_and_every_exception_allowed() {
    let page = include_str!("../../../docs/aws.md");
    for file in ["read", "plan", "apply", "state-read", "state", "templates", "trust-github"] {
        assert!(page.contains(&format!("(../policies/iam/{file}.json)")), "docs/aws.md does not tell of {file}.json");
    }
    let apply = policy("apply");
    for (action, reason) in RARELY {
        assert!(apply.contains(*action), "{action} ({reason}) is in no policy");
    }
}

/// What the plan reads is there, and the files that it names.
fn prepare(project: &Project, account: &Account) {
    let config = account.sdk();
    super::wait(async {
        use aws_sdk_ssm::types::ParameterType::String;
        let parameters = aws_sdk_ssm::Client::new(&config);
        parameters.put_parameter().name("/there").value("there").r#type(String).send().await.unwrap();
        let secrets = aws_sdk_secretsmanager::Client::new(&config);
        secrets.create_secret().name("the/secret").secret_string("hidden").send().await.unwrap();
    });
    project.write("plans/app/more.hcl", MORE);
    project.write("plans/app/kept.yaml", &super::stored("/kept"));
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"Update:*","Principal":"*","Resource":"*"}]}"#;
    project.write("plans/app/policy.json", policy);
}

/// The actions that a policy allows.
fn policy(name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("policies/iam/{name}.json"));
    let policy: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|s| s["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}
