//! An encoder and a decoder that puts together again what the encoder took apart: of clean examples, or of noisy ones as
//! the denoising autoencoder does (Vincent et al., ICML 2008).

use super::family::{Family, Surroundings, floats};
use super::likelihood::{check_reach, probability};
use super::{
    Batch, Cadence, Cx, Examine, HostNoise, Objective, Panel, PanelRequest, Product, Provides, RealDraw, Reconstruct,
    Turn, column, features, of_each, pieces,
};
use crate::base::{Array, Each, Positive, Probability, Problem, host};
use crate::data::{DataInfo, Examples, Source};
use crate::loss;
use crate::nn::plan::{Head, NetworkPlan, Role, Wiring};
use crate::nn::{Mode, Noise as _};
use crate::player::Player;
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// An encoder and a decoder that puts together again what it took apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AutoencoderSpec {
    /// How many numbers the code has.
    pub latent: u32,
    /// What is wrong with a reconstruction, a mean over its numbers.
    #[serde(default)]
    pub error: ErrorKind,
    /// What is done to examples before the encoder sees them; the decoder is to give them back as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Each<NoiseSpec>>,
}

/// What is wrong with a reconstruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// (x − x̂)².
    #[default]
    Squared,
    /// −x·log x̂ − (1 − x)·log(1 − x̂) with x̂ = σ(output), for data from 0 to 1.
    CrossEntropy,
}

/// What makes examples worse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum NoiseSpec {
    /// N(0, std²) is added to each number.
    Gaussian(Positive),
    /// This share of the numbers becomes the lower end of the data's range (black), or 0 where there is none.
    Masking(Probability),
}

impl NoiseSpec {
    fn amount(self) -> f64 {
        match self {
            Self::Gaussian(std) => std.get(),
            Self::Masking(share) => share.get(),
        }
    }

    /// Its name and amount in a protocol.
    pub fn name(self) -> String {
        match self {
            Self::Gaussian(std) => format!("gaussian={}", std.get()),
            Self::Masking(share) => format!("masking={}", share.get()),
        }
    }

    /// Examples `[R, B, …]` made worse by one amount per run, `[R]`; `low` is what masking makes of a number, `[R]`.
    fn spoil(self, x: &Tensor, amount: &Tensor, low: &Tensor, noise: &mut HostNoise) -> Tensor {
        let size = x.size();
        let column: Vec<i64> = std::iter::once(size[0]).chain(std::iter::repeat_n(1, size.len() - 1)).collect();
        let [amount, low] = [amount, low].map(|of| of.view(&column[..]));
        match self {
            Self::Gaussian(_) => noise.normal(&size[1..]) * amount + x,
            Self::Masking(_) => {
                let kept = noise.uniform(&size[1..]).ge_tensor(&amount).to_kind(Kind::Float);
                (x - &low) * kept + low
            }
        }
    }

    /// Reference examples made worse, the same for every run.
    pub fn spoiled(self, x: &Array, info: &DataInfo) -> Array {
        self.spoiled_by(self.amount() as f32, lowest(info) as f32, x)
    }

    fn spoiled_by(self, amount: f32, low: f32, x: &Array) -> Array {
        let shape: Vec<i64> = std::iter::once(1).chain(x.shape.iter().map(|&n| n as i64)).collect();
        let mut noise = HostNoise { streams: vec![Stream::new(0, Purpose::Eval, NOISE, 0)], device: Device::Cpu };
        let clean = host::tensor(&x.data, &shape, Device::Cpu);
        let [amount, low] = [amount, low].map(|of| Tensor::from_slice(&[of]));
        Array::new(x.shape.clone(), host::numbers(&self.spoil(&clean, &amount, &low, &mut noise)))
    }
}

/// The use of evaluation's random numbers.
const NOISE: u32 = 2;

/// What masking makes of a number.
fn lowest(info: &DataInfo) -> f64 {
    info.range.map_or(0.0, |(low, _)| f64::from(low))
}

/// The encoder's place among the players.
pub(super) const ENCODER: usize = 0;
/// The decoder's place among the players.
pub(super) const DECODER: usize = 1;

/// The wirings of an encoder and a decoder without labels.
pub(super) fn wirings(info: &DataInfo, code: usize, latent: usize, output: Vec<usize>, head: Head) -> [Wiring; 2] {
    let encoder = Wiring {
        role: Role::Encoder,
        input: info.shape.clone(),
        output: vec![code],
        classes: 0,
        labels_at_input: false,
        head: Head::Plain,
    };
    let decoder = Wiring { role: Role::Decoder, input: vec![latent], output, head, ..encoder.clone() };
    [encoder, decoder]
}

