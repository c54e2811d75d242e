//! Records of releases as helm keeps them: gzipped JSON in a Secret (or a ConfigMap, where `HELM_DRIVER` says so).
//!
//! Read straight from the API server, which costs one request where helm costs a process. Source: `pkg/storage/driver` and
//! `pkg/release` of helm.sh/helm, the same in versions 3 and 4.

use crate::world::{ApplyOptions, Class, Failure, Kubernetes, Outcome, Release, TOKEN_LABEL};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    sync::Arc,
};

/// The biggest record, unpacked.
const BIGGEST: u64 = 256 << 20;
/// Labels that helm itself puts on a record.
const HELMS_OWN: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// What stands between a token and its revision in [`TOKEN_LABEL`].
const REVISION: &str = ".r";

/// A token as a label of the revision that its effect makes. Helm hands labels on to whatever revision somebody makes next, by
/// an upgrade or a rollback: with another number it is not that effect's.
pub(super) fn token_of(token: &str, revision: u32) -> String {
    format!("{token}{REVISION}{revision}")
}

/// What keeps the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    /// Secrets: helm's default.
    Secret,
    /// ConfigMaps.
    ConfigMap,
}

impl Driver {
    /// As `HELM_DRIVER` says.
    ///
    /// # Errors
    /// A driver that keeps nothing in the cluster.
    #[expect(clippy::disallowed_methods, reason = "helm reads the same variable")]
    pub(super) fn chosen() -> Outcome<Self> {
        match std::env::var("HELM_DRIVER").unwrap_or_default().as_str() {
            "" | "secret" | "secrets" => Ok(Self::Secret),
            "configmap" | "configmaps" => Ok(Self::ConfigMap),
            other => {
                let what = format!("HELM_DRIVER is {other}; Terrace reads releases from Secrets and ConfigMaps only");
                Err(Failure::new(Class::Unsupported, "helm", "", what).hint("unset HELM_DRIVER"))
            }
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// The records of one cluster.
pub(super) struct Records {
    /// The cluster.
    pub(super) kubernetes: Arc<dyn Kubernetes>,
    /// What keeps them.
    pub(super) driver: Driver,
}

/// A record: what is read of it without unpacking, and the object itself.
#[derive(Debug, Clone)]
pub(super) struct Record {
    object: Json,
    /// The revision.
    pub(super) revision: u32,
    /// The status.
    pub(super) status: String,
}

impl Records {
    /// All revisions, newest first, not yet unpacked; none where the release was uninstalled and its history kept.
    pub(super) async fn of(&self, name: &str, namespace: &str) -> Outcome<Vec<Record>> {
        let mut all = self.all(name, namespace).await?;
        if all.first().is_some_and(|newest| newest.status == "uninstalled") {
            all.clear();
        }
        Ok(all)
    }

    /// As [`Records::of`], with those of a release that was uninstalled.
    pub(super) async fn all(&self, name: &str, namespace: &str) -> Outcome<Vec<Record>> {
        let labels = BTreeMap::from([("owner", "helm"), ("name", name)].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let objects = self.kubernetes.list("v1", self.driver.kind(), Some(namespace), &labels).await?;
        let mut all: Vec<Record> = objects.into_iter().filter_map(record).collect();
        all.sort_by_key(|record| std::cmp::Reverse(record.revision));
        Ok(all)
    }

    /// Changes status and description of a record in its place, as helm itself would have.
    pub(super) async fn close(&self, record: &Record, status: &str, description: &str) -> Outcome<()> {
        let mut content = self.content(record)?;
        content["info"]["status"] = json!(status);
        content["info"]["description"] = json!(description);
        let packed = pack(&content);
        let data = match self.driver {
            Driver::Secret => BASE64.encode(packed),
            Driver::ConfigMap => packed,
        };
        let metadata = &record.object["metadata"];
        let mut object = json!({
            "apiVersion": "v1", "kind": self.driver.kind(),
            "metadata": {
                "name": metadata["name"], "namespace": metadata["namespace"], "labels": { "status": status },
                // Only where nobody has changed it since.
                "resourceVersion": metadata["resourceVersion"],
            },
            "data": { "release": data },
        });
        if self.driver == Driver::Secret {
            object["type"] = json!("helm.sh/release.v1");
        }
        let options = ApplyOptions { manager: "terrace".to_owned(), force: true, dry_run: false };
        self.kubernetes.apply(&object, &options).await.map(drop)
    }

    /// A record with all that it holds.
    pub(super) fn open(&self, record: &Record) -> Outcome<(Release, Json)> {
        let content = self.content(record)?;
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let (info, chart) = (&content["info"], &content["chart"]["metadata"]);
        let labels = labels(&record.object);
        let updated = text(&info["last_deployed"]).parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let manifest = content["manifest"].as_str().unwrap_or_default();
        let release = Release {
            name: text(&content["name"]),
            namespace: record.object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
            revision: record.revision,
            status: record.status.clone(),
            chart: text(&chart["name"]),
            version: text(&chart["version"]),
            app_version: text(&chart["appVersion"]),
            values: if content["config"].is_object() { content["config"].clone() } else { json!({}) },
            manifest: super::rendered::objects(manifest).map_err(|why| broken(record, &why))?,
            token: record.token().to_owned(),
            labels: labels
                .into_iter()
                .filter(|(name, _)| !HELMS_OWN.contains(&name.as_str()) && name != TOKEN_LABEL)
                .collect(),
            description: text(&info["description"]),
            updated,
        };
        Ok((release, content))
    }

    fn content(&self, record: &Record) -> Outcome<Json> {
        let data = record.object["data"]["release"].as_str().unwrap_or_default();
        let plain = match self.driver {
            Driver::Secret => BASE64.decode(data).map_err(|e| broken(record, &e.to_string()))?,
            Driver::ConfigMap => data.as_bytes().to_vec(),
        };
        unpack(&plain).map_err(|why| broken(record, &why))
    }
}

impl Record {
    /// The token of the effect that made it; empty where none of ours did.
    pub(super) fn token(&self) -> &str {
        let label = self.object["metadata"]["labels"][TOKEN_LABEL].as_str().unwrap_or_default();
        let own = label.rsplit_once(REVISION).filter(|(_, revision)| *revision == self.revision.to_string());
        own.map_or("", |(token, _)| token)
    }

    /// True where an operation holds it, or seems to.
    pub(super) fn is_pending(&self) -> bool {
        self.status.starts_with("pending-") || self.status == "uninstalling"
    }
}

fn record(object: Json) -> Option<Record> {
    let label = |name: &str| object["metadata"]["labels"][name].as_str().map(str::to_owned);
    let (revision, status) = (label("version")?.parse().ok()?, label("status")?);
    Some(Record { object, revision, status })
}

fn labels(object: &Json) -> BTreeMap<String, String> {
    let labels = object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

fn broken(record: &Record, why: &str) -> Failure {
    let name = record.object["metadata"]["name"].as_str().unwrap_or_default();
    let what = format!("the record of revision {} cannot be read: {why}", record.revision);
    Failure::new(Class::Invalid, "helm", name, what)
}

fn unpack(plain: &[u8]) -> Result<Json, String> {
    let bytes = BASE64.decode(plain).map_err(|e| e.to_string())?;
    let mut text = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
        GzDecoder::new(bytes.as_slice()).take(BIGGEST).read_to_end(&mut text).map_err(|e| e.to_string())?;
    } else {
        text = bytes;
    }
    serde_json::from_slice(&text).map_err(|e| e.to_string())
}

fn pack(content: &Json) -> String {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let _ = packer.write_all(content.to_string().as_bytes());
    BASE64.encode(packer.finish().unwrap_or_default())
}

/// How the objects of a revision were applied: `ssa` on the server's side, else on helm's.
pub(super) fn method(content: &Json) -> &str {
    content["apply_method"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_packed_as_it_is_unpacked() {
        let content = json!({"name": "web", "info": {"status": "deployed"}, "config": {"a": [1, 2]}});
        assert_eq!(unpack(pack(&content).as_bytes()).unwrap(), content);
        let plain = BASE64.encode(content.to_string());
        assert_eq!(unpack(plain.as_bytes()).unwrap(), content);
        assert!(unpack(b"!").is_err());
    }

    #[test]
    fn a_token_counts_for_the_revision_that_its_effect_made_alone() {
        let of = |revision: u32, label: &str| {
            let labels = json!({ "version": revision.to_string(), "status": "deployed", TOKEN_LABEL: label });
            record(json!({ "metadata": { "labels": labels } })).unwrap().token().to_owned()
        };
        assert_eq!(of(3, &token_of("run-1", 3)), "run-1");
        assert_eq!(
            (of(4, &token_of("run-1", 3)), of(4, ""), of(4, "run-1")),
            (String::new(), String::new(), String::new())
        );
    }

    #[test]
    fn an_object_that_is_no_record_is_passed_over() {
        assert!(record(json!({"metadata": {"labels": {"owner": "helm"}}})).is_none());
    }
}
