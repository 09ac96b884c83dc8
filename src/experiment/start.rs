//! `[start]`: players that begin with what a player of another experiment has learned.
//!
//! ```toml
//! [start.classifier]
//! experiment = "features.toml"            # relative to this file; its runs are trained first
//! set        = { encoder = "denoising" }  # as `--set` for that file; of its grid one cell must be left
//! player     = "encoder"
//! layers     = 1                          # the first layers with weights; all that fit by default
//! ```
//!
//! A text under `experiment` becomes the document that it names where the file is read (`inline`), and that document
//! the one cell that is meant where a cell is read (`choose`). So a run's configuration holds all that its weights
//! follow from, its id too, and both are checked before either is trained.

use super::diagnostic::{Diagnostics, Mistake, listed};
use super::file;
use super::grid::{Grid, sets_of};
use super::node::{Key, Node, set};
use super::schema::Grammar;
use super::spec::Experiment;
use crate::data::DataRoots;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use std::path::PathBuf;

/// A player begins with the weights that a player of another experiment ends with: averaged ones where it has such.
///
/// Layers with weights, norms among them, are paired in their order from the input. The first that has another shape, and all
/// after it, begin as they would without. Moments of the optimizer begin at 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StartSpec {
    /// The experiment: its file, relative to this one, or what it says, for one cell.
    #[serde(serialize_with = "without_seed")]
    #[schemars(schema_with = "file_or_experiment")]
    pub experiment: Box<Experiment>,
    /// Which of its players.
    pub player: String,
    /// How many layers with weights, from the input on, at most; 0 begins as if nothing were said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// The seed of the run that is begun with; that of each run itself by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The other experiment takes its seed from here.
fn without_seed<S: Serializer>(experiment: &Experiment, serializer: S) -> Result<S::Ok, S::Error> {
    let mut values = serde_json::to_value(experiment).map_err(serde::ser::Error::custom)?;
    values.as_object_mut().map(|table| table.shift_remove("seed"));
    values.serialize(serializer)
}

fn file_or_experiment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "The experiment: its file, relative to this one, or what it says, for one cell.",
        "anyOf": [{ "type": "string" }, { "$ref": "#" }]
    })
}

impl StartSpec {
    /// The run that a run of this seed begins with; none where no layer is taken.
    pub fn origin(&self, seed: u64) -> Option<Experiment> {
        let seed = self.seed.unwrap_or(seed);
        (self.layers != Some(0)).then(|| Experiment { seed, ..(*self.experiment).clone() })
    }

    /// Names folders for data that are read from files, after the experiment's own.
    pub(super) fn look_in(&mut self, folders: &[PathBuf]) {
        let experiment = &mut *self.experiment;
        let own = std::mem::take(&mut experiment.data_folders);
        if experiment.data.reads_files() {
            experiment.data_folders = DataRoots::new(own.into_iter().chain(folders.iter().cloned()).collect()).folders;
        }
        experiment.start.values_mut().for_each(|start| start.look_in(folders));
    }
}

/// Puts documents in the place of the files that `experiment` names below `[start]` and in the grid. `read` reads one.
///
/// # Errors
/// Those of `read`.
pub(super) fn inline(
    root: &mut Node,
    read: &mut dyn FnMut(&Node) -> Result<Node, Diagnostics>,
) -> Result<(), Diagnostics> {
    for (key, inner) in root.table_mut().into_iter().flatten() {
        if ["start", "grid"].contains(&&*key.name) {
            inline_below(inner, read)?;
        }
    }
    Ok(())
}

fn inline_below(node: &mut Node, read: &mut dyn FnMut(&Node) -> Result<Node, Diagnostics>) -> Result<(), Diagnostics> {
    for (key, inner) in node.table_mut().into_iter().flatten() {
        if key.name.rsplit('.').next() != Some("experiment") {
            inline_below(inner, read)?;
            continue;
        }
        if inner.table().is_none() && inner.array().is_none() {
            *inner = read(inner)?;
        }
        // An axis: the file's name stays as the label.
        for item in inner.array_mut().into_iter().flatten().filter(|item| item.str().is_some()) {
            let mut labeled = Node::empty(item.place);
            labeled.put(Key::new("value", item.place), read(item)?);
            labeled.put(Key::new("label", item.place), item.clone());
            *item = labeled;
        }
    }
    for item in node.array_mut().into_iter().flatten() {
        inline_below(item, read)?;
    }
    Ok(())
}

/// Makes of each document below `[start]` of a cell the one cell of it that `set` leaves.
///
/// # Errors
/// Everything that is wrong with what `set` says, with the grids, or with what is left of them.
pub(super) fn choose(cell: &mut Node) -> Result<(), Vec<Mistake>> {
    let mut wrong = Vec::new();
    let starts = cell.table_mut().into_iter().flatten().find(|(key, _)| &*key.name == "start");
    for (_, start) in starts.and_then(|(_, starts)| starts.table_mut()).into_iter().flatten() {
        let sets = start.remove("set").map(|(_, sets)| sets);
        let seed = match start.table_mut().and_then(|t| t.iter_mut().find(|(key, _)| &*key.name == "experiment")) {
            Some((_, document)) if document.table().is_some() => {
                wrong.extend(choose_cell(document, sets.as_ref()).err().into_iter().flatten());
                document.remove("seed")
            }
            _ => None,
        };
        if let Some((key, seed)) = seed.filter(|_| start.get("seed").is_none()) {
            start.put(key, seed);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn choose_cell(document: &mut Node, sets: Option<&Node>) -> Result<(), Vec<Mistake>> {
    for (keys, value) in sets.map(sets_of).transpose().map_err(|mistake| vec![mistake])?.into_iter().flatten() {
        file::lay(document, keys, value).map_err(|mistake| vec![mistake])?;
    }
    for key in ["seeds", "claims"] {
        document.remove(key);
    }
    if let Some((_, node)) = document.remove("grid") {
        let grid = Grid::read(&node)?;
        let points = grid.points()?;
        let [point] = points.as_slice() else {
            let axes = grid.names().into_iter().map(|axis| {
                format!("`{}` is one of {}", axis.name, listed(axis.steps.iter().map(|step| step.text.as_str())))
            });
            let axes: Vec<String> = axes.collect();
            let message = format!("a player begins with one cell, and this is a grid of {}", points.len());
            let help = format!("choose one with `set`, beside `experiment`: {}", axes.join("; "));
            return Err(vec![Mistake::at(node.place, message).with_help(help)]);
        };
        for (path, value) in point.iter().flat_map(|(_, step)| &step.sets) {
            set(document, path, value.clone(), Grammar::get()).map_err(|mistake| vec![mistake])?;
        }
    }
    choose(document)
}
