//! What a TOML says, composed of the specs of the folders above; grids, checks and diagnostics. No tensors.
//!
//! A file becomes a [`file::Document`] (a tree with places), its `[grid]` points, each point an [`Experiment`], all of
//! them a [`Plan`]. What needs networks or data headers to know comes in through a [`DeepCheck`].

pub mod check;
pub mod de;
pub mod diagnostic;
pub mod file;
pub mod grid;
mod inherit;
pub mod node;
pub mod pack;
pub mod plan;
pub mod schema;
pub mod spec;
pub mod start;
pub mod starter;
pub mod text;

pub use check::{CellFacts, DeepCheck, NetworkRow, NetworkTable};
pub use diagnostic::{Diagnostic, Diagnostics, Style};
pub use file::metrics;
pub use pack::pack_key;
pub use plan::{Cell, Plan};
pub use schema::json_schema;
pub use spec::{Claim, Experiment, REMARKS};
pub use start::StartSpec;
pub use starter::starter;
