//! A pyramid of images, with a game at every level (arXiv:1506.05751, LAPGAN).
//!
//! The coarsest level is a plain GAN. At each finer one a generator sees a plane of noise and the level below, enlarged, and
//! makes the band that is added to it; the discriminator sees the sum. Training takes the level below from the data, so that
//! levels learn apart and side by side; sampling goes up the chain. The game of each level is that of [`super::gan`], judged
//! by a player of its own.
//!
//! A level is the mean over 2×2 pixels of the finer one, and is enlarged by repeating pixels: what is enlarged and halved is
//! what it was, and band + enlarged level is the finer level, to the bit but for rounding.

use super::family::{Family, Part, Surroundings, about_critic, check_average, floats};
use super::gan::{ConditionKind, GanSpec, check_judged, check_targets};
use super::latent::LatentSpec;
use super::{
    Batch, Cadence, Cx, Gan, Generate, HostNoise, Objective, Panel, PanelRequest, Product, Provides, RealDraw, Request,
    Turn, labeled, piece,
};
use crate::base::{Array, Problem, host};
use crate::data::{DataInfo, Examples};
use crate::loss::LossSpec;
use crate::nn::Mode;
use crate::nn::plan::{NetworkPlan, Wiring};
use crate::player::{EmaSpec, Player};
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// A pyramid of images: a generator against a discriminator at every level.
///
/// `generator` and `discriminator` play for the coarsest level. `refiner` and `assessor` are the networks of each finer one, of
/// the same layers at another size: a refiner takes the image of the level below, enlarged, with a plane of noise before its
/// channels, and ends in the band; an assessor takes the sum of both. Those of the second finer level are `refiner-2` and
/// `assessor-2` in checkpoints and for `export`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LapganSpec {
    /// What the coarsest generator is fed; planes of noise are of the same law.
    pub latent: LatentSpec,
    /// How many sizes there are, each with half the sides of the one before: 2 to 5.
    pub levels: u32,
    /// How the players learn of the label.
    #[serde(default)]
    pub condition: ConditionKind,
    /// Averaged weights of the generators of all levels, used for samples and evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}

/// What a finer level has names for.
struct Finer {
    cast: [Part; 2],
    /// What the scalars of a game are called at this level.
    scalars: [(&'static str, &'static str); 8],
}

impl Finer {
    /// What a scalar of a game is called here.
    fn called(&self, name: &str) -> &'static str {
        let known = self.scalars.iter().find(|(plain, _)| *plain == name);
        known.unwrap_or_else(|| panic!("a game reports `{name}`, which has no name at a finer level")).1
    }
}

macro_rules! finer {
    ($suffix:literal) => {
        Finer {
            cast: [
                Part { player: concat!("refiner", $suffix), of: "refiner" },
                Part { player: concat!("assessor", $suffix), of: "assessor" },
            ],
            scalars: [
                ("d/loss", concat!("assessor", $suffix, "/loss")),
                ("d/real", concat!("assessor", $suffix, "/real")),
                ("d/fake", concat!("assessor", $suffix, "/fake")),
                ("d/penalty", concat!("assessor", $suffix, "/penalty")),
                ("d/class", concat!("assessor", $suffix, "/class")),
                ("g/loss", concat!("refiner", $suffix, "/loss")),
                ("g/class", concat!("refiner", $suffix, "/class")),
                ("g/features", concat!("refiner", $suffix, "/features")),
            ],
        }
    };
}

/// The levels above the coarsest, from coarse to fine.
const FINER: [Finer; 4] = [finer!(""), finer!("-2"), finer!("-3"), finer!("-4")];

macro_rules! turns {
    ($($generator:literal $discriminator:literal),*) => {
        &[$(
            Turn { moves: &[$discriminator], cadence: Cadence::Critic, real: RealDraw::Fresh },
            Turn { moves: &[$generator], cadence: Cadence::Generator, real: RealDraw::Last },
        )*]
    };
}

/// The turns of all levels, from coarse to fine. A level's generator comes before its discriminator among the players.
const TURNS: &[Turn] = turns![0 1, 2 3, 4 5, 6 7, 8 9];

