//! One HTML page of an experiment that needs nothing beside itself: claims, table, curves, pictures, the TOML.

use super::compare::{Options, arrow, compare};
use super::group::{Configuration, configurations, count, count_text, metric_names};
use super::load::{LoadError, Run, load, state_word};
use super::stats::short;
use super::verify::{self, Verification, labels};
use crate::base::file;
use crate::eval::direction;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Configurations that are told apart by color; what is beyond is in the table.
const COLORS: usize = 7;
/// Points a curve has at most.
const POINTS: u64 = 200;
/// Sample pictures on a page at most; each is inside the file.
const PICTURES: usize = 24;

/// The page of a run, an experiment, or all experiments of a folder.
///
/// # Errors
/// If there is no run.
pub fn page(dir: &Path) -> Result<String, LoadError> {
    let runs = load(&[dir.to_owned()])?;
    let mut sections: BTreeMap<PathBuf, Vec<Run>> = BTreeMap::new();
    for run in runs {
        let folder = run.path.parent().map(Path::to_owned).unwrap_or_default();
        sections.entry(folder).or_default().push(run);
    }
    let names: Vec<String> = sections.values().map(|runs| runs[0].experiment.clone()).collect();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
        escape(&names.join(", ")),
        include_str!("page.css")
    );
    for (folder, runs) in &sections {
        section(&mut html, folder, runs);
    }
    html += "</body>\n</html>\n";
    Ok(html)
}

