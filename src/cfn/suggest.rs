//! "Did you mean": the nearest of the names that exist.

use crate::base::Diagnostic;

/// Adds a hint with the name nearest to what was written, where one is near enough.
pub(super) fn did_you_mean<S: AsRef<str>>(
    problem: Diagnostic,
    written: &str,
    names: impl IntoIterator<Item = S>,
) -> Diagnostic {
    match nearest(written, names) {
        Some(name) => problem.hint(format!("did you mean `{name}`?")),
        None => problem,
    }
}

/// The nearest name: at most a third of its letters differ. The first in order where several are as near.
pub(super) fn nearest<S: AsRef<str>>(written: &str, names: impl IntoIterator<Item = S>) -> Option<String> {
    let limit = (written.chars().count().min(120) / 3).max(1);
    let mut best: Option<(usize, String)> = None;
    for name in names {
        let name = name.as_ref();
        if name == written || name.len().abs_diff(written.len()) > 120 {
            continue;
        }
        let far = distance(&written.to_lowercase(), &name.to_lowercase());
        if far <= limit && best.as_ref().is_none_or(|(d, n)| (far, name) < (*d, n.as_str())) {
            best = Some((far, name.to_owned()));
        }
    }
    best.map(|(_, name)| name)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(200).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(200).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(nearest("VpcIdd", ["SubnetId", "VpcId"]).as_deref(), Some("VpcId"));
        assert_eq!(nearest("vpcid", ["VpcId"]).as_deref(), Some("VpcId"));
        assert_eq!(nearest("Bucket", ["VpcId", "Role"]), None);
        assert_eq!(nearest("", ["VpcId"]), None);
    }
}
