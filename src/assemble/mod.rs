//! The one match over algorithms: from what a TOML says to networks and objectives.
//!
//! [`networks`] needs no tensor and serves `plan` and `check`; [`worker`] is what the child process does.

pub mod build; // (torch)
pub mod device; // (torch)
pub mod samples; // (torch)
pub mod worker; // (torch)

use crate::data::DataInfo;
use crate::experiment::Experiment;
use crate::nn::plan::{Head, NetworkPlan, Problem, Role, Wiring};
use crate::objective::{AlgorithmSpec, ConditionKind, GanSpec};

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
    match &cell.algorithm {
        AlgorithmSpec::Gan(gan) => gan_networks(cell, gan, info),
    }
}

fn gan_networks(cell: &Experiment, gan: &GanSpec, info: &DataInfo) -> Result<Vec<PlayerNetwork>, Vec<Problem>> {
    let labeled = gan.condition != ConditionKind::None;
    if labeled && info.classes == 0 {
        return Err(vec![Problem {
            path: "algorithm.gan.condition".to_owned(),
            message: "the data has no labels to condition on".to_owned(),
            help: Some("take data with classes, or remove `condition`".to_owned()),
        }]);
    }
    let classes = if labeled { info.classes } else { 0 };
    let head = match gan.condition {
        ConditionKind::None | ConditionKind::Concatenate => Head::Plain,
        ConditionKind::AuxiliaryClassifier => Head::Classifier,
        ConditionKind::Projection => Head::Projection,
    };
    let wirings = [
        (
            "generator",
            &cell.architecture.generator,
            Wiring {
                role: Role::Generator,
                input: vec![gan.latent.dim() as usize],
                output: info.shape.clone(),
                classes,
                labels_at_input: labeled,
                head: Head::Plain,
            },
        ),
        (
            "discriminator",
            &cell.architecture.discriminator,
            Wiring {
                role: Role::Discriminator,
                input: info.shape.clone(),
                output: vec![1],
                classes,
                labels_at_input: gan.condition == ConditionKind::Concatenate,
                head,
            },
        ),
    ];
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (player, network, wiring) in wirings {
        let Some(network) = network else {
            problems.push(Problem {
                path: "architecture".to_owned(),
                message: format!("the {player} has no network"),
                help: Some(format!("add `{player} = {{ mlp = {{ hidden = [128, 128] }} }}`")),
            });
            continue;
        };
        match network.plan(&wiring, &cell.architecture.init) {
            Ok(plan) => found.push(PlayerNetwork { player, plan }),
            Err(inner) => problems
                .extend(inner.into_iter().map(|p| Problem { path: format!("architecture.{player}.{}", p.path), ..p })),
        }
    }
    let coupled = |player: &str| found.iter().any(|n: &PlayerNetwork| n.player == player && n.plan.batch_coupled);
    if coupled("discriminator") && !cell.loss.penalties.is_empty() {
        problems.push(Problem {
            path: "loss.penalties".to_owned(),
            message: "a penalty on the slope needs a discriminator that looks at one example at a time".to_owned(),
            help: Some(
                "replace its batch norm by layer norm, or remove the penalty (arXiv:1704.00028, section 4)".to_owned(),
            ),
        });
    }
    for (player, optimizer) in
        [("generator", &cell.optimizer.generator), ("discriminator", &cell.optimizer.discriminator)]
    {
        if optimizer.is_none() {
            problems.push(Problem {
                path: "optimizer".to_owned(),
                message: format!("the {player} has no optimizer"),
                help: Some(format!("add `{player} = {{ adam = {{ lr = 1e-3 }} }}`")),
            });
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}
