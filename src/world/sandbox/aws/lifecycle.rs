//! A property: whatever is asked of CloudFormation in whatever order, with faults and kills, nothing panics, every change
//! of a stack's status is one that AWS makes, and every operation comes to rest.

#![expect(clippy::disallowed_methods, reason = "each case has a folder of its own")]

use crate::world::{
    AwsConnection, CloudFormation, OnCreateFailure, StackRequest, World as _,
    sandbox::{CrashBy, Drift, Fault, FaultKind, Halfway, Options, Sandbox},
};
use proptest::prelude::*;
use std::{path::Path, sync::Arc, time::Duration};

#[derive(Debug, Clone)]
enum Move {
    Change { stack: usize, template: usize, failure: usize },
    Update { stack: usize, template: usize },
    Delete { stack: usize, retain: bool },
    Continue { stack: usize, skip: bool },
    Fault { operation: usize, stuck: bool, part: usize },
    Drift { stack: usize, delete: bool },
    Wait(u64),
    Reopen,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0..2_usize, 0..4_usize, 0..3_usize)
            .prop_map(|(stack, template, failure)| Move::Change { stack, template, failure }),
        3 => (0..2_usize, 0..4_usize).prop_map(|(stack, template)| Move::Update { stack, template }),
        2 => (0..2_usize, any::<bool>()).prop_map(|(stack, retain)| Move::Delete { stack, retain }),
        2 => (0..2_usize, any::<bool>()).prop_map(|(stack, skip)| Move::Continue { stack, skip }),
        3 => (0..3_usize, any::<bool>(), 0..4_usize)
            .prop_map(|(operation, stuck, part)| Move::Fault { operation, stuck, part }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(stack, delete)| Move::Drift { stack, delete }),
        4 => (1..200_u64).prop_map(Move::Wait),
        1 => Just(Move::Reopen),
    ];
    prop::collection::vec(one, 1..25)
}

const STACKS: [&str; 2] = ["one", "two"];
const TEMPLATES: [&str; 4] = [
    "Resources:\n  A: { Type: AWS::SNS::Topic }\n  B: { Type: AWS::EC2::VPC, Properties: { CidrBlock: 10.0.0.0/16 } }\n  C: { Type: AWS::EC2::Subnet, Properties: { VpcId: !Ref B, CidrBlock: 10.0.0.0/24 } }\nOutputs:\n  B: { Value: !Ref B, Export: { Name: !Sub '${AWS::StackName}-b' } }\n",
    "Resources:\n  A: { Type: AWS::SNS::Topic, Properties: { DisplayName: x } }\n  B: { Type: AWS::EC2::VPC, Properties: { CidrBlock: 10.9.0.0/16 } }\n  C: { Type: AWS::EC2::Subnet, Properties: { VpcId: !Ref B, CidrBlock: 10.0.0.0/24 } }\nOutputs:\n  B: { Value: !Ref B, Export: { Name: !Sub '${AWS::StackName}-b' } }\n",
    "Resources:\n  A: { Type: AWS::S3::Bucket, DeletionPolicy: Retain, Properties: { BucketName: shared-name } }\n  D: { Type: AWS::SSM::Parameter, DependsOn: A, Properties: { Type: String, Value: !GetAtt A.Arn } }\n",
    "Resources:\n  A: { Type: AWS::SNS::Topic }\n  E: { Type: AWS::EC2::SecurityGroup, Properties: { GroupDescription: d, VpcId: !ImportValue one-b } }\n",
];

fn open(folder: &Path) -> (Arc<Sandbox>, Arc<dyn CloudFormation>) {
    let options = Options {
        speed: f64::INFINITY,
        start: Some(jiff::Timestamp::UNIX_EPOCH),
        crash: CrashBy::Halt,
        ..Options::default()
    };
    let sandbox = Sandbox::open(folder, options).unwrap();
    let cloudformation = sandbox.aws(&AwsConnection::default()).unwrap().cloudformation;
    (sandbox, cloudformation)
}

