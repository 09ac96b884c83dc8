//! Models that are fit without gradients: mixtures of Gaussians by expectation and maximization (Dempster, Laird and Rubin
//! 1977), Gaussian naive Bayes, and kernel densities (Parzen 1962). A step of the loop is one iteration.
//!
//! All are mixtures of Gaussians, of each class or of all examples: they have a density, are sampled, and name classes by
//! Bayes' rule. They are fit to the first `examples` training examples of the run, the same in every step; for a data set of
//! that size these are all of it.

use super::family::{Family, Surroundings, check_examples};
use super::{
    Batch, Cadence, Classify, Cx, Generate, Likelihoods, Nats, Objective, Product, Provides, RealDraw, Request, Turn,
    column, exactly, log_sum, posteriors,
};
use crate::base::{Array, Each, NonNegative, Positive, Problem, host};
use crate::data::density::{cholesky, log_det, squared_distance};
use crate::data::{DataInfo, Examples, Source};
use crate::nn::ParamInit;
use crate::nn::plan::{NetworkPlan, ParamPlan, Wiring};
use crate::player::Player;
use crate::rng::{Purpose, Stream};
use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::num::NonZeroU32;
use std::sync::Arc;
use tch::{Device, Tensor};

/// A mixture of Gaussians, fit by expectation and maximization; the first step is k-means from k-means++.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MixtureModelSpec {
    /// How many Gaussians.
    pub components: NonZeroU32,
    /// How many training examples it is fit to: the first of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<NonZeroU32>,
    /// What their covariances may be.
    #[serde(default)]
    pub covariance: CovarianceKind,
    /// Added to variances.
    #[serde(default = "MixtureModelSpec::regularization")]
    pub regularization: Each<NonNegative>,
    /// Starts of k-means, of which the tightest stays.
    #[serde(default = "MixtureModelSpec::restarts")]
    pub restarts: NonZeroU32,
    /// Whether each class has a mixture of its own, so that it names classes.
    #[serde(default)]
    pub by_class: bool,
}
impl MixtureModelSpec {
    fn regularization() -> Each<NonNegative> {
        Each::new(NonNegative::of(1e-6))
    }
    fn restarts() -> NonZeroU32 {
        NonZeroU32::new(10).expect("10 is not 0")
    }
}

/// What covariances may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CovarianceKind {
    /// Any, each component its own.
    #[default]
    Full,
    /// Any, one for all components.
    Tied,
    /// No correlations.
    Diagonal,
    /// One variance for all dimensions.
    Spherical,
}

/// A Gaussian without correlations for each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NaiveBayesSpec {
    /// How many training examples it is fit to: the first of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<NonZeroU32>,
    /// Added to variances, as a share of the largest of a dimension.
    #[serde(default = "NaiveBayesSpec::smoothing")]
    pub smoothing: Each<NonNegative>,
}
impl NaiveBayesSpec {
    fn smoothing() -> Each<NonNegative> {
        Each::new(NonNegative::of(1e-9))
    }
}

/// A round Gaussian at every example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelDensitySpec {
    /// How many training examples it is fit to: the first of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<NonZeroU32>,
    /// The deviation of each.
    #[serde(default)]
    pub bandwidth: Each<BandwidthSpec>,
    /// Whether each class has a density of its own, so that it names classes.
    #[serde(default)]
    pub by_class: bool,
}

/// The deviation of kernels, of n examples with d numbers each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum BandwidthSpec {
    /// n^(−1/(d+4)), for data of deviation 1.
    #[default]
    Scott,
    /// (n·(d+2)/4)^(−1/(d+4)), for data of deviation 1.
    Silverman,
    /// This number.
    Fixed(Positive),
}

impl BandwidthSpec {
    fn of(self, n: usize, d: usize) -> f64 {
        let (n, d) = (n as f64, d as f64);
        match self {
            Self::Scott => n.powf(-1.0 / (d + 4.0)),
            Self::Silverman => (n * (d + 2.0) / 4.0).powf(-1.0 / (d + 4.0)),
            Self::Fixed(width) => width.get(),
        }
    }
}

const PLAYER: &str = "density";
/// What of a model its state holds.
const PRIORS: &str = "priors";
const WEIGHTS: &str = "weights";
const MEANS: &str = "means";
const COVARIANCES: &str = "covariances";
const BANDWIDTHS: &str = "bandwidths";

/// Every model here, as the rest of the file sees it.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Mixture { spec: MixtureModelSpec },
    NaiveBayes { smoothing: f64 },
    Kernels { bandwidth: BandwidthSpec, by_class: bool },
}

impl Kind {
    fn by_class(&self) -> bool {
        match self {
            Self::Mixture { spec } => spec.by_class,
            Self::NaiveBayes { .. } => true,
            Self::Kernels { by_class, .. } => *by_class,
        }
    }

    fn components(&self) -> usize {
        if let Self::Mixture { spec } = self { spec.components.get() as usize } else { 1 }
    }

    fn covariance(&self) -> CovarianceKind {
        match self {
            Self::Mixture { spec } => spec.covariance,
            Self::NaiveBayes { .. } => CovarianceKind::Diagonal,
            Self::Kernels { .. } => CovarianceKind::Spherical,
        }
    }

    /// Of how many groups of examples there is a model each.
    fn groups(&self, info: &DataInfo) -> usize {
        if self.by_class() { info.classes } else { 1 }
    }

