//! Metrics over features: who extracts, what is taken of it, and what is said of how.

use super::extractor::{Features, SIDE};
use super::rows::Rows;
use super::spec::{ExtractorSpec, FeatureMetricSpec, FeaturesSpec};
use super::{
    AGAINST_SAMPLES, Choice, Context, Metric, MetricName, Outcome, Value, choose, classes, finite, frechet,
    images_of_side, kid, neighbors, values,
};
use crate::data::DataInfo;
use crate::objective::Product;
use std::cell::OnceCell;
use std::sync::{Arc, Mutex, OnceLock};

impl FeatureMetricSpec {
    /// The values that it gives over what this extractor gives.
    pub(super) fn names(&self, extractor: &ExtractorSpec) -> Vec<MetricName> {
        self.values().iter().map(|name| name.below(extractor.name())).collect()
    }

    /// Whether it needs an extractor with classes.
    fn needs_classes(&self) -> bool {
        match self {
            Self::InceptionScore(_) | Self::Classes => true,
            Self::Frechet | Self::Kid(_) | Self::PrecisionRecall(_) | Self::DensityCoverage(_) | Self::TwoSample => {
                false
            }
        }
    }

    /// The neighbor that it looks for, where it looks for one.
    fn k(&self) -> Option<usize> {
        match self {
            Self::PrecisionRecall(spec) => Some(spec.k.get() as usize),
            Self::DensityCoverage(spec) => Some(spec.k.get() as usize),
            Self::TwoSample => Some(1),
            Self::Frechet | Self::Kid(_) | Self::InceptionScore(_) | Self::Classes => None,
        }
    }
}

/// The features of one side, and what is computed of them alone where it is asked for.
struct Side {
    rows: Rows,
    /// The logits of classes, where the extractor gives them.
    logits: Option<Rows>,
    /// The furthest neighbor that anyone looks for.
    k: usize,
    moments: OnceLock<frechet::Moments>,
    nearest: OnceLock<Vec<Vec<f64>>>,
    /// Of the real side, see [`kid::kid`].
    kernels: OnceLock<Vec<f64>>,
}

impl Side {
    fn new(Features { rows, logits }: Features, spec: &FeaturesSpec) -> Self {
        // A k that is too large is said where its metric is taken.
        let k = spec.metrics.iter().filter_map(FeatureMetricSpec::k).filter(|&k| k < rows.count).max().unwrap_or(1);
        Self { rows, logits, k, moments: OnceLock::new(), nearest: OnceLock::new(), kernels: OnceLock::new() }
    }

    fn logits(&self) -> Result<&Rows, String> {
        self.logits.as_ref().ok_or_else(|| "the extractor gives no classes".to_owned())
    }

    fn moments(&self) -> &frechet::Moments {
        self.moments.get_or_init(|| frechet::Moments::of(&self.rows))
    }

    fn nearest(&self) -> &[Vec<f64>] {
        self.nearest.get_or_init(|| neighbors::nearest(&self.rows, self.k))
    }
}

/// What evaluations share that hold as many samples against the same reference with the same seed: its side. Cheap to clone.
#[derive(Clone, Default)]
pub struct Known(Arc<Mutex<Vec<((FeaturesSpec, usize), Arc<Side>)>>>);

impl Known {
    /// The side of the reference, made the first time.
    fn side(
        &self,
        spec: &FeaturesSpec,
        samples: usize,
        make: impl FnOnce() -> Result<Side, String>,
    ) -> Result<Arc<Side>, String> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, side)) = known.iter().find(|((other, n), _)| other == spec && *n == samples) {
            return Ok(side.clone());
        }
        let side = Arc::new(make()?);
        known.push(((spec.clone(), samples), side.clone()));
        Ok(side)
    }
}

impl Metric for FeaturesSpec {
    of_samples!();
    const TAG: &'static str = "features";
    /// Those of what is measured over the features.
    const VALUES: &'static [MetricName] = &[];

    fn names(&self, _: &DataInfo) -> Vec<MetricName> {
        self.metrics.iter().flat_map(|metric| metric.names(&self.extractor)).collect()
    }

