//! The tables of a run: `metrics.csv`, a row a moment, and `eval.csv`, a row a number. Both only grow; a resumed run cuts
//! what lies past its checkpoint and goes on, so that the file is the one that an unbroken run leaves.

use super::RecordError;
use super::seal::{Seal, Sealing};
use crate::base::file::{self, FileError};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// The writer of `metrics.csv`.
#[derive(Debug)]
pub struct Metrics {
    log: Log,
    columns: usize,
}

impl Metrics {
    /// Opens the table with these columns (besides `step`), to keep the rows up to the step from which the run goes on;
    /// 0 begins anew. Nothing is cut before the first row or flush.
    ///
    /// # Errors
    /// If the disk refuses, or the file has rows to keep under other columns.
    pub fn open(path: &Path, columns: &[String], resume_from_step: u64) -> Result<Self, RecordError> {
        let mut header = "step".to_owned();
        for column in columns {
            header.push(',');
            header.push_str(&field(column));
        }
        Ok(Self { log: Log::open(path, &header, resume_from_step)?, columns: columns.len() })
    }

    /// Appends a row; an empty field where there is no number. Values are 32-bit floats and are written as the shortest
    /// text that reads back as the same.
    ///
    /// # Errors
    /// If the disk refuses.
    ///
    /// # Panics
    /// If there are not as many values as columns.
    #[expect(clippy::cast_possible_truncation, reason = "what is computed is 32 bits wide")]
    pub fn append(&mut self, step: u64, values: &[Option<f64>]) -> Result<(), RecordError> {
        assert_eq!(values.len(), self.columns, "a row of metrics has a value a column");
        let row = &mut self.log.row;
        row.clear();
        push(row, format_args!("{step}"));
        for value in values {
            row.push(',');
            if let Some(value) = value {
                push_f32(row, *value as f32);
            }
        }
        self.log.end_row()
    }

    /// Hands what was appended to the system; to be called before each checkpoint.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.log.flush()
    }

    /// The seal of what was there and what was appended, good once it is flushed.
    pub fn seal(&self) -> Seal {
        self.log.sealing.seal()
    }
}

/// The writer of `eval.csv`.
#[derive(Debug)]
pub struct EvalLog {
    log: Log,
    protocol: usize,
}

impl EvalLog {
    /// Opens the table with these protocol columns (besides `step`, `metric` and `value`), to keep the rows up to the
    /// step from which the run goes on; 0 begins anew. Nothing is cut before the first row or flush.
    ///
    /// # Errors
    /// If the disk refuses, or the file has rows to keep under other columns.
    pub fn open(path: &Path, protocol: &[&str], resume_from_step: u64) -> Result<Self, RecordError> {
        let mut header = "step,metric,value".to_owned();
        for column in protocol {
            header.push(',');
            header.push_str(&field(column));
        }
        Ok(Self { log: Log::open(path, &header, resume_from_step)?, protocol: protocol.len() })
    }

    /// Appends one number with its protocol; an empty field where it could not be measured.
    ///
    /// # Errors
    /// If the disk refuses.
    ///
    /// # Panics
    /// If there are not as many protocol values as columns.
    pub fn append(
        &mut self,
        step: u64,
        metric: &str,
        value: Option<f64>,
        protocol: &[String],
    ) -> Result<(), RecordError> {
        assert_eq!(protocol.len(), self.protocol, "a row of eval.csv has its whole protocol");
        let row = &mut self.log.row;
        row.clear();
        push(row, format_args!("{step},"));
        row.push_str(&field(metric));
        row.push(',');
        if let Some(value) = value {
            push_f64(row, value);
        }
        for value in protocol {
            row.push(',');
            row.push_str(&field(value));
        }
        self.log.end_row()
    }

    /// Hands what was appended to the system; to be called before each checkpoint.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.log.flush()
    }

    /// The seal of what was there and what was appended, good once it is flushed.
    pub fn seal(&self) -> Seal {
        self.log.sealing.seal()
    }
}

/// A file of lines that begin with their step.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: BufWriter<File>,
    row: String,
    header: String,
    /// How much of the file stays, until it is cut.
    kept: Option<u64>,
    /// All that stays and was appended.
    sealing: Sealing,
}

