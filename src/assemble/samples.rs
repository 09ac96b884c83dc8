//! Samples and weights as files for others. (torch)

use crate::base::file::{self, FileError};
use crate::data::{DataInfo, Examples};
use crate::picture;
use crate::player::Player;
use crate::record::{RecordError, TensorData, checkpoint};
use std::collections::BTreeMap;
use std::io::Write as _;
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
    /// The samples are no pictures.
    #[error("samples of shape {shape:?} are no pictures: take .npy or .csv")]
    NoPicture {
        /// The shape of one.
        shape: Vec<usize>,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The disk refused.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Writes samples as `.npy` (float32, `[n, …]`), `.csv` (a row each, the label last where there is one) or `.png`.
///
/// # Errors
/// If the ending is none of these, or the file cannot be written.
pub fn write(path: &Path, samples: &Examples, info: &DataInfo) -> Result<(), OutputError> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => file::write_atomic(path, &npy(samples))?,
        Some("csv") => file::write_atomic(path, csv(samples).as_bytes())?,
        Some("png") if info.is_image() => {
            let grid = picture::grid(&samples.x, info.range.unwrap_or((-1.0, 1.0)), 0, 0);
            file::write_atomic(path, &picture::encode_png(&grid))?;
        }
        Some("png") => return Err(OutputError::NoPicture { shape: info.shape.clone() }),
        _ => {
            return Err(OutputError::Ending { path: path.display().to_string(), known: ".png, .npy, .csv" });
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

fn csv(samples: &Examples) -> String {
    let mut out = Vec::new();
    for i in 0..samples.x.rows() {
        let row: Vec<String> = samples.x.row(i).iter().map(f32::to_string).collect();
        let label = samples.labels.get(i).map(|l| format!(",{l}")).unwrap_or_default();
        writeln!(out, "{}{label}", row.join(",")).expect("memory takes every line");
    }
    String::from_utf8(out).expect("digits and commas")
}

/// Writes a generator's weights, averaged ones where there are any, as `.safetensors`.
///
/// # Errors
/// If the ending is another, or the file cannot be written.
pub fn export(path: &Path, generator: &Player, averaged: bool) -> Result<(), OutputError> {
    if path.extension().and_then(|e| e.to_str()) != Some("safetensors") {
        return Err(OutputError::Ending { path: path.display().to_string(), known: ".safetensors" });
    }
    let suffix = if averaged { ":ema" } else { "" };
    let tensors: Vec<TensorData> = generator
        .state(0)
        .into_iter()
        .filter_map(|t| {
            let plain = match t.name.split_once(':') {
                Some((plain, rest)) if format!(":{rest}") == suffix => plain.to_owned(),
                None if suffix.is_empty() => t.name.clone(),
                _ => return None,
            };
            Some(TensorData::f32(plain, t.shape, t.data))
        })
        .collect();
    checkpoint::write(path, &tensors, &BTreeMap::new())?;
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
