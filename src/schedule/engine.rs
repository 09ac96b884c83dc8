//! Keeps workers busy and turns whatever ends them into the state of a run.
//!
//! One worker that dies takes its pack with it, so the runs of that pack are tried once more, each alone: one failure
//! stays one failure. What a run came to is read from its `run.json`, never guessed from events.

use super::pack::{Pack, Shares};
use super::survey::{Entry, dir_of};
use super::{Device, ScheduleError};
use crate::base::file::FileError;
use crate::base::signal::StopRequests;
use crate::record::event::{Event, Job, WorkerExit};
use crate::record::{RecordError, RunDir, RunState, State};
use crate::ui::progress::Progress;
use crate::ui::{Watch, words};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How much of a dead worker's last words is kept.
pub const LOG_TAIL: usize = 4096;

/// What starts workers.
pub trait Executor {
    /// Starts a worker on a job. What it tells, and its end, come as messages of this number.
    ///
    /// # Errors
    /// If it cannot be started.
    fn start(&mut self, number: usize, job: &Job) -> Result<Box<dyn Worker>, ScheduleError>;
}

/// A worker at work.
pub trait Worker {
    /// Asks it to save and leave.
    fn stop(&mut self);
    /// Ends it.
    fn kill(&mut self);
    /// How it ended; called once its pipe is closed.
    fn ended(&mut self) -> Ending;
}

/// How a worker ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its last words on standard error.
    pub log_tail: String,
}

impl Ending {
    /// Whether the worker was asked to stop, by whoever it was: it saved and left, or the signal came before it could catch it.
    fn is_by_request(&self) -> bool {
        let signals = [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT];
        self.code == Some(WorkerExit::Interrupted as i32) || self.signal.is_some_and(|s| signals.contains(&s))
    }

    /// The ending in words.
    pub fn in_words(&self) -> String {
        let name = |signal| match signal {
            4 => " (SIGILL)",
            6 => " (SIGABRT: it ended itself on an error)",
            7 => " (SIGBUS)",
            8 => " (SIGFPE)",
            9 => " (SIGKILL: somebody, or the system short of memory)",
            11 => " (SIGSEGV)",
            15 => " (SIGTERM)",
            _ => "",
        };
        match (self.signal, self.code) {
            (Some(signal), _) => format!("the worker was ended by signal {signal}{}", name(signal)),
            (None, Some(0)) => "the worker left without finishing it".to_owned(),
            (None, Some(code)) => format!("the worker ended with exit code {code}"),
            (None, None) => "the worker was lost".to_owned(),
        }
    }
}

/// What the engine hears.
#[derive(Debug)]
pub enum Message {
    /// A worker told something.
    Event(usize, Event),
    /// A worker said something that is no event.
    Noise(usize, String),
    /// A worker's pipe is closed.
    Closed(usize),
    /// A worker is not understood.
    Misunderstood(usize, crate::record::event::ProtocolError),
    /// The user asked for a stop at this time: the first request means save and leave, the second means leave at once.
    Interrupt(Instant),
}

/// What the engine works on and with.
pub struct Work<'a> {
    /// All cells.
    pub entries: &'a [Entry],
    /// Where run directories lie.
    pub out: &'a Path,
    /// What is to be trained, in order.
    pub packs: Vec<Pack>,
    /// How the machine is shared out.
    pub shares: Shares,
    /// Where workers compute.
    pub devices: Vec<Device>,
    /// How the CPU is shared out where none of the devices turns out to be usable and the CPU may take over.
    pub on_cpu: Option<Shares>,
    /// As many failed and diverged runs end it all.
    pub max_fail: Option<usize>,
}

/// Why a worker would not do what was asked, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of which kind it is.
    pub exit: WorkerExit,
    /// A sentence fragment without a period.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

/// What it all came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The state of each run that was touched, by its place among the entries.
    pub states: BTreeMap<usize, State>,
    /// Whether it was stopped by the user.
    pub interrupted: bool,
    /// Whether it was stopped by too many failures.
    pub gave_up: bool,
    /// What stood in the way of all runs, each said once.
    pub refusals: Vec<Refusal>,
    /// The devices that turned out to be usable.
    pub devices: Vec<Device>,
}

