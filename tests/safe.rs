//! Nothing is ever lost: killed anywhere, with a full disk, a folder in the way, no memory, no locks, a clock that jumps,
//! two at once, flipped and cut bytes. What goes wrong is named, the others go on, and what comes of it in the end are,
//! byte for byte, the files of a run that nothing happened to.

mod common;

use common::skip::{Need, require};
use common::{DENSE, Dice, MINIBATCH, Workspace, assert_same, fact, said, signal, workers};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Two packs of two runs that write something at nearly every step.
const BUSY: [&str; 18] = [
    "--set",
    "schedule.steps=80",
    "--set",
    "output.metrics-every=1",
    "--set",
    "output.samples-every=20",
    "--set",
    "output.checkpoint-every=4",
    "--set",
    "output.animation.every=40",
    "--set",
    "output.tensorboard=true",
    "--set",
    "eval.every=20",
    "--set",
    "eval.samples=50",
    "--retry",
    "failed",
];

/// A grid whose packs differ in their batches.
fn busy() -> Workspace {
    Workspace::new(&DENSE.replace("\"optimizer.generator.adam.lr\" = [1e-3, 3e-3]", "\"schedule.batch\" = [8, 10]"))
}

fn gone(pid: u32) -> bool {
    // A zombie is gone; whoever is its parent now reaps it or not.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('Z'))
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited a minute until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the first run of `DENSE` has begun its table.
fn being_trained(work: &Workspace, out: &str) -> bool {
    let begun = |run: &PathBuf| std::fs::metadata(run.join("metrics.csv")).is_ok_and(|table| table.len() > 0);
    work.runs(out).first().is_some_and(begun)
}

/// One way to end a `gantlet` at work.
fn end(child: &mut Child, way: u64) {
    let mine = workers(child.id());
    match way {
        // All at once, as a machine that goes down.
        0 | 1 => {
            signal(child.id(), "KILL");
            mine.iter().for_each(|&pid| signal(pid, "KILL"));
        }
        // The parent alone: its workers notice, save and leave.
        2 => signal(child.id(), "KILL"),
        3 => signal(child.id(), "TERM"),
        4 => {
            signal(child.id(), "INT");
            std::thread::sleep(Duration::from_millis(3));
            signal(child.id(), "INT");
        }
        // The worker alone: the grid goes on without it, until it ends by itself.
        5 => mine.iter().for_each(|&pid| signal(pid, "KILL")),
        _ => mine.iter().for_each(|&pid| signal(pid, "ABRT")),
    }
    child.wait().expect("gantlet ends");
    wait_until("the workers are gone", || mine.iter().all(|&pid| gone(pid)));
}

/// Ends grids in all ways at `kills` random instants, each time going on, and holds what comes of them against one that
/// nothing happened to.
fn killed(kills: u64, seed: u64) {
    let work = busy();
    work.run("straight", &BUSY);
    let straight = work.files("straight");
    let (mut dice, mut left, mut grids) = (Dice(seed), kills, 0);
    while left > 0 {
        let out = format!("killed-{grids}");
        loop {
            let mut child = work.command(&out, &BUSY).spawn().expect("gantlet starts");
            std::thread::sleep(Duration::from_millis(50 + dice.below(1200)));
            let over = child.try_wait().expect("gantlet is ours").is_some();
            if over || left == 0 {
                child.wait().expect("gantlet ends");
                break;
            }
            left -= 1;
            end(&mut child, dice.below(7));
        }
        work.run(&out, &BUSY);
        assert_same(&straight, &work.files(&out));
        std::fs::remove_dir_all(work.path(&out)).expect("it is ours");
        grids += 1;
    }
}

#[test]
fn what_was_killed_a_few_times_ends_where_a_straight_run_does() {
    killed(4, 1);
}

#[test]
#[ignore = "takes minutes"]
fn what_was_killed_a_hundred_times_ends_where_a_straight_run_does() {
    killed(100, 2);
}

#[test]
fn workers_whose_parent_is_killed_save_and_the_next_run_goes_on_at_once() {
    let work = Workspace::new(DENSE);
    let set = ["--set", "schedule.steps=200", "--set", "output.checkpoint-every=0"];
    work.run("straight", &set);
    let mut child = work.command("orphans", &set).spawn().expect("gantlet starts");
    wait_until("the runs are being trained", || being_trained(&work, "orphans"));
    let mine = workers(child.id());
    assert_eq!(mine.len(), 1);
    signal(child.id(), "KILL");
    child.wait().expect("gantlet is gone");
    // The worker is still there, or just so gone: whoever comes now waits for it.
    let said = work.run("orphans", &set);
    assert!(gone(mine[0]) && said.contains("4 done"), "{said}");
    for run in work.runs("orphans") {
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap_or_default();
        assert!(log.contains("goes on after step"), "it was saved: {log}");
    }
    assert_same(&work.files("straight"), &work.files("orphans"));
}

/// A step of many updates, so that a signal arrives in the middle of one; nothing is saved on the way.
const SLOW: [&str; 8] = [
    "--set",
    "schedule.generator-steps=300",
    "--set",
    "schedule.steps=1000",
    "--set",
    "output.checkpoint-every=0",
    "--set",
    "output.metrics-every=1",
];

/// Whether the first run has a row in its table.
fn has_stepped(work: &Workspace, out: &str) -> bool {
    let rows = |run: &PathBuf| std::fs::read_to_string(run.join("metrics.csv")).unwrap_or_default().lines().count();
    work.runs(out).first().is_some_and(|run| rows(run) > 1)
}

#[test]
fn signals_that_reach_parent_and_worker_together_lose_no_progress() {
    let work = Workspace::new(DENSE);
    let try_out = &|order: &str, pause: u64| {
        let what = format!("{order} after {pause} ms");
        let out = format!("{order}-{pause}");
        let child = work.command(&out, &SLOW).spawn().expect("gantlet starts");
        wait_until("a step is done", || has_stepped(&work, &out));
        let (parent, worker) = (child.id(), workers(child.id())[0]);
        let [first, second] = match order {
            "worker-second" => [parent, worker],
            "parent-second" => [worker, parent],
            _ => [parent, parent],
        };
        signal(first, "TERM");
        std::thread::sleep(Duration::from_millis(pause));
        signal(second, "TERM");
        let (code, text) = said(child.wait_with_output().expect("gantlet ends"));
        assert_eq!(code, 130, "{what}: {text}");
        for run in work.runs(&out) {
            assert_eq!(fact(&run, "state"), "interrupted", "{what}");
            let step: u64 = fact(&run, "step").parse().expect("a step");
            assert!(step > 0 && newest(&run).is_file(), "{what}: saved at step {step}");
        }
        let mut child = work.command(&out, &SLOW).spawn().expect("gantlet starts");
        let log = |run: &PathBuf| std::fs::read_to_string(run.join("log.txt")).unwrap_or_default();
        wait_until("the runs go on", || work.runs(&out).iter().all(|run| log(run).contains("goes on after step")));
        signal(child.id(), "TERM");
        child.wait().expect("gantlet ends");
    };
    std::thread::scope(|scope| {
        for order in ["worker-second", "parent-second", "parent-twice"] {
            scope.spawn(move || [0, 50, 200].map(|pause| try_out(order, pause)));
        }
    });
}

#[test]
fn a_second_signal_a_second_later_ends_a_step_that_takes_longer() {
    let work = Workspace::new(DENSE);
    let very_slow = [&SLOW[..], &["--set", "schedule.generator-steps=1000", "--set", "schedule.batch=50000"]].concat();
    let try_out = &|whom: &str| {
        let mut child = work.command(whom, &very_slow).spawn().expect("gantlet starts");
        let begun = |run: &PathBuf| std::fs::metadata(run.join("metrics.csv")).is_ok_and(|table| table.len() > 0);
        wait_until("all tables are begun", || work.runs(whom).iter().filter(|run| begun(run)).count() == 4);
        // The first step follows at once, and takes many seconds.
        std::thread::sleep(Duration::from_millis(500));
        let pid = if whom == "worker" { workers(child.id())[0] } else { child.id() };
        signal(pid, "TERM");
        std::thread::sleep(Duration::from_millis(1300));
        assert!(child.try_wait().expect("gantlet is ours").is_none(), "the step takes longer");
        signal(pid, "TERM");
        let began = Instant::now();
        let (code, text) = said(child.wait_with_output().expect("gantlet ends"));
        assert!(code == 130 && began.elapsed() < Duration::from_secs(10), "{whom}: {code} {text}");
        for run in work.runs(whom) {
            assert_eq!(fact(&run, "state"), "interrupted");
        }
    };
    std::thread::scope(|scope| {
        for whom in ["parent", "worker"] {
            scope.spawn(move || try_out(whom));
        }
    });
}

#[test]
fn a_worker_that_aborts_costs_its_own_run_at_most() {
    let work = Workspace::new(DENSE);
    let set = ["--set", "schedule.steps=150"];
    work.run("straight", &set);
    let child = work.command("aborted", &set).spawn().expect("gantlet starts");
    wait_until("the runs are being trained", || being_trained(&work, "aborted"));
    workers(child.id()).iter().for_each(|&pid| signal(pid, "ABRT"));
    let (code, text) = said(child.wait_with_output().expect("gantlet ends"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("SIGABRT") && text.contains("each alone"), "{text}");
    assert_same(&work.files("straight"), &work.files("aborted"));
}

/// A small disk of its own, where the system lets one be made.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).expect("a folder");
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "none"], &path).then_some(Self(path))
    }

    fn grow(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], &self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    let output = Command::new("mount").args(options).arg(at).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_stops_the_grid_and_it_goes_on_where_there_is_room() {
    let work = busy();
    let set = [&BUSY[..], &["--set", "output.keep=1000"]].concat();
    let Some(disk) = require(Need::Mount, Disk::mount(work.path("full"), "500k")) else { return };
    let (code, text) = said(work.command("full", &set).output().expect("gantlet starts"));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("No space left on device"), "{text}");
    assert!(text.contains("help: make room and say the same command again"), "{text}");
    for run in work.runs("full") {
        let state = fact(&run, "state");
        assert!(["queued", "running", "interrupted"].contains(&state.as_str()), "{state}");
    }
    disk.grow("100m");
    work.run("straight", &set);
    work.run("full", &set);
    assert_same(&work.files("straight"), &work.files("full"));
}

