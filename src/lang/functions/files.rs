//! Files of the project. Paths start at the project's folder: write `"${path.module}/x"`.

use super::{Answer, Context, Function, Problem, any, blame, function, string, text};
use crate::{
    base::Value,
    lang::{SourceError, convert, normalize},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::Md5;
use regex::Regex;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use std::{fmt::Write as _, sync::Arc};

/// How many files `fileset` looks at, at most.
const FILESET_LIMIT: usize = 100_000;

pub(super) const TABLE: &[Function] = &[
    function("basename", &[string("path")], "the last name of the path", basename),
    function("dirname", &[string("path")], "the path without its last name", dirname),
    function("file", &[string("path")], "the content of the file, which is UTF-8", file),
    function("filebase64", &[string("path")], "the content of the file, in base64", |a, c| {
        Ok(STANDARD.encode(read(a, c)?).into())
    }),
    function("filebase64sha256", &[string("path")], "the SHA-256 digest of the file, in base64", |a, c| {
        Ok(STANDARD.encode(Sha256::digest(read(a, c)?)).into())
    }),
    function("filebase64sha512", &[string("path")], "the SHA-512 digest of the file, in base64", |a, c| {
        Ok(STANDARD.encode(Sha512::digest(read(a, c)?)).into())
    }),
    function("fileexists", &[string("path")], "whether there is such a file", fileexists),
    function("filemd5", &[string("path")], "the MD5 digest of the file, in hex", |a, c| {
        Ok(hex::encode(Md5::digest(read(a, c)?)).into())
    }),
    function(
        "fileset",
        &[string("folder"), string("pattern")],
        "the files in the folder that match the pattern",
        fileset,
    ),
    function("filesha1", &[string("path")], "the SHA-1 digest of the file, in hex", |a, c| {
        Ok(hex::encode(Sha1::digest(read(a, c)?)).into())
    }),
    function("filesha256", &[string("path")], "the SHA-256 digest of the file, in hex", |a, c| {
        Ok(hex::encode(Sha256::digest(read(a, c)?)).into())
    }),
    function("filesha512", &[string("path")], "the SHA-512 digest of the file, in hex", |a, c| {
        Ok(hex::encode(Sha512::digest(read(a, c)?)).into())
    }),
    // The evaluator renders what this reads.
    function("templatefile", &[string("path"), any("variables").raw()], "the file, rendered with the variables", file),
];

fn read(arguments: &[Value], context: &Context<'_>) -> Result<Arc<[u8]>, Problem> {
    let path = text(arguments, 0);
    let found = normalize(".", path).and_then(|path| context.sources.read(&path));
    found.or_else(|error| match error {
        SourceError::Missing(_) => blame(
            0,
            format!(
                "there is no file {path:?}; paths start at the project's folder, so write \"${{path.module}}/...\""
            ),
        ),
        other => blame(0, other.to_string()),
    })
}

fn file(arguments: &[Value], context: &Context<'_>) -> Answer {
    match std::str::from_utf8(&read(arguments, context)?) {
        Ok(read) => Ok(Value::string(read)),
        Err(_) => blame(0, format!("{:?} is not UTF-8; read it with filebase64", text(arguments, 0))),
    }
}

fn fileexists(arguments: &[Value], context: &Context<'_>) -> Answer {
    match normalize(".", text(arguments, 0)).and_then(|path| context.sources.read(&path)) {
        Ok(_) => Ok(true.into()),
        Err(SourceError::Missing(_)) => Ok(false.into()),
        Err(error) => blame(0, error.to_string()),
    }
}

fn fileset(arguments: &[Value], context: &Context<'_>) -> Answer {
    let folder = match normalize(".", text(arguments, 0)) {
        Ok(folder) => folder,
        Err(error) => return blame(0, error.to_string()),
    };
    let pattern = glob(text(arguments, 1))?;
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    let mut seen = 0;
    while let Some(below) = waiting.pop() {
        let at = match (&*folder, &*below) {
            (_, "") => folder.clone(),
            (".", _) => below.trim_end_matches('/').to_owned(),
            _ => format!("{folder}/{}", below.trim_end_matches('/')),
        };
        let names = match context.sources.list(&at) {
            Ok(names) => names,
            Err(SourceError::Missing(_)) => continue,
            Err(error) => return blame(0, error.to_string()),
        };
        for name in names {
            seen += 1;
            if seen > FILESET_LIMIT {
                return blame(0, format!("there are more than {FILESET_LIMIT} files in it"));
            }
            let path = format!("{below}{name}");
            if path.ends_with('/') {
                waiting.push(path);
            } else if pattern.is_match(&path) {
                found.push(Value::string(path));
            }
        }
    }
    Ok(convert::set_of(found))
}

/// A glob as Terraform's `fileset` reads it: `*` and `?` within a name, `**` over folders, `[a-z]`, `{a,b}`.
fn glob(pattern: &str) -> Result<Regex, Problem> {
    let mut out = String::from("^");
    let mut chars = pattern.chars().peekable();
    let mut depth = 0usize;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                if chars.peek() == Some(&'/') {
                    chars.next();
                    out.push_str("(?:[^/]+/)*");
                } else {
                    out.push_str(".*");
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                out.push('[');
                for c in chars.by_ref() {
                    match c {
                        ']' => break,
                        '!' if out.ends_with('[') => out.push('^'),
                        '[' | '&' | '~' | '\\' => {
                            let _ = write!(out, "\\{c}");
                        }
                        c => out.push(c),
                    }
                }
                out.push(']');
            }
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '\\' => out.push_str(&regex::escape(&chars.next().unwrap_or('\\').to_string())),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push('$');
    Regex::new(&out).or_else(|_| blame(1, format!("{pattern:?} is no pattern of file names")))
}

fn basename(arguments: &[Value], _: &Context<'_>) -> Answer {
    let path = text(arguments, 0);
    if path.is_empty() {
        return Ok(".".into());
    }
    let trimmed = path.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/".into() } else { trimmed.rsplit('/').next().unwrap_or_default().into() })
}

fn dirname(arguments: &[Value], _: &Context<'_>) -> Answer {
    let path = text(arguments, 0);
    let Some((folder, _)) = path.rsplit_once('/') else { return Ok(".".into()) };
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    Ok(match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}").into(),
        (false, true) => ".".into(),
        (false, false) => joined.into(),
    })
}