impl Log {
    fn open(path: &Path, header: &str, resume_from_step: u64) -> Result<Self, RecordError> {
        if let Some(folder) = path.parent() {
            file::make_dir(folder)?;
        }
        let mut kept = 0;
        let mut sealing = Sealing::default();
        if resume_from_step > 0 && path.exists() {
            let bytes = file::read(path)?;
            kept = keep_up_to(&bytes, resume_from_step);
            let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            if kept > first.len() + 1 && first != header.as_bytes() {
                return Err(RecordError::Columns {
                    path: path.to_owned(),
                    found: String::from_utf8_lossy(first).into_owned(),
                    expected: header.to_owned(),
                });
            }
            if first != header.as_bytes() {
                kept = 0;
            }
            sealing.add(&bytes[..kept]);
        }
        let file = File::options().create(true).append(true).open(path).map_err(FileError::at("cannot write", path))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            row: String::new(),
            header: header.to_owned(),
            kept: Some(kept as u64),
            sealing,
        })
    }

    /// Cuts what does not stay, once.
    fn cut(&mut self) -> Result<(), RecordError> {
        let Some(kept) = self.kept.take() else { return Ok(()) };
        self.file.get_ref().set_len(kept).map_err(FileError::at("cannot write", &self.path))?;
        if kept == 0 {
            let header = std::mem::take(&mut self.header) + "\n";
            self.write(&header)?;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), RecordError> {
        self.cut()?;
        let mut row = std::mem::take(&mut self.row);
        row.push('\n');
        let written = self.write(&row);
        self.row = row;
        written
    }

    fn write(&mut self, text: &str) -> Result<(), RecordError> {
        self.file.write_all(text.as_bytes()).map_err(FileError::at("cannot write", &self.path))?;
        self.sealing.add(text.as_bytes());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        self.cut()?;
        self.file.flush().map_err(FileError::at("cannot write", &self.path))?;
        Ok(())
    }
}

/// How many bytes hold the header and the whole lines of steps up to `step`.
fn keep_up_to(bytes: &[u8], step: u64) -> usize {
    let mut kept = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let whole = line.last() == Some(&b'\n');
        let of_step = || std::str::from_utf8(line.split(|&byte| byte == b',').next()?).ok()?.parse::<u64>().ok();
        let in_time = kept == 0 || of_step().is_some_and(|of| of <= step);
        if !(whole && in_time) {
            break;
        }
        kept += line.len();
    }
    kept
}

/// Appends formatted text; a `String` cannot refuse.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    std::fmt::Write::write_fmt(text, what).expect("a String takes any text");
}

/// The shortest text that reads back as the same number, with an exponent where zeros would be many.
fn push_f32(text: &mut String, value: f32) {
    match value {
        v if v.is_nan() => text.push_str("nan"),
        v if v == 0.0 || (1e-5..1e9).contains(&v.abs()) || v.is_infinite() => push(text, format_args!("{v}")),
        v => push(text, format_args!("{v:e}")),
    }
}

/// As [`push_f32`], for 64 bits.
fn push_f64(text: &mut String, value: f64) {
    match value {
        v if v.is_nan() => text.push_str("nan"),
        v if v == 0.0 || (1e-5..1e15).contains(&v.abs()) || v.is_infinite() => push(text, format_args!("{v}")),
        v => push(text, format_args!("{v:e}")),
    }
}

/// A text as a field: quoted where it must be, and always on one line.
pub(crate) fn field(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace(['\n', '\r'], " ").replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

/// A read `metrics.csv`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The names of the columns besides `step`.
    pub columns: Vec<String>,
    /// A step with a value a column.
    pub rows: Vec<(u64, Vec<Option<f64>>)>,
}

/// A row of `eval.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalRow {
    /// Steps done.
    pub step: u64,
    /// The metric.
    pub metric: String,
    /// Its value.
    pub value: Option<f64>,
    /// How it was measured: a pair a protocol column.
    pub protocol: Vec<(String, String)>,
}

/// The rows of `metrics.csv`; none where there is no file. What its seal does not vouch for is left out, and so is a
/// last line that is still being written.
///
/// # Errors
/// If it cannot be read, is not what was written, or a row of it makes no sense.
pub fn read_metrics(path: &Path, seal: Option<&Seal>) -> Result<Table, RecordError> {
    let mut table = Table::default();
    read_rows(path, seal, |columns, record| {
        if table.columns.is_empty() {
            table.columns = columns.iter().skip(1).map(str::to_owned).collect();
        }
        let step = record.get(0).and_then(|step| step.parse().ok()).ok_or("a row without a step")?;
        let values = record.iter().skip(1).map(number).collect::<Result<_, _>>()?;
        table.rows.push((step, values));
        Ok(())
    })?;
    Ok(table)
}

/// The rows of `eval.csv`, as [`read_metrics`] reads.
///
/// # Errors
/// As [`read_metrics`].
pub fn read_eval(path: &Path, seal: Option<&Seal>) -> Result<Vec<EvalRow>, RecordError> {
    let mut rows = Vec::new();
    read_rows(path, seal, |columns, record| {
        let step = record.get(0).and_then(|step| step.parse().ok()).ok_or("a row without a step")?;
        let metric = record.get(1).ok_or("a row without a metric")?.to_owned();
        let value = number(record.get(2).ok_or("a row without a value")?)?;
        let protocol = columns.iter().zip(record).skip(3).map(|(c, v)| (c.to_owned(), v.to_owned())).collect();
        rows.push(EvalRow { step, metric, value, protocol });
        Ok(())
    })?;
    Ok(rows)
}

