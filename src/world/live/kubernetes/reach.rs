//! From a connection to a kubeconfig of one cluster, one user and one context, whatever kind of connection it is.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the seam to kubeconfig files, the service account's folder and their variables"
)]

use super::{proxy, token::TokenSource};
use crate::world::{ActingAs, Class, ClusterConnection, Eks, Failure, Outcome, live::aws::Session};
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo, NamedCluster,
    NamedContext,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The name of the only cluster, user and context.
const NAME: &str = "terrace";
/// How long a connection may take to be made.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Where a pod's service account is. Source: "Accessing the Kubernetes API from a Pod".
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The account that an EKS cluster is in.
pub(in crate::world::live) struct Account {
    /// Whose credentials sign tokens.
    pub(in crate::world::live) session: Arc<Session>,
    /// Where endpoint and CA come from.
    pub(in crate::world::live) eks: Arc<dyn Eks>,
}

/// How a cluster is reached.
pub(super) struct Way {
    /// The cluster, the user, and as whom.
    pub(super) kubeconfig: Kubeconfig,
    /// Where its tokens come from, where this process makes them.
    pub(super) tokens: Option<Arc<TokenSource>>,
}

/// Finds the cluster behind a connection. Reads files; asks AWS where the cluster is one of EKS's.
///
/// # Errors
/// `NotFound` where there is no such cluster, file or context; what keeps a file from being read.
pub(super) async fn way(connection: &ClusterConnection, account: Option<&Account>) -> Outcome<Way> {
    let (mut kubeconfig, tokens) = match connection {
        ClusterConnection::Eks { name, role_arn, .. } => {
            let account = account.ok_or_else(|| failure(Class::Invalid, name, "it is in no account".to_owned()))?;
            let tokens = TokenSource::new(account.session.clone(), name, role_arn.clone());
            (of_eks(name, &*account.eks).await?, Some(Arc::new(tokens)))
        }
        ClusterConnection::Kubeconfig { path, context, .. } => (of_file(path, context.as_deref())?, None),
        ClusterConnection::InCluster { .. } => (of_pod()?, None),
    };
    act_as(&mut kubeconfig, acting_as(connection));
    Ok(Way { kubeconfig, tokens })
}

const fn acting_as(connection: &ClusterConnection) -> &ActingAs {
    match connection {
        ClusterConnection::Eks { acting_as, .. }
        | ClusterConnection::Kubeconfig { acting_as, .. }
        | ClusterConnection::InCluster { acting_as } => acting_as,
    }
}

impl Way {
    /// The client's configuration: the proxy that is meant for this cluster, no retries of its own.
    ///
    /// # Errors
    /// A certificate or key that cannot be read.
    pub(super) async fn config(&self) -> Outcome<kube::Config> {
        let options = KubeConfigOptions { context: Some(NAME.to_owned()), ..KubeConfigOptions::default() };
        let config = kube::Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await;
        let mut config = config.map_err(|e| failure(Class::Local, "", told(&e)))?;
        let declared = self.cluster().and_then(|c| c.proxy_url.clone()).filter(|url| !url.is_empty());
        let proxy = declared.or_else(|| proxy::of_environment(&config.cluster_url));
        config.proxy_url = match proxy {
            Some(url) => {
                let parsed = url.parse();
                Some(parsed.map_err(|e| failure(Class::Invalid, "", format!("the proxy's URL {url}: {e}")))?)
            }
            None => None,
        };
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false;
        Ok(config)
    }

    /// The cluster of the only context.
    pub(super) fn cluster(&self) -> Option<&Cluster> {
        self.kubeconfig.clusters.first()?.cluster.as_ref()
    }

    /// The user of the only context.
    #[cfg(test)]
    pub(super) fn user(&self) -> Option<&AuthInfo> {
        self.kubeconfig.auth_infos.first()?.auth_info.as_ref()
    }
}

async fn of_eks(name: &str, eks: &dyn Eks) -> Outcome<Kubeconfig> {
    let missing = |class, what: String| Failure::new(class, "kubernetes:Connect", name, what);
    let found = eks.describe_cluster(name).await?;
    let cluster = found.ok_or_else(|| {
        missing(Class::NotFound, format!("no cluster found for name: {name}"))
            .hint("the cluster must be there before what lives in it: apply the stack that makes it first")
    })?;
    if cluster.endpoint.is_empty() {
        let what = format!("the cluster is {}, and has no endpoint yet", cluster.status);
        return Err(missing(Class::NotFound, what).hint("wait until it is ACTIVE"));
    }
    let ca = certificates(&cluster.certificate_authority).map_err(|why| missing(Class::Local, why))?;
    let cluster = Cluster { server: Some(cluster.endpoint), certificate_authority_data: ca, ..Cluster::default() };
    Ok(one(cluster, AuthInfo::default(), None))
}

