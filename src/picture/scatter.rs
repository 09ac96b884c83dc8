//! Scatters in two dimensions, over the critic's surface.

use super::axes::{Axes, Scale};
use super::canvas::{Area, Canvas, Color, Point};
use super::legend::{Key, LABEL, SIGN, head};
use super::{FAINT, FAKE, GRID, PAPER, REAL_LINE};
use crate::base::Array;
use image::RgbImage;

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
        let cell = |v: f32| {
            let at = ((v - self.range.0) / (self.range.1 - self.range.0)).clamp(0.0, 1.0) * last as f32;
            let index = (at as usize).min(last.saturating_sub(1));
            (index, at - index as f32)
        };
        let ((column, right), (row, up)) = (cell(x), cell(y));
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
    /// The critic's output over the plane.
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
    let ring = |canvas: &mut Canvas, (x, y): Point| canvas.ring((x + 12.0, y), 4.0, 1.6, REAL_LINE, 1.0);
    let disc = |canvas: &mut Canvas, (x, y): Point| canvas.disc((x + 12.0, y), 4.0, FAKE, 1.0);
    let generated = outside_of(view);
    let mut legend: Vec<Key<'_, Canvas>> = vec![Key { label: "data", sign: Box::new(ring) }];
    if view.fake.rows() > 0 {
        legend.push(Key { label: &generated, sign: Box::new(disc) });
    }
    if view.surface.is_some() {
        legend.push(Key { label: "critic low → high", sign: Box::new(tones) });
    }
    let start = head(&mut canvas, view.title, view.caption, &legend, (56.0, 696.0));
    let side = (772.0 - start - 38.0).min(720.0 - 56.0 - 20.0).floor();
    let area = Area { left: 56.0, top: start, right: 56.0 + side, bottom: start + side };
    let axes = Axes { area, x: scale, y: scale, letters: LABEL };
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

/// The sign of the critic's surface: its lowest and its highest color.
fn tones(canvas: &mut Canvas, (x, y): Point) {
    let Area { left, right, top, bottom } = Area { left: x, right: x + SIGN, top: y - 5.0, bottom: y + 5.0 };
    canvas.rectangle(Area { left, right: left + 10.0, top, bottom }, SURFACE_LOW, 1.0);
    canvas.rectangle(Area { left: left + 10.0, right, top, bottom }, SURFACE_HIGH, 1.0);
    let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    canvas.line(&frame, 1.0, GRID.map(|v| v - 40), 1.0);
}

/// The label of samples, with the share that the picture cannot show.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
