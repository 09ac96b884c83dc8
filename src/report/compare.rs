//! A row a configuration: what sets it apart, how its runs ended, and each metric over its seeds; and what tells rows from
//! one of them.
//!
//! Means are over the runs that are done. A run that diverged, failed or is not done yet has no last number that could
//! stand beside theirs; it is counted in its row, never dropped in silence.
//!
//! Rows are told apart by Welch's test on their last numbers, its chances corrected by Holm's method for how many rows a
//! metric is compared over. The number of seeds that would do is for a difference as large as the one that was seen, which
//! few seeds tell but roughly.

use super::group::{
    Configuration, WEIGHTS, configurations, count, count_text, did_you_mean, differences, metric_names, protocol,
    short_names,
};
use super::load::{Run, Varying, distinct};
use super::stats::{Summary, difference, enough, hedges_g, holm, short, short_deviation, short_interval};
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
    /// The row that others are held against, by settings as `KEY=VALUE`; where empty and there are two rows, the first.
    pub against: Vec<String>,
    /// The metric that rows are sorted by, the best first; where empty and one metric is asked for, that one.
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
    /// No row, or several, to hold others against.
    #[error("{0}")]
    Against(String),
    /// A metric that has no better or worse to sort by.
    #[error("cannot sort by `{0}`: it is not known whether lower or higher is better for it")]
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
    /// A row a configuration.
    pub rows: Vec<Row>,
    /// Which row the others are held against, from 0.
    pub against: Option<usize>,
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
    /// How each metric differs from that of the row that is held against; null where a side has no mean.
    pub differences: Vec<Option<Difference>>,
}

/// How the last numbers of a row differ from those of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// This row's mean less the other's.
    pub mean: f64,
    /// Its 95 % interval (Welch's); null where a side is a single number.
    pub interval: Option<[f64; 2]>,
    /// Hedges' g; null where a side is a single number or nothing varies.
    pub hedges_g: Option<f64>,
    /// How likely so large a difference would be by chance (Welch's test).
    pub p: Option<f64>,
    /// The same, corrected for how many rows the metric is compared over (Holm's method).
    pub p_corrected: Option<f64>,
    /// Whether the seeds suffice to tell the rows apart: `p_corrected` is at most 0.05.
    pub told_apart: bool,
    /// About how many seeds a row would show a difference as large as this one four times out of five.
    pub seeds_needed: Option<usize>,
    /// In a word or two: better, worse, higher, lower, equal, not told apart, or that there is one seed.
    pub word: String,
    /// In words, with how many seeds would do.
    pub verdict: String,
}

impl Difference {
    fn of(this: &At, other: &At) -> Self {
        let (this, other) = (&this.summary, &other.summary);
        let gap = difference(this, other, 1.0);
        Self {
            mean: gap.mean,
            interval: gap.doubt.map(|(interval, _)| interval),
            hedges_g: hedges_g(this, other),
            p: gap.doubt.map(|(_, p)| p),
            p_corrected: None,
            told_apart: false,
            seeds_needed: enough(this, other),
            word: String::new(),
            verdict: String::new(),
        }
    }

    fn conclude(&mut self, p_corrected: Option<f64>, direction: Direction) {
        self.p_corrected = p_corrected;
        self.told_apart = p_corrected.is_some_and(|p| p <= SIGNIFICANT);
        let seeds = match self.seeds_needed {
            Some(n) if n > MOST_SEEDS => format!("more than {MOST_SEEDS} seeds a row"),
            Some(n) => format!("about {n} seeds a row"),
            None => String::new(),
        };
        self.word = match (p_corrected, self.told_apart) {
            (None, _) => "one seed on a side",
            (_, true) => better_word(direction, self.mean > 0.0),
            _ if self.mean == 0.0 => "equal",
            _ => "not told apart",
        }
        .to_owned();
        self.verdict = match (self.told_apart, seeds.is_empty()) {
            (true, false) => format!("{}: {seeds} would do", self.word),
            (false, false) => format!("{}: {seeds} needed", self.word),
            _ => self.word.clone(),
        };
    }
}

/// A difference is taken for one where chance would make it less often than this.
pub(super) const SIGNIFICANT: f64 = 0.05;
/// More seeds than these are a word.
const MOST_SEEDS: usize = 10_000;

/// The word for a mean that is above another, or below it.
pub(super) fn better_word(direction: Direction, above: bool) -> &'static str {
    match (direction, above) {
        (Direction::Lower, false) | (Direction::Higher, true) => "better",
        (Direction::Lower, true) | (Direction::Higher, false) => "worse",
        (_, true) => "higher",
        (_, false) => "lower",
    }
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
        let deviation = self.summary.deviation.map(|d| format!(" ± {}", short_deviation(d))).unwrap_or_default();
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
        tell_apart(&mut rows, base, &metrics);
    }
    notes.extend(runs.iter().flat_map(|r| r.faults.iter().cloned()));
    Ok(Comparison { version: FORMAT, metrics, rows, against, notes })
}

/// What rows are sorted by.
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
        _ => Ok(Some(head)),
    }
}

