//! The report as people meet it: written by the program, shown by a real browser, used by mouse and by keyboard.

use crate::{
    cli::Project,
    support::{
        browser::{Browser, browser, key},
        server::built,
        web::{Reply, Web},
    },
};
use serde_json::{Value as Json, json};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// A plan of three phases with what tries to be more than text in it.
const PLAN: &str = r#"plan "app" {}

environment "dev" {
  sandbox {}
}

phase "network" {
  description = "<script>alert('phase')</script>"
}

phase "data" {
  after = [phase.network]
}

phase "services" {
  after      = [phase.data]
  on_failure = "rollback"
}

variable "word" {
  type      = string
  sensitive = true
}

variable "size" {
  default = "small"
}

stack "net" {
  phase    = phase.network
  template = "${path.root}/net.yaml"
  parameters = {
    Name     = "net-${var.size}"
    Password = "in-clear"
  }
}

value "hostile" {
  phase = phase.network
  input = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
}

value "turned" {
  phase      = phase.data
  depends_on = [stack.net, value.hostile]
  input      = "user\u202egnp.exe \" onfocus=\"alert(1) ${var.size}"
}

value "text" {
  phase      = phase.data
  depends_on = [stack.net]
  input      = "first ${var.size}\nsecond\nthird\n"
}

value "secret" {
  phase      = phase.services
  depends_on = [value.turned]
  input      = var.word
}

output "size" {
  value = var.size
}
"#;

const NET: &str = "Parameters:\n  Name:\n    Type: String\n  Password:\n    Type: String\nResources:\n  Files:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: !Ref Name\n  Queue:\n    Type: AWS::SQS::Queue\n";

/// A project where all that is planned changes something that is there.
fn project() -> Project {
    let project = Project::bare();
    project.write("plans/app/plan.hcl", PLAN);
    project.write("plans/app/net.yaml", NET);
    let words = ["apply", "--env", "dev", "--var", "word=hunter2", "--auto-approve"];
    project.stdout(&words, 0);
    let text = PLAN.replace(
        "value \"hostile\" {",
        "value \"later\" {\n  phase = phase.services\n  input = \"new\"\n}\n\nvalue \"hostile\" {",
    );
    project.write("plans/app/plan.hcl", &text.replace("taken", "stolen"));
    project
}

/// The page of a plan that changes much.
fn page(project: &Project) -> PathBuf {
    let words = ["plan", "--env", "dev", "--var", "word=hunter3", "--var", "size=large", "--html", "report.html"];
    project.stdout(&words, 0);
    project.path().join("report.html")
}

/// A browser that shows it.
fn shown() -> Option<(Browser, Project)> {
    let browser = browser()?;
    let project = project();
    browser.open(&page(&project));
    Some((browser, project))
}

/// Addresses of the changes that are to be seen.
fn seen(browser: &Browser) -> Vec<String> {
    let found = browser.run(
        "return [...document.querySelectorAll('.change')].filter((one) => one.checkVisibility()).map((one) => one.querySelector('summary code').textContent)",
    );
    serde_json::from_value(found).unwrap()
}

fn matches(browser: &Browser) -> String {
    browser.run("return document.getElementById('matches').textContent").as_str().unwrap().to_owned()
}

/// What the page has drawn is up to date once the browser has drawn twice.
fn settle(browser: &Browser) {
    browser.wait("requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))");
}

/// What keeps people from using the page, by axe-core; each with the elements that it is about.
fn obstacles(browser: &Browser) -> Option<Json> {
    let axe = fs::read_to_string(built("axe-core")?).unwrap();
    browser.run(&axe);
    let found = browser.wait(
        "axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations.map((one) => [one.id, one.nodes.slice(0, 5).map((node) => node.html + ' ' + node.failureSummary)])), (error) => done(String(error)))",
    );
    Some(found)
}

fn write(project: &Project, words: &[&str]) -> String {
    project.stdout(words, 0);
    fs::read_to_string(project.path().join(words.last().unwrap())).unwrap()
}

