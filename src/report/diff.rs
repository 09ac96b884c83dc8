//! Two runs, two experiments or two TOML files: which settings differ, and which results.

use super::compare::better_word;
use super::curves;
use super::group::{Configuration, configurations, metric_names, protocol};
use super::load::{LoadError, Run, distinct, load, lookup, read_toml, settings as settings_of, text, varying};
use super::stats::{Summary, difference};
use super::{FORMAT, text_table};
use crate::base::digits::{short, short_interval};
use crate::base::file::FileError;
use crate::eval::direction;
use crate::experiment::{Cell, Plan, REMARKS};
use crate::picture::{self, Curves, PictureError};
use crate::record::State;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// One of the two.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its name.
    pub label: String,
    /// Its configurations: one for a run, one per cell for an experiment.
    pub settings: Vec<toml::Table>,
    /// The document as written, if there is one: settings that it does not have are defaults.
    pub written: Option<toml::Table>,
    /// Whether `settings` is the document as written, because it does not resolve.
    pub raw: bool,
    /// Its runs.
    pub runs: Vec<Run>,
    /// Its seeds, in order.
    pub seeds: BTreeSet<u64>,
    /// What a reader must know about how it was read.
    pub notes: Vec<String>,
}

impl Side {
    /// A run directory, an experiment's folder or a TOML file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_file() {
            return Self::read_file(path, name(path));
        }
        let runs = load(&[path.to_owned()])?;
        let settings = configurations(&runs).iter().map(|c| c.settings.clone()).collect();
        let absolute = path.canonicalize().map_err(FileError::at("cannot find", path))?;
        let label = match (&runs[..], absolute.parent()) {
            ([run], Some(above)) if run.path == absolute => format!("{}/{}", name(above), run.name),
            _ => name(&absolute),
        };
        let written = read_toml(&path.join("experiment.toml")).ok();
        let seeds = runs.iter().filter_map(|r| r.seed).collect();
        Ok(Self { label, settings, written, raw: false, runs, seeds, notes: Vec::new() })
    }

    fn read_file(path: &Path, label: String) -> Result<Self, LoadError> {
        let runs = Vec::new();
        let parse = |text: &str| toml::from_str::<toml::Table>(text).expect("a plan writes TOML");
        match Plan::load(&[path.to_owned()], &[], None) {
            Ok(plans) => {
                let plan = plans.into_iter().next().expect("a file is a plan");
                let seeds = plan.cells.iter().map(|cell| cell.experiment.seed).collect();
                let mut points: Vec<&Cell> = plan.cells.iter().collect();
                // Seeds vary fastest, so that the cells of a point are adjacent.
                points.dedup_by(|a, b| a.varies == b.varies);
                let settings = points.into_iter().map(|cell| settings_of(parse(&cell.document())).0).collect();
                let written = Some(parse(&plan.document_text));
                Ok(Self { label, settings, written, raw: false, runs, seeds, notes: Vec::new() })
            }
            Err(_) => {
                let document = read_toml(path)?;
                let notes = vec![format!(
                    "{label} is not a valid experiment (`gantlet check` lists the errors), so it is compared as written"
                )];
                let settings = vec![settings_of(document.clone()).0];
                Ok(Self { label, settings, written: Some(document), raw: true, runs, seeds: BTreeSet::new(), notes })
            }
        }
    }

    /// The values of a setting, each once.
    fn values(&self, key: &str) -> Vec<String> {
        let values: BTreeSet<String> = self.settings.iter().filter_map(|s| lookup(s, key)).map(text).collect();
        values.into_iter().collect()
    }

    /// Whether the document does not have a setting, so that its value is a default.
    fn silent(&self, key: &str) -> bool {
        self.written.as_ref().is_some_and(|document| {
            let gridded = document.get("grid").is_some_and(|grid| names(grid, key));
            lookup(document, key).is_none() && !gridded
        })
    }
}

