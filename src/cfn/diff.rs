//! The difference between two resolved templates, resource by resource, as a change set would tell it.
//!
//! Pure: the plan calls it where no change set can be had, the sandbox to make change sets. It compares what the
//! templates say, not what is live.

use super::{changes::changes, follow::follow};
use crate::{
    base::Path,
    cfn::{Node, Resolved, ResolvedResource, Source},
};
use std::collections::BTreeMap;

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is made.
    Add,
    /// It is updated or replaced.
    Modify,
    /// It leaves the stack.
    Remove,
}

/// Whether a modified resource is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Replacement {
    /// No.
    Never,
    /// It depends on values or on what the service decides; also where the type is not known here.
    Conditional,
    /// Yes.
    Always,
}

/// Whether one property's change forces a new resource, by the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recreation {
    /// `Never`.
    Never,
    /// `Conditionally`.
    Conditionally,
    /// `Always`.
    Always,
}

/// Whether the new value is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evaluation {
    /// It is.
    Static,
    /// Only once something else was made or changed.
    Dynamic,
}

/// The part of a resource that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Properties.
    Properties,
    /// The property that holds tags.
    Tags,
    /// Metadata.
    Metadata,
    /// CreationPolicy.
    CreationPolicy,
    /// UpdatePolicy.
    UpdatePolicy,
    /// DeletionPolicy.
    DeletionPolicy,
    /// UpdateReplacePolicy.
    UpdateReplacePolicy,
    /// The resource's type; the service refuses such an update.
    Type,
}

/// What becomes of the physical thing that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyAction {
    /// Deleted with the resource.
    Delete,
    /// Left behind.
    Retain,
    /// Deleted after a snapshot.
    Snapshot,
    /// Replaced, the old one deleted.
    ReplaceAndDelete,
    /// Replaced, the old one left behind.
    ReplaceAndRetain,
    /// Replaced, the old one deleted after a snapshot.
    ReplaceAndSnapshot,
}

/// One property that changes.
#[derive(Clone, PartialEq, Eq)]
pub struct PropertyChange {
    /// The part of the resource.
    pub field: Field,
    /// The path within that part.
    pub path: Path,
    /// Before; `None` where it was not there.
    pub before: Option<Node>,
    /// After; `None` where it goes.
    pub after: Option<Node>,
    /// Whether it forces a new resource.
    pub requires_recreation: Recreation,
    /// Whether the new value is known.
    pub evaluation: Evaluation,
    /// The parameter or resource that makes it change, where the template's own text did not.
    pub causing: Option<Source>,
    /// True where before or after must not be shown.
    pub sensitive: bool,
}

/// One resource that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDiff {
    /// The logical id.
    pub logical_id: String,
    /// The physical id, where it is known.
    pub physical_id: Option<String>,
    /// The type (the new one, where it changes).
    pub resource_type: String,
    /// What happens.
    pub action: Action,
    /// Whether it is replaced; `Never` for what is added or removed.
    pub replacement: Replacement,
    /// Why, property by property, ordered by path; empty for what is added, removed or only in doubt.
    pub changes: Vec<PropertyChange>,
    /// What becomes of the physical thing that goes; `None` where nothing goes.
    pub policy_action: Option<PolicyAction>,
    /// False where a condition that is not decided yet may leave the resource out after all. One that is there is then
    /// listed even without a change, and `policy_action` is what would become of it.
    pub certain: bool,
}

