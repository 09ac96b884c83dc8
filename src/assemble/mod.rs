//! The one match over algorithms: from what a TOML says to networks and objectives.
//!
//! [`networks`] needs no tensor and serves `plan` and `check`; [`worker`] is what the child process does.

mod applications; // (torch)
pub mod build; // (torch)
mod device; // (torch)
mod latent; // (torch)
pub mod samples; // (torch)
pub mod worker; // (torch)

use crate::base::Problem;
use crate::data::DataInfo;
use crate::experiment::Experiment;
use crate::nn::plan::NetworkPlan;

/// A player's network with the player's name.
#[derive(Clone, Debug)]
pub struct PlayerNetwork {
    /// The name, as `[architecture]` has it.
    pub player: &'static str,
    /// Its layers and parameters.
    pub plan: NetworkPlan,
}

/// The networks of a cell, in the order of the objective's players.
///
/// # Errors
/// Every mistake, with its dotted path in the document.
pub fn networks(cell: &Experiment, info: &DataInfo) -> Result<Vec<PlayerNetwork>, Vec<Problem>> {
    let family = cell.algorithm.family();
    let wirings = family.wirings(info).map_err(|problem| vec![problem])?;
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    if family.is_fit() {
        let fit =
            |&player: &&'static str| PlayerNetwork { player, plan: NetworkPlan::memory(family.memory(player, info)) };
        found.extend(family.players().iter().map(fit));
    }
    for (&player, mut wiring) in family.players().iter().zip(wirings) {
        let network = cell.architecture.networks().find(|(name, _)| *name == player);
        let optimizer = cell.optimizer.optimizers().find(|(name, _)| *name == player);
        let (Some((_, network)), Some(_)) = (network, optimizer) else {
            problems.push(Problem::at("algorithm", format!("the {player} needs a network and an optimizer")));
            continue;
        };
        // Where a network is wrong, those that hang on it are not looked at.
        let before: Vec<&NetworkPlan> = found.iter().map(|network: &PlayerNetwork| &network.plan).collect();
        if problems.is_empty()
            && let Err(problem) = family.attach(&mut wiring, &before)
        {
            problems.push(problem);
            continue;
        }
        match network.plan(&wiring, &cell.architecture.init) {
            Ok(mut plan) => {
                problems.extend(family.complete(player, &mut plan).err());
                plan.params.extend(family.memory(player, info));
                found.push(PlayerNetwork { player, plan });
            }
            Err(inner) => problems.extend(inner.into_iter().map(|p| p.below(&format!("architecture.{player}")))),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for network in found.iter().filter(|network| network.plan.batch_coupled && cell.schedule.batch == 1) {
        let why = "it has batch norm or minibatch discrimination";
        let message = format!("a batch of 1 is too small for the {}: {why}", network.player);
        problems.push(Problem::at("schedule.batch", message));
    }
    let plans: Vec<&NetworkPlan> = found.iter().map(|network| &network.plan).collect();
    problems.extend(family.check_networks(&plans, info, cell.surroundings()));
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}
