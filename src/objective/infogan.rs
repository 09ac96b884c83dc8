//! InfoGAN (arXiv:1606.03657): part of the generator's input are codes, and a recognition network on top of the
//! discriminator's features has to read them off what the generator makes. All of the game is that of [`super::gan`].
//!
//! Turns and losses are those of the official code (openai/InfoGAN): the discriminator and the recognition network
//! maximize the bound on the mutual information together, over the fakes of their turn, and so does the generator.

use super::family::{Family, Surroundings, about_critic, check_average, floats};
use super::gan::{ConditionKind, DISCRIMINATOR, GENERATOR, GanSpec, check_judged, check_targets};
use super::latent::LatentSpec;
use super::{
    Batch, Cadence, Codes, Cx, Decode, Encode, Examine, Gan, Generate, HostNoise, Latents, Objective, Panel,
    PanelRequest, Product, Provides, RealDraw, Request, Turn, asked, column, decoded_by, features, labeled, made,
};
use crate::base::{Array, Each, NonNegative, Problem, bare_number, host, or_integer};
use crate::data::{DataInfo, Examples};
use crate::loss::{self, LossSpec};
use crate::nn::plan::{Head, NetworkPlan, Role, Wiring};
use crate::player::{EmaSpec, Player};
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// A generator against a discriminator, with codes that can be read off what it makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InfoGanSpec {
    /// What the generator is fed beside its codes.
    pub latent: LatentSpec,
    /// The codes, which follow the latent in the generator's input.
    pub codes: Vec<CodeSpec>,
    /// What the weights of all codes are multiplied by in the generator's loss: 0 is a plain GAN whose codes a recognition
    /// network tries to read (the comparison of figure 1).
    #[serde(default = "one")]
    pub generator_weight: Each<NonNegative>,
    /// Averaged weights of the generator, used for samples and evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}

fn one() -> Each<NonNegative> {
    Each::new(NonNegative::of(1.0))
}

/// A code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum CodeSpec {
    /// One of so many, all as likely.
    Categorical(CategoricalCode),
    /// Numbers from an interval.
    Continuous(ContinuousCode),
}

/// A categorical code: log K − cross-entropy is the bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "CategoricalCode", transform = or_integer)]
pub struct CategoricalCode {
    /// K, how many values it has.
    pub classes: u32,
    /// λ, the factor on its bound; 1 in the paper.
    #[serde(default = "one")]
    pub weight: Each<NonNegative>,
}
bare_number!(CategoricalCode, classes, "a count of classes, or a table with `classes`");

/// A continuous code, U(low, high) in each dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "ContinuousCode", transform = or_integer)]
pub struct ContinuousCode {
    /// The count of dimensions.
    pub dim: u32,
    /// λ, the factor on its bound: 1 in the official code; the paper speaks of a smaller one without saying it.
    #[serde(default = "one")]
    pub weight: Each<NonNegative>,
    /// The lower bound of its values.
    #[serde(default = "ContinuousCode::low")]
    pub low: f64,
    /// The upper bound.
    #[serde(default = "ContinuousCode::high")]
    pub high: f64,
    /// Which Gaussian the recognition network answers with.
    #[serde(default)]
    pub deviation: DeviationKind,
}
bare_number!(ContinuousCode, dim, "a count of dimensions, or a table with `dim`");

impl ContinuousCode {
    fn low() -> f64 {
        -1.0
    }
    fn high() -> f64 {
        1.0
    }
}

/// The deviation of the Gaussian that a continuous code is read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviationKind {
    /// 1, as in the official code, which also takes the code's own law for N(0, 1) where it reports the information: what
    /// is reported is `½(c² − (c − μ)²)` in each dimension, `E[c²]/2` at most.
    #[default]
    Fixed,
    /// σ = exp(·), which the network says beside the mean, as in the paper; the bound is that of the code's true law.
    Learned,
}

