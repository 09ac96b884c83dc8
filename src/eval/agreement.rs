//! How far samples of one latent are the same thing in two domains.

use super::Direction::{Higher, Lower};
use super::{AGAINST_NOTHING, BYTE, Context, Metric, MetricName, Outcome, named};
use crate::base::Array;
use crate::data::DataInfo;
use crate::data::Truth;
use crate::data::images::at_levels;
use crate::objective::{Couple, Model, Pairs, provided};

/// How far samples of one latent agree in two domains.
#[derive(Clone)]
pub(super) struct Agreement;

impl Metric for Agreement {
    type Of = provided::Pairs;
    type Answer = Pairs;
    const TAG: &'static str = "agreement";
    const VALUES: &'static [MetricName] =
        &[named("agreement/distance", Lower, "data"), named("agreement", Higher, "share")];
    const AS_STORED: bool = true;

    fn ask(&self, of: &dyn Couple, model: &Model<'_>) -> Vec<Pairs> {
        let first: Vec<&Array> = model.samples.iter().map(|samples| &samples.x).collect();
        of.pairs(model.players, &model.request(), &first)
    }

    fn names(&self, info: &DataInfo) -> Vec<MetricName> {
        let is_told = matches!(info.truth, Truth::Modes { .. }) || info.range.is_some();
        Self::VALUES[..if is_told { 2 } else { 1 }].to_vec()
    }

    /// The mean distance between what a sample of the first domain becomes in the second and the second domain's own sample of
    /// its latent; then the share of pairs in one mode, of a mixture, or of the range in which their pixels agree, of images.
    fn take(&self, cx: &Context, pairs: &Pairs) -> Result<Outcome, String> {
        // Images as they would be stored, as everywhere.
        let stored = |x: &Array| match cx.info.range.filter(|_| cx.info.is_image()) {
            Some(range) => at_levels(x, range, cx.info.levels.unwrap_or(BYTE)),
            None => x.clone(),
        };
        let (second, expected) = (&stored(&pairs.second), &stored(&pairs.expected));
        let n = second.rows();
        if n == 0 || expected.shape != second.shape {
            return Err("there are no pairs".to_owned());
        }
        if !second.data.iter().chain(&expected.data).all(|v| v.is_finite()) {
            return Err("samples are not finite".to_owned());
        }
        let distance = |i: usize| squared(expected.row(i), second.row(i)).sqrt();
        let mut values = vec![(0..n).map(distance).sum::<f64>() / n as f64];
        let of = if let (Truth::Modes { .. }, Some(centers)) = (&cx.info.truth, &pairs.centers) {
            let same = (0..n).filter(|&i| nearest(centers, expected.row(i)) == nearest(centers, second.row(i)));
            values.push(same.count() as f64 / n as f64);
            "agreement=of nearest modes"
        } else if let Some((low, high)) = cx.info.range {
            let apart = |(a, b): (&f32, &f32)| f64::from(a - b).abs() / f64::from(high - low);
            let apart: f64 = expected.data.iter().zip(&second.data).map(apart).sum();
            values.push(1.0 - apart / second.data.len() as f64);
            "agreement=of pixels"
        } else {
            ""
        };
        Ok(Outcome { values, n_real: None, n_fake: n, against: AGAINST_NOTHING, parameters: of.to_owned() })
    }
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

/// The center that a point is nearest to.
fn nearest(centers: &Array, point: &[f32]) -> usize {
    let distances = (0..centers.rows()).map(|center| squared(centers.row(center), point));
    distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(center, _)| center)
}

#[cfg(test)]
mod tests {
    use crate::base::Array;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, close, info};
    use crate::objective::Pairs;

    fn world(shape: Vec<usize>, truth: Truth, pairs: Pairs) -> World {
        let mut world = World::new(info(shape, truth), Array::default(), pairs.expected.clone());
        world.answers.pairs = Some(pairs);
        world
    }

    /* numpy 2.4: e = np.array([[0,0],[1,0],[4,4.]]); s = np.array([[0,1],[4,4],[4,1.]]);
    np.linalg.norm(e - s, axis=1).mean() = 3.0; scipy.spatial.cKDTree([[0,0],[4,4]]).query(e)[1] = 0,0,1, of s 0,1,1 */
    #[test]
    fn points_agree_where_their_nearest_modes_do() {
        let array = |v: [f32; 6]| Array::new(vec![3, 2], v.to_vec());
        let pairs = Pairs {
            expected: array([0.0, 0.0, 1.0, 0.0, 4.0, 4.0]),
            second: array([0.0, 1.0, 4.0, 4.0, 4.0, 1.0]),
            centers: Some(Array::new(vec![2, 2], vec![0.0, 0.0, 4.0, 4.0])),
        };
        // The centers of the truth are those of the first domain, which nothing here looks at.
        let truth = Truth::Modes { centers: vec![vec![9.0, 9.0]; 2], std: 0.1, weights: vec![0.5; 2] };
        let values = world(vec![2], truth, pairs).measure(&MetricSpec::Agreement);
        assert_eq!((values[0].metric.as_str(), values[1].metric.as_str()), ("agreement/distance", "agreement"));
        close(values[0].value, 3.0, 1e-12);
        close(values[1].value, 2.0 / 3.0, 1e-12);
    }

    #[test]
    fn images_agree_by_the_share_of_the_range_between_their_pixels() {
        let image = |v: [f32; 4]| Array::new(vec![1, 1, 2, 2], v.to_vec());
        let pairs =
            Pairs { expected: image([-1.0, 1.0, 0.0, 1.0]), second: image([-1.0, -1.0, 0.6, 0.6]), centers: None };
        let mut world = world(vec![1, 2, 2], Truth::Unknown, pairs);
        world.info.range = Some((-1.0, 1.0));
        // Levels 0, 255, 128 and 255 of 255 beside 0, 0, 204 and 204.
        close(world.measure(&MetricSpec::Agreement)[1].value, 1.0 - (255.0 + 76.0 + 51.0) / 255.0 / 4.0, 1e-6);
    }
}
