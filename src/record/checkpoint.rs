//! Checkpoints: named tensors in a safetensors file with a checksum, written whole or not at all, the same bytes for the
//! same content.

use super::RecordError;
use crate::base::file::{self, FileError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The key of the checksum in a file's metadata.
const CHECKSUM: &str = "checksum";
/// The key of the step in a file's metadata.
const STEP: &str = "step";

/// The numbers of a tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Bytes.
    U8(Vec<u8>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::F32(_) => 4,
            Self::F64(_) | Self::I64(_) => 8,
            Self::U8(_) => 1,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::F64(_) => "F64",
            Self::I64(_) => "I64",
            Self::U8(_) => "U8",
        }
    }

    /// Hands over the bytes, little end first, piece by piece.
    fn each_piece(&self, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        macro_rules! pieces {
            ($values:expr) => {{
                let mut piece = Vec::with_capacity(1 << 16);
                for values in $values.chunks(1 << 13) {
                    piece.clear();
                    piece.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                    take(&piece)?;
                }
                Ok(())
            }};
        }
        match self {
            Self::F32(values) => pieces!(values),
            Self::F64(values) => pieces!(values),
            Self::I64(values) => pieces!(values),
            Self::U8(values) => take(values),
        }
    }

    fn from_bytes(kind: &str, bytes: &[u8]) -> Option<Self> {
        macro_rules! numbers {
            ($arm:ident, $type:ty) => {{
                let (chunks, rest) = bytes.as_chunks();
                rest.is_empty().then(|| Self::$arm(chunks.iter().map(|chunk| <$type>::from_le_bytes(*chunk)).collect()))
            }};
        }
        match kind {
            "F32" => numbers!(F32, f32),
            "F64" => numbers!(F64, f64),
            "I64" => numbers!(I64, i64),
            "U8" => Some(Self::U8(bytes.to_vec())),
            _ => None,
        }
    }
}

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorData {
    /// The name, unique in its file.
    pub name: String,
    /// The shape; empty for a number.
    pub shape: Vec<usize>,
    /// The numbers, as many as the shape says.
    pub values: Values,
}

impl TensorData {
    /// A tensor of 32-bit floats.
    pub fn f32(name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { name: name.into(), shape, values: Values::F32(values) }
    }
}

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
    /// The tensors, by name.
    pub tensors: BTreeMap<String, TensorData>,
    /// What else was to be remembered.
    pub meta: BTreeMap<String, String>,
}

/// The file of a step in a folder of checkpoints.
pub fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("{step:08}.safetensors"))
}

/// Writes the checkpoint of a step into a folder of checkpoints, whole or not at all, and gives its path.
///
/// # Errors
/// If the disk refuses; what was there before still stands.
///
/// # Panics
/// As [`write()`].
pub fn save(
    folder: &Path,
    step: u64,
    tensors: &[TensorData],
    meta: &BTreeMap<String, String>,
) -> Result<PathBuf, RecordError> {
    let path = path(folder, step);
    let mut meta = meta.clone();
    meta.insert(STEP.to_owned(), step.to_string());
    write(&path, tensors, &meta)?;
    Ok(path)
}

/// Writes tensors with metadata as a safetensors file: sorted, checksummed, the same bytes for the same content.
///
/// # Errors
/// If the disk refuses.
///
/// # Panics
/// If two tensors share a name, or a tensor has not as many numbers as its shape says.
pub fn write(path: &Path, tensors: &[TensorData], meta: &BTreeMap<String, String>) -> Result<(), RecordError> {
    let mut sorted: Vec<&TensorData> = tensors.iter().collect();
    // Wide numbers first keeps every tensor aligned, as readers that map the file like it.
    sorted.sort_by(|a, b| b.values.width().cmp(&a.values.width()).then_with(|| a.name.cmp(&b.name)));
    let mut entries = BTreeMap::new();
    let mut end = 0;
    for tensor in &sorted {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len(), "the shape of {}", tensor.name);
        let begin = end;
        end += tensor.values.len() * tensor.values.width();
        let entry = json!({ "dtype": tensor.values.kind(), "shape": tensor.shape, "data_offsets": [begin, end] });
        assert!(entries.insert(tensor.name.clone(), entry).is_none(), "two tensors are called {}", tensor.name);
    }
    let mut hash = blake3::Hasher::new();
    hash.update(header(meta, &entries).as_bytes());
    for tensor in &sorted {
        let hashed = tensor.values.each_piece(|piece| {
            hash.update(piece);
            Ok(())
        });
        hashed.expect("a hash takes any bytes");
    }
    let mut meta = meta.clone();
    meta.insert(CHECKSUM.to_owned(), format!("blake3:{}", hash.finalize().to_hex()));
    let head = padded(header(&meta, &entries));
    file::write_atomic_with(path, |out| {
        out.write_all(&(head.len() as u64).to_le_bytes())?;
        out.write_all(head.as_bytes())?;
        sorted.iter().try_for_each(|tensor| tensor.values.each_piece(|piece| out.write_all(piece)))
    })?;
    Ok(())
}

