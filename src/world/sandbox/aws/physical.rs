//! Physical ids, attributes and durations of resources: they look like AWS's and depend on nothing but account, region,
//! stack, logical id and generation.
//!
//! `physical.tsv` says what is known of a type; for any other type, and for attributes it does not name, the guesses here
//! stand in, so that every template works.

use super::Scope;
use crate::cfn;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _, sync::OnceLock, time::Duration};

/// One resource, as far as its ids depend on it.
pub(super) struct Thing<'a> {
    pub(super) scope: &'a Scope,
    pub(super) stack: &'a str,
    pub(super) logical: &'a str,
    pub(super) resource_type: &'a str,
    /// Counts the replacements.
    pub(super) generation: u32,
    /// Counts the updates in place and the creation.
    pub(super) version: u32,
    pub(super) properties: &'a Json,
}

struct Type {
    seconds: [u64; 3],
    name: Option<&'static str>,
    reference: &'static str,
    attributes: BTreeMap<&'static str, &'static str>,
}

fn types() -> &'static BTreeMap<&'static str, Type> {
    static TYPES: OnceLock<BTreeMap<&'static str, Type>> = OnceLock::new();
    TYPES.get_or_init(|| include_str!("physical.tsv").lines().filter_map(read).collect())
}

fn read(line: &'static str) -> Option<(&'static str, Type)> {
    if line.starts_with('#') {
        return None;
    }
    let mut columns = line.split('\t');
    let (name, seconds) = (columns.next()?, columns.next()?);
    let mut parts = seconds.split('/').filter_map(|s| s.parse().ok());
    let seconds = [parts.next()?, parts.next()?, parts.next()?];
    let property = columns.next().filter(|p| *p != "-");
    let reference = columns.next()?;
    let attributes = columns.filter_map(|c| c.split_once('=')).collect();
    Some((name, Type { seconds, name: property, reference, attributes }))
}

/// What is done to a resource, as far as time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Create,
    Update,
    Delete,
}

/// How long AWS takes for it, about.
pub(super) fn duration(resource_type: &str, work: Work) -> Duration {
    let seconds = types().get(resource_type).map_or([10, 8, 6], |t| t.seconds);
    Duration::from_secs(match work {
        Work::Create => seconds[0],
        Work::Update => seconds[1],
        Work::Delete => seconds[2],
    })
}

/// The name that the template gives a resource, where it gives one.
pub(super) fn given_name(resource_type: &str, properties: &Json) -> Option<String> {
    let property = match types().get(resource_type) {
        Some(known) => known.name?,
        None => only_identifier(resource_type)?,
    };
    scalar(properties.get(property)?)
}

fn only_identifier(resource_type: &str) -> Option<&'static str> {
    let schema = cfn::resource_schema(resource_type)?;
    match schema.primary_identifier.as_slice() {
        [one] if !schema.read_only.contains(one) => Some(one),
        _ => None,
    }
}

