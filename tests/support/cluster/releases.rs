//! Records of Helm's releases, read and edited behind everybody's back.

use super::ControlPlane;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};

/// A revision: its number, its status, and what its record holds.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    /// From 1.
    pub(crate) number: u64,
    /// `deployed` and its kin.
    pub(crate) status: String,
    /// The record's JSON.
    pub(crate) content: Value,
}

impl ControlPlane {
    /// All revisions of a release, the newest last.
    pub(crate) fn revisions(&self, namespace: &str, release: &str) -> Vec<Revision> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets?labelSelector=owner%3Dhelm%2Cname%3D{release}");
        let found = self.get(&path).ok();
        let mut all: Vec<Revision> = found["items"].as_array().unwrap().iter().map(revision).collect();
        all.sort_by_key(|revision| revision.number);
        all
    }

    /// The statuses of all revisions, the newest last.
    pub(crate) fn statuses(&self, namespace: &str, release: &str) -> Vec<String> {
        self.revisions(namespace, release).into_iter().map(|revision| revision.status).collect()
    }

    /// Gives the newest revision another status, as if the helm that made it had died, so long ago.
    pub(crate) fn leave_pending(&self, namespace: &str, release: &str, status: &str, since: &str) {
        let newest = self.revisions(namespace, release).pop().unwrap();
        let mut content = newest.content;
        content["info"]["status"] = json!(status);
        content["info"]["last_deployed"] = json!(since);
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(content.to_string().as_bytes()).unwrap();
        let data = BASE64.encode(BASE64.encode(packer.finish().unwrap()));
        let path = format!("/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.{release}.v{}", newest.number);
        let change = json!({ "metadata": { "labels": { "status": status } }, "data": { "release": data } });
        self.patch(&path, &change).ok();
    }
}

fn revision(secret: &Value) -> Revision {
    let label = |name: &str| secret["metadata"]["labels"][name].as_str().unwrap().to_owned();
    let packed = BASE64.decode(secret["data"]["release"].as_str().unwrap()).unwrap();
    let mut text = String::new();
    GzDecoder::new(BASE64.decode(packed).unwrap().as_slice()).read_to_string(&mut text).unwrap();
    Revision {
        number: label("version").parse().unwrap(),
        status: label("status"),
        content: serde_json::from_str(&text).unwrap(),
    }
}
