//! Tests of loading: whole plans, good and bad.

use crate::{
    base::Diagnostics,
    lang::{Configuration, Declaration, MemorySources, load, test_schema::SCHEMA},
};
use std::{fmt::Write as _, path::Path, sync::Arc};

/// The project's own folders, from disk.
#[expect(clippy::disallowed_methods, reason = "the plans that are shipped lie on disk")]
fn project(folders: &[&str]) -> MemorySources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = MemorySources::default();
    let mut waiting: Vec<_> = folders.iter().map(|f| root.join(f)).collect();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                sources.0.insert(name, std::fs::read(&path).unwrap().into());
            }
        }
    }
    sources
}

/// Files in memory, by path.
fn files(files: &[(&str, &str)]) -> MemorySources {
    MemorySources(files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes()))).collect())
}

/// A plan of one file, beside what every plan needs.
fn plan(text: &str) -> (Option<Configuration>, Diagnostics) {
    let head = "plan \"p\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\nkubernetes \"main\" {\n  eks {\n    name = \"c\"\n  }\n}\n";
    load(&files(&[("plan/a.hcl", head), ("plan/b.hcl", text)]), "plan", &SCHEMA)
}

/// What is wrong, each with its place's text, its hint, its other places.
fn said(configuration: Option<&Configuration>, diagnostics: &Diagnostics) -> String {
    let mut out = String::new();
    for d in diagnostics {
        let at = d.labels.first().map_or_else(String::new, |label| {
            let text =
                configuration.and_then(|c| c.sources.text(&label.span.file)).map_or("?", |t| &t[label.span.range()]);
            format!(" at `{text}`")
        });
        let hint = d.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
        let _ = writeln!(out, "{}: {}{at}{hint}", d.code, d.summary);
    }
    out
}

fn problems(text: &str) -> String {
    let (configuration, diagnostics) = plan(text);
    said(configuration.as_ref(), &diagnostics)
}

fn declaration(path: &[&str], kind: &str, name: &str) -> Declaration {
    Declaration { path: path.iter().map(|p| Arc::from(*p)).collect(), kind: kind.into(), name: name.into() }
}

#[test]
fn the_reference_plan_loads_with_its_module() {
    let sources = project(&["plans", "modules"]);
    let (configuration, diagnostics) = load(&sources, "plans/eks-platform", &SCHEMA);
    let configuration = configuration.unwrap();
    assert_eq!(said(Some(&configuration), &diagnostics), "");
    assert_eq!(&*configuration.label, "eks_platform");
    let phases: Vec<&str> = configuration.phases.iter().map(|p| &*p.name).collect();
    assert_eq!(phases, ["foundation", "cluster", "services"]);
    let phase = |path: &[&str], kind: &str, name: &str| configuration.phase_of(&declaration(path, kind, name));
    assert_eq!(phase(&["observability"], "stack", "storage").as_deref(), Some("foundation"));
    assert_eq!(phase(&["observability"], "helm", "loki").as_deref(), Some("services"));
    assert_eq!(phase(&[], "stack", "network").as_deref(), Some("foundation"));
    assert_eq!(phase(&[], "data.secret", "grafana_admin"), None);
    assert_eq!(phase(&[], "check", "nodes_in_order").as_deref(), Some("services"));
    let headlamp = &configuration.root.resources[&("helm".into(), "headlamp".into())];
    assert!(headlamp.rollout.is_some());
    assert_eq!(
        headlamp.body.attributes.keys().map(|k| &**k).collect::<Vec<_>>(),
        ["chart", "namespace", "repository", "values", "version"]
    );
}

