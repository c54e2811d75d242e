//! Looking: at stacks that are there and not there, their events, exports, drift.

use super::bed::{Bed, STORED, request, with};
use std::time::Duration;
use terrace::world::Class;

const EXPORTER: &str = "
Parameters:
  Text: { Type: String, Default: one }
Resources:
  P: { Type: AWS::SSM::Parameter, Properties: { Name: /exported, Type: String, Value: !Ref Text } }
Outputs:
  Value: { Value: !GetAtt P.Value, Export: { Name: the-export } }
";

const IMPORTER: &str = "
Resources:
  P: { Type: AWS::SSM::Parameter, Properties: { Name: /imported, Type: String, Value: !ImportValue the-export } }
";

pub(super) async fn a_deleted_stack_is_found_by_its_arn_only(bed: &Bed) {
    let stack = bed.apply(&request("gone", STORED), "first").await;
    bed.stacks().delete_stack("gone", &[], "delete").await.unwrap();
    assert_eq!(bed.settled(&stack.id).await.status.0, "DELETE_COMPLETE");
    assert_eq!(bed.stacks().describe_stack("gone").await.unwrap(), None);
    assert_eq!(bed.aws.secrets.parameter("/stored").await.unwrap(), None);
    // Deleting what is gone is no error, by either.
    bed.stacks().delete_stack("gone", &[], "again").await.unwrap();
    bed.stacks().delete_stack(&stack.id, &[], "again").await.unwrap();
}

pub(super) async fn a_name_that_is_used_again_is_another_stack(bed: &Bed) {
    let first = bed.apply(&request("again", STORED), "first").await;
    bed.delete(&first.id).await;
    let second = bed.apply(&request("again", STORED), "second").await;
    assert_ne!(first.id, second.id);
    assert_eq!(bed.stacks().describe_stack("again").await.unwrap().unwrap().id, second.id);
    let stale = bed.stacks().describe_stack(&first.id).await.unwrap().map(|s| (s.id, s.status.0));
    let expected = Some((first.id.clone(), "DELETE_COMPLETE".to_owned()));
    assert_eq!(stale, if bed.differs("stale-arn") { None } else { expected });
    // What is meant for the first does not reach the second.
    bed.stacks().delete_stack(&first.id, &[], "stale").await.unwrap();
    assert_eq!(bed.settled("again").await.status.0, "CREATE_COMPLETE");
}

pub(super) async fn a_stack_that_is_not_there_is_told_as_such(bed: &Bed) {
    let stacks = bed.stacks();
    assert_eq!(stacks.describe_stack("absent").await.unwrap(), None);
    let arn = format!(
        "arn:aws:cloudformation:eu-central-1:{}:stack/absent/00000000-0000-0000-0000-000000000000",
        bed.account
    );
    assert_eq!(stacks.describe_stack(&arn).await.unwrap(), None);
    stacks.delete_stack("absent", &[], "no").await.unwrap();
    let classes = [
        stacks.get_template("absent").await.unwrap_err().class,
        stacks.stack_events("absent", None).await.unwrap_err().class,
        stacks.stack_resources("absent").await.unwrap_err().class,
        stacks.update_stack(&request("absent", STORED), "no").await.unwrap_err().class,
        stacks.set_termination_protection("absent", true).await.unwrap_err().class,
        stacks.continue_update_rollback("absent", &[], "no").await.unwrap_err().class,
        stacks.detect_drift("absent", Duration::from_secs(60)).await.unwrap_err().class,
    ];
    assert_eq!(classes, [Class::NotFound; 7]);
}

