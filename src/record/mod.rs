//! The files of a run directory: written whole or not at all, read back with doubt.
//!
//! What knows how a run's directory looks is here and nowhere else: [`RunDir`] names its files and holds its lock,
//! [`RunState`] is its `run.json`, [`Metrics`] and [`EvalLog`] append to its tables and cut them back on resume,
//! [`Board`] says the same to TensorBoard, [`checkpoint`] keeps its tensors, [`event`] is what parent and worker say to each other, and [`grid`] sums up the
//! runs of an experiment. Nothing here knows what is trained.
//!
//! Every file is vouched for, so that a flipped or a cut byte is named and no wrong number is shown: a checkpoint and
//! `run.json` carry their own checksum, and `run.json` has a [`Seal`] of each file that it stands beside. Whoever writes
//! holds the run's lock, and `run.json` never promises what is not there yet: rows come first, and are cut last.

pub mod checkpoint;
pub mod event;
pub mod grid;
pub mod run;
pub mod seal;
pub mod spec;
pub mod table;
pub mod tensorboard;

pub use checkpoint::{Checkpoint, TensorData, Values};
pub use run::{RunDir, RunLock, RunState, State, Versions};
pub use seal::Seal;
pub use spec::OutputSpec;
pub use table::{EvalLog, EvalRow, Metrics, Table, read_eval, read_metrics};
pub use tensorboard::Board;

use crate::base::file::FileError;
use std::path::PathBuf;

/// Why the record of a run cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process holds the run.
    #[error("{} is held by {holder}", path.display())]
    Locked {
        /// The run directory.
        path: PathBuf,
        /// Who says to hold it.
        holder: String,
    },
    /// A file cannot be locked.
    #[error(
        "cannot lock {}: {source}; without locks two processes may train one run, so choose an --out on a filesystem that has them",
        path.display()
    )]
    NoLock {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A newer program wrote it.
    #[error("{} has format version {found}, and this gantlet reads versions up to {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it names.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// There is no run there.
    #[error("{} is not a run directory: it has no run.json", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{} is corrupt: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A table of another run's columns.
    #[error("{} has the columns {found}, and this run writes {expected}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// Its header.
        found: String,
        /// The header that was to be written.
        expected: String,
    },
}

impl RecordError {
    /// Whether no run could have been written: the disk is full, or takes nothing.
    pub fn is_of_the_disk(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(self, Self::File(error)
            if matches!(error.source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | FileTooLarge))
    }
}
