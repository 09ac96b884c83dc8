//! The event file of a run for TensorBoard: the values of `metrics.csv` and `eval.csv` under the same names, and the
//! pictures.
//!
//! It has nothing that the tables and pictures do not have, so [`Board::open`] rebuilds it from these: no step is lost or
//! written twice. Records that are already correct are kept, so that a TensorBoard that is reading the file can continue.
//! Its bytes depend on the run alone: the time of an event is its step, in seconds since 1970. The format is TFRecord
//! (length and content, each with a masked CRC-32C) with `Event` messages of Protocol Buffers.

use super::run::{RunDir, RunState};
use super::table::{read_eval, read_metrics};
use super::{EvalRow, RecordError};
use crate::base::file::FileError;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::PathBuf;

/// The tags of pictures: of the data, and of samples.
const DATA: &str = "data";
const SAMPLES: &str = "samples";
/// The content of the first event.
const FORMAT: &str = "brain.Event:2";
/// The code of the color space.
const RGB: u64 = 3;

/// The writer of the event file.
#[derive(Debug)]
pub struct Board {
    path: PathBuf,
    file: BufWriter<File>,
    /// The existing file, as long as its records are the expected ones.
    known: Option<BufReader<File>>,
    /// The length of the expected records in it.
    kept: u64,
}

impl Board {
    /// Opens the file of a run, with all rows that its state covers and its pictures up to its step.
    ///
    /// # Errors
    /// If the disk refuses, or a table cannot be read.
    pub fn open(dir: &RunDir, state: &RunState) -> Result<Self, RecordError> {
        let path = dir.board();
        let file =
            File::options().create(true).append(true).open(&path).map_err(FileError::at("cannot write", &path))?;
        let known = File::open(&path).map_err(FileError::at("cannot read", &path))?;
        let mut board =
            Self { file: BufWriter::new(file), known: Some(BufReader::new(known)), kept: 0, path: path.clone() };
        let mut first = Vec::new();
        put_bytes(&mut first, 3, FORMAT.as_bytes());
        board.put(&first)?;
        board.picture_of(dir.samples().join("real.png"), 0, DATA)?;
        board.past(dir, state)?;
        board.flush()?;
        Ok(board)
    }

    fn past(&mut self, dir: &RunDir, state: &RunState) -> Result<(), RecordError> {
        let (metrics, evals) = (dir.metrics(), dir.eval());
        let metrics = read_metrics(&metrics, state.seal(&metrics))?;
        let measured = read_eval(&evals, state.seal(&evals))?;
        let mut evals = BTreeMap::<u64, Vec<EvalRow>>::new();
        for row in measured {
            evals.entry(row.step).or_default().push(row);
        }
        let names = std::fs::read_dir(dir.samples()).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let pictures = names.filter_map(|name| name.to_str()?.strip_suffix(".png")?.parse::<u64>().ok());
        let rows: BTreeMap<u64, &Vec<Option<f64>>> = metrics.rows.iter().map(|(at, row)| (*at, row)).collect();
        let mut steps: BTreeSet<u64> = pictures.filter(|&at| at <= state.step).collect();
        steps.extend(rows.keys().chain(evals.keys()));
        for step in steps {
            if let Some(row) = rows.get(&step) {
                self.scalars(step, metrics.columns.iter().map(String::as_str).zip(row.iter().copied()))?;
            }
            if let Some(rows) = evals.get(&step) {
                self.scalars(step, rows.iter().map(|row| (row.metric.as_str(), row.value)))?;
            }
            self.picture_of(dir.sample(step), step, SAMPLES)?;
        }
        Ok(())
    }

    /// Appends the values of a step, if there are any.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn scalars<'n>(
        &mut self,
        step: u64,
        values: impl Iterator<Item = (&'n str, Option<f64>)>,
    ) -> Result<(), RecordError> {
        let mut summary = Vec::new();
        for (name, value) in values {
            let Some(value) = value else { continue };
            let mut one = Vec::new();
            put_bytes(&mut one, 1, name.as_bytes());
            one.push(key(2, 5));
            #[expect(clippy::cast_possible_truncation, reason = "the format has 32 bits for a number")]
            one.extend((value as f32).to_le_bytes());
            put_bytes(&mut summary, 1, &one);
        }
        if summary.is_empty() { Ok(()) } else { self.event(step, &summary) }
    }

