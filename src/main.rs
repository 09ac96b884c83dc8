//! The command: see `gantlet::cli`. It calls nothing that needs libtorch; the build script keeps it from being loaded.

fn main() -> std::process::ExitCode {
    gantlet::cli::main()
}
