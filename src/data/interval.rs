//! Values with two shapes in a TOML: an interval `[low, high]`, and a number for all dimensions or a list of one each.

use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[low, high]` with `low` not above `high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// The interval between two constants of the program.
    ///
    /// # Panics
    /// If they are out of order.
    pub fn of(low: f64, high: f64) -> Self {
        Self::try_from([low, high]).expect("the ends of a constant interval are in order")
    }

    /// Whether it lies within these ends.
    pub fn within(self, low: f64, high: f64) -> bool {
        low <= self.low && self.high <= high
    }

    /// The number in it that is nearest to this one; the lower end for NaN.
    pub fn clamp(self, value: f32) -> f32 {
        value.max(self.low as f32).min(self.high as f32)
    }

    /// The number this far (0 to 1) from the lower end to the upper.
    pub fn at(self, share: f32) -> f32 {
        (self.low + (self.high - self.low) * f64::from(share)) as f32
    }
}

impl TryFrom<[f64; 2]> for Interval {
    type Error = String;

    fn try_from([low, high]: [f64; 2]) -> Result<Self, String> {
        if low.is_finite() && high.is_finite() && low <= high {
            Ok(Self { low, high })
        } else {
            Err(format!("expected [low, high] with low not above high, got [{low}, {high}]"))
        }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(interval: Interval) -> Self {
        [interval.low, interval.high]
    }
}

impl JsonSchema for Interval {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2, "description": "[low, high]"
        })
    }
}

/// A number for all dimensions, or a list of one each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PerDimension {
    /// The same for all.
    All(f64),
    /// One each.
    Each(Vec<f64>),
}

impl PerDimension {
    /// The values for `dim` dimensions.
    pub fn values(&self, dim: usize) -> Vec<f64> {
        match self {
            Self::All(value) => vec![*value; dim],
            Self::Each(values) => values.clone(),
        }
    }

    /// How many dimensions a list says there are.
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::All(_) => None,
            Self::Each(values) => Some(values.len()),
        }
    }

    /// Whether it is a list of nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl<'de> Deserialize<'de> for PerDimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PerDimension;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number, or a list with a number for each dimension")
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<PerDimension, E> {
                if value.is_finite() {
                    Ok(PerDimension::All(value))
                } else {
                    Err(E::custom("expected a finite number"))
                }
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<PerDimension, E> {
                self.visit_f64(value as f64)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<PerDimension, E> {
                self.visit_f64(value as f64)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<PerDimension, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = items.next_element::<f64>()? {
                    if !value.is_finite() {
                        return Err(A::Error::custom("expected finite numbers"));
                    }
                    values.push(value);
                }
                if values.is_empty() {
                    return Err(A::Error::custom("expected at least one number"));
                }
                Ok(PerDimension::Each(values))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for PerDimension {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PerDimension".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "number" }, { "type": "array", "items": { "type": "number" }, "minItems": 1 }],
            "description": "a number, or a list with a number for each dimension"
        })
    }
}
