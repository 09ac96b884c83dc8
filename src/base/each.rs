//! A value whose numbers may differ between the runs of one pack.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// The name that [`Each`] gives a serializer that wants to know. The pack key leaves out the numbers below it.
pub const EACH: &str = "each";

/// A value of one run. Runs of one pack may differ in the numbers below it, but not in kinds, switches, counts of numbers
/// or in which keys are there. [`Self::own`] marks where the value of one run is read: whatever trains a pack reads it once
/// per run. A text, a schema and a TOML do not show the wrapper.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Each<T>(T);

impl<T> Each<T> {
    /// The value of one run.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The run's own value, which says nothing of the other runs of its pack.
    pub const fn own(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Each<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(EACH, &self.0)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Each<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
