//! Plots: densities in one dimension, scatters in two, curves over training.

use super::axes::{Axes, LABEL, Scale};
use super::canvas::{Anchor, Area, Canvas, Color, Point};
use super::{DECISION, FAINT, FAKE, GRID, INK, PAPER, REAL, REAL_LINE, SERIES, font};
use crate::base::Array;
use image::RgbImage;

/// The real side of a density picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Real1d<'a> {
    /// Examples.
    Samples(&'a [f32]),
    /// The exact law N(mean, std²).
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
}

/// What a density picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Density1d<'a> {
    /// The data.
    pub real: Real1d<'a>,
    /// Samples.
    pub fake: &'a [f32],
    /// Places, and the discriminator's value in [0, 1] at each.
    pub decision: Option<(&'a [f32], &'a [f32])>,
    /// The values that the picture spans.
    pub range: (f32, f32),
    /// What it shows: the run.
    pub title: &'a str,
    /// A second line: step and numbers.
    pub caption: &'a str,
}

/// The density of the data (filled orange), that of the samples (blue) and the decision surface (green, right axis) over
/// one dimension. The vertical scale depends on the data alone, so that the frames of an animation share it.
pub fn density(view: &Density1d) -> RgbImage {
    let (low, high) = (f64::from(view.range.0), f64::from(view.range.1));
    let x = Scale::new(low, high, false);
    let places: Vec<f64> = (0..PLACES).map(|i| x.low + (x.high - x.low) * i as f64 / (PLACES - 1) as f64).collect();
    let real = match view.real {
        Real1d::Samples(samples) => smoothed(samples, &places),
        Real1d::Normal { mean, std } => {
            let density = |at: &f64| (-0.5 * ((at - mean) / std).powi(2)).exp() / (std * std::f64::consts::TAU.sqrt());
            places.iter().map(density).collect()
        }
    };
    let fake = smoothed(view.fake, &places);
    let peak = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let top = if peak(&real) > 0.0 { peak(&real) * 1.5 } else { 1.0 };

    let mut canvas = Canvas::new(880, 540, PAPER);
    let mut legend = vec![Key { label: "data".into(), color: REAL_LINE, mark: Mark::Filled }];
    if !view.fake.is_empty() {
        legend.push(Key { label: generated(view, peak(&fake), top), color: FAKE, mark: Mark::Filled });
    }
    if view.decision.is_some() {
        legend.push(Key { label: "D(x)".into(), color: DECISION, mark: Mark::Line });
    }
    let start = head(&mut canvas, view.title, view.caption, &legend, 76.0);
    let right = if view.decision.is_some() { 804.0 } else { 856.0 };
    let axes = Axes { area: Area { left: 76.0, top: start, right, bottom: 482.0 }, x, y: Scale::new(0.0, top, false) };
    axes.grid(&mut canvas, 5);
    // A line at the very top is as thick as elsewhere.
    canvas.clip(Some(Area { top: axes.area.top - 1.0, ..axes.area }));
    let curve = |values: &[f64]| -> Vec<Point> { places.iter().zip(values).map(|(&x, &y)| axes.at(x, y)).collect() };
    // Where there is nothing, no line runs along the axis.
    let visible =
        |values: &[f64]| values.iter().map(|&y| if y > top * 0.001 { y } else { f64::NAN }).collect::<Vec<_>>();
    for (values, fill, line, alpha) in [(&real, REAL, REAL_LINE, 0.38), (&fake, FAKE, FAKE, 0.22)] {
        fill_below(&mut canvas, &curve(values), axes.area.bottom, fill, alpha);
        canvas.line(&curve(&visible(values)), 2.4, line, 1.0);
    }
    if let Some((xs, ds)) = view.decision {
        let probability = Scale::new(0.0, 1.0, false);
        let at = |x: f32, d: f32| {
            let up = probability.share(f64::from(d)) as f32 * axes.area.height();
            (axes.at(f64::from(x), 0.0).0, axes.area.bottom - up)
        };
        let middle = at(0.0, 0.5).1.round() + 0.5;
        canvas.dashes((axes.area.left, middle), (axes.area.right, middle), 1.0, DECISION, 0.6);
        let line: Vec<Point> = xs.iter().zip(ds).map(|(&x, &d)| at(x, d)).collect();
        canvas.line(&line, 1.8, DECISION, 1.0);
        canvas.clip(None);
        axes.right(&mut canvas, probability, 5, "D(x)", DECISION);
    }
    canvas.clip(None);
    axes.bottom(&mut canvas, 9, "x");
    axes.left(&mut canvas, 5, "density");
    canvas.finish()
}

