//! Tests of evaluation: whole small plans.

#![expect(clippy::disallowed_methods, reason = "reads the project's own plans from disk")]
#![expect(clippy::format_push_string, reason = "plans of thousands of lines are written by the tests")]

use super::*;
use crate::base::Color;
use crate::lang::{Declaration, MemorySources, load, parse::parse_expression, test_schema::SCHEMA};

const HEAD: &str =
    "plan \"p\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\nkubernetes \"main\" {\n  eks {\n    name = \"c\"\n  }\n}\n";

/// The project's own plans and modules, from disk.
fn project() -> MemorySources {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = MemorySources::default();
    let mut waiting = vec![root.join("plans"), root.join("modules")];
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

/// An evaluator over files in memory; `plan/a.hcl` holds what every plan needs.
fn of(files: &[(&str, &str)], variables: &[(&str, Value)]) -> (Evaluator, Diagnostics) {
    let mut sources = MemorySources::default();
    sources.0.insert("plan/a.hcl".into(), HEAD.as_bytes().into());
    for (path, text) in files {
        sources.0.insert((*path).into(), text.as_bytes().into());
    }
    let sources = Arc::new(sources);
    let (configuration, diagnostics) = load(&*sources, "plan", &SCHEMA);
    assert!(!diagnostics.has_errors(), "{diagnostics:#?}");
    let given = Given {
        env: EnvValues { name: "dev".into(), region: "us-east-1".into(), account_id: "000000000000".into() },
        variables: variables.iter().map(|(k, v)| ((*k).into(), v.clone())).collect(),
        plan_time: "2026-01-02T03:04:05Z".parse().unwrap(),
    };
    Evaluator::new(Arc::new(configuration.unwrap()), given, sources, &SCHEMA)
}

fn plan(text: &str) -> Evaluator {
    let (evaluator, diagnostics) = of(&[("plan/b.hcl", text)], &[]);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    evaluator
}

fn ask(evaluator: &mut Evaluator, expression: &str) -> Result<Value, Diagnostics> {
    evaluator.expression(&[], &parse_expression(expression, &"<test>".into()).unwrap())
}

/// The value of an expression beside some locals, in the words of `Debug`.
fn value(locals: &str, expression: &str) -> String {
    let mut evaluator = plan(&format!("locals {{\n{locals}\n}}\n"));
    match ask(&mut evaluator, expression) {
        Ok(value) => format!("{value:?}"),
        Err(diagnostics) => said(&diagnostics),
    }
}

fn said(diagnostics: &Diagnostics) -> String {
    let line = |d: &Diagnostic| match &d.hint {
        Some(hint) => format!("{d} ({hint})"),
        None => d.to_string(),
    };
    diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn texts(addresses: &[Address]) -> Vec<&str> {
    addresses.iter().map(Address::as_str).collect()
}

fn declaration(path: &[&str], kind: &str, name: &str) -> Declaration {
    Declaration { path: path.iter().map(|p| Arc::from(*p)).collect(), kind: kind.into(), name: name.into() }
}

#[test]
fn expressions_have_terraforms_values() {
    for (expression, expected) in [
        ("1 + 2 * 3", "7"),
        ("0.1 + 0.2 == 0.3", "true"),
        ("\"5\" + 1", "6"),
        ("-5 % 3", "-2"),
        ("!true || 1 < 2", "true"),
        ("1 == \"1\"", "false"),
        ("[1, \"a\", null][1]", "\"a\""),
        ("{ a = 1, (\"b\") = 2, \"c\" = 3 }", "{\"a\": 1, \"b\": 2, \"c\": 3}"),
        ("{ a = { b = [1, 2] } }.a.b[1]", "2"),
        ("\"x${1 + 1}y\"", "\"x2y\""),
        ("\"%{ if true }a%{ else }b%{ endif }\"", "\"a\""),
        ("\"%{ for k, v in { a = 1, b = 2 } }${k}=${v};%{ endfor }\"", "\"a=1;b=2;\""),
        ("[for x in [1, 2, 3] : x * 2 if x > 1]", "[4, 6]"),
        ("{ for k, v in { a = 1 } : v => k }", "{\"1\": \"a\"}"),
        ("{ for x in [1, 2, 3] : x % 2 => x... }", "{\"0\": [2], \"1\": [1, 3]}"),
        ("[{ a = 1 }, { a = 2 }][*].a", "[1, 2]"),
        ("null[*]", "[]"),
        ("{ a = 1 }[*].a", "[1]"),
        ("true ? 1 : \"a\"", "\"1\""),
        ("true ? { a = 1 } : { b = \"2\" }", "{\"a\": \"1\"}"),
        ("true ? [1] : [\"a\", \"b\"]", "[\"1\"]"),
        ("false ? [][0] : 5", "5"),
        ("[for i, a in [1, 2] : [for b in [10] : a * b + i]]", "[[10], [21]]"),
        ("try([][0], \"none\")", "\"none\""),
        ("can([][0])", "false"),
        ("env.name", "\"dev\""),
        ("path.root", "\"plan\""),
    ] {
        assert_eq!(value("", expression), expected, "{expression}");
    }
}

#[test]
fn what_is_wrong_says_where_what_and_what_to_write() {
    for (expression, expected) in [
        ("1 + \"a\"", "an operand of + must be a number, not a string (texts are joined in a template: \"${a}${b}\")"),
        ("1 / 0", "division by zero"),
        (
            "\"a${null}\"",
            "null cannot be put into a text (guard it with a condition, or give it a default: coalesce(x, \"-\"))",
        ),
        (
            "\"a${[1]}\"",
            "a tuple cannot be put into a text: only strings, numbers and bools have a text of their own (write jsonencode(...) around it, or join(\",\", ...))",
        ),
        ("{ name = 1 }.nmae", "this object has no attribute `nmae` (did you mean `name`?)"), // spellchecker:disable-line
        ("[1][3]", "there is no element at that index: it has one element, [0]"),
        (
            "{ for x in [1, 1] : x => x }",
            "two elements have the key \"1\" (make the key distinct, or group the values: put ... behind the value)",
        ),
        ("local.missing", "there is no local.missing"),
        (
            "true ? [1] : { a = 1 }",
            "the two sides of a conditional have no type in common: one is tuple([number]), the other object({ a = number }); a conditional has one type, whichever side is taken (give both sides the same shape, or merge(...) in what only one of them has)",
        ),
        (
            "[1 + \"a\", \"x${null}\"]",
            "an operand of + must be a number, not a string (texts are joined in a template: \"${a}${b}\")\nnull cannot be put into a text (guard it with a condition, or give it a default: coalesce(x, \"-\"))",
        ),
        ("5 ? 1 : 2", "the condition must be true or false, not a number"),
        ("foo", "`foo` means nothing here (a text is written in quotes: \"foo\")"),
        ("each.key", "`each` means nothing here: the block it stands in has no `for_each`"),
        ("uper(\"a\")", "there is no function `uper` (did you mean `upper`?)"), // spellchecker:disable-line
    ] {
        assert_eq!(value("", expression), expected, "{expression}");
    }
}

#[test]
fn unknown_parts_stay_where_they_are() {
    let text = "stack \"a\" {\n template = \"t\"\n}\nlocals {\n m = { known = 1, later = stack.a.outputs.X }\n}\n";
    let mut evaluator = plan(text);
    let mut show = |expression: &str| format!("{:?}", ask(&mut evaluator, expression).unwrap());
    assert_eq!(show("local.m.known"), "1");
    assert_eq!(show("local.m.later"), "(unknown until stack.a)");
    assert_eq!(show("\"x-${local.m.later}\""), "(unknown until stack.a)");
    assert_eq!(show("[for k, v in local.m : v]"), "[1, (unknown until stack.a)]");
    assert_eq!(show("[for x in stack.a.outputs.List : x]"), "(unknown until stack.a)");
    assert_eq!(show("stack.a.outputs.X == \"y\" ? 1 : 2"), "(unknown until stack.a)");
    assert_eq!(show("local.m == { known = 2, later = 3 }"), "false");
    assert_eq!(show("local.m == { known = 1, later = 3 }"), "(unknown until stack.a)");
    assert_eq!(show("false && stack.a.outputs.X"), "false");
    assert_eq!(show("stack.a.outputs.X && false"), "false");
    assert_eq!(show("can(stack.a.outputs.X)"), "(unknown until stack.a)");
    assert_eq!(show("{ (stack.a.id) = 1 }"), "(unknown until stack.a)");
    assert!(said(&ask(&mut evaluator, "stack.a.outptus").unwrap_err()).contains("did you mean `outputs`")); // spellchecker:disable-line
}

#[test]
fn sensitive_parts_mark_what_is_made_of_them_and_nothing_else() {
    let variables = "variable \"s\" {\n default = \"hunter2\"\n sensitive = true\n}\nlocals {\n m = { open = 1, secret = var.s }\n}\n";
    let mut evaluator = plan(variables);
    let mut show = |expression: &str| format!("{:?}", ask(&mut evaluator, expression).unwrap());
    assert_eq!(show("local.m"), "{\"open\": 1, \"secret\": (sensitive)}");
    assert_eq!(show("\"a${var.s}\""), "(sensitive)");
    assert_eq!(show("local.m.open"), "1");
    assert_eq!(show("var.s == \"x\""), "(sensitive)");
    assert_eq!(show("var.s == \"hunter2\" ? 1 : 2"), "(sensitive)");
    assert_eq!(show("[for x in [1] : x if var.s == \"hunter2\"]"), "(sensitive)");
    assert_eq!(show("{ (var.s) = 1 }"), "(sensitive)");
    assert_eq!(show("nonsensitive(var.s)"), "\"hunter2\"");
    let problem = said(&ask(&mut evaluator, "local.m[var.s]").unwrap_err());
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[test]
fn setting_a_resource_reaches_exactly_what_was_made_of_it() {
    let text = "stack \"a\" {\n template = \"t\"\n}\nlocals {\n x = \"${stack.a.outputs.X}!\"\n y = local.x\n}\n";
    let mut evaluator = plan(text);
    assert!(ask(&mut evaluator, "local.y").unwrap().is_unknown());
    let outputs = |x: &str| Value::object([("outputs", Value::object([("X", Value::string(x))]))]);
    evaluator.set(&address("stack.a"), outputs("one"));
    assert_eq!(ask(&mut evaluator, "local.y").unwrap(), "one!".into());
    evaluator.set(&address("stack.a"), outputs("two"));
    assert_eq!(ask(&mut evaluator, "local.y").unwrap(), "two!".into());
}

#[test]
fn instances_follow_for_each_and_when() {
    let text = r#"
stack "set" {
  for_each = toset(["b", "a"])
  when     = each.key != "b"
  template = "t-${each.key}-${each.value}"
}
stack "map" {
  for_each = { x = { on = true }, y = { on = false } }
  when     = each.value.on
  template = each.key
}
stack "later" {
  for_each = stack.set["a"].outputs.Names
  template = each.key
}
stack "off" {
  when     = env.name == "prd"
  template = "t"
}
"#;
    let mut evaluator = plan(text);
    let expansion = evaluator.expand(&declaration(&[], "stack", "set")).unwrap();
    assert_eq!(texts(&expansion.instances), ["stack.set[\"a\"]"]);
    assert_eq!(texts(&expansion.off), ["stack.set[\"b\"]"]);
    let expansion = evaluator.expand(&declaration(&[], "stack", "map")).unwrap();
    assert_eq!(texts(&expansion.instances), ["stack.map[\"x\"]"]);
    let expansion = evaluator.expand(&declaration(&[], "stack", "later")).unwrap();
    assert_eq!(expansion.unknown[0].pattern.as_str(), "stack.later[*]");
    assert_eq!(texts(&expansion.unknown[0].waits_for), ["stack.set[\"a\"]"]);
    assert_eq!(texts(&evaluator.expand(&declaration(&[], "stack", "off")).unwrap().off), ["stack.off"]);
    let evaluated = evaluator.evaluate(&address("stack.set[\"a\"]")).unwrap();
    assert_eq!(format!("{:?}", evaluated.inputs), "{\"template\": \"t-a-a\"}");
    let pattern = evaluator.evaluate(&address("stack.later[*]")).unwrap();
    assert_eq!(format!("{:?}", pattern.inputs), "{\"template\": (unknown)}");
    for gone in ["stack.set[\"b\"]", "stack.set[\"c\"]", "stack.set", "stack.off", "stack.off[\"a\"]"] {
        assert!(said(&evaluator.evaluate(&address(gone)).unwrap_err()).contains("is not there"), "{gone}");
    }
    evaluator.set(
        &address("stack.set[\"a\"]"),
        Value::object([("outputs", Value::object([("Names", Value::object([("n", Value::NULL)]))]))]),
    );
    let expansion = evaluator.expand(&declaration(&[], "stack", "later")).unwrap();
    assert_eq!(texts(&expansion.instances), ["stack.later[\"n\"]"]);
}

#[test]
fn a_for_each_that_cannot_be_names_what_to_write() {
    let refused = |for_each: &str, expected: &str| {
        let text = format!(
            "variable \"s\" {{\n default = \"x\"\n sensitive = true\n}}\nstack \"a\" {{\n for_each = {for_each}\n template = each.key\n}}\n"
        );
        let problem = said(&plan(&text).expand(&declaration(&[], "stack", "a")).unwrap_err());
        assert!(problem.contains(expected), "{problem}");
    };
    refused("[\"a\"]", "`for_each` is a tuple");
    refused("toset([1, 2])", "`for_each` is a set with a number in it");
    refused("toset([var.s])", "must not be sensitive");
    refused("null", "write {} for no instances");
    refused("\"a\"", "`for_each` is a string");
}

#[test]
fn what_is_off_may_be_referred_to_only_under_a_guard() {
    let text = r#"
variable "on" {
  default = false
}
stack "a" {
  when     = var.on
  template = "t"
}
locals {
  tried   = try(stack.a.outputs.X, "none")
  guarded = var.on ? stack.a.outputs.X : "none"
  plain   = stack.a.outputs.X
}
"#;
    let mut evaluator = plan(text);
    assert_eq!(ask(&mut evaluator, "local.tried").unwrap(), "none".into());
    assert_eq!(ask(&mut evaluator, "local.guarded").unwrap(), "none".into());
    assert!(said(&ask(&mut evaluator, "local.plain").unwrap_err()).contains("its `when` is false"));
}

#[test]
fn a_circle_is_shown_whole() {
    let text = "stack \"a\" {\n for_each = local.keys\n template = \"t\"\n}\nlocals {\n keys = toset([for k, v in stack.a : k])\n}\n";
    let mut evaluator = plan(text);
    let diagnostics = evaluator.expand(&declaration(&[], "stack", "a")).unwrap_err();
    let problem = &diagnostics.0[0];
    assert_eq!(problem.code, "cycle");
    assert_eq!(problem.detail, "the instances of stack.a → local.keys → the instances of stack.a");
    assert_eq!(problem.labels.len(), 2);
}

#[test]
fn a_long_chain_of_locals_ends_in_a_diagnostic_and_not_in_a_crash() {
    let chain = |n: usize| {
        let mut text = "locals {\n l0 = 1\n".to_owned();
        for i in 1..=n {
            text.push_str(&format!(" l{i} = [for x in [local.l{}] : \"${{x}}\"][0]\n", i - 1));
        }
        text + "}\n"
    };
    assert_eq!(ask(&mut plan(&chain(100)), "local.l100").unwrap(), 1.into());
    assert!(said(&ask(&mut plan(&chain(3000)), "local.l3000").unwrap_err()).contains("wait for each other"));
}

#[test]
fn deep_expressions_in_long_chains_do_not_overflow_the_stack() {
    let shapes: [(&str, &str); 5] =
        [("[for x in [", "] : x][0]"), ("upper(", ")"), ("true ? ", " : 1"), ("\"a${", "}\""), ("{ a = ", " }.a")];
    for (open, close) in shapes {
        let mut text = "locals {\n l0 = \"x\"\n".to_owned();
        for i in 1..=100 {
            let inner = format!("{}local.l{}{}", open.repeat(30), i - 1, close.repeat(30));
            text.push_str(&format!(" l{i} = {inner}\n"));
        }
        text.push_str("}\n");
        let mut evaluator = plan(&text);
        let found = ask(&mut evaluator, "local.l100");
        assert!(said(&found.unwrap_err()).contains("too deep"), "{open}");
        assert!(ask(&mut evaluator, "local.l10").is_ok(), "{open}");
    }
}

#[test]
fn a_module_sees_its_arguments_and_its_caller_its_outputs() {
    let root = r#"
module "m" {
  for_each = { x = "one", y = "two" }
  source   = "../mod"
  name     = each.value
}
module "single" {
  source = "../mod"
  name   = module.m["x"].id
}
output "all" {
  value = { for k, m in module.m : k => m.upper }
}
"#;
    let module = r#"
variable "name" {
  type = string
  validation {
    condition     = var.name != "bad"
    error_message = "Not ${var.name}."
  }
}
variable "size" {
  type    = number
  default = 3
}
stack "s" {
  template   = var.name
  parameters = { Size = var.size }
}
output "id" {
  value = stack.s.id
}
output "upper" {
  value = "${var.name}!"
}
"#;
    let (mut evaluator, diagnostics) = of(&[("plan/b.hcl", root), ("mod/m.hcl", module)], &[]);
    assert!(diagnostics.is_empty());
    let expansion = evaluator.expand(&declaration(&["m"], "stack", "s")).unwrap();
    assert_eq!(texts(&expansion.instances), ["module.m[\"x\"].stack.s", "module.m[\"y\"].stack.s"]);
    let evaluated = evaluator.evaluate(&address("module.m[\"y\"].stack.s")).unwrap();
    assert_eq!(format!("{:?}", evaluated.inputs), "{\"parameters\": {\"Size\": 3}, \"template\": \"two\"}");
    assert_eq!(format!("{:?}", evaluator.output("all").unwrap()), "{\"x\": \"one!\", \"y\": \"two!\"}");
    let evaluated = evaluator.evaluate(&address("module.single.stack.s")).unwrap();
    assert_eq!(texts(&evaluated.references), ["module.m[\"x\"].stack.s"]);
    assert!(evaluated.inputs.get("template").unwrap().is_unknown());
    evaluator.set(&address("module.m[\"x\"].stack.s"), Value::object([("id", Value::string("bad"))]));
    let problem = said(&evaluator.evaluate(&address("module.single.stack.s")).unwrap_err());
    assert_eq!(problem, "the value of `name` is not valid: Not bad.");
}

#[test]
fn root_variables_are_converted_defaulted_and_validated_all_at_once() {
    let text = r#"
variable "nodes" {
  type = object({ min = number, max = optional(number, 10) })
}
variable "version" {
  type = string
  validation {
    condition     = var.version != "0"
    error_message = "Not zero."
  }
}
variable "names" {
  type     = list(string)
  nullable = false
}
"#;
    let text = &text.replace("\"version\"", "\"release\"").replace("var.version", "var.release");
    let files = [("plan/b.hcl", &**text)];
    let good = [
        ("nodes", Value::object([("min", "2".into())])),
        ("release", 1.into()),
        ("names", Value::string("[\"a\", \"b\"]")),
    ];
    let (mut evaluator, diagnostics) = of(&files, &good);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(format!("{:?}", ask(&mut evaluator, "var.nodes").unwrap()), "{\"max\": 10, \"min\": 2}");
    assert_eq!(format!("{:?}", ask(&mut evaluator, "[var.release, var.names[1]]").unwrap()), "[\"1\", \"b\"]");
    let bad = [("nodes", Value::object([("mni", 2.into())])), ("release", 0.into()), ("nmaes", Value::NULL)]; // spellchecker:disable-line
    let (_, diagnostics) = of(&files, &bad);
    let said = said(&diagnostics);
    for part in [
        "the value given for `nodes` does not fit: the field `min` is required (`mni` is there)", // spellchecker:disable-line
        "the value of `release` is not valid: Not zero.",
        "the variable `names` has no value",
        "the plan has no variable `nmaes`: a value was given for it (did you mean `names`?)", // spellchecker:disable-line
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn inputs_take_the_shape_of_the_schema() {
    let text = r#"
helm "h" {
  chart     = "c"
  namespace = null
  wait      = "true"
  values    = { replicas = 2, image = { tag = helm.other.version } }
  set {
    name  = "a"
    value = 1
  }
  dynamic "set" {
    for_each = { b = 2, c = 3 }
    iterator = it
    content {
      name  = it.key
      value = it.value
    }
  }
  controls = ["SC-8"]
}
helm "other" {
  chart = "o"
}
eks_upgrade "u" {
  stack     = stack.s
  parameter = "P"
  bake      = "1${env.name}"
}
stack "s" {
  template = { for x in ["a"] : x => x }.a == "b" ? [1] : [2]
  tags     = { a = 1 }
}
"#;
    let mut evaluator = plan(text);
    let evaluated = evaluator.evaluate(&address("helm.h")).unwrap();
    assert_eq!(
        format!("{:?}", evaluated.inputs),
        "{\"chart\": \"c\", \"set\": [{\"name\": \"a\", \"value\": 1}, {\"name\": \"b\", \"value\": 2}, \
         {\"name\": \"c\", \"value\": 3}], \"values\": {\"image\": {\"tag\": (unknown until helm.other)}, \
         \"replicas\": 2}, \"wait\": true}"
    );
    assert_eq!(evaluated.controls, ["SC-8"]);
    let connection = evaluated.connection.unwrap();
    assert_eq!((&*connection.kind, &*connection.name), ("kubernetes", "main"));
    assert_eq!(texts(&evaluated.references), ["helm.other"]);
    assert!(evaluated.places.contains_key(&Path::default().key("values").key("image").key("tag")));
    let problem = said(&evaluator.evaluate(&address("stack.s")).unwrap_err());
    assert_eq!(problem, "`template` does not fit: a string is required, not a tuple");
    let problem = said(&evaluator.evaluate(&address("eks_upgrade.u")).unwrap_err());
    assert!(problem.starts_with("`bake` does not fit: `1dev` is no duration"), "{problem}");
    let cluster = evaluator.connection("kubernetes", "main", None).unwrap();
    assert_eq!(format!("{cluster:?}"), "{\"eks\": {\"name\": \"c\"}}");
}

#[test]
fn a_colour_is_null_until_it_is_said() {
    let mut evaluator = plan("helm \"h\" {\n chart = \"c\"\n values = { color = self.color }\n}\n");
    let h = address("helm.h");
    assert_eq!(format!("{:?}", evaluator.evaluate(&h).unwrap().inputs.get("values")), "Some({\"color\": null})");
    let h = h.with_color(Some(Color::Green));
    assert_eq!(format!("{:?}", evaluator.evaluate(&h).unwrap().inputs.get("values")), "Some({\"color\": \"green\"})");
}

#[test]
fn a_large_plan_evaluates_in_time_linear_in_its_references() {
    // Each node refers to the one before it, to a local made of it, and to one of a large for_each.
    let count = 3000;
    let mut text = String::from("stack \"many\" {\n for_each = toset([for n in [");
    for n in 0..count {
        text.push_str(&format!("{n}, "));
    }
    text.push_str("] : \"k${n}\"])\n template = each.key\n}\n");
    for n in 0..count {
        let before = if n == 0 { "\"t\"".to_owned() } else { format!("stack.n{}.id", n - 1) };
        text.push_str(&format!("stack \"n{n}\" {{\n template = \"${{{before}}}-${{stack.many[\"k{n}\"].id}}\"\n}}\n"));
    }
    let mut evaluator = plan(&text);
    for n in 0..count {
        let many = address(&format!("stack.many[\"k{n}\"]"));
        evaluator.evaluate(&many).unwrap();
        evaluator.set(&many, Value::object([("id", "i".into())]));
        let at = address(&format!("stack.n{n}"));
        let evaluated = evaluator.evaluate(&at).unwrap();
        assert!(!evaluated.inputs.has_unknown());
        evaluator.set(&at, Value::object([("id", "i".into())]));
    }
}

#[test]
fn the_reference_plan_evaluates_with_its_stacks_unknown() {
    let sources = Arc::new(project());
    let (configuration, diagnostics) = load(&*sources, "plans/eks-platform", &SCHEMA);
    assert!(!diagnostics.has_errors(), "{diagnostics:#?}");
    let configuration = Arc::new(configuration.unwrap());
    let nodes = Value::object([
        ("instance_type", "t3a.xlarge".into()),
        ("min", 2.into()),
        ("desired", 3.into()),
        ("max", 10.into()),
    ]);
    let given = Given {
        env: EnvValues { name: "prd".into(), region: "us-east-1".into(), account_id: "333333333333".into() },
        variables: [("nodes".into(), nodes)].into(),
        plan_time: "2026-01-02T03:04:05Z".parse().unwrap(),
    };
    let (mut evaluator, diagnostics) = Evaluator::new(configuration.clone(), given, sources, &SCHEMA);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    for declaration in configuration.declarations() {
        let expansion = evaluator.expand(&declaration).unwrap();
        assert!(expansion.unknown.is_empty());
        for address in expansion.instances {
            let evaluated = evaluator.evaluate(&address).unwrap_or_else(|d| panic!("{address}: {d:#?}"));
            assert!(!evaluated.inputs.as_map().unwrap().is_empty() || address.kind() == "check", "{address}");
            let resource = configuration.resource(&declaration).unwrap();
            for verify in &resource.verify {
                evaluator.probe(address.module(), Some(&address), verify).unwrap();
            }
        }
    }
    let cluster = evaluator.evaluate(&address("stack.cluster")).unwrap();
    assert_eq!(texts(&cluster.references), ["stack.network"]);
    let parameters = cluster.inputs.get("parameters").unwrap();
    assert_eq!(parameters.get("ClusterName"), Some(&"agentinfra-prd".into()));
    assert!(parameters.get("SubnetIds").unwrap().is_unknown());
    let addon = evaluator.evaluate(&address("eks_addon.managed[\"coredns\"]")).unwrap();
    assert_eq!(addon.inputs.get("addon"), Some(&"coredns".into()));
    let headlamp = address("helm.headlamp@green");
    let rollout = evaluator.rollout(&headlamp).unwrap().unwrap();
    assert_eq!(rollout.get("strategy"), Some(&"blue_green".into()));
    assert_eq!(rollout.get("traffic"), Some(&"traffic.headlamp".into()));
    assert_eq!(rollout.get("backend").unwrap().get("service"), Some(&"headlamp-green".into()));
    assert_eq!(evaluator.connection("kubernetes", "main", None).unwrap().waits_for(), [address("stack.cluster")]);
    let route = evaluator.evaluate(&address("traffic.headlamp")).unwrap();
    assert_eq!(texts(&route.references), ["stack.ingress"]);
    assert_eq!(route.inputs.get("alb").unwrap().get("priority"), Some(&100.into()));
}
