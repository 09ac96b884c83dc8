//! Convolutions over what came before, in reading order: all pixels at once, or one pixel after the other from what the
//! pixels before have left.
//!
//! Papers: arXiv:1601.06759 (masks, LSTMs over maps), arXiv:1606.05328 (two stacks of gated layers).

use super::activation::activate;
use super::pixelrnn::{self, KeptStates};
use super::plan::{Causal, GatedLayer, MapLstm, NetworkPlan, Role, Step};
use super::spec::ActivationSpec;
use super::{dense, image};
use tch::{Device, Kind, Tensor};

/// Folded maps `[B, R·C, H, W]` through a causal convolution.
///
/// The kernel is filled up with zeros to one that is as high above its middle as below, so that what comes out is as large as
/// what went in: the zeros cost less than cutting off what is too much, and on the way back putting zeros in its place.
pub(super) fn convolve(conv: &Causal, x: &Tensor, params: &[Tensor], one_hot: Option<&Tensor>, runs: i64) -> Tensor {
    let w = masked(conv, &params[conv.weight]).flatten(0, 1);
    let (below, beyond) = (2 * conv.up + 1 - conv.height, 2 * conv.left + 1 - conv.width);
    let w = if below + beyond > 0 { w.constant_pad_nd([0, beyond as i64, 0, below as i64]) } else { w };
    let lies_so = runs == 1 && w.device() == Device::Cpu;
    let w = if lies_so { image::channels_last(&w) } else { w };
    let bias = image::channels(&params[conv.bias]);
    let (stride, padding) = ([1, 1], [conv.up as i64, conv.left as i64]);
    let y = x.conv2d(&w, Some(bias), stride, padding, [1, 1], runs);
    // Of one channel nobody can tell how it lies, so that libtorch has to be told how the next ones should.
    let y = if lies_so && x.size()[1] == 1 { image::channels_last(&y) } else { y };
    match label(conv, params, one_hot) {
        Some(own) => y + own.transpose(0, 1).flatten(1, 2).unsqueeze(-1).unsqueeze(-1),
        None => y,
    }
}

/// Each example's bias of its class, `[R, B, O]`.
fn label(conv: &Causal, params: &[Tensor], one_hot: Option<&Tensor>) -> Option<Tensor> {
    let own = &params[conv.label?];
    Some(dense::product(one_hot.expect("a network that looks at labels is given labels"), own, None))
}

/// The weight `[R, O, I, h, w]` with zeros where it sees nothing.
fn masked(conv: &Causal, weight: &Tensor) -> Tensor {
    if conv.mask.is_none() {
        return weight.shallow_clone();
    }
    let size = weight.size();
    let [outputs, inputs] = [size[1] as usize, size[2] as usize];
    let mut seen = Vec::with_capacity(outputs * inputs * conv.height * conv.width);
    for output in 0..outputs {
        for input in 0..inputs {
            for row in 0..conv.height {
                seen.extend((0..conv.width).map(|column| f32::from(u8::from(conv.sees(output, input, row, column)))));
            }
        }
    }
    weight * Tensor::from_slice(&seen).view(&size[1..]).to_device(weight.device())
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
        let whole = |x: &Tensor| if are_maps { image::channels_last(x) } else { x.shallow_clone() };
        return whole(&halves[0]).tanh() * whole(&halves[1]).sigmoid();
    }
    let halves = x.reshape([&[size[0], runs, 2, half], &size[2..]].concat()).unbind(2);
    (halves[0].tanh() * halves[1].sigmoid()).flatten(1, 2)
}

/// Folded maps through a stack of gated layers.
pub(super) fn gated(
    layers: &[GatedLayer],
    x: &Tensor,
    params: &[Tensor],
    one_hot: Option<&Tensor>,
    runs: i64,
) -> Tensor {
    let (mut v, mut h) = (x.shallow_clone(), x.shallow_clone());
    for (i, layer) in layers.iter().enumerate() {
        let through = |conv: &Causal, x: &Tensor| convolve(conv, x, params, one_hot, runs);
        let vertical = through(&layer.vertical, &v);
        let sum = through(&layer.horizontal, &h) + through(&layer.across, &vertical);
        let out = through(&layer.out, &gate(&sum, runs));
        h = if layer.residual { out + h } else { out };
        if i + 1 < layers.len() {
            v = gate(&vertical, runs);
        }
    }
    h
}

