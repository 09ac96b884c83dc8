//! Verdicts by means and by counts of seeds.

use super::super::group::{Configuration, configurations, protocol};
use super::super::load::{Run, varying};
use super::super::stats::{Summary, difference};
use super::tally::Tally;
use super::text::{labels, selection_text};
use super::trend::trends;
use super::{Judgment, Part, Selection, Trend, Verdict, any_started, distance};
use crate::base::digits::{short, short_interval};
use crate::eval::{Direction, direction};
use crate::experiment::Claim;
use crate::experiment::spec::{BetterThan, ClaimAt, ClaimOver};
use std::collections::BTreeSet;

fn select<'a>(runs: &'a [Run], selection: &Selection) -> Vec<&'a Run> {
    let selected = |run: &&Run| selection.iter().all(|(key, wanted)| run.is(key, wanted));
    runs.iter().filter(selected).collect()
}

/// The verdicts on a claim, one per configuration or trend.
///
/// # Errors
/// Why no part of the claim can be judged.
pub(super) fn parts(claim: &Claim, runs: &[Run]) -> Result<Vec<Part>, String> {
    if !any_started(runs) {
        return Err("no run has started".to_owned());
    }
    let trend = Trend::of(claim);
    let bounds = [claim.at_least, claim.at_most];
    if bounds == [None, None] && claim.better_than.is_none() && trend.is_none() {
        return Err("the claim has no bound".to_owned());
    }
    let selected = select(runs, &claim.select);
    if selected.is_empty() {
        return Err(format!("no run has {}", selection_text(&claim.select)));
    }
    let others = claim.better_than.as_ref().map(|other| select(runs, &other.select)).unwrap_or_default();
    protocol(&claim.metric, selected.iter().chain(&others).copied())?;
    if direction(&claim.metric) == Direction::Neither && (claim.better_than.is_some() || claim.at == ClaimAt::Best) {
        return Err(format!("`{}` has no better direction: neither lower nor higher values are better", claim.metric));
    }
    let others = configurations(others);
    let configurations = configurations(selected);
    if let Some(trend) = trend {
        return trends(claim, &configurations, trend);
    }
    let labels = labels(&configurations);
    let part = |(configuration, label): (&Configuration<'_>, String)| {
        let against = claim.better_than.as_ref().map(|b| (b, baseline(configuration, &others, claim, b)));
        judge(claim, configuration, label, against)
    };
    Ok(configurations.iter().zip(labels).map(part).collect())
}

/// The configuration that another one is compared with.
fn baseline<'a, 'b>(
    of: &Configuration<'_>,
    others: &'b [Configuration<'a>],
    claim: &Claim,
    better_than: &BetterThan,
) -> Result<&'b Configuration<'a>, String> {
    let named: BTreeSet<&String> = claim.select.keys().chain(better_than.select.keys()).collect();
    let is_named = |key: &str| {
        named.iter().any(|n| {
            let (n, key) = (format!("{n}."), format!("{key}."));
            key.starts_with(&n) || n.starts_with(&key)
        })
    };
    // By the axes of the grid, or by the settings if the selections name settings that are not axes.
    let agrees = |other: &&Configuration<'_>| {
        let axes = of.point.iter().chain(&other.point);
        let mut others = axes.filter(|(axis, _)| !is_named(axis)).peekable();
        let on_axes = others.peek().is_some() && others.all(|(axis, _)| of.value(axis) == other.value(axis));
        on_axes || varying(&[of.settings, other.settings]).iter().all(|setting| is_named(&setting.key))
    };
    let text = selection_text(&better_than.select);
    match others {
        [] => Err(format!("no run has {text}")),
        // A single candidate is the baseline, whatever else differs.
        [only] => Ok(only),
        several => {
            let mut agreeing = several.iter().filter(agrees);
            match (agreeing.next(), agreeing.next()) {
                (Some(one), None) => Ok(one),
                (None, _) => Err(format!("no run with {text} agrees in all other settings")),
                (Some(_), Some(_)) => Err(format!("several configurations with {text} agree in all other settings")),
            }
        }
    }
}

