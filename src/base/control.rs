//! Controls of NIST SP 800-53, Revision 5, by their ids: `AC-2`, and `AC-2(1)` for an enhancement.
//!
//! Called by the language, which refuses what is none, and by whatever lists controls, since their order is not that of their letters.

use std::fmt;

/// The families of Revision 5.
const FAMILIES: [&str; 20] = [
    "AC", "AT", "AU", "CA", "CM", "CP", "IA", "IR", "MA", "MP", "PE", "PL", "PM", "PS", "PT", "RA", "SA", "SC", "SI",
    "SR",
];

/// The id of a control. Ids are in the order in which the catalog has them: AC-2, AC-2(1), AC-10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Control {
    family: &'static str,
    number: u8,
    enhancement: Option<u8>,
}

impl Control {
    /// The control of this id; `None` for whatever is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (family, rest) = text.split_once('-')?;
        let family = *FAMILIES.iter().find(|known| **known == family)?;
        let (number, enhancement) = match rest.split_once('(') {
            Some((number, enhancement)) => (number, Some(small(enhancement.strip_suffix(')')?)?)),
            None => (rest, None),
        };
        Some(Self { family, number: small(number)?, enhancement })
    }

    /// What somebody meant who wrote the id in another way: `ac-2`, `AC2`, `AC-02`, `AC-2 (1)`, `ac-2.1`.
    #[must_use]
    pub fn meant(text: &str) -> Option<Self> {
        let plain = text.trim().to_ascii_uppercase();
        let (family, rest) = plain.split_at_checked(2)?;
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        let number = numbers.next()?.trim_start_matches('0');
        let enhancement = numbers.next().map(|part| part.trim_start_matches('0'));
        let enhancement = enhancement.map_or_else(String::new, |part| format!("({part})"));
        Self::parse(&format!("{family}-{number}{enhancement}"))
    }

    /// The id that the catalogs in OSCAL give it: `ac-2.1`.
    #[must_use]
    pub fn oscal(&self) -> String {
        let enhancement = self.enhancement.map_or_else(String::new, |number| format!(".{number}"));
        format!("{}-{}{enhancement}", self.family.to_ascii_lowercase(), self.number)
    }
}

/// One or two digits, without a zero in front.
fn small(text: &str) -> Option<u8> {
    let right = matches!(text.len(), 1 | 2) && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| right)
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.family, self.number)?;
        self.enhancement.map_or(Ok(()), |number| write!(f, "({number})"))
    }
}

#[cfg(test)]
mod tests {
    use super::Control;

    #[test]
    fn ids_are_read_written_and_ordered_as_the_catalog_has_them() {
        let mut all = ["SC-28(1)", "AC-10", "AC-2(10)", "AC-2", "AC-2(9)"].map(|id| Control::parse(id).unwrap());
        all.sort();
        assert_eq!(all.map(|id| id.to_string()), ["AC-2", "AC-2(9)", "AC-2(10)", "AC-10", "SC-28(1)"]);
        assert_eq!(all.map(|id| id.oscal()), ["ac-2", "ac-2.9", "ac-2.10", "ac-10", "sc-28.1"]);
    }

    #[test]
    fn what_is_no_id_is_none_and_may_be_meant_for_one() {
        for (text, meant) in [
            ("ac-2", Some("AC-2")),
            ("AC2", Some("AC-2")),
            ("AC-02", Some("AC-2")),
            ("AC-2 (1)", Some("AC-2(1)")),
            ("ac-2.1", Some("AC-2(1)")),
            ("XX-2", None),
            ("AC-", None),
            ("AC-0", None),
            ("AC-2(", Some("AC-2")),
            ("AC-2()", Some("AC-2")),
            ("AC-2(1", Some("AC-2(1)")),
            ("AC-300", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(Control::parse(text), None, "{text}");
            assert_eq!(Control::meant(text).map(|id| id.to_string()).as_deref(), meant, "{text}");
        }
    }
}
