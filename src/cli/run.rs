//! `run`: what is not done, in packs, by workers, to a summary.

use super::args::{RetryArg, RunArgs};
use super::plan::{data_missing, read};
use super::{Exit, Failure, cores, found_devices, print, say, width};
use crate::base::file;
use crate::record::grid::{RunSummary, summarize, write_beside_runs, write_grid};
use crate::record::{RunDir, State};
use crate::schedule::device::Chosen;
use crate::schedule::engine::Work;
use crate::schedule::order::{leave_out, ready};
use crate::schedule::plan::Planned;
use crate::schedule::process::{forward_signals, worker_beside_this_program};
use crate::schedule::survey::dir_of;
use crate::schedule::{
    Decision, Device, Entry, Outcome, ProcessExecutor, Retry, Shares, drive, plan_packs, prepare, survey,
};
use crate::ui::{Bars, Lines, Watch, table, words};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How long runs that another process holds are waited for: a worker whose parent was killed saves and leaves.
const LEAVING: Duration = Duration::from_secs(2);

/// `gantlet run`.
pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let out = &args.out.out;
    let planned = read(&args.files, &args.sets.sets, Some(out))?;
    if let Some(missing) = data_missing(&planned) {
        return Err(missing);
    }
    let chosen = found_devices().devices(args.device)?;
    file::make_dir(out)?;
    let entries: Vec<Entry> = planned.iter().flat_map(|planned| planned.entries.clone()).collect();
    let retry =
        Retry { failed: args.retry.contains(&RetryArg::Failed), diverged: args.retry.contains(&RetryArg::Diverged) };
    let id_of = |text: &str| crate::experiment::Plan::of_run_config(text).ok().map(|cell| cell.id);
    let mut decisions = loop {
        let decisions =
            survey(&entries, out, retry, &id_of).map_err(|errors| Failure::all(Exit::Experiment, &errors))?;
        let held = decisions.iter().any(|decision| matches!(decision, Decision::Held(_)));
        if !held || began.elapsed() > LEAVING {
            break decisions;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let requested: Vec<bool> =
        planned.iter().flat_map(|planned| vec![!planned.is_origin; planned.entries.len()]).collect();
    leave_out(&entries, &mut decisions, &requested);
    let worker = worker_beside_this_program()?;
    prepare(&entries, &decisions, out)?;
    for planned in &planned {
        write_document(planned, out)?;
    }
    tell(&entries, &decisions);

    let outcome = train(&entries, &decisions, chosen, args, worker)?;
    let grids = write_grids(&planned, out);
    // What others begin with was not asked for: it is shown where it was worked on.
    let shown = entries
        .iter()
        .zip(&decisions)
        .zip(&requested)
        .filter(|((_, decision), requested)| **requested || decision.is_work());
    let shown: Vec<&Entry> = shown.map(|((entry, _), _)| entry).collect();
    summary(&shown, &decisions, &outcome, out, began.elapsed())?;
    let exit = verdict(&decisions, &outcome)?;
    grids.map(|()| exit)
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The document that `verify`, `compare` and `diff` read beside the runs. The configuration of one run says less than
/// what may stand there.
fn write_document(planned: &Planned, out: &Path) -> Result<(), Failure> {
    let (folder, name) = (out.join(&planned.plan.name), "experiment.toml");
    let of_a_run = planned.is_origin || planned.plan.file.file_name().is_some_and(|name| name == "config.toml");
    if !(of_a_run && folder.join(name).exists()) {
        write_beside_runs(&folder, name, planned.plan.document_text.as_bytes())?;
    }
    Ok(())
}

/// Says what is left alone, and why.
fn tell(entries: &[Entry], decisions: &[Decision]) {
    let mut kept: BTreeMap<State, Vec<&str>> = BTreeMap::new();
    for (entry, decision) in entries.iter().zip(decisions) {
        match decision {
            Decision::Held(who) => say(&format!("{} is left to {who}", entry.state.run)),
            Decision::Mend { step: 0, why } => say(&format!("{why}: it is written anew, and the run begins anew")),
            Decision::Mend { step, why } => {
                say(&format!("{why}: it is written anew, and the run goes on from the checkpoint at step {step}"));
            }
            Decision::Leave(state) => kept.entry(*state).or_default().push(&entry.state.run),
            Decision::Start
            | Decision::Resume { .. }
            | Decision::Done
            | Decision::NotRequested
            | Decision::NotReady
            | Decision::Tried => {}
        }
    }
    for (state, runs) in kept {
        let names = match runs.as_slice() {
            [first, second, third, rest @ ..] if !rest.is_empty() => {
                format!("{first}, {second}, {third} and {} more", rest.len())
            }
            runs => runs.join(", "),
        };
        say(&format!("{} {state} before, kept as it is: {names} (--retry {state} tries again)", runs.len()));
    }
}

/// Trains what is left to do: what begins with other runs when they are done.
fn train(
    entries: &[Entry],
    decisions: &[Decision],
    mut chosen: Chosen,
    args: &RunArgs,
    worker: PathBuf,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let mut left = decisions.to_vec();
    if !left.iter().any(Decision::is_work) {
        return Ok(outcome);
    }
    if let Some(note) = &chosen.note {
        say(note);
    }
    let (tell, hear) = channel();
    forward_signals(tell.clone())
        .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot watch for signals: {error}")))?;
    let mut executor = ProcessExecutor { program: worker, tell };
    let mut watch: Box<dyn Watch> = if std::io::stderr().is_terminal() {
        Box::new(Bars::new(indicatif::MultiProgress::new()))
    } else {
        Box::new(Lines::new(std::io::stderr(), Duration::from_secs(10)))
    };
    let out = &args.out.out;
    let cores = cores();
    loop {
        let on_cpu = chosen.devices.iter().all(|device| *device == Device::Cpu);
        let workers = if on_cpu { args.jobs.map_or(cores, count).min(cores) } else { chosen.devices.len() };
        let now = ready(entries, &left, out);
        let mut packs = plan_packs(entries, &now, args.no_pack, workers);
        if packs.is_empty() || outcome.interrupted || outcome.gave_up {
            break;
        }
        let shared_by = |devices: &[Device]| {
            Shares::new(cores, packs.len(), devices, args.jobs.map(count), args.threads.map(count))
        };
        let shares = shared_by(&chosen.devices);
        let on_cpu = chosen.may_fall_back.then(|| shared_by(&[Device::Cpu]));
        if args.threads.is_some() {
            packs.iter_mut().for_each(|pack| pack.threads = None);
        }
        if let Some(note) = &shares.note {
            say(note);
        }
        let (devices, max_fail) = (chosen.devices, args.max_fail.map(count));
        let work = Work { entries, out, packs, shares, devices, on_cpu, max_fail };
        let mut driven = drive(work, &mut executor, &hear, &mut *watch)?;
        chosen.devices = std::mem::take(&mut driven.devices);
        outcome.add(driven);
        for (decision, _) in left.iter_mut().zip(&now).filter(|(_, now)| now.is_work()) {
            *decision = Decision::Tried;
        }
    }
    let waiting = left.iter().filter(|decision| decision.is_work()).count();
    if waiting > 0 && !outcome.interrupted && !outcome.gave_up {
        say(&format!("{} left undone: what they begin with is not done", words::plural(waiting, "run")));
    }
    Ok(outcome)
}

/// `grid.csv` of every experiment.
fn write_grids(planned: &[Planned], out: &Path) -> Result<(), Failure> {
    let folders: BTreeSet<&str> = planned.iter().map(|planned| planned.plan.name.as_str()).collect();
    for folder in folders {
        write_grid(&out.join(folder))?;
    }
    Ok(())
}

/// More rows than this are put together over seeds.
const MOST_ROWS: usize = 24;

/// What became of the runs, as a table on standard output.
fn summary(
    entries: &[&Entry],
    decisions: &[Decision],
    outcome: &Outcome,
    out: &Path,
    took: Duration,
) -> Result<(), Failure> {
    let mut runs: Vec<RunSummary> = Vec::new();
    for entry in entries {
        match summarize(&dir_of(entry, out)) {
            Ok(run) => runs.push(run),
            Err(error) => say(&format!("warning: {error}")),
        }
    }
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for run in &runs {
        *counts.entry(run.state.state).or_default() += 1;
    }
    let mut counts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    if runs.len() < entries.len() {
        counts.push(format!("{} unreadable", entries.len() - runs.len()));
    }
    let trained = decisions.iter().filter(|decision| decision.is_work()).count();
    let mut text = summary_table(&runs);
    for run in runs.iter().filter(|run| matches!(run.state.state, State::Failed | State::Diverged)) {
        let reason = run.state.reason.as_deref().unwrap_or("for no reason that is known");
        text.push_str(&format!("\n{} {}: {reason}\n", run.dir.path.display(), run.state.state));
        for line in
            run.state.log_tail.iter().flat_map(|tail| tail.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev())
        {
            text.push_str(&format!("  | {line}\n"));
        }
    }
    let work = if trained == 0 { "nothing was left to do".to_owned() } else { format!("{trained} worked on") };
    let folders: BTreeSet<String> =
        entries.iter().map(|entry| out.join(&entry.state.experiment).display().to_string()).collect();
    let folders: Vec<String> = folders.into_iter().collect();
    text.push_str(&format!("\n{} ({work}, {}) in {}\n", counts.join(", "), words::span(took), folders.join(", ")));
    if outcome.interrupted {
        text.push_str("interrupted: the same command goes on from here\n");
    }
    if outcome.gave_up {
        text.push_str("stopped at --max-fail: the same command goes on from here\n");
    }
    print(&text)
}

/// A row a run where they are few, else a row a configuration with means over seeds.
fn summary_table(runs: &[RunSummary]) -> String {
    let mut metrics: Vec<&str> = Vec::new();
    for metric in runs.iter().flat_map(|run| &run.metrics) {
        if !metrics.contains(&metric.name.as_str()) {
            metrics.push(&metric.name);
        }
    }
    let last = |run: &RunSummary, name: &str| {
        run.metrics.iter().find(|metric| metric.name == name).and_then(|metric| metric.last).map(|(_, value)| value)
    };
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), words::number);
    let mut rows = Vec::new();
    if runs.len() <= MOST_ROWS {
        for run in runs {
            let state = &run.state;
            let mut row = vec![
                run.dir.name(),
                state.state.to_string(),
                format!("{}/{}", words::count(state.step), words::count(state.steps)),
                words::span(Duration::try_from_secs_f64(state.seconds).unwrap_or_default()),
            ];
            row.extend(metrics.iter().map(|name| number(last(run, name))));
            rows.push(row);
        }
        return fitting(&["run", "state", "steps", "time"], &metrics, &mut rows);
    }
    let mut groups: Vec<(String, Vec<&RunSummary>)> = Vec::new();
    for run in runs {
        let varies: Vec<String> = run.state.varies.iter().map(|(_, value)| value.clone()).collect();
        let name = if varies.is_empty() { run.state.experiment.clone() } else { varies.join("  ") };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(run),
            None => groups.push((name, vec![run])),
        }
    }
    for (name, group) in groups {
        let done: Vec<&&RunSummary> = group.iter().filter(|run| run.state.state == State::Done).collect();
        let mut row = vec![name, format!("{} of {}", done.len(), group.len())];
        for metric in &metrics {
            let values: Vec<f64> = done.iter().filter_map(|run| last(run, metric)).collect();
            let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
            row.push(number(mean));
        }
        rows.push(row);
    }
    fitting(&["means over seeds of", "done"], &metrics, &mut rows)
}

