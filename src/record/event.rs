//! What `gantlet` and `gantlet-worker` say to each other: one line of JSON in, lines of JSON out.
//!
//! The parent writes one [`Envelope`] with a [`WorkerRequest`] on the worker's standard input and keeps that pipe open;
//! the worker answers with [`Event`]s on its standard output, a line each, and keeps its own words for standard error.
//! A parent that is gone shows as the end of standard input, or as a broken pipe on standard output: a worker that sees
//! either saves, stops and leaves. SIGTERM asks for the same.

use super::run::{State, Versions};
use crate::eval::MetricSpec;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::PathBuf;

/// The version of this language; both sides must speak the same.
pub const PROTOCOL: u32 = 2;

/// What a worker leaves as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WorkerExit {
    /// All was done that was asked; how each run ended was told in events.
    Done = 0,
    /// Something that nobody expected.
    Unexpected = 1,
    /// The request makes no sense, or speaks another version.
    Request = 2,
    /// The experiment cannot be built.
    Experiment = 3,
    /// Data are missing or corrupt.
    Data = 4,
    /// The disk does not take what is to be recorded: what stands there still stands.
    Disk = 5,
    /// The device cannot be used.
    Device = 6,
    /// Told to stop: everything was saved.
    Interrupted = 130,
}

/// The one line that a worker reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The [`PROTOCOL`] of the sender.
    pub version: u32,
    /// What is asked.
    pub request: WorkerRequest,
}

impl WorkerExit {
    /// The meaning of an exit code, where it has one.
    pub fn from_code(code: i32) -> Option<Self> {
        let all = [
            Self::Done,
            Self::Unexpected,
            Self::Request,
            Self::Experiment,
            Self::Data,
            Self::Disk,
            Self::Device,
            Self::Interrupted,
        ];
        all.into_iter().find(|&exit| exit as i32 == code)
    }
}

/// What is asked of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerRequest {
    /// Train, or go on with, the runs of a pack.
    Train(Job),
    /// Draw samples from a trained generator.
    Sample(SampleRequest),
    /// Move along a trained model's latents, or search among them.
    Latent(LatentRequest),
    /// Evaluate again.
    Eval(EvalRequest),
    /// Write the generator for others.
    Export(ExportRequest),
    /// Tell about libtorch and its devices.
    Doctor,
}

/// The runs of a pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Their directories; events count them in this order.
    pub runs: Vec<PathBuf>,
    /// Where data files are looked for.
    pub data_roots: Vec<PathBuf>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads that it may use.
    pub threads: usize,
}

/// Samples of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRequest {
    /// The run's directory.
    pub run: PathBuf,
    /// How many.
    pub n: usize,
    /// Where they go; the ending says how (`.png`, `.npy`, `.csv`).
    pub out: PathBuf,
    /// The step of the checkpoint; the newest where not named.
    pub checkpoint: Option<u64>,
    /// The seed of the draw.
    pub seed: u64,
    /// The label that all samples have; drawn as in training where not named.
    pub label: Option<i64>,
    /// `auto` (averaged where there are any) or `raw`.
    pub weights: String,
    /// Where data files are looked for.
    pub data_roots: Vec<PathBuf>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads that it may use.
    pub threads: usize,
}

/// What is made of one run's latents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatentRequest {
    /// As for samples; `n` is how many there are of what is asked for.
    pub of: SampleRequest,
    /// What is asked for.
    pub what: LatentWork,
}

/// What can be done with latents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatentWork {
    /// Paths between samples, a row each.
    Interpolate {
        /// Images a row, ends included.
        places: usize,
    },
    /// Means of the latents of samples, the first less the second plus the third, and what lies around that.
    Arithmetic {
        /// Places of samples.
        from: Vec<usize>,
        /// Places of samples.
        minus: Vec<usize>,
        /// Places of samples.
        plus: Vec<usize>,
        /// How far each number moves at most for what lies around.
        around: f64,
    },
    /// Held-out examples that lost a part.
    Inpaint {
        /// Which.
        mask: MaskKind,
        /// How their latents are looked for.
        search: SearchSettings,
        /// Training examples that others are looked for among.
        among: usize,
    },
    /// Held-out examples with noise.
    Denoise {
        /// Its deviation, in units of the data.
        std: f64,
        /// How their latents are looked for.
        search: SearchSettings,
        /// Training examples that others are looked for among.
        among: usize,
    },
    /// The training examples that are nearest to samples.
    Nearest {
        /// How many of each.
        neighbors: usize,
        /// Training examples that they are looked for among.
        among: usize,
    },
}