impl CodeSpec {
    /// How many numbers of the generator's input it is.
    fn width(&self) -> usize {
        match self {
            Self::Categorical(code) => code.classes as usize,
            Self::Continuous(code) => code.dim as usize,
        }
    }

    /// How many numbers the recognition network says of it.
    fn said(&self) -> usize {
        match self {
            Self::Continuous(code) if code.deviation == DeviationKind::Learned => 2 * self.width(),
            _ => self.width(),
        }
    }

    fn weight(&self) -> f64 {
        match self {
            Self::Categorical(code) => code.weight,
            Self::Continuous(code) => code.weight,
        }
        .own()
        .get()
    }

    /// A lower bound on what `said` (`[R, B, said]`) tells of the code, in nats: `[R]`. `fed` are the true values, `[R, B]`
    /// of a categorical code and `[R, B, dim]` of a continuous one.
    fn information(&self, said: &Tensor, fed: &Tensor) -> Tensor {
        let code = match self {
            Self::Categorical(code) => return f64::from(code.classes).ln() - loss::cross_entropy(said, fed),
            Self::Continuous(code) => code,
        };
        let dim = i64::from(code.dim);
        let miss = fed - said.narrow(2, 0, dim);
        let nats = match code.deviation {
            DeviationKind::Fixed => (fed.square() - miss.square()) * 0.5,
            DeviationKind::Learned => {
                let log_deviation = said.narrow(2, dim, dim);
                let entropy = (code.high - code.low).ln();
                let constant = 0.5 * std::f64::consts::TAU.ln();
                (entropy - constant) - &log_deviation - (miss * log_deviation.neg().exp()).square() * 0.5
            }
        };
        nats.sum_dim_intlist(2i64, false, Kind::Float).mean_dim(1i64, false, Kind::Float)
    }
}

/// The recognition network's place among the players.
const RECOGNITION: usize = 2;

impl InfoGanSpec {
    /// How many numbers the generator is fed.
    fn width(&self) -> usize {
        self.latent.dim() as usize + self.codes.iter().map(CodeSpec::width).sum::<usize>()
    }
}

