//! Executes what the README and the first guide tell people to type, and holds the documents' links to the files that they name.
//!
//! A block ```` ```sh test ```` is executed, line by line (a here-document is one), one block after the other, in a copy of the
//! project with `terrace` on PATH; `# exits with N` behind a line says how it ends, if not with 0; `cd` lasts. A block ```` ```text said ```` must
//! have been said by the commands since the `sh` block before it: its lines in this order, where `…` on a line of its own
//! stands for any lines, and `…` in a line for anything.

#![expect(
    clippy::disallowed_methods,
    reason = "a test that types commands as a person would, and stops where that fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the README's commands need of the project.
const NEEDED: &[&str] = &["examples", "policies", "terrace.toml"];

#[test]
fn what_the_readme_tells_to_type_works_and_says_what_it_shows() {
    let (commands, shown) = follow("README.md", NEEDED);
    assert!(commands >= 12 && shown >= 6, "only {commands} commands and {shown} blocks of output were found");
}

#[test]
fn what_the_first_guide_tells_to_type_works_and_says_what_it_shows() {
    let (commands, shown) = follow("docs/getting-started.md", &[]);
    assert!(commands >= 12 && shown >= 5, "only {commands} commands and {shown} blocks of output were found");
}

/// Does what a document says, in a folder with these parts of the project; returns how many commands and blocks of output
/// there were.
fn follow(document: &str, needed: &[&str]) -> (usize, usize) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(project.join(document)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut folder = place.path().join("terrace");
    fs::create_dir(&folder).unwrap();
    for name in needed {
        copy(&project.join(name), &folder.join(name));
    }
    let programs = place.path().join("bin");
    programs_on_path(&programs);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());

    let (mut commands, mut shown) = (0, 0);
    let mut said = String::new();
    for (kind, text) in blocks(&text) {
        match kind.as_str() {
            "sh test" => {
                said.clear();
                for (command, code) in typed(&text) {
                    commands += 1;
                    if let Some(into) = command.strip_prefix("cd ") {
                        folder.push(into);
                        continue;
                    }
                    let output = Command::new("sh")
                        .args(["-c", &format!("exec 2>&1\n{command}")])
                        .current_dir(&folder)
                        .env("PATH", &path)
                        .env("TERRACE_SANDBOX_SPEED", "instant")
                        .env("NO_COLOR", "1")
                        .output()
                        .unwrap();
                    let text = String::from_utf8_lossy(&output.stdout);
                    assert_eq!(output.status.code(), Some(code), "{document}: `{command}` said\n{text}");
                    said.push_str(&text);
                }
            }
            "text said" => {
                if let Err(line) = follows(&said, &text) {
                    panic!("{document} shows `{line}`, which was not said there. What was said:\n{said}");
                }
                shown += 1;
            }
            _ => {}
        }
    }
    (commands, shown)
}

/// The commands of a block, each with the code that it ends with.
fn typed(block: &str) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    let mut lines = block.lines().filter(|line| !line.trim().is_empty());
    while let Some(line) = lines.next() {
        let (command, code) = match line.split_once("# exits with ") {
            Some((command, code)) => (command.trim(), code.trim().parse().unwrap()),
            None => (line, 0),
        };
        let mut command = command.to_owned();
        if let Some((_, end)) = line.split_once("<<") {
            let end = end.trim_matches('\'');
            for line in lines.by_ref() {
                command.push('\n');
                command.push_str(line);
                if line == end {
                    break;
                }
            }
        }
        found.push((command, code));
    }
    found
}

#[test]
fn shown_lines_are_found_only_in_order_and_next_to_each_other() {
    let said = "a\n\nb took 3s\nc\nd\n";
    for good in ["a\nb took …", "b took …\nc", "a\n…\nd", "a\nb …", "…\nc\nd"] {
        assert_eq!(follows(said, good), Ok(()), "{good}");
    }
    for (bad, line) in [("a\nc", "c"), ("c\n…\na", "a"), ("b took", "b took"), ("a\n…\ne", "e")] {
        assert_eq!(follows(said, bad), Err(line.to_owned()), "{bad}");
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<PathBuf> = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "testbed/README.md"] {
        documents.push(project.join(name));
    }
    markdown(&project.join("docs"), &mut documents);
    markdown(&project.join("examples"), &mut documents);
    let mut broken = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
        for target in links(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            let found = file.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&file).unwrap()).iter().any(|a| a == anchor));
            if !found {
                broken.push(format!("{}: {target}", document.strip_prefix(project).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_document_is_in_the_index() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let index = fs::read_to_string(docs.join("README.md")).unwrap();
    let linked = links(&index);
    let mut documents = Vec::new();
    markdown(&docs, &mut documents);
    for document in documents {
        let name = document.strip_prefix(&docs).unwrap().display().to_string();
        assert!(name == "README.md" || linked.contains(&name), "docs/README.md does not name {name}");
    }
}

/// Fenced blocks: what stands behind the fence, and the text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Whether these lines were said, empty ones aside; if not, the first that was not.
fn follows(said: &str, shown: &str) -> Result<(), String> {
    let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut at = 0;
    let mut anywhere = true;
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        if line == "…" {
            anywhere = true;
            continue;
        }
        let here = if anywhere { said.len() } else { (at + 1).min(said.len()) };
        let found = said[at..here].iter().position(|said| alike(said, line));
        at += found.ok_or_else(|| line.to_owned())? + 1;
        anywhere = false;
    }
    Ok(())
}

/// Whether a line is what is shown, where `…` stands for anything.
fn alike(said: &str, shown: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else { return false };
    let mut open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        open = part.is_empty();
    }
    rest.is_empty() || open
}

/// Links to files, without those to other places.
fn links(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose: String = text
        .lines()
        .filter(|line| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !inside && !fence && !line.starts_with("    ")
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = Vec::new();
    for (at, _) in prose.match_indices("](") {
        let target = prose[at + 2..].split(')').next().unwrap_or_default();
        if !target.contains("://") && !target.starts_with("mailto:") {
            found.push(target.to_owned());
        }
    }
    found
}

/// What headings are called in links.
fn anchors(text: &str) -> Vec<String> {
    let name = |heading: &str| {
        let plain = heading.trim_start_matches('#').trim().to_lowercase();
        plain
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    text.lines().filter(|line| line.starts_with('#')).map(name).collect()
}

fn markdown(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            markdown(&entry, found);
        } else if entry.extension().is_some_and(|end| end == "md") {
            found.push(entry);
        }
    }
}

/// `terrace` itself, and a `cargo` that knows `run` alone, so that nothing is built anew.
fn programs_on_path(folder: &Path) {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    fs::create_dir_all(folder).unwrap();
    let terrace = env!("CARGO_BIN_EXE_terrace");
    symlink(terrace, folder.join("terrace")).unwrap();
    let cargo = folder.join("cargo");
    let text = format!("#!/bin/sh\n[ \"$1 $2\" = 'run --' ] || exit 99\nshift 2\nexec '{terrace}' \"$@\"\n");
    fs::write(&cargo, text).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Copies a file or folder, but not what a run of somebody else left in it.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != ".terrace" {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    }
}
