//! One cell of an experiment, every default written out.

use super::start::StartSpec;
use crate::base::Probability;
use crate::data::DataSpec;
use crate::eval::EvalSpec;
use crate::loss::LossSpec;
use crate::nn::ArchitectureSpec;
use crate::objective::AlgorithmSpec;
use crate::objective::family::Surroundings;
use crate::player::OptimizersSpec;
use crate::record::OutputSpec;
use crate::train::{RunSpec, ScheduleSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The keys of a cell that say something of it and change no result.
pub const REMARKS: [&str; 4] = ["name", "paper", "about", "data-folders"];

/// One cell of the grid with one seed: what a run directory's `config.toml` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Experiment {
    /// The experiment's name; its runs lie in a folder of that name.
    pub name: String,
    /// Where the idea comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<String>,
    /// What it shows, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The seed that everything random follows from.
    #[serde(default)]
    pub seed: u64,
    /// Where the files of `[data]` are looked for, after the folder of this file: a run's `config.toml` names the folders
    /// that its experiment had, so that it finds them from anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_folders: Vec<PathBuf>,
    /// Where examples come from.
    pub data: DataSpec,
    /// Who plays.
    pub algorithm: AlgorithmSpec,
    /// The networks.
    #[serde(default)]
    pub architecture: ArchitectureSpec,
    /// Which players begin with what a player of another experiment has learned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub start: BTreeMap<String, StartSpec>,
    /// What the players of a game minimize; families without a game have theirs in `algorithm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossSpec>,
    /// How they move.
    #[serde(default)]
    pub optimizer: OptimizersSpec,
    /// How long, and who moves how often.
    pub schedule: ScheduleSpec,
    /// How numbers are computed, where not in float32 throughout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunSpec>,
    /// What a run leaves.
    #[serde(default)]
    pub output: OutputSpec,
    /// What is measured.
    #[serde(default)]
    pub eval: EvalSpec,
}

impl Experiment {
    /// The runs that its players begin with.
    pub fn origins(&self) -> impl Iterator<Item = Self> {
        self.start.values().filter_map(|start| start.origin(self.seed))
    }

    /// What a family may hold against its own settings.
    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { loss: self.loss.as_ref(), steps: self.schedule.steps, batch: self.schedule.batch }
    }
}

/// What an experiment expects of its results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Claim {
    /// The statement in one sentence.
    pub says: String,
    /// The metric that it is about, as `eval.csv` names it, or a scalar of `metrics.csv`.
    pub metric: String,
    /// Which cells: dotted keys with the value each must have; all cells where empty.
    #[serde(default, rename = "where")]
    pub select: BTreeMap<String, serde_json::Value>,
    /// Which number of a run: its last one or its best one.
    #[serde(default)]
    pub at: ClaimAt,
    /// Over seeds: the mean, or every one, or a share of them.
    #[serde(default)]
    pub over: ClaimOver,
    /// Holds where the number is at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Holds where the number is at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Holds where the number is better than that of another selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better_than: Option<BetterThan>,
    /// Holds where the number rises with this axis of the grid or setting, by its rank correlation within each seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rises_with: Option<String>,
    /// Holds where the number falls with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls_with: Option<String>,
    /// The paper's own number, shown beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<f64>,
}
/// Another selection of cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BetterThan {
    /// Which cells.
    #[serde(rename = "where")]
    pub select: BTreeMap<String, serde_json::Value>,
    /// The smallest factor between the two, at least 1.
    #[serde(default = "BetterThan::by")]
    pub by: f64,
}
impl BetterThan {
    fn by() -> f64 {
        1.0
    }
}
/// Which number of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimAt {
    /// The last.
    #[default]
    Last,
    /// The best by the metric's direction.
    Best,
}
/// How seeds are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum ClaimOver {
    /// The mean, with its 95 % Student interval: holds where the whole interval does, fails where none of it does.
    #[default]
    Mean,
    /// Every seed.
    Every,
    /// At least this share of the seeds.
    Share(ShareSpec),
}
/// A share of the seeds, a bare number: `over = { share = 0.8 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Probability", into = "Probability")]
pub struct ShareSpec {
    /// From 0 to 1.
    pub share: f64,
}
impl From<Probability> for ShareSpec {
    fn from(share: Probability) -> Self {
        Self { share: share.get() }
    }
}
impl From<ShareSpec> for Probability {
    fn from(spec: ShareSpec) -> Self {
        Self::of(spec.share)
    }
}
impl JsonSchema for ShareSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Probability>()
    }
}