fn section(html: &mut String, folder: &Path, runs: &[Run]) {
    let text = file::read_text(&folder.join("experiment.toml")).ok();
    let document: toml::Table = text.as_deref().and_then(|t| toml::from_str(t).ok()).unwrap_or_default();
    let say = |key: &str| document.get(key).and_then(toml::Value::as_str);
    *html += &format!("<h1>{}</h1>\n", escape(&runs[0].experiment));
    if let Some(about) = say("about") {
        *html += &format!("<p>{}</p>\n", escape(about));
    }
    let states = count_text(&count(&runs.iter().collect::<Vec<_>>()));
    let paper = say("paper").map(|p| format!(" · {}", escape(p))).unwrap_or_default();
    *html += &format!("<p class=\"faint\">{states}{paper} · {}</p>\n", escape(&made_with(runs)));

    let subjects = verify::subjects(&[folder.to_owned()], folder).unwrap_or_default();
    claims(html, &verify::verify(&subjects));
    table(html, runs);
    let configurations = configurations(runs);
    let labels = labels(&configurations);
    curves(html, runs, &configurations, &labels);
    pictures(html, &configurations, &labels);
    run_table(html, runs);
    if let Some(text) = text {
        *html += &format!("<details><summary>The experiment</summary><pre>{}</pre></details>\n", escape(&text));
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
    for claim in claims {
        let word = claim.verdict.word();
        let paper = claim.paper.map(|p| format!("; the paper has {}", short(p))).unwrap_or_default();
        *html += &format!("<div class=\"claim {word}\"><p><b>{word}</b> {}</p>\n", escape(&claim.says));
        for part in &claim.parts {
            *html += &format!("<p>{}</p>\n", escape(&verify::part_text(claim, part)));
        }
        *html += &format!(
            "<p class=\"faint\">asked: {} {}, {}{paper}. {}</p></div>\n",
            escape(&claim.metric),
            escape(&claim.asked),
            escape(&claim.over),
            escape(&claim.reason)
        );
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
    *html += &html_table(&header, &rows);
    *html += "<p class=\"faint\">mean ± deviation over seeds @ step, and the 95 % interval of the mean</p>\n";
    for note in &comparison.notes {
        *html += &format!("<p class=\"faint\">note: {}</p>\n", escape(note));
    }
}

fn html_table(header: &[String], rows: &[Vec<String>]) -> String {
    let line = |tag: &str, cells: &[String]| {
        let cells = cells.iter().map(|c| format!("<{tag}>{}</{tag}>", escape(c).replace('\n', "<br>")));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body: String = rows.iter().map(|row| line("td", row)).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>{body}</tbody></table></div>\n",
        line("th", header)
    )
}

fn curves(html: &mut String, runs: &[Run], configurations: &[Configuration<'_>], labels: &[String]) {
    let metrics = metric_names(runs);
    let scalars: BTreeSet<String> = runs.iter().flat_map(|r| r.scalars.keys().cloned()).collect();
    *html += "<h2>Curves</h2>\n";
    if configurations.len() > 1 {
        *html += "<ul class=\"legend\">";
        for (i, label) in labels.iter().enumerate().take(COLORS) {
            *html += &format!("<li><i style=\"background:var(--c{i})\"></i>{}</li>", escape(label));
        }
        *html += "</ul>\n";
    }
    let more = configurations.len().saturating_sub(COLORS);
    let more = if more > 0 { format!("; {more} more configurations are in the table") } else { String::new() };
    *html += &format!(
        "<p class=\"faint\">Lines are means over seeds, bands reach from the lowest to the highest{more}.</p>\n"
    );
    for (open, names) in [(" open", metrics), ("", scalars.into_iter().collect())] {
        let figures: Vec<String> = names
            .iter()
            .filter_map(|name| {
                let caption = escape(&(name.clone() + &arrow(direction(name))));
                Some(format!("<figure><figcaption>{caption}</figcaption>{}</figure>\n", chart(name, configurations)?))
            })
            .collect();
        if !figures.is_empty() {
            let title = if open.is_empty() { "Training" } else { "Evaluation" };
            let figures = figures.concat();
            *html +=
                &format!("<details{open}><summary>{title}</summary><div class=\"cards\">\n{figures}</div></details>\n");
        }
    }
}

/// A configuration's curve: step, mean, lowest, highest.
type Curve = Vec<(f64, f64, f64, f64)>;

fn curve(metric: &str, configuration: &Configuration<'_>, width: u64) -> Curve {
    // A bucket of steps holds a mean a run, so that a run with more rows weighs no more.
    let mut buckets: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in &configuration.runs {
        let mut own: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (step, value) in run.series(metric).into_iter().filter(|(_, v)| v.is_finite()) {
            own.entry(step / width).or_default().push(value);
        }
        for (bucket, values) in own {
            buckets.entry(bucket).or_default().push(mean(&values));
        }
    }
    let point = |(bucket, values): (u64, Vec<f64>)| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        ((bucket * width) as f64, mean(&values), low, high)
    };
    buckets.into_iter().map(point).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A chart of a metric as SVG; `None` where there are not two steps to draw a line between.
fn chart(metric: &str, configurations: &[Configuration<'_>]) -> Option<String> {
    const LEFT: f64 = 52.0;
    const RIGHT: f64 = 352.0;
    const TOP: f64 = 8.0;
    const BOTTOM: f64 = 184.0;
    let last =
        configurations.iter().flat_map(|c| &c.runs).filter_map(|r| r.series(metric).last().map(|(s, _)| *s)).max()?;
    let width = (last / POINTS).max(1);
    let curves: Vec<Curve> = configurations.iter().take(COLORS).map(|c| curve(metric, c, width)).collect();
    if curves.iter().all(|c| c.len() < 2) {
        return None;
    }
    let points = || curves.iter().flatten();
    let (from, to) = points().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), p| (a.min(p.0), b.max(p.0)));
    let (bottom, top) = range(points().flat_map(|p| [p.1, p.2, p.3]).collect());
    let x = |step: f64| LEFT + (step - from) / (to - from) * (RIGHT - LEFT);
    // Far outside there is nothing to see; near it the clip cuts the line.
    let y = |v: f64| (BOTTOM - (v - bottom) / (top - bottom) * (BOTTOM - TOP)).clamp(-2000.0, 2000.0);
    let id: String = metric.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut svg = format!("<svg viewBox=\"0 0 360 204\" role=\"img\" aria-label=\"{}\">", escape(metric));
    write!(
        svg,
        "<clipPath id=\"clip-{id}\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>",
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
    svg += &format!("<g clip-path=\"url(#clip-{id})\">");
    for (i, curve) in curves.iter().enumerate() {
        let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
            points.map(|(step, v)| format!("{:.1},{:.1}", x(step), y(v))).collect::<Vec<_>>().join(" ")
        };
        if curve.iter().any(|p| p.3 > p.2) {
            let band = path(&mut curve.iter().map(|p| (p.0, p.2)).chain(curve.iter().rev().map(|p| (p.0, p.3))));
            svg += &format!("<polygon class=\"band\" style=\"fill:var(--c{i})\" points=\"{band}\"/>");
        }
        let line = path(&mut curve.iter().map(|p| (p.0, p.1)));
        svg += &format!("<polyline class=\"mean\" style=\"stroke:var(--c{i})\" points=\"{line}\"/>");
    }
    Some(svg + "</g></svg>")
}

/// The range that shows what matters: all numbers but the outermost hundredth on each side, which a run that runs away
/// would stretch to infinity.
fn range(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 100;
    let (low, high) = (values[cut], values[values.len() - 1 - cut]);
    let margin = if high > low { (high - low) * 0.05 } else { low.abs().max(1.0) * 0.05 };
    (low - margin, high + margin)
}

/// A few round numbers of a range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&s| s >= rough).unwrap_or(rough);
    #[expect(clippy::cast_possible_truncation, reason = "a range holds a handful of steps")]
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

fn pictures(html: &mut String, configurations: &[Configuration<'_>], labels: &[String]) {
    let inline = |path: &Path| {
        let bytes = file::read(path).ok()?;
        Some(format!("<img alt=\"\" src=\"data:image/png;base64,{}\">", base64(&bytes)))
    };
    let mut figures = Vec::new();
    let real = configurations.iter().flat_map(|c| &c.runs).find_map(|r| r.real_picture());
    if let Some(image) = real.as_deref().and_then(inline) {
        figures.push(format!("<figure>{image}<figcaption>data</figcaption></figure>\n"));
    }
    let mut left_out = 0;
    for (configuration, label) in configurations.iter().zip(labels) {
        let Some((run, path)) = configuration.runs.iter().find_map(|r| Some((r, r.picture()?))) else { continue };
        if figures.len() >= PICTURES {
            left_out += 1;
            continue;
        }
        let Some(image) = inline(&path) else { continue };
        let step = path.file_stem().map(|s| s.to_string_lossy().trim_start_matches('0').to_owned()).unwrap_or_default();
        let seed = run.seed.map(|s| format!("seed {s}, ")).unwrap_or_default();
        let label = if label.is_empty() { String::new() } else { format!("{}: ", escape(label)) };
        figures.push(format!("<figure>{image}<figcaption>{label}{seed}step {step}</figcaption></figure>\n"));
    }
    if !figures.is_empty() {
        *html += &format!("<h2>Samples</h2>\n<div class=\"cards\">\n{}</div>\n", figures.concat());
    }
    if left_out > 0 {
        *html += &format!("<p class=\"faint\">{left_out} more configurations have pictures in their folders.</p>\n");
    }
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
    *html += &format!("<details><summary>Runs</summary>{}</details>\n", html_table(&header, &rows));
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

    #[test]
    fn a_run_that_runs_away_does_not_flatten_the_others() {
        let mut values: Vec<f64> = (0..400).map(f64::from).collect();
        values.extend([1e30, -1e30]);
        let (low, high) = range(values);
        assert!(low > -50.0 && high < 450.0, "{low} {high}");
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
                runs.write(&format!("{place}/samples/00000030.png"), b"the picture");
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
            &base64(b"the picture"),
            "seed 0, step 30",
            "at-most = 9",
            "prefers-color-scheme: dark",
            "gantlet 0.1.0",
        ] {
            assert!(html.contains(part), "the page lacks {part}");
        }
        // Nothing is fetched, and nothing runs.
        for part in ["http:", "https:", "<script", "<link", "@import", "url(//"] {
            assert!(!html.contains(part), "the page has {part}");
        }
    }
}
