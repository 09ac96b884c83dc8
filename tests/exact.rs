//! What a run leaves is a function of its configuration alone: not of the pack it trained in, nor of how often it was
//! cut off. Byte for byte, on the CPU with one thread.

mod common;

use common::{DENSE, MINIBATCH, Workspace, assert_same, said, signal};
use std::process::Command;
use std::time::Duration;

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
tensorboard = true
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

/// A classifier of the embedded shapes, with smoothing in one half of the grid, dropout and averaged weights.
const CLASSES: &str = r#"
name = "classes"
seeds = 2
[data.shapes]
size = 16
count = 200
[algorithm.classifier]
ema = { decay = 0.9 }
[architecture]
classifier = { layers = [{ conv = { out = 6, kernel = 3, stride = 2 } }, "relu", { dropout = 0.3 }, { linear = 10 }] }
[optimizer]
classifier = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["classification"]
[grid]
"algorithm.classifier.label-smoothing" = [0.0, 0.1]
"#;

/// A classifier that begins with layers of an encoder, in one pack with one that does not.
const BEGUN: &str = r#"
name = "begun"
seeds = 2
[data.shapes]
size = 8
count = 200
[algorithm.classifier]
ema = { decay = 0.9 }
[architecture]
classifier = { mlp = { hidden = [9], norm = "batch" } }
[start.classifier]
player = "encoder"
[start.classifier.experiment]
name = "begun"
data = { shapes = { size = 8, count = 200 } }
algorithm = { autoencoder = { latent = 3 } }
architecture = { encoder = { mlp = { hidden = [9], norm = "batch" } }, decoder = { mlp = { hidden = [5], output = "tanh" } } }
optimizer = { encoder = { adam = { lr = 1e-2 } }, decoder = "adam" }
schedule = { steps = 30, batch = 8 }
[optimizer]
classifier = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
checkpoint-every = 4
[eval]
samples = 100
metrics = ["classification"]
[grid]
"start.classifier.layers" = [0, 1, 2]
"#;

