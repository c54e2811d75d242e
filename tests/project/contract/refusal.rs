//! What the service refuses.

use super::bed::{Bed, STORED, request, with};
use terrace::world::Class;

pub(super) async fn termination_protection_keeps_a_stack_until_it_is_lifted(bed: &Bed) {
    let stack = bed.apply(&request("kept", STORED), "first").await;
    bed.stacks().set_termination_protection("kept", true).await.unwrap();
    assert!(bed.stacks().describe_stack("kept").await.unwrap().unwrap().termination_protection);
    let refused = bed.stacks().delete_stack("kept", &[], "delete").await.unwrap_err();
    assert_eq!(refused.class, Class::Invalid, "{refused:?}");
    assert!(refused.message.contains("TerminationProtection is enabled"), "{refused}");
    bed.stacks().set_termination_protection("kept", false).await.unwrap();
    assert_eq!(bed.delete(&stack.id).await.status.0, "DELETE_COMPLETE");
}

pub(super) async fn a_template_with_a_type_that_is_none_is_refused_whole(bed: &Bed) {
    let template = STORED.replace("Outputs:", "  X: { Type: AWS::Nothing::Such }\nOutputs:");
    let refused = bed.stacks().create_change_set(&request("unknown", &template), "first", "first").await;
    let message = match refused {
        Err(refused) => {
            assert_eq!(refused.class, Class::Invalid, "{refused:?}");
            refused.message
        }
        // It may also be told by the change set.
        Ok(id) => bed.stacks().describe_change_set(&id).await.unwrap().status_reason,
    };
    assert!(message.contains("AWS::Nothing::Such"), "{message}");
    assert_eq!(bed.aws.secrets.parameter("/stored").await.unwrap(), None);
}

pub(super) async fn a_template_that_does_not_parse_is_refused(bed: &Bed) {
    let refused = bed.stacks().create_change_set(&request("broken", "Resources: ["), "first", "first").await;
    assert_eq!(refused.map_err(|f| f.class), Err(Class::Invalid));
    for template in ["Resources:\n  P: { Properties: {} }\n", "Outputs: {}"] {
        if bed.differs("template-form") {
            bed.stacks().create_change_set(&request("taken", template), &template[..6], "t").await.unwrap();
        } else {
            let refused = bed.stacks().create_change_set(&request("broken", template), "first", "first").await;
            assert_eq!(refused.map_err(|f| f.class), Err(Class::Invalid), "{template}");
        }
    }
    assert_eq!(bed.stacks().describe_stack("broken").await.unwrap(), None);
}

pub(super) async fn parameters_are_held_to_their_declarations(bed: &Bed) {
    let template = STORED.replace("Default: one", "AllowedValues: [one, two]");
    let refuse = async |asked| {
        let refused = bed.stacks().create_change_set(&asked, "first", "first").await.unwrap_err();
        assert_eq!(refused.class, Class::Invalid, "{refused:?}");
        refused.message
    };
    let missing = refuse(request("held", &template)).await;
    assert!(missing.contains("Text"), "{missing}");
    let outside = refuse(with(request("held", &template), "Text", "three")).await;
    assert!(outside.contains("Text"), "{outside}");
    let unknown = with(with(request("held", &template), "Text", "one"), "Other", "x");
    if bed.differs("unknown-parameter") {
        bed.stacks().create_change_set(&unknown, "unknown", "unknown").await.unwrap();
    } else {
        assert_eq!(refuse(unknown).await, "Parameters: [Other] do not exist in the template");
    }
}

pub(super) async fn capabilities_have_to_be_acknowledged(bed: &Bed) {
    let template = "
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: the-role
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: [{ Effect: Allow, Principal: { Service: ec2.amazonaws.com }, Action: 'sts:AssumeRole' }]
";
    let mut asked = request("role", template);
    let refused = bed.stacks().create_change_set(&asked, "first", "first").await;
    if bed.differs("capabilities") {
        refused.unwrap();
    } else {
        let refused = refused.unwrap_err();
        assert_eq!(refused.class, Class::Invalid);
        assert_eq!(refused.message, "Requires capabilities : [CAPABILITY_NAMED_IAM]");
    }
    asked.capabilities.push("CAPABILITY_NAMED_IAM".into());
    let stack = bed.apply(&asked, "second").await;
    assert_eq!((stack.status.0.as_str(), stack.capabilities.as_slice()), ("CREATE_COMPLETE", &*asked.capabilities));
}

pub(super) async fn a_secret_parameter_is_never_shown(bed: &Bed) {
    let template = STORED.replace("Default: one", "NoEcho: true");
    let asked = with(request("secret", &template), "Text", "hunter2-value");
    let set = bed.change_set(&asked, "first").await;
    bed.stacks().execute_change_set(&set.id, "first").await.unwrap();
    let stack = bed.settled("secret").await;
    assert_eq!(stack.parameters["Text"], "****");
    let changed = bed.change_set(&with(request("secret", &template), "Text", "hunter3-value"), "second").await;
    let shows = format!("{changed:?}").contains("hunter");
    assert_eq!(shows, bed.differs("no-echo"), "{changed:?}");
}

pub(super) async fn only_a_rollback_that_failed_is_continued(bed: &Bed) {
    bed.apply(&request("healthy", STORED), "first").await;
    let refused = bed.stacks().continue_update_rollback("healthy", &[], "no").await.unwrap_err();
    assert_eq!(refused.class, Class::Invalid, "{refused:?}");
}
