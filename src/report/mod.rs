//! Reports about several runs: comparisons, verdicts on claims, differences, and a page.
//!
//! Everything here reads run directories and returns data that render themselves as text, JSON, CSV or Markdown; nothing
//! here trains or prints.

pub mod compare;
pub mod curves;
pub mod diff;
#[cfg(test)]
mod fixture;
pub mod group;
pub mod load;
pub mod page;
pub mod stats;
pub mod verify;

pub use load::{Run, load};

/// The version of every JSON that this folder writes; a reader may rely on the meaning of each field under it.
pub const FORMAT: u32 = 1;

/// A value as JSON text that ends in a line break.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("reports have text keys and finite or null numbers") + "\n"
}

/// A table for a reader: a rule below the header, and lines that break within cells at `width` characters.
pub fn text_table(header: &[String], rows: &[Vec<String>], width: u16) -> String {
    let rule = comfy_table::LineStyle::none().fill('─').junction('─');
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING.header_separator(rule));
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic).set_width(width);
    table.set_header(header);
    table.add_rows(rows);
    let text = table.trim_fmt();
    // The padding of the first column would indent the whole table.
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n") + "\n"
}

/// A table in Markdown.
pub fn markdown_table(header: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|").replace('\n', "<br>")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|{}\n", " --- |".repeat(header.len()));
    line(header) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}
