//! A player: parameters that move together. Its store, its optimizer, its averages.

pub mod spec;

pub use spec::{EmaSpec, OptimizerSpec, OptimizersSpec};
