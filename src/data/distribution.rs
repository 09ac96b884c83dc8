//! Distributions made on the fly, with what is exactly known of them.
//!
//! The ring, the grid and the swiss roll are by default the toys of WGAN-GP (`gan_toy.py` of the code of
//! arXiv:1704.00028): "8gaussians", "25gaussians" and "swissroll", divided by the same constants.

use super::interval::PerDimension;
use super::{DataError, DataInfo, Examples, Source, Split, Truth};
use crate::base::{Array, Each, NonNegative, Positive};
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::num::NonZeroU32;

/// A Gaussian with independent dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GaussianSpec {
    /// The mean: a number for all dimensions, or one each.
    #[serde(default = "GaussianSpec::mean")]
    pub mean: Each<PerDimension>,
    /// The standard deviation: a number for all dimensions, or one each.
    #[serde(default = "GaussianSpec::std")]
    pub std: Each<PerDimension>,
    /// How many dimensions; by default, as many as a list has, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dim: Option<NonZeroU32>,
}
impl GaussianSpec {
    fn mean() -> Each<PerDimension> {
        Each::new(PerDimension::All(0.0))
    }
    fn std() -> Each<PerDimension> {
        Each::new(PerDimension::All(1.0))
    }

    /// The law it describes.
    ///
    /// # Errors
    /// If lists and `dim` disagree, or a deviation is negative.
    pub fn law(&self) -> Result<Law, DataError> {
        let said = [self.dim.map(|dim| dim.get() as usize), self.mean.own().len(), self.std.own().len()];
        let dim = said.iter().flatten().copied().next().unwrap_or(1);
        if said.iter().flatten().any(|&other| other != dim) {
            return Err(DataError::Spec(
                "gaussian: `dim` and the lists of `mean` and `std` must have one length".to_owned(),
            ));
        }
        let (mean, std) = (self.mean.own().values(dim), self.std.own().values(dim));
        if std.iter().any(|&std| std < 0.0) {
            return Err(DataError::Spec("gaussian: expected a standard deviation of 0 or more".to_owned()));
        }
        let truth = if dim == 1 {
            Truth::Normal { mean: mean[0], std: std[0] }
        } else if std.iter().all(|&other| other == std[0]) {
            Truth::Modes { centers: vec![mean.clone()], std: std[0], weights: vec![1.0] }
        } else {
            Truth::Unknown
        };
        Ok(Law::new(Kind::Gaussian { mean: floats(&mean), std: floats(&std) }, dim, 0, truth))
    }
}

/// Equal Gaussians on a circle; mode k lies at angle 2πk/modes. The defaults are WGAN-GP's "8gaussians".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RingSpec {
    /// How many modes.
    #[serde(default = "RingSpec::modes")]
    pub modes: NonZeroU32,
    /// The circle's radius, before the division.
    #[serde(default = "RingSpec::radius")]
    pub radius: Each<NonNegative>,
    /// The standard deviation of each mode, before the division.
    #[serde(default = "RingSpec::std")]
    pub std: Each<NonNegative>,
    /// Everything is divided by this.
    #[serde(default = "RingSpec::scale")]
    pub scale: Each<Positive>,
}
impl RingSpec {
    fn modes() -> NonZeroU32 {
        NonZeroU32::new(8).expect("8 is not 0")
    }
    fn radius() -> Each<NonNegative> {
        Each::new(NonNegative::of(2.0))
    }
    fn std() -> Each<NonNegative> {
        Each::new(NonNegative::of(0.02))
    }
    fn scale() -> Each<Positive> {
        Each::new(Positive::of(1.414))
    }

    /// The law it describes.
    ///
    /// # Errors
    /// If there are more modes than anybody can mean.
    pub fn law(&self) -> Result<Law, DataError> {
        let (modes, radius) = (self.modes.get(), self.radius.own().get() / self.scale.own().get());
        if modes > 1_000_000 {
            return Err(DataError::Spec(format!("ring: expected at most 1,000,000 modes, got {modes}")));
        }
        let angle = |k: u32| TAU * f64::from(k) / f64::from(modes);
        let centers = (0..modes).map(|k| vec![radius * libm::cos(angle(k)), radius * libm::sin(angle(k))]).collect();
        Ok(Law::mixture(centers, self.std.own().get() / self.scale.own().get(), None))
    }
}

