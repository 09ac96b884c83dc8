//! The label, appended to features or channels.

use super::{Facts, Layer, LayerFacts, LayerSpec, Operation, Order, Range, Takes, arm};
use crate::base::Problem;
use crate::nn::builder::{Flow, Site};
use crate::nn::forward::Pass;
use crate::nn::fused::Steps;
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Where and how the label enters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LabelSpec {
    /// What the one-hot label passes through first; nothing where empty.
    #[serde(default)]
    pub layers: Vec<LayerSpec>,
}

impl Layer for arm::Label {
    type Spec = LabelSpec;
    const TAG: &'static str = "label";
    const TAKES: Takes = Takes::VectorOrMap;

    fn facts(spec: &LabelSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: Some(("layers", &spec.layers)), label: true }
    }

    fn plan(spec: &LabelSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let classes = site.builder.classes;
        if classes == 0 {
            let help = "take labeled data, or leave the condition out";
            return Err(site.problem("a label is to be appended, but the data has no labels").with_help(help));
        }
        site.flow.unfold();
        let mut inner = Flow::new(vec![classes]);
        for (i, layer) in spec.layers.iter().enumerate() {
            let (name, path) = (format!("{}.{i}", site.name), format!("{}.label.layers.{i}", site.path));
            site.builder.layer(&mut inner, layer, &name, &path)?;
        }
        inner.unfold();
        match (site.flow.shape.as_slice(), inner.shape.as_slice()) {
            ([_], [_]) | ([_, _, _], [_]) => {}
            (&[_, h, w], &[_, inner_h, inner_w]) if (h, w) == (inner_h, inner_w) => {}
            (here, label) => {
                let text = format!("the label's layers end in {label:?}, which cannot be appended to {here:?}");
                let help = "end them in a vector, or in a map of the same height and width";
                return Err(site.problem(text).with_help(help));
            }
        }
        site.flow.shape[0] = site.flow.shape[0].saturating_add(inner.shape[0]);
        let steps = Steps::new(inner.steps, &site.builder.params);
        site.push(Label { steps, shape: inner.shape });
        Ok(())
    }
}

/// The one-hot label through `steps`, of shape `shape`, appended to the features or channels.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Label {
    steps: Steps,
    shape: Vec<usize>,
}

impl Operation for Label {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: false,
            range: Range::Everything,
            weighs: false,
            moves: false,
            labels: true,
            ..Facts::of(&self.steps)
        }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let label = pass.labels().shallow_clone();
        let label = pass.through(&self.steps, &label);
        let label = match (self.shape.as_slice(), x.size().as_slice()) {
            (&[n], &[runs, batch, _, height, width]) => {
                label.view([runs, batch, n as i64, 1, 1]).expand([runs, batch, n as i64, height, width], false)
            }
            _ => label,
        };
        Tensor::cat(&[x, &label], 2)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let onto_map = std::mem::replace(&mut writer.map, false);
        let one_hot = writer.one_hot();
        let one_hot = writer.is(one_hot);
        let mut label = writer.through(&self.steps, &one_hot);
        writer.map = onto_map;
        if let (true, [features]) = (onto_map, self.shape.as_slice()) {
            let n = writer.n();
            let sides = format!("torch.size({x}, 2), torch.size({x}, 3)");
            let one = writer.is(format!("torch.reshape({label}, [{n}, {features}, 1, 1])"));
            label = writer.is(format!("torch.expand({one}, [{n}, {features}, {sides}])"));
        }
        writer.is(format!("torch.cat([{x}, {label}], 1)"))
    }
}
