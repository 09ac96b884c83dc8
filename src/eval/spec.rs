//! What a TOML says of evaluation.

use super::{Asked, Metric, MetricName, ask, per_part};
use crate::base::{Positive, Probability};
use crate::data::DataInfo;
use crate::data::interval::Interval;
use crate::objective::autoencoder::NoiseSpec;
use crate::objective::product::Provided;
use crate::objective::{Model, Product};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::path::PathBuf;

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

/// The choice of a metric: an arm holds its settings, or names what it is where it has none.
macro_rules! metrics {
    (
        $(#[$about:meta])*
        pub enum MetricSpec { $( $(#[$doc:meta])* $arm:ident $(($settings:ty))? $(=> $unit:path)?, )* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub enum MetricSpec { $( $(#[$doc])* $arm $(($settings))?, )* }

        /// The tag of each, and its values.
        pub(super) const NAMES: &[(&str, &[MetricName])] = &[
            $( $( (<$settings>::TAG, <$settings>::VALUES), )? $( (<$unit>::TAG, <$unit>::VALUES), )? )*
        ];

        impl MetricSpec {
            /// The metric's name in a TOML, with which the names of its values begin.
            pub fn tag(&self) -> &'static str {
                match self {
                    $( $( Self::$arm(_) => <$settings>::TAG, )? $( Self::$arm => <$unit>::TAG, )? )*
                }
            }

            /// All the values that it may give.
            pub(super) fn values(&self) -> &'static [MetricName] {
                match self {
                    $( $( Self::$arm(_) => <$settings>::VALUES, )? $( Self::$arm => <$unit>::VALUES, )? )*
                }
            }

            /// What a model must provide for it to be taken.
            pub fn product(&self) -> Product {
                match self {
                    $( $( Self::$arm(_) => <<$settings as Metric>::Of as Provided>::PRODUCT, )?
                       $( Self::$arm => <<$unit as Metric>::Of as Provided>::PRODUCT, )? )*
                }
            }

            /// The values that it gives of such data (`shapes/accuracy` only where the generator was asked for labels).
            pub fn names(&self, info: &DataInfo) -> Vec<MetricName> {
                match self {
                    $( $( Self::$arm(settings) => <$settings as Metric>::names(settings, info), )?
                       $( Self::$arm => <$unit as Metric>::names(&$unit, info), )? )*
                }
            }

            /// As [`Metric::needs`].
            pub(super) fn needs_of(&self, info: &DataInfo, products: &[Product]) -> Result<(), String> {
                match self {
                    $( $( Self::$arm(settings) => <$settings as Metric>::needs(settings, info, products), )?
                       $( Self::$arm => <$unit as Metric>::needs(&$unit, info, products), )? )*
                }
            }

            /// As [`Metric::held_out`].
            pub(super) fn held_out(&self) -> Option<&'static str> {
                match self {
                    $( $( Self::$arm(settings) => <$settings as Metric>::held_out(settings), )?
                       $( Self::$arm => <$unit as Metric>::held_out(&$unit), )? )*
                }
            }

            /// Asks a model for what it needs, for every run.
            pub fn ask(&self, model: &Model<'_>) -> Vec<Box<dyn Asked>> {
                match self {
                    $( $( Self::$arm(settings) => ask::<$settings>(settings, model), )?
                       $( Self::$arm => ask(&$unit, model), )? )*
                }
            }
        }
    };
}

metrics! {
    /// A metric. Each gives one value or several, named after its tag: `w1`, `modes/covered`.
    pub enum MetricSpec {
        /// The mean of one-dimensional samples.
        Mean => super::line::Mean,
        /// The standard deviation of one-dimensional samples (n - 1 in the denominator).
        Std => super::line::Std,
        /// The 1-D Wasserstein distance, ∫|F − G|, to the exact law where it is known, else to the reference.
        W1 => super::line::W1,
        /// The Kolmogorov-Smirnov statistic, max|F − G|, against the exact law where it is known, else the reference.
        Ks => super::line::Ks,
        /// Which modes of a mixture the samples reach, and how closely.
        Modes(ModesSpec),
        /// The mean 1-D Wasserstein distance over random projections (arXiv:1710.10196 without the patches).
        SlicedWasserstein(SlicedWassersteinSpec),
        /// The squared maximum mean discrepancy with a Gaussian kernel, unbiased: it can be below 0.
        Mmd(MmdSpec),
        /// Mean and deviation of pixels, and how far the mean image and the image of deviations are from the real ones.
        PixelStatistics => super::images::PixelStatistics,
        /// The mean L2 distance between two samples, relative to that between two real examples.
        Diversity(DiversitySpec),
        /// The mean L2 distance from a sample to its nearest training example, relative to that of held-out examples.
        Nearest(NearestSpec),
        /// Whether generated shapes are shapes, and which (the embedded image set).
        Shapes(ShapesSpec),
        /// What is measured over the features that a named extractor gives: `frechet/pixels`, `kid/random-conv`.
        Features(FeaturesSpec),
        /// The sliced Wasserstein distance between patches, at each level of a Laplacian pyramid (arXiv:1710.10196).
        LaplacianWasserstein(LaplacianWassersteinSpec),
        /// How much there is in each band of a Laplacian pyramid (binomial filter, halved while the sides are even and the half has
        /// 4 pixels): the standard deviation of samples over that of the reference, `bands/deviation/28` for images of that side, and
        /// the ratio of kurtoses, `bands/kurtosis/28`; the smallest side is what is left. Blurred samples lack the fine ones.
        Bands => super::bands::Bands,
        /// The mean multi-scale structural similarity of two samples, and how far it is above that of two real examples.
        MsSsim(MsSsimSpec),
        /// The log-likelihood of held-out examples under a Parzen window over the samples, in nats, by the protocol of 2014.
        ///
        /// A number of those papers and no measure of a model: in many dimensions it follows the window's width, ten thousand
        /// samples are far too few, and copies or cluster centers outrank true samples (arXiv:1511.01844).
        Parzen(ParzenSpec),
        /// The share of reference examples whose class the model names rightly (`accuracy`), the mean of −log p of their
        /// class (`cross-entropy`), and the share of those that it names wrongly (`error`). Of models that name classes.
        Classification => super::classes::Classification,
        /// The share of reference examples whose class the model names rightly in a second domain, of which it saw no label, by that
        /// domain's network (`transfer`) and by the first domain's (`transfer/unadapted`).
        Transfer => super::classes::Transfer,
        /// How far samples of one latent are the same thing in two domains: the mean distance between what a sample of the first
        /// becomes in the second and the second's own (`agreement/distance`), and the share of them in one mode, or, of images,
        /// 1 less the mean difference of their pixels over the range (`agreement`).
        Agreement => super::agreement::Agreement,
        /// The categorical code that the model reads off each reference example, taken as a clustering, against their labels:
        /// `clusters/purity`, where each value of the code stands for its commonest class (1 − the error of InfoGAN's paper),
        /// and `clusters/information`, the mutual information over the mean of the two entropies. Of several codes the one that
        /// says most.
        Clusters => super::codes::Clusters,
        /// The same of samples: the code that each was made from against the class that it is of by the truth of the data, the
        /// embedded shapes or a mixture. A sample of no class is never right.
        CodeClasses(CodeClassesSpec),
        /// For each factor of the embedded shapes the largest absolute rank correlation (Spearman's) of a dimension of the
        /// continuous codes with what is seen of the samples made from it.
        CodeFactors(CodeFactorsSpec),
        /// The mean squared error of what becomes of reference examples, and the peak's ratio to it (PSNR) in decibels.
        Reconstruction => super::reconstruction::Reconstruction,
        /// How many decibels less is wrong with what becomes of noisy reference examples than with the noisy ones, and the mean
        /// squared error that is left. The noise is named here: models that learned with another, or with none, can be asked.
        Denoising(NoiseSpec),
        /// The evidence lower bound of reference examples in nats and in bits a dimension, with E log p(x|z), the divergence, and
        /// the dimensions of the code that are in use. Where the law of the data is known, how far below the truth it is.
        Elbo(ElboSpec),
        /// The log-likelihood of reference examples in nats and in bits a dimension: exact, or bounded by importance sampling
        /// (arXiv:1509.00519), which comes nearer the more draws there are.
        Likelihood(LikelihoodSpec),
        /// The mean log-likelihood that the model gives its own samples, in nats, and by how much that is above the mean over reference
        /// examples (`sample-likelihood/excess`): near 0 where samples are to the model what the data are, below 0 where it makes
        /// what it holds less likely than the data. Of models whose likelihood is exact.
        SampleLikelihood(SampleLikelihoodSpec),
        /// The share of samples that the law of the data can make at all, where its density is known.
        Support => super::likelihood::Support,
        /// How samples change on the way from one latent to another: the largest step over the mean step (`interpolation/jump`, 1
        /// where all are alike, the count of steps where all change at once), and the length of the path over the distance of its
        /// ends (`interpolation/length`). The mean over paths whose ends differ. Paths are spherical for Gaussian latents and
        /// straight for others; labels and codes stay those of the first end.
        Interpolation(InterpolationSpec),
        /// How many reference examples a line through what layers say of them names rightly after a few labels (`linear-probe`), a
        /// line through the examples as they are (`linear-probe/plain`), and the difference (`linear-probe/gain`). Of the
        /// discriminator, or of an encoder; the weights stay as they are (arXiv:1511.06434, section 5).
        LinearProbe(LinearProbeSpec),
    }
}

/// Paths between latents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct InterpolationSpec {
    /// How many.
    pub paths: NonZeroU32,
    /// Steps of each: the more there are, the smaller each is where nothing jumps.
    pub steps: NonZeroU32,
}
impl Default for InterpolationSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { paths: of(100), steps: of(32) }
    }
}
impl InterpolationSpec {
    /// Places on a path, ends included.
    pub fn places(&self) -> usize {
        self.steps.get() as usize + 1
    }
}

