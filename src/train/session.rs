//! A sitting of a pack: steps until the end or until told to stop, and what they leave handed to the clerk.
//!
//! What a run leaves is a function of its step alone, so that a run that was killed and resumed leaves the same files.

use super::clerk::{Clerk, Desk, Entry, Saved, Seat, Settings, fail};
use super::due;
use super::measure::{self, Judge};
use super::pack::{Outcome, Pack};
use super::preview::{self, Preview};
use super::spec::Precision;
use crate::base::unbound;
use crate::data::Examples;
use crate::record::event::Event;
use crate::record::{RecordError, RunDir, State, TensorData};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// Entries that may wait for the clerk, and how many of those that hold samples or weights.
const WAITING: usize = 1024;
const HEAVY: usize = 2;

/// Trains a pack from the step it stands at until the last step, or until told to stop. Runs that diverge or whose files
/// cannot be written leave on the way, and the others go on.
///
/// # Errors
/// If the disk takes nothing more. Runs that are not done then go on from their newest checkpoint another time.
pub fn sit(
    mut pack: Pack,
    seats: Vec<Seat>,
    settings: &Settings,
    stop: &AtomicBool,
    report: &(dyn Fn(Event) + Sync),
) -> Result<(), RecordError> {
    let (runs, desks) = open(&mut pack, seats, settings, report)?;
    let (entries, inbox) = sync_channel(WAITING);
    let (permits, given) = sync_channel(HEAVY);
    let (gone, news) = channel();
    let clerk = Clerk::new(desks, settings, (pack.step, pack.schedule.steps), report, gone);
    let sitting = Sitting {
        first_step: pack.step,
        pack,
        runs,
        settings,
        report,
        started: Instant::now(),
        reported: None,
        entries,
        permits,
        news,
    };
    std::thread::scope(|scope| {
        let clerk = scope.spawn(move || clerk.work(&inbox, &given));
        // Where nobody writes any more, the clerk says why.
        let _ended = sitting.run(stop);
        clerk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens the files of all runs; those that have none to open fail and leave.
fn open(
    pack: &mut Pack,
    seats: Vec<Seat>,
    settings: &Settings,
    report: &(dyn Fn(Event) + Sync),
) -> Result<(Vec<Run>, Vec<Desk>), RecordError> {
    let columns: Vec<String> = pack.objective.scalars().into_iter().map(str::to_owned).collect();
    let (size, mut stay, mut known) = (seats.len(), Vec::new(), Vec::<(usize, Judge, Preview)>::new());
    let (mut runs, mut desks) = (Vec::new(), Vec::new());
    for (run, mut seat) in seats.into_iter().enumerate() {
        let source = &pack.sources[run];
        // Runs over one source share what they are held against.
        let same = known.iter().find(|(other, ..)| Arc::ptr_eq(&pack.sources[*other], source));
        let (judge, preview) = match same {
            Some((_, judge, preview)) => (judge.clone(), preview.clone()),
            None => {
                let judge = Judge::new(source, &settings.eval);
                let preview = Preview::new(source.info(), &judge.train, &settings.output);
                known.push((run, judge.clone(), preview.clone()));
                (judge, preview)
            }
        };
        seat.state.device = Some(settings.device.clone());
        seat.state.pack_size = Some(size);
        seat.state.threads = Some(settings.threads);
        seat.state.step = pack.step;
        let (dir, state, place) = (RunDir::at(&seat.dir.path), seat.state.clone(), seat.place);
        let (reference, training) = (judge.reference.clone(), judge.train.clone());
        match Desk::open(seat, &columns, judge, preview.clone(), &settings.output) {
            Ok(desk) => {
                desks.push(desk);
                runs.push(Run { place, preview, reference, training });
                stay.push(run);
            }
            Err(error) if error.is_of_the_disk() => return Err(error),
            Err(error) => fail(&dir, state, place, &error.to_string(), report),
        }
    }
    if stay.len() < size && !stay.is_empty() {
        pack.keep(&stay);
    }
    Ok((runs, desks))
}

/// A run at its place in the pack.
struct Run {
    /// Its place in the job.
    place: usize,
    preview: Preview,
    /// What is held against it.
    reference: Arc<Examples>,
    /// Examples of training.
    training: Arc<Examples>,
}

struct Sitting<'a> {
    pack: Pack,
    runs: Vec<Run>,
    settings: &'a Settings,
    report: &'a (dyn Fn(Event) + Sync),
    started: Instant,
    first_step: u64,
    reported: Option<Instant>,
    entries: SyncSender<Entry>,
    permits: SyncSender<()>,
    /// Places of runs that the clerk has ended.
    news: Receiver<usize>,
}

/// The clerk has ended, and says why.
struct NobodyWrites;

impl Sitting<'_> {
    fn run(mut self, stop: &AtomicBool) -> Result<(), NobodyWrites> {
        let steps = self.pack.schedule.steps;
        while self.pack.step < steps && !self.runs.is_empty() {
            if stop.load(Ordering::Relaxed) {
                let checkpoint = Some(self.saved(State::Interrupted));
                return self.hand_over(Entry { checkpoint, ..self.entry() });
            }
            let recording = due(self.pack.step + 1, self.settings.output.metrics_every.max(1), steps);
            let tf32 = self.pack.run.precision == Precision::Tf32;
            let outcome = unbound::with_tf32(tf32, || self.pack.step(recording));
            self.leave(outcome, recording)?;
            let gone: Vec<usize> = self.news.try_iter().collect();
            self.let_go(&gone);
        }
        Ok(())
    }

    /// Hands over all that is due at the step just done.
    fn leave(&mut self, outcome: Outcome, recording: bool) -> Result<(), NobodyWrites> {
        let (step, steps, settings) = (self.pack.step, self.pack.schedule.steps, self.settings);
        let diverged: Vec<(usize, String)> =
            (outcome.diverged.iter()).map(|(run, loss)| (self.runs[*run].place, self.reason(*run, loss))).collect();
        let kept: Vec<usize> =
            (0..self.runs.len()).filter(|run| outcome.diverged.iter().all(|(d, _)| d != run)).collect();
        let scalars = recording.then(|| {
            let names = self.pack.objective.scalars();
            let of = |name: &str, run: usize| {
                outcome.scalars.iter().find(|(n, _)| *n == name).map(|(_, values)| f64::from(values[run]))
            };
            kept.iter().map(|&run| names.iter().map(|name| of(name, run)).collect()).collect()
        });
        self.let_go(&diverged.iter().map(|(place, _)| *place).collect::<Vec<_>>());
        let mut entry = Entry { diverged, scalars, ..self.entry() };
        if !self.runs.is_empty() {
            if !settings.eval.metrics.is_empty() && due(step, settings.eval.every, steps) {
                let (real, training) =
                    (self.references(), self.runs.iter().map(|run| &*run.training).collect::<Vec<_>>());
                entry.answers =
                    Some(measure::answers(&self.pack, &real, &training, &settings.eval, settings.has_average));
            }
            let output = &settings.output;
            if due(step, output.samples_every, steps)
                || output.animation.as_ref().is_some_and(|a| due(step, a.every, steps))
            {
                let previews: Vec<&Preview> = self.runs.iter().map(|run| &run.preview).collect();
                entry.sketches =
                    Some(preview::sketches(&self.pack, &previews, &self.references(), settings.has_average));
            }
            if due(step, output.checkpoint_every, steps) {
                entry.checkpoint = Some(self.saved(State::Running));
            }
            self.progress(&outcome, kept[0]);
        }
        if entry.is_empty() { Ok(()) } else { self.hand_over(entry) }
    }

    /// What each run is held against.
    fn references(&self) -> Vec<&Examples> {
        self.runs.iter().map(|run| &*run.reference).collect()
    }

    /// An entry for the step just done that leaves nothing yet.
    fn entry(&self) -> Entry {
        Entry {
            step: self.pack.step,
            diverged: vec![],
            runs: self.runs.iter().map(|run| run.place).collect(),
            scalars: None,
            answers: None,
            sketches: None,
            checkpoint: None,
        }
    }

    /// Waits where the clerk is behind.
    fn hand_over(&self, entry: Entry) -> Result<(), NobodyWrites> {
        if entry.is_heavy() {
            self.permits.send(()).map_err(|_| NobodyWrites)?;
        }
        self.entries.send(entry).map_err(|_| NobodyWrites)
    }

    fn saved(&self, state: State) -> Saved {
        let of_run =
            |run| self.pack.tensors(run).into_iter().map(|t| TensorData::f32(t.name, t.shape, t.data)).collect();
        Saved {
            state,
            counters: self.pack.counters().into_iter().map(|(name, value)| (name, value.to_string())).collect(),
            tensors: (0..self.runs.len()).map(of_run).collect(),
        }
    }

    /// Why a run diverged.
    fn reason(&self, run: usize, loss: &str) -> String {
        let tensor = self.pack.players.iter().find_map(|p| p.not_finite(run));
        let tensor = tensor.map_or_else(String::new, |name| format!("; `{name}` holds numbers that are not finite"));
        format!("{loss} at step {}{tensor}", self.pack.step)
    }

    /// Runs with these places in the job leave the pack.
    fn let_go(&mut self, places: &[usize]) {
        let stay: Vec<usize> = (0..self.runs.len()).filter(|&run| !places.contains(&self.runs[run].place)).collect();
        if stay.len() == self.runs.len() {
            return;
        }
        self.runs.retain(|run| !places.contains(&run.place));
        if !stay.is_empty() {
            self.pack.keep(&stay);
        }
    }

    /// Tells how far the pack is, with the scalars of its first run, which stood at `column`.
    fn progress(&mut self, outcome: &Outcome, column: usize) {
        let now = Instant::now();
        if outcome.scalars.is_empty() || self.reported.is_some_and(|at| now - at < REPORT_EVERY) {
            return;
        }
        self.reported = Some(now);
        let seconds = self.started.elapsed().as_secs_f64();
        let finite = |values: &[f32]| Some(f64::from(values[column])).filter(|v| v.is_finite());
        (self.report)(Event::Progress {
            run: self.runs[0].place,
            together: self.runs.len(),
            step: self.pack.step,
            steps: self.pack.schedule.steps,
            rate: (self.pack.step - self.first_step) as f64 / seconds.max(1e-9),
            scalars: outcome.scalars.iter().map(|(name, values)| ((*name).to_owned(), finite(values))).collect(),
        });
    }
}
