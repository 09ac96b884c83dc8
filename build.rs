//! Tells the linker where libtorch lies at run time, and that the `gantlet` command does without it.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(root) = std::env::var_os("LIBTORCH").map(PathBuf::from) {
        // The wheel keeps the two NVIDIA libraries that libtorch_cpu.so needs in a folder beside torch's own.
        for folder in [root.join("lib"), root.join("../nvidia/cu13/lib")] {
            if let Ok(folder) = folder.canonicalize() {
                println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
            }
        }
    }
    // One library serves both binaries, so the linker meets libtorch's bindings in the command too, and their static
    // initializers would have it load half a gigabyte at every start (0.3 s). The command calls none of them: it gets an
    // empty file in their place. The option is lld's, which is Rust's linker on this target alone.
    if std::env::var("TARGET").as_deref() == Ok("x86_64-unknown-linux-gnu") {
        for option in ["--remap-inputs=*libtorch_sys-*.rlib=/dev/null", "--unresolved-symbols=ignore-all"] {
            println!("cargo:rustc-link-arg-bin=gantlet=-Wl,{option}");
        }
    }
}
