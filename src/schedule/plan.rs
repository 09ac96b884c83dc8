//! From experiment files to entries that can be scheduled: plans, and the runs that their players begin with.

use super::limit_for;
use super::survey::{Config, Entry, find_again};
use crate::data::{DataError, DataRoots};
use crate::experiment::cell::id_of;
use crate::experiment::{Cell, Diagnostics, Experiment, Headers, Plan};
use crate::record::{RecordError, RunDir, RunState};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// A plan with its cells as the scheduler needs them.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Arc<Plan>,
    /// An entry for each of its cells, in their order.
    pub entries: Vec<Entry>,
    /// Data of it that are missing.
    pub missing: Option<Rc<DataError>>,
    /// Whether nobody named its runs: players of others begin with them.
    pub is_origin: bool,
}

/// Why experiments cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file is wrong.
    #[error(transparent)]
    Experiment(#[from] Diagnostics),
    /// A file names data that nobody knows.
    #[error(transparent)]
    Data(Rc<DataError>),
    /// A run directory cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Reads experiments and checks every cell of them, shapes included. The runs that players begin with come first; they
/// are looked for under `out`. `everywhere` are the folders in which every experiment looks for data.
///
/// # Errors
/// Everything that is wrong with the files, or a folder under `out` that cannot be read.
pub fn read(
    files: &[PathBuf],
    sets: &[String],
    everywhere: DataRoots,
    out: Option<&Path>,
) -> Result<Vec<Planned>, PlanError> {
    let headers = Headers::new(everywhere);
    let plans = Plan::load(files, sets, Some(&headers))?;
    let origins = origins(&plans, &headers);
    let of = |plan, is_origin| planned(plan, is_origin, &headers, out);
    let origins = origins.into_iter().map(|plan| of(plan, true));
    origins.chain(plans.into_iter().map(|plan| of(plan, false))).collect()
}

fn planned(plan: Plan, is_origin: bool, headers: &Headers, out: Option<&Path>) -> Result<Planned, PlanError> {
    let mut missing = None;
    for cell in &plan.cells {
        match headers.missing(&plan.file, &cell.experiment) {
            Some(error) if error.is_spec_mistake() => return Err(PlanError::Data(error)),
            error => missing = missing.or(error),
        }
    }
    let missing = missing.or_else(|| extractor_missing(&plan, headers).map(Rc::new));
    let original = original(&plan);
    let plan = Arc::new(plan);
    let roots = Roots::of(&plan, original.is_some(), headers);
    let mut entries: Vec<Entry> =
        (0..plan.cells.len()).map(|index| entry(&plan, index, &roots, original.as_ref())).collect();
    if let Some(out) = out.filter(|_| is_origin) {
        find_again(&mut entries, out)?;
    }
    Ok(Planned { plan, entries, missing, is_origin })
}

/// The runs that players of some plans begin with and that are in none of them: one plan per experiment.
fn origins(plans: &[Plan], headers: &Headers) -> Vec<Plan> {
    let mut known: HashSet<String> = plans.iter().flat_map(|plan| &plan.cells).map(|cell| cell.id.clone()).collect();
    let mut found: BTreeMap<String, (&Path, Vec<Cell>)> = BTreeMap::new();
    for plan in plans {
        let mut left: VecDeque<Experiment> = plan.cells.iter().flat_map(|cell| cell.experiment.origins()).collect();
        while let Some(experiment) = left.pop_front() {
            left.extend(experiment.origins());
            if known.insert(id_of(&experiment)) {
                // What is wrong with it was found with the cell that begins with it.
                let facts = headers.facts(&plan.file, &experiment).unwrap_or_default();
                let cell = Cell::alone(experiment, facts);
                found.entry(cell.experiment.name.clone()).or_insert_with(|| (&plan.file, vec![])).1.push(cell);
            }
        }
    }
    found.into_values().map(|(file, cells)| Plan::of_origins(file, cells)).collect()
}

/// The first file that an extractor of some cell lacks.
fn extractor_missing(plan: &Plan, headers: &Headers) -> Option<DataError> {
    let mut last = None;
    plan.cells.iter().find_map(|cell| {
        let eval = &cell.experiment.eval;
        // Most grids measure the same everywhere.
        let known = last.replace(eval) == Some(eval);
        let roots = || headers.roots(&plan.file, &cell.experiment.data_folders);
        if known { None } else { eval.found(&roots()).err() }
    })
}

/// The run whose `config.toml` this plan was read from, if it was: it keeps its name and what varied in it.
fn original(plan: &Plan) -> Option<RunState> {
    let ([cell], true) = (plan.cells.as_slice(), plan.file.file_name()? == "config.toml") else { return None };
    let state = RunDir::at(plan.file.parent()?).stored_state().ok()?;
    (state.id == cell.id && state.experiment == plan.name).then_some(state)
}

/// Where the cells of a plan look for data, and which of these folders their configurations name: those that can be
/// found from anywhere. A run's own folder holds no data.
struct Roots {
    looked_in: Vec<PathBuf>,
    named: Vec<PathBuf>,
}

impl Roots {
    /// The folders are no axis of a grid: they are the same for all cells.
    fn of(plan: &Plan, is_of_run: bool, headers: &Headers) -> Self {
        let folders = plan.cells.first().map_or(&[][..], |cell| &cell.experiment.data_folders);
        let looked_in = headers.roots(&plan.file, folders).folders;
        let named = looked_in.iter().skip(usize::from(is_of_run)).filter_map(|f| f.canonicalize().ok()).collect();
        Self { looked_in, named: DataRoots::new(named).folders }
    }
}

fn entry(plan: &Arc<Plan>, index: usize, roots: &Roots, original: Option<&RunState>) -> Entry {
    let cell = &plan.cells[index];
    let experiment = &cell.experiment;
    let (run, varies) =
        original.map_or_else(|| (&cell.run, cell.varies.clone()), |original| (&original.run, original.varies.clone()));
    let parameters = cell.facts.networks.iter().map(|network| network.total).sum();
    Entry {
        state: RunState::queued(&experiment.name, run, &cell.id, experiment.seed, experiment.schedule.steps, varies),
        config: Config::made_by({
            let plan = Arc::clone(plan);
            let named = roots.named.clone();
            move || plan.cells[index].document_with(&named)
        }),
        pack_key: cell.pack_key().to_owned(),
        pack_limit: limit_for(parameters),
        after: experiment.origins().map(|origin| id_of(&origin)).collect(),
        data_roots: roots.looked_in.clone(),
    }
}
