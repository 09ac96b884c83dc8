//! What begins with another run begins with its numbers, and with nothing else of it.

mod common;

use common::{Workspace, fact, said};
use gantlet::record::{Values, checkpoint};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An autoencoder of points, in three widths.
const ENCODERS: &str = r#"
name = "encoders"
seeds = 4
data = "ring"
[algorithm.autoencoder]
latent = 2
[architecture]
encoder = { mlp = { hidden = [7, 5], activation = "relu" } }
decoder = { mlp = { hidden = [5], activation = "relu" } }
[optimizer]
encoder = { adam = { lr = 1e-2 } }
decoder = { adam = { lr = 1e-2 } }
[schedule]
steps = 20
batch = 10
[output]
checkpoint-every = 10
[grid]
"algorithm.autoencoder.noise" = [{ label = "plain", value = { gaussian = 0.01 } }, { label = "noisy", value = { gaussian = 0.1 } }]
[[claims]]
says = "It learns."
metric = "autoencoder/loss"
at-most = 9.0
"#;

/// A classifier that does not move, so that its checkpoint holds what it began with.
const CLASSIFIERS: &str = r#"
name = "classifiers"
seeds = 2
data = "ring"
[algorithm.classifier]
ema = { decay = 0.9 }
[architecture]
classifier = { layers = [{ linear = 7 }, { dropout = 0.5 }, "relu", { linear = 5 }, "relu", { linear = 8 }] }
[start.classifier]
experiment = "encoders.toml"
set = { "algorithm.autoencoder.noise" = "noisy" }
player = "encoder"
[optimizer]
classifier = { sgd = { lr = 0.0 } }
[schedule]
steps = 2
batch = 10
[grid]
"start.classifier.layers" = [0, 1, 2]
"#;

fn workspace() -> Workspace {
    let work = Workspace::new(CLASSIFIERS);
    std::fs::write(work.path("encoders.toml"), ENCODERS).expect("a second file");
    work
}

/// The runs of an experiment, by name.
fn runs(work: &Workspace, experiment: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(work.path("runs").join(experiment)).expect("a folder of runs");
    let mut runs: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    runs.sort();
    runs
}

/// The tensors of a run's newest checkpoint.
fn tensors(run: &Path) -> BTreeMap<String, Vec<f32>> {
    let (found, warnings) = checkpoint::latest_valid(&run.join("checkpoints"), |_| Ok(()));
    assert!(warnings.is_empty(), "{warnings:?}");
    let tensors = found.expect("a checkpoint").tensors.into_iter();
    let numbers = tensors.filter_map(|(name, tensor)| match tensor.values {
        Values::F32(values) => Some((name, values)),
        _ => None,
    });
    numbers.collect()
}

