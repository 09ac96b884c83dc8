//! How the rows of a comparison differ from one of them.

use super::super::stats::{difference, enough, hedges_g, holm};
use super::{At, Cell, CompareError, Group, Head, Row};
use crate::eval::Direction;
use serde::Serialize;

/// How the last numbers of a row differ from those of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// This row's mean less the other's.
    pub mean: f64,
    /// Its 95 % interval (Welch's); null if a side is a single number.
    pub interval: Option<[f64; 2]>,
    /// Hedges' g; null if a side is a single number or nothing varies.
    pub hedges_g: Option<f64>,
    /// The p-value of Welch's test.
    pub p: Option<f64>,
    /// The same, corrected for the number of rows (Holm's method).
    pub p_corrected: Option<f64>,
    /// Whether the difference is significant: `p_corrected` is at most 0.05.
    pub told_apart: bool,
    /// About how many seeds per row show a difference of this size with a power of 80 %.
    pub seeds_needed: Option<usize>,
    /// In a word or two: better, worse, higher, lower, equal, not significant, or that a side has one seed.
    pub word: String,
    /// In words, with the number of seeds needed.
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
        let seeds = self.seeds_needed.map(|n| match n {
            n if n > MOST_SEEDS => format!("more than {MOST_SEEDS} seeds per row"),
            n => format!("about {n} seeds per row"),
        });
        self.word = match (p_corrected, self.told_apart) {
            (None, _) => "one seed on one side",
            (_, true) => better_word(direction, self.mean > 0.0),
            _ if self.mean == 0.0 => "equal",
            _ => "not significant",
        }
        .to_owned();
        self.verdict = match (self.told_apart, seeds) {
            (true, Some(seeds)) => format!("{}: {seeds} suffice", self.word),
            (false, Some(seeds)) => format!("{}: {seeds} needed", self.word),
            (_, None) => self.word.clone(),
        };
    }
}

/// The significance level.
pub(in super::super) const SIGNIFICANT: f64 = 0.05;
/// Larger numbers of seeds are not written out.
const MOST_SEEDS: usize = 10_000;

/// The word for a mean that is above another, or below it.
pub(in super::super) fn better_word(direction: Direction, above: bool) -> &'static str {
    match (direction, above) {
        (Direction::Lower, false) | (Direction::Higher, true) => "better",
        (Direction::Lower, true) | (Direction::Higher, false) => "worse",
        (Direction::Target(_) | Direction::Neither, true) => "higher",
        (Direction::Target(_) | Direction::Neither, false) => "lower",
    }
}

/// The index of the row that the others are compared with.
pub(super) fn against(groups: &[Group<'_>], wanted: &[String]) -> Result<Option<usize>, CompareError> {
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
            let known = if known.is_empty() { String::new() } else { format!("; the rows are {}", known.join(", ")) };
            Err(CompareError::Against(format!("no row is {}{known}", wanted.join(" "))))
        }
        _ => Err(CompareError::Against(format!(
            "{} rows are {}: select one of them by more settings, or group rows with --by",
            found.len(),
            wanted.join(" ")
        ))),
    }
}

/// Compares every row with one of them.
pub(super) fn compare_rows(rows: &mut [Row], base: usize, metrics: &[Head]) {
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

/// A p-value for readers.
pub(in super::super) fn short_p(p: f64) -> String {
    match p {
        p if p < 0.0001 => "< 0.0001".to_owned(),
        p if p < 0.01 => format!("{p:.4}"),
        p => format!("{p:.2}"),
    }
}
