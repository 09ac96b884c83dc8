//! Multi-scale structural similarity of pairs of images.

use super::Direction::{Neither, Target};
use super::{AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, images_of_side, named};
use crate::base::Array;
use crate::data::DataInfo;
use crate::data::Examples;
use crate::objective::Product;
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Multi-scale structural similarity of pairs, which are of one class where the generator was asked for classes. The
/// window of 11×11 and the weights are those of the paper (Wang, Simoncelli, Bovik 2003); images too small for five scales
/// have the first ones, with weights that sum to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MsSsimSpec {
    /// Random pairs of each side; all pairs where there are no more.
    pub pairs: NonZeroU32,
}
impl Default for MsSsimSpec {
    fn default() -> Self {
        Self { pairs: NonZeroU32::new(500).expect("500 is not 0") }
    }
}

/// The side of the window, and the smallest of an image.
pub(super) const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// The exponent of each scale, from the finest.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const K1: f64 = 0.01;
const K2: f64 = 0.03;

impl Metric for MsSsimSpec {
    of_samples!();
    const TAG: &'static str = "ms-ssim";
    const VALUES: &'static [MetricName] =
        &[named("ms-ssim", Neither, "similarity"), named("ms-ssim/excess", Target(0.0), "similarity")];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        images_of_side(Self::TAG, WINDOW, info)
    }

    /// The mean over pairs of samples, and how far it is above that over pairs of real examples.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let (low, high) = cx.info.range.ok_or("the range of the images is not known")?;
        let range = f64::from(high) - f64::from(low);
        // Where the generator was asked for nothing, a pair may be of two classes, and so may those that it is held against.
        let by_class = cx.fake.labels.len() == cx.fake.x.rows() && cx.real.labels.len() == cx.real.x.rows();
        let mean = |of: &Examples, choice: Choice| {
            let pairs =
                pairs(of, by_class, self.pairs.get() as usize, Stream::new(cx.seed, Purpose::Eval, choice as u32, 0))
                    .ok_or("two samples and two reference examples are needed, of one class where there are classes")?;
            let sum: f64 = pairs.iter().map(|&(i, j)| similarity(&of.x, (i, j), range)).sum();
            Ok::<_, String>((sum / pairs.len() as f64, pairs.len()))
        };
        let (of_real, real_pairs) = mean(cx.real, Choice::SsimReal)?;
        let (of_fake, pairs) = mean(cx.fake, Choice::SsimFake)?;
        let class = if by_class { " within classes" } else { "" };
        Ok(Outcome {
            values: vec![of_fake, of_fake - of_real],
            n_real: Some(cx.real.x.rows()),
            n_fake: cx.fake.x.rows(),
            against: AGAINST_SAMPLES,
            parameters: format!(
                "pairs={pairs}{class} reference pairs={real_pairs} scales={} window={WINDOW} range={range}; mean of reference={of_real:.6}",
                scales(&cx.fake.x.shape)
            ),
        })
    }
}

/// All pairs where there are no more, else random ones; `None` where there is none.
fn pairs(of: &Examples, by_class: bool, most: usize, mut stream: Stream) -> Option<Vec<(usize, usize)>> {
    let mut classes: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for i in 0..of.x.rows() {
        classes.entry(if by_class { of.labels[i] } else { 0 }).or_default().push(i);
    }
    classes.retain(|_, places| places.len() > 1);
    let groups: Vec<Vec<usize>> = classes.into_values().collect();
    let count: usize = groups.iter().map(|group| group.len() * (group.len() - 1) / 2).sum();
    if count <= most {
        let all = |group: &Vec<usize>| {
            let group = group.clone();
            (1..group.len()).flat_map(move |j| (0..j).map(|i| (group[i], group[j])).collect::<Vec<_>>())
        };
        return (count > 0).then(|| groups.iter().flat_map(all).collect());
    }
    let members: Vec<(usize, usize)> =
        groups.iter().enumerate().flat_map(|(g, group)| (0..group.len()).map(move |i| (g, i))).collect();
    let mut below = |n: usize| stream.below(u32::try_from(n).expect("rows in memory")) as usize;
    let mut draw = |_| {
        let (g, i) = members[below(members.len())];
        // One of the others of its class, each as likely.
        let j = (i + 1 + below(groups[g].len() - 1)) % groups[g].len();
        (groups[g][i], groups[g][j])
    };
    Some((0..most).map(&mut draw).collect())
}

