//! The formulas of the losses over a run axis. (torch)
//!
//! Logits `a = d(x)` (real) and `b = d(G(z))` (fake) are `[R, B]`; every loss is `[R]`, a mean over the batch, minimized.

use super::spec::AdversarialSpec;
use tch::{Kind, Tensor};

/// sp(x) = log(1 + eˣ), stable for every x.
///
/// Through log σ and not torch's softplus, whose vector body and scalar tail round differently: a number's bits would
/// depend on its place in memory, and so on the size of the pack.
pub fn softplus(x: &Tensor) -> Tensor {
    -(-x).log_sigmoid()
}

/// The mean over the batch: `[R, B]` to `[R]`.
fn mean(x: &Tensor) -> Tensor {
    x.mean_dim(1i64, false, Kind::Float)
}

impl AdversarialSpec {
    /// What the discriminator minimizes, `[R]`. `smoothing` is the target for real examples, `[R, 1]`, where it is not 1.
    pub fn discriminator(&self, a: &Tensor, b: &Tensor, smoothing: Option<&Tensor>) -> Tensor {
        match self {
            Self::Vanilla | Self::NonSaturating => {
                // log D(x) + log(1 − D(G(z))), each through log σ.
                let value = mean(&(a.log_sigmoid() + b.neg().log_sigmoid()));
                match smoothing {
                    None => -value,
                    // −t·log D − (1 − t)·log(1 − D) = sp(−a) + (1 − t)·a.
                    Some(target) => mean(&((1.0 - target) * a)) - value,
                }
            }
            Self::LeastSquares(t) => mean(&((a - t.real).square() * 0.5 + (b - t.fake).square() * 0.5)),
            Self::Hinge => mean(&((-a + 1.0).relu() + (b + 1.0).relu())),
            Self::Wasserstein => mean(&(b - a)),
            Self::RelativisticPair => mean(&softplus(&(b - a))),
            Self::RelativisticAverage => {
                let (a_mean, b_mean) = (a.mean_dim(1i64, true, Kind::Float), b.mean_dim(1i64, true, Kind::Float));
                mean(&((softplus(&(b_mean - a)) + softplus(&(b - a_mean))) * 0.5))
            }
        }
    }

    /// What the generator minimizes, `[R]`; `a` is needed only where [`Self::generator_needs_real`].
    ///
    /// # Panics
    /// If `a` is missing where it is needed.
    pub fn generator(&self, a: Option<&Tensor>, b: &Tensor) -> Tensor {
        let real = || a.expect("the loop gives real examples to a relativistic generator");
        match self {
            Self::Vanilla => mean(&b.neg().log_sigmoid()),
            Self::NonSaturating => -mean(&b.log_sigmoid()),
            Self::LeastSquares(t) => mean(&((b - t.target).square() * 0.5)),
            Self::Hinge | Self::Wasserstein => -mean(b),
            Self::RelativisticPair => mean(&softplus(&(real() - b))),
            Self::RelativisticAverage => {
                let a = real();
                let (a_mean, b_mean) = (a.mean_dim(1i64, true, Kind::Float), b.mean_dim(1i64, true, Kind::Float));
                mean(&((softplus(&(a - b_mean)) + softplus(&(a_mean - b))) * 0.5))
            }
        }
    }

    /// Whether the generator's loss looks at real examples too.
    pub fn generator_needs_real(&self) -> bool {
        matches!(self, Self::RelativisticPair | Self::RelativisticAverage)
    }

    /// Whether D = σ(d) is a probability, so that label smoothing and a decision surface in [0, 1] mean something.
    pub fn is_probability(&self) -> bool {
        matches!(self, Self::Vanilla | Self::NonSaturating | Self::RelativisticPair | Self::RelativisticAverage)
    }
}

/// ‖∇‖² an example, `[R, B]`, of the discriminator's outputs `d` (`[R, B]`) with respect to their inputs `x`
/// (`[R, B, …]`), as part of the graph.
pub fn squared_slope(d: &Tensor, x: &Tensor) -> Tensor {
    let gradient = Tensor::run_backward(&[d], &[x], true, true).swap_remove(0);
    gradient.square().flatten(2, -1).sum_dim_intlist(2i64, false, Kind::Float)
}

/// (‖∇‖ − 1)² a run from ‖∇‖², or its one-sided form max(0, ‖∇‖ − 1)²: `[R, B]` to `[R]`.
pub fn unit_slope(squared: &Tensor, one_sided: bool) -> Tensor {
    // The root has no slope at 0 (a critic's dead region), hence the small number.
    let excess = (squared + 1e-12).sqrt() - 1.0;
    let excess = if one_sided { excess.relu() } else { excess };
    mean(&excess.square())
}

/// ½‖∇‖² a run from ‖∇‖²: `[R, B]` to `[R]`.
pub fn half_square(squared: &Tensor) -> Tensor {
    mean(squared) * 0.5
}

/// Cross-entropy of class logits `[R, B, K]` against labels `[R, B]`, in nats: `[R]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let log_p = logits.log_softmax(2, Kind::Float);
    -mean(&log_p.gather(2, &labels.unsqueeze(2), false).squeeze_dim(2))
}

