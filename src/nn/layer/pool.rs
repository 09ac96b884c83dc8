//! Pooling over the whole map.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::Problem;
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// How a map becomes a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PoolKind {
    /// The mean over the map.
    #[default]
    Mean,
    /// The sum over the map.
    Sum,
}

/// Pooling over the whole map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GlobalPoolSpec {
    /// Mean or sum.
    #[serde(default)]
    pub by: PoolKind,
}

impl Layer for arm::GlobalPool {
    type Spec = GlobalPoolSpec;
    const TAG: &'static str = "global-pool";
    const TAKES: Takes = Takes::Map;

    fn facts(_: &GlobalPoolSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan(spec: &GlobalPoolSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [c, _, _] = site.map()?;
        site.flow.unfold();
        site.push(Pool(spec.by));
        site.flow.shape = vec![c];
        Ok(())
    }
}

/// Maps `[R, B, C, H, W]` to `[R, B, C]`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Pool(pub PoolKind);

impl Operation for Pool {
    fn facts(&self) -> Facts {
        let range = match self.0 {
            PoolKind::Mean => Range::Kept,
            PoolKind::Sum => Range::Everything,
        };
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range,
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
        match self.0 {
            PoolKind::Mean => x.mean_dim([3, 4].as_slice(), false, None),
            PoolKind::Sum => x.sum_dim_intlist([3, 4].as_slice(), false, None),
        }
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        writer.map = false;
        let by = match self.0 {
            PoolKind::Mean => "mean",
            PoolKind::Sum => "sum",
        };
        writer.is(format!("torch.{by}({x}, [2, 3])"))
    }
}
