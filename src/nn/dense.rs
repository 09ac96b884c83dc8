//! Products of vectors `[R, B, F]`: one for all runs of a pack.

use super::fused::Path;
use crate::base::unbound::{self, Derivatives};
use tch::{Device, Kind, Tensor};

/// Products of more multiplications than this a run are done run by run, and of more than that by oneDNN.
const LARGE: i64 = 1 << 18;
const VERY_LARGE: i64 = 1 << 20;

/// x·W + b for `x` `[R, B, in]`, `w` `[R, in, out]`, `bias` `[R, out]`, with the same bits for any count of runs.
///
/// libtorch hands a product with a side of one and a single run to another routine (gemv), whose sums round
/// differently; small ones are elementwise products and sums here.
pub(super) fn product(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let (runs, batch, inputs) = x.size3().expect("a linear layer takes [runs, batch, features]");
    let outputs = w.size()[2];
    if batch * inputs * outputs >= LARGE && x.device() == Device::Cpu && x.kind() == Kind::Float && Path::Dense.is_on()
    {
        return large(x, w, bias);
    }
    let bias = bias.map(|bias| per_run(bias, runs));
    let product = if outputs == 1 {
        (x * w.transpose(1, 2)).sum_dim_intlist(-1, true, None)
    } else if inputs == 1 {
        x * w
    } else if batch == 1 {
        (x.transpose(1, 2) * w).sum_dim_intlist(1, true, None)
    } else {
        return match bias {
            Some(bias) => bias.baddbmm(x, w, 1, 1),
            None => x.bmm(w),
        };
    };
    match bias {
        Some(bias) => product + bias,
        None => product,
    }
}

/// A product on the CPU that is worth a call a run. Its derivatives are products too.
fn large(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let (x_size, outputs) = (x.size(), w.size()[2]);
    let very = x_size[1] * x_size[2] * outputs >= VERY_LARGE && x_size[2].min(outputs) >= 16;
    let inputs: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
    let backward = |inputs: &[Tensor], by_y: &Tensor, wanted: &[bool]| {
        let (x, w) = (&inputs[0], &inputs[1]);
        let all: [&dyn Fn() -> Tensor; 3] =
            [&|| product(by_y, &w.transpose(1, 2), None), &|| product(&x.transpose(1, 2), by_y, None), &|| {
                by_y.sum_dim_intlist(1, false, None)
            }];
        all.iter().zip(wanted).map(|(slope, &wanted)| wanted.then(slope)).collect()
    };
    unbound::attach(unbound::product(x, w, bias, very), &inputs, Derivatives::All, Box::new(backward))
}

/// Numbers `[R, F]` so that they broadcast against `[R, B, F]`; with one run they already do.
pub(super) fn per_run(x: &Tensor, runs: i64) -> Tensor {
    if runs == 1 { x.shallow_clone() } else { x.unsqueeze(1) }
}
