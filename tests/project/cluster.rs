//! The testbed's cluster does what the other tests rely on: a real API server with its controllers, and pods, volumes, load balancers
//! and tokens as a test asks for them.

#![expect(clippy::disallowed_methods, reason = "writes charts and runs programs")]

use crate::support::{
    cluster,
    cluster::{
        ControlPlane,
        authenticator::SECRET,
        charts::{Registry, Repository},
    },
    web::Reply,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// A deployment of two pods that are told to do so.
fn deployment(annotations: &Value) -> Value {
    json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" }, "annotations": annotations },
                "spec": { "containers": [{ "name": "web", "image": "example.com/web:1" }] },
            },
        },
    })
}

/// Makes the deployment in a new namespace; returns that.
fn deployed(cluster: &ControlPlane, annotations: &Value) -> String {
    let namespace = cluster.namespace("bed");
    cluster.post(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &deployment(annotations)).ok();
    namespace
}

/// The first container's status of the namespace's first pod, as soon as it is as wanted.
fn container(cluster: &ControlPlane, namespace: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let first = |pods: &Value| pods["items"][0]["status"]["containerStatuses"][0].clone();
    first(&cluster.until(&pods, |answer| wanted(&first(&answer.body))).body)
}

#[test]
fn a_deployment_becomes_ready_and_says_who_changed_it() {
    let Some(cluster) = cluster() else { return };
    println!("ready after {:?}", cluster.took);
    let namespace = deployed(cluster, &json!({}));
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    let ready = cluster.until(&path, |answer| answer.body["status"]["readyReplicas"] == 2).body;
    let version = cluster.get("/version").ok();
    assert_eq!((version["major"].as_str(), version["minor"].as_str()), (Some("1"), Some("34")));
    assert_eq!(ready["metadata"]["managedFields"][0]["operation"], "Update");
    cluster.patch(&format!("{path}?fieldManager=somebody"), &json!({ "spec": { "replicas": 3 } })).ok();
    let changed = cluster.get(&path).ok();
    let managers = changed["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|m| m["manager"] == "somebody"), "{managers:?}");
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    let mut map = cluster.post(&maps, &json!({ "metadata": { "name": "a" } })).ok();
    map["data"] = json!({ "key": "value" });
    assert_eq!(cluster.put(&format!("{maps}/a"), &map).ok()["data"]["key"], "value");
    assert_eq!(cluster.put(&format!("{maps}/a"), &map).status, 409, "it is no longer the version that was read");
    assert!(cluster.ca.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(cluster.kubectl(&["get", "deployment", "web", "-n", &namespace, "-o", "name"]).contains("/web"));
    assert_eq!(cluster.delete(&format!("/api/v1/namespaces/{namespace}")).status, 200);
    cluster.until(&format!("/api/v1/namespaces/{namespace}"), |answer| answer.status == 404);
}

#[test]
fn pods_fail_in_the_ways_that_they_are_told() {
    let Some(cluster) = cluster() else { return };
    for (told, reason) in [("image-pull", "ImagePullBackOff"), ("crash-loop", "CrashLoopBackOff")] {
        let namespace = deployed(cluster, &json!({ "testbed.terrace/pod": told }));
        let status = container(cluster, &namespace, Value::is_object);
        assert_eq!(status["state"]["waiting"]["reason"], reason);
        let events = cluster.until(&format!("/api/v1/namespaces/{namespace}/events"), |answer| {
            answer.body["items"].as_array().unwrap().iter().any(|event| event["type"] == "Warning")
        });
        assert!(events.body.to_string().contains("ack-off") || events.body.to_string().contains("pull image"));
    }
    let namespace = deployed(cluster, &json!({ "testbed.terrace/pod": "never-ready" }));
    let status = container(cluster, &namespace, Value::is_object);
    assert_eq!((&status["ready"], status["state"]["running"].is_object()), (&json!(false), true));

    let started = Instant::now();
    let namespace = deployed(cluster, &json!({ "testbed.terrace/ready-after": "2s" }));
    container(cluster, &namespace, |status| status["ready"] == true);
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn jobs_complete_or_fail() {
    let Some(cluster) = cluster() else { return };
    for (told, condition) in [(json!({}), "Complete"), (json!({ "testbed.terrace/pod": "fails" }), "Failed")] {
        let namespace = cluster.namespace("bed");
        let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
        let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "a", "image": "example.com/a" }] });
        let template = json!({ "metadata": { "annotations": told }, "spec": pod });
        let spec = json!({ "backoffLimit": 0, "template": template });
        cluster.post(&jobs, &json!({ "metadata": { "name": "a" }, "spec": spec })).ok();
        cluster.until(&format!("{jobs}/a"), |answer| {
            let conditions = answer.body["status"]["conditions"].as_array();
            conditions.is_some_and(|c| c.iter().any(|c| c["type"] == condition && c["status"] == "True"))
        });
    }
}