/// A line through features. It is a support vector machine with squared losses, one class against all others, over rows less
/// their mean and divided by the root of their mean square.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LinearProbeSpec {
    /// Training examples of each class whose label is told. The time grows with the cube of all of them.
    pub labels_per_class: NonZeroU32,
    /// Draws of other examples, over which the mean is taken.
    pub draws: NonZeroU32,
    /// Which layers are features; maps are pooled to 4×4 by their largest numbers.
    pub layers: LayersKind,
    /// C, how much an example on the wrong side costs; of several the one that does best over five folds of the labeled ones.
    pub strengths: Vec<Positive>,
    /// The most reference examples.
    pub rows: NonZeroU32,
}
impl Default for LinearProbeSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        let strengths = [0.1, 1.0, 10.0, 100.0].map(Positive::of).to_vec();
        Self { labels_per_class: of(10), draws: of(5), layers: LayersKind::default(), strengths, rows: of(2000) }
    }
}

/// Layers of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LayersKind {
    /// What enters each layer with weights but the first, beside each other; of an encoder also its code.
    #[default]
    All,
    /// What enters the last layer of a discriminator, or the code of an encoder.
    Last,
}
impl LayersKind {
    /// For a protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all layers",
            Self::Last => "last layer",
        }
    }
}

/// The evidence lower bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ElboSpec {
    /// Draws of each example's code behind E log p(x|z).
    pub samples: NonZeroU32,
}
impl Default for ElboSpec {
    fn default() -> Self {
        Self { samples: NonZeroU32::MIN }
    }
}