impl Family for InfoGanSpec {
    fn tag(&self) -> &'static str {
        "infogan"
    }

    fn players(&self) -> &'static [&'static str] {
        &["generator", "discriminator", "recognition"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        let wiring = |role, input: Vec<usize>, output: Vec<usize>| Wiring {
            role,
            input,
            output,
            classes: 0,
            labels_at_input: false,
            head: Head::Plain,
        };
        let said = self.codes.iter().map(CodeSpec::said).sum();
        Ok(vec![
            wiring(Role::Generator, vec![self.width()], info.shape.clone()),
            wiring(Role::Discriminator, info.shape.clone(), vec![1]),
            // What comes in is known when the discriminator is.
            wiring(Role::Discriminator, vec![], vec![said]),
        ])
    }

    fn attach(&self, wiring: &mut Wiring, before: &[&NetworkPlan]) -> Result<(), Problem> {
        let [_, discriminator] = before else { return Ok(()) };
        if discriminator.features == 0 {
            let message =
                "the recognition network shares what enters the discriminator's last linear layer, and it has none";
            return Err(Problem::at("architecture.discriminator", message).with_help("end it with { linear = 1 }"));
        }
        wiring.input = vec![discriminator.features];
        Ok(())
    }

    fn products(&self) -> &'static [Product] {
        use Product::{CategoricalCodes, ContinuousCodes, Features, Latents, Samples};
        let has = |kind: fn(&CodeSpec) -> bool| self.codes.iter().any(kind);
        let categorical = has(|code| matches!(code, CodeSpec::Categorical(_)));
        let continuous = has(|code| matches!(code, CodeSpec::Continuous(_)));
        match (categorical, continuous) {
            (true, true) => &[Samples, Latents, Features, CategoricalCodes, ContinuousCodes],
            (true, false) => &[Samples, Latents, Features, CategoricalCodes],
            (false, true) => &[Samples, Latents, Features, ContinuousCodes],
            (false, false) => &[Samples, Latents, Features],
        }
    }

    fn is_game(&self) -> bool {
        true
    }

    fn critics(&self) -> &'static [&'static str] {
        &["discriminator"]
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(&["generator"][..]).zip(self.ema.as_ref())
    }

    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let text =
            |value: serde_json::Result<String>| value.expect("a spec is made of numbers, texts, lists and tables");
        match player {
            "discriminator" => return about_critic(info, &[1]),
            "recognition" => {
                return vec![
                    ("input", "what enters the discriminator's last linear layer".to_owned()),
                    ("codes", text(serde_json::to_string(&self.codes))),
                ];
            }
            _ => {}
        }
        let mut facts = vec![
            ("input", floats(&[self.width()])),
            ("latent", text(serde_json::to_string(&self.latent))),
            ("codes", text(serde_json::to_string(&self.codes))),
            ("output", floats(&info.shape)),
        ];
        facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
        facts
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        let mut wrong = self.latent.check("algorithm.infogan.latent");
        wrong.extend(check_average("algorithm.infogan.ema", self.ema.as_ref(), around.steps));
        wrong.extend(around.loss.iter().flat_map(|loss| check_targets(loss)));
        if self.codes.is_empty() {
            wrong.push(
                Problem::at("algorithm.infogan.codes", "there are no codes to recognize")
                    .with_help("name some, as in `codes = [{ categorical = 10 }]`, or take `[algorithm.gan]`"),
            );
        }
        for (i, code) in self.codes.iter().enumerate() {
            let path = |key: &str| format!("algorithm.infogan.codes.{i}.{key}");
            match code {
                CodeSpec::Categorical(code) if code.classes < 2 => {
                    let message = format!("a code of {} classes says nothing", code.classes);
                    wrong.push(Problem::at(path("categorical.classes"), message).with_help("give it 2 or more"));
                }
                CodeSpec::Continuous(code) if code.dim == 0 => {
                    wrong.push(Problem::at(path("continuous.dim"), "a code of 0 dimensions"));
                }
                CodeSpec::Continuous(code) if code.low >= code.high => {
                    let message = format!("the low bound {} is not below the high one, {}", code.low, code.high);
                    wrong.push(Problem::at(path("continuous.low"), message));
                }
                _ => {}
            }
        }
        wrong
    }

    fn check_networks(&self, networks: &[&NetworkPlan], info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
        check_judged(networks[DISCRIMINATOR], info, around)
    }
}

/// The objective for the runs of a pack, which may differ in the weights of its terms.
pub struct InfoGan {
    gan: Gan,
    latent: LatentSpec,
    codes: Vec<Code>,
    /// The factor on all codes in the generator's loss, `[R]`.
    generator_weight: Tensor,
    is_image: bool,
    device: Device,
}

struct Code {
    spec: CodeSpec,
    /// `[R]`.
    weight: Tensor,
    /// Its column in `metrics.csv`.
    scalar: &'static str,
}

/// What the generator is fed.
struct Fed {
    /// All of it, `[R, n, width]`.
    z: Tensor,
    /// The value of each code, `[R, n]` of a categorical one and `[R, n, dim]` of a continuous one.
    codes: Vec<Tensor>,
}

/// Columns of the picture of traversals: examples that differ in all but the code of their row.
const TRAVERSALS: usize = 10;
/// Values of a dimension of a continuous code in that picture, over twice its interval, as in the paper's figure 2.
const SWEPT: usize = 9;
/// The most values of a categorical code in that picture.
const MOST_SHOWN: usize = 20;

