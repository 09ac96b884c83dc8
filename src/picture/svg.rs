//! Charts as SVG: shapes and letters that stay sharp.

use super::axes::Scale;
use super::canvas::{Anchor, Area, Color, Point};
use super::ink::{Ink, Pen, Style, Tint};
use crate::base::digits::short;
use std::fmt::Write as _;

/// Where colors come from.
enum Theme {
    /// Fixed colors on white.
    File,
    /// The variables of a page, which has light and dark ones.
    Page,
}

/// An SVG being written.
pub(super) struct Svg {
    out: String,
    theme: Theme,
    /// The id of the clip path.
    clip: String,
    is_clipped: bool,
}

impl Svg {
    /// A whole file.
    pub(super) fn file((width, height): (u32, u32)) -> Self {
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        Self { out, theme: Theme::File, clip: "plot".to_owned(), is_clipped: false }
    }

    /// An element of a page. `data-x` has the ends of the horizontal axis, in pixels and in steps, for its script, which
    /// moves the line of class `read`.
    pub(super) fn card((width, height): (u32, u32), area: Area, x: Scale, label: &str, id: &str) -> Self {
        let Area { left, top, right, bottom } = area;
        let out = format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" data-x=\"{left} {right} {} {}\">\
             <line class=\"read\" visibility=\"hidden\" y1=\"{top}\" y2=\"{bottom}\"/>",
            escape(label),
            x.low,
            x.high
        );
        Self { out, theme: Theme::Page, clip: id.to_owned(), is_clipped: false }
    }

    pub(super) fn finish(self) -> String {
        match self.theme {
            Theme::File => self.out + "</svg>\n",
            Theme::Page => self.out + "</svg>",
        }
    }

    /// Starts the group of a series, with its finite points for the script of a page.
    pub(super) fn open_series(&mut self, i: usize, points: Option<&[(f64, f64)]>) {
        self.put(format_args!("<g class=\"s{i}\""));
        if let Some(points) = points {
            let finite = || points.iter().filter(|(_, y)| y.is_finite());
            let steps: Vec<String> = finite().map(|(x, _)| x.to_string()).collect();
            let values: Vec<String> = finite().map(|(_, y)| short(*y)).collect();
            self.put(format_args!(
                " data-series=\"{i}\" data-s=\"{}\" data-v=\"{}\"",
                steps.join(" "),
                values.join(" ")
            ));
        }
        self.out.push('>');
    }

    pub(super) fn close_series(&mut self) {
        self.out.push_str("</g>");
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a string takes any text");
    }

    /// Ends an element. A file has one per line.
    fn end(&mut self) {
        if let Theme::File = self.theme {
            self.out.push('\n');
        }
    }

    /// A color as an attribute.
    fn paint(&self, property: &str, tint: Tint) -> String {
        match (&self.theme, tint) {
            (Theme::File, tint) => format!("{property}=\"{}\"", hex(tint.color())),
            (Theme::Page, Tint::Text | Tint::Caption | Tint::Axis) => format!("style=\"{property}:var(--faint)\""),
            (Theme::Page, Tint::Grid) => format!("style=\"{property}:var(--line)\""),
            (Theme::Page, Tint::Series(i)) => format!("style=\"{property}:var(--c{i})\""),
        }
    }
}

/// Points as an attribute. Points far outside the picture move to its vicinity, as some programs limit coordinates.
fn list<'a>(points: impl Iterator<Item = &'a Point>) -> String {
    let point = |(x, y): &Point| format!("{x:.1},{:.1}", y.clamp(-10_000.0, 10_000.0));
    points.map(point).collect::<Vec<_>>().join(" ")
}

impl Ink for Svg {
    fn line(&mut self, points: &[Point], Pen { tint, width, dashed }: Pen) {
        let dashes = if dashed { " stroke-dasharray=\"7 4\"" } else { "" };
        let (points, paint) = (list(points.iter()), self.paint("stroke", tint));
        self.put(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" {paint} stroke-width=\"{width}\" stroke-linejoin=\"round\"{dashes}/>"
        ));
        self.end();
    }

    fn dot(&mut self, (x, y): Point, radius: f32, tint: Tint) {
        let paint = self.paint("fill", tint);
        self.put(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" {paint}/>"));
        self.end();
    }

    fn band(&mut self, upper: &[Point], lower: &[Point], tint: Tint) {
        let (corners, paint) = (list(upper.iter().chain(lower.iter().rev())), self.paint("fill", tint));
        self.put(format_args!("<polygon points=\"{corners}\" {paint} fill-opacity=\"0.16\"/>"));
        self.end();
    }

    fn text(&mut self, (x, y): Point, text: &str, size: f32, anchor: Anchor, style: Style, tint: Tint) {
        if text.is_empty() {
            return;
        }
        let at = match style {
            Style::Plain => format!("x=\"{x:.1}\" y=\"{y:.1}\""),
            Style::Bold => format!("x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"bold\""),
            Style::Upwards => format!("transform=\"translate({x:.1} {y:.1}) rotate(-90)\""),
        };
        let anchor = match anchor {
            Anchor::Left => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::Right => " text-anchor=\"end\"",
        };
        let (paint, text) = (self.paint("fill", tint), escape(text));
        self.put(format_args!("<text {at} font-size=\"{size}\"{anchor} {paint}>{text}</text>"));
        self.end();
    }

    fn clip(&mut self, area: Option<Area>) {
        if std::mem::take(&mut self.is_clipped) {
            self.put(format_args!("</g>"));
            self.end();
        }
        let Some(Area { left, top, right, bottom }) = area else { return };
        let (id, width, height) = (self.clip.clone(), right - left, bottom - top);
        self.put(format_args!(
            "<clipPath id=\"{id}\"><rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/></clipPath>\
             <g clip-path=\"url(#{id})\">"
        ));
        self.is_clipped = true;
        self.end();
    }
}

fn hex([red, green, blue]: Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
