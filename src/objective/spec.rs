//! What a TOML says of the algorithm.

use crate::player::EmaSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The algorithm family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum AlgorithmSpec {
    /// A generator against a discriminator.
    Gan(GanSpec),
}

/// A generator against a discriminator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GanSpec {
    /// What the generator is fed.
    pub latent: LatentSpec,
    /// How the players learn of the label.
    #[serde(default)]
    pub condition: ConditionKind,
    /// Reports in `metrics.csv` as `d/slope` the mean slope on fakes of what the discriminator answers: D = σ(d) where
    /// that is a probability, else d. It tells a saturated discriminator.
    #[serde(default)]
    pub report_slope: bool,
    /// Averaged weights of the generator, used for samples and evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}

/// The generator's input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum LatentSpec {
    /// N(mean, std²) in each dimension.
    Normal(NormalLatent),
    /// U(low, high) in each dimension.
    Uniform(UniformLatent),
    /// One dimension: evenly spaced points on [low, high] over the batch, each moved by U(0, jitter), times `scale`.
    Stratified(StratifiedLatent),
}
impl LatentSpec {
    /// How many numbers an example has.
    pub fn dim(&self) -> u32 {
        match self {
            Self::Normal(s) => s.dim,
            Self::Uniform(s) => s.dim,
            Self::Stratified(_) => 1,
        }
    }
}
/// A Gaussian latent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NormalLatent {
    /// The count of dimensions.
    pub dim: u32,
    /// The mean.
    #[serde(default)]
    pub mean: f64,
    /// The standard deviation.
    #[serde(default = "UniformLatent::high")]
    pub std: f64,
}
/// A uniform latent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UniformLatent {
    /// The count of dimensions.
    pub dim: u32,
    /// The lower bound.
    #[serde(default = "UniformLatent::low")]
    pub low: f64,
    /// The upper bound.
    #[serde(default = "UniformLatent::high")]
    pub high: f64,
}
impl UniformLatent {
    fn low() -> f64 {
        -1.0
    }
    fn high() -> f64 {
        1.0
    }
}
/// A stratified latent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StratifiedLatent {
    /// The first point.
    pub low: f64,
    /// The last point.
    pub high: f64,
    /// How far a point may move up.
    #[serde(default)]
    pub jitter: f64,
    /// What the points are multiplied by.
    #[serde(default = "UniformLatent::high")]
    pub scale: f64,
}

/// How the players learn of the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionKind {
    /// Not at all.
    #[default]
    None,
    /// Appended to the input of both, or where a `label` layer stands (arXiv:1411.1784).
    Concatenate,
    /// The discriminator also names the class (arXiv:1610.09585); the generator gets the label as with `concatenate`.
    AuxiliaryClassifier,
    /// d(x, y) = ψ(h) + ⟨V_y, h⟩ (arXiv:1802.05637); the generator gets the label as with `concatenate`.
    Projection,
}
