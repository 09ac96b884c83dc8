//! A player: parameters that move together. Its store, its optimizer, its averages.

pub mod optimizer;
pub mod spec;
pub mod store;

pub use spec::{EmaSpec, OptimizerSpec, OptimizersSpec};
pub use store::{Named, Player, PlayerSpec};
