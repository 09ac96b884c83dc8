//! Presets as lists of layers, so that there is one implementation of everything.

use super::count;
use super::layer::gated_stack::GatedStackSpec;
use super::layer::linear::LinearSpec;
use super::layer::map_lstm::MapLstmSpec;
use super::layer::masked_conv::{MaskKind, MaskedConvSpec};
use super::layer::masked_residual::MaskedResidualSpec;
use super::layer::noise::DropoutSpec;
use super::layer::pool::GlobalPoolSpec;
use super::layer::residual::{ResampleKind, ResidualSpec};
use super::plan::{Role, Wiring};
use super::spec::{
    ActivationSpec, BatchNormSpec, ConvSpec, DcganSpec, LayerSpec, MlpSpec, NetworkSpec, NormSpec, PixelcnnNetworkSpec,
    PixelrnnSpec, ResnetSpec, WeightNormSpec,
};
use crate::base::Problem;

impl NetworkSpec {
    /// The key under which the network is written.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Mlp(_) => "mlp",
            Self::Dcgan(_) => "dcgan",
            Self::Resnet(_) => "resnet",
            Self::Pixelcnn(_) => "pixelcnn",
            Self::RowLstm(_) => "row-lstm",
            Self::DiagonalBilstm(_) => "diagonal-bilstm",
            Self::Layers(_) => "layers",
        }
    }

    /// Numbers of a preset that may not be 0, by their keys.
    pub(super) fn counts(&self) -> Vec<(String, u32)> {
        let named = |counts: &[(&str, u32)]| counts.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
        match self {
            Self::Mlp(spec) => (0..).zip(&spec.hidden).map(|(i, n): (usize, _)| (format!("hidden.{i}"), *n)).collect(),
            Self::Dcgan(spec) => named(&[("channels", spec.channels)]),
            Self::Resnet(spec) => named(&[("channels", spec.channels)]),
            Self::Pixelcnn(spec) => named(&[("channels", spec.channels), ("layers", spec.layers), ("head", spec.head)]),
            Self::RowLstm(spec) | Self::DiagonalBilstm(spec) => {
                named(&[("hidden", spec.hidden), ("layers", spec.layers), ("head", spec.head)])
            }
            Self::Layers(_) => vec![],
        }
    }

    /// The layers that the network stands for.
    ///
    /// # Errors
    /// If the preset cannot make or take data of the given shape.
    pub fn expand(&self, wiring: &Wiring) -> Result<Vec<LayerSpec>, Problem> {
        match self {
            Self::Mlp(spec) => Ok(mlp(spec, wiring)),
            Self::Dcgan(spec) => match wiring.role {
                Role::Generator | Role::Decoder => dcgan_generator(spec, wiring),
                Role::Discriminator | Role::Encoder => dcgan_discriminator(spec, wiring),
                Role::Autoencoder | Role::Predictor => Err(no_autoencoder("dcgan")),
            },
            Self::Resnet(spec) => match wiring.role {
                Role::Generator | Role::Decoder => resnet_generator(spec, wiring),
                Role::Discriminator | Role::Encoder => resnet_discriminator(spec, wiring),
                Role::Autoencoder | Role::Predictor => Err(no_autoencoder("resnet")),
            },
            Self::Pixelcnn(_) | Self::RowLstm(_) | Self::DiagonalBilstm(_) if wiring.role != Role::Predictor => {
                let message = format!("{} says what comes next of an image, and this is no predictor", self.tag());
                Err(Problem::at(self.tag(), message).with_help("take another preset, or write `layers`"))
            }
            Self::Pixelcnn(spec) => pixelcnn(spec, wiring),
            Self::RowLstm(spec) => pixelrnn(spec, wiring, self.tag(), LayerSpec::RowLstm),
            Self::DiagonalBilstm(spec) => pixelrnn(spec, wiring, self.tag(), LayerSpec::DiagonalBilstm),
            Self::Layers(layers) => Ok(layers.clone()),
        }
    }
}

fn no_autoencoder(preset: &str) -> Problem {
    let message = format!("{preset} goes from latents to data or from data to numbers, and here goes data to data");
    Problem::at(preset, message).with_help("write `layers`, or take `mlp` with a narrow hidden layer")
}

impl NormSpec {
    /// The norm as a layer; none for `none`.
    pub(super) fn layer(self) -> Option<LayerSpec> {
        Some(match self {
            Self::None => return None,
            Self::Batch => LayerSpec::BatchNorm(BatchNormSpec::default()),
            Self::Layer => LayerSpec::LayerNorm,
            Self::Instance => LayerSpec::InstanceNorm,
            Self::Group(groups) => LayerSpec::GroupNorm(groups),
            Self::VirtualBatch(reference) => LayerSpec::VirtualBatchNorm(reference),
        })
    }
}

fn spectral(on: bool) -> WeightNormSpec {
    if on { WeightNormSpec::Spectral } else { WeightNormSpec::Plain }
}

