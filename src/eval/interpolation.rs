//! Whether what a model makes changes evenly on the way from one latent to another, or jumps: sharp steps tell of a model that
//! keeps examples in mind and of latents that nothing lies between (arXiv:1511.06434, section 6.1).

use super::Direction::{Lower, Neither};
use super::{AGAINST_NOTHING, Context, Metric, MetricName, Outcome, named};
use crate::base::{Array, host};
use crate::objective::{Decode, Latents, Model, Request, decoded, provided};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Paths between latents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct InterpolationSpec {
    /// How many.
    pub paths: NonZeroU32,
    /// Steps of each: the more there are, the smaller each is where nothing jumps.
    pub steps: NonZeroU32,
}
impl Default for InterpolationSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { paths: of(100), steps: of(32) }
    }
}
impl InterpolationSpec {
    /// Places on a path, ends included.
    pub fn places(&self) -> usize {
        self.steps.get() as usize + 1
    }
}

/// The use of evaluation's random numbers for the ends of paths.
const PATHS: u32 = 3;

/// The samples along paths, path after path.
pub(super) struct Paths {
    /// `[paths · (steps + 1), …]`.
    pub(super) samples: Array,
    /// `spherical` or `straight`.
    pub(super) way: &'static str,
}

impl Metric for InterpolationSpec {
    type Of = provided::Latents;
    type Answer = Paths;
    const TAG: &'static str = "interpolation";
    const VALUES: &'static [MetricName] =
        &[named("interpolation/jump", Lower, "mean steps"), named("interpolation/length", Neither, "ratio")];
    const AS_STORED: bool = false;

    /// The samples along straight or spherical paths between pairs of latents of the model's own law.
    fn ask(&self, of: &dyn Decode, model: &Model<'_>) -> Vec<Paths> {
        let (rows, places, law) = (self.paths.get() as usize, self.places(), of.law());
        let ends = of.latents(&Request { index: PATHS, n: 2 * rows, ..model.request() });
        let (width, numbers) = (ends.z.size()[2] as usize, host::numbers(&ends.z));
        let mut along = Vec::with_capacity(model.seeds.len() * rows * places * width);
        for run in numbers.chunks_exact((2 * rows * width).max(1)) {
            let (first, second) = run.split_at(rows * width);
            for (a, b) in first.chunks_exact(width).zip(second.chunks_exact(width)) {
                along.extend((0..places).flat_map(|step| law.between(a, b, step as f64 / (places - 1) as f64)));
            }
        }
        let shape = [model.seeds.len() as i64, (rows * places) as i64, width as i64];
        let labels = ends.labels.iter().take(rows).flat_map(|&label| vec![label; places]).collect();
        let latents = Latents { z: host::tensor(&along, &shape, model.device), labels };
        let made = decoded(of, model.players, &latents, model.averaged);
        made.into_iter().map(|samples| Paths { samples, way: law.way() }).collect()
    }

    /// The mean over paths of the largest step over the mean step, and of the length of the path over the distance of its ends.
    fn take(&self, _: &Context, Paths { samples: paths, way }: &Paths) -> Result<Outcome, String> {
        let places = self.places();
        let (mut jump, mut length, mut moving) = (0.0, 0.0, 0usize);
        for path in 0..paths.rows() / places {
            let apart = |a: usize, b: usize| {
                let (a, b) = (paths.row(path * places + a), paths.row(path * places + b));
                a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
            };
            let steps: Vec<f64> = (1..places).map(|place| apart(place - 1, place)).collect();
            let (whole, largest) = (steps.iter().sum::<f64>(), steps.iter().fold(0.0f64, |most, step| most.max(*step)));
            let straight = apart(0, places - 1);
            if !whole.is_finite() {
                return Err("samples are not finite".to_owned());
            }
            // Ends that look alike have no path between them.
            if straight > 0.0 {
                jump += largest * steps.len() as f64 / whole;
                length += whole / straight;
                moving += 1;
            }
        }
        if moving == 0 {
            return Err("no path has two ends that look different".to_owned());
        }
        Ok(Outcome {
            values: vec![jump / moving as f64, length / moving as f64],
            n_real: None,
            n_fake: moving * places,
            against: AGAINST_NOTHING,
            parameters: format!("paths={moving} steps={} {way} L2", self.steps),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, close, info};

    fn measured(paths: &[f32], steps: u32) -> Vec<crate::eval::Value> {
        let mut world = World::new(info(vec![2], Truth::Unknown), Array::default(), Array::default());
        world.answers.paths = Some(Array::new(vec![paths.len() / 2, 2], paths.to_vec()));
        let spec = InterpolationSpec { steps: NonZeroU32::new(steps).expect("not 0"), ..Default::default() };
        world.measure(&MetricSpec::Interpolation(spec))
    }

    #[test]
    fn an_even_straight_path_has_one_and_one_and_a_jump_has_as_many_as_steps() {
        let even = measured(&[0.0, 0.0, 1.0, 0.0, 2.0, 0.0], 2);
        assert_eq!((even[0].metric.as_str(), even[1].metric.as_str()), ("interpolation/jump", "interpolation/length"));
        close(even[0].value, 1.0, 1e-12);
        close(even[1].value, 1.0, 1e-12);
        assert_eq!(even[0].protocol.parameters, "paths=1 steps=2 straight L2");
        close(measured(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0], 3)[0].value, 3.0, 1e-12);
    }

    /* numpy 2.4: two paths of three steps, [[0,0],[3,4],[3,4],[3,0]] and [[1,1],[1,2],[1,4],[1,1]]; s = norms of np.diff;
    s.max(1) / s.mean(1) = [1.66666667, 1.5]; s.sum(1) / |last - first| = [3, inf]: the second comes back to where it began */
    #[test]
    fn steps_are_those_of_numpy_and_a_path_that_comes_back_does_not_count() {
        let both = measured(&[0.0, 0.0, 3.0, 4.0, 3.0, 4.0, 3.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 4.0, 1.0, 1.0], 3);
        close(both[0].value, 5.0 / 3.0, 1e-12);
        close(both[1].value, 3.0, 1e-12);
        assert_eq!(both[0].protocol.n_fake, 4);
        let still = measured(&[1.0, 1.0, 1.0, 1.0], 1);
        assert_eq!(still[0].protocol.undefined.as_deref(), Some("no path has two ends that look different"));
    }
}
