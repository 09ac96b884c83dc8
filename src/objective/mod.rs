//! Algorithm families: one file each, with its spec, what it says of itself ([`family::Family`]) and its mathematics.
//!
//! Here is what a family may ask of the loop. The loop owns mechanics (drawing, freezing, stepping, counting, saving);
//! an objective owns mathematics: the turns of a step, and the loss of each.

pub mod autoencoder;
pub mod began;
pub mod classical;
pub mod classifier;
pub mod cogan;
pub mod family;
pub mod gan;
pub mod infogan;
pub mod lapgan;
pub mod latent;
pub mod likelihood; // what decoders say of data
pub mod ngram;
pub mod model;
pub mod pixelcnn;
pub mod product;
pub mod semi_supervised;
pub mod sequence;
pub mod vae;

pub use autoencoder::Autoencoder;
pub use began::Began;
pub use classical::Classical;
pub use classifier::Classifier;
pub use cogan::Cogan;
pub use family::{AlgorithmSpec, Family};
pub use gan::Gan;
pub use infogan::InfoGan;
pub use lapgan::Lapgan;
pub use model::Model;
pub use ngram::Ngram;
pub use pixelcnn::Pixelcnn;
pub use product::{
    Bound, Classify, ClassifySecond, Codes, Couple, Decode, Encode, Evidence, Examine, Generate, Latents, Likelihoods,
    Nats, Pairs, Product, Provides, Reconstruct, decoded, provided,
};
pub use semi_supervised::SemiSupervised;
pub use sequence::Sequence;
pub use vae::Vae;

use crate::base::{Array, host, unbound};
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
    /// Once.
    Once,
}

/// Which real examples a turn sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealDraw {
    /// A new batch each time.
    Fresh,
    /// The batch that the turn before saw last.
    Last,
    /// None: the objective has examples of its own.
    Nothing,
}

/// One of the updates of a step, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The players that learn by gradients of the loss; all others are frozen.
    pub moves: &'static [usize],
    /// How often it comes.
    pub cadence: Cadence,
    /// What it sees of the data.
    pub real: RealDraw,
}

/// What an algorithm family is to the loop.
pub trait Objective {
    /// The updates of one step, in order.
    fn turns(&self) -> &'static [Turn];

    /// The loss of who moves in this turn, by its place in [`Self::turns`], `[R]`: one number a run of the pack, a mean
    /// over the batch.
    fn loss(&mut self, turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor;

    /// The scalars that it reports, in the order of the columns of `metrics.csv`.
    fn scalars(&self) -> Vec<&'static str>;

    /// What it provides once it is trained, with all that [`Family::products`] lists and nothing else.
    fn provides(&self) -> Provides<'_>;

    /// Why a run cannot go on, in place of a loss that is no number.
    fn complaint(&self, _run: usize) -> Option<String> {
        None
    }

    /// What each run's learning rates are multiplied by, where the objective has a say in them.
    fn rates(&self) -> Option<&[f64]> {
        None
    }

    /// A number at each of these points `[n, …]`, a row a run, with whether it is a probability: what pictures of points
    /// are drawn over.
    fn surface(&self, _players: &[Player], _points: &Tensor) -> Option<(Vec<Vec<f32>>, bool)> {
        None
    }

    /// Pictures beyond samples.
    fn panels(&self, _players: &[Player], _ask: &PanelRequest<'_>) -> Vec<Panel> {
        vec![]
    }
}

/// What further pictures are asked for.
#[derive(Clone, Copy, Debug)]
pub struct PanelRequest<'a> {
    /// The seeds of the runs.
    pub seeds: &'a [u64],
    /// Examples that training does not see, where there are such, of each run.
    pub real: &'a [&'a Examples],
    /// How many examples a picture holds at most, unless it has an order of its own.
    pub n: usize,
    /// Whether averaged weights are used where there are any.
    pub averaged: bool,
}

impl<'a> PanelRequest<'a> {
    /// The samples that previews are made of, so many.
    fn samples(&self, n: usize) -> Request<'a> {
        let (seeds, averaged) = (self.seeds, self.averaged);
        Request { seeds, purpose: Purpose::Preview, index: 0, n, label: None, averaged }
    }
}

