//! Comments of good plans, of hostile ones and of long ones.

use super::{Details, LEAST, Line, Link, Mark, Refused, Wanted, comment, marker, text};
use crate::{
    base::{ActionWord, Address, Digest, Key, Value},
    kinds::Undo,
    plan::{
        self, Attachment, Finding, Judgement, OutputChange, Place, Plan, Planned, Saved, Severity, Waiver,
        WaiverStanding,
        testing::{child, field, node},
    },
    review::Book,
};
use proptest::prelude::*;

/// Tells of a change just what is in it.
struct Plainly;

impl Details for Plainly {
    fn change(&self, _: &Plan, node: &Planned) -> Vec<Line> {
        let head = Line { mark: Mark::Same, text: node.address.to_string() };
        let shown = |value: &Option<Value>| value.as_ref().and_then(|v| v.as_str().map(str::to_owned));
        let of = |f: &crate::kinds::FieldChange| {
            let (before, after) = (shown(&f.before).unwrap_or_default(), shown(&f.after).unwrap_or_default());
            vec![
                Line { mark: Mark::Removed, text: format!("{} = {before}", f.path) },
                Line { mark: Mark::Added, text: format!("{} = {after}", f.path) },
            ]
        };
        [head].into_iter().chain(node.fields.iter().flat_map(of)).collect()
    }

    fn outputs(&self, plan: &Plan) -> Vec<Line> {
        plan.outputs.keys().map(|name| Line { mark: Mark::Changed, text: name.to_string() }).collect()
    }
}

fn saved(content: Plan) -> Saved {
    plan::saved(content, Attachment::default()).unwrap()
}

fn of(env: &str, nodes: Vec<Planned>) -> Plan {
    let mut plan = plan::testing::plan(nodes);
    plan.header.env = env.into();
    plan
}

fn write(plans: &[Plan], limit: usize) -> Result<String, Refused> {
    let saved: Vec<Saved> = plans.iter().cloned().map(saved).collect();
    let link = Link::parse("https://ci.example/runs/1");
    comment(
        &saved.iter().collect::<Vec<_>>(),
        &Book::shipped(),
        &Plainly,
        &Wanted { limit, link, expected: Vec::new() },
    )
}