pub(super) async fn events_come_newest_first_and_from_where_one_left_off(bed: &Bed) {
    let stack = bed.apply(&request("events", STORED), "first").await;
    let events = bed.stacks().stack_events("events", None).await.unwrap();
    let told = |logical: &str, status: &str| {
        events
            .iter()
            .position(|e| e.logical_id == logical && e.status == status)
            .unwrap_or_else(|| panic!("{events:?}"))
    };
    assert!(told("events", "CREATE_COMPLETE") < told("P", "CREATE_COMPLETE"));
    assert!(told("P", "CREATE_COMPLETE") < told("P", "CREATE_IN_PROGRESS"));
    assert!(told("P", "CREATE_IN_PROGRESS") < told("events", "CREATE_IN_PROGRESS"));
    assert!(events.windows(2).all(|pair| pair[0].at >= pair[1].at));
    assert_eq!(events[told("events", "CREATE_COMPLETE")].physical_id, stack.id);

    let newest = events[0].id.clone();
    assert_eq!(bed.stacks().stack_events("events", Some(&newest)).await.unwrap(), []);
    bed.apply(&with(request("events", STORED), "Text", "two"), "second").await;
    let newer = bed.stacks().stack_events("events", Some(&newest)).await.unwrap();
    assert!(newer.iter().all(|e| !events.contains(e)));
    assert!(newer.iter().any(|e| e.logical_id == "P" && e.status == "UPDATE_COMPLETE"), "{newer:?}");
    assert!(newer.iter().filter(|e| e.status.starts_with("UPDATE")).all(|e| e.token.as_deref() == Some("second")));
}

pub(super) async fn only_living_stacks_are_listed(bed: &Bed) {
    let kept = bed.apply(&request("kept", STORED), "first").await;
    let gone = bed.apply(&with(request("gone", STORED), "Name", "/gone"), "first").await;
    bed.delete(&gone.id).await;
    assert_eq!(bed.stacks().list_stacks().await.unwrap(), [("kept".to_owned(), kept.id)]);
}

pub(super) async fn exports_tell_their_stack_and_who_imports_them(bed: &Bed) {
    assert_eq!(bed.stacks().list_exports().await.unwrap(), []);
    let exporter = bed.apply(&request("exporter", EXPORTER), "first").await;
    assert_eq!(exporter.outputs["Value"].export.as_deref(), Some("the-export"));
    let exports = bed.stacks().list_exports().await.unwrap();
    let told: Vec<_> = exports.iter().map(|e| (&*e.name, &*e.value, &e.stack_id)).collect();
    assert_eq!(told, [("the-export", "one", &exporter.id)]);
    assert_eq!(bed.stacks().list_imports("the-export").await.unwrap(), Vec::<String>::new());
    bed.apply(&request("importer", IMPORTER), "first").await;
    assert_eq!(bed.stacks().list_imports("the-export").await.unwrap(), ["importer"]);
}

pub(super) async fn an_export_in_use_keeps_its_stack_and_its_value(bed: &Bed) {
    let exporter = bed.apply(&request("exporter", EXPORTER), "first").await;
    let importer = bed.apply(&request("importer", IMPORTER), "first").await;

    // The service accepts the deletion and then fails it, or refuses it at once.
    let end = match bed.stacks().delete_stack("exporter", &[], "delete").await {
        Ok(()) => bed.settled(&exporter.id).await,
        Err(refused) => {
            assert!(refused.message.contains("the-export"), "{refused}");
            bed.settled(&exporter.id).await
        }
    };
    assert_ne!(end.status.0, "DELETE_COMPLETE");
    assert!(bed.aws.secrets.parameter("/exported").await.unwrap().is_some());

    bed.delete(&importer.id).await;
    assert_eq!(bed.delete(&exporter.id).await.status.0, "DELETE_COMPLETE");
}

pub(super) async fn drift_is_found_property_by_property(bed: &Bed) {
    let within = Duration::from_secs(60);
    bed.apply(&request("drifts", STORED), "first").await;
    let status = |found: &[terrace::world::ResourceDrift]| {
        found.iter().find(|d| d.logical_id == "P").map(|d| d.status.clone()).unwrap_or_default()
    };
    assert_eq!(status(&bed.stacks().detect_drift("drifts", within).await.unwrap()), "IN_SYNC");
    bed.disturb("drifts", "/stored", Some("by hand")).await;
    let found = bed.stacks().detect_drift("drifts", within).await.unwrap();
    assert_eq!(status(&found), "MODIFIED");
    let differences: Vec<_> = found[0].differences.iter().map(|d| (&*d.path, &*d.expected, &*d.actual)).collect();
    assert_eq!(differences, [("/Value", "one", "by hand")]);
    bed.disturb("drifts", "/stored", None).await;
    assert_eq!(status(&bed.stacks().detect_drift("drifts", within).await.unwrap()), "DELETED");
}
