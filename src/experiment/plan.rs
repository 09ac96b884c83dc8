//! From files to plans: every cell of every grid, typed, checked and named.

use super::check::{self, CellFacts, DeepCheck};
use super::de;
use super::diagnostic::{Diagnostic, Diagnostics, Mistake, Place, SourceId};
use super::file::{self, Document};
use super::grid::{Grid, MOST_CELLS, Point, fits};
use super::node::{self, Key, Node, Value};
use super::pack::{canonical, key_of};
use super::schema::{FILE_KEYS, Grammar};
use super::spec::{Claim, Experiment, REMARKS};
use super::start;
use super::text::{entries, toml_of};
use crate::record::RunState;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An experiment ready to run: its cells, each checked, and its claims.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The experiment's name.
    pub name: String,
    /// The file it was read from.
    pub file: PathBuf,
    /// A cell a point of the grid and seed; seeds fastest.
    pub cells: Vec<Cell>,
    /// What is expected of the results.
    pub claims: Vec<Claim>,
    /// The names of the grid's axes, in order.
    pub grid_keys: Vec<String>,
    /// The whole document with what it extends and what was set, grid and claims included: a file that gives this plan
    /// again.
    pub document_text: String,
}

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
        let (json, id) = (values_of(&experiment), id_of(&experiment));
        Self {
            varies: Vec::new(),
            run: run_name("", experiment.seed, &id[..SHORT]),
            id,
            facts: Arc::new(facts),
            point: Arc::default(),
            pack_key: Arc::from(key_of(&json)),
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

    /// The number that the cell has of an axis of the grid or a setting, if it is one: what a trend is held against.
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
const LONGEST: usize = 120;

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

    /// The plans of some files, in their order, with `--set KEY=VALUE` laid over each.
    ///
    /// # Errors
    /// Everything that is wrong with any cell of any of them.
    pub fn load(files: &[PathBuf], sets: &[String], deep: Option<&DeepCheck<'_>>) -> Result<Vec<Self>, Diagnostics> {
        let mut plans: Vec<Self> = Vec::new();
        let mut wrong = Vec::new();
        for path in files {
            match file::load(path, sets).and_then(|document| Self::of(document, deep)) {
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
    pub fn of_text(file: &Path, text: &str, deep: Option<&DeepCheck<'_>>) -> Result<Self, Diagnostics> {
        Self::of(file::parse(file, text, &[])?, deep)
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

    fn of(document: Document, deep: Option<&DeepCheck<'_>>) -> Result<Self, Diagnostics> {
        let mut wrong = Wrong::default();
        let mut base = document.root.clone();
        let seeds = file::seeds(&base).unwrap_or_else(|mistake| {
            wrong.add(mistake, 1);
            vec![0]
        });
        for key in ["seeds", "grid", "claims"] {
            base.remove(key);
        }
        let grid = match document.root.get("grid").map(Grid::read).transpose() {
            Ok(grid) => grid.unwrap_or_default(),
            Err(mistakes) => {
                mistakes.into_iter().for_each(|m| wrong.add(m, 1));
                // The rest of the file is checked all the same, where it can stand without the grid.
                Grid::default()
            }
        };
        let grid_is_wrong = !wrong.all.is_empty() && document.root.get("grid").is_some();
        let points = grid.points().unwrap_or_else(|mistakes| {
            mistakes.into_iter().for_each(|m| wrong.add(m, 1));
            Vec::new()
        });
        if points.len().saturating_mul(seeds.len()) > MOST_CELLS {
            let node = document.root.get("seeds").expect("a grid alone is held to as many cells");
            let message = format!("{} seeds of {} cells; the most is {MOST_CELLS} runs", seeds.len(), points.len());
            return Err(Diagnostics::one(document.sources.show(Mistake::at(node.place, message))));
        }
        let (mut points_read, mut used) = (Vec::with_capacity(points.len()), UsedSets::of(&document));
        for point in &points {
            match read_point(&base, point, deep) {
                Ok((node, experiment, facts)) => {
                    used.look(&node);
                    points_read.push((experiment, facts));
                }
                // Keys may be missing only because the grid that gives them cannot be read.
                Err(_) if grid_is_wrong && document.root.get("grid").is_some() => {}
                Err(mistakes) => mistakes.into_iter().for_each(|m| wrong.add(m, 0)),
            }
        }
        wrong.cells = points.len();
        if wrong.all.is_empty() {
            for (path, place) in used.unused() {
                let message = format!("`{path}` is set, and the grid sets it again in every cell");
                wrong.add(Mistake::at(place, message).with_help("set the axis, or take it out of the grid"), 1);
            }
        }
        let mut cells = Vec::new();
        if wrong.all.is_empty() {
            cells = name_cells(&grid, &points, points_read, &seeds, &mut wrong);
        }
        let (mut claims, mut dead) = (Vec::new(), HashSet::new());
        if let Some(node) = document.root.get("claims") {
            let items = node.array().unwrap_or_else(|| {
                wrong.add(Mistake::at(node.place, "claims are a list: write `[[claims]]` over each"), 1);
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
                    Err(mistakes) => mistakes.into_iter().for_each(|m| wrong.add(m, 1)),
                }
            }
        }
        if !wrong.all.is_empty() {
            return Err(wrong.shown(&document));
        }
        let name = cells.first().map(|cell| cell.experiment.name.clone()).unwrap_or_default();
        let grid_keys = grid.names().iter().map(|axis| axis.name.clone()).collect();
        let document_text = merged_text(&document.root, &dead);
        Ok(Self { name, file: document.file, cells, claims, grid_keys, document_text })
    }
}

/// The id of the run of an experiment.
pub fn id_of(experiment: &Experiment) -> String {
    id_with(blake3::Hasher::new().update(identity(&values_of(experiment)).as_bytes()), experiment.seed)
}

/// Whether the text of a `config.toml` says what its run began with. Remarks and the like may differ.
pub fn is_of(config: &str, state: &RunState) -> bool {
    let sealed =
        state.files.get("config.toml").is_none_or(|seal| seal.check(config.as_bytes()) == Ok(config.as_bytes()));
    sealed || Plan::of_run_config(config).is_ok_and(|cell| cell.id == state.id)
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

fn read_point(base: &Node, point: &Point<'_>, deep: Option<&DeepCheck<'_>>) -> Result<PointRead, Vec<Mistake>> {
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
        && let Some(deep) = deep
    {
        match deep(&experiment) {
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

/// Mistakes, each once, with the number of cells that have it.
#[derive(Default)]
struct Wrong {
    all: Vec<Mistake>,
    counts: HashMap<Mistake, usize>,
    cells: usize,
}

impl Wrong {
    /// `weight` 0 counts a cell; anything else is a mistake of the whole file.
    fn add(&mut self, mistake: Mistake, weight: usize) {
        let count = self.counts.entry(mistake.clone()).or_insert_with(|| {
            self.all.push(mistake);
            0
        });
        *count = if weight == 0 { *count + 1 } else { usize::MAX };
    }

    fn shown(self, document: &Document) -> Diagnostics {
        let mut all = self.all;
        all.sort_by_key(|mistake| mistake.place);
        Diagnostics(
            all.into_iter()
                .map(|mut mistake| {
                    let count = self.counts[&mistake];
                    if count < self.cells {
                        let note = match count {
                            1 => format!("in 1 of {} cells of the grid", self.cells),
                            n => format!("in {n} of {} cells of the grid", self.cells),
                        };
                        mistake.help = Some(match mistake.help {
                            Some(help) => format!("{help}\n{note}"),
                            None => note,
                        });
                    }
                    document.sources.show(mistake)
                })
                .collect(),
        )
    }
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

/// The cells of all points and seeds, with ids and names.
fn name_cells(
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
            wrong.add(Mistake::at(place, message).with_help("leave one of them out with `exclude`"), 1);
            continue;
        }
        let (point, pack_key) = (Arc::new(OnceLock::new()), Arc::from(key_of(&json)));
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
fn values_of(experiment: &Experiment) -> Json {
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

fn run_name(head: &str, seed: u64, id: &str) -> String {
    let tail = format!("seed-{seed}.{id}");
    let room = LONGEST - tail.len() - 1;
    let head = head[..head.len().min(room)].trim_end_matches(['-', '.']);
    if head.is_empty() { tail } else { format!("{head}.{tail}") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::experiment::Style;
    use proptest::prelude::*;

    /// A cell without a grid; keys of the top and sections may follow.
    pub(in crate::experiment) const TOY: &str = r#"
name = "toy"
data.gaussian = {}
algorithm.gan.latent = { normal = { dim = 2 } }
architecture = { generator = { mlp = { hidden = [4] } }, discriminator = { mlp = { hidden = [4] } } }
loss.adversarial = "vanilla"
optimizer = { generator = { adam = {} }, discriminator = { adam = { lr = 2e-4 } } }
schedule = { steps = 20, batch = 8 }
eval.metrics = ["mean"]
"#;

    pub(in crate::experiment) fn plan(text: &str) -> Result<Plan, Diagnostics> {
        Plan::of_text(Path::new("toy.toml"), text, None)
    }

    fn wrong(more: &str) -> String {
        plan(&format!("{TOY}{more}")).expect_err("a mistake").to_string()
    }

    #[test]
    fn runs_are_named_by_what_varies_the_seed_and_the_id() {
        let plan = plan(&format!(
            "{TOY}seeds = [3, 5]\n[grid]\n\"loss.adversarial\" = [\"hinge\", {{ least-squares = {{ real = 0.9 }} }}]\n\"optimizer.generator.adam.lr\" = [2e-4]\n\"optimizer.discriminator.adam.lr\" = [-0.0]\n"
        ))
        .expect("a plan");
        let names: Vec<&str> = plan.cells.iter().map(|c| c.run.rsplit_once('.').expect("an id").0).collect();
        let rest = "optimizer-generator-adam-lr-2e-4.optimizer-discriminator-adam-lr--0.0";
        assert_eq!(
            names,
            [
                format!("adversarial-hinge.{rest}.seed-3"),
                format!("adversarial-hinge.{rest}.seed-5"),
                format!("adversarial-least-squares-real-0.9.{rest}.seed-3")[..LONGEST.min(111)].to_owned(),
                format!("adversarial-least-squares-real-0.9.{rest}.seed-5"),
            ]
        );
        for cell in &plan.cells {
            assert!(cell.run.ends_with(&cell.id[..8]) && cell.run.len() <= LONGEST, "{}", cell.run);
        }
    }

    #[test]
    fn a_name_is_cut_to_what_a_folder_takes_but_keeps_its_end() {
        let name = run_name(&"x".repeat(300), 12, "0123abcd");
        assert_eq!(name.len(), LONGEST);
        assert!(name.ends_with("x.seed-12.0123abcd"));
    }

    #[test]
    fn a_resolved_cell_and_a_merged_document_give_the_same_cells_again() {
        let text = format!(
            "{TOY}seeds = 2\n[grid]\n\"loss.adversarial\" = [\"hinge\", \"least-squares\"]\nv = [{{ label = 'a', set = {{ 'schedule.steps' = 5 }} }}]\n[[claims]]\nsays = 's'\nmetric = 'mean'\nwhere = {{ 'loss.adversarial' = 'hinge', v = 'a' }}\nat-most = 1\n"
        );
        let first = plan(&text).expect("a plan");
        assert_eq!(first.cells.len(), 4);
        let again = plan(&first.document_text)
            .unwrap_or_else(|d| panic!("{}\n{}", first.document_text, d.render(Style::Plain)));
        assert_eq!(again.document_text, first.document_text);
        for (a, b) in first.cells.iter().zip(&again.cells) {
            assert_eq!((&a.id, &a.run, &a.experiment), (&b.id, &b.run, &b.experiment));
            let alone = Plan::of_run_config(&a.document())
                .unwrap_or_else(|d| panic!("{}\n{}", a.document(), d.render(Style::Plain)));
            assert_eq!((&alone.id, &alone.experiment), (&a.id, &a.experiment));
        }
        assert!(first.cells[0].document().contains("metrics-every = 10"), "defaults are written out");
    }

    #[test]
    fn the_id_sees_every_value_but_not_names_order_or_spelling() {
        let id = |text: &str| plan(text).expect("a plan").cells[0].id.clone();
        let base = id(TOY);
        assert_eq!(id(&TOY.replace("2e-4", "0.0002")), base);
        assert_eq!(id(&TOY.replace("name = \"toy\"", "name = \"other\"\npaper = \"p\"\nabout = \"x\"")), base);
        assert_eq!(id(&TOY.replace("{ adam = {} }", "\"adam\"")), base);
        assert_eq!(id(&TOY.replace("steps = 20, batch = 8", "batch = 8, steps = 20, generator-steps = 1")), base);
        assert_ne!(id(&TOY.replace("2e-4", "3e-4")), base);
        assert_ne!(id(&format!("{TOY}seed = 1")), base);
        assert_ne!(id(&format!("{TOY}output.keep = 9")), base);
    }

    #[test]
    fn mistakes_of_all_cells_come_at_once_each_one_time_with_their_count() {
        let text = wrong("[grid]\n\"schedule.batch\" = [8, -1]\n\"loss.adversarial\" = [\"hinge\", \"hing\"]\n");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "toy.toml:11:24: expected a whole number of 0 or more, got -1",
                "toy.toml:12:32: `adversarial` has no kind `hing`"
            ]
        );
        let all = plan(&format!("{TOY}[grid]\n\"schedule.batch\" = [8, -1]\n")).expect_err("wrong");
        assert_eq!(all.0[0].help.as_deref(), Some("in 1 of 2 cells of the grid"));
        let all = plan(&format!("{}[grid]\n\"schedule.batch\" = [8, 9]\n", TOY.replace("steps = 20", "steps = 0")))
            .expect_err("wrong");
        assert_eq!(all.0[0].help, None, "{all}");
    }

    #[test]
    fn cells_that_are_the_same_and_sets_without_effect_are_mistakes() {
        assert!(
            wrong("[grid]\n\"optimizer.generator.adam.lr\" = [1e-3, 0.001]")
                .contains("two cells of the grid are the same")
        );
        let text = format!(
            "{TOY}[grid]\nv = [{{ label = 'a', set = {{ 'optimizer.generator' = {{ sgd = {{ lr = 0.1 }} }} }} }}]"
        );
        let set = "optimizer.generator.adam.lr=1e-3".to_owned();
        let document = file::parse(Path::new("toy.toml"), &text, &[set]).expect("reads");
        let wrong = Plan::of(document, None).expect_err("no effect").to_string();
        assert_eq!(wrong, "--set:1:1: `optimizer.generator.adam.lr` is set, and the grid sets it again in every cell");
    }

    #[test]
    fn a_narrowed_grid_drops_the_claims_that_it_says_nothing_of() {
        let text = format!(
            "{TOY}[grid]\n\"loss.adversarial\" = [\"hinge\", \"vanilla\"]\n[[claims]]\nsays = 's'\nmetric = 'mean'\nwhere = {{ 'loss.adversarial' = 'hinge' }}\nat-most = 1\n"
        );
        assert_eq!(plan(&text).expect("a plan").claims.len(), 1);
        let document =
            file::parse(Path::new("toy.toml"), &text, &["loss.adversarial=vanilla".to_owned()]).expect("reads");
        let narrowed = Plan::of(document, None).expect("a plan");
        assert_eq!((narrowed.cells.len(), narrowed.claims.len()), (1, 0));
        assert!(plan(&narrowed.document_text).is_ok());
    }

    #[test]
    fn a_deep_check_gives_facts_and_its_problems_find_their_place() {
        let text = format!("{TOY}[grid]\n\"architecture.generator.mlp.hidden\" = [[4], [5]]");
        let deep: Box<DeepCheck<'_>> = Box::new(|e| match &e.architecture.generator {
            Some(crate::nn::NetworkSpec::Mlp(mlp)) if mlp.hidden == [5] => {
                Err(vec![crate::base::Problem::at("architecture.generator.mlp.hidden.0.out", "5 does not fit")])
            }
            _ => Ok(CellFacts { data_note: "1-D".to_owned(), ..CellFacts::default() }),
        });
        let wrong = Plan::of_text(Path::new("toy.toml"), &text, Some(&*deep)).expect_err("5").to_string();
        assert_eq!(wrong, "toy.toml:11:46: 5 does not fit");
        let plan = Plan::of_text(Path::new("toy.toml"), TOY, Some(&*deep)).expect("a plan");
        assert_eq!(plan.cells[0].facts.data_note, "1-D");
    }

    #[test]
    fn checks_that_need_two_values_say_both() {
        let one = |from: &str, to: &str| plan(&TOY.replace(from, to)).expect_err("wrong").to_string();
        assert!(one("batch = 8", "batch = 0").ends_with("expected 1 or more, got 0"));
        assert!(
            one(", discriminator = { mlp = { hidden = [4] } }", "")
                .ends_with("`gan` needs a network for its discriminator")
        );
        assert!(one("{ adam = {} }", "{ adam = { betas = [0.5, 1] } }").ends_with("expected a number below 1, got 1"));
        assert!(
            one("{ adam = {} }", "{ adam = { warm-up = 21 } }")
                .ends_with("the warm-up takes 21 steps, and there are 20")
        );
        assert!(
            one("loss.adversarial = \"vanilla\"", "loss = { adversarial = \"hinge\", label-smoothing = 0.9 }")
                .contains("label smoothing needs a loss with labels")
        );
        assert!(one("name = \"toy\"", "name = \"a/b\"").contains("cannot name a folder"));
        assert!(wrong("output.samples = 0\noutput.keep = 0").contains("expected 1 or more"));
    }

    #[test]
    fn claims_are_held_against_the_grid() {
        let claim = |text: &str| {
            wrong(&format!("[grid]\n\"loss.adversarial\" = [\"hinge\", \"vanilla\"]\n[[claims]]\nsays = 's'\n{text}"))
        };
        assert!(claim("metric = 'mean'").contains("a claim says what it expects"));
        assert!(claim("metric = 'mean'\nat-most = 1\nat-least = 0").contains("has `at-most`, `at-least`"));
        assert!(claim("metric = 'men'\nat-most = 1").contains("`eval.metrics` has no `men`"));
        assert!(
            claim("metric = 'd/loss'\nat-most = 1\nwhere = { 'loss.adversarail' = 'hinge' }")
                .contains("no cell has a key `loss.adversarail`")
        );
        assert!(
            claim("metric = 'd/loss'\nat-most = 1\nwhere = { 'loss.adversarial' = 'hing' }")
                .contains("no cell has this value of `loss.adversarial`")
        );
        assert!(
            claim("metric = 'd/loss'\nat-most = 1\nover = { share = 1.5 }")
                .contains("expected a number from 0 to 1, got 1.5")
        );
    }

    #[test]
    #[ignore = "a measurement: run it alone, in release"]
    fn a_thousand_cells_take_under_thirty_milliseconds() {
        let list = |n: usize| (1..=n).map(|i| format!("{}e-5", i)).collect::<Vec<_>>().join(", ");
        let text = format!(
            "{TOY}[grid]\n\"optimizer.generator.adam.lr\" = [{}]\n\"optimizer.discriminator.adam.lr\" = [{}]\n\"schedule.batch\" = [{}]",
            list(10),
            list(10),
            (8..18).map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
        );
        let best = |work: &dyn Fn()| {
            let once = |_| {
                let start = std::time::Instant::now();
                work();
                start.elapsed()
            };
            (0..20).map(once).min().expect("it ran")
        };
        let cells = plan(&text).expect("a plan").cells;
        let all = best(&|| assert_eq!(plan(&text).expect("a plan").cells.len(), 1000));
        let documents = best(&|| cells.iter().for_each(|cell| drop(cell.document())));
        assert!(all.as_millis() < 30, "{all:?} for the cells; {documents:?} for their documents");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn cells_are_as_many_as_the_product_and_their_ids_unique(a in 1u32..4, b in 1u32..4, seeds in 1u32..4) {
            let text = format!("{TOY}seeds = {seeds}\n[grid]\n'schedule.batch' = {:?}\n'schedule.steps' = {:?}", (1..=a).collect::<Vec<_>>(), (1..=b).collect::<Vec<_>>());
            let plan = plan(&text).map_err(|d| TestCaseError::fail(d.to_string()))?;
            let ids: HashSet<_> = plan.cells.iter().map(|c| &c.id).collect();
            let runs: HashSet<_> = plan.cells.iter().map(|c| &c.run).collect();
            prop_assert_eq!(plan.cells.len(), (a * b * seeds) as usize);
            prop_assert_eq!((ids.len(), runs.len()), (plan.cells.len(), plan.cells.len()));
        }

        #[test]
        fn the_id_does_not_depend_on_the_order_of_keys(order in Just((0..TOY.trim().lines().count()).collect::<Vec<_>>()).prop_shuffle()) {
            let lines: Vec<&str> = TOY.trim().lines().collect();
            let text: String = order.iter().map(|&i| format!("{}\n", lines[i])).collect();
            prop_assert_eq!(&plan(&text).expect("a plan").cells[0].id, &plan(TOY).expect("a plan").cells[0].id);
        }
    }
}
