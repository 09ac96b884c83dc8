//! Metrics over steps, with the seeds of each configuration pooled: charts for the page and as files.

use super::group::{Configuration, metric_names};
use crate::base::digits::short;
use crate::base::file::{self, FileError};
use crate::eval::{Direction, direction};
use crate::picture::{self, Curves, Series};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most points of a curve.
const POINTS: u64 = 200;
/// The most curves of a plot; more could not be distinguished.
pub const MOST: usize = 14;

/// A point of a curve, over the seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The step.
    pub step: f64,
    /// The mean.
    pub mean: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// A metric of some configurations, one curve each; `None` if no curve has two points.
pub fn curves(metric: &str, configurations: &[Configuration<'_>]) -> Option<Vec<Vec<Point>>> {
    let runs = configurations.iter().flat_map(|c| &c.runs);
    let last = runs.filter_map(|r| r.series(metric).last().map(|(step, _)| *step)).max()?;
    let width = (last / POINTS).max(1);
    let all: Vec<Vec<Point>> = configurations.iter().map(|c| curve(metric, c, width)).collect();
    all.iter().any(|curve| curve.len() > 1).then_some(all)
}

fn curve(metric: &str, configuration: &Configuration<'_>, width: u64) -> Vec<Point> {
    // Each bucket of steps has one mean per run, so that a run with more rows has no more weight.
    let mut buckets: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for run in &configuration.runs {
        let mut own: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        for (step, value) in run.series(metric).into_iter().filter(|(_, v)| v.is_finite()) {
            own.entry(step / width).or_default().push((step as f64, value));
        }
        for (bucket, rows) in own {
            buckets.entry(bucket).or_default().push((mean(rows.iter().map(|r| r.0)), mean(rows.iter().map(|r| r.1))));
        }
    }
    let point = |rows: Vec<(f64, f64)>| Point {
        step: mean(rows.iter().map(|r| r.0)).round(),
        mean: mean(rows.iter().map(|r| r.1)),
        low: rows.iter().map(|r| r.1).fold(f64::INFINITY, f64::min),
        high: rows.iter().map(|r| r.1).fold(f64::NEG_INFINITY, f64::max),
    };
    buckets.into_values().map(point).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len();
    values.sum::<f64>() / n as f64
}

/// The range of some curves without the outermost hundredth at each end, as a single run that grows without bound would
/// hide all others.
///
/// # Panics
/// If there is no point.
pub fn range(curves: &[Vec<Point>]) -> (f64, f64) {
    let mut values: Vec<f64> = curves.iter().flatten().flat_map(|p| [p.low, p.mean, p.high]).collect();
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 100;
    let (low, high) = (values[cut], values[values.len() - 1 - cut]);
    let margin = if high > low { (high - low) * 0.05 } else { low.abs().max(1.0) * 0.05 };
    (low - margin, high + margin)
}

/// The names of all metrics, and of all scalars of training.
pub fn names(configurations: &[Configuration<'_>]) -> [Vec<String>; 2] {
    let runs = || configurations.iter().flat_map(|c| c.runs.iter().copied());
    let scalars: BTreeSet<String> = runs().flat_map(|r| r.scalars.keys().cloned()).collect();
    [metric_names(runs()), scalars.into_iter().collect()]
}

/// A plot of a metric, one series per configuration; `None` if no series has two points.
pub fn plot(title: &str, metric: &str, configurations: &[Configuration<'_>], labels: &[String]) -> Option<Curves> {
    let shown = &configurations[..configurations.len().min(MOST)];
    let curves = curves(metric, shown)?;
    let range = Some(range(&curves));
    // A configuration without points has a series, so that the others keep their colors.
    let series = curves.into_iter().zip(labels).map(|(curve, label)| Series {
        name: label.clone(),
        points: curve.iter().map(|p| (p.step, p.mean)).collect(),
        band: curve.iter().any(|p| p.high > p.low).then(|| curve.iter().map(|p| (p.low, p.high)).collect()),
    });
    let more = configurations.len() - shown.len();
    let seeds = shown
        .iter()
        .any(|c| c.runs.len() > 1)
        .then(|| "lines: means over seeds, bands: lowest to highest value".to_owned());
    let more = (more > 0).then(|| format!("{more} more configurations are not shown"));
    let better = match direction(metric) {
        Direction::Lower => ", lower is better".to_owned(),
        Direction::Higher => ", higher is better".to_owned(),
        Direction::Target(target) => format!(", best at {}", short(target)),
        Direction::Neither => String::new(),
    };
    Some(Curves {
        title: title.to_owned(),
        caption: seeds.into_iter().chain(more).collect::<Vec<_>>().join("; "),
        x_label: "step".to_owned(),
        y_label: metric.to_owned() + &better,
        series: series.collect(),
        range,
        log: false,
    })
}

/// Writes every metric and scalar as SVG and PNG into a folder, and returns the files.
///
/// # Errors
/// If the disk refuses.
pub fn write(
    folder: &Path,
    title: &str,
    configurations: &[Configuration<'_>],
    labels: &[String],
) -> Result<Vec<PathBuf>, FileError> {
    let mut written = Vec::new();
    for metric in names(configurations).into_iter().flatten() {
        let Some(view) = plot(title, &metric, configurations, labels) else { continue };
        let name: String = metric.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        for (ending, bytes) in
            [("svg", picture::svg(&view).into_bytes()), ("png", picture::encode_png(&picture::curves(&view)))]
        {
            let path = folder.join(format!("{name}.{ending}"));
            file::write_atomic(&path, &bytes)?;
            written.push(path);
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Runs, Sketch};
    use super::super::group::configurations;
    use super::super::load::load;
    use super::*;

    #[test]
    fn a_run_that_grows_without_bound_does_not_hide_the_others() {
        let point = |v| Point { step: 0.0, mean: v, low: v, high: v };
        let mut values: Vec<Point> = (0..400).map(f64::from).map(point).collect();
        values.extend([1e30, -1e30].map(point));
        let (low, high) = range(&[values]);
        assert!(low > -50.0 && high < 450.0, "{low} {high}");
    }

    #[test]
    fn plots_are_written_as_svg_and_png_with_means_and_bands() {
        let runs = Runs::new();
        for seed in 0..2 {
            let values = [3.0 + seed as f64, 2.0, 1.0];
            runs.add(Sketch { settings: "x = 1", seed, evals: &[("a/b", &values)], ..Sketch::default() });
        }
        let loaded = load(&[runs.path().to_owned()]).expect("there are runs");
        let configurations = configurations(&loaded);
        let curve = &curves("a/b", &configurations).expect("three steps")[0];
        assert_eq!(curve[0], Point { step: 10.0, mean: 3.5, low: 3.0, high: 4.0 });
        let folder = runs.path().join("plots");
        let written = write(&folder, "toy", &configurations, &[String::new()]).expect("writes");
        let names: Vec<String> =
            written.iter().map(|p| p.strip_prefix(&folder).expect("lies in it").display().to_string()).collect();
        assert_eq!(names, ["a-b.svg", "a-b.png", "d-loss.svg", "d-loss.png", "g-loss.svg", "g-loss.png"]);
        let text = std::fs::read_to_string(&written[0]).expect("is text");
        assert!(text.starts_with("<svg") && text.contains("<polygon") && text.contains(">a/b</text>"), "{text}");
        image::load_from_memory(&std::fs::read(&written[1]).expect("is there")).expect("is a picture");
    }
}
