//! The numbers of `eval.csv`: samples drawn from a pack, held against real examples on the host.

use super::pack::Pack;
use crate::base::Array;
use crate::data::{Examples, Source, Split, Truth, shapes};
use crate::eval::{self, Answers, EvalSpec, ReferenceKind, WeightsKind};
use crate::objective::{Request, of_each};
use crate::rng::Purpose;
use std::sync::Arc;

/// The seed of what samples are held against: the same for every run, so that runs are comparable.
const REFERENCE_SEED: u64 = 0;

/// A row of `eval.csv` without its step: metric, number where it is finite, protocol.
pub type Row = (String, Option<f64>, Vec<String>);

/// The numbers of every run of a pack as it stands.
pub fn measure(pack: &Pack, spec: &EvalSpec, has_average: bool) -> Vec<Vec<Row>> {
    let judges: Vec<Judge> = pack.sources.iter().map(|source| Judge::new(source, spec, has_average)).collect();
    let references: Vec<&Examples> = judges.iter().map(|judge| &*judge.reference).collect();
    let answers = answers(pack, &references, spec, has_average);
    judges.iter().zip(&answers).map(|(judge, answers)| judge.rows(answers)).collect()
}

/// What the numbers of every run are taken from, given the examples that each is held against.
pub fn answers(pack: &Pack, real: &[&Examples], spec: &EvalSpec, has_average: bool) -> Vec<Answers> {
    let averaged = averaged(spec, has_average);
    let mut all: Vec<Answers> = real.iter().map(|_| Answers::default()).collect();
    if let Some(model) = pack.objective.generates() {
        let n = spec.samples as usize;
        let request = Request { seeds: &pack.seeds, purpose: Purpose::Eval, index: 0, n, label: None, averaged };
        let samples = model.generate(&pack.players, &request);
        all.iter_mut().zip(samples).for_each(|(answers, samples)| answers.samples = Some(samples));
    }
    if let Some(model) = pack.objective.classifies() {
        let classes = of_each(real, |real| model.classify(&pack.players, &real.x, averaged));
        all.iter_mut().zip(classes).for_each(|(answers, classes)| answers.classes = Some(classes));
    }
    if let Some(model) = pack.objective.encodes() {
        let n = spec.samples as usize;
        let request = Request { seeds: &pack.seeds, purpose: Purpose::Eval, index: 0, n, label: None, averaged };
        let codes = model.codes(&request);
        let read = of_each(real, |real| model.read(&pack.players, &real.x));
        for (answers, (codes, read)) in all.iter_mut().zip(codes.into_iter().zip(read)) {
            (answers.codes, answers.read) = (Some(codes), Some(read));
        }
    }
    all
}

fn averaged(spec: &EvalSpec, has_average: bool) -> bool {
    has_average && spec.weights == WeightsKind::Auto
}

/// What samples of one source are held against. Cheap to clone.
#[derive(Clone)]
pub struct Judge {
    source: Arc<dyn Source>,
    spec: EvalSpec,
    averaged: bool,
    /// What is held against samples, or asked about.
    pub reference: Arc<Examples>,
    known: eval::Known,
    /// Training examples, as many.
    pub train: Arc<Examples>,
}

impl Judge {
    /// Draws what `spec` asks for.
    pub fn new(source: &Arc<dyn Source>, spec: &EvalSpec, has_average: bool) -> Self {
        let split = match spec.reference {
            ReferenceKind::Test => Split::Test,
            ReferenceKind::Train => Split::Train,
        };
        let draw = |split| Arc::new(source.reference(split, REFERENCE_SEED, spec.samples as usize));
        let (reference, train) = (draw(split), draw(Split::Train));
        Self {
            source: source.clone(),
            spec: spec.clone(),
            averaged: averaged(spec, has_average),
            reference,
            train,
            known: eval::Known::default(),
        }
    }

    /// All numbers of one run.
    pub fn rows(&self, answers: &Answers) -> Vec<Row> {
        let info = self.source.info();
        let shapes = match &info.truth {
            Truth::Shapes(spec) => Some(|image: &[f32]| {
                let verdict = shapes::classify(image, spec);
                (verdict.attributes.class, f64::from(verdict.error))
            }),
            _ => None,
        };
        let none = Examples { x: Array::default(), labels: vec![] };
        let context = eval::Context {
            spec: &self.spec,
            info,
            real: &self.reference,
            train: Some(&self.train),
            fake: answers.samples.as_ref().unwrap_or(&none),
            classes: answers.classes.as_ref(),
            codes: answers.codes.as_ref(),
            read: answers.read.as_ref(),
            seed: REFERENCE_SEED,
            known: Some(&self.known),
            score_shape: shapes.as_ref().map(|score| score as eval::ScoreShape<'_>),
        };
        let values = eval::measure_all(&context).into_iter().map(|mut value| {
            value.protocol.weights = if self.averaged { "ema" } else { "raw" }.to_owned();
            if value.protocol.split == "test" && !self.source.has_test() {
                value.protocol.split = "train".to_owned();
            }
            (value.metric, value.value.is_finite().then_some(value.value), value.protocol.fields().to_vec())
        });
        values.collect()
    }
}
