//! The layers, one file each: what the TOML holds of it, its facts, its plan, its forward pass, its TorchScript, and one step of
//! it where a sample is drawn symbol by symbol or pixel by pixel.
//!
//! [`LayerSpec`] is what a file holds, `Step` is what a planned network executes. Steps are an enum and no trait objects: a table
//! of functions would refer to forward passes from plans, and the `gantlet` command could no longer do without libtorch.

pub mod activation;
pub mod batch_norm;
pub mod conv;
pub mod embedding;
pub mod gated_stack;
pub mod group_norm;
pub mod label;
pub mod linear;
pub mod map_lstm;
pub mod masked_conv;
pub mod masked_residual;
pub mod maxout;
pub mod minibatch;
pub mod noise;
pub mod parameter;
pub mod pool;
pub mod recurrent;
pub mod residual;
pub mod resize;
pub mod shape;
pub mod transformer;
pub mod virtual_batch_norm;

use super::builder::Site;
use super::forward::Pass;
use super::fused::Link;
use super::raster::{self, ByPixel};
use super::scribe::{self, BySymbol};
use super::script::Writer;
use super::spec::StdSpec;
use crate::base::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use activation::SlopeSpec;
use batch_norm::BatchNormSpec;
use conv::ConvSpec;
use embedding::EmbeddingSpec;
use gated_stack::GatedStackSpec;
use group_norm::GroupsSpec;
use label::LabelSpec;
use linear::LinearSpec;
use map_lstm::MapLstmSpec;
use masked_conv::MaskedConvSpec;
use masked_residual::MaskedResidualSpec;
use maxout::MaxoutSpec;
use minibatch::MinibatchSpec;
use noise::DropoutSpec;
use parameter::ParameterSpec;
use pool::GlobalPoolSpec;
use recurrent::RecurrentSpec;
use residual::ResidualSpec;
use resize::FactorSpec;
use transformer::BlockSpec;
use virtual_batch_norm::ReferenceSpec;

/// A layer as an arm of [`LayerSpec`]. Nothing has a default: a new layer states all of it.
pub(in crate::nn) trait Layer {
    /// What the TOML holds of it.
    type Spec: ?Sized;
    /// Its name in a TOML.
    const TAG: &'static str;
    /// What may enter it.
    const TAKES: Takes;

    /// What is known of it before any shape is.
    fn facts(spec: &Self::Spec) -> LayerFacts<'_>;

    /// Its parameters and steps for the shape that arrives.
    fn plan(spec: &Self::Spec, site: &mut Site<'_>) -> Result<(), Problem>;
}

/// What may enter a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Takes {
    /// A vector; a map is flattened.
    Vector,
    /// A vector, or each vector of a sequence; a map is flattened.
    VectorOrSequence,
    /// A map.
    Map,
    /// A vector or a map.
    VectorOrMap,
    /// A vector, a map, or each vector of a sequence.
    Anything,
    /// The indices of symbols.
    Symbols,
    /// A sequence of vectors.
    Sequence,
}

impl Takes {
    /// Whether it takes vectors one after the other.
    pub fn sequences(self) -> bool {
        match self {
            Self::VectorOrSequence | Self::Anything | Self::Sequence => true,
            Self::Vector | Self::Map | Self::VectorOrMap | Self::Symbols => false,
        }
    }

    /// Whether it needs a map (or else one vector), if it needs either.
    pub fn wants_map(self) -> Option<bool> {
        match self {
            Self::Map => Some(true),
            Self::Vector | Self::VectorOrSequence => Some(false),
            Self::VectorOrMap | Self::Anything | Self::Symbols | Self::Sequence => None,
        }
    }
}

/// What is known of a layer before any shape is.
pub(in crate::nn) struct LayerFacts<'a> {
    /// Numbers that may not be 0, by their keys; an empty key is the layer's value itself.
    pub counts: Vec<(&'static str, u32)>,
    /// Layers within it, by their key.
    pub inner: Option<(&'static str, &'a [LayerSpec])>,
    /// Whether the label enters by it.
    pub label: bool,
}

/// One operation of a planned network. Activations are `[R, B, …]`, but between [`Fold`](shape::Fold) and
/// [`Unfold`](shape::Unfold) maps are `[B, R·C, H, W]`. Parameters are indices of [`NetworkPlan::params`](super::NetworkPlan).
pub(in crate::nn) trait Operation {
    /// What the rest of the program decides by.
    fn facts(&self) -> Facts;