/// A part of an image that is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskKind {
    /// The left half.
    Left,
    /// The right half.
    Right,
    /// The upper half.
    Top,
    /// The lower half.
    Bottom,
    /// The middle half of each side.
    Center,
}

/// How a latent is looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchSettings {
    /// Steps of Adam.
    pub steps: usize,
    /// Latents that each search begins from.
    pub restarts: usize,
    /// The rate of the first step.
    pub rate: f64,
    /// The weight of −log p of the latent, a dimension.
    pub prior: f64,
}

/// Metrics of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRequest {
    /// The run's directory.
    pub run: PathBuf,
    /// The step of one checkpoint; all of them where not named.
    pub checkpoint: Option<u64>,
    /// The metrics; those of the configuration where empty.
    pub metrics: Vec<MetricSpec>,
    /// Where what is known of each reference example goes, of the newest of the checkpoints.
    #[serde(default)]
    pub per_example: Option<PathBuf>,
    /// Where data files are looked for.
    pub data_roots: Vec<PathBuf>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads that it may use.
    pub threads: usize,
}

/// A network of one run for others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// The run's directory.
    pub run: PathBuf,
    /// Where it goes; the ending says how (`.pt`, `.safetensors`).
    pub out: PathBuf,
    /// The step of the checkpoint; the newest where not named.
    pub checkpoint: Option<u64>,
    /// Whose network; the family's own choice where not named.
    #[serde(default)]
    pub player: Option<String>,
    /// Where data files are looked for.
    pub data_roots: Vec<PathBuf>,
}

/// What a worker tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It has understood and begins: always the first.
    Started {
        /// The [`PROTOCOL`] that it speaks.
        version: u32,
        /// What it is made of.
        versions: Versions,
        /// The names of the runs, in the order of the job.
        runs: Vec<String>,
    },
    /// Runs went on together.
    Progress {
        /// The place in the job of the first.
        run: usize,
        /// How many there are.
        together: usize,
        /// Steps done.
        step: u64,
        /// Steps to do.
        steps: u64,
        /// Steps of this run a second.
        rate: f64,
        /// The newest scalars by name; `None` for what JSON cannot say (not finite) or was not computed.
        scalars: Vec<(String, Option<f64>)>,
    },
    /// A run's state changed (and stands in its `run.json`).
    State {
        /// Its place in the job.
        run: usize,
        /// The new state.
        state: State,
        /// Steps done.
        step: u64,
        /// Why, where it failed or diverged.
        reason: Option<String>,
    },
    /// Something the user should know, of one run or of all.
    Warning {
        /// Its place in the job.
        run: Option<usize>,
        /// A sentence.
        text: String,
    },
    /// A line for whoever looks closely.
    Log {
        /// Its place in the job.
        run: Option<usize>,
        /// The line.
        text: String,
    },
    /// A number that was asked for.
    Number {
        /// Steps done at the checkpoint.
        step: u64,
        /// The metric.
        metric: String,
        /// Its value; `None` where it could not be measured.
        value: Option<f64>,
        /// How it was measured.
        protocol: Vec<(String, String)>,
    },
    /// Samples that take long went on.
    Drawn {
        /// How much of them is done, in steps of whoever makes them.
        done: u64,
        /// How much there is.
        all: u64,
    },
    /// A file that was asked for is written.
    Wrote {
        /// The file.
        path: PathBuf,
        /// What is in it, in a few words.
        what: String,
    },
    /// What was asked for cannot be done, in words for the user; the exit code says of which kind it is.
    Refused {
        /// A sentence fragment without a period.
        message: String,
        /// What to do, where that is known.
        help: Option<String>,
    },
    /// What libtorch is found, as pairs of a word and what is so.
    Doctor {
        /// For a person, in order.
        facts: Vec<(String, String)>,
    },
    /// The last line of a worker that was not cut off.
    Bye,
}

