//! Weights as layers use them: plain, divided by their spectral norm, or with norms learned apart.

use super::builder::Builder;
use super::count;
use super::init::{Fans, ParamInit};
use super::plan::NetworkPlan;
use super::spec::InitSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A reparameterization of a weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WeightNormSpec {
    /// The weight as it is.
    #[default]
    Plain,
    /// W/σ(W), one power step a training pass (arXiv:1802.05957).
    Spectral,
    /// g·V/‖V‖ an output (arXiv:1602.07868); g begins at the norm that V begins with on average.
    Norm,
}

/// A weight and how it is reparameterized.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weight {
    pub index: usize,
    /// The dimension of outputs, the run axis not counted.
    pub outputs_at: usize,
    pub form: Form,
}

/// How a weight is reparameterized, with the parameters that takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    Plain,
    Spectral { vector: usize },
    Norm { gain: usize },
}

impl Weight {
    /// A weight of this shape with what its reparameterization keeps beside it.
    pub fn plan(
        builder: &mut Builder,
        name: &str,
        shape: Vec<usize>,
        outputs_at: usize,
        fans: Fans,
        (init, form): (InitSpec, WeightNormSpec),
    ) -> Self {
        let (outputs, rows) = (shape[outputs_at], shape[0]);
        let others = count(&shape) / outputs;
        let init = ParamInit::weight(init, fans, rows);
        let index = builder.param(format!("{name}.weight"), shape, init);
        let form = match form {
            WeightNormSpec::Plain => Form::Plain,
            WeightNormSpec::Spectral => {
                let start = ParamInit::Normal { mean: 0.0, std: 1.0 };
                Form::Spectral { vector: builder.buffer(format!("{name}.spectral"), vec![outputs], start) }
            }
            WeightNormSpec::Norm => {
                let start = ParamInit::Constant(init.typical_norm(others, outputs));
                Form::Norm { gain: builder.param(format!("{name}.gain"), vec![outputs], start) }
            }
        };
        Self { index, outputs_at, form }
    }

    /// The weight `[R, …]` that a layer multiplies with. In training, spectral norm moves its vector one power step on.
    pub fn effective(&self, params: &[Tensor], train: bool) -> Tensor {
        let w = &params[self.index];
        let outputs_at = self.outputs_at as i64 + 1;
        match self.form {
            Form::Plain => w.shallow_clone(),
            Form::Spectral { vector } => spectral(w, &params[vector], outputs_at, train),
            Form::Norm { gain } => {
                let others = others(w, outputs_at);
                let norm = (w * w).sum_dim_intlist(&others[..], true, None).sqrt();
                w * (along(&params[gain], w, outputs_at) / norm)
            }
        }
    }

    /// The numbers that a layer multiplies with in evaluation, from those of all parameters of one run.
    pub fn evaluated(&self, plan: &NetworkPlan, numbers: &[Vec<f32>]) -> Vec<f32> {
        let (shape, w) = (&plan.params[self.index].shape, &numbers[self.index]);
        let outputs = shape[self.outputs_at];
        let inner: usize = shape[self.outputs_at + 1..].iter().product();
        // To which output the number at an index belongs.
        let output = |at: usize| at / inner % outputs;
        let scale: Vec<f64> = match self.form {
            Form::Plain => return w.clone(),
            Form::Norm { gain } => {
                let mut squares = vec![0.0; outputs];
                w.iter().enumerate().for_each(|(i, &v)| squares[output(i)] += f64::from(v).powi(2));
                squares.iter().zip(&numbers[gain]).map(|(square, &gain)| f64::from(gain) / square.sqrt()).collect()
            }
            Form::Spectral { vector } => {
                // To which number among the other dimensions one belongs.
                let other = |at: usize| at / (inner * outputs) * inner + at % inner;
                vec![1.0 / norm_on_host(w, &numbers[vector], &output, &other); outputs]
            }
        };
        w.iter().enumerate().map(|(i, &v)| (f64::from(v) * scale[output(i)]) as f32).collect()
    }
}

/// uᵀWv after one power step from the stored u, as in evaluation.
fn norm_on_host(w: &[f32], stored: &[f32], output: &dyn Fn(usize) -> usize, other: &dyn Fn(usize) -> usize) -> f64 {
    let mut v = vec![0.0; w.len() / stored.len()];
    w.iter().enumerate().for_each(|(i, &w)| v[other(i)] += f64::from(w) * f64::from(stored[output(i)]));
    unit_on_host(&mut v);
    let mut u = vec![0.0; stored.len()];
    w.iter().enumerate().for_each(|(i, &w)| u[output(i)] += f64::from(w) * v[other(i)]);
    let product = u.clone();
    unit_on_host(&mut u);
    u.iter().zip(&product).map(|(a, b)| a * b).sum()
}

fn unit_on_host(v: &mut [f64]) {
    let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt() + 1e-12;
    v.iter_mut().for_each(|v| *v /= norm);
}

/// W/σ with σ = uᵀWv after one power step from the stored u; u and v are constants, so the gradient flows through W alone
/// (arXiv:1802.05957, algorithm 1). Products are sums of elementwise products, the same bits for any count of runs.
fn spectral(w: &Tensor, stored: &Tensor, outputs_at: i64, train: bool) -> Tensor {
    let all: Vec<i64> = (1..w.dim() as i64).collect();
    let others = others(w, outputs_at);
    let direction = tch::no_grad(|| {
        let u = along(stored, w, outputs_at);
        let v = unit((w * u).sum_dim_intlist(outputs_at, true, None), &all);
        let u = unit((w * &v).sum_dim_intlist(&others[..], true, None), &all);
        if train {
            stored.shallow_clone().copy_(&u.view_as(stored));
        }
        u * v
    });
    let sigma = (w * direction).sum_dim_intlist(&all[..], true, None);
    w / sigma
}

fn unit(x: Tensor, dims: &[i64]) -> Tensor {
    let norm = (&x * &x).sum_dim_intlist(dims, true, None).sqrt();
    x / (norm + 1e-12)
}

/// Dimensions of a weight that are neither runs nor outputs.
fn others(w: &Tensor, outputs_at: i64) -> Vec<i64> {
    (1..w.dim() as i64).filter(|&dim| dim != outputs_at).collect()
}

/// A number per output, shaped to multiply a weight.
fn along(x: &Tensor, w: &Tensor, outputs_at: i64) -> Tensor {
    let mut shape = vec![1; w.dim()];
    shape[0] = -1;
    shape[outputs_at as usize] = w.size()[outputs_at as usize];
    x.reshape(shape)
}
