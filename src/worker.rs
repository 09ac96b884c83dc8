//! The child process that trains.

fn main() {}
