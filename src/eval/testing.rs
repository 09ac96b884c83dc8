//! What the tests of metrics share: golden arrays, and a world to measure in.

use super::agreement::Agreement;
use super::classes::{Classification, Transfer};
use super::codes::Clusters;
use super::interpolation::Paths;
use super::likelihood::Under;
use super::probe::Probed;
use super::reconstruction::{Denoised, Reconstruction};
use super::rows::Rows;
use super::spec::{
    CodeClassesSpec, CodeFactorsSpec, DiversitySpec, ElboSpec, ExtractorSpec, FeaturesSpec, InterpolationSpec,
    LaplacianWassersteinSpec, LikelihoodSpec, LinearProbeSpec, MmdSpec, ModesSpec, MsSsimSpec, NearestSpec, ParzenSpec,
    SampleLikelihoodSpec, ShapesSpec, SlicedWassersteinSpec,
};
use super::{Asked, Context, EvalSpec, Metric, MetricSpec, Pair, Value, measure_all};
use crate::base::{Array, Positive};
use crate::data::shapes::{self, ShapesSpec as Drawn};
use crate::data::{DataInfo, Examples, Truth};
use crate::objective::autoencoder::NoiseSpec;
use crate::objective::{
    Batch, Codes, Cx, Evidence, Generate, Model, Nats, Objective, Pairs, Product, Provides, Request, Turn,
};
use crate::player::Player;
use std::num::NonZeroU32;
use tch::{Device, Tensor};

/// Uniform numbers of SplitMix64, which Python makes in the same way.
pub(super) fn uniforms(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 2.0_f64.powi(-53)
    };
    (0..n).map(|_| next()).collect()
}

/// Normal numbers by Box-Muller over them; `n` is even.
pub(super) fn normals(seed: u64, n: usize) -> Vec<f64> {
    let pair = |ab: &[f64]| {
        let (r, angle) = ((-2.0 * (1.0 - ab[0]).ln()).sqrt(), std::f64::consts::TAU * ab[1]);
        [r * angle.cos(), r * angle.sin()]
    };
    uniforms(seed, n).chunks_exact(2).flat_map(pair).collect()
}

/// The golden arrays, real and generated: X = normals(11) as 500×8; Y[i,j] = 0.2 + 1.3 n[i,j] + 0.5 n[i,(j+1) mod 8] with
/// n = normals(22). Their sums are −62.5391437532 and 786.5385751171.
pub(super) fn appendix() -> (Array, Array) {
    let (x, n) = (normals(11, 4000), normals(22, 4000));
    let y = (0..4000).map(|at| 0.2 + 1.3 * n[at] + 0.5 * n[at / 8 * 8 + (at % 8 + 1) % 8]);
    let array = |data: &mut dyn Iterator<Item = f64>| Array::new(vec![500, 8], data.map(|v| v as f32).collect());
    (array(&mut x.into_iter()), array(&mut y.into_iter()))
}

pub(super) fn column(x: &Array, j: usize) -> Vec<f32> {
    (0..x.rows()).map(|i| x.row(i)[j]).collect()
}

pub(super) fn line(x: &[f32]) -> Array {
    Array::new(vec![x.len(), 1], x.to_vec())
}

/// The same numbers as images of 2×2 with two channels.
pub(super) fn images(x: Array) -> Array {
    Array::new(vec![x.rows(), 2, 2, 2], x.data)
}

/// Rows `from..to` of an array.
pub(super) fn rows_of(x: &Array, from: usize, to: usize) -> Array {
    Array::new(vec![to - from, x.row_len()], x.data[from * x.row_len()..to * x.row_len()].to_vec())
}

/// The first `n` columns of an array.
pub(super) fn columns_of(x: &Array, n: usize) -> Array {
    Array::new(vec![x.rows(), n], (0..x.rows()).flat_map(|i| x.row(i)[..n].to_vec()).collect())
}

pub(super) fn rows_between(x: &Array, from: usize, to: usize) -> Rows {
    Rows::of(x, &(from..to).collect::<Vec<_>>())
}

pub(super) fn all_rows(x: &Array) -> Rows {
    rows_between(x, 0, x.rows())
}

