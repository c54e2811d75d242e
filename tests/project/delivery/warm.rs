//! A colour that is kept warm is a debt that is seen wherever somebody looks at an environment.

use crate::cli::Project;
use serde_json::Value as Json;

const PLAN: &str = r#"plan "shop" {}

variable "tag" {
  type = string
}

environment "dev" {
  sandbox {}
}

environment "tst" {
  after = [environment.dev]
  sandbox {
    account_id = "222222222222"
  }
}

kubernetes "main" {
  kubeconfig {
    context = env.name
  }
}

traffic "web" {
  service {
    name      = "web"
    namespace = "default"
  }
}

manifest "web" {
  yaml = <<-EOT
    apiVersion: apps/v1
    kind: Deployment
    metadata: { name: "web-${self.color}", namespace: default }
    spec:
      selector: { matchLabels: { color: "${self.color}" } }
      template:
        metadata: { labels: { color: "${self.color}" } }
        spec: { containers: [ { name: web, image: "web:${var.tag}", ports: [ { containerPort: 8080 } ] } ] }
    ---
    apiVersion: v1
    kind: Service
    metadata: { name: "web-${self.color}", namespace: default }
    spec:
      selector: { color: "${self.color}" }
      ports: [ { port: 80, targetPort: 8080 } ]
  EOT
  rollout {
    strategy = "blue_green"
    traffic  = traffic.web
    keep     = "1h"
    backend {
      service   = "web-${self.color}"
      namespace = "default"
      port      = 80
    }
    verify "well" {
      command {
        program = ["true"]
      }
      every = "1s"
    }
  }
}
"#;

#[test]
fn a_colour_that_is_kept_warm_is_shown_by_status_and_pipeline_until_it_is_retired() {
    let shop = Project::bare();
    shop.write("plans/shop/plan.hcl", PLAN);
    let apply = |tag: &str| {
        let tag = format!("tag={tag}");
        shop.stdout(&["apply", "--env", "dev", "--auto-approve", "--var", &tag], 0);
    };
    let json = |words: &[&str]| -> Json {
        let said = shop.stdout(words, 0);
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    };
    apply("1");
    assert!(!shop.stdout(&["status", "--env", "dev"], 0).contains("Kept warm"));
    apply("2");
    let said = shop.stdout(&["status", "--env", "dev"], 0);
    assert!(said.contains("Kept warm") && said.contains("manifest.web@blue until 20"), "{said}");
    assert!(said.contains("then the next apply retires it"), "{said}");
    let said = shop.stdout(&["status"], 0);
    assert_eq!(said.matches("kept warm").count(), 1, "{said}");
    let told = json(&["status", "--env", "dev", "--json"]);
    let debts = told["debts"].as_array().unwrap();
    assert_eq!((debts.len(), &debts[0]["address"]), (1, &"manifest.web@blue".into()), "{told}");
    let due = debts[0]["due"].as_str().unwrap();

    let said = shop.stdout(&["pipeline"], 0);
    assert!(said.contains("kept warm: manifest.web@blue until"), "{said}");
    let told = json(&["pipeline", "--json"]);
    let dev = &told["environments"][0];
    let debt = &dev["debts"][0];
    assert_eq!((debt["due"].as_str(), debt["is_due"].as_bool()), (Some(due), Some(false)), "{told}");
    assert_eq!(told["environments"][1]["debts"], serde_json::json!([]));

    shop.stdout(&["sandbox", "advance", "2h"], 0);
    let said = shop.stdout(&["pipeline"], 0);
    assert!(said.contains("manifest.web@blue is due to be retired since"), "{said}");
    apply("2");
    assert!(!shop.stdout(&["pipeline"], 0).contains("manifest.web@blue"));
    assert_eq!(json(&["status", "--env", "dev", "--json"])["debts"], serde_json::json!([]));
}
