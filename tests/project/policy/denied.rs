//! What rules deny: at plan and at apply, of the folder and of a release, and what two people let pass.

use crate::{cli::Project, support::project::Said};
use serde_json::Value as Json;

fn run(project: &Project, words: &[&str]) -> Said {
    Said::of(&project.command(words).output().unwrap())
}

/// A project with a pack that wants a name for each topic, and a topic without one.
fn denied_project() -> Project {
    let project = Project::bare();
    project.write("terrace.toml", DENIED);
    project.write("plans/x/plan.hcl", "plan \"x\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n\nstack \"topics\" {\n  template = \"${path.root}/t.yaml\"\n}\n");
    project.write("plans/x/t.yaml", "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n");
    project.write("policies/own/pack.toml", NAMED_PACK);
    project.write("policies/own/named.guard", NAMED_RULE);
    project
}

const DENIED: &str =
    "name = \"x\"\n[policy.plan.x]\npacks = [\"policies/own\"]\n[people]\nann = [\"ann\"]\nbob = [\"bob\"]\n";
const NAMED_PACK: &str = "name = \"own\"\nversion = \"1.0.0\"\ndescription = \"what we agreed on\"\n[[rule]]\nname = \"topics_named\"\nseverity = \"deny\"\ncontrols = [\"CM-8\"]\non = \"template\"\nwhy = \"nobody finds it\"\ninstead = \"TopicName: TEAM-PURPOSE\"\n";
const NAMED_RULE: &str = "let topics = Resources.*[ Type == 'AWS::SNS::Topic' ]\nrule topics_named when %topics !empty {\n  %topics.Properties.TopicName exists <<the topic has no name>>\n}\n";

