//! What a generator is fed: the choice of a law, and draws from it.

use crate::base::{Problem, host};
use crate::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// The generator's input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum LatentSpec {
    /// N(mean, std²) in each dimension.
    Normal(NormalLatent),
    /// U(low, high) in each dimension.
    Uniform(UniformLatent),
    /// One dimension: evenly spaced points on [low, high] over the batch, each moved by U(0, jitter), times `scale`.
    Stratified(StratifiedLatent),
}

impl LatentSpec {
    /// How many numbers an example has.
    pub fn dim(&self) -> u32 {
        match self {
            Self::Normal(s) => s.dim,
            Self::Uniform(s) => s.dim,
            Self::Stratified(_) => 1,
        }
    }

    /// The same law in so many dimensions; evenly spaced points have one.
    pub(super) fn of_dim(&self, dim: u32) -> Self {
        match self {
            Self::Normal(s) => Self::Normal(NormalLatent { dim, ..s.clone() }),
            Self::Uniform(s) => Self::Uniform(UniformLatent { dim, ..s.clone() }),
            Self::Stratified(s) => Self::Stratified(s.clone()),
        }
    }

    /// Draws `[R, n, dim]`, each run from its own stream.
    pub fn draw(&self, streams: &mut [Stream], n: usize, device: Device) -> Tensor {
        let dim = self.dim() as usize;
        let mut numbers = vec![0.0; streams.len() * n * dim];
        for (row, stream) in numbers.chunks_exact_mut((n * dim).max(1)).zip(streams.iter_mut()) {
            match self {
                Self::Normal(s) => stream.fill_normal(row, s.mean as f32, s.std as f32),
                Self::Uniform(s) => stream.fill_uniform(row, s.low as f32, s.high as f32),
                Self::Stratified(s) => {
                    let between = (n.max(2) - 1) as f64;
                    for (i, value) in row.iter_mut().enumerate() {
                        let point = s.low + (s.high - s.low) * i as f64 / between;
                        *value = ((point + s.jitter * f64::from(stream.uniform())) * s.scale) as f32;
                    }
                }
            }
        }
        host::tensor(&numbers, &[streams.len() as i64, n as i64, dim as i64], device)
    }

    /// What lies between two draws, at this share of the way from `a` to `b`. Of a Gaussian law the path goes around its mean
    /// (arXiv:1609.04468), at distances between those of its ends, so that all of it is as likely as they are; of others it is
    /// straight. Numbers behind those of the law, codes, stay those of `a`.
    pub fn between(&self, a: &[f32], b: &[f32], share: f64) -> Vec<f32> {
        let own = self.dim() as usize;
        let mean = match self {
            Self::Normal(spec) => spec.mean,
            _ => 0.0,
        };
        let from = |x: &[f32]| -> Vec<f64> { x[..own].iter().map(|&v| f64::from(v) - mean).collect() };
        let (from_a, from_b) = (from(a), from(b));
        let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let (norm_a, norm_b) = (product(&from_a, &from_a).sqrt(), product(&from_b, &from_b).sqrt());
        let angle = (product(&from_a, &from_b) / (norm_a * norm_b)).clamp(-1.0, 1.0).acos();
        // Between opposite ends there is no one way around, and between ends of one direction nothing to go around.
        let is_round = matches!(self, Self::Normal(_)) && angle.sin() > 1e-6;
        let (of_a, of_b) = if is_round {
            let norm = norm_a + (norm_b - norm_a) * share;
            let part = |way: f64, own: f64| (way * angle).sin() / angle.sin() * norm / own;
            (part(1.0 - share, norm_a), part(share, norm_b))
        } else {
            (1.0 - share, share)
        };
        let own = from_a.iter().zip(&from_b).map(|(a, b)| (of_a * a + of_b * b + mean) as f32);
        own.chain(a[self.dim() as usize..].iter().copied()).collect()
    }

