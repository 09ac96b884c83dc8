//! Whether what a model makes changes evenly on the way from one latent to another, or jumps: sharp steps tell of a model that
//! keeps examples in mind and of latents that nothing lies between (arXiv:1511.06434, section 6.1).

use super::Direction::{Lower, Neither};
use super::spec::InterpolationSpec;
use super::{AGAINST_NOTHING, Context, Metric, MetricName, Outcome, named};
use crate::objective::Product;

impl Metric for InterpolationSpec {
    const TAG: &'static str = "interpolation";
    const VALUES: &'static [MetricName] =
        &[named("interpolation/jump", Lower, "mean steps"), named("interpolation/length", Neither, "ratio")];

    fn product(&self) -> Product {
        Product::Latents
    }

    /// The mean over paths of the largest step over the mean step, and of the length of the path over the distance of its ends.
    fn take(&self, cx: &Context) -> Result<Outcome, String> {
        let paths = cx.answers.paths.as_ref().ok_or("the model makes no samples from latents")?;
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
            parameters: format!("paths={moving} steps={} {} L2", self.steps, cx.answers.way),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Array;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, close, info};
    use std::num::NonZeroU32;

    fn measured(paths: &[f32], steps: u32) -> Vec<crate::eval::Value> {
        let mut world = World::new(info(vec![2], Truth::Unknown), Array::default(), Array::default());
        world.answers.paths = Some(Array::new(vec![paths.len() / 2, 2], paths.to_vec()));
        world.answers.way = "straight".to_owned();
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
        assert_eq!(still[0].protocol.parameters, "undefined: no path has two ends that look different");
    }
}
