//! Programs that give credentials (`exec` of a kubeconfig): run once for a connection, and again when what they gave has run out.
//! Source: "client-go credential plugins" of Kubernetes' documentation, `client.authentication.k8s.io/v1`.
//!
//! The library's own way runs such a program three times for each client, and each may ask a person to log in.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the seam to the programs that a kubeconfig names, and to the clock"
)]

use crate::world::{Class, Failure, Outcome};
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde_json::{Value as Json, json};
use std::{io::IsTerminal as _, process::Stdio};
use tokio::process::Command;

/// Credentials are no longer begun with this long before they end.
const BEFORE: SignedDuration = SignedDuration::from_secs(30);
/// What to do where a kubeconfig is not trusted.
const SPARED: &str = "have the environment reach its cluster by eks {}, or by kubectl's own kubeconfig; --allow kubeconfig lets it, where you trust whoever may open a pull request";
/// How much of what a program says is told.
const TOLD: usize = 500;

/// Asks the program that a user's credentials come from, where it is one, and puts what it gives in its place. Returns when that
/// should no longer be begun with; `None` where it does not say, or there is no program.
///
/// # Errors
/// `Local` where the program cannot be started; `Denied` where it fails, in its own words, or gives no credentials.
pub(super) async fn credentials(user: &mut AuthInfo) -> Outcome<Option<Timestamp>> {
    // What is written down goes before a program, as for kubectl.
    let written = user.token.is_some() || user.token_file.is_some() || user.username.is_some();
    let Some(exec) = user.exec.take().filter(|_| !written) else { return Ok(None) };
    let name = exec.command.clone().unwrap_or_default();
    let said = run(&exec, &name).await?;
    let status = &said["status"];
    let (given, until) = read(status).map_err(|why| {
        failure(Class::Denied, &name, &format!("its answer holds no credentials: {why}")).hint(hint(&exec))
    })?;
    if given.token.is_some() {
        user.token = given.token;
    }
    if given.client_key_data.is_some() {
        user.client_certificate_data = given.client_certificate_data;
        user.client_key_data = given.client_key_data;
        user.client_certificate = None;
        user.client_key = None;
    }
    Ok(until.map(|until| until.saturating_sub(BEFORE).unwrap_or(until)))
}

/// Refuses a user whose credentials come from a program, also by the former way (`auth-provider`), whose `cmd-path` is one; and one whose
/// credentials are files of this machine, which would go to whatever server the kubeconfig names.
///
/// # Errors
/// `Denied` for such a user.
pub(super) fn spare(user: &AuthInfo) -> Outcome<()> {
    let file = [&user.token_file, &user.client_certificate, &user.client_key].into_iter().flatten().next();
    if let Some(file) = file {
        let what =
            format!("a plan for a pull request sends no file of this machine ({file}) to where a kubeconfig says");
        return Err(Failure::new(Class::Denied, "kubernetes:Connect", file, what).hint(SPARED));
    }
    let former = user.auth_provider.as_ref().and_then(|provider| provider.config.get("cmd-path").cloned());
    let Some(program) = user.exec.as_ref().map(|exec| exec.command.clone().unwrap_or_default()).or(former) else {
        return Ok(());
    };
    Err(failure(Class::Denied, &program, "a plan for a pull request does not start what a kubeconfig names")
        .hint(SPARED))
}

/// True where credentials that end then can still be begun with.
pub(super) fn are_good(until: Option<Timestamp>) -> bool {
    until.is_none_or(|until| Timestamp::now() < until)
}

async fn run(exec: &ExecConfig, name: &str) -> Outcome<Json> {
    // A person can be asked only where there is one.
    let person = std::io::stdin().is_terminal() && exec.interactive_mode != Some(ExecInteractiveMode::Never);
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) && !person {
        let what = "it asks a person, and there is no terminal";
        return Err(failure(Class::Local, name, what)
            .hint("log in beforehand, or name a user of the kubeconfig that needs nobody"));
    }
    let mut spec = json!({ "interactive": person });
    if let Some(cluster) = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info) {
        spec["cluster"] = serde_json::to_value(cluster).unwrap_or_default();
    }
    let version = exec.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1");
    let info = json!({ "apiVersion": version, "kind": "ExecCredential", "spec": spec });
    let variables = exec.env.iter().flatten().filter_map(|pair| Some((pair.get("name")?, pair.get("value")?)));
    let mut command = Command::new(name);
    command.args(exec.args.iter().flatten()).envs(variables).env("KUBERNETES_EXEC_INFO", info.to_string());
    let (input, errors) = if person { (Stdio::inherit(), Stdio::inherit()) } else { (Stdio::null(), Stdio::piped()) };
    let started = command.stdin(input).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true).spawn();
    let started = started.map_err(|e| {
        let failure = failure(Class::Local, name, &format!("it cannot be started: {e}"));
        failure.hint(
            exec.install_hint
                .clone()
                .unwrap_or_else(|| "install it, or name another user of the kubeconfig".to_owned()),
        )
    })?;
    let ended = started.wait_with_output().await.map_err(|e| failure(Class::Local, name, &e.to_string()))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TOLD).collect();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        return Err(failure(Class::Denied, name, &format!("it ended with {}{said}", ended.status)).hint(hint(exec)));
    }
    serde_json::from_slice(&ended.stdout)
        .map_err(|e| failure(Class::Denied, name, &format!("its answer is no JSON: {e}")).hint(hint(exec)))
}