#[test]
fn claims_get_volumes_and_load_balancers_names_as_long_as_they_are_there() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("bed");
    let class = format!("fast-{namespace}");
    let made = json!({
        "metadata": { "name": class }, "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer",
    });
    cluster.post("/apis/storage.k8s.io/v1/storageclasses", &made).ok();
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let spec = json!({
        "storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
    });
    cluster.post(&claims, &json!({ "metadata": { "name": "data" }, "spec": spec })).ok();
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let pod = json!({
        "metadata": { "name": "a" },
        "spec": {
            "containers": [{ "name": "a", "image": "example.com/a" }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
        },
    });
    cluster.post(&pods, &pod).ok();
    cluster.until(&format!("{pods}/a"), |answer| answer.body["status"]["phase"] == "Running");
    let claim = cluster.get(&format!("{claims}/data")).ok();
    let volume = format!("/api/v1/persistentvolumes/{}", claim["spec"]["volumeName"].as_str().unwrap());
    assert_eq!(cluster.get(&volume).ok()["spec"]["persistentVolumeReclaimPolicy"], "Delete");
    cluster.delete(&format!("{pods}/a")).ok();
    cluster.delete(&format!("{claims}/data")).ok();
    cluster.until(&volume, |answer| answer.status == 404);

    let services = format!("/api/v1/namespaces/{namespace}/services");
    let spec = json!({ "type": "LoadBalancer", "selector": { "app": "web" }, "ports": [{ "port": 80 }] });
    for (name, told) in [("goes", "soon"), ("stays", "stuck")] {
        let metadata = json!({ "name": name, "annotations": { "testbed.terrace/load-balancer": told } });
        cluster.post(&services, &json!({ "metadata": metadata, "spec": spec })).ok();
        let named = |answer: &Value| answer["status"]["loadBalancer"]["ingress"][0]["hostname"].is_string();
        let service = cluster.until(&format!("{services}/{name}"), |answer| named(&answer.body)).body;
        assert_eq!(service["metadata"]["finalizers"][0], "service.kubernetes.io/load-balancer-cleanup");
        cluster.delete(&format!("{services}/{name}")).ok();
    }
    cluster.until(&format!("{services}/goes"), |answer| answer.status == 404);
    assert_eq!(cluster.get(&format!("{services}/stays")).status, 200);
    cluster.patch(&format!("{services}/stays"), &json!({ "metadata": { "finalizers": null } })).ok();
    cluster.until(&format!("{services}/stays"), |answer| answer.status == 404);
}

#[test]
fn a_port_of_a_pod_answers_and_its_containers_have_logged_as_a_test_says() {
    let Some(cluster) = cluster() else { return };
    let namespace = deployed(cluster, &json!({}));
    cluster.until(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/web"), |answer| {
        answer.body["status"]["readyReplicas"] == 2
    });
    let answers = cluster.pods_answer(&namespace, &[8080]);
    answers.set("/ready", Reply::text(200, "yes"));
    let words = ["port-forward", "deployment/web", ":8080", "--address", "127.0.0.1", "-n", &namespace];
    let mut forward = cluster.program("kubectl").args(words).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 200];
    let read = forward.stdout.as_mut().unwrap().read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..read]).into_owned();
    let port = said.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: pod\r\n\r\n").unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).unwrap();
    forward.kill().unwrap();
    forward.wait().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200 -\r");
    assert_eq!(answers.asked(), ["/ready"]);

    cluster.pods_log(&namespace, &["starting", "no such file: /etc/app.conf"]);
    let logs = cluster.kubectl(&["logs", "deployment/web", "-n", &namespace, "--tail", "1"]);
    assert_eq!(logs.trim(), "no such file: /etc/app.conf");
}

