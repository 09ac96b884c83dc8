//! Scoring: what a drawn image shows, by analysis and synthesis. Moments of the image give each shape's center, radius,
//! stroke and rotation in closed form; the shape is drawn with them, and the one that explains the image best wins.

use super::draw::{self, Figure};
use super::{Attributes, Shape, ShapesSpec};

/// What an image shows, and how well that explains it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// What it shows; within the ranges of the spec, whatever the image.
    pub attributes: Attributes,
    /// The root of the squared difference from the drawn attributes over the contrast of these: below 0.1 for the set's
    /// own images, 1 where a blank image would do as well.
    pub error: f32,
}

/// Reads off an image, in the range of the spec, what it shows.
///
/// # Panics
/// If the image has another length than those of the spec, or the spec has no shapes.
pub fn classify(image: &[f32], spec: &ShapesSpec) -> Verdict {
    let seen = Seen::new(image, spec);
    let mut tries: Vec<(Verdict, f64)> = (0..spec.classes.len()).map(|class| seen.guess(class)).collect();
    tries.sort_by(|a, b| a.1.total_cmp(&b.1));
    tries.truncate(2);
    let best = tries.into_iter().map(|guess| seen.refine(guess)).min_by(|a, b| a.1.total_cmp(&b.1));
    best.expect("a spec has at least one shape").0
}

/// An image with what its moments say.
struct Seen<'a> {
    spec: &'a ShapesSpec,
    side: usize,
    /// From 0 to 1, channel after channel.
    levels: Vec<f32>,
    /// Sum and sum of squares of each channel.
    sums: Vec<(f64, f64)>,
    /// Center in pixels.
    center: [f32; 2],
    area: f32,
    /// Mean of the squared distance from the center.
    spread: f32,
    /// Degrees at which the n-fold moment points, for n = 2, 3, 4.
    points: [f32; 3],
}

impl<'a> Seen<'a> {
    fn new(image: &[f32], spec: &'a ShapesSpec) -> Self {
        let (side, channels) = (spec.size as usize, spec.channels as usize);
        let pixels = side * side;
        assert_eq!(image.len(), channels * pixels, "the numbers of an image");
        let (low, span) = (spec.normalize.low as f32, (spec.normalize.high - spec.normalize.low) as f32);
        // What is not finite counts as black.
        let level = |&value: &f32| if value.is_finite() { ((value - low) / span).clamp(-1.0, 2.0) } else { 0.0 };
        let levels: Vec<f32> = image.iter().map(level).collect();
        let sum = |plane: &[f32]| {
            plane
                .iter()
                .fold((0.0, 0.0), |(sum, squares), &v| (sum + f64::from(v), squares + f64::from(v) * f64::from(v)))
        };
        let sums = levels.chunks_exact(pixels).map(sum).collect();
        let mut seen =
            Self { spec, side, levels, sums, center: [side as f32 / 2.0; 2], area: 0.0, spread: 0.0, points: [0.0; 3] };
        seen.measure(&seen.shares());
        seen
    }

    /// How much of each pixel is not background, from 0 to 1.
    fn shares(&self) -> Vec<f32> {
        let (side, pixels) = (self.side, self.side * self.side);
        let mut away = vec![0f32; pixels];
        let mut border = Vec::with_capacity(4 * side);
        for plane in self.levels.chunks_exact(pixels) {
            border.clear();
            border.extend_from_slice(&plane[..side]);
            border.extend_from_slice(&plane[pixels - side..]);
            border.extend((1..side - 1).flat_map(|row| [plane[row * side], plane[(row + 1) * side - 1]]));
            let middle = border.len() / 2;
            let (_, &mut background, _) = border.select_nth_unstable_by(middle, f32::total_cmp);
            for (away, &v) in away.iter_mut().zip(plane) {
                *away += (v - background) * (v - background);
            }
        }
        away.iter_mut().for_each(|away| *away = away.sqrt());
        // The shape's own level is what a few of the farthest pixels reach; a fleck of noise is less.
        let mut ranked = away.clone();
        let (_, &mut peak, _) = ranked.select_nth_unstable_by(pixels - 1 - pixels / 32, f32::total_cmp);
        for away in &mut away {
            *away = if *away < 0.1 * peak || peak <= 0.02 { 0.0 } else { (*away / peak).min(1.0) };
        }
        away
    }

    fn measure(&mut self, shares: &[f32]) {
        let place = |i: usize| ((i % self.side) as f32 + 0.5, (i / self.side) as f32 + 0.5);
        let (mut area, mut x, mut y) = (0.0, 0.0, 0.0);
        for (i, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let (right, down) = place(i);
            area += share;
            x += share * right;
            y += share * down;
        }
        if area <= 0.0 {
            return;
        }
        let center = [x / area, y / area];
        let (mut spread, mut fold) = (0.0, [[0f32; 2]; 3]);
        for (i, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let (right, down) = place(i);
            let (x, y) = (right - center[0], down - center[1]);
            spread += share * (x * x + y * y);
            // Powers of x + iy.
            let mut power = (x, y);
            for fold in &mut fold {
                power = (power.0 * x - power.1 * y, power.0 * y + power.1 * x);
                fold[0] += share * power.0;
                fold[1] += share * power.1;
            }
        }
        self.center = center;
        self.area = area;
        // The smooth edge of a pixel adds a sixth of a squared pixel.
        self.spread = (spread / area - 1.0 / 6.0).max(0.1);
        for (i, (point, fold)) in self.points.iter_mut().zip(fold).enumerate() {
            *point = libm::atan2f(fold[1], fold[0]).to_degrees() / (i + 2) as f32;
        }
    }

