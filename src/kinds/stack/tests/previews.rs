//! What looking ahead at a stack makes, leaves and takes away.

use super::*;
use crate::{kinds::Named, world::Class};

/// More than a request may carry.
fn long() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("Resources:\n");
    for at in 0..400 {
        let filler = "x".repeat(100);
        let _ = writeln!(text, "  Topic{at}: {{ Type: 'AWS::SNS::Topic', Properties: {{ DisplayName: '{filler}' }} }}");
    }
    text
}

#[tokio::test]
async fn a_stack_that_did_not_change_gets_no_change_set() {
    let (bench, queue) = bench();
    let given = inputs(&json!({ "parameters": { "Days": 5, "Secret": "hunter2" }, "tags": { "team": "a" } }));
    bench.apply(&queue, &given).await.unwrap();
    bench.fault("cloudformation:CreateChangeSet", FaultKind::Deny);
    let again = bench.plan(&queue, &given).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp);
    assert!(again.preview.is_none());
    let other = inputs(&json!({ "parameters": { "Days": 5, "Secret": "hunter3" }, "tags": { "team": "a" } }));
    let refused = bench.plan(&queue, &other).await.err().unwrap();
    assert_eq!(refused.class, Class::Denied, "a secret that changed has to be looked at");
}

#[tokio::test]
async fn what_a_preview_is_about_to_make_can_be_taken_away_before_its_arn_is_known() {
    let (bench, queue) = bench();
    let desired = bench.prepare(&queue, &inputs(&json!({}))).unwrap();
    let context = bench.context(&queue);
    let left = StackKind.leaves(&desired, None, "token").unwrap();
    StackKind.discard(&context, &left).await.unwrap();
    let preview = StackKind.preview(&context, &desired, None, "token").await.unwrap().unwrap();
    assert_eq!(preview.attachment.as_ref().unwrap()["name"], left["name"], "one note serves both");
    assert_eq!(StackKind.spent(&context, preview.attachment.as_ref().unwrap()).await.unwrap(), None);
    StackKind.discard(&context, &left).await.unwrap();
    assert!(bench.sandbox.show(Some("stack")).unwrap().rows.is_empty());
    let spent = StackKind.spent(&context, preview.attachment.as_ref().unwrap()).await.unwrap();
    assert!(spent.is_some_and(|why| why.contains("gone")));
}

