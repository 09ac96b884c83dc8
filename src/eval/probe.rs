//! How well a straight line through features tells classes apart after a few labels, beside one through the examples as they
//! are (arXiv:1511.06434, section 5): what was learned without labels is worth what it saves of them.
//!
//! The line is a support vector machine with squared losses (L2-SVM), one class against all others; its dual is solved by
//! Newton's method on the examples that count (Chapelle: Training a Support Vector Machine in the Primal, 2007).

use super::Direction::{Higher, Neither};
use super::rows::Rows;
use super::{AGAINST_SAMPLES, Context, Metric, MetricName, Outcome, named, needs_labels};
use crate::base::{Array, Positive};
use crate::data::DataInfo;
use crate::objective::{Examine, Model, Product, of_each, provided};
use nalgebra::{Cholesky, DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// A line through features. It is a support vector machine with squared losses, one class against all others, over rows less
/// their mean and divided by the root of their mean square.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LinearProbeSpec {
    /// Training examples of each class whose label is told. The time grows with the cube of all of them.
    pub labels_per_class: NonZeroU32,
    /// Draws of other examples, over which the mean is taken.
    pub draws: NonZeroU32,
    /// Which layers are features; maps are pooled to 4×4 by their largest numbers.
    pub layers: LayersKind,
    /// C, how much an example on the wrong side costs; of several the one that does best over five folds of the labeled ones.
    pub strengths: Vec<Positive>,
    /// The most reference examples.
    pub rows: NonZeroU32,
}
impl Default for LinearProbeSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        let strengths = [0.1, 1.0, 10.0, 100.0].map(Positive::of).to_vec();
        Self { labels_per_class: of(10), draws: of(5), layers: LayersKind::default(), strengths, rows: of(2000) }
    }
}

/// Layers of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LayersKind {
    /// What enters each layer with weights but the first, beside each other; of an encoder also its code.
    #[default]
    All,
    /// What enters the last layer of a discriminator, or the code of an encoder.
    Last,
}
impl LayersKind {
    /// For a protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all layers",
            Self::Last => "last layer",
        }
    }
}

/// What a network says of examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Probed {
    /// Of the training examples that get labels, one drawing after the other.
    pub train: Array,
    /// Of the reference examples.
    pub real: Array,
}

/// Parts of the labeled examples that take turns at being held out.
const FOLDS: usize = 5;
/// Newton's steps at most; a few do.
const STEPS: usize = 100;

impl LinearProbeSpec {
    /// The places of the training examples that get labels, for each drawing: so many of every class, each once.
    ///
    /// # Errors
    /// If there are too few of a class.
    fn labeled(&self, labels: &[i64], classes: usize) -> Result<Vec<Vec<usize>>, String> {
        let (each, draws) = (self.labels_per_class.get() as usize, self.draws.get() as usize);
        let mut all = vec![Vec::with_capacity(each * classes); draws];
        for class in 0..classes {
            let own = (0..labels.len()).filter(|&i| labels[i] == class as i64);
            let own: Vec<usize> = own.take(each * draws).collect();
            if own.len() < each * draws {
                return Err(format!(
                    "{draws} draws of {each} labels per class need {} training examples of each, and there are {} of class \
                     {class} among the first {}: raise `samples`",
                    each * draws,
                    own.len(),
                    labels.len()
                ));
            }
            all.iter_mut().zip(own.chunks_exact(each)).for_each(|(draw, own)| draw.extend(own));
        }
        Ok(all)
    }

    /// The reference examples that are asked about.
    fn asked(&self, real: &Array) -> Array {
        real.head(self.rows.get() as usize)
    }
}