/// A picture of every run: examples side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// What it shows, which names its folder.
    pub name: &'static str,
    /// What each run shows; nothing where there are no examples.
    pub runs: Vec<Array>,
    /// Examples a row; as `output` says by default.
    pub per_row: Option<usize>,
    /// The points that each run's are shown over, where these are not the data.
    pub over: Option<Vec<Array>>,
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

impl Request<'_> {
    /// One stream a run for a purpose.
    fn streams(&self, purpose: Purpose) -> Vec<Stream> {
        self.seeds.iter().map(|&seed| Stream::new(seed, purpose, self.index, 0)).collect()
    }
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
    /// Those that learn.
    pub moves: &'static [usize],
    /// The seed of each run.
    pub seeds: &'a [u64],
    /// Which turn of a step it is, for the streams of random numbers: 0 for all where players move at the same time.
    pub turn: u32,
    /// The step (from 0) and the repetition of the turn, as one number.
    pub clock: u64,
    /// Where tensors live.
    pub device: Device,
    /// Whether networks that have a twin are asked for what it says.
    pub twin: bool,
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
        let mut mode = Mode { train: true, parts, slopes, twin: self.twin, noise };
        let mut forward = || self.players[player].forward(self.moves.contains(&player), x, labels, &mut mode);
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

/// One number a run, `[R]`.
fn column(numbers: impl Iterator<Item = f64>, device: Device) -> Tensor {
    Tensor::from_slice(&numbers.map(|v| v as f32).collect::<Vec<_>>()).to_device(device)
}

/// Numbers that a network handles at once where it is asked about many examples, over all runs of the pack: memory stays
/// bounded.
const PIECE: usize = 1 << 24;

/// How many examples of so many numbers are asked about at once. It does not depend on the pack, so that neither do the
/// bits.
fn piece(row: usize) -> usize {
    (PIECE / row.max(1) / 64).clamp(16, 1000)
}

/// One answer per run about its own examples. Runs over the same examples are asked together: `answer` gets the first of these
/// runs with its examples, and answers for every run of the pack.
pub fn of_each<T>(real: &[&Examples], answer: impl Fn(usize, &Examples) -> Vec<T>) -> Vec<T> {
    let mut last: Option<(&Examples, Vec<Option<T>>)> = None;
    let mut out = Vec::with_capacity(real.len());
    for (run, &real) in real.iter().enumerate() {
        if last.as_ref().is_none_or(|(known, _)| !std::ptr::eq(*known, real)) {
            last = Some((real, answer(run, real).into_iter().map(Some).collect()));
        }
        out.extend(last.as_mut().and_then(|(_, answers)| answers[run].take()));
    }
    out
}

/// What is answered about the same examples in every run, `[n, …]` for each. `answer` gets some of the examples,
/// `[R, some, …]`, and the place of the first of them, and gives `[R, some, …]`.
fn pieces(runs: usize, x: &Array, device: Device, mut answer: impl FnMut(&Tensor, usize) -> Tensor) -> Vec<Array> {
    let _guard = tch::no_grad_guard();
    let (n, row) = (x.rows(), x.row_len());
    let (mut out, mut shape) = (vec![Vec::new(); runs], vec![]);
    for start in (0..n).step_by(piece(row)) {
        let len = piece(row).min(n - start);
        let mut every: Vec<i64> = [1, len].iter().chain(&x.shape[1..]).map(|&d| d as i64).collect();
        let some = host::tensor(&x.data[start * row..(start + len) * row], &every, device);
        every[0] = runs as i64;
        let answer = answer(&some.expand(&every[..], false).contiguous(), start);
        shape = answer.size()[2..].iter().map(|&d| d as usize).collect();
        let answer = host::numbers(&answer);
        for (out, answer) in out.iter_mut().zip(answer.chunks_exact((answer.len() / runs).max(1))) {
            out.extend_from_slice(answer);
        }
    }
    let shape = [&[n], &shape[..]].concat();
    out.into_iter().map(|data| Array::new(shape.clone(), data)).collect()
}