    /// Appends the picture of the samples of a step, a PNG file.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn samples(&mut self, step: u64, png: &[u8]) -> Result<(), RecordError> {
        self.picture(step, SAMPLES, png)
    }

    /// Appends a picture from its file, if there is one.
    fn picture_of(&mut self, path: PathBuf, step: u64, name: &str) -> Result<(), RecordError> {
        std::fs::read(path).map_or(Ok(()), |png| self.picture(step, name, &png))
    }

    fn picture(&mut self, step: u64, name: &str, png: &[u8]) -> Result<(), RecordError> {
        // A power failure can leave an empty file.
        let Some((width, height)) = size(png) else { return Ok(()) };
        let mut image = Vec::with_capacity(png.len() + 32);
        for (number, value) in [(1, height), (2, width), (3, RGB)] {
            put_number(&mut image, number, value);
        }
        put_bytes(&mut image, 4, png);
        let (mut one, mut summary) = (Vec::new(), Vec::new());
        put_bytes(&mut one, 1, name.as_bytes());
        put_bytes(&mut one, 4, &image);
        put_bytes(&mut summary, 1, &one);
        self.event(step, &summary)
    }

    fn event(&mut self, step: u64, summary: &[u8]) -> Result<(), RecordError> {
        let mut event = Vec::with_capacity(summary.len() + 32);
        // Zero is the default of both fields.
        if step > 0 {
            event.push(key(1, 1));
            event.extend((step as f64).to_le_bytes());
            put_number(&mut event, 2, step);
        }
        put_bytes(&mut event, 5, summary);
        self.put(&event)
    }

    /// Appends a message as a record, or keeps the same record of the existing file.
    fn put(&mut self, message: &[u8]) -> Result<(), RecordError> {
        let length = (message.len() as u64).to_le_bytes();
        let record = [&length, &masked(&length)[..], message, &masked(message)].concat();
        if let Some(known) = &mut self.known {
            let mut existing = vec![0; record.len()];
            if known.read_exact(&mut existing).is_ok() && existing == record {
                self.kept += record.len() as u64;
                return Ok(());
            }
            self.cut()?;
        }
        self.file.write_all(&record).map_err(FileError::at("cannot write", &self.path))?;
        Ok(())
    }

    /// Truncates the existing file to its expected records, once.
    fn cut(&mut self) -> Result<(), RecordError> {
        if self.known.take().is_some() {
            self.file.get_ref().set_len(self.kept).map_err(FileError::at("cannot write", &self.path))?;
        }
        Ok(())
    }

    /// Flushes appended records to the operating system.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.cut()?;
        self.file.flush().map_err(FileError::at("cannot write", &self.path))?;
        Ok(())
    }
}

/// The width and height of a PNG file.
fn size(png: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize| Some(u64::from(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?)));
    if png.starts_with(b"\x89PNG\r\n\x1a\n") { Some((number(16)?, number(20)?)) } else { None }
}

/// The key of a field: its number and wire type (0: varint, 1: 8 bytes, 2: bytes with a length, 5: 4 bytes).
const fn key(number: u8, form: u8) -> u8 {
    number << 3 | form
}

fn put_number(to: &mut Vec<u8>, number: u8, value: u64) {
    to.push(key(number, 0));
    put_varint(to, value);
}

fn put_bytes(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(key(number, 2));
    put_varint(to, bytes.len() as u64);
    to.extend(bytes);
}

