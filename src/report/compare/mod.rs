//! A table with one row per configuration: its settings, the states of its runs, and each metric over its seeds; and how
//! the rows differ from one of them.
//!
//! Means are over finished runs. A run that diverged, failed or is not done has no comparable last value; it is counted in
//! its row, never dropped silently.
//!
//! Rows are compared by Welch's test on their last values, with p-values corrected by Holm's method for the number of rows.
//! The suggested number of seeds assumes the observed effect size, which is only a rough estimate with few seeds.

mod differences;
mod table;

pub use differences::Difference;
pub(super) use differences::{SIGNIFICANT, better_word, short_p};
pub(super) use table::arrow;

use super::FORMAT;
use super::group::{
    Configuration, WEIGHTS, configurations, count, count_text, did_you_mean, differences, metric_names, protocol,
};
use super::load::{Run, Varying};
use super::stats::Summary;
use crate::eval::{Direction, direction};
use crate::record::State;
use differences::{against, compare_rows};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Group rows by these dotted keys; by default there is one row per configuration.
    pub by: Vec<String>,
    /// These metrics or scalars; by default all metrics.
    pub metrics: Vec<String>,
    /// The row that others are compared with, by settings as `KEY=VALUE`; by default the first of two rows.
    pub against: Vec<String>,
    /// The metric that rows are sorted by, best first; by default the only metric, if there is one.
    pub sort: Option<String>,
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
    /// No row, or several, to compare others with.
    #[error("{0}")]
    Against(String),
    /// A metric without a direction.
    #[error("cannot sort by `{0}`: neither lower nor higher values are better")]
    Unsorted(String),
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
    /// One per configuration.
    pub rows: Vec<Row>,
    /// The index of the row that the others are compared with.
    pub against: Option<usize>,
    /// What was left out, pooled, undefined, or could not be read.
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

/// A configuration, or a group of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The settings that distinguish it: dotted keys with their values; null for a setting that it does not have.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// How many runs there are in each state, in words.
    pub states: String,
    /// The runs.
    pub runs: Vec<RunLine>,
    /// One per metric.
    pub cells: Vec<Cell>,
    /// How each metric differs from that of the row compared with; null if a side has no mean.
    pub differences: Vec<Option<Difference>>,
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
    /// Its state; null if it cannot be read.
    pub state: Option<State>,
    /// The last value of each metric, whatever the state; null if there is none.
    pub last: Vec<Option<f64>>,
}

/// A metric over the runs of a row that are done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The last numbers.
    pub last: Option<At>,
    /// Each run's best value, if the metric has a direction.
    pub best: Option<At>,
    /// Finished runs without a finite last value; 0 if no run of the row measures the metric.
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
            // A mean over the runs with a value would be a mean over those that went well.
            last: if without == 0 { At::of(&last) } else { None },
            best: At::of(&best),
            without,
        }
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
    let mut groups = groups;
    if let Some(sort) = sort(runs, options)? {
        let mean = |(_, runs): &Group<'_>| Cell::of(runs, &sort).last.map(|at| at.summary.mean);
        groups.sort_by(|a, b| match (mean(a), mean(b)) {
            (Some(a), Some(b)) if sort.direction.better(a, b) => std::cmp::Ordering::Less,
            (Some(a), Some(b)) if sort.direction.better(b, a) => std::cmp::Ordering::Greater,
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
    let against = against(&groups, &options.against)?;
    let mut rows: Vec<Row> = groups
        .into_iter()
        .map(|(settings, runs)| Row {
            settings,
            states: count_text(&count(&runs)),
            cells: metrics.iter().map(|head| Cell::of(&runs, head)).collect(),
            runs: runs.iter().map(|run| run_line(run, &metrics)).collect(),
            differences: Vec::new(),
        })
        .collect();
    if let Some(base) = against {
        compare_rows(&mut rows, base, &metrics);
    }
    notes.extend(metrics.iter().flat_map(|head| undefined(runs, &head.name)));
    notes.extend(runs.iter().flat_map(|r| r.faults.iter().cloned()));
    Ok(Comparison { version: FORMAT, metrics, rows, against, notes })
}

/// Why a metric is undefined in finished runs, with their number.
fn undefined(runs: &[Run], metric: &str) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.state == Some(State::Done)) {
        let last = run.evals.get(metric).and_then(|readings| readings.last());
        if let Some(reason) = last.and_then(|reading| reading.undefined.as_deref()) {
            *counts.entry(reason).or_default() += 1;
        }
    }
    let runs = |n: usize| if n == 1 { "run" } else { "runs" };
    counts.into_iter().map(|(why, n)| format!("`{metric}` is undefined in {n} {}: {why}", runs(n))).collect()
}