    /// This shape as the moments have it, drawn and compared.
    fn guess(&self, class: usize) -> (Verdict, f64) {
        let (spec, shape) = (self.spec, self.spec.classes[class]);
        let half = self.side as f32 / 2.0;
        let thickness = self.thickness(shape);
        let radius = (self.spread / draw::moments(shape, thickness).1).sqrt() / half;
        let rotation = draw::symmetry(shape).map_or(0.0, |(fold, farthest)| {
            let period = 360.0 / fold as f32;
            let turned = self.points[fold as usize - 2] - farthest;
            // Of all that look the same, the one nearest to the middle of the range.
            let middle = spec.rotation.at(0.5);
            middle + (turned - middle + period / 2.0).rem_euclid(period) - period / 2.0
        });
        let [x, y] = self.center.map(|place| place / half - 1.0);
        self.compare(Attributes { class, x, y, radius, rotation, thickness, color: [0.0; 3], background: 0.0 })
    }

    /// The stroke at which area over spread is that of the image; it grows with the stroke.
    fn thickness(&self, shape: Shape) -> f32 {
        let (mut low, mut high) = (self.spec.thickness.low as f32, self.spec.thickness.high as f32);
        if !draw::has_strokes(shape) {
            return (low + high) / 2.0;
        }
        for _ in 0..10 {
            let middle = (low + high) / 2.0;
            let (area, spread) = draw::moments(shape, middle);
            if area * self.spread < spread * self.area { low = middle } else { high = middle }
        }
        (low + high) / 2.0
    }

    /// Small steps while they help.
    fn refine(&self, mut best: (Verdict, f64)) -> (Verdict, f64) {
        let strokes = draw::has_strokes(self.spec.classes[best.0.attributes.class]);
        let pixel = 2.0 / self.side as f32;
        for scale in [0.4, 0.15] {
            for turn in 0..5 {
                if (turn == 4 && !strokes) || best.0.error < 0.04 {
                    continue;
                }
                for sign in [-1.0, 1.0] {
                    let (mut next, step) = (best.0.attributes, sign * scale);
                    match turn {
                        0 => next.radius += step * pixel,
                        1 => next.x += step * pixel,
                        2 => next.y += step * pixel,
                        3 => next.rotation += step * 6.0,
                        _ => next.thickness += step * 0.1,
                    }
                    let next = self.compare(next);
                    if next.1 < best.1 {
                        best = next;
                        break;
                    }
                }
            }
        }
        best
    }

