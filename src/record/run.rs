//! A run's directory, its lock and its `run.json`.

use super::RecordError;
use super::seal::Seal;
use crate::base::file::{self, FileError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The newest format of run directories that this program writes and reads.
pub const FORMAT: u32 = 1;
/// What precedes the checksum of `run.json` in it; the checksum is that of the text without these lines.
const CHECKSUM: &str = ",\n  \"checksum\": \"";

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Written down, not begun.
    Queued,
    /// A worker holds it.
    Running,
    /// Begun and left; it continues where its newest checkpoint is.
    Interrupted,
    /// At its last step.
    Done,
    /// It, or its worker, ended with an error.
    Failed,
    /// A number of it stopped being finite.
    Diverged,
}

impl State {
    /// The word for it, as in `run.json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
        }
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Diverged)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// The versions that made a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// This program.
    pub gantlet: String,
    /// The library that trained, where it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libtorch: Option<String>,
    /// Its binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tch: Option<String>,
}

impl Versions {
    /// This program's, before a worker has said its own.
    pub fn of_this_program() -> Self {
        Self { gantlet: env!("CARGO_PKG_VERSION").to_owned(), libtorch: None, tch: None }
    }
}

/// What `run.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The format of the directory.
    pub version: u32,
    /// The hash of what the run resolved to, in hexadecimal.
    pub id: String,
    /// The experiment's name.
    pub experiment: String,
    /// The name of the directory.
    pub run: String,
    /// Where it stands.
    pub state: State,
    /// Steps done.
    pub step: u64,
    /// Steps to do.
    pub steps: u64,
    /// Seconds spent training, all sittings together.
    pub seconds: f64,
    /// Steps of this run a second, over the last sitting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_second: Option<f64>,
    /// The seed.
    pub seed: u64,
    /// What sets it apart in its grid: dotted keys with the values as spelled.
    #[serde(default, with = "pairs")]
    pub varies: Vec<(String, String)>,
    /// The device of the last sitting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The threads of its worker: another sitting takes as many, because sums over more threads round differently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// How many runs trained together in the last sitting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack_size: Option<usize>,
    /// Who made it.
    pub versions: Versions,
    /// The process that holds it, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Why it failed or diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last lines of its log, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
    /// The steps that have a checkpoint, ascending.
    #[serde(default)]
    pub checkpoints: Vec<u64>,
    /// What the files beside it held when this was written, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Seal>,
}

impl RunState {
    /// A run that was written down and not begun.
    pub fn queued(experiment: &str, run: &str, id: &str, seed: u64, steps: u64, varies: Vec<(String, String)>) -> Self {
        Self {
            version: FORMAT,
            id: id.to_owned(),
            experiment: experiment.to_owned(),
            run: run.to_owned(),
            state: State::Queued,
            step: 0,
            steps,
            seconds: 0.0,
            steps_per_second: None,
            seed,
            varies,
            device: None,
            threads: None,
            pack_size: None,
            versions: Versions::of_this_program(),
            process: None,
            reason: None,
            log_tail: None,
            checkpoints: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// The seal of a file of the run, if there is one.
    pub fn seal(&self, path: &Path) -> Option<&Seal> {
        self.files.get(path.file_name()?.to_str()?)
    }

    /// The text of `run.json`: with a checksum at its end, so that a changed byte is noticed.
    fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a state has only string keys");
        let checksum = blake3::hash(text.as_bytes()).to_hex();
        text.truncate(text.len() - END.len());
        text + CHECKSUM + &checksum + "\"" + END + "\n"
    }
}

/// The end of a pretty JSON object.
const END: &str = "\n}";

/// Whether a text of `run.json` is as it was written; one without a checksum is taken at its word.
fn is_as_written(text: &[u8]) -> bool {
    let Some(at) = text.windows(CHECKSUM.len()).rposition(|piece| piece == CHECKSUM.as_bytes()) else { return true };
    let (body, rest) = (&text[..at], &text[at + CHECKSUM.len()..]);
    let checksum = blake3::hash(&[body, END.as_bytes()].concat()).to_hex();
    rest.strip_prefix(checksum.as_bytes()) == Some(&[b"\"", END.as_bytes(), b"\n"].concat())
}

/// Whether a name stays in the folder that it is put in.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// The process that holds a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it began, in UTC.
    pub started: String,
}

impl Process {
    /// This process, now.
    pub fn this() -> Self {
        Self { pid: std::process::id(), host: host_name(), started: utc(SystemTime::now()) }
    }
}

/// Pairs as a JSON object that keeps their order.
mod pairs {
    use serde::ser::SerializeMap as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(pairs: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(pairs.len()))?;
        for (key, value) in pairs {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, String)>, D::Error> {
        let map = serde_json::Map::deserialize(from)?;
        Ok(map
            .into_iter()
            .map(|(key, value)| match value {
                serde_json::Value::String(text) => (key, text),
                other => (key, other.to_string()),
            })
            .collect())
    }
}

