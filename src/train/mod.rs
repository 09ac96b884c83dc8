//! The one loop: mechanics of every algorithm.

pub mod spec;

pub use spec::{CriticSteps, RunSpec, ScheduleSpec};
