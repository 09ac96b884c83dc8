//! The shape of an experiment's file, made from the specs: JSON Schema for editors, and the choices that `--set`,
//! `extends` and grids must know of.

use super::spec::{Claim, Experiment};
use serde_json::{Map, Value, json};
use std::sync::{Arc, OnceLock};

/// Keys of a file beyond those of a cell.
pub const FILE_KEYS: [&str; 4] = ["extends", "seeds", "grid", "claims"];

/// What the specs allow at each place.
#[derive(Debug)]
pub struct Grammar {
    schema: Value,
}

/// One of the shapes that a place may have.
#[derive(Clone, Copy)]
struct Shape<'a> {
    schema: &'a Value,
    /// Whether it is an arm of a choice.
    arm: bool,
}

impl Grammar {
    /// The grammar of a cell, made once.
    pub fn get() -> &'static Self {
        static GRAMMAR: OnceLock<Grammar> = OnceLock::new();
        GRAMMAR.get_or_init(|| Self { schema: schemars::schema_for!(Experiment).to_value() })
    }

    /// The top keys of a cell.
    pub fn cell_keys(&self) -> Vec<&str> {
        self.schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// Whether what is set at this path takes the place of all that was there: a choice, or another experiment.
    pub fn is_whole(&self, path: &[Arc<str>]) -> bool {
        is_document(path) || self.tags(path).is_some()
    }

    /// The kinds of the choice at a path; `None` where there is no choice.
    pub fn tags(&self, path: &[Arc<str>]) -> Option<Vec<&str>> {
        let mut shapes = self.shapes(&self.schema, false);
        for name in path {
            shapes = self.step(&shapes, name);
        }
        if !shapes.iter().any(|s| s.arm) {
            return None;
        }
        let mut tags = Vec::new();
        for shape in shapes {
            tags.extend(tags_of(shape.schema));
        }
        Some(tags)
    }

    fn step<'a>(&'a self, shapes: &[Shape<'a>], name: &str) -> Vec<Shape<'a>> {
        let mut next = Vec::new();
        for shape in shapes {
            if let Some(inner) = shape.schema["properties"].get(name) {
                next.extend(self.shapes(inner, false));
            } else if name.parse::<usize>().is_ok()
                && let Some(items) = shape.schema.get("items")
            {
                next.extend(self.shapes(items, false));
            }
        }
        next
    }

    /// The shapes that a schema stands for, references and alternatives followed.
    fn shapes<'a>(&'a self, schema: &'a Value, in_choice: bool) -> Vec<Shape<'a>> {
        let mut shapes = Vec::new();
        if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            shapes.extend(self.shapes(&self.schema["$defs"][name], false));
        }
        for (word, choice) in [("oneOf", true), ("anyOf", false), ("allOf", false)] {
            for inner in schema[word].as_array().into_iter().flatten() {
                shapes.extend(self.shapes(inner, choice));
            }
        }
        if shapes.is_empty() {
            shapes.push(Shape { schema, arm: in_choice && is_arm(schema) });
        }
        shapes
    }
}

/// Whether another experiment stands at this path.
pub(super) fn is_document(path: &[Arc<str>]) -> bool {
    matches!(path, [start, _, experiment] if &**start == "start" && &**experiment == "experiment")
}

/// Whether this is an arm with content: a table with one key that must be there.
fn is_arm(schema: &Value) -> bool {
    schema["properties"].as_object().is_some_and(|p| p.len() == 1)
        && schema["required"].as_array().is_some_and(|r| r.len() == 1)
}

fn tags_of(schema: &Value) -> Vec<&str> {
    let constant = schema["const"].as_str();
    let listed = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let arm = schema["properties"]
        .as_object()
        .filter(|_| is_arm(schema))
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str());
    constant.into_iter().chain(listed).chain(arm).collect()
}

