//! A sitting of a pack: steps until the end or until told to stop, with everything that is left on the way.
//!
//! What a run leaves is a function of its step alone, so that a run that was killed and resumed leaves the same files.

use super::pack::Pack;
use super::preview::Preview;
use crate::base::file::{self, FileError};
use crate::data::{Examples, Source, Split, Truth, shapes};
use crate::eval::{self, EvalSpec, ReferenceKind, WeightsKind};
use crate::objective::{Generate, Objective, Request};
use crate::picture::{self, PictureError};
use crate::record::event::Event;
use crate::record::run::Process;
use crate::record::{
    EvalLog, Metrics, OutputSpec, RecordError, RunDir, RunLock, RunState, State, TensorData, Versions, checkpoint,
};
use crate::rng::Purpose;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The tables of a run, as [`RunState::files`] and the metadata of checkpoints name them.
pub const METRICS: &str = "metrics.csv";
/// See [`METRICS`].
pub const EVAL: &str = "eval.csv";
/// The seed of what samples are held against: the same for every run, so that runs are comparable.
const REFERENCE_SEED: u64 = 0;
/// How long a frame of an animation is shown, in milliseconds.
const FRAME_MS: u32 = 80;
/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(200);
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

/// A sitting.
pub struct Session<'a, O> {
    pack: Pack<O>,
    seats: Vec<Desk>,
    settings: Settings,
    stop: Arc<AtomicBool>,
    report: &'a mut dyn FnMut(Event),
    started: Instant,
    first_step: u64,
    reported: Option<Instant>,
    stated: Instant,
    /// What the disk said when it took nothing more: no run's own fault.
    refused: Option<RecordError>,
}

/// A seat with its open files.
struct Desk {
    seat: Seat,
    metrics: Metrics,
    evals: EvalLog,
    reference: Arc<Examples>,
    train: Arc<Examples>,
    preview: Preview,
    seconds_before: f64,
}

impl Desk {
    /// Opens the files of a run, to go on after the step in its state.
    fn open(
        mut seat: Seat,
        columns: &[String],
        reference: Arc<Examples>,
        train: Arc<Examples>,
        preview: Preview,
    ) -> Result<Self, RecordError> {
        let metrics = Metrics::open(&seat.dir.metrics(), columns, seat.state.step)?;
        let evals = EvalLog::open(&seat.dir.eval(), eval::PROTOCOL_COLUMNS, seat.state.step)?;
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
        let mut desk = Self { seat, metrics, evals, reference, train, preview, seconds_before };
        // The rows past the checkpoint go only now that nobody is promised them any more.
        desk.flush()?;
        Ok(desk)
    }

    /// Hands all rows to the system.
    fn flush(&mut self) -> Result<(), RecordError> {
        self.metrics.flush().and_then(|()| self.evals.flush())
    }
}

impl<'a, O: Objective + Generate> Session<'a, O> {
    /// A sitting of a pack from the step it stands at. Runs whose files cannot be opened fail, and the others go on.
    ///
    /// # Errors
    /// If the disk takes nothing.
    pub fn new(
        pack: Pack<O>,
        seats: Vec<Seat>,
        settings: Settings,
        stop: Arc<AtomicBool>,
        report: &'a mut dyn FnMut(Event),
    ) -> Result<Self, RecordError> {
        let columns: Vec<String> = pack.objective.scalars().into_iter().map(str::to_owned).collect();
        let (size, mut desks, mut stay) = (seats.len(), Vec::<Desk>::new(), Vec::new());
        for (run, mut seat) in seats.into_iter().enumerate() {
            let source = &pack.sources[run];
            // Runs over one source share what they are held against.
            let same = stay.iter().position(|&other: &usize| Arc::ptr_eq(&pack.sources[other], source));
            let (reference, train, preview) = match same {
                Some(other) => {
                    let other = &desks[other];
                    (other.reference.clone(), other.train.clone(), other.preview.clone())
                }
                None => {
                    let (reference, train) = references(&**source, &settings.eval);
                    let preview = Preview::new(source.info(), &train, &settings.output);
                    (reference, train, preview)
                }
            };
            seat.state.device = Some(settings.device.clone());
            seat.state.pack_size = Some(size);
            seat.state.threads = Some(settings.threads);
            seat.state.step = pack.step;
            let (dir, state, place) = (RunDir::at(&seat.dir.path), seat.state.clone(), seat.place);
            match Desk::open(seat, &columns, reference, train, preview) {
                Ok(desk) => {
                    desks.push(desk);
                    stay.push(run);
                }
                Err(error) if error.is_of_the_disk() => return Err(error),
                Err(error) => fail(&dir, state, place, &error.to_string(), report),
            }
        }
        let mut pack = pack;
        if stay.len() < size && !stay.is_empty() {
            pack.keep(&stay);
        }
        let now = Instant::now();
        let first_step = pack.step;
        Ok(Self {
            pack,
            seats: desks,
            settings,
            stop,
            report,
            started: now,
            first_step,
            reported: None,
            stated: now,
            refused: None,
        })
    }