fn linear(out: usize, bias: bool, weight: WeightNormSpec) -> LayerSpec {
    // A count beyond 32 bits is caught where the layer meets the shape that is wanted.
    LayerSpec::Linear(LinearSpec { out: u32::try_from(out).unwrap_or(u32::MAX), bias, init: None, weight })
}

fn mlp(spec: &MlpSpec, wiring: &Wiring) -> Vec<LayerSpec> {
    let weight = spectral(spec.spectral_norm);
    let mut layers = Vec::new();
    for &width in &spec.hidden {
        layers.push(linear(width as usize, true, weight));
        layers.extend(spec.norm.layer());
        layers.extend(spec.activation.layer());
        if spec.dropout.get() > 0.0 {
            layers.push(LayerSpec::Dropout(DropoutSpec { rate: spec.dropout }));
        }
    }
    layers.push(linear(count(&wiring.output), true, weight));
    layers.extend(spec.output.layer());
    layers
}

fn pixelcnn(spec: &PixelcnnNetworkSpec, wiring: &Wiring) -> Result<Vec<LayerSpec>, Problem> {
    let too_many = || Problem::at("pixelcnn.channels", format!("{} channels are too many", spec.channels));
    let mut layers = if spec.gated {
        let PixelcnnNetworkSpec { channels, layers, kernel, first, .. } = *spec;
        vec![LayerSpec::GatedStack(GatedStackSpec { channels, layers, kernel, first })]
    } else {
        vec![masked(spec.channels.checked_mul(2).ok_or_else(too_many)?, spec.first, MaskKind::A)]
    };
    if !spec.gated {
        let block = || LayerSpec::MaskedResidual(MaskedResidualSpec { kernel: spec.kernel });
        layers.extend((0..spec.layers).map(|_| block()));
    }
    layers.extend(levels(spec.head, wiring).ok_or_else(too_many)?);
    Ok(layers)
}

fn pixelrnn(
    spec: &PixelrnnSpec,
    wiring: &Wiring,
    tag: &str,
    layer: fn(MapLstmSpec) -> LayerSpec,
) -> Result<Vec<LayerSpec>, Problem> {
    let too_many = || Problem::at(format!("{tag}.hidden"), format!("{} units are too many", spec.hidden));
    let mut layers = vec![masked(spec.hidden.checked_mul(2).ok_or_else(too_many)?, spec.first, MaskKind::A)];
    layers.extend((0..spec.layers).map(|_| layer(MapLstmSpec { hidden: spec.hidden })));
    layers.extend(levels(spec.head, wiring).ok_or_else(too_many)?);
    Ok(layers)
}

fn masked(out: u32, kernel: u32, mask: MaskKind) -> LayerSpec {
    LayerSpec::MaskedConv(MaskedConvSpec { out, kernel, mask, init: None })
}

/// The last layers, which say the logits of levels; none where these are too many.
fn levels(head: u32, wiring: &Wiring) -> Option<[LayerSpec; 4]> {
    let out = u32::try_from(wiring.output[0]).ok()?;
    Some([LayerSpec::Relu, masked(head, 1, MaskKind::B), LayerSpec::Relu, masked(out, 1, MaskKind::B)])
}

/// Channels, the side that the pyramid starts from, and how often it doubles to reach the image's side.
struct Pyramid {
    image_channels: u32,
    start: u32,
    doublings: u32,
}

impl Pyramid {
    fn of(preset: &str, shape: &[usize], smallest: usize) -> Result<Self, Problem> {
        let problem = |message: String| Problem {
            path: preset.to_owned(),
            message,
            help: Some("take another preset, or resize the images in [data]".to_owned()),
        };
        let &[channels, height, width] = shape else {
            return Err(problem(format!(
                "{preset} is for images [channels, height, width], but the data has shape {shape:?}"
            )));
        };
        if height != width || !(height == 28 || height.is_power_of_two() && height >= smallest) {
            let text = format!(
                "{preset} is for square images whose side is 28 or a power of two from {smallest} on, but the data is {height}×{width}"
            );
            return Err(problem(text));
        }
        let start = if height == 28 { 7 } else { 4 };
        let image_channels =
            u32::try_from(channels).map_err(|_| problem(format!("{channels} channels are too many")))?;
        Ok(Self { image_channels, start, doublings: (height / start as usize).ilog2() })
    }
}

fn too_big(preset: &str, channels: u32) -> Problem {
    Problem {
        path: format!("{preset}.channels"),
        message: format!("{channels} channels at the image grow beyond what can be counted towards the small end"),
        help: None,
    }
}

/// The convolution that halves a side, or doubles it where transposed.
fn halving(spec: &DcganSpec, out: u32, bias: bool, weight: WeightNormSpec, transposed: bool) -> ConvSpec {
    let odd = spec.kernel % 2;
    let padding = (spec.kernel.saturating_sub(2) + odd) / 2;
    let output_padding = if transposed { odd } else { 0 };
    ConvSpec { out, kernel: spec.kernel, stride: 2, padding, output_padding, bias, init: None, weight }
}

