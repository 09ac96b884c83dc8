//! From cells of one pack to players and an objective, at their first step or at a checkpoint. (torch)

use crate::base::host;
use crate::data::{Source, Split};
use crate::experiment::{Experiment, PlayerNetwork};
use crate::loss::LossSpec;
use crate::nn::plan::{REFERENCE, REFERENCE_LABELS};
use crate::objective::family::{Part, ReferenceKind};
use crate::objective::{
    AlgorithmSpec, Autoencoder, Began, Classical, Classifier, Cogan, Gan, InfoGan, Lapgan, Ngram, Objective, Pixelcnn,
    SemiSupervised, Sequence, Vae,
};
use crate::player::{OptimizerSpec, Player, PlayerSpec};
use crate::record::{Checkpoint, Values};
use crate::rng::{Purpose, Stream};
use crate::train::{MakeObjective, Pack};
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::Device;

/// The pack of these cells, at its first step. Cells must agree in everything but numbers
/// (`experiment::pack_key`); networks are those of [`crate::experiment::networks()`] for the first.
///
/// # Errors
/// A sentence that says what of the data an objective cannot do with.
pub fn pack(
    cells: &[Experiment],
    networks: Vec<PlayerNetwork>,
    sources: Vec<Arc<dyn Source>>,
    device: Device,
) -> Result<Pack, String> {
    let seeds: Vec<u64> = cells.iter().map(|c| c.seed).collect();
    let members: Vec<usize> = (0..cells.len()).collect();
    let make = maker(cells, &sources, device);
    let players = networks.into_iter().zip(0u32..).map(|(network, index)| {
        let Part { player, of } = network.part;
        let optimizer = |c: &Experiment| {
            if c.algorithm.family().is_fit() {
                return OptimizerSpec::still();
            }
            let own = c.optimizer.optimizers().find(|(name, _)| *name == of);
            own.expect("`networks` has checked that every player has an optimizer").1.own().clone()
        };
        let average =
            |c: &Experiment| Some(c.algorithm.family().average().filter(|(names, _)| names.contains(&of))?.1.clone());
        let clip = |c: &Experiment| {
            let judges = c.algorithm.family().critics().contains(&of);
            c.loss.as_ref().filter(|_| judges)?.weight_clip.map(|bound| bound.own().get())
        };
        let history = |c: &Experiment| c.loss.as_ref()?.historical_averaging.as_ref().map(|h| h.own().weight.get());
        let spec = PlayerSpec {
            name: player,
            index,
            plan: network.plan,
            optimizers: cells.iter().map(optimizer).collect(),
            ema: cells.iter().map(average).collect(),
            clip: cells.iter().map(clip).collect(),
            history: cells.iter().map(history).collect(),
        };
        let mut player = Player::new(spec, &seeds, device);
        if let Some(kind) =
            cells[0].algorithm.family().reference(player.name()).filter(|_| player.plan().reference() > 0)
        {
            for run in 0..seeds.len() {
                refer(&mut player, run, kind, &*sources[run], (seeds[run], index));
            }
        }
        player
    });
    Ok(Pack {
        players: players.collect(),
        objective: make(&members)?,
        make,
        members,
        sources,
        seeds,
        schedule: cells[0].schedule.clone(),
        run: cells[0].run.unwrap_or_default(),
        device,
        step: 0,
        draws: 0,
    })
}

/// Makes objectives of some of these cells.
fn maker(cells: &[Experiment], sources: &[Arc<dyn Source>], device: Device) -> MakeObjective {
    let all: Vec<(Experiment, Arc<dyn Source>)> = cells.iter().cloned().zip(sources.iter().cloned()).collect();
    Box::new(move |runs| {
        let (cells, sources): (Vec<_>, Vec<_>) = runs.iter().map(|&run| all[run].clone()).unzip();
        let seeds: Vec<u64> = cells.iter().map(|cell| cell.seed).collect();
        objective(&cells, &sources, &seeds, device)
    })
}