    fn needs(&self, info: &DataInfo, _: &[Product]) -> Result<(), String> {
        if self.metrics.is_empty() {
            return Err("`features` has no metrics".into());
        }
        let has_classes = match &self.extractor {
            ExtractorSpec::Torchscript(_) => true,
            ExtractorSpec::Values | ExtractorSpec::Pixels | ExtractorSpec::RandomConv => false,
        };
        if let Some(metric) = self.metrics.iter().find(|metric| metric.needs_classes() && !has_classes) {
            let (tag, name) = (metric.tag(), self.extractor.name());
            return Err(format!(
                "`{tag}` needs classes, and `{name}` has none: take a classifier in a `torchscript` file"
            ));
        }
        match &self.extractor {
            ExtractorSpec::Values if info.is_image() => {
                Err("`values` is for low-dimensional data; take `pixels`".into())
            }
            ExtractorSpec::Pixels if !info.is_image() => {
                Err(format!("`pixels` needs images; this is {:?}: take `values`", info.shape))
            }
            ExtractorSpec::RandomConv => images_of_side("random-conv", SIDE, info),
            ExtractorSpec::Torchscript(spec) if !info.is_image() && (spec.side.is_some() || spec.color) => {
                Err(format!("`side` and `color` are for images; this is {:?}", info.shape))
            }
            ExtractorSpec::Values | ExtractorSpec::Pixels | ExtractorSpec::Torchscript(_) => Ok(()),
        }
    }

    fn take(&self, _: &Context, (): &()) -> Result<Outcome, String> {
        unreachable!("all of them are taken at once, by `measure`")
    }

    fn measure(&self, cx: &Context, (): &()) -> Vec<Value> {
        let extractor = self.extractor.extractor(cx.info);
        let sides = finite(cx).and_then(|()| extractor.as_ref().map_err(String::clone)).and_then(|extractor| {
            let side = |x: &crate::base::Array, choice| {
                let features = extractor.features(x, &choose(cx.seed, choice, x.rows(), self.rows.get()))?;
                Ok::<_, String>(Side::new(features, self))
            };
            let real = || side(&cx.real.x, Choice::FeaturesReal);
            let real = match cx.known {
                Some(known) => known.side(self, cx.fake.x.rows(), real)?,
                None => Arc::new(real()?),
            };
            let fake = side(&cx.fake.x, Choice::FeaturesFake)?;
            if real.rows.are_finite() && fake.rows.are_finite() {
                Ok((real, fake))
            } else {
                Err("a feature is not finite".to_owned())
            }
        });
        // The passes over pairs are the same for all that looks at neighbors.
        let found = OnceCell::new();
        let mut all = Vec::new();
        for metric in &self.metrics {
            let outcome = sides.as_ref().map_err(String::clone).and_then(|(real, fake)| {
                let (values, parameters) = take(metric, self, (real, fake), &found, cx)?;
                let (n_real, n_fake) = (Some(real.rows.count), fake.rows.count);
                Ok(Outcome { values, n_real, n_fake, against: AGAINST_SAMPLES, parameters })
            });
            let name = extractor.as_ref().map_or_else(|_| self.extractor.name().into_owned(), |e| e.name.clone());
            all.extend(values(&metric.names(&self.extractor), outcome, &name, cx));
        }
        all
    }
}

