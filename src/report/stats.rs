//! Means over seeds with their 95 % Student intervals, differences of means, trends, and what several tests are worth
//! together. Knows numbers only, not where they come from.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// What some numbers of equal standing (one a seed) say together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many there are.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample deviation (n − 1 below the sum); `None` for a single number.
    pub deviation: Option<f64>,
    /// The 95 % Student interval of the mean; `None` for a single number.
    pub interval: Option<[f64; 2]>,
}

impl Summary {
    /// The summary of these numbers; `None` where there are none, or one that is not finite.
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

    /// How likely a mean at least this far from `value` would be if the true mean were `value` (Student's test, two
    /// sides); `None` for a single number.
    pub fn p(&self, value: f64) -> Option<f64> {
        Some(p_of(self.mean - value, self.error_squared()?.sqrt(), (self.n - 1) as f64))
    }
}

/// A difference of two means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// The one mean less the other.
    pub mean: f64,
    /// Its 95 % interval (Welch's: deviations may differ), and how likely a difference at least as large would be if there
    /// were none (Welch's test, two sides); `None` where a side is a single number.
    pub doubt: Option<([f64; 2], f64)>,
}

/// `a − factor · b`.
pub fn difference(a: &Summary, b: &Summary, factor: f64) -> Gap {
    let mean = a.mean - factor * b.mean;
    let doubt = a.error_squared().zip(b.error_squared()).map(|(a_error, b_error)| {
        let b_error = factor * factor * b_error;
        let error = a_error + b_error;
        let below = a_error * a_error / (a.n - 1) as f64 + b_error * b_error / (b.n - 1) as f64;
        // Without any spread there is no doubt, and no degrees of freedom to speak of.
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

/// How likely a number at least this far from 0 would be by chance alone.
fn p_of(distance: f64, error: f64, freedom: f64) -> f64 {
    if error > 0.0 { 2.0 * student(freedom).cdf(-(distance / error).abs()) } else { f64::from(distance == 0.0) }
}

fn student(freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are above 0")
}

/// Hedges' g: the difference of two means in units of the deviation within a side, corrected for few numbers. `None` where a
/// side is a single number or there is no deviation.
pub fn hedges_g(a: &Summary, b: &Summary) -> Option<f64> {
    let squares = |s: &Summary| s.deviation.map(|d| (s.n - 1) as f64 * d * d);
    let freedom = (a.n + b.n - 2) as f64;
    let pooled = ((squares(a)? + squares(b)?) / freedom).sqrt();
    let log_correction = libm::lgamma(freedom / 2.0) - libm::lgamma((freedom - 1.0) / 2.0) - (freedom / 2.0).ln() / 2.0;
    (pooled > 0.0).then(|| (a.mean - b.mean) / pooled * log_correction.exp())
}

/// About how many numbers a side would show a difference as large as this one, four times out of five, as one that is not
/// chance (two sides, 5 %). `None` where there is no difference or no deviation to go by.
pub fn enough(a: &Summary, b: &Summary) -> Option<usize> {
    let variance = (a.deviation?.powi(2) + b.deviation?.powi(2)) / 2.0;
    let size = (a.mean - b.mean).abs() / variance.sqrt();
    if size == 0.0 || size.is_nan() {
        return None;
    }
    // The normal law's answer, with its quantiles at 97.5 % and 80 %. Where it is small it is a little too small: Student's at
    // that many numbers corrects it.
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

/// The same chances corrected for there being several of them (Holm's method), in their order: with these, one in twenty
/// families of tests says anything wrong, not one in twenty tests.
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

/// The rank correlation (Spearman's ρ) of pairs: 1 where the second rises with the first throughout, −1 where it falls, and
/// 0 where either is the same in all.
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

/// A number as people read it: four significant digits, no trailing noise.
pub fn short(value: f64) -> String {
    rounded(value, 4)
}

/// A deviation as people read it: two significant digits, as few seeds know no more of it.
pub fn short_deviation(value: f64) -> String {
    rounded(value, 2)
}

fn rounded(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.*e}", digits - 1);
        let (digits, exponent) = text.split_once('e').expect("the format writes an exponent");
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        return format!("{digits}e{exponent}");
    }
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number in this range is a small number")]
    let decimals = (digits as i32 - 1 - size.log10().floor() as i32).clamp(0, 7);
    let text = format!("{value:.*}", usize::try_from(decimals).expect("clamped at 0"));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// An interval as people read it.
pub fn short_interval([low, high]: [f64; 2]) -> String {
    format!("[{}, {}]", short(low), short(high))
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
    fn a_mean_is_held_against_a_value_by_students_test() {
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
    fn how_many_seeds_would_do_is_about_what_the_power_of_the_test_says() {
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

    #[test]
    fn numbers_are_written_in_four_digits() {
        let cases = [
            (0.078_666, "0.07867"),
            (4.0, "4"),
            (12_345.6, "12346"),
            (0.5, "0.5"),
            (-1.25, "-1.25"),
            (2.5e-7, "2.5e-7"),
            (9.999_96, "10"),
            (100.0, "100"),
            (3e9, "3e9"),
            (0.0, "0"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        let cases = [(0.001_535, "0.0015"), (1.3611, "1.4"), (123.4, "123"), (7.81e-5, "7.8e-5"), (0.0, "0")];
        for (value, text) in cases {
            assert_eq!(short_deviation(value), text);
        }
    }
}
