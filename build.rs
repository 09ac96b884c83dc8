//! Writes libtorch's folders into the binaries as rpath, so that they run without any variable set.
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let Some(root) = std::env::var_os("LIBTORCH").map(PathBuf::from) else { return };
    // The wheel keeps the two NVIDIA libraries that libtorch_cpu.so needs in a folder beside torch's own.
    for folder in [root.join("lib"), root.join("../nvidia/cu13/lib")] {
        if let Ok(folder) = folder.canonicalize() {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
        }
    }
}
