//! What a run's pictures show: images in a grid, one dimension as densities, two as a scatter over the critic's surface.

use super::pack::Pack;
use crate::base::Array;
use crate::data::{DataInfo, Examples};
use crate::objective::{PanelRequest, Request};
use crate::picture::{Answer, POINTS, View};
use crate::record::OutputSpec;
use crate::rng::Purpose;
use image::RgbImage;
use std::sync::Arc;
use tch::Tensor;

/// Points at which a decision line is asked for.
const LINE: usize = 401;
/// Points a side at which a decision surface is asked for.
const SIDE: usize = 96;

/// How pictures of one source look, and the examples that they show.
#[derive(Clone)]
pub struct Preview {
    view: View,
    real: Arc<Examples>,
    samples: usize,
    per_row: usize,
}

impl Preview {
    /// Pictures against these real examples.
    pub fn new(info: &DataInfo, real: &Arc<Examples>, output: &OutputSpec) -> Self {
        Self {
            view: View::new(info, &real.x),
            real: real.clone(),
            samples: output.samples as usize,
            per_row: output.samples_per_row as usize,
        }
    }

    /// The picture of real examples alone.
    pub fn real(&self) -> RgbImage {
        self.view.examples(&self.real.x.head(self.samples()), self.per_row, "data")
    }

    /// The picture of a run's samples at a step; none where it makes none.
    pub fn picture(&self, sketch: &Sketch, step: u64) -> Option<RgbImage> {
        let fake = sketch.fake.as_ref()?;
        if self.view.is_each() {
            return Some(self.view.images(fake, self.per_row));
        }
        let answer = sketch.answer.as_ref().map(|(values, probability)| Answer { values, probability: *probability });
        Some(self.view.points(&self.real.x, fake, answer, &format!("step {step}")))
    }

    /// A run's further pictures at a step, by their names.
    pub fn panels(&self, sketch: &Sketch, step: u64) -> Vec<(&'static str, RgbImage)> {
        let picture = |panel: &Shown| match self.view.is_each() {
            true => self.view.images(&panel.examples, panel.per_row.unwrap_or(self.per_row)),
            false => {
                let over = panel.over.as_ref().unwrap_or(&self.real.x);
                self.view.points(over, &panel.examples, None, &format!("step {step}"))
            }
        };
        sketch.panels.iter().map(|panel| (panel.name, picture(panel))).collect()
    }

    /// How many samples a picture shows, whatever `output.samples` says of images and texts.
    fn samples(&self) -> usize {
        if self.view.is_each() { self.samples } else { POINTS }
    }

    /// Where the discriminator's answer is shown: `[n, d]`.
    fn asked(&self) -> Option<Tensor> {
        let (low, high) = (f64::from(self.view.window().0), f64::from(self.view.window().1));
        let options = (tch::Kind::Float, tch::Device::Cpu);
        match *self.view.shape() {
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
}

/// What is to be drawn of a run, taken from its networks.
pub struct Sketch {
    /// Samples, where the family makes some.
    fake: Option<Array>,
    /// A number at each place that the view asks for, where the family has one, and whether they are probabilities.
    answer: Option<(Vec<f32>, bool)>,
    /// Further pictures, those that show something.
    panels: Vec<Shown>,
}

/// What a [`crate::objective::Panel`] has for one run.
struct Shown {
    name: &'static str,
    examples: Array,
    per_row: Option<usize>,
    over: Option<Array>,
}

/// What is to be drawn of every run as the pack stands, from latents that stay the same over a run and from the examples
/// that each is held against.
pub fn sketches(pack: &Pack, previews: &[&Preview], real: &[&Examples], averaged: bool) -> Vec<Sketch> {
    let Some(first) = previews.first() else { return vec![] };
    let n = first.samples();
    let request = Request { seeds: &pack.seeds, purpose: Purpose::Preview, index: 0, n, label: None, averaged };
    let mut fakes: Vec<Option<Array>> = match pack.objective.provides().samples {
        Some(model) => model.generate(&pack.players, &request).into_iter().map(|fake| Some(fake.x)).collect(),
        None => previews.iter().map(|_| None).collect(),
    };
    let mut panels = pack.objective.panels(&pack.players, &PanelRequest { seeds: &pack.seeds, real, n, averaged });
    let mut answers: Option<((f32, f32), Vec<Vec<f32>>, bool)> = None;
    let mut out = Vec::new();
    for (run, preview) in previews.iter().enumerate() {
        // Runs over one source are asked at the same points, all at once.
        if answers.as_ref().is_none_or(|(window, ..)| *window != preview.view.window()) {
            answers = preview.asked().and_then(|points| {
                let (rows, probability) = pack.objective.surface(&pack.players, &points.to_device(pack.device))?;
                Some((preview.view.window(), rows, probability))
            });
        }
        let answer = answers.as_mut().map(|(_, rows, probability)| (std::mem::take(&mut rows[run]), *probability));
        let of_run = panels.iter_mut().map(|panel| Shown {
            name: panel.name,
            examples: std::mem::take(&mut panel.runs[run]),
            per_row: panel.per_row,
            over: panel.over.as_mut().map(|over| std::mem::take(&mut over[run])),
        });
        let panels = of_run.filter(|shown| shown.examples.rows() > 0).collect();
        out.push(Sketch { fake: fakes[run].take(), answer, panels });
    }
    out
}