/// As many images of that size as the numbers make.
pub(super) fn picture(x: &Array, channels: usize, height: usize, width: usize) -> Array {
    let size = channels * height * width;
    let count = x.data.len() / size;
    Array::new(vec![count, channels, height, width], x.data[..count * size].to_vec())
}

/// A number that `golden.py` took with public packages.
pub(super) fn golden(name: &str) -> f64 {
    let lines = include_str!("golden.txt").lines().filter_map(|line| line.split_once(" = "));
    let found = lines.filter(|(known, _)| *known == name).map(|(_, value)| value.parse().expect("a number")).next();
    found.unwrap_or_else(|| panic!("golden.txt has no `{name}`"))
}

pub(super) fn close(value: f64, golden: f64, tolerance: f64) {
    assert!((value - golden).abs() <= tolerance, "{value} is not {golden} ± {tolerance}");
}

pub(super) fn info(shape: Vec<usize>, truth: Truth) -> DataInfo {
    let (class_names, len, range, levels, binarized) = (Vec::new(), None, None, None, None);
    DataInfo { shape, classes: 0, class_names, len, range, levels, binarized, symbols: vec![], texts: vec![], truth }
}

type Judge = Box<dyn Fn(&[f32]) -> (usize, f64)>;

/// What the model of a test answers.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) classes: Option<Array>,
    pub(super) codes: Option<Codes>,
    pub(super) read: Option<Codes>,
    pub(super) second_classes: Option<[Array; 2]>,
    pub(super) pairs: Option<Pairs>,
    pub(super) paths: Option<Array>,
    pub(super) features: Option<Probed>,
    pub(super) reconstructions: Option<Array>,
    pub(super) denoised: Option<Denoised>,
    pub(super) likelihoods: Option<Vec<Nats>>,
    pub(super) own: Option<[Vec<f32>; 2]>,
    pub(super) evidence: Option<Evidence>,
    pub(super) kind: String,
    pub(super) law: String,
}

impl Answers {
    /// The metric with the answer to it.
    pub(super) fn to(&self, metric: &MetricSpec) -> Box<dyn Asked> {
        fn pair<M: Metric>(metric: &M, answer: Option<M::Answer>) -> Box<dyn Asked> {
            Box::new(Pair { metric: metric.clone(), answer: answer.expect("the test has its answer") })
        }
        fn under<T>(found: Option<T>, Answers { kind, law, .. }: &Answers) -> Option<Under<T>> {
            Some(Under { found: found?, kind: kind.clone(), law: law.clone() })
        }
        match metric {
            MetricSpec::Classification => pair(&Classification, self.classes.clone()),
            MetricSpec::Transfer => pair(&Transfer, self.second_classes.clone()),
            MetricSpec::Agreement => pair(&Agreement, self.pairs.clone()),
            MetricSpec::Clusters => pair(&Clusters, self.read.clone()),
            MetricSpec::CodeClasses(spec) => pair(spec, self.codes.clone()),
            MetricSpec::CodeFactors(spec) => pair(spec, self.codes.clone()),
            MetricSpec::Interpolation(spec) => {
                pair(spec, self.paths.clone().map(|samples| Paths { samples, way: "straight" }))
            }
            MetricSpec::LinearProbe(spec) => pair(spec, Some(self.features.clone())),
            MetricSpec::Reconstruction => pair(&Reconstruction, self.reconstructions.clone()),
            MetricSpec::Denoising(spec) => pair(spec, self.denoised.clone()),
            MetricSpec::Elbo(spec) => pair(spec, under(self.evidence.clone(), self)),
            MetricSpec::Likelihood(spec) => pair(spec, under(self.likelihoods.clone(), self)),
            MetricSpec::SampleLikelihood(spec) => pair(spec, under(self.own.clone(), self)),
            of_samples => {
                assert_eq!(of_samples.product(), Product::Samples);
                let (objective, none) = (Sampler, [Examples { x: Array::default(), labels: vec![] }]);
                let model = Model {
                    objective: &objective,
                    players: &[],
                    seeds: &[0],
                    info: &[],
                    real: &[],
                    training: &[],
                    samples: &none,
                    n: 0,
                    averaged: false,
                    device: Device::Cpu,
                };
                of_samples.ask(&model).remove(0)
            }
        }
    }
}

