//! The one loop: mechanics of every algorithm. It knows no network, no loss and no TOML beyond its own specs.

mod clerk;
mod measure;
pub mod pack;
mod preview;
mod session;
pub mod spec;

pub use clerk::{EVAL, METRICS, Seat, Settings, fail};
pub use measure::measure;
pub use pack::{MakeObjective, Pack};
pub use session::sit;
pub use spec::{CriticSteps, OrderKind, Precision, RunSpec, ScheduleSpec};

/// The libtorch that this program is built for.
pub const LIBTORCH: &str = "2.11.0";
/// The binding that it is built with.
pub const TCH: &str = "0.24.0";

/// Whether something that comes every `every` steps, and at the last, is due; 0 is only at the last.
fn due(step: u64, every: u64, steps: u64) -> bool {
    step == steps || (every > 0 && step.is_multiple_of(every))
}