/// A run's directory. Cheap: it is its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunDir {
    /// Where it is.
    pub path: PathBuf,
}

/// The right to write to a run's directory; given back when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunDir {
    /// The directory at this path, whether it exists or not.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// A new directory `OUT/<experiment>/<run>/` with its configuration and its first state. The state is written last:
    /// a directory without `run.json` is one whose making was cut off, and may be made again. One that holds this run
    /// already stays as it is.
    ///
    /// # Errors
    /// If another process is at it, or the disk refuses.
    pub fn create(
        out: &Path,
        experiment: &str,
        run: &str,
        config: &str,
        state: &RunState,
    ) -> Result<Self, RecordError> {
        let dir = Self::at(out.join(experiment).join(run));
        file::make_dir(&dir.path)?;
        let _lock = dir.lock()?;
        if dir.stored_state().is_ok_and(|known| known.id == state.id) {
            return Ok(dir);
        }
        file::write_atomic_soon(&dir.config(), config.as_bytes())?;
        let mut state = state.clone();
        state.files.insert("config.toml".to_owned(), Seal::of(config.as_bytes()));
        dir.write_state(&state)?;
        Ok(dir)
    }

    /// The directory at this path, which must hold a run that this program can read.
    ///
    /// # Errors
    /// If there is none, or one of a newer format.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let dir = Self::at(path);
        dir.stored_state()?;
        Ok(dir)
    }

    /// `run.json`.
    pub fn json(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// `config.toml`.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// `metrics.csv`.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// `eval.csv`.
    pub fn eval(&self) -> PathBuf {
        self.path.join("eval.csv")
    }

    /// The folder of a further picture, by its name.
    pub fn panel(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// `samples/`.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// The picture of the samples of a step.
    pub fn sample(&self, step: u64) -> PathBuf {
        self.samples().join(format!("{step:08}.png"))
    }

    /// The file for TensorBoard, which knows such files by `tfevents` in their names.
    pub fn board(&self) -> PathBuf {
        self.path.join("events.out.tfevents")
    }

    /// `checkpoints/`.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder of the frames that the animation is made of.
    pub fn frames(&self) -> PathBuf {
        self.path.join("frames")
    }

    /// `animation.gif`.
    pub fn animation(&self) -> PathBuf {
        self.path.join("animation.gif")
    }

    /// `log.txt`.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// The name of the directory.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn config_text(&self) -> Result<String, RecordError> {
        Ok(file::read_text(&self.config())?)
    }

    /// Whether there is a `run.json`.
    pub fn exists(&self) -> bool {
        self.json().is_file()
    }

    /// What `run.json` says, which is not the whole truth where it says `running`: see [`RunDir::state`].
    ///
    /// # Errors
    /// If there is none, it cannot be read, or a newer program wrote it.
    pub fn stored_state(&self) -> Result<RunState, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let path = self.json();
        let bytes = match std::fs::read(&path) {
            // What a machine that lost its power may leave of a file just made.
            Ok(bytes) if bytes.is_empty() => return Err(RecordError::NotARun { path: self.path.clone() }),
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(RecordError::NotARun { path: self.path.clone() });
            }
            Err(error) => return Err(FileError::at("cannot read", &path)(error).into()),
        };
        let corrupt = |reason: String| RecordError::Corrupt { path: path.clone(), reason };
        let no_json = |error: serde_json::Error| corrupt(error.to_string());
        let Version { version } = serde_json::from_slice(&bytes).map_err(no_json)?;
        if version > FORMAT {
            return Err(RecordError::Version { path, found: version, known: FORMAT });
        }
        if !is_as_written(&bytes) {
            return Err(corrupt("its checksum does not match".to_owned()));
        }
        let state: RunState = serde_json::from_slice(&bytes).map_err(no_json)?;
        if let Some(name) = [&state.experiment, &state.run].into_iter().find(|name| !is_plain(name)) {
            return Err(corrupt(format!("`{name}` cannot name a folder")));
        }
        Ok(state)
    }

    /// Where the run really stands: one that says it is running while nobody holds its lock was interrupted.
    ///
    /// # Errors
    /// As [`RunDir::stored_state`].
    pub fn state(&self) -> Result<RunState, RecordError> {
        let mut state = self.stored_state()?;
        if state.state == State::Running && !self.is_held() {
            // The holder may have finished between the two looks.
            state = self.stored_state()?;
            if state.state == State::Running {
                state.state = State::Interrupted;
                state.process = None;
            }
        }
        Ok(state)
    }

    /// Replaces `run.json` in one step.
    ///
    /// # Errors
    /// If the disk refuses; the old one then stands.
    pub fn write_state(&self, state: &RunState) -> Result<(), RecordError> {
        // Grids have thousands of these, and each would wait for the disk. A state lost with the machine's power is an
        // older one, or none: the run then goes on from its newest checkpoint.
        file::write_atomic_soon(&self.json(), state.text().as_bytes())?;
        Ok(())
    }

    /// Takes the run for this process, as long as the lock lives, and removes what a process that was killed left half
    /// written.
    ///
    /// # Errors
    /// If another process has it, with its name, or the disk refuses.
    pub fn lock(&self) -> Result<RunLock, RecordError> {
        let path = self.lock_path();
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(FileError::at("cannot open", &path))?;
        // Somebody who only looks holds the lock for an instant; that is worth waiting for.
        for attempt in 0..10 {
            match lock.try_lock() {
                Ok(()) => {
                    let who = Process::this();
                    let line = format!("process {} on {} since {}\n", who.pid, who.host, who.started);
                    // Only for messages: a lock that cannot name its holder is a lock all the same.
                    drop(lock.set_len(0).and_then(|()| lock.write_all(line.as_bytes())));
                    for folder in [&self.path, &self.checkpoints(), &self.samples(), &self.frames()] {
                        file::sweep(folder);
                    }
                    return Ok(RunLock { _file: lock });
                }
                Err(TryLockError::WouldBlock) if attempt < 9 => std::thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(source)) => return Err(RecordError::NoLock { path, source }),
            }
        }
        let mut holder = String::new();
        let named = lock.rewind().and_then(|()| lock.read_to_string(&mut holder));
        let holder = match (named, holder.trim()) {
            (Ok(_), name) if !name.is_empty() => name.to_owned(),
            _ => "another process".to_owned(),
        };
        Err(RecordError::Locked { path: self.path.clone(), holder })
    }

    /// Who holds the run, if anybody does.
    pub fn holder(&self) -> Option<String> {
        self.is_held().then(|| {
            let name = std::fs::read_to_string(self.lock_path()).unwrap_or_default();
            if name.trim().is_empty() { "another process".to_owned() } else { name.trim().to_owned() }
        })
    }

    fn is_held(&self) -> bool {
        let Ok(lock) = File::open(self.lock_path()) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join(".lock")
    }
}

