//! A decoder with a prior over codes, and an encoder that guesses the code of an example: the variational autoencoder.
//!
//! Papers: arXiv:1312.6114 (VAE), beta-VAE (Higgins et al., ICLR 2017), Sohn et al., NeurIPS 2015 (conditional),
//! arXiv:1509.00519 (the importance-weighted bound, and likelihood by importance sampling).
//!
//! q(z|x) = N(μ, σ²) with μ and log σ² from the encoder, p(z) = N(0, 1), z = μ + σε.

use super::autoencoder::{DECODER, ENCODER, check_latent, columns, shown, stacked, wirings};
use super::family::{Family, Surroundings, floats};
use super::latent::{LatentSpec, NormalLatent};
use super::likelihood::{Law, LikelihoodSpec};
use super::{
    Batch, Bound, Cadence, Cx, Decode, Evidence, Examine, Generate, HostNoise, Latents, Likelihoods, Nats, Objective,
    Panel, PanelRequest, Product, Provides, RealDraw, Reconstruct, Request, Turn, column, features, of_each, piece,
    pieces, round,
};
use crate::base::{Array, Each, NonNegative, Problem, host};
use crate::data::{DataInfo, Examples};
use crate::nn::plan::{NetworkPlan, Wiring};
use crate::nn::{Mode, Noise as _, Output};
use crate::player::Player;
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal};
use std::num::NonZeroU32;
use tch::{Device, Kind, Tensor};

/// A decoder with a prior over codes, and an encoder that guesses the code of an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VaeSpec {
    /// How many numbers the code has; the prior is N(0, 1) in each.
    pub latent: u32,
    /// The law of an example given its code.
    pub likelihood: LikelihoodSpec,
    /// The weight of the divergence from the prior: 1 is the bound, 4 a usual beta-VAE.
    #[serde(default = "VaeSpec::beta")]
    pub beta: Each<NonNegative>,
    /// What is maximized.
    #[serde(default)]
    pub bound: BoundKind,
    /// Codes that are drawn for each example.
    #[serde(default = "VaeSpec::samples")]
    pub samples: NonZeroU32,
    /// Whether both players are told the label.
    #[serde(default)]
    pub condition: LabelKind,
    /// What a sample is.
    #[serde(default)]
    pub draw: DrawKind,
}
impl VaeSpec {
    fn beta() -> Each<NonNegative> {
        Each::new(NonNegative::of(1.0))
    }
    fn samples() -> NonZeroU32 {
        NonZeroU32::MIN
    }

    fn labeled(&self) -> bool {
        self.condition == LabelKind::Concatenate
    }
}

/// What is maximized over k codes of an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoundKind {
    /// The mean of log p(x|z), less β·KL(q(z|x) ‖ p(z)) in closed form.
    #[default]
    Elbo,
    /// log of the mean of p(x|z)·(p(z)/q(z|x))^β (arXiv:1509.00519); one code gives the mean's bound by a draw.
    Iwae,
}

/// How the players learn of the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// Not at all.
    #[default]
    None,
    /// Appended to the input of both, or where a `label` layer stands.
    Concatenate,
}

/// What a sample is, of a code from the prior.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DrawKind {
    /// The mean of the law, as pictures in papers are.
    #[default]
    Mean,
    /// A draw from the law.
    Sample,
}

