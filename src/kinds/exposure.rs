//! What of a resource lets the internet reach it, by its type.
//!
//! Sources: the AWS resource types reference, `AWS::EC2::SecurityGroup` and `SecurityGroupIngress`, `AWS::ElasticLoadBalancingV2::LoadBalancer`
//! (`Scheme`: "The default is an Internet-facing load balancer", a gateway's has none), `AWS::EKS::Cluster ResourcesVpcConfig`
//! (`EndpointPublicAccess` is true and `PublicAccessCidrs` is `0.0.0.0/0` where they are not given).

use serde_json::{Value as Json, json};

/// A property that lets everybody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Which, like `SecurityGroupIngress[1].CidrIp`.
    pub path: String,
    /// What it is.
    pub value: Json,
    /// Nobody wrote it: AWS takes it where nothing is said.
    pub by_default: bool,
}

/// Whether an address is everybody's.
#[must_use]
pub fn is_everybody(text: &str) -> bool {
    matches!(text.trim(), "0.0.0.0/0" | "::/0")
}

/// The properties by which the internet reaches a resource of this type; none where it does not.
#[must_use]
pub fn ways_in(kind: &str, properties: &Json) -> Vec<Way> {
    match kind {
        "AWS::EC2::SecurityGroup" => {
            let rules = properties["SecurityGroupIngress"].as_array().into_iter().flatten().enumerate();
            rules.flat_map(|(at, rule)| addresses(rule, &format!("SecurityGroupIngress[{at}]."))).collect()
        }
        "AWS::EC2::SecurityGroupIngress" => addresses(properties, ""),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" if properties["Type"] != "gateway" => {
            let way = Way { path: "Scheme".to_owned(), value: json!("internet-facing"), by_default: true };
            match &properties["Scheme"] {
                Json::Null => vec![way],
                scheme if *scheme == "internet-facing" => vec![Way { by_default: false, ..way }],
                _ => Vec::new(),
            }
        }
        "AWS::EKS::Cluster" => endpoint(&properties["ResourcesVpcConfig"]),
        _ => Vec::new(),
    }
}

fn addresses(rule: &Json, beside: &str) -> Vec<Way> {
    let way = |name: &str| {
        let value = rule[name].as_str().filter(|text| is_everybody(text))?;
        Some(Way { path: format!("{beside}{name}"), value: value.into(), by_default: false })
    };
    ["CidrIp", "CidrIpv6"].into_iter().filter_map(way).collect()
}

/// A public endpoint is for those that may ask it.
fn endpoint(config: &Json) -> Vec<Way> {
    let closed = ["false", "False"].iter().any(|no| config["EndpointPublicAccess"] == *no);
    if closed || config["EndpointPublicAccess"] == false {
        return Vec::new();
    }
    let way =
        |value: Json, by_default| Way { path: "ResourcesVpcConfig.PublicAccessCidrs".to_owned(), value, by_default };
    match config["PublicAccessCidrs"].as_array() {
        None => vec![way(json!(["0.0.0.0/0"]), true)],
        Some(all) if all.iter().any(|one| one.as_str().is_some_and(is_everybody)) => vec![way(json!(all), false)],
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(kind: &str, properties: &Json) -> Vec<(String, bool)> {
        ways_in(kind, properties).into_iter().map(|way| (way.path, way.by_default)).collect()
    }

    #[test]
    fn a_group_opens_by_its_addresses_and_not_by_its_words() {
        let group = json!({ "SecurityGroupIngress": [
            { "CidrIp": "10.0.0.0/8", "Description": "never 0.0.0.0/0" },
            { "CidrIp": "0.0.0.0/0" },
            { "CidrIpv6": "::/0" },
        ], "SecurityGroupEgress": [{ "CidrIp": "0.0.0.0/0" }] });
        let found = ways("AWS::EC2::SecurityGroup", &group);
        let open = ["SecurityGroupIngress[1].CidrIp", "SecurityGroupIngress[2].CidrIpv6"];
        assert_eq!(found, open.map(|path| (path.to_owned(), false)));
    }

    #[test]
    fn a_load_balancer_and_an_endpoint_are_open_where_nothing_is_said() {
        let balancer = "AWS::ElasticLoadBalancingV2::LoadBalancer";
        assert_eq!(ways(balancer, &json!({})), [("Scheme".to_owned(), true)]);
        assert_eq!(ways(balancer, &json!({ "Scheme": "internet-facing" })), [("Scheme".to_owned(), false)]);
        assert_eq!(ways(balancer, &json!({ "Scheme": "internal" })), []);
        assert_eq!(ways(balancer, &json!({ "Type": "gateway" })), []);
        let cluster = |config: Json| ways("AWS::EKS::Cluster", &json!({ "ResourcesVpcConfig": config }));
        let open = |by_default| vec![("ResourcesVpcConfig.PublicAccessCidrs".to_owned(), by_default)];
        assert_eq!(cluster(json!({ "SubnetIds": [] })), open(true));
        assert_eq!(cluster(json!({ "EndpointPublicAccess": "true" })), open(true));
        assert_eq!(cluster(json!({ "PublicAccessCidrs": ["10.0.0.0/8", "0.0.0.0/0"] })), open(false));
        assert_eq!(cluster(json!({ "EndpointPublicAccess": true, "PublicAccessCidrs": ["10.0.0.0/8"] })), []);
        assert_eq!(cluster(json!({ "EndpointPublicAccess": "false" })), []);
    }
}
