//! Means over seeds with 95 % Student intervals, differences of means, rank correlations, and corrections for multiple
//! tests. Independent of where the numbers come from.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The summary of some values, one per seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample deviation (n − 1 below the sum); `None` for a single number.
    pub deviation: Option<f64>,
    /// The 95 % Student interval of the mean; `None` for a single number.
    pub interval: Option<[f64; 2]>,
}

impl Summary {
    /// The summary of these values; `None` if there are none, or one is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 || values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        if n == 1 {
            return Some(Self { n, mean, deviation: None, interval: None });
        }
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let half = half_width((variance / n as f64).sqrt(), (n - 1) as f64);
        Some(Self { n, mean, deviation: Some(variance.sqrt()), interval: Some([mean - half, mean + half]) })
    }

    /// The square of the mean's standard error; `None` for a single number.
    fn error_squared(&self) -> Option<f64> {
        self.deviation.map(|d| d * d / self.n as f64)
    }

    /// The two-sided p-value of Student's test that the true mean is `value`; `None` for a single number.
    pub fn p(&self, value: f64) -> Option<f64> {
        Some(p_of(self.mean - value, self.error_squared()?.sqrt(), (self.n - 1) as f64))
    }
}

/// A difference of two means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// The first mean minus the second.
    pub mean: f64,
    /// Its 95 % interval and two-sided p-value by Welch's test, in which deviations may differ; `None` if a side is a single
    /// number.
    pub doubt: Option<([f64; 2], f64)>,
}

/// `a − factor · b`.
pub fn difference(a: &Summary, b: &Summary, factor: f64) -> Gap {
    let mean = a.mean - factor * b.mean;
    let doubt = a.error_squared().zip(b.error_squared()).map(|(a_error, b_error)| {
        let b_error = factor * factor * b_error;
        let error = a_error + b_error;
        let below = a_error * a_error / (a.n - 1) as f64 + b_error * b_error / (b.n - 1) as f64;
        // Without any spread, the degrees of freedom are undefined and do not matter.
        let freedom = if below > 0.0 { error * error / below } else { 1.0 };
        let half = half_width(error.sqrt(), freedom);
        ([mean - half, mean + half], p_of(mean, error.sqrt(), freedom))
    });
    Gap { mean, doubt }
}

/// Half the width of the 95 % interval around a mean with this standard error.
fn half_width(error: f64, freedom: f64) -> f64 {
    if error > 0.0 { student(freedom).inverse_cdf(0.975) * error } else { 0.0 }
}

/// The two-sided p-value of a distance from 0.
fn p_of(distance: f64, error: f64, freedom: f64) -> f64 {
    if error > 0.0 { 2.0 * student(freedom).cdf(-(distance / error).abs()) } else { f64::from(distance == 0.0) }
}

fn student(freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are above 0")
}

/// Hedges' g: the difference of two means in units of the pooled deviation, corrected for small samples. `None` if a side is
/// a single number or the deviation is 0.
pub fn hedges_g(a: &Summary, b: &Summary) -> Option<f64> {
    let squares = |s: &Summary| s.deviation.map(|d| (s.n - 1) as f64 * d * d);
    let freedom = (a.n + b.n - 2) as f64;
    let pooled = ((squares(a)? + squares(b)?) / freedom).sqrt();
    let log_correction = libm::lgamma(freedom / 2.0) - libm::lgamma((freedom - 1.0) / 2.0) - (freedom / 2.0).ln() / 2.0;
    (pooled > 0.0).then(|| (a.mean - b.mean) / pooled * log_correction.exp())
}

