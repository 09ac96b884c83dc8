//! What a TOML says of the files that a run leaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run leaves, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct OutputSpec {
    /// Steps between rows of `metrics.csv`.
    pub metrics_every: u64,
    /// Steps between sample pictures; the last step always has one. 0: only the last.
    pub samples_every: u64,
    /// How many samples a picture shows.
    pub samples: u32,
    /// Samples a row of the grid (8 for the strip of digits); 0: a square.
    pub samples_per_row: u32,
    /// Steps between checkpoints; the last step always has one. 0: only the last, and when interrupted.
    pub checkpoint_every: u64,
    /// How many checkpoints stay; the newest always does.
    pub keep: u32,
    /// A GIF of the sample pictures over training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub animation: Option<AnimationSpec>,
    /// An event file for TensorBoard: the numbers of both tables, and the sample pictures. Its times are steps.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
}
impl Default for OutputSpec {
    fn default() -> Self {
        Self {
            metrics_every: 10,
            samples_every: 0,
            samples: 64,
            samples_per_row: 0,
            checkpoint_every: 1000,
            keep: 2,
            animation: None,
            tensorboard: false,
        }
    }
}

/// An animation over training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AnimationSpec {
    /// Steps between frames.
    pub every: u64,
}
