//! `ls` and `show`: what runs have come to.

use super::args::{LsArgs, ShowArgs};
use super::run::find_run;
use super::{Exit, FORMAT, Failure, print, print_json};
use crate::record::grid::{RunSummary, summarize};
use crate::record::run::find_runs;
use crate::ui::{table, words};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// `gantlet ls`.
pub(super) fn ls(args: &LsArgs) -> Result<Exit, Failure> {
    if !args.dir.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("there is no folder {}", args.dir.display()))
            .help("`gantlet run FILE` makes one"));
    }
    let mut runs = Vec::new();
    let mut unreadable = Vec::new();
    for dir in find_runs(&args.dir)? {
        match summarize(&dir) {
            Ok(run) => runs.push(run),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    if args.json {
        let runs: Vec<Value> = runs.iter().map(run_json).collect();
        print_json(&json!({ "version": FORMAT, "runs": runs, "unreadable": unreadable }))?;
    } else {
        print(&listing(&runs))?;
    }
    for error in &unreadable {
        super::say(&format!("warning: {error}"));
    }
    Ok(Exit::Well)
}

fn seconds(seconds: f64) -> String {
    words::span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// The runs of each experiment as a table.
fn listing(runs: &[RunSummary]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let mut experiments: Vec<&str> = runs.iter().map(|run| run.state.experiment.as_str()).collect();
    experiments.dedup();
    let mut parts = Vec::new();
    for experiment in experiments {
        let mine: Vec<&RunSummary> = runs.iter().filter(|run| run.state.experiment == experiment).collect();
        let mut metrics: Vec<&str> = Vec::new();
        for metric in mine.iter().flat_map(|run| &run.metrics) {
            if !metrics.contains(&metric.name.as_str()) && metrics.len() < 6 {
                metrics.push(&metric.name);
            }
        }
        let rows: Vec<Vec<String>> = mine
            .iter()
            .map(|run| {
                let state = &run.state;
                let mut row = vec![
                    run.dir.name(),
                    state.state.to_string(),
                    format!("{}/{}", words::count(state.step), words::count(state.steps)),
                    seconds(state.seconds),
                    state.steps_per_second.map_or_else(|| "–".to_owned(), words::rate),
                ];
                row.extend(metrics.iter().map(|name| {
                    let metric = run.metrics.iter().find(|metric| metric.name == *name);
                    metric.and_then(|metric| metric.last).map_or_else(|| "–".to_owned(), |last| words::number(last.1))
                }));
                row
            })
            .collect();
        let header: Vec<&str> = [experiment, "state", "steps", "time", "steps/s"].into_iter().chain(metrics).collect();
        parts.push(table::text(&header, &rows));
    }
    parts.join("\n")
}

/// A run as JSON: what its `run.json` says, with its numbers.
fn run_json(run: &RunSummary) -> Value {
    let mut json = serde_json::to_value(&run.state).expect("a state has only text keys");
    let at = |place: Option<(u64, f64)>| place.map(|(step, value)| json!({ "step": step, "value": value }));
    let metrics: Map<String, Value> = run
        .metrics
        .iter()
        .map(|metric| (metric.name.clone(), json!({ "last": at(metric.last), "best": at(metric.best) })))
        .collect();
    let scalars: Map<String, Value> = run.scalars.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json.as_object_mut().expect("a state is an object").remove("files");
    json["path"] = json!(run.dir.path);
    json["metrics"] = Value::Object(metrics);
    json["scalars"] = Value::Object(scalars);
    json
}

/// `gantlet show`.
pub(super) fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let dir = find_run(&args.run, &args.out.out)?;
    let run = summarize(&dir)?;
    if args.json {
        print_json(&json!({ "version": FORMAT, "run": run_json(&run) }))?;
    } else {
        print(&card(&run))?;
    }
    Ok(Exit::Well)
}

fn card(run: &RunSummary) -> String {
    let state = &run.state;
    let mut facts = vec![("state", state.state.to_string())];
    if let Some(reason) = &state.reason {
        facts.push(("reason", reason.clone()));
    }
    if let Some(who) = &state.process {
        facts.push(("held by", format!("process {} on {} since {}", who.pid, who.host, who.started)));
    }
    facts.push(("steps", format!("{} of {}", words::count(state.step), words::count(state.steps))));
    let rate = state.steps_per_second.map_or_else(String::new, |rate| format!(", {} steps/s", words::rate(rate)));
    facts.push(("time", format!("{}{rate}", seconds(state.seconds))));
    facts.push(("seed", state.seed.to_string()));
    for (key, value) in &state.varies {
        facts.push((key, value.clone()));
    }
    if let Some(device) = &state.device {
        let pack = state.pack_size.filter(|size| *size > 1).map_or_else(String::new, |n| format!(", in a pack of {n}"));
        facts.push(("device", format!("{device}{pack}")));
    }
    let mut versions = format!("gantlet {}", state.versions.gantlet);
    for (name, version) in [("libtorch", &state.versions.libtorch), ("tch", &state.versions.tch)] {
        if let Some(version) = version {
            versions.push_str(&format!(", {name} {version}"));
        }
    }
    facts.push(("versions", versions));
    if !state.checkpoints.is_empty() {
        let steps: Vec<String> = state.checkpoints.iter().map(|step| words::count(*step)).collect();
        facts.push(("checkpoints", steps.join("  ")));
    }
    facts.push(("id", state.id.clone()));
    let mut text = format!("{}\n\n{}", run.dir.path.display(), table::pairs(&facts));
    let number = |value: f64| words::number(value);
    if !run.metrics.is_empty() {
        let rows: Vec<Vec<String>> = run
            .metrics
            .iter()
            .map(|metric| {
                let at = |place: Option<(u64, f64)>| {
                    place.map_or_else(|| ["–".to_owned(), String::new()], |(s, v)| [number(v), words::count(s)])
                };
                let mut row = vec![metric.name.clone()];
                row.extend(at(metric.last));
                row.extend(at(metric.best));
                row
            })
            .collect();
        text.push_str(&format!("\n{}", table::text(&["metric", "last", "step", "best", "step"], &rows)));
    }
    if !run.scalars.is_empty() {
        let rows: Vec<Vec<String>> = run
            .scalars
            .iter()
            .map(|(name, value)| vec![name.clone(), value.map_or_else(|| "–".to_owned(), number)])
            .collect();
        text.push_str(&format!("\n{}", table::text(&["scalar", "last"], &rows)));
    }
    if let Some(tail) = &state.log_tail {
        text.push_str(&format!("\nlast words:\n{}\n", tail.trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::grid::MetricSummary;
    use crate::record::{RunDir, RunState, State};

    fn a_run() -> RunSummary {
        let varies = vec![("loss.adversarial".to_owned(), "hinge".to_owned())];
        let mut state = RunState::queued("toy", "hinge-s0-0123", "0123456789", 0, 5000, varies);
        state.state = State::Failed;
        state.step = 1200;
        state.seconds = 65.0;
        state.steps_per_second = Some(1850.0);
        state.reason = Some("the worker was ended by signal 11 (SIGSEGV)".to_owned());
        state.device = Some("cpu".to_owned());
        state.pack_size = Some(16);
        state.checkpoints = vec![500, 1000];
        state.versions.gantlet = "0.1.0".to_owned();
        state.log_tail = Some("goes on after step 1000\n".to_owned());
        let metric = MetricSummary { name: "w1".to_owned(), last: Some((1000, 0.51)), best: Some((500, 0.25)) };
        RunSummary {
            dir: RunDir::at("runs/toy/hinge-s0-0123"),
            state,
            metrics: vec![metric],
            scalars: vec![("d/loss".to_owned(), Some(1.386)), ("d/penalty".to_owned(), None)],
        }
    }

    #[test]
    fn a_run_shows_as_a_card() {
        insta::assert_snapshot!(card(&a_run()));
    }

    #[test]
    fn runs_are_listed_by_experiment() {
        let mut queued = a_run();
        queued.state = RunState::queued("toy", "hinge-s1-4567", "4567", 1, 5000, Vec::new());
        queued.dir = RunDir::at("runs/toy/hinge-s1-4567");
        queued.metrics.clear();
        insta::assert_snapshot!(listing(&[a_run(), queued]));
        assert_eq!(listing(&[]), "no runs\n");
    }

    #[test]
    fn json_has_the_state_with_its_numbers() {
        let json = run_json(&a_run());
        assert_eq!((json["state"].as_str(), json["step"].as_u64()), (Some("failed"), Some(1200)));
        assert_eq!(json["varies"]["loss.adversarial"], "hinge");
        assert_eq!(json["metrics"]["w1"]["best"], json!({ "step": 500, "value": 0.25 }));
        assert!(json["scalars"]["d/penalty"].is_null());
    }
}
