//! Metrics of images that need no learned features.

use super::Direction::{Higher, Lower, Neither};
use super::{
    AGAINST_NOTHING, AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, choose, line, named, needs_images,
};
use crate::base::{Array, Positive, Probability};
use crate::data::DataInfo;
use crate::objective::Product;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ShapesSpec {
    /// The largest error of the best-fitting shape, over its contrast, at which an image counts as a shape: drawn shapes
    /// stay below 0.1, a blank image has 1.
    pub error: Positive,
    /// The share of valid images that a class needs to count as present.
    pub present_from: Probability,
    /// The most samples that are looked at.
    pub rows: NonZeroU32,
}
impl Default for ShapesSpec {
    fn default() -> Self {
        Self {
            error: Positive::of(0.25),
            present_from: Probability::of(0.02),
            rows: NonZeroU32::new(1000).expect("1000 is not 0"),
        }
    }
}

/// Means and deviations of pixels.
#[derive(Clone)]
pub(super) struct PixelStatistics;

impl Metric for PixelStatistics {
    of_samples!();
    const TAG: &'static str = "pixel-statistics";
    const VALUES: &'static [MetricName] = &[
        named("pixel-statistics/mean", Neither, "data"),
        named("pixel-statistics/std", Neither, "data"),
        named("pixel-statistics/mean-error", Lower, "data"),
        named("pixel-statistics/std-error", Lower, "data"),
    ];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        needs_images(Self::TAG, info)
    }

    /// Mean and deviation over all pixels of all samples; then the root mean square, over pixel positions, of the difference
    /// between the two mean images, and between the two images of deviations.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let (mean, variance) = line::moments(&cx.fake.x.data);
        let ((fake_means, fake_stds), (real_means, real_stds)) = (positions(&cx.fake.x), positions(&cx.real.x));
        Ok(Outcome {
            values: vec![
                mean,
                variance.sqrt(),
                root_mean_square(&fake_means, &real_means),
                root_mean_square(&fake_stds, &real_stds),
            ],
            n_real: Some(cx.real.x.rows()),
            n_fake: cx.fake.x.rows(),
            against: AGAINST_SAMPLES,
            parameters: "ddof=0; errors are root mean squares over positions".into(),
        })
    }
}

/// The mean and the deviation at each position, over rows.
fn positions(x: &Array) -> (Vec<f64>, Vec<f64>) {
    let n = x.rows() as f64;
    let over_rows = |of: &dyn Fn(usize, f32) -> f64| {
        let mut sums = vec![0.0; x.row_len()];
        for i in 0..x.rows() {
            sums.iter_mut().zip(x.row(i)).enumerate().for_each(|(k, (sum, &v))| *sum += of(k, v));
        }
        sums.into_iter().map(|sum| sum / n).collect::<Vec<f64>>()
    };
    let means = over_rows(&|_, v| f64::from(v));
    let variances = over_rows(&|k, v| (f64::from(v) - means[k]).powi(2));
    let stds = variances.into_iter().map(f64::sqrt).collect();
    (means, stds)
}