/// Why the other side was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The pipe broke.
    #[error("the pipe between gantlet and its worker broke: {0}")]
    Io(#[from] std::io::Error),
    /// Nothing was asked.
    #[error("nothing was asked on standard input: gantlet-worker is started by gantlet")]
    Silence,
    /// Not a line of this language.
    #[error("a line that makes no sense between gantlet and its worker: {0}")]
    Line(#[from] serde_json::Error),
    /// Another version of this language.
    #[error("gantlet speaks version {parent} to its worker, and gantlet-worker version {worker}: build both anew")]
    Version {
        /// The parent's.
        parent: u32,
        /// The worker's.
        worker: u32,
    },
}

/// Writes the one line that a worker reads.
///
/// # Errors
/// If the pipe is broken.
pub fn write_request(to: &mut impl Write, request: &WorkerRequest) -> std::io::Result<()> {
    write_line(to, &Envelope { version: PROTOCOL, request: request.clone() })
}

/// Reads the one line that a worker reads. What follows on the pipe is its end, when the parent is gone.
///
/// # Errors
/// If there is none, or it is not of this version.
pub fn read_request(from: &mut impl BufRead) -> Result<WorkerRequest, ProtocolError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(ProtocolError::Silence);
    }
    // The version first: another version's request need not parse at all.
    let Version { version } = serde_json::from_str(&line)?;
    if version != PROTOCOL {
        return Err(ProtocolError::Version { parent: version, worker: PROTOCOL });
    }
    Ok(serde_json::from_str::<Envelope>(&line)?.request)
}

/// Writes an event as a line and sees it off. A broken pipe means that the parent is gone.
///
/// # Errors
/// If the pipe is broken.
pub fn write_event(to: &mut impl Write, event: &Event) -> std::io::Result<()> {
    write_line(to, event)
}

/// Reads one line of a worker.
///
/// # Errors
/// If it is no event, or the worker speaks another version.
pub fn read_event(line: &str) -> Result<Event, ProtocolError> {
    let event = serde_json::from_str(line)?;
    match event {
        Event::Started { version, .. } if version != PROTOCOL => {
            Err(ProtocolError::Version { parent: PROTOCOL, worker: version })
        }
        event => Ok(event),
    }
}

fn write_line(to: &mut impl Write, what: &impl Serialize) -> std::io::Result<()> {
    // One write a line, so that lines of two threads cannot mix.
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_events_read_back() {
        let job = Job { runs: vec!["runs/a/b".into()], data_roots: vec![], device: "cpu".into(), threads: 2 };
        for request in [WorkerRequest::Train(job), WorkerRequest::Doctor] {
            let mut pipe = Vec::new();
            write_request(&mut pipe, &request).unwrap();
            assert_eq!(read_request(&mut pipe.as_slice()).unwrap(), request);
        }
        let event = Event::Progress {
            run: 3,
            together: 2,
            step: 10,
            steps: 100,
            rate: 1e4,
            scalars: vec![("d/loss".into(), Some(0.5)), ("g/loss".into(), None)],
        };
        let mut pipe = Vec::new();
        write_event(&mut pipe, &event).unwrap();
        assert_eq!(read_event(std::str::from_utf8(&pipe).unwrap()).unwrap(), event);
    }

    #[test]
    fn another_version_is_named_even_where_its_words_are_unknown() {
        let error = read_request(&mut b"{\"version\": 9, \"request\": \"dance\"}\n".as_slice()).unwrap_err();
        assert!(matches!(error, ProtocolError::Version { parent: 9, worker: PROTOCOL }));
        let started = "{\"started\":{\"version\":7,\"versions\":{\"gantlet\":\"9\"},\"runs\":[]}}";
        assert!(matches!(read_event(started), Err(ProtocolError::Version { worker: 7, .. })));
        assert!(matches!(read_request(&mut b"".as_slice()), Err(ProtocolError::Silence)));
    }
}
