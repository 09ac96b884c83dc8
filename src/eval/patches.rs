//! The sliced Wasserstein distance between patches of a Laplacian pyramid.

use super::Direction::Lower;
use super::{AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, images_of_side, per_part, slices};
use crate::base::Array;
use crate::data::DataInfo;
use crate::objective::Product;
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Patches of a Laplacian pyramid. The image is halved while its sides are even and half of them is at least 14. The paper
/// takes 16,384 images, 128 patches, 512 directions, and prints a thousand times the number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LaplacianWassersteinSpec {
    /// Patches of 7×7 of each image and level; all where there are fewer.
    pub patches: NonZeroU32,
    /// Random directions of each level.
    pub directions: NonZeroU32,
}
impl Default for LaplacianWassersteinSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { patches: of(32), directions: of(128) }
    }
}

/// The side of a patch, and the smallest of an image.
pub(super) const SIDE: usize = 7;

/// One channel of an image.
#[derive(Clone)]
pub(super) struct Plane {
    pub data: Vec<f32>,
    pub height: usize,
    pub width: usize,
}

/// The shorter side of an image at each level: halved while both sides are even and the half holds two patches.
pub(super) fn sides(shape: &[usize]) -> Vec<usize> {
    let &[_, mut height, mut width] = shape else { return Vec::new() };
    let mut sides = vec![height.min(width)];
    while height.is_multiple_of(2) && width.is_multiple_of(2) && height.min(width) / 2 >= 2 * SIDE {
        (height, width) = (height / 2, width / 2);
        sides.push(height.min(width));
    }
    sides
}

impl Metric for LaplacianWassersteinSpec {
    of_samples!();
    const TAG: &'static str = "laplacian-wasserstein";
    const VALUES: &'static [MetricName] = &[per_part("laplacian-wasserstein", Lower, "deviations")];

    fn names(&self, info: &DataInfo) -> Vec<MetricName> {
        let level = |side: usize| Self::VALUES[0].below(side);
        Self::VALUES.iter().cloned().chain(sides(&info.shape).into_iter().map(level)).collect()
    }

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        images_of_side(Self::TAG, SIDE, info)
    }

    /// The mean over levels, then each level, from the finest.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        if cx.real.x.rows() == 0 {
            return Err("there are no reference examples".into());
        }
        let (patches, directions) = (self.patches.get() as usize, self.directions.get() as usize);
        let (real, fake) = (descriptors(&cx.real.x, patches, cx.seed), descriptors(&cx.fake.x, patches, cx.seed));
        let level = |(level, (real, fake)): (u64, (&Array, &Array))| {
            let stream = Stream::new(cx.seed, Purpose::Eval, Choice::PatchDirections as u32, level);
            slices::distance(fake, real, &slices::directions(stream, directions, fake.row_len()), 1.0)
        };
        let levels: Vec<f64> = (0..).zip(real.iter().zip(&fake)).map(level).collect();
        let mean = levels.iter().sum::<f64>() / levels.len() as f64;
        Ok(Outcome {
            values: std::iter::once(mean).chain(levels).collect(),
            n_real: Some(cx.real.x.rows()),
            n_fake: cx.fake.x.rows(),
            against: AGAINST_SAMPLES,
            parameters: format!("patches={patches} of {SIDE}x{SIDE} directions={directions} p=1"),
        })
    }
}

