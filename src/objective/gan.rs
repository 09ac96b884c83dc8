//! A generator against a discriminator: every game of `crate::loss`, with or without labels.
//!
//! Papers: arXiv:1406.2661 (GAN), 1411.1784 (conditional), 1610.09585 (auxiliary classifier), 1802.05637 (projection),
//! 1701.07875 and 1704.00028 (Wasserstein), 1606.03498 (smoothing, feature matching).

use super::spec::{GanSpec, LatentSpec};
use super::{Batch, Cadence, Cx, Generate, HostNoise, Manner, Objective, RealDraw, Request, Turn};
use crate::base::{Array, host};
use crate::data::Examples;
use crate::loss::{self, AdversarialSpec, LossSpec, PenaltySpec};
use crate::nn::Mode;
use crate::player::Player;
use crate::rng::{Purpose, Stream};
use tch::{Device, Kind, Tensor};

/// The generator's place among the players.
pub const GENERATOR: usize = 0;
/// The discriminator's place among the players.
pub const DISCRIMINATOR: usize = 1;

/// Samples are made in pieces of at most this many numbers over all runs, so that memory stays bounded.
const PIECE: usize = 1 << 24;

/// Points at which the discriminator is asked in one batch.
const ASKED_TOGETHER: i64 = 128;

/// The updates of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The discriminator or critic learns.
    Discriminator,
    /// The generator learns.
    Generator,
}

/// The adversarial objective for the runs of a pack, which may differ in the weights of its terms.
pub struct Gan {
    latent: LatentSpec,
    report_slope: bool,
    adversarial: AdversarialSpec,
    penalties: Vec<Penalty>,
    /// Targets for real examples, `[R, 1]`.
    smoothing: Option<Tensor>,
    features: Option<Tensor>,
    auxiliary: Option<Auxiliary>,
    data_shape: Vec<usize>,
    /// 0 where labels play no part.
    classes: usize,
    device: Device,
}

/// A penalty with its weight a run, `[R]`.
struct Penalty {
    spec: PenaltySpec,
    weight: Tensor,
}

/// Weights a run of the classification losses, `[R]` each.
struct Auxiliary {
    real: Tensor,
    fake: Option<Tensor>,
    generator: Tensor,
}

impl Gan {
    /// The objective of a pack; `losses` has one entry a run, all of one shape. `classes` is 0 where labels play no part.
    pub fn new(spec: &GanSpec, losses: &[LossSpec], data_shape: &[usize], classes: usize, device: Device) -> Self {
        let column = |f: &dyn Fn(&LossSpec) -> f64| {
            Tensor::from_slice(&losses.iter().map(|l| f(l) as f32).collect::<Vec<_>>()).to_device(device)
        };
        let first = &losses[0];
        let penalties = first.penalties.iter().enumerate();
        let penalties =
            penalties.map(|(i, spec)| Penalty { spec: spec.clone(), weight: column(&|l| l.penalties[i].weight()) });
        let auxiliary = (spec.condition == super::ConditionKind::AuxiliaryClassifier).then(|| Auxiliary {
            real: column(&|l| l.auxiliary.real.get()),
            fake: losses.iter().any(|l| l.auxiliary.fake.get() > 0.0).then(|| column(&|l| l.auxiliary.fake.get())),
            generator: column(&|l| l.auxiliary.generator.get()),
        });
        Self {
            latent: spec.latent.clone(),
            report_slope: spec.report_slope,
            adversarial: first.adversarial.clone(),
            penalties: penalties.collect(),
            smoothing: losses
                .iter()
                .any(|l| l.label_smoothing.get() < 1.0)
                .then(|| column(&|l| l.label_smoothing.get()).unsqueeze(1)),
            features: first
                .feature_matching
                .as_ref()
                .map(|_| column(&|l| l.feature_matching.as_ref().map_or(0.0, |w| w.weight.get()))),
            auxiliary,
            data_shape: data_shape.to_vec(),
            classes,
            device,
        }
    }

    /// Latent draws, `[R, n, dim]`.
    fn latent(&self, streams: &mut [Stream], n: usize) -> Tensor {
        let dim = self.latent.dim() as usize;
        let mut numbers = vec![0.0; streams.len() * n * dim];
        for (row, stream) in numbers.chunks_exact_mut((n * dim).max(1)).zip(streams.iter_mut()) {
            match &self.latent {
                LatentSpec::Normal(s) => stream.fill_normal(row, s.mean as f32, s.std as f32),
                LatentSpec::Uniform(s) => stream.fill_uniform(row, s.low as f32, s.high as f32),
                LatentSpec::Stratified(s) => {
                    let between = (n.max(2) - 1) as f64;
                    for (i, value) in row.iter_mut().enumerate() {
                        let point = s.low + (s.high - s.low) * i as f64 / between;
                        *value = ((point + s.jitter * f64::from(stream.uniform())) * s.scale) as f32;
                    }
                }
            }
        }
        host::tensor(&numbers, &[streams.len() as i64, n as i64, dim as i64], self.device)
    }

