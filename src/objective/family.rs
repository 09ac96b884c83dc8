//! Which algorithm families there are, and what a family says of itself before there is a tensor: who plays, what
//! surrounds their networks, what it gives, and what its settings contradict.

use super::autoencoder::AutoencoderSpec;
use super::began::BeganSpec;
use super::classical::{KernelDensitySpec, MixtureModelSpec, NaiveBayesSpec};
use super::classifier::ClassifierSpec;
use super::cogan::CoganSpec;
use super::gan::GanSpec;
use super::infogan::InfoGanSpec;
use super::lapgan::LapganSpec;
use super::latent::LatentSpec;
use super::ngram::NgramSpec;
use super::pixelcnn::PixelcnnSpec;
use super::product::Product;
use super::semi_supervised::SemiSupervisedSpec;
use super::sequence::SequenceSpec;
use super::vae::VaeSpec;
use crate::base::Problem;
use crate::data::DataInfo;
use crate::loss::LossSpec;
use crate::nn::plan::{NetworkPlan, ParamPlan, Wiring};
use crate::player::EmaSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The algorithm family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum AlgorithmSpec {
    /// A generator against a discriminator.
    Gan(GanSpec),
    /// A generator against a discriminator, with codes that can be read off what it makes.
    Infogan(InfoGanSpec),
    /// A generator against a discriminator that learns the classes of a few labeled examples.
    SemiSupervised(SemiSupervisedSpec),
    /// A generator and a discriminator for each of two domains, which share layers (arXiv:1606.07536).
    Cogan(CoganSpec),
    /// A pyramid of images: a generator against a discriminator at every level (arXiv:1506.05751).
    Lapgan(LapganSpec),
    /// A generator against an autoencoder, held in balance.
    Began(BeganSpec),
    /// A network that names the class of an example.
    Classifier(ClassifierSpec),
    /// An encoder and a decoder that puts together again what it took apart, of noisy examples too.
    Autoencoder(AutoencoderSpec),
    /// A decoder with a prior over codes, and an encoder that guesses the code (arXiv:1312.6114).
    Vae(VaeSpec),
    /// Each number of an image given those before it (arXiv:1601.06759).
    Pixelcnn(PixelcnnSpec),
    /// Each symbol of a sequence given those before it.
    Sequence(SequenceSpec),
    /// Each symbol of a sequence by what followed the few before it in training.
    Ngram(NgramSpec),
    /// Gaussians, fit by expectation and maximization.
    Mixture(MixtureModelSpec),
    /// A Gaussian without correlations for each class.
    NaiveBayes(NaiveBayesSpec),
    /// A Gaussian at every example.
    KernelDensity(KernelDensitySpec),
}

impl AlgorithmSpec {
    /// What the family says of itself.
    pub fn family(&self) -> &dyn Family {
        match self {
            Self::Gan(spec) => spec,
            Self::Infogan(spec) => spec,
            Self::SemiSupervised(spec) => spec,
            Self::Cogan(spec) => spec,
            Self::Lapgan(spec) => spec,
            Self::Began(spec) => spec,
            Self::Classifier(spec) => spec,
            Self::Autoencoder(spec) => spec,
            Self::Vae(spec) => spec,
            Self::Pixelcnn(spec) => spec,
            Self::Sequence(spec) => spec,
            Self::Ngram(spec) => spec,
            Self::Mixture(spec) => spec,
            Self::NaiveBayes(spec) => spec,
            Self::KernelDensity(spec) => spec,
        }
    }
}

/// The settings of a cell that a family may hold against its own.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// `[loss]`.
    pub loss: Option<&'a LossSpec>,
    /// `schedule.steps`.
    pub steps: u64,
    /// `schedule.batch`.
    pub batch: Option<u32>,
}

/// What a reference batch is made of (virtual batch norm).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReferenceKind<'a> {
    /// Training examples.
    Data,
    /// Draws from this law, with labels that go round.
    Latent(&'a LatentSpec),
}

/// One of the cast of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its own name, in checkpoints and messages.
    pub player: &'static str,
    /// The name that `[architecture]` and `[optimizer]` have for it.
    pub of: &'static str,
}

/// What a family says of itself. Keys in problems are those of the whole file.
pub trait Family {
    /// As in `[algorithm.gan]`.
    fn tag(&self) -> &'static str;

