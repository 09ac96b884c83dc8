//! Verdicts for readers: lines for one experiment, a table for several, and Markdown.

use super::super::group::{Configuration, differences, short_names};
use super::super::load::distinct;
use super::super::stats::Summary;
use super::super::{markdown_table, text_table};
use super::{Answer, Answers, Measure, Part, Selection, Trend, Verdict, Verification};
use crate::base::digits::{short, short_interval};
use crate::experiment::Claim;
use crate::experiment::spec::ClaimOver;
use crate::ui::words;
use std::time::Duration;

/// How verdicts are corrected.
pub(in super::super) const CORRECTION: &str =
    "verdicts are corrected for the number of tests in each experiment by Holm's method; intervals are uncorrected";

impl Verification {
    /// For a reader: each claim with its reasons, or for several experiments a table of this width.
    pub fn text(&self, width: u16) -> String {
        let mut lines = Vec::new();
        if let [experiment] = &self.experiments[..] {
            lines.extend(experiment.lines());
        } else {
            lines.push(self.table(width));
            lines.extend(self.below_table());
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n") + "\n"
    }

    /// One row per claim of each experiment that has started.
    fn table(&self, width: u16) -> String {
        let started = || self.experiments.iter().filter(|e| e.started);
        let with_paper = started().flat_map(|e| &e.claims).any(|claim| claim.paper.is_some());
        let mut header = ["experiment", "claim", "reached", "paper", "verdict"].map(str::to_owned).to_vec();
        let mut rows = Vec::new();
        for experiment in started() {
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

    /// What a table has no room for: counts, why claims do not hold, which experiments have not started.
    fn below_table(&self) -> Vec<String> {
        let claims =
            || self.experiments.iter().filter(|e| e.started).flat_map(|e| e.claims.iter().map(move |c| (e, c)));
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
        if self.experiments.iter().any(|e| e.tests > 1) {
            lines.push(format!("note: {CORRECTION}"));
        }
        let names = |wanted: &dyn Fn(&&Answers) -> bool| {
            self.experiments.iter().filter(wanted).map(|e| e.experiment.as_str()).collect::<Vec<_>>().join(", ")
        };
        for (what, list) in [
            ("no run has started", names(&|e| !e.claims.is_empty() && !e.started)),
            ("no claims", names(&|e| e.claims.is_empty())),
        ] {
            if !list.is_empty() {
                lines.push(format!("note: {what}: {list}"));
            }
        }
        let named =
            |e: &Answers| e.notes.iter().map(|note| format!("note: {}: {note}", e.experiment)).collect::<Vec<_>>();
        lines.extend(self.experiments.iter().flat_map(named));
        lines
    }

    /// A table for a README. The row of an experiment's first claim has the number of runs and their time.
    pub fn markdown(&self) -> String {
        let header = ["experiment", "runs", "time", "claim", "reached", "required", "paper", "verdict"];
        let mut rows = Vec::new();
        for experiment in self.experiments.iter().filter(|e| self.experiments.len() == 1 || e.started) {
            let [mut runs, mut time] = experiment.cost();
            for claim in &experiment.claims {
                let reached: Vec<String> = claim.parts.iter().map(|part| reached(claim, part)).collect();
                rows.push(vec![
                    experiment.experiment.clone(),
                    std::mem::take(&mut runs),
                    std::mem::take(&mut time),
                    claim.says.clone(),
                    reached.join("; "),
                    required(claim),
                    claim.paper.map(short).unwrap_or_default(),
                    claim.verdict.word().to_owned(),
                ]);
            }
        }
        markdown_table(&header.map(str::to_owned), &rows)
    }
}

impl Answers {
    /// How many runs, and what they took, in words.
    fn cost(&self) -> [String; 2] {
        let runs =
            if self.done == self.runs { self.runs.to_string() } else { format!("{} of {}", self.done, self.runs) };
        [runs, words::span(Duration::try_from_secs_f64(self.seconds).unwrap_or_default())]
    }

    /// For a terminal.
    fn lines(&self) -> Vec<String> {
        let holding = self.claims.iter().filter(|c| c.verdict == Verdict::Holds).count();
        let mut lines = vec![match self.claims.len() {
            0 => format!("{}: no claims", self.experiment),
            n => format!("{}: {holding} of {n} claims hold", self.experiment),
        }];
        for claim in &self.claims {
            lines.push(String::new());
            lines.push(format!("{:<10} {}", claim.verdict.word().to_uppercase(), claim.says));
            lines.extend(claim.parts.iter().map(|part| format!("           {}", part_text(claim, part))));
            lines.push(format!("           {}", requirement(claim)));
            lines.push(format!("           {}", claim.reason));
        }
        if self.tests > 1 {
            lines.push(String::new());
            lines.push(format!(
                "note: verdicts are corrected for {} tests by Holm's method; intervals are uncorrected",
                self.tests
            ));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
    }
}

/// What a claim requires of which values.
fn required(claim: &Answer) -> String {
    format!("{} {}, {}", claim.metric, claim.asked, claim.over)
}

/// The requirement of a claim in a line, with the paper's value.
pub(in super::super) fn requirement(claim: &Answer) -> String {
    let paper = claim.paper.map(|p| format!("; the paper reports {}", short(p))).unwrap_or_default();
    format!("required: {}{paper}", required(claim))
}

/// A part of a claim in a line.
pub(in super::super) fn part_text(claim: &Answer, part: &Part) -> String {
    let mark = if claim.parts.len() > 1 { format!(" ({})", part.verdict.word()) } else { String::new() };
    format!("{}{} {}{mark}", label(part), claim.measure, reached_number(claim, part))
}

/// A part of a claim in a table that names the metric elsewhere.
fn reached(claim: &Answer, part: &Part) -> String {
    let measure = match claim.measure {
        Measure::Metric(_) => "",
        Measure::Correlation { .. } => "rank correlation ",
    };
    format!("{}{measure}{}", label(part), reached_number(claim, part))
}

fn label(part: &Part) -> String {
    if part.configuration.is_empty() { String::new() } else { format!("{}: ", part.configuration) }
}

fn reached_number(claim: &Answer, part: &Part) -> String {
    let number = part.number.map_or_else(|| "no value".to_owned(), |s| summary_text(&s));
    let against = part.against.map(|s| format!(" against {}", summary_text(&s))).unwrap_or_default();
    match claim.over.over {
        ClaimOver::Mean => format!("{number}{against}"),
        ClaimOver::Every | ClaimOver::Share(_) => {
            format!("{number}, satisfied by {} of {} seeds{against}", part.satisfied, part.runs)
        }
    }
}

fn summary_text(summary: &Summary) -> String {
    let interval = summary.interval.map(|i| format!(" {}", short_interval(i))).unwrap_or_default();
    format!("{}{interval} (n = {})", short(summary.mean), summary.n)
}

/// The bounds of a claim in words.
pub(super) fn asked(claim: &Claim) -> String {
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
    if let Some(Trend { axis, sign }) = Trend::of(claim) {
        words.push(format!("{} with {axis}", if sign > 0.0 { "rises" } else { "falls" }));
    }
    words.join(" and ")
}

/// A selection of runs in words.
pub(super) fn selection_text(selection: &Selection) -> String {
    if selection.is_empty() {
        return "all runs".to_owned();
    }
    let value = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    selection.iter().map(|(k, v)| format!("{k} = {}", value(v))).collect::<Vec<_>>().join(", ")
}

/// The settings that distinguish each of some configurations from the others, in words.
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
