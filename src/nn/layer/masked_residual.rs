//! Residual blocks of masked convolutions (arXiv:1601.06759, figure 5).

use super::activation::{Activation, ActivationSpec};
use super::gated_stack::GatedStackSpec;
use super::masked_conv::{Causal, MaskKind, odd};
use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::fused::Steps;
use crate::nn::raster::{self, ByPixel};
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

bare_number!(MaskedResidualSpec, kernel, "the kernel's side, or a table with `kernel`");

/// A residual block of masked convolutions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "MaskedResidualSpec", transform = or_integer)]
pub struct MaskedResidualSpec {
    /// The side of the middle kernel, an odd number; 3 by default.
    #[serde(default = "GatedStackSpec::kernel")]
    pub kernel: u32,
}

impl Layer for arm::MaskedResidual {
    type Spec = MaskedResidualSpec;
    const TAG: &'static str = "masked-residual";
    const TAKES: Takes = Takes::Map;

    fn facts(_: &MaskedResidualSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan(spec: &MaskedResidualSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [channels, _, _] = site.over_map()?;
        let side = odd(spec.kernel, 1, &site.key("kernel"))?;
        let (half, init) = (channels.div_ceil(2), site.builder.init);
        let mut main = Vec::new();
        for (part, sides, side) in
            [("conv1", (channels, half), 1), ("conv2", (half, half), side), ("conv3", (half, channels), 1)]
        {
            main.push(Activation(ActivationSpec::Relu).into());
            let name = format!("{}.{part}", site.name);
            main.push(Causal::square(site.builder, &name, sides, side, MaskKind::B, init).into());
        }
        let main = Steps::new(main, &site.builder.params);
        site.push(MaskedResidual { main });
        Ok(())
    }
}

/// x + `main` of x, over pixels that see what came before.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct MaskedResidual {
    main: Steps,
}

impl Operation for MaskedResidual {
    fn facts(&self) -> Facts {
        Facts { range: Range::Everything, order: Order::Keeps, ..Facts::of(&self.main) }
    }

    fn kept_by_pixel(&self, sides: [usize; 2]) -> Option<usize> {
        self.main.iter().map(|step| step.kept_by_pixel(sides)).sum()
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        x + pass.through(&self.main, x)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let main = writer.through(&self.main, x);
        writer.is(format!("torch.add({main}, {x})"))
    }

    fn by_pixel(&self, maker: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        let main: Option<Vec<_>> = self.main.iter().map(|step| step.by_pixel(maker)).collect();
        Some(Box::new(MaskedResidualByPixel { main: main? }))
    }
}

struct MaskedResidualByPixel {
    main: Vec<Box<dyn ByPixel>>,
}

impl ByPixel for MaskedResidualByPixel {
    fn at(&mut self, at: (i64, i64), x: &Tensor) -> Tensor {
        let more = self.main.iter_mut().fold(x.shallow_clone(), |x, step| step.at(at, &x));
        x + more
    }
}
