//! BEGAN (arXiv:1703.10717): the discriminator is an autoencoder, and the two players are held in balance by a number
//! that follows how well it rebuilds real and generated examples.
//!
//! There is no official code; the losses and the control are those of the paper. Its learning rates fall where its measure
//! of convergence stalls: what that means in steps is ours.

use super::family::{Family, Surroundings, about_critic, check_average, floats};
use super::latent::LatentSpec;
use super::{
    Batch, Cadence, Cx, Decode, Generate, HostNoise, Latents, Manner, Objective, Panel, PanelRequest, Product,
    Provides, RealDraw, Request, Turn, asked, column, decoded_by, labeled, made,
};
use crate::base::{Array, Each, Positive, Probability, Problem, host};
use crate::data::{DataInfo, Examples};
use crate::nn::plan::{Head, ParamPlan, Role, Wiring};
use crate::nn::{Mode, ParamInit};
use crate::player::{EmaSpec, Player};
use crate::rng::Purpose;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;
use tch::{Device, Kind, Tensor};

/// A generator against an autoencoder, held in balance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BeganSpec {
    /// What the generator is fed.
    pub latent: LatentSpec,
    /// γ, the balance to be held: E L(G(z)) / E L(x). Less is said to be less diverse; the paper has 0.3 to 0.7.
    #[serde(default = "BeganSpec::gamma")]
    pub gamma: Each<Probability>,
    /// λ_k, how fast k follows: 0.001 in the paper. It is for a mean over an example's numbers, as L is one.
    #[serde(default = "BeganSpec::lambda_k")]
    pub lambda_k: Each<Positive>,
    /// L, how far an example is from what the autoencoder makes of it.
    #[serde(default)]
    pub distance: DistanceKind,
    /// How learning rates fall where the measure of convergence stalls; they do not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<StallDecay>,
    /// Averaged weights of the generator, used for samples and evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}
impl BeganSpec {
    fn gamma() -> Each<Probability> {
        Each::new(Probability::of(0.5))
    }
    fn lambda_k() -> Each<Positive> {
        Each::new(Positive::of(0.001))
    }
}

/// A distance between an example and another, a mean over its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DistanceKind {
    /// |v − D(v)|, as in the paper's experiments (η = 1).
    #[default]
    L1,
    /// (v − D(v))² (η = 2).
    L2,
}

/// Learning rates that fall where the measure of convergence stalls: where its mean over `every` updates of the generator
/// is not at least a hundredth below the lowest such mean before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StallDecay {
    /// The updates of the generator that one mean is over.
    pub every: NonZeroU64,
    /// What the rates of both players are then multiplied by; the paper halves them.
    #[serde(default = "BeganSpec::gamma")]
    pub factor: Each<Probability>,
}

/// The generator's place among the players.
const GENERATOR: usize = 0;
/// The autoencoder's place among the players.
const DISCRIMINATOR: usize = 1;

/// The share of a new value in the running means that the reported balance is of.
const NEWEST: f64 = 0.01;
/// What a mean of the measure must be below the lowest before, so that it has not stalled.
const FALLEN: f64 = 0.99;
/// Examples of each kind in the picture of what the autoencoder makes of them.
const SHOWN: usize = 8;

impl Family for BeganSpec {
    fn tag(&self) -> &'static str {
        "began"
    }

    fn players(&self) -> &'static [&'static str] {
        &["generator", "discriminator"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        let wiring = |role, input: Vec<usize>| Wiring {
            role,
            input,
            output: info.shape.clone(),
            classes: 0,
            labels_at_input: false,
            head: Head::Plain,
        };
        Ok(vec![
            wiring(Role::Generator, vec![self.latent.dim() as usize]),
            wiring(Role::Autoencoder, info.shape.clone()),
        ])
    }

    fn memory(&self, player: &str, _: &DataInfo) -> Vec<ParamPlan> {
        let number = |(name, start): (&str, f64)| ParamPlan {
            name: name.to_owned(),
            shape: vec![1],
            init: ParamInit::Constant(start),
            learned: false,
            like: None,
        };
        let balance = [(K, 0.0), (MEAN_REAL, 0.0), (MEAN_FAKE, 0.0)];
        let decay = [(SUM, 0.0), (LOWEST, f64::from(f32::MAX)), (RATE, 1.0)];
        match player {
            "discriminator" => {
                balance.into_iter().chain(decay.into_iter().filter(|_| self.decay.is_some())).map(number).collect()
            }
            _ => vec![],
        }
    }

    fn products(&self) -> &'static [Product] {
        &[Product::Samples, Product::Latents]
    }

    fn is_game(&self) -> bool {
        true
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(&["generator"][..]).zip(self.ema.as_ref())
    }

    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        if player == "discriminator" {
            return about_critic(info, &info.shape);
        }
        let latent = serde_json::to_string(&self.latent).expect("a spec is made of numbers, texts, lists and tables");
        let mut facts =
            vec![("input", floats(&[self.latent.dim() as usize])), ("latent", latent), ("output", floats(&info.shape))];
        facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
        facts
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        let mut wrong = self.latent.check("algorithm.began.latent");
        wrong.extend(check_average("algorithm.began.ema", self.ema.as_ref(), around.steps));
        wrong
    }
}

