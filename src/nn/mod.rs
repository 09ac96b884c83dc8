//! Layers: what a TOML says of them, the shapes that follow, and the forward passes with a run axis.

pub mod forward;
pub mod init;
pub mod layer;
pub mod plan;
pub mod script;
pub mod spec;

mod archive;
mod builder;
mod dense;
mod fused;
mod grouped;
mod im2col;
mod preset;
mod raster; // (torch)
mod scribe; // (torch)
mod weight;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;

pub use forward::{Mode, Noise, Output};
pub use init::ParamInit;
pub use plan::{Head, NetworkPlan, ParamPlan, Role, Row, Wiring};
pub use raster::Raster;
pub use scribe::Scribe;
pub use script::Script;
pub use spec::{ActivationSpec, ArchitectureSpec, InitSpec, LayerSpec, NetworkSpec, NormSpec};

/// How many numbers a shape has; the greatest number where that is beyond counting.
fn count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |product: usize, &n| product.saturating_mul(n))
}
