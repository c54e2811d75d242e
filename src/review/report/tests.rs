//! Reports of good plans, of hostile ones and of large ones.

use super::{Details, Mark, Row, report};
use crate::{
    base::{ActionWord, Address, Key, Value},
    kinds::Undo,
    plan::{
        self, Attachment, Drift, Finding, Judgement, OutputChange, Place, Plan, Planned, Saved, Severity, Waiver,
        WaiverStanding,
        testing::{child, field, node},
    },
    review::Book,
};
use proptest::prelude::*;

/// Tells of values just what is in them.
struct Plainly;

impl Details for Plainly {
    fn value(&self, value: &Value) -> String {
        value.as_str().unwrap_or_default().to_owned()
    }

    fn rows(&self, path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Row> {
        let said = |value: Option<&Value>| value.map(|value| self.value(value));
        let (path, before, after) = (path.to_owned(), said(before), said(after));
        vec![Row { mark: Mark::Changed, depth: 0, path, before, after }]
    }

    fn told(&self, _: &Plan, node: &Planned) -> Vec<String> {
        node.verify.iter().map(ToString::to_string).collect()
    }

    fn kept(&self, _: &Plan) -> Vec<String> {
        Vec::new()
    }
}

fn saved(content: Plan) -> Saved {
    plan::saved(content, Attachment::default()).unwrap()
}

fn write(plan: Plan) -> String {
    report(&saved(plan), &Book::shipped(), &Plainly)
}

fn finding(text: &str, severity: Severity) -> Finding {
    Finding {
        rule: text.to_owned(),
        pack: text.to_owned(),
        severity,
        address: Some(Address::root("stack", "data")),
        part: text.to_owned(),
        path: text.to_owned(),
        place: Some(Place { file: text.into(), line: 3, column: 7 }),
        controls: vec![text.to_owned()],
        what: text.to_owned(),
        why: text.to_owned(),
        instead: text.to_owned(),
        waiver: None,
    }
}

fn waived(text: &str) -> Finding {
    let waiver = Waiver {
        name: text.to_owned(),
        standing: WaiverStanding::Counts,
        reason: text.to_owned(),
        by: text.to_owned(),
        approved_by: Some(text.to_owned()),
        until: "2026-12-31T00:00:00Z".parse().unwrap(),
    };
    Finding { waiver: Some(waiver), ..finding(text, Severity::Deny) }
}

/// A plan in which each text that anybody may write is one of these, and which is the same else.
fn plan_of(texts: &[String], many: usize) -> Plan {
    let text = |at: usize| texts[at % texts.len()].as_str();
    let nodes: Vec<Planned> = (0..many)
        .map(|n| {
            let action = [ActionWord::Update, ActionWord::Delete, ActionWord::Replace, ActionWord::Create][n % 4];
            let mut one = node("stack.data", "foundation", action);
            one.address = Address::root("stack", "data").with_key(Some(Key::from(format!("{}{n}", text(n)))));
            one.fields = vec![field(text(n), Some(Value::string(text(n + 1))), Some(Value::string(text(n + 2))))];
            one.fields[0].because = Some(text(n + 3).to_owned());
            one.undo = if n % 3 == 0 { Undo::None(text(n).to_owned()) } else { Undo::Partly(text(n).to_owned()) };
            one.stateful = n % 2 == 0;
            one.reasons = vec![text(n).to_owned()];
            one.verify = vec![text(n + 1).into()];
            one.controls = vec![format!("c{n}{}", text(n + 2))];
            one.after = vec![Address::root("stack", "other")];
            let mut part = child(text(n), text(n + 1), ActionWord::Delete);
            part.stateful = n % 5 == 0;
            part.policy = Some(format!("x{}", text(n + 2)));
            part.fields = vec![field(text(n), None, Some(Value::string(text(n + 2))))];
            one.children = vec![part];
            one
        })
        .collect();
    let mut plan = plan::testing::plan(nodes);
    let header = &mut plan.header;
    (header.env, header.project, header.plan, header.folder) =
        (text(0).into(), text(1).into(), text(2).into(), text(3).into());
    (header.world.region, header.world.account) = (text(3).into(), text(0).into());
    header.clusters = [("main".to_owned(), text(2).to_owned())].into();
    plan.outputs = [(text(3).into(), OutputChange { before: None, after: Some(Value::string(text(1))) })].into();
    plan.variables = [(text(2).into(), Value::string(text(3)))].into();
    plan.sources = [(text(1).to_owned(), plan::SourceText::Text(text(2).into()))].into();
    plan.phases[0].description = Some(text(0).to_owned());
    plan.notes = vec![crate::base::Diagnostic::warning("some_code", text(1)).because(text(2)).hint(text(3))];
    plan.drift = vec![Drift {
        address: Address::root("stack", "drifted"),
        fields: vec![field(text(1), None, Some(Value::string(text(2))))],
        children: vec![child(text(2), text(3), ActionWord::Update)],
        ignored: Some(text(0).to_owned()),
        gone: false,
    }];
    let severities = [Severity::Deny, Severity::Warn];
    // Rules and controls are counted by name: they stay as many as they are.
    let numbered = |n: usize| format!("f{n}{}", text(n));
    let mut findings: Vec<Finding> = (0..many).map(|n| finding(&numbered(n), severities[n % 2])).collect();
    findings.extend((many..2 * many).map(|n| waived(&numbered(n))));
    plan.judgement = Some(Judgement { findings, idle_waivers: vec![text(1).to_owned()], ..Judgement::default() });
    plan
}

fn words(many: usize) -> Vec<String> {
    (0..many).map(|n| format!("word{n}")).collect()
}

/// Every tag of a page with the names of its attributes: what a browser makes elements of. Scripts and styles are raw text, as browsers have it.
fn tags(page: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = page;
    while let Some(begin) = rest.find('<') {
        rest = &rest[begin + 1..];
        let mut tag = String::new();
        let mut quoted = false;
        let mut end = rest.len();
        for (at, c) in rest.char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = at;
                    break;
                }
                c if !quoted => tag.push(c),
                _ => {}
            }
        }
        rest = rest.get(end + 1..).unwrap_or_default();
        for raw in ["script", "style"] {
            if tag == raw || tag.starts_with(&format!("{raw} ")) {
                let (_, after) = rest.split_once(&format!("</{raw}")).unwrap_or_default();
                rest = after.split_once('>').unwrap_or_default().1;
            }
        }
        out.push(tag);
    }
    out
}