impl Metric for LinearProbeSpec {
    type Of = provided::Features;
    type Answer = Option<Probed>;
    const TAG: &'static str = "linear-probe";
    const VALUES: &'static [MetricName] = &[
        named("linear-probe", Higher, "share"),
        named("linear-probe/plain", Neither, "share"),
        named("linear-probe/gain", Higher, "share"),
    ];
    const AS_STORED: bool = false;

    fn ask(&self, of: &dyn Examine, model: &Model<'_>) -> Vec<Option<Probed>> {
        let every = self.layers == LayersKind::All;
        let real = of_each(model.real, |_, real| of.features(model.players, &self.asked(&real.x), every));
        let train = of_each(model.training, |run, train| {
            let Ok(draws) = self.labeled(&train.labels, model.info[run].classes) else {
                return vec![None; model.seeds.len()];
            };
            let rows: Vec<usize> = draws.concat();
            let shape = std::iter::once(rows.len()).chain(train.x.shape[1..].iter().copied()).collect();
            let some = Array::new(shape, rows.iter().flat_map(|&i| train.x.row(i)).copied().collect());
            of.features(model.players, &some, every)
        });
        real.into_iter().zip(train).map(|(real, train)| Some(Probed { real: real?, train: train? })).collect()
    }

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        if self.strengths.is_empty() {
            return Err("`linear-probe` needs a strength of the line or several in `strengths`".to_owned());
        }
        needs_labels(Self::TAG, info)
    }

    fn held_out(&self) -> Option<&'static str> {
        Some("the line is fit to training examples")
    }

    fn extractor(&self, _: &Context, _: &Self::Answer) -> String {
        self.layers.name().to_owned()
    }

    /// The share of reference examples that are named rightly by features, by the examples as they are, and their difference.
    fn take(&self, cx: &Context, answer: &Self::Answer) -> Result<Outcome, String> {
        let probed = answer.as_ref().ok_or("the model has no layers that do without labels")?;
        let train = cx.train.ok_or("there are no training examples to label")?;
        let draws = self.labeled(&train.labels, cx.info.classes)?;
        let real = self.asked(&cx.real.x);
        let truth = &cx.real.labels[..real.rows()];
        let (mut by_features, mut by_examples, mut first) = (0.0, 0.0, 0);
        for draw in &draws {
            let labels: Vec<i64> = draw.iter().map(|&i| train.labels[i]).collect();
            let own: Vec<usize> = (first..first + draw.len()).collect();
            first += draw.len();
            let accuracy = |train: &Array, places: &[usize], real: &Array| {
                let all: Vec<usize> = (0..real.rows()).collect();
                let (train, real) = (Rows::of(train, places), Rows::of(real, &all));
                if !train.are_finite() || !real.are_finite() {
                    return Err("a feature is not finite".to_owned());
                }
                let named = by_lines(self, train, &labels, real, cx.info.classes);
                Ok(share_right(&named, truth) / draws.len() as f64)
            };
            by_features += accuracy(&probed.train, &own, &probed.real)?;
            by_examples += accuracy(&train.x, draw, &real)?;
        }
        let strengths: Vec<String> = self.strengths.iter().map(|c| c.get().to_string()).collect();
        let parameters = format!(
            "labels={} a class draws={} features={} l2-svm c={}{}",
            self.labels_per_class,
            draws.len(),
            probed.real.row_len(),
            strengths.join("|"),
            if self.strengths.len() > 1 { format!(" by {FOLDS} folds") } else { String::new() },
        );
        Ok(Outcome {
            values: vec![by_features, by_examples, by_features - by_examples],
            n_real: Some(real.rows()),
            n_fake: 0,
            against: AGAINST_SAMPLES,
            parameters,
        })
    }
}

fn share_right(named: &[usize], truth: &[i64]) -> f64 {
    named.iter().zip(truth).filter(|(named, truth)| **named as i64 == **truth).count() as f64 / truth.len() as f64
}

/// The classes that a line through these rows, chosen by folds of them, gives others.
fn by_lines(spec: &LinearProbeSpec, mut train: Rows, labels: &[i64], mut others: Rows, classes: usize) -> Vec<usize> {
    level(&mut train, &mut others);
    let products = with_constant(&train, &train);
    let all: Vec<usize> = (0..train.count).collect();
    let strength = match spec.strengths.as_slice() {
        [one] => one.get(),
        several => {
            // Of classes one after the other, so that each fold has some of all.
            let mut seen = vec![0; classes];
            let mut fold = vec![0; labels.len()];
            for (fold, &label) in fold.iter_mut().zip(labels) {
                *fold = seen[label as usize] % FOLDS;
                seen[label as usize] += 1;
            }
            let right = |c: f64| -> usize {
                let of_fold = |held: usize| {
                    let (out, rest): (Vec<usize>, Vec<usize>) = all.iter().partition(|&&i| fold[i] == held);
                    let lines = Lines::fit(&products, &rest, labels, classes, c);
                    let scores = |i: usize, j: usize| products[(i, rest[j])];
                    out.iter().filter(|&&i| lines.name(|j| scores(i, j)) as i64 == labels[i]).count()
                };
                (0..FOLDS).map(of_fold).sum()
            };
            // The first of equals: the weakest that does as well.
            let mut best = (0, several[0].get());
            for c in several.iter().map(|c| c.get()) {
                let count = right(c);
                best = if count > best.0 { (count, c) } else { best };
            }
            best.1
        }
    };
    let lines = Lines::fit(&products, &all, labels, classes, strength);
    let products = with_constant(&others, &train);
    (0..others.count).map(|i| lines.name(|j| products[(i, j)])).collect()
}