    /// What its state holds, with the numbers in each.
    fn memory(&self, info: &DataInfo) -> Vec<(&'static str, usize)> {
        let (groups, k, d) = (self.groups(info), self.components(), info.shape.iter().product::<usize>());
        if let Self::Kernels { .. } = self {
            return vec![(PRIORS, groups), (BANDWIDTHS, groups)];
        }
        let covariances = self.covariance().entries(k) * self.covariance().size(d);
        vec![(PRIORS, groups), (WEIGHTS, groups * k), (MEANS, groups * k * d), (COVARIANCES, groups * covariances)]
    }
}

impl CovarianceKind {
    /// How many there are of so many components.
    fn entries(self, components: usize) -> usize {
        if self == Self::Tied { 1 } else { components }
    }

    /// How many numbers one has.
    fn size(self, d: usize) -> usize {
        match self {
            Self::Full | Self::Tied => d * d,
            Self::Diagonal => d,
            Self::Spherical => 1,
        }
    }

    /// How many of these can be chosen freely.
    fn free(self, d: usize) -> usize {
        match self {
            Self::Full | Self::Tied => d * (d + 1) / 2,
            Self::Diagonal => d,
            Self::Spherical => 1,
        }
    }
}

/// What the three families have in common.
macro_rules! family {
    ($spec:ty, $tag:literal, $kind:expr) => {
        impl $spec {
            fn kind(&self) -> Kind {
                let kind: fn(&Self) -> Kind = $kind;
                kind(self)
            }
        }

        impl Family for $spec {
            fn tag(&self) -> &'static str {
                $tag
            }

            fn players(&self) -> &'static [&'static str] {
                &[PLAYER]
            }

            fn is_fit(&self) -> bool {
                true
            }

            fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
                if self.kind().by_class() && info.classes < 2 {
                    let message = format!("`{}` of classes needs data with labels of two or more", $tag);
                    return Err(Problem::at(concat!("algorithm.", $tag), message).with_help("take data with classes"));
                }
                Ok(vec![])
            }

            fn memory(&self, _player: &str, info: &DataInfo) -> Vec<ParamPlan> {
                let one = |(name, len): (&str, usize)| ParamPlan {
                    name: name.to_owned(),
                    shape: vec![len],
                    init: ParamInit::Constant(0.0),
                    learned: false,
                    like: None,
                };
                self.kind().memory(info).into_iter().map(one).collect()
            }

            fn products(&self) -> &'static [Product] {
                match self.kind().by_class() {
                    true => &[Product::Samples, Product::Likelihoods, Product::Classes],
                    false => &[Product::Samples, Product::Likelihoods],
                }
            }

            fn about(&self, _player: &str, _info: &DataInfo) -> Vec<(&'static str, String)> {
                vec![]
            }

            fn check_networks(&self, _: &[&NetworkPlan], info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
                check_rows(&self.kind(), ($tag, self.examples), info, around)
            }
        }
    };
}

family!(MixtureModelSpec, "mixture", |spec| Kind::Mixture { spec: spec.clone() });
family!(NaiveBayesSpec, "naive-bayes", |spec| Kind::NaiveBayes { smoothing: spec.smoothing.own().get() });
family!(KernelDensitySpec, "kernel-density", |spec| Kind::Kernels {
    bandwidth: *spec.bandwidth.own(),
    by_class: spec.by_class,
});

/// Whether there are enough examples.
fn check_rows(
    kind: &Kind,
    (tag, examples): (&str, Option<NonZeroU32>),
    info: &DataInfo,
    around: Surroundings<'_>,
) -> Vec<Problem> {
    let least = (kind.components() * kind.groups(info)).max(2);
    let few = examples.map_or(0, |examples| examples.get() as usize);
    let too_few = (examples.is_some() && few < least).then(|| {
        let message = format!("{few} examples are too few for {least} components");
        Problem::at(format!("algorithm.{tag}.examples"), message).with_help("fit it to more examples")
    });
    check_examples(tag, examples, info, around).into_iter().chain(too_few).collect()
}

/// Gaussians with weights.
#[derive(Clone, Debug, PartialEq)]
struct Gaussians {
    kind: CovarianceKind,
    weights: Vec<f64>,
    /// `[k·d]`.
    means: Vec<f64>,
    /// Row by row, one after the other.
    covariances: Vec<f64>,
    d: usize,
}

/// The lower root of a covariance, or its diagonal.
enum Root {
    Lower(DMatrix<f64>),
    Stds(Vec<f64>),
    Round(f64),
}

impl Root {
    fn log_det(&self, d: usize) -> f64 {
        match self {
            Self::Lower(root) => log_det(root),
            Self::Stds(stds) => stds.iter().map(|std| std.ln()).sum(),
            Self::Round(std) => d as f64 * std.ln(),
        }
    }

    /// The squared distance in deviations.
    fn distance(&self, gap: &[f64]) -> f64 {
        match self {
            Self::Lower(root) => squared_distance(root, gap),
            Self::Stds(stds) => gap.iter().zip(stds).map(|(g, s)| (g / s).powi(2)).sum(),
            Self::Round(std) => gap.iter().map(|g| g * g).sum::<f64>() / (std * std),
        }
    }

    fn spread(&self, normals: &[f64]) -> Vec<f64> {
        match self {
            Self::Lower(root) => (root * DVector::from_column_slice(normals)).as_slice().to_vec(),
            Self::Stds(stds) => stds.iter().zip(normals).map(|(s, z)| s * z).collect(),
            Self::Round(std) => normals.iter().map(|z| std * z).collect(),
        }
    }
}

