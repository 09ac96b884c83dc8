//! An image as its numbers one after the other, each with the probabilities of its levels given those before: PixelCNN and
//! PixelRNN, which are the same but for the network.
//!
//! Papers: arXiv:1601.06759 (PixelRNN, PixelCNN), arXiv:1606.05328 (gated, conditional).
//!
//! Pixels come in reading order, of a pixel the first color first. The predictor puts out a logit a level of each number:
//! channel l·C + c of its output is level l of color c.

use super::autoencoder::{columns, shown, stacked};
use super::family::{Family, Surroundings, check_average, floats};
use super::{
    Batch, Cadence, Cx, Generate, HostNoise, Likelihoods, Nats, Objective, Panel, PanelRequest, Product, Provides,
    RealDraw, Request, Turn, drawn, of_each, pieces,
};
use crate::base::{Array, Problem, host};
use crate::data::{DataInfo, Examples};
use crate::nn::plan::{Head, NetworkPlan, Role, Wiring};
use crate::nn::{Mode, Raster};
use crate::player::{EmaSpec, Player};
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use tch::{Device, Kind, Tensor};

/// A model of images as numbers one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PixelcnnSpec {
    /// How many levels a number has: all those of the data by default, else so many of them are put together
    /// that this many are left. Images are then modeled, and made, with fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<NonZeroU32>,
    /// Whether the predictor is told the label.
    #[serde(default)]
    pub condition: ClassKind,
    /// Averaged weights, used for samples, completions and likelihoods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}

/// How the predictor learns of the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassKind {
    /// Not at all.
    #[default]
    None,
    /// Masked convolutions have a bias a class (arXiv:1606.05328, equation 4).
    Bias,
}

impl PixelcnnSpec {
    fn labeled(&self) -> bool {
        self.condition == ClassKind::Bias
    }

    /// The levels of a number, and of the data.
    fn levels(&self, info: &DataInfo) -> Result<Levels, Problem> {
        let (Some((low, high)), Some(all)) = (info.range, info.levels) else {
            let message = "`pixelcnn` is for numbers with levels, as pixels have, and the data has none";
            return Err(Problem::at("algorithm.pixelcnn", message).with_help("take images"));
        };
        let kept = self.levels.map_or(all, NonZeroU32::get);
        if kept < 2 || kept > all || all % kept != 0 {
            let message = format!("the data has {all} levels, which cannot be put together to {kept}");
            let divisors: Vec<String> = (2..=all).filter(|n| all % n == 0).map(|n| n.to_string()).collect();
            let help = format!("take {}, or leave `levels` out", divisors.join(" or "));
            return Err(Problem::at("algorithm.pixelcnn.levels", message).with_help(help));
        }
        Ok(Levels { low: f64::from(low), high: f64::from(high), all, kept })
    }
}

/// How numbers of data are levels, and levels numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Levels {
    low: f64,
    high: f64,
    /// Those of the data.
    all: u32,
    /// Those of the model.
    kept: u32,
}

impl Levels {
    /// The level of each number.
    fn of(&self, x: &Tensor) -> Tensor {
        let stored = ((x - self.low) * (f64::from(self.all - 1) / (self.high - self.low))).round();
        let stored = stored.clamp(0.0, f64::from(self.all - 1)).to_kind(Kind::Int64);
        if self.kept == self.all { stored } else { stored.divide_scalar_mode(i64::from(self.all / self.kept), "floor") }
    }

    /// The number of a level; levels are evenly spread over the range.
    fn number(&self, level: f64) -> f64 {
        self.low + level * (self.high - self.low) / f64::from(self.kept - 1)
    }

    /// Numbers as the model has them.
    fn numbers(&self, levels: &Tensor) -> Tensor {
        levels.to_kind(Kind::Float) * ((self.high - self.low) / f64::from(self.kept - 1)) + self.low
    }
}

const PREDICTOR: usize = 0;

