//! Every example is taken through its life: checked, planned, applied, planned again without a change, destroyed, and
//! nothing is left. Each in a copy of its own, in a world of its own, all at the same time.

#![expect(
    clippy::disallowed_methods,
    reason = "a test that copies the examples and starts the program, and stops where that fails"
)]

use crate::support::{Said, ministack, server::built};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

#[test]
fn every_example_lives_and_dies_on_the_sandbox() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found = Vec::new();
    plans(&examples, &mut found);
    assert!(found.len() >= 12, "only {} examples found", found.len());
    let problems: Vec<String> = thread::scope(|scope| {
        let examples = &examples;
        let start = |folder: &PathBuf| {
            let name = name(examples, folder);
            (
                scope.spawn({
                    let name = name.clone();
                    move || life(examples, &name)
                }),
                name,
            )
        };
        let started: Vec<_> = found.iter().map(start).collect();
        started
            .into_iter()
            .filter_map(|(thread, name)| {
                let result = thread.join().unwrap_or_else(|_| Err("panicked".to_owned()));
                result.err().map(|problem| format!("examples/{name}: {problem}"))
            })
            .collect()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn the_example_for_ministack_lives_and_dies_there() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let place = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ministack"), place.path());
    let plan = fs::read_to_string(place.path().join("plan.hcl")).unwrap();
    let here =
        plan.replace("http://127.0.0.1:4566", &account.url).replace("\"000000000000\"", &format!("\"{}\"", account.id));
    assert!(here.contains(&account.url) && here.contains(&account.id));
    fs::write(place.path().join("plan.hcl"), here).unwrap();
    let terrace = |words: &[&str], says: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_terrace"))
            .args(words)
            .current_dir(place.path())
            .env_clear()
            .envs(account.environment())
            .env_remove("AWS_ENDPOINT_URL")
            .output()
            .unwrap();
        let said = Said::of(&output);
        assert!(said.code == Some(0) && (said.out + &said.err).contains(says), "{words:?}: {output:?}");
    };
    terrace(&["apply", "--auto-approve"], "Done: ");
    terrace(&["plan", "--detailed-exitcode"], "No changes.");
    terrace(&["plan", "--var", "retention_days=30"], "~ stack.worker");
    terrace(&["output"], "queue");
    terrace(&["destroy", "--auto-approve"], "Done: ");
}

#[test]
fn the_playground_comes_up_and_ends_when_it_is_told() {
    if built("ministack").is_none() {
        return;
    }
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let ports = [free(), free(), free()];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/playground");
    let mut playground = Command::new(script)
        .args(&ports)
        .env("TERRACE", env!("CARGO_BIN_EXE_terrace"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(playground.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("The playground is up")), "it never came up");
    let answers = |port: &str| TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).is_ok();
    let has_cluster = built("kube-apiserver").is_some();
    assert!(answers(&ports[0]) && answers(&ports[1]) == has_cluster);
    let told = Command::new("kill").args(["-TERM", &playground.id().to_string()]).status().unwrap();
    assert!(told.success() && playground.wait().unwrap().success());
    assert!(!answers(&ports[0]) && !answers(&ports[1]), "something of it is left");
}

#[test]
fn every_example_is_told_of_in_the_list() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let list = fs::read_to_string(examples.join("README.md")).unwrap();
    let mut found = Vec::new();
    plans(&examples, &mut found);
    for folder in found {
        let name = name(&examples, &folder);
        assert!(list.contains(&format!("[{name}]({name})")), "examples/README.md does not tell of {name}");
    }
}

/// What an example is called: its path below the folder of all of them.
fn name(examples: &Path, folder: &Path) -> String {
    folder.strip_prefix(examples).unwrap().display().to_string()
}

/// Folders that hold a plan, in order.
fn plans(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let declares = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "hcl")
            && fs::read_to_string(path).unwrap().lines().any(|line| line.starts_with("plan \""))
    };
    if entries.iter().any(declares) {
        found.push(folder.to_path_buf());
    }
    for entry in entries.iter().filter(|entry| entry.is_dir() && !entry.ends_with(".terrace")) {
        plans(entry, found);
    }
}

/// The life of one example: of the folder of this name, in a copy of all of them, for some share templates.
fn life(examples: &Path, name: &str) -> Result<(), String> {
    let place = tempfile::tempdir().unwrap();
    copy(examples, &place.path().join("examples"));
    let mut settings = "name = \"examples\"\n".to_owned();
    if name == "kinds/terraform" {
        let Some(tofu) = built("opentofu") else { return Ok(()) };
        settings.extend(["[tofu]\nprogram = \"", &tofu.display().to_string(), "\"\n"]);
    }
    fs::write(place.path().join("terrace.toml"), settings).unwrap();
    let plan = &*format!("examples/{name}");
    // What is for MiniStack is no less true on the sandbox.
    let world: &[&str] = if name == "ministack" { &["--sandbox"] } else { &[] };
    let terrace = |words: &[&str], says: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_terrace"))
            .args(words)
            .args(if words[0] == "fmt" || words[0] == "sandbox" { &[] } else { world })
            .current_dir(place.path())
            .env("TERRACE_SANDBOX_SPEED", "instant")
            .env("NO_COLOR", "1")
            .env_remove("TF_CLI_CONFIG_FILE")
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(format!("`terrace {}` ended with {}\n{said}", words.join(" "), output.status));
        }
        if !said.contains(says) {
            return Err(format!("`terrace {}` did not say `{says}`\n{said}", words.join(" ")));
        }
        Ok(())
    };
    terrace(&["fmt", plan, "--check"], "")?;
    terrace(&["validate", plan], "valid: ")?;
    terrace(&["plan", plan], "Plan: ")?;
    terrace(&["apply", plan, "--auto-approve"], "Done: ")?;
    terrace(&["plan", plan, "--detailed-exitcode"], "No changes.")?;
    terrace(&["drift", plan, "--detailed-exitcode"], "")?;
    terrace(&["destroy", plan, "--auto-approve"], "Done: ")?;
    terrace(&["state", "list", plan], "nothing is remembered")?;
    terrace(&["sandbox", "show"], "nothing is in it")
}

/// Copies a folder, but not what a run of somebody else left in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == ".terrace" {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