    /// The nearest attributes within the spec, with the colors that explain the image best, and the squared error.
    fn compare(&self, attributes: Attributes) -> (Verdict, f64) {
        let spec = self.spec;
        let radius = spec.radius.clamp(attributes.radius);
        let room = 1.0 - radius;
        let place = |v: f32| if room > 0.0 { room * spec.position.clamp(v / room) } else { 0.0 };
        let mut attributes = Attributes {
            radius,
            x: place(attributes.x),
            y: place(attributes.y),
            rotation: spec.rotation.clamp(attributes.rotation),
            thickness: spec.thickness.clamp(attributes.thickness),
            ..attributes
        };
        let (channels, pixels) = (self.sums.len(), self.side * self.side);
        // Sums of the covered shares, of their squares, and of their products with each channel.
        let (mut covered, mut squares, mut product) = (0f64, 0f64, [0f64; 3]);
        Figure::new(&attributes, spec.classes[attributes.class], self.side).cover(|pixel, share| {
            let share = f64::from(share);
            covered += share;
            squares += share * share;
            for (channel, product) in product[..channels].iter_mut().enumerate() {
                *product += share * f64::from(self.levels[channel * pixels + pixel]);
            }
        });
        // A line through (share, level) for each channel: background at 0, color at 1.
        let n = pixels as f64;
        let varied = (squares - covered * covered / n).max(1e-9);
        let (mut color, mut background) = ([0f32; 3], 0.0);
        for ((color, &(sum, _)), product) in color.iter_mut().zip(&self.sums).zip(product) {
            let slope = (product - covered * sum / n) / varied;
            let ground = (sum - slope * covered) / n;
            *color = (ground + slope) as f32;
            background += (ground / channels as f64) as f32;
        }
        attributes.background = spec.background.clamp(background);
        attributes.color = if channels == 1 {
            [spec.brightness.clamp(color[0]); 3]
        } else {
            let [hue, saturation, brightness] = draw::hsv(color.map(|v| v.clamp(0.0, 1.0)));
            draw::rgb(spec.hue.clamp(hue), spec.saturation.clamp(saturation), spec.brightness.clamp(brightness))
        };
        let (mut error, mut contrast) = (0.0, 0.0);
        for (&(sum, sum_of_squares), (color, product)) in self.sums.iter().zip(attributes.color.iter().zip(product)) {
            let ground = f64::from(attributes.background);
            let step = f64::from(*color) - ground;
            error += sum_of_squares + n * ground * ground + step * step * squares
                - 2.0 * ground * sum
                - 2.0 * step * product
                + 2.0 * ground * step * covered;
            contrast += step * step * varied;
        }
        let error = error.max(0.0);
        (Verdict { attributes, error: (error / contrast.max(1e-9)).sqrt() as f32 }, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};
    use std::num::NonZeroU32;

    fn set(text: &str) -> ShapesSpec {
        toml::from_str(text).expect("a spec of the test")
    }

    fn image(spec: &ShapesSpec, i: u64) -> Vec<f32> {
        let mut out = vec![0.0; (spec.channels * spec.size * spec.size) as usize];
        super::super::render(&spec.attributes(i), spec, &mut out);
        out
    }

    /// Share of right classes over `n` images, mean error, and the largest error.
    fn accuracy(spec: &ShapesSpec, n: u64) -> (f64, f64, f32) {
        let (mut right, mut sum, mut most) = (0, 0.0, 0f32);
        for i in 0..n {
            let verdict = classify(&image(spec, i), spec);
            right += usize::from(verdict.attributes.class == spec.attributes(i).class);
            sum += f64::from(verdict.error);
            most = most.max(verdict.error);
        }
        (right as f64 / n as f64, sum / n as f64, most)
    }

    #[test]
    fn the_sets_own_images_are_recognized() {
        for text in
            ["", "channels = 3", "size = 16", "size = 64\nchannels = 3", "background = [0, 0.3]\nnormalize = [0, 1]"]
        {
            let spec = set(text);
            let (right, mean, most) = accuracy(&spec, 1000);
            assert!(right >= 0.99, "{text:?}: {right} {mean} {most}");
            assert!(mean < 0.08 && most < 0.35, "{text:?}: {right} {mean} {most}");
        }
    }

    #[test]
    fn attributes_are_read_off_an_image() {
        let spec = set("size = 32\nchannels = 3");
        for i in 0..200 {
            let (told, verdict) = (spec.attributes(i), classify(&image(&spec, i), &spec));
            let read = verdict.attributes;
            assert_eq!(read.class, told.class);
            // A pixel is 1/16.
            assert!((read.x - told.x).abs() < 0.05 && (read.y - told.y).abs() < 0.05, "{told:?} {read:?}");
            assert!((read.radius - told.radius).abs() < 0.06, "{told:?} {read:?}");
            assert!(read.color.iter().zip(told.color).all(|(a, b)| (a - b).abs() < 0.1), "{told:?} {read:?}");
            if draw::symmetry(spec.classes[told.class]).is_some() {
                assert!((read.rotation - told.rotation).abs() < 6.0, "{told:?} {read:?}");
            }
        }
    }

    #[test]
    fn a_little_noise_does_no_harm_and_noise_alone_is_nothing() {
        let spec = set("");
        let mut right = 0;
        for i in 0..300 {
            let mut noisy = image(&spec, i);
            let mut stream = Stream::new(1, Purpose::Noise, 0, i);
            noisy.iter_mut().for_each(|v| *v = (*v + 0.15 * stream.normal()).clamp(-1.0, 1.0));
            right += usize::from(classify(&noisy, &spec).attributes.class == spec.attributes(i).class);
            stream.fill_uniform(&mut noisy, -1.0, 1.0);
            assert!(classify(&noisy, &spec).error > 0.7);
        }
        assert!(right >= 285, "{right}");
        assert!(classify(&[-1.0; 784], &spec).error > 0.7);
        assert!(classify(&[f32::NAN; 784], &spec).error > 0.7);
        assert!(classify(&[1.0; 784], &spec).error > 0.7);
    }

    #[test]
    fn a_mixture_of_two_images_is_far_from_any_shape() {
        let spec = set("");
        for i in 0..50 {
            let (a, b) = (image(&spec, 10 * i), image(&spec, 10 * i + 6));
            let blend: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect();
            assert!(classify(&blend, &spec).error > 0.2);
        }
    }

    #[test]
    fn ten_thousand_images_are_scored_in_seconds() {
        let spec = ShapesSpec { count: NonZeroU32::MIN, ..set("") };
        let images: Vec<Vec<f32>> = (0..1000).map(|i| image(&spec, i)).collect();
        let start = std::time::Instant::now();
        let sum: f32 = images.iter().map(|image| classify(image, &spec).error).sum();
        assert!(sum.is_finite());
        // A tenth of three seconds in a release build, and room for a busy machine and for unoptimized ones.
        let limit = if cfg!(debug_assertions) { 30.0 } else { 1.5 };
        assert!(start.elapsed().as_secs_f64() < limit, "{:?}", start.elapsed());
    }
}