/// About how many values per side a two-sided test at the 5 % level needs to detect this effect size with 80 % power. `None`
/// if there is no difference or no deviation.
pub fn enough(a: &Summary, b: &Summary) -> Option<usize> {
    let variance = (a.deviation?.powi(2) + b.deviation?.powi(2)) / 2.0;
    let size = (a.mean - b.mean).abs() / variance.sqrt();
    if size == 0.0 || size.is_nan() {
        return None;
    }
    // By the normal distribution's quantiles at 97.5 % and 80 %. A small number is a little too small, which the loop corrects
    // by Student's quantiles.
    let mut n = (2.0 * ((1.959_964 + 0.841_621) / size).powi(2)).max(2.0).ceil();
    let wanted = |freedom: f64| {
        let law = student(freedom);
        2.0 * ((law.inverse_cdf(0.975) + law.inverse_cdf(0.8)) / size).powi(2)
    };
    while n < 1000.0 && n < wanted(2.0 * n - 2.0) {
        n += 1.0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 2, and large ones saturate")]
    Some(n as usize)
}

/// The p-values corrected for their number by Holm's method, in the same order. This controls the probability of any false
/// rejection, not that of each.
pub fn holm(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|&a, &b| chances[a].total_cmp(&chances[b]));
    let mut corrected = vec![0.0; chances.len()];
    let mut so_far = 0.0_f64;
    for (rank, i) in order.into_iter().enumerate() {
        so_far = so_far.max(((chances.len() - rank) as f64 * chances[i]).min(1.0));
        corrected[i] = so_far;
    }
    corrected
}