/// Folded maps and what an LSTM over them adds.
pub(super) fn recurrent(layer: &MapLstm, x: &Tensor, params: &[Tensor], one_hot: Option<&Tensor>, runs: i64) -> Tensor {
    let through = |conv: &Causal, x: &Tensor| convolve(conv, x, params, one_hot, runs);
    let gates: Vec<Tensor> = layer.passes.iter().map(|pass| through(&pass.from_input, x)).collect();
    x + through(&layer.out, &pixelrnn::states(layer, &gates, params, runs))
}

/// A network whose order is right ([`NetworkPlan::check_order`]), asked for one pixel after the other: what earlier pixels
/// left is kept, so that a pixel costs one pixel's work and not a whole image's.
///
/// For each row in order [`Self::begin_row`], for each of its pixels [`Self::see`] as often as there are colors, then
/// [`Self::settle`].
pub struct Raster {
    nodes: Vec<Node>,
    /// The place of the next pixel.
    at: (i64, i64),
    batch: i64,
}

/// A layer that keeps what entered it.
enum Node {
    Conv(Kept),
    Activation(ActivationSpec),
    Masked(Vec<Node>),
    Gated(Vec<KeptLayer>),
    Lstm(KeptLstm),
}

/// A convolution with the map that entered so far.
struct Kept {
    height: i64,
    width: i64,
    up: i64,
    left: i64,
    /// What entered, with its border of zeros, the channels of a place together: `[B, H + up, W + 2·left, I]`; nothing for
    /// kernels of 1×1.
    map: Option<Tensor>,
    /// `[h·w·I, O]`, as places of the map lie.
    weight: Tensor,
    /// `[1, O]`, or `[B, O]` with labels.
    bias: Tensor,
}

struct KeptLayer {
    vertical: Kept,
    across: Kept,
    horizontal: Kept,
    out: Kept,
    residual: bool,
    /// What the vertical stack says to this row of the horizontal one, `[B, W, 2p]`.
    said: Tensor,
}

struct KeptLstm {
    from_input: Vec<Kept>,
    states: KeptStates,
    out: Kept,
}

impl Raster {
    /// For `batch` images of a run, whose parameters are `[1, …]`, each with a label where the network takes some.
    pub fn new(plan: &NetworkPlan, params: &[Tensor], batch: i64, labels: Option<&Tensor>) -> Self {
        let one_hot = labels.filter(|_| plan.takes_labels()).map(|labels| {
            let classes = Tensor::arange(plan.classes as i64, (Kind::Int64, labels.device()));
            labels.view([1, -1, 1]).eq_tensor(&classes).to_kind(Kind::Float)
        });
        let sides = [plan.input[1] as i64, plan.input[2] as i64];
        let maker = Maker { params, one_hot: one_hot.as_ref(), batch, sides };
        Self { nodes: maker.nodes(&plan.steps), at: (0, 0), batch }
    }

    /// Goes on to this row; all rows above are settled.
    pub fn begin_row(&mut self, row: usize) {
        self.at = (row as i64, 0);
        for node in &mut self.nodes {
            match node {
                Node::Gated(layers) => begin_row(layers, row as i64),
                Node::Lstm(layer) => layer.states.begin_row(row as i64),
                _ => {}
            }
        }
    }

    /// What the network says of the pixel at this column, `[B, O]`, of which the colors so far are `[B, C]`: the others
    /// may be anything.
    pub fn see(&mut self, column: usize, pixel: &Tensor) -> Tensor {
        self.at.1 = column as i64;
        through(&mut self.nodes, pixel.shallow_clone(), self.at)
    }

    /// Takes the pixel at this column as it is in the end, `[B, C]`.
    pub fn settle(&mut self, column: usize, pixel: &Tensor) {
        let at = (self.at.0, column as i64);
        debug_assert_eq!(pixel.size()[0], self.batch, "a pixel an image");
        match self.nodes.first_mut() {
            Some(Node::Conv(conv)) => conv.keep(at, pixel),
            Some(Node::Gated(layers)) => {
                if let Some(first) = layers.first_mut() {
                    first.vertical.keep(at, pixel);
                    first.horizontal.keep(at, pixel);
                }
            }
            _ => {}
        }
    }
}