#[test]
fn a_file_where_a_folder_should_be_costs_one_run_and_is_named() {
    let work = Workspace::new(DENSE);
    work.run("straight", &[]);
    let names: Vec<String> = work
        .runs("straight")
        .iter()
        .map(|run| run.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    for (name, inside) in names.iter().zip(["checkpoints", "samples"]) {
        let run = work.path(&format!("blocked/dense/{name}"));
        std::fs::create_dir_all(&run).expect("a folder");
        std::fs::write(run.join(inside), "in the way").expect("a file");
    }
    let (code, text) = said(work.command("blocked", &[]).output().expect("gantlet starts"));
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("2 done, 2 failed"), "{text}");
    for (run, inside) in work.runs("blocked").iter().zip(["checkpoints", "samples"]) {
        assert_eq!(fact(run, "state"), "failed");
        assert!(fact(run, "reason").contains(inside), "{}", fact(run, "reason"));
        std::fs::remove_file(run.join(inside)).expect("it is there");
    }
    work.run("blocked", &["--retry", "failed"]);
    assert_same(&work.files("straight"), &work.files("blocked"));
}

#[test]
fn a_run_directory_that_is_replaced_while_it_trains_costs_that_run_alone() {
    let work = Workspace::new(DENSE);
    let set = ["--set", "schedule.steps=400", "--set", "output.checkpoint-every=50"];
    let child = work.command("replaced", &set).spawn().expect("gantlet starts");
    let first = || work.runs("replaced").into_iter().next();
    let saved = |run: PathBuf| run.join("checkpoints").exists();
    wait_until("there is a checkpoint", || first().is_some_and(saved));
    let run = first().expect("it is there");
    std::fs::rename(&run, work.path("elsewhere")).expect("a rename");
    std::fs::write(&run, "a file").expect("a file in its place");
    let (code, text) = said(child.wait_with_output().expect("gantlet ends"));
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("3 done, 1 unreadable"), "{text}");
    assert!(text.contains(&format!("{}", run.file_name().expect("a name").display())), "{text}");
}