/// The likelihood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LikelihoodSpec {
    /// Draws of each example's code, from few to many, where the model has codes: the bound with the most is `likelihood`,
    /// those with fewer are `likelihood/5`, … Papers take 5000.
    pub samples: Vec<NonZeroU32>,
    /// The most reference examples.
    pub rows: NonZeroU32,
}
impl Default for LikelihoodSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { samples: vec![of(500)], rows: of(1000) }
    }
}

/// The likelihood of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SampleLikelihoodSpec {
    /// The most samples, and the most reference examples.
    pub rows: NonZeroU32,
}
impl Default for SampleLikelihoodSpec {
    fn default() -> Self {
        Self { rows: LikelihoodSpec::default().rows }
    }
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

/// Metrics over features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FeaturesSpec {
    /// What makes features of an example.
    pub extractor: ExtractorSpec,
    /// What is measured over them; all that needs no classes where nothing is said.
    #[serde(default = "FeaturesSpec::every_metric")]
    pub metrics: Vec<FeatureMetricSpec>,
    /// The most examples of each side: the time of all but the Fréchet distance grows with their square.
    #[serde(default = "FeaturesSpec::rows")]
    pub rows: NonZeroU32,
}
impl FeaturesSpec {
    fn every_metric() -> Vec<FeatureMetricSpec> {
        vec![
            FeatureMetricSpec::Frechet,
            FeatureMetricSpec::Kid(KidSpec::default()),
            FeatureMetricSpec::PrecisionRecall(PrecisionRecallSpec::default()),
            FeatureMetricSpec::DensityCoverage(DensityCoverageSpec::default()),
            FeatureMetricSpec::TwoSample,
        ]
    }

