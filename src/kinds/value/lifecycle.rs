//! The life of a value, and of a command, a secret and probes on the sandbox's machine.

use super::*;
use crate::{
    base::Address,
    kinds::{
        probe, probe_defaults, probe_needs_cluster,
        testing::{Bench, CLUSTER},
    },
};

#[tokio::test]
async fn a_value_is_made_left_alone_changed_and_replaced() {
    let bench = Bench::open();
    let address = Address::root("value", "x");
    let inputs = |input: &str, trigger: i64| Value::from_json(&json!({ "input": input, "triggers_replace": trigger }));
    bench.apply(&address, &inputs("a", 1)).await.unwrap();
    let id = bench.prior(&address).unwrap().identity;
    assert_eq!(bench.plan(&address, &inputs("a", 1)).await.unwrap().change.action, ActionWord::NoOp);
    bench.apply(&address, &inputs("b", 1)).await.unwrap();
    assert_eq!(bench.prior(&address).unwrap().identity, id);
    let planned = bench.apply(&address, &inputs("b", 2)).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Replace);
    assert_ne!(bench.prior(&address).unwrap().identity, id);
}

#[tokio::test]
async fn a_command_reads_what_it_made_and_takes_it_back() {
    let bench = Bench::open();
    let folder = bench.folder();
    let file = format!("{folder}/note");
    let address = Address::root("command", "note");
    let sh = |script: &str| json!(["/bin/sh", "-c", script]);
    let inputs = |text: &str| {
        Value::from_json(&json!({
            "create": sh("printf '%s' \"$TEXT\" > \"$FILE\""),
            "read": sh("test -e \"$FILE\" || exit 3; printf '{\"text\":\"%s\"}' \"$(cat \"$FILE\")\""),
            "update": sh("printf '%s' \"$TEXT\" > \"$FILE\""),
            "delete": sh("rm -f \"$FILE\""),
            "undo": sh("rm -f \"$FILE\""),
            "environment": { "FILE": file, "TEXT": text },
        }))
    };
    let made = bench.apply(&address, &inputs("one")).await.unwrap();
    assert_eq!(made.change.action, ActionWord::Create);
    let again = bench.plan(&address, &inputs("one")).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp, "{:?}", again.change.fields);
    assert_eq!(again.change.exports.get("result"), Some(&Value::from_json(&json!({ "text": "one" }))));
    bench.apply(&address, &inputs("two")).await.unwrap();
    bench.undo(&address, &made).await.unwrap();
    assert_eq!(bench.plan(&address, &inputs("one")).await.unwrap().change.action, ActionWord::Create);
    let mut broken = inputs("x").as_map().unwrap().as_ref().clone();
    broken.insert("create".into(), Value::from_json(&sh("echo no room >&2; exit 4")));
    let failure = bench.apply(&address, &Value::object(broken)).await.err().unwrap();
    assert!(failure.message.contains("ended with 4: no room"), "{failure}");
}

#[tokio::test]
async fn a_secret_is_read_by_key_and_never_shown() {
    let mut bench = Bench::open();
    bench.file(
        "s.yaml",
        "Resources:\n  S: { Type: AWS::SecretsManager::Secret, Properties: { Name: db, SecretString: '{\"password\":\"hunter2\"}' } }\n",
    );
    bench.apply(&Address::root("stack", "s"), &Value::from_json(&json!({ "template": "s.yaml" }))).await.unwrap();
    let address = Address::root("data.secret", "db");
    let read =
        bench.plan(&address, &Value::from_json(&json!({ "secretsmanager": "db", "key": "password" }))).await.unwrap();
    let value = read.change.exports.get("value").unwrap();
    assert!(value.is_sensitive() && value.as_str() == Some("hunter2"));
    let failure =
        bench.plan(&address, &Value::from_json(&json!({ "secretsmanager": "db", "key": "pass" }))).await.err();
    assert!(failure.is_some_and(|f| f.message.contains("password") && !f.message.contains("hunter2")));
    let none = bench.plan(&address, &Value::from_json(&json!({ "secretsmanager": "other" }))).await.unwrap();
    assert!(none.observed.is_none());
    let outputs = Address::root("data.plan_outputs", "o");
    let read = bench.plan(&outputs, &Value::from_json(&json!({ "plan": "other" }))).await.unwrap();
    assert_eq!(read.change.exports.get("outputs").unwrap().get("a"), Some(&"b".into()));
}

