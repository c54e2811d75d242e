//! `format` and `formatlist`, with the verbs of Terraform's.

use super::{Answer, Context, Function, Problem, any, blame, encoding, list_of_texts, problem, string, text, variadic};
use crate::{
    base::{Data, Number, Value},
    lang::{convert, types::Type},
};

pub(super) const TABLE: &[Function] = &[
    variadic(
        "format",
        &[string("format")],
        any("value").nullable(),
        "the format with its verbs filled in by the values",
        |a, _| Ok(render(text(a, 0), &a[1..])?.into()),
    ),
    variadic(
        "formatlist",
        &[string("format")],
        any("value").nullable(),
        "a list: the format filled in once for each element of the lists given",
        formatlist,
    ),
];

/// How wide a field may be.
const WIDTH_LIMIT: usize = 10_000;

/// A `%` sequence.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag that may be written")]
struct Verb {
    letter: char,
    written: String,
    minus: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    argument: Option<usize>,
}

fn formatlist(arguments: &[Value], _: &Context<'_>) -> Answer {
    let lists = arguments[1..].iter().filter_map(Value::as_seq);
    let mut count = None;
    for list in lists {
        match count {
            None => count = Some(list.len()),
            Some(n) if n == list.len() => {}
            Some(n) => return problem(format!("the lists have {n} and {} elements", list.len())),
        }
    }
    let mut out = Vec::new();
    for at in 0..count.unwrap_or(1) {
        let row: Vec<Value> =
            arguments[1..].iter().map(|a| a.as_seq().and_then(|l| l.get(at)).unwrap_or(a).clone()).collect();
        out.push(render(text(arguments, 0), &row)?);
    }
    Ok(list_of_texts(out))
}

fn render(format: &str, values: &[Value]) -> Result<String, Problem> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    let mut most = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let verb = read(&mut chars)?;
        if verb.letter == '%' {
            out.push('%');
            continue;
        }
        let at = verb.argument.unwrap_or(next);
        next = at + 1;
        most = most.max(next);
        let Some(value) = values.get(at) else {
            return blame(0, format!("there is no value for `{}`: it is number {}", verb.written, at + 1));
        };
        let text = one(&verb, value, at)?;
        pad(&verb, &text, &mut out);
    }
    if most < values.len() && !format.contains("%[") {
        return problem(format!("it uses {most} values, and {} are given", values.len()));
    }
    Ok(out)
}

