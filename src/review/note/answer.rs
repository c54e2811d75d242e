//! What is left of a model's answer once it is held against the plan: sentences about what is there, as text, in a bounded number.
//!
//! What is dropped is counted and never shown. The answer of a model that was talked into something is text all the same: nobody reads a decision out of it.

use super::SENTENCES;
use crate::{
    base::{Address, few, plural},
    kinds,
    lang::schema::Role,
    plan::Plan,
    review::{
        comment::line,
        plain::{cut, is_invisible},
    },
};
use regex::Regex;
use serde_json::Value as Json;
use std::{collections::BTreeSet, sync::LazyLock};

/// So many characters of a sentence are shown.
const LONGEST: usize = 400;
/// So many addresses are shown with a sentence.
const ADDRESSES: usize = 8;
/// What has more items in a list than this was not written in the form.
const MOST: usize = 200;

/// An answer in the form that was asked for. Nothing in it was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What the change does.
    pub summary: Vec<Sentence>,
    /// What may go wrong.
    pub worries: Vec<Sentence>,
    /// What the author should be asked.
    pub questions: Vec<Sentence>,
}

/// A sentence, and what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// What it is about.
    pub addresses: Vec<String>,
}

/// What is shown of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// What the change does.
    pub summary: Vec<Sentence>,
    /// What may go wrong.
    pub worries: Vec<Sentence>,
    /// What the author should be asked.
    pub questions: Vec<Sentence>,
    /// What is not shown.
    pub dropped: Dropped,
}

/// How many sentences are not shown, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// They name what is not in the plan.
    pub not_in_plan: usize,
    /// They speak a verdict, which a model does not have.
    pub verdicts: usize,
    /// They hold a link or a picture.
    pub links: usize,
    /// They are written in letters that look like others.
    pub lookalikes: usize,
    /// They say nothing.
    pub empty: usize,
    /// There are more than are shown.
    pub beyond: usize,
}

impl Note {
    /// True where nothing is left to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.summary.is_empty() && self.worries.is_empty() && self.questions.is_empty()
    }
}

impl Dropped {
    /// What is not shown, in words; none where all is.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let said = [
            (self.not_in_plan, "they name what is not in the plan"),
            (self.verdicts, "they speak a verdict, which a model does not have"),
            (self.links, "they hold a link or a picture"),
            (self.lookalikes, "their letters pass themselves off as others"),
            (self.empty, "they say nothing"),
            (self.beyond, "there are more than are shown"),
        ];
        let said = said.into_iter().filter(|(count, _)| *count > 0);
        said.map(|(count, why)| format!("{} dropped: {why}", plural(count, "sentence"))).collect()
    }
}

/// Reads an answer.
///
/// # Errors
/// Why it is none, in a few words that hold nothing of it.
pub fn read(answer: &Json) -> Result<Answer, String> {
    // The reader's own words would repeat what it found.
    let answer: Answer = serde_json::from_value(answer.clone())
        .map_err(|_| "it has not the fields that were asked for, or others beside them".to_owned())?;
    let lists = [("summary", &answer.summary), ("worries", &answer.worries), ("questions", &answer.questions)];
    if let Some((name, list)) = lists.into_iter().find(|(_, list)| list.len() > MOST) {
        return Err(format!("its {name} has {} sentences", list.len()));
    }
    Ok(answer)
}

/// What may be shown of an answer about a plan.
#[must_use]
pub fn check(answer: &Answer, plan: &Plan) -> Note {
    let known = Known::of(plan);
    let mut dropped = Dropped::default();
    let mut list = |all: &[Sentence]| {
        let mut shown = Vec::new();
        for sentence in all {
            let seen = as_seen(&sentence.text);
            let count = if sentence.text.trim().is_empty() || !seen.chars().any(char::is_alphanumeric) {
                &mut dropped.empty
            } else if passes_for_others(&seen) {
                &mut dropped.lookalikes
            } else if !known.all_of(&seen, &sentence.addresses) {
                &mut dropped.not_in_plan
            } else if LINK.is_match(&seen) {
                &mut dropped.links
            } else if VERDICT.is_match(&seen) {
                &mut dropped.verdicts
            } else if shown.len() == SENTENCES {
                &mut dropped.beyond
            } else {
                shown.push(said(sentence));
                continue;
            };
            *count += 1;
        }
        shown
    };
    let (summary, worries, questions) = (list(&answer.summary), list(&answer.worries), list(&answer.questions));
    Note { summary, worries, questions, dropped }
}

/// A sentence as it is shown: on one line, whatever is in it, and not longer than it may be.
fn said(sentence: &Sentence) -> Sentence {
    // Those that the sentence names already are not named twice.
    let beside: BTreeSet<&str> =
        sentence.addresses.iter().map(String::as_str).filter(|address| !sentence.text.contains(address)).collect();
    let beside: Vec<&str> = beside.into_iter().collect();
    let addresses = beside.iter().take(ADDRESSES).map(|address| (*address).to_owned()).collect();
    Sentence { text: cut(&line(sentence.text.trim()), LONGEST), addresses }
}

impl Sentence {
    /// The sentence with what it is about.
    #[must_use]
    pub fn spoken(&self) -> String {
        if self.addresses.is_empty() {
            return self.text.clone();
        }
        format!("{} ({})", self.text, few(&self.addresses, ADDRESSES))
    }
}