    /// What it is in a chain of dense layers, which costs nothing but time where it is not stated.
    fn link(&self) -> Link<'_> {
        Link::Outside
    }

    /// How many numbers of an image of these sides one of its steps by pixel keeps; `None` if it has no such step.
    fn kept_by_pixel(&self, sides: [usize; 2]) -> Option<usize>;

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor;

    /// The expression of its output in TorchScript, as evaluation has it.
    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String;

    /// Itself one pixel at a time, where `kept_by_pixel` promises it.
    fn by_pixel(&self, _: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        None
    }

    /// Itself one symbol at a time, where its facts promise it.
    fn by_symbol(&self, _: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        None
    }
}

/// What is known of an operation. [`Facts::and`] joins those of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::nn) struct Facts {
    /// What it does to the order of pixels or symbols.
    pub order: Order,
    /// Whether it has a step by symbol.
    pub by_symbol: bool,
    /// What its outputs lie between.
    pub range: Range,
    /// Whether it counts as a layer where layers are shared or probed: it multiplies with weights. What only rescales such a layer's
    /// output, or appends to it, goes with that layer.
    pub weighs: bool,
    /// Whether it only moves numbers.
    pub moves: bool,
    /// Whether examples of a batch see each other, so that real and fake ones must not share a batch.
    pub couples: bool,
    /// Whether runs of a pack go through one after the other on the CPU.
    pub one_by_one: bool,
    /// Whether it has statistics that training moves and evaluation uses.
    pub statistics: bool,
    /// Whether it reads labels.
    pub labels: bool,
}

impl Facts {
    /// Those of steps that do nothing.
    pub const NOTHING: Self = Self {
        order: Order::Keeps,
        by_symbol: true,
        range: Range::Kept,
        weighs: false,
        moves: true,
        couples: false,
        one_by_one: false,
        statistics: false,
        labels: false,
    };

    /// Those of all steps, one after the other.
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        steps.into_iter().fold(Self::NOTHING, |facts, step| facts.and(step.facts()))
    }

    /// Those of this and then the other.
    pub fn and(self, then: Self) -> Self {
        Self {
            order: match (self.order, then.order) {
                (Order::Mixes, _) | (_, Order::Mixes) => Order::Mixes,
                (Order::Hides, _) | (_, Order::Hides) => Order::Hides,
                (Order::Keeps, Order::Keeps) => Order::Keeps,
            },
            range: match then.range {
                Range::Kept => self.range,
                Range::Within(..) | Range::Everything => then.range,
            },
            by_symbol: self.by_symbol && then.by_symbol,
            weighs: self.weighs || then.weighs,
            moves: self.moves && then.moves,
            couples: self.couples || then.couples,
            one_by_one: self.one_by_one || then.one_by_one,
            statistics: self.statistics || then.statistics,
            labels: self.labels || then.labels,
        }
    }
}

/// What an operation does to the order of pixels (and the colors of a pixel) or symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Order {
    /// An output depends on the inputs before it alone.
    Hides,
    /// An output depends on the input at its position and those before it.
    Keeps,
    /// An output may depend on any input.
    Mixes,
}

/// What outputs lie between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::nn) enum Range {
    /// What inputs lie between.
    Kept,
    /// These, whatever comes in.
    Within(f32, f32),
    /// Anything.
    Everything,
}