/// The CA of a cluster and, beside it, the certificates of `AWS_CA_BUNDLE`, base64; the operating system's where neither is.
fn certificates(ca: &str) -> Result<Option<String>, String> {
    use base64::Engine as _;
    let base64 = &base64::engine::general_purpose::STANDARD;
    let mut all = base64.decode(ca).map_err(|e| format!("the cluster's CA is no base64: {e}"))?;
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|p| !p.is_empty()) {
        let bundle = std::fs::read(&path).map_err(|e| format!("AWS_CA_BUNDLE {}: {e}", path.to_string_lossy()))?;
        all.push(b'\n');
        all.extend(bundle);
    }
    Ok((!all.is_empty()).then(|| base64.encode(all)))
}

fn of_file(path: &str, context: Option<&str>) -> Outcome<Kubeconfig> {
    let mut merged = Kubeconfig::default();
    for file in files(path) {
        let read = Kubeconfig::read_from(&file).and_then(|next| merged.clone().merge(next));
        merged = read.map_err(|e| failure(Class::Local, &file.to_string_lossy(), told(&e)))?;
    }
    let subject = if path.is_empty() { "KUBECONFIG" } else { path };
    let named = context.or(merged.current_context.as_deref()).filter(|name| !name.is_empty());
    let Some(name) = named.map(str::to_owned) else {
        let what = "the kubeconfig has no current context".to_owned();
        return Err(failure(Class::NotFound, subject, what).hint("name one: context = \"...\""));
    };
    let all: Vec<&str> = merged.contexts.iter().map(|c| c.name.as_str()).collect();
    let Some(found) = merged.contexts.iter().find(|c| c.name == name).and_then(|c| c.context.clone()) else {
        let known = if all.is_empty() { "it has none".to_owned() } else { format!("it has {}", all.join(", ")) };
        let what = format!("the kubeconfig has no context {name:?}");
        return Err(failure(Class::NotFound, subject, what).hint(known));
    };
    let cluster = merged.clusters.iter().find(|c| c.name == found.cluster).and_then(|c| c.cluster.clone());
    let Some(cluster) = cluster else {
        let what =
            format!("the context {name:?} names the cluster {:?}, which the kubeconfig does not have", found.cluster);
        return Err(failure(Class::Local, subject, what));
    };
    let user = found.user.as_ref().and_then(|user| merged.auth_infos.iter().find(|u| u.name == *user));
    let user = user.and_then(|u| u.auth_info.clone()).unwrap_or_default();
    Ok(one(cluster, user, found.namespace))
}

/// Whether a path means a file of this machine's own: one that kubectl reads without being told.
pub(in crate::world::live) fn is_own(path: &str) -> bool {
    let own = [files(""), files("~/.kube/config")].concat();
    files(path).iter().all(|file| own.contains(file))
}

