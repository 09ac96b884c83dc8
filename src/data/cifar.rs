//! The binary records of CIFAR-10 and CIFAR-100 (<https://www.cs.toronto.edu/~kriz/cifar.html>): one or two label bytes,
//! then 32×32 pixels of red, of green, of blue.

use super::images::{Head, ImageSet, image_spec, is_packed, unpacked, unreadable};
use super::{DataError, DataInfo, DataRoots};
use crate::base::file::FileError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::{Path, PathBuf};

image_spec! {
    /// Images in the binary records of CIFAR, plain or gzip.
    pub struct CifarSpec {
        /// Which records.
        #[serde(default)]
        pub records: Records,
        /// The files of the training part, in their order.
        pub files: Vec<PathBuf>,
        /// The files held out.
        #[serde(default)]
        pub test_files: Vec<PathBuf>,
        /// The names of the labels from 0 on.
        #[serde(default)]
        pub class_names: Vec<String>,
    }
}

/// The layout of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Records {
    /// A label of ten, then the pixels.
    #[default]
    Cifar10,
    /// A coarse label of twenty, which is passed over, a fine label of a hundred, then the pixels.
    Cifar100,
}

impl Records {
    fn classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }
}

/// The pixels of an image.
const PIXELS: usize = 3 * 32 * 32;

impl CifarSpec {
    /// What is known from the sizes of the files.
    ///
    /// # Errors
    /// If a file is missing or no whole number of records, or the options contradict it.
    pub fn info(&self, roots: &DataRoots) -> Result<DataInfo, DataError> {
        self.check()?;
        let options = self.options();
        if options.needs_labels() {
            return options.info(&self.part(&self.files, roots)?.0);
        }
        let mut count = 0;
        for (i, file) in self.files.iter().chain(&self.test_files).enumerate() {
            let records = self.records_of(&roots.find(file)?)?;
            count += if i < self.files.len() { records } else { 0 };
        }
        options.info(&self.head(count, Vec::new()))
    }

    /// The images in memory.
    ///
    /// # Errors
    /// As [`Self::info`], and where a label is out of range.
    pub fn open(&self, roots: &DataRoots) -> Result<ImageSet, DataError> {
        self.check()?;
        let train = self.part(&self.files, roots)?;
        let test = if self.test_files.is_empty() { None } else { Some(self.part(&self.test_files, roots)?) };
        ImageSet::new(&self.options(), train, test)
    }

    fn check(&self) -> Result<(), DataError> {
        let (names, classes) = (self.class_names.len(), self.records.classes());
        if self.files.is_empty() {
            return Err(DataError::Spec("cifar: expected at least one file in `files`".to_owned()));
        }
        if names != 0 && names != classes {
            return Err(DataError::Spec(format!("cifar: expected {classes} names in `class-names`, got {names}")));
        }
        Ok(())
    }

    fn head(&self, count: usize, labels: Vec<i64>) -> Head {
        let (classes, class_names) = (self.records.classes(), self.class_names.clone());
        Head { shape: [3, 32, 32], classes, class_names, count, labels }
    }

