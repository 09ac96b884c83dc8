//! The optimizers over flat buffers, a row a run, with a value a run for every number.
//!
//! On the host one pass over memory does the whole update in plain Rust: no kernel launch a tensor, and the same bits
//! for a run whatever pack it is in. On a device the same arithmetic is a few tensor operations over the whole buffer.

use super::spec::{AdamSpec, LrSchedule, MomentumSpec, OptimizerSpec, RmspropSpec, SgdSpec};
use crate::base::host;
use tch::{Kind, Tensor};

/// The numbers of one update of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    rule: Rule,
    lr: f64,
    weight_decay: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// `corrections` are 1 − β^t.
    Adam {
        betas: [f64; 2],
        eps: f64,
        decoupled: bool,
        corrections: [f64; 2],
    },
    Rmsprop {
        alpha: f64,
        eps: f64,
    },
    Sgd {
        momentum: f64,
    },
}

impl OptimizerSpec {
    /// Names of the buffers that the optimizer keeps, each as large as the parameters.
    pub fn buffers(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) | Self::Adamw(_) => &["mean", "square"],
            Self::Rmsprop(_) => &["square"],
            Self::Sgd(_) => &["velocity"],
        }
    }

    /// The longest gradient that is not scaled down.
    pub fn clip_norm(&self) -> Option<f64> {
        match self {
            Self::Adam(s) | Self::Adamw(s) => s.clip_norm,
            Self::Rmsprop(s) => s.clip_norm,
            Self::Sgd(s) => s.clip_norm,
        }
        .map(crate::base::Positive::get)
    }

    /// The numbers of update `update` (from 1) of a player in step `step` (from 0) of `steps`.
    pub fn step(&self, update: u64, step: u64, steps: u64) -> Step {
        match self {
            Self::Adam(s) | Self::Adamw(s) => s.step(matches!(self, Self::Adamw(_)), update, step, steps),
            Self::Rmsprop(RmspropSpec { lr, alpha, eps, weight_decay, schedule, warm_up, .. }) => Step {
                rule: Rule::Rmsprop { alpha: alpha.get(), eps: eps.get() },
                lr: schedule.rate(lr.get(), *warm_up, step, steps),
                weight_decay: weight_decay.get(),
            },
            Self::Sgd(SgdSpec { lr, momentum, weight_decay, schedule, warm_up, .. }) => Step {
                rule: Rule::Sgd { momentum: momentum.at(step) },
                lr: schedule.rate(lr.get(), *warm_up, step, steps),
                weight_decay: weight_decay.get(),
            },
        }
    }
}

impl AdamSpec {
    fn step(&self, decoupled: bool, update: u64, step: u64, steps: u64) -> Step {
        let betas = [self.betas[0].get(), self.betas[1].get()];
        Step {
            rule: Rule::Adam {
                betas,
                eps: self.eps.get(),
                decoupled,
                corrections: betas.map(|b| 1.0 - libm::pow(b, update as f64)),
            },
            lr: self.schedule.rate(self.lr.get(), self.warm_up, step, steps),
            weight_decay: self.weight_decay.get(),
        }
    }
}

impl MomentumSpec {
    fn at(&self, step: u64) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Constant(m) => m.value.get(),
            Self::Ramp(ramp) => {
                let way = (step as f64 / ramp.steps.max(1) as f64).min(1.0);
                ramp.from.get() + way * (ramp.to.get() - ramp.from.get())
            }
        }
    }
}

