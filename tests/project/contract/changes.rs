//! What a change set tells of what it would do, and what becomes of change sets.

use super::bed::{Bed, STORED, request, with};
use std::fmt::Write as _;
use terrace::world::Class;

pub(super) async fn a_change_in_place_and_a_replacement_are_told_apart(bed: &Bed) {
    bed.apply(&request("told", STORED), "first").await;
    let set = bed.change_set(&with(request("told", STORED), "Text", "two"), "value").await;
    let [change] = set.changes.as_slice() else { panic!("{set:?}") };
    assert_eq!((change.action.as_str(), change.physical_id.as_deref()), ("Modify", Some("/stored")));
    assert_eq!(change.replacement.as_deref(), Some("False"));
    let detail = change.details.iter().find(|d| d.name.as_deref() == Some("Value")).unwrap();
    assert_eq!((detail.attribute.as_str(), detail.requires_recreation.as_deref()), ("Properties", Some("Never")));
    if bed.differs("property-values") {
        assert_eq!((&detail.before, &detail.after), (&None, &None));
    } else {
        assert_eq!((detail.before.as_deref(), detail.after.as_deref()), (Some("one"), Some("two")));
    }

    let set = bed.change_set(&with(request("told", STORED), "Name", "/other"), "name").await;
    let [change] = set.changes.as_slice() else { panic!("{set:?}") };
    assert_eq!(change.replacement.as_deref(), Some("True"));
    assert!(change.details.iter().any(|d| d.requires_recreation.as_deref() == Some("Always")), "{change:?}");
    bed.stacks().execute_change_set(&set.id, "name").await.unwrap();
    let stack = bed.settled("told").await;
    assert_eq!((stack.status.0.as_str(), stack.outputs["Name"].value.as_str()), ("UPDATE_COMPLETE", "/other"));
    assert_eq!(bed.aws.secrets.parameter("/stored").await.unwrap(), None);
}

pub(super) async fn what_is_no_longer_declared_is_removed(bed: &Bed) {
    let more = STORED.replace(
        "Outputs:",
        "  Q: { Type: AWS::SSM::Parameter, Properties: { Name: /more, Type: String, Value: q } }\nOutputs:",
    );
    bed.apply(&request("fewer", &more), "first").await;
    assert!(bed.aws.secrets.parameter("/more").await.unwrap().is_some());
    let set = bed.change_set(&request("fewer", STORED), "second").await;
    let told: Vec<_> = set.changes.iter().map(|c| (&*c.action, &*c.logical_id)).collect();
    assert_eq!(told, [("Remove", "Q")]);
    bed.stacks().execute_change_set(&set.id, "second").await.unwrap();
    assert_eq!(bed.settled("fewer").await.status.0, "UPDATE_COMPLETE");
    assert_eq!(bed.aws.secrets.parameter("/more").await.unwrap(), None);
}

pub(super) async fn all_pages_of_a_change_set_are_read(bed: &Bed) {
    let mut template = String::from("Resources:\n");
    for n in 0..150 {
        writeln!(
            template,
            "  P{n}: {{ Type: AWS::SSM::Parameter, Properties: {{ Name: /many/{n}, Type: String, Value: v }} }}"
        )
        .unwrap();
    }
    let set = bed.change_set(&request("many", &template), "first").await;
    let ids: std::collections::BTreeSet<_> = set.changes.iter().map(|c| &*c.logical_id).collect();
    assert_eq!((set.changes.len(), ids.len()), (150, 150));
    bed.stacks().execute_change_set(&set.id, "first").await.unwrap();
    assert_eq!(bed.settled("many").await.status.0, "CREATE_COMPLETE");
    assert_eq!(bed.stacks().stack_resources("many").await.unwrap().len(), 150);
}

pub(super) async fn executing_one_change_set_ends_its_siblings(bed: &Bed) {
    bed.apply(&request("two", STORED), "first").await;
    let mine = bed.change_set(&with(request("two", STORED), "Text", "mine"), "mine").await;
    let other = bed.change_set(&with(request("two", STORED), "Text", "other"), "other").await;
    bed.stacks().execute_change_set(&other.id, "other").await.unwrap();
    bed.settled("two").await;
    let refused = bed.stacks().execute_change_set(&mine.id, "mine").await.unwrap_err();
    assert!(matches!(refused.class, Class::NotFound | Class::Conflict), "{refused:?}");
    assert_eq!(bed.settled("two").await.outputs["Value"].value, "other");
}

pub(super) async fn a_stack_left_in_review_is_cleaned_up_by_name(bed: &Bed) {
    let set = bed.change_set(&request("review", STORED), "first").await;
    bed.stacks().delete_change_set(&set.id).await.unwrap();
    bed.stacks().delete_change_set(&set.id).await.unwrap();
    assert_eq!(bed.stacks().describe_change_set(&set.id).await.unwrap_err().class, Class::NotFound);
    assert!(bed.stacks().describe_stack("review").await.unwrap().unwrap().status.in_review());
    bed.stacks().delete_stack("review", &[], "clean").await.unwrap();
    bed.settled(&set.stack_id).await;
    assert_eq!(bed.stacks().describe_stack("review").await.unwrap(), None);
}