/// The metric that rows are sorted by.
fn sort(runs: &[Run], options: &Options) -> Result<Option<Head>, CompareError> {
    let (name, asked) = match (&options.sort, &options.metrics[..]) {
        (Some(name), _) => (name, true),
        (None, [only]) => (only, false),
        _ => return Ok(None),
    };
    let head = heads(runs, std::slice::from_ref(name), &mut Vec::new())?.remove(0);
    match (head.direction, asked) {
        (Direction::Neither, true) => Err(CompareError::Unsorted(head.name)),
        (Direction::Neither, false) => Ok(None),
        (Direction::Lower | Direction::Higher | Direction::Target(_), _) => Ok(Some(head)),
    }
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

/// The metrics to show, each measured under one protocol.
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
    let mut weights = BTreeSet::new();
    let list = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    for name in names {
        if !metrics.contains(&name) && !scalars.contains(&name) {
            let known = metrics.iter().chain(scalars.iter().copied()).map(String::as_str);
            return Err(CompareError::UnknownMetric { hint: did_you_mean(&name, known), name });
        }
        match protocol(&name, runs) {
            Ok(columns) => {
                if let Some(several) = columns.get(WEIGHTS).filter(|values| values.len() > 1) {
                    weights.insert(list(several));
                }
                let protocol = columns.iter().map(|(column, values)| (column.clone(), list(values))).collect();
                heads.push(Head { direction: direction(&name), name, protocol });
            }
            Err(reason) if !asked.is_empty() => return Err(CompareError::Protocol(reason)),
            Err(reason) => refused.push(reason),
        }
    }
    if heads.is_empty() && !refused.is_empty() {
        return Err(CompareError::Protocol(refused.join("; ")));
    }
    notes.extend(refused);
    notes.extend(
        weights.iter().map(|weights| format!("rows were measured with different weights, as configured: {weights}")),
    );
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
        notes.push(format!("each row pools runs that differ in {}", pooled.join(", ")));
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
    fn each_configuration_has_a_row_with_what_varies_and_how_many_diverged() {
        let comparison = compare(&toy(), &Options::default()).expect("compares");
        insta::assert_snapshot!(comparison.text(100) + "\n" + &comparison.markdown() + "\n" + &comparison.csv());
    }

    #[test]
    fn beside_the_axes_of_a_grid_only_what_differs_at_one_point_of_it_is_shown() {
        let runs = Runs::new();
        // The games differ in their optimizers too, which their names stand for; a second sitting changed the steps.
        for (game, lr, steps) in [("plain", "0.1", 30), ("plain", "0.1", 60), ("fast", "0.2", 60)] {
            let settings = format!("[optimizer]\nlr = {lr}\n[schedule]\nsteps = {steps}");
            runs.add(Sketch { settings: &settings, game, evals: &[("w1", &[1.0])], ..Sketch::default() });
        }
        let all = load(&[runs.path().to_owned()]).expect("there are runs");
        let comparison = compare(&all, &Options::default()).expect("compares");
        let mut shown: Vec<String> =
            (comparison.rows.iter()).map(|row| serde_json::to_string(&row.settings).expect("texts")).collect();
        shown.sort_unstable();
        assert_eq!(
            shown,
            [
                r#"{"game":"fast","schedule.steps":"60"}"#,
                r#"{"game":"plain","schedule.steps":"30"}"#,
                r#"{"game":"plain","schedule.steps":"60"}"#,
            ]
        );
    }

    #[test]
    fn the_numbers_are_those_of_the_runs_that_are_done() {
        let comparison =
            compare(&toy(), &Options { metrics: vec!["w1".to_owned()], ..Options::default() }).expect("compares");
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
    fn an_undefined_metric_is_noted_with_the_recorded_reason() {
        let runs = Runs::new();
        for seed in 0..2 {
            let path = runs.add(Sketch { seed, evals: &[("w1", &[0.5])], ..Sketch::default() });
            let path = path.strip_prefix(runs.path()).expect("lies below").display().to_string();
            let rows = "step,metric,value,parameters\n10,w1,0.5,\n10,nearest,,undefined: nothing is held out\n";
            runs.write(&format!("{path}/eval.csv"), rows);
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let comparison = compare(&runs, &Options::default()).expect("compares");
        assert_eq!(comparison.notes, ["`nearest` is undefined in 2 runs: nothing is held out"]);
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
    fn averaged_weights_are_compared_where_they_are_a_setting_and_not_within_one() {
        let runs = Runs::new();
        for (settings, seed, weights) in [("ema = 1", 0, "ema"), ("ema = 0", 0, "raw")] {
            runs.add(Sketch { settings, seed, weights, evals: &[("w1", &[0.1])], ..Sketch::default() });
        }
        let read = || load(&[runs.path().to_owned()]).expect("there are runs");
        let comparison = compare(&read(), &Options::default()).expect("compares");
        assert_eq!(comparison.notes, ["rows were measured with different weights, as configured: ema, raw"]);
        runs.add(Sketch {
            settings: "ema = 1",
            seed: 1,
            weights: "raw",
            evals: &[("w1", &[0.1])],
            ..Sketch::default()
        });
        let error = compare(&read(), &Options::default()).expect_err("refused").to_string();
        assert!(error.ends_with("these differ: weights (ema, raw)"), "{error}");
    }

    #[test]
    fn by_a_key_puts_together_what_differs_elsewhere_and_says_so() {
        let runs = Runs::new();
        for (i, (loss, lr)) in [("hinge", 1), ("hinge", 2), ("vanilla", 1)].into_iter().enumerate() {
            let settings = format!("loss.adversarial = '{loss}'\noptimizer.lr = {lr}");
            runs.add(Sketch { settings: &settings, evals: &[("w1", &[i as f64])], ..Sketch::default() });
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let by = |key: &str| compare(&runs, &Options { by: vec![key.to_owned()], ..Options::default() });
        let comparison = by("loss.adversarial").expect("compares");
        assert_eq!(comparison.rows.len(), 2);
        assert_eq!(comparison.notes, ["each row pools runs that differ in optimizer.lr"]);
        assert_eq!(
            by("loss.adverserial").expect_err("unknown").to_string(),
            "no run has a setting `loss.adverserial` (did you mean `loss.adversarial`?)"
        );
    }

    #[test]
    fn rows_along_an_axis_of_numbers_are_in_its_order() {
        let runs = Runs::new();
        for (i, rate) in ["1e-3", "1e-4", "3e-4"].into_iter().enumerate() {
            let settings = format!("optimizer.generator.adam.lr = {rate}");
            runs.add(Sketch { settings: &settings, game: rate, evals: &[("w1", &[i as f64])], ..Sketch::default() });
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let comparison = compare(&runs, &Options::default()).expect("compares");
        let order: Vec<&str> = comparison.rows.iter().filter_map(|row| row.settings["game"].as_str()).collect();
        assert_eq!(order, ["1e-4", "3e-4", "1e-3"]);
        let by = Options { by: vec!["optimizer.generator.adam.lr".to_owned()], ..Options::default() };
        let text = compare(&runs, &by).expect("compares").text(100);
        assert!(text.contains("…adam.lr   runs"), "{text}");
    }

    #[test]
    fn rows_are_compared_with_the_number_of_seeds_needed() {
        let runs = Runs::new();
        let numbers: [(&str, &[f64]); 3] = [
            ("hinge", &[1.0, 2.0, 4.0, 3.0]),
            ("vanilla", &[2.0, 2.5, 3.5, 7.0]),
            ("wasserstein", &[30.0, 31.0, 29.0, 30.5]),
        ];
        for (loss, seeds) in numbers {
            for (seed, value) in (0..).zip(seeds) {
                let settings = format!("[loss]\nadversarial = '{loss}'");
                runs.add(Sketch { settings: &settings, seed, evals: &[("w1", &[*value])], ..Sketch::default() });
            }
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let against = |text: &str| {
            let options = Options {
                against: vec![text.to_owned()],
                sort: Some("w1".to_owned()),
                metrics: vec!["w1".to_owned(), "d/loss".to_owned()],
                ..Options::default()
            };
            compare(&runs, &options)
        };
        let comparison = against("loss.adversarial=hinge").expect("compares");
        let text = comparison.text(100);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
        assert_eq!(comparison.csv().lines().next().map(|l| l.split(',').count()), Some(2 + 2 * (6 + 6 + 7)));
        // scipy.stats.ttest_ind(w, h, equal_var=False), and multipletests([p of wasserstein, p of vanilla], method="holm")
        let gap = |i: usize| comparison.rows[i].differences[0].as_ref().expect("both have a mean");
        assert_eq!((comparison.against, gap(1).told_apart, gap(2).told_apart), (Some(0), false, true));
        assert!((gap(1).p.expect("four seeds") - WELCH[0]).abs() < 1e-9, "{:?}", gap(1));
        assert!((gap(2).p.expect("four seeds") - WELCH[1]).abs() < 1e-12, "{:?}", gap(2));
        assert!((gap(2).p_corrected.expect("four seeds") - 2.0 * WELCH[1]).abs() < 1e-12, "{:?}", gap(2));
        let refused = |text: &str| against(text).expect_err("refused").to_string();
        assert_eq!(
            refused("loss.adversarial=hnge"),
            "no row is loss.adversarial=hnge; the rows are loss.adversarial=hinge, loss.adversarial=vanilla, \
             loss.adversarial=wasserstein"
        );
        assert_eq!(refused("hinge"), "`hinge` is not KEY=VALUE");
    }

    const WELCH: [f64; 2] = [0.38206996390419967, 2.013520488748588e-7];
}
