//! Where a blank goes between two words of a line.

use super::Word;
use crate::lang::lex::Kind;
use std::ops::Range;

/// Sets the blanks before each word of a cell but the first.
pub(super) fn within(words: &mut [Word<'_>], cell: Range<usize>) {
    for at in cell.clone().skip(1) {
        let before = if at - 1 > cell.start { Some(&words[at - 2]) } else { None };
        let blank = between(before, &words[at - 1], &words[at]);
        words[at].blanks = usize::from(blank);
    }
}

/// Whether a blank goes behind `word` and before `after`.
#[expect(clippy::match_same_arms, reason = "the order of the questions matters")]
fn between(before: Option<&Word<'_>>, word: &Word<'_>, after: &Word<'_>) -> bool {
    use Kind::{
        Assign, CloseBrace, CloseHeredoc, CloseQuote, CloseSequence, Colon, Comma, Directive, Dot, DoubleColon,
        Ellipsis, HeredocText, Ident, Interpolation, Minus, Newline, Not, Number, OpenBrace, OpenBracket, OpenHeredoc,
        OpenParen, OpenQuote, Question, QuotedText,
    };
    let kinds = (word.kind, after.kind);
    match kinds {
        (_, Newline | Dot | Comma | Ellipsis) | (Ident, OpenParen | DoubleColon) | (DoubleColon, Ident) | (Dot, _) => {
            false
        }
        (Comma, _) => true,
        // Nothing is added within templates.
        (QuotedText | HeredocText | OpenQuote | OpenHeredoc, _)
        | (_, QuotedText | HeredocText | CloseQuote | CloseHeredoc) => false,
        // `for x in [a]`: else the list would look like an index.
        (Ident, _) if word.text == "in" && before.is_some_and(|b| b.kind == Ident) => true,
        (Ident | Number, OpenBracket) => false,
        (_, OpenBracket) if word.brackets() < 0 => false,
        (Not, _) => false,
        // A sign or a subtraction, by what stands before.
        (Minus, _) => before.is_some_and(|before| {
            !matches!(before.kind, OpenParen | OpenBrace | OpenBracket | Assign | Colon | Comma | Question | Not)
                && !is_operator(before.kind)
        }),
        (OpenBrace, CloseBrace) => false,
        (OpenBrace, _) | (_, CloseBrace) => true,
        (Interpolation | Directive, OpenBrace) | (CloseBrace, CloseSequence) => true,
        (CloseSequence, Interpolation | Directive) => false,
        _ => word.brackets() <= 0 && after.brackets() >= 0,
    }
}

fn is_operator(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Plus
            | Kind::Minus
            | Kind::Star
            | Kind::Slash
            | Kind::Percent
            | Kind::Equal
            | Kind::NotEqual
            | Kind::Less
            | Kind::LessEqual
            | Kind::Greater
            | Kind::GreaterEqual
            | Kind::And
            | Kind::Or
    )
}