#[test]
fn who_may_do_nothing_is_refused_and_a_grant_counts_for_its_namespace() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("bed");
    let token = cluster.service_account(&namespace, "reader");
    let kubeconfigs = [cluster.kubeconfig_of_nobody(), cluster.kubeconfig_with(&token)];
    let may = |kubeconfig: &Path| {
        let words = ["auth", "can-i", "list", "pods", "-n", &namespace, "--kubeconfig"];
        let output = cluster.program("kubectl").args(words).arg(kubeconfig).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(kubeconfigs.each_ref().map(|k| may(k)), ["no", "no"]);
    let account = json!({ "kind": "ServiceAccount", "name": "reader", "namespace": namespace });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" });
    let binding = json!({ "metadata": { "name": "reader" }, "roleRef": role, "subjects": [account] });
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    cluster.post(&bindings, &binding).ok();
    let deadline = Instant::now() + Duration::from_secs(20);
    while may(&kubeconfigs[1]) != "yes" {
        assert!(Instant::now() < deadline, "the grant does not count");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(may(&kubeconfigs[0]), "no");
}

/// A token of EKS, signed so long ago.
pub(crate) fn token(cluster: &str, ago: Duration) -> String {
    let zone = jiff::tz::TimeZone::UTC;
    let time = jiff::Timestamp::try_from(SystemTime::now() - ago).unwrap().to_zoned(zone);
    let (date, day) = (time.strftime("%Y%m%dT%H%M%SZ").to_string(), time.strftime("%Y%m%d").to_string());
    let scope = format!("{day}/eu-central-1/sts/aws4_request");
    let query = format!(
        "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={date}&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
        format!("210000000001/{scope}").replace('/', "%2F"),
    );
    let sum = |text: &str| hex::encode(Sha256::digest(text));
    let headers = format!("host:sts.eu-central-1.amazonaws.com\nx-k8s-aws-id:{cluster}\n\nhost;x-k8s-aws-id");
    let canonical = format!("GET\n/\n{query}\n{headers}\n{}", sum(""));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sum(&canonical));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [&day, "eu-central-1", "sts", "aws4_request", &text] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    let url = format!("https://sts.eu-central-1.amazonaws.com/?{query}&X-Amz-Signature={}", hex::encode(key));
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

#[test]
fn tokens_of_eks_are_good_for_the_cluster_that_they_are_signed_for_and_for_a_quarter_of_an_hour() {
    let Some(cluster) = cluster() else { return };
    cluster.authenticator.cluster("bed-dev");
    let whoami = |token: &str| {
        let words = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", "--kubeconfig"];
        let output = cluster.program("kubectl").args(words).arg(cluster.kubeconfig_with(token)).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let minute = Duration::from_secs(60);
    assert_eq!(whoami(&token("bed-dev", minute)).as_deref(), Some("arn:aws:iam::210000000001:user/test"));
    assert_eq!(whoami(&token("bed-prd", minute)), None);
    assert_eq!(whoami(&token("bed-dev", 16 * minute)), None);
    let refused = cluster.authenticator.refused();
    assert!(
        refused.iter().any(|why| why.contains("960 seconds ago") || why.contains("961 seconds ago")),
        "{refused:?}"
    );
}

#[test]
fn charts_come_from_a_repository_and_a_registry_to_both_helms() {
    let (Some(cluster), Some(repository), Some(registry)) = (cluster(), Repository::new(), Registry::new()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    fs::write(folder.path().join("Chart.yaml"), "apiVersion: v2\nname: small\nversion: 1.0.0\n").unwrap();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: small }\ndata: { a: '1' }\n";
    fs::write(folder.path().join("templates/map.yaml"), object).unwrap();
    assert!(repository.add(folder.path()).ends_with("small-1.0.0.tgz"));
    let digest = registry.push(folder.path(), "charts");
    assert!(digest.starts_with("sha256:"), "{digest}");
    let at = format!("oci://{}/charts/small", registry.host);
    for helm in [ControlPlane::helm3, ControlPlane::helm4] {
        let namespace = cluster.namespace("bed");
        let install = |name: &str, words: &[&str]| {
            let mut command = helm(cluster).unwrap();
            let output = command.args(["install", name, "-n", &namespace, "--version", "1.0.0"]).args(words).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        install("one", &["small", "--repo", &repository.url]);
        cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/small")).ok();
        cluster.delete(&format!("/api/v1/namespaces/{namespace}/configmaps/small")).ok();
        install("two", &[&at, "--plain-http"]);
        cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/small")).ok();
    }
}
