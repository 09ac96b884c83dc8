//! What to do with each run, by what its directory says.

use super::ScheduleError;
use crate::record::run::run_of_id;
use crate::record::{RecordError, RunDir, RunState, State, checkpoint};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The text of a `config.toml`, made when it is wanted: those of a large grid are a lot of text.
#[derive(Clone)]
pub struct Config(Arc<dyn Fn() -> String>);

impl Config {
    /// What this makes.
    pub fn made_by(make: impl Fn() -> String + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The text.
    pub fn text(&self) -> String {
        (self.0)()
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

/// A cell of a plan, as far as scheduling goes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The run as it is written down first: names, id, seed, steps, what varies.
    pub state: RunState,
    /// The text of its `config.toml`.
    pub config: Config,
    /// Runs with the same key can train together.
    pub pack_key: String,
    /// How many may.
    pub pack_limit: usize,
    /// The ids of the runs that it begins with.
    pub after: Vec<String>,
    /// Where its data files are looked for.
    pub data_roots: Vec<PathBuf>,
}

/// Which runs that ended badly are to be tried again. They go on from their newest checkpoint, which comes to the same
/// as beginning anew, sooner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Those that failed.
    pub failed: bool,
    /// Those that diverged.
    pub diverged: bool,
}

/// What becomes of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It is new.
    Start,
    /// It was begun, or only written down.
    Resume {
        /// The step of its newest checkpoint; 0 where it has none.
        step: u64,
        /// The threads of its last sitting.
        threads: Option<usize>,
    },
    /// Its `run.json` is damaged: it is written anew, and the run goes on.
    Mend {
        /// The step of its newest checkpoint; 0 where it has none.
        step: u64,
        /// What is wrong.
        why: String,
    },
    /// Nothing: it is done.
    Done,
    /// Nothing: it ended badly, and trying again was not asked for.
    Leave(State),
    /// Nothing: another process has it.
    Held(String),
    /// Nothing: it was not requested, and no requested run begins with it.
    NotRequested,
    /// Nothing yet: it begins with runs that are not done.
    NotReady,
    /// Nothing more: this command has worked on it.
    Tried,
}

impl Decision {
    /// The step that the run is to be trained from; `None` where there is nothing to do.
    fn first_step(&self) -> Option<u64> {
        match self {
            Self::Start => Some(0),
            Self::Resume { step, .. } | Self::Mend { step, .. } => Some(*step),
            Self::Done | Self::Leave(_) | Self::Held(_) | Self::NotRequested | Self::NotReady | Self::Tried => None,
        }
    }

    /// Whether the run has work left for this command.
    pub fn is_work(&self) -> bool {
        self.first_step().is_some()
    }

    /// Whether it is to be trained from its first step on.
    pub fn is_at_the_beginning(&self) -> bool {
        self.first_step() == Some(0)
    }
}

