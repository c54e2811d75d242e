//! Waivers: what somebody asked for and somebody else agreed to, held against what rules found (rule 43).

use crate::{
    base::Address,
    plan::{Finding, Judgement, Waiver, WaiverStanding},
    state::Waived,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Gives each finding the waiver that is about it, if there is any; of several the one that counts, else the one that counted longest.
pub fn waive(judgement: &mut Judgement, waivers: &BTreeMap<String, Waived>, now: Timestamp) {
    let mut used: Vec<&str> = Vec::new();
    for finding in &mut judgement.findings {
        let about = waivers.iter().filter(|(_, waived)| is_about(waived, finding));
        let best = about.max_by_key(|(_, waived)| (standing(waived, now) == WaiverStanding::Counts, waived.until));
        if let Some((name, waived)) = best {
            used.push(name);
            finding.waiver = Some(Waiver {
                name: name.clone(),
                standing: standing(waived, now),
                reason: waived.fact.reason.clone(),
                by: waived.fact.by.spoken().to_owned(),
                approved_by: waived.agreed.as_ref().map(|fact| fact.by.spoken().to_owned()),
                until: waived.until,
            });
        }
    }
    let idle = waivers.iter().filter(|(name, waived)| now < waived.until && !used.contains(&name.as_str()));
    judgement.idle_waivers = idle.map(|(name, waived)| format!("{name} ({})", waived.rule)).collect();
}

fn is_about(waived: &Waived, finding: &Finding) -> bool {
    // Of what is rolled out by colours, all of them are meant.
    let same = |address: &Address| finding.address.as_ref().is_some_and(|found| found.plain() == address.plain());
    waived.rule == finding.rule && waived.address.as_ref().is_none_or(same)
}

/// Whether a waiver counts.
#[must_use]
pub fn standing(waived: &Waived, now: Timestamp) -> WaiverStanding {
    if now >= waived.until {
        WaiverStanding::Expired
    } else if waived.agreed.is_some() {
        WaiverStanding::Counts
    } else {
        WaiverStanding::Unapproved
    }
}

#[cfg(test)]
mod tests;
