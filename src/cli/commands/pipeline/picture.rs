//! The pipeline as a picture: environments in columns by what they come after, each with what it holds and what would come next.

use super::{Health, Row};
use crate::base::format_duration;
use std::{collections::BTreeMap, fmt::Write as _};

const WIDTH: usize = 268;
const HEIGHT: usize = 104;
const GAP: (usize, usize) = (64, 24);
const MARGIN: usize = 16;
/// How many characters fit into a box.
const CHARACTERS: usize = 32;

/// A self-contained SVG. Nothing in it is said by colour alone.
pub(super) fn svg(rows: &[Row]) -> String {
    let mut column: BTreeMap<&str, usize> = BTreeMap::new();
    let mut filled: Vec<usize> = Vec::new();
    let mut place: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    // Rows come after all that they come after.
    for row in rows {
        let at = row.after.iter().filter_map(|above| column.get(above.as_str())).map(|c| c + 1).max().unwrap_or(0);
        column.insert(&row.env, at);
        filled.resize(filled.len().max(at + 1), 0);
        let (x, y) = (MARGIN + at * (WIDTH + GAP.0), MARGIN + filled[at] * (HEIGHT + GAP.1));
        filled[at] += 1;
        place.insert(&row.env, (x, y));
    }
    let mut body = String::new();
    for row in rows {
        let Some(&(left, y)) = place.get(row.env.as_str()) else { continue };
        for above in &row.after {
            let Some(&(x, from)) = place.get(above.as_str()) else { continue };
            let (right, y1, y2) = (x + WIDTH, from + HEIGHT / 2, y + HEIGHT / 2);
            let bend = left.saturating_sub(right) / 2;
            let _ = writeln!(
                body,
                "<path class=\"edge\" d=\"M{right},{y1} C{},{y1} {},{y2} {left},{y2}\" marker-end=\"url(#arrow)\"/>",
                right + bend,
                left - bend
            );
        }
    }
    for row in rows {
        let Some(&(x, y)) = place.get(row.env.as_str()) else { continue };
        drawn(&mut body, row, x, y);
    }
    let columns = filled.len().max(1);
    let width = 2 * MARGIN + columns * (WIDTH + GAP.0) - GAP.0;
    let height = 2 * MARGIN + filled.iter().max().copied().unwrap_or(1) * (HEIGHT + GAP.1) - GAP.1;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"ui-monospace,monospace\" font-size=\"13\">\n\
         <title>Pipeline</title>\n\
         <style>.box{{fill:#fff;stroke:#5b6770}}.edge{{fill:none;stroke:#5b6770}}.title{{font-weight:bold}}.quiet{{fill:#5b6770}}.verified{{fill:#1a7f37}}.failed{{fill:#cf222e}}.waits{{fill:#9a6700}}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#5b6770\"/></marker></defs>\n\
         {body}</svg>\n"
    )
}

fn drawn(body: &mut String, row: &Row, x: usize, y: usize) {
    let (class, health) = match &row.health {
        Health::Empty => ("quiet", "-"),
        Health::Verified => ("verified", "verified"),
        Health::Unverified => ("waits", "not verified"),
        Health::Failed(_) => ("failed", "failed"),
        Health::Unreadable(_) => ("failed", "unreadable"),
    };
    let warm = if row.debts.is_empty() { String::new() } else { format!(", {} kept warm", row.debts.len()) };
    let since = row.age.map(|age| format!(" for {}", format_duration(age))).unwrap_or_default();
    let (next_class, next) = match &row.next {
        None => ("quiet", "nothing new".to_owned()),
        Some((release, reasons)) if reasons.is_empty() => ("verified", format!("next {} is eligible", release.short())),
        Some((release, reasons)) => ("waits", format!("next {}: {} against", release.short(), reasons.len())),
    };
    let _ = writeln!(body, "<g><title>{}</title>", escape(&told(row)));
    let _ = writeln!(body, "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>");
    let lines = [
        ("title", row.env.clone()),
        ("", format!("{}{since}", row.holds)),
        (class, format!("{health}{warm}")),
        (next_class, next),
    ];
    for (n, (class, text)) in lines.into_iter().enumerate() {
        let _ = writeln!(
            body,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
            x + MARGIN,
            y + 26 + n * 22,
            escape(&cut(&text))
        );
    }
    body.push_str("</g>\n");
}