/// What a status gives, and until when.
fn read(status: &Json) -> Result<(AuthInfo, Option<Timestamp>), String> {
    use base64::Engine as _;
    let text = |key: &str| status[key].as_str().filter(|text| !text.is_empty());
    let until = text("expirationTimestamp").map(str::parse::<Timestamp>).transpose();
    let until = until.map_err(|e| format!("expirationTimestamp is no time: {e}"))?;
    let coded = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
    let mut given = json!({});
    if let Some(token) = text("token") {
        given["token"] = token.into();
    }
    if let (Some(certificate), Some(key)) = (text("clientCertificateData"), text("clientKeyData")) {
        given["client-certificate-data"] = coded(certificate).into();
        given["client-key-data"] = coded(key).into();
    }
    if given == json!({}) {
        return Err("its status has neither a token nor a client certificate with its key".to_owned());
    }
    // The library's own type for secrets is made by reading one.
    Ok((serde_json::from_value(given).map_err(|e| e.to_string())?, until))
}

fn hint(exec: &ExecConfig) -> String {
    let name = exec.command.as_deref().unwrap_or("it");
    format!("log in again, or run {name} by hand as the kubeconfig says and see what it answers")
}

fn failure(class: Class, program: &str, why: &str) -> Failure {
    let message = format!("the kubeconfig's program {program} gives no credentials: {why}");
    Failure::new(class, "kubernetes:Connect", program, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(program: &str, args: &[&str]) -> AuthInfo {
        let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": program, "args": args,
            "env": [{"name": "WHO", "value": "ada"}], "installHint": "get it", "interactiveMode": "Never"});
        serde_json::from_value(json!({"exec": exec, "as": "eve"})).unwrap()
    }

    fn answer(status: &Json) -> String {
        json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}).to_string()
    }

    #[tokio::test]
    async fn what_a_program_gives_takes_its_place() {
        let script = "case $KUBERNETES_EXEC_INFO in *'\"interactive\":false'*) ;; *) exit 1;; esac; echo \"{\\\"status\\\": {\\\"token\\\": \\\"of-$WHO\\\"}}\"";
        let mut found = user("sh", &["-c", script]);
        assert_eq!(credentials(&mut found).await.unwrap(), None);
        let told = serde_json::to_value(&found).unwrap();
        assert_eq!((&told["token"], &told["as"], &told["exec"]), (&json!("of-ada"), &json!("eve"), &Json::Null));

        let mut found = user("echo", &[&answer(&json!({"clientCertificateData": "c", "clientKeyData": "k"}))]);
        credentials(&mut found).await.unwrap();
        let told = serde_json::to_value(&found).unwrap();
        assert_eq!((&told["client-certificate-data"], &told["client-key-data"]), (&json!("Yw=="), &json!("aw==")));
    }

    #[tokio::test]
    async fn credentials_end_a_little_before_their_time() {
        let mut found = user("echo", &[&answer(&json!({"token": "t", "expirationTimestamp": "2026-01-01T00:01:00Z"}))]);
        let until = credentials(&mut found).await.unwrap();
        assert_eq!(until, Some("2026-01-01T00:00:30Z".parse().unwrap()));
        assert!(!are_good(until) && are_good(None));
    }

    #[tokio::test]
    async fn a_program_that_gives_nothing_says_why() {
        let missing = credentials(&mut user("/nowhere/login", &[])).await.unwrap_err();
        assert_eq!((missing.class, missing.hint.as_deref()), (Class::Local, Some("get it")));
        let failed = credentials(&mut user("sh", &["-c", "echo please log in >&2; exit 3"])).await.unwrap_err();
        assert_eq!(failed.class, Class::Denied);
        assert!(failed.message.contains("ended with exit status: 3: please log in"), "{failed}");
        let empty = credentials(&mut user("echo", &[&answer(&json!({}))])).await.unwrap_err();
        assert!(empty.message.contains("neither a token nor a client certificate"), "{empty}");
        let wrong = credentials(&mut user("echo", &["hello"])).await.unwrap_err();
        assert!(wrong.message.contains("is no JSON"), "{wrong}");
    }

    #[tokio::test]
    async fn what_is_written_down_goes_before_a_program() {
        let mut found: AuthInfo = serde_json::from_value(
            json!({"token": "t", "exec": {"command": "/nowhere/login", "apiVersion": "client.authentication.k8s.io/v1"}}),
        )
        .unwrap();
        assert_eq!(credentials(&mut found).await.unwrap(), None);
    }

    #[test]
    fn what_is_proposed_starts_nothing_and_sends_no_file() {
        let denied = |user: serde_json::Value| {
            let user: AuthInfo = serde_json::from_value(user).unwrap();
            spare(&user).map_err(|failure| failure.message).err().unwrap_or_default()
        };
        assert!(denied(json!({ "exec": { "command": "evil" } })).contains("evil"));
        let former = json!({ "auth-provider": { "name": "gcp", "config": { "cmd-path": "/tmp/evil" } } });
        assert!(denied(former).contains("/tmp/evil"));
        for field in ["tokenFile", "client-certificate", "client-key"] {
            assert!(denied(json!({ field: "/var/run/token" })).contains("sends no file"), "{field}");
        }
        assert_eq!(denied(json!({ "token": "written" })), "");
        assert!(super::super::reach::is_own("") && !super::super::reach::is_own("evil.yaml"));
    }
}
