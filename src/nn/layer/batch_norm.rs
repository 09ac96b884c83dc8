//! Batch norm (arXiv:1502.03167).

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Positive, Probability, Problem};
use crate::nn::builder::Site;
use crate::nn::dense::per_run;
use crate::nn::forward::Pass;
use crate::nn::grouped::channels;
use crate::nn::init::ParamInit;
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BatchNormSpec {
    /// Added to the variance.
    #[serde(default = "BatchNormSpec::eps")]
    pub eps: Positive,
    /// The share of the newest batch in the running statistics.
    #[serde(default = "BatchNormSpec::momentum")]
    pub momentum: Probability,
    /// Whether a gain and bias a channel are learned.
    #[serde(default = "super::yes")]
    pub affine: bool,
}

impl BatchNormSpec {
    fn eps() -> Positive {
        Positive::of(1e-5)
    }
    fn momentum() -> Probability {
        Probability::of(0.1)
    }
}

impl Default for BatchNormSpec {
    /// PyTorch's.
    fn default() -> Self {
        Self { eps: Self::eps(), momentum: Self::momentum(), affine: true }
    }
}

impl Layer for arm::BatchNorm {
    type Spec = BatchNormSpec;
    const TAG: &'static str = "batch-norm";
    const TAKES: Takes = Takes::VectorOrMap;

    fn facts(_: &BatchNormSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan(spec: &BatchNormSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let channels = vec![site.flow.shape[0]];
        let folded = site.fold_if_map();
        let start = ParamInit::norm_gain(site.builder.init);
        let gain = spec.affine.then(|| site.param("weight", channels.clone(), start));
        let bias = spec.affine.then(|| site.param("bias", channels.clone(), ParamInit::Constant(0.0)));
        let mean = site.buffer("running_mean", channels.clone(), ParamInit::Constant(0.0));
        let var = site.buffer("running_var", channels, ParamInit::Constant(1.0));
        let (eps, momentum) = (spec.eps.get(), spec.momentum.get());
        site.push(BatchNorm { gain, bias, mean, var, eps, momentum, folded });
        Ok(())
    }
}

/// Batch norm of vectors `[R, B, F]` or folded maps. In training by the statistics of the batch, which move the running
/// ones; else by the running ones.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct BatchNorm {
    pub gain: Option<usize>,
    pub bias: Option<usize>,
    pub mean: usize,
    pub var: usize,
    pub eps: f64,
    pub momentum: f64,
    pub folded: bool,
}

impl Operation for BatchNorm {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range: Range::Everything,
            weighs: false,
            moves: false,
            couples: true,
            one_by_one: false,
            statistics: true,
            labels: false,
        }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let (params, train, parts) = (pass.params, pass.mode.train, pass.mode.parts);
        let of =
            |x: &Tensor| if self.folded { of_maps(self, x, params, train) } else { of_vectors(self, x, params, train) };
        if !train || parts == 1 {
            return of(x);
        }
        // Maps are folded: their batch comes first.
        let batch_at = if self.folded { 0 } else { 1 };
        Tensor::cat(&x.chunk(parts, batch_at).iter().map(of).collect::<Vec<_>>(), batch_at)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let (gain, bias) = (writer.optional(self.gain), writer.optional(self.bias));
        let (mean, var) = (writer.plain(self.mean), writer.plain(self.var));
        let (momentum, eps) = (self.momentum, self.eps);
        writer.is(format!("torch.batch_norm({x}, {gain}, {bias}, {mean}, {var}, False, {momentum:?}, {eps:?}, True)"))
    }
}

fn of_vectors(norm: &BatchNorm, x: &Tensor, params: &[Tensor], train: bool) -> Tensor {
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

fn of_maps(norm: &BatchNorm, x: &Tensor, params: &[Tensor], train: bool) -> Tensor {
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
