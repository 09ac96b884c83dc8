//! From files to plans: every cell of every grid, typed, checked and named.

use super::cell::{Cell, name_cells, values_of};
use super::check;
use super::de;
use super::diagnostic::{Diagnostic, Diagnostics, Mistake, Place, SourceId};
use super::file::{self, Document};
use super::grid::{Grid, MOST_CELLS, Point};
use super::headers::{CellFacts, Headers};
use super::node::{self, Key, Node, Value};
use super::schema::{FILE_KEYS, Grammar};
use super::spec::{Claim, Experiment};
use super::start;
use super::text::{entries, toml_of};
use super::wrong::Wrong;
use crate::record::RunState;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An experiment ready to run: its cells, each checked, and its claims.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The experiment's name.
    pub name: String,
    /// The file it was read from.
    pub file: PathBuf,
    /// One cell per point of the grid and seed; seeds vary fastest.
    pub cells: Vec<Cell>,
    /// What is expected of the results.
    pub claims: Vec<Claim>,
    /// The names of the grid's axes, in order.
    pub grid_keys: Vec<String>,
    /// The whole document with what it extends and what was set, grid and claims included: a file that gives this plan
    /// again.
    pub document_text: String,
}

impl Plan {
    /// The plan of runs that others begin with, which are of one experiment and were said in this file.
    pub fn of_origins(file: &Path, cells: Vec<Cell>) -> Self {
        let first = cells.first();
        let seeds: BTreeSet<u64> = cells.iter().map(|cell| cell.experiment.seed).collect();
        let document = first.map(|cell| {
            let mut values = values_of(&cell.experiment);
            values["seed"].take();
            values["seeds"] = seeds.into_iter().collect();
            toml_of(entries(&values))
        });
        Self {
            name: first.map(|cell| cell.experiment.name.clone()).unwrap_or_default(),
            file: file.to_owned(),
            document_text: document.unwrap_or_default(),
            cells,
            claims: Vec::new(),
            grid_keys: Vec::new(),
        }
    }

    /// The plans of some files, in their order, with `--set KEY=VALUE` laid over each. With `headers`, the shapes of data and
    /// networks are checked too.
    ///
    /// # Errors
    /// Everything that is wrong with any cell of any of them.
    pub fn load(files: &[PathBuf], sets: &[String], headers: Option<&Headers>) -> Result<Vec<Self>, Diagnostics> {
        let mut plans: Vec<Self> = Vec::new();
        let mut wrong = Vec::new();
        for path in files {
            match file::load(path, sets).and_then(|document| Self::of(document, headers)) {
                Ok(plan) => {
                    if let Some(other) = plans.iter().find(|p| p.name == plan.name) {
                        let message = format!(
                            "{} and {} both name their experiment `{}`",
                            other.file.display(),
                            plan.file.display(),
                            plan.name
                        );
                        wrong.push(Diagnostic::plain(
                            message,
                            Some("their runs would lie in one folder; give one another `name`".to_owned()),
                        ));
                    }
                    plans.push(plan);
                }
                Err(Diagnostics(more)) => wrong.extend(more),
            }
        }
        if wrong.is_empty() { Ok(plans) } else { Err(Diagnostics(wrong)) }
    }