/// A model that provides samples.
struct Sampler;

impl Objective for Sampler {
    fn turns(&self) -> &'static [Turn] {
        &[]
    }
    fn loss(&mut self, _: usize, _: &Batch, _: &mut Cx<'_>) -> Tensor {
        unreachable!("it is not trained")
    }
    fn scalars(&self) -> Vec<&'static str> {
        vec![]
    }
    fn provides(&self) -> Provides<'_> {
        Provides { samples: Some(self), ..Provides::default() }
    }
}

impl Generate for Sampler {
    fn generate(&self, _: &[Player], _: &Request<'_>) -> Vec<Examples> {
        vec![]
    }
}

/// What a context borrows from.
pub(super) struct World {
    pub(super) info: DataInfo,
    pub(super) real: Examples,
    pub(super) fake: Examples,
    pub(super) train: Option<Examples>,
    pub(super) answers: Answers,
    pub(super) judge: Option<Judge>,
    pub(super) seed: u64,
}

impl World {
    pub(super) fn new(info: DataInfo, real: Array, fake: Array) -> Self {
        let examples = |x| Examples { x, labels: Vec::new() };
        Self {
            info,
            real: examples(real),
            fake: examples(fake),
            train: None,
            answers: Answers::default(),
            judge: None,
            seed: 0,
        }
    }

    pub(super) fn measure(&self, metric: &MetricSpec) -> Vec<Value> {
        self.with(|cx| self.answers.to(metric).measure(cx))
    }

    pub(super) fn measure_all(&self, spec: &EvalSpec) -> Vec<Value> {
        let asked: Vec<Box<dyn Asked>> = spec.metrics.iter().map(|metric| self.answers.to(metric)).collect();
        measure_all(&self.context(spec), &asked)
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&Context) -> T) -> T {
        look(&self.context(&EvalSpec::default()))
    }

    pub(super) fn context<'a>(&'a self, spec: &'a EvalSpec) -> Context<'a> {
        Context {
            spec,
            info: &self.info,
            real: &self.real,
            train: self.train.as_ref(),
            fake: &self.fake,
            seed: self.seed,
            known: None,
            score_shape: self.judge.as_deref(),
        }
    }

    pub(super) fn reverse_rows(&mut self) {
        let answers = &mut self.answers;
        for nats in answers.likelihoods.iter_mut().flatten() {
            nats.of.reverse();
        }
        answers.own.iter_mut().flatten().for_each(|nats| nats.reverse());
        if let Some(evidence) = &mut answers.evidence {
            evidence.reconstruction.reverse();
            evidence.divergence.reverse();
        }
        let noisy = answers.denoised.as_mut().map(|denoised| [&mut denoised.noisy, &mut denoised.restored]);
        let answered = answers.reconstructions.as_mut().into_iter().chain(noisy.into_iter().flatten());
        let pairs = answers.pairs.as_mut().map(|pairs| [&mut pairs.second, &mut pairs.expected]);
        let answered = answered.chain(pairs.into_iter().flatten()).chain(&mut answers.paths);
        // Rows that get labels stand by their classes.
        let answered = answered.chain(answers.features.as_mut().map(|probed| &mut probed.real));
        let train = self.train.as_mut().map(|train| {
            train.labels.reverse();
            &mut train.x
        });
        for x in [&mut self.real.x, &mut self.fake.x].into_iter().chain(train).chain(answered) {
            x.data = (0..x.rows()).rev().flat_map(|i| x.row(i).to_vec()).collect();
        }
        for codes in [&mut answers.codes, &mut answers.read].into_iter().flatten() {
            codes.categorical.iter_mut().for_each(|code| code.reverse());
            let x = &mut codes.continuous;
            x.data = (0..x.rows()).rev().flat_map(|i| x.row(i).to_vec()).collect();
        }
        self.real.labels.reverse();
        for classes in answers.classes.iter_mut().chain(answers.second_classes.iter_mut().flatten()) {
            classes.data = (0..classes.rows()).rev().flat_map(|i| classes.row(i).to_vec()).collect();
        }
    }
}