async fn play(moves: Vec<Move>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut sandbox, mut service) = open(folder.path());
    let mut arns = std::collections::BTreeSet::new();
    for (n, one) in moves.into_iter().enumerate() {
        let token = format!("t{n}");
        let request = |stack: usize, template: usize| StackRequest {
            name: STACKS[stack].into(),
            template: TEMPLATES[template].into(),
            ..StackRequest::default()
        };
        match one {
            Move::Change { stack, template, failure } => {
                let on_create_failure =
                    [OnCreateFailure::Rollback, OnCreateFailure::Delete, OnCreateFailure::DoNothing][failure];
                let asked = StackRequest { on_create_failure, ..request(stack, template) };
                if let Ok(id) = service.create_change_set(&asked, &token, &token).await {
                    sandbox.advance(Duration::from_secs(4)).unwrap();
                    let _ = service.execute_change_set(&id, &token).await;
                }
            }
            Move::Update { stack, template } => {
                let _ = service.update_stack(&request(stack, template), &token).await;
            }
            Move::Delete { stack, retain } => {
                let retain = if retain { vec!["A".to_owned(), "B".to_owned()] } else { Vec::new() };
                let _ = service.delete_stack(STACKS[stack], &retain, &token).await;
            }
            Move::Continue { stack, skip } => {
                let skip = if skip { vec!["A".to_owned()] } else { Vec::new() };
                let _ = service.continue_update_rollback(STACKS[stack], &skip, &token).await;
            }
            Move::Fault { operation, stuck, part } => {
                let operation = ["*:ExecuteChangeSet", "*:UpdateStack", "*:DeleteStack"][operation];
                let part = [None, Some("A"), Some("B"), Some("C")][part].map(str::to_owned);
                let kind = FaultKind::FailHalfway(Halfway { reason: None, part, stuck });
                sandbox.add_fault(&Fault::new(operation, kind)).unwrap();
            }
            Move::Drift { stack, delete } => {
                let target = format!("stack/{}/A", STACKS[stack]);
                let set = vec![("DisplayName".to_owned(), "drifted".to_owned())];
                let _ = sandbox.drift(&Drift { target, set, delete, place: None });
            }
            Move::Wait(seconds) => {
                sandbox.advance(Duration::from_secs(seconds)).unwrap();
            }
            Move::Reopen => {
                drop((sandbox, service));
                (sandbox, service) = open(folder.path());
            }
        }
        for (_, arn) in service.list_stacks().await.unwrap() {
            arns.insert(arn);
        }
    }
    sandbox.advance(Duration::from_secs(100_000)).unwrap();
    for arn in arns {
        let stack = service.describe_stack(&arn).await.unwrap().expect("an ARN finds its stack for ever");
        assert!(!stack.status.in_progress(), "{} never comes to rest", stack.status.0);
        let mut events = service.stack_events(&arn, None).await.unwrap();
        events.reverse();
        let own: Vec<&str> = events.iter().filter(|e| e.physical_id == arn).map(|e| e.status.as_str()).collect();
        for pair in own.windows(2) {
            assert!(legal(pair[0], pair[1]), "{} after {} in {own:?}", pair[1], pair[0]);
        }
        assert_eq!(own.last(), Some(&stack.status.0.as_str()));
    }
}

/// The changes of status that AWS makes.
fn legal(from: &str, to: &str) -> bool {
    let next: &[&str] = match from {
        "REVIEW_IN_PROGRESS" => &["CREATE_IN_PROGRESS", "DELETE_COMPLETE"],
        "CREATE_IN_PROGRESS" => &["CREATE_COMPLETE", "CREATE_FAILED", "ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"],
        "ROLLBACK_IN_PROGRESS" => &["ROLLBACK_COMPLETE", "ROLLBACK_FAILED"],
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" => {
            &["UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"]
        }
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "DELETE_FAILED" => &["DELETE_IN_PROGRESS"],
        "UPDATE_IN_PROGRESS" => &["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"],
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => &["UPDATE_COMPLETE"],
        "UPDATE_ROLLBACK_IN_PROGRESS" => &["UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"],
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => &["UPDATE_ROLLBACK_COMPLETE"],
        "UPDATE_ROLLBACK_FAILED" => &["UPDATE_ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"],
        "DELETE_IN_PROGRESS" => &["DELETE_COMPLETE", "DELETE_FAILED"],
        _ => &[],
    };
    next.contains(&to)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn stacks_move_only_as_aws_moves_them_and_always_come_to_rest(moves in moves()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(moves));
    }
}