    /// Who plays, by the names in `[architecture]` and `[optimizer]`.
    fn players(&self) -> &'static [&'static str];

    /// The players of the objective, in its order, where some of them are made alike: several may be of one name of
    /// [`Self::players`], whose network and optimizer are then those of each.
    fn cast(&self) -> Vec<Part> {
        self.players().iter().map(|&player| Part { player, of: player }).collect()
    }

    /// What surrounds the network of each of the cast, in the same order.
    ///
    /// # Errors
    /// If the family cannot learn from such data.
    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem>;

    /// Completes a player's wiring by what the networks before it turned out to be.
    ///
    /// # Errors
    /// If they leave no place for it.
    fn attach(&self, _wiring: &mut Wiring, _before: &[&NetworkPlan]) -> Result<(), Problem> {
        Ok(())
    }

    /// Numbers of the objective's own that belong to a run's state: they are kept with the weights of this player, and no
    /// optimizer moves them.
    fn memory(&self, _player: &str, _info: &DataInfo) -> Vec<ParamPlan> {
        vec![]
    }

    /// Completes a player's network once its shapes are known: a twin of it.
    ///
    /// # Errors
    /// If its layers leave no place for that.
    fn complete(&self, _player: &str, _plan: &mut NetworkPlan) -> Result<(), Problem> {
        Ok(())
    }

    /// What a player's reference batch is made of, where it may have one.
    fn reference(&self, _player: &str) -> Option<ReferenceKind<'_>> {
        None
    }

    /// Whether its players are fit by the family itself: they have memory alone, no networks and no optimizers.
    fn is_fit(&self) -> bool {
        false
    }

    /// What a trained model gives.
    fn products(&self) -> &'static [Product];

    /// Whether it is a game of two: `[schedule]` says who moves how often and in which order.
    fn is_game(&self) -> bool {
        false
    }

    /// The players that judge examples in the game of `[loss]`, by the names in `[architecture]`: `loss.weight-clip` bounds
    /// their weights. None where `[loss]` says nothing to the family.
    fn critics(&self) -> &'static [&'static str] {
        &[]
    }

    /// The players whose weights are averaged, by the names in `[architecture]`, and how.
    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        None
    }

    /// The player that `gantlet export` writes where none is named, and `gantlet sample` asks: the first.
    fn exported(&self) -> &'static str {
        self.players()[0]
    }

    /// What a user of this player's network must know of its input and output.
    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)>;

    /// What its settings contradict.
    fn check(&self, _around: Surroundings<'_>) -> Vec<Problem> {
        vec![]
    }

    /// What its networks contradict, one of each player in order.
    fn check_networks(&self, _networks: &[&NetworkPlan], _info: &DataInfo, _around: Surroundings<'_>) -> Vec<Problem> {
        vec![]
    }
}

/// What is wrong with the number of training examples that a family is fit to.
pub(super) fn check_examples(
    tag: &str,
    examples: Option<NonZeroU32>,
    info: &DataInfo,
    around: Surroundings<'_>,
) -> Option<Problem> {
    let Some(examples) = examples else {
        let message = format!("`{tag}` needs `examples`, the number of training examples that it is fit to");
        let help = match around.batch {
            Some(batch) => format!("write `examples = {batch}` here: `schedule.batch` has no effect on `{tag}`"),
            None => "write it here, as in `examples = 1000`".to_owned(),
        };
        return Some(Problem::at(format!("algorithm.{tag}"), message).with_help(help));
    };
    let len = info.len.filter(|len| *len < u64::from(examples.get()))?;
    let message = format!("`{tag}` is fit to the first {examples} training examples, and the data has {len}");
    let help = format!("write `examples = {len}` for all of them");
    Some(Problem::at(format!("algorithm.{tag}.examples"), message).with_help(help))
}

/// What is wrong with averaged weights, at `path`.
pub(super) fn check_average(path: &str, ema: Option<&EmaSpec>, steps: u64) -> Option<Problem> {
    let ema = ema.filter(|ema| ema.start >= steps)?;
    let message = format!("averaging starts at step {}, and there are {steps}", ema.start);
    Some(Problem::at(format!("{path}.start"), message).with_help("start earlier, or take `ema` out"))
}

/// What a user of a network from data to `output` must know.
pub(super) fn about_critic(info: &DataInfo, output: &[usize]) -> Vec<(&'static str, String)> {
    let mut facts = vec![("input", floats(&info.shape)), ("output", floats(output))];
    facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
    facts
}

/// `float32 [n, 1, 28, 28]`, for examples of this shape.
pub(super) fn floats(shape: &[usize]) -> String {
    let sides: String = shape.iter().map(|n| format!(", {n}")).collect();
    format!("float32 [n{sides}]")
}
