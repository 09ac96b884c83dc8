//! What codes say of examples: a categorical code against the true class, a continuous one against a true factor.

use super::Direction::Higher;
use super::images;
use super::{
    AGAINST_LAW, AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, choose, named, needs_labels, per_part,
};
use crate::base::Positive;
use crate::data::shapes::{self, Attributes, Shape, ShapesSpec};
use crate::data::{DataInfo, Truth};
use crate::objective::{Codes, Encode, Model, Product, of_each, provided};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Codes and classes of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CodeClassesSpec {
    /// The largest error of the best-fitting shape at which an image counts as a shape.
    pub error: Positive,
    /// The most samples that are looked at.
    pub rows: NonZeroU32,
}
impl Default for CodeClassesSpec {
    fn default() -> Self {
        let images::ShapesSpec { error, rows, .. } = images::ShapesSpec::default();
        Self { error, rows }
    }
}

/// Codes and factors of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CodeFactorsSpec {
    /// The factors, in which the images of the set must differ.
    pub factors: Vec<FactorKind>,
    /// Whether the correlation is taken among samples of one class, and its mean over classes: nothing in the objective
    /// keeps a code from going one way in one class and the other way in another.
    pub within_classes: bool,
    /// The largest error of the best-fitting shape at which an image counts as a shape.
    pub error: Positive,
    /// The most samples that are looked at.
    pub rows: NonZeroU32,
}
impl Default for CodeFactorsSpec {
    fn default() -> Self {
        use FactorKind::{Brightness, Radius, Rotation, Thickness, X, Y};
        let images::ShapesSpec { error, rows, .. } = images::ShapesSpec::default();
        Self { factors: vec![X, Y, Radius, Rotation, Thickness, Brightness], within_classes: false, error, rows }
    }
}

/// Something that images of the embedded shapes differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FactorKind {
    /// Where the center lies from left to right.
    X,
    /// Where the center lies from top to bottom.
    Y,
    /// The radius of the circle around the shape.
    Radius,
    /// Degrees, clockwise, of the shapes that show them.
    Rotation,
    /// The width of strokes, of the shapes that have some.
    Thickness,
    /// How bright the shape is.
    Brightness,
}

/// The fewest samples that a rank correlation is taken of.
const FEWEST: usize = 10;
/// Deviations from a center within which a sample is of a mixture's mode.
const WITHIN: f64 = 3.0;

/// Codes read off examples, as a clustering.
#[derive(Clone)]
pub(super) struct Clusters;

impl Metric for Clusters {
    type Of = provided::CategoricalCodes;
    type Answer = Codes;
    const TAG: &'static str = "clusters";
    const VALUES: &'static [MetricName] =
        &[named("clusters/purity", Higher, "share"), named("clusters/information", Higher, "share")];
    const AS_STORED: bool = true;

    fn ask(&self, of: &dyn Encode, model: &Model<'_>) -> Vec<Codes> {
        of_each(model.real, |_, real| of.read(model.players, &real.x))
    }

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        needs_labels(Self::TAG, info)
    }

    fn extractor(&self, _: &Context, _: &Self::Answer) -> String {
        String::new()
    }

    /// The codes that the model reads off reference examples, as clusters, against their labels.
    fn take(&self, cx: &Context, read: &Codes) -> Result<Outcome, String> {
        let classes: Vec<Option<usize>> = cx.real.labels.iter().map(|&label| usize::try_from(label).ok()).collect();
        if classes.is_empty() {
            return Err("there are no labeled reference examples".to_owned());
        }
        let values = best(&read.categorical, &classes).ok_or("the model has no categorical code")?;
        Ok(Outcome {
            values: values.to_vec(),
            n_real: Some(classes.len()),
            n_fake: 0,
            against: AGAINST_SAMPLES,
            parameters: String::new(),
        })
    }
}

impl Metric for CodeClassesSpec {
    type Of = provided::CategoricalCodes;
    type Answer = Codes;
    const TAG: &'static str = "code-classes";
    const VALUES: &'static [MetricName] =
        &[named("code-classes/purity", Higher, "share"), named("code-classes/information", Higher, "share")];
    const AS_STORED: bool = true;

