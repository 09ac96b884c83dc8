//! How much there is in each band of a Laplacian pyramid, and how it is spread.

use super::Direction::Target;
use super::patches::Plane;
use super::{AGAINST_SAMPLES, Context, Metric, MetricName, Outcome, images_of_side, per_part};
use crate::base::Array;
use crate::data::DataInfo;
use crate::objective::Product;

/// The smallest side that a level may have.
pub(super) const SMALLEST: usize = 4;

/// The shorter side of each level, from the finest: halved while both sides are even and the half has 4 pixels.
pub(super) fn sides(shape: &[usize]) -> Vec<usize> {
    let &[_, mut height, mut width] = shape else { return Vec::new() };
    let mut sides = vec![height.min(width)];
    while height.is_multiple_of(2) && width.is_multiple_of(2) && height.min(width) / 2 >= SMALLEST {
        (height, width) = (height / 2, width / 2);
        sides.push(height.min(width));
    }
    sides
}

/// What there is in each band of a pyramid.
#[derive(Clone)]
pub(super) struct Bands;

impl Metric for Bands {
    of_samples!();
    const TAG: &'static str = "bands";
    const VALUES: &'static [MetricName] =
        &[per_part("bands/deviation", Target(1.0), "ratio"), per_part("bands/kurtosis", Target(1.0), "ratio")];

    fn names(&self, info: &DataInfo) -> Vec<MetricName> {
        Self::VALUES.iter().flat_map(|name| sides(&info.shape).into_iter().map(|side| name.below(side))).collect()
    }

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        images_of_side(Self::TAG, SMALLEST, info)
    }

    /// For each level, from the finest, the deviation of samples over that of the reference, and then for each the ratio of
    /// kurtoses; the last level is what is left, without a band taken off.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        if cx.real.x.rows() == 0 {
            return Err("there are no reference examples".into());
        }
        let (real, fake) = (moments(&cx.real.x), moments(&cx.fake.x));
        let flat = real.iter().any(|(deviation, _)| *deviation == 0.0);
        if flat {
            return Err("a band of the reference is empty".into());
        }
        // Samples without any band have none that is spread: their kurtosis is that of nothing.
        let deviations = real.iter().zip(&fake).map(|(real, fake)| fake.0 / real.0);
        let kurtoses = real.iter().zip(&fake).map(|(real, fake)| fake.1 / real.1);
        let text = |of: &dyn Fn(&(f64, f64)) -> f64| {
            real.iter().map(|m| format!("{:.6}", of(m))).collect::<Vec<_>>().join(",")
        };
        Ok(Outcome {
            values: deviations.chain(kurtoses).collect(),
            n_real: Some(cx.real.x.rows()),
            n_fake: cx.fake.x.rows(),
            against: AGAINST_SAMPLES,
            parameters: format!("binomial pyramid deviations={} kurtoses={}", text(&|m| m.0), text(&|m| m.1)),
        })
    }
}

/// Standard deviation and kurtosis (E(v − μ)⁴ / σ⁴; 0 where all are alike) of the numbers of all images and channels at each
/// level, from the finest.
fn moments(x: &Array) -> Vec<(f64, f64)> {
    let &[count, channels, height, width] = &x.shape[..] else { unreachable!("only images come here") };
    let levels = sides(&x.shape[1..]).len();
    let mut bands: Vec<Vec<f32>> = vec![Vec::new(); levels];
    for plane in x.data.chunks_exact(height * width).take(count * channels) {
        let mut plane = Plane { data: plane.to_vec(), height, width };
        for (level, band) in bands.iter_mut().enumerate() {
            if level + 1 == levels {
                band.extend(&plane.data);
                break;
            }
            let coarse = plane.halved();
            band.extend(plane.data.iter().zip(coarse.doubled().data).map(|(v, smooth)| v - smooth));
            plane = coarse;
        }
    }
    let of = |band: &Vec<f32>| {
        let n = band.len().max(1) as f64;
        let mean = band.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let moment = |power: i32| band.iter().map(|&v| (f64::from(v) - mean).powi(power)).sum::<f64>() / n;
        let variance = moment(2);
        (variance.sqrt(), if variance > 0.0 { moment(4) / (variance * variance) } else { 0.0 })
    };
    bands.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, golden, info, picture};

    #[test]
    fn deviations_and_kurtoses_of_bands_equal_numpy() {
        let (x, y) = appendix();
        let (x, y) = (picture(&x, 2, 16, 8), picture(&y, 2, 16, 8));
        for (name, images) in [("X", &x), ("Y", &y)] {
            let found = moments(images);
            assert_eq!(found.len(), 2);
            for (level, (deviation, kurtosis)) in found.into_iter().enumerate() {
                close(deviation, golden(&format!("band {level} deviation {name}")), 1e-6);
                close(kurtosis, golden(&format!("band {level} kurtosis {name}")), 1e-5);
            }
        }
        let values = World::new(info(vec![2, 16, 8], Truth::Unknown), x, y).measure(&MetricSpec::Bands);
        let names: Vec<&str> = values.iter().map(|v| v.metric.as_str()).collect();
        assert_eq!(names, ["bands/deviation/8", "bands/deviation/4", "bands/kurtosis/8", "bands/kurtosis/4"]);
        let ratio =
            |level: usize, of: &str| golden(&format!("band {level} {of} Y")) / golden(&format!("band {level} {of} X"));
        let wanted = [ratio(0, "deviation"), ratio(1, "deviation"), ratio(0, "kurtosis"), ratio(1, "kurtosis")];
        values.iter().zip(wanted).for_each(|(value, wanted)| close(value.value, wanted, 1e-5));
    }

    #[test]
    fn levels_end_where_four_pixels_no_longer_fit() {
        assert_eq!(sides(&[1, 28, 28]), [28, 14, 7]);
        assert_eq!(sides(&[3, 32, 64]), [32, 16, 8, 4]);
        assert_eq!(sides(&[1, 7, 9]), [7]);
    }

    #[test]
    fn blurred_samples_lack_the_fine_bands_and_samples_that_are_the_data_have_them_all() {
        let x = picture(&appendix().0, 1, 16, 16);
        let same = World::new(info(vec![1, 16, 16], Truth::Unknown), x.clone(), x.clone()).measure(&MetricSpec::Bands);
        assert!(same.iter().all(|value| value.value == 1.0), "{same:?}");
        let mut blurred = x.clone();
        for plane in blurred.data.chunks_exact_mut(256) {
            let smooth = Plane { data: plane.to_vec(), height: 16, width: 16 }.halved().doubled();
            plane.copy_from_slice(&smooth.data);
        }
        let found = World::new(info(vec![1, 16, 16], Truth::Unknown), x, blurred).measure(&MetricSpec::Bands);
        assert!(found[0].value < 0.5 && found[2].value > found[0].value, "{found:?}");
    }
}