/// Seven bits per byte, the lowest first; all bytes but the last have the highest bit set.
fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The checksum of TFRecord. It is masked because the CRC of data that contain CRCs is weak.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32 with Castagnoli's polynomial, lowest bit first.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut value, mut bit) = (i as u32, 0);
            while bit < 8 {
                value = value >> 1 ^ if value & 1 == 1 { 0x82f6_3b78 } else { 0 };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::super::{EvalLog, Metrics};
    use super::*;

    /// Python with tensorboard 2.21 (its messages by protobuf 7.36), `V = Summary.Value`, `png` as below:
    /// ```python
    /// values = lambda *pairs: Summary(value=[V(tag=t, simple_value=v) for t, v in pairs])
    /// image = Summary.Image(height=2, width=300, colorspace=3, encoded_image_string=png)
    /// for event in [Event(file_version="brain.Event:2"),
    ///               Event(wall_time=10, step=10, summary=values(("d/loss", 0.0), ("g/loss", -1.25))),
    ///               Event(wall_time=300, step=300, summary=values(("w1", float("inf")))),
    ///               Event(wall_time=300, step=300, summary=Summary(value=[V(tag="samples", image=image)]))]:
    ///     RecordWriter(file).write(event.SerializeToString())
    /// ```
    const GOLDEN: &str = "\
        0f000000000000006d532b091a0d627261696e2e4576656e743a32fc9851292b00000000000000861bc34b09000000000000\
        2440100a2a1e0a0d0a06642f6c6f737315000000000a0d0a06672f6c6f7373150000a0bf6d77f61119000000000000008bf1\
        0828090000000000c0724010ac022a0b0a090a027731150000807f9ff929643c00000000000000c8b7a352090000000000c0\
        724010ac022a2e0a2c0a0773616d706c65732221080210ac021803221889504e470d0a1a0a0000000d494844520000012c00\
        000002abb42e20";

    fn golden() -> Vec<u8> {
        (0..GOLDEN.len()).step_by(2).map(|i| u8::from_str_radix(&GOLDEN[i..i + 2], 16).unwrap()).collect()
    }

    /// The beginning of a PNG file of 300×2 pixels.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x2c\0\0\0\x02";

    fn at(step: u64) -> RunState {
        RunState { step, ..RunState::queued("toy", "a", "0123abcd", 0, 300, vec![]) }
    }

    /// Writes tables, pictures and event file of a step.
    fn leave(dir: &RunDir, board: &mut Board, step: u64) {
        let columns = ["d/loss", "g/loss"].map(str::to_owned);
        if step == 10 {
            let row = [Some(0.0), Some(-1.25)];
            let mut table = Metrics::open(&dir.metrics(), &columns, u64::MAX).unwrap();
            table.append(step, &row).unwrap();
            table.flush().unwrap();
            board.scalars(step, ["d/loss", "g/loss"].into_iter().zip(row)).unwrap();
        } else {
            let mut table = EvalLog::open(&dir.eval(), &[], u64::MAX).unwrap();
            let rows = [("w1", Some(f64::INFINITY)), ("ks", None)];
            rows.iter().for_each(|(name, value)| table.append(step, name, *value, &[]).unwrap());
            table.flush().unwrap();
            board.scalars(step, rows.into_iter()).unwrap();
            std::fs::create_dir_all(dir.samples()).unwrap();
            std::fs::write(dir.sample(step), PNG).unwrap();
            board.samples(step, PNG).unwrap();
        }
        board.flush().unwrap();
    }

    #[test]
    fn the_bytes_are_those_of_tensorboard_s_own_writer() {
        // The check value of the catalog of parametrised CRC algorithms (CRC-32/ISCSI).
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path());
        let mut board = Board::open(&dir, &at(0)).unwrap();
        leave(&dir, &mut board, 10);
        leave(&dir, &mut board, 300);
        assert_eq!(std::fs::read(dir.board()).unwrap(), golden());
    }

    #[test]
    fn a_resumed_file_equals_the_uninterrupted_one() {
        let whole = golden();
        for broken in
            [&whole[..], &whole[..99], &whole[..40], b"", b"something else that is longer than the first record"]
        {
            let folder = tempfile::tempdir().unwrap();
            let dir = RunDir::at(folder.path());
            leave(&dir, &mut Board::open(&dir, &at(0)).unwrap(), 10);
            std::fs::write(dir.board(), broken).unwrap();
            // A picture of a step that is repeated.
            std::fs::create_dir_all(dir.samples()).unwrap();
            std::fs::write(dir.sample(300), PNG).unwrap();
            let mut board = Board::open(&dir, &at(10)).unwrap();
            let kept = std::fs::read(dir.board()).unwrap();
            assert!(whole.starts_with(&kept) && kept.len() == 90, "{} of {}", kept.len(), broken.len());
            leave(&dir, &mut board, 300);
            assert_eq!(std::fs::read(dir.board()).unwrap(), whole);
            Board::open(&dir, &at(300)).unwrap();
            assert_eq!(std::fs::read(dir.board()).unwrap(), whole);
        }
    }
}
