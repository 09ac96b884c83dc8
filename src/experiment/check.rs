//! What needs two values to be seen: checks of one cell, and of claims against a grid's cells.
//!
//! What needs the shapes of networks or the headers of data is in [`super::headers`].

use super::cell::Cell;
use super::diagnostic::{Mistake, known_names, listed};
use super::node::Node;
use super::spec::{Claim, Experiment};
use crate::base::Problem;
use crate::eval::MetricSpec;
use crate::player::OptimizerSpec;
use crate::train::{CriticSteps, OrderKind};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a cell, as far as its settings tell.
pub fn cell(e: &Experiment) -> Vec<Problem> {
    let mut wrong = Vec::new();
    name(e, &mut wrong);
    schedule(e, &mut wrong);
    players(e, &mut wrong);
    game(e, &mut wrong);
    wrong.extend(e.algorithm.family().check(e.surroundings()));
    for (player, optimizer) in e.optimizer.optimizers() {
        moves(&format!("optimizer.{player}"), optimizer.own(), e.schedule.steps, &mut wrong);
    }
    output(e, &mut wrong);
    starts(e, &mut wrong);
    wrong
}

/// Whether an experiment may have this name: its folder has it too, on any system.
pub fn names_a_folder(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(fine)
}

fn name(e: &Experiment, wrong: &mut Vec<Problem>) {
    if !names_a_folder(&e.name) {
        wrong.push(
            Problem::at("name", format!("`{}` cannot name a folder", e.name))
                .with_help("write `name = \"…\"` with letters, digits, `-`, `_` and `.`, at most 100"),
        );
    }
}

/// Counts that must not be 0.
fn positive(wrong: &mut Vec<Problem>, counts: &[(&str, u64)]) {
    for (path, _) in counts.iter().filter(|(_, count)| *count == 0) {
        wrong.push(Problem::at(*path, "expected 1 or more, got 0"));
    }
}

fn schedule(e: &Experiment, wrong: &mut Vec<Problem>) {
    let schedule = &e.schedule;
    let critic = &schedule.critic_steps;
    positive(
        wrong,
        &[
            ("schedule.steps", schedule.steps),
            ("schedule.batch", schedule.batch.map_or(1, u64::from)),
            ("schedule.critic-steps", u64::from(critic.each)),
        ],
    );
    let family = e.algorithm.family();
    if schedule.batch.is_none() && !family.is_fit() {
        let message = format!("`{}` needs `batch`", family.tag());
        wrong.push(
            Problem::at("schedule", message).with_help("write the number of examples per batch, as in `batch = 64`"),
        );
    }
    if critic.many > 0 && critic.first == 0 && critic.every == 0 {
        wrong.push(
            Problem::at("schedule.critic-steps.many", format!("`many` = {} never happens", critic.many))
                .with_help("say `first` (in the first so many steps) or `every` (each so many steps)"),
        );
    }
    if critic.many == 0 && (critic.first > 0 || critic.every > 0) {
        wrong.push(
            Problem::at("schedule.critic-steps", "`first` and `every` do nothing without `many`")
                .with_help("say how `many` updates there are in those steps"),
        );
    }
}

/// Every player of the family has a network and an optimizer, and nobody else has.
fn players(e: &Experiment, wrong: &mut Vec<Problem>) {
    let family = e.algorithm.family();
    let networks: Vec<&str> = e.architecture.networks().map(|(player, _)| player).collect();
    let optimizers: Vec<&str> = e.optimizer.optimizers().map(|(player, _)| player).collect();
    let sections = [("architecture", "a network", networks), ("optimizer", "an optimizer", optimizers)];
    let wanted = if family.is_fit() { &[][..] } else { family.players() };
    for (section, what, there) in sections {
        for player in wanted.iter().filter(|player| !there.contains(player)) {
            wrong.push(
                Problem::at(section, format!("`{}` needs {what} for its {player}", family.tag()))
                    .with_help(format!("add `{player}` to `[{section}]`")),
            );
        }
        for player in there.iter().filter(|player| !wanted.contains(player)) {
            let help = match wanted {
                [] => format!("it is fit without {what}: take it out"),
                _ => format!("it has {}", listed(wanted.iter().copied())),
            };
            wrong.push(
                Problem::at(format!("{section}.{player}"), format!("`{}` has no {player}", family.tag()))
                    .with_help(help),
            );
        }
    }
}

