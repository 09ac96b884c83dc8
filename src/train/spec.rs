//! What a TOML says of the loop.

use crate::base::{bare_number, or_integer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long, how much at once, and who moves how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScheduleSpec {
    /// Steps; in each the generator moves `generator-steps` times.
    pub steps: u64,
    /// Examples per batch. Models that are fit without gradients have no batches: their `examples` is in `[algorithm]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Updates of the discriminator a step: a number, or a table with more of them at the start.
    #[serde(default = "CriticSteps::once")]
    pub critic_steps: CriticSteps,
    /// Updates of the generator a step.
    #[serde(default = "ScheduleSpec::once")]
    pub generator_steps: u32,
    /// Whether the players move one after the other, or both from the same point.
    #[serde(default)]
    pub order: OrderKind,
}
impl ScheduleSpec {
    /// Examples per batch.
    ///
    /// # Panics
    /// For a family that has no batches; `check` requires them of every other.
    pub fn examples_per_batch(&self) -> usize {
        self.batch.expect("`check` requires a batch of every family that learns by gradients") as usize
    }

    fn once() -> u32 {
        1
    }
}

/// Updates of the discriminator a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "CriticSteps", transform = or_integer)]
pub struct CriticSteps {
    /// In most steps.
    pub each: u32,
    /// In the first `first` steps, and each `every`-th: `many` updates (25, 500 and 100 in WGAN's code).
    #[serde(default)]
    pub first: u64,
    /// See `first`; 0 is never.
    #[serde(default)]
    pub every: u64,
    /// See `first`.
    #[serde(default)]
    pub many: u32,
}
bare_number!(CriticSteps, each, "a count of updates, or a table with `each`");

impl CriticSteps {
    /// One each time.
    pub fn once() -> Self {
        Self { each: 1, first: 0, every: 0, many: 0 }
    }

    /// How many there are in a step (counted from 0).
    pub fn at(&self, step: u64) -> u32 {
        if self.many > 0 && (step < self.first || (self.every > 0 && step.is_multiple_of(self.every))) {
            self.many
        } else {
            self.each
        }
    }
}

/// How numbers are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunSpec {
    /// In what the networks multiply while they train. Weights, losses, norms, updates and evaluation are float32.
    #[serde(default)]
    pub precision: Precision,
}

/// What products and convolutions are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 23 bits of fraction.
    #[default]
    Float32,
    /// 10 bits, on NVIDIA GPUs; float32 on the CPU.
    Tf32,
    /// 7 bits, sums in float32. GRU and LSTM layers stay float32, and so do, on the CPU, layers that this program computes
    /// itself (small, or of few channels).
    Bfloat16,
}

/// Who moves when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// The discriminator, then the generator against the new discriminator.
    #[default]
    Alternating,
    /// Both from the same point and the same draws (the 2014 code).
    Simultaneous,
}
