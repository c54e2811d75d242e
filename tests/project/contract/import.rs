//! Resources that exist come into a stack by a change set of type IMPORT.

use super::bed::{Bed, request};
use terrace::world::{Class, ImportedResource, StackRequest};

const KEPT: &str = "
Resources:
  P: { Type: AWS::SSM::Parameter, DeletionPolicy: Retain, Properties: { Name: /kept, Type: String, Value: one } }
";

/// A request for a stack of this template that imports the parameter.
fn importing(stack: &str, template: &str, logical_id: &str, name: &str) -> StackRequest {
    let identifier = [("Name".to_owned(), name.to_owned())].into();
    let (resource_type, logical_id) = ("AWS::SSM::Parameter".to_owned(), logical_id.to_owned());
    let imports = vec![ImportedResource { resource_type, logical_id, identifier }];
    StackRequest { imports, ..request(stack, template) }
}

pub(super) async fn what_a_stack_left_behind_comes_into_another_and_stays_what_it_is(bed: &Bed) {
    let first = bed.apply(&request("first", KEPT), "first").await;
    bed.delete(&first.id).await;
    let set = bed.change_set(&importing("second", KEPT, "P", "/kept"), "import").await;
    assert_eq!(
        (set.status.as_str(), set.execution_status.as_deref()),
        ("CREATE_COMPLETE", Some("AVAILABLE")),
        "{set:?}"
    );
    let told: Vec<_> = set.changes.iter().map(|c| (&*c.action, &*c.logical_id, c.physical_id.as_deref())).collect();
    assert_eq!(told, [("Import", "P", Some("/kept"))]);
    bed.stacks().execute_change_set(&set.id, "go").await.unwrap();
    let stack = bed.settled("second").await;
    assert_eq!(stack.status.0, "IMPORT_COMPLETE", "{}", stack.status_reason);
    let events = bed.stacks().stack_events("second", None).await.unwrap();
    assert!(events.iter().any(|e| e.logical_id == "P" && e.status == "IMPORT_COMPLETE"), "{events:?}");
    // It is the stack's now, which changes it like any other.
    let changed = bed.apply(&request("second", &KEPT.replace("Value: one", "Value: two")), "change").await;
    assert_eq!(changed.status.0, "UPDATE_COMPLETE", "{}", changed.status_reason);
    // Another stack cannot have it.
    let taken = bed.change_set(&importing("third", KEPT, "P", "/kept"), "taken").await;
    assert_eq!(taken.status, "FAILED");
    assert!(taken.status_reason.contains("already exists in stack"), "{}", taken.status_reason);
}

pub(super) async fn an_import_into_a_stack_changes_nothing_else(bed: &Bed) {
    let first = bed.apply(&request("first", KEPT), "first").await;
    bed.delete(&first.id).await;
    let other = "  Q: { Type: AWS::SSM::Parameter, Properties: { Name: /other, Type: String, Value: one } }\n";
    let template = format!("Resources:\n{other}");
    bed.apply(&request("base", &template), "base").await;
    let whole = format!("{}{other}", KEPT.trim_start());
    let asked = |text: &str| importing("base", text, "P", "/kept");
    for (text, words) in [
        (
            whole.replace("/other, Type: String, Value: one", "/other, Type: String, Value: two"),
            "modified resources [Q]",
        ),
        (whole.replace(" DeletionPolicy: Retain,", ""), "must have DeletionPolicy"),
        (format!("{whole}Outputs: {{ A: {{ Value: a }} }}\n"), "cannot modify or add [Outputs]"),
        (format!("{whole}  R: {{ Type: AWS::SNS::Topic }}\n"), "[R] is missing from ResourceToImport"),
    ] {
        let refused = bed.stacks().create_change_set(&asked(&text), "no", "no").await.unwrap_err();
        assert_eq!(refused.class, Class::Invalid, "{refused}");
        assert!(refused.message.contains(words), "{refused}");
    }
    let missing = bed.change_set(&importing("base", &whole, "P", "/no-such"), "missing").await;
    assert_eq!(missing.status, "FAILED");
    assert!(missing.status_reason.contains("was not found"), "{}", missing.status_reason);
    let stack = bed.apply(&asked(&whole), "import").await;
    assert_eq!(stack.status.0, "IMPORT_COMPLETE", "{}", stack.status_reason);
    let mut names: Vec<String> =
        bed.stacks().stack_resources("base").await.unwrap().into_iter().map(|r| r.logical_id).collect();
    names.sort();
    assert_eq!(names, ["P", "Q"]);
}