/// Whether a grid sets a key, or something above or below it.
fn names(grid: &toml::Value, key: &str) -> bool {
    match grid {
        toml::Value::Array(items) => items.iter().any(|item| names(item, key)),
        toml::Value::Table(table) => table.iter().any(|(name, inner)| {
            let (long, short) = if name.len() > key.len() { (name.as_str(), key) } else { (key, name.as_str()) };
            long == short || long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.')) || names(inner, key)
        }),
        _ => false,
    }
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// The version of this format.
    pub version: u32,
    /// The names of both sides.
    pub sides: [String; 2],
    /// Settings that differ.
    pub settings: Vec<Setting>,
    /// Last values, side by side.
    pub results: Vec<MetricDifference>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The dotted key.
    pub key: String,
    /// The values on each side: several where the side's grid has several, none where it has no such setting.
    pub values: [Vec<String>; 2],
    /// Whether each side is silent about it, so that its value is a default.
    pub default: [bool; 2],
}

/// The last values of a metric on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricDifference {
    /// The settings that distinguish the configuration, if a side has several.
    pub configuration: String,
    /// The metric.
    pub metric: String,
    /// Over finished runs; `None` if a side has none.
    pub sides: [Option<Summary>; 2],
    /// The second mean less the first.
    pub difference: Option<f64>,
    /// Its 95 % interval (Welch's).
    pub interval: Option<[f64; 2]>,
    /// In words: whether the second is better, worse, or not significantly different.
    pub verdict: String,
}

/// Compares two sides.
pub fn diff(a: &Side, b: &Side) -> Diff {
    if a.raw != b.raw
        && let (Some(first), Some(second)) = (&a.written, &b.written)
    {
        // A resolved document and one as written would differ in every default.
        let raw = |side: &Side, written: &toml::Table| Side {
            settings: vec![settings_of(written.clone()).0],
            raw: true,
            ..side.clone()
        };
        return diff(&raw(a, first), &raw(b, second));
    }
    let faults = a.runs.iter().chain(&b.runs).flat_map(|r| &r.faults);
    let mut notes: Vec<String> = a.notes.iter().chain(&b.notes).chain(faults).cloned().collect();
    Diff {
        version: FORMAT,
        sides: [a.label.clone(), b.label.clone()],
        settings: settings(a, b),
        results: results(a, b, &mut notes),
        notes,
    }
}

fn settings(a: &Side, b: &Side) -> Vec<Setting> {
    let all: Vec<&toml::Table> = a.settings.iter().chain(&b.settings).collect();
    let setting = |key: String| Setting {
        values: [a.values(&key), b.values(&key)],
        default: [a.silent(&key), b.silent(&key)],
        key,
    };
    let mut found: Vec<Setting> = varying(&all)
        .into_iter()
        .filter(|v| !REMARKS.contains(&v.key.as_str()))
        .map(|v| setting(v.key))
        .filter(|s| s.values[0] != s.values[1])
        .collect();
    if a.seeds != b.seeds && !a.seeds.is_empty() && !b.seeds.is_empty() {
        let values = [&a.seeds, &b.seeds].map(|seeds| vec![seeds_text(seeds)]);
        found.push(Setting { key: "seed".to_owned(), values, default: [false; 2] });
    }
    found
}