/// What changes from one template to the other, ordered by logical id. `None` means no stack.
///
/// Includes what follows: a resource that refers to one that is replaced, or to a changed attribute, is modified too.
/// `diff(x, x)` is empty. Key order and the notation of scalars (`80` or `"80"`) make no difference.
pub fn diff(
    before: Option<&Resolved>,
    after: Option<&Resolved>,
    physical_ids: &BTreeMap<String, String>,
) -> Vec<ResourceDiff> {
    let none = Resolved::default();
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    let mut found: BTreeMap<&str, ResourceDiff> = BTreeMap::new();
    let entry = |id: &str, resource: &ResolvedResource, action| ResourceDiff {
        logical_id: id.to_owned(),
        physical_id: physical_ids.get(id).cloned(),
        resource_type: resource.resource_type.clone(),
        action,
        replacement: Replacement::Never,
        changes: Vec::new(),
        policy_action: None,
        certain: resource.certain,
    };
    for (id, old) in &before.resources {
        if !after.resources.contains_key(id) {
            let mut diff = entry(id, old, Action::Remove);
            diff.policy_action = Some(removal(old));
            found.insert(id, diff);
        }
    }
    // What others refer to comes first, so that what follows from its change is known in time.
    for id in after.order().iter().flatten() {
        let Some((id, new)) = after.resources.get_key_value(id) else { continue };
        let Some(old) = before.resources.get(id) else {
            found.insert(id, entry(id, new, Action::Add));
            continue;
        };
        let mut changes = changes(old, new);
        follow(&mut changes, old, new, &found);
        // It is there, and may turn out to go.
        let in_doubt = old.certain && !new.certain;
        if changes.is_empty() && !in_doubt {
            continue;
        }
        changes.sort_by(|a, b| (a.field, &a.path).cmp(&(b.field, &b.path)));
        let mut diff = entry(id, new, Action::Modify);
        diff.replacement =
            changes.iter().map(|c| Replacement::from(c.requires_recreation)).max().unwrap_or(Replacement::Never);
        if in_doubt {
            diff.replacement = diff.replacement.max(Replacement::Conditional);
            diff.policy_action = Some(removal(old));
        } else if diff.replacement != Replacement::Never {
            diff.policy_action = Some(replacement(new));
        }
        diff.changes = changes;
        found.insert(id, diff);
    }
    found.into_values().collect()
}

/// Without before and after where they must not be shown.
impl std::fmt::Debug for PropertyChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("PropertyChange");
        out.field("field", &self.field).field("path", &self.path.to_string());
        if !self.sensitive {
            out.field("before", &self.before).field("after", &self.after);
        }
        out.field("requires_recreation", &self.requires_recreation)
            .field("evaluation", &self.evaluation)
            .field("causing", &self.causing)
            .finish_non_exhaustive()
    }
}

impl From<Recreation> for Replacement {
    fn from(recreation: Recreation) -> Self {
        match recreation {
            Recreation::Never => Self::Never,
            Recreation::Conditionally => Self::Conditional,
            Recreation::Always => Self::Always,
        }
    }
}

/// What becomes of a removed resource. Databases without a policy leave a snapshot.
fn removal(old: &ResolvedResource) -> PolicyAction {
    match old.deletion_policy.as_deref() {
        Some("Retain" | "RetainExceptOnCreate") => PolicyAction::Retain,
        Some("Snapshot") => PolicyAction::Snapshot,
        Some(_) => PolicyAction::Delete,
        None => match old.resource_type.as_str() {
            "AWS::RDS::DBCluster" => PolicyAction::Snapshot,
            "AWS::RDS::DBInstance" if old.properties.get("DBClusterIdentifier").is_none() => PolicyAction::Snapshot,
            _ => PolicyAction::Delete,
        },
    }
}

fn replacement(new: &ResolvedResource) -> PolicyAction {
    match new.update_replace_policy.as_deref() {
        Some("Retain") => PolicyAction::ReplaceAndRetain,
        Some("Snapshot") => PolicyAction::ReplaceAndSnapshot,
        _ => PolicyAction::ReplaceAndDelete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cfn::{Context, Template};
    use proptest::prelude::*;

    /// A stack that lives: every resource has a physical id `phy-ID`, and attributes read `ID.ATTRIBUTE`.
    fn live(text: &str, parameters: &[(&str, &str)]) -> Resolved {
        let (template, problems) = Template::parse("t.yaml", text);
        assert!(!problems.has_errors(), "{problems:?}");
        let mut context = Context::offline("000000000000", "us-east-1", "s");
        context.zones = ["a", "b", "c"].map(|z| format!("us-east-1{z}")).to_vec();
        context.parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let attribute = |id: &str, attribute: Option<&str>| {
            Some(Node::string(attribute.map_or_else(|| format!("phy-{id}"), |a| format!("{id}.{a}"))))
        };
        let context = Context { attribute: &attribute, ..context };
        let (resolved, problems) = template.resolve(&context);
        assert!(!problems.has_errors(), "{problems:?}");
        resolved
    }

    fn lines(diffs: &[ResourceDiff]) -> Vec<String> {
        let line = |d: &ResourceDiff| {
            let why: Vec<String> = d
                .changes
                .iter()
                .map(|c| format!("{}:{:?}:{:?}", c.path, c.requires_recreation, c.evaluation))
                .collect();
            format!("{:?} {} {:?} [{}]", d.action, d.logical_id, d.replacement, why.join(" "))
        };
        diffs.iter().map(line).collect()
    }

    const NETWORK: &str = "
Parameters:
  Cidr: { Type: String, Default: 10.0.0.0/24 }
  Secret: { Type: String, NoEcho: true, Default: hunter2 }
  Owner: { Type: String, Default: me }
Resources:
  Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: 10.0.0.0/16 } }
  Subnet:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      CidrBlock: !Ref Cidr
      Tags: [{ Key: Name, Value: x }, { Key: Owner, Value: !Ref Owner }]
  Table: { Type: 'AWS::EC2::RouteTable', Properties: { VpcId: !Ref Vpc } }
  Association:
    Type: AWS::EC2::SubnetRouteTableAssociation
    Properties: { SubnetId: !Ref Subnet, RouteTableId: !Ref Table }
  Eip: { Type: 'AWS::EC2::EIP' }
  Nat:
    Type: AWS::EC2::NatGateway
    Properties: { SubnetId: !Ref Subnet, AllocationId: !GetAtt Eip.AllocationId }
  Route:
    Type: AWS::EC2::Route
    Properties: { RouteTableId: !Ref Table, DestinationCidrBlock: 0.0.0.0/0, NatGatewayId: !Ref Nat }
  Nodes:
    Type: AWS::EKS::Nodegroup
    Properties: { ClusterName: c, NodeRole: r, Subnets: [!Ref Subnet] }
  Password:
    Type: AWS::SecretsManager::Secret
    Properties: { SecretString: !Sub '{\"p\":\"${Secret}\"}' }
