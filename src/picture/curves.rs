//! Curves over training: one layout, as pixels, as an SVG file and as an SVG for a page.

use super::PAPER;
use super::SERIES;
use super::axes::{Axes, Scale};
use super::canvas::{Area, Canvas, Point};
use super::ink::{Ink, Pen, Tint};
use super::legend::{Key, LABEL, SIGN, head};
use super::svg::Svg;
use image::RgbImage;

/// One line of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Step and value, by rising steps; a value that is not finite interrupts the line.
    pub points: Vec<(f64, f64)>,
    /// The low and the high end of a band at each point.
    pub band: Option<Vec<(f64, f64)>>,
}

/// A chart of lines over steps, with bands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// What it shows.
    pub title: String,
    /// A second line.
    pub caption: String,
    /// The name of the horizontal axis.
    pub x_label: String,
    /// The name of the vertical axis.
    pub y_label: String,
    /// A logarithmic vertical axis; values of 0 or below are left out.
    pub log: bool,
    /// The range of the vertical axis; by default that of all values.
    pub range: Option<(f64, f64)>,
    /// The lines.
    pub series: Vec<Series>,
}

/// The measures of a chart in pixels.
struct Sheet {
    /// The plot, below the head if there is one.
    area: Area,
    /// Title, caption, legend and names of axes.
    has_head: bool,
    letters: f32,
    /// The width of lines.
    pen: f32,
    /// About how many ticks the axes have.
    ticks: (usize, usize),
}

/// A file of its own.
const FILE: (u32, u32) = (880, 500);
const FILE_SHEET: Sheet = Sheet {
    area: Area { left: 76.0, top: 0.0, right: 856.0, bottom: 442.0 },
    has_head: true,
    letters: LABEL,
    pen: 2.0,
    ticks: (8, 5),
};

/// One of several charts on a page, which has the legend and the names.
const CARD: (u32, u32) = (368, 208);
const CARD_SHEET: Sheet = Sheet {
    area: Area { left: 52.0, top: 8.0, right: 352.0, bottom: 184.0 },
    has_head: false,
    letters: 11.0,
    pen: 1.6,
    ticks: (5, 5),
};

/// Draws curves as pixels. From the eighth series on, colors repeat in dashes.
pub fn curves(view: &Curves) -> RgbImage {
    let mut canvas = Canvas::new(FILE.0, FILE.1, PAPER);
    view.draw(&mut canvas, &FILE_SHEET, |_, _| ());
    canvas.finish()
}

/// The same picture as an SVG file, for papers: the same text for the same curves.
pub fn svg(view: &Curves) -> String {
    let mut svg = Svg::file(FILE);
    view.draw(&mut svg, &FILE_SHEET, |_, _| ());
    svg.finish()
}

/// The curves as an SVG element of a page, in the colors of its theme: without a head, and with the numbers of each series
/// for a script. `id` is unique on the page.
pub fn card(view: &Curves, label: &str, id: &str) -> String {
    let area = CARD_SHEET.area;
    let mut svg = Svg::card(CARD, area, view.scales().0, label, id);
    view.draw(&mut svg, &CARD_SHEET, |svg, series| match series {
        Some((i, part)) => svg.open_series(i, (part == Part::Line).then(|| &view.series[i].points[..])),
        None => svg.close_series(),
    });
    svg.finish()
}

/// The parts of a series, in the order in which they are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Band,
    Line,
}

impl Curves {
    /// The ranges of both axes.
    fn scales(&self) -> (Scale, Scale) {
        let (mut x_range, mut y_range) = (Bounds::default(), Bounds::default());
        for series in &self.series {
            for (i, &(x, y)) in series.points.iter().enumerate() {
                let ends = series.band.as_ref().and_then(|band| band.get(i)).map_or([y, y], |&(low, high)| [low, high]);
                if x.is_finite() {
                    x_range.take(x);
                }
                [y, ends[0], ends[1]].into_iter().filter(|&v| self.is_shown(v)).for_each(|v| y_range.take(v));
            }
        }
        let y = self.range.map_or_else(|| y_range.padded(self.log), |(low, high)| Scale::new(low, high, self.log));
        (Scale::new(x_range.low, x_range.high, false), y)
    }

    fn is_shown(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }

