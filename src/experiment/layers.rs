//! Players that begin with the weights of a player of another run: which layers fit.

use super::networks::PlayerNetwork;
use super::start::StartSpec;
use crate::base::Problem;
use crate::nn::plan::{NetworkPlan, ParamPlan};
use std::ops::Range;

/// Which parameters of one network begin with which of another, by their places, and how many layers that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// A parameter that begins so, and the one whose numbers it takes.
    pub pairs: Vec<(usize, usize)>,
    /// Layers with weights, norms among them, that are taken.
    pub layers: usize,
    /// Those that there are.
    pub of: usize,
}

/// What a network takes of another: its first layers with weights, as long as their parameters have the same names and
/// shapes, at most so many.
pub fn taken(to: &NetworkPlan, from: &NetworkPlan, most: Option<usize>) -> Taken {
    let (ours, theirs) = (to.layers_with_parameters(), from.layers_with_parameters());
    let within = |param: &ParamPlan| param.name.split_once('.').map(|(_, rest)| rest.to_owned());
    let alike = |(ours, theirs): &(&Range<usize>, &Range<usize>)| {
        let same = |(a, b): (usize, usize)| {
            let (a, b) = (&to.params[a], &from.params[b]);
            within(a) == within(b) && a.shape == b.shape
        };
        ours.len() == theirs.len() && (*ours).clone().zip((*theirs).clone()).all(same)
    };
    let pairs = ours.iter().zip(&theirs).take(most.unwrap_or(usize::MAX)).take_while(alike);
    let pairs: Vec<Vec<(usize, usize)>> =
        pairs.map(|(ours, theirs)| ours.clone().zip(theirs.clone()).collect()).collect();
    Taken { layers: pairs.len(), of: ours.len(), pairs: pairs.concat() }
}

/// What the networks of a player take of another experiment's, in words.
///
/// # Errors
/// If nothing fits, or less than was asked for: the first parameters that differ.
pub fn fit(
    player: &str,
    start: &StartSpec,
    networks: &[PlayerNetwork],
    others: &[PlayerNetwork],
) -> Result<String, Problem> {
    let (name, theirs) = (&start.experiment.name, &start.player);
    let other = others.iter().find(|network| network.part.player == theirs);
    let other = other.expect("`check` has held the player against its family's");
    let mut words = Vec::new();
    for ours in networks.iter().filter(|network| network.part.of == player) {
        let taken = taken(&ours.plan, &other.plan, start.layers);
        let wanted = start.layers.unwrap_or(1);
        if taken.layers < wanted {
            let message = match taken.layers {
                0 => format!("no layer of the {player} is as in the {theirs} of `{name}`"),
                n => format!("{wanted} layers are wanted, and {n} of the {player} are as in the {theirs} of `{name}`"),
            };
            let next = |plan: &NetworkPlan| match plan.layers_with_parameters().get(taken.layers) {
                Some(layer) => layer.clone().map(|at| said(&plan.params[at])).collect::<Vec<_>>().join(", "),
                None => "nothing".to_owned(),
            };
            let help = format!("the next has {} here and {} there", next(&ours.plan), next(&other.plan));
            return Err(Problem::at(format!("start.{player}"), message).with_help(help));
        }
        let Taken { layers, of, .. } = taken;
        words.push(format!("the {player} begins with {layers} of its {of} layers from the {theirs} of {name}"));
    }
    words.dedup();
    Ok(words.join("; "))
}

fn said(param: &ParamPlan) -> String {
    let shape: Vec<String> = param.shape.iter().map(usize::to_string).collect();
    format!("`{}` of {}", param.name, shape.join("×"))
}
