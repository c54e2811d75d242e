//! Rows in columns, as wide as their widest cell.

use crate::cli::style::{bold, width};

/// A heading and rows in columns; the last column is not padded.
pub(crate) fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            if let Some(widest) = widths.get_mut(column) {
                *widest = (*widest).max(width(cell));
            }
        }
    }
    let line = |cells: &[String]| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < cells.len() {
                let room = widths.get(column).copied().unwrap_or(0);
                text.push_str(&" ".repeat(room.saturating_sub(width(cell)) + 2));
            }
        }
        format!("{}\n", text.trim_end())
    };
    let mut out = line(&heading.iter().map(|cell| bold(cell.to_uppercase())).collect::<Vec<_>>());
    for row in rows {
        out.push_str(&line(row));
    }
    out
}
