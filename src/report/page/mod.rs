//! One HTML page of a run, an experiment or several, which needs no other file: claims, results, curves, samples, what
//! differs, the TOML. A small script hides series, reads values and steps through the samples; everything else works
//! without it.

mod films;

use super::compare::{Head, Options, arrow, compare};
use super::curves;
use super::group::{Configuration, configurations, count, count_text};
use super::load::{LoadError, Run, distinct, load, state_word, varying};
use super::verify::{self, Verdict, Verification, labels};
use crate::base::digits::short;
use crate::base::file;
use crate::eval::direction;
use crate::picture;
use films::{Film, films, shrunk};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Configurations with a color of their own; the others are in the table only.
const COLORS: usize = 7;
/// A claim with more parts than this is folded.
const PARTS: usize = 12;
/// A longer table of runs is printed only if it is open.
const RUNS: usize = 100;
/// The most configurations and settings of a table of differences.
const DIFFERING: (usize, usize) = (40, 16);

/// The page of a run, an experiment, or all experiments of a folder.
///
/// # Errors
/// If there is no run.
pub fn page(dir: &Path) -> Result<String, LoadError> {
    let runs = load(&[dir.to_owned()])?;
    let mut folders: BTreeMap<PathBuf, Vec<Run>> = BTreeMap::new();
    for run in runs {
        let folder = run.path.parent().map(Path::to_owned).unwrap_or_default();
        folders.entry(folder).or_default().push(run);
    }
    let sections: Vec<Section<'_>> = folders.iter().map(|(folder, runs)| Section::read(folder, runs)).collect();
    let names: Vec<&str> = sections.iter().map(|s| s.name).collect();
    let shown: Vec<&[Configuration<'_>]> = sections.iter().map(|s| &s.configurations[..]).collect();
    let films = films(&shown);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (names.join(", ")) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                @if sections.len() > 1 { (contents(&sections)) }
                @for (i, (section, films)) in sections.iter().zip(&films).enumerate() {
                    section id={ "e" (i) } { (section.show(i, films)) }
                }
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    Ok(page.into_string())
}

/// An experiment on the page.
struct Section<'a> {
    name: &'a str,
    runs: &'a [Run],
    text: Option<String>,
    document: toml::Table,
    verification: Verification,
    configurations: Vec<Configuration<'a>>,
    labels: Vec<String>,
}

