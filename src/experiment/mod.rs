//! What a TOML says, composed of the specs of the folders above; grids, checks and diagnostics. No tensors.
//!
//! A file becomes a [`file::Document`] (a tree that knows where each value was written), each point of its `[grid]` an
//! [`Experiment`], all of them a [`Plan`]. [`Headers`] check what depends on data and the shapes of networks.

pub mod cell;
pub mod check;
pub mod de;
pub mod diagnostic;
pub mod file;
pub mod grid;
pub mod headers;
mod inherit;
pub mod layers;
pub mod networks;
pub mod node;
pub mod pack;
pub mod plan;
pub mod schema;
pub mod spec;
pub mod start;
pub mod starter;
pub mod text;
mod wrong;

pub use cell::Cell;
pub use diagnostic::{Diagnostic, Diagnostics, Style};
pub use file::metrics;
pub use headers::{CellFacts, DataFacts, Headers, NetworkTable};
pub use networks::{PlayerNetwork, networks};
pub use pack::pack_key;
pub use plan::Plan;
pub use schema::json_schema;
pub use spec::{Claim, Experiment, REMARKS};
pub use start::StartSpec;
pub use starter::starter;
