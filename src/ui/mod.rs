//! What people see: bars and lines while runs go on, tables before and after, and the words for numbers and times.
//!
//! Nothing here decides anything or writes to standard output: bars and lines go to standard error, tables are returned as
//! text.

pub mod progress;
pub mod table;
pub mod words;

pub use progress::{Bars, Lines, Watch};
