//! What all image sets share: their options, bytes in memory, batches in the range that training wants.

use super::interval::Interval;
use super::{DataError, DataInfo, Examples, Source, Split, Truth, example_at, reference_order};
use crate::base::Array;
use crate::base::file::FileError;
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Declares the spec of an image set: its own fields, then those that all image sets have.
macro_rules! image_spec {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
            /// What black and white become. The default, (v − 0.5) / 0.5 for v from 0 to 1, suits a tanh.
            #[serde(default = "crate::data::images::normalize")]
            pub normalize: crate::data::interval::Interval,
            /// Only these labels, numbered anew in this order; all where the list is empty.
            #[serde(default)]
            pub classes: Vec<u32>,
            /// Only the first so many training examples (after the choice of classes).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub limit: Option<std::num::NonZeroU64>,
            /// So many black pixels added at each side: 2 makes 32 of 28.
            #[serde(default)]
            pub pad: u32,
            /// Makes every pixel black or white; nothing said leaves it gray.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub binarize: Option<crate::data::images::BinarizeKind>,
        }
        impl $name {
            /// The options that all image sets share.
            pub(crate) fn options(&self) -> crate::data::images::Options {
                crate::data::images::Options {
                    normalize: self.normalize,
                    classes: self.classes.clone(),
                    limit: self.limit,
                    pad: self.pad,
                    binarize: self.binarize,
                }
            }
        }
    };
}
pub(crate) use image_spec;

pub(crate) fn normalize() -> Interval {
    Interval::of(-1.0, 1.0)
}

/// What all image sets can be asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub normalize: Interval,
    pub classes: Vec<u32>,
    pub limit: Option<std::num::NonZeroU64>,
    pub pad: u32,
    pub binarize: Option<BinarizeKind>,
}

/// How pixels become black or white. What they become is what `normalize` says of black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BinarizeKind {
    /// White from half of the brightness on: the same image every time.
    Threshold,
    /// White as often as it is bright, drawn anew whenever an image is drawn (the dynamic binarization of
    /// arXiv:1509.00519); held-out images are drawn once, the same for all runs.
    Sampled,
}

impl BinarizeKind {
    /// Its name in a protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Sampled => "sampled",
        }
    }

    /// Makes pixels that lie in `range` black or white.
    pub(crate) fn apply(self, range: Interval, stream: &mut Stream, x: &mut [f32]) {
        let (low, high) = (range.low as f32, range.high as f32);
        for value in x {
            let brightness = (*value - low) / (high - low);
            let white = match self {
                Self::Threshold => brightness >= 0.5,
                // A pixel of 1 is above every number that is drawn, one of 0 above none.
                Self::Sampled => stream.uniform() < brightness,
            };
            *value = if white { high } else { low };
        }
    }
}

/// The numbers that decide over a training batch's pixels.
pub(crate) fn batch_stream(seed: u64, draw: u64) -> Stream {
    Stream::new(seed, Purpose::Data, 1, draw)
}

/// The numbers that decide over the pixels of reference examples.
pub(crate) fn reference_stream(split: Split, seed: u64) -> Stream {
    let part = match split {
        Split::Train => 0,
        Split::Test => 1,
    };
    Stream::new(seed, Purpose::Eval, 0xB1A, part)
}

/// What is known of a part of a set before its pixels are read.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Channels, height, width, before padding.
    pub shape: [usize; 3],
    /// How many labels there are names or numbers for; 0 without labels.
    pub classes: usize,
    pub class_names: Vec<String>,
    /// Examples before the choice of classes.
    pub count: usize,
    /// One an example, or none.
    pub labels: Vec<i64>,
}

/// The bytes of a part, as they are stored: channel after channel, row after row.
#[derive(Debug)]
pub(crate) struct Part {
    pub pixels: Vec<u8>,
    pub labels: Vec<i64>,
}

impl Part {
    fn len(&self, row: usize) -> usize {
        self.pixels.len() / row
    }
}

impl Options {
    /// Whether the labels must be known to say how many examples there are.
    pub fn needs_labels(&self) -> bool {
        !self.classes.is_empty()
    }

