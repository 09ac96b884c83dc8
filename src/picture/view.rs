//! Pictures of the data of one source and of samples: images in a grid, one dimension as densities, two as a scatter.

use super::{Density1d, Real1d, Scatter2d, Surface, density, grid, lines, scatter};
use crate::base::Array;
use crate::data::{DataInfo, Truth};
use image::RgbImage;

/// Points of low-dimensional data in a picture.
pub const POINTS: usize = 2000;

/// The discriminator's output over the window of a [`View`].
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// At evenly spaced positions in one dimension, or on a square grid in two, one row per y from the lowest up.
    pub values: &'a [f32],
    /// Whether they are probabilities.
    pub probability: bool,
}

/// A layout that is the same in every picture of one source.
#[derive(Clone, Debug)]
pub struct View {
    info: DataInfo,
    window: (f32, f32),
}

impl View {
    /// A view wide enough for these examples, and for samples of a model that has not converged.
    pub fn new(info: &DataInfo, real: &Array) -> Self {
        let low = real.data.iter().copied().fold(f32::INFINITY, f32::min);
        let high = real.data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let margin = (high - low).max(1e-3) * if info.shape == [1] { 0.75 } else { 0.2 };
        Self { info: info.clone(), window: (low - margin, high + margin) }
    }

    /// The shape of an example.
    pub fn shape(&self) -> &[usize] {
        &self.info.shape
    }

    /// The values that a picture of low-dimensional data spans.
    pub fn window(&self) -> (f32, f32) {
        self.window
    }

    /// Whether each example is a picture or a text of its own, not a point among others.
    pub fn is_each(&self) -> bool {
        self.info.is_image() || self.info.is_text()
    }

    /// Images `[n, c, h, w]`, `per_row` in each row, or in a square grid if that is 0. Texts `[n, t]` one below the other.
    pub fn images(&self, images: &Array, per_row: usize) -> RgbImage {
        if self.info.is_text() {
            return lines(&(0..images.rows()).map(|i| self.info.text(images.row(i))).collect::<Vec<_>>());
        }
        grid(images, self.info.range.unwrap_or((-1.0, 1.0)), per_row, 0)
    }

    /// Examples alone, with a title unless they are images.
    pub fn examples(&self, real: &Array, per_row: usize, title: &str) -> RgbImage {
        if self.is_each() {
            return self.images(real, per_row);
        }
        self.points(real, &Array::zeros(vec![0, self.info.shape[0]]), None, title)
    }

    /// Examples `[n, d]`, samples `[n, d]` (possibly none), and the discriminator's output.
    pub fn points(&self, real: &Array, fake: &Array, answer: Option<Answer<'_>>, title: &str) -> RgbImage {
        let (low, high) = self.window;
        match self.info.shape[..] {
            [1] => {
                let xs: Vec<f32> = answer.map_or_else(Vec::new, |a| {
                    let last = (a.values.len().max(2) - 1) as f32;
                    (0..a.values.len()).map(|i| low + (high - low) * i as f32 / last).collect()
                });
                density(&Density1d {
                    real: match self.info.truth {
                        Truth::Normal { mean, std } => Real1d::Normal { mean, std },
                        Truth::Unknown
                        | Truth::Modes { .. }
                        | Truth::Gaussian { .. }
                        | Truth::Bars { .. }
                        | Truth::Chain(_)
                        | Truth::Shapes(_) => Real1d::Samples(&real.data),
                    },
                    fake: &fake.data,
                    decision: answer.filter(|a| a.probability).map(|a| (&xs[..], a.values)),
                    range: self.window,
                    title,
                    caption: "",
                })
            }
            [2] => scatter(&Scatter2d {
                real: &real.head(POINTS),
                fake,
                surface: answer.map(|a| Surface {
                    values: a.values.to_vec(),
                    side: a.values.len().isqrt(),
                    range: self.window,
                }),
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
                scatter(&Scatter2d {
                    real: &plane(&real.head(POINTS)),
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
