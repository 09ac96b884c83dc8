//! Weights as layers use them: plain, divided by their spectral norm, or with norms learned apart.

use super::plan::{Form, Weight};
use tch::Tensor;

/// The weight `[R, …]` that a layer multiplies with. In training, spectral norm moves its vector one power step on.
pub(super) fn effective(weight: &Weight, params: &[Tensor], train: bool) -> Tensor {
    let w = &params[weight.index];
    let outputs_at = weight.outputs_at as i64 + 1;
    match weight.form {
        Form::Plain => w.shallow_clone(),
        Form::Spectral { vector } => spectral(w, &params[vector], outputs_at, train),
        Form::Norm { gain } => {
            let others = others(w, outputs_at);
            let norm = (w * w).sum_dim_intlist(&others[..], true, None).sqrt();
            w * (along(&params[gain], w, outputs_at) / norm)
        }
    }
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

/// A number an output, shaped to multiply a weight.
fn along(x: &Tensor, w: &Tensor, outputs_at: i64) -> Tensor {
    let mut shape = vec![1; w.dim()];
    shape[0] = -1;
    shape[outputs_at as usize] = w.size()[outputs_at as usize];
    x.reshape(shape)
}
