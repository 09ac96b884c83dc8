//! Drawing: signed distances to filled outlines, one pixel of smooth edge.

use super::{Attributes, Shape, ShapesSpec};
use crate::data::images::convert;

/// The width of the diamond, of its height.
const DIAMOND: f32 = 0.66;
/// The radius of round shapes, a little less than that of the circle around all, so that they look no bigger.
const ROUND: f32 = 0.9;

/// Draws what the attributes say, in the range of the spec. `out` has the channels one after the other.
///
/// # Panics
/// If the class is not among the spec's, or `out` has another length than an image.
pub fn render(attributes: &Attributes, spec: &ShapesSpec, out: &mut [f32]) {
    let mut drawn = vec![0; out.len()];
    bytes(attributes, spec, &mut drawn);
    convert(&drawn, spec.normalize, out);
}

/// As [`render`], as bytes.
pub(super) fn bytes(attributes: &Attributes, spec: &ShapesSpec, out: &mut [u8]) {
    let side = spec.size as usize;
    assert_eq!(out.len(), spec.channels as usize * side * side, "the numbers of an image");
    let byte = |level: f32| (level.clamp(0.0, 1.0) * 255.0).round() as u8;
    out.fill(byte(attributes.background));
    let figure = Figure::new(attributes, spec.classes[attributes.class], side);
    figure.cover(|pixel, share| {
        for (plane, color) in out.chunks_exact_mut(side * side).zip(attributes.color) {
            plane[pixel] = byte(attributes.background + share * (color - attributes.background));
        }
    });
}

/// A shape placed on the pixels of an image.
pub(super) struct Figure {
    shape: Shape,
    side: usize,
    /// Center and radius in pixels.
    center: [f32; 2],
    radius: f32,
    sin: f32,
    cos: f32,
    thickness: f32,
}

impl Figure {
    pub fn new(attributes: &Attributes, shape: Shape, side: usize) -> Self {
        let half = side as f32 / 2.0;
        let (sin, cos) = libm::sincosf(attributes.rotation.to_radians());
        let center = [(attributes.x + 1.0) * half, (attributes.y + 1.0) * half];
        Self { shape, side, center, radius: attributes.radius * half, sin, cos, thickness: attributes.thickness }
    }

    /// Calls with every pixel that the shape touches, and how much of it is covered.
    pub fn cover(&self, mut touch: impl FnMut(usize, f32)) {
        let reach = self.radius + 1.0;
        // Pixels whose middles lie within reach.
        let span = |center: f32| {
            let from = (center - reach - 0.5).ceil().max(0.0) as usize;
            let to = ((center + reach - 0.5).floor() + 1.0).clamp(0.0, self.side as f32) as usize;
            from..to.max(from)
        };
        let columns = span(self.center[0]);
        for row in span(self.center[1]) {
            let down = row as f32 + 0.5 - self.center[1];
            for column in columns.clone() {
                let right = column as f32 + 0.5 - self.center[0];
                let (x, y) = (right * self.cos + down * self.sin, down * self.cos - right * self.sin);
                let distance = self.radius * distance(self.shape, self.thickness, x / self.radius, y / self.radius);
                if distance < 0.5 {
                    touch(row * self.side + column, (0.5 - distance).min(1.0));
                }
            }
        }
    }
}

/// How far a point is from the shape of radius 1 at rotation 0; negative inside.
fn distance(shape: Shape, thickness: f32, x: f32, y: f32) -> f32 {
    let (ax, ay) = (x.abs(), y.abs());
    let rectangle = |width: f32, height: f32, x: f32, y: f32| (x - width).max(y - height);
    let stroke = Strokes::new(thickness);
    match shape {
        Shape::Disc => (x * x + y * y).sqrt() - ROUND,
        Shape::Ring => ((x * x + y * y).sqrt() - (ROUND - stroke.half)).abs() - stroke.half,
        Shape::Square => rectangle(SQUARE, SQUARE, ax, ay),
        Shape::Frame => {
            let outer = rectangle(SQUARE, SQUARE, ax, ay);
            outer.max(-outer - thickness)
        }
        // The lower side, and the two others, which mirror each other.
        Shape::Triangle => (y - 0.5).max(0.866_025_4 * ax - 0.5 * y - 0.5),
        Shape::Cross => {
            rectangle(stroke.length, stroke.half, ax, ay).min(rectangle(stroke.half, stroke.length, ax, ay))
        }
        Shape::X => {
            let (a, b) = ((x + y).abs() * SQUARE, (x - y).abs() * SQUARE);
            rectangle(stroke.length, stroke.half, a, b).min(rectangle(stroke.half, stroke.length, a, b))
        }
        Shape::HorizontalBar => rectangle(stroke.bar, thickness, ax, ay),
        Shape::VerticalBar => rectangle(thickness, stroke.bar, ax, ay),
        Shape::Diamond => (ax + DIAMOND * ay - DIAMOND) / (1.0 + DIAMOND * DIAMOND).sqrt(),
    }
}

/// Half of the side of the square in the unit circle.
const SQUARE: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// What follows from the width of strokes, for radius 1.
struct Strokes {
    /// Half of the width.
    half: f32,
    /// Half of the length of a stroke whose corners lie on the circle.
    length: f32,
    /// The same for the bars, which are twice as wide.
    bar: f32,
}

impl Strokes {
    fn new(thickness: f32) -> Self {
        let half = thickness / 2.0;
        Self { half, length: (1.0 - half * half).sqrt(), bar: (1.0 - thickness * thickness).sqrt() }
    }
}

