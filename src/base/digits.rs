//! Numbers for readers: few significant digits, no trailing zeros.

/// A value in four significant digits.
pub fn short(value: f64) -> String {
    rounded(value, 4)
}

/// A deviation in two significant digits, as few seeds determine no more.
pub fn short_deviation(value: f64) -> String {
    rounded(value, 2)
}

/// An interval.
pub fn short_interval([low, high]: [f64; 2]) -> String {
    format!("[{}, {}]", short(low), short(high))
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

#[cfg(test)]
mod tests {
    use super::*;

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
