//! gantlet: a paper is a TOML file that trains, measures itself, and says whether its claim holds.
//!
//! The modules stand in the order in which they may import each other: each uses only those above it
//! (`tests/tidy.rs` holds the order). The `gantlet` command calls nothing that needs libtorch; what does is marked
//! *(torch)* here and reached from `gantlet-worker` alone.

pub mod base; // units, host arrays, atomic files
pub mod rng; // counter-based random streams
pub mod loss; // adversarial losses and penalties: specs, and formulas (torch)
pub mod nn; // layers: specs, shape inference, and forward passes with a run axis (torch)
pub mod data; // distributions and data sets, on the host
pub mod player; // parameters that move together: store, optimizer, schedule, EMA (torch)
pub mod objective; // one file an algorithm family: spec and mathematics (torch)
pub mod eval; // metrics over host arrays, each with its protocol
pub mod picture; // sample grids, densities, scatters, animations
pub mod record; // the files of a run directory
pub mod train; // the one loop (torch)
pub mod experiment; // what a TOML says: parsing, grids, checks, diagnostics
pub mod assemble; // the one match over algorithms: cells to networks and objectives (torch)
pub mod ui; // bars, tables, wording for people
pub mod schedule; // runs to packs to worker processes
pub mod report; // compare, diff, verify, the page
pub mod cli; // the commands