/// k, the weight of fakes in the autoencoder's loss.
const K: &str = "balance.k";
/// Running means of L(x) and L(G(z)).
const MEAN_REAL: &str = "balance.real";
const MEAN_FAKE: &str = "balance.fake";
/// The sum of the measure since the last mean, the lowest mean so far, and what rates are multiplied by.
const SUM: &str = "decay.sum";
const LOWEST: &str = "decay.lowest";
const RATE: &str = "decay.rate";

/// The objective for the runs of a pack, which may differ in γ, λ and the factor of the decay.
pub struct Began {
    latent: LatentSpec,
    distance: DistanceKind,
    /// `[R]`.
    gamma: Tensor,
    /// `[R]`.
    lambda: Tensor,
    decay: Option<Decay>,
    /// L(x) of the step's last turn of the autoencoder, `[R]`.
    real: Option<Tensor>,
    device: Device,
}

struct Decay {
    every: u64,
    /// `[R]`.
    factor: Tensor,
    /// What rates are multiplied by at present, read from the players' memory where it may have changed.
    rates: Option<Vec<f64>>,
}

impl Began {
    /// The objective of a pack; `specs` has one entry a run, all of one shape.
    pub fn new(specs: &[&BeganSpec], device: Device) -> Self {
        let first = specs[0];
        let factor = |spec: &&BeganSpec| spec.decay.as_ref().map_or(1.0, |decay| decay.factor.own().get());
        Self {
            latent: first.latent.clone(),
            distance: first.distance,
            gamma: column(specs.iter().map(|s| s.gamma.own().get()), device),
            lambda: column(specs.iter().map(|s| s.lambda_k.own().get()), device),
            decay: first.decay.as_ref().map(|decay| Decay {
                every: decay.every.get(),
                factor: column(specs.iter().map(factor), device),
                rates: None,
            }),
            real: None,
            device,
        }
    }

    /// L of each example, `[R, B]`.
    fn distances(&self, x: &Tensor, rebuilt: &Tensor) -> Tensor {
        let miss = x - rebuilt;
        let miss = match self.distance {
            DistanceKind::L1 => miss.abs(),
            DistanceKind::L2 => miss.square(),
        };
        miss.flatten(2, -1).mean_dim(2i64, false, Kind::Float)
    }

    fn made(&self, batch: &Batch, cx: &Cx<'_>, noise: &mut HostNoise) -> Tensor {
        let z = self.latent.draw(&mut cx.streams(Purpose::Latent), batch.x.size()[1] as usize, cx.device);
        cx.forward(GENERATOR, &z, None, noise).out
    }

    /// L(x) − k·L(G(z)).
    fn discriminator_loss(&mut self, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        if let Some(decay) = &mut self.decay {
            decay.rates.get_or_insert_with(|| read_rates(cx.players));
        }
        let n = batch.x.size()[1];
        let mut noise = cx.noise();
        let x = Tensor::cat(&[&batch.x, &self.made(batch, cx, &mut noise)], 1);
        let rebuilt = cx.forward_in(Manner { parts: 2, slopes: false }, DISCRIMINATOR, &x, None, &mut noise).out;
        let distances = self.distances(&x, &rebuilt);
        let half = |i: i64| distances.narrow(1, i * n, n).mean_dim(1i64, false, Kind::Float);
        let (real, fake) = (half(0), half(1));
        // A copy: k moves before this loss is done with where players move at the same time.
        let k = cx.players[DISCRIMINATOR].memory(K).view([-1]).copy();
        let total = &real - k * &fake;
        cx.record("d/loss", || total.shallow_clone());
        cx.record("d/real", || real.shallow_clone());
        cx.record("d/fake", || fake.shallow_clone());
        self.real = Some(real.detach());
        total
    }

