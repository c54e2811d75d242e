//! What CloudFormation, EKS and the small services do in the sandbox, each as a sentence.

#![expect(clippy::disallowed_methods, reason = "each test has a folder of its own")]

use crate::world::{
    AddonRequest, Aws, AwsConnection, Class, Clock as _, OnCreateFailure, ResolveConflicts, Stack, StackRequest,
    World as _,
    sandbox::{CrashBy, Drift, Fault, FaultKind, Halfway, Options, Sandbox},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

struct Bench {
    sandbox: Arc<Sandbox>,
    aws: Aws,
    _folder: tempfile::TempDir,
}

fn options() -> Options {
    Options {
        speed: f64::INFINITY,
        start: Some("2026-08-01T00:00:00Z".parse().unwrap()),
        crash: CrashBy::Halt,
        ..Options::default()
    }
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(folder.path(), options()).unwrap();
    let aws = sandbox.aws(&here()).unwrap();
    Bench { sandbox, aws, _folder: folder }
}

fn here() -> AwsConnection {
    AwsConnection { region: "eu-central-1".into(), account_id: "111122223333".into(), ..AwsConnection::default() }
}

fn request(name: &str, template: &str) -> StackRequest {
    StackRequest { name: name.into(), template: template.into(), ..StackRequest::default() }
}

impl Bench {
    async fn settled(&self, name: &str) -> Stack {
        for _ in 0..1000 {
            let stack = self.aws.cloudformation.describe_stack(name).await.unwrap().unwrap();
            if !stack.status.in_progress() {
                return stack;
            }
            self.sandbox.virtual_clock().sleep(Duration::from_secs(5)).await;
        }
        panic!("{name} never settles")
    }

    async fn change_set(&self, request: &StackRequest, name: &str) -> crate::world::ChangeSet {
        let id = self.aws.cloudformation.create_change_set(request, name, name).await.unwrap();
        for _ in 0..100 {
            let set = self.aws.cloudformation.describe_change_set(&id).await.unwrap();
            if !set.status.ends_with("_PENDING") && !set.status.ends_with("_IN_PROGRESS") {
                return set;
            }
            self.sandbox.virtual_clock().sleep(Duration::from_secs(2)).await;
        }
        panic!("{name} stays pending")
    }

    async fn apply(&self, request: &StackRequest, token: &str) -> Stack {
        let set = self.change_set(request, token).await;
        assert_eq!(set.status, "CREATE_COMPLETE", "{}", set.status_reason);
        self.aws.cloudformation.execute_change_set(&set.id, token).await.unwrap();
        let id = set.stack_id;
        self.settled(&id).await
    }

    fn fail(&self, operation: &str, part: Option<&str>, stuck: bool) {
        let how = Halfway { reason: None, part: part.map(str::to_owned), stuck };
        self.sandbox.add_fault(&Fault::new(operation, FaultKind::FailHalfway(how))).unwrap();
    }

    async fn statuses(&self, name: &str) -> Vec<(String, String)> {
        let mut events = self.aws.cloudformation.stack_events(name, None).await.unwrap();
        events.reverse();
        events.into_iter().map(|e| (e.logical_id, e.status)).collect()
    }
}

const NETWORK: &str = "
Parameters:
  Cidr: { Type: String, Default: 10.0.0.0/16 }
Resources:
  Vpc: { Type: AWS::EC2::VPC, Properties: { CidrBlock: !Ref Cidr } }
  Subnet: { Type: AWS::EC2::Subnet, Properties: { VpcId: !Ref Vpc, CidrBlock: 10.0.1.0/24 } }
  Logs: { Type: AWS::Logs::LogGroup, Properties: { RetentionInDays: 30 } }
Outputs:
  VpcId: { Value: !Ref Vpc, Export: { Name: !Sub '${AWS::StackName}-vpc' } }
  LogsArn: { Value: !GetAtt Logs.Arn }
";

#[tokio::test]
async fn a_stack_is_reviewed_created_and_tells_its_outputs() {
    let bench = bench();
    let set = bench.change_set(&request("net", NETWORK), "first").await;
    assert_eq!(bench.settled("net").await.status.0, "REVIEW_IN_PROGRESS");
    let adds: Vec<_> = set.changes.iter().map(|c| (c.action.as_str(), c.logical_id.as_str())).collect();
    assert_eq!(adds, [("Add", "Logs"), ("Add", "Subnet"), ("Add", "Vpc")]);
    bench.aws.cloudformation.execute_change_set(&set.id, "go").await.unwrap();
    let stack = bench.settled("net").await;
    assert_eq!(stack.status.0, "CREATE_COMPLETE");
    assert!(stack.outputs["VpcId"].value.starts_with("vpc-"));
    assert_eq!(stack.outputs["VpcId"].export.as_deref(), Some("net-vpc"));
    assert!(stack.outputs["LogsArn"].value.starts_with("arn:aws:logs:eu-central-1:111122223333:log-group:net-Logs-"));
    assert_eq!(stack.last_token.as_deref(), Some("go"));
    let order = bench.statuses("net").await;
    let at =
        |logical: &str, status: &str| order.iter().position(|e| *e == (logical.to_owned(), status.to_owned())).unwrap();
    assert!(at("Vpc", "CREATE_COMPLETE") < at("Subnet", "CREATE_IN_PROGRESS"));
    assert!(at("Logs", "CREATE_IN_PROGRESS") < at("Vpc", "CREATE_COMPLETE"), "what is independent runs at once");
    // Executed twice with one token is executed once; with another it is gone.
    bench.aws.cloudformation.execute_change_set(&set.id, "go").await.unwrap();
    let again = bench.aws.cloudformation.execute_change_set(&set.id, "other").await.unwrap_err();
    assert_eq!(again.class, Class::NotFound);
}

#[tokio::test]
async fn a_change_set_without_changes_fails_in_the_words_of_the_service() {
    let bench = bench();
    bench.apply(&request("net", NETWORK), "1").await;
    let set = bench.change_set(&request("net", NETWORK), "2").await;
    assert!(set.is_empty_change(), "{}", set.status_reason);
    let update = bench.aws.cloudformation.update_stack(&request("net", NETWORK), "3").await.unwrap_err();
    assert_eq!((update.class, update.message.as_str()), (Class::Invalid, "No updates are to be performed."));
    let outputs_only = NETWORK.replace("LogsArn:", "LogGroupArn:");
    let set = bench.change_set(&request("net", &outputs_only), "4").await;
    assert_eq!((set.status.as_str(), set.changes.len()), ("CREATE_COMPLETE", 0));
}

#[tokio::test]
async fn a_replacement_carries_to_what_refers_to_it_and_the_old_thing_goes_last() {
    let bench = bench();
    let before = bench.apply(&request("net", NETWORK), "1").await;
    let mut changed = request("net", NETWORK);
    changed.parameters.insert("Cidr".into(), "10.1.0.0/16".into());
    let set = bench.change_set(&changed, "2").await;
    let vpc = set.changes.iter().find(|c| c.logical_id == "Vpc").unwrap();
    assert_eq!(vpc.replacement.as_deref(), Some("True"));
    assert_eq!(vpc.details[0].after.as_deref(), Some("10.1.0.0/16"));
    assert!(set.changes.iter().any(|c| c.logical_id == "Subnet"), "{:?}", set.changes);
    bench.aws.cloudformation.execute_change_set(&set.id, "2").await.unwrap();
    let after = bench.settled("net").await;
    assert_eq!(after.status.0, "UPDATE_COMPLETE");
    assert_ne!(after.outputs["VpcId"].value, before.outputs["VpcId"].value);
    let order = bench.statuses("net").await;
    let deleted = order.iter().rposition(|e| e.1 == "DELETE_COMPLETE").unwrap();
    let cleanup = order.iter().position(|e| e.1 == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS").unwrap();
    assert!(deleted > cleanup);
}

#[tokio::test]
async fn a_failed_create_ends_as_it_was_asked_to() {
    for (wish, status) in [
        (OnCreateFailure::Rollback, "ROLLBACK_COMPLETE"),
        (OnCreateFailure::Delete, "DELETE_COMPLETE"),
        (OnCreateFailure::DoNothing, "CREATE_FAILED"),
    ] {
        let bench = bench();
        bench.fail("cloudformation:ExecuteChangeSet", Some("Subnet"), false);
        let asked = StackRequest { on_create_failure: wish, ..request("net", NETWORK) };
        let stack = bench.apply(&asked, "1").await;
        assert_eq!(stack.status.0, status);
        let left = bench.aws.cloudformation.stack_resources(&stack.id).await.unwrap().len();
        assert_eq!(left == 0, wish != OnCreateFailure::DoNothing, "{wish:?} leaves {left}");
        if wish == OnCreateFailure::Rollback {
            assert!(stack.outputs.is_empty());
            let refused = bench.aws.cloudformation.create_change_set(&asked, "2", "2").await.unwrap_err();
            assert!(refused.message.contains("is in ROLLBACK_COMPLETE state and can not be updated."), "{refused}");
            bench.aws.cloudformation.delete_stack("net", &[], "3").await.unwrap();
            assert_eq!(bench.settled(&stack.id).await.status.0, "DELETE_COMPLETE");
            assert_eq!(bench.apply(&asked, "4").await.status.0, "CREATE_COMPLETE");
        }
    }
}

#[tokio::test]
async fn a_failed_update_returns_to_the_former_template_parameters_and_outputs() {
    let bench = bench();
    let before = bench.apply(&request("net", NETWORK), "1").await;
    let resources = bench.aws.cloudformation.stack_resources("net").await.unwrap();
    let changed = NETWORK.replace("RetentionInDays: 30", "RetentionInDays: 60").replace(
        "Outputs:",
        "  Extra: { Type: AWS::SSM::Parameter, Properties: { Name: /x, Type: Bogus, Value: v }, DependsOn: Logs }\nOutputs:",
    );
    let mut asked = request("net", &changed);
    asked.parameters.insert("Cidr".into(), "10.9.0.0/16".into());
    let after = bench.apply(&asked, "2").await;
    assert_eq!(after.status.0, "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!((&after.outputs, &after.parameters), (&before.outputs, &before.parameters));
    let back = bench.aws.cloudformation.stack_resources("net").await.unwrap();
    let ids = |of: &[crate::world::StackResource]| {
        of.iter().map(|r| (r.logical_id.clone(), r.physical_id.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ids(&back), ids(&resources));
    assert_eq!(bench.aws.cloudformation.get_template("net").await.unwrap(), NETWORK);
    let events = bench.aws.cloudformation.stack_events("net", None).await.unwrap();
    let cause = events.iter().rev().find(|e| e.status == "CREATE_FAILED").unwrap();
    assert!(cause.reason.contains("Value 'Bogus' at 'type'"), "{}", cause.reason);
    assert!(bench.change_set(&request("net", NETWORK), "3").await.is_empty_change());
}

#[tokio::test]
async fn a_rollback_that_fails_waits_to_be_continued_and_may_skip() {
    let bench = bench();
    bench.apply(&request("net", NETWORK), "1").await;
    bench.fail("cloudformation:UpdateStack", Some("Logs"), true);
    let changed = request("net", &NETWORK.replace("RetentionInDays: 30", "RetentionInDays: 60"));
    bench.aws.cloudformation.update_stack(&changed, "2").await.unwrap();
    assert_eq!(bench.settled("net").await.status.0, "UPDATE_ROLLBACK_FAILED");
    let wrong = bench.aws.cloudformation.continue_update_rollback("net", &["Vpc".into()], "x").await.unwrap_err();
    assert_eq!(wrong.class, Class::Invalid);
    bench.aws.cloudformation.continue_update_rollback("net", &["Logs".into()], "3").await.unwrap();
    assert_eq!(bench.settled("net").await.status.0, "UPDATE_ROLLBACK_COMPLETE");
}

#[tokio::test]
async fn an_export_in_use_forbids_deletion_and_a_missing_one_fails_the_change_set() {
    let bench = bench();
    let importer = "Resources:\n  Sg: { Type: AWS::EC2::SecurityGroup, Properties: { GroupDescription: d, VpcId: !ImportValue net-vpc } }\n";
    let set = bench.change_set(&request("app", importer), "0").await;
    assert_eq!((set.status.as_str(), set.status_reason.as_str()), ("FAILED", "No export named net-vpc found"));
    bench.apply(&request("net", NETWORK), "1").await;
    bench.apply(&request("app", importer), "2").await;
    assert_eq!(bench.aws.cloudformation.list_imports("net-vpc").await.unwrap(), ["app"]);
    let refused = bench.aws.cloudformation.delete_stack("net", &[], "3").await.unwrap_err();
    assert_eq!(refused.message, "Export net-vpc cannot be deleted as it is in use by app");
    let mut replaced = request("net", NETWORK);
    replaced.parameters.insert("Cidr".into(), "10.2.0.0/16".into());
    let stack = bench.apply(&replaced, "4").await;
    assert_eq!(stack.status.0, "UPDATE_ROLLBACK_COMPLETE");
    bench.aws.cloudformation.delete_stack("app", &[], "5").await.unwrap();
    assert!(bench.settled_or_gone("app").await);
    bench.aws.cloudformation.delete_stack("net", &[], "6").await.unwrap();
    assert!(bench.settled_or_gone("net").await);
    assert!(bench.aws.cloudformation.list_exports().await.unwrap().is_empty());
    assert!(bench.aws.cloudformation.list_stacks().await.unwrap().is_empty());
}

impl Bench {
    async fn settled_or_gone(&self, name: &str) -> bool {
        for _ in 0..1000 {
            match self.aws.cloudformation.describe_stack(name).await.unwrap() {
                None => return true,
                Some(stack) if !stack.status.in_progress() => return false,
                Some(_) => self.sandbox.virtual_clock().sleep(Duration::from_secs(5)).await,
            }
        }
        false
    }
}

#[tokio::test]
async fn a_deletion_that_fails_can_keep_what_will_not_go_and_policies_keep_what_they_say() {
    let bench = bench();
    let template = "
Resources:
  Data: { Type: AWS::S3::Bucket, DeletionPolicy: Retain, Properties: { BucketName: my-data } }
  Scratch: { Type: AWS::S3::Bucket }
  Topic: { Type: AWS::SNS::Topic }
";
    let stack = bench.apply(&request("store", template), "1").await;
    let why = Halfway {
        reason: Some("The bucket you tried to delete is not empty".into()),
        part: Some("Scratch".into()),
        stuck: false,
    };
    bench.sandbox.add_fault(&Fault::new("*:DeleteStack", FaultKind::FailHalfway(why))).unwrap();
    bench.aws.cloudformation.delete_stack("store", &[], "2").await.unwrap();
    let failed = bench.settled("store").await;
    assert_eq!(failed.status.0, "DELETE_FAILED");
    assert!(failed.status_reason.contains("[Scratch]"));
    bench.aws.cloudformation.delete_stack("store", &["Scratch".into()], "3").await.unwrap();
    assert!(bench.settled_or_gone("store").await);
    let by_arn = bench.aws.cloudformation.describe_stack(&stack.id).await.unwrap().unwrap();
    assert_eq!(by_arn.status.0, "DELETE_COMPLETE");
    let events = bench.statuses(&stack.id).await;
    assert!(events.contains(&("Data".into(), "DELETE_SKIPPED".into())));
    // The bucket is still there, so its name is taken.
    let again = bench.apply(&request("other", template), "4").await;
    assert_eq!(again.status.0, "ROLLBACK_COMPLETE");
}

#[tokio::test]
async fn requests_are_refused_as_the_service_refuses_them() {
    let bench = bench();
    let role = "Resources:\n  R: { Type: AWS::IAM::Role, Properties: { RoleName: x, AssumeRolePolicyDocument: {} } }\n";
    let needs = "Parameters:\n  P: { Type: String }\nResources:\n  T: { Type: AWS::SNS::Topic }\n";
    let unknown = "Resources:\n  X: { Type: AWS::No::Such }\n";
    let ssm = "Parameters:\n  P: { Type: 'AWS::SSM::Parameter::Value<String>', Default: /no/such }\nResources:\n  T: { Type: AWS::SNS::Topic }\n";
    let big = format!("# {}\nResources:\n  T: {{ Type: AWS::SNS::Topic }}\n", "x".repeat(52_000));
    let topic = "Resources:\n  T: { Type: AWS::SNS::Topic }\n";
    let mut extra = request("s", topic);
    extra.parameters.insert("Q".into(), "1".into());
    for (asked, words) in [
        (request("s", role), "Requires capabilities : [CAPABILITY_NAMED_IAM]"),
        (request("s", needs), "Parameters: [P] must have values"),
        (extra, "Parameters: [Q] do not exist in the template"),
        (request("s", unknown), "Template format error: Unrecognized resource types: [AWS::No::Such]"),
        (request("s", "Resources: ["), "Template format error"),
        (request("s", ssm), "Unable to fetch parameters [/no/such] from parameter store for this account."),
        (request("s", &big), "less than or equal to 51200"),
        (request("9s", topic), "regular expression pattern"),
    ] {
        let refused = bench.aws.cloudformation.create_change_set(&asked, "c", "c").await.unwrap_err();
        assert!(refused.message.contains(words), "{refused} / {words}");
        assert_eq!(refused.class, Class::Invalid);
    }
    assert!(bench.sandbox.is_empty().unwrap(), "a refused request leaves nothing");
}

#[tokio::test]
async fn drift_behind_the_stacks_back_is_found_property_by_property_and_can_be_reverted() {
    let bench = bench();
    bench.apply(&request("net", NETWORK), "1").await;
    let drift = Drift {
        target: "stack/net/Logs".into(),
        set: vec![("RetentionInDays".into(), "7".into())],
        ..Drift::default()
    };
    bench.sandbox.drift(&drift).unwrap();
    bench.sandbox.drift(&Drift { target: "stack/net/Subnet".into(), delete: true, ..Drift::default() }).unwrap();
    let found = bench.aws.cloudformation.detect_drift("net", Duration::from_secs(60)).await.unwrap();
    let statuses: Vec<_> = found.iter().map(|d| (d.logical_id.as_str(), d.status.as_str())).collect();
    assert_eq!(statuses, [("Logs", "MODIFIED"), ("Subnet", "DELETED"), ("Vpc", "IN_SYNC")]);
    let difference = &found[0].differences[0];
    assert_eq!(
        (difference.path.as_str(), difference.expected.as_str(), difference.actual.as_str()),
        ("/RetentionInDays", "30", "7")
    );
    let revert = StackRequest { revert_drift: true, ..request("net", NETWORK) };
    let set = bench.change_set(&revert, "revert").await;
    let seen: Vec<_> = set.changes.iter().map(|c| (c.action.as_str(), c.logical_id.as_str())).collect();
    assert_eq!(seen, [("Modify", "Logs"), ("Add", "Subnet")]);
    let detail = &set.changes[0].details[0];
    assert_eq!((detail.before.as_deref(), detail.after.as_deref()), (Some("7"), Some("30")));
    bench.aws.cloudformation.execute_change_set(&set.id, "revert").await.unwrap();
    assert_eq!(bench.settled("net").await.status.0, "UPDATE_COMPLETE");
    let after = bench.aws.cloudformation.detect_drift("net", Duration::from_secs(60)).await.unwrap();
    assert!(after.iter().all(|d| d.status == "IN_SYNC"), "{after:?}");
    let missing = bench.sandbox.drift(&Drift { target: "stack/net/No".into(), ..Drift::default() }).unwrap_err();
    assert_eq!(missing.class, Class::NotFound);
}

#[tokio::test]
async fn secrets_are_generated_once_and_resolve_in_other_templates() {
    let bench = bench();
    let template = "
Resources:
  Db:
    Type: AWS::SecretsManager::Secret
    Properties:
      Name: app/db
      GenerateSecretString: { SecretStringTemplate: '{\"user\":\"admin\"}', GenerateStringKey: password, PasswordLength: 20, ExcludePunctuation: true }
  Copy:
    Type: AWS::SSM::Parameter
    DependsOn: Db
    Properties: { Name: /app/copy, Type: String, Value: '{{resolve:secretsmanager:app/db:SecretString:password}}' }
Outputs:
  Arn: { Value: !Ref Db }
";
    let stack = bench.apply(&request("sec", template), "1").await;
    assert_eq!(stack.status.0, "CREATE_COMPLETE", "{}", stack.status_reason);
    let value = bench.aws.secrets.secret("app/db").await.unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_str(value.expose()).unwrap();
    let password = json["password"].as_str().unwrap();
    assert!(password.len() == 20 && password.chars().all(char::is_alphanumeric));
    let copy = bench.aws.secrets.parameter("/app/copy").await.unwrap().unwrap();
    assert_eq!(copy.value.expose(), password);
    let by_arn = bench.aws.secrets.secret(&stack.outputs["Arn"].value).await.unwrap();
    assert_eq!(by_arn, Some(value));
    let ami = bench
        .aws
        .secrets
        .parameter("/aws/service/eks/optimized-ami/1.34/amazon-linux-2023/x86_64/standard/recommended/image_id");
    assert!(ami.await.unwrap().unwrap().value.expose().starts_with("ami-"));
    let shown = serde_json::to_string(&bench.sandbox.show(None).unwrap()).unwrap();
    assert!(shown.contains("app/db") && !shown.contains(password));
}

const CLUSTER: &str = "
Resources:
  Role: { Type: AWS::IAM::Role, Properties: { AssumeRolePolicyDocument: {} } }
  Cluster:
    Type: AWS::EKS::Cluster
    Properties: { Name: dev, Version: '1.34', RoleArn: !GetAtt Role.Arn, ResourcesVpcConfig: { SubnetIds: [subnet-1] } }
  Nodes:
    Type: AWS::EKS::Nodegroup
    Properties: { ClusterName: !Ref Cluster, NodeRole: !GetAtt Role.Arn, Subnets: [subnet-1], ScalingConfig: { DesiredSize: 3 } }
Outputs:
  Endpoint: { Value: !GetAtt Cluster.Endpoint }
";

fn cluster() -> StackRequest {
    StackRequest { capabilities: vec!["CAPABILITY_IAM".into()], ..request("cluster", CLUSTER) }
}

fn coredns(version: &str) -> AddonRequest {
    AddonRequest {
        cluster: "dev".into(),
        addon: "coredns".into(),
        version: version.into(),
        resolve_conflicts: ResolveConflicts::Overwrite,
        ..AddonRequest::default()
    }
}

#[tokio::test]
async fn a_cluster_takes_its_nine_minutes_and_then_answers() {
    let bench = bench();
    let begun = bench.sandbox.virtual_clock().now();
    let set = bench.change_set(&cluster(), "1").await;
    bench.aws.cloudformation.execute_change_set(&set.id, "1").await.unwrap();
    bench.sandbox.virtual_clock().sleep(Duration::from_secs(60)).await;
    let creating = bench.aws.eks.describe_cluster("dev").await.unwrap().unwrap();
    assert_eq!((creating.status.as_str(), creating.endpoint.as_str()), ("CREATING", ""));
    let stack = bench.settled("cluster").await;
    let took = bench.sandbox.virtual_clock().now().duration_since(begun).as_secs();
    assert!((700..900).contains(&took), "{took}");
    let up = bench.aws.eks.describe_cluster("dev").await.unwrap().unwrap();
    assert_eq!((up.status.as_str(), &up.endpoint), ("ACTIVE", &stack.outputs["Endpoint"].value));
    let row = bench.sandbox.show(Some("cluster")).unwrap().rows.remove(0);
    assert_eq!(row.detail, "Kubernetes 1.34, 3 nodes");
    bench.aws.cloudformation.delete_stack("cluster", &[], "2").await.unwrap();
    assert!(bench.settled_or_gone("cluster").await);
    assert_eq!(bench.aws.eks.describe_cluster("dev").await.unwrap(), None);
}

#[tokio::test]
async fn addons_come_move_fail_and_go_with_the_statuses_of_the_service() {
    let bench = bench();
    let eks = &bench.aws.eks;
    assert_eq!(eks.describe_addon("dev", "coredns").await.unwrap_err().class, Class::NotFound);
    bench.apply(&cluster(), "1").await;
    assert_eq!(eks.describe_addon("dev", "coredns").await.unwrap(), None);
    assert_eq!(eks.create_addon(&coredns("v9"), "t").await.unwrap_err().class, Class::Invalid);
    let bad = AddonRequest { configuration: "[1]".into(), ..coredns("v1.12.3-eksbuild.1") };
    assert_eq!(eks.create_addon(&bad, "t").await.unwrap_err().class, Class::Invalid);
    let made = eks.create_addon(&coredns("v1.12.3-eksbuild.1"), "t1").await.unwrap();
    assert_eq!(made.status, "CREATING");
    assert_eq!(eks.create_addon(&coredns("v1.12.3-eksbuild.1"), "t1").await.unwrap(), made, "same token, same call");
    assert_eq!(eks.create_addon(&coredns("v1.12.3-eksbuild.1"), "t2").await.unwrap_err().class, Class::AlreadyExists);
    assert_eq!(eks.update_addon(&coredns("v1.12.4-eksbuild.1"), "t3").await.unwrap_err().class, Class::Conflict);
    let wait = || bench.sandbox.virtual_clock().sleep(Duration::from_secs(90));
    wait().await;
    let up = eks.describe_addon("dev", "coredns").await.unwrap().unwrap();
    assert_eq!((up.status.as_str(), up.version.as_str()), ("ACTIVE", "v1.12.3-eksbuild.1"));
    bench.fail("eks:UpdateAddon", None, false);
    eks.update_addon(&coredns("v1.12.4-eksbuild.1"), "t4").await.unwrap();
    wait().await;
    let failed = eks.describe_addon("dev", "coredns").await.unwrap().unwrap();
    assert_eq!((failed.status.as_str(), failed.version.as_str()), ("UPDATE_FAILED", "v1.12.3-eksbuild.1"));
    assert_eq!(failed.issues.len(), 1);
    let first = eks.update_addon(&coredns("v1.12.4-eksbuild.1"), "t5").await.unwrap();
    assert_eq!(eks.update_addon(&coredns("v1.12.4-eksbuild.1"), "t5").await.unwrap(), first);
    wait().await;
    assert_eq!(eks.describe_addon("dev", "coredns").await.unwrap().unwrap().version, "v1.12.4-eksbuild.1");
    eks.delete_addon("dev", "coredns", false).await.unwrap();
    assert_eq!(eks.describe_addon("dev", "coredns").await.unwrap().unwrap().status, "DELETING");
    wait().await;
    assert_eq!(eks.list_addons("dev").await.unwrap(), Vec::<String>::new());
    assert_eq!(eks.delete_addon("dev", "coredns", false).await.unwrap_err().class, Class::NotFound);
    assert!(eks.addon_versions("vpc-cni", "1.34").await.unwrap().iter().any(|v| v.version == "v1.21.1-eksbuild.1"));
    let schema = eks.addon_configuration_schema("coredns", "v1.12.4-eksbuild.1").await.unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&schema).unwrap()["properties"].is_object());
}

#[tokio::test]
async fn a_killed_process_leaves_the_operation_running_and_time_alone_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(folder.path(), options()).unwrap();
    let aws = sandbox.aws(&here()).unwrap();
    sandbox.add_fault(&Fault::new("*:ExecuteChangeSet", FaultKind::Crash { after: true })).unwrap();
    let id = aws.cloudformation.create_change_set(&cluster(), "c", "c").await.unwrap();
    sandbox.virtual_clock().sleep(Duration::from_secs(10)).await;
    tokio::select! {
        _ = aws.cloudformation.execute_change_set(&id, "t") => panic!("the process is dead"),
        () = sandbox.crashed() => {}
    }
    drop((aws, sandbox));
    let sandbox = Sandbox::open(folder.path(), options()).unwrap();
    let cloudformation = sandbox.aws(&here()).unwrap().cloudformation;
    cloudformation.execute_change_set(&id, "t").await.unwrap();
    assert_eq!(cloudformation.describe_stack("cluster").await.unwrap().unwrap().status.0, "CREATE_IN_PROGRESS");
    sandbox.advance(Duration::from_secs(3600)).unwrap();
    assert_eq!(cloudformation.describe_stack("cluster").await.unwrap().unwrap().status.0, "CREATE_COMPLETE");
}

#[tokio::test]
async fn accounts_and_regions_are_apart_and_the_caller_is_the_declared_account() {
    let bench = bench();
    bench.apply(&request("net", NETWORK), "1").await;
    for other in [
        AwsConnection { region: "us-east-1".into(), ..here() },
        AwsConnection { account_id: "999900001111".into(), ..here() },
    ] {
        let aws = bench.sandbox.aws(&other).unwrap();
        assert_eq!(aws.cloudformation.describe_stack("net").await.unwrap(), None);
        assert!(aws.cloudformation.list_exports().await.unwrap().is_empty());
    }
    let caller = bench.aws.identity.caller().await.unwrap();
    assert_eq!(caller.arn, "arn:aws:sts::111122223333:assumed-role/terrace-sandbox/terrace");
    let nobody = bench.sandbox.aws(&AwsConnection::default()).unwrap();
    assert_eq!(nobody.identity.caller().await.unwrap().account, "000000000000");
}

#[tokio::test]
async fn a_wait_condition_gives_a_window_and_then_fails() {
    let bench = bench();
    let template = "
Resources:
  Handle: { Type: AWS::CloudFormation::WaitConditionHandle }
  Wait: { Type: AWS::CloudFormation::WaitCondition, Properties: { Handle: !Ref Handle, Timeout: '120' } }
";
    let stack = bench.apply(&request("wait", template), "1").await;
    assert_eq!(stack.status.0, "ROLLBACK_COMPLETE");
    let events = bench.aws.cloudformation.stack_events("wait", None).await.unwrap();
    assert!(events.iter().any(|e| e.reason.starts_with("WaitCondition timed out.")));
}

#[tokio::test]
async fn only_newer_events_are_told_when_asked_for_them() {
    let bench = bench();
    bench.apply(&request("net", NETWORK), "1").await;
    let all = bench.aws.cloudformation.stack_events("net", None).await.unwrap();
    let ids: std::collections::BTreeSet<_> = all.iter().map(|e| &e.id).collect();
    assert_eq!(ids.len(), all.len());
    let newer = bench.aws.cloudformation.stack_events("net", Some(&all[2].id)).await.unwrap();
    assert_eq!(newer, all[..2]);
    assert!(all.windows(2).all(|w| w[0].at >= w[1].at));
}

#[tokio::test]
async fn what_terrace_ships_as_templates_can_be_built_here() {
    let folders = ["cfn-templates", "examples/quickstart/templates"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut ours = BTreeMap::new();
    for file in folders.iter().flat_map(|f| std::fs::read_dir(root.join(f)).unwrap()) {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace(['/', '.'], "-");
            ours.insert(name, std::fs::read_to_string(path).unwrap());
        }
    }
    assert!(ours.len() > 5);
    for (name, template) in ours {
        let bench = bench();
        let (name, template) = (name.as_str(), template.as_str());
        let (parsed, problems) = crate::cfn::Template::parse(name, template);
        assert!(!problems.has_errors(), "{name}: {problems:?}");
        let mut asked = request(name, template);
        asked.capabilities = vec!["CAPABILITY_NAMED_IAM".into()];
        for (parameter, declared) in &parsed.parameters {
            if declared.default.is_none() {
                let value = match parameter.as_str() {
                    p if p.contains("Cidr") => "10.0.0.0/16",
                    p if p.contains("Version") => "1.34",
                    p if p.ends_with("Arn") => "arn:aws:iam::111122223333:role/x",
                    p if p.contains("Vpc") => "vpc-1",
                    p if p.contains("Subnet") => "subnet-1,subnet-2",
                    _ => "dev",
                };
                asked.parameters.insert(parameter.clone(), value.into());
            }
        }
        let stack = bench.apply(&asked, "1").await;
        assert_eq!(stack.status.0, "CREATE_COMPLETE", "{name}: {}", stack.status_reason);
    }
}
