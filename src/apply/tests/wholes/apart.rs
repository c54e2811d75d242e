//! What two colours may not share is refused before either is made, in a module as of a thing by itself (rule 37): by what it comes to, not by
//! how it is written.

use super::*;

/// The plan before anything is rolled out: the cluster is there.
async fn based(inside: &str) -> Lab {
    let mut lab = lab("", inside);
    let text = module("one");
    lab.write(&text[..text.find("module \"app\"").unwrap()]);
    lab.applied().await;
    lab.write(&text);
    lab
}

/// The one problem there is; what it says.
async fn said(lab: &Lab, code: &str) -> String {
    let problems = refused(lab, &[]).await;
    assert_eq!(problems.iter().map(|p| &*p.code).collect::<Vec<_>>(), [code], "{problems:#?}");
    assert!(problems[0].hint.as_deref().is_some_and(|hint| hint.contains("colour")), "{problems:#?}");
    problems[0].summary.clone()
}

fn inside(account: &str) -> String {
    INSIDE.replace("  values     = { ", &format!("  values     = {{ serviceAccount = {{ name = \"{account}\" }}, "))
}

/// Objects beside the chart of the module.
fn objects(selector: &str, claim: &str) -> String {
    format!(
        r#"
manifest "more" {{
  depends_on = [helm.web]
  wait       = false
  yaml = <<-EOT
    apiVersion: v1
    kind: Service
    metadata: {{ name: "more-${{var.color}}", namespace: web }}
    spec: {{ selector: {{ {selector} }}, ports: [ {{ port: 80 }} ] }}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata: {{ name: "more-${{var.color}}", namespace: web }}
    spec:
      selector: {{ matchLabels: {{ app: "more-${{var.color}}" }} }}
      template:
        metadata: {{ labels: {{ app: "more-${{var.color}}" }} }}
        spec:
          volumes: [ {{ name: d, persistentVolumeClaim: {{ claimName: "{claim}" }} }} ]
          containers: [ {{ name: more, image: "more:1" }} ]
    ---
    apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {{ name: "data-${{var.color}}", namespace: web }}
    spec: {{ accessModes: [ReadWriteOnce], resources: {{ requests: {{ storage: 1Gi }} }} }}
  EOT
}}
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_in_a_module_that_could_never_be_rolled_out_is_refused_before_it_is_installed() {
    // Its values hold an output of a stack beside it, which is not there yet.
    let mut lab = based(&inside("shop")).await;
    let what = said(&lab, "rollout_shared_object").await;
    assert!(what.contains("module.app.helm.web: both colours would have ServiceAccount web/shop"), "{what}");
    assert!(what.contains("never be rolled out"), "{what}");
    lab.files.insert("p/app/main.hcl".to_owned(), inside("shop-${var.color}"));
    lab.applied().await;
    // And of what stands there, which nobody looks at but for this.
    lab.files.insert("p/app/main.hcl".to_owned(), inside("shop"));
    let what = said(&lab, "rollout_shared_object").await;
    assert!(what.contains("blue and green both have ServiceAccount web/shop"), "{what}");
    let turned = inside("${var.color == \"green\" ? \"shop-blue\" : \"shop-new\"}");
    lab.files.insert("p/app/main.hcl".to_owned(), turned);
    let what = said(&lab, "rollout_shared_object").await;
    assert!(what.contains("blue and green both have ServiceAccount web/shop-blue"), "{what}");
    lab.files.insert("p/app/main.hcl".to_owned(), inside("shop-${var.color}"));
    lab.write(&module("two"));
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Green), 100));
    assert_eq!(lab.changes().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_claims_and_selectors_in_a_module_are_held_apart() {
    let fine = objects("app: \"more-${var.color}\"", "data-${var.color}");
    let mut lab = based(&format!("{INSIDE}{fine}")).await;
    lab.applied().await;
    lab.write(&module("two"));
    let cases = [
        (fine.replace("name: \"more-${var.color}\"", "name: more"), "rollout_shared_object", "Deployment web/more"),
        (objects("app: \"more-${var.color}\"", "data-blue"), "rollout_shared_claim", "web/data-blue"),
        (
            objects("app.kubernetes.io/name: headlamp", "data-${var.color}"),
            "rollout_selector",
            "Service web/more-green selects the pods of Deployment web/web-blue-headlamp",
        ),
    ];
    for (objects, code, what) in cases {
        lab.files.insert("p/app/main.hcl".to_owned(), format!("{INSIDE}{objects}"));
        let summary = said(&lab, code).await;
        assert!(summary.contains(what), "{summary}");
    }
    lab.files.insert("p/app/main.hcl".to_owned(), format!("{INSIDE}{fine}"));
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Green), 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_both_colours_are_refused_also_where_the_cluster_is_not_there_yet() {
    let shared = objects("app: \"more-${var.color}\"", "data-${var.color}");
    let lab = lab(&module("one"), &format!("{INSIDE}{}", shared.replace("name: \"more-${var.color}\"", "name: more")));
    let what = said(&lab, "rollout_shared_object").await;
    assert!(what.contains("module.app.manifest.more: both colours would have"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_the_same_in_both_colours_are_refused_and_those_that_differ_are_not() {
    let named = |kind: &str, name: &str| {
        let (from, to) = match kind {
            "chart" => ("  chart      = \"headlamp\"", format!("  name = {name}\n  chart      = \"headlamp\"")),
            _ => ("  template   = ", format!("  name = {name}\n  template   = ")),
        };
        INSIDE.replace(from, &to)
    };
    // That a name happens to hold the word of a colour does not tell them apart.
    for (kind, word) in [("chart", "release"), ("stack", "stack")] {
        let refused = lab(&module("one"), &named(kind, "\"blueprint\""));
        let what = said(&refused, "rollout_name").await;
        assert!(what.contains(&format!("the {word} is called `blueprint` in every colour")), "{what}");
    }
    let addon =
        "\neks_addon \"dns\" {\n  cluster = \"c\"\n  addon   = \"coredns\"\n  version = \"v1.12.4-eksbuild.1\"\n}\n";
    let refused = lab(&module("one"), &format!("{INSIDE}{addon}"));
    let what = said(&refused, "rollout_name").await;
    assert!(what.contains("module.app.eks_addon.dns: the add-on is called"), "{what}");

    // Nor does one have to hold it.
    let differs = "var.color == \"blue\" ? \"one\" : \"two\"";
    let mut lab = lab(&module("one"), &named("chart", differs));
    lab.applied().await;
    lab.write(&module("two"));
    lab.applied().await;
    assert_eq!((traffic(&lab, "module.app").await, after(&lab).await), ((Some(Color::Green), 100), "two".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_colours_of_a_root_have_a_state_each() {
    let root = |more: &str| format!("{INSIDE}\nterraform \"dns\" {{\n  root = \"${{path.module}}/dns\"\n{more}}}\n");
    let with = |inside: &str| {
        let mut lab = lab(&module("one"), inside);
        lab.files.insert("p/app/dns/main.tf".to_owned(), "variable \"color\" {}\n".to_owned());
        lab
    };
    let problems = refused(&with(&root("  workspace = \"same\"\n  inputs = { color = var.color }\n")), &[]).await;
    assert_eq!(problems.iter().map(|p| &*p.code).collect::<Vec<_>>(), ["state_twice"], "{problems:#?}");
    let both = "module.app@blue.terraform.dns and module.app@green.terraform.dns both have the state of";
    assert!(problems[0].summary.contains(both), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_held_against_each_other_and_not_against_the_words_of_colours() {
    let exported = |name: &str| {
        let mut lab = lab(&stack("one"), INSIDE);
        lab.files.insert("p/app.yaml".to_owned(), APP.replace("!Sub \"${AWS::StackName}-servers\"", name));
        lab
    };
    // `blue` is in it by chance.
    let refused = exported("app-blueprint-servers");
    let what = said(&refused, "rollout_export").await;
    assert!(what.contains("stack.app@blue and stack.app@green both export `app-blueprint-servers`"), "{what}");
    assert_eq!(there(&refused), Vec::<String>::new());
    // It differs by a parameter, whatever that says.
    let mut lab = exported("!Sub \"${Side}-servers\"");
    let parameter = "Parameters:\n  Side: { Type: String }\n";
    let text = lab.files["p/app.yaml"].replace("Parameters:\n", parameter);
    lab.files.insert("p/app.yaml".to_owned(), text);
    let side = |tag| stack(tag).replace("{ Tag = ", "{ Side = self.color == \"blue\" ? \"left\" : \"right\", Tag = ");
    lab.write(&side("one"));
    lab.applied().await;
    lab.write(&side("two"));
    lab.applied().await;
    assert_eq!(traffic(&lab, "stack.app").await, (Some(Color::Green), 100));
}