impl LapganSpec {
    fn finer(&self) -> &'static [Finer] {
        let count = (self.levels.max(1) - 1) as usize;
        &FINER[..count.min(FINER.len())]
    }

    fn plain(&self) -> GanSpec {
        GanSpec { latent: self.latent.clone(), condition: self.condition, report_slope: false, ema: None }
    }

    /// The data at each level, from coarse to fine.
    fn pyramid(&self, info: &DataInfo) -> Result<Vec<DataInfo>, Problem> {
        let levels = self.finer().len() + 1;
        let &[channels, height, width] = &info.shape[..] else {
            let message = format!("a pyramid is of images, and these examples are of shape {:?}", info.shape);
            return Err(Problem::at("algorithm.lapgan", message));
        };
        let factor = 1usize << (levels - 1);
        if !height.is_multiple_of(factor) || !width.is_multiple_of(factor) {
            let message = format!(
                "a pyramid of {levels} levels needs sides that divide by {factor}; these are {height} × {width}"
            );
            return Err(Problem::at("algorithm.lapgan.levels", message)
                .with_help("take fewer levels, or images of another size"));
        }
        let at = |level: usize| DataInfo { shape: vec![channels, height >> level, width >> level], ..info.clone() };
        Ok((0..levels).rev().map(at).collect())
    }

    /// The law of a plane of noise for an image of this shape.
    fn plane(&self, shape: &[usize]) -> LatentSpec {
        // Sides come from a data set, and its images fit into memory.
        self.latent.of_dim(u32::try_from(shape[1] * shape[2]).unwrap_or(u32::MAX))
    }
}

impl Family for LapganSpec {
    fn tag(&self) -> &'static str {
        "lapgan"
    }

    fn players(&self) -> &'static [&'static str] {
        &["generator", "discriminator", "refiner", "assessor"]
    }

    fn cast(&self) -> Vec<Part> {
        let coarsest = ["generator", "discriminator"].map(|player| Part { player, of: player });
        coarsest.into_iter().chain(self.finer().iter().flat_map(|finer| finer.cast)).collect()
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        let mut wirings = Vec::new();
        for (level, info) in self.pyramid(info)?.iter().enumerate() {
            let mut pair = self.plain().pair(info).map_err(|problem| problem.below("algorithm.lapgan"))?;
            if level > 0 {
                pair[0].input.clone_from(&info.shape);
                pair[0].input[0] += 1;
            }
            wirings.extend(pair);
        }
        Ok(wirings)
    }

    fn products(&self) -> &'static [Product] {
        &[Product::Samples]
    }

    fn is_game(&self) -> bool {
        true
    }

    fn critics(&self) -> &'static [&'static str] {
        &["discriminator", "assessor"]
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(&["generator", "refiner"][..]).zip(self.ema.as_ref())
    }

    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let place = self.cast().iter().position(|part| part.player == player).unwrap_or(0);
        let level = place / 2;
        let infos = self.pyramid(info).unwrap_or_default();
        let info = infos.get(level).unwrap_or(info);
        if place % 2 == 1 {
            return about_critic(info, &[1]);
        }
        let mut facts = self.plain().about("generator", info);
        if level > 0 {
            let mut input = info.shape.clone();
            input[0] += 1;
            facts.retain(|(name, _)| !["input", "range"].contains(name));
            facts.push(("input", floats(&input)));
            facts.push(("channels", "a plane of the latent's law, then the level below, enlarged".to_owned()));
            facts.push(("adds-to", "the level below, enlarged".to_owned()));
        }
        facts
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        let mut wrong = self.latent.check("algorithm.lapgan.latent");
        if let LatentSpec::Stratified(_) = self.latent {
            let message = "evenly spaced points are one number an example, and levels are fed planes of noise";
            wrong.push(Problem::at("algorithm.lapgan.latent", message).with_help("take `normal` or `uniform`"));
        }
        let most = FINER.len() + 1;
        if self.levels < 2 || self.levels as usize > most {
            let message = format!("a pyramid has from 2 to {most} levels, not {}", self.levels);
            wrong.push(Problem::at("algorithm.lapgan.levels", message).with_help("one level is a `gan`"));
        }
        wrong.extend(check_average("algorithm.lapgan.ema", self.ema.as_ref(), around.steps));
        wrong.extend(around.loss.iter().flat_map(|loss| check_targets(loss)));
        wrong
    }

    fn check_networks(&self, networks: &[&NetworkPlan], info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
        // Finer levels have the same layers: one speaks for all.
        let mut judges = networks.iter().skip(1).step_by(2).take(2);
        let wrong = judges.find_map(|judge| Some(check_judged(judge, info, around)).filter(|wrong| !wrong.is_empty()));
        wrong.unwrap_or_default()
    }
}