    /// What these options make of a set.
    pub fn info(&self, head: &Head) -> Result<DataInfo, DataError> {
        if self.normalize.low >= self.normalize.high {
            return Err(DataError::Spec("`normalize` expects [low, high] with low below high".to_owned()));
        }
        if self.pad > 1024 {
            return Err(DataError::Spec(format!("`pad` expects at most 1024 pixels, got {}", self.pad)));
        }
        self.check_classes(head)?;
        // Without a choice of classes nothing is looked at: a header may promise what no memory holds.
        let most = self.limit.map_or(usize::MAX, |n| usize::try_from(n.get()).unwrap_or(usize::MAX));
        let kept = if self.classes.is_empty() { head.count.min(most) } else { self.kept(head, true).len() };
        if kept == 0 {
            return Err(DataError::Spec(format!("no example is left of {} after the choice of classes", head.count)));
        }
        let pad = 2 * self.pad as usize;
        let class_names = if self.classes.is_empty() || head.class_names.is_empty() {
            head.class_names.clone()
        } else {
            self.classes.iter().map(|&class| head.class_names[class as usize].clone()).collect()
        };
        Ok(DataInfo {
            shape: vec![head.shape[0], head.shape[1] + pad, head.shape[2] + pad],
            classes: if self.classes.is_empty() { head.classes } else { self.classes.len() },
            class_names,
            len: Some(kept as u64),
            range: Some((self.normalize.low as f32, self.normalize.high as f32)),
            levels: Some(if self.binarize.is_some() { 2 } else { 256 }),
            binarized: self.binarize,
            symbols: vec![],
            texts: vec![],
            truth: Truth::Unknown,
        })
    }

    fn check_classes(&self, head: &Head) -> Result<(), DataError> {
        if self.classes.is_empty() {
            return Ok(());
        }
        if head.classes == 0 {
            return Err(DataError::Spec("`classes` chooses labels, but this set has none".to_owned()));
        }
        for (i, &class) in self.classes.iter().enumerate() {
            if class as usize >= head.classes {
                let last = head.classes - 1;
                return Err(DataError::Spec(format!("`classes` names label {class}, but labels go from 0 to {last}")));
            }
            if self.classes[..i].contains(&class) {
                return Err(DataError::Spec(format!("`classes` names label {class} twice")));
            }
        }
        Ok(())
    }

    /// Which examples stay, in their order.
    fn kept(&self, head: &Head, training: bool) -> Vec<usize> {
        let limit =
            self.limit.filter(|_| training).map_or(usize::MAX, |n| usize::try_from(n.get()).unwrap_or(usize::MAX));
        (0..head.count)
            .filter(|&i| self.classes.is_empty() || self.label(head.labels[i]).is_some())
            .take(limit)
            .collect()
    }

    /// The label that a stored one becomes, if it stays.
    fn label(&self, stored: i64) -> Option<i64> {
        if self.classes.is_empty() {
            return Some(stored);
        }
        self.classes.iter().position(|&class| i64::from(class) == stored).map(|place| place as i64)
    }

    /// The pixels and labels that stay, with their margin.
    fn apply(&self, head: &Head, pixels: Vec<u8>, training: bool) -> Part {
        let kept = self.kept(head, training);
        let labels = if head.labels.is_empty() {
            Vec::new()
        } else {
            kept.iter().filter_map(|&i| self.label(head.labels[i])).collect()
        };
        let [channels, height, width] = head.shape;
        if kept.len() == head.count && self.pad == 0 {
            return Part { pixels, labels };
        }
        let pad = self.pad as usize;
        let (wide, high) = (width + 2 * pad, height + 2 * pad);
        let mut out = vec![0; kept.len() * channels * wide * high];
        for (place, &i) in kept.iter().enumerate() {
            for line in 0..channels * height {
                let from = (i * channels * height + line) * width;
                let to = ((place * channels + line / height) * high + line % height + pad) * wide + pad;
                out[to..to + width].copy_from_slice(&pixels[from..from + width]);
            }
        }
        Part { pixels: out, labels }
    }
}

/// An image set in memory, as bytes.
#[derive(Debug)]
pub struct ImageSet {
    info: DataInfo,
    normalize: Interval,
    train: Part,
    test: Option<Part>,
}

impl ImageSet {
    /// The set of these heads with their pixels, under the options.
    pub(crate) fn new(
        options: &Options,
        train: (Head, Vec<u8>),
        test: Option<(Head, Vec<u8>)>,
    ) -> Result<Self, DataError> {
        let info = options.info(&train.0)?;
        let mut set = Self {
            info,
            normalize: options.normalize,
            train: options.apply(&train.0, train.1, true),
            test: test.map(|(head, pixels)| options.apply(&head, pixels, false)),
        };
        // A held-out part of which nothing is left is none.
        let row = set.row();
        set.test = set.test.filter(|part| part.len(row) > 0);
        Ok(set)
    }

    /// The set whose parts are ready.
    pub(crate) fn of_parts(info: DataInfo, normalize: Interval, train: Part, test: Option<Part>) -> Self {
        Self { info, normalize, train, test }
    }

    fn row(&self) -> usize {
        self.info.shape.iter().product()
    }

