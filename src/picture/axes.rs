//! Axes: what value lies at which pixel, and the ticks that say so.

use super::canvas::{Anchor, Area, Canvas, Color, Point};
use super::font;
use super::ink::{Ink, Pen, Style, Tint};
use crate::base::digits::short;

/// A range of values on a straight or logarithmic scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) log: bool,
}

impl Scale {
    /// A scale over a range, widened where the range is empty or not finite, so that every value has a position.
    pub(super) fn new(low: f64, high: f64, log: bool) -> Self {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() { high } else { low };
        let low = if log { low.max(1e-300) } else { low };
        match (high > low, log) {
            (true, _) => Self { low, high, log },
            (false, true) => Self { low: low / 2.0, high: low * 2.0, log },
            (false, false) => Self { low: low - 0.5, high: low + 0.5, log },
        }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end. NaN for what a logarithm does not know.
    pub(super) fn share(&self, value: f64) -> f64 {
        if self.log {
            (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Round values within the range, about so many, with their labels.
    pub(super) fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        if self.log {
            let (low, high) = (self.low.log10(), self.high.log10());
            if high - low >= 1.0 {
                let step = ((high - low) / about as f64).ceil().max(1.0);
                let powers = (low / step).floor() as i64..=(high / step).ceil() as i64;
                // Few powers of ten leave room for the steps between them.
                let between: &[f64] = if high - low < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let values = powers.flat_map(|i| between.iter().map(move |b| b * 10_f64.powf(i as f64 * step)));
                let inside = |v: &f64| (-1e-9..=1.0 + 1e-9).contains(&self.share(*v));
                return values.filter(inside).map(|v| (v, short(v))).collect();
            }
        }
        let step = round_step((self.high - self.low) / about as f64);
        let (first, last) = ((self.low / step - 1e-6).ceil() as i64, (self.high / step + 1e-6).floor() as i64);
        let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize;
        let largest = self.low.abs().max(self.high.abs());
        let label = |v: f64| {
            if !(1e-5..1e7).contains(&largest) {
                short(v)
            } else if step >= 1000.0 && v.abs() >= 1000.0 && (v / 100.0).fract().abs() < 1e-9 {
                format!("{}k", v / 1000.0)
            } else {
                format!("{v:.decimals$}")
            }
        };
        // Adding 0 turns −0 into 0.
        (first..=last).map(|i| i as f64 * step + 0.0).map(|v| (v, label(v).replace('-', "−"))).collect()
    }
}

/// 1, 2 or 5 times a power of ten, the one next to `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    power
        * match step / power {
            share if share < 1.5 => 1.0,
            share if share < 3.5 => 2.0,
            share if share < 7.5 => 5.0,
            _ => 10.0,
        }
}

/// A plot's area with a scale along each side.
pub(super) struct Axes {
    pub(super) area: Area,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// The size of numbers and names, in pixels.
    pub(super) letters: f32,
}

impl Axes {
    /// The pixel of a pair of values.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        let across = self.x.share(x) * f64::from(self.area.width());
        let up = self.y.share(y) * f64::from(self.area.height());
        (self.area.left + across as f32, self.area.bottom - up as f32)
    }

    /// Faint lines at the ticks of the left side.
    pub(super) fn grid(&self, ink: &mut impl Ink, ticks: usize) {
        for (value, _) in self.y.ticks(ticks) {
            let y = self.at(self.x.low, value).1.round() + 0.5;
            ink.line(&[(self.area.left, y), (self.area.right, y)], Pen::thin(Tint::Grid));
        }
    }

    /// The bottom line with its ticks and numbers, and a name under it.
    pub(super) fn bottom(&self, ink: &mut impl Ink, ticks: usize, name: &str) {
        let Area { left, right, bottom, .. } = self.area;
        let below = bottom + 7.0 + self.letters;
        ink.line(&[(left, bottom + 0.5), (right, bottom + 0.5)], Pen::thin(Tint::Axis));
        for (value, label) in self.x.ticks(ticks) {
            let x = self.at(value, self.y.low).0.round() + 0.5;
            ink.line(&[(x, bottom + 0.5), (x, bottom + 5.5)], Pen::thin(Tint::Axis));
            ink.text((x, below), &label, self.letters, Anchor::Middle, Style::Plain, Tint::Text);
        }
        let middle = (left + right) / 2.0;
        ink.text((middle, below + 20.0), name, self.letters, Anchor::Middle, Style::Plain, Tint::Text);
    }

    /// The numbers of the left side, and a name beside them.
    pub(super) fn left(&self, ink: &mut impl Ink, ticks: usize, name: &str) {
        let mut widest = 0.0_f32;
        for (value, label) in self.y.ticks(ticks) {
            let y = self.at(self.x.low, value).1;
            let at = (self.area.left - 8.0, y + self.half_height());
            ink.text(at, &label, self.letters, Anchor::Right, Style::Plain, Tint::Text);
            widest = widest.max(font::width(&label, self.letters));
        }
        let middle = (self.area.top + self.area.bottom) / 2.0;
        let x = (self.area.left - widest - 22.0).max(16.0);
        ink.text((x, middle), name, self.letters, Anchor::Middle, Style::Upwards, Tint::Text);
    }

    /// Half the height of a digit.
    fn half_height(&self) -> f32 {
        (0.36 * self.letters).round()
    }

    /// A second scale on the right side, in the color of what is read from it.
    pub(super) fn right(&self, canvas: &mut Canvas, scale: Scale, ticks: usize, name: &str, color: Color) {
        for (value, label) in scale.ticks(ticks) {
            let y = self.area.bottom - (scale.share(value) * f64::from(self.area.height())) as f32;
            canvas.text((self.area.right + 8.0, y + self.half_height()), &label, self.letters, Anchor::Left, color);
        }
        let middle = (self.area.top + self.area.bottom) / 2.0;
        canvas.text_upwards((self.area.right + 52.0, middle), name, self.letters, Anchor::Middle, color);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool) -> Vec<String> {
        Scale::new(low, high, log).ticks(5).into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round_and_lie_within_the_range() {
        assert_eq!(labels(-8.0, 8.0, false), ["−8", "−6", "−4", "−2", "0", "2", "4", "6", "8"]);
        assert_eq!(labels(0.0, 1.0, false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(0.0, 20_000.0, false), ["0", "5k", "10k", "15k", "20k"]);
        assert_eq!(labels(1e-3, 10.0, true), ["0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!(labels(0.04, 2.2, true), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(labels(1.0, 5.0, true), ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn a_range_that_is_empty_or_not_finite_can_still_be_drawn() {
        for scale in
            [Scale::new(3.0, 3.0, false), Scale::new(0.0, 0.0, true), Scale::new(f64::NAN, f64::INFINITY, false)]
        {
            assert!(scale.high > scale.low && scale.share(scale.low) == 0.0, "{scale:?}");
        }
    }

    #[test]
    fn values_lie_where_the_scale_says() {
        let area = Area { left: 10.0, top: 20.0, right: 110.0, bottom: 70.0 };
        let axes = Axes { area, x: Scale::new(0.0, 2.0, false), y: Scale::new(1.0, 100.0, true), letters: 14.0 };
        assert_eq!(axes.at(1.0, 10.0), (60.0, 45.0));
    }
}
