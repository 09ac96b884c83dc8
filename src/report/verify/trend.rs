//! Trends: whether a metric rises or falls with an axis, by its rank correlation within each seed.

use super::super::group::Configuration;
use super::super::stats::{Summary, rank_correlation};
use super::judge::{SeedVerdict, judge_count, needed, satisfied};
use super::tally::{Missing, Tally, Value, value};
use super::{Judgment, Part, Trend, Verdict};
use crate::base::digits::{short, short_interval};
use crate::experiment::Claim;
use crate::experiment::spec::ClaimOver;
use std::collections::BTreeSet;

/// What the configurations of a trend have in common.
#[derive(PartialEq)]
enum Common {
    /// The other axes of the grid, in words.
    Axes(String),
    /// All settings but the one that the trend is over, for configurations that no axis of that name distinguishes.
    Settings(toml::Table),
}

impl Common {
    fn of(configuration: &Configuration<'_>, axis: &str) -> Self {
        if configuration.point.iter().any(|(name, _)| *name == axis) {
            let rest = configuration.point.iter().filter(|(name, _)| *name != axis);
            let word = |(name, value): &(&str, &str)| format!("{} {value}", name.rsplit('.').next().unwrap_or(name));
            Self::Axes(rest.map(word).collect::<Vec<_>>().join(", "))
        } else {
            Self::Settings(without(configuration.settings, axis))
        }
    }

    /// A label among several trends. Whole tables are too long for one, so that these are numbered.
    fn label(self, index: usize) -> String {
        match self {
            Self::Axes(text) => text,
            Self::Settings(_) => format!("trend {}", index + 1),
        }
    }
}

/// One part per set of configurations that agree in everything but the axis of a trend.
pub(super) fn trends(claim: &Claim, all: &[Configuration<'_>], trend: Trend<'_>) -> Result<Vec<Part>, String> {
    let axis = trend.axis;
    let mut sets: Vec<(Common, Vec<(f64, &Configuration<'_>)>)> = Vec::new();
    for configuration in all {
        let value = configuration.value(axis).and_then(|text| text.parse::<f64>().ok());
        let Some(value) = value else { return Err(format!("`{axis}` is not a number in every cell")) };
        let common = Common::of(configuration, axis);
        match sets.iter_mut().find(|(have, _)| *have == common) {
            Some((_, members)) => members.push((value, configuration)),
            None => sets.push((common, vec![(value, configuration)])),
        }
    }
    let several = sets.len() > 1;
    let part = |(i, (common, members)): (usize, (Common, Vec<(f64, &Configuration<'_>)>))| {
        part(claim, if several { common.label(i) } else { String::new() }, &members, trend.sign)
    };
    Ok(sets.into_iter().enumerate().map(part).collect())
}

/// Settings without a dotted key.
fn without(settings: &toml::Table, key: &str) -> toml::Table {
    let mut settings = settings.clone();
    match key.split_once('.') {
        None => drop(settings.remove(key)),
        Some((first, rest)) => {
            if let Some(toml::Value::Table(inner)) = settings.get_mut(first) {
                *inner = without(inner, rest);
            }
        }
    }
    settings
}

/// The correlation of a seed, times the sign that is claimed.
fn correlation(members: &[(f64, &Configuration<'_>)], seed: u64, claim: &Claim, sign: f64) -> Value {
    let mut pairs = Vec::new();
    let (mut diverged, mut missing) = (false, None);
    for (at, configuration) in members {
        match configuration.runs.iter().find(|run| run.seed == Some(seed)).map(|run| value(run, claim)) {
            Some(Value::Known(value)) => pairs.push((*at, value)),
            Some(Value::Diverged) => diverged = true,
            Some(Value::Missing(why)) => missing = Some(why),
            None => missing = Some(Missing::NoRun),
        }
    }
    match (diverged, missing) {
        (true, _) => Value::Diverged,
        (false, Some(why)) => Value::Missing(why),
        (false, None) => Value::Known(sign * rank_correlation(&pairs)),
    }
}

/// Judges a trend by the correlation within each seed.
fn part(claim: &Claim, label: String, members: &[(f64, &Configuration<'_>)], sign: f64) -> Part {
    let mut values: Vec<f64> = members.iter().map(|(value, _)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let seeds: BTreeSet<u64> = members.iter().flat_map(|(_, c)| &c.runs).filter_map(|run| run.seed).collect();
    let mut tally = Tally::new(seeds.len());
    for seed in seeds {
        tally.add(seed, correlation(members, seed, claim, sign));
    }
    // A correlation above 0 supports the claim, whichever sign is claimed. Readers see the correlation itself.
    let outcome = |&(seed, rho): &(u64, f64)| {
        if rho > 0.0 {
            SeedVerdict::Satisfied
        } else {
            SeedVerdict::Violated(format!("seed {seed} has {}", short(sign * rho)))
        }
    };
    let outcomes: Vec<SeedVerdict> = (tally.known.iter().map(outcome))
        .chain(tally.diverged.iter().map(|&seed| SeedVerdict::diverged(seed)))
        .chain((0..tally.open()).map(|_| SeedVerdict::Open))
        .collect();
    let Judgment { verdict, reason, p } = match claim.over {
        _ if values.len() < 2 => {
            Judgment::new(Verdict::Undecided, "a trend needs runs at two or more values of the axis".to_owned())
        }
        ClaimOver::Mean => judge_mean(&tally, &claim.metric, sign),
        ClaimOver::Every | ClaimOver::Share(_) => {
            judge_count(&outcomes, &tally, needed(claim.over, tally.total), &claim.metric)
        }
    };
    let shown = |summary: Summary| Summary {
        mean: sign * summary.mean,
        interval: summary.interval.map(|interval| shown_interval(interval, sign)),
        ..summary
    };
    Part {
        configuration: label,
        number: tally.summary().map(shown),
        against: None,
        runs: tally.total,
        satisfied: satisfied(&outcomes),
        p,
        p_corrected: None,
        verdict,
        reason,
    }
}

/// The verdict on a mean correlation, which supports the claim above 0.
fn judge_mean(tally: &Tally, metric: &str, sign: f64) -> Judgment {
    let mean = match tally.mean(metric) {
        Ok(mean) => mean,
        Err(reason) => return Judgment::new(Verdict::Undecided, reason),
    };
    let claimed = if sign > 0.0 { "above" } else { "below" };
    match mean.interval {
        None => {
            let reason = format!("a single seed has no interval; its correlation is {}", short(sign * mean.mean));
            Judgment::new(Verdict::of(mean.mean > 0.0), reason)
        }
        Some([low, high]) => {
            let text = short_interval(shown_interval([low, high], sign));
            let (verdict, reason) = if low > 0.0 {
                (Verdict::Holds, format!("the whole interval {text} is {claimed} 0"))
            } else if high <= 0.0 {
                (Verdict::Fails, format!("no part of the interval {text} is {claimed} 0"))
            } else {
                (Verdict::Undecided, format!("the interval {text} contains 0"))
            };
            Judgment::by_interval(verdict, reason, [low, high], mean.p(0.0))
        }
    }
}

/// The interval of the correlation itself, limited to the range of a correlation.
fn shown_interval([low, high]: [f64; 2], sign: f64) -> [f64; 2] {
    let [low, high] = if sign > 0.0 { [low, high] } else { [-high, -low] };
    [low.max(-1.0), high.min(1.0)]
}