/// The run directories at or below a folder (a run, an experiment's folder, or a folder of those), by path.
///
/// # Errors
/// If the folder cannot be read.
pub fn find_runs(folder: &Path) -> Result<Vec<RunDir>, RecordError> {
    let mut found = Vec::new();
    look(folder, 0, &mut found)?;
    found.sort();
    Ok(found)
}

/// The run of an experiment under `out` that has this id, whatever its grid called it: the furthest of several.
///
/// # Errors
/// If the folder cannot be read.
pub fn run_of_id(out: &Path, experiment: &str, id: &str) -> Result<Option<(RunDir, RunState)>, RecordError> {
    let folder = out.join(experiment);
    if !folder.is_dir() {
        return Ok(None);
    }
    let (mut found, cannot) = (Vec::new(), |error| FileError::at("cannot read the folder", &folder)(error));
    for entry in std::fs::read_dir(&folder).map_err(cannot)? {
        let dir = RunDir::at(entry.map_err(cannot)?.path());
        // Its name ends with the first digits of its id.
        if dir.name().rsplit('.').next().is_some_and(|digits| id.starts_with(digits))
            && let Ok(state) = dir.stored_state()
        {
            found.push((dir, state));
        }
    }
    found.retain(|(_, state)| state.id == id);
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found.into_iter().max_by_key(|(_, state)| (state.state == State::Done, state.step)))
}

fn look(folder: &Path, depth: usize, found: &mut Vec<RunDir>) -> Result<(), RecordError> {
    let dir = RunDir::at(folder);
    if dir.exists() {
        found.push(dir);
        return Ok(());
    }
    // OUT/<experiment>/<run> is as deep as runs lie.
    if depth == 2 {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(FileError::at("cannot read the folder", folder))?;
    for entry in entries {
        let entry = entry.map_err(FileError::at("cannot read the folder", folder))?;
        if entry.path().is_dir() {
            look(&entry.path(), depth + 1, found)?;
        }
    }
    Ok(())
}

/// The name of this machine.
fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "this machine".to_owned())
}

