//! Metrics of one-dimensional samples.

use super::Direction::{Lower, Neither};
use super::{
    AGAINST_LAW, AGAINST_NOTHING, AGAINST_SAMPLES, Context, Metric, MetricName, Outcome, named, one_dimensional,
};
use crate::data::DataInfo;
use crate::data::Truth;
use crate::objective::Product;
use statrs::distribution::{ContinuousCDF as _, Normal};

/// The mean of one-dimensional samples.
#[derive(Clone)]
pub(super) struct Mean;

impl Metric for Mean {
    of_samples!();
    const TAG: &'static str = "mean";
    const VALUES: &'static [MetricName] = &[named("mean", Neither, "data")];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        one_dimensional(Self::TAG, info)
    }

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        Ok(alone(cx, moments(&cx.fake.x.data).0, ""))
    }
}

/// Their standard deviation.
#[derive(Clone)]
pub(super) struct Std;

impl Metric for Std {
    of_samples!();
    const TAG: &'static str = "std";
    const VALUES: &'static [MetricName] = &[named("std", Neither, "data")];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        one_dimensional(Self::TAG, info)
    }

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let n = cx.fake.x.rows();
        if n < 2 {
            return Err("a deviation needs two samples".into());
        }
        let variance = moments(&cx.fake.x.data).1 * n as f64 / (n - 1) as f64;
        Ok(alone(cx, variance.sqrt(), "ddof=1"))
    }
}

fn alone(cx: &Context, value: f64, parameters: &str) -> Outcome {
    Outcome {
        values: vec![value],
        n_real: None,
        n_fake: cx.fake.x.rows(),
        against: AGAINST_NOTHING,
        parameters: parameters.into(),
    }
}

/// The Wasserstein distance in one dimension.
#[derive(Clone)]
pub(super) struct W1;

impl Metric for W1 {
    of_samples!();
    const TAG: &'static str = "w1";
    const VALUES: &'static [MetricName] = &[named("w1", Lower, "data")];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        one_dimensional(Self::TAG, info)
    }

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        Ok(compared(cx, w1_to_normal, |fake, real| wasserstein(fake, real, 1.0)))
    }
}

/// The Kolmogorov-Smirnov statistic.
#[derive(Clone)]
pub(super) struct Ks;

impl Metric for Ks {
    of_samples!();
    const TAG: &'static str = "ks";
    const VALUES: &'static [MetricName] = &[named("ks", Lower, "probability")];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        one_dimensional(Self::TAG, info)
    }

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        Ok(compared(cx, ks_to_normal, ks_between))
    }
}

/// Against the law where it is known, else against the reference; both get sorted samples.
fn compared(
    cx: &Context,
    to_normal: impl Fn(&[f32], f64, f64) -> f64,
    between: impl Fn(&[f32], &[f32]) -> f64,
) -> Outcome {
    let fake = sorted(&cx.fake.x.data);
    let (value, n_real, against, parameters) = if let Truth::Normal { mean, std } = cx.info.truth {
        (to_normal(&fake, mean, std), None, AGAINST_LAW, format!("mean={mean} std={std}"))
    } else {
        let real = sorted(&cx.real.x.data);
        (between(&fake, &real), Some(real.len()), AGAINST_SAMPLES, String::new())
    };
    Outcome { values: vec![value], n_real, n_fake: fake.len(), against, parameters }
}

/// Mean and variance (n in the denominator), in two passes.
pub(super) fn moments(x: &[f32]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    (mean, x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n)
}

fn sorted(x: &[f32]) -> Vec<f32> {
    let mut x = x.to_vec();
    x.sort_unstable_by(f32::total_cmp);
    x
}

/// W_p^p between two sorted samples of any sizes: the integral of |quantile − quantile|^p. NaN without samples.
pub(super) fn wasserstein(a: &[f32], b: &[f32], p: f64) -> f64 {
    let cost = |x: f32, y: f32| {
        let d = (f64::from(x) - f64::from(y)).abs();
        if p == 1.0 { d } else { d.powf(p) }
    };
    let (n, m) = (a.len(), b.len());
    if n == m {
        return a.iter().zip(b).map(|(&x, &y)| cost(x, y)).sum::<f64>() / n as f64;
    }
    // In units of 1/(n·m), sample i of `a` holds for the quantiles from i·m to (i + 1)·m.
    let (mut i, mut j, mut at, mut sum) = (0, 0, 0, 0.0);
    while i < n && j < m {
        let (end_a, end_b) = ((i + 1) * m, (j + 1) * n);
        let end = end_a.min(end_b);
        sum += (end - at) as f64 * cost(a[i], b[j]);
        at = end;
        i += usize::from(end == end_a);
        j += usize::from(end == end_b);
    }
    sum / (n * m) as f64
}

