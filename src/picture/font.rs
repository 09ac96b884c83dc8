//! A stroke font: letters are lines and arcs of a pen, so that they can have any size, weight and angle, anti-aliased like
//! every other line. Made for this program; a glyph costs a line.

use super::canvas::Point;

/// A glyph: the character, its width, and its strokes. Units: capitals are 20 high and small letters 14, over a baseline
/// at 0. `L x y x y …` is a line through points, `A cx cy rx ry from to` an arc with angles in eighths of a turn,
/// counter-clockwise from the right.
const GLYPHS: &[(char, f32, &str)] = &[
    ('0', 12.0, "A6 10 6 10 0 8"),
    ('1', 12.0, "L1.5 16 7 20 7 0"),
    ('2', 12.0, "A6 14.5 5.5 5.5 3.8 -.7 L10.7 11.6 .5 0 12 0"),
    ('3', 12.0, "A5.5 15.2 5 4.8 3.4 -2 A5.5 5.2 6 5.2 2 -3.4"),
    ('4', 12.0, "L9 0 9 20 0 6 12.5 6"),
    ('5', 12.0, "L11 20 2 20 1.3 10.8 A5.6 6.3 6 6.3 3 -3.4"),
    ('6', 12.0, "A6 6.2 6 6.2 0 8 A12 6.2 12 13.8 4 2.3"),
    ('7', 12.0, "L0 20 12 20 4 0"),
    ('8', 12.0, "A6 15.2 4.9 4.8 0 8 A6 5.2 6 5.2 0 8"),
    ('9', 12.0, "A6 13.8 6 6.2 0 8 A0 13.8 12 13.8 0 -1.7"),
    ('A', 14.0, "L0 0 7 20 14 0 L2.5 7 11.5 7"),
    ('B', 12.0, "L6.5 20 0 20 0 0 6.5 0 A6.5 15.2 4.8 4.8 2 -2 L0 10.4 6.5 10.4 A6.5 5.2 5.5 5.2 2 -2"),
    ('C', 14.5, "A8.5 10 8.5 10 1 7"),
    ('D', 14.0, "L4.5 20 0 20 0 0 4.5 0 A4.5 10 9.5 10 2 -2"),
    ('E', 11.0, "L11 20 0 20 0 0 11 0 L0 10.4 9.5 10.4"),
    ('F', 10.5, "L10.5 20 0 20 0 0 L0 10.2 9 10.2"),
    ('G', 16.0, "A8 10 8 10 1 8 L16 10 10 10"),
    ('H', 13.0, "L0 0 0 20 L13 0 13 20 L0 10.4 13 10.4"),
    ('I', 0.0, "L0 0 0 20"),
    ('J', 8.0, "L8 20 8 5 A3.5 5 4.5 5 0 -3"),
    ('K', 12.5, "L0 0 0 20 L12 20 0 8 L4.5 12.5 12.5 0"),
    ('L', 10.5, "L0 20 0 0 10.5 0"),
    ('M', 16.0, "L0 0 0 20 8 6 16 20 16 0"),
    ('N', 13.0, "L0 0 0 20 13 0 13 20"),
    ('O', 17.0, "A8.5 10 8.5 10 0 8"),
    ('P', 12.0, "L0 0 0 20 6.5 20 A6.5 14.6 5.5 5.4 2 -2 L6.5 9.2 0 9.2"),
    ('Q', 17.0, "A8.5 10 8.5 10 0 8 L10.5 5.5 16.5 -1.5"),
    ('R', 12.5, "L0 0 0 20 6.5 20 A6.5 14.6 5.5 5.4 2 -2 L0 9.2 6.5 9.2 12.5 0"),
    ('S', 12.0, "A6 15 5.5 5 .8 6 A6 5 6 5 2 -3.2"),
    ('T', 13.0, "L0 20 13 20 L6.5 20 6.5 0"),
    ('U', 13.0, "L0 20 0 6.5 A6.5 6.5 6.5 6.5 4 8 L13 6.5 13 20"),
    ('V', 14.0, "L0 20 7 0 14 20"),
    ('W', 20.0, "L0 20 5 0 10 17 15 0 20 20"),
    ('X', 13.0, "L0 20 13 0 L0 0 13 20"),
    ('Y', 13.0, "L0 20 6.5 9.5 13 20 L6.5 9.5 6.5 0"),
    ('Z', 12.5, "L0 20 12 20 0 0 12.5 0"),
    ('a', 11.0, "A5.5 7 5.5 7 0 8 L11 14 11 0"),
    ('b', 11.0, "L0 20 0 0 A5.5 7 5.5 7 0 8"),
    ('c', 10.3, "A6 7 6 7 1 7"),
    ('d', 11.0, "A5.5 7 5.5 7 0 8 L11 20 11 0"),
    ('e', 11.6, "L.2 7.2 11.6 7.2 A5.8 7 5.8 7 0 7"),
    ('f', 7.5, "L3 0 3 15.5 A7.2 15.5 4.2 4.5 4 1.8 L0 13.5 7.5 13.5"),
    ('g', 11.0, "A5.5 7 5.5 7 0 8 L11 14 11 -.5 A5.5 -.5 5.5 5.5 0 -3.3"),
    ('h', 10.4, "L0 20 0 0 A5.2 8.8 5.2 5.2 4 0 L10.4 8.8 10.4 0"),
    ('i', 0.0, "L0 14 0 0 L0 18.8 0 19.4"),
    ('j', 3.5, "L3.5 14 3.5 -2 A0 -2 3.5 3.8 0 -1.8 L3.5 18.8 3.5 19.4"),
    ('k', 10.0, "L0 20 0 0 L9.5 14 0 5 L3.7 8.5 10 0"),
    ('l', 2.5, "L0 20 0 2.5 A2.5 2.5 2.5 2.5 4 6"),
    ('m', 17.6, "L0 14 0 0 A4.4 9.6 4.4 4.4 4 0 L8.8 9.6 8.8 0 A13.2 9.6 4.4 4.4 4 0 L17.6 9.6 17.6 0"),
    ('n', 10.4, "L0 14 0 0 A5.2 8.8 5.2 5.2 4 0 L10.4 8.8 10.4 0"),
    ('o', 12.0, "A6 7 6 7 0 8"),
    ('p', 11.0, "L0 14 0 -6 A5.5 7 5.5 7 0 8"),
    ('q', 11.0, "A5.5 7 5.5 7 0 8 L11 14 11 -6"),
    ('r', 6.5, "L0 14 0 0 A5.5 8 5.5 6 4 1.8"),
    ('s', 9.6, "A4.7 10.4 4.3 3.6 .9 6 A4.7 3.4 4.9 3.4 2 -3.1"),
    ('t', 7.5, "L3 18.5 3 4 A7 4 4 4 4 6.2 L0 14 7.5 14"),
    ('u', 10.4, "L0 14 0 5.2 A5.2 5.2 5.2 5.2 4 8 L10.4 14 10.4 0"),
    ('v', 10.6, "L0 14 5.3 0 10.6 14"),
    ('w', 16.0, "L0 14 4 0 8 12.5 12 0 16 14"),
    ('x', 10.0, "L0 14 10 0 L0 0 10 14"),
    ('y', 10.6, "L0 14 5.4 0 L10.6 14 4.2 -3 A1 -2.2 3.6 3.8 -.2 -2.2"),
    ('z', 10.0, "L0 14 9.5 14 0 0 10 0"),
    ('.', 0.0, "L0 0 0 .5"),
    (',', 0.5, "L.5 .5 -.5 -3"),
    (':', 0.0, "L0 0 0 .5 L0 10 0 10.5"),
    (';', 0.5, "L.5 .5 -.5 -3 L.5 10 .5 10.5"),
    ('!', 0.0, "L0 20 0 6 L0 0 0 .5"),
    ('?', 10.0, "A5 15 5 5 3.8 -2 L5 10 5 6 L5 0 5 .5"),
    ('-', 6.5, "L0 7.5 6.5 7.5"),
    ('−', 11.0, "L0 8 11 8"),
    ('+', 12.0, "L0 8 12 8 L6 2 6 14"),
    ('±', 12.0, "L0 10 12 10 L6 4 6 16 L0 0 12 0"),
    ('×', 10.0, "L.5 3 9.5 12 L.5 12 9.5 3"),
    ('=', 12.0, "L0 5.5 12 5.5 L0 10.5 12 10.5"),
    ('<', 10.0, "L10 14 0 8 10 2"),
    ('>', 10.0, "L0 14 10 8 0 2"),
    ('→', 15.0, "L0 8 15 8 L10.5 12 15 8 10.5 4"),
    ('/', 8.0, "L0 -2 8 21"),
    ('\\', 8.0, "L0 21 8 -2"),
    ('(', 3.0, "A9 9 9 15 2.9 5.1"),
    (')', 3.0, "A-6 9 9 15 1.1 -1.1"),
    ('[', 4.0, "L4 21 0 21 0 -3 4 -3"),
    (']', 4.0, "L0 21 4 21 4 -3 0 -3"),
    ('{', 4.5, "L4.5 21 2.5 20 2.5 11 0 9 2.5 7 2.5 -2 4.5 -3"),
    ('}', 4.5, "L0 21 2 20 2 11 4.5 9 2 7 2 -2 0 -3"),
    ('|', 0.0, "L0 22 0 -4"),
    ('_', 12.0, "L0 -3 12 -3"),
    ('*', 9.0, "L4.5 20 4.5 10 L.2 17.5 8.8 12.5 L.2 12.5 8.8 17.5"),
    ('\'', 0.0, "L0 20 0 15"),
    ('"', 4.0, "L0 20 0 15 L4 20 4 15"),
    ('#', 15.0, "L4 0 7 20 L10 0 13 20 L1 13 15 13 L0 7 14 7"),
    ('$', 12.0, "A6 15 5.5 5 .8 6 A6 5 6 5 2 -3.2 L6 23 6 -3"),
    ('%', 17.0, "A3.5 16 3.5 4 0 8 A13.5 4 3.5 4 0 8 L14 20 3 0"),
    ('&', 14.0, "A6.3 15.8 3.9 4.2 5.2 -1.7 L6.8 11.6 3.2 9.6 A5.8 5 5.8 5 3.1 7.4 L3.3 13.2 14 0 L9.9 1.4 13.5 8"),
    ('@', 18.0, "A9 8.5 9 10 7.9 -.2 A9 8.5 4 4.5 0 8 L13 13 13 6.5 A15.5 6.5 2.5 2.5 4 8 L18 6.5 18 8.5"),
    ('^', 9.0, "L0 14 4.5 20 9 14"),
    ('~', 12.0, "A3 7.5 3 2.5 4 0 A9 7.5 3 2.5 4 8"),
    ('`', 3.0, "L0 20 3 16"),
    ('·', 0.0, "L0 8 0 8.5"),
    ('…', 12.0, "L0 0 0 .5 L6 0 6 .5 L12 0 12 .5"),
];