/// At how many places densities are drawn.
const PLACES: usize = 729;

/// The legend's word for samples, with what the picture cannot show of them.
fn generated(view: &Density1d, peak: f64, top: f64) -> String {
    let inside = |v: &&f32| (view.range.0..=view.range.1).contains(*v);
    let outside = view.fake.len() - view.fake.iter().filter(inside).count();
    let mut notes = Vec::new();
    if peak > top {
        notes.push(format!("peak {peak:.1}"));
    }
    if outside > 0 {
        let percent = 100.0 * outside as f64 / view.fake.len() as f64;
        notes.push(if percent < 1.0 { "<1% outside".into() } else { format!("{percent:.0}% outside") });
    }
    if notes.is_empty() { "generated".into() } else { format!("generated ({})", notes.join(", ")) }
}

/// A kernel density at evenly spaced places. The Gaussian kernel is two thirds as wide as Silverman's rule says, which would melt
/// the modes of a mixture, and never narrower than the picture can show. Samples outside the places count in the total.
fn smoothed(samples: &[f32], places: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = samples.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v)).collect();
    let n = finite.len();
    let (low, step) = (places[0], places[1] - places[0]);
    let mut out = vec![0.0; places.len()];
    if n == 0 {
        return out;
    }
    finite.sort_unstable_by(f64::total_cmp);
    let mean = finite.iter().sum::<f64>() / n as f64;
    let std = (finite.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
    let quartiles = (finite[n * 3 / 4] - finite[n / 4]) / 1.34;
    let spread = if quartiles > 0.0 { std.min(quartiles) } else { std };
    let width = (0.6 * spread * (n as f64).powf(-0.2)).clamp(1.5 * step, 40.0 * step);

    let mut counts = vec![0.0; places.len()];
    for value in finite {
        let at = (value - low) / step;
        if at >= 0.0 && at <= (places.len() - 1) as f64 {
            let (cell, rest) = (at as usize, at.fract());
            counts[cell] += 1.0 - rest;
            counts[(cell + 1).min(places.len() - 1)] += rest;
        }
    }
    let reach = (4.0 * width / step).ceil() as usize;
    let kernel: Vec<f64> = (0..=reach).map(|i| (-0.5 * (i as f64 * step / width).powi(2)).exp()).collect();
    let scale = 1.0 / (n as f64 * width * std::f64::consts::TAU.sqrt());
    for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let range = i.saturating_sub(reach)..=(i + reach).min(places.len() - 1);
        for j in range {
            out[j] += count * scale * kernel[i.abs_diff(j)];
        }
    }
    out
}

/// Fills between a curve from left to right and a level below it.
fn fill_below(canvas: &mut Canvas, curve: &[Point], bottom: f32, color: Color, alpha: f32) {
    fill_between(canvas, curve, &curve.iter().map(|&(x, _)| (x, bottom)).collect::<Vec<_>>(), color, alpha);
}

/// Fills between two curves from left to right at the same places, a column of pixels at a time.
fn fill_between(canvas: &mut Canvas, upper: &[Point], lower: &[Point], color: Color, alpha: f32) {
    let mut piece = 0;
    let (Some(first), Some(last)) = (upper.first(), upper.last()) else { return };
    let (columns, _) = canvas.pixels(Area { left: first.0, right: last.0, top: 0.0, bottom: 1.0 });
    for column in columns {
        let x = column as f32 + 0.5;
        while piece + 2 < upper.len() && upper[piece + 1].0 < x {
            piece += 1;
        }
        let Some(next) = upper.get(piece + 1) else { return };
        let share = ((x - upper[piece].0) / (next.0 - upper[piece].0)).clamp(0.0, 1.0);
        let between = |curve: &[Point]| curve[piece].1 + (curve[piece + 1].1 - curve[piece].1) * share;
        let area =
            Area { left: column as f32, right: column as f32 + 1.0, top: between(upper), bottom: between(lower) };
        if area.top.is_finite() && area.bottom.is_finite() {
            canvas.rectangle(area, color, alpha);
        }
    }
}