impl InfoGan {
    /// The objective of a pack; `specs` and `losses` have one entry a run, all of one shape.
    pub fn new(specs: &[&InfoGanSpec], losses: &[&LossSpec], info: &DataInfo, device: Device) -> Self {
        let first = specs[0];
        let plain =
            GanSpec { latent: first.latent.clone(), condition: ConditionKind::None, report_slope: false, ema: None };
        let code = |(i, spec): (usize, &CodeSpec)| Code {
            spec: spec.clone(),
            weight: column(specs.iter().map(|s| s.codes[i].weight()), device),
            // Names of columns live as long as the program, which makes an objective for each of its packs.
            scalar: format!("q/information-{i}").leak(),
        };
        Self {
            gan: Gan::new(&plain, losses, info, device),
            latent: first.latent.clone(),
            codes: first.codes.iter().enumerate().map(code).collect(),
            generator_weight: column(specs.iter().map(|s| s.generator_weight.own().get()), device),
            is_image: info.is_image(),
            device,
        }
    }

    /// Draws what the generator is fed, each run from its own stream. Where it goes round, so does the first categorical
    /// code, through its values.
    fn feed(&self, streams: &mut [Stream], n: usize, mut goes_round: bool) -> Fed {
        let runs = streams.len() as i64;
        let mut parts = vec![self.latent.draw(streams, n, self.device)];
        let mut codes = Vec::with_capacity(self.codes.len());
        for code in &self.codes {
            match &code.spec {
                CodeSpec::Categorical(spec) => {
                    let round = std::mem::take(&mut goes_round);
                    let of = |stream: &mut Stream, i: usize| match round {
                        true => i as i64 % i64::from(spec.classes),
                        false => i64::from(stream.below(spec.classes)),
                    };
                    let values: Vec<i64> =
                        streams.iter_mut().flat_map(|s| (0..n).map(|i| of(s, i)).collect::<Vec<_>>()).collect();
                    let values = Tensor::from_slice(&values).view([runs, n as i64]).to_device(self.device);
                    let all = Tensor::arange(i64::from(spec.classes), (Kind::Int64, self.device));
                    parts.push(values.unsqueeze(-1).eq_tensor(&all).to_kind(Kind::Float));
                    codes.push(values);
                }
                CodeSpec::Continuous(spec) => {
                    let dim = spec.dim as usize;
                    let mut numbers = vec![0.0; streams.len() * n * dim];
                    for (row, stream) in numbers.chunks_exact_mut((n * dim).max(1)).zip(streams.iter_mut()) {
                        stream.fill_uniform(row, spec.low as f32, spec.high as f32);
                    }
                    let values = host::tensor(&numbers, &[runs, n as i64, dim as i64], self.device);
                    parts.push(values.shallow_clone());
                    codes.push(values);
                }
            }
        }
        Fed { z: Tensor::cat(&parts, 2), codes }
    }

    /// The weighted bound on the mutual information between the codes and what is read off features, `[R]`.
    fn information(
        &self,
        features: Option<&Tensor>,
        fed: &Fed,
        cx: &mut Cx<'_>,
        noise: &mut HostNoise,
        report: bool,
    ) -> Tensor {
        let features = features.expect("`attach` has checked that the discriminator has features");
        let said = cx.forward(RECOGNITION, features, None, noise).out;
        let (mut at, mut total) = (0, None);
        for (code, fed) in self.codes.iter().zip(&fed.codes) {
            let width = code.spec.said() as i64;
            let nats = code.spec.information(&said.narrow(2, at, width), fed);
            at += width;
            if report {
                cx.record(code.scalar, || nats.shallow_clone());
            }
            let nats = nats * &code.weight;
            total = Some(total.map_or_else(|| nats.shallow_clone(), |sum: Tensor| sum + &nats));
        }
        total.expect("`check` has seen that there is a code")
    }

