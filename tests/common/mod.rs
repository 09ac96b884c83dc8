//! A folder with an experiment in it, runs of it, and what they left.

#![allow(dead_code, reason = "each program of tests uses a part of this")]

pub mod skip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A grid of dense networks with everything that couples, draws or remembers: batch norm, minibatch discrimination,
/// dropout, a penalty, averaged weights, learning rates that differ within the pack.
pub const DENSE: &str = r#"
name = "dense"
seeds = 2
data = "ring"
[algorithm.gan]
latent = { normal = { dim = 2 } }
ema = { decay = 0.9 }
[architecture]
generator = { mlp = { hidden = [17, 9], norm = "batch" } }
discriminator = { layers = [{ linear = 13 }, "leaky-relu", { dropout = 0.2 }, { linear = { out = 7, weight = "spectral" } }, "elu", { linear = 1 }] }
[loss]
adversarial = "non-saturating"
penalties = [{ r1 = 0.1 }, { gradient-penalty = {} }]
[optimizer]
generator = { adam = { lr = 1e-3 } }
discriminator = { rmsprop = { lr = 1e-3, clip-norm = 1.0 } }
[schedule]
steps = 60
batch = 10
critic-steps = { each = 2, first = 2, many = 3 }
[output]
metrics-every = 7
samples-every = 30
checkpoint-every = 20
[eval]
every = 25
samples = 300
metrics = ["modes", "sliced-wasserstein"]
[grid]
"optimizer.generator.adam.lr" = [1e-3, 3e-3]
"#;

/// The same for minibatch discrimination and players that move at once.
pub const MINIBATCH: &str = r#"
name = "minibatch"
seeds = 3
[data.gaussian]
mean = 4.0
std = 0.5
[algorithm.gan]
latent = { stratified = { low = -8.0, high = 8.0, jitter = 0.01 } }
[architecture]
generator = { mlp = { hidden = [4], activation = "softplus" } }
discriminator = { layers = [{ linear = 8 }, "relu", { minibatch-discrimination = { kernels = 5, dims = 3 } }, { linear = 1 }] }
[loss]
adversarial = "vanilla"
label-smoothing = 0.9
historical-averaging = 0.01
[optimizer]
generator = { sgd = { lr = 0.01, momentum = { constant = 0.5 } } }
discriminator = { adamw = { lr = 1e-3, weight-decay = 0.01 } }
[schedule]
steps = 60
batch = 9
order = "simultaneous"
[output]
metrics-every = 7
checkpoint-every = 20
animation = { every = 30 }
[eval]
every = 25
samples = 300
metrics = ["w1"]
"#;

/// A folder with `e.toml` in it.
pub struct Workspace {
    pub folder: tempfile::TempDir,
}

/// Every file of every run, by its path below the folder of all.
pub type Files = BTreeMap<String, Vec<u8>>;

impl Workspace {
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("e.toml"), text).expect("a file in it");
        Self { folder }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// `gantlet` with these arguments, its outputs piped.
    pub fn gantlet(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gantlet"));
        command.current_dir(self.folder.path()).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `gantlet run` on one core, into a folder.
    pub fn command(&self, out: &str, more: &[&str]) -> Command {
        let one_core = ["--device", "cpu", "--threads", "1", "--jobs", "1"];
        let mut command = self.gantlet(&["run", "e.toml", "--out", out]);
        command.args(one_core);
        command.args(more);
        command
    }

    /// Runs to the end, which must be good, and gives what was said.
    pub fn run(&self, out: &str, more: &[&str]) -> String {
        let (code, said) = said(self.command(out, more).output().expect("gantlet starts"));
        assert_eq!(code, 0, "{said}");
        said
    }

    /// The run directories in a folder of one experiment, by name; none before the first is made.
    pub fn runs(&self, out: &str) -> Vec<PathBuf> {
        let list = |folder: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).into_iter().flatten();
            let mut folders: Vec<PathBuf> =
                entries.map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
            folders.sort();
            folders
        };
        match &list(&self.path(out))[..] {
            [] => Vec::new(),
            [experiment] => list(experiment),
            many => panic!("one experiment in {out}, not {}", many.len()),
        }
    }

    /// What the runs left, but for what says when and how they ran.
    pub fn files(&self, out: &str) -> Files {
        let mut files = BTreeMap::new();
        collect(&self.path(out), &self.path(out), &mut files);
        files.retain(|name, _| !["log.txt", ".lock", "grid.csv"].iter().any(|end| name.ends_with(end)));
        for (_, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with("run.json")) {
            let mut json = state_of(bytes);
            for key in ["seconds", "steps_per_second", "pack_size", "threads", "device", "process", "checksum"] {
                json.remove(key);
            }
            *bytes = serde_json::to_vec(&json).expect("JSON");
        }
        assert!(files.len() > 5, "{:?}", files.keys());
        files
    }
}

fn collect(root: &Path, folder: &Path, into: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder of results") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, into);
        } else {
            let name = path.strip_prefix(root).expect("a path below the root").display().to_string();
            into.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}

fn state_of(bytes: &[u8]) -> BTreeMap<String, serde_json::Value> {
    serde_json::from_slice(bytes).expect("run.json is a JSON object")
}

/// A value of a run's `run.json`, as text; empty where there is none.
pub fn fact(run: &Path, key: &str) -> String {
    let state = state_of(&std::fs::read(run.join("run.json")).expect("run.json"));
    state.get(key).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default()
}

/// The exit code, -1 for a signal, and both outputs.
pub fn said(output: Output) -> (i32, String) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}

pub fn assert_same(a: &Files, b: &Files) {
    let only_in = |a: &Files, b: &Files| a.keys().filter(|k| !b.contains_key(*k)).cloned().collect::<Vec<_>>();
    assert_eq!((only_in(a, b), only_in(b, a)), (vec![], vec![]), "files that the other side has not");
    for (name, bytes) in a {
        assert!(
            b[name] == *bytes,
            "{name} differs: {:.2000} and {:.2000}",
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(&b[name])
        );
    }
}

/// Sends a signal to a process; one that is gone needs none.
pub fn signal(pid: u32, name: &str) {
    // The shell's own `kill`: no package is needed for it.
    let mut command = Command::new("sh");
    command.args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status().expect("a shell");
}

/// The workers of a `gantlet`.
pub fn workers(pid: u32) -> Vec<u32> {
    let mut all = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    all
}

/// Numbers that look random and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    /// The next number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