/// A function over the plane, for the ground of a scatter.
#[derive(Clone, Debug, PartialEq)]
pub struct Surface {
    /// `side × side` values; the first row lies at the smallest second coordinate, the first value at the smallest first.
    pub values: Vec<f32>,
    /// How many values a row has.
    pub side: usize,
    /// Where the first and the last value of each row and column lie.
    pub range: (f32, f32),
}

impl Surface {
    /// The value between the known ones, in a straight line; the nearest known one outside.
    fn at(&self, x: f32, y: f32) -> f32 {
        let last = self.side - 1;
        let place = |v: f32| {
            let at = ((v - self.range.0) / (self.range.1 - self.range.0)).clamp(0.0, 1.0) * last as f32;
            let cell = (at as usize).min(last.saturating_sub(1));
            (cell, at - cell as f32)
        };
        let ((column, right), (row, up)) = (place(x), place(y));
        let known = |row: usize, column: usize| self.values[row.min(last) * self.side + column.min(last)];
        let along = |row: usize| known(row, column) * (1.0 - right) + known(row, column + 1) * right;
        along(row) * (1.0 - up) + along(row + 1) * up
    }
}

/// What a scatter shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter2d<'a> {
    /// The data, `[n, 2]`.
    pub real: &'a Array,
    /// Samples, `[n, 2]`.
    pub fake: &'a Array,
    /// What the critic says of each place.
    pub surface: Option<Surface>,
    /// The values that both axes span.
    pub range: (f32, f32),
    /// What it shows: the run.
    pub title: &'a str,
    /// A second line: step and numbers.
    pub caption: &'a str,
}

/// Where the critic's value is low, between, and high.
const SURFACE_LOW: Color = [190, 209, 230];
const SURFACE_MIDDLE: Color = [238, 238, 235];
const SURFACE_HIGH: Color = [253, 229, 182];
/// How many steps the contour lines divide the surface into.
const CONTOURS: f32 = 12.0;
/// More points than these hide each other.
const MOST_POINTS: usize = 4000;

/// Data (hollow orange) and samples (blue) in the plane, over the critic's surface with contour lines: warm where it takes
/// points for data, cool where not. Shows the first 4,000 points of each.
pub fn scatter(view: &Scatter2d) -> RgbImage {
    let scale = Scale::new(f64::from(view.range.0), f64::from(view.range.1), false);
    let mut canvas = Canvas::new(720, 772, PAPER);
    let mut legend = vec![Key { label: "data".into(), color: REAL_LINE, mark: Mark::Ring }];
    if view.fake.rows() > 0 {
        legend.push(Key { label: outside_of(view), color: FAKE, mark: Mark::Disc });
    }
    if view.surface.is_some() {
        legend.push(Key { label: "critic low → high".into(), color: FAINT, mark: Mark::Tones });
    }
    let start = head(&mut canvas, view.title, view.caption, &legend, 56.0);
    let side = (772.0 - start - 38.0).min(720.0 - 56.0 - 20.0).floor();
    let area = Area { left: 56.0, top: start, right: 56.0 + side, bottom: start + side };
    let axes = Axes { area, x: scale, y: scale };
    if let Some(surface) = view.surface.as_ref().filter(|surface| surface.side > 1) {
        ground(&mut canvas, &axes, surface);
    }
    canvas.clip(Some(area));
    let points = |x: &Array| -> Vec<Point> {
        let row = |i| (f64::from(x.row(i)[0]), f64::from(x.row(i)[1]));
        (0..x.rows().min(MOST_POINTS)).map(row).map(|(x, y)| axes.at(x, y)).collect()
    };
    let (real, fake) = (points(view.real), points(view.fake));
    // Many points are drawn lighter, so that their density shows.
    let alpha = |n: usize| (0.85 * (500.0 / n.max(1) as f32).powf(0.35)).clamp(0.3, 0.85);
    for &point in &real {
        canvas.ring(point, 2.9, 1.3, REAL_LINE, alpha(real.len()));
    }
    for &point in &fake {
        canvas.disc(point, 2.3, FAKE, alpha(fake.len()));
    }
    canvas.clip(None);
    let Area { left, top, right, bottom } = area;
    let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    canvas.line(&frame.map(|(x, y)| (x.round() + 0.5, y.round() + 0.5)), 1.0, FAINT, 1.0);
    axes.bottom(&mut canvas, 7, "");
    axes.left(&mut canvas, 7, "");
    canvas.finish()
}