/// Moves both by the mean of the training rows, and scales them so that those have a mean square of 1.
fn level(train: &mut Rows, others: &mut Rows) {
    let (n, width) = (train.count as f64, train.width);
    let mut mean = vec![0.0; width];
    for i in 0..train.count {
        mean.iter_mut().zip(train.row(i)).for_each(|(mean, v)| *mean += v / n);
    }
    let spread: f64 =
        (0..train.count).map(|i| train.row(i).iter().zip(&mean).map(|(v, mean)| (v - mean).powi(2)).sum::<f64>()).sum();
    let scale = if spread > 0.0 { (n / spread).sqrt() } else { 1.0 };
    for rows in [train, others] {
        for row in rows.data.chunks_exact_mut(width.max(1)) {
            row.iter_mut().zip(&mean).for_each(|(v, mean)| *v = (*v - mean) * scale);
        }
    }
}

/// All products of rows to which a 1 is added, as liblinear has its intercept: `[a, b]`.
fn with_constant(a: &Rows, b: &Rows) -> DMatrix<f64> {
    let mut products = DMatrix::from_element(a.count, b.count, 1.0);
    products.gemm(1.0, &a.columns(0, a.count).transpose(), &b.columns(0, b.count), 1.0);
    products
}

/// A line for each class, as weights of the rows that it was fit to.
struct Lines(Vec<DVector<f64>>);

impl Lines {
    fn fit(products: &DMatrix<f64>, rows: &[usize], labels: &[i64], classes: usize, c: f64) -> Self {
        let own = DMatrix::from_fn(rows.len(), rows.len(), |i, j| products[(rows[i], rows[j])]);
        let of_class = |class: usize| {
            let sides = rows.iter().map(|&i| if labels[i] == class as i64 { 1.0 } else { -1.0 });
            support(&own, &DVector::from_iterator(rows.len(), sides), c)
        };
        Self((0..classes).map(of_class).collect())
    }

    /// The class on whose side it lies farthest, by its products with the rows.
    fn name(&self, product: impl Fn(usize) -> f64) -> usize {
        let score = |line: &DVector<f64>| line.iter().enumerate().map(|(j, w)| w * product(j)).sum::<f64>();
        let scores = self.0.iter().map(score).enumerate();
        scores.fold((0, f64::NEG_INFINITY), |best, (class, score)| if score > best.1 { (class, score) } else { best }).0
    }
}

