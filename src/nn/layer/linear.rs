//! Linear layers, over vectors `[R, B, F]` or at each position of a sequence `[R, B, T, D]`.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::{Builder, Site};
use crate::nn::dense;
use crate::nn::forward::Pass;
use crate::nn::fused::Link;
use crate::nn::init::{Fans, ParamInit};
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use crate::nn::spec::InitSpec;
use crate::nn::weight::{Weight, WeightNormSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

bare_number!(LinearSpec, out, "the count of outputs, or a table with `out`");

/// A linear layer, or the bare number of its outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "LinearSpec", transform = or_integer)]
pub struct LinearSpec {
    /// Outputs.
    pub out: u32,
    /// Whether a bias is added.
    #[serde(default = "super::yes")]
    pub bias: bool,
    /// How the weight begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSpec>,
    /// A reparameterization of the weight.
    #[serde(default)]
    pub weight: WeightNormSpec,
}

impl Layer for arm::Linear {
    type Spec = LinearSpec;
    const TAG: &'static str = "linear";
    const TAKES: Takes = Takes::VectorOrSequence;

    fn facts(spec: &LinearSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("out", spec.out)], inner: None, label: false }
    }

    fn plan(spec: &LinearSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let sequence = site.flow.is_sequence();
        if !sequence {
            site.flow.flatten();
        }
        let width = site.flow.shape.last_mut().expect("a shape has a dimension");
        let sides = (std::mem::replace(width, spec.out as usize), spec.out as usize);
        let linear = Linear::plan(site.builder, site.name, sides, spec.bias, spec.init, spec.weight);
        site.flow.steps.push(if sequence { LinearAtEach(linear).into() } else { linear.into() });
        Ok(())
    }
}

/// x·W + b of vectors.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Linear {
    pub weight: Weight,
    pub bias: Option<usize>,
}

impl Linear {
    /// The parameters of a linear layer with so many inputs and outputs.
    pub fn plan(
        builder: &mut Builder,
        name: &str,
        (inputs, outputs): (usize, usize),
        bias: bool,
        init: Option<InitSpec>,
        form: WeightNormSpec,
    ) -> Self {
        let init = init.unwrap_or(builder.init);
        let fans = Fans { inputs, outputs };
        let weight = Weight::plan(builder, name, vec![inputs, outputs], 1, fans, (init, form));
        let bias = bias.then(|| builder.param(format!("{name}.bias"), vec![outputs], ParamInit::bias(init, fans)));
        Self { weight, bias }
    }

    /// Of `[R, B, in]`.
    pub fn of(&self, pass: &Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let w = self.weight.effective(pass.params, pass.mode.train);
        dense::product(x, &w, self.bias.map(|i| &pass.params[i]))
    }

    /// At each position of `[R, B, T, in]`.
    pub fn of_each(&self, pass: &Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let size = x.size();
        self.of(pass, &x.flatten(1, 2)).view([size[0], size[1], size[2], -1])
    }
}

impl Operation for Linear {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range: Range::Everything,
            weighs: true,
            moves: false,
            couples: false,
            one_by_one: false,
            statistics: false,
            labels: false,
        }
    }

    fn link(&self) -> Link<'_> {
        Link::Linear(self)
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        self.of(pass, x)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let shape = &writer.plan.params[self.weight.index].shape;
        let (inputs, outputs) = (shape[0], shape[1]);
        let w = self.weight.evaluated(writer.plan, writer.numbers);
        let turned = (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o)).map(|at| w[at]).collect();
        let w = writer.named(self.weight.index, vec![outputs, inputs], turned);
        let bias = writer.optional(self.bias);
        writer.map = false;
        writer.is(format!("torch.linear({x}, {w}, {bias})"))
    }
}

/// A linear layer at each position of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LinearAtEach(pub Linear);

impl Operation for LinearAtEach {
    fn facts(&self) -> Facts {
        Facts { order: Order::Keeps, by_symbol: true, ..self.0.facts() }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        self.0.of_each(pass, x)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        self.0.script(writer, x)
    }

    fn by_symbol(&self, maker: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        Some(Box::new(LinearBySymbol::new(&self.0, maker.params)))
    }
}

/// A linear layer of vectors `[B, D]`, with nothing to keep.
pub(in crate::nn) struct LinearBySymbol {
    pub weight: Tensor,
    bias: Option<Tensor>,
}

impl LinearBySymbol {
    pub fn new(linear: &Linear, params: &[Tensor]) -> Self {
        // A copy, whose address does not depend on the pack.
        let weight = linear.weight.effective(params, false).squeeze_dim(0).copy();
        Self { weight, bias: linear.bias.map(|index| params[index].view([1, -1])) }
    }

    pub fn of(&self, x: &Tensor) -> Tensor {
        match &self.bias {
            Some(bias) => bias.addmm(x, &self.weight),
            None => x.mm(&self.weight),
        }
    }
}

impl BySymbol for LinearBySymbol {
    fn next(&mut self, _: i64, _: Option<&[i64]>, x: &Tensor) -> Tensor {
        self.of(x)
    }
}
