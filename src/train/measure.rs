//! The numbers of `eval.csv`: samples drawn from a pack, held against real examples on the host.

use super::pack::Pack;
use crate::base::Array;
use crate::data::{DataInfo, Examples, Source, Split, Truth, shapes};
use crate::eval::{self, Answers, EvalSpec, ReferenceKind, WeightsKind};
use crate::objective::Model;
use std::sync::Arc;

/// The seed of what samples are held against: the same for every run, so that runs are comparable.
const REFERENCE_SEED: u64 = 0;

/// A row of `eval.csv` without its step: metric, number where it is finite, protocol.
pub type Row = (String, Option<f64>, Vec<String>);

/// The numbers of a run.
pub struct Measured {
    /// Rows of `eval.csv`.
    pub rows: Vec<Row>,
    /// A table of what is known of each reference example alone, where a metric asked for something of the kind.
    pub examples: Option<String>,
}

/// The numbers of every run of a pack as it stands.
pub fn measure(pack: &Pack, spec: &EvalSpec, has_average: bool) -> Vec<Measured> {
    let judges: Vec<Judge> = pack.sources.iter().map(|source| Judge::new(source, spec)).collect();
    let references: Vec<&Examples> = judges.iter().map(|judge| &*judge.reference).collect();
    let training: Vec<&Examples> = judges.iter().map(|judge| &*judge.train).collect();
    let answers = answers(pack, &references, &training, spec, has_average);
    let of_run = |(judge, answers): (&Judge, &Answers)| Measured {
        rows: judge.rows(answers),
        examples: each_example(&judge.reference, answers),
    };
    judges.iter().zip(&answers).map(of_run).collect()
}

/// A line a reference example, in their order: its label, what is known of log p, and the bound in its parts.
fn each_example(real: &Examples, answers: &Answers) -> Option<String> {
    let columns: Vec<(String, &[f32])> = answers.asked.iter().flat_map(|asked| asked.of_examples()).collect();
    let rows = columns.iter().map(|(_, of)| of.len()).max()?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!("example,label,{}\n", names.join(","));
    for i in 0..rows {
        let label = real.labels.get(i).map(i64::to_string).unwrap_or_default();
        let numbers: Vec<String> =
            columns.iter().map(|(_, of)| of.get(i).map(f32::to_string).unwrap_or_default()).collect();
        text.push_str(&format!("{i},{label},{}\n", numbers.join(",")));
    }
    Some(text)
}

/// What the numbers of every run are taken from, given the examples that each is held against, and some of training.
pub fn answers(
    pack: &Pack,
    real: &[&Examples],
    training: &[&Examples],
    spec: &EvalSpec,
    has_average: bool,
) -> Vec<Answers> {
    let averaged = averaged(spec, has_average);
    let norms = pack.players.iter().any(|player| player.plan().has_running_statistics());
    let weights = [if averaged { "ema" } else { "raw" }, if norms { " norm=running" } else { "" }].concat();
    let (players, seeds) = (&pack.players[..], &pack.seeds[..]);
    let infos: Vec<&DataInfo> = pack.sources.iter().map(|source| source.info()).collect();
    let mut model = Model {
        objective: &*pack.objective,
        players,
        seeds,
        info: &infos,
        real,
        training,
        samples: &[],
        n: spec.samples as usize,
        averaged,
        device: pack.device,
    };
    let samples = pack.objective.provides().samples.map(|of| of.generate(players, &model.request()));
    model.samples = samples.as_deref().unwrap_or_default();
    let mut all: Vec<Answers> =
        seeds.iter().map(|_| Answers { weights: weights.clone(), ..Answers::default() }).collect();
    for metric in &spec.metrics {
        all.iter_mut().zip(metric.ask(&model)).for_each(|(answers, asked)| answers.asked.push(asked));
    }
    let samples = samples.into_iter().flatten();
    all.iter_mut().zip(samples).for_each(|(answers, samples)| answers.samples = Some(samples));
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
    /// What is held against samples, or asked about.
    pub reference: Arc<Examples>,
    known: eval::Known,
    /// Training examples, as many.
    pub train: Arc<Examples>,
}

impl Judge {
    /// Draws what `spec` asks for.
    pub fn new(source: &Arc<dyn Source>, spec: &EvalSpec) -> Self {
        let split = match spec.reference {
            ReferenceKind::Test => Split::Test,
            ReferenceKind::Train => Split::Train,
        };
        let draw = |split| Arc::new(source.reference(split, REFERENCE_SEED, spec.samples as usize));
        let (reference, train) = (draw(split), draw(Split::Train));
        Self { source: source.clone(), spec: spec.clone(), reference, train, known: eval::Known::default() }
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
            seed: REFERENCE_SEED,
            known: Some(&self.known),
            score_shape: shapes.as_ref().map(|score| score as eval::ScoreShape<'_>),
        };
        let values = eval::measure_all(&context, &answers.asked).into_iter().map(|mut value| {
            let law = std::mem::take(&mut value.protocol.weights);
            value.protocol.weights = [&*answers.weights, &*law].join(" ").trim_end().to_owned();
            if value.protocol.split == "test" && !self.source.has_test() {
                value.protocol.split = "train".to_owned();
            }
            (value.metric, value.value.is_finite().then_some(value.value), value.protocol.fields().to_vec())
        });
        values.collect()
    }
}