";

    #[test]
    fn a_changed_subnet_range_shows_what_it_forces() {
        let (before, after) = (live(NETWORK, &[]), live(NETWORK, &[("Cidr", "10.0.1.0/24")]));
        let ids = BTreeMap::from([("Subnet".to_owned(), "subnet-1".to_owned())]);
        let diffs = diff(Some(&before), Some(&after), &ids);
        assert_eq!(
            lines(&diffs),
            [
                "Modify Association Always [SubnetId:Always:Dynamic]",
                "Modify Nat Always [SubnetId:Always:Dynamic]",
                "Modify Nodes Always [Subnets[0]:Always:Dynamic]",
                "Modify Route Never [NatGatewayId:Never:Dynamic]",
                "Modify Subnet Always [CidrBlock:Always:Static]",
            ]
        );
        let subnet = &diffs[4];
        assert_eq!(subnet.physical_id.as_deref(), Some("subnet-1"));
        assert_eq!(subnet.policy_action, Some(PolicyAction::ReplaceAndDelete));
        assert_eq!(subnet.changes[0].causing, Some(Source::Parameter { name: "Cidr".to_owned(), no_echo: false }));
        let nat = &diffs[1].changes[0];
        assert_eq!(nat.causing, Some(Source::Resource { logical_id: "Subnet".to_owned(), attribute: None }));
        assert!(nat.after.as_ref().is_some_and(Node::is_unknown));
    }

    #[test]
    fn a_tag_is_named_by_its_key_and_replaces_nothing() {
        let (before, after) = (live(NETWORK, &[]), live(NETWORK, &[("Owner", "you")]));
        let diffs = diff(Some(&before), Some(&after), &BTreeMap::new());
        assert_eq!(lines(&diffs), ["Modify Subnet Never [Tags.Owner:Never:Static]"]);
        assert_eq!(diffs[0].changes[0].field, Field::Tags);
        assert!(matches!(&diffs[0].changes[0].causing, Some(Source::Parameter { name, .. }) if name == "Owner"));
    }

    #[test]
    fn a_changed_secret_is_marked() {
        let (before, after) = (live(NETWORK, &[]), live(NETWORK, &[("Secret", "hunter3")]));
        let diffs = diff(Some(&before), Some(&after), &BTreeMap::new());
        assert_eq!(lines(&diffs), ["Modify Password Never [SecretString:Never:Static]"]);
        assert!(diffs[0].changes[0].sensitive);
        assert!(!format!("{diffs:?} {before:?} {after:?}").contains("hunter"));
    }

    #[test]
    fn what_is_new_or_gone_is_added_or_removed_by_its_policy() {
        let text = "
Resources:
  A: { Type: 'AWS::S3::Bucket', DeletionPolicy: Retain }
  B: { Type: 'AWS::RDS::DBCluster', Properties: { Engine: aurora-mysql } }
  C: { Type: 'AWS::SQS::Queue' }
";
        let all = live(text, &[]);
        let removed = diff(Some(&all), None, &BTreeMap::new());
        let actions: Vec<_> = removed.iter().map(|d| (d.action, d.policy_action)).collect();
        assert_eq!(
            actions,
            [
                (Action::Remove, Some(PolicyAction::Retain)),
                (Action::Remove, Some(PolicyAction::Snapshot)),
                (Action::Remove, Some(PolicyAction::Delete)),
            ]
        );
        let added = diff(None, Some(&all), &BTreeMap::new());
        assert!(added.iter().all(|d| d.action == Action::Add && d.policy_action.is_none()));
        assert_eq!(added.len(), 3);
    }

    #[test]
    fn the_same_in_another_notation_is_no_change() {
        let a = "Resources: { S: { Type: 'AWS::EC2::Instance', Properties: { ImageId: i, Monitoring: true, BlockDeviceMappings: [{ DeviceName: d, Ebs: { VolumeSize: 20, Encrypted: 'true' } }] } } }";
        let b = r#"{"Resources": {"S": {"Properties": {"BlockDeviceMappings": [{"Ebs": {"Encrypted": true, "VolumeSize": "20"}, "DeviceName": "d"}], "Monitoring": "true", "ImageId": "i"}, "Type": "AWS::EC2::Instance"}}}"#;
        assert_eq!(diff(Some(&live(a, &[])), Some(&live(b, &[])), &BTreeMap::new()), []);
    }

    #[test]
    fn a_type_that_nobody_knows_is_conditional_and_never_safe() {
        let before = live("Resources: { X: { Type: 'Custom::Thing', Properties: { A: 1 } } }", &[]);
        let after = live("Resources: { X: { Type: 'Custom::Thing', Properties: { A: 2 } } }", &[]);
        assert_eq!(
            lines(&diff(Some(&before), Some(&after), &BTreeMap::new())),
            ["Modify X Conditional [A:Conditionally:Static]"]
        );
    }

    #[test]
    fn an_object_that_comes_or_goes_does_what_its_parts_do() {
        let with = |n: &str| {
            format!(
                "Resources: {{ C: {{ Type: 'AWS::EKS::Cluster', Properties: {{ RoleArn: r, ResourcesVpcConfig: {{ SubnetIds: [a] }}{n} }} }} }}"
            )
        };
        for (extra, expected) in [
            (", KubernetesNetworkConfig: { ServiceIpv4Cidr: 10.0.0.0/16 }", Replacement::Always),
            (", Logging: { ClusterLogging: { EnabledTypes: [{ Type: api }] } }", Replacement::Never),
            (", EncryptionConfig: [{ Resources: [secrets] }]", Replacement::Always),
        ] {
            let diffs = diff(Some(&live(&with(""), &[])), Some(&live(&with(extra), &[])), &BTreeMap::new());
            assert_eq!(diffs[0].replacement, expected, "{extra}");
        }
    }

    #[test]
    fn a_resource_whose_condition_became_undecided_is_in_doubt_and_not_unchanged() {
        let text = "
Parameters: { P: { Type: String, Default: x } }
Conditions: { C: !Equals [!Ref P, x] }
Resources: { B: { Type: 'AWS::S3::Bucket', Condition: C } }
";
        let before = live(text, &[]);
        let (template, _) = Template::parse("t.yaml", text);
        let mut context = Context::offline("000000000000", "us-east-1", "s");
        context.unknown_parameters.insert("P".to_owned());
        let (after, _) = template.resolve(&context);
        let diffs = diff(Some(&before), Some(&after), &BTreeMap::new());
        assert_eq!(lines(&diffs), ["Modify B Conditional []"]);
        assert_eq!((diffs[0].policy_action, diffs[0].certain), (Some(PolicyAction::Delete), false));
        assert_eq!(diff(Some(&after), Some(&after), &BTreeMap::new()), []);
    }

    #[test]
    fn metadata_and_policies_change_in_place() {
        let before = live("Resources: { B: { Type: 'AWS::S3::Bucket' } }", &[]);
        let after = live(
            "Resources: { B: { Type: 'AWS::S3::Bucket', DeletionPolicy: Retain, UpdateReplacePolicy: Retain, Metadata: { a: 1 } } }",
            &[],
        );
        let diffs = diff(Some(&before), Some(&after), &BTreeMap::new());
        assert_eq!(diffs[0].replacement, Replacement::Never);
        let fields: Vec<Field> = diffs[0].changes.iter().map(|c| c.field).collect();
        assert_eq!(fields, [Field::Metadata, Field::DeletionPolicy, Field::UpdateReplacePolicy]);
    }

    #[test]
    fn an_attribute_follows_an_update_in_place_only_where_it_may_change() {
        let text = |size: &str, tag: &str| {
            format!(
                "
Resources:
  Db: {{ Type: 'AWS::RDS::DBInstance', Properties: {{ DBInstanceClass: {size}, Tags: [{{ Key: a, Value: {tag} }}] }} }}
  P: {{ Type: 'AWS::SSM::Parameter', Properties: {{ Type: String, Value: !GetAtt Db.Endpoint.Address }} }}
  Q: {{ Type: 'AWS::SSM::Parameter', Properties: {{ Type: String, Value: !Ref Db }} }}
"
            )
        };
        let base = live(&text("db.t3.micro", "x"), &[]);
        let resized = diff(Some(&base), Some(&live(&text("db.t3.large", "x"), &[])), &BTreeMap::new());
        let ids: Vec<&str> = resized.iter().map(|d| d.logical_id.as_str()).collect();
        assert_eq!(ids, ["Db", "P"]);
        let tagged = diff(Some(&base), Some(&live(&text("db.t3.micro", "y"), &[])), &BTreeMap::new());
        assert_eq!(tagged.len(), 1);
    }

    fn node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::Null),
            any::<bool>().prop_map(Node::Bool),
            any::<i32>().prop_map(|n| Node::Number(n.into())),
            "[a-z0-9]{0,4}".prop_map(Node::String),
            "[A-Z]{1,2}".prop_map(|n| Node::unknown(crate::cfn::Because::Parameter(n))),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Node::Array),
                proptest::collection::btree_map("[A-C]|CidrBlock|Tags|VpcId", inner, 0..4).prop_map(Node::Object),
            ]
        })
    }

    fn resolved() -> impl Strategy<Value = Resolved> {
        let kind = prop_oneof![
            Just("AWS::EC2::Subnet"),
            Just("AWS::RDS::DBInstance"),
            Just("Custom::X"),
            Just("AWS::SQS::Queue")
        ];
        let source = prop_oneof![
            "[A-D]".prop_map(|id| Source::Resource { logical_id: id, attribute: None }),
            "[A-D]".prop_map(|id| Source::Resource { logical_id: id, attribute: Some("Arn".to_owned()) }),
            Just(Source::Parameter { name: "P".to_owned(), no_echo: true }),
        ];
        let reference = ("[A-C]|Tags", source)
            .prop_map(|(key, source)| crate::cfn::Reference { path: Path::default().key(&key), source });
        let resource = (kind, node(), proptest::collection::btree_set(reference, 0..3)).prop_map(
            |(kind, properties, references)| ResolvedResource {
                resource_type: kind.to_owned(),
                properties,
                depends_on: std::collections::BTreeSet::new(),
                deletion_policy: None,
                update_replace_policy: None,
                creation_policy: None,
                update_policy: None,
                metadata: None,
                references,
                condition: None,
                certain: true,
            },
        );
        proptest::collection::btree_map("[A-D]", resource, 0..4)
            .prop_map(|resources| Resolved { resources, ..Resolved::default() })
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself(a in resolved()) {
            prop_assert_eq!(diff(Some(&a), Some(&a), &BTreeMap::new()), vec![]);
        }

        #[test]
        fn every_resource_of_one_side_only_is_named_once_and_in_order(a in resolved(), b in resolved()) {
            let diffs = diff(Some(&a), Some(&b), &BTreeMap::new());
            prop_assert!(diffs.is_sorted_by(|x, y| x.logical_id < y.logical_id));
            let one_side = |id: &String| a.resources.contains_key(id) != b.resources.contains_key(id);
            for id in a.resources.keys().chain(b.resources.keys()).filter(|id| one_side(id)) {
                prop_assert!(diffs.iter().any(|d| d.logical_id == *id && d.action != Action::Modify));
            }
            for d in &diffs {
                prop_assert_eq!(d.action == Action::Modify, !d.changes.is_empty());
                prop_assert!(d.changes.iter().all(|c| c.field == Field::Metadata || c.before != c.after || c.evaluation == Evaluation::Dynamic));
            }
        }
    }
}
