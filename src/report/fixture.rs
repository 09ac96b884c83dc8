//! Run directories for the tests of this folder.

use crate::base::file::write_atomic;
use std::path::{Path, PathBuf};

/// A folder of runs that is gone when the test ends.
pub(crate) struct Runs {
    folder: tempfile::TempDir,
}

/// A run to be written.
pub(crate) struct Sketch<'a> {
    /// The experiment's folder.
    pub(crate) experiment: &'a str,
    /// The run's settings, without name and seed.
    pub(crate) settings: &'a str,
    /// The value or label of the axis `game` of the grid; empty where there is none.
    pub(crate) game: &'a str,
    /// The seed.
    pub(crate) seed: u64,
    /// The state.
    pub(crate) state: &'a str,
    /// `metric` and its numbers at steps 10, 20, …
    pub(crate) evals: &'a [(&'a str, &'a [f64])],
    /// The `n` of the protocol.
    pub(crate) n: u32,
    /// The `weights` of `eval.csv`.
    pub(crate) weights: &'a str,
}

impl Default for Sketch<'_> {
    fn default() -> Self {
        Self { experiment: "toy", settings: "", game: "", seed: 0, state: "done", evals: &[], n: 100, weights: "raw" }
    }
}

impl Runs {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        write_atomic(&self.path().join(path), text.as_ref()).expect("the temporary folder takes a file");
    }

    /// Writes a run and gives its directory.
    pub(crate) fn add(&self, run: Sketch<'_>) -> PathBuf {
        let Sketch { experiment, settings, game, seed, state, evals, n, weights } = run;
        let piece = blake3::hash(settings.as_bytes()).to_hex();
        let path = format!("{experiment}/{}-s{seed}", &piece[..6]);
        self.write(&format!("{path}/config.toml"), format!("name = \"{experiment}\"\nseed = {seed}\n{settings}\n"));
        let seed_text = seed.to_string();
        let axes = [("game", game), ("seed", &seed_text)].into_iter().filter(|(_, value)| !value.is_empty());
        let varies: serde_json::Map<_, _> = axes.map(|(k, v)| (k.to_owned(), serde_json::Value::from(v))).collect();
        let facts = serde_json::json!({
            "version": 1, "id": "0123abcd", "experiment": experiment, "run": "a", "state": state, "step": 30, "steps": 30,
            "seconds": 1.5, "steps_per_second": 100.5, "seed": seed, "device": "cpu", "varies": varies, "versions": { "gantlet": "0.1.0" },
        });
        self.write(&format!("{path}/run.json"), facts.to_string());
        let mut text = String::from("step,metric,value,n,split,weights,seed\n");
        let mut scalars = String::from("step,d/loss,g/loss\n");
        for step in 1..=3 {
            scalars += &format!("{},{},{}\n", step * 10, 1.0 / f64::from(step), f64::from(step) + seed as f64);
        }
        for (metric, values) in evals {
            for (i, value) in values.iter().enumerate() {
                text += &format!("{},{metric},{value},{n},test,{weights},{seed}\n", (i + 1) * 10);
            }
        }
        self.write(&format!("{path}/eval.csv"), text);
        self.write(&format!("{path}/metrics.csv"), scalars);
        self.path().join(path)
    }
}

/// A whole experiment of three seeds.
pub(crate) const EXPERIMENT: &str = r#"
name = "toy"
seeds = 3
architecture = { generator = { mlp = { hidden = [4] } }, discriminator = { mlp = { hidden = [4] } } }
loss = { adversarial = "non-saturating" }
optimizer = { generator = "adam", discriminator = "adam" }
schedule = { steps = 30, batch = 8 }
eval = { metrics = ["w1"] }
[data.gaussian]
[algorithm.gan.latent.normal]
dim = 1
"#;
