//! The sliced Wasserstein distance.

use super::Direction::Lower;
use super::{AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, line, named, pairs};
use crate::base::{Array, Positive};
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Sliced Wasserstein distance: (mean over directions of W_p^p)^(1/p).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SlicedWassersteinSpec {
    /// Random directions, uniform on the sphere, the same at every evaluation of a run.
    pub directions: NonZeroU32,
    /// p: 1 is the mean absolute difference of sorted projections.
    pub p: Positive,
}
impl Default for SlicedWassersteinSpec {
    fn default() -> Self {
        Self { directions: NonZeroU32::new(128).expect("128 is not 0"), p: Positive::of(1.0) }
    }
}

impl Metric for SlicedWassersteinSpec {
    of_samples!();
    const TAG: &'static str = "sliced-wasserstein";
    const VALUES: &'static [MetricName] = &[named("sliced-wasserstein", Lower, "data")];

    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let (count, p) = (self.directions.get(), self.p.get());
        let stream = Stream::new(cx.seed, Purpose::Eval, Choice::Directions as u32, 0);
        let directions = directions(stream, count as usize, cx.fake.x.row_len());
        Ok(Outcome {
            values: vec![distance(&cx.fake.x, &cx.real.x, &directions, p)],
            n_real: Some(cx.real.x.rows()),
            n_fake: cx.fake.x.rows(),
            against: AGAINST_SAMPLES,
            parameters: format!("directions={count} p={p}"),
        })
    }
}

/// Random directions as rows, uniform on the sphere.
pub(super) fn directions(mut stream: Stream, count: usize, width: usize) -> Array {
    let mut data = vec![0.0; count * width];
    for direction in data.chunks_mut(width) {
        stream.fill_normal(direction, 0.0, 1.0);
        let norm = direction.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
    }
    Array::new(vec![count, width], data)
}

/// (mean over the directions, which are rows, of W_p^p between the projections)^(1/p).
pub(super) fn distance(a: &Array, b: &Array, directions: &Array, p: f64) -> f64 {
    let (a, b) = (projections(a, directions), projections(b, directions));
    let sum: f64 = a.iter().zip(&b).map(|(a, b)| line::wasserstein(a, b, p)).sum();
    (sum / a.len() as f64).powf(1.0 / p)
}

/// For each direction, the sorted projections of the rows.
fn projections(x: &Array, directions: &Array) -> Vec<Vec<f32>> {
    let mut out = vec![vec![0.0; x.rows()]; directions.rows()];
    pairs::each_pair(x, directions, |sum, x, direction| sum + x * direction, |i, j, value| out[j][i] = value);
    out.iter_mut().for_each(|projection| projection.sort_unstable_by(f32::total_cmp));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, info, normals};

    /// The projections of the facts' appendix A: 8×64 normals of seed 44, columns normalized; here a direction is a row.
    fn golden_directions() -> Array {
        let p = normals(44, 512);
        let norm = |j: usize| (0..8).map(|i| p[i * 64 + j].powi(2)).sum::<f64>().sqrt();
        let rows = (0..64).flat_map(|j| (0..8).map(move |i| (i, j))).map(|(i, j)| (p[i * 64 + j] / norm(j)) as f32);
        Array::new(vec![64, 8], rows.collect())
    }

    #[test]
    fn equals_pot_and_the_progressive_gan_code() {
        let (x, y) = appendix();
        close(distance(&x, &y, &golden_directions(), 1.0), 0.347_706_643_1, 1e-6);
        close(distance(&x, &y, &golden_directions(), 2.0), 0.472_865_589_4, 1e-6);
        // scipy.stats.wasserstein_distance of X[:300] and Y, averaged over the projections.
        close(distance(&x.head(300), &y, &golden_directions(), 1.0), 0.342_470_273_1, 1e-6);
    }

    #[test]
    fn random_directions_come_near_the_golden_ones_and_follow_the_seed() {
        let (x, y) = appendix();
        let mut world = World::new(info(vec![8], Truth::Unknown), x, y);
        let metric = MetricSpec::SlicedWasserstein(SlicedWassersteinSpec::default());
        let first = world.measure(&metric).remove(0);
        close(first.value, 0.3477, 0.02);
        assert_eq!(first.protocol.parameters, "directions=128 p=1");
        world.seed = 1;
        assert_ne!(world.measure(&metric)[0].value, first.value);
    }

    #[test]
    fn equal_sets_are_at_distance_zero_however_their_rows_are_ordered() {
        let (x, _) = appendix();
        let mut world = World::new(info(vec![8], Truth::Unknown), x.clone(), x);
        world.reverse_rows();
        assert_eq!(world.measure(&MetricSpec::SlicedWasserstein(SlicedWassersteinSpec::default()))[0].value, 0.0);
    }
}