impl Family for VaeSpec {
    fn tag(&self) -> &'static str {
        "vae"
    }

    fn players(&self) -> &'static [&'static str] {
        &["encoder", "decoder"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        self.likelihood.check(info, "algorithm.vae.likelihood")?;
        if self.labeled() && info.classes == 0 {
            return Err(Problem::at("algorithm.vae.condition", "the data has no labels to condition on")
                .with_help("take data with classes, or remove `condition`"));
        }
        let latent = self.latent as usize;
        let both = wirings(info, 2 * latent, latent, self.likelihood.output(&info.shape), self.likelihood.head());
        let classes = if self.labeled() { info.classes } else { 0 };
        Ok(both.into_iter().map(|wiring| Wiring { classes, labels_at_input: self.labeled(), ..wiring }).collect())
    }

    fn products(&self) -> &'static [Product] {
        use Product::{Evidence, Features, Latents, Likelihoods, Reconstructions, Samples};
        match self.labeled() {
            true => &[Samples, Latents, Reconstructions, Likelihoods, Evidence],
            false => &[Samples, Latents, Features, Reconstructions, Likelihoods, Evidence],
        }
    }

    fn exported(&self) -> &'static str {
        "decoder"
    }

    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let latent = self.latent as usize;
        let mut facts = match player {
            "encoder" => vec![
                ("input", floats(&info.shape)),
                ("output", floats(&[2 * latent])),
                ("means", format!("{latent} means of the code, then {latent} logarithms of its variance")),
            ],
            _ => vec![
                ("input", floats(&[latent])),
                ("latent", "normal".to_owned()),
                ("output", floats(&self.likelihood.output(&info.shape))),
                ("likelihood", self.likelihood.name()),
            ],
        };
        facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
        if self.labeled() {
            facts.push(("labels", format!("int64 [n], from 0 to {}", info.classes.saturating_sub(1))));
        }
        facts
    }

    fn check(&self, _: Surroundings<'_>) -> Vec<Problem> {
        check_latent("algorithm.vae.latent", self.latent)
    }

    fn check_networks(&self, networks: &[&NetworkPlan], info: &DataInfo, _: Surroundings<'_>) -> Vec<Problem> {
        self.likelihood.check_decoder(networks[DECODER], info).into_iter().collect()
    }
}

/// What the encoder thinks of the codes of examples, `[R, B, d]` each.
struct Guess {
    mean: Tensor,
    log_variance: Tensor,
}

impl Guess {
    fn of(code: &Tensor) -> Self {
        let latent = code.size()[2] / 2;
        Self { mean: code.narrow(2, 0, latent), log_variance: code.narrow(2, latent, latent) }
    }

    /// k codes of each example, one after the other: `[R, k·B, d]` from standard normal numbers of that shape.
    fn at(&self, eps: &Tensor, k: i64) -> Tensor {
        let size = self.mean.size();
        let (runs, batch, latent) = (size[0], size[1], size[2]);
        let std = (&self.log_variance * 0.5).exp().unsqueeze(1);
        (eps.view([runs, k, batch, latent]) * std + self.mean.unsqueeze(1)).reshape([runs, k * batch, latent])
    }

    /// KL(q ‖ p) in nats, `[R, B]`.
    fn divergence(&self) -> Tensor {
        let each = self.mean.square() + self.log_variance.exp() - &self.log_variance - 1.0;
        each.sum_dim_intlist(-1i64, false, Kind::Float) * 0.5
    }

    /// log p(z) − log q(z|x) of codes that these numbers gave, `[R, k, B]`.
    fn log_ratio(&self, z: &Tensor, eps: &Tensor, k: i64) -> Tensor {
        let size = self.mean.size();
        let shape = [size[0], k, size[1], size[2]];
        let each = (eps.square() - z.square()).view(shape) + self.log_variance.unsqueeze(1);
        each.sum_dim_intlist(-1i64, false, Kind::Float) * 0.5
    }
}

/// log of the mean over k of e^x: `[R, k, B]` to `[R, B]`.
fn log_mean_exp(x: &Tensor) -> Tensor {
    let last = x.transpose(1, 2).contiguous();
    let most = last.detach().amax([-1i64].as_slice(), true);
    // One of the powers is 1, so their sum is 1 or more.
    let rest = (&last - &most).exp().sum_dim_intlist(-1i64, false, Kind::Float) - 1.0;
    rest.log1p() + most.squeeze_dim(-1) - (x.size()[1] as f64).ln()
}

/// The mean over k: `[R, k, B]` to `[R, B]`.
fn mean_over_draws(x: &Tensor) -> Tensor {
    x.transpose(1, 2).contiguous().mean_dim(-1i64, false, Kind::Float)
}

/// The use of evaluation's random numbers.
const DRAWS: u32 = 1;
/// A dimension whose mean varies by more than this follows the example.
const ACTIVE: f64 = 0.01;
/// How far traversals go on each side of 0.
const FAR: f64 = 3.0;

/// The bound for the runs of a pack, which may differ in beta.
pub struct Vae {
    spec: VaeSpec,
    law: Law,
    /// The weight of the divergence a run, `[R, 1]`, where it is not 1.
    beta: Option<Tensor>,
    info: DataInfo,
    device: Device,
}