/// All experiments with their verdicts, linked to their sections.
fn contents(sections: &[Section<'_>]) -> Markup {
    let count = |section: &Section<'_>, verdict: Verdict| {
        let claims = section.verification.experiments.iter().flat_map(|e| &e.claims);
        claims.filter(|claim| claim.verdict == verdict).count()
    };
    html! {
        h1 { "Experiments" }
        nav.scroll {
            table {
                @for (i, section) in sections.iter().enumerate() {
                    tr {
                        td { a href={ "#e" (i) } { (section.name) } }
                        td { (section.states()) }
                        td {
                            @for verdict in Verdict::ALL {
                                @let n = count(section, verdict);
                                @if n > 0 {
                                    span class=(verdict.word()) { b { (n) " " (verdict.word_for(n)) } } " "
                                }
                            }
                        }
                        td.wrap { (section.describe("about").unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

impl<'a> Section<'a> {
    fn read(folder: &Path, runs: &'a [Run]) -> Self {
        let text = file::read_text(&folder.join("experiment.toml")).ok();
        let (subjects, _) = verify::subjects(&[folder.to_owned()], folder).unwrap_or_default();
        let configurations = configurations(runs);
        Self {
            name: &runs[0].experiment,
            runs,
            document: text.as_deref().and_then(|t| toml::from_str(t).ok()).unwrap_or_default(),
            text,
            verification: verify::verify(&subjects),
            labels: labels(&configurations),
            configurations,
        }
    }

    /// A remark of the document.
    fn describe(&self, key: &str) -> Option<&str> {
        self.document.get(key).and_then(toml::Value::as_str)
    }

    /// How many runs are in which state.
    fn states(&self) -> String {
        count_text(&count(&self.runs.iter().collect::<Vec<_>>()))
    }

    fn show(&self, index: usize, films: &[Film]) -> Markup {
        html! {
            h1 { (self.name) }
            @if let Some(about) = self.describe("about") { p { (about) } }
            p.faint {
                (self.states())
                @if let Some(paper) = self.describe("paper") { " · " (paper) }
                " · " (made_with(self.runs))
            }
            (claims(&self.verification))
            (results(self.runs))
            (charts(index, &self.configurations, &self.labels))
            (self.samples(films))
            (self.what_differs())
            (run_table(self.runs))
            @if let Some(text) = &self.text {
                details { summary { "The experiment as TOML" } pre { (text) } }
            }
        }
    }

    /// The settings that differ between configurations, including those that a label of the grid stands for.
    fn what_differs(&self) -> Markup {
        let documents: Vec<&toml::Table> = self.configurations.iter().map(|c| c.settings).collect();
        let differing = varying(&documents);
        if differing.is_empty() {
            return html! {};
        }
        let texts = |values: &[Option<String>]| {
            distinct(&values.iter().map(|v| v.clone().unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>())
        };
        let columns: Vec<Vec<String>> = differing.iter().map(|v| texts(&v.values)).collect();
        let has_labels = self.labels.iter().any(|label| !label.is_empty());
        let mut header = vec![if has_labels { "configuration".to_owned() } else { String::new() }];
        header.extend(differing.iter().map(|v| v.key.clone()));
        let row = |(i, label): (usize, &String)| {
            [label.clone()].into_iter().chain(columns.iter().map(|column| column[i].clone())).collect()
        };
        let rows: Vec<Vec<String>> = self.labels.iter().enumerate().map(row).collect();
        html! {
            details {
                summary { "What differs" }
                @if documents.len() > DIFFERING.0 || differing.len() > DIFFERING.1 {
                    p.faint { "Too many settings for a table: see grid.csv, which has one line per run." }
                } @else {
                    (table(&header, &rows, None))
                }
            }
        }
    }

    fn samples(&self, films: &[Film]) -> Markup {
        if films.is_empty() {
            return html! {};
        }
        let real = self.runs.iter().find_map(Run::real_picture).and_then(|path| shrunk(&path));
        let with_pictures = self.configurations.iter().filter(|c| c.runs.iter().any(|r| r.picture().is_some())).count();
        let more = with_pictures.saturating_sub(films.len());
        html! {
            h2 { "Samples" }
            p.film hidden {
                button type="button" { "play" }
                input type="range" min="0" value="0" aria-label="step";
                output {}
            }
            div.cards {
                @if let Some(real) = real {
                    figure { img alt="data" src=(real.url()); figcaption { "data" } }
                }
                @for film in films { (self.film(film)) }
            }
            @if more > 0 {
                p.faint { (more) " more configurations have pictures in their folders." }
            }
        }
    }

    fn film(&self, film: &Film) -> Markup {
        let label = &self.labels[film.configuration];
        let last = film.frames.len() - 1;
        html! {
            figure data-film {
                @for (i, (step, image)) in film.frames.iter().enumerate() {
                    img alt={ "samples after " (step) " steps" } data-step=(step) hidden[i < last] src=(image.url());
                }
                figcaption {
                    @if !label.is_empty() { (label) ": " }
                    @if let Some(seed) = film.seed { "seed " (seed) ", " }
                    span.at { "step " (film.frames[last].0) }
                }
            }
        }
    }
}

/// Devices and versions, each once.
fn made_with(runs: &[Run]) -> String {
    let facts = || runs.iter().filter_map(|r| r.facts.as_ref());
    let devices: BTreeSet<String> = facts().filter_map(|f| f.device.clone()).collect();
    let versions: BTreeSet<String> = facts()
        .map(|f| {
            let torch = f.versions.libtorch.as_ref().map(|v| format!(", libtorch {v}")).unwrap_or_default();
            format!("gantlet {}{torch}", f.versions.gantlet)
        })
        .collect();
    devices.into_iter().chain(versions).collect::<Vec<_>>().join(" · ")
}

fn claims(verification: &Verification) -> Markup {
    let claims: Vec<_> = verification.experiments.iter().flat_map(|e| &e.claims).collect();
    if claims.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Claims" }
        @for claim in &claims {
            @let word = claim.verdict.word();
            @let parts = html! { @for part in &claim.parts { p { (verify::part_text(claim, part)) } } };
            div class={ "claim " (word) } {
                p { b { (word) } " " (claim.says) }
                @if claim.parts.len() > PARTS {
                    details {
                        summary { (claim.parts.len()) " configurations: " (counts(claim)) }
                        (parts)
                    }
                } @else {
                    (parts)
                }
                p.faint { (verify::requirement(claim)) " · " (claim.reason) }
            }
        }
        @if verification.experiments.iter().any(|e| e.tests > 1) {
            p.faint { (verify::CORRECTION) }
        }
    }
}

/// How many parts of a claim have which verdict.
fn counts(claim: &verify::Answer) -> String {
    let counted = |verdict: Verdict| (claim.count(verdict), verdict);
    let counts = Verdict::ALL.into_iter().map(counted).filter(|(n, _)| *n > 0);
    counts.map(|(n, verdict)| format!("{n} {}", verdict.word_for(n))).collect::<Vec<_>>().join(", ")
}

fn results(runs: &[Run]) -> Markup {
    let comparison = match compare(runs, &Options::default()) {
        Ok(comparison) => comparison,
        Err(error) => return html! { h2 { "Results" } p { (error) } },
    };
    let (header, rows) = comparison.cells();
    let protocol = |head: &Head| {
        let columns: Vec<String> = head.protocol.iter().map(|(column, value)| format!("{column} {value}")).collect();
        vec![head.name.clone(), columns.join(", ")]
    };
    let protocols: Vec<Vec<String>> =
        comparison.metrics.iter().filter(|h| !h.protocol.is_empty()).map(protocol).collect();
    html! {
        h2 { "Results" }
        (table(&header, &rows, None))
        @for line in comparison.foot() { p.faint { (line) } }
        @if !protocols.is_empty() {
            details {
                summary { "How it was measured" }
                (table(&["metric", "protocol"].map(str::to_owned), &protocols, Some(1)))
            }
        }
    }
}

/// A table; the lines of the column `wrap` may break.
fn table(header: &[String], rows: &[Vec<String>], wrap: Option<usize>) -> Markup {
    let class = |i: usize| (wrap == Some(i)).then_some("wrap");
    html! {
        div.scroll {
            table {
                thead { tr { @for (i, name) in header.iter().enumerate() { th class=[class(i)] { (breakable(name)) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (i, cell) in row.iter().enumerate() {
                                td class=[class(i)] {
                                    @for (i, line) in cell.split('\n').enumerate() { @if i > 0 { br; } (line) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The name of a setting, which may break after its parts.
fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['.', '/']) { (part) @if part.ends_with(['.', '/']) { wbr; } } }
}

fn charts(section: usize, configurations: &[Configuration<'_>], labels: &[String]) -> Markup {
    let shown = &configurations[..configurations.len().min(COLORS)];
    let more = configurations.len() - shown.len();
    let [metrics, scalars] = curves::names(configurations);
    let figure = |name: &String| {
        let view = curves::plot("", name, shown, labels)?;
        let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        let id = format!("clip-{section}-{}", letters.collect::<String>());
        Some(html! {
            figure {
                figcaption { (name) (arrow(direction(name))) }
                (PreEscaped(picture::card(&view, name, &id)))
            }
        })
    };
    html! {
        h2 { "Curves" }
        @if shown.len() > 1 {
            div.legend {
                @for (i, label) in labels.iter().enumerate().take(COLORS) {
                    button type="button" aria-pressed="true" data-series=(i) {
                        i style={ "background:var(--c" (i) ")" } {}
                        (label)
                    }
                }
            }
        }
        p.faint {
            "Lines are means over seeds, bands extend from the lowest to the highest value"
            @if more > 0 { "; " (more) " more configurations are in the table" }
            "."
        }
        @for (title, names) in [("Evaluation", metrics), ("Training", scalars)] {
            @let figures: Vec<Markup> = names.iter().filter_map(figure).collect();
            @if !figures.is_empty() {
                details open {
                    summary { (title) }
                    div.cards { @for figure in figures { (figure) } }
                }
            }
        }
    }
}

fn run_table(runs: &[Run]) -> Markup {
    let header = ["run", "seed", "state", "step", "seconds", "steps/s", "reason"].map(str::to_owned);
    let row = |run: &Run| {
        let facts = run.facts.as_ref();
        vec![
            run.name.clone(),
            run.seed.map(|s| s.to_string()).unwrap_or_default(),
            state_word(run.state).to_owned(),
            facts.map(|f| format!("{} of {}", f.step, f.steps)).unwrap_or_default(),
            facts.map(|f| short(f.seconds)).unwrap_or_default(),
            facts.and_then(|f| f.steps_per_second).map(short).unwrap_or_default(),
            facts.and_then(|f| f.reason.clone()).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    html! {
        details data-long[runs.len() > RUNS] {
            summary { "Runs" }
            (table(&header, &rows, Some(6)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Runs, Sketch};
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine as _};

    /// A picture that is far too large for the page.
    fn noise(side: u32) -> Vec<u8> {
        let mut state = 1_u32;
        let picture = image::RgbImage::from_fn(side, side, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
        });
        crate::picture::encode_png(&picture)
    }

    #[test]
    fn five_hundred_runs_with_pictures_stay_below_ten_megabytes() {
        let runs = Runs::new();
        let picture = noise(200);
        let scalars = |seed: u64| {
            let row = |i: u64| format!("{},{},{}\n", i * 10, (i * 7919 + seed) % 1000, (i * 104_729 + seed) % 977);
            "step,d/loss,g/loss\n".to_owned() + &(1..=300).map(row).collect::<String>()
        };
        for configuration in 0..100 {
            for seed in 0..5 {
                let settings = format!("x = {configuration}");
                let values: Vec<f64> = (0..10).map(|i| f64::from(configuration * 10 + i)).collect();
                let evals: &[(&str, &[f64])] = &[("w1", &values), ("ks", &values), ("mean", &values)];
                let path = runs.add(Sketch { settings: &settings, seed, evals, ..Sketch::default() });
                let path = path.strip_prefix(runs.path()).expect("lies below").display().to_string();
                runs.write(&format!("{path}/metrics.csv"), scalars(seed));
                if seed == 0 && configuration < 30 {
                    for step in [10, 20, 30] {
                        runs.write(&format!("{path}/samples/{step:08}.png"), &picture);
                    }
                }
            }
        }
        let html = page(&runs.path().join("toy")).expect("there are runs");
        assert!(html.len() < 10_000_000, "{} bytes", html.len());
        assert!(html.contains("6 more configurations have pictures"), "24 of 30 are shown");
        assert!(html.matches("<img").count() > 48, "{} pictures", html.matches("<img").count());
    }

    #[test]
    fn the_page_shows_everything_and_needs_nothing() {
        let runs = Runs::new();
        for (game, values) in [("plain <&>", [3.0, 2.0, 1.0]), ("eager", [3.0, 1.0, 0.5])] {
            for seed in 0..2 {
                let settings = format!("game = '{game}'");
                let values = values.map(|v| v + seed as f64 * 0.1);
                let path = runs.add(Sketch {
                    settings: &settings,
                    game,
                    seed,
                    evals: &[("w1", &values)],
                    ..Sketch::default()
                });
                let path = path.strip_prefix(runs.path()).expect("lies below").display().to_string();
                runs.write(&format!("{path}/samples/00000010.png"), noise(200));
                runs.write(&format!("{path}/samples/00000030.png"), noise(20));
            }
        }
        let toml = "name = 'toy'\nabout = 'A toy.'\n[[claims]]\nsays = 'Spread.'\nmetric = 'w1'\nat-most = 9\nover = 'every'\n";
        runs.write("toy/experiment.toml", toml);
        let html = page(&runs.path().join("toy")).expect("there are runs");
        for part in [
            "<h1>toy</h1>",
            "A toy.",
            "<b>holds</b> Spread.",
            "game plain &lt;&amp;&gt;",
            "<polyline",
            "<polygon",
            &BASE64_STANDARD.encode(noise(20)),
            "data:image/jpeg;base64,",
            "data-step=\"10\" hidden",
            "seed 0, <span class=\"at\">step 30</span>",
            "data-s=\"10 20 30\" data-v=\"3.05 2.05 1.05\"",
            "What differs",
            "n 100, split test",
            "at-most = 9",
            "prefers-color-scheme: dark",
            "gantlet 0.1.0",
        ] {
            assert!(html.contains(part), "the page lacks {part}");
        }
        // Nothing is fetched.
        for part in ["http:", "https:", "<script src", "<link", "@import", "url(//", "fetch("] {
            assert!(!html.contains(part), "the page has {part}");
        }
    }

    #[test]
    fn several_experiments_are_linked_from_the_top() {
        let runs = Runs::new();
        for experiment in ["one", "two"] {
            runs.add(Sketch { experiment, settings: "x = 1", evals: &[("w1", &[2.0, 1.0])], ..Sketch::default() });
        }
        let html = page(runs.path()).expect("there are runs");
        for part in ["<a href=\"#e1\">two</a>", "<section id=\"e1\">", "clip-0-w1", "clip-1-w1"] {
            assert!(html.contains(part), "the page lacks {part}");
        }
    }
}
