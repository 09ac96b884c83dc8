//! Specs of one main number, which a TOML may give as that number alone: `{ linear = 8 }` for `{ linear = { out = 8 } }`.

use schemars::{Schema, json_schema};

/// Reads a spec from a bare number for one of its fields, or from its table; writes the table. The spec derives its
/// plain forms with `#[serde(remote = "Self")]`, and its schema with `transform = or_integer` or `or_number`.
macro_rules! bare_number {
    ($spec:ident, $field:ident, $expected:literal) => {
        impl serde::Serialize for $spec {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $spec {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct NumberOrTable;

                impl NumberOrTable {
                    fn number<'de, N: serde::de::IntoDeserializer<'de, E>, E: serde::de::Error>(
                        number: N,
                    ) -> Result<$spec, E> {
                        $spec::deserialize(serde::de::value::MapDeserializer::new(std::iter::once((
                            stringify!($field),
                            number,
                        ))))
                    }
                }

                impl<'de> serde::de::Visitor<'de> for NumberOrTable {
                    type Value = $spec;

                    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        out.write_str($expected)
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$spec, E> {
                        Self::number(number)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$spec, E> {
                        Self::number(number)
                    }

                    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$spec, E> {
                        Self::number(number)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, table: A) -> Result<$spec, A::Error> {
                        $spec::deserialize(serde::de::value::MapAccessDeserializer::new(table))
                    }
                }

                deserializer.deserialize_any(NumberOrTable)
            }
        }
    };
}

pub(crate) use bare_number;

/// The schema of a table that may be a bare whole number.
pub(crate) fn or_integer(table: &mut Schema) {
    *table = json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, table.clone()] });
}

/// The schema of a table that may be a bare number.
pub(crate) fn or_number(table: &mut Schema) {
    *table = json_schema!({ "anyOf": [{ "type": "number" }, table.clone()] });
}
