//! A player: the parameters of one network for all runs of a pack, in one buffer `[R, P]`, and all that moves them.
//!
//! The network sees views of the buffer; the optimizer sees the buffer. It does not know of losses or of the loop.

use super::optimizer::{self, Step};
use super::spec::{EmaSpec, OptimizerSpec};
use crate::base::host;
use crate::nn::{Mode, NetworkPlan, Output};
use crate::rng::{Purpose, Stream};
use std::collections::BTreeMap;
use tch::{Device, Tensor};

/// What a player is made from; the vectors have one entry a run.
pub struct PlayerSpec {
    /// The player's name in files and messages.
    pub name: &'static str,
    /// Its place among the players: its initial weights come from the stream of this index.
    pub index: u32,
    /// Its network.
    pub plan: NetworkPlan,
    /// How it moves.
    pub optimizers: Vec<OptimizerSpec>,
    /// Its averaged weights.
    pub ema: Option<Vec<EmaSpec>>,
    /// The bound that every learned number is kept within after an update.
    pub clip: Option<Vec<f64>>,
    /// The weight of ‖θ − mean of past θ‖² in its loss.
    pub history: Option<Vec<f64>>,
}

/// A named tensor of one run, as a checkpoint holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// `generator.0.weight`, or with what it is of it: `generator.0.weight:ema`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub data: Vec<f32>,
}

/// The parameters of one network for all runs of a pack.
pub struct Player {
    spec: PlayerSpec,
    slots: Vec<Slot>,
    /// How many numbers of a run learn; they come first.
    learned: usize,
    flat: Tensor,
    buffers: Vec<Tensor>,
    average: Option<Tensor>,
    history: Option<Tensor>,
    leaves: Vec<Tensor>,
    frozen: Vec<Tensor>,
    /// Updates so far.
    pub updates: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    offset: usize,
    len: usize,
    learned: bool,
}

impl Player {
    /// A player whose weights begin as its network's plan says, each run from its own seed.
    pub fn new(spec: PlayerSpec, seeds: &[u64], device: Device) -> Self {
        let params = &spec.plan.params;
        let mut slots = vec![Slot { offset: 0, len: 0, learned: false }; params.len()];
        let (mut at, mut learned_end) = (0, 0);
        for learned in [true, false] {
            for (slot, param) in slots.iter_mut().zip(params).filter(|(_, p)| p.learned == learned) {
                let len = param.shape.iter().product();
                *slot = Slot { offset: at, len, learned };
                at += len;
            }
            learned_end = if learned { at } else { learned_end };
        }
        let mut data = vec![0.0; seeds.len() * at];
        for (row, &seed) in data.chunks_exact_mut(at.max(1)).zip(seeds) {
            for (place, (slot, param)) in slots.iter().zip(params).enumerate() {
                let mut stream = Stream::new(seed, Purpose::Init, spec.index, param.like.unwrap_or(place) as u64);
                param.fill(&mut stream, &mut row[slot.offset..slot.offset + slot.len]);
            }
        }
        let runs = seeds.len() as i64;
        let flat = host::tensor(&data, &[runs, at as i64], device);
        let zeros = || Tensor::zeros([runs, learned_end as i64], (tch::Kind::Float, device));
        let buffers = spec.optimizers[0].buffers().iter().map(|_| zeros()).collect();
        let average = spec.ema.as_ref().map(|_| flat.copy());
        let history = spec.history.as_ref().map(|_| flat.narrow(1, 0, learned_end as i64).copy());
        let mut player = Self {
            spec,
            slots,
            learned: learned_end,
            flat,
            buffers,
            average,
            history,
            leaves: vec![],
            frozen: vec![],
            updates: 0,
        };
        player.make_views();
        player
    }

    /// The network.
    pub fn plan(&self) -> &NetworkPlan {
        &self.spec.plan
    }

    /// How many runs the pack has.
    pub fn runs(&self) -> usize {
        self.spec.optimizers.len()
    }

    /// The player's name.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// The network's output, with gradients for its parameters where it is the player's turn.
    pub fn forward(&self, moves: bool, x: &Tensor, labels: Option<&Tensor>, mode: &mut Mode<'_>) -> Output {
        self.spec.plan.forward(if moves { &self.leaves } else { &self.frozen }, x, labels, mode)
    }

