//! The command: see `cli`.
//!
//! It is compiled from the modules themselves, not linked against the library: an executable holds only what its main
//! function reaches, and so nothing that needs libtorch. Linked against the library, whole object files come along,
//! libtorch with them, and every `gantlet --help` waits for it to load.
#![allow(dead_code, unused_imports, reason = "what the worker alone reaches is not reached from here")]

mod assemble;
mod base;
mod cli;
mod data;
mod eval;
mod experiment;
mod loss;
mod nn;
mod objective;
mod picture;
mod player;
mod record;
mod report;
mod rng;
mod schedule;
mod train;
mod ui;

fn main() -> std::process::ExitCode {
    cli::main()
}
