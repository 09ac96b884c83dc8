//! The command line as types.

use crate::schedule::DeviceChoice;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "gantlet",
    version,
    about = "Trains what a TOML file describes, measures it, and says whether its claims hold.",
    after_help = "\
Examples:
  gantlet init first && gantlet run first.toml       a file to start from, and its runs
  gantlet plan first.toml                            grid, networks and packs, before anything runs
  gantlet run first.toml --set schedule.steps=200    one setting changed for all cells
  gantlet compare runs/first --by loss.adversarial   one row per loss, over seeds
  gantlet verify first.toml                          whether the claims hold

Exit codes:
  0 all well   1 unexpected   2 wrong command line   3 wrong experiment   4 data missing or corrupt
  5 some runs failed   6 a run diverged   7 a claim does not hold   130 interrupted",
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run what is not done: start what is new, go on with what was interrupted
    Run(RunArgs),
    /// Show what would run: cells, packs, networks, steps, disk
    Plan(PlanArgs),
    /// Find every mistake of every cell, and run nothing
    Check(CheckArgs),
    /// List runs with their state and last numbers
    Ls(LsArgs),
    /// Show one run
    Show(ShowArgs),
    /// Show what differs between two runs, experiments or files
    Diff(DiffArgs),
    /// Compare configurations over their seeds
    Compare(CompareArgs),
    /// Say whether the claims hold
    Verify(VerifyArgs),
    /// Draw samples from a trained generator
    Sample(SampleArgs),
    /// Draw paths between latents and sums of them, and search among them for what images lost
    Latent(LatentArgs),
    /// Evaluate checkpoints again
    Eval(EvalArgs),
    /// Write one self-contained page: curves, tables, samples, claims
    Report(ReportArgs),
    /// Write a generator for others to load
    Export(ExportArgs),
    /// List, fetch, check and look at data sets
    Data(DataArgs),
    /// Write a commented experiment to start from
    Init(InitArgs),
    /// Print the JSON Schema of experiment files
    Schema,
    /// Tell which libtorch, devices and data are found
    Doctor,
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(super) struct Sets {
    /// Set a dotted key for all cells, as in `schedule.steps=200`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Out {
    /// The folder of all experiments' runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Experiments, or the config.toml of a run
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub sets: Sets,
    #[command(flatten)]
    pub out: Out,
    /// Where to compute: auto, cpu, cuda (all devices) or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Packs at once [default: one a core, or one a CUDA device]
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    pub jobs: Option<u64>,
    /// Threads of each pack [default: the cores shared out]
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    pub threads: Option<u64>,
    /// Try runs again that ended badly
    #[arg(long, value_name = "STATE")]
    pub retry: Vec<RetryArg>,
    /// Stop when so many runs have ended badly
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    pub max_fail: Option<u64>,
    /// Train each run on its own
    #[arg(long)]
    pub no_pack: bool,
}

fn at_least_one() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1_000_000)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RetryArg {
    Failed,
    Diverged,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Experiments
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub sets: Sets,
    #[command(flatten)]
    pub out: Out,
    /// Plan each run on its own
    #[arg(long)]
    pub no_pack: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Experiments
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub sets: Sets,
}

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// An experiment's folder, or the folder of all experiments
    #[arg(value_name = "DIR", default_value = "runs")]
    pub dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run's directory, or the beginning of its name or id
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub out: Out,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// A run, an experiment's folder or a file
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Another
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Put samples from the same latents side by side in a PNG
    #[arg(long, value_name = "F.png")]
    pub picture: Option<PathBuf>,
    /// Overlay the curves in a PNG, one plot per metric
    #[arg(long, value_name = "F.png")]
    pub curves: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Experiments' folders
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Group rows by this setting
    #[arg(long, value_name = "KEY")]
    pub by: Vec<String>,
    /// Show only this metric; a single one sorts the rows
    #[arg(long, value_name = "M")]
    pub metric: Vec<String>,
    /// Sort rows by this metric, best first
    #[arg(long, value_name = "M")]
    pub sort: Option<String>,
    /// Test every row against the one with this setting [default: the first of two rows]
    #[arg(long, value_name = "KEY=VALUE")]
    pub against: Vec<String>,
    /// Print JSON
    #[arg(long, group = "format")]
    pub json: bool,
    /// Print CSV
    #[arg(long, group = "format")]
    pub csv: bool,
    /// Print Markdown
    #[arg(long, group = "format")]
    pub md: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Experiments' folders or files, or folders of them
    #[arg(required = true, value_name = "DIR|FILE")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub out: Out,
    /// Print JSON
    #[arg(long, group = "format")]
    pub json: bool,
    /// Print Markdown
    #[arg(long, group = "format")]
    pub md: bool,
}

/// A trained model, and how it is asked.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The step of the checkpoint [default: the newest]
    #[arg(long, value_name = "STEP")]
    pub checkpoint: Option<u64>,
    /// The seed of what is drawn
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// The label that all samples have
    #[arg(long, value_name = "L")]
    pub label: Option<i64>,
    /// Averaged weights where there are any, or the raw ones
    #[arg(long, value_name = "WHICH", default_value = "auto", value_parser = ["auto", "raw"])]
    pub weights: String,
    /// Where to compute
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
}

