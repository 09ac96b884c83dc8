//! Densities in one dimension: data, samples and the discriminator's output.

use super::axes::{Axes, Scale};
use super::canvas::{Area, Canvas, Color, Point};
use super::legend::{Key, LABEL, SIGN, head};
use super::{DECISION, FAKE, PAPER, REAL, REAL_LINE};
use image::RgbImage;

/// The real side of a density picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Real1d<'a> {
    /// Examples.
    Samples(&'a [f32]),
    /// The exact distribution N(mean, std²).
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
    /// Positions, and the discriminator's output in [0, 1] at each.
    pub decision: Option<(&'a [f32], &'a [f32])>,
    /// The values that the picture spans.
    pub range: (f32, f32),
    /// What it shows: the run.
    pub title: &'a str,
    /// A second line: step and numbers.
    pub caption: &'a str,
}

/// Draws the density of the data (filled orange), that of the samples (blue) and the decision surface (green, right axis)
/// over one dimension. The vertical scale depends on the data alone, so that the frames of an animation share it.
pub fn density(view: &Density1d) -> RgbImage {
    let (low, high) = (f64::from(view.range.0), f64::from(view.range.1));
    let x = Scale::new(low, high, false);
    let xs: Vec<f64> = (0..POSITIONS).map(|i| x.low + (x.high - x.low) * i as f64 / (POSITIONS - 1) as f64).collect();
    let real = match view.real {
        Real1d::Samples(samples) => smoothed(samples, &xs),
        Real1d::Normal { mean, std } => {
            let density = |at: &f64| (-0.5 * ((at - mean) / std).powi(2)).exp() / (std * std::f64::consts::TAU.sqrt());
            xs.iter().map(density).collect()
        }
    };
    let fake = smoothed(view.fake, &xs);
    let peak = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let top = if peak(&real) > 0.0 { peak(&real) * 1.5 } else { 1.0 };

    let mut canvas = Canvas::new(880, 540, PAPER);
    let filled = |color: Color| {
        Box::new(move |canvas: &mut Canvas, (x, y): Point| {
            let area = Area { left: x, right: x + SIGN, top: y - 5.0, bottom: y + 5.0 };
            canvas.rectangle(area, color, 0.3);
            canvas.line(&[(x + 1.0, y - 5.0), (x + SIGN - 1.0, y - 5.0)], 2.4, color, 1.0);
        })
    };
    let generated = generated(view, peak(&fake), top);
    let mut legend: Vec<Key<'_, Canvas>> = vec![Key { label: "data", sign: filled(REAL_LINE) }];
    if !view.fake.is_empty() {
        legend.push(Key { label: &generated, sign: filled(FAKE) });
    }
    if view.decision.is_some() {
        let line = |canvas: &mut Canvas, (x, y): Point| {
            canvas.line(&[(x + 1.0, y), (x + SIGN - 1.0, y)], 2.4, DECISION, 1.0);
        };
        legend.push(Key { label: "D(x)", sign: Box::new(line) });
    }
    let start = head(&mut canvas, view.title, view.caption, &legend, (76.0, 856.0));
    let right = if view.decision.is_some() { 804.0 } else { 856.0 };
    let axes = Axes {
        area: Area { left: 76.0, top: start, right, bottom: 482.0 },
        x,
        y: Scale::new(0.0, top, false),
        letters: LABEL,
    };
    axes.grid(&mut canvas, 5);
    // A line at the very top is as thick as elsewhere.
    canvas.clip(Some(Area { top: axes.area.top - 1.0, ..axes.area }));
    let curve = |values: &[f64]| -> Vec<Point> { xs.iter().zip(values).map(|(&x, &y)| axes.at(x, y)).collect() };
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

/// At how many positions densities are drawn.
const POSITIONS: usize = 729;

/// The label of samples, with what the picture cannot show of them.
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

/// A kernel density at evenly spaced positions. The Gaussian kernel is two thirds as wide as by Silverman's rule, which would
/// merge the modes of a mixture, and never narrower than the picture can show. Samples outside the positions count in the
/// total.
fn smoothed(samples: &[f32], xs: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = samples.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v)).collect();
    let n = finite.len();
    let (low, step) = (xs[0], xs[1] - xs[0]);
    let mut out = vec![0.0; xs.len()];
    if n == 0 {
        return out;
    }
    finite.sort_unstable_by(f64::total_cmp);
    let mean = finite.iter().sum::<f64>() / n as f64;
    let std = (finite.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
    let quartiles = (finite[n * 3 / 4] - finite[n / 4]) / 1.34;
    let spread = if quartiles > 0.0 { std.min(quartiles) } else { std };
    let width = (0.6 * spread * (n as f64).powf(-0.2)).clamp(1.5 * step, 40.0 * step);

    let mut counts = vec![0.0; xs.len()];
    for value in finite {
        let at = (value - low) / step;
        if at >= 0.0 && at <= (xs.len() - 1) as f64 {
            let (cell, rest) = (at as usize, at.fract());
            counts[cell] += 1.0 - rest;
            counts[(cell + 1).min(xs.len() - 1)] += rest;
        }
    }
    let reach = (4.0 * width / step).ceil() as usize;
    let kernel: Vec<f64> = (0..=reach).map(|i| (-0.5 * (i as f64 * step / width).powi(2)).exp()).collect();
    let scale = 1.0 / (n as f64 * width * std::f64::consts::TAU.sqrt());
    for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let range = i.saturating_sub(reach)..=(i + reach).min(xs.len() - 1);
        for j in range {
            out[j] += count * scale * kernel[i.abs_diff(j)];
        }
    }
    out
}

/// Fills between a curve from left to right and a level below it.
fn fill_below(canvas: &mut Canvas, curve: &[Point], bottom: f32, color: Color, alpha: f32) {
    let level: Vec<Point> = curve.iter().map(|&(x, _)| (x, bottom)).collect();
    canvas.fill_between(curve, &level, color, alpha);
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
        let xs: Vec<f64> = (0..=800).map(|i| -4.0 + 0.01 * f64::from(i)).collect();
        let estimate = smoothed(&normals(1, 20_000, 0.0, 1.0), &xs);
        let law = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let worst = xs.iter().zip(&estimate).map(|(&x, &d)| (d - law(x)).abs()).fold(0.0, f64::max);
        assert!(worst < 0.03, "{worst}");
        let sum: f64 = estimate.iter().sum::<f64>() * 0.01;
        assert!((sum - 1.0).abs() < 0.01, "{sum}");
        let half = smoothed(&[0.0, 0.0, 99.0, 99.0], &xs).iter().sum::<f64>() * 0.01;
        assert!((half - 0.5).abs() < 1e-3, "{half}");
        assert!(smoothed(&[f32::NAN], &xs).iter().all(|&d| d == 0.0));
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
}