    /// `spherical` or `straight`: what paths between two draws are.
    pub fn way(&self) -> &'static str {
        if matches!(self, Self::Normal(_)) { "spherical" } else { "straight" }
    }

    /// Latents `[…, width]` where the law has room for them: within its bounds, where it has some.
    pub fn confined(&self, z: &Tensor) -> Tensor {
        let (low, high) = match self {
            Self::Normal(_) => return z.shallow_clone(),
            Self::Uniform(s) => (s.low, s.high),
            Self::Stratified(s) => {
                let ends = [s.low * s.scale, (s.high + s.jitter) * s.scale];
                (ends[0].min(ends[1]), ends[0].max(ends[1]))
            }
        };
        let own = i64::from(self.dim());
        Tensor::cat(&[&z.narrow(-1, 0, own).clamp(low, high), &z.narrow(-1, own, z.size()[z.dim() - 1] - own)], -1)
    }

    /// How unlikely latents `[…, width]` are, `[…]`: −log p a dimension, up to a constant.
    pub fn unlikely(&self, z: &Tensor) -> Tensor {
        let own = z.narrow(-1, 0, i64::from(self.dim()));
        let energy = match self {
            Self::Normal(s) => ((own - s.mean) / s.std).square() * 0.5,
            _ => own * 0.0,
        };
        energy.mean_dim(-1i64, false, Kind::Float)
    }

    /// What is wrong with it, at `path`.
    pub(super) fn check(&self, path: &str) -> Vec<Problem> {
        let mut wrong = Vec::new();
        if self.dim() == 0 {
            wrong.push(Problem::at(path, "a latent of 0 dimensions"));
        }
        let bounds = match self {
            Self::Uniform(uniform) => Some(("uniform", uniform.low, uniform.high)),
            Self::Stratified(stratified) => Some(("stratified", stratified.low, stratified.high)),
            Self::Normal(_) => None,
        };
        if let Some((kind, low, high)) = bounds
            && low >= high
        {
            let message = format!("the low bound {low} is not below the high one, {high}");
            wrong.push(Problem::at(format!("{path}.{kind}.low"), message));
        }
        wrong
    }
}

/// A Gaussian latent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NormalLatent {
    /// The count of dimensions.
    pub dim: u32,
    /// The mean.
    #[serde(default)]
    pub mean: f64,
    /// The standard deviation.
    #[serde(default = "UniformLatent::high")]
    pub std: f64,
}

/// A uniform latent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UniformLatent {
    /// The count of dimensions.
    pub dim: u32,
    /// The lower bound.
    #[serde(default = "UniformLatent::low")]
    pub low: f64,
    /// The upper bound.
    #[serde(default = "UniformLatent::high")]
    pub high: f64,
}

impl UniformLatent {
    fn low() -> f64 {
        -1.0
    }
    fn high() -> f64 {
        1.0
    }
}

/// A stratified latent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StratifiedLatent {
    /// The first point.
    pub low: f64,
    /// The last point.
    pub high: f64,
    /// How far a point may move up.
    #[serde(default)]
    pub jitter: f64,
    /// What the points are multiplied by.
    #[serde(default = "UniformLatent::high")]
    pub scale: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(text: &str) -> LatentSpec {
        #[derive(Deserialize)]
        struct File {
            latent: LatentSpec,
        }
        toml::from_str::<File>(&format!("latent = {text}")).expect("a law").latent
    }

    fn length(x: &[f32]) -> f64 {
        x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    }

    /* scipy 1.17: scipy.spatial.geometric_slerp(a / |a|, b / |b|, [0.25])[0] * (0.75 |a| + 0.25 |b|)
    with a = [1, 2, -1], b = [0.5, -0.25, 3] */
    #[test]
    fn a_gaussian_path_goes_around_the_mean_as_scipy_does_at_lengths_between_those_of_its_ends() {
        let normal = law("{ normal = { dim = 3 } }");
        let (a, b) = ([1.0, 2.0, -1.0], [0.5, -0.25, 3.0]);
        let quarter = normal.between(&a, &b, 0.25);
        for (found, expected) in quarter.iter().zip([1.376_225_75, 2.199_134_58, 0.173_061_63]) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{quarter:?}");
        }
        assert_eq!((normal.between(&a, &b, 0.0), normal.between(&a, &b, 1.0)), (a.to_vec(), b.to_vec()));
        for step in 0..=10 {
            let share = f64::from(step) / 10.0;
            let expected = length(&a) * (1.0 - share) + length(&b) * share;
            assert!((length(&normal.between(&a, &b, share)) - expected).abs() < 1e-6);
        }
        // The same path about another mean.
        let moved = law("{ normal = { dim = 3, mean = 5.0 } }");
        let up = |x: &[f32]| -> Vec<f32> { x.iter().map(|v| v + 5.0).collect() };
        for (found, expected) in moved.between(&up(&a), &up(&b), 0.25).iter().zip(up(&quarter)) {
            assert!((found - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn opposite_ends_and_other_laws_are_joined_straight_and_codes_stay() {
        let normal = law("{ normal = { dim = 1 } }");
        assert_eq!(normal.between(&[-2.0, 7.0], &[2.0, 9.0], 0.5), [0.0, 7.0]);
        let uniform = law("{ uniform = { dim = 2 } }");
        assert_eq!(uniform.between(&[-1.0, 0.0, 7.0], &[0.0, 1.0, 9.0], 0.25), [-0.75, 0.25, 7.0]);
        let z = Tensor::from_slice(&[-3.0f32, 0.5, 9.0]).view([1, 3]);
        assert_eq!(host::numbers(&uniform.confined(&z)), [-1.0, 0.5, 9.0]);
        assert_eq!(host::numbers(&law("{ normal = { dim = 2 } }").unlikely(&z)), [(9.0 + 0.25) / 4.0]);
    }
}