    /// The plan of a text, known under a file's name.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn of_text(file: &Path, text: &str, headers: Option<&Headers>) -> Result<Self, Diagnostics> {
        Self::of(file::parse(file, text, &[])?, headers)
    }

    /// The one cell of a run's `config.toml`; its id is that of the run.
    ///
    /// # Errors
    /// If it is not one.
    pub fn of_run_config(text: &str) -> Result<Cell, Diagnostics> {
        let plan = Self::of_text(Path::new("config.toml"), text, None)?;
        let count = plan.cells.len();
        let mut cells = plan.cells.into_iter();
        match (cells.next(), count) {
            (Some(cell), 1) => Ok(cell),
            _ => Err(Diagnostics::one(Diagnostic::plain(format!("config.toml holds {count} cells, not one"), None))),
        }
    }

    fn of(document: Document, headers: Option<&Headers>) -> Result<Self, Diagnostics> {
        let mut wrong = Wrong::default();
        let mut base = document.root.clone();
        let seeds = file::seeds(&base).unwrap_or_else(|mistake| {
            wrong.of_file(mistake);
            vec![0]
        });
        for key in ["seeds", "grid", "claims"] {
            base.remove(key);
        }
        let grid = match document.root.get("grid").map(Grid::read).transpose() {
            Ok(grid) => grid.unwrap_or_default(),
            Err(mistakes) => {
                mistakes.into_iter().for_each(|m| wrong.of_file(m));
                // The rest of the file is checked all the same, where it can stand without the grid.
                Grid::default()
            }
        };
        let grid_is_wrong = !wrong.is_empty() && document.root.get("grid").is_some();
        let points = grid.points().unwrap_or_else(|mistakes| {
            mistakes.into_iter().for_each(|m| wrong.of_file(m));
            Vec::new()
        });
        if points.len().saturating_mul(seeds.len()) > MOST_CELLS {
            let node = document.root.get("seeds").expect("a grid alone is held to as many cells");
            let message = format!("{} seeds of {} cells; the most is {MOST_CELLS} runs", seeds.len(), points.len());
            return Err(Diagnostics::one(document.sources.show(Mistake::at(node.place, message))));
        }
        let (mut points_read, mut used) = (Vec::with_capacity(points.len()), UsedSets::of(&document));
        for point in &points {
            match read_point(&document.file, &base, point, headers) {
                Ok((node, experiment, facts)) => {
                    used.look(&node);
                    points_read.push((experiment, facts));
                }
                // Keys may be missing only because the grid that gives them cannot be read.
                Err(_) if grid_is_wrong && document.root.get("grid").is_some() => {}
                Err(mistakes) => mistakes.into_iter().for_each(|m| wrong.of_cell(m)),
            }
        }

        if wrong.is_empty() {
            for (path, place) in used.unused() {
                let message = format!("`{path}` is set, and the grid sets it again in every cell");
                wrong.of_file(Mistake::at(place, message).with_help("set the axis, or take it out of the grid"));
            }
        }
        let mut cells = Vec::new();
        if wrong.is_empty() {
            cells = name_cells(&grid, &points, points_read, &seeds, &mut wrong);
        }
        let (mut claims, mut dead) = (Vec::new(), HashSet::new());
        if let Some(node) = document.root.get("claims") {
            let items = node.array().unwrap_or_else(|| {
                wrong.of_file(Mistake::at(node.place, "claims are a list: write `[[claims]]` over each"));
                &[]
            });
            for (i, item) in items.iter().enumerate() {
                let read = de::read::<Claim>(item, "claims", &[]).and_then(|claim| {
                    // Without cells there is nothing to hold a claim against.
                    let says_something =
                        cells.is_empty() || check::claim(&claim, item, &cells, document.sets.is_empty())?;
                    Ok((claim, says_something))
                });
                match read {
                    Ok((claim, true)) => claims.push(claim),
                    Ok((_, false)) => drop(dead.insert(i)),
                    Err(mistakes) => mistakes.into_iter().for_each(|m| wrong.of_file(m)),
                }
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.shown(points.len(), &document));
        }
        let name = cells.first().map(|cell| cell.experiment.name.clone()).unwrap_or_default();
        let grid_keys = grid.names().iter().map(|axis| axis.name.clone()).collect();
        let document_text = merged_text(&document.root, &dead);
        Ok(Self { name, file: document.file, cells, claims, grid_keys, document_text })
    }
}

/// Whether the text of a `config.toml` is the configuration that its run began with. Remarks and the like may differ.
pub fn is_of(config: &str, state: &RunState) -> bool {
    is_sealed(config, state) || Plan::of_run_config(config).is_ok_and(|cell| cell.id == state.id)
}

/// Whether the text is, byte for byte, what the run was written with.
fn is_sealed(config: &str, state: &RunState) -> bool {
    state.files.get("config.toml").is_none_or(|seal| seal.check(config.as_bytes()) == Ok(config.as_bytes()))
}

