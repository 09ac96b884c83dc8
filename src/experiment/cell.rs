//! One run of a plan: its settings, its id and its name.

use super::diagnostic::{Mistake, Place};
use super::grid::{Grid, Point, fits};
use super::headers::CellFacts;
use super::pack::pack_key;
use super::spec::{Experiment, REMARKS};
use super::text::{entries, toml_of};
use super::wrong::Wrong;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// One run to be.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it says.
    pub experiment: Experiment,
    /// The axes' names with this cell's values, as they were spelled; without the seed.
    pub varies: Vec<(String, String)>,
    /// The hash of everything that can change a result: 64 hex digits.
    pub id: String,
    /// The name of the run's directory: what varies, the seed, and the first digits of the id.
    pub run: String,
    /// What the deep check found out.
    pub facts: Arc<CellFacts>,
    /// The values of the whole grid point, with every default; its seed is that of no cell in particular. Made when it is
    /// first asked for: a hundred thousand of them are more than a machine may have room for.
    point: Arc<OnceLock<Json>>,
    pack_key: Arc<str>,
}

impl Cell {
    /// The one run of an experiment that stands in no grid.
    pub fn alone(experiment: Experiment, facts: CellFacts) -> Self {
        let id = id_of(&experiment);
        Self {
            varies: Vec::new(),
            run: run_name("", experiment.seed, &id[..SHORT]),
            id,
            facts: Arc::new(facts),
            point: Arc::default(),
            pack_key: Arc::from(pack_key(&experiment)),
            experiment,
        }
    }

    /// Every setting with every default, as values.
    pub fn resolved(&self) -> &Json {
        self.point.get_or_init(|| values_of(&self.experiment))
    }

    /// The resolved configuration as TOML: one cell, one seed, every default written out.
    pub fn document(&self) -> String {
        self.document_with(&[])
    }

    /// As [`Self::document`], for a file that will lie elsewhere: with the folders in which its data are looked for.
    pub fn document_with(&self, data_folders: &[PathBuf]) -> String {
        let mut experiment = self.experiment.clone();
        if experiment.data.reads_files() && !data_folders.is_empty() {
            experiment.data_folders = data_folders.to_vec();
        }
        experiment.start.values_mut().for_each(|start| start.look_in(data_folders));
        toml_of(entries(&values_of(&experiment)))
    }

    /// The key of its pack, as `pack_key` of its experiment.
    pub fn pack_key(&self) -> &str {
        &self.pack_key
    }

    /// Whether the cell has all of these values. A key is an axis of the grid or a dotted key of a cell; a choice may be
    /// named by its tag alone, a value by its label in the grid.
    pub fn matches(&self, select: &BTreeMap<String, Json>) -> bool {
        select.iter().all(|(name, wanted)| {
            if name == "seed" {
                return wanted.as_u64() == Some(self.experiment.seed);
            }
            let label = self.varies.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str());
            (label.is_some() && wanted.as_str() == label) || self.value(name).is_some_and(|have| fits(wanted, have))
        })
    }

    /// Whether there is such a key.
    pub fn has(&self, name: &str) -> bool {
        name == "seed" || self.value(name).is_some() || self.varies.iter().any(|(key, _)| key == name)
    }

    /// The number that the cell has of an axis of the grid or a setting, if it is one: the horizontal axis of a trend.
    pub fn number(&self, name: &str) -> Option<f64> {
        let label = self.varies.iter().find(|(key, _)| key == name).and_then(|(_, text)| text.parse().ok());
        label.or_else(|| self.value(name)?.as_f64())
    }

    /// The first digits of the id, which end the name of the run's directory.
    pub fn short_id(&self) -> &str {
        &self.id[..SHORT]
    }

    fn value(&self, path: &str) -> Option<&Json> {
        path.split('.').try_fold(self.resolved(), |json, part| match json {
            Json::Array(items) => items.get(part.parse::<usize>().ok()?),
            json => json.get(part),
        })
    }
}

/// Digits of the id in a directory's name.
const SHORT: usize = 8;
/// The longest name of a directory, in bytes.
pub(super) const LONGEST: usize = 120;

/// The id of the run of an experiment.
pub fn id_of(experiment: &Experiment) -> String {
    id_with(blake3::Hasher::new().update(identity(&values_of(experiment)).as_bytes()), experiment.seed)
}

