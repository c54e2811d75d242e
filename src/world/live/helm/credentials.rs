//! Who we are to repositories and registries: what `helm repo add` and `helm registry login` wrote, and Docker's own file.
//!
//! Sources: helm.sh/docs/helm/helm (environment), `repositories.yaml`, and docs.docker.com/reference/cli/docker/login for
//! `config.json`, its `auths`, `credHelpers` and `credsStore`.

#![expect(clippy::disallowed_methods, reason = "this is where helm's configuration is read")]

use crate::{
    base::{Secret, yaml},
    world::{Class, Failure, Outcome},
};
use base64::Engine as _;
use serde_json::Value as Json;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::io::AsyncWriteExt as _;

/// How long a credential helper may take.
const HELPER_LIMIT: Duration = Duration::from_secs(60);

/// A name and its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::world::live) struct Login {
    /// The name; empty before a bare token.
    pub(in crate::world::live) username: String,
    /// The password, or the token.
    pub(in crate::world::live) password: Secret<String>,
}

/// What repositories.yaml says of one repository.
#[derive(Debug, Clone, Default)]
pub(in crate::world::live) struct RepositoryEntry {
    /// The login.
    pub(in crate::world::live) login: Option<Login>,
    /// Whether the login goes to other hosts than the repository's own, too.
    pub(in crate::world::live) everywhere: bool,
    /// A CA of its own, PEM.
    pub(in crate::world::live) ca: Option<Vec<u8>>,
    /// A client's certificate and key, PEM.
    pub(in crate::world::live) identity: Option<Vec<u8>>,
    /// Whether the server's certificate is not looked at.
    pub(in crate::world::live) insecure: bool,
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Helm's own folder of configuration.
fn helm_home() -> Option<PathBuf> {
    variable("HELM_CONFIG_HOME").or_else(|| Some(variable("XDG_CONFIG_HOME")?.join("helm"))).or_else(|| {
        let home = variable("HOME")?;
        let inside = if cfg!(target_os = "macos") { "Library/Preferences/helm" } else { ".config/helm" };
        Some(home.join(inside))
    })
}

/// What repositories.yaml says of the repository behind one of these addresses. Where it names files that cannot be read,
/// that is an error: without them the request would go out differently.
pub(in crate::world::live) fn of_repository(addresses: &[&str]) -> Outcome<RepositoryEntry> {
    let file = variable("HELM_REPOSITORY_CONFIG").or_else(|| Some(helm_home()?.join("repositories.yaml")));
    let Some(text) = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) else {
        return Ok(RepositoryEntry::default());
    };
    let subject = file.map(|f| f.display().to_string()).unwrap_or_default();
    let fail = |why: String| Failure::new(Class::Local, "helm repositories", subject.clone(), why);
    let document = yaml::documents(&text).map_err(fail)?.into_iter().next().unwrap_or(Json::Null);
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    let all = document["repositories"].as_array().cloned().unwrap_or_default();
    let entry = all
        .iter()
        .find(|entry| entry["url"].as_str().is_some_and(|url| addresses.iter().any(|a| plain(a) == plain(url))));
    let Some(entry) = entry else { return Ok(RepositoryEntry::default()) };
    let text = |name: &str| entry[name].as_str().filter(|t| !t.is_empty());
    let read = |name: &str| -> Outcome<Option<Vec<u8>>> {
        let Some(path) = text(name) else { return Ok(None) };
        std::fs::read(path).map(Some).map_err(|e| fail(format!("{name} {path}: {e}")))
    };
    let identity = match (read("certFile")?, read("keyFile")?) {
        (Some(mut certificate), Some(key)) => {
            certificate.push(b'\n');
            certificate.extend(key);
            Some(certificate)
        }
        _ => None,
    };
    Ok(RepositoryEntry {
        login: text("username").map(|username| Login {
            username: username.to_owned(),
            password: Secret::new(text("password").unwrap_or_default().to_owned()),
        }),
        everywhere: entry["pass_credentials_all"] == true,
        ca: read("caFile")?,
        identity,
        insecure: entry["insecure_skip_tls_verify"] == true,
    })
}

/// The repository that one of the user's own (`helm repo add`) is known to have this chart in, by helm's cache of its index.
pub(in crate::world::live) fn known_repository(chart: &str, version: &str) -> Option<String> {
    let file = variable("HELM_REPOSITORY_CONFIG").or_else(|| Some(helm_home()?.join("repositories.yaml")))?;
    let document = yaml::documents(&std::fs::read_to_string(file).ok()?).ok()?.into_iter().next()?;
    let cache = variable("HELM_REPOSITORY_CACHE")
        .or_else(|| Some(variable("HELM_CACHE_HOME")?.join("repository")))
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("helm/repository")))
        .or_else(|| Some(variable("HOME")?.join(".cache/helm/repository")))?;
    document["repositories"].as_array()?.iter().find_map(|entry| {
        let (name, url) = (entry["name"].as_str()?, entry["url"].as_str()?);
        let index = std::fs::read_to_string(cache.join(format!("{name}-index.yaml"))).ok()?;
        let versions = super::repository::versions_of(&index, chart).ok()?;
        versions.iter().any(|v| v["version"] == version).then(|| url.to_owned())
    })
}

