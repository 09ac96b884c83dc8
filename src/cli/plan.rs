//! `plan` and `check`.

use super::args::{CheckArgs, PlanArgs};
use super::{Exit, FORMAT, Failure, data_roots, print, print_json};
use crate::experiment::{Cell, CellFacts, DataFacts, Experiment, NetworkTable};
use crate::record::State;
use crate::schedule::plan::Planned;
use crate::schedule::survey::dir_of;
use crate::schedule::{Decision, Entry, plan_packs};
use crate::ui::{table, words};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Reads experiments, and checks every cell of them.
pub(super) fn read(files: &[PathBuf], sets: &[String], out: Option<&Path>) -> Result<Vec<Planned>, Failure> {
    Ok(crate::schedule::plan::read(files, sets, data_roots(), out)?)
}

/// The data in a few words.
fn note(data: Option<&DataFacts>) -> String {
    let Some(data) = data else { return "data are missing".to_owned() };
    let shape = table::shape(&data.shape);
    let mut text = match data.examples {
        Some(n) => format!("{} examples of {shape}", words::count(n)),
        None => format!("drawn on the fly, {shape}"),
    };
    if data.classes > 0 {
        text.push_str(&format!(", {} classes", data.classes));
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
            facts.push(("data", note(cell.facts.data.as_ref())));
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
            "data": plan.cells.first().map(|cell| note(cell.facts.data.as_ref())),
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
