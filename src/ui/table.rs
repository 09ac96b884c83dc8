//! Tables as text: columns apart, a rule below the header, numbers to the right.

use super::words;
use crate::experiment::NetworkTable;
use comfy_table::{CellAlignment, LineStyle, Table, presets};

/// A table for a terminal or a pipe. Columns whose cells are all numbers (or empty) stand to the right.
pub fn text(header: &[&str], rows: &[Vec<String>]) -> String {
    let rule = LineStyle::none().fill('─').junction('─');
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(rule));
    table.set_header(header.to_vec());
    table.add_rows(rows);
    for column in 0..header.len() {
        let numeric =
            |cell: &str| cell.is_empty() || cell == "–" || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if rows.iter().all(|row| row.get(column).is_some_and(|cell| numeric(cell)))
            && let Some(column) = table.column_mut(column)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.trim_fmt();
    // The padding of the first column is an indent of nothing.
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n") + "\n"
}

/// Pairs, the first of each padded to one width.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        let mut lines = value.lines();
        text.push_str(&format!("{name:width$}  {}\n", lines.next().unwrap_or_default()));
        for line in lines {
            text.push_str(&format!("{:width$}  {line}\n", ""));
        }
    }
    text
}

/// A network's layers with shapes and parameters.
pub fn network(network: &NetworkTable) -> String {
    let mut rows: Vec<Vec<String>> = network
        .rows
        .iter()
        .map(|row| vec![row.name.clone(), row.kind.to_owned(), shape(&row.shape), words::count(row.params as u64)])
        .collect();
    rows.push(vec![String::new(), "in all".to_owned(), String::new(), words::count(network.total)]);
    text(&[&network.name, "layer", "shape", "parameters"], &rows)
}

/// A shape as `64 × 7 × 7`.
pub fn shape(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::plan::Row;

    #[test]
    fn a_network_shows_as_layers_shapes_and_parameters() {
        let row = |name: &str, kind: &'static str, shape: &[usize], params| Row {
            name: name.to_owned(),
            kind,
            shape: shape.to_vec(),
            params,
        };
        let table = NetworkTable {
            name: "generator".to_owned(),
            rows: vec![row("0", "linear", &[6272], 633_472), row("1", "reshape", &[128, 7, 7], 0)],
            total: 633_472,
        };
        insta::assert_snapshot!(network(&table));
    }

    #[test]
    fn pairs_stand_in_two_columns() {
        assert_eq!(pairs(&[("a", "1".to_owned()), ("long", "2\n3".to_owned())]), "a     1\nlong  2\n      3\n");
    }
}
