//! What a TOML says of a network: a preset or a list of layers, and how weights begin.

use crate::base::{NonNegative, Positive, Probability, a_player_each, bare_number, or_integer, or_number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

bare_number!(GainSpec, gain, "a gain above 0, or a table with `gain`");
bare_number!(StdSpec, std, "a standard deviation of 0 or more, or a table with `std`");
bare_number!(BoundSpec, bound, "a bound of 0 or more, or a table with `bound`");
bare_number!(SlopeSpec, slope, "a slope of 0 or more, or a table with `slope`");
bare_number!(GroupsSpec, groups, "the count of groups, or a table with `groups`");
bare_number!(ReferenceSpec, examples, "the count of reference examples, or a table with `examples`");
bare_number!(LinearSpec, out, "the count of outputs, or a table with `out`");
bare_number!(FactorSpec, factor, "a whole factor, or a table with `factor`");
bare_number!(ParameterSpec, value, "the number that it begins at, or a table with `value`");
bare_number!(DropoutSpec, rate, "a share from 0 to 1, or a table with `rate`");
bare_number!(MaskedResidualSpec, kernel, "the kernel's side, or a table with `kernel`");
bare_number!(ResidualSpec, out, "the count of channels, or a table with `out`");
bare_number!(EmbeddingSpec, width, "the length of a symbol's vector, or a table with `width`");
bare_number!(RecurrentSpec, width, "the length of the state, or a table with `width`");
bare_number!(MapLstmSpec, hidden, "the count of units, or a table with `hidden`");
bare_number!(BlockSpec, heads, "the count of heads, or a table with `heads`");

a_player_each! {
    /// The networks of an experiment, one a player.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub struct ArchitectureSpec {
        /// How weights begin where a layer does not say it itself.
        #[serde(default)]
        pub init: InitSpec,
    }
    /// The networks that are there, by their players.
    pub fn networks() -> NetworkSpec;
}

/// How weights begin. Biases begin at 0 but for `pytorch`; gains of norms at 1, but for `dcgan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum InitSpec {
    /// U(±1/√fan_in) for weights and biases, as PyTorch's layers begin.
    #[default]
    Pytorch,
    /// N(0, 0.02²); gains of batch norm N(1, 0.02²) (arXiv:1511.06434).
    Dcgan,
    /// U(±gain·√(6/(fan_in+fan_out))) (Glorot and Bengio 2010).
    Xavier(GainSpec),
    /// N(0, gain²·2/fan_in) (arXiv:1502.01852).
    He(GainSpec),
    /// A random orthogonal matrix times the gain.
    Orthogonal(GainSpec),
    /// N(0, std²).
    Normal(StdSpec),
    /// U(±bound).
    Uniform(BoundSpec),
}

/// A factor on an initialization.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "GainSpec", transform = or_number)]
pub struct GainSpec {
    /// The factor; 1 where nothing is said.
    #[serde(default = "GainSpec::gain")]
    pub gain: Positive,
}
impl GainSpec {
    fn gain() -> Positive {
        Positive::of(1.0)
    }
}
/// A standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "StdSpec", transform = or_number)]
pub struct StdSpec {
    /// The standard deviation.
    pub std: NonNegative,
}
/// A symmetric bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "BoundSpec", transform = or_number)]
pub struct BoundSpec {
    /// Numbers lie within ± this.
    pub bound: NonNegative,
}

/// A network: a preset, or its layers in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum NetworkSpec {
    /// Linear layers with an activation between them.
    Mlp(MlpSpec),
    /// Strided (transposed) convolutions (arXiv:1511.06434), any power-of-two size, and 28.
    Dcgan(DcganSpec),
    /// Residual blocks, as WGAN-GP and SN-GAN use them (arXiv:1704.00028, 1802.05957).
    Resnet(ResnetSpec),
    /// Masked convolutions, for a predictor (arXiv:1601.06759, 1606.05328).
    Pixelcnn(PixelcnnNetworkSpec),
    /// LSTMs from row to row, for a predictor (arXiv:1601.06759, section 3.1).
    RowLstm(PixelrnnSpec),
    /// LSTMs from diagonal to diagonal in both directions, for a predictor (arXiv:1601.06759, section 3.2).
    DiagonalBilstm(PixelrnnSpec),
    /// The layers, one after the other.
    Layers(Vec<LayerSpec>),
}

