//! Groups of runs: configurations (equal in everything but the seed), their counts by state, and the rule that values of
//! different protocols are never pooled.

use super::load::{Run, Varying, lookup, state_word, text, varying};
use crate::base::nearest;
use crate::record::State;
use std::collections::{BTreeMap, BTreeSet};

/// Runs that differ only in their seed.
#[derive(Clone, Debug)]
pub struct Configuration<'a> {
    /// Their settings.
    pub settings: &'a toml::Table,
    /// Their point in the grid: axes with their values or labels as written.
    pub point: Vec<(&'a str, &'a str)>,
    /// The runs, by seed.
    pub runs: Vec<&'a Run>,
}

impl Configuration<'_> {
    /// The value of an axis of the grid, or of a setting, as text.
    pub fn value(&self, key: &str) -> Option<String> {
        let axis = self.point.iter().find(|(axis, _)| *axis == key).map(|(_, value)| (*value).to_owned());
        axis.or_else(|| lookup(self.settings, key).map(text))
    }
}

/// The configurations of some runs, in the order of the grid's numeric axes, else of first appearance. Runs whose
/// configuration could not be read are left out.
pub fn configurations<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<Configuration<'a>> {
    let mut all: Vec<Configuration<'a>> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    for run in runs.into_iter().filter(|r| !r.settings.is_empty()) {
        let index = *at.entry(run.settings.to_string()).or_insert_with(|| {
            all.push(Configuration { settings: &run.settings, point: run.point(), runs: Vec::new() });
            all.len() - 1
        });
        all[index].runs.push(run);
    }
    for configuration in &mut all {
        configuration.runs.sort_by_key(|r| r.seed);
    }
    in_order(&mut all);
    all
}

/// Sorts configurations along the axes of their grid: numbers by size, others by first appearance. Folders are listed by
/// name, which puts 1e-3 before 1e-4.
fn in_order(all: &mut [Configuration<'_>]) {
    let mut ranks: BTreeMap<(String, String), f64> = BTreeMap::new();
    for configuration in all.iter() {
        let experiment = ("experiment", configuration.runs[0].experiment.as_str());
        for (axis, value) in [experiment].into_iter().chain(configuration.point.iter().copied()) {
            let next = ranks.len() as f64;
            ranks.entry((axis.to_owned(), value.to_owned())).or_insert(next);
        }
    }
    let words: BTreeSet<&str> =
        ranks.keys().filter(|(_, value)| value.parse::<f64>().is_err()).map(|(axis, _)| axis.as_str()).collect();
    let coordinates = |configuration: &Configuration<'_>| -> Vec<f64> {
        let rank = |axis: &str, value: &str| ranks[&(axis.to_owned(), value.to_owned())];
        let along = |&(axis, value): &(&str, &str)| {
            if words.contains(axis) { rank(axis, value) } else { value.parse().unwrap_or_default() }
        };
        let experiment = rank("experiment", &configuration.runs[0].experiment);
        [experiment].into_iter().chain(configuration.point.iter().map(along)).collect()
    };
    all.sort_by_cached_key(|configuration| Coordinates(coordinates(configuration)));
}

/// Positions along axes, in lexicographic order.
struct Coordinates(Vec<f64>);

impl PartialEq for Coordinates {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Coordinates {}

impl PartialOrd for Coordinates {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Coordinates {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(self.0.len().cmp(&other.0.len()))
    }
}

/// Experiments that differ in more settings are distinguished by their names.
const MOST_SETTINGS: usize = 6;

/// What differs between configurations: the axes of their grid, and the settings that differ within one point of it.
/// Configurations of several experiments are distinguished by the settings that differ if these are few, else by the
/// experiment's name and its axes.
pub fn differences(configurations: &[Configuration<'_>]) -> Vec<Varying> {
    let experiment = |c: &Configuration<'_>| c.runs[0].experiment.clone();
    let one_grid = configurations.iter().all(|c| experiment(c) == experiment(&configurations[0]));
    if !one_grid {
        let settings = varying(&configurations.iter().map(|c| c.settings).collect::<Vec<_>>());
        if settings.len() <= MOST_SETTINGS {
            return settings;
        }
    }
    let mut keys = if one_grid { vec![] } else { vec!["name".to_owned()] };
    let mut points: BTreeMap<_, Vec<&toml::Table>> = BTreeMap::new();
    for c in configurations {
        keys.extend(c.point.iter().map(|(axis, _)| (*axis).to_owned()));
        points.entry((experiment(c), &c.point)).or_default().push(c.settings);
    }
    keys.extend(points.values().flat_map(|alike| varying(alike)).map(|v| v.key));
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys.into_iter()
        .map(|key| Varying { values: configurations.iter().map(|c| c.value(&key)).collect(), key })
        .filter(|v| v.values.windows(2).any(|pair| pair[0] != pair[1]))
        .collect()
}

/// The last part of each key, with the part that distinguishes it from others with the same end: `steps`, `generator lr`.
pub fn short_names(keys: &[&str]) -> Vec<String> {
    let name = |&key: &&str| {
        let parts: Vec<&str> = key.split('.').collect();
        let last = parts[parts.len() - 1];
        let alike = keys.iter().filter(|other| **other != key && other.rsplit('.').next() == Some(last));
        let apart = alike.map(|other| parts.iter().zip(other.split('.')).take_while(|(a, b)| *a == b).count()).min();
        match apart {
            None => last.to_owned(),
            Some(i) if i + 1 < parts.len() => format!("{} {last}", parts[i]),
            Some(_) => key.to_owned(),
        }
    };
    let names: Vec<String> = keys.iter().map(name).collect();
    let once = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    keys.iter().zip(&names).map(|(key, name)| if once(name) { name.clone() } else { (*key).to_owned() }).collect()
}

/// How many runs there are in each state.
pub fn count(runs: &[&Run]) -> BTreeMap<Option<State>, usize> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(run.state).or_default() += 1;
    }
    counts
}

