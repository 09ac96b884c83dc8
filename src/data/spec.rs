//! What a TOML says of data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where examples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum DataSpec {
    /// A Gaussian.
    Gaussian(GaussianSpec),
}

/// A Gaussian.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GaussianSpec {
    /// The mean.
    #[serde(default)]
    pub mean: f64,
}
