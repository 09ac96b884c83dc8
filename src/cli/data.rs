//! `data`: the known sets.

use super::args::DataCommand;
use super::ask::known_ending;
use super::{Exit, FORMAT, Failure, data_roots, print, print_json, say};
use crate::base::file;
use crate::data::catalog::{self, Found, Presence};
use crate::data::{DataRoots, DataSpec};
use crate::experiment::Plan;
use crate::picture::{self, View};
use crate::ui::{table, words};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `gantlet data …`.
pub(super) fn data(command: &DataCommand) -> Result<Exit, Failure> {
    let roots = data_roots();
    match command {
        DataCommand::Ls { json } => ls(&roots, *json),
        DataCommand::Get { name, from, into } => get(name, &roots, from.as_deref(), into.as_deref()),
        DataCommand::Check { names } => check(names, &roots),
        DataCommand::Preview { name, n, out } => preview(name, roots, *n, out.as_deref()),
    }
}

fn ls(roots: &DataRoots, as_json: bool) -> Result<Exit, Failure> {
    let sets = catalog::list(roots);
    if as_json {
        let sets: Vec<Value> = sets
            .iter()
            .map(|set| {
                let (here, path) = match &set.present {
                    Presence::Absent => ("absent", None),
                    Presence::Present(path) => ("present", Some(path)),
                    Presence::Partial(path) => ("partial", Some(path)),
                };
                json!({
                    "name": set.name,
                    "about": set.about,
                    "license": set.license,
                    "bytes": set.bytes,
                    "present": here,
                    "path": path,
                })
            })
            .collect();
        print_json(&json!({ "version": FORMAT, "sets": sets }))?;
        return Ok(Exit::Well);
    }
    let rows: Vec<Vec<String>> = sets
        .iter()
        .map(|set| {
            let here = match &set.present {
                Presence::Absent => "–".to_owned(),
                Presence::Present(path) => path.display().to_string(),
                Presence::Partial(path) => format!("{} (incomplete)", path.display()),
            };
            vec![set.name.clone(), words::bytes(set.bytes), here, set.about.clone()]
        })
        .collect();
    print(&table::text(&["set", "size", "where", "about"], &rows))?;
    Ok(Exit::Well)
}

fn get(name: &str, roots: &DataRoots, from: Option<&str>, into: Option<&Path>) -> Result<Exit, Failure> {
    // The first root is what GANTLET_DATA names first, or `data` here.
    let first = || roots.folders.first().cloned().unwrap_or_else(|| PathBuf::from("data"));
    let into = into.map_or_else(first, Path::to_owned);
    let style = ProgressStyle::with_template("{bar:24.green/dim} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}")
        .expect("the template is well-formed")
        .progress_chars("━━─");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    let got = catalog::get(name, roots, from, &into, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    print(&format!("{name} is in {}\n", got?.display()))?;
    Ok(Exit::Well)
}

fn check(names: &[String], roots: &DataRoots) -> Result<Exit, Failure> {
    let here = || {
        let present = catalog::list(roots).into_iter().filter(|set| set.present != Presence::Absent);
        present.map(|set| set.name).collect::<Vec<_>>()
    };
    let names = if names.is_empty() { here() } else { names.to_vec() };
    if names.is_empty() {
        say("no known set is here; `gantlet data ls` lists them");
    }
    let mut bad = 0;
    for name in &names {
        for part in catalog::check(name, roots)? {
            bad += usize::from(part.found != Found::Good);
            print(&format!("{name}: {} {}\n", part.path, part.found))?;
        }
    }
    if bad > 0 {
        return Err(Failure::new(Exit::Data, format!("{} not what the descriptions say", words::plural(bad, "file")))
            .help("`gantlet data get NAME` fetches what is missing or wrong"));
    }
    Ok(Exit::Well)
}

/// The source that is to be looked at, and where its files are: that of an experiment, or what a bare name means.
fn source_of(name: &str, roots: DataRoots) -> Result<(DataSpec, DataRoots), Failure> {
    let file = Path::new(name);
    if file.extension().is_none_or(|ending| ending != "toml") {
        return Ok((catalog::named(name, &roots)?, roots));
    }
    let plans = Plan::load(&[file.to_owned()], &[], None)?;
    let cell = plans.iter().flat_map(|plan| &plan.cells).next();
    let cell = cell.ok_or_else(|| Failure::new(Exit::Experiment, format!("{name} has no cell whose data to show")))?;
    Ok((cell.experiment.data.clone(), data_roots().beside(file, &cell.experiment.data_folders)))
}

fn preview(name: &str, roots: DataRoots, n: Option<u64>, out: Option<&Path>) -> Result<Exit, Failure> {
    if let Some(out) = out {
        known_ending(out, &["png", "csv"])?;
    }
    let (spec, roots) = source_of(name, roots)?;
    let info = spec.info(&roots)?;
    let usual = if info.is_image() || info.is_text() { 64 } else { picture::POINTS };
    let n = n.map_or(usual, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let (info, examples) = catalog::preview(&spec, &roots, n)?;
    let mut facts = vec![
        ("examples", info.len.map_or_else(|| "drawn on the fly".to_owned(), words::count)),
        ("shape", table::shape(&info.shape)),
    ];
    if let Some((low, high)) = info.range {
        facts.push(("range", format!("{low} to {high}")));
    }
    if info.classes > 0 {
        let names =
            if info.class_names.is_empty() { String::new() } else { format!(": {}", info.class_names.join(", ")) };
        facts.push(("classes", format!("{}{names}", info.classes)));
    }
    if info.is_text() {
        let symbols: String = info.symbols.iter().flat_map(|symbol| symbol.escape_debug()).collect();
        facts.push(("symbols", format!("{}: {symbols}", info.symbols.len())));
    }
    let values = &examples.x.data;
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let std = (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count).sqrt();
    let shown = words::plural(examples.x.rows(), "example");
    facts.push(("values", format!("mean {}, deviation {} (of {shown})", words::number(mean), words::number(std))));
    print(&format!("{name}\n\n{}", table::pairs(&facts)))?;
    if let Some(out) = out {
        let bytes = if out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            let title = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
            picture::encode_png(&View::new(&info, &examples.x).examples(&examples.x, 0, &title))
        } else {
            examples.csv().into_bytes()
        };
        file::write_atomic(out, &bytes)?;
        say(&format!("wrote {}", out.display()));
    }
    Ok(Exit::Well)
}