impl Family for AutoencoderSpec {
    fn tag(&self) -> &'static str {
        "autoencoder"
    }

    fn players(&self) -> &'static [&'static str] {
        &["encoder", "decoder"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        let bits = info.range.is_some_and(|(low, high)| low >= 0.0 && high <= 1.0);
        if self.error == ErrorKind::CrossEntropy && !bits {
            let range =
                info.range.map_or("has no bounds".to_owned(), |(low, high)| format!("lies from {low} to {high}"));
            let message = format!("`cross-entropy` is for numbers from 0 to 1, and the data {range}");
            let problem = Problem::at("algorithm.autoencoder.error", message);
            return Err(problem.with_help("write `normalize = [0, 1]` in `[data]`, or take `squared`"));
        }
        let latent = self.latent as usize;
        Ok(wirings(info, latent, latent, info.shape.clone(), Head::Plain).into())
    }

    fn products(&self) -> &'static [Product] {
        &[Product::Reconstructions, Product::Features]
    }

    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let code = floats(&[self.latent as usize]);
        let mut facts = match player {
            "encoder" => vec![("input", floats(&info.shape)), ("output", code)],
            _ => vec![("input", code), ("output", floats(&info.shape))],
        };
        if player == "decoder" && self.error == ErrorKind::CrossEntropy {
            facts.push(("means", "1/(1 + exp(-output))".to_owned()));
        }
        facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
        facts
    }

    fn check(&self, _: Surroundings<'_>) -> Vec<Problem> {
        check_latent("algorithm.autoencoder.latent", self.latent)
    }

    fn check_networks(&self, networks: &[&NetworkPlan], info: &DataInfo, _: Surroundings<'_>) -> Vec<Problem> {
        let everything = (f32::NEG_INFINITY, f32::INFINITY);
        let (wanted, what) = match self.error {
            ErrorKind::Squared => (info.range.unwrap_or(everything), "a number of this data"),
            ErrorKind::CrossEntropy => (everything, "a logit"),
        };
        check_reach(networks[DECODER], wanted, what).into_iter().collect()
    }
}

/// A code of nothing.
pub(super) fn check_latent(path: &str, latent: u32) -> Vec<Problem> {
    if latent > 0 { vec![] } else { vec![Problem::at(path, "expected 1 or more, got 0")] }
}

/// The reconstruction error for the runs of a pack.
pub struct Autoencoder {
    error: ErrorKind,
    noise: Option<Spoiling>,
    info: DataInfo,
    device: Device,
}

/// What is done to examples before the encoder sees them.
struct Spoiling {
    kind: NoiseSpec,
    /// How much per run, `[R]`.
    amount: Tensor,
    /// What masking makes of a number, per run, `[R]`.
    low: Tensor,
}

impl Autoencoder {
    /// The objective of a pack; `specs` and `sources` have one entry per run.
    pub fn new(specs: &[&AutoencoderSpec], sources: &[Arc<dyn Source>], device: Device) -> Self {
        let noise = specs[0].noise.as_ref().map(|first| Spoiling {
            kind: *first.own(),
            amount: column(specs.iter().filter_map(|spec| Some(spec.noise.as_ref()?.own().amount())), device),
            low: column(sources.iter().map(|source| lowest(source.info())), device),
        });
        Self { error: specs[0].error, noise, info: sources[0].info().clone(), device }
    }

    /// What becomes of each run's examples `[R, n, …]`.
    fn rebuilt(&self, players: &[Player], x: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let mut noise = HostNoise { streams: vec![], device: self.device };
        let mode = &mut Mode::evaluation(&mut noise);
        let code = players[ENCODER].forward_averaged(false, x, None, mode).out;
        let out = players[DECODER].forward_averaged(false, &code, None, mode).out;
        if self.error == ErrorKind::CrossEntropy { probability(&out) } else { out }
    }
}

impl Objective for Autoencoder {
    fn turns(&self) -> &'static [Turn] {
        &[Turn { moves: &[ENCODER, DECODER], cadence: Cadence::Once, real: RealDraw::Fresh }]
    }

    fn loss(&mut self, _turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let mut noise = cx.noise();
        let seen = match &self.noise {
            None => batch.x.shallow_clone(),
            Some(Spoiling { kind, amount, low }) => kind.spoil(&batch.x, amount, low, &mut noise),
        };
        let code = cx.forward(ENCODER, &seen, None, &mut noise).out;
        let out = cx.forward(DECODER, &code, None, &mut noise).out;
        let wrong = match self.error {
            ErrorKind::Squared => (out - &batch.x).square(),
            ErrorKind::CrossEntropy => loss::softplus(&out) - &batch.x * &out,
        };
        let total = wrong.flatten(1, -1).mean_dim(1i64, false, Kind::Float);
        cx.record("autoencoder/loss", || total.shallow_clone());
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        vec!["autoencoder/loss"]
    }

    fn provides(&self) -> Provides<'_> {
        Provides { reconstructions: Some(self), features: Some(self), ..Provides::default() }
    }

    /// Rows of examples, of what the encoder sees where that is noisy, and of what becomes of them.
    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        let runs = players[DECODER].runs();
        let noise = self.noise.as_ref();
        let noise = noise.map(|of| (of.kind, host::numbers(&of.amount), host::numbers(&of.low)));
        let beside = |_: usize, real: &Examples| {
            let clean = real.x.head(shown(request.n, if noise.is_some() { 3 } else { 2 }));
            // Each run sees its own noise, whichever pack it is in.
            let seen: Vec<Option<Array>> = (0..runs)
                .map(|run| noise.as_ref().map(|(kind, amount, low)| kind.spoiled_by(amount[run], low[run], &clean)))
                .collect();
            let all: Vec<f32> = seen.iter().flat_map(|seen| &seen.as_ref().unwrap_or(&clean).data).copied().collect();
            let shape: Vec<i64> = [runs].iter().chain(&clean.shape).map(|&n| n as i64).collect();
            let made = host::numbers(&self.rebuilt(players, &host::tensor(&all, &shape, self.device)));
            (seen.iter().zip(made.chunks_exact(clean.data.len().max(1))))
                .map(|(seen, made)| {
                    let made = Array::new(clean.shape.clone(), made.to_vec());
                    stacked(&self.info, request.n, &clean, seen.as_ref(), &made)
                })
                .collect()
        };
        let name = if self.noise.is_some() { "denoised" } else { "reconstructions" };
        vec![Panel {
            name,
            runs: of_each(request.real, beside),
            per_row: self.info.is_image().then(|| columns(request.n)),
            ..Panel::default()
        }]
    }
}

