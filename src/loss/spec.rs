//! What a TOML says of the losses: games, penalties and what is added to them.

use crate::base::{Each, NonNegative, Positive, Probability, bare_number, or_number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the two players minimize.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LossSpec {
    /// The game.
    pub adversarial: AdversarialSpec,
    /// Added to the discriminator's loss.
    #[serde(default)]
    pub penalties: Vec<PenaltySpec>,
    /// Keeps every parameter of the discriminator within ± this after each of its updates (arXiv:1701.07875).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_clip: Option<Each<Positive>>,
    /// Random changes of images, real and fake, before the discriminator sees them, in this order, in the turns of both
    /// players (arXiv:2006.10738); with all five it learns from few images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub augment: Vec<AugmentKind>,
    /// The target for real examples in place of 1, for `vanilla` and `non-saturating` (arXiv:1606.03498, section 3.4).
    #[serde(default = "LossSpec::label_smoothing")]
    pub label_smoothing: Each<Probability>,
    /// Adds to the generator's loss the distance of mean features, ‖E f(x) − E f(G(z))‖² (arXiv:1606.03498, section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_matching: Option<Each<WeightSpec>>,
    /// Adds to each player's loss ‖θ − mean of its past θ‖² (arXiv:1606.03498, section 3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub historical_averaging: Option<Each<WeightSpec>>,
    /// Weights of the classification losses where `algorithm.gan.condition` is `auxiliary-classifier`.
    #[serde(default)]
    pub auxiliary: Each<AuxiliarySpec>,
}
impl LossSpec {
    fn label_smoothing() -> Each<Probability> {
        Each::new(Probability::of(1.0))
    }
}

/// A random change of an image, drawn anew for each; ranges are those of the code of arXiv:2006.10738, for pixels from −1
/// to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentKind {
    /// Adds U(−½, ½) to all of it.
    Brightness,
    /// Scales a pixel's channels about their mean by U(0, 2); leaves gray images as they are.
    Saturation,
    /// Scales all of it about its mean by U(½, 1½).
    Contrast,
    /// Moves it by up to an eighth of each side; 0 comes in from outside.
    Translation,
    /// Sets a square of half the side around any place to 0.
    Cutout,
}

/// The game. The formulas are those of each arm, with sp the softplus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum AdversarialSpec {
    /// Minimax: D sp(−a) + sp(b), G −sp(b) (arXiv:1406.2661, eq. 1).
    Vanilla,
    /// D sp(−a) + sp(b), G sp(−b) (arXiv:1406.2661, section 3).
    NonSaturating,
    /// D ½(a − real)² + ½(b − fake)², G ½(b − target)² (arXiv:1611.04076).
    LeastSquares(LeastSquaresSpec),
    /// D relu(1 − a) + relu(1 + b), G −b (arXiv:1705.02894).
    Hinge,
    /// D b − a, G −b (arXiv:1701.07875).
    Wasserstein,
    /// D sp(−(a − b)), G sp(−(b − a)), paired by row (arXiv:1807.00734).
    RelativisticPair,
    /// D ½[sp(−(a − b̄)) + sp(b − ā)], G ½[sp(a − b̄) + sp(−(b − ā))] (arXiv:1807.00734).
    RelativisticAverage,
}

/// The targets of least squares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeastSquaresSpec {
    /// b of the paper: the discriminator's target for real examples.
    #[serde(default = "LeastSquaresSpec::one")]
    pub real: f64,
    /// a of the paper: its target for fakes.
    #[serde(default)]
    pub fake: f64,
    /// c of the paper: the generator's target.
    #[serde(default = "LeastSquaresSpec::one")]
    pub target: f64,
}
impl LeastSquaresSpec {
    fn one() -> f64 {
        1.0
    }
}

/// Something added to the discriminator's loss that looks at its gradient with respect to its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum PenaltySpec {
    /// weight·E(‖∇d(x̂)‖ − 1)² on lines between real and fake (arXiv:1704.00028, eq. 3).
    GradientPenalty(GradientPenaltySpec),
    /// (weight/2)·E‖∇d(x)‖² on real examples (arXiv:1801.04406, eq. 9).
    R1(Each<WeightSpec>),
    /// (weight/2)·E‖∇d(G(z))‖² on fakes (arXiv:1801.04406, eq. 10).
    R2(Each<WeightSpec>),
    /// weight·E(‖∇d(x + δ)‖ − 1)² around real examples (arXiv:1705.07215).
    Dragan(DraganSpec),
}
impl PenaltySpec {
    /// The factor on the term.
    pub fn weight(&self) -> f64 {
        match self {
            Self::GradientPenalty(s) => *s.weight.own(),
            Self::R1(s) | Self::R2(s) => s.own().weight,
            Self::Dragan(s) => *s.weight.own(),
        }
        .get()
    }
}

/// A gradient penalty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GradientPenaltySpec {
    /// λ; 10 in the paper, 0.1 in its code for the 2-D toys.
    #[serde(default = "GradientPenaltySpec::weight")]
    pub weight: Each<NonNegative>,
    /// Whether only slopes above 1 are punished.
    #[serde(default)]
    pub one_sided: bool,
}
impl GradientPenaltySpec {
    fn weight() -> Each<NonNegative> {
        Each::new(NonNegative::of(10.0))
    }
}
/// A weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "WeightSpec", transform = or_number)]
pub struct WeightSpec {
    /// The factor on the term.
    pub weight: NonNegative,
}
bare_number!(WeightSpec, weight, "a weight of 0 or more, or a table with `weight`");

/// DRAGAN's penalty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DraganSpec {
    /// λ.
    #[serde(default = "GradientPenaltySpec::weight")]
    pub weight: Each<NonNegative>,
    /// c: δ = α·c·std(batch)·U(0, 1) a number, α ~ U(0, 1) an example.
    #[serde(default = "DraganSpec::c")]
    pub c: NonNegative,
}
impl DraganSpec {
    fn c() -> NonNegative {
        NonNegative::of(0.5)
    }
}

/// Weights of AC-GAN's cross-entropies (arXiv:1610.09585).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuxiliarySpec {
    /// In the discriminator's loss, over real examples.
    #[serde(default = "AuxiliarySpec::one")]
    pub real: NonNegative,
    /// In the discriminator's loss, over fakes (the original has 1, WGAN-GP 0).
    #[serde(default = "AuxiliarySpec::one")]
    pub fake: NonNegative,
    /// In the generator's loss (the original has 1, WGAN-GP 0.1).
    #[serde(default = "AuxiliarySpec::one")]
    pub generator: NonNegative,
}
impl AuxiliarySpec {
    fn one() -> NonNegative {
        NonNegative::of(1.0)
    }
}
impl Default for AuxiliarySpec {
    /// The original's.
    fn default() -> Self {
        Self { real: Self::one(), fake: Self::one(), generator: Self::one() }
    }
}