/// Linear layers with an activation between them; the last one has none but `output`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MlpSpec {
    /// Widths of the hidden layers.
    pub hidden: Vec<u32>,
    /// After each hidden layer.
    #[serde(default = "MlpSpec::activation")]
    pub activation: ActivationSpec,
    /// After the last layer; `linear` is none.
    #[serde(default)]
    pub output: ActivationSpec,
    /// Between a hidden layer and its activation.
    #[serde(default)]
    pub norm: NormSpec,
    /// The share of each hidden layer's outputs that dropout silences in training.
    #[serde(default = "zero_probability")]
    pub dropout: Probability,
    /// Divides each weight by its largest singular value (arXiv:1802.05957).
    #[serde(default)]
    pub spectral_norm: bool,
}
impl MlpSpec {
    fn activation() -> ActivationSpec {
        ActivationSpec::Relu
    }
}
fn zero_probability() -> Probability {
    Probability::of(0.0)
}

/// The DCGAN pyramid; which half it is follows from the player.
///
/// As in the paper's code no weight has a bias; where `norm` is `none`, every weight has one (as in WGAN-GP and SN-GAN).
/// A generator of side 2^k starts at 4×4 (28: at 7×7) and doubles; a discriminator halves until there. Channels at the
/// image's end are `channels` and double with every halving of the side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DcganSpec {
    /// Channels of the stage next to the image.
    #[serde(default = "DcganSpec::channels")]
    pub channels: u32,
    /// The kernel's side: 4 with padding 1 (the Torch ports) or 5 with padding 2 (the paper).
    #[serde(default = "DcganSpec::kernel")]
    pub kernel: u32,
    /// Between a convolution and its activation; never at the image, nor in the discriminator's first stage.
    #[serde(default = "DcganSpec::norm")]
    pub norm: NormSpec,
    /// After each stage; where nothing is said, relu in the generator and leaky relu (0.2) in the discriminator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<ActivationSpec>,
    /// At the generator's image.
    #[serde(default = "DcganSpec::output")]
    pub output: ActivationSpec,
    /// Divides each weight of the discriminator by its largest singular value.
    #[serde(default)]
    pub spectral_norm: bool,
}
impl DcganSpec {
    fn channels() -> u32 {
        64
    }
    fn kernel() -> u32 {
        4
    }
    fn norm() -> NormSpec {
        NormSpec::Batch
    }
    fn output() -> ActivationSpec {
        ActivationSpec::Tanh
    }
}

/// Residual blocks; which half it is follows from the player. Generator: linear to 4×4 (28: 7×7), up-blocks to the
/// image's side, norm, relu, 3×3 convolution. Discriminator: a first block, down-blocks to 8×8 (28: 7×7), two plain
/// blocks, relu, pooling over the map, linear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResnetSpec {
    /// Channels of every block.
    #[serde(default = "ResnetSpec::channels")]
    pub channels: u32,
    /// Norm inside the blocks; where nothing is said, batch norm in the generator and none in the discriminator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<NormSpec>,
    /// At the generator's image.
    #[serde(default = "DcganSpec::output")]
    pub output: ActivationSpec,
    /// How the discriminator's map becomes a vector: `mean` (WGAN-GP) or `sum` (SN-GAN).
    #[serde(default)]
    pub pool: PoolKind,
    /// Divides each weight of the discriminator by its largest singular value.
    #[serde(default)]
    pub spectral_norm: bool,
}
impl ResnetSpec {
    fn channels() -> u32 {
        128
    }
}