/// Equal Gaussians on a square grid around 0. The defaults are WGAN-GP's "25gaussians".
// Departs from the paper's code: that makes 100,000 points once and loops over them, here every draw is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GridSpec {
    /// Modes along each side.
    #[serde(default = "GridSpec::side")]
    pub side: NonZeroU32,
    /// The distance between neighbors, before the division.
    #[serde(default = "GridSpec::spacing")]
    pub spacing: Each<Positive>,
    /// The standard deviation of each mode, before the division.
    #[serde(default = "GridSpec::std")]
    pub std: Each<NonNegative>,
    /// Everything is divided by this.
    #[serde(default = "GridSpec::scale")]
    pub scale: Each<Positive>,
}
impl GridSpec {
    fn side() -> NonZeroU32 {
        NonZeroU32::new(5).expect("5 is not 0")
    }
    fn spacing() -> Each<Positive> {
        Each::new(Positive::of(2.0))
    }
    fn std() -> Each<NonNegative> {
        Each::new(NonNegative::of(0.05))
    }
    fn scale() -> Each<Positive> {
        Each::new(Positive::of(2.828))
    }

    /// The law it describes.
    ///
    /// # Errors
    /// If there are more modes than anybody can mean.
    pub fn law(&self) -> Result<Law, DataError> {
        let side = self.side.get();
        if side > 1000 {
            return Err(DataError::Spec(format!("grid: expected a side of at most 1000 modes, got {side}")));
        }
        let middle = f64::from(side - 1) / 2.0;
        let place = |k: u32| (f64::from(k) - middle) * self.spacing.own().get() / self.scale.own().get();
        let centers = (0..side).flat_map(|i| (0..side).map(move |j| vec![place(i), place(j)])).collect();
        Ok(Law::mixture(centers, self.std.own().get() / self.scale.own().get(), None))
    }
}

/// Round Gaussians at listed centers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MixtureSpec {
    /// The centers; all have the same number of dimensions.
    pub centers: Each<Vec<Vec<f64>>>,
    /// The standard deviation of each, in each dimension.
    pub std: Each<NonNegative>,
    /// How often each is drawn, up to a common factor; equally often by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Each<Vec<NonNegative>>>,
}
impl MixtureSpec {
    /// The law it describes.
    ///
    /// # Errors
    /// If lengths disagree, or no weight is above 0.
    pub fn law(&self) -> Result<Law, DataError> {
        let mistake = |text: String| Err(DataError::Spec(format!("mixture: {text}")));
        let centers = self.centers.own();
        let dim = centers.first().map_or(0, Vec::len);
        if dim == 0 {
            return mistake("expected at least one center with at least one number".to_owned());
        }
        if let Some(i) = centers.iter().position(|center| center.len() != dim || center.iter().any(|v| !v.is_finite()))
        {
            return mistake(format!("expected {dim} finite numbers in center {i} as in the first"));
        }
        let weights = match self.weights.as_ref().map(Each::own) {
            None => None,
            Some(weights) if weights.len() != centers.len() => {
                return mistake(format!("{} centers have {} weights", centers.len(), weights.len()));
            }
            Some(weights) => {
                let weights: Vec<f64> = weights.iter().map(|w| w.get()).collect();
                if weights.iter().sum::<f64>() <= 0.0 {
                    return mistake("expected a weight above 0".to_owned());
                }
                Some(weights)
            }
        };
        Ok(Law::mixture(centers.clone(), self.std.own().get(), weights))
    }
}

/// A spiral: t = 1.5π(1 + 2u) with u ~ U[0, 1), (t cos t, t sin t) + noise. The defaults are WGAN-GP's "swissroll".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwissRollSpec {
    /// The standard deviation of the noise, before the division.
    #[serde(default = "SwissRollSpec::noise")]
    pub noise: Each<NonNegative>,
    /// Everything is divided by this.
    #[serde(default = "SwissRollSpec::scale")]
    pub scale: Each<Positive>,
}
impl SwissRollSpec {
    fn noise() -> Each<NonNegative> {
        Each::new(NonNegative::of(0.25))
    }
    fn scale() -> Each<Positive> {
        Each::new(Positive::of(7.5))
    }

    /// The law it describes.
    ///
    /// # Errors
    /// Never; the signature is that of its siblings.
    pub fn law(&self) -> Result<Law, DataError> {
        let (noise, scale) = (self.noise.own().get() as f32, self.scale.own().get() as f32);
        Ok(Law::new(Kind::SwissRoll { noise, scale }, 2, 0, Truth::Unknown))
    }
}