/// Area of the shape of radius 1, and the mean of the squared distance from its center.
pub(super) fn moments(shape: Shape, thickness: f32) -> (f32, f32) {
    use std::f32::consts::PI;
    let stroke = Strokes::new(thickness);
    let rectangle = |a: f32, b: f32| (4.0 * a * b, (a * a + b * b) / 3.0);
    match shape {
        Shape::Disc => (PI * ROUND * ROUND, ROUND * ROUND / 2.0),
        Shape::Ring => {
            let (outer, inner) = (ROUND * ROUND, (ROUND - thickness) * (ROUND - thickness));
            (PI * (outer - inner), (outer + inner) / 2.0)
        }
        Shape::Square => rectangle(SQUARE, SQUARE),
        Shape::Frame => {
            let (outer, inner) = (0.5, (SQUARE - thickness) * (SQUARE - thickness));
            (4.0 * (outer - inner), (outer + inner) * 2.0 / 3.0)
        }
        Shape::Triangle => (1.299_038, 0.25),
        Shape::Cross | Shape::X => {
            let ((arm, arm_mean), (middle, middle_mean)) =
                (rectangle(stroke.length, stroke.half), rectangle(stroke.half, stroke.half));
            let area = 2.0 * arm - middle;
            (area, (2.0 * arm * arm_mean - middle * middle_mean) / area)
        }
        Shape::HorizontalBar | Shape::VerticalBar => rectangle(stroke.bar, thickness),
        Shape::Diamond => (2.0 * DIAMOND, (1.0 + DIAMOND * DIAMOND) / 6.0),
    }
}

/// Whether the width of strokes shows.
pub(super) fn has_strokes(shape: Shape) -> bool {
    !matches!(shape, Shape::Disc | Shape::Square | Shape::Triangle | Shape::Diamond)
}

/// After how many degrees the shape looks the same again, as a share of the circle, and at which angle (degrees,
/// clockwise from the right) it reaches out farthest at rotation 0; none where no rotation shows.
pub(super) fn symmetry(shape: Shape) -> Option<(u32, f32)> {
    match shape {
        Shape::Disc | Shape::Ring => None,
        Shape::Square | Shape::Frame | Shape::X => Some((4, 45.0)),
        Shape::Cross => Some((4, 0.0)),
        Shape::Triangle => Some((3, -90.0)),
        Shape::HorizontalBar => Some((2, 0.0)),
        Shape::VerticalBar | Shape::Diamond => Some((2, 90.0)),
    }
}

/// The color of a hue in degrees.
pub(super) fn rgb(hue: f32, saturation: f32, brightness: f32) -> [f32; 3] {
    // Each channel is a trapezoid over the circle of hues.
    [0.0, 120.0, 240.0].map(|peak: f32| {
        let away = (hue - peak + 540.0).rem_euclid(360.0) - 180.0;
        let share = (2.0 - away.abs() / 60.0).clamp(0.0, 1.0);
        brightness * (1.0 - saturation * (1.0 - share))
    })
}

/// Hue in degrees, saturation and brightness of a color.
pub(super) fn hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let range = most - least;
    let hue = if range <= 0.0 {
        0.0
    } else if most == r {
        60.0 * ((g - b) / range).rem_euclid(6.0)
    } else if most == g {
        60.0 * ((b - r) / range + 2.0)
    } else {
        60.0 * ((r - g) / range + 4.0)
    };
    [hue, if most > 0.0 { range / most } else { 0.0 }, most]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_and_spread_of_a_drawn_shape_are_those_of_its_formula() {
        let side = 256;
        for (i, shape) in Shape::ALL.into_iter().enumerate() {
            for thickness in [0.2, 0.35] {
                let attributes = Attributes {
                    class: i,
                    x: 0.05,
                    y: -0.1,
                    radius: 0.8,
                    rotation: 10.0,
                    thickness,
                    color: [1.0; 3],
                    background: 0.0,
                };
                let figure = Figure::new(&attributes, shape, side);
                let (mut area, mut spread, radius) = (0f64, 0f64, 0.8 * 128.0);
                figure.cover(|pixel, share| {
                    let (x, y) =
                        ((pixel % side) as f64 + 0.5 - 1.05 * 128.0, (pixel / side) as f64 + 0.5 - 0.9 * 128.0);
                    area += f64::from(share);
                    spread += f64::from(share) * (x * x + y * y);
                });
                let (true_area, true_spread) = moments(shape, thickness);
                let (area, spread) = (area / (radius * radius), spread / area / (radius * radius));
                assert!((area / f64::from(true_area) - 1.0).abs() < 0.005, "{shape:?} {area} {true_area}");
                assert!((spread / f64::from(true_spread) - 1.0).abs() < 0.005, "{shape:?} {spread} {true_spread}");
            }
        }
    }

    /// Python's colorsys.hsv_to_rgb.
    #[test]
    fn colors_go_to_red_green_blue_and_back() {
        for (hsv_in, expected) in [
            ([0.0, 1.0, 1.0], [1.0, 0.0, 0.0]),
            ([60.0, 0.5, 0.8], [0.8, 0.8, 0.4]),
            ([200.0, 0.7, 0.9], [0.27, 0.69, 0.9]),
            ([330.0, 0.6, 1.0], [1.0, 0.4, 0.7]),
        ] {
            let got = rgb(hsv_in[0], hsv_in[1], hsv_in[2]);
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-5, "{hsv_in:?} {got}");
            }
            for (got, expected) in hsv(got).iter().zip(hsv_in) {
                assert!((got - expected).abs() < 1e-3, "{hsv_in:?} {got}");
            }
        }
    }
}