/// W1 from a sorted sample to N(mean, std²), exactly: on each step of the sample's quantile function the integral of
/// |x − q(u)| has a closed form, because ∫q = mean·u − std·φ(q).
fn w1_to_normal(x: &[f32], mean: f64, std: f64) -> f64 {
    let normal = Normal::standard();
    let n = x.len() as f64;
    // ∫q from 0 to u, where z is the standard quantile of u.
    let integral = |u: f64, z: f64| mean * u - std * density(z);
    let (mut low, mut low_integral, mut sum) = (0.0, 0.0, 0.0);
    for (i, &x) in x.iter().enumerate() {
        let x = f64::from(x);
        let high = (i + 1) as f64 / n;
        let last = i + 1 == n as usize;
        let high_integral = if last { mean } else { integral(high, normal.inverse_cdf(high)) };
        let z = (x - mean) / std;
        let crossing = distribution(z);
        sum += if crossing <= low {
            (high_integral - low_integral) - x * (high - low)
        } else if crossing >= high {
            x * (high - low) - (high_integral - low_integral)
        } else {
            let middle = integral(crossing, z);
            x * (crossing - low) - (middle - low_integral) + (high_integral - middle) - x * (high - crossing)
        };
        (low, low_integral) = (high, high_integral);
    }
    sum
}

fn ks_between(a: &[f32], b: &[f32]) -> f64 {
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        // Equal values step together, on both sides.
        let at = a[i].min(b[j]);
        while i < a.len() && a[i] <= at {
            i += 1;
        }
        while j < b.len() && b[j] <= at {
            j += 1;
        }
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    if b.is_empty() { f64::NAN } else { most }
}

fn ks_to_normal(x: &[f32], mean: f64, std: f64) -> f64 {
    let n = x.len() as f64;
    let gap = |(i, &x): (usize, &f32)| {
        let expected = distribution((f64::from(x) - mean) / std);
        ((i + 1) as f64 / n - expected).max(expected - i as f64 / n)
    };
    x.iter().enumerate().map(gap).fold(0.0, f64::max)
}

/// φ, the density of N(0, 1).
fn density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt()
}

/// Φ, the distribution function of N(0, 1).
fn distribution(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, column, info, line};

    /// Column 0 of the golden arrays, real and generated.
    fn columns() -> (Vec<f32>, Vec<f32>) {
        let (x, y) = appendix();
        (column(&x, 0), column(&y, 0))
    }

    #[test]
    fn w1_between_samples_equals_scipy() {
        let (x, y) = columns();
        let between = |a: &[f32], b: &[f32]| wasserstein(&sorted(a), &sorted(b), 1.0);
        // scipy.stats.wasserstein_distance(x, y) and (x[:300], y).
        close(between(&x, &y), 0.366_354_685_3, 1e-7);
        close(between(&x[..300], &y), 0.370_544_241_8, 1e-7);
        close(between(&y, &x[..300]), 0.370_544_241_8, 1e-7);
        // W2 of POT's wasserstein_1d.
        close(wasserstein(&sorted(&x), &sorted(&y), 2.0).sqrt(), 0.446_846_984_7, 1e-7);
    }

    #[test]
    fn w1_to_a_normal_law_equals_scipy_quadrature() {
        let y = sorted(&columns().1);
        // scipy.integrate.quad of |ECDF − norm.cdf|, piecewise between samples and crossings.
        close(w1_to_normal(&y, 0.0, 1.0), 0.361_426_966_504_9, 1e-7);
        close(w1_to_normal(&y, 0.2, 1.4), 0.083_807_150_686_7, 1e-7);
        close(w1_to_normal(&y, 4.0, 0.5), 3.794_062_003_777_9, 1e-7);
        // One sample at the mean: E|x| of N(0, 1).
        close(w1_to_normal(&[0.0], 0.0, 1.0), (2.0 / std::f64::consts::PI).sqrt(), 1e-12);
    }

    #[test]
    fn ks_equals_scipy() {
        let (x, y) = columns();
        // scipy.stats.ks_2samp(x, y), (x[:300], y); kstest(y, "norm"), (y, "norm", (0.2, 1.4)).
        close(ks_between(&sorted(&x), &sorted(&y)), 0.152, 1e-12);
        close(ks_between(&sorted(&x[..300]), &sorted(&y)), 0.149_333_333_333_3, 1e-12);
        close(ks_to_normal(&sorted(&y), 0.0, 1.0), 0.144_629_979_855_4, 1e-7);
        close(ks_to_normal(&sorted(&y), 0.2, 1.4), 0.044_814_057_175_3, 1e-7);
        // Ties: half of one sample lies where the other has nothing.
        close(ks_between(&[0.0, 0.0, 1.0, 1.0], &[1.0, 1.0]), 0.5, 1e-12);
    }

    #[test]
    fn mean_and_std_equal_numpy_and_say_how() {
        let (x, y) = columns();
        let world = World::new(info(vec![1], Truth::Unknown), line(&x), line(&y));
        // y.mean(), y.std(ddof=1).
        close(world.measure(&MetricSpec::Mean)[0].value, 0.205_937_996_222_1, 1e-7);
        let std = world.measure(&MetricSpec::Std).remove(0);
        close(std.value, 1.366_297_706_917_2, 1e-7);
        assert_eq!((std.protocol.parameters.as_str(), std.protocol.n_real), ("ddof=1", None));
    }

    #[test]
    fn the_protocol_says_whether_the_law_or_samples_were_the_other_side() {
        let (x, y) = columns();
        let against = |truth| {
            let protocol =
                World::new(info(vec![1], truth), line(&x), line(&y)).measure(&MetricSpec::W1).remove(0).protocol;
            (protocol.against, protocol.n_real, protocol.split)
        };
        assert_eq!(against(Truth::Normal { mean: 0.0, std: 1.0 }), ("law".into(), None, String::new()));
        assert_eq!(against(Truth::Unknown), ("samples".into(), Some(500), "drawn".into()));
    }
}
