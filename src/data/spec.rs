//! What a TOML says of data: the choice of a source, and its two uses.

use super::cifar::CifarSpec;
use super::distribution::{
    BarsSpec, GaussianSpec, GridSpec, LinearGaussianSpec, MixtureSpec, ParallelLinesSpec, RingSpec, SwissRollSpec,
    TwoMoonsSpec, UniformSpec,
};
use super::folder::FolderSpec;
use super::idx::IdxSpec;
use super::known::DatasetSpec;
use super::markov::MarkovSpec;
use super::shapes::ShapesSpec;
use super::table::CsvSpec;
use super::text::TextSpec;
use super::{DataError, DataInfo, DataRoots, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where examples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum DataSpec {
    /// A Gaussian of any dimension.
    Gaussian(GaussianSpec),
    /// Gaussians on a circle.
    Ring(RingSpec),
    /// Gaussians on a square grid.
    Grid(GridSpec),
    /// Gaussians at listed centers.
    Mixture(MixtureSpec),
    /// A spiral in the plane.
    SwissRoll(SwissRollSpec),
    /// Two half circles that reach into each other.
    TwoMoons(TwoMoonsSpec),
    /// A vertical segment at an offset (arXiv:1701.07875, example 1).
    ParallelLines(ParallelLinesSpec),
    /// The same density everywhere in a cube.
    Uniform(UniformSpec),
    /// A Gaussian of few directions and noise, whose likelihood is known.
    LinearGaussian(LinearGaussianSpec),
    /// Images of bars, whose entropy is known.
    Bars(BarsSpec),
    /// Sequences of symbols, each drawn by the few before it, whose entropy is known.
    Markov(MarkovSpec),
    /// The embedded set of drawn shapes: nothing to download, everything known of each image.
    Shapes(ShapesSpec),
    /// A known set, described in `datasets/NAME.toml`.
    Dataset(DatasetSpec),
    /// Images in IDX files, as MNIST has them.
    Idx(IdxSpec),
    /// Images in the binary records of CIFAR.
    Cifar(CifarSpec),
    /// A folder of pictures, a folder a class where there are folders.
    Folder(FolderSpec),
    /// Rows of a table.
    Csv(CsvSpec),
    /// Pieces of a text, as places of its symbols.
    Text(TextSpec),
}

impl DataSpec {
    /// Whether examples come from files, which have to be found.
    pub fn reads_files(&self) -> bool {
        matches!(
            self,
            Self::Dataset(_) | Self::Idx(_) | Self::Cifar(_) | Self::Folder(_) | Self::Csv(_) | Self::Text(_)
        )
    }

    /// What is known before an example is read: no more than headers and lists of files are looked at.
    ///
    /// # Errors
    /// If the spec contradicts itself, or data is missing or wrong.
    pub fn info(&self, roots: &DataRoots) -> Result<DataInfo, DataError> {
        match self {
            Self::Gaussian(spec) => Ok(spec.law()?.info),
            Self::Ring(spec) => Ok(spec.law()?.info),
            Self::Grid(spec) => Ok(spec.law()?.info),
            Self::Mixture(spec) => Ok(spec.law()?.info),
            Self::SwissRoll(spec) => Ok(spec.law()?.info),
            Self::TwoMoons(spec) => Ok(spec.law()?.info),
            Self::ParallelLines(spec) => Ok(spec.law()?.info),
            Self::Uniform(spec) => Ok(spec.law()?.info),
            Self::LinearGaussian(spec) => Ok(spec.law()?.info),
            Self::Bars(spec) => Ok(spec.law()?.info),
            Self::Markov(spec) => Ok(spec.open()?.info),
            Self::Shapes(spec) => spec.info(),
            Self::Dataset(spec) => {
                let (spec, roots) = spec.resolve(roots)?;
                spec.info(&roots)
            }
            Self::Idx(spec) => spec.info(roots),
            Self::Cifar(spec) => spec.info(roots),
            Self::Folder(spec) => spec.info(roots),
            Self::Csv(spec) => spec.info(roots),
            Self::Text(spec) => spec.info(roots),
        }
    }

    /// The source itself; data sets are read into memory as bytes.
    ///
    /// # Errors
    /// As [`Self::info`], and where an example cannot be read.
    pub fn open(&self, roots: &DataRoots) -> Result<Box<dyn Source>, DataError> {
        Ok(match self {
            Self::Gaussian(spec) => Box::new(spec.law()?),
            Self::Ring(spec) => Box::new(spec.law()?),
            Self::Grid(spec) => Box::new(spec.law()?),
            Self::Mixture(spec) => Box::new(spec.law()?),
            Self::SwissRoll(spec) => Box::new(spec.law()?),
            Self::TwoMoons(spec) => Box::new(spec.law()?),
            Self::ParallelLines(spec) => Box::new(spec.law()?),
            Self::Uniform(spec) => Box::new(spec.law()?),
            Self::LinearGaussian(spec) => Box::new(spec.law()?),
            Self::Bars(spec) => Box::new(spec.law()?),
            Self::Markov(spec) => Box::new(spec.open()?),
            Self::Shapes(spec) => Box::new(spec.open()?),
            Self::Dataset(spec) => {
                let (spec, roots) = spec.resolve(roots)?;
                spec.open(&roots)?
            }
            Self::Idx(spec) => Box::new(spec.open(roots)?),
            Self::Cifar(spec) => Box::new(spec.open(roots)?),
            Self::Folder(spec) => Box::new(spec.open(roots)?),
            Self::Csv(spec) => Box::new(spec.open(roots)?),
            Self::Text(spec) => Box::new(spec.open(roots)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_documents_every_source_and_every_key() {
        let schema = schemars::schema_for!(DataSpec);
        let mut undocumented = Vec::new();
        let mut sources = 0;
        for arm in schema.get("oneOf").and_then(|arms| arms.as_array()).expect("a choice") {
            sources += 1;
            assert!(arm.get("description").is_some(), "{arm}");
        }
        for (name, spec) in schema.get("$defs").and_then(|defs| defs.as_object()).expect("specs") {
            for (key, about) in spec.get("properties").and_then(|keys| keys.as_object()).into_iter().flatten() {
                if about.get("description").is_none() {
                    undocumented.push(format!("{name}.{key}"));
                }
            }
        }
        assert_eq!((sources, undocumented), (18, Vec::<String>::new()));
    }

    #[test]
    fn a_wrong_key_names_those_there_are() {
        let error = toml::from_str::<DataSpec>("[ring]\nmode = 8\n").expect_err("a wrong key");
        assert_eq!(error.message(), "unknown field `mode`, expected one of `modes`, `radius`, `std`, `scale`");
        let error = toml::from_str::<DataSpec>("[gaussian]\nmean = 'four'\n").expect_err("a wrong kind of value");
        let expected = "invalid type: string \"four\", expected a number, or a list with a number for each dimension";
        assert_eq!(error.message(), expected);
    }
}
