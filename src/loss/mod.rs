//! Adversarial losses, what is added to them, and how a discriminator's images are changed. It knows nothing of networks, optimizers or data.

pub mod augment; // (torch)
pub mod formula; // (torch)
pub mod spec;

pub use augment::augmented;
pub use formula::{cross_entropy, feature_distance, half_square, softplus, squared_slope, unit_slope};
pub use spec::{AdversarialSpec, AugmentKind, LossSpec, PenaltySpec};
