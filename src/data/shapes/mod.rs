//! The embedded image set: ten glyphs drawn by signed distance, so that every image experiment has data that needs no
//! download and whose truth is known. Example i is a pure function of (seed of the set, i).
//!
//! [`render`] draws what [`Attributes`] say, [`classify`] reads them off an image again.

mod draw;
mod score;

pub use draw::render;
pub use score::{Verdict, classify};

use super::images::{BinarizeKind, ImageSet, Part, batch_stream, reference_stream};
use super::interval::Interval;
use super::{DataError, DataInfo, Examples, Source, Split, Truth, example_at, reference_order};
use crate::base::Array;
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The embedded set of drawn shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ShapesSpec {
    /// The side of the square images, from 8 to 256.
    #[serde(default = "ShapesSpec::size")]
    pub size: u32,
    /// 1 for gray, 3 for color.
    #[serde(default = "ShapesSpec::channels")]
    pub channels: u32,
    /// The shapes; a label is a place in this list.
    #[serde(default = "ShapesSpec::classes")]
    pub classes: Vec<Shape>,
    /// How many training examples.
    #[serde(default = "ShapesSpec::count")]
    pub count: NonZeroU32,
    /// How many examples are held out; they follow those of training.
    #[serde(default = "ShapesSpec::test_count")]
    pub test_count: NonZeroU32,
    /// Another seed is another set; it has nothing to do with the seed of a run.
    #[serde(default)]
    pub seed: u64,
    /// Where the center lies, of the room that the radius leaves: 0 is the middle, ±1 touches the border.
    #[serde(default = "ShapesSpec::position")]
    pub position: Interval,
    /// The radius of the circle around the shape, where 1 is half of the image's side.
    #[serde(default = "ShapesSpec::radius")]
    pub radius: Interval,
    /// Degrees, clockwise.
    #[serde(default = "ShapesSpec::rotation")]
    pub rotation: Interval,
    /// The width of strokes, of the radius.
    #[serde(default = "ShapesSpec::thickness")]
    pub thickness: Interval,
    /// How bright the shape is, from 0 to 1.
    #[serde(default = "ShapesSpec::brightness")]
    pub brightness: Interval,
    /// The hue in degrees from 0 (red) to 360; color only.
    #[serde(default = "ShapesSpec::hue")]
    pub hue: Interval,
    /// How far from gray the color is, from 0 to 1; color only.
    #[serde(default = "ShapesSpec::saturation")]
    pub saturation: Interval,
    /// How bright the gray around the shape is, from 0 to 1.
    #[serde(default = "ShapesSpec::background")]
    pub background: Interval,
    /// What black and white become. The default, (v − 0.5) / 0.5 for v from 0 to 1, suits a tanh.
    #[serde(default = "crate::data::images::normalize")]
    pub normalize: Interval,
    /// Makes every pixel black or white; nothing said leaves it gray.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binarize: Option<BinarizeKind>,
}

impl ShapesSpec {
    fn size() -> u32 {
        28
    }
    fn channels() -> u32 {
        1
    }
    fn classes() -> Vec<Shape> {
        Shape::ALL.to_vec()
    }
    fn count() -> NonZeroU32 {
        NonZeroU32::new(10_000).expect("a number above 0")
    }
    fn test_count() -> NonZeroU32 {
        NonZeroU32::new(2_000).expect("a number above 0")
    }
    fn position() -> Interval {
        Interval::of(-0.6, 0.6)
    }
    fn radius() -> Interval {
        Interval::of(0.55, 0.85)
    }
    fn rotation() -> Interval {
        Interval::of(-15.0, 15.0)
    }
    fn thickness() -> Interval {
        Interval::of(0.3, 0.42)
    }
    fn brightness() -> Interval {
        Interval::of(0.75, 1.0)
    }
    fn hue() -> Interval {
        Interval::of(0.0, 360.0)
    }
    fn saturation() -> Interval {
        Interval::of(0.55, 0.9)
    }
    fn background() -> Interval {
        Interval::of(0.0, 0.0)
    }
}

impl Default for ShapesSpec {
    /// The set that stands in for MNIST: every field as where a TOML says nothing.
    fn default() -> Self {
        Self {
            size: Self::size(),
            channels: Self::channels(),
            classes: Self::classes(),
            count: Self::count(),
            test_count: Self::test_count(),
            seed: 0,
            position: Self::position(),
            radius: Self::radius(),
            rotation: Self::rotation(),
            thickness: Self::thickness(),
            brightness: Self::brightness(),
            hue: Self::hue(),
            saturation: Self::saturation(),
            background: Self::background(),
            normalize: super::images::normalize(),
            binarize: None,
        }
    }
}

