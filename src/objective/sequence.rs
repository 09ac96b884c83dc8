//! A text as its symbols one after the other, each with its probability given those before: p(x₁) · p(x₂|x₁) · …
//!
//! The network decides how: recurrent (arXiv:1308.0850 has the setting) or a transformer that looks back (arXiv:1706.03762).
//! One that is told the label y gives p(x|y). With p(y), the share of training examples so far, that is the joint law: texts are
//! as likely as it says of all classes together, and have a class by Bayes' rule.

use super::family::{Family, Surroundings, check_average, floats};
use super::{
    Batch, Cadence, Classify, Cx, Generate, HostNoise, Likelihoods, Nats, Objective, Product, Provides, RealDraw,
    Request, Turn, drawn, log_probabilities, log_sum, pieces, round,
};
use crate::base::{Array, Positive, Problem, host};
use crate::data::{DataInfo, Examples};
use crate::nn::plan::{Head, NetworkPlan, ParamPlan, Role, Wiring};
use crate::nn::{Mode, ParamInit, Scribe};
use crate::player::{EmaSpec, Player};
use crate::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use tch::{Device, Kind, Tensor};

/// A model of sequences of symbols.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SequenceSpec {
    /// Samples are drawn from p^(1/temperature): below 1 likely symbols become likelier. Likelihoods are those of p.
    #[serde(default = "SequenceSpec::temperature")]
    pub temperature: Positive,
    /// Samples are drawn from so many of the likeliest symbols alone; from all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<NonZeroU32>,
    /// Averaged weights, used for samples and likelihoods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
    /// Whether the predictor is told the label, so that the model names classes.
    #[serde(default, skip_serializing_if = "LabelKind::is_none")]
    pub condition: LabelKind,
}

/// How the predictor learns of the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// Not at all.
    #[default]
    None,
    /// A vector a class is added to that of every symbol.
    Embedding,
}

impl LabelKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl SequenceSpec {
    fn labeled(&self) -> bool {
        self.condition == LabelKind::Embedding
    }

    fn temperature() -> Positive {
        Positive::of(1.0)
    }
}

const PREDICTOR: usize = 0;
/// How many training examples of each class there have been: they are the prior.
const SEEN: &str = "seen";
/// Sequences that are written at once: memory stays bounded.
const TOGETHER: usize = 256;

impl Family for SequenceSpec {
    fn tag(&self) -> &'static str {
        "sequence"
    }

    fn players(&self) -> &'static [&'static str] {
        &["predictor"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        if !info.is_text() {
            let message = "`sequence` is for sequences of symbols, and the data has none";
            return Err(Problem::at("algorithm.sequence", message).with_help("take `text` or `markov` as data"));
        }
        if self.labeled() && info.classes == 0 {
            return Err(Problem::at("algorithm.sequence.condition", "the data has no labels to condition on")
                .with_help("say `classes` in `[data]`, or take `condition` out"));
        }
        Ok(vec![Wiring {
            role: Role::Predictor,
            input: info.shape.clone(),
            output: vec![info.shape[0], info.symbols.len()],
            classes: if self.labeled() { info.classes } else { 0 },
            labels_at_input: false,
            head: Head::Plain,
        }])
    }

    fn memory(&self, _player: &str, info: &DataInfo) -> Vec<ParamPlan> {
        if !self.labeled() {
            return vec![];
        }
        let (name, shape, init) = (SEEN.to_owned(), vec![info.classes], ParamInit::Constant(0.0));
        vec![ParamPlan { name, shape, init, learned: false, like: None }]
    }

    fn products(&self) -> &'static [Product] {
        match self.labeled() {
            true => &[Product::Samples, Product::Likelihoods, Product::Classes],
            false => &[Product::Samples, Product::Likelihoods],
        }
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(self.players()).zip(self.ema.as_ref())
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        check_average("algorithm.sequence.ema", self.ema.as_ref(), around.steps).into_iter().collect()
    }

    fn about(&self, _player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let output = [info.shape[0], info.symbols.len()];
        let mut facts = vec![
            ("input", format!("{}, places of symbols", floats(&info.shape))),
            ("output", format!("{}, logits of each symbol given those before it", floats(&output))),
            ("symbols", info.symbols.iter().collect()),
        ];
        if self.labeled() {
            facts.push(("labels", format!("int64 [n], from 0 to {}", info.classes.saturating_sub(1))));
        }
        facts
    }

    fn check_networks(&self, networks: &[&NetworkPlan], _: &DataInfo, _: Surroundings<'_>) -> Vec<Problem> {
        let help = "begin with `embedding`, then layers over sequences alone";
        let wrong = networks[PREDICTOR].check_order().err();
        wrong.map(|message| Problem::at("architecture.predictor", message).with_help(help)).into_iter().collect()
    }
}