/// ‖E f(x) − E f(G(z))‖² of features `[R, B, F]`: `[R]`.
pub fn feature_distance(real: &Tensor, fake: &Tensor) -> Tensor {
    let gap = real.mean_dim(1i64, false, Kind::Float) - fake.mean_dim(1i64, false, Kind::Float);
    gap.square().sum_dim_intlist(1i64, false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::spec::LeastSquaresSpec;

    fn row(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).unsqueeze(0)
    }

    fn value(t: &Tensor) -> f64 {
        t.double_value(&[0])
    }

    fn all() -> [AdversarialSpec; 7] {
        [
            AdversarialSpec::Vanilla,
            AdversarialSpec::NonSaturating,
            AdversarialSpec::LeastSquares(LeastSquaresSpec { real: 1.0, fake: 0.0, target: 1.0 }),
            AdversarialSpec::Hinge,
            AdversarialSpec::Wasserstein,
            AdversarialSpec::RelativisticPair,
            AdversarialSpec::RelativisticAverage,
        ]
    }

    /* PyTorch 2.11 in float64, with sp = softplus and bce = binary_cross_entropy_with_logits:
    a = torch.tensor([1.5, -0.3, 0.2]); b = torch.tensor([-1.0, 0.4, 2.2])
    D: bce(a,1)+bce(b,0) twice, .5*mse(a,1)+.5*mse(b,0), relu(1-a).mean()+relu(1+b).mean(), b.mean()-a.mean(),
       bce(a-b,1), .5*(bce(a-b.mean(),1)+bce(b-a.mean(),0))
    G: -bce(b,0), bce(b,1), .5*mse(b,1), -b.mean() twice, bce(b-a,1), .5*(bce(a-b.mean(),0)+bce(b-a.mean(),1)) */
    #[test]
    fn every_game_has_the_values_that_pytorch_gives() {
        let (a, b) = (row(&[1.5, -0.3, 0.2]), row(&[-1.0, 0.4, 2.2]));
        let d = [1.728_422_6, 1.728_422_6, 1.43, 2.233_333_3, 0.066_666_7, 1.103_001_3, 0.859_030_4];
        let g = [-1.177_120_1, 0.643_786_8, 0.966_666_7, -0.533_333_3, -0.533_333_3, 1.036_334_6, 0.792_363_8];
        for (i, game) in all().iter().enumerate() {
            assert!((value(&game.discriminator(&a, &b, None)) - d[i]).abs() < 1e-5, "D of {game:?}");
            assert!((value(&game.generator(Some(&a), &b)) - g[i]).abs() < 1e-5, "G of {game:?}");
        }
    }

    /* bce(a, 0.9) + bce(b, 0), as above. */
    #[test]
    fn smoothing_moves_the_target_of_real_examples_alone() {
        let (a, b) = (row(&[1.5, -0.3, 0.2]), row(&[-1.0, 0.4, 2.2]));
        let target = Tensor::from_slice(&[0.9f32]).unsqueeze(1);
        let smoothed = AdversarialSpec::NonSaturating.discriminator(&a, &b, Some(&target));
        assert!((value(&smoothed) - 1.775_089_2).abs() < 1e-5);
    }

    #[test]
    fn losses_and_their_gradients_stay_finite_at_logits_of_a_hundred() {
        for game in all() {
            let (a, b) = (row(&[100.0, -100.0, 0.0]), row(&[-100.0, 100.0, 0.0]));
            let (a, b) = (a.set_requires_grad(true), b.set_requires_grad(true));
            for loss in [game.discriminator(&a, &b, None), game.generator(Some(&a), &b)] {
                let gradients = Tensor::run_backward(&[&loss], &[&a, &b], true, false);
                assert!(value(&loss).is_finite(), "{game:?}");
                for g in gradients.iter().filter(|g| g.defined()) {
                    assert_eq!(g.isfinite().all().int64_value(&[]), 1, "{game:?}");
                }
            }
        }
    }

    /* torch.nn.functional.cross_entropy(torch.tensor([[1.,2.,-1.],[.5,.1,.2]]), torch.tensor([1,2])) */
    #[test]
    fn cross_entropy_is_pytorchs() {
        let logits = Tensor::from_slice(&[1.0f32, 2.0, -1.0, 0.5, 0.1, 0.2]).view([1, 2, 3]);
        let labels = Tensor::from_slice(&[1i64, 2]).view([1, 2]);
        assert!((value(&cross_entropy(&logits, &labels)) - 0.764_555_58).abs() < 1e-6);
    }

    /// For d(x) = w·x the slope is ‖w‖ everywhere, so each penalty is known in closed form.
    #[test]
    fn penalties_of_a_linear_critic_are_those_of_its_norm() {
        let w = Tensor::from_slice(&[3.0f32, 4.0]).view([1, 1, 2]).set_requires_grad(true);
        let x = Tensor::from_slice(&[1.0f32, 2.0, -1.0, 0.5]).view([1, 2, 2]).set_requires_grad(true);
        let d = (&x * &w).sum_dim_intlist(2i64, false, Kind::Float);
        let squared = squared_slope(&d, &x);
        assert!((value(&unit_slope(&squared, false)) - 16.0).abs() < 1e-4);
        assert!((value(&half_square(&squared)) - 12.5).abs() < 1e-4);
        // d/dw (‖w‖ − 1)² = 2(‖w‖ − 1)·w/‖w‖.
        let gradient = Tensor::run_backward(&[unit_slope(&squared, false)], &[&w], false, false).swap_remove(0);
        assert!((gradient.double_value(&[0, 0, 0]) - 4.8).abs() < 1e-4);
        let short = Tensor::from_slice(&[0.25f32]).view([1, 1]);
        assert_eq!(value(&unit_slope(&short, true)), 0.0);
        assert!((value(&unit_slope(&short, false)) - 0.25).abs() < 1e-6);
    }

    #[test]
    fn feature_distance_is_between_means() {
        let real = Tensor::from_slice(&[0.0f32, 0.0, 2.0, 4.0]).view([1, 2, 2]);
        let fake = Tensor::from_slice(&[0.0f32, 0.0, 0.0, 0.0]).view([1, 2, 2]);
        assert!((value(&feature_distance(&real, &fake)) - 5.0).abs() < 1e-6);
    }
}
