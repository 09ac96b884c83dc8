//! What a pack leaves, written beside its steps: one thread that owns the files of all runs.
//!
//! The sitting hands over an [`Entry`] for every step that leaves something. What depends on the weights was taken while
//! they stood still; measuring, drawing, encoding and waiting for the disk happen here, in the order of the steps, so a
//! file never speaks of a step whose earlier files are missing. Host memory only: libtorch belongs to the other thread.

use super::due;
use super::measure::Judge;
use super::preview::{Preview, Sketch};
use crate::base::file::{self, FileError};
use crate::eval::{Answers, EvalSpec};
use crate::picture::{self, PictureError};
use crate::record::event::Event;
use crate::record::run::Process;
use crate::record::{
    Board, EvalLog, Metrics, OutputSpec, RecordError, RunDir, RunLock, RunState, State, TensorData, Versions,
    checkpoint,
};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// The tables of a run, as [`RunState::files`] and the metadata of checkpoints name them.
pub const METRICS: &str = "metrics.csv";
/// See [`METRICS`].
pub const EVAL: &str = "eval.csv";
/// How long a frame of an animation is shown, in milliseconds.
const FRAME_MS: u32 = 80;
/// Time between two writings of `run.json` while nothing else happens.
const STATE_EVERY: Duration = Duration::from_secs(5);

/// A run that has its place in the pack.
pub struct Seat {
    /// Its directory.
    pub dir: RunDir,
    /// What keeps others away from it.
    pub lock: RunLock,
    /// Its `run.json`.
    pub state: RunState,
    /// Its place in the job, which events name.
    pub place: usize,
}

/// What all runs of a pack leave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which files, and how often.
    pub output: OutputSpec,
    /// Which metrics, and how often.
    pub eval: EvalSpec,
    /// Whether the generator has averaged weights.
    pub has_average: bool,
    /// The device in words.
    pub device: String,
    /// Threads of operations on the CPU.
    pub threads: usize,
}

/// What a step leaves. Lists have an entry a run, in the order of `runs`.
pub(super) struct Entry {
    /// Steps done.
    pub step: u64,
    /// Runs that ended here because a number stopped being finite, and which.
    pub diverged: Vec<(usize, String)>,
    /// The others, by their places in the job.
    pub runs: Vec<usize>,
    /// Rows of `metrics.csv`.
    pub scalars: Option<Vec<Vec<Option<f64>>>>,
    /// What to measure.
    pub answers: Option<Vec<Answers>>,
    /// What to draw.
    pub sketches: Option<Vec<Sketch>>,
    /// What to go on from.
    pub checkpoint: Option<Saved>,
}

impl Entry {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.diverged.is_empty() && self.scalars.is_none() && !self.is_heavy()
    }

    /// Whether it holds more than a few numbers.
    pub fn is_heavy(&self) -> bool {
        self.answers.is_some() || self.sketches.is_some() || self.checkpoint.is_some()
    }
}

/// What checkpoints hold, and the state that the runs have with them.
pub(super) struct Saved {
    pub state: State,
    pub counters: BTreeMap<String, String>,
    pub tensors: Vec<Vec<TensorData>>,
}

/// A seat with its open files.
pub(super) struct Desk {
    seat: Seat,
    metrics: Metrics,
    evals: EvalLog,
    board: Option<Board>,
    columns: Vec<String>,
    judge: Judge,
    preview: Preview,
    seconds_before: f64,
}

impl Desk {
    /// Opens the files of a run, to go on after the step in its state.
    pub fn open(
        mut seat: Seat,
        columns: &[String],
        judge: Judge,
        preview: Preview,
        output: &OutputSpec,
    ) -> Result<Self, RecordError> {
        let metrics = Metrics::open(&seat.dir.metrics(), columns, seat.state.step)?;
        let evals = EvalLog::open(&seat.dir.eval(), crate::eval::PROTOCOL_COLUMNS, seat.state.step)?;
        let real = seat.dir.samples().join("real.png");
        if !real.exists() {
            file::write_atomic(&real, &picture::encode_png(&preview.real()))?;
        }
        let state = &mut seat.state;
        state.state = State::Running;
        state.process = Some(Process::this());
        state.reason = None;
        state.log_tail = None;
        state.versions = Versions {
            libtorch: Some(super::LIBTORCH.to_owned()),
            tch: Some(super::TCH.to_owned()),
            ..Versions::of_this_program()
        };
        state.files.insert(METRICS.to_owned(), metrics.seal());
        state.files.insert(EVAL.to_owned(), evals.seal());
        seat.dir.write_state(&seat.state)?;
        let seconds_before = seat.state.seconds;
        let columns = columns.to_vec();
        let mut desk = Self { seat, metrics, evals, board: None, columns, judge, preview, seconds_before };
        // The rows past the checkpoint go only now that nobody is promised them any more.
        desk.flush()?;
        desk.board = output.tensorboard.then(|| Board::open(&desk.seat.dir, &desk.seat.state)).transpose()?;
        Ok(desk)
    }