/// A table with as many metrics as the screen is wide for, and the names of the others.
fn fitting(facts: &[&str], metrics: &[&str], rows: &mut [Vec<String>]) -> String {
    for shown in (1..=metrics.len()).rev() {
        rows.iter_mut().for_each(|row| row.truncate(facts.len() + shown));
        let text = table::text(&[facts, &metrics[..shown]].concat(), rows);
        if shown > 1 && text.lines().any(|line| line.chars().count() > usize::from(width())) {
            continue;
        }
        let rest = &metrics[shown..];
        let more =
            if rest.is_empty() { String::new() } else { format!("and {} more: see `gantlet compare`\n", rest.len()) };
        return text + &more;
    }
    table::text(facts, rows)
}

/// The exit code that it all comes to.
fn verdict(decisions: &[Decision], outcome: &Outcome) -> Result<Exit, Failure> {
    if outcome.interrupted {
        return Ok(Exit::Interrupted);
    }
    if let Some(refusal) = outcome.refusals.first() {
        let failure = Failure::new(refusal.exit.into(), &refusal.message);
        return Err(match &refusal.help {
            Some(help) => failure.help(help),
            None => failure,
        });
    }
    let any = |wanted: State| {
        outcome.states.values().any(|state| *state == wanted) || decisions.contains(&Decision::Leave(wanted))
    };
    Ok(if any(State::Failed) {
        Exit::Failed
    } else if any(State::Diverged) {
        Exit::Diverged
    } else {
        Exit::Well
    })
}

