//! The commands: what each flag means, what goes to standard output, and which exit code is left.
//!
//! Results go to standard output; progress, remarks and errors to standard error. The environment is read here and
//! nowhere else. Nothing here calls libtorch: what needs it is asked of `gantlet-worker`.

mod args;
mod ask;
mod data;
mod inspect;
mod latent;
mod plan;
mod report;
mod run;
mod setup;

use crate::base::file::FileError;
use crate::data::{DataError, DataRoots};
use crate::experiment::{Diagnostics, Style};
use crate::record::RecordError;
use crate::record::event::WorkerExit;
use crate::schedule::ScheduleError;
use crate::schedule::plan::PlanError;
use clap::Parser as _;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// What the command leaves as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Well = 0,
    /// Something that nobody expected, or a disk that refuses.
    Unexpected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The experiment is wrong.
    Experiment = 3,
    /// Data are missing or corrupt.
    Data = 4,
    /// Some runs failed.
    Failed = 5,
    /// No run failed, and some diverged.
    Diverged = 6,
    /// A claim does not hold, or cannot be decided yet.
    Claim = 7,
    /// Stopped by the user.
    Interrupted = 130,
}

impl From<WorkerExit> for Exit {
    fn from(exit: WorkerExit) -> Self {
        match exit {
            WorkerExit::Done => Self::Well,
            WorkerExit::Unexpected | WorkerExit::Disk => Self::Unexpected,
            WorkerExit::Request | WorkerExit::Device => Self::Usage,
            WorkerExit::Experiment => Self::Experiment,
            WorkerExit::Data => Self::Data,
            WorkerExit::Interrupted => Self::Interrupted,
        }
    }
}

/// Why a command ended without its result.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    /// A fragment without a period, or drawn diagnostics.
    message: String,
    help: Option<String>,
    /// Whether the message is a drawing of its own.
    drawn: bool,
}

impl Failure {
    fn new(exit: Exit, message: impl ToString) -> Self {
        Self { exit, message: message.to_string(), help: None, drawn: false }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Several sentences of one kind.
    fn all(exit: Exit, errors: &[impl ToString]) -> Self {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::new(exit, all.join("\nerror: "))
    }
}

impl From<Diagnostics> for Failure {
    fn from(wrong: Diagnostics) -> Self {
        let style = match (std::io::stderr().is_terminal(), no_color()) {
            (true, false) => Style::Fancy,
            (true, true) => Style::Unicode,
            (false, _) => Style::Plain,
        };
        Self { exit: Exit::Experiment, message: wrong.render(style), help: None, drawn: true }
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let exit = match &error {
            RecordError::File(_) | RecordError::Locked { .. } | RecordError::NoLock { .. } => Exit::Unexpected,
            RecordError::NotARun { .. } => Exit::Usage,
            RecordError::Version { .. } | RecordError::Columns { .. } => Exit::Experiment,
            RecordError::Corrupt { .. } => Exit::Data,
        };
        Self::new(exit, error)
    }
}

impl From<ScheduleError> for Failure {
    fn from(error: ScheduleError) -> Self {
        let exit = match &error {
            ScheduleError::OtherRun { .. } | ScheduleError::ChangedConfig { .. } => Exit::Experiment,
            ScheduleError::Device(_) => Exit::Usage,
            ScheduleError::Record(_) => return Self { message: error.to_string(), ..record_failure(error) },
            _ => Exit::Unexpected,
        };
        Self::new(exit, error)
    }
}

fn record_failure(error: ScheduleError) -> Failure {
    match error {
        ScheduleError::Record(inner) => inner.into(),
        other => Failure::new(Exit::Unexpected, other),
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Experiment(wrong) => wrong.into(),
            PlanError::Data(error) => Self::new(Exit::Experiment, error),
            PlanError::Record(error) => error.into(),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::new(Exit::Unexpected, error)
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let exit = if error.is_spec_mistake() { Exit::Experiment } else { Exit::Data };
        Self::new(exit, error)
    }
}

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    let parsed = match args::Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            // A reader that left early has seen what it wanted.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { Exit::Usage as u8 } else { Exit::Well as u8 });
        }
    };
    let exit = dispatch(parsed.command).unwrap_or_else(|failure| {
        if failure.drawn {
            say(failure.message.trim_end());
        } else {
            say(&format!("error: {}", failure.message));
        }
        if let Some(help) = failure.help {
            say(&format!("  help: {help}"));
        }
        failure.exit
    });
    ExitCode::from(exit as u8)
}

fn dispatch(command: args::Command) -> Result<Exit, Failure> {
    use args::Command;
    match command {
        Command::Run(args) => run::run(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Check(args) => plan::check(&args),
        Command::Ls(args) => inspect::ls(&args),
        Command::Show(args) => inspect::show(&args),
        Command::Diff(args) => report::diff(&args),
        Command::Compare(args) => report::compare(&args),
        Command::Verify(args) => report::verify(&args),
        Command::Sample(args) => ask::sample(&args),
        Command::Latent(args) => latent::latent(&args),
        Command::Eval(args) => ask::eval(&args),
        Command::Report(args) => report::page(&args),
        Command::Export(args) => ask::export(&args),
        Command::Data(args) => data::data(&args.command),
        Command::Init(args) => setup::init(&args),
        Command::Schema => setup::schema(),
        Command::Doctor => setup::doctor(),
        Command::Completions(args) => setup::completions(&args),
    }
}

/// How wide tables are: as the terminal, and where there is none as a wide one.
fn width() -> u16 {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(120, |(width, _)| width.0.max(60))
}

/// Writes a result. A reader that left early has seen what it wanted.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Unexpected, format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes JSON as a result.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("JSON values have text keys");
    print(&(text + "\n"))
}

/// Says something beside the result.
fn say(text: &str) {
    // Nobody to hear it is no reason to fail.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// The version of each JSON that the commands of this folder print.
const FORMAT: u32 = 1;

/// A variable of the environment.
#[expect(clippy::disallowed_methods, reason = "all variables that change what a command does are read here")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn no_color() -> bool {
    variable("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Where data files are looked for: `GANTLET_DATA`, `data` here, and the user's data folder.
fn data_roots() -> DataRoots {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(named) = variable("GANTLET_DATA") {
        folders.extend(std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()));
    }
    folders.push(PathBuf::from("data"));
    folders.extend(user_data());
    DataRoots::new(folders)
}

/// The user's own data folder, `~/.local/share/gantlet` unless `XDG_DATA_HOME` says otherwise.
fn user_data() -> Option<PathBuf> {
    let named = variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/share")))?;
    Some(base.join("gantlet"))
}

/// How many cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The devices of this machine, as this process may see them.
fn found_devices() -> crate::schedule::device::Found {
    crate::schedule::device::Found::now(libtorch().as_deref())
}

/// Where libtorch lies.
fn libtorch() -> Option<PathBuf> {
    crate::schedule::device::libtorch_folder(variable("LIBTORCH").map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = [
            Exit::Well,
            Exit::Unexpected,
            Exit::Usage,
            Exit::Experiment,
            Exit::Data,
            Exit::Failed,
            Exit::Diverged,
            Exit::Claim,
            Exit::Interrupted,
        ];
        assert_eq!(codes.map(|exit| exit as u8), [0, 1, 2, 3, 4, 5, 6, 7, 130]);
    }

    #[test]
    fn the_command_line_is_consistent() {
        <args::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
