//! What `gantlet-worker` does: one request on standard input, events on standard output. (torch)
//!
//! A worker that trains saves and leaves when it receives SIGTERM or SIGINT or when its parent is gone; a second signal, a
//! second or more after the first, ends it at once. Other requests leave nothing to save and end at the first.

use super::samples::OutputError;
use super::{build, device};
use crate::base::signal::StopRequests;
use crate::data::{DataInfo, DataRoots, DataSpec, Examples, Source};
use crate::eval::EvalSpec;
use crate::experiment::cell::id_of;
use crate::experiment::plan::of_run;
use crate::experiment::{Experiment, PlayerNetwork};
use crate::nn::Script;
use crate::objective::Product;
use crate::objective::Request;
use crate::objective::family::Part;
use crate::record::event::{
    self, EvalRequest, Event, ExportRequest, Job, PROTOCOL, SampleRequest, WorkerExit, WorkerRequest,
};
use crate::record::run::run_of_id;
use crate::record::{Checkpoint, RecordError, RunDir, RunState, Seal, State, Values, Versions, checkpoint};
use crate::rng::Purpose;
use crate::train::{self, Seat, Settings};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Why a request cannot be done, with the exit code that says of which kind it is.
#[derive(Debug)]
pub(super) struct Refusal {
    exit: WorkerExit,
    message: String,
    help: Option<String>,
}

