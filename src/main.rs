//! The command: see `cli`.
//!
//! It is compiled from the modules themselves, not linked against the library: an executable that names the library
//! has libtorch among the libraries that it needs, whether it calls it or not, and every `gantlet --help` would wait a
//! fifth of a second for it to load. So the folders that are part torch stand here with what is not.
#![allow(dead_code, unused_imports, reason = "what the worker alone reaches is not reached from here")]

mod base {
    pub mod array;
    pub(crate) mod bare;
    pub mod file;
    pub mod num;

    pub use array::Array;
    pub(crate) use bare::bare_number;
    pub use num::{NonNegative, Positive, Probability};
}
mod cli;
mod data;
mod eval;
mod experiment;
mod loss {
    pub mod spec;

    pub use spec::{AdversarialSpec, LossSpec, PenaltySpec};
}
mod nn {
    pub mod init;
    pub mod plan;
    mod preset;
    pub mod spec;

    pub use init::ParamInit;
    pub use plan::{Head, NetworkPlan, ParamPlan, Problem, Role, Row, Wiring};
    pub use spec::{ActivationSpec, ArchitectureSpec, InitSpec, LayerSpec, NetworkSpec, NormSpec};
}
mod objective {
    pub mod spec;

    pub use spec::{AlgorithmSpec, ConditionKind, GanSpec, LatentSpec};
}
mod assemble {
    pub mod networks;

    pub use networks::{PlayerNetwork, networks};
}
mod picture;
mod player {
    pub mod spec;

    pub use spec::{EmaSpec, OptimizerSpec, OptimizersSpec};
}
mod record;
mod report;
mod rng;
mod schedule;
mod train {
    pub mod spec;

    pub use spec::{CriticSteps, OrderKind, ScheduleSpec};
}
mod ui;

fn main() -> std::process::ExitCode {
    cli::main()
}