/// A `masked-conv` of kind `a`, `masked-residual` blocks and two masked convolutions of 1×1 with relu before each
/// (arXiv:1601.06759, table 1); or a `gated-stack` in place of the first two (arXiv:1606.05328).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PixelcnnNetworkSpec {
    /// h: of a plain network half of the channels between blocks, of a gated one the channels of each of its two stacks.
    #[serde(default = "PixelcnnNetworkSpec::channels")]
    pub channels: u32,
    /// Blocks after the first layer; of a gated network all layers.
    #[serde(default = "PixelcnnNetworkSpec::layers")]
    pub layers: u32,
    /// The side of kernels after the first layer.
    #[serde(default = "GatedStackSpec::kernel")]
    pub kernel: u32,
    /// The side of the first kernel.
    #[serde(default = "GatedStackSpec::first")]
    pub first: u32,
    /// Channels between the two last convolutions.
    #[serde(default = "PixelcnnNetworkSpec::head")]
    pub head: u32,
    /// Whether layers have gates and a stack of their own for the rows above, so that no pixel before is out of sight.
    #[serde(default)]
    pub gated: bool,
}
impl PixelcnnNetworkSpec {
    fn channels() -> u32 {
        16
    }
    fn layers() -> u32 {
        5
    }
    fn head() -> u32 {
        32
    }
}

/// A `masked-conv` of kind `a`, layers of LSTM (`row-lstm` or `diagonal-bilstm`) and two masked convolutions of 1×1 with relu
/// before each (arXiv:1601.06759, table 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PixelrnnSpec {
    /// h: the units of each LSTM, half of the channels between layers. The colors of the data divide it.
    #[serde(default = "PixelcnnNetworkSpec::channels")]
    pub hidden: u32,
    /// Layers of LSTM.
    #[serde(default = "PixelrnnSpec::layers")]
    pub layers: u32,
    /// The side of the first kernel.
    #[serde(default = "GatedStackSpec::first")]
    pub first: u32,
    /// Channels between the two last convolutions.
    #[serde(default = "PixelcnnNetworkSpec::head")]
    pub head: u32,
}
impl PixelrnnSpec {
    fn layers() -> u32 {
        1
    }
}

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

/// A function applied to each number (maxout is a layer of its own).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum ActivationSpec {
    /// None.
    #[default]
    Linear,
    /// max(x, 0).
    Relu,
    /// x for x > 0, else slope·x.
    LeakyRelu(SlopeSpec),
    /// x for x > 0, else eˣ − 1.
    Elu,
    /// λ·elu with α (arXiv:1706.02515).
    Selu,
    /// log(1 + eˣ).
    Softplus,
    /// tanh x.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
}
/// The slope of a leaky relu.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "SlopeSpec", transform = or_number)]
pub struct SlopeSpec {
    /// For x < 0; 0.2 where nothing is said, as DCGAN has it.
    #[serde(default = "SlopeSpec::slope")]
    pub slope: NonNegative,
}
impl SlopeSpec {
    fn slope() -> NonNegative {
        NonNegative::of(0.2)
    }
}
impl Default for SlopeSpec {
    /// DCGAN's.
    fn default() -> Self {
        Self { slope: Self::slope() }
    }
}

/// A normalization of activations, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum NormSpec {
    /// None.
    #[default]
    None,
    /// Over batch and map, a channel at a time (arXiv:1502.03167).
    Batch,
    /// Over channels and map, an example at a time, with a gain and bias a channel (arXiv:1607.06450).
    Layer,
    /// Over the map, a channel and example at a time, without gain and bias.
    Instance,
    /// Over groups of channels, with a gain and bias a channel (arXiv:1803.08494).
    Group(GroupsSpec),
    /// By a reference batch and the example itself (arXiv:1606.03498, section 3.4).
    VirtualBatch(ReferenceSpec),
}
/// The batch that virtual batch norm refers to, which is drawn before the first step and stays: of a discriminator training
/// examples, of a generator latents. It goes through the network with every batch. All such norms of a network have the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "ReferenceSpec", transform = or_integer)]
pub struct ReferenceSpec {
    /// How many examples it has; 64 where nothing is said.
    #[serde(default = "ReferenceSpec::examples")]
    pub examples: u32,
}
impl ReferenceSpec {
    fn examples() -> u32 {
        64
    }
}
/// How many groups the channels form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "GroupsSpec", transform = or_integer)]
pub struct GroupsSpec {
    /// Must divide the channels.
    pub groups: u32,
}

