//! How likely a model holds reference examples: the evidence lower bound in its parts, and log p itself or the bound by
//! importance sampling. Held against the exact law where that is known.

use super::Direction::{Higher, Lower, Neither, Target};
use super::{
    AGAINST_LAW, AGAINST_NOTHING, AGAINST_SAMPLES, Context, Metric, MetricName, Outcome, named, per_part, to_law,
    with_law,
};
use crate::data::{DataInfo, Examples};
use crate::objective::{Bound, Evidence, Likelihoods, Model, Nats, Product, of_each, provided};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;
use std::num::NonZeroU32;

/// The evidence lower bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ElboSpec {
    /// Draws of each example's code behind E log p(x|z).
    pub samples: NonZeroU32,
}
impl Default for ElboSpec {
    fn default() -> Self {
        Self { samples: NonZeroU32::MIN }
    }
}

/// The likelihood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LikelihoodSpec {
    /// Draws of each example's code, from few to many, where the model has codes: the bound with the most is `likelihood`,
    /// those with fewer are `likelihood/5`, … Papers take 5000.
    pub samples: Vec<NonZeroU32>,
    /// The most reference examples.
    pub rows: NonZeroU32,
}
impl Default for LikelihoodSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { samples: vec![of(500)], rows: of(1000) }
    }
}

/// The likelihood of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SampleLikelihoodSpec {
    /// The most samples, and the most reference examples.
    pub rows: NonZeroU32,
}
impl Default for SampleLikelihoodSpec {
    fn default() -> Self {
        Self { rows: LikelihoodSpec::default().rows }
    }
}

fn mean(x: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = x.len() as f64;
    x.sum::<f64>() / n
}

/// Bits a number of an example that so many nats are.
fn bits(nats: f64, cx: &Context) -> f64 {
    -nats / (cx.real.x.row_len() as f64 * LN_2)
}

/// How far a mean over the first examples is below that of the exact law, where its density is known.
fn gap(nats: f64, rows: usize, cx: &Context) -> Option<f64> {
    let truth = cx.info.truth.log_density()?;
    Some(mean((0..rows).map(|i| truth(cx.real.x.row(i)))) - nats)
}

/// Likelihoods with the law that they are under.
pub(super) struct Under<T> {
    /// What was found.
    pub(super) found: T,
    /// What kind of numbers these are.
    pub(super) kind: String,
    /// The law.
    pub(super) law: String,
}

impl<T> Under<T> {
    /// How they were found, exactly or by draws, for the protocol.
    fn how(&self, draws: u32) -> String {
        match draws {
            0 => format!("law={} exact", self.law),
            draws => format!("law={} draws={draws}", self.law),
        }
    }
}

/// The first of these examples, at most so many.
fn first(examples: &Examples, rows: u32) -> Examples {
    let labels = examples.labels.iter().take(rows as usize).copied().collect();
    Examples { x: examples.x.head(rows as usize), labels }
}

/// How pixels became black or white, or the range that a density of pixels is over.
fn parameters(cx: &Context, kind: &str) -> String {
    match (cx.info.binarized, cx.info.range) {
        (Some(kind), _) => format!("binarized={}", kind.name()),
        (None, Some((low, high))) if kind == "density" => format!("range={low}..{high}"),
        _ => String::new(),
    }
}

fn outcome(values: Vec<f64>, rows: usize, parameters: String) -> Outcome {
    let against = if rows > 0 { AGAINST_SAMPLES } else { AGAINST_NOTHING };
    Outcome { values, n_real: Some(rows), n_fake: 0, against, parameters }
}

impl Metric for ElboSpec {
    type Of = provided::Evidence;
    type Answer = Under<Evidence>;
    const TAG: &'static str = "elbo";
    const VALUES: &'static [MetricName] = &[
        named("elbo", Higher, "nats"),
        named("elbo/bits", Lower, "bits a dimension"),
        named("elbo/reconstruction", Neither, "nats"),
        named("elbo/kl", Neither, "nats"),
        named("elbo/active", Neither, "dimensions"),
        to_law("elbo/gap", "nats"),
    ];
    const AS_STORED: bool = false;

    fn ask(&self, of: &dyn Bound, model: &Model<'_>) -> Vec<Under<Evidence>> {
        let found = of_each(model.real, |_, real| of.evidence(model.players, real, self.samples.get(), model.seeds));
        found.into_iter().map(|found| Under { found, kind: of.kind(), law: of.law() }).collect()
    }

    fn of_examples<'a>(&self, answer: &'a Under<Evidence>) -> Vec<(String, &'a [f32])> {
        let Evidence { reconstruction, divergence, .. } = &answer.found;
        vec![("elbo/reconstruction".to_owned(), reconstruction), ("elbo/kl".to_owned(), divergence)]
    }

    fn names(&self, info: &DataInfo) -> Vec<MetricName> {
        with_law(Self::VALUES, info.truth.log_density().is_some())
    }

    fn extractor(&self, _: &Context, answer: &Self::Answer) -> String {
        answer.kind.clone()
    }

    fn weights(&self, answer: &Self::Answer) -> String {
        answer.how(answer.found.draws)
    }

    /// The bound in nats and in bits, its two parts, how many dimensions of the code are in use, and its gap.
    fn take(&self, cx: &Context, answer: &Self::Answer) -> Result<Outcome, String> {
        let evidence = &answer.found;
        let rows = evidence.reconstruction.len();
        if rows == 0 {
            return Err("there are no reference examples".to_owned());
        }
        let reconstruction = mean(evidence.reconstruction.iter().map(|&v| f64::from(v)));
        let divergence = mean(evidence.divergence.iter().map(|&v| f64::from(v)));
        let bound = reconstruction - divergence;
        let mut values = vec![bound, bits(bound, cx), reconstruction, divergence, evidence.active as f64];
        values.extend(gap(bound, rows, cx));
        Ok(outcome(values, rows, parameters(cx, &answer.kind)))
    }
}

