//! Every experiment that is shipped is right, is what the schema says, and trains: two steps of each, made small.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn experiments() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let paths = entries.map(|entry| entry.expect("a readable folder").into_path());
    let files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    assert!(files.len() > 10);
    files
}

fn read(file: &Path) -> (String, toml::Table) {
    let text = std::fs::read_to_string(file).expect("a readable file");
    let table = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    (text, table)
}

/// The command without anything that this machine has: data are those that are embedded.
fn gantlet(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("gantlet").expect("a built program");
    command.current_dir(folder).env("GANTLET_DATA", "/nonexistent").env("XDG_DATA_HOME", "/nonexistent");
    command
}

fn assert_well(command: &mut Command, what: &str) {
    let output = command.output().expect("gantlet starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {said}");
}

/// The `--set` that the head of a file names for a machine without its data, if its data come from files.
fn instead_of_files(file: &Path) -> Option<String> {
    let (text, table) = read(file);
    let base = table.get("extends").and_then(toml::Value::as_str).map(|base| file.with_file_name(base));
    let named = text.lines().take_while(|line| line.starts_with('#')).find_map(|line| line.split_once("--set data"));
    match (named, table.get("data").and_then(|data| data.get("dataset")), base) {
        (Some((_, rest)), ..) => {
            let said = rest.split([' ', ')']).next().unwrap_or_default().trim_end_matches(',');
            // Quotes are the shell's.
            Some(format!("data{}", said.replace('\'', "")))
        }
        (None, Some(_), _) => panic!("{} does not say how to run it without its data", file.display()),
        (None, None, base) => base.and_then(|base| instead_of_files(&base)),
    }
}

/// What is set, and the same of the experiments that players of a file begin with.
fn also_of_origins(file: &Path, sets: Vec<String>) -> Vec<String> {
    let table = read(file).1;
    let players = table.get("start").and_then(toml::Value::as_table).into_iter().flat_map(|starts| starts.keys());
    let more = players.flat_map(|player| sets.iter().map(move |set| format!("start.{player}.set.{set}")));
    sets.iter().cloned().chain(more).collect()
}

#[test]
fn every_experiment_is_what_the_schema_says_and_no_mistake_is_found_in_it() {
    let schema = gantlet::experiment::json_schema();
    let schema = jsonschema::validator_for(&schema).expect("the schema is one");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    for file in experiments() {
        let sets = also_of_origins(&file, instead_of_files(&file).into_iter().collect());
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        assert_well(gantlet(folder.path()).arg("check").arg(&file).args(sets), &file.display().to_string());
        let value: Value = serde_json::to_value(read(&file).1).expect("TOML without dates is JSON");
        wrong.extend(schema.iter_errors(&value).map(|e| format!("{}: {}: {e}", file.display(), e.instance_path())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A bare number is right where the reader takes one, and a misspelled key is noticed at all.
    let bare = serde_json::json!({ "loss": { "historical-averaging": 0.1 }, "schedule": { "critic-steps": 5 } });
    assert!(schema.is_valid(&bare));
    assert!(!schema.is_valid(&serde_json::json!({ "schedule": { "stepz": 3 } })));
}

/// A file for the paper's own numbers asks for them in every cell, whatever it extends.
#[test]
fn every_cell_of_a_paper_file_trains_as_long_as_the_file_says() {
    let cells = |file: &Path| {
        let plans = gantlet::experiment::Plan::load(&[file.to_owned()], &[], None);
        plans.unwrap_or_else(|wrong| panic!("{wrong}")).remove(0).cells
    };
    let mut checked = 0;
    for file in experiments().into_iter().filter(|file| file.to_string_lossy().ends_with("-paper.toml")) {
        let table = read(&file).1;
        let asked = |key: &str| table.get("schedule").and_then(|schedule| schedule.get(key)?.as_integer());
        for cell in cells(&file) {
            let schedule = &cell.experiment.schedule;
            for (key, steps) in [("steps", schedule.steps), ("critic-steps", schedule.critic_steps.each.into())] {
                if let Some(asked) = asked(key) {
                    assert_eq!(i64::try_from(steps), Ok(asked), "{key} of {} in {}", cell.run, file.display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 20, "{checked}");
    let wgan = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/mnist/wgan-paper.toml");
    assert_eq!(cells(&wgan)[0].resolved()["architecture"]["discriminator"]["dcgan"]["norm"], "batch");
}

#[test]
fn every_experiment_trains() {
    let schema = gantlet::experiment::json_schema();
    let schema = jsonschema::validator_for(&schema).expect("the schema is one");
    for file in experiments() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = gantlet(folder.path());
        command.arg("run").arg(&file).args(["--threads", "1"]);
        let small =
            ["schedule.steps=2", "schedule.batch=4", "schedule.critic-steps=1", "eval.samples=16"].map(str::to_owned);
        let small = small.into_iter().chain(instead_of_files(&file));
        let sets = also_of_origins(&file, small.collect());
        command.args(["--set", "seeds=1"]).args(sets.iter().flat_map(|set| ["--set", set]));
        assert_well(&mut command, &file.display().to_string());
        for path in walkdir::WalkDir::new(folder.path()).into_iter().map(|e| e.expect("a result").into_path()) {
            if path.ends_with("config.toml") {
                let value = serde_json::to_value(read(&path).1).expect("TOML without dates is JSON");
                let wrong: Vec<String> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
                assert!(wrong.is_empty(), "{}: {}", path.display(), wrong.join("\n"));
            }
        }
    }
}
