//! Charts of an OCI registry: a tag resolved to the digest of its manifest, the chart's layer held against its own.
//!
//! Source: helm.sh/docs/topics/registries (media types, `+` in versions as `_` in tags).

use super::{
    cache::Cache,
    charts::{Packed, checked, no_version},
};
use crate::{
    base::Digest,
    world::{Class, Failure, MANIFEST, Outcome, live::registry::Host},
};
use reqwest::StatusCode;
use serde_json::Value as Json;

const OPERATION: &str = "helm pull";
const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A chart at a version, from the cache where it is there.
pub(super) async fn chart(host: &Host, path: &str, version: &str, cache: &Cache) -> Outcome<Packed> {
    let place = host.place(path);
    let tag = version.replace('+', "_");
    let answer = host.get(path, &format!("manifests/{tag}"), MANIFEST).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            let name = path.rsplit('/').next().unwrap_or(path);
            return Err(no_version(name, version, &place, versions(host, path).await?));
        }
        status => return Err(host.refused(&place, status)),
    }
    let digest = Digest::of(&answer.body).to_string();
    let subject = format!("{place} {version}");
    if let Some(told) = answer.headers.get("docker-content-digest").and_then(|d| d.to_str().ok()) {
        checked(&answer.body, told, &subject)?;
    }
    let wrong = |why: &str| Failure::new(Class::Invalid, OPERATION, subject.clone(), why.to_owned());
    let manifest: Json = serde_json::from_slice(&answer.body).map_err(|_| wrong("its manifest is no JSON"))?;
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let layer = layers.iter().find(|layer| layer["mediaType"] == CHART);
    let layer = layer.and_then(|layer| layer["digest"].as_str());
    let layer = layer.ok_or_else(|| wrong("it is no chart: no layer of its manifest holds one"))?;
    if let Some((path, bytes)) = cache.read_archive(layer) {
        return Ok(Packed { path, digest, bytes });
    }
    let blob = host.get(path, &format!("blobs/{layer}"), "*/*").await?;
    if blob.status != StatusCode::OK {
        return Err(host.refused(&place, blob.status));
    }
    checked(&blob.body, layer, &subject)?;
    let path = cache.keep_archive(layer, &blob.body)?;
    Ok(Packed { path, digest, bytes: blob.body })
}

/// All tags, as versions; none where there is no such chart.
async fn versions(host: &Host, path: &str) -> Outcome<Vec<String>> {
    Ok(host.tags(path).await?.into_iter().map(|tag| tag.replace('_', "+")).collect())
}
