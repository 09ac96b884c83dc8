//! Metrics over host arrays: what a number is called, which way is better, what it needs, and how it is taken. Each value
//! carries its protocol, so that two numbers can be seen to be comparable or not.
//!
//! Metrics know nothing of networks: whoever evaluates brings samples, reference and (for metrics that judge an image)
//! a function that judges. A metric is an arm of [`MetricSpec`], and in one of the files beside this one all there is of it
//! (`Metric`). A metric over features is an arm of
//! [`spec::FeatureMetricSpec`]; the extractor is part of its values' names and of their protocol.

/// The items of a metric that is taken of samples alone.
macro_rules! of_samples {
    () => {
        type Of = crate::objective::provided::Samples;
        type Answer = ();
        const AS_STORED: bool = true;

        fn ask(&self, _: &dyn crate::objective::Generate, model: &crate::objective::Model<'_>) -> Vec<()> {
            vec![(); model.seeds.len()]
        }
    };
}

mod agreement;
mod bands;
mod classes;
mod codes;
mod extractor;
mod features;
mod frechet;
mod images;
mod interpolation;
mod judge; // (torch)
mod kid;
mod likelihood;
mod line;
mod modes;
mod neighbors;
mod pairs;
mod parzen;
mod patches;
mod probe;
mod reconstruction;
mod rows;
mod slices;
pub mod spec;
mod ssim;
#[cfg(test)]
mod testing;

pub use features::Known;
pub use spec::{EvalSpec, MetricSpec, ReferenceKind, WeightsKind};

use spec::{ExtractorSpec, FEATURE_NAMES, FeaturesSpec, NAMES};

use crate::data::images::at_levels;
use crate::data::{DataError, DataInfo, DataRoots, Examples};
use crate::objective::product::Provided;
use crate::objective::{Model, Product};
use crate::rng;
use std::borrow::Cow;
use std::fmt::Display;

/// Gives the class and the error of the shape that fits an image best.
pub type ScoreShape<'a> = &'a dyn Fn(&[f32]) -> (usize, f64);

/// What a metric may look at.
pub struct Context<'a> {
    /// What the experiment says of evaluation.
    pub spec: &'a EvalSpec,
    /// What is known of the data.
    pub info: &'a DataInfo,
    /// What samples are held against.
    pub real: &'a Examples,
    /// Training examples, for metrics that ask whether samples are copies.
    pub train: Option<&'a Examples>,
    /// Samples, or no rows where the model makes none; the labels are what the generator was asked for.
    pub fake: &'a Examples,
    /// What projections and choices of rows follow from.
    pub seed: u64,
    /// What earlier evaluations found of the same reference, with the same seed.
    pub known: Option<&'a Known>,
    /// The judge of shapes, where the data set is one of shapes.
    pub score_shape: Option<ScoreShape<'a>>,
}

/// What a model of one run answered.
#[derive(Default)]
pub struct Answers {
    /// The weights that it answered with, for the protocol.
    pub weights: String,
    /// New examples, where it provides them; the labels are those that it was asked for.
    pub samples: Option<Examples>,
    /// Its answer to each metric, in their order.
    pub asked: Vec<Box<dyn Asked>>,
}

/// A metric with what a model answered to it.
pub trait Asked: Send {
    /// Takes the metric. Values that are undefined are NaN, with the reason in the protocol.
    fn measure(&self, cx: &Context) -> Vec<Value>;
    /// Whether the numbers compared are of samples as they would be stored.
    fn is_as_stored(&self) -> bool;
    /// What is known of each reference example alone: names and numbers.
    fn of_examples(&self) -> Vec<(String, &[f32])>;
}

/// See [`Asked`].
struct Pair<M: Metric> {
    metric: M,
    answer: M::Answer,
}

impl<M: Metric> Asked for Pair<M> {
    fn measure(&self, cx: &Context) -> Vec<Value> {
        self.metric.measure(cx, &self.answer)
    }

    fn is_as_stored(&self) -> bool {
        M::AS_STORED
    }