impl Refusal {
    pub(super) fn new(exit: WorkerExit, message: impl ToString) -> Self {
        Self { exit, message: message.to_string(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl From<OutputError> for Refusal {
    fn from(error: OutputError) -> Self {
        Self::new(WorkerExit::Unexpected, error)
    }
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        if error.is_of_the_disk() {
            let help = "make room and say the same command again: it goes on from what was saved".to_owned();
            return Self { exit: WorkerExit::Disk, message: error.to_string(), help: Some(help) };
        }
        let exit = match &error {
            RecordError::Corrupt { .. } | RecordError::Columns { .. } => WorkerExit::Data,
            _ => WorkerExit::Unexpected,
        };
        Self::new(exit, error)
    }
}

/// Reads the request, does it, and gives the process's exit code.
pub fn main() -> i32 {
    device::prepare();
    // Caught from here on: a signal that arrives before the request is read belongs to the request.
    let signals = Signals::new([SIGTERM, SIGINT]);
    let mut input = std::io::BufReader::new(std::io::stdin());
    let request = match event::read_request(&mut input) {
        Ok(request) => request,
        Err(error) => {
            emit(&Event::Refused { message: error.to_string(), help: None });
            eprintln_line(&format!("gantlet-worker: {error}"));
            return WorkerExit::Request as i32;
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let saves = matches!(request, WorkerRequest::Train(_));
    watch(signals, input, saves.then(|| stop.clone()));
    let result = match request {
        WorkerRequest::Train(job) => train(&job, &stop),
        WorkerRequest::Sample(request) => sample(&request),
        WorkerRequest::Latent(request) => super::applications::answer(&request),
        WorkerRequest::Eval(request) => evaluate(&request),
        WorkerRequest::Export(request) => export(&request),
        WorkerRequest::Doctor => {
            doctor();
            Ok(())
        }
    };
    let exit = match result {
        Ok(()) if stop.load(Ordering::Relaxed) => WorkerExit::Interrupted,
        Ok(()) => WorkerExit::Done,
        Err(refusal) => {
            emit(&Event::Refused { message: refusal.message, help: refusal.help });
            refusal.exit
        }
    };
    emit(&Event::Bye);
    exit as i32
}

/// Sets `stop` at a signal or when the parent is gone; without a flag to set, nothing is to be saved, and the process ends.
fn watch(
    signals: std::io::Result<Signals>,
    mut input: std::io::BufReader<std::io::Stdin>,
    stop: Option<Arc<AtomicBool>>,
) {
    fn leave() -> ! {
        // Without libtorch's destructors, which other threads' work would run into.
        signal_hook::low_level::exit(WorkerExit::Interrupted as i32)
    }
    let ask = move || match &stop {
        Some(stop) => stop.store(true, Ordering::Relaxed),
        None => leave(),
    };
    let ask_too = ask.clone();
    match signals {
        Ok(mut signals) => drop(std::thread::spawn(move || {
            let mut requests = StopRequests::default();
            for _ in signals.forever() {
                if requests.is_second(Instant::now()) {
                    leave();
                }
                ask_too();
            }
        })),
        Err(error) => eprintln_line(&format!("gantlet-worker: cannot watch for signals: {error}")),
    }
    std::thread::spawn(move || {
        // The parent keeps the pipe open as long as it lives. A closed pipe and a signal may come of one event, so it is no
        // second request.
        let mut rest = [0u8; 64];
        while input.read(&mut rest).is_ok_and(|n| n > 0) {}
        ask();
    });
}

pub(super) fn emit(event: &Event) {
    // A broken pipe means that the parent is gone, which the watcher of standard input sees too.
    let _gone = event::write_event(&mut std::io::stdout().lock(), event);
}

#[expect(clippy::print_stderr, reason = "a worker's own words go to standard error, which the parent keeps")]
fn eprintln_line(text: &str) {
    eprintln!("{text}");
}

fn versions() -> Versions {
    Versions {
        libtorch: Some(crate::train::LIBTORCH.to_owned()),
        tch: Some(crate::train::TCH.to_owned()),
        ..Versions::of_this_program()
    }
}

/// A run of a job with what its directory says.
struct Opened {
    seat: Seat,
    cell: Experiment,
    checkpoint: Option<Checkpoint>,
}

fn train(job: &Job, stop: &Arc<AtomicBool>) -> Result<(), Refusal> {
    let names = job.runs.iter().map(|p| RunDir::at(p.clone()).name()).collect();
    emit(&Event::Started { version: PROTOCOL, versions: versions(), runs: names });
    let device = device::open(&job.device, job.threads).map_err(|e| Refusal::new(WorkerExit::Device, e))?;
    let mut opened = Vec::new();
    for (place, path) in job.runs.iter().enumerate() {
        match open(path, place) {
            Ok(Some(run)) => opened.push(run),
            // Another process has trained it since the parent looked.
            Ok(None) => {}
            // It is being trained, which is all that is wanted; the parent sees so too, and says it.
            Err(RecordError::Locked { .. }) => {}
            Err(error) => {
                let reason = Some(error.to_string());
                emit(&Event::State { run: place, state: State::Failed, step: 0, reason });
            }
        }
    }
    log_panics(opened.iter().map(|o| o.seat.dir.log()).collect());
    // Runs that a kill left at different steps go on as packs of their own.
    while let Some(first) = opened.first() {
        let step = first.checkpoint.as_ref().map(|c| c.step);
        let (group, rest): (Vec<_>, Vec<_>) =
            opened.into_iter().partition(|o| o.checkpoint.as_ref().map(|c| c.step) == step);
        opened = rest;
        train_group(group, job, device, stop)?;
    }
    Ok(())
}

/// Locks a run and reads where it stands; nothing for one that is done.
fn open(path: &Path, place: usize) -> Result<Option<Opened>, RecordError> {
    let dir = RunDir::open(path)?;
    let lock = dir.lock()?;
    let state = dir.stored_state()?;
    if state.state == State::Done {
        return Ok(None);
    }
    let cell = read_cell(&dir, &state)?;
    let (checkpoint, warnings) = newest(&dir, &state);
    for text in warnings {
        log(&dir, &text);
        emit(&Event::Warning { run: Some(place), text });
    }
    if let Some(checkpoint) = &checkpoint {
        log(&dir, &format!("goes on after step {}", checkpoint.step));
    }
    Ok(Some(Opened { seat: Seat { dir, lock, state, place }, cell, checkpoint }))
}

/// The newest checkpoint that is whole, of this configuration, and beside the rows that led to it; and what is wrong with
/// newer ones.
fn newest(dir: &RunDir, state: &RunState) -> (Option<Checkpoint>, Vec<String>) {
    let (found, mut warnings) = checkpoint::latest_valid(&dir.checkpoints(), |checkpoint| {
        if checkpoint.meta.get("id").is_some_and(|id| *id != state.id) {
            return Err("it is of another configuration".to_owned());
        }
        for name in [train::METRICS, train::EVAL] {
            let Some(seal) = checkpoint.meta.get(name) else { continue };
            let bytes = std::fs::read(dir.path.join(name)).unwrap_or_default();
            let checked = Seal::try_from(seal.clone()).map_err(str::to_owned).and_then(|s| s.check(&bytes).map(drop));
            checked.map_err(|reason| format!("{name} is corrupt: {reason}"))?;
        }
        Ok(())
    });
    if !warnings.is_empty() {
        let from = found.as_ref().map_or("the beginning".to_owned(), |c| format!("the checkpoint at step {}", c.step));
        warnings.push(format!("goes on from {from}"));
    }
    (found, warnings)
}

fn read_cell(dir: &RunDir, state: &RunState) -> Result<Experiment, RecordError> {
    of_run(&dir.config_text()?, state).map_err(|reason| RecordError::Corrupt { path: dir.config(), reason })
}

/// Trains runs that stand at one step. What is not the runs' own fault (no data, no room on the disk) is refused, and
/// leaves them as they were.
fn train_group(group: Vec<Opened>, job: &Job, device: tch::Device, stop: &Arc<AtomicBool>) -> Result<(), Refusal> {
    let places: Vec<(usize, RunDir, RunState)> =
        group.iter().map(|o| (o.seat.place, RunDir::at(o.seat.dir.path.clone()), o.seat.state.clone())).collect();
    let fail = |reason: &str| {
        for (place, dir, state) in &places {
            log(dir, reason);
            train::fail(dir, state.clone(), *place, reason, &|event| emit(&event));
        }
    };
    let (mut seats, mut cells, mut checkpoints) = (Vec::new(), Vec::new(), Vec::new());
    for run in group {
        seats.push(run.seat);
        cells.push(run.cell);
        checkpoints.push(run.checkpoint);
    }
    let (sources, networks) =
        match sources(&cells, &job.data_roots).and_then(|s| Ok((networks(&cells[0], s[0].info())?, s))) {
            Ok((networks, sources)) => (sources, networks),
            Err(refusal) if refusal.exit == WorkerExit::Data => return Err(refusal),
            Err(refusal) => {
                fail(&refusal.message);
                return Ok(());
            }
        };
    let settings = Settings {
        output: cells[0].output.clone(),
        eval: found(&cells[0], &job.data_roots)?,
        has_average: has_average(&cells[0]),
        device: job.device.clone(),
        threads: job.threads,
    };
    let mut pack = match build::pack(&cells, networks, sources, device) {
        Ok(pack) => pack,
        Err(reason) => {
            fail(&reason);
            return Ok(());
        }
    };
    for (run, checkpoint) in checkpoints.iter().enumerate() {
        match checkpoint {
            None => begin(&mut pack, run, &cells[run], &places[run].1, &job.data_roots)?,
            Some(checkpoint) => {
                if let Err(reason) = build::load(&mut pack, run, checkpoint) {
                    fail(&format!("the checkpoint at step {} does not fit: {reason}", checkpoint.step));
                    return Ok(());
                }
            }
        }
    }
    train::sit(pack, seats, &settings, stop, &|event| emit(&event))?;
    Ok(())
}

/// Gives players of a run at its first step the weights that they begin with, where they begin with those of another run.
fn begin(
    pack: &mut train::Pack,
    run: usize,
    cell: &Experiment,
    dir: &RunDir,
    folders: &[PathBuf],
) -> Result<(), Refusal> {
    for (name, start) in &cell.start {
        let Some(origin) = start.origin(cell.seed) else { continue };
        let missing = |why: String, help: &str| {
            let message = format!("{} begins with a run of {}, and {why}", dir.name(), origin.name);
            Refusal::new(WorkerExit::Data, message).help(help)
        };
        // OUT/<experiment>/<run>: the other run lies in the same OUT.
        let out = dir.path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        let (from, state) = run_of_id(out, &origin.name, &id_of(&origin))?
            .filter(|(_, state)| state.state == State::Done)
            .ok_or_else(|| {
                let why = format!("there is none that is done in {}", out.display());
                missing(why, "`gantlet run` on the experiment's file, or on the run's config.toml, trains it first")
            })?;
        let (found, warnings) = newest(&from, &state);
        for text in warnings {
            log(dir, &text);
        }
        let found = found.filter(|found| found.step == state.steps).ok_or_else(|| {
            let why = format!("{} has lost its last checkpoint", from.path.display());
            missing(why, "take that directory away, and the same command trains it anew")
        })?;
        let info = origin.data.info(&roots_of(&origin, folders)).map_err(|e| Refusal::new(WorkerExit::Data, e))?;
        let other = networks(&origin, &info)?.into_iter().find(|network| network.part.player == start.player);
        let other = other.expect("`check` has held the player against its family's");
        let averaged = origin.algorithm.family().average().is_some_and(|(names, _)| names.contains(&other.part.of));
        let numbers = numbers(&other, &found, averaged).map_err(|reason| does_not_fit(&found, &reason))?;
        let cast = cell.algorithm.family().cast();
        for player in &mut pack.players {
            if !cast.iter().any(|part| part.player == player.name() && part.of == name) {
                continue;
            }
            let taken = crate::experiment::layers::taken(player.plan(), &other.plan, start.layers);
            for (ours, theirs) in taken.pairs {
                player.begin(run, ours, &numbers[theirs]);
            }
            let (n, weights) = (taken.layers, if averaged { "averaged" } else { "raw" });
            let of =
                format!("the {} of {} ({weights} weights of step {})", start.player, from.path.display(), found.step);
            log(dir, &format!("the {} begins with {n} of its {} layers from {of}", player.name(), taken.of));
        }
    }
    Ok(())
}

fn has_average(cell: &Experiment) -> bool {
    cell.algorithm.family().average().is_some()
}

/// The source of every cell; equal ones are opened once.
fn sources(cells: &[Experiment], roots: &[PathBuf]) -> Result<Vec<Arc<dyn Source>>, Refusal> {
    let mut open: Vec<(&DataSpec, Arc<dyn Source>)> = Vec::new();
    let mut all = Vec::new();
    for cell in cells {
        if let Some((_, source)) = open.iter().find(|(spec, _)| **spec == cell.data) {
            all.push(source.clone());
            continue;
        }
        let source: Arc<dyn Source> =
            cell.data.open(&roots_of(cell, roots)).map_err(|e| Refusal::new(WorkerExit::Data, e))?.into();
        open.push((&cell.data, source.clone()));
        all.push(source);
    }
    Ok(all)
}

/// What a cell says of evaluation, with the places where the files of its extractors lie.
fn found(cell: &Experiment, folders: &[PathBuf]) -> Result<EvalSpec, Refusal> {
    cell.eval.found(&roots_of(cell, folders)).map_err(|e| Refusal::new(WorkerExit::Data, e))
}

/// Where a cell's files are looked for: where the request says, then where its own configuration says.
fn roots_of(cell: &Experiment, folders: &[PathBuf]) -> DataRoots {
    DataRoots::new(folders.iter().chain(&cell.data_folders).cloned().collect())
}

fn networks(cell: &Experiment, info: &DataInfo) -> Result<Vec<PlayerNetwork>, Refusal> {
    crate::experiment::networks(cell, info).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        Refusal::new(WorkerExit::Experiment, all.join("; "))
    })
}

/// A line in a run's `log.txt`.
fn log(dir: &RunDir, text: &str) {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().create(true).append(true).open(dir.log());
    if let Err(error) = file.and_then(|mut f| writeln!(f, "{text}")) {
        eprintln_line(&format!("{}: {error}: {text}", dir.log().display()));
    }
}

/// Writes what a panic says into the logs of the runs that it ends.
fn log_panics(logs: Vec<PathBuf>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        for path in &logs {
            if let Some(folder) = path.parent() {
                log(&RunDir::at(folder), &format!("panic: {info}"));
            }
        }
        before(info);
    }));
}

