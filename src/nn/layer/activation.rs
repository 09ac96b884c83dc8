//! Functions of one number, from operations whose bits do not depend on where in a tensor a number lies.
//!
//! libtorch computes the body of a tensor with vector instructions and its tail one by one. For sigmoid, softplus, elu
//! and selu the two differ in the last bit, so a run would differ within a pack from what it is alone. exp, expm1, log1p,
//! tanh, relu and arithmetic are the same everywhere; everything here is made of these, and so are the derivatives: the
//! second ones too in a discriminator, which gradient penalties differentiate twice.

use super::{Facts, Layer, LayerFacts, LayerSpec, Operation, Order, Range, Takes, arm};
use crate::base::{NonNegative, Problem, bare_number, or_number};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::fused::Link;
use crate::nn::plan::Role;
use crate::nn::raster::{self, ByPixel};
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

bare_number!(SlopeSpec, slope, "a slope of 0 or more, or a table with `slope`");

/// A function applied to each number (maxout is a layer of its own).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum ActivationSpec {
    /// None.
    #[default]
    Linear,
    /// max(x, 0).
    Relu,
    /// x for x > 0, else slope·x.
    LeakyRelu(SlopeSpec),
    /// x for x > 0, else eˣ − 1.
    Elu,
    /// λ·elu with α (arXiv:1706.02515).
    Selu,
    /// log(1 + eˣ).
    Softplus,
    /// tanh x.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
}

/// The slope of a leaky relu.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "SlopeSpec", transform = or_number)]
pub struct SlopeSpec {
    /// For x < 0; 0.2 by default, as DCGAN has it.
    #[serde(default = "SlopeSpec::slope")]
    pub slope: NonNegative,
}

impl SlopeSpec {
    fn slope() -> NonNegative {
        NonNegative::of(0.2)
    }
}

impl Default for SlopeSpec {
    /// DCGAN's.
    fn default() -> Self {
        Self { slope: Self::slope() }
    }
}

/// A layer per activation: with its settings, if it has any, its tag, and itself.
macro_rules! activations {
    ($( $arm:ident($spec:ty) = $tag:literal => |$settings:pat_param| $activation:expr; )*) => { $(
        impl Layer for arm::$arm {
            type Spec = $spec;
            const TAG: &'static str = $tag;
            const TAKES: Takes = Takes::Anything;

            fn facts(_: &$spec) -> LayerFacts<'_> {
                LayerFacts { counts: vec![], inner: None, label: false }
            }

            fn plan($settings: &$spec, site: &mut Site<'_>) -> Result<(), Problem> {
                site.push(Activation($activation));
                Ok(())
            }
        }
    )* };
}

activations! {
    Relu(()) = "relu" => |()| ActivationSpec::Relu;
    LeakyRelu(SlopeSpec) = "leaky-relu" => |slope| ActivationSpec::LeakyRelu(*slope);
    Elu(()) = "elu" => |()| ActivationSpec::Elu;
    Selu(()) = "selu" => |()| ActivationSpec::Selu;
    Softplus(()) = "softplus" => |()| ActivationSpec::Softplus;
    Tanh(()) = "tanh" => |()| ActivationSpec::Tanh;
    Sigmoid(()) = "sigmoid" => |()| ActivationSpec::Sigmoid;
}

/// The constants of arXiv:1706.02515.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

impl ActivationSpec {
    /// The activation as a layer; none for `linear`.
    pub(in crate::nn) fn layer(self) -> Option<LayerSpec> {
        Some(match self {
            Self::Linear => return None,
            Self::Relu => LayerSpec::Relu,
            Self::LeakyRelu(spec) => LayerSpec::LeakyRelu(spec),
            Self::Elu => LayerSpec::Elu,
            Self::Selu => LayerSpec::Selu,
            Self::Softplus => LayerSpec::Softplus,
            Self::Tanh => LayerSpec::Tanh,
            Self::Sigmoid => LayerSpec::Sigmoid,
        })
    }

    /// The activation of every number, in the network of a player.
    pub(in crate::nn) fn of(self, x: &Tensor, role: Role) -> Tensor {
        match self {
            Self::Linear => x.shallow_clone(),
            Self::Relu => x.relu(),
            // tch's leaky_relu has a fixed slope. The backward formula, g for x > 0 and else slope·g, is the function itself
            // where g = x; with the condition detached, autograd differentiates it once and twice as it should.
            Self::LeakyRelu(spec) => x.detach().leaky_relu_backward(x, spec.slope.get(), false),
            Self::Elu => x.relu() + x.clamp_max(0.0).expm1(),
            Self::Selu => x.relu() * SELU_SCALE + x.clamp_max(0.0).expm1() * (SELU_SCALE * SELU_ALPHA),
            // The second derivative of log_sigmoid contains a sigmoid.
            Self::Softplus if role != Role::Discriminator => x.neg().log_sigmoid().neg(),
            Self::Softplus => softplus(x),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => (x * 0.5).tanh() * 0.5 + 0.5,
        }
    }

    /// What its values lie between.
    fn range(self) -> Range {
        match self {
            Self::Linear => Range::Kept,
            Self::LeakyRelu(_) => Range::Everything,
            Self::Relu | Self::Softplus => Range::Within(0.0, f32::INFINITY),
            Self::Elu => Range::Within(-1.0, f32::INFINITY),
            Self::Selu => Range::Within(-(SELU_SCALE * SELU_ALPHA) as f32, f32::INFINITY),
            Self::Tanh => Range::Within(-1.0, 1.0),
            Self::Sigmoid => Range::Within(0.0, 1.0),
        }
    }
}

/// log(1 + eˣ) = m + log(e^(x−m) + e^(−m)) with m = max(x, 0) held constant, whose derivatives are right to any order.
/// One of the two powers is 1, so they are summed as log1p wants them.
fn softplus(x: &Tensor) -> Tensor {
    let top = x.detach().relu();
    let rest = (-&top).expm1();
    ((x - &top).exp() + rest).log1p() + top
}

/// A function of each number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::nn) struct Activation(pub ActivationSpec);

impl Operation for Activation {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: true,
            range: self.0.range(),
            weighs: false,
            moves: false,
            couples: false,
            one_by_one: false,
            statistics: false,
            labels: false,
        }
    }

    fn link(&self) -> Link<'_> {
        Link::Activation(self.0)
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        Some(0)
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        self.0.of(x, pass.plan.role)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        match self.0 {
            ActivationSpec::Linear => x.to_owned(),
            ActivationSpec::Relu => writer.is(format!("torch.relu({x})")),
            ActivationSpec::LeakyRelu(spec) => writer.is(format!("torch.leaky_relu({x}, {:?})", spec.slope.get())),
            ActivationSpec::Elu => writer.is(format!("torch.elu({x})")),
            ActivationSpec::Selu => writer.is(format!("torch.selu({x})")),
            ActivationSpec::Softplus => writer.is(format!("torch.softplus({x})")),
            ActivationSpec::Tanh => writer.is(format!("torch.tanh({x})")),
            ActivationSpec::Sigmoid => writer.is(format!("torch.sigmoid({x})")),
        }
    }

    fn by_pixel(&self, _: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        Some(Box::new(*self))
    }

    fn by_symbol(&self, _: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        Some(Box::new(*self))
    }
}

impl ByPixel for Activation {
    fn at(&mut self, _: (i64, i64), x: &Tensor) -> Tensor {
        self.0.of(x, Role::Predictor)
    }
}

impl BySymbol for Activation {
    fn next(&mut self, _: i64, _: Option<&[i64]>, x: &Tensor) -> Tensor {
        self.0.of(x, Role::Predictor)
    }
}