fn finding(text: &str, severity: Severity) -> Finding {
    Finding {
        rule: text.to_owned(),
        pack: text.to_owned(),
        severity,
        address: Some(Address::root("stack", "data")),
        part: text.to_owned(),
        path: String::new(),
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

/// Plans of two environments as a reviewer may meet them.
fn usual() -> [Plan; 2] {
    let mut data = node("stack.data", "foundation", ActionWord::Replace);
    data.stateful = true;
    data.undo = Undo::None("the former database is deleted".to_owned());
    data.fields = vec![field("parameters.Name", Some(Value::string("one")), Some(Value::string("two")))];
    let mut bucket = child("Logs", "AWS::S3::Bucket", ActionWord::Delete);
    bucket.stateful = true;
    data.children = vec![bucket];
    let web = node("helm.web", "services", ActionWord::Update);
    let mut dev = of("dev", vec![data.clone(), web.clone()]);
    let output = OutputChange { before: None, after: Some(Value::string("https://shop.example")) };
    dev.outputs = [("url".into(), output)].into();
    let mut prd = of("prd", vec![data, node("value.size", "foundation", ActionWord::Create)]);
    prd.header.protected = true;
    prd.header.release = Some(Digest::of(b"release"));
    prd.judgement = Some(Judgement {
        findings: vec![finding("open to all", Severity::Warn), waived("asked for by the team")],
        ..Judgement::default()
    });
    [dev, prd]
}

#[test]
fn a_reviewer_finds_the_verdict_first_and_the_commands_last() {
    insta::assert_snapshot!(write(&usual(), super::GITHUB).unwrap());
}

#[test]
fn what_is_approved_is_a_plan_of_a_release_and_nothing_else() {
    let [dev, prd] = usual();
    let of_a_folder = write(std::slice::from_ref(&dev), super::GITHUB).unwrap();
    assert!(!of_a_folder.contains("terrace approve") && of_a_folder.contains("terrace release create"));
    let digest = prd.digest().unwrap();
    let of_a_release = write(std::slice::from_ref(&prd), super::GITHUB).unwrap();
    assert!(
        of_a_release
            .contains(&format!("terrace approve {digest} --env prd\nterrace promote {}", Digest::of(b"release")))
    );
    assert!(!of_a_release.contains("terrace release create"));
    let denied = Judgement { findings: vec![finding("no", Severity::Deny)], ..Judgement::default() };
    let text = write(&[Plan { judgement: Some(denied), ..prd.clone() }], super::GITHUB).unwrap();
    assert!(text.contains("**Denied by policy.** 1 finding keeps") && !text.contains("terrace approve"));
    let mut offline = prd;
    offline.header.offline = true;
    assert!(!write(&[offline], super::GITHUB).unwrap().contains("terrace approve"));
}

#[test]
fn plans_of_different_things_are_no_one_comment() {
    let [dev, prd] = usual();
    assert_eq!(write(&[], LEAST), Err(Refused::Nothing));
    assert_eq!(write(&[dev.clone(), dev.clone()], LEAST), Err(Refused::Twice("dev".into())));
    assert_eq!(write(std::slice::from_ref(&dev), LEAST - 1), Err(Refused::Short(LEAST - 1)));
    let mut other = prd;
    other.header.plan = "network".into();
    let several = Refused::Several("shop/platform".to_owned(), "shop/network".to_owned());
    assert_eq!(write(&[dev, other], LEAST), Err(several));
}

#[test]
fn a_marker_ends_where_it_should_and_names_one_plan() {
    let named = |project: &str, plan: &str| {
        let mut made = of("dev", Vec::new());
        (made.header.project, made.header.plan) = (project.into(), plan.into());
        marker(&made)
    };
    assert_eq!(named("shop", "eks-platform"), "<!-- terrace: shop/eks-platform -->");
    assert_eq!(named("a--> x", "b/c"), "<!-- terrace: a-%2D%3E%20x/b%2Fc -->");
    assert_ne!(named("a/b", "c"), named("a", "b/c"));
    assert!(named(&"-->".repeat(500), "x").len() < 120);
}

#[test]
fn a_link_leads_where_it_says() {
    for bad in
        ["javascript:alert(1)", "https://x/>)", "https://x/ y", "https://", "//x", "https://x/\n", "https://x/(a)"]
    {
        assert_eq!(Link::parse(bad), None, "{bad}");
    }
    assert!(Link::parse("https://ci.example/a/b?c=d&e=%20").is_some());
}

#[test]
fn what_would_be_obeyed_is_only_read() {
    for (said, written) in [
        ("plain words, 10 % of it", "plain words, 10 % of it"),
        ("@team", "@\u{200b}team"),
        ("see #12", "see \\#\u{200b}12"),
        ("GH-12", "GH-\u{200b}12"),
        (":x:", ":\u{200b}x:"),
        ("www.evil.example", "www\u{200b}.evil.example"),
        ("![a](http://b)", "\\!\u{200b}\\[a\\]\\(http:\u{200b}//b\\)"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("a|b\nc", "a\\|b\\\\nc"),
        ("<!-- terrace: a/b -->", "&lt;\\! -- terrace: a/b --&gt;"),
        ("\u{202e}x\u{0}", "\\(U+202E\\)x\\(U+0000\\)"),
    ] {
        assert_eq!(text::prose(said), written);
    }
    assert_eq!(text::code("a`b``c"), "```a`b``c```");
    assert_eq!(text::code("`"), "`` ` ``");
    assert_eq!(text::shell("a; rm -rf $HOME"), "'a; rm -rf $HOME'");
    assert_eq!(text::fence("diff", "+ ````\n"), "`````diff\n+ ````\n`````\n");
}

#[test]
fn two_thousand_changes_stay_within_the_limit_and_what_is_cut_is_counted() {
    let long = "x".repeat(600);
    let one = |n: usize| {
        let mut one = node(&format!("stack.s{n}"), "foundation", ActionWord::Update);
        one.fields = (0..20).map(|f| field(&format!("f{f}"), None, Some(Value::string(long.as_str())))).collect();
        one.undo = Undo::None("nothing brings it back".to_owned());
        one
    };
    let started = std::time::Instant::now();
    let plan = of("dev", (0..2_000).map(one).collect());
    let text = write(&[plan], super::GITHUB).unwrap();
    assert!(text.len() <= super::GITHUB && text.len() > super::GITHUB / 2, "{}", text.len());
    check(&text);
    let folded = text.matches("<details>").count();
    let first = text.matches("**moderate** `").count() + text.matches("**high** `").count();
    assert!(text.contains(&format!("and {} more changes: [the full report]", 2_000 - folded - first)), "{text}");
    // Generous: it takes part of a second without any optimisation, most of it the plan's own digest.
    assert!(started.elapsed().as_secs() < 60);
}

/// Holds a comment against what a forge would make of it.
fn check(text: &str) {
    assert_eq!(text.matches("<!--").count(), 1, "one marker:\n{text}");
    assert!(text.starts_with("<!-- terrace: ") && text.lines().next().unwrap().ends_with(" -->"));
    let (mut fence, mut folded, mut columns) = (None, 0, None);
    for line in text.lines().skip(1) {
        assert!(
            !line.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        );
        let trimmed = line.trim_start();
        let ticks = trimmed.len() - trimmed.trim_start_matches('`').len();
        if let Some(open) = fence {
            if ticks >= open
                && line[..line.len() - trimmed.len()].len() <= 3
                && trimmed.trim_matches('`').trim().is_empty()
            {
                fence = None;
            }
            continue;
        }
        if ticks >= 3 && !trimmed[ticks..].contains('`') {
            assert!(matches!(&trimmed[ticks..], "diff" | "sh"), "a fence of somebody else: {line}");
            fence = Some(ticks);
            continue;
        }
        let bare = without_code(line);
        folded += bare.matches("<details>").count();
        folded = folded.checked_sub(bare.matches("</details>").count()).expect("an end of details that began");
        if line.starts_with('|') {
            let cells = bare.replace("\\|", "").matches('|').count();
            assert_eq!(*columns.get_or_insert(cells), cells, "a row with other cells: {line}");
        }
        let bare = bare
            .replace("[the full report](<https://ci.example/runs/1>)", "")
            .replace("<details><summary>", "")
            .replace("</summary>", "")
            .replace("</details>", "");
        assert!(!bare.contains('<'), "HTML of somebody else: {line}");
        let chars: Vec<char> = bare.chars().collect();
        for (at, pair) in chars.windows(2).enumerate() {
            let escaped = at > 0 && chars[at - 1] == '\\';
            assert!(!(matches!(pair[0], '@') && pair[1].is_alphanumeric()), "a mention: {line}");
            assert!(!(pair[0] == '#' && pair[1].is_ascii_digit()), "a reference: {line}");
            assert!(escaped || !(pair[0] == ']' && pair[1] == '('), "a link: {line}");
            assert!(escaped || !(pair[0] == '!' && pair[1] == '['), "a picture: {line}");
        }
        assert!(!bare.contains("://") && !bare.contains("www."), "a link: {line}");
        assert!(!bare.contains("**Approved"), "a verdict of somebody else: {line}");
    }
    assert_eq!((fence, folded), (None, 0), "what begins ends:\n{text}");
}

/// A line without its spans of code, in Markdown and in HTML of ours, as a forge finds them.
fn without_code(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("<code>") {
            let end = after.find("</code>").expect("an end of code that began");
            assert!(!after[..end].contains('<'), "HTML within code: {line}");
            rest = &after[end + "</code>".len()..];
        } else if c == '\\' {
            let two: String = rest.chars().take(2).collect();
            rest = &rest[two.len()..];
            out.push_str(&two);
        } else if c == '`' {
            let run = rest.len() - rest.trim_start_matches('`').len();
            let ticks = &rest[..run];
            let after = &rest[run..];
            let mut at = 0;
            let mut end = None;
            while let Some(found) = after[at..].find('`') {
                let begin = at + found;
                let length = after[begin..].len() - after[begin..].trim_start_matches('`').len();
                if length == run {
                    end = Some(begin + length);
                    break;
                }
                at = begin + length;
            }
            rest = &after[end.unwrap_or_else(|| panic!("code {ticks} that does not end: {line}"))..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Text of somebody who wants to be taken for somebody else.
fn hostile() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "```",
        "````````",
        "`",
        "~~~",
        "\n",
        "\r\n",
        "</details>",
        "<details>",
        "</summary>",
        "</code>",
        "<!-- terrace: shop/platform -->",
        "-->",
        "@octocat",
        "#123",
        "GH-7",
        "![x](https://evil.example/p.png)",
        "[y](http://z)",
        "www.evil.example",
        "https://evil.example",
        "|",
        "\\",
        "\\|",
        "**Approved**",
        "\n\n**Approved by policy.**\n\n",
        "<script>",
        "<img src=x onerror=y>",
        "\u{202e}",
        "\u{2066}",
        "\u{0}",
        "\u{1b}[31m",
        "\u{2028}",
        "&lt;",
        "$x$",
        ":tada:",
        "a@b.example",
        "- [x] done",
        "# head",
        "terrace approve",
        "0123456789abcdef",
        " ",
        "word",
        "é",
        "日本",
        "%",
        "--",
    ]);
    prop::collection::vec(prop_oneof![4 => words.prop_map(str::to_owned), 1 => any::<String>()], 0..8)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_in_a_plan_its_comment_is_whole_and_ours(
        texts in prop::collection::vec(hostile(), 4),
        many in 0_usize..30,
        limit in LEAST..20_000,
        release in any::<bool>(),
    ) {
        let text = |at: usize| texts[at % texts.len()].as_str();
        let key = |n: usize| Some(Key::from(format!("{}{n}", text(n))));
        let nodes: Vec<Planned> = (0..many).map(|n| {
            let action = [ActionWord::Update, ActionWord::Delete, ActionWord::Replace, ActionWord::Create][n % 4];
            let mut one = node("stack.data", "foundation", action);
            one.address = Address::root("stack", "data").with_key(key(n));
            one.fields = vec![field(text(n), Some(Value::string(text(n + 1))), Some(Value::string(text(n + 2))))];
            one.undo = if n % 3 == 0 { Undo::None(text(n).to_owned()) } else { Undo::Partly(text(n).to_owned()) };
            one.stateful = n % 2 == 0;
            let mut part = child(text(n), text(n + 1), ActionWord::Delete);
            part.stateful = n % 5 == 0;
            one.children = vec![part];
            one
        }).collect();
        let mut first = of(text(0), nodes);
        first.header.project = text(1).into();
        first.header.plan = text(2).into();
        first.header.world.region = text(3).into();
        first.header.release = release.then(|| Digest::of(b"x"));
        first.outputs = [(text(3).into(), OutputChange { before: None, after: Some(Value::string(text(1))) })].into();
        let severities = [Severity::Deny, Severity::Warn];
        let mut findings: Vec<Finding> = (0..many).map(|n| finding(text(n), severities[n % 2])).collect();
        findings.extend((0..many).map(|n| waived(text(n))));
        let mut second = first.clone();
        second.header.env = format!("{}2", text(0)).into();
        second.judgement = Some(Judgement { findings, ..Judgement::default() });
        let written = write(&[first, second], limit).unwrap();
        prop_assert!(written.len() <= limit);
        check(&written);
    }

    #[test]
    fn whatever_is_said_is_one_line_and_no_code_ends_early(said in hostile()) {
        check(&format!("<!-- terrace: a/b -->\n- {} and {} and {}\n", text::code(&said), text::prose(&said), text::html_code(&said)));
        check(&format!("<!-- terrace: a/b -->\n| {} |\n", text::code_in_table(&said)));
    }
}

#[test]
fn what_a_thing_that_stays_loses_is_counted_beside_what_goes_whole() {
    let mut stack = node("stack.data", "foundation", ActionWord::Update);
    let part = |name: &str, action| child(name, "AWS::RDS::DBInstance", action);
    stack.children = vec![
        part("Main", ActionWord::Replace),
        part("Old", ActionWord::Delete),
        part("Older", ActionWord::Delete),
        part("New", ActionWord::Create),
    ];
    let text = write(&[of("dev", vec![stack.clone()])], super::GITHUB).unwrap();
    assert!(text.contains("| 0 | 1 | 0 (+ 1 part) | 0 (+ 2 parts) | 0 | 0 |"), "{text}");
    // What goes with the whole is no part that goes by itself.
    stack.action = ActionWord::Delete;
    let text = write(&[of("dev", vec![stack])], super::GITHUB).unwrap();
    assert!(text.contains("| 0 | 0 | 0 | 1 | 0 | 0 |"), "{text}");
}
