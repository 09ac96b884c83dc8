//! Convolutions that see what came before, in reading order (arXiv:1601.06759): all pixels at once, or one pixel after the other
//! from what the pixels before have left.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::Problem;
use crate::nn::builder::{Builder, Site};
use crate::nn::forward::Pass;
use crate::nn::init::{Fans, ParamInit};
use crate::nn::raster::{self, ByPixel};
use crate::nn::script::Writer;
use crate::nn::spec::InitSpec;
use crate::nn::{dense, grouped};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// A masked convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaskedConvSpec {
    /// Channels out.
    pub out: u32,
    /// The kernel's side, an odd number.
    pub kernel: u32,
    /// What it sees of the pixel itself.
    pub mask: MaskKind,
    /// How the weight begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSpec>,
}

/// What a masked convolution sees of the pixel itself. Channel i belongs to color i mod the count of colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaskKind {
    /// The colors before: for the first layer, which sees the image.
    A,
    /// The color too: for later layers, which see features.
    B,
}

impl Layer for arm::MaskedConv {
    type Spec = MaskedConvSpec;
    const TAG: &'static str = "masked-conv";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &MaskedConvSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("out", spec.out)], inner: None, label: false }
    }

    fn plan(spec: &MaskedConvSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [channels, height, width] = site.over_map()?;
        let side = odd(spec.kernel, 1, &site.key("kernel"))?;
        let (out, init) = (spec.out as usize, spec.init.unwrap_or(site.builder.init));
        let conv = Causal::square(site.builder, site.name, (channels, out), side, spec.mask, init);
        site.push(conv);
        site.flow.shape = vec![out, height, width];
        Ok(())
    }
}

/// The side of a kernel that has a middle.
pub(super) fn odd(side: u32, least: u32, path: &str) -> Result<usize, Problem> {
    if side % 2 == 1 && side >= least {
        return Ok(side as usize);
    }
    let message = format!("expected an odd number from {least} on, got {side}");
    Err(Problem::at(path, message).with_help("a masked kernel has a middle, which lies on the pixel"))
}

/// What a kernel covers, as [`Causal`] has it, and how many of its numbers an output sees.
pub(in crate::nn) struct Kernel {
    pub height: usize,
    pub width: usize,
    pub up: usize,
    pub left: usize,
    pub mask: Option<MaskKind>,
    pub taps: usize,
}

impl Kernel {
    /// One number, which meets the pixel itself.
    pub fn point(mask: Option<MaskKind>) -> Self {
        Self { height: 1, width: 1, up: 0, left: 0, mask, taps: 1 }
    }
}

/// A convolution over the pixels above and to the left, which the kernel alone holds: `[out, in, height, width]`. Its upper
/// left number meets the pixel `up` rows above and `left` columns before.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Causal {
    pub weight: usize,
    pub bias: usize,
    /// A bias per class, `[classes, out]`.
    pub label: Option<usize>,
    pub inputs: usize,
    pub height: usize,
    pub width: usize,
    pub up: usize,
    pub left: usize,
    /// What is seen of the pixel itself, which the last row of the kernel meets at `left`, and nothing behind it; `None`
    /// if the whole kernel is seen.
    pub mask: Option<MaskKind>,
    pub colors: usize,
}

impl Operation for Causal {
    fn facts(&self) -> Facts {
        let order = match self.mask {
            Some(MaskKind::A) => Order::Hides,
            Some(MaskKind::B) | None => Order::Keeps,
        };
        Facts {
            order,
            by_symbol: false,
            range: Range::Everything,
            weighs: true,
            moves: false,
            couples: false,
            one_by_one: false,
            statistics: false,
            labels: self.label.is_some(),
        }
    }