struct Maker<'a> {
    params: &'a [Tensor],
    one_hot: Option<&'a Tensor>,
    batch: i64,
    sides: [i64; 2],
}

impl Maker<'_> {
    fn nodes(&self, steps: &[Step]) -> Vec<Node> {
        let node = |step: &Step| match step {
            Step::Causal(conv) => Some(Node::Conv(self.conv(conv))),
            Step::Activation(activation) => Some(Node::Activation(*activation)),
            Step::Masked { main } => Some(Node::Masked(self.nodes(main))),
            Step::Gated(layers) => Some(Node::Gated(layers.iter().map(|layer| self.layer(layer)).collect())),
            Step::MapLstm(layer) => Some(Node::Lstm(KeptLstm {
                from_input: layer.passes.iter().map(|pass| self.conv(&pass.from_input)).collect(),
                states: KeptStates::new(layer, self.params, self.batch, self.sides[1]),
                out: self.conv(&layer.out),
            })),
            // Fold and unfold, and dropout, which is for training.
            _ => None,
        };
        steps.iter().filter_map(node).collect()
    }

    fn layer(&self, layer: &GatedLayer) -> KeptLayer {
        KeptLayer {
            vertical: self.conv(&layer.vertical),
            across: self.conv(&layer.across),
            horizontal: self.conv(&layer.horizontal),
            out: self.conv(&layer.out),
            residual: layer.residual,
            said: Tensor::new(),
        }
    }

    fn conv(&self, conv: &Causal) -> Kept {
        let weight = masked(conv, &self.params[conv.weight]).squeeze_dim(0);
        let (outputs, inputs, height, width) = weight.size4().expect("a kernel is [out, in, height, width]");
        let (up, left) = (conv.up as i64, conv.left as i64);
        let border = [self.batch, self.sides[0] + up, self.sides[1] + 2 * left, inputs];
        let bias = self.params[conv.bias].view([1, outputs]);
        let own = conv.label.and_then(|_| label(conv, self.params, self.one_hot));
        Kept {
            height,
            width,
            up,
            left,
            map: (height * width > 1).then(|| Tensor::zeros(border, (Kind::Float, weight.device()))),
            // A copy, whose place in memory does not depend on the pack.
            weight: weight.permute([2, 3, 1, 0]).reshape([height * width * inputs, outputs]).copy(),
            bias: own.map_or_else(|| bias.shallow_clone(), |own| own.squeeze_dim(0) + &bias),
        }
    }
}

impl Kept {
    /// Writes what enters at a place, `[B, I]`.
    fn keep(&mut self, (row, column): (i64, i64), x: &Tensor) {
        if let Some(map) = &self.map {
            map.select(1, row + self.up).select(1, column + self.left).copy_(x);
        }
    }

    /// The output at a place, `[B, O]`, from what is kept and what enters there.
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

    /// The outputs of a row from what is kept, `[B, W, O]`.
    fn row(&self, row: i64) -> Tensor {
        let map = self.map.as_ref().expect("a vertical kernel is more than 1×1");
        let rows = map.narrow(1, row, self.height);
        // Every window of the kernel's width: [B, h, W, I, w] in the end.
        let windows = rows.unfold(2, self.width, 1).permute([0, 2, 1, 4, 3]);
        let (batch, places) = (windows.size()[0], windows.size()[1]);
        let flat = windows.reshape([batch, places, -1]);
        flat.matmul(&self.weight) + self.bias.unsqueeze(1)
    }
}

fn begin_row(layers: &mut [KeptLayer], row: i64) {
    for i in 0..layers.len() {
        let said = layers[i].vertical.row(row);
        layers[i].said = said.matmul(&layers[i].across.weight) + layers[i].across.bias.unsqueeze(1);
        let Some(next) = layers.get(i + 1) else { return };
        let half = said.size()[2] / 2;
        let v = said.narrow(2, 0, half).tanh() * said.narrow(2, half, half).sigmoid();
        if let Some(map) = &next.vertical.map {
            let (up, left) = (next.vertical.up, next.vertical.left);
            map.select(1, row + up).narrow(1, left, v.size()[1]).copy_(&v);
        }
    }
}