#[test]
fn a_report_is_made_of_the_plan_just_made_and_of_a_saved_one() {
    let project = project();
    let vars = ["--env", "dev", "--var", "word=hunter3"];
    let made = write(&project, &[&["plan"], &vars[..], &["--out", "dev.plan", "--html", "made.html"]].concat());
    assert!(made.starts_with("<!DOCTYPE html>\n") && !made.contains("hunter"), "{made}");
    let later = write(&project, &["show", "dev.plan", "--html", "shown.html"]);
    assert!(made == later, "the page is a function of the plan");
    let markdown = write(&project, &["show", "dev.plan", "--markdown", "shown.md"]);
    assert_eq!(markdown, project.stdout(&["comment", "dev.plan"], 0));
    // What is no plan has no report.
    project.stdout(&["release", "create"], 0);
    let release = project.stdout(&["release", "list", "--json"], 0);
    let release: Json = serde_json::from_str(release.lines().next().unwrap()).unwrap();
    let digest = release["releases"][0]["digest"].as_str().unwrap();
    let refused = project.stderr(&["show", digest, "--html", "x.html"], 64);
    assert!(refused.contains("is a release and no plan"), "{refused}");
    let unwritable = project.stderr(&["show", "dev.plan", "--html", "nowhere/x.html"], 1);
    assert!(unwritable.contains("file_unwritable"), "{unwritable}");
}

#[test]
fn the_page_asks_nobody_and_what_is_in_it_is_text() {
    let Some((browser, project)) = shown() else { return };
    assert_eq!(browser.said(), Vec::<String>::new());
    let own = format!("file://{}", project.path().join("report.html").display());
    let asked = browser.asked();
    assert!(asked.contains(&own) && asked.iter().all(|url| *url == own || url.starts_with("data:,")), "{asked:?}");
    assert_eq!(browser.run("return performance.getEntriesByType('resource').length"), 0);
    assert_eq!(browser.run("return document.title"), "app in dev: 6 changes, 1 output");
    // One script that is data and never runs, and the one that does.
    assert_eq!(browser.run("return [...document.scripts].map((one) => one.type)"), json!(["application/json", ""]));
    assert_eq!(
        browser.run("return document.images.length + document.querySelectorAll('iframe, object, embed, base').length"),
        0
    );
    let text = browser.run("return document.getElementById('changes').textContent");
    let text = text.as_str().unwrap();
    assert!(text.contains("</script><script>document.title = 'stolen'</script><img src=x"), "{text}");
    assert!(text.contains("user(U+202E)gnp.exe") && !text.contains("hunter"), "{text}");
    // Even if something did get in, it would neither run nor reach anybody.
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    let web = Web::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Reply::text(200, "x")
    });
    let url = &web.url;
    let inside = format!(
        "const put = (html) => document.body.insertAdjacentHTML('beforeend', html);
         put('<img src=\"{url}/a\"><iframe src=\"{url}/b\"></iframe><link rel=stylesheet href=\"{url}/c\"><div style=\"background: url({url}/d)\">x</div>');
         put('<svg onload=\"document.title = 1\"></svg><img src=x onerror=\"document.title = 1\">');
         const script = document.createElement('script'); script.textContent = 'document.title = 1'; document.body.append(script);
         const far = document.createElement('script'); far.src = '{url}/e'; document.body.append(far);
         fetch('{url}/f').then(() => done('reached'), () => setTimeout(() => done(document.title), 200));"
    );
    assert_eq!(browser.wait(&inside), "app in dev: 6 changes, 1 output");
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[test]
fn a_change_opens_by_a_click_and_what_was_stands_beside_what_is() {
    let Some((browser, _project)) = shown() else { return };
    let rows = "return [...document.querySelectorAll('#changes details[open] .diff tbody tr')].filter((one) => one.checkVisibility()).map((one) => [...one.cells].map((cell) => cell.textContent))";
    assert_eq!(browser.run(rows), json!([]));
    browser.click(".change[data-action=replace] summary, .change[data-action=update] summary");
    let told = browser.run(rows);
    let named = json!(["parameters.Name", "\"net-small\"", "\"net-large\""]);
    assert!(told.as_array().unwrap().contains(&named), "{told:#}");
    // Lines of a text stand side by side, too.
    browser.click(".change[data-phase='1'] summary");
    let told = browser.run(rows);
    assert!(told.as_array().unwrap().contains(&json!(["", "first small", "first large"])), "{told:#}");
    assert!(told.as_array().unwrap().contains(&json!(["", "second", "second"])), "{told:#}");
}

