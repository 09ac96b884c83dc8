//! A picture being drawn: anti-aliased lines, discs, rectangles and text on an RGB image.

use super::font;
use super::ink::{Ink, Pen, Style, Tint};
use image::{Rgb, RgbImage};

/// Pixels from the left and from the top; the middle of the first pixel is (0.5, 0.5).
pub(super) type Point = (f32, f32);
pub(super) type Color = [u8; 3];

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// A rectangle between two corners.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

impl Area {
    pub(super) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f32 {
        self.bottom - self.top
    }
}

pub(super) struct Canvas {
    image: RgbImage,
    /// Nothing is drawn outside.
    clip: Area,
    /// How much of each pixel the strokes being drawn cover; all zero in between.
    mask: Vec<f32>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32, background: Color) -> Self {
        let image = RgbImage::from_pixel(width, height, Rgb(background));
        let clip = Area { left: 0.0, top: 0.0, right: width as f32, bottom: height as f32 };
        Self { mask: vec![0.0; (width * height) as usize], image, clip }
    }

    pub(super) fn finish(self) -> RgbImage {
        self.image
    }

    /// Draws only within an area, until the next call; `None` lifts it.
    pub(super) fn clip(&mut self, area: Option<Area>) {
        let (width, height) = self.image.dimensions();
        let all = Area { left: 0.0, top: 0.0, right: width as f32, bottom: height as f32 };
        self.clip = area.unwrap_or(all);
    }

    /// Mixes a color into a pixel.
    pub(super) fn blend(&mut self, x: u32, y: u32, color: Color, alpha: f32) {
        let pixel = self.image.get_pixel_mut(x, y);
        for (old, new) in pixel.0.iter_mut().zip(color) {
            *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * alpha.clamp(0.0, 1.0)).round() as u8;
        }
    }

    /// The pixels that lie between the given edges and within the clip: columns, then rows.
    pub(super) fn pixels(&self, area: Area) -> (std::ops::Range<u32>, std::ops::Range<u32>) {
        let range = |from: f32, to: f32, low: f32, high: f32| {
            let (from, to) = (from.max(low).floor().max(0.0), to.min(high).ceil().max(0.0));
            // NaN becomes 0, and an empty range.
            from as u32..(to as u32).max(from as u32)
        };
        (
            range(area.left, area.right, self.clip.left, self.clip.right),
            range(area.top, area.bottom, self.clip.top, self.clip.bottom),
        )
    }

    /// A filled rectangle whose edges may lie within pixels.
    pub(super) fn rectangle(&mut self, area: Area, color: Color, alpha: f32) {
        let (columns, rows) = self.pixels(area);
        let cover = |low: f32, high: f32, at: u32| (high.min(at as f32 + 1.0) - low.max(at as f32)).clamp(0.0, 1.0);
        for y in rows {
            for x in columns.clone() {
                let covered = cover(area.left, area.right, x) * cover(area.top, area.bottom, y);
                self.blend(x, y, color, alpha * covered);
            }
        }
    }

    /// Lines through points, all at once: where they cross or join, the color is not laid on twice. A point that is not
    /// finite interrupts its line.
    pub(super) fn strokes(&mut self, lines: &[Vec<Point>], width: f32, color: Color, alpha: f32) {
        let reach = width / 2.0 + 1.0;
        let mut touched = Vec::new();
        for line in lines {
            for ends in line.windows(2) {
                let (a, b) = (ends[0], ends[1]);
                if ![a.0, a.1, b.0, b.1].iter().all(|v| v.is_finite()) {
                    continue;
                }
                let (columns, rows) = self.pixels(Area {
                    left: a.0.min(b.0) - reach,
                    right: a.0.max(b.0) + reach,
                    top: a.1.min(b.1) - reach,
                    bottom: a.1.max(b.1) + reach,
                });
                for y in rows {
                    for x in columns.clone() {
                        let distance = to_segment((x as f32 + 0.5, y as f32 + 0.5), a, b);
                        let covered = (width / 2.0 + 0.5 - distance).clamp(0.0, 1.0);
                        let index = (y * self.image.width() + x) as usize;
                        if covered > self.mask[index] {
                            if self.mask[index] == 0.0 {
                                touched.push((x, y));
                            }
                            self.mask[index] = covered;
                        }
                    }
                }
            }
        }
        for (x, y) in touched {
            let covered = std::mem::take(&mut self.mask[(y * self.image.width() + x) as usize]);
            // A pen thinner than a pixel leaves less ink.
            self.blend(x, y, color, alpha * covered * width.min(1.0));
        }
    }

    pub(super) fn line(&mut self, points: &[Point], width: f32, color: Color, alpha: f32) {
        self.strokes(&[points.to_vec()], width, color, alpha);
    }

    /// A straight line in dashes.
    pub(super) fn dashes(&mut self, a: Point, b: Point, width: f32, color: Color, alpha: f32) {
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        let at = |along: f32| {
            let share = (along / length).min(1.0);
            (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share)
        };
        let (dash, period) = (5.0, 10.0);
        let count = (length / period).ceil().max(0.0) as usize;
        let lines: Vec<_> = (0..count).map(|i| i as f32 * period).map(|from| vec![at(from), at(from + dash)]).collect();
        self.strokes(&lines, width, color, alpha);
    }

    pub(super) fn disc(&mut self, center: Point, radius: f32, color: Color, alpha: f32) {
        self.round(center, radius + 1.0, color, |distance| (radius + 0.5 - distance).clamp(0.0, 1.0) * alpha);
    }

    pub(super) fn ring(&mut self, center: Point, radius: f32, width: f32, color: Color, alpha: f32) {
        self.round(center, radius + width, color, |distance| {
            (width / 2.0 + 0.5 - (distance - radius).abs()).clamp(0.0, 1.0) * alpha
        });
    }

    fn round(&mut self, (cx, cy): Point, reach: f32, color: Color, cover: impl Fn(f32) -> f32) {
        let (columns, rows) =
            self.pixels(Area { left: cx - reach, right: cx + reach, top: cy - reach, bottom: cy + reach });
        for y in rows {
            for x in columns.clone() {
                let covered = cover((x as f32 + 0.5 - cx).hypot(y as f32 + 0.5 - cy));
                if covered > 0.0 {
                    self.blend(x, y, color, covered);
                }
            }
        }
    }

    /// Fills between two lines from left to right whose points have the same horizontal positions.
    pub(super) fn fill_between(&mut self, upper: &[Point], lower: &[Point], color: Color, alpha: f32) {
        let mut piece = 0;
        let (Some(first), Some(last)) = (upper.first(), upper.last()) else { return };
        let (columns, _) = self.pixels(Area { left: first.0, right: last.0, top: 0.0, bottom: 1.0 });
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
                self.rectangle(area, color, alpha);
            }
        }
    }

    /// A text whose baseline goes through the point.
    pub(super) fn text(&mut self, (x, y): Point, text: &str, size: f32, anchor: Anchor, color: Color) {
        let left = x - shift(text, size, anchor);
        self.write(text, size, 0.085, color, |(px, py)| (left + px, y + py));
    }

    /// As [`Canvas::text`], in a heavier hand.
    pub(super) fn heading(&mut self, (x, y): Point, text: &str, size: f32, anchor: Anchor, color: Color) {
        let left = x - shift(text, size, anchor);
        self.write(text, size, 0.115, color, |(px, py)| (left + px, y + py));
    }

    /// A text that reads upwards, its baseline to the right of the letters' feet at the point.
    pub(super) fn text_upwards(&mut self, (x, y): Point, text: &str, size: f32, anchor: Anchor, color: Color) {
        let start = y + shift(text, size, anchor);
        self.write(text, size, 0.085, color, |(px, py)| (x + py, start - px));
    }

    fn write(&mut self, text: &str, size: f32, weight: f32, color: Color, moved: impl Fn(Point) -> Point) {
        let moved = |stroke: Vec<Point>| stroke.into_iter().map(&moved).collect();
        let strokes: Vec<Vec<Point>> = font::strokes(text, size).into_iter().map(moved).collect();
        self.strokes(&strokes, (size * weight).max(1.15), color, 1.0);
    }
}

