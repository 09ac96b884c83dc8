//! Reads run directories: every run below some folders, with its settings, state and values.
//!
//! A file that is missing or does not parse is named in [`Run::faults`]; its values are never guessed.

use crate::base::file::{self, FileError};
use crate::eval::{Direction, direction, why_undefined};
use crate::experiment::grid::fits;
use crate::experiment::plan::is_of;
use crate::experiment::{Cell, REMARKS};
use crate::record::run::find_runs;
use crate::record::{EvalRow, RecordError, RunDir, RunState, State, Table, read_eval, read_metrics};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An error of the file system.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder that cannot be searched.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no run.
    #[error("no run below {}: give a run directory, an experiment's folder, or the folder of all experiments", .0.display())]
    NoRuns(PathBuf),
    /// There is nothing at all.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// A document that does not parse.
    #[error("{} is not TOML: {message}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
}

/// The word for a state, or for one that cannot be read.
pub fn state_word(state: Option<State>) -> &'static str {
    state.map_or("unreadable", State::word)
}

/// A number of `eval.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The step after which it was measured.
    pub step: u64,
    /// The value, which may be infinite or NaN; `None` if it is undefined.
    pub value: Option<f64>,
    /// The recorded reason why the metric is undefined.
    pub undefined: Option<String>,
    /// How it was measured, without the seed: columns with their content, without empty ones.
    pub protocol: BTreeMap<String, String>,
}

/// A run, as read from its directory.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its directory.
    pub path: PathBuf,
    /// The directory's name.
    pub name: String,
    /// The experiment's folder name.
    pub experiment: String,
    /// `config.toml` without the seed and remarks; empty if it could not be read.
    pub settings: toml::Table,
    /// The seed.
    pub seed: Option<u64>,
    /// Its state; `None` if `run.json` could not be read.
    pub state: Option<State>,
    /// The content of `run.json`.
    pub facts: Option<RunState>,
    /// The scalars of `metrics.csv`: a name, and its steps with their numbers.
    pub scalars: BTreeMap<String, Vec<(u64, f64)>>,
    /// The metrics of `eval.csv`, each in order of steps.
    pub evals: BTreeMap<String, Vec<Reading>>,
    /// Files that are missing or corrupt, in words.
    pub faults: Vec<String>,
}