/// Players that begin with what another has learned; whether shapes fit is for the deep check.
fn starts(e: &Experiment, wrong: &mut Vec<Problem>) {
    let refuse = |at: String, e: &Experiment, player: &str, names: Vec<&str>| {
        let family = e.algorithm.family();
        let help = match family.is_fit() {
            true => "it is fit without a network".to_owned(),
            false => format!("it has {}", listed(names.iter().copied())),
        };
        let there = !family.is_fit() && names.contains(&player);
        let message = format!("`{}` has no {player} with a network", family.tag());
        (!there).then(|| Problem::at(at, message).with_help(help))
    };
    for (player, start) in &e.start {
        let (path, other) = (format!("start.{player}"), &*start.experiment);
        wrong.extend(refuse(path.clone(), e, player, e.algorithm.family().players().to_vec()));
        let cast = other.algorithm.family().cast().into_iter().map(|part| part.player).collect();
        wrong.extend(refuse(format!("{path}.player"), other, &start.player, cast));
        wrong.extend(cell(other).into_iter().map(|problem| problem.below(&format!("{path}.experiment"))));
    }
}

/// What only a game of two has.
fn game(e: &Experiment, wrong: &mut Vec<Problem>) {
    let family = e.algorithm.family();
    let takes_loss = !family.critics().is_empty();
    if takes_loss && e.loss.is_none() {
        wrong.push(
            Problem::at("", format!("`{}` needs `[loss]`", family.tag()))
                .with_help("say which game, as in `loss = { adversarial = \"non-saturating\" }`"),
        );
    }
    if family.is_game() {
        if !takes_loss && e.loss.is_some() {
            let message = format!("it does nothing with `{}`, which has losses of its own", family.tag());
            wrong.push(Problem::at("loss", message).with_help("take it out"));
        }
        return;
    }
    let schedule = &e.schedule;
    let said = [
        ("loss", e.loss.is_some()),
        ("schedule.critic-steps", schedule.critic_steps != CriticSteps::once()),
        ("schedule.generator-steps", schedule.generator_steps != 1),
        ("schedule.order", schedule.order != OrderKind::default()),
    ];
    for (path, _) in said.iter().filter(|(_, said)| *said) {
        let message = format!("it does nothing with `{}`, which is no game", family.tag());
        wrong.push(Problem::at(*path, message).with_help("take it out"));
    }
}

fn moves(path: &str, spec: &OptimizerSpec, steps: u64, wrong: &mut Vec<Problem>) {
    use crate::player::spec::LrSchedule;
    let (tag, warm_up, schedule) = match spec {
        OptimizerSpec::Adam(adam) => ("adam", adam.warm_up, &adam.schedule),
        OptimizerSpec::Adamw(adam) => ("adamw", adam.warm_up, &adam.schedule),
        OptimizerSpec::Rmsprop(rmsprop) => ("rmsprop", rmsprop.warm_up, &rmsprop.schedule),
        OptimizerSpec::Sgd(sgd) => ("sgd", sgd.warm_up, &sgd.schedule),
    };
    if let OptimizerSpec::Adam(adam) | OptimizerSpec::Adamw(adam) = spec {
        for (i, beta) in adam.betas.iter().enumerate().filter(|(_, beta)| beta.get() >= 1.0) {
            let path = format!("{path}.{tag}.betas.{i}");
            wrong.push(Problem::at(path, format!("expected a number below 1, got {}", beta.get())));
        }
    }
    if warm_up > steps {
        let path = format!("{path}.{tag}.warm-up");
        wrong.push(Problem::at(path, format!("the warm-up takes {warm_up} steps, and there are {steps}")));
    }
    if let LrSchedule::Step(step) = schedule
        && step.every == 0
    {
        wrong.push(Problem::at(format!("{path}.{tag}.schedule.step.every"), "expected 1 or more, got 0"));
    }
}

fn output(e: &Experiment, wrong: &mut Vec<Problem>) {
    let output = &e.output;
    positive(
        wrong,
        &[
            ("output.metrics-every", output.metrics_every),
            ("output.samples", u64::from(output.samples)),
            ("output.keep", u64::from(output.keep)),
            ("output.animation.every", output.animation.as_ref().map_or(1, |a| a.every)),
        ],
    );
    if !e.eval.metrics.is_empty() {
        positive(wrong, &[("eval.samples", u64::from(e.eval.samples))]);
    }
    for (i, metric) in e.eval.metrics.iter().enumerate() {
        if e.eval.metrics[..i].contains(metric) {
            wrong.push(Problem::at(format!("eval.metrics.{i}"), "this metric is there twice"));
        }
    }
}

