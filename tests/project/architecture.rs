//! Holds the source to the house rules that no compiler checks: which room may import
//! which, that the core reaches nothing outside the process by itself, and that every
//! file says what it is for.
//!
//! The rules are the tables below. The source is read as tokens, so comments and strings
//! never count, and `use` groups, inline paths and `super` chains all do.

#![expect(clippy::disallowed_methods, reason = "reads the project's own source from disk")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Each room under `src/`, and the rooms that it may import. `*` is everything.
const ROOMS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("cfn", &["base"]),
    ("world", &["base"]),
    ("world/live", &["base", "world"]),
    ("world/sandbox", &["base", "cfn", "world"]),
    ("lang", &["base"]),
    ("rollout", &["base", "lang"]),
    ("graph", &["base", "lang", "rollout"]),
    ("state", &["base", "world", "rollout"]),
    ("gate", &["base", "lang", "state"]),
    ("kinds", &["base", "cfn", "world", "lang"]),
    ("plan", &["base", "cfn", "world", "lang", "rollout", "graph", "state", "kinds"]),
    ("policy", &["base", "cfn", "world", "lang", "graph", "state", "kinds", "plan"]),
    ("review", &["base", "world", "cfn", "lang", "graph", "state", "kinds", "plan", "policy"]),
    ("apply", &["base", "world", "lang", "rollout", "graph", "state", "gate", "kinds", "plan", "policy"]),
    ("promote", &["base", "world", "lang", "graph", "state", "gate", "kinds", "plan", "policy", "review", "apply"]),
    ("lsp", &["base", "cfn", "lang", "graph", "kinds"]),
    ("cli", &["*"]),
];

/// What the tests within any room may import besides: a test needs some world to stand on,
/// and something to declare.
const FOR_TESTS: &[&str] = &["world", "world/live", "world/sandbox", "kinds"];

/// The rooms that do what the others only ask for. `src/lib.rs` and `src/main.rs` hold
/// no logic; `main.rs` may do it too, `lib.rs` may not.
const OUTSIDE_THE_CORE: &[&str] = &["world/live", "world/sandbox", "cli"];

/// Files that both worlds share: programs, URLs and files are the machine's own in either.
const SHARED_BY_THE_WORLDS: &[&str] = &[
    "src/world/machine.rs",
    "src/world/machine/guard.rs",
    "src/world/machine/terraform.rs",
    "src/world/machine/terraform/process.rs",
    "src/world/machine/terraform/words.rs",
];

/// Paths that the core never names, and what it does instead.
const EFFECTS: &[(&str, &str)] = &[
    ("std::env", "take the value as an argument; only `cli` reads the environment"),
    ("std::fs", "read through `lang::Sources` or go through `world::Files`"),
    ("tokio::fs", "go through `world::Files`"),
    ("net::TcpListener", "go through `world::Http`"),
    ("net::TcpStream", "go through `world::Http`"),
    ("net::UdpSocket", "go through `world::Http`"),
    ("std::process", "go through `world::Command`"),
    ("tokio::process", "go through `world::Command`"),
    ("SystemTime::now", "ask `world::Clock`"),
    ("Instant::now", "ask `world::Clock`"),
    ("Timestamp::now", "ask `world::Clock`"),
    ("Zoned::now", "ask `world::Clock`"),
    ("thread::sleep", "ask `world::Clock`"),
    ("tokio::time::sleep", "ask `world::Clock`"),
];

/// Macros that the core never calls.
const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

#[test]
fn every_room_imports_only_what_its_row_allows() {
    report(&source().iter().flat_map(imports).collect::<Vec<_>>());
}

#[test]
fn the_core_reaches_nothing_outside_the_process() {
    report(&source().iter().flat_map(effects).collect::<Vec<_>>());
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    report(&source().iter().filter_map(opening).collect::<Vec<_>>());
}

#[test]
fn the_table_names_only_rooms_and_has_no_cycle() {
    // A room may import only rooms that stand above it, so an order without cycles exists.
    for (position, (room, allowed)) in ROOMS.iter().enumerate() {
        for name in allowed.iter().filter(|name| **name != "*") {
            let of = ROOMS.iter().position(|(room, _)| room == name);
            assert!(
                of.is_some_and(|of| of < position),
                "`{room}` may import `{name}`, which is no room above it in the table"
            );
        }
    }
}