/// The time between two words on samples that take long.
const BETWEEN_EVENTS: Duration = Duration::from_millis(100);

/// One run at a checkpoint, ready to be asked.
pub(super) struct Asked {
    dir: RunDir,
    pub(super) cell: Experiment,
    pub(super) pack: train::Pack,
    pub(super) step: u64,
}

impl Asked {
    /// Its samples, of which events tell while they take long.
    pub(super) fn samples(&self, request: &Request<'_>) -> Result<Examples, Refusal> {
        let Some(model) = self.pack.objective.provides().samples else {
            let tag = self.cell.algorithm.family().tag();
            return Err(Refusal::new(WorkerExit::Request, format!("`{tag}` makes no samples")));
        };
        let mut told = Instant::now();
        let mut tell = |done, all| {
            if told.elapsed() >= BETWEEN_EVENTS {
                told = Instant::now();
                emit(&Event::Drawn { done, all });
            }
        };
        Ok(model.generate_slowly(&self.pack.players, request, &mut tell).remove(0))
    }

    /// Which weights of which step say something, from which seed.
    pub(super) fn origin(&self, averaged: bool, seed: u64) -> String {
        format!("{} weights of step {}, seed {seed}", if averaged { "averaged" } else { "raw" }, self.step)
    }
}

fn ask(
    run: &Path,
    checkpoint: Option<u64>,
    data_roots: &[PathBuf],
    device_name: &str,
    threads: usize,
) -> Result<Asked, Refusal> {
    let (dir, cell, found) = at_checkpoint(run, checkpoint)?;
    let device = device::open(device_name, threads).map_err(|e| Refusal::new(WorkerExit::Device, e))?;
    let cells = [cell];
    let sources = sources(&cells, data_roots)?;
    let networks = networks(&cells[0], sources[0].info())?;
    let mut pack =
        build::pack(&cells, networks, sources, device).map_err(|reason| Refusal::new(WorkerExit::Data, reason))?;
    build::load(&mut pack, 0, &found).map_err(|reason| does_not_fit(&found, &reason))?;
    let [cell] = cells;
    Ok(Asked { dir, cell, pack, step: found.step })
}

