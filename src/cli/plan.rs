//! `plan` and `check`, and the reading of experiments that `run` shares with them.

use super::args::{CheckArgs, PlanArgs};
use super::{Exit, FORMAT, Failure, data_roots_of, print, print_json};
use crate::assemble::{self, PlayerNetwork};
use crate::base::Problem;
use crate::data::{DataError, DataInfo, DataRoots, DataSpec};
use crate::experiment::check::{CellFacts, NetworkRow, NetworkTable};
use crate::experiment::plan::id_of;
use crate::experiment::{Cell, Experiment, Plan, StartSpec};
use crate::record::{RunDir, RunState, State};
use crate::schedule::survey::{Config, dir_of, find_again};
use crate::schedule::{Decision, Entry, limit_for, plan_packs};
use crate::ui::{table, words};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// A plan with its cells as the scheduler sees them.
pub(super) struct Planned {
    pub plan: Arc<Plan>,
    pub entries: Vec<Entry>,
    /// What is missing of its data.
    pub missing: Option<Rc<DataError>>,
    /// Whether its runs are here only because others begin with them.
    pub is_origin: bool,
}

/// Reads experiments and checks every cell of them as deep as goes without a tensor. What runs begin with stands before
/// them; it is looked for under `out`.
pub(super) fn read(files: &[PathBuf], sets: &[String], out: Option<&Path>) -> Result<Vec<Planned>, Failure> {
    let sources = Sources { files, known: RefCell::default(), missing: RefCell::default() };
    let mut plans = Plan::load(files, sets, Some(&|cell: &Experiment| sources.look(cell)))?;
    let origins = origins(&plans, &sources);
    let missing = sources.missing.into_inner();
    if let Some(error) = missing.iter().find(|(_, error)| error.is_spec_mistake()) {
        return Err(Failure::new(Exit::Experiment, &error.1));
    }
    let missing: Vec<(DataSpec, Rc<DataError>)> = missing.into_iter().map(|(spec, e)| (spec, Rc::new(e))).collect();
    let mut planned = Vec::new();
    let before = origins.len();
    plans.splice(0..0, origins);
    for (at, plan) in plans.into_iter().enumerate() {
        let original = original(&plan);
        let plan = Arc::new(plan);
        let roots = roots(&plan, original.is_some());
        let mut entries: Vec<Entry> =
            (0..plan.cells.len()).map(|place| entry(&plan, place, &roots, original.as_ref())).collect();
        if let Some(out) = out.filter(|_| at < before) {
            find_again(&mut entries, out)?;
        }
        let mine = |spec: &DataSpec| plan.cells.iter().any(|cell| cell.experiment.data == *spec);
        let missing = missing.iter().find(|(spec, _)| mine(spec)).map(|(_, error)| error.clone());
        let missing = missing.or_else(|| extractor_missing(&plan).map(Rc::new));
        planned.push(Planned { plan, entries, missing, is_origin: at < before });
    }
    Ok(planned)
}

/// The runs that cells of some plans begin with and that are in none of them, a plan for each experiment.
fn origins(plans: &[Plan], sources: &Sources<'_>) -> Vec<Plan> {
    let mut known: HashSet<String> = plans.iter().flat_map(|plan| &plan.cells).map(|cell| cell.id.clone()).collect();
    let mut found: BTreeMap<String, (&Path, Vec<Cell>)> = BTreeMap::new();
    for plan in plans {
        let mut left: VecDeque<Experiment> = plan.cells.iter().flat_map(|cell| cell.experiment.origins()).collect();
        while let Some(experiment) = left.pop_front() {
            left.extend(experiment.origins());
            // It was looked at with the cell that begins with it.
            let facts = sources.look(&experiment).unwrap_or_default();
            let cell = Cell::alone(experiment, facts);
            if known.insert(cell.id.clone()) {
                found.entry(cell.experiment.name.clone()).or_insert_with(|| (&plan.file, vec![])).1.push(cell);
            }
        }
    }
    found.into_values().map(|(file, cells)| Plan::of_origins(file, cells)).collect()
}

/// What an extractor of some cell lacks.
fn extractor_missing(plan: &Plan) -> Option<DataError> {
    let mut last = None;
    plan.cells.iter().find_map(|cell| {
        let eval = &cell.experiment.eval;
        // Most grids measure the same everywhere.
        let known = last.replace(eval) == Some(eval);
        let roots = || data_roots_of(&plan.file, &cell.experiment.data_folders);
        if known { None } else { eval.found(&roots()).err() }
    })
}

