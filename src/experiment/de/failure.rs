//! Why a value was refused: what the reader found, the key that it was found at, and its words.

use super::super::diagnostic::{Place, known_names};
use super::super::node::Node;
use super::id;
use serde::de::{self, Unexpected};
use std::fmt;

/// Why a value was refused.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) help: Option<String>,
    /// The node to set aside, and the place to show.
    pub(super) at: Option<(usize, Place)>,
    /// Whether it only follows from another mistake.
    pub(super) silent: bool,
}

#[derive(Debug)]
pub(super) enum Reason {
    Words(String),
    Missing { field: &'static str, of: String },
    UnknownKey { name: String, known: &'static [&'static str] },
    UnknownKind { name: String, of: String, known: &'static [&'static str] },
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { reason: Reason::Words(message.into()), help: None, at: None, silent: false }
    }

    pub(super) fn because(reason: Reason) -> Self {
        Self { reason, help: None, at: None, silent: false }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Places the failure at a node unless it has a place already.
    pub(super) fn at(self, node: &Node, silent: bool) -> Self {
        self.at_place(node, node.place, silent)
    }

    pub(super) fn at_place(mut self, node: &Node, place: Place, silent: bool) -> Self {
        if self.at.is_none() {
            self.at = Some((id(node), place));
            self.silent |= silent;
        }
        self
    }

    pub(super) fn words(self) -> (String, Option<String>) {
        let (message, help) = match self.reason {
            Reason::Words(message) => (message, None),
            Reason::Missing { field, of } if of.is_empty() => {
                (format!("`{field}` is missing"), Some(format!("every experiment has a section `[{field}]`")))
            }
            Reason::Missing { field, of } => (format!("`{of}` needs `{field}`"), None),
            Reason::UnknownKey { name, known } => {
                (format!("unknown key `{name}`"), known_names(&name, known.iter().copied()))
            }
            Reason::UnknownKind { name, of, .. } if of == "data" && is_known_set(&name) => (
                format!("`data` has no kind `{name}`"),
                Some(format!("`{name}` is the name of a data set: `data.dataset.name = \"{name}\"`")),
            ),
            Reason::UnknownKind { name, of, known } => {
                (format!("`{of}` has no kind `{name}`"), known_names(&name, known.iter().copied()))
            }
        };
        (message, self.help.or(help))
    }
}

/// Whether a data set of that name is described, wherever data are.
fn is_known_set(name: &str) -> bool {
    crate::data::known::names(&crate::data::DataRoots::default()).iter().any(|known| known == name)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.reason)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}, got {}", shown(got)))
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(got, expected)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}, got {length}"))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::because(Reason::UnknownKind { name: name.to_owned(), of: String::new(), known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::because(Reason::UnknownKey { name: name.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::because(Reason::Missing { field, of: String::new() })
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is there twice"))
    }
}

fn shown(got: Unexpected<'_>) -> String {
    match got {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Str(text) => format!("the text \"{text}\""),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}