    fn ask(&self, of: &dyn Encode, model: &Model<'_>) -> Vec<Codes> {
        of.codes(&model.request())
    }

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        needs_classes(Self::TAG, info)
    }

    fn extractor(&self, cx: &Context, _: &Self::Answer) -> String {
        if cx.info.is_image() { "shape-fit" } else { "values" }.to_owned()
    }

    /// The codes that samples were made from, against the classes that the truth of the data says they are of.
    fn take(&self, cx: &Context, codes: &Codes) -> Result<Outcome, String> {
        let places = choose(cx.seed, Choice::Codes, cx.fake.x.rows(), self.rows.get());
        let class = |&i: &usize| class_of(cx, cx.fake.x.row(i), self.error.get());
        let classes: Vec<Option<usize>> = places.iter().map(class).collect::<Result<_, String>>()?;
        let chosen: Vec<Vec<i64>> =
            codes.categorical.iter().map(|code| places.iter().map(|&i| code[i]).collect()).collect();
        let values = best(&chosen, &classes).ok_or("the model has no categorical code")?;
        Ok(Outcome {
            values: values.to_vec(),
            n_real: None,
            n_fake: places.len(),
            against: AGAINST_LAW,
            parameters: format!("error<={}", self.error.get()),
        })
    }
}

/// The class that a sample is of by the truth of the data; none where it is of none.
fn class_of(cx: &Context, sample: &[f32], error: f64) -> Result<Option<usize>, String> {
    if let Truth::Modes { centers, std, .. } = &cx.info.truth {
        let distance =
            |center: &[f64]| -> f64 { center.iter().zip(sample).map(|(c, &v)| (f64::from(v) - c).powi(2)).sum() };
        let nearest = centers.iter().map(|center| distance(center)).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        return Ok(nearest.filter(|(_, squared)| squared.sqrt() <= WITHIN * std).map(|(mode, _)| mode));
    }
    let score = cx.score_shape.ok_or("nothing knows the classes of samples of this data")?;
    let (class, miss) = score(sample);
    Ok((miss <= error).then_some(class))
}

/// Purity and normalized mutual information of the code that says most of the classes.
fn best(codes: &[Vec<i64>], classes: &[Option<usize>]) -> Option<[f64; 2]> {
    codes.iter().map(|code| purity_and_information(code, classes)).max_by(|a, b| a[1].total_cmp(&b[1]))
}

/// Purity: the share of all examples that are of a class and of the commonest one among those of their code; an example
/// without a class is never right. Information: I(code; class) over the mean of their entropies, among those with one; 0
/// where no example has one.
fn purity_and_information(codes: &[i64], classes: &[Option<usize>]) -> [f64; 2] {
    let pairs: Vec<(usize, usize)> =
        codes.iter().zip(classes).filter_map(|(&code, class)| Some((usize::try_from(code).ok()?, (*class)?))).collect();
    let sides = pairs.iter().fold((0, 0), |most, pair| (most.0.max(pair.0 + 1), most.1.max(pair.1 + 1)));
    let mut table = vec![vec![0.0_f64; sides.1]; sides.0];
    pairs.iter().for_each(|&(code, class)| table[code][class] += 1.0);
    let n = pairs.len() as f64;
    let right = table.iter().fold(0.0, |sum, row| sum + row.iter().copied().fold(0.0, f64::max));
    let entropy = |counts: &mut dyn Iterator<Item = f64>| -> f64 {
        counts.filter(|&count| count > 0.0).map(|count| -count / n * (count / n).ln()).sum()
    };
    let of_codes = entropy(&mut table.iter().map(|row| row.iter().sum()));
    let of_classes = entropy(&mut (0..sides.1).map(|class| table.iter().map(|row| row[class]).sum()));
    let joint = entropy(&mut table.iter().flatten().copied());
    let information = match (of_codes + of_classes) / 2.0 {
        // One code and one class say the same, as scikit-learn has it.
        mean if mean <= 0.0 => 1.0,
        mean => ((of_codes + of_classes - joint) / mean).max(0.0),
    };
    [right / classes.len() as f64, if n > 0.0 { information } else { 0.0 }]
}

impl Metric for CodeFactorsSpec {
    type Of = provided::ContinuousCodes;
    type Answer = Codes;
    const TAG: &'static str = "code-factors";
    const VALUES: &'static [MetricName] = &[per_part("code-factors", Higher, "correlation")];
    const AS_STORED: bool = true;