/// For each level, patches of all images as rows: each channel brought to mean 0 and deviation 1 over all of them.
fn descriptors(x: &Array, patches: usize, seed: u64) -> Vec<Array> {
    let &[count, channels, height, width] = &x.shape[..] else { unreachable!("only images come here") };
    let mut levels: Vec<Vec<f32>> = vec![Vec::new(); sides(&x.shape[1..]).len()];
    for i in 0..count {
        let planes = x.row(i).chunks_exact(height * width);
        let mut planes: Vec<Plane> = planes.map(|plane| Plane { data: plane.to_vec(), height, width }).collect();
        let last = levels.len() - 1;
        for (level, rows) in levels.iter_mut().enumerate() {
            let coarse: Vec<Plane> = if level < last { planes.iter().map(Plane::halved).collect() } else { Vec::new() };
            for (plane, coarse) in planes.iter_mut().zip(&coarse) {
                let smooth = coarse.doubled();
                plane.data.iter_mut().zip(smooth.data).for_each(|(v, smooth)| *v -= smooth);
            }
            let mut stream = Stream::new(seed, Purpose::Eval, Choice::Patches as u32, (level * count + i) as u64);
            for (top, left) in corners(&planes[0], patches, &mut stream) {
                for plane in &planes {
                    (top..top + SIDE).for_each(|y| rows.extend(&plane.data[y * plane.width + left..][..SIDE]));
                }
            }
            planes = coarse;
        }
    }
    let width = channels * SIDE * SIDE;
    let level = |mut rows: Vec<f32>| {
        (0..channels).for_each(|channel| normalize(&mut rows, channel, channels));
        Array::new(vec![rows.len() / width, width], rows)
    };
    levels.into_iter().map(level).collect()
}

/// Upper left corners of patches; all that there are, where there are no more.
fn corners(plane: &Plane, patches: usize, stream: &mut Stream) -> Vec<(usize, usize)> {
    let (down, across) = (plane.height - SIDE + 1, plane.width - SIDE + 1);
    if down * across <= patches {
        return (0..down * across).map(|at| (at / across, at % across)).collect();
    }
    let mut below = |n: usize| stream.below(u32::try_from(n).expect("a side of an image")) as usize;
    (0..patches).map(|_| (below(down), below(across))).collect()
}

/// Brings a channel of all patches to mean 0 and, unless all its values are alike, deviation 1.
fn normalize(rows: &mut [f32], channel: usize, channels: usize) {
    let size = SIDE * SIDE;
    let mean = |rows: &[f32], of: &dyn Fn(f64) -> f64| {
        let patches = rows.chunks_exact(size).skip(channel).step_by(channels);
        patches.flatten().map(|&v| of(f64::from(v))).sum::<f64>() / (rows.len() / channels) as f64
    };
    let middle = mean(rows, &|v| v);
    let std = mean(rows, &|v| (v - middle).powi(2)).sqrt();
    let scale = if std > 0.0 { std.recip() } else { 1.0 };
    let patches = rows.chunks_exact_mut(size).skip(channel).step_by(channels);
    patches.flatten().for_each(|v| *v = ((f64::from(*v) - middle) * scale) as f32);
}

impl Plane {
    /// Smoothed, and every second place of it.
    pub fn halved(&self) -> Self {
        let smooth = self.smoothed(1.0);
        let (height, width) = (self.height / 2, self.width / 2);
        let at = |i: usize| smooth.data[i / width * 2 * self.width + i % width * 2];
        Self { data: (0..height * width).map(at).collect(), height, width }
    }

    /// Twice as large, with zeros between, smoothed to the same brightness.
    pub fn doubled(&self) -> Self {
        let (height, width) = (2 * self.height, 2 * self.width);
        let mut data = vec![0.0; height * width];
        for (i, &v) in self.data.iter().enumerate() {
            data[i / self.width * 2 * width + i % self.width * 2] = v;
        }
        Self { data, height, width }.smoothed(2.0)
    }

