//! Secrets Manager and Parameter Store.

use super::Scope;
use crate::{
    base::Secret,
    world::{
        Outcome, Parameter, Secrets,
        sandbox::{Sandbox, Tx},
    },
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// A secret, under `SCOPE/NAME` in the table `secret`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SecretRecord {
    pub(super) arn: String,
    pub(super) value: String,
    pub(super) version: u64,
}

/// A parameter, under `SCOPE/NAME` in the table `parameter`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct ParameterRecord {
    pub(super) value: String,
    pub(super) secure: bool,
    pub(super) version: u64,
}

/// The service in one account and region.
pub(super) struct Store {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) scope: Scope,
}

#[async_trait::async_trait]
impl Secrets for Store {
    async fn secret(&self, id: &str) -> Outcome<Option<Secret<String>>> {
        let read = |tx: &mut Tx<'_>| Ok(secret(tx, &self.scope, id).map(|found| Secret::new(found.value)));
        self.sandbox.call("secretsmanager:GetSecretValue", id, read).await
    }

    async fn parameter(&self, name: &str) -> Outcome<Option<Parameter>> {
        let read = |tx: &mut Tx<'_>| {
            Ok(parameter(tx, &self.scope, name).map(|found| Parameter {
                value: Secret::new(found.value),
                secure: found.secure,
                version: found.version,
            }))
        };
        self.sandbox.call("ssm:GetParameter", name, read).await
    }
}

/// A secret by name, ARN, or ARN without the six letters at its end.
pub(super) fn secret(tx: &Tx<'_>, scope: &Scope, id: &str) -> Option<SecretRecord> {
    if !id.starts_with("arn:") {
        return tx.get("secret", &scope.key(id));
    }
    tx.scan::<SecretRecord>("secret", &format!("{scope}/"))
        .into_iter()
        .map(|(_, secret)| secret)
        .find(|s| s.arn == id || s.arn.rsplit_once('-').is_some_and(|(head, _)| head == id))
}

/// A parameter by name; AWS's public ones are made up, the same every time.
pub(super) fn parameter(tx: &Tx<'_>, scope: &Scope, name: &str) -> Option<ParameterRecord> {
    // A version or label may follow the name.
    let bare = name.split(':').next().unwrap_or(name);
    tx.get("parameter", &scope.key(bare)).or_else(|| public(scope, bare))
}

fn public(scope: &Scope, name: &str) -> Option<ParameterRecord> {
    let rest = name.strip_prefix("/aws/service/")?;
    let hash = hex::encode(Sha256::digest(format!("{}\n{name}", scope.region)));
    let value = if rest.ends_with("release_version") {
        let version = rest.split('/').find(|part| part.starts_with("1.")).unwrap_or("1.34");
        format!("{version}.2-20260715")
    } else if rest.starts_with("global-infrastructure/") {
        rest.rsplit('/').next().unwrap_or_default().to_owned()
    } else {
        format!("ami-{}", &hash[..17])
    };
    Some(ParameterRecord { value, secure: false, version: 1 })
}

/// A dynamic reference, by what stands between `{{resolve:` and `}}`.
pub(super) fn dynamic(tx: &Tx<'_>, scope: &Scope, text: &str) -> Option<String> {
    let (service, rest) = text.split_once(':')?;
    match service {
        "ssm" | "ssm-secure" => parameter(tx, scope, rest).map(|p| p.value),
        "secretsmanager" => {
            let (id, tail) = match rest.find(":SecretString") {
                Some(at) => (&rest[..at], &rest[at + ":SecretString".len()..]),
                None => (rest, ""),
            };
            let value = secret(tx, scope, id)?.value;
            match tail.trim_start_matches(':').split(':').next().filter(|key| !key.is_empty()) {
                None => Some(value),
                Some(key) => super::physical::scalar(serde_json::from_str::<Json>(&value).ok()?.get(key)?),
            }
        }
        _ => None,
    }
}

/// The value of a secret that a template declares: given, or generated as `GenerateSecretString` asks, the same for the
/// same seed and ARN.
pub(super) fn value_of(tx: &Tx<'_>, arn: &str, properties: &Json) -> String {
    if let Some(given) = properties["SecretString"].as_str() {
        return given.to_owned();
    }
    let wish = &properties["GenerateSecretString"];
    let truth = |key: &str| super::physical::scalar(&wish[key]).is_some_and(|v| v == "true");
    let length = super::physical::scalar(&wish["PasswordLength"]).and_then(|n| n.parse().ok()).unwrap_or(32_usize);
    let exclude = wish["ExcludeCharacters"].as_str().unwrap_or_default();
    let mut alphabet: Vec<char> = Vec::new();
    let classes = [
        ("ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz"),
        ("ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("ExcludeNumbers", "0123456789"),
        ("ExcludePunctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    ];
    for (without, letters) in classes {
        if !truth(without) {
            alphabet.extend(letters.chars().filter(|c| !exclude.contains(*c)));
        }
    }
    if alphabet.is_empty() {
        alphabet.push('x');
    }
    let seed: u64 = tx.get("meta", "seed").unwrap_or_default();
    let mut password = String::new();
    let mut block = 0_u32;
    while password.chars().count() < length.min(4096) {
        let hash: [u8; 32] = Sha256::digest(format!("{seed}\n{arn}\n{block}")).into();
        block += 1;
        for pair in hash.chunks(2) {
            let at = usize::from(u16::from_le_bytes([pair[0], pair[1]])) % alphabet.len();
            if password.chars().count() < length {
                password.push(alphabet[at]);
            }
        }
    }
    match (wish["SecretStringTemplate"].as_str(), wish["GenerateStringKey"].as_str()) {
        (Some(template), Some(key)) => {
            let mut whole: Json =
                serde_json::from_str(template).unwrap_or_else(|_| Json::Object(serde_json::Map::new()));
            if let Json::Object(entries) = &mut whole {
                entries.insert(key.to_owned(), Json::String(password));
            }
            whole.to_string()
        }
        _ => password,
    }
}
