//! The numbers of `eval.csv`: samples drawn from a pack, held against real examples on the host.

use super::pack::Pack;
use crate::base::{Array, host};
use crate::data::{Examples, Source, Split, Truth, shapes};
use crate::eval::spec::LayersKind;
use crate::eval::{self, Answers, Denoised, EvalSpec, MetricSpec, Probed, ReferenceKind, WeightsKind};
use crate::objective::{Latents, Request, decoded, features, of_each};
use crate::rng::Purpose;
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
    let mut columns: Vec<(String, &[f32])> = Vec::new();
    for nats in answers.likelihoods.iter().flatten() {
        let name = if nats.draws == 0 { "likelihood".to_owned() } else { format!("likelihood/{}", nats.draws) };
        columns.push((name, &nats.of));
    }
    if let Some(evidence) = &answers.evidence {
        columns.push(("elbo/reconstruction".to_owned(), &evidence.reconstruction));
        columns.push(("elbo/kl".to_owned(), &evidence.divergence));
    }
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
    let mut all: Vec<Answers> =
        real.iter().map(|_| Answers { weights: weights.clone(), ..Answers::default() }).collect();
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
    for metric in &spec.metrics {
        of_codes(pack, real, metric, spec, has_average, &mut all);
        of_latents(pack, metric, averaged, &mut all);
        of_layers(pack, (real, training), metric, &mut all);
    }
    all
}

/// The use of evaluation's random numbers for the ends of paths.
const PATHS: u32 = 3;

/// What is made of places on paths between latents.
fn of_latents(pack: &Pack, metric: &MetricSpec, averaged: bool, all: &mut [Answers]) {
    let (MetricSpec::Interpolation(spec), Some(model)) = (metric, pack.objective.decodes()) else { return };
    let (rows, places, law) = (spec.paths.get() as usize, spec.places(), model.law());
    let seeds = &pack.seeds;
    let request = Request { seeds, purpose: Purpose::Eval, index: PATHS, n: 2 * rows, label: None, averaged };
    let ends = model.latents(&request);
    let (width, numbers) = (ends.z.size()[2] as usize, host::numbers(&ends.z));
    let mut along = Vec::with_capacity(seeds.len() * rows * places * width);
    for run in numbers.chunks_exact((2 * rows * width).max(1)) {
        let (first, second) = run.split_at(rows * width);
        for (a, b) in first.chunks_exact(width).zip(second.chunks_exact(width)) {
            along.extend((0..places).flat_map(|place| law.between(a, b, place as f64 / (places - 1) as f64)));
        }
    }
    let shape = [seeds.len() as i64, (rows * places) as i64, width as i64];
    let labels = ends.labels.iter().take(rows).flat_map(|&label| vec![label; places]).collect();
    let latents = Latents { z: host::tensor(&along, &shape, pack.device), labels };
    let made = decoded(model, &pack.players, &latents, averaged);
    all.iter_mut().zip(made).for_each(|(answers, made)| {
        (answers.paths, answers.way) = (Some(made), law.way().to_owned());
    });
}

/// What layers say of the examples that get labels, and of those of the reference.
fn of_layers(pack: &Pack, (real, training): (&[&Examples], &[&Examples]), metric: &MetricSpec, all: &mut [Answers]) {
    let (MetricSpec::LinearProbe(spec), Some(place)) = (metric, pack.objective.examines()) else { return };
    let every = spec.layers == LayersKind::All;
    let asked = |x: &Array| {
        let said = features(&pack.players[place], x, every, pack.device);
        said.map_or_else(|| vec![None; all.len()], |said| said.into_iter().map(Some).collect())
    };
    let of_real = of_each(real, |real| asked(&spec.asked(&real.x)));
    let of_train = of_each(training, |train| {
        let classes = pack.sources[0].info().classes;
        let Ok(draws) = spec.labeled(&train.labels, classes) else { return vec![None; all.len()] };
        let rows: Vec<usize> = draws.concat();
        let shape = std::iter::once(rows.len()).chain(train.x.shape[1..].iter().copied()).collect();
        asked(&Array::new(shape, rows.iter().flat_map(|&i| train.x.row(i)).copied().collect()))
    });
    for (answers, (real, train)) in all.iter_mut().zip(of_real.into_iter().zip(of_train)) {
        answers.features = real.zip(train).map(|(real, train)| Probed { train, real });
    }
}

