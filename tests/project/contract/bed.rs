//! A world to ask, an account in it for this test alone, and what tests do in it over and over.

#![expect(clippy::disallowed_methods, reason = "each sandbox has a folder of its own")]

use crate::support::{self, Account, server::Server};
use aws_sdk_ssm::types::ParameterType;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use terrace::{
    base::Secret,
    world::{
        Aws, AwsConnection, ChangeSet, CloudFormation, Stack, StackRequest, World,
        sandbox::{CrashBy, Drift, Options, Sandbox},
    },
};

/// What differs from AWS, by world and by the key under which docs/differences.md gives the reason.
const DIFFERENCES: &[(&str, &str)] = &[
    ("ministack", "add-on-tags"),
    ("ministack", "capabilities"),
    ("ministack", "change-set-in-any-state"),
    ("ministack", "eks-versions"),
    ("ministack", "output-alone"),
    ("ministack", "property-values"),
    ("ministack", "stale-arn"),
    ("ministack", "template-form"),
    ("ministack", "unknown-parameter"),
];

/// A world, and an account in it.
pub(super) struct Bed {
    /// What the world is called here.
    pub(super) name: &'static str,
    world: Arc<dyn World>,
    /// The services.
    pub(super) aws: Aws,
    /// The account's digits.
    pub(super) account: String,
    behind: Behind,
}

/// How to get at the world behind Terrace's back.
enum Behind {
    Sandbox(Arc<Sandbox>, #[expect(dead_code, reason = "is deleted when it is dropped")] tempfile::TempDir),
    Server(Account),
}

impl Bed {
    pub(super) fn sandbox() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { speed: f64::INFINITY, crash: CrashBy::Halt, ..Options::default() };
        let sandbox = Sandbox::open(folder.path(), options).unwrap();
        let account = "111122223333".to_owned();
        let connection = AwsConnection {
            region: support::server::REGION.to_owned(),
            account_id: account.clone(),
            ..AwsConnection::default()
        };
        let aws = sandbox.aws(&connection).unwrap();
        Self { name: "sandbox", world: sandbox.clone(), aws, account, behind: Behind::Sandbox(sandbox, folder) }
    }

    pub(super) fn ministack() -> Option<Self> {
        support::ministack().map(|server| Self::live("ministack", server))
    }

    pub(super) fn moto() -> Option<Self> {
        support::moto().map(|server| Self::live("moto", server))
    }

    fn live(name: &'static str, server: &Server) -> Self {
        let account = server.account();
        let world = account.world();
        let aws = world.aws(&account.connection()).unwrap();
        Self { name, world, aws, account: account.id.clone(), behind: Behind::Server(account) }
    }

    /// True where this world differs from AWS in what is called so in docs/differences.md.
    pub(super) fn differs(&self, key: &str) -> bool {
        DIFFERENCES.contains(&(self.name, key))
    }

    pub(super) fn stacks(&self) -> &dyn CloudFormation {
        &*self.aws.cloudformation
    }

    /// Lets a little time pass: a jump on the sandbox, a moment on a server.
    pub(super) async fn pause(&self) {
        let time = match self.behind {
            Behind::Sandbox(..) => Duration::from_secs(3),
            Behind::Server(_) => Duration::from_millis(100),
        };
        self.world.clock().sleep(time).await;
    }

    /// The stack, by name or ARN, once nothing runs on it.
    pub(super) async fn settled(&self, name: &str) -> Stack {
        for _ in 0..600 {
            let stack = self.stacks().describe_stack(name).await.unwrap().expect("the stack is there");
            if !stack.status.in_progress() {
                return stack;
            }
            self.pause().await;
        }
        panic!("{name} never settles")
    }

    /// A change set of this name, once it is made or has failed.
    pub(super) async fn change_set(&self, request: &StackRequest, name: &str) -> ChangeSet {
        let id = self.stacks().create_change_set(request, name, name).await.unwrap();
        for _ in 0..600 {
            let set = self.stacks().describe_change_set(&id).await.unwrap();
            if !set.status.ends_with("_PENDING") && !set.status.ends_with("_IN_PROGRESS") {
                return set;
            }
            self.pause().await;
        }
        panic!("{name} stays pending")
    }

