//! Adversarial losses, what is added to them, and how a discriminator's images are changed. It knows nothing of networks, optimizers or data.

pub mod augment; // (torch)
pub mod formula; // (torch)
pub mod penalty; // (torch)
pub mod spec;
#[cfg(test)]
mod trial;

pub use augment::augmented;
pub use formula::{Meaning, cross_entropy, feature_distance, softplus};
pub use penalty::{At, squared_slope};
pub use spec::{AdversarialSpec, AugmentKind, LossSpec, PenaltySpec};
