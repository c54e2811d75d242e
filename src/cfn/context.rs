//! What a template is resolved against: the account, the stack, its parameters, and what of the world is known.
//!
//! The caller looks things up beforehand; resolution itself asks no service.

use crate::cfn::Node;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a template's functions may ask for.
///
/// A lookup that answers `None` makes the value unknown, never an error.
pub struct Context<'a> {
    /// `AWS::AccountId`.
    pub account: String,
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::Partition`; [`partition_of`] gives it from the region.
    pub partition: String,
    /// `AWS::StackName`.
    pub stack_name: String,
    /// `AWS::StackId`; `None` before the stack exists.
    pub stack_id: Option<String>,
    /// `AWS::NotificationARNs`.
    pub notification_arns: Vec<String>,
    /// Names of the region's zones in order, for `Fn::GetAZs`; empty means not known.
    pub zones: Vec<String>,
    /// Parameters by name, as the service would be given them. Defaults need not be repeated.
    pub parameters: BTreeMap<String, String>,
    /// Parameters whose value will be given but is not known yet.
    pub unknown_parameters: BTreeSet<String>,
    /// Values of the Parameter Store by name, for `AWS::SSM::Parameter::Value<...>` parameters.
    pub ssm_values: BTreeMap<String, String>,
    /// The value of an export.
    pub imports: &'a dyn Fn(&str) -> Option<String>,
    /// The physical id (`None`) or an attribute of a resource, where it exists already.
    pub attribute: &'a dyn Fn(&str, Option<&str>) -> Option<Node>,
    /// The value of a dynamic reference, by what stands between `{{resolve:` and `}}`.
    pub dynamic: &'a dyn Fn(&str) -> Option<String>,
}

impl Context<'static> {
    /// A context in which nothing exists yet and nothing can be looked up; fields may be set afterwards.
    pub fn offline(account: &str, region: &str, stack_name: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            partition: partition_of(region).to_owned(),
            stack_name: stack_name.to_owned(),
            stack_id: None,
            notification_arns: Vec::new(),
            zones: Vec::new(),
            parameters: BTreeMap::new(),
            unknown_parameters: BTreeSet::new(),
            ssm_values: BTreeMap::new(),
            imports: &|_| None,
            attribute: &|_, _| None,
            dynamic: &|_| None,
        }
    }
}

/// The partition of a region: `aws`, `aws-cn`, `aws-us-gov` and their kin.
pub fn partition_of(region: &str) -> &'static str {
    const BY_PREFIX: &[(&str, &str)] = &[
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    BY_PREFIX.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// `AWS::URLSuffix` of a partition.
pub fn url_suffix_of(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "amazonaws.com.cn",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        "aws-iso-e" => "cloud.adc-e.uk",
        "aws-iso-f" => "csp.hci.ic.gov",
        "aws-eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

/// The pseudo parameters.
pub(super) const PSEUDO_PARAMETERS: &[&str] = &[
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];