/// Gaussians that can be asked.
struct Ready {
    /// log of each weight and of what does not depend on x.
    constants: Vec<f64>,
    roots: Vec<Root>,
    means: Vec<f64>,
    d: usize,
}

impl Gaussians {
    /// # Errors
    /// The component whose covariance is none.
    fn ready(&self) -> Result<Ready, usize> {
        let (d, size) = (self.d, self.kind.size(self.d));
        let root = |i: usize| {
            let own = &self.covariances[i * size..][..size];
            let positive = own.iter().step_by(if size == d * d { d + 1 } else { 1 }).all(|v| *v > 0.0);
            let root = match self.kind {
                CovarianceKind::Full | CovarianceKind::Tied => {
                    let rows: Vec<Vec<f64>> = own.chunks_exact(d).map(<[f64]>::to_vec).collect();
                    cholesky(&rows).map(Root::Lower)
                }
                CovarianceKind::Diagonal => Some(Root::Stds(own.iter().map(|v| v.sqrt()).collect())),
                CovarianceKind::Spherical => Some(Root::Round(own[0].sqrt())),
            };
            root.filter(|_| positive).ok_or(i)
        };
        let roots: Vec<Root> = (0..self.kind.entries(self.weights.len())).map(root).collect::<Result<_, _>>()?;
        let constant =
            |(k, weight): (usize, &f64)| weight.ln() - 0.5 * d as f64 * TAU.ln() - roots[k % roots.len()].log_det(d);
        let constants = self.weights.iter().enumerate().map(constant).collect();
        Ok(Ready { constants, roots, means: self.means.clone(), d })
    }

    /// Parameters that can be chosen freely.
    fn free(&self) -> usize {
        let k = self.weights.len();
        k * self.d + self.kind.entries(k) * self.kind.free(self.d) + k - 1
    }

    /// The likeliest Gaussians where each example belongs to components by these shares, `[n][k]`.
    fn maximized(kind: CovarianceKind, x: &[f64], d: usize, shares: &[f64], regularization: f64) -> Self {
        let n = x.len() / d;
        let k = shares.len() / n;
        let mut counts = vec![10.0 * f64::EPSILON; k];
        let mut means = vec![0.0; k * d];
        for (x, shares) in x.chunks_exact(d).zip(shares.chunks_exact(k)) {
            for (k, share) in shares.iter().enumerate() {
                counts[k] += share;
                means[k * d..][..d].iter_mut().zip(x).for_each(|(mean, x)| *mean += share * x);
            }
        }
        for (mean, count) in means.chunks_exact_mut(d).zip(&counts) {
            mean.iter_mut().for_each(|mean| *mean /= count);
        }
        let (entries, size) = (kind.entries(k), kind.size(d));
        let mut covariances = vec![0.0; entries * size];
        let mut gap = vec![0.0; d];
        for (x, shares) in x.chunks_exact(d).zip(shares.chunks_exact(k)) {
            for (k, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                gap.iter_mut().zip(x).zip(&means[k * d..][..d]).for_each(|((gap, x), mean)| *gap = x - mean);
                let whole = if kind == CovarianceKind::Tied { n as f64 } else { counts[k] };
                let own = &mut covariances[k % entries * size..][..size];
                match kind {
                    CovarianceKind::Full | CovarianceKind::Tied => {
                        for (row, a) in own.chunks_exact_mut(d).zip(&gap) {
                            row.iter_mut().zip(&gap).for_each(|(v, b)| *v += share * a * b / whole);
                        }
                    }
                    CovarianceKind::Diagonal => {
                        own.iter_mut().zip(&gap).for_each(|(v, g)| *v += share * g * g / whole);
                    }
                    CovarianceKind::Spherical => {
                        own[0] += share * gap.iter().map(|g| g * g).sum::<f64>() / whole / d as f64;
                    }
                }
            }
        }
        let step = if size == d * d && matches!(kind, CovarianceKind::Full | CovarianceKind::Tied) { d + 1 } else { 1 };
        for own in covariances.chunks_exact_mut(size) {
            own.iter_mut().step_by(step).for_each(|v| *v += regularization);
        }
        let weights = counts.iter().map(|count| count / n as f64).collect();
        Self { kind, weights, means, covariances, d }
    }
}

impl Ready {
    /// log of weight and density of each component at x, and of their sum.
    fn at(&self, x: &[f64], terms: &mut Vec<f64>) -> f64 {
        terms.clear();
        let mut gap = vec![0.0; self.d];
        for (k, constant) in self.constants.iter().enumerate() {
            let mean = &self.means[k * self.d..][..self.d];
            gap.iter_mut().zip(x.iter().zip(mean)).for_each(|(gap, (x, mean))| *gap = x - mean);
            terms.push(constant - 0.5 * self.roots[k % self.roots.len()].distance(&gap));
        }
        log_sum(terms)
    }

    /// A draw.
    fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let mut left = f64::from(stream.uniform());
        let weight = |k: usize| {
            (self.constants[k] + 0.5 * self.d as f64 * TAU.ln() + self.roots[k % self.roots.len()].log_det(self.d))
                .exp()
        };
        let k = (0..self.constants.len())
            .find(|&k| {
                left -= weight(k);
                left < 0.0
            })
            .unwrap_or(self.constants.len() - 1);
        let normals: Vec<f64> = (0..self.d).map(|_| f64::from(stream.normal())).collect();
        let mean = &self.means[k * self.d..][..self.d];
        self.roots[k % self.roots.len()].spread(&normals).iter().zip(mean).map(|(a, b)| a + b).collect()
    }
}