    /// Labels drawn evenly, `[R, B]`, where labels play a part.
    fn draw_labels(&self, streams: &mut [Stream], n: usize) -> Option<Tensor> {
        let classes = u32::try_from(self.classes).ok().filter(|&c| c > 0)?;
        let labels: Vec<i64> =
            streams.iter_mut().flat_map(|s| (0..n).map(|_| i64::from(s.below(classes))).collect::<Vec<_>>()).collect();
        Some(Tensor::from_slice(&labels).view([streams.len() as i64, n as i64]).to_device(self.device))
    }

    fn discriminator_loss(&self, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let n = batch.x.size()[1];
        let labels = if self.classes > 0 { batch.labels.as_ref() } else { None };
        let mut noise = cx.noise();
        let z = self.latent(&mut cx.streams(Purpose::Latent), n as usize);
        let fake = cx.forward(GENERATOR, &z, labels, &mut noise).out;

        let [on_real, on_fake] = self.slopes_wanted();
        let watched =
            |x: &Tensor, wanted: bool| if wanted { x.detach().set_requires_grad(true) } else { x.shallow_clone() };
        let (real, fake) = (watched(&batch.x, on_real), watched(&fake, on_fake));
        // One pass over both halves, unless only one of them needs its slope, which is then cheaper alone.
        let together = on_real == on_fake;
        let (a, b) = if together {
            let x = Tensor::cat(&[&real, &fake], 1);
            let labels = labels.map(|l| Tensor::cat(&[l, l], 1));
            let manner = Manner { parts: 2, slopes: on_real };
            let both = cx.forward_in(manner, DISCRIMINATOR, &x, labels.as_ref(), &mut noise);
            let half = |t: &Tensor, i: i64| t.narrow(1, i * n, n);
            let class = both.class_logits.as_ref().map(|t| [half(t, 0), half(t, 1)]);
            let [class_a, class_b] = class.map_or([None, None], |c| c.map(Some));
            ((half(&both.out, 0), class_a), (half(&both.out, 1), class_b))
        } else {
            let mut answer = |x: &Tensor, slopes: bool| {
                cx.forward_in(Manner { parts: 1, slopes }, DISCRIMINATOR, x, labels, &mut noise)
            };
            let (a, b) = (answer(&real, on_real), answer(&fake, on_fake));
            ((a.out, a.class_logits), (b.out, b.class_logits))
        };
        let ((a, class_a), (b, class_b)) = (a, b);
        cx.record("d/real", || a.mean_dim(1i64, false, Kind::Float));
        cx.record("d/fake", || b.mean_dim(1i64, false, Kind::Float));
        if self.report_slope && cx.recording {
            let probability = self.adversarial.is_probability();
            let answer = |d: Tensor| if probability { d.sigmoid() } else { d };
            let slope = self.slope_at(&fake, labels, answer, cx, &mut cx.noise()).sqrt();
            cx.record("d/slope", || slope.mean_dim(1i64, false, Kind::Float));
        }
        let mut total = self.adversarial.discriminator(&a, &b, self.smoothing.as_ref());

        let mut punished: Option<Tensor> = None;
        for penalty in &self.penalties {
            let value = match &penalty.spec {
                PenaltySpec::R1(_) => loss::half_square(&loss::squared_slope(&a, &real)),
                PenaltySpec::R2(_) => loss::half_square(&loss::squared_slope(&b, &fake)),
                PenaltySpec::GradientPenalty(s) => {
                    let way = share(cx, &batch.x);
                    let x = &way * &batch.x + (1.0 - &way) * &fake.detach();
                    loss::unit_slope(&self.slope_at(&x, labels, |d| d, cx, &mut noise), s.one_sided)
                }
                PenaltySpec::Dragan(s) => {
                    let x = self.perturbed(&batch.x, s.c.get(), cx);
                    loss::unit_slope(&self.slope_at(&x, labels, |d| d, cx, &mut noise), false)
                }
            };
            let value = value * &penalty.weight;
            punished = Some(punished.map_or_else(|| value.shallow_clone(), |sum| sum + &value));
        }
        if let Some(punished) = punished {
            cx.record("d/penalty", || punished.shallow_clone());
            total = total + punished;
        }
        if let (Some(weights), Some(class_a), Some(class_b), Some(labels)) = (&self.auxiliary, class_a, class_b, labels)
        {
            let mut class = loss::cross_entropy(&class_a, labels) * &weights.real;
            if let Some(weight) = &weights.fake {
                class = class + loss::cross_entropy(&class_b, labels) * weight;
            }
            cx.record("d/class", || class.shallow_clone());
            total = total + class;
        }
        cx.record("d/loss", || total.shallow_clone());
        total
    }