#[test]
fn a_run_without_memory_fails_and_the_others_are_done() {
    let grid = "\"schedule.batch\" = [8, 1500000000]";
    let work = Workspace::new(&DENSE.replace("\"optimizer.generator.adam.lr\" = [1e-3, 3e-3]", grid));
    let mut command = Command::new("sh");
    let gantlet = env!("CARGO_BIN_EXE_gantlet");
    let script = format!("ulimit -v 8000000; exec {gantlet} run e.toml --device cpu --threads 1 --jobs 1 --out little");
    command.current_dir(work.folder.path()).args(["-c", &script]);
    let (code, text) = said(command.output().expect("a shell"));
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("2 done, 2 failed"), "{text}");
    let failed: Vec<PathBuf> = work.runs("little").into_iter().filter(|run| fact(run, "state") == "failed").collect();
    assert_eq!(failed.len(), 2);
    for run in failed {
        let (reason, tail) = (fact(&run, "reason"), fact(&run, "log_tail"));
        assert!(reason.starts_with("the worker "), "{reason}");
        assert!(tail.contains("memory") || tail.contains("alloc"), "{tail}");
    }
}

/// A library that is loaded before all others, and takes from the system what a test wants to be missing.
fn preload(work: &Workspace) -> Option<PathBuf> {
    let source = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int flock(int file, int what) {
    if (getenv("NO_LOCKS")) { errno = ENOLCK; return -1; }
    return syscall(SYS_flock, file, what);
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static long calls;
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && getenv("CLOCK_JUMPS")) now->tv_sec -= 86400 * ++calls;
    return failed;
}
"#;
    let (file, library) = (work.path("missing.c"), work.path("missing.so"));
    std::fs::write(&file, source).expect("a file");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&file).output();
    require(Need::Cc, built.is_ok_and(|built| built.status.success()).then_some(library))
}

