//! What a TOML says of evaluation.

use crate::base::{Positive, Probability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

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

/// A metric. Each gives one value or several, named after its tag: `w1`, `modes/covered`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum MetricSpec {
    /// The mean of one-dimensional samples.
    Mean,
    /// The standard deviation of one-dimensional samples (n - 1 in the denominator).
    Std,
    /// The 1-D Wasserstein distance, ∫|F − G|, to the exact law where it is known, else to the reference.
    W1,
    /// The Kolmogorov-Smirnov statistic, max|F − G|, against the exact law where it is known, else the reference.
    Ks,
    /// Which modes of a mixture the samples reach, and how closely.
    Modes(ModesSpec),
    /// The mean 1-D Wasserstein distance over random projections (arXiv:1710.10196 without the patches).
    SlicedWasserstein(SlicedWassersteinSpec),
    /// The squared maximum mean discrepancy with a Gaussian kernel, unbiased: it can be below 0.
    Mmd(MmdSpec),
    /// Mean and deviation of pixels, and how far the mean image and the image of deviations are from the real ones.
    PixelStatistics,
    /// The mean L2 distance between two samples, relative to that between two real examples.
    Diversity(DiversitySpec),
    /// The mean L2 distance from a sample to its nearest training example, relative to that of held-out examples.
    Nearest(NearestSpec),
    /// Whether generated shapes are shapes, and which (the embedded image set).
    Shapes(ShapesSpec),
}

/// Modes. A sample belongs to its nearest center, and is of high quality within `sigmas` deviations of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ModesSpec {
    /// The largest Euclidean distance to the center, in standard deviations of a mode, of a high-quality sample.
    pub sigmas: Positive,
    /// The share of all samples that a mode needs, of high quality, to be covered: 0.002 is 20 of 10,000. Rounded up, and
    /// never less than one sample.
    pub covered_from: Probability,
}
impl Default for ModesSpec {
    fn default() -> Self {
        Self { sigmas: Positive::of(3.0), covered_from: Probability::of(0.002) }
    }
}

/// Sliced Wasserstein distance: (mean over directions of W_p^p)^(1/p).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SlicedWassersteinSpec {
    /// Random directions, uniform on the sphere, the same at every evaluation of a run.
    pub directions: NonZeroU32,
    /// p: 1 is the mean absolute difference of sorted projections.
    pub p: Positive,
}
impl Default for SlicedWassersteinSpec {
    fn default() -> Self {
        Self { directions: NonZeroU32::new(128).expect("128 is not 0"), p: Positive::of(1.0) }
    }
}

/// Maximum mean discrepancy, k(a, b) = exp(−|a − b|² / (2 sigma²)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MmdSpec {
    /// The kernel's width in data units; the median distance between two reference examples where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<Positive>,
    /// The most rows of each side: the time grows with their square.
    pub rows: NonZeroU32,
}
impl Default for MmdSpec {
    fn default() -> Self {
        Self { sigma: None, rows: NonZeroU32::new(2000).expect("2000 is not 0") }
    }
}

/// Diversity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DiversitySpec {
    /// The most rows of each side; every pair among them counts.
    pub rows: NonZeroU32,
}
impl Default for DiversitySpec {
    fn default() -> Self {
        Self { rows: NonZeroU32::new(1000).expect("1000 is not 0") }
    }
}

/// Nearest training examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NearestSpec {
    /// The most samples, and the most held-out examples, whose neighbor is looked for.
    pub rows: NonZeroU32,
    /// The most training examples that it is looked for among.
    pub train_rows: NonZeroU32,
}
impl Default for NearestSpec {
    fn default() -> Self {
        Self {
            rows: NonZeroU32::new(500).expect("500 is not 0"),
            train_rows: NonZeroU32::new(10_000).expect("10000 is not 0"),
        }
    }
}

/// Shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ShapesSpec {
    /// The largest error of the best-fitting shape, over its contrast, at which an image counts as a shape: drawn shapes
    /// stay below 0.1, a blank image has 1.
    pub error: Positive,
    /// The share of valid images that a class needs to count as present.
    pub present_from: Probability,
    /// The most samples that are looked at.
    pub rows: NonZeroU32,
}
impl Default for ShapesSpec {
    fn default() -> Self {
        Self {
            error: Positive::of(0.25),
            present_from: Probability::of(0.02),
            rows: NonZeroU32::new(1000).expect("1000 is not 0"),
        }
    }
}
