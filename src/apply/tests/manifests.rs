//! Manifests that fail half-way: gone on with by the next apply, and put back where their phase is.

use crate::{
    apply::testing::Lab,
    base::{ActionWord, RunEnd},
    plan,
    world::{ObjectRef, World as _},
};
use serde_json::Value as Json;

fn plan_of(image: &str, on_failure: &str) -> String {
    format!(
        r#"
phase "one" {{
  {on_failure}
}}
stack "cluster" {{
  phase = phase.one
  template = "${{path.root}}/cluster.yaml"
  parameters = {{ ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }}
}}
kubernetes "main" {{
  eks {{ name = stack.cluster.outputs.ClusterName }}
}}
manifest "web" {{
  phase = phase.one
  object = {{
    apiVersion = "apps/v1"
    kind = "Deployment"
    metadata = {{ name = "web", namespace = "default" }}
    spec = {{
      selector = {{ matchLabels = {{ app = "web" }} }}
      template = {{
        metadata = {{ labels = {{ app = "web" }} }}
        spec = {{ containers = [{{ name = "web", image = "{image}" }}] }}
      }}
    }}
  }}
  timeouts {{
    create = "2m"
    update = "2m"
  }}
}}
"#
    )
}

fn lab(on_failure: &str) -> Lab {
    let mut lab = Lab::new(&plan_of("web:1", on_failure));
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    lab
}

async fn web(lab: &Lab) -> Json {
    let subject = lab.subject().await;
    let web = &subject.state.resources[&"manifest.web".parse().unwrap()];
    let cluster = lab.world.cluster(&plan::remembered_connections(&subject, web).cluster.unwrap()).unwrap();
    let reference = ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("default".to_owned()),
        name: "web".to_owned(),
    };
    cluster.kubernetes.get(&reference).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_got_ready_is_gone_on_with_and_not_replaced() {
    let mut lab = lab("");
    lab.fail("kubernetes:Apply");
    assert_eq!(lab.apply().await.end, RunEnd::Failed);
    let former = web(&lab).await;
    let made = lab.plan().await;
    let node = made.plan.nodes.iter().find(|n| n.address.kind() == "manifest").unwrap();
    assert_eq!(node.action, ActionWord::Update, "{:?}", node.reasons);
    assert!(node.reasons.iter().any(|r| r.contains("gone on with")), "{:?}", node.reasons);
    // It is waited for again, not only called done.
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Failed);
    lab.write(&plan_of("web:2", ""));
    lab.applied().await;
    assert_eq!(web(&lab).await["metadata"]["uid"], former["metadata"]["uid"]);
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_never_got_ready_is_put_back_with_its_phase() {
    let back = "on_failure = \"rollback\"";
    let mut lab = lab(back);
    lab.applied().await;
    lab.write(&plan_of("web:2", back));
    lab.fail("kubernetes:Apply");
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{report:#?}");
    let image = web(&lab).await["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!(image, "web:1");
    lab.write(&plan_of("web:1", back));
    assert!(lab.changes().await.is_empty(), "{:?}", lab.changes().await);
}