impl Examine for Autoencoder {
    fn features(&self, players: &[Player], x: &Array, every: bool) -> Vec<Option<Array>> {
        features(&players[ENCODER], x, every, self.device)
    }
}

impl Reconstruct for Autoencoder {
    fn reconstruct(&self, players: &[Player], real: &Examples) -> Vec<Array> {
        let runs = players[DECODER].runs();
        pieces(runs, &real.x, self.device, |x, _| self.rebuilt(players, x))
    }
}

/// Examples a row of a picture that holds so many.
pub(super) fn columns(n: usize) -> usize {
    n.isqrt().clamp(1, 10)
}

/// How many examples fit into a picture of so many where each is shown so often.
pub(super) fn shown(n: usize, times: usize) -> usize {
    let columns = columns(n);
    (n / (times * columns)).max(1) * columns
}

/// Images row by row: the examples, what was seen of them, what became of them. Of points only what became of them.
pub(super) fn stacked(info: &DataInfo, n: usize, clean: &Array, seen: Option<&Array>, made: &Array) -> Array {
    if !info.is_image() {
        return made.clone();
    }
    let (columns, row) = (columns(n), made.row_len());
    let mut data = Vec::new();
    for start in (0..made.rows()).step_by(columns) {
        let end = (start + columns).min(made.rows());
        for part in [Some(clean), seen, Some(made)].into_iter().flatten() {
            data.extend_from_slice(&part.data[start * row..end * row]);
            // A short last row stays in step with those above it.
            data.resize(data.len() + (columns - (end - start)) * row, info.range.map_or(0.0, |(low, _)| low));
        }
    }
    Array::new([&[data.len() / row.max(1)], &made.shape[1..]].concat(), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> DataInfo {
        DataInfo { range: Some((-1.0, 1.0)), levels: Some(256), ..DataInfo::new(vec![1, 2, 2]) }
    }

    #[test]
    fn noise_has_its_deviation_and_masking_its_share_of_black() {
        let x = Array::new(vec![5000, 1, 2, 2], vec![0.5; 20_000]);
        let noisy = NoiseSpec::Gaussian(Positive::of(0.3)).spoiled(&x, &info());
        let square: f32 = noisy.data.iter().map(|v| (v - 0.5).powi(2)).sum::<f32>() / 20_000.0;
        assert!((square.sqrt() - 0.3).abs() < 0.01, "{square}");
        let masked = NoiseSpec::Masking(Probability::of(0.25)).spoiled(&x, &info());
        assert!(masked.data.iter().all(|&v| v == -1.0 || v == 0.5));
        let share = masked.data.iter().filter(|&&v| v == -1.0).count() as f64 / 20_000.0;
        assert!((share - 0.25).abs() < 0.02, "{share}");
        assert_eq!(masked, NoiseSpec::Masking(Probability::of(0.25)).spoiled(&x, &info()));
    }

    #[test]
    fn pictures_have_each_example_above_what_became_of_it() {
        let count = |from: f32| Array::new(vec![6, 1, 2, 2], (0..24).map(|i| from + (i / 4) as f32).collect());
        assert_eq!((columns(16), shown(16, 2), shown(64, 3), shown(1, 2)), (4, 8, 16, 1));
        let picture = stacked(&info(), 16, &count(0.0), None, &count(10.0));
        let firsts: Vec<f32> = (0..picture.rows()).map(|i| picture.row(i)[0]).collect();
        let black = -1.0;
        let expected =
            [[0.0, 1.0, 2.0, 3.0], [10.0, 11.0, 12.0, 13.0], [4.0, 5.0, black, black], [14.0, 15.0, black, black]];
        assert_eq!(firsts, expected.concat());
    }
}
