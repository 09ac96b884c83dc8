//! Layers that give the same numbers another shape.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::Problem;
use crate::nn::builder::Site;
use crate::nn::count;
use crate::nn::forward::Pass;
use crate::nn::grouped;
use crate::nn::raster::{self, ByPixel};
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use tch::Tensor;

impl Layer for arm::Reshape {
    type Spec = Vec<u32>;
    const TAG: &'static str = "reshape";
    const TAKES: Takes = Takes::VectorOrMap;

    fn facts(spec: &Vec<u32>) -> LayerFacts<'_> {
        LayerFacts { counts: spec.contains(&0).then_some(("", 0)).into_iter().collect(), inner: None, label: false }
    }

    fn plan(spec: &Vec<u32>, site: &mut Site<'_>) -> Result<(), Problem> {
        let shape: Vec<usize> = spec.iter().map(|&n| n as usize).collect();
        if shape.len() != 1 && shape.len() != 3 {
            let help = "write [numbers] or [channels, height, width]; the batch is not counted";
            return Err(site.problem(format!("{shape:?} is neither a vector nor a map")).with_help(help));
        }
        let (came, wanted) = (count(&site.flow.shape), count(&shape));
        if came != wanted {
            let came = format!("{:?} ({came} numbers)", site.flow.shape);
            return Err(site
                .problem(format!("cannot reshape {came} to {shape:?} ({wanted} numbers)"))
                .with_help(format!("put {{ linear = {wanted} }} before it")));
        }
        site.flow.reshape(shape);
        Ok(())
    }
}

impl Layer for arm::Flatten {
    type Spec = ();
    const TAG: &'static str = "flatten";
    const TAKES: Takes = Takes::Vector;

    fn facts(_: &()) -> LayerFacts<'_> {
        LayerFacts { counts: vec![], inner: None, label: false }
    }

    fn plan((): &(), site: &mut Site<'_>) -> Result<(), Problem> {
        site.flow.flatten();
        Ok(())
    }
}

/// Another shape of the same numbers.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct View(pub Vec<usize>);

impl Operation for View {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Mixes,
            by_symbol: false,
            range: Range::Kept,
            weighs: false,
            moves: true,
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
        let mut whole = vec![pass.runs, pass.batch];
        whole.extend(self.0.iter().map(|&n| n as i64));
        x.reshape(whole)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        writer.map = self.0.len() == 3;
        let n = writer.n();
        let sides: Vec<String> = self.0.iter().map(usize::to_string).collect();
        writer.is(format!("torch.reshape({x}, [{n}, {}])", sides.join(", ")))
    }
}

/// `[R, B, C, H, W]` to `[B, R·C, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Fold;

impl Operation for Fold {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: true,
            range: Range::Kept,
            weighs: false,
            moves: true,
            couples: false,
            one_by_one: true,
            statistics: false,
            labels: false,
        }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        Some(0)
    }

    fn forward(&self, _: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        grouped::fold(x)
    }

    fn script(&self, _: &mut Writer<'_>, x: &str) -> String {
        // There is one run.
        x.to_owned()
    }

    fn by_pixel(&self, _: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        Some(Box::new(raster::Same))
    }

    fn by_symbol(&self, _: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        Some(Box::new(scribe::Same))
    }
}

/// `[B, R·C, H, W]` to `[R, B, C, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Unfold;

impl Operation for Unfold {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: true,
            range: Range::Kept,
            weighs: false,
            moves: true,
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
        grouped::unfold(x, pass.runs)
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