#[test]
fn search_and_filters_show_what_fits_and_say_how_many_that_is() {
    let Some((browser, _project)) = shown() else { return };
    let all = seen(&browser);
    assert_eq!((all.len(), matches(&browser).as_str()), (6, "6 changes, all shown"));
    let choose = |id: &str, value: &str| {
        browser.run(&format!(
            "const one = document.getElementById('{id}'); one.value = '{value}'; one.dispatchEvent(new Event('input', {{ bubbles: true }}))"
        ));
        settle(&browser);
        (seen(&browser), matches(&browser))
    };
    let says = |count: usize| format!("{count} of 6 changes shown");
    assert_eq!(choose("by-action", "create"), (vec!["value.later".to_owned()], says(1)));
    let phases = browser.run("return document.querySelectorAll('.phase:not([hidden])').length");
    assert_eq!(phases, 1, "a phase in which nothing fits is not there");
    choose("by-action", "");
    assert_eq!(choose("by-phase", "1").0, ["value.text", "value.turned"]);
    choose("by-phase", "");
    assert_eq!(choose("by-rank", "low").1, says(5));
    assert_eq!(choose("by-rank", "severe"), (vec!["stack.net".to_owned()], says(1)));
    choose("by-rank", "");
    browser.click("#by-findings");
    settle(&browser);
    assert_eq!(seen(&browser), ["stack.net"], "a secret in clear is found of it, and nothing of the others");
    browser.click(".controls button[type=reset]");
    settle(&browser);
    assert_eq!(seen(&browser), all);
    // Words are looked for in everything that is told, and all of them have to be there.
    for (words, found) in [("net-large", 1), ("PATH.INPUT nothing", 0), ("VALUE. hostile", 2), ("", 6)] {
        browser.write("#search", words);
        settle(&browser);
        assert_eq!(seen(&browser).len(), found, "{words}: {:?}", seen(&browser));
    }
}

#[test]
fn everything_is_reached_by_keyboard() {
    let Some((browser, _project)) = shown() else { return };
    let focus = |what: &str| browser.run(&format!("const one = document.activeElement; return {what}"));
    browser.press(&[key::TAB]);
    assert_eq!(focus("one.textContent"), "Skip to the report");
    browser.press(&[key::ENTER]);
    assert_eq!(focus("one.id"), "main");
    browser.press(&['/', 'h', 'o', 's', 't', 'i', 'l', 'e']);
    settle(&browser);
    assert_eq!((focus("one.id"), focus("one.value")), (json!("search"), json!("hostile")));
    assert!(seen(&browser).len() < 6);
    browser.press(&[key::ESCAPE]);
    settle(&browser);
    assert_eq!((focus("one.value"), seen(&browser).len()), (json!(""), 6));
    // The picture is one stop of the tab key; arrows move within it.
    browser.run("document.querySelector('#picture .node[tabindex=\"0\"]').focus()");
    let name = "one.getAttribute('aria-label')";
    let first = focus(name);
    browser.press(&[key::DOWN]);
    let below = focus(name);
    browser.press(&[key::RIGHT]);
    let beside = focus(name);
    assert!(first != below && below != beside, "{first} {below} {beside}");
    assert_eq!(browser.run("return document.querySelectorAll('#picture [tabindex=\"0\"]').length"), 1);
    browser.press(&[key::ENTER]);
    assert_eq!(focus("one.getAttribute('aria-pressed')"), "true");
}

#[test]
fn the_picture_says_what_waits_for_what_and_leads_to_the_change() {
    let Some((browser, _project)) = shown() else { return };
    let titles = browser.run("return [...document.querySelectorAll('#picture .title')].map((one) => one.textContent)");
    assert_eq!(titles, json!(["network (2)", "data (2)", "services (2)"]));
    assert!(browser.run("return document.querySelectorAll('#picture .edge').length").as_u64().unwrap() >= 4);
    let marked = |class: &str| {
        let script = format!(
            "return [...document.querySelectorAll('#picture .node.{class}')].map((one) => one.querySelector('title').textContent)"
        );
        serde_json::from_value::<Vec<String>>(browser.run(&script)).unwrap()
    };
    browser.run("window.scrollTo(0, document.getElementById('picture').offsetTop - 100)");
    browser.click("#picture .node[aria-label^='value.turned']");
    assert_eq!(marked("chosen-node"), ["value.turned"]);
    assert_eq!(marked("before"), ["stack.net", "value.hostile"]);
    assert_eq!(marked("after"), ["value.secret"]);
    let said = browser.run("return [...document.querySelectorAll('#chosen p')].map((one) => one.textContent)");
    assert_eq!(
        said,
        json!([
            "value.turned: update. Show the change",
            "Waits for stack.net, value.hostile.",
            "Waited for by value.secret."
        ])
    );
    // A filter that hides the change does not keep a link from showing it.
    browser.write("#search", "no such thing");
    settle(&browser);
    browser.click("#chosen a");
    settle(&browser);
    let open = browser.run("const one = document.activeElement.closest('.change'); return [one.open, one.checkVisibility(), one.querySelector('code').textContent]");
    assert_eq!(open, json!([true, true, "value.turned"]));
}