#[tokio::test]
async fn probes_say_what_they_found() {
    let bench = Bench::with_cluster().await;
    let release = Address::root("helm", "web");
    let inputs = Value::from_json(&json!({
        "chart": "podinfo", "repository": "https://stefanprodan.github.io/podinfo", "version": "6.7.0", "namespace": "apps",
    }));
    bench.apply(&release, &inputs).await.unwrap();
    let context = bench.context(&release);
    let ask = async |json: Json| probe(&context, &probe_defaults(&Value::from_json(&json), &inputs)).await;
    let services = bench.sandbox.show(Some("object")).unwrap().rows;
    let service = services.iter().map(|r| r.name.as_str()).find_map(|n| n.strip_prefix("apps/Service/")).unwrap();
    let answer = ask(json!({ "http": { "service": service, "port": 9898, "path": "/" } })).await.unwrap();
    assert!(answer.passed(), "{answer:?}");
    let answer = ask(json!({ "tcp": { "service": service, "port": 9898 } })).await.unwrap();
    assert!(answer.passed(), "{answer:?}");
    let answer = ask(json!({ "pods": { "selector": { "none": "such" } } })).await.unwrap();
    assert!(!answer.passed() && answer.said.contains("no pod in apps"), "{answer:?}");
    let answer = ask(json!({ "condition": {
        "api_version": "v1", "kind": "Node", "name": "none", "type": "Ready" } }))
    .await
    .unwrap();
    assert!(!answer.passed());
    let answer = ask(json!({ "command": { "program": ["/bin/sh", "-c", "echo bad >&2; exit 2"] } })).await.unwrap();
    assert_eq!((answer.passed(), answer.said.as_str()), (false, "exit code 2: bad"));
    let answer = ask(json!({ "expression": { "condition": false, "error_message": "too few" } })).await.unwrap();
    assert_eq!((answer.passed(), answer.said.as_str()), (false, "too few"));
    let failure = ask(json!({ "prometheus": { "query": "up" } })).await.unwrap_err();
    assert!(failure.message.contains("names no prometheus block"));
    assert!(!probe_needs_cluster(&Value::from_json(&json!({ "http": { "url": "http://x" } }))));
}

#[tokio::test]
async fn an_upgrade_is_a_hop_for_each_minor_and_an_unmoved_version_is_nothing() {
    let bench = Bench::with_cluster().await;
    let address = Address::root("eks_upgrade", "plane");
    let inputs = |version: &str| {
        let name = crate::kinds::testing::marks().physical_name(&Address::root("stack", "cluster"), 128);
        let stack = json!({ "name": name, "parameters": { "KubernetesVersion": version, "ClusterName": CLUSTER } });
        Value::from_json(&json!({ "stack": stack, "parameter": "KubernetesVersion" }))
    };
    assert_eq!(bench.plan(&address, &inputs("1.34")).await.unwrap().change.action, ActionWord::NoOp);
    let moved = bench.plan(&address, &inputs("1.36")).await.unwrap().change;
    let hops: Vec<&str> = moved.children.iter().map(|hop| hop.name.as_str()).collect();
    assert_eq!((moved.action, hops.as_slice()), (ActionWord::Update, &["Kubernetes 1.35", "Kubernetes 1.36"][..]));
    let wrong = Value::from_json(&json!({ "stack": { "parameters": { "A": "b" } }, "parameter": "Version" }));
    assert!(bench.prepare(&address, &wrong).is_err());
}