    fn of_examples(&self) -> Vec<(String, &[f32])> {
        self.metric.of_examples(&self.answer)
    }
}

/// Asks a model for what a metric needs, for every run.
fn ask<M: Metric>(metric: &M, model: &Model<'_>) -> Vec<Box<dyn Asked>> {
    let pair = |answer| Box::new(Pair { metric: metric.clone(), answer }) as Box<dyn Asked>;
    metric.ask(model.handle::<M::Of>(), model).into_iter().map(pair).collect()
}

/// One number, with how it was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// What it is called: `w1`, `modes/covered`.
    pub metric: String,
    /// The number; NaN where it is undefined (`protocol.undefined` is then the reason).
    pub value: f64,
    /// How it was taken.
    pub protocol: Protocol,
}

/// How a number was taken. Two numbers with the same protocol can be compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protocol {
    /// Reference examples used; `None` where the exact law stood in for them, or nothing did.
    pub n_real: Option<usize>,
    /// Samples used.
    pub n_fake: usize,
    /// Where the reference comes from: `test`, `train`, or `drawn` for a distribution; empty without reference.
    pub split: String,
    /// `law` (the exact distribution), `samples` (reference examples), or empty.
    pub against: String,
    /// Which weights of the generator made the samples, `raw` or `ema`; whoever drew them fills it in. Its norms took the
    /// statistics that training kept, whatever batch a sample is drawn in. Of a likelihood also its law, and how it was found.
    pub weights: String,
    /// What the numbers compared are: `values` (low-dimensional examples as they are), `pixels`, or a named extractor with
    /// the start of its weights' hash; of a likelihood what kind of number it is.
    pub extractor: String,
    /// Everything else, as `name=value` in a fixed order. Of images: their range, and that samples were rounded to 8 bits as the
    /// data are.
    pub parameters: String,
    /// Why there is no number; the column of `parameters` then has this, after `undefined: `.
    pub undefined: Option<String>,
    /// What projections and choices of rows followed from.
    pub seed: u64,
}

/// The columns of `eval.csv` after `step,metric,value`.
pub const PROTOCOL_COLUMNS: &[&str] =
    &["n_real", "n_fake", "split", "against", "weights", "extractor", "parameters", "seed"];

impl Protocol {
    /// The fields in the order of [`PROTOCOL_COLUMNS`].
    pub fn fields(&self) -> [String; 8] {
        [
            self.n_real.map(|n| n.to_string()).unwrap_or_default(),
            self.n_fake.to_string(),
            self.split.clone(),
            self.against.clone(),
            self.weights.clone(),
            self.extractor.clone(),
            self.undefined.as_ref().map_or_else(|| self.parameters.clone(), |why| format!("{UNDEFINED}{why}")),
            self.seed.to_string(),
        ]
    }
}

/// Which way a number is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Direction {
    /// Smaller is better.
    Lower,
    /// Larger is better.
    Higher,
    /// Nearer to this is better.
    Target(f64),
    /// It says something, but not whether a run is good.
    Neither,
}

impl Direction {
    /// Whether `a` is strictly better than `b`. A number is better than none (NaN); where there is no better, never.
    pub fn better(self, a: f64, b: f64) -> bool {
        if self == Self::Neither || a.is_nan() {
            return false;
        }
        b.is_nan()
            || match self {
                Self::Lower => a < b,
                Self::Higher => a > b,
                Self::Target(target) => (a - target).abs() < (b - target).abs(),
                Self::Neither => false,
            }
    }
}

/// A number that a metric gives.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricName {
    /// As in `eval.csv`.
    pub name: Cow<'static, str>,
    /// Which way is better.
    pub direction: Direction,
    /// The unit: `data` is the unit of the examples.
    pub unit: &'static str,
    /// Whether values add a part to the name: the side of an image, a factor, a number of draws, an extractor.
    has_parts: bool,
    /// Whether it is given only where the law of the data is known.
    needs_law: bool,
}