/// Fills the reference batch of a player in one run, as a function of the run's seed.
fn refer(player: &mut Player, run: usize, kind: ReferenceKind<'_>, source: &dyn Source, (seed, index): (u64, u32)) {
    let (n, classes) = (player.plan().reference(), source.info().classes.max(1));
    let (x, labels) = match kind {
        ReferenceKind::Latent(latent) => {
            let z = latent.draw(&mut [Stream::new(seed, Purpose::Reference, index, 0)], n, Device::Cpu);
            (host::numbers(&z), (0..n).map(|i| (i % classes) as f32).collect::<Vec<_>>())
        }
        ReferenceKind::Data => {
            let there = source.reference(Split::Train, seed, n);
            let places = (0..n).map(|i| i % there.x.rows().max(1));
            let label = |place: usize| there.labels.get(place).map_or(0.0, |&label| label as f32);
            (places.clone().flat_map(|place| there.x.row(place).to_vec()).collect(), places.map(label).collect())
        }
    };
    player.remember(run, REFERENCE, &x);
    if player.plan().takes_labels() {
        player.remember(run, REFERENCE_LABELS, &labels);
    }
}

/// The family's spec of each cell; all are of one family.
macro_rules! specs {
    ($cells:ident, $family:ident) => {{
        let one =
            |cell: &'a Experiment| if let AlgorithmSpec::$family(spec) = &cell.algorithm { Some(spec) } else { None };
        $cells.iter().filter_map(one).collect::<Vec<_>>()
    }};
}

/// The mathematics of these cells: the one match over families that needs tensors.
fn objective<'a>(
    cells: &'a [Experiment],
    sources: &[Arc<dyn Source>],
    seeds: &[u64],
    device: Device,
) -> Result<Box<dyn Objective>, String> {
    let source = &sources[0];
    let losses = || -> Vec<&LossSpec> { cells.iter().filter_map(|c| c.loss.as_ref()).collect() };
    Ok(match &cells[0].algorithm {
        AlgorithmSpec::Gan(spec) => Box::new(Gan::new(spec, &losses(), source.info(), device)),
        AlgorithmSpec::Infogan(_) => Box::new(InfoGan::new(&specs!(cells, Infogan), &losses(), source.info(), device)),
        AlgorithmSpec::Cogan(_) => Box::new(Cogan::new(&specs!(cells, Cogan), &losses(), sources, device)),
        AlgorithmSpec::Lapgan(spec) => Box::new(Lapgan::new(spec, &losses(), source.info(), device)),
        AlgorithmSpec::SemiSupervised(_) => {
            Box::new(SemiSupervised::new(&specs!(cells, SemiSupervised), &losses(), sources, seeds, device)?)
        }
        AlgorithmSpec::Began(_) => Box::new(Began::new(&specs!(cells, Began), device)),
        AlgorithmSpec::Classifier(_) => Box::new(Classifier::new(&specs!(cells, Classifier), device)),
        AlgorithmSpec::Autoencoder(_) => Box::new(Autoencoder::new(&specs!(cells, Autoencoder), sources, device)),
        AlgorithmSpec::Vae(_) => Box::new(Vae::new(&specs!(cells, Vae), source.info(), device)),
        AlgorithmSpec::Mixture(_) => Box::new(Classical::mixtures(&specs!(cells, Mixture), sources, seeds, device)),
        AlgorithmSpec::NaiveBayes(_) => {
            Box::new(Classical::naive_bayes(&specs!(cells, NaiveBayes), sources, seeds, device))
        }
        AlgorithmSpec::KernelDensity(_) => {
            Box::new(Classical::kernels(&specs!(cells, KernelDensity), sources, seeds, device))
        }
        AlgorithmSpec::Ngram(_) => Box::new(Ngram::new(&specs!(cells, Ngram), sources, seeds, device)),
        AlgorithmSpec::Sequence(_) => Box::new(Sequence::new(&specs!(cells, Sequence), source.info(), device)),
        AlgorithmSpec::Pixelcnn(spec) => Box::new(Pixelcnn::new(spec, source.info(), device)),
    })
}

