//! A row a configuration: what sets it apart, how its runs ended, and each metric over its seeds.
//!
//! Means are over the runs that are done. A run that diverged, failed or is not done yet has no last number that could
//! stand beside theirs; it is counted in its row, never dropped in silence.

use super::group::{
    Configuration, configurations, count, count_text, did_you_mean, differences, metric_names, protocol,
};
use super::load::{Run, Varying, distinct};
use super::stats::{Summary, short, short_interval};
use super::{FORMAT, markdown_table, text_table};
use crate::eval::{Direction, direction};
use crate::record::State;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A row a value of these dotted keys instead of a row a configuration.
    pub by: Vec<String>,
    /// These metrics or scalars; all metrics where empty.
    pub metrics: Vec<String>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A metric that no run has.
    #[error("no run has a metric or scalar `{name}`{hint}")]
    UnknownMetric {
        /// As asked for.
        name: String,
        /// The nearest known one.
        hint: String,
    },
    /// A key that no configuration has.
    #[error("no run has a setting `{key}`{hint}")]
    UnknownKey {
        /// As asked for.
        key: String,
        /// The nearest one that varies.
        hint: String,
    },
    /// Numbers that were not measured in the same way.
    #[error("{0}")]
    Protocol(String),
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The version of this format.
    pub version: u32,
    /// The metrics, in order of the cells of each row.
    pub metrics: Vec<Head>,
    /// A row a configuration.
    pub rows: Vec<Row>,
    /// What a reader must know: what was left out, pooled, or could not be read.
    pub notes: Vec<String>,
}

/// A metric that is compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// Which way is better.
    #[serde(serialize_with = "word")]
    pub direction: Direction,
    /// How it was measured.
    pub protocol: BTreeMap<String, String>,
}

/// A direction for programs: `lower`, `higher`, a number (nearer to it is better), or null.
fn word<S: serde::Serializer>(direction: &Direction, to: S) -> Result<S::Ok, S::Error> {
    match direction {
        Direction::Lower => to.serialize_str("lower"),
        Direction::Higher => to.serialize_str("higher"),
        Direction::Target(target) => to.serialize_f64(*target),
        Direction::Neither => to.serialize_none(),
    }
}

/// A direction for people.
pub(super) fn arrow(direction: Direction) -> String {
    match direction {
        Direction::Lower => " ↓".to_owned(),
        Direction::Higher => " ↑".to_owned(),
        Direction::Target(target) => format!(" → {}", short(target)),
        Direction::Neither => String::new(),
    }
}

/// A configuration, or what `by` puts together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What sets it apart: dotted keys with their values; null where a configuration has no such setting.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// How many runs there are in each state, in words.
    pub states: String,
    /// The runs.
    pub runs: Vec<RunLine>,
    /// A cell a metric.
    pub cells: Vec<Cell>,
}

/// A run of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunLine {
    /// The experiment's folder.
    pub experiment: String,
    /// The run's directory.
    pub run: String,
    /// Its seed.
    pub seed: Option<u64>,
    /// Its state; null where it cannot be read.
    pub state: Option<State>,
    /// The last number of each metric, whatever the state; null where there is none.
    pub last: Vec<Option<f64>>,
}

/// A metric over the runs of a row that are done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The last numbers.
    pub last: Option<At>,
    /// Each run's best number, where the metric has a direction.
    pub best: Option<At>,
    /// Runs that are done and have no finite last number; 0 where no run of the row measures the metric.
    pub without: usize,
}

/// Numbers over seeds, with the steps at which they were measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct At {
    /// The numbers.
    #[serde(flatten)]
    pub summary: Summary,
    /// The first and the last of their steps.
    pub steps: [u64; 2],
}

impl At {
    fn of(numbers: &[(u64, f64)]) -> Option<Self> {
        let summary = Summary::of(&numbers.iter().map(|(_, v)| *v).collect::<Vec<_>>())?;
        let steps = || numbers.iter().map(|(step, _)| *step);
        Some(Self { summary, steps: [steps().min()?, steps().max()?] })
    }

    fn number(&self) -> String {
        let deviation = self.summary.deviation.map(|d| format!(" ± {}", short(d))).unwrap_or_default();
        format!("{}{deviation}", short(self.summary.mean))
    }

    fn steps(&self) -> String {
        let [first, last] = self.steps;
        if first == last { format!("@ {last}") } else { format!("@ {first}–{last}") }
    }
}