/// The JSON at the head of a file. The checksum is taken over it (without the checksum) and the numbers, so that a
/// changed name, shape or remark is noticed like a changed number.
fn header(meta: &BTreeMap<String, String>, entries: &BTreeMap<String, Value>) -> String {
    let mut all = Map::new();
    all.insert("__metadata__".to_owned(), json!(meta));
    all.extend(entries.iter().map(|(name, entry)| (name.clone(), entry.clone())));
    Value::Object(all).to_string()
}

/// A header with the blanks behind it that bring the numbers to a multiple of eight bytes.
fn padded(mut header: String) -> String {
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    header
}

/// Reads a checkpoint and holds it against its checksum.
///
/// # Errors
/// If it cannot be read, or is not what was written.
pub fn load(path: &Path) -> Result<Checkpoint, RecordError> {
    let bytes = std::fs::read(path).map_err(FileError::at("cannot read", path))?;
    decode(&bytes).map_err(|reason| RecordError::Corrupt { path: path.to_owned(), reason })
}

fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
    let (length, rest) = bytes.split_first_chunk().ok_or("it has no header")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (head, payload) = rest.split_at_checked(length).ok_or("its header is cut off")?;
    let mut entries: BTreeMap<String, Value> =
        serde_json::from_slice(head).map_err(|error| format!("its header is no JSON: {error}"))?;
    let meta = entries.remove("__metadata__").ok_or("it has no metadata")?;
    let mut meta: BTreeMap<String, String> =
        serde_json::from_value(meta).map_err(|error| format!("its metadata make no sense: {error}"))?;
    if padded(header(&meta, &entries)).as_bytes() != head {
        // The checksum knows what the header says, not how: other blanks, or a key said twice, would pass it.
        return Err("its header is not written as gantlet writes it".to_owned());
    }
    let checksum = meta.remove(CHECKSUM).ok_or("it has no checksum")?;
    let mut hash = blake3::Hasher::new();
    hash.update(header(&meta, &entries).as_bytes()).update(payload);
    if checksum != format!("blake3:{}", hash.finalize().to_hex()) {
        return Err("its checksum does not match".to_owned());
    }
    let step = meta.get(STEP).and_then(|step| step.parse().ok()).ok_or("it does not say its step")?;
    let mut tensors = BTreeMap::new();
    for (name, entry) in entries {
        let tensor = tensor(&name, &entry, payload).ok_or_else(|| format!("its tensor {name} makes no sense"))?;
        tensors.insert(name, tensor);
    }
    Ok(Checkpoint { step, tensors, meta })
}

fn tensor(name: &str, entry: &Value, payload: &[u8]) -> Option<TensorData> {
    let size = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok());
    let shape: Vec<usize> = entry["shape"].as_array()?.iter().map(size).collect::<Option<_>>()?;
    let bytes = payload.get(size(&entry["data_offsets"][0])?..size(&entry["data_offsets"][1])?)?;
    let values = Values::from_bytes(entry["dtype"].as_str()?, bytes)?;
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    (count == Some(values.len())).then(|| TensorData { name: name.to_owned(), shape, values })
}

