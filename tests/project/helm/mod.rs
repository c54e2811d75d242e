//! Kind `helm` as people use it, by the program, on a real control plane and with helm 3 and 4: charts of a folder, of a
//! repository and of a registry, plans and applies, failures, and kills at any instant.

#![expect(clippy::disallowed_methods, reason = "writes projects and starts programs")]

mod kills;
mod lives;
mod refusals;
mod secrets;
mod sources;

use crate::support::{
    Project,
    cluster::{ControlPlane, cluster},
    ministack,
    server::built,
};
use std::{fs, path::Path};

/// A project whose plan makes releases in a namespace of its own.
pub(crate) struct Releases {
    pub(crate) project: Project,
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) namespace: String,
    helm: &'static str,
}

/// Nothing secret.
pub(crate) const WEB: &str = r#"
helm "web" {
  chart     = "./charts/web"
  namespace = "NAMESPACE"
  values    = { replicas = 1 }
}
"#;

impl Releases {
    /// With this helm (`helm3`, `helm4`) and these declarations, in which `NAMESPACE` is the namespace; `None` where something is not
    /// built, which is said.
    pub(crate) fn new(helm: &'static str, declarations: &str) -> Option<Self> {
        let (cluster, server) = (cluster()?, ministack()?);
        built(helm)?;
        let namespace = cluster.namespace("app");
        let project = Project::new(&server.account(), "");
        let releases = Self { project, cluster, namespace, helm };
        releases.settings("");
        releases.declare(declarations);
        releases.chart("charts/web");
        Some(releases)
    }

    /// Settings beside the helm that is used.
    fn settings(&self, more: &str) {
        let helm = built(self.helm).unwrap();
        let text = format!("name = \"test\"\n[helm]\nprogram = \"{}\"\n{more}", helm.display());
        self.project.write("terrace.toml", &text);
    }

    /// Other declarations.
    pub(crate) fn declare(&self, declarations: &str) {
        let kubeconfig = self.cluster.kubeconfig();
        let connection =
            format!("kubernetes \"main\" {{\n  kubeconfig {{\n    path = \"{}\"\n  }}\n}}\n", kubeconfig.display());
        let text = format!("{connection}{}", declarations.replace("NAMESPACE", &self.namespace));
        self.project.write("plans/app/app.hcl", &text);
    }

    /// Puts the chart of the tests into the project.
    fn chart(&self, at: &str) {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/web"), &self.project.path().join(at));
    }

    /// Applies, which has to succeed.
    pub(crate) fn applied(&self) -> String {
        let said = self.project.ends(&["apply", "--auto-approve"], 0);
        format!("{}{}", said.out, said.err)
    }

    /// The plan, which has to be made.
    pub(crate) fn planned(&self) -> String {
        self.project.ends(&["plan"], 0).out
    }

    /// The statuses of all revisions of the release, the newest last.
    pub(crate) fn statuses(&self, release: &str) -> Vec<String> {
        self.cluster.statuses(&self.namespace, release)
    }

    /// A field of the live ConfigMap or Deployment.
    pub(crate) fn live(&self, kind: &str, name: &str) -> serde_json::Value {
        let group = if kind == "deployments" { "apis/apps/v1" } else { "api/v1" };
        self.cluster.get(&format!("/{group}/namespaces/{}/{kind}/{name}", self.namespace)).body
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { fs::copy(entry.path(), to).map(drop).unwrap() }
    }
}