/// How many scales images of `[…, height, width]` have: halved while both sides are even and the half holds the window.
fn scales(shape: &[usize]) -> usize {
    let &[.., mut height, mut width] = shape else { return 0 };
    let mut scales = 1;
    while scales < WEIGHTS.len()
        && height.is_multiple_of(2)
        && width.is_multiple_of(2)
        && height.min(width) / 2 >= WINDOW
    {
        (height, width, scales) = (height / 2, width / 2, scales + 1);
    }
    scales
}

/// The mean over channels of the product over scales: contrast and structure at each, the luminance at the last only.
fn similarity(x: &Array, (i, j): (usize, usize), range: f64) -> f64 {
    let &[_, channels, height, width] = &x.shape[..] else { unreachable!("only images come here") };
    let scales = scales(&x.shape);
    let weights = &WEIGHTS[..scales];
    // All five weights sum to 1.0001, as they were published.
    let total = if scales == WEIGHTS.len() { 1.0 } else { weights.iter().sum() };
    let plane = |row: usize, c: usize| x.row(row)[c * height * width..][..height * width].iter().map(|&v| f64::from(v));
    let channel = |c: usize| -> f64 {
        let (mut a, mut b): (Vec<f64>, Vec<f64>) = (plane(i, c).collect(), plane(j, c).collect());
        let (mut height, mut width, mut product) = (height, width, 1.0);
        for (scale, weight) in weights.iter().enumerate() {
            let (whole, contrast) = structure(&a, &b, height, width, range);
            let value = if scale + 1 == scales { whole } else { contrast };
            product *= value.max(0.0).powf(weight / total);
            if scale + 1 < scales {
                (a, b) = (halved(&a, width), halved(&b, width));
                (height, width) = (height / 2, width / 2);
            }
        }
        product
    };
    (0..channels).map(channel).sum::<f64>() / channels as f64
}

/// The mean structural similarity over all places of the window, and that of contrast and structure alone.
fn structure(a: &[f64], b: &[f64], height: usize, width: usize, range: f64) -> (f64, f64) {
    let (c1, c2) = ((K1 * range).powi(2), (K2 * range).powi(2));
    let product = |a: &[f64], b: &[f64]| blurred(a.iter().zip(b).map(|(a, b)| a * b), height, width);
    let (mean_a, mean_b) = (blurred(a.iter().copied(), height, width), blurred(b.iter().copied(), height, width));
    let (aa, bb, ab) = (product(a, a), product(b, b), product(a, b));
    let (mut whole, mut contrast) = (0.0, 0.0);
    for (k, (ma, mb)) in mean_a.iter().zip(&mean_b).enumerate() {
        let (variance_a, variance_b, covariance) = (aa[k] - ma * ma, bb[k] - mb * mb, ab[k] - ma * mb);
        let here = (2.0 * covariance + c2) / (variance_a + variance_b + c2);
        contrast += here;
        whole += here * (2.0 * ma * mb + c1) / (ma * ma + mb * mb + c1);
    }
    let places = mean_a.len() as f64;
    (whole / places, contrast / places)
}

