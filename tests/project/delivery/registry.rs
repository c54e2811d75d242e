//! Releases in a registry: pushed to the real one of the test bed, pulled into another store, and every way in which that may fail;
//! and who signed them.

use super::Shop;
use crate::support::{
    cluster::charts::Registry,
    message::Message,
    server::free_port,
    web::{Reply, Web},
};
use serde_json::Value as Json;
use std::{
    fs,
    io::BufReader,
    net::TcpStream,
    process::Command,
    sync::{Arc, Mutex},
};

/// Someone in front of a registry who may change what it says.
pub(super) fn between(
    registry: &Registry,
    change: impl Fn(&Message, Message) -> Message + Send + Sync + 'static,
) -> Web {
    let host = registry.host.clone();
    Web::new(move |request| {
        let stream = TcpStream::connect(&host).unwrap();
        let mut reader = BufReader::new(stream);
        let head = request.head.replacen(" HTTP/1.1\r\n", " HTTP/1.1\r\nConnection: close\r\n", 1);
        Message { head, body: request.body.clone() }.write(reader.get_mut()).unwrap();
        let mut answer = Message::head(&mut reader).unwrap().unwrap();
        if request.word(0) != "HEAD" {
            answer.read_body(&mut reader).unwrap();
        }
        let answer = change(request, answer);
        let dropped = ["content-length", "connection", "transfer-encoding"];
        let kept = answer.head.lines().skip(1).filter(|line| {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            !dropped.contains(&name.as_str())
        });
        let headers = kept.map(str::to_owned).collect();
        Reply { status: answer.word(1).parse().unwrap(), headers, body: answer.body }
    })
}

pub(super) fn host(web: &Web) -> String {
    format!("127.0.0.1:{}", web.port())
}

/// What a release is made of, as `show` says it.
fn shown(shop: &Shop, release: &str) -> Json {
    serde_json::from_str(&shop.0.stdout(&["release", "show", release, "--json"], 0)).unwrap()
}

#[test]
fn a_release_goes_over_a_registry_to_another_store_and_is_the_same_there() {
    let Some(registry) = Registry::new() else { return };
    let (here, there) = (Shop::new(), Shop::new());
    let release = here.release();
    let place = format!("oci://{}/shop/releases", registry.host);
    let manifest = here.ends("ada", &["release", "push", "latest", &format!("{place}:v1"), "--quiet"], 0);
    let again = here.ends("ada", &["release", "push", &release, &format!("{place}:v1")], 0);
    assert!(again.starts_with(&manifest) && again.contains("(0 parts sent)"), "{manifest} {again}");
    // Pushed from elsewhere, it has the same manifest.
    let other = Shop::new();
    assert_eq!(other.release(), release);
    assert_eq!(other.ends("ben", &["release", "push", "latest", &format!("{place}-too"), "--quiet"], 0), manifest);

    let pulled = there.ends("cat", &["release", "pull", &format!("{place}:v1"), "--quiet"], 0);
    assert_eq!(pulled.trim(), release);
    let (one, two) = (shown(&here, "latest"), shown(&there, "latest"));
    assert_eq!((&one["files"], &one["charts"]), (&two["files"], &two["charts"]));
    let makers: Vec<&str> =
        two["made"].as_array().unwrap().iter().map(|m| m["by"]["person"].as_str().unwrap()).collect();
    assert_eq!(makers.len(), 2, "who made it and who brought it: {makers:?}");
    assert!(makers.contains(&"cat"), "{makers:?}");
    there.promote(&release, "dev", 0);
    // By its digits, by its manifest, and a second time.
    let digits = &release.trim_start_matches("sha256:")[..12];
    for word in [format!("{place}:{digits}"), format!("{place}@{}", manifest.trim())] {
        let said = there.ends("cat", &["release", "pull", &word], 0);
        assert!(said.contains("was here already"), "{said}");
    }
    let unknown = there.ends("cat", &["release", "pull", &format!("{place}:v9")], 1);
    assert!(unknown.contains("no release `v9`") && unknown.contains("v1"), "{unknown}");
    let unnamed = there.ends("cat", &["release", "pull", &place], 64);
    assert!(unnamed.contains("v1"), "{unnamed}");
}

