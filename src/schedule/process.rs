//! Workers as child processes: each in a process group of its own, with a pipe in and two out.
//!
//! A worker is asked to stop by the end of its standard input, which is also what it sees when this process is gone,
//! however it went. So one way of stopping serves both, and a terminal's Ctrl-C reaches this process alone.

use super::ScheduleError;
use super::engine::{Ending, Executor, LOG_TAIL, Message, Worker, last_words};
use crate::record::event::{self, Event, Job, ProtocolError, WorkerExit, WorkerRequest};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Instant;

/// Where the worker lies: beside this program.
///
/// # Errors
/// If it is not there.
pub fn worker_beside_this_program() -> Result<PathBuf, ScheduleError> {
    let here = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("gantlet"));
    // Started through a link, the worker lies beside what the link points at.
    let here = here.canonicalize().unwrap_or(here);
    let path = here.with_file_name("gantlet-worker");
    if path.is_file() { Ok(path) } else { Err(ScheduleError::NoWorker { path }) }
}

/// Starts workers as child processes.
#[derive(Debug)]
pub struct ProcessExecutor {
    /// The worker.
    pub program: PathBuf,
    /// Where what they tell goes.
    pub tell: Sender<Message>,
}

/// How often an idle thread looks for work before it sleeps: some ten microseconds.
const SPINS: &str = "10000";

struct Process {
    child: Child,
    /// The open end of the worker's standard input; dropped to ask it to stop.
    input: Option<ChildStdin>,
    errors: Option<JoinHandle<String>>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the user set for libgomp stays, and the worker takes the same libtorch"
)]
fn spawn(program: &Path, threads: usize, request: &WorkerRequest) -> Result<(Child, ChildStdin), ScheduleError> {
    let failed = |source| ScheduleError::Spawn { path: program.to_owned(), source };
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Before libtorch is loaded is the only time at which its thread pools listen.
    for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(name, threads.max(1).to_string());
    }
    // Idle threads of libgomp spin for milliseconds by default. That is nothing on a machine of one's own; on one
    // with other work, each barrier waits for a thread that has no core, and a step takes ten times as long.
    if ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"].iter().all(|name| std::env::var_os(name).is_none()) {
        command.env("GOMP_SPINCOUNT", SPINS);
    }
    if let Some(path) = library_path(std::env::var_os("LIBTORCH"), std::env::var_os("LD_LIBRARY_PATH")) {
        command.env("LD_LIBRARY_PATH", path);
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(failed)?;
    let mut input = child.stdin.take().expect("the standard input is piped");
    // A worker that died already shows by its end, with its reason; the broken pipe says less.
    drop(event::write_request(&mut input, request));
    Ok((child, input))
}

/// Where a worker looks for libraries: first in the libtorch that `LIBTORCH` names, which this program decides by. The paths
/// in the worker itself are those of the build.
fn library_path(libtorch: Option<OsString>, before: Option<OsString>) -> Option<OsString> {
    let libraries = Path::new(&libtorch?).join("lib").canonicalize().ok()?;
    let before = before.filter(|paths| !paths.is_empty());
    std::env::join_paths(std::iter::once(libraries).chain(before.iter().flat_map(std::env::split_paths))).ok()
}

/// Reads a worker's standard error to its end and keeps the last of it.
fn keep_last_words(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            kept.extend_from_slice(&piece[..n]);
            if kept.len() > 4 * LOG_TAIL {
                kept.drain(..kept.len() - 2 * LOG_TAIL);
            }
        }
        last_words(&kept)
    })
}

impl Executor for ProcessExecutor {
    fn start(&mut self, number: usize, job: &Job) -> Result<Box<dyn Worker>, ScheduleError> {
        let (mut child, input) = spawn(&self.program, job.threads, &WorkerRequest::Train(job.clone()))?;
        let output = child.stdout.take().expect("the standard output is piped");
        let errors = keep_last_words(child.stderr.take().expect("the standard error is piped"));
        let tell = self.tell.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let message = match event::read_event(&line) {
                    Ok(event) => Message::Event(number, event),
                    Err(error @ ProtocolError::Version { .. }) => Message::Misunderstood(number, error),
                    Err(_) => Message::Noise(number, line),
                };
                if tell.send(message).is_err() {
                    return;
                }
            }
            // Nobody listens when the engine has already given up.
            drop(tell.send(Message::Closed(number)));
        });
        Ok(Box::new(Process { child, input: Some(input), errors: Some(errors) }))
    }
}

