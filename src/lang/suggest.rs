//! "Did you mean": the known name that a wrong one is probably meant to be. Used by every check that looks a name up.

/// The known name nearest to a wrong one, where one is near enough to be what was meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wrong.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .filter(|name| *name != wrong)
        .map(|name| (strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= allowed && *distance < name.chars().count())
        .min_by_key(|(distance, name)| (*distance, *name))
        .map(|(_, name)| name)
}

/// A hint for a wrong name: what was meant, else what there is, where that is not too much to say.
pub(crate) fn hint<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    if let Some(near) = nearest(wrong, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    match known.as_slice() {
        [] => None,
        some if some.len() <= 12 => Some(format!("there is {}", list(some))),
        _ => None,
    }
}

/// Names in a sentence.
pub(crate) fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|n| format!("`{n}`")).collect();
            format!("{} and `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("templte", ["template", "tags"]), Some("template")); // spellchecker:disable-line
        assert_eq!(nearest("vesrion", ["version", "values"]), Some("version")); // spellchecker:disable-line
        assert_eq!(nearest("replicas", ["version", "values"]), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
