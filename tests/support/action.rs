//! Which call of which service a request is, by its protocol: a form with `Action`, a header `X-Amz-Target`, the operation at the
//! end of the path (Smithy's RPC), or method and path. Services as they stand in an IAM policy, actions as the API reference has them.

use super::message::Message;

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    /// Such as `cloudformation`.
    pub(crate) service: String,
    /// Such as `DescribeStacks`.
    pub(crate) action: String,
    /// What it is about, where that is easily told: a stack's name, an object's key.
    pub(crate) subject: String,
}

impl Call {
    /// The call that a request makes.
    pub(crate) fn of(request: &Message) -> Self {
        let service = service(request);
        let (path, query) = request.word(1).split_once('?').unwrap_or((request.word(1), ""));
        let form = String::from_utf8_lossy(&request.body);
        let (action, subject) = if let Some(target) = request.header("x-amz-target") {
            (target.rsplit('.').next().unwrap_or(target).to_owned(), json_subject(&form))
        } else if let Some((_, operation)) = path.split_once("/operation/") {
            (operation.to_owned(), String::new())
        } else if service == "s3" {
            (s3(request, path, query).to_owned(), path.to_owned())
        } else if service == "eks" {
            (eks(request.word(0), path).to_owned(), path.to_owned())
        } else {
            let of = |name| value(&form, name).or_else(|| value(query, name));
            let subject = of("StackName").or_else(|| of("ChangeSetName")).or_else(|| of("ExportName"));
            (of("Action").unwrap_or_default(), subject.unwrap_or_default())
        };
        Self { service, action, subject }
    }

    /// Service and action, like `cloudformation:DescribeStacks`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.service, self.action)
    }
}

/// The service, from the scope of the signature.
fn service(request: &Message) -> String {
    let signature = request.header("authorization").unwrap_or_default();
    let scope = signature.split("Credential=").nth(1).unwrap_or_default();
    match scope.split('/').nth(3).unwrap_or("unsigned") {
        // IAM's name for it is another than the signature's.
        "monitoring" => "cloudwatch".to_owned(),
        service => service.to_owned(),
    }
}

fn s3(request: &Message, path: &str, query: &str) -> &'static str {
    let key = path.trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let has = |name: &str| query.split('&').any(|q| q == name || q.starts_with(&format!("{name}=")));
    match (request.word(0), key) {
        ("PUT", true) if request.header("x-amz-copy-source").is_some() => "CopyObject",
        ("PUT", true) if has("partNumber") => "UploadPart",
        ("PUT", true) => "PutObject",
        ("GET", true) => "GetObject",
        ("HEAD", true) => "HeadObject",
        ("DELETE", true) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", true) => "DeleteObject",
        ("POST", true) if has("uploads") => "CreateMultipartUpload",
        ("POST", true) => "CompleteMultipartUpload",
        ("POST", false) if has("delete") => "DeleteObjects",
        ("HEAD", false) => "HeadBucket",
        ("PUT", false) if has("versioning") => "PutBucketVersioning",
        ("PUT", false) if has("encryption") => "PutBucketEncryption",
        ("PUT", false) => "CreateBucket",
        ("GET", false) if has("versioning") => "GetBucketVersioning",
        ("GET", false) if has("encryption") => "GetBucketEncryption",
        ("GET", false) if has("location") => "GetBucketLocation",
        ("GET", false) if has("versions") => "ListObjectVersions",
        ("GET", false) if path == "/" => "ListBuckets",
        ("GET", false) => "ListObjectsV2",
        _ => "",
    }
}

fn eks(method: &str, path: &str) -> &'static str {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["clusters"]) => "ListClusters",
        ("POST", ["clusters"]) => "CreateCluster",
        ("GET", ["clusters", _]) => "DescribeCluster",
        ("DELETE", ["clusters", _]) => "DeleteCluster",
        ("GET", ["clusters", _, "addons"]) => "ListAddons",
        ("POST", ["clusters", _, "addons"]) => "CreateAddon",
        ("GET", ["clusters", _, "addons", _]) => "DescribeAddon",
        ("DELETE", ["clusters", _, "addons", _]) => "DeleteAddon",
        ("POST", ["clusters", _, "addons", _, "update"]) => "UpdateAddon",
        ("GET", ["addons", "supported-versions"]) => "DescribeAddonVersions",
        ("GET", ["addons", "configuration-schemas"]) => "DescribeAddonConfiguration",
        ("GET", ["cluster-versions"]) => "DescribeClusterVersions",
        ("GET", ["clusters", _, "updates"]) => "ListUpdates",
        ("GET", ["clusters", _, "updates", _]) => "DescribeUpdate",
        ("POST", ["clusters", _, "updates"]) => "UpdateClusterVersion",
        ("POST", ["clusters", _, "update-config"]) => "UpdateClusterConfig",
        ("POST", ["clusters", _, "insights"]) => "ListInsights",
        ("GET", ["clusters", _, "insights", _]) => "DescribeInsight",
        ("GET", ["clusters", _, "node-groups"]) => "ListNodegroups",
        ("GET", ["clusters", _, "node-groups", _]) => "DescribeNodegroup",
        ("POST", ["clusters", _, "node-groups", _, "update-version"]) => "UpdateNodegroupVersion",
        ("POST", ["clusters", _, "node-groups", _, "update-config"]) => "UpdateNodegroupConfig",
        ("GET", ["clusters", _, "pod-identity-associations"]) => "ListPodIdentityAssociations",
        ("POST", ["clusters", _, "pod-identity-associations"]) => "CreatePodIdentityAssociation",
        ("GET", ["clusters", _, "pod-identity-associations", _]) => "DescribePodIdentityAssociation",
        ("POST", ["clusters", _, "pod-identity-associations", _]) => "UpdatePodIdentityAssociation",
        ("DELETE", ["clusters", _, "pod-identity-associations", _]) => "DeletePodIdentityAssociation",
        _ => "",
    }
}

/// A field of a form or query, decoded as far as names need it.
pub(crate) fn value(form: &str, name: &str) -> Option<String> {
    let raw = form.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?.1;
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        bytes.push(match byte {
            b'%' => rest.next().and_then(hex)? * 16 + rest.next().and_then(hex)?,
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn json_subject(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    ["Name", "SecretId"].iter().find_map(|key| body[key].as_str()).unwrap_or_default().to_owned()
}