/// The run whose `config.toml` this plan was read from, if it was: it keeps its name and what it varied in.
fn original(plan: &Plan) -> Option<RunState> {
    let ([cell], true) = (plan.cells.as_slice(), plan.file.file_name()? == "config.toml") else { return None };
    let state = RunDir::at(plan.file.parent()?).stored_state().ok()?;
    (state.id == cell.id && state.experiment == plan.name).then_some(state)
}

/// Where the cells of a plan look for data, and which of these folders their own files will name: such as are found from
/// anywhere. A run's own folder holds no data.
struct Roots {
    looked_in: Vec<PathBuf>,
    named: Vec<PathBuf>,
}

/// The folders are no axis of a grid, so that they are the same for all cells.
fn roots(plan: &Plan, is_of_run: bool) -> Roots {
    let folders = plan.cells.first().map_or(&[][..], |cell| &cell.experiment.data_folders);
    let looked_in = data_roots_of(&plan.file, folders).folders;
    let named = looked_in.iter().skip(usize::from(is_of_run)).filter_map(|f| f.canonicalize().ok()).collect();
    Roots { looked_in, named: DataRoots::new(named).folders }
}

fn entry(plan: &Arc<Plan>, place: usize, roots: &Roots, original: Option<&RunState>) -> Entry {
    let cell = &plan.cells[place];
    let experiment = &cell.experiment;
    let (run, varies) =
        original.map_or_else(|| (&cell.run, cell.varies.clone()), |original| (&original.run, original.varies.clone()));
    let parameters = cell.facts.networks.iter().map(|network| network.total).sum();
    Entry {
        state: RunState::queued(&experiment.name, run, &cell.id, experiment.seed, experiment.schedule.steps, varies),
        config: Config::made_by({
            let plan = Arc::clone(plan);
            let named = roots.named.clone();
            move || plan.cells[place].document_with(&named)
        }),
        pack_key: cell.pack_key().to_owned(),
        pack_limit: limit_for(parameters),
        after: experiment.origins().map(|origin| id_of(&origin)).collect(),
        data_roots: roots.looked_in.clone(),
    }
}

/// The data that cells name, each looked at once.
struct Sources<'a> {
    files: &'a [PathBuf],
    known: RefCell<Vec<(DataSpec, Option<DataInfo>)>>,
    missing: RefCell<Vec<(DataSpec, DataError)>>,
}

