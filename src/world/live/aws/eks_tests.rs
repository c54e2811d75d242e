//! What goes over the wire: method, path and body of each request, and answers in the form of the EKS API reference.

use super::*;
use crate::world::{AwsConnection, ResolveConflicts, UpdateOf};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use serde_json::{Value as Json, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Mutex,
    thread::JoinHandle,
};

/// A request as it was received: method and path with query, and the body.
type Seen = (String, Json);

/// Answers one request after the other on a free port of loopback, and keeps what was asked.
struct Recorded {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl Recorded {
    fn serve(answers: Vec<(u16, Json)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let server = std::thread::spawn(move || {
            for (status, answer) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = Vec::new();
                let mut part = [0; 4096];
                let (head, length) = loop {
                    let read = stream.read(&mut part).unwrap();
                    bytes.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, _)) = text.split_once("\r\n\r\n") {
                        let lower = head.to_lowercase();
                        let length = lower
                            .lines()
                            .find_map(|l| l.strip_prefix("content-length:").map(str::trim).map(str::to_owned));
                        break (head.to_owned(), length.and_then(|l| l.parse::<usize>().ok()).unwrap_or(0));
                    }
                    assert!(read > 0, "the request ended in its head");
                };
                while bytes.len() < head.len() + 4 + length {
                    let read = stream.read(&mut part).unwrap();
                    assert!(read > 0, "the request ended in its body");
                    bytes.extend_from_slice(&part[..read]);
                }
                let line: Vec<&str> = head.lines().next().unwrap().split(' ').collect();
                let body = serde_json::from_slice(&bytes[head.len() + 4..]).unwrap_or(Json::Null);
                log.lock().unwrap().push((format!("{} {}", line[0], line[1]), body));
                let body = answer.to_string();
                let kind = if status == 404 { "x-amzn-errortype: ResourceNotFoundException\r\n" } else { "" };
                write!(
                    stream,
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{kind}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { url, seen, server }
    }

    fn eks(&self) -> LiveEks {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        LiveEks(Session::ready_with(AwsConnection::default(), &config))
    }

    fn end(self) -> Vec<Seen> {
        self.server.join().unwrap();
        Arc::into_inner(self.seen).unwrap().into_inner().unwrap()
    }
}

fn update(id: &str, kind: &str, status: &str, params: &Json) -> Json {
    json!({ "update": {
        "id": id, "status": status, "type": kind, "params": params, "createdAt": 1_785_542_400.0, "errors": [],
    } })
}

#[tokio::test]
async fn a_control_plane_is_moved_and_its_updates_are_read() {
    let params = json!([{ "type": "Version", "value": "1.33" }, { "type": "PlatformVersion", "value": "eks.1" }]);
    let server = Recorded::serve(vec![
        (200, update("u-1", "VersionUpdate", "InProgress", &params)),
        (200, update("u-2", "VersionRollback", "InProgress", &json!([]))),
        (200, json!({ "updateIds": ["u-2"], "nextToken": "more" })),
        (200, json!({ "updateIds": ["u-1"] })),
        (200, update("u-1", "VersionUpdate", "Successful", &params)),
        (200, update("u-2", "VersionRollback", "Cancelled", &json!([]))),
    ]);
    let eks = server.eks();
    assert_eq!(eks.update_cluster_version("c", "1.33", None, "run-1-h33").await.unwrap(), "u-1");
    assert_eq!(eks.update_cluster_version("c", "1.32", Some(720), "run-1-d32").await.unwrap(), "u-2");
    assert_eq!(eks.list_updates("c", UpdateOf::default()).await.unwrap(), ["u-2", "u-1"]);
    let told = eks.describe_update("c", "u-1", UpdateOf::default()).await.unwrap();
    assert_eq!((told.kind.as_str(), told.status.as_str()), ("VersionUpdate", "Successful"));
    assert_eq!(told.params["Version"], "1.33");
    assert_eq!(told.created.unwrap().to_string(), "2026-08-01T00:00:00Z");
    eks.cancel_update("c", "u-2", "t").await.unwrap();
    let seen = server.end();
    assert_eq!(
        seen[0],
        ("POST /clusters/c/updates".into(), json!({ "version": "1.33", "clientRequestToken": "run-1-h33" }))
    );
    assert_eq!(
        seen[1].1,
        json!({ "version": "1.32", "clientRequestToken": "run-1-d32", "rollbackConfig": { "timeoutMinutes": 720 } })
    );
    assert_eq!(seen[2].0, "GET /clusters/c/updates");
    assert_eq!(seen[3].0, "GET /clusters/c/updates?nextToken=more");
    assert_eq!(seen[4].0, "GET /clusters/c/updates/u-1");
    assert!(seen[5].0.starts_with("POST /clusters/c/updates/u-2/cancel"), "{:?}", seen[5]);
}

#[tokio::test]
async fn insights_are_asked_by_category_and_version_and_told_with_their_resources() {
    let summary = json!({
        "id": "i-1", "name": "Deprecated APIs removed in Kubernetes v1.32", "category": "UPGRADE_READINESS",
        "kubernetesVersion": "1.32", "lastRefreshTime": 1_785_542_400.0,
        "insightStatus": { "status": "ERROR", "reason": "Deprecated API usage detected within last 30 days." },
    });
    let mut whole = summary.clone();
    whole["recommendation"] = json!("Update manifests and API clients.");
    whole["resources"] =
        json!([{ "kubernetesResourceUri": "/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas/x" }]);
    whole["categorySpecificSummary"] = json!({ "deprecationDetails": [{
        "usage": "/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas", "replacedWith": "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
        "stopServingVersion": "1.32", "startServingReplacementVersion": "1.29", "clientStats": [],
    }] });
    let server = Recorded::serve(vec![
        (200, json!({ "insights": [summary] })),
        (200, json!({ "insights": [] })),
        (200, json!({ "insight": whole })),
    ]);
    let eks = server.eks();
    let found = eks.list_insights("c", InsightCategory::Upgrade, "1.32").await.unwrap();
    assert_eq!((found[0].status.as_str(), found[0].kubernetes_version.as_str()), ("ERROR", "1.32"));
    eks.list_insights("c", InsightCategory::Rollback, "1.31").await.unwrap();
    let told = eks.describe_insight("c", "i-1").await.unwrap();
    assert_eq!(told.resources.len(), 2);
    assert!(told.resources[0].ends_with("flowschemas/x") && told.recommendation.starts_with("Update"));
    let seen = server.end();
    assert_eq!(seen[0].0, "POST /clusters/c/insights");
    assert_eq!(seen[0].1["filter"], json!({ "categories": ["UPGRADE_READINESS"], "kubernetesVersions": ["1.32"] }));
    assert_eq!(seen[1].1["filter"]["categories"], json!(["ROLLBACK_READINESS"]));
    assert_eq!(seen[2].0, "GET /clusters/c/insights/i-1");
}

#[tokio::test]
async fn node_groups_are_read_and_moved() {
    let group = json!({ "nodegroup": {
        "nodegroupName": "workers", "clusterName": "c", "version": "1.32", "releaseVersion": "1.32.9-20251023", "status": "DEGRADED",
        "health": { "issues": [{ "code": "AsgInstanceLaunchFailures", "message": "no capacity", "resourceIds": ["asg"] }] },
    } });
    let server = Recorded::serve(vec![
        (200, json!({ "nodegroups": ["workers"] })),
        (200, group),
        (404, json!({ "message": "No node group found for name: gone.", "nodegroupName": "gone" })),
        (200, update("u-9", "VersionUpdate", "InProgress", &json!([]))),
        (
            200,
            json!({ "update": {
            "id": "u-9", "status": "Failed", "type": "VersionUpdate", "params": [], "createdAt": 1_785_542_400.0,
            "errors": [{ "errorCode": "PodEvictionFailure", "errorMessage": "Reached max retries", "resourceIds": ["ip-1"] }],
        } }),
        ),
    ]);
    let eks = server.eks();
    assert_eq!(eks.list_nodegroups("c").await.unwrap(), ["workers"]);
    let told = eks.describe_nodegroup("c", "workers").await.unwrap().unwrap();
    assert_eq!((told.version.as_str(), told.status.as_str()), ("1.32", "DEGRADED"));
    assert_eq!(told.issues, [("AsgInstanceLaunchFailures".to_owned(), "no capacity".to_owned())]);
    assert!(eks.describe_nodegroup("c", "gone").await.unwrap().is_none());
    assert_eq!(eks.update_nodegroup_version("c", "workers", "1.34", "t").await.unwrap(), "u-9");
    let of = UpdateOf { nodegroup: Some("workers"), addon: None };
    let failed = eks.describe_update("c", "u-9", of).await.unwrap();
    assert_eq!(failed.errors[0].0, "PodEvictionFailure");
    let seen = server.end();
    assert_eq!(seen[0].0, "GET /clusters/c/node-groups");
    assert_eq!(seen[1].0, "GET /clusters/c/node-groups/workers");
    assert_eq!(
        seen[3],
        (
            "POST /clusters/c/node-groups/workers/update-version".into(),
            json!({ "version": "1.34", "clientRequestToken": "t" })
        )
    );
    assert_eq!(seen[4].0, "GET /clusters/c/updates/u-9?nodegroupName=workers");
}

#[tokio::test]
async fn add_ons_take_pod_identity_and_tags_and_tell_conflicts() {
    let arn = "arn:aws:eks:us-east-1:111122223333:addon/c/vpc-cni/8ac1";
    let association = "arn:aws:eks:us-east-1:111122223333:podidentityassociation/c/a-1";
    let addon = json!({ "addon": {
        "addonName": "vpc-cni", "clusterName": "c", "status": "UPDATE_FAILED", "addonVersion": "v1.20.4-eksbuild.2",
        "health": { "issues": [{ "code": "ConfigurationConflict", "message": "Conflicts: DaemonSet.apps aws-node - .spec", "resourceIds": [] }] },
        "addonArn": arn, "createdAt": 1_785_542_400.0, "modifiedAt": 1_785_546_000.0, "configurationValues": "{}",
        "tags": { "team": "net" }, "podIdentityAssociations": [association],
    } });
    let server = Recorded::serve(vec![
        (200, update("u-3", "AddonUpdate", "InProgress", &json!([]))),
        (200, addon),
        (
            200,
            json!({ "association": { "clusterName": "c", "namespace": "kube-system", "serviceAccount": "aws-node", "roleArn": "arn:r" } }),
        ),
        (200, json!({})),
        (200, json!({})),
    ]);
    let eks = server.eks();
    let pods = [PodIdentity { service_account: "aws-node".into(), role_arn: "arn:r".into() }];
    let request = AddonRequest {
        cluster: "c".into(),
        addon: "vpc-cni".into(),
        version: "v1.20.4-eksbuild.2".into(),
        configuration: "{}".into(),
        pod_identity: Some(pods.clone().into()),
        resolve_conflicts: ResolveConflicts::Preserve,
        ..AddonRequest::default()
    };
    assert_eq!(eks.update_addon(&request, "t").await.unwrap(), "u-3");
    let told = eks.describe_addon("c", "vpc-cni").await.unwrap().unwrap();
    assert_eq!((told.status.as_str(), told.issues[0].0.as_str()), ("UPDATE_FAILED", "ConfigurationConflict"));
    assert_eq!(told.modified.unwrap().to_string(), "2026-08-01T01:00:00Z");
    let pod = eks.pod_identity_association("c", &told.pod_identity_associations[0]).await.unwrap();
    assert_eq!(pod.as_ref(), Some(&pods[0]));
    eks.tag_resource(&told.arn, &[("a".to_owned(), "b".to_owned())].into()).await.unwrap();
    eks.untag_resource(&told.arn, &["team".to_owned()]).await.unwrap();
    let seen = server.end();
    assert_eq!(seen[0].0, "POST /clusters/c/addons/vpc-cni/update");
    assert_eq!(
        seen[0].1,
        json!({
            "addonVersion": "v1.20.4-eksbuild.2", "resolveConflicts": "PRESERVE", "clientRequestToken": "t", "configurationValues": "{}",
            "podIdentityAssociations": [{ "serviceAccount": "aws-node", "roleArn": "arn:r" }],
        })
    );
    assert_eq!(seen[2].0, "GET /clusters/c/pod-identity-associations/a-1");
    let path = "/tags/arn%3Aaws%3Aeks%3Aus-east-1%3A111122223333%3Aaddon%2Fc%2Fvpc-cni%2F8ac1";
    assert_eq!(seen[3], (format!("POST {path}"), json!({ "tags": { "a": "b" } })));
    assert_eq!(seen[4].0, format!("DELETE {path}?tagKeys=team"));
}

#[tokio::test]
async fn an_endpoint_without_an_operation_says_so() {
    let server = Recorded::serve(vec![(
        400,
        json!({ "message": "No route for POST /clusters/c/insights", "__type": "InvalidRequestException" }),
    )]);
    let failure = server.eks().list_insights("c", InsightCategory::Upgrade, "1.33").await.unwrap_err();
    assert_eq!(failure.class, Class::Unsupported, "{failure:?}");
    server.end();
}

#[tokio::test]
async fn a_missing_add_on_is_none_and_a_missing_cluster_is_not_found() {
    let server = Recorded::serve(vec![
        (
            404,
            json!({ "addonName": "coredns", "clusterName": "c", "message": "No addon: coredns found in cluster: c" }),
        ),
        (200, json!({ "cluster": { "name": "c", "status": "ACTIVE", "version": "1.34" } })),
        (404, json!({ "clusterName": "c", "message": "No cluster found for name: c." })),
    ]);
    let eks = server.eks();
    assert!(eks.describe_addon("c", "coredns").await.unwrap().is_none());
    assert_eq!(eks.describe_addon("c", "coredns").await.unwrap_err().class, Class::NotFound);
    server.end();
}