    fn rows() -> NonZeroU32 {
        NonZeroU32::new(10_000).expect("10000 is not 0")
    }

    /// All that there is, over what this extractor gives.
    #[cfg(test)]
    pub(super) fn of(extractor: ExtractorSpec) -> Self {
        Self { extractor, metrics: Self::every_metric(), rows: Self::rows() }
    }
}

/// What makes features of an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum ExtractorSpec {
    /// Low-dimensional examples as they are.
    Values,
    /// Images as they are, all values in a row.
    Pixels,
    /// A fixed random convolutional network with 128 features.
    ///
    /// Three convolutions without bias, each followed by max(0, x): 32 kernels of side 4, stride 2, padding 1; 64 of side 4,
    /// stride 2, padding 1; 32 of side 3, stride 1, padding 1. Then each channel's mean over each quarter of the image (upper
    /// left, upper right, lower left, lower right; the middle line of an odd side belongs to the second half). Weights are
    /// N(0, 2 / fan-in) of the stream (seed 0, evaluation, index 0x4000 + layer, step 0), in the order output channel, row,
    /// column, input channel. The protocol holds the start of their BLAKE3 hash.
    RandomConv,
    /// A network in a TorchScript file: a classifier that this program trained and exported, or one of your own. The protocol
    /// holds the start of the file's BLAKE3 hash.
    ///
    /// A module with a method `features` gives features by it and the logits of classes by `forward`. Of any other, `forward`
    /// gives the features, or features and logits as a pair. It is asked for 64 examples at a time, on the CPU.
    Torchscript(TorchscriptSpec),
}

/// A network in a TorchScript file, and what it wants to be fed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TorchscriptSpec {
    /// The file, looked for as the files of `[data]` are.
    pub file: PathBuf,
    /// What the names of values end in, as in `frechet/mnist-classifier`; the file's name without its ending where nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The values that black and white have for the network, where they are not those of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Interval>,
    /// The side to which images are resized, bilinearly and without aliasing, where the network needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<NonZeroU32>,
    /// Repeats a gray image in three channels.
    #[serde(default)]
    pub color: bool,
}

