//! The two things that the formatter writes another way: whole values in `"${ }"`, and labels without quotes.
//!
//! Called with the words of a file that parses, so what follows what is known.

use super::Word;
use crate::lang::lex::Kind;
use std::borrow::Cow;

/// Rewrites the words of a file.
pub(super) fn rewrite(words: &mut Vec<Word<'_>>) {
    let mut out: Vec<Word<'_>> = Vec::with_capacity(words.len());
    let mut rest = std::mem::take(words).into_iter().peekable();
    // Whatever begins an item begins it here: between items there are line ends, comments and closing braces only.
    while let Some(word) = rest.next() {
        if word.kind != Kind::Ident {
            out.push(word);
            continue;
        }
        out.push(word);
        let mut in_head = true;
        while in_head && let Some(word) = rest.next() {
            match word.kind {
                Kind::Ident => {
                    let quote = |kind| Word { kind, text: Cow::Borrowed("\""), blanks: 0 };
                    out.push(quote(Kind::OpenQuote));
                    out.push(Word { kind: Kind::QuotedText, ..word });
                    out.push(quote(Kind::CloseQuote));
                }
                Kind::OpenBrace => {
                    out.push(word);
                    in_head = false;
                }
                Kind::Assign => {
                    out.push(word);
                    let mut value = Vec::new();
                    let mut open = 0;
                    while let Some(next) = rest.peek() {
                        let own = next.brackets();
                        let ends = (next.ends_line() && open == 0) || open + own < 0;
                        if ends || (next.kind == Kind::Comment && open == 0) {
                            break;
                        }
                        open += own;
                        value.extend(rest.next());
                    }
                    while unwrap(&mut value) {}
                    out.append(&mut value);
                    in_head = false;
                }
                _ => out.push(word),
            }
        }
    }
    *words = out;
}

/// Takes `"${` and `}"` away where nothing else is in the quotes; whether it did.
fn unwrap(value: &mut Vec<Word<'_>>) -> bool {
    let [first, second, inside @ .., second_last, last] = value.as_slice() else { return false };
    let wrapped = (first.kind, second.kind, second_last.kind, last.kind)
        == (Kind::OpenQuote, Kind::Interpolation, Kind::CloseSequence, Kind::CloseQuote);
    if !wrapped || inside.is_empty() {
        return false;
    }
    let mut quotes = 0;
    for word in inside {
        match word.kind {
            Kind::OpenQuote | Kind::OpenHeredoc => quotes += 1,
            Kind::CloseQuote | Kind::CloseHeredoc => quotes -= 1,
            // A comment could reach over what follows it.
            Kind::Comment => return false,
            Kind::Interpolation | Kind::CloseSequence | Kind::QuotedText if quotes == 0 => return false,
            _ => {}
        }
    }
    let start = 2 + inside.iter().take_while(|w| w.kind == Kind::Newline).count();
    let end = value.len() - 2 - inside.iter().rev().take_while(|w| w.kind == Kind::Newline).count();
    value.truncate(end);
    value.drain(..start);
    let several_lines = value.iter().any(|w| w.kind == Kind::Newline);
    let in_parens = matches!((value.first(), value.last()), (Some(a), Some(b)) if a.kind == Kind::OpenParen && b.kind == Kind::CloseParen);
    if several_lines && !in_parens {
        let paren = |kind, text| Word { kind, text: Cow::Borrowed(text), blanks: 0 };
        value.insert(0, paren(Kind::OpenParen, "("));
        value.push(paren(Kind::CloseParen, ")"));
    }
    true
}
