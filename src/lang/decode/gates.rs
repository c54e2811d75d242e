//! What an `environment` block says of promotions: its gates, each checked where it is written.

use super::Decoder;
use crate::{
    base::Diagnostic,
    lang::{
        ast::{Block, Body},
        check::check_labels,
        gates::{AfterFailure, ApprovalRule, DAYS, Freeze, Gates, Window, moment},
        suggest,
    },
};
use jiff::tz::TimeZone;

impl Decoder<'_> {
    /// The gates of an environment's body.
    pub(super) fn gates(&mut self, body: &Body) -> Gates {
        let mut gates = Gates {
            soak: self.plain_duration(body, "soak").unwrap_or_default(),
            break_glass: self.plain_strings(body, "break_glass"),
            auto_promotion: self.plain_bool(body, "auto_promotion").unwrap_or(false),
            ..Gates::default()
        };
        if self.plain_string(body, "on_failed_verification").as_deref() == Some("rollback") {
            gates.on_failed_verification = AfterFailure::Rollback;
        }
        for block in &body.blocks {
            match &*block.kind {
                "approval" => gates.approval = Some(self.approval(&block.body)),
                "window" => gates.windows.extend(self.window(&block.body)),
                "freeze" => gates.freezes.extend(self.freeze(block)),
                _ => {}
            }
        }
        gates
    }

    fn approval(&mut self, body: &Body) -> ApprovalRule {
        let count = self.plain_count(body, "count");
        if count == Some(0) {
            self.wrong(body, "count", "`count` is at least 1", "take the approval block out where nobody must agree");
        }
        ApprovalRule {
            count: count.unwrap_or(1).max(1),
            valid_for: self.plain_duration(body, "valid_for"),
            own: self.plain_bool(body, "self").unwrap_or(false),
            approvers: self.plain_strings(body, "approvers"),
        }
    }

    fn window(&mut self, body: &Body) -> Option<Window> {
        let mut days = Vec::new();
        for day in self.plain_strings(body, "days") {
            if let Some(at) = DAYS.iter().position(|known| *known == day) {
                days.extend(i8::try_from(at + 1));
            } else {
                let near = suggest::nearest(&day.to_lowercase(), DAYS);
                let hint = near.map_or_else(|| DAYS.join(", "), |near| format!("did you mean `{near}`?"));
                self.wrong(body, "days", &format!("`{day}` is no day of the week"), &hint);
            }
        }
        days.sort_unstable();
        days.dedup();
        let hours = self.plain_string(body, "hours");
        let (from, until) = match hours.as_deref().map(Window::hours) {
            None => (0, 1440),
            Some(Some(hours)) => hours,
            Some(None) => {
                let said = format!("`{}` are no hours of a day", hours.unwrap_or_default());
                self.wrong(body, "hours", &said, "write two clock times, like \"09:00-16:00\"");
                return None;
            }
        };
        let (timezone, _) = self.timezone(body)?;
        Some(Window { days, from, until, timezone })
    }

    fn freeze(&mut self, block: &Block) -> Option<Freeze> {
        check_labels(block, 1, self.diagnostics);
        let body = &block.body;
        let (name, _) = block.labels.first()?;
        let (_, zone) = self.timezone(body)?;
        let mut end = |which: &str| {
            let text = self.plain_string(body, which)?;
            let moment = moment(&text, &zone);
            if moment.is_none() {
                let said = format!("`{text}` is no moment");
                self.wrong(body, which, &said, "write a date like \"2026-12-20\", or \"2026-12-20T08:00:00Z\"");
            }
            moment
        };
        let (from, until) = (end("from"), end("until"));
        let (from, until) = (from?, until?);
        if until <= from {
            self.wrong(body, "until", "the freeze ends before it begins", "`until` is the first moment after it");
            return None;
        }
        Some(Freeze { name: name.to_string(), from, until, reason: self.plain_string(body, "reason") })
    }

    /// The zone that a block names, by default UTC; `None` where there is none of that name, which was said.
    fn timezone(&mut self, body: &Body) -> Option<(String, TimeZone)> {
        let name = self.plain_string(body, "timezone").unwrap_or_else(|| "UTC".to_owned());
        let zone = TimeZone::get(&name).ok();
        if zone.is_none() {
            let said = format!("there is no time zone `{name}`");
            self.wrong(body, "timezone", &said, "write a name of the IANA database, like \"Europe/Berlin\"");
        }
        zone.map(|zone| (name, zone))
    }

    /// The strings of a list that is written as one.
    fn plain_strings(&mut self, body: &Body, name: &str) -> Vec<String> {
        let value = self.plain(body, name).and_then(|value| value.to_json());
        let Some(serde_json::Value::Array(items)) = value else { return Vec::new() };
        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    fn wrong(&mut self, body: &Body, attribute: &str, summary: &str, hint: &str) {
        let Some(attribute) = body.attributes.get(attribute) else { return };
        self.diagnostics.push(Diagnostic::error("wrong_value", summary).at(&attribute.expr.span, "").hint(hint));
    }
}
