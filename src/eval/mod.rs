//! Metrics over host arrays. Each number is stored with its protocol.

pub mod spec;

pub use spec::EvalSpec;
