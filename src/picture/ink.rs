//! What a chart is drawn with. Axes, legends and curves are laid out once over [`Ink`], on pixels and as SVG.

use super::canvas::{Anchor, Area, Color, Point};
use super::{FAINT, GRID, INK, SERIES};

/// The color of a part of a chart by its role: pixels and files have fixed colors, a page has those of its theme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tint {
    /// Titles, names and numbers.
    Text,
    /// The line under a title.
    Caption,
    /// The horizontal axis.
    Axis,
    /// Lines at ticks.
    Grid,
    /// The series of this index.
    Series(usize),
}

impl Tint {
    /// The fixed color.
    pub(super) fn color(self) -> Color {
        match self {
            Self::Text => INK,
            Self::Caption => FAINT.map(|v| v - 30),
            Self::Axis => FAINT,
            Self::Grid => GRID,
            Self::Series(i) => SERIES[i % SERIES.len()],
        }
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pen {
    pub(super) tint: Tint,
    pub(super) width: f32,
    pub(super) dashed: bool,
}

impl Pen {
    /// A thin line of a chart's frame.
    pub(super) fn thin(tint: Tint) -> Self {
        Self { tint, width: 1.0, dashed: false }
    }
}

/// The style of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Style {
    Plain,
    Bold,
    /// From bottom to top.
    Upwards,
}

/// Something to draw on. All points are finite, in pixels from the left and from the top.
pub(super) trait Ink {
    /// A line through two or more points.
    fn line(&mut self, points: &[Point], pen: Pen);

    /// A filled circle.
    fn dot(&mut self, center: Point, radius: f32, tint: Tint);

    /// A translucent area between two lines from left to right whose points have the same horizontal positions.
    fn band(&mut self, upper: &[Point], lower: &[Point], tint: Tint);

    /// A text whose baseline goes through the point.
    fn text(&mut self, at: Point, text: &str, size: f32, anchor: Anchor, style: Style, tint: Tint);

    /// Limits what follows to an area, until the next call; `None` lifts the limit.
    fn clip(&mut self, area: Option<Area>);
}
