//! YAML: reading it as Terraform does, which is YAML 1.1's idea of plain words, and writing it as Terraform writes it.

use crate::base::{Data, Number, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::Arc,
};

/// How deep a document may nest.
const DEPTH: usize = 100;
/// Where Terraform's writer breaks a long text.
const WIDTH: usize = 80;

/// The value of a document.
pub(super) fn decode(text: &str) -> Result<Value, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new() };
    let mut found = None;
    loop {
        match reader.next()? {
            Event::StreamEnd => return found.ok_or_else(|| "it holds no document".to_owned()),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if found.is_some() => return Err("it holds more than one document".to_owned()),
            event => found = Some(reader.value(event, 0)?),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Value>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, String> {
        match self.parser.next() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(format!("it is not YAML: {error}")),
            None => Ok(Event::StreamEnd),
        }
    }

    fn value(&mut self, event: Event<'t>, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err(format!("it nests deeper than {DEPTH} levels"));
        }
        let (value, anchor) = match event {
            Event::Alias(id) => {
                return self.anchors.get(&id).cloned().ok_or_else(|| "an alias has no anchor before it".to_owned());
            }
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref())?, anchor),
            Event::SequenceStart(anchor, tag) => {
                known(tag.as_deref(), "seq")?;
                let mut elements = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => elements.push(self.value(event, depth + 1)?),
                    }
                }
                (Value::tuple(elements), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                known(tag.as_deref(), "map")?;
                (self.mapping(depth)?, anchor)
            }
            _ => return Err("it ends too early".to_owned()),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut merged: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        loop {
            let key_event = match self.next()? {
                Event::MappingEnd => break,
                event => event,
            };
            let merge = matches!(&key_event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.value(key_event, depth + 1)?;
            let next = self.next()?;
            let value = self.value(next, depth + 1)?;
            if merge {
                let maps = value.as_seq().map_or_else(|| vec![value.clone()], |s| s.to_vec());
                for map in maps {
                    let inner = map.as_map().ok_or("`<<` takes a mapping")?;
                    for (key, value) in inner.iter() {
                        merged.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
                continue;
            }
            let key: Arc<str> = match key.data() {
                Data::String(text) => text.clone(),
                Data::Number(number) => number.to_string().into(),
                Data::Bool(truth) => truth.to_string().into(),
                _ => return Err("a key must be a string".to_owned()),
            };
            entries.insert(key, value);
        }
        merged.extend(entries);
        Ok(Value::object(merged))
    }
}

/// A collection's tag, which must be its own.
fn known(tag: Option<&Tag>, kind: &str) -> Result<(), String> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == kind) => Err(unknown_tag(tag)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag) -> String {
    format!("there is no tag `{}{}`", tag.handle, tag.suffix)
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { plain(text) } else { text.into() });
    };
    if !tag.is_yaml_core_schema() {
        return Err(unknown_tag(tag));
    }
    match (&*tag.suffix, plain(text)) {
        ("str" | "binary", _) => Ok(text.into()),
        ("int" | "float", value) if matches!(value.data(), Data::Number(_)) => Ok(value),
        ("bool", value) if value.as_bool().is_some() => Ok(value),
        ("null", value) if value.is_null() => Ok(value),
        ("timestamp", value) if value.as_str().is_some() => Ok(value),
        ("int" | "float" | "bool" | "null" | "timestamp", _) => Err(format!("{text:?} is no {}", tag.suffix)),
        _ => Err(unknown_tag(tag)),
    }
}

/// What a plain word means.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::NULL,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return false.into(),
        _ => {}
    }
    if let Some(number) = number(text) {
        return Data::Number(number).into();
    }
    timestamp(text).unwrap_or_else(|| text.into())
}

fn number(text: &str) -> Option<Number> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return Number::parse_radix(digits, radix).ok();
        }
    }
    let first = digits.strip_prefix('.').unwrap_or(digits);
    if !first.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    format!("{sign}{digits}").parse().ok()
}

/// A date or a time, in the one form that Terraform gives all of them.
fn timestamp(text: &str) -> Option<Value> {
    let date: jiff::civil::Date = text.get(..10)?.parse().ok()?;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z").into());
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, zone) = rest.split_at(rest.find(['Z', '+', '-']).unwrap_or(rest.len()));
    let time: jiff::civil::Time = time.trim_end().parse().ok()?;
    let zone = if zone.is_empty() { "Z" } else { zone };
    Some(format!("{date}T{}{zone}", time.strftime("%H:%M:%S")).into())
}

