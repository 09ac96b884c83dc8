//! From the cells of a plan to runs that are done: which need work, which train together, and which process does it when.
//!
//! [`plan::read`] makes entries of the cells of files; [`order`] keeps runs that begin with others waiting; [`survey()`] looks at what the run directories say and decides for each cell; [`pack`] puts runs together and shares out
//! the cores; [`engine`] keeps workers busy, watches them, and turns whatever ends them into the state of a run;
//! [`process`] is how workers really start. The engine knows workers only by a trait, so that its decisions are tested
//! without one.

pub mod device;
pub mod driver;
pub mod engine;
pub mod order;
pub mod pack;
pub mod plan;
pub mod process;
pub mod survey;

pub use device::{Device, DeviceChoice};
pub use engine::{Outcome, Refusal, drive};
pub use pack::{Pack, Shares, limit_for, plan_packs};
pub use process::ProcessExecutor;
pub use survey::{Decision, Entry, Retry, prepare, survey};

use crate::record::RecordError;
use crate::record::event::ProtocolError;
use std::path::PathBuf;

/// Why runs cannot be scheduled.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A run directory cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A directory holds another run.
    #[error(
        "{} holds another configuration than this experiment's: its id is {found} and not {expected}; move it away, or choose another --out",
        path.display()
    )]
    OtherRun {
        /// The directory.
        path: PathBuf,
        /// The id that it holds.
        found: String,
        /// The id that it should hold.
        expected: String,
    },
    /// The configuration of a run was changed by hand.
    #[error(
        "{} was changed since the run began; put it back, or copy it elsewhere and run the copy",
        path.display()
    )]
    ChangedConfig {
        /// The configuration file.
        path: PathBuf,
    },
    /// The worker is not there.
    #[error("there is no gantlet-worker beside this program ({}); build both with `cargo build --release`", path.display())]
    NoWorker {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The worker does not start.
    #[error("cannot start {}: {source}", path.display())]
    Spawn {
        /// The worker.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The worker is not understood.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The worker would not do what was asked.
    #[error("the worker refuses its request: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// A device was asked for that is not there.
    #[error("{0}")]
    Device(String),
}