#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// How many samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one())]
    pub n: u64,
    /// Where they go: .png, .npy (float32, in data units), .csv, or .txt of texts
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
pub(super) struct LatentArgs {
    #[command(subcommand)]
    pub command: LatentCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum LatentCommand {
    /// Draw paths between samples, a row each
    Interpolate {
        #[command(flatten)]
        asking: Asking,
        /// How many paths
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one())]
        rows: u64,
        /// Samples of a path, ends included
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=10_000))]
        steps: u64,
    },
    /// Draw what sums of latents make: the mean of some samples less that of others plus that of others
    Arithmetic {
        #[command(flatten)]
        asking: Asking,
        /// Samples by their places in `gantlet sample`, from 0
        #[arg(long, value_name = "I,…", value_delimiter = ',', required = true)]
        from: Vec<u64>,
        /// Samples whose mean is taken away
        #[arg(long, value_name = "I,…", value_delimiter = ',', required = true)]
        minus: Vec<u64>,
        /// Samples whose mean is added
        #[arg(long, value_name = "I,…", value_delimiter = ',', required = true)]
        plus: Vec<u64>,
        /// How many samples there are to choose from
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one())]
        n: u64,
        /// How far each number of the latent moves at most in the eight pictures around the sum
        #[arg(long, value_name = "A", default_value_t = 0.25, value_parser = not_negative)]
        around: f64,
    },
    /// Fill what held-out images lost by searching the latent that makes the rest of them
    Inpaint {
        #[command(flatten)]
        asking: Asking,
        /// What is taken away: a half, or the middle of both sides
        #[arg(long, value_name = "PART", default_value = "center")]
        mask: MaskArg,
        /// How many images
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one())]
        n: u64,
        #[command(flatten)]
        searching: Searching,
    },
    /// Take noise off held-out images by searching the latent that makes them
    Denoise {
        #[command(flatten)]
        asking: Asking,
        /// The deviation of the noise, in units of the data
        #[arg(long, value_name = "STD", default_value_t = 0.5, value_parser = not_negative)]
        noise: f64,
        /// How many images
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one())]
        n: u64,
        #[command(flatten)]
        searching: Searching,
    },
    /// Draw samples with the training examples that are nearest to them below
    Nearest {
        #[command(flatten)]
        asking: Asking,
        /// How many samples
        #[arg(long, value_name = "N", default_value_t = 12, value_parser = at_least_one())]
        n: u64,
        /// How many training examples below each
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one())]
        neighbors: u64,
        /// Training examples that they are looked for among
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one())]
        among: u64,
    },
}

#[derive(Debug, Args)]
pub(super) struct Asking {
    /// Where the picture goes (of paths and sums also .npy or .csv)
    #[arg(long, value_name = "F.png")]
    pub out: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
pub(super) struct Searching {
    /// Steps of each search
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = at_least_one())]
    pub steps: u64,
    /// Latents that each search begins from; the best end is kept
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one())]
    pub restarts: u64,
    /// The rate of Adam at the first step; it falls to 0
    #[arg(long, value_name = "LR", default_value_t = 0.1, value_parser = not_negative)]
    pub rate: f64,
    /// The weight of −log p of the latent, a dimension
    #[arg(long, value_name = "W", default_value_t = 0.1, value_parser = not_negative)]
    pub prior: f64,
    /// Training examples that the nearest one is looked for among
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one())]
    pub among: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MaskArg {
    Left,
    Right,
    Top,
    Bottom,
    Center,
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a number of 0 or more".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Runs' directories
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Only this metric [default: those of the configuration]
    #[arg(long, value_name = "M")]
    pub metric: Vec<String>,
    /// The step of one checkpoint [default: all of them]
    #[arg(long, value_name = "STEP")]
    pub checkpoint: Option<u64>,
    /// Write the likelihood of each reference example of one run, at its newest checkpoint
    #[arg(long, value_name = "F.csv")]
    pub per_example: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// A run, an experiment's folder, or the folder of all experiments
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The page
    #[arg(long, value_name = "F.html", required_unless_present = "plots")]
    pub out: Option<PathBuf>,
    /// Write every curve as SVG and PNG into this folder
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where it goes: .pt (TorchScript) or .safetensors (plain weights)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The step of the checkpoint [default: the newest]
    #[arg(long, value_name = "STEP")]
    pub checkpoint: Option<u64>,
    /// Whose network [default: the one that makes samples, else the one that takes examples]
    #[arg(long, value_name = "NAME")]
    pub player: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DataArgs {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// List the known sets and whether they are here
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a set, with its checksums; what was cut off goes on
    Get {
        /// The set
        name: String,
        /// Take it from this address or folder
        #[arg(long, value_name = "URL|DIR")]
        from: Option<String>,
        /// The data folder that it goes into [default: the first of GANTLET_DATA, else data]
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// Hold the files of sets against their sizes and checksums
    Check {
        /// Sets [default: all that are here]
        names: Vec<String>,
    },
    /// Show what a set holds
    Preview {
        /// The set, a kind of data with its defaults, or the file of an experiment
        name: String,
        /// How many examples [default: 64 images or texts, or 2,000 points]
        #[arg(long, value_name = "N", value_parser = at_least_one())]
        n: Option<u64>,
        /// Write them: .png (images in a grid, else a density or a scatter) or .csv (a row an example)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The experiment's name, or its file
    #[arg(value_name = "NAME")]
    pub name: String,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}
