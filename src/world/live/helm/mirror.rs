//! Other hosts for charts: what an address begins with, and what takes its place. The longest match wins.

/// One `[[mirror]]` of terrace.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartMirror {
    /// What addresses begin with: `https://charts.example.com`, `oci://ghcr.io/org`, or without a scheme for either.
    pub from: String,
    /// What takes its place. With a scheme it takes the scheme's place too: `http://` before a registry speaks plain HTTP.
    pub to: String,
}

/// The address by which something is had: rewritten where a mirror stands for it. `None` where none does.
pub(in crate::world::live) fn mirrored(mirrors: &[ChartMirror], address: &str) -> Option<String> {
    let (scheme, bare) = address.split_once("://").unwrap_or(("", address));
    let best = mirrors
        .iter()
        .filter_map(|mirror| {
            let (wanted, from) = mirror.from.split_once("://").unwrap_or(("", &mirror.from));
            let from = from.trim_end_matches('/');
            let rest = bare.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            let same = wanted.is_empty() || wanted == scheme;
            same.then_some((from.len(), mirror, rest))
        })
        .max_by_key(|(length, ..)| *length);
    let (_, mirror, rest) = best?;
    let to = mirror.to.trim_end_matches('/');
    Some(match to.split_once("://") {
        // What is asked for from a registry stays with a registry, whatever way there is to it.
        Some(("http", host)) if scheme == "oci" => format!("oci+http://{host}{rest}"),
        Some(("https", host)) if scheme == "oci" => format!("oci://{host}{rest}"),
        Some(_) => format!("{to}{rest}"),
        None => format!("{scheme}://{to}{rest}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(pairs: &[(&str, &str)]) -> Vec<ChartMirror> {
        pairs.iter().map(|(from, to)| ChartMirror { from: (*from).into(), to: (*to).into() }).collect()
    }

    #[test]
    fn the_longest_beginning_is_replaced_and_only_at_the_end_of_a_part() {
        let all = mirrors(&[
            ("https://charts.example.com", "http://127.0.0.1:1/a"),
            ("https://charts.example.com/stable/", "https://mirror/stable"),
            ("ghcr.io", "mirror:5000/ghcr"),
            ("oci://public.ecr.aws", "http://127.0.0.1:2"),
        ]);
        let of = |address: &str| mirrored(&all, address);
        assert_eq!(of("https://charts.example.com/edge").as_deref(), Some("http://127.0.0.1:1/a/edge"));
        assert_eq!(of("https://charts.example.com/stable").as_deref(), Some("https://mirror/stable"));
        assert_eq!(of("https://charts.example.com/stable/x").as_deref(), Some("https://mirror/stable/x"));
        assert_eq!(of("https://charts.example.community/x"), None);
        assert_eq!(of("oci://ghcr.io/org/app").as_deref(), Some("oci://mirror:5000/ghcr/org/app"));
        assert_eq!(of("oci://public.ecr.aws/org").as_deref(), Some("oci+http://127.0.0.1:2/org"));
        assert_eq!(of("https://public.ecr.aws/org"), None);
    }
}