impl Run {
    /// Reads a run's directory.
    pub fn read(path: &Path) -> Self {
        let dir = RunDir::at(path);
        let mut faults = Vec::new();
        let facts = or_fault(&mut faults, dir.state());
        let config = or_fault(&mut faults, config(&dir, facts.as_ref())).unwrap_or_default();
        let (settings, seed) = settings(config);
        let seal = |path: &Path| facts.as_ref().and_then(|facts| facts.seal(path));
        let (metrics, eval) = (dir.metrics(), dir.eval());
        let scalars = or_fault(&mut faults, read_metrics(&metrics, seal(&metrics))).map(scalars).unwrap_or_default();
        let evals = or_fault(&mut faults, read_eval(&eval, seal(&eval))).map(evals).unwrap_or_default();
        let experiment = dir.path.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned());
        Self {
            name: dir.name(),
            experiment: experiment.unwrap_or_default(),
            seed: seed.or_else(|| facts.as_ref().map(|f| f.seed)),
            state: facts.as_ref().map(|f| f.state),
            path: dir.path,
            settings,
            facts,
            scalars,
            evals,
            faults,
        }
    }

    /// A cell of a plan that has no directory yet.
    pub fn not_begun(cell: &Cell, folder: &Path) -> Self {
        let (settings, seed) = settings(toml::from_str(&cell.document()).expect("a cell is written as TOML"));
        let experiment = &cell.experiment;
        let (steps, varies) = (experiment.schedule.steps, cell.varies.clone());
        let facts = RunState::queued(&experiment.name, &cell.run, &cell.id, experiment.seed, steps, varies);
        Self {
            path: folder.join(&cell.run),
            name: cell.run.clone(),
            experiment: experiment.name.clone(),
            settings,
            seed,
            state: Some(facts.state),
            facts: Some(facts),
            scalars: BTreeMap::new(),
            evals: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// Its point in the grid: axes with their values or labels as written, without the seed.
    pub fn point(&self) -> Vec<(&str, &str)> {
        let varies = self.facts.iter().flat_map(|f| &f.varies);
        varies.map(|(axis, value)| (axis.as_str(), value.as_str())).filter(|(axis, _)| *axis != "seed").collect()
    }

    /// Whether a selection includes it: by the value or label of an axis of the grid, or by a setting.
    pub fn is(&self, key: &str, wanted: &serde_json::Value) -> bool {
        if key == "seed" {
            return self.seed.is_some() && wanted.as_u64() == self.seed;
        }
        let labelled = self.point().iter().any(|(axis, value)| *axis == key && wanted.as_str() == Some(value));
        labelled || matches(&self.settings, key, wanted)
    }

    /// All values of a metric of `eval.csv`, or of a scalar of `metrics.csv`, by rising steps.
    pub fn series(&self, metric: &str) -> Vec<(u64, f64)> {
        match self.evals.get(metric) {
            Some(readings) => readings.iter().filter_map(|r| Some((r.step, r.value?))).collect(),
            None => self.scalars.get(metric).cloned().unwrap_or_default(),
        }
    }

    /// The last value of a metric, with its step; `None` if the last measurement is undefined.
    pub fn last(&self, metric: &str) -> Option<(u64, f64)> {
        match self.evals.get(metric) {
            Some(readings) => readings.last().and_then(|r| Some((r.step, r.value?))),
            None => self.scalars.get(metric).and_then(|s| s.last()).copied(),
        }
    }

    /// The best value of a metric, with its step: the first of several equal ones. Only finite values count; a metric
    /// without a direction has none.
    pub fn best(&self, metric: &str) -> Option<(u64, f64)> {
        let direction = direction(metric);
        let finite = self.series(metric).into_iter().filter(|(_, v)| v.is_finite() && direction != Direction::Neither);
        finite.reduce(|best, next| if direction.better(next.1, best.1) { next } else { best })
    }

    /// The newest sample picture, if there is one.
    pub fn picture(&self) -> Option<PathBuf> {
        self.pictures().pop()
    }

    /// All sample pictures, in order of their steps.
    pub fn pictures(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path.join("samples")) else { return Vec::new() };
        let step = |p: &Path| p.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u64>().ok());
        let png = |p: &PathBuf| p.extension().is_some_and(|e| e == "png");
        let pictures = entries.flatten().map(|e| e.path()).filter(png);
        let mut pictures: Vec<(u64, PathBuf)> = pictures.filter_map(|p| step(&p).map(|s| (s, p))).collect();
        pictures.sort();
        pictures.into_iter().map(|(_, p)| p).collect()
    }

    /// The picture of the data, if there is one.
    pub fn real_picture(&self) -> Option<PathBuf> {
        Some(self.path.join("samples/real.png")).filter(|p| p.is_file())
    }
}

/// Reads all runs at or below these paths, in order of path, none twice.
///
/// # Errors
/// If a path does not exist, cannot be listed, or has no run.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Run>, LoadError> {
    let mut found = BTreeSet::new();
    for path in paths {
        if !path.exists() {
            return Err(LoadError::Missing(path.clone()));
        }
        // A path such as `.` has no name of its own, and two paths may name one run.
        let runs = find_runs(&path.canonicalize().unwrap_or_else(|_| path.clone()))?;
        if runs.is_empty() {
            return Err(LoadError::NoRuns(path.clone()));
        }
        found.extend(runs.into_iter().map(|run| run.path));
    }
    let found: Vec<PathBuf> = found.into_iter().collect();
    // Runs are thousands of small, independent files, so that reading them scales with the cores.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(std::thread::scope(|scope| {
        let share = found.len().div_ceil(cores).max(1);
        let read = |paths: &[PathBuf]| paths.iter().map(|path| Run::read(path)).collect::<Vec<_>>();
        let readers: Vec<_> = found.chunks(share).map(|paths| scope.spawn(move || read(paths))).collect();
        readers.into_iter().flat_map(|reader| reader.join().expect("reading answers with faults")).collect()
    }))
}

/// The configuration of a run, if it is the one that the run started with.
fn config(dir: &RunDir, facts: Option<&RunState>) -> Result<toml::Table, LoadError> {
    let path = dir.config();
    let text = file::read_text(&path)?;
    let table = parse_toml(&path, &text)?;
    if facts.is_some_and(|facts| !is_of(&text, facts)) {
        let reason = "it is not the configuration that the run started with".to_owned();
        return Err(RecordError::Corrupt { path, reason }.into());
    }
    Ok(table)
}

/// A TOML document as a table.
///
/// # Errors
/// If it cannot be read or does not parse.
pub fn read_toml(path: &Path) -> Result<toml::Table, LoadError> {
    parse_toml(path, &file::read_text(path)?)
}