impl Cell {
    fn of(runs: &[&Run], head: &Head) -> Self {
        let done = || runs.iter().filter(|r| r.state == Some(State::Done));
        let measured = |r: &&&Run| r.evals.contains_key(&head.name) || r.scalars.contains_key(&head.name);
        if !done().any(|r| measured(&r)) {
            return Self { last: None, best: None, without: 0 };
        }
        let finite = |numbers: Vec<Option<(u64, f64)>>| -> Vec<(u64, f64)> {
            numbers.into_iter().flatten().filter(|(_, v)| v.is_finite()).collect()
        };
        let last = finite(done().map(|r| r.last(&head.name)).collect());
        let best = finite(done().map(|r| r.best(&head.name)).collect());
        let without = done().count() - last.len();
        Self {
            // A mean over those that have a number would be a mean over those that went well.
            last: if without == 0 { At::of(&last) } else { None },
            best: At::of(&best),
            without,
        }
    }

    /// Its lines for people.
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

/// Compares runs.
///
/// # Errors
/// If a metric or key that is asked for does not exist, or no metric was measured in one way throughout.
pub fn compare(runs: &[Run], options: &Options) -> Result<Comparison, CompareError> {
    let configurations = configurations(runs);
    let mut notes = Vec::new();
    let metrics = heads(runs, &options.metrics, &mut notes)?;
    let differences = differences(&configurations);
    let groups = if options.by.is_empty() {
        by_configuration(&configurations, &differences)
    } else {
        by_keys(&configurations, &differences, &options.by, &mut notes)?
    };
    let mut rows: Vec<Row> = groups
        .into_iter()
        .map(|(settings, runs)| Row {
            settings,
            states: count_text(&count(&runs)),
            cells: metrics.iter().map(|head| Cell::of(&runs, head)).collect(),
            runs: runs.iter().map(|run| run_line(run, &metrics)).collect(),
        })
        .collect();
    if let ([Head { direction, .. }], false) = (&metrics[..], options.metrics.is_empty()) {
        let mean = |row: &Row| row.cells[0].last.map(|at| at.summary.mean);
        rows.sort_by(|a, b| match (mean(a), mean(b)) {
            (Some(a), Some(b)) if direction.better(a, b) => std::cmp::Ordering::Less,
            (Some(a), Some(b)) if direction.better(b, a) => std::cmp::Ordering::Greater,
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
    notes.extend(runs.iter().flat_map(|r| r.faults.iter().cloned()));
    Ok(Comparison { version: FORMAT, metrics, rows, notes })
}

fn run_line(run: &Run, metrics: &[Head]) -> RunLine {
    let last = |head: &Head| run.last(&head.name).map(|(_, v)| v).filter(|v| v.is_finite());
    RunLine {
        experiment: run.experiment.clone(),
        run: run.name.clone(),
        seed: run.seed,
        state: run.state,
        last: metrics.iter().map(last).collect(),
    }
}

/// The metrics to show, each measured in one way throughout.
fn heads(runs: &[Run], asked: &[String], notes: &mut Vec<String>) -> Result<Vec<Head>, CompareError> {
    let metrics = metric_names(runs);
    let scalars: BTreeSet<&String> = runs.iter().flat_map(|r| r.scalars.keys()).collect();
    let names: Vec<String> = match (asked, &metrics[..]) {
        ([], []) => scalars.iter().map(|&s| s.clone()).collect(),
        ([], metrics) => metrics.to_vec(),
        (asked, _) => asked.to_vec(),
    };
    let mut heads = Vec::new();
    let mut refused = Vec::new();
    for name in names {
        if !metrics.contains(&name) && !scalars.contains(&name) {
            let known = metrics.iter().chain(scalars.iter().copied()).map(String::as_str);
            return Err(CompareError::UnknownMetric { hint: did_you_mean(&name, known), name });
        }
        match protocol(&name, runs) {
            Ok(protocol) => heads.push(Head { direction: direction(&name), name, protocol }),
            Err(reason) if !asked.is_empty() => return Err(CompareError::Protocol(reason)),
            Err(reason) => refused.push(reason),
        }
    }
    if heads.is_empty() && !refused.is_empty() {
        return Err(CompareError::Protocol(refused.join("; ")));
    }
    notes.extend(refused);
    Ok(heads)
}

type Group<'a> = (serde_json::Map<String, serde_json::Value>, Vec<&'a Run>);

fn by_configuration<'a>(configurations: &[Configuration<'a>], differences: &[Varying]) -> Vec<Group<'a>> {
    let settings = |i: usize| {
        let value = |v: &Varying| v.values[i].clone().map_or(serde_json::Value::Null, serde_json::Value::String);
        differences.iter().map(|v| (v.key.clone(), value(v))).collect()
    };
    configurations.iter().enumerate().map(|(i, c)| (settings(i), c.runs.clone())).collect()
}

