//! Means over seeds with their 95 % Student intervals. Knows numbers only, not where they come from.

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
}

/// The mean of `a − factor · b` with its 95 % interval (Welch's: deviations may differ), `None` where one side is a
/// single number.
pub fn difference(a: &Summary, b: &Summary, factor: f64) -> (f64, Option<[f64; 2]>) {
    let mean = a.mean - factor * b.mean;
    let interval = a.error_squared().zip(b.error_squared()).map(|(a_error, b_error)| {
        let b_error = factor * factor * b_error;
        let error = a_error + b_error;
        let below = a_error * a_error / (a.n - 1) as f64 + b_error * b_error / (b.n - 1) as f64;
        let half = if below > 0.0 { half_width(error.sqrt(), error * error / below) } else { 0.0 };
        [mean - half, mean + half]
    });
    (mean, interval)
}

/// Half the width of the 95 % interval around a mean with this standard error.
fn half_width(error: f64, freedom: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are above 0");
    student.inverse_cdf(0.975) * error
}

/// A number as people read it: four significant digits, no trailing noise.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.3e}");
        let (digits, exponent) = text.split_once('e').expect("the format writes an exponent");
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        return format!("{digits}e{exponent}");
    }
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number in this range is a small number")]
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 7);
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
        let (mean, interval) = difference(&a, &b, 1.0);
        let [low, high] = interval.expect("both have a deviation");
        assert!(
            close(mean, -1.4166666666666665) && close(low, -5.097841013829573) && close(high, 2.2645076804962394),
            "{mean} {low} {high}"
        );
        // The factor scales the second: the same as scaling its numbers.
        let doubled = Summary::of(&[4.0, 5.0, 7.0, 14.0]).expect("four");
        assert_eq!(difference(&a, &b, 2.0), difference(&a, &doubled, 1.0));
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
    }
}