fn parse_toml(path: &Path, text: &str) -> Result<toml::Table, LoadError> {
    toml::from_str(text).map_err(|e| LoadError::Toml { path: path.to_owned(), message: e.message().to_owned() })
}

/// The value, or nothing and a fault.
fn or_fault<T, E: std::fmt::Display>(faults: &mut Vec<String>, result: Result<T, E>) -> Option<T> {
    result.map_err(|e| faults.push(e.to_string())).ok()
}

/// A configuration without remarks and seed, and the seed.
pub fn settings(mut config: toml::Table) -> (toml::Table, Option<u64>) {
    let seed = config.remove("seed").and_then(|s| s.as_integer()).and_then(|s| u64::try_from(s).ok());
    config.retain(|key, _| key == "name" || !REMARKS.contains(&key));
    without_remarks(&mut config);
    (config, seed)
}

/// Removes the remarks of the experiments that players start from.
fn without_remarks(config: &mut toml::Table) {
    let starts = config.get_mut("start").and_then(toml::Value::as_table_mut);
    for (_, start) in starts.into_iter().flatten() {
        if let Some(experiment) = start.get_mut("experiment").and_then(toml::Value::as_table_mut) {
            experiment.retain(|key, _| !REMARKS.contains(&key));
            without_remarks(experiment);
        }
    }
}

/// The columns of `metrics.csv`, without their empty fields.
fn scalars(table: Table) -> BTreeMap<String, Vec<(u64, f64)>> {
    let mut scalars = BTreeMap::new();
    for (i, column) in table.columns.into_iter().enumerate() {
        let values = table.rows.iter().filter_map(|(step, row)| Some((*step, (*row.get(i)?)?)));
        scalars.insert(column, values.collect());
    }
    scalars
}

/// The metrics of `eval.csv`. A number measured again (same step, same protocol) replaces the one before.
fn evals(rows: Vec<EvalRow>) -> BTreeMap<String, Vec<Reading>> {
    let mut evals: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
    for row in rows {
        let parameters = row.protocol.iter().find(|(column, _)| column == "parameters");
        let undefined = parameters.and_then(|(_, text)| why_undefined(text)).map(str::to_owned);
        let protocol =
            row.protocol.into_iter().filter(|(column, value)| column != "seed" && !value.is_empty()).collect();
        let reading = Reading { step: row.step, value: row.value, undefined, protocol };
        let readings = evals.entry(row.metric).or_default();
        match readings.iter_mut().find(|r| r.step == reading.step && r.protocol == reading.protocol) {
            Some(old) => *old = reading,
            None => readings.push(reading),
        }
    }
    for readings in evals.values_mut() {
        readings.sort_by_key(|r| r.step);
    }
    evals
}

/// The tag of `{ tag = {} }`.
fn bare_tag(value: &toml::Value) -> Option<&str> {
    let table = value.as_table().filter(|t| t.len() == 1)?;
    let (tag, content) = table.iter().next()?;
    content.as_table().filter(|t| t.is_empty()).map(|_| tag.as_str())
}

/// A value for a reader: strings without quotes, a tag before its content, the rest as TOML.
pub fn text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Table(table) if table.len() == 1 => {
            let (tag, content) = table.iter().next().expect("its length is 1");
            if bare_tag(value).is_some() { tag.clone() } else { format!("{tag} {content}") }
        }
        other => other.to_string(),
    }
}

/// The value of a document at a dotted key.
pub fn lookup<'a>(document: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    let mut parts = key.split('.');
    let mut at = document.get(parts.next()?)?;
    for part in parts {
        at = at.as_table()?.get(part)?;
    }
    Some(at)
}

/// Whether the value at a dotted key matches that of a selection: an equal number, text or list; a tag by its bare name; a
/// table with at least the wanted keys.
fn matches(settings: &toml::Table, key: &str, wanted: &serde_json::Value) -> bool {
    lookup(settings, key).and_then(|have| serde_json::to_value(have).ok()).is_some_and(|have| fits(wanted, &have))
}

/// A setting that differs between documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Varying {
    /// The dotted key.
    pub key: String,
    /// Its value in each document, as text; `None` if the document does not have it.
    pub values: Vec<Option<String>>,
}