/// To which of k centers each example belongs: k-means from k-means++ starts (Arthur and Vassilvitskii 2007), the tightest
/// of several.
fn clusters(x: &[f64], d: usize, k: usize, restarts: u32, stream: &mut Stream) -> Vec<usize> {
    let n = x.len() / d;
    let row = |i: usize| &x[i * d..][..d];
    let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let mut best: Option<(f64, Vec<usize>)> = None;
    for _ in 0..restarts {
        let mut centers: Vec<f64> = row(stream.below(u32::try_from(n).unwrap_or(u32::MAX)) as usize).to_vec();
        let mut nearest: Vec<f64> = (0..n).map(|i| square(row(i), &centers)).collect();
        while centers.len() < k * d {
            let mut left = f64::from(stream.uniform()) * nearest.iter().sum::<f64>();
            let next = nearest.iter().position(|distance| {
                left -= distance;
                left < 0.0
            });
            // Where all examples are centers already, any will do.
            let next = row(next.unwrap_or(stream.below(u32::try_from(n).unwrap_or(u32::MAX)) as usize)).to_vec();
            nearest.iter_mut().enumerate().for_each(|(i, known)| *known = known.min(square(row(i), &next)));
            centers.extend(next);
        }
        let mut of = vec![usize::MAX; n];
        for _ in 0..300 {
            let closest = |i: usize| {
                let distance = |c: usize| square(row(i), &centers[c * d..][..d]);
                (0..k).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).expect("there is a center")
            };
            let new: Vec<usize> = (0..n).map(closest).collect();
            if new == of {
                break;
            }
            of = new;
            for c in 0..k {
                let own: Vec<usize> = (0..n).filter(|&i| of[i] == c).collect();
                if !own.is_empty() {
                    for j in 0..d {
                        centers[c * d + j] = own.iter().map(|&i| x[i * d + j]).sum::<f64>() / own.len() as f64;
                    }
                }
            }
        }
        let total: f64 = (0..n).map(|i| square(row(i), &centers[of[i] * d..][..d])).sum();
        if best.as_ref().is_none_or(|(least, _)| total < *least) {
            best = Some((total, of));
        }
    }
    best.expect("there is a start").1
}

/// The examples that a run is fit to.
struct Rows {
    x: Vec<f64>,
    labels: Vec<i64>,
}

impl Rows {
    /// Those of a group, `None` for all.
    fn of(&self, group: Option<i64>, d: usize) -> Vec<f64> {
        let chosen = |(i, _): &(usize, &[f64])| group.is_none_or(|group| self.labels[*i] == group);
        self.x.chunks_exact(d).enumerate().filter(chosen).flat_map(|(_, x)| x.to_vec()).collect()
    }
}

/// The fits of a pack's runs.
pub struct Classical {
    kinds: Vec<Kind>,
    rows: Vec<Rows>,
    seeds: Vec<u64>,
    info: DataInfo,
    device: Device,
    /// Why a run cannot go on.
    complaints: Vec<Option<String>>,
}

/// What is fit of a run.
struct Fit {
    priors: Vec<f64>,
    groups: Vec<Gaussians>,
}

impl Fit {
    /// # Errors
    /// Which covariance is none.
    fn ready(&self) -> Result<(Vec<f64>, Vec<Ready>), String> {
        let one = |(group, gaussians): (usize, &Gaussians)| {
            gaussians.ready().map_err(|k| {
                let class = if self.groups.len() > 1 { format!(" of class {group}") } else { String::new() };
                format!(
                    "the covariance of component {k}{class} is singular; take fewer components or more `regularization`"
                )
            })
        };
        let ready = self.groups.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        Ok((self.priors.iter().map(|prior| prior.ln()).collect(), ready))
    }
}

impl Classical {
    /// The mixtures of a pack; `specs` has one entry a run.
    pub fn mixtures(specs: &[&MixtureModelSpec], sources: &[Arc<dyn Source>], seeds: &[u64], device: Device) -> Self {
        Self::new(specs.iter().map(|spec| (spec.kind(), spec.examples)).collect(), sources, seeds, device)
    }

    /// Naive Bayes for a pack.
    pub fn naive_bayes(specs: &[&NaiveBayesSpec], sources: &[Arc<dyn Source>], seeds: &[u64], device: Device) -> Self {
        Self::new(specs.iter().map(|spec| (spec.kind(), spec.examples)).collect(), sources, seeds, device)
    }

    /// Kernel densities for a pack.
    pub fn kernels(specs: &[&KernelDensitySpec], sources: &[Arc<dyn Source>], seeds: &[u64], device: Device) -> Self {
        Self::new(specs.iter().map(|spec| (spec.kind(), spec.examples)).collect(), sources, seeds, device)
    }

    fn new(fits: Vec<(Kind, Option<NonZeroU32>)>, sources: &[Arc<dyn Source>], seeds: &[u64], device: Device) -> Self {
        let info = sources[0].info().clone();
        let d = info.shape.iter().product::<usize>();
        let of_run = |((source, &seed), (_, examples)): ((&Arc<dyn Source>, &u64), &(Kind, Option<NonZeroU32>))| {
            let n = examples.expect("`check_examples` requires it").get() as usize;
            let (mut x, mut labels) = (vec![0.0; n * d], vec![0; n]);
            source.draw(seed, 0, &mut x, &mut labels);
            Rows { x: x.into_iter().map(f64::from).collect(), labels }
        };
        let rows: Vec<Rows> = sources.iter().zip(seeds).zip(&fits).map(of_run).collect();
        let (kinds, complaints) = (fits.into_iter().map(|(kind, _)| kind).collect(), vec![None; seeds.len()]);
        Self { kinds, rows, seeds: seeds.to_vec(), info, device, complaints }
    }

