//! `latent`: what a trained model's latents are good for, as pictures and numbers.

use super::args::{LatentArgs, LatentCommand, MaskArg, Searching};
use super::ask::{asked, known_ending, samples, wrote};
use super::{Exit, Failure, cores, print};
use crate::record::event::{Event, LatentRequest, LatentWork, MaskKind, SearchSettings, WorkerRequest};
use crate::ui::{table, words};

/// `gantlet latent`.
pub(super) fn latent(args: &LatentArgs) -> Result<Exit, Failure> {
    let (asking, n, what) = match &args.command {
        LatentCommand::Interpolate { asking, rows, steps } => {
            (asking, *rows, LatentWork::Interpolate { places: whole(*steps) })
        }
        LatentCommand::Arithmetic { asking, from, minus, plus, n, around } => {
            let groups = [("from", from), ("minus", minus), ("plus", plus)];
            for (name, group) in groups {
                if let Some(place) = group.iter().find(|place| *place >= n) {
                    let message = format!("there is no sample {place} for `--{name}` among {n}");
                    let help = format!("`gantlet sample --n {n}` draws them: they count from 0, row by row");
                    return Err(Failure::new(Exit::Usage, message).help(help));
                }
            }
            let [from, minus, plus] = groups.map(|(_, group)| group.iter().map(|&place| whole(place)).collect());
            (asking, *n, LatentWork::Arithmetic { from, minus, plus, around: *around })
        }
        LatentCommand::Inpaint { asking, mask, n, searching } => {
            let (search, among) = settings(searching);
            (asking, *n, LatentWork::Inpaint { mask: (*mask).into(), search, among })
        }
        LatentCommand::Denoise { asking, noise, n, searching } => {
            let (search, among) = settings(searching);
            (asking, *n, LatentWork::Denoise { std: *noise, search, among })
        }
        LatentCommand::Nearest { asking, n, neighbors, among } => {
            (asking, *n, LatentWork::Nearest { neighbors: whole(*neighbors), among: whole(*among) })
        }
    };
    let endings: &[&str] = match what {
        LatentWork::Interpolate { .. } | LatentWork::Arithmetic { .. } => &["png", "npy", "csv"],
        _ => &["png"],
    };
    known_ending(&asking.out, endings)?;
    let request = LatentRequest { of: samples(&asking.model, &asking.out, n)?, what };
    let (mut rows, mut told) = (Vec::new(), String::new());
    asked(cores(), &WorkerRequest::Latent(request), |event| match event {
        Event::Number { metric, value, .. } => {
            rows.push(vec![metric, value.map_or_else(|| "–".to_owned(), words::number)]);
        }
        other => told.extend(wrote(other)),
    })?;
    let numbers = if rows.is_empty() { String::new() } else { table::text(&["number", "value"], &rows) + "\n" };
    print(&(numbers + &told))?;
    Ok(Exit::Well)
}

fn whole(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn settings(searching: &Searching) -> (SearchSettings, usize) {
    let Searching { steps, restarts, rate, prior, among } = *searching;
    (SearchSettings { steps: whole(steps), restarts: whole(restarts), rate, prior }, whole(among))
}

impl From<MaskArg> for MaskKind {
    fn from(mask: MaskArg) -> Self {
        match mask {
            MaskArg::Left => Self::Left,
            MaskArg::Right => Self::Right,
            MaskArg::Top => Self::Top,
            MaskArg::Bottom => Self::Bottom,
            MaskArg::Center => Self::Center,
        }
    }
}