    fn copy(&self, part: &Part, i: usize, x: &mut [f32]) {
        let row = x.len();
        convert(&part.pixels[i * row..(i + 1) * row], self.normalize, x);
    }
}

/// What bytes become: `(v / 255 − 0.5) / 0.5` for the default range.
pub(crate) fn convert(bytes: &[u8], range: Interval, out: &mut [f32]) {
    let (low, span) = (range.low as f32, (range.high - range.low) as f32);
    for (value, &byte) in out.iter_mut().zip(bytes) {
        *value = f32::from(byte) / 255.0 * span + low;
    }
}

/// Images as they would be stored: each number of `range` at the nearest of so many levels, what lies beyond at its end. What
/// is no finite number stays what it is.
pub fn at_levels(images: &Array, range: (f32, f32), levels: u32) -> Array {
    let (low, span, last) = (range.0, range.1 - range.0, (levels - 1) as f32);
    let level = |&v: &f32| {
        let stored = ((v - low) / span * last).round().clamp(0.0, last) / last * span + low;
        if v.is_finite() { stored } else { v }
    };
    Array::new(images.shape.clone(), images.data.iter().map(level).collect())
}

impl Source for ImageSet {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn draw(&self, seed: u64, draw: u64, x: &mut [f32], labels: &mut [i64]) {
        let (row, n) = (self.row(), labels.len());
        let len = self.train.len(row) as u64;
        for (j, (x, label)) in x.chunks_exact_mut(row).zip(labels.iter_mut()).enumerate() {
            let i = example_at(seed, draw * n as u64 + j as u64, len);
            self.copy(&self.train, i, x);
            if let Some(&known) = self.train.labels.get(i) {
                *label = known;
            }
        }
        if let Some(kind) = self.info.binarized {
            kind.apply(self.normalize, &mut batch_stream(seed, draw), x);
        }
    }

    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples {
        let part = match split {
            Split::Train => &self.train,
            Split::Test => self.test.as_ref().unwrap_or(&self.train),
        };
        let row = self.row();
        let order: Vec<usize> = reference_order(seed, n, part.len(row)).collect();
        let mut x = Array::zeros([&[order.len()], &self.info.shape[..]].concat());
        for (&i, x) in order.iter().zip(x.data.chunks_exact_mut(row)) {
            self.copy(part, i, x);
        }
        if let Some(kind) = self.info.binarized {
            kind.apply(self.normalize, &mut reference_stream(split, seed), &mut x.data);
        }
        Examples { x, labels: order.iter().filter_map(|&i| part.labels.get(i).copied()).collect() }
    }

    fn has_test(&self) -> bool {
        self.test.is_some()
    }
}

/// Whether a file is gzip, by its first two bytes.
pub(crate) fn is_packed(path: &Path) -> Result<bool, DataError> {
    let mut file = File::open(path).map_err(FileError::at("cannot read", path))?;
    let mut magic = [0; 2];
    Ok(file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b])
}

/// A packed file may come to this many bytes whatever its size, and beyond it to [`MOST_RATIO`] times its size: what
/// claims more is made to fill the memory, or broken.
const FREE: u64 = 32 << 20;
/// Sets of images come to 2 to 20 times their packed size; deflate's limit is 1032.
const MOST_RATIO: u64 = 200;

/// How many bytes a packed file may come to.
pub(crate) fn most_unpacked(path: &Path) -> Result<u64, DataError> {
    let size = std::fs::metadata(path).map_err(FileError::at("cannot read", path))?.len();
    Ok(FREE.max(size.saturating_mul(MOST_RATIO)))
}

/// A file's bytes as they come, unpacked where it is gzip.
pub(crate) fn unpacked(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let packed = is_packed(path)?;
    let file = File::open(path).map_err(FileError::at("cannot read", path))?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(if packed {
        Box::new(Bounded { inner: flate2::bufread::MultiGzDecoder::new(file), left: most_unpacked(path)? })
    } else {
        Box::new(file)
    })
}

/// A reader that gives no more than was thought possible.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            let text = format!("it comes to more than {MOST_RATIO} times its size, as no data set does");
            std::io::Error::new(std::io::ErrorKind::InvalidData, text)
        })?;
        Ok(n)
    }
}

/// An error maker for reading what [`unpacked`] gives: a broken archive says so.
pub(crate) fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> DataError + '_ {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    move |error| match error.kind() {
        UnexpectedEof => DataError::wrong(path, "is truncated: its compressed data ends early"),
        InvalidData | InvalidInput => DataError::wrong(path, format!("cannot be unpacked: {error}")),
        _ => DataError::File(FileError::at("cannot read", path)(error)),
    }
}
