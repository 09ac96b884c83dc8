//! Layers: what a TOML says of them, the shapes that follow, and the forward passes with a run axis.

pub mod spec;

pub use spec::{ActivationSpec, ArchitectureSpec, InitSpec, LayerSpec, NetworkSpec, NormSpec};