/// The log-likelihood for the runs of a pack.
pub struct Sequence {
    specs: Vec<SequenceSpec>,
    places: usize,
    symbols: usize,
    /// How many classes the predictor is told of.
    classes: usize,
    device: Device,
}

impl Sequence {
    /// The objective of a pack, a spec a run.
    pub fn new(specs: &[&SequenceSpec], info: &DataInfo, device: Device) -> Self {
        let classes = if specs[0].labeled() { info.classes } else { 0 };
        let specs = specs.iter().map(|&spec| spec.clone()).collect();
        Self { specs, places: info.shape[0], symbols: info.symbols.len(), classes, device }
    }

    /// log p of each symbol given those before it, `[R, B, T]`.
    fn nats(logits: &Tensor, x: &Tensor) -> Tensor {
        let chosen = x.round().to_kind(Kind::Int64).unsqueeze(-1);
        logits.log_softmax(-1, Kind::Float).gather(-1, &chosen, false).squeeze_dim(-1)
    }

    /// log p of each class and of each of these examples, `[n, classes]` for every run; of the examples alone, `[n, 1]`, where
    /// the predictor is told no label.
    fn joint(&self, players: &[Player], x: &Array, runs: usize, averaged: bool) -> Vec<Array> {
        let player = &players[PREDICTOR];
        let mut all = pieces(runs, x, self.device, |x, _| {
            let nats = |label: Option<i64>| {
                let size = x.size();
                let labels = label.map(|label| Tensor::full([size[0], size[1]], label, (Kind::Int64, x.device())));
                let mut noise = HostNoise { streams: vec![], device: self.device };
                let mode = &mut Mode::evaluation(&mut noise);
                let said = player.forward_averaged(averaged, x, labels.as_ref(), mode);
                Self::nats(&said.out, x).sum_dim_intlist(-1i64, false, Kind::Float)
            };
            match self.classes as i64 {
                0 => nats(None).unsqueeze(-1),
                classes => Tensor::stack(&(0..classes).map(|label| nats(Some(label))).collect::<Vec<_>>(), -1),
            }
        });
        if self.classes > 0 {
            for (run, of_run) in all.iter_mut().enumerate() {
                // As if each class had been seen once before: none is impossible.
                let seen = host::numbers(&(player.memory(SEEN).get(run as i64) + 1.0));
                let whole: f32 = seen.iter().sum();
                for row in of_run.data.chunks_exact_mut(self.classes) {
                    row.iter_mut().zip(&seen).for_each(|(nats, seen)| *nats += (seen / whole).ln());
                }
            }
        }
        all
    }

    /// Sequences of one run, `[n, T]`: symbol t of sequence i is drawn by `chance[i·T + t]`. There is a label for each of the n
    /// where the predictor is told some.
    fn written(
        &self,
        run: usize,
        (plan, params): (&NetworkPlan, &[Tensor]),
        (chance, labels): (&[f32], &[i64]),
        more: &mut dyn FnMut(u64),
    ) -> Array {
        let _guard = tch::no_grad_guard();
        // A symbol is many small operations, on which threads would only wait for each other.
        let threads = tch::get_num_threads();
        tch::set_num_threads(1);
        let n = chance.len() / self.places;
        let mut data = vec![0.0; chance.len()];
        for start in (0..n).step_by(TOGETHER) {
            let len = TOGETHER.min(n - start);
            let labels = labels.get(start..start + len).filter(|some| !some.is_empty());
            let labels = labels.map(|some| Tensor::from_slice(some).to_device(self.device));
            let scribe = Scribe::new(plan, params, len as i64, labels.as_ref());
            let mut scribe = scribe.expect("`check_networks` accepts layers with a step by symbol alone");
            let mut before: Option<Vec<i64>> = None;
            for place in 0..self.places {
                let logits = host::numbers(&scribe.next(before.as_deref()));
                let symbols = (0..len).map(|i| {
                    let at = (start + i) * self.places + place;
                    let symbol = self.choose(run, &logits[i * self.symbols..][..self.symbols], chance[at]);
                    data[at] = symbol as f32;
                    symbol as i64
                });
                before = Some(symbols.collect());
                more(len as u64);
            }
        }
        tch::set_num_threads(threads);
        Array::new(vec![n, self.places], data)
    }