/// Takes over the state of one run from a checkpoint.
///
/// # Errors
/// A sentence that says what of the checkpoint does not fit the configuration.
pub fn load(pack: &mut Pack, run: usize, checkpoint: &Checkpoint) -> Result<(), String> {
    let state: BTreeMap<String, (Vec<usize>, Vec<f32>)> = checkpoint
        .tensors
        .iter()
        .filter_map(|(name, t)| match &t.values {
            Values::F32(values) => Some((name.clone(), (t.shape.clone(), values.clone()))),
            _ => None,
        })
        .collect();
    for player in &mut pack.players {
        player.load(run, &state)?;
    }
    let counters =
        checkpoint.meta.iter().filter_map(|(name, value)| Some((name.clone(), value.parse().ok()?))).collect();
    pack.set_counters(&counters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataRoots;
    use crate::experiment::Plan;
    use crate::train::measure;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// An algorithm of every family, and of each setting that decides what a family provides.
    const ALGORITHMS: &[&str] = &[
        "gan = { latent = { normal = { dim = 2 } } }",
        "gan = { latent = { normal = { dim = 2 } }, condition = 'projection' }",
        "gan = { latent = { normal = { dim = 2 } }, condition = 'concatenate' }",
        "gan = { latent = { normal = { dim = 2 } }, condition = 'auxiliary-classifier' }",
        "infogan = { latent = { normal = { dim = 2 } }, codes = [{ categorical = 3 }] }",
        "infogan = { latent = { normal = { dim = 2 } }, codes = [{ continuous = 2 }] }",
        "infogan = { latent = { normal = { dim = 2 } }, codes = [{ categorical = 3 }, { continuous = 2 }] }",
        "semi-supervised = { latent = { normal = { dim = 2 } }, labels-per-class = 1 }",
        "cogan = { latent = { normal = { dim = 2 } }, second = 'edges', share = { generator = 1, discriminator = 1 } }",
        "cogan = { latent = { normal = { dim = 2 } }, second = 'edges', share = { generator = 1, discriminator = 1 }, adaptation = {} }",
        "lapgan = { latent = { normal = { dim = 2 } }, levels = 2 }",
        "began = { latent = { normal = { dim = 2 } } }",
        "classifier = {}",
        "autoencoder = { latent = 2 }",
        "vae = { latent = 2, likelihood = 'bernoulli' }",
        "vae = { latent = 2, likelihood = 'bernoulli', condition = 'concatenate' }",
        "pixelcnn = {}",
        "sequence = {}",
        "sequence = { condition = 'embedding' }",
        "ngram = { order = 2, examples = 20 }",
        "ngram = { order = 2, examples = 20, by-class = true }",
        "mixture = { components = 2, examples = 20 }",
        "mixture = { components = 2, examples = 20, by-class = true }",
        "naive-bayes = { examples = 20 }",
        "kernel-density = { examples = 20 }",
        "kernel-density = { examples = 20, by-class = true }",
    ];

    #[test]
    fn every_family_provides_what_it_lists_and_nothing_else() {
        let mut tags = BTreeSet::new();
        for algorithm in ALGORITHMS {
            let data = match algorithm.starts_with("sequence") || algorithm.starts_with("ngram") {
                true => "markov = { symbols = 3, context = 4, classes = 2 }",
                false => "shapes = { size = 8, count = 60 }",
            };
            let text = format!(
                "name = 'x'\ndata = {{ {data} }}\nalgorithm = {{ {algorithm} }}\nloss = {{ adversarial = 'hinge' }}\n\
                 schedule = {{ steps = 1, batch = 4 }}"
            );
            let cell: Experiment = toml::from_str(&text).unwrap_or_else(|e| panic!("{algorithm}: {e}"));
            let source: Arc<dyn Source> = cell.data.open(&DataRoots::default()).expect("embedded data").into();
            let family = cell.algorithm.family();
            tags.insert(family.tag());
            let built = objective(std::slice::from_ref(&cell), &[source], &[0], Device::Cpu).expect("an objective");
            let [listed, provided] = [family.products().to_vec(), built.provides().products()]
                .map(|products| products.into_iter().map(crate::objective::Product::name).collect::<BTreeSet<_>>());
            assert_eq!(listed, provided, "{algorithm}");
        }
        let schema = serde_json::to_value(schemars::schema_for!(AlgorithmSpec)).expect("a schema");
        let families = schema["oneOf"].as_array().expect("an arm per family").len();
        assert_eq!(tags.len(), families, "an algorithm of every family stands above");
    }

    const STEPS: u64 = 3;

    /// A game of two small networks over points.
    const GAME: &str = "
        architecture.generator = { mlp = { hidden = [4] } }
        architecture.discriminator = { mlp = { hidden = [4] } }
        optimizer.generator = { adam = {} }
        optimizer.discriminator = { adam = {} }
    ";
    const CODER: &str = "
        architecture = { encoder = { mlp = { hidden = [4] } }, decoder = { mlp = { hidden = [4] } } }
        optimizer = { encoder = { adam = {} }, decoder = { adam = {} } }
    ";
    const COGAN: &str = "
        algorithm.cogan.latent = { normal = { dim = 2 } }
        algorithm.cogan.second = { turned = { degrees = 40.0, shift = [0.9, -0.4] } }
        algorithm.cogan.share = { generator = 1, discriminator = 1 }
        loss.adversarial = \"non-saturating\"
        eval.metrics = [\"agreement\"]
    ";

    /// Cells of one pack that differ only in the numbers of `axes`, three runs.
    fn cells(text: &str, axes: &str) -> Vec<Experiment> {
        let text = format!(
            "name = \"pack\"\nschedule = {{ steps = {STEPS}, batch = 8 }}\neval.samples = 64\n{text}\n[grid]\nzip = [{{ {axes} }}]\n"
        );
        let plan = Plan::of_text(Path::new("pack.toml"), &text, None).unwrap_or_else(|e| panic!("{text}\n{e}"));
        assert_eq!(plan.cells.len(), 3, "{text}");
        assert!(plan.cells.iter().all(|cell| cell.pack_key() == plan.cells[0].pack_key()), "one pack: {text}");
        plan.cells.into_iter().map(|cell| cell.experiment).collect()
    }

    fn packed(cells: &[Experiment]) -> Pack {
        let sources: Vec<Arc<dyn Source>> = cells
            .iter()
            .map(|cell| cell.data.open(&DataRoots::default()).expect("data without files").into())
            .collect();
        let networks = crate::experiment::networks(&cells[0], sources[0].info()).expect("networks that fit");
        pack(cells, networks, sources, Device::Cpu).expect("a pack")
    }

    /// What a run leaves: its scalars step by step, its tensors at the end, and its measured numbers.
    type Left = (Vec<Vec<(&'static str, f32)>>, Vec<crate::player::Named>, Vec<(String, Option<f64>, Vec<String>)>);

    /// Trains a pack of which these runs stay from step `leaving` on, and gives what each of them leaves.
    fn trained(cells: &[Experiment], leaving: u64, stay: &[usize]) -> Vec<Left> {
        let mut pack = packed(cells);
        let mut scalars = vec![Vec::new(); stay.len()];
        for step in 0..STEPS {
            if step == leaving && stay.len() < cells.len() {
                pack.keep(stay);
            }
            let outcome = pack.step(true);
            for (at, (run, of_run)) in stay.iter().zip(&mut scalars).enumerate() {
                let column = if step < leaving { *run } else { at };
                of_run.push(outcome.scalars.iter().map(|(name, of)| (*name, of[column])).collect());
            }
        }
        let has_average = cells[0].algorithm.family().average().is_some();
        let measured = measure(&pack, &cells[0].eval, has_average);
        let left = scalars.into_iter().zip(measured).enumerate();
        left.map(|(run, (scalars, measured))| (scalars, pack.tensors(run), measured.rows)).collect()
    }

    /// A run is the same run alone, in a pack, and in a pack that others have left.
    fn equal_alone_and_together(text: &str, axes: &str) {
        let cells = cells(text, axes);
        let together = trained(&cells, STEPS, &[0, 1, 2]);
        let left = trained(&cells, 1, &[1, 2]);
        for (run, cell) in cells.iter().enumerate() {
            let alone = trained(std::slice::from_ref(cell), STEPS, &[0]).swap_remove(0);
            assert!(!alone.0[0].is_empty() && !alone.1.is_empty());
            assert_eq!(together[run], alone, "run {run} of {axes}\n{text}");
            if run > 0 {
                assert_eq!(left[run - 1], alone, "run {run} of {axes}, without the first\n{text}");
            }
        }
        // The numbers do something: otherwise nothing is compared.
        assert!(together[0] != together[1] && together[1] != together[2], "{axes}\n{text}");
    }

    #[test]
    fn agreement_is_measured_by_the_centers_of_each_run() {
        let mixture = "data.mixture = { centers = [[-1.0, -0.5], [0.0, 1.0], [1.0, 0.2]], std = 0.3 }";
        let centers = "'data.mixture.centers' = [[[-1.0, -0.5], [0.0, 1.0], [1.0, 0.2]], \
            [[-0.1, -0.05], [0.0, 0.1], [0.1, 0.02]], [[3.0, 3.0], [-3.0, 3.0], [0.0, -3.0]]]";
        equal_alone_and_together(&format!("{mixture}\n{COGAN}\n{GAME}"), centers);
        let ring = "data.ring = { modes = 5, std = 0.3 }";
        let radius = "'data.ring.radius' = [0.1, 1.0, 4.0], 'data.ring.scale' = [1.0, 0.7, 2.0]";
        equal_alone_and_together(&format!("{ring}\n{COGAN}\n{GAME}"), radius);
    }

    #[test]
    fn masking_takes_the_lower_end_of_each_runs_range() {
        let text = format!(
            "data.uniform = {{ dim = 4, high = 2.0 }}
            algorithm.autoencoder = {{ latent = 2, noise = {{ masking = 0.5 }} }}
            eval.metrics = [\"reconstruction\", {{ denoising = {{ masking = 0.4 }} }}]\n{CODER}"
        );
        equal_alone_and_together(&text, "'data.uniform.low' = [-1.0, 0.5, 1.5]");
    }

    #[test]
    fn runs_with_different_numbers_in_their_losses_are_the_same_alone_and_together() {
        let game = |more: &str| {
            format!("data.ring = {{}}\nalgorithm.gan.latent = {{ normal = {{ dim = 2 }} }}\n{more}\n{GAME}")
        };
        let sampled = "eval.metrics = [\"modes\"]";
        for (more, axes) in [
            ("loss.adversarial = 'vanilla'", "'loss.label-smoothing' = [0.9, 1.0, 0.7], 'optimizer.generator.adam.lr' = [1e-3, 2e-3, 1e-2]"),
            (
                "loss = { adversarial = 'wasserstein', penalties = [{ gradient-penalty = {} }, { r1 = 1 }, { r2 = 1 }, { dragan = {} }] }",
                "'loss.penalties' = [
                    [{ gradient-penalty = { weight = 1 } }, { r1 = 2 }, { r2 = 3 }, { dragan = { weight = 4 } }],
                    [{ gradient-penalty = { weight = 0.1 } }, { r1 = 0.2 }, { r2 = 0.3 }, { dragan = { weight = 0.4 } }],
                    [{ gradient-penalty = { weight = 10 } }, { r1 = 0 }, { r2 = 0.1 }, { dragan = { weight = 1 } }],
                ]",
            ),
            (
                "loss = { adversarial = 'hinge', feature-matching = 1.0, historical-averaging = 0.1, weight-clip = 0.1 }",
                "'loss.feature-matching.weight' = [0.1, 1.0, 10.0], 'loss.historical-averaging.weight' = [0.1, 1.0, 5.0], \
                 'loss.weight-clip' = [0.1, 0.01, 0.3]",
            ),
            (
                "loss.adversarial = 'hinge'\nalgorithm.gan.ema = { decay = 0.9 }",
                "'algorithm.gan.ema.decay' = [0.5, 0.9, 0.99], 'data.ring.std' = [0.1, 0.2, 0.3]",
            ),
        ] {
            equal_alone_and_together(&format!("{}\n{sampled}", game(more)), axes);
        }
    }

    #[test]
    fn runs_with_different_numbers_in_their_families_are_the_same_alone_and_together() {
        let uniform = "data.uniform = { dim = 3 }";
        let vae = "algorithm.vae = { latent = 2, likelihood = { gaussian = { std = { fixed = 0.3 } } } }\neval.metrics = ['elbo', 'reconstruction']";
        equal_alone_and_together(&format!("{uniform}\n{vae}\n{CODER}"), "'algorithm.vae.beta' = [1.0, 0.5, 4.0]");
        let classes = "data.mixture = { centers = [[-1.0, 0.0], [1.0, 0.0]], std = 0.4 }\nalgorithm.classifier = {}
            architecture.classifier = { mlp = { hidden = [4] } }\noptimizer.classifier = { adam = {} }
            eval.metrics = ['classification']";
        equal_alone_and_together(classes, "'algorithm.classifier.label-smoothing' = [0.0, 0.1, 0.3]");
        let began = "data.ring = {}\nalgorithm.began = { latent = { normal = { dim = 2 } }, decay = { every = 1 } }\neval.metrics = ['modes']";
        equal_alone_and_together(
            &format!("{began}\n{GAME}"),
            "'algorithm.began.gamma' = [0.3, 0.5, 1.0], 'algorithm.began.lambda-k' = [0.1, 0.01, 0.5], \
             'algorithm.began.decay.factor' = [0.5, 0.9, 0.1]",
        );
        let infogan = "data.ring = {}
            algorithm.infogan = { latent = { normal = { dim = 2 } }, codes = [{ categorical = 3 }, { continuous = 1 }] }
            loss.adversarial = 'non-saturating'\neval.metrics = ['modes']
            architecture.recognition = { mlp = { hidden = [4] } }\noptimizer.recognition = { adam = {} }";
        equal_alone_and_together(
            &format!("{infogan}\n{GAME}"),
            "'algorithm.infogan.generator-weight' = [1.0, 0.5, 2.0], 'algorithm.infogan.codes' = [
                [{ categorical = { classes = 3, weight = 1 } }, { continuous = { dim = 1, weight = 0.1 } }],
                [{ categorical = { classes = 3, weight = 0.5 } }, { continuous = { dim = 1, weight = 1 } }],
                [{ categorical = { classes = 3, weight = 2 } }, { continuous = { dim = 1, weight = 0.5 } }],
            ]",
        );
        let adaptation = "data.mixture = { centers = [[-1.0, -0.5], [0.0, 1.0], [1.0, 0.2]], std = 0.3 }
            algorithm.cogan.adaptation = {}";
        equal_alone_and_together(
            &format!("{adaptation}\n{COGAN}\n{GAME}"),
            "'algorithm.cogan.adaptation.class-weight' = [1.0, 2.0, 10.0], \
             'algorithm.cogan.adaptation.tie-weight' = [0.1, 0.01, 1.0], \
             'algorithm.cogan.adaptation.game-weight' = [1.0, 0.0, 0.5]",
        );
    }
}
