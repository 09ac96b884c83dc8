//! The one match over algorithms: from what a TOML says to networks and objectives.
//!
//! [`networks`] needs no tensor and serves `plan` and `check`; [`worker`] is what the child process does.

pub mod build; // (torch)
pub mod device; // (torch)
pub mod networks;
pub mod samples; // (torch)
pub mod worker; // (torch)

pub use networks::{PlayerNetwork, networks};
