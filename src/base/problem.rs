//! What is wrong with a setting.

/// Something wrong, at a dotted key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as in `architecture.generator.layers.3`; the longest beginning of it that the file has is shown.
    pub path: String,
    /// What, as a fragment without a period.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at a key.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), help: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same seen from further out: `prefix` and a dot before its key.
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        Self { path: format!("{prefix}.{}", self.path), ..self }
    }
}
