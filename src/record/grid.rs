//! `grid.csv`: an experiment's runs, a line each, with what varies and how far each metric came.

use super::RecordError;
use super::run::{RunDir, RunState, find_runs};
use super::table::{EvalRow, Table, field, read_eval, read_metrics};
use crate::base::file::{self, FileError};
use crate::eval::direction;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

/// A run with the numbers that sum it up.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// Where it is.
    pub dir: RunDir,
    /// Where it stands.
    pub state: RunState,
    /// The last and the best value of each metric of `eval.csv`, in the order in which they appear.
    pub metrics: Vec<MetricSummary>,
    /// The last scalars of `metrics.csv`.
    pub scalars: Vec<(String, Option<f64>)>,
}

/// A metric over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSummary {
    /// Its name.
    pub name: String,
    /// The last value that could be measured, with its step.
    pub last: Option<(u64, f64)>,
    /// The best value, with its step; `None` too where the metric has no better and worse.
    pub best: Option<(u64, f64)>,
}

/// Sums up one run.
///
/// # Errors
/// If a file of the run cannot be read.
pub fn summarize(dir: &RunDir) -> Result<RunSummary, RecordError> {
    let state = dir.state()?;
    let metrics = metrics_of(&read_eval(&dir.eval(), state.seal(&dir.eval()))?);
    let Table { columns, mut rows } = read_metrics(&dir.metrics(), state.seal(&dir.metrics()))?;
    let last = rows.pop().map_or_else(Vec::new, |(_, values)| values);
    let scalars = columns.into_iter().zip(last).collect();
    Ok(RunSummary { dir: dir.clone(), state, metrics, scalars })
}

fn metrics_of(rows: &[EvalRow]) -> Vec<MetricSummary> {
    let mut all: Vec<MetricSummary> = Vec::new();
    for row in rows {
        let place = all.iter().position(|metric| metric.name == row.metric).unwrap_or_else(|| {
            all.push(MetricSummary { name: row.metric.clone(), last: None, best: None });
            all.len() - 1
        });
        let Some(value) = row.value else { continue };
        let metric = &mut all[place];
        metric.last = Some((row.step, value));
        let best = metric.best.map_or(f64::NAN, |(_, best)| best);
        let wins = direction(&row.metric).better(value, best);
        if wins {
            metric.best = Some((row.step, value));
        }
    }
    all
}

/// Writes `grid.csv` into an experiment's folder from the runs that lie there. A run that cannot be read has no line.
///
/// # Errors
/// If the folder cannot be read or the file not be written.
pub fn write_grid(folder: &Path) -> Result<(), RecordError> {
    let runs: Vec<RunSummary> = find_runs(folder)?.iter().filter_map(|dir| summarize(dir).ok()).collect();
    write_beside_runs(folder, "grid.csv", grid(&runs).as_bytes())
}

/// Writes a file of an experiment's folder, one process after the other.
///
/// # Errors
/// If the disk refuses.
pub fn write_beside_runs(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), RecordError> {
    file::make_dir(folder)?;
    let path = folder.join(".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(FileError::at("cannot open", &path))?;
    lock.lock().map_err(|source| RecordError::NoLock { path, source })?;
    file::sweep(folder);
    file::write_atomic(&folder.join(name), bytes)?;
    Ok(())
}

/// The text of `grid.csv`.
pub fn grid(runs: &[RunSummary]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    let mut metrics: Vec<&str> = Vec::new();
    for run in runs {
        for (key, _) in &run.state.varies {
            if !keys.contains(&key.as_str()) && key != "seed" {
                keys.push(key);
            }
        }
        for metric in &run.metrics {
            if !metrics.contains(&metric.name.as_str()) {
                metrics.push(&metric.name);
            }
        }
    }
    let mut text = "run,state,seed".to_owned();
    for key in &keys {
        text.push(',');
        text.push_str(&field(key));
    }
    text.push_str(",step,steps,seconds");
    for metric in &metrics {
        for column in [(*metric).to_owned(), format!("{metric}/best"), format!("{metric}/best-step")] {
            text.push(',');
            text.push_str(&field(&column));
        }
    }
    text.push('\n');
    for run in runs {
        let state = &run.state;
        let mut line = format!("{},{},{}", field(&run.dir.name()), state.state, state.seed);
        for key in &keys {
            let value = state.varies.iter().find(|(k, _)| k == key).map_or("", |(_, value)| value);
            line.push(',');
            line.push_str(&field(value));
        }
        write!(line, ",{},{},{:.3}", state.step, state.steps, state.seconds).expect("a String takes any text");
        for name in &metrics {
            let metric = run.metrics.iter().find(|metric| metric.name == *name);
            let (last, best) = (metric.and_then(|m| m.last), metric.and_then(|m| m.best));
            for value in [last.map(|l| l.1.to_string()), best.map(|b| b.1.to_string()), best.map(|b| b.0.to_string())] {
                line.push(',');
                line.push_str(&value.unwrap_or_default());
            }
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::EvalLog;
    use super::super::run::State;
    use super::*;

    #[test]
    fn a_grid_has_a_line_a_run_with_the_last_and_the_best_of_each_metric() {
        let out = tempfile::tempdir().unwrap();
        for (seed, loss, values) in [(0, "hinge", [0.5, 0.25, 0.75]), (1, "vanilla, odd", [3.0, 2.0, 1.0])] {
            let varies = vec![("loss".to_owned(), loss.to_owned()), ("seed".to_owned(), seed.to_string())];
            let mut state = RunState::queued("toy", &format!("{loss}-{seed}"), "ab", seed, 30, varies);
            state.state = State::Done;
            state.step = 30;
            let dir = RunDir::create(out.path(), "toy", &state.run, "", &state).unwrap();
            let mut log = EvalLog::open(&dir.eval(), &["n"], 0).unwrap();
            for (step, value) in [10, 20, 30].into_iter().zip(values) {
                log.append(step, "w1", Some(value), &["100".to_owned()]).unwrap();
            }
            log.append(30, "mean", Some(4.0), &["100".to_owned()]).unwrap();
            log.flush().unwrap();
        }
        write_grid(&out.path().join("toy")).unwrap();
        let text = std::fs::read_to_string(out.path().join("toy/grid.csv")).unwrap();
        assert_eq!(
            text,
            "run,state,seed,loss,step,steps,seconds,w1,w1/best,w1/best-step,mean,mean/best,mean/best-step\n\
             hinge-0,done,0,hinge,30,30,0.000,0.75,0.25,20,4,,\n\
             \"vanilla, odd-1\",done,1,\"vanilla, odd\",30,30,0.000,1,1,30,4,,\n"
        );
    }
}
