//! `diff`, `compare`, `verify` and `report`: reports about several runs.

use super::args::{CompareArgs, DiffArgs, ReportArgs, VerifyArgs};
use super::{Exit, Failure, ask, print, say, width};
use crate::base::file;
use crate::picture;
use crate::report::compare::{self, CompareError};
use crate::report::curves;
use crate::report::diff::{self, Pair, Side};
use crate::report::group::configurations;
use crate::report::load::{LoadError, Run, load};
use crate::report::page;
use crate::report::verify::{self, VerifyError};
use crate::ui::words;

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let exit = match &error {
            LoadError::NoRuns(_) | LoadError::Missing(_) => Exit::Usage,
            LoadError::Toml { .. } => Exit::Experiment,
            LoadError::File(_) | LoadError::Record(_) => Exit::Unexpected,
        };
        Self::new(exit, error)
    }
}

/// `gantlet diff`.
pub(super) fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let (a, b) = (Side::read(&args.a)?, Side::read(&args.b)?);
    let found = diff::diff(&a, &b);
    print(&if args.json { found.json() } else { found.text(width()) })?;
    if let Some(path) = &args.picture {
        let Some(pair) = diff::pair(&a, &b) else {
            return Err(Failure::new(Exit::Usage, "both sides need sample pictures, and one has none"));
        };
        file::write_atomic(path, &samples(&pair)?)?;
        say(&format!("wrote {}", path.display()));
    }
    if let Some(path) = &args.curves {
        let plots = diff::plots(&a, &b);
        if plots.is_empty() {
            return Err(Failure::new(Exit::Usage, "there are no curves: no metric or scalar has values at two steps"));
        }
        let pictures: Vec<_> = plots.iter().map(picture::curves).collect();
        let all = picture::tiles(&pictures, if pictures.len() > 1 { 2 } else { 1 });
        file::write_atomic(path, &picture::encode_png(&all))?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Well)
}

/// The samples of two runs from the same latents: those of the runs if their seeds are equal, else new ones.
fn samples(pair: &Pair<'_>) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::new(Exit::Data, error);
    let [left, right] = pair.runs;
    let heading = |run: &Run| format!("{}/{}", run.experiment, run.name);
    let headings = [heading(left), heading(right)];
    let headings = [headings[0].as_str(), headings[1].as_str()];
    if pair.same_seed {
        let paths = [left, right].map(|run| run.picture().expect("a pair has pictures"));
        return diff::beside([&paths[0], &paths[1]], headings).map_err(failed);
    }
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot make a folder for pictures: {error}")))?;
    let paths = [folder.path().join("a.png"), folder.path().join("b.png")];
    for (run, path) in [left, right].into_iter().zip(&paths) {
        ask::draw(&run.path, path)?;
    }
    diff::beside([&paths[0], &paths[1]], headings).map_err(failed)
}

/// `gantlet compare`.
pub(super) fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let runs = load(&args.dirs)?;
    let options = compare::Options {
        by: args.by.clone(),
        metrics: args.metric.clone(),
        against: args.against.clone(),
        sort: args.sort.clone(),
    };
    let table = compare::compare(&runs, &options).map_err(|error| {
        let exit = match &error {
            CompareError::Protocol(_) => Exit::Data,
            CompareError::UnknownMetric { .. }
            | CompareError::UnknownKey { .. }
            | CompareError::Against(_)
            | CompareError::Unsorted(_) => Exit::Usage,
        };
        Failure::new(exit, error)
    })?;
    print(&match (args.json, args.csv, args.md) {
        (true, ..) => table.json(),
        (_, true, _) => table.csv(),
        (_, _, true) => table.markdown(),
        _ => table.text(width()),
    })?;
    Ok(Exit::Well)
}

/// `gantlet verify`.
pub(super) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let (subjects, notes) = verify::subjects(&args.paths, &args.out.out).map_err(|error| match error {
        VerifyError::Load(inner) => inner.into(),
        other @ VerifyError::Claims { .. } => Failure::new(Exit::Experiment, other),
        other @ VerifyError::NoExperiment(_) => Failure::new(Exit::Usage, other),
    })?;
    let mut answers = verify::verify(&subjects);
    answers.notes = notes;
    print(&match (args.json, args.md) {
        (true, _) => answers.json(),
        (_, true) => answers.markdown(),
        _ => answers.text(width()),
    })?;
    Ok(if answers.all_hold() { Exit::Well } else { Exit::Claim })
}

/// `gantlet report`.
pub(super) fn page(args: &ReportArgs) -> Result<Exit, Failure> {
    if let Some(out) = &args.out {
        let page = page::page(&args.dir)?;
        file::write_atomic(out, page.as_bytes())?;
        print(&format!("{}: {}\n", out.display(), words::bytes(page.len() as u64)))?;
    }
    if let Some(folder) = &args.plots {
        let runs = load(std::slice::from_ref(&args.dir))?;
        let configurations = configurations(&runs);
        let title = runs.first().map(|run| run.experiment.clone()).unwrap_or_default();
        let written = curves::write(folder, &title, &configurations, &verify::labels(&configurations))?;
        print(&format!("{}: {} files\n", folder.display(), written.len()))?;
    }
    Ok(Exit::Well)
}