/// Half of the unit circle around 0, and half of that around (1, 0.5), with noise; each holds half of the points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TwoMoonsSpec {
    /// The standard deviation of the noise.
    #[serde(default = "TwoMoonsSpec::noise")]
    pub noise: Each<NonNegative>,
}
impl TwoMoonsSpec {
    fn noise() -> Each<NonNegative> {
        Each::new(NonNegative::of(0.05))
    }

    /// The law it describes.
    ///
    /// # Errors
    /// Never; the signature is that of its siblings.
    pub fn law(&self) -> Result<Law, DataError> {
        Ok(Law::new(Kind::TwoMoons { noise: self.noise.own().get() as f32 }, 2, 0, Truth::Unknown))
    }
}

/// The law of (offset, U[0, 1)): its Wasserstein distance from the one at 0 is |offset|, its Jensen-Shannon divergence
/// log 2 (arXiv:1701.07875, example 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ParallelLinesSpec {
    /// The first coordinate of every point.
    #[serde(default)]
    pub offset: Each<f64>,
}
impl ParallelLinesSpec {
    /// The law it describes.
    ///
    /// # Errors
    /// If the offset is not finite.
    pub fn law(&self) -> Result<Law, DataError> {
        let offset = *self.offset.own();
        if !offset.is_finite() {
            return Err(DataError::Spec("parallel-lines: expected a finite offset".to_owned()));
        }
        Ok(Law::new(Kind::ParallelLines { offset: offset as f32 }, 2, 0, Truth::Unknown))
    }
}

/// The same density everywhere in a cube.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UniformSpec {
    /// How many dimensions.
    #[serde(default = "UniformSpec::dim")]
    pub dim: NonZeroU32,
    /// The lower end in each dimension.
    #[serde(default)]
    pub low: Each<f64>,
    /// The upper end in each dimension.
    #[serde(default = "UniformSpec::high")]
    pub high: Each<f64>,
}
impl UniformSpec {
    fn dim() -> NonZeroU32 {
        NonZeroU32::MIN
    }
    fn high() -> Each<f64> {
        Each::new(1.0)
    }

    /// The law it describes.
    ///
    /// # Errors
    /// If `low` is not below `high`.
    pub fn law(&self) -> Result<Law, DataError> {
        let (low, high) = (*self.low.own(), *self.high.own());
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(DataError::Spec(format!("uniform: expected low below high, got {} and {}", low, high)));
        }
        let (low, high) = (low as f32, high as f32);
        let mut law = Law::new(Kind::Uniform { low, high }, self.dim.get() as usize, 0, Truth::Unknown);
        law.info.range = Some((low, high));
        Ok(law)
    }
}

/// x = W z + noise·ε with z and ε standard normal: what probabilistic principal component analysis assumes. The entries of
/// W are drawn from N(0, 1) once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinearGaussianSpec {
    /// How many dimensions x has.
    #[serde(default = "LinearGaussianSpec::dim")]
    pub dim: NonZeroU32,
    /// How many dimensions z has.
    #[serde(default = "LinearGaussianSpec::latent")]
    pub latent: NonZeroU32,
    /// The deviation of the noise.
    #[serde(default = "LinearGaussianSpec::noise")]
    pub noise: Each<Positive>,
    /// Another seed is another W; it has nothing to do with the seed of a run.
    #[serde(default)]
    pub seed: u64,
}
impl LinearGaussianSpec {
    fn dim() -> NonZeroU32 {
        NonZeroU32::new(16).expect("16 is not 0")
    }
    fn latent() -> NonZeroU32 {
        NonZeroU32::new(4).expect("4 is not 0")
    }
    fn noise() -> Each<Positive> {
        Each::new(Positive::of(0.3))
    }