/// One layer of a list. A bare tag takes every default; a bare number is the layer's main number (`{ linear = 8 }`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum LayerSpec {
    /// x·W + b; flattens what comes in.
    Linear(LinearSpec),
    /// Cross-correlation over the map.
    Conv(ConvSpec),
    /// Transposed convolution.
    ConvTranspose(ConvSpec),
    /// Nearest-neighbour enlargement by a factor.
    Upsample(FactorSpec),
    /// Mean over factor×factor patches.
    Downsample(FactorSpec),
    /// Mean or sum over the whole map: `[c, h, w]` to `[c]`.
    GlobalPool(GlobalPoolSpec),
    /// Another shape of the same numbers, without the batch.
    Reshape(Vec<u32>),
    /// One dimension.
    Flatten,
    /// Puts one learned number before the features, the same for every example: θ of a family of distributions.
    Parameter(ParameterSpec),
    /// max(x, 0).
    Relu,
    /// x for x > 0, else slope·x.
    LeakyRelu(SlopeSpec),
    /// x for x > 0, else eˣ − 1.
    Elu,
    /// λ·elu with α.
    Selu,
    /// log(1 + eˣ).
    Softplus,
    /// tanh x.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// Linear to units × pieces, then the largest piece (arXiv:1302.4389).
    Maxout(MaxoutSpec),
    /// Batch norm with running statistics.
    BatchNorm(BatchNormSpec),
    /// Layer norm.
    LayerNorm,
    /// Instance norm.
    InstanceNorm,
    /// Group norm.
    GroupNorm(GroupsSpec),
    /// Virtual batch norm: mean and mean square of a reference batch and, with the weight 1/(examples + 1), of the example itself,
    /// over the map, a channel at a time, with a gain and bias a channel.
    VirtualBatchNorm(ReferenceSpec),
    /// Silences a share of the numbers in training and scales the rest up.
    Dropout(DropoutSpec),
    /// Adds N(0, std²) in training.
    GaussianNoise(StdSpec),
    /// Closeness to the rest of the batch, appended to the features (arXiv:1606.03498, section 3.2).
    MinibatchDiscrimination(MinibatchSpec),
    /// A residual block: norm? relu conv3 norm? relu conv3, with a shortcut.
    Residual(ResidualSpec),
    /// A convolution that sees the pixels before a pixel in reading order, and zeros beyond the border; the map keeps its
    /// sides. Where there are labels, each class has a bias of its own.
    MaskedConv(MaskedConvSpec),
    /// x + the masked convolutions 1×1, k×k and 1×1 of x, each of relu, with half of the channels between
    /// (arXiv:1601.06759, figure 5).
    MaskedResidual(MaskedResidualSpec),
    /// Gated layers in two stacks, one for the rows above and one for the row so far (arXiv:1606.05328, figure 2): what
    /// leaves is what the second says.
    GatedStack(GatedStackSpec),
    /// x + an LSTM of x, from row to row: a state goes on from the three above it, so that it knows a triangle of the rows
    /// above (arXiv:1601.06759, section 3.1). States above the first row and beside the map are zeros.
    RowLstm(MapLstmSpec),
    /// x + two LSTMs of x, from diagonal to diagonal: a state goes on from those above and beside it, from the left and,
    /// a row higher, from the right (arXiv:1601.06759, section 3.2). States beyond the border are zeros.
    DiagonalBilstm(MapLstmSpec),
    /// Symbols as vectors of a learned table. At a place stands the vector of the symbol before it, and a learned one at the
    /// first: what follows never sees the symbol that it is asked for.
    Embedding(EmbeddingSpec),
    /// A gated recurrent unit over a sequence (arXiv:1406.1078), the reset gate after the product as PyTorch has it.
    Gru(RecurrentSpec),
    /// Long short-term memory over a sequence (Hochreiter and Schmidhuber 1997, with a forget gate).
    Lstm(RecurrentSpec),
    /// Attention to the places so far, then a hidden layer of four times the width with gelu, each after a layer norm and
    /// added to what came (arXiv:1706.03762, normalized before as in GPT-2).
    TransformerBlock(BlockSpec),
    /// Appends the label here: one-hot, or through layers of its own. Vectors get features, maps get constant channels.
    Label(LabelSpec),
}

/// A linear layer, or the bare number of its outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "LinearSpec", transform = or_integer)]
pub struct LinearSpec {
    /// Outputs.
    pub out: u32,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
    /// How the weight begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSpec>,
    /// A reparameterization of the weight.
    #[serde(default)]
    pub weight: WeightNormSpec,
}

