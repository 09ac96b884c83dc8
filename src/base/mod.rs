//! Ground that everything stands on: numbers with a range, host arrays, files written whole or not at all.

pub mod array;
pub mod file;
pub mod host; // (torch)
pub mod num;

pub use array::Array;
pub use num::{NonNegative, Positive, Probability};
