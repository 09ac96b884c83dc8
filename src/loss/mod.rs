//! Adversarial losses and what is added to them. It knows nothing of networks, optimizers or data.

pub mod formula; // (torch)
pub mod spec;

pub use formula::{cross_entropy, feature_distance, half_square, softplus, squared_slope, unit_slope};
pub use spec::{AdversarialSpec, LossSpec, PenaltySpec};