#[test]
fn what_was_altered_in_the_registry_is_refused_and_nothing_of_it_is_kept() {
    let Some(registry) = Registry::new() else { return };
    let (here, there) = (Shop::new(), Shop::new());
    let release = here.release();
    let digest = shown(&here, &release)["files"]["plans/shop/motd.txt"].as_str().unwrap().to_owned();
    here.ends("ada", &["release", "push", &release, &format!("oci://{}/shop:v1", registry.host)], 0);
    let web = between(&registry, move |request, mut answer| {
        if request.word(0) == "GET" && request.word(1).ends_with(&digest) {
            answer.body = b"hullo".to_vec();
        }
        answer
    });
    let said = there.ends("cat", &["release", "pull", &format!("oci://{}/shop:v1", host(&web))], 1);
    assert!(said.contains("it was altered: plans/shop/motd.txt has the digest"), "{said}");
    assert!(!there.0.path().join(".terrace/releases").exists(), "nothing was stored");
    // A tag that somebody moved to what is no release.
    let web = between(&registry, |request, mut answer| {
        if request.word(1).contains("/manifests/v1") {
            answer.body = String::from_utf8(answer.body).unwrap().replace("vnd.terrace.release.v1", "vnd.other").into();
        }
        answer
    });
    let said = there.ends("cat", &["release", "pull", &format!("oci://{}/shop:v1", host(&web))], 1);
    assert!(said.contains("it is no release of terrace"), "{said}");
}

#[test]
fn a_registry_that_wants_a_login_or_is_down_is_told_as_that() {
    let Some(registry) = Registry::new() else { return };
    let shop = Shop::new();
    shop.release();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let web = between(&registry, move |request, answer| {
        let login = request.header("authorization").map(str::to_owned);
        seen.lock().unwrap().push(login.clone());
        // "me:hunter2"
        if login.as_deref() == Some("Basic bWU6aHVudGVyMg==") {
            return answer;
        }
        Message { head: "HTTP/1.1 401 -\r\nWWW-Authenticate: Basic realm=\"shop\"\r\n".into(), body: Vec::new() }
    });
    let place = format!("oci://{}/shop:v1", host(&web));
    let refused = shop.ends("ada", &["release", "push", "latest", &place], 1);
    assert!(refused.contains("401") && refused.contains("helm registry login"), "{refused}");
    let login = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"bWU6aHVudGVyMg==\"}}}}}}", host(&web));
    shop.0.write("docker/config.json", &login);
    let mut push = shop.0.command(&["release", "push", "latest", &place]);
    let pushed = push.env("DOCKER_CONFIG", shop.0.path().join("docker")).output().unwrap();
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(pushed.status.success() && !said.contains("hunter2"), "{said}");
    assert!(asked.lock().unwrap().iter().any(Option::is_some));

    let down = format!("oci://127.0.0.1:{}/shop:v1", free_port());
    for words in [["release", "push", "latest", &down].as_slice(), &["release", "pull", &down]] {
        let said = shop.ends("ada", words, 1);
        assert!(said.contains("cannot be reached"), "{said}");
    }
    for wrong in ["http://h/x:v1", "oci://h", "oci://h/Shop:v1", "oci://h/shop:-v1", "oci://h/shop@sha256:12"] {
        let said = shop.ends("ada", &["release", "pull", wrong], 64);
        assert!(said.contains("is no place in a registry"), "{wrong}: {said}");
    }
}

/// Runs a program of the machine; `None` where it is not there.
fn openssl(shop: &Shop, words: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("openssl").args(words).current_dir(shop.0.path()).output().ok()?;
    assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// A pair of keys in the project, `NAME.pem` and `NAME.pub`.
fn pair(shop: &Shop, name: &str) -> Option<()> {
    let (key, public) = (format!("{name}.pem"), format!("{name}.pub"));
    openssl(shop, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key])?;
    openssl(shop, &["ec", "-in", &key, "-pubout", "-out", &public]).map(drop)
}