impl LrSchedule {
    /// The learning rate in step `step` (from 0) of `steps`.
    pub fn rate(&self, first: f64, warm_up: u64, step: u64, steps: u64) -> f64 {
        let (t, all) = (step as f64, steps.max(1) as f64);
        let rate = match self {
            Self::Constant => first,
            Self::Linear(s) => {
                let after = s.after.get() * all;
                let way = ((t - after) / (all - after).max(1.0)).clamp(0.0, 1.0);
                first * (1.0 + way * (s.to.get() - 1.0))
            }
            Self::Exponential(s) => (first * libm::pow(s.factor.get(), t)).max(s.floor.get().min(first)),
            Self::Step(s) => {
                (first * libm::pow(s.factor.get(), (step / s.every.max(1)) as f64)).max(s.floor.get().min(first))
            }
            Self::Cosine(s) => {
                let to = s.to.get();
                first * (to + (1.0 - to) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * t / all)))
            }
        };
        if step < warm_up { rate * (t + 1.0) / warm_up as f64 } else { rate }
    }
}

impl Step {
    /// The same at another learning rate.
    pub(super) fn at_rate(mut self, factor: f64) -> Self {
        self.lr *= factor;
        self
    }

    /// One update in host memory: parameters `p`, gradient `g` (already scaled by `scale`), and the buffers that
    /// [`OptimizerSpec::buffers`] names, all of the same length.
    pub fn on_host(&self, p: &mut [f32], g: &[f32], scale: f32, first: &mut [f32], second: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        {
            // More numbers at a time, and the same bits: nothing is fused, and every number is worked on alone.
            #[target_feature(enable = "avx2")]
            fn wide(step: &Step, p: &mut [f32], g: &[f32], scale: f32, first: &mut [f32], second: &mut [f32]) {
                step.as_compiled(p, g, scale, first, second);
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has been asked.
                #[expect(unsafe_code, reason = "instructions that not every processor of this target has")]
                return unsafe { wide(self, p, g, scale, first, second) };
            }
        }
        self.as_compiled(p, g, scale, first, second);
    }

    #[inline(always)]
    fn as_compiled(&self, p: &mut [f32], g: &[f32], scale: f32, first: &mut [f32], second: &mut [f32]) {
        match self.numbers() {
            Numbers::Adam([keep, l2, size, root, eps, b1, b2, c1, c2]) => {
                for (((p, &g), m), v) in p.iter_mut().zip(g).zip(first).zip(second) {
                    let g = g * scale + l2 * *p;
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * (g * g);
                    *p = keep * *p - size * (*m / (v.sqrt() / root + eps));
                }
            }
            Numbers::Rmsprop([lr, decay, alpha, rest, eps]) => {
                for ((p, &g), v) in p.iter_mut().zip(g).zip(first) {
                    let g = g * scale + decay * *p;
                    *v = alpha * *v + rest * (g * g);
                    *p -= lr * (g / (v.sqrt() + eps));
                }
            }
            Numbers::Sgd([lr, decay, momentum]) => {
                for ((p, &g), v) in p.iter_mut().zip(g).zip(first) {
                    *v = momentum * *v + (g * scale + decay * *p);
                    *p -= lr * *v;
                }
            }
        }
    }

    /// One update on a device: `p`, `g` (already scaled) and the buffers are `[R, P]`; `steps` has one entry per run, all
    /// of one rule.
    pub fn on_device(steps: &[Self], p: &mut Tensor, g: &Tensor, buffers: &mut [Tensor]) {
        let numbers: Vec<Numbers> = steps.iter().map(Self::numbers).collect();
        let Some(first) = numbers.first() else { return };
        let all: Vec<f32> = numbers.iter().flat_map(Numbers::all).copied().collect();
        // One copy to the device per update, whatever the rule needs.
        let table = host::tensor(&all, &[steps.len() as i64, -1], p.device());
        match first {
            Numbers::Adam(names) => {
                let [keep, l2, size, root, eps, b1, b2, c1, c2] = columns(&table, names);
                let [m, v] = buffers else { unreachable!("Adam has two buffers") };
                let g = g + l2 * &*p;
                let _ = m.g_mul_(&b1).g_add_(&(c1 * &g));
                let _ = v.g_mul_(&b2).g_add_(&(c2 * g.square()));
                let change = size * (&*m / (v.sqrt() / root + eps));
                let _ = p.g_mul_(&keep).g_sub_(&change);
            }
            Numbers::Rmsprop(names) => {
                let [lr, decay, alpha, rest, eps] = columns(&table, names);
                let [v] = buffers else { unreachable!("RMSprop has one buffer") };
                let g = g + decay * &*p;
                let _ = v.g_mul_(&alpha).g_add_(&(rest * g.square()));
                let _ = p.g_sub_(&(lr * (g / (v.sqrt() + eps))));
            }
            Numbers::Sgd(names) => {
                let [lr, decay, momentum] = columns(&table, names);
                let [v] = buffers else { unreachable!("SGD has one buffer") };
                let _ = v.g_mul_(&momentum).g_add_(&(g + decay * &*p));
                let _ = p.g_sub_(&(lr * &*v));
            }
        }
    }

