//! What a generator is fed: the choice of a law, and draws from it.

use crate::base::{Problem, host};
use crate::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

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

    /// The same law in so many dimensions; evenly spaced points have one.
    pub(super) fn of_dim(&self, dim: u32) -> Self {
        match self {
            Self::Normal(s) => Self::Normal(NormalLatent { dim, ..s.clone() }),
            Self::Uniform(s) => Self::Uniform(UniformLatent { dim, ..s.clone() }),
            Self::Stratified(s) => Self::Stratified(s.clone()),
        }
    }

    /// Draws `[R, n, dim]`, each run from its own stream.
    pub fn draw(&self, streams: &mut [Stream], n: usize, device: Device) -> Tensor {
        let dim = self.dim() as usize;
        let mut numbers = vec![0.0; streams.len() * n * dim];
        for (row, stream) in numbers.chunks_exact_mut((n * dim).max(1)).zip(streams.iter_mut()) {
            match self {
                Self::Normal(s) => stream.fill_normal(row, s.mean as f32, s.std as f32),
                Self::Uniform(s) => stream.fill_uniform(row, s.low as f32, s.high as f32),
                Self::Stratified(s) => {
                    let between = (n.max(2) - 1) as f64;
                    for (i, value) in row.iter_mut().enumerate() {
                        let point = s.low + (s.high - s.low) * i as f64 / between;
                        *value = ((point + s.jitter * f64::from(stream.uniform())) * s.scale) as f32;
                    }
                }
            }
        }
        host::tensor(&numbers, &[streams.len() as i64, n as i64, dim as i64], device)
    }

    /// What is wrong with it, at `path`.
    pub(super) fn check(&self, path: &str) -> Vec<Problem> {
        let mut wrong = Vec::new();
        if self.dim() == 0 {
            wrong.push(Problem::at(path, "a latent of 0 dimensions"));
        }
        let bounds = match self {
            Self::Uniform(uniform) => Some(("uniform", uniform.low, uniform.high)),
            Self::Stratified(stratified) => Some(("stratified", stratified.low, stratified.high)),
            Self::Normal(_) => None,
        };
        if let Some((kind, low, high)) = bounds
            && low >= high
        {
            let message = format!("the low bound {low} is not below the high one, {high}");
            wrong.push(Problem::at(format!("{path}.{kind}.low"), message));
        }
        wrong
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