impl Thing<'_> {
    /// The physical id: what Ref gives.
    pub(super) fn physical_id(&self) -> String {
        if let Some(known) = types().get(self.resource_type) {
            return self.fill(known.reference, "");
        }
        let schema = cfn::resource_schema(self.resource_type);
        match schema.and_then(|s| s.primary_identifier.first()) {
            Some(id) if id.ends_with("Arn") || id.ends_with("ARN") => self.arn(&self.name()),
            _ => self.name(),
        }
    }

    /// An attribute: what Fn::GetAtt gives.
    pub(super) fn attribute(&self, attribute: &str) -> Json {
        let reference = self.physical_id();
        if let Some(pattern) = types().get(self.resource_type).and_then(|t| t.attributes.get(attribute)) {
            let text = self.fill(pattern, &reference);
            return if text.starts_with('[') {
                serde_json::from_str(&text).unwrap_or(Json::String(text))
            } else {
                Json::String(text)
            };
        }
        let path = attribute.replace('.', "/");
        if let Some(value) = self.properties.pointer(&format!("/{path}")) {
            return value.clone();
        }
        let last = attribute.rsplit('.').next().unwrap_or(attribute);
        let text = match last {
            "Arn" | "ARN" => self.arn(&reference),
            _ if last.ends_with("Arn") || last.ends_with("ARN") => self.arn(&format!("{last}/{}", self.hex(last, 8))),
            _ if last.ends_with("Url") || last.ends_with("Uri") || last.ends_with("URL") => {
                format!("https://{}.{}.amazonaws.com", self.hex(last, 10), self.scope.region)
            }
            _ if last.contains("Endpoint") || last.contains("DNS") || last.contains("Address") => {
                format!("{}.{}.{}.amazonaws.com", self.hex(last, 12), self.service(), self.scope.region)
            }
            _ if last.ends_with("Port") => "443".to_owned(),
            "Id" | "Name" => reference,
            _ => format!("{}-{}", last.to_lowercase(), self.hex(last, 17)),
        };
        Json::String(text)
    }

    fn name(&self) -> String {
        given_name(self.resource_type, self.properties)
            .unwrap_or_else(|| format!("{}-{}-{}", self.stack, self.logical, self.letters("name", 12, UPPER)))
    }

    fn service(&self) -> String {
        self.resource_type.split("::").nth(1).unwrap_or("service").to_lowercase()
    }

    fn arn(&self, resource: &str) -> String {
        if resource.starts_with("arn:") {
            return resource.to_owned();
        }
        let kind = self.resource_type.rsplit("::").next().unwrap_or("resource").to_lowercase();
        let (partition, Scope { account, region }) = (cfn::partition_of(&self.scope.region), self.scope);
        format!("arn:{partition}:{}:{region}:{account}:{kind}/{resource}", self.service())
    }

    fn hash(&self, salt: &str) -> [u8; 32] {
        let Scope { account, region } = self.scope;
        let of = format!("{account}\n{region}\n{}\n{}\n{}\n{salt}", self.stack, self.logical, self.generation);
        Sha256::digest(of.as_bytes()).into()
    }

    fn hex(&self, salt: &str, digits: usize) -> String {
        let mut text = hex::encode(self.hash(salt));
        text.truncate(digits);
        text
    }

    fn letters(&self, salt: &str, count: usize, alphabet: &[u8]) -> String {
        self.hash(salt)
            .iter()
            .cycle()
            .take(count)
            .map(|b| char::from(alphabet[usize::from(*b) % alphabet.len()]))
            .collect()
    }

    fn fill(&self, pattern: &str, reference: &str) -> String {
        let mut out = String::with_capacity(pattern.len() + 32);
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((word, tail)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            if word.is_empty() {
                out.push_str("{}");
            } else {
                out.push_str(&self.word(word, reference));
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    fn word(&self, word: &str, reference: &str) -> String {
        let (kind, salt) = word.split_once(':').unwrap_or((word, ""));
        let partition = cfn::partition_of(&self.scope.region);
        let digits = |prefix: &str| kind.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok());
        match kind {
            "ref" => reference.to_owned(),
            "account" => self.scope.account.clone(),
            "region" => self.scope.region.clone(),
            "partition" => partition.to_owned(),
            "suffix" => cfn::url_suffix_of(partition).to_owned(),
            "stack" => self.stack.to_owned(),
            "logical" => self.logical.to_owned(),
            "version" => self.version.to_string(),
            "name" => self.name(),
            "lname" => self.name().to_lowercase(),
            "short" => given_name(self.resource_type, self.properties).unwrap_or_else(|| {
                let cut = |text: &str, n: usize| text.chars().take(n).collect::<String>();
                format!("{}-{}-{}", cut(self.stack, 5), cut(self.logical, 5), self.letters("short", 12, UPPER))
            }),
            "prop" => self.properties.pointer(&format!("/{salt}")).and_then(scalar).unwrap_or_default(),
            "uuid" => uuid(&self.hash("uuid")),
            "ip" => {
                let b = self.hash("ip");
                format!("52.{}.{}.{}", b[0], b[1], b[2].max(1))
            }
            "octet" => self.hash(&format!("octet{salt}"))[0].max(1).to_string(),
            "ca" => {
                use base64::Engine as _;
                let body = base64::engine::general_purpose::STANDARD.encode(self.hash("ca").repeat(4));
                let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
                base64::engine::general_purpose::STANDARD.encode(pem)
            }
            "urlhost" => {
                let url = self.properties.get("Url").and_then(scalar).unwrap_or_default();
                url.trim_start_matches("https://").to_owned()
            }
            _ => {
                let salt = if salt.is_empty() { "id" } else { salt };
                if let Some(n) = digits("hex") {
                    self.hex(salt, n)
                } else if let Some(n) = digits("lhex") {
                    self.letters(salt, n, b"abcdefghijklmnopqrstuvwxyz0123456789")
                } else if let Some(n) = digits("upper") {
                    self.letters(salt, n, UPPER)
                } else if let Some(n) = digits("mixed") {
                    self.letters(salt, n, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
                } else if let Some(n) = digits("digits") {
                    self.letters(salt, n, b"123456789")
                } else {
                    format!("{{{word}}}")
                }
            }
        }
    }
}

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A UUID of 16 bytes of a hash.
pub(super) fn uuid(hash: &[u8; 32]) -> String {
    let mut text = String::with_capacity(36);
    for (n, byte) in hash.iter().take(16).enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The text of a JSON scalar.
pub(super) fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(s) => Some(s.clone()),
        Json::Number(n) => Some(n.to_string()),
        Json::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn thing<'a>(scope: &'a Scope, resource_type: &'a str, properties: &'a Json) -> Thing<'a> {
        Thing { scope, stack: "net", logical: "Main", resource_type, generation: 1, version: 1, properties }
    }

    #[test]
    fn ids_look_like_those_of_aws_and_are_the_same_every_time() {
        let scope = Scope { account: "111122223333".into(), region: "eu-central-1".into() };
        let none = json!({});
        let vpc = thing(&scope, "AWS::EC2::VPC", &none);
        let id = vpc.physical_id();
        assert!(id.starts_with("vpc-") && id.len() == 21, "{id}");
        assert_eq!(vpc.physical_id(), id);
        assert_ne!(Thing { generation: 2, ..vpc }.physical_id(), id);
        let named = json!({"Name": "prod"});
        let cluster = thing(&scope, "AWS::EKS::Cluster", &named);
        assert_eq!(cluster.physical_id(), "prod");
        assert_eq!(cluster.attribute("Arn"), "arn:aws:eks:eu-central-1:111122223333:cluster/prod");
        let issuer = cluster.attribute("OpenIdConnectIssuerUrl");
        assert!(issuer.as_str().unwrap().starts_with("https://oidc.eks.eu-central-1.amazonaws.com/id/"));
        let secret = json!({"Name": "app/db"});
        let arn = thing(&scope, "AWS::SecretsManager::Secret", &secret).physical_id();
        assert!(arn.starts_with("arn:aws:secretsmanager:eu-central-1:111122223333:secret:app/db-"), "{arn}");
    }

    #[test]
    fn every_type_has_an_id_and_every_attribute_a_value() {
        let scope = Scope { account: "000000000000".into(), region: "us-east-1".into() };
        let none = json!({});
        for resource_type in cfn::resource_types().chain(["Custom::Thing"]) {
            let thing = thing(&scope, resource_type, &none);
            assert!(!thing.physical_id().contains('{'), "{resource_type}: {}", thing.physical_id());
            for attribute in cfn::resource_schema(resource_type).map(|s| s.attributes.clone()).unwrap_or_default() {
                let value = thing.attribute(&attribute).to_string();
                assert!(!value.contains("{hex") && !value.contains("{ref"), "{resource_type}.{attribute}: {value}");
            }
        }
    }

    #[test]
    fn the_file_names_only_types_that_exist_and_reads_whole() {
        let lines = include_str!("physical.tsv").lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(types().len(), lines);
        for name in types().keys() {
            assert!(cfn::resource_schema(name).is_some(), "{name}");
        }
    }
}