impl Family for PixelcnnSpec {
    fn tag(&self) -> &'static str {
        "pixelcnn"
    }

    fn players(&self) -> &'static [&'static str] {
        &["predictor"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        let levels = self.levels(info)?;
        let &[colors, height, width] = &info.shape[..] else {
            let message = format!("`pixelcnn` is for images [channels, height, width]; this is {:?}", info.shape);
            return Err(Problem::at("algorithm.pixelcnn", message).with_help("take images"));
        };
        if self.labeled() && info.classes == 0 {
            return Err(Problem::at("algorithm.pixelcnn.condition", "the data has no labels to condition on")
                .with_help("take data with classes, or remove `condition`"));
        }
        Ok(vec![Wiring {
            role: Role::Predictor,
            input: info.shape.clone(),
            output: vec![levels.kept as usize * colors, height, width],
            classes: if self.labeled() { info.classes } else { 0 },
            labels_at_input: false,
            head: Head::Plain,
        }])
    }

    fn products(&self) -> &'static [Product] {
        &[Product::Samples, Product::Likelihoods]
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(self.players()).zip(self.ema.as_ref())
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        check_average("algorithm.pixelcnn.ema", self.ema.as_ref(), around.steps).into_iter().collect()
    }

    fn about(&self, _player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let kept = self.levels(info).map_or(0, |levels| levels.kept);
        let colors = info.shape[0];
        let output = [&[kept as usize * colors], &info.shape[1..]].concat();
        let mut facts = vec![
            ("input", floats(&info.shape)),
            ("output", format!("{}, logits", floats(&output))),
            ("means", format!("level l of {kept} of color c is channel l*{colors} + c, given the pixels before")),
        ];
        facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
        if self.labeled() {
            facts.push(("labels", format!("int64 [n], from 0 to {}", info.classes.saturating_sub(1))));
        }
        facts
    }

    fn check_networks(&self, networks: &[&NetworkPlan], _: &DataInfo, _: Surroundings<'_>) -> Vec<Problem> {
        let help = "take `pixelcnn`, `row-lstm` or `diagonal-bilstm`, or masked layers and activations alone";
        let wrong = networks[PREDICTOR].check_order().err();
        wrong.map(|message| Problem::at("architecture.predictor", message).with_help(help)).into_iter().collect()
    }
}

/// The use of a preview's random numbers that completions make.
const COMPLETIONS: u32 = 1;
/// Numbers that are kept at once of the images being made: memory stays bounded.
const KEPT: usize = 1 << 26;

/// The log-likelihood for the runs of a pack.
pub struct Pixelcnn {
    spec: PixelcnnSpec,
    levels: Levels,
    info: DataInfo,
    device: Device,
}

impl Pixelcnn {
    /// The objective of a pack, whose runs do not differ in `spec`.
    pub fn new(spec: &PixelcnnSpec, info: &DataInfo, device: Device) -> Self {
        let levels = spec.levels(info).expect("`wirings` has checked the levels");
        Self { spec: spec.clone(), levels, info: info.clone(), device }
    }