#[test]
fn a_filesystem_without_locks_is_refused() {
    let work = Workspace::new(DENSE);
    let Some(library) = preload(&work) else { return };
    let mut command = work.command("unlocked", &[]);
    let (code, text) = said(command.env("LD_PRELOAD", library).env("NO_LOCKS", "1").output().expect("gantlet starts"));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("cannot lock ") && text.contains("choose an --out on a filesystem that has them"), "{text}");
}

#[test]
fn a_clock_that_jumps_back_changes_nothing() {
    let work = Workspace::new(DENSE);
    let Some(library) = preload(&work) else { return };
    work.run("straight", &[]);
    let mut command = work.command("jumps", &[]);
    let (code, text) =
        said(command.env("LD_PRELOAD", library).env("CLOCK_JUMPS", "1").output().expect("gantlet starts"));
    assert_eq!(code, 0, "{text}");
    assert_same(&work.files("straight"), &work.files("jumps"));
}

#[test]
fn two_at_once_share_the_work_and_train_no_run_twice() {
    let work = Workspace::new(DENSE);
    let set = ["--no-pack", "--set", "schedule.steps=100"];
    work.run("straight", &set);
    let both: Vec<Child> = (0..2)
        .map(|i| {
            // Together, or a little later: what the first holds, and what it has only written down.
            std::thread::sleep(Duration::from_millis(400 * i));
            work.command("both", &set).spawn().expect("gantlet starts")
        })
        .collect();
    for child in both {
        let (code, text) = said(child.wait_with_output().expect("gantlet ends"));
        assert_eq!(code, 0, "{text}");
        assert!(!text.contains("failed") && !text.contains("unreadable"), "{text}");
    }
    let text = work.run("both", &set);
    assert!(text.contains("4 done (nothing was left to do"), "{text}");
    assert_same(&work.files("straight"), &work.files("both"));
    for run in work.runs("both") {
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap_or_default();
        assert!(!log.contains("goes on"), "it was trained in one sitting: {log}");
    }
}

/// Changes a file in one of the ways that disks do.
fn damage(path: &Path, dice: &mut Dice) -> String {
    let mut bytes = std::fs::read(path).expect("a file");
    let at = usize::try_from(dice.below(bytes.len() as u64)).expect("an index");
    let how = match dice.below(3) {
        0 => {
            bytes.truncate(at);
            "cut"
        }
        1 => {
            bytes[at] = bytes[at].wrapping_add(1 + u8::try_from(dice.below(255)).expect("below 255"));
            "replaced"
        }
        _ => {
            bytes[at] ^= 1 << dice.below(8);
            "flipped"
        }
    };
    std::fs::write(path, bytes).expect("the changed file");
    format!("{} {how} at {at}", path.file_name().expect("a name").display())
}

/// An experiment with a claim, so that there is a verdict to get wrong.
fn claimed() -> Workspace {
    Workspace::new(&format!("{MINIBATCH}\n[[claims]]\nsays = 'far'\nmetric = 'w1'\nat-least = 0.0\n"))
}

