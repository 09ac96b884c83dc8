//! Says of each claim of an experiment whether its runs hold it.
//!
//! A claim is asked of every selected configuration on its own (seeds are put together, configurations never are) and
//! holds where it holds for each of them.
//!
//! - *Mean*: holds where the whole 95 % Student interval lies within the bounds, fails where all of it lies beyond one,
//!   and is undecided between. A single seed has no interval: its number decides, and the reason says so.
//! - *Every* and *share* count seeds. A diverged seed counts against them; a seed that has no result yet can still go
//!   either way, so such a claim may be decided before all runs are done.
//! - A *diverged* seed leaves a mean undecided: it has no number, and a mean over the rest would be a mean over those that
//!   went well. State such a claim over a share of the seeds.
//! - *Better than*: means by Welch's interval of the difference; seeds in pairs of equal seed. The other selection's
//!   configuration is the one that agrees in everything that neither selection names. Any number is better than none:
//!   against a diverged seed the other one wins.
//! - *Rises with* and *falls with*: within each seed, the rank correlation (Spearman's ρ) of the number with the axis; what
//!   is then put together over seeds is that correlation, held against 0. Configurations that agree in all but the axis
//!   make a trend.
//! - A *failed* run died for reasons that are no result; it counts as not done.
//! - *Several claims*: where more than one configuration of an experiment is decided by an interval, each of those verdicts
//!   has to stand once its chance is corrected for their number (Holm's method), and is undecided where it does not. The
//!   intervals that are shown are uncorrected. Counts of seeds are no tests and are left as they are.

use super::compare::{SIGNIFICANT, short_p};
use super::group::{Configuration, configurations, did_you_mean, differences, metric_names, protocol, short_names};
use super::load::{LoadError, Run, distinct, load, read_toml, state_word};
use super::stats::{Summary, difference, holm, rank_correlation, short, short_interval};
use super::{FORMAT, markdown_table, text_table};
use crate::eval::{Direction, direction};
use crate::experiment::spec::{BetterThan, ClaimAt, ClaimOver};
use crate::experiment::{Cell, Claim, Plan};
use crate::record::State;
use crate::ui::words;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the runs say of a claim; the worse ones are the greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The runs bear it out.
    Holds,
    /// They do not say.
    Undecided,
    /// They contradict it.
    Fails,
}

impl Verdict {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Undecided => "undecided",
            Self::Fails => "fails",
        }
    }

    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

/// A claim asked of one configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What tells the configuration from the others of the claim; empty where it is the only one.
    pub configuration: String,
    /// The numbers of the seeds that are done.
    pub number: Option<Summary>,
    /// The numbers of the selection that it is held against.
    pub against: Option<Summary>,
    /// How many runs there are.
    pub runs: usize,
    /// Seeds that satisfy the claim on their own.
    pub satisfied: usize,
    /// How likely the number would be if it lay on the bound; null where no interval decides.
    pub p: Option<f64>,
    /// The same, corrected for how many there are in the experiment (Holm's method).
    pub p_corrected: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The statement.
    pub says: String,
    /// The metric.
    pub metric: String,
    /// What the numbers are: the metric, or its rank correlation with an axis.
    pub measure: String,
    /// What is asked of it, in words.
    pub asked: String,
    /// How seeds are put together, in words.
    pub over: String,
    /// The verdict over all configurations.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The paper's number.
    pub paper: Option<f64>,
    /// One a configuration.
    pub parts: Vec<Part>,
}

/// The answers to all claims of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answers {
    /// The experiment's name.
    pub experiment: String,
    /// How many runs it asks for.
    pub runs: usize,
    /// How many of them are done.
    pub done: usize,
    /// What their training took; of a pack's time each run has its share.
    pub seconds: f64,
    /// One a claim.
    pub claims: Vec<Answer>,
    /// How many verdicts rest on an interval, so that they are corrected for their number where there are several.
    pub tests: usize,
    /// What could not be read.
    pub notes: Vec<String>,
}

impl Answers {
    /// How many runs, and what they took, in words.
    fn cost(&self) -> [String; 2] {
        let runs =
            if self.done == self.runs { self.runs.to_string() } else { format!("{} of {}", self.done, self.runs) };
        [runs, words::span(Duration::try_from_secs_f64(self.seconds).unwrap_or_default())]
    }

    /// Whether there is a run to speak of, where anything is claimed.
    fn begun(&self) -> bool {
        self.claims.iter().any(|claim| claim.reason != NOT_BEGUN)
    }
}

/// Why a claim of an experiment that was never run is undecided.
const NOT_BEGUN: &str = "no run has begun";

/// What was verified.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// The version of this format.
    pub version: u32,
    /// How chances are corrected for the number of tests of an experiment.
    pub correction: &'static str,
    /// One an experiment.
    pub experiments: Vec<Answers>,
    /// What was left out.
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
    /// A folder that is no experiment's.
    #[error("{} has no experiment: give an experiment's folder or TOML file, or a folder of them", .0.display())]
    NoExperiment(PathBuf),
}

impl Verification {
    /// Whether every claim holds.
    pub fn all_hold(&self) -> bool {
        self.experiments.iter().flat_map(|e| &e.claims).all(|c| c.verdict == Verdict::Holds)
    }