    /// The network's output with averaged weights where there are any and they are asked for.
    pub fn forward_averaged(&self, averaged: bool, x: &Tensor, labels: Option<&Tensor>, mode: &mut Mode<'_>) -> Output {
        match &self.average {
            Some(average) if averaged => self.spec.plan.forward(&self.views(average), x, labels, mode),
            _ => self.forward(false, x, labels, mode),
        }
    }

    /// What enters each layer with weights of one run's network but the first, and an encoder's code; nothing where a layer
    /// looks at labels.
    pub fn layers(&self, run: usize, x: &Tensor, mode: &mut Mode<'_>) -> Option<Vec<Tensor>> {
        let params: Vec<Tensor> = self.frozen.iter().map(|param| param.narrow(0, run as i64, 1)).collect();
        self.spec.plan.layers(&params, x, mode)
    }

    /// The parameters of one run's network, each `[1, …]`, for those who do not ask it for whole outputs: averaged where there
    /// are such and they are asked for.
    pub fn parameters(&self, averaged: bool, run: usize) -> Vec<Tensor> {
        let of_run = |param: &Tensor| param.narrow(0, run as i64, 1);
        match &self.average {
            Some(average) if averaged => self.views(average).iter().map(of_run).collect(),
            _ => self.frozen.iter().map(of_run).collect(),
        }
    }

    /// What it learns, in the order in which [`Self::update`] takes gradients.
    pub fn learned(&self) -> impl Iterator<Item = &Tensor> {
        self.leaves.iter().zip(&self.slots).filter(|(_, slot)| slot.learned).map(|(leaf, _)| leaf)
    }

    /// Numbers that no optimizer moves, by their name in the plan, `[R, …]`: writing to them moves them.
    ///
    /// # Panics
    /// If there are none of that name.
    pub fn memory(&self, name: &str) -> Tensor {
        let place = self.spec.plan.params.iter().position(|param| !param.learned && param.name == name);
        self.frozen[place.unwrap_or_else(|| panic!("{} has no memory `{name}`", self.spec.name))].shallow_clone()
    }

    /// Fills numbers that no optimizer moves, of one run, in the averaged weights too.
    ///
    /// # Panics
    /// If there are none of that name, or another count of them.
    pub fn remember(&mut self, run: usize, name: &str, numbers: &[f32]) {
        let place = self.spec.plan.params.iter().position(|param| !param.learned && param.name == name);
        let place = place.unwrap_or_else(|| panic!("{} has no memory `{name}`", self.spec.name));
        self.begin(run, place, numbers);
    }

    /// Lets a parameter of one run begin with other numbers than those of its seed: before the first update.
    ///
    /// # Panics
    /// If it has another count of them.
    pub fn begin(&mut self, run: usize, param: usize, numbers: &[f32]) {
        let slot = &self.slots[param];
        assert_eq!(slot.len, numbers.len(), "parameter {param} of {}", self.spec.name);
        let numbers = host::tensor(numbers, &[slot.len as i64], self.flat.device());
        let history = self.history.as_ref().filter(|_| slot.learned);
        for all in std::iter::once(&self.flat).chain(&self.average).chain(history) {
            all.get(run as i64).narrow(0, slot.offset as i64, slot.len as i64).copy_(&numbers);
        }
    }

    /// One update by these gradients, in step `step` (from 0) of `steps`, at learning rates times `rates`.
    pub fn update(&mut self, gradients: &[Tensor], step: u64, steps: u64, rates: Option<&[f64]>) {
        self.updates += 1;
        let moves = self.moves(step, steps, rates);
        if self.flat.device() == Device::Cpu {
            self.update_on_host(gradients, &moves, step);
        } else {
            self.update_on_device(gradients, &moves, step);
        }
    }

