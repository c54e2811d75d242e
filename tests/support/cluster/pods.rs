//! What pods answer on their ports and what their containers log: kwok forwards to loopback what is forwarded to a port of a pod, and
//! reads logs from a file.

use super::ControlPlane;
use crate::support::web::{Reply, Web};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// The answers of all pods of a namespace, by path; a test may change them at any time.
pub(crate) struct Answers {
    paths: Arc<Mutex<BTreeMap<String, Reply>>>,
    asked: Arc<Mutex<Vec<String>>>,
    web: Web,
}

impl Answers {
    fn new() -> Self {
        let (paths, asked) = (Arc::<Mutex<BTreeMap<String, Reply>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (answers, seen) = (Arc::clone(&paths), Arc::clone(&asked));
        let web = Web::new(move |request| {
            seen.lock().unwrap().push(request.word(1).to_owned());
            let path = request.word(1).split('?').next().unwrap_or_default();
            let answer = answers.lock().unwrap().get(path).cloned();
            answer.unwrap_or_else(|| Reply::text(404, "nothing here"))
        });
        Self { paths, asked, web }
    }

    /// From now on pods answer so at this path; before, and at any other, 404.
    pub(crate) fn set(&self, path: &str, reply: Reply) {
        self.paths.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// The paths that were asked for, queries included, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl ControlPlane {
    /// From now on the pods of the namespace answer on these ports as the [`Answers`] say; on others, connections break.
    pub(crate) fn pods_answer(&self, namespace: &str, ports: &[u16]) -> Answers {
        let answers = Answers::new();
        let target = json!({ "address": "127.0.0.1", "port": answers.web.port() });
        self.kwok(
            "clusterportforwards",
            &json!({
                "apiVersion": "kwok.x-k8s.io/v1alpha1",
                "kind": "ClusterPortForward",
                "metadata": { "name": namespace },
                "spec": {
                    "selector": { "matchNamespaces": [namespace] },
                    "forwards": [{ "ports": ports, "target": target }],
                },
            }),
        );
        answers
    }

    /// From now on all containers of the namespace have logged these lines.
    pub(crate) fn pods_log(&self, namespace: &str, lines: &[&str]) {
        let file = self.folder.join(format!("{namespace}.pods.log"));
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "2026-01-01T00:00:00.000000000Z stdout F {line}");
        }
        fs::write(&file, text).unwrap();
        self.kwok(
            "clusterlogs",
            &json!({
                "apiVersion": "kwok.x-k8s.io/v1alpha1",
                "kind": "ClusterLogs",
                "metadata": { "name": namespace },
                "spec": {
                    "selector": { "matchNamespaces": [namespace] },
                    "logs": [{ "logsFile": file, "previousLogsFile": file }],
                },
            }),
        );
    }

    fn kwok(&self, resource: &str, object: &serde_json::Value) {
        let path = format!("/apis/kwok.x-k8s.io/v1alpha1/{resource}");
        self.delete(&format!("{path}/{}", object["metadata"]["name"].as_str().unwrap()));
        self.post(&path, object).ok();
        // It watches them, and does not say when it has seen one.
        thread::sleep(Duration::from_millis(300));
    }
}