/// The files that a path means: kubectl's own where it is empty, else the one, with `~` as the home folder. Of kubectl's
/// list those are left out that are not there.
fn files(path: &str) -> Vec<PathBuf> {
    let home = std::env::home_dir();
    if !path.is_empty() {
        let expanded = match (path.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        };
        return vec![std::path::absolute(&expanded).unwrap_or(expanded)];
    }
    let listed: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .map(|list| std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    let all = if listed.is_empty() {
        home.map(|home| home.join(".kube").join("config")).into_iter().collect()
    } else {
        listed
    };
    let there: Vec<PathBuf> = all.iter().filter(|p| p.exists()).cloned().collect();
    // Where none is there, reading the first says so.
    let chosen = if there.is_empty() { all.into_iter().take(1).collect() } else { there };
    chosen.into_iter().map(|p: PathBuf| std::path::absolute(&p).unwrap_or(p)).collect()
}

fn of_pod() -> Outcome<Kubeconfig> {
    let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")) else {
        let what =
            "this process does not run in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set";
        return Err(failure(Class::NotFound, "in_cluster", what.to_owned())
            .hint("outside of a cluster write kubeconfig {} or eks {} in the kubernetes block"));
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let file = |name: &str| Path::new(ACCOUNT).join(name).to_string_lossy().into_owned();
    let cluster = Cluster {
        server: Some(format!("https://{host}:{port}")),
        certificate_authority: Some(file("ca.crt")),
        ..Cluster::default()
    };
    let user = AuthInfo { token_file: Some(file("token")), ..AuthInfo::default() };
    let namespace = std::fs::read_to_string(file("namespace")).ok();
    Ok(one(cluster, user, namespace))
}

fn one(cluster: Cluster, user: AuthInfo, namespace: Option<String>) -> Kubeconfig {
    let context = Context { cluster: NAME.to_owned(), user: Some(NAME.to_owned()), namespace, ..Context::default() };
    Kubeconfig {
        kind: Some("Config".to_owned()),
        api_version: Some("v1".to_owned()),
        current_context: Some(NAME.to_owned()),
        clusters: vec![NamedCluster { name: NAME.to_owned(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: NAME.to_owned(), auth_info: Some(user), ..NamedAuthInfo::default() }],
        contexts: vec![NamedContext { name: NAME.to_owned(), context: Some(context), ..NamedContext::default() }],
        ..Kubeconfig::default()
    }
}

/// What the plan says goes before what the kubeconfig says.
fn act_as(kubeconfig: &mut Kubeconfig, who: &ActingAs) {
    let Some(user) = kubeconfig.auth_infos.first_mut().and_then(|u| u.auth_info.as_mut()) else { return };
    if let Some(name) = &who.user {
        user.impersonate = Some(name.clone());
        user.impersonate_groups = None;
    }
    if !who.groups.is_empty() {
        user.impersonate_groups = Some(who.groups.clone());
    }
}

fn failure(class: Class, subject: &str, message: String) -> Failure {
    Failure::new(class, "kubernetes:Connect", subject, message)
}

/// A text without what is quoted in it.
fn without_quotes(text: &str) -> String {
    let mut quote = None;
    let mut out = String::new();
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`' | '\'') => {
                quote = Some(c);
                out.push('…');
            }
            None => out.push(c),
        }
    }
    out
}

/// What is wrong with a kubeconfig, without what the library says twice.
pub(super) fn told(error: &KubeconfigError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    // The reader of YAML shows the lines around a mistake, and there stand tokens and keys.
    if let KubeconfigError::Parse(inner) = error {
        return format!(
            "failed to parse kubeconfig YAML: {}",
            without_quotes(inner.to_string().lines().next().unwrap_or_default())
        );
    }
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
current-context: b
clusters:
- name: one
  cluster: {server: 'https://one:6443', certificate-authority: ca.pem, tls-server-name: kubernetes}
contexts:
- name: a
  context: {cluster: one, user: ada, namespace: shop}
- name: b
  context: {cluster: gone, user: ada}
users:
- name: ada
  user: {tokenFile: token, as: deployer, as-groups: [x]}
";

    fn written(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        (folder, path.to_string_lossy().into_owned())
    }

    #[test]
    fn a_context_is_read_with_its_cluster_and_user_and_paths_beside_the_file() {
        let (folder, path) = written(FILE);
        let found = of_file(&path, Some("a")).unwrap();
        let way = Way { kubeconfig: found, tokens: None };
        let cluster = way.cluster().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://one:6443"));
        assert_eq!(cluster.tls_server_name.as_deref(), Some("kubernetes"));
        assert_eq!(cluster.certificate_authority.as_deref(), folder.path().join("ca.pem").to_str());
        assert_eq!(way.user().unwrap().token_file.as_deref(), folder.path().join("token").to_str());
        assert_eq!(way.kubeconfig.contexts[0].context.as_ref().unwrap().namespace.as_deref(), Some("shop"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_folder, path) = written(FILE);
        let missing = of_file(&path, Some("c")).unwrap_err();
        assert_eq!((missing.class, missing.hint.as_deref()), (Class::NotFound, Some("it has a, b")));
        assert!(of_file(&path, None).unwrap_err().message.contains("\"gone\""));
        assert!(of_file("/nowhere/config", None).unwrap_err().message.contains("/nowhere/config"));
        let (_folder, empty) = written("apiVersion: v1\nkind: Config\n");
        assert!(of_file(&empty, None).unwrap_err().message.contains("no current context"));
        let (_folder, broken) = written("clusters: [");
        assert_eq!(of_file(&broken, None).unwrap_err().class, Class::Local);
    }

    #[test]
    fn a_mistake_in_a_kubeconfig_shows_nothing_of_its_tokens() {
        for wrong in [
            "  user:\n    token: HIDDEN\n   x: y\n",
            "  user: {token: HIDDEN\n",
            "  user: HIDDEN\n",
            "  user: {token: [HIDDEN]}\n",
        ] {
            let (_folder, broken) = written(&format!("apiVersion: v1\nkind: Config\nusers:\n- name: a\n{wrong}"));
            let told = of_file(&broken, None).unwrap_err().to_string();
            assert!(told.contains("parse kubeconfig") && !told.contains("HIDDEN"), "{told}");
        }
    }

    #[test]
    fn the_plan_says_as_whom_before_the_kubeconfig_does() {
        let (_folder, path) = written(FILE);
        let acting = |user: Option<&str>, groups: &[&str]| {
            let mut found = of_file(&path, Some("a")).unwrap();
            let groups = groups.iter().map(|g| (*g).to_owned()).collect();
            act_as(&mut found, &ActingAs { user: user.map(str::to_owned), groups });
            let user = found.auth_infos[0].auth_info.clone().unwrap();
            (user.impersonate, user.impersonate_groups)
        };
        assert_eq!(acting(None, &[]), (Some("deployer".into()), Some(vec!["x".into()])));
        assert_eq!(acting(Some("eve"), &[]), (Some("eve".into()), None));
        assert_eq!(acting(Some("eve"), &["y"]), (Some("eve".into()), Some(vec!["y".into()])));
    }
}