/// The steps that have a checkpoint in a folder, ascending.
pub fn steps(folder: &Path) -> Vec<u64> {
    let mut steps: Vec<u64> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".safetensors")?.parse().ok())
        .collect();
    steps.sort_unstable();
    steps
}

/// The newest checkpoint that is whole and suits, if there is one, and a sentence about each newer one that does not.
pub fn latest_valid(
    folder: &Path,
    suits: impl Fn(&Checkpoint) -> Result<(), String>,
) -> (Option<Checkpoint>, Vec<String>) {
    let mut warnings = Vec::new();
    for step in steps(folder).into_iter().rev() {
        let found = load(&path(folder, step)).map_err(|error| error.to_string()).and_then(|checkpoint| {
            if checkpoint.step != step {
                return Err(format!("it is of step {}", checkpoint.step));
            }
            suits(&checkpoint).map(|()| checkpoint)
        });
        match found {
            Ok(checkpoint) => return (Some(checkpoint), warnings),
            Err(reason) => warnings.push(format!("the checkpoint of step {step} is passed over: {reason}")),
        }
    }
    (None, warnings)
}

/// Which of these steps' checkpoints the keep policy gives up: all but the newest `keep` (at least one) and those that
/// are protected.
pub fn superfluous(steps: &[u64], keep: usize, protect: &[u64]) -> Vec<u64> {
    let mut sorted = steps.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.truncate(sorted.len().saturating_sub(keep.max(1)));
    sorted.retain(|step| !protect.contains(step));
    sorted
}