    /// The symbol that a number from 0 to 1 falls to.
    fn choose(&self, run: usize, logits: &[f32], chance: f32) -> usize {
        chosen(logits, self.specs[run].temperature, self.specs[run].top_k, chance)
    }
}

/// The symbol that a number from 0 to 1 falls to, among the `top_k` likeliest where so many are asked for.
pub(super) fn chosen(logits: &[f32], temperature: Positive, top_k: Option<NonZeroU32>, chance: f32) -> usize {
    let least = top_k.map_or(f32::NEG_INFINITY, |k| {
        let mut sorted = logits.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        sorted[(k.get() as usize).min(sorted.len()) - 1]
    });
    let temperature = temperature.get() as f32;
    let kept: Vec<f32> = logits.iter().map(|&v| if v >= least { v / temperature } else { f32::NEG_INFINITY }).collect();
    drawn(kept.iter(), chance)
}

impl Objective for Sequence {
    fn turns(&self) -> &'static [Turn] {
        &[Turn { moves: &[PREDICTOR], cadence: Cadence::Once, real: RealDraw::Fresh }]
    }

    fn loss(&mut self, _turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let labels = batch.labels.as_ref().filter(|_| self.classes > 0);
        if let Some(labels) = labels {
            let _guard = tch::no_grad_guard();
            let seen = labels.unsqueeze(-1).eq_tensor(&Tensor::arange(self.classes as i64, (Kind::Int64, self.device)));
            let mut memory = cx.players[PREDICTOR].memory(SEEN);
            memory += seen.to_kind(Kind::Float).sum_dim_intlist(1i64, false, Kind::Float);
        }
        let logits = cx.forward(PREDICTOR, &batch.x, labels, &mut cx.noise()).out;
        let total = -Self::nats(&logits, &batch.x).mean_dim([1, 2].as_slice(), false, Kind::Float);
        cx.record("sequence/loss", || total.shallow_clone());
        cx.record("sequence/bits", || &total / std::f64::consts::LN_2);
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        vec!["sequence/loss", "sequence/bits"]
    }

    fn provides(&self) -> Provides<'_> {
        Provides {
            samples: Some(self),
            likelihoods: Some(self),
            classes: (self.classes > 0).then_some(self),
            ..Provides::default()
        }
    }
}

impl Generate for Sequence {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        self.generate_slowly(players, request, &mut |_, _| {})
    }

    fn generate_slowly(
        &self,
        players: &[Player],
        request: &Request<'_>,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Vec<Examples> {
        let labels = round(self.classes, request);
        // Symbols.
        let (mut done, all) = (0, (request.seeds.len() * request.n * self.places) as u64);
        let mut more = |symbols: u64| {
            done += symbols;
            tell(done, all);
        };
        let of_run = |(run, mut stream): (usize, Stream)| {
            let mut chance = vec![0.0; request.n * self.places];
            stream.fill_uniform(&mut chance, 0.0, 1.0);
            let (plan, params) = (players[PREDICTOR].plan(), players[PREDICTOR].parameters(request.averaged, run));
            let x = self.written(run, (plan, &params), (&chance, &labels), &mut more);
            Examples { x, labels: labels.clone() }
        };
        request.streams(request.purpose).into_iter().enumerate().map(of_run).collect()
    }
}

