//! What the tests of the losses share.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Every arm of a choice, with its defaults, or with a number of 1 where it takes one and has none: as its schema lists
/// them, so that a new arm is tested without being named.
pub(super) fn every<T: JsonSchema + DeserializeOwned>() -> Vec<T> {
    let schema = schemars::schema_for!(T);
    let arms = schema.get("oneOf").and_then(Value::as_array).expect("a choice");
    let mut all: Vec<T> = Vec::new();
    for arm in arms {
        let plain = arm.get("const").into_iter().chain(arm.get("enum").and_then(Value::as_array).into_iter().flatten());
        all.extend(plain.map(|name| serde_json::from_value(name.clone()).expect("an arm without settings")));
        for name in arm.get("properties").and_then(Value::as_object).into_iter().flat_map(|keys| keys.keys()) {
            let with = |settings: Value| serde_json::from_value(json!({ name: settings }));
            all.push(with(json!({})).or_else(|_| with(json!(1.0))).expect("an arm with defaults, or with one number"));
        }
    }
    assert!(all.len() > 1, "{schema:?}");
    all
}