/// What is wrong with a claim, given the grid's cells; and whether it says something of any of them.
///
/// `strict` is for a whole file: a selection without cells is then a mistake. Where `--set` has narrowed the grid, it is a
/// claim that this narrower grid says nothing of.
pub fn claim(claim: &Claim, node: &Node, cells: &[Cell], strict: bool) -> Result<bool, Vec<Mistake>> {
    let mut wrong = Vec::new();
    let ways = [
        ("at-most", claim.at_most.is_some()),
        ("at-least", claim.at_least.is_some()),
        ("better-than", claim.better_than.is_some()),
        ("rises-with", claim.rises_with.is_some()),
        ("falls-with", claim.falls_with.is_some()),
    ];
    let said: Vec<&str> = ways.iter().filter(|(_, said)| *said).map(|(way, _)| *way).collect();
    if said.len() != 1 {
        let message = match said.as_slice() {
            [] => "a claim says what it expects".to_owned(),
            said => format!("a claim says one thing, and this one has {}", listed(said.iter().copied())),
        };
        let place = said.get(1).map_or(node.place, |way| node.place_of(way));
        wrong.push(
            Mistake::at(place, message).with_help(format!("one of {}", listed(ways.iter().map(|(way, _)| *way)))),
        );
    }
    if claim.better_than.as_ref().is_some_and(|b| b.by < 1.0 || !b.by.is_finite()) {
        wrong.push(Mistake::at(node.place_of("better-than.by"), "expected a factor of 1 or more"));
    }
    let metrics = metric_names(cells);
    // A name with a slash is a scalar of metrics.csv, known to the algorithm alone.
    if !claim.metric.contains('/') && !metrics.contains(&claim.metric) {
        let mut mistake = Mistake::at(node.place_of("metric"), format!("`eval.metrics` has no `{}`", claim.metric));
        mistake.help = known_names(&claim.metric, metrics.iter().map(String::as_str))
            .or_else(|| Some("name it in `[eval]`, as in `metrics = [\"…\"]`".to_owned()));
        wrong.push(mistake);
    }
    for (way, axis) in [("rises-with", &claim.rises_with), ("falls-with", &claim.falls_with)] {
        let Some(axis) = axis else { continue };
        let selected: Vec<&Cell> = cells.iter().filter(|cell| cell.matches(&claim.select)).collect();
        let place = node.place_of(way);
        if !cells.iter().any(|cell| cell.has(axis)) {
            let mut mistake = Mistake::at(place, format!("no cell has a key `{axis}`"));
            let known: BTreeSet<&str> = cells.iter().flat_map(|c| &c.varies).map(|(name, _)| name.as_str()).collect();
            mistake.help = known_names(axis, known);
            wrong.push(mistake);
        } else if axis == "seed" || selected.iter().any(|cell| cell.number(axis).is_none()) {
            let mistake = Mistake::at(place, format!("`{axis}` is not a number in every cell"));
            wrong.push(mistake.with_help("a trend is over an axis of numbers, or of labels that are numbers"));
        } else if strict && selected.windows(2).all(|pair| pair[0].number(axis) == pair[1].number(axis)) {
            let mistake = Mistake::at(place, format!("`{axis}` is the same in every cell"));
            wrong.push(mistake.with_help("give it several values in `[grid]`"));
        }
    }
    let mut selects = selection(&claim.select, node.get("where"), cells, strict, &mut wrong);
    if let Some(other) = &claim.better_than {
        let place = node.get("better-than").and_then(|n| n.get("where"));
        selects &= selection(&other.select, place, cells, strict, &mut wrong);
    }
    if wrong.is_empty() { Ok(selects) } else { Err(wrong) }
}

/// The metrics that some cell measures.
fn metric_names(cells: &[Cell]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut last = None;
    for cell in cells {
        // The cells of one point share their facts, and most grids measure the same everywhere.
        if last == Some((&cell.experiment.eval.metrics, &cell.facts.metrics)) {
            continue;
        }
        last = Some((&cell.experiment.eval.metrics, &cell.facts.metrics));
        let metrics = &cell.experiment.eval.metrics;
        let plain = metrics.iter().flat_map(MetricSpec::plain_names).map(str::to_owned);
        for name in plain.chain(cell.facts.metrics.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn selection(
    select: &BTreeMap<String, serde_json::Value>,
    node: Option<&Node>,
    cells: &[Cell],
    strict: bool,
    wrong: &mut Vec<Mistake>,
) -> bool {
    if cells.iter().any(|cell| cell.matches(select)) {
        return true;
    }
    let Some(node) = node else { return false };
    let mut found = false;
    for (name, value) in select {
        let Some((key, inner)) = node.entry(name) else { continue };
        let alone = BTreeMap::from([(name.clone(), value.clone())]);
        if cells.iter().any(|cell| cell.matches(&alone)) {
            continue;
        }
        found = true;
        let varying: Vec<&str> = {
            let mut names: Vec<&str> = cells.iter().flat_map(|c| &c.varies).map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        if !varying.contains(&name.as_str()) && !cells.iter().any(|cell| cell.has(name)) {
            let mut mistake = Mistake::at(key.place, format!("no cell has a key `{name}`"));
            mistake.help = known_names(name, varying);
            wrong.push(mistake);
        } else if strict {
            let mut values: Vec<&str> =
                cells.iter().flat_map(|c| &c.varies).filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
            values.sort_unstable();
            values.dedup();
            let mut mistake = Mistake::at(inner.place, format!("no cell has this value of `{name}`"));
            mistake.help = known_names(&inner.spelled(), values);
            wrong.push(mistake);
        }
    }
    if !found && strict {
        wrong.push(Mistake::at(node.place, "no cell has all of these values"));
    }
    false
}