/// Images `[…, H, W]` at half of their sides: means over 2×2.
fn halved(x: &Tensor) -> Tensor {
    x.flatten(0, 1).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>).unflatten(0, &x.size()[..2])
}

/// Images `[R, B, C, H, W]` at twice their sides: each pixel four times.
fn enlarged(x: &Tensor) -> Tensor {
    let size = x.size();
    let (height, width) = (size[3], size[4]);
    let apart = x.unsqueeze(4).unsqueeze(6);
    let wide = apart.expand([size[0], size[1], size[2], height, 2, width, 2], false);
    wide.reshape([size[0], size[1], size[2], 2 * height, 2 * width])
}

/// The objective for the runs of a pack, which may differ in the weights of its terms.
pub struct Lapgan {
    /// The game of each level, from coarse to fine.
    games: Vec<Gan>,
    latent: LatentSpec,
    /// The law of the noise of each finer level, with its sides.
    planes: Vec<(LatentSpec, [i64; 2])>,
    finer: &'static [Finer],
    classes: usize,
    device: Device,
}

/// Samples that the picture of the chain shows.
const SHOWN: usize = 16;

impl Lapgan {
    /// The objective of a pack; `losses` has one entry a run, all of one shape.
    ///
    /// # Panics
    /// If the data has no such pyramid, which `wirings` has refused.
    pub fn new(spec: &LapganSpec, losses: &[&LossSpec], info: &DataInfo, device: Device) -> Self {
        let infos = spec.pyramid(info).expect("`wirings` has refused data without such a pyramid");
        let game = |(level, info)| Gan::new(&spec.plain(), losses, info, device).judged_by(2 * level + 1);
        let plane = |info: &DataInfo| (spec.plane(&info.shape), [info.shape[1] as i64, info.shape[2] as i64]);
        Self {
            games: infos.iter().enumerate().map(game).collect(),
            latent: spec.latent.clone(),
            planes: infos[1..].iter().map(plane).collect(),
            finer: spec.finer(),
            classes: if spec.condition == ConditionKind::None { 0 } else { info.classes },
            device,
        }
    }

    /// A plane of noise for each example, in front of the channels of `below`, which is as large: what a refiner sees.
    fn fed(&self, level: usize, below: &Tensor, streams: &mut [Stream]) -> Tensor {
        let (law, [height, width]) = &self.planes[level - 1];
        let (runs, n) = (below.size()[0], below.size()[1]);
        let noise = law.draw(streams, n as usize, self.device).view([runs, n, 1, *height, *width]);
        Tensor::cat(&[&noise, below], 2)
    }

