//! What is wrong with a chart, its values, its helm or its cluster is told before anything is done, where that can be known.

use super::{Releases, WEB};
use std::os::unix::fs::PermissionsExt as _;

/// Plans, which has to be refused; what was said.
fn refused(releases: &Releases, declarations: &str) -> String {
    releases.declare(declarations);
    let said = releases.project.run(&["plan"]);
    assert!(said.code != Some(0), "{said:?}");
    format!("{}{}", said.out, said.err)
}

fn wrong_charts(helm: &'static str) {
    let Some(releases) = Releases::new(helm, WEB) else { return };
    let with = |values: &str| WEB.replace("replicas = 1", values);
    let text = refused(&releases, &with("wrong = \"no such luck\""));
    assert!(text.contains("web/templates/deployment.yaml:2") && text.contains("no such luck"), "{text}");
    assert!(text.contains("chart_render") && text.contains("app.hcl"), "{text}");
    let text = refused(&releases, &with("replicas = \"many\""));
    assert!(text.contains("replicas") && text.contains("schema"), "{text}");
    releases.project.write("charts/web/templates/broken.yaml", "a: {{ .Values.none.deeper }}\n");
    let text = refused(&releases, WEB);
    assert!(text.contains("web/templates/broken.yaml:1"), "{text}");
    releases.project.write("charts/web/templates/broken.yaml", "a: [\n");
    let text = refused(&releases, WEB);
    assert!(text.contains("web/templates/broken.yaml"), "{text}");
    assert_eq!(releases.statuses("web"), Vec::<String>::new());
}

#[test]
fn a_chart_that_does_not_render_is_told_by_template_and_line_with_helm_3() {
    wrong_charts("helm3");
}

#[test]
fn a_chart_that_does_not_render_is_told_by_template_and_line_with_helm_4() {
    wrong_charts("helm4");
}

#[test]
fn a_version_beside_a_folder_that_holds_another_is_refused_with_both() {
    let Some(releases) = Releases::new("helm4", WEB) else { return };
    let with = |version: &str| WEB.replace("  values ", &format!("  version = \"{version}\"\n  values "));
    let text = refused(&releases, &with("1.0.7"));
    assert!(text.contains("is version 1.0.0, and 1.0.7 is declared"), "{text}");
    let line = text.lines().find(|line| line.contains("-->")).unwrap_or_default().to_owned();
    let written = std::fs::read_to_string(releases.project.path().join("plans/app/app.hcl")).unwrap();
    let at = written.lines().position(|line| line.contains("version =")).unwrap() + 1;
    assert!(line.contains(&format!("app.hcl:{at}:")), "{at}: {text}");
    releases.declare(&with("1.0.0"));
    releases.project.ends(&["plan"], 0);
}

#[test]
fn a_helm_that_is_missing_or_too_old_is_told_with_what_to_do() {
    let Some(releases) = Releases::new("helm3", WEB) else { return };
    releases.project.write("terrace.toml", "name = \"test\"\n[helm]\nprogram = \"bin/none\"\n");
    let text = refused(&releases, WEB);
    assert!(text.contains("bin/none") && text.contains("[helm] program"), "{text}");
    releases.project.write("bin/old", "#!/bin/sh\necho v3.5.4\n");
    let old = releases.project.path().join("bin/old");
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    releases.project.write("terrace.toml", "name = \"test\"\n[helm]\nprogram = \"bin/old\"\n");
    let text = refused(&releases, WEB);
    assert!(text.contains("3.5.4 is too old"), "{text}");
}

#[test]
fn a_type_that_the_cluster_lacks_ends_the_apply_before_a_release_is_made() {
    let Some(releases) = Releases::new("helm4", WEB) else { return };
    let object = "apiVersion: none.example.com/v1\nkind: Thing\nmetadata: { name: x }\n";
    releases.project.write("charts/web/templates/thing.yaml", object);
    let said = releases.project.run(&["apply", "--auto-approve"]);
    let text = format!("{}{}", said.out, said.err);
    assert!(said.code != Some(0) && text.contains("Thing"), "{text}");
    assert_eq!(releases.statuses("web"), Vec::<String>::new());
}

