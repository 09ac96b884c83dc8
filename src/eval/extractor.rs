//! What turns examples into features.

use super::judge::Judge;
use super::rows::Rows;
use crate::base::Array;
use crate::data::DataInfo;
use crate::data::interval::Interval;
use crate::rng::{Purpose, Stream};
use nalgebra::{DMatrix, DMatrixView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// What makes features of an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum ExtractorSpec {
    /// Low-dimensional examples as they are.
    Values,
    /// Images as they are, all values in a row.
    Pixels,
    /// A fixed random convolutional network with 128 features.
    ///
    /// Three convolutions without bias, each followed by max(0, x): 32 kernels of side 4, stride 2, padding 1; 64 of side 4,
    /// stride 2, padding 1; 32 of side 3, stride 1, padding 1. Then each channel's mean over each quarter of the image (upper
    /// left, upper right, lower left, lower right; the middle line of an odd side belongs to the second half). Weights are
    /// N(0, 2 / fan-in) of the stream (seed 0, evaluation, index 0x4000 + layer, step 0), in the order output channel, row,
    /// column, input channel. The protocol holds the start of their BLAKE3 hash.
    RandomConv,
    /// A network in a TorchScript file: a classifier that this program trained and exported, or one of your own. The protocol
    /// holds the start of the file's BLAKE3 hash.
    ///
    /// A module with a method `features` gives features by it and the logits of classes by `forward`. Of any other, `forward`
    /// gives the features, or features and logits as a pair. It is asked for 64 examples at a time, on the CPU.
    Torchscript(TorchscriptSpec),
}

/// A network in a TorchScript file, and what it wants to be fed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TorchscriptSpec {
    /// The file, looked for as the files of `[data]` are.
    pub file: PathBuf,
    /// What the names of values end in, as in `frechet/mnist-classifier`; by default the file's name without its
    /// extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The values that black and white have for the network, where they are not those of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Interval>,
    /// The side to which images are resized, bilinearly and without aliasing, where the network needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<NonZeroU32>,
    /// Repeats a gray image in three channels.
    #[serde(default)]
    pub color: bool,
}

/// The smallest side of images for the random network: a quarter of the last map is not empty.
pub(super) const SIDE: usize = 8;

/// The seed of the random network and the first of its layers' streams: part of what the number is.
const SEED: u64 = 0;
const STREAM: u32 = 0x4000;

impl ExtractorSpec {
    /// As behind the names of metrics.
    pub(super) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Values => "values".into(),
            Self::Pixels => "pixels".into(),
            Self::RandomConv => "random-conv".into(),
            Self::Torchscript(spec) => match &spec.name {
                Some(name) => name.into(),
                None => spec.file.file_stem().unwrap_or_default().to_string_lossy(),
            },
        }
    }

    /// What it is for such data.
    ///
    /// # Errors
    /// If it cannot be loaded, or is not for such data.
    pub(super) fn extractor(&self, info: &DataInfo) -> Result<Extractor, String> {
        Ok(match self {
            Self::Values | Self::Pixels => Extractor { name: self.name().into(), network: Network::None },
            Self::RandomConv => {
                let network = Convolutions::random(info.shape[0]);
                Extractor {
                    name: format!("{} blake3={}", self.name(), network.checksum()),
                    network: Network::Convolutions(network),
                }
            }
            Self::Torchscript(spec) => {
                let judge = Judge::load(spec, info)?;
                Extractor { name: format!("{} blake3={}", self.name(), judge.checksum), network: Network::Judge(judge) }
            }
        })
    }
}

/// Makes features of examples.
pub(super) struct Extractor {
    /// As in the protocol: with the start of its weights' hash where it has weights.
    pub(super) name: String,
    network: Network,
}

enum Network {
    None,
    Convolutions(Convolutions),
    Judge(Judge),
}

/// What an extractor gives.
pub(super) struct Features {
    /// A row an example.
    pub(super) rows: Rows,
    /// The logits of classes, where it gives them.
    pub(super) logits: Option<Rows>,
}