    /// How many records a file has, by its size where it is not packed.
    fn records_of(&self, path: &Path) -> Result<usize, DataError> {
        let bytes = if is_packed(path)? {
            std::io::copy(&mut unpacked(path)?, &mut std::io::sink()).map_err(unreadable(path))?
        } else {
            std::fs::metadata(path).map_err(FileError::at("cannot read", path))?.len()
        };
        self.whole(path, usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn whole(&self, path: &Path, bytes: usize) -> Result<usize, DataError> {
        let record = self.records.label_bytes() + PIXELS;
        if bytes == 0 {
            return Err(DataError::wrong(path, "is empty"));
        }
        if !bytes.is_multiple_of(record) {
            let problem = format!(
                "is truncated or no file of these records: {bytes} bytes are {} records of {record} bytes and {} more",
                bytes / record,
                bytes % record
            );
            return Err(DataError::wrong(path, problem));
        }
        Ok(bytes / record)
    }

    fn part(&self, files: &[PathBuf], roots: &DataRoots) -> Result<(Head, Vec<u8>), DataError> {
        let (mut labels, mut pixels) = (Vec::new(), Vec::new());
        let skip = self.records.label_bytes();
        for file in files {
            let path = roots.find(file)?;
            let mut bytes = Vec::new();
            unpacked(&path)?.read_to_end(&mut bytes).map_err(unreadable(&path))?;
            let count = self.whole(&path, bytes.len())?;
            pixels.reserve(count * PIXELS);
            for (i, record) in bytes.chunks_exact(skip + PIXELS).enumerate() {
                let label = record[skip - 1];
                if usize::from(label) >= self.records.classes() {
                    let last = self.records.classes() - 1;
                    let problem = format!(
                        "is no file of these records: label {label} of record {i}, but labels go from 0 to {last}"
                    );
                    return Err(DataError::wrong(&path, problem));
                }
                labels.push(i64::from(label));
                pixels.extend_from_slice(&record[skip..]);
            }
        }
        Ok((self.head(labels.len(), labels), pixels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSpec, Split};

    /// Records of this many label bytes whose pixels are all their number, `red` in the first channel.
    fn records(labels: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (i, label) in (0..).zip(labels) {
            bytes.extend_from_slice(label);
            bytes.extend([200; 1024]);
            bytes.extend([i; 2048]);
        }
        bytes
    }

    fn written(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, DataRoots) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("a file of the test");
        }
        let roots = DataRoots { folders: vec![folder.path().to_owned()] };
        (folder, roots)
    }

    fn spec(text: &str) -> DataSpec {
        toml::from_str(&format!("cifar = {{ {text} }}")).expect("a spec of the test")
    }

    #[test]
    fn records_of_several_files_are_one_set() {
        let (_folder, roots) =
            written(&[("a", records(&[&[3], &[7]])), ("b", records(&[&[9]])), ("t", records(&[&[0]]))]);
        let spec = spec("files = ['a', 'b'], test-files = ['t']");
        let info = spec.info(&roots).expect("a good set");
        assert_eq!((info.shape.clone(), info.classes, info.len), (vec![3, 32, 32], 10, Some(3)));
        let source = spec.open(&roots).expect("a good set");
        assert_eq!(*source.info(), info);
        let all = source.reference(Split::Train, 0, 9);
        let mut labels = all.labels.clone();
        labels.sort_unstable();
        assert_eq!(labels, [3, 7, 9]);
        assert_eq!((all.x.row(0)[0], all.x.row(0)[1023]), ((200.0 / 255.0 - 0.5) / 0.5, (200.0 / 255.0 - 0.5) / 0.5));
        assert_eq!(source.reference(Split::Test, 0, 9).labels, [0]);
    }

    #[test]
    fn the_fine_label_of_cifar100_counts() {
        let (_folder, roots) = written(&[("a", records(&[&[19, 99], &[0, 5]]))]);
        let spec = spec("records = 'cifar100', files = ['a'], classes = [99]");
        assert_eq!(spec.info(&roots).expect("a good set").len, Some(1));
        assert_eq!(spec.open(&roots).expect("a good set").reference(Split::Train, 0, 9).labels, [0]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_one_sentence() {
        let fail = |bytes: Vec<u8>| {
            let (folder, roots) = written(&[("a", bytes)]);
            let error = spec("files = ['a']").open(&roots).err().expect("a wrong file");
            assert!(!error.is_spec_mistake());
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        };
        let good = records(&[&[1], &[2]]);
        assert_eq!(
            fail(good[..5000].to_vec()),
            "a is truncated or no file of these records: 5000 bytes are 1 records of 3073 bytes and 1927 more"
        );
        assert_eq!(fail(Vec::new()), "a is empty");
        assert_eq!(
            fail(records(&[&[1], &[12]])),
            "a is no file of these records: label 12 of record 1, but labels go from 0 to 9"
        );
    }
}
