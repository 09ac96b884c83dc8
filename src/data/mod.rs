//! Where examples come from: distributions made on the fly, an embedded set of drawn shapes, and data sets read in place.
//! Host memory only; nothing here knows of models or of training.

pub mod catalog; // the known sets: listed, fetched, checked, looked at
pub mod cifar;
pub(crate) mod density; // of what is known exactly
pub mod distribution;
mod error;
pub mod folder;
pub mod idx;
pub mod images; // what all image sets share: options, bytes in memory, batches
pub mod interval;
pub mod known; // datasets/*.toml
pub mod markov;
pub mod shapes; // the embedded set
pub mod spec;
pub mod table;
pub mod text;
mod tiff;

pub use error::DataError;
pub use images::BinarizeKind;
pub use spec::DataSpec;

use crate::base::Array;
use std::path::{Path, PathBuf};

/// What is known of a source before an example is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct DataInfo {
    /// The shape of one example: `[d]`, or `[channels, height, width]` for images.
    pub shape: Vec<usize>,
    /// How many classes the labels name; 0 where there are none.
    pub classes: usize,
    /// The names of the classes, where they have names.
    pub class_names: Vec<String>,
    /// How many training examples there are; `None` for a distribution.
    pub len: Option<u64>,
    /// The range that examples lie in, where it is bounded (images: -1 to 1).
    pub range: Option<(f32, f32)>,
    /// How many values a number takes, evenly spaced over `range` (images: 256); `None` where it can take any.
    pub levels: Option<u32>,
    /// How pixels became black or white, where they did.
    pub binarized: Option<BinarizeKind>,
    /// The symbols that numbers stand for, in their order, where examples are texts; none elsewhere.
    pub symbols: Vec<char>,
    /// How many symbols each training text has that examples are cut from; none elsewhere.
    pub texts: Vec<u64>,
    /// What is known exactly.
    pub truth: Truth,
}

impl DataInfo {
    /// Examples of this shape of which nothing else is known.
    pub fn new(shape: Vec<usize>) -> Self {
        Self {
            shape,
            classes: 0,
            class_names: vec![],
            len: None,
            range: None,
            levels: None,
            binarized: None,
            symbols: vec![],
            texts: vec![],
            truth: Truth::Unknown,
        }
    }

    /// Whether examples are pictures.
    pub fn is_image(&self) -> bool {
        self.shape.len() == 3
    }

    /// Whether examples are texts: places of symbols, one after the other.
    pub fn is_text(&self) -> bool {
        !self.symbols.is_empty()
    }

    /// The symbols that an example of a text stands for.
    pub fn text(&self, example: &[f32]) -> String {
        let symbol = |&place: &f32| self.symbols.get(place as usize).copied().unwrap_or(char::REPLACEMENT_CHARACTER);
        example.iter().map(symbol).collect()
    }
}

/// What is known exactly of a distribution; metrics that need it say so where it is missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// Nothing but examples.
    Unknown,
    /// N(mean, std²) in one dimension.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// A mixture of round Gaussians.
    Modes {
        /// The centres.
        centers: Vec<Vec<f64>>,
        /// The standard deviation of each, in each dimension.
        std: f64,
        /// The share of each; they sum to 1.
        weights: Vec<f64>,
    },
    /// N(0, covariance).
    Gaussian {
        /// A row a dimension.
        covariance: Vec<Vec<f64>>,
    },
    /// Bars of black and white, in rows or in columns.
    Bars {
        /// Height and width of an image.
        side: usize,
    },
    /// A chain of symbols, each drawn by the ones before it.
    Chain(Box<markov::Chain>),
    /// The embedded shapes: `shapes::classify` scores an image exactly.
    Shapes(shapes::ShapesSpec),
}

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What training sees.
    Train,
    /// What is held out; sources without such a part answer with the training part, and say so in their protocol.
    Test,
}

/// Examples with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// `[n, …]`.
    pub x: Array,
    /// `n` labels, or none.
    pub labels: Vec<i64>,
}

