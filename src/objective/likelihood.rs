//! What a decoder says of data: the law of an example given its code, with its density, its mean and draws from it.
//!
//! Everything is made of operations whose bits do not depend on where in a tensor a number lies (`nn::layer::activation` says
//! which), so that a run has the same bits in any pack.

use super::HostNoise;
use crate::base::{Positive, Problem};
use crate::data::DataInfo;
use crate::loss;
use crate::nn::plan::{Head, NetworkPlan};
use crate::nn::{Noise as _, Output};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use tch::{Kind, Tensor};

/// The law of an example given its code; its numbers are independent given the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum LikelihoodSpec {
    /// Each number is 1 with the probability σ(output), for data from 0 to 1. Of numbers between, it is the cross-entropy
    /// that is common for gray images, and no density.
    Bernoulli,
    /// N(output, std²).
    Gaussian(SpreadSpec),
    /// A logistic distribution around the output, summed up over each of the levels that a number can have; all that lies
    /// beyond the ends belongs to them (arXiv:1606.04934).
    DiscretizedLogistic(SpreadSpec),
}

/// How far a law spreads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SpreadSpec {
    /// The deviation of a Gaussian or the scale of a logistic distribution, in the units of the data.
    pub std: StdSpec,
}

/// Where the deviation comes from. One that is learned or predicted stays above e⁻⁷ = 0.0009.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum StdSpec {
    /// This number.
    Fixed(Positive),
    /// One number for all, which the decoder learns; it begins at 1.
    #[default]
    Learned,
    /// The decoder puts out the logarithm of each number's own, in a second half of its output.
    Predicted,
}

/// The least logarithm of a deviation: without one, a pixel that never changes has a density without bound.
const LEAST: f64 = -7.0;

impl LikelihoodSpec {
    fn std(&self) -> Option<StdSpec> {
        match self {
            Self::Bernoulli => None,
            Self::Gaussian(spread) | Self::DiscretizedLogistic(spread) => Some(spread.std),
        }
    }

    /// Its name in a protocol.
    pub fn name(&self) -> String {
        let name = match self {
            Self::Bernoulli => return "bernoulli".to_owned(),
            Self::Gaussian(_) => "gaussian",
            Self::DiscretizedLogistic(_) => "discretized-logistic",
        };
        match self.std() {
            Some(StdSpec::Fixed(std)) => format!("{name} std={}", std.get()),
            Some(StdSpec::Predicted) => format!("{name} std=predicted"),
            _ => format!("{name} std=learned"),
        }
    }

    /// What kind of number log p(x|z) is of such data.
    pub fn kind(&self, info: &DataInfo) -> String {
        match (self, info.levels) {
            (Self::Gaussian(_), _) | (_, None) => "density".to_owned(),
            // Of gray pixels a cross-entropy is no likelihood.
            (Self::Bernoulli, Some(levels)) if levels != 2 => "cross-entropy".to_owned(),
            (_, Some(levels)) => format!("mass levels={levels}"),
        }
    }

    /// What a decoder puts out for data of this shape.
    pub fn output(&self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        if self.std() == Some(StdSpec::Predicted) {
            shape[0] *= 2;
        }
        shape
    }

    /// What a decoder says beside its output.
    pub fn head(&self) -> Head {
        if self.std() == Some(StdSpec::Learned) { Head::Scale } else { Head::Plain }
    }