    fn d(&self) -> usize {
        self.info.shape.iter().product()
    }

    /// The examples of each group of a run.
    fn groups(&self, run: usize) -> Vec<Vec<f64>> {
        let (kind, rows) = (&self.kinds[run], &self.rows[run]);
        if !kind.by_class() {
            return vec![rows.of(None, self.d())];
        }
        (0..self.info.classes as i64).map(|class| rows.of(Some(class), self.d())).collect()
    }

    /// What the state of a run says.
    fn read(&self, player: &Player, run: usize) -> Fit {
        let kind = &self.kinds[run];
        let numbers = |name: &str| -> Vec<f64> {
            host::numbers(&player.memory(name).get(run as i64)).into_iter().map(f64::from).collect()
        };
        let (priors, d) = (numbers(PRIORS), self.d());
        if let Kind::Kernels { .. } = kind {
            let one = |(means, width): (Vec<f64>, &f64)| {
                let n = means.len() / d;
                let (weights, covariances) = (vec![1.0 / n as f64; n], vec![width * width; n]);
                Gaussians { kind: CovarianceKind::Spherical, weights, means, covariances, d }
            };
            let groups = self.groups(run).into_iter().zip(&numbers(BANDWIDTHS)).map(one).collect();
            return Fit { priors, groups };
        }
        let (k, covariance) = (kind.components(), kind.covariance());
        let (weights, means, covariances) = (numbers(WEIGHTS), numbers(MEANS), numbers(COVARIANCES));
        let size = covariance.entries(k) * covariance.size(d);
        let one = |g: usize| Gaussians {
            kind: covariance,
            weights: weights[g * k..][..k].to_vec(),
            means: means[g * k * d..][..k * d].to_vec(),
            covariances: covariances[g * size..][..size].to_vec(),
            d,
        };
        Fit { groups: (0..priors.len()).map(one).collect(), priors }
    }

    fn write(player: &Player, run: usize, name: &str, numbers: impl Iterator<Item = f64>) {
        let numbers: Vec<f32> = numbers.map(|v| v as f32).collect();
        let memory = player.memory(name);
        memory.get(run as i64).copy_(&Tensor::from_slice(&numbers).to_device(memory.device()));
    }

    /// One iteration of a run: the mean of log p over its examples after it, and Bayes' criterion where it has one.
    fn iterate(&self, player: &Player, run: usize, first: bool) -> Result<(f64, Option<f64>), String> {
        let (kind, d, groups) = (&self.kinds[run], self.d(), self.groups(run));
        let n = self.rows[run].labels.len();
        if let Some(class) = groups.iter().position(|x| x.len() / d < kind.components()) {
            let have = groups[class].len() / d;
            return Err(format!("class {class} has {have} of the {n} examples, too few for {}", kind.components()));
        }
        let priors = groups.iter().map(|x| (x.len() / d) as f64 / n as f64);
        Self::write(player, run, PRIORS, priors);
        match kind {
            Kind::Kernels { bandwidth, .. } => {
                Self::write(player, run, BANDWIDTHS, groups.iter().map(|x| bandwidth.of(x.len() / d, d)));
            }
            Kind::NaiveBayes { smoothing } => {
                let all = Gaussians::maximized(CovarianceKind::Diagonal, &self.rows[run].x, d, &vec![1.0; n], 0.0);
                let added = smoothing * all.covariances.iter().copied().fold(0.0, f64::max);
                let fit: Vec<Gaussians> = groups
                    .iter()
                    .map(|x| Gaussians::maximized(CovarianceKind::Diagonal, x, d, &vec![1.0; x.len() / d], added))
                    .collect();
                Self::keep_fit(player, run, &fit);
            }
            Kind::Mixture { spec } => {
                let known = if first { None } else { Some(self.read(player, run).ready()?.1) };
                let k = kind.components();
                let shares = |(g, x): (usize, &Vec<f64>)| -> Vec<f64> {
                    let mut shares = vec![0.0; x.len() / d * k];
                    match &known {
                        None => {
                            let mut stream = Stream::new(self.seeds[run], Purpose::Latent, g as u32, 0);
                            let of = clusters(x, d, k, spec.restarts.get(), &mut stream);
                            of.iter().enumerate().for_each(|(i, &c)| shares[i * k + c] = 1.0);
                        }
                        Some(known) => {
                            let mut terms = Vec::with_capacity(k);
                            for (x, shares) in x.chunks_exact(d).zip(shares.chunks_exact_mut(k)) {
                                let whole = known[g].at(x, &mut terms);
                                shares.iter_mut().zip(&terms).for_each(|(share, term)| *share = (term - whole).exp());
                            }
                        }
                    }
                    shares
                };
                let fit: Vec<Gaussians> = (groups.iter().enumerate())
                    .map(|(g, x)| {
                        let shares = shares((g, x));
                        Gaussians::maximized(spec.covariance, x, d, &shares, spec.regularization.own().get())
                    })
                    .collect();
                let empty = |fit: &Gaussians| fit.weights.iter().position(|w| *w * n as f64 <= 1e-6);
                if let Some(k) = fit.iter().find_map(empty) {
                    return Err(format!("component {k} has no examples left; take fewer `components`"));
                }
                Self::keep_fit(player, run, &fit);
            }
        }
        let fit = self.read(player, run);
        let mean = self.mean(&fit, run)?;
        let free: usize = fit.groups.iter().map(Gaussians::free).sum::<usize>() + fit.groups.len() - 1;
        let bic = free as f64 * (n as f64).ln() - 2.0 * mean * n as f64;
        Ok((mean, Some(bic).filter(|_| !matches!(kind, Kind::Kernels { .. }))))
    }