// The checks themselves are checked: each fixture is a file as it could stand in `src/`.

#[test]
fn a_forbidden_import_is_found_however_it_is_written() {
    let found = |text: &str| check(imports, "src/lang/eval.rs", text);
    assert_eq!(found("use crate::base::Value;"), "");
    assert_eq!(found("\nuse crate::plan::Plan;"), "src/lang/eval.rs:2: `lang` may not import `plan`\n");
    assert_eq!(
        found("use crate::{\n    base::Value,\n    world::{self, live::Aws},\n};"),
        "src/lang/eval.rs:3: `lang` may not import `world`\n\
         src/lang/eval.rs:3: `lang` may not import `world/live`\n"
    );
    assert_eq!(
        found("fn f() {\n let x = crate::state::open(crate::base::ROOT);\n}"),
        "src/lang/eval.rs:2: `lang` may not import `state`\n"
    );
    assert_eq!(found("use super::super::cli as c;"), "src/lang/eval.rs:1: `lang` may not import `cli`\n");
    assert_eq!(found("mod tests { use super::super::Scope; }"), "");
    assert_eq!(
        found("mod tests { use super::super::super::graph; }"),
        "src/lang/eval.rs:1: `lang` may not import `graph`\n"
    );
    assert_eq!(found("use crate::Shortcut;"), "src/lang/eval.rs:1: `crate::Shortcut` is in no room\n");
    assert_eq!(found("pub(crate) fn f() { crate::bail!(1) }"), "");
}

#[test]
fn comments_and_strings_import_nothing() {
    let text = r###"
        // use crate::cli::Args;
        /* outer /* crate::cli */ crate::cli::Args */
        /// See [`crate::apply::run`].
        const A: &str = "crate::cli::x \" crate::cli";
        const B: &str = r##"crate::cli::"# "##;
        const C: (char, u8, &[u8]) = ('"', b'"', b"crate::cli::");
        fn f<'a>(r#crate_: &'a str) {}
    "###;
    assert_eq!(check(imports, "src/lang/eval.rs", text), "");
}

#[test]
fn the_rooms_of_the_world_are_rooms_of_their_own() {
    assert_eq!(
        check(imports, "src/world/live/aws.rs", "use crate::cfn::Template;"),
        "src/world/live/aws.rs:1: `world/live` may not import `cfn`\n"
    );
    assert_eq!(check(imports, "src/world/sandbox/eks.rs", "use crate::cfn::Template; use super::super::Eks;"), "");
    assert_eq!(
        check(imports, "src/world/mod.rs", "pub mod live;\nuse self::live::Aws;"),
        "src/world/mod.rs:2: `world` may not import `world/live`\n"
    );
    assert_eq!(check(imports, "src/shed/mod.rs", ""), "src/shed/mod.rs:1: `shed` is no room of the table\n");
}

#[test]
fn tests_within_a_room_may_stand_on_a_world_but_on_no_other_room() {
    let text = "#[cfg(test)]\nmod tests {\n    use crate::world::sandbox::Sandbox;\n    use crate::cli::Args;\n}\n\
                use crate::world::sandbox::Sandbox;";
    assert_eq!(
        check(imports, "src/lang/eval.rs", text),
        "src/lang/eval.rs:4: `lang` may not import `cli`\n\
         src/lang/eval.rs:6: `lang` may not import `world/sandbox`\n"
    );
}

#[test]
fn a_file_counts_as_tests_where_it_is_declared_for_tests_only() {
    let mut files = [
        File::new(
            "src/lang/mod.rs",
            "#[cfg(test)]\npub(crate) mod bench;\nmod eval;\n#[cfg(test)]\nuse x::y;\nmod load;",
        ),
        File::new("src/lang/bench.rs", "mod deep;"),
        File::new("src/lang/bench/deep.rs", ""),
        File::new("src/lang/eval.rs", "mod inner { #[cfg(test)] #[expect(dead_code)] mod probe; }"),
        File::new("src/lang/eval/inner/probe.rs", ""),
        File::new("src/lang/load.rs", "#[cfg(test)] fn f() {} mod walk;"),
        File::new("src/lang/load/walk.rs", ""),
        File::new("src/plan/bench.rs", ""),
    ];
    mark_tests(&mut files);
    let tests: Vec<&str> = files.iter().filter(|file| file.tests).map(|file| file.path.as_str()).collect();
    assert_eq!(tests, ["src/lang/bench.rs", "src/lang/bench/deep.rs", "src/lang/eval/inner/probe.rs"]);
}