    /// Draws everything. `mark` is called before each part of a series, and with `None` after it.
    fn draw<I: Ink>(&self, ink: &mut I, sheet: &Sheet, mut mark: impl FnMut(&mut I, Option<(usize, Part)>)) {
        let pen = |i: usize, width: f32| Pen { tint: Tint::Series(i), width, dashed: i >= SERIES.len() };
        let Area { left, right, bottom, .. } = sheet.area;
        let top = if sheet.has_head {
            let mut legend: Vec<Key<'_, I>> = Vec::new();
            for (i, series) in self.series.iter().enumerate().filter(|(_, series)| !series.points.is_empty()) {
                let pen = pen(i, 2.4);
                let sign = move |ink: &mut I, (x, y): Point| ink.line(&[(x + 1.0, y), (x + SIGN - 1.0, y)], pen);
                legend.push(Key { label: &series.name, sign: Box::new(sign) });
            }
            head(ink, &self.title, &self.caption, &legend, (left, right))
        } else {
            sheet.area.top
        };
        let (x, y) = self.scales();
        let axes = Axes { area: Area { left, top, right, bottom }, x, y, letters: sheet.letters };
        axes.grid(ink, sheet.ticks.1);
        ink.clip(Some(axes.area));
        for (i, series) in self.series.iter().enumerate() {
            let Some(band) = &series.band else { continue };
            let ends: Vec<_> = series.points.iter().zip(band).map(|(&(x, _), &(low, high))| (x, low, high)).collect();
            mark(ink, Some((i, Part::Band)));
            for piece in ends.split(|(x, low, high)| !(x.is_finite() && self.is_shown(*low) && self.is_shown(*high))) {
                if piece.len() > 1 {
                    let lower: Vec<Point> = piece.iter().map(|&(x, low, _)| axes.at(x, low)).collect();
                    let upper: Vec<Point> = piece.iter().map(|&(x, _, high)| axes.at(x, high)).collect();
                    ink.band(&upper, &lower, Tint::Series(i));
                }
            }
            mark(ink, None);
        }
        for (i, series) in self.series.iter().enumerate().filter(|(_, series)| !series.points.is_empty()) {
            mark(ink, Some((i, Part::Line)));
            for piece in series.points.split(|(x, y)| !(x.is_finite() && self.is_shown(*y))) {
                let line: Vec<Point> = piece.iter().map(|&(x, y)| axes.at(x, y)).collect();
                match line[..] {
                    [] => {}
                    [point] => ink.dot(point, 1.5 * sheet.pen, Tint::Series(i)),
                    _ => ink.line(&line, pen(i, sheet.pen)),
                }
            }
            mark(ink, None);
        }
        ink.clip(None);
        let (x_label, y_label) = if sheet.has_head { (&self.x_label[..], &self.y_label[..]) } else { ("", "") };
        axes.bottom(ink, sheet.ticks.0, x_label);
        axes.left(ink, sheet.ticks.1, y_label);
    }
}

/// The smallest and largest of some values.
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

    /// A scale with a margin at both ends. One that starts near 0 starts at 0.
    fn padded(&self, log: bool) -> Scale {
        if log {
            return Scale::new(self.low / 1.2, self.high * 1.2, true);
        }
        let margin = (self.high - self.low) * 0.05;
        let from_zero = self.low >= 0.0 && self.low < 0.35 * self.high;
        Scale::new(if from_zero { 0.0 } else { self.low - margin }, self.high + margin, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a pixel is nearer to a color than to the paper.
    fn is_near(picture: &RgbImage, (x, y): (u32, u32), color: [u8; 3]) -> bool {
        let pixel = picture.get_pixel(x, y).0;
        let distance = |to: [u8; 3]| pixel.iter().zip(to).map(|(&a, b)| i32::from(a.abs_diff(b)).pow(2)).sum::<i32>();
        distance(color) < distance(PAPER)
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
    fn values_that_are_not_on_the_scale_interrupt_a_curve() {
        let points = vec![(0.0, 1.0), (1.0, 0.0), (2.0, f64::NAN), (3.0, 100.0), (4.0, 100.0)];
        let series = vec![Series { name: "a".into(), points, band: None }];
        let view = Curves { log: true, series, ..Curves::default() };
        let picture = curves(&view);
        let drawn = |x: u32| (60..440).any(|y| picture.get_pixel(x, y).0 == SERIES[0]);
        // Step 3 lies at x = 661. The single value before the gap is a dot at the left end.
        assert!(drawn(700) && !drawn(400) && drawn(77));
        let text = svg(&view);
        let lines =
            text.lines().filter(|line| line.starts_with("<polyline") && line.contains("stroke-width=\"2\"")).count();
        assert_eq!((lines, text.matches("<circle").count()), (1, 1), "{text}");
    }

    /// A series with a gap, and bands.
    fn gap() -> Curves {
        let points = vec![(0.0, 1.0), (50.0, 9.0), (75.0, f64::NAN), (100.0, 9.0), (110.0, 9.0)];
        let band = Some(points.iter().map(|(_, y)| (y - 0.5, y + 0.5)).collect());
        Curves {
            title: "w1".into(),
            x_label: "step".into(),
            range: Some((0.0, 10.0)),
            series: vec![Series { name: "a < b".into(), points, band }],
            ..Curves::default()
        }
    }

    #[test]
    fn an_svg_has_the_same_layout_as_the_pixels() {
        let text = svg(&gap());
        // Steps 0 to 110 lie from x = 76 to 856; 0 to 10 from y = 442 up to 71, where the legend ends.
        assert!(text.contains(r##"<polyline points="76.0,404.9 430.5,108.1""##), "{text}");
        assert!(text.contains(r##"<polyline points="785.1,108.1 856.0,108.1""##), "{text}");
        assert!(text.contains(r##"stroke="#0072b2""##) && text.contains(r##"<rect width="880""##), "{text}");
        // Two bands, none of them across the gap.
        assert_eq!(text.matches("<polygon").count(), 2);
        assert!(text.contains("a &lt; b") && text.contains(">step</text>"), "{text}");
        assert_eq!(text, svg(&gap()));
    }

    #[test]
    fn a_card_has_the_colors_of_the_page_and_the_numbers_of_its_series() {
        let mut view = gap();
        view.series[0].points[0].1 = 0.123_456_789;
        let text = card(&view, "w1 <b>", "c-0");
        assert!(text.starts_with(r##"<svg viewBox="0 0 368 208" role="img" aria-label="w1 &lt;b&gt;""##), "{text}");
        assert!(text.contains(r##"data-x="52 352 0 110""##), "{text}");
        assert!(
            text.contains(r##"<g class="s0" data-series="0" data-s="0 50 100 110" data-v="0.1235 9 9 9">"##),
            "{text}"
        );
        assert!(text.contains("var(--c0)") && text.contains("url(#c-0)") && !text.contains("#0072b2"), "{text}");
        assert_eq!(text.matches("<g").count(), text.matches("</g>").count());
        // The page has the title, the legend and the names.
        assert!(!text.contains("a &lt; b") && !text.contains(">step<"), "{text}");
    }
}