/// Which row the others are held against.
fn against(groups: &[Group<'_>], wanted: &[String]) -> Result<Option<usize>, CompareError> {
    if wanted.is_empty() {
        return Ok((groups.len() == 2).then_some(0));
    }
    let pairs: Vec<(&str, &str)> = wanted
        .iter()
        .map(|text| text.split_once('=').ok_or_else(|| CompareError::Against(format!("`{text}` is not KEY=VALUE"))))
        .collect::<Result<_, _>>()?;
    let fits = |(settings, runs): &Group<'_>| {
        pairs.iter().all(|(key, value)| {
            let number = || serde_json::from_str::<serde_json::Value>(value).ok();
            let is = |wanted: &serde_json::Value| runs.iter().all(|run| run.is(key, wanted));
            settings.get(*key).and_then(serde_json::Value::as_str) == Some(value)
                || is(&serde_json::Value::from(*value))
                || number().is_some_and(|number| is(&number))
        })
    };
    let found: Vec<usize> = (0..groups.len()).filter(|&i| fits(&groups[i])).collect();
    match found[..] {
        [only] => Ok(Some(only)),
        [] => {
            let shown = |(settings, _): &Group<'_>| {
                let pair = |(key, value): (&String, &serde_json::Value)| Some(format!("{key}={}", value.as_str()?));
                settings.iter().filter_map(pair).collect::<Vec<_>>().join(" ")
            };
            let known: Vec<String> = groups.iter().map(shown).filter(|t| !t.is_empty() && t.len() < 60).collect();
            let known = if known.is_empty() { String::new() } else { format!(", there are {}", known.join(", ")) };
            Err(CompareError::Against(format!("no row is {}{known}", wanted.join(" "))))
        }
        _ => Err(CompareError::Against(format!(
            "{} rows are {}: name one of them with more settings, or put rows together with --by",
            found.len(),
            wanted.join(" ")
        ))),
    }
}

/// Holds every row against one of them.
fn tell_apart(rows: &mut [Row], base: usize, metrics: &[Head]) {
    let others: Vec<Option<At>> = rows[base].cells.iter().map(|cell| cell.last).collect();
    for (i, row) in rows.iter_mut().enumerate() {
        let gap = |(cell, other): (&Cell, &Option<At>)| Some(Difference::of(cell.last.as_ref()?, other.as_ref()?));
        row.differences = row.cells.iter().zip(&others).map(|pair| if i == base { None } else { gap(pair) }).collect();
    }
    for (m, head) in metrics.iter().enumerate() {
        let mut gaps: Vec<&mut Difference> = rows.iter_mut().filter_map(|row| row.differences[m].as_mut()).collect();
        let chances: Vec<f64> = gaps.iter().filter_map(|gap| gap.p).collect();
        let mut corrected = holm(&chances).into_iter();
        for gap in &mut gaps {
            let p = gap.p.and_then(|_| corrected.next());
            gap.conclude(p, head.direction);
        }
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
    let weights: BTreeSet<&String> = heads.iter().filter_map(|head| head.protocol.get(WEIGHTS)).collect();
    let differing = weights.into_iter().filter(|weights| weights.contains(", "));
    notes.extend(
        differing.map(|weights| format!("rows differ in the weights that answered, as their settings say: {weights}")),
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

/// A chance as people read it.
pub(super) fn short_p(p: f64) -> String {
    match p {
        p if p < 0.0001 => "< 0.0001".to_owned(),
        p if p < 0.01 => format!("{p:.4}"),
        p => format!("{p:.2}"),
    }
}

impl Row {
    fn setting(&self, key: &str) -> String {
        self.settings[key].as_str().unwrap_or("-").to_owned()
    }
}

impl Difference {
    /// In a line.
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

    /// Header and rows for people; long settings are cut to where they differ.
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

    /// For a reader, so wide at most: a block a metric, so that its lines stay short.
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

    /// The settings that are shown, long ones by their ends.
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

    /// The settings of each row, cut to where they differ.
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

    /// How a metric differs from that of one row.
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
                gap.map_or_else(|| "a side has no mean".to_owned(), |gap| gap.word.clone()),
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

    /// What the numbers are, and the notes.
    pub(super) fn foot(&self) -> Vec<String> {
        let mut lines = vec![
            "last: mean ± deviation over the seeds that are done @ step, with Student's interval of the mean"
                .to_owned(),
        ];
        if let Some(base) = self.against {
            let of = match self.rows.len() - 1 {
                1 => String::new(),
                n => format!(", for {n} rows (Holm)"),
            };
            let what = self.labels()[base].join(", ");
            lines.push(format!("differences: from {what}; Welch's interval, Hedges' g, p of Welch's test{of}"));
            lines.push("seeds: about how many a row would show a difference of this size, 4 times out of 5".to_owned());
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
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
        assert_eq!(comparison.notes, ["rows differ in the weights that answered, as their settings say: ema, raw"]);
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
        assert_eq!(comparison.notes, ["each row puts together runs that differ in optimizer.lr"]);
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
    fn rows_are_told_apart_with_how_many_seeds_would_do() {
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
            "no row is loss.adversarial=hnge, there are loss.adversarial=hinge, loss.adversarial=vanilla, \
             loss.adversarial=wasserstein"
        );
        assert_eq!(refused("hinge"), "`hinge` is not KEY=VALUE");
    }

    const WELCH: [f64; 2] = [0.38206996390419967, 2.013520488748588e-7];
}