/// Spearman's rank correlation of pairs; 0 if either value is constant.
pub fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let ranks = |values: Vec<f64>| -> Vec<f64> {
        let rank = |v: &f64| {
            let below = values.iter().filter(|o| *o < v).count() as f64;
            below + (values.iter().filter(|o| *o == v).count() as f64 - 1.0) / 2.0
        };
        let middle = (values.len() as f64 - 1.0) / 2.0;
        values.iter().map(|v| rank(v) - middle).collect()
    };
    let (x, y) = (ranks(pairs.iter().map(|p| p.0).collect()), ranks(pairs.iter().map(|p| p.1).collect()));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (product(&x, &x) * product(&y, &y)).sqrt();
    if scale > 0.0 { product(&x, &y) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Equal to eight digits or so.
    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-8 * b.abs().max(1.0)
    }

    #[test]
    fn the_interval_is_students() {
        // scipy.stats.t.interval(0.95, 5, loc=numpy.mean(v), scale=scipy.stats.sem(v)), numpy.std(v, ddof=1)
        // for v = [.075, .080, .073, .086, .076, .082]
        let s = Summary::of(&[0.075, 0.080, 0.073, 0.086, 0.076, 0.082]).expect("six numbers");
        assert!(close(s.mean, 0.07866666666666666), "{s:?}");
        assert!(close(s.deviation.expect("six"), 0.00488535225614967), "{s:?}");
        let [low, high] = s.interval.expect("six");
        assert!(close(low, 0.07353980389561694) && close(high, 0.08379352943771638), "{s:?}");
    }

    #[test]
    fn the_difference_of_two_means_has_welchs_interval() {
        // scipy.stats.ttest_ind([1., 2., 4.], [2., 2.5, 3.5, 7.], equal_var=False).confidence_interval(0.95)
        let a = Summary::of(&[1.0, 2.0, 4.0]).expect("three");
        let b = Summary::of(&[2.0, 2.5, 3.5, 7.0]).expect("four");
        let gap = difference(&a, &b, 1.0);
        let ([low, high], p) = gap.doubt.expect("both have a deviation");
        assert!(
            close(gap.mean, -1.4166666666666665) && close(low, -5.097841013829573) && close(high, 2.2645076804962394),
            "{gap:?}"
        );
        // The same test's pvalue.
        assert!(close(p, 0.36780548869790824), "{p}");
        // The factor scales the second: the same as scaling its numbers.
        let doubled = Summary::of(&[4.0, 5.0, 7.0, 14.0]).expect("four");
        assert_eq!(difference(&a, &b, 2.0), difference(&a, &doubled, 1.0));
    }

    #[test]
    fn a_mean_is_compared_with_a_value_by_students_test() {
        // scipy.stats.ttest_1samp(v, 0.08).pvalue and ttest_1samp(v, 0.084).pvalue, for the v above
        let s = Summary::of(&[0.075, 0.080, 0.073, 0.086, 0.076, 0.082]).expect("six numbers");
        assert!(close(s.p(0.08).expect("six"), 0.533416438614438), "{s:?}");
        assert!(close(s.p(0.084).expect("six"), 0.04413076117482281), "{s:?}");
        let same = Summary::of(&[8.0, 8.0, 8.0]).expect("three");
        assert_eq!((same.p(8.0), same.p(7.0)), (Some(1.0), Some(0.0)), "without spread there is no doubt");
    }

    #[test]
    fn an_effect_is_hedges() {
        // In Python, with scipy.special.gamma: (mean a − mean b) / sqrt(pooled variance) times
        // J = gamma(5/2) / (sqrt(5/2) gamma(2)) for a, b as above: −0.7098136553938241 · 0.8407486824596893
        let a = Summary::of(&[1.0, 2.0, 4.0]).expect("three");
        let b = Summary::of(&[2.0, 2.5, 3.5, 7.0]).expect("four");
        assert!(close(hedges_g(&a, &b).expect("both vary"), -0.5967748955642536));
        let same = Summary::of(&[8.0, 8.0]).expect("two");
        assert_eq!(hedges_g(&same, &same), None);
    }

    #[test]
    fn the_number_of_seeds_is_about_that_of_the_power_of_the_test() {
        // statsmodels.stats.power.TTestIndPower().solve_power(effect_size=d, alpha=.05, power=.8)
        let cases = [(0.2, 393.4), (0.5, 63.77), (0.8, 25.52), (1.2, 11.94), (2.0, 5.09), (3.0, 3.07), (5.0, 2.12)];
        for (size, exact) in cases {
            let at = |mean| Summary { n: 5, mean, deviation: Some(1.0), interval: None };
            let n = enough(&at(size), &at(0.0)).expect("there is a difference") as f64;
            assert!(n >= f64::floor(exact) && n <= exact + 2.0, "{size}: {n} for {exact}");
        }
        // Hardly any difference at all: 2 · 2.8016² / 10⁻¹².
        let at = |mean| Summary { n: 5, mean, deviation: Some(1.0), interval: None };
        assert!(enough(&at(1e-6), &at(0.0)).is_some_and(|n| n > 15_000_000_000_000));
        let same = Summary::of(&[1.0, 2.0]).expect("two");
        assert_eq!(enough(&same, &same), None);
    }

    #[test]
    fn several_tests_are_corrected_by_holms_method() {
        // statsmodels.stats.multitest.multipletests(p, method="holm")[1]
        let cases: [(&[f64], &[f64]); 3] = [
            (&[0.01, 0.04, 0.03, 0.005, 0.5], &[0.04, 0.09, 0.09, 0.025, 0.5]),
            (&[0.03, 0.02, 0.04], &[0.06, 0.06, 0.06]),
            (&[0.2], &[0.2]),
        ];
        for (raw, corrected) in cases {
            assert!(holm(raw).iter().zip(corrected).all(|(a, b)| close(*a, *b)), "{:?}", holm(raw));
        }
    }

    #[test]
    fn a_trend_is_spearmans_rank_correlation() {
        // scipy.stats.spearmanr([1, 2, 3, 4], [1, 3, 2, 4]), spearmanr([1, 2, 3, 4, 5], [1, 3, 3, 4, 2])
        let pairs = |y: &[f64]| (1..).map(f64::from).zip(y.iter().copied()).collect::<Vec<_>>();
        assert!(close(rank_correlation(&pairs(&[1.0, 3.0, 2.0, 4.0])), 0.8));
        assert!(close(rank_correlation(&pairs(&[1.0, 3.0, 3.0, 4.0, 2.0])), 0.35909242322980395));
        assert_eq!(rank_correlation(&pairs(&[2.0, 2.0, 2.0])), 0.0);
    }

    #[test]
    fn one_number_has_no_deviation_and_none_no_summary() {
        let one = Summary::of(&[2.0]).expect("one number");
        assert_eq!((one.mean, one.deviation, one.interval), (2.0, None, None));
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }
}