fn dcgan_kernel(spec: &DcganSpec) -> Result<(), Problem> {
    if spec.kernel >= 2 {
        return Ok(());
    }
    Err(Problem {
        path: "dcgan.kernel".to_owned(),
        message: format!("a kernel of {} cannot halve a side", spec.kernel),
        help: Some("take 4 (the Torch ports) or 5 (the paper)".to_owned()),
    })
}

fn dcgan_generator(spec: &DcganSpec, wiring: &Wiring) -> Result<Vec<LayerSpec>, Problem> {
    let pyramid = Pyramid::of("dcgan", &wiring.output, 8)?;
    dcgan_kernel(spec)?;
    let activation = spec.activation.unwrap_or(ActivationSpec::Relu);
    let bias = spec.norm == NormSpec::None;
    let plain = WeightNormSpec::Plain;
    let mut channels =
        spec.channels.checked_shl(pyramid.doublings - 1).filter(|c| c >> (pyramid.doublings - 1) == spec.channels);
    let mut layers = Vec::new();
    if let Some(channels) = channels {
        let side = pyramid.start;
        layers.push(linear(channels as usize * side as usize * side as usize, bias, plain));
        layers.push(LayerSpec::Reshape(vec![channels, side, side]));
    }
    for _ in 1..pyramid.doublings {
        layers.extend(spec.norm.layer());
        layers.extend(activation.layer());
        channels = channels.map(|c| c / 2);
        layers.push(LayerSpec::ConvTranspose(halving(spec, channels.unwrap_or(0), bias, plain, true)));
    }
    channels.ok_or_else(|| too_big("dcgan", spec.channels))?;
    layers.extend(spec.norm.layer());
    layers.extend(activation.layer());
    layers.push(LayerSpec::ConvTranspose(halving(spec, pyramid.image_channels, bias, plain, true)));
    layers.extend(spec.output.layer());
    Ok(layers)
}

fn dcgan_discriminator(spec: &DcganSpec, wiring: &Wiring) -> Result<Vec<LayerSpec>, Problem> {
    let pyramid = Pyramid::of("dcgan", &wiring.input, 8)?;
    dcgan_kernel(spec)?;
    let activation = spec.activation.unwrap_or(ActivationSpec::LeakyRelu(super::spec::SlopeSpec::default()));
    let bias = spec.norm == NormSpec::None;
    let weight = spectral(spec.spectral_norm);
    let mut layers = Vec::new();
    let mut channels = spec.channels;
    for stage in 0..pyramid.doublings {
        if stage > 0 {
            channels = channels.checked_mul(2).ok_or_else(|| too_big("dcgan", spec.channels))?;
        }
        layers.push(LayerSpec::Conv(halving(spec, channels, bias, weight, false)));
        if stage > 0 {
            layers.extend(spec.norm.layer());
        }
        layers.extend(activation.layer());
    }
    layers.push(linear(count(&wiring.output), bias, weight));
    Ok(layers)
}

fn resnet_generator(spec: &ResnetSpec, wiring: &Wiring) -> Result<Vec<LayerSpec>, Problem> {
    let pyramid = Pyramid::of("resnet", &wiring.output, 8)?;
    let norm = spec.norm.unwrap_or(NormSpec::Batch);
    let plain = WeightNormSpec::Plain;
    let (out, side) = (spec.channels, pyramid.start);
    let mut layers = vec![
        linear(out as usize * side as usize * side as usize, true, plain),
        LayerSpec::Reshape(vec![out, side, side]),
    ];
    for _ in 0..pyramid.doublings {
        layers.push(LayerSpec::Residual(ResidualSpec {
            out,
            resample: ResampleKind::Up,
            norm,
            weight: plain,
            first: false,
        }));
    }
    layers.extend(norm.layer());
    layers.push(LayerSpec::Relu);
    layers.push(LayerSpec::Conv(ConvSpec {
        out: pyramid.image_channels,
        kernel: 3,
        stride: 1,
        padding: 1,
        output_padding: 0,
        bias: true,
        init: None,
        weight: plain,
    }));
    layers.extend(spec.output.layer());
    Ok(layers)
}

fn resnet_discriminator(spec: &ResnetSpec, wiring: &Wiring) -> Result<Vec<LayerSpec>, Problem> {
    let pyramid = Pyramid::of("resnet", &wiring.input, 16)?;
    let norm = spec.norm.unwrap_or(NormSpec::None);
    let weight = spectral(spec.spectral_norm);
    // A pyramid that starts from 4 stops one stage earlier, at 8; that of 28 goes down to its 7.
    let downs = if pyramid.start == 4 { pyramid.doublings - 1 } else { pyramid.doublings };
    let block =
        |resample, first| LayerSpec::Residual(ResidualSpec { out: spec.channels, resample, norm, weight, first });
    let mut layers = vec![block(ResampleKind::Down, true)];
    layers.extend((1..downs).map(|_| block(ResampleKind::Down, false)));
    layers.extend((0..2).map(|_| block(ResampleKind::None, false)));
    layers.push(LayerSpec::Relu);
    layers.push(LayerSpec::GlobalPool(GlobalPoolSpec { by: spec.pool }));
    layers.push(linear(count(&wiring.output), true, weight));
    Ok(layers)
}
