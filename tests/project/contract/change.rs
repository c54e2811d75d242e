//! Making and changing a stack by change sets.

use super::bed::{Bed, STORED, request, with};
use terrace::world::Class;

pub(super) async fn a_stack_is_reviewed_then_made_and_tells_what_it_has(bed: &Bed) {
    let asked = request("made", STORED);
    let set = bed.change_set(&asked, "first").await;
    assert_eq!(set.execution_status.as_deref(), Some("AVAILABLE"), "{set:?}");
    let told: Vec<_> = set.changes.iter().map(|c| (&*c.action, &*c.logical_id, &*c.resource_type)).collect();
    assert_eq!(told, [("Add", "P", "AWS::SSM::Parameter")]);
    let review = bed.stacks().describe_stack("made").await.unwrap().unwrap();
    assert!(review.status.in_review(), "{review:?}");
    assert_eq!(review.id, set.stack_id);

    bed.stacks().execute_change_set(&set.id, "go").await.unwrap();
    let stack = bed.settled("made").await;
    assert_eq!((stack.status.0.as_str(), stack.name.as_str()), ("CREATE_COMPLETE", "made"));
    assert!(stack.id.contains(&format!(":{}:stack/made/", bed.account)), "{}", stack.id);
    assert_eq!(stack.outputs["Name"].value, "/stored");
    assert_eq!(stack.outputs["Value"].value, "one");
    assert_eq!(stack.parameters["Text"], "one");
    assert!(!stack.termination_protection);
    assert_eq!(bed.stacks().describe_stack(&stack.id).await.unwrap().unwrap(), stack);

    let resources = bed.stacks().stack_resources("made").await.unwrap();
    let told: Vec<_> = resources.iter().map(|r| (&*r.logical_id, &*r.physical_id, &*r.status)).collect();
    assert_eq!(told, [("P", "/stored", "CREATE_COMPLETE")]);
    assert_eq!(bed.stacks().get_template("made").await.unwrap().trim(), STORED.trim());
}

pub(super) async fn nothing_changed_is_said_in_the_words_of_the_service(bed: &Bed) {
    let asked = request("same", STORED);
    bed.apply(&asked, "first").await;
    let set = bed.change_set(&asked, "second").await;
    assert!(set.is_empty_change(), "{set:?}");
    bed.stacks().delete_change_set(&set.id).await.unwrap();
    let refused = bed.stacks().update_stack(&asked, "third").await.unwrap_err();
    assert_eq!((refused.class, refused.message.as_str()), (Class::Invalid, "No updates are to be performed."));
    // Neither of them touched it.
    assert_eq!(bed.stacks().describe_stack("same").await.unwrap().unwrap().status.0, "CREATE_COMPLETE");
}

pub(super) async fn an_output_alone_is_a_change(bed: &Bed) {
    bed.apply(&request("output", STORED), "first").await;
    let more = format!("{STORED}  More: {{ Value: more }}\n");
    if bed.differs("output-alone") {
        assert!(bed.change_set(&request("output", &more), "second").await.is_empty_change());
        return;
    }
    let stack = bed.apply(&request("output", &more), "second").await;
    assert_eq!(stack.status.0, "UPDATE_COMPLETE");
    assert_eq!(stack.outputs["More"].value, "more");
}

pub(super) async fn tags_reach_the_stack_and_are_a_change_by_themselves(bed: &Bed) {
    let mut asked = request("tagged", STORED);
    asked.tags.insert("owner".into(), "ada".into());
    assert_eq!(bed.apply(&asked, "first").await.tags, asked.tags);
    asked.tags.insert("owner".into(), "grace".into());
    asked.tags.insert("team".into(), "one & two".into());
    let stack = bed.apply(&asked, "second").await;
    assert_eq!((stack.status.0.as_str(), &stack.tags), ("UPDATE_COMPLETE", &asked.tags));
}

pub(super) async fn an_update_without_a_change_set_does_the_same(bed: &Bed) {
    bed.apply(&request("direct", STORED), "first").await;
    let asked = with(request("direct", STORED), "Text", "two");
    bed.stacks().update_stack(&asked, "second").await.unwrap();
    let stack = bed.settled("direct").await;
    assert_eq!((stack.status.0.as_str(), stack.outputs["Value"].value.as_str()), ("UPDATE_COMPLETE", "two"));
    assert!(stack.updated.is_some());
}

pub(super) async fn a_parameter_keeps_its_previous_value_where_that_is_asked_for(bed: &Bed) {
    bed.apply(&with(request("kept", STORED), "Text", "two"), "first").await;
    let mut asked = with(request("kept", STORED), "Name", "/other");
    asked.use_previous.push("Text".into());
    let stack = bed.apply(&asked, "second").await;
    assert_eq!((stack.parameters["Text"].as_str(), stack.outputs["Value"].value.as_str()), ("two", "two"));
}

pub(super) async fn a_stack_policy_is_taken(bed: &Bed) {
    bed.apply(&request("policy", STORED), "first").await;
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"Update:*","Principal":"*","Resource":"*"}]}"#;
    bed.stacks().set_stack_policy("policy", policy).await.unwrap();
    assert_eq!(bed.stacks().set_stack_policy("absent", policy).await.unwrap_err().class, Class::NotFound);
}

pub(super) async fn a_token_makes_a_repeated_call_the_same_call(bed: &Bed) {
    let asked = request("token", STORED);
    let set = bed.change_set(&asked, "once").await;
    assert_eq!(bed.stacks().create_change_set(&asked, "once", "once").await.unwrap(), set.id);
    bed.stacks().execute_change_set(&set.id, "go").await.unwrap();
    let stack = bed.settled("token").await;
    let made = bed.stacks().stack_events(&stack.id, None).await.unwrap();
    // Whether the second is taken or told that the change set is spent: nothing starts again.
    drop(bed.stacks().execute_change_set(&set.id, "go").await);
    assert_eq!(bed.stacks().stack_events(&stack.id, None).await.unwrap(), made);
    assert!(made.iter().any(|e| e.status == "CREATE_COMPLETE" && e.token.as_deref() == Some("go")), "{made:?}");
    assert_eq!(bed.settled(&stack.id).await, stack);
}
