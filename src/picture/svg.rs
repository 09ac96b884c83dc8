//! Curves as SVG, for papers: the picture that `curves` draws, in shapes and letters that stay sharp.

use super::canvas::{Area, Color};
use super::plots::Curves;
use super::{FAINT, GRID, INK, SERIES, font};
use crate::picture::axes::Axes;
use std::fmt::Write as _;

/// Letters, in pixels.
const LETTERS: f32 = 14.0;

/// Lines over steps, with bands, as a whole SVG file: the same text for the same curves.
pub fn svg(view: &Curves) -> String {
    let mut top = 14.0_f32;
    let mut out = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a string takes any text");
    put(format_args!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 500" width="880" height="500" font-family="Helvetica, Arial, sans-serif" font-size="{LETTERS}" fill="{}">"##,
        hex(INK)
    ));
    put(format_args!(r##"<rect width="880" height="500" fill="#ffffff"/>"##));
    if !view.title.is_empty() {
        top += 18.0;
        put(format_args!(
            r##"<text x="76" y="{top}" font-size="20" font-weight="bold">{}</text>"##,
            escape(&view.title)
        ));
        top += 6.0;
    }
    if !view.caption.is_empty() {
        top += 16.0;
        put(format_args!(r##"<text x="76" y="{top}" fill="{}">{}</text>"##, hex(FAINT), escape(&view.caption)));
        top += 6.0;
    }
    let style = |i: usize| {
        let dash = if i >= SERIES.len() { r##" stroke-dasharray="7 4""## } else { "" };
        (hex(SERIES[i % SERIES.len()]), dash)
    };
    let mut x = 76.0;
    if !view.series.is_empty() {
        top += 19.0;
    }
    for (i, series) in view.series.iter().enumerate() {
        let wide = 28.0 + font::width(&series.name, LETTERS) + 22.0;
        if x > 76.0 && x + wide - 22.0 > 856.0 {
            (x, top) = (76.0, top + 20.0);
        }
        let (color, dash) = style(i);
        put(format_args!(
            r##"<path d="M{:.1} {:.1}h18" stroke="{color}" stroke-width="2.4"{dash}/><text x="{:.1}" y="{top}">{}</text>"##,
            x + 1.0,
            top - 5.0,
            x + 28.0,
            escape(&series.name)
        ));
        x += wide;
    }
    let (x, y) = view.scales();
    let axes = Axes { area: Area { left: 76.0, top: (top + 14.0).round(), right: 856.0, bottom: 442.0 }, x, y };
    let Area { left, top, right, bottom } = axes.area;
    for (value, label) in axes.y.ticks(5) {
        let y = axes.at(axes.x.low, value).1;
        put(format_args!(r##"<path d="M{left} {y:.1}H{right}" stroke="{}"/>"##, hex(GRID)));
        put(format_args!(r##"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"##, left - 8.0, y + 5.0));
    }
    put(format_args!(r##"<path d="M{left} {bottom}H{right}" stroke="{}"/>"##, hex(FAINT)));
    for (value, label) in axes.x.ticks(8) {
        let x = axes.at(value, axes.y.low).0;
        put(format_args!(r##"<path d="M{x:.1} {bottom}v5" stroke="{}"/>"##, hex(FAINT)));
        put(format_args!(r##"<text x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"##, bottom + 21.0));
    }
    let middle = (left + right) / 2.0;
    put(format_args!(
        r##"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"##,
        bottom + 41.0,
        escape(&view.x_label)
    ));
    if !view.y_label.is_empty() {
        let middle = (top + bottom) / 2.0;
        put(format_args!(
            r##"<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{}</text>"##,
            escape(&view.y_label)
        ));
    }
    put(format_args!(
        r##"<clipPath id="plot"><rect x="{left}" y="{top}" width="{}" height="{}"/></clipPath><g clip-path="url(#plot)">"##,
        right - left,
        bottom - top
    ));
    let shown = |v: f64| v.is_finite() && (!view.log || v > 0.0);
    let at = |x: f64, y: f64| {
        let (x, y) = axes.at(x, y);
        // Far outside there is nothing to see, and other programs need not cope with it.
        format!("{x:.1} {:.1}", y.clamp(-10_000.0, 10_000.0))
    };
    for (i, series) in view.series.iter().enumerate() {
        let Some(band) = &series.band else { continue };
        let ends = series.points.iter().zip(band).filter(|(_, (low, high))| shown(*low) && shown(*high));
        let ends: Vec<(f64, f64, f64)> = ends.map(|((x, _), (low, high))| (*x, *low, *high)).collect();
        let corners: Vec<String> =
            ends.iter().map(|e| at(e.0, e.2)).chain(ends.iter().rev().map(|e| at(e.0, e.1))).collect();
        put(format_args!(r##"<polygon points="{}" fill="{}" fill-opacity="0.16"/>"##, corners.join(" "), style(i).0));
    }
    for (i, series) in view.series.iter().enumerate() {
        let (color, dash) = style(i);
        for piece in series.points.split(|(_, y)| !shown(*y)).filter(|piece| !piece.is_empty()) {
            let points: Vec<String> = piece.iter().map(|&(x, y)| at(x, y)).collect();
            put(format_args!(
                r##"<polyline points="{}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"{dash}/>"##,
                points.join(" ")
            ));
        }
    }
    out + "</g>\n</svg>\n"
}

fn hex([red, green, blue]: Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::Series;
    use super::*;

    #[test]
    fn a_curve_is_drawn_where_the_picture_has_it_and_stops_where_there_is_no_number() {
        let points = vec![(0.0, 1.0), (50.0, 9.0), (75.0, f64::NAN), (100.0, 9.0)];
        let band = Some(points.iter().map(|(_, y)| (y - 0.5, y + 0.5)).collect());
        let series = vec![Series { name: "a < b".into(), points, band }];
        let view = Curves {
            title: "w1".into(),
            x_label: "step".into(),
            range: Some((0.0, 10.0)),
            series,
            ..Curves::default()
        };
        let text = svg(&view);
        // Steps 0 to 100 lie from x = 76 to 856; 0 to 10 from y = 442 up to 71, where the legend ends.
        assert!(text.contains(r##"<polyline points="76.0 404.9 466.0 108.1" fill="none" stroke="#0072b2""##), "{text}");
        assert!(text.contains(r##"<polyline points="856.0 108.1""##), "{text}");
        assert_eq!(text.matches("<polygon").count(), 1);
        assert!(text.contains("a &lt; b") && text.contains(">step</text>"), "{text}");
        assert_eq!(text, svg(&view));
    }
}
