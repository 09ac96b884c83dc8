//! The penalties on the slope of a discriminator: at which examples it is taken, and what is added for it. (torch)

use super::spec::PenaltySpec;
use tch::{Kind, Tensor};

/// At which examples a penalty takes the slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the real examples of the game, in the same pass.
    Real,
    /// At the fakes of the game, in the same pass.
    Fake,
    /// At [`PenaltySpec::points`], in a pass of its own.
    Points,
}

impl PenaltySpec {
    /// At which examples the slope is taken.
    pub fn at(&self) -> At {
        match self {
            Self::GradientPenalty(_) | Self::Dragan(_) => At::Points,
            Self::R1(_) => At::Real,
            Self::R2(_) => At::Fake,
        }
    }

    /// The examples at which the slope is taken, of real ones and fakes `[R, B, …]`. `draw` gives numbers from U[0, 1),
    /// `[R, …]` for the shape of one run.
    pub fn points(&self, real: &Tensor, fake: &Tensor, mut draw: impl FnMut(&[i64]) -> Tensor) -> Tensor {
        match self {
            Self::GradientPenalty(_) => {
                let way = draw(&one_per_example(real));
                &way * real + (1.0 - &way) * fake.detach()
            }
            Self::R1(_) => real.shallow_clone(),
            Self::R2(_) => fake.shallow_clone(),
            Self::Dragan(s) => {
                let std = deviation(real);
                let alpha = draw(&one_per_example(real));
                let unit = draw(&real.size()[1..]);
                real + alpha * unit * std * s.c.get()
            }
        }
    }

    /// What is added, before its weight, for slopes of these squares ‖∇d‖²: `[R, B]` to `[R]`.
    pub fn of_slopes(&self, squared: &Tensor) -> Tensor {
        match self {
            Self::GradientPenalty(s) => unit_slope(squared, s.one_sided),
            Self::R1(_) | Self::R2(_) => half_square(squared),
            Self::Dragan(_) => unit_slope(squared, false),
        }
    }
}

/// `[B, 1, …]` for examples `[R, B, …]`.
fn one_per_example(x: &Tensor) -> Vec<i64> {
    let size = x.size();
    std::iter::once(size[1]).chain(std::iter::repeat_n(1, size.len() - 2)).collect()
}

/// One standard deviation over the batch per run, shaped to multiply examples `[R, B, …]`.
fn deviation(x: &Tensor) -> Tensor {
    let size = x.size();
    let all = x.flatten(1, -1);
    let centered = &all - all.mean_dim(1i64, true, Kind::Float);
    let shape: Vec<i64> = std::iter::once(size[0]).chain(std::iter::repeat_n(1, size.len() - 1)).collect();
    centered.square().mean_dim(1i64, false, Kind::Float).sqrt().view(&shape[..])
}

/// ‖∇‖² per example, `[R, B]`, of the discriminator's outputs `d` (`[R, B]`) with respect to their inputs `x`
/// (`[R, B, …]`), as part of the graph.
pub fn squared_slope(d: &Tensor, x: &Tensor) -> Tensor {
    let gradient = Tensor::run_backward(&[d], &[x], true, true).swap_remove(0);
    gradient.square().flatten(2, -1).sum_dim_intlist(2i64, false, Kind::Float)
}

/// The mean of (‖∇‖ − 1)² from ‖∇‖², or of its one-sided form max(0, ‖∇‖ − 1)²: `[R, B]` to `[R]`.
fn unit_slope(squared: &Tensor, one_sided: bool) -> Tensor {
    // The root has no slope at 0 (a critic's dead region), hence the small number.
    let excess = (squared + 1e-12).sqrt() - 1.0;
    let excess = if one_sided { excess.relu() } else { excess };
    excess.square().mean_dim(1i64, false, Kind::Float)
}

/// The mean of ½‖∇‖² from ‖∇‖²: `[R, B]` to `[R]`.
fn half_square(squared: &Tensor) -> Tensor {
    squared.mean_dim(1i64, false, Kind::Float) * 0.5
}

#[cfg(test)]
mod tests {
    use super::super::trial::every;
    use super::*;

    fn value(t: &Tensor) -> f64 {
        t.double_value(&[0])
    }

    /// For d(x) = w·x the slope is ‖w‖ everywhere, so that each penalty is known in closed form.
    #[test]
    fn penalties_of_a_linear_critic_are_those_of_its_norm() {
        let w = Tensor::from_slice(&[3.0f32, 4.0]).view([1, 1, 2]).set_requires_grad(true);
        let x = Tensor::from_slice(&[1.0f32, 2.0, -1.0, 0.5]).view([1, 2, 2]).set_requires_grad(true);
        let squared = squared_slope(&(&x * &w).sum_dim_intlist(2i64, false, Kind::Float), &x);
        let short = Tensor::from_slice(&[0.25f32]).view([1, 1]);
        for penalty in every::<PenaltySpec>() {
            // At ‖w‖ = 5, its derivative by the first number of w, and at a slope of ½.
            let (long, derivative, half) = match &penalty {
                // (‖w‖ − 1)², by w: 2(‖w‖ − 1)·w/‖w‖.
                PenaltySpec::GradientPenalty(_) | PenaltySpec::Dragan(_) => (16.0, 4.8, 0.25),
                // ½‖w‖², by w: w.
                PenaltySpec::R1(_) | PenaltySpec::R2(_) => (12.5, 3.0, 0.125),
            };
            let found = penalty.of_slopes(&squared);
            assert!((value(&found) - long).abs() < 1e-4, "{penalty:?}: {found:?}");
            let gradient = Tensor::run_backward(&[found], &[&w], true, false).swap_remove(0);
            assert!((gradient.double_value(&[0, 0, 0]) - derivative).abs() < 1e-4, "{penalty:?}");
            assert!((value(&penalty.of_slopes(&short)) - half).abs() < 1e-6, "{penalty:?}");
        }
        assert_eq!(value(&unit_slope(&short, true)), 0.0, "slopes below 1 are not punished on one side");
    }

    #[test]
    fn points_lie_where_each_paper_has_them() {
        let real = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 6.0]).view([1, 2, 2]);
        let fake = Tensor::from_slice(&[-1.0f32, 0.0, 1.0, 2.0]).view([1, 2, 2]);
        for penalty in every::<PenaltySpec>() {
            let draw = |shape: &[i64]| Tensor::full([&[1], shape].concat(), 0.25, (Kind::Float, tch::Device::Cpu));
            let found = penalty.points(&real, &fake, draw);
            let expected = match &penalty {
                // A quarter of the way from the fake to the real example.
                PenaltySpec::GradientPenalty(_) => [-0.5, 0.5, 1.5, 3.0],
                PenaltySpec::R1(_) => [1.0, 2.0, 3.0, 6.0],
                PenaltySpec::R2(_) => [-1.0, 0.0, 1.0, 2.0],
                // x + α·u·std·c with std(1, 2, 3, 6) = √3.5 and c = ½.
                PenaltySpec::Dragan(_) => [1.0, 2.0, 3.0, 6.0].map(|v: f32| v + 0.25 * 0.25 * 3.5f32.sqrt() * 0.5),
            };
            let found = Vec::<f32>::try_from(found.view([-1])).expect("numbers");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{penalty:?}: {found:?}");
        }
    }
}