/// The JSON Schema of an experiment's file.
///
/// It holds names and types. What must be there is left to `gantlet check`, since a file may leave it to the one it
/// extends or to its grid. A kind whose settings all have defaults may be written as a bare tag.
pub fn json_schema() -> Value {
    let generator = &mut schemars::SchemaGenerator::default();
    let claim = generator.subschema_for::<Claim>();
    let mut schema = generator.root_schema_for::<Experiment>().to_value();
    let definitions = schema["$defs"].clone();
    allow_bare_tags(&mut schema, &definitions);
    drop_required(&mut schema, false);
    schema["title"] = json!("gantlet experiment");
    schema["description"] = json!("A file for `gantlet run`: one cell, or a grid of them.");
    let axis = json!({
        "description": "The values of one axis, or of several under a label.",
        "type": "array",
        "minItems": 1,
        "items": { "anyOf": [
            { "type": ["string", "number", "boolean", "array"] },
            { "type": "object", "properties": { "label": { "type": "string" }, "set": { "type": "object" }, "value": true } }
        ] }
    });
    let axes = json!({ "type": "object", "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/GridAxis" }, { "type": "object" }] } });
    let grid = json!({
        "description": "Cells: the product of the axes. Keys are dotted keys of a cell, or free names whose values set several.",
        "type": "object",
        "properties": {
            "zip": { "description": "Axes that move together; several of them multiply.", "type": "array", "items": { "$ref": "#/$defs/GridAxes" } },
            "union": { "description": "Grids, one after the other.", "type": "array", "items": { "$ref": "#/$defs/Grid" } },
            "exclude": { "description": "Cells to leave out: those that have all these values.", "type": "array", "items": { "type": "object" } }
        },
        "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/GridAxis" }, { "type": "object" }] }
    });
    for (name, definition) in [("GridAxis", axis), ("GridAxes", axes), ("Grid", grid)] {
        schema["$defs"][name] = definition;
    }
    schema["$defs"]["StartSpec"]["properties"]["set"] = json!({
        "description": "What to lay over the experiment, as `--set` does: keys of it, axes of its grid.",
        "type": "object"
    });
    let extra = json!({
        "extends": { "description": "Another file, relative to this one, that this one is laid over.", "type": "string" },
        "seeds": { "description": "Seeds: how many, which, or how many from which on.", "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 1 },
            { "type": "object", "properties": { "count": { "type": "integer", "minimum": 1 }, "first": { "type": "integer", "minimum": 0 } }, "required": ["count"], "additionalProperties": false }
        ] },
        "grid": { "$ref": "#/$defs/Grid" },
        "claims": { "description": "What the experiment expects of its results.", "type": "array", "items": claim.to_value() }
    });
    if let (Some(properties), Value::Object(extra)) = (schema["properties"].as_object_mut(), extra) {
        properties.extend(extra);
    }
    schema
}

/// Adds the bare tag to each arm whose content needs nothing.
fn allow_bare_tags(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Array(arms)) = entries.get_mut("oneOf") {
                let bare: Vec<Value> = arms.iter().filter_map(|arm| bare_tag(arm, definitions)).collect();
                arms.extend(bare);
            }
            for (_, inner) in entries.iter_mut() {
                allow_bare_tags(inner, definitions);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| allow_bare_tags(item, definitions)),
        _ => {}
    }
}

fn bare_tag(arm: &Value, definitions: &Value) -> Option<Value> {
    if !is_arm(arm) {
        return None;
    }
    let (tag, content) = arm["properties"].as_object()?.iter().next()?;
    needs_nothing(content, definitions).then(|| {
        let mut bare = Map::new();
        if let Some(text) = arm.get("description") {
            bare.insert("description".to_owned(), text.clone());
        }
        bare.insert("type".to_owned(), json!("string"));
        bare.insert("const".to_owned(), json!(tag));
        Value::Object(bare)
    })
}

fn needs_nothing(schema: &Value, definitions: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        return needs_nothing(&definitions[name], definitions);
    }
    if let Some(shapes) = schema["anyOf"].as_array() {
        return shapes.iter().any(|shape| needs_nothing(shape, definitions));
    }
    schema["type"] == "object" && schema["required"].as_array().is_none_or(Vec::is_empty)
}

/// Takes `required` from everything but arms of choices.
fn drop_required(schema: &mut Value, in_choice: bool) {
    match schema {
        Value::Object(entries) => {
            if !in_choice {
                entries.remove("required");
            }
            for (word, inner) in entries.iter_mut() {
                match inner {
                    Value::Array(items) => {
                        let choice = word == "oneOf";
                        items.iter_mut().for_each(|item| drop_required(item, choice));
                    }
                    inner => drop_required(inner, false),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_required(item, false)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(path: &str) -> Option<Vec<&'static str>> {
        let path: Vec<Arc<str>> = path.split('.').map(Arc::from).collect();
        Grammar::get().tags(&path)
    }

    #[test]
    fn choices_are_known_by_their_path_and_plain_tables_are_not_choices() {
        assert!(tags("data").expect("a choice").contains(&"gaussian"));
        assert!(tags("loss.adversarial").expect("a choice").contains(&"least-squares"));
        assert!(tags("loss.penalties.0").expect("a choice").contains(&"r1"));
        assert!(tags("architecture.generator").expect("a choice").contains(&"mlp"));
        assert!(tags("architecture.generator.layers.2").expect("a choice").contains(&"linear"));
        assert!(tags("algorithm.gan.latent").expect("a choice").contains(&"stratified"));
        assert!(tags("optimizer.generator.sgd.schedule").expect("a choice").contains(&"cosine"));
        for plain in
            ["schedule", "loss", "algorithm.gan", "algorithm.gan.latent.normal", "schedule.steps", "nothing.here"]
        {
            assert_eq!(tags(plain), None, "{plain}");
        }
    }

    #[test]
    fn the_schema_allows_bare_tags_where_all_settings_have_defaults() {
        let schema = json_schema();
        let constants = |name: &str| -> Vec<String> {
            schema["$defs"][name]["oneOf"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|a| a["const"].as_str().map(str::to_owned))
                .collect()
        };
        assert!(constants("AdversarialSpec").contains(&"least-squares".to_owned()));
        assert!(constants("PenaltySpec").contains(&"dragan".to_owned()));
        assert!(!constants("PenaltySpec").contains(&"r1".to_owned()), "a weight must be said");
        assert!(!constants("NetworkSpec").contains(&"mlp".to_owned()), "widths must be said");
        for key in FILE_KEYS {
            assert!(schema["properties"].get(key).is_some(), "{key}");
        }
    }
}