impl Ink for Canvas {
    fn line(&mut self, points: &[Point], Pen { tint, width, dashed }: Pen) {
        let lines = if dashed { dashed_line(points) } else { vec![points.to_vec()] };
        self.strokes(&lines, width, tint.color(), 1.0);
    }

    fn dot(&mut self, center: Point, radius: f32, tint: Tint) {
        self.disc(center, radius, tint.color(), 1.0);
    }

    fn band(&mut self, upper: &[Point], lower: &[Point], tint: Tint) {
        self.fill_between(upper, lower, tint.color(), 0.16);
    }

    fn text(&mut self, at: Point, text: &str, size: f32, anchor: Anchor, style: Style, tint: Tint) {
        match style {
            Style::Plain => self.text(at, text, size, anchor, tint.color()),
            Style::Bold => self.heading(at, text, size, anchor, tint.color()),
            Style::Upwards => self.text_upwards(at, text, size, anchor, tint.color()),
        }
    }

    fn clip(&mut self, area: Option<Area>) {
        self.clip(area);
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

/// How far left of its anchor a text starts.
fn shift(text: &str, size: f32, anchor: Anchor) -> f32 {
    match anchor {
        Anchor::Left => 0.0,
        Anchor::Middle => font::width(text, size) / 2.0,
        Anchor::Right => font::width(text, size),
    }
}

/// The distance from a point to the line between two others.
fn to_segment(p: Point, a: Point, b: Point) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let squared = dx * dx + dy * dy;
    let along = if squared > 0.0 { (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / squared).clamp(0.0, 1.0) } else { 0.0 };
    (p.0 - a.0 - along * dx).hypot(p.1 - a.1 - along * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Color = [0; 3];
    const WHITE: Color = [255; 3];

    #[test]
    fn a_line_covers_the_pixels_it_passes_and_half_of_those_it_touches() {
        let mut canvas = Canvas::new(20, 10, WHITE);
        canvas.line(&[(2.0, 5.0), (18.0, 5.0)], 2.0, BLACK, 1.0);
        let image = canvas.finish();
        assert_eq!(image.get_pixel(10, 4).0, BLACK);
        assert_eq!(image.get_pixel(10, 5).0, BLACK);
        assert_eq!(image.get_pixel(10, 2).0, WHITE);
        let mut canvas = Canvas::new(20, 10, WHITE);
        canvas.line(&[(2.0, 5.0), (18.0, 5.0)], 1.0, BLACK, 1.0);
        assert_eq!(canvas.finish().get_pixel(10, 5).0, [128; 3]);
    }

    #[test]
    fn crossing_strokes_do_not_darken_each_other() {
        let mut canvas = Canvas::new(21, 21, WHITE);
        canvas.strokes(&[vec![(0.0, 10.5), (21.0, 10.5)], vec![(10.5, 0.0), (10.5, 21.0)]], 3.0, BLACK, 0.5);
        let image = canvas.finish();
        assert_eq!(image.get_pixel(10, 10), image.get_pixel(3, 10));
    }

    #[test]
    fn nothing_is_drawn_outside_the_clip_or_at_points_that_are_not_finite() {
        let mut canvas = Canvas::new(20, 10, WHITE);
        canvas.clip(Some(Area { left: 0.0, top: 0.0, right: 10.0, bottom: 10.0 }));
        canvas.line(&[(-1e9, 5.0), (1e9, 5.0)], 4.0, BLACK, 1.0);
        canvas.line(&[(2.0, 1.0), (f32::NAN, 1.0), (4.0, f32::INFINITY)], 2.0, BLACK, 1.0);
        canvas.disc((f32::NAN, 3.0), 4.0, BLACK, 1.0);
        let image = canvas.finish();
        assert_eq!(image.get_pixel(9, 5).0, BLACK);
        assert_eq!(image.get_pixel(10, 5).0, WHITE);
        assert_eq!(image.get_pixel(2, 1).0, WHITE);
    }

    #[test]
    fn a_rectangle_ends_within_a_pixel() {
        let mut canvas = Canvas::new(4, 4, WHITE);
        canvas.rectangle(Area { left: 0.0, top: 1.0, right: 2.5, bottom: 2.0 }, BLACK, 1.0);
        let image = canvas.finish();
        assert_eq!([0, 1, 2, 3].map(|x| image.get_pixel(x, 1).0[0]), [0, 0, 128, 255]);
        assert_eq!(image.get_pixel(0, 0).0, WHITE);
    }

    #[test]
    fn dashes_continue_around_corners() {
        let dashes = dashed_line(&[(0.0, 0.0), (9.0, 0.0), (9.0, 9.0)]);
        let length: f32 = dashes.iter().map(|d| (d[1].0 - d[0].0).hypot(d[1].1 - d[0].1)).sum();
        assert_eq!(length, 14.0);
    }
}