fn does_not_fit(checkpoint: &Checkpoint, reason: &str) -> Refusal {
    Refusal::new(WorkerExit::Data, format!("the checkpoint at step {} does not fit: {reason}", checkpoint.step))
}

/// A run's configuration, and its checkpoint at a step or the newest.
fn at_checkpoint(run: &Path, step: Option<u64>) -> Result<(RunDir, Experiment, Checkpoint), Refusal> {
    let dir = RunDir::at(run);
    let state = dir.stored_state()?;
    let cell = read_cell(&dir, &state)?;
    let found = match step {
        Some(step) => {
            let path = checkpoint::path(&dir.checkpoints(), step);
            if !path.exists() {
                let there: Vec<String> = checkpoint::steps(&dir.checkpoints()).iter().map(u64::to_string).collect();
                return Err(Refusal {
                    exit: WorkerExit::Data,
                    message: format!("{} has no checkpoint at step {step}", dir.path.display()),
                    help: Some(format!("there are checkpoints at: {}", there.join(", "))),
                });
            }
            checkpoint::load(&path).map_err(|e| Refusal::new(WorkerExit::Data, e))?
        }
        None => {
            let (found, warnings) = newest(&dir, &state);
            for text in warnings {
                emit(&Event::Warning { run: None, text });
            }
            found.ok_or_else(|| {
                Refusal::new(WorkerExit::Data, format!("{} has no checkpoint yet", dir.path.display()))
            })?
        }
    };
    Ok((dir, cell, found))
}