/// Lists the layers: each arm has its settings, if it has any, and after `=>` the operations that it brings along. A layer of that
/// name in `arm` implements [`Layer`], an operation implements [`Operation`].
macro_rules! layers {
    (@settings) => { &() };
    (@settings $spec:ty, $name:ident) => { $name };
    (@bind $spec:ty, $name:ident) => { $name };
    (
        $(#[$about:meta])*
        pub enum LayerSpec {
            $( $(#[$doc:meta])* $arm:ident $(($spec:ty))? $(=> $($step:ident($operation:ty)),+)?; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub enum LayerSpec { $( $(#[$doc])* $arm $(($spec))?, )* }

        /// A type per layer.
        pub(in crate::nn) mod arm { $( pub enum $arm {} )* }

        /// The tag of each layer and what may enter it.
        pub(in crate::nn) const LAYERS: &[(&str, Takes)] =
            &[ $( (<arm::$arm as Layer>::TAG, <arm::$arm as Layer>::TAKES), )* ];

        impl LayerSpec {
            /// The layer's name in a TOML.
            pub(in crate::nn) fn kind(&self) -> &'static str {
                match self { $( Self::$arm { .. } => <arm::$arm as Layer>::TAG, )* }
            }

            pub(in crate::nn) fn takes(&self) -> Takes {
                match self { $( Self::$arm { .. } => <arm::$arm as Layer>::TAKES, )* }
            }

            pub(in crate::nn) fn facts(&self) -> LayerFacts<'_> {
                match self {
                    $( Self::$arm $( (layers!(@bind $spec, settings)) )? =>
                        <arm::$arm as Layer>::facts(layers!(@settings $($spec, settings)?)), )*
                }
            }

            pub(in crate::nn) fn plan(&self, site: &mut Site<'_>) -> Result<(), Problem> {
                match self {
                    $( Self::$arm $( (layers!(@bind $spec, settings)) )? =>
                        <arm::$arm as Layer>::plan(layers!(@settings $($spec, settings)?), site), )*
                }
            }
        }

        /// An operation of a planned network.
        #[derive(Clone, Debug, PartialEq)]
        pub(in crate::nn) enum Step { $( $( $( $step($operation), )+ )? )* }

        impl Step {
            pub fn facts(&self) -> Facts {
                match self { $( $( $( Self::$step(operation) => operation.facts(), )+ )? )* }
            }

            pub fn link(&self) -> Link<'_> {
                match self { $( $( $( Self::$step(operation) => operation.link(), )+ )? )* }
            }

            pub fn kept_by_pixel(&self, sides: [usize; 2]) -> Option<usize> {
                match self { $( $( $( Self::$step(operation) => operation.kept_by_pixel(sides), )+ )? )* }
            }

            pub fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
                match self { $( $( $( Self::$step(operation) => operation.forward(pass, x), )+ )? )* }
            }

            pub fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
                match self { $( $( $( Self::$step(operation) => operation.script(writer, x), )+ )? )* }
            }

            pub fn by_pixel(&self, maker: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
                match self { $( $( $( Self::$step(operation) => operation.by_pixel(maker), )+ )? )* }
            }

            pub fn by_symbol(&self, maker: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
                match self { $( $( $( Self::$step(operation) => operation.by_symbol(maker), )+ )? )* }
            }
        }

        $( $( $(
            impl From<$operation> for Step {
                fn from(operation: $operation) -> Self {
                    Self::$step(operation)
                }
            }
        )+ )? )*
    };
}