/// What differs between documents, at the deepest key that all of them have. If documents have different tags (`{ adam = … }`
/// and `{ sgd = … }`), the tag with its content is one setting.
pub fn varying(documents: &[&toml::Table]) -> Vec<Varying> {
    fn walk(prefix: &str, values: &[Option<&toml::Value>], out: &mut Vec<Varying>) {
        if values.windows(2).all(|pair| pair[0] == pair[1]) {
            return;
        }
        let tables: Option<Vec<&toml::Table>> = values.iter().map(|v| v.and_then(toml::Value::as_table)).collect();
        let tags = |tables: &[&toml::Table]| {
            tables.iter().all(|t| t.len() == 1) && !tables.windows(2).all(|pair| pair[0].keys().eq(pair[1].keys()))
        };
        match tables {
            Some(tables) if !tags(&tables) => {
                let keys: BTreeSet<&String> = tables.iter().flat_map(|t| t.keys()).collect();
                for key in keys {
                    let inner: Vec<_> = tables.iter().map(|t| t.get(key)).collect();
                    walk(&if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, &inner, out);
                }
            }
            _ => out.push(Varying { key: prefix.to_owned(), values: values.iter().map(|v| v.map(text)).collect() }),
        }
    }
    let wrapped: Vec<toml::Value> = documents.iter().map(|d| toml::Value::Table((*d).clone())).collect();
    let mut out = Vec::new();
    walk("", &wrapped.iter().map(Some).collect::<Vec<_>>(), &mut out);
    out
}

