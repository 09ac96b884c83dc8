//! The command as its users see it: words, exit codes, and what it leaves.

use assert_cmd::Command;
use std::path::Path;
use std::process::Output;

/// A folder with an experiment in it.
struct Workplace(tempfile::TempDir);

/// An experiment that trains in an instant.
const TOY: &str = r#"
name  = "toy"
seeds = 2

[data.gaussian]
mean = 4.0

[algorithm.gan]
latent = { uniform = { dim = 1 } }

[architecture]
generator     = { mlp = { hidden = [4] } }
discriminator = { mlp = { hidden = [4] } }

[loss]
adversarial = "non-saturating"

[optimizer]
generator     = { adam = { lr = 1e-3 } }
discriminator = { adam = { lr = 1e-3 } }

[schedule]
steps = 20
batch = 8

[eval]
samples = 100
metrics = ["w1"]

[grid]
"loss.adversarial" = ["non-saturating", "hinge"]

[[claims]]
says    = "A generator that hardly moved is far away."
metric  = "w1"
at-most = 0.001
"#;

impl Workplace {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("toy.toml", TOY);
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::cargo_bin("gantlet").unwrap();
        command.current_dir(self.path()).env_remove("GANTLET_DATA").env("XDG_DATA_HOME", self.path().join("user"));
        command.args(args).output().unwrap()
    }

    /// The exit code with both outputs, the folder's path taken out.
    fn said(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.run(args);
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).unwrap().replace(&self.path().display().to_string(), "[here]")
        };
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

#[test]
fn words_of_commands_that_need_no_run() {
    // What is found must not hang on the data of whoever runs the tests.
    trycmd::TestCases::new()
        .env("XDG_DATA_HOME", "/nonexistent")
        .env("GANTLET_DATA", "/nonexistent")
        .case("tests/cli/*.trycmd");
}

#[test]
fn the_command_does_not_load_libtorch() {
    let mut command = Command::cargo_bin("gantlet").unwrap();
    // The loader answers instead of the program: with the libraries that it would load.
    let output = command.env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(libraries.contains("libc.so"), "{libraries}");
    assert!(!libraries.contains("torch"), "{libraries}");
}

