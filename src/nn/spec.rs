//! What a TOML says of a network: a preset or a list of layers, and how weights begin.

use super::layer::gated_stack::GatedStackSpec;
use crate::base::{NonNegative, Positive, Probability, a_player_each, bare_number, or_number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::layer::LayerSpec;
pub use super::layer::activation::{ActivationSpec, SlopeSpec};
pub use super::layer::batch_norm::BatchNormSpec;
pub use super::layer::conv::ConvSpec;
pub use super::layer::group_norm::GroupsSpec;
pub use super::layer::pool::PoolKind;
pub use super::layer::virtual_batch_norm::ReferenceSpec;
pub use super::weight::WeightNormSpec;

bare_number!(GainSpec, gain, "a gain above 0, or a table with `gain`");

bare_number!(StdSpec, std, "a standard deviation of 0 or more, or a table with `std`");

bare_number!(BoundSpec, bound, "a bound of 0 or more, or a table with `bound`");

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
    /// The factor; 1 by default.
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

/// The default of shares that are off.
pub(super) fn zero_probability() -> Probability {
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
    /// After each stage; by default, relu in the generator and leaky relu (0.2) in the discriminator.
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
    /// Norm inside the blocks; by default, batch norm in the generator and none in the discriminator.
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