    /// The run's place in the job.
    pub fn place(&self) -> usize {
        self.seat.place
    }

    /// Hands all rows to the system.
    fn flush(&mut self) -> Result<(), RecordError> {
        self.metrics.flush()?;
        self.evals.flush()?;
        self.board.as_mut().map_or(Ok(()), Board::flush)
    }

    fn record(&mut self, step: u64, row: &[Option<f64>]) -> Result<(), RecordError> {
        if let Some(board) = &mut self.board {
            board.scalars(step, self.columns.iter().map(String::as_str).zip(row.iter().copied()))?;
        }
        self.metrics.append(step, row)
    }

    fn measure(&mut self, step: u64, answers: &Answers) -> Result<(), RecordError> {
        let rows = self.judge.rows(answers);
        for (metric, value, protocol) in &rows {
            self.evals.append(step, metric, *value, protocol)?;
        }
        if let Some(board) = &mut self.board {
            board.scalars(step, rows.iter().map(|(metric, value, _)| (metric.as_str(), *value)))?;
        }
        Ok(())
    }

    fn draw(&mut self, sketch: &Sketch, step: u64, as_sample: bool, as_frame: bool) -> Result<(), RecordError> {
        let name = format!("{step:08}.png");
        if let Some(picture) = self.preview.picture(sketch, step) {
            let bytes = picture::encode_png(&picture);
            if as_frame {
                file::write_atomic_soon(&self.seat.dir.frames().join(&name), &bytes)?;
            }
            if as_sample {
                file::write_atomic_soon(&self.seat.dir.sample(step), &bytes)?;
                if let Some(board) = &mut self.board {
                    board.samples(step, &bytes)?;
                }
            }
        }
        for (panel, picture) in self.preview.panels(sketch, step).into_iter().filter(|_| as_sample) {
            file::write_atomic_soon(&self.seat.dir.panel(panel).join(&name), &picture::encode_png(&picture))?;
        }
        Ok(())
    }

    /// Writes a checkpoint, after all rows that it goes on from.
    fn save(
        &mut self,
        tensors: &[TensorData],
        counters: &BTreeMap<String, String>,
        at: At<'_>,
    ) -> Result<(), RecordError> {
        let folder = self.seat.dir.checkpoints();
        let mut meta = counters.clone();
        meta.insert("id".to_owned(), self.seat.state.id.clone());
        meta.insert(METRICS.to_owned(), self.metrics.seal().to_string());
        meta.insert(EVAL.to_owned(), self.evals.seal().to_string());
        let saved = self.flush().and_then(|()| checkpoint::save(&folder, at.step, tensors, &meta)).and_then(|_| {
            // A checkpoint between two regular ones is there for an interruption alone, and until the next.
            let regular = |s: u64| due(s, at.settings.output.checkpoint_every, at.steps);
            for old in checkpoint::steps(&folder).into_iter().filter(|&s| s != at.step && !regular(s)) {
                let path = checkpoint::path(&folder, old);
                std::fs::remove_file(&path).map_err(FileError::at("cannot remove", &path))?;
            }
            if !regular(at.step) {
                return Ok(());
            }
            checkpoint::prune(&folder, at.settings.output.keep as usize, &[at.step]).map(drop)
        });
        self.seat.state.checkpoints = checkpoint::steps(&folder);
        saved
    }

    fn write_state(&mut self, at: At<'_>) -> Result<(), RecordError> {
        let seconds = at.started.elapsed().as_secs_f64();
        let done = at.step - at.first_step;
        let state = &mut self.seat.state;
        state.step = at.step;
        state.seconds = self.seconds_before + seconds;
        state.steps_per_second = (done > 0).then(|| done as f64 / seconds);
        if state.state != State::Running {
            state.process = None;
        }
        // A state vouches for rows that are there; where they cannot be written, it vouches for those before.
        let flushed = self.flush();
        if flushed.is_ok() {
            let seals = [(METRICS, self.metrics.seal()), (EVAL, self.evals.seal())];
            self.seat.state.files.extend(seals.map(|(name, seal)| (name.to_owned(), seal)));
        }
        self.seat.dir.write_state(&self.seat.state).and(flushed)
    }

    /// Ends the run with a reason, which reaches the parent in any case.
    fn close(&mut self, state: State, reason: &str, at: At<'_>, report: &dyn Fn(Event)) {
        self.seat.state.state = state;
        self.seat.state.reason = Some(reason.to_owned());
        let reason = match self.write_state(at) {
            Ok(()) => reason.to_owned(),
            Err(error) => format!("{reason} (and {error})"),
        };
        report(Event::State { run: self.place(), state, step: at.step, reason: Some(reason) });
    }
}

/// Where the sitting stands.
#[derive(Clone, Copy)]
struct At<'a> {
    settings: &'a Settings,
    step: u64,
    steps: u64,
    first_step: u64,
    started: Instant,
}

