//! Machines whose GPU cannot be used: a driver library made by the C compiler, and a CUDA part of libtorch that does not
//! load. Nothing fails run by run, the default trains on the CPU, and each reason is given once.

mod common;

use common::{MINIBATCH, Workspace, fact, said};
use std::process::Command;

/// `cuda.h`'s functions for a driver of `FAKE_VERSION` with `FAKE_COUNT` devices of compute capability 9.0.
const DRIVER: &str = r#"
#include <stdlib.h>
#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = atoi(getenv("FAKE_VERSION")); return 0; }
int cuDeviceGetCount(int *count) { *count = atoi(getenv("FAKE_COUNT")); return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Imaginary GPU", length); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 9 : 0; return 0; }
"#;

/// A workspace with the driver, and a libtorch whose CUDA part is no library.
fn machine() -> Workspace {
    let work = Workspace::new(MINIBATCH);
    std::fs::write(work.path("driver.c"), DRIVER).expect("a file");
    let mut compiler = Command::new("cc");
    compiler.current_dir(work.folder.path()).args(["-shared", "-fPIC", "-o", "libcuda.so.1", "driver.c"]);
    assert!(compiler.status().expect("a C compiler, which building this program takes too").success());
    std::fs::create_dir_all(work.path("torch/lib")).expect("a folder");
    std::fs::write(work.path("torch/lib/libtorch_cuda.so"), "no library").expect("a file");
    std::fs::write(work.path("torch/lib/libc10_cuda.so"), "\0libcudart.so.13\0").expect("a file");
    work
}

/// `gantlet` on that machine.
fn command(work: &Workspace, version: &str, count: &str, args: &[&str]) -> (i32, String) {
    let mut command = work.gantlet(args);
    let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let paths = [work.folder.path().to_owned()].into_iter().chain(std::env::split_paths(&before));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(paths).expect("paths"));
    command.env("LIBTORCH", work.path("torch")).env("FAKE_VERSION", version).env("FAKE_COUNT", count);
    said(command.output().expect("gantlet starts"))
}

fn trained_on_the_cpu(work: &Workspace, out: &str) {
    let runs = work.runs(out);
    assert_eq!(runs.len(), 3);
    for run in runs {
        assert_eq!((fact(&run, "state").as_str(), fact(&run, "device").as_str()), ("done", "cpu"));
    }
}

#[test]
fn a_driver_that_is_too_old_for_libtorch_leaves_runs_to_the_cpu_and_is_reported_once() {
    let work = machine();
    let reason = "the NVIDIA driver supports CUDA 12.4, and this libtorch needs CUDA 13";
    let (code, text) = command(&work, "12040", "1", &["run", "e.toml", "--out", "auto"]);
    assert_eq!((code, text.matches(reason).count()), (0, 1), "{text}");
    trained_on_the_cpu(&work, "auto");
    let (code, text) = command(&work, "12040", "1", &["run", "e.toml", "--out", "cuda", "--device", "cuda"]);
    assert_eq!((code, text.matches(reason).count()), (2, 1), "{text}");
    assert!(work.runs("cuda").is_empty());
    let (_, text) = command(&work, "12040", "1", &["doctor"]);
    assert!(text.contains(reason), "{text}");
}

#[test]
fn a_cuda_part_that_does_not_load_leaves_runs_to_the_cpu_and_the_linker_is_quoted() {
    let work = machine();
    let reason = "libtorch's CUDA part cannot be loaded: ";
    let linker = "libtorch_cuda.so: file too short";
    let (code, text) = command(&work, "13000", "2", &["run", "e.toml", "--out", "auto", "--no-pack"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.matches(reason).count() == 2 && text.contains(linker), "once per device: {text}");
    assert!(text.contains("is left out: ") && text.contains("; computing on the CPU"), "{text}");
    trained_on_the_cpu(&work, "auto");
    let (code, text) = command(&work, "13000", "2", &["run", "e.toml", "--out", "cuda", "--device", "cuda:1"]);
    assert_eq!((code, text.matches(reason).count()), (2, 1), "{text}");
    for run in work.runs("cuda") {
        assert_eq!(fact(&run, "state"), "queued");
    }
}
