//! How well a model puts examples together again, clean ones and noisy ones.

use super::Direction::{Higher, Lower};
use super::{AGAINST_SAMPLES, Context, Metric, MetricName, Outcome, named};
use crate::base::Array;
use crate::data::{DataInfo, Examples};
use crate::objective::autoencoder::NoiseSpec;
use crate::objective::{Model, Reconstruct, of_each, provided};

/// The mean of (a − b)² over all numbers.
fn squared_error(a: &Array, b: &Array) -> f64 {
    let sum: f64 = a.data.iter().zip(&b.data).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    sum / a.data.len() as f64
}

/// What becomes of examples.
#[derive(Clone)]
pub(super) struct Reconstruction;

impl Metric for Reconstruction {
    type Of = provided::Reconstructions;
    type Answer = Array;
    const TAG: &'static str = "reconstruction";
    const VALUES: &'static [MetricName] =
        &[named("reconstruction/mse", Lower, "squared"), named("reconstruction/psnr", Higher, "dB")];
    const AS_STORED: bool = true;

    fn ask(&self, of: &dyn Reconstruct, model: &Model<'_>) -> Vec<Array> {
        of_each(model.real, |_, real| of.reconstruct(model.players, real))
    }

    fn names(&self, info: &DataInfo) -> Vec<MetricName> {
        Self::VALUES[..if info.range.is_some() { 2 } else { 1 }].to_vec()
    }

    /// The squared error, and where the data has a range the ratio of its square to the error in decibels.
    fn take(&self, cx: &Context, made: &Array) -> Result<Outcome, String> {
        let error = of_examples(&cx.real.x, made)?;
        let mut values = vec![error];
        values.extend(cx.info.range.map(|(low, high)| decibels((f64::from(high) - f64::from(low)).powi(2), error)));
        Ok(outcome(values, made, "psnr=of the mean error".to_owned()))
    }
}

/// Examples with noise, and what became of them.
#[derive(Clone)]
pub(super) struct Denoised {
    /// The examples that the model was given.
    pub(super) noisy: Array,
    /// Its reconstructions of them.
    pub(super) restored: Array,
}

impl Metric for NoiseSpec {
    type Of = provided::Reconstructions;
    type Answer = Denoised;
    const TAG: &'static str = "denoising";
    const VALUES: &'static [MetricName] =
        &[named("denoising/gain", Higher, "dB"), named("denoising/mse", Lower, "squared")];
    const AS_STORED: bool = true;

    fn ask(&self, of: &dyn Reconstruct, model: &Model<'_>) -> Vec<Denoised> {
        of_each(model.real, |run, real| {
            let noisy = Examples { x: self.spoiled(&real.x, model.info[run]), labels: real.labels.clone() };
            let restored = of.reconstruct(model.players, &noisy);
            restored.into_iter().map(|restored| Denoised { noisy: noisy.x.clone(), restored }).collect()
        })
    }

    /// How much less is wrong with what becomes of noisy examples than with themselves, in decibels; and their error.
    fn take(&self, cx: &Context, denoised: &Denoised) -> Result<Outcome, String> {
        let (before, after) = (of_examples(&cx.real.x, &denoised.noisy)?, of_examples(&cx.real.x, &denoised.restored)?);
        let values = vec![decibels(before, after), after];
        Ok(outcome(values, &denoised.restored, format!("noise {} mse before={before:.6}", self.name())))
    }
}

fn of_examples(real: &Array, made: &Array) -> Result<f64, String> {
    if real.rows() == 0 || real.shape != made.shape {
        return Err("there are no reference examples".to_owned());
    }
    Ok(squared_error(real, made))
}

fn decibels(large: f64, small: f64) -> f64 {
    10.0 * (large / small).log10()
}

fn outcome(values: Vec<f64>, made: &Array, parameters: String) -> Outcome {
    Outcome { values, n_real: Some(made.rows()), n_fake: 0, against: AGAINST_SAMPLES, parameters }
}

#[cfg(test)]
mod tests {
    use crate::base::{Array, Positive};
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::reconstruction::Denoised;
    use crate::eval::testing::{World, close, info};
    use crate::objective::autoencoder::NoiseSpec;

    /* skimage.metrics of scikit-image's formula, by numpy 2.4: a = [0,.5,1,.25], b = [.1,.5,.8,.25];
    mse = np.mean((a-b)**2) = 0.0125; 10*np.log10(1/mse) = 19.030899869919435;
    c = [.4,.1,1,.25]: np.mean((a-c)**2) = 0.08; 10*np.log10(.08/.0125) = 8.06179973983887 */
    #[test]
    fn errors_and_decibels_are_those_of_their_formulas() {
        let image = |v: [f32; 4]| Array::new(vec![2, 1, 1, 2], v.to_vec());
        let mut world = World::new(info(vec![1, 1, 2], Truth::Unknown), image([0.0, 0.5, 1.0, 0.25]), Array::default());
        world.answers.reconstructions = Some(image([0.1, 0.5, 0.8, 0.25]));
        let [alone] = world.measure(&MetricSpec::Reconstruction).try_into().expect("no decibels without a range");
        close(alone.value, 0.0125, 1e-8);
        world.info.range = Some((0.0, 1.0));
        let [_, psnr] = world.measure(&MetricSpec::Reconstruction).try_into().expect("both");
        close(psnr.value, 19.030_899_870, 1e-5);
        let noise = MetricSpec::Denoising(NoiseSpec::Gaussian(Positive::of(0.5)));
        world.answers.denoised =
            Some(Denoised { noisy: image([0.4, 0.1, 1.0, 0.25]), restored: image([0.1, 0.5, 0.8, 0.25]) });
        let [gain, error] = world.measure(&noise).try_into().expect("both");
        close(gain.value, 8.061_799_740, 1e-5);
        close(error.value, 0.0125, 1e-8);
        assert!(gain.protocol.parameters.starts_with("noise gaussian=0.5 mse before=0.08"), "{gain:?}");
    }
}
