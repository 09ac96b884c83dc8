//! Compiles the one C++ file; tells the linker where libtorch lies at run time, and that the command does without it.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    // Nothing is compiled in C++ or linked.
    if std::env::var_os("CARGO_FEATURE_DOC_ONLY").is_some() {
        return;
    }
    if let Some(root) = std::env::var_os("LIBTORCH").map(PathBuf::from) {
        // The wheel keeps the two NVIDIA libraries that libtorch_cpu.so needs in a folder beside torch's own.
        for folder in [root.join("lib"), root.join("../nvidia/cu13/lib")] {
            if let Ok(folder) = folder.canonicalize() {
                println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
            }
        }
        println!("cargo:rerun-if-changed=src/base/unbound.cpp");
        let mut compiler = cc::Build::new();
        compiler.cpp(true).std("c++17").opt_level(2).warnings(false).cargo_metadata(false);
        compiler.include(root.join("include")).include(root.join("include/torch/csrc/api/include"));
        compiler.file("src/base/unbound.cpp").compile("gantlet_unbound");
        // Not bundled into the library: its object file would bring its static initializers into the command.
        println!("cargo:rustc-link-search=native={}", std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
        println!("cargo:rustc-link-lib=static:-bundle=gantlet_unbound");
    }
    // One library serves both binaries, so the linker meets libtorch's bindings in the command too, and their static
    // initializers would have it load half a gigabyte at every start (0.3 s). The command calls none of them: it gets
    // empty files in their place. The option is lld's, which is Rust's linker on this target alone.
    if std::env::var("TARGET").as_deref() == Ok("x86_64-unknown-linux-gnu") {
        for archive in ["*libtorch_sys-*.rlib", "*libgantlet_unbound.a"] {
            println!("cargo:rustc-link-arg-bin=gantlet=-Wl,--remap-inputs={archive}=/dev/null");
        }
        println!("cargo:rustc-link-arg-bin=gantlet=-Wl,--unresolved-symbols=ignore-all");
    }
}
