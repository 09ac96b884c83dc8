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