/// A run that samples are asked of, and whether it answers with averaged weights.
pub(super) fn ask_for_samples(request: &SampleRequest) -> Result<(Asked, bool), Refusal> {
    let asked = ask(&request.run, request.checkpoint, &request.data_roots, &request.device, request.threads)?;
    let averaged = has_average(&asked.cell) && request.weights != "raw";
    if let Some(label) = request.label {
        let classes = asked.pack.sources[0].info().classes;
        let refuse = |message| Err(Refusal::new(WorkerExit::Request, message));
        let family = asked.cell.algorithm.family();
        let maker = family.exported();
        // What is fit without a network is fit to each class where it names classes.
        let by_class = family.is_fit() && family.products().contains(&Product::Classes);
        if !by_class && !asked.pack.players.iter().any(|p| p.name() == maker && p.plan().takes_labels()) {
            return refuse(format!("the {maker} was trained without labels, and cannot be asked for one"));
        }
        if !(0..classes as i64).contains(&label) {
            return refuse(format!("the label {label} is not one of 0 to {}", classes - 1));
        }
    }
    Ok((asked, averaged))
}

fn sample(request: &SampleRequest) -> Result<(), Refusal> {
    let (asked, averaged) = ask_for_samples(request)?;
    let drawn = asked.samples(&request.drawn(averaged))?;
    super::samples::write(&request.out, &drawn, 0, &*asked.pack.sources[0], &format!("step {}", asked.step))?;
    let what = format!("{} samples, {}", request.n, asked.origin(averaged, request.seed));
    emit(&Event::Wrote { path: request.out.clone(), what });
    Ok(())
}