#[test]
fn where_terrace_toml_asks_for_a_signature_no_other_release_is_used() {
    let shop = Shop::new();
    let (Some(()), Some(())) = (pair(&shop, "ours"), pair(&shop, "theirs")) else { return };
    let release = shop.release();
    shop.promote(&release, "dev", 0);
    shop.0.write("terrace.toml", "name = \"test\"\n[signatures]\nreleases = [\"ours.pub\"]\n");
    shop.advance("2h");
    let refused = |why: &str| {
        for words in [
            ["promote", &release, "--to", "tst", "--auto-approve"].as_slice(),
            &["plan", "--release", &release, "--env", "dev"],
            &["apply", "--release", &release, "--env", "dev", "--auto-approve"],
            &["rollback", "--to", &release, "--env", "dev", "--auto-approve"],
        ] {
            let said = shop.ends("ada", words, 4);
            assert!(said.contains("is not signed by ours.pub") && said.contains(why), "{words:?}: {said}");
        }
    };
    refused("it has no signature");
    shop.ends("ada", &["release", "sign", &release, "--key", "theirs.pem"], 0);
    refused("none of its 1 signatures");
    // One that was made of something else, laid beside it as if it were of this release.
    let store = shop.0.path().join(".terrace/releases/objects/releases").join(release.trim_start_matches("sha256:"));
    let other = fs::read_dir(store.join("signed")).unwrap().next().unwrap().unwrap().path();
    fs::write(other, fs::read_to_string(store.join("release.json")).unwrap()).unwrap();
    let said = shop.ends("ada", &["promote", &release, "--to", "tst", "--auto-approve"], 1);
    assert!(said.contains("its signature"), "{said}");
    fs::remove_dir_all(store.join("signed")).unwrap();
    shop.ends("ada", &["release", "sign", &release, "--key", "ours.pem"], 0);
    assert!(shop.ends("ada", &["release", "show", &release], 0).contains("signed by ours.pub"));
    shop.promote(&release, "tst", 0);
}

#[test]
fn a_signature_made_elsewhere_counts_and_goes_along_with_the_release() {
    let (here, there) = (Shop::new(), Shop::new());
    let Some(()) = pair(&here, "ours") else { return };
    let settings = "name = \"test\"\n[signatures]\nreleases = [\"ours.pub\"]\n";
    for shop in [&here, &there] {
        shop.0.write("terrace.toml", settings);
    }
    there.0.write("ours.pub", &fs::read_to_string(here.0.path().join("ours.pub")).unwrap());
    let release = here.release();
    here.0.write("list", &here.0.stdout(&["release", "show", &release, "--list"], 0));
    let raw = openssl(&here, &["dgst", "-sha256", "-sign", "ours.pem", "-out", "raw", "list"]);
    assert!(raw.is_some());
    openssl(&here, &["base64", "-A", "-in", "raw", "-out", "signature"]);
    here.0.write("wrong", "AAAA");
    let wrong = here.ends("ada", &["release", "sign", &release, "--signature", "wrong"], 1);
    assert!(wrong.contains("is no signature of the release"), "{wrong}");
    here.ends("ada", &["release", "sign", &release, "--signature", "signature"], 0);
    here.promote(&release, "dev", 0);
    // What we sign, openssl verifies.
    let key = fs::read_to_string(here.0.path().join("ours.pem")).unwrap();
    let signed = here.0.command(&["release", "sign", &release]).env("TERRACE_SIGNING_KEY", key).output().unwrap();
    assert!(signed.status.success());
    assert!(!String::from_utf8_lossy(&[signed.stdout, signed.stderr].concat()).contains("BEGIN"));
    for signature in shown(&here, &release)["signatures"].as_array().unwrap() {
        here.0.write("one", signature["signature"].as_str().unwrap());
        openssl(&here, &["base64", "-d", "-A", "-in", "one", "-out", "raw"]);
        openssl(&here, &["dgst", "-sha256", "-verify", "ours.pub", "-signature", "raw", "list"]);
    }

    let Some(registry) = Registry::new() else { return };
    let place = format!("oci://{}/shop:v1", registry.host);
    here.ends("ada", &["release", "push", &release, &place], 0);
    there.ends("cat", &["release", "pull", &place], 0);
    there.promote(&release, "dev", 0);
}