fn by_keys<'a>(
    configurations: &[Configuration<'a>],
    differences: &[Varying],
    keys: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<Group<'a>>, CompareError> {
    for key in keys {
        if configurations.iter().all(|c| c.value(key).is_none()) {
            let known = differences.iter().map(|v| v.key.as_str());
            return Err(CompareError::UnknownKey { key: key.clone(), hint: did_you_mean(key, known) });
        }
    }
    let mut groups: Vec<(Vec<Option<String>>, Vec<usize>)> = Vec::new();
    for (i, configuration) in configurations.iter().enumerate() {
        let values: Vec<_> = keys.iter().map(|key| configuration.value(key)).collect();
        match groups.iter_mut().find(|(have, _)| *have == values) {
            Some((_, members)) => members.push(i),
            None => groups.push((values, vec![i])),
        }
    }
    let within =
        |v: &&Varying| groups.iter().any(|(_, members)| members.iter().any(|&i| v.values[i] != v.values[members[0]]));
    let pooled: Vec<&str> = differences.iter().filter(within).map(|v| v.key.as_str()).collect();
    if !pooled.is_empty() {
        notes.push(format!("each row puts together runs that differ in {}", pooled.join(", ")));
    }
    let value = |v: Option<String>| v.map_or(serde_json::Value::Null, serde_json::Value::String);
    Ok(groups
        .into_iter()
        .map(|(values, members)| {
            let settings = keys.iter().cloned().zip(values.into_iter().map(value)).collect();
            (settings, members.into_iter().flat_map(|i| configurations[i].runs.clone()).collect())
        })
        .collect())
}

impl Comparison {
    /// The settings that are shown, in order.
    fn keys(&self) -> Vec<String> {
        self.rows.first().map(|row| row.settings.keys().cloned().collect()).unwrap_or_default()
    }

    /// Header and rows for people; long settings are cut to where they differ.
    pub fn cells(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let keys = self.keys();
        let head = |h: &Head| h.name.clone() + &arrow(h.direction);
        let header = keys.iter().cloned().chain(["runs".to_owned()]).chain(self.metrics.iter().map(head)).collect();
        let columns: Vec<Vec<String>> = keys
            .iter()
            .map(|key| {
                let texts: Vec<String> =
                    self.rows.iter().map(|r| r.settings[key].as_str().unwrap_or("-").to_owned()).collect();
                distinct(&texts)
            })
            .collect();
        let row = |(i, row): (usize, &Row)| {
            let settings = columns.iter().map(|c| c[i].clone());
            settings.chain([row.states.clone()]).chain(row.cells.iter().map(|c| c.lines().join("\n"))).collect()
        };
        (header, self.rows.iter().enumerate().map(row).collect())
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let (header, rows) = self.cells();
        text_table(&header, &rows) + &self.foot("")
    }

    /// For a README.
    pub fn markdown(&self) -> String {
        let (header, rows) = self.cells();
        markdown_table(&header, &rows) + &self.foot("\n")
    }

    /// What the numbers are, and the notes.
    fn foot(&self, between: &str) -> String {
        let mut lines = vec!["mean ± deviation over seeds @ step, and the 95 % interval of the mean".to_owned()];
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.iter().map(|line| format!("{between}{line}\n")).collect()
    }