/// Seeds in words: `0, 4, 7`, or `0 to 15`.
fn seeds_text(seeds: &BTreeSet<u64>) -> String {
    match (seeds.first(), seeds.last()) {
        (Some(first), Some(last)) if seeds.len() > 2 && last - first == seeds.len() as u64 - 1 => {
            format!("{first} to {last}")
        }
        _ => seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Compares the configurations of both sides that agree in what varies within a side.
fn results(a: &Side, b: &Side, notes: &mut Vec<String>) -> Vec<MetricDifference> {
    let (first, second) = (configurations(&a.runs), configurations(&b.runs));
    let within: BTreeSet<String> = [&first, &second]
        .into_iter()
        .flat_map(|side| super::group::differences(side))
        .map(|v| v.key)
        .filter(|key| key != "name")
        .collect();
    let label = |c: &Configuration<'_>| -> Vec<Option<String>> { within.iter().map(|key| c.value(key)).collect() };
    let mut labels: Vec<Vec<Option<String>>> = Vec::new();
    for c in first.iter().chain(&second) {
        if !labels.contains(&label(c)) {
            labels.push(label(c));
        }
    }
    let metrics: Vec<String> = metric_names(a.runs.iter().chain(&b.runs))
        .into_iter()
        .filter(|metric| match protocol(metric, a.runs.iter().chain(&b.runs)) {
            Ok(_) => true,
            Err(reason) => {
                notes.push(reason);
                false
            }
        })
        .collect();
    let mut out = Vec::new();
    for wanted in &labels {
        let of = |side: &[Configuration<'_>], metric: &str| {
            let runs = side.iter().filter(|c| label(c) == *wanted).flat_map(|c| c.runs.iter());
            let done = runs.filter(|r| r.state == Some(State::Done));
            let numbers: Option<Vec<f64>> = done.map(|r| r.last(metric).map(|(_, v)| v)).collect();
            numbers.and_then(|numbers| Summary::of(&numbers))
        };
        let named = within.iter().zip(wanted).filter_map(|(key, v)| v.as_ref().map(|v| format!("{key} = {v}")));
        let configuration = named.collect::<Vec<_>>().join(", ");
        for metric in &metrics {
            let sides = [of(&first, metric), of(&second, metric)];
            out.push(metric_difference(configuration.clone(), metric, sides));
        }
    }
    out
}

fn metric_difference(configuration: String, metric: &str, sides: [Option<Summary>; 2]) -> MetricDifference {
    let gap = match &sides {
        [Some(a), Some(b)] => Some(difference(b, a, 1.0)),
        _ => None,
    };
    let interval = gap.and_then(|gap| gap.doubt).map(|(interval, _)| interval);
    let word = |up: bool| better_word(direction(metric), up);
    let verdict = match (gap, interval) {
        (None, _) => "",
        (Some(gap), None) if gap.mean == 0.0 => "equal",
        (Some(gap), None) => word(gap.mean > 0.0),
        (_, Some([low, high])) if low == 0.0 && high == 0.0 => "equal",
        (_, Some([low, _])) if low > 0.0 => word(true),
        (_, Some([_, high])) if high < 0.0 => word(false),
        _ => "not significant",
    };
    MetricDifference {
        configuration,
        metric: metric.to_owned(),
        sides,
        difference: gap.map(|gap| gap.mean),
        interval,
        verdict: verdict.to_owned(),
    }
}

impl Diff {
    /// For a reader, in lines of at most this width.
    pub fn text(&self, width: u16) -> String {
        let [a, b] = own_names(self.sides.each_ref());
        let mut out = String::new();
        if self.settings.is_empty() {
            out += "no setting differs\n";
        } else {
            let value = |s: &Setting, side: usize| match (&s.values[side][..], s.default[side]) {
                ([], true) => "(default)".to_owned(),
                ([], false) => "-".to_owned(),
                (values, silent) => values.join(" | ") + if silent { " (default)" } else { "" },
            };
            let row = |s: &Setting| {
                let cut = distinct(&[value(s, 0), value(s, 1)]);
                [s.key.clone()].into_iter().chain(cut).collect()
            };
            let header = ["setting", a, b].map(str::to_owned);
            out += &text_table(&header, &self.settings.iter().map(row).collect::<Vec<Vec<String>>>(), width);
        }
        if !self.results.is_empty() {
            let summary = |s: &Option<Summary>| {
                s.map_or_else(
                    || "-".to_owned(),
                    |s| {
                        let interval = s.interval.map(|i| format!("\n{}", short_interval(i))).unwrap_or_default();
                        format!("{} (n = {}){interval}", short(s.mean), s.n)
                    },
                )
            };
            let mut header = ["metric", a, b, "difference", ""].map(str::to_owned).to_vec();
            let several = self.results.iter().any(|r| !r.configuration.is_empty());
            if several {
                header.insert(0, "configuration".to_owned());
            }
            let row = |r: &MetricDifference| {
                let gap = r.difference.map(|d| {
                    let interval = r.interval.map(|i| format!("\n{}", short_interval(i))).unwrap_or_default();
                    format!("{}{interval}", short(d))
                });
                let head =
                    if several { vec![r.configuration.clone(), r.metric.clone()] } else { vec![r.metric.clone()] };
                let rest = [summary(&r.sides[0]), summary(&r.sides[1]), gap.unwrap_or_default(), r.verdict.clone()];
                head.into_iter().chain(rest).collect()
            };
            out += "\n";
            out += &text_table(&header, &self.results.iter().map(row).collect::<Vec<Vec<String>>>(), width);
        }
        out + &self.notes.iter().map(|note| format!("note: {note}\n")).collect::<String>()
    }

    /// For programs.
    pub fn json(&self) -> String {
        super::json(self)
    }
}

/// Two runs whose samples can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The runs.
    pub runs: [&'a Run; 2],
    /// Whether they have the same seed, so that their samples are from the same latents.
    pub same_seed: bool,
}

/// The runs of both sides to show: those of the same seed if there are any, else the first; `None` if a side has no
/// pictures.
pub fn pair<'a>(a: &'a Side, b: &'a Side) -> Option<Pair<'a>> {
    let drawn = |side: &'a Side| side.runs.iter().filter(|run| run.picture().is_some()).collect::<Vec<&Run>>();
    let (first, second) = (drawn(a), drawn(b));
    let same =
        first.iter().find_map(|x| second.iter().find(|y| y.seed == x.seed && x.seed.is_some()).map(|y| [*x, *y]));
    let any = || Some([*first.first()?, *second.first()?]);
    same.map(|runs| Pair { runs, same_seed: true }).or_else(|| any().map(|runs| Pair { runs, same_seed: false }))
}

/// Two pictures as one PNG, the first on the left.
///
/// # Errors
/// If one of them does not decode.
pub fn beside(paths: [&Path; 2], headings: [&str; 2]) -> Result<Vec<u8>, PictureError> {
    let open = |path: &Path| {
        image::load_from_memory(&crate::base::file::read(path)?)
            .map(|picture| picture.to_rgb8())
            .map_err(|source| PictureError::Image { path: path.to_owned(), source })
    };
    let both = picture::beside(&open(paths[0])?, &open(paths[1])?, (headings[0], headings[1]));
    Ok(picture::encode_png(&both))
}

/// Short names for two sides: without the experiment if both are runs of the same one.
fn own_names<'a>(labels: [&'a String; 2]) -> [&'a str; 2] {
    let folder = |label: &'a str| label.split_once('/').map(|(folder, _)| folder);
    let same = folder(labels[0]) == folder(labels[1]);
    labels.map(|label| match label.split_once('/') {
        Some((_, run)) if same => run,
        _ => label.as_str(),
    })
}

