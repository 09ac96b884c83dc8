//! One HTML page of a run, an experiment or several that needs nothing beside itself: claims, table, curves, samples, what
//! differs, the TOML. A small script lets a reader hide a series, read a value and move through the samples; without it all
//! is there but that.

use super::compare::{Options, arrow, compare};
use super::curves::{self, Point};
use super::group::{Configuration, configurations, count, count_text};
use super::load::{LoadError, Run, distinct, load, state_word, varying};
use super::stats::short;
use super::verify::{self, Verdict, Verification, labels};
use crate::base::file;
use crate::eval::direction;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Configurations that are told apart by color; what is beyond is in the table.
const COLORS: usize = 7;
/// Configurations whose samples are shown at most, over all experiments.
const PICTURES: usize = 24;
/// Pictures of a configuration at most, over its steps.
const FRAMES: usize = 12;
/// What all pictures together may take of the page, before they are written in letters, which takes a third more.
const BUDGET: usize = 5_500_000;
/// Pictures on the page are so many pixels wide at most.
const WIDE: u32 = 440;
/// Cells that a claim has before they are folded.
const PARTS: usize = 12;
/// Runs whose table is too long to be printed unless it is open.
const RUNS: usize = 100;
/// Configurations and settings that a table of what differs has at most.
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
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
        escape(&names.join(", ")),
        include_str!("page.css")
    );
    if sections.len() > 1 {
        contents(&mut html, &sections);
    }
    let films = films(&sections);
    for (i, (section, films)) in sections.iter().zip(films).enumerate() {
        html += &format!("<section id=\"e{i}\">\n");
        section.write(&mut html, i, films);
        html += "</section>\n";
    }
    html += &format!("<script>\n{}</script>\n</body>\n</html>\n", include_str!("page.js"));
    Ok(html)
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

