//! `terrace explain`: what a code of an error or warning means. The page docs/errors.md is the one source.

use crate::{
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        style::bold,
        views::{json::answer, table},
    },
    lang::suggest,
};
use serde_json::json;

/// The page, as it is published.
const PAGE: &str = include_str!("../../../docs/errors.md");

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A code, as it stands in brackets behind `error` or `warning`; all of them where none is named
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Prints the explanation.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    let entries = entries();
    let Some(code) = &args.code else {
        if context.terminal.json {
            let all: Vec<_> = entries.iter().map(|e| json!({ "code": e.code, "text": e.text })).collect();
            context.terminal.json_line(&answer("codes", json!({ "codes": all })));
        } else {
            let rows: Vec<_> = entries.iter().map(|e| vec![e.code.to_owned(), e.first_sentence()]).collect();
            context.terminal.data(&table::render(&["code", "meaning"], &rows));
        }
        return Ok(Exit::Done);
    };
    let Some(entry) = entries.iter().find(|e| e.code == code) else {
        let error = Error::usage("unknown_code", format!("there is no code `{code}`"));
        return Err(match suggest::nearest(code, entries.iter().map(|e| e.code)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`terrace explain` lists all codes"),
        });
    };
    if context.terminal.json {
        context.terminal.json_line(&answer("code", json!({ "code": entry.code, "text": entry.text })));
    } else {
        context.terminal.data(&format!("{}\n\n{}\n", bold(entry.code), entry.text));
    }
    Ok(Exit::Done)
}

/// One code.
struct Entry {
    code: &'static str,
    text: &'static str,
}

impl Entry {
    fn first_sentence(&self) -> String {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let text = words.join(" ");
        text.split_inclusive(". ").next().unwrap_or_default().trim_end().trim_end_matches('.').to_owned()
    }
}

/// Every code of the page: a heading of the third level with the code in ticks, and what stands below it.
fn entries() -> Vec<Entry> {
    let mut out = Vec::new();
    for part in PAGE.split("\n### `").skip(1) {
        let Some((code, rest)) = part.split_once('`') else { continue };
        let text = rest.split("\n## ").next().unwrap_or_default();
        out.push(Entry { code, text: text.trim() });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn every_code_that_the_source_uses_is_explained_and_no_other() {
        let mut used = BTreeSet::new();
        look(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut used);
        let known: Vec<&str> = entries().iter().map(|e| e.code).collect();
        let explained: BTreeSet<String> = known.iter().map(|c| (*c).to_owned()).collect();
        assert_eq!(known.len(), explained.len(), "a code is explained twice");
        assert_eq!(used.difference(&explained).collect::<Vec<_>>(), Vec::<&String>::new(), "not in docs/errors.md");
        assert_eq!(explained.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "used nowhere in src/");
    }

    #[test]
    fn explanations_are_more_than_a_word() {
        for entry in entries() {
            assert!(entry.text.len() > 30 && entry.text.ends_with('.'), "{}: {}", entry.code, entry.text);
        }
    }

    /// Gathers the codes in the files under a folder: the first argument of whatever makes a diagnostic.
    #[expect(clippy::disallowed_methods, reason = "reads the project's own source from disk")]
    fn look(folder: &Path, used: &mut BTreeSet<String>) {
        let makers = regex::Regex::new(
            r#"(?:Diagnostic::(?:error|warning)|(?:Error|Self)::(?:new|usage)|\brefuse)\(\s*"([a-z0-9_]+)",|(?:Class|SourceError)::\w+.* => "([a-z_]+)","#,
        )
        .unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, used);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                if path.file_stem().is_some_and(|n| n.to_string_lossy().contains("test")) {
                    continue;
                }
                for found in makers.captures_iter(text) {
                    used.insert(found.get(1).or(found.get(2)).unwrap().as_str().to_owned());
                }
            }
        }
    }
}