    /// L(G(z)); then k follows.
    fn generator_loss(&mut self, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let mut noise = cx.noise();
        let fake = self.made(batch, cx, &mut noise);
        let rebuilt = cx.forward(DISCRIMINATOR, &fake, None, &mut noise).out;
        let total = self.distances(&fake, &rebuilt).mean_dim(1i64, false, Kind::Float);
        cx.record("g/loss", || total.shallow_clone());
        self.follow(&total.detach(), cx);
        total
    }

    /// Moves k, the running means and, where it is time, the learning rates.
    fn follow(&mut self, fake: &Tensor, cx: &mut Cx<'_>) {
        let _guard = tch::no_grad_guard();
        let memory = |name: &str| cx.players[DISCRIMINATOR].memory(name).view([-1]);
        let real = self.real.as_ref().expect("the autoencoder moves before the generator in every step");
        let (mut k, mut mean_real, mut mean_fake) = (memory(K), memory(MEAN_REAL), memory(MEAN_FAKE));
        let gap = &self.gamma * real - fake;
        let measure = real + gap.abs();
        k.copy_(&(&k + &self.lambda * gap).clamp(0.0, 1.0));
        mean_real.copy_(&(&mean_real + (real - &mean_real) * NEWEST));
        mean_fake.copy_(&(&mean_fake + (fake - &mean_fake) * NEWEST));
        let mut rate = None;
        if let Some(decay) = &mut self.decay {
            let (mut sum, mut lowest, mut factor) = (memory(SUM), memory(LOWEST), memory(RATE));
            sum.copy_(&(&sum + &measure));
            if (cx.players[GENERATOR].updates + 1).is_multiple_of(decay.every) {
                let mean = &sum / decay.every as f64;
                let stalled = mean.gt_tensor(&(&lowest * FALLEN));
                factor.copy_(&(&decay.factor * &factor).where_self(&stalled, &factor));
                lowest.copy_(&lowest.minimum(&mean));
                let _ = sum.zero_();
                decay.rates = Some(read_rates(cx.players));
            }
            rate = Some(factor);
        }
        cx.record("began/k", || k.copy());
        cx.record("began/balance", || &mean_fake / &mean_real);
        cx.record("began/measure", || measure);
        if let Some(rate) = rate {
            cx.record("began/rate", || rate.copy());
        }
    }
}

fn read_rates(players: &[Player]) -> Vec<f64> {
    host::numbers(&players[DISCRIMINATOR].memory(RATE)).into_iter().map(f64::from).collect()
}