impl SampleRequest {
    /// What is asked of the model.
    pub(super) fn drawn(&self, averaged: bool) -> Request<'_> {
        let (seeds, label) = (std::slice::from_ref(&self.seed), self.label);
        Request { seeds, purpose: Purpose::Sample, index: 0, n: self.n, label, averaged }
    }
}

fn evaluate(request: &EvalRequest) -> Result<(), Refusal> {
    let dir = RunDir::open(&request.run)?;
    let _lock = dir.lock()?;
    let steps = match request.checkpoint {
        Some(step) => vec![step],
        None => checkpoint::steps(&dir.checkpoints()),
    };
    if steps.is_empty() {
        return Err(Refusal::new(WorkerExit::Data, format!("{} has no checkpoint yet", dir.path.display())));
    }
    for step in steps {
        let mut asked = ask(&request.run, Some(step), &request.data_roots, &request.device, request.threads)?;
        if !request.metrics.is_empty() {
            asked.cell.eval.metrics = request.metrics.clone();
            let (info, products) = (asked.pack.sources[0].info(), asked.cell.algorithm.family().products());
            for metric in &asked.cell.eval.metrics {
                metric.needs(info, products).map_err(|e| Refusal::new(WorkerExit::Experiment, e))?;
            }
        }
        let eval = found(&asked.cell, &request.data_roots)?;
        let measured = train::measure(&asked.pack, &eval, has_average(&asked.cell)).remove(0);
        let path = asked.dir.eval();
        let mut state = asked.dir.stored_state()?;
        let known = crate::record::read_eval(&path, state.seal(&path))?;
        let mut log = crate::record::EvalLog::open(&path, crate::eval::PROTOCOL_COLUMNS, u64::MAX)?;
        for (metric, value, protocol) in &measured.rows {
            // What was measured before stays; the same measurement is not written twice.
            let same = known.iter().any(|row| {
                row.step == step && row.metric == *metric && row.protocol.iter().map(|(_, v)| v).eq(protocol)
            });
            if !same {
                log.append(step, metric, *value, protocol)?;
            }
            let names = crate::eval::PROTOCOL_COLUMNS.iter().map(|c| (*c).to_owned());
            let protocol = names.zip(protocol.iter().cloned()).collect();
            emit(&Event::Number { step, metric: metric.clone(), value: *value, protocol });
        }
        log.flush()?;
        state.files.insert(train::EVAL.to_owned(), log.seal());
        asked.dir.write_state(&state)?;
        if asked.cell.output.tensorboard {
            crate::record::Board::open(&asked.dir, &state)?;
        }
        if let Some(path) = &request.per_example {
            let text = measured.examples.ok_or_else(|| Refusal {
                exit: WorkerExit::Experiment,
                message: "no metric that is taken says something of each example".to_owned(),
                help: Some("`likelihood` and `elbo` do, of models that have a likelihood".to_owned()),
            })?;
            crate::base::file::write_atomic(path, text.as_bytes())
                .map_err(|e| Refusal::new(WorkerExit::Unexpected, e))?;
            let what = format!("each reference example at step {step}");
            emit(&Event::Wrote { path: path.clone(), what });
        }
    }
    Ok(())
}

