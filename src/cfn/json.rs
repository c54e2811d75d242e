//! JSON with places. Its own reader, because the usual ones keep none and stop at a duplicate key or take it silently.

use super::syntax::{MAX_DEPTH, Tree, TreeKind};
use crate::base::{Diagnostic, Diagnostics, Span};
use std::{collections::BTreeMap, sync::Arc};

/// Reads one JSON value. At the first place that is not JSON it stops with a diagnostic; duplicate keys do not stop it.
pub(super) fn read(file: &str, text: &str) -> (Tree, Diagnostics) {
    let mut reader = Reader { file: file.into(), text, at: 0, problems: Diagnostics::new() };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let tree = match reader.value(0) {
        Ok(tree) => {
            reader.space();
            if reader.at < text.len() {
                reader.problem("something follows the end of the document");
            }
            tree
        }
        Err(why) => {
            reader.problem(why);
            Tree { span: reader.span(0), kind: TreeKind::Null }
        }
    };
    (tree, reader.problems)
}

struct Reader<'a> {
    file: Arc<str>,
    text: &'a str,
    at: usize,
    problems: Diagnostics,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn span(&self, from: usize) -> Span {
        Span::new(Arc::clone(&self.file), from..self.at)
    }

    fn problem(&mut self, why: &str) {
        let mut end = (self.at + 1).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let span = Span::new(Arc::clone(&self.file), self.at.min(end)..end);
        self.problems
            .push(Diagnostic::error("template_syntax", "the template is not JSON").because(why).at(&span, why));
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Read<Tree> {
        if depth > MAX_DEPTH {
            return Err("it is nested more than 100 levels deep");
        }
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            None => return Err("the text ends too early"),
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => TreeKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => {
                const WORDS: &[(&str, TreeKind)] =
                    &[("true", TreeKind::Bool(true)), ("false", TreeKind::Bool(false)), ("null", TreeKind::Null)];
                let rest = &self.text[self.at..];
                let (word, kind) =
                    WORDS.iter().find(|(word, _)| rest.starts_with(word)).ok_or("a value is expected here")?;
                self.at += word.len();
                kind.clone()
            }
        };
        Ok(Tree { span: self.span(start), kind })
    }

    fn object(&mut self, depth: usize) -> Read<TreeKind> {
        self.at += 1;
        let mut entries: Vec<(String, Span, Tree)> = Vec::new();
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        self.space();
        if self.take(b'}') {
            return Ok(TreeKind::Object(entries));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err("a key in double quotes is expected here");
            }
            let key = self.string()?;
            let span = self.span(start);
            self.space();
            if !self.take(b':') {
                return Err("a colon is expected here");
            }
            let value = self.value(depth + 1)?;
            if let Some(first) = seen.get(&key) {
                self.problems.push(duplicate_key(&key, &span, first));
            } else {
                seen.insert(key.clone(), span.clone());
                entries.push((key, span, value));
            }
            self.space();
            if self.take(b'}') {
                return Ok(TreeKind::Object(entries));
            }
            if !self.take(b',') {
                return Err("a comma or a closing brace is expected here");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Read<TreeKind> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(TreeKind::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(TreeKind::Array(items));
            }
            if !self.take(b',') {
                return Err("a comma or a closing bracket is expected here");
            }
        }
    }

    /// Finds the end of the literal and leaves its inside, escapes and all, to `serde_json`.
    fn string(&mut self) -> Read<String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err("the text ends within a string"),
                Some(b'\\') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let literal = self.text.get(start..self.at).ok_or("the string is malformed")?;
        serde_json::from_str(literal).map_err(|_| {
            self.at = start;
            "the string holds a control character or an escape that JSON does not have"
        })
    }

    fn number(&mut self) -> Read<TreeKind> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let literal = &self.text[start..self.at];
        serde_json::from_str(literal).map(TreeKind::Number).map_err(|_| {
            self.at = start;
            "the number is malformed"
        })
    }
}

/// The diagnostic for a key that stands twice; the first one counts.
pub(super) fn duplicate_key(key: &str, again: &Span, first: &Span) -> Diagnostic {
    Diagnostic::error("duplicate_key", format!("the key `{key}` stands here twice"))
        .because("which of the two would count is not defined")
        .at(again, "again here")
        .at(first, "first here")
        .hint("keep one of them")
}
