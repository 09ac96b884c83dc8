//! `diff`, `compare`, `verify` and `report`: what runs say together.

use super::args::{CompareArgs, DiffArgs, ReportArgs, VerifyArgs};
use super::{Exit, Failure, print, say};
use crate::base::file;
use crate::report::compare::{self, CompareError};
use crate::report::diff::{self, Side};
use crate::report::load::{LoadError, load};
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
    print(&if args.json { found.json() } else { found.text() })?;
    if let Some(path) = &args.picture {
        let picture = diff::picture(&a, &b).map_err(|error| Failure::new(Exit::Data, error))?;
        match picture {
            Some(bytes) => file::write_atomic(path, &bytes)?,
            None => return Err(Failure::new(Exit::Usage, "there are no sample pictures on both sides")),
        }
        say(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Well)
}

/// `gantlet compare`.
pub(super) fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let runs = load(&args.dirs)?;
    let options = compare::Options { by: args.by.clone(), metrics: args.metric.clone() };
    let table = compare::compare(&runs, &options).map_err(|error| {
        let exit = match &error {
            CompareError::UnknownMetric { .. } | CompareError::UnknownKey { .. } => Exit::Usage,
            CompareError::Protocol(_) => Exit::Data,
        };
        Failure::new(exit, error)
    })?;
    print(&match (args.json, args.csv, args.md) {
        (true, ..) => table.json(),
        (_, true, _) => table.csv(),
        (_, _, true) => table.markdown(),
        _ => table.text(),
    })?;
    Ok(Exit::Well)
}

/// `gantlet verify`.
pub(super) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let subjects = verify::subjects(&args.paths, &args.out.out).map_err(|error| match error {
        VerifyError::Load(inner) => inner.into(),
        other @ VerifyError::Claims { .. } => Failure::new(Exit::Experiment, other),
        other @ VerifyError::NoExperiment(_) => Failure::new(Exit::Usage, other),
    })?;
    let answers = verify::verify(&subjects);
    print(&match (args.json, args.md) {
        (true, _) => answers.json(),
        (_, true) => answers.markdown(),
        _ => answers.text(),
    })?;
    Ok(if answers.all_hold() { Exit::Well } else { Exit::Claim })
}

/// `gantlet report`.
pub(super) fn page(args: &ReportArgs) -> Result<Exit, Failure> {
    let page = page::page(&args.dir)?;
    file::write_atomic(&args.out, page.as_bytes())?;
    print(&format!("{}: {}\n", args.out.display(), words::bytes(page.len() as u64)))?;
    Ok(Exit::Well)
}
