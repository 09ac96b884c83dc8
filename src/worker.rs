//! The child process that trains: see `gantlet::assemble::worker`.

fn main() {
    std::process::exit(gantlet::assemble::worker::main());
}