impl Metric for LikelihoodSpec {
    type Of = provided::Likelihoods;
    type Answer = Under<Vec<Nats>>;
    const TAG: &'static str = "likelihood";
    const VALUES: &'static [MetricName] = &[
        per_part("likelihood", Higher, "nats"),
        named("likelihood/bits", Lower, "bits a dimension"),
        to_law("likelihood/gap", "nats"),
    ];
    const AS_STORED: bool = false;

    fn ask(&self, of: &dyn Likelihoods, model: &Model<'_>) -> Vec<Under<Vec<Nats>>> {
        let draws: Vec<u32> = self.samples.iter().map(|n| n.get()).collect();
        let found = of_each(model.real, |_, real| {
            let real = first(real, self.rows.get());
            of.likelihoods(model.players, &real, &draws, model.seeds, model.averaged)
        });
        found.into_iter().map(|found| Under { found, kind: of.kind(), law: of.law() }).collect()
    }

    fn of_examples<'a>(&self, answer: &'a Under<Vec<Nats>>) -> Vec<(String, &'a [f32])> {
        let name = |nats: &Nats| match nats.draws {
            0 => "likelihood".to_owned(),
            draws => format!("likelihood/{draws}"),
        };
        answer.found.iter().map(|nats| (name(nats), &nats.of[..])).collect()
    }

    fn names(&self, info: &DataInfo) -> Vec<MetricName> {
        let fewer = self.samples.iter().rev().skip(1).rev();
        with_law(Self::VALUES, info.truth.log_density().is_some())
            .into_iter()
            .chain(fewer.map(|draws| Self::VALUES[0].below(draws)))
            .collect()
    }

    fn needs(&self, _: &DataInfo, _: &[Product]) -> Result<(), String> {
        if self.samples.is_empty() || !self.samples.is_sorted_by(|a, b| a < b) {
            return Err("`likelihood` needs numbers of draws from few to many in `samples`".to_owned());
        }
        Ok(())
    }

    fn extractor(&self, _: &Context, answer: &Self::Answer) -> String {
        answer.kind.clone()
    }

    fn weights(&self, answer: &Self::Answer) -> String {
        answer.found.last().map(|best| answer.how(best.draws)).unwrap_or_default()
    }

    /// log p with the most draws in nats and in bits, its gap, and the bounds of fewer draws.
    fn take(&self, cx: &Context, answer: &Self::Answer) -> Result<Outcome, String> {
        let (best, fewer) = answer.found.split_last().ok_or("the model knows no likelihood")?;
        if best.of.is_empty() {
            return Err("there are no reference examples".to_owned());
        }
        let nats = |of: &[f32]| mean(of.iter().map(|&v| f64::from(v)));
        let value = nats(&best.of);
        let mut values = vec![value, bits(value, cx)];
        values.extend(gap(value, best.of.len(), cx));
        values.extend(fewer.iter().map(|bound| nats(&bound.of)));
        Ok(outcome(values, best.of.len(), parameters(cx, &answer.kind)))
    }
}

impl Metric for SampleLikelihoodSpec {
    type Of = provided::Likelihoods;
    type Answer = Under<[Vec<f32>; 2]>;
    const TAG: &'static str = "sample-likelihood";
    const VALUES: &'static [MetricName] =
        &[named("sample-likelihood", Neither, "nats"), named("sample-likelihood/excess", Target(0.0), "nats")];
    const AS_STORED: bool = false;

    fn ask(&self, of: &dyn Likelihoods, model: &Model<'_>) -> Vec<Under<[Vec<f32>; 2]>> {
        let nats = |_: usize, x: &Examples| -> Vec<Vec<f32>> {
            let found = of.likelihoods(model.players, &first(x, self.rows.get()), &[], model.seeds, model.averaged);
            found.into_iter().map(|nats| nats.into_iter().next().map(|nats| nats.of).unwrap_or_default()).collect()
        };
        let samples: Vec<&Examples> = model.samples.iter().collect();
        let (own, real) = (of_each(&samples, nats), of_each(model.real, nats));
        let both = own.into_iter().zip(real);
        both.map(|(own, real)| Under { found: [own, real], kind: of.kind(), law: of.law() }).collect()
    }