#[test]
fn an_effect_in_the_core_is_found_and_one_behind_a_seam_is_not() {
    let text = "use std::{env, fs as f, fmt, net::IpAddr};\n\
                fn now() { std::time::SystemTime::now(); }\n\
                fn say() { println!(\"x\"); }\n\
                #[cfg(test)]\n\
                mod tests { fn f() { std::fs::read(\"x\"); } }\n\
                fn after() { eprintln!(\"std::fs\"); }";
    assert_eq!(
        check(effects, "src/plan/diff.rs", text),
        "src/plan/diff.rs:1: the core may not name `std::env`: take the value as an argument; only `cli` reads the environment\n\
         src/plan/diff.rs:1: the core may not name `std::fs`: read through `lang::Sources` or go through `world::Files`\n\
         src/plan/diff.rs:2: the core may not name `SystemTime::now`: ask `world::Clock`\n\
         src/plan/diff.rs:3: the core may not call `println!`: emit an event; only `cli` prints\n\
         src/plan/diff.rs:6: the core may not call `eprintln!`: emit an event; only `cli` prints\n"
    );
    assert_eq!(check(effects, "src/cli/view.rs", text), "");
    assert_eq!(check(effects, "src/world/live/files.rs", text), "");
    assert_eq!(check(effects, "src/main.rs", text), "");
    assert_ne!(check(effects, "src/world/files.rs", text), "");
    assert_ne!(check(effects, "src/lib.rs", text), "");
}

#[test]
fn a_file_without_an_opening_is_found() {
    let found = |text: &str| {
        let file = File::new("src/base/value.rs", text);
        opening(&file).map(|violation| violation.to_string())
    };
    assert_eq!(found("//! Values.\n"), None);
    assert_eq!(
        found("use std::fmt;\n//! Late.").as_deref(),
        Some("src/base/value.rs:1: the file does not open with `//!` and what it is for")
    );
    assert!(found("").is_some());
}

/// One file of the source, as its path from the project's root with `/` and its text.
struct File {
    path: String,
    text: String,
    /// The whole file is tests: it is reached only through a `#[cfg(test)] mod`.
    tests: bool,
}

struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), tests: false }
    }

    /// The module that the file is: `src/kinds/helm/diff.rs` is `kinds`, `helm`, `diff`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/");
        let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        if path == "lib" || path == "main" {
            return Vec::new();
        }
        path.split('/').map(str::to_owned).collect()
    }

    fn violation(&self, line: usize, what: String) -> Violation {
        Violation { path: self.path.clone(), line, what }
    }
}

/// Every `.rs` file under `src/`, in the order of its path.
fn source() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    assert!(!paths.is_empty(), "no source found under {}", root.display());
    let mut files: Vec<File> = paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).expect("found under the root");
            let name = name.to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(path).expect("source is UTF-8");
            File::new(&name, &text)
        })
        .collect();
    mark_tests(&mut files);
    files
}

/// Marks the files that are reached only through a `#[cfg(test)] mod`, and what they declare.
fn mark_tests(files: &mut [File]) {
    let declared: Vec<Vec<String>> = files
        .iter()
        .flat_map(|file| {
            let module = file.module();
            test_modules(&file.text).into_iter().map(move |inner| [module.as_slice(), &inner].concat())
        })
        .collect();
    for file in files {
        let module = file.module();
        file.tests = declared.iter().any(|tests| module.starts_with(tests));
    }
}

fn report(violations: &[Violation]) {
    let mut list = String::new();
    for violation in violations {
        let _ = writeln!(list, "  {violation}");
    }
    assert!(violations.is_empty(), "{} found:\n{list}", violations.len());
}