/// The legend's word for samples, with the share that the picture cannot show.
fn outside_of(view: &Scatter2d) -> String {
    let n = view.fake.rows();
    let inside = |&i: &usize| view.fake.row(i).iter().all(|v| (view.range.0..=view.range.1).contains(v));
    let outside = n - (0..n).filter(inside).count();
    match 100.0 * outside as f64 / n.max(1) as f64 {
        0.0 => "generated".into(),
        share if share < 1.0 => "generated (<1% outside)".into(),
        share => format!("generated ({share:.0}% outside)"),
    }
}

/// The critic's surface as two tones with contour lines. The tones span the middle 98 % of its values, so that one steep
/// corner does not flatten the rest.
fn ground(canvas: &mut Canvas, axes: &Axes, surface: &Surface) {
    let mut sorted: Vec<f32> = surface.values.iter().copied().filter(|v| v.is_finite()).collect();
    if sorted.is_empty() {
        return;
    }
    sorted.sort_unstable_by(f32::total_cmp);
    let quantile = |q: f32| sorted[((sorted.len() - 1) as f32 * q).round() as usize];
    let (low, high) = (quantile(0.01), quantile(0.99));
    if high <= low {
        return;
    }
    let (columns, rows) = canvas.pixels(axes.area);
    let level = |column: u32, row: u32| {
        let across = (column as f32 + 0.5 - axes.area.left) / axes.area.width();
        let up = (axes.area.bottom - row as f32 - 0.5) / axes.area.height();
        let value = |share: f32, scale: Scale| (scale.low + (scale.high - scale.low) * f64::from(share)) as f32;
        (surface.at(value(across, axes.x), value(up, axes.y)) - low) / (high - low)
    };
    // One column and one row more than is drawn, for the slopes.
    let of_row = |row: u32| -> Vec<f32> { (columns.start..=columns.end).map(|column| level(column, row)).collect() };
    let mut below = of_row(rows.start);
    for row in rows {
        let here = std::mem::replace(&mut below, of_row(row + 1));
        for (i, column) in columns.clone().enumerate() {
            let level = here[i];
            if !level.is_finite() {
                continue;
            }
            let tone = (level.clamp(0.0, 1.0) - 0.5) * 2.0;
            let color = if tone < 0.0 { SURFACE_LOW } else { SURFACE_HIGH };
            canvas.blend(column, row, SURFACE_MIDDLE, 1.0);
            canvas.blend(column, row, color, tone.abs());
            // How many pixels away the nearest contour is: its distance in levels over the slope.
            let steps = level * CONTOURS;
            let slope = ((here[i + 1] - level).hypot(below[i] - level) * CONTOURS).max(1e-9);
            let distance = (steps - steps.round()).abs() / slope;
            let covered = (1.0 - distance).clamp(0.0, 1.0);
            // Where contours are closer than a few pixels they would run together into gray.
            canvas.blend(column, row, FAINT, 0.42 * covered * (1.0 - slope * 3.0).clamp(0.0, 1.0));
        }
    }
}

/// A line of a curves picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Step and value, by rising steps; a value that is not finite interrupts the line.
    pub points: Vec<(f64, f64)>,
    /// The low and the high end of a band at each point: as many as points.
    pub band: Option<Vec<(f64, f64)>>,
}