/// Counts for a reader: `16 done`, `14 done, 2 diverged`.
pub fn count_text(counts: &BTreeMap<Option<State>, usize>) -> String {
    counts.iter().map(|(state, n)| format!("{n} {}", state_word(*state))).collect::<Vec<_>>().join(", ")
}

/// The names of all metrics of `eval.csv` among some runs.
pub fn metric_names<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<String> {
    runs.into_iter().flat_map(|r| r.evals.keys()).collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// The protocol of a metric in all of these runs: columns with their values. Only the column of weights may have several:
/// averaged weights are a setting like others, so they may differ between configurations.
///
/// # Errors
/// Why the values cannot be pooled: the columns that differ, with their values.
pub fn protocol<'a>(
    metric: &str,
    runs: impl IntoIterator<Item = &'a Run>,
) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    // A reading without a value is not pooled with others; its protocol has the reason.
    let numbers = |run: &'a Run| {
        let readings = run.evals.get(metric).into_iter().flatten();
        readings.filter(|r| r.value.is_some_and(|v| !v.is_nan())).map(move |r| (run, &r.protocol))
    };
    let protocols: Vec<(&Run, &BTreeMap<String, String>)> = runs.into_iter().flat_map(numbers).collect();
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (column, value) in protocols.iter().flat_map(|(_, p)| p.iter()) {
        values.entry(column).or_default().insert(value);
    }
    for (column, seen) in &mut values {
        // A column that only some rows have differs too.
        if protocols.iter().any(|(_, p)| !p.contains_key(*column)) {
            seen.insert("nothing");
        }
    }
    let list = |seen: &BTreeSet<&str>| seen.iter().copied().collect::<Vec<_>>().join(", ");
    let differing: Vec<String> = values
        .iter()
        .filter(|(column, seen)| seen.len() > 1 && !(**column == WEIGHTS && is_set(WEIGHTS, &protocols)))
        .map(|(column, seen)| format!("{column} ({})", list(seen)))
        .collect();
    if differing.is_empty() {
        let owned = |seen: BTreeSet<&str>| seen.into_iter().map(str::to_owned).collect();
        Ok(values.into_iter().map(|(column, seen)| (column.to_owned(), owned(seen))).collect())
    } else {
        Err(format!(
            "`{metric}` was measured under different protocols, so its values cannot be pooled; these differ: {}",
            differing.join(", ")
        ))
    }
}

/// The column of a protocol with the weights of the model.
pub const WEIGHTS: &str = "weights";

/// Whether a column is the same in all runs of each configuration.
fn is_set(column: &str, protocols: &[(&Run, &BTreeMap<String, String>)]) -> bool {
    let mut known: BTreeMap<String, Option<&String>> = BTreeMap::new();
    protocols.iter().all(|(run, protocol)| {
        let value = protocol.get(column);
        *known.entry(run.settings.to_string()).or_insert(value) == value
    })
}

/// A suggestion for a name that is not known, to follow it in a message: ` (did you mean …?)`, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        (names, true) => format!(" (did you mean `{}`?)", names[0]),
        (_, false) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_never_repeats_the_name_that_it_corrects() {
        assert_eq!(did_you_mean("nearst", ["diversity", "nearest"]), " (did you mean `nearest`?)");
        assert_eq!(did_you_mean("nearest", ["nearest"]), "");
    }

    #[test]
    fn a_short_name_has_the_part_that_distinguishes_it() {
        let keys = ["optimizer.generator.adam.lr", "optimizer.discriminator.adam.lr", "loss.adversarial", "seed"];
        assert_eq!(short_names(&keys), ["generator lr", "discriminator lr", "adversarial", "seed"]);
        assert_eq!(short_names(&["a.x.lr", "b.x.lr", "b.y.lr"]), ["a lr", "b.x.lr", "b.y.lr"]);
    }
}