impl Extractor {
    /// A row of features for each of these examples. What an example gives does not depend on the others.
    ///
    /// # Errors
    /// If its network fails.
    pub(super) fn features(&self, x: &Array, places: &[usize]) -> Result<Features, String> {
        match &self.network {
            Network::None => Ok(Features { rows: Rows::of(x, places), logits: None }),
            Network::Convolutions(network) => {
                let &[_, _, height, width] = &x.shape[..] else { unreachable!("only images come here") };
                let features = places.iter().flat_map(|&i| network.features(x.row(i), height, width));
                let data: Vec<f64> = features.map(f64::from).collect();
                Ok(Features { rows: Rows { count: places.len(), width: network.len(), data }, logits: None })
            }
            Network::Judge(judge) => {
                let (rows, logits) = judge.features(x, places)?;
                Ok(Features { rows, logits })
            }
        }
    }
}

/// A convolution without bias. A row of weights an output channel, in the order row, column, input channel.
struct Convolution {
    weights: DMatrix<f32>,
    side: usize,
    stride: usize,
}

/// Convolutions, each followed by max(0, x), then the means over quarters.
struct Convolutions(Vec<Convolution>);

/// Channels of an image, side by side at each place.
struct Map {
    data: Vec<f32>,
    height: usize,
    width: usize,
    channels: usize,
}

impl Convolutions {
    fn random(channels: usize) -> Self {
        let mut inputs = channels;
        let layer = |(i, (channels, side, stride)): (u32, (usize, usize, usize))| {
            let fan_in = side * side * inputs;
            let mut weights = vec![0.0; channels * fan_in];
            let std = (2.0 / fan_in as f32).sqrt();
            Stream::new(SEED, Purpose::Eval, STREAM + i, 0).fill_normal(&mut weights, 0.0, std);
            inputs = channels;
            Convolution { weights: DMatrix::from_row_slice(channels, fan_in, &weights), side, stride }
        };
        Self((0..).zip([(32, 4, 2), (64, 4, 2), (32, 3, 1)]).map(layer).collect())
    }

    /// How many features it gives.
    fn len(&self) -> usize {
        4 * self.0.last().map_or(0, |last| last.weights.nrows())
    }

    /// The first 16 digits of the hash of all weights, layer by layer, as little-endian float32.
    fn checksum(&self) -> String {
        let rows = self.0.iter().flat_map(|layer| layer.weights.row_iter());
        let bytes = rows.flat_map(|row| row.iter().copied().collect::<Vec<_>>()).flat_map(f32::to_le_bytes);
        blake3::hash(&bytes.collect::<Vec<u8>>()).to_hex()[..16].to_owned()
    }

    /// The features of an image of whole channels, one after the other.
    fn features(&self, image: &[f32], height: usize, width: usize) -> Vec<f32> {
        let channels = image.len() / (height * width);
        let at = |i: usize| image[i % channels * height * width + i / channels];
        let mut map = Map { data: (0..image.len()).map(at).collect(), height, width, channels };
        for layer in &self.0 {
            map = layer.after(&map);
        }
        map.quarters()
    }
}

impl Convolution {
    fn after(&self, map: &Map) -> Map {
        let out = |n: usize| (n + 2 - self.side) / self.stride + 1;
        let (height, width) = (out(map.height), out(map.width));
        let fan_in = self.side * self.side * map.channels;
        // A column a place of the result, so that the convolution is one product of matrices. What lies outside is 0.
        let mut patches = vec![0.0; height * width * fan_in];
        for (place, patch) in patches.chunks_exact_mut(fan_in).enumerate() {
            let (top, left) = (place / width * self.stride, place % width * self.stride);
            // Columns of the kernel whose places lie inside; one step of padding lies before each side.
            let (from, to) = (usize::from(left == 0), self.side.min(map.width + 1 - left));
            for (k, row) in patch.chunks_exact_mut(self.side * map.channels).enumerate() {
                if let Some(y) = (top + k).checked_sub(1).filter(|&y| y < map.height) {
                    let start = (y * map.width + left + from - 1) * map.channels;
                    let inside = &map.data[start..start + (to - from) * map.channels];
                    row[from * map.channels..to * map.channels].copy_from_slice(inside);
                }
            }
        }
        let mut data = DMatrix::zeros(self.weights.nrows(), height * width);
        data.gemm(1.0, &self.weights, &DMatrixView::from_slice(&patches, fan_in, height * width), 0.0);
        data.iter_mut().for_each(|v| *v = v.max(0.0));
        Map { data: data.data.into(), height, width, channels: self.weights.nrows() }
    }
}

