//! Gated layers in two stacks (arXiv:1606.05328).

use super::masked_conv::{Causal, CausalByPixel, Kernel, MaskKind, odd};
use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::Problem;
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::grouped;
use crate::nn::raster::{self, ByPixel};
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// Gated layers in two stacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GatedStackSpec {
    /// Channels of each stack.
    pub channels: u32,
    /// Layers, with the first.
    pub layers: u32,
    /// The side of kernels after the first layer, an odd number from 3 on.
    #[serde(default = "GatedStackSpec::kernel")]
    pub kernel: u32,
    /// The side of the first kernel, an odd number from 3 on.
    #[serde(default = "GatedStackSpec::first")]
    pub first: u32,
}

impl GatedStackSpec {
    pub(in crate::nn) fn kernel() -> u32 {
        3
    }
    pub(in crate::nn) fn first() -> u32 {
        7
    }
}

impl Layer for arm::GatedStack {
    type Spec = GatedStackSpec;
    const TAG: &'static str = "gated-stack";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &GatedStackSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("channels", spec.channels), ("layers", spec.layers)], inner: None, label: false }
    }

    fn plan(spec: &GatedStackSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [inputs, height, width] = site.over_map()?;
        let layers = plan(spec, inputs, site)?;
        site.push(GatedStack(layers));
        site.flow.shape = vec![spec.channels as usize, height, width];
        Ok(())
    }
}

fn plan(spec: &GatedStackSpec, inputs: usize, site: &mut Site<'_>) -> Result<Vec<GatedLayer>, Problem> {
    let (channels, colors) = (spec.channels as usize, site.builder.colors);
    if !channels.is_multiple_of(colors) {
        let message = format!("the {colors} colors of the data do not divide {channels} channels");
        let help = "each color has channels of its own in both halves of a gate";
        return Err(Problem::at(site.key("channels"), message).with_help(help));
    }
    let sides = [odd(spec.first, 3, &site.key("first"))?, odd(spec.kernel, 3, &site.key("kernel"))?];
    let init = site.builder.init;
    let mut layers = Vec::new();
    for layer in 0..spec.layers as usize {
        let first = layer == 0;
        let (side, from) = if first { (sides[0], inputs) } else { (sides[1], channels) };
        let half = side / 2;
        // The first vertical kernel ends above the pixel's row; of features from rows above, that row may be seen.
        let height = half + usize::from(!first);
        let vertical = Kernel { height, width: side, up: half, left: half, mask: None, taps: height * side };
        let mask = if first { MaskKind::A } else { MaskKind::B };
        let width = half + 1;
        let taps = if first { half } else { width };
        let horizontal = Kernel { height: 1, width, up: 0, left: half, mask: Some(mask), taps };
        let mut conv = |part: &str, sides, kernel| {
            Causal::plan(site.builder, &format!("{}.{layer}.{part}", site.name), sides, kernel, init)
        };
        layers.push(GatedLayer {
            vertical: conv("vertical", (from, 2 * channels), vertical),
            across: conv("across", (2 * channels, 2 * channels), Kernel::point(None)),
            horizontal: conv("horizontal", (from, 2 * channels), horizontal),
            out: conv("out", (channels, channels), Kernel::point(Some(MaskKind::B))),
            residual: !first,
        });
    }
    Ok(layers)
}

/// A layer of two stacks: v, which knows the rows above, and h, which knows the row so far too.
#[derive(Clone, Debug, PartialEq)]
struct GatedLayer {
    vertical: Causal,
    /// From the vertical convolution to the horizontal one.
    across: Causal,
    horizontal: Causal,
    out: Causal,
    /// Whether what enters h is added to what leaves it.
    residual: bool,
}

/// Folded maps through a stack of gated layers.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct GatedStack(Vec<GatedLayer>);