fn through(nodes: &mut [Node], x: Tensor, at: (i64, i64)) -> Tensor {
    nodes.iter_mut().fold(x, |x, node| match node {
        Node::Conv(conv) => conv.at(at, &x),
        Node::Activation(activation) => activate(&x, *activation, Role::Predictor),
        Node::Masked(main) => {
            let more = through(main, x.shallow_clone(), at);
            x + more
        }
        Node::Gated(layers) => layers.iter_mut().fold(x, |h, layer| {
            let sum = layer.horizontal.at(at, &h) + layer.said.select(1, at.1);
            let out = layer.out.at(at, &gate(&sum, 1));
            if layer.residual { out + h } else { out }
        }),
        Node::Lstm(layer) => {
            let gates: Vec<Tensor> = layer.from_input.iter_mut().map(|conv| conv.at(at, &x)).collect();
            let state = layer.states.at(at.1, &gates);
            x + layer.out.at(at, &state)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Wiring;
    use crate::nn::trial::{Pack, generator, inputs, numbers, pack, planned, said};

    const LEVELS: usize = 2;

    fn predictor(shape: [usize; 3], classes: usize) -> Wiring {
        let output = [LEVELS * shape[0], shape[1], shape[2]];
        Wiring { role: Role::Predictor, input: shape.to_vec(), classes, ..generator(1, &output) }
    }

    const PLAIN: &str = "{ pixelcnn = { channels = 12, layers = 5, head = 12 } }";
    const GATED: &str = "{ pixelcnn = { channels = 12, layers = 5, head = 12, gated = true } }";
    const ROWS: &str = "{ row-lstm = { hidden = 12, layers = 2, head = 12 } }";
    const DIAGONALS: &str = "{ diagonal-bilstm = { hidden = 12, layers = 2, head = 12 } }";
    const NETWORKS: [&str; 4] = [PLAIN, GATED, ROWS, DIAGONALS];

    /// How often an output at a pixel and color depends on each input: what its slope by the image is not zero at, for
    /// several random networks together, since a relu may hide what it sees.
    fn seen(plan: &NetworkPlan, (color, row, column): (usize, i64, i64)) -> Vec<bool> {
        let colors = plan.input[0] as i64;
        let mut all = vec![false; plan.input.iter().product()];
        for seed in 1..8 {
            let params = pack(plan, &[seed]).params;
            let x = inputs(&[seed], 1, &plan.input).set_requires_grad(true);
            let out = said(plan, &params, &x, None, &[seed], true, false).out;
            let (_, _, channels, _, _) = out.size5().expect("[R, B, channels, H, W]");
            for channel in (0..channels).filter(|channel| channel % colors == color as i64) {
                let one = out.narrow(2, channel, 1).narrow(3, row, 1).narrow(4, column, 1).sum(Kind::Float);
                let slope = Tensor::run_backward(&[&one], &[&x], true, false).pop().expect("one gradient");
                numbers(&slope).iter().zip(&mut all).for_each(|(slope, seen)| *seen |= *slope != 0.0);
            }
        }
        all
    }

    #[test]
    fn no_number_sees_itself_or_a_later_one() {
        for network in NETWORKS {
            for colors in [1, 3] {
                let plan = planned(network, &predictor([colors, 5, 6], 0)).expect("it fits");
                plan.check_order().expect("its order is right");
                for (color, row, column) in
                    [(0, 0, 0), (colors - 1, 0, 3), (0, 2, 0), (colors - 1, 3, 2), (1 % colors, 4, 5)]
                {
                    let seen = seen(&plan, (color, row as i64, column as i64));
                    let later = (0..seen.len()).filter(|&at| {
                        let (c, place) = (at / 30, at % 30);
                        seen[at] && (place, c) >= (row * 6 + column, color)
                    });
                    assert_eq!(later.count(), 0, "{network}, {colors} colors: {color} at {row}, {column}");
                    // The colors before, of the pixel itself.
                    let here = (0..color).filter(|c| seen[c * 30 + row * 6 + column]).count();
                    assert_eq!(here, color, "{network}, {colors} colors: {color} at {row}, {column}");
                }
            }
        }
    }

    /// By gradients in another implementation, on 8×8 images with a first kernel of 7×7: of 42 pixels before (5, 2) the plain
    /// network, with five blocks, sees 39, as one layer of Row LSTM does; one of Diagonal BiLSTM misses the last of the row
    /// before, which is masked at its own place and from which on there are only columns beyond the first kernel.
    #[test]
    fn the_plain_network_has_a_blind_spot_and_the_gated_one_has_none() {
        let count = |network: &str| {
            let plan = planned(network, &predictor([1, 8, 8], 0)).expect("it fits");
            seen(&plan, (0, 5, 2)).iter().filter(|seen| **seen).count()
        };
        let one = |network: &str| count(&network.replace("layers = 2, ", ""));
        assert_eq!((count(PLAIN), count(GATED), one(ROWS), one(DIAGONALS)), (39, 42, 39, 41));
    }

    #[test]
    fn pixel_by_pixel_a_network_says_what_it_says_of_whole_images() {
        tch::set_num_threads(1);
        let _guard = tch::no_grad_guard();
        for (network, (colors, classes)) in NETWORKS.into_iter().flat_map(|one| [(one, (1, 0)), (one, (3, 4))]) {
            let plan = planned(network, &predictor([colors, 6, 5], classes)).expect("it fits");
            let Pack { params, .. } = pack(&plan, &[3]);
            let x = inputs(&[3], 4, &plan.input);
            let labels = (classes > 0).then(|| Tensor::from_slice(&[0i64, 3, 1, 1]));
            let of_run = labels.as_ref().map(|labels| labels.unsqueeze(0));
            let whole = said(&plan, &params, &x, of_run.as_ref(), &[3], false, false).out;
            let mut raster = Raster::new(&plan, &params, 4, labels.as_ref());
            for row in 0..6 {
                raster.begin_row(row);
                for column in 0..5 {
                    let pixel = x.select(0, 0).select(2, row as i64).select(2, column as i64);
                    for color in 0..colors as i64 {
                        // What is not known yet is wrong on purpose.
                        let known = pixel.copy();
                        let _unknown = known.narrow(1, color, colors as i64 - color).fill_(7.0);
                        let found = raster.see(column, &known);
                        for level in 0..LEVELS as i64 {
                            let channel = level * colors as i64 + color;
                            let expected =
                                whole.select(0, 0).select(1, channel).select(1, row as i64).select(1, column as i64);
                            let far = (found.select(1, channel) - expected).abs().max().double_value(&[]);
                            assert!(far < 1e-5, "{network}, color {color} at {row}, {column}: {far}");
                        }
                    }
                    raster.settle(column, &pixel);
                }
            }
        }
    }

    #[test]
    fn layers_in_a_wrong_order_are_noticed() {
        let order = |layers: &str| {
            planned(&format!("{{ layers = [{layers}] }}"), &predictor([1, 4, 4], 0)).expect(layers).check_order()
        };
        let a = "{ masked-conv = { out = 4, kernel = 3, mask = \"a\" } }";
        let last = "{ masked-conv = { out = 2, kernel = 1, mask = \"b\" } }";
        assert_eq!(order(&format!("{a}, \"relu\", {{ masked-residual = 3 }}, {{ dropout = 0.1 }}, {last}")), Ok(()));
        assert_eq!(order(&format!("{{ gated-stack = {{ channels = 3, layers = 2 }} }}, {last}")), Ok(()));
        assert_eq!(order(&format!("{a}, {{ row-lstm = 2 }}, {{ diagonal-bilstm = 3 }}, {last}")), Ok(()));
        for wrong in [
            last.to_owned(),
            format!("\"relu\", {a}, {last}"),
            format!("{{ row-lstm = 2 }}, {last}"),
            format!("{a}, {{ conv = {{ out = 2, kernel = 3, padding = 1 }} }}"),
            format!("{a}, \"layer-norm\", {last}"),
        ] {
            assert!(order(&wrong).is_err(), "{wrong}");
        }
    }
}
