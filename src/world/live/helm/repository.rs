//! Charts of an HTTP repository: its index, read once a process and asked for again only where it changed; archives held
//! against the digest that the index promises. Source: helm.sh/docs/topics/chart_repository.

use super::{
    Settings,
    cache::Cache,
    charts::{Packed, checked, no_version},
    credentials::{RepositoryEntry, of_repository},
    mirror::mirrored,
    web::{Answer, client, refused, send},
};
use crate::{
    base::{Digest, yaml},
    world::{Class, Failure, Outcome},
};
use reqwest::{
    Client, StatusCode,
    header::{ETAG, IF_NONE_MATCH},
};
use serde_json::Value as Json;

const OPERATION: &str = "helm pull";
const LOGIN: &str =
    "log in with `helm repo add NAME URL --username USER --password-stdin`: Terrace reads repositories.yaml";

/// A repository whose index was read.
pub(super) struct Repository {
    address: String,
    client: Client,
    entry: RepositoryEntry,
    index: String,
}

impl Repository {
    /// Reads the index. `known_as` are the addresses by which repositories.yaml may know it.
    pub(super) async fn open(address: &str, known_as: &[&str], cache: &Cache) -> Outcome<Self> {
        if !address.starts_with("http://") && !address.starts_with("https://") {
            let what = format!("`{address}` is no address of a repository");
            return Err(
                Failure::new(Class::Invalid, OPERATION, "", what).hint("write https://..., or oci://... as `chart`")
            );
        }
        let entry = of_repository(known_as)?;
        let client = client(&entry)?;
        let address = address.trim_end_matches('/').to_owned();
        let mut repository = Self { address, client, entry, index: String::new() };
        let url = format!("{}/index.yaml", repository.address);
        let key = Digest::of(url.as_bytes()).short().to_owned();
        let (tag_key, text_key) = (format!("index-{key}.etag"), format!("index-{key}.yaml"));
        let kept = cache.note(&tag_key).and_then(|tag| Some((tag, cache.note(&text_key)?)));
        let answer = repository.get(&url, kept.as_ref().map(|(tag, _)| tag.as_str())).await?;
        repository.index = match (answer.status, kept) {
            (StatusCode::NOT_MODIFIED, Some((_, text))) => text,
            (StatusCode::OK, _) => {
                let text = String::from_utf8(answer.body)
                    .map_err(|_| Failure::new(Class::Failed, OPERATION, "", format!("{url} is no text")))?;
                if let Some(tag) = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok()) {
                    cache.keep_note(&text_key, &text);
                    cache.keep_note(&tag_key, tag);
                }
                text
            }
            (StatusCode::NOT_FOUND, _) => {
                let what = format!("{} is no chart repository: it has no index.yaml", repository.address);
                return Err(Failure::new(Class::NotFound, OPERATION, "", what));
            }
            (status, _) => return Err(refused(OPERATION, &url, status, LOGIN)),
        };
        Ok(repository)
    }

    async fn get(&self, url: &str, tag: Option<&str>) -> Outcome<Answer> {
        let host = |url: &str| {
            reqwest::Url::parse(url).ok().map(|u| (u.host_str().map(str::to_owned), u.port_or_known_default()))
        };
        let ours = self.entry.everywhere || host(url) == host(&self.address);
        send(OPERATION, url, || {
            let mut request = self.client.get(url);
            if let Some(login) = self.entry.login.as_ref().filter(|_| ours) {
                request = request.basic_auth(&login.username, Some(login.password.expose()));
            }
            match tag {
                Some(tag) => request.header(IF_NONE_MATCH, tag),
                None => request,
            }
        })
        .await
    }

    /// A chart at a version, from the cache where it is there.
    pub(super) async fn chart(
        &self,
        chart: &str,
        version: &str,
        settings: &Settings,
        cache: &Cache,
    ) -> Outcome<Packed> {
        let broken =
            |why: String| Failure::new(Class::Failed, OPERATION, chart, format!("{}/index.yaml: {why}", self.address));
        let versions = versions_of(&self.index, chart).map_err(broken)?;
        let plain = |v: &str| v.trim_start_matches('v').to_owned();
        let text = |entry: &Json| entry["version"].as_str().unwrap_or_default().to_owned();
        let entry = versions
            .iter()
            .find(|entry| text(entry) == version)
            .or_else(|| versions.iter().find(|entry| plain(&text(entry)) == plain(version)));
        let Some(entry) = entry else {
            return Err(no_version(chart, version, &self.address, versions.iter().map(text).collect()));
        };
        let promised = entry["digest"].as_str().filter(|d| !d.is_empty());
        let promised = promised.map(|d| if d.contains(':') { d.to_owned() } else { format!("sha256:{d}") });
        if let Some(digest) = &promised
            && let Some((path, bytes)) = cache.read_archive(digest)
        {
            return Ok(Packed { path, digest: digest.clone(), bytes });
        }
        let url = entry["urls"][0].as_str().ok_or_else(|| broken(format!("{chart} {version} has no address")))?;
        let url = if url.contains("://") {
            mirrored(&settings.mirrors, url).unwrap_or_else(|| url.to_owned())
        } else {
            format!("{}/{}", self.address, url.trim_start_matches('/'))
        };
        let answer = self.get(&url, None).await?;
        if answer.status != StatusCode::OK {
            return Err(refused(OPERATION, &url, answer.status, LOGIN));
        }
        let subject = format!("{chart} {version}");
        if let Some(digest) = &promised {
            checked(&answer.body, digest, &subject)?;
        }
        let digest = promised.unwrap_or_else(|| Digest::of(&answer.body).to_string());
        let path = cache.keep_archive(&digest, &answer.body)?;
        Ok(Packed { path, digest, bytes: answer.body })
    }
}

