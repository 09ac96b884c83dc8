//! Convolutions and transposed convolutions.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::Problem;
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::grouped;
use crate::nn::init::{Fans, ParamInit};
use crate::nn::script::Writer;
use crate::nn::spec::InitSpec;
use crate::nn::weight::{Weight, WeightNormSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConvSpec {
    /// Channels out.
    pub out: u32,
    /// The kernel's side.
    pub kernel: u32,
    /// Steps between kernel positions.
    #[serde(default = "ConvSpec::one")]
    pub stride: u32,
    /// Zeros added on each side.
    #[serde(default)]
    pub padding: u32,
    /// Rows and columns added at the end (transposed convolutions alone).
    #[serde(default)]
    pub output_padding: u32,
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
impl ConvSpec {
    fn one() -> u32 {
        1
    }
}

impl Layer for arm::Conv {
    type Spec = ConvSpec;
    const TAG: &'static str = "conv";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &ConvSpec) -> LayerFacts<'_> {
        LayerFacts {
            counts: vec![("out", spec.out), ("kernel", spec.kernel), ("stride", spec.stride)],
            inner: None,
            label: false,
        }
    }

    fn plan(spec: &ConvSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        plan(spec, false, site)
    }
}

impl Layer for arm::ConvTranspose {
    type Spec = ConvSpec;
    const TAG: &'static str = "conv-transpose";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &ConvSpec) -> LayerFacts<'_> {
        LayerFacts {
            counts: vec![("out", spec.out), ("kernel", spec.kernel), ("stride", spec.stride)],
            inner: None,
            label: false,
        }
    }

    fn plan(spec: &ConvSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        plan(spec, true, site)
    }
}

fn plan(spec: &ConvSpec, transposed: bool, site: &mut Site<'_>) -> Result<(), Problem> {
    let [channels, height, width] = site.over_map()?;
    let (out, kernel, stride) = (spec.out as usize, spec.kernel as usize, spec.stride as usize);
    let (padding, output_padding) = (spec.padding as usize, spec.output_padding as usize);
    if !transposed && output_padding != 0 {
        return Err(site.problem("only a transposed convolution has an output padding"));
    }
    if transposed && output_padding >= stride && output_padding != 0 {
        let text = format!("an output padding of {output_padding} is not below the stride of {stride}");
        return Err(site.problem(text));
    }
    let side = |side: usize| {
        if transposed {
            let reached = (side - 1).saturating_mul(stride).saturating_add(kernel + output_padding);
            reached.checked_sub(2 * padding).filter(|&side| side > 0)
        } else {
            (side + 2 * padding).checked_sub(kernel).map(|rest| rest / stride + 1)
        }
    };
    let (Some(high), Some(wide)) = (side(height), side(width)) else {
        let text = format!("a kernel of {kernel} with padding {padding} leaves nothing of a map of {height}×{width}");
        return Err(site.problem(text).with_help("take a smaller kernel, or fewer layers that halve the side"));
    };
    let area = kernel.saturating_mul(kernel);
    let (shape, outputs_at) =
        if transposed { (vec![channels, out, kernel, kernel], 1) } else { (vec![out, channels, kernel, kernel], 0) };
    // PyTorch computes fans from the first two dimensions of the weight, whichever way the layer goes.
    let fans = Fans { inputs: shape[1].saturating_mul(area), outputs: shape[0].saturating_mul(area) };
    let init = spec.init.unwrap_or(site.builder.init);
    let weight = Weight::plan(site.builder, site.name, shape, outputs_at, fans, (init, spec.weight));
    let bias = spec.bias.then(|| site.param("bias", vec![out], ParamInit::bias(init, fans)));
    site.push(Convolution { weight, bias, transposed, stride, padding, output_padding });
    site.flow.shape = vec![out, high, wide];
    Ok(())
}

/// A convolution, or transposed convolution, of folded maps.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Convolution {
    pub weight: Weight,
    pub bias: Option<usize>,
    pub transposed: bool,
    pub stride: usize,
    pub padding: usize,
    pub output_padding: usize,
}

impl Operation for Convolution {
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

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let w = self.weight.effective(pass.params, pass.mode.train);
        grouped::convolve(self, x, &w, self.bias.map(|i| &pass.params[i]))
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let shape = writer.plan.params[self.weight.index].shape.clone();
        let w = self.weight.evaluated(writer.plan, writer.numbers);
        let w = writer.named(self.weight.index, shape, w);
        let bias = writer.optional(self.bias);
        let [stride, padding, more] = [self.stride, self.padding, self.output_padding].map(|n| format!("[{n}, {n}]"));
        writer.is(if self.transposed {
            format!("torch.conv_transpose2d({x}, {w}, {bias}, {stride}, {padding}, {more}, 1, [1, 1])")
        } else {
            format!("torch.conv2d({x}, {w}, {bias}, {stride}, {padding}, [1, 1], 1)")
        })
    }
}
