//! Residual blocks (arXiv:1704.00028, 1802.05957).

use super::conv::ConvSpec;
use super::resize::FactorSpec;
use super::{Facts, Layer, LayerFacts, LayerSpec, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::fused::Steps;
use crate::nn::script::Writer;
use crate::nn::spec::NormSpec;
use crate::nn::weight::WeightNormSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

bare_number!(ResidualSpec, out, "the count of channels, or a table with `out`");

/// A residual block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "ResidualSpec", transform = or_integer)]
pub struct ResidualSpec {
    /// Channels out.
    pub out: u32,
    /// `up`: nearest ×2 before the first convolution; `down`: 2×2 mean after the second; `none`.
    #[serde(default)]
    pub resample: ResampleKind,
    /// Norm before each relu.
    #[serde(default)]
    pub norm: NormSpec,
    /// A reparameterization of the weights.
    #[serde(default)]
    pub weight: WeightNormSpec,
    /// The first block of a critic: no relu before the first convolution.
    #[serde(default)]
    pub first: bool,
}

/// Which way a residual block changes the side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResampleKind {
    /// The side stays.
    #[default]
    None,
    /// The side doubles.
    Up,
    /// The side halves.
    Down,
}

impl Layer for arm::Residual {
    type Spec = ResidualSpec;
    const TAG: &'static str = "residual";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &ResidualSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("out", spec.out)], inner: None, label: false }
    }

    fn plan(spec: &ResidualSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [channels, _, _] = site.over_map()?;
        let conv = |kernel: u32| {
            LayerSpec::Conv(ConvSpec {
                out: spec.out,
                kernel,
                stride: 1,
                padding: kernel / 2,
                output_padding: 0,
                bias: true,
                init: None,
                weight: spec.weight,
            })
        };
        let factor = FactorSpec { factor: 2 };
        let (up, down) = match spec.resample {
            ResampleKind::None => (None, None),
            ResampleKind::Up => (Some(("", LayerSpec::Upsample(factor))), None),
            ResampleKind::Down => (None, Some(("", LayerSpec::Downsample(factor)))),
        };
        // [norm] relu conv3 [norm] relu conv3.
        let mut main: Vec<(&str, LayerSpec)> = Vec::new();
        if !spec.first {
            main.extend(spec.norm.layer().map(|norm| ("norm1", norm)));
            main.push(("", LayerSpec::Relu));
        }
        main.extend(up.clone());
        main.push(("conv1", conv(3)));
        main.extend(spec.norm.layer().map(|norm| ("norm2", norm)));
        main.push(("", LayerSpec::Relu));
        main.push(("conv2", conv(3)));
        main.extend(down.clone());
        // A 1×1 convolution where the shape changes. It commutes with enlarging and with means over patches, so it runs where the
        // map is smaller.
        let mut shortcut: Vec<(&str, LayerSpec)> = Vec::new();
        if spec.resample != ResampleKind::None || spec.out as usize != channels {
            shortcut.extend(down);
            shortcut.push(("shortcut", conv(1)));
            shortcut.extend(up);
        }
        let [main, shortcut] = [main, shortcut].map(|layers| site.branch(&layers));
        let (main, shape) = main?;
        let (shortcut, _) = shortcut?;
        site.flow.shape = shape;
        site.push(Residual { main, shortcut });
        Ok(())
    }
}

/// The sum of two branches over folded maps.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Residual {
    main: Steps,
    shortcut: Steps,
}

impl Operation for Residual {
    fn facts(&self) -> Facts {
        let inner = Facts::of(&self.main).and(Facts::of(&self.shortcut));
        Facts { order: Order::Mixes, by_symbol: false, range: Range::Everything, weighs: true, moves: false, ..inner }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        pass.through(&self.main, x) + pass.through(&self.shortcut, x)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let main = writer.through(&self.main, x);
        let shortcut = writer.through(&self.shortcut, x);
        writer.is(format!("torch.add({main}, {shortcut})"))
    }
}
