//! Numbers whose range is their type, so that a value out of range is an error where it is written.

use serde::{Deserialize, Serialize};

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident, $test:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The value, which lies in the range that the type promises.
            pub const fn get(self) -> f64 {
                self.0
            }

            /// The value as the type, for constants in the program.
            ///
            /// # Panics
            /// If the value is out of range.
            pub fn of(value: f64) -> Self {
                Self::try_from(value).expect("a constant of the program lies in its range")
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "number", "description": $expected })
            }
        }

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from(value: f64) -> Result<Self, String> {
                let test: fn(f64) -> bool = $test;
                if value.is_finite() && test(value) {
                    Ok(Self(value))
                } else {
                    Err(format!(concat!("expected ", $expected, ", got {}"), value))
                }
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }
    };
}

ranged!(
    /// A finite number above 0.
    Positive, |v| v > 0.0, "a number above 0"
);
ranged!(
    /// A finite number of 0 or more.
    NonNegative, |v| v >= 0.0, "a number of 0 or more"
);
ranged!(
    /// A number in [0, 1].
    Probability, |v| (0.0..=1.0).contains(&v), "a number from 0 to 1"
);

impl Default for NonNegative {
    fn default() -> Self {
        Self(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_says_what_was_expected() {
        assert_eq!(Positive::try_from(0.0).unwrap_err(), "expected a number above 0, got 0");
        assert_eq!(Probability::try_from(1.5).unwrap_err(), "expected a number from 0 to 1, got 1.5");
        assert!(NonNegative::try_from(f64::NAN).is_err());
    }
}
