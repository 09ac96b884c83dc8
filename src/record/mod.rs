//! The files of a run directory: written whole or not at all, read back with doubt.

pub mod spec;

pub use spec::OutputSpec;