impl MetricName {
    /// The same of a part: of one side of an image, of one factor.
    fn below(&self, part: impl Display) -> Self {
        Self { name: format!("{}/{part}", self.name).into(), ..self.clone() }
    }
}

const fn named(name: &'static str, direction: Direction, unit: &'static str) -> MetricName {
    MetricName { name: Cow::Borrowed(name), direction, unit, has_parts: false, needs_law: false }
}

/// A name to which values add a part.
const fn per_part(name: &'static str, direction: Direction, unit: &'static str) -> MetricName {
    MetricName { name: Cow::Borrowed(name), direction, unit, has_parts: true, needs_law: false }
}

/// The name of a difference to the law of the data.
const fn to_law(name: &'static str, unit: &'static str) -> MetricName {
    MetricName { name: Cow::Borrowed(name), direction: Direction::Target(0.0), unit, has_parts: false, needs_law: true }
}

/// A metric: all there is of it beside its arm in [`MetricSpec`].
trait Metric: Clone + Send + 'static {
    /// What a model must provide for it to be taken.
    type Of: Provided;
    /// What it asks a model for, of one run.
    type Answer: Send + 'static;
    /// As in a TOML. The names of its values begin with it.
    const TAG: &'static str;
    /// Each value that it may give, in their order.
    const VALUES: &'static [MetricName];

    /// Whether the numbers that it compares are of samples as they would be stored; the protocol then says how that is.
    const AS_STORED: bool;

    /// Asks a model, with one answer per run.
    fn ask(&self, of: <Self::Of as Provided>::Handle<'_>, model: &Model<'_>) -> Vec<Self::Answer>;

    /// What the answer contains of each reference example alone: names and numbers.
    fn of_examples<'a>(&self, _answer: &'a Self::Answer) -> Vec<(String, &'a [f32])> {
        vec![]
    }

    /// Those that it gives of such data.
    fn names(&self, _info: &DataInfo) -> Vec<MetricName> {
        Self::VALUES.to_vec()
    }

    /// Whether it can be taken of such data, from a model that gives these products.
    fn needs(&self, _info: &DataInfo, _products: &[Product]) -> Result<(), String> {
        Ok(())
    }

    /// Why training examples cannot be its reference.
    fn held_out(&self) -> Option<&'static str> {
        None
    }

    /// What the numbers compared are, for the protocol.
    fn extractor(&self, cx: &Context, _answer: &Self::Answer) -> String {
        if cx.info.is_image() { "pixels" } else { "values" }.to_owned()
    }

    /// How a model found what it says, for the protocol: a setting as weights are.
    fn weights(&self, _answer: &Self::Answer) -> String {
        String::new()
    }

    /// Its values, in the order of its names.
    fn take(&self, cx: &Context, answer: &Self::Answer) -> Result<Outcome, String>;

    /// Its values with their names and how they were taken.
    fn measure(&self, cx: &Context, answer: &Self::Answer) -> Vec<Value> {
        let there = if <Self::Of as Provided>::PRODUCT == Product::Samples { finite(cx) } else { Ok(()) };
        let outcome = there.and_then(|()| self.take(cx, answer));
        let mut values = values(&self.names(cx.info), outcome, &self.extractor(cx, answer), cx);
        values.iter_mut().for_each(|value| value.protocol.weights = self.weights(answer));
        values
    }
}

/// All names, or all that do without the law of the data.
fn with_law(own: &'static [MetricName], is_known: bool) -> Vec<MetricName> {
    own.iter().filter(|name| is_known || !name.needs_law).cloned().collect()
}

/// Which way a metric or a scalar of `metrics.csv` is better: neither, for losses of a game and unknown names.
pub fn direction(metric: &str) -> Direction {
    let all = || NAMES.iter().flat_map(|(_, names)| *names).chain(FEATURE_NAMES.iter().copied().flatten());
    let is_part = |known: &&MetricName| {
        known.has_parts && metric.strip_prefix(&*known.name).is_some_and(|part| part.starts_with('/'))
    };
    let known = all().find(|known| known.name == metric).or_else(|| all().find(is_part));
    known.map_or(Direction::Neither, |known| known.direction)
}