/// What a box does not hold: every reason, and every note.
fn told(row: &Row) -> String {
    let mut lines = Vec::new();
    if let Health::Failed(why) | Health::Unreadable(why) = &row.health {
        lines.push(why.clone());
    }
    lines.extend(row.next.iter().flat_map(|(_, reasons)| reasons).map(crate::gate::Reason::sentence));
    lines.extend(row.notes.iter().cloned());
    lines.extend(row.owed());
    if lines.is_empty() { row.env.clone() } else { lines.join("\n") }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(CHARACTERS - 1).chain(['…']).collect()
}

fn escape(text: &str) -> String {
    let clean: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    clean.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{Address, Color, Digest},
        gate::Reason,
        rollout::Kept,
    };
    use std::time::Duration;

    fn row(env: &str, after: &[&str], health: Health) -> Row {
        Row {
            env: env.to_owned(),
            after: after.iter().map(|a| (*a).to_owned()).collect(),
            holds: "350b4b0b976d".to_owned(),
            age: Some(Duration::from_secs(7200)),
            health,
            soaked: None,
            next: Some((Digest::of(b"next"), vec![Reason::AlreadyThere])),
            notes: vec!["on hold by <ada> & \"ben\"".to_owned()],
            debts: Vec::new(),
        }
    }

    #[test]
    fn each_environment_stands_right_of_what_it_comes_after_and_no_two_in_one_place() {
        let all = [
            row("dev", &[], Health::Verified),
            row("tst", &["dev"], Health::Failed("the probe <x> failed".into())),
            row("eu", &["tst"], Health::Unverified),
            row("us", &["tst", "dev"], Health::Empty),
        ];
        let picture = svg(&all);
        assert_eq!(picture.matches("<rect class=\"box\"").count(), 4);
        assert_eq!(picture.matches("class=\"edge\"").count(), 4);
        let at =
            |n: usize| picture.match_indices("<rect class=\"box\"").nth(n).map(|(i, _)| &picture[i..i + 50]).unwrap();
        let x = |n: usize| at(n).split('"').nth(3).unwrap().parse::<usize>().unwrap();
        assert!(x(0) < x(1) && x(1) < x(2) && x(2) == x(3));
        assert_ne!(at(2), at(3));
        assert!(picture.contains("&lt;ada&gt; &amp; &quot;ben&quot;") && !picture.contains("<ada>"));
        assert!(picture.contains(">not verified<") && picture.contains(">failed<"), "no state is told by colour alone");
    }

    #[test]
    fn what_is_kept_warm_is_counted_in_the_box_and_told_beside_it() {
        let (since, due) = ("2026-08-01T00:00:00Z".parse().unwrap(), "2026-08-01T01:00:00Z".parse().unwrap());
        let kept = Kept { color: Color::Blue, since, due, failed: None, unused: false };
        let address: Address = "helm.web@blue".parse().unwrap();
        let with =
            |is_due| Row { debts: vec![(address.clone(), kept.clone(), is_due)], ..row("dev", &[], Health::Verified) };
        let picture = svg(&[with(false)]);
        assert!(picture.contains(">verified, 1 kept warm<"), "{picture}");
        assert!(picture.contains("kept warm: helm.web@blue until 2026-08-01 01:00:00Z"), "{picture}");
        assert!(svg(&[with(true)]).contains("helm.web@blue is due to be retired since 2026-08-01 01:00:00Z"));
    }

    #[test]
    fn a_long_name_is_cut_and_an_empty_pipeline_is_a_picture_too() {
        let picture = svg(&[row(&"x".repeat(80), &[], Health::Empty)]);
        assert!(picture.contains(&format!("{}…", "x".repeat(CHARACTERS - 1))));
        assert!(svg(&[]).contains("</svg>"));
    }
}