    /// The law it describes.
    ///
    /// # Errors
    /// If there are more dimensions than a matrix of them can have.
    pub fn law(&self) -> Result<Law, DataError> {
        let (dim, latent) = (self.dim.get() as usize, self.latent.get() as usize);
        if dim > 1000 || latent > 1000 {
            return Err(DataError::Spec("linear-gaussian: expected at most 1000 dimensions".to_owned()));
        }
        let mut stream = Stream::new(self.seed, Purpose::Data, 0x11A, 0);
        let weights: Vec<Vec<f32>> = (0..dim).map(|_| (0..latent).map(|_| stream.normal()).collect()).collect();
        let noise = self.noise.own().get();
        let covariance = |i: usize, j: usize| {
            let shared: f64 = weights[i].iter().zip(&weights[j]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            shared + if i == j { noise * noise } else { 0.0 }
        };
        let covariance = (0..dim).map(|i| (0..dim).map(|j| covariance(i, j)).collect()).collect();
        let kind = Kind::LinearGaussian { weights, noise: noise as f32 };
        Ok(Law::new(kind, dim, 0, Truth::Gaussian { covariance }))
    }
}

/// Black and white images of bars: a fair coin chooses rows or columns, and another one the color of each. What a model of
/// images can reach is known: the entropy of 8×8 of them is 6.2329 nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BarsSpec {
    /// Height and width.
    #[serde(default = "BarsSpec::side")]
    pub side: NonZeroU32,
}
impl BarsSpec {
    fn side() -> NonZeroU32 {
        NonZeroU32::new(8).expect("8 is not 0")
    }

    /// The law it describes.
    ///
    /// # Errors
    /// If the images are larger than anybody can mean.
    pub fn law(&self) -> Result<Law, DataError> {
        let side = self.side.get();
        if side > 1000 {
            return Err(DataError::Spec(format!("bars: expected a side of at most 1000, got {side}")));
        }
        let side = side as usize;
        let mut law = Law::new(Kind::Bars { side }, 1, 0, Truth::Bars { side });
        law.info.shape = vec![1, side, side];
        law.info.range = Some((0.0, 1.0));
        law.info.levels = Some(2);
        Ok(law)
    }
}

/// A distribution that examples are drawn from.
#[derive(Clone, Debug)]
pub struct Law {
    /// What is known of it.
    pub info: DataInfo,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Gaussian { mean: Vec<f32>, std: Vec<f32> },
    Mixture { centers: Vec<Vec<f32>>, std: f32, upto: Vec<f32> },
    SwissRoll { noise: f32, scale: f32 },
    TwoMoons { noise: f32 },
    ParallelLines { offset: f32 },
    Uniform { low: f32, high: f32 },
    LinearGaussian { weights: Vec<Vec<f32>>, noise: f32 },
    Bars { side: usize },
}

impl Law {
    fn new(kind: Kind, dim: usize, classes: usize, truth: Truth) -> Self {
        let info = DataInfo { classes, truth, ..DataInfo::new(vec![dim]) };
        Self { info, kind }
    }

    fn mixture(centers: Vec<Vec<f64>>, std: f64, weights: Option<Vec<f64>>) -> Self {
        let n = centers.len();
        let equal = weights.is_none();
        let weights = weights.unwrap_or_else(|| vec![1.0; n]);
        let mut upto: Vec<f64> = weights
            .iter()
            .scan(0.0, |sum, w| {
                *sum += w;
                Some(*sum)
            })
            .collect();
        let sum = upto[n - 1];
        let shares = weights.iter().map(|w| w / sum).collect();
        // The last bound is exactly 1, so every number below 1 meets a mode, and never one of weight 0.
        upto.iter_mut().for_each(|bound| *bound /= sum);
        let upto = if equal { Vec::new() } else { floats(&upto) };
        let dim = centers[0].len();
        let kind = Kind::Mixture { centers: centers.iter().map(|c| floats(c)).collect(), std: std as f32, upto };
        Self::new(kind, dim, n, Truth::Modes { centers, std, weights: shares })
    }

