//! `[cost]`: prices of a project's own.

use super::{Reader, Spanned};
use crate::base::Span;
use toml::de::DeValue;

impl Reader {
    /// The price file, and where it is named.
    pub(super) fn cost(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(String, Span)> {
        let mut prices = None;
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "prices" => prices = self.string(value).map(|file| (file, self.span(value.span()))),
                _ => self.unknown(entry, "[cost]", &["prices"]),
            }
        }
        prices
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::settings::parse;

    #[test]
    fn a_price_file_is_named_and_all_else_is_refused() {
        let (settings, problems) = parse("[cost]\nprices = \"prices/own.toml\"\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(settings.prices.unwrap().0, "prices/own.toml");
        for (bad, code) in [("prices = 1", "settings_type"), ("price = \"a\"", "settings_unknown")] {
            let codes: Vec<String> = parse(&format!("[cost]\n{bad}\n")).1.iter().map(|d| d.code.to_string()).collect();
            assert_eq!(codes, [code], "{bad}");
        }
    }
}