/// A convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConvSpec {
    /// Channels out.
    pub out: u32,
    /// The kernel's side.
    pub kernel: u32,
    /// Steps between kernel positions.
    #[serde(default = "one")]
    pub stride: u32,
    /// Zeros added on each side.
    #[serde(default)]
    pub padding: u32,
    /// Rows and columns added at the end (transposed convolutions alone).
    #[serde(default)]
    pub output_padding: u32,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
    /// How the weight begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSpec>,
    /// A reparameterization of the weight.
    #[serde(default)]
    pub weight: WeightNormSpec,
}
fn yes() -> bool {
    true
}
fn one() -> u32 {
    1
}

/// A reparameterization of a weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WeightNormSpec {
    /// The weight as it is.
    #[default]
    Plain,
    /// W/σ(W), one power step a training pass (arXiv:1802.05957).
    Spectral,
    /// g·V/‖V‖ an output (arXiv:1602.07868); g begins at the norm that V begins with on average.
    Norm,
}

/// A whole factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "FactorSpec", transform = or_integer)]
pub struct FactorSpec {
    /// The factor; 2 where nothing is said.
    #[serde(default = "FactorSpec::factor")]
    pub factor: u32,
}
impl FactorSpec {
    fn factor() -> u32 {
        2
    }
}

/// Pooling over the whole map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GlobalPoolSpec {
    /// Mean or sum.
    #[serde(default)]
    pub by: PoolKind,
}

/// A learned number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "ParameterSpec", transform = or_number)]
pub struct ParameterSpec {
    /// Where it begins.
    pub value: f64,
}

/// A maxout layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaxoutSpec {
    /// Outputs.
    pub units: u32,
    /// Linear pieces an output.
    pub pieces: u32,
    /// How the weight begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitSpec>,
}

/// Batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BatchNormSpec {
    /// Added to the variance.
    #[serde(default = "BatchNormSpec::eps")]
    pub eps: Positive,
    /// The share of the newest batch in the running statistics.
    #[serde(default = "BatchNormSpec::momentum")]
    pub momentum: Probability,
    /// Whether a gain and bias a channel are learned.
    #[serde(default = "yes")]
    pub affine: bool,
}
impl BatchNormSpec {
    fn eps() -> Positive {
        Positive::of(1e-5)
    }
    fn momentum() -> Probability {
        Probability::of(0.1)
    }
}
impl Default for BatchNormSpec {
    /// PyTorch's.
    fn default() -> Self {
        Self { eps: Self::eps(), momentum: Self::momentum(), affine: true }
    }
}

/// Dropout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "DropoutSpec", transform = or_number)]
pub struct DropoutSpec {
    /// The share that is silenced; 0.5 where nothing is said.
    #[serde(default = "DropoutSpec::rate")]
    pub rate: Probability,
}
impl DropoutSpec {
    fn rate() -> Probability {
        Probability::of(0.5)
    }
}

/// Minibatch discrimination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MinibatchSpec {
    /// B, the numbers appended.
    pub kernels: u32,
    /// C, the dimensions in which closeness is measured.
    pub dims: u32,
    /// How T begins; N(0, 0.02²) where nothing is said, as in the 1-D toy.
    #[serde(default = "MinibatchSpec::init")]
    pub init: InitSpec,
    /// Whether the sum over the batch is divided by its size.
    #[serde(default)]
    pub mean: bool,
}
impl MinibatchSpec {
    fn init() -> InitSpec {
        InitSpec::Normal(StdSpec { std: NonNegative::of(0.02) })
    }
}

/// A residual block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "ResidualSpec", transform = or_integer)]
pub struct ResidualSpec {
    /// Channels out.
    pub out: u32,
    /// `up`: nearest ×2 before the first convolution; `down`: 2×2 mean after the second; `none`.
    #[serde(default)]
    pub resample: ResampleKind,
    /// Norm before each relu.
    #[serde(default)]
    pub norm: NormSpec,
    /// A reparameterization of the weights.
    #[serde(default)]
    pub weight: WeightNormSpec,
    /// The first block of a critic: no relu before the first convolution.
    #[serde(default)]
    pub first: bool,
}
/// Which way a residual block changes the side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResampleKind {
    /// The side stays.
    #[default]
    None,
    /// The side doubles.
    Up,
    /// The side halves.
    Down,
}

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