fn export(request: &ExportRequest) -> Result<(), Refusal> {
    let (dir, cell, checkpoint) = at_checkpoint(&request.run, request.checkpoint)?;
    // The shape of the data is in its header: no example is read.
    let info = cell.data.info(&roots_of(&cell, &request.data_roots)).map_err(|e| Refusal::new(WorkerExit::Data, e))?;
    let networks = networks(&cell, &info)?;
    let family = cell.algorithm.family();
    let wanted = request.player.as_deref().unwrap_or(family.exported());
    let Some(network) = networks.into_iter().find(|n| n.part.player == wanted) else {
        let players: Vec<&str> = family.cast().iter().map(|part| part.player).collect();
        let message = format!("`{}` has no {wanted}; it has {}", family.tag(), players.join(" and "));
        return Err(Refusal::new(WorkerExit::Request, message));
    };
    let Part { player, of } = network.part;
    if family.is_fit() {
        let message = format!("`{}` has no network to export; its checkpoints hold what was fit", family.tag());
        return Err(Refusal::new(WorkerExit::Request, message));
    }
    let averaged = family.average().is_some_and(|(names, _)| names.contains(&of));
    let numbers = numbers(&network, &checkpoint, averaged).map_err(|reason| does_not_fit(&checkpoint, &reason))?;
    let weights = if averaged { "averaged" } else { "raw" };
    let facts = about(&dir.stored_state()?, family.about(player, &info), checkpoint.step, weights);
    super::samples::export(&request.out, &Script::new(&network.plan, &numbers), &facts)?;
    let what = format!(
        "the {player} of step {}, {weights} weights, from {} to {}",
        checkpoint.step, facts["input"], facts["output"]
    );
    emit(&Event::Wrote { path: request.out.clone(), what });
    Ok(())
}

/// The numbers of a player's parameters in a checkpoint, in the order of its plan.
fn numbers(player: &PlayerNetwork, checkpoint: &Checkpoint, averaged: bool) -> Result<Vec<Vec<f32>>, String> {
    let suffix = if averaged { ":ema" } else { "" };
    let one = |param: &crate::nn::ParamPlan| {
        let name = format!("{}.{}{suffix}", player.part.player, param.name);
        let tensor = checkpoint.tensors.get(&name).ok_or_else(|| format!("it has no tensor `{name}`"))?;
        match &tensor.values {
            Values::F32(values) if tensor.shape == param.shape => Ok(values.clone()),
            _ => Err(format!("its tensor `{name}` has shape {:?}, expected {:?}", tensor.shape, param.shape)),
        }
    };
    player.plan.params.iter().map(one).collect()
}

/// What an exported network says of itself.
fn about(state: &RunState, ends: Vec<(&'static str, String)>, step: u64, weights: &str) -> BTreeMap<String, String> {
    let facts = [
        ("producer", format!("gantlet {}", env!("CARGO_PKG_VERSION"))),
        ("experiment", state.experiment.clone()),
        ("run", state.run.clone()),
        ("id", state.id.clone()),
        ("step", step.to_string()),
        ("weights", weights.to_owned()),
    ];
    facts.into_iter().chain(ends).map(|(name, fact)| (name.to_owned(), fact)).collect()
}

fn doctor() {
    emit(&Event::Started { version: PROTOCOL, versions: versions(), runs: vec![] });
    let mut facts = vec![
        ("libtorch".to_owned(), crate::train::LIBTORCH.to_owned()),
        ("tch".to_owned(), crate::train::TCH.to_owned()),
        ("cpu threads".to_owned(), tch::get_num_threads().to_string()),
    ];
    facts.extend(device::facts());
    emit(&Event::Doctor { facts });
}
