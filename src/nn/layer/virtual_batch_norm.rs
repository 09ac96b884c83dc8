//! Virtual batch norm (arXiv:1606.03498, section 3.4).

use super::group_norm::EPS;
use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::Site;
use crate::nn::dense::per_run;
use crate::nn::forward::Pass;
use crate::nn::grouped::channels;
use crate::nn::init::ParamInit;
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

bare_number!(ReferenceSpec, examples, "the count of reference examples, or a table with `examples`");

/// The batch that virtual batch norm refers to, which is drawn before the first step and stays: of a discriminator training
/// examples, of a generator latents. It goes through the network with every batch. All such norms of a network have the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "ReferenceSpec", transform = or_integer)]
pub struct ReferenceSpec {
    /// How many examples it has; 64 by default.
    #[serde(default = "ReferenceSpec::examples")]
    pub examples: u32,
}

impl ReferenceSpec {
    fn examples() -> u32 {
        64
    }
}

impl Layer for arm::VirtualBatchNorm {
    type Spec = ReferenceSpec;
    const TAG: &'static str = "virtual-batch-norm";
    const TAKES: Takes = Takes::VectorOrMap;

    fn facts(spec: &ReferenceSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("examples", spec.examples)], inner: None, label: false }
    }

    fn plan(spec: &ReferenceSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let examples = spec.examples as usize;
        if let Some(other) = site.builder.reference.replace(examples).filter(|&other| other != examples) {
            let message = format!("a reference of {examples} examples, and another norm has one of {other}");
            let help = "all virtual batch norms of a network refer to the same batch";
            return Err(site.problem(message).with_help(help));
        }
        let channels = vec![site.flow.shape[0]];
        let folded = site.fold_if_map();
        let gain = site.param("weight", channels.clone(), ParamInit::norm_gain(site.builder.init));
        let bias = site.param("bias", channels, ParamInit::Constant(0.0));
        site.push(VirtualBatchNorm { gain, bias, folded });
        Ok(())
    }
}

/// Virtual batch norm of vectors `[R, B, F]` or folded maps, of which the first examples are the reference batch: it is normalized
/// by its own statistics, and every other example by those and its own, with the weight 1/(reference + 1).
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct VirtualBatchNorm {
    pub gain: usize,
    pub bias: usize,
    pub folded: bool,
}

impl Operation for VirtualBatchNorm {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range: Range::Everything,
            weighs: false,
            moves: false,
            couples: false,
            one_by_one: false,
            statistics: false,
            labels: false,
        }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let reference = pass.plan.reference.expect("a plan with this norm has a reference").examples as i64;
        let (folded, runs) = (self.folded, pass.runs);
        let (gain, bias) = (&pass.params[self.gain], &pass.params[self.bias]);
        let x = &x.to_kind(Kind::Float);
        let batch_at = if folded { 0 } else { 1 };
        // Statistics of one example, which is a number a feature where there is no map.
        let of_each =
            |x: &Tensor| if folded { x.mean_dim([2i64, 3].as_slice(), true, None) } else { x.shallow_clone() };
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

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let examples = writer.plan.reference.map_or(0, |reference| reference.examples);
        let share = 1.0 / (examples + 1) as f64;
        let (all, map) = if writer.map { ("[0, 2, 3]", true) } else { ("[0]", false) };
        let own = |x: String| if map { format!("torch.mean({x}, [2, 3], True)") } else { x };
        let mean = writer.is(format!("torch.mean(torch.slice({x}, 0, 0, {examples}), {all}, True)"));
        let centered = writer.is(format!("torch.sub({x}, {mean})"));
        let first = writer.is(format!("torch.slice({centered}, 0, 0, {examples})"));
        let others = writer.is(format!("torch.slice({centered}, 0, {examples})"));
        let var = writer.is(format!("torch.mean(torch.mul({first}, {first}), {all}, True)"));
        let first = writer.is(format!("torch.mul({first}, torch.rsqrt(torch.add({var}, 1e-05)))"));
        let mean = writer.is(format!("torch.mul({}, {share:?})", own(others.clone())));
        let square = writer.is(format!("torch.mul({}, {share:?})", own(format!("torch.mul({others}, {others})"))));
        let kept = writer.is(format!("torch.mul({var}, {:?})", 1.0 - share));
        let var = writer.is(format!("torch.sub(torch.add({kept}, {square}), torch.mul({mean}, {mean}))"));
        let others = format!("torch.mul(torch.sub({others}, {mean}), torch.rsqrt(torch.add({var}, 1e-05)))");
        let others = writer.is(others);
        let normal = writer.is(format!("torch.cat([{first}, {others}], 0)"));
        let sides = if map { "[1, -1, 1, 1]" } else { "[1, -1]" };
        let [gain, bias] =
            [self.gain, self.bias].map(|index| format!("torch.reshape({}, {sides})", writer.plain(index)));
        writer.is(format!("torch.add(torch.mul({normal}, {gain}), {bias})"))
    }
}