/// What may be named.
struct Known(BTreeSet<String>);

impl Known {
    fn of(plan: &Plan) -> Self {
        let mut all = BTreeSet::new();
        let named = plan.nodes.iter().map(|node| &node.address).chain(plan.drift.iter().map(|drift| &drift.address));
        let named = named.chain(plan.nodes.iter().filter_map(|node| node.moved_from.as_ref()));
        for address in named.chain(plan.debts.iter().map(|debt| &debt.address)) {
            let colorless = address.plain();
            for one in [address, &colorless, &address.declaration(), &colorless.declaration()] {
                all.insert(one.to_string());
            }
            for of in [address, &colorless] {
                let calls = (1..=of.module().len()).filter_map(|depth| Address::call(&of.module()[..depth]));
                for call in calls {
                    all.insert(call.declaration().to_string());
                    all.insert(call.to_string());
                }
            }
        }
        Self(all)
    }

    /// True where all that is named is there: in the list, and in the sentence itself.
    fn all_of(&self, seen: &str, addresses: &[String]) -> bool {
        addresses.iter().all(|address| self.0.contains(address))
            && NAMED.find_iter(seen).all(|named| self.0.contains(named.as_str().trim_end_matches('-')))
    }
}

/// What looks like an address, in any case of its letters: modules, a kind, a name, a key, a colour.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let kinds: Vec<String> = kinds::schema()
        .kinds
        .iter()
        .filter(|kind| kind.role != Role::Data)
        .map(|kind| regex::escape(kind.name))
        .collect();
    let named = r#"[\p{L}_][\p{L}\p{N}_-]*(?:\["(?:[^"\\]|\\.)*"\]|\[[^\]]*\])?(?:@[\p{L}\p{N}_-]+)?"#;
    let thing = format!(r"(?:{}|data\.[\p{{L}}_]+)\.{named}", kinds.join("|"));
    let call = format!(r"module\.{named}");
    Regex::new(&format!(r"(?i)\b(?:{call}(?:\.{call})*(?:\.{thing})?|{thing})")).expect("invariant: it is well formed")
});

/// Links and pictures, of the web, of Markdown and of HTML.
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b[a-z][a-z0-9+.-]*://|\bwww\.|\]\(|<[/!a-z]|\b(?:javascript|data|mailto):\S")
        .expect("invariant: it is well formed")
});

/// Words of a verdict. A list of words is no proof that none is spoken; what makes sure that none counts is that nobody asks the note.
static VERDICT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) \b(?:pre-?)?approved\b | \bapproval\s+(?:is\s+|was\s+|has\s+been\s+)?(?:granted|given|not\s+(?:needed|required|necessary)|unnecessary)\b
        | \bapprove\s+(?:it|this|the|at)\b | \blgtm\b | \bverdict\b | \bsign(?:ed)?[\s-]?off\b | \bcompliant\b | \bwaive[ds]?\b | \bcertif(?:y|ied)\b
        | \bsafe(?:ly)?\s+(?:to\s+)?(?:be\s+)?(?:appl|merg|deploy|approv|ship|releas|proceed|run|ignor) # spellchecker:disable-line
        | \b(?:is|are|looks?|seems?|appears?|completely|entirely|perfectly|totally|it's|that's)\s+(?:all\s+)?safe\b
        | \bpolic(?:y|ies)\b[^.]*\bpass(?:es|ed)?\b | \bpass(?:es|ed|ing)?\s+(?:all\s+|every\s+|the\s+)*(?:polic|checks?|rules?|reviews?|audits?)
        | \bno\s+(?:\w+\s+)?(?:findings?|violations?|risks?|issues?|problems?|concerns?|denials?|worries|changes?)\b
        | \bready\s+(?:to|for)\s+(?:be\s+)?(?:appl|merg|deploy|ship|release|production|prd) | \b(?:can|may|should)\s+be\s+(?:merged|approved|ignored)\b
        | \b(?:rank|risk)(?:\s+\w+)?\s+(?:is|was|has\s+been|:)\s+(?:low|lowered|none|zero|reduced)\b | \b(?:low|zero|no)\s+risk\b",
    )
    .expect("invariant: it is well formed")
});

/// A text as an eye takes it: nothing invisible, wide letters and other dots as what they look like.
fn as_seen(text: &str) -> String {
    let seen = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{2024}' | '\u{3002}' | '\u{fe52}' | '\u{ff61}' | '\u{b7}' | '\u{2219}' | '\u{22c5}' | '\u{a78f}' => '.',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        '\u{2019}' => '\'',
        c => c,
    };
    text.chars().filter(|c| !is_invisible(*c) || c.is_whitespace()).map(seen).collect()
}

/// True where a word mixes Latin letters with ones that look like them, or is written in letters of mathematics.
fn passes_for_others(seen: &str) -> bool {
    let alike = |c: char| matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{a4d0}'..='\u{a4ff}');
    let drawn = |c: char| matches!(c, '\u{2100}'..='\u{214f}' | '\u{2460}'..='\u{24ff}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}');
    seen.chars().any(drawn)
        || seen
            .split(|c: char| c.is_whitespace())
            .any(|word| word.chars().any(alike) && word.chars().any(|c| c.is_ascii_alphabetic()))
}
