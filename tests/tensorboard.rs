//! The event file of a run in TensorBoard itself, where it is: every number and picture stands there once.

mod common;

use common::{MINIBATCH, Workspace};
use std::path::Path;
use std::process::{Command, Stdio};

/// Says, as TensorBoard's own reader sees it: a line a number (tag, step, value) and a line a picture (tag, step, width,
/// height, whether its bytes are those of the file).
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

fn python() -> Option<String> {
    let wanted = std::env::var("GANTLET_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&wanted).args(["-c", "import tensorboard"]).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()).then_some(wanted)
}

/// What the tables and pictures of a run hold, as [`READ`] says it.
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
    let Some(python) = python() else {
        eprintln!(
            "skipped: there is no tensorboard in this Python (pip install tensorboard; GANTLET_TEST_PYTHON names another)"
        );
        return;
    };
    let work = Workspace::new(MINIBATCH);
    work.run("out", &["--set", "seeds=1", "--set", "output.tensorboard=true", "--set", "output.samples-every=20"]);
    let run = work.runs("out").remove(0);
    // What is measured later stands there too.
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
