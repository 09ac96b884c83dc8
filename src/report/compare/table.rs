//! A comparison for readers, spreadsheets and READMEs.

use super::super::group::short_names;
use super::super::load::distinct;
use super::super::{json, markdown_table, text_table};
use super::differences::short_p;
use super::{At, Cell, Comparison, Difference, Head, Row};
use crate::base::digits::{short, short_deviation, short_interval};
use crate::eval::Direction;

/// A direction for readers.
pub(in super::super) fn arrow(direction: Direction) -> String {
    match direction {
        Direction::Lower => " ↓".to_owned(),
        Direction::Higher => " ↑".to_owned(),
        Direction::Target(target) => format!(" → {}", short(target)),
        Direction::Neither => String::new(),
    }
}

impl At {
    fn number(&self) -> String {
        let deviation = self.summary.deviation.map(|d| format!(" ± {}", short_deviation(d))).unwrap_or_default();
        format!("{}{deviation}", short(self.summary.mean))
    }

    fn steps(&self) -> String {
        let [first, last] = self.steps;
        if first == last { format!("@ {last}") } else { format!("@ {first}–{last}") }
    }
}

impl Cell {
    /// Its lines for a reader.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(last) = &self.last {
            lines.push(last.number());
            if let Some(interval) = last.summary.interval {
                lines.push(short_interval(interval));
            }
            lines[0] += &format!(" {}", last.steps());
        }
        if self.without > 0 {
            lines.push(format!("{} without a finite number", self.without));
        }
        if let Some(best) = self.best.filter(|best| Some(*best) != self.last) {
            lines.push(format!("best {} {}", best.number(), best.steps()));
        }
        if lines.is_empty() {
            lines.push("-".to_owned());
        }
        lines
    }
}

impl Row {
    fn setting(&self, key: &str) -> String {
        self.settings[key].as_str().unwrap_or("-").to_owned()
    }
}

impl Difference {
    /// In one line.
    fn line(&self) -> String {
        let interval = self.interval.map(|i| format!(" {}", short_interval(i))).unwrap_or_default();
        format!("Δ {}{interval}, {}", short(self.mean), self.verdict)
    }
}

impl Comparison {
    /// The settings that are shown, in order.
    fn keys(&self) -> Vec<String> {
        self.rows.first().map(|row| row.settings.keys().cloned().collect()).unwrap_or_default()
    }

    /// Header and rows for a reader; long settings are cut to the parts that differ.
    pub fn cells(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let keys = self.keys();
        let head = |h: &Head| h.name.clone() + &arrow(h.direction);
        let header = keys.iter().cloned().chain(["runs".to_owned()]).chain(self.metrics.iter().map(head)).collect();
        let row = |(row, label): (&Row, Vec<String>)| {
            let cells = row.cells.iter().enumerate().map(|(m, cell)| {
                let gap = row.differences.get(m).and_then(Option::as_ref);
                cell.lines().into_iter().chain(gap.map(Difference::line)).collect::<Vec<_>>().join("\n")
            });
            label.into_iter().chain([row.states.clone()]).chain(cells).collect()
        };
        (header, self.rows.iter().zip(self.labels()).map(row).collect())
    }

    /// For a reader, in lines of at most this width: one block per metric.
    pub fn text(&self, width: u16) -> String {
        let mut blocks = Vec::new();
        for m in 0..self.metrics.len() {
            blocks.push(self.block(m, width));
            if let Some(base) = self.against {
                blocks.push(self.gaps(m, base, width));
            }
        }
        blocks.join("\n") + "\n" + &self.foot().join("\n") + "\n"
    }

