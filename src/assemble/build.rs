//! From cells of one pack to players and an objective, at their first step or at a checkpoint. (torch)

use crate::base::{Positive, host};
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
use crate::train::Pack;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::Device;

/// The pack of these cells, at its first step. Cells must agree in everything but numbers
/// (`experiment::pack_key`); networks are those of [`crate::experiment::networks`] for the first.
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
    let players = networks.into_iter().zip(0u32..).map(|(network, index)| {
        let Part { player, of } = network.part;
        let optimizer = |c: &Experiment| {
            if c.algorithm.family().is_fit() {
                return OptimizerSpec::still();
            }
            let own = c.optimizer.optimizers().find(|(name, _)| *name == of);
            own.expect("`networks` has checked that every player has an optimizer").1.clone()
        };
        let average =
            |c: &Experiment| Some(c.algorithm.family().average().filter(|(names, _)| names.contains(&of))?.1.clone());
        let clip = |c: &Experiment| {
            c.loss.as_ref().filter(|_| ["discriminator", "assessor"].contains(&of))?.weight_clip.map(Positive::get)
        };
        let history = |c: &Experiment| c.loss.as_ref()?.historical_averaging.as_ref().map(|h| h.weight.get());
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
        objective: objective(cells, &sources, &seeds, device)?,
        sources,
        seeds,
        schedule: cells[0].schedule.clone(),
        run: cells[0].run.unwrap_or_default(),
        device,
        step: 0,
        draws: 0,
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
        AlgorithmSpec::Cogan(_) => Box::new(Cogan::new(&specs!(cells, Cogan), &losses(), source.info(), device)),
        AlgorithmSpec::Lapgan(spec) => Box::new(Lapgan::new(spec, &losses(), source.info(), device)),
        AlgorithmSpec::SemiSupervised(_) => {
            Box::new(SemiSupervised::new(&specs!(cells, SemiSupervised), &losses(), sources, seeds, device)?)
        }
        AlgorithmSpec::Began(_) => Box::new(Began::new(&specs!(cells, Began), device)),
        AlgorithmSpec::Classifier(_) => Box::new(Classifier::new(&specs!(cells, Classifier), device)),
        AlgorithmSpec::Autoencoder(_) => Box::new(Autoencoder::new(&specs!(cells, Autoencoder), source.info(), device)),
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
    use std::collections::BTreeSet;

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
}
