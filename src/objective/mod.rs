//! Algorithm families: one file each, with its spec and its mathematics. What a family may ask of the loop is here.

pub mod spec;

pub use spec::{AlgorithmSpec, GanSpec, LatentSpec};
