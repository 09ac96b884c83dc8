//! Minibatch discrimination (arXiv:1606.03498, section 3.2).

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{NonNegative, Problem};
use crate::nn::builder::Site;
use crate::nn::dense;
use crate::nn::forward::Pass;
use crate::nn::fused::Link;
use crate::nn::init::{Fans, ParamInit};
use crate::nn::script::Writer;
use crate::nn::spec::{InitSpec, StdSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Minibatch discrimination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MinibatchSpec {
    /// B, the numbers appended.
    pub kernels: u32,
    /// C, the dimensions in which closeness is measured.
    pub dims: u32,
    /// How T begins; N(0, 0.02²) by default, as in the 1-D toy.
    #[serde(default = "MinibatchSpec::init")]
    pub init: InitSpec,
    /// Whether the sum over the batch is divided by its size.
    #[serde(default)]
    pub mean: bool,
}

impl MinibatchSpec {
    fn init() -> InitSpec {
        InitSpec::Normal(StdSpec { std: NonNegative::of(0.02) })
    }
}

impl Layer for arm::MinibatchDiscrimination {
    type Spec = MinibatchSpec;
    const TAG: &'static str = "minibatch-discrimination";
    const TAKES: Takes = Takes::Vector;

    fn facts(spec: &MinibatchSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("kernels", spec.kernels), ("dims", spec.dims)], inner: None, label: false }
    }

    fn plan(spec: &MinibatchSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        site.flow.flatten();
        let (inputs, kernels) = (site.flow.shape[0], spec.kernels as usize);
        let outputs = kernels.saturating_mul(spec.dims as usize);
        let init = ParamInit::weight(spec.init, Fans { inputs, outputs }, inputs);
        let weight = site.param("weight", vec![inputs, outputs], init);
        site.push(Minibatch { weight, kernels, mean: spec.mean });
        site.flow.shape = vec![inputs.saturating_add(kernels)];
        Ok(())
    }
}

/// Appends o_b = Σ_j exp(−‖M_ib − M_jb‖₁), the closeness of each example to its batch (itself included), where the rows
/// of M = x·T are `kernels` vectors.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Minibatch {
    pub weight: usize,
    pub kernels: usize,
    pub mean: bool,
}

impl Operation for Minibatch {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range: Range::Everything,
            weighs: false,
            moves: false,
            couples: true,
            one_by_one: false,
            statistics: false,
            labels: false,
        }
    }

    fn link(&self) -> Link<'_> {
        Link::Minibatch(self)
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let (runs, batch, _) = x.size3().expect("minibatch discrimination takes [runs, batch, features]");
        let (kernels, parts) = (self.kernels as i64, pass.mode.parts);
        let m = dense::product(x, &pass.params[self.weight], None).view([runs * parts, batch / parts, -1]);
        // The pairs of examples lie innermost, where sums over dims and over the batch are fastest.
        let m = m.transpose(1, 2).contiguous().view([runs * parts, kernels, -1, batch / parts]);
        let distance = (m.unsqueeze(-1) - m.unsqueeze(-2)).abs().sum_dim_intlist(2, false, None);
        let closeness = distance.neg().exp();
        let closeness =
            if self.mean { closeness.mean_dim(2, false, None) } else { closeness.sum_dim_intlist(2, false, None) };
        let closeness = closeness.transpose(1, 2).reshape([runs, batch, kernels]);
        Tensor::cat(&[x, &closeness], 2)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let kernels = self.kernels;
        let dims = writer.plan.params[self.weight].shape[1] / kernels;
        let t = writer.plain(self.weight);
        let n = writer.n();
        let m = writer.is(format!("torch.reshape(torch.matmul({x}, {t}), [{n}, {kernels}, {dims}])"));
        let apart = writer.is(format!("torch.sub(torch.unsqueeze({m}, 1), torch.unsqueeze({m}, 0))"));
        let near = writer.is(format!("torch.exp(torch.neg(torch.sum(torch.abs({apart}), [3])))"));
        let by = if self.mean { "mean" } else { "sum" };
        writer.is(format!("torch.cat([{x}, torch.{by}({near}, [1])], 1)"))
    }
}
