//! IDX files, as MNIST has them (<http://yann.lecun.com/exdb/mnist/>): a magic number, sizes, bytes; plain or gzip.

use super::images::{Head, ImageSet, image_spec, unpacked, unreadable};
use super::{DataError, DataInfo, DataRoots};
use std::io::Read;
use std::path::{Path, PathBuf};

image_spec! {
    /// Images in IDX files, plain or gzip.
    pub struct IdxSpec {
        /// The images: unsigned bytes, `[n, height, width]`.
        pub images: PathBuf,
        /// Their labels; none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub labels: Option<PathBuf>,
        /// The images held out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub test_images: Option<PathBuf>,
        /// Their labels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub test_labels: Option<PathBuf>,
        /// The names of the labels from 0 on; where they are given, a label without a name is an error.
        #[serde(default)]
        pub class_names: Vec<String>,
    }
}

/// The magic numbers of unsigned bytes in three dimensions and in one.
const IMAGES: [u8; 4] = [0, 0, 8, 3];
const LABELS: [u8; 4] = [0, 0, 8, 1];

impl IdxSpec {
    /// What is known from the headers and the labels.
    ///
    /// # Errors
    /// If a file is missing or not what it should be, or the options contradict it.
    pub fn info(&self, roots: &DataRoots) -> Result<DataInfo, DataError> {
        let (_, train) = self.head(&self.images, self.labels.as_deref(), roots)?;
        if let Some(images) = &self.test_images {
            agree(&train, &self.head(images, self.test_labels.as_deref(), roots)?.1)?;
        }
        self.options().info(&train)
    }

    /// The images in memory.
    ///
    /// # Errors
    /// As [`Self::info`], and where a file ends early.
    pub fn open(&self, roots: &DataRoots) -> Result<ImageSet, DataError> {
        let train = self.part(&self.images, self.labels.as_deref(), roots)?;
        self.options().info(&train.0)?;
        let test = match &self.test_images {
            Some(images) => Some(self.part(images, self.test_labels.as_deref(), roots)?),
            None => None,
        };
        if let Some((test, _)) = &test {
            agree(&train.0, test)?;
        }
        ImageSet::new(&self.options(), train, test)
    }

    fn part(&self, images: &Path, labels: Option<&Path>, roots: &DataRoots) -> Result<(Head, Vec<u8>), DataError> {
        let (path, head) = self.head(images, labels, roots)?;
        let pixels = read(&path, IMAGES)?.1;
        Ok((head, pixels))
    }

    fn head(&self, images: &Path, labels: Option<&Path>, roots: &DataRoots) -> Result<(PathBuf, Head), DataError> {
        let images = roots.find(images)?;
        let mut file = unpacked(&images)?;
        let sizes = header(&mut file, &images, IMAGES)?;
        let (count, height, width) = (sizes[0], sizes[1], sizes[2]);
        if count == 0 || height == 0 || width == 0 {
            return Err(DataError::wrong(
                &images,
                format!("holds no pixels: its header says {count} images of {height}×{width}"),
            ));
        }
        let mut head =
            Head { shape: [1, height, width], classes: 0, class_names: Vec::new(), count, labels: Vec::new() };
        if let Some(labels) = labels {
            let path = roots.find(labels)?;
            let sizes = header(&mut unpacked(&path)?, &path, LABELS)?;
            if sizes[0] != count {
                let problem = format!("has {} labels for the {count} images of {}", sizes[0], images.display());
                return Err(DataError::wrong(&path, problem));
            }
            let (_, bytes) = read(&path, LABELS)?;
            let most = bytes.iter().copied().max().map_or(0, usize::from);
            if !self.class_names.is_empty() && most >= self.class_names.len() {
                let at = bytes.iter().position(|&label| usize::from(label) >= self.class_names.len()).unwrap_or(0);
                let last = self.class_names.len() - 1;
                let problem =
                    format!("is out of range: label {} of example {at}, but labels go from 0 to {last}", bytes[at]);
                return Err(DataError::wrong(&path, problem));
            }
            head.classes = if self.class_names.is_empty() { most + 1 } else { self.class_names.len() };
            head.class_names.clone_from(&self.class_names);
            head.labels = bytes.iter().map(|&label| i64::from(label)).collect();
        }
        Ok((images, head))
    }
}

/// What is held out must look like what is trained on.
fn agree(train: &Head, test: &Head) -> Result<(), DataError> {
    if train.shape != test.shape {
        let [[_, h, w], [_, height, width]] = [train.shape, test.shape];
        return Err(DataError::Spec(format!("idx: training images are {h}×{w}, those held out {height}×{width}")));
    }
    if test.classes > train.classes && train.classes > 0 {
        let (label, last) = (test.classes - 1, train.classes - 1);
        return Err(DataError::Spec(format!(
            "idx: a held-out example has label {label}, those of training end at {last}"
        )));
    }
    Ok(())
}

