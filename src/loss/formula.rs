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

    /// What the generator minimizes, `[R]`; `a` is needed only where [`Self::meaning`] is a difference.
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

    /// What the discriminator's number d of one example means.
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::Vanilla | Self::NonSaturating => Meaning::Probability,
            Self::LeastSquares(_) | Self::Hinge | Self::Wasserstein => Meaning::Score,
            Self::RelativisticPair | Self::RelativisticAverage => Meaning::Difference,
        }
    }
}

/// What a discriminator's number d of one example means in a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// D = σ(d) is the probability that the example is real. The discriminator has a target for each kind, which label
    /// smoothing moves (arXiv:1606.03498, section 3.4).
    Probability,
    /// d itself is the answer.
    Score,
    /// Only σ(a − b) of a real and a fake example is a probability (arXiv:1807.00734, section 4): a constant added to d
    /// changes nothing, and the generator's loss looks at real examples too.
    Difference,
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
    use super::super::trial::every;
    use super::*;

    fn row(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).unsqueeze(0)
    }

    fn value(t: &Tensor) -> f64 {
        t.double_value(&[0])
    }

    /* PyTorch 2.11 in float64, with sp = softplus and bce = binary_cross_entropy_with_logits:
    a = torch.tensor([1.5, -0.3, 0.2]); b = torch.tensor([-1.0, 0.4, 2.2])
    D: bce(a,1)+bce(b,0) twice, .5*mse(a,1)+.5*mse(b,0), relu(1-a).mean()+relu(1+b).mean(), b.mean()-a.mean(),
       bce(a-b,1), .5*(bce(a-b.mean(),1)+bce(b-a.mean(),0))
    G: -bce(b,0), bce(b,1), .5*mse(b,1), -b.mean() twice, bce(b-a,1), .5*(bce(a-b.mean(),0)+bce(b-a.mean(),1)) */
    #[test]
    fn every_game_has_the_values_that_pytorch_gives() {
        let (a, b) = (row(&[1.5, -0.3, 0.2]), row(&[-1.0, 0.4, 2.2]));
        for game in every::<AdversarialSpec>() {
            let (d, g) = match &game {
                AdversarialSpec::Vanilla => (1.728_422_6, -1.177_120_1),
                AdversarialSpec::NonSaturating => (1.728_422_6, 0.643_786_8),
                AdversarialSpec::LeastSquares(_) => (1.43, 0.966_666_7),
                AdversarialSpec::Hinge => (2.233_333_3, -0.533_333_3),
                AdversarialSpec::Wasserstein => (0.066_666_7, -0.533_333_3),
                AdversarialSpec::RelativisticPair => (1.103_001_3, 1.036_334_6),
                AdversarialSpec::RelativisticAverage => (0.859_030_4, 0.792_363_8),
            };
            assert!((value(&game.discriminator(&a, &b, None)) - d).abs() < 1e-5, "D of {game:?}");
            assert!((value(&game.generator(Some(&a), &b)) - g).abs() < 1e-5, "G of {game:?}");
        }
    }

    /// What d means shows in the formulas: what smoothing moves, what a constant added to d moves, and which examples the
    /// generator's loss looks at.
    #[test]
    fn the_meaning_of_d_is_that_of_the_formulas() {
        let (a, b) = (row(&[1.5, -0.3, 0.2]), row(&[-1.0, 0.4, 2.2]));
        let target = Tensor::from_slice(&[0.9f32]).unsqueeze(1);
        for game in every::<AdversarialSpec>() {
            let loss = |by: f64, smoothing| value(&game.discriminator(&(&a + by), &(&b + by), smoothing));
            let smooths = loss(0.0, Some(&target)) != loss(0.0, None);
            let looks = value(&game.generator(Some(&a), &b)) != value(&game.generator(Some(&(&a * 2.0)), &b));
            let expected = match game.meaning() {
                Meaning::Probability => [true, false],
                Meaning::Score => [false, false],
                Meaning::Difference => {
                    assert!((loss(0.5, None) - loss(0.0, None)).abs() < 1e-6, "{game:?}");
                    [false, true]
                }
            };
            assert_eq!([smooths, looks], expected, "{game:?}");
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
        for game in every::<AdversarialSpec>() {
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

    #[test]
    fn feature_distance_is_between_means() {
        let real = Tensor::from_slice(&[0.0f32, 0.0, 2.0, 4.0]).view([1, 2, 2]);
        let fake = Tensor::from_slice(&[0.0f32, 0.0, 0.0, 0.0]).view([1, 2, 2]);
        assert!((value(&feature_distance(&real, &fake)) - 5.0).abs() < 1e-6);
    }
}