/// A moment as `2026-11-21T03:12:51Z`.
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years of 365.2425 days that begin in March, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_run(out: &Path) -> (RunDir, RunState) {
        let varies = vec![("loss.adversarial".to_owned(), "\"hinge\"".to_owned()), ("a".to_owned(), "2e-4".to_owned())];
        let state = RunState::queued("toy", "hinge-0-abc", "abc", 0, 100, varies);
        let dir = RunDir::create(out, "toy", "hinge-0-abc", "name = \"toy\"\n", &state).unwrap();
        (dir, state)
    }

    #[test]
    fn a_state_reads_back_as_written_with_what_varies_in_order() {
        let out = tempfile::tempdir().unwrap();
        let (dir, state) = a_run(out.path());
        let mut read = RunDir::open(&dir.path).unwrap().state().unwrap();
        assert_eq!(read.files["config.toml"], Seal::of(b"name = \"toy\"\n"));
        read.files.clear();
        assert_eq!(read, state);
        assert_eq!(dir.config_text().unwrap(), "name = \"toy\"\n");
        assert_eq!(find_runs(out.path()).unwrap(), std::slice::from_ref(&dir));
        assert_eq!(find_runs(&dir.path).unwrap(), [dir]);
    }

    #[test]
    fn a_running_run_that_nobody_holds_was_interrupted() {
        let out = tempfile::tempdir().unwrap();
        let (dir, mut state) = a_run(out.path());
        state.state = State::Running;
        state.process = Some(Process::this());
        dir.write_state(&state).unwrap();
        assert_eq!(dir.state().unwrap().state, State::Interrupted);
        let lock = dir.lock().unwrap();
        assert_eq!(dir.state().unwrap().state, State::Running);
        drop(lock);
        assert_eq!(dir.state().unwrap().state, State::Interrupted);
    }

    #[test]
    fn a_held_run_is_refused_with_the_name_of_its_holder() {
        let out = tempfile::tempdir().unwrap();
        let (dir, _) = a_run(out.path());
        assert_eq!(dir.holder(), None);
        let _lock = dir.lock().unwrap();
        let error = dir.lock().unwrap_err().to_string();
        assert!(error.contains(&format!("held by process {}", std::process::id())), "{error}");
        assert!(dir.holder().unwrap().starts_with("process "));
    }

    #[test]
    fn a_directory_of_a_newer_format_or_of_no_run_is_refused() {
        let out = tempfile::tempdir().unwrap();
        let (dir, _) = a_run(out.path());
        file::write_atomic(&dir.json(), b"{\"version\": 99, \"news\": true}").unwrap();
        assert!(matches!(dir.state(), Err(RecordError::Version { found: 99, .. })));
        file::write_atomic(&dir.json(), b"{\"version\": 1, \"sta").unwrap();
        assert!(matches!(dir.state(), Err(RecordError::Corrupt { .. })));
        file::write_atomic(&dir.json(), b"").unwrap();
        assert!(matches!(dir.state(), Err(RecordError::NotARun { .. })));
        assert!(matches!(RunDir::open(out.path()), Err(RecordError::NotARun { .. })));
    }

    #[test]
    fn a_changed_state_is_noticed_and_one_without_a_checksum_is_taken_at_its_word() {
        let out = tempfile::tempdir().unwrap();
        let (dir, state) = a_run(out.path());
        let bytes = file::read(&dir.json()).unwrap();
        for place in 0..bytes.len() {
            file::write_atomic_soon(&dir.json(), &bytes[..place]).unwrap();
            assert!(dir.stored_state().is_err(), "cut at {place}");
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            file::write_atomic_soon(&dir.json(), &changed).unwrap();
            // Where the word `checksum` itself is hit, all the rest is whole.
            let harmless = dir.stored_state().is_ok_and(|read| read.steps == state.steps && read.files.len() == 1);
            assert!(dir.stored_state().is_err() || harmless, "flipped at {place}");
        }
        file::write_atomic(&dir.json(), serde_json::to_string(&state).unwrap().as_bytes()).unwrap();
        assert_eq!(dir.stored_state().unwrap(), state);
    }

    #[test]
    fn a_name_that_leads_out_of_its_folder_is_refused() {
        let out = tempfile::tempdir().unwrap();
        let (dir, mut state) = a_run(out.path());
        for name in ["../../x", "/x", "..", ""] {
            state.run = name.to_owned();
            dir.write_state(&state).unwrap();
            let error = dir.stored_state().unwrap_err().to_string();
            assert!(error.ends_with(&format!("`{name}` cannot name a folder")), "{error}");
        }
    }

    #[test]
    fn whoever_takes_a_run_removes_what_was_left_half_written() {
        let out = tempfile::tempdir().unwrap();
        let (dir, _) = a_run(out.path());
        let halves = [dir.path.join(".part-a"), dir.checkpoints().join(".part-b")];
        for half in &halves {
            file::write_atomic(half, b"half").unwrap();
        }
        let _lock = dir.lock().unwrap();
        assert!(halves.iter().all(|half| !half.exists()) && dir.config().exists());
    }

    /// Numbers from `date -u -d @N +%FT%TZ`.
    #[test]
    fn moments_are_written_in_utc() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(at(1_795_230_771), "2026-11-21T03:12:51Z");
    }
}
