//! Which cluster a connection meets: recorded at first contact, and held to it.

use crate::{apply::testing::Lab, plan::Error, state::Record};

const PLAN: &str = "kubernetes \"main\" {\n  kubeconfig {\n    path    = \"config\"\n    context = \"one\"\n  }\n}\n\n\
    manifest \"map\" {\n  object = { apiVersion = \"v1\", kind = \"ConfigMap\", metadata = { name = \"a\" } }\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_under_the_same_connection_is_refused_before_any_change() {
    let lab = Lab::new(PLAN);
    lab.applied().await;
    let clusters = lab.subject().await.state.clusters;
    assert_eq!(clusters.len(), 1, "{clusters:?}");
    assert!(!lab.plan().await.plan.has_changes());

    // The cluster that state knows is another one now.
    let connection = clusters.into_keys().next().unwrap();
    let store = lab.store().await;
    store.commit(vec![Record::Cluster { connection, identity: "former".into() }]).await.unwrap();
    store.close().await.unwrap();
    let Err(Error::Problems(problems)) = lab.try_plan().await else { panic!("it is another cluster") };
    let said = format!("{problems:?}");
    assert!(said.contains("this is another cluster") && said.contains("former"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_remembered_to_live_another_cluster_is_taken() {
    let mut lab = Lab::new(PLAN);
    lab.applied().await;
    lab.write(&PLAN.replace("manifest \"map\"", "manifest \"other\"").replace("\"a\"", "\"b\""));
    lab.applied().await;
    let connection = lab.subject().await.state.clusters.into_keys().next().unwrap();
    lab.destroy().await;
    let store = lab.store().await;
    store.commit(vec![Record::Cluster { connection, identity: "former".into() }]).await.unwrap();
    store.close().await.unwrap();
    lab.applied().await;
}
