//! The capabilities that a template needs acknowledged, worked out from what is in it.
//!
//! Source: "Acknowledging IAM resources in CloudFormation templates" of the user guide.

use crate::cfn::Template;
use std::collections::BTreeSet;

/// A capability of CreateStack, by its API name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// `CAPABILITY_IAM`: it makes IAM resources.
    Iam,
    /// `CAPABILITY_NAMED_IAM`: it makes IAM resources with names of its own.
    NamedIam,
    /// `CAPABILITY_AUTO_EXPAND`: it uses macros, transforms, or nested stacks that may.
    AutoExpand,
}

impl Capability {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iam => "CAPABILITY_IAM",
            Self::NamedIam => "CAPABILITY_NAMED_IAM",
            Self::AutoExpand => "CAPABILITY_AUTO_EXPAND",
        }
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Template {
    /// What an operation with this template must acknowledge. [`Capability::NamedIam`] comes without
    /// [`Capability::Iam`], which it implies.
    pub fn capabilities(&self) -> BTreeSet<Capability> {
        // The property that gives a resource its own name; a type without one needs only CAPABILITY_IAM.
        const IAM: &[(&str, Option<&str>)] = &[
            ("AWS::IAM::AccessKey", None),
            ("AWS::IAM::Group", Some("GroupName")),
            ("AWS::IAM::GroupPolicy", None),
            ("AWS::IAM::InstanceProfile", Some("InstanceProfileName")),
            ("AWS::IAM::ManagedPolicy", Some("ManagedPolicyName")),
            ("AWS::IAM::Policy", None),
            ("AWS::IAM::Role", Some("RoleName")),
            ("AWS::IAM::RolePolicy", None),
            ("AWS::IAM::User", Some("UserName")),
            ("AWS::IAM::UserPolicy", None),
            ("AWS::IAM::UserToGroupAddition", None),
        ];
        let mut needed = BTreeSet::new();
        for resource in self.resources.values() {
            let Some((_, name)) = IAM.iter().find(|(t, _)| *t == resource.resource_type) else { continue };
            let named = name.is_some_and(|n| resource.properties.as_ref().is_some_and(|p| p.get(n).is_some()));
            needed.insert(if named { Capability::NamedIam } else { Capability::Iam });
        }
        if needed.contains(&Capability::NamedIam) {
            needed.remove(&Capability::Iam);
        }
        if !self.transforms.is_empty() || self.has_inline_transform() {
            needed.insert(Capability::AutoExpand);
        }
        needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_follow_from_what_is_in_the_template() {
        use Capability::{AutoExpand, Iam, NamedIam};
        for (text, expected) in [
            ("Resources: { B: { Type: 'AWS::S3::Bucket' } }", vec![]),
            ("Resources: { R: { Type: 'AWS::IAM::Role' } }", vec![Iam]),
            ("Resources: { R: { Type: 'AWS::IAM::Role', Properties: { RoleName: x } } }", vec![NamedIam]),
            ("Resources: { P: { Type: 'AWS::IAM::Policy', Properties: { PolicyName: x } } }", vec![Iam]),
            ("Resources: { P: { Type: 'AWS::IAM::OIDCProvider' } }", vec![]),
            ("Transform: AWS::LanguageExtensions\nResources: { B: { Type: 'AWS::S3::Bucket' } }", vec![AutoExpand]),
            (
                "Resources: { B: { Type: 'AWS::S3::Bucket', Properties: { Tags: { 'Fn::Transform': { Name: M } } } } }",
                vec![AutoExpand],
            ),
        ] {
            let (template, _) = Template::parse("t.yaml", text);
            assert_eq!(template.capabilities().into_iter().collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
