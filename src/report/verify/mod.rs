//! Decides for each claim of an experiment whether the results support it.
//!
//! A claim is judged for every selected configuration separately (seeds are pooled, configurations never are) and holds if
//! it holds for each of them.
//!
//! - *Mean*: holds if the whole 95 % Student interval lies within the bounds, fails if all of it lies outside one, and is
//!   undecided otherwise. A single seed has no interval: its value decides, and the reason states that.
//! - *Every* and *share* count seeds. A diverged seed counts against the claim. A seed without a result may still count
//!   either way, so such a claim can be decided before all runs are done.
//! - A *diverged* seed leaves a mean undecided: it has no value, and a mean over the other seeds would be a mean over
//!   those that went well. Claim a share of the seeds instead.
//! - *Better than*: Welch's interval of the difference of means; counts compare seeds pairwise by equal seed. The baseline
//!   of a configuration is the one that agrees with it in everything that neither selection names. A value is better than
//!   none: a seed wins if the baseline diverged.
//! - *Rises with* and *falls with*: the rank correlation (Spearman's ρ) of the metric with the axis within each seed; the
//!   correlations are pooled over seeds and compared with 0. Configurations that agree in everything but the axis form a
//!   trend.
//! - A *failed* run has no result; it counts as not done. A run whose metric is undefined has none either, and the reason
//!   that was recorded with the measurement is repeated.
//! - *Several claims*: if an interval decides more than one verdict of an experiment, each must stay significant after
//!   Holm's correction for their number, and is undecided otherwise. Intervals are shown uncorrected. Counts of seeds are
//!   not tests and are not corrected.

mod judge;
mod subjects;
mod tally;
#[cfg(test)]
mod tests;
mod text;
mod trend;

pub use subjects::{Subject, VerifyError, subjects};
pub use text::labels;
pub(super) use text::{CORRECTION, part_text, requirement};

use super::FORMAT;
use super::compare::{SIGNIFICANT, short_p};
use super::load::Run;
use super::stats::{Summary, holm};
use crate::base::digits::short;
use crate::eval::Direction;
use crate::experiment::Claim;
use crate::experiment::spec::{ClaimAt, ClaimOver};
use crate::record::State;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Whether the results support a claim, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// They support it.
    Holds,
    /// They do not suffice.
    Undecided,
    /// They contradict it.
    Fails,
}

impl Verdict {
    /// In the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Holds, Self::Fails, Self::Undecided];

    /// The word for a reader: a claim *holds*.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Undecided => "undecided",
            Self::Fails => "fails",
        }
    }

    /// The word after a number: one claim *holds*, two *hold*.
    pub fn word_for(self, n: usize) -> &'static str {
        match (self, n) {
            (_, 1) | (Self::Undecided, _) => self.word(),
            (Self::Holds, _) => "hold",
            (Self::Fails, _) => "fail",
        }
    }

    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

/// A verdict with its reason, and the p-value if an interval decides.
struct Judgment {
    verdict: Verdict,
    reason: String,
    p: Option<f64>,
}

impl Judgment {
    /// One that no interval decides.
    fn new(verdict: Verdict, reason: String) -> Self {
        Self { verdict, reason, p: None }
    }

    /// One by the interval of a mean. A mean without any spread leaves no doubt, wherever the bound is.
    fn by_interval(verdict: Verdict, reason: String, [low, high]: [f64; 2], p: Option<f64>) -> Self {
        Self { verdict, reason, p: if low == high { Some(0.0) } else { p } }
    }
}

/// The verdict on a claim for one configuration, or for one trend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The settings that distinguish it from the other parts of the claim; empty if it is the only one.
    pub configuration: String,
    /// The values of the seeds that are done.
    pub number: Option<Summary>,
    /// The values of the baseline.
    pub against: Option<Summary>,
    /// How many runs there are.
    pub runs: usize,
    /// Seeds that satisfy the claim on their own.
    pub satisfied: usize,
    /// The p-value of the mean with respect to the bound; null if no interval decides.
    pub p: Option<f64>,
    /// The same, corrected for the number of tests in the experiment (Holm's method).
    pub p_corrected: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// What is compared with a claim's bounds.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// The values of a metric.
    Metric(String),
    /// The rank correlation of a metric with an axis.
    Correlation {
        /// The metric.
        metric: String,
        /// The axis of the grid, or a setting.
        axis: String,
    },
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(metric) => f.write_str(metric),
            Self::Correlation { metric, axis } => write!(f, "rank correlation of {metric} with {axis}"),
        }
    }
}

