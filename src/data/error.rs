use crate::base::file::FileError;
use std::path::PathBuf;

/// What is wrong with data, or with what was said of it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The experiment asks for what cannot be.
    #[error("{0}")]
    Spec(String),
    /// No description of a set has this name.
    #[error("there is no data set named `{name}`, the known ones are {}", known.join(", "))]
    UnknownSet {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Nothing lies where files were looked for.
    #[error("{what} is missing: looked at {}; {remedy}", list(looked))]
    Missing {
        /// The set or file.
        what: String,
        /// All the places.
        looked: Vec<PathBuf>,
        /// What to do.
        remedy: String,
    },
    /// A file is not what it should be.
    #[error("{} {problem}", path.display())]
    Wrong {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, to follow its name.
        problem: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A set could not be fetched.
    #[error("cannot get {what}: {problem}")]
    Fetch {
        /// The address, or the name of the set.
        what: String,
        /// Why.
        problem: String,
    },
}

impl DataError {
    /// Whether the experiment is wrong (exit code 3) rather than the data (4).
    pub fn is_spec_mistake(&self) -> bool {
        matches!(self, Self::Spec(_) | Self::UnknownSet { .. })
    }

    /// What is wrong with the settings themselves, wherever their files are.
    pub fn mistake(&self) -> Option<&str> {
        if let Self::Spec(message) = self { Some(message) } else { None }
    }

    pub(crate) fn wrong(path: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Wrong { path: path.to_owned(), problem: problem.into() }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