/// The one who writes.
pub(super) struct Clerk<'a> {
    desks: Vec<Desk>,
    at: At<'a>,
    stated: Instant,
    report: &'a (dyn Fn(Event) + Sync),
    gone: Sender<usize>,
}

impl<'a> Clerk<'a> {
    /// For a sitting from `step` to `steps`. The places of runs whose files cannot be written go to `gone`.
    pub fn new(
        desks: Vec<Desk>,
        settings: &'a Settings,
        (step, steps): (u64, u64),
        report: &'a (dyn Fn(Event) + Sync),
        gone: Sender<usize>,
    ) -> Self {
        let now = Instant::now();
        Self { desks, at: At { settings, step, steps, first_step: step, started: now }, stated: now, report, gone }
    }

    /// Writes entries until there are no more, and what ends a run that is at its last step. Takes a permit back for
    /// every heavy entry.
    ///
    /// # Errors
    /// If the disk takes nothing more: no run's own fault. They go on from their newest checkpoint another time.
    pub fn work(mut self, entries: &Receiver<Entry>, permits: &Receiver<()>) -> Result<(), RecordError> {
        for entry in entries {
            let heavy = entry.is_heavy();
            self.write(entry)?;
            if heavy {
                // One was put there before the entry was sent.
                let _taken = permits.try_recv();
            }
        }
        if self.at.step == self.at.steps { self.finish() } else { Ok(()) }
    }

    fn write(&mut self, entry: Entry) -> Result<(), RecordError> {
        let Entry { step, diverged, runs, scalars, answers, sketches, checkpoint } = entry;
        self.at.step = step;
        let (at, output, report) = (self.at, &self.at.settings.output, self.report);
        for (place, reason) in &diverged {
            if let Some(i) = self.desks.iter().position(|d| d.place() == *place) {
                self.desks.remove(i).close(State::Diverged, reason, at, report);
            }
        }
        self.each(&runs, |desk, run| {
            if let Some(rows) = &scalars {
                desk.record(step, &rows[run])?;
            }
            if let Some(answers) = &answers {
                desk.measure(step, &answers[run])?;
            }
            match &sketches {
                Some(sketches) => desk.draw(
                    &sketches[run],
                    step,
                    due(step, output.samples_every, at.steps),
                    output.animation.as_ref().is_some_and(|a| due(step, a.every, at.steps)),
                ),
                None => Ok(()),
            }
        })?;
        if let Some(Saved { state, counters, tensors }) = checkpoint {
            self.stated = Instant::now();
            self.each(&runs, |desk, run| {
                desk.seat.state.state = state;
                desk.save(&tensors[run], &counters, at)?;
                desk.write_state(at)?;
                if state == State::Interrupted {
                    report(Event::State { run: desk.place(), state, step, reason: None });
                }
                Ok(())
            })
        } else if self.stated.elapsed() > STATE_EVERY {
            self.stated = Instant::now();
            self.each(&runs, |desk, _| desk.write_state(at))
        } else {
            Ok(())
        }
    }

    fn finish(&mut self) -> Result<(), RecordError> {
        let (at, report) = (self.at, self.report);
        let all: Vec<usize> = self.desks.iter().map(Desk::place).collect();
        self.each(&all, |desk, _| {
            if at.settings.output.animation.is_some() {
                let (frames, out) = (desk.seat.dir.frames(), desk.seat.dir.animation());
                picture::assemble(&frames, &out, FRAME_MS).map_err(|error| match error {
                    PictureError::File(error) => RecordError::File(error),
                    other => RecordError::Corrupt { path: frames, reason: other.to_string() },
                })?;
            }
            desk.seat.state.state = State::Done;
            desk.write_state(at)?;
            report(Event::State { run: desk.place(), state: State::Done, step: at.step, reason: None });
            Ok(())
        })
    }

    /// Does something for each of these runs that is still here. One whose files cannot be written ends, and the others
    /// go on.
    fn each(
        &mut self,
        runs: &[usize],
        mut act: impl FnMut(&mut Desk, usize) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        for (run, place) in runs.iter().enumerate() {
            let Some(i) = self.desks.iter().position(|d| d.place() == *place) else { continue };
            match act(&mut self.desks[i], run) {
                Ok(()) => {}
                Err(error) if error.is_of_the_disk() => return Err(error),
                Err(error) => {
                    self.desks.remove(i).close(State::Failed, &error.to_string(), self.at, self.report);
                    // Nobody listens once the last step is done.
                    let _sent = self.gone.send(*place);
                }
            }
        }
        Ok(())
    }
}

/// Ends a run that cannot go on: in its `run.json` where that can be written, and to the parent in any case.
pub fn fail(dir: &RunDir, mut state: RunState, place: usize, reason: &str, report: &dyn Fn(Event)) {
    state.state = State::Failed;
    state.process = None;
    state.reason = Some(reason.to_owned());
    let reason = match dir.write_state(&state) {
        Ok(()) => reason.to_owned(),
        Err(error) => format!("{reason} (and {error})"),
    };
    report(Event::State { run: place, state: State::Failed, step: state.step, reason: Some(reason) });
}