    fn ask(&self, of: &dyn Encode, model: &Model<'_>) -> Vec<Codes> {
        of.codes(&model.request())
    }

    fn names(&self, _: &DataInfo) -> Vec<MetricName> {
        self.factors.iter().map(|factor| Self::VALUES[0].below(factor.name())).collect()
    }

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        needs_factors(Self::TAG, self, info)
    }

    fn extractor(&self, _: &Context, _: &Self::Answer) -> String {
        "shape-fit".to_owned()
    }

    /// For each factor the largest absolute rank correlation that a dimension of the continuous codes has with it; within
    /// classes a mean over them, weighted by how many samples each has. 0 where too few samples are valid, or all the same.
    fn take(&self, cx: &Context, codes: &Codes) -> Result<Outcome, String> {
        let Truth::Shapes(set) = &cx.info.truth else {
            return Err("nothing knows the factors of samples of this data".to_owned());
        };
        let places = choose(cx.seed, Choice::Codes, cx.fake.x.rows(), self.rows.get());
        let seen: Vec<(usize, Attributes)> = places
            .iter()
            .filter_map(|&i| {
                let verdict = shapes::classify(cx.fake.x.row(i), set);
                (f64::from(verdict.error) <= self.error.get()).then_some((i, verdict.attributes))
            })
            .collect();
        let mut values = Vec::new();
        for &factor in &self.factors {
            let shown: Vec<&(usize, Attributes)> =
                seen.iter().filter(|(_, attributes)| factor.shows(set.classes[attributes.class])).collect();
            let groups: Vec<Vec<&(usize, Attributes)>> = match self.within_classes {
                false => vec![shown],
                true => (0..set.classes.len())
                    .map(|class| shown.iter().copied().filter(|(_, attributes)| attributes.class == class).collect())
                    .collect(),
            };
            let of_dim = |dim: usize| {
                let (mut sum, mut n) = (0.0, 0.0);
                for group in groups.iter().filter(|group| group.len() >= FEWEST) {
                    let truth: Vec<f64> = group.iter().map(|(_, attributes)| factor.of(attributes)).collect();
                    let code: Vec<f64> = group.iter().map(|(i, _)| f64::from(codes.continuous.row(*i)[dim])).collect();
                    // NaN, where one side is constant, counts as 0.
                    sum += rank_correlation(&code, &truth).abs().max(0.0) * group.len() as f64;
                    n += group.len() as f64;
                }
                sum / n
            };
            values.push((0..codes.continuous.row_len()).map(of_dim).fold(0.0, f64::max));
        }
        Ok(Outcome {
            values,
            n_real: None,
            n_fake: places.len(),
            against: AGAINST_LAW,
            parameters: format!(
                "error<={} within={}",
                self.error.get(),
                if self.within_classes { "classes" } else { "all" }
            ),
        })
    }
}

impl FactorKind {
    /// As a TOML writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Radius => "radius",
            Self::Rotation => "rotation",
            Self::Thickness => "thickness",
            Self::Brightness => "brightness",
        }
    }

    fn of(self, attributes: &Attributes) -> f64 {
        let value = match self {
            Self::X => attributes.x,
            Self::Y => attributes.y,
            Self::Radius => attributes.radius,
            Self::Rotation => attributes.rotation,
            Self::Thickness => attributes.thickness,
            Self::Brightness => attributes.color.into_iter().fold(0.0, f32::max),
        };
        f64::from(value)
    }

    /// Whether it can be seen of such a shape.
    fn shows(self, shape: Shape) -> bool {
        match self {
            Self::Rotation => shape.shows_rotation(),
            Self::Thickness => shape.shows_strokes(),
            Self::X | Self::Y | Self::Radius | Self::Brightness => true,
        }
    }

    /// Whether images of the set differ in it.
    fn varies(self, set: &ShapesSpec) -> bool {
        let of = match self {
            Self::X | Self::Y => set.position,
            Self::Radius => set.radius,
            Self::Rotation => set.rotation,
            Self::Thickness => set.thickness,
            Self::Brightness => set.brightness,
        };
        // A shape that fills the image has no room to move.
        let room = !matches!(self, Self::X | Self::Y) || set.radius.low < 1.0;
        of.low < of.high && room && set.classes.iter().any(|&shape| self.shows(shape))
    }
}

