//! A network that names the class of an example: the judge that class accuracy and features come from, and the baseline
//! that learns from labels alone.

use super::family::{Family, Surroundings, check_average, floats};
use super::{
    Batch, Cadence, Classify, Cx, Objective, Panel, PanelRequest, Product, Provides, RealDraw, Turn, ask, column,
    log_probabilities, mistakes,
};
use crate::base::{Array, Each, Probability, Problem};
use crate::data::DataInfo;
use crate::loss;
use crate::nn::plan::{Head, Role, Wiring};
use crate::player::{EmaSpec, Player};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// A network that names the class of an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierSpec {
    /// The share of the target that is spread evenly over all classes (arXiv:1512.00567, section 7).
    #[serde(default = "ClassifierSpec::label_smoothing")]
    pub label_smoothing: Each<Probability>,
    /// Averaged weights, used for evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}
impl ClassifierSpec {
    fn label_smoothing() -> Each<Probability> {
        Each::new(Probability::of(0.0))
    }
}

impl Family for ClassifierSpec {
    fn tag(&self) -> &'static str {
        "classifier"
    }

    fn players(&self) -> &'static [&'static str] {
        &["classifier"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        if info.classes < 2 {
            return Err(Problem::at("data", "a classifier needs data with labels of two or more classes")
                .with_help("take data with classes, or another algorithm"));
        }
        Ok(vec![Wiring {
            role: Role::Discriminator,
            input: info.shape.clone(),
            output: vec![info.classes],
            classes: 0,
            labels_at_input: false,
            head: Head::Plain,
        }])
    }

    fn products(&self) -> &'static [Product] {
        &[Product::Classes]
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(&["classifier"][..]).zip(self.ema.as_ref())
    }

    fn about(&self, _player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let mut facts =
            vec![("input", floats(&info.shape)), ("output", format!("{}, logits", floats(&[info.classes])))];
        facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
        facts
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        check_average("algorithm.classifier.ema", self.ema.as_ref(), around.steps).into_iter().collect()
    }
}

/// Cross-entropy for the runs of a pack.
pub struct Classifier {
    /// The share of the target that is spread over all classes, `[R]`.
    smoothing: Option<Tensor>,
    device: Device,
}

impl Classifier {
    /// The objective of a pack; `specs` has one entry a run.
    pub fn new(specs: &[&ClassifierSpec], device: Device) -> Self {
        let shares = || specs.iter().map(|spec| spec.label_smoothing.own().get());
        Self { smoothing: shares().any(|share| share > 0.0).then(|| column(shares(), device)), device }
    }
}

impl Objective for Classifier {
    fn turns(&self) -> &'static [Turn] {
        &[Turn { moves: &[0], cadence: Cadence::Once, real: RealDraw::Fresh }]
    }

    fn loss(&mut self, _turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let labels = batch.labels.as_ref().expect("`wirings` has checked that there are labels");
        let logits = cx.forward(0, &batch.x, None, &mut cx.noise()).out;
        let total = smoothed(&logits, labels, self.smoothing.as_ref());
        cx.record("classifier/loss", || total.shallow_clone());
        cx.record("classifier/accuracy", || {
            logits.argmax(-1, false).eq_tensor(labels).to_kind(Kind::Float).mean_dim(1i64, false, Kind::Float)
        });
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        vec!["classifier/loss", "classifier/accuracy"]
    }

    fn provides(&self) -> Provides<'_> {
        Provides { classes: Some(self), ..Provides::default() }
    }

    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        vec![mistakes(self, players, request)]
    }
}

/// (1 − share)·(−log p of the label) + share·(the mean of −log p over classes), a mean over the batch: `[R]`.
fn smoothed(logits: &Tensor, labels: &Tensor, share: Option<&Tensor>) -> Tensor {
    let sharp = loss::cross_entropy(logits, labels);
    let Some(share) = share else { return sharp };
    let spread = -logits.log_softmax(-1, Kind::Float).mean_dim([1i64, 2].as_slice(), false, Kind::Float);
    &sharp + (spread - &sharp) * share
}

impl Classify for Classifier {
    fn classify(&self, players: &[Player], x: &Array, averaged: bool) -> Vec<Array> {
        let mut answers = ask(&players[0], averaged, x, self.device);
        log_probabilities(&mut answers);
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /* torch 2.11, float64: x = tensor([[0.5,-1,2],[1.5,0.25,-0.75]]); y = tensor([2,1]);
    cross_entropy(x, y) = 0.9109919530321906, with label_smoothing=0.1 0.9818252863655239 */
    #[test]
    fn the_loss_is_that_of_pytorch_for_each_run() {
        let one = Tensor::from_slice(&[0.5f32, -1.0, 2.0, 1.5, 0.25, -0.75]).view([1, 2, 3]);
        let logits = Tensor::cat(&[&one, &one], 0);
        let labels = Tensor::from_slice(&[2i64, 1, 2, 1]).view([2, 2]);
        let close = |loss: Tensor, expected: [f64; 2]| {
            for (run, expected) in expected.into_iter().enumerate() {
                assert!((loss.double_value(&[run as i64]) - expected).abs() < 1e-6, "{loss}");
            }
        };
        close(smoothed(&logits, &labels, None), [0.910_991_953; 2]);
        let shares = Tensor::from_slice(&[0.0f32, 0.1]);
        close(smoothed(&logits, &labels, Some(&shares)), [0.910_991_953, 0.981_825_286]);
    }
}
