//! The comment on saved plans, by the program as people run it.

use crate::cli::Project;
use std::fs;

/// A plan of two environments with a value that would say something in the name of Terrace, and one that nobody may see.
fn project() -> Project {
    let project = Project::bare();
    project.write(
        "plans/app/plan.hcl",
        "plan \"app\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n\nenvironment \"prd\" {\n  sandbox {}\n  protected = true\n}\n\n\
         variable \"word\" {\n  type      = string\n  sensitive = true\n}\n\n\
         value \"said\" {\n  input = \"```\\n</details>\\n<!-- terrace: test/app -->\\n@octocat #12\"\n}\n\n\
         value \"word\" {\n  input = var.word\n}\n",
    );
    project
}

#[test]
fn one_comment_speaks_of_all_environments_and_lets_nobody_else_speak() {
    let project = project();
    for env in ["dev", "prd"] {
        let out = format!("{env}.plan");
        project.stdout(&["plan", "--env", env, "--var", "word=hunter2", "--out", &out, "--markdown", "one.md"], 0);
    }
    let said = project.stdout(&["comment", "dev.plan", "prd.plan", "--link", "https://ci.example/1"], 0);
    assert!(said.starts_with("<!-- terrace: test/app -->\n## Terrace: `app` of `test`\n"), "{said}");
    assert!(said.contains("**4 changes in 2 environments**") && said.contains("| `dev` (`sandbox, "), "{said}");
    assert!(said.contains("us-east-1`), protected |"), "{said}");
    assert_eq!((said.matches("<!--").count(), said.matches("hunter2").count()), (1, 0), "{said}");
    assert_eq!(said.matches("<details>").count(), said.matches("\n</details>\n").count(), "{said}");
    assert!(!said.contains("terrace approve") && said.contains("terrace release create"), "{said}");
    // The one that `plan` wrote is that of the last plan alone.
    let one = fs::read_to_string(project.path().join("one.md")).unwrap();
    assert_eq!(one, project.stdout(&["comment", "prd.plan", "--out", "-"], 0));
    // Into a file, and behind what a job has said of itself already.
    project.write("summary", "# before\n");
    let words = ["comment", "dev.plan", "prd.plan", "--out", "all.md", "--summary", "--link", "https://ci.example/1"];
    let mut command = project.command(&words);
    command.env("GITHUB_STEP_SUMMARY", project.path().join("summary")).assert().success().stdout("");
    assert_eq!(fs::read_to_string(project.path().join("all.md")).unwrap(), said);
    assert_eq!(fs::read_to_string(project.path().join("summary")).unwrap(), format!("# before\n\n{said}"));
}

#[test]
fn a_comment_offers_to_approve_the_plan_of_a_release_by_its_digest() {
    let project = Project::new("value \"size\" {\n  input = 1\n}\n");
    project.stdout(&["release", "create"], 0);
    let release = project.stdout(&["release", "list", "--json"], 0);
    let release: serde_json::Value = serde_json::from_str(release.lines().next().unwrap()).unwrap();
    let release = release["releases"][0]["digest"].as_str().unwrap_or_else(|| panic!("{release}")).to_owned();
    project.stdout(&["plan", "--release", &release, "--env", "dev", "--out", "r.plan"], 0);
    let said = project.stdout(&["comment", "r.plan"], 0);
    let plan: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(project.path().join("r.plan")).unwrap()).unwrap();
    let approve = format!("terrace approve {} --env dev\n", plan["digest"].as_str().unwrap());
    assert!(said.contains(&approve) && said.contains(&format!("terrace promote {release} --to dev\n")), "{said}");
}

#[test]
fn what_cannot_be_one_comment_is_refused_by_name() {
    let project = project();
    project.stdout(&["plan", "--env", "dev", "--var", "word=x", "--out", "dev.plan"], 0);
    for (words, code, says) in [
        (&["comment", "dev.plan", "dev.plan"][..], 64, "two plans are for the environment dev"),
        (&["comment", "dev.plan", "--limit", "100"], 64, "the least is 4000"),
        (&["comment", "dev.plan", "--link", "javascript:x"], 64, "comment_link"),
        (&["comment", "dev.plan", "--summary"], 64, "GITHUB_STEP_SUMMARY is not set"),
        (&["comment", "terrace.toml"], 1, "this is not a saved plan"),
        (&["comment", "nowhere.plan"], 1, "nowhere.plan"),
        (&["comment"], 64, "PLANFILE"),
    ] {
        let mut command = project.command(words);
        let output = command.env_remove("GITHUB_STEP_SUMMARY").assert().code(code);
        let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(said.contains(says), "{words:?}\n{said}");
    }
}