/// The choice of a metric over features: an arm has its name in a TOML and its values, in their order.
macro_rules! feature_metrics {
    (
        $(#[$about:meta])*
        pub enum FeatureMetricSpec { $( $(#[$doc:meta])* $arm:ident $(($settings:ty))? = $tag:literal, $values:expr; )* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub enum FeatureMetricSpec { $( $(#[$doc])* $arm $(($settings))?, )* }

        /// The values of each; the name of the extractor is added to theirs.
        pub(super) const FEATURE_NAMES: &[&[MetricName]] = {
            use super::Direction::{Higher, Lower, Neither, Target};
            &[$( &$values, )*]
        };

        impl FeatureMetricSpec {
            /// The metric's name in a TOML.
            pub(super) fn tag(&self) -> &'static str {
                match self { $( Self::$arm { .. } => $tag, )* }
            }

            /// All the values that it may give.
            pub(super) fn values(&self) -> &'static [MetricName] {
                use super::Direction::{Higher, Lower, Neither, Target};
                match self {
                    $( Self::$arm { .. } => {
                        const VALUES: &[MetricName] = &$values;
                        VALUES
                    } )*
                }
            }
        }
    };
}

feature_metrics! {
    /// A metric over features, whose values are named after it and the extractor.
    pub enum FeatureMetricSpec {
        /// The Fréchet distance between Gaussians of the same means and covariances, squared (arXiv:1706.08500). Only over the
        /// features of the real Inception is it the FID. It is biased upwards: compare at equal counts.
        Frechet = "frechet", [per_part("frechet", Lower, "squared")];
        /// The kernel distance of arXiv:1801.01401: the unbiased squared maximum mean discrepancy with (a·b / d + 1)³, the mean
        /// over random subsets, and their deviation (which is no standard error of the mean). It can be below 0.
        Kid(KidSpec) = "kid", [per_part("kid", Lower, "squared"), per_part("kid-deviation", Neither, "squared")];
        /// Improved precision and recall (arXiv:1904.06991): the share of samples within the real examples' balls, and of real
        /// examples within the samples'. A ball reaches to the k-th neighbor on its own side.
        PrecisionRecall(PrecisionRecallSpec) = "precision-recall", [per_part("precision", Higher, "share"), per_part("recall", Higher, "share")];
        /// Density and coverage (arXiv:2002.09797): how many real balls a sample lies in, over k, and the share of real balls with
        /// a sample. Of equal distributions and counts they are 1 and about 1 − 2⁻ᵏ.
        DensityCoverage(DensityCoverageSpec) = "density-coverage", [per_part("density", Higher, "ratio"), per_part("coverage", Higher, "share")];
        /// How often the nearest other example is of the same side (arXiv:1610.06545): 0.5 where nothing tells the sides apart,
        /// less for copies. The mean of the shares among real examples and among samples, and both.
        TwoSample = "two-sample", [per_part("two-sample", Target(0.5), "share"), per_part("two-sample-real", Target(0.5), "share"), per_part("two-sample-fake", Target(0.5), "share")];
        /// exp of the mean of KL(p(class | sample) ‖ p(class)), the mean over splits and their deviation (arXiv:1606.03498,
        /// appendix A): from 1 to the count of classes. Needs an extractor with classes. Only by the real Inception is it the
        /// Inception Score of the papers; by a classifier of digits it is their MNIST score.
        InceptionScore(InceptionScoreSpec) = "inception-score", [per_part("inception-score", Higher, "classes"), per_part("inception-score-deviation", Neither, "classes")];
        /// The classes that the extractor sees in the samples: the entropy of their shares in nats (`class-entropy`), KL(their
        /// shares ‖ those of the reference) (`class-kl`), and how often a sample is of the class that was asked for
        /// (`class-accuracy`, where labels were). Needs an extractor with classes.
        Classes = "classes", [per_part("class-entropy", Higher, "nats"), per_part("class-kl", Lower, "nats"), per_part("class-accuracy", Higher, "share")];
    }
}

/// Inception Score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct InceptionScoreSpec {
    /// Runs of neighboring samples, each with its own p(class).
    pub splits: NonZeroU32,
}
impl Default for InceptionScoreSpec {
    fn default() -> Self {
        Self { splits: NonZeroU32::new(10).expect("10 is not 0") }
    }
}

/// The kernel distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KidSpec {
    /// Random subsets.
    pub subsets: NonZeroU32,
    /// Examples of each side in a subset, without replacement; all where there are fewer.
    pub size: NonZeroU32,
}
impl Default for KidSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { subsets: of(100), size: of(1000) }
    }
}