layers! {
    /// One layer of a list. A bare tag takes every default; a bare number is the layer's main number (`{ linear = 8 }`).
    pub enum LayerSpec {
        /// x·W + b; flattens what comes in.
        Linear(LinearSpec) => Linear(linear::Linear), LinearAtEach(linear::LinearAtEach);
        /// Cross-correlation over the map.
        Conv(ConvSpec) => Convolution(conv::Convolution);
        /// Transposed convolution.
        ConvTranspose(ConvSpec);
        /// Nearest-neighbour enlargement by a factor.
        Upsample(FactorSpec) => Enlarge(resize::Enlarge);
        /// Mean over factor×factor patches.
        Downsample(FactorSpec) => Shrink(resize::Shrink);
        /// Mean or sum over the whole map: `[c, h, w]` to `[c]`.
        GlobalPool(GlobalPoolSpec) => Pool(pool::Pool);
        /// Another shape of the same numbers, without the batch.
        Reshape(Vec<u32>) => View(shape::View), Fold(shape::Fold), Unfold(shape::Unfold);
        /// One dimension.
        Flatten;
        /// Puts one learned number before the features, the same for every example: θ of a family of distributions.
        Parameter(ParameterSpec) => Prepend(parameter::Prepend);
        /// max(x, 0).
        Relu => Activation(activation::Activation);
        /// x for x > 0, else slope·x.
        LeakyRelu(SlopeSpec);
        /// x for x > 0, else eˣ − 1.
        Elu;
        /// λ·elu with α.
        Selu;
        /// log(1 + eˣ).
        Softplus;
        /// tanh x.
        Tanh;
        /// 1/(1 + e⁻ˣ).
        Sigmoid;
        /// Linear to units × pieces, then the largest piece (arXiv:1302.4389).
        Maxout(MaxoutSpec) => Maxout(maxout::Maxout);
        /// Batch norm with running statistics.
        BatchNorm(BatchNormSpec) => BatchNorm(batch_norm::BatchNorm);
        /// Layer norm.
        LayerNorm => NormAtEach(group_norm::NormAtEach);
        /// Instance norm.
        InstanceNorm;
        /// Group norm.
        GroupNorm(GroupsSpec) => GroupNorm(group_norm::GroupNorm);
        /// Virtual batch norm: mean and mean square of a reference batch and, with the weight 1/(examples + 1), of the example itself,
        /// over the map, a channel at a time, with a gain and bias a channel.
        VirtualBatchNorm(ReferenceSpec) => VirtualBatchNorm(virtual_batch_norm::VirtualBatchNorm);
        /// Silences a share of the numbers in training and scales the rest up.
        Dropout(DropoutSpec) => Dropout(noise::Dropout);
        /// Adds N(0, std²) in training.
        GaussianNoise(StdSpec) => Noise(noise::GaussianNoise);
        /// Closeness to the rest of the batch, appended to the features (arXiv:1606.03498, section 3.2).
        MinibatchDiscrimination(MinibatchSpec) => Minibatch(minibatch::Minibatch);
        /// A residual block: norm? relu conv3 norm? relu conv3, with a shortcut.
        Residual(ResidualSpec) => Residual(residual::Residual);
        /// A convolution that sees the pixels before a pixel in reading order, and zeros beyond the border; the map keeps its
        /// sides. Where there are labels, each class has a bias of its own.
        MaskedConv(MaskedConvSpec) => Causal(masked_conv::Causal);
        /// x + the masked convolutions 1×1, k×k and 1×1 of x, each of relu, with half of the channels between
        /// (arXiv:1601.06759, figure 5).
        MaskedResidual(MaskedResidualSpec) => MaskedResidual(masked_residual::MaskedResidual);
        /// Gated layers in two stacks, one for the rows above and one for the row so far (arXiv:1606.05328, figure 2): what
        /// leaves is what the second says.
        GatedStack(GatedStackSpec) => GatedStack(gated_stack::GatedStack);
        /// x + an LSTM of x, from row to row: a state continues the three above it, so that it knows a triangle of the rows
        /// above (arXiv:1601.06759, section 3.1). States above the first row and beside the map are zeros.
        RowLstm(MapLstmSpec) => MapLstm(map_lstm::MapLstm);
        /// x + two LSTMs of x, from diagonal to diagonal: a state continues those above and beside it, from the left and,
        /// a row higher, from the right (arXiv:1601.06759, section 3.2). States beyond the border are zeros.
        DiagonalBilstm(MapLstmSpec);
        /// Symbols as vectors of a learned table. At a place stands the vector of the symbol before it, and a learned one at the
        /// first: what follows never sees the symbol that it is asked for.
        Embedding(EmbeddingSpec) => Embedding(embedding::Embedding);
        /// A gated recurrent unit over a sequence (arXiv:1406.1078), the reset gate after the product as PyTorch has it.
        Gru(RecurrentSpec) => Recurrent(recurrent::Recurrent);
        /// Long short-term memory over a sequence (Hochreiter and Schmidhuber 1997, with a forget gate).
        Lstm(RecurrentSpec);
        /// Attention to the places so far, then a hidden layer of four times the width with gelu, each after a layer norm and
        /// added to what came (arXiv:1706.03762, normalized before as in GPT-2).
        TransformerBlock(BlockSpec) => Transformer(transformer::Transformer);
        /// Appends the label here: one-hot, or through layers of its own. Vectors get features, maps get constant channels.
        Label(LabelSpec) => Label(label::Label);
    }
}