/// What a metric found: its values in the order of its names (the last ones may be missing), and how.
struct Outcome {
    values: Vec<f64>,
    n_real: Option<usize>,
    n_fake: usize,
    against: &'static str,
    parameters: String,
}

/// What precedes the reason why there is no number.
const UNDEFINED: &str = "undefined: ";

/// The reason why a value is undefined, from the `parameters` of its protocol; `None` if it is defined.
pub fn why_undefined(parameters: &str) -> Option<&str> {
    parameters.strip_prefix(UNDEFINED)
}

/// What is compared with nothing.
const AGAINST_NOTHING: &str = "";
/// What is compared with the exact law.
const AGAINST_LAW: &str = "law";
/// What is compared with reference examples.
const AGAINST_SAMPLES: &str = "samples";

impl MetricSpec {
    /// The values that it gives of any data.
    pub fn plain_names(&self) -> impl Iterator<Item = &'static str> {
        self.values().iter().filter_map(|name| match name.name {
            Cow::Borrowed(name) => Some(name),
            Cow::Owned(_) => None,
        })
    }

    /// Whether it can be taken of such data from models that give these products.
    ///
    /// # Errors
    /// What it needs, and what there is.
    pub fn needs(&self, info: &DataInfo, products: &[Product]) -> Result<(), String> {
        let (tag, product) = (self.tag(), self.product());
        if !products.contains(&product) {
            return Err(format!("`{tag}` is taken of {}, and this algorithm makes none", product.name()));
        }
        self.needs_of(info, products)
    }
}

/// What was found, value by value under its name.
fn values(names: &[MetricName], outcome: Result<Outcome, String>, extractor: &str, cx: &Context) -> Vec<Value> {
    let (outcome, undefined) = match outcome {
        Ok(outcome) => (outcome, None),
        Err(why) => {
            let values = vec![f64::NAN; names.len()];
            let (n_fake, parameters) = (cx.fake.x.rows(), String::new());
            (Outcome { values, n_real: None, n_fake, against: AGAINST_NOTHING, parameters }, Some(why))
        }
    };
    let protocol = Protocol {
        n_real: outcome.n_real,
        n_fake: outcome.n_fake,
        split: match cx.spec.reference {
            _ if outcome.n_real.is_none() => String::new(),
            _ if cx.info.len.is_none() => "drawn".into(),
            ReferenceKind::Test => "test".into(),
            ReferenceKind::Train => "train".into(),
        },
        against: outcome.against.into(),
        weights: String::new(),
        extractor: extractor.into(),
        parameters: outcome.parameters,
        undefined,
        seed: cx.seed,
    };
    let value = |(name, value): (&MetricName, f64)| Value {
        metric: name.name.clone().into_owned(),
        value: if value.is_finite() { value } else { f64::NAN },
        protocol: protocol.clone(),
    };
    names.iter().zip(outcome.values).map(value).collect()
}

impl EvalSpec {
    /// The same with the files of its extractors where they were found.
    ///
    /// # Errors
    /// If one of them is not found.
    pub fn found(&self, roots: &DataRoots) -> Result<Self, DataError> {
        let mut found = self.clone();
        for metric in &mut found.metrics {
            if let MetricSpec::Features(FeaturesSpec { extractor: ExtractorSpec::Torchscript(spec), .. }) = metric {
                spec.file = roots.find(&spec.file)?;
            }
        }
        Ok(found)
    }

    /// What stands in the way of measuring such data: the place in `metrics`, and the reason.
    pub fn problems(&self, info: &DataInfo, products: &[Product]) -> Vec<(usize, String)> {
        let (mut problems, mut earlier) = (Vec::new(), Vec::new());
        for (i, metric) in self.metrics.iter().enumerate() {
            let names = metric.names(info);
            let twice =
                names.iter().enumerate().find(|(k, name)| earlier.contains(*name) || names[..*k].contains(name));
            if let Err(why) = metric.needs(info, products) {
                problems.push((i, why));
            } else if let Some((_, twice)) = twice {
                let said = if matches!(metric, MetricSpec::Features(_)) { &*twice.name } else { metric.tag() };
                problems.push((i, format!("`{said}` stands twice; eval.csv could not tell the two apart")));
            } else if self.reference == ReferenceKind::Train
                && let Some(why) = metric.held_out()
            {
                problems.push((i, format!("`{}` needs `reference = \"test\"`: {why}", metric.tag())));
            }
            earlier.extend(names);
        }
        problems
    }
}

