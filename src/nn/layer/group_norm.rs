//! Norms within an example: layer norm (arXiv:1607.06450), instance norm, group norm (arXiv:1803.08494).

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::{Builder, Site};
use crate::nn::dense::per_run;
use crate::nn::forward::Pass;
use crate::nn::grouped::channels;
use crate::nn::init::ParamInit;
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Added to the variance, as in PyTorch.
pub(super) const EPS: f64 = 1e-5;

bare_number!(GroupsSpec, groups, "the count of groups, or a table with `groups`");

/// How many groups the channels form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "GroupsSpec", transform = or_integer)]
pub struct GroupsSpec {
    /// Must divide the channels.
    pub groups: u32,
}

impl Layer for arm::LayerNorm {
    type Spec = ();
    const TAG: &'static str = "layer-norm";
    const TAKES: Takes = Takes::Anything;

    fn facts(_: &()) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan((): &(), site: &mut Site<'_>) -> Result<(), Problem> {
        if site.flow.is_sequence() {
            let norm = NormAtEach::plan(site.builder, site.name, site.flow.shape[1]);
            site.push(norm);
        } else {
            plan(1, true, site);
        }
        Ok(())
    }
}

impl Layer for arm::InstanceNorm {
    type Spec = ();
    const TAG: &'static str = "instance-norm";
    const TAKES: Takes = Takes::Map;

    fn facts(_: &()) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan((): &(), site: &mut Site<'_>) -> Result<(), Problem> {
        let [c, h, w] = site.map()?;
        if h * w == 1 {
            return Err(site.problem("instance norm over a map of one number leaves only zeros"));
        }
        plan(c, false, site);
        Ok(())
    }
}

impl Layer for arm::GroupNorm {
    type Spec = GroupsSpec;
    const TAG: &'static str = "group-norm";
    const TAKES: Takes = Takes::VectorOrMap;

    fn facts(spec: &GroupsSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("groups", spec.groups)], inner: None, label: false }
    }

    fn plan(spec: &GroupsSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let (groups, channels) = (spec.groups as usize, site.flow.shape[0]);
        if !channels.is_multiple_of(groups) {
            return Err(site.problem(format!("{groups} groups do not divide {channels} channels")));
        }
        plan(groups, true, site);
        Ok(())
    }
}

fn plan(groups: usize, affine: bool, site: &mut Site<'_>) {
    let channels = vec![site.flow.shape[0]];
    let folded = site.fold_if_map();
    let gain = affine.then(|| site.param("weight", channels.clone(), ParamInit::Constant(1.0)));
    let bias = affine.then(|| site.param("bias", channels, ParamInit::Constant(0.0)));
    site.push(GroupNorm { groups, gain, bias, folded });
}

/// Each example of vectors or folded maps normalized within groups of its channels, then a gain and bias per channel.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct GroupNorm {
    pub groups: usize,
    pub gain: Option<usize>,
    pub bias: Option<usize>,
    pub folded: bool,
}

impl Operation for GroupNorm {
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
        let [gain, bias] = [self.gain, self.bias].map(|index| index.map(|i| &pass.params[i]));
        let x = &x.to_kind(Kind::Float);
        let (groups, cudnn) = (self.groups as i64, x.device().is_cuda());
        if self.folded {
            return x.group_norm(groups * pass.runs, gain.map(channels), bias.map(channels), EPS, cudnn);
        }
        let (runs, batch, features) = x.size3().expect("group norm of vectors takes [runs, batch, features]");
        let width = features / groups;
        let grouped = if groups == 1 { x.shallow_clone() } else { x.reshape([runs, batch, groups, width]) };
        let normal = grouped.layer_norm(width, None::<Tensor>, None, EPS, cudnn);
        let normal = if groups == 1 { normal } else { normal.view([runs, batch, features]) };
        match (gain, bias) {
            (Some(gain), Some(bias)) => normal * per_run(gain, runs) + per_run(bias, runs),
            (None, _) | (_, None) => normal,
        }
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let (groups, gain, bias) = (self.groups, writer.optional(self.gain), writer.optional(self.bias));
        writer.is(format!("torch.group_norm({x}, {groups}, {gain}, {bias}, 1e-05, True)"))
    }
}

/// A layer norm at each position of a sequence `[R, B, T, D]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::nn) struct NormAtEach {
    pub gain: usize,
    pub bias: usize,
}

impl Operation for NormAtEach {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: true,
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
        self.of(pass.params, x)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let width = writer.plan.params[self.gain].len();
        let (gain, bias) = (writer.plain(self.gain), writer.plain(self.bias));
        writer.is(format!("torch.layer_norm({x}, [{width}], {gain}, {bias}, 1e-05, True)"))
    }

    fn by_symbol(&self, maker: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        Some(Box::new(NormBySymbol::new(*self, maker.params)))
    }
}

impl NormAtEach {
    /// The parameters of a norm of vectors that are so wide.
    pub fn plan(builder: &mut Builder, name: &str, width: usize) -> Self {
        let gain = builder.param(format!("{name}.weight"), vec![width], ParamInit::Constant(1.0));
        let bias = builder.param(format!("{name}.bias"), vec![width], ParamInit::Constant(0.0));
        Self { gain, bias }
    }

    pub fn of(self, params: &[Tensor], x: &Tensor) -> Tensor {
        let at_each = |index: usize| params[index].unsqueeze(1).unsqueeze(1);
        normal(x) * at_each(self.gain) + at_each(self.bias)
    }
}

/// Normalized over the last dimension.
fn normal(x: &Tensor) -> Tensor {
    x.layer_norm([x.size()[x.dim() - 1]], None::<&Tensor>, None, EPS, false)
}

/// A layer norm of vectors `[B, D]`.
pub(super) struct NormBySymbol {
    gain: Tensor,
    bias: Tensor,
}

impl NormBySymbol {
    pub fn new(norm: NormAtEach, params: &[Tensor]) -> Self {
        Self { gain: params[norm.gain].view([1, -1]), bias: params[norm.bias].view([1, -1]) }
    }

    pub fn of(&self, x: &Tensor) -> Tensor {
        normal(x) * &self.gain + &self.bias
    }
}

impl BySymbol for NormBySymbol {
    fn next(&mut self, _: i64, _: Option<&[i64]>, x: &Tensor) -> Tensor {
        self.of(x)
    }
}
