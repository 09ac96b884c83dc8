//! Normalizations of activations.

use super::dense::per_run;
use super::image::channels;
use super::plan::BatchNorm;
use tch::{Kind, Tensor};

/// Added to the variance by layer, instance and group norm, as in PyTorch.
const EPS: f64 = 1e-5;

/// Batch norm of vectors `[R, B, F]` or folded maps. In training by the statistics of the batch, which move the running
/// ones; else by the running ones.
pub(super) fn batch_norm(norm: &BatchNorm, x: &Tensor, params: &[Tensor], train: bool) -> Tensor {
    if norm.folded { batch_norm_of_maps(norm, x, params, train) } else { batch_norm_of_vectors(norm, x, params, train) }
}

fn batch_norm_of_vectors(norm: &BatchNorm, x: &Tensor, params: &[Tensor], train: bool) -> Tensor {
    let x = &x.to_kind(Kind::Float);
    let (runs, batch, _) = x.size3().expect("batch norm of vectors takes [runs, batch, features]");
    let (centered, var) = if train {
        let mean = x.mean_dim(1, true, None);
        let centered = x - &mean;
        let var = (&centered * &centered).mean_dim(1, true, None);
        tch::no_grad(|| {
            let unbiased = batch as f64 / (batch - 1).max(1) as f64;
            move_towards(&params[norm.mean], &mean, norm.momentum);
            move_towards(&params[norm.var], &(&var * unbiased), norm.momentum);
        });
        (centered, var)
    } else {
        (x - per_run(&params[norm.mean], runs), per_run(&params[norm.var], runs))
    };
    let unscaled = (var + norm.eps).rsqrt();
    let scale = match norm.gain {
        Some(gain) => unscaled * per_run(&params[gain], runs),
        None => unscaled,
    };
    match norm.bias {
        Some(bias) => centered * scale + per_run(&params[bias], runs),
        None => centered * scale,
    }
}

/// (1 − momentum)·running + momentum·new, in place.
fn move_towards(running: &Tensor, new: &Tensor, momentum: f64) {
    let moved = running * (1.0 - momentum) + new.view_as(running) * momentum;
    running.shallow_clone().copy_(&moved);
}

fn batch_norm_of_maps(norm: &BatchNorm, x: &Tensor, params: &[Tensor], train: bool) -> Tensor {
    let several = params[norm.mean].size()[0] > 1;
    // libtorch writes to the statistics that it is given; those of several runs may not lie as it wants them.
    let [mean, var] = [norm.mean, norm.var].map(|i| {
        let flat = channels(&params[i]);
        if several && train { flat.copy() } else { flat }
    });
    let out = x.batch_norm(
        norm.gain.map(|gain| channels(&params[gain])),
        norm.bias.map(|bias| channels(&params[bias])),
        Some(mean.shallow_clone()),
        Some(var.shallow_clone()),
        train,
        norm.momentum,
        norm.eps,
        x.device().is_cuda(),
    );
    if several && train {
        tch::no_grad(|| {
            for (i, moved) in [(norm.mean, &mean), (norm.var, &var)] {
                params[i].shallow_clone().copy_(&moved.view_as(&params[i]));
            }
        });
    }
    out
}

/// Virtual batch norm of vectors `[R, B, F]` or folded maps, of which the first `reference` examples are the reference batch: it
/// is normalized by its own statistics, and every other example by those and its own, with the weight 1/(reference + 1).
pub(super) fn virtual_batch_norm(
    x: &Tensor,
    reference: i64,
    gain: &Tensor,
    bias: &Tensor,
    folded: bool,
    runs: i64,
) -> Tensor {
    let x = &x.to_kind(Kind::Float);
    let batch_at = if folded { 0 } else { 1 };
    // Statistics of one example, which is a number a feature where there is no map.
    let of_each = |x: &Tensor| if folded { x.mean_dim([2i64, 3].as_slice(), true, None) } else { x.shallow_clone() };
    let of_reference = |x: &Tensor| of_each(&x.narrow(batch_at, 0, reference)).mean_dim(batch_at, true, None);
    // About the mean of the reference: a variance is the same wherever it is taken, and small numbers are not lost.
    let centered = x - of_reference(x);
    let square = &centered * &centered;
    let count = x.size()[batch_at as usize];
    let share = Tensor::cat(
        &[
            Tensor::zeros([reference], (Kind::Float, x.device())),
            Tensor::full([count - reference], 1.0 / (reference + 1) as f64, (Kind::Float, x.device())),
        ],
        0,
    );
    let share = if folded { share.view([count, 1, 1, 1]) } else { share.view([1, count, 1]) };
    let mean = of_each(&centered) * &share;
    let kept: Tensor = 1.0 - &share;
    let var: Tensor = of_reference(&square) * kept + of_each(&square) * share - &mean * &mean;
    let (gain, bias) = if folded {
        let wide = |x: &Tensor| channels(x).view([1, -1, 1, 1]);
        (wide(gain), wide(bias))
    } else {
        (per_run(gain, runs), per_run(bias, runs))
    };
    (centered - mean) * ((var + EPS).rsqrt() * gain) + bias
}

/// Each example normalized within `groups` groups of its channels, then a gain and bias a channel.
pub(super) fn group_norm(
    x: &Tensor,
    groups: usize,
    gain: Option<&Tensor>,
    bias: Option<&Tensor>,
    folded: bool,
    runs: i64,
) -> Tensor {
    let x = &x.to_kind(Kind::Float);
    if folded {
        return x.group_norm(groups as i64 * runs, gain.map(channels), bias.map(channels), EPS, x.device().is_cuda());
    }
    let (_, batch, features) = x.size3().expect("group norm of vectors takes [runs, batch, features]");
    let width = features / groups as i64;
    let grouped = if groups == 1 { x.shallow_clone() } else { x.reshape([runs, batch, groups as i64, width]) };
    let normal = grouped.layer_norm(width, None::<Tensor>, None, EPS, x.device().is_cuda());
    let normal = if groups == 1 { normal } else { normal.view([runs, batch, features]) };
    match (gain, bias) {
        (Some(gain), Some(bias)) => normal * per_run(gain, runs) + per_run(bias, runs),
        _ => normal,
    }
}