#[test]
fn what_a_rule_denies_is_shown_saved_and_not_applied() {
    let project = denied_project();
    let said = run(&project, &["plan", "x", "--out", "denied.plan"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.out.contains("Policy  1 denied") && said.out.contains("the topic has no name"), "{}", said.out);
    assert!(said.err.contains("error[policy_denied]: topics_named: stack.topics Topic"), "{}", said.err);
    assert!(said.err.contains("TopicName: TEAM-PURPOSE"), "{}", said.err);
    let json = run(&project, &["plan", "x", "--json"]);
    let plan: Vec<Json> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let plan = plan.iter().find(|line| line["type"] == "plan").unwrap();
    assert_eq!(plan["plan"]["judgement"]["findings"][0]["rule"], "topics_named");
    assert_eq!(plan["plan"]["judgement"]["packs"][0]["pack"], "own");
    for words in [["apply", "x", "--auto-approve"].as_slice(), &["apply", "denied.plan", "--auto-approve"]] {
        let said = run(&project, words);
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(!said.err.contains("Done"), "{}", said.err);
    }
    assert!(!run(&project, &["state", "list", "x"]).out.contains("stack.topics"), "nothing was done");

    // A plan that was saved while nobody asked rules is judged by those that are there when it is applied.
    project.write("terrace.toml", "name = \"x\"\n");
    project.stdout(&["plan", "x", "--out", "free.plan"], 0);
    project.write("terrace.toml", DENIED);
    assert_eq!(run(&project, &["apply", "free.plan", "--auto-approve"]).code, Some(3));
    // To mend it is enough.
    project
        .write("plans/x/t.yaml", "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties: { TopicName: a }\n");
    project.stdout(&["apply", "x", "--auto-approve"], 0);
}

#[test]
fn two_people_let_something_pass_for_a_time() {
    let project = denied_project();
    let as_ =
        |who: &str, words: &[&str]| Said::of(&project.command(words).env("TERRACE_IDENTITY", who).output().unwrap());
    let asked = as_("ann", &["policy", "waive", "topics_namd", "--until", "2027-06-01", "--reason", "x"]); // spellchecker:disable-line
    assert!(asked.code == Some(64) && asked.err.contains("did you mean `topics_named`?"), "{asked:?}");
    let over = as_("ann", &["policy", "waive", "topics_named", "--until", "2001-01-01", "--reason", "x"]);
    assert!(over.code == Some(64) && over.err.contains("is over"), "{over:?}");
    let words = ["policy", "waive", "topics_named", "--address", "stack.topics", "--until", "2027-06-01", "--reason"];
    let words: Vec<&str> = words.into_iter().chain(["the new one comes in June", "--json"]).collect();
    let asked: Json = serde_json::from_str(as_("ann", &words).out.trim()).unwrap();
    let name = asked["name"].as_str().unwrap();

    // It counts for nobody before somebody else agrees.
    let said = as_("ann", &["apply", "x", "--auto-approve"]);
    assert!(said.code == Some(3) && said.err.contains(&format!("terrace approve --waiver {name}")), "{said:?}");
    assert_eq!(as_("ann", &["approve", "--waiver", name]).code, Some(4));
    assert_eq!(as_("bob", &["approve", "--waiver", name]).code, Some(0));
    let said = as_("ann", &["apply", "x", "--auto-approve"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("0 denied, 0 warnings, 1 waived") && said.out.contains("agreed to by bob"),
        "{}",
        said.out
    );
    let listed = as_("ann", &["policy", "waivers"]).out;
    assert!(listed.contains("counts") && listed.contains("the new one comes in June"), "{listed}");

    // What is over denies again, and so does what is lifted.
    project.stdout(&["sandbox", "advance", "9000h"], 0);
    let said = as_("ann", &["plan", "x"]);
    assert!(said.code == Some(3) && said.err.contains("ended on 2027-06-01"), "{said:?}");
    assert_eq!(as_("bob", &["approve", "--waiver", name]).code, Some(4));
    assert_eq!(as_("bob", &["policy", "waive", name, "--lift", "--reason", "done"]).code, Some(0));
    assert!(as_("ann", &["policy", "waivers"]).err.contains("no rule is waived"));
    let trail = as_("ann", &["audit", "log", "x", "--json"]).out;
    assert_eq!(trail.matches("\"deed\":\"waiver\"").count(), 3, "{trail}");
}

#[test]
fn a_release_is_judged_by_the_rules_that_it_brought_along() {
    let project = denied_project();
    project.write("terrace.toml", &format!("{DENIED}[policy.severity]\ntopics_named = \"warn\"\n"));
    let release = project.stdout(&["release", "create", "x", "--quiet"], 0);
    let list = project.stdout(&["release", "show", release.trim(), "--list"], 0);
    assert!(list.contains("\"packs\":[\"policies/own\"]") && list.contains("named.guard"), "{list}");
    // The folder gives its rules up; the release does not.
    project.write("terrace.toml", "name = \"x\"\n");
    std::fs::remove_dir_all(project.path().join("policies")).unwrap();
    let said = run(&project, &["promote", release.trim(), "--to", "dev", "--auto-approve"]);
    assert!(said.code == Some(3) && said.err.contains("topics_named"), "{said:?}");
    assert_eq!(run(&project, &["plan", "x", "--release", release.trim()]).code, Some(3));
    assert_eq!(run(&project, &["plan", "x"]).code, Some(0), "the folder has no rules any more");
}

#[test]
fn a_saved_plan_of_a_release_is_judged_by_its_packs_when_it_is_applied() {
    let project = denied_project();
    let named = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties: { TopicName: a }\n";
    project.write("plans/x/t.yaml", named);
    let release = project.stdout(&["release", "create", "x", "--quiet"], 0);
    project.stdout(&["plan", "x", "--release", release.trim(), "--out", "ok.plan"], 0);
    std::fs::remove_dir_all(project.path().join("policies")).unwrap();
    project.write("terrace.toml", "name = \"x\"\n");
    let said = run(&project, &["apply", "ok.plan", "--auto-approve"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_way_back_leads_to_what_was_there_and_not_past_the_rules() {
    let project = denied_project();
    let named = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties: { TopicName: a }\n";
    let denied = project.stdout(&["release", "create", "x", "--quiet"], 0);
    project.write("plans/x/t.yaml", named);
    let good = project.stdout(&["release", "create", "x", "--quiet"], 0);
    let to = |words: &[&str]| run(&project, &[words, &["--auto-approve"]].concat());
    assert_eq!(to(&["promote", good.trim(), "--to", "dev"]).code, Some(0));
    let said = to(&["rollback", "--to", denied.trim(), "--env", "dev"]);
    assert!(said.code == Some(4) && said.words().contains("was never in dev"), "{said:?}");
    // What was good here is gone back to, whatever rules say of it today.
    let other = named.replace("TopicName: a", "TopicName: b");
    project.write("plans/x/t.yaml", &other);
    let newer = project.stdout(&["release", "create", "x", "--quiet"], 0);
    assert_eq!(to(&["promote", newer.trim(), "--to", "dev"]).code, Some(0));
    project.write("policies/own/named.guard", &NAMED_RULE.replace("exists", "== 'z'"));
    let said = to(&["rollback", "--env", "dev"]);
    assert!(said.code == Some(0) && said.words().contains("do not stop a way back: topics_named"), "{said:?}");
}

#[test]
fn a_plan_file_whose_header_was_edited_is_refused() {
    let project = denied_project();
    project.write("terrace.toml", "name = \"x\"\n");
    project.stdout(&["plan", "x", "--out", "x.plan"], 0);
    let path = project.path().join("x.plan");
    let edited = |change: &dyn Fn(&mut Json)| {
        let mut plan: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut plan["content"]["header"]);
        plan["digest"] = terrace::base::Digest::of_value(&plan["content"]).as_str().into();
        project.write("edited.plan", &plan.to_string());
        run(&project, &["apply", "edited.plan", "--auto-approve"])
    };
    let said = edited(&|header| header["mode"] = "verify".into());
    assert!(said.code == Some(1) && said.words().contains("said to be `verify` does not create"), "{said:?}");
    let said = edited(&|header| header["protected"] = true.into());
    assert!(said.code == Some(5) && said.words().contains("the plan says that dev is protected"), "{said:?}");
    assert_eq!(edited(&|_| ()).code, Some(0), "only what was edited is refused");
}

const NAMED_TOPIC: &str = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties: { TopicName: a }\n";
const NAMELESS: &str = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n";

#[test]
fn rules_that_are_given_up_count_until_a_run_has_passed_them() {
    for weaker in ["name = \"x\"\n".to_owned(), format!("{DENIED}[policy.severity]\ntopics_named = \"warn\"\n")] {
        let project = denied_project();
        project.write("plans/x/t.yaml", NAMED_TOPIC);
        project.stdout(&["apply", "x", "--auto-approve"], 0);
        // Out of the settings and out of the folder: state has them still.
        project.write("terrace.toml", &weaker);
        if !weaker.contains("packs") {
            std::fs::remove_dir_all(project.path().join("policies")).unwrap();
        }
        project.write("plans/x/t.yaml", NAMELESS);
        let said = run(&project, &["plan", "x", "--out", "denied.plan"]);
        assert!(said.code == Some(3) && said.err.contains("topics_named"), "{said:?}");
        assert!(said.err.contains("that was asked when dev was last changed"), "{}", said.err);
        assert!(said.out.contains("given up, and still asked until a run in dev has passed it"), "{}", said.out);
        assert_eq!(run(&project, &["apply", "denied.plan", "--auto-approve"]).code, Some(3));
        // A run that passes them ends them.
        project.write("plans/x/t.yaml", &NAMED_TOPIC.replace("TopicName: a", "TopicName: b"));
        project.stdout(&["apply", "x", "--auto-approve"], 0);
        project.write("plans/x/t.yaml", NAMELESS);
        let said = run(&project, &["plan", "x"]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
}

#[test]
fn a_pack_has_rules_over_the_plan_itself() {
    let project = denied_project();
    let pack = NAMED_PACK.replace("topics_named", "topics_stay").replace("\"template\"", "\"plan\"");
    project.write("policies/own/pack.toml", &pack);
    let rule = "let topics = nodes[ children exists ].children[ kind == 'AWS::SNS::Topic' ]\nrule topics_stay when %topics !empty {\n  \
        %topics.action not in ['replace', 'delete'] <<the topic goes, and its subscribers with it>>\n}\n";
    project.write("policies/own/named.guard", rule);
    let tested = run(&project, &["policy", "test"]);
    assert!(tested.err.contains("no fixture that passes"), "{tested:?}");
    project.write(
        "policies/own/tests/topics_stay/pass.yaml",
        "nodes:\n- children: [{ kind: 'AWS::SNS::Topic', action: create }]\n",
    );
    project.write(
        "policies/own/tests/topics_stay/fail.yaml",
        "nodes:\n- children: [{ kind: 'AWS::SNS::Topic', action: delete }]\n",
    );
    let tested = run(&project, &["policy", "test"]);
    assert_eq!(tested.code, Some(0), "{tested:?}");

    let plan = std::fs::read_to_string(project.path().join("plans/x/plan.hcl")).unwrap();
    project.write("plans/x/plan.hcl", &format!("{plan}\nvalue \"beside\" {{\n  input = 1\n}}\n"));
    project.stdout(&["apply", "x", "--auto-approve"], 0);
    project.write("plans/x/t.yaml", &NAMELESS.replace("Topic:\n", "Other:\n"));
    let said = run(&project, &["plan", "x", "--json"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    let plan: Json = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Json| line["type"] == "plan")
        .unwrap();
    let findings = plan["plan"]["judgement"]["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["rule"] == "topics_stay").unwrap();
    assert_eq!((&finding["address"], &finding["part"]), (&Json::from("stack.topics"), &Json::from("Topic")));
    assert!(finding["place"]["file"].as_str().unwrap().ends_with("plan.hcl"), "{finding}");
    assert_eq!(finding["path"], "/action");

    // Without a plan nobody can tell: it is said.
    let checked = run(&project, &["policy", "check", "x"]);
    assert!(checked.code == Some(0) && checked.err.contains("1 rule looks at plans"), "{checked:?}");
}

#[test]
fn a_run_of_a_part_and_one_that_fails_pass_no_rules() {
    let project = denied_project();
    let plan = std::fs::read_to_string(project.path().join("plans/x/plan.hcl")).unwrap();
    let with = |more: &str| project.write("plans/x/plan.hcl", &format!("{plan}\n{more}\n"));
    project.write("plans/x/t.yaml", NAMED_TOPIC);
    with("value \"beside\" {\n  input = 1\n}");
    project.stdout(&["apply", "x", "--auto-approve"], 0);
    project.write("terrace.toml", "name = \"x\"\n");
    with("value \"beside\" {\n  input = 2\n}");
    project.stdout(&["apply", "x", "--target", "value.beside", "--auto-approve"], 0);
    with("value \"beside\" {\n  input = 2\n}\n\ncommand \"broken\" {\n  create = [\"false\"]\n}");
    let failed =
        Said::of(&project.command(&["apply", "x", "--auto-approve"]).env("PATH", "/usr/bin:/bin").output().unwrap());
    assert_eq!(failed.code, Some(1), "{failed:?}");
    with("value \"beside\" {\n  input = 2\n}");
    project.write("plans/x/t.yaml", NAMELESS);
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(3) && said.err.contains("topics_named"), "{said:?}");
}

#[test]
fn an_environment_that_is_protected_no_more_keeps_its_rules_until_a_run_has_passed_them() {
    let project = Project::bare();
    let plan = |protected: bool, input: &str| {
        let text = format!(
            "plan \"x\" {{}}\n\nenvironment \"dev\" {{\n  protected = {protected}\n  sandbox {{}}\n}}\n\nvalue \"v\" {{\n  input = {{ {input} }}\n}}\n"
        );
        project.write("plans/x/plan.hcl", &text);
    };
    plan(true, "a = \"1\"");
    project.stdout(&["apply", "x", "--auto-approve"], 0);
    plan(false, "adminPassword = \"hunter2\"");
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(3) && said.err.contains("no_secret_in_clear"), "{said:?}");
    plan(false, "a = \"2\"");
    project.stdout(&["apply", "x", "--auto-approve"], 0);
    plan(false, "adminPassword = \"hunter2\"");
    assert_eq!(run(&project, &["plan", "x"]).code, Some(0), "it warns there");
}

#[test]
fn packs_for_a_plan_that_is_named_otherwise_are_an_error() {
    let project = denied_project();
    let plan = std::fs::read_to_string(project.path().join("plans/x/plan.hcl")).unwrap();
    project.write("plans/x/plan.hcl", &plan.replace("plan \"x\"", "plan \"my_shop\""));
    project.write("terrace.toml", &DENIED.replace("plan.x", "plan.my-shop"));
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(1) && said.err.contains("write [policy.plan.my_shop]"), "{said:?}");
}