#[test]
fn a_changed_byte_is_named_wherever_it_would_show() {
    let work = claimed();
    work.run("runs", &[]);
    let run = work.runs("runs").remove(1);
    let name = format!("runs/minibatch/{}", run.file_name().expect("a name").display());
    let looks: [&[&str]; 6] = [
        &["ls", "--json"],
        &["ls"],
        &["show", &name],
        &["compare", "runs/minibatch", "--json"],
        &["verify", "runs/minibatch", "--json"],
        &["diff", &name, "runs/minibatch"],
    ];
    let look = || looks.map(|args| said(work.gantlet(args).output().expect("gantlet starts")));
    let good = look();
    let mut dice = Dice(3);
    for (file, times) in [("run.json", 60), ("metrics.csv", 40), ("eval.csv", 40), ("config.toml", 40)] {
        let path = run.join(file);
        let whole = std::fs::read(&path).expect("a file");
        for _ in 0..times {
            let what = damage(&path, &mut dice);
            for ((args, good), now) in looks.iter().zip(&good).zip(look()) {
                let named = now.1.contains(file) || (file == "run.json" && now.1.contains("is not a run"));
                // A file that a command does not read cannot mislead it.
                assert!(now == *good || named, "{what}: {args:?} says {now:?} and before {good:?}");
                assert!(!now.1.contains("panicked"), "{what}: {now:?}");
            }
            std::fs::write(&path, &whole).expect("the whole file");
        }
    }
    assert_eq!(look(), good);
}

#[test]
fn a_run_goes_on_from_what_is_good_of_damaged_files_and_says_what_is_not() {
    damaged(5, 4);
}

#[test]
#[ignore = "takes minutes"]
fn a_run_goes_on_from_what_is_good_of_files_damaged_in_many_places() {
    damaged(100, 5);
}

/// Damages a file of an interrupted run `times`, and holds what comes of it against a straight run.
fn damaged(times: u64, seed: u64) {
    let work = claimed();
    let set = ["--set", "seeds=1", "--set", "schedule.steps=1500", "--set", "output.checkpoint-every=50"];
    work.run("straight", &set);
    let straight = work.files("straight");
    let run = || work.runs("stopped").remove(0);
    let mut child = work.command("stopped", &set).spawn().expect("gantlet starts");
    let saved = |run: &PathBuf| std::fs::read_dir(run.join("checkpoints")).is_ok_and(|list| list.count() > 1);
    wait_until("there are checkpoints", || work.runs("stopped").first().is_some_and(saved));
    signal(child.id(), "TERM");
    child.wait().expect("gantlet ends");
    let kept = work.path("kept");
    copy(&work.path("stopped"), &kept);
    let mut dice = Dice(seed);
    for time in 0..times {
        let file = match time % 5 {
            0 => newest(&run()),
            1 => run().join("run.json"),
            2 => run().join("metrics.csv"),
            3 => run().join("eval.csv"),
            _ => run().join("config.toml"),
        };
        let good = std::fs::read(&file).expect("a file");
        let what = damage(&file, &mut dice);
        let (code, text) = said(work.command("stopped", &set).output().expect("gantlet starts"));
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        if name == "config.toml" && code == 3 {
            assert!(text.contains("config.toml was changed since the run began"), "{what}: {text}");
            std::fs::write(&file, good).expect("the whole file");
            work.run("stopped", &set);
        } else {
            assert_eq!(code, 0, "{what}: {text}");
        }
        // A change may fall on what decides nothing, such as a remark or an empty file's end.
        let harmless = ["config.toml", "run.json"].contains(&name.as_str()) && !text.contains("corrupt");
        assert!(harmless || text.contains(&name), "{what}: {text}");
        let mut now = work.files("stopped");
        if harmless {
            now.retain(|path, _| !path.ends_with(&name));
            now.extend(straight.iter().filter(|(p, _)| p.ends_with(&name)).map(|(p, b)| (p.clone(), b.clone())));
        }
        assert_same(&straight, &now);
        std::fs::remove_dir_all(work.path("stopped")).expect("it is ours");
        copy(&kept, &work.path("stopped"));
    }
}

fn newest(run: &Path) -> PathBuf {
    let list = std::fs::read_dir(run.join("checkpoints")).expect("a folder");
    list.map(|entry| entry.expect("an entry").path()).max().expect("a checkpoint")
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().expect("cp").success());
}