    fn labels<'a>(&self, labels: Option<&'a Tensor>) -> Option<&'a Tensor> {
        labels.filter(|_| self.spec.labeled())
    }

    /// log p of each example in nats, `[R, B]`, from the logits that the predictor gives of it.
    fn nats(&self, logits: &Tensor, levels: &Tensor) -> Tensor {
        let size = levels.size();
        let (runs, batch, colors) = (size[0], size[1], size[2]);
        let row: i64 = size[2..].iter().product();
        let by_level = logits.view([runs, batch, i64::from(self.levels.kept), colors, size[3], size[4]]);
        let log_p = by_level.permute([0, 1, 3, 4, 5, 2]).reshape([runs, batch * row, -1]).log_softmax(2, Kind::Float);
        let chosen = log_p.gather(2, &levels.reshape([runs, batch * row, 1]), false);
        chosen.view([runs, batch, row]).sum_dim_intlist(-1i64, false, Kind::Float)
    }

    /// Images of the network with these parameters, `[n, …]`: number k of image i is drawn by `chance[i·row + k]`. The first rows of `known` stay.
    fn painted(
        &self,
        (plan, params): (&NetworkPlan, &[Tensor]),
        chance: &[f32],
        labels: &[i64],
        known: Option<(&Array, usize)>,
        more: &mut dyn FnMut(u64),
    ) -> Array {
        let _guard = tch::no_grad_guard();
        // A pixel is many small operations, on which threads would only wait for each other.
        let threads = tch::get_num_threads();
        tch::set_num_threads(1);
        let row: usize = self.info.shape.iter().product();
        let n = chance.len() / row;
        let mut data = Vec::with_capacity(n * row);
        let together = (KEPT / plan.kept().max(1)).clamp(1, 100);
        for start in (0..n).step_by(together) {
            let len = together.min(n - start);
            let labels = labels.get(start..start + len).map(|some| Tensor::from_slice(some).to_device(self.device));
            let raster = Raster::new(plan, params, len as i64, labels.as_ref());
            let raster = raster.expect("`check_networks` accepts layers with a step by pixel alone");
            let begun = known.map(|(x, rows)| (&x.data[start * row..(start + len) * row], rows));
            data.extend(self.paint(raster, &chance[start * row..(start + len) * row], begun, more));
        }
        tch::set_num_threads(threads);
        Array::new([&[n], &self.info.shape[..]].concat(), data)
    }

    /// The numbers of some images, from the pixels of the first rows where they are known.
    fn paint(
        &self,
        mut raster: Raster,
        chance: &[f32],
        known: Option<(&[f32], usize)>,
        more: &mut dyn FnMut(u64),
    ) -> Vec<f32> {
        let &[colors, height, width] = &self.info.shape[..] else { unreachable!("`wirings` has checked the shape") };
        let (row, kept) = (colors * height * width, self.levels.kept as usize);
        let n = chance.len() / row;
        let (begun, known_rows) = known.unwrap_or((&[], 0));
        let mut data = vec![0.0; n * row];
        let mut pixel = vec![0.0; n * colors];
        for y in 0..height {
            raster.begin_row(y);
            for x in 0..width {
                let place = |image: usize, color: usize| (image * colors + color) * height * width + y * width + x;
                pixel.fill(0.0);
                for color in 0..colors {
                    let before = host::tensor(&pixel, &[n as i64, colors as i64], self.device);
                    // Asked of known pixels too: what it keeps of them is what later ones look at.
                    let logits = raster.see(x, &before);
                    let logits = if y < known_rows { vec![] } else { host::numbers(&logits) };
                    for image in 0..n {
                        let at = place(image, color);
                        let number = match begun.get(at).filter(|_| y < known_rows) {
                            Some(known) => *known,
                            None => {
                                let of_image = &logits[image * kept * colors..][..kept * colors];
                                let level = drawn(of_image[color..].iter().step_by(colors), chance[at]);
                                self.levels.number(level as f64) as f32
                            }
                        };
                        data[at] = number;
                        pixel[image * colors + color] = number;
                    }
                }
                raster.settle(x, &host::tensor(&pixel, &[n as i64, colors as i64], self.device));
            }
            more(n as u64);
        }
        data
    }

    /// The labels that `n` samples have.
    fn labels_of(&self, n: usize, one: Option<i64>) -> Vec<i64> {
        let classes = self.info.classes.max(1);
        if self.spec.labeled() { (0..n).map(|i| one.unwrap_or((i % classes) as i64)).collect() } else { vec![] }
    }

    /// Rows of examples, of their upper halves and of what the model makes of these.
    fn completions(&self, players: &[Player], request: &PanelRequest<'_>, real: &Examples) -> Vec<Array> {
        let x = {
            let head = real.x.head(shown(request.n, 3));
            let numbers = self.levels.numbers(&self.levels.of(&Tensor::from_slice(&head.data)));
            Array::new(head.shape, host::numbers(&numbers))
        };
        let (rows, width, n) = (self.info.shape[1] / 2, self.info.shape[2], x.rows());
        let low = self.levels.low as f32;
        let area = self.info.shape[1] * width;
        let upper = |(at, v): (usize, &f32)| if at % area < rows * width { *v } else { low };
        let half = Array::new(x.shape.clone(), x.data.iter().enumerate().map(upper).collect());
        let labels: Vec<i64> = real.labels.iter().take(n).copied().filter(|_| self.spec.labeled()).collect();
        let of_run = |(run, &seed): (usize, &u64)| {
            let mut chance = vec![0.0; x.data.len()];
            Stream::new(seed, Purpose::Preview, COMPLETIONS, 0).fill_uniform(&mut chance, 0.0, 1.0);
            let (plan, params) = (players[PREDICTOR].plan(), players[PREDICTOR].parameters(request.averaged, run));
            let made = self.painted((plan, &params), &chance, &labels, Some((&x, rows)), &mut |_| {});
            stacked(&self.info, request.n, &x, Some(&half), &made)
        };
        request.seeds.iter().enumerate().map(of_run).collect()
    }
}

