//! Layers: what a TOML says of them, the shapes that follow, and the forward passes with a run axis.

pub mod forward;
pub mod init;
pub mod plan;
pub mod script;
pub mod spec;

mod activation;
mod archive;
mod causal;
mod columns;
mod dense;
mod image;
mod medium;
mod norm;
mod pixelrnn;
mod preset;
mod sequence; // (torch)
mod small;
mod weight;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod trial;

pub use causal::Raster;
pub use forward::{Mode, Noise, Output};
pub use init::ParamInit;
pub use plan::{Head, NetworkPlan, ParamPlan, Role, Row, Wiring};
pub use script::Script;
pub use sequence::Scribe;
pub use spec::{ActivationSpec, ArchitectureSpec, InitSpec, LayerSpec, NetworkSpec, NormSpec};