/// The sizes of the dimensions, after the magic number.
fn header(file: &mut dyn Read, path: &Path, magic: [u8; 4]) -> Result<Vec<usize>, DataError> {
    let dimensions = usize::from(magic[3]);
    let mut bytes = Vec::new();
    file.take(4 + 4 * dimensions as u64).read_to_end(&mut bytes).map_err(unreadable(path))?;
    let what = if dimensions == 3 { "images" } else { "labels" };
    if !bytes.starts_with(&magic) {
        let found = hex(&bytes[..bytes.len().min(4)]);
        let problem = format!("is no IDX file of {what}: it begins with {found}, expected {}", hex(&magic));
        return Err(DataError::wrong(path, problem));
    }
    if bytes.len() < 4 + 4 * dimensions {
        return Err(DataError::wrong(path, "is truncated: it ends within its header"));
    }
    let size = |word: &[u8]| u32::from_be_bytes(word.try_into().expect("words of four bytes")) as usize;
    Ok(bytes[4..].chunks_exact(4).map(size).collect())
}

/// The sizes, and all bytes after the header: exactly as many as it says.
fn read(path: &Path, magic: [u8; 4]) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let mut file = unpacked(path)?;
    let sizes = header(&mut file, path, magic)?;
    let expected = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let expected = expected
        .filter(|&bytes| bytes < 1 << 40)
        .ok_or_else(|| DataError::wrong(path, format!("has sizes in its header that no file has: {sizes:?}")))?;
    // What the header promises is not reserved ahead, so that a broken one costs no memory.
    let mut bytes = Vec::new();
    file.take(expected as u64 + 1).read_to_end(&mut bytes).map_err(unreadable(path))?;
    if bytes.len() < expected {
        let problem = format!(
            "is truncated: its header promises {expected} bytes of {}, there are {}",
            unit(&sizes),
            bytes.len()
        );
        return Err(DataError::wrong(path, problem));
    }
    if bytes.len() > expected {
        return Err(DataError::wrong(
            path,
            format!("goes on after the {expected} bytes of {} that its header promises", unit(&sizes)),
        ));
    }
    Ok((sizes, bytes))
}