#[tokio::test]
async fn a_stack_in_review_stays_while_somebody_elses_change_set_waits_there() {
    let (bench, queue) = bench();
    let desired = bench.prepare(&queue, &inputs(&json!({}))).unwrap();
    let context = bench.context(&queue);
    let mine = StackKind.preview(&context, &desired, None, "mine").await.unwrap().unwrap();
    let theirs = StackKind.preview(&context, &desired, None, "theirs").await.unwrap().unwrap();
    StackKind.discard(&context, mine.attachment.as_ref().unwrap()).await.unwrap();
    let theirs = theirs.attachment.unwrap();
    assert_eq!(StackKind.spent(&context, &theirs).await.unwrap(), None);
    let found = StackKind.examine(&context, &json!({ "name": "platform-dev-queue" })).await.unwrap();
    assert!(!found[0].automatic, "{found:?}");
    StackKind.discard(&context, &theirs).await.unwrap();
    assert!(bench.sandbox.show(Some("stack")).unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_template_too_long_to_be_sent_goes_to_the_bucket_that_is_declared() {
    let (mut bench, queue) = bench();
    bench.file("long.yaml", &long());
    let given = inputs(&json!({ "template": "long.yaml" }));
    let made = bench.apply(&queue, &given).await.unwrap();
    assert_eq!(made.change.children.len(), 400);
    assert_eq!(bench.plan(&queue, &given).await.unwrap().change.action, ActionWord::NoOp);

    let mut context = bench.context(&queue);
    if let Some((connection, _)) = &mut context.aws {
        connection.template_bucket = None;
    }
    let other = Address::root("stack", "other");
    let desired = bench.prepare(&other, &given).unwrap();
    let refused = StackKind.preview(&context, &desired, None, "t").await.unwrap_err();
    assert!(refused.hint.is_some_and(|hint| hint.contains("template_bucket = ")));
}

#[tokio::test]
async fn an_export_in_use_is_kept_and_the_plan_names_who_imports_it() {
    let (mut bench, queue) = bench();
    let exporting =
        "Resources: { T: { Type: 'AWS::SNS::Topic' } }\nOutputs:\n  A: { Value: a, Export: { Name: shop-a } }\n";
    bench.file("exporting.yaml", exporting);
    bench.file("dropping.yaml", "Resources: { T: { Type: 'AWS::SNS::Topic' } }");
    bench.file("changing.yaml", &exporting.replace("Value: a", "Value: b"));
    let importing =
        "Resources:\n  T:\n    Type: AWS::SNS::Topic\n    Properties: { DisplayName: !ImportValue shop-a }\n";
    bench.file("importing.yaml", importing);
    bench.file("lost.yaml", &importing.replace("shop-a", "shop-b"));
    let template = |file: &str| inputs(&json!({ "template": file }));
    bench.apply(&queue, &template("exporting.yaml")).await.unwrap();
    let free = bench.plan(&queue, &template("dropping.yaml")).await.unwrap();
    StackKind.discard(&bench.context(&queue), free.preview.unwrap().attachment.as_ref().unwrap()).await.unwrap();

    let user = Address::root("stack", "user");
    bench.apply(&user, &template("importing.yaml")).await.unwrap();
    for (file, word) in [("dropping.yaml", "drops"), ("changing.yaml", "changes")] {
        let refused = bench.plan(&queue, &template(file)).await.err().unwrap();
        let said = refused.to_string();
        assert!(said.contains(word) && said.contains("shop-a") && said.contains("platform-dev-user"), "{said}");
    }
    let unresolved = bench.plan(&user, &template("lost.yaml")).await.err().unwrap();
    assert!(unresolved.message.contains("shop-b"), "{unresolved}");
    assert_eq!(unresolved.hint.as_deref(), Some("see lost.yaml:4"));
}

#[tokio::test]
async fn a_deletion_that_failed_is_ended_by_naming_what_stays() {
    let (bench, queue) = bench();
    let made = bench.apply(&queue, &inputs(&json!({}))).await.unwrap();
    bench.fail("cloudformation:DeleteStack", Some("Topic"));
    let failure = bench.delete(&queue, &made).await.unwrap_err();
    assert_eq!(failure.class, Class::Stuck, "{failure}");
    let context = bench.context(&queue);
    let identity = bench.prior(&queue).unwrap().identity;
    let found = StackKind.examine(&context, &identity).await.unwrap();
    assert!(found[0].mend.contains("Topic"), "{found:?}");
    assert!(StackKind.mend(&context, &identity, "a", &Named::default()).await.unwrap().is_empty());
    let named = Named { retain: vec!["Topic".to_owned()], ..Named::default() };
    let done = StackKind.mend(&context, &identity, "b", &named).await.unwrap();
    assert!(done[0].contains("left behind Topic"), "{done:?}");
    assert!(StackKind.examine(&context, &identity).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rollback_that_failed_goes_on_and_skips_only_what_is_named() {
    let (bench, queue) = bench();
    bench.apply(&queue, &inputs(&json!({ "parameters": { "Days": 5 } }))).await.unwrap();
    let stuck = crate::world::sandbox::Halfway {
        part: Some("Queue".to_owned()),
        stuck: true,
        ..crate::world::sandbox::Halfway::default()
    };
    bench.fault("cloudformation:ExecuteChangeSet", FaultKind::FailHalfway(stuck));
    let failure = bench.apply(&queue, &inputs(&json!({ "parameters": { "Days": 6 } }))).await.err().unwrap();
    assert_eq!(failure.class, Class::Stuck);
    assert!(failure.message.starts_with("Queue (AWS::SQS::Queue) UPDATE_FAILED"), "{failure}");
    assert!(failure.message.contains("taking it back failed at Queue"), "{failure}");
    let context = bench.context(&queue);
    let identity = bench.prior(&queue).unwrap().identity;
    let found = StackKind.examine(&context, &identity).await.unwrap();
    assert!(found[0].automatic && found[0].mend.contains("--skip"), "{found:?}");
    let named = Named { skip: vec!["Queue".to_owned()], ..Named::default() };
    let done = StackKind.mend(&context, &identity, "a", &named).await.unwrap();
    assert!(done[0].contains("leaving Queue as it is: UPDATE_ROLLBACK_COMPLETE"), "{done:?}");
}

#[tokio::test]
async fn a_stack_that_shows_nothing_of_an_operation_is_no_end_of_it() {
    use crate::kinds::stack::{live::find, operation::follow};
    let (bench, queue) = bench();
    bench.apply(&queue, &inputs(&json!({}))).await.unwrap();
    let (context, identity) = (bench.context(&queue), bench.prior(&queue).unwrap().identity);
    let stack = find(&context, &identity).await.unwrap().unwrap();
    let failure = follow(&context, &identity, Some(&stack), None, "never-begun", None).await.unwrap_err();
    assert_eq!(failure.class, Class::TimedOut, "{failure}");
    let token = stack.last_token.clone().unwrap();
    assert_eq!(follow(&context, &identity, Some(&stack), None, &token, None).await.unwrap().id, stack.id);
}

#[tokio::test]
async fn topics_are_taken_away_where_none_are_wanted_and_undo_takes_away_what_was_added() {
    let (bench, queue) = bench();
    let topics = |arns: serde_json::Value| inputs(&json!({ "notification_arns": arns }));
    let told = async || {
        let identity = bench.prior(&queue).unwrap().identity;
        let stack = crate::kinds::stack::live::find(&bench.context(&queue), &identity).await.unwrap().unwrap();
        stack.notification_arns.unwrap()
    };
    bench.apply(&queue, &topics(json!(["arn:aws:sns:us-east-1:000000000000:one"]))).await.unwrap();
    assert_eq!(told().await.len(), 1);
    bench.apply(&queue, &inputs(&json!({ "parameters": { "Days": 5 } }))).await.unwrap();
    assert_eq!(told().await.len(), 1, "where nothing is said they stay");
    let one = json!({ "parameters": { "Days": 4 }, "notification_arns": ["arn:aws:sns:us-east-1:000000000000:one"] });
    bench.apply(&queue, &inputs(&one)).await.unwrap();
    bench.apply(&queue, &inputs(&json!({ "parameters": { "Days": 5 }, "notification_arns": [] }))).await.unwrap();
    assert!(told().await.is_empty());
    let both = json!({ "parameters": { "Days": 6 }, "notification_arns": ["arn:aws:sns:us-east-1:000000000000:two"] });
    let planned = bench.apply(&queue, &inputs(&both)).await.unwrap();
    assert_eq!(told().await.len(), 1);
    bench.undo(&queue, &planned).await.unwrap();
    assert!(told().await.is_empty());
}

#[tokio::test]
async fn what_lets_the_internet_in_is_shown_of_a_resource_that_comes() {
    let (mut bench, queue) = bench();
    let first = inputs(&json!({}));
    bench.apply(&queue, &first).await.unwrap();
    let door = "
  Door:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: a door
      SecurityGroupIngress:
        - { IpProtocol: tcp, FromPort: !Ref Days, ToPort: 22, CidrIp: 10.0.0.0/8 }
        - { IpProtocol: tcp, FromPort: !Ref Days, ToPort: 22, CidrIp: 0.0.0.0/0 }
      SecurityGroupEgress:
        - { IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0 }
Outputs:";
    bench.file("queue.yaml", &QUEUE.replace("\nOutputs:", door));
    let shown = |change: &Change| {
        let door = change.children.iter().find(|child| child.name == "Door").unwrap();
        let told = |value: &Option<Value>| value.as_ref().and_then(|v| v.as_str().map(str::to_owned));
        let paths: Vec<(String, Option<String>)> =
            door.fields.iter().map(|field| (field.path.clone(), told(&field.after))).collect();
        paths
    };
    let changed = bench.plan(&queue, &first).await.unwrap();
    let open = [("SecurityGroupIngress[1].CidrIp".to_owned(), Some("0.0.0.0/0".to_owned()))];
    assert_eq!(shown(&changed.change), open, "what goes out, or comes from inside, is not");
    let (mut new, queue) = super::bench();
    new.file("queue.yaml", &QUEUE.replace("\nOutputs:", door));
    assert_eq!(shown(&new.plan(&queue, &first).await.unwrap().change), open);
}