fn root_mean_square(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

impl Metric for ShapesSpec {
    of_samples!();
    const TAG: &'static str = "shapes";
    const VALUES: &'static [MetricName] = &[
        named("shapes/valid", Higher, "share"),
        named("shapes/entropy", Higher, "nats"),
        named("shapes/classes", Higher, "classes"),
        named("shapes/accuracy", Higher, "share"),
    ];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        needs_images(Self::TAG, info)
    }

    fn extractor(&self, _: &Context, _: &Self::Answer) -> String {
        "shape-fit".to_owned()
    }

    /// Valid: the share of samples whose best-fitting shape has a small error. Of the valid ones: the entropy of their classes,
    /// and how many classes have their share. Accuracy, over all samples: the share that is valid and of the class that the
    /// generator was asked for.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let score = cx.score_shape.ok_or("nothing knows the shapes of this data set")?;
        let places = choose(cx.seed, Choice::Shapes, cx.fake.x.rows(), self.rows.get());
        let n = places.len() as f64;
        let (mut counts, mut right) = (vec![0_usize; cx.info.classes], 0_usize);
        for &i in &places {
            let (class, error) = score(cx.fake.x.row(i));
            if error > self.error.get() {
                continue;
            }
            if class >= counts.len() {
                counts.resize(class + 1, 0);
            }
            counts[class] += 1;
            right += usize::from(cx.fake.labels.get(i).is_some_and(|&label| usize::try_from(label) == Ok(class)));
        }
        let valid = counts.iter().sum::<usize>() as f64;
        let shares = || counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / valid);
        let entropy = if valid > 0.0 { shares().map(|share| -share * share.ln()).sum() } else { f64::NAN };
        let present = shares().filter(|&share| share >= self.present_from.get()).count();
        let mut values = vec![valid / n, entropy, present as f64];
        if !cx.fake.labels.is_empty() {
            values.push(right as f64 / n);
        }
        Ok(Outcome {
            values,
            n_real: None,
            n_fake: places.len(),
            against: AGAINST_NOTHING,
            parameters: format!(
                "classes={} error<={} present-from={}",
                cx.info.classes,
                self.error.get(),
                self.present_from.get()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Examples, Truth};
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, images, info};

    #[test]
    fn pixel_statistics_equal_numpy() {
        let (x, y) = appendix();
        let world = World::new(info(vec![2, 2, 2], Truth::Unknown), images(x), images(y));
        let values: Vec<_> = world.measure(&MetricSpec::PixelStatistics).iter().map(|v| v.value).collect();
        // Y.mean(), Y.std(); root mean squares of Y.mean(0) − X.mean(0) and Y.std(0) − X.std(0).
        let golden = [0.196_634_643_779_3, 1.393_478_313_462_1, 0.222_268_619_275_9, 0.386_116_693_252_8];
        for (value, golden) in values.iter().zip(golden) {
            close(*value, golden, 1e-7);
        }
    }

    #[test]
    fn shapes_count_what_is_valid_and_of_the_class_asked_for() {
        // The judge reads the class from the first pixel and the error from the second.
        let judge = |image: &[f32]| (image[0] as usize, f64::from(image[1]));
        let rows = [[0.0, 0.0], [1.0, 0.05], [1.0, 0.01], [2.0, 0.9]];
        let fake = Array::new(vec![4, 1, 1, 2], rows.concat());
        let mut world = World::new(info(vec![1, 1, 2], Truth::Unknown), fake.clone(), fake);
        world.info.classes = 3;
        world.judge = Some(Box::new(judge));
        let spec = ShapesSpec { error: crate::base::Positive::of(0.1), ..Default::default() };
        let measure = |world: &World| -> Vec<f64> {
            world.measure(&MetricSpec::Shapes(spec.clone())).iter().map(|v| v.value).collect()
        };
        let [valid, entropy, classes] = measure(&world)[..] else { panic!("three values without labels") };
        assert_eq!((valid, classes), (0.75, 2.0));
        // −(1/3 ln 1/3 + 2/3 ln 2/3).
        close(entropy, 0.636_514_168_294_8, 1e-12);
        world.fake = Examples { labels: vec![0, 1, 0, 2], ..world.fake };
        assert_eq!(measure(&world)[3], 0.5);
    }

    #[test]
    fn no_valid_shape_has_no_entropy() {
        let fake = Array::zeros(vec![3, 1, 1, 2]);
        let mut world = World::new(info(vec![1, 1, 2], Truth::Unknown), fake.clone(), fake);
        world.judge = Some(Box::new(|_| (0, 5.0)));
        let values = world.measure(&MetricSpec::Shapes(ShapesSpec::default()));
        assert!(values[0].value == 0.0 && values[1].value.is_nan() && values[2].value == 0.0, "{values:?}");
    }
}
