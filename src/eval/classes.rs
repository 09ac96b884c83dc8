//! Classes: how well a model names those of reference examples, and what a judge with classes sees in samples.

use super::Direction::{Higher, Lower, Neither};
use super::rows::Rows;
use super::spec::FeaturesSpec;
use super::{AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, choose, named, to_law, with_law};
use crate::base::Array;
use crate::data::DataInfo;
use crate::objective::{Classify, ClassifySecond, Model, of_each, provided};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Inception Score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct InceptionScoreSpec {
    /// Runs of neighboring samples, each with its own p(class).
    pub splits: NonZeroU32,
}
impl Default for InceptionScoreSpec {
    fn default() -> Self {
        Self { splits: NonZeroU32::new(10).expect("10 is not 0") }
    }
}

/// How rightly classes are named.
#[derive(Clone)]
pub(super) struct Classification;

impl Metric for Classification {
    type Of = provided::Classes;
    type Answer = Array;
    const TAG: &'static str = "classification";
    const VALUES: &'static [MetricName] = &[
        named("accuracy", Higher, "share"),
        named("cross-entropy", Lower, "nats"),
        named("error", Lower, "share"),
        to_law("accuracy/gap", "share"),
    ];
    const AS_STORED: bool = true;

    fn ask(&self, of: &dyn Classify, model: &Model<'_>) -> Vec<Array> {
        of_each(model.real, |_, real| of.classify(model.players, &real.x, model.averaged))
    }

    fn names(&self, info: &DataInfo) -> Vec<MetricName> {
        with_law(Self::VALUES, info.truth.log_joint().is_some())
    }

    fn extractor(&self, _: &Context, _: &Self::Answer) -> String {
        String::new()
    }

    /// The share of reference examples whose likeliest class is theirs, the mean of −log p of their class in nats, the share of the
    /// others, and how far the first is below what Bayes' rule gives by the exact law, where that has classes.
    fn take(&self, cx: &Context, said: &Array) -> Result<Outcome, String> {
        if said.rows() == 0 || cx.real.labels.len() != said.rows() {
            return Err("there are no labeled reference examples".to_owned());
        }
        let (mut right, mut nats) = (0.0, 0.0);
        for (i, &label) in cx.real.labels.iter().enumerate() {
            let row = said.row(i);
            let of_label = row[label as usize];
            right += f64::from(u8::from(row.iter().all(|&v| v <= of_label)));
            nats -= f64::from(of_label);
        }
        let n = said.rows() as f64;
        let mut values = vec![right / n, nats / n, (n - right) / n];
        values.extend(cx.info.truth.log_joint().map(|law| {
            let named = cx.real.labels.iter().enumerate().map(|(i, label)| (likeliest(&law(cx.real.x.row(i))), *label));
            (named.filter(|(class, label)| *class as i64 == *label).count() as f64 - right) / n
        }));
        Ok(Outcome {
            values,
            n_real: Some(said.rows()),
            n_fake: 0,
            against: AGAINST_SAMPLES,
            parameters: String::new(),
        })
    }
}

/// How rightly those of a second domain are.
#[derive(Clone)]
pub(super) struct Transfer;

impl Metric for Transfer {
    type Of = provided::SecondClasses;
    type Answer = [Array; 2];
    const TAG: &'static str = "transfer";
    const VALUES: &'static [MetricName] =
        &[named("transfer", Higher, "share"), named("transfer/unadapted", Neither, "share")];
    const AS_STORED: bool = false;

    fn ask(&self, of: &dyn ClassifySecond, model: &Model<'_>) -> Vec<[Array; 2]> {
        of_each(model.real, |_, real| of.classify_second(model.players, &real.x))
    }

    fn extractor(&self, _: &Context, _: &Self::Answer) -> String {
        String::new()
    }

    /// The share of reference examples whose likeliest class in the second domain is theirs, by that domain's network and by the
    /// first one's.
    fn take(&self, cx: &Context, both: &[Array; 2]) -> Result<Outcome, String> {
        let labels = &cx.real.labels;
        if labels.is_empty() || both.iter().any(|said| said.rows() != labels.len()) {
            return Err("there are no labeled reference examples".to_owned());
        }
        let right = |said: &Array| {
            let is_right = |(i, label): (usize, &i64)| said.row(i).iter().all(|&v| v <= said.row(i)[*label as usize]);
            labels.iter().enumerate().filter(|of| is_right(*of)).count() as f64 / labels.len() as f64
        };
        Ok(Outcome {
            values: both.iter().map(right).collect(),
            n_real: Some(labels.len()),
            n_fake: 0,
            against: AGAINST_SAMPLES,
            parameters: String::new(),
        })
    }
}

/// log p of each class, from its logits.
fn log_softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = most + row.iter().map(|v| (v - most).exp()).sum::<f64>().ln();
    row.iter().map(|v| v - total).collect()
}