#[test]
fn the_first_layers_are_the_others_and_the_rest_is_of_the_runs_own_seed() {
    let work = workspace();
    work.run("runs", &[]);
    let (encoders, classifiers) = (runs(&work, "encoders"), runs(&work, "classifiers"));
    assert_eq!((encoders.len(), classifiers.len()), (2, 6), "of each seed one, of the one kind that is begun with");
    for seed in 0..2 {
        let of_seed = |runs: &[PathBuf]| -> Vec<BTreeMap<String, Vec<f32>>> {
            let runs = runs.iter().filter(|run| fact(run, "seed") == seed.to_string());
            runs.map(|run| tensors(run)).collect()
        };
        let encoder = of_seed(&encoders).remove(0);
        let [anew, one, two] = of_seed(&classifiers).try_into().expect("three kinds");
        for (layer, theirs) in [("0", "0"), ("3", "2"), ("5", "4")] {
            for part in ["weight", "bias"] {
                for suffix in ["", ":ema"] {
                    let of =
                        |run: &BTreeMap<String, Vec<f32>>| run[&format!("classifier.{layer}.{part}{suffix}")].clone();
                    let begun = &encoder[&format!("encoder.{theirs}.{part}")];
                    assert_eq!(of(&one) == *begun, layer == "0", "{layer}.{part}{suffix}");
                    assert_eq!(of(&two) == *begun, layer != "5", "{layer}.{part}{suffix}");
                    assert_eq!(of(&one) == of(&anew), layer != "0", "{layer}.{part}{suffix}");
                    assert_eq!(of(&two) == of(&anew), layer == "5", "{layer}.{part}{suffix}");
                }
            }
        }
    }
    let (code, text) = said(work.gantlet(&["compare", "runs/encoders"]).output().expect("gantlet starts"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 done") && !text.contains("left out"), "{text}");
    let log = std::fs::read_to_string(classifiers[5].join("log.txt")).expect("a log");
    assert!(log.contains("the classifier begins with 2 of its 3 layers from the encoder of"), "{log}");
}

#[test]
fn what_was_trained_before_is_found_under_its_own_name_and_its_own_file_stays() {
    let work = workspace();
    let (code, text) = said(work.gantlet(&["run", "encoders.toml"]).output().expect("gantlet starts"));
    assert_eq!(code, 0, "{text}");
    let before = runs(&work, "encoders");
    assert_eq!(before.len(), 8);
    let text = work.run("runs", &[]);
    assert!(text.contains("6 done (6 worked on"), "{text}");
    assert_eq!(runs(&work, "encoders"), before);
    // The file beside the runs still says all that their own file said.
    let (code, text) = said(work.gantlet(&["verify", "runs/encoders"]).output().expect("gantlet starts"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 of 1 claim"), "{text}");
    // What is done needs nothing to begin with.
    for run in runs(&work, "encoders") {
        std::fs::remove_dir_all(run).expect("a run");
    }
    let text = work.run("runs", &[]);
    assert!(text.contains("nothing was left to do"), "{text}");
    assert!(runs(&work, "encoders").is_empty());
}

#[test]
fn a_configuration_alone_trains_what_it_begins_with_and_gives_the_same_run() {
    let work = workspace();
    work.run("runs", &["--set", "seeds=[1]"]);
    let run = runs(&work, "classifiers").remove(2);
    std::fs::copy(run.join("config.toml"), work.path("copy.toml")).expect("a copy");
    let (code, text) = said(work.gantlet(&["run", "copy.toml", "--out", "again"]).output().expect("gantlet starts"));
    assert_eq!(code, 0, "{text}");
    let again = std::fs::read_dir(work.path("again/classifiers")).expect("it ran");
    let again = again.map(|e| e.expect("an entry").path()).find(|path| path.is_dir()).expect("a run");
    assert_eq!(fact(&again, "id"), fact(&run, "id"));
    assert_eq!(tensors(&again), tensors(&run));
}

#[test]
fn runs_wait_for_what_they_begin_with_and_are_not_spoiled_by_it() {
    let work = workspace();
    // It takes off, so that nothing can begin with it.
    let diverges = ["--set", "seeds=1", "--set", "start.classifier.set.optimizer.encoder.sgd.lr=1e30"];
    let (code, text) = said(work.command("runs", &diverges).output().expect("gantlet starts"));
    assert_eq!(code, 6, "{text}");
    assert!(text.contains("2 runs left undone: what they begin with is not done"), "{text}");
    let states: Vec<String> = runs(&work, "classifiers").iter().map(|run| fact(run, "state")).collect();
    assert_eq!(states, ["done", "queued", "queued"], "the one that takes no layer needs no encoder");

    // What was there when a run was planned may be gone when it begins.
    work.run("runs", &["--set", "seeds=[5]", "--set", "start.classifier.layers=1"]);
    let run = runs(&work, "classifiers").into_iter().find(|run| fact(run, "seed") == "5").expect("a run");
    for file in ["metrics.csv", "eval.csv", "checkpoints", "run.json"] {
        let path = run.join(file);
        drop(if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) });
    }
    let origin = runs(&work, "encoders").into_iter().find(|run| fact(run, "seed") == "5").expect("a run");
    std::fs::remove_dir_all(origin.join("checkpoints")).expect("its weights are gone");
    let again = ["--set", "seeds=[5]", "--set", "start.classifier.layers=1"];
    let (code, text) = said(work.command("runs", &again).output().expect("gantlet starts"));
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("has lost its last checkpoint"), "{text}");
    assert_eq!(fact(&run, "state"), "queued", "it can begin when its origin is back");
}

#[test]
fn averaged_weights_are_begun_with_where_there_are_such() {
    let base = CLASSIFIERS.split("[start.classifier]").next().expect("what comes before").replace("seeds = 2", "");
    let rest = "[optimizer]\nclassifier = { sgd = { lr = 0.1 } }\n[schedule]\nsteps = 9\nbatch = 10\n";
    let start = "[start.classifier]\nexperiment = \"first.toml\"\nplayer = \"classifier\"\nseed = 3\n";
    let work = Workspace::new(&format!("{base}{start}{}", rest.replace("0.1", "0.0")));
    std::fs::write(work.path("first.toml"), format!("{}{rest}", base.replace("classifiers", "first"))).expect("a file");
    work.run("runs", &[]);
    let (first, second) = (&runs(&work, "first")[0], &runs(&work, "classifiers")[0]);
    assert_eq!((fact(first, "seed"), fact(second, "seed")), ("3".to_owned(), "0".to_owned()));
    let (first, second) = (tensors(first), tensors(second));
    assert_ne!(first["classifier.0.weight"], first["classifier.0.weight:ema"]);
    assert_eq!(second["classifier.0.weight"], first["classifier.0.weight:ema"]);
    assert_eq!(second["classifier.5.bias"], first["classifier.5.bias:ema"]);
}