#[test]
fn a_grid_runs_once_is_continued_where_it_is_widened_and_answers_its_claims() {
    let place = Workplace::new();
    let (code, out, err) = place.said(&["run", "toy.toml"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("4 done (4 worked on"), "{out}");
    assert!(err.contains("start  adversarial-non-saturating.seed-0."), "{err}");
    for file in ["toy/experiment.toml", "toy/grid.csv"] {
        assert!(place.path().join("runs").join(file).is_file(), "{file}");
    }
    let (code, out, err) = place.said(&["run", "toy.toml"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("4 done (nothing was left to do"), "{out}");
    let (code, out, _) = place.said(&["run", "toy.toml", "--set", "seeds=3"]);
    assert_eq!(code, 0);
    assert!(out.contains("6 done (2 worked on"), "{out}");
    let (code, out, _) = place.said(&["verify", "toy.toml"]);
    assert_eq!(code, 7, "{out}");
    let (code, out, _) = place.said(&["compare", "runs/toy"]);
    assert_eq!(code, 0);
    assert!(out.contains("from hinge") || out.contains("from non-saturating"), "two rows are compared: {out}");
    let (code, out, err) =
        place.said(&["compare", "runs", "--against", "loss.adversarial=hinge", "--sort", "w1", "--json"]);
    assert_eq!(code, 0, "{err}");
    let compared: serde_json::Value = serde_json::from_str(&out).unwrap();
    let other = compared["rows"].as_array().unwrap().iter().find(|row| row["differences"][0].is_object()).unwrap();
    assert_eq!(other["settings"]["loss.adversarial"], "non-saturating");
    assert!(other["differences"][0]["p"].is_number() && other["differences"][0]["interval"][0].is_number(), "{out}");
    let (code, _, err) = place.said(&["compare", "runs", "--against", "loss.adversarial=hnge"]);
    assert_eq!(code, 2);
    assert!(err.starts_with("error: no row is loss.adversarial=hnge; the rows are loss.adversarial=hinge"), "{err}");
    // The folder of all experiments, and one of files, as the experiment and the file.
    std::fs::create_dir(place.path().join("files")).unwrap();
    std::fs::copy(place.path().join("toy.toml"), place.path().join("files/toy.toml")).unwrap();
    for paths in [["verify", "runs"], ["verify", "files"]] {
        let (code, out, err) = place.said(&paths);
        assert_eq!(code, 7, "{err}");
        assert!(out.contains("toy: 0 of 1 claims hold"), "{out}");
    }
    let (code, out, err) = place.said(&["report", "runs", "--plots", "plots", "--out", "page.html"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("page.html: ") && place.path().join("plots/d-loss.svg").is_file(), "{out}");

    let (code, out, _) = place.said(&["ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, listed["version"].as_u64(), listed["runs"].as_array().unwrap().len()), (0, Some(1), 6));
    let path = listed["runs"][0]["path"].as_str().unwrap();
    let (code, out, _) = place.said(&["show", path, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, shown["run"]["state"].as_str(), shown["run"]["step"].as_u64()), (0, Some("done"), Some(20)));
    assert!(shown["run"]["metrics"]["w1"]["last"]["value"].is_number(), "{out}");

    // Two runs of different seeds are drawn again from the same latents.
    let second = listed["runs"][1]["path"].as_str().unwrap();
    let both = ["diff", path, second, "--picture", "both.png", "--curves", "curves.png"];
    let (code, out, err) = place.said(&both);
    assert_eq!(code, 0, "{out}{err}");
    for file in ["both.png", "curves.png"] {
        image::open(place.path().join(file)).unwrap();
    }

    // The configuration of a run is an experiment of that one run, here and elsewhere.
    let config = format!("{path}/config.toml");
    let (code, out, _) = place.said(&["run", &config]);
    assert_eq!(code, 0);
    assert!(out.contains("1 done (nothing was left to do"), "{out}");
    let (code, out, err) = place.said(&["run", &config, "--out", "again"]);
    assert_eq!(code, 0, "{out}{err}");
    let again = path.replacen("runs", "again", 1);
    for file in ["config.toml", "metrics.csv", "eval.csv", "checkpoints/00000020.safetensors"] {
        let read = |run: &str| std::fs::read(place.path().join(run).join(file)).unwrap();
        assert!(read(path) == read(&again), "{file} differs when the run is repeated");
    }
}

#[test]
fn an_exported_generator_makes_the_samples_that_the_run_makes() {
    use gantlet::rng::{Purpose, Stream};
    let place = Workplace::new();
    let sets = ["--set", "seeds=1", "--set", "loss.adversarial=hinge", "--set", "algorithm.gan.ema.decay=0.9"];
    let (code, out, err) = place.said(&[&["run", "toy.toml"], &sets[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = place.said(&["sample", "adversarial-hinge", "--n", "5", "--out", "five.npy"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = place.said(&["export", "adversarial-hinge", "--out", "generator.pt"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("averaged weights, from float32 [n, 1] to float32 [n, 1]"), "{out}");
    let bytes = std::fs::read(place.path().join("five.npy")).unwrap();
    let samples: Vec<f32> = bytes[128..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let mut z = [0.0; 5];
    Stream::new(0, Purpose::Sample, 0, 0).fill_uniform(&mut z, -1.0, 1.0);
    let generator = tch::CModule::load(place.path().join("generator.pt")).unwrap();
    let x = generator.forward_ts(&[tch::Tensor::from_slice(&z).view([5, 1])]).unwrap();
    let x: Vec<f32> = Vec::try_from(x.view([-1])).unwrap();
    assert_eq!(x.len(), samples.len());
    assert!(x.iter().zip(&samples).all(|(a, b)| (a - b).abs() < 1e-5), "{x:?} {samples:?}");
}

#[test]
fn latents_are_walked_and_searched_and_what_has_none_is_told_so() {
    let place = Workplace::new();
    let images = TOY
        .replace("[data.gaussian]\nmean = 4.0", "[data.shapes]\nsize = 8\ncount = 60")
        .replace("uniform = { dim = 1 }", "normal = { dim = 3 }")
        .replace("metrics = [\"w1\"]", "metrics = [\"interpolation\"]")
        .replace("metric  = \"w1\"", "metric  = \"interpolation/jump\"")
        .replace("name  = \"toy\"", "name = \"images\"");
    place.write("images.toml", &images);
    place.write(
        "fit.toml",
        "name = \"fit\"\n[data.two-moons]\n[algorithm.mixture]\ncomponents = 2\nexamples = 50\n[schedule]\nsteps = 2\n",
    );
    let one = ["--set", "seeds=1", "--set", "loss.adversarial=hinge"];
    for (file, sets) in [("toy.toml", &one[..]), ("images.toml", &one[..]), ("fit.toml", &[])] {
        let (code, out, err) = place.said(&[&["run", file], sets].concat());
        assert_eq!(code, 0, "{out}{err}");
    }
    let run = |experiment: &str| {
        let folder = std::fs::read_dir(place.path().join("runs").join(experiment)).unwrap();
        let run = folder.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
        run.to_str().unwrap().to_owned()
    };
    let (toy, images, fit) = (run("toy"), run("images"), run("fit"));
    let search = ["--steps", "3", "--restarts", "2", "--n", "2", "--among", "20"];
    let all: [(&str, &[&str]); 5] = [
        ("interpolate", &["--rows", "2", "--steps", "4"]),
        ("arithmetic", &["--from", "0,1", "--minus", "2", "--plus", "63"]),
        ("inpaint", &search),
        ("denoise", &search),
        ("nearest", &["--n", "3", "--neighbors", "2"]),
    ];
    let ask = |what: &str, run: &str, out: &str, settings: &[&str]| {
        place.said(&[&["latent", what, run, "--out", out], settings].concat())
    };
    for (what, settings) in all {
        let (code, said, err) = ask(what, &images, "one.png", settings);
        assert_eq!((code, err.as_str()), (0, ""), "{what}: {said}");
        image::open(place.path().join("one.png")).unwrap();
        let numbers = ["psnr/nearest-training", "distance/held-out"].iter().any(|name| said.contains(name));
        assert_eq!(numbers, !["interpolate", "arithmetic"].contains(&what), "{said}");
        // What is asked twice is answered twice in the same way.
        assert_eq!(ask(what, &images, "again.png", settings).0, 0);
        let read = |file: &str| std::fs::read(place.path().join(file)).unwrap();
        assert!(read("one.png") == read("again.png"), "{what}");
    }
    // The ends of paths are the samples of the same seed.
    assert_eq!(ask("interpolate", &toy, "path.csv", &["--rows", "2", "--steps", "3"]).0, 0);
    assert_eq!(place.said(&["sample", &toy, "--n", "4", "--out", "four.csv"]).0, 0);
    let lines = |file: &str| -> Vec<String> {
        std::fs::read_to_string(place.path().join(file)).unwrap().lines().map(str::to_owned).collect()
    };
    let (path, four) = (lines("path.csv"), lines("four.csv"));
    assert_eq!([&path[0], &path[2], &path[3], &path[5]], [&four[0], &four[2], &four[1], &four[3]]);

    let refused = |what, run: &str, settings| {
        let (code, out, err) = ask(what, run, "none.png", settings);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        err
    };
    let none = refused("interpolate", &fit, &[]);
    assert_eq!(none, "error: `mixture` makes no samples from latents\n  help: GANs and VAEs do\n");
    let line = refused("inpaint", &toy, &[]);
    assert_eq!(line, "error: inpainting is of images, and these examples are of shape [1]\n");
    let line = refused("nearest", &toy, &[]);
    assert_eq!(line, "error: a picture of neighbors is of images, and these examples are of shape [1]\n");
    let told = refused("denoise", &images, &["--label", "3"]);
    assert_eq!(told, "error: the generator was trained without labels, and cannot be asked for one\n");
}

#[test]
fn a_run_directory_that_was_tampered_with_is_refused_and_nothing_is_lost() {
    let place = Workplace::new();
    assert_eq!(place.said(&["run", "toy.toml"]).0, 0);
    let (_, out, _) = place.said(&["ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let json = place.path().join(listed["runs"][0]["path"].as_str().unwrap()).join("run.json");
    let text = std::fs::read_to_string(&json).unwrap();
    std::fs::write(&json, text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
    let (code, _, err) = place.said(&["run", "toy.toml"]);
    assert_eq!(code, 3);
    assert!(err.contains("format version 2, and this gantlet reads versions up to 1"), "{err}");
    let id = listed["runs"][0]["id"].as_str().unwrap();
    // What belongs to another configuration is left alone; it says so itself, or has no checksum that says otherwise.
    let other: serde_json::Value = serde_json::from_str(&text.replacen(id, "0123", 1)).unwrap();
    std::fs::write(&json, other.to_string()).unwrap();
    let (code, _, err) = place.said(&["run", "toy.toml"]);
    assert_eq!(code, 3);
    assert!(err.contains("its id is 0123"), "{err}");
    // What was changed is written anew.
    std::fs::write(&json, text.replacen(id, "0123", 1)).unwrap();
    let (code, _, err) = place.said(&["run", "toy.toml"]);
    assert_eq!(code, 0);
    assert!(err.contains("run.json is corrupt: its checksum does not match: it is written anew"), "{err}");
}

#[test]
fn an_output_folder_that_cannot_be_made_is_one_sentence() {
    let place = Workplace::new();
    place.write("file", "");
    let (code, out, err) = place.said(&["run", "toy.toml", "--out", "file/runs"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("error: cannot make the folder file/runs: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let place = Workplace::new();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("gantlet"))
        .current_dir(place.path())
        .args(["plan", "toy.toml", "--set", "seeds=2000", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_runs_configuration_repeats_the_run_from_anywhere_and_finds_its_data() {
    let place = Workplace::new();
    for folder in ["papers", "tables", "elsewhere"] {
        std::fs::create_dir(place.path().join(folder)).unwrap();
    }
    let rows: String = (0..40).map(|i| format!("{},{}\n", i % 7, (i * i) % 11)).collect();
    place.write("tables/points.csv", &format!("x,y\n{rows}"));
    let text = TOY
        .replace("[data.gaussian]\nmean = 4.0", "[data.csv]\npath = \"../tables/points.csv\"")
        .replace("\"w1\"", "\"sliced-wasserstein\"")
        .replace("seeds = 2", "seeds = 1");
    place.write("papers/table.toml", &text);
    let (code, out, err) = place.said(&["run", "papers/table.toml", "--set", "loss.adversarial=hinge"]);
    assert_eq!(code, 0, "{out}{err}");
    let run = std::fs::read_dir(place.path().join("runs/toy")).unwrap();
    let run = run.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let from = |folder: &str, args: &[&str]| {
        let mut command = Command::cargo_bin("gantlet").unwrap();
        command.current_dir(place.path().join(folder)).env_remove("GANTLET_DATA").args(args);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    // The file in its place, and a copy that lies alone.
    std::fs::copy(run.join("config.toml"), place.path().join("elsewhere/copy.toml")).unwrap();
    from("elsewhere", &["run", run.join("config.toml").to_str().unwrap(), "--out", "again"]);
    from("elsewhere", &["run", "copy.toml", "--out", "copied"]);
    let name = run.file_name().unwrap();
    for (again, file) in [("again", "config.toml"), ("again", "metrics.csv"), ("again", "eval.csv")] {
        let read = |path: &Path| std::fs::read(path.join(file)).unwrap();
        let repeated = place.path().join("elsewhere").join(again).join("toy").join(name);
        assert!(read(&run) == read(&repeated), "{file} differs when the run is repeated");
    }
    assert!(place.path().join("elsewhere/copied/toy").is_dir());
    let run = run.to_str().unwrap();
    from("elsewhere", &["sample", run, "--n", "3", "--out", "three.png"]);
    from("elsewhere", &["eval", run, "--metric", "sliced-wasserstein"]);
    from("elsewhere", &["export", run, "--out", "generator.pt"]);
}

/// A grid is good only if each of its cells is, whatever their order.
#[test]
fn a_cell_is_checked_whatever_cells_stand_before_it() {
    let place = Workplace::new();
    let rows: String = (0..100).map(|i| format!("{},{}\n", i % 7, (i * i) % 11)).collect();
    place.write("points.csv", &format!("x,y\n{rows}"));
    for examples in ["[50, 500]", "[500, 50]"] {
        place.write(
            "mixture.toml",
            &format!(
                "data.csv = {{ path = \"points.csv\", test-share = 0.0 }}\nalgorithm.mixture = {{ components = 2 }}\n\
                 schedule = {{ steps = 10 }}\neval.metrics = [\"likelihood\"]\n\
                 [grid]\n\"algorithm.mixture.examples\" = {examples}\n"
            ),
        );
        let (code, out, err) = place.said(&["check", "mixture.toml"]);
        assert_eq!(code, 3, "{examples}: {out}{err}");
        assert!(err.contains("the first 500 training examples, and the data has 100"), "{err}");
    }
}
