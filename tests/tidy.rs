//! The shape of the project: folders import only those above them, the command needs no libtorch, every experiment says
//! where it comes from.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let paths = entries.map(|e| e.expect("a readable folder").into_path());
    paths.filter(|p| p.extension().is_some_and(|e| e == ending)).collect()
}

#[test]
fn folders_import_only_those_that_stand_above_them_in_lib_rs() {
    let src = root().join("src");
    let lib = std::fs::read_to_string(src.join("lib.rs")).expect("lib.rs");
    let order: Vec<&str> = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.split(';').next()).collect();
    assert!(order.len() > 10, "{order:?}");
    let place = |name: &str| order.iter().position(|o| *o == name);
    let mut wrong = Vec::new();
    for path in files(&src, "rs") {
        let inside = path.strip_prefix(&src).expect("a path below src");
        let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let Some(own) = place(first.trim_end_matches(".rs")) else { continue };
        let text = std::fs::read_to_string(&path).expect("a source file");
        // Tests may look anywhere.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for part in code.split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if place(&name).is_some_and(|other| other > own) {
                wrong.push(format!("{} imports `{name}`, which stands below it", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_experiment_says_where_it_comes_from_what_it_shows_and_how_to_run_it() {
    let all = files(&root().join("experiments"), "toml");
    assert!(all.len() > 10);
    for path in all {
        let text = std::fs::read_to_string(&path).expect("an experiment");
        let header: Vec<&str> = text.lines().take_while(|l| l.starts_with('#')).collect();
        for word in ["# Source:", "# Shows:", "# Run:"] {
            assert!(header.iter().any(|l| l.starts_with(word)), "{} has no line `{word}`", path.display());
        }
    }
}

/// Rust's own linker on this target can leave libtorch out; elsewhere the command starts a little slower.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn the_command_does_not_load_libtorch_and_the_worker_does() {
    let needed = |program: &str| {
        let bytes = std::fs::read(program).expect("a built program");
        bytes.windows(b"libtorch_cpu.so".len()).any(|w| w == b"libtorch_cpu.so")
    };
    assert!(!needed(env!("CARGO_BIN_EXE_gantlet")));
    assert!(needed(env!("CARGO_BIN_EXE_gantlet-worker")));
}