/// Decides for each entry, by its directory under `out`. `id_of` resolves the text of a configuration to its id.
///
/// # Errors
/// One for each directory that cannot be used.
pub fn survey(
    entries: &[Entry],
    out: &Path,
    retry: Retry,
    id_of: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Decision>, Vec<ScheduleError>> {
    let mut decisions = Vec::with_capacity(entries.len());
    let mut errors = Vec::new();
    for entry in entries {
        match decide(entry, &dir_of(entry, out), retry, id_of) {
            Ok(decision) => decisions.push(decision),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(decisions) } else { Err(errors) }
}

/// Gives entries that were named by nobody the directories in which such runs already lie under `out`, under whatever
/// name.
///
/// # Errors
/// If a folder cannot be read.
pub fn find_again(entries: &mut [Entry], out: &Path) -> Result<(), RecordError> {
    for entry in entries {
        if let Some((dir, state)) = run_of_id(out, &entry.state.experiment, &entry.state.id)? {
            entry.state.run = dir.name();
            entry.state.varies = state.varies;
        }
    }
    Ok(())
}

/// The directory of an entry.
pub fn dir_of(entry: &Entry, out: &Path) -> RunDir {
    RunDir::at(out.join(&entry.state.experiment).join(&entry.state.run))
}

/// Makes the directories of what starts, and takes the bad ending back from what is tried again. What another process
/// took meanwhile is that one's.
///
/// # Errors
/// If the disk refuses.
pub fn prepare(entries: &[Entry], decisions: &[Decision], out: &Path) -> Result<(), RecordError> {
    for (entry, decision) in entries.iter().zip(decisions) {
        let prepared = match decision {
            Decision::Start | Decision::Mend { .. } => {
                RunDir::create(out, &entry.state.experiment, &entry.state.run, &entry.config.text(), &entry.state)
                    .map(drop)
            }
            Decision::Resume { step, .. } => take_back(&dir_of(entry, out), *step),
            Decision::Done
            | Decision::Leave(_)
            | Decision::Held(_)
            | Decision::NotRequested
            | Decision::NotReady
            | Decision::Tried => Ok(()),
        };
        match prepared {
            Err(RecordError::Locked { .. }) => {}
            other => other?,
        }
    }
    Ok(())
}

fn take_back(dir: &RunDir, step: u64) -> Result<(), RecordError> {
    if !dir.stored_state()?.state.is_final() {
        return Ok(());
    }
    let _lock = dir.lock()?;
    let mut state = dir.stored_state()?;
    state.state = if step > 0 { State::Interrupted } else { State::Queued };
    state.reason = None;
    state.log_tail = None;
    dir.write_state(&state)
}

fn decide(
    entry: &Entry,
    dir: &RunDir,
    retry: Retry,
    id_of: &dyn Fn(&str) -> Option<String>,
) -> Result<Decision, ScheduleError> {
    let newest = || checkpoint::steps(&dir.checkpoints()).last().copied().unwrap_or(0);
    let state = match dir.state() {
        Ok(state) => state,
        Err(RecordError::NotARun { .. }) => return Ok(Decision::Start),
        // All that it says is known from elsewhere: the plan, the checkpoints, the tables.
        Err(error @ RecordError::Corrupt { .. }) => {
            if let Some(holder) = dir.holder() {
                return Ok(Decision::Held(holder));
            }
            if dir.config().exists() {
                check_config(entry, dir, id_of)?;
            }
            return Ok(Decision::Mend { step: newest(), why: error.to_string() });
        }
        Err(error) => return Err(error.into()),
    };
    if state.id != entry.state.id {
        return Err(ScheduleError::OtherRun {
            path: dir.path.clone(),
            found: state.id,
            expected: entry.state.id.clone(),
        });
    }
    match state.state {
        State::Running => return Ok(Decision::Held(dir.holder().unwrap_or_else(|| "another process".to_owned()))),
        State::Done => return Ok(Decision::Done),
        State::Failed if !retry.failed => return Ok(Decision::Leave(State::Failed)),
        State::Diverged if !retry.diverged => return Ok(Decision::Leave(State::Diverged)),
        State::Queued | State::Interrupted | State::Failed | State::Diverged => {}
    }
    check_config(entry, dir, id_of)?;
    let step = newest();
    Ok(Decision::Resume { step, threads: state.threads.filter(|_| step > 0) })
}

/// Remarks and the like may differ without changing the run; what trains is what the file in the directory says.
fn check_config(entry: &Entry, dir: &RunDir, id_of: &dyn Fn(&str) -> Option<String>) -> Result<(), ScheduleError> {
    let config = crate::base::file::read(&dir.config()).map_err(RecordError::from)?;
    let config = String::from_utf8_lossy(&config);
    if config == entry.config.text() || id_of(&config).as_deref() == Some(&entry.state.id) {
        return Ok(());
    }
    Err(ScheduleError::ChangedConfig { path: dir.config() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::file;

    pub(in crate::schedule) fn entry(run: &str, pack_key: &str) -> Entry {
        Entry {
            state: RunState::queued("toy", run, &format!("id-{run}"), 0, 100, Vec::new()),
            config: Config::made_by({
                let text = format!("# {run}\n");
                move || text.clone()
            }),
            pack_key: pack_key.to_owned(),
            pack_limit: 64,
            after: Vec::new(),
            data_roots: Vec::new(),
        }
    }

    pub(in crate::schedule) fn written(entry: &Entry, out: &Path, state: State) -> RunDir {
        let mut first = entry.state.clone();
        first.state = state;
        RunDir::create(out, &first.experiment, &first.run, &entry.config.text(), &first).unwrap()
    }

    fn no_id(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn each_state_leads_to_its_decision() {
        let out = tempfile::tempdir().unwrap();
        let states = [State::Queued, State::Running, State::Interrupted, State::Done, State::Failed, State::Diverged];
        let mut entries = vec![entry("new", "k")];
        for state in states {
            entries.push(entry(state.word(), "k"));
            written(&entries[entries.len() - 1], out.path(), state);
        }
        let resume = Decision::Resume { step: 0, threads: None };
        let decisions = survey(&entries, out.path(), Retry::default(), &no_id).unwrap();
        let expected = [
            Decision::Start,
            resume.clone(),
            resume.clone(), // It says that it is running and nobody holds it.
            resume.clone(),
            Decision::Done,
            Decision::Leave(State::Failed),
            Decision::Leave(State::Diverged),
        ];
        assert_eq!(decisions, expected);
        let retry = Retry { failed: true, diverged: false };
        let decisions = survey(&entries, out.path(), retry, &no_id).unwrap();
        assert_eq!(decisions[5], resume);
        prepare(&entries, &decisions, out.path()).unwrap();
        let state = |place: usize| dir_of(&entries[place], out.path()).stored_state().unwrap().state;
        assert_eq!([0, 4, 5, 6].map(state), [State::Queued, State::Done, State::Queued, State::Diverged]);
        let _lock = dir_of(&entries[2], out.path()).lock().unwrap();
        let decisions = survey(&entries, out.path(), Retry::default(), &no_id).unwrap();
        assert!(matches!(&decisions[2], Decision::Held(who) if who.starts_with("process ")), "{decisions:?}");
    }

    #[test]
    fn directories_of_another_configuration_or_version_are_refused_all_at_once() {
        let out = tempfile::tempdir().unwrap();
        let entries = [entry("a", "k"), entry("b", "k"), entry("c", "k"), entry("d", "k")];
        let mut other = entries[0].clone();
        other.state.id = "other".to_owned();
        written(&other, out.path(), State::Queued);
        let newer = written(&entries[1], out.path(), State::Done);
        file::write_atomic(&newer.json(), b"{\"version\": 99}").unwrap();
        let changed = written(&entries[2], out.path(), State::Interrupted);
        file::write_atomic(&changed.config(), b"# changed by hand").unwrap();
        let errors = survey(&entries, out.path(), Retry::default(), &no_id).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 3);
        assert!(text[0].contains("its id is other and not id-a"), "{text:?}");
        assert!(text[1].contains("format version 99"), "{text:?}");
        assert!(text[2].contains("config.toml was changed since the run began"), "{text:?}");
        // A text that resolves to the same id is the same run.
        let same = |_: &str| Some("id-c".to_owned());
        assert!(survey(&entries[2..], out.path(), Retry::default(), &same).is_ok());
    }

    #[test]
    fn a_damaged_state_is_written_anew_and_what_another_process_took_is_left_alone() {
        let out = tempfile::tempdir().unwrap();
        let entries = [entry("damaged", "k"), entry("taken", "k")];
        let damaged = written(&entries[0], out.path(), State::Done);
        let mut bytes = file::read(&damaged.json()).unwrap();
        let at = bytes.windows(7).position(|w| w == b"\"seed\":").unwrap() + 8;
        bytes[at] ^= 1;
        file::write_atomic(&damaged.json(), &bytes).unwrap();
        let decisions = survey(&entries, out.path(), Retry::default(), &no_id).unwrap();
        let [Decision::Mend { step: 0, why }, Decision::Start] = &decisions[..] else { panic!("{decisions:?}") };
        assert!(why.ends_with("run.json is corrupt: its checksum does not match"), "{why}");
        let taken = written(&entries[1], out.path(), State::Done);
        let _lock = taken.lock().unwrap();
        prepare(&entries, &decisions, out.path()).unwrap();
        assert_eq!(damaged.stored_state().unwrap().state, State::Queued);
        assert_eq!(taken.stored_state().unwrap().state, State::Done);
    }
}