/// How a claim treats the seeds of a configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooling {
    /// The mean, every seed, or a share of them.
    pub over: ClaimOver,
    /// Which value of each run.
    pub at: ClaimAt,
    /// Whether the values are rank correlations.
    pub is_trend: bool,
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = match self.at {
            ClaimAt::Last => "last",
            ClaimAt::Best => "best",
        };
        match self.over {
            ClaimOver::Mean if self.is_trend => write!(f, "mean rank correlation of the {at} values"),
            ClaimOver::Mean => write!(f, "mean of the {at} values"),
            ClaimOver::Every => write!(f, "{at} value of every seed"),
            ClaimOver::Share(spec) => {
                write!(f, "{at} value of at least {} % of the seeds", short(spec.share * 100.0))
            }
        }
    }
}

/// A value as its text.
fn as_text<S: Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// The verdict on a claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The statement.
    pub says: String,
    /// The metric.
    pub metric: String,
    /// What is compared with the bounds, in words.
    #[serde(serialize_with = "as_text")]
    pub measure: Measure,
    /// The bounds, in words.
    pub asked: String,
    /// How seeds are pooled, in words.
    #[serde(serialize_with = "as_text")]
    pub over: Pooling,
    /// The worst verdict over all parts.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The paper's value.
    pub paper: Option<f64>,
    /// One per configuration, or per trend.
    pub parts: Vec<Part>,
}

impl Answer {
    /// Sets the verdict and reason over all parts.
    fn conclude(&mut self) {
        self.verdict = self.parts.iter().map(|p| p.verdict).max().unwrap_or(Verdict::Undecided);
        self.reason = reason(&self.parts, self.verdict);
    }

    /// How many parts have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.parts.iter().filter(|part| part.verdict == verdict).count()
    }
}

/// The reasons of the parts that have the verdict of the whole claim.
fn reason(parts: &[Part], verdict: Verdict) -> String {
    if let [only] = parts {
        return only.reason.clone();
    }
    if verdict == Verdict::Holds {
        return format!("holds for all {} configurations", parts.len());
    }
    let deciding: Vec<&Part> = parts.iter().filter(|p| p.verdict == verdict).collect();
    let named: Vec<String> = deciding.iter().take(3).map(|p| format!("{}: {}", p.configuration, p.reason)).collect();
    let more = if deciding.len() > 3 { format!("; and {} more", deciding.len() - 3) } else { String::new() };
    named.join("; ") + &more
}

/// The verdicts on all claims of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answers {
    /// The experiment's name.
    pub experiment: String,
    /// How many runs the experiment has.
    pub runs: usize,
    /// How many of them are done.
    pub done: usize,
    /// The total training time; each run of a pack counts its share of the pack's time.
    pub seconds: f64,
    /// One per claim.
    pub claims: Vec<Answer>,
    /// How many verdicts an interval decides: the number of tests that they are corrected for.
    pub tests: usize,
    /// What could not be read.
    pub notes: Vec<String>,
    /// Whether any run has started.
    #[serde(skip)]
    started: bool,
}

impl Answers {
    fn of(subject: &Subject) -> Self {
        let mut claims: Vec<Answer> = subject.claims.iter().map(|claim| answer(claim, &subject.runs)).collect();
        let facts = || subject.runs.iter().filter_map(|run| run.facts.as_ref());
        Self {
            experiment: subject.experiment.clone(),
            runs: subject.runs.len(),
            done: subject.runs.iter().filter(|run| run.state == Some(State::Done)).count(),
            seconds: facts().map(|facts| facts.seconds / facts.pack_size.unwrap_or(1) as f64).sum(),
            tests: correct(&mut claims),
            claims,
            notes: subject.notes.iter().chain(subject.runs.iter().flat_map(|r| &r.faults)).cloned().collect(),
            started: any_started(&subject.runs),
        }
    }
}