impl Objective for Began {
    fn turns(&self) -> &'static [Turn] {
        &[
            Turn { moves: &[DISCRIMINATOR], cadence: Cadence::Critic, real: RealDraw::Fresh },
            Turn { moves: &[GENERATOR], cadence: Cadence::Generator, real: RealDraw::Last },
        ]
    }

    fn loss(&mut self, turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        if turn == 0 { self.discriminator_loss(batch, cx) } else { self.generator_loss(batch, cx) }
    }

    fn scalars(&self) -> Vec<&'static str> {
        let mut names = vec!["d/loss", "g/loss", "d/real", "d/fake", "began/k", "began/balance", "began/measure"];
        names.extend(self.decay.as_ref().map(|_| "began/rate"));
        names
    }

    fn rates(&self) -> Option<&[f64]> {
        self.decay.as_ref()?.rates.as_deref()
    }

    fn provides(&self) -> Provides<'_> {
        Provides { samples: Some(self), latents: Some(self), ..Provides::default() }
    }

    /// L at each point.
    fn surface(&self, players: &[Player], points: &Tensor) -> Option<(Vec<Vec<f32>>, bool)> {
        let shape = points.size().into_iter().map(|d| d as usize).collect();
        let points = Array::new(shape, host::numbers(points));
        let distances = asked(players[DISCRIMINATOR].runs(), &points, self.device, |x, mode| {
            self.distances(x, &players[DISCRIMINATOR].forward(false, x, None, mode).out)
        });
        Some((distances.into_iter().map(|of_run| of_run.data).collect(), false))
    }

    /// Real examples, what the autoencoder makes of them, samples, and what it makes of those; a row each.
    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        let is_image = request.real.first().is_some_and(|real| real.x.shape.len() == 4);
        if !is_image {
            return vec![];
        }
        let n = SHOWN.min(request.real.iter().map(|real| real.x.rows()).min().unwrap_or(0));
        let asked = Request {
            seeds: request.seeds,
            purpose: Purpose::Preview,
            index: 0,
            n,
            label: None,
            averaged: request.averaged,
        };
        let samples = self.generate(players, &asked);
        let of_run = |(real, samples): (&&Examples, Examples)| {
            let real = real.x.head(n);
            [real.data, samples.x.data].concat()
        };
        let shown: Vec<f32> = request.real.iter().zip(samples).flat_map(of_run).collect();
        let example: Vec<i64> = request.real[0].x.shape[1..].iter().map(|&d| d as i64).collect();
        let x =
            host::tensor(&shown, &[&[request.seeds.len() as i64, 2 * n as i64], &example[..]].concat(), self.device);
        let _guard = tch::no_grad_guard();
        let mut noise = HostNoise { streams: vec![], device: self.device };
        let mode = &mut Mode::evaluation(&mut noise);
        let rebuilt = players[DISCRIMINATOR].forward(false, &x, None, mode).out;
        let rows: Vec<Tensor> =
            [0, 1].into_iter().flat_map(|i| [&x, &rebuilt].map(|t| t.narrow(1, i * n as i64, n as i64))).collect();
        let all = Tensor::cat(&rows, 1);
        let shape: Vec<usize> = all.size()[1..].iter().map(|&d| d as usize).collect();
        let runs = (0..request.seeds.len()).map(|run| Array::new(shape.clone(), host::numbers(&all.get(run as i64))));
        vec![Panel { name: "rebuilt", per_row: Some(n), runs: runs.collect(), ..Panel::default() }]
    }
}

impl Generate for Began {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let z = self.latent.draw(&mut request.streams(request.purpose), request.n, self.device);
        labeled(made(&players[GENERATOR], request, &z, &[]), &[])
    }
}

impl Decode for Began {
    fn law(&self) -> LatentSpec {
        self.latent.clone()
    }

    fn latents(&self, request: &Request<'_>) -> Latents {
        let z = self.latent.draw(&mut request.streams(request.purpose), request.n, self.device);
        Latents { z, labels: vec![] }
    }