    /// The settings that are shown; long ones are cut to their ends.
    fn short_keys(&self) -> Vec<String> {
        let keys = self.keys();
        let ends = |key: &str| key.rsplitn(3, '.').nth(2).map(|before| &key[before.len() + 1..]).map(str::to_owned);
        let names = short_names(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let short = |(key, name): (&String, String)| match ends(key) {
            Some(end) if key.len() > 20 => {
                let alike = keys.iter().filter(|other| ends(other).as_ref() == Some(&end)).count() > 1;
                format!("…{}", if alike { name } else { end })
            }
            _ => key.clone(),
        };
        keys.iter().zip(names).map(short).collect()
    }

    /// The settings of each row, cut to the parts that differ.
    fn labels(&self) -> Vec<Vec<String>> {
        let columns: Vec<Vec<String>> = self
            .keys()
            .iter()
            .map(|key| distinct(&self.rows.iter().map(|r| r.setting(key)).collect::<Vec<_>>()))
            .collect();
        (0..self.rows.len()).map(|i| columns.iter().map(|column| column[i].clone()).collect()).collect()
    }

    /// A metric over the rows.
    fn block(&self, m: usize, width: u16) -> String {
        let head = &self.metrics[m];
        let best = |row: &Row| row.cells[m].best.filter(|best| Some(*best) != row.cells[m].last);
        let with_best = self.rows.iter().any(|row| best(row).is_some());
        let mut header = self.short_keys();
        header.extend(["runs", "last", "95 % interval"].map(str::to_owned));
        header.extend(with_best.then(|| "best".to_owned()));
        let row = |(row, label): (&Row, Vec<String>)| {
            let cell = &row.cells[m];
            let last = match &cell.last {
                Some(last) => format!("{} {}", last.number(), last.steps()),
                None if cell.without > 0 => format!("{} without a finite number", cell.without),
                None => "-".to_owned(),
            };
            let interval = cell.last.and_then(|last| last.summary.interval).map(short_interval).unwrap_or_default();
            let best = best(row).map(|best| format!("{} {}", short(best.summary.mean), best.steps()));
            let numbers =
                [row.states.clone(), last, interval].into_iter().chain(with_best.then(|| best.unwrap_or_default()));
            label.into_iter().chain(numbers).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().zip(self.labels()).map(row).collect();
        format!("{}{}\n{}", head.name, arrow(head.direction), text_table(&header, &rows, width))
    }

    /// The differences of a metric from that of one row.
    fn gaps(&self, m: usize, base: usize, width: u16) -> String {
        let labels = self.labels();
        let mut header = self.short_keys();
        header.push(format!("from {}", labels[base].join(", ")));
        header.extend(["95 % interval", "g", "p", "seeds", ""].map(str::to_owned));
        let row = |(row, label): (&Row, Vec<String>)| {
            let gap = row.differences[m].as_ref();
            let text = |f: &dyn Fn(&Difference) -> Option<String>| gap.and_then(f).unwrap_or_default();
            let numbers = [
                text(&|gap| Some(short(gap.mean))),
                text(&|gap| gap.interval.map(short_interval)),
                text(&|gap| gap.hedges_g.map(|g| format!("{g:.1}"))),
                text(&|gap| gap.p_corrected.map(short_p)),
                text(&|gap| gap.seeds_needed.map(|n| n.to_string())),
                gap.map_or_else(|| "no mean on one side".to_owned(), |gap| gap.word.clone()),
            ];
            label.into_iter().chain(numbers).collect::<Vec<_>>()
        };
        let others = self.rows.iter().zip(labels).enumerate().filter(|(i, _)| *i != base).map(|(_, pair)| row(pair));
        text_table(&header, &others.collect::<Vec<_>>(), width)
    }

    /// For a README.
    pub fn markdown(&self) -> String {
        let (header, rows) = self.cells();
        markdown_table(&header, &rows) + "\n" + &self.foot().join("  \n") + "\n"
    }

    /// What the columns mean, and the notes.
    pub(in super::super) fn foot(&self) -> Vec<String> {
        let mut lines = vec![
            "last: mean ± deviation over finished seeds @ step, with Student's 95 % interval of the mean".to_owned(),
        ];
        if let Some(base) = self.against {
            let of = match self.rows.len() - 1 {
                1 => String::new(),
                n => format!(", corrected for {n} rows (Holm)"),
            };
            let what = self.labels()[base].join(", ");
            lines.push(format!("differences from {what}: Welch's interval, Hedges' g, p of Welch's test{of}"));
            lines.push(
                "seeds: per row, to show a difference of this size with 80 % power; a rough estimate with few seeds"
                    .to_owned(),
            );
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
    }

    /// For a spreadsheet: numbers in full; an empty field means there is no value.
    pub fn csv(&self) -> String {
        let keys = self.keys();
        let mut header = keys.clone();
        header.push("runs".to_owned());
        for head in &self.metrics {
            for what in ["last", "best"] {
                let parts = ["n", "mean", "deviation", "low", "high", "step"];
                header.extend(parts.map(|part| format!("{} {what} {part}", head.name)));
            }
            if self.against.is_some() {
                let parts = ["mean", "low", "high", "hedges g", "p", "p corrected", "seeds needed"];
                header.extend(parts.map(|part| format!("{} difference {part}", head.name)));
            }
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        let refused = "a vector takes any bytes, and all records have the header's length";
        writer.write_record(&header).expect(refused);
        for row in &self.rows {
            let mut record: Vec<String> =
                keys.iter().map(|key| row.settings[key].as_str().unwrap_or_default().to_owned()).collect();
            record.push(row.states.clone());
            let field = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
            for (m, cell) in row.cells.iter().enumerate() {
                for at in [cell.last, cell.best] {
                    record.push(at.map(|at| at.summary.n.to_string()).unwrap_or_default());
                    record.push(field(at.map(|at| at.summary.mean)));
                    record.push(field(at.and_then(|at| at.summary.deviation)));
                    record.push(field(at.and_then(|at| at.summary.interval).map(|[low, _]| low)));
                    record.push(field(at.and_then(|at| at.summary.interval).map(|[_, high]| high)));
                    record.push(at.map(|at| at.steps[1].to_string()).unwrap_or_default());
                }
                if self.against.is_some() {
                    let gap = row.differences[m].as_ref();
                    record.push(field(gap.map(|gap| gap.mean)));
                    record.push(field(gap.and_then(|gap| gap.interval).map(|[low, _]| low)));
                    record.push(field(gap.and_then(|gap| gap.interval).map(|[_, high]| high)));
                    record.push(field(gap.and_then(|gap| gap.hedges_g)));
                    record.push(field(gap.and_then(|gap| gap.p)));
                    record.push(field(gap.and_then(|gap| gap.p_corrected)));
                    record.push(gap.and_then(|gap| gap.seeds_needed).map(|n| n.to_string()).unwrap_or_default());
                }
            }
            writer.write_record(&record).expect(refused);
        }
        String::from_utf8(writer.into_inner().expect(refused)).expect("what was written is text")
    }

    /// For programs.
    pub fn json(&self) -> String {
        json(self)
    }
}