fn any_started(runs: &[Run]) -> bool {
    runs.iter().any(|run| run.state != Some(State::Queued))
}

/// The verdicts on the claims of some experiments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// The version of this format.
    pub version: u32,
    /// How p-values are corrected for the number of tests in an experiment.
    pub correction: &'static str,
    /// One per experiment.
    pub experiments: Vec<Answers>,
    /// What was skipped.
    pub notes: Vec<String>,
}

impl Verification {
    /// Whether every claim holds.
    pub fn all_hold(&self) -> bool {
        self.experiments.iter().flat_map(|e| &e.claims).all(|c| c.verdict == Verdict::Holds)
    }

    /// For programs.
    pub fn json(&self) -> String {
        super::json(self)
    }
}

/// Judges the claims of some experiments.
pub fn verify(subjects: &[Subject]) -> Verification {
    let experiments = subjects.iter().map(Answers::of).collect();
    Verification { version: FORMAT, correction: "holm", experiments, notes: Vec::new() }
}

/// Corrects the verdicts that an interval decides for their number, and returns that number.
fn correct(claims: &mut [Answer]) -> usize {
    let chances: Vec<f64> = claims.iter().flat_map(|claim| &claim.parts).filter_map(|part| part.p).collect();
    let tests = chances.len();
    let mut corrected = holm(&chances).into_iter();
    for claim in claims {
        for part in claim.parts.iter_mut().filter(|part| part.p.is_some()) {
            part.p_corrected = corrected.next();
            let (Some(raw), Some(p)) = (part.p, part.p_corrected) else { continue };
            if tests > 1 && part.verdict != Verdict::Undecided && p > SIGNIFICANT {
                part.reason = format!(
                    "{}, but this is not significant after Holm's correction for {tests} tests (p = {}, corrected {})",
                    part.reason,
                    short_p(raw),
                    short_p(p)
                );
                part.verdict = Verdict::Undecided;
            }
        }
        if !claim.parts.is_empty() {
            claim.conclude();
        }
    }
    tests
}

/// Which cells: dotted keys with their values.
type Selection = BTreeMap<String, serde_json::Value>;

/// The axis of a claimed trend, and the sign of the correlation that is claimed.
#[derive(Clone, Copy)]
struct Trend<'a> {
    axis: &'a str,
    sign: f64,
}

impl<'a> Trend<'a> {
    fn of(claim: &'a Claim) -> Option<Self> {
        let rises = claim.rises_with.as_deref().map(|axis| Self { axis, sign: 1.0 });
        rises.or(claim.falls_with.as_deref().map(|axis| Self { axis, sign: -1.0 }))
    }
}

fn answer(claim: &Claim, runs: &[Run]) -> Answer {
    let trend = Trend::of(claim);
    let metric = claim.metric.clone();
    let mut answer = Answer {
        says: claim.says.clone(),
        metric: claim.metric.clone(),
        measure: match trend {
            Some(trend) => Measure::Correlation { metric, axis: trend.axis.to_owned() },
            None => Measure::Metric(metric),
        },
        asked: text::asked(claim),
        over: Pooling { over: claim.over, at: claim.at, is_trend: trend.is_some() },
        verdict: Verdict::Undecided,
        reason: String::new(),
        paper: claim.paper,
        parts: Vec::new(),
    };
    match judge::parts(claim, runs) {
        Err(reason) => answer.reason = reason,
        Ok(parts) => {
            answer.parts = parts;
            answer.conclude();
        }
    }
    answer
}

/// The value that is compared with a baseline: the metric itself, or its distance from the target.
fn distance(direction: Direction, value: f64) -> f64 {
    match direction {
        Direction::Target(target) => (value - target).abs(),
        Direction::Lower | Direction::Higher | Direction::Neither => value,
    }
}
