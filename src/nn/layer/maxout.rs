//! Maxout (arXiv:1302.4389).

use super::linear::Linear;
use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::Problem;
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::script::Writer;
use crate::nn::spec::InitSpec;
use crate::nn::weight::WeightNormSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A maxout layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaxoutSpec {
    /// Outputs.
    pub units: u32,
    /// Linear pieces an output.
    pub pieces: u32,
    /// How the weight begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSpec>,
}

impl Layer for arm::Maxout {
    type Spec = MaxoutSpec;
    const TAG: &'static str = "maxout";
    const TAKES: Takes = Takes::Vector;

    fn facts(spec: &MaxoutSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("units", spec.units), ("pieces", spec.pieces)], inner: None, label: false }
    }

    fn plan(spec: &MaxoutSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        site.flow.flatten();
        let (units, pieces) = (spec.units as usize, spec.pieces as usize);
        let sides = (site.flow.shape[0], units.saturating_mul(pieces));
        let linear = Linear::plan(site.builder, site.name, sides, true, spec.init, WeightNormSpec::Plain);
        site.push(Maxout { linear, pieces });
        site.flow.shape = vec![units];
        Ok(())
    }
}

/// The largest of each `pieces` neighbours of a linear layer: `[R, B, units·pieces]` to `[R, B, units]`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Maxout {
    pub linear: Linear,
    pub pieces: usize,
}

impl Operation for Maxout {
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
        let all = self.linear.of(pass, x);
        let (runs, batch, _) = all.size3().expect("maxout takes [runs, batch, features]");
        all.view([runs, batch, -1, self.pieces as i64]).max_dim(-1, false).0
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let pieces = self.pieces;
        let units = writer.plan.params[self.linear.weight.index].shape[1] / pieces;
        let all = self.linear.script(writer, x);
        let n = writer.n();
        writer.is(format!("torch.amax(torch.reshape({all}, [{n}, {units}, {pieces}]), [2])"))
    }
}
