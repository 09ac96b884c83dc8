//! The command: see `gantlet::cli`.

fn main() -> std::process::ExitCode {
    gantlet::cli::main()
}