    /// What the update multiplies and adds, rounded to float32 once for host and device.
    fn numbers(&self) -> Numbers {
        let (lr, decay) = (self.lr as f32, self.weight_decay as f32);
        // A decay of 0 adds exact zeros, so that there is one loop per rule; only infinities would notice, and those have
        // ended the run before.
        match self.rule {
            Rule::Adam { betas: [b1, b2], eps, decoupled, corrections: [correction1, correction2] } => {
                let (keep, l2) = if decoupled { (1.0 - lr * decay, 0.0) } else { (1.0, decay) };
                let (size, root) = ((self.lr / correction1) as f32, correction2.sqrt() as f32);
                let rests = [b1, b2].map(|b| (1.0 - b) as f32);
                Numbers::Adam([keep, l2, size, root, eps as f32, b1 as f32, b2 as f32, rests[0], rests[1]])
            }
            Rule::Rmsprop { alpha, eps } => {
                Numbers::Rmsprop([lr, decay, alpha as f32, (1.0 - alpha) as f32, eps as f32])
            }
            Rule::Sgd { momentum } => Numbers::Sgd([lr, decay, momentum as f32]),
        }
    }
}

/// The numbers of one update in float32, by rule.
enum Numbers {
    /// keep, l2, size, root, eps, β₁, β₂, 1 − β₁, 1 − β₂.
    Adam([f32; 9]),
    /// lr, decay, α, 1 − α, eps.
    Rmsprop([f32; 5]),
    /// lr, decay, momentum.
    Sgd([f32; 3]),
}

impl Numbers {
    fn all(&self) -> &[f32] {
        match self {
            Self::Adam(all) => all,
            Self::Rmsprop(all) => all,
            Self::Sgd(all) => all,
        }
    }
}

/// The columns `[R, 1]` of a table `[R, N]`.
fn columns<const N: usize>(table: &Tensor, _: &[f32; N]) -> [Tensor; N] {
    std::array::from_fn(|i| table.narrow(1, i as i64, 1))
}