/// The experiment of a run from the text of its `config.toml`, read as every other file is.
///
/// # Errors
/// If it is not one, or not the configuration that the run began with.
pub fn of_run(config: &str, state: &RunState) -> Result<Experiment, String> {
    let cell = Plan::of_run_config(config).map_err(|wrong| wrong.to_string())?;
    if is_sealed(config, state) || cell.id == state.id {
        Ok(cell.experiment)
    } else {
        Err("it is not the configuration that the run began with".to_owned())
    }
}

/// The merged document without the claims that the narrowed grid says nothing of.
fn merged_text(root: &Node, dead: &HashSet<usize>) -> String {
    let mut root = root.clone();
    let table = root.table_mut().expect("a document is a table");
    if let Some(at) = table.iter().position(|(key, _)| &*key.name == "claims")
        && let Value::Array(items) = &mut table[at].1.value
    {
        let mut i = 0;
        Arc::make_mut(items).retain(|_| {
            i += 1;
            !dead.contains(&(i - 1))
        });
        if items.is_empty() {
            table.remove(at);
        }
    }
    root.to_toml()
}

/// What the document and the grid say of a point, and what that comes to.
type PointRead = (Node, Experiment, CellFacts);

fn read_point(
    file: &Path,
    base: &Node,
    point: &Point<'_>,
    headers: Option<&Headers>,
) -> Result<PointRead, Vec<Mistake>> {
    let mut node = base.clone();
    let mut wrong = Vec::new();
    for (path, value) in point.iter().flat_map(|(_, step)| &step.sets) {
        if let Err(mistake) = node::set(&mut node, path, value.clone(), Grammar::get()) {
            wrong.push(mistake);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let said = node.clone();
    start::choose(&mut node)?;
    let experiment: Experiment = de::read(&node, "", &FILE_KEYS)?;
    let mut problems = check::cell(&experiment);
    let mut facts = CellFacts::default();
    if problems.is_empty()
        && let Some(headers) = headers
    {
        match headers.facts(file, &experiment) {
            Ok(found) => facts = found,
            Err(found) => problems = found,
        }
    }
    if problems.is_empty() {
        return Ok((said, experiment, facts));
    }
    Err(problems
        .into_iter()
        .map(|problem| Mistake {
            place: Some(node.place_of(&problem.path)),
            message: problem.message,
            help: problem.help,
        })
        .collect())
}

/// Which of the values that `--set` gave are in some cell.
struct UsedSets {
    /// The path, its place, and whether it was found; only of the last set of each path.
    sets: Vec<(Vec<Key>, SourceId, bool)>,
}

impl UsedSets {
    fn of(document: &Document) -> Self {
        let mut sets: Vec<(Vec<Key>, SourceId, bool)> = Vec::new();
        for path in &document.sets {
            let source = path[0].place.source;
            let file_key = FILE_KEYS.contains(&&*path[0].name) || &*path[0].name == "name" || &*path[0].name == "seed";
            // A later set of the same or a wider key takes the earlier one's place.
            sets.retain(|(old, ..)| !(old.len() >= path.len() && old.iter().zip(path).all(|(a, b)| a.name == b.name)));
            sets.push((path.clone(), source, file_key));
        }
        Self { sets }
    }

    fn look(&mut self, cell: &Node) {
        for (path, source, found) in self.sets.iter_mut().filter(|(.., found)| !found) {
            let mut node = Some(cell);
            for key in path.iter() {
                node = node.and_then(|n| match n.array() {
                    Some(items) => items.get(key.name.parse::<usize>().ok()?),
                    None => n.get(&key.name),
                });
            }
            *found = node.is_some_and(|node| comes_from(node, *source));
        }
    }

    fn unused(self) -> impl Iterator<Item = (String, Place)> {
        self.sets.into_iter().filter(|(.., found)| !found).map(|(path, ..)| (node::dotted(&path), path[0].place))
    }
}

fn comes_from(node: &Node, source: SourceId) -> bool {
    node.place.source == source
        || node.table().into_iter().flatten().any(|(_, inner)| comes_from(inner, source))
        || node.array().into_iter().flatten().any(|inner| comes_from(inner, source))
}

#[cfg(test)]
pub(super) mod tests;