impl Vae {
    /// The objective of a pack; `specs` has one entry a run.
    pub fn new(specs: &[&VaeSpec], info: &DataInfo, device: Device) -> Self {
        let betas = || specs.iter().map(|spec| spec.beta.own().get());
        Self {
            spec: specs[0].clone(),
            law: Law::new(&specs[0].likelihood, info),
            beta: betas().any(|beta| beta != 1.0).then(|| column(betas(), device).unsqueeze(1)),
            info: info.clone(),
            device,
        }
    }

    fn latent(&self) -> i64 {
        i64::from(self.spec.latent)
    }

    fn labels<'a>(&self, labels: Option<&'a Tensor>) -> Option<&'a Tensor> {
        labels.filter(|_| self.spec.labeled())
    }

    /// Times beta, `[R, …]`.
    fn weighted(&self, x: Tensor) -> Tensor {
        match &self.beta {
            None => x,
            Some(beta) if x.dim() == 3 => x * beta.unsqueeze(1),
            Some(beta) => x * beta,
        }
    }

    fn guess(&self, players: &[Player], x: &Tensor, labels: Option<&Tensor>) -> Guess {
        let mut noise = HostNoise { streams: vec![], device: self.device };
        let mode = &mut Mode::evaluation(&mut noise);
        Guess::of(&players[ENCODER].forward_averaged(false, x, labels, mode).out)
    }

    fn say(&self, players: &[Player], z: &Tensor, labels: Option<&Tensor>) -> Output {
        let mut noise = HostNoise { streams: vec![], device: self.device };
        let mode = &mut Mode::evaluation(&mut noise);
        players[DECODER].forward_averaged(false, z, labels, mode)
    }

    /// Labels of examples `start` and on, `[R, n]`, where labels play a part.
    fn labels_of(&self, labels: &[i64], start: usize, n: usize, runs: usize) -> Option<Tensor> {
        let some = labels.get(start..start + n).filter(|_| self.spec.labeled())?;
        Some(Tensor::from_slice(some).to_device(self.device).expand([runs as i64, n as i64], false).contiguous())
    }

    /// The means of codes, each run's own `[n, d]`.
    fn decoded(&self, players: &[Player], codes: &[Array], labels: &[i64]) -> Vec<Array> {
        let _guard = tch::no_grad_guard();
        let (runs, n, latent) = (codes.len(), codes[0].rows(), codes[0].row_len());
        let row: usize = self.info.shape.iter().product();
        let mut out = vec![Vec::with_capacity(n * row); runs];
        for start in (0..n).step_by(piece(row)) {
            let len = piece(row).min(n - start);
            let some: Vec<f32> =
                codes.iter().flat_map(|c| &c.data[start * latent..(start + len) * latent]).copied().collect();
            let z = host::tensor(&some, &[runs as i64, len as i64, latent as i64], self.device);
            let labels = self.labels_of(labels, start, len, runs);
            let x = host::numbers(&self.law.mean(&self.say(players, &z, labels.as_ref())));
            for (out, x) in out.iter_mut().zip(x.chunks_exact(len * row)) {
                out.extend_from_slice(x);
            }
        }
        let shape = [&[n], &self.info.shape[..]].concat();
        out.into_iter().map(|data| Array::new(shape.clone(), data)).collect()
    }

    /// Draws k codes of each example in every run. `visit` gets the place of the first example, their guess, and
    /// log p(x|z) and log p(z)/q(z|x) of some draws after the other, `[R, some, B]`.
    fn weigh(
        &self,
        players: &[Player],
        real: &Examples,
        k: u32,
        seeds: &[u64],
        mut visit: impl FnMut(usize, &Guess, &Tensor, &Tensor),
    ) {
        let _guard = tch::no_grad_guard();
        let (runs, n, row) = (seeds.len(), real.x.rows(), real.x.row_len());
        let streams = seeds.iter().map(|&seed| Stream::new(seed, Purpose::Eval, DRAWS, 0)).collect();
        let mut noise = HostNoise { streams, device: self.device };
        for start in (0..n).step_by(piece(row)) {
            let len = piece(row).min(n - start);
            let x = shared(&real.x, start, len, runs, self.device);
            let labels = self.labels_of(&real.labels, start, len, runs);
            let guess = self.guess(players, &x, labels.as_ref());
            // So many draws at once that a piece is full.
            let together = (piece(row) / len).max(1) as i64;
            let mut left = i64::from(k);
            while left > 0 {
                let some = together.min(left);
                left -= some;
                let eps = noise.normal(&[some * len as i64, self.latent()]);
                let z = guess.at(&eps, some);
                let labels = labels.as_ref().map(|labels| labels.repeat([1, some]));
                let said = self.say(players, &z, labels.as_ref());
                visit(start, &guess, &self.law.log_density(&said, &x, some), &guess.log_ratio(&z, &eps, some));
            }
        }
    }

    /// A square of codes at even shares of the prior, the first row at the top (arXiv:1312.6114, appendix A).
    fn sheet(&self, players: &[Player], n: usize, labels: &[i64]) -> Vec<Array> {
        let side = n.isqrt().max(2);
        let prior = Normal::standard();
        let at = |i: usize| prior.inverse_cdf((i as f64 + 0.5) / side as f64) as f32;
        let codes: Vec<f32> = (0..side * side).flat_map(|i| [at(i % side), -at(i / side)]).collect();
        let codes = vec![Array::new(vec![side * side, 2], codes); players[DECODER].runs()];
        let label = labels.first().copied().unwrap_or_default();
        self.decoded(players, &codes, &vec![label; side * side])
    }

    /// A row for each of the dimensions that say most: the first example's code with that number from −3 to 3.
    fn traversals(&self, players: &[Player], n: usize, real: &Examples) -> Vec<Array> {
        let _guard = tch::no_grad_guard();
        let (runs, steps, latent) = (players[ENCODER].runs(), columns(n).max(3), self.latent() as usize);
        let known = real.x.rows().min(piece(real.x.row_len()));
        let x = shared(&real.x, 0, known, runs, self.device);
        let guess = self.guess(players, &x, self.labels_of(&real.labels, 0, known, runs).as_ref());
        let each = (guess.mean.square() + guess.log_variance.exp() - &guess.log_variance - 1.0) * 0.5;
        let (said, first) = (host::numbers(&each.mean_dim(1i64, false, Kind::Float)), host::numbers(&guess.mean));
        let rows = (n / steps).clamp(1, latent);
        let codes: Vec<Array> = (0..runs)
            .map(|run| {
                let code = &first[run * known * latent..][..latent];
                let mut order: Vec<usize> = (0..latent).collect();
                order.sort_by(|&a, &b| said[run * latent + b].total_cmp(&said[run * latent + a]));
                let mut data = Vec::new();
                for &dimension in &order[..rows] {
                    for step in 0..steps {
                        let mut moved = code.to_vec();
                        moved[dimension] = (FAR * (2.0 * step as f64 / (steps - 1) as f64 - 1.0)) as f32;
                        data.extend(moved);
                    }
                }
                Array::new(vec![rows * steps, latent], data)
            })
            .collect();
        let label = real.labels.first().copied().unwrap_or_default();
        self.decoded(players, &codes, &vec![label; rows * steps])
    }
}