    fn needs(&self, _: &DataInfo, products: &[Product]) -> Result<(), String> {
        if products.contains(&Product::Evidence) {
            return Err(
                "`sample-likelihood` needs a likelihood that is exact, and this algorithm has a bound".to_owned()
            );
        }
        Ok(())
    }

    fn extractor(&self, _: &Context, answer: &Self::Answer) -> String {
        answer.kind.clone()
    }

    fn weights(&self, answer: &Self::Answer) -> String {
        answer.how(0)
    }

    /// What the model gives its own samples, and how far that is above what it gives the data.
    fn take(&self, cx: &Context, answer: &Self::Answer) -> Result<Outcome, String> {
        let [samples, real] = &answer.found;
        if samples.is_empty() || real.is_empty() {
            return Err("there are no samples or no reference examples".to_owned());
        }
        let [of_samples, of_real] = [samples, real].map(|nats| mean(nats.iter().map(|&v| f64::from(v))));
        let values = vec![of_samples, of_samples - of_real];
        Ok(Outcome { n_fake: samples.len(), ..outcome(values, real.len(), parameters(cx, &answer.kind)) })
    }
}

/// The share of samples that can be.
#[derive(Clone)]
pub(super) struct Support;

impl Metric for Support {
    of_samples!();
    const TAG: &'static str = "support";
    const VALUES: &'static [MetricName] = &[named("support", Higher, "share")];

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        let known = info.truth.log_density().map(|_| ());
        known.ok_or_else(|| "`support` needs data whose law has a density that is known".to_owned())
    }

    /// The share of samples whose density is not 0.
    fn take(&self, cx: &Context, (): &()) -> Result<Outcome, String> {
        let truth = cx.info.truth.log_density().ok_or("the law of the data is not known")?;
        let rows = cx.fake.x.rows();
        let possible = (0..rows).filter(|&i| truth(cx.fake.x.row(i)) > f64::NEG_INFINITY).count();
        let values = vec![possible as f64 / rows as f64];
        Ok(Outcome { values, n_real: None, n_fake: rows, against: AGAINST_LAW, parameters: String::new() })
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Array;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::spec::{ElboSpec, LikelihoodSpec, SampleLikelihoodSpec};
    use crate::eval::testing::{World, close, info, line};
    use crate::objective::{Evidence, Nats};

    /// By hand: rows of bars, columns of bars, neither.
    #[test]
    fn what_the_law_cannot_make_has_no_support() {
        let images = vec![1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.5, 1.0, 0.5];
        let bars = info(vec![1, 2, 2], Truth::Bars { side: 2 });
        let world = World::new(bars, Array::default(), Array::new(vec![4, 1, 2, 2], images));
        close(world.measure(&MetricSpec::Support)[0].value, 0.5, 1e-12);
    }

    /// By hand: log N(0; 0, 1) = −0.918939 and log N(1; 0, 1) = −1.418939, of which the mean is −1.168939.
    #[test]
    fn bounds_are_means_over_examples_and_their_gap_is_to_the_law() {
        let truth = Truth::Normal { mean: 0.0, std: 1.0 };
        let mut world = World::new(info(vec![1], truth), line(&[0.0, 1.0]), Array::default());
        let bound = |draws, of: &[f32]| Nats { draws, of: of.to_vec() };
        world.answers.likelihoods = Some(vec![bound(5, &[-1.0, -2.0]), bound(50, &[-1.0, -1.6])]);
        let spec: LikelihoodSpec = toml::from_str("samples = [5, 50]").expect("a spec");
        let values = world.measure(&MetricSpec::Likelihood(spec));
        let names: Vec<&str> = values.iter().map(|v| v.metric.as_str()).collect();
        assert_eq!(names, ["likelihood", "likelihood/bits", "likelihood/gap", "likelihood/5"]);
        for (value, expected) in values.iter().zip([-1.3, 1.875_504, 0.131_061, -1.5]) {
            close(value.value, expected, 1e-5);
        }
        world.answers.own = Some([vec![-1.0, -2.0, -3.0], vec![-1.0, -1.5]]);
        let values = world.measure(&MetricSpec::SampleLikelihood(SampleLikelihoodSpec::default()));
        close(values[0].value, -2.0, 1e-12);
        close(values[1].value, -0.75, 1e-12);
        assert_eq!((values[1].protocol.n_real, values[1].protocol.n_fake), (Some(2), 3));
        let (reconstruction, divergence) = (vec![-1.0, -1.0], vec![0.5, 0.3]);
        world.answers.evidence = Some(Evidence { draws: 1, reconstruction, divergence, active: 2 });
        world.answers.law = "gaussian std=learned".to_owned();
        world.answers.kind = "density".to_owned();
        let values = world.measure(&MetricSpec::Elbo(ElboSpec::default()));
        for (value, expected) in values.iter().zip([-1.4, 2.019_773, -1.0, 0.4, 2.0, 0.231_061]) {
            close(value.value, expected, 1e-5);
        }
        assert_eq!(values[0].protocol.weights, "law=gaussian std=learned draws=1");
        assert_eq!((&*values[0].protocol.extractor, &*values[0].protocol.parameters), ("density", ""));
    }
}