    fn keep_fit(player: &Player, run: usize, fit: &[Gaussians]) {
        Self::write(player, run, WEIGHTS, fit.iter().flat_map(|g| g.weights.iter().copied()));
        Self::write(player, run, MEANS, fit.iter().flat_map(|g| g.means.iter().copied()));
        Self::write(player, run, COVARIANCES, fit.iter().flat_map(|g| g.covariances.iter().copied()));
    }

    /// The mean of log p over a run's examples; of a kernel density each without the kernel at itself.
    fn mean(&self, fit: &Fit, run: usize) -> Result<f64, String> {
        let (log_priors, ready) = fit.ready()?;
        let (rows, kernels) = (&self.rows[run], matches!(self.kinds[run], Kind::Kernels { .. }));
        let mut terms = Vec::new();
        let mut total = 0.0;
        for (x, &label) in rows.x.chunks_exact(self.d()).zip(&rows.labels) {
            let of_group = |(g, ready): (usize, &Ready)| {
                let whole = ready.at(x, &mut terms);
                if !kernels || fit.groups.len() > 1 && label != g as i64 {
                    return log_priors[g] + whole;
                }
                // The kernel at the example itself is the highest there is.
                let highest = (0..terms.len()).max_by(|&a, &b| terms[a].total_cmp(&terms[b]));
                let n = terms.len() as f64;
                if let Some(own) = highest {
                    terms.swap_remove(own);
                }
                log_priors[g] + log_sum(&terms) + (n / (n - 1.0)).ln()
            };
            let of_groups: Vec<f64> = ready.iter().enumerate().map(of_group).collect();
            total += log_sum(&of_groups);
        }
        Ok(total / rows.labels.len() as f64)
    }

    /// log of prior and density of each group at each example, `[n][groups]`, for every run.
    fn joint(&self, players: &[Player], x: &Array) -> Vec<Vec<Vec<f64>>> {
        let of_run = |run: usize| {
            let Ok((log_priors, ready)) = self.read(&players[0], run).ready() else {
                return vec![vec![f64::NAN; self.kinds[run].groups(&self.info)]; x.rows()];
            };
            let mut terms = Vec::new();
            let at = |i: usize| -> Vec<f64> {
                let row: Vec<f64> = x.row(i).iter().map(|&v| f64::from(v)).collect();
                ready.iter().zip(&log_priors).map(|(ready, prior)| prior + ready.at(&row, &mut terms)).collect()
            };
            (0..x.rows()).map(at).collect()
        };
        (0..self.kinds.len()).map(of_run).collect()
    }
}

impl Objective for Classical {
    fn turns(&self) -> &'static [Turn] {
        &[Turn { moves: &[], cadence: Cadence::Once, real: RealDraw::Nothing }]
    }

    fn loss(&mut self, _turn: usize, _batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let _guard = tch::no_grad_guard();
        let (mut means, mut bics) = (Vec::new(), Vec::new());
        for run in 0..self.kinds.len() {
            let found = self.iterate(&cx.players[0], run, cx.clock == 0);
            let (mean, bic) = found.as_ref().map_or((f64::NAN, None), |found| *found);
            self.complaints[run] = found.err();
            means.push(mean);
            bics.push(bic.unwrap_or(f64::NAN));
        }
        cx.record("fit/likelihood", || column(means.iter().copied(), self.device));
        if !matches!(self.kinds[0], Kind::Kernels { .. }) {
            cx.record("fit/bic", || column(bics.iter().copied(), self.device));
        }
        column(means.iter().map(|mean| -mean), self.device)
    }

    fn scalars(&self) -> Vec<&'static str> {
        if matches!(self.kinds[0], Kind::Kernels { .. }) {
            vec!["fit/likelihood"]
        } else {
            vec!["fit/likelihood", "fit/bic"]
        }
    }

    fn complaint(&self, run: usize) -> Option<String> {
        self.complaints[run].clone()
    }

    fn provides(&self) -> Provides<'_> {
        Provides {
            samples: Some(self),
            likelihoods: Some(self),
            classes: self.kinds[0].by_class().then_some(self),
            ..Provides::default()
        }
    }
}

impl Generate for Classical {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let groups = self.kinds[0].groups(&self.info);
        let group = |i: usize| request.label.map_or(i % groups, |label| label as usize);
        let labels: Vec<i64> = match self.kinds[0].by_class() {
            true => (0..request.n).map(|i| group(i) as i64).collect(),
            false => vec![],
        };
        let of_run = |(run, mut stream): (usize, Stream)| {
            let mut data = Vec::with_capacity(request.n * self.d());
            let ready = self.read(&players[0], run).ready();
            for i in 0..request.n {
                match &ready {
                    Ok((_, ready)) => {
                        let g = if labels.is_empty() { 0 } else { group(i) };
                        data.extend(ready[g].draw(&mut stream).into_iter().map(|v| v as f32));
                    }
                    Err(_) => data.extend(std::iter::repeat_n(f32::NAN, self.d())),
                }
            }
            let x = Array::new([&[request.n], &self.info.shape[..]].concat(), data);
            Examples { x, labels: labels.clone() }
        };
        request.streams(request.purpose).into_iter().enumerate().map(of_run).collect()
    }
}