    /// For a reader: each claim with its reasons, or a table so wide where there are several experiments.
    pub fn text(&self, width: u16) -> String {
        let mut lines = Vec::new();
        if let [experiment] = &self.experiments[..] {
            lines.extend(experiment.lines());
        } else {
            lines.push(self.table(width));
            lines.extend(self.rest());
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n") + "\n"
    }

    /// A row a claim of each experiment that has begun.
    fn table(&self, width: u16) -> String {
        let begun = || self.experiments.iter().filter(|e| e.begun());
        let with_paper = begun().flat_map(|e| &e.claims).any(|claim| claim.paper.is_some());
        let mut header = ["experiment", "claim", "reached", "paper", "verdict"].map(str::to_owned).to_vec();
        let mut rows = Vec::new();
        for experiment in begun() {
            for claim in &experiment.claims {
                let reached: Vec<String> = claim.parts.iter().map(|part| part_text(claim, part)).collect();
                rows.push(vec![
                    experiment.experiment.clone(),
                    claim.says.clone(),
                    reached.join("\n"),
                    claim.paper.map(short).unwrap_or_default(),
                    claim.verdict.word().to_owned(),
                ]);
            }
        }
        if !with_paper {
            header.remove(3);
            rows.iter_mut().for_each(|row| drop(row.remove(3)));
        }
        text_table(&header, &rows, width)
    }

    /// What a table has no room for: counts, why claims do not hold, what never began.
    fn rest(&self) -> Vec<String> {
        let claims =
            || self.experiments.iter().filter(|e| e.begun()).flat_map(|e| e.claims.iter().map(move |c| (e, c)));
        let count = |verdict| claims().filter(|(_, claim)| claim.verdict == verdict).count();
        let mut lines = vec![format!(
            "{} of {} claims hold, {} fail, {} undecided",
            count(Verdict::Holds),
            claims().count(),
            count(Verdict::Fails),
            count(Verdict::Undecided)
        )];
        lines.extend(claims().filter(|(_, claim)| claim.verdict != Verdict::Holds).map(|(experiment, claim)| {
            format!(
                "{:<10} {}: {}\n           {}",
                claim.verdict.word().to_uppercase(),
                experiment.experiment,
                claim.says,
                claim.reason
            )
        }));
        let most = self.experiments.iter().map(|e| e.tests).max().unwrap_or(0);
        if most > 1 {
            lines.push(format!("note: {}", correction_text("those of its experiment")));
        }
        let names = |wanted: &dyn Fn(&&Answers) -> bool| {
            self.experiments.iter().filter(wanted).map(|e| e.experiment.as_str()).collect::<Vec<_>>().join(", ")
        };
        for (what, list) in [
            ("no run has begun of", names(&|e| !e.claims.is_empty() && !e.begun())),
            ("makes no claims:", names(&|e| e.claims.is_empty())),
        ] {
            if !list.is_empty() {
                lines.push(format!("note: {what} {list}"));
            }
        }
        let named =
            |e: &Answers| e.notes.iter().map(|note| format!("note: {}: {note}", e.experiment)).collect::<Vec<_>>();
        lines.extend(self.experiments.iter().flat_map(named));
        lines
    }

    /// A table a README can hold. How many runs there are and how long they took stands with an experiment's first claim.
    pub fn markdown(&self) -> String {
        let header = ["experiment", "runs", "time", "claim", "reached", "asked", "paper", "verdict"].map(str::to_owned);
        let mut rows = Vec::new();
        for experiment in self.experiments.iter().filter(|e| self.experiments.len() == 1 || e.begun()) {
            let [mut runs, mut time] = experiment.cost();
            for claim in &experiment.claims {
                let reached: Vec<String> = claim.parts.iter().map(|part| reached(claim, part)).collect();
                rows.push(vec![
                    experiment.experiment.clone(),
                    std::mem::take(&mut runs),
                    std::mem::take(&mut time),
                    claim.says.clone(),
                    reached.join("; "),
                    format!("{} {}, {}", claim.metric, claim.asked, claim.over),
                    claim.paper.map(short).unwrap_or_default(),
                    claim.verdict.word().to_owned(),
                ]);
            }
        }
        markdown_table(&header, &rows)
    }

    /// For programs.
    pub fn json(&self) -> String {
        super::json(self)
    }
}

impl Answers {
    /// For a terminal.
    fn lines(&self) -> Vec<String> {
        let holding = self.claims.iter().filter(|c| c.verdict == Verdict::Holds).count();
        let mut lines = vec![match self.claims.len() {
            0 => format!("{}: makes no claims", self.experiment),
            n => format!("{}: {holding} of {n} claims hold", self.experiment),
        }];
        for claim in &self.claims {
            lines.push(String::new());
            lines.push(format!("{:<10} {}", claim.verdict.word().to_uppercase(), claim.says));
            lines.extend(claim.parts.iter().map(|part| format!("           {}", part_text(claim, part))));
            let paper = claim.paper.map(|p| format!("; the paper has {}", short(p))).unwrap_or_default();
            lines.push(format!("           asked: {} {}, {}{paper}", claim.metric, claim.asked, claim.over));
            lines.push(format!("           {}", claim.reason));
        }
        if self.tests > 1 {
            lines.push(String::new());
            lines.push(format!("note: {}", correction_text(&format!("the {} that an interval decides", self.tests))));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
    }
}

/// What is corrected, in words.
fn correction_text(of: &str) -> String {
    format!("each verdict stands corrected for {of} (Holm's method); intervals are shown uncorrected")
}

pub(super) fn part_text(claim: &Answer, part: &Part) -> String {
    let label = if part.configuration.is_empty() { String::new() } else { format!("{}: ", part.configuration) };
    let mark = if claim.parts.len() > 1 { format!(" ({})", part.verdict.word()) } else { String::new() };
    let against = part.against.map(|s| format!(" against {}", summary_text(&s))).unwrap_or_default();
    format!("{label}{} {}{against}{mark}", claim.measure, reached_number(claim, part))
}

fn reached(claim: &Answer, part: &Part) -> String {
    let label = if part.configuration.is_empty() { String::new() } else { format!("{}: ", part.configuration) };
    let against = part.against.map(|s| format!(" against {}", summary_text(&s))).unwrap_or_default();
    let measure = if claim.measure == claim.metric { "" } else { "rank correlation " };
    format!("{label}{measure}{}{against}", reached_number(claim, part))
}

fn reached_number(claim: &Answer, part: &Part) -> String {
    let number = part.number.map_or_else(|| "without a number".to_owned(), |s| summary_text(&s));
    if claim.over.starts_with("mean") {
        number
    } else {
        format!("{number}, {} of {} seeds satisfy", part.satisfied, part.runs)
    }
}

fn summary_text(summary: &Summary) -> String {
    let interval = summary.interval.map(|i| format!(" {}", short_interval(i))).unwrap_or_default();
    format!("{}{interval} (n = {})", short(summary.mean), summary.n)
}

/// An experiment whose claims are to be answered.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub experiment: String,
    /// What it claims.
    pub claims: Vec<Claim>,
    /// Its runs; those that have not begun too.
    pub runs: Vec<Run>,
    /// What a reader must know of how they were found.
    pub notes: Vec<String>,
}

/// Reads claims and runs of experiments: each path is an experiment's folder, or a TOML file whose runs lie in
/// `out/<name>`, or a folder of either. The runs are those that the document asks for; others in the folder are left out, and
/// said. Also what was left out of a folder of TOML files, in words.
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
        // What experiments extend lies beside them and need not be whole.
        for file in files.iter().filter(|_| experiments.is_empty()) {
            match subject(file, out) {
                Ok(found) => subjects.push(found),
                Err(VerifyError::Claims { path, .. }) => notes.push(format!(
                    "left out {}, which is not a whole experiment (`gantlet check` says why)",
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

/// The document that an experiment's folder has.
const DOCUMENT: &str = "experiment.toml";

/// The experiments' folders and the TOML files below a folder, in order. Folders of runs are not looked into.
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
            let (runs, notes) = asked_for(&plan, found(&folder)?, &folder);
            Ok(Subject { experiment: plan.name, claims: plan.claims, runs, notes })
        }
        Err(diagnostics) if path.is_file() => Err(VerifyError::Claims { path: file, message: diagnostics.to_string() }),
        // A folder that another version left: its claims and runs as they lie there.
        Err(_) => {
            let document = read_toml(&file)?;
            let claims = claims(&document).map_err(|message| VerifyError::Claims { path: file, message })?;
            let experiment = document.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
            let note = "experiment.toml is not one that this version runs, so every run of the folder counts";
            Ok(Subject { experiment, claims, runs: found(path)?, notes: vec![note.to_owned()] })
        }
    }
}

/// The runs of a plan, begun or not, and a note of those in the folder that are not among them.
fn asked_for(plan: &Plan, found: Vec<Run>, folder: &Path) -> (Vec<Run>, Vec<String>) {
    let mut by_name: BTreeMap<String, Run> = found.into_iter().map(|run| (run.name.clone(), run)).collect();
    let take = |cell: &Cell| by_name.remove(&cell.run).unwrap_or_else(|| Run::not_begun(cell, folder));
    let runs = plan.cells.iter().map(take).collect();
    let others = match by_name.len() {
        0 => Vec::new(),
        1 => vec![format!("left out a run in {} that the experiment does not ask for", folder.display())],
        n => vec![format!("left out {n} runs in {} that the experiment does not ask for", folder.display())],
    };
    (runs, others)
}

/// The claims of a document.
fn claims(document: &toml::Table) -> Result<Vec<Claim>, String> {
    let Some(claims) = document.get("claims") else { return Ok(Vec::new()) };
    claims.clone().try_into().map_err(|e: toml::de::Error| e.message().to_owned())
}

/// Answers the claims of some experiments.
pub fn verify(subjects: &[Subject]) -> Verification {
    let answers = |subject: &Subject| {
        let mut claims: Vec<Answer> = subject.claims.iter().map(|claim| answer(claim, &subject.runs)).collect();
        let facts = || subject.runs.iter().filter_map(|run| run.facts.as_ref());
        Answers {
            experiment: subject.experiment.clone(),
            runs: subject.runs.len(),
            done: subject.runs.iter().filter(|run| run.state == Some(State::Done)).count(),
            seconds: facts().map(|facts| facts.seconds / facts.pack_size.unwrap_or(1) as f64).sum(),
            tests: correct(&mut claims),
            claims,
            notes: subject.notes.iter().chain(subject.runs.iter().flat_map(|r| &r.faults)).cloned().collect(),
        }
    };
    let experiments = subjects.iter().map(answers).collect();
    Verification { version: FORMAT, correction: "holm", experiments, notes: Vec::new() }
}

/// Corrects the verdicts that rest on an interval for how many of them there are, and says how many.
fn correct(claims: &mut [Answer]) -> usize {
    let chances: Vec<f64> = claims.iter().flat_map(|claim| &claim.parts).filter_map(|part| part.p).collect();
    let tests = chances.len();
    let mut corrected = holm(&chances).into_iter();
    for claim in claims {
        for part in claim.parts.iter_mut().filter(|part| part.p.is_some()) {
            part.p_corrected = corrected.next();
            let (Some(raw), Some(p)) = (part.p, part.p_corrected) else { continue };
            if tests > 1 && part.verdict != Verdict::Undecided && p > SIGNIFICANT {
                part.reason = format!(
                    "{}, but not once corrected for {tests} such verdicts (p = {}, with Holm's method {})",
                    part.reason,
                    short_p(raw),
                    short_p(p)
                );
                part.verdict = Verdict::Undecided;
            }
        }
        if !claim.parts.is_empty() {
            claim.conclude();
        }
    }
    tests
}

/// Which cells: dotted keys with their values.
type Selection = BTreeMap<String, serde_json::Value>;

fn select<'a>(runs: &'a [Run], selection: &Selection) -> Vec<&'a Run> {
    let selected = |run: &&Run| selection.iter().all(|(key, wanted)| run.is(key, wanted));
    runs.iter().filter(selected).collect()
}

