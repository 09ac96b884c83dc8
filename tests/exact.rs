//! What a run leaves is a function of its configuration alone: not of the pack it trained in, nor of how often it was
//! cut off. Byte for byte, on the CPU with one thread.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A grid of dense networks with everything that couples, draws or remembers: batch norm, minibatch discrimination,
/// dropout, a penalty, averaged weights, learning rates that differ within the pack.
const DENSE: &str = r#"
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
const MINIBATCH: &str = r#"
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

/// Convolutions, with labels: the embedded shapes, a small DCGAN with an auxiliary classifier.
const IMAGES: &str = r#"
name = "images"
seeds = 2
[data.shapes]
size = 16
count = 200
[algorithm.gan]
latent = { uniform = { dim = 5 } }
condition = "auxiliary-classifier"
[architecture]
generator = { dcgan = { channels = 4 } }
discriminator = { dcgan = { channels = 4 } }
[loss]
adversarial = "hinge"
[optimizer]
generator = { adam = { lr = 1e-3 } }
discriminator = { adam = { lr = 1e-3 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["sliced-wasserstein", "shapes"]
"#;

/// Labels that enter by concatenation, and through the discriminator's projection.
const LABELS: &str = r#"
name = "labels"
seeds = 2
data = "ring"
[algorithm.gan]
latent = { normal = { dim = 2 } }
[architecture]
generator = { mlp = { hidden = [9], norm = "batch" } }
discriminator = { mlp = { hidden = [11, 7], spectral-norm = true } }
[loss]
adversarial = "hinge"
[optimizer]
generator = { adam = { lr = 1e-3 } }
discriminator = { adam = { lr = 1e-3 } }
[schedule]
steps = 30
batch = 10
[output]
metrics-every = 7
checkpoint-every = 10
[eval]
samples = 100
metrics = ["sliced-wasserstein"]
[grid]
"algorithm.gan.condition" = ["concatenate", "projection"]
"#;

struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("e.toml"), text).expect("a file in it");
        Self { folder }
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gantlet"));
        command.current_dir(self.folder.path()).args(["run", "e.toml", "--threads", "1", "--jobs", "1", "--out", out]);
        command.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> String {
        let output = self.command(out, more).output().expect("gantlet starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        said
    }

    /// Every file of every run but what says when and how it ran.
    fn files(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.folder.path().join(out), &self.folder.path().join(out), &mut files);
        files.retain(|name, _| !["run.json", "log.txt", ".lock", "grid.csv"].iter().any(|end| name.ends_with(end)));
        assert!(files.len() > 5, "{:?}", files.keys());
        files
    }
}

fn collect(root: &Path, folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
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

fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in a {
        assert!(b[name] == *bytes, "{name} differs");
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    // The shell's own `kill`: no package is needed for it.
    Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("a shell");
}

#[test]
fn a_packed_run_leaves_the_files_that_it_leaves_alone() {
    for text in [DENSE, MINIBATCH, IMAGES, LABELS] {
        let work = Workspace::new(text);
        work.run("packed", &[]);
        work.run("alone", &["--no-pack"]);
        assert_same(&work.files("packed"), &work.files("alone"));
    }
}

#[test]
fn a_run_that_was_told_to_stop_ends_where_a_straight_one_does() {
    for (text, steps) in [(DENSE, "300"), (MINIBATCH, "900"), (IMAGES, "60"), (LABELS, "600")] {
        let work = Workspace::new(text);
        let steps = format!("schedule.steps={steps}");
        let set = ["--set", &steps, "--set", "output.keep=1"];
        work.run("straight", &set);
        for _ in 0..2 {
            let child = work.command("stopped", &set).spawn().expect("gantlet starts");
            std::thread::sleep(Duration::from_millis(900));
            signal(&child, "TERM");
            child.wait_with_output().expect("gantlet ends");
        }
        work.run("stopped", &set);
        assert_same(&work.files("straight"), &work.files("stopped"));
    }
}

#[test]
fn a_run_that_was_killed_ends_where_a_straight_one_does() {
    let work = Workspace::new(DENSE);
    let set = ["--set", "schedule.steps=300"];
    work.run("straight", &set);
    for millis in [700, 1100] {
        let mut child = work.command("killed", &set).spawn().expect("gantlet starts");
        std::thread::sleep(Duration::from_millis(millis));
        // The parent alone: its workers notice, and what they hold is let go before the next sitting.
        signal(&child, "KILL");
        child.wait().expect("gantlet is gone");
        std::thread::sleep(Duration::from_millis(300));
    }
    work.run("killed", &set);
    assert_same(&work.files("straight"), &work.files("killed"));
}

#[test]
fn a_corrupt_checkpoint_is_named_and_the_one_before_is_used() {
    let work = Workspace::new(MINIBATCH);
    let set = ["--set", "seeds=1", "--set", "output.keep=3"];
    work.run("good", &set);
    work.run("bad", &set);
    let runs = work.folder.path().join("bad/minibatch");
    let run = std::fs::read_dir(&runs)
        .expect("the experiment's folder")
        .map(|e| e.expect("an entry").path())
        .find(|p| p.is_dir())
        .expect("one run");
    let newest = run.join("checkpoints/00000060.safetensors");
    let mut bytes = std::fs::read(&newest).expect("the last checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).expect("the flipped checkpoint");
    let json = run.join("run.json");
    let state = std::fs::read_to_string(&json).expect("run.json").replace("\"done\"", "\"interrupted\"");
    std::fs::write(&json, state).expect("run.json");
    let said = work.run("bad", &set);
    assert!(said.contains("00000060.safetensors"), "{said}");
    assert!(said.contains("goes on from the checkpoint at step 40"), "{said}");
    assert_same(&work.files("good"), &work.files("bad"));
}

#[test]
fn checkpoints_are_evaluated_again_without_overwriting_what_was_measured() {
    let work = Workspace::new(MINIBATCH);
    work.run("again", &["--set", "seeds=1"]);
    let runs = work.folder.path().join("again/minibatch");
    let run = std::fs::read_dir(&runs)
        .expect("the experiment's folder")
        .map(|e| e.expect("an entry").path())
        .find(|p| p.is_dir())
        .expect("one run");
    let before = std::fs::read_to_string(run.join("eval.csv")).expect("eval.csv");
    for _ in 0..2 {
        let output = Command::new(env!("CARGO_BIN_EXE_gantlet"))
            .current_dir(work.folder.path())
            .args(["eval", &run.display().to_string(), "--metric", "w1", "--metric", "ks"])
            .output()
            .expect("gantlet starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let after = std::fs::read_to_string(run.join("eval.csv")).expect("eval.csv");
    assert!(after.starts_with(&before), "{after}");
    // Two checkpoints stay (40, 60); w1 at 60 was there, w1 at 40 and ks at both are new, and only once.
    assert_eq!(after.lines().count(), before.lines().count() + 3, "{after}");
}