/// The versions of one chart in an index: only its part of the text is read as YAML, since indexes have tens of megabytes. What is
/// not found so is looked for in the whole, read as YAML.
pub(super) fn versions_of(index: &str, chart: &str) -> Result<Vec<Json>, String> {
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    if index.trim_start().starts_with('{') {
        let index: Json = serde_json::from_str(index).map_err(|e| e.to_string())?;
        return Ok(list(&index["entries"][chart]));
    }
    if let Some(found) = part_of(index, chart).and_then(|part| yaml::documents(&part).ok()?.into_iter().next())
        && found.is_array()
    {
        return Ok(list(&found));
    }
    let whole = yaml::documents(index)?.into_iter().next().unwrap_or(Json::Null);
    if whole["entries"].is_null() {
        return Err("it is no index of charts".to_owned());
    }
    Ok(list(&whole["entries"][chart]))
}

/// What stands below a chart's name in `entries:`. The names are as far in as the first of them, and no other line of a block is
/// but an element of a list.
fn part_of(index: &str, chart: &str) -> Option<String> {
    let mut lines = index.lines().skip_while(|line| line.trim_end() != "entries:").skip(1);
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let depth_of = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let mut first = lines.by_ref().skip_while(|line| blank(line)).take(1).peekable();
    let depth = depth_of(first.peek()?);
    let is_name = |line: &str| !blank(line) && depth_of(line) == depth && !line[depth..].starts_with('-');
    let is_ours = |line: &str| {
        let name = line.trim().strip_suffix(':').map(|name| name.trim_end().trim_matches(['"', '\'']));
        is_name(line) && name == Some(chart)
    };
    let inside = |line: &str| blank(line) || (depth_of(line) >= depth && depth > 0);
    let ours = first.next().is_some_and(is_ours) || lines.by_ref().take_while(|line| inside(line)).any(is_ours);
    let part = || lines.take_while(|line| inside(line) && !is_name(line)).collect::<Vec<_>>().join("\n");
    ours.then(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "apiVersion: v1\nentries:\n  other:\n  - version: 9.9.9\n    urls:\n    - other-9.9.9.tgz\n  web:\n  - digest: abc\n    version: 1.1.0\n    description: |\n      entries:\n        web:\n    urls:\n    - web-1.1.0.tgz\n  - version: 1.0.0\n    urls: [web-1.0.0.tgz]\n  zeta:\n  - version: 2.0.0\ngenerated: \"2026\"\n";

    #[test]
    fn the_versions_of_one_chart_are_read_from_its_part_of_the_index() {
        let versions = |chart: &str| -> Vec<String> {
            versions_of(INDEX, chart).unwrap().iter().map(|v| v["version"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(versions("web"), ["1.1.0", "1.0.0"]);
        assert_eq!(versions("zeta"), ["2.0.0"]);
        assert_eq!(versions("none"), Vec::<String>::new());
        assert_eq!(versions_of(INDEX, "web").unwrap()[0]["urls"][0], "web-1.1.0.tgz");
        let json = r#"{"apiVersion":"v1","entries":{"web":[{"version":"3.0.0"}]}}"#;
        assert_eq!(versions_of(json, "web").unwrap()[0]["version"], "3.0.0");
        let flow = "entries: {web: [{version: 4.0.0}]}\n";
        assert_eq!(versions_of(flow, "web").unwrap()[0]["version"], "4.0.0");
        assert!(versions_of("<html></html>", "web").is_err());
        assert!(versions_of("entries: {}\n", "web").unwrap().is_empty());
    }

    #[test]
    fn an_index_is_read_however_far_its_names_are_in() {
        let deeper = "apiVersion: v1\nentries:\n    # Ours.\n    other:\n        - version: 9.9.9\n\n    \"web\":\n        - version: 1.1.0\n          description: |\n            zeta:\n        - version: 1.0.0\n    zeta: [{version: 2.0.0}]\ngenerated: \"2026\"\n";
        for (text, by) in [(deeper, "as it is"), (&deeper.replace('\n', "\r\n"), "with carriage returns")] {
            let versions = |chart: &str| -> Vec<String> {
                versions_of(text, chart).unwrap().iter().map(|v| v["version"].as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(versions("other"), ["9.9.9"], "{by}");
            assert_eq!(versions("web"), ["1.1.0", "1.0.0"], "{by}");
            assert_eq!(versions("zeta"), ["2.0.0"], "{by}");
            assert_eq!(versions("none"), Vec::<String>::new(), "{by}");
        }
        let flush = "entries:\n web:\n - version: 1.0.0\n other: &o\n - version: 2.0.0\n alias: *o\n";
        assert_eq!(versions_of(flush, "web").unwrap().len(), 1);
        assert_eq!(versions_of(flush, "other").unwrap()[0]["version"], "2.0.0");
        // Elements of no list, and a name within a text, are no names of charts.
        let text = "entries:\n  a:\n  - description: |-\n      web:\n    version: 1.0.0\n";
        assert!(versions_of(text, "web").unwrap().is_empty());
    }
}