fn check(rule: fn(&File) -> Vec<Violation>, path: &str, text: &str) -> String {
    let mut list = String::new();
    for violation in rule(&File::new(path, text)) {
        let _ = writeln!(list, "{violation}");
    }
    list
}

fn opening(file: &File) -> Option<Violation> {
    (!file.text.starts_with("//!")).then(|| {
        let what = "the file does not open with `//!` and what it is for";
        file.violation(1, what.to_owned())
    })
}

/// The rule of the table.
fn imports(file: &File) -> Vec<Violation> {
    let module = file.module();
    if module.is_empty() {
        return Vec::new();
    }
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let own = room(&module);
    let Some(allowed) = rooms.get(own.as_str()) else {
        return vec![file.violation(1, format!("`{own}` is no room of the table"))];
    };
    let mut violations = Vec::new();
    for found in paths(&file.text) {
        let Some(absolute) = found.resolve(&module) else {
            continue;
        };
        if absolute.is_empty() || (absolute.len() == 1 && found.called) {
            continue; // the crate itself, or a macro, which always lives at its root
        }
        let to = room(&absolute);
        if (found.in_tests || file.tests) && FOR_TESTS.contains(&to.as_str()) {
            continue;
        }
        if !rooms.contains_key(to.as_str()) {
            let what = format!("`crate::{}` is in no room", absolute.join("::"));
            violations.push(file.violation(found.line, what));
        } else if to != own && !allowed.contains(&"*") && !allowed.contains(&to.as_str()) {
            let what = format!("`{own}` may not import `{to}`");
            violations.push(file.violation(found.line, what));
        }
    }
    violations
}

/// The rule that only what stands behind a seam touches disk, environment, clock,
/// processes, network and terminal. What tests do is no effect of the program.
fn effects(file: &File) -> Vec<Violation> {
    let module = file.module();
    if file.path == "src/main.rs"
        || SHARED_BY_THE_WORLDS.contains(&file.path.as_str())
        || OUTSIDE_THE_CORE.contains(&room(&module).as_str())
        || file.tests
    {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for found in paths(&file.text).into_iter().filter(|found| !found.in_tests) {
        for (effect, instead) in EFFECTS {
            let wanted: Vec<&str> = effect.split("::").collect();
            if found.segments.windows(wanted.len()).any(|part| part == wanted) {
                let what = format!("the core may not name `{effect}`: {instead}");
                violations.push(file.violation(found.line, what));
            }
        }
        let name = found.segments.last().map_or("", String::as_str);
        if found.called && PRINTING.contains(&name) {
            let what = format!("the core may not call `{name}!`: emit an event; only `cli` prints");
            violations.push(file.violation(found.line, what));
        }
    }
    violations
}

/// The room that a module stands in. The two halves of the world are rooms of their own.
fn room(module: &[String]) -> String {
    match module {
        [first, second, ..] if first == "world" && (second == "live" || second == "sandbox") => {
            format!("world/{second}")
        }
        [first, ..] => first.clone(),
        [] => String::new(),
    }
}

/// A path as written, such as `crate::base::Value` or the `std::fs` of `use std::{fs, env}`.
#[derive(Clone)]
struct Found {
    segments: Vec<String>,
    line: usize,
    /// The modules within the file that it stands in.
    inside: Vec<String>,
    in_tests: bool,
    /// It is a macro's name.
    called: bool,
}

impl Found {
    /// The path from the crate's root, or none for a path into another crate or scope.
    fn resolve(&self, module: &[String]) -> Option<Vec<String>> {
        let mut base: Vec<String> = module.iter().chain(&self.inside).cloned().collect();
        let mut rest = self.segments.as_slice();
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            _ => return None,
        }
        while rest.first().is_some_and(|segment| segment == "super") {
            base.pop();
            rest = &rest[1..];
        }
        let named = rest.iter().filter(|part| *part != "self" && *part != "*");
        base.extend(named.cloned());
        Some(base)
    }
}

/// Finds every path and every macro call in the text.
fn paths(text: &str) -> Vec<Found> {
    read(text).0
}

/// Finds the modules that are declared for tests only and stand in files of their own.
fn test_modules(text: &str) -> Vec<Vec<String>> {
    read(text).1
}

