//! The words for numbers, times and sizes.

use std::time::Duration;

/// A span of time in the two units that matter: `3.2 s`, `4 min 10 s`, `2 h 05 min`, `3 d 04 h`.
pub fn span(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
    if tenths < 60.0 {
        return format!("{tenths:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds are meant")]
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A whole number with its thousands apart: `1,048,576`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate in as many digits as matter: `0.42`, `8.1`, `310`, `125 k`, `1.3 M`.
pub fn rate(number: f64) -> String {
    match number {
        n if !n.is_finite() => "–".to_owned(),
        n if n < 1.0 => format!("{n:.2}"),
        n if n < 10.0 => format!("{n:.1}"),
        n if n < 10_000.0 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.0} k", n / 1e3),
        n => format!("{:.1} M", n / 1e6),
    }
}

/// A measured number in four significant digits: `0.2513`, `12.34`, `1.2e-5`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = match size {
        s if s < 1.0 => 4,
        s if s < 10.0 => 3,
        s if s < 100.0 => 2,
        s if s < 1000.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A size in bytes: `512 B`, `3.4 kB`, `1.2 GB`.
pub fn bytes(size: u64) -> String {
    let mut value = size as f64;
    if size < 1000 {
        return format!("{size} B");
    }
    let mut unit = "";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A number with its noun: `1 run`, `3 runs`.
pub fn plural(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number as u64), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_as_short_as_they_can_be() {
        let span_of = |seconds: f64| span(Duration::from_secs_f64(seconds));
        assert_eq!(
            [3.24, 59.96, 250.0, 7500.0, 273_600.0].map(span_of),
            ["3.2 s", "1 min 00 s", "4 min 10 s", "2 h 05 min", "3 d 04 h"]
        );
        assert_eq!([0, 999, 1000, 1_048_576].map(count), ["0", "999", "1,000", "1,048,576"]);
        assert_eq!([0.421, 8.13, 310.4, 125_300.0, 1.3e6].map(rate), ["0.42", "8.1", "310", "125 k", "1.3 M"]);
        assert_eq!([0.25134, -12.339, 0.000_012, 4.0].map(number), ["0.2513", "-12.34", "1.20e-5", "4.000"]);
        assert_eq!([512, 3400, 1_200_000_000].map(bytes), ["512 B", "3.4 kB", "1.2 GB"]);
        assert_eq!((plural(1, "run"), plural(3, "run")), ("1 run".to_owned(), "3 runs".to_owned()));
    }
}