/// The value as YAML, keys in order, every text in quotes or as a block.
pub(super) fn encode(value: &Value) -> String {
    let mut writer = Writer { out: String::new() };
    writer.value(value, 0, Place::Top);
    writer.out.push('\n');
    // A plain word at the top is closed, so that it is a document.
    if matches!(value.data(), Data::Null | Data::Bool(_) | Data::Number(_)) {
        writer.out.push_str("...\n");
    }
    writer.out
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Top,
    Entry,
    Element,
}

struct Writer {
    out: String,
}

impl Writer {
    fn value(&mut self, value: &Value, indent: usize, place: Place) {
        match value.data() {
            Data::Null | Data::Unknown(_) | Data::Sealed(_) => self.out.push_str("null"),
            Data::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Data::Number(n) => {
                let _ = write!(self.out, "{n}");
            }
            Data::String(text) => {
                let inner = if place == Place::Top { 2 } else { indent };
                if block_allowed(text) { self.block(text, inner) } else { self.quoted(text, inner) }
            }
            Data::Sequence(_, elements) if elements.is_empty() => self.out.push_str("[]"),
            Data::Mapping(_, entries) if entries.is_empty() => self.out.push_str("{}"),
            Data::Sequence(_, elements) => {
                // A list that is an entry's value is not indented.
                let at = if place == Place::Entry { indent - 2 } else { indent };
                for (n, element) in elements.iter().enumerate() {
                    if n > 0 || place == Place::Entry {
                        self.line(at);
                    }
                    self.out.push_str("- ");
                    self.value(element, at + 2, Place::Element);
                }
            }
            Data::Mapping(_, entries) => {
                for (n, (key, entry)) in entries.iter().enumerate() {
                    if n > 0 || place == Place::Entry {
                        self.line(indent);
                    }
                    self.quoted(key, usize::MAX);
                    self.out.push(':');
                    let nested = match entry.data() {
                        Data::Sequence(_, elements) => !elements.is_empty(),
                        Data::Mapping(_, entries) => !entries.is_empty(),
                        _ => false,
                    };
                    if !nested {
                        self.out.push(' ');
                    }
                    self.value(entry, indent + 2, Place::Entry);
                }
            }
        }
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn block(&mut self, text: &str, indent: usize) {
        self.out.push('|');
        if text.starts_with([' ', '\n']) {
            self.out.push('2');
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        if body.len() == text.len() {
            self.out.push('-');
        } else if body.is_empty() || body.ends_with('\n') {
            self.out.push('+');
        }
        for line in body.split('\n') {
            if line.is_empty() {
                self.out.push('\n');
            } else {
                self.line(indent);
                self.out.push_str(line);
            }
        }
    }

    /// A text in double quotes, broken at a blank where its line is long. `usize::MAX` never breaks.
    fn quoted(&mut self, text: &str, indent: usize) {
        let mut column = self.out.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let last = text.chars().count().saturating_sub(1);
        let mut blank = false;
        self.out.push('"');
        let chars: Vec<char> = text.chars().collect();
        for (at, c) in chars.iter().enumerate() {
            if *c == ' ' {
                if indent != usize::MAX && !blank && column > WIDTH && at > 0 && at < last {
                    self.line(indent);
                    column = indent;
                    if chars.get(at + 1) == Some(&' ') {
                        self.out.push('\\');
                        column += 1;
                    }
                } else {
                    self.out.push(' ');
                    column += 1;
                }
                blank = true;
                continue;
            }
            blank = false;
            let before = self.out.len();
            self.escaped(*c);
            column += self.out[before..].chars().count();
        }
        self.out.push('"');
    }

    fn escaped(&mut self, c: char) {
        let short = match c {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{b}' => 'v',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\u{1b}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            c if printable(c) => return self.out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(self.out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(self.out, "\\u{code:04X}"),
                    _ => write!(self.out, "\\U{code:08X}"),
                };
                return;
            }
        };
        self.out.push('\\');
        self.out.push(short);
    }
}

/// Whether a text of several lines can be written as a block.
fn block_allowed(text: &str) -> bool {
    text.contains('\n')
        && !text.contains(" \n")
        && !text.ends_with(' ')
        && text.chars().all(|c| c == '\n' || printable(c) && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))
}

const fn printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}
