//! What a TOML says of evaluation.

pub use super::classes::InceptionScoreSpec;
pub use super::codes::{CodeClassesSpec, CodeFactorsSpec, FactorKind};
pub use super::extractor::{ExtractorSpec, TorchscriptSpec};
pub use super::images::ShapesSpec;
pub use super::interpolation::InterpolationSpec;
pub use super::kid::KidSpec;
pub use super::likelihood::{ElboSpec, LikelihoodSpec, SampleLikelihoodSpec};
pub use super::modes::ModesSpec;
pub use super::neighbors::{DensityCoverageSpec, PrecisionRecallSpec};
pub use super::pairs::{DiversitySpec, MmdSpec, NearestSpec};
pub use super::parzen::ParzenSpec;
pub use super::patches::LaplacianWassersteinSpec;
pub use super::probe::{LayersKind, LinearProbeSpec};
pub use super::slices::SlicedWassersteinSpec;
pub use super::ssim::MsSsimSpec;
use super::{Asked, Metric, MetricName, ask, per_part};
use crate::data::DataInfo;
use crate::objective::autoencoder::NoiseSpec;
use crate::objective::product::Provided;
use crate::objective::{Model, Product};
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

/// Metrics over features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FeaturesSpec {
    /// What makes features of an example.
    pub extractor: ExtractorSpec,
    /// What is measured over them; all that needs no classes by default.
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