    /// Codes of one run, on the host.
    fn hosted(&self, codes: &[Tensor], run: usize) -> Codes {
        let mut out = Codes::default();
        let mut numbers: Vec<(usize, Vec<f32>)> = Vec::new();
        for (code, values) in self.codes.iter().zip(codes) {
            let values = values.get(run as i64);
            match &code.spec {
                CodeSpec::Categorical(_) => {
                    let values = Vec::<i64>::try_from(&values).expect("whole numbers in a row");
                    out.categorical.push(values);
                }
                CodeSpec::Continuous(_) => numbers.push((code.spec.width(), host::numbers(&values))),
            }
        }
        let (n, dims) = (codes.first().map_or(0, |c| c.size()[1] as usize), numbers.iter().map(|(dim, _)| dim).sum());
        let row = |i: usize| numbers.iter().flat_map(move |(dim, all)| all[i * dim..(i + 1) * dim].iter().copied());
        out.continuous = Array::new(vec![n, dims], (0..n).flat_map(row).collect());
        out
    }
}

impl Objective for InfoGan {
    fn turns(&self) -> &'static [Turn] {
        &[
            Turn { moves: &[DISCRIMINATOR, RECOGNITION], cadence: Cadence::Critic, real: RealDraw::Fresh },
            Turn { moves: &[GENERATOR], cadence: Cadence::Generator, real: RealDraw::Last },
        ]
    }

    fn loss(&mut self, turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let mut noise = cx.noise();
        let fed = self.feed(&mut cx.streams(Purpose::Latent), batch.x.size()[1] as usize, false);
        let fake = cx.forward(GENERATOR, &fed.z, None, &mut noise).out;
        let (name, total) = if turn == 0 {
            let (total, [_, judged]) = self.gan.discriminator_game(batch, &fake, None, cx, &mut noise);
            ("d/loss", total - self.information(judged.features.as_ref(), &fed, cx, &mut noise, true))
        } else {
            let judged = self.gan.judge(&fake, None, cx, &mut noise);
            let total = self.gan.generator_game(batch, &judged, cx, &mut noise);
            let information = self.information(judged.features.as_ref(), &fed, cx, &mut noise, false);
            ("g/loss", total - information * &self.generator_weight)
        };
        cx.record(name, || total.shallow_clone());
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        let mut names = self.gan.scalars();
        names.extend(self.codes.iter().map(|code| code.scalar));
        names
    }

    fn provides(&self) -> Provides<'_> {
        let has = |kind: fn(&CodeSpec) -> bool| self.codes.iter().any(|code| kind(&code.spec));
        let categorical = has(|code| matches!(code, CodeSpec::Categorical(_)));
        let continuous = has(|code| matches!(code, CodeSpec::Continuous(_)));
        Provides {
            samples: Some(self),
            latents: Some(self),
            features: Some(self),
            categorical_codes: categorical.then_some(self),
            continuous_codes: continuous.then_some(self),
            ..Provides::default()
        }
    }

    fn surface(&self, players: &[Player], points: &Tensor) -> Option<(Vec<Vec<f32>>, bool)> {
        self.gan.surface(players, points)
    }

    /// Traversals: in each row one code has one value, in each column all else stays the same. First the values of each
    /// categorical code, then nine of each dimension of each continuous one.
    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        if !self.is_image {
            return vec![];
        }
        let request = Request {
            seeds: request.seeds,
            purpose: Purpose::Preview,
            index: 1,
            n: TRAVERSALS,
            label: None,
            averaged: request.averaged,
        };
        let z = self.feed(&mut request.streams(request.purpose), request.n, false).z;
        let (mut at, mut rows) = (i64::from(self.latent.dim()), Vec::new());
        let mut row = |set: &dyn Fn(&Tensor)| {
            let z = z.copy();
            set(&z);
            rows.push(z);
        };
        let fill = |z: &Tensor, from: i64, len: i64, value: f64| {
            let _ = z.narrow(2, from, len).fill_(value);
        };
        for code in &self.codes {
            let width = code.spec.width() as i64;
            match &code.spec {
                CodeSpec::Categorical(_) => {
                    for value in 0..width.min(MOST_SHOWN as i64) {
                        row(&|z| {
                            fill(z, at, width, 0.0);
                            fill(z, at + value, 1, 1.0);
                        });
                    }
                }
                CodeSpec::Continuous(spec) => {
                    let (middle, reach) = ((spec.low + spec.high) / 2.0, spec.high - spec.low);
                    for (dim, i) in (0..width).flat_map(|dim| (0..SWEPT).map(move |i| (dim, i))) {
                        let value = middle + reach * (2.0 * i as f64 / (SWEPT - 1) as f64 - 1.0);
                        row(&|z| fill(z, at + dim, 1, value));
                    }
                }
            }
            at += width;
        }
        let runs = made(&players[GENERATOR], &request, &Tensor::cat(&rows, 1), &[]);
        vec![Panel { name: "traversals", per_row: Some(TRAVERSALS), runs, ..Panel::default() }]
    }
}

