//! What other programs read, in their own Python: the event file of a run in TensorBoard, an exported network in PyTorch.

mod common;

use common::skip::{Need, require};
use common::{DENSE, MINIBATCH, Workspace, said};
use gantlet::rng::{Purpose, Stream};
use std::path::Path;
use std::process::{Command, Stdio};

/// Prints what TensorBoard's own reader finds: one line per number (tag, step, value) and one line per picture (tag, step,
/// width, height, whether its bytes equal the file's).
const READ: &str = r#"
import os, sys
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
run = sys.argv[1]
seen = EventAccumulator(run, size_guidance={"tensors": 0}).Reload()
for tag in sorted(seen.Tags()["tensors"]):
    kind = seen.SummaryMetadata(tag).plugin_data.plugin_name
    for event in seen.Tensors(tag):
        value = tensor_util.make_ndarray(event.tensor_proto)
        assert event.wall_time == event.step
        if kind == "scalars":
            print(tag, event.step, repr(float(value)))
        else:
            name = "real.png" if tag == "data" else f"{event.step:08}.png"
            file = open(os.path.join(run, "samples", name), "rb").read()
            print(tag, event.step, int(value[0]), int(value[1]), value[2] == file)
"#;

/// Prints the outputs of an exported network for the latents on standard input, and the fields of the text stored in it.
const LOAD: &str = r#"
import json, sys
import torch
facts = {"about.json": ""}
network = torch.jit.load(sys.argv[1], _extra_files=facts)
outputs = network(torch.tensor(json.load(sys.stdin)))
print(json.dumps([outputs.tolist(), sorted(json.loads(facts["about.json"]))]))
"#;

fn python() -> Option<String> {
    let wanted = std::env::var("GANTLET_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&wanted).args(["-c", "import tensorboard, torch"]).stderr(Stdio::null()).status();
    require(Need::Python, found.is_ok_and(|status| status.success()).then_some(wanted))
}

/// The tables and pictures of a run, in the form that [`READ`] prints.
fn expected(run: &Path) -> Vec<String> {
    // Python's shortest text of a 32-bit number as 64 bits.
    let number = |text: &str| {
        let value = f64::from(text.parse::<f64>().expect("a number") as f32);
        let text = format!("{value:?}");
        if text.contains('e') && !text.contains("e-") { text.replace('e', "e+") } else { text }
    };
    let table = |name: &str| std::fs::read_to_string(run.join(name)).expect("a table");
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let mut lines = Vec::new();
    let metrics = rows(&table("metrics.csv"));
    for row in &metrics[1..] {
        let named = metrics[0].iter().zip(row).skip(1).filter(|(_, value)| !value.is_empty());
        lines.extend(named.map(|(name, value)| format!("{name} {} {}", row[0], number(value))));
    }
    for row in &rows(&table("eval.csv"))[1..] {
        lines.push(format!("{} {} {}", row[1], row[0], number(&row[2])));
    }
    for entry in std::fs::read_dir(run.join("samples")).expect("pictures") {
        let path = entry.expect("an entry").path();
        let (width, height) = image::image_dimensions(&path).expect("a picture");
        let step = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let (tag, step) = step.parse::<u64>().map_or(("data", 0), |step| ("samples", step));
        lines.push(format!("{tag} {step} {width} {height} True"));
    }
    lines.sort();
    lines
}

#[test]
fn tensorboard_reads_every_number_and_picture_once() {
    let Some(python) = python() else { return };
    let work = Workspace::new(MINIBATCH);
    work.run("out", &["--set", "seeds=1", "--set", "output.tensorboard=true", "--set", "output.samples-every=20"]);
    let run = work.runs("out").remove(0);
    // A metric that is evaluated later is appended.
    let again = work.gantlet(&["eval", &run.display().to_string(), "--metric", "ks"]).output().expect("gantlet starts");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let seen = Command::new(python).args(["-c", READ]).arg(&run).output().expect("Python starts");
    let mut lines: Vec<_> = String::from_utf8_lossy(&seen.stdout).lines().map(str::to_owned).collect();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    lines.sort();
    let expected = expected(&run);
    assert_eq!(lines, expected);
    assert!(
        ["ks 40 ", "w1 60 ", "samples 60 ", "data 0 ", "d/loss 7 "]
            .iter()
            .all(|begin| expected.iter().any(|line| line.starts_with(begin))),
        "{expected:#?}"
    );
}

#[test]
fn pytorch_computes_the_samples_of_a_run_from_its_exported_generator() {
    let Some(python) = python() else { return };
    let work = Workspace::new(DENSE);
    work.run("out", &["--set", "seeds=1", "--set", "optimizer.generator.adam.lr=1e-3"]);
    let run = work.runs("out").remove(0).display().to_string();
    for args in
        [["sample", &run, "--n=5", "--out=five.csv"], ["export", &run, "--player=generator", "--out=network.pt"]]
    {
        let (code, text) = said(work.gantlet(&args).output().expect("gantlet starts"));
        assert_eq!(code, 0, "{text}");
    }
    let table = std::fs::read_to_string(work.path("five.csv")).expect("a table");
    let samples: Vec<f64> =
        table.lines().flat_map(|row| row.split(',')).map(|x| x.parse().expect("a number")).collect();
    let mut latents = [0.0; 10];
    Stream::new(0, Purpose::Sample, 0, 0).fill_normal(&mut latents, 0.0, 1.0);
    let mut process = Command::new(python)
        .args(["-c", LOAD])
        .arg(work.path("network.pt"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let rows: Vec<&[f32]> = latents.chunks(2).collect();
    serde_json::to_writer(process.stdin.take().expect("a pipe"), &rows).expect("Python reads");
    let output = process.wait_with_output().expect("Python ends");
    assert!(output.status.success());
    let (outputs, facts): (Vec<[f64; 2]>, Vec<String>) = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(samples.len(), 10, "{table}");
    let pairs = outputs.as_flattened().iter().zip(&samples);
    assert!(pairs.clone().count() == 10 && pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5), "{outputs:?} {samples:?}");
    assert!(["experiment", "input", "output", "step"].iter().all(|fact| facts.iter().any(|f| f == fact)), "{facts:?}");
}
