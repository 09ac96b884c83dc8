//! The runs of a pack and one step of them: drawing, freezing, differentiating, stepping, counting.

use super::spec::{OrderKind, Precision, RunSpec, ScheduleSpec};
use crate::base::host;
use crate::data::Source;
use crate::objective::{Batch, Cadence, Cx, Objective, RealDraw};
use crate::player::{Named, Player};
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Device, Tensor};

/// The most repetitions of one turn in a step; they share the clock of the random streams with the steps.
pub const MOST_REPEATS: u64 = 1 << 10;

/// Makes the objective of some runs of a pack, by their indices at its first step.
pub type MakeObjective = Box<dyn Fn(&[usize]) -> Result<Box<dyn Objective>, String>>;

/// Runs that train together. Whatever has one entry per run is in one order.
pub struct Pack {
    /// The mathematics.
    pub objective: Box<dyn Objective>,
    /// Makes it anew where runs leave: an objective keeps nothing from one step to the next but in its players' memory.
    pub make: MakeObjective,
    /// The index that each run had at the first step.
    pub members: Vec<usize>,
    /// The players, in the objective's order.
    pub players: Vec<Player>,
    /// Where each run's examples come from.
    pub sources: Vec<Arc<dyn Source>>,
    /// The seed of each run.
    pub seeds: Vec<u64>,
    /// How long, and who moves how often.
    pub schedule: ScheduleSpec,
    /// How numbers are computed.
    pub run: RunSpec,
    /// Where tensors live.
    pub device: Device,
    /// Steps done.
    pub step: u64,
    /// Batches of real examples drawn.
    pub draws: u64,
}

/// What a step leaves.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Scalars `[R]`, the last of each name in the step, where they were asked for.
    pub scalars: Vec<(&'static str, Vec<f32>)>,
    /// Runs with a loss that is not finite, and which loss.
    pub diverged: Vec<(usize, String)>,
}

impl Pack {
    /// One step of every run. Losses are looked at in every step on the CPU, where that costs nothing, and otherwise in
    /// those that record, where the device is waited for anyway.
    pub fn step(&mut self, recording: bool) -> Outcome {
        let turns = self.objective.turns();
        let together = self.schedule.order == OrderKind::Simultaneous;
        let mut outcome = Outcome::default();
        let mut scalars = Vec::new();
        let mut last = None;
        let mut waiting = Vec::new();
        for (place, turn) in turns.iter().enumerate() {
            let repeats = match turn.cadence {
                Cadence::Critic => self.schedule.critic_steps.at(self.step),
                Cadence::Generator => self.schedule.generator_steps,
                Cadence::Once => 1,
            };
            for repeat in 0..u64::from(repeats) {
                let batch = match (turn.real, last.take()) {
                    (RealDraw::Last, Some(batch)) => batch,
                    (RealDraw::Nothing, _) => Batch { x: Tensor::new(), labels: None },
                    _ => self.draw(),
                };
                let clock = self.step * MOST_REPEATS + repeat;
                // Players that move at the same time see the same draws.
                let index = if together { 0 } else { place as u32 };
                let loss = self.loss(place, &batch, index, clock, recording, &mut scalars);
                last = Some(batch);
                if recording || self.device == Device::Cpu {
                    let losses = host::numbers(&loss);
                    let names: Vec<&str> = turn.moves.iter().map(|&moves| self.players[moves].name()).collect();
                    let bad = losses.iter().enumerate().filter(|(_, v)| !v.is_finite());
                    for (run, value) in bad {
                        if outcome.diverged.iter().all(|(r, _)| *r != run) {
                            let loss = || format!("the loss of the {} is {value}", names.join(" and "));
                            outcome.diverged.push((run, self.objective.complaint(run).unwrap_or_else(loss)));
                        }
                    }
                }
                if turn.moves.is_empty() {
                    continue;
                }
                let mut updates = self.gradients(turn.moves, &loss);
                if together {
                    waiting.append(&mut updates);
                } else {
                    self.update(&updates);
                }
            }
        }
        self.update(&waiting);
        self.step += 1;
        for name in self.objective.scalars() {
            if let Some((_, value)) = scalars.iter().rev().find(|(n, _)| *n == name) {
                outcome.scalars.push((name, host::numbers(value)));
            }
        }
        outcome
    }

