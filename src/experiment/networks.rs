//! The networks of a cell, planned without a tensor.

use super::spec::Experiment;
use crate::base::Problem;
use crate::data::DataInfo;
use crate::nn::plan::NetworkPlan;
use crate::objective::family::Part;

/// A player's network with the player's name.
#[derive(Clone, Debug)]
pub struct PlayerNetwork {
    /// Who it is, and the name that `[architecture]` has for it.
    pub part: Part,
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
        let memory = |part: Part| NetworkPlan::memory(family.memory(part.player, info));
        found.extend(family.cast().into_iter().map(|part| PlayerNetwork { part, plan: memory(part) }));
    }
    for (part, mut wiring) in family.cast().into_iter().zip(wirings) {
        let Part { player, of } = part;
        let network = cell.architecture.networks().find(|(name, _)| *name == of);
        let optimizer = cell.optimizer.optimizers().find(|(name, _)| *name == of);
        let (Some((_, network)), Some(_)) = (network, optimizer) else {
            problems.push(Problem::at("algorithm", format!("the {of} needs a network and an optimizer")));
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
                if plan.reference() > 0 && family.reference(player).is_none() {
                    let message = format!("`{}` has no reference batch for the {player}", family.tag());
                    let help = "take another norm than virtual batch norm";
                    problems.push(Problem::at(format!("architecture.{of}"), message).with_help(help));
                }
                problems.extend(family.complete(player, &mut plan).err());
                plan.params.extend(family.memory(player, info));
                found.push(PlayerNetwork { part, plan });
            }
            Err(inner) => problems.extend(inner.into_iter().map(|p| p.below(&format!("architecture.{of}")))),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for network in found.iter().filter(|network| network.plan.batch_coupled && cell.schedule.batch == Some(1)) {
        let why = "it has batch norm or minibatch discrimination";
        let message = format!("a batch of 1 is too small for the {}: {why}", network.part.player);
        problems.push(Problem::at("schedule.batch", message));
    }
    let plans: Vec<&NetworkPlan> = found.iter().map(|network| &network.plan).collect();
    problems.extend(family.check_networks(&plans, info, cell.surroundings()));
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}