#[test]
fn every_example_loads() {
    let sources = project(&["examples"]);
    let mut seen = 0;
    let plans: std::collections::BTreeSet<String> = sources
        .0
        .iter()
        .filter(|(_, text)| String::from_utf8_lossy(text).contains("\nplan \""))
        .filter_map(|(path, _)| Some(path.rsplit_once('/')?.0.to_owned()))
        .collect();
    for folder in plans {
        let (configuration, diagnostics) = load(&sources, &folder, &SCHEMA);
        assert_eq!(said(configuration.as_ref(), &diagnostics), "", "{folder}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

// spellchecker:off
#[test]
fn what_is_misspelt_is_said_with_what_was_meant() {
    assert_eq!(
        problems(
            "stak \"a\" {\n}\nstack \"a\" {\n  templte = \"x\"\n}\nhelm \"b\" {\n  chart = \"c\"\n  verfy \"x\" {\n  }\n}\n"
        ),
        "unknown_kind: there is no block `stak` at `stak \"a\"` (did you mean `stack`?)\n\
         missing_attribute: `stack` needs `template` at `stack \"a\"`\n\
         unknown_attribute: `stack` has no attribute `templte` at `templte` (did you mean `template`?)\n\
         unknown_block: `helm` has no block `verfy` at `verfy \"x\"` (did you mean `verify`?)\n"
    );
}
// spellchecker:on

#[test]
fn plain_values_are_held_against_their_types() {
    assert_eq!(
        problems(
            r#"
helm "a" {
  chart  = ["x"]
  values = "text"
  wait   = "maybe"
  when   = 5
  timeouts {
    create = "5 minutes"
  }
}
eks_addon "b" {
  cluster           = "c"
  addon             = "d"
  resolve_conflicts = "keep"
}
eks_upgrade "c" {
  stack     = "cluster"
  parameter = null
}
"#
        ),
        "wrong_type: `chart` is a string, and not a list at `[\"x\"]`\n\
         wrong_type: `values` is an object, and not a string at `\"text\"`\n\
         wrong_type: `wait` is true or false, and not a string at `\"maybe\"`\n\
         wrong_type: `when` is true or false, and not a number at `5`\n\
         wrong_value: `5 minutes` is no duration; write a whole number with a unit, like \"30s\", \"5m\", \"1h30m\" or \"7d\" at `\"5 minutes\"`\n\
         wrong_value: `resolve_conflicts` cannot be \"keep\" at `\"keep\"` (there is `none`, `overwrite` and `preserve`)\n\
         wrong_type: `stack` is a reference and not a value at `\"cluster\"`\n\
         wrong_type: `parameter` is a string, and not null at `null`\n"
    );
}

// spellchecker:off
#[test]
fn every_reference_is_looked_up() {
    assert_eq!(
        problems(
            r#"
variable "region" {}
locals {
  name = var.regoin
}
stack "network" {
  template = local.nam
}
stack "many" {
  for_each = { a = 1 }
  template = each.value
}
value "v" {
  input = [
    stack.netwrk.outputs.X,
    stack.network.output,
    stack.network["a"].outputs,
    stack.many.outputs.X,
    stack.many["a"].outputs.X,
    [for k, s in stack.many : s.outputs.X],
    helm.network,
    stak.network,
    data.secret.x.value,
    data.secert.x,
    module.m.x,
    each.key,
    self.color,
    env.nme,
    path.modul,
    kubernetes.min,
    prometheus.main,
    foo,
    stack,
    [for stack in [1] : stack],
  ]
}
"#
        )
        .lines()
        .map(|line| line.trim_start_matches("unknown_reference: "))
        .collect::<Vec<_>>(),
        [
            "there is no variable `regoin` at `var.regoin` (did you mean `region`?)",
            "there is no local `nam` at `local.nam` (did you mean `name`?)",
            "there is no stack `netwrk` at `stack.netwrk` (did you mean `network`?)",
            "`stack` has no attribute `output` at `stack.network` (did you mean `outputs`?)",
            "`stack.network` has no instances by key at `stack.network[\"a\"]` (write stack.network)",
            "`stack.many` has `for_each`, so `outputs` is one of an instance at `stack.many` (write stack.many[\"key\"].outputs, or a `for` over stack.many)",
            "there is no helm `network` at `helm.network` (did you mean `stack.network`?)",
            "there is no kind `stak` at `stak.network` (did you mean `stack`?)",
            "there is no data.secret `x` at `data.secret.x`",
            "there is no data source `secert` at `data.secert.x` (did you mean `secret`?)",
            "there is no module `m` at `module.m.x`",
            "`each` stands for nothing here at `each`",
            "`self` stands for nothing here at `self`",
            "`env` has no `nme` at `env.nme` (did you mean `name`?)",
            "`path` has no `modul` at `path.modul` (did you mean `module`?)",
            "there is no kubernetes `min` at `kubernetes.min` (did you mean `main`?)",
            "there is no prometheus `main` at `prometheus.main`",
            "there is nothing called `foo` at `foo` (if it is meant as text, put it in quotes: \"foo\")",
            "`stack` alone names nothing at `stack` (write stack.NAME)",
        ]
    );
}
// spellchecker:on

#[test]
fn what_is_declared_twice_is_shown_at_both_places() {
    let (_, diagnostics) = plan(
        "variable \"a\" {}\nvariable \"a\" {}\nlocals {\n  b = 1\n}\nlocals {\n  b = 2\n}\nvalue \"c\" {\n}\nvalue \"c\" {\n}\n",
    );
    let twice: Vec<(&str, usize)> = diagnostics.iter().map(|d| (&*d.summary, d.labels.len())).collect();
    assert_eq!(
        twice,
        [
            ("the variable `a` is declared twice", 2),
            ("the local `b` is declared twice", 2),
            ("`value.c` is declared twice", 2)
        ]
    );
}

#[test]
fn count_and_terraforms_own_blocks_are_refused_with_what_to_write() {
    let said = problems("value \"a\" {\n  count = 2\n}\nresource \"x\" \"y\" {\n}\nprovider \"aws\" {\n}\n");
    assert!(said.contains("use `for_each`: instances have keys then"), "{said}");
    assert!(said.contains("leave `resource` out"), "{said}");
    assert!(said.contains("write a connection"), "{said}");
}

#[test]
fn a_variable_is_not_called_like_a_meta_argument_and_its_default_stands_alone() {
    let said = problems("variable \"phase\" {}\nvariable \"a\" {\n  default = var.phase\n  type = strin\n}\n"); // spellchecker:disable-line
    assert!(said.contains("reserved_name: a variable cannot be called `phase`"), "{said}");
    assert!(said.contains("not_literal: a default refers to nothing else"), "{said}");
    assert!(said.contains("did you mean `string`?"), "{said}");
}

#[test]
fn locals_made_of_each_other_are_a_cycle() {
    let said = problems("locals {\n  a = local.b\n  b = \"${local.c}x\"\n  c = local.a\n  d = local.a\n  e = 1\n}\n");
    assert_eq!(
        said,
        "reference_cycle: locals are made of each other: local.a needs local.b needs local.c needs local.a at `local.b`\n"
    );
}

#[test]
fn phases_are_ordered_and_mandatory_once_declared() {
    let (configuration, diagnostics) = plan(
        "phase \"b\" {\n  after = [phase.a]\n}\nphase \"a\" {}\nphase \"c\" {\n  after = [phase.b, phase.a]\n}\n\
         value \"x\" {\n}\nvalue \"y\" {\n  phase = phase.d\n}\nvalue \"z\" {\n  phase = \"a\"\n}\n",
    );
    let configuration = configuration.unwrap();
    assert_eq!(configuration.phases.iter().map(|p| &*p.name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let said = said(Some(&configuration), &diagnostics);
    assert!(said.contains("missing_phase: `value.x` has no phase"), "{said}");
    assert!(said.contains("unknown_reference: there is no phase `d` at `phase.d`"), "{said}");
    assert!(said.contains("(write phase.a)"), "{said}");
    let said = problems("phase \"a\" {\n  after = [phase.b]\n}\nphase \"b\" {\n  after = [phase.a]\n}\n");
    assert!(said.contains("phase_cycle: phases wait for each other: `a` after `b` after `a`"), "{said}");
}

#[test]
fn without_phases_there_is_one() {
    let (configuration, _) = plan("value \"x\" {\n}\n");
    assert_eq!(configuration.unwrap().phase_of(&declaration(&[], "value", "x")).as_deref(), Some("main"));
}

fn modules(root: &str, inner: &[(&str, &str)]) -> String {
    let head = "plan \"p\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\n";
    let mut all = vec![("plan/a.hcl", head), ("plan/b.hcl", root)];
    all.extend(inner);
    let (configuration, diagnostics) = load(&files(&all), "plan", &SCHEMA);
    said(configuration.as_ref(), &diagnostics)
}

#[test]
fn arguments_of_a_module_are_held_against_its_variables() {
    let module = "variable \"name\" {\n  type = string\n}\nvariable \"size\" {\n  default = 1\n}\noutput \"url\" {\n  value = var.name\n}\n";
    assert_eq!(
        modules(
            "module \"m\" {\n  source = \"./m\"\n  nme = \"x\"\n}\noutput \"o\" {\n  value = module.m.ur\n}\n", // spellchecker:disable-line
            &[("plan/m/m.hcl", module)]
        ),
        "missing_attribute: the module needs `name` at `module \"m\"`\n\
         unknown_attribute: the module has no variable `nme` at `nme` (did you mean `name`?)\n\
         unknown_reference: `module.m` has no output `ur` at `module.m.ur` (did you mean `url`?)\n" // spellchecker:disable-line
    );
}

#[test]
fn a_module_declares_nothing_that_its_caller_decides() {
    let said = modules(
        "module \"m\" {\n  source = \"./m\"\n}\n",
        &[(
            "plan/m/m.hcl",
            "plan \"x\" {}\nphase \"a\" {}\nkubernetes \"k\" {\n}\naws \"w\" {\n}\nenvironment \"e\" {\n}\n",
        )],
    );
    assert_eq!(said.matches("not_in_module").count(), 5, "{said}");
}

#[test]
fn modules_that_call_each_other_are_a_cycle_shown_as_a_chain() {
    let call = |to: &str| format!("module \"m\" {{\n  source = \"../{to}\"\n}}\n");
    let said = modules("module \"m\" {\n  source = \"../a\"\n}\n", &[("a/a.hcl", &call("b")), ("b/b.hcl", &call("a"))]);
    assert_eq!(said, "module_cycle: the module calls itself: a calls b calls a at `\"../a\"`\n");
}

#[test]
fn sources_that_are_no_folders_are_refused_by_name() {
    for source in ["git::https://example.com/x.git", "oci://example.com/x", "example.com/x/y", "git@example.com:x.git"]
    {
        let said = modules(
            &format!("module \"m\" {{\n  source = \"{source}\"\n}}\noutput \"o\" {{\n  value = module.m.x\n}}\n"),
            &[],
        );
        assert!(said.contains("not supported yet") && said.lines().count() == 1, "{said}");
    }
    assert!(modules("module \"m\" {\n  source = \"m\"\n}\n", &[]).contains("write \"./m\""));
    assert!(modules("module \"m\" {\n  source = \"./m\"\n}\n", &[]).contains("no such file or folder: plan/m"));
    assert!(modules("module \"m\" {\n  source = \"../../m\"\n}\n", &[]).contains("leads out of the project"));
}

#[test]
fn a_module_gets_the_phases_that_it_names() {
    let module = "value \"a\" {\n  phase = phase.storage\n}\nvalue \"b\" {\n}\n";
    let phases = "phase \"one\" {}\n";
    let said = modules(
        &format!("{phases}module \"m\" {{\n  source = \"./m\"\n  phases = {{ storge = phase.one }}\n}}\n"), // spellchecker:disable-line
        &[("plan/m/m.hcl", module)],
    );
    assert!(said.contains("missing_phase: the module wants a phase `storage`"), "{said}");
    assert!(said.contains("unknown_phase: the module names no phase `storge`"), "{said}"); // spellchecker:disable-line
    assert!(said.contains("missing_phase: `module.m` has no phase"), "{said}");
}

#[test]
fn environments_hold_plain_values_and_one_world() {
    let said = problems(
        "environment \"a\" {\n  soak = var.x\n  aws {\n    region = \"x\"\n    account_id = \"1\"\n  }\n  sandbox {}\n}\n\
         environment \"b\" {\n}\nenvironment \"c\" {\n  after = [environment.d]\n  sandbox {}\n}\n",
    );
    for wanted in [
        "not_literal: `soak` is a plain value",
        "wrong_value: `1` is no AWS account",
        "exactly_one: `environment` takes one of `aws` and `sandbox` and not several",
        "exactly_one: `environment` needs one of `aws` and `sandbox`",
        "unknown_reference: there is no environment `d`",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
}

#[test]
fn a_verify_block_has_one_probe_and_plain_times() {
    let said = problems(
        "value \"a\" {\n  verify \"x\" {\n  }\n  verify \"y\" {\n    tcp {\n      port = 1\n    }\n    pods {\n      namespace = \"n\"\n    }\n    within = var.x\n    consecutive = 0\n  }\n}\n",
    );
    for wanted in [
        "exactly_one: `verify` needs one of",
        "exactly_one: `verify` takes one of `tcp` and `pods`",
        "not_literal: `within`",
        "`consecutive` is at least 1",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
}

#[test]
fn refactoring_blocks_hold_addresses() {
    let (configuration, diagnostics) = plan(
        "moved {\n  from = stack.a\n  to   = stack.b[\"x \\\"y\\\"\"]\n}\nmoved {\n  from = module.a\n  to   = module.b[\"k\"]\n}\n\
         import {\n  to = module.b.helm.x\n  id = \"n/x\"\n}\nremoved {\n  from = stack.legacy\n}\n",
    );
    let configuration = configuration.unwrap();
    assert_eq!(said(Some(&configuration), &diagnostics), "");
    let moved: Vec<String> = configuration.root.moved.iter().map(|m| format!("{:?} {:?}", m.from, m.to)).collect();
    assert_eq!(
        moved,
        [
            "Resource(stack.a) Resource(stack.b[\"x \\\"y\\\"\"])",
            "Module(\"module.a\") Module(\"module.b[\\\"k\\\"]\")"
        ]
    );
    assert_eq!(configuration.root.imports[0].to.to_string(), "module.b.helm.x");
    let said = problems(
        "moved {\n  from = stack.a\n  to = helm.a\n}\nmoved {\n  from = module.a\n  to = stack.a\n}\nremoved {\n  from = stack\n}\nimport {\n  to = stack.a[0]\n  id = 1\n}\n",
    );
    assert_eq!(said.matches("wrong_address").count(), 4, "{said}");
}

// spellchecker:off
#[test]
fn a_syntax_error_silences_what_follows_from_it_and_nothing_else() {
    let said = problems(
        "stack \"a\" {\n  template = [\n}\n\nvalue \"b\" {\n  input = stack.a.outputs.X\n}\n\nvalue \"c\" {\n  inpt = 1\n}\n",
    );
    let codes: Vec<&str> = said.lines().filter_map(|l| l.split(':').next()).collect();
    assert_eq!(codes, ["syntax", "syntax", "unknown_attribute"], "{said}");
}
// spellchecker:on

#[test]
fn a_version_that_is_not_met_is_said_first_of_all() {
    let sources = files(&[(
        "p/a.hcl",
        "plan \"p\" {\n  requires_terrace = \"~> 2.0\"\n}\nenvironment \"d\" {\n  sandbox {}\n}\n",
    )]);
    let of = |version| crate::lang::load_for(&sources, "p", &SCHEMA, version).1.has_errors();
    assert!(of("1.9.0"));
    assert!(!of("2.1.0"));
}

#[test]
fn a_folder_without_a_plan_is_no_plan() {
    assert!(load(&files(&[("p/a.hcl", "locals {\n}\n")]), "p", &SCHEMA).0.is_none());
    assert!(load(&files(&[("p/a.txt", "")]), "p", &SCHEMA).0.is_none());
    assert!(load(&files(&[]), "p", &SCHEMA).1.has_errors());
}

#[test]
fn test_files_are_no_part_of_the_plan() {
    let (configuration, diagnostics) = load(
        &files(&[
            ("p/a.hcl", "plan \"p\" {}\nenvironment \"d\" {\n  sandbox {}\n}\n"),
            ("p/a.test.hcl", "nonsense {\n}\n"),
        ]),
        "p",
        &SCHEMA,
    );
    assert_eq!(said(configuration.as_ref(), &diagnostics), "");
}

#[test]
fn with_several_clusters_one_must_be_named() {
    let said = problems(
        "kubernetes \"other\" {\n  kubeconfig {}\n}\nmanifest \"a\" {\n  object = {}\n}\nmanifest \"b\" {\n  object = {}\n  kubernetes = kubernetes.other\n}\nmanifest \"c\" {\n  object = {}\n  kubernetes = aws.x\n}\n",
    );
    assert!(said.contains("missing_connection: `manifest.a` does not say which cluster"), "{said}");
    assert!(!said.contains("manifest.b"), "{said}");
    assert!(said.contains("wrong_type: this names no connection at `aws.x`"), "{said}");
}

// spellchecker:off
#[test]
fn dynamic_blocks_are_held_against_what_they_make() {
    let said = problems(
        "helm \"a\" {\n  chart = \"c\"\n  dynamic \"set\" {\n    for_each = { a = 1 }\n    content {\n      name  = set.key\n      value = set.value\n    }\n  }\n  dynamic \"sets\" {\n    for_each = []\n    content {}\n  }\n  dynamic \"set\" {\n    for_each = []\n    content {\n      nam = 1\n    }\n  }\n}\n",
    );
    assert_eq!(
        said,
        "unknown_block: `helm` has no block `sets` at `\"sets\"` (did you mean `set`?)\n\
         missing_attribute: `set` needs `name` at `content`\n\
         missing_attribute: `set` needs `value` at `content`\n\
         unknown_attribute: `set` has no attribute `nam` at `nam` (did you mean `name`?)\n"
    );
}
// spellchecker:on

#[test]
fn the_examples_of_the_language_guide_are_good_and_in_layout() {
    let guide = include_str!("../../docs/language.md");
    let examples: Vec<&str> = guide.split("```hcl\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 10);
    for example in examples {
        let formatted = crate::lang::format(example, &"guide".into()).unwrap_or_else(|e| panic!("{e:?}\n{example}"));
        assert_eq!(formatted, example);
        let others: Vec<String> = problems(example)
            .lines()
            // What an example refers to is declared elsewhere.
            .filter(|line| !line.starts_with("unknown_reference") && !line.starts_with("duplicate: "))
            .filter(|line| !line.starts_with("missing_phase") && !line.starts_with("unreadable"))
            .map(str::to_owned)
            .collect();
        assert_eq!(others, Vec::<String>::new(), "{example}");
    }
}

#[test]
fn every_code_of_the_language_is_in_its_guide() {
    let guide = include_str!("../../docs/language.md");
    let texts = [
        include_str!("check.rs"),
        include_str!("load.rs"),
        include_str!("phases.rs"),
        include_str!("resolve.rs"),
        include_str!("types.rs"),
        include_str!("decode/call.rs"),
        include_str!("decode/mod.rs"),
        include_str!("decode/plain.rs"),
        include_str!("decode/plan.rs"),
        include_str!("decode/refactoring.rs"),
        include_str!("decode/resource.rs"),
        include_str!("decode/values.rs"),
        include_str!("parse/body.rs"),
        include_str!("parse/mod.rs"),
        include_str!("values/mod.rs"),
    ];
    let mut seen = 0;
    for text in texts {
        let plain: String = text.split_whitespace().collect();
        for made in ["Diagnostic::error(\"", "Diagnostic::warning(\""] {
            for code in plain.split(made).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(guide.contains(&format!("`{code}`")), "{code}");
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn what_counts_in_rollouts_only_is_refused_elsewhere() {
    let body = "tcp {\n      port = 1\n    }\n    initial_delay = \"1m\"\n    inconclusive_limit = 1\n    error_limit = 2\n    dry_run = true\n";
    for outside in [
        format!("value \"a\" {{\n  verify \"x\" {{\n    {body}  }}\n}}\n"),
        format!("phase \"p\" {{\n  verify \"x\" {{\n    {body}  }}\n}}\n"),
    ] {
        let said = problems(&outside);
        for name in ["initial_delay", "inconclusive_limit", "error_limit", "dry_run"] {
            assert!(said.contains(&format!("only_in_rollout: `{name}` counts in a `rollout` only")), "{said}");
        }
    }
}

#[test]
fn measurements_of_a_rollout_fit_in_their_time() {
    let verify = |limits: &str| {
        problems(&format!(
            "helm \"a\" {{\n  chart = \"c\"\n  namespace = \"n\"\n  rollout {{\n    verify \"x\" {{\n      tcp {{\n        port = 1\n      }}\n      {limits}\n    }}\n  }}\n}}\n"
        ))
    };
    let said = verify("every = \"1m\"\n      count = 20");
    assert!(said.contains("20 measurements, one every 1m, do not fit in 5m"), "{said}");
    let said = verify("count = 2\n      consecutive = 3");
    assert!(said.contains("2 measurements never pass 3 times in a row"), "{said}");
    let said = verify("initial_delay = \"1m\"\n      dry_run = true\n      error_limit = 0\n      count = 0");
    assert!(said.contains("`count` is at least 1") && !said.contains("only_in_rollout"), "{said}");
}