impl Objective for Pixelcnn {
    fn turns(&self) -> &'static [Turn] {
        &[Turn { moves: &[PREDICTOR], cadence: Cadence::Once, real: RealDraw::Fresh }]
    }

    fn loss(&mut self, _turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let levels = self.levels.of(&batch.x);
        let x = self.levels.numbers(&levels);
        let logits = cx.forward(PREDICTOR, &x, self.labels(batch.labels.as_ref()), &mut cx.noise()).out;
        let total = -self.nats(&logits, &levels).mean_dim(1i64, false, Kind::Float);
        let row: usize = self.info.shape.iter().product();
        cx.record("pixelcnn/loss", || total.shallow_clone());
        cx.record("pixelcnn/bits", || &total / (row as f64 * std::f64::consts::LN_2));
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        vec!["pixelcnn/loss", "pixelcnn/bits"]
    }

    fn provides(&self) -> Provides<'_> {
        Provides { samples: Some(self), likelihoods: Some(self), ..Provides::default() }
    }

    /// Examples, their upper halves, and these with lower halves of the model's own.
    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        let runs = of_each(request.real, |_, real| self.completions(players, request, real));
        vec![Panel { name: "completions", runs, per_row: Some(columns(request.n)), ..Panel::default() }]
    }
}

impl Generate for Pixelcnn {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        self.generate_slowly(players, request, &mut |_, _| {})
    }

    fn generate_slowly(
        &self,
        players: &[Player],
        request: &Request<'_>,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Vec<Examples> {
        // Rows of pixels.
        let (mut done, all) = (0, (request.seeds.len() * request.n * self.info.shape[1]) as u64);
        let mut more = |rows: u64| {
            done += rows;
            tell(done, all);
        };
        let row: usize = self.info.shape.iter().product();
        let labels = self.labels_of(request.n, request.label);
        let of_run = |(run, stream): (usize, Stream)| {
            let mut stream = stream;
            let mut chance = vec![0.0; request.n * row];
            stream.fill_uniform(&mut chance, 0.0, 1.0);
            let (plan, params) = (players[PREDICTOR].plan(), players[PREDICTOR].parameters(request.averaged, run));
            let x = self.painted((plan, &params), &chance, &labels, None, &mut more);
            Examples { x, labels: labels.clone() }
        };
        request.streams(request.purpose).into_iter().enumerate().map(of_run).collect()
    }
}