/// What a curves picture shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// What it shows.
    pub title: String,
    /// A second line.
    pub caption: String,
    /// Under the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis.
    pub y_label: String,
    /// A logarithmic vertical axis; values of 0 or below are left out.
    pub log: bool,
    /// What the vertical axis spans; all that there is where it is `None`.
    pub range: Option<(f64, f64)>,
    /// The lines.
    pub series: Vec<Series>,
}

impl Curves {
    /// What both axes span.
    pub(super) fn scales(&self) -> (Scale, Scale) {
        let shown = |v: f64| v.is_finite() && (!self.log || v > 0.0);
        let (mut x_range, mut y_range) = (Bounds::default(), Bounds::default());
        for series in &self.series {
            for (i, &(x, y)) in series.points.iter().enumerate() {
                let ends = series.band.as_ref().and_then(|band| band.get(i)).map_or([y, y], |&(low, high)| [low, high]);
                if x.is_finite() {
                    x_range.take(x);
                }
                [y, ends[0], ends[1]].into_iter().filter(|&v| shown(v)).for_each(|v| y_range.take(v));
            }
        }
        let y = self.range.map_or_else(|| y_range.padded(self.log), |(low, high)| Scale::new(low, high, self.log));
        (Scale::new(x_range.low, x_range.high, false), y)
    }
}

/// Lines over steps, with bands. After seven series the colors start over, in dashes.
pub fn curves(view: &Curves) -> RgbImage {
    let mut canvas = Canvas::new(880, 500, PAPER);
    let style = |i: usize| (SERIES[i % SERIES.len()], i >= SERIES.len());
    let key = |(i, series): (usize, &Series)| {
        let (color, dashed) = style(i);
        Key { label: series.name.clone(), color, mark: if dashed { Mark::Dashes } else { Mark::Line } }
    };
    let legend: Vec<Key> = view.series.iter().enumerate().map(key).collect();
    let start = head(&mut canvas, &view.title, &view.caption, &legend, 76.0);

    let shown = |v: f64| v.is_finite() && (!view.log || v > 0.0);
    let (x, y) = view.scales();
    let area = Area { left: 76.0, top: start, right: 856.0, bottom: 442.0 };
    let axes = Axes { area, x, y };
    axes.grid(&mut canvas, 5);
    canvas.clip(Some(area));
    let at = |x: f64, y: f64| axes.at(x, if shown(y) { y } else { f64::NAN });
    for (i, series) in view.series.iter().enumerate() {
        if let Some(band) = &series.band {
            let side = |pick: fn(&(f64, f64)) -> f64| -> Vec<Point> {
                series.points.iter().zip(band).map(|(&(x, _), ends)| at(x, pick(ends))).collect()
            };
            fill_between(&mut canvas, &side(|ends| ends.1), &side(|ends| ends.0), style(i).0, 0.16);
        }
    }
    for (i, series) in view.series.iter().enumerate() {
        let line: Vec<Point> = series.points.iter().map(|&(x, y)| at(x, y)).collect();
        let (color, dashed) = style(i);
        match &line[..] {
            [point] => canvas.disc(*point, 3.0, color, 1.0),
            _ if dashed => canvas.strokes(&dashed_line(&line), 2.0, color, 1.0),
            _ => canvas.line(&line, 2.0, color, 1.0),
        }
    }
    canvas.clip(None);
    axes.bottom(&mut canvas, 8, &view.x_label);
    axes.left(&mut canvas, 5, &view.y_label);
    canvas.finish()
}

/// The smallest and largest of what it was given.
struct Bounds {
    low: f64,
    high: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY }
    }
}

impl Bounds {
    fn take(&mut self, value: f64) {
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
    }

    /// A scale with a little air above and below; one that starts near 0 starts at 0.
    fn padded(&self, log: bool) -> Scale {
        if log {
            return Scale::new(self.low / 1.2, self.high * 1.2, true);
        }
        let air = (self.high - self.low) * 0.05;
        let from_zero = self.low >= 0.0 && self.low < 0.35 * self.high;
        Scale::new(if from_zero { 0.0 } else { self.low - air }, self.high + air, false)
    }
}

