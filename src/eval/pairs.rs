//! Metrics over pairs of rows: maximum mean discrepancy, diversity, nearest neighbors.

use super::Direction::{Lower, Target};
use super::{AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, choose, named};
use crate::base::{Array, Positive};
use crate::data::DataInfo;
use crate::objective::Product;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Maximum mean discrepancy, k(a, b) = exp(−|a − b|² / (2 sigma²)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MmdSpec {
    /// The kernel's width in data units; the median distance between two reference examples by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<Positive>,
    /// The most rows of each side: the time grows with their square.
    pub rows: NonZeroU32,
}
impl Default for MmdSpec {
    fn default() -> Self {
        Self { sigma: None, rows: NonZeroU32::new(2000).expect("2000 is not 0") }
    }
}

/// Diversity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DiversitySpec {
    /// The most rows of each side; every pair among them counts.
    pub rows: NonZeroU32,
}
impl Default for DiversitySpec {
    fn default() -> Self {
        Self { rows: NonZeroU32::new(1000).expect("1000 is not 0") }
    }
}

/// Nearest training examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NearestSpec {
    /// The most samples, and the most held-out examples, whose neighbor is looked for.
    pub rows: NonZeroU32,
    /// The most training examples that it is looked for among.
    pub train_rows: NonZeroU32,
}
impl Default for NearestSpec {
    fn default() -> Self {
        Self {
            rows: NonZeroU32::new(500).expect("500 is not 0"),
            train_rows: NonZeroU32::new(10_000).expect("10000 is not 0"),
        }
    }
}

impl Metric for MmdSpec {
    of_samples!();
    const TAG: &'static str = "mmd";
    const VALUES: &'static [MetricName] = &[named("mmd", Lower, "squared")];

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let real = chosen(&cx.real.x, cx.seed, Choice::MmdReal, self.rows.get());
        let fake = chosen(&cx.fake.x, cx.seed, Choice::MmdFake, self.rows.get());
        if real.rows() < 2 || fake.rows() < 2 {
            return Err("an unbiased estimate needs two rows of each side".into());
        }
        let (sigma, rule) = match self.sigma {
            Some(sigma) => (sigma.get(), "given"),
            None => (median_distance(&real), "median of reference pairs"),
        };
        if sigma <= 0.0 {
            return Err("the median distance between reference examples is 0; give `sigma`".into());
        }
        Ok(Outcome {
            values: vec![mmd_squared(&real, &fake, sigma)],
            n_real: Some(real.rows()),
            n_fake: fake.rows(),
            against: AGAINST_SAMPLES,
            parameters: format!("squared unbiased kernel=exp(-d^2/(2 sigma^2)) sigma={sigma:.6} ({rule})"),
        })
    }
}

/// The unbiased estimate of MMD²: pairs of a row with itself are left out within a side.
fn mmd_squared(real: &Array, fake: &Array, sigma: f64) -> f64 {
    let factor = -0.5 / (sigma * sigma);
    let kernel = |squared: f32| libm::exp(f64::from(squared) * factor);
    let within = |x: &Array| {
        let mut sum = 0.0;
        each_pair_within(x, |_, _, squared| sum += kernel(squared));
        2.0 * sum / (x.rows() * (x.rows() - 1)) as f64
    };
    let mut between = 0.0;
    each_pair(real, fake, squared_difference, |_, _, squared| between += kernel(squared));
    within(real) + within(fake) - 2.0 * between / (real.rows() * fake.rows()) as f64
}

/// The median over i < j of the distance between rows, as numpy takes it: the mean of the middle two of an even number.
fn median_distance(x: &Array) -> f64 {
    let mut squared = Vec::with_capacity(x.rows() * (x.rows() - 1) / 2);
    each_pair_within(x, |_, _, value| squared.push(value));
    let middle = squared.len() / 2;
    let even = squared.len().is_multiple_of(2);
    let (below, &mut upper, _) = squared.select_nth_unstable_by(middle, f32::total_cmp);
    let upper = f64::from(upper).sqrt();
    if !even {
        return upper;
    }
    let lower = below.iter().copied().fold(0.0, f32::max);
    f64::midpoint(f64::from(lower).sqrt(), upper)
}

impl Metric for DiversitySpec {
    of_samples!();
    const TAG: &'static str = "diversity";
    const VALUES: &'static [MetricName] = &[named("diversity", Target(1.0), "ratio")];

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let real = chosen(&cx.real.x, cx.seed, Choice::DiversityReal, self.rows.get());
        let fake = chosen(&cx.fake.x, cx.seed, Choice::DiversityFake, self.rows.get());
        let mean = |x: &Array| {
            let mut sum = 0.0;
            each_pair_within(x, |_, _, squared| sum += f64::from(squared).sqrt());
            sum / (x.rows() * (x.rows().max(1) - 1) / 2) as f64
        };
        let of_real = mean(&real);
        if of_real.is_nan() || of_real == 0.0 || fake.rows() < 2 {
            return Err("two different reference examples and two samples are needed".into());
        }
        Ok(Outcome {
            values: vec![mean(&fake) / of_real],
            n_real: Some(real.rows()),
            n_fake: fake.rows(),
            against: AGAINST_SAMPLES,
            parameters: format!("all pairs; mean L2 of reference={of_real:.6}"),
        })
    }
}

