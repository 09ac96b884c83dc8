//! The experiments whose claims are judged: their claims and runs, read from folders and TOML files.

use super::super::load::{LoadError, Run, load, read_toml};
use crate::experiment::{Cell, Claim, Plan};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An experiment whose claims are judged.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub experiment: String,
    /// Its claims.
    pub claims: Vec<Claim>,
    /// Its runs, including those that have not started.
    pub runs: Vec<Run>,
    /// What a reader must know about how they were found.
    pub notes: Vec<String>,
}

/// What cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing to read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A document whose claims do not parse.
    #[error("cannot read the claims of {}: {message}", path.display())]
    Claims {
        /// The document.
        path: PathBuf,
        /// What was wrong.
        message: String,
    },
    /// A folder without an experiment.
    #[error("{} has no experiment: give an experiment's folder or TOML file, or a folder of them", .0.display())]
    NoExperiment(PathBuf),
}

/// Reads claims and runs of experiments: each path is an experiment's folder, a TOML file whose runs are in `out/<name>`,
/// or a folder of either. Only the runs of the document's cells count; a note names how many others were ignored. Also
/// returns which TOML files of a folder were skipped.
///
/// # Errors
/// If a path has no claims to read.
pub fn subjects(paths: &[PathBuf], out: &Path) -> Result<(Vec<Subject>, Vec<String>), VerifyError> {
    let (mut subjects, mut notes) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.exists() {
            return Err(LoadError::Missing(path.clone()).into());
        }
        if path.is_file() || path.join(DOCUMENT).is_file() {
            subjects.push(subject(path, out)?);
            continue;
        }
        let (experiments, files) = within(path);
        let before = subjects.len();
        for experiment in &experiments {
            subjects.push(subject(experiment, out)?);
        }
        // Files that experiments extend are in the same folders and need not be complete.
        for file in files.iter().filter(|_| experiments.is_empty()) {
            match subject(file, out) {
                Ok(found) => subjects.push(found),
                Err(VerifyError::Claims { path, .. }) => notes.push(format!(
                    "skipped {}: not a complete experiment (`gantlet check` lists what is missing)",
                    path.display()
                )),
                Err(other) => return Err(other),
            }
        }
        if subjects.len() == before {
            return Err(VerifyError::NoExperiment(path.clone()));
        }
    }
    Ok((subjects, notes))
}

/// The document in an experiment's folder.
const DOCUMENT: &str = "experiment.toml";

/// The experiments' folders and the TOML files below a folder, in order. Folders of runs are not searched.
fn within(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut experiments, mut files) = (Vec::new(), Vec::new());
    let mut walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        if entry.file_type().is_dir() {
            if path.join(DOCUMENT).is_file() {
                experiments.push(path.to_owned());
                walk.skip_current_dir();
            } else if path.join("run.json").is_file() {
                walk.skip_current_dir();
            }
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path.to_owned());
        }
    }
    (experiments, files)
}

fn subject(path: &Path, out: &Path) -> Result<Subject, VerifyError> {
    let file = if path.is_dir() { path.join(DOCUMENT) } else { path.to_owned() };
    let runs_in = |folder: &Path| if folder.is_dir() { load(&[folder.to_owned()]) } else { Ok(Vec::new()) };
    let found = |folder: &Path| match runs_in(folder) {
        Err(LoadError::NoRuns(_)) => Ok(Vec::new()),
        other => other,
    };
    match Plan::load(std::slice::from_ref(&file), &[], None) {
        Ok(plans) => {
            let plan = plans.into_iter().next().expect("a file is a plan");
            let folder = if path.is_dir() { path.to_owned() } else { out.join(&plan.name) };
            let (runs, notes) = runs_of(&plan, found(&folder)?, &folder);
            Ok(Subject { experiment: plan.name, claims: plan.claims, runs, notes })
        }
        Err(diagnostics) if path.is_file() => Err(VerifyError::Claims { path: file, message: diagnostics.to_string() }),
        // A folder of another version: its claims and all of its runs.
        Err(_) => {
            let document = read_toml(&file)?;
            let claims = claims(&document).map_err(|message| VerifyError::Claims { path: file, message })?;
            let experiment = document.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
            let note = "this version cannot load experiment.toml, so all runs in the folder count";
            Ok(Subject { experiment, claims, runs: found(path)?, notes: vec![note.to_owned()] })
        }
    }
}

/// The runs of a plan, started or not, and a note about other runs in the folder.
fn runs_of(plan: &Plan, found: Vec<Run>, folder: &Path) -> (Vec<Run>, Vec<String>) {
    let mut by_name: BTreeMap<String, Run> = found.into_iter().map(|run| (run.name.clone(), run)).collect();
    let take = |cell: &Cell| by_name.remove(&cell.run).unwrap_or_else(|| Run::not_begun(cell, folder));
    let runs = plan.cells.iter().map(take).collect();
    let others = match by_name.len() {
        0 => Vec::new(),
        1 => vec![format!("ignored 1 run in {} that is not part of the experiment", folder.display())],
        n => vec![format!("ignored {n} runs in {} that are not part of the experiment", folder.display())],
    };
    (runs, others)
}

/// The claims of a document.
pub(super) fn claims(document: &toml::Table) -> Result<Vec<Claim>, String> {
    let Some(claims) = document.get("claims") else { return Ok(Vec::new()) };
    claims.clone().try_into().map_err(|e: toml::de::Error| e.message().to_owned())
}