/// What networks say of the same examples in every run, as in evaluation: `[n, …]` for each, where `answer` takes and gives
/// `[R, B, …]`.
fn asked(runs: usize, x: &Array, device: Device, answer: impl Fn(&Tensor, &mut Mode<'_>) -> Tensor) -> Vec<Array> {
    let mut noise = HostNoise { streams: vec![], device };
    pieces(runs, x, device, |x, _| answer(x, &mut Mode::evaluation(&mut noise)))
}

/// A player's answer to the same examples in every run, as in evaluation: `[n, …]` for each.
fn ask(player: &Player, averaged: bool, x: &Array, device: Device) -> Vec<Array> {
    asked(player.runs(), x, device, |x, mode| player.forward_averaged(averaged, x, None, mode).out)
}

/// The side to which maps are pooled where they become features (arXiv:1511.06434, section 5.1).
const POOLED: i64 = 4;

/// What layers say of examples, a row each, for every run: of all hidden layers and an encoder's code, or of the last of them
/// alone. Maps are pooled to 4×4 by their largest numbers. Nothing where a layer looks at labels.
fn features(player: &Player, x: &Array, every: bool, device: Device) -> Vec<Option<Array>> {
    let _guard = tch::no_grad_guard();
    let (n, row) = (x.rows(), x.row_len());
    let mut noise = HostNoise { streams: vec![], device };
    let mut of_run = |run: usize| {
        let mut out: Vec<f32> = Vec::new();
        for start in (0..n).step_by(piece(row)) {
            let len = piece(row).min(n - start);
            let shape: Vec<i64> = [1, len].iter().chain(&x.shape[1..]).map(|&d| d as i64).collect();
            let some = host::tensor(&x.data[start * row..(start + len) * row], &shape, device);
            let mode = &mut Mode::evaluation(&mut noise);
            let mut layers = player.layers(run, &some, mode)?;
            if !every {
                layers.drain(..layers.len().saturating_sub(1));
            }
            let flat = layers.into_iter().map(|layer| match layer.size()[..] {
                [_, _, height, width] if height > POOLED && width > POOLED => {
                    layer.adaptive_max_pool2d([POOLED, POOLED]).0.flatten(1, -1)
                }
                _ => layer.flatten(1, -1),
            });
            out.extend(host::numbers(&Tensor::cat(&flat.collect::<Vec<_>>(), 1)));
        }
        Some(Array::new(vec![n, out.len() / n.max(1)], out))
    };
    let found: Option<Vec<Array>> =
        (0..player.runs()).map(|run| of_run(run).filter(|features| features.row_len() > 0)).collect();
    found.map_or_else(|| vec![None; player.runs()], |found| found.into_iter().map(Some).collect())
}

/// The class with the largest number, and that number.
fn likeliest(row: &[f32]) -> (usize, f32) {
    let larger = |best: (usize, f32), (i, &v): (usize, &f32)| if v > best.1 { (i, v) } else { best };
    row.iter().enumerate().fold((0, f32::NEG_INFINITY), larger)
}

/// Logits of classes, `[n, classes]` for each run, become log-probabilities.
fn log_probabilities(answers: &mut [Array]) {
    for answer in answers {
        let classes = answer.row_len();
        for row in answer.data.chunks_exact_mut(classes) {
            let (_, most) = likeliest(row);
            let sum: f64 = row.iter().map(|&v| f64::from(v - most).exp()).sum();
            let total = f64::from(most) + sum.ln();
            row.iter_mut().for_each(|v| *v = (f64::from(*v) - total) as f32);
        }
    }
}

/// log p(class | example), `[n, classes]`, from log p(class, example), by Bayes' rule.
fn posteriors(joint: &[Vec<f64>], classes: usize) -> Array {
    let data = joint.iter().flat_map(|row| {
        let whole = log_sum(row);
        row.iter().map(move |term| (term - whole) as f32)
    });
    Array::new(vec![joint.len(), classes], data.collect())
}

/// log p of each example, exact, from log p(class, example).
fn exactly(joint: &[Vec<f64>]) -> Nats {
    Nats { draws: 0, of: joint.iter().map(|row| log_sum(row) as f32).collect() }
}

/// The examples whose class a model names wrongly, the most certain mistakes first.
fn mistakes(model: &dyn Classify, players: &[Player], request: &PanelRequest<'_>) -> Panel {
    let said = of_each(request.real, |_, real| model.classify(players, &real.x, request.averaged));
    let of_run = |(said, real): (&Array, &&Examples)| {
        let named = |i: usize| (likeliest(said.row(i)), i);
        let mut wrong: Vec<((usize, f32), usize)> =
            (0..said.rows()).map(named).filter(|((class, _), i)| *class as i64 != real.labels[*i]).collect();
        wrong.sort_by(|a, b| b.0.1.total_cmp(&a.0.1));
        wrong.truncate(request.n);
        let shape = std::iter::once(wrong.len()).chain(real.x.shape[1..].iter().copied()).collect();
        Array::new(shape, wrong.iter().flat_map(|(_, i)| real.x.row(*i).to_vec()).collect())
    };
    let runs = said.iter().zip(request.real).map(of_run).collect();
    Panel { name: "mistakes", runs, ..Panel::default() }
}

/// What a generator makes of latents `[R, n, …]` and the labels of all runs, where it takes some: `[n, …]` for each run.
fn made(generator: &Player, request: &Request<'_>, z: &Tensor, labels: &[i64]) -> Vec<Array> {
    made_by(false, generator, request, z, labels)
}

/// As [`made`], by the generator or by its twin.
fn made_by(twin: bool, generator: &Player, request: &Request<'_>, z: &Tensor, labels: &[i64]) -> Vec<Array> {
    let _guard = tch::no_grad_guard();
    let (runs, n, device) = (request.seeds.len(), z.size()[1] as usize, z.device());
    let row: usize = generator.plan().output.iter().product();
    let mut out: Vec<Vec<f32>> = vec![Vec::with_capacity(n * row); runs];
    let piece = piece(row);
    let mut noise = HostNoise { streams: request.streams(Purpose::Noise), device };
    for start in (0..n).step_by(piece) {
        let len = piece.min(n - start) as i64;
        let labels = (!labels.is_empty()).then(|| {
            let some = Tensor::from_slice(&labels[start..start + len as usize]).to_device(device);
            some.expand([runs as i64, len], false)
        });
        let z = z.narrow(1, start as i64, len);
        let mode = &mut Mode { twin, ..Mode::evaluation(&mut noise) };
        let x = host::numbers(&generator.forward_averaged(request.averaged, &z, labels.as_ref(), mode).out);
        for (out, x) in out.iter_mut().zip(x.chunks_exact(len as usize * row)) {
            out.extend_from_slice(x);
        }
    }
    let shape: Vec<usize> = std::iter::once(n).chain(generator.plan().output.iter().copied()).collect();
    out.into_iter().map(|data| Array::new(shape.clone(), data)).collect()
}

/// What a generator makes of latents `[R, n, …]` in evaluation, with derivatives by them.
fn decoded_by(generator: &Player, z: &Tensor, labels: &[i64], averaged: bool) -> Tensor {
    let (runs, n, device) = (z.size()[0], z.size()[1], z.device());
    let labels = (!labels.is_empty()).then(|| Tensor::from_slice(labels).to_device(device).expand([runs, n], false));
    let mut noise = HostNoise { streams: vec![], device };
    let mode = &mut Mode::evaluation(&mut noise);
    generator.forward_averaged(averaged, z, labels.as_ref(), mode).out
}

/// The place that a number from 0 to 1 falls to, by the probabilities that logits give.
fn drawn<'a>(logits: impl Iterator<Item = &'a f32> + Clone, chance: f32) -> usize {
    let most = logits.clone().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |logit: &f32| f64::from(logit - most).exp();
    let total: f64 = logits.clone().map(power).sum();
    let mut left = f64::from(chance) * total;
    let mut last = 0;
    for (place, logit) in logits.enumerate() {
        let share = power(logit);
        if share > 0.0 {
            last = place;
            left -= share;
            if left < 0.0 {
                return place;
            }
        }
    }
    // Rounding has left a little.
    last
}

/// log Σ eˣ.
fn log_sum(terms: &[f64]) -> f64 {
    let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + terms.iter().map(|t| (t - most).exp()).sum::<f64>().ln()
}

/// Labels of n samples: the one that is asked for, or all classes in turn; none where there are no classes.
fn round(classes: usize, request: &Request<'_>) -> Vec<i64> {
    let round = |classes: usize| (0..request.n).map(|i| request.label.unwrap_or((i % classes) as i64)).collect();
    if classes > 0 { round(classes) } else { vec![] }
}

/// Each run's examples with the labels of all.
fn labeled(x: Vec<Array>, labels: &[i64]) -> Vec<Examples> {
    x.into_iter().map(|x| Examples { x, labels: labels.to_vec() }).collect()
}
