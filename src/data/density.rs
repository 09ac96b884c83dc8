//! The exact densities of distributions, with which likelihoods of models are compared.

use super::Truth;
use nalgebra::{Cholesky, DMatrix, DVector};
use std::f64::consts::TAU;

/// log p(x) in nats.
type LogDensity = Box<dyn Fn(&[f32]) -> f64>;

impl Truth {
    /// log p(x) in nats, if the distribution has a known density.
    pub fn log_density(&self) -> Option<LogDensity> {
        match self {
            Self::Normal { mean, std } if *std > 0.0 => {
                let (mean, std) = (*mean, *std);
                Some(Box::new(move |x| round(&[mean], std, x)))
            }
            Self::Modes { centers, std, weights } if *std > 0.0 => {
                let (centers, std, weights) = (centers.clone(), *std, weights.clone());
                Some(Box::new(move |x| {
                    let terms: Vec<f64> =
                        centers.iter().zip(&weights).map(|(c, w)| w.ln() + round(c, std, x)).collect();
                    let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    most + terms.iter().map(|t| (t - most).exp()).sum::<f64>().ln()
                }))
            }
            Self::Gaussian { covariance } => {
                let root = cholesky(covariance)?;
                let constant = -0.5 * root.nrows() as f64 * TAU.ln() - log_det(&root);
                Some(Box::new(move |x| {
                    let x: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
                    constant - 0.5 * squared_distance(&root, &x)
                }))
            }
            Self::Chain(chain) => {
                let chain = chain.clone();
                Some(Box::new(move |x| chain.log_p(x)))
            }
            Self::Bars { side } => {
                let side = *side;
                Some(Box::new(move |x| {
                    let color = |i: usize, j: usize| x[i * side + j];
                    let is = |bar: &dyn Fn(usize, usize) -> f32| {
                        let one = |i| (0..side).all(|j| bar(i, j) == bar(i, 0)) && [0.0, 1.0].contains(&bar(i, 0));
                        f64::from(u8::from((0..side).all(one)))
                    };
                    let ways = is(&|i, j| color(i, j)) + is(&|i, j| color(j, i));
                    ways.ln() - (side + 1) as f64 * std::f64::consts::LN_2
                }))
            }
            Self::Unknown | Self::Normal { .. } | Self::Modes { .. } | Self::Shapes(_) => None,
        }
    }

    /// log p(x, y) in nats for each class y, if the distribution has classes.
    pub fn log_joint(&self) -> Option<impl Fn(&[f32]) -> Vec<f64>> {
        let Self::Chain(chain) = self else { return None };
        (chain.classes() > 1).then_some(move |x: &[f32]| chain.log_joint(x))
    }
}

/// log N(x; mean, std²) with independent dimensions.
fn round(mean: &[f64], std: f64, x: &[f32]) -> f64 {
    let square: f64 = x.iter().zip(mean).map(|(x, m)| ((f64::from(*x) - m) / std).powi(2)).sum();
    -0.5 * square - x.len() as f64 * (std.ln() + 0.5 * TAU.ln())
}

/// The lower Cholesky factor of a covariance; `None` if it is not positive definite.
pub(crate) fn cholesky(covariance: &[Vec<f64>]) -> Option<DMatrix<f64>> {
    let n = covariance.len();
    Cholesky::new(DMatrix::from_fn(n, n, |i, j| covariance[i][j])).map(Cholesky::unpack)
}

/// log of the determinant of a Cholesky factor.
pub(crate) fn log_det(root: &DMatrix<f64>) -> f64 {
    root.diagonal().iter().map(|v| v.ln()).sum()
}

/// The squared Mahalanobis distance of x from 0, by the Cholesky factor of the covariance.
pub(crate) fn squared_distance(root: &DMatrix<f64>, x: &[f64]) -> f64 {
    let mut y = DVector::from_column_slice(x);
    assert!(root.solve_lower_triangular_mut(&mut y), "a Cholesky factor has no zero on its diagonal");
    y.norm_squared()
}

#[cfg(test)]
mod tests {
    use super::*;

    /* scipy 1.17: from scipy.stats import norm, multivariate_normal as m
    norm.logpdf(1.5, 1, 2) = -1.6433357137646178
    np.logaddexp(np.log(.25)+m.logpdf([1,2],[0,0],.25), np.log(.75)+m.logpdf([1,2],[1,1],.25)) = -2.739152963116756
    m.logpdf([1,-1,.5], [0,0,0], [[2,.5,.3],[.5,1,-.2],[.3,-.2,1.5]]) = -4.3370353987615315 */
    #[test]
    fn densities_are_those_of_scipy() {
        let at = |truth: Truth, x: &[f32]| truth.log_density().expect("a density")(x);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(at(Truth::Normal { mean: 1.0, std: 2.0 }, &[1.5]), -1.643_335_713_764);
        let centers = vec![vec![0.0, 0.0], vec![1.0, 1.0]];
        close(at(Truth::Modes { centers, std: 0.5, weights: vec![0.25, 0.75] }, &[1.0, 2.0]), -2.739_152_963_116);
        let covariance = vec![vec![2.0, 0.5, 0.3], vec![0.5, 1.0, -0.2], vec![0.3, -0.2, 1.5]];
        close(at(Truth::Gaussian { covariance }, &[1.0, -1.0, 0.5]), -4.337_035_398_761);
        assert!(Truth::Gaussian { covariance: vec![vec![1.0, 1.0], vec![1.0, 1.0]] }.log_density().is_none());
        assert!(Truth::Unknown.log_density().is_none());
    }
}