impl Sources<'_> {
    /// What a plan shows of a cell, or what is wrong with it. Data that are missing are no mistake of the cell.
    fn look(&self, cell: &Experiment) -> Result<CellFacts, Vec<Problem>> {
        let info = match self.info(&cell.data, &cell.data_folders) {
            Ok(Some(info)) => info,
            Ok(None) => return Ok(CellFacts { data_note: "data are missing".to_owned(), ..CellFacts::default() }),
            Err(message) => return Err(vec![Problem::at("data", message)]),
        };
        let mut problems: Vec<Problem> = cell
            .eval
            .problems(&info, cell.algorithm.family().products())
            .into_iter()
            .map(|(place, message)| Problem::at(format!("eval.metrics.{place}"), message))
            .collect();
        let networks = assemble::networks(cell, &info).unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        let mut starts = Vec::new();
        // Where its own networks are wrong, what they would begin with is not looked at.
        let asked = if problems.is_empty() { &cell.start } else { &BTreeMap::new() };
        for (player, start) in asked.iter().filter(|(_, start)| start.layers != Some(0)) {
            match self.begins_with(player, start, &networks) {
                Ok(words) => starts.extend(words),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let networks = networks
            .iter()
            .map(|network| NetworkTable {
                name: network.part.player.to_owned(),
                rows: network.plan.rows.iter().map(row).collect(),
                total: network.plan.learned() as u64,
            })
            .collect();
        let metrics =
            cell.eval.metrics.iter().flat_map(|m| m.names(&info)).map(|name| name.name.into_owned()).collect();
        Ok(CellFacts { networks, data_note: note(&info), metrics, starts })
    }

    /// What a player begins with in words, where the data of the other experiment are there.
    fn begins_with(
        &self,
        player: &str,
        start: &StartSpec,
        networks: &[PlayerNetwork],
    ) -> Result<Option<String>, Vec<Problem>> {
        let other = &*start.experiment;
        let below = |found: Vec<Problem>| {
            found.into_iter().map(|problem| problem.below(&format!("start.{player}.experiment"))).collect::<Vec<_>>()
        };
        self.look(other).map_err(below)?;
        let Ok(Some(info)) = self.info(&other.data, &other.data_folders) else { return Ok(None) };
        let others = assemble::networks(other, &info).map_err(below)?;
        assemble::start::fit(player, start, networks, &others).map(Some).map_err(|problem| vec![problem])
    }

    fn info(&self, spec: &DataSpec, named: &[PathBuf]) -> Result<Option<DataInfo>, String> {
        if let Some((_, info)) = self.known.borrow().iter().find(|(known, _)| known == spec) {
            return Ok(info.clone());
        }
        let mut error = None;
        let mut found = None;
        for file in self.files {
            match spec.info(&data_roots_of(file, named)) {
                Ok(info) => {
                    found = Some(info);
                    break;
                }
                Err(DataError::Spec(message)) => return Err(message),
                Err(other) => error = error.or(Some(other)),
            }
        }
        if let (None, Some(error)) = (&found, error) {
            self.missing.borrow_mut().push((spec.clone(), error));
        }
        self.known.borrow_mut().push((spec.clone(), found.clone()));
        Ok(found)
    }
}

fn row(row: &crate::nn::plan::Row) -> NetworkRow {
    NetworkRow {
        name: row.name.clone(),
        kind: row.kind.to_owned(),
        shape: row.shape.clone(),
        params: row.params as u64,
    }
}

/// The data in a few words.
fn note(info: &DataInfo) -> String {
    let mut text = match info.len {
        Some(n) => format!("{} examples of {}", words::count(n), table::shape(&info.shape)),
        None => format!("drawn on the fly, {}", table::shape(&info.shape)),
    };
    if info.classes > 0 {
        text.push_str(&format!(", {} classes", info.classes));
    }
    text
}

/// `gantlet check`.
pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let planned = read(&args.files, &args.sets.sets, None)?;
    for Planned { plan, missing, .. } in planned.iter().filter(|planned| !planned.is_origin) {
        let networks = plan.cells.first().map_or(0, |cell| cell.facts.networks.len());
        let deep = if missing.is_some() { "the shapes are not checked without the data" } else { "shapes fit" };
        print(&format!(
            "{}: {} and {} are good{}\n",
            plan.file.display(),
            words::plural(plan.cells.len(), "cell"),
            words::plural(plan.claims.len(), "claim"),
            if networks > 0 || missing.is_some() { format!(", {deep}") } else { String::new() },
        ))?;
    }
    data_missing(&planned).map_or(Ok(Exit::Well), Err)
}

/// What is missing of the data of some plans, each once.
pub(super) fn data_missing(planned: &[Planned]) -> Option<Failure> {
    let mut all: Vec<String> = Vec::new();
    for error in planned.iter().filter_map(|planned| planned.missing.as_ref()) {
        let text = error.to_string();
        if !all.contains(&text) {
            all.push(text);
        }
    }
    (!all.is_empty()).then(|| Failure::all(Exit::Data, &all))
}

/// Where an entry stands, for a look that changes nothing; what cannot be read is `None`.
fn stands(entry: &Entry, out: &Path) -> Option<State> {
    let dir = dir_of(entry, out);
    if !dir.exists() {
        return None;
    }
    dir.state().ok().map(|state| state.state)
}

/// `gantlet plan`.
pub(super) fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let planned = read(&args.files, &args.sets.sets, Some(&args.out.out))?;
    let mut all = Vec::new();
    for planned in &planned {
        let view = View::new(planned, &args.out.out, args.no_pack);
        if args.json {
            all.push(view.json());
        } else {
            print(&view.text())?;
        }
    }
    if args.json {
        print_json(&json!({ "version": FORMAT, "experiments": all }))?;
    }
    data_missing(&planned).map_or(Ok(Exit::Well), Err)
}

/// What `plan` shows of one experiment.
struct View<'a> {
    planned: &'a Planned,
    states: Vec<Option<State>>,
    packs: Vec<usize>,
}

/// The most configurations that a table shows.
const MOST_ROWS: usize = 40;

impl<'a> View<'a> {
    fn new(planned: &'a Planned, out: &Path, no_pack: bool) -> Self {
        let states: Vec<Option<State>> = planned.entries.iter().map(|entry| stands(entry, out)).collect();
        let decisions: Vec<Decision> = states
            .iter()
            .map(|state| match state {
                None => Decision::Start,
                Some(State::Done) => Decision::Done,
                Some(state @ (State::Failed | State::Diverged)) => Decision::Leave(*state),
                Some(State::Running) => Decision::Held(String::new()),
                Some(State::Queued | State::Interrupted) => Decision::Resume { step: 0, threads: None },
            })
            .collect();
        let packs = plan_packs(&planned.entries, &decisions, no_pack, 1).iter().map(|pack| pack.runs.len()).collect();
        Self { planned, states, packs }
    }