/// What a metric over pairs, reconstructions and likelihoods looks at, which is costly and not asked for without need.
fn of_codes(
    pack: &Pack,
    real: &[&Examples],
    metric: &MetricSpec,
    spec: &EvalSpec,
    has_average: bool,
    all: &mut [Answers],
) {
    let (players, seeds) = (&pack.players, &pack.seeds);
    let (reconstructs, likelihoods) = (pack.objective.reconstructs(), pack.objective.likelihoods());
    match (metric, reconstructs, likelihoods) {
        (MetricSpec::Reconstruction, Some(model), _) => {
            let made = of_each(real, |real| model.reconstruct(players, real));
            all.iter_mut().zip(made).for_each(|(answers, made)| answers.reconstructions = Some(made));
        }
        (MetricSpec::Denoising(noise), Some(model), _) => {
            let info = pack.sources[0].info();
            let denoised = of_each(real, |real| {
                let noisy = Examples { x: noise.spoiled(&real.x, info), labels: real.labels.clone() };
                let restored = model.reconstruct(players, &noisy);
                restored.into_iter().map(|restored| Some(Denoised { noisy: noisy.x.clone(), restored })).collect()
            });
            all.iter_mut().zip(denoised).for_each(|(answers, denoised)| answers.denoised = denoised);
        }
        (MetricSpec::Elbo(elbo), _, Some(model)) => {
            let evidence = of_each(real, |real| {
                let found = model.evidence(players, real, elbo.samples.get(), seeds);
                found.map_or_else(|| vec![None; seeds.len()], |found| found.into_iter().map(Some).collect())
            });
            all.iter_mut().zip(evidence).for_each(|(answers, evidence)| {
                (answers.evidence, answers.kind, answers.law) = (evidence, model.kind(), model.law());
            });
        }
        (MetricSpec::Likelihood(wanted), _, Some(model)) => {
            let draws: Vec<u32> = wanted.samples.iter().map(|n| n.get()).collect();
            let found = of_each(real, |real| {
                let rows = wanted.rows.get() as usize;
                let labels = real.labels.iter().take(rows).copied().collect();
                model.likelihoods(
                    players,
                    &Examples { x: real.x.head(rows), labels },
                    &draws,
                    seeds,
                    averaged(spec, has_average),
                )
            });
            all.iter_mut().zip(found).for_each(|(answers, found)| {
                (answers.likelihoods, answers.kind, answers.law) = (Some(found), model.kind(), model.law());
            });
        }
        (MetricSpec::SampleLikelihood(wanted), _, Some(model)) => {
            let rows = wanted.rows.get() as usize;
            let nats = |x: &Examples| -> Vec<Vec<f32>> {
                let labels = x.labels.iter().take(rows).copied().collect();
                let some = Examples { x: x.x.head(rows), labels };
                let found = model.likelihoods(players, &some, &[], seeds, averaged(spec, has_average));
                found.into_iter().map(|nats| nats.into_iter().next().map(|nats| nats.of).unwrap_or_default()).collect()
            };
            let of_real = of_each(real, nats);
            for (run, (answers, of_real)) in all.iter_mut().zip(of_real).enumerate() {
                let own = answers.samples.as_ref().map(|samples| nats(samples).swap_remove(run));
                answers.own = own.map(|own| [own, of_real]);
                (answers.kind, answers.law) = (model.kind(), model.law());
            }
        }
        (MetricSpec::Transfer, ..) => {
            let Some(model) = pack.objective.couples() else { return };
            let named = of_each(real, |real| {
                let named = model.classify_second(players, &real.x);
                named.map_or_else(|| vec![None; seeds.len()], |named| named.into_iter().map(Some).collect())
            });
            all.iter_mut().zip(named).for_each(|(answers, named)| answers.second_classes = named);
        }
        (MetricSpec::Agreement, ..) => {
            let Some(model) = pack.objective.couples() else { return };
            let n = spec.samples as usize;
            let averaged = averaged(spec, has_average);
            let request = Request { seeds, purpose: Purpose::Eval, index: 0, n, label: None, averaged };
            let first: Vec<&Array> = all.iter().filter_map(|answers| Some(&answers.samples.as_ref()?.x)).collect();
            let pairs = model.pairs(players, &request, &first);
            all.iter_mut().zip(pairs).for_each(|(answers, pairs)| answers.pairs = Some(pairs));
        }
        _ => {}
    }
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
            answers,
            seed: REFERENCE_SEED,
            known: Some(&self.known),
            score_shape: shapes.as_ref().map(|score| score as eval::ScoreShape<'_>),
        };
        let values = eval::measure_all(&context).into_iter().map(|mut value| {
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