    fn generator_loss(&self, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let n = batch.x.size()[1] as usize;
        let mut noise = cx.noise();
        let mut streams = cx.streams(Purpose::Latent);
        let z = self.latent(&mut streams, n);
        let labels = self.draw_labels(&mut streams, n);
        let fake = cx.forward(GENERATOR, &z, labels.as_ref(), &mut noise).out;
        let judged = cx.forward(DISCRIMINATOR, &fake, labels.as_ref(), &mut noise);
        let real = (self.adversarial.generator_needs_real() || self.features.is_some()).then(|| {
            let labels = if self.classes > 0 { batch.labels.as_ref() } else { None };
            cx.forward(DISCRIMINATOR, &batch.x, labels, &mut noise)
        });
        let mut total = self.adversarial.generator(real.as_ref().map(|r| &r.out), &judged.out);
        if let (Some(weight), Some(real), Some(fake)) =
            (&self.features, real.as_ref().and_then(|r| r.features.as_ref()), &judged.features)
        {
            let distance = loss::feature_distance(real, fake) * weight;
            cx.record("g/features", || distance.shallow_clone());
            total = total + distance;
        }
        if let (Some(weights), Some(logits), Some(labels)) = (&self.auxiliary, &judged.class_logits, &labels) {
            let class = loss::cross_entropy(logits, labels) * &weights.generator;
            cx.record("g/class", || class.shallow_clone());
            total = total + class;
        }
        cx.record("g/loss", || total.shallow_clone());
        total
    }

    /// Whether a penalty looks at the slope on real examples, and on fakes.
    fn slopes_wanted(&self) -> [bool; 2] {
        [
            self.penalties.iter().any(|p| matches!(p.spec, PenaltySpec::R1(_))),
            self.penalties.iter().any(|p| matches!(p.spec, PenaltySpec::R2(_))),
        ]
    }

    /// ‖∇f(d)‖² at points of their own, `[R, B]`.
    fn slope_at(
        &self,
        x: &Tensor,
        labels: Option<&Tensor>,
        f: impl Fn(Tensor) -> Tensor,
        cx: &Cx<'_>,
        noise: &mut HostNoise,
    ) -> Tensor {
        let x = x.detach().set_requires_grad(true);
        let manner = Manner { parts: 1, slopes: true };
        loss::squared_slope(&f(cx.forward_in(manner, DISCRIMINATOR, &x, labels, noise).out), &x)
    }

    /// x + α·c·std(x)·U(0, 1) with α ~ U(0, 1) an example and one deviation over the batch (arXiv:1705.07215).
    fn perturbed(&self, x: &Tensor, c: f64, cx: &Cx<'_>) -> Tensor {
        let size = x.size();
        let all = x.flatten(1, -1);
        let centered = &all - all.mean_dim(1i64, true, Kind::Float);
        let shape: Vec<i64> = std::iter::once(size[0]).chain(std::iter::repeat_n(1, size.len() - 1)).collect();
        let std = centered.square().mean_dim(1i64, false, Kind::Float).sqrt().view(&shape[..]);
        let mut noise = HostNoise { streams: cx.streams(Purpose::Penalty), device: cx.device };
        let alpha = crate::nn::Noise::uniform(&mut noise, &example_shape(&size));
        let unit = crate::nn::Noise::uniform(&mut noise, &size[1..]);
        x + alpha * unit * std * c
    }
}

/// One number in [0, 1) an example, shaped to multiply examples like `x`.
fn share(cx: &Cx<'_>, x: &Tensor) -> Tensor {
    let mut noise = HostNoise { streams: cx.streams(Purpose::Penalty), device: cx.device };
    crate::nn::Noise::uniform(&mut noise, &example_shape(&x.size()))
}

/// `[B, 1, …]` for examples of shape `[R, B, …]`.
fn example_shape(size: &[i64]) -> Vec<i64> {
    std::iter::once(size[1]).chain(std::iter::repeat_n(1, size.len() - 2)).collect()
}

impl Objective for Gan {
    type Phase = Phase;

    fn turns(&self) -> Vec<Turn<Phase>> {
        vec![
            Turn { phase: Phase::Discriminator, moves: DISCRIMINATOR, cadence: Cadence::Critic, real: RealDraw::Fresh },
            Turn { phase: Phase::Generator, moves: GENERATOR, cadence: Cadence::Generator, real: RealDraw::Last },
        ]
    }