impl Examples {
    /// One row per example, with its label last if it has one.
    pub fn csv(&self) -> String {
        let refused = "a vector takes any bytes, and all rows have as many fields";
        let mut writer = csv::Writer::from_writer(Vec::new());
        for i in 0..self.x.rows() {
            let numbers = self.x.row(i).iter().map(f32::to_string);
            writer.write_record(numbers.chain(self.labels.get(i).map(i64::to_string))).expect(refused);
        }
        String::from_utf8(writer.into_inner().expect(refused)).expect("numbers are text")
    }
}

/// Where data files are looked for, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataRoots {
    /// Folders: `[data]` paths are relative to the experiment's file first, then to each of these.
    pub folders: Vec<PathBuf>,
}

impl DataRoots {
    /// These folders, each once.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        let mut once: Vec<PathBuf> = Vec::with_capacity(folders.len());
        for folder in folders {
            if !once.contains(&folder) {
                once.push(folder);
            }
        }
        Self { folders: once }
    }

    /// The folders of an experiment: that of its file, those that it names relative to its file, then these.
    #[must_use]
    pub fn beside(&self, file: &Path, named: &[PathBuf]) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let named = named.iter().map(|name| folder.join(name));
        Self::new(std::iter::once(folder.to_owned()).chain(named).chain(self.folders.iter().cloned()).collect())
    }

    /// Where a path may lie: itself if absolute, else under each folder, or the current one where there are none.
    pub fn candidates(&self, path: &Path) -> Vec<PathBuf> {
        if path.is_absolute() || self.folders.is_empty() {
            return vec![path.to_owned()];
        }
        self.folders.iter().map(|folder| folder.join(path)).collect()
    }

    /// The first place where something lies under this path.
    ///
    /// # Errors
    /// If there is none, with all the places.
    pub fn find(&self, path: &Path) -> Result<PathBuf, DataError> {
        let looked = self.candidates(path);
        looked.iter().find(|place| place.exists()).cloned().ok_or_else(|| DataError::Missing {
            what: path.display().to_string(),
            looked: looked.clone(),
            remedy: "write a path from the experiment's folder or a data folder (GANTLET_DATA)".to_owned(),
        })
    }
}

/// An opened source.
pub trait Source: Send + Sync {
    /// What is known of it.
    fn info(&self) -> &DataInfo;

    /// Training batch number `draw` of the run with this seed: a pure function of its arguments. `labels.len()` is the
    /// number of examples, `x` holds that many rows; labels stay untouched where the source has none. Data sets go through
    /// a new permutation each epoch (`rng::permuted`), batch after batch without a gap; distributions draw anew from
    /// `Stream::new(seed, Purpose::Data, 0, draw)`.
    fn draw(&self, seed: u64, draw: u64, x: &mut [f32], labels: &mut [i64]);

    /// `n` examples to hold samples against (all of a data set where it has fewer), the same for the same seed.
    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples;

    /// The training texts from end to end, with their classes, where examples are cut from texts; none elsewhere.
    fn texts(&self) -> Vec<(Vec<f32>, i64)> {
        vec![]
    }

    /// Whether there is a held-out part; where there is none, `reference` answers with the training part.
    fn has_test(&self) -> bool {
        true
    }
}

/// Which training example stands at place `position` of the stream of epochs, each a new permutation.
pub(crate) fn example_at(seed: u64, position: u64, len: u64) -> usize {
    usize::try_from(crate::rng::permuted(seed, position / len, position % len, len))
        .expect("an index below a length in memory")
}

/// The first `n` of a permutation of a part with `len` examples, apart from those of training.
pub(crate) fn reference_order(seed: u64, n: usize, len: usize) -> impl Iterator<Item = usize> {
    let count = len as u64;
    (0..n.min(len) as u64).map(move |i| {
        usize::try_from(crate::rng::permuted(seed, u64::MAX, i, count)).expect("an index below a length in memory")
    })
}
