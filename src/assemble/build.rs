//! From cells of one pack to players and an objective, at their first step or at a checkpoint. (torch)

use super::PlayerNetwork;
use crate::data::Source;
use crate::experiment::Experiment;
use crate::objective::{AlgorithmSpec, ConditionKind, Gan, GanSpec};
use crate::player::{OptimizerSpec, Player, PlayerSpec};
use crate::record::{Checkpoint, Values};
use crate::train::Pack;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::Device;

/// The pack of these cells, at its first step. Cells must agree in everything but numbers
/// (`experiment::pack_key`); networks are those of [`super::networks`] for the first.
pub fn gan(
    cells: &[Experiment],
    spec: &GanSpec,
    networks: Vec<PlayerNetwork>,
    sources: Vec<Arc<dyn Source>>,
    device: Device,
) -> Pack<Gan> {
    let seeds: Vec<u64> = cells.iter().map(|c| c.seed).collect();
    let losses: Vec<_> = cells.iter().map(|c| c.loss.clone()).collect();
    let gans: Vec<&GanSpec> = cells
        .iter()
        .map(|c| match &c.algorithm {
            AlgorithmSpec::Gan(gan) => gan,
        })
        .collect();
    let info = sources[0].info().clone();
    let players = networks.into_iter().zip(0u32..).map(|(network, index)| {
        let generator = network.player == "generator";
        let optimizers: Vec<OptimizerSpec> = cells
            .iter()
            .map(|c| if generator { &c.optimizer.generator } else { &c.optimizer.discriminator })
            .map(|o| o.clone().expect("`networks` has checked that every player has an optimizer"))
            .collect();
        let ema = gans.iter().map(|g| g.ema.clone()).collect::<Option<Vec<_>>>();
        let clip = losses.iter().map(|l| l.weight_clip.map(crate::base::Positive::get)).collect::<Option<Vec<_>>>();
        let history =
            losses.iter().map(|l| l.historical_averaging.as_ref().map(|h| h.weight.get())).collect::<Option<Vec<_>>>();
        let spec = PlayerSpec {
            name: network.player,
            index,
            plan: network.plan,
            optimizers,
            ema: ema.filter(|_| generator),
            clip: clip.filter(|_| !generator),
            history,
        };
        Player::new(spec, &seeds, device)
    });
    let players = players.collect();
    let classes = if spec.condition == ConditionKind::None { 0 } else { info.classes };
    Pack {
        objective: Gan::new(spec, &losses, &info.shape, classes, device),
        players,
        sources,
        seeds,
        schedule: cells[0].schedule.clone(),
        run: cells[0].run.unwrap_or_default(),
        device,
        step: 0,
        draws: 0,
    }
}

/// Takes over the state of one run from a checkpoint.
///
/// # Errors
/// A sentence that says what of the checkpoint does not fit the configuration.
pub fn load<O: crate::objective::Objective>(
    pack: &mut Pack<O>,
    run: usize,
    checkpoint: &Checkpoint,
) -> Result<(), String> {
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