/// Whether examples are single numbers.
fn one_dimensional(tag: &str, info: &DataInfo) -> Result<(), String> {
    if info.shape == [1] {
        Ok(())
    } else {
        Err(format!("`{tag}` needs one-dimensional data; this is {:?}", info.shape))
    }
}

/// Whether examples are images.
fn needs_images(tag: &str, info: &DataInfo) -> Result<(), String> {
    if info.is_image() { Ok(()) } else { Err(format!("`{tag}` needs images; this is {:?}", info.shape)) }
}

/// Whether examples are of classes.
fn needs_labels(tag: &str, info: &DataInfo) -> Result<(), String> {
    if info.classes > 1 { Ok(()) } else { Err(format!("`{tag}` needs data with labels of two or more classes")) }
}

/// Whether the data are images whose sides are at least that long.
fn images_of_side(what: &str, side: usize, info: &DataInfo) -> Result<(), String> {
    if info.is_image() && info.shape[1..].iter().all(|&n| n >= side) {
        return Ok(());
    }
    Err(format!("`{what}` needs images of at least {side}×{side}; this is {:?}", info.shape))
}

/// The levels that a number of an image has where nothing else is known.
const BYTE: u32 = 256;

/// All that the experiment asks for, in its order. The data's images are stored in 8 bits, or are black and white, and samples
/// are held against them as they would be stored: between two levels a metric would see what no picture shows.
pub fn measure_all(cx: &Context, asked: &[Box<dyn Asked>]) -> Vec<Value> {
    let Some(range) = cx.info.range.filter(|_| cx.info.is_image() && cx.fake.x.rows() > 0) else {
        return asked.iter().flat_map(|asked| asked.measure(cx)).collect();
    };
    let levels = cx.info.levels.unwrap_or(BYTE);
    let quantized = if levels == BYTE { "8-bit".to_owned() } else { format!("{levels}-levels") };
    let fake = Examples { x: at_levels(&cx.fake.x, range, levels), labels: cx.fake.labels.clone() };
    let cx = Context { fake: &fake, ..*cx };
    let mut all = Vec::new();
    for asked in asked {
        let mut values = asked.measure(&cx);
        for value in values.iter_mut().filter(|value| asked.is_as_stored() && value.protocol.undefined.is_none()) {
            let parameters = &mut value.protocol.parameters;
            let gap = if parameters.is_empty() { "" } else { " " };
            *parameters += &format!("{gap}range={}..{} quantized={quantized}", range.0, range.1);
        }
        all.extend(values);
    }
    all
}

/// Whether there are samples and all of them are numbers.
fn finite(cx: &Context) -> Result<(), String> {
    let rows = cx.fake.x.rows();
    if rows == 0 {
        return Err("there are no samples".into());
    }
    let lost = (0..rows).filter(|&i| !cx.fake.x.row(i).iter().all(|v| v.is_finite())).count();
    if lost > 0 { Err(format!("{lost} of {rows} samples are not finite")) } else { Ok(()) }
}

/// What the choices of evaluation are for: no two of them, and nothing that draws latents, share a number. The values are
/// part of what makes a number repeatable.
#[derive(Clone, Copy)]
enum Choice {
    Directions = 0x8000,
    MmdReal = 0x8001,
    MmdFake = 0x8002,
    DiversityReal = 0x8003,
    DiversityFake = 0x8004,
    NearestReal = 0x8005,
    NearestFake = 0x8006,
    NearestTrain = 0x8007,
    Shapes = 0x8008,
    FeaturesReal = 0x8009,
    FeaturesFake = 0x800a,
    KidReal = 0x800b,
    KidFake = 0x800c,
    Patches = 0x800d,
    PatchDirections = 0x800e,
    SsimReal = 0x800f,
    SsimFake = 0x8010,
    ParzenWidth = 0x8011,
    Codes = 0x8012,
}