/// A kind of shape; all fit in the circle of their radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A filled circle.
    Disc,
    /// A circle's outline.
    Ring,
    /// A filled square.
    Square,
    /// A square's outline.
    Frame,
    /// A filled triangle with three equal sides.
    Triangle,
    /// Two bars that cross upright.
    Cross,
    /// Two bars that cross askew.
    X,
    /// A lying bar.
    HorizontalBar,
    /// A standing bar.
    VerticalBar,
    /// A filled rhombus, taller than wide.
    Diamond,
}

impl Shape {
    /// All shapes, in the order of their default labels.
    pub const ALL: [Self; 10] = [
        Self::Disc,
        Self::Ring,
        Self::Square,
        Self::Frame,
        Self::Triangle,
        Self::Cross,
        Self::X,
        Self::HorizontalBar,
        Self::VerticalBar,
        Self::Diamond,
    ];

    /// Whether it looks different when it is turned a little.
    pub fn shows_rotation(self) -> bool {
        draw::symmetry(self).is_some()
    }

    /// Whether the width of its strokes shows.
    pub fn shows_strokes(self) -> bool {
        draw::has_strokes(self)
    }

    /// Its name, as a TOML writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Ring => "ring",
            Self::Square => "square",
            Self::Frame => "frame",
            Self::Triangle => "triangle",
            Self::Cross => "cross",
            Self::X => "x",
            Self::HorizontalBar => "horizontal-bar",
            Self::VerticalBar => "vertical-bar",
            Self::Diamond => "diamond",
        }
    }
}

/// What an image shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attributes {
    /// The label: a place in the spec's list of shapes.
    pub class: usize,
    /// The center from −1 (left) to 1 (right).
    pub x: f32,
    /// The center from −1 (top) to 1 (bottom).
    pub y: f32,
    /// The radius of the circle around the shape, where 1 is half of the side.
    pub radius: f32,
    /// Degrees, clockwise.
    pub rotation: f32,
    /// The width of strokes, of the radius; shapes without strokes have one, too, and do not show it.
    pub thickness: f32,
    /// Red, green and blue of the shape from 0 to 1; all the same in gray images.
    pub color: [f32; 3],
    /// The gray around it, from 0 to 1.
    pub background: f32,
}

impl ShapesSpec {
    /// What is known of the set.
    ///
    /// # Errors
    /// If a value is out of its range, or two shapes of the set can look the same.
    pub fn info(&self) -> Result<DataInfo, DataError> {
        self.check().map_err(|text| DataError::Spec(format!("shapes: {text}")))?;
        let side = self.size as usize;
        Ok(DataInfo {
            shape: vec![self.channels as usize, side, side],
            classes: self.classes.len(),
            class_names: self.classes.iter().map(|shape| shape.name().to_owned()).collect(),
            len: Some(u64::from(self.count.get())),
            range: Some((self.normalize.low as f32, self.normalize.high as f32)),
            levels: Some(if self.binarize.is_some() { 2 } else { 256 }),
            binarized: self.binarize,
            symbols: vec![],
            texts: vec![],
            truth: Truth::Shapes(self.clone()),
        })
    }

    fn check(&self) -> Result<(), String> {
        if !(8..=256).contains(&self.size) {
            return Err(format!("expected a size from 8 to 256, got {}", self.size));
        }
        if ![1, 3].contains(&self.channels) {
            return Err(format!("expected 1 or 3 channels, got {}", self.channels));
        }
        if self.classes.is_empty() {
            return Err("expected at least one shape in `classes`".to_owned());
        }
        if let Some(i) = (1..self.classes.len()).find(|&i| self.classes[..i].contains(&self.classes[i])) {
            return Err(format!("`classes` names {} twice", self.classes[i].name()));
        }
        for (name, interval, low, high) in [
            ("position", self.position, -1.0, 1.0),
            ("radius", self.radius, 0.1, 1.0),
            ("rotation", self.rotation, -360.0, 360.0),
            ("thickness", self.thickness, 0.1, 0.5),
            ("brightness", self.brightness, 0.0, 1.0),
            ("hue", self.hue, 0.0, 360.0),
            ("saturation", self.saturation, 0.0, 1.0),
            ("background", self.background, 0.0, 1.0),
        ] {
            if !interval.within(low, high) {
                return Err(format!(
                    "expected `{name}` from {low} to {high}, got {} to {}",
                    interval.low, interval.high
                ));
            }
        }
        if self.normalize.low >= self.normalize.high {
            return Err("`normalize` expects [low, high] with low below high".to_owned());
        }
        if self.background.high >= self.brightness.low {
            return Err("expected `background` below `brightness`, or shapes vanish".to_owned());
        }
        // Turned far enough, one of these looks like the other.
        for (one, other, limit) in [(Shape::Cross, Shape::X, 20.0), (Shape::HorizontalBar, Shape::VerticalBar, 40.0)] {
            if self.classes.contains(&one) && self.classes.contains(&other) && !self.rotation.within(-limit, limit) {
                let (one, other) = (one.name(), other.name());
                return Err(format!(
                    "{one} and {other} look the same when turned: keep `rotation` within ±{limit}, or one of them"
                ));
            }
        }
        Ok(())
    }