/// The run that a path means: a run's directory, or one below `out` whose name or id begins so.
pub(super) fn find_run(path: &Path, out: &Path) -> Result<RunDir, Failure> {
    let direct = if path.file_name().is_some_and(|name| name == "config.toml" || name == "run.json") {
        path.parent().unwrap_or(path)
    } else {
        path
    };
    if direct.exists() {
        return Ok(RunDir::open(direct)?);
    }
    let text = path.to_string_lossy();
    let all = if out.is_dir() { crate::record::run::find_runs(out)? } else { Vec::new() };
    let fits = |dir: &&RunDir| {
        dir.name().starts_with(&*text)
            || (text.len() >= 4 && dir.stored_state().is_ok_and(|state| state.id.starts_with(&*text)))
    };
    let found: Vec<&RunDir> = all.iter().filter(fits).collect();
    match found.as_slice() {
        [run] => Ok((*run).clone()),
        [] => Err(Failure::new(Exit::Usage, format!("there is no run {text}"))
            .help(format!("give a run's directory, or the beginning of a name or id below {}", out.display()))),
        many => {
            Err(Failure::new(Exit::Usage, format!("{text} is the beginning of {}", words::plural(many.len(), "run")))
                .help(format!("the first is {}", many[0].path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::event::WorkerExit;
    use crate::schedule::Refusal;

    #[test]
    fn the_exit_code_says_the_worst_that_happened() {
        let exit = |states: &[State], decisions: &[Decision]| {
            let outcome = Outcome { states: states.iter().copied().enumerate().collect(), ..Outcome::default() };
            verdict(decisions, &outcome).unwrap()
        };
        assert_eq!(exit(&[State::Done], &[Decision::Done]), Exit::Well);
        assert_eq!(exit(&[State::Done, State::Diverged], &[]), Exit::Diverged);
        assert_eq!(exit(&[State::Diverged, State::Failed], &[]), Exit::Failed);
        assert_eq!(exit(&[], &[Decision::Leave(State::Failed)]), Exit::Failed);
        let interrupted = Outcome { interrupted: true, states: [(0, State::Failed)].into(), ..Outcome::default() };
        assert_eq!(verdict(&[], &interrupted).unwrap(), Exit::Interrupted);
        let refusal = Refusal { exit: WorkerExit::Data, message: "gone".to_owned(), help: None };
        let refused = Outcome { refusals: vec![refusal], ..Outcome::default() };
        assert_eq!(verdict(&[], &refused).unwrap_err().exit, Exit::Data);
    }
}
