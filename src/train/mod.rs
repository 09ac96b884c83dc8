//! The one loop: mechanics of every algorithm. It knows no network, no loss and no TOML beyond its own specs.

pub mod pack;
pub mod preview;
pub mod session;
pub mod spec;

pub use pack::Pack;
pub use spec::{CriticSteps, OrderKind, ScheduleSpec};

/// The libtorch that this program is built for.
pub const LIBTORCH: &str = "2.11.0";
/// The binding that it is built with.
pub const TCH: &str = "0.24.0";