/// The baseline of a configuration, or why there is none.
type Baseline<'a, 'b> = (&'b BetterThan, Result<&'b Configuration<'a>, String>);

fn judge(claim: &Claim, configuration: &Configuration<'_>, label: String, against: Option<Baseline<'_, '_>>) -> Part {
    let tally = Tally::of(configuration, claim);
    let other = match &against {
        Some((better_than, Ok(other))) => Some((*better_than, Tally::of(other, claim))),
        Some((_, Err(_))) | None => None,
    };
    let outcomes = seed_verdicts(claim, &tally, other.as_ref());
    let Judgment { verdict, reason, p } = match (&against, claim.over) {
        (Some((_, Err(reason))), _) => Judgment::new(Verdict::Undecided, reason.clone()),
        (_, ClaimOver::Mean) => judge_mean(claim, &tally, other.as_ref()),
        (_, ClaimOver::Every | ClaimOver::Share(_)) => {
            judge_count(&outcomes, &tally, needed(claim.over, tally.total), &claim.metric)
        }
    };
    Part {
        configuration: label,
        number: tally.summary(),
        against: other.and_then(|(_, tally)| tally.summary()),
        runs: tally.total,
        satisfied: satisfied(&outcomes),
        p,
        p_corrected: None,
        verdict,
        reason,
    }
}

/// The verdict by means: the worst over the claim's bounds.
fn judge_mean(claim: &Claim, tally: &Tally, other: Option<&(&BetterThan, Tally)>) -> Judgment {
    let mean = match tally.mean(&claim.metric) {
        Ok(mean) => mean,
        Err(reason) => return Judgment::new(Verdict::Undecided, reason),
    };
    let mut all: Vec<Judgment> = Vec::new();
    for (bound, sign) in [(claim.at_most, 1.0), (claim.at_least, -1.0)] {
        let Some(bound) = bound else { continue };
        all.push(match mean.interval {
            None => Judgment::new(
                Verdict::of(sign * mean.mean <= sign * bound),
                format!("a single seed has no interval; its value is {}", short(mean.mean)),
            ),
            Some([low, high]) => {
                // Mirrored for a lower bound, so that above the bound is always wrong.
                let (best, worst) = if sign > 0.0 { (low, high) } else { (-high, -low) };
                let text = short_interval([low, high]);
                let (within, beyond) = if sign > 0.0 { ("at most", "above") } else { ("at least", "below") };
                let (verdict, reason) = if worst <= sign * bound {
                    (Verdict::Holds, format!("the whole interval {text} is {within} {}", short(bound)))
                } else if best > sign * bound {
                    (Verdict::Fails, format!("the whole interval {text} is {beyond} {}", short(bound)))
                } else {
                    (Verdict::Undecided, format!("the interval {text} contains {}", short(bound)))
                };
                Judgment::by_interval(verdict, reason, [low, high], mean.p(bound))
            }
        });
    }
    if let Some((better_than, other)) = other {
        let direction = direction(&claim.metric);
        let mean_of = |tally: &Tally| tally.distances(direction).mean(&claim.metric);
        all.push(match mean_of(tally).and_then(|mean| Ok((mean, mean_of(other)?))) {
            Err(reason) => Judgment::new(Verdict::Undecided, format!("in the baseline, {reason}")),
            Ok((mean, other)) => judge_difference(&mean, &other, direction == Direction::Higher, better_than.by),
        });
    }
    let verdict = all.iter().map(|one| one.verdict).max().unwrap_or(Verdict::Undecided);
    let p = all.iter().filter_map(|one| one.p).reduce(f64::max);
    let reasons: Vec<String> = all.into_iter().filter(|one| one.verdict == verdict).map(|one| one.reason).collect();
    Judgment { verdict, reason: reasons.join(", and "), p }
}

/// Whether a mean is better than a baseline by a factor. The gain is positive if it is.
fn judge_difference(mean: &Summary, other: &Summary, higher: bool, by: f64) -> Judgment {
    // Lower is better: by · mean < other, so that the gain is other − by · mean. Higher: mean − by · other.
    let factor = if by == 1.0 { String::new() } else { format!("{} × ", short(by)) };
    let (gain, what) = if higher {
        (difference(mean, other, by), format!("this − {factor}baseline"))
    } else {
        (difference(other, mean, by), format!("baseline − {factor}this"))
    };
    match gain.doubt {
        None => Judgment::new(
            Verdict::of(gain.mean > 0.0),
            format!("a single seed on one side has no interval; {what} is {}", short(gain.mean)),
        ),
        Some(([low, high], p)) => {
            let text = short_interval([low, high]);
            let (verdict, reason) = if low > 0.0 {
                (Verdict::Holds, format!("the whole interval {text} of {what} is above 0"))
            } else if high <= 0.0 {
                (Verdict::Fails, format!("no part of the interval {text} of {what} is above 0"))
            } else {
                (Verdict::Undecided, format!("the interval {text} of {what} contains 0"))
            };
            Judgment::by_interval(verdict, reason, [low, high], Some(p))
        }
    }
}

/// Whether a seed satisfies a claim on its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SeedVerdict {
    Satisfied,
    /// With the reason.
    Violated(String),
    Open,
}