fn number(text: &str) -> Result<Option<f64>, &'static str> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "a value that is no number"),
    }
}

fn read_rows(
    path: &Path,
    seal: Option<&Seal>,
    mut row: impl FnMut(&csv::StringRecord, &csv::StringRecord) -> Result<(), &'static str>,
) -> Result<(), RecordError> {
    let corrupt = |reason: String| RecordError::Corrupt { path: path.to_owned(), reason };
    let bytes = match file::read(path) {
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        bytes => bytes?,
    };
    let bytes = seal.map_or(Ok(bytes.as_slice()), |seal| seal.check(&bytes)).map_err(corrupt)?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut reader = csv::Reader::from_reader(&bytes[..whole]);
    let columns = reader.headers().map_err(|error| corrupt(error.to_string()))?.clone();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| corrupt(error.to_string()))?;
        row(&columns, &record).map_err(|reason| corrupt(format!("line {}: {reason}", index + 2)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_resumed_table_is_the_unbroken_one() {
        let folder = tempfile::tempdir().unwrap();
        let (straight, broken) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
        let columns = names(&["d/loss", "g/loss"]);
        let write = |table: &mut Metrics, steps: std::ops::Range<u64>| {
            for step in steps {
                let value = (step as f32).sqrt();
                table.append(step, &[Some(f64::from(value)), (step % 2 == 0).then_some(1.0)]).unwrap();
            }
            table.flush().unwrap();
        };
        write(&mut Metrics::open(&straight, &columns, 0).unwrap(), 0..20);
        write(&mut Metrics::open(&broken, &columns, 0).unwrap(), 0..17);
        let mut file = File::options().append(true).open(&broken).unwrap();
        file.write_all(b"17,4.1").unwrap();
        write(&mut Metrics::open(&broken, &columns, 9).unwrap(), 10..20);
        assert_eq!(std::fs::read(&straight).unwrap(), std::fs::read(&broken).unwrap());
    }

    #[test]
    fn numbers_are_short_read_back_and_missing_ones_stay_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let values = [0.1, 0.0, -3.0, 1.2e-8, 3.4e20, 16_777_216.0];
        let mut table = Metrics::open(&path, &names(&["x", "a,b"]), 0).unwrap();
        for (step, &value) in (1..).zip(&values) {
            table.append(step, &[Some(f64::from(value)), None]).unwrap();
        }
        table.append(7, &[Some(f64::NAN), Some(f64::NEG_INFINITY)]).unwrap();
        table.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "step,x,\"a,b\"\n1,0.1,\n2,0,\n3,-3,\n4,1.2e-8,\n5,3.4e20,\n6,16777216,\n7,nan,-inf\n");
        let read = read_metrics(&path, None).unwrap();
        assert_eq!(read.columns, ["x", "a,b"]);
        #[expect(clippy::cast_possible_truncation, reason = "the values are 32 bits wide")]
        let back: Vec<f32> = read.rows[..6].iter().map(|(_, row)| row[0].unwrap() as f32).collect();
        assert_eq!(back, values);
        assert_eq!(read.rows[6].1[1], Some(f64::NEG_INFINITY));
    }

    #[test]
    fn a_table_of_other_columns_is_refused_unless_nothing_of_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut table = Metrics::open(&path, &names(&["x"]), 0).unwrap();
        table.append(10, &[None]).unwrap();
        drop(table);
        assert!(matches!(Metrics::open(&path, &names(&["y"]), 10), Err(RecordError::Columns { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "step,x\n10,\n");
        Metrics::open(&path, &names(&["y"]), 9).unwrap().flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "step,y\n");
    }

    #[test]
    fn evaluations_read_back_with_their_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eval.csv");
        let mut log = EvalLog::open(&path, &["n", "reference"], 0).unwrap();
        log.append(500, "w1", Some(1.0 / 3.0), &names(&["10000", "test, all"])).unwrap();
        log.append(1000, "w1", None, &names(&["10000", "test"])).unwrap();
        log.flush().unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"1500,w1,0.").unwrap();
        let rows = read_eval(&path, None).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].step, rows[0].value), (500, Some(1.0 / 3.0)));
        assert_eq!(rows[0].protocol[1], ("reference".to_owned(), "test, all".to_owned()));
        EvalLog::open(&path, &["n", "reference"], 700).unwrap().flush().unwrap();
        assert_eq!(read_eval(&path, None).unwrap().len(), 1);
        assert_eq!(read_metrics(&folder.path().join("none.csv"), None).unwrap(), Table::default());
    }
}
