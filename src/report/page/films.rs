//! The samples on the page: which pictures fit, and how they are embedded.

use super::super::group::Configuration;
use crate::base::file;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use std::path::{Path, PathBuf};

/// The most configurations whose samples are shown, over all experiments.
const PICTURES: usize = 24;
/// The most pictures per configuration, over its steps.
const FRAMES: usize = 12;
/// The bytes of all pictures together, before base64 adds a third.
const BUDGET: usize = 5_500_000;
/// The width of pictures on the page, in pixels.
const WIDE: u32 = 440;

/// The samples of a configuration over the steps.
pub(super) struct Film {
    /// Its index.
    pub(super) configuration: usize,
    pub(super) seed: Option<u64>,
    /// Steps with their pictures, at least one; the last is the newest.
    pub(super) frames: Vec<(u64, Picture)>,
}

/// A picture as it is embedded in the page.
pub(super) struct Picture {
    kind: &'static str,
    bytes: Vec<u8>,
}

impl Picture {
    /// Its `data:` address.
    pub(super) fn url(&self) -> String {
        format!("data:image/{};base64,{}", self.kind, BASE64_STANDARD.encode(&self.bytes))
    }
}

/// The pictures of the configurations of each section, within a budget for the whole page: first the newest of each
/// configuration, then as many of earlier steps as the budget allows.
pub(super) fn films(sections: &[&[Configuration<'_>]]) -> Vec<Vec<Film>> {
    let mut all: Vec<Vec<Film>> = Vec::new();
    let mut earlier: Vec<(usize, usize, Vec<PathBuf>)> = Vec::new();
    let mut used = 0;
    for (s, section) in sections.iter().enumerate() {
        let mut films = Vec::new();
        let most = (PICTURES / sections.len()).max(1);
        for (i, configuration) in section.iter().enumerate() {
            let found =
                configuration.runs.iter().find_map(|run| Some((run, run.pictures())).filter(|f| !f.1.is_empty()));
            let Some((run, mut paths)) = found else { continue };
            if films.len() >= most || used > BUDGET {
                break;
            }
            let Some(last) = paths.pop() else { continue };
            let Some(image) = shrunk(&last) else { continue };
            used += image.bytes.len();
            earlier.push((s, films.len(), paths));
            films.push(Film { configuration: i, seed: run.seed, frames: vec![(step_of(&last), image)] });
        }
        all.push(films);
    }
    let shown: usize = all.iter().map(Vec::len).sum();
    let each = used.checked_div(shown).unwrap_or(0).max(1);
    // Earlier pictures are about as large as the last one; if they are larger, the page exceeds the budget a little.
    let frames = (BUDGET.saturating_sub(used) / (each * shown.max(1))).min(FRAMES - 1);
    for (s, film, paths) in earlier {
        let chosen = (0..frames.min(paths.len())).map(|i| &paths[i * paths.len() / frames.min(paths.len())]);
        let mut before: Vec<(u64, Picture)> = chosen.filter_map(|p| Some((step_of(p), shrunk(p)?))).collect();
        let film = &mut all[s][film];
        before.append(&mut film.frames);
        film.frames = before;
    }
    all
}

fn step_of(path: &Path) -> u64 {
    path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok()).unwrap_or(0)
}

/// A picture for the page: the file itself if it is small, else a JPEG that is no wider than the page needs.
pub(super) fn shrunk(path: &Path) -> Option<Picture> {
    const SMALL: usize = 30_000;
    let bytes = file::read(path).ok()?;
    let picture = image::load_from_memory(&bytes).ok()?.to_rgb8();
    if bytes.len() <= SMALL && picture.width() <= 2 * WIDE {
        return Some(Picture { kind: "png", bytes });
    }
    let wide = picture.width().min(WIDE);
    let high = (u64::from(picture.height()) * u64::from(wide) / u64::from(picture.width())).max(1) as u32;
    let picture =
        if wide < picture.width() { imageops::resize(&picture, wide, high, FilterType::CatmullRom) } else { picture };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 80).encode_image(&picture).ok()?;
    Some(Picture { kind: "jpeg", bytes })
}
