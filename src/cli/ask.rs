//! `sample`, `eval` and `export`: what is asked of a worker about one run.

use super::args::{EvalArgs, ExportArgs, ModelArgs, SampleArgs};
use super::run::find_run;
use super::{Exit, Failure, cores, data_roots, found_devices, print, say};
use crate::experiment;
use crate::record::event::{EvalRequest, Event, ExportRequest, SampleRequest, WorkerExit, WorkerRequest};
use crate::schedule::DeviceChoice;
use crate::schedule::process::{ask, worker_beside_this_program};
use crate::ui::progress::Drawing;
use crate::ui::{table, words};
use std::path::{Path, PathBuf};

/// Asks, says its warnings, hands over the rest, and turns a refusal into a failure.
pub(super) fn asked(threads: usize, request: &WorkerRequest, mut hear: impl FnMut(Event)) -> Result<(), Failure> {
    let program = worker_beside_this_program()?;
    let mut refused = None;
    let mut drawing = Drawing::default();
    let (exit, ending) = ask(&program, threads, request, |event| match event {
        Event::Warning { text, .. } => say(&format!("warning: {text}")),
        Event::Drawn { done, all } => drawing.went_on(done, all),
        Event::Refused { message, help } => refused = Some((message, help)),
        other => {
            drawing.end();
            hear(other);
        }
    })?;
    drawing.end();
    match (exit, refused) {
        (Some(WorkerExit::Done), None) => Ok(()),
        (exit, Some((message, help))) => {
            let failure = Failure::new(exit.map_or(Exit::Unexpected, Exit::from), message);
            Err(match help {
                Some(help) => failure.help(help),
                None => failure,
            })
        }
        (exit, None) => {
            let failure = Failure::new(exit.map_or(Exit::Unexpected, Exit::from), ending.in_words());
            let words = ending.log_tail.trim();
            Err(if words.is_empty() { failure } else { failure.help(format!("its last words: {words}")) })
        }
    }
}

pub(super) fn device(choice: DeviceChoice) -> Result<String, Failure> {
    let chosen = found_devices().devices(choice)?;
    if let Some(note) = &chosen.note {
        say(note);
    }
    Ok(chosen.devices.first().map_or_else(|| "cpu".to_owned(), ToString::to_string))
}

/// What a worker is asked for where it draws `n` samples of a model.
pub(super) fn samples(model: &ModelArgs, out: &Path, n: u64) -> Result<SampleRequest, Failure> {
    Ok(SampleRequest {
        run: find_run(&model.run, Path::new("runs"))?.path,
        n: usize::try_from(n).unwrap_or(usize::MAX),
        out: out.to_owned(),
        checkpoint: model.checkpoint,
        seed: model.seed,
        label: model.label,
        weights: model.weights.clone(),
        data_roots: data_roots().folders,
        device: device(model.device)?,
        threads: cores(),
    })
}

/// Fails early where the ending of a file says nothing to the worker.
pub(super) fn known_ending(path: &Path, endings: &[&str]) -> Result<(), Failure> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    if ending.as_deref().is_some_and(|ending| endings.contains(&ending)) {
        return Ok(());
    }
    let message = format!("the ending of {} says no format: it is one of .{}", path.display(), endings.join(", ."));
    Err(Failure::new(Exit::Usage, message))
}

pub(super) fn wrote(event: Event) -> Option<String> {
    match event {
        Event::Wrote { path, what } => Some(format!("{}: {what}\n", path.display())),
        _ => None,
    }
}

/// `gantlet sample`.
pub(super) fn sample(args: &SampleArgs) -> Result<Exit, Failure> {
    known_ending(&args.out, &["png", "npy", "csv", "txt"])?;
    let request = samples(&args.model, &args.out, args.n)?;
    let mut text = String::new();
    asked(cores(), &WorkerRequest::Sample(request), |event| text.extend(wrote(event)))?;
    print(&text)?;
    Ok(Exit::Well)
}

/// Samples of a run's newest checkpoint as a picture, from the latents of seed 0 whatever its own seed is.
pub(super) fn draw(run: &Path, out: &Path) -> Result<(), Failure> {
    let request = SampleRequest {
        run: run.to_owned(),
        n: 64,
        out: out.to_owned(),
        checkpoint: None,
        seed: 0,
        label: None,
        weights: "auto".to_owned(),
        data_roots: data_roots().folders,
        device: "cpu".to_owned(),
        threads: cores(),
    };
    asked(cores(), &WorkerRequest::Sample(request), |_| {})
}

/// `gantlet export`.
pub(super) fn export(args: &ExportArgs) -> Result<Exit, Failure> {
    known_ending(&args.out, &["pt", "safetensors"])?;
    let run = find_run(&args.run, Path::new("runs"))?;
    let request = ExportRequest {
        run: run.path,
        out: args.out.clone(),
        checkpoint: args.checkpoint,
        player: args.player.clone(),
        data_roots: data_roots().folders,
    };
    let mut text = String::new();
    asked(cores(), &WorkerRequest::Export(request), |event| text.extend(wrote(event)))?;
    print(&text)?;
    Ok(Exit::Well)
}

/// `gantlet eval`.
pub(super) fn eval(args: &EvalArgs) -> Result<Exit, Failure> {
    let metrics = experiment::metrics(&args.metric)?;
    if let Some(path) = &args.per_example {
        known_ending(path, &["csv"])?;
        if args.runs.len() > 1 {
            return Err(Failure::new(Exit::Usage, "`--per-example` is for one run".to_owned()));
        }
    }
    let runs: Vec<PathBuf> =
        args.runs.iter().map(|run| Ok(find_run(run, Path::new("runs"))?.path)).collect::<Result<_, Failure>>()?;
    for run in runs {
        let request = EvalRequest {
            run: run.clone(),
            checkpoint: args.checkpoint,
            metrics: metrics.clone(),
            per_example: args.per_example.clone(),
            data_roots: data_roots().folders,
            device: device(args.device)?,
            threads: cores(),
        };
        let (mut rows, mut told) = (Vec::new(), String::new());
        asked(cores(), &WorkerRequest::Eval(request), |event| {
            if let Event::Number { step, metric, value, .. } = event {
                let value = value.map_or_else(|| "–".to_owned(), words::number);
                rows.push(vec![words::count(step), metric, value]);
            } else {
                told.extend(wrote(event));
            }
        })?;
        print(&format!("{}\n\n{}\n{told}", run.display(), table::text(&["step", "metric", "value"], &rows)))?;
    }
    Ok(Exit::Well)
}