/// One plot per metric, with one curve per configuration of each side; scalars of training if there is no metric. Empty if
/// no curve has two points.
pub fn plots(a: &Side, b: &Side) -> Vec<Curves> {
    let sides = [a, b].map(|side| configurations(&side.runs));
    let mut all = Vec::new();
    let mut labels = Vec::new();
    for (name, of) in own_names([&a.label, &b.label]).into_iter().zip(&sides) {
        for (configuration, label) in of.iter().zip(super::verify::labels(of)) {
            all.push(configuration.clone());
            labels.push(if label.is_empty() { name.to_owned() } else { format!("{name}: {label}") });
        }
    }
    let [metrics, scalars] = curves::names(&all);
    let draw = |names: Vec<String>| names.iter().filter_map(|name| curves::plot(name, name, &all, &labels)).collect();
    let plots: Vec<Curves> = draw(metrics);
    if plots.is_empty() { draw(scalars) } else { plots }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{EXPERIMENT, Runs, Sketch};
    use super::*;

    #[test]
    fn two_experiments_differ_in_settings_and_results() {
        let runs = Runs::new();
        for (experiment, lr, offset) in [("one", 0.1, 0.0), ("two", 0.2, 5.0)] {
            for loss in ["hinge", "vanilla"] {
                let settings = format!("loss.adversarial = '{loss}'\noptimizer.lr = {lr}\nsame = 1");
                for (seed, value) in (0..).zip([1.0, 2.0, 3.0]) {
                    let evals: &[(&str, &[f64])] = &[("w1", &[value + offset]), ("mean", &[value])];
                    runs.add(Sketch { experiment, settings: &settings, seed, evals, ..Sketch::default() });
                }
            }
        }
        runs.write("one/experiment.toml", "name = 'one'\nsame = 1\n[grid]\n'loss.adversarial' = ['hinge', 'vanilla']");
        let side = |name: &str| Side::read(&runs.path().join(name)).expect("reads");
        let diff = diff(&side("one"), &side("two"));
        assert_eq!(diff.settings.len(), 1, "{:?}", diff.settings);
        assert_eq!((diff.settings[0].key.as_str(), diff.settings[0].default), ("optimizer.lr", [true, false]));
        insta::assert_snapshot!(diff.text(100));
    }

    #[test]
    fn two_files_differ_where_one_is_silent() {
        let runs = Runs::new();
        runs.write("a.toml", EXPERIMENT);
        let other = EXPERIMENT
            .replace("seeds = 3", "seeds = [7]")
            .replace("generator = \"adam\"", "generator = { adam = { lr = 0.01 } }")
            .replace("discriminator = \"adam\"", "discriminator = { sgd = { lr = 0.1 } }")
            .replace("batch = 8", "batch = 8, generator-steps = 2");
        runs.write("b.toml", other + "[grid]\n\"loss.adversarial\" = [\"hinge\", \"vanilla\"]\n");
        let side = |name: &str| Side::read(&runs.path().join(name)).expect("reads");
        insta::assert_snapshot!(diff(&side("a.toml"), &side("b.toml")).text(100));
        assert_eq!(diff(&side("a.toml"), &side("a.toml")).text(100), "no setting differs\n");
    }

    #[test]
    fn a_file_that_is_no_experiment_is_compared_as_written() {
        let runs = Runs::new();
        runs.write("a.toml", "name = 'a'\n[schedule]\nsteps = 5\n[optimizer.generator.adam]\nlr = 1e-3");
        runs.write("b.toml", "name = 'b'\n[schedule]\nsteps = 5\nbatch = 4\n[optimizer.generator.sgd]\nlr = 0.1");
        let side = |name: &str| Side::read(&runs.path().join(name)).expect("reads");
        insta::assert_snapshot!(diff(&side("a.toml"), &side("b.toml")).text(100));
        runs.write("c.toml", EXPERIMENT);
        let keys = |d: Diff| d.settings.into_iter().map(|s| s.key).collect::<Vec<_>>();
        let found = keys(diff(&side("a.toml"), &side("c.toml")));
        assert!(!found.iter().any(|key| key == "output"), "no default is told beside a file as written: {found:?}");
    }

    #[test]
    fn two_runs_show_their_seeds_and_pictures_side_by_side() {
        let runs = Runs::new();
        let png = |width, height| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            image::RgbImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).expect("encodes");
            bytes.into_inner()
        };
        let add = |seed| runs.add(Sketch { settings: "x = 1", seed, evals: &[("w1", &[1.0])], ..Sketch::default() });
        let (a, b) = (add(3), add(4));
        let side = |path: &Path| Side::read(path).expect("reads");
        assert!(pair(&side(&a), &side(&b)).is_none(), "without pictures there is none");
        let name = |path: &Path| path.strip_prefix(runs.path()).expect("lies below").display().to_string();
        runs.write(&format!("{}/samples/9.png", name(&a)), png(2, 2));
        runs.write(&format!("{}/samples/10.png", name(&a)), png(10, 5));
        runs.write(&format!("{}/samples/real.png", name(&a)), png(1, 1));
        runs.write(&format!("{}/samples/10.png", name(&b)), png(20, 8));
        let sides = (side(&a), side(&b));
        let found = pair(&sides.0, &sides.1).expect("both have one");
        assert!(!found.same_seed, "seeds 3 and 4 draw from other latents");
        assert!(pair(&sides.0, &sides.0).expect("both have one").same_seed);
        let paths = found.runs.map(|run| run.picture().expect("both have one"));
        let both = beside([&paths[0], &paths[1]], ["a", "b"]).expect("reads");
        let both = image::load_from_memory(&both).expect("is a picture");
        assert!(both.width() >= 10 + 20 && both.height() >= 8, "the newest pictures are those of step 10");
        let diff = diff(&side(&a), &side(&b));
        assert_eq!(diff.settings[0].values, [["3"], ["4"]]);
        assert_eq!(diff.results[0].verdict, "equal");
    }
}