impl Metric for NearestSpec {
    of_samples!();
    const TAG: &'static str = "nearest";
    const VALUES: &'static [MetricName] = &[named("nearest", Target(1.0), "ratio")];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        let why = "`nearest` needs a data set; a distribution has no training examples to copy";
        info.len.map(|_| ()).ok_or_else(|| why.to_owned())
    }

    fn held_out(&self) -> Option<&'static str> {
        Some("training examples are their own neighbors")
    }

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let train = cx.train.ok_or("there are no training examples to look among")?;
        let train = chosen(&train.x, cx.seed, Choice::NearestTrain, self.train_rows.get());
        let real = chosen(&cx.real.x, cx.seed, Choice::NearestReal, self.rows.get());
        let fake = chosen(&cx.fake.x, cx.seed, Choice::NearestFake, self.rows.get());
        let of_real = mean_nearest(&real, &train);
        if of_real.is_nan() || of_real == 0.0 {
            return Err("the reference lies within the training examples; nothing is held out".into());
        }
        Ok(Outcome {
            values: vec![mean_nearest(&fake, &train) / of_real],
            n_real: Some(real.rows()),
            n_fake: fake.rows(),
            against: AGAINST_SAMPLES,
            parameters: format!("among={} training examples; mean L2 of reference={of_real:.6}", train.rows()),
        })
    }
}

/// The mean over rows of `x` of the distance to the nearest row of `among`.
fn mean_nearest(x: &Array, among: &Array) -> f64 {
    let mut least = vec![f32::INFINITY; x.rows()];
    each_pair(x, among, squared_difference, |i, _, squared| least[i] = least[i].min(squared));
    least.iter().map(|&squared| f64::from(squared).sqrt()).sum::<f64>() / x.rows() as f64
}

/// At most `most` rows, by the seed.
fn chosen(x: &Array, seed: u64, choice: Choice, most: u32) -> Array {
    if x.rows() <= most as usize {
        return x.clone();
    }
    let places = choose(seed, choice, x.rows(), most);
    let mut shape = x.shape.clone();
    shape[0] = places.len();
    Array::new(shape, places.into_iter().flat_map(|i| x.row(i).iter().copied()).collect())
}

/// Adds what one number of each row adds to the squared distance. Taken directly, so that a copy is at distance 0.
fn squared_difference(sum: f32, a: f32, b: f32) -> f32 {
    sum + (a - b) * (a - b)
}

/// Rows of the second side that are worked on at once, and of the first: what fits the registers of any processor.
const WIDE: usize = 8;
const HIGH: usize = 4;

/// Visits `(i, j, fold)` for every row `i` of `a` and `j` of `b`, where `fold` goes over the numbers of both rows in order,
/// starting at 0. What a pair gives does not depend on the other rows.
pub(super) fn each_pair(
    a: &Array,
    b: &Array,
    fold: impl Fn(f32, f32, f32) -> f32 + Copy,
    visit: impl FnMut(usize, usize, f32),
) {
    tiles(a, b, |_| a.rows(), fold, visit);
}

/// Visits `(i, j, squared distance)` for every two rows i < j.
fn each_pair_within(x: &Array, mut visit: impl FnMut(usize, usize, f32)) {
    let above = |i: usize, j: usize, squared: f32| {
        if i < j {
            visit(i, j, squared);
        }
    };
    tiles(x, x, |first| (first + WIDE).min(x.rows()), squared_difference, above);
}