    fn fill(&self, stream: &mut Stream, x: &mut [f32], labels: &mut [i64]) {
        for (point, label) in x.chunks_exact_mut(self.info.shape.iter().product()).zip(labels) {
            match &self.kind {
                Kind::Gaussian { mean, std } => {
                    for (value, (mean, std)) in point.iter_mut().zip(mean.iter().zip(std)) {
                        *value = mean + std * stream.normal();
                    }
                }
                Kind::Mixture { centers, std, upto } => {
                    let mode = if upto.is_empty() {
                        stream.below(u32::try_from(centers.len()).expect("modes of a spec are few")) as usize
                    } else {
                        let share = stream.uniform();
                        upto.iter().position(|&bound| share < bound).expect("the last bound is 1")
                    };
                    for (value, center) in point.iter_mut().zip(&centers[mode]) {
                        *value = center + std * stream.normal();
                    }
                    *label = mode as i64;
                }
                Kind::SwissRoll { noise, scale } => {
                    let t = 1.5 * std::f32::consts::PI * (1.0 + 2.0 * stream.uniform());
                    let (sin, cos) = libm::sincosf(t);
                    point[0] = (t * cos + noise * stream.normal()) / scale;
                    point[1] = (t * sin + noise * stream.normal()) / scale;
                }
                Kind::TwoMoons { noise } => {
                    let upper = stream.below(2) == 0;
                    let (sin, cos) = libm::sincosf(std::f32::consts::PI * stream.uniform());
                    let (a, b) = if upper { (cos, sin) } else { (1.0 - cos, 0.5 - sin) };
                    point[0] = a + noise * stream.normal();
                    point[1] = b + noise * stream.normal();
                }
                Kind::ParallelLines { offset } => {
                    point[0] = *offset;
                    point[1] = stream.uniform();
                }
                Kind::Uniform { low, high } => stream.fill_uniform(point, *low, *high),
                Kind::LinearGaussian { weights, noise } => {
                    let z: Vec<f32> = (0..weights[0].len()).map(|_| stream.normal()).collect();
                    for (value, row) in point.iter_mut().zip(weights) {
                        *value = row.iter().zip(&z).map(|(w, z)| w * z).sum::<f32>() + noise * stream.normal();
                    }
                }
                Kind::Bars { side } => {
                    let rows = stream.below(2) == 0;
                    for bar in 0..*side {
                        let color = stream.below(2) as f32;
                        for along in 0..*side {
                            point[if rows { bar * side + along } else { along * side + bar }] = color;
                        }
                    }
                }
            }
        }
    }
}

impl Source for Law {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn draw(&self, seed: u64, draw: u64, x: &mut [f32], labels: &mut [i64]) {
        self.fill(&mut Stream::new(seed, Purpose::Data, 0, draw), x, labels);
    }

    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples {
        let part = match split {
            Split::Test => 0xDA7A,
            Split::Train => 0xDA7B,
        };
        let mut x = Array::zeros([&[n], &self.info.shape[..]].concat());
        let mut labels = vec![0; n];
        self.fill(&mut Stream::new(seed, Purpose::Eval, part, 0), &mut x.data, &mut labels);
        if self.info.classes == 0 {
            labels.clear();
        }
        Examples { x, labels }
    }
}

fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataRoots, DataSpec};

    const N: usize = 100_000;

    fn spec(text: &str) -> DataSpec {
        #[derive(Deserialize)]
        struct Document {
            data: DataSpec,
        }
        toml::from_str::<Document>(text).expect("a spec of the test").data
    }

    fn examples(text: &str) -> (DataInfo, Examples) {
        let source = spec(text).open(&DataRoots::default()).expect("a law of the test");
        (source.info().clone(), source.reference(Split::Test, 1, N))
    }

    fn column(examples: &Examples, j: usize) -> Vec<f64> {
        (0..examples.x.rows()).map(|i| f64::from(examples.x.row(i)[j])).collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt())
    }

    fn near(got: f64, expected: f64, within: f64) {
        assert!((got - expected).abs() <= within, "got {got}, expected {expected} ± {within}");
    }

    #[test]
    fn a_gaussian_has_its_mean_and_deviation_in_each_dimension() {
        let (info, drawn) = examples("data.gaussian = { mean = 4, std = 0.5 }");
        assert_eq!(info.truth, Truth::Normal { mean: 4.0, std: 0.5 });
        assert_eq!((info.shape.clone(), info.classes, info.len), (vec![1], 0, None));
        assert!(drawn.labels.is_empty());
        let (mean, std) = moments(&column(&drawn, 0));
        near(mean, 4.0, 0.01);
        near(std, 0.5, 0.01);

        let (info, drawn) = examples("data.gaussian = { mean = [1, -2.5], std = [0.5, 2] }");
        assert_eq!((info.shape.clone(), info.truth.clone()), (vec![2], Truth::Unknown));
        let (mean, std) = moments(&column(&drawn, 1));
        near(mean, -2.5, 0.03);
        near(std, 2.0, 0.03);
    }

    /// The code of arXiv:1704.00028: radius 1.4144, σ .01414.
    #[test]
    fn the_ring_has_the_geometry_of_8gaussians() {
        let (info, drawn) = examples("data.ring = {}");
        let Truth::Modes { centers, std, weights } = &info.truth else { panic!("{info:?}") };
        assert_eq!((centers.len(), info.classes), (8, 8));
        near(*std, 0.014_14, 1e-5);
        near(centers[0][0], 1.4144, 1e-4);
        near(centers[1][0], 2.0 / 1.414 * std::f64::consts::FRAC_1_SQRT_2, 1e-12);
        near(weights.iter().sum(), 1.0, 1e-12);
        let mut counts = [0; 8];
        let mut squares = 0.0;
        for i in 0..N {
            let (mode, point) = (drawn.labels[i] as usize, drawn.x.row(i));
            counts[mode] += 1;
            squares +=
                (f64::from(point[0]) - centers[mode][0]).powi(2) + (f64::from(point[1]) - centers[mode][1]).powi(2);
        }
        near((squares / (2.0 * N as f64)).sqrt(), *std, 0.0001);
        assert!(counts.iter().all(|&count: &usize| count.abs_diff(N / 8) < 500), "{counts:?}");
    }

    /// The code of arXiv:1704.00028: step .7072, extent ±1.414, σ .01768.
    #[test]
    fn the_grid_has_the_geometry_of_25gaussians() {
        let (info, drawn) = examples("data.grid = {}");
        let Truth::Modes { centers, std, .. } = &info.truth else { panic!("{info:?}") };
        assert_eq!(centers.len(), 25);
        near(*std, 0.017_68, 1e-5);
        near(centers[1][1] - centers[0][1], 0.7072, 1e-4);
        near(centers[24][0], 1.4144, 1e-3);
        near(centers[12][0], 0.0, 1e-12);
        // The variance of a coordinate: that of {-2, -1, 0, 1, 2} steps, and σ².
        near(moments(&column(&drawn, 0)).1, (2.0 * 0.707_2f64.powi(2) + 0.017_68f64.powi(2)).sqrt(), 0.005);
    }

    /// Moments of the curve by a midpoint rule, the extent (about ±1.9) from the code of arXiv:1704.00028.
    #[test]
    fn the_swiss_roll_has_the_moments_of_its_formula() {
        let (_, drawn) = examples("data.swiss-roll = {}");
        let cells = 100_000;
        let curve: Vec<(f64, f64)> = (0..cells)
            .map(|i| 1.5 * std::f64::consts::PI * (1.0 + 2.0 * (f64::from(i) + 0.5) / f64::from(cells)))
            .map(|t| (t * t.cos() / 7.5, t * t.sin() / 7.5))
            .collect();
        let noise = 0.25 / 7.5;
        for (j, on_curve) in
            [curve.iter().map(|p| p.0).collect::<Vec<_>>(), curve.iter().map(|p| p.1).collect()].iter().enumerate()
        {
            let ((mean, std), (true_mean, true_std)) = (moments(&column(&drawn, j)), moments(on_curve));
            near(mean, true_mean, 0.01);
            near(std, (true_std.powi(2) + noise * noise).sqrt(), 0.01);
        }
        let extent = drawn.x.data.iter().fold(0f32, |most, v| most.max(v.abs()));
        assert!((1.8..2.05).contains(&extent), "{extent}");
    }

    #[test]
    fn moons_lines_and_uniforms_lie_where_their_definitions_say() {
        let (_, moons) = examples("data.two-moons = { noise = 0 }");
        let off = (0..N)
            .map(|i| (f64::from(moons.x.row(i)[0]), f64::from(moons.x.row(i)[1])))
            .map(|(a, b)| {
                if b > 0.5 || (a < 0.0) {
                    a.hypot(b) - 1.0
                } else {
                    (a.hypot(b) - 1.0).abs().min(((a - 1.0).hypot(b - 0.5) - 1.0).abs())
                }
            })
            .fold(0.0, |most: f64, v| most.max(v.abs()));
        near(off, 0.0, 1e-5);
        near(moments(&column(&moons, 0)).0, 0.5, 0.02);
        near(moments(&column(&moons, 1)).0, 0.25, 0.02);

        let (_, lines) = examples("data.parallel-lines = { offset = 0.5 }");
        assert!(column(&lines, 0).iter().all(|&x| x == 0.5));
        near(moments(&column(&lines, 1)).1, 1.0 / 12f64.sqrt(), 0.005);

        let (info, drawn) = examples("data.uniform = { dim = 3, low = -2, high = 4 }");
        assert_eq!((info.shape, info.range), (vec![3], Some((-2.0, 4.0))));
        near(moments(&column(&drawn, 2)).0, 1.0, 0.02);
    }

    #[test]
    fn a_mixture_draws_each_mode_as_often_as_its_weight_says() {
        let (info, drawn) = examples("data.mixture = { centers = [[0], [10], [20]], std = 0.1, weights = [1, 0, 3] }");
        assert_eq!((info.shape.clone(), info.classes), (vec![1], 3));
        let share = |mode: i64| drawn.labels.iter().filter(|&&label| label == mode).count() as f64 / N as f64;
        near(share(0), 0.25, 0.01);
        near(share(1), 0.0, 0.0);
        near(moments(&column(&drawn, 0)).0, 15.0, 0.1);
    }

    /// The entropy (508/512)·ln 512 + (2/256)·ln 256 = 6.232932 nats, by hand; it is the mean of −log p.
    #[test]
    fn bars_have_the_entropy_that_is_known_of_them() {
        let (info, drawn) = examples("data.bars = {}");
        assert_eq!((info.shape.clone(), info.levels, info.range), (vec![1, 8, 8], Some(2), Some((0.0, 1.0))));
        assert_eq!(drawn.x.shape, [N, 1, 8, 8]);
        let density = info.truth.log_density().expect("a density");
        let mean = (0..N).map(|i| density(drawn.x.row(i))).sum::<f64>() / N as f64;
        near(-mean, 6.232_932, 0.002);
        let rows = (0..N).filter(|&i| drawn.x.row(i).chunks(8).all(|line| line.iter().all(|v| *v == line[0]))).count();
        near(rows as f64 / N as f64, 0.5 + 1.0 / 256.0, 0.01);
        let mut broken = drawn.x.row(0).to_vec();
        broken[9] = 1.0 - broken[9];
        broken[18] = 0.5;
        assert_eq!(density(&broken), f64::NEG_INFINITY);
    }

    #[test]
    fn a_batch_is_a_function_of_seed_and_draw() {
        let source = spec("data.ring = {}").open(&DataRoots::default()).expect("a ring");
        let batch = |seed, draw| {
            let (mut x, mut labels) = (vec![0.0; 16], vec![0; 8]);
            source.draw(seed, draw, &mut x, &mut labels);
            (x, labels)
        };
        assert_eq!(batch(1, 2), batch(1, 2));
        assert_ne!(batch(1, 2), batch(1, 3));
        assert_ne!(batch(1, 2), batch(2, 2));
    }

    #[test]
    fn contradictions_are_mistakes_of_the_spec() {
        let mistake = |text: &str| {
            let error = spec(text).info(&DataRoots::default()).expect_err(text);
            assert!(error.is_spec_mistake());
            error.to_string()
        };
        assert_eq!(
            mistake("data.gaussian = { mean = [1, 2], dim = 3 }"),
            "gaussian: `dim` and the lists of `mean` and `std` must have one length"
        );
        assert_eq!(mistake("data.gaussian = { std = -1 }"), "gaussian: expected a standard deviation of 0 or more");
        assert_eq!(
            mistake("data.mixture = { centers = [[1, 2], [3]], std = 1 }"),
            "mixture: expected 2 finite numbers in center 1 as in the first"
        );
        assert_eq!(mistake("data.uniform = { low = 1, high = 1 }"), "uniform: expected low below high, got 1 and 1");
    }

    #[test]
    fn a_spec_writes_out_its_defaults_and_reads_back() {
        let text = toml::to_string(&spec("data.swiss-roll = {}")).expect("a spec is TOML");
        assert_eq!(text, "[swiss-roll]\nnoise = 0.25\nscale = 7.5\n");
        assert_eq!(toml::from_str::<DataSpec>(&text).expect("it reads back"), spec("data.swiss-roll = {}"));
        let listed = spec("data.gaussian = { mean = [1, 2.5] }");
        let text = toml::to_string(&listed).expect("a spec is TOML");
        assert_eq!(text, "[gaussian]\nmean = [1.0, 2.5]\nstd = 1.0\n");
        assert_eq!(toml::from_str::<DataSpec>(&text).expect("it reads back"), listed);
    }
}