impl Worker for Process {
    fn stop(&mut self) {
        self.input = None;
    }

    fn kill(&mut self) {
        // One that is gone already needs no end.
        drop(self.child.kill());
    }

    fn ended(&mut self) -> Ending {
        self.input = None;
        let status = self.child.wait().ok();
        let log_tail = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        let mut ending = Ending { code: status.and_then(|status| status.code()), signal: None, log_tail };
        #[cfg(unix)]
        {
            use std::os::unix::process::ExitStatusExt as _;
            ending.signal = status.and_then(|status| status.signal());
        }
        ending
    }
}

/// Asks a worker one thing, hands over what it tells as it comes, and gives how it ended. An interrupt of this process
/// ends the worker with it.
///
/// # Errors
/// If it cannot be started or speaks another version.
pub fn ask(
    program: &Path,
    threads: usize,
    request: &WorkerRequest,
    mut hear: impl FnMut(Event),
) -> Result<(Option<WorkerExit>, Ending), ScheduleError> {
    let (mut child, input) = spawn(program, threads, request)?;
    let output = child.stdout.take().expect("the standard output is piped");
    let errors = keep_last_words(child.stderr.take().expect("the standard error is piped"));
    let mut process = Process { child, input: Some(input), errors: Some(errors) };
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        match event::read_event(&line) {
            Ok(event) => hear(event),
            Err(error @ ProtocolError::Version { .. }) => {
                process.kill();
                process.ended();
                return Err(error.into());
            }
            // A library's own words on standard output are not for us.
            Err(_) => {}
        }
    }
    let ending = process.ended();
    Ok((ending.code.and_then(WorkerExit::from_code), ending))
}

/// Sends each SIGINT and SIGTERM of this process as an interrupt, with the time at which it arrived.
///
/// # Errors
/// If the system does not let signals be caught.
pub fn forward_signals(tell: Sender<Message>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if tell.send(Message::Interrupt(Instant::now())).is_err() {
                return;
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// A shell script in the worker's place.
    fn script(folder: &Path, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.join("worker.sh");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn job() -> Job {
        Job { runs: Vec::new(), data_roots: Vec::new(), device: "cpu".to_owned(), threads: 1 }
    }

    #[test]
    fn a_worker_speaks_stops_when_its_input_ends_and_its_last_words_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(
            folder.path(),
            "read request; echo '\"bye\"'; echo noise; echo $OMP_NUM_THREADS >&2; while read line; do :; done; exit 130",
        );
        let (tell, hear) = channel();
        let mut worker = ProcessExecutor { program, tell }.start(4, &job()).unwrap();
        let wait = || hear.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(matches!(wait(), Message::Event(4, Event::Bye)));
        assert!(matches!(wait(), Message::Noise(4, text) if text == "noise"));
        worker.stop();
        assert!(matches!(wait(), Message::Closed(4)));
        assert_eq!(worker.ended(), Ending { code: Some(130), signal: None, log_tail: "1\n".to_owned() });
    }

    #[test]
    fn a_worker_takes_the_libtorch_that_this_program_decides_by() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        let (root, lib) = (folder.path().as_os_str().to_owned(), folder.path().join("lib"));
        let lib = lib.canonicalize().unwrap().display().to_string();
        let path =
            |libtorch: Option<OsString>, before: Option<&str>| library_path(libtorch, before.map(OsString::from));
        assert_eq!(path(Some(root.clone()), None), Some(lib.clone().into()));
        assert_eq!(path(Some(root), Some("/a:/b")), Some(format!("{lib}:/a:/b").into()));
        assert_eq!(path(Some("/nowhere".into()), Some("/a")), None);
        assert_eq!(path(None, Some("/a")), None);
    }

    #[test]
    fn a_killed_worker_ends_by_its_signal() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "kill -ABRT $$");
        let (_, ending) = ask(&program, 1, &WorkerRequest::Doctor, |_| {}).unwrap();
        assert_eq!((ending.code, ending.signal), (None, Some(6)));
    }

    #[test]
    fn a_worker_that_is_not_there_is_named() {
        let error = ask(Path::new("/nowhere/worker"), 1, &WorkerRequest::Doctor, |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("cannot start /nowhere/worker: "), "{error}");
    }
}