/// What each run's gradient, `[R, P]`, is multiplied by so that its norm is at most the run's `longest`: `[R, 1]`, without
/// waiting for the device.
pub fn clip_scales(g: &Tensor, longest: &[f64]) -> Tensor {
    let norms = g.to_kind(Kind::Double).square().sum_dim_intlist(1i64, true, Kind::Double).sqrt();
    let longest = Tensor::from_slice(longest).unsqueeze(1).to_device(g.device());
    (longest / (norms + 1e-6)).clamp_max(1.0).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{NonNegative, Positive, Probability};
    use crate::player::spec::{ExponentialDecay, LinearDecay, MomentumValue, RampSpec};

    fn adam(weight_decay: f64) -> AdamSpec {
        AdamSpec {
            lr: NonNegative::of(0.01),
            betas: [Probability::of(0.5), Probability::of(0.9)],
            eps: Positive::of(1e-8),
            weight_decay: NonNegative::of(weight_decay),
            schedule: LrSchedule::Constant,
            warm_up: 0,
            clip_norm: None,
        }
    }

    fn rmsprop() -> RmspropSpec {
        RmspropSpec {
            lr: NonNegative::of(0.01),
            alpha: Probability::of(0.9),
            eps: Positive::of(1e-8),
            weight_decay: NonNegative::of(0.0),
            schedule: LrSchedule::Constant,
            warm_up: 0,
            clip_norm: None,
        }
    }

    fn sgd() -> SgdSpec {
        SgdSpec {
            lr: NonNegative::of(0.01),
            momentum: MomentumSpec::Constant(MomentumValue { value: Probability::of(0.7) }),
            weight_decay: NonNegative::of(0.1),
            schedule: LrSchedule::Constant,
            warm_up: 0,
            clip_norm: None,
        }
    }

    /// PyTorch 2.11 in float64: four steps from [0.5, -1, 2] with the gradients
    /// [0.1(t+1), -0.2, 0.3(t-1.5)], t = 0..4, and the numbers of the specs above.
    fn cases() -> [(OptimizerSpec, [f32; 3]); 4] {
        [
            (OptimizerSpec::Adam(adam(0.1)), [0.457_426, -0.960_038, 1.995_291]),
            (OptimizerSpec::Adamw(adam(0.1)), [0.455_334, -0.956_065, 2.003_515]),
            (OptimizerSpec::Rmsprop(rmsprop()), [0.390_024, -0.909_173, 2.008_846]),
            (OptimizerSpec::Sgd(sgd()), [0.480_298, -0.977_765, 1.992_774]),
        ]
    }

    fn gradient(t: u64) -> [f32; 3] {
        [0.1 * (t + 1) as f32, -0.2, 0.3 * (t as f32 - 1.5)]
    }

    #[test]
    fn four_steps_end_where_pytorchs_end_on_host_and_device() {
        for (spec, expected) in cases() {
            let mut p = [0.5f32, -1.0, 2.0];
            let (mut first, mut second) = ([0.0f32; 3], [0.0f32; 3]);
            let mut q = Tensor::from_slice(&p).unsqueeze(0);
            let mut buffers: Vec<Tensor> = spec.buffers().iter().map(|_| q.zeros_like()).collect();
            for t in 0..4 {
                let step = spec.step(t + 1, t, 4);
                step.on_host(&mut p, &gradient(t), 1.0, &mut first, &mut second);
                Step::on_device(&[step], &mut q, &Tensor::from_slice(&gradient(t)).unsqueeze(0), &mut buffers);
            }
            for (i, e) in expected.iter().enumerate() {
                assert!((p[i] - e).abs() < 2e-6, "{spec:?} on the host: {p:?}");
                assert!((q.double_value(&[0, i as i64]) - f64::from(*e)).abs() < 2e-6, "{spec:?} on a device");
            }
        }
    }

    #[test]
    fn learning_rates_follow_their_schedules() {
        let linear = LrSchedule::Linear(LinearDecay { after: Probability::of(0.5), to: Probability::of(0.02) });
        assert_eq!(linear.rate(1.0, 0, 50, 100), 1.0);
        assert!((linear.rate(1.0, 0, 75, 100) - 0.51).abs() < 1e-12);
        let decay = LrSchedule::Exponential(ExponentialDecay {
            factor: Probability::of(1.0 / 1.000_004),
            floor: NonNegative::of(1e-6),
        });
        // The half-life of the 2014 code is about 173,000 updates.
        assert!((decay.rate(0.1, 0, 173_287, 1_000_000) - 0.05).abs() < 1e-5);
        assert_eq!(decay.rate(0.1, 0, u64::MAX / 2, 1_000_000), 1e-6);
        assert_eq!(LrSchedule::Constant.rate(1.0, 10, 4, 100), 0.5);
        let ramp = MomentumSpec::Ramp(RampSpec { from: Probability::of(0.5), to: Probability::of(0.7), steps: 10 });
        assert_eq!((ramp.at(0), ramp.at(5), ramp.at(20)), (0.5, 0.6, 0.7));
    }
}