    /// The numbers of the update that `updates` counts last, one entry per run.
    fn moves(&self, step: u64, steps: u64, rates: Option<&[f64]>) -> Vec<Step> {
        let mut moves: Vec<Step> = Vec::with_capacity(self.runs());
        for (run, optimizer) in self.spec.optimizers.iter().enumerate() {
            // Most packs have one optimizer for all runs; its powers and cosines are worked out once.
            let same = run > 0 && *optimizer == self.spec.optimizers[run - 1];
            moves.push(if same { moves[run - 1] } else { optimizer.step(self.updates, step, steps) });
        }
        for (step, &rate) in moves.iter_mut().zip(rates.unwrap_or_default()) {
            *step = step.at_rate(rate);
        }
        moves
    }

    fn update_on_host(&mut self, gradients: &[Tensor], moves: &[Step], step: u64) {
        let gradients: Vec<Tensor> =
            gradients.iter().map(|g| if g.defined() { g.contiguous() } else { Tensor::new() }).collect();
        let gradients: Vec<&[f32]> = gradients.iter().map(|g| if g.defined() { host::read(g) } else { &[] }).collect();
        let (all, learned) = (self.flat.size()[1] as usize, self.learned);
        let slots: Vec<Slot> = self.slots.iter().filter(|s| s.learned).cloned().collect();
        let flat = host::write(&mut self.flat);
        let mut buffers = self.buffers.iter_mut().map(host::write);
        let (first, second) = (buffers.next().unwrap_or_default(), buffers.next().unwrap_or_default());
        let mut history = self.history.as_mut().map(host::write);
        let mut pulled = Vec::new();
        let zeros =
            vec![
                0.0;
                slots.iter().zip(&gradients).filter(|(_, g)| g.is_empty()).map(|(s, _)| s.len).max().unwrap_or(0)
            ];
        for (run, rule) in moves.iter().enumerate() {
            let of_run = |slot: &Slot, g: &'_ [f32]| -> std::ops::Range<usize> {
                if g.is_empty() { 0..slot.len } else { run * slot.len..(run + 1) * slot.len }
            };
            let scale = match self.spec.optimizers[run].clip_norm() {
                None => 1.0,
                Some(longest) => {
                    let square = |g: &[f32]| g.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
                    let norm = slots.iter().zip(&gradients).filter(|(_, g)| !g.is_empty());
                    let norm = norm.map(|(slot, g)| square(&g[of_run(slot, g)])).sum::<f64>().sqrt();
                    (longest / (norm + 1e-6)).min(1.0) as f32
                }
            };
            for (slot, g) in slots.iter().zip(&gradients) {
                let g = if g.is_empty() { &zeros[..slot.len] } else { &g[of_run(slot, g)] };
                let here = run * all + slot.offset..run * all + slot.offset + slot.len;
                let there = run * learned + slot.offset..run * learned + slot.offset + slot.len;
                let p = &mut flat[here];
                let past = history.as_mut().map(|h| &mut h[there.clone()]);
                let g = match (&past, &self.spec.history) {
                    (Some(past), Some(weights)) => {
                        let weight = 2.0 * weights[run] as f32;
                        pulled.clear();
                        pulled.extend(g.iter().zip(p.iter().zip(past.iter())).map(|(g, (p, h))| g + weight * (p - h)));
                        &pulled[..]
                    }
                    _ => g,
                };
                let second = if second.is_empty() { &mut [][..] } else { &mut second[there.clone()] };
                rule.on_host(p, g, scale, &mut first[there], second);
                if let Some(past) = past {
                    let newest = 1.0 / (self.updates + 1) as f32;
                    for (h, p) in past.iter_mut().zip(p.iter()) {
                        *h += newest * (*p - *h);
                    }
                }
                if let Some(bounds) = &self.spec.clip {
                    let bound = bounds[run] as f32;
                    for p in p {
                        *p = p.clamp(-bound, bound);
                    }
                }
            }
        }
        if let (Some(average), Some(spec)) = (&mut self.average, &self.spec.ema) {
            let average = host::write(average);
            for (run, spec) in spec.iter().enumerate() {
                let rest = spec.rest(step);
                let here = run * all..(run + 1) * all;
                for (a, p) in average[here.clone()].iter_mut().zip(&flat[here]) {
                    // Written so that a rest of 1 gives p itself.
                    *a = if rest == 1.0 { *p } else { *a + rest * (*p - *a) };
                }
            }
        }
    }

    /// What [`Self::update_on_host`] does, in tensor operations over all runs at once.
    fn update_on_device(&mut self, gradients: &[Tensor], moves: &[Step], step: u64) {
        let runs = moves.len() as i64;
        let slots = self.slots.iter().filter(|s| s.learned);
        let rows: Vec<Tensor> = gradients
            .iter()
            .zip(slots)
            .map(|(g, slot)| {
                if g.defined() {
                    g.reshape([runs, slot.len as i64])
                } else {
                    Tensor::zeros([runs, slot.len as i64], (tch::Kind::Float, self.flat.device()))
                }
            })
            .collect();
        let mut g = Tensor::cat(&rows, 1);
        let column = |values: Vec<f32>| Tensor::from_slice(&values).unsqueeze(1).to_device(self.flat.device());
        let guard = tch::no_grad_guard();
        let longest = self.spec.optimizers.iter().map(|o| o.clip_norm().unwrap_or(f64::INFINITY));
        let longest: Vec<f64> = longest.collect();
        // The norm is that of the loss's gradient alone; what it scales contains the pull towards past parameters.
        let scales = longest.iter().any(|l| l.is_finite()).then(|| optimizer::clip_scales(&g, &longest));
        let mut p = self.flat.narrow(1, 0, self.learned as i64);
        if let (Some(history), Some(weights)) = (&self.history, &self.spec.history) {
            g += column(weights.iter().map(|&w| 2.0 * w as f32).collect()) * (&p - history);
        }
        if let Some(scales) = scales {
            g *= scales;
        }
        Step::on_device(moves, &mut p, &g, &mut self.buffers);
        if let Some(history) = &mut self.history {
            let change = (&p - &*history) * (1.0 / (self.updates + 1) as f64);
            let _ = history.g_add_(&change);
        }
        if let Some(bounds) = &self.spec.clip {
            let bound = column(bounds.iter().map(|&b| b as f32).collect());
            let clipped = p.minimum(&bound).maximum(&-bound);
            p.copy_(&clipped);
        }
        if let (Some(average), Some(spec)) = (&mut self.average, &self.spec.ema) {
            // At a weight of 1 this gives the parameters themselves, to the bit.
            let _ = average.lerp_tensor_(&self.flat, &column(spec.iter().map(|s| s.rest(step)).collect()));
        }
        drop(guard);
    }

    /// The player's state of one run, in a fixed order.
    pub fn state(&self, run: usize) -> Vec<Named> {
        let mut out = Vec::new();
        for (suffix, tensor, learned_only) in self.parts() {
            let row = host::numbers(&tensor.get(run as i64));
            for (slot, param) in self.slots.iter().zip(&self.spec.plan.params) {
                if slot.learned || !learned_only {
                    out.push(Named {
                        name: format!("{}.{}{suffix}", self.spec.name, param.name),
                        shape: param.shape.clone(),
                        data: row[slot.offset..slot.offset + slot.len].to_vec(),
                    });
                }
            }
        }
        out
    }

    /// Takes over the state of one run; every name must be there with its shape.
    ///
    /// # Errors
    /// A sentence that names the first tensor that is missing or of another shape.
    pub fn load(&mut self, run: usize, state: &BTreeMap<String, (Vec<usize>, Vec<f32>)>) -> Result<(), String> {
        for (suffix, tensor, learned_only) in self.parts() {
            let mut row = host::numbers(&tensor.get(run as i64));
            for (slot, param) in self.slots.iter().zip(&self.spec.plan.params) {
                if !slot.learned && learned_only {
                    continue;
                }
                let name = format!("{}.{}{suffix}", self.spec.name, param.name);
                let (shape, data) = state.get(&name).ok_or_else(|| format!("it has no tensor `{name}`"))?;
                if *shape != param.shape {
                    return Err(format!("its tensor `{name}` has shape {shape:?}, expected {:?}", param.shape));
                }
                row[slot.offset..slot.offset + slot.len].copy_from_slice(data);
            }
            let len = row.len() as i64;
            tensor.get(run as i64).copy_(&host::tensor(&row, &[len], tensor.device()));
        }
        Ok(())
    }

    /// The first tensor of a run that holds a number that is not finite.
    pub fn not_finite(&self, run: usize) -> Option<String> {
        let row = host::numbers(&self.flat.get(run as i64));
        let bad = |slot: &Slot| row[slot.offset..slot.offset + slot.len].iter().any(|v| !v.is_finite());
        let place = self.slots.iter().position(bad)?;
        Some(format!("{}.{}", self.spec.name, self.spec.plan.params[place].name))
    }

    /// Keeps the runs at these places and lets the others go.
    pub fn keep(&mut self, runs: &[usize]) {
        let index =
            Tensor::from_slice(&runs.iter().map(|&r| r as i64).collect::<Vec<_>>()).to_device(self.flat.device());
        let all = self.buffers.iter_mut().chain(&mut self.average).chain(&mut self.history);
        for tensor in std::iter::once(&mut self.flat).chain(all) {
            *tensor = tensor.index_select(0, &index);
        }
        self.spec.optimizers = runs.iter().map(|&r| self.spec.optimizers[r].clone()).collect();
        self.spec.ema = self.spec.ema.as_ref().map(|e| runs.iter().map(|&r| e[r].clone()).collect());
        self.spec.clip = self.spec.clip.as_ref().map(|c| runs.iter().map(|&r| c[r]).collect());
        self.spec.history = self.spec.history.as_ref().map(|h| runs.iter().map(|&r| h[r]).collect());
        self.make_views();
    }

    /// What a checkpoint holds: a suffix, the buffer, and whether it is of the learned numbers alone.
    fn parts(&self) -> Vec<(String, Tensor, bool)> {
        let mut parts = vec![(String::new(), self.flat.shallow_clone(), false)];
        for (name, buffer) in self.spec.optimizers[0].buffers().iter().zip(&self.buffers) {
            parts.push((format!(":{name}"), buffer.shallow_clone(), true));
        }
        parts.extend(self.average.iter().map(|t| (":ema".to_owned(), t.shallow_clone(), false)));
        parts.extend(self.history.iter().map(|t| (":history".to_owned(), t.shallow_clone(), true)));
        parts
    }

    fn make_views(&mut self) {
        self.frozen = self.views(&self.flat);
        let leaves = self.views(&self.flat);
        self.leaves = leaves.into_iter().zip(&self.slots).map(|(t, slot)| t.set_requires_grad(slot.learned)).collect();
    }

    /// One tensor `[R, …]` a parameter over the memory of a buffer `[R, P]`.
    fn views(&self, flat: &Tensor) -> Vec<Tensor> {
        let runs = flat.size()[0];
        self.slots
            .iter()
            .zip(&self.spec.plan.params)
            .map(|(slot, param)| {
                let shape: Vec<i64> = std::iter::once(runs).chain(param.shape.iter().map(|&d| d as i64)).collect();
                // `data`, unlike `detach`, gives each view a version of its own: a statistic that moves during a
                // forward pass does not make autograd doubt the weights beside it.
                flat.narrow(1, slot.offset as i64, slot.len as i64).view(&shape[..]).data()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Each, Probability};
    use crate::nn::plan::{Head, Role, Wiring};
    use crate::nn::{InitSpec, NetworkSpec};

    const RUNS: usize = 3;
    const STEPS: u64 = 6;

    fn parsed<T: serde::de::DeserializeOwned>(toml: &str) -> T {
        toml::from_str::<toml::Table>(toml).expect("TOML").try_into().expect("a spec")
    }

    /// A network with a parameter that is not learned.
    fn plan() -> NetworkPlan {
        let network: NetworkSpec = parsed("mlp = { hidden = [3], norm = \"batch\" }");
        let wiring = Wiring {
            role: Role::Generator,
            input: vec![2],
            output: vec![2],
            classes: 0,
            labels_at_input: false,
            head: Head::Plain,
        };
        network.plan(&wiring, &InitSpec::Pytorch).expect("it fits")
    }

    /// Optimizers that differ from run to run in every number that runs of one pack may differ in.
    fn optimizers(kind: &str, clipped: bool) -> Vec<OptimizerSpec> {
        let own = match kind {
            "adam" | "adamw" => {
                ["betas = [0.5, 0.9], eps = 1e-3", "betas = [0.9, 0.999]", "betas = [0.0, 0.99], eps = 1e-6"]
            }
            "rmsprop" => ["alpha = 0.9, eps = 1e-3", "alpha = 0.99", "alpha = 0.5, eps = 1e-6"],
            _ => ["momentum = { constant = 0.5 }", "momentum = { constant = 0 }", "momentum = { constant = 0.9 }"],
        };
        let shared = ["lr = 0.01, weight-decay = 0.1", "lr = 0.1, warm-up = 3", "lr = 0.05, weight-decay = 0.02"];
        let longest = [0.1, 2.0, 1e3];
        let of_run = |run: usize| {
            let clip = if clipped { format!(", clip-norm = {}", longest[run]) } else { String::new() };
            parsed(&format!("{kind} = {{ {}, {}{clip} }}", shared[run], own[run]))
        };
        (0..RUNS).map(of_run).collect()
    }

    /// Equal within a few units in the last place of the largest number of each run.
    fn near(host: &Tensor, device: &Tensor, what: &str) {
        for run in 0..RUNS as i64 {
            let [host, device] = [host, device].map(|of| host::numbers(&of.get(run)));
            let largest = host.iter().fold(0f32, |most, v| most.max(v.abs()));
            for (a, b) in host.iter().zip(device) {
                assert!((a - b).abs() <= 2e-6 * largest, "{what}, run {run}: {a} on the host, {b} on a device");
            }
        }
    }

    #[test]
    fn a_device_updates_every_run_as_the_host_does() {
        let mut clipped_runs = [false; 2];
        for (case, kind) in (0..16).flat_map(|case| ["adam", "adamw", "rmsprop", "sgd"].map(|kind| (case, kind))) {
            let [clip, history, bound, average] = [1, 2, 4, 8].map(|bit| case & bit > 0);
            let what = format!("{kind}, clip {clip}, history {history}, bound {bound}, average {average}");
            let ema = |decay, start| EmaSpec { decay: Each::new(Probability::of(decay)), start };
            let spec = || PlayerSpec {
                name: "generator",
                index: 0,
                plan: plan(),
                optimizers: optimizers(kind, clip),
                ema: average.then(|| vec![ema(0.9, 3), ema(0.3, 0), ema(0.999, 3)]),
                clip: bound.then(|| vec![0.3, 0.5, 0.1]),
                history: history.then(|| vec![1.0, 0.1, 5.0]),
            };
            let [mut host, mut device] = [0; 2].map(|_| Player::new(spec(), &[1, 2, 3], Device::Cpu));
            for step in 0..STEPS {
                let mut noise = Stream::new(7, Purpose::Noise, 0, step);
                let mut gradients: Vec<Tensor> = Vec::new();
                for param in host.learned() {
                    let mut numbers = vec![0.0; param.numel()];
                    noise.fill_normal(&mut numbers, 0.0, 0.4);
                    gradients.push(host::tensor(&numbers, &param.size(), Device::Cpu));
                }
                // One parameter has no part in the loss.
                gradients[1] = Tensor::new();
                let square = |run: i64| -> f64 {
                    let norm = |g: &Tensor| g.get(run).norm().double_value(&[]).powi(2);
                    gradients.iter().filter(|g| g.defined()).map(norm).sum()
                };
                clipped_runs = [clipped_runs[0] || square(0) > 0.01, clipped_runs[1] || square(2) < 1e6];
                let rates = [1.0, 0.5, 0.25];
                host.update(&gradients, step, STEPS, Some(&rates));
                device.updates += 1;
                let moves = device.moves(step, STEPS, Some(&rates));
                device.update_on_device(&gradients, &moves, step);
                for ((suffix, a, _), (_, b, _)) in host.parts().iter().zip(device.parts()) {
                    near(a, &b, &format!("{what}, step {step}, `{suffix}`"));
                }
                if let (Some(of), true) = (&device.average, step < 3) {
                    assert_eq!(host::numbers(&of.get(0)), host::numbers(&device.flat.get(0)), "{what}: not started");
                }
            }
        }
        assert_eq!(clipped_runs, [true; 2], "some gradients are clipped, and some are not");
    }
}
