//! The log-likelihood under a Parzen window, as it was reported in 2014.

use super::Direction::{Higher, Neither};
use super::rows::{Rows, each_distances};
use super::{AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, choose, named};
use crate::base::{Array, Positive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The Parzen window. Its width is the one of a geometric row under which training examples are likeliest; values whose
/// range is known are scaled to [0, 1] first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ParzenSpec {
    /// The smallest width tried.
    pub low: Positive,
    /// The largest.
    pub high: Positive,
    /// How many are tried.
    pub widths: NonZeroU32,
    /// The most training examples that the width is chosen by.
    pub choose_by: NonZeroU32,
}
impl Default for ParzenSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { low: Positive::of(0.1), high: Positive::of(1.0), widths: of(10), choose_by: of(1000) }
    }
}

/// What lies further below the largest term of a sum adds nothing that double precision could hold.
const NOTHING: f64 = -45.0;

impl Metric for ParzenSpec {
    of_samples!();
    const TAG: &'static str = "parzen";
    const VALUES: &'static [MetricName] = &[
        named("parzen", Higher, "nats"),
        named("parzen/standard-error", Neither, "nats"),
        named("parzen/width", Neither, "data"),
    ];

    fn held_out(&self) -> Option<&'static str> {
        Some("training examples choose the window's width")
    }

    /// The mean over the reference examples, its standard error, and the width that was chosen.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let train = cx.train.ok_or("there are no training examples to choose the window's width by")?;
        let chosen = choose(cx.seed, Choice::ParzenWidth, train.x.rows(), self.choose_by.get());
        let all = |x: &Array| (0..x.rows()).collect::<Vec<_>>();
        let scaled = |x: &Array, places: &[usize]| {
            let mut rows = Rows::of(x, places);
            if let Some((low, high)) = cx.info.range {
                let (low, width) = (f64::from(low), f64::from(high) - f64::from(low));
                rows.data.iter_mut().for_each(|v| *v = (*v - low) / width);
            }
            rows
        };
        let fake = scaled(&cx.fake.x, &all(&cx.fake.x));
        let (train, real) = (scaled(&train.x, &chosen), scaled(&cx.real.x, &all(&cx.real.x)));
        if train.count == 0 || real.count < 2 {
            return Err("a training example and two reference examples are needed".into());
        }
        let widths = widths(self);
        let (best, _) = densities(&train, &fake, &widths)
            .iter()
            .map(|of_width| mean(of_width))
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("a width");
        let found = densities(&real, &fake, &widths[best..=best]).remove(0);
        let (value, n) = (mean(&found), found.len() as f64);
        let variance = found.iter().map(|v| (v - value).powi(2)).sum::<f64>() / n;
        let edge = if best == 0 || best + 1 == widths.len() { ", an end of the row" } else { "" };
        Ok(Outcome {
            values: vec![value, (variance / n).sqrt(), widths[best]],
            n_real: Some(real.count),
            n_fake: fake.count,
            against: AGAINST_SAMPLES,
            parameters: format!(
                "{} widths from {} to {} by {} training examples{edge}{}",
                widths.len(),
                self.low.get(),
                self.high.get(),
                train.count,
                if cx.info.range.is_some() { ", scaled to [0, 1]" } else { "" }
            ),
        })
    }
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// A geometric row, both ends included.
fn widths(spec: &ParzenSpec) -> Vec<f64> {
    let (low, ratio, steps) = (spec.low.get(), spec.high.get() / spec.low.get(), spec.widths.get() - 1);
    (0..=steps).map(|k| low * ratio.powf(f64::from(k) / f64::from(steps.max(1)))).collect()
}

/// For each width, the logarithm of the density at each point: Gaussians of that width around the samples.
fn densities(points: &Rows, samples: &Rows, widths: &[f64]) -> Vec<Vec<f64>> {
    let mut all = vec![vec![0.0; points.count]; widths.len()];
    each_distances(points, samples, |i, row| {
        let least = row.iter().copied().fold(f64::INFINITY, f64::min);
        for (width, of_width) in widths.iter().zip(&mut all) {
            let factor = -0.5 / (width * width);
            let terms = row.iter().map(|squared| (squared - least) * factor).filter(|&term| term > NOTHING);
            let sum: f64 = terms.map(libm::exp).sum();
            let volume = points.width as f64 * (width * std::f64::consts::TAU.sqrt()).ln();
            of_width[i] = least * factor + (sum / samples.count as f64).ln() - volume;
        }
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Examples, Truth};
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, all_rows, appendix, close, golden, info, rows_of};

    #[test]
    fn equals_scipy_and_the_kernel_density_of_scikit_learn() {
        let (x, y) = appendix();
        for (width, found) in [0.3, 0.5, 1.0].iter().zip(densities(&all_rows(&x), &all_rows(&y), &[0.3, 0.5, 1.0])) {
            let golden = golden(&format!("parzen {width}"));
            close(mean(&found), golden, 1e-6);
        }
    }

    fn world() -> World {
        let (x, y) = appendix();
        let mut world = World::new(info(vec![8], Truth::Unknown), rows_of(&x, 250, 500), y);
        world.info.len = Some(250);
        world.train = Some(Examples { x: rows_of(&x, 0, 250), labels: Vec::new() });
        world
    }

    #[test]
    fn the_width_is_the_best_of_the_row_for_training_examples() {
        let values = world().measure(&MetricSpec::Parzen(ParzenSpec::default()));
        close(values[0].value, golden("parzen chosen"), 1e-6);
        close(values[1].value, golden("parzen chosen standard error"), 1e-6);
        // numpy.logspace(-1, 0, 10)[8], as in the facts' appendix A.
        close(values[2].value, 0.774_263_682_7, 1e-9);
        assert_eq!(values[0].protocol.parameters, "10 widths from 0.1 to 1 by 250 training examples");
    }

    #[test]
    fn values_with_a_range_are_scaled_and_an_end_of_the_row_is_said() {
        let mut world = world();
        world.info.range = Some((-1.0, 1.0));
        let spec = ParzenSpec { low: Positive::of(0.01), high: Positive::of(0.05), ..Default::default() };
        let values = world.measure(&MetricSpec::Parzen(spec));
        let said = "10 widths from 0.01 to 0.05 by 250 training examples, an end of the row, scaled to [0, 1]";
        assert_eq!(values[0].protocol.parameters, said);
        // Half the unit, half the width: the density is 2⁸ times that of a width of 0.1.
        close(values[0].value, golden("parzen 0.1 of the second half") + 8.0 * 2.0_f64.ln(), 1e-5);
    }

    /// The flaw that the documentation speaks of: a few centers beat true samples.
    #[test]
    fn fewer_and_worse_samples_can_score_higher_than_true_ones() {
        let mut world = world();
        let score = |world: &World| world.measure(&MetricSpec::Parzen(ParzenSpec::default()))[0].value;
        world.fake.x = rows_of(&appendix().0, 0, 30);
        let truth = score(&world);
        world.fake.x = Array::zeros(vec![1, 8]);
        assert!(score(&world) > truth);
    }
}
