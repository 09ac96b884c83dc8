//! One learned number among the features.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_number};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::init::ParamInit;
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

bare_number!(ParameterSpec, value, "the number that it begins at, or a table with `value`");

/// A learned number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "ParameterSpec", transform = or_number)]
pub struct ParameterSpec {
    /// Where it begins.
    pub value: f64,
}

impl Layer for arm::Parameter {
    type Spec = ParameterSpec;
    const TAG: &'static str = "parameter";
    const TAKES: Takes = Takes::Vector;

    fn facts(_: &ParameterSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan(spec: &ParameterSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        site.flow.flatten();
        let index = site.param("value", vec![1], ParamInit::Constant(spec.value));
        site.push(Prepend(index));
        site.flow.shape[0] = site.flow.shape[0].saturating_add(1);
        Ok(())
    }
}

/// Puts a parameter of one number before the features.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Prepend(pub usize);

impl Operation for Prepend {
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
        let value = pass.params[self.0].view([pass.runs, 1, 1]).expand([pass.runs, pass.batch, 1], false);
        Tensor::cat(&[&value, x], 2)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let value = writer.plain(self.0);
        let n = writer.n();
        let column = writer.is(format!("torch.expand(torch.reshape({value}, [1, 1]), [{n}, 1])"));
        writer.is(format!("torch.cat([{column}, {x}], 1)"))
    }
}