    fn loss(&mut self, phase: Phase, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        match phase {
            Phase::Discriminator => self.discriminator_loss(batch, cx),
            Phase::Generator => self.generator_loss(batch, cx),
        }
    }

    fn scalars(&self) -> Vec<&'static str> {
        let mut names = vec!["d/loss", "g/loss", "d/real", "d/fake"];
        if !self.penalties.is_empty() {
            names.push("d/penalty");
        }
        if self.report_slope {
            names.push("d/slope");
        }
        if self.auxiliary.is_some() {
            names.extend(["d/class", "g/class"]);
        }
        if self.features.is_some() {
            names.push("g/features");
        }
        names
    }

    fn keep(&mut self, runs: &[usize]) {
        let index = Tensor::from_slice(&runs.iter().map(|&r| r as i64).collect::<Vec<_>>()).to_device(self.device);
        let pick = |t: &mut Tensor| *t = t.index_select(0, &index);
        self.penalties.iter_mut().for_each(|p| pick(&mut p.weight));
        self.smoothing.iter_mut().for_each(pick);
        self.features.iter_mut().for_each(pick);
        if let Some(weights) = &mut self.auxiliary {
            pick(&mut weights.real);
            weights.fake.iter_mut().for_each(pick);
            pick(&mut weights.generator);
        }
    }
}

impl Generate for Gan {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let _guard = tch::no_grad_guard();
        let (runs, n) = (request.seeds.len(), request.n);
        let streams = |purpose| -> Vec<Stream> {
            request.seeds.iter().map(|&seed| Stream::new(seed, purpose, request.index, 0)).collect()
        };
        let z = self.latent(&mut streams(request.purpose), n);
        let labels: Vec<i64> = match self.classes {
            0 => vec![],
            classes => (0..n).map(|i| request.label.unwrap_or((i % classes) as i64)).collect(),
        };
        let row: usize = self.data_shape.iter().product();
        let mut out: Vec<Vec<f32>> = vec![Vec::with_capacity(n * row); runs];
        // The piece does not depend on the pack, so that neither do the bits.
        let piece = (PIECE / row.max(1) / 64).clamp(16, 1000);
        let mut noise = HostNoise { streams: streams(Purpose::Noise), device: self.device };
        for start in (0..n).step_by(piece) {
            let len = piece.min(n - start) as i64;
            let labels = (!labels.is_empty()).then(|| {
                Tensor::from_slice(&labels[start..start + len as usize])
                    .to_device(self.device)
                    .expand([runs as i64, len], false)
            });
            let z = z.narrow(1, start as i64, len);
            let mode = &mut Mode { train: false, parts: 1, slopes: false, noise: &mut noise };
            let x = players[GENERATOR].forward_averaged(request.averaged, &z, labels.as_ref(), mode).out;
            let x = host::numbers(&x);
            for (out, x) in out.iter_mut().zip(x.chunks_exact(len as usize * row)) {
                out.extend_from_slice(x);
            }
        }
        let shape: Vec<usize> = std::iter::once(n).chain(self.data_shape.iter().copied()).collect();
        out.into_iter().map(|data| Examples { x: Array::new(shape.clone(), data), labels: labels.clone() }).collect()
    }

    fn surface(&self, players: &[Player], points: &Tensor) -> (Vec<Vec<f32>>, bool) {
        let _guard = tch::no_grad_guard();
        let runs = players[DISCRIMINATOR].runs() as i64;
        let size = points.size();
        let (n, row) = (size[0], size[1..].iter().product::<i64>());
        // A discriminator that compares the examples of a batch is asked in batches that spread over all points.
        let pieces = (n / ASKED_TOGETHER).max(1);
        let probability = self.adversarial.is_probability();
        let mut out = vec![vec![0.0; n as usize]; runs as usize];
        for piece in 0..pieces {
            let some = points.slice(0, piece, n, pieces);
            let len = some.size()[0];
            let x = some.reshape([1, len, row]).expand([runs, len, row], false).contiguous();
            let x = x.view(&[&[runs, len], &size[1..]].concat()[..]);
            let labels = (self.classes > 0).then(|| Tensor::zeros([runs, len], (Kind::Int64, self.device)));
            let mut noise = HostNoise { streams: vec![], device: self.device };
            let mode = &mut Mode { train: false, parts: 1, slopes: false, noise: &mut noise };
            let d = players[DISCRIMINATOR].forward(false, &x, labels.as_ref(), mode).out;
            let d = host::numbers(&if probability { d.sigmoid() } else { d });
            for (out, d) in out.iter_mut().zip(d.chunks_exact(len as usize)) {
                for (i, &value) in d.iter().enumerate() {
                    out[piece as usize + i * pieces as usize] = value;
                }
            }
        }
        (out, probability)
    }
}
