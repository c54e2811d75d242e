//! The templates that the project ships, as tests of the whole model: they parse without a word, resolve without a
//! problem, and differ from themselves in nothing.

use crate::cfn::{Because, Context, Node, Template, diff};
use include_dir::{Dir, include_dir};
use std::collections::BTreeMap;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/cfn-templates");
static EXAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples");

/// Every YAML file of the folder, and those of folders called `templates` within it.
fn collect(dir: &Dir<'static>, all: &mut Vec<(String, &'static str)>) {
    for inner in dir.dirs() {
        collect(inner, all);
    }
    let holds = dir.path().ends_with("templates") || dir.path().as_os_str().is_empty();
    for file in dir.files().filter(|f| holds && f.path().extension().is_some_and(|e| e == "yaml")) {
        all.push((file.path().display().to_string(), file.contents_utf8().unwrap()));
    }
}

fn templates() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    collect(&TEMPLATES, &mut all);
    assert!(all.len() >= 5);
    let shipped = all.len();
    collect(&EXAMPLES, &mut all);
    // A template is told by its resources; other YAML files of the examples are none of ours.
    all.retain(|(_, text)| text.contains("Resources:") && text.contains("AWS::"));
    assert!(all.len() > shipped);
    all.sort();
    all
}

/// Something that the declaration allows.
fn sample(name: &str, declared: &crate::cfn::ParameterDecl) -> String {
    let tries = [
        "platform",
        "dev",
        "10.0.0.0/16",
        "100.64.0.0/16",
        "vpc-0123456789abcdef0",
        "1.34",
        "3",
        "x-1",
        "arn:aws:iam::000000000000:role/x",
        "https://oidc.eks.us-east-1.amazonaws.com/id/ABC",
        "key-1",
        "true",
        "",
        "oidc.eks.us-east-1.amazonaws.com/id/ABC",
        "subnet-0123456789abcdef0",
        "a@b.c",
        "sg-0123456789abcdef0",
        "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000",
    ];
    let allowed = declared.allowed_values.iter().map(String::as_str);
    allowed
        .chain(tries)
        .find(|text| {
            let mut problems = crate::base::Diagnostics::new();
            declared.check(name, text, &mut problems);
            problems.is_empty()
        })
        .unwrap_or_else(|| panic!("no sample for {name}: {declared:?}"))
        .to_owned()
}

fn context(template: &Template) -> Context<'static> {
    let mut context = Context::offline("000000000000", "us-east-1", "platform-dev");
    context.zones = ["a", "b", "c"].map(|z| format!("us-east-1{z}")).to_vec();
    for (name, declared) in &template.parameters {
        if declared.default.is_none() {
            context.parameters.insert(name.clone(), sample(name, declared));
        }
    }
    context
}

#[test]
fn every_shipped_template_is_understood_whole() {
    for (file, text) in templates() {
        let (template, problems) = Template::parse(&file, text);
        assert!(problems.is_empty(), "{file}: {:#?}", problems.0);
        let context = context(&template);
        assert!(template.check_parameters(&context.parameters).is_empty(), "{file}");
        let (resolved, problems) = template.resolve(&context);
        assert!(problems.is_empty(), "{file}: {:#?}", problems.0);
        assert_eq!(diff(Some(&resolved), Some(&resolved), &BTreeMap::new()), [], "{file}");
        assert_eq!(template.order().concat().len(), template.resources.len(), "{file}");
        for resource in resolved.resources.values() {
            for because in resource.properties.waits_for() {
                assert!(!matches!(because, Because::Invalid | Because::Transform(_)), "{file}: {because}");
            }
        }
        for id in template.resources.keys() {
            let span = template.span_of(id, None).unwrap();
            assert_eq!(&text[span.range()], id, "{file}");
        }
        // The long form says the same.
        let (again, problems) = Template::parse("t.json", &template.to_json().to_string());
        assert!(problems.is_empty(), "{file}: {problems:?}");
        assert_eq!(again.resolve(&context).0, resolved, "{file}");
    }
}

#[test]
fn the_network_has_its_ranges_and_a_changed_one_replaces_the_subnet_and_what_hangs_on_it() {
    let (_, text) = templates().into_iter().find(|(file, _)| file == "network.yaml").unwrap();
    let (template, _) = Template::parse("network.yaml", text);
    let attribute = |id: &str, a: Option<&str>| Some(Node::string(a.map_or(id.to_owned(), |a| format!("{id}.{a}"))));
    let context = Context { attribute: &attribute, ..context(&template) };
    let (before, _) = template.resolve(&context);
    let range = |id: &str| before.resources[id].properties.get("CidrBlock").and_then(Node::as_str).map(str::to_owned);
    assert_eq!(range("PublicSubnetA").as_deref(), Some("10.0.0.0/20"));
    assert_eq!(range("PrivateSubnetC").as_deref(), Some("10.0.80.0/20"));
    let zone = before.resources["PublicSubnetB"].properties.get("AvailabilityZone").and_then(Node::as_str);
    assert_eq!(zone, Some("us-east-1b"));

    let mut moved = context;
    moved.parameters.insert("PublicSubnetCidrs".to_owned(), "10.0.128.0/20, 10.0.16.0/20,10.0.32.0/20".to_owned());
    let (after, problems) = template.resolve(&moved);
    assert!(problems.is_empty());
    let found: Vec<String> = diff(Some(&before), Some(&after), &BTreeMap::new())
        .into_iter()
        .map(|d| format!("{} {:?}", d.logical_id, d.replacement))
        .collect();
    assert!(found.contains(&"PublicSubnetA Always".to_owned()), "{found:?}");
    assert!(found.iter().any(|f| f.contains("RouteTable") && f.ends_with("Always")), "{found:?}");
    assert!(!found.iter().any(|f| f.starts_with("PublicSubnetB ") || f.starts_with("Vpc ")), "{found:?}");
}
