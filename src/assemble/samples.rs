//! Samples and weights as files for others. (torch)

use crate::base::file::{self, FileError};
use crate::data::{Examples, Source, Split};
use crate::nn::Script;
use crate::nn::script::Plain;
use crate::picture::{self, View};
use crate::record::{RecordError, TensorData, checkpoint};
use std::collections::BTreeMap;
use std::path::Path;

/// Why a file is not written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The ending is not known.
    #[error("`{path}` ends in none of {known}")]
    Ending {
        /// The file.
        path: String,
        /// The endings that are.
        known: &'static str,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The disk refused.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Writes samples as `.npy` (float32, `[n, …]`), `.csv` (a row each, the label last where there is one) or `.png`: a
/// grid of images, so many a row (0 for a square), texts, or points over those of the data; texts as `.txt` too, an empty line
/// between them.
///
/// # Errors
/// If the ending is none of these, or the file cannot be written.
pub fn write(
    path: &Path,
    samples: &Examples,
    per_row: usize,
    source: &dyn Source,
    title: &str,
) -> Result<(), OutputError> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => file::write_atomic(path, &npy(samples))?,
        Some("txt") if source.info().is_text() => {
            let texts: Vec<String> = (0..samples.x.rows()).map(|i| source.info().text(samples.x.row(i))).collect();
            file::write_atomic(path, (texts.join("\n\n") + "\n").as_bytes())?;
        }
        Some("csv") => file::write_atomic(path, samples.csv().as_bytes())?,
        Some("png") => {
            let info = source.info();
            let real = || source.reference(Split::Train, 0, picture::POINTS).x;
            let view = View::new(info, &if info.is_image() || info.is_text() { samples.x.clone() } else { real() });
            let picture = if view.is_each() {
                view.images(&samples.x, per_row)
            } else {
                view.points(&real(), &samples.x, None, title)
            };
            file::write_atomic(path, &picture::encode_png(&picture))?;
        }
        _ => {
            return Err(OutputError::Ending {
                path: path.display().to_string(),
                known: ".png, .npy, .csv (of texts .txt too)",
            });
        }
    }
    Ok(())
}

/// NumPy's format, version 1.0: magic, a header padded to 64 bytes, numbers.
fn npy(samples: &Examples) -> Vec<u8> {
    let shape: Vec<String> = samples.x.shape.iter().map(usize::to_string).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}", shape.join(", "));
    let total = (10 + header.len() + 1).next_multiple_of(64);
    header.extend(std::iter::repeat_n(' ', total - 11 - header.len()));
    header.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend(u16::try_from(header.len()).expect("a header of some hundred bytes").to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(samples.x.data.iter().flat_map(|v| v.to_le_bytes()));
    out
}

/// Writes a generator as TorchScript (`.pt`) or as weights (`.safetensors`), with what is to be said of it.
///
/// # Errors
/// If the ending is another, or the file cannot be written.
pub fn export(path: &Path, generator: &Script, facts: &BTreeMap<String, String>) -> Result<(), OutputError> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("pt") => {
            let about = serde_json::to_string_pretty(facts).expect("texts by text");
            file::write_atomic(path, &generator.archive(&about))?;
        }
        Some("safetensors") => {
            let tensor = |w: &Plain| TensorData::f32(w.name.clone(), w.shape.clone(), w.data.clone());
            let tensors: Vec<TensorData> = generator.weights.iter().map(tensor).collect();
            checkpoint::write(path, &tensors, facts)?;
        }
        _ => return Err(OutputError::Ending { path: path.display().to_string(), known: ".pt, .safetensors" }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Array;

    /* numpy 2: b = io.BytesIO(); np.save(b, np.array([[1, 2], [3, 4]], dtype='<f4')); b.getvalue() */
    #[test]
    fn npy_files_are_numpys() {
        let samples = Examples { x: Array::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]), labels: vec![] };
        let bytes = npy(&samples);
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00v\x00");
        assert_eq!(&bytes[10..71], b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2,), }\x20");
        assert_eq!(bytes.len(), 128 + 16);
        assert_eq!(bytes[128..132], 1f32.to_le_bytes());
    }
}