/// Deletes what the keep policy gives up, and gives the steps that stay.
///
/// # Errors
/// If a file cannot be deleted.
pub fn prune(folder: &Path, keep: usize, protect: &[u64]) -> Result<Vec<u64>, RecordError> {
    let mut steps = steps(folder);
    let gone = superfluous(&steps, keep, protect);
    for &step in &gone {
        let path = path(folder, step);
        std::fs::remove_file(&path).map_err(FileError::at("cannot delete", &path))?;
    }
    steps.retain(|step| !gone.contains(step));
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content() -> (Vec<TensorData>, BTreeMap<String, String>) {
        let tensors = vec![
            TensorData::f32("g/w", vec![2, 3], vec![0.5, -1.0, f32::MIN_POSITIVE, 3.0, 4.0, 5.0]),
            TensorData { name: "count".into(), shape: vec![], values: Values::I64(vec![-7]) },
            TensorData { name: "bytes".into(), shape: vec![3], values: Values::U8(vec![1, 2, 3]) },
            TensorData { name: "k".into(), shape: vec![1], values: Values::F64(vec![0.1]) },
            TensorData::f32("empty", vec![0, 4], vec![]),
        ];
        (tensors, [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())].into())
    }

    #[test]
    fn a_checkpoint_reads_back_and_is_a_safetensors_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut tensors, meta) = content();
        let path = save(folder.path(), 1200, &tensors, &meta).unwrap();
        assert!(path.ends_with("00001200.safetensors"));
        let first = std::fs::read(&path).unwrap();
        let read = load(&path).unwrap();
        assert_eq!(read.step, 1200);
        assert_eq!(read.meta["a"], "1");
        for tensor in &tensors {
            assert_eq!(&read.tensors[&tensor.name], tensor);
        }
        // The reference reader is the second opinion.
        let reference = safetensors::SafeTensors::deserialize(&first).unwrap();
        assert_eq!(reference.tensor("g/w").unwrap().shape(), [2, 3]);
        assert_eq!(reference.tensor("count").unwrap().data(), (-7i64).to_le_bytes());
        tensors.reverse();
        save(folder.path(), 1200, &tensors, &meta).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "the order in memory shows in the file");
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (tensors, meta) = content();
        let bytes = std::fs::read(save(folder.path(), 3, &tensors, &meta).unwrap()).unwrap();
        assert!(decode(&bytes).is_ok());
        for place in 0..bytes.len() {
            assert!(decode(&bytes[..place]).is_err(), "cut at {place}");
            // One bit, and what makes a tab of a blank.
            for flip in [1, b' ' ^ b'\t'] {
                let mut changed = bytes.clone();
                changed[place] ^= flip;
                assert!(decode(&changed).is_err(), "flipped by {flip} at {place}");
            }
        }
    }

    #[test]
    fn a_corrupt_checkpoint_falls_back_to_the_one_before_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let latest_valid = |folder: &Path| super::latest_valid(folder, |_| Ok(()));
        assert_eq!(latest_valid(folder.path()), (None, Vec::new()));
        let (tensors, meta) = content();
        save(folder.path(), 100, &tensors, &meta).unwrap();
        let newest = save(folder.path(), 200, &tensors, &meta).unwrap();
        assert_eq!(latest_valid(folder.path()).0.unwrap().step, 200);
        let bytes = std::fs::read(&newest).unwrap();
        std::fs::write(&newest, &bytes[..bytes.len() - 1]).unwrap();
        let (found, warnings) = latest_valid(folder.path());
        assert_eq!(found.unwrap().step, 100);
        assert!(warnings[0].contains("step 200") && warnings[0].contains("checksum"), "{warnings:?}");
        std::fs::copy(path(folder.path(), 100), &newest).unwrap();
        let (found, warnings) = latest_valid(folder.path());
        assert_eq!(found.unwrap().step, 100);
        assert!(warnings[0].contains("it is of step 100"), "{warnings:?}");
        let (found, warnings) = super::latest_valid(folder.path(), |_| Err("it is too old".to_owned()));
        assert!(found.is_none() && warnings[1].ends_with("step 100 is passed over: it is too old"), "{warnings:?}");
    }

    #[test]
    fn pruning_keeps_the_newest_and_the_protected() {
        assert_eq!(superfluous(&[500, 100, 300, 400, 200], 2, &[200]), [100, 300]);
        assert_eq!(superfluous(&[500, 100], 0, &[]), [100]);
        let folder = tempfile::tempdir().unwrap();
        for step in [1, 2, 3] {
            save(folder.path(), step, &[], &BTreeMap::new()).unwrap();
        }
        assert_eq!(prune(folder.path(), 1, &[1]).unwrap(), [1, 3]);
        assert_eq!(steps(folder.path()), [1, 3]);
    }

    /// A file with a good checksum whose header says these things of one tensor.
    fn sealed(entry: &Value, payload: &[u8]) -> Vec<u8> {
        let mut meta: BTreeMap<String, String> = [(STEP.to_owned(), "3".to_owned())].into();
        let entries: BTreeMap<String, Value> = [("w".to_owned(), entry.clone())].into();
        let mut hash = blake3::Hasher::new();
        hash.update(header(&meta, &entries).as_bytes()).update(payload);
        meta.insert(CHECKSUM.to_owned(), format!("blake3:{}", hash.finalize().to_hex()));
        let head = header(&meta, &entries);
        [&(head.len() as u64).to_le_bytes(), head.as_bytes(), payload].concat()
    }

    proptest! {
        #[test]
        fn a_header_that_makes_no_sense_is_refused(
            shape in prop::collection::vec(prop::sample::select(vec![0, 1, 2, 3, 1 << 32, u64::MAX]), 0..4),
            from in prop::sample::select(vec![0, 4, 8, 25, u64::MAX]),
            to in prop::sample::select(vec![0, 4, 8, 24, 25, u64::MAX]),
            kind in prop::sample::select(vec!["F32", "F64", "I64", "U8", "BF16"]),
        ) {
            let entry = json!({ "dtype": kind, "shape": shape, "data_offsets": [from, to] });
            if let Ok(read) = decode(&sealed(&entry, &[7; 24])) {
                let tensor = &read.tensors["w"];
                prop_assert_eq!((tensor.values.len() * tensor.values.width()) as u64, to - from);
            }
        }

        #[test]
        fn the_newest_checkpoint_is_never_given_up(steps in prop::collection::vec(0u64..50, 1..20), keep in 0usize..5) {
            let gone = superfluous(&steps, keep, &[]);
            prop_assert!(!gone.contains(steps.iter().max().unwrap()));
            let mut left = steps.clone();
            left.sort_unstable();
            left.dedup();
            let n = left.len();
            prop_assert_eq!(n - gone.len(), n.min(keep.max(1)));
        }
    }
}