/// The same examples for every run, `[R, n, …]`.
fn shared(x: &Array, start: usize, n: usize, runs: usize, device: Device) -> Tensor {
    let row = x.row_len();
    let mut shape: Vec<i64> = [1, n].iter().chain(&x.shape[1..]).map(|&d| d as i64).collect();
    let some = host::tensor(&x.data[start * row..(start + n) * row], &shape, device);
    shape[0] = runs as i64;
    some.expand(&shape[..], false).contiguous()
}

impl Objective for Vae {
    fn turns(&self) -> &'static [Turn] {
        &[Turn { moves: &[ENCODER, DECODER], cadence: Cadence::Once, real: RealDraw::Fresh }]
    }

    fn loss(&mut self, _turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let labels = self.labels(batch.labels.as_ref());
        let (k, n) = (i64::from(self.spec.samples.get()), batch.x.size()[1]);
        let mut noise = cx.noise();
        let guess = Guess::of(&cx.forward(ENCODER, &batch.x, labels, &mut noise).out);
        let mut draws = HostNoise { streams: cx.streams(Purpose::Latent), device: cx.device };
        let eps = draws.normal(&[k * n, self.latent()]);
        let z = guess.at(&eps, k);
        let labels = labels.map(|labels| labels.repeat([1, k]));
        let said = cx.forward(DECODER, &z, labels.as_ref(), &mut noise);
        let likely = self.law.log_density(&said, &batch.x, k);
        let mean = |x: &Tensor| x.mean_dim(1i64, false, Kind::Float);
        let total = match self.spec.bound {
            BoundKind::Elbo => -mean(&(mean_over_draws(&likely) - self.weighted(guess.divergence()))),
            BoundKind::Iwae => -mean(&log_mean_exp(&(&likely + self.weighted(guess.log_ratio(&z, &eps, k))))),
        };
        cx.record("vae/loss", || total.shallow_clone());
        cx.record("vae/reconstruction", || mean(&mean_over_draws(&likely)));
        cx.record("vae/kl", || mean(&guess.divergence()));
        if let Some(std) = Law::learned_std(&said) {
            cx.record("vae/std", || std);
        }
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        let mut names = vec!["vae/loss", "vae/reconstruction", "vae/kl"];
        if self.spec.likelihood.head() == crate::nn::plan::Head::Scale {
            names.push("vae/std");
        }
        names
    }

    fn provides(&self) -> Provides<'_> {
        Provides {
            samples: Some(self),
            latents: Some(self),
            features: (!self.spec.labeled()).then_some(self),
            reconstructions: Some(self),
            likelihoods: Some(self),
            evidence: Some(self),
            ..Provides::default()
        }
    }

    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        let beside = |_: usize, real: &Examples| {
            let n = shown(request.n, 2);
            let some = Examples { x: real.x.head(n), labels: real.labels.iter().take(n).copied().collect() };
            let made = self.reconstruct(players, &some);
            made.iter().map(|made| stacked(&self.info, request.n, &some.x, None, made)).collect()
        };
        let is_image = self.info.is_image();
        let per_row = is_image.then(|| columns(request.n));
        let mut panels =
            vec![Panel { name: "reconstructions", runs: of_each(request.real, beside), per_row, ..Panel::default() }];
        if is_image && self.latent() == 2 {
            let runs = of_each(request.real, |_, real| self.sheet(players, request.n, &real.labels));
            panels.push(Panel { name: "sheet", runs, per_row: Some(request.n.isqrt().max(2)), ..Panel::default() });
        } else if is_image {
            let runs = of_each(request.real, |_, real| self.traversals(players, request.n, real));
            panels.push(Panel {
                name: "traversals",
                runs,
                per_row: Some(columns(request.n).max(3)),
                ..Panel::default()
            });
        }
        panels
    }
}

