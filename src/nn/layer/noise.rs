//! Layers that are random in training and nothing in evaluation.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Probability, Problem, bare_number, or_number};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::raster::{self, ByPixel};
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use crate::nn::spec::StdSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

bare_number!(DropoutSpec, rate, "a share from 0 to 1, or a table with `rate`");

/// Dropout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "DropoutSpec", transform = or_number)]
pub struct DropoutSpec {
    /// The share that is silenced; 0.5 by default.
    #[serde(default = "DropoutSpec::rate")]
    pub rate: Probability,
}

impl DropoutSpec {
    fn rate() -> Probability {
        Probability::of(0.5)
    }
}

impl Layer for arm::Dropout {
    type Spec = DropoutSpec;
    const TAG: &'static str = "dropout";
    const TAKES: Takes = Takes::Anything;

    fn facts(_: &DropoutSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan(spec: &DropoutSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        site.flow.unfold();
        site.push(Dropout(spec.rate.get()));
        Ok(())
    }
}

impl Layer for arm::GaussianNoise {
    type Spec = StdSpec;
    const TAG: &'static str = "gaussian-noise";
    const TAKES: Takes = Takes::VectorOrMap;

    fn facts(_: &StdSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan(spec: &StdSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        site.flow.unfold();
        site.push(GaussianNoise(spec.std.get()));
        Ok(())
    }
}

/// Silences this share of the numbers in training and scales the rest up.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Dropout(pub f64);

impl Operation for Dropout {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: true,
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
        Some(0)
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        if !pass.mode.train || self.0 <= 0.0 {
            return x.shallow_clone();
        }
        let drawn = pass.mode.noise.uniform(&x.size()[1..]);
        // If everything is silenced nothing is scaled up.
        let scale = if self.0 < 1.0 { 1.0 / (1.0 - self.0) } else { 0.0 };
        x * (drawn.ge(self.0).to_kind(x.kind()) * scale)
    }

    fn script(&self, _: &mut Writer<'_>, x: &str) -> String {
        x.to_owned()
    }

    fn by_pixel(&self, _: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        Some(Box::new(raster::Same))
    }

    fn by_symbol(&self, _: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        Some(Box::new(scribe::Same))
    }
}

/// Adds normal numbers of this deviation in training.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct GaussianNoise(pub f64);

impl Operation for GaussianNoise {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: true,
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
        Some(0)
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        if !pass.mode.train || self.0 <= 0.0 {
            return x.shallow_clone();
        }
        x + pass.mode.noise.normal(&x.size()[1..]) * self.0
    }

    fn script(&self, _: &mut Writer<'_>, x: &str) -> String {
        x.to_owned()
    }

    fn by_pixel(&self, _: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        Some(Box::new(raster::Same))
    }

    fn by_symbol(&self, _: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        Some(Box::new(scribe::Same))
    }
}