    /// The samples of a request at every level, from coarse to fine: `[n, …]` for each run, where `wanted` says so of the level.
    fn climb(
        &self,
        players: &[Player],
        request: &Request<'_>,
        labels: &[i64],
        wanted: impl Fn(usize) -> bool,
    ) -> Vec<Vec<Array>> {
        let _guard = tch::no_grad_guard();
        let (runs, levels) = (request.seeds.len(), self.games.len());
        // Each level draws from streams of its own, so that a sample does not depend on how many there are.
        let stream = |level: u64| move |&seed: &u64| Stream::new(seed, request.purpose, request.index, level);
        let mut streams: Vec<Vec<Stream>> =
            (0..levels as u64).map(|level| request.seeds.iter().map(stream(level)).collect()).collect();
        let mut noise = HostNoise { streams: request.streams(Purpose::Noise), device: self.device };
        let mut out = vec![vec![Vec::new(); runs]; levels];
        let row: usize = players[2 * levels - 2].plan().output.iter().product();
        let piece = piece(row);
        for start in (0..request.n).step_by(piece) {
            let len = piece.min(request.n - start);
            let labels = (!labels.is_empty()).then(|| {
                let some = Tensor::from_slice(&labels[start..start + len]).to_device(self.device);
                some.expand([runs as i64, len as i64], false)
            });
            let mode = &mut Mode::evaluation(&mut noise);
            let mut x = Tensor::new();
            for (level, streams) in streams.iter_mut().enumerate() {
                let mut ask =
                    |z: &Tensor| players[2 * level].forward_averaged(request.averaged, z, labels.as_ref(), mode).out;
                x = if level == 0 {
                    ask(&self.latent.draw(streams, len, self.device))
                } else {
                    let below = enlarged(&x);
                    ask(&self.fed(level, &below, streams)) + below
                };
                if wanted(level) {
                    let numbers = host::numbers(&x);
                    for (out, x) in out[level].iter_mut().zip(numbers.chunks_exact(numbers.len() / runs)) {
                        out.extend_from_slice(x);
                    }
                }
            }
        }
        let of_level = |(level, runs): (usize, Vec<Vec<f32>>)| {
            let shape = [&[if wanted(level) { request.n } else { 0 }], &players[2 * level].plan().output[..]].concat();
            runs.into_iter().map(|data| Array::new(shape.clone(), data)).collect()
        };
        out.into_iter().enumerate().map(of_level).collect()
    }

    /// The labels of a request, where labels play a part.
    fn labels(&self, request: &Request<'_>) -> Vec<i64> {
        match self.classes {
            0 => vec![],
            classes => (0..request.n).map(|i| request.label.unwrap_or((i % classes) as i64)).collect(),
        }
    }
}

impl Objective for Lapgan {
    fn turns(&self) -> &'static [Turn] {
        &TURNS[..2 * self.games.len()]
    }

    fn loss(&mut self, turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let (level, discriminates) = (turn / 2, turn.is_multiple_of(2));
        let game = &self.games[level];
        let above = self.games.len() - 1 - level;
        let x = (0..above).fold(batch.x.shallow_clone(), |x, _| halved(&x));
        let batch = Batch { x, labels: batch.labels.as_ref().map(Tensor::shallow_clone) };
        if level == 0 {
            return if discriminates { game.discriminator_loss(&batch, cx) } else { game.generator_loss(&batch, cx) };
        }
        let reported = cx.scalars.len();
        let labels = batch.labels.as_ref().filter(|_| self.classes > 0);
        let mut noise = cx.noise();
        let below = enlarged(&halved(&batch.x));
        let fed = self.fed(level, &below, &mut cx.streams(Purpose::Latent));
        let fake = cx.forward(2 * level, &fed, labels, &mut noise).out + below;
        let loss = if discriminates {
            game.discriminator_loss_on(&batch, &fake, labels, cx, &mut noise)
        } else {
            game.generator_loss_on(&batch, &fake, labels, cx, &mut noise)
        };
        for (name, _) in &mut cx.scalars[reported..] {
            *name = self.finer[level - 1].called(name);
        }
        loss
    }

    fn scalars(&self) -> Vec<&'static str> {
        let plain = self.games[0].scalars();
        let here = |finer: &'static Finer| {
            let of = |name: &&'static str| finer.called(name);
            plain.iter().map(of).collect::<Vec<_>>()
        };
        plain.iter().copied().chain(self.finer.iter().flat_map(here)).collect()
    }

    fn provides(&self) -> Provides<'_> {
        Provides { samples: Some(self), ..Provides::default() }
    }

    /// Samples at every level, the coarsest above, all enlarged to one size.
    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        let n = SHOWN.min(request.n);
        let request = request.samples(n);
        let levels = self.climb(players, &request, &self.labels(&request), |_| true);
        let last = levels.len() - 1;
        let shape = [&[levels.len() * n], &levels[last][0].shape[1..]].concat();
        let of_run = |run: usize| {
            let large = |(level, arrays): (usize, &Vec<Array>)| {
                let shape: Vec<i64> = [1].into_iter().chain(arrays[run].shape.iter().map(|&n| n as i64)).collect();
                let x = host::tensor(&arrays[run].data, &shape, Device::Cpu);
                host::numbers(&(level..last).fold(x, |x, _| enlarged(&x)))
            };
            Array::new(shape.clone(), levels.iter().enumerate().flat_map(large).collect())
        };
        vec![Panel {
            name: "chain",
            runs: (0..request.seeds.len()).map(of_run).collect(),
            per_row: Some(n),
            ..Panel::default()
        }]
    }
}