/// The class with the largest logit.
fn likeliest(row: &[f64]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// The score of each split put together: mean and deviation over splits (n in the denominator, as everywhere).
pub(super) fn inception_score(spec: &InceptionScoreSpec, logits: &Rows) -> Result<(Vec<f64>, String), String> {
    let splits = spec.splits.get() as usize;
    if logits.count < splits {
        return Err(format!("{splits} splits need {splits} samples"));
    }
    let score = |split: usize| {
        let (from, to) = (split * logits.count / splits, (split + 1) * logits.count / splits);
        let log_p: Vec<Vec<f64>> = (from..to).map(|i| log_softmax(logits.row(i))).collect();
        let n = log_p.len() as f64;
        let share = |class: usize| log_p.iter().map(|row| row[class].exp()).sum::<f64>() / n;
        let shares: Vec<f64> = (0..logits.width).map(share).collect();
        let kl = |row: &Vec<f64>| {
            row.iter().zip(&shares).filter(|(v, _)| v.exp() > 0.0).map(|(&v, p)| v.exp() * (v - p.ln())).sum::<f64>()
        };
        (log_p.iter().map(kl).sum::<f64>() / n).exp()
    };
    let scores: Vec<f64> = (0..splits).map(score).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let variance = scores.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / splits as f64;
    Ok((vec![mean, variance.sqrt()], format!("classes={} splits={splits}", logits.width)))
}

/// What classes the samples are of. The judge's own accuracy on the reference is said beside.
pub(super) fn seen(real: &Rows, fake: &Rows, spec: &FeaturesSpec, cx: &Context) -> Result<(Vec<f64>, String), String> {
    let named = |rows: &Rows| -> Vec<usize> { (0..rows.count).map(|i| likeliest(rows.row(i))).collect() };
    let (real_classes, fake_classes) = (named(real), named(fake));
    let shares = |classes: &[usize]| -> Vec<f64> {
        let mut shares = vec![0.0; fake.width];
        classes.iter().for_each(|&class| shares[class] += 1.0 / classes.len() as f64);
        shares
    };
    let (p, q) = (shares(&fake_classes), shares(&real_classes));
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| p.iter().zip(&q).filter(|(p, _)| **p > 0.0).map(|(&p, &q)| f(p, q)).sum::<f64>();
    let mut values: Vec<f64> = vec![-sum(&|p, _| p * p.ln()), sum(&|p, q| p * (p / q).ln())];
    // Which examples the rows are of.
    let right = |classes: &[usize], labels: &[i64], choice: Choice| {
        let places = choose(cx.seed, choice, labels.len(), spec.rows.get());
        let agree = places.iter().zip(classes).filter(|(place, class)| labels[**place] == **class as i64).count();
        agree as f64 / classes.len() as f64
    };
    if cx.fake.labels.len() == cx.fake.x.rows() {
        values.push(right(&fake_classes, &cx.fake.labels, Choice::FeaturesFake));
    }
    let mut parameters = format!("classes={}", fake.width);
    if cx.real.labels.len() == cx.real.x.rows() {
        let accuracy = right(&real_classes, &cx.real.labels, Choice::FeaturesReal);
        parameters.push_str(&format!(" accuracy on the reference={accuracy}"));
    }
    Ok((values, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::spec::ExtractorSpec;
    use crate::eval::testing::{World, close, info, normals};

    /* scikit-learn 1.9.1: accuracy_score([0, 1, 1], np.argmax([[.7,.3],[.4,.6],[.9,.1]], 1)) = 2/3, and 1/3 of the classes named
    the other way round */
    #[test]
    fn transfer_is_the_accuracy_of_scikit_learn_by_either_network() {
        let said = [0.7f32, 0.3, 0.4, 0.6, 0.9, 0.1].map(f32::ln);
        let turned = [0.3f32, 0.7, 0.6, 0.4, 0.1, 0.9].map(f32::ln);
        let mut world = World::new(info(vec![2], Truth::Unknown), Array::zeros(vec![3, 2]), Array::default());
        world.real.labels = vec![0, 1, 1];
        world.answers.second_classes = Some([said, turned].map(|said| Array::new(vec![3, 2], said.to_vec())));
        let values = world.measure(&MetricSpec::Transfer);
        assert_eq!((values[0].metric.as_str(), values[1].metric.as_str()), ("transfer", "transfer/unadapted"));
        close(values[0].value, 2.0 / 3.0, 1e-12);
        close(values[1].value, 1.0 / 3.0, 1e-12);
    }

    /* scikit-learn 1.9.1: p = [[.7,.2,.1],[.1,.5,.4],[.3,.3,.4],[.2,.6,.2]]; y = [0,2,2,1];
    accuracy_score(y, np.argmax(p, 1)) = 0.75; log_loss(y, p) = 0.6750205078632583 */
    #[test]
    fn accuracy_cross_entropy_and_error_are_those_of_scikit_learn() {
        let p = [0.7f32, 0.2, 0.1, 0.1, 0.5, 0.4, 0.3, 0.3, 0.4, 0.2, 0.6, 0.2];
        let x = Array::zeros(vec![4, 2]);
        let mut world = World::new(info(vec![2], Truth::Unknown), x, Array::default());
        world.real.labels = vec![0, 2, 2, 1];
        world.answers.classes = Some(Array::new(vec![4, 3], p.iter().map(|v| v.ln()).collect()));
        let values = world.measure(&MetricSpec::Classification);
        assert_eq!((values[0].metric.as_str(), values[1].metric.as_str()), ("accuracy", "cross-entropy"));
        close(values[0].value, 0.75, 1e-12);
        close(values[1].value, 0.675_020_507_863, 1e-6);
        assert_eq!((values[2].metric.as_str(), values[2].value), ("error", 0.25));
    }

    /// A model that says what the law says is as good as it, and one that says the opposite is wrong where that is right.
    #[test]
    fn accuracy_is_held_against_that_of_the_law_where_it_has_classes() {
        let spec: crate::data::markov::MarkovSpec =
            toml::from_str("symbols = 3\norder = 1\ncontext = 6\nclasses = 2\nsharpness = 0.5").expect("a spec");
        let source = spec.open().expect("chains");
        let real = crate::data::Source::reference(&source, crate::data::Split::Test, 0, 500);
        let law = source.info.truth.log_joint().expect("it has classes");
        let said: Vec<f32> = (0..500).flat_map(|i| law(real.x.row(i))).map(|v| v as f32).collect();
        let mut world = World::new(source.info.clone(), real.x.clone(), Array::default());
        world.real.labels.clone_from(&real.labels);
        let of = |world: &World, name: &str| {
            let values = world.measure(&MetricSpec::Classification);
            values.iter().find(|value| value.metric == name).expect("it is measured").value
        };
        world.answers.classes = Some(Array::new(vec![500, 2], said.clone()));
        let best = of(&world, "accuracy");
        assert!(best > 0.6, "{best}");
        close(of(&world, "accuracy/gap"), 0.0, 1e-12);
        world.answers.classes = Some(Array::new(vec![500, 2], said.iter().map(|v| -v).collect()));
        close(of(&world, "accuracy"), 1.0 - best, 1e-12);
        close(of(&world, "accuracy/gap"), 2.0 * best - 1.0, 1e-12);
    }

    fn rows(data: Vec<f64>, width: usize) -> Rows {
        Rows { count: data.len() / width, width, data }
    }

    /* torch-fidelity 0.4 and numpy agree on Z = 3·normals(seed 33, 3000) as 600×5 logits:
    10 splits without shuffling 2.5406459673 ± 0.0980871996, one split 2.5750133245. */
    #[test]
    fn the_score_is_that_of_torch_fidelity() {
        let z = rows(normals(33, 3000).into_iter().map(|v| 3.0 * v).collect(), 5);
        let score = |splits: u32| {
            inception_score(&InceptionScoreSpec { splits: splits.try_into().expect("above 0") }, &z).expect("a score").0
        };
        close(score(10)[0], 2.540_645_967_3, 1e-9);
        close(score(10)[1], 0.098_087_199_6, 1e-9);
        close(score(1)[0], 2.575_013_324_5, 1e-9);
        let few = inception_score(&InceptionScoreSpec { splits: 601.try_into().expect("above 0") }, &z);
        assert_eq!(few.expect_err("too few"), "601 splits need 601 samples");
    }

    /* scipy 1.17: entropy([.5,.25,.25]) = 1.0397207708; entropy([.5,.25,.25], [.25,.5,.25]) = 0.1732867951 */
    #[test]
    fn the_shares_of_classes_are_held_against_the_reference_s() {
        let one_hot = |classes: &[usize]| {
            rows(classes.iter().flat_map(|&c| (0..3).map(move |i| f64::from(u8::from(i == c)))).collect(), 3)
        };
        let (real, fake) = (one_hot(&[0, 1, 1, 2]), one_hot(&[0, 0, 1, 2]));
        let x = Array::zeros(vec![4, 2]);
        let mut world = World::new(info(vec![2], Truth::Unknown), x.clone(), x);
        world.real.labels = vec![0, 1, 2, 2];
        world.fake.labels = vec![0, 1, 1, 2];
        let spec = FeaturesSpec::of(ExtractorSpec::Values);
        let (values, parameters) = world.with(|cx| seen(&real, &fake, &spec, cx)).expect("values");
        close(values[0], 1.039_720_770_8, 1e-9);
        close(values[1], 0.173_286_795_1, 1e-9);
        close(values[2], 0.75, 1e-12);
        assert_eq!(parameters, "classes=3 accuracy on the reference=0.75");
    }
}