    /// States of some cells in words: `3 new, 12 done`.
    fn counts(&self, cells: &[usize]) -> String {
        let mut counts: BTreeMap<Option<State>, usize> = BTreeMap::new();
        for &cell in cells {
            *counts.entry(self.states[cell]).or_default() += 1;
        }
        let name = |state: &Option<State>| state.map_or("new", State::word);
        counts.iter().map(|(state, n)| format!("{n} {}", name(state))).collect::<Vec<_>>().join(", ")
    }

    /// The cells of each configuration, by what varies.
    fn configurations(&self) -> Vec<(&[(String, String)], Vec<usize>)> {
        let mut groups: Vec<(&[(String, String)], Vec<usize>)> = Vec::new();
        for (index, cell) in self.planned.plan.cells.iter().enumerate() {
            // Seeds run fastest, so that a configuration's cells stand together.
            match groups.last_mut() {
                Some((varies, cells)) if *varies == cell.varies.as_slice() => cells.push(index),
                _ => groups.push((&cell.varies, vec![index])),
            }
        }
        groups
    }

    /// Each set of networks once, with the first configuration that has it and the number of cells.
    fn networks(&self) -> Vec<(&[NetworkTable], usize, usize)> {
        let mut all: Vec<(&[NetworkTable], usize, usize)> = Vec::new();
        for (index, cell) in self.planned.plan.cells.iter().enumerate() {
            let networks = cell.facts.networks.as_slice();
            match all.iter_mut().find(|(known, ..)| *known == networks) {
                Some((.., n)) => *n += 1,
                None if !networks.is_empty() => all.push((networks, index, 1)),
                None => {}
            }
        }
        all
    }