/// The text between two marks.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, after) = page.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
    after.split_once(end).unwrap_or_else(|| panic!("no {end}")).0
}

#[test]
fn a_report_is_one_file_whose_policy_names_its_own_script_and_style_and_nothing_else() {
    let page = write(plan_of(&words(4), 3));
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"").replace("&#39;", "'");
    let digest = |text: &str| {
        use base64::Engine as _;
        let bytes = hex::decode(crate::base::Digest::of(text.as_bytes()).hex()).unwrap();
        format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let (style, script) = (between(&page, "<style>", "</style>"), between(&page, "<script>", "</script>"));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
            digest(style),
            digest(script)
        )
    );
    assert!(!page.contains(" style=\"") && !page.contains(" onclick") && !page.contains(" src="));
    for made in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "XMLHttp"] {
        assert!(!script.contains(made), "{made}");
    }
    assert!(!style.contains("url(") && !style.contains("@import"));
}

#[test]
fn a_verdict_a_phase_a_loss_and_the_way_on_are_where_a_reviewer_looks_for_them() {
    let mut data = node("stack.data", "foundation", ActionWord::Replace);
    data.stateful = true;
    data.undo = Undo::None("the former database is deleted".to_owned());
    data.fields = vec![field("parameters.Name", Some(Value::string("one")), Some(Value::string("two")))];
    data.fields[0].forces_replacement = true;
    let mut web = node("helm.web", "services", ActionWord::Update);
    web.after = vec![Address::root("stack", "data")];
    let mut plan = plan::testing::plan(vec![data, web]);
    plan.header.protected = true;
    plan.header.release = Some(crate::base::Digest::of(b"release"));
    let page = write(plan.clone());
    let digest = plan.digest().unwrap();
    for said in [
        "<strong>2 changes.</strong> 1 of high risk or above, 1 that cannot be undone.",
        "<h3 id=\"phase-0\">Phase foundation <span class=\"count\">1</span></h3>",
        "<tr class=\"changed\"><th scope=\"row\">parameters.Name <span class=\"why\">forces replacement</span></th><td class=\"old\">one</td><td class=\"new\">two</td></tr>",
        "<dt>Waits for</dt><dd><a href=\"#c0\"><code>stack.data</code></a></dd>",
        "<dt>Waited for by</dt><dd><a href=\"#c1\"><code>helm.web</code></a></dd>",
        "<dt>No way back</dt><dd>it holds data, which is lost with it; the former database is deleted</dd>",
        &format!("terrace approve {digest} --env dev"),
    ] {
        assert!(page.contains(said), "{said}\n{}", page.split("<style>").next().unwrap());
    }
    // What is denied is offered to nobody.
    plan.judgement = Some(Judgement { findings: vec![finding("no", Severity::Deny)], ..Judgement::default() });
    let denied = write(plan);
    assert!(denied.contains("Denied by policy: 1 finding keeps this from being applied"));
    assert!(!denied.contains("terrace approve"));
    let nothing = write(plan::testing::plan(Vec::new()));
    assert!(nothing.contains("No changes: everything is as declared") && !nothing.contains("id=\"changes\""));
}

