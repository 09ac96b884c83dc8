//! What a run's pictures show: images in a grid, one dimension as densities, two as a scatter over the critic's surface.

use super::pack::Pack;
use crate::base::Array;
use crate::data::{DataInfo, Examples, Truth};
use crate::objective::{Generate, Objective, Request};
use crate::picture::{self, Density1d, Real1d, Scatter2d, Surface};
use crate::record::OutputSpec;
use crate::rng::Purpose;
use image::RgbImage;
use std::sync::Arc;
use tch::Tensor;

/// Samples in a picture of low-dimensional data, whatever `output.samples` says of images.
const POINTS: usize = 2000;
/// Points at which a decision line is asked for.
const LINE: usize = 401;
/// Points a side at which a decision surface is asked for.
const SIDE: usize = 96;

/// How pictures of one source look.
#[derive(Clone)]
pub struct Preview {
    info: DataInfo,
    real: Arc<Examples>,
    samples: usize,
    per_row: usize,
    /// The window on low-dimensional data, the same in every picture of a run.
    window: (f32, f32),
}

impl Preview {
    /// Pictures against these real examples.
    pub fn new(info: DataInfo, real: &Arc<Examples>, output: &OutputSpec) -> Self {
        let low = real.x.data.iter().copied().fold(f32::INFINITY, f32::min);
        let high = real.x.data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // Wide enough to see samples that are not yet where they should be.
        let margin = (high - low).max(1e-3) * if info.shape == [1] { 0.75 } else { 0.2 };
        Self {
            window: (low - margin, high + margin),
            info,
            real: real.clone(),
            samples: output.samples as usize,
            per_row: output.samples_per_row as usize,
        }
    }

    /// The picture of real examples alone.
    pub fn real(&self) -> RgbImage {
        if self.info.is_image() {
            return self.grid(&self.real.x.head(self.samples));
        }
        self.points(&Array::zeros(vec![0, self.info.shape[0]]), None, "data")
    }

    fn samples(&self) -> usize {
        if self.info.is_image() { self.samples } else { POINTS }
    }

    fn grid(&self, images: &Array) -> RgbImage {
        picture::grid(images, self.info.range.unwrap_or((-1.0, 1.0)), self.per_row, 0)
    }

    /// Where the discriminator's answer is shown: `[n, d]`.
    fn asked(&self) -> Option<Tensor> {
        let (low, high) = (f64::from(self.window.0), f64::from(self.window.1));
        let options = (tch::Kind::Float, tch::Device::Cpu);
        match self.info.shape[..] {
            [1] => Some(Tensor::linspace(low, high, LINE as i64, options).unsqueeze(1)),
            [2] => {
                let line = Tensor::linspace(low, high, SIDE as i64, options);
                // A row of points for each y, from the lowest up.
                let grid = Tensor::meshgrid_indexing(&[line.shallow_clone(), line], "ij");
                Some(Tensor::stack(&[&grid[1], &grid[0]], 2).view([-1, 2]))
            }
            _ => None,
        }
    }

    fn points(&self, fake: &Array, answer: Option<(&[f32], bool)>, title: &str) -> RgbImage {
        match self.info.shape[..] {
            [1] => {
                let xs: Vec<f32> = (0..LINE)
                    .map(|i| self.window.0 + (self.window.1 - self.window.0) * i as f32 / (LINE - 1) as f32)
                    .collect();
                picture::density(&Density1d {
                    real: match self.info.truth {
                        Truth::Normal { mean, std } => Real1d::Normal { mean, std },
                        _ => Real1d::Samples(&self.real.x.data),
                    },
                    fake: &fake.data,
                    decision: answer.filter(|(_, probability)| *probability).map(|(d, _)| (&xs[..], d)),
                    range: self.window,
                    title,
                    caption: "",
                })
            }
            [2] => picture::scatter(&Scatter2d {
                real: &self.real.x.head(POINTS),
                fake,
                surface: answer.map(|(values, _)| Surface { values: values.to_vec(), side: SIDE, range: self.window }),
                range: self.window,
                title,
                caption: "",
            }),
            // The first two of many dimensions.
            _ => {
                let plane = |a: &Array| {
                    let data = (0..a.rows()).flat_map(|i| a.row(i)[..2].to_vec()).collect();
                    Array::new(vec![a.rows(), 2], data)
                };
                picture::scatter(&Scatter2d {
                    real: &plane(&self.real.x.head(POINTS)),
                    fake: &plane(fake),
                    surface: None,
                    range: self.window,
                    title,
                    caption: "first two dimensions",
                })
            }
        }
    }
}

/// The picture of every run at the pack's step, from latents that stay the same over a run.
pub fn pictures<'p, O: Objective + Generate>(
    pack: &Pack<O>,
    previews: impl Iterator<Item = &'p Preview>,
    averaged: bool,
) -> Vec<RgbImage> {
    let previews: Vec<&Preview> = previews.collect();
    let Some(first) = previews.first() else { return vec![] };
    let request =
        Request { seeds: &pack.seeds, purpose: Purpose::Preview, index: 0, n: first.samples(), label: None, averaged };
    let fakes = pack.objective.generate(&pack.players, &request);
    let title = format!("step {}", pack.step);
    let mut answers: Option<((f32, f32), Vec<Vec<f32>>, bool)> = None;
    let mut out = Vec::new();
    for (run, (preview, fake)) in previews.iter().zip(&fakes).enumerate() {
        if preview.info.is_image() {
            out.push(preview.grid(&fake.x));
            continue;
        }
        // Runs over one source are asked at the same points, all at once.
        if answers.as_ref().is_none_or(|(window, ..)| *window != preview.window) {
            answers = preview.asked().map(|points| {
                let (rows, probability) = pack.objective.surface(&pack.players, &points.to_device(pack.device));
                (preview.window, rows, probability)
            });
        }
        let answer = answers.as_ref().map(|(_, rows, probability)| (&rows[run][..], *probability));
        out.push(preview.points(&fake.x, answer, &title));
    }
    out
}