/// The default of settings that are on.
fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{generator, inputs, numbers, pack, planned, said};
    use crate::nn::{NetworkPlan, Role, Wiring};
    use std::collections::BTreeSet;
    use tch::Kind;

    const MAP: &[usize] = &[4, 5, 4];
    const COLORLESS: &[usize] = &[1, 5, 4];
    const SYMBOLS: &[usize] = &[6];

    /// Each layer, with what comes in and what leaves.
    const EXAMPLES: &[(&str, &str, &[usize], &[usize])] = &[
        ("linear", "{ linear = 3 }", &[4], &[3]),
        ("conv", "{ conv = { out = 4, kernel = 3, padding = 1 } }", MAP, MAP),
        ("conv-transpose", "{ conv-transpose = { out = 4, kernel = 3, padding = 1 } }", MAP, MAP),
        ("upsample", "{ upsample = 2 }", MAP, &[4, 10, 8]),
        ("downsample", "{ downsample = 2 }", &[4, 4, 4], &[4, 2, 2]),
        ("global-pool", "{ global-pool = {} }", MAP, &[4]),
        ("reshape", "{ reshape = [2, 5, 8] }", MAP, &[2, 5, 8]),
        ("flatten", "\"flatten\"", MAP, &[80]),
        ("parameter", "{ parameter = 0.5 }", &[4], &[5]),
        ("relu", "\"relu\"", MAP, MAP),
        ("leaky-relu", "{ leaky-relu = 0.2 }", MAP, MAP),
        ("elu", "\"elu\"", MAP, MAP),
        ("selu", "\"selu\"", MAP, MAP),
        ("softplus", "\"softplus\"", MAP, MAP),
        ("tanh", "\"tanh\"", MAP, MAP),
        ("sigmoid", "\"sigmoid\"", MAP, MAP),
        ("maxout", "{ maxout = { units = 3, pieces = 2 } }", &[4], &[3]),
        ("batch-norm", "{ batch-norm = {} }", MAP, MAP),
        ("layer-norm", "\"layer-norm\"", MAP, MAP),
        ("instance-norm", "\"instance-norm\"", MAP, MAP),
        ("group-norm", "{ group-norm = 2 }", MAP, MAP),
        ("virtual-batch-norm", "{ virtual-batch-norm = 3 }", MAP, MAP),
        ("dropout", "{ dropout = 0.3 }", MAP, MAP),
        ("gaussian-noise", "{ gaussian-noise = 0.3 }", MAP, MAP),
        ("minibatch-discrimination", "{ minibatch-discrimination = { kernels = 2, dims = 3 } }", &[4], &[6]),
        ("residual", "{ residual = 4 }", MAP, MAP),
        ("masked-conv", "{ masked-conv = { out = 4, kernel = 3, mask = \"a\" } }", COLORLESS, MAP),
        ("masked-conv", "{ masked-conv = { out = 4, kernel = 3, mask = \"b\" } }", MAP, MAP),
        ("masked-residual", "{ masked-residual = 3 }", MAP, MAP),
        ("gated-stack", "{ gated-stack = { channels = 4, layers = 2, first = 5 } }", COLORLESS, MAP),
        ("row-lstm", "{ row-lstm = 4 }", MAP, MAP),
        ("diagonal-bilstm", "{ diagonal-bilstm = 4 }", MAP, MAP),
        ("embedding", "{ embedding = { width = 5, positions = true } }", SYMBOLS, &[6, 5]),
        ("linear", "{ embedding = 4 }, { linear = 5 }", SYMBOLS, &[6, 5]),
        ("layer-norm", "{ embedding = 5 }, \"layer-norm\"", SYMBOLS, &[6, 5]),
        ("gru", "{ embedding = 4 }, { gru = 5 }", SYMBOLS, &[6, 5]),
        ("lstm", "{ embedding = 4 }, { lstm = 5 }", SYMBOLS, &[6, 5]),
        ("transformer-block", "{ embedding = 5 }, { transformer-block = 5 }", SYMBOLS, &[6, 5]),
        ("label", "{ label = {} }", MAP, &[7, 5, 4]),
    ];

    fn plan((_, layers, input, output): &(&str, &str, &[usize], &[usize])) -> NetworkPlan {
        let role = if output.len() == 2 { Role::Predictor } else { Role::Generator };
        let wiring = Wiring { role, input: input.to_vec(), classes: 3, ..generator(1, output) };
        planned(&format!("{{ layers = [{layers}] }}"), &wiring).expect(layers)
    }

    /// Four examples, and their labels.
    fn batch(plan: &NetworkPlan) -> (Tensor, Tensor) {
        let x = inputs(&[1], 4, &plan.input);
        let x = if plan.output.len() == 2 { (x * 3.0).abs().floor().clamp_max(4.0) } else { x };
        (x, Tensor::from_slice(&[0i64, 2, 1, 1]).view([1, 4]))
    }

    #[test]
    fn tags_are_those_that_files_have_and_every_layer_has_an_example() {
        let schema = serde_json::to_value(schemars::schema_for!(LayerSpec)).expect("a schema is JSON");
        let arms = schema["oneOf"].as_array().expect("an enum has arms");
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let tag = |arm: &serde_json::Value| {
            let tags = [&arm["const"], &arm["required"][0]].map(text);
            tags.into_iter().flatten().chain(arm["enum"].as_array().into_iter().flatten().filter_map(text)).collect()
        };
        let files: BTreeSet<String> = arms.iter().flat_map(|arm| -> Vec<String> { tag(arm) }).collect();
        let layers: BTreeSet<String> = LAYERS.iter().map(|(tag, _)| (*tag).to_owned()).collect();
        let examples: BTreeSet<String> = EXAMPLES.iter().map(|(tag, ..)| (*tag).to_owned()).collect();
        assert_eq!((files.len(), &files), (LAYERS.len(), &layers));
        assert_eq!(examples, layers);
    }

    /// What networks are planned, checked and sampled by, held against what they do.
    #[test]
    fn facts_are_true_of_every_layer() {
        tch::set_num_threads(1);
        for example in EXAMPLES {
            let (_, layers, input, output) = *example;
            let (plan, (x, labels)) = (plan(example), batch(&plan(example)));
            let facts = plan.facts;
            let run = |x: &Tensor, labels: &Tensor| {
                let params = pack(&plan, &[3]).params;
                let before: Vec<Vec<f32>> = params.iter().map(numbers).collect();
                let out = said(&plan, &params, x, Some(labels), &[3], true, false).out;
                (out.detach(), params.iter().map(numbers).ne(before))
            };
            let (out, moved) = run(&x, &labels);
            assert_eq!(facts.statistics, moved, "{layers} moves statistics");

            // Another last example changes the first one's output if they see each other.
            let other = x.copy();
            other.narrow(1, 3, 1).copy_(&x.narrow(1, 2, 1));
            let first = |out: &Tensor| numbers(&out.select(1, 0));
            assert_eq!(facts.couples, first(&run(&other, &labels).0) != first(&out), "{layers} couples examples");

            let relabeled = run(&x, &labels.flip([1])).0;
            assert_eq!(facts.labels, numbers(&relabeled) != numbers(&out), "{layers} reads labels");

            if let Range::Within(low, high) = facts.range {
                let wide = numbers(&run(&(&x * 10.0), &labels).0);
                assert!(wide.iter().all(|v| (low..=high).contains(v)), "{layers} leaves its range");
            }

            // Whatever comes at a position, outputs before it stay as they are; and its own if it is hidden.
            let at: i64 = match (input, output) {
                ([_, h, w], [_, high, wide]) if (h, w) == (high, wide) => 2 * *w as i64 + 1,
                ([_], [_, _]) => 3,
                _ => continue,
            };
            let sequence = output.len() == 2;
            let positions = |x: &Tensor| if x.dim() == 5 { x.flatten(3, 4) } else { x.shallow_clone() };
            let other = x.copy();
            let changed = (positions(&other).narrow(-1, at, 1) + 1.0).remainder(5.0);
            positions(&other).narrow(-1, at, 1).copy_(&changed);
            let upto =
                |out: &Tensor, count: i64| numbers(&positions(out).narrow(if sequence { 2 } else { -1 }, 0, count));
            let changed = run(&other, &labels).0;
            let alike = |count: i64| upto(&out, count) == upto(&changed, count);
            match facts.order {
                Order::Hides => assert!(alike(at + 1) && !alike(at + 2), "{layers} hides"),
                Order::Keeps => assert!(alike(at) && !alike(at + 1), "{layers} keeps the order"),
                Order::Mixes => {}
            }
        }
    }

    #[test]
    fn every_layer_has_the_steps_that_its_facts_promise() {
        for example in EXAMPLES {
            let (plan, (_, labels)) = (plan(example), batch(&plan(example)));
            let params = pack(&plan, &[3]).params;
            let one_hot = Tensor::zeros([1, 4, 3], (Kind::Float, tch::Device::Cpu));
            let (labels, sides) = (labels.squeeze_dim(0), [5, 4]);
            let pixels = raster::Maker { params: &params, one_hot: Some(&one_hot), batch: 4, sides };
            let symbols = scribe::Maker { params: &params, labels: Some(&labels), batch: 4, positions: 6 };
            for step in plan.steps() {
                let kept = step.kept_by_pixel([5, 4]);
                assert_eq!(kept.is_some(), step.by_pixel(&pixels).is_some(), "{step:?} by pixel");
                assert_eq!(step.facts().by_symbol, step.by_symbol(&symbols).is_some(), "{step:?} by symbol");
            }
        }
    }
}
