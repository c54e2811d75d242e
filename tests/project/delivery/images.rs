//! Container images of a release: listed, resolved where terrace.toml asks for it, and held to what they were when it was made.

use super::{
    Shop,
    registry::{between, host},
};
use crate::support::{
    cluster::charts::Registry,
    message::Message,
    server::free_port,
    web::{Reply, Web},
};
use serde_json::Value as Json;
use std::{fs, io::BufReader, net::TcpStream, path::Path};
use terrace::{base::Digest, world::live};

const PLAN: &str = r#"plan "shop" {}

variable "tag" {
  type = string
}

variable "late" {
  type    = string
  default = "one"
}

kubernetes "main" {
  kubeconfig {
    context = env.name
  }
}

value "name" {
  input = var.late
}

helm "web" {
  chart      = "headlamp"
  repository = "https://kubernetes-sigs.github.io/headlamp"
  version    = "0.26.0"
  namespace  = "web"
}

manifest "app" {
  object = {
    apiVersion = "batch/v1"
    kind       = "CronJob"
    metadata   = { name = "app" }
    spec = {
      schedule = "0 3 * * *"
      jobTemplate = { spec = { template = { spec = {
        restartPolicy  = "Never"
        initContainers = [{ name = "wait", image = "busybox" }]
        containers     = [
          { name = "app", image = "ours/app:${var.tag}" },
          { name = "pinned", image = "quay.io/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
          { name = "late", image = value.name.output },
        ]
      } } } }
    }
  }
}
"#;

const RESOLVE: &str = "name = \"test\"\n[images]\nresolve = true\n";

/// A shop with images of every standing.
fn shop(settings: &str) -> Shop {
    let shop = Shop::new();
    shop.0.write("plans/shop/plan.hcl", PLAN);
    for env in ["dev", "tst", "prd"] {
        shop.0.write(&format!("plans/shop/environments/{env}.toml"), "tag = \"v1\"\n");
    }
    if !settings.is_empty() {
        shop.0.write("terrace.toml", settings);
    }
    shop
}

/// As somebody says it, in one line whatever the width of the screen.
fn ends(shop: &Shop, words: &[&str], code: i32) -> String {
    shop.ends("ada", words, code).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `release show` lists, by the reference, or by why it is not known.
fn listed(shop: &Shop, release: &str) -> Vec<(String, String)> {
    let shown: Json = serde_json::from_str(&shop.0.stdout(&["release", "show", release, "--json"], 0)).unwrap();
    let all = shown["images"].as_array().unwrap().iter();
    let name = |i: &Json| i["image"].as_str().or(i["why"].as_str()).unwrap().to_owned();
    all.map(|i| (name(i), i["standing"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn every_image_is_listed_with_what_is_known_of_it_and_the_name_of_the_release_does_not_hang_on_it() {
    let (one, other) = (shop(""), shop("name = \"test\"\n[images]\nresolve = false\n"));
    let said = one.ends("ada", &["release", "create"], 0);
    assert!(said.contains("docker.io/library/busybox:latest (manifest.app in dev, prd, tst)"), "{said}");
    assert!(said.contains("Images that float") && said.contains("Images that are not known"), "{said}");
    let release = said.lines().next().unwrap().to_owned();
    assert_eq!(release, other.release());
    let all = listed(&one, &release);
    for (image, standing) in [
        ("docker.io/library/busybox:latest", "floating"),
        ("docker.io/ours/app:v1", "floating"),
        ("quay.io/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "pinned"),
        ("CronJob app: it is not known before something is applied", "unknown"),
    ] {
        assert!(all.contains(&(image.to_owned(), standing.to_owned())), "{image}: {all:?}");
    }
    assert!(all.iter().any(|(image, _)| image.contains("headlamp")), "charts are rendered: {all:?}");
    let shown = one.0.stdout(&["release", "show", &release], 0);
    assert!(shown.contains("floating") && shown.contains("not known"), "{shown}");
    // Another tag of an environment is no other release, and another image of the plan is.
    one.0.write("plans/shop/environments/prd.toml", "tag = \"v2\"\n");
    assert_eq!(one.release(), release);
    one.0.write("plans/shop/plan.hcl", &PLAN.replace("busybox", "busybox:1.37"));
    let second = one.release();
    let diff = one.0.stdout(&["release", "diff", &release, &second], 0);
    assert!(diff.contains("image docker.io/library/busybox: latest (floating) to 1.37 (floating)"), "{diff}");
    let diff = one.0.stdout(&["release", "diff", &release, &second, "--json"], 0);
    let diff: Json = serde_json::from_str(&diff).unwrap();
    assert_eq!(diff["difference"]["images"][0]["after"][0], "1.37 (floating)");
}

#[test]
fn a_release_with_resolved_images_is_refused_wherever_a_tag_has_moved() {
    let shop = shop(RESOLVE);
    let release = shop.release();
    let standing: Vec<String> = listed(&shop, &release).into_iter().map(|(_, standing)| standing).collect();
    assert!(standing.contains(&"resolved".to_owned()) && !standing.contains(&"floating".to_owned()), "{standing:?}");
    assert_eq!(shop.release(), release, "the same tags are the same release");
    shop.promote(&release, "dev", 0);
    ends(&shop, &["plan", "--release", &release, "--env", "tst", "--out", "tst.plan"], 0);
    ends(&shop, &["sandbox", "drift", "image/ours/app:v1", "--set", "content=evil"], 0);
    for words in [
        ["plan", "--release", &release, "--env", "dev"].as_slice(),
        &["apply", "--release", &release, "--env", "dev", "--auto-approve"],
        &["apply", "tst.plan", "--auto-approve"],
        &["promote", &release, "--to", "tst", "--hotfix", "now", "--auto-approve"],
    ] {
        let said = ends(&shop, words, 4);
        assert!(said.contains("docker.io/ours/app:v1 is no longer what it was"), "{words:?} {said}");
        assert!(
            said.contains("it was docker.io/ours/app@sha256:") && said.contains("terrace release create"),
            "{said}"
        );
    }
    assert_ne!(shop.environment("tst")["holds"], release[7..19], "nothing came");
    // What is there now is another release, which may go on.
    let second = shop.release();
    assert_ne!(second, release);
    let diff = shop.0.stdout(&["release", "diff", &release, &second], 0);
    assert!(diff.contains("image docker.io/ours/app: v1 ("), "{diff}");
    shop.promote(&second, "dev", 0);
    // A way back is not shut by that, and says it.
    let said = ends(&shop, &["rollback", "--env", "dev", "--auto-approve"], 0);
    assert!(said.contains("warning: docker.io/ours/app:v1 is no longer what it was"), "{said}");
}

#[test]
fn what_cannot_be_resolved_makes_no_release() {
    let shop = shop(RESOLVE);
    ends(&shop, &["sandbox", "drift", "image/busybox", "--delete"], 0);
    ends(&shop, &["sandbox", "fault", "registry:GetTag", "throttle", "--on", "*ours/app*"], 0);
    let said = ends(&shop, &["release", "create"], 1);
    for part in ["busybox:latest cannot be read", "has no tag `latest`", "ours/app:v1 cannot be read", "Rate exceeded"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(ends(&shop, &["release", "list"], 0).contains("no releases yet"));
    shop.0.write("plans/shop/plan.hcl", &PLAN.replace("\"busybox\"", "\"Busybox:1\""));
    let said = ends(&shop, &["release", "create"], 1);
    assert!(said.contains("image_reference") && said.contains("`Busybox:1` is no image"), "{said}");
}

#[test]
fn a_value_that_brings_another_image_needs_another_release() {
    let shop = shop(RESOLVE);
    let release = shop.release();
    shop.promote(&release, "dev", 0);
    shop.0.write("plans/shop/environments/dev.toml", "tag = \"v9\"\n");
    let said = ends(&shop, &["plan", "--release", &release, "--env", "dev"], 4);
    assert!(said.contains("image_unlisted") && said.contains("manifest.app would run docker.io/ours/app:v9"), "{said}");
    // A digest needs nobody's word.
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    shop.0.write("plans/shop/environments/dev.toml", &format!("tag = \"v9@{digest}\"\n"));
    ends(&shop, &["plan", "--release", &release, "--env", "dev"], 0);
    shop.0.write("plans/shop/environments/dev.toml", "tag = \"v9\"\n");
    assert_ne!(shop.release(), release, "a release with the values that there are now");
    ends(&shop, &["plan", "--release", "latest", "--env", "dev"], 0);
}

/// Stores a manifest in a registry; returns its digest.
fn push(registry: &Registry, repository: &str, tag: &str, content: &str) -> Digest {
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"digest\":\"{}\",\"size\":2}},\"layers\":[],\"annotations\":{{\"content\":\"{content}\"}}}}",
        Digest::of(b"{}")
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let place = live::repository("test", &format!("oci://{}/{repository}", registry.host), &[]).unwrap();
        place.put_blob(&Digest::of(b"{}"), b"{}").await.unwrap();
        place.put_manifest(tag, manifest.as_bytes()).await.unwrap();
    });
    Digest::of(manifest.as_bytes())
}

/// A plan with one image.
fn with_image(image: &str, settings: &str) -> Shop {
    let shop = shop(settings);
    let plan = format!(
        "plan \"shop\" {{}}\nvariable \"tag\" {{\n  type = string\n}}\nkubernetes \"main\" {{\n  kubeconfig {{\n    context = env.name\n  }}\n}}\nmanifest \"app\" {{\n  object = {{\n    apiVersion = \"v1\"\n    kind = \"Pod\"\n    metadata = {{ name = \"app\" }}\n    spec = {{ containers = [{{ name = \"a\", image = \"{image}\" }}] }}\n  }}\n}}\n"
    );
    shop.0.write("plans/shop/plan.hcl", &plan);
    shop
}

#[test]
fn a_registry_is_asked_by_its_own_words_over_a_mirror_and_once_for_each_tag() {
    let Some(registry) = Registry::new() else { return };
    let first = push(&registry, "team/app", "v1", "one");
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = asked.clone();
    let web = between(&registry, move |request, answer| {
        seen.lock().unwrap().push(format!("{} {}", request.word(0), request.word(1)));
        answer
    });
    let mirror = format!("{RESOLVE}[[mirror]]\nfrom = \"ghcr.io/ours\"\nto = \"{}/team\"\n", host(&web));
    let shop = with_image("ghcr.io/ours/app:v1", &mirror);
    let release = shop.release();
    let shown: Json = serde_json::from_str(&shop.0.stdout(&["release", "show", &release, "--json"], 0)).unwrap();
    assert_eq!(shown["images"][0]["digest"], first.as_str());
    assert_eq!(shown["images"][0]["image"], "ghcr.io/ours/app:v1", "it is called by its own name");
    assert_eq!(*asked.lock().unwrap(), ["HEAD /v2/team/app/manifests/v1"]);
    ends(&shop, &["plan", "--release", &release, "--env", "dev"], 0);
    let second = push(&registry, "team/app", "v1", "two");
    let said = ends(&shop, &["plan", "--release", &release, "--env", "dev"], 4);
    assert!(said.contains(first.hex()) && said.contains(second.hex()), "{said}");
}

#[test]
fn a_registry_that_does_not_tell_is_an_error_and_never_a_floating_tag() {
    let cases: [(u16, &str); 4] =
        [(401, "answers 401"), (404, "has no tag `v1`"), (429, "too many requests"), (503, "503")];
    for (status, said) in cases {
        let web = Web::new(move |_: &Message| Reply::text(status, ""));
        let shop = with_image(&format!("{}/app:v1", host(&web)), RESOLVE);
        let told = ends(&shop, &["release", "create"], 1);
        assert!(told.contains("image_unresolved") && told.contains(said), "{status}: {told}");
    }
    let shop = with_image(&format!("127.0.0.1:{}/app:v1", free_port()), RESOLVE);
    let told = ends(&shop, &["release", "create"], 1);
    assert!(told.contains("image_unresolved") && told.contains("cannot be reached"), "{told}");
    // A registry that names no digest is taken at the bytes of its manifest.
    let web = Web::new(|_: &Message| Reply::text(200, "{\"an\":\"index\"}"));
    let shop = with_image(&format!("{}/app:v1", host(&web)), RESOLVE);
    let release = shop.release();
    let list = shop.0.stdout(&["release", "show", &release, "--list"], 0);
    assert!(list.contains(Digest::of(b"{\"an\":\"index\"}").as_str()), "{list}");
}

/// Stores what cosign made: `signed` of tests/project/delivery.
fn put(registry: &Registry, what: &str, kind: &str, content: &[u8]) {
    let head = format!(
        "PUT /v2/ours/app/{what} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n",
        registry.host,
        content.len()
    );
    let mut reader = BufReader::new(TcpStream::connect(&registry.host).unwrap());
    Message { head, body: content.to_vec() }.write(reader.get_mut()).unwrap();
    let answer = Message::head(&mut reader).unwrap().unwrap();
    assert_eq!(answer.word(1), "201", "{what}: {}", answer.head);
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn signed(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/project/delivery/signed").join(name)).unwrap()
}

/// A blob, in one request after the other.
fn blob(registry: &Registry, content: &[u8]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let place = live::repository("test", &format!("oci://{}/ours/app", registry.host), &[]).unwrap();
        place.put_blob(&Digest::of(content), content).await.unwrap();
    });
}

/// Image one or two, under a tag.
fn image(registry: &Registry, name: &str, tag: &str) -> Digest {
    blob(registry, b"{}");
    let manifest = signed(&format!("{name}.image.json"));
    put(registry, &format!("manifests/{tag}"), MANIFEST, &manifest);
    Digest::of(&manifest)
}

/// A signature of the older form, for an image of this digest.
fn sign(registry: &Registry, of: &Digest, name: &str) {
    let manifest = signed(&format!("{name}.manifest.json"));
    blob(registry, &signed(&format!("{name}.payload.json")));
    put(registry, &format!("manifests/sha256-{}.sig", of.hex()), MANIFEST, &manifest);
}

/// A project that trusts one key for what is ours.
fn trusting(registry: &Registry, image: &str, more: &str) -> Shop {
    let settings = format!(
        "name = \"test\"\n{more}[[signatures.images]]\nrepositories = [\"registry.example.com/ours/*\"]\nkeys = [\"ours.pub\"]\n[[mirror]]\nfrom = \"registry.example.com\"\nto = \"{}\"\n",
        registry.host
    );
    let shop = with_image(image, &settings);
    shop.0.write("ours.pub", &String::from_utf8(signed("ours.pub")).unwrap());
    shop
}

#[test]
fn an_image_that_cosign_signed_goes_to_production_and_no_other() {
    let Some(registry) = Registry::new() else { return };
    let one = image(&registry, "one", "v1");
    let shop = trusting(&registry, "registry.example.com/ours/app:v1", "");
    let said = ends(&shop, &["release", "create"], 4);
    assert!(said.contains("image_unsigned") && said.contains("it has no signature"), "{said}");
    assert!(said.contains(&format!("cosign sign --key KEY registry.example.com/ours/app@{one}")), "{said}");
    for (name, why) in [
        ("simple-two", "a signature is of another digest"),
        ("simple-other", "of none of these keys"),
        ("simple-elsewhere", "another repository: registry.example.com/theirs/app"),
    ] {
        sign(&registry, &one, name);
        let said = ends(&shop, &["release", "create"], 4);
        assert!(said.contains(why), "{name}: {said}");
    }
    sign(&registry, &one, "simple");
    let release = shop.release();
    shop.promote(&release, "dev", 0);
    // The tag moves to what nobody signed: refused with resolved images and without, wherever it would come.
    let two = image(&registry, "two", "v1");
    for words in [
        ["plan", "--release", &release, "--env", "tst"].as_slice(),
        &["apply", "--release", &release, "--env", "tst", "--auto-approve"],
        &["promote", &release, "--to", "tst", "--hotfix", "now", "--auto-approve"],
        &["release", "create"],
    ] {
        let said = ends(&shop, words, 4);
        assert!(said.contains(&format!("@{two} is not signed by ours.pub")), "{words:?} {said}");
    }
    sign(&registry, &two, "simple-two");
    ends(&shop, &["plan", "--release", &release, "--env", "tst"], 0);
}

#[test]
fn a_bundle_beside_the_image_counts_as_the_older_form_does() {
    let Some(registry) = Registry::new() else { return };
    let one = image(&registry, "one", "v1");
    let shop = trusting(&registry, &format!("registry.example.com/ours/app@{one}"), "[images]\nresolve = true\n");
    let refer = |name: &str| {
        let manifest = signed(&format!("{name}.manifest.json"));
        blob(&registry, &signed(&format!("{name}.payload.json")));
        put(&registry, &format!("manifests/{}", Digest::of(&manifest)), MANIFEST, &manifest);
        let index = signed(&format!("{name}.index.json"));
        put(&registry, &format!("manifests/sha256-{}", one.hex()), "application/vnd.oci.image.index.v1+json", &index);
    };
    for (name, why) in [("bundle-two", "a bundle is of another digest"), ("bundle-other", "none of these keys")] {
        refer(name);
        let said = ends(&shop, &["release", "create"], 4);
        assert!(said.contains(why), "{name}: {said}");
    }
    refer("bundle");
    shop.release();
}

#[test]
fn where_signatures_are_asked_for_nothing_comes_through_that_cannot_be_verified() {
    let Some(registry) = Registry::new() else { return };
    let one = image(&registry, "one", "v1");
    sign(&registry, &one, "simple");
    // What is known only later may be anything.
    let shop = trusting(&registry, "${value.name.output}", "");
    let plan = fs::read_to_string(shop.0.path().join("plans/shop/plan.hcl")).unwrap();
    shop.0.write("plans/shop/plan.hcl", &format!("{plan}value \"name\" {{\n  input = \"x\"\n}}\n"));
    let said = ends(&shop, &["release", "create"], 4);
    assert!(said.contains("the images of manifest.app are not known, so nobody can tell"), "{said}");
    // A registry that does not tell, keys that are not there, and one that is none.
    let web = between(&registry, |request, mut answer| {
        if request.word(1).contains(".sig") {
            answer.head = "HTTP/1.1 401 Unauthorized\r\n\r\n".to_owned();
        }
        answer
    });
    let shop = trusting(&registry, "registry.example.com/ours/app:v1", "");
    let settings = fs::read_to_string(shop.0.path().join("terrace.toml")).unwrap();
    shop.0.write("terrace.toml", &settings.replace(&registry.host, &host(&web)));
    let said = ends(&shop, &["release", "create"], 4);
    assert!(said.contains("its signatures cannot be read") && said.contains("401"), "{said}");
    shop.0.write("terrace.toml", &settings.replace("ours.pub", "gone.pub"));
    assert!(ends(&shop, &["release", "create"], 1).contains("gone.pub"));
    shop.0.write("ours.pub", "nothing");
    shop.0.write("terrace.toml", &settings);
    assert!(ends(&shop, &["release", "create"], 1).contains("signature_key"));
    // Nobody signs on the sandbox.
    let shop = trusting(&registry, "registry.example.com/ours/app:v1", "");
    shop.0.write("terrace.toml", settings.split("[[mirror]]").next().unwrap());
    shop.0.write("ours.pub", &String::from_utf8(signed("ours.pub")).unwrap());
    assert!(ends(&shop, &["release", "create"], 4).contains("it has no signature"));
}
