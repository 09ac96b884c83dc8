//! What a TOML says of optimizers, learning-rate schedules and averaged weights.

use crate::base::{Each, NonNegative, Positive, Probability, a_player_each, bare_number, or_number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

a_player_each! {
    /// The optimizers of an experiment, one a player.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub struct OptimizersSpec {}
    /// The optimizers that are there, by their players.
    pub fn optimizers() -> Each<OptimizerSpec>;
}

/// How a player's parameters move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum OptimizerSpec {
    /// Adam (arXiv:1412.6980); `weight-decay` is added to the gradient.
    Adam(AdamSpec),
    /// Adam with decoupled weight decay (arXiv:1711.05101).
    Adamw(AdamSpec),
    /// RMSprop as PyTorch has it: no centring, no momentum, ε outside the root.
    Rmsprop(RmspropSpec),
    /// SGD with classical momentum: v ← m·v + g, θ ← θ − lr·v.
    Sgd(SgdSpec),
}

impl OptimizerSpec {
    /// One that moves nothing, for players that are fit without gradients.
    pub fn still() -> Self {
        let momentum = MomentumSpec::None;
        let (lr, weight_decay) = (NonNegative::of(0.0), NonNegative::of(0.0));
        Self::Sgd(SgdSpec { lr, momentum, weight_decay, schedule: LrSchedule::default(), warm_up: 0, clip_norm: None })
    }
}

/// Adam and AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdamSpec {
    /// The learning rate at the first step.
    #[serde(default = "AdamSpec::lr")]
    pub lr: NonNegative,
    /// Decay of the means of gradients and of squared gradients.
    #[serde(default = "AdamSpec::betas")]
    pub betas: [Probability; 2],
    /// Added to the root.
    #[serde(default = "eps")]
    pub eps: Positive,
    /// L2 weight decay.
    #[serde(default)]
    pub weight_decay: NonNegative,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: LrSchedule,
    /// Steps over which the learning rate rises from 0 in a straight line.
    #[serde(default)]
    pub warm_up: u64,
    /// The largest norm of the player's whole gradient; longer ones are scaled down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<Positive>,
}
impl AdamSpec {
    fn lr() -> NonNegative {
        NonNegative::of(1e-3)
    }
    fn betas() -> [Probability; 2] {
        [Probability::of(0.9), Probability::of(0.999)]
    }
}
fn eps() -> Positive {
    Positive::of(1e-8)
}

/// RMSprop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RmspropSpec {
    /// The learning rate at the first step.
    #[serde(default = "RmspropSpec::lr")]
    pub lr: NonNegative,
    /// Decay of the mean of squared gradients.
    #[serde(default = "RmspropSpec::alpha")]
    pub alpha: Probability,
    /// Added to the root.
    #[serde(default = "eps")]
    pub eps: Positive,
    /// L2 weight decay.
    #[serde(default)]
    pub weight_decay: NonNegative,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: LrSchedule,
    /// Steps over which the learning rate rises from 0 in a straight line.
    #[serde(default)]
    pub warm_up: u64,
    /// The largest norm of the player's whole gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<Positive>,
}
impl RmspropSpec {
    fn lr() -> NonNegative {
        NonNegative::of(5e-5)
    }
    fn alpha() -> Probability {
        Probability::of(0.99)
    }
}

/// SGD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SgdSpec {
    /// The learning rate at the first step.
    pub lr: NonNegative,
    /// None, `{ constant = 0.5 }`, or `{ ramp = { from, to, steps } }`.
    #[serde(default)]
    pub momentum: MomentumSpec,
    /// L2 weight decay.
    #[serde(default)]
    pub weight_decay: NonNegative,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: LrSchedule,
    /// Steps over which the learning rate rises from 0 in a straight line.
    #[serde(default)]
    pub warm_up: u64,
    /// The largest norm of the player's whole gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<Positive>,
}

/// Momentum that rises in a straight line and stays; constant where `from` and `to` are equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum MomentumSpec {
    /// No momentum.
    #[default]
    None,
    /// The same at every step.
    Constant(MomentumValue),
    /// From one value to another over so many steps.
    Ramp(RampSpec),
}
/// A momentum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "MomentumValue", transform = or_number)]
pub struct MomentumValue {
    /// m.
    pub value: Probability,
}
bare_number!(MomentumValue, value, "a momentum from 0 to 1, or a table with `value`");

/// A ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RampSpec {
    /// At step 0.
    pub from: Probability,
    /// At the end, and after it.
    pub to: Probability,
    /// The ramp's length.
    pub steps: u64,
}

/// How a learning rate changes over the steps of a run; every arm multiplies the first learning rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum LrSchedule {
    /// The same at every step.
    #[default]
    Constant,
    /// In a straight line from step `from` to the last step, down to `to` times the first rate.
    Linear(LinearDecay),
    /// factor^step, never below `floor` as a learning rate.
    Exponential(ExponentialDecay),
    /// Times `factor` each `every` steps.
    Step(StepDecay),
    /// Half a cosine over all steps, down to `to` times the first rate.
    Cosine(CosineDecay),
}
/// Linear decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinearDecay {
    /// The share of all steps after which the decay starts; 0 by default.
    #[serde(default = "zero")]
    pub after: Probability,
    /// What the rate ends at, as a share of the first; 0 by default.
    #[serde(default = "zero")]
    pub to: Probability,
}
fn zero() -> Probability {
    Probability::of(0.0)
}
/// Exponential decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExponentialDecay {
    /// What each step multiplies by.
    pub factor: Probability,
    /// The smallest learning rate.
    #[serde(default)]
    pub floor: NonNegative,
}
/// Decay by steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StepDecay {
    /// Steps between two drops.
    pub every: u64,
    /// What each drop multiplies by.
    pub factor: Probability,
    /// The smallest learning rate.
    #[serde(default)]
    pub floor: NonNegative,
}
/// Cosine decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CosineDecay {
    /// What the rate ends at, as a share of the first; 0 by default.
    #[serde(default = "zero")]
    pub to: Probability,
}

/// Averaged weights: θ̄ ← decay·θ̄ + (1 − decay)·θ after each update; before `start`, θ̄ is θ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EmaSpec {
    /// How much of the average stays.
    pub decay: Each<Probability>,
    /// The step at which averaging starts.
    #[serde(default)]
    pub start: u64,
}

impl EmaSpec {
    /// The weight of the parameters in the average after step `step`.
    pub(super) fn rest(&self, step: u64) -> f32 {
        if step < self.start { 1.0 } else { (1.0 - self.decay.own().get()) as f32 }
    }
}