impl SeedVerdict {
    pub(super) fn diverged(seed: u64) -> Self {
        Self::Violated(format!("seed {seed} diverged"))
    }
}

/// How many seeds satisfy a claim.
pub(super) fn satisfied(outcomes: &[SeedVerdict]) -> usize {
    outcomes.iter().filter(|o| **o == SeedVerdict::Satisfied).count()
}

/// How many seeds have to satisfy a claim.
pub(super) fn needed(over: ClaimOver, total: usize) -> usize {
    match over {
        // A share of 0.8 means 8 of 10 seeds, whatever 0.8 is in binary.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of runs")]
        ClaimOver::Share(spec) => (spec.share * total as f64 - 1e-9).ceil().max(0.0) as usize,
        ClaimOver::Mean | ClaimOver::Every => total,
    }
}

fn seed_verdicts(claim: &Claim, tally: &Tally, other: Option<&(&BetterThan, Tally)>) -> Vec<SeedVerdict> {
    let mut all = vec![SeedVerdict::Open; tally.open()];
    all.extend(tally.diverged.iter().map(|&seed| SeedVerdict::diverged(seed)));
    for &(seed, value) in &tally.known {
        // Comparisons with NaN are false, so that it satisfies nothing.
        let within =
            claim.at_most.is_none_or(|bound| value <= bound) && claim.at_least.is_none_or(|bound| value >= bound);
        let mut outcome = if within {
            SeedVerdict::Satisfied
        } else {
            SeedVerdict::Violated(format!("seed {seed} has {}", distinct_from(value, [claim.at_most, claim.at_least])))
        };
        if let (SeedVerdict::Satisfied, Some((better_than, other))) = (&outcome, other) {
            let rival = other.known.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v);
            outcome = match rival {
                None if other.diverged.contains(&seed) => SeedVerdict::Satisfied,
                None => SeedVerdict::Open,
                Some(rival) if beats(direction(&claim.metric), value, rival, better_than.by) => SeedVerdict::Satisfied,
                Some(rival) => {
                    SeedVerdict::Violated(format!("seed {seed} has {} against {}", short(value), short(rival)))
                }
            };
        }
        all.push(outcome);
    }
    all
}

/// A value in few digits, or in full if it would read like a bound that it misses.
fn distinct_from(value: f64, bounds: [Option<f64>; 2]) -> String {
    let same = bounds.into_iter().flatten().any(|bound| short(bound) == short(value));
    if same { value.to_string() } else { short(value) }
}

/// Whether a value is better than another by a factor.
fn beats(direction: Direction, value: f64, rival: f64, by: f64) -> bool {
    let (value, rival) = (distance(direction, value), distance(direction, rival));
    if direction == Direction::Higher { value > by * rival } else { by * value < rival }
}

/// The verdict by counts: whether `needed` seeds satisfy the claim.
pub(super) fn judge_count(outcomes: &[SeedVerdict], tally: &Tally, needed: usize, metric: &str) -> Judgment {
    let satisfied = satisfied(outcomes);
    let open = outcomes.iter().filter(|o| **o == SeedVerdict::Open).count();
    let violated: Vec<&str> = outcomes
        .iter()
        .filter_map(|o| match o {
            SeedVerdict::Violated(why) => Some(why.as_str()),
            SeedVerdict::Satisfied | SeedVerdict::Open => None,
        })
        .collect();
    let are = if needed == 1 { "is" } else { "are" };
    let count = format!("{satisfied} of {} seeds satisfy the claim, {needed} {are} needed", tally.total);
    let (verdict, reason) = if satisfied >= needed {
        (Verdict::Holds, count)
    } else if satisfied + open < needed {
        let more = if violated.len() > 4 { format!(" and {} more", violated.len() - 4) } else { String::new() };
        (Verdict::Fails, format!("{count}: {}{more}", violated[..violated.len().min(4)].join(", ")))
    } else if tally.open() > 0 {
        (Verdict::Undecided, format!("{count}; {}", tally.open_text(metric)))
    } else {
        (Verdict::Undecided, format!("{count}; {open} have no finished run of the same seed in the baseline"))
    };
    Judgment::new(verdict, reason)
}