    fn kept_by_pixel(&self, [high, wide]: [usize; 2]) -> Option<usize> {
        Some(match self.height * self.width {
            1 => 0,
            _ => self.inputs.saturating_mul((high + self.up) * (wide + 2 * self.left)),
        })
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        self.convolve(pass, x)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let shape = writer.plan.params[self.weight].shape.clone();
        let mut w = writer.numbers[self.weight].clone();
        // Zeros where nothing is seen.
        for (at, value) in w.iter_mut().enumerate() {
            let (column, rest) = (at % self.width, at / self.width);
            let (row, rest) = (rest % self.height, rest / self.height);
            if !self.sees(rest / shape[1], rest % shape[1], row, column) {
                *value = 0.0;
            }
        }
        let w = writer.named(self.weight, shape, w);
        let bias = writer.plain(self.bias);
        let (up, left) = (self.up, self.left);
        let y = writer.is(format!("torch.conv2d({x}, {w}, {bias}, [1, 1], [{up}, {left}], [1, 1], 1)"));
        let high = writer.is(format!("torch.narrow({y}, 2, 0, torch.size({x}, 2))"));
        let y = writer.is(format!("torch.narrow({high}, 3, 0, torch.size({x}, 3))"));
        let Some(label) = self.label else { return y };
        let label = writer.plain(label);
        let one_hot = writer.one_hot();
        let own = writer.is(format!("torch.unsqueeze(torch.unsqueeze(torch.matmul({one_hot}, {label}), 2), 3)"));
        writer.is(format!("torch.add({y}, {own})"))
    }

    fn by_pixel(&self, maker: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        Some(Box::new(CausalByPixel::new(self, maker)))
    }
}

impl Causal {
    /// The parameters of a kernel with so many inputs and outputs. What an output sees counts as its fan, and not what a mask takes
    /// away.
    pub fn plan(
        builder: &mut Builder,
        name: &str,
        (inputs, outputs): (usize, usize),
        kernel: Kernel,
        init: InitSpec,
    ) -> Self {
        let Kernel { height, width, up, left, mask, taps } = kernel;
        let fans = Fans { inputs: inputs.saturating_mul(taps.max(1)), outputs: outputs.saturating_mul(taps.max(1)) };
        let shape = vec![outputs, inputs, height, width];
        let weight = builder.param(format!("{name}.weight"), shape, ParamInit::weight(init, fans, outputs));
        let bias = builder.param(format!("{name}.bias"), vec![outputs], ParamInit::bias(init, fans));
        // A 1×1 convolution only mixes what its neighbors know of the class.
        let classes = builder.classes;
        let label = (classes > 0 && height * width > 1).then(|| {
            let init = ParamInit::weight(init, Fans { inputs: classes, outputs }, classes);
            builder.param(format!("{name}.classes"), vec![classes, outputs], init)
        });
        Self { weight, bias, label, inputs, height, width, up, left, mask, colors: builder.colors }
    }

    /// A square kernel of which the part that is seen is stored: the rows above, and the row of the pixel.
    pub fn square(
        builder: &mut Builder,
        name: &str,
        sides: (usize, usize),
        side: usize,
        mask: MaskKind,
        init: InitSpec,
    ) -> Self {
        let half = side / 2;
        let taps = side * half + half + usize::from(mask == MaskKind::B);
        let kernel = Kernel { height: half + 1, width: side, up: half, left: half, mask: Some(mask), taps };
        Self::plan(builder, name, sides, kernel, init)
    }

    /// Whether an output sees an input at a row and column of the kernel.
    fn sees(&self, output: usize, input: usize, row: usize, column: usize) -> bool {
        let Some(mask) = self.mask else { return true };
        let (from, to) = (input % self.colors, output % self.colors);
        row + 1 < self.height
            || column < self.left
            || column == self.left && (from < to || from == to && mask == MaskKind::B)
    }

    /// Folded maps `[B, R·C, H, W]` through it.
    ///
    /// The kernel is filled up with zeros to one that is as high above its middle as below, so that what comes out is as large as
    /// what went in: the zeros cost less than cutting off what is too much, and on the way back putting zeros there.
    pub fn convolve(&self, pass: &Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let (params, runs) = (pass.params, pass.runs);
        let w = self.masked(&params[self.weight]).flatten(0, 1);
        let (below, beyond) = (2 * self.up + 1 - self.height, 2 * self.left + 1 - self.width);
        let w = if below + beyond > 0 { w.constant_pad_nd([0, beyond as i64, 0, below as i64]) } else { w };
        let lies_so = runs == 1 && w.device() == Device::Cpu;
        let w = if lies_so { grouped::channels_last(&w) } else { w };
        let bias = grouped::channels(&params[self.bias]);
        let (stride, padding) = ([1, 1], [self.up as i64, self.left as i64]);
        let y = x.conv2d(&w, Some(bias), stride, padding, [1, 1], runs);
        // The layout of one channel is ambiguous, so that libtorch has to be told that of the next ones.
        let y = if lies_so && x.size()[1] == 1 { grouped::channels_last(&y) } else { y };
        match self.class_bias(params, pass.one_hot) {
            Some(own) => y + own.transpose(0, 1).flatten(1, 2).unsqueeze(-1).unsqueeze(-1),
            None => y,
        }
    }