    /// How long runs train, where cells differ in it: each number with its name.
    fn lengths(&self) -> Vec<(&'static str, fn(&Cell) -> u64)> {
        let all: [(_, fn(&Cell) -> u64); 2] = [
            ("steps", |cell| cell.experiment.schedule.steps),
            ("critic steps", |cell| u64::from(cell.experiment.schedule.critic_steps.each)),
        ];
        let differs =
            |of: &fn(&Cell) -> u64| self.planned.plan.cells.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]));
        // An axis of the grid has a column of its own.
        let shown = |name: &str| self.planned.plan.grid_keys.iter().any(|key| key.ends_with(&name.replace(' ', "-")));
        all.into_iter().filter(|(name, of)| differs(of) && !shown(name)).collect()
    }

    fn steps(&self) -> u64 {
        self.planned.entries.iter().map(|entry| entry.state.steps).sum()
    }

    /// Bytes that the runs will take, roughly: checkpoints with moments, rows, pictures.
    fn disk(&self) -> u64 {
        let cells = &self.planned.plan.cells;
        cells.iter().map(|cell| disk_of(&cell.experiment, &cell.facts)).sum()
    }

    fn text(&self) -> String {
        let plan = &self.planned.plan;
        let all: Vec<usize> = (0..plan.cells.len()).collect();
        let configurations = self.configurations();
        let kinds = match self.planned.is_origin {
            true => "others begin with them".to_owned(),
            false => format!(
                "{} of {}",
                words::plural(configurations.len(), "configuration"),
                words::plural(plan.cells.len() / configurations.len().max(1), "seed")
            ),
        };
        let runs = words::count(plan.cells.len() as u64);
        let mut facts =
            vec![("runs", format!("{runs} ({kinds}): {}", self.counts(&all))), ("packs", self.packs_in_words())];
        let starts: BTreeSet<&String> = plan.cells.iter().flat_map(|cell| &cell.facts.starts).collect();
        facts.extend(starts.into_iter().map(|start| ("start", start.clone())));
        if let Some(cell) = plan.cells.first() {
            facts.push(("data", cell.facts.data_note.clone()));
        }
        facts.push(("steps", format!("{} in all", words::count(self.steps()))));
        facts.push(("disk", format!("about {}", words::bytes(self.disk()))));
        facts.push(("claims", plan.claims.len().to_string()));
        let mut text = format!("{}  ({})\n\n{}", plan.name, plan.file.display(), table::pairs(&facts));
        if !plan.grid_keys.is_empty() {
            let lengths = self.lengths();
            let mut header: Vec<&str> = plan.grid_keys.iter().map(String::as_str).collect();
            header.extend(lengths.iter().map(|(name, _)| *name));
            header.extend(["seeds", "state"]);
            let rows: Vec<Vec<String>> = configurations
                .iter()
                .take(MOST_ROWS)
                .map(|(varies, cells)| {
                    let value = |key: &String| {
                        varies.iter().find(|(k, _)| k == key).map_or_else(String::new, |(_, value)| value.clone())
                    };
                    let mut row: Vec<String> = plan.grid_keys.iter().map(value).collect();
                    row.extend(lengths.iter().map(|(_, of)| words::count(of(&plan.cells[cells[0]]))));
                    row.push(cells.len().to_string());
                    row.push(self.counts(cells));
                    row
                })
                .collect();
            text.push_str(&format!("\n{}", table::text(&header, &rows)));
            if configurations.len() > MOST_ROWS {
                text.push_str(&format!("… and {} more\n", configurations.len() - MOST_ROWS));
            }
        }
        let networks = self.networks();
        for (tables, first, n) in networks.iter().take(4) {
            if networks.len() > 1 {
                let varies = &plan.cells[*first].varies;
                let which: Vec<String> = varies.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                text.push_str(&format!("\nnetworks of {}, first {}:\n", words::plural(*n, "run"), which.join(", ")));
            }
            for network in *tables {
                text.push_str(&format!("\n{}", table::network(network)));
            }
        }
        if networks.len() > 4 {
            text.push_str(&format!("\n… and {} more kinds of networks (--json has all)\n", networks.len() - 4));
        }
        text + "\n"
    }

    fn packs_in_words(&self) -> String {
        let Some(largest) = self.packs.iter().max() else { return "none: nothing is left to do".to_owned() };
        match (self.packs.len(), self.packs.iter().min()) {
            (1, _) => format!("1 of {}", words::plural(*largest, "run")),
            (n, Some(least)) if least == largest => format!("{n} of {} each", words::plural(*largest, "run")),
            (n, least) => format!("{n} of {} to {largest} runs", least.unwrap_or(largest)),
        }
    }

    fn json(&self) -> Value {
        let plan = &self.planned.plan;
        let cells: Vec<Value> = plan
            .cells
            .iter()
            .zip(&self.planned.entries)
            .zip(&self.states)
            .map(|((cell, entry), state)| {
                let varies: serde_json::Map<String, Value> =
                    entry.state.varies.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
                json!({
                    "run": entry.state.run,
                    "id": cell.id,
                    "seed": cell.experiment.seed,
                    "varies": varies,
                    "begins_with": entry.after,
                    "state": state.map_or("new", State::word),
                    "steps": entry.state.steps,
                    "parameters": cell.facts.networks.iter().map(|network| network.total).sum::<u64>(),
                })
            })
            .collect();
        let networks: Vec<Value> = self
            .networks()
            .iter()
            .map(|(tables, first, n)| {
                let tables: Vec<Value> = tables.iter().map(network_json).collect();
                json!({ "runs": n, "first": self.planned.entries[*first].state.run, "networks": tables })
            })
            .collect();
        json!({
            "name": plan.name,
            "file": plan.file,
            "grid": plan.grid_keys,
            "claims": plan.claims.len(),
            "cells": cells,
            "packs": self.packs,
            "networks": networks,
            "data": plan.cells.first().map(|cell| &cell.facts.data_note),
            "metrics": plan.cells.first().map(|cell| &cell.facts.metrics),
            "steps": self.steps(),
            "disk_bytes": self.disk(),
        })
    }
}

fn network_json(network: &NetworkTable) -> Value {
    let rows: Vec<Value> = network
        .rows
        .iter()
        .map(|row| json!({ "name": row.name, "layer": row.kind, "shape": row.shape, "parameters": row.params }))
        .collect();
    json!({ "player": network.name, "layers": rows, "parameters": network.total })
}

fn disk_of(cell: &Experiment, facts: &CellFacts) -> u64 {
    let (steps, output) = (cell.schedule.steps, &cell.output);
    let times = |every: u64| steps.checked_div(every).unwrap_or(0).max(1);
    let parameters: u64 = facts.networks.iter().map(|network| network.total).sum();
    // Weights and two moments, four bytes each; averages come to as much again for the generator.
    let checkpoint = parameters * 4 * 3 + 4096;
    let kept = u64::from(output.keep.max(1)).min(times(output.checkpoint_every));
    let frames = output.animation.as_ref().map_or(0, |animation| times(animation.every));
    let pictures = times(output.samples_every) + 1;
    let again = 1 + u64::from(output.tensorboard);
    checkpoint * kept + (times(output.metrics_every) * 60 + pictures * 60_000) * again + frames / 4 * 60_000
}
