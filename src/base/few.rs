//! Lists and counts that a sentence can bear.

/// The first so many, and how many more there are: "a, b and 3 more".
#[must_use]
pub fn few<S: AsRef<str>>(all: &[S], most: usize) -> String {
    let (named, more) = all.split_at(most.min(all.len()));
    let named: Vec<&str> = named.iter().map(AsRef::as_ref).collect();
    let named = named.join(", ");
    if more.is_empty() { named } else { format!("{named} and {} more", more.len()) }
}

/// `1 change`, `2 changes`.
#[must_use]
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::few;

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(few(&["a", "b"], 2), "a, b");
        assert_eq!(few(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(few::<&str>(&[], 2), "");
    }
}
