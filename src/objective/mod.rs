//! Algorithm families: one file each, with its spec and its mathematics.
//!
//! Here is what a family may ask of the loop. The loop owns mechanics (drawing, freezing, stepping, counting, saving);
//! an objective owns mathematics: the turns of a step, and the loss of each.

pub mod gan;
pub mod spec;

pub use gan::Gan;
pub use spec::{AlgorithmSpec, ConditionKind, GanSpec, LatentSpec};

use crate::base::{host, unbound};
use crate::data::Examples;
use crate::nn::{Mode, Noise};
use crate::player::Player;
use crate::rng::{Purpose, Stream};
use tch::{Device, Tensor};

/// A batch for every run of the pack.
#[derive(Debug)]
pub struct Batch {
    /// `[R, B, …]`.
    pub x: Tensor,
    /// Whole numbers `[R, B]`, where the data has labels.
    pub labels: Option<Tensor>,
}

/// How often a turn comes in a step, by the name that `[schedule]` has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// `critic-steps` times.
    Critic,
    /// `generator-steps` times.
    Generator,
}

/// Which real examples a turn sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealDraw {
    /// A new batch each time.
    Fresh,
    /// The batch that the turn before saw last.
    Last,
}

/// One of the updates of a step, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<P> {
    /// What the objective calls it.
    pub phase: P,
    /// The player that learns; all others are frozen.
    pub moves: usize,
    /// How often it comes.
    pub cadence: Cadence,
    /// What it sees of the data.
    pub real: RealDraw,
}

/// What an algorithm family is to the loop.
pub trait Objective {
    /// The family's own names for its updates.
    type Phase: Copy;

    /// The updates of one step, in order.
    fn turns(&self) -> Vec<Turn<Self::Phase>>;

    /// The loss of the player that moves, `[R]`: one number a run of the pack, a mean over the batch.
    fn loss(&mut self, phase: Self::Phase, batch: &Batch, cx: &mut Cx<'_>) -> Tensor;

    /// The scalars that it reports, in the order of the columns of `metrics.csv`.
    fn scalars(&self) -> Vec<&'static str>;

    /// Keeps the runs at these places of the pack and lets the others go.
    fn keep(&mut self, runs: &[usize]);
}

/// A family whose result can be sampled.
pub trait Generate {
    /// `n` samples of every run, each a function of the run's seed, `purpose` and `index` alone. Labels are those asked
    /// for, or go round through the classes.
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples>;

    /// The discriminator's answer at points `[n, …]`, a row a run, with whether it is a probability.
    fn surface(&self, players: &[Player], points: &Tensor) -> (Vec<Vec<f32>>, bool);
}

/// What samples are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The seeds of the runs.
    pub seeds: &'a [u64],
    /// What they are for.
    pub purpose: Purpose,
    /// Which of several uses of one purpose.
    pub index: u32,
    /// How many of each run.
    pub n: usize,
    /// One label for all of them.
    pub label: Option<i64>,
    /// Whether averaged weights are used where there are any.
    pub averaged: bool,
}

/// How a loss asks a network.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Of how many batches the examples are, one after the other.
    pub parts: i64,
    /// Whether the loss contains slopes of the answer by the examples.
    pub slopes: bool,
}

/// What a loss may use.
pub struct Cx<'a> {
    /// The players, in the objective's own order.
    pub players: &'a [Player],
    /// The one that learns.
    pub moves: usize,
    /// The seed of each run.
    pub seeds: &'a [u64],
    /// Which turn of a step it is, for the streams of random numbers: 0 for all where players move at the same time.
    pub turn: u32,
    /// The step (from 0) and the repetition of the turn, as one number.
    pub clock: u64,
    /// Where tensors live.
    pub device: Device,
    /// Whether networks multiply in bfloat16.
    pub bfloat16: bool,
    /// Whether scalars are wanted this time; they cost operations.
    pub recording: bool,
    /// Scalars `[R]` reported so far in this step.
    pub scalars: &'a mut Vec<(&'static str, Tensor)>,
}

impl Cx<'_> {
    /// One stream a run for a purpose, fresh for this turn and repetition.
    pub fn streams(&self, purpose: Purpose) -> Vec<Stream> {
        self.seeds.iter().map(|&seed| Stream::new(seed, purpose, self.turn, self.clock)).collect()
    }

    /// What networks draw from in this turn.
    pub fn noise(&self) -> HostNoise {
        HostNoise { streams: self.streams(Purpose::Noise), device: self.device }
    }

    /// A player's output in training, with gradients where it is the one that learns.
    pub fn forward(
        &self,
        player: usize,
        x: &Tensor,
        labels: Option<&Tensor>,
        noise: &mut HostNoise,
    ) -> crate::nn::Output {
        self.forward_in(Manner { parts: 1, slopes: false }, player, x, labels, noise)
    }

    /// As [`Self::forward`], in a manner of its own.
    pub fn forward_in(
        &self,
        Manner { parts, slopes }: Manner,
        player: usize,
        x: &Tensor,
        labels: Option<&Tensor>,
        noise: &mut HostNoise,
    ) -> crate::nn::Output {
        let mut mode = Mode { train: true, parts, slopes, noise };
        let mut forward = || self.players[player].forward(player == self.moves, x, labels, &mut mode);
        if self.bfloat16 { unbound::in_bfloat16(self.device, forward).float32() } else { forward() }
    }

    /// Reports a scalar `[R]`.
    pub fn record(&mut self, name: &'static str, value: impl FnOnce() -> Tensor) {
        if self.recording {
            self.scalars.push((name, value().detach()));
        }
    }
}

/// Random numbers for networks: drawn on the host, each run from its own stream.
pub struct HostNoise {
    streams: Vec<Stream>,
    device: Device,
}

impl HostNoise {
    /// Numbers drawn by `fill`, `[R, …shape]`.
    fn draw(&mut self, shape: &[i64], fill: impl Fn(&mut Stream, &mut [f32])) -> Tensor {
        let len: i64 = shape.iter().product();
        let mut numbers = vec![0.0; self.streams.len() * len as usize];
        for (row, stream) in numbers.chunks_exact_mut((len as usize).max(1)).zip(&mut self.streams) {
            fill(stream, row);
        }
        let shape: Vec<i64> = std::iter::once(self.streams.len() as i64).chain(shape.iter().copied()).collect();
        host::tensor(&numbers, &shape, self.device)
    }
}

impl Noise for HostNoise {
    fn uniform(&mut self, shape: &[i64]) -> Tensor {
        self.draw(shape, |stream, row| stream.fill_uniform(row, 0.0, 1.0))
    }

    fn normal(&mut self, shape: &[i64]) -> Tensor {
        self.draw(shape, |stream, row| stream.fill_normal(row, 0.0, 1.0))
    }
}