/// Precision and recall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PrecisionRecallSpec {
    /// The neighbor that a ball reaches to.
    pub k: NonZeroU32,
}
impl Default for PrecisionRecallSpec {
    fn default() -> Self {
        Self { k: NonZeroU32::new(3).expect("3 is not 0") }
    }
}

/// Density and coverage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DensityCoverageSpec {
    /// The neighbor that a ball reaches to.
    pub k: NonZeroU32,
}
impl Default for DensityCoverageSpec {
    fn default() -> Self {
        Self { k: NonZeroU32::new(5).expect("5 is not 0") }
    }
}

/// Patches of a Laplacian pyramid. The image is halved while its sides are even and half of them is at least 14. The paper
/// takes 16,384 images, 128 patches, 512 directions, and prints a thousand times the number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LaplacianWassersteinSpec {
    /// Patches of 7×7 of each image and level; all where there are fewer.
    pub patches: NonZeroU32,
    /// Random directions of each level.
    pub directions: NonZeroU32,
}
impl Default for LaplacianWassersteinSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { patches: of(32), directions: of(128) }
    }
}

/// Multi-scale structural similarity of pairs, which are of one class where the generator was asked for classes. The
/// window of 11×11 and the weights are those of the paper (Wang, Simoncelli, Bovik 2003); images too small for five scales
/// have the first ones, with weights that sum to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MsSsimSpec {
    /// Random pairs of each side; all pairs where there are no more.
    pub pairs: NonZeroU32,
}
impl Default for MsSsimSpec {
    fn default() -> Self {
        Self { pairs: NonZeroU32::new(500).expect("500 is not 0") }
    }
}

/// The Parzen window. Its width is the one of a geometric row under which training examples are likeliest; values whose
/// range is known are scaled to [0, 1] first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ParzenSpec {
    /// The smallest width tried.
    pub low: Positive,
    /// The largest.
    pub high: Positive,
    /// How many are tried.
    pub widths: NonZeroU32,
    /// The most training examples that the width is chosen by.
    pub choose_by: NonZeroU32,
}
impl Default for ParzenSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { low: Positive::of(0.1), high: Positive::of(1.0), widths: of(10), choose_by: of(1000) }
    }
}

/// Codes and classes of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CodeClassesSpec {
    /// The largest error of the best-fitting shape at which an image counts as a shape.
    pub error: Positive,
    /// The most samples that are looked at.
    pub rows: NonZeroU32,
}
impl Default for CodeClassesSpec {
    fn default() -> Self {
        let ShapesSpec { error, rows, .. } = ShapesSpec::default();
        Self { error, rows }
    }
}

/// Codes and factors of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CodeFactorsSpec {
    /// The factors, in which the images of the set must differ.
    pub factors: Vec<FactorKind>,
    /// Whether the correlation is taken among samples of one class, and its mean over classes: nothing in the objective
    /// keeps a code from going one way in one class and the other way in another.
    pub within_classes: bool,
    /// The largest error of the best-fitting shape at which an image counts as a shape.
    pub error: Positive,
    /// The most samples that are looked at.
    pub rows: NonZeroU32,
}
impl Default for CodeFactorsSpec {
    fn default() -> Self {
        use FactorKind::{Brightness, Radius, Rotation, Thickness, X, Y};
        let ShapesSpec { error, rows, .. } = ShapesSpec::default();
        Self { factors: vec![X, Y, Radius, Rotation, Thickness, Brightness], within_classes: false, error, rows }
    }
}

/// Something that images of the embedded shapes differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FactorKind {
    /// Where the center lies from left to right.
    X,
    /// Where the center lies from top to bottom.
    Y,
    /// The radius of the circle around the shape.
    Radius,
    /// Degrees, clockwise, of the shapes that show them.
    Rotation,
    /// The width of strokes, of the shapes that have some.
    Thickness,
    /// How bright the shape is.
    Brightness,
}