/// Codes of both kinds and deviations, read by a network that draws noise, with a weight that differs within the pack.
const CODES: &str = r#"
name = "codes"
seeds = 2
[data.shapes]
size = 8
count = 200
[algorithm.infogan]
latent = { normal = { dim = 2 } }
codes = [{ categorical = 3 }, { continuous = 2 }, { continuous = { dim = 1, weight = 0.1, deviation = "learned" } }]
ema = { decay = 0.9 }
[architecture]
generator = { mlp = { hidden = [12], norm = "batch" } }
discriminator = { layers = [{ conv = { out = 4, kernel = 4, stride = 2 } }, "leaky-relu", { linear = 9 }, "elu", { linear = 1 }] }
recognition = { layers = [{ dropout = 0.2 }, { linear = 8 }, { batch-norm = {} }, "relu", { linear = 7 }] }
[loss]
adversarial = "non-saturating"
penalties = [{ r1 = 0.1 }]
[optimizer]
generator = { adam = { lr = 1e-3 } }
discriminator = { adam = { lr = 1e-3 } }
recognition = { adam = { lr = 2e-3 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["clusters", "code-classes", { code-factors = { factors = ["radius"] } }, "sliced-wasserstein"]
[grid]
"algorithm.infogan.generator-weight" = [0.0, 1.0]
"#;

/// A balance and learning rates that a run carries from step to step, each at its own pace within the pack.
const BALANCE: &str = r#"
name = "balance"
seeds = 2
[data.shapes]
size = 8
count = 200
[algorithm.began]
latent = { uniform = { dim = 3 } }
lambda-k = 0.5
decay = { every = 2 }
[architecture]
generator = { layers = [{ linear = 64 }, { reshape = [4, 4, 4] }, "elu", { upsample = 2 }, { conv = { out = 1, kernel = 3, padding = 1 } }] }
discriminator = { layers = [{ conv = { out = 4, kernel = 3, stride = 2, padding = 1 } }, "elu", { linear = 3 }, { linear = 64 }] }
[optimizer]
generator = { adam = { lr = 1e-2 } }
discriminator = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 8
order = "simultaneous"
[output]
metrics-every = 1
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["sliced-wasserstein"]
[grid]
"algorithm.began.gamma" = [0.3, 0.9]
"#;

/// A denoising autoencoder: noise whose amount differs within the pack, batch norm, panels, both metrics of it.
const NOISY: &str = r#"
name = "noisy"
seeds = 2
[data.shapes]
size = 16
count = 200
[algorithm.autoencoder]
latent = 5
[architecture]
encoder = { dcgan = { channels = 4 } }
decoder = { dcgan = { channels = 4 } }
[optimizer]
encoder = { adam = { lr = 1e-2 } }
decoder = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["reconstruction", { denoising = { masking = 0.5 } }]
[grid]
"algorithm.autoencoder.noise" = [{ gaussian = 0.3 }, { gaussian = 0.6 }]
"#;

/// A conditional VAE of binary pixels that are drawn anew, with several draws of the importance-weighted bound in one half
/// of the grid, and betas that differ within a pack.
const BOUNDS: &str = r#"
name = "bounds"
seeds = 2
[data.shapes]
size = 8
count = 200
binarize = "sampled"
normalize = [0, 1]
[algorithm.vae]
latent = 3
samples = 4
likelihood = "bernoulli"
condition = "concatenate"
draw = "sample"
[architecture]
encoder = { mlp = { hidden = [17], activation = "tanh" } }
decoder = { mlp = { hidden = [13], activation = "softplus" } }
[optimizer]
encoder = { adam = { lr = 1e-2 } }
decoder = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 9
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["elbo", { likelihood = { samples = [3, 20], rows = 50 } }, "reconstruction", "sliced-wasserstein"]
[grid]
"algorithm.vae.bound" = ["elbo", "iwae"]
"algorithm.vae.beta" = [1.0, 2.0]
"#;

/// Learned and predicted deviations, of densities and of levels.
const SPREADS: &str = r#"
name = "spreads"
seeds = 2
[data.shapes]
size = 8
count = 200
[algorithm.vae]
latent = 2
samples = 3
[architecture]
encoder = { mlp = { hidden = [16] } }
decoder = { mlp = { hidden = [16] } }
[optimizer]
encoder = { adam = { lr = 1e-3 } }
decoder = { adam = { lr = 1e-3 } }
[schedule]
steps = 12
batch = 9
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 50
metrics = ["elbo", "pixel-statistics"]
[grid]
"algorithm.vae.likelihood" = [
  { gaussian = { std = "learned" } },
  { gaussian = { std = "predicted" } },
  { discretized-logistic = { std = "learned" } },
  { discretized-logistic = { std = "predicted" } },
]
"#;

/// Color images that the discriminator sees changed, beside a penalty and dropout, which draw from the same stream.
const CHANGES: &str = r#"
name = "changes"
seeds = 2
[data.shapes]
size = 16
channels = 3
count = 200
[algorithm.gan]
latent = { normal = { dim = 3 } }
[architecture]
generator = { dcgan = { channels = 4 } }
discriminator = { layers = [{ conv = { out = 6, kernel = 4, stride = 2 } }, "leaky-relu", { dropout = 0.3 }, { linear = 1 }] }
[loss]
adversarial = "relativistic-pair"
augment = ["brightness", "saturation", "contrast", "translation", "cutout"]
penalties = [{ r1 = 0.1 }]
[optimizer]
generator = { adam = { lr = 1e-3 } }
discriminator = { adam = { lr = 1e-3 } }
[schedule]
steps = 12
batch = 9
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["sliced-wasserstein"]
"#;

/// A few labels, of which each run has its own, with the game's weight different within the pack; both of the generator's losses.
const FEW_LABELS: &str = r#"
name = "few-labels"
seeds = 2
[data.shapes]
size = 8
count = 200
[algorithm.semi-supervised]
latent = { normal = { dim = 3 } }
labels-per-class = 2
ema = { decay = 0.9 }
[architecture]
generator = { mlp = { hidden = [12], norm = "batch" } }
discriminator = { layers = [{ gaussian-noise = 0.2 }, { linear = { out = 20, weight = "norm" } }, "relu", { gaussian-noise = 0.2 }, { linear = { out = 10, weight = "norm" } }] }
[loss]
adversarial = "non-saturating"
augment = ["translation"]
[optimizer]
generator = { adam = { lr = 1e-2 } }
discriminator = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 9
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["classification", "sliced-wasserstein"]
[grid]
"algorithm.semi-supervised.unlabeled-weight" = [0.0, 1.0]
"algorithm.semi-supervised.generator" = ["feature-matching", "game"]
"#;

/// Networks with twins, of vectors and of maps, that share some of their layers, statistics of norms and spectral vectors among
/// them.
const DOMAINS: &str = r#"
name = "domains"
seeds = 2
[data.shapes]
size = 8
count = 200
[algorithm.cogan]
latent = { normal = { dim = 3 } }
second = "edges"
share = { generator = 1, discriminator = 1 }
adaptation = { tie-weight = 0.5 }
ema = { decay = 0.9 }
[architecture]
generator = { mlp = { hidden = [12, 12], norm = "batch", output = "tanh" } }
discriminator = { layers = [{ conv = { out = 4, kernel = 4, stride = 2, weight = "spectral" } }, "leaky-relu", { linear = 9 }, "relu", { linear = { out = 1, weight = "spectral" } }] }
[loss]
adversarial = "non-saturating"
augment = ["cutout"]
penalties = [{ r1 = 0.1 }]
[optimizer]
generator = { adam = { lr = 1e-2 } }
discriminator = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = [
    "agreement", "transfer", { interpolation = { paths = 5, steps = 4 } },
    { linear-probe = { labels-per-class = 1, draws = 2 } }, "sliced-wasserstein",
]
[grid]
"algorithm.cogan.second" = ["edges", "negative"]
"algorithm.cogan.adaptation.class-weight" = [0.0, 1.0]
"#;

/// A pyramid of three levels of color images with labels, averaged weights and a penalty at each; dropout draws beside them.
const PYRAMID: &str = r#"
name = "pyramid"
seeds = 2
[data.shapes]
size = 16
channels = 3
count = 200
[algorithm.lapgan]
latent = { normal = { dim = 3 } }
levels = 3
ema = { decay = 0.9 }
[architecture]
generator = { mlp = { hidden = [12], norm = "batch", output = "tanh" } }
discriminator = { mlp = { hidden = [9], activation = "leaky-relu" } }
refiner = { layers = [{ conv = { out = 4, kernel = 3, padding = 1 } }, { batch-norm = {} }, "relu", { conv = { out = 3, kernel = 3, padding = 1 } }] }
assessor = { layers = [{ conv = { out = 4, kernel = 4, stride = 2, weight = "spectral" } }, "leaky-relu", { dropout = 0.3 }, { linear = 1 }] }
[loss]
adversarial = "non-saturating"
penalties = [{ r1 = 0.1 }]
[optimizer]
generator = { adam = { lr = 1e-2 } }
discriminator = { adam = { lr = 1e-2 } }
refiner = { adam = { lr = 1e-2 } }
assessor = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["bands", "shapes"]
[grid]
"algorithm.lapgan.condition" = ["none", "concatenate"]
"#;

/// Virtual batch norm of vectors and of maps, in both players, with labels and a penalty that goes backward twice.
const REFERENCES: &str = r#"
name = "references"
seeds = 2
[data.shapes]
size = 8
count = 200
[algorithm.gan]
latent = { normal = { dim = 3 } }
condition = "concatenate"
ema = { decay = 0.9 }
[architecture]
generator = { mlp = { hidden = [12, 12], norm = { virtual-batch = 5 }, output = "tanh" } }
discriminator = { layers = [{ conv = { out = 4, kernel = 4, stride = 2 } }, { virtual-batch-norm = 6 }, "leaky-relu", { linear = 9 }, { virtual-batch-norm = 6 }, "relu", { linear = 1 }] }
[loss]
adversarial = "non-saturating"
penalties = [{ gradient-penalty = { weight = 0.1 } }]
[optimizer]
generator = { adam = { lr = 1e-2 } }
discriminator = { adam = { lr = 1e-2 } }
[schedule]
steps = 12
batch = 8
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["sliced-wasserstein"]
"#;

/// Colors of four levels, with labels, by convolutions and by LSTMs; samples and completions are made pixel by pixel.
const PIXELS: &str = r#"
name = "pixels"
seeds = 2
[data.shapes]
size = 8
channels = 3
count = 200
[algorithm.pixelcnn]
levels = 4
condition = "bias"
ema = { decay = 0.9 }
[architecture]
predictor = { pixelcnn = { channels = 6, layers = 2, first = 5, head = 9 } }
[optimizer]
predictor = { adam = { lr = 1e-2, clip-norm = 1.0 } }
[schedule]
steps = 12
batch = 8
[output]
samples = 12
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 30
metrics = [{ likelihood = { rows = 30 } }, "sliced-wasserstein"]
[[grid.network]]
label = "plain"
[[grid.network]]
label = "gated"
set.architecture.predictor = { pixelcnn = { channels = 6, layers = 2, first = 5, head = 9, gated = true } }
[[grid.network]]
label = "rows"
set.architecture.predictor = { row-lstm = { hidden = 6, layers = 2, first = 5, head = 9 } }
[[grid.network]]
label = "diagonals"
set.architecture.predictor = { diagonal-bilstm = { hidden = 6, first = 5, head = 9 } }
"#;

/// Sequences of symbols under recurrent layers and attention, with dropout; samples are written symbol by symbol.
const SYMBOLS: &str = r#"
name = "symbols"
seeds = 2
data = { markov = { symbols = 5, context = 12 } }
[algorithm.sequence]
top-k = 4
ema = { decay = 0.9 }
[architecture]
predictor = { layers = [{ embedding = 6 }, { gru = 5 }, { lstm = 6 }, { linear = 5 }] }
[optimizer]
predictor = { adam = { lr = 1e-2, clip-norm = 1.0 } }
[schedule]
steps = 12
batch = 8
[output]
samples = 6
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 30
metrics = ["likelihood", "support"]
[[grid.network]]
label = "recurrent"
[[grid.network]]
label = "transformer"
[grid.network.set.architecture]
predictor = { layers = [{ embedding = { width = 6, positions = true } }, { transformer-block = { heads = 2, dropout = 0.1 } }, "layer-norm", { linear = 5 }] }
"#;

/// Sequences of two classes, under a network that is told which.
const LABELED_SYMBOLS: &str = r#"
name = "labeled-symbols"
seeds = 2
data = { markov = { symbols = 5, context = 12, classes = 2 } }
[algorithm.sequence]
condition = "embedding"
[architecture]
predictor = { layers = [{ embedding = 6 }, { gru = 5 }, { linear = 5 }] }
[optimizer]
predictor = { adam = { lr = 1e-2, clip-norm = 1.0 } }
[schedule]
steps = 12
batch = 8
[output]
samples = 6
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 30
metrics = ["likelihood", "classification"]
"#;

/// Tables of what followed what, one a class.
const COUNTED: &str = r#"
name = "counted"
seeds = 3
data = { markov = { symbols = 5, context = 12, classes = 2 } }
[algorithm.ngram]
order = 3
by-class = true
examples = 100
[schedule]
steps = 12
[output]
samples = 6
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["likelihood", "classification"]
[grid]
"algorithm.ngram.smoothing" = ["witten-bell", "kneser-ney"]
"#;

/// Gaussians for each class, fit without gradients: an iteration a step.
const FITTED: &str = r#"
name = "fitted"
seeds = 3
data = { ring = { std = 0.3 } }
[algorithm.mixture]
components = 2
by-class = true
restarts = 2
examples = 400
[schedule]
steps = 12
[output]
metrics-every = 3
samples-every = 6
checkpoint-every = 4
[eval]
samples = 100
metrics = ["likelihood", "classification", "sliced-wasserstein", "parzen"]
[grid]
"algorithm.mixture.covariance" = ["full", "tied"]
"algorithm.mixture.regularization" = [1e-6, 1e-2]
"#;

/// Each experiment in tests of its own, so that all cores share them.
macro_rules! each {
    ($($name:ident: $text:ident, $steps:literal;)*) => {
        mod a_packed_run_leaves_the_files_that_it_leaves_alone {
            $(#[test] fn $name() { super::packed_and_alone(super::$text); })*

            #[test]
            fn images_in_bfloat16() {
                super::packed_and_alone(&format!("{}[run]\nprecision = \"bfloat16\"\n", super::IMAGES));
            }
        }

        mod a_run_that_was_told_to_stop_ends_where_a_straight_one_does {
            $(#[test] fn $name() { super::stopped_and_straight(super::$text, $steps); })*
        }
    };
}

// With as many steps as it takes to be stopped twice on the way.
each! {
    dense: DENSE, 300;
    minibatch: MINIBATCH, 900;
    images: IMAGES, 60;
    labels: LABELS, 600;
    classes: CLASSES, 900;
    begun: BEGUN, 900;
    codes: CODES, 400;
    balance: BALANCE, 600;
    noisy: NOISY, 60;
    bounds: BOUNDS, 900;
    spreads: SPREADS, 900;
    changes: CHANGES, 400;
    few_labels: FEW_LABELS, 900;
    domains: DOMAINS, 600;
    references: REFERENCES, 400;
    pyramid: PYRAMID, 200;
    pixels: PIXELS, 60;
    symbols: SYMBOLS, 400;
    labeled_symbols: LABELED_SYMBOLS, 900;
    counted: COUNTED, 900;
    fitted: FITTED, 900;
}

fn packed_and_alone(text: &str) {
    let work = Workspace::new(text);
    work.run("packed", &[]);
    work.run("alone", &["--no-pack"]);
    assert_same(&work.files("packed"), &work.files("alone"));
}

fn stopped_and_straight(text: &str, steps: u64) {
    let work = Workspace::new(text);
    let steps = format!("schedule.steps={steps}");
    let set = ["--set", &steps];
    work.run("straight", &set);
    for _ in 0..2 {
        let before = rows(&work, "stopped");
        let mut child = work.command("stopped", &set).spawn().expect("gantlet starts");
        // Stopped as soon as it has gone on, on a machine of any speed.
        while rows(&work, "stopped") == before && child.try_wait().expect("gantlet is ours").is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(child.id(), "TERM");
        let (code, text) = said(child.wait_with_output().expect("gantlet ends"));
        assert_eq!(code, 130, "it was over before it could be stopped: {text}");
    }
    work.run("stopped", &set);
    assert_same(&work.files("straight"), &work.files("stopped"));
}

/// How many lines the tables of all runs have.
fn rows(work: &Workspace, out: &str) -> Vec<usize> {
    let lines =
        |run: std::path::PathBuf| std::fs::read_to_string(run.join("metrics.csv")).unwrap_or_default().lines().count();
    work.runs(out).into_iter().map(lines).filter(|&lines| lines > 1).collect()
}

#[test]
fn precision_reaches_the_networks() {
    let work = Workspace::new(IMAGES);
    let trained = ["float32", "tf32", "bfloat16"].map(|precision| {
        work.run(precision, &["--set", "seeds=1", "--set", &format!("run.precision={precision}")]);
        std::fs::read(work.runs(precision)[0].join("metrics.csv")).expect("a run has its table")
    });
    assert_eq!(trained[0], trained[1], "tf32 is float32 on the CPU");
    assert_ne!(trained[0], trained[2]);
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