/// At most `most` different places of `0..rows`, in an order that the seed decides; all of them in order where they fit.
/// Neighbors in a data set are often alike, so the first ones would not do.
fn choose(seed: u64, choice: Choice, rows: usize, most: u32) -> Vec<usize> {
    if rows <= most as usize {
        return (0..rows).collect();
    }
    (0..u64::from(most)).map(|i| rng::permuted(seed, choice as u64, i, rows as u64) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::testing::{World, info, line};
    use super::*;
    use crate::data::Truth;

    #[test]
    fn every_metric_has_a_direction_and_values_named_after_its_tag() {
        let metrics = testing::every_metric();
        let tags: std::collections::BTreeSet<_> = metrics.iter().map(MetricSpec::tag).collect();
        assert_eq!(tags.len(), NAMES.len(), "each is tested");
        let image = info(vec![1, 28, 28], Truth::Unknown);
        for metric in &metrics {
            let written = serde_json::to_value(metric).expect("a spec");
            let tag = written.as_str().or_else(|| Some(written.as_object()?.keys().next()?));
            assert_eq!(tag, Some(metric.tag()));
            for name in metric.names(&image) {
                // The two that everybody calls by these names alone.
                if !["features", "classification"].contains(&metric.tag()) {
                    assert_eq!(name.name.split('/').next(), Some(metric.tag()));
                }
                assert_eq!(direction(&name.name), name.direction, "{name:?}");
            }
        }
        assert_eq!(direction("frechet/some-extractor"), Direction::Lower);
        assert_eq!(direction("g/loss"), Direction::Neither);
    }

    #[test]
    fn a_metric_is_written_as_its_tag_with_what_differs_from_the_defaults() {
        let read = |text: &str| toml::from_str::<EvalSpec>(text);
        let spec = read("metrics = ['w1', { mmd = { sigma = 2.0 } }, { modes = {} }]").expect("a spec");
        let mmd = spec::MmdSpec { sigma: Some(crate::base::Positive::of(2.0)), ..Default::default() };
        assert_eq!(spec.metrics, [MetricSpec::W1, MetricSpec::Mmd(mmd), MetricSpec::Modes(Default::default())]);
        let resolved = toml::to_string(&spec).expect("text");
        assert!(resolved.contains("covered-from = 0.002"), "{resolved}");
        assert_eq!(read(&resolved).expect("the same"), spec);
        assert!(read("metrics = [{ modes = { sigma = 3.0 } }]").is_err());
    }

    #[test]
    fn what_a_metric_needs_is_said_in_a_sentence() {
        let plane = info(vec![2], Truth::Unknown);
        let said = |metric: MetricSpec| metric.needs(&plane, &[Product::Samples]).unwrap_err();
        assert_eq!(said(MetricSpec::W1), "`w1` needs one-dimensional data; this is [2]");
        assert_eq!(said(MetricSpec::PixelStatistics), "`pixel-statistics` needs images; this is [2]");
        assert_eq!(
            said(MetricSpec::Clusters),
            "`clusters` is taken of categorical codes, and this algorithm makes none"
        );
        assert_eq!(
            said(MetricSpec::LinearProbe(Default::default())),
            "`linear-probe` is taken of features of unlabeled examples, and this algorithm makes none"
        );
        let factors = MetricSpec::CodeFactors(Default::default());
        assert_eq!(
            factors.needs(&plane, &[Product::ContinuousCodes]).unwrap_err(),
            "`code-factors` needs data whose factors can be told of any sample: the embedded shapes"
        );
        assert!(MetricSpec::Mmd(Default::default()).needs(&plane, &[Product::Samples]).is_ok());
        let twice = EvalSpec { metrics: vec![MetricSpec::Mean, MetricSpec::Mean], ..Default::default() };
        let problems = twice.problems(&info(vec![1], Truth::Unknown), &[Product::Samples]);
        assert_eq!(problems, [(1, "`mean` stands twice; eval.csv could not tell the two apart".to_owned())]);
    }

    #[test]
    fn samples_that_are_not_finite_give_no_number_but_a_reason() {
        let world =
            World::new(info(vec![1], Truth::Normal { mean: 0.0, std: 1.0 }), line(&[0.0]), line(&[1.0, f32::NAN]));
        let [value] = world.measure(&MetricSpec::W1).try_into().expect("one value");
        assert!(value.value.is_nan());
        assert_eq!(value.protocol.undefined.as_deref(), Some("1 of 2 samples are not finite"));
        assert_eq!(value.protocol.fields().len(), PROTOCOL_COLUMNS.len());
    }

    #[test]
    fn samples_are_held_against_images_as_they_would_be_stored() {
        let image = |values: &[f32]| crate::base::Array::new(vec![values.len(), 1, 1, 1], values.to_vec());
        let mut world = World::new(
            DataInfo { range: Some((-1.0, 1.0)), ..info(vec![1, 1, 1], Truth::Unknown) },
            image(&[-1.0, 1.0]),
            // Level 128 is at 1/255; these two are 0.375 of a level below it, and 0.25 above.
            image(&[0.25 / 255.0, 1.5 / 255.0, 7.0, -7.0]),
        );
        let spec: EvalSpec =
            toml::from_str("metrics = ['pixel-statistics', { sliced-wasserstein = {} }]").expect("a spec");
        let values = world.measure_all(&spec);
        assert!((values[0].value - 2.0 / 255.0 / 4.0).abs() < 1e-7, "{values:?}");
        let said = &values.last().expect("values").protocol.parameters;
        assert_eq!(said, "directions=128 p=1 range=-1..1 quantized=8-bit");
        world.info.levels = Some(2);
        let values = world.measure_all(&spec);
        // Black or white alone: the second and the third are nearer to white, and the first too, by a little.
        assert_eq!(values[0].value, 0.5);
        assert!(values[0].protocol.parameters.ends_with("quantized=2-levels"), "{values:?}");
        world.fake.x.data[1] = f32::INFINITY;
        let values = world.measure_all(&spec);
        assert_eq!(values[0].protocol.undefined.as_deref(), Some("1 of 4 samples are not finite"));
    }

    #[test]
    fn better_knows_every_direction_and_prefers_a_number_to_none() {
        assert!(Direction::Lower.better(1.0, 2.0) && !Direction::Lower.better(2.0, 2.0));
        assert!(Direction::Higher.better(2.0, 1.0));
        assert!(Direction::Target(1.0).better(0.9, 1.2) && !Direction::Target(1.0).better(0.5, 1.2));
        assert!(Direction::Lower.better(1.0, f64::NAN) && !Direction::Lower.better(f64::NAN, 1.0));
        assert!(!Direction::Neither.better(1.0, 2.0) && !Direction::Neither.better(1.0, f64::NAN));
    }

    #[test]
    fn every_metric_says_the_same_twice_and_whatever_the_order_of_rows() {
        for (metric, mut world) in testing::every_metric_with_its_world() {
            let first = world.measure(&metric);
            assert!(first.iter().all(|v| v.value.is_finite()), "{first:?}");
            assert_eq!(first, world.measure(&metric), "{}", metric.tag());
            world.reverse_rows();
            for (a, b) in first.iter().zip(world.measure(&metric)) {
                assert!((a.value - b.value).abs() <= 1e-6 * a.value.abs().max(1e-3), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn rows_are_chosen_once_each_by_the_seed() {
        let chosen = choose(3, Choice::MmdReal, 1000, 100);
        let mut sorted = chosen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 100);
        assert_ne!(chosen, choose(4, Choice::MmdReal, 1000, 100));
        assert_eq!(choose(3, Choice::MmdReal, 3, 100), [0, 1, 2]);
    }
}