    fn decode(&self, players: &[Player], z: &Tensor, labels: &[i64], averaged: bool) -> Tensor {
        decoded_by(&players[GENERATOR], z, labels, averaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{InitSpec, NetworkSpec};
    use crate::player::{OptimizerSpec, PlayerSpec};

    fn spec(text: &str) -> BeganSpec {
        toml::from_str(&format!("latent = {{ normal = {{ dim = 2 }} }}\n{text}")).expect("a spec")
    }

    /* torch 2.11, float64: x = tensor([[.5,-1,2],[1.5,.25,-.75]]); y = tensor([[.25,0,1],[1,.5,-.5]]);
    l1_loss(y, x) = 0.5416666666666666, mse_loss(y, x) = 0.40625 */
    #[test]
    fn distances_are_the_losses_of_pytorch_for_each_run() {
        let tensor = |values: &[f32]| Tensor::from_slice(values).view([1, 2, 3]).repeat([2, 1, 1]);
        let (x, y) = (tensor(&[0.5, -1.0, 2.0, 1.5, 0.25, -0.75]), tensor(&[0.25, 0.0, 1.0, 1.0, 0.5, -0.5]));
        for (text, expected) in [("", 0.541_666_666), ("distance = \"l2\"", 0.406_25)] {
            let spec = spec(text);
            let distances = Began::new(&[&spec, &spec], Device::Cpu).distances(&x, &y);
            assert_eq!(distances.size(), [2, 2]);
            for run in 0..2 {
                assert!((distances.get(run).mean(Kind::Float).double_value(&[]) - expected).abs() < 1e-6);
            }
        }
    }

    fn players(spec: &BeganSpec, runs: usize) -> Vec<Player> {
        let network: NetworkSpec =
            toml::from_str::<toml::Table>("mlp = { hidden = [3] }").expect("TOML").try_into().expect("a network");
        let optimizer: OptimizerSpec =
            toml::from_str::<toml::Table>("adam = {}").expect("TOML").try_into().expect("an optimizer");
        let wirings = [trial_generator(2), Wiring { role: Role::Autoencoder, ..trial_generator(2) }];
        let player = |(name, wiring): (&'static str, &Wiring)| {
            let mut plan = network.plan(wiring, &InitSpec::Pytorch).expect("it fits");
            plan.params.extend(spec.memory(name, &info()));
            let spec = PlayerSpec {
                name,
                index: 0,
                plan,
                optimizers: vec![optimizer.clone(); runs],
                ema: None,
                clip: None,
                history: None,
            };
            Player::new(spec, &vec![1; runs], Device::Cpu)
        };
        ["generator", "discriminator"].into_iter().zip(&wirings).map(player).collect()
    }

    fn info() -> DataInfo {
        DataInfo::new(vec![2])
    }

    fn trial_generator(latent: usize) -> Wiring {
        Wiring {
            role: Role::Generator,
            input: vec![latent],
            output: vec![2],
            classes: 0,
            labels_at_input: false,
            head: Head::Plain,
        }
    }

    /// Moves the control by these pairs of L(x) and L(G(z)) and gives (k, balance, rate) after each.
    fn followed(specs: &[&BeganSpec], losses: &[(f32, f32)]) -> Vec<Vec<[f32; 3]>> {
        let mut players = players(specs[0], specs.len());
        let mut objective = Began::new(specs, Device::Cpu);
        let seeds = vec![1; specs.len()];
        let mut out = Vec::new();
        for &(real, fake) in losses {
            let column = |value: f32| Tensor::from_slice(&vec![value; specs.len()]);
            objective.real = Some(column(real));
            let mut scalars = Vec::new();
            let mut cx = Cx {
                players: &players,
                moves: &[GENERATOR],
                seeds: &seeds,
                turn: 0,
                clock: 0,
                device: Device::Cpu,
                twin: false,
                bfloat16: false,
                recording: true,
                scalars: &mut scalars,
            };
            objective.follow(&column(fake), &mut cx);
            let of = |name: &str, run: usize| {
                let found = scalars.iter().find(|(known, _)| *known == name);
                found.map_or(1.0, |(_, value)| value.double_value(&[run as i64]) as f32)
            };
            let of_run = |run| [of("began/k", run), of("began/balance", run), of("began/rate", run)];
            out.push((0..specs.len()).map(of_run).collect());
            players[GENERATOR].updates += 1;
        }
        out
    }

    // By hand: k ← clip(k + λ(γ·L(x) − L(G(z))), 0, 1).
    #[test]
    fn k_follows_the_gap_of_each_run_and_stays_within_its_bounds() {
        let (half, all) = (spec("lambda-k = 0.5"), spec("gamma = 1.0\nlambda-k = 0.5"));
        let k: Vec<[f32; 2]> = followed(&[&half, &all], &[(1.0, 0.25), (1.0, 0.75), (4.0, 0.0), (0.0, 9.0)])
            .iter()
            .map(|runs| [runs[0][0], runs[1][0]])
            .collect();
        assert_eq!(k, [[0.125, 0.375], [0.0, 0.5], [1.0, 1.0], [0.0, 0.0]]);
    }

    #[test]
    fn the_balance_is_that_of_the_means() {
        let spec = spec("");
        let balance = followed(&[&spec], &[(1.0, 0.5), (1.0, 0.25)])[1][0][1];
        // (0.99·0.01·0.5 + 0.01·0.25) / (0.99·0.01 + 0.01).
        assert!((balance - 0.374_371_86).abs() < 1e-6, "{balance}");
    }

    // With γ·L(x) = L(G(z)) the measure is L(x): means over two updates 2, 1, 1, 0.5.
    #[test]
    fn rates_are_halved_where_the_measure_stalls() {
        let spec = spec("decay = { every = 2 }");
        let losses = [2.0, 2.0, 1.5, 0.5, 1.0, 1.0, 0.5, 0.5].map(|real| (real, real / 2.0));
        let rates: Vec<f32> = followed(&[&spec], &losses).iter().map(|runs| runs[0][2]).collect();
        assert_eq!(rates, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5]);
    }
}
