//! What a TOML says, composed of the specs of the folders above; grids, checks and diagnostics. No tensors.

pub mod spec;

pub use spec::{Claim, Experiment};