/// Minimizes ½‖w‖² + c Σ max(0, 1 − y f)² over f = K a with w = Σ a x.
fn support(products: &DMatrix<f64>, y: &DVector<f64>, c: f64) -> DVector<f64> {
    let n = y.len();
    let falls_short = |f: &DVector<f64>, i: usize| y[i] * f[i] < 1.0;
    let worth = |a: &DVector<f64>, f: &DVector<f64>| {
        0.5 * a.dot(f) + c * (0..n).filter(|&i| falls_short(f, i)).map(|i| (1.0 - y[i] * f[i]).powi(2)).sum::<f64>()
    };
    let (mut a, mut f) = (DVector::zeros(n), DVector::zeros(n));
    for _ in 0..STEPS {
        let counting: Vec<usize> = (0..n).filter(|&i| falls_short(&f, i)).collect();
        let k = counting.len();
        let system =
            DMatrix::from_fn(k, k, |i, j| products[(counting[i], counting[j])] + if i == j { 0.5 / c } else { 0.0 });
        let sides = DVector::from_iterator(k, counting.iter().map(|&i| y[i]));
        // Of numbers that are no numbers there is none; rows are looked at before.
        let Some(system) = Cholesky::new(system) else { return a };
        let solved = system.solve(&sides);
        let mut goal = DVector::zeros(n);
        counting.iter().zip(solved.iter()).for_each(|(&i, &v)| goal[i] = v);
        let (way, before) = (&goal - &a, worth(&a, &f));
        let mut share = 1.0;
        loop {
            let next = &a + &way * share;
            let said = products * &next;
            if worth(&next, &said) <= before || share < 1e-9 {
                (a, f) = (next, said);
                break;
            }
            share *= 0.5;
        }
        let now = (0..n).filter(|&i| falls_short(&f, i));
        if share == 1.0 && now.eq(counting) {
            break;
        }
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Examples, Truth};
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, appendix, close, golden, info, rows_of};

    /// The class of each row of X: the largest of three numbers of it, each with the square of another.
    fn labels(x: &Array) -> Vec<i64> {
        let class = |row: &[f32]| {
            let of = |k: usize| row[k] + row[k + 3] * row[k + 3];
            (0..3).fold(0, |best, k| if of(k) > of(best) { k } else { best }) as i64
        };
        (0..x.rows()).map(|i| class(x.row(i))).collect()
    }

    #[test]
    fn the_line_is_that_of_scikit_learns_linear_svc() {
        let (x, _) = appendix();
        let labels = labels(&x);
        let rows: Vec<usize> = (0..60).collect();
        let (train, other) = (Rows::of(&x, &rows), Rows::of(&x, &(60..500).collect::<Vec<_>>()));
        let (own, products) = (with_constant(&train, &train), with_constant(&other, &train));
        for c in [0.01, 0.1, 10.0] {
            let lines = Lines::fit(&own, &rows, &labels, 3, c);
            for class in 0..3 {
                let score: f64 = lines.0[class].iter().enumerate().map(|(j, w)| w * products[(0, j)]).sum();
                close(score, golden(&format!("linear-svc {c} class {class}")), 1e-5);
            }
            let named: Vec<usize> = (0..440).map(|i| lines.name(|j| products[(i, j)])).collect();
            close(share_right(&named, &labels[60..]), golden(&format!("linear-svc {c} accuracy")), 1e-9);
        }
    }

    #[test]
    fn features_that_say_the_class_beat_the_examples_and_the_strength_is_chosen_by_folds() {
        let (x, y) = appendix();
        let labels = labels(&x);
        let mut world = World::new(info(vec![8], Truth::Unknown), rows_of(&x, 250, 500), Array::default());
        world.info.classes = 3;
        world.real.labels = labels[250..].to_vec();
        world.train = Some(Examples { x: x.head(250), labels: labels[..250].to_vec() });
        let spec = LinearProbeSpec {
            labels_per_class: NonZeroU32::new(10).expect("not 0"),
            draws: NonZeroU32::new(2).expect("not 0"),
            strengths: [1e-6, 1.0].map(Positive::of).to_vec(),
            ..Default::default()
        };
        let draws = spec.labeled(&labels[..250], 3).expect("there are enough");
        let mut all: Vec<usize> = draws.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!((draws.len(), all.len()), (2, 60), "no example gets a label twice");
        // What the class follows from, as features: straight lines are enough.
        let squares = |rows: &[usize]| {
            let data = rows.iter().flat_map(|&i| (0..3).map(move |k| (i, k)));
            let data = data.map(|(i, k)| x.row(i)[k] + x.row(i)[k + 3] * x.row(i)[k + 3]).collect();
            Array::new(vec![rows.len(), 3], data)
        };
        world.answers.features =
            Some(Probed { train: squares(&draws.concat()), real: squares(&(250..500).collect::<Vec<_>>()) });
        let values = world.measure(&MetricSpec::LinearProbe(spec.clone()));
        assert!(values[0].value > 0.85 && values[1].value < 0.7, "{values:?}");
        close(values[2].value, values[0].value - values[1].value, 1e-12);
        assert_eq!(
            values[0].protocol.parameters,
            "labels=10 a class draws=2 features=3 l2-svm c=0.000001|1 by 5 folds"
        );
        // A line that is not allowed to lean says less.
        let weak = LinearProbeSpec { strengths: vec![Positive::of(1e-6)], ..spec.clone() };
        assert!(world.measure(&MetricSpec::LinearProbe(weak))[0].value <= values[0].value);
        // Noise says nothing of the class.
        world.answers.features = Some(Probed { train: y.head(60), real: rows_of(&y, 250, 500) });
        assert!(world.measure(&MetricSpec::LinearProbe(spec))[0].value < 0.45);
    }

    #[test]
    fn too_few_examples_of_a_class_are_said() {
        let spec = LinearProbeSpec::default();
        let said = spec.labeled(&[0, 1, 0, 1], 2).unwrap_err();
        assert!(
            said.starts_with("5 draws of 10 labels per class need 50 training examples of each, and there are 2 of")
        );
    }
}