impl Generate for Lapgan {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let (labels, last) = (self.labels(request), self.games.len() - 1);
        let finest = self.climb(players, request, &labels, |level| level == last).pop();
        labeled(finest.expect("there is a finest level"), &labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{InitSpec, NetworkSpec};
    use crate::player::{OptimizerSpec, PlayerSpec};

    fn spec(text: &str) -> LapganSpec {
        toml::from_str(&format!("latent = {{ normal = {{ dim = 2, mean = 0.5, std = 0.0 }} }}\n{text}"))
            .expect("a spec")
    }

    fn info(shape: &[usize]) -> DataInfo {
        DataInfo::new(shape.to_vec())
    }

    /// sin(phase + 0.7·i) / 2 for each of so many numbers.
    fn wave(phase: usize, n: usize) -> Vec<f32> {
        (0..n).map(|i| ((phase as f64 + 0.7 * i as f64).sin() / 2.0) as f32).collect()
    }

    /// Two levels of linear layers, whose weights are waves.
    fn players(spec: &LapganSpec, info: &DataInfo) -> Vec<Player> {
        let networks = [
            "layers = [{ linear = 4 }]",
            "layers = [{ linear = 1 }]",
            "layers = [{ conv = { out = 1, kernel = 3, padding = 1 } }]",
            "layers = [{ linear = 1 }]",
        ];
        let read = |text: &str| toml::from_str::<toml::Table>(text).expect("TOML");
        let optimizer: OptimizerSpec = read("sgd = { lr = 1.0 }").try_into().expect("an optimizer");
        let wirings = spec.wirings(info).expect("the pyramid fits");
        let parts = networks.iter().zip(&wirings).zip(spec.cast()).zip(0..);
        let player = |(((text, wiring), part), index): (((&&str, &Wiring), Part), u32)| {
            let network: NetworkSpec = read(text).try_into().expect("a network");
            let plan = network.plan(wiring, &InitSpec::Pytorch).expect("it fits");
            let optimizers = vec![optimizer.clone()];
            let spec = PlayerSpec { name: part.player, index, plan, optimizers, ema: None, clip: None, history: None };
            let mut player = Player::new(spec, &[1], Device::Cpu);
            let mut place = 0;
            let state = player.state(0).into_iter().map(|named| {
                let data = wave(3 * index as usize + place, named.data.len());
                place += 1;
                (named.name, (named.shape, data))
            });
            let state = state.collect();
            player.load(0, &state).expect("the state is the player's own");
            player
        };
        parts.map(player).collect()
    }

    /* torch 2.11, float64: wave = lambda phase, *shape: (sin(phase + .7 * arange(Size(shape).numel())) / 2).view(shape)
    x = sin(.3 + .37 * arange(32.)).view(2, 1, 4, 4); half = avg_pool2d(x, 2); low = interpolate(half, scale_factor=2)
    g = (full((2, 2), .5) @ wave(0, 2, 4) + wave(1, 4)).view(2, 1, 2, 2)
    d = lambda x, p: x.flatten(1) @ wave(p, x[0].numel(), 1) + wave(p + 1, 1)
    add = lambda low: low + conv2d(cat([full((2, 1, 4, 4), .5), low], 1), wave(6, 1, 2, 3, 3), wave(7, 1), padding=1)
    for real, fake, p in [(half, g, 3), (x, add(low), 9)]:
        (softplus(-d(real, p)) + softplus(d(fake, p))).mean(), softplus(-d(fake, p)).mean()
    add(interpolate(g, scale_factor=2))[0].flatten()[[0, 5, 10, 15]] */
    #[test]
    fn losses_and_samples_of_both_levels_are_those_of_pytorch() {
        let (spec, info) = (spec("levels = 2"), info(&[1, 4, 4]));
        let players = players(&spec, &info);
        let loss: LossSpec = toml::from_str("adversarial = \"non-saturating\"").expect("a loss");
        let mut objective = Lapgan::new(&spec, &[&loss], &info, Device::Cpu);
        let x: Vec<f32> = (0..32).map(|i| (0.3 + 0.37 * f64::from(i)).sin() as f32).collect();
        let batch = Batch { x: Tensor::from_slice(&x).view([1, 2, 1, 4, 4]), labels: None };
        let mut scalars = Vec::new();
        let expected = [1.075_238_955, 1.079_048_899, 1.787_982_529, 0.401_955_961];
        assert_eq!(objective.turns().len(), 4);
        for (turn, expected) in expected.into_iter().enumerate() {
            let mut cx = Cx {
                players: &players,
                moves: objective.turns()[turn].moves,
                seeds: &[1],
                turn: 0,
                clock: 0,
                device: Device::Cpu,
                twin: false,
                bfloat16: false,
                recording: true,
                scalars: &mut scalars,
            };
            let found = objective.loss(turn, &batch, &mut cx).double_value(&[0]);
            assert!((found - expected).abs() < 1e-6, "turn {turn}: {found}");
        }
        let mut reported: Vec<&str> = scalars.iter().map(|(name, _)| *name).collect();
        let mut columns = objective.scalars();
        reported.sort_unstable();
        columns.sort_unstable();
        assert_eq!(reported, columns);
        let request = Request { seeds: &[1], purpose: Purpose::Eval, index: 0, n: 3, label: None, averaged: false };
        let samples = objective.generate(&players, &request).remove(0).x;
        assert_eq!(samples.shape, [3, 1, 4, 4]);
        for (place, expected) in [(0, 0.170_176_744), (5, 1.179_115_793), (10, 0.679_384_052), (15, 0.731_893_776)] {
            assert!((samples.row(2)[place] - expected as f32).abs() < 1e-6, "{samples:?}");
        }
    }

    #[test]
    fn a_level_that_is_enlarged_and_halved_is_what_it_was_and_the_band_gives_the_finer_one_back() {
        let fine = Tensor::from_slice(&wave(2, 96)).view([1, 2, 3, 4, 4]);
        let coarse = halved(&fine);
        assert!(halved(&enlarged(&coarse)).equal(&coarse));
        let back = (&fine - enlarged(&coarse)) + enlarged(&coarse);
        assert!((back - fine).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn a_sample_does_not_depend_on_how_many_are_asked_for() {
        let spec: LapganSpec = toml::from_str("latent = { normal = { dim = 2 } }\nlevels = 2").expect("a spec");
        let info = info(&[1, 4, 4]);
        let players = players(&spec, &info);
        let loss: LossSpec = toml::from_str("adversarial = \"hinge\"").expect("a loss");
        let objective = Lapgan::new(&spec, &[&loss], &info, Device::Cpu);
        let drawn = |n: usize| {
            let request = Request { seeds: &[3], purpose: Purpose::Sample, index: 0, n, label: None, averaged: false };
            objective.generate(&players, &request).remove(0).x
        };
        let (few, many) = (drawn(3), drawn(1200));
        // Products of a larger batch round otherwise.
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(few.data.iter().zip(&many.data).all(near));
        assert_ne!(many.row(0), many.row(1100));
    }
}
