//! Which modes of a known mixture samples reach.

use super::Direction::{Higher, Lower};
use super::{AGAINST_LAW, Context, Metric, MetricName, Outcome, named};
use crate::base::{Positive, Probability};
use crate::data::DataInfo;
use crate::data::Truth;
use crate::objective::Product;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Modes. A sample belongs to its nearest center, and is of high quality within `sigmas` deviations of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ModesSpec {
    /// The largest Euclidean distance to the center, in standard deviations of a mode, of a high-quality sample.
    pub sigmas: Positive,
    /// The share of all samples that a mode needs, of high quality, to be covered: 0.002 is 20 of 10,000. Rounded up, and
    /// never less than one sample.
    pub covered_from: Probability,
}
impl Default for ModesSpec {
    fn default() -> Self {
        Self { sigmas: Positive::of(3.0), covered_from: Probability::of(0.002) }
    }
}

impl Metric for ModesSpec {
    of_samples!();
    const TAG: &'static str = "modes";
    const VALUES: &'static [MetricName] = &[
        named("modes/covered", Higher, "modes"),
        named("modes/seen", Higher, "modes"),
        named("modes/quality", Higher, "share"),
        named("modes/kl", Lower, "nats"),
    ];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        if let Truth::Modes { .. } = info.truth {
            return Ok(());
        }
        Err("`modes` needs a mixture whose centers are known; this data has none".to_owned())
    }

    /// Covered: modes with enough high-quality samples. Seen: modes with one. Quality: the share of samples of high quality.
    /// KL: of the histogram of *all* samples over their nearest centers from the true weights, in nats. Coverage alone is
    /// fooled by noise, quality alone by collapse: the four belong together.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let Truth::Modes { centers, std, weights } = &cx.info.truth else {
            return Err("the centers of the data are not known".into());
        };
        let rows = cx.fake.x.rows();
        let radius = self.sigmas.get() * std;
        let (mut nearest, mut good) = (vec![0_usize; centers.len()], vec![0_usize; centers.len()]);
        for i in 0..rows {
            let row = cx.fake.x.row(i);
            let squared =
                |center: &Vec<f64>| center.iter().zip(row).map(|(c, &v)| (f64::from(v) - c).powi(2)).sum::<f64>();
            let (mode, distance) = centers
                .iter()
                .map(squared)
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .ok_or("the mixture has no modes")?;
            nearest[mode] += 1;
            good[mode] += usize::from(distance <= radius * radius);
        }
        // The small step down keeps a product such as 0.07 · 100 = 7.000000000000001 from asking for one sample more.
        let enough = ((self.covered_from.get() * rows as f64 - 1e-9).ceil() as usize).max(1);
        let covered = good.iter().filter(|&&hits| hits >= enough).count();
        let seen = good.iter().filter(|&&hits| hits > 0).count();
        let quality = good.iter().sum::<usize>() as f64 / rows as f64;
        let term = |(&hits, &weight): (&usize, &f64)| {
            let share = hits as f64 / rows as f64;
            if hits == 0 { 0.0 } else { share * (share / weight).ln() }
        };
        let kl = nearest.iter().zip(weights).map(term).sum();
        Ok(Outcome {
            values: vec![covered as f64, seen as f64, quality, kl],
            n_real: None,
            n_fake: rows,
            against: AGAINST_LAW,
            parameters: format!("modes={} sigmas={} hits={enough}", centers.len(), self.sigmas.get()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Array;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, close, info, normals, uniforms};

    /// The mixture of the facts' appendix A (three modes, deviation 0.7), measured against four modes of 0.5.
    fn world() -> World {
        let means = [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)];
        let noise = normals(66, 1200);
        let rows = uniforms(55, 600).into_iter().enumerate().flat_map(|(i, u)| {
            let (x, y) = means[(3.0 * u) as usize];
            [(x + 0.7 * noise[2 * i]) as f32, (y + 0.7 * noise[2 * i + 1]) as f32]
        });
        let x = Array::new(vec![600, 2], rows.collect());
        let truth = Truth::Modes {
            centers: vec![vec![0.0, 0.0], vec![4.0, 0.0], vec![0.0, 4.0], vec![9.0, 9.0]],
            std: 0.5,
            weights: vec![0.4, 0.3, 0.2, 0.1],
        };
        World::new(info(vec![2], truth), x.clone(), x)
    }

    fn values(spec: ModesSpec) -> Vec<f64> {
        world().measure(&MetricSpec::Modes(spec)).into_iter().map(|v| v.value).collect()
    }

    #[test]
    fn the_four_numbers_equal_numpy() {
        let [covered, seen, quality, kl] = values(ModesSpec::default())[..] else { panic!("four values") };
        // numpy: high-quality samples 170, 182, 189, 0 of 600; nearest 187, 204, 209, 0.
        assert_eq!((covered, seen), (3.0, 3.0));
        close(quality, 0.901_666_666_666_7, 1e-12);
        close(kl, 0.158_055_330_447_8, 1e-12);
    }

    #[test]
    fn a_mode_is_covered_from_its_share_of_all_samples_rounded_up() {
        let covered = |share| values(ModesSpec { covered_from: Probability::of(share), ..Default::default() })[0];
        // 170, 182 and 189 high-quality samples.
        assert_eq!(covered(182.0 / 600.0), 2.0);
        assert_eq!(covered(182.1 / 600.0), 1.0);
        assert_eq!(covered(0.0), 3.0);
        let protocol = world().measure(&MetricSpec::Modes(ModesSpec::default())).remove(0).protocol;
        assert_eq!(protocol.parameters, "modes=4 sigmas=3 hits=2");
    }

    #[test]
    fn a_wider_radius_takes_more_samples_as_good() {
        // numpy: 593 of 600 within 2.1.
        close(values(ModesSpec { sigmas: Positive::of(4.2), ..Default::default() })[2], 0.988_333_333_333_3, 1e-12);
    }
}