/// Long texts, cut to the parts that differ: a common start or end becomes an ellipsis.
pub fn distinct(texts: &[String]) -> Vec<String> {
    const LONG: usize = 40;
    if texts.iter().all(|t| t.chars().count() <= LONG) {
        return texts.to_vec();
    }
    let chars: Vec<Vec<char>> = texts.iter().map(|t| t.chars().collect()).collect();
    let shortest = chars.iter().map(Vec::len).min().unwrap_or(0);
    let agree = |at: &dyn Fn(&Vec<char>) -> char| chars.iter().all(|c| at(c) == at(&chars[0]));
    let mut front = (0..shortest).take_while(|&i| agree(&|c| c[i])).count();
    // Cuts are between words.
    while front > 0 && !matches!(chars[0][front - 1], ' ' | '{' | '[' | '/') {
        front -= 1;
    }
    let mut back = (0..shortest - front).take_while(|&i| agree(&|c| c[c.len() - 1 - i])).count();
    let between = |at: usize| {
        let words = |c: char| !matches!(c, ' ' | '{' | '[' | '}' | ']' | ',');
        let first = &chars[0];
        !(words(first[at]) && at > 0 && words(first[at - 1]))
    };
    while back > 0 && !between(chars[0].len() - back) {
        back -= 1;
    }
    let cut = |c: &Vec<char>| {
        let middle: String = c[front..c.len() - back].iter().collect();
        let middle = middle.trim().trim_end_matches(',');
        let middle = if middle.is_empty() { "(without)" } else { middle };
        let dots = |n: usize| if n > 0 { "…" } else { "" };
        let whole = format!("{}{middle}{}", dots(front), dots(back));
        if whole.chars().count() <= 2 * LONG {
            whole
        } else {
            whole.chars().take(2 * LONG - 1).chain(['…']).collect()
        }
    };
    chars.iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(text: &str) -> toml::Table {
        toml::from_str(text).expect("the test's own TOML parses")
    }

    #[test]
    fn what_varies_is_named_at_the_deepest_common_key() {
        let documents = [
            "[loss]\nadversarial = 'hinge'\n[optimizer.generator.adam]\nlr = 1e-3\n[data.ring]\nmodes = 8\n[schedule]\nsteps = 5",
            "[loss.adversarial.wasserstein]\nclip = 0.01\n[optimizer.generator.sgd]\nlr = 0.1\n[data.ring]\nmodes = 9\n[schedule]\nsteps = 5",
            "[loss.adversarial.vanilla]\n[optimizer.generator.adam]\nlr = 1e-3\n[data.ring]\nmodes = 9\n[schedule]\nsteps = 5\norder = 'x'",
        ]
        .map(table);
        let rows: Vec<String> = varying(&documents.iter().collect::<Vec<_>>())
            .into_iter()
            .map(|v| {
                let texts: Vec<_> = v.values.into_iter().map(|t| t.unwrap_or_else(|| "-".to_owned())).collect();
                format!("{}: {}", v.key, texts.join(" | "))
            })
            .collect();
        assert_eq!(
            rows,
            [
                "data.ring.modes: 8 | 9 | 9",
                "loss.adversarial: hinge | wasserstein { clip = 0.01 } | vanilla",
                "optimizer.generator: adam { lr = 0.001 } | sgd { lr = 0.1 } | adam { lr = 0.001 }",
                "schedule.order: - | - | x",
            ]
        );
    }

    #[test]
    fn a_selection_matches_tags_numbers_and_parts_of_tables() {
        let config = table(
            "[loss.adversarial.wasserstein]\nclip = 0.01\n[data]\nkind = 'ring'\n[schedule]\nsteps = 5\nlist = [1, 2.0]\nordered = true",
        );
        let yes = [
            ("loss.adversarial", json!("wasserstein")),
            ("loss.adversarial.wasserstein.clip", json!(0.01)),
            ("loss", json!({ "adversarial": { "wasserstein": {} } })),
            ("data.kind", json!("ring")),
            ("data.kind", json!({ "ring": {} })),
            ("schedule.steps", json!(5.0)),
            ("schedule.list", json!([1, 2])),
            ("schedule.ordered", json!(true)),
        ];
        let no = [
            ("loss.adversarial", json!("hinge")),
            ("loss.adversarial.wasserstein.clip", json!(0.02)),
            ("loss.penalty", json!("r1")),
            ("schedule.steps", json!("5")),
            ("schedule.steps.more", json!(5)),
            ("schedule.list", json!([1])),
        ];
        for (key, value) in yes {
            assert!(matches(&config, key, &value), "{key} {value}");
        }
        for (key, value) in no {
            assert!(!matches(&config, key, &value), "{key} {value}");
        }
    }

    #[test]
    fn long_values_are_cut_to_where_they_differ() {
        let texts = [
            "[{ linear = 8 }, \"relu\", { minibatch-discrimination = { kernels = 5 } }, { linear = 1 }]".to_owned(),
            "[{ linear = 8 }, \"relu\", { linear = 1 }]".to_owned(),
        ];
        assert_eq!(distinct(&texts), ["…minibatch-discrimination = { kernels = 5 } }, {…", "…(without)…"]);
    }

    #[test]
    fn files_that_do_not_parse_are_named_and_give_no_number() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = folder.path().join("exp/a");
        let write = |name: &str, text: &str| file::write_atomic(&run.join(name), text.as_bytes()).expect("writes");
        write("config.toml", "name = 'exp'\nseed = 1\n");
        write("run.json", "{ \"state\": \"do");
        write("metrics.csv", "step,d/loss,g/loss\n10,0.5,\n20,oops,0.25\n");
        write(
            "eval.csv",
            "step,metric,value,n,seed\n10,w1,0.5,100,1\n10,w2,1,100,1\n20,w2,,100,1\n20,w1,0.4,100,1\n20,w1,0.3,100,1\n",
        );
        let runs = load(&[folder.path().to_owned()]).expect("there is a run");
        let [run] = &runs[..] else { panic!("one run") };
        assert_eq!((run.state, run.seed, run.experiment.as_str()), (None, Some(1), "exp"));
        assert_eq!(run.last("d/loss"), None);
        assert_eq!((run.last("w1"), run.series("w1")), (Some((20, 0.3)), vec![(10, 0.5), (20, 0.3)]));
        assert_eq!(run.last("w2"), None, "what could not be measured at last has no last number");
        let named: Vec<bool> =
            ["run.json", "metrics.csv"].iter().zip(&run.faults).map(|(f, t)| t.contains(f)).collect();
        assert_eq!(named, [true, true], "{:?}", run.faults);
        assert_eq!(run.evals["w1"][0].protocol, BTreeMap::from([("n".to_owned(), "100".to_owned())]));
    }

    #[test]
    fn a_folder_without_runs_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(matches!(load(&[folder.path().to_owned()]), Err(LoadError::NoRuns(_))));
        assert!(matches!(load(&[folder.path().join("none")]), Err(LoadError::Missing(_))));
    }

    #[test]
    fn the_best_number_follows_the_direction() {
        let mut run = Run::read(Path::new("nowhere"));
        let numbers = vec![(1, 2.0), (2, f64::NAN), (3, 1.0), (4, 1.0), (5, 3.0)];
        for metric in ["w1", "modes/quality", "mean"] {
            run.scalars.insert(metric.to_owned(), numbers.clone());
        }
        assert_eq!(run.best("w1"), Some((3, 1.0)), "lower is better");
        assert_eq!(run.best("modes/quality"), Some((5, 3.0)), "higher is better");
        assert_eq!((run.best("mean"), run.best("none")), (None, None));
    }
}
