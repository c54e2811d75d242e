//! Clusters and what EKS manages on them: add-ons, made, changed, tagged and deleted.

use super::bed::{self, Bed};
use terrace::world::{Addon, AddonRequest, Class, InsightCategory, ResolveConflicts, UpdateOf};

const TEMPLATE: &str = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties: { AssumeRolePolicyDocument: { Version: "2012-10-17", Statement: [] } }
  Cluster:
    Type: AWS::EKS::Cluster
    Properties:
      Name: contract
      Version: "1.32"
      RoleArn: !GetAtt Role.Arn
      ResourcesVpcConfig: { SubnetIds: [subnet-1, subnet-2] }
"#;

/// The cluster, in a stack.
async fn cluster(bed: &Bed) {
    let mut stack = bed::request("contract", TEMPLATE);
    stack.capabilities = vec!["CAPABILITY_IAM".to_owned()];
    let made = bed.apply(&stack, "first").await;
    assert_eq!(made.status.0, "CREATE_COMPLETE", "{}", made.status_reason);
}

/// The add-on, once it is not being changed; `None` where it is gone.
async fn settled(bed: &Bed) -> Option<Addon> {
    for _ in 0..600 {
        let found = bed.aws.eks.describe_addon("contract", "coredns").await.unwrap();
        if !found.as_ref().is_some_and(|a| ["CREATING", "UPDATING", "DELETING"].contains(&a.status.as_str())) {
            return found;
        }
        bed.pause().await;
    }
    panic!("the add-on never settles")
}

fn request(version: &str) -> AddonRequest {
    AddonRequest {
        cluster: "contract".to_owned(),
        addon: "coredns".to_owned(),
        version: version.to_owned(),
        configuration: r#"{"replicaCount":2}"#.to_owned(),
        resolve_conflicts: ResolveConflicts::None,
        tags: [("team".to_owned(), "net".to_owned())].into(),
        ..AddonRequest::default()
    }
}

pub(super) async fn an_add_on_is_made_changed_tagged_and_deleted(bed: &Bed) {
    cluster(bed).await;
    let eks = &bed.aws.eks;
    assert_eq!(eks.describe_cluster("contract").await.unwrap().unwrap().version, "1.32");
    assert_eq!(eks.describe_addon("contract", "coredns").await.unwrap(), None);
    eks.create_addon(&request("v1.11.4-eksbuild.2"), "one").await.unwrap();
    let made = settled(bed).await.unwrap();
    assert_eq!((made.version.as_str(), made.configuration.as_str()), ("v1.11.4-eksbuild.2", r#"{"replicaCount":2}"#));
    assert_eq!(made.tags["team"], "net");
    assert_eq!(eks.list_addons("contract").await.unwrap(), ["coredns"]);
    let again = eks.create_addon(&request("v1.11.4-eksbuild.2"), "two").await.unwrap_err();
    assert!(matches!(again.class, Class::AlreadyExists | Class::Conflict), "{again}");
    eks.update_addon(&request("v1.12.4-eksbuild.1"), "three").await.unwrap();
    let moved = settled(bed).await.unwrap();
    assert_eq!((moved.status.as_str(), moved.version.as_str()), ("ACTIVE", "v1.12.4-eksbuild.1"));
    eks.tag_resource(&moved.arn, &[("cost".to_owned(), "1".to_owned())].into()).await.unwrap();
    eks.untag_resource(&moved.arn, &["team".to_owned()]).await.unwrap();
    let tagged = eks.describe_addon("contract", "coredns").await.unwrap().unwrap();
    let left = if bed.differs("add-on-tags") { "team" } else { "cost" };
    assert_eq!(tagged.tags.keys().collect::<Vec<_>>(), [left]);
    eks.delete_addon("contract", "coredns", false).await.unwrap();
    assert_eq!(settled(bed).await, None);
    assert_eq!(eks.delete_addon("contract", "coredns", false).await.unwrap_err().class, Class::NotFound);
}

pub(super) async fn what_an_endpoint_lacks_of_eks_is_told_as_such(bed: &Bed) {
    cluster(bed).await;
    let eks = &bed.aws.eks;
    let lacks = bed.differs("eks-versions");
    let classes = [
        eks.addon_versions("coredns", "1.32").await.err(),
        eks.addon_configuration_schema("coredns", "v1.12.4-eksbuild.1").await.err(),
        eks.list_insights("contract", InsightCategory::Upgrade, "1.33").await.err(),
        eks.list_updates("contract", UpdateOf::default()).await.err(),
    ];
    for failure in classes {
        assert_eq!(failure.map(|f| f.class), lacks.then_some(Class::Unsupported));
    }
    assert!(eks.list_nodegroups("contract").await.unwrap().is_empty());
}