    /// Convolved with the binomial (1, 4, 6, 4, 1) / 16 times `gain` both ways; the outermost line is the mirror.
    fn smoothed(&self, gain: f32) -> Self {
        let kernel = [1.0, 4.0, 6.0, 4.0, 1.0].map(|weight: f32| weight * gain / 16.0);
        let mirrored = |at: usize, k: usize, n: usize| {
            let at = (at + k).abs_diff(2);
            if at < n { at } else { 2 * (n - 1) - at }
        };
        let mut across = vec![0.0; self.data.len()];
        for (row, out) in self.data.chunks_exact(self.width).zip(across.chunks_exact_mut(self.width)) {
            for (x, out) in out.iter_mut().enumerate() {
                *out = kernel.iter().enumerate().map(|(k, weight)| weight * row[mirrored(x, k, self.width)]).sum();
            }
        }
        let mut data = vec![0.0; self.data.len()];
        for (y, out) in data.chunks_exact_mut(self.width).enumerate() {
            for (k, weight) in kernel.iter().enumerate() {
                let row = &across[mirrored(y, k, self.height) * self.width..][..self.width];
                out.iter_mut().zip(row).for_each(|(out, v)| *out += weight * v);
            }
        }
        Self { data, height: self.height, width: self.width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, golden, info, picture};

    #[test]
    fn levels_end_where_two_patches_no_longer_fit() {
        assert_eq!(sides(&[1, 28, 28]), [28, 14]);
        assert_eq!(sides(&[3, 128, 64]), [64, 32, 16]);
        assert_eq!(sides(&[1, 30, 30]), [30, 15]);
        assert_eq!(sides(&[1, 7, 9]), [7]);
    }

    #[test]
    fn a_pyramid_is_that_of_scipy() {
        let x = picture(&appendix().0, 1, 20, 28);
        let plane = Plane { data: x.row(0).to_vec(), height: 20, width: 28 };
        let coarse = plane.halved();
        let weighed = |plane: &Plane| -> f64 {
            plane.data.iter().enumerate().map(|(i, &v)| f64::from(v) * (0.3 * i as f64).sin()).sum()
        };
        close(weighed(&coarse), golden("pyramid halved"), 1e-5);
        close(weighed(&coarse.doubled()), golden("pyramid doubled"), 1e-5);
    }

    #[test]
    fn descriptors_and_their_distance_equal_numpy() {
        let (x, y) = appendix();
        let (x, y) = (picture(&x, 2, 28, 28), picture(&y, 2, 28, 28));
        // All 484 and 64 places of each image.
        let (x, y) = (descriptors(&x, 500, 0), descriptors(&y, 500, 0));
        assert_eq!((&x[0].shape[..], &x[1].shape[..]), (&[968, 98][..], &[128, 98][..]));
        for (level, (x, y)) in x.iter().zip(&y).enumerate() {
            let wave = |d: usize| (0..98).map(move |k| (1.0 + d as f64 + 0.7 * k as f64).sin() / 7.0);
            let directions = (0..16).flat_map(wave).map(|v| v as f32).collect();
            let directions = Array::new(vec![16, 98], directions);
            let golden = golden(&format!("patches level {level}"));
            close(slices::distance(x, y, &directions, 1.0), golden, 1e-4 * golden);
        }
    }

    #[test]
    fn values_are_the_mean_and_each_level_by_name() {
        let (x, y) = appendix();
        let world = World::new(info(vec![1, 28, 28], Truth::Unknown), picture(&x, 1, 28, 28), picture(&y, 1, 28, 28));
        let spec = LaplacianWassersteinSpec { patches: NonZeroU32::MIN.saturating_add(15), ..Default::default() };
        let values = world.measure(&MetricSpec::LaplacianWasserstein(spec));
        let names: Vec<&str> = values.iter().map(|v| v.metric.as_str()).collect();
        assert_eq!(names, ["laplacian-wasserstein", "laplacian-wasserstein/28", "laplacian-wasserstein/14"]);
        close(values[0].value, f64::midpoint(values[1].value, values[2].value), 1e-12);
        assert_eq!(values[0].protocol.parameters, "patches=16 of 7x7 directions=128 p=1");
    }

    #[test]
    fn images_that_are_all_gray_are_at_a_finite_distance() {
        let gray = Array::zeros(vec![3, 1, 28, 28]);
        let world = World::new(info(vec![1, 28, 28], Truth::Unknown), picture(&appendix().0, 1, 28, 28), gray);
        let value = world.measure(&MetricSpec::LaplacianWasserstein(LaplacianWassersteinSpec::default())).remove(0);
        assert!(value.value > 0.1, "{value:?}");
    }
}