impl Examine for Vae {
    fn features(&self, players: &[Player], x: &Array, every: bool) -> Vec<Option<Array>> {
        features(&players[ENCODER], x, every, self.device)
    }
}

impl Generate for Vae {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let _guard = tch::no_grad_guard();
        let (runs, n) = (request.seeds.len(), request.n);
        let Latents { z, labels } = self.latents(request);
        let row: usize = self.info.shape.iter().product();
        let mut out: Vec<Vec<f32>> = vec![Vec::with_capacity(n * row); runs];
        let mut noise = HostNoise { streams: request.streams(Purpose::Noise), device: self.device };
        for start in (0..n).step_by(piece(row)) {
            let len = piece(row).min(n - start);
            let some = z.narrow(1, start as i64, len as i64);
            let said = self.say(players, &some, self.labels_of(&labels, start, len, runs).as_ref());
            let x = match self.spec.draw {
                DrawKind::Mean => self.law.mean(&said),
                DrawKind::Sample => self.law.draw(&said, &mut noise),
            };
            for (out, x) in out.iter_mut().zip(host::numbers(&x).chunks_exact(len * row)) {
                out.extend_from_slice(x);
            }
        }
        let shape = [&[n], &self.info.shape[..]].concat();
        out.into_iter().map(|data| Examples { x: Array::new(shape.clone(), data), labels: labels.clone() }).collect()
    }
}

impl Decode for Vae {
    fn law(&self) -> LatentSpec {
        LatentSpec::Normal(NormalLatent { dim: self.spec.latent, mean: 0.0, std: 1.0 })
    }