fn selection_text(selection: &Selection) -> String {
    if selection.is_empty() {
        return "all runs".to_owned();
    }
    let value = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    selection.iter().map(|(k, v)| format!("{k} = {}", value(v))).collect::<Vec<_>>().join(", ")
}

fn answer(claim: &Claim, runs: &[Run]) -> Answer {
    let mut answer = Answer {
        says: claim.says.clone(),
        metric: claim.metric.clone(),
        measure: match trend(claim) {
            Some((axis, _)) => format!("rank correlation of {} with {axis}", claim.metric),
            None => claim.metric.clone(),
        },
        asked: asked(claim),
        over: over(claim),
        verdict: Verdict::Undecided,
        reason: String::new(),
        paper: claim.paper,
        parts: Vec::new(),
    };
    match parts(claim, runs) {
        Err(reason) => answer.reason = reason,
        Ok(parts) => {
            answer.parts = parts;
            answer.conclude();
        }
    }
    answer
}

impl Answer {
    /// The verdict and reason over its parts.
    fn conclude(&mut self) {
        self.verdict = self.parts.iter().map(|p| p.verdict).max().unwrap_or(Verdict::Undecided);
        self.reason = reason(&self.parts, self.verdict);
    }
}

/// The axis of a trend that is claimed, and 1 where the number is to rise with it, −1 where it is to fall.
fn trend(claim: &Claim) -> Option<(&str, f64)> {
    let rises = claim.rises_with.as_deref().map(|axis| (axis, 1.0));
    rises.or(claim.falls_with.as_deref().map(|axis| (axis, -1.0)))
}

/// The reasons of the parts that decide.
fn reason(parts: &[Part], verdict: Verdict) -> String {
    let deciding: Vec<&Part> = parts.iter().filter(|p| p.verdict == verdict).collect();
    if let [only] = parts {
        return only.reason.clone();
    }
    if verdict == Verdict::Holds {
        return format!("holds for each of {} configurations", parts.len());
    }
    let named: Vec<String> = deciding.iter().take(3).map(|p| format!("{}: {}", p.configuration, p.reason)).collect();
    let more = if deciding.len() > 3 { format!("; and {} more", deciding.len() - 3) } else { String::new() };
    named.join("; ") + &more
}

fn asked(claim: &Claim) -> String {
    let mut words = Vec::new();
    if let Some(bound) = claim.at_least {
        words.push(format!("at least {}", short(bound)));
    }
    if let Some(bound) = claim.at_most {
        words.push(format!("at most {}", short(bound)));
    }
    if let Some(other) = &claim.better_than {
        let by = if other.by == 1.0 { String::new() } else { format!(" by a factor of {}", short(other.by)) };
        words.push(format!("better than with {}{by}", selection_text(&other.select)));
    }
    if let Some((axis, sign)) = trend(claim) {
        words.push(format!("{} with {axis}", if sign > 0.0 { "rises" } else { "falls" }));
    }
    words.join(" and ")
}

fn over(claim: &Claim) -> String {
    let at = match claim.at {
        ClaimAt::Last => "last",
        ClaimAt::Best => "best",
    };
    match claim.over {
        ClaimOver::Mean if trend(claim).is_some() => format!("mean rank correlation of the {at} numbers"),
        ClaimOver::Mean => format!("mean of the {at} numbers"),
        ClaimOver::Every => format!("every seed's {at} number"),
        ClaimOver::Share(spec) => format!("the {at} number of {} % of the seeds", short(spec.share * 100.0)),
    }
}

fn parts(claim: &Claim, runs: &[Run]) -> Result<Vec<Part>, String> {
    if runs.iter().all(|run| run.state == Some(State::Queued)) {
        return Err(NOT_BEGUN.to_owned());
    }
    let bounds = [claim.at_least, claim.at_most];
    if bounds == [None, None] && claim.better_than.is_none() && trend(claim).is_none() {
        return Err("the claim states no bound".to_owned());
    }
    let selected = select(runs, &claim.select);
    if selected.is_empty() {
        return Err(format!("no run has {}", selection_text(&claim.select)));
    }
    let others = claim.better_than.as_ref().map(|other| select(runs, &other.select)).unwrap_or_default();
    protocol(&claim.metric, selected.iter().chain(&others).copied())?;
    if direction(&claim.metric) == Direction::Neither && (claim.better_than.is_some() || claim.at == ClaimAt::Best) {
        return Err(format!("it is not known whether lower or higher is better for `{}`", claim.metric));
    }
    let others = configurations(others);
    let configurations = configurations(selected);
    if let Some((axis, sign)) = trend(claim) {
        return trends(claim, &configurations, axis, sign);
    }
    let labels = labels(&configurations);
    let part = |(configuration, label): (&Configuration<'_>, String)| {
        let against = claim.better_than.as_ref().map(|b| (b, partner(configuration, &others, claim, b)));
        judge(claim, configuration, label, against)
    };
    Ok(configurations.iter().zip(labels).map(part).collect())
}