/// All experiments with how they came out, and links to them.
fn contents(html: &mut String, sections: &[Section<'_>]) {
    *html += "<h1>Experiments</h1>\n<nav class=\"scroll\"><table>\n";
    for (i, section) in sections.iter().enumerate() {
        let claims = || section.verification.experiments.iter().flat_map(|e| &e.claims);
        let count = |verdict: Verdict| match claims().filter(|c| c.verdict == verdict).count() {
            0 => String::new(),
            n => format!("<span class=\"{}\"><b>{n} {}</b></span> ", verdict.word(), verdict.word_for(n)),
        };
        let verdicts: String = Verdict::ALL.into_iter().map(count).collect();
        let states = count_text(&self::count(&section.runs.iter().collect::<Vec<_>>()));
        let about = section.say("about").unwrap_or_default();
        *html += &format!(
            "<tr><td><a href=\"#e{i}\">{}</a></td><td>{states}</td><td>{verdicts}</td><td class=\"wrap\">{}</td></tr>\n",
            escape(section.name),
            escape(about)
        );
    }
    *html += "</table></nav>\n";
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

    fn say(&self, key: &str) -> Option<&str> {
        self.document.get(key).and_then(toml::Value::as_str)
    }

    fn write(&self, html: &mut String, index: usize, films: Vec<Film>) {
        *html += &format!("<h1>{}</h1>\n", escape(self.name));
        if let Some(about) = self.say("about") {
            *html += &format!("<p>{}</p>\n", escape(about));
        }
        let states = count_text(&count(&self.runs.iter().collect::<Vec<_>>()));
        let paper = self.say("paper").map(|p| format!(" · {}", escape(p))).unwrap_or_default();
        *html += &format!("<p class=\"faint\">{states}{paper} · {}</p>\n", escape(&made_with(self.runs)));
        claims(html, &self.verification);
        table(html, self.runs);
        charts(html, index, &self.configurations, &self.labels);
        self.samples(html, films);
        self.what_differs(html);
        run_table(html, self.runs);
        if let Some(text) = &self.text {
            *html +=
                &format!("<details><summary>The experiment as TOML</summary><pre>{}</pre></details>\n", escape(text));
        }
    }

    /// The settings that differ between configurations: those that an axis with labels stands for too.
    fn what_differs(&self, html: &mut String) {
        let documents: Vec<&toml::Table> = self.configurations.iter().map(|c| c.settings).collect();
        let differing = varying(&documents);
        if differing.is_empty() {
            return;
        }
        *html += "<details><summary>What differs</summary>\n";
        if documents.len() > DIFFERING.0 || differing.len() > DIFFERING.1 {
            *html +=
                "<p class=\"faint\">More than a table can show: the file grid.csv has a line a run.</p></details>\n";
            return;
        }
        let texts = |values: &[Option<String>]| {
            distinct(&values.iter().map(|v| v.clone().unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>())
        };
        // A setting a line and a configuration a column where these are few, which is how files are read.
        let columns: Vec<Vec<String>> = differing.iter().map(|v| texts(&v.values)).collect();
        let named = self.labels.iter().any(|label| !label.is_empty());
        let mut header = vec![if named { "configuration".to_owned() } else { String::new() }];
        header.extend(differing.iter().map(|v| v.key.clone()));
        let row = |(i, label): (usize, &String)| {
            [label.clone()].into_iter().chain(columns.iter().map(|column| column[i].clone())).collect()
        };
        let rows: Vec<Vec<String>> = self.labels.iter().enumerate().map(row).collect();
        *html += &html_table(&header, &rows, usize::MAX);
        *html += "</details>\n";
    }

    fn samples(&self, html: &mut String, films: Vec<Film>) {
        if films.is_empty() {
            return;
        }
        *html += "<h2>Samples</h2>\n";
        *html += "<p class=\"film\" hidden><button type=\"button\">play</button>\
                  <input type=\"range\" min=\"0\" value=\"0\" aria-label=\"step\"><output></output></p>\n<div class=\"cards\">\n";
        let real = self.runs.iter().find_map(Run::real_picture).and_then(|path| shrunk(&path));
        if let Some(real) = real {
            *html +=
                &format!("<figure><img alt=\"data\" src=\"{}\"><figcaption>data</figcaption></figure>\n", real.url());
        }
        let shown = films.len();
        for film in films {
            let label = &self.labels[film.configuration];
            let caption = if label.is_empty() { String::new() } else { format!("{}: ", escape(label)) };
            let seed = film.seed.map(|s| format!("seed {s}, ")).unwrap_or_default();
            *html += "<figure data-film>";
            let last = film.frames.len() - 1;
            for (i, (step, image)) in film.frames.iter().enumerate() {
                let hidden = if i < last { " hidden" } else { "" };
                *html += &format!(
                    "<img alt=\"samples after {step} steps\" data-step=\"{step}\"{hidden} src=\"{}\">",
                    image.url()
                );
            }
            let step = film.frames[last].0;
            *html +=
                &format!("<figcaption>{caption}{seed}<span class=\"at\">step {step}</span></figcaption></figure>\n");
        }
        *html += "</div>\n";
        let with_pictures = self.configurations.iter().filter(|c| c.runs.iter().any(|r| r.picture().is_some())).count();
        if with_pictures > shown {
            let n = with_pictures - shown;
            *html += &format!("<p class=\"faint\">{n} more configurations have pictures in their folders.</p>\n");
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

fn claims(html: &mut String, verification: &Verification) {
    let claims: Vec<_> = verification.experiments.iter().flat_map(|e| &e.claims).collect();
    if claims.is_empty() {
        return;
    }
    *html += "<h2>Claims</h2>\n";
    for claim in &claims {
        let word = claim.verdict.word();
        *html += &format!("<div class=\"claim {word}\"><p><b>{word}</b> {}</p>\n", escape(&claim.says));
        let parts = claim.parts.iter().map(|part| format!("<p>{}</p>\n", escape(&verify::part_text(claim, part))));
        let parts: Vec<String> = parts.collect();
        if parts.len() > PARTS {
            let of = |verdict: Verdict| match claim.count(verdict) {
                0 => None,
                n => Some(format!("{n} {}", verdict.word_for(n))),
            };
            let counts = Verdict::ALL.into_iter().filter_map(of);
            let (counts, parts) = (counts.collect::<Vec<_>>().join(", "), parts.concat());
            *html += &format!("<details><summary>{} cells: {counts}</summary>\n{parts}</details>\n", claim.parts.len());
        } else {
            *html += &parts.concat();
        }
        *html += &format!(
            "<p class=\"faint\">{} · {}</p></div>\n",
            escape(&verify::requirement(claim)),
            escape(&claim.reason)
        );
    }
    if verification.experiments.iter().any(|e| e.tests > 1) {
        *html += &format!("<p class=\"faint\">{}</p>\n", verify::CORRECTION);
    }
}

fn table(html: &mut String, runs: &[Run]) {
    *html += "<h2>Results</h2>\n";
    let comparison = match compare(runs, &Options::default()) {
        Ok(comparison) => comparison,
        Err(error) => {
            *html += &format!("<p>{}</p>\n", escape(&error.to_string()));
            return;
        }
    };
    let (header, rows) = comparison.cells();
    *html += &html_table(&header, &rows, usize::MAX);
    for line in comparison.foot() {
        *html += &format!("<p class=\"faint\">{}</p>\n", escape(&line));
    }
    let protocol = |head: &super::compare::Head| {
        let columns: Vec<String> = head.protocol.iter().map(|(column, value)| format!("{column} {value}")).collect();
        vec![head.name.clone(), columns.join(", ")]
    };
    let rows: Vec<Vec<String>> = comparison.metrics.iter().filter(|h| !h.protocol.is_empty()).map(protocol).collect();
    if !rows.is_empty() {
        let table = html_table(&["metric", "protocol"].map(str::to_owned), &rows, 1);
        *html += &format!("<details><summary>How it was measured</summary>{table}</details>\n");
    }
}

/// A table whose column `wrap`, if it has one, breaks its lines.
fn html_table(header: &[String], rows: &[Vec<String>], wrap: usize) -> String {
    let line = |tag: &str, cells: &[String]| {
        let cell = |(i, c): (usize, &String)| {
            let class = if i == wrap { " class=\"wrap\"" } else { "" };
            let text = escape(c).replace('\n', "<br>");
            // The name of a setting may break after its parts.
            let text = if tag == "th" { text.replace('.', ".<wbr>").replace('/', "/<wbr>") } else { text };
            format!("<{tag}{class}>{text}</{tag}>")
        };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    let body: String = rows.iter().map(|row| line("td", row)).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>{body}</tbody></table></div>\n",
        line("th", header)
    )
}

fn charts(html: &mut String, section: usize, configurations: &[Configuration<'_>], labels: &[String]) {
    let shown = &configurations[..configurations.len().min(COLORS)];
    let [metrics, scalars] = curves::names(configurations);
    *html += "<h2>Curves</h2>\n";
    if shown.len() > 1 {
        *html += "<div class=\"legend\">";
        for (i, label) in labels.iter().enumerate().take(COLORS) {
            *html += &format!(
                "<button type=\"button\" aria-pressed=\"true\" data-series=\"{i}\">\
                 <i style=\"background:var(--c{i})\"></i>{}</button>",
                escape(label)
            );
        }
        *html += "</div>\n";
    }
    let more = configurations.len() - shown.len();
    let more = if more > 0 { format!("; {more} more configurations are in the table") } else { String::new() };
    *html += &format!(
        "<p class=\"faint\">Lines are means over seeds, bands reach from the lowest to the highest{more}.</p>\n"
    );
    for (title, names) in [("Evaluation", metrics), ("Training", scalars)] {
        let figure = |name: &String| {
            let caption = escape(&(name.clone() + &arrow(direction(name))));
            Some(format!("<figure><figcaption>{caption}</figcaption>{}</figure>\n", chart(section, name, shown)?))
        };
        let figures: Vec<String> = names.iter().filter_map(figure).collect();
        if !figures.is_empty() {
            let figures = figures.concat();
            *html +=
                &format!("<details open><summary>{title}</summary><div class=\"cards\">\n{figures}</div></details>\n");
        }
    }
}

/// A chart of a metric as SVG; `None` where there are not two steps to draw a line between.
fn chart(section: usize, metric: &str, configurations: &[Configuration<'_>]) -> Option<String> {
    const LEFT: f64 = 52.0;
    const RIGHT: f64 = 352.0;
    const TOP: f64 = 8.0;
    const BOTTOM: f64 = 184.0;
    let all = curves::curves(metric, configurations)?;
    let steps = || all.iter().flatten().map(|p| p.step);
    let (from, to) = steps().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), step| (a.min(step), b.max(step)));
    let (bottom, top) = curves::range(&all);
    let x = |step: f64| LEFT + (step - from) / (to - from) * (RIGHT - LEFT);
    // Far outside there is nothing to see; near it the clip cuts the line.
    let y = |v: f64| (BOTTOM - (v - bottom) / (top - bottom) * (BOTTOM - TOP)).clamp(-2000.0, 2000.0);
    let id: String = metric.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut svg = format!("<svg viewBox=\"0 0 368 204\" role=\"img\" aria-label=\"{}\">", escape(metric));
    write!(
        svg,
        "<clipPath id=\"clip-{section}-{id}\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>",
        RIGHT - LEFT,
        BOTTOM - TOP
    )
    .expect("a string takes any text");
    for tick in ticks(bottom, top) {
        let at = y(tick);
        svg += &format!("<line class=\"rule\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        svg += &format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, at + 4.0, short(tick));
    }
    for tick in ticks(from, to) {
        svg += &format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(tick),
            BOTTOM + 16.0,
            short(tick)
        );
    }
    svg += &format!("<line class=\"read\" visibility=\"hidden\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>");
    svg += &format!("<g clip-path=\"url(#clip-{section}-{id})\">");
    for (i, curve) in all.iter().enumerate().filter(|(_, curve)| !curve.is_empty()) {
        let pair = |step: f64, v: f64| format!("{:.1},{:.1}", x(step), y(v));
        let joined = |of: &dyn Fn(&Point) -> String| curve.iter().map(of).collect::<Vec<_>>().join(" ");
        svg += &format!(
            "<g class=\"s{i}\" data-series=\"{i}\" data-s=\"{}\" data-v=\"{}\">",
            joined(&|p| p.step.to_string()),
            joined(&|p| short(p.mean))
        );
        if curve.iter().any(|p| p.high > p.low) {
            let back: Vec<String> = curve.iter().rev().map(|p| pair(p.step, p.high)).collect();
            let band = format!("{} {}", joined(&|p| pair(p.step, p.low)), back.join(" "));
            svg += &format!("<polygon class=\"band\" style=\"fill:var(--c{i})\" points=\"{band}\"/>");
        }
        let line = joined(&|p| pair(p.step, p.mean));
        svg += &format!("<polyline class=\"mean\" style=\"stroke:var(--c{i})\" points=\"{line}\"/></g>");
    }
    Some(svg + "</g></svg>")
}

/// A few round numbers of a range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&s| s >= rough).unwrap_or(rough);
    // An end that is itself round counts, whatever its last bit is.
    #[expect(clippy::cast_possible_truncation, reason = "a range holds a handful of steps")]
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// What a configuration drew, over the steps.
struct Film {
    configuration: usize,
    seed: Option<u64>,
    /// Steps with their pictures; the last is the newest, and there is one.
    frames: Vec<(u64, Picture)>,
}

/// A picture as the page holds it.
struct Picture {
    kind: &'static str,
    bytes: Vec<u8>,
}

impl Picture {
    fn url(&self) -> String {
        format!("data:image/{};base64,{}", self.kind, base64(&self.bytes))
    }
}

/// The pictures of each section, within what all of them together may take: the newest of each configuration first, then as
/// many of earlier steps as there is room for.
fn films(sections: &[Section<'_>]) -> Vec<Vec<Film>> {
    let mut all: Vec<Vec<Film>> = Vec::new();
    let mut earlier: Vec<(usize, usize, Vec<PathBuf>)> = Vec::new();
    let mut used = 0;
    for (s, section) in sections.iter().enumerate() {
        let mut films = Vec::new();
        let most = (PICTURES / sections.len()).max(1);
        for (i, configuration) in section.configurations.iter().enumerate() {
            let found =
                configuration.runs.iter().find_map(|run| Some((run, run.pictures())).filter(|f| !f.1.is_empty()));
            let Some((run, mut paths)) = found else { continue };
            if films.len() >= most || used > BUDGET {
                break;
            }
            let Some(last) = paths.pop() else { continue };
            let Some(image) = shrunk(&last) else { continue };
            used += image.bytes.len();
            earlier.push((s, films.len(), paths));
            films.push(Film { configuration: i, seed: run.seed, frames: vec![(step_of(&last), image)] });
        }
        all.push(films);
    }
    let shown: usize = all.iter().map(Vec::len).sum();
    let each = used.checked_div(shown).unwrap_or(0).max(1);
    // Earlier pictures are hardly larger than the last one; where they are, the page is a little fuller.
    let frames = (BUDGET.saturating_sub(used) / (each * shown.max(1))).min(FRAMES - 1);
    for (s, film, paths) in earlier {
        let chosen = (0..frames.min(paths.len())).map(|i| &paths[i * paths.len() / frames.min(paths.len())]);
        let mut before: Vec<(u64, Picture)> = chosen.filter_map(|p| Some((step_of(p), shrunk(p)?))).collect();
        let film = &mut all[s][film];
        before.append(&mut film.frames);
        film.frames = before;
    }
    all
}

fn step_of(path: &Path) -> u64 {
    path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok()).unwrap_or(0)
}

/// A picture no wider than a page needs it: as it is where it is small, else as JPEG.
fn shrunk(path: &Path) -> Option<Picture> {
    const SMALL: usize = 30_000;
    let bytes = file::read(path).ok()?;
    let picture = image::load_from_memory(&bytes).ok()?.to_rgb8();
    if bytes.len() <= SMALL && picture.width() <= 2 * WIDE {
        return Some(Picture { kind: "png", bytes });
    }
    let wide = picture.width().min(WIDE);
    let high = (u64::from(picture.height()) * u64::from(wide) / u64::from(picture.width())).max(1) as u32;
    let picture =
        if wide < picture.width() { imageops::resize(&picture, wide, high, FilterType::CatmullRom) } else { picture };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 80).encode_image(&picture).ok()?;
    Some(Picture { kind: "jpeg", bytes })
}

fn run_table(html: &mut String, runs: &[Run]) {
    let header = ["run", "seed", "state", "step", "seconds", "steps/s", "why"].map(str::to_owned);
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
    let long = if runs.len() > RUNS { " data-long" } else { "" };
    *html += &format!("<details{long}><summary>Runs</summary>{}</details>\n", html_table(&header, &rows, 6));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (i, &byte)| word | u32::from(byte) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Runs, Sketch};
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (text, code) in cases {
            assert_eq!(base64(text.as_bytes()), code);
        }
        assert_eq!(base64(&[255, 239, 190]), "/+++");
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let words = |low, high| ticks(low, high).into_iter().map(short).collect::<Vec<_>>().join(" ");
        assert_eq!(words(0.0, 1.0), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(words(-3.0, 9.0), "-2 0 2 4 6 8");
        assert_eq!(words(95.0, 5000.0), "1000 2000 3000 4000 5000");
        assert_eq!(words(0.0012, 0.0013), "0.0012 0.00122 0.00124 0.00126 0.00128 0.0013");
    }

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
                let place = runs.add(Sketch { settings: &settings, seed, evals, ..Sketch::default() });
                let place = place.strip_prefix(runs.path()).expect("lies below").display().to_string();
                runs.write(&format!("{place}/metrics.csv"), scalars(seed));
                if seed == 0 && configuration < 30 {
                    for step in [10, 20, 30] {
                        runs.write(&format!("{place}/samples/{step:08}.png"), &picture);
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
                let place = runs.add(Sketch {
                    settings: &settings,
                    game,
                    seed,
                    evals: &[("w1", &values)],
                    ..Sketch::default()
                });
                let place = place.strip_prefix(runs.path()).expect("lies below").display().to_string();
                runs.write(&format!("{place}/samples/00000010.png"), noise(200));
                runs.write(&format!("{place}/samples/00000030.png"), noise(20));
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
            &base64(&noise(20)),
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