impl Operation for GatedStack {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Hides,
            by_symbol: false,
            range: Range::Everything,
            weighs: true,
            moves: false,
            couples: false,
            one_by_one: false,
            statistics: false,
            labels: self.0.iter().any(|layer| layer.vertical.label.is_some() || layer.horizontal.label.is_some()),
        }
    }

    fn kept_by_pixel(&self, sides: [usize; 2]) -> Option<usize> {
        let convs = self.0.iter().flat_map(|layer| [&layer.vertical, &layer.horizontal]);
        convs.map(|conv| conv.kept_by_pixel(sides)).sum()
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let layers = &self.0;
        let (mut v, mut h) = (x.shallow_clone(), x.shallow_clone());
        for (i, layer) in layers.iter().enumerate() {
            let vertical = layer.vertical.convolve(pass, &v);
            let sum = layer.horizontal.convolve(pass, &h) + layer.across.convolve(pass, &vertical);
            let out = layer.out.convolve(pass, &gate(&sum, pass.runs));
            h = if layer.residual { out + h } else { out };
            if i + 1 < layers.len() {
                v = gate(&vertical, pass.runs);
            }
        }
        h
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let (mut v, mut h) = (x.to_owned(), x.to_owned());
        for layer in &self.0 {
            let p = writer.plan.params[layer.out.bias].shape[0];
            let gate = |x: &str| {
                let half = |at: usize| format!("torch.narrow({x}, 1, {at}, {p})");
                format!("torch.mul(torch.tanh({}), torch.sigmoid({}))", half(0), half(p))
            };
            let vertical = layer.vertical.script(writer, &v);
            let across = layer.across.script(writer, &vertical);
            let horizontal = layer.horizontal.script(writer, &h);
            let sum = writer.is(format!("torch.add({horizontal}, {across})"));
            v = writer.is(gate(&vertical));
            let gated = writer.is(gate(&sum));
            let out = layer.out.script(writer, &gated);
            h = if layer.residual { writer.is(format!("torch.add({out}, {h})")) } else { out };
        }
        h
    }

    fn by_pixel(&self, maker: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        let layer = |layer: &GatedLayer| LayerByPixel {
            vertical: CausalByPixel::new(&layer.vertical, maker),
            across: CausalByPixel::new(&layer.across, maker),
            horizontal: CausalByPixel::new(&layer.horizontal, maker),
            out: CausalByPixel::new(&layer.out, maker),
            residual: layer.residual,
            from_above: Tensor::new(),
        };
        Some(Box::new(StackByPixel(self.0.iter().map(layer).collect())))
    }
}

/// tanh of the first half of a run's channels times σ of the second: `[B, R·2p, …]` to `[B, R·p, …]`.
fn gate(x: &Tensor, runs: i64) -> Tensor {
    let size = x.size();
    let half = size[1] / runs / 2;
    // In pieces: the way back from these puts them together, that from parts fills a whole with zeros for each.
    if runs == 1 {
        let halves = x.split(half, 1);
        // Of a part of maps the CPU would take σ number by number, and tanh in as many calls as there are pixels.
        let are_maps = size.len() == 4 && x.device() == Device::Cpu;
        let whole = |x: &Tensor| if are_maps { grouped::channels_last(x) } else { x.shallow_clone() };
        return whole(&halves[0]).tanh() * whole(&halves[1]).sigmoid();
    }
    let halves = x.reshape([&[size[0], runs, 2, half], &size[2..]].concat()).unbind(2);
    (halves[0].tanh() * halves[1].sigmoid()).flatten(1, 2)
}

struct StackByPixel(Vec<LayerByPixel>);

struct LayerByPixel {
    vertical: CausalByPixel,
    across: CausalByPixel,
    horizontal: CausalByPixel,
    out: CausalByPixel,
    residual: bool,
    /// What the horizontal stack gets from the vertical one in this row, `[B, W, 2p]`.
    from_above: Tensor,
}

impl ByPixel for StackByPixel {
    fn begin_row(&mut self, row: i64) {
        let layers = &mut self.0;
        for i in 0..layers.len() {
            let vertical = layers[i].vertical.row(row);
            layers[i].from_above = vertical.matmul(&layers[i].across.weight) + layers[i].across.bias.unsqueeze(1);
            let Some(next) = layers.get(i + 1) else { return };
            let half = vertical.size()[2] / 2;
            let v = vertical.narrow(2, 0, half).tanh() * vertical.narrow(2, half, half).sigmoid();
            if let Some(map) = &next.vertical.map {
                let (up, left) = (next.vertical.up, next.vertical.left);
                map.select(1, row + up).narrow(1, left, v.size()[1]).copy_(&v);
            }
        }
    }

    fn at(&mut self, at: (i64, i64), x: &Tensor) -> Tensor {
        self.0.iter_mut().fold(x.shallow_clone(), |h, layer| {
            let sum = layer.horizontal.at(at, &h) + layer.from_above.select(1, at.1);
            let out = layer.out.at(at, &gate(&sum, 1));
            if layer.residual { out + h } else { out }
        })
    }

    fn settle(&mut self, at: (i64, i64), x: &Tensor) {
        if let Some(first) = self.0.first_mut() {
            first.vertical.keep(at, x);
            first.horizontal.keep(at, x);
        }
    }
}