/// A residual block of masked convolutions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "MaskedResidualSpec", transform = or_integer)]
pub struct MaskedResidualSpec {
    /// The side of the middle kernel, an odd number; 3 where nothing is said.
    #[serde(default = "GatedStackSpec::kernel")]
    pub kernel: u32,
}

/// Vectors of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "EmbeddingSpec", transform = or_integer)]
pub struct EmbeddingSpec {
    /// The length of a symbol's vector.
    pub width: u32,
    /// Whether each place adds a learned vector of its own, without which attention does not know of order.
    #[serde(default)]
    pub positions: bool,
}

/// A recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "RecurrentSpec", transform = or_integer)]
pub struct RecurrentSpec {
    /// The length of the state.
    pub width: u32,
}

/// A block of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "BlockSpec", transform = or_integer)]
pub struct BlockSpec {
    /// Heads of the attention; they divide the width.
    pub heads: u32,
    /// The share of what each half adds that dropout silences in training.
    #[serde(default = "zero_probability")]
    pub dropout: Probability,
}

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
    fn kernel() -> u32 {
        3
    }
    fn first() -> u32 {
        7
    }
}

/// An LSTM over a map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "MapLstmSpec", transform = or_integer)]
pub struct MapLstmSpec {
    /// Its units, of each direction; the colors of the data divide them.
    pub hidden: u32,
}

/// Where and how the label enters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LabelSpec {
    /// What the one-hot label passes through first; nothing where empty.
    #[serde(default)]
    pub layers: Vec<LayerSpec>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    struct File {
        layers: Vec<LayerSpec>,
    }

    fn read(toml: &str) -> Result<File, String> {
        toml::from_str(toml).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn a_bare_number_is_a_layers_main_number_and_the_whole_table_is_written_back() {
        let bare = r"layers = [{ linear = 8 }, { dropout = 0.3 }, { gaussian-noise = 1 }, { upsample = 2 }, { leaky-relu = 0.1 },
            { reshape = [128, 7, 7] }, { group-norm = 4 }, { residual = 16 }]";
        let whole = r"layers = [{ linear = { out = 8 } }, { dropout = { rate = 0.3 } }, { gaussian-noise = { std = 1.0 } },
            { upsample = { factor = 2 } }, { leaky-relu = { slope = 0.1 } }, { reshape = [128, 7, 7] },
            { group-norm = { groups = 4 } }, { residual = { out = 16 } }]";
        let file = read(bare).expect("bare numbers are fine");
        assert_eq!(file, read(whole).expect("tables are fine"));
        let written = toml::to_string(&file).expect("it can be written");
        assert!(written.contains("out = 8") && written.contains("bias = true"), "{written}");
        assert_eq!(read(&written).expect("what is written can be read"), file);
    }

    #[test]
    fn a_wrong_value_says_what_both_shapes_are() {
        let wrong = |layer: &str| read(&format!("layers = [{layer}]")).expect_err(layer);
        assert_eq!(
            wrong("{ linear = \"8\" }"),
            "invalid type: string \"8\", expected the count of outputs, or a table with `out`"
        );
        assert_eq!(wrong("{ dropout = 1.5 }"), "expected a number from 0 to 1, got 1.5");
        assert_eq!(wrong("{ linear = -1 }"), "invalid value: integer `-1`, expected u32");
        assert_eq!(
            wrong("{ linear = { outs = 3 } }"),
            "unknown field `outs`, expected one of `out`, `bias`, `init`, `weight`"
        );
    }

    #[test]
    fn the_schema_knows_both_shapes() {
        let schema = serde_json::to_value(schemars::schema_for!(LayerSpec)).expect("a schema is JSON");
        let linear = &schema["$defs"]["LinearSpec"]["anyOf"];
        assert_eq!(linear[0]["type"], "integer");
        assert_eq!(linear[1]["type"], "object");
        assert_eq!(linear[1]["required"][0], "out");
        assert_eq!(schema["$defs"]["DropoutSpec"]["anyOf"][0]["type"], "number");
    }
}