/// What a character nobody drew looks like.
const MISSING: (f32, &str) = (10.0, "L0 0 0 20 10 20 10 0 0 0");

/// A blank, beside the gap of the glyph before it.
const SPACE: f32 = 7.0;
/// Between two glyphs, in the glyphs' units.
const GAP: f32 = 5.2;
/// Glyph units in a text of size 1: capitals are 0.7 of the size.
const UNIT: f32 = 0.7 / 20.0;

fn glyph(c: char) -> (f32, &'static str) {
    GLYPHS.iter().find(|glyph| glyph.0 == c).map_or(MISSING, |&(_, width, strokes)| (width, strokes))
}

/// How wide a text of this size is, in pixels.
pub(super) fn width(text: &str, size: f32) -> f32 {
    let units: f32 = text.chars().map(|c| if c == ' ' { SPACE } else { glyph(c).0 + GAP }).sum();
    (units - GAP).max(0.0) * size * UNIT
}

/// The pen's strokes for a text that starts at the origin of the baseline; y grows downwards, as in pictures.
pub(super) fn strokes(text: &str, size: f32) -> Vec<Vec<Point>> {
    let unit = size * UNIT;
    let mut all = Vec::new();
    let mut left = 0.0;
    for c in text.chars() {
        if c == ' ' {
            left += SPACE;
            continue;
        }
        let (width, drawing) = glyph(c);
        for stroke in pen(drawing) {
            all.push(stroke.into_iter().map(|(x, y)| ((left + x) * unit, -y * unit)).collect());
        }
        left += width + GAP;
    }
    all
}

