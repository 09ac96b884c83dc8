//! What a TOML says of evaluation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When and what is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvalSpec {
    /// Steps between evaluations; the last step is always evaluated. 0: only the last.
    #[serde(default)]
    pub every: u64,
    /// Samples that each metric looks at.
    #[serde(default = "EvalSpec::samples")]
    pub samples: u32,
    /// What is measured.
    #[serde(default)]
    pub metrics: Vec<MetricSpec>,
    /// Which weights of the generator: averaged ones where there are any, or the raw ones.
    #[serde(default)]
    pub weights: WeightsKind,
    /// What samples are held against.
    #[serde(default)]
    pub reference: ReferenceKind,
}
impl EvalSpec {
    fn samples() -> u32 {
        10_000
    }
}
impl Default for EvalSpec {
    fn default() -> Self {
        Self {
            every: 0,
            samples: Self::samples(),
            metrics: Vec::new(),
            weights: WeightsKind::default(),
            reference: ReferenceKind::default(),
        }
    }
}

/// Which weights are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsKind {
    /// Averaged weights where the experiment has them, else the raw ones.
    #[default]
    Auto,
    /// The weights as trained.
    Raw,
}

/// What samples are held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceKind {
    /// The held-out part.
    #[default]
    Test,
    /// The training part.
    Train,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum MetricSpec {
    /// The mean of the samples.
    Mean,
}