#[test]
fn no_secret_is_in_a_report_that_the_plan_does_not_hold() {
    // A plan seals what is sensitive; inputs and facts of a node are not told at all.
    let mut web = node("stack.web", "services", ActionWord::Update);
    web.inputs = Value::object([("open", Value::string("hunter2"))]);
    web.facts = [("chart".to_owned(), "hunter2".into())].into();
    let mut plan = plan::testing::plan(vec![web]);
    plan.sources = [("plan.hcl".to_owned(), plan::SourceText::Text("hunter2".into()))].into();
    assert!(!write(plan).contains("hunter2"));
}

#[test]
fn two_thousand_large_changes_fit_into_three_megabytes_and_the_riskiest_have_the_most_room() {
    let long = "x".repeat(200);
    let one = |n: usize| {
        let action = if n == 1_000 { ActionWord::Replace } else { ActionWord::Update };
        let mut one = node(&format!("stack.s{n}"), "foundation", action);
        one.fields = (0..20).map(|f| field(&format!("f{f}"), None, Some(Value::string(long.as_str())))).collect();
        one.after = (n.saturating_sub(3)..n).map(|n| Address::root("stack", &format!("s{n}"))).collect();
        one
    };
    let page = write(plan::testing::plan((0..2_000).map(one).collect()));
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert_eq!(page.matches("<details class=\"change ").count(), 2_000);
    let of = |at: usize| between(&page, &format!("id=\"c{at}\""), "</details>").matches(&long).count();
    // The last is what nothing depends on.
    assert!(of(1_000) > of(1_999), "{} and {}", of(1_000), of(1_999));
    // What had no room is counted.
    assert!(page.contains(&format!("{} more differences", 20 - of(1_000))), "{}", of(1_000));
    let data: serde_json::Value = serde_json::from_str(between(&page, "id=\"graph-data\">", "</script>")).unwrap();
    assert_eq!(data["nodes"].as_array().unwrap().len(), 2_000);
    assert_eq!(data["declarations"][5], serde_json::json!([2, 3, 4]));
}

/// Text of somebody who wants to be more than text.
fn hostile() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "</script>",
        "<script>alert(1)</script>",
        "<!--",
        "-->",
        "]]>",
        "\"",
        "'",
        "\" onmouseover=\"alert(1)",
        "<img src=x onerror=alert(1)>",
        "</style>",
        "</details>",
        "</title>",
        "<svg/onload=alert(1)>",
        "&lt;",
        "&#60;script&#62;",
        "javascript:alert(1)",
        "\u{202e}",
        "\u{2066}",
        "\u{0}",
        "\u{1b}[31m",
        "\u{2028}",
        "\u{feff}",
        "\n",
        "\r\n",
        "\\u003c",
        "${x}",
        "`",
        "Denied by policy",
        "é日本",
        " ",
        "word",
    ]);
    let part = prop_oneof![4 => words.prop_map(str::to_owned), 1 => any::<String>()];
    // Never empty: what is empty is left out, and the page another.
    prop::collection::vec(part, 0..8).prop_map(|parts| format!("w{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_in_a_plan_its_report_has_the_elements_of_any_other(texts in prop::collection::vec(hostile(), 4), many in 0_usize..12) {
        let page = write(plan_of(&texts, many));
        let plain = write(plan_of(&words(4), many));
        prop_assert_eq!(tags(&page), tags(&plain));
        let odd = |c: char| c != '\n' && crate::review::plain::is_invisible(c);
        prop_assert!(!page.contains(odd), "{:?}", page.chars().find(|c| odd(*c)));
        let data = if many == 0 { "null" } else { between(&page, "id=\"graph-data\">", "</script>") };
        prop_assert!(serde_json::from_str::<serde_json::Value>(data).is_ok());
        prop_assert!(!data.contains(['<', '>', '&']));
    }
}