    /// Gradients of a loss `[R]` for each of the players that move.
    fn gradients(&self, moves: &[usize], loss: &Tensor) -> Vec<(usize, Vec<Tensor>)> {
        let learned: Vec<&Tensor> = moves.iter().flat_map(|&player| self.players[player].learned()).collect();
        let mut all = Tensor::run_backward(&[loss], &learned, false, false).into_iter();
        let of = |&player: &usize| (player, all.by_ref().take(self.players[player].learned().count()).collect());
        moves.iter().map(of).collect()
    }

    fn update(&mut self, updates: &[(usize, Vec<Tensor>)]) {
        for (player, gradients) in updates {
            self.players[*player].update(gradients, self.step, self.schedule.steps, self.objective.rates());
        }
    }

    fn loss(
        &mut self,
        turn: usize,
        batch: &Batch,
        index: u32,
        clock: u64,
        recording: bool,
        scalars: &mut Vec<(&'static str, Tensor)>,
    ) -> Tensor {
        let mut cx = Cx {
            players: &self.players,
            moves: self.objective.turns()[turn].moves,
            seeds: &self.seeds,
            turn: index,
            clock,
            device: self.device,
            twin: false,
            bfloat16: self.run.precision == Precision::Bfloat16,
            recording,
            scalars,
        };
        self.objective.loss(turn, batch, &mut cx)
    }

    /// The next batch of real examples of every run.
    fn draw(&mut self) -> Batch {
        let (runs, n) = (self.sources.len(), self.schedule.examples_per_batch());
        let info = self.sources[0].info();
        let row: usize = info.shape.iter().product();
        let labeled = info.classes > 0;
        let mut x = vec![0.0; runs * n * row];
        let mut labels = vec![0i64; runs * n];
        let places = x.chunks_exact_mut((n * row).max(1)).zip(labels.chunks_exact_mut(n.max(1)));
        for ((x, labels), (source, &seed)) in places.zip(self.sources.iter().zip(&self.seeds)) {
            source.draw(seed, self.draws, x, labels);
        }
        self.draws += 1;
        let shape: Vec<i64> = [runs, n].iter().chain(&info.shape).map(|&d| d as i64).collect();
        Batch {
            x: host::tensor(&x, &shape, self.device),
            labels: labeled.then(|| Tensor::from_slice(&labels).view([runs as i64, n as i64]).to_device(self.device)),
        }
    }

    /// Keeps the runs of these indices and lets the others go, undisturbed.
    pub fn keep(&mut self, runs: &[usize]) {
        self.members = runs.iter().map(|&r| self.members[r]).collect();
        self.objective = (self.make)(&self.members).expect("what more runs could be made of, these can");
        self.players.iter_mut().for_each(|p| p.keep(runs));
        self.sources = runs.iter().map(|&r| self.sources[r].clone()).collect();
        self.seeds = runs.iter().map(|&r| self.seeds[r]).collect();
    }

    /// All tensors that one run goes on from.
    pub fn tensors(&self, run: usize) -> Vec<Named> {
        self.players.iter().flat_map(|p| p.state(run)).collect()
    }

    /// The counters that a run goes on from; equal for all runs of a pack.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let own = [("step".to_owned(), self.step), ("draws".to_owned(), self.draws)];
        let players = self.players.iter().map(|p| (format!("{}.updates", p.name()), p.updates));
        own.into_iter().chain(players).collect()
    }

    /// Takes over the counters of a checkpoint.
    ///
    /// # Errors
    /// A sentence that names the counter that is missing.
    pub fn set_counters(&mut self, counters: &BTreeMap<String, u64>) -> Result<(), String> {
        let get = |name: &str| counters.get(name).copied().ok_or_else(|| format!("it has no counter `{name}`"));
        (self.step, self.draws) = (get("step")?, get("draws")?);
        for player in &mut self.players {
            player.updates = get(&format!("{}.updates", player.name()))?;
        }
        Ok(())
    }
}