    fn latents(&self, request: &Request<'_>) -> Latents {
        let mut codes = HostNoise { streams: request.streams(request.purpose), device: self.device };
        let z = codes.normal(&[request.n as i64, self.latent()]);
        Latents { z, labels: round(if self.spec.labeled() { self.info.classes } else { 0 }, request) }
    }

    fn decode(&self, players: &[Player], z: &Tensor, labels: &[i64], _: bool) -> Tensor {
        let labels = self.labels_of(labels, 0, z.size()[1] as usize, z.size()[0] as usize);
        self.law.mean(&self.say(players, z, labels.as_ref()))
    }
}

impl Reconstruct for Vae {
    /// What the decoder makes of the mean of the guess.
    fn reconstruct(&self, players: &[Player], real: &Examples) -> Vec<Array> {
        let runs = players[DECODER].runs();
        pieces(runs, &real.x, self.device, |x, start| {
            let labels = self.labels_of(&real.labels, start, x.size()[1] as usize, runs);
            let guess = self.guess(players, x, labels.as_ref());
            self.law.mean(&self.say(players, &guess.mean.contiguous(), labels.as_ref()))
        })
    }
}

/// log (1/k) Σ e^x of numbers that come one after the other.
#[derive(Clone, Copy)]
struct LogMean {
    most: f64,
    sum: f64,
    count: u32,
}

impl LogMean {
    const EMPTY: Self = Self { most: f64::NEG_INFINITY, sum: 0.0, count: 0 };

    fn add(&mut self, x: f64) {
        if x > self.most {
            self.sum = self.sum * (self.most - x).exp() + 1.0;
            self.most = x;
        } else {
            self.sum += (x - self.most).exp();
        }
        self.count += 1;
    }

    fn get(self) -> f64 {
        self.most + (self.sum / f64::from(self.count)).ln()
    }
}

impl Likelihoods for Vae {
    fn likelihoods(
        &self,
        players: &[Player],
        real: &Examples,
        draws: &[u32],
        seeds: &[u64],
        _averaged: bool,
    ) -> Vec<Vec<Nats>> {
        let n = real.x.rows();
        let most = draws.iter().copied().max().unwrap_or(1);
        let mut sums = vec![vec![LogMean::EMPTY; n]; seeds.len()];
        let of_run = || draws.iter().map(|&draws| Nats { draws, of: vec![0.0; n] }).collect::<Vec<_>>();
        let mut out: Vec<Vec<Nats>> = seeds.iter().map(|_| of_run()).collect();
        self.weigh(players, real, most, seeds, |start, _, likely, ratio| {
            let (size, weights) = (likely.size(), host::numbers(&(likely + ratio)));
            let (some, len) = (size[1] as usize, size[2] as usize);
            for (run, weights) in weights.chunks_exact(some * len).enumerate() {
                for (at, &weight) in weights.iter().enumerate() {
                    let (example, sum) = (start + at % len, &mut sums[run][start + at % len]);
                    sum.add(f64::from(weight));
                    for nats in out[run].iter_mut().filter(|nats| nats.draws == sum.count) {
                        nats.of[example] = sum.get() as f32;
                    }
                }
            }
        });
        out
    }

    fn kind(&self) -> String {
        self.spec.likelihood.kind(&self.info)
    }

    fn law(&self) -> String {
        self.spec.likelihood.name()
    }
}

