//! Which cells may train as one model: those that differ only in numbers that enter arithmetic.

use super::spec::{Experiment, REMARKS};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// The numbers that only enter arithmetic, by dotted key; `*` is any one part, `**` at the end everything below.
///
/// Only numbers are masked, wherever a pattern leads: never a switch, a kind, a size or whether a key is there.
pub const MASKED: &[&str] = &[
    "seed",
    // Each run draws its own examples on the host.
    "data.gaussian.mean",
    "data.gaussian.mean.*",
    "data.gaussian.std",
    "data.gaussian.std.*",
    "data.ring.radius",
    "data.ring.std",
    "data.ring.scale",
    "data.grid.spacing",
    "data.grid.std",
    "data.grid.scale",
    "data.mixture.centers.*.*",
    "data.mixture.std",
    "data.mixture.weights.*",
    "data.swiss-roll.noise",
    "data.swiss-roll.scale",
    "data.two-moons.noise",
    "data.parallel-lines.offset",
    "data.uniform.low",
    "data.uniform.high",
    "data.linear-gaussian.noise",
    "algorithm.*.ema.decay",
    "algorithm.classifier.label-smoothing",
    "algorithm.infogan.codes.*.*.weight",
    "algorithm.infogan.generator-weight",
    "algorithm.cogan.adaptation.*",
    "algorithm.semi-supervised.unlabeled-weight",
    "algorithm.began.gamma",
    "algorithm.began.lambda-k",
    "algorithm.began.decay.factor",
    "algorithm.autoencoder.noise.*",
    "algorithm.vae.beta",
    "algorithm.mixture.regularization",
    "algorithm.naive-bayes.smoothing",
    "algorithm.kernel-density.bandwidth.*",
    "loss.weight-clip",
    "loss.label-smoothing",
    "loss.feature-matching.weight",
    "loss.historical-averaging.weight",
    "loss.auxiliary.*",
    "loss.penalties.*.*.weight",
    "optimizer.*.*.lr",
    "optimizer.*.*.betas.*",
    "optimizer.*.*.eps",
    "optimizer.*.*.alpha",
    "optimizer.*.*.weight-decay",
    "optimizer.*.*.momentum.**",
    "optimizer.*.*.schedule.**",
    "optimizer.*.*.warm-up",
    "optimizer.*.*.clip-norm",
];

/// The key of a cell's pack: cells with the same key may train together.
pub fn pack_key(experiment: &Experiment) -> String {
    key_of(&serde_json::to_value(experiment).expect("a spec is made of numbers, texts, lists and tables"))
}

/// The pack's key of a resolved cell.
pub(super) fn key_of(cell: &Value) -> String {
    static PATTERNS: OnceLock<Vec<Vec<&str>>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| MASKED.iter().map(|pattern| pattern.split('.').collect()).collect());
    let patterns: Vec<&[&str]> = patterns.iter().map(Vec::as_slice).collect();
    let mut text = String::with_capacity(2048);
    for (name, value) in cell.as_object().into_iter().flatten() {
        // What a run begins with is numbers, wherever they are from.
        if name != "start" && !REMARKS.contains(&name.as_str()) {
            text.push_str(name);
            text.push('=');
            write(value, &mut text, &below(&patterns, name));
            text.push('\n');
        }
    }
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// What is left of the patterns that lead through a key.
fn below<'a>(patterns: &[&'a [&'a str]], name: &str) -> Vec<&'a [&'a str]> {
    let step = |pattern: &&'a [&'a str]| match pattern {
        ["**", ..] => Some(*pattern),
        [part, rest @ ..] if *part == "*" || *part == name => Some(rest),
        _ => None,
    };
    patterns.iter().filter_map(step).collect()
}

/// A text that is the same for the same values: keys in order, keys without a value left out.
pub(super) fn canonical(json: &Value, text: &mut String) {
    write(json, text, &[]);
}

/// The canonical text, with numbers masked where a pattern ends.
fn write(json: &Value, text: &mut String, patterns: &[&[&str]]) {
    match json {
        Value::Object(table) => {
            let mut entries: Vec<_> = table.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in entries {
                text.push_str(name);
                text.push(':');
                write(value, text, &below(patterns, name));
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                let inner = if patterns.is_empty() { Vec::new() } else { below(patterns, &i.to_string()) };
                write(item, text, &inner);
                text.push(',');
            }
            text.push(']');
        }
        Value::Number(_) if patterns.iter().any(|pattern| matches!(pattern, [] | ["**"])) => text.push_str("number"),
        Value::String(value) => write!(text, "{value:?}").expect("a text takes everything"),
        other => write!(text, "{other}").expect("a text takes everything"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{TOY, plan};
    use super::*;

    /// The keys of the packs of a file's cells.
    fn keys(text: &str) -> Vec<String> {
        let cells = plan(&format!("{TOY}{text}")).expect("a plan").cells;
        assert!(cells.iter().all(|cell| cell.pack_key() == pack_key(&cell.experiment)));
        cells.iter().map(|cell| cell.pack_key().to_owned()).collect()
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
            "\"data.ring.std\" = [0.1, 0.2]",
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
            "\"data.ring.modes\" = [8, 16]",
            "\"loss.adversarial.least-squares.real\" = [1.0, 0.9]",
            "\"loss.penalties\" = [[{ dragan = { c = 1 } }], [\"dragan\"]]",
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