    /// Whether data of this kind lie where the law puts them.
    ///
    /// # Errors
    /// What the law is for and what the data are, at `path`.
    pub fn check(&self, info: &DataInfo, path: &str) -> Result<(), Problem> {
        match (self, info.range) {
            (Self::Bernoulli, Some((low, high))) if low >= 0.0 && high <= 1.0 => Ok(()),
            (Self::Bernoulli, Some((low, high))) => {
                let message = format!("`bernoulli` is for numbers from 0 to 1, and the data lies from {low} to {high}");
                Err(Problem::at(path, message).with_help("write `normalize = [0, 1]` in `[data]`, or take `gaussian`"))
            }
            (Self::Bernoulli, None) => {
                Err(Problem::at(path, "`bernoulli` is for numbers from 0 to 1, and the data has no bounds")
                    .with_help("take `gaussian`"))
            }
            (Self::DiscretizedLogistic(_), _) if info.range.is_none() || info.levels.is_none() => {
                let message =
                    "`discretized-logistic` is for numbers with levels, as pixels have, and the data has none";
                Err(Problem::at(path, message).with_help("take `gaussian`"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a decoder can put out all that the law needs.
    pub fn check_decoder(&self, plan: &NetworkPlan, info: &DataInfo) -> Option<Problem> {
        let everything = (f32::NEG_INFINITY, f32::INFINITY);
        let (wanted, what) = match self.std() {
            None => (everything, "a logit"),
            Some(StdSpec::Predicted) => (everything, "the logarithm of a deviation"),
            _ => (info.range.unwrap_or(everything), "the mean of this data"),
        };
        check_reach(plan, wanted, what)
    }
}

/// Whether a decoder's last layer reaches numbers from one end to the other.
pub(super) fn check_reach(plan: &NetworkPlan, (low, high): (f32, f32), what: &str) -> Option<Problem> {
    let reach = plan.reach();
    if reach.0 <= low && high <= reach.1 {
        return None;
    }
    let any = low == f32::NEG_INFINITY;
    let wanted = if any { "any number".to_owned() } else { format!("any number from {low} to {high}") };
    let message =
        format!("{what} can be {wanted}, and the decoder's last layer stays within {} and {}", reach.0, reach.1);
    let help = "end the decoder without an activation: `output = \"linear\"` for a preset";
    Some(Problem::at("architecture.decoder", message).with_help(help))
}

/// The law at work.
#[derive(Clone, Debug)]
pub(super) struct Law {
    spec: LikelihoodSpec,
    /// The shape of an example.
    shape: Vec<i64>,
    range: (f64, f64),
    levels: u32,
}

/// The logarithm of deviations.
enum LogStd {
    /// One a run, or one for all: `[R, 1, 1]` or `[1, 1, 1]`.
    One(Tensor),
    /// One a number, `[R, N, P]`.
    Each(Tensor),
}

impl Law {
    pub fn new(spec: &LikelihoodSpec, info: &DataInfo) -> Self {
        let (low, high) = info.range.unwrap_or((0.0, 1.0));
        Self {
            spec: spec.clone(),
            shape: info.shape.iter().map(|&n| n as i64).collect(),
            range: (f64::from(low), f64::from(high)),
            levels: info.levels.unwrap_or(2),
        }
    }

    /// How many numbers an example has.
    fn row(&self) -> i64 {
        self.shape.iter().product()
    }

    /// The output's mean or logits, `[R, N, P]`, and the deviations.
    fn parts(&self, said: &Output) -> (Tensor, Option<LogStd>) {
        let flat = said.out.flatten(2, -1);
        let (mean, log_std) = match self.spec.std() {
            None => return (flat, None),
            Some(StdSpec::Fixed(std)) => {
                let log_std = Tensor::full([1, 1, 1], std.get().ln(), (Kind::Float, flat.device()));
                return (flat, Some(LogStd::One(log_std)));
            }
            Some(StdSpec::Learned) => {
                let learned = said.scale.as_ref().expect("a decoder whose deviation is learned has one");
                (flat, LogStd::One(learned.view([-1, 1, 1]).clamp_min(LEAST)))
            }
            Some(StdSpec::Predicted) => {
                let row = self.row();
                (flat.narrow(2, 0, row), LogStd::Each(flat.narrow(2, row, row).clamp_min(LEAST)))
            }
        };
        (mean, Some(log_std))
    }

    /// log p(x|z) of examples `[R, B, …]`, given what the decoder says of k codes of each, one after the other:
    /// `[R, k, B]`.
    pub fn log_density(&self, said: &Output, x: &Tensor, k: i64) -> Tensor {
        let (runs, batch, row) = (x.size()[0], x.size()[1], self.row());
        let x = x.flatten(2, -1).unsqueeze(1);
        let spread = |t: &Tensor| t.view([runs, k, batch, row]);
        let total = |t: Tensor| t.sum_dim_intlist(-1i64, false, Kind::Float);
        let (mean, log_std) = self.parts(said);
        let mean = spread(&mean);
        match (&self.spec, log_std) {
            (LikelihoodSpec::Gaussian(_), Some(LogStd::One(log_std))) => {
                let square = total((x - mean).square());
                square * (&log_std * -2.0).exp() * -0.5 - (log_std + 0.5 * TAU.ln()) * row as f64
            }
            (LikelihoodSpec::Gaussian(_), Some(LogStd::Each(log_std))) => {
                let log_std = spread(&log_std);
                total(((x - mean) * (-&log_std).exp()).square() * -0.5 - log_std) - 0.5 * TAU.ln() * row as f64
            }
            (LikelihoodSpec::DiscretizedLogistic(_), Some(log_std)) => {
                let log_std = match log_std {
                    LogStd::One(log_std) => log_std.unsqueeze(-1),
                    LogStd::Each(log_std) => spread(&log_std),
                };
                total(self.log_levels(&x, &mean, &log_std))
            }
            _ => total(x * &mean - loss::softplus(&mean)),
        }
    }

    /// log of the share of a logistic distribution that falls to each number's level. With b and a the level's ends,
    /// σ(b) − σ(a) = σ(b)·σ(−a)·(1 − e^(a−b)), which nothing cancels in.
    fn log_levels(&self, x: &Tensor, mean: &Tensor, log_std: &Tensor) -> Tensor {
        let (low, high) = self.range;
        let step = (high - low) / f64::from(self.levels - 1);
        let per_std = (-log_std).exp();
        let middle = x - mean;
        let upper = (&middle + step / 2.0) * &per_std;
        let lower = (&middle - step / 2.0) * &per_std;
        // log(1 − e^−d) = log d + log((1 − e^−d)/d).
        let width = per_std * step;
        let whole = ((-(-&width).expm1() - &width) / &width).log1p() - log_std + step.ln();
        let below_top = x.lt(high - step / 4.0).to_kind(Kind::Float);
        let above_bottom = x.gt(low + step / 4.0).to_kind(Kind::Float);
        upper.log_sigmoid() * &below_top + lower.neg().log_sigmoid() * &above_bottom + whole * below_top * above_bottom
    }

    /// The mean of an example, `[R, N, …]`.
    pub fn mean(&self, said: &Output) -> Tensor {
        let (mean, _) = self.parts(said);
        let mean = match self.spec {
            LikelihoodSpec::Bernoulli => probability(&mean),
            LikelihoodSpec::Gaussian(_) => mean,
            LikelihoodSpec::DiscretizedLogistic(_) => mean.clamp(self.range.0, self.range.1),
        };
        self.shaped(&mean)
    }

    /// A draw of an example, `[R, N, …]`.
    pub fn draw(&self, said: &Output, noise: &mut HostNoise) -> Tensor {
        let (mean, log_std) = self.parts(said);
        let std = log_std.map(|log_std| match log_std {
            LogStd::One(log_std) | LogStd::Each(log_std) => log_std.exp(),
        });
        let drawn = match (&self.spec, std) {
            (LikelihoodSpec::Gaussian(_), Some(std)) => noise.normal(&mean.size()[1..]) * std + mean,
            (LikelihoodSpec::DiscretizedLogistic(_), Some(std)) => {
                let u = noise.uniform(&mean.size()[1..]).clamp(1e-6, 1.0 - 1e-6);
                let x = (u.log() - (-&u).log1p()) * std + mean;
                let (low, high) = self.range;
                let step = (high - low) / f64::from(self.levels - 1);
                ((x - low) / step).round().clamp(0.0, f64::from(self.levels - 1)) * step + low
            }
            _ => noise.uniform(&mean.size()[1..]).lt_tensor(&probability(&mean)).to_kind(Kind::Float),
        };
        self.shaped(&drawn)
    }

    fn shaped(&self, flat: &Tensor) -> Tensor {
        flat.reshape([&flat.size()[..2], &self.shape[..]].concat())
    }

    /// The deviation of each run, where there is one number.
    pub fn learned_std(said: &Output) -> Option<Tensor> {
        said.scale.as_ref().map(|scale| scale.clamp_min(LEAST).exp())
    }
}

/// σ(x).
pub(super) fn probability(logits: &Tensor) -> Tensor {
    (logits * 0.5).tanh() * 0.5 + 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn info(range: Option<(f32, f32)>, levels: Option<u32>) -> DataInfo {
        DataInfo { range, levels, ..DataInfo::new(vec![3]) }
    }

    fn said(numbers: &[f32], row: i64) -> Output {
        let out = Tensor::from_slice(numbers).view([1, 2, row]);
        Output { out, features: None, class_logits: None, scale: Some(Tensor::from_slice(&[0.1f32.ln()])) }
    }

    fn close(found: &Tensor, expected: [f64; 2]) {
        for (i, expected) in expected.into_iter().enumerate() {
            let found = found.double_value(&[0, 0, i as i64]);
            assert!((found - expected).abs() < 2e-5 * expected.abs().max(1.0), "{found} {expected}");
        }
    }

    const GRAY: [f32; 6] = [1.0, 0.0, 0.2, 0.0, 0.4, 0.8];
    const MEAN: [f32; 6] = [0.1, -0.2, 0.9, 0.0, 0.5, -0.5];
    /// [`MEAN`] and the logarithms of deviations, row by row.
    const BOTH: [f32; 12] = [0.1, -0.2, 0.9, 0.1, -1.0, -2.0, 0.0, 0.5, -0.5, 0.0, -0.5, -0.25];

    /* torch 2.11, float64: x = [[1,0,1],[0,1,.25]], l = [[.5,-1,2],[-3,.25,1]], m = [[.1,-.2,.9],[0,.5,-.5]],
    s = [[.1,-1,-2],[0,-.5,-.25]]:
    -binary_cross_entropy_with_logits(l, x, reduction='none').sum(1), Normal(m, .3).log_prob(x).sum(1),
    Normal(m, s.exp()).log_prob(x).sum(1); and for x = [[1,0,51/255],[0,102/255,204/255]], d = 1/255
    (sigmoid((x+d/2-m)/s) - sigmoid((x-d/2-m)/s)).log().sum(1), with 1 and 0 at the ends, for s = .1 and s.exp() */
    #[test]
    fn densities_are_those_of_pytorch() {
        let bits = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0, 1.0, 0.25]).view([1, 2, 3]);
        let law = Law::new(&LikelihoodSpec::Bernoulli, &info(Some((0.0, 1.0)), None));
        let logits = said(&[0.5, -1.0, 2.0, -3.0, 0.25, 1.0], 3);
        close(&law.log_density(&logits, &bits, 1), [-0.914267, -1.687788]);

        let gaussian = |std| Law::new(&LikelihoodSpec::Gaussian(SpreadSpec { std }), &info(None, None));
        let fixed = gaussian(StdSpec::Fixed(Positive::of(0.3)));
        close(&fixed.log_density(&said(&MEAN, 3), &bits, 1), [-3.922675, -3.658786]);
        close(&gaussian(StdSpec::Predicted).log_density(&said(&BOTH, 6), &bits, 1), [-0.609173, -2.810304]);

        let gray = Tensor::from_slice(&GRAY).view([1, 2, 3]);
        let logistic = |std| {
            let spec = LikelihoodSpec::DiscretizedLogistic(SpreadSpec { std });
            Law::new(&spec, &info(Some((0.0, 1.0)), Some(256)))
        };
        close(&logistic(StdSpec::Learned).log_density(&said(&MEAN, 3), &gray, 1), [-19.345566, -21.787224]);
        close(&logistic(StdSpec::Predicted).log_density(&said(&BOTH, 6), &gray, 1), [-10.360540, -14.432212]);
    }

    #[test]
    fn the_levels_of_a_discretized_logistic_share_all_there_is() {
        let spec = LikelihoodSpec::DiscretizedLogistic(SpreadSpec { std: StdSpec::Fixed(Positive::of(0.05)) });
        for levels in [2, 5, 256] {
            let law = Law::new(&spec, &DataInfo { shape: vec![1], ..info(Some((-1.0, 1.0)), Some(levels)) });
            let n = i64::from(levels);
            let x = Tensor::linspace(-1.0, 1.0, n, (Kind::Float, Device::Cpu)).view([1, n, 1]);
            let out = Tensor::full([1, n, 1], 0.3, (Kind::Float, Device::Cpu));
            let said = Output { out, features: None, class_logits: None, scale: None };
            let sum = law.log_density(&said, &x, 1).exp().sum(Kind::Double).double_value(&[]);
            assert!((sum - 1.0).abs() < 1e-4, "{levels}: {sum}");
        }
    }

    #[test]
    fn draws_have_the_mean_and_spread_of_their_law() {
        let n = 20_000i64;
        let numbers = |value: f64| Tensor::full([1, n, 3], value, (Kind::Float, Device::Cpu));
        let said = |value| Output { out: numbers(value), features: None, class_logits: None, scale: None };
        let mut noise = HostNoise {
            streams: vec![crate::rng::Stream::new(1, crate::rng::Purpose::Sample, 0, 0)],
            device: Device::Cpu,
        };
        let std = SpreadSpec { std: StdSpec::Fixed(Positive::of(0.05)) };
        // σ(1) = 0.7311, its deviation √(p(1−p)); the deviation of a logistic distribution is s·π/√3.
        for (spec, out, mean, deviation) in [
            (LikelihoodSpec::Bernoulli, 1.0, 0.7311, 0.4434),
            (LikelihoodSpec::Gaussian(std.clone()), 0.5, 0.5, 0.05),
            (LikelihoodSpec::DiscretizedLogistic(std), 0.5, 0.5, 0.0907),
        ] {
            let law = Law::new(&spec, &info(Some((0.0, 1.0)), Some(256)));
            assert_eq!(law.mean(&said(out)).size(), [1, n, 3]);
            let drawn = law.draw(&said(out), &mut noise).to_kind(Kind::Double);
            let found = (drawn.mean(Kind::Double).double_value(&[]), drawn.std(true).double_value(&[]));
            assert!((found.0 - mean).abs() < 0.005, "{spec:?} {found:?}");
            assert!((found.1 - deviation).abs() < 0.005, "{spec:?} {found:?}");
        }
    }
}