    /// What example `i` shows: a pure function of the spec's seed and `i`.
    pub fn attributes(&self, i: u64) -> Attributes {
        let mut stream = Stream::new(self.seed, Purpose::Data, 0x5AE, i);
        let mut pick = |interval: Interval| interval.at(stream.uniform());
        let radius = pick(self.radius);
        let room = 1.0 - radius;
        let (x, y) = (room * pick(self.position), room * pick(self.position));
        let (rotation, thickness) = (pick(self.rotation), pick(self.thickness));
        let (brightness, background) = (pick(self.brightness), pick(self.background));
        let (hue, saturation) = (pick(self.hue), pick(self.saturation));
        let color = if self.channels == 1 { [brightness; 3] } else { draw::rgb(hue, saturation, brightness) };
        // Every class is there equally often.
        let class = usize::try_from(i % self.classes.len() as u64).expect("a place in a list");
        Attributes { class, x, y, radius, rotation, thickness, color, background }
    }

    /// The set, drawn into memory where it fits.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn open(&self) -> Result<Shapes, DataError> {
        let info = self.info()?;
        let row: usize = info.shape.iter().product();
        let (count, test) = (u64::from(self.count.get()), u64::from(self.test_count.get()));
        if (count + test) * row as u64 > MEMORY {
            return Ok(Shapes::Drawn { info, spec: self.clone() });
        }
        let part = |range: std::ops::Range<u64>| {
            let mut pixels = vec![0; usize::try_from(range.end - range.start).expect("it fits in memory") * row];
            let mut labels = Vec::new();
            for (i, out) in range.zip(pixels.chunks_exact_mut(row)) {
                let attributes = self.attributes(i);
                draw::bytes(&attributes, self, out);
                labels.push(attributes.class as i64);
            }
            Part { pixels, labels }
        };
        let (train, test) = (part(0..count), part(count..count + test));
        Ok(Shapes::Held(ImageSet::of_parts(info, self.normalize, train, Some(test))))
    }
}

/// Sets of more bytes are drawn anew for every batch.
const MEMORY: u64 = 1 << 29;

/// The opened set.
#[derive(Debug)]
pub enum Shapes {
    /// All images are in memory.
    Held(ImageSet),
    /// Images are drawn when they are asked for.
    Drawn {
        /// What is known of the set.
        info: DataInfo,
        /// What it consists of.
        spec: ShapesSpec,
    },
}

impl Source for Shapes {
    fn info(&self) -> &DataInfo {
        match self {
            Self::Held(set) => set.info(),
            Self::Drawn { info, .. } => info,
        }
    }

    fn draw(&self, seed: u64, draw: u64, x: &mut [f32], labels: &mut [i64]) {
        match self {
            Self::Held(set) => set.draw(seed, draw, x, labels),
            Self::Drawn { info, spec } => {
                let (row, n) = (info.shape.iter().product(), labels.len() as u64);
                let mut bytes = vec![0; row];
                for (j, (x, label)) in (0..).zip(x.chunks_exact_mut(row).zip(labels)) {
                    let i = example_at(seed, draw * n + j, u64::from(spec.count.get()));
                    *label = drawn(spec, i as u64, &mut bytes, x);
                }
                if let Some(kind) = spec.binarize {
                    kind.apply(spec.normalize, &mut batch_stream(seed, draw), x);
                }
            }
        }
    }

    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples {
        match self {
            Self::Held(set) => set.reference(split, seed, n),
            Self::Drawn { info, spec } => {
                let (from, len) = match split {
                    Split::Train => (0, spec.count.get()),
                    Split::Test => (spec.count.get(), spec.test_count.get()),
                };
                let order: Vec<usize> = reference_order(seed, n, len as usize).collect();
                let mut x = Array::zeros([&[order.len()], &info.shape[..]].concat());
                let row = x.row_len();
                let mut bytes = vec![0; row];
                let draw = |(&i, x): (&usize, &mut [f32])| drawn(spec, u64::from(from) + i as u64, &mut bytes, x);
                let labels = order.iter().zip(x.data.chunks_exact_mut(row)).map(draw).collect();
                if let Some(kind) = spec.binarize {
                    kind.apply(spec.normalize, &mut reference_stream(split, seed), &mut x.data);
                }
                Examples { x, labels }
            }
        }
    }
}