    /// Each example's bias of its class, `[R, B, O]`.
    fn class_bias(&self, params: &[Tensor], one_hot: Option<&Tensor>) -> Option<Tensor> {
        let own = &params[self.label?];
        Some(dense::product(one_hot.expect("a network that reads labels is given labels"), own, None))
    }

    /// The weight `[R, O, I, h, w]` with zeros where it sees nothing.
    fn masked(&self, weight: &Tensor) -> Tensor {
        if self.mask.is_none() {
            return weight.shallow_clone();
        }
        let size = weight.size();
        let [outputs, inputs] = [size[1] as usize, size[2] as usize];
        let mut seen = Vec::with_capacity(outputs * inputs * self.height * self.width);
        for output in 0..outputs {
            for input in 0..inputs {
                for row in 0..self.height {
                    let sees = |column| f32::from(u8::from(self.sees(output, input, row, column)));
                    seen.extend((0..self.width).map(sees));
                }
            }
        }
        weight * Tensor::from_slice(&seen).view(&size[1..]).to_device(weight.device())
    }
}

/// A convolution with the map that entered so far.
pub(super) struct CausalByPixel {
    pub height: i64,
    pub width: i64,
    pub up: i64,
    pub left: i64,
    /// What entered, with its border of zeros, the channels of a pixel together: `[B, H + up, W + 2·left, I]`; nothing for
    /// kernels of 1×1.
    pub map: Option<Tensor>,
    /// `[h·w·I, O]`, in the order of the map.
    pub weight: Tensor,
    /// `[1, O]`, or `[B, O]` with labels.
    pub bias: Tensor,
}

impl CausalByPixel {
    pub fn new(conv: &Causal, maker: &raster::Maker<'_>) -> Self {
        let weight = conv.masked(&maker.params[conv.weight]).squeeze_dim(0);
        let (outputs, inputs, height, width) = weight.size4().expect("a kernel is [out, in, height, width]");
        let (up, left) = (conv.up as i64, conv.left as i64);
        let border = [maker.batch, maker.sides[0] + up, maker.sides[1] + 2 * left, inputs];
        let bias = maker.params[conv.bias].view([1, outputs]);
        let own = conv.class_bias(maker.params, maker.one_hot);
        Self {
            height,
            width,
            up,
            left,
            map: (height * width > 1).then(|| Tensor::zeros(border, (Kind::Float, weight.device()))),
            // A copy, whose address does not depend on the pack.
            weight: weight.permute([2, 3, 1, 0]).reshape([height * width * inputs, outputs]).copy(),
            bias: own.map_or_else(|| bias.shallow_clone(), |own| own.squeeze_dim(0) + &bias),
        }
    }

    /// Writes what enters at a pixel, `[B, I]`.
    pub fn keep(&mut self, (row, column): (i64, i64), x: &Tensor) {
        if let Some(map) = &self.map {
            map.select(1, row + self.up).select(1, column + self.left).copy_(x);
        }
    }

    /// The outputs of a row from what is kept, `[B, W, O]`.
    pub fn row(&self, row: i64) -> Tensor {
        let map = self.map.as_ref().expect("a vertical kernel is more than 1×1");
        let rows = map.narrow(1, row, self.height);
        // Every window of the kernel's width: [B, h, W, I, w] in the end.
        let windows = rows.unfold(2, self.width, 1).permute([0, 2, 1, 4, 3]);
        let (batch, columns) = (windows.size()[0], windows.size()[1]);
        let flat = windows.reshape([batch, columns, -1]);
        flat.matmul(&self.weight) + self.bias.unsqueeze(1)
    }
}

impl ByPixel for CausalByPixel {
    fn at(&mut self, at @ (row, column): (i64, i64), x: &Tensor) -> Tensor {
        self.keep(at, x);
        match &self.map {
            None => self.bias.addmm(x, &self.weight),
            Some(map) => {
                let seen = map.narrow(1, row, self.height).narrow(2, column, self.width);
                self.bias.addmm(&seen.reshape([x.size()[0], -1]), &self.weight)
            }
        }
    }

    fn settle(&mut self, at: (i64, i64), x: &Tensor) {
        self.keep(at, x);
    }
}
