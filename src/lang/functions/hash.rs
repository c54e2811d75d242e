//! Digests, and identifiers made of them.

use super::{Answer, Context, Function, blame, function, string, text};
use crate::base::Value;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

pub(super) const TABLE: &[Function] = &[
    function("base64sha256", &[string("string")], "the SHA-256 digest of the string, in base64", |a, _| {
        Ok(STANDARD.encode(Sha256::digest(text(a, 0))).into())
    }),
    function("base64sha512", &[string("string")], "the SHA-512 digest of the string, in base64", |a, _| {
        Ok(STANDARD.encode(Sha512::digest(text(a, 0))).into())
    }),
    function("md5", &[string("string")], "the MD5 digest of the string, in hex", |a, _| {
        Ok(hex::encode(Md5::digest(text(a, 0))).into())
    }),
    function("sha1", &[string("string")], "the SHA-1 digest of the string, in hex", |a, _| {
        Ok(hex::encode(Sha1::digest(text(a, 0))).into())
    }),
    function("sha256", &[string("string")], "the SHA-256 digest of the string, in hex", |a, _| {
        Ok(hex::encode(Sha256::digest(text(a, 0))).into())
    }),
    function("sha512", &[string("string")], "the SHA-512 digest of the string, in hex", |a, _| {
        Ok(hex::encode(Sha512::digest(text(a, 0))).into())
    }),
    function(
        "uuidv5",
        &[string("namespace"), string("name")],
        "the name-based UUID of the name; the namespace is dns, url, oid, x500 or a UUID",
        uuidv5,
    ),
];

fn uuidv5(arguments: &[Value], _: &Context<'_>) -> Answer {
    let standard = |last: &str| format!("6ba7b81{last}-9dad-11d1-80b4-00c04fd430c8");
    let namespace = match text(arguments, 0) {
        "dns" => standard("0"),
        "url" => standard("1"),
        "oid" => standard("2"),
        "x500" => standard("4"),
        other => other.to_owned(),
    };
    let plain = namespace.replace('-', "");
    let Some(bytes) = hex::decode(plain).ok().filter(|b| b.len() == 16) else {
        return blame(0, "it must be dns, url, oid, x500 or a UUID");
    };
    let digest = Sha1::new().chain_update(bytes).chain_update(text(arguments, 1)).finalize();
    let mut id: Vec<u8> = digest.iter().copied().take(16).collect();
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    let hex = hex::encode(id);
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into())
}