    /// Trains until the last step, or until told to stop; runs that diverge or whose files cannot be written leave on
    /// the way.
    ///
    /// # Errors
    /// If the disk takes nothing more. Runs that are not done then go on from their newest checkpoint another time.
    pub fn run(mut self) -> Result<(), RecordError> {
        let steps = self.pack.schedule.steps;
        while self.pack.step < steps && !self.seats.is_empty() && self.refused.is_none() {
            if self.stop.load(Ordering::Relaxed) {
                self.interrupt();
                return self.refused.map_or(Ok(()), Err);
            }
            let next = self.pack.step + 1;
            let recording = due(next, self.settings.output.metrics_every.max(1), steps);
            let outcome = self.pack.step(recording);
            if !outcome.diverged.is_empty() {
                self.let_go(&outcome.diverged);
            }
            self.leave(recording.then_some(&outcome.scalars), &outcome.diverged);
        }
        if self.refused.is_none() {
            self.finish();
        }
        self.refused.map_or(Ok(()), Err)
    }

    /// Writes all that is due at the step just done. Scalars have a value a run as the pack was before `gone` left.
    fn leave(&mut self, scalars: Option<&Vec<(&'static str, Vec<f32>)>>, gone: &[(usize, String)]) {
        let (step, steps) = (self.pack.step, self.pack.schedule.steps);
        let mut failed: Vec<(usize, RecordError)> = Vec::new();
        let kept: Vec<usize> = match scalars {
            Some(all) => {
                let before = all.first().map_or(0, |(_, v)| v.len());
                (0..before).filter(|run| gone.iter().all(|(g, _)| g != run)).collect()
            }
            None => vec![],
        };
        if let Some(scalars) = scalars {
            let names = self.pack.objective.scalars();
            for (desk, &column) in self.seats.iter_mut().zip(&kept) {
                let value = |name: &&str| scalars.iter().find(|(n, _)| n == name).map(|(_, v)| f64::from(v[column]));
                let row: Vec<Option<f64>> = names.iter().map(value).collect();
                if let Err(error) = desk.metrics.append(step, &row) {
                    failed.push((desk.seat.place, error));
                }
            }
        }
        let eval_due = !self.settings.eval.metrics.is_empty() && due(step, self.settings.eval.every, steps);
        if eval_due {
            self.evaluate(&mut failed);
        }
        let output = &self.settings.output;
        let picture_due = due(step, output.samples_every, steps);
        let frame_due = output.animation.as_ref().is_some_and(|a| due(step, a.every, steps));
        if picture_due || frame_due {
            self.draw(picture_due, frame_due, &mut failed);
        }
        self.fail(failed);
        // A checkpoint says that all before it has been written.
        if due(step, self.settings.output.checkpoint_every, steps) && self.refused.is_none() {
            let mut failed = Vec::new();
            self.save(State::Running, &mut failed);
            self.fail(failed);
        }
        self.progress(scalars, &kept);
    }

    fn evaluate(&mut self, failed: &mut Vec<(usize, RecordError)>) {
        let rows = measure_with(&self.pack, &self.settings.eval, self.settings.has_average, |run| {
            let desk = &self.seats[run];
            (desk.reference.clone(), desk.train.clone())
        });
        for (desk, rows) in self.seats.iter_mut().zip(rows) {
            for (metric, value, protocol) in rows {
                if let Err(error) = desk.evals.append(self.pack.step, &metric, value, &protocol) {
                    failed.push((desk.seat.place, error));
                    break;
                }
            }
        }
    }

    fn draw(&mut self, picture_due: bool, frame_due: bool, failed: &mut Vec<(usize, RecordError)>) {
        let step = self.pack.step;
        let pictures =
            super::preview::pictures(&self.pack, self.seats.iter().map(|d| &d.preview), self.settings.has_average);
        for (desk, picture) in self.seats.iter_mut().zip(pictures) {
            let bytes = picture::encode_png(&picture);
            let mut write = |path: std::path::PathBuf| {
                if let Err(error) = file::write_atomic_soon(&path, &bytes) {
                    failed.push((desk.seat.place, error.into()));
                }
            };
            if picture_due {
                write(desk.seat.dir.samples().join(format!("{step:08}.png")));
            }
            if frame_due {
                write(desk.seat.dir.frames().join(format!("{step:08}.png")));
            }
        }
    }

    /// Writes a checkpoint of every run. Rows are on disk before the checkpoint that goes on after them.
    fn save(&mut self, state: State, failed: &mut Vec<(usize, RecordError)>) {
        let step = self.pack.step;
        let counters: BTreeMap<String, String> =
            self.pack.counters().into_iter().map(|(name, value)| (name, value.to_string())).collect();
        let (every, keep) = (self.settings.output.checkpoint_every, self.settings.output.keep as usize);
        for run in 0..self.seats.len() {
            let tensors: Vec<TensorData> =
                self.pack.tensors(run).into_iter().map(|t| TensorData::f32(t.name, t.shape, t.data)).collect();
            let desk = &mut self.seats[run];
            let folder = desk.seat.dir.checkpoints();
            let mut meta = counters.clone();
            meta.insert("id".to_owned(), desk.seat.state.id.clone());
            // What goes on from here needs the rows up to here.
            meta.insert(METRICS.to_owned(), desk.metrics.seal().to_string());
            meta.insert(EVAL.to_owned(), desk.evals.seal().to_string());
            let saved = desk.flush().and_then(|()| checkpoint::save(&folder, step, &tensors, &meta)).and_then(|_| {
                // A checkpoint between two regular ones is there for an interruption alone, and until the next.
                let regular = |s: u64| due(s, every, self.pack.schedule.steps);
                for old in checkpoint::steps(&folder).into_iter().filter(|&s| s != step && !regular(s)) {
                    let path = checkpoint::path(&folder, old);
                    std::fs::remove_file(&path).map_err(FileError::at("cannot remove", &path))?;
                }
                if regular(step) { checkpoint::prune(&folder, keep, &[step]).map(drop) } else { Ok(()) }
            });
            desk.seat.state.state = state;
            desk.seat.state.checkpoints = checkpoint::steps(&folder);
            let written = saved.and_then(|()| self.write_state(run));
            if let Err(error) = written {
                failed.push((self.seats[run].seat.place, error));
            }
        }
        self.stated = Instant::now();
    }

    fn write_state(&mut self, run: usize) -> Result<(), RecordError> {
        let seconds = self.started.elapsed().as_secs_f64();
        let done = self.pack.step - self.first_step;
        let desk = &mut self.seats[run];
        let state = &mut desk.seat.state;
        state.step = self.pack.step;
        state.seconds = desk.seconds_before + seconds;
        state.steps_per_second = (done > 0).then(|| done as f64 / seconds);
        if state.state != State::Running {
            state.process = None;
        }
        // A state vouches for rows that are there; where they cannot be written, it vouches for those before.
        let flushed = desk.flush();
        if flushed.is_ok() {
            let seals = [(METRICS, desk.metrics.seal()), (EVAL, desk.evals.seal())];
            desk.seat.state.files.extend(seals.map(|(name, seal)| (name.to_owned(), seal)));
        }
        desk.seat.dir.write_state(&desk.seat.state).and(flushed)
    }

    /// Ends runs whose numbers stopped being finite: named, with their last checkpoint as it is.
    fn let_go(&mut self, diverged: &[(usize, String)]) {
        for (run, loss) in diverged {
            let tensor = self.pack.players.iter().find_map(|p| p.not_finite(*run));
            let tensor =
                tensor.map_or_else(String::new, |name| format!("; `{name}` holds numbers that are not finite"));
            let reason = format!("{loss} at step {}{tensor}", self.pack.step);
            self.close(*run, State::Diverged, &reason);
        }
        self.leave_seats(&diverged.iter().map(|(run, _)| *run).collect::<Vec<_>>());
    }

    /// Ends runs whose files cannot be written, by their places in the job. Where no file at all can be, no run is to
    /// blame.
    fn fail(&mut self, failed: Vec<(usize, RecordError)>) {
        let mut gone = Vec::new();
        for (place, error) in failed {
            if error.is_of_the_disk() {
                self.refused = Some(error);
                return;
            }
            if let Some(run) = self.seats.iter().position(|d| d.seat.place == place)
                && !gone.contains(&run)
            {
                self.close(run, State::Failed, &error.to_string());
                gone.push(run);
            }
        }
        self.leave_seats(&gone);
    }

    fn close(&mut self, run: usize, state: State, reason: &str) {
        let desk = &mut self.seats[run];
        desk.seat.state.state = state;
        desk.seat.state.reason = Some(reason.to_owned());
        let place = desk.seat.place;
        // The reason reaches the parent in any case.
        let reason = match self.write_state(run) {
            Ok(()) => reason.to_owned(),
            Err(error) => format!("{reason} (and {error})"),
        };
        (self.report)(Event::State { run: place, state, step: self.pack.step, reason: Some(reason) });
    }

    fn leave_seats(&mut self, gone: &[usize]) {
        if gone.is_empty() {
            return;
        }
        let stay: Vec<usize> = (0..self.seats.len()).filter(|run| !gone.contains(run)).collect();
        let mut place = 0;
        self.seats.retain(|_| {
            place += 1;
            stay.contains(&(place - 1))
        });
        if !stay.is_empty() {
            self.pack.keep(&stay);
        }
    }

    fn interrupt(&mut self) {
        let mut failed = Vec::new();
        self.save(State::Interrupted, &mut failed);
        self.fail(failed);
        if self.refused.is_some() {
            return;
        }
        for desk in &self.seats {
            (self.report)(Event::State {
                run: desk.seat.place,
                state: State::Interrupted,
                step: self.pack.step,
                reason: None,
            });
        }
    }

    fn finish(&mut self) {
        let mut failed = Vec::new();
        if self.settings.output.animation.is_some() {
            for desk in &self.seats {
                let (frames, out) = (desk.seat.dir.frames(), desk.seat.dir.animation());
                let made = picture::assemble(&frames, &out, FRAME_MS).map_err(|error| match error {
                    PictureError::File(error) => RecordError::File(error),
                    other => RecordError::Corrupt { path: frames, reason: other.to_string() },
                });
                if let Err(error) = made {
                    failed.push((desk.seat.place, error));
                }
            }
        }
        self.fail(failed);
        if self.refused.is_some() {
            return;
        }
        let mut failed = Vec::new();
        for run in 0..self.seats.len() {
            self.seats[run].seat.state.state = State::Done;
            if let Err(error) = self.write_state(run) {
                failed.push((self.seats[run].seat.place, error));
            }
        }
        self.fail(failed);
        for desk in self.seats.iter().filter(|_| self.refused.is_none()) {
            (self.report)(Event::State {
                run: desk.seat.place,
                state: State::Done,
                step: self.pack.step,
                reason: None,
            });
        }
    }

    fn progress(&mut self, scalars: Option<&Vec<(&'static str, Vec<f32>)>>, kept: &[usize]) {
        let Some(scalars) = scalars else { return };
        let now = Instant::now();
        if self.reported.is_some_and(|at| now - at < REPORT_EVERY) {
            return;
        }
        self.reported = Some(now);
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = (self.pack.step - self.first_step) as f64 / seconds.max(1e-9);
        if let (Some(desk), Some(&column)) = (self.seats.first(), kept.first()) {
            let scalars = scalars
                .iter()
                .map(|(name, v)| ((*name).to_owned(), Some(f64::from(v[column])).filter(|v| v.is_finite())))
                .collect();
            (self.report)(Event::Progress {
                run: desk.seat.place,
                step: self.pack.step,
                steps: self.pack.schedule.steps,
                rate,
                scalars,
            });
        }
        if now - self.stated > STATE_EVERY {
            self.stated = now;
            let mut failed = Vec::new();
            for run in 0..self.seats.len() {
                if let Err(error) = self.write_state(run) {
                    failed.push((self.seats[run].seat.place, error));
                }
            }
            self.fail(failed);
        }
    }
}

/// Ends a run that cannot go on: in its `run.json` where that can be written, and to the parent in any case.
pub fn fail(dir: &RunDir, mut state: RunState, place: usize, reason: &str, report: &mut dyn FnMut(Event)) {
    state.state = State::Failed;
    state.process = None;
    state.reason = Some(reason.to_owned());
    let reason = match dir.write_state(&state) {
        Ok(()) => reason.to_owned(),
        Err(error) => format!("{reason} (and {error})"),
    };
    report(Event::State { run: place, state: State::Failed, step: state.step, reason: Some(reason) });
}

/// A row of `eval.csv` without its step: metric, number where it is finite, protocol.
pub type Row = (String, Option<f64>, Vec<String>);

/// The numbers of every run of a pack as it stands.
pub fn measure<O: Objective + Generate>(pack: &Pack<O>, spec: &EvalSpec, has_average: bool) -> Vec<Vec<Row>> {
    measure_with(pack, spec, has_average, |run| references(&*pack.sources[run], spec))
}

/// What samples are held against: the reference, and training examples.
fn references(source: &dyn Source, spec: &EvalSpec) -> (Arc<Examples>, Arc<Examples>) {
    let split = match spec.reference {
        ReferenceKind::Test => Split::Test,
        ReferenceKind::Train => Split::Train,
    };
    let n = spec.samples as usize;
    (Arc::new(source.reference(split, REFERENCE_SEED, n)), Arc::new(source.reference(Split::Train, REFERENCE_SEED, n)))
}

fn measure_with<O: Objective + Generate>(
    pack: &Pack<O>,
    spec: &EvalSpec,
    has_average: bool,
    references: impl Fn(usize) -> (Arc<Examples>, Arc<Examples>),
) -> Vec<Vec<Row>> {
    let averaged = has_average && spec.weights == WeightsKind::Auto;
    let request = Request {
        seeds: &pack.seeds,
        purpose: Purpose::Eval,
        index: 0,
        n: spec.samples as usize,
        label: None,
        averaged,
    };
    let fakes = pack.objective.generate(&pack.players, &request);
    let measured = fakes.iter().enumerate().map(|(run, fake)| {
        let (real, train) = references(run);
        let source = &pack.sources[run];
        let shapes = match &source.info().truth {
            Truth::Shapes(spec) => Some(|image: &[f32]| {
                let verdict = shapes::classify(image, spec);
                (verdict.attributes.class, f64::from(verdict.error))
            }),
            _ => None,
        };
        let context = eval::Context {
            spec,
            info: source.info(),
            real: &real,
            train: Some(&train),
            fake,
            seed: REFERENCE_SEED,
            score_shape: shapes.as_ref().map(|score| score as eval::ScoreShape<'_>),
        };
        let values = eval::measure_all(&context).into_iter().map(|mut value| {
            value.protocol.weights = if averaged { "ema" } else { "raw" }.to_owned();
            if value.protocol.split == "test" && !source.has_test() {
                value.protocol.split = "train".to_owned();
            }
            (value.metric, value.value.is_finite().then_some(value.value), value.protocol.fields().to_vec())
        });
        values.collect()
    });
    measured.collect()
}

/// Whether something that comes every `every` steps, and at the last, is due; 0 is only at the last.
fn due(step: u64, every: u64, steps: u64) -> bool {
    step == steps || (every > 0 && step.is_multiple_of(every))
}