impl Classify for Classical {
    fn classify(&self, players: &[Player], x: &Array, _averaged: bool) -> Vec<Array> {
        self.joint(players, x).iter().map(|joint| posteriors(joint, self.info.classes)).collect()
    }
}

impl Likelihoods for Classical {
    fn likelihoods(&self, players: &[Player], real: &Examples, _: &[u32], _: &[u64], _: bool) -> Vec<Vec<Nats>> {
        self.joint(players, &real.x).iter().map(|joint| vec![exactly(joint)]).collect()
    }

    fn kind(&self) -> String {
        "density".to_owned()
    }

    fn law(&self) -> String {
        "gaussians".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::player::{OptimizerSpec, PlayerSpec};

    /// A table, all of whose rows are drawn in their order.
    struct Rowed {
        info: DataInfo,
        x: Vec<f32>,
        labels: Vec<i64>,
    }

    impl Source for Rowed {
        fn info(&self) -> &DataInfo {
            &self.info
        }
        fn draw(&self, _: u64, _: u64, x: &mut [f32], labels: &mut [i64]) {
            x.copy_from_slice(&self.x);
            labels.copy_from_slice(&self.labels);
        }
        fn reference(&self, _: Split, _: u64, _: usize) -> Examples {
            let x = Array::new(vec![self.labels.len(), self.info.shape[0]], self.x.clone());
            Examples { x, labels: self.labels.clone() }
        }
    }

    fn rowed(x: Vec<f32>, labels: Vec<i64>) -> Rowed {
        let (d, classes) = (x.len() / labels.len(), 1 + labels.iter().max().map_or(0, |most| *most as usize));
        let len = Some(labels.len() as u64);
        Rowed { info: DataInfo { classes, len, ..DataInfo::new(vec![d]) }, x, labels }
    }

    /// A table of the fixture, which `classical.py` wrote, and what scikit-learn says of it by name.
    fn table(name: &str) -> (Rowed, Vec<(&'static str, Vec<f64>)>) {
        let (mut x, mut labels, mut said) = (vec![], vec![], vec![]);
        for line in include_str!("classical.txt").lines() {
            let mut words = line.split(' ');
            if words.next() != Some(name) {
                continue;
            }
            let what = words.next().expect("a line says what it is");
            let mut numbers: Vec<f64> = words.map(|v| v.parse().expect("a number")).collect();
            if what == "row" {
                labels.push(numbers.pop().expect("a label") as i64);
                x.extend(numbers);
            } else {
                said.push((what, numbers));
            }
        }
        if name == "wine" {
            standardize(&mut x, labels.len());
        }
        (rowed(x.iter().map(|&v| v as f32).collect(), labels), said)
    }

    /// Brings each column to mean 0 and deviation 1.
    fn standardize(x: &mut [f64], rows: usize) {
        let columns = x.len() / rows;
        for column in 0..columns {
            let all = || x.iter().skip(column).step_by(columns);
            let mean = all().sum::<f64>() / rows as f64;
            let deviation = (all().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
            x.iter_mut().skip(column).step_by(columns).for_each(|v| *v = (*v - mean) / deviation);
        }
    }

    /// A model of one run, its state at its beginning.
    fn begun<F: Family>(spec: &F, kind: Kind, source: Rowed) -> (Classical, Vec<Player>) {
        let plan = NetworkPlan::memory(spec.memory(PLAYER, &source.info));
        let optimizers = vec![OptimizerSpec::still()];
        let player = PlayerSpec { name: PLAYER, index: 0, plan, optimizers, ema: None, clip: None, history: None };
        let examples = NonZeroU32::new(source.labels.len() as u32);
        let source: Arc<dyn Source> = Arc::new(source);
        let players = vec![Player::new(player, &[1], Device::Cpu)];
        (Classical::new(vec![(kind, examples)], &[source], &[1], Device::Cpu), players)
    }

    fn mixture(text: &str, source: Rowed) -> (Classical, Vec<Player>) {
        let spec: MixtureModelSpec = toml::from_str(text).expect("a spec");
        begun(&spec, spec.kind(), source)
    }

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} instead of {expected}");
    }

    #[test]
    fn mixtures_are_those_of_scikit_learn_and_no_iteration_makes_them_worse() {
        for (name, k) in [("iris", 3), ("geyser", 2), ("wine", 3)] {
            for kind in ["full", "tied", "diagonal", "spherical"] {
                for components in [k, 1] {
                    let (source, said) = table(name);
                    let d = source.info.shape[0];
                    let tag = if kind == "diagonal" { "diag" } else { kind };
                    let tag = if components == 1 { format!("{tag}-1") } else { tag.to_owned() };
                    let expected = &said.iter().find(|(what, _)| *what == tag).expect("it is there").1;
                    let (model, players) =
                        mixture(&format!("components = {components}\ncovariance = \"{kind}\""), source);
                    let (mut last, mut bic) = (f64::NEG_INFINITY, None);
                    for step in 0..600 {
                        let (mean, now) = model.iterate(&players[0], 0, step == 0).expect("it goes on");
                        assert!(mean >= last - 2e-6, "{name} {tag}, step {step}: {mean} after {last}");
                        (last, bic) = (mean, now);
                    }
                    near(last, expected[0], 2e-4);
                    near(bic.expect("it has one"), expected[1], 0.1);
                    if components == k {
                        let fit = &model.read(&players[0], 0).groups[0];
                        let mut order: Vec<usize> = (0..k).collect();
                        order.sort_by(|&a, &b| fit.means[a * d].total_cmp(&fit.means[b * d]));
                        for (place, &c) in order.iter().enumerate() {
                            near(fit.weights[c], expected[2 + place], 2e-3);
                            let means = &expected[2 + k + place * d..][..d];
                            fit.means[c * d..][..d].iter().zip(means).for_each(|(a, b)| near(*a, *b, 2e-2));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn naive_bayes_is_that_of_scikit_learn() {
        for name in ["iris", "geyser", "wine"] {
            let (source, said) = table(name);
            let real = source.reference(Split::Train, 0, 0);
            let expected = &said.iter().find(|(what, _)| *what == "bayes").expect("it is there").1;
            let spec: NaiveBayesSpec = toml::from_str("").expect("a spec");
            let (model, players) = begun(&spec, spec.kind(), source);
            let (mean, _) = model.iterate(&players[0], 0, true).expect("it is fit");
            near(mean, expected[0], 1e-4);
            let classes = &model.classify(&players, &real.x, false)[0];
            let likeliest =
                |i: usize| (0..classes.row_len()).max_by(|&a, &b| classes.row(i)[a].total_cmp(&classes.row(i)[b]));
            let right = (0..real.labels.len()).filter(|&i| likeliest(i) == Some(real.labels[i] as usize)).count();
            near(right as f64 / real.labels.len() as f64, expected[1], 1e-6);
            for (found, expected) in classes.row(real.labels.len() / 2).iter().zip(&expected[2..]) {
                near(f64::from(*found), *expected, 1e-3 * (1.0 + expected.abs()));
            }
            let nats = Likelihoods::likelihoods(&model, &players, &real, &[], &[1], false).remove(0).remove(0);
            let all: f64 = nats.of.iter().map(|v| f64::from(*v)).sum();
            assert_eq!(nats.draws, 0);
            near(all / nats.of.len() as f64, expected[0], 1e-4);
        }
    }

    #[test]
    fn kernel_densities_are_those_of_scikit_learn() {
        for name in ["iris", "geyser", "wine"] {
            for width in ["scott", "silverman"] {
                let (source, said) = table(name);
                let real = source.reference(Split::Train, 0, 0);
                let expected = &said.iter().find(|(what, _)| *what == width).expect("it is there").1;
                let spec = KernelDensitySpec {
                    examples: None,
                    bandwidth: Each::new(match width {
                        "scott" => BandwidthSpec::Scott,
                        _ => BandwidthSpec::Silverman,
                    }),
                    by_class: false,
                };
                let (model, players) = begun(&spec, spec.kind(), source);
                let (others, bic) = model.iterate(&players[0], 0, true).expect("it is fit");
                let nats = Likelihoods::likelihoods(&model, &players, &real, &[], &[1], false).remove(0).remove(0);
                let all: f64 = nats.of.iter().map(|v| f64::from(*v)).sum();
                near(all / nats.of.len() as f64, expected[0], 1e-4);
                near(others, expected[1], 1e-4);
                assert_eq!(bic, None);
            }
        }
    }

    #[test]
    fn samples_have_the_moments_of_the_mixture() {
        let (source, _) = table("geyser");
        let rows: Vec<f64> = source.x.iter().map(|&v| f64::from(v)).collect();
        let (model, players) = mixture("components = 2", source);
        for step in 0..50 {
            model.iterate(&players[0], 0, step == 0).expect("it goes on");
        }
        let (seeds, purpose, n) = (&[4][..], Purpose::Sample, 20_000);
        let request = Request { seeds, purpose, index: 0, n, label: None, averaged: false };
        let made = model.generate(&players, &request).remove(0).x;
        // Expectation and maximization keep mean and covariance of the examples.
        let moments = |x: &dyn Fn(usize, usize) -> f64, n: usize| {
            let mean = |j| (0..n).map(|i| x(i, j)).sum::<f64>() / n as f64;
            let means = [mean(0), mean(1)];
            let cross = |a: usize, b: usize| {
                (0..n).map(|i| (x(i, a) - means[a]) * (x(i, b) - means[b])).sum::<f64>() / n as f64
            };
            [means[0], means[1], cross(0, 0), cross(0, 1), cross(1, 1)]
        };
        let found = moments(&|i, j| f64::from(made.row(i)[j]), n);
        let expected = moments(&|i, j| rows[2 * i + j], rows.len() / 2);
        for (found, expected) in found.iter().zip(expected) {
            near(*found, expected, 0.03 * expected.abs());
        }
    }

    #[test]
    fn what_cannot_be_fit_is_said() {
        let same = || rowed(vec![1.0; 12], vec![0, 0, 0, 1, 1, 1]);
        let told = |text: &str| {
            let (model, players) = mixture(text, same());
            let tried = (0..2).map(|step| model.iterate(&players[0], 0, step == 0)).find_map(Result::err);
            tried.expect("it cannot be fit")
        };
        let singular = told("components = 1\nregularization = 0");
        assert!(singular.starts_with("the covariance of component 0 is singular"), "{singular}");
        let empty = told("components = 2");
        assert!(empty.starts_with("component 1 has no examples left"), "{empty}");
        let few = told("components = 4\nby-class = true");
        assert_eq!(few, "class 0 has 3 of the 6 examples, too few for 4");
    }
}
