//! Which cells may train as one model: those that differ only in numbers that enter arithmetic.

use super::spec::Experiment;
use serde_json::Value;
use std::fmt::Write as _;

/// The numbers that only enter arithmetic, by dotted key; `*` is any one part, `**` at the end everything below.
///
/// Only numbers are masked, wherever a pattern leads: never a switch, a kind, a size or whether a key is there.
pub const MASKED: [&str; 26] = [
    "seed",
    "data.gaussian.mean",
    "data.gaussian.std",
    "algorithm.gan.ema.decay",
    "loss.weight-clip",
    "loss.label-smoothing",
    "loss.feature-matching.weight",
    "loss.historical-averaging.weight",
    "loss.auxiliary.real",
    "loss.auxiliary.fake",
    "loss.auxiliary.generator",
    "loss.adversarial.least-squares.real",
    "loss.adversarial.least-squares.fake",
    "loss.adversarial.least-squares.target",
    "loss.penalties.*.*.weight",
    "loss.penalties.*.dragan.c",
    "optimizer.*.*.lr",
    "optimizer.*.*.betas.*",
    "optimizer.*.*.eps",
    "optimizer.*.*.alpha",
    "optimizer.*.*.weight-decay",
    "optimizer.*.*.momentum",
    "optimizer.*.*.momentum.**",
    "optimizer.*.*.schedule.**",
    "optimizer.*.*.warm-up",
    "optimizer.*.*.clip-norm",
];

/// The key of a cell's pack: cells with the same key may train together.
pub fn pack_key(experiment: &Experiment) -> String {
    let mut json = serde_json::to_value(experiment).expect("a spec is made of numbers, texts, lists and tables");
    for key in ["name", "paper", "about"] {
        json.as_object_mut().expect("a cell is a table").remove(key);
    }
    mask(&mut json, &mut Vec::new());
    let mut text = String::new();
    canonical(&json, &mut text);
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

fn mask(json: &mut Value, path: &mut Vec<String>) {
    match json {
        Value::Object(table) => {
            for (name, inner) in table.iter_mut() {
                path.push(name.clone());
                mask(inner, path);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.iter_mut().enumerate() {
                path.push(i.to_string());
                mask(inner, path);
                path.pop();
            }
        }
        Value::Number(_) if MASKED.iter().any(|pattern| leads_to(pattern, path)) => *json = Value::from("number"),
        _ => {}
    }
}

fn leads_to(pattern: &str, path: &[String]) -> bool {
    let mut parts = pattern.split('.');
    for name in path {
        match parts.next() {
            Some("**") => return true,
            Some("*") => {}
            Some(part) if part == name => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// A text that is the same for the same values: keys in order, keys without a value left out.
pub(super) fn canonical(json: &Value, text: &mut String) {
    match json {
        Value::Object(table) => {
            let mut entries: Vec<_> = table.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in entries {
                text.push_str(name);
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::String(value) => write!(text, "{value:?}").expect("a text takes everything"),
        other => write!(text, "{other}").expect("a text takes everything"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;

    /// The keys of the packs of a file's cells.
    fn keys(text: &str) -> Vec<String> {
        plan(&format!("{}{text}", super::super::plan::tests::TOY))
            .expect("a plan")
            .cells
            .iter()
            .map(|c| pack_key(&c.experiment))
            .collect()
    }

    #[test]
    fn numbers_that_only_enter_arithmetic_share_a_pack() {
        for axis in [
            "\"optimizer.generator.adam.lr\" = [1e-3, 1e-4]",
            "\"optimizer.generator.adam.betas\" = [[0.5, 0.9], [0.0, 0.9]]",
            "\"loss.weight-clip\" = [0.1, 0.01]",
            "\"loss.label-smoothing\" = [1.0, 0.9]",
            "\"loss.penalties\" = [[{ r1 = { weight = 1 } }], [{ r1 = { weight = 10 } }]]",
            "\"data.gaussian.mean\" = [1, 4]",
            "\"optimizer.discriminator.adam.schedule\" = [{ linear = { to = 0.1 } }, \"linear\"]",
        ] {
            let keys = keys(&format!("seeds = 2\n[grid]\n{axis}"));
            assert_eq!(keys.len(), 4, "{axis}");
            assert!(keys.iter().all(|k| *k == keys[0]), "{axis}");
        }
    }

    #[test]
    fn sizes_counts_kinds_and_switches_do_not() {
        for axis in [
            "\"schedule.batch\" = [8, 16]",
            "\"schedule.steps\" = [8, 16]",
            "\"loss.adversarial\" = [\"vanilla\", \"hinge\"]",
            "\"architecture.generator.mlp.hidden\" = [[4], [8]]",
            "\"loss.penalties\" = [[], [{ r1 = { weight = 1 } }]]",
            "\"loss.penalties\" = [[{ gradient-penalty = {} }], [{ gradient-penalty = { one-sided = true } }]]",
            "\"optimizer.discriminator.adam.schedule\" = [\"cosine\", \"linear\"]",
            "v = [{ label = 'a', set = {} }, { label = 'b', set = { 'loss.weight-clip' = 0.1 } }]",
        ] {
            let keys = keys(&format!("[grid]\n{axis}"));
            assert_ne!(keys[0], keys[1], "{axis}");
        }
    }
}
