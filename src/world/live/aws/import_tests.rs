//! Import change sets as they are asked for and answered, by the API references of CreateChangeSet and GetTemplateSummary.

use super::{cloudformation::LiveCloudFormation, recorded::Recorded, session::Session};
use crate::world::{AwsConnection, CloudFormation as _, ImportedResource, ResourceIdentifiers, StackRequest};

const SUMMARY: &str = r#"<GetTemplateSummaryResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><GetTemplateSummaryResult>
<ResourceTypes><member>AWS::DynamoDB::Table</member><member>AWS::IAM::Policy</member></ResourceTypes>
<ResourceIdentifierSummaries><member><ResourceType>AWS::DynamoDB::Table</ResourceType>
<LogicalResourceIds><member>Games</member><member>Service</member></LogicalResourceIds>
<ResourceIdentifiers><member>TableName</member></ResourceIdentifiers></member></ResourceIdentifierSummaries>
</GetTemplateSummaryResult></GetTemplateSummaryResponse>"#;
const MADE: &str = r#"<CreateChangeSetResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><CreateChangeSetResult>
<Id>arn:aws:cloudformation:us-east-1:123456789012:changeSet/import/1</Id>
<StackId>arn:aws:cloudformation:us-east-1:123456789012:stack/games/2</StackId></CreateChangeSetResult></CreateChangeSetResponse>"#;
const TOLD: &str = r#"<DescribeChangeSetResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeChangeSetResult>
<ChangeSetId>arn:aws:cloudformation:us-east-1:123456789012:changeSet/import/1</ChangeSetId>
<StackId>arn:aws:cloudformation:us-east-1:123456789012:stack/games/2</StackId>
<Status>CREATE_COMPLETE</Status><ExecutionStatus>AVAILABLE</ExecutionStatus>
<Changes><member><Type>Resource</Type><ResourceChange><Action>Import</Action><LogicalResourceId>Games</LogicalResourceId>
<PhysicalResourceId>games</PhysicalResourceId><ResourceType>AWS::DynamoDB::Table</ResourceType><Scope/><Details/></ResourceChange></member></Changes>
</DescribeChangeSetResult></DescribeChangeSetResponse>"#;

fn cloudformation(server: &Recorded) -> LiveCloudFormation {
    LiveCloudFormation::new(Session::ready_with(AwsConnection::default(), &server.config()))
}

fn request(exists: bool) -> StackRequest {
    let identifier = [("TableName".to_owned(), "games".to_owned())].into();
    let (resource_type, logical_id) = ("AWS::DynamoDB::Table".to_owned(), "Games".to_owned());
    StackRequest {
        name: "games".into(),
        template: "Resources: {}".into(),
        exists: Some(exists),
        imports: vec![ImportedResource { resource_type, logical_id, identifier }],
        ..StackRequest::default()
    }
}

#[tokio::test]
async fn an_import_is_a_change_set_of_its_own_type_whether_the_stack_is_there_or_not() {
    for exists in [true, false] {
        let server = Recorded::new(vec![(200, MADE.to_owned()), (200, TOLD.to_owned())]).await;
        let cloudformation = cloudformation(&server);
        let id = cloudformation.create_change_set(&request(exists), "import", "t").await.unwrap();
        let set = cloudformation.describe_change_set(&id).await.unwrap();
        assert_eq!((set.changes[0].action.as_str(), set.changes[0].physical_id.as_deref()), ("Import", Some("games")));
        let asked = server.asked().remove(0);
        for part in [
            "ChangeSetType=IMPORT",
            "ResourcesToImport.member.1.ResourceType=AWS%3A%3ADynamoDB%3A%3ATable",
            "ResourcesToImport.member.1.LogicalResourceId=Games",
            "ResourcesToImport.member.1.ResourceIdentifier.entry.1.key=TableName",
            "ResourcesToImport.member.1.ResourceIdentifier.entry.1.value=games",
        ] {
            assert!(asked.contains(part), "{part} in {asked}");
        }
        assert!(!asked.contains("OnStackFailure") && !asked.contains("IncludeNestedStacks"), "{asked}");
    }
}

#[tokio::test]
async fn what_identifies_the_resources_of_a_template_is_told_by_its_summary() {
    let server = Recorded::new(vec![(200, SUMMARY.to_owned())]).await;
    let told = cloudformation(&server).resource_identifiers(&request(true)).await.unwrap();
    let wanted = ResourceIdentifiers {
        resource_type: "AWS::DynamoDB::Table".into(),
        logical_ids: vec!["Games".into(), "Service".into()],
        identifiers: vec!["TableName".into()],
    };
    assert_eq!(told, [wanted]);
    let asked = server.asked().remove(0);
    assert!(asked.contains("Action=GetTemplateSummary") && asked.contains("TemplateBody="), "{asked}");
}