/// Draws example `i` and gives its label.
fn drawn(spec: &ShapesSpec, i: u64, bytes: &mut [u8], x: &mut [f32]) -> i64 {
    let attributes = spec.attributes(i);
    draw::bytes(&attributes, spec, bytes);
    super::images::convert(bytes, spec.normalize, x);
    attributes.class as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> ShapesSpec {
        toml::from_str(text).expect("a spec of the test")
    }

    #[test]
    fn binarized_pixels_are_black_or_white_as_often_as_they_are_bright() {
        let white = |x: &Array| x.data.iter().filter(|&&v| v == 1.0).count() as f64 / x.data.len() as f64;
        let gray = spec("size = 8").open().expect("a set").reference(Split::Test, 0, 2000).x;
        let brightness = gray.data.iter().map(|v| f64::from(*v) * 0.5 + 0.5).sum::<f64>() / gray.data.len() as f64;
        for (kind, expected) in [
            ("sampled", brightness),
            ("threshold", gray.data.iter().filter(|&&v| v >= 0.0).count() as f64 / gray.data.len() as f64),
        ] {
            let set = spec(&format!("size = 8\nbinarize = '{kind}'")).open().expect("a set");
            assert_eq!((set.info().levels, set.info().binarized.map(BinarizeKind::name)), (Some(2), Some(kind)));
            let held = set.reference(Split::Test, 0, 2000);
            assert!(held.x.data.iter().all(|&v| v == -1.0 || v == 1.0));
            assert!((white(&held.x) - expected).abs() < 0.005, "{kind}: {} {expected}", white(&held.x));
            assert_eq!(held, set.reference(Split::Test, 0, 2000));
            let batch = |draw| {
                let (mut x, mut labels) = (vec![0.0; 64 * 10_000], vec![0; 10_000]);
                set.draw(1, draw, &mut x, &mut labels);
                x
            };
            assert_eq!(batch(0), batch(0));
            assert!(white(&Array::new(vec![10_000, 64], batch(0))) > 0.0);
        }
    }

    #[test]
    fn the_defaults_of_a_toml_are_the_default_set() {
        assert_eq!(spec(""), ShapesSpec::default());
        let text = toml::to_string(&ShapesSpec::default()).expect("a spec is TOML");
        assert_eq!(spec(&text), ShapesSpec::default());
        for (shape, name) in Shape::ALL.iter().zip(ShapesSpec::default().info().expect("a good spec").class_names) {
            assert_eq!(toml::Value::try_from(shape).expect("a name").as_str(), Some(name.as_str()));
        }
    }

    #[test]
    fn an_example_is_a_function_of_seed_and_index() {
        let set = spec("");
        let (a, b) = (set.attributes(12), set.attributes(12));
        assert_eq!(a, b);
        assert_ne!(a, set.attributes(22));
        assert_ne!(a, spec("seed = 1").attributes(12));
        assert_eq!(a.class, 2);
    }

    #[test]
    fn images_drawn_for_a_batch_are_those_held_in_memory() {
        let set = spec("size = 16\ncount = 30\ntest-count = 7\nchannels = 3");
        let held = set.open().expect("a good spec");
        assert!(matches!(held, Shapes::Held(_)));
        let lazy = Shapes::Drawn { info: held.info().clone(), spec: set };
        let batch = |source: &Shapes| {
            let (mut x, mut labels) = (vec![0.0; 8 * 768], vec![0; 8]);
            source.draw(3, 2, &mut x, &mut labels);
            (x, labels)
        };
        assert_eq!(batch(&held), batch(&lazy));
        let test = held.reference(Split::Test, 1, 100);
        assert_eq!(test.x.shape, [7, 3, 16, 16]);
        assert_eq!(test, lazy.reference(Split::Test, 1, 100));
        assert_ne!(test.x.head(7), held.reference(Split::Train, 1, 7).x);
    }

    #[test]
    fn contradictions_are_mistakes_of_the_spec() {
        let mistake = |text: &str| {
            let error = spec(text).info().expect_err(text);
            assert!(error.is_spec_mistake());
            error.to_string()
        };
        assert_eq!(mistake("size = 7"), "shapes: expected a size from 8 to 256, got 7");
        assert_eq!(mistake("channels = 2"), "shapes: expected 1 or 3 channels, got 2");
        assert_eq!(mistake("classes = ['x', 'x']"), "shapes: `classes` names x twice");
        assert_eq!(mistake("radius = [0.5, 1.5]"), "shapes: expected `radius` from 0.1 to 1, got 0.5 to 1.5");
        assert_eq!(
            mistake("rotation = [0, 45]"),
            "shapes: cross and x look the same when turned: keep `rotation` within ±20, or one of them"
        );
        assert_eq!(
            mistake("background = [0, 0.8]"),
            "shapes: expected `background` below `brightness`, or shapes vanish"
        );
        assert!(spec("rotation = [-180, 180]\nclasses = ['disc', 'square', 'triangle', 'cross']").info().is_ok());
    }
}