#[test]
fn what_a_template_looks_up_is_noted_and_hooks_are_listed_apart() {
    let declared = WEB.replace("replicas = 1", "lookup = true, hook = true");
    let Some(releases) = Releases::new("helm3", &declared) else { return };
    let plan = releases.planned();
    assert!(plan.contains("lookup") && plan.contains("web-hook"), "{plan}");
    releases.applied();
    // The release found what the plan could not look up.
    assert_eq!(releases.live("configmaps", "web")["data"]["found"], "default");
}

#[test]
fn a_namespace_that_is_going_away_is_told_by_the_plan() {
    let Some(releases) = Releases::new("helm4", WEB) else { return };
    let maps = format!("/api/v1/namespaces/{}/configmaps", releases.namespace);
    let held = serde_json::json!({ "metadata": { "name": "held", "finalizers": ["example.com/never"] } });
    releases.cluster.post(&maps, &held).ok();
    releases.cluster.delete(&format!("/api/v1/namespaces/{}", releases.namespace)).ok();
    let text = refused(&releases, &WEB.replace("values ", "create_namespace = false\n  values "));
    assert!(text.contains("namespace_going") && text.contains("is going away"), "{text}");
    releases.declare(WEB);
    let said = releases.project.ends(&["plan"], 0);
    assert!(said.err.contains("is waited for, and made again") || said.out.contains("is waited for"), "{said:?}");
    let freed = serde_json::json!({ "metadata": { "finalizers": [] } });
    releases.cluster.patch(&format!("{maps}/held"), &freed).ok();
}

#[test]
fn a_chart_that_two_colours_would_share_is_refused_before_it_is_installed() {
    let declared = r#"
traffic "web" {
  service {
    namespace = "NAMESPACE"
    name      = "web"
  }
}
helm "web" {
  chart     = "./charts/web"
  namespace = "NAMESPACE"
  values    = { replicas = 1, config = CONFIG }
  verify "there" {
    expression {
      condition     = self.color != null
      error_message = "no"
    }
  }
  rollout {
    strategy = "blue_green"
    traffic  = traffic.web
  }
}
"#;
    for helm in ["helm3", "helm4"] {
        let Some(releases) = Releases::new(helm, WEB) else { return };
        let text = refused(&releases, &declared.replace("CONFIG", "\"settings\""));
        let said = format!("both colours would have ConfigMap {}/settings", releases.namespace);
        assert!(text.contains("rollout_shared_object") && text.contains(&said), "{text}");
        assert!(text.contains("never be rolled out") && text.contains("self.color"), "{text}");
        let written = std::fs::read_to_string(releases.project.path().join("plans/app/app.hcl")).unwrap();
        let at = written.lines().position(|line| line.contains("rollout {")).unwrap() + 1;
        assert!(text.contains(&format!("app.hcl:{at}:")), "{at}: {text}");
        releases.declare(&declared.replace("CONFIG", "\"settings-${self.color}\""));
        releases.project.ends(&["plan"], 0);
    }
}

#[test]
fn a_chart_in_a_module_is_held_against_its_other_colour_though_a_value_is_not_known_yet() {
    let declared = r#"
traffic "web" {
  service {
    namespace = "NAMESPACE"
    name      = "web"
  }
}
module "shop" {
  source    = "./shop"
  color     = self.color
  namespace = "NAMESPACE"
  rollout {
    strategy = "blue_green"
    traffic  = traffic.web
    verify "there" {
      expression {
        condition     = self.color != null
        error_message = "no"
      }
    }
  }
}
"#;
    let inside = r#"
variable "color" { type = string }
variable "namespace" { type = string }
value "made" { input = var.color }
helm "web" {
  chart     = "./charts/web"
  namespace = var.namespace
  values    = { replicas = 1, text = value.made.id, config = CONFIG }
}
"#;
    for helm in ["helm3", "helm4"] {
        let Some(releases) = Releases::new(helm, WEB) else { return };
        let shop = |config: &str| releases.project.write("plans/app/shop/main.hcl", &inside.replace("CONFIG", config));
        shop("\"settings\"");
        let text = refused(&releases, declared);
        let said = format!("module.shop.helm.web: both colours would have ConfigMap {}/settings", releases.namespace);
        assert!(text.contains("rollout_shared_object") && text.contains(&said), "{text}");
        assert!(text.contains("color = self.color") && text.contains("main.hcl"), "{text}");
        shop("\"settings-${var.color}\"");
        releases.project.ends(&["plan"], 0);
        // Of the value that is not known yet only what differs may come.
        shop("value.made.id");
        releases.project.ends(&["plan"], 0);
    }
}