pub(super) fn every_metric() -> Vec<MetricSpec> {
    vec![
        MetricSpec::Mean,
        MetricSpec::Std,
        MetricSpec::W1,
        MetricSpec::Ks,
        MetricSpec::Modes(ModesSpec::default()),
        MetricSpec::SlicedWasserstein(SlicedWassersteinSpec::default()),
        MetricSpec::Mmd(MmdSpec::default()),
        MetricSpec::PixelStatistics,
        MetricSpec::Classification,
        MetricSpec::Reconstruction,
        MetricSpec::Denoising(NoiseSpec::Gaussian(Positive::of(0.5))),
        MetricSpec::Elbo(ElboSpec::default()),
        MetricSpec::Likelihood(LikelihoodSpec::default()),
        MetricSpec::SampleLikelihood(SampleLikelihoodSpec::default()),
        MetricSpec::Support,
        MetricSpec::Diversity(DiversitySpec::default()),
        MetricSpec::Nearest(NearestSpec::default()),
        MetricSpec::Shapes(ShapesSpec::default()),
        MetricSpec::Features(FeaturesSpec::of(ExtractorSpec::Values)),
        MetricSpec::Features(FeaturesSpec::of(ExtractorSpec::Pixels)),
        MetricSpec::Features(FeaturesSpec::of(ExtractorSpec::RandomConv)),
        // All the patches and all the pairs that the images have.
        MetricSpec::LaplacianWasserstein(LaplacianWassersteinSpec {
            patches: NonZeroU32::MIN.saturating_add(199),
            ..Default::default()
        }),
        MetricSpec::Bands,
        MetricSpec::MsSsim(MsSsimSpec::default()),
        MetricSpec::Parzen(ParzenSpec::default()),
        MetricSpec::Agreement,
        MetricSpec::Transfer,
        MetricSpec::Clusters,
        MetricSpec::CodeClasses(CodeClassesSpec::default()),
        MetricSpec::CodeFactors(CodeFactorsSpec::default()),
        MetricSpec::Interpolation(InterpolationSpec::default()),
        // All the examples that there are get their labels, so that none is chosen.
        MetricSpec::LinearProbe(LinearProbeSpec {
            labels_per_class: NonZeroU32::MIN.saturating_add(9),
            draws: NonZeroU32::MIN,
            strengths: vec![Positive::of(1.0)],
            ..Default::default()
        }),
    ]
}

/// The covariance of eight numbers of deviation 1.
fn identity() -> Vec<Vec<f64>> {
    (0..8).map(|i| (0..8).map(|j| f64::from(u8::from(i == j))).collect()).collect()
}