    /// Makes and executes a change set, and waits for the stack whatever becomes of it.
    pub(super) async fn apply(&self, request: &StackRequest, token: &str) -> Stack {
        let set = self.change_set(request, token).await;
        assert_eq!(set.status, "CREATE_COMPLETE", "{}", set.status_reason);
        self.stacks().execute_change_set(&set.id, token).await.unwrap();
        self.settled(&set.stack_id).await
    }

    /// Deletes a stack and waits for its end.
    pub(super) async fn delete(&self, id: &str) -> Stack {
        self.stacks().delete_stack(id, &[], "delete").await.unwrap();
        self.settled(id).await
    }

    /// Puts a text into the parameter `/plain` and one into the secret `the/secret`, whose ARN is returned; and one into the
    /// encrypted parameter `/encrypted`, where that can be had.
    pub(super) async fn put_texts(&self) -> String {
        match &self.behind {
            // CloudFormation makes no encrypted parameters.
            Behind::Sandbox(..) => {
                let template = "
Resources:
  P: { Type: AWS::SSM::Parameter, Properties: { Name: /plain, Type: String, Value: text } }
  S: { Type: AWS::SecretsManager::Secret, Properties: { Name: the/secret, SecretString: hidden } }
Outputs:
  Secret: { Value: !Ref S }
";
                self.apply(&request("texts", template), "first").await.outputs["Secret"].value.clone()
            }
            Behind::Server(account) => {
                let parameters = aws_sdk_ssm::Client::new(&account.sdk());
                for (name, kind) in [("/plain", ParameterType::String), ("/encrypted", ParameterType::SecureString)] {
                    parameters.put_parameter().name(name).value("text").r#type(kind).send().await.unwrap();
                }
                let secrets = aws_sdk_secretsmanager::Client::new(&account.sdk());
                let made = secrets.create_secret().name("the/secret").secret_string("hidden").send().await.unwrap();
                made.arn.unwrap()
            }
        }
    }

    /// Writes a number of the metric `web/errors` with one dimension, and lets it become complete.
    pub(super) async fn write_metric(&self, color: &str, value: f64) {
        match &self.behind {
            Behind::Sandbox(sandbox, _) => {
                let set = vec![("value".to_owned(), value.to_string())];
                let target = format!("metric/web/errors{{color={color:?}}}");
                sandbox.drift(&Drift { target, set, ..Drift::default() }).unwrap();
                sandbox.advance(Duration::from_secs(180)).unwrap();
            }
            Behind::Server(account) => {
                use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
                let client = aws_sdk_cloudwatch::Client::new(&account.sdk());
                let dimension = Dimension::builder().name("color").value(color).build();
                let at = self.world.clock().now().as_second() - 120;
                let datum = MetricDatum::builder()
                    .metric_name("errors")
                    .dimensions(dimension)
                    .value(value)
                    .timestamp(aws_smithy_types::DateTime::from_secs(at))
                    .build();
                client.put_metric_data().namespace("web").metric_data(datum).send().await.unwrap();
            }
        }
    }

    /// Makes an alarm of this name that is in ALARM, for a reason.
    pub(super) async fn alarm(&self, name: &str, reason: &str) {
        match &self.behind {
            Behind::Sandbox(sandbox, _) => {
                let set = [("state", "ALARM"), ("reason", reason)];
                let set = set.map(|(path, value)| (path.to_owned(), value.to_owned())).into();
                sandbox.drift(&Drift { target: format!("alarm/{name}"), set, ..Drift::default() }).unwrap();
            }
            Behind::Server(account) => {
                use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
                let client = aws_sdk_cloudwatch::Client::new(&account.sdk());
                let made = client.put_metric_alarm().alarm_name(name).namespace("web").metric_name("latency");
                let made = made.statistic(Statistic::Average).period(60).evaluation_periods(1).threshold(1.0);
                made.comparison_operator(ComparisonOperator::GreaterThanThreshold).send().await.unwrap();
                let told =
                    client.set_alarm_state().alarm_name(name).state_value(StateValue::Alarm).state_reason(reason);
                told.send().await.unwrap();
            }
        }
    }