impl Likelihoods for Pixelcnn {
    fn likelihoods(
        &self,
        players: &[Player],
        real: &Examples,
        _draws: &[u32],
        seeds: &[u64],
        averaged: bool,
    ) -> Vec<Vec<Nats>> {
        let (player, runs) = (&players[PREDICTOR], seeds.len());
        let all = pieces(runs, &real.x, self.device, |x, start| {
            let n = x.size()[1];
            let labels = real.labels.get(start..start + n as usize).filter(|_| self.spec.labeled());
            let labels = labels.map(|some| {
                let one = Tensor::from_slice(some).to_device(self.device);
                one.expand([runs as i64, n], false).contiguous()
            });
            let levels = self.levels.of(x);
            let mut noise = HostNoise { streams: vec![], device: self.device };
            let mode = &mut Mode::evaluation(&mut noise);
            let said = player.forward_averaged(averaged, &self.levels.numbers(&levels), labels.as_ref(), mode);
            self.nats(&said.out, &levels).unsqueeze(-1)
        });
        all.into_iter().map(|nats| vec![Nats { draws: 0, of: nats.data }]).collect()
    }

    fn kind(&self) -> String {
        format!("mass levels={}", self.levels.kept)
    }

    fn law(&self) -> String {
        "softmax".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ask;
    use super::*;
    use crate::nn::{InitSpec, NetworkSpec};
    use crate::player::PlayerSpec;
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    fn info(shape: [usize; 3], levels: u32) -> DataInfo {
        DataInfo { classes: 2, range: Some((-1.0, 1.0)), levels: Some(levels), ..DataInfo::new(shape.to_vec()) }
    }

    fn model(spec: &str, info: &DataInfo, network: &str) -> (Pixelcnn, Vec<Player>) {
        tch::set_num_threads(1);
        let spec: PixelcnnSpec = toml::from_str(spec).expect("a spec");
        let network: NetworkSpec = toml::from_str(network).expect("a network");
        // Weights that say something at once.
        let init: InitSpec = toml::from_str("normal = 0.7").expect("an init");
        let wiring = spec.wirings(info).expect("it fits").remove(0);
        let plan = network.plan(&wiring, &init).expect("it fits");
        let optimizers = vec![toml::from_str("adam = {}").expect("an optimizer")];
        let name = "predictor";
        let ema = spec.ema.clone().map(|ema| vec![ema]);
        let player = PlayerSpec { name, index: 0, plan, optimizers, ema, clip: None, history: None };
        (Pixelcnn::new(&spec, info, Device::Cpu), vec![Player::new(player, &[5], Device::Cpu)])
    }

    /* torch 2.11, float64: l = sin(arange(48)).reshape(2, 6, 2, 2) * 2
    t = tensor([[[[0,1],[2,0]],[[1,1],[0,2]]],[[[2,2],[1,0]],[[0,1],[2,1]]]])
    (-cross_entropy(l.reshape(2, 3, 2, 2, 2), t, reduction='none')).sum((1,2,3)) */
    #[test]
    fn log_likelihoods_are_the_cross_entropies_of_pytorch() {
        let info = info([2, 2, 2], 3);
        let model = Pixelcnn::new(&toml::from_str("").expect("a spec"), &info, Device::Cpu);
        let logits = (Tensor::arange(48, (Kind::Float, Device::Cpu)).sin() * 2.0).view([1, 2, 6, 2, 2]);
        let levels = Tensor::from_slice(&[0i64, 1, 2, 0, 1, 1, 0, 2, 2, 2, 1, 0, 0, 1, 2, 1]).view([1, 2, 2, 2, 2]);
        let x = model.levels.numbers(&levels);
        assert_eq!(model.levels.of(&x), levels);
        let nats = host::numbers(&model.nats(&logits, &levels));
        for (found, expected) in nats.iter().zip([-18.214329, -8.208525]) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn levels_are_put_together_in_even_shares() {
        let four: PixelcnnSpec = toml::from_str("levels = 4").expect("a spec");
        let levels = four.levels(&info([1, 2, 2], 256)).expect("256 is four times 64");
        let stored = [0.0, 63.0, 64.0, 127.0, 128.0, 255.0f32];
        let x = Tensor::from_slice(&stored) / 127.5 - 1.0;
        let found = levels.of(&x);
        assert_eq!(Vec::<i64>::try_from(&found).expect("whole numbers"), [0, 0, 1, 1, 2, 3]);
        let back = host::numbers(&levels.numbers(&found));
        assert!(
            back.iter().zip([-1.0, -1.0, -1.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6)
        );
        assert!((levels.number(2.0) - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_level_is_drawn_by_its_probability() {
        let logits = [0.0f32, f32::NEG_INFINITY, 3f32.ln()];
        let at = |chance| drawn(logits.iter(), chance);
        assert_eq!([at(0.0), at(0.249), at(0.251), at(0.999_999_9)], [0, 0, 2, 2]);
    }

    /// Over all 2⁴ images, and all 2³ of one pixel with three colors, of each class.
    #[test]
    fn images_come_as_often_as_the_model_says() {
        let networks = [
            "pixelcnn = { channels = 6, layers = 2, first = 3, head = 4 }",
            "pixelcnn = { channels = 6, layers = 2, first = 3, head = 4, gated = true }",
            "row-lstm = { hidden = 6, layers = 2, first = 3, head = 4 }",
            "diagonal-bilstm = { hidden = 6, layers = 2, first = 3, head = 4 }",
        ];
        for (network, shape) in networks.into_iter().flat_map(|one| [(one, [1, 2, 2]), (one, [3, 1, 1])]) {
            let info = info(shape, 2);
            let (model, players) = model("condition = \"bias\"", &info, network);
            let row: usize = shape.iter().product();
            for class in [0i64, 1] {
                let all: Vec<f32> =
                    (0..1 << row).flat_map(|i| (0..row).map(move |k| (2 * (i >> k & 1)) as f32 - 1.0)).collect();
                let every =
                    Examples { x: Array::new([&[1 << row], &shape[..]].concat(), all), labels: vec![class; 1 << row] };
                let said = Likelihoods::likelihoods(&model, &players, &every, &[], &[5], false).remove(0).remove(0);
                let total: f64 = said.of.iter().map(|nats| f64::from(*nats).exp()).sum();
                assert!((said.draws, (total - 1.0).abs() < 1e-4) == (0, true), "{network}: {total}");
                let n = 4000;
                let request =
                    Request { seeds: &[9], purpose: Purpose::Sample, index: 0, n, label: Some(class), averaged: false };
                let made = model.generate(&players, &request).remove(0);
                assert_eq!(made.labels, vec![class; n]);
                let mut counts = vec![0.0; 1 << row];
                for i in 0..n {
                    let bits = made.x.row(i).iter().enumerate();
                    counts[bits.map(|(k, &v)| usize::from(v > 0.0) << k).sum::<usize>()] += 1.0 / n as f64;
                }
                for (count, nats) in counts.iter().zip(&said.of) {
                    let p = f64::from(*nats).exp();
                    // Four deviations of a share of so many.
                    assert!((count - p).abs() < 4.0 * (p / n as f64).sqrt() + 1e-3, "{network}: {count} {p}");
                }
            }
        }
    }

    #[test]
    fn a_completion_keeps_the_upper_half_and_a_sample_does_not_depend_on_how_many_there_are() {
        let info = info([1, 4, 3], 2);
        let (model, players) = model("", &info, "pixelcnn = { channels = 4, layers = 1, first = 3, gated = true }");
        let x: Vec<f32> = (0..24).map(|i| if i % 5 < 2 { 1.0 } else { -1.0 }).collect();
        let real = Examples { x: Array::new(vec![2, 1, 4, 3], x.clone()), labels: vec![] };
        let request = PanelRequest { seeds: &[1], real: &[&real], n: 6, averaged: false };
        let panel = model.panels(&players, &request).remove(0);
        assert_eq!((panel.name, panel.per_row, panel.runs[0].rows()), ("completions", Some(2), 6));
        for i in 0..2 {
            let [real, half, made] = [0, 2, 4].map(|row| panel.runs[0].row(row + i));
            assert_eq!(real, &x[12 * i..12 * (i + 1)]);
            assert_eq!((&half[..6], &half[6..]), (&real[..6], &[-1.0; 6][..]));
            assert_eq!(made[..6], real[..6]);
        }
        let of = |n| {
            let (seeds, purpose) = (&[3][..], Purpose::Preview);
            model.generate(&players, &Request { seeds, purpose, index: 0, n, label: None, averaged: false }).remove(0).x
        };
        assert_eq!(of(5).data[..24], of(2).data[..]);
    }

    #[test]
    fn slow_samples_are_the_same_and_tell_how_far_they_are() {
        let info = info([1, 4, 3], 2);
        let (model, players) = model("", &info, "row-lstm = { hidden = 4, first = 3 }");
        let request = Request { seeds: &[3], purpose: Purpose::Sample, index: 0, n: 5, label: None, averaged: false };
        let mut told = vec![];
        let slow = model.generate_slowly(&players, &request, &mut |done, all| told.push((done, all)));
        assert_eq!(told, [(5, 20), (10, 20), (15, 20), (20, 20)]);
        assert_eq!(slow[0].x, model.generate(&players, &request)[0].x);
    }

    #[test]
    fn averaged_weights_are_those_of_samples_and_likelihoods_where_they_are_asked_for() {
        let info = info([1, 4, 3], 2);
        let network = "diagonal-bilstm = { hidden = 4, first = 3 }";
        let (model, mut players) = model("ema = { decay = 1.0 }", &info, network);
        let real = Examples { x: Array::new(vec![1, 1, 4, 3], vec![1.0; 12]), labels: vec![] };
        let said = |players: &[Player], averaged| {
            let request = Request { seeds: &[3], purpose: Purpose::Sample, index: 0, n: 20, label: None, averaged };
            let nats = Likelihoods::likelihoods(&model, players, &real, &[], &[5], averaged)[0][0].of[0];
            (model.generate(players, &request).remove(0).x, nats)
        };
        let begin = said(&players, false);
        for step in 0..300 {
            let slopes: Vec<Tensor> = players[0].learned().map(Tensor::ones_like).collect();
            players[0].update(&slopes, step, 300, None);
        }
        // All of the average stays where it was.
        assert_eq!(said(&players, true), begin);
        let now = said(&players, false);
        assert!(now.0 != begin.0 && now.1 != begin.1, "weights that moved say the same");
    }

    /// Digits of MNIST's size, with the networks of `experiments/pixelcnn/mnist.toml`, against a pass over whole images for
    /// each pixel; `cargo test -- --nocapture` shows how much less it is.
    #[test]
    fn pixels_from_what_is_kept_cost_a_third_at_most_of_whole_passes() {
        let (side, n, passes) = (28, 20, 4);
        let info = info([1, side, side], 2);
        for network in ["pixelcnn = {}", "pixelcnn = { gated = true }", "row-lstm = {}", "diagonal-bilstm = {}"] {
            let (model, players) = model("", &info, network);
            let request = Request { seeds: &[3], purpose: Purpose::Preview, index: 0, n, label: None, averaged: false };
            let timed = |act: &mut dyn FnMut()| {
                let start = Instant::now();
                act();
                start.elapsed()
            };
            let kept = timed(&mut || drop(model.generate(&players, &request)));
            let x = Array::zeros(vec![n, 1, side, side]);
            let mut whole = Duration::ZERO;
            for _ in 0..passes {
                whole += timed(&mut || {
                    drop(ask(&players[0], false, &x, Device::Cpu));
                });
            }
            let ratio = whole.as_secs_f64() / f64::from(passes) * (side * side) as f64 / kept.as_secs_f64();
            writeln!(std::io::stderr(), "{network}: {ratio:.0} times less, {kept:?} for {n} images")
                .expect("an open stream");
            assert!(ratio > 3.0, "{ratio}, {kept:?}");
        }
    }
}