/// The strokes of a glyph as points, in its own units.
fn pen(drawing: &str) -> Vec<Vec<Point>> {
    let mut commands: Vec<(bool, Vec<f32>)> = Vec::new();
    for word in drawing.split_whitespace() {
        let number = word.trim_start_matches(['L', 'A']);
        if number.len() < word.len() {
            commands.push((word.starts_with('A'), Vec::new()));
        }
        let number = number.parse().expect("the font is written in numbers");
        commands.last_mut().expect("a drawing starts with a command").1.push(number);
    }
    let points = |(is_arc, n): (bool, Vec<f32>)| match n[..] {
        [cx, cy, rx, ry, from, to] if is_arc => (0..=ARC_STEPS)
            .map(|i| {
                let eighths = from + (to - from) * i as f32 / ARC_STEPS as f32;
                let (sin, cos) = (eighths * std::f32::consts::FRAC_PI_4).sin_cos();
                (cx + rx * cos, cy + ry * sin)
            })
            .collect(),
        _ => n.chunks_exact(2).map(|xy| (xy[0], xy[1])).collect(),
    };
    commands.into_iter().map(points).collect()
}

const ARC_STEPS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_is_drawn_within_its_width() {
        for c in ('!'..='~').chain("±×−→·…".chars()) {
            let (width, drawing) =
                GLYPHS.iter().find(|g| g.0 == c).map(|g| (g.1, g.2)).unwrap_or_else(|| panic!("no {c}"));
            for (x, y) in pen(drawing).concat() {
                assert!((-1.0..=width + 1.0).contains(&x), "{c} at x {x}");
                assert!((-7.0..=24.0).contains(&y), "{c} at y {y}");
            }
        }
    }

    #[test]
    fn figures_are_equally_wide_so_that_numbers_do_not_jump() {
        let of = |text: &str| width(text, 20.0);
        assert!(('0'..='9').all(|c| of(&c.to_string()) == of("0")));
        assert_eq!(of("11 11"), of("00 00"));
        assert_eq!(of(""), 0.0);
    }
}
