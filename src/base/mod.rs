//! Ground that everything stands on: numbers with a range, host arrays, files written whole or not at all.

pub mod array;
pub(crate) mod bare;
pub mod digits;
pub mod each;
pub mod file;
pub mod host; // (torch)
pub mod matrix;
mod nearest;
pub mod num;
pub(crate) mod players;
pub mod problem;
pub mod signal;
pub mod unbound; // (torch)

pub use array::Array;
pub(crate) use bare::{bare_number, or_integer, or_number};
pub use each::Each;
pub use nearest::nearest;
pub use num::{NonNegative, Positive, Probability};
pub(crate) use players::a_player_each;
pub use problem::Problem;