/// Gaussian means at all places where the window lies inside.
fn blurred(values: impl Iterator<Item = f64>, height: usize, width: usize) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let weight = |k: usize| (-(k as f64 - (WINDOW / 2) as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp();
    let mut window: [f64; WINDOW] = std::array::from_fn(weight);
    let sum: f64 = window.iter().sum();
    window.iter_mut().for_each(|weight| *weight /= sum);
    let (down, across) = (height - WINDOW + 1, width - WINDOW + 1);
    let mut lines = vec![0.0; height * across];
    for (row, out) in values.chunks_exact(width).zip(lines.chunks_exact_mut(across)) {
        for (k, weight) in window.iter().enumerate() {
            out.iter_mut().zip(&row[k..]).for_each(|(out, v)| *out += weight * v);
        }
    }
    let mut means = vec![0.0; down * across];
    for (y, out) in means.chunks_exact_mut(across).enumerate() {
        for (k, weight) in window.iter().enumerate() {
            out.iter_mut().zip(&lines[(y + k) * across..]).for_each(|(out, v)| *out += weight * v);
        }
    }
    means
}

/// The means of squares of 2×2.
fn halved(x: &[f64], width: usize) -> Vec<f64> {
    let half = width / 2;
    let rows = x.chunks_exact(2 * width);
    rows.flat_map(|two| {
        (0..half).map(|i| (two[2 * i] + two[2 * i + 1] + two[width + 2 * i] + two[width + 2 * i + 1]) / 4.0)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, golden, info, picture};

    /// Two images that are alike but for noise, as in the script.
    fn two(channels: usize, side: usize) -> Array {
        let n = channels * side * side;
        let wave = |i: usize, by: f64| {
            (0.05 * i as f64 + (i / side) as f64 * 0.03).sin() * (1.0 - by) + by * (1.3 * i as f64).sin()
        };
        let data = (0..n).map(|i| wave(i, 0.0)).chain((0..n).map(|i| wave(i, 0.3)));
        Array::new(vec![2, channels, side, side], data.map(|v| v as f32).collect())
    }

    #[test]
    fn equals_pytorch_msssim() {
        // The package's own function for five scales; its parts, combined as here, for images too small for it.
        for (channels, side) in [(1, 176), (3, 28), (1, 64), (1, 11)] {
            let golden = golden(&format!("ms-ssim {channels} {side}"));
            close(similarity(&two(channels, side), (0, 1), 2.0), golden, 1e-5 * golden);
        }
    }

    #[test]
    fn an_image_is_wholly_like_itself_and_scales_follow_the_size() {
        close(similarity(&two(1, 28), (1, 1), 2.0), 1.0, 1e-12);
        let of = |side| scales(&[1, side, side]);
        assert_eq!([of(11), of(28), of(32), of(64), of(176), of(512)], [1, 2, 2, 3, 5, 5]);
    }

    #[test]
    fn a_collapsed_generator_is_far_above_the_reference() {
        let (x, y) = appendix();
        let mut world =
            World::new(info(vec![1, 16, 16], Truth::Unknown), picture(&x, 1, 16, 16), picture(&y, 1, 16, 16));
        world.info.range = Some((-1.0, 1.0));
        let measure = |world: &World| world.measure(&MetricSpec::MsSsim(MsSsimSpec::default()));
        assert!(measure(&world)[1].value.abs() < 0.1, "{:?}", measure(&world));
        world.fake.x = Array::new(vec![9, 1, 16, 16], world.fake.x.row(0).repeat(9));
        let values = measure(&world);
        close(values[0].value, 1.0, 1e-12);
        assert!(values[1].value > 0.9, "{values:?}");
    }

    #[test]
    fn pairs_are_of_one_class_and_of_two_images() {
        let of = Examples { x: Array::zeros(vec![40, 1]), labels: (0..40).map(|i| i % 3).collect() };
        let drawn = |most| pairs(&of, true, most, Stream::new(0, Purpose::Eval, 0, 0)).expect("pairs");
        for (i, j) in drawn(100) {
            assert!(i != j && i % 3 == j % 3, "{i} {j}");
        }
        assert_eq!(drawn(100).len(), 100);
        assert_eq!(drawn(10_000).len(), 14 * 13 / 2 + 2 * (13 * 12 / 2));
        let lone = Examples { x: Array::zeros(vec![3, 1]), labels: vec![0, 1, 2] };
        assert_eq!(pairs(&lone, true, 10, Stream::new(0, Purpose::Eval, 0, 0)), None);
    }
}