/// Logins of registries, by host.
#[derive(Debug, Clone, Default)]
pub(in crate::world::live) struct Credentials {
    files: Vec<Json>,
}

impl Credentials {
    /// Those of `helm registry login`, then Docker's.
    pub(in crate::world::live) fn of_registries() -> Self {
        let helm = variable("HELM_REGISTRY_CONFIG").or_else(|| Some(helm_home()?.join("registry/config.json")));
        let docker = variable("DOCKER_CONFIG").or_else(|| Some(variable("HOME")?.join(".docker")));
        let docker = docker.map(|folder| folder.join("config.json"));
        let read = |path: PathBuf| serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok();
        Self { files: helm.into_iter().chain(docker).filter_map(read).collect() }
    }

    /// The login of a host; `None` where nobody logged in.
    pub(in crate::world::live) async fn of(&self, host: &str) -> Outcome<Option<Login>> {
        for file in &self.files {
            if let Some(login) = stored(&file["auths"], host) {
                return Ok(Some(login));
            }
            // `docker login` of Docker's own registry writes it under a name of old.
            if host == "registry-1.docker.io"
                && let Some(login) =
                    stored(&file["auths"], "index.docker.io/v1/").or_else(|| stored(&file["auths"], "docker.io"))
            {
                return Ok(Some(login));
            }
            let helper = file["credHelpers"][host].as_str().or_else(|| file["credsStore"].as_str());
            if let Some(helper) = helper
                && let Some(login) = ask(helper, host).await?
            {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

/// What stands in the file itself.
fn stored(auths: &Json, host: &str) -> Option<Login> {
    let entry = [host.to_owned(), format!("https://{host}"), format!("http://{host}")]
        .into_iter()
        .find_map(|key| auths.get(&key).filter(|entry| entry.as_object().is_some_and(|e| !e.is_empty())).cloned())?;
    if let Some(token) = entry["identitytoken"].as_str().filter(|t| !t.is_empty()) {
        return Some(Login { username: String::new(), password: Secret::new(token.to_owned()) });
    }
    let (username, password) = match entry["auth"].as_str() {
        Some(auth) => {
            let plain = base64::engine::general_purpose::STANDARD.decode(auth).ok()?;
            let plain = String::from_utf8(plain).ok()?;
            let (username, password) = plain.split_once(':')?;
            (username.to_owned(), password.to_owned())
        }
        None => (entry["username"].as_str()?.to_owned(), entry["password"].as_str()?.to_owned()),
    };
    Some(Login { username, password: Secret::new(password) })
}

/// Asks Docker's credential helper of this name.
async fn ask(helper: &str, host: &str) -> Outcome<Option<Login>> {
    let program = format!("docker-credential-{helper}");
    let fail = |why: String| Failure::new(Class::Local, program.clone(), host, why);
    let mut command = tokio::process::Command::new(&program);
    command.arg("get").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| fail(format!("`{program}` cannot be started: {e}")))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(host.as_bytes()).await.map_err(|e| fail(e.to_string()))?;
    }
    let ended = tokio::time::timeout(HELPER_LIMIT, child.wait_with_output()).await;
    let ended = ended.map_err(|_| fail("it took longer than a minute".to_owned()))?.map_err(|e| fail(e.to_string()))?;
    if !ended.status.success() {
        // It has none for this host.
        return Ok(None);
    }
    let answer: Json = serde_json::from_slice(&ended.stdout).map_err(|e| fail(format!("it answered no JSON: {e}")))?;
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let username = Some(text("Username")).filter(|name| name != "<token>").unwrap_or_default();
    Ok(Some(Login { username, password: Secret::new(text("Secret")) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_login_is_found_in_each_form_in_which_it_is_stored() {
        let auths = json!({
            "one": { "auth": "bWU6aHVudGVyMg==" }, "https://two": { "identitytoken": "t" },
            "three": { "username": "a", "password": "b" }, "four": {},
        });
        let of = |host: &str| stored(&auths, host).map(|l| (l.username, l.password.expose().clone()));
        assert_eq!(of("one"), Some(("me".into(), "hunter2".into())));
        assert_eq!(of("two"), Some((String::new(), "t".into())));
        assert_eq!(of("three"), Some(("a".into(), "b".into())));
        assert_eq!((of("four"), of("five")), (None, None));
    }
}