impl Classify for Sequence {
    fn classify(&self, players: &[Player], x: &Array, averaged: bool) -> Vec<Array> {
        let mut joint = self.joint(players, x, players[PREDICTOR].runs(), averaged);
        log_probabilities(&mut joint);
        joint
    }
}

impl Likelihoods for Sequence {
    fn likelihoods(
        &self,
        players: &[Player],
        real: &Examples,
        _draws: &[u32],
        seeds: &[u64],
        averaged: bool,
    ) -> Vec<Vec<Nats>> {
        let whole = |joint: Array| {
            let of_row = |i: usize| match joint.row(i) {
                [nats] => *nats,
                row => log_sum(&row.iter().map(|&nats| f64::from(nats)).collect::<Vec<_>>()) as f32,
            };
            vec![Nats { draws: 0, of: (0..joint.rows()).map(of_row).collect() }]
        };
        self.joint(players, &real.x, seeds.len(), averaged).into_iter().map(whole).collect()
    }

    fn kind(&self) -> String {
        format!("mass levels={}", self.symbols)
    }

    fn law(&self) -> String {
        "softmax".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{InitSpec, NetworkSpec};
    use crate::player::PlayerSpec;
    use std::time::{Duration, Instant};

    fn info() -> DataInfo {
        let spec: crate::data::markov::MarkovSpec = toml::from_str("symbols = 5\ncontext = 6").expect("a spec");
        spec.open().expect("a chain").info
    }

    fn model(spec: &str, info: &DataInfo, layers: &str) -> (Sequence, Vec<Player>) {
        tch::set_num_threads(1);
        let spec: SequenceSpec = toml::from_str(spec).expect("a spec");
        let network: NetworkSpec = toml::from_str(&format!("layers = {layers}")).expect("a network");
        let init: InitSpec = toml::from_str("normal = 0.7").expect("an init");
        let wiring = spec.wirings(info).expect("it fits").remove(0);
        let mut plan = network.plan(&wiring, &init).expect("a plan");
        plan.params.extend(spec.memory("predictor", info));
        let of_player = PlayerSpec {
            name: "predictor",
            index: 0,
            plan,
            optimizers: vec![crate::player::OptimizerSpec::still()],
            ema: None,
            clip: None,
            history: None,
        };
        (Sequence::new(&[&spec], info, Device::Cpu), vec![Player::new(of_player, &[3], Device::Cpu)])
    }

    /* torch 2.11, float64: log_softmax of these numbers, the fourth */
    #[test]
    fn what_a_symbol_costs_is_pytorchs_log_softmax() {
        let logits = [-0.952_218_1_f32, 0.245_288_85, 1.217_278_4, 1.070_107_8, -0.060_914_976];
        let logits = Tensor::from_slice(&logits).view([1, 1, 1, 5]);
        let x = Tensor::from_slice(&[3.0f32]).view([1, 1, 1]);
        let found = f64::try_from(Sequence::nats(&logits, &x).view([0; 0])).expect("a number");
        assert!((found - -1.115_769_67).abs() < 1e-6, "{found}");
    }

    #[test]
    fn samples_follow_the_chances_that_the_model_tells() {
        let info = info();
        let (model, players) = model("", &info, "[{ embedding = 3 }, { gru = 4 }, { linear = 5 }]");
        let ask = Request {
            seeds: &[3],
            purpose: crate::rng::Purpose::Eval,
            index: 0,
            n: 20_000,
            label: None,
            averaged: false,
        };
        let drawn = model.generate(&players, &ask).remove(0).x;
        // The chance of the first symbol is that of all sequences which begin with it.
        let first = Examples { x: Array::new(vec![1, 6], vec![0.0; 6]), labels: vec![] };
        let nats = Likelihoods::likelihoods(&model, &players, &first, &[], &[3], false);
        let expected = f64::from(nats[0][0].of[0]).exp();
        let zeros = (0..drawn.rows()).filter(|&i| drawn.row(i).iter().all(|&v| v == 0.0)).count();
        let share = zeros as f64 / drawn.rows() as f64;
        let error = (expected * (1.0 - expected) / drawn.rows() as f64).sqrt();
        assert!((share - expected).abs() < 5.0 * error + 1e-4, "{share} for {expected}");
    }

    /// Over all texts of two symbols, of the law of classes and texts.
    #[test]
    fn a_model_that_is_told_labels_has_a_joint_law_and_classes_by_bayes_rule() {
        let spec: crate::data::markov::MarkovSpec =
            toml::from_str("symbols = 3\ncontext = 2\nclasses = 2").expect("a spec");
        let info = spec.open().expect("a chain").info;
        let (model, mut players) = model("condition = 'embedding'", &info, "[{ embedding = 3 }, { linear = 3 }]");
        players[0].remember(0, SEEN, &[2.0, 5.0]);
        let all: Vec<f32> = (0..9).flat_map(|code| [code / 3, code % 3]).map(|place| place as f32).collect();
        let real = Examples { x: Array::new(vec![9, 2], all), labels: vec![] };
        let joint = model.joint(&players, &real.x, 1, false).remove(0);
        // Of so many seen, with one more of each: 3/9 and 6/9.
        for (class, prior) in [(0, 3.0 / 9.0), (1, 6.0 / 9.0)] {
            let share: f32 = (0..9).map(|i| joint.row(i)[class].exp()).sum();
            assert!((share - prior).abs() < 1e-5, "{class}: {share}");
        }
        let nats = Likelihoods::likelihoods(&model, &players, &real, &[], &[3], false).remove(0).remove(0).of;
        let classes = model.classify(&players, &real.x, false).remove(0);
        for (i, nats) in nats.iter().enumerate() {
            let [a, b] = [0, 1].map(|class| joint.row(i)[class].exp());
            assert!((nats.exp() - a - b).abs() < 1e-6);
            assert!((classes.row(i)[0].exp() - a / (a + b)).abs() < 1e-5);
        }
    }

    #[test]
    fn temperature_and_top_k_choose_among_the_likeliest() {
        let info = info();
        let pick = |spec: &str, chance: f32| {
            model(spec, &info, "[{ embedding = 3 }, { linear = 5 }]").0.choose(0, &[0.0, 1.0, 3.0, 2.0, -1.0], chance)
        };
        // Chances 0.032, 0.086, 0.636, 0.234, 0.012 add up in the order of symbols.
        assert_eq!([0.01, 0.1, 0.5, 0.9, 0.995].map(|chance| pick("", chance)), [0, 1, 2, 3, 4]);
        assert_eq!([0.0, 0.1, 0.9, 0.999].map(|chance| pick("top-k = 1", chance)), [2; 4]);
        // Of the two likeliest, 0.731 and 0.269.
        assert_eq!([0.0, 0.73, 0.74, 0.999].map(|chance| pick("top-k = 2", chance)), [2, 2, 3, 3]);
        assert_eq!([0.01, 0.5, 0.99].map(|chance| pick("temperature = 0.05", chance)), [2; 3]);
    }

    /// Writing keeps what earlier symbols left; asking the whole network anew for each symbol costs several times as much.
    #[test]
    fn writing_is_three_times_as_fast_as_asking_anew() {
        let spec: crate::data::markov::MarkovSpec = toml::from_str("symbols = 8\ncontext = 128").expect("a spec");
        let info = spec.open().expect("a chain").info;
        let layers = "[{ embedding = { width = 64, positions = true } }, { transformer-block = 4 }, \
                      { transformer-block = 4 }, { linear = 8 }]";
        let (model, players) = model("", &info, layers);
        let chance = vec![0.5; 4 * 128];
        let begin = Instant::now();
        let params = players[0].parameters(false, 0);
        let written = model.written(0, (players[0].plan(), &params), (&chance, &[]), &mut |_| {});
        let kept = begin.elapsed();
        let x = Tensor::from_slice(&written.data).view([1, 4, 128]);
        let begin = Instant::now();
        for _ in 0..16 {
            let mut noise = HostNoise { streams: vec![], device: Device::Cpu };
            let mode = &mut Mode::evaluation(&mut noise);
            let _guard = tch::no_grad_guard();
            drop(players[0].forward_averaged(false, &x, None, mode));
        }
        let anew = begin.elapsed() * 8;
        assert!(kept < Duration::from_secs(60) && kept * 3 < anew, "{kept:?} against {anew:?}");
    }
}