/// Cuts a line into dashes by the length along it.
fn dashed_line(line: &[Point]) -> Vec<Vec<Point>> {
    const DASH: f32 = 7.0;
    const PERIOD: f32 = 11.0;
    let mut dashes = Vec::new();
    let mut along = 0.0_f32;
    for ends in line.windows(2) {
        let (a, b) = (ends[0], ends[1]);
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        if !length.is_finite() || length == 0.0 {
            continue;
        }
        let at = |d: f32| (a.0 + (b.0 - a.0) * d / length, a.1 + (b.1 - a.1) * d / length);
        let mut from = -(along % PERIOD);
        while from < length {
            if from + DASH > 0.0 {
                dashes.push(vec![at(from.max(0.0)), at((from + DASH).min(length))]);
            }
            from += PERIOD;
        }
        along += length;
    }
    dashes
}

/// How a legend shows what it names.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mark {
    Line,
    Dashes,
    Filled,
    Ring,
    Disc,
    Tones,
}

/// An entry of a legend.
struct Key {
    label: String,
    color: Color,
    mark: Mark,
}

/// Title, caption and legend at the top; gives where the plot may start.
fn head(canvas: &mut Canvas, title: &str, caption: &str, legend: &[Key], left: f32) -> f32 {
    const RIGHT: f32 = 24.0;
    let right = canvas.pixels(Area { left: 0.0, top: 0.0, right: f32::MAX, bottom: 1.0 }).0.end as f32 - RIGHT;
    let mut y = 14.0;
    if !title.is_empty() {
        y += 18.0;
        canvas.heading((left, y), title, 20.0, Anchor::Left, INK);
        y += 6.0;
    }
    if !caption.is_empty() {
        y += 16.0;
        canvas.text((left, y), caption, 15.0, Anchor::Left, FAINT.map(|v| v - 30));
        y += 6.0;
    }
    let mut x = left;
    if !legend.is_empty() {
        y += 19.0;
    }
    for key in legend {
        let wide = 28.0 + font::width(&key.label, LABEL) + 22.0;
        if x > left && x + wide - 22.0 > right {
            (x, y) = (left, y + 20.0);
        }
        mark(canvas, (x, y - 5.0), key);
        canvas.text((x + 28.0, y), &key.label, LABEL, Anchor::Left, INK);
        x += wide;
    }
    (y + 14.0).round()
}