/// Whether the classes of samples of such data can be told.
pub(super) fn needs_classes(tag: &str, info: &DataInfo) -> Result<(), String> {
    let classes = if let Truth::Shapes(set) = &info.truth {
        set.classes.len()
    } else if let Truth::Modes { centers, .. } = &info.truth {
        centers.len()
    } else {
        0
    };
    if classes > 1 {
        return Ok(());
    }
    Err(format!("`{tag}` needs data whose classes can be told of any sample: the embedded shapes, or a mixture"))
}

/// Whether the factors of samples of such data can be told, and vary.
pub(super) fn needs_factors(tag: &str, spec: &CodeFactorsSpec, info: &DataInfo) -> Result<(), String> {
    let Truth::Shapes(set) = &info.truth else {
        return Err(format!("`{tag}` needs data whose factors can be told of any sample: the embedded shapes"));
    };
    if spec.factors.is_empty() {
        return Err(format!("`{tag}` names no factor"));
    }
    match spec.factors.iter().find(|factor| !factor.varies(set)) {
        Some(factor) => {
            Err(format!("`{tag}` asks for `{}`, in which the images of this set do not differ", factor.name()))
        }
        None => Ok(()),
    }
}

/// Spearman's rank correlation: that of the ranks, where equal values share their mean rank. NaN where one side is
/// constant.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    // The mean rank of both.
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut out = vec![0.0; values.len()];
    let mut at = 0;
    for same in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = at as f64 + (same.len() as f64 - 1.0) / 2.0;
        same.iter().for_each(|&i| out[i] = rank);
        at += same.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Array;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, close, info, normals};

    const CODES: [i64; 12] = [0, 0, 1, 1, 1, 2, 2, 2, 0, 1, 2, 2];
    const CLASSES: [i64; 12] = [1, 1, 0, 0, 2, 2, 2, 0, 1, 0, 2, 1];

    /* scikit-learn 1.9.1: c = contingency_matrix(classes, codes); c.max(0).sum() / c.sum() = 0.75;
    normalized_mutual_info_score(classes, codes) = 0.4735121890120615 */
    #[test]
    fn clusters_have_the_purity_and_the_information_of_scikit_learn() {
        let mut world = World::new(info(vec![2], Truth::Unknown), Array::zeros(vec![12, 2]), Array::default());
        world.info.classes = 3;
        world.real.labels = CLASSES.to_vec();
        // The second code says nothing.
        let codes = Codes { categorical: vec![vec![0; 12], CODES.to_vec()], continuous: Array::default() };
        world.answers.read = Some(codes);
        let values = world.measure(&MetricSpec::Clusters);
        assert_eq!((values[0].metric.as_str(), values[1].metric.as_str()), ("clusters/purity", "clusters/information"));
        close(values[0].value, 0.75, 1e-12);
        close(values[1].value, 0.473_512_189_012_061_5, 1e-12);
    }

    #[test]
    fn samples_that_are_of_no_class_are_never_right() {
        let truth = Truth::Modes { centers: vec![vec![0.0], vec![10.0]], std: 1.0, weights: vec![0.5; 2] };
        let fake = Array::new(vec![6, 1], vec![0.1, -0.2, 9.0, 10.5, 5.0, 11.0]);
        let mut world = World::new(info(vec![1], truth), fake.clone(), fake);
        world.answers.codes = Some(Codes { categorical: vec![vec![1, 1, 0, 0, 0, 0]], continuous: Array::default() });
        let values = world.measure(&MetricSpec::CodeClasses(CodeClassesSpec::default()));
        close(values[0].value, 5.0 / 6.0, 1e-12);
        close(values[1].value, 1.0, 1e-12);
    }

    /* scipy 1.17.1: spearmanr([1,2,2,3,5,4], [2,1,3,3,3,9]).statistic = 0.6776452139970671 */
    #[test]
    fn rank_correlation_is_scipys_with_ties() {
        close(
            rank_correlation(&[1.0, 2.0, 2.0, 3.0, 5.0, 4.0], &[2.0, 1.0, 3.0, 3.0, 3.0, 9.0]),
            0.677_645_213_997_067_1,
            1e-12,
        );
        assert!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
        assert!(rank_correlation(&[], &[]).is_nan());
    }

    #[test]
    fn a_code_that_turns_drawn_shapes_is_found_and_one_that_does_not_is_not() {
        let set: ShapesSpec = toml::from_str("classes = [\"square\", \"disc\", \"ring\"]").expect("a set");
        let noise = normals(3, 600);
        let mut fake = Array::zeros(vec![300, 1, 28, 28]);
        let mut codes = Vec::new();
        for (i, image) in fake.data.chunks_exact_mut(784).enumerate() {
            let attributes = set.attributes(i as u64);
            shapes::render(&attributes, &set, image);
            codes.extend([noise[i] as f32, -attributes.rotation, attributes.radius + 0.02 * noise[300 + i] as f32]);
        }
        let mut world = World::new(set.info().expect("a set"), fake.clone(), fake);
        world.answers.codes = Some(Codes { categorical: vec![], continuous: Array::new(vec![300, 3], codes) });
        let spec = CodeFactorsSpec {
            factors: vec![FactorKind::Rotation, FactorKind::Radius, FactorKind::Thickness],
            ..Default::default()
        };
        let values = world.measure(&MetricSpec::CodeFactors(spec));
        assert_eq!(values[0].metric, "code-factors/rotation");
        assert!(values[0].value > 0.97 && values[1].value > 0.9 && values[2].value < 0.3, "{values:?}");
    }

    /// What a claim is about must be there of runs that failed, and taken in the same way as that of others.
    #[test]
    fn samples_that_show_nothing_say_nothing_of_codes() {
        let set = ShapesSpec::default();
        let fake = Array::zeros(vec![20, 1, 28, 28]);
        let mut world = World::new(set.info().expect("a set"), fake.clone(), fake);
        world.judge = Some(Box::new(|_| (0, 1.0)));
        let continuous = Array::new(vec![20, 1], (0..20u8).map(f32::from).collect());
        world.answers.codes = Some(Codes { categorical: vec![(0..20).map(|i| i % 3).collect()], continuous });
        let of_classes = world.measure(&MetricSpec::CodeClasses(CodeClassesSpec::default()));
        assert_eq!((of_classes[0].value, of_classes[1].value), (0.0, 0.0));
        let of_factors = world.measure(&MetricSpec::CodeFactors(CodeFactorsSpec::default()));
        assert!(of_factors.iter().all(|value| value.value == 0.0), "{of_factors:?}");
    }

    #[test]
    fn a_code_that_goes_another_way_in_each_class_is_found_within_classes() {
        let set: ShapesSpec = toml::from_str("classes = [\"square\", \"disc\"]").expect("a set");
        let mut fake = Array::zeros(vec![200, 1, 28, 28]);
        let mut codes = Vec::new();
        for (i, image) in fake.data.chunks_exact_mut(784).enumerate() {
            let attributes = set.attributes(i as u64);
            shapes::render(&attributes, &set, image);
            codes.push(if attributes.class == 0 { attributes.radius } else { -attributes.radius });
        }
        let mut world = World::new(set.info().expect("a set"), fake.clone(), fake);
        world.answers.codes = Some(Codes { categorical: vec![], continuous: Array::new(vec![200, 1], codes) });
        let measure = |within_classes| {
            let spec = CodeFactorsSpec { factors: vec![FactorKind::Radius], within_classes, ..Default::default() };
            world.measure(&MetricSpec::CodeFactors(spec))[0].value
        };
        assert!(measure(true) > 0.95 && measure(false) < 0.4, "{} {}", measure(true), measure(false));
    }

    #[test]
    fn a_factor_that_the_set_does_not_have_is_named() {
        let check = |text: &str, factor| {
            let set: ShapesSpec = toml::from_str(text).expect("a set");
            let spec = CodeFactorsSpec { factors: vec![factor], ..Default::default() };
            needs_factors("code-factors", &spec, &set.info().expect("a set")).err().unwrap_or_default()
        };
        assert_eq!(
            check("classes = [\"disc\", \"ring\"]", FactorKind::Rotation),
            "`code-factors` asks for `rotation`, in which the images of this set do not differ"
        );
        assert!(!check("position = [0.0, 0.0]", FactorKind::X).is_empty());
        assert!(!check("classes = [\"disc\"]", FactorKind::Thickness).is_empty());
        assert_eq!(check("", FactorKind::Rotation), "");
    }
}