fn read(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Verb, Problem> {
    let mut verb = Verb { written: "%".to_owned(), ..Verb::default() };
    let mut precision = false;
    loop {
        let Some(c) = chars.next() else { return blame(0, "a `%` at its end; write %% for one that is meant") };
        verb.written.push(c);
        let number = |slot: &mut Option<usize>, digit: u32| {
            *slot = Some((slot.unwrap_or(0) * 10 + digit as usize).min(WIDTH_LIMIT));
        };
        match c {
            '-' => verb.minus = true,
            '+' => verb.plus = true,
            ' ' => verb.space = true,
            '#' => verb.sharp = true,
            '0' if !precision && verb.width.is_none() => verb.zero = true,
            '0'..='9' if precision => number(&mut verb.precision, c.to_digit(10).unwrap_or(0)),
            '0'..='9' => number(&mut verb.width, c.to_digit(10).unwrap_or(0)),
            '.' => {
                precision = true;
                verb.precision = Some(0);
            }
            '[' => {
                let mut index = None;
                for c in chars.by_ref() {
                    verb.written.push(c);
                    match c.to_digit(10) {
                        Some(digit) => number(&mut index, digit),
                        None => break,
                    }
                }
                match index.and_then(|n| n.checked_sub(1)) {
                    Some(at) => verb.argument = Some(at),
                    None => return blame(0, format!("`{}` counts from 1", verb.written)),
                }
            }
            letter => {
                verb.letter = letter;
                return Ok(verb);
            }
        }
    }
}

fn one(verb: &Verb, value: &Value, at: usize) -> Result<String, Problem> {
    let complaint = |wanted: &str| {
        let found = convert::word(value);
        Problem { argument: Some(at + 1), text: format!("`{}` takes {wanted}, not {found}", verb.written) }
    };
    if value.is_null() {
        return if verb.letter == 'v' { Ok("null".to_owned()) } else { Err(complaint("no null")) };
    }
    let number = || match convert::convert(value, &Type::Number).map(Value::into_data) {
        Ok(Data::Number(n)) => Ok(n),
        _ => Err(complaint("a number")),
    };
    let string = || match convert::convert(value, &Type::String).map(Value::into_data) {
        Ok(Data::String(s)) => Ok(s),
        _ => Err(complaint("a string")),
    };
    match verb.letter {
        'v' if verb.sharp => Ok(encoding::json(value)),
        'v' => Ok(match value.data() {
            Data::String(s) => cut(s, verb.precision),
            Data::Number(n) => signed(verb, n.to_string()),
            Data::Bool(b) => b.to_string(),
            _ => encoding::json(value),
        }),
        't' => match convert::convert(value, &Type::Bool).ok().and_then(|v| v.as_bool()) {
            Some(truth) => Ok(truth.to_string()),
            None => Err(complaint("a bool")),
        },
        's' => Ok(cut(&string()?, verb.precision)),
        'q' => Ok(encoding::json(&Value::string(string()?))),
        'd' | 'b' | 'o' | 'x' | 'X' => {
            let number = number()?;
            if !number.is_whole() {
                return blame(at + 1, format!("`{}` takes a whole number", verb.written));
            }
            Ok(signed(
                verb,
                match verb.letter {
                    'd' => number.to_radix(10),
                    'b' => number.to_radix(2),
                    'o' => number.to_radix(8),
                    'x' => number.to_radix(16),
                    _ => number.to_radix(16).to_uppercase(),
                },
            ))
        }
        'e' => Ok(signed(verb, number()?.to_scientific(Some(verb.precision.unwrap_or(6))))),
        'E' => Ok(signed(verb, number()?.to_scientific(Some(verb.precision.unwrap_or(6))).to_uppercase())),
        'f' => Ok(signed(verb, number()?.to_fixed(verb.precision.unwrap_or(6)))),
        'g' | 'G' => {
            let text = shortest(&number()?, verb.precision);
            Ok(signed(verb, if verb.letter == 'G' { text.to_uppercase() } else { text }))
        }
        _ => blame(0, format!("there is no verb `{}`", verb.written)),
    }
}

/// `%g`: without exponent where that is not long.
fn shortest(number: &Number, precision: Option<usize>) -> String {
    let magnitude = number.magnitude();
    let limit = precision.map_or(6, |p| i64::try_from(p.max(1)).unwrap_or(i64::MAX));
    match precision {
        None if (-4..limit).contains(&magnitude) => number.to_string(),
        None => number.to_scientific(None),
        Some(p) if (-4..limit).contains(&magnitude) => {
            let places = usize::try_from(limit - 1 - magnitude).unwrap_or(0);
            let text = number.to_fixed(places);
            let _ = p;
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        Some(p) => {
            let text = number.to_scientific(Some(p.max(1) - 1));
            match text.split_once('e') {
                Some((digits, power)) if digits.contains('.') => {
                    format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
                }
                _ => text,
            }
        }
    }
}

fn cut(text: &str, precision: Option<usize>) -> String {
    use unicode_segmentation::UnicodeSegmentation as _;
    match precision {
        Some(most) => text.graphemes(true).take(most).collect(),
        None => text.to_owned(),
    }
}

fn signed(verb: &Verb, text: String) -> String {
    match (text.starts_with('-'), verb.plus, verb.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    }
}

fn pad(verb: &Verb, text: &str, out: &mut String) {
    use unicode_segmentation::UnicodeSegmentation as _;
    if verb.letter == 't' {
        // Terraform's takes no width.
        return out.push_str(text);
    }
    let missing = verb.width.unwrap_or(0).saturating_sub(text.graphemes(true).count());
    let numeric = !matches!(verb.letter, 's' | 'q' | 't' | 'v');
    if verb.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if verb.zero && numeric {
        let (sign, digits) = match text.strip_prefix(['+', '-', ' ']) {
            Some(digits) => (&text[..1], digits),
            None => ("", text),
        };
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(if verb.zero { '0' } else { ' ' }, missing));
        out.push_str(text);
    }
}