fn unit(sizes: &[usize]) -> String {
    match sizes {
        [n, height, width] => format!("{n} images of {height}×{width}"),
        _ => "labels".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSpec, Split};
    use std::io::Write as _;

    fn idx(magic: [u8; 4], sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut all = magic.to_vec();
        sizes.iter().for_each(|size| all.extend(size.to_be_bytes()));
        all.extend(bytes);
        all
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).expect("memory takes bytes");
        packed.finish().expect("memory takes bytes")
    }

    /// Six images of 2×3 whose pixels all are 50 times their number; labels 0 1 2 0 1 2.
    fn folder(images: &[u8], labels: &[u8]) -> (tempfile::TempDir, DataRoots) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("images"), images).expect("a file of the test");
        std::fs::write(folder.path().join("labels"), labels).expect("a file of the test");
        let roots = DataRoots { folders: vec![folder.path().to_owned()] };
        (folder, roots)
    }

    fn images() -> Vec<u8> {
        idx(IMAGES, &[6, 2, 3], &(0..6).flat_map(|i| [50 * i; 6]).collect::<Vec<u8>>())
    }

    fn labels() -> Vec<u8> {
        idx(LABELS, &[6], &[0, 1, 2, 0, 1, 2])
    }

    fn spec(options: &str) -> DataSpec {
        toml::from_str(&format!("[idx]\nimages = 'images'\nlabels = 'labels'\n{options}")).expect("a spec of the test")
    }

    #[test]
    fn a_set_reads_the_same_plain_and_packed() {
        for (images, labels) in [(images(), labels()), (gzip(&images()), gzip(&labels()))] {
            let (_folder, roots) = folder(&images, &labels);
            let spec = spec("");
            let info = spec.info(&roots).expect("a good set");
            assert_eq!(
                (info.shape.clone(), info.classes, info.len, info.range),
                (vec![1, 2, 3], 3, Some(6), Some((-1.0, 1.0)))
            );
            let source = spec.open(&roots).expect("a good set");
            assert_eq!(*source.info(), info);
            let all = source.reference(Split::Test, 5, 100);
            assert!(!source.has_test());
            assert_eq!(all.x.shape, [6, 1, 2, 3]);
            for i in 0..6 {
                // A pixel tells the example, 50 i, and that its label.
                let example = ((all.x.row(i)[5] * 0.5 + 0.5) * 255.0 / 50.0).round();
                assert_eq!(all.x.row(i)[0], (50.0 * example / 255.0 - 0.5) / 0.5);
                assert_eq!(all.labels[i], example as i64 % 3);
            }
        }
    }

    #[test]
    fn options_choose_classes_limit_pad_and_range() {
        let (_folder, roots) = folder(&images(), &labels());
        let spec = spec("classes = [2, 0]\nlimit = 3\npad = 1\nnormalize = [0, 1]\nclass-names = ['a', 'b', 'c']");
        let source = spec.open(&roots).expect("a good set");
        let info = source.info();
        assert_eq!((info.shape.clone(), info.classes, info.len), (vec![1, 4, 5], 2, Some(3)));
        assert_eq!((info.class_names.clone(), info.range), (vec!["c".to_owned(), "a".to_owned()], Some((0.0, 1.0))));
        // Examples 0, 2 and 3 stay; label 2 became 0, label 0 became 1.
        let all = source.reference(Split::Train, 0, 9);
        let mut seen: Vec<(i64, i64)> =
            (0..3).map(|i| ((all.x.row(i)[6] * 255.0 / 50.0).round() as i64, all.labels[i])).collect();
        seen.sort_unstable();
        assert_eq!(seen, [(0, 1), (2, 0), (3, 1)]);
        for i in 0..3 {
            let sum: f32 = all.x.row(i).iter().sum();
            assert!((sum - 6.0 * all.x.row(i)[6]).abs() < 1e-6, "the margin is black");
        }
    }

    #[test]
    fn an_epoch_meets_every_example_once_across_batches() {
        let (_folder, roots) = folder(&images(), &labels());
        let source = spec("").open(&roots).expect("a good set");
        // Batches of 4 over 6 examples: three batches are two epochs.
        let mut seen = Vec::new();
        for draw in 0..3 {
            let (mut x, mut labels) = (vec![0.0; 24], vec![-1; 4]);
            source.draw(11, draw, &mut x, &mut labels);
            seen.extend(x.chunks(6).map(|x| ((x[0] * 0.5 + 0.5) * 255.0 / 50.0).round() as i64));
            assert!(labels.iter().all(|label| (0..3).contains(label)));
        }
        let (mut first, mut second) = (seen[..6].to_vec(), seen[6..].to_vec());
        assert_ne!(first, second);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!((first, second), ((0..6).collect(), (0..6).collect()));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_one_sentence() {
        let fail = |images: &[u8], labels: &[u8]| {
            let (folder, roots) = folder(images, labels);
            let error = spec("class-names = ['a', 'b', 'c']").open(&roots).err().expect("a wrong file");
            assert!(!error.is_spec_mistake());
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(
            fail(&labels(), &labels()),
            "images is no IDX file of images: it begins with 00 00 08 01, expected 00 00 08 03"
        );
        assert_eq!(
            fail(&[], &labels()),
            "images is no IDX file of images: it begins with nothing, expected 00 00 08 03"
        );
        assert_eq!(fail(&images()[..10], &labels()), "images is truncated: it ends within its header");
        assert_eq!(
            fail(&images()[..40], &labels()),
            "images is truncated: its header promises 36 bytes of 6 images of 2×3, there are 24"
        );
        assert_eq!(
            fail(&[&images()[..], &[0]].concat(), &labels()),
            "images goes on after the 36 bytes of 6 images of 2×3 that its header promises"
        );
        let packed = gzip(&images());
        assert_eq!(fail(&packed[..packed.len() - 9], &labels()), "images is truncated: its compressed data ends early");
        assert_eq!(fail(&images(), &idx(LABELS, &[5], &[0; 5])), "labels has 5 labels for the 6 images of images");
        assert_eq!(
            fail(&images(), &idx(LABELS, &[6], &[0, 1, 2, 9, 0, 0])),
            "labels is out of range: label 9 of example 3, but labels go from 0 to 2"
        );
        assert_eq!(
            fail(&idx(IMAGES, &[u32::MAX; 3], &[]), &idx(LABELS, &[u32::MAX], &[])),
            "labels is truncated: its header promises 4294967295 bytes of labels, there are 0"
        );
    }

    #[test]
    fn a_missing_file_lists_where_was_looked() {
        let roots = DataRoots { folders: vec!["/nowhere/a".into(), "/nowhere/b".into()] };
        let error = spec("").info(&roots).expect_err("nothing is there");
        assert!(!error.is_spec_mistake());
        assert_eq!(
            error.to_string(),
            "images is missing: looked at /nowhere/a/images, /nowhere/b/images; \
             write a path from the experiment's folder or a data folder (GANTLET_DATA)"
        );
    }

    #[test]
    fn wrong_options_are_mistakes_of_the_spec() {
        let (_folder, roots) = folder(&images(), &labels());
        let mistake = |options: &str| {
            let error = spec(options).info(&roots).expect_err("a wrong option");
            assert!(error.is_spec_mistake());
            error.to_string()
        };
        assert_eq!(mistake("classes = [7]"), "`classes` names label 7, but labels go from 0 to 2");
        assert_eq!(mistake("classes = [1, 1]"), "`classes` names label 1 twice");
        std::fs::write(roots.folders[0].join("other"), idx(IMAGES, &[1, 3, 2], &[0; 6])).expect("a file of the test");
        assert_eq!(mistake("test-images = 'other'"), "idx: training images are 2×3, those held out 3×2");
        assert_eq!(mistake("normalize = [1, 1]"), "`normalize` expects [low, high] with low below high");
    }
}