impl Outcome {
    /// What became of further runs, of the same entries.
    pub fn add(&mut self, other: Self) {
        self.states.extend(other.states);
        self.interrupted |= other.interrupted;
        self.gave_up |= other.gave_up;
        self.refusals.extend(other.refusals);
    }
}

struct Active {
    pack: Pack,
    worker: Box<dyn Worker>,
    device: Device,
    threads: usize,
    refusal: Option<(String, Option<String>)>,
    /// How each run ended by the worker's own words, and why.
    told: Vec<Option<(State, Option<String>)>>,
}

struct Engine<'a, 'w> {
    work: Work<'a>,
    queue: VecDeque<Pack>,
    active: BTreeMap<usize, Active>,
    watch: &'w mut dyn Watch,
    outcome: Outcome,
    started: usize,
    stopping: bool,
    stop_requests: StopRequests,
}

/// Trains the packs and gives what became of each run.
///
/// # Errors
/// If no worker can be started or understood. Runs that go on then are stopped and saved first.
pub fn drive(
    mut work: Work<'_>,
    executor: &mut dyn Executor,
    hear: &Receiver<Message>,
    watch: &mut dyn Watch,
) -> Result<Outcome, ScheduleError> {
    let queue = VecDeque::from(std::mem::take(&mut work.packs));
    let (mut runs, mut steps) = (0, 0);
    for &run in queue.iter().flat_map(|pack| &pack.runs) {
        let stored = dir_of(&work.entries[run], work.out).stored_state().map_or(0, |state| state.step);
        runs += 1;
        steps += work.entries[run].state.steps.saturating_sub(stored);
    }
    watch.begin(runs, steps);
    let mut engine = Engine {
        work,
        queue,
        active: BTreeMap::new(),
        watch,
        outcome: Outcome::default(),
        started: 0,
        stopping: false,
        stop_requests: StopRequests::default(),
    };
    let mut fatal = None;
    loop {
        if !engine.stopping
            && let Err(error) = engine.start_what_fits(executor)
        {
            fatal.get_or_insert(error);
            engine.stop_all();
        }
        if engine.active.is_empty() && (engine.stopping || engine.queue.is_empty()) {
            break;
        }
        match hear.recv_timeout(Duration::from_millis(200)) {
            Ok(message) => {
                if let Err(error) = engine.hear(message) {
                    fatal.get_or_insert(error);
                    engine.stop_all();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Whoever could still speak is gone, and so are the workers.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        engine.watch.tick();
    }
    engine.watch.end();
    match fatal {
        Some(error) => Err(error),
        None => Ok(Outcome { devices: engine.work.devices, ..engine.outcome }),
    }
}

impl Engine<'_, '_> {
    /// Starts packs in their order as long as cores, workers and devices are free.
    fn start_what_fits(&mut self, executor: &mut dyn Executor) -> Result<(), ScheduleError> {
        while let Some(pack) = self.queue.front() {
            let threads = pack.threads.unwrap_or(self.work.shares.threads).clamp(1, self.work.shares.cores);
            let busy: usize = self.active.values().map(|active| active.threads).sum();
            if self.active.len() >= self.work.shares.jobs || busy + threads > self.work.shares.cores {
                return Ok(());
            }
            if self.drop_what_others_took() {
                continue;
            }
            let load = |device: Device| self.active.values().filter(|active| active.device == device).count();
            let device = self.work.devices.iter().copied().min_by_key(|&device| load(device)).unwrap_or(Device::Cpu);
            if load(device) >= self.work.shares.jobs_per_device {
                return Ok(());
            }
            let Some(pack) = self.queue.pop_front() else { return Ok(()) };
            let job = Job {
                runs: pack.runs.iter().map(|&run| self.dir(run).path).collect(),
                data_roots: pack.runs.first().map_or_else(Vec::new, |&run| self.work.entries[run].data_roots.clone()),
                device: device.to_string(),
                threads,
            };
            let worker = executor.start(self.started, &job)?;
            let names: Vec<String> = pack.runs.iter().map(|&run| self.name(run)).collect();
            self.watch.pack_started(self.started, &names, &job.device, threads);
            let told = vec![None; pack.runs.len()];
            self.active.insert(self.started, Active { pack, worker, device, threads, refusal: None, told });
            self.started += 1;
        }
        Ok(())
    }

    /// Takes out of the next pack what another process trains or has finished meanwhile; whether the pack is gone.
    fn drop_what_others_took(&mut self) -> bool {
        let Some(mut pack) = self.queue.pop_front() else { return true };
        pack.runs.retain(|&run| match self.dir(run).state() {
            Ok(state) if state.state == State::Running => {
                self.leave(run, &self.dir(run).holder().unwrap_or_else(|| "another process".to_owned()));
                false
            }
            Ok(state) if state.state.is_final() => {
                self.outcome.states.insert(run, state.state);
                false
            }
            // What cannot be read is the worker's to name.
            _ => true,
        });
        let gone = pack.runs.is_empty();
        if !gone {
            self.queue.push_front(pack);
        }
        gone
    }

    /// Says that a run is another process's.
    fn leave(&mut self, run: usize, holder: &str) {
        let name = self.name(run);
        self.watch.say(&format!("{name} is left to {holder}"));
    }

    fn hear(&mut self, message: Message) -> Result<(), ScheduleError> {
        match message {
            Message::Event(number, event) => self.hear_event(number, event),
            Message::Noise(number, text) => {
                if self.active.contains_key(&number) {
                    self.watch.say(&text);
                }
            }
            Message::Closed(number) => return self.worker_gone(number),
            Message::Misunderstood(number, error) => {
                if let Some(active) = self.active.get_mut(&number) {
                    active.worker.kill();
                }
                return Err(error.into());
            }
            Message::Interrupt(at) if self.stop_requests.is_second(at) => {
                for active in self.active.values_mut() {
                    active.worker.kill();
                }
            }
            Message::Interrupt(_) => {
                if !self.outcome.interrupted && !self.active.is_empty() {
                    self.watch.say("saving and stopping; interrupt again to leave at once");
                }
                self.outcome.interrupted = true;
                self.stop_all();
            }
        }
        Ok(())
    }

    fn hear_event(&mut self, number: usize, event: Event) {
        let Some(active) = self.active.get_mut(&number) else { return };
        match event {
            Event::Progress { run, together, step, steps, rate, scalars } => {
                let pack = number;
                self.watch.progress(&Progress { pack, run, together, step, steps, rate, scalars: &scalars });
            }
            Event::State { run, state, reason, .. } if state.is_final() => {
                let Some(told) = active.told.get_mut(run) else { return };
                let first = told.replace((state, reason.clone())).is_none();
                let name = self.work.entries[active.pack.runs[run]].state.run.clone();
                if first {
                    self.watch.run_ended(&name, state, reason.as_deref());
                }
                self.give_up_if_too_many();
            }
            Event::Warning { run, text } => {
                let name = run.and_then(|run| active.pack.runs.get(run)).map(|&run| &self.work.entries[run].state.run);
                self.watch.say(&name.map_or_else(|| text.clone(), |name| format!("{name}: {text}")));
            }
            Event::Refused { message, help } => active.refusal = Some((message, help)),
            _ => {}
        }
    }

    /// Looks at what a worker left, run by run.
    fn worker_gone(&mut self, number: usize) -> Result<(), ScheduleError> {
        let Some(mut active) = self.active.remove(&number) else { return Ok(()) };
        let ending = active.worker.ended();
        let exit = ending.code.and_then(WorkerExit::from_code);
        let mut unfinished = Vec::new();
        for (place, &run) in active.pack.runs.iter().enumerate() {
            let (dir, told) = (self.dir(run), active.told[place].take());
            // Whoever writes holds the lock, which another process may have taken before the worker could.
            let lock = match dir.lock() {
                Err(RecordError::Locked { holder, .. }) => {
                    self.leave(run, &holder);
                    continue;
                }
                lock => lock.ok(),
            };
            match (dir.stored_state(), told) {
                (Ok(state), told) if state.state.is_final() => {
                    self.outcome.states.insert(run, state.state);
                    if told.is_none() {
                        self.watch.run_ended(&self.name(run), state.state, state.reason.as_deref());
                    }
                }
                (Ok(state), None) => unfinished.push((run, state, lock)),
                // Its own failure, which the worker could not write down.
                (Ok(mut state), Some((ended, reason))) => {
                    (state.state, state.reason, state.process) = (ended, reason, None);
                    self.write(run, &state);
                }
                (Err(error), told) => {
                    self.outcome.states.insert(run, State::Failed);
                    if told.is_none() {
                        self.watch.run_ended(&self.name(run), State::Failed, Some(&error.to_string()));
                    }
                }
            }
        }
        let refusal = active.refusal.take();
        let told_to_stop = self.stopping || ending.is_by_request();
        let blocked = matches!(exit, Some(WorkerExit::Data | WorkerExit::Disk | WorkerExit::Device));
        let mut elsewhere = Pack { runs: Vec::new(), ..active.pack.clone() };
        if !unfinished.is_empty() && !told_to_stop && !blocked && !active.pack.alone {
            let runs = words::plural(unfinished.len(), "run");
            self.watch.say(&format!("{}: {runs} of its pack go on, each alone", ending.in_words()));
        }
        for (run, state, _lock) in unfinished {
            if let Some(exit @ (WorkerExit::Data | WorkerExit::Disk)) = exit {
                let (message, help) = refusal.clone().unwrap_or_else(|| (ending.in_words(), None));
                let refusal = Refusal { exit, message, help };
                if !self.outcome.refusals.contains(&refusal) {
                    self.outcome.refusals.push(refusal);
                }
                self.put_back(run, state);
            } else if told_to_stop {
                self.put_back(run, state);
            } else if exit == Some(WorkerExit::Device) {
                elsewhere.runs.push(run);
                self.put_back(run, state);
            } else if !active.pack.alone {
                self.queue.push_back(Pack { runs: vec![run], threads: state.threads, alone: true });
                self.put_back(run, state);
            } else {
                let reason = refusal.as_ref().map_or_else(|| ending.in_words(), |(message, _)| message.clone());
                self.fail(run, state, reason, &ending.log_tail);
            }
        }
        if !elsewhere.runs.is_empty() {
            self.queue.push_front(elsewhere);
        }
        if exit == Some(WorkerExit::Device) && !told_to_stop {
            self.leave_device(active.device, refusal.clone().unwrap_or_else(|| (ending.in_words(), None)));
        }
        self.outcome.interrupted |= ending.is_by_request() && !self.stopping;
        self.watch.pack_ended(number);
        if exit == Some(WorkerExit::Disk) || self.outcome.interrupted {
            self.stop_all();
        }
        self.give_up_if_too_many();
        if exit == Some(WorkerExit::Request) {
            let message = refusal.map_or_else(|| ending.in_words(), |(message, _)| message);
            return Err(ScheduleError::Refused { message });
        }
        Ok(())
    }

    /// Stops using a device on which no worker can compute, and reports it once; its runs are trained on the others, or on the
    /// CPU where that may take over.
    fn leave_device(&mut self, device: Device, (message, help): (String, Option<String>)) {
        let before = self.work.devices.len();
        self.work.devices.retain(|&other| other != device);
        if self.work.devices.len() == before {
            return;
        }
        if !self.work.devices.is_empty() {
            return self.watch.say(&format!("{device} is left out: {message}"));
        }
        match self.work.on_cpu.take() {
            Some(shares) => {
                self.watch.say(&format!("{message}; computing on the CPU"));
                (self.work.devices, self.work.shares) = (vec![Device::Cpu], shares);
            }
            None => {
                self.outcome.refusals.push(Refusal { exit: WorkerExit::Device, message, help });
                self.stop_all();
            }
        }
    }

    /// Leaves a run to be gone on with.
    fn put_back(&mut self, run: usize, mut state: RunState) {
        if state.state == State::Running {
            state.state = State::Interrupted;
            state.process = None;
            // Where that cannot be written, it says that it is running and nobody holds it, which comes to the same.
            drop(self.dir(run).write_state(&state));
        }
        self.outcome.states.insert(run, state.state);
    }

    /// Writes how a run ended; where that cannot be written, the user hears so, and the others go on.
    fn write(&mut self, run: usize, state: &RunState) {
        self.outcome.states.insert(run, state.state);
        if let Err(error) = self.dir(run).write_state(state) {
            let name = self.name(run);
            self.watch.say(&format!("{name}: {error}"));
        }
    }

    fn fail(&mut self, run: usize, mut state: RunState, reason: String, words: &str) {
        let tail = if words.trim().is_empty() { tail_of(&self.dir(run)) } else { words.to_owned() };
        state.state = State::Failed;
        state.process = None;
        state.log_tail = Some(tail).filter(|tail| !tail.trim().is_empty());
        self.watch.run_ended(&self.name(run), State::Failed, Some(&reason));
        state.reason = Some(reason);
        self.write(run, &state);
    }

    fn give_up_if_too_many(&mut self) {
        let Some(most) = self.work.max_fail else { return };
        let bad = |state: State| matches!(state, State::Failed | State::Diverged);
        let ended = self.outcome.states.values().filter(|&&state| bad(state)).count();
        let told = self.active.values().flat_map(|active| active.told.iter().flatten());
        let ending = told.filter(|(state, _)| bad(*state)).count();
        if ended + ending >= most.max(1) && !self.stopping {
            self.outcome.gave_up = true;
            self.watch.say(&format!("{} ended badly: saving and stopping", ended + ending));
            self.stop_all();
        }
    }

    fn stop_all(&mut self) {
        self.stopping = true;
        for active in self.active.values_mut() {
            active.worker.stop();
        }
    }

    fn dir(&self, run: usize) -> RunDir {
        dir_of(&self.work.entries[run], self.work.out)
    }

    fn name(&self, run: usize) -> String {
        self.work.entries[run].state.run.clone()
    }
}

/// The end of a run's log.
fn tail_of(dir: &RunDir) -> String {
    let path = dir.log();
    let text = std::fs::read(&path).map_err(FileError::at("cannot read", &path)).unwrap_or_default();
    last_words(&text)
}

/// The last whole lines of a text, as many as [`LOG_TAIL`] holds.
pub fn last_words(text: &[u8]) -> String {
    let from = text.len().saturating_sub(LOG_TAIL);
    let from = if from == 0 { 0 } else { text[from..].iter().position(|&b| b == b'\n').map_or(from, |n| from + n + 1) };
    String::from_utf8_lossy(&text[from..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::pack::plan_packs;
    use super::super::survey::{Decision, Retry, survey, tests::entry};
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Arc, Mutex};

    /// What a mock worker does with its runs.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fate {
        Finish,
        /// The run of this name diverges, others finish.
        Diverges(&'static str),
        /// The worker dies while the run of this name is in the pack.
        DiesWith(&'static str),
        /// The worker dies of a signal.
        Dies(i32),
        /// No worker can compute on CUDA devices below this number.
        RefusesDevices(usize),
        /// It goes on until it is stopped.
        Waits,
        /// It leaves with this exit code, having said this.
        Refuses(WorkerExit, &'static str),
    }

    struct Mock {
        fate: Fate,
        tell: Sender<Message>,
        jobs: Arc<Mutex<Vec<(Vec<String>, usize, String)>>>,
        busy: Arc<Mutex<(usize, usize)>>,
        kills: Arc<Mutex<usize>>,
        cores: usize,
    }

    struct MockWorker {
        number: usize,
        runs: Vec<RunDir>,
        threads: usize,
        ending: Ending,
        tell: Sender<Message>,
        busy: Arc<Mutex<(usize, usize)>>,
        kills: Arc<Mutex<usize>>,
        waits: bool,
    }

    fn leave(dir: &RunDir, state: State) {
        let mut stored = dir.stored_state().unwrap();
        stored.state = state;
        dir.write_state(&stored).unwrap();
    }

    impl Executor for Mock {
        fn start(&mut self, number: usize, job: &Job) -> Result<Box<dyn Worker>, ScheduleError> {
            let runs: Vec<RunDir> = job.runs.iter().map(RunDir::at).collect();
            let names: Vec<String> = runs.iter().map(RunDir::name).collect();
            self.jobs.lock().unwrap().push((names.clone(), job.threads, job.device.clone()));
            {
                let mut busy = self.busy.lock().unwrap();
                busy.0 += job.threads;
                busy.1 = busy.1.max(busy.0);
                assert!(busy.0 <= self.cores, "more threads than cores");
            }
            let mut ending = Ending { code: Some(0), ..Ending::default() };
            let event = |event| self.tell.send(Message::Event(number, event)).unwrap();
            let end = |place: usize, state: State| {
                leave(&runs[place], state);
                event(Event::State { run: place, state, step: 1, reason: None });
            };
            for (place, name) in names.iter().enumerate() {
                match self.fate {
                    Fate::Diverges(bad) if name == bad => end(place, State::Diverged),
                    Fate::DiesWith(bad) if names.iter().any(|name| name == bad) => {
                        leave(&runs[place], State::Running);
                        ending = Ending { code: None, signal: Some(11), log_tail: "last words\n".to_owned() };
                    }
                    Fate::Dies(signal) => {
                        leave(&runs[place], State::Running);
                        ending = Ending { code: None, signal: Some(signal), log_tail: String::new() };
                    }
                    Fate::Waits => leave(&runs[place], State::Running),
                    Fate::RefusesDevices(below)
                        if (0..below).any(|number| job.device == Device::Cuda(number).to_string()) =>
                    {
                        ending.code = Some(WorkerExit::Device as i32);
                    }
                    Fate::Refuses(exit, _) => ending.code = Some(exit as i32),
                    _ => end(place, State::Done),
                }
            }
            if ending.code == Some(WorkerExit::Device as i32) {
                let message = format!("{} has no kernels", job.device);
                event(Event::Refused { message, help: None });
            }
            if let Fate::Refuses(_, message) = self.fate {
                event(Event::Refused { message: message.to_owned(), help: None });
            }
            let waits = self.fate == Fate::Waits;
            if !waits {
                self.tell.send(Message::Closed(number)).unwrap();
            }
            let (tell, busy, kills) = (self.tell.clone(), self.busy.clone(), self.kills.clone());
            Ok(Box::new(MockWorker { number, runs, threads: job.threads, ending, tell, busy, kills, waits }))
        }
    }

    impl Worker for MockWorker {
        fn stop(&mut self) {
            if std::mem::take(&mut self.waits) {
                self.runs.iter().for_each(|run| leave(run, State::Interrupted));
                self.ending.code = Some(WorkerExit::Interrupted as i32);
                self.tell.send(Message::Closed(self.number)).unwrap();
            }
        }

        fn kill(&mut self) {
            self.waits = false;
            *self.kills.lock().unwrap() += 1;
            self.ending = Ending { code: None, signal: Some(9), log_tail: String::new() };
            self.tell.send(Message::Closed(self.number)).unwrap();
        }

        fn ended(&mut self) -> Ending {
            self.busy.lock().unwrap().0 -= self.threads;
            self.ending.clone()
        }
    }

    #[derive(Default)]
    struct Heard(Vec<String>);

    impl Watch for Heard {
        fn begin(&mut self, _: usize, _: u64) {}
        fn pack_started(&mut self, _: usize, _: &[String], _: &str, _: usize) {}
        fn progress(&mut self, _: &Progress<'_>) {}
        fn run_ended(&mut self, run: &str, state: State, reason: Option<&str>) {
            self.0.push(format!("{run} {state} {}", reason.unwrap_or_default()).trim_end().to_owned());
        }
        fn pack_ended(&mut self, _: usize) {}
        fn say(&mut self, text: &str) {
            self.0.push(text.to_owned());
        }
        fn tick(&mut self) {}
        fn end(&mut self) {}
    }

    struct Played {
        outcome: Result<Outcome, ScheduleError>,
        jobs: Vec<(Vec<String>, usize, String)>,
        heard: Vec<String>,
        kills: usize,
        out: tempfile::TempDir,
        entries: Vec<Entry>,
    }

    impl Played {
        fn states(&self) -> Vec<State> {
            self.entries.iter().map(|entry| dir_of(entry, self.out.path()).stored_state().unwrap().state).collect()
        }

        fn sizes(&self) -> Vec<usize> {
            self.jobs.iter().map(|(runs, ..)| runs.len()).collect()
        }
    }

    fn play(keys: &[&str], fate: Fate, cores: usize, max_fail: Option<usize>, interrupts: &[u64]) -> Played {
        play_on(&[Device::Cpu], false, keys, fate, cores, max_fail, interrupts)
    }

    fn play_on(
        devices: &[Device],
        may_fall_back: bool,
        keys: &[&str],
        fate: Fate,
        cores: usize,
        max_fail: Option<usize>,
        interrupts: &[u64],
    ) -> Played {
        let out = tempfile::tempdir().unwrap();
        let entries: Vec<Entry> = keys.iter().enumerate().map(|(i, key)| entry(&format!("r{i}"), key)).collect();
        for entry in &entries {
            RunDir::create(out.path(), "toy", &entry.state.run, &entry.config.text(), &entry.state).unwrap();
        }
        let decisions = survey(&entries, out.path(), Retry::default(), &|_| None).unwrap();
        assert!(decisions.iter().all(Decision::is_work));
        let packs = plan_packs(&entries, &decisions, false, 1);
        let devices = devices.to_vec();
        let shares = Shares::new(cores, packs.len(), &devices, None, None);
        let on_cpu = may_fall_back.then(|| Shares::new(cores, packs.len(), &[Device::Cpu], None, None));
        let (tell, hear) = channel();
        let (jobs, busy, kills) = (Arc::default(), Arc::default(), Arc::default());
        let mut mock =
            Mock { fate, tell: tell.clone(), jobs: Arc::clone(&jobs), busy, kills: Arc::clone(&kills), cores };
        let now = Instant::now();
        for &millis in interrupts {
            tell.send(Message::Interrupt(now + Duration::from_millis(millis))).unwrap();
        }
        let work = Work { entries: &entries, out: out.path(), packs, shares, devices, on_cpu, max_fail };
        let mut heard = Heard::default();
        let outcome = drive(work, &mut mock, &hear, &mut heard);
        let jobs = jobs.lock().unwrap().clone();
        let kills = *kills.lock().unwrap();
        Played { outcome, jobs, heard: heard.0, kills, out, entries }
    }

    #[test]
    fn a_grid_trains_in_packs_and_ends_done() {
        let played = play(&["a", "b", "a", "a"], Fate::Finish, 2, None, &[]);
        assert_eq!(played.states(), [State::Done; 4]);
        assert_eq!(played.sizes(), [3, 1]);
        let outcome = played.outcome.unwrap();
        assert_eq!(outcome.states.len(), 4);
        assert!(!outcome.interrupted && outcome.refusals.is_empty());
        assert_eq!(played.heard.len(), 4);
    }

    #[test]
    fn a_run_that_diverges_does_not_disturb_the_others() {
        let played = play(&["a", "a", "a"], Fate::Diverges("r1"), 1, None, &[]);
        assert_eq!(played.states(), [State::Done, State::Diverged, State::Done]);
        assert_eq!(played.sizes(), [3]);
    }

    #[test]
    fn a_dead_worker_costs_one_run_and_the_rest_of_its_pack_is_tried_alone() {
        let played = play(&["a", "a", "a", "b"], Fate::DiesWith("r1"), 2, None, &[]);
        assert_eq!(played.states(), [State::Done, State::Failed, State::Done, State::Done]);
        assert_eq!(played.sizes(), [3, 1, 1, 1, 1]);
        let failed = dir_of(&played.entries[1], played.out.path()).stored_state().unwrap();
        assert_eq!(failed.reason.as_deref(), Some("the worker was ended by signal 11 (SIGSEGV)"));
        assert_eq!(failed.log_tail.as_deref(), Some("last words\n"));
        assert_eq!(played.heard.iter().filter(|line| line.contains("failed")).count(), 1, "{:?}", played.heard);
    }

    #[test]
    fn the_first_interrupt_saves_and_stops_and_starts_nothing_more() {
        let played = play(&["a", "b", "c"], Fate::Waits, 2, None, &[0]);
        assert_eq!(played.states(), [State::Interrupted, State::Interrupted, State::Queued]);
        assert!(played.outcome.unwrap().interrupted);
        assert!(played.heard[0].starts_with("saving and stopping"));
    }

    #[test]
    fn interrupts_that_come_together_are_one_and_a_later_one_kills() {
        for (interrupts, kills) in [(&[0, 0, 200][..], 0), (&[0, 1000], 1)] {
            let played = play(&["a"], Fate::Waits, 2, None, interrupts);
            assert_eq!(played.kills, kills, "{interrupts:?}");
            assert_eq!(played.states(), [State::Interrupted]);
            assert_eq!(played.heard.len(), 1, "{:?}", played.heard);
        }
    }

    #[test]
    fn a_worker_that_was_told_to_stop_before_it_could_listen_fails_no_run() {
        let played = play(&["a", "b"], Fate::Dies(15), 1, None, &[]);
        assert_eq!(played.states(), [State::Interrupted, State::Queued]);
        assert!(played.outcome.unwrap().interrupted);
    }

    #[test]
    fn too_many_bad_ends_stop_the_rest() {
        let played = play(&["a", "b", "c", "d"], Fate::DiesWith("r0"), 1, Some(1), &[]);
        let outcome = played.outcome.as_ref().unwrap();
        assert!(outcome.gave_up && !outcome.interrupted);
        assert_eq!(played.states(), [State::Failed, State::Queued, State::Queued, State::Queued]);
    }

    #[test]
    fn missing_data_fails_no_run_and_is_said_once() {
        let played = play(&["a", "b", "b"], Fate::Refuses(WorkerExit::Data, "no such folder"), 1, None, &[]);
        assert_eq!(played.states(), [State::Queued; 3]);
        let refusals = played.outcome.unwrap().refusals;
        assert_eq!(refusals, [Refusal { exit: WorkerExit::Data, message: "no such folder".to_owned(), help: None }]);
    }

    #[test]
    fn a_device_that_cannot_be_used_is_left_out_and_its_runs_are_trained_on_the_others() {
        let gpus = [Device::Cuda(0), Device::Cuda(1), Device::Cuda(2)];
        let played = play_on(&gpus, false, &["a", "a", "b", "c"], Fate::RefusesDevices(2), 4, None, &[]);
        assert_eq!(played.states(), [State::Done; 4]);
        let outcome = played.outcome.unwrap();
        assert!(outcome.refusals.is_empty());
        assert_eq!(outcome.devices, [Device::Cuda(2)]);
        let left = played.heard.iter().filter(|line| line.contains("is left out")).collect::<Vec<_>>();
        assert_eq!(left.len(), 2, "{:?}", played.heard);
    }

    #[test]
    fn where_no_device_can_be_used_the_cpu_takes_over_if_it_may_and_else_nothing_fails() {
        let gpus = [Device::Cuda(0), Device::Cuda(1)];
        let play =
            |may_fall_back| play_on(&gpus, may_fall_back, &["a", "a", "b", "c"], Fate::RefusesDevices(2), 4, None, &[]);
        let played = play(true);
        assert_eq!(played.states(), [State::Done; 4]);
        assert!(played.jobs.iter().rev().take(3).all(|(.., device)| device == "cpu"), "{:?}", played.jobs);
        assert_eq!(played.heard.iter().filter(|line| line.contains("computing on the CPU")).count(), 1);
        let played = play(false);
        assert_eq!(played.states(), [State::Queued; 4]);
        let outcome = played.outcome.unwrap();
        assert_eq!(outcome.refusals.iter().map(|refusal| refusal.exit).collect::<Vec<_>>(), [WorkerExit::Device]);
        assert!(!played.heard.iter().any(|line| line.contains("failed")), "{:?}", played.heard);
    }

    #[test]
    fn a_full_disk_stops_everything() {
        let played = play(&["a", "b", "c"], Fate::Refuses(WorkerExit::Disk, "no space left on device"), 1, None, &[]);
        assert_eq!(played.sizes(), [1]);
        assert_eq!(played.states(), [State::Queued; 3]);
        assert_eq!(played.outcome.unwrap().refusals.len(), 1);
    }

    #[test]
    fn a_worker_of_another_version_is_an_error() {
        let played = play(&["a"], Fate::Refuses(WorkerExit::Request, "speaks version 2"), 1, None, &[]);
        assert!(matches!(played.outcome, Err(ScheduleError::Refused { message }) if message == "speaks version 2"));
    }

    #[test]
    fn last_words_are_whole_lines() {
        assert_eq!(last_words(b"short\n"), "short\n");
        let long = format!("{}\nend\n", "x".repeat(LOG_TAIL + 10));
        assert_eq!(last_words(long.as_bytes()), "end\n");
    }
}