fn read(text: &str) -> (Vec<Found>, Vec<Vec<String>>) {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut test_modules = Vec::new();
    let mut inside: Vec<(String, usize, bool)> = Vec::new(); // name, depth, for tests only
    let mut depth = 0;
    let mut tests_next = false;
    let mut at = 0;
    while at < tokens.len() {
        let is = |offset: usize, wanted: &str| tokens.get(at + offset).is_some_and(|token| token.text == wanted);
        if ["#", "[", "cfg", "(", "test", ")", "]"].iter().enumerate().all(|(offset, part)| is(offset, part)) {
            tests_next = true;
            at += 7;
        } else if is(0, "mod") && is(2, "{") {
            depth += 1;
            inside.push((tokens[at + 1].text.clone(), depth, tests_next));
            tests_next = false;
            at += 3;
        } else if is(0, "mod") && is(2, ";") {
            if tests_next {
                let outer = inside.iter().map(|(name, ..)| name.clone());
                test_modules.push(outer.chain([tokens[at + 1].text.clone()]).collect());
            }
            tests_next = false;
            at += 3;
        } else if is(0, "{") {
            depth += 1;
            tests_next = false;
            at += 1;
        } else if is(0, "}") {
            inside.pop_if(|(_, opened, _)| *opened == depth);
            depth = depth.saturating_sub(1);
            at += 1;
        } else if tokens[at].is_word() && (is(1, "::") || is(1, "!")) {
            let start = Found {
                segments: Vec::new(),
                line: tokens[at].line,
                inside: inside.iter().map(|(name, ..)| name.clone()).collect(),
                in_tests: inside.iter().any(|(.., tests)| *tests),
                called: false,
            };
            at = path(&tokens, at, &start, &mut found);
        } else {
            if is(0, ";") {
                tests_next = false;
            }
            at += 1;
        }
    }
    (found, test_modules)
}

/// Reads the path or group of paths at `at`, adds what it names to `found`, and returns
/// where it ends.
fn path(tokens: &[Token], mut at: usize, start: &Found, found: &mut Vec<Found>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = start.clone();
    loop {
        if text(at) == "{" {
            at += 1;
            while at < tokens.len() && text(at) != "}" {
                let next = self::path(tokens, at, &path, found);
                at = next.max(at + 1);
                if text(at) == "as" {
                    at += 2;
                }
                if text(at) == "," {
                    at += 1;
                }
            }
            return at + 1;
        }
        match tokens.get(at) {
            Some(token) if token.is_word() || token.text == "*" => {
                path.line = token.line;
                path.segments.push(token.text.clone());
                at += 1;
            }
            _ => break,
        }
        // `::<` opens type arguments: the path goes on behind them, but names nothing new.
        if text(at) == "::" && text(at + 1) != "<" {
            at += 1;
        } else {
            break;
        }
    }
    path.called = text(at) == "!" && text(at + 1) != "=";
    found.push(path);
    at
}

struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// Cuts Rust into words, `::` and single characters, leaving out comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = literal(rest).unwrap_or_else(|| {
            let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let length = match word.unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            if !first.is_whitespace() {
                let text = rest[..length].to_owned();
                tokens.push(Token { text, line });
            }
            length
        });
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of the comment, string or character at the start of `rest`, if there is one.
fn literal(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    // A string may have a prefix, and if that is raw, a fence.
    let after_prefix = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - after_prefix.len();
    if let Some(raw) = after_prefix.strip_prefix('r').filter(|_| prefix <= 1) {
        let fence = raw.len() - raw.trim_start_matches('#').len();
        if raw[fence..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(fence));
            let body = fence + 1;
            let end = raw[body..].find(&close).map(|end| body + end + close.len());
            return Some(prefix + 1 + end.unwrap_or(raw.len()));
        }
    }
    if prefix <= 1 && after_prefix.starts_with('"') {
        return Some(prefix + quoted(after_prefix, '"'));
    }
    if prefix <= 1 && after_prefix.starts_with('\'') {
        // A lifetime has no closing quote right behind its first character.
        let mut characters = after_prefix.chars().skip(1);
        let escaped = characters.next() == Some('\\');
        if escaped || characters.next() == Some('\'') {
            return Some(prefix + quoted(after_prefix, '\''));
        }
    }
    None
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