impl Bound for Vae {
    fn evidence(&self, players: &[Player], real: &Examples, draws: u32, seeds: &[u64]) -> Vec<Evidence> {
        let (n, latent) = (real.x.rows(), self.latent() as usize);
        let mut out =
            vec![Evidence { draws, reconstruction: vec![0.0; n], divergence: vec![0.0; n], active: 0 }; seeds.len()];
        // Sums of the means of codes and of their squares.
        let mut moments = vec![vec![[0.0f64; 2]; latent]; seeds.len()];
        let mut last = None;
        self.weigh(players, real, draws, seeds, |start, guess, likely, _| {
            let (some, len) = (likely.size()[1] as usize, likely.size()[2] as usize);
            for (run, likely) in host::numbers(likely).chunks_exact(some * len).enumerate() {
                for (at, value) in likely.iter().enumerate() {
                    out[run].reconstruction[start + at % len] += value / draws as f32;
                }
            }
            if last.replace(start) == Some(start) {
                return;
            }
            for (run, divergence) in host::numbers(&guess.divergence()).chunks_exact(len).enumerate() {
                out[run].divergence[start..start + len].copy_from_slice(divergence);
            }
            for (run, means) in host::numbers(&guess.mean).chunks_exact(len * latent).enumerate() {
                for (at, &mean) in means.iter().enumerate() {
                    let [sum, squares] = &mut moments[run][at % latent];
                    *sum += f64::from(mean);
                    *squares += f64::from(mean).powi(2);
                }
            }
        });
        for (evidence, moments) in out.iter_mut().zip(&moments) {
            let varies = |[sum, squares]: &&[f64; 2]| squares / n as f64 - (sum / n as f64).powi(2) > ACTIVE;
            evidence.active = moments.iter().filter(varies).count();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::nn::{InitSpec, NetworkSpec};
    use crate::player::PlayerSpec;

    fn tensor(numbers: &[f32], shape: &[i64]) -> Tensor {
        Tensor::from_slice(numbers).view(shape)
    }

    fn close(found: &Tensor, expected: &[f64]) {
        let found = host::numbers(found);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    /* torch 2.11, float64: mu = [[.5,-1],[0,2]], lv = [[0,-1],[.5,-3]], q = Normal(mu, (.5*lv).exp()), p = Normal(0, 1)
    kl_divergence(q, p).sum(1); eps = [[[.3,-.7],[1.1,.2]],[[-.4,.9],[0,-1.5]]] (draw, example, dimension),
    z = mu + (.5*lv).exp()*eps; (p.log_prob(z) - q.log_prob(z)).sum(2);
    logsumexp([[-1,-2],[-3,-.5]] + that, 0) - log(2) */
    #[test]
    fn divergence_ratio_and_bound_are_those_of_pytorch() {
        let code = tensor(&[0.5, -1.0, 0.0, -1.0, 0.0, 2.0, 0.5, -3.0], &[1, 2, 4]);
        let guess = Guess::of(&code);
        close(&guess.divergence(), &[0.808_939_721, 3.099_254_170]);
        let eps = tensor(&[0.3, -0.7, 1.1, 0.2, -0.4, 0.9, 0.0, -1.5], &[1, 4, 2]);
        let ratio = guess.log_ratio(&guess.at(&eps, 2), &eps, 2);
        close(&ratio, &[-1.544_701_925, -3.712_724_174, -0.123_113_580, -1.511_619_971]);
        let likely = tensor(&[-1.0, -2.0, -3.0, -0.5], &[1, 2, 2]);
        close(&log_mean_exp(&(likely + ratio)), &[-2.792_658_037, -2.680_370_933]);
        let mut sum = LogMean::EMPTY;
        [-1.0 - 1.544_701_925, -3.0 - 0.123_113_580].into_iter().for_each(|x| sum.add(x));
        assert!((sum.get() + 2.792_658_037).abs() < 1e-8);
    }

    #[test]
    fn the_gradient_of_the_bound_weighs_each_draw_by_its_share() {
        let x = tensor(&[0.0, -1.0, 2.0], &[1, 3, 1]).set_requires_grad(true);
        log_mean_exp(&x).sum(Kind::Float).backward();
        // softmax([0, -1, 2])
        close(&x.grad(), &[0.114_195_199, 0.042_010_066, 0.843_794_734]);
    }

    /// x = W z + 0.5·ε with W = [[1, 0], [0, 2], [1, 0]], whose columns are orthogonal: p(z|x) is N(M⁻¹Wᵀx, 0.25·M⁻¹) with
    /// M = WᵀW + 0.25 = diag(2.25, 4.25) (Tipping and Bishop 1999), which a linear encoder can say. `log_variance` is what
    /// it says of the variance.
    fn linear(log_variance: [f32; 2]) -> (Vae, Vec<Player>, Examples, Vec<f64>) {
        let covariance = vec![vec![1.25, 0.0, 1.0], vec![0.0, 4.25, 0.0], vec![1.0, 0.0, 1.25]];
        let truth = Truth::Gaussian { covariance };
        let (class_names, len, range, levels, binarized) = (vec![], None, None, None, None);
        let info = DataInfo {
            shape: vec![3],
            classes: 0,
            class_names,
            len,
            range,
            levels,
            binarized,
            symbols: vec![],
            texts: vec![],
            truth,
        };
        let spec: VaeSpec =
            toml::from_str("latent = 2\nlikelihood = { gaussian = { std = { fixed = 0.5 } } }").expect("a spec");
        let numbers = [
            (
                "encoder.0.weight",
                [1.0 / 2.25, 0.0, 0.0, 0.0, 0.0, 2.0 / 4.25, 0.0, 0.0, 1.0 / 2.25, 0.0, 0.0, 0.0].to_vec(),
            ),
            ("encoder.0.bias", vec![0.0, 0.0, log_variance[0], log_variance[1]]),
            ("decoder.0.weight", vec![1.0, 0.0, 1.0, 0.0, 2.0, 0.0]),
            ("decoder.0.bias", vec![0.0; 3]),
        ];
        let network: NetworkSpec = toml::from_str("mlp = { hidden = [] }").expect("a network");
        let wirings = spec.wirings(&info).expect("they fit");
        let players = spec.players().iter().zip(wirings).zip(0..).map(|((&name, wiring), index)| {
            let plan = network.plan(&wiring, &InitSpec::Pytorch).expect("it fits");
            let optimizers = vec![toml::from_str("adam = {}").expect("an optimizer")];
            let spec = PlayerSpec { name, index, plan, optimizers, ema: None, clip: None, history: None };
            let mut player = Player::new(spec, &[1], Device::Cpu);
            let state = player.state(0).into_iter().map(|n| {
                let known = numbers.iter().find(|(name, _)| *name == n.name).map(|(_, data)| data.clone());
                (n.name, (n.shape, known.unwrap_or(n.data)))
            });
            let state = state.collect();
            player.load(0, &state).expect("the same tensors");
            player
        });
        let x = Array::new(vec![4, 3], vec![0.3, -1.0, 0.8, 0.0, 0.0, 0.0, -1.5, 3.0, -0.7, 2.0, 0.5, -0.4]);
        let truth = info.truth.log_density().expect("a density");
        let exact = (0..4).map(|i| truth(x.row(i))).collect();
        (Vae::new(&[&spec], &info, Device::Cpu), players.collect(), Examples { x, labels: vec![] }, exact)
    }

    #[test]
    fn with_the_true_posterior_every_bound_is_the_likelihood() {
        let (vae, players, real, exact) = linear([(1.0f32 / 9.0).ln(), (1.0f32 / 17.0).ln()]);
        for nats in &Likelihoods::likelihoods(&vae, &players, &real, &[1, 2, 7], &[3], false)[0] {
            for (found, exact) in nats.of.iter().zip(&exact) {
                assert!((f64::from(*found) - exact).abs() < 5e-5, "{} draws: {found} {exact}", nats.draws);
            }
        }
        // The bound in parts has the draws' noise in one part alone.
        let evidence = &vae.evidence(&players, &real, 20_000, &[3])[0];
        for (i, exact) in exact.iter().enumerate() {
            let bound = f64::from(evidence.reconstruction[i]) - f64::from(evidence.divergence[i]);
            assert!((bound - exact).abs() < 0.03, "{bound} {exact}");
        }
        assert_eq!(evidence.active, 2);
    }

    #[test]
    fn with_another_posterior_bounds_rise_to_the_likelihood_with_the_draws() {
        let (vae, players, real, exact) = linear([0.0, 0.0]);
        let mean = |of: &[f32]| of.iter().map(|&v| f64::from(v)).sum::<f64>() / of.len() as f64;
        let evidence = &vae.evidence(&players, &real, 5000, &[3])[0];
        let mut bounds = vec![mean(&evidence.reconstruction) - mean(&evidence.divergence)];
        let many = Likelihoods::likelihoods(&vae, &players, &real, &[5, 50, 200_000], &[3], false);
        bounds.extend(many[0].iter().map(|nats| mean(&nats.of)));
        let exact = exact.iter().sum::<f64>() / 4.0;
        bounds.push(exact + 0.01);
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert!((bounds[3] - exact).abs() < 0.01, "{bounds:?}");
        assert!(exact - bounds[0] > 0.5, "{bounds:?}");
    }
}
