//! Stacks that others made, written as blocks and taken over with a plan that shows no change.

use crate::{
    apply::testing::Lab,
    base::ActionWord,
    kinds::{self, Block},
    plan::{connect, look},
    world::{StackRequest, World as _},
};
use std::{collections::BTreeMap, time::Duration};

/// What the CDK deploys: its metadata on each resource, its own resource and condition, its bootstrap rule.
const CDK: &str = r#"{
  "Resources": {
    "Queue4A7E3555": {
      "Type": "AWS::SQS::Queue",
      "Properties": { "VisibilityTimeout": 300, "Tags": [{ "Key": "app", "Value": "cdk" }] },
      "UpdateReplacePolicy": "Delete",
      "DeletionPolicy": "Delete",
      "Metadata": { "aws:cdk:path": "App/Queue/Resource" }
    },
    "CDKMetadata": {
      "Type": "AWS::CDK::Metadata",
      "Properties": { "Analytics": "v2:deflate64:H4sIAAAAAAAA/zPSMzIw" },
      "Metadata": { "aws:cdk:path": "App/CDKMetadata/Default" },
      "Condition": "CDKMetadataAvailable"
    }
  },
  "Conditions": {
    "CDKMetadataAvailable": { "Fn::Or": [
      { "Fn::Equals": [{ "Ref": "AWS::Region" }, "us-east-1"] },
      { "Fn::Equals": [{ "Ref": "AWS::Region" }, "eu-west-1"] }
    ] }
  },
  "Parameters": {
    "BootstrapVersion": {
      "Type": "AWS::SSM::Parameter::Value<String>",
      "Default": "/cdk-bootstrap/hnb659fds/version",
      "Description": "Version of the CDK Bootstrap resources in this environment, automatically retrieved from SSM Parameter Store. [cdk:skip]"
    }
  },
  "Rules": {
    "CheckBootstrapVersion": {
      "Assertions": [{
        "Assert": { "Fn::Not": [{ "Fn::Contains": [["1", "2", "3", "4", "5"], { "Ref": "BootstrapVersion" }] }] },
        "AssertDescription": "CDK bootstrap stack version 6 required. Please run 'cdk bootstrap' with a recent version of the CDK CLI."
      }]
    }
  }
}"#;

const HAND: &str = "\
Parameters:
  Name: { Type: String }
  Days: { Type: Number, Default: 4 }
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Ref Name
      AssumeRolePolicyDocument: { Version: '2012-10-17', Statement: [] }
";

async fn made(lab: &Lab, name: &str, template: &str, parameters: &[(&str, &str)]) {
    let aws = lab.world.aws(&lab.subject().await.aws).unwrap().cloudformation;
    let request = StackRequest {
        name: name.to_owned(),
        template: template.to_owned(),
        parameters: parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        tags: BTreeMap::from([("Owner".to_owned(), "x ${y}".to_owned())]),
        capabilities: vec!["CAPABILITY_NAMED_IAM".to_owned(), "CAPABILITY_AUTO_EXPAND".to_owned()],
        ..StackRequest::default()
    };
    let id = aws.create_change_set(&request, "first", "token").await.unwrap();
    for _ in 0..100 {
        if !aws.describe_change_set(&id).await.unwrap().status.contains("PENDING") {
            break;
        }
        lab.world.clock().sleep(Duration::from_secs(1)).await;
    }
    aws.execute_change_set(&id, "token").await.unwrap();
    for _ in 0..100 {
        let stack = aws.describe_stack(name).await.unwrap().unwrap();
        if stack.status.succeeded() {
            return aws.set_termination_protection(name, true).await.unwrap();
        }
        lab.world.clock().sleep(Duration::from_secs(5)).await;
    }
    panic!("{name} is not made");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_is_written_and_taken_over_without_a_change() {
    let mut lab = Lab::new("");
    let version = crate::world::sandbox::Drift {
        target: "parameter//cdk-bootstrap/hnb659fds/version".to_owned(),
        set: vec![("value".to_owned(), "21".to_owned())],
        ..Default::default()
    };
    lab.world.drift(&version).unwrap();
    made(&lab, "AppStack", CDK, &[]).await;
    made(&lab, "by-hand", HAND, &[("Name", "a-role")]).await;
    let subject = lab.subject().await;
    let kind = kinds::kind("stack").unwrap();
    for (name, id) in [("cdk", "AppStack"), ("hand", "by-hand")] {
        let connections = connect::Connections { aws: subject.aws.clone(), cluster: None };
        let address = crate::base::Address::root("stack", name);
        let context =
            connect::context(&subject, &address, &connections, Duration::from_secs(60), look::quiet()).unwrap();
        let identity = kind.import_identity(id).unwrap();
        let written = kind.written(&context, &identity).await.unwrap().unwrap();
        let (_, file, template) = written.file.clone().unwrap();
        lab.files.insert(format!("t/{file}"), template);
        let text = written.text(&Block { kind: "stack", name, id, phase: None, folder: "t" });
        lab.files.insert(format!("p/{name}.hcl"), text);
    }
    let made = lab.plan().await;
    let nodes: Vec<_> = made.plan.nodes.iter().map(|n| (n.address.as_str(), n.action)).collect();
    assert_eq!(nodes, [("stack.cdk", ActionWord::Import), ("stack.hand", ActionWord::Import)]);
    assert!(made.plan.nodes.iter().all(|n| n.fields.is_empty() && n.children.is_empty()), "{:#?}", made.plan.nodes);
    lab.apply_made(made).await.unwrap();
    assert!(lab.changes().await.is_empty());
}
