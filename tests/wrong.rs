//! Every file of `tests/wrong` has one mistake; what a person is told of it is kept beside it, to the letter.

use gantlet::data::DataRoots;
use gantlet::experiment::{Headers, Plan, Style};
use std::path::{Path, PathBuf};

/// What is said of a file with these `--set`s, or that nothing is wrong.
fn told(file: &str, sets: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong").join(file);
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let text = match Plan::load(&[path], &sets, Some(&Headers::new(DataRoots::default()))) {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(wrong) => wrong.render(Style::Unicode),
    };
    text.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "")
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("wrong");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn each_wrong_file_is_told_what_is_wrong_and_where() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong"))
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    assert!(files.len() > 20);
    settings().bind(|| {
        for file in files {
            let name = file.file_name().expect("a file").to_string_lossy();
            insta::assert_snapshot!(name.trim_end_matches(".toml"), told(&name, &[]));
        }
    });
}

#[test]
fn each_wrong_set_is_told_what_is_wrong_and_where() {
    settings().bind(|| {
        for (name, set) in [
            ("set-without-value", "schedule.steps"),
            ("set-unknown-key", "schedule.stepz=3"),
            ("set-wrong-type", "schedule.steps=many"),
            ("set-broken-value", "architecture.generator={ mlp = "),
            ("set-unknown-kind", "loss.adversarial=hnge"),
            ("set-known-set-for-kind", "data=mnist"),
        ] {
            insta::assert_snapshot!(name, told("valid.txt", &[set]));
        }
    });
}

#[test]
fn the_file_that_the_others_are_made_from_is_right() {
    assert_eq!(told("valid.txt", &[]), "nothing is wrong");
}

#[test]
fn a_file_that_is_not_there_is_named_with_what_to_do() {
    settings().bind(|| insta::assert_snapshot!("no-file", told("no-such-file.toml", &[])));
}