fn take(
    metric: &FeatureMetricSpec,
    all: &FeaturesSpec,
    (real, fake): (&Side, &Side),
    found: &OnceCell<neighbors::Neighbors>,
    cx: &Context,
) -> Result<(Vec<f64>, String), String> {
    let (rows, width) = (real.rows.count.min(fake.rows.count), real.rows.width);
    if rows < 2 {
        return Err("two examples of each side are needed".into());
    }
    if let Some(k) = metric.k()
        && k >= rows
    {
        return Err(format!("neighbor {k} of an example needs {} examples of each side", k + 1));
    }
    let found = || {
        found.get_or_init(|| {
            let k_of = |wanted: fn(&FeatureMetricSpec) -> bool| {
                all.metrics
                    .iter()
                    .filter(|m| wanted(m))
                    .find_map(FeatureMetricSpec::k)
                    .filter(|&k| k < rows)
                    .unwrap_or(1)
            };
            let k = k_of(|m| matches!(m, FeatureMetricSpec::PrecisionRecall(_)));
            let k_density = k_of(|m| matches!(m, FeatureMetricSpec::DensityCoverage(_)));
            neighbors::neighbors((&real.rows, real.nearest()), (&fake.rows, fake.nearest()), k, k_density)
        })
    };
    Ok(match metric {
        FeatureMetricSpec::Frechet => {
            (vec![frechet::distance(real.moments(), fake.moments())], format!("features={width} ddof=1"))
        }
        FeatureMetricSpec::Kid(spec) => {
            let kid = kid::kid(spec, &real.rows, &fake.rows, &real.kernels, cx);
            let parameters =
                format!("features={width} unbiased kernel=(a.b/{width}+1)^3 subsets={} of {}", kid.subsets, kid.size);
            (vec![kid.mean, kid.deviation], parameters)
        }
        FeatureMetricSpec::PrecisionRecall(spec) => {
            (vec![found().precision, found().recall], format!("features={width} k={}", spec.k))
        }
        FeatureMetricSpec::DensityCoverage(spec) => {
            (vec![found().density, found().coverage], format!("features={width} k={}", spec.k))
        }
        FeatureMetricSpec::TwoSample => {
            let (real_share, fake_share) = (found().real_by_real, found().fake_by_fake);
            let parameters = format!("features={width} leave-one-out nearest neighbor");
            (vec![f64::midpoint(real_share, fake_share), real_share, fake_share], parameters)
        }
        FeatureMetricSpec::InceptionScore(spec) => classes::inception_score(spec, fake.logits()?)?,
        FeatureMetricSpec::Classes => classes::seen(real.logits()?, fake.logits()?, all, cx)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::testing::{World, appendix, close, golden, info};
    use crate::eval::{EvalSpec, MetricSpec};
    use crate::objective::Product;

    fn measure_all(world: &World, toml: &str) -> Vec<Value> {
        let spec: EvalSpec = toml::from_str(&format!("metrics = [{{ features = {toml} }}]")).expect("a spec");
        world.measure(&spec.metrics[0])
    }

    #[test]
    fn every_number_is_the_reference_s_under_its_own_name() {
        let (x, y) = appendix();
        let world = World::new(info(vec![8], Truth::Unknown), x, y);
        let values = measure_all(&world, "{ extractor = 'values' }");
        let found: Vec<_> = values.iter().map(|v| (v.metric.as_str(), v.value)).collect();
        let (real, fake) = (golden("real by real X Y"), golden("fake by fake X Y"));
        let expected = [
            ("frechet/values", golden("frechet X Y")),
            ("kid/values", golden("kid X Y")),
            ("kid-deviation/values", 0.0),
            ("precision/values", golden("precision 3 X Y")),
            ("recall/values", golden("recall 3 X Y")),
            ("density/values", golden("density 5 X Y")),
            ("coverage/values", golden("coverage 5 X Y")),
            ("two-sample/values", f64::midpoint(real, fake)),
            ("two-sample-real/values", real),
            ("two-sample-fake/values", fake),
        ];
        assert_eq!(found.len(), expected.len());
        for ((name, value), (expected_name, expected)) in found.into_iter().zip(expected) {
            assert_eq!(name, expected_name);
            close(value, expected, 1e-6);
        }
        assert_eq!(values[3].protocol.parameters, "features=8 k=3");
        assert_eq!((values[0].protocol.extractor.as_str(), values[0].protocol.n_real), ("values", Some(500)));
    }

    #[test]
    fn a_side_that_is_known_changes_no_number_and_each_extractor_has_its_own() {
        let (x, y) = appendix();
        let images = |x| crate::eval::testing::picture(&x, 1, 8, 8);
        let world = World::new(info(vec![1, 8, 8], Truth::Unknown), images(x), images(y));
        let known = Known::default();
        for toml in ["{ extractor = 'pixels', rows = 40 }", "{ extractor = 'random-conv' }", "{ extractor = 'pixels' }"]
        {
            let spec: EvalSpec = toml::from_str(&format!("metrics = [{{ features = {toml} }}]")).expect("a spec");
            let fresh = world.measure(&spec.metrics[0]);
            assert!(fresh.iter().all(|v| v.value.is_finite()), "{fresh:?}");
            for _ in 0..2 {
                let again = world
                    .answers
                    .to(&spec.metrics[0])
                    .measure(&Context { known: Some(&known), ..world.context(&spec) });
                assert_eq!(again, fresh);
            }
        }
        assert_eq!(known.0.lock().expect("nobody else has it").len(), 3);
    }

    #[test]
    fn subsets_scatter_around_the_whole_and_follow_the_seed() {
        let (x, y) = appendix();
        let mut world = World::new(info(vec![8], Truth::Unknown), x, y);
        let toml = "{ extractor = 'values', metrics = [{ kid = { subsets = 50, size = 100 } }] }";
        let first = measure_all(&world, toml);
        // A subset of 100 of these has a deviation near 0.4, and 50 of them are not far from independent.
        close(first[0].value, golden("kid X Y"), 0.25);
        assert!((0.1..1.0).contains(&first[1].value), "{first:?}");
        assert_eq!(first[0].protocol.parameters, "features=8 unbiased kernel=(a.b/8+1)^3 subsets=50 of 100");
        world.seed = 1;
        assert_ne!(measure_all(&world, toml)[0].value, first[0].value);
    }

    #[test]
    fn what_is_undefined_says_why_and_leaves_the_rest() {
        let (x, y) = appendix();
        let world = World::new(info(vec![8], Truth::Unknown), x.clone(), y.head(4));
        let values = measure_all(
            &world,
            "{ extractor = 'values', metrics = ['frechet', { precision-recall = {} }, { density-coverage = {} }] }",
        );
        assert!(
            values[..3].iter().all(|v| v.value.is_finite()) && values[3..].iter().all(|v| v.value.is_nan()),
            "{values:?}"
        );
        assert_eq!(
            values[3].protocol.undefined.as_deref(),
            Some("neighbor 5 of an example needs 6 examples of each side")
        );
        let lone = World::new(info(vec![8], Truth::Unknown), x.clone(), y.head(1));
        let value = measure_all(&lone, "{ extractor = 'values', metrics = ['frechet'] }").remove(0);
        assert_eq!(value.protocol.undefined.as_deref(), Some("two examples of each side are needed"));
        let mut broken = World::new(info(vec![8], Truth::Unknown), x, y);
        broken.fake.x.data[3] = f32::INFINITY;
        let value = measure_all(&broken, "{ extractor = 'values', metrics = [{ kid = {} }] }").remove(0);
        assert_eq!(value.protocol.undefined.as_deref(), Some("1 of 500 samples are not finite"));
    }

    #[test]
    fn rows_are_cut_to_what_is_asked_for_and_counted() {
        let (x, y) = appendix();
        let world = World::new(info(vec![8], Truth::Unknown), x, y);
        let values = measure_all(&world, "{ extractor = 'values', metrics = ['frechet'], rows = 200 }");
        assert_eq!((values[0].protocol.n_real, values[0].protocol.n_fake), (Some(200), 200));
    }

    #[test]
    fn extractors_stand_side_by_side_but_no_name_twice() {
        let problems = |metrics: &str| {
            let spec: EvalSpec = toml::from_str(&format!("metrics = [{metrics}]")).expect("a spec");
            spec.problems(&info(vec![1, 28, 28], Truth::Unknown), &[Product::Samples])
        };
        let pixels = "{ features = { extractor = 'pixels', metrics = ['frechet'] } }";
        let random = "{ features = { extractor = 'random-conv', metrics = ['frechet'] } }";
        let more = "{ features = { extractor = 'pixels', metrics = ['two-sample'] } }";
        assert_eq!(problems(&[pixels, random, more].join(",")), []);
        let twice = "`frechet/pixels` stands twice; eval.csv could not tell the two apart".to_owned();
        assert_eq!(problems(&[pixels, more, pixels].join(",")), [(2, twice)]);
        let within = "{ features = { extractor = 'pixels', metrics = [{ kid = {} }, { kid = { size = 9 } }] } }";
        assert!(problems(within)[0].1.starts_with("`kid/pixels` stands twice"), "{:?}", problems(within));
    }

    #[test]
    fn an_extractor_says_what_data_it_is_for() {
        let said = |extractor: &str, shape: &[usize]| {
            let spec: MetricSpec = toml::from_str(&format!("[features]\nextractor = '{extractor}'")).expect("a spec");
            spec.needs(&info(shape.to_vec(), Truth::Unknown), &[Product::Samples]).err().unwrap_or_default()
        };
        assert_eq!(said("pixels", &[2]), "`pixels` needs images; this is [2]: take `values`");
        assert_eq!(said("values", &[1, 8, 8]), "`values` is for low-dimensional data; take `pixels`");
        assert_eq!(said("random-conv", &[3, 8, 7]), "`random-conv` needs images of at least 8×8; this is [3, 8, 7]");
        assert_eq!(said("random-conv", &[3, 8, 8]), "");
    }
}