impl Examine for InfoGan {
    fn features(&self, players: &[Player], x: &Array, every: bool) -> Vec<Option<Array>> {
        features(&players[DISCRIMINATOR], x, every, self.device)
    }
}

impl Generate for InfoGan {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let fed = self.feed(&mut request.streams(request.purpose), request.n, true);
        labeled(made(&players[GENERATOR], request, &fed.z, &[]), &[])
    }
}

impl Decode for InfoGan {
    fn law(&self) -> LatentSpec {
        self.latent.clone()
    }

    fn latents(&self, request: &Request<'_>) -> Latents {
        let fed = self.feed(&mut request.streams(request.purpose), request.n, true);
        Latents { z: fed.z, labels: vec![] }
    }

    fn decode(&self, players: &[Player], z: &Tensor, labels: &[i64], averaged: bool) -> Tensor {
        decoded_by(&players[GENERATOR], z, labels, averaged)
    }
}

impl Encode for InfoGan {
    fn codes(&self, request: &Request<'_>) -> Vec<Codes> {
        let fed = self.feed(&mut request.streams(request.purpose), request.n, true);
        (0..request.seeds.len()).map(|run| self.hosted(&fed.codes, run)).collect()
    }

    fn read(&self, players: &[Player], x: &Array) -> Vec<Codes> {
        let said = asked(players[DISCRIMINATOR].runs(), x, self.device, |x, mode| {
            let features = players[DISCRIMINATOR].forward(false, x, None, mode).features;
            let features = features.expect("`attach` has checked that the discriminator has features");
            players[RECOGNITION].forward(false, &features, None, mode).out
        });
        let of_run = |said: Array| {
            let shape = [1, said.rows() as i64, said.row_len() as i64];
            let said = host::tensor(&said.data, &shape, Device::Cpu);
            let mut at = 0;
            let likeliest = |code: &Code| {
                let own = said.narrow(2, at, code.spec.said() as i64);
                at += code.spec.said() as i64;
                match &code.spec {
                    CodeSpec::Categorical(_) => own.argmax(-1, false),
                    CodeSpec::Continuous(_) => own.narrow(2, 0, code.spec.width() as i64),
                }
            };
            let codes: Vec<Tensor> = self.codes.iter().map(likeliest).collect();
            self.hosted(&codes, 0)
        };
        said.into_iter().map(of_run).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> CodeSpec {
        #[derive(Deserialize)]
        struct File {
            code: CodeSpec,
        }
        toml::from_str::<File>(&format!("code = {text}")).expect("the test's code").code
    }

    fn tensor(values: &[f32], shape: &[i64]) -> Tensor {
        Tensor::from_slice(values).view(shape)
    }

    /* torch 2.11, float64: l = tensor([[1.,2.,-1.],[.5,.1,.2]]); log(3.) - cross_entropy(l, tensor([1,2])) = 0.33405670736371385
    m = tensor([[.5,-.2],[.1,.3]]); c = tensor([[.4,-.9],[-.3,.8]]); s = tensor([[-1.,.2],[0.,-.5]]);
    (N(0,1).log_prob is the prior of the code) (N(m,1).log_prob(c) - N(0,1).log_prob(c)).sum(1).mean() = 0.1975;
    (N(m,exp(s)).log_prob(c) + log(2.)).sum(1).mean() = -0.1120621654548376, with torch.distributions.Normal */
    #[test]
    fn bounds_on_the_information_are_those_of_torch_for_each_run() {
        let twice = |one: &Tensor| Tensor::cat(&[one, one], 0);
        let check = |code: &CodeSpec, said: &Tensor, fed: &Tensor, expected: f64| {
            let nats = code.information(&twice(said), &twice(fed));
            assert_eq!(nats.size(), [2]);
            for run in 0..2 {
                assert!((nats.double_value(&[run]) - expected).abs() < 1e-6, "{nats} {expected}");
            }
        };
        let logits = tensor(&[1.0, 2.0, -1.0, 0.5, 0.1, 0.2], &[1, 2, 3]);
        check(&code("{ categorical = 3 }"), &logits, &Tensor::from_slice(&[1i64, 2]).view([1, 2]), 0.334_056_707);
        let fed = tensor(&[0.4, -0.9, -0.3, 0.8], &[1, 2, 2]);
        let said = tensor(&[0.5, -0.2, 0.1, 0.3], &[1, 2, 2]);
        check(&code("{ continuous = 2 }"), &said, &fed, 0.1975);
        let said = tensor(&[0.5, -0.2, -1.0, 0.2, 0.1, 0.3, 0.0, -0.5], &[1, 2, 4]);
        check(&code("{ continuous = { dim = 2, deviation = \"learned\" } }"), &said, &fed, -0.112_062_165);
    }

    #[test]
    fn a_perfect_reading_reaches_the_entropy_of_a_categorical_code() {
        let sure = tensor(&[80.0, 0.0, 0.0, 0.0, 0.0, 80.0, 0.0, 0.0], &[1, 2, 4]);
        let nats = code("{ categorical = 4 }").information(&sure, &Tensor::from_slice(&[0i64, 1]).view([1, 2]));
        assert!((nats.double_value(&[0]) - 4f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn what_is_fed_holds_the_codes_that_are_told_and_goes_round_where_asked() {
        let text = "latent = { normal = { dim = 3 } }\ncodes = [{ categorical = 4 }, { continuous = { dim = 2, low = 0.5, high = 1.5 } }]";
        let spec: InfoGanSpec = toml::from_str(text).expect("a spec");
        let loss: LossSpec = toml::from_str("adversarial = \"non-saturating\"").expect("a loss");
        let info = DataInfo::new(vec![2]);
        let objective = InfoGan::new(&[&spec, &spec], &[&loss, &loss], &info, Device::Cpu);
        let request = Request { seeds: &[1, 2], purpose: Purpose::Eval, index: 0, n: 9, label: None, averaged: false };
        let fed = objective.feed(&mut request.streams(request.purpose), 9, true);
        assert_eq!(fed.z.size(), [2, 9, 9]);
        for (run, codes) in objective.codes(&request).into_iter().enumerate() {
            assert_eq!(codes.categorical, [[0, 1, 2, 3, 0, 1, 2, 3, 0]]);
            let z = fed.z.get(run as i64);
            for i in 0..9 {
                assert_eq!(z.double_value(&[i, 3 + codes.categorical[0][i as usize]]), 1.0);
                for dim in 0..2 {
                    let value = codes.continuous.row(i as usize)[dim as usize];
                    assert_eq!(z.double_value(&[i, 7 + dim]), f64::from(value));
                    assert!((0.5..1.5).contains(&value));
                }
            }
        }
        // Training draws each value about as often as the others.
        let fed = objective.feed(&mut request.streams(Purpose::Latent), 4000, false);
        let counts = objective.hosted(&fed.codes, 0).categorical[0].iter().fold([0; 4], |mut counts, &c| {
            counts[c as usize] += 1;
            counts
        });
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