/// Tile by tile; `until(first)` says how many rows of `a` the rows of `b` from `first` on are paired with.
fn tiles(
    a: &Array,
    b: &Array,
    until: impl Fn(usize) -> usize,
    fold: impl Fn(f32, f32, f32) -> f32 + Copy,
    mut visit: impl FnMut(usize, usize, f32),
) {
    let width = a.row_len();
    let mut panel = vec![0.0_f32; width * WIDE];
    for first in (0..b.rows()).step_by(WIDE) {
        let count = WIDE.min(b.rows() - first);
        // Number k of each row side by side, so that one load brings the same number of all.
        for lane in 0..count {
            for (k, &value) in b.row(first + lane).iter().enumerate() {
                panel[k * WIDE + lane] = value;
            }
        }
        let rows = until(first);
        for top in (0..rows).step_by(HIGH) {
            // The last rows of a tile that is not full repeat; what they give is not visited.
            let row = |r: usize| &a.row((top + r).min(rows - 1))[..width];
            let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
            let mut sums = [[0.0_f32; WIDE]; HIGH];
            for ((((lanes, &x0), &x1), &x2), &x3) in panel.chunks_exact(WIDE).zip(r0).zip(r1).zip(r2).zip(r3) {
                for (sums, x) in sums.iter_mut().zip([x0, x1, x2, x3]) {
                    for (sum, &lane) in sums.iter_mut().zip(lanes) {
                        *sum = fold(*sum, x, lane);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate().take(rows - top) {
                for (lane, &sum) in sums.iter().enumerate().take(count) {
                    visit(top + r, first + lane, sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Examples, Truth};
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, info};

    fn rows(x: &Array, from: usize, to: usize) -> Array {
        Array::new(vec![to - from, x.row_len()], x.data[from * x.row_len()..to * x.row_len()].to_vec())
    }

    #[test]
    fn every_pair_is_visited_once_and_is_what_a_loop_gives() {
        let (x, y) = appendix();
        for (n, m) in [(1, 1), (4, 8), (7, 9), (13, 3)] {
            let (a, b) = (x.head(n), y.head(m));
            let mut seen = vec![0; n * m];
            each_pair(&a, &b, squared_difference, |i, j, squared| {
                seen[i * m + j] += 1;
                let plain: f32 = a.row(i).iter().zip(b.row(j)).map(|(a, b)| (a - b) * (a - b)).sum();
                assert_eq!(squared, plain);
            });
            assert!(seen.iter().all(|&times| times == 1));
            let mut within = 0;
            each_pair_within(&a, |i, j, _| {
                assert!(i < j && j < n);
                within += 1;
            });
            assert_eq!(within, n * (n - 1) / 2);
        }
    }

    #[test]
    fn mmd_equals_numpy() {
        let (x, y) = appendix();
        // MMD² with the RBF kernel, unbiased; the second with the median over pooled pairs, the third over the reference.
        close(mmd_squared(&x, &y, 1.0), 0.004_632_869_3, 1e-7);
        close(mmd_squared(&x, &y, 4.538_730_051_0), 0.027_785_795_4, 1e-7);
        close(median_distance(&x), 3.856_395_012_486_5, 1e-6);
        close(mmd_squared(&x, &y, 3.856_395_012_486_5), 0.036_412_899_516_3, 1e-7);
        close(mmd_squared(&x.head(300), &y, 4.0), 0.032_401_917_442_3, 1e-7);
    }

    #[test]
    fn mmd_looks_at_a_few_rows_and_says_so() {
        let (x, y) = appendix();
        let world = World::new(info(vec![8], Truth::Unknown), x, y);
        let few = MmdSpec { sigma: Some(Positive::of(4.0)), rows: NonZeroU32::new(100).expect("not 0") };
        let value = world.measure(&MetricSpec::Mmd(few)).remove(0);
        assert_eq!((value.protocol.n_real, value.protocol.n_fake), (Some(100), 100));
        assert!(value.protocol.parameters.contains("sigma=4.000000 (given)"), "{}", value.protocol.parameters);
        // 500 rows give 0.0337; the estimate over 100 has a standard error near 0.008.
        close(value.value, 0.0337, 0.03);
    }

    #[test]
    fn a_reference_of_one_point_has_no_median_distance() {
        let point = Array::zeros(vec![10, 2]);
        let world = World::new(info(vec![2], Truth::Unknown), point.clone(), point);
        let value = world.measure(&MetricSpec::Mmd(MmdSpec::default())).remove(0);
        let why = value.protocol.undefined.as_deref().unwrap_or_default();
        assert!(value.value.is_nan() && why.contains("give `sigma`"), "{value:?}");
    }

    #[test]
    fn diversity_equals_scipy_and_is_zero_for_a_collapsed_generator() {
        let (x, y) = appendix();
        let measure = |fake| {
            let world = World::new(info(vec![8], Truth::Unknown), x.clone(), fake);
            world.measure(&MetricSpec::Diversity(DiversitySpec::default()))[0].value
        };
        // scipy.spatial.distance.pdist(Y).mean() / pdist(X).mean().
        close(measure(y), 1.371_269_194_559, 1e-6);
        close(measure(Array::new(vec![9, 8], vec![0.3; 72])), 0.0, 0.0);
    }

    #[test]
    fn nearest_equals_scipy_and_is_zero_for_copies() {
        let (x, y) = appendix();
        let train = rows(&x, 200, 500);
        let measure = |fake: Array| {
            let mut world = World::new(info(vec![8], Truth::Unknown), x.head(200), fake);
            world.info.len = Some(300);
            world.train = Some(Examples { x: train.clone(), labels: Vec::new() });
            world.measure(&MetricSpec::Nearest(NearestSpec::default())).remove(0)
        };
        // scipy.spatial.distance.cdist: the mean minimum of Y[:200] to X[200:], over that of X[:200].
        let value = measure(y.head(200));
        close(value.value, 1.328_377_152_451, 1e-6);
        assert_eq!(value.protocol.split, "test");
        close(measure(rows(&x, 210, 260)).value, 0.0, 0.0);
    }

    #[test]
    fn nearest_without_held_out_examples_is_undefined() {
        let (x, y) = appendix();
        let mut world = World::new(info(vec![8], Truth::Unknown), x.head(50), y);
        world.train = Some(Examples { x, labels: Vec::new() });
        let value = world.measure(&MetricSpec::Nearest(NearestSpec::default())).remove(0);
        let why = value.protocol.undefined.as_deref().unwrap_or_default();
        assert!(value.value.is_nan() && why.contains("nothing is held out"), "{value:?}");
    }
}