    /// The moment that the world has.
    pub(super) fn now(&self) -> jiff::Timestamp {
        self.world.clock().now()
    }

    /// The outputs of a new stack of this template. A server that has no change sets worth the name makes it without one.
    pub(super) async fn outputs_of(&self, name: &str, template: &str) -> BTreeMap<String, String> {
        match &self.behind {
            Behind::Sandbox(..) => {
                let made = self.apply(&request(name, template), "first").await;
                made.outputs.into_iter().map(|(key, output)| (key, output.value)).collect()
            }
            Behind::Server(account) => crate::support::proof::alb::balancer(account, name, template).await,
        }
    }

    /// Registers a target with a group; false where a world has none but what its clusters bind.
    pub(super) async fn register(&self, group: &str, id: &str, port: i32) -> bool {
        match &self.behind {
            Behind::Sandbox(..) => false,
            Behind::Server(account) => {
                crate::support::proof::alb::register(account, group, id, port).await;
                true
            }
        }
    }

    /// Changes the parameter that a stack made (`Resources.P`) behind its back; deletes it where there is no value.
    pub(super) async fn disturb(&self, stack: &str, parameter: &str, value: Option<&str>) {
        match &self.behind {
            Behind::Sandbox(sandbox, _) => {
                let set = value.map(|v| ("Value".to_owned(), v.to_owned())).into_iter().collect();
                let target = format!("stack/{stack}/P");
                sandbox.drift(&Drift { target, set, delete: value.is_none(), place: None }).unwrap();
            }
            Behind::Server(account) => {
                let client = aws_sdk_ssm::Client::new(&account.sdk());
                match value {
                    Some(value) => {
                        client
                            .put_parameter()
                            .name(parameter)
                            .value(value)
                            .overwrite(true)
                            .send()
                            .await
                            .map(drop)
                            .unwrap();
                    }
                    None => client.delete_parameter().name(parameter).send().await.map(drop).unwrap(),
                }
            }
        }
    }
}

/// A request for a stack of this template, with nothing else to it.
pub(super) fn request(name: &str, template: &str) -> StackRequest {
    StackRequest { name: name.into(), template: template.into(), ..StackRequest::default() }
}

/// The same with a parameter.
pub(super) fn with(mut request: StackRequest, parameter: &str, value: &str) -> StackRequest {
    request.parameters.insert(parameter.into(), value.into());
    request
}

/// A stack that has one parameter of the store, whose name and value are parameters of the stack.
pub(super) const STORED: &str = "
Parameters:
  Name: { Type: String, Default: /stored }
  Text: { Type: String, Default: one }
Resources:
  P: { Type: AWS::SSM::Parameter, Properties: { Name: !Ref Name, Type: String, Value: !Ref Text } }
Outputs:
  Name: { Value: !Ref P }
  Value: { Value: !GetAtt P.Value }
";

/// The same, with a resource that cannot be made after it.
pub(super) fn failing() -> String {
    let bogus = "  Bad: { Type: AWS::SSM::Parameter, DependsOn: P, Properties: { Name: /bad, Type: Bogus, Value: v } }\nOutputs:";
    STORED.replace("Outputs:", bogus)
}

#[test]
fn every_difference_of_a_world_is_written_down() {
    let page = include_str!("../../../docs/differences.md");
    for (world, key) in DIFFERENCES {
        assert!(page.contains(&format!("| `{key}` |")), "docs/differences.md does not tell of {key} ({world})");
    }
}

/// The text of a secret.
pub(super) fn open(secret: &Secret<String>) -> &str {
    secret.expose()
}
