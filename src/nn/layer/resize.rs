//! Maps that are enlarged or shrunk by a whole factor.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

bare_number!(FactorSpec, factor, "a whole factor, or a table with `factor`");

/// A whole factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "FactorSpec", transform = or_integer)]
pub struct FactorSpec {
    /// The factor; 2 by default.
    #[serde(default = "FactorSpec::factor")]
    pub factor: u32,
}

impl FactorSpec {
    fn factor() -> u32 {
        2
    }
}

impl Layer for arm::Upsample {
    type Spec = FactorSpec;
    const TAG: &'static str = "upsample";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &FactorSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("factor", spec.factor)], inner: None, label: false }
    }

    fn plan(spec: &FactorSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [c, h, w] = site.over_map()?;
        let factor = spec.factor as usize;
        site.push(Enlarge(factor));
        site.flow.shape = vec![c, h.saturating_mul(factor), w.saturating_mul(factor)];
        Ok(())
    }
}

impl Layer for arm::Downsample {
    type Spec = FactorSpec;
    const TAG: &'static str = "downsample";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &FactorSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("factor", spec.factor)], inner: None, label: false }
    }

    fn plan(spec: &FactorSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [c, h, w] = site.over_map()?;
        let factor = spec.factor as usize;
        if h % factor != 0 || w % factor != 0 {
            let text = format!("a map of {h}×{w} does not divide into patches of {factor}×{factor}");
            return Err(site.problem(text));
        }
        site.push(Shrink(factor));
        site.flow.shape = vec![c, h / factor, w / factor];
        Ok(())
    }
}

/// Each number as a square of so many on a side.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Enlarge(pub usize);

impl Operation for Enlarge {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range: Range::Kept,
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

    fn forward(&self, _: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let (_, _, height, width) = x.size4().expect("folded maps are [batch, channels, height, width]");
        let factor = self.0 as i64;
        x.upsample_nearest2d([height * factor, width * factor], None, None)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let factor = self.0;
        writer.is(format!("torch.upsample_nearest2d({x}, None, [{factor}.0, {factor}.0])"))
    }
}

/// Means over patches of so many on a side.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Shrink(pub usize);

impl Operation for Shrink {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range: Range::Kept,
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

    fn forward(&self, _: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let side = [self.0 as i64; 2];
        x.avg_pool2d(side, side, [0, 0], false, true, None)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let side = format!("[{0}, {0}]", self.0);
        writer.is(format!("torch.avg_pool2d({x}, {side}, {side}, [0, 0], False, True, None)"))
    }
}