/// The cells of all points and seeds, with ids and names.
pub(super) fn name_cells(
    grid: &Grid,
    points: &[Point<'_>],
    read: Vec<(Experiment, CellFacts)>,
    seeds: &[u64],
    wrong: &mut Wrong,
) -> Vec<Cell> {
    let shorts = short_names(grid);
    let mut cells: Vec<Cell> = Vec::with_capacity(points.len() * seeds.len());
    let mut ids: HashMap<blake3::Hash, usize> = HashMap::new();
    let mut runs = HashSet::new();
    for (at, (point, (experiment, facts))) in points.iter().zip(read).enumerate() {
        let varies: Vec<(String, String)> =
            point.iter().map(|(axis, step)| (axis.name.clone(), step.text.clone())).collect();
        let head = point
            .iter()
            .map(|(axis, step)| match shorts.get(axis.name.as_str()) {
                Some(short) => format!("{short}-{}", safe(&step.text)),
                None => safe(&step.text),
            })
            .collect::<Vec<_>>()
            .join(".");
        let json = values_of(&experiment);
        let basis = identity(&json);
        let mut hasher = blake3::Hasher::new();
        hasher.update(basis.as_bytes());
        if let Some(other) = ids.insert(hasher.finalize(), at) {
            let spelled = |point: &Point<'_>| {
                let parts: Vec<String> =
                    point.iter().map(|(axis, step)| format!("{} = {}", axis.name, step.text)).collect();
                parts.join(", ")
            };
            let place = point.last().map_or(Place::default(), |(_, step)| step.place);
            let message =
                format!("two cells of the grid are the same: ({}) and ({})", spelled(&points[other]), spelled(point));
            wrong.of_file(Mistake::at(place, message).with_help("leave one of them out with `exclude`"));
            continue;
        }
        let (point, pack_key) = (Arc::new(OnceLock::new()), Arc::from(pack_key(&experiment)));
        // Most cells of a grid look alike from here, and share what is known of them.
        let facts = match cells.last() {
            Some(Cell { facts: known, .. }) if **known == facts => known.clone(),
            _ => Arc::new(facts),
        };
        for &seed in seeds {
            let id = id_with(&hasher, seed);
            let mut run = run_name(&head, seed, &id[..SHORT]);
            if !runs.insert(run.clone()) {
                run = run_name(&head, seed, &id[..4 * SHORT]);
            }
            cells.push(Cell {
                experiment: Experiment { seed, ..experiment.clone() },
                varies: varies.clone(),
                id,
                run,
                facts: facts.clone(),
                point: point.clone(),
                pack_key: Arc::clone(&pack_key),
            });
        }
    }
    cells
}

/// The id of a run, by the hash so far of what all its seeds share.
fn id_with(shared: &blake3::Hasher, seed: u64) -> String {
    shared.clone().update(format!("seed={seed}").as_bytes()).finalize().to_hex().to_string()
}

/// Every setting of an experiment with every default.
pub(super) fn values_of(experiment: &Experiment) -> Json {
    serde_json::to_value(experiment).expect("a spec is made of numbers, texts, lists and tables")
}

/// What the id is the hash of, but for the seed: every value that can change a result, in a fixed form.
fn identity(json: &Json) -> String {
    let mut text = String::with_capacity(2048);
    text.push_str("gantlet cell 1\n");
    for (name, value) in json.as_object().into_iter().flatten() {
        if name != "seed" && !REMARKS.contains(&name.as_str()) {
            text.push_str(name);
            text.push('=');
            match name.as_str() {
                "start" => canonical(&without_remarks(value), &mut text),
                _ => canonical(value, &mut text),
            }
            text.push('\n');
        }
    }
    text
}

/// A text that is the same for the same values: keys in order, keys without a value left out.
fn canonical(json: &Json, text: &mut String) {
    match json {
        Json::Object(table) => {
            let mut entries: Vec<_> = table.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in entries {
                text.push_str(name);
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Json::String(value) => write!(text, "{value:?}").expect("a text takes everything"),
        other => write!(text, "{other}").expect("a text takes everything"),
    }
}

/// What players begin with, each experiment by its own identity.
fn without_remarks(starts: &Json) -> Json {
    let mut starts = starts.clone();
    for (_, start) in starts.as_object_mut().into_iter().flatten() {
        start["experiment"] = Json::from(identity(&start["experiment"]));
    }
    starts
}

/// The short name of each axis: the last part of its key, or all of it where another axis ends alike. Free names need
/// none: their labels speak for themselves.
fn short_names(grid: &Grid) -> HashMap<&str, String> {
    let axes = grid.names();
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    axes.iter()
        .filter(|axis| !axis.free)
        .map(|axis| {
            let short = last(&axis.name);
            let ambiguous = axes.iter().filter(|other| !other.free && last(&other.name) == short).count() > 1;
            (axis.name.as_str(), safe(if ambiguous { &axis.name } else { &short }).replace('.', "-"))
        })
        .collect()
}

/// A text with only `a-z`, `0-9`, `.` and `-`.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-' {
            safe.push(c);
        } else if !safe.is_empty() && !safe.ends_with('-') {
            safe.push('-');
        }
    }
    safe.trim_end_matches(['-', '.']).trim_start_matches('.').to_owned()
}

pub(super) fn run_name(head: &str, seed: u64, id: &str) -> String {
    let tail = format!("seed-{seed}.{id}");
    let room = LONGEST - tail.len() - 1;
    let head = head[..head.len().min(room)].trim_end_matches(['-', '.']);
    if head.is_empty() { tail } else { format!("{head}.{tail}") }
}
