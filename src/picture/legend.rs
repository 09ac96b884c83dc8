//! The head of a chart: title, caption and legend.

use super::canvas::{Anchor, Point};
use super::font;
use super::ink::{Ink, Style, Tint};

/// Letters of labels, in pixels.
pub(super) const LABEL: f32 = 14.0;

/// The width of the sign before a label.
pub(super) const SIGN: f32 = 20.0;

/// What a legend has for one thing: its label, and how its sign is drawn from the left end at half its height.
pub(super) struct Key<'a, I> {
    pub(super) label: &'a str,
    pub(super) sign: Box<dyn Fn(&mut I, Point) + 'a>,
}

/// Draws title, caption and legend between two horizontal positions; returns where the plot may start.
pub(super) fn head<I: Ink>(
    ink: &mut I,
    title: &str,
    caption: &str,
    legend: &[Key<'_, I>],
    (left, right): (f32, f32),
) -> f32 {
    let mut y = 14.0;
    if !title.is_empty() {
        y += 18.0;
        ink.text((left, y), title, 20.0, Anchor::Left, Style::Bold, Tint::Text);
        y += 6.0;
    }
    if !caption.is_empty() {
        y += 16.0;
        ink.text((left, y), caption, 15.0, Anchor::Left, Style::Plain, Tint::Caption);
        y += 6.0;
    }
    let mut x = left;
    if !legend.is_empty() {
        y += 19.0;
    }
    for key in legend {
        let width = SIGN + 8.0 + font::width(key.label, LABEL);
        if x > left && x + width > right {
            (x, y) = (left, y + 20.0);
        }
        (key.sign)(ink, (x, y - 5.0));
        ink.text((x + SIGN + 8.0, y), key.label, LABEL, Anchor::Left, Style::Plain, Tint::Text);
        x += width + 22.0;
    }
    (y + 14.0).round()
}