    /// For a spreadsheet: numbers in full, a field left empty where there is none.
    pub fn csv(&self) -> String {
        let keys = self.keys();
        let mut header = keys.clone();
        header.push("runs".to_owned());
        for head in &self.metrics {
            for what in ["last", "best"] {
                let parts = ["n", "mean", "deviation", "low", "high", "step"];
                header.extend(parts.map(|part| format!("{} {what} {part}", head.name)));
            }
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        let refused = "a vector takes any bytes, and all records have the header's length";
        writer.write_record(&header).expect(refused);
        for row in &self.rows {
            let mut record: Vec<String> =
                keys.iter().map(|key| row.settings[key].as_str().unwrap_or_default().to_owned()).collect();
            record.push(row.states.clone());
            for at in row.cells.iter().flat_map(|cell| [cell.last, cell.best]) {
                let number = |f: &dyn Fn(At) -> Option<f64>| at.and_then(f).map(|v| v.to_string()).unwrap_or_default();
                record.push(at.map(|at| at.summary.n.to_string()).unwrap_or_default());
                record.push(number(&|at| Some(at.summary.mean)));
                record.push(number(&|at| at.summary.deviation));
                record.push(number(&|at| at.summary.interval.map(|[low, _]| low)));
                record.push(number(&|at| at.summary.interval.map(|[_, high]| high)));
                record.push(at.map(|at| at.steps[1].to_string()).unwrap_or_default());
            }
            writer.write_record(&record).expect(refused);
        }
        String::from_utf8(writer.into_inner().expect(refused)).expect("what was written is text")
    }

    /// For programs.
    pub fn json(&self) -> String {
        super::json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Runs, Sketch};
    use super::super::load::load;
    use super::*;

    /// Two losses, three seeds each; a seed of vanilla diverged.
    fn toy() -> Vec<Run> {
        let runs = Runs::new();
        let numbers: [(&str, [[f64; 3]; 3]); 2] = [
            ("hinge", [[3.0, 1.0, 2.0], [3.0, 2.0, 4.0], [3.0, 3.0, 3.0]]),
            ("vanilla", [[5.0, 4.0, 6.0], [5.0, 4.0, 8.0], [5.0, 4.0, 7.0]]),
        ];
        for (loss, seeds) in numbers {
            let settings = format!("[loss]\nadversarial = '{loss}'\n[schedule]\nsteps = 30");
            for (seed, values) in (0..).zip(seeds) {
                let state = if loss == "vanilla" && seed == 2 { "diverged" } else { "done" };
                let evals: &[(&str, &[f64])] = &[("mean", &values[..2]), ("w1", &values)];
                runs.add(Sketch { settings: &settings, seed, state, evals, ..Sketch::default() });
            }
        }
        load(&[runs.path().to_owned()]).expect("there are runs")
    }

    #[test]
    fn a_row_a_configuration_shows_what_varies_and_counts_what_diverged() {
        let comparison = compare(&toy(), &Options::default()).expect("compares");
        insta::assert_snapshot!(comparison.text() + "\n" + &comparison.markdown() + "\n" + &comparison.csv());
    }

    #[test]
    fn the_numbers_are_those_of_the_runs_that_are_done() {
        let comparison =
            compare(&toy(), &Options { metrics: vec!["w1".to_owned()], by: Vec::new() }).expect("compares");
        let row = |loss: &str| {
            comparison.rows.iter().find(|r| r.settings["loss.adversarial"] == loss).expect("both losses have a row")
        };
        // Last numbers 2, 4, 3; and 6, 8 without the diverged seed's 7.
        let hinge = row("hinge").cells[0].last.expect("three are done");
        assert_eq!((hinge.summary.n, hinge.summary.mean, hinge.steps), (3, 3.0, [30, 30]));
        let vanilla = row("vanilla").cells[0].last.expect("two are done");
        assert_eq!((vanilla.summary.n, vanilla.summary.mean), (2, 7.0));
        assert_eq!(row("vanilla").states, "2 done, 1 diverged");
        assert_eq!(row("vanilla").runs[2].last, [Some(7.0)], "the diverged seed is listed with its last number");
    }

    #[test]
    fn json_has_a_version_and_the_runs_of_each_row() {
        let json: serde_json::Value =
            serde_json::from_str(&compare(&toy(), &Options::default()).expect("compares").json()).expect("is JSON");
        assert_eq!(json["version"], 1);
        assert!(json["rows"][0]["settings"]["loss.adversarial"].is_string());
        assert_eq!(json["rows"][0]["runs"].as_array().map(Vec::len), Some(3));
        assert_eq!(json["metrics"][1]["protocol"]["n"], "100");
    }

    #[test]
    fn numbers_of_another_protocol_are_refused_with_the_column() {
        let runs = Runs::new();
        for (seed, n) in [(0, 100), (1, 200)] {
            runs.add(Sketch { settings: "x = 1", seed, n, evals: &[("w1", &[0.1])], ..Sketch::default() });
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let error = compare(&runs, &Options::default()).expect_err("refused").to_string();
        assert!(error.contains("`w1`") && error.ends_with("these differ: n (100, 200)"), "{error}");
    }

    #[test]
    fn by_a_key_puts_together_what_differs_elsewhere_and_says_so() {
        let runs = Runs::new();
        for (i, (loss, lr)) in [("hinge", 1), ("hinge", 2), ("vanilla", 1)].into_iter().enumerate() {
            let settings = format!("loss.adversarial = '{loss}'\noptimizer.lr = {lr}");
            runs.add(Sketch { settings: &settings, evals: &[("w1", &[i as f64])], ..Sketch::default() });
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let by = |key: &str| compare(&runs, &Options { by: vec![key.to_owned()], metrics: Vec::new() });
        let comparison = by("loss.adversarial").expect("compares");
        assert_eq!(comparison.rows.len(), 2);
        assert_eq!(comparison.notes, ["each row puts together runs that differ in optimizer.lr"]);
        assert_eq!(
            by("loss.adverserial").expect_err("unknown").to_string(),
            "no run has a setting `loss.adverserial` (did you mean `loss.adversarial`?)"
        );
    }
}