impl Map {
    /// The mean of each channel over each quarter, quarter by quarter.
    fn quarters(&self) -> Vec<f32> {
        let halves = |n: usize| [0..n / 2, n / 2..n];
        let mut means = Vec::with_capacity(4 * self.channels);
        for rows in halves(self.height) {
            for columns in halves(self.width) {
                let mut sums = vec![0.0; self.channels];
                for y in rows.clone() {
                    let line =
                        &self.data[(y * self.width + columns.start) * self.channels..][..columns.len() * self.channels];
                    for place in line.chunks_exact(self.channels) {
                        sums.iter_mut().zip(place).for_each(|(sum, v)| *sum += v);
                    }
                }
                let count = (rows.len() * columns.len()) as f32;
                means.extend(sums.into_iter().map(|sum: f32| sum / count));
            }
        }
        means
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::testing::{close, golden, info};

    /// `p` of the script beside this file: sin(phase + 0.7 i) / 2.
    fn waves(phase: f64, n: usize) -> Vec<f32> {
        (0..n).map(|i| ((phase + 0.7 * i as f64).sin() / 2.0) as f32).collect()
    }

    #[test]
    fn the_network_is_that_of_pytorch() {
        let weights = |mut layers: Vec<Convolution>| {
            for (layer, i) in layers.iter_mut().zip(1_u8..) {
                let (channels, fan_in) = layer.weights.shape();
                layer.weights = DMatrix::from_row_slice(channels, fan_in, &waves(f64::from(i), channels * fan_in));
            }
            Convolutions(layers)
        };
        for (name, channels, height, width) in [("gray", 1, 28, 28), ("color", 3, 16, 9)] {
            let features = weights(Convolutions::random(channels).0).features(
                &waves(9.0, channels * height * width),
                height,
                width,
            );
            let sums = |take: &dyn Fn(usize) -> bool| -> f64 {
                features.iter().enumerate().filter(|(i, _)| take(*i)).map(|(_, &v)| f64::from(v)).sum()
            };
            let close = |value: f64, what: &str| {
                let golden = golden(&format!("random-conv {name} {what}"));
                close(value, golden, 1e-5 * golden.abs());
            };
            close(f64::from(features[0]), "0");
            close(f64::from(features[127]), "127");
            close(sums(&|i| i < 32), "upper left");
            close(sums(&|i| i % 2 == 0), "even");
            close(sums(&|_| true), "sum");
        }
    }

    #[test]
    fn the_weights_are_those_that_the_protocol_names() {
        let said = |channels| {
            ExtractorSpec::RandomConv
                .extractor(&info(vec![channels, 28, 28], Truth::Unknown))
                .expect("an extractor")
                .name
        };
        assert_eq!(said(1), "random-conv blake3=a3b348961037a13a");
        assert_eq!(said(3), "random-conv blake3=3cd6c2692277d58c");
        let network = Convolutions::random(1);
        for (layer, fan_in) in network.0.iter().zip([16.0, 512.0, 576.0]) {
            let mean = |f: &dyn Fn(f64) -> f64| -> f64 {
                layer.weights.iter().map(|&v| f(f64::from(v))).sum::<f64>() / layer.weights.len() as f64
            };
            close(mean(&|v| v * v) * fan_in / 2.0, 1.0, 0.2);
        }
    }

    #[test]
    fn an_example_gives_the_same_features_in_any_company() {
        let x = Array::new(vec![4, 1, 12, 12], waves(3.0, 4 * 144));
        let extractor =
            ExtractorSpec::RandomConv.extractor(&info(vec![1, 12, 12], Truth::Unknown)).expect("an extractor");
        let rows = |places: &[usize]| extractor.features(&x, places).expect("features").rows;
        let (all, some) = (rows(&[0, 1, 2, 3]), rows(&[2]));
        assert_eq!(some.row(0), all.row(2));
        assert_ne!(all.row(0), all.row(2));
    }
}