/// The sign before a legend's word, 20 pixels wide around the height of `y`.
fn mark(canvas: &mut Canvas, (x, y): Point, key: &Key) {
    let swatch = Area { left: x, right: x + 20.0, top: y - 5.0, bottom: y + 5.0 };
    match key.mark {
        Mark::Line => canvas.line(&[(x + 1.0, y), (x + 19.0, y)], 2.4, key.color, 1.0),
        Mark::Dashes => canvas.strokes(&dashed_line(&[(x, y), (x + 20.0, y)]), 2.4, key.color, 1.0),
        Mark::Filled => {
            canvas.rectangle(swatch, key.color, 0.3);
            canvas.line(&[(x + 1.0, y - 5.0), (x + 19.0, y - 5.0)], 2.4, key.color, 1.0);
        }
        Mark::Ring => canvas.ring((x + 12.0, y), 4.0, 1.6, key.color, 1.0),
        Mark::Disc => canvas.disc((x + 12.0, y), 4.0, key.color, 1.0),
        Mark::Tones => {
            canvas.rectangle(Area { right: x + 10.0, ..swatch }, SURFACE_LOW, 1.0);
            canvas.rectangle(Area { left: x + 10.0, ..swatch }, SURFACE_HIGH, 1.0);
            let Area { left, right, top, bottom } = swatch;
            let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
            canvas.line(&frame, 1.0, GRID.map(|v| v - 40), 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    fn normals(seed: u64, n: usize, mean: f32, std: f32) -> Vec<f32> {
        let mut out = vec![0.0; n];
        Stream::new(seed, Purpose::Preview, 0, 0).fill_normal(&mut out, mean, std);
        out
    }

    /// Whether a pixel is nearer to a color than to the paper.
    fn is_near(picture: &RgbImage, (x, y): (u32, u32), color: Color) -> bool {
        let pixel = picture.get_pixel(x, y).0;
        let distance = |to: Color| pixel.iter().zip(to).map(|(&a, b)| i32::from(a.abs_diff(b)).pow(2)).sum::<i32>();
        distance(color) < distance(PAPER)
    }

    #[test]
    fn a_kernel_density_is_that_of_the_normal_law_and_sums_to_the_share_inside() {
        let places: Vec<f64> = (0..=800).map(|i| -4.0 + 0.01 * f64::from(i)).collect();
        let estimate = smoothed(&normals(1, 20_000, 0.0, 1.0), &places);
        let law = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let worst = places.iter().zip(&estimate).map(|(&x, &d)| (d - law(x)).abs()).fold(0.0, f64::max);
        assert!(worst < 0.03, "{worst}");
        let sum: f64 = estimate.iter().sum::<f64>() * 0.01;
        assert!((sum - 1.0).abs() < 0.01, "{sum}");
        let half = smoothed(&[0.0, 0.0, 99.0, 99.0], &places).iter().sum::<f64>() * 0.01;
        assert!((half - 0.5).abs() < 1e-3, "{half}");
        assert!(smoothed(&[f32::NAN], &places).iter().all(|&d| d == 0.0));
    }

    #[test]
    fn a_density_shows_data_samples_and_decision_where_they_are() {
        let fake = normals(2, 5000, -2.0, 0.5);
        let xs: Vec<f32> = (0..=100).map(|i| -4.0 + 0.08 * i as f32).collect();
        let ds = vec![0.9; 101];
        let view = Density1d {
            real: Real1d::Normal { mean: 2.0, std: 0.5 },
            fake: &fake,
            decision: Some((&xs, &ds)),
            range: (-4.0, 4.0),
            title: "a",
            caption: "b",
        };
        let picture = density(&view);
        assert_eq!(picture.dimensions(), (880, 540));
        assert_eq!(picture, density(&view));
        // The plot spans x = 76..804 and ends at y = 482: 2.0 lies at x = 622, −2.0 at 258; both peaks are 2/3 high.
        let (orange, blue) = (picture.get_pixel(622, 470).0, picture.get_pixel(258, 470).0);
        assert!(orange[0] > orange[2] + 60 && blue[2] > blue[0] + 25, "{orange:?} {blue:?}");
        assert_eq!(picture.get_pixel(440, 470).0, PAPER);
        let green = |y: u32| is_near(&picture, (440, y), DECISION);
        let start = (90..482).find(|&y| green(y)).expect("the decision line");
        let top = (482.0 - start as f32) / 0.9;
        assert!((370.0..=420.0).contains(&top), "{top}");
    }

    #[test]
    fn the_legend_says_what_the_picture_cannot_show() {
        let view = |fake: &'static [f32]| Density1d {
            real: Real1d::Normal { mean: 0.0, std: 1.0 },
            fake,
            decision: None,
            range: (-4.0, 4.0),
            title: "",
            caption: "",
        };
        assert_eq!(generated(&view(&[0.0, 1.0]), 0.3, 0.6), "generated");
        assert_eq!(generated(&view(&[0.0, 9.0, f32::NAN, 1.0]), 7.25, 0.6), "generated (peak 7.2, 50% outside)");
    }

    #[test]
    fn a_surface_lies_the_right_way_up() {
        let surface = Surface { values: vec![0.0, 1.0, 2.0, 3.0], side: 2, range: (-1.0, 1.0) };
        assert_eq!([surface.at(-1.0, -1.0), surface.at(1.0, -1.0), surface.at(-1.0, 1.0)], [0.0, 1.0, 2.0]);
        assert_eq!((surface.at(0.0, 0.0), surface.at(9.0, 9.0)), (1.5, 3.0));
    }

    #[test]
    fn a_scatter_has_samples_over_data_over_the_ground() {
        let real = Array::new(vec![1, 2], vec![-1.0, 1.0]);
        let fake = Array::new(vec![2, 2], vec![1.0, -1.0, 7.0, 0.0]);
        let values = (0..400).map(|i| (i % 20) as f32).collect();
        let view = Scatter2d {
            real: &real,
            fake: &fake,
            surface: Some(Surface { values, side: 20, range: (-2.0, 2.0) }),
            range: (-2.0, 2.0),
            title: "a",
            caption: "b",
        };
        let picture = scatter(&view);
        assert_eq!(picture.dimensions(), (720, 772));
        assert_eq!(picture, scatter(&view));
        assert_eq!(outside_of(&view), "generated (50% outside)");
        // The plot starts at x = 56; the point (1, −1) lies at three quarters both across and down.
        let left = 57;
        let row = 500;
        let (low, high) = (picture.get_pixel(left + 3, row).0, picture.get_pixel(690, row).0);
        assert!(low[2] > low[0] && high[0] > high[2], "{low:?} {high:?}");
        let blue = picture.enumerate_pixels().filter(|(_, y, p)| *y > 120 && p.0[2].saturating_sub(p.0[0]) > 120);
        let (mut n, mut x_sum, mut y_sum) = (0, 0, 0);
        for (x, y, _) in blue {
            (n, x_sum, y_sum) = (n + 1, x_sum + x, y_sum + y);
        }
        assert!((4..40).contains(&n), "{n} blue pixels");
        assert!(
            (532..=544).contains(&(x_sum / n)) && (560..=600).contains(&(y_sum / n)),
            "{} {}",
            x_sum / n,
            y_sum / n
        );
    }

    #[test]
    fn a_scatter_of_nothing_or_of_nothing_finite_is_a_picture() {
        let none = Array::zeros(vec![0, 2]);
        let lost = Array::new(vec![1, 2], vec![f32::NAN, f32::INFINITY]);
        let surface = Surface { values: vec![f32::NAN; 4], side: 2, range: (-1.0, 1.0) };
        let view =
            Scatter2d { real: &none, fake: &lost, surface: Some(surface), range: (1.0, 1.0), title: "", caption: "" };
        assert_eq!(scatter(&view).dimensions(), (720, 772));
    }

    #[test]
    fn a_curve_passes_where_its_points_are() {
        let line = |name: &str, y: f64| Series {
            name: name.into(),
            points: vec![(0.0, y), (100.0, y)],
            band: Some(vec![(y - 0.5, y + 0.5); 2]),
        };
        let mut view = Curves { series: vec![line("a", 1.0), line("b", 9.0)], ..Curves::default() };
        view.x_label = "step".into();
        let picture = curves(&view);
        assert_eq!(picture.dimensions(), (880, 500));
        // From 0 (bottom, y = 442) to 9.95 (top, where the legend ends): the line at 1 lies a tenth up.
        let column = |color| (60..442).filter(|&y| picture.get_pixel(466, y).0 == color).collect::<Vec<_>>();
        let (low, high) = (column(SERIES[0]), column(SERIES[1]));
        assert!((395..=410).contains(&low[0]), "{low:?}");
        assert!(high[0] < 100, "{high:?}");
        // The band is lighter than the line.
        assert!(is_near(&picture, (466, low[0] - 8), SERIES[0].map(|v| 255 - (255 - v) / 6)));
    }

    #[test]
    fn values_that_a_scale_does_not_know_interrupt_a_curve() {
        let points = vec![(0.0, 1.0), (1.0, 0.0), (2.0, f64::NAN), (3.0, 100.0), (4.0, 100.0)];
        let series = vec![Series { name: "a".into(), points, band: None }];
        let picture = curves(&Curves { log: true, series, ..Curves::default() });
        let drawn = |x: u32| (60..440).any(|y| picture.get_pixel(x, y).0 == SERIES[0]);
        // Step 3 lies at x = 661.
        assert!(drawn(700) && !drawn(400));
    }

    #[test]
    fn dashes_go_on_around_corners() {
        let dashes = dashed_line(&[(0.0, 0.0), (9.0, 0.0), (9.0, 9.0)]);
        let length: f32 = dashes.iter().map(|d| (d[1].0 - d[0].0).hypot(d[1].1 - d[0].1)).sum();
        assert_eq!(length, 14.0);
    }
}