/// A part a set of configurations that agree in all but the axis of a trend.
fn trends(claim: &Claim, all: &[Configuration<'_>], axis: &str, sign: f64) -> Result<Vec<Part>, String> {
    let on_axis = |c: &Configuration<'_>| c.point.iter().any(|(name, _)| *name == axis);
    let mut sets: Vec<(String, Vec<(f64, &Configuration<'_>)>)> = Vec::new();
    for configuration in all {
        let value = configuration.value(axis).and_then(|text| text.parse::<f64>().ok());
        let Some(value) = value else { return Err(format!("`{axis}` is not a number in every cell")) };
        let rest = if on_axis(configuration) {
            let rest = configuration.point.iter().filter(|(name, _)| *name != axis);
            rest.map(|(name, value)| format!("{} {value}", name.rsplit('.').next().unwrap_or(name))).collect::<Vec<_>>()
        } else {
            vec![without(configuration.settings, axis).to_string()]
        };
        let rest = rest.join(", ");
        match sets.iter_mut().find(|(have, _)| *have == rest) {
            Some((_, members)) => members.push((value, configuration)),
            None => sets.push((rest, vec![(value, configuration)])),
        }
    }
    let several = sets.len() > 1;
    let part = |(i, (rest, members)): (usize, (String, Vec<(f64, &Configuration<'_>)>))| {
        let short_rest = if rest.contains('\n') { format!("trend {}", i + 1) } else { rest };
        trend_part(claim, if several { short_rest } else { String::new() }, &members, sign)
    };
    Ok(sets.into_iter().enumerate().map(part).collect())
}

/// Settings without a dotted key.
fn without(settings: &toml::Table, key: &str) -> toml::Table {
    let mut settings = settings.clone();
    match key.split_once('.') {
        None => drop(settings.remove(key)),
        Some((first, rest)) => {
            if let Some(toml::Value::Table(inner)) = settings.get_mut(first) {
                *inner = without(inner, rest);
            }
        }
    }
    settings
}

/// Judges a trend by the correlation within each seed.
fn trend_part(claim: &Claim, label: String, members: &[(f64, &Configuration<'_>)], sign: f64) -> Part {
    let mut values: Vec<f64> = members.iter().map(|(value, _)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let seeds: BTreeSet<u64> = members.iter().flat_map(|(_, c)| &c.runs).filter_map(|run| run.seed).collect();
    let mut tally = Tally { known: Vec::new(), diverged: Vec::new(), open: BTreeMap::new(), total: seeds.len() };
    for seed in seeds {
        let mut pairs = Vec::new();
        let (mut diverged, mut open) = (false, None);
        for (value, configuration) in members {
            match configuration.runs.iter().find(|run| run.seed == Some(seed)).map(|run| number(run, claim)) {
                Some(Number::Known(number)) => pairs.push((*value, number)),
                Some(Number::Diverged) => diverged = true,
                Some(Number::Open(why)) => open = Some(why),
                None => open = Some("without a run at each value".to_owned()),
            }
        }
        match (diverged, open) {
            (true, _) => tally.diverged.push(seed),
            (_, Some(why)) => *tally.open.entry(why).or_default() += 1,
            _ => tally.known.push((seed, sign * rank_correlation(&pairs))),
        }
    }
    // Above 0 is what is claimed, whichever way that is; numbers are shown as they are.
    let outcomes: Vec<Outcome> = tally
        .known
        .iter()
        .map(|&(seed, rho)| {
            if rho > 0.0 {
                Outcome::Satisfied
            } else {
                Outcome::Broken(format!("seed {seed} has {}", short(sign * rho)))
            }
        })
        .chain(tally.diverged.iter().map(|seed| Outcome::Broken(format!("seed {seed} diverged"))))
        .chain((0..tally.open()).map(|_| Outcome::Open))
        .collect();
    let (verdict, reason, p) = match claim.over {
        _ if values.len() < 2 => (Verdict::Undecided, "a trend needs runs at two values or more".to_owned(), None),
        ClaimOver::Mean => judge_trend(&tally, sign),
        _ => judge_count(&outcomes, &tally, needed(claim, tally.total)),
    };
    let shown = |summary: Summary| Summary {
        mean: sign * summary.mean,
        interval: summary.interval.map(|interval| correlation_interval(interval, sign)),
        ..summary
    };
    Part {
        configuration: label,
        number: tally.summary().map(shown),
        against: None,
        runs: tally.total,
        satisfied: outcomes.iter().filter(|o| **o == Outcome::Satisfied).count(),
        p,
        p_corrected: None,
        verdict,
        reason,
    }
}

/// The verdict over a mean correlation, turned so that above 0 is what is claimed.
fn judge_trend(tally: &Tally, sign: f64) -> Judged {
    let mean = match tally.mean() {
        Ok(mean) => mean,
        Err(reason) => return (Verdict::Undecided, reason, None),
    };
    let claimed = if sign > 0.0 { "above" } else { "below" };
    match mean.interval {
        None => {
            let reason = format!("one seed: decided by the correlation itself, {}", short(sign * mean.mean));
            (Verdict::of(mean.mean > 0.0), reason, None)
        }
        Some([low, high]) => {
            let text = short_interval(correlation_interval([low, high], sign));
            let p = mean.p(0.0);
            let (verdict, reason) = if low > 0.0 {
                (Verdict::Holds, format!("the whole interval {text} is {claimed} 0"))
            } else if high <= 0.0 {
                (Verdict::Fails, format!("none of the interval {text} is {claimed} 0"))
            } else {
                (Verdict::Undecided, format!("the interval {text} straddles 0"))
            };
            (verdict, reason, without_doubt([low, high], p))
        }
    }
}

/// An interval as it is shown: turned back, and within what a correlation can be.
fn correlation_interval([low, high]: [f64; 2], sign: f64) -> [f64; 2] {
    let [low, high] = if sign > 0.0 { [low, high] } else { [-high, -low] };
    [low.max(-1.0), high.min(1.0)]
}

/// A verdict, why, and the chance that it rests on where an interval decides.
type Judged = (Verdict, String, Option<f64>);

/// The chance that goes with an interval; without any spread there is no doubt, wherever the bound is.
fn without_doubt([low, high]: [f64; 2], p: Option<f64>) -> Option<f64> {
    if low == high { Some(0.0) } else { p }
}

/// How many seeds have to satisfy a claim.
fn needed(claim: &Claim, total: usize) -> usize {
    match claim.over {
        // A share of 0.8 asks for 8 of 10 seeds, whatever 0.8 is in binary.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of runs")]
        ClaimOver::Share(spec) => (spec.share * total as f64 - 1e-9).ceil().max(0.0) as usize,
        _ => total,
    }
}

/// What tells each of some configurations from the others, in words.
pub fn labels(configurations: &[Configuration<'_>]) -> Vec<String> {
    let mut labels = vec![Vec::new(); configurations.len()];
    let differences = differences(configurations);
    let names = short_names(&differences.iter().map(|setting| setting.key.as_str()).collect::<Vec<_>>());
    for (setting, name) in differences.into_iter().zip(names) {
        let texts: Vec<String> = setting.values.into_iter().map(|v| v.unwrap_or_else(|| "-".to_owned())).collect();
        for (label, text) in labels.iter_mut().zip(distinct(&texts)) {
            label.push(format!("{name} {text}"));
        }
    }
    labels.into_iter().map(|parts| parts.join(", ")).collect()
}

/// The configuration that another one is held against.
fn partner<'a, 'b>(
    of: &Configuration<'_>,
    others: &'b [Configuration<'a>],
    claim: &Claim,
    better_than: &BetterThan,
) -> Result<&'b Configuration<'a>, String> {
    let named: BTreeSet<&String> = claim.select.keys().chain(better_than.select.keys()).collect();
    let apart = |key: &str| {
        named.iter().any(|n| {
            let (n, key) = (format!("{n}."), format!("{key}."));
            key.starts_with(&n) || n.starts_with(&key)
        })
    };
    // By the axes of the grid, or by the settings where the selections name settings that no axis is called by.
    let agrees = |other: &&Configuration<'_>| {
        let axes = of.point.iter().chain(&other.point);
        let mut others = axes.filter(|(axis, _)| !apart(axis)).peekable();
        let on_axes = others.peek().is_some() && others.all(|(axis, _)| of.value(axis) == other.value(axis));
        on_axes || super::load::varying(&[of.settings, other.settings]).iter().all(|setting| apart(&setting.key))
    };
    let text = selection_text(&better_than.select);
    match others {
        [] => Err(format!("no run has {text}")),
        // With one candidate there is no doubt whom it is held against, whatever else differs.
        [only] => Ok(only),
        several => {
            let mut agreeing = several.iter().filter(agrees);
            match (agreeing.next(), agreeing.next()) {
                (Some(one), None) => Ok(one),
                (None, _) => Err(format!("no run with {text} agrees in everything else")),
                _ => Err(format!("{text} selects several configurations that agree in everything else")),
            }
        }
    }
}

/// What a run has to say of a metric.
enum Number {
    Known(f64),
    Diverged,
    /// Not yet, or not at all: the reason.
    Open(String),
}

fn number(run: &Run, claim: &Claim) -> Number {
    match run.state {
        Some(State::Diverged) => return Number::Diverged,
        Some(State::Done) => {}
        state => return Number::Open(state_word(state).to_owned()),
    }
    let found = match claim.at {
        ClaimAt::Best => run.best(&claim.metric),
        ClaimAt::Last => run.last(&claim.metric),
    };
    match found {
        Some((_, value)) => Number::Known(value),
        None if run.faults.is_empty() => {
            let known = metric_names([run]);
            let names = known.iter().map(String::as_str).chain(run.scalars.keys().map(String::as_str));
            Number::Open(format!("without `{}`{}", claim.metric, did_you_mean(&claim.metric, names)))
        }
        None => Number::Open("unreadable".to_owned()),
    }
}

/// The runs of a configuration by what they have to say.
struct Tally {
    known: Vec<(u64, f64)>,
    diverged: Vec<u64>,
    open: BTreeMap<String, usize>,
    total: usize,
}

impl Tally {
    fn of(configuration: &Configuration<'_>, claim: &Claim) -> Self {
        let total = configuration.runs.len();
        let mut tally = Self { known: Vec::new(), diverged: Vec::new(), open: BTreeMap::new(), total };
        for run in &configuration.runs {
            let seed = run.seed.unwrap_or(0);
            match number(run, claim) {
                Number::Known(value) => tally.known.push((seed, value)),
                Number::Diverged => tally.diverged.push(seed),
                Number::Open(why) => *tally.open.entry(why).or_default() += 1,
            }
        }
        tally
    }

    fn summary(&self) -> Option<Summary> {
        Summary::of(&self.known.iter().map(|(_, v)| *v).collect::<Vec<_>>())
    }

    /// The same runs by what is held against others.
    fn measure(&self, direction: Direction) -> Self {
        let known = self.known.iter().map(|&(seed, value)| (seed, distance(direction, value))).collect();
        Self { known, diverged: self.diverged.clone(), open: self.open.clone(), total: self.total }
    }

    /// How many seeds can still go either way.
    fn open(&self) -> usize {
        self.open.values().sum()
    }

    fn open_text(&self) -> String {
        let why: Vec<String> = self.open.iter().map(|(why, n)| format!("{n} {why}")).collect();
        format!("{} of {} runs {} not done ({})", self.open(), self.total, are(self.open()), why.join(", "))
    }

    /// The mean over all seeds, or why there is none.
    fn mean(&self) -> Result<Summary, String> {
        if !self.diverged.is_empty() {
            let n = self.diverged.len();
            return Err(format!("{n} of {} runs diverged, so that there is no mean over all seeds", self.total));
        }
        if self.open() > 0 {
            return Err(self.open_text());
        }
        self.summary().ok_or_else(|| "a number is not finite".to_owned())
    }
}

fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

type Against<'a, 'b> = (&'b BetterThan, Result<&'b Configuration<'a>, String>);

fn judge(claim: &Claim, configuration: &Configuration<'_>, label: String, against: Option<Against<'_, '_>>) -> Part {
    let tally = Tally::of(configuration, claim);
    let other = match &against {
        Some((better_than, Ok(other))) => Some((*better_than, Tally::of(other, claim))),
        _ => None,
    };
    let outcomes = outcomes(claim, &tally, other.as_ref());
    let satisfied = outcomes.iter().filter(|o| **o == Outcome::Satisfied).count();
    let (verdict, reason, p) = match (&against, claim.over) {
        (Some((_, Err(reason))), _) => (Verdict::Undecided, reason.clone(), None),
        (_, ClaimOver::Mean) => judge_mean(claim, &tally, other.as_ref()),
        _ => judge_count(&outcomes, &tally, needed(claim, tally.total)),
    };
    Part {
        configuration: label,
        number: tally.summary(),
        against: other.and_then(|(_, tally)| tally.summary()),
        runs: tally.total,
        satisfied,
        p,
        p_corrected: None,
        verdict,
        reason,
    }
}

/// The verdict over means: the worst over the bounds that the claim states.
fn judge_mean(claim: &Claim, tally: &Tally, other: Option<&(&BetterThan, Tally)>) -> Judged {
    let mean = match tally.mean() {
        Ok(mean) => mean,
        Err(reason) => return (Verdict::Undecided, reason, None),
    };
    let mut all: Vec<Judged> = Vec::new();
    for (bound, sign) in [(claim.at_most, 1.0), (claim.at_least, -1.0)] {
        let Some(bound) = bound else { continue };
        all.push(match mean.interval {
            None => (
                Verdict::of(sign * mean.mean <= sign * bound),
                format!("one seed: decided by the number itself, {}", short(mean.mean)),
                None,
            ),
            Some([low, high]) => {
                // Mirrored for a lower bound, so that above is always wrong.
                let (best, worst) = if sign > 0.0 { (low, high) } else { (-high, -low) };
                let text = short_interval([low, high]);
                let (is, beyond) = if sign > 0.0 { ("at most", "above") } else { ("at least", "below") };
                let (verdict, reason) = if worst <= sign * bound {
                    (Verdict::Holds, format!("the whole interval {text} is {is} {}", short(bound)))
                } else if best > sign * bound {
                    (Verdict::Fails, format!("the whole interval {text} is {beyond} {}", short(bound)))
                } else {
                    (Verdict::Undecided, format!("the interval {text} straddles {}", short(bound)))
                };
                (verdict, reason, without_doubt([low, high], mean.p(bound)))
            }
        });
    }
    if let Some((better_than, other)) = other {
        let direction = direction(&claim.metric);
        let means = tally.measure(direction).mean().and_then(|mean| Ok((mean, other.measure(direction).mean()?)));
        all.push(match means {
            Err(reason) => (Verdict::Undecided, format!("of those it is held against, {reason}"), None),
            Ok((mean, other)) => judge_difference(&mean, &other, direction == Direction::Higher, better_than.by),
        });
    }
    let worst = all.iter().map(|(v, _, _)| *v).max().unwrap_or(Verdict::Undecided);
    let p = all.iter().filter_map(|(_, _, p)| *p).reduce(f64::max);
    let reasons: Vec<String> = all.into_iter().filter(|(v, _, _)| *v == worst).map(|(_, reason, _)| reason).collect();
    (worst, reasons.join(", and "), p)
}

/// Whether a mean is better than another by a factor. The gain is positive where it is.
fn judge_difference(mean: &Summary, other: &Summary, higher: bool, by: f64) -> Judged {
    // Lower is better: by · mean < other, so that the gain is other − by · mean. Higher: mean − by · other.
    let factor = if by == 1.0 { String::new() } else { format!("{} times ", short(by)) };
    let (gain, what) = if higher {
        (difference(mean, other, by), format!("this less {factor}the other"))
    } else {
        (difference(other, mean, by), format!("the other less {factor}this"))
    };
    match gain.doubt {
        None => (
            Verdict::of(gain.mean > 0.0),
            format!("one seed on a side: decided by the means themselves, {what} is {}", short(gain.mean)),
            None,
        ),
        Some(([low, high], p)) => {
            let text = short_interval([low, high]);
            let (verdict, reason) = if low > 0.0 {
                (Verdict::Holds, format!("{what} is {text}, all of it above 0"))
            } else if high <= 0.0 {
                (Verdict::Fails, format!("{what} is {text}, none of it above 0"))
            } else {
                (Verdict::Undecided, format!("{what} is {text}, which straddles 0"))
            };
            (verdict, reason, without_doubt([low, high], Some(p)))
        }
    }
}

/// What a seed says of a claim on its own.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Satisfied,
    /// In words.
    Broken(String),
    Open,
}

fn outcomes(claim: &Claim, tally: &Tally, other: Option<&(&BetterThan, Tally)>) -> Vec<Outcome> {
    let mut all = vec![Outcome::Open; tally.open()];
    all.extend(tally.diverged.iter().map(|seed| Outcome::Broken(format!("seed {seed} diverged"))));
    for &(seed, value) in &tally.known {
        // Comparisons with a number that is not one are false, so that such a number satisfies nothing.
        let within =
            claim.at_most.is_none_or(|bound| value <= bound) && claim.at_least.is_none_or(|bound| value >= bound);
        let mut outcome = if within {
            Outcome::Satisfied
        } else {
            Outcome::Broken(format!("seed {seed} has {}", beside(value, [claim.at_most, claim.at_least])))
        };
        if let (Outcome::Satisfied, Some((better_than, other))) = (&outcome, other) {
            let rival = other.known.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v);
            outcome = match rival {
                None if other.diverged.contains(&seed) => Outcome::Satisfied,
                None => Outcome::Open,
                Some(rival) if beats(direction(&claim.metric), value, rival, better_than.by) => Outcome::Satisfied,
                Some(rival) => Outcome::Broken(format!("seed {seed} has {} against {}", short(value), short(rival))),
            };
        }
        all.push(outcome);
    }
    all
}

/// A number as people read it, in full where it would read like a bound that it misses.
fn beside(value: f64, bounds: [Option<f64>; 2]) -> String {
    let same = bounds.into_iter().flatten().any(|bound| short(bound) == short(value));
    if same { value.to_string() } else { short(value) }
}

/// Whether a number is better than another by a factor.
fn beats(direction: Direction, value: f64, rival: f64, by: f64) -> bool {
    let (value, rival) = (distance(direction, value), distance(direction, rival));
    if direction == Direction::Higher { value > by * rival } else { by * value < rival }
}

/// What is held against what: the numbers themselves, or how far they are from where they should be.
fn distance(direction: Direction, value: f64) -> f64 {
    if let Direction::Target(target) = direction { (value - target).abs() } else { value }
}

/// The verdict over counts: so many seeds have to satisfy the claim.
fn judge_count(outcomes: &[Outcome], tally: &Tally, needed: usize) -> Judged {
    let satisfied = outcomes.iter().filter(|o| **o == Outcome::Satisfied).count();
    let open = outcomes.iter().filter(|o| **o == Outcome::Open).count();
    let broken: Vec<&str> =
        outcomes.iter().filter_map(|o| if let Outcome::Broken(why) = o { Some(why.as_str()) } else { None }).collect();
    let count = format!("{satisfied} of {} seeds satisfy it, {needed} {} needed", tally.total, are(needed));
    let (verdict, reason) = if satisfied >= needed {
        (Verdict::Holds, count)
    } else if satisfied + open < needed {
        let more = if broken.len() > 4 { format!(" and {} more", broken.len() - 4) } else { String::new() };
        (Verdict::Fails, format!("{count}: {}{more}", broken[..broken.len().min(4)].join(", ")))
    } else if tally.open() > 0 {
        (Verdict::Undecided, format!("{count}; {}", tally.open_text()))
    } else {
        (Verdict::Undecided, format!("{count}; {open} have no partner of the same seed that is done"))
    };
    (verdict, reason, None)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{EXPERIMENT, Runs, Sketch};
    use super::*;
    use serde_json::json;

    fn claim(fields: serde_json::Value) -> Claim {
        let mut whole = json!({ "says": "it works", "metric": "w1" });
        whole.as_object_mut().expect("a table").extend(fields.as_object().expect("a table").clone());
        serde_json::from_value(whole).expect("the test's own claim parses")
    }

    /// The verdict and reason of a claim over these last numbers, one a seed, and runs in other states.
    fn ask(fields: serde_json::Value, numbers: &[f64], others: &[&str]) -> (Verdict, String) {
        let runs = Runs::new();
        for (seed, value) in (0..).zip(numbers) {
            runs.add(Sketch { seed, evals: &[("w1", &[9.0, *value])], ..Sketch::default() });
        }
        for (seed, state) in (100..).zip(others) {
            runs.add(Sketch { seed, state, evals: &[("w1", &[9.0])], ..Sketch::default() });
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let answer = answer(&claim(fields), &runs);
        (answer.verdict, answer.reason)
    }

    /// Mean 0.0786667 and interval [0.0735398, 0.0837935]: see `stats`.
    const SIX: [f64; 6] = [0.075, 0.080, 0.073, 0.086, 0.076, 0.082];

    #[test]
    fn a_mean_is_decided_by_its_whole_interval() {
        let cases = [
            (json!({ "at-most": 0.084 }), Verdict::Holds, "the whole interval [0.07354, 0.08379] is at most 0.084"),
            (json!({ "at-most": 0.08 }), Verdict::Undecided, "the interval [0.07354, 0.08379] straddles 0.08"),
            (json!({ "at-most": 0.07 }), Verdict::Fails, "the whole interval [0.07354, 0.08379] is above 0.07"),
            (json!({ "at-least": 0.07 }), Verdict::Holds, "the whole interval [0.07354, 0.08379] is at least 0.07"),
            (json!({ "at-least": 0.08 }), Verdict::Undecided, "the interval [0.07354, 0.08379] straddles 0.08"),
            (json!({ "at-least": 0.09 }), Verdict::Fails, "the whole interval [0.07354, 0.08379] is below 0.09"),
            (
                json!({ "at-least": 0.07, "at-most": 0.08 }),
                Verdict::Undecided,
                "the interval [0.07354, 0.08379] straddles 0.08",
            ),
        ];
        for (fields, verdict, reason) in cases {
            assert_eq!(ask(fields, &SIX, &[]), (verdict, reason.to_owned()));
        }
    }

    #[test]
    fn a_single_seed_is_decided_by_its_number() {
        let (verdict, reason) = ask(json!({ "at-most": 0.25 }), &[0.2], &[]);
        assert_eq!((verdict, reason.as_str()), (Verdict::Holds, "one seed: decided by the number itself, 0.2"));
        assert_eq!(ask(json!({ "at-most": 0.25 }), &[0.3], &[]).0, Verdict::Fails);
    }

    #[test]
    fn a_mean_waits_for_every_run_and_has_none_over_a_diverged_seed() {
        let (verdict, reason) = ask(json!({ "at-most": 1 }), &SIX, &["interrupted", "queued"]);
        assert_eq!(
            (verdict, reason.as_str()),
            (Verdict::Undecided, "2 of 8 runs are not done (1 interrupted, 1 queued)")
        );
        let (verdict, reason) = ask(json!({ "at-most": 1 }), &SIX, &["diverged"]);
        assert_eq!(
            (verdict, reason.as_str()),
            (Verdict::Undecided, "1 of 7 runs diverged, so that there is no mean over all seeds")
        );
        assert_eq!(ask(json!({ "at-most": 1 }), &[0.1, f64::NAN], &[]).1, "a number is not finite");
    }

    #[test]
    fn every_seed_is_asked_and_a_diverged_one_has_failed() {
        let every = |bound: f64| json!({ "at-most": bound, "over": "every" });
        assert_eq!(ask(every(0.09), &SIX, &[]), (Verdict::Holds, "6 of 6 seeds satisfy it, 6 are needed".to_owned()));
        assert_eq!(
            ask(every(0.085), &SIX, &["queued"]),
            (Verdict::Fails, "5 of 7 seeds satisfy it, 7 are needed: seed 3 has 0.086".to_owned())
        );
        assert_eq!(
            ask(every(4.05), &[4.050_012], &[]).1,
            "0 of 1 seeds satisfy it, 1 is needed: seed 0 has 4.050012",
            "a number that misses a bound by little does not read like it"
        );
        assert_eq!(
            ask(every(0.09), &SIX, &["diverged"]),
            (Verdict::Fails, "6 of 7 seeds satisfy it, 7 are needed: seed 100 diverged".to_owned())
        );
        assert_eq!(
            ask(every(0.09), &SIX, &["failed"]),
            (
                Verdict::Undecided,
                "6 of 7 seeds satisfy it, 7 are needed; 1 of 7 runs is not done (1 failed)".to_owned()
            )
        );
    }

    #[test]
    fn a_share_may_be_decided_before_all_runs_are_done() {
        let share = |share: f64| json!({ "at-most": 0.081, "over": { "share": share } });
        // Four of the six are at most 0.081.
        assert_eq!(ask(share(0.5), &SIX, &["queued", "diverged"]).0, Verdict::Holds);
        assert_eq!(ask(share(0.6), &SIX, &["queued"]).0, Verdict::Undecided);
        assert_eq!(ask(share(0.75), &SIX, &["queued"]).0, Verdict::Fails);
        // 0.8 of ten seeds are eight of them, although ten times the 0.8 of binary floats is a little more.
        let ten: Vec<f64> = (0..10).map(|i| if i < 8 { 0.05 } else { 1.0 }).collect();
        assert_eq!(ask(share(0.8), &ten, &[]).0, Verdict::Holds);
    }

    #[test]
    fn nothing_to_ask_is_undecided_with_the_reason() {
        let reason = |fields| ask(fields, &[0.1], &[]);
        assert_eq!(
            reason(json!({ "at-most": 1, "where": { "loss.adversarial": "hinge" } })),
            (Verdict::Undecided, "no run has loss.adversarial = hinge".to_owned())
        );
        assert_eq!(
            reason(json!({ "at-most": 1, "metric": "wl" })),
            (Verdict::Undecided, "1 of 1 runs is not done (1 without `wl` (did you mean `w1`?))".to_owned())
        );
        assert_eq!(reason(json!({})), (Verdict::Undecided, "the claim states no bound".to_owned()));
        assert_eq!(reason(json!({ "at-most": 2, "metric": "d/loss" })).0, Verdict::Holds, "a scalar of metrics.csv");
    }

    /// Two losses on two data sets, two seeds each: hinge is better by 1 on the first and by 2 on the second.
    fn two_by_two() -> Vec<Run> {
        let runs = Runs::new();
        for (data, gap) in [("a", 1.0), ("b", 2.0)] {
            for (loss, offset) in [("hinge", 0.0), ("vanilla", gap)] {
                let settings = format!("loss.adversarial = '{loss}'\ndata.set = '{data}'");
                for (seed, value) in (0..).zip([1.0, 1.001]) {
                    let evals: &[(&str, &[f64])] = &[("w1", &[value + offset])];
                    runs.add(Sketch { settings: &settings, seed, evals, ..Sketch::default() });
                }
            }
        }
        load(&[runs.path().to_owned()]).expect("there are runs")
    }

    #[test]
    fn better_than_holds_configurations_against_their_like() {
        let runs = two_by_two();
        let fields = |by: f64, over: &str| {
            json!({
                "where": { "loss.adversarial": "hinge" }, "over": over,
                "better-than": { "where": { "loss.adversarial": "vanilla" }, "by": by },
            })
        };
        for over in ["mean", "every"] {
            let answer_by = |by| answer(&claim(fields(by, over)), &runs);
            assert_eq!(answer_by(1.5).verdict, Verdict::Holds, "{over}");
            assert_eq!(answer_by(2.5).verdict, Verdict::Fails, "{over}");
            let mut parts: Vec<_> = answer_by(2.5).parts.into_iter().map(|p| (p.configuration, p.verdict)).collect();
            parts.sort();
            assert_eq!(parts, [("set a".to_owned(), Verdict::Fails), ("set b".to_owned(), Verdict::Holds)], "{over}");
        }
        // The mean of vanilla on a is 2.0005, twice that of hinge less 0.0005: the interval of the difference decides.
        assert_eq!(answer(&claim(fields(2.0, "mean")), &runs).verdict, Verdict::Undecided);
    }

    #[test]
    fn labels_of_the_grid_select_and_pair() {
        let runs = Runs::new();
        for (game, settings, value) in
            [("plain", "a = 1\nb = 2", 1.0), ("eager", "a = 3\nb = 4", 3.0), ("third", "a = 5\nb = 4", 2.0)]
        {
            for (seed, jitter) in (0..).zip([0.0, 0.01]) {
                let evals: &[(&str, &[f64])] = &[("w1", &[value + jitter])];
                runs.add(Sketch { settings, game, seed, evals, ..Sketch::default() });
            }
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let ask = |fields| answer(&claim(fields), &runs);
        assert_eq!(ask(json!({ "at-most": 1.2, "where": { "game": "plain" } })).verdict, Verdict::Holds);
        let pair = json!({ "where": { "game": "plain" }, "better-than": { "where": { "game": "eager" }, "by": 2 } });
        assert_eq!(ask(pair).verdict, Verdict::Holds);
        let all = ask(json!({ "at-most": 1.2, "over": "every" }));
        let mut parts: Vec<_> = all.parts.into_iter().map(|p| (p.configuration, p.verdict)).collect();
        parts.sort();
        let fails = |label: &str| (label.to_owned(), Verdict::Fails);
        assert_eq!(parts, [fails("game eager"), ("game plain".to_owned(), Verdict::Holds), fails("game third")]);
    }

    #[test]
    fn numbers_of_another_protocol_decide_nothing() {
        let runs = Runs::new();
        for (seed, n) in [(0, 100), (1, 200)] {
            runs.add(Sketch { seed, n, evals: &[("w1", &[0.1])], ..Sketch::default() });
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let answer = answer(&claim(json!({ "at-most": 1 })), &runs);
        assert_eq!(answer.verdict, Verdict::Undecided);
        assert!(answer.reason.ends_with("these differ: n (100, 200)"), "{}", answer.reason);
    }

    /// A whole experiment of three seeds with its claims.
    fn toy() -> String {
        EXPERIMENT.to_owned()
            + r#"
            [[claims]]
            says = "The spread is right."
            metric = "w1"
            at-most = 0.1
            paper = 0.08
            [[claims]]
            says = "No seed is lost."
            metric = "w1"
            at-most = 0.08
            over = "every"
            [[claims]]
            says = "Most seeds are near."
            metric = "w1"
            at-most = 0.08
            over = { share = 0.5 }
            "#
    }

    #[test]
    fn a_file_finds_the_runs_that_it_asks_for() {
        let runs = Runs::new();
        runs.write("toy.toml", toy());
        let file = runs.path().join("toy.toml");
        let ask = || verify(&subjects(std::slice::from_ref(&file), runs.path()).expect("reads").0);
        let reasons = |v: &Verification| v.experiments[0].claims.iter().map(|c| c.reason.clone()).collect::<Vec<_>>();
        assert_eq!(reasons(&ask()), vec!["no run has begun"; 3]);

        let plan = Plan::load(std::slice::from_ref(&file), &[], None).expect("a whole experiment").remove(0);
        for (cell, value) in plan.cells.iter().zip([0.07, 0.075]) {
            let seed = cell.experiment.seed;
            let place = runs.add(Sketch { seed, evals: &[("w1", &[value])], ..Sketch::default() });
            std::fs::rename(place, runs.path().join("toy").join(&cell.run)).expect("renames");
            runs.write(&format!("toy/{}/config.toml", cell.run), cell.document());
        }
        // A run of an earlier version of the file, which would break the claim.
        runs.add(Sketch { seed: 9, evals: &[("w1", &[7.0])], ..Sketch::default() });
        assert_eq!(
            reasons(&ask()),
            [
                "1 of 3 runs is not done (1 queued)",
                "2 of 3 seeds satisfy it, 3 are needed; 1 of 3 runs is not done (1 queued)",
                "2 of 3 seeds satisfy it, 2 are needed",
            ]
        );
        assert!(ask().experiments[0].notes[0].starts_with("left out a run in "));
    }

    #[test]
    fn an_answer_reads_well() {
        let runs = Runs::new();
        for (seed, value) in (0..).zip(SIX) {
            runs.add(Sketch { seed, evals: &[("w1", &[value])], ..Sketch::default() });
        }
        let document: toml::Table = toml::from_str(&toy()).expect("is TOML");
        let mut claims = claims(&document).expect("claims");
        claims.push(claim(json!({ "at-most": 1, "where": { "loss.adversarial": "hinge" } })));
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let subject = Subject { experiment: "toy".to_owned(), claims, runs, notes: Vec::new() };
        let verification = verify(&[subject]);
        assert!(!verification.all_hold());
        insta::assert_snapshot!(verification.text(100) + "\n" + &verification.markdown());
    }

    /// Two losses at three learning rates: w1 rises with the rate under hinge in each of three seeds, not under vanilla.
    fn rates() -> Vec<Run> {
        let runs = Runs::new();
        for (loss, numbers) in [
            ("hinge", [[1.0, 2.0, 3.0], [1.1, 2.2, 2.1], [0.9, 2.5, 3.0]]),
            ("vanilla", [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]]),
        ] {
            for (seed, values) in (0..).zip(numbers) {
                for (lr, value) in [0.001, 0.01, 0.1].into_iter().zip(values) {
                    let settings = format!("loss.adversarial = '{loss}'\noptimizer.lr = {lr}");
                    runs.add(Sketch { settings: &settings, seed, evals: &[("w1", &[value])], ..Sketch::default() });
                }
            }
        }
        load(&[runs.path().to_owned()]).expect("there are runs")
    }

    #[test]
    fn a_trend_is_the_rank_correlation_within_each_seed() {
        let runs = rates();
        let ask = |fields| answer(&claim(fields), &runs);
        let hinge = json!({ "loss.adversarial": "hinge" });
        // Spearman's ρ of the three seeds: 1, 0.5, 1. scipy.stats.t.interval(0.95, 2, loc=2.5/3, scale=sem) and
        // ttest_1samp([1, .5, 1], 0).pvalue.
        let rises = ask(json!({ "where": hinge, "rises-with": "optimizer.lr" }));
        assert_eq!(rises.verdict, Verdict::Holds, "{}", rises.reason);
        assert_eq!(rises.reason, "the whole interval [0.1162, 1] is above 0");
        assert!((rises.parts[0].p.expect("an interval decides") - 0.037749551350623724).abs() < 1e-9);
        let falls = ask(json!({ "where": hinge, "falls-with": "optimizer.lr" }));
        assert_eq!(
            (falls.verdict, falls.reason.as_str()),
            (Verdict::Fails, "none of the interval [0.1162, 1] is below 0")
        );
        assert_eq!(
            ask(json!({ "where": hinge, "rises-with": "optimizer.lr", "over": "every" })).verdict,
            Verdict::Holds
        );
        let both = ask(json!({ "rises-with": "optimizer.lr", "over": { "share": 0.6 } }));
        let mut satisfied: Vec<usize> = both.parts.iter().map(|p| p.satisfied).collect();
        satisfied.sort_unstable();
        assert_eq!(satisfied, [1, 3], "a trend each loss");
        assert_eq!(both.verdict, Verdict::Fails);
        let nothing =
            ask(json!({ "where": { "optimizer.lr": 0.1, "loss.adversarial": "hinge" }, "rises-with": "optimizer.lr" }));
        assert_eq!(nothing.reason, "a trend needs runs at two values or more");
        assert_eq!(
            ask(json!({ "rises-with": "loss.adversarial" })).reason,
            "`loss.adversarial` is not a number in every cell"
        );
    }

    #[test]
    fn several_claims_are_corrected_for_their_number() {
        let runs = Runs::new();
        for (seed, value) in (0..).zip(SIX) {
            runs.add(Sketch { seed, evals: &[("w1", &[value])], ..Sketch::default() });
        }
        let runs = load(&[runs.path().to_owned()]).expect("there are runs");
        let ask = |bounds: &[f64]| {
            let claims = bounds.iter().map(|bound| claim(json!({ "at-most": bound }))).collect();
            verify(&[Subject { experiment: "toy".to_owned(), claims, runs: runs.clone(), notes: Vec::new() }])
        };
        let verdicts = |v: &Verification| v.experiments[0].claims.iter().map(|c| c.verdict).collect::<Vec<_>>();
        // scipy.stats.ttest_1samp(SIX, 0.084).pvalue is 0.044: enough alone, not beside another one.
        assert_eq!(verdicts(&ask(&[0.084])), [Verdict::Holds]);
        let two = ask(&[0.084, 0.2]);
        assert_eq!(verdicts(&two), [Verdict::Holds, Verdict::Holds], "the weaker one comes last and is not multiplied");
        let three = ask(&[0.084, 0.2, 0.0838]);
        assert_eq!(verdicts(&three), [Verdict::Undecided, Verdict::Holds, Verdict::Undecided]);
        assert_eq!(
            three.experiments[0].claims[0].reason,
            "the whole interval [0.07354, 0.08379] is at most 0.084, but not once corrected for 3 such verdicts (p = 0.04, \
             with Holm's method 0.09)"
        );
        assert!(three.text(100).contains("corrected for the 3 that an interval decides (Holm's method)"));
        let json: serde_json::Value = serde_json::from_str(&three.json()).expect("is JSON");
        assert_eq!((json["correction"].as_str(), json["experiments"][0]["tests"].as_u64()), (Some("holm"), Some(3)));
        assert!(json["experiments"][0]["claims"][0]["parts"][0]["p_corrected"].is_number(), "{json}");
    }

    #[test]
    fn a_folder_of_experiments_is_one_table() {
        let runs = Runs::new();
        for (experiment, value) in [("one", 0.5), ("two", 1.5)] {
            for (seed, jitter) in (0..).zip([0.0, 0.01, 0.02]) {
                runs.add(Sketch { experiment, seed, evals: &[("w1", &[value + jitter])], ..Sketch::default() });
            }
            let text = format!(
                "name = '{experiment}'\n[[claims]]\nsays = 'It is near.'\nmetric = 'w1'\nat-most = 1\npaper = 0.4\n"
            );
            runs.write(&format!("all/{experiment}/experiment.toml"), text);
            std::fs::rename(runs.path().join(experiment), runs.path().join("moved")).expect("renames");
            for run in std::fs::read_dir(runs.path().join("moved")).expect("lists").flatten() {
                std::fs::rename(run.path(), runs.path().join("all").join(experiment).join(run.file_name()))
                    .expect("renames");
            }
            std::fs::remove_dir(runs.path().join("moved")).expect("is empty");
        }
        let read = |name: &str| subjects(&[runs.path().join(name)], runs.path());
        let (found, _) = read("all").expect("reads");
        let verification = verify(&found);
        insta::assert_snapshot!(verification.text(100) + "\n" + &verification.markdown());
        assert_eq!(read("all/one").expect("reads").0.len(), 1);
        assert!(matches!(read("all/one/nothing"), Err(VerifyError::Load(LoadError::Missing(_)))));

        runs.write("files/toy.toml", toy());
        runs.write("files/base/half.toml", "[schedule]\nsteps = 3");
        let (found, notes) = read("files").expect("reads");
        assert_eq!((found.len(), notes.len()), (1, 1));
        assert!(notes[0].contains("half.toml, which is not a whole experiment"), "{notes:?}");
        let text = verify(&[found.clone(), found].concat()).text(100);
        assert!(text.contains("note: no run has begun of toy, toy"), "{text}");
        runs.write("empty/readme", "");
        assert!(matches!(read("empty"), Err(VerifyError::NoExperiment(_))));
    }
}
