//! The value of each run for a claim, or the reason why it has none.

use super::super::group::{Configuration, did_you_mean, metric_names};
use super::super::load::{Run, state_word};
use super::super::stats::Summary;
use super::distance;
use crate::eval::Direction;
use crate::experiment::Claim;
use crate::experiment::spec::ClaimAt;
use crate::record::State;
use std::collections::BTreeMap;

/// The value of a run for a claim.
pub(super) enum Value {
    Known(f64),
    Diverged,
    Missing(Missing),
}

/// Why a run, or a seed of a trend, has no value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missing {
    /// The run is not done, or its state cannot be read.
    NotDone(Option<State>),
    /// A file of the run cannot be read.
    Unreadable,
    /// The run does not measure the metric; with a suggestion.
    Unmeasured(String),
    /// The metric was measured and is undefined; with the reason that was recorded.
    Undefined(Option<String>),
    /// The seed of a trend has no run at some value of the axis.
    NoRun,
}

impl Missing {
    /// The reason in a sentence about `n` of `total` runs; `None` for runs that are not done, which have one in common.
    fn text(&self, metric: &str, n: usize, total: usize) -> Option<String> {
        let (have, do_not) = if n == 1 { ("has", "does not") } else { ("have", "do not") };
        Some(match self {
            Self::NotDone(_) => return None,
            Self::Unreadable => format!("{n} of {total} runs {have} files that cannot be read"),
            Self::Unmeasured(hint) => format!("{n} of {total} runs {do_not} measure `{metric}`{hint}"),
            Self::Undefined(reason) => {
                let reason = reason.as_deref().unwrap_or("eval.csv gives no reason");
                format!("`{metric}` is undefined in {n} of {total} runs ({reason})")
            }
            Self::NoRun => format!("{n} of {total} seeds {have} no run at some value of the axis"),
        })
    }
}

/// The value of a run for a claim.
pub(super) fn value(run: &Run, claim: &Claim) -> Value {
    match run.state {
        Some(State::Diverged) => return Value::Diverged,
        Some(State::Done) => {}
        state => return Value::Missing(Missing::NotDone(state)),
    }
    let found = match claim.at {
        ClaimAt::Best => run.best(&claim.metric),
        ClaimAt::Last => run.last(&claim.metric),
    };
    match found {
        Some((_, value)) => Value::Known(value),
        None if !run.faults.is_empty() => Value::Missing(Missing::Unreadable),
        None => Value::Missing(match run.evals.get(&claim.metric) {
            Some(readings) => Missing::Undefined(readings.last().and_then(|reading| reading.undefined.clone())),
            None => {
                let known = metric_names([run]);
                let names = known.iter().map(String::as_str).chain(run.scalars.keys().map(String::as_str));
                Missing::Unmeasured(did_you_mean(&claim.metric, names))
            }
        }),
    }
}

/// The seeds of a configuration or trend by their values.
pub(super) struct Tally {
    pub(super) known: Vec<(u64, f64)>,
    pub(super) diverged: Vec<u64>,
    pub(super) missing: BTreeMap<Missing, usize>,
    pub(super) total: usize,
}

impl Tally {
    pub(super) fn new(total: usize) -> Self {
        Self { known: Vec::new(), diverged: Vec::new(), missing: BTreeMap::new(), total }
    }

    pub(super) fn of(configuration: &Configuration<'_>, claim: &Claim) -> Self {
        let mut tally = Self::new(configuration.runs.len());
        for run in &configuration.runs {
            tally.add(run.seed.unwrap_or(0), value(run, claim));
        }
        tally
    }

    pub(super) fn add(&mut self, seed: u64, value: Value) {
        match value {
            Value::Known(value) => self.known.push((seed, value)),
            Value::Diverged => self.diverged.push(seed),
            Value::Missing(why) => *self.missing.entry(why).or_default() += 1,
        }
    }

    pub(super) fn summary(&self) -> Option<Summary> {
        Summary::of(&self.known.iter().map(|(_, v)| *v).collect::<Vec<_>>())
    }

    /// The same seeds by the values that are compared with a baseline.
    pub(super) fn distances(&self, direction: Direction) -> Self {
        let known = self.known.iter().map(|&(seed, value)| (seed, distance(direction, value))).collect();
        Self { known, diverged: self.diverged.clone(), missing: self.missing.clone(), total: self.total }
    }

    /// How many seeds have no value yet, or none at all.
    pub(super) fn open(&self) -> usize {
        self.missing.values().sum()
    }

    /// Why seeds have no value.
    pub(super) fn open_text(&self, metric: &str) -> String {
        let not_done = |(why, n): (&Missing, &usize)| match why {
            Missing::NotDone(state) => Some((*n, format!("{n} {}", state_word(*state)))),
            Missing::Unreadable | Missing::Unmeasured(_) | Missing::Undefined(_) | Missing::NoRun => None,
        };
        let (counts, states): (Vec<usize>, Vec<String>) = self.missing.iter().filter_map(not_done).unzip();
        let not_done = (!counts.is_empty()).then(|| {
            let n: usize = counts.iter().sum();
            let are = if n == 1 { "is" } else { "are" };
            format!("{n} of {} runs {are} not done ({})", self.total, states.join(", "))
        });
        let others = self.missing.iter().filter_map(|(why, n)| why.text(metric, *n, self.total));
        not_done.into_iter().chain(others).collect::<Vec<_>>().join("; ")
    }

    /// The mean over all seeds.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn mean(&self, metric: &str) -> Result<Summary, String> {
        if !self.diverged.is_empty() {
            let n = self.diverged.len();
            return Err(format!("{n} of {} runs diverged, so there is no mean over all seeds", self.total));
        }
        if self.open() > 0 {
            return Err(self.open_text(metric));
        }
        self.summary().ok_or_else(|| "a value is not finite".to_owned())
    }
}
