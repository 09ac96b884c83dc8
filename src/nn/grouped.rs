//! Grouped convolutions: runs lie beside each other in the channels of maps, `[B, R·C, H, W]`, so that a pack is one convolution;
//! with one run nothing is copied.

use super::layer::conv::Convolution;
use crate::base::unbound::{self, Derivatives};
use tch::{Device, Tensor};

/// `[R, B, C, H, W]` to `[B, R·C, H, W]`.
pub(super) fn fold(x: &Tensor) -> Tensor {
    match x.size()[0] {
        1 if x.device() == Device::Cpu => channels_last(&x.squeeze_dim(0)),
        1 => x.squeeze_dim(0),
        _ => x.transpose(0, 1).flatten(1, 2),
    }
}

/// The same maps with the channels of each pixel together, so that libtorch's kernels for the CPU need not reorder them at
/// every layer. One operand of a convolution that lies so is enough: what comes out does too, and so do slopes.
pub(super) fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// `[B, R·C, H, W]` to `[R, B, C, H, W]`.
pub(super) fn unfold(x: &Tensor, runs: i64) -> Tensor {
    if runs == 1 && x.is_contiguous() {
        return x.unsqueeze(0);
    }
    if runs == 1 {
        let slope = |_: &[Tensor], by_y: &Tensor, _: &[bool]| vec![Some(channels_last(by_y))];
        let plain = tch::no_grad(|| x.contiguous());
        return unbound::attach(plain, &[x], Derivatives::All, Box::new(slope)).unsqueeze(0);
    }
    let (batch, channels, height, width) = x.size4().expect("folded maps are [batch, channels, height, width]");
    x.view([batch, runs, channels / runs, height, width]).transpose(0, 1)
}

/// A number per channel and run, `[R, C]`, as folded maps have their channels.
pub(super) fn channels(x: &Tensor) -> Tensor {
    x.flatten(0, 1)
}

/// The convolution, or transposed convolution, of folded maps with the weight `[R, …]`.
pub(super) fn convolve(conv: &Convolution, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let runs = w.size()[0];
    let w = w.flatten(0, 1);
    if runs == 1
        && let Some(y) = super::im2col::convolve(conv, x, &w, bias)
    {
        return y;
    }
    let w = if runs == 1 && w.device() == Device::Cpu { channels_last(&w) } else { w };
    let bias = bias.map(channels);
    let stride = [conv.stride as i64; 2];
    let padding = [conv.padding as i64; 2];
    if conv.transposed {
        x.conv_transpose2d(&w, bias, stride, padding, [conv.output_padding as i64; 2], runs, [1, 1])
    } else {
        x.conv2d(&w, bias, stride, padding, [1, 1], runs)
    }
}