#[test]
fn nothing_keeps_anybody_from_reading_it_in_light_in_the_dark_on_a_phone_and_on_paper() {
    let Some((browser, _project)) = shown() else { return };
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&pictures).unwrap();
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)] {
        browser.size(width, 900);
        browser.prefer("screen", scheme);
        browser.run("for (const one of document.querySelectorAll('details')) one.open = true");
        settle(&browser);
        let Some(found) = obstacles(&browser) else { return };
        // For whoever wants to see it with their own eyes.
        browser.picture(&pictures.join(format!("{scheme}-{width}.png")));
        assert_eq!(found, json!([]), "{scheme}, {width} wide: {found:#}");
        let wide = browser.run("return document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} wide on {width}");
    }
    let dark = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(dark, "rgb(17, 21, 27)");
    // On paper everything is open, and what only a screen can do is not there.
    browser.run("for (const one of document.querySelectorAll('details')) one.open = false");
    browser.size(800, 900);
    browser.prefer("print", "light");
    settle(&browser);
    let to_be_seen = |selector: &str| {
        browser.run(&format!(
            "return document.querySelector('{selector}').checkVisibility({{ contentVisibilityAuto: true }})"
        ))
    };
    for (selector, is) in
        [(".controls", false), (".contents", false), ("#graph", false), (".change .diff", true), ("h1", true)]
    {
        assert_eq!(to_be_seen(selector), is, "{selector}");
    }
    let printed = browser.devtools("Page.printToPDF", &json!({ "printBackground": false }));
    assert!(printed["data"].as_str().unwrap().len() > 10_000);
    assert_eq!(browser.run("return document.querySelectorAll('details[open]').length"), 0, "as it was before");
}

#[test]
fn two_thousand_changes_stay_fluid() {
    let Some(browser) = browser() else { return };
    let mut plan = String::new();
    for (phase, after) in [("one", ""), ("two", "  after = [phase.one]\n"), ("three", "  after = [phase.two]\n")] {
        let _ = write!(plan, "phase \"{phase}\" {{\n{after}}}\n\n");
    }
    for n in 0..2_000 {
        let phase = ["one", "two", "three"][n * 3 / 2_000];
        let before = if n % 3 == 1 { format!("  depends_on = [value.v{}]\n", n - 1) } else { String::new() };
        let _ = write!(
            plan,
            "value \"v{n}\" {{\n  phase = phase.{phase}\n{before}  input = {{ name = \"thing-{n}\", size = {n}, tags = [\"a\", \"b-{n}\"] }}\n}}\n\n"
        );
    }
    let project = Project::new(&plan);
    project.stdout(&["plan", "--html", "report.html"], 0);
    let file = project.path().join("report.html");
    let size = fs::metadata(&file).unwrap().len();
    assert!(size < 3_000_000, "{size}");
    let started = Instant::now();
    browser.open(&file);
    let opened = started.elapsed();
    assert_eq!(matches(&browser), "2000 changes, all shown");
    // How long it takes from a word to what is drawn; printed, and not held against anything: this machine is others', too.
    let mut took = Vec::new();
    for word in ["thing-1", "thing-19", "thing-1999", ""] {
        let script = format!(
            "const one = document.getElementById('search'); one.value = '{word}'; const began = performance.now();
             one.dispatchEvent(new Event('input', {{ bubbles: true }}));
             requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(performance.now() - began))))"
        );
        took.push((word, browser.wait(&script).as_f64().unwrap()));
    }
    eprintln!("report of 2,000 changes: {size} bytes, opened in {opened:?}, searched in {took:?} ms");
    browser.write("#search", "thing-1999");
    settle(&browser);
    assert_eq!(seen(&browser), ["value.v1999"]);
    // The picture is folded, and unfolds a piece at a time.
    let drawn = || browser.run("return document.querySelectorAll('#picture .node').length").as_u64().unwrap();
    let folded = drawn();
    assert!(folded < 150, "{folded}");
    browser.run("document.querySelector('#picture .more').dispatchEvent(new MouseEvent('click'))");
    assert_eq!(drawn(), folded + 30);
    assert_eq!(browser.said(), Vec::<String>::new());
}