/// Each metric with data that it can be taken of, all of whose rows it looks at.
pub(super) fn every_metric_with_its_world() -> Vec<(MetricSpec, World)> {
    let world = |metric: &MetricSpec| {
        let (x, y) = appendix();
        let mut world = match metric {
            MetricSpec::Mean | MetricSpec::Std | MetricSpec::W1 | MetricSpec::Ks => {
                World::new(info(vec![1], Truth::Unknown), line(&column(&x, 0)), line(&column(&y, 0)))
            }
            MetricSpec::Transfer => {
                let mut world = World::new(info(vec![8], Truth::Unknown), x.clone(), Array::default());
                world.real.labels = (0..500).map(|i| i % 8).collect();
                world.answers.second_classes = Some([x, y]);
                world
            }
            MetricSpec::Classification => {
                let mut world = World::new(info(vec![8], Truth::Unknown), x.clone(), Array::default());
                world.real.labels = (0..500).map(|i| i % 8).collect();
                world.answers.classes = Some(x);
                world
            }
            MetricSpec::Reconstruction | MetricSpec::Denoising(_) => {
                let mut world = World::new(info(vec![8], Truth::Unknown), x, Array::default());
                world.answers.reconstructions = Some(y.clone());
                world.answers.denoised = Some(Denoised { noisy: y.clone(), restored: y });
                world.info.range = Some((-4.0, 4.0));
                world
            }
            MetricSpec::Elbo(_) | MetricSpec::Likelihood(_) => {
                let mut world =
                    World::new(info(vec![8], Truth::Gaussian { covariance: identity() }), x, Array::default());
                let of = column(&y, 0);
                let (reconstruction, divergence) = (of.clone(), column(&y, 1));
                world.answers.evidence = Some(Evidence { draws: 1, reconstruction, divergence, active: 3 });
                world.answers.likelihoods = Some(vec![Nats { draws: 500, of }]);
                world
            }
            MetricSpec::SampleLikelihood(_) => {
                let mut world = World::new(info(vec![8], Truth::Unknown), x, Array::default());
                world.answers.own = Some([column(&y, 0), column(&y, 1)]);
                world
            }
            MetricSpec::Agreement => {
                let mut world = World::new(info(vec![8], Truth::Unknown), Array::default(), x.clone());
                world.answers.pairs = Some(Pairs { second: y, expected: x, centers: None });
                world
            }
            MetricSpec::Interpolation(_) => {
                let mut world = World::new(info(vec![8], Truth::Unknown), Array::default(), Array::default());
                world.answers.paths = Some(x.head(5 * 33));
                world
            }
            MetricSpec::LinearProbe(_) => {
                let mut world = World::new(info(vec![8], Truth::Unknown), x.clone(), Array::default());
                world.info.classes = 10;
                world.real.labels = (0..500).map(|i| i % 10).collect();
                world.train = Some(Examples { x: y.head(100), labels: (0..100).map(|i| i / 10).collect() });
                world.answers.features = Some(Probed { train: y.head(100), real: x });
                return world;
            }
            MetricSpec::Support => World::new(info(vec![8], Truth::Gaussian { covariance: identity() }), x, y),
            MetricSpec::Clusters => {
                let mut world = World::new(info(vec![8], Truth::Unknown), x, Array::default());
                world.real.labels = (0..500).map(|i| i % 7).collect();
                world.answers.read = Some(Codes {
                    categorical: vec![(0..500).map(|i| i * i % 11).collect()],
                    continuous: Array::default(),
                });
                world
            }
            MetricSpec::CodeFactors(_) => {
                let set = Drawn::default();
                let mut drawn = Array::zeros(vec![200, 1, 28, 28]);
                for (i, image) in (0..).zip(drawn.data.chunks_exact_mut(784)) {
                    shapes::render(&set.attributes(i), &set, image);
                }
                let mut world = World::new(set.info().expect("a set"), drawn.clone(), drawn);
                world.answers.codes = Some(Codes { categorical: vec![], continuous: rows_of(&x, 0, 200) });
                world
            }
            MetricSpec::Modes(_) => {
                let truth = Truth::Modes { centers: vec![vec![0.0; 8], vec![1.0; 8]], std: 1.0, weights: vec![0.5; 2] };
                World::new(info(vec![8], truth), x, y)
            }
            MetricSpec::Features(spec) if spec.extractor == ExtractorSpec::Values => {
                World::new(info(vec![8], Truth::Unknown), x, y)
            }
            MetricSpec::Features(FeaturesSpec { extractor: ExtractorSpec::RandomConv, .. })
            | MetricSpec::LaplacianWasserstein(_)
            | MetricSpec::Bands
            | MetricSpec::MsSsim(_) => {
                let image = |x| picture(x, 1, 16, 16);
                let mut world = World::new(info(vec![1, 16, 16], Truth::Unknown), image(&x), image(&y));
                world.info.range = Some((-4.0, 4.0));
                world
            }
            _ => World::new(info(vec![2, 2, 2], Truth::Unknown), images(x), images(y)),
        };
        world.train = Some(Examples { x: images(appendix().1), labels: Vec::new() });
        world.judge = Some(Box::new(|image| (usize::from(image[0] > 0.0), f64::from(image[1].abs()))));
        if let MetricSpec::CodeClasses(_) = metric {
            world.answers.codes =
                Some(Codes { categorical: vec![(0..500).map(|i| i * i % 11).collect()], continuous: Array::default() });
        }
        world
    };
    every_metric().into_iter().map(|metric| (metric.clone(), world(&metric))).collect()
}
