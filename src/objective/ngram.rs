//! Tables of n-grams: how likely each symbol is after the few before it, by how often it followed them in all training text.
//!
//! Papers: Witten and Bell 1991 (their method C), Kneser and Ney 1995, Chen and Goodman 1999 (of both, interpolated).
//!
//! A model of order n looks at the n − 1 symbols before. Where an example has not as many, at its beginning, it is the model of
//! the order that looks at those that are there. Texts are counted from end to end; of data that is drawn, the first
//! `examples` training examples of the run are, the same in every step.

use super::family::{Family, Surroundings, check_examples};
use super::sequence::chosen;
use super::{
    Batch, Cadence, Classify, Cx, Generate, Likelihoods, Nats, Objective, Product, Provides, RealDraw, Request, Turn,
    column, exactly, posteriors,
};
use crate::base::{Array, Positive, Problem, host};
use crate::data::{DataInfo, Examples, Source};
use crate::nn::ParamInit;
use crate::nn::plan::{NetworkPlan, ParamPlan, Wiring};
use crate::player::Player;
use crate::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use tch::{Device, Tensor};

/// Chances of symbols after the few before them, from counts over all training text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NgramSpec {
    /// How many symbols an n-gram has, that which is predicted counted: 1 looks at none before it, 2 (bigrams) at one.
    pub order: NonZeroU32,
    /// How many training examples are counted, of data that is drawn: the first of the run. Texts are counted
    /// from end to end, whatever this number is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<NonZeroU32>,
    /// What counts become chances by.
    #[serde(default)]
    pub smoothing: SmoothingKind,
    /// Whether each class has a table of its own, so that it names classes.
    #[serde(default)]
    pub by_class: bool,
    /// Samples are drawn from p^(1/temperature): below 1 likely symbols become likelier. Likelihoods are those of p.
    #[serde(default = "NgramSpec::temperature")]
    pub temperature: Positive,
    /// Samples are drawn from so many of the likeliest symbols alone; from all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<NonZeroU32>,
}

impl NgramSpec {
    /// How many examples of drawn data are counted.
    fn counted(&self) -> usize {
        self.examples.map_or(0, |examples| examples.get() as usize)
    }

    fn temperature() -> Positive {
        Positive::of(1.0)
    }
}

/// What counts become chances by. Each mixes what was counted with the chances of the next lower order, and the lowest with even
/// chances, so that nothing is impossible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SmoothingKind {
    /// After a history that t different symbols followed, n times in all, lower orders weigh t/(n + t) (Witten and Bell).
    #[default]
    WittenBell,
    /// Counts less a discount, of its own for 1, 2, and 3 or more; lower orders count how many different symbols stood before
    /// (modified Kneser-Ney of Chen and Goodman). Discounts that counts do not tell are 0.5, 1 and 1.5.
    KneserNey,
}

impl SmoothingKind {
    fn name(self) -> &'static str {
        match self {
            Self::WittenBell => "witten-bell",
            Self::KneserNey => "kneser-ney",
        }
    }
}

/// Histories grow with the order; a longer one is hardly ever seen twice.
const MOST: u32 = 16;
const PLAYER: &str = "counts";
/// What the state holds: the training text, of which all counts are a function and which is smaller than they are. Each piece
/// begins with −1 − its class.
const TEXT: &str = "text";

impl Family for NgramSpec {
    fn tag(&self) -> &'static str {
        "ngram"
    }

    fn players(&self) -> &'static [&'static str] {
        &[PLAYER]
    }

    fn is_fit(&self) -> bool {
        true
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        let wrong = |path: &str, message: String, help: &str| Err(Problem::at(path, message).with_help(help));
        if !info.is_text() {
            let message = "`ngram` is for sequences of symbols, and the data has none".to_owned();
            return wrong("algorithm.ngram", message, "take `text` or `markov` as data");
        }
        if self.by_class && info.classes < 2 {
            let message = "a table a class needs data with labels of two or more".to_owned();
            return wrong("algorithm.ngram.by-class", message, "say `classes` in `[data]`, or take `by-class` out");
        }
        let (order, context) = (self.order.get(), info.shape[0]);
        if order as usize > context {
            let message = format!("n-grams of {order} symbols do not fit into examples of {context}");
            return wrong("algorithm.ngram.order", message, "lower `order`, or take a longer `context` in `[data]`");
        }
        if order > MOST {
            let message = format!("expected an order of at most {MOST}, got {order}");
            return wrong("algorithm.ngram.order", message, "longer histories are hardly ever seen twice");
        }
        Ok(vec![])
    }

    fn memory(&self, _player: &str, info: &DataInfo) -> Vec<ParamPlan> {
        let len = match &info.texts[..] {
            [] => self.counted() * (1 + info.shape[0]),
            texts => texts.iter().map(|len| 1 + *len as usize).sum(),
        };
        let init = ParamInit::Constant(0.0);
        vec![ParamPlan { name: TEXT.to_owned(), shape: vec![len], init, learned: false, like: None }]
    }

    fn products(&self) -> &'static [Product] {
        match self.by_class {
            true => &[Product::Samples, Product::Likelihoods, Product::Classes],
            false => &[Product::Samples, Product::Likelihoods],
        }
    }

    fn about(&self, _player: &str, _info: &DataInfo) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn check_networks(&self, _: &[&NetworkPlan], info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
        let drawn = info.texts.is_empty();
        drawn.then(|| check_examples(self.tag(), self.examples, info, around)).flatten().into_iter().collect()
    }
}

/// Counts as they are, and counts of different symbols before.
const PLAIN: usize = 0;
const BEFORE: usize = 1;
/// The history of no symbols.
const ROOT: usize = 0;

/// What followed each history, as a tree: a child has one more symbol, before those of its parent.
struct Table {
    kind: SmoothingKind,
    order: usize,
    symbols: usize,
    children: HashMap<(u32, u16), u32>,
    rows: Vec<Row>,
    /// Of histories of each length, of both kinds of counts: what is taken from counts of 1, 2, and 3 or more.
    discounts: Vec<[[f64; 3]; 2]>,
}

/// What followed a history.
#[derive(Default)]
struct Row {
    parent: usize,
    length: usize,
    /// In the order of symbols.
    followers: Vec<(u16, [u32; 2])>,
    /// Of both kinds of counts: their sum, and how many are 1, 2, and 3 or more.
    sums: [(f64, [f64; 3]); 2],
}

impl Row {
    fn count(&self, symbol: u16) -> [u32; 2] {
        self.followers.binary_search_by_key(&symbol, |of| of.0).map_or([0; 2], |place| self.followers[place].1)
    }

    fn add(&mut self, symbol: u16, kind: usize) {
        let place = self.followers.binary_search_by_key(&symbol, |of| of.0).unwrap_or_else(|place| {
            self.followers.insert(place, (symbol, [0; 2]));
            place
        });
        self.followers[place].1[kind] += 1;
    }
}

impl Table {
    /// Counts these texts from end to end.
    fn of<'a>(texts: impl Iterator<Item = &'a [u16]>, spec: &NgramSpec, symbols: usize) -> Self {
        let (kind, order) = (spec.smoothing, spec.order.get() as usize);
        let (children, rows) = (HashMap::new(), vec![Row::default()]);
        let mut table = Self { kind, order, symbols, children, rows, discounts: vec![] };
        for text in texts {
            for (at, &symbol) in text.iter().enumerate() {
                let mut node = ROOT;
                table.rows[node].add(symbol, PLAIN);
                for back in 1..=at.min(order - 1) {
                    node = table.child(node, text[at - back]);
                    table.rows[node].add(symbol, PLAIN);
                }
            }
        }
        for node in 1..table.rows.len() {
            let followers: Vec<u16> = table.rows[node].followers.iter().map(|of| of.0).collect();
            let parent = table.rows[node].parent;
            followers.into_iter().for_each(|symbol| table.rows[parent].add(symbol, BEFORE));
        }
        let mut counted = vec![[[0.0; 4]; 2]; order];
        for row in &mut table.rows {
            for (_, counts) in &row.followers {
                for (kind, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                    row.sums[kind].0 += f64::from(count);
                    row.sums[kind].1[(count as usize).min(3) - 1] += 1.0;
                    if count <= 4 {
                        counted[row.length][kind][count as usize - 1] += 1.0;
                    }
                }
            }
        }
        table.discounts = counted.iter().map(|kinds| kinds.map(|n| discounts(&n))).collect();
        table
    }

    fn child(&mut self, parent: usize, symbol: u16) -> usize {
        let (next, length) = (self.rows.len(), self.rows[parent].length + 1);
        let index = |node: usize| u32::try_from(node).expect("fewer histories than a text has symbols");
        let node = *self.children.entry((index(parent), symbol)).or_insert_with(|| index(next)) as usize;
        if node == next {
            self.rows.push(Row { parent, length, ..Row::default() });
        }
        node
    }

    /// What is known of a history, the shortest end of it first, and which counts count there.
    fn path(&self, history: &[u16]) -> Vec<(&Row, usize)> {
        let wanted = history.len().min(self.order - 1);
        let kind =
            |length: usize| if length == wanted || self.kind == SmoothingKind::WittenBell { PLAIN } else { BEFORE };
        let mut path = vec![(&self.rows[ROOT], kind(0))];
        let mut node = ROOT as u32;
        for (symbol, length) in history.iter().rev().zip(1..=wanted) {
            let Some(&next) = self.children.get(&(node, *symbol)) else { break };
            node = next;
            path.push((&self.rows[node as usize], kind(length)));
        }
        path
    }

    /// The chance of a symbol after such a history.
    fn chance(&self, path: &[(&Row, usize)], symbol: u16) -> f64 {
        let mut chance = 1.0 / self.symbols as f64;
        for &(row, kind) in path {
            let (sum, kinds) = row.sums[kind];
            if sum == 0.0 {
                continue;
            }
            let count = row.count(symbol)[kind];
            let different: f64 = kinds.iter().sum();
            chance = match self.kind {
                SmoothingKind::WittenBell => (f64::from(count) + different * chance) / (sum + different),
                SmoothingKind::KneserNey => {
                    let off = &self.discounts[row.length][kind];
                    let left: f64 = kinds.iter().zip(off).map(|(n, off)| n * off).sum();
                    let own = if count == 0 { 0.0 } else { f64::from(count) - off[(count as usize).min(3) - 1] };
                    (own + left * chance) / sum
                }
            };
        }
        chance
    }

    /// log p of a text in nats.
    fn log_p(&self, text: &[u16]) -> f64 {
        let of_place = |at: usize| {
            let from = at.saturating_sub(self.order - 1);
            self.chance(&self.path(&text[from..at]), text[at]).ln()
        };
        (0..text.len()).map(of_place).sum()
    }
}

/// What is taken from counts of 1, 2, and 3 or more, by how many counts are 1, 2, 3 and 4 (Chen and Goodman 1999, section 3.4).
fn discounts(n: &[f64; 4]) -> [f64; 3] {
    let y = n[0] / (n[0] + 2.0 * n[1]);
    let found = [1.0, 2.0, 3.0].map(|k| k - (k + 1.0) * y * n[k as usize] / n[k as usize - 1]);
    let are_some =
        n.iter().all(|n| *n > 0.0) && found.iter().zip(1..).all(|(off, k)| *off > 0.0 && *off <= f64::from(k));
    if are_some { found } else { [0.5, 1.0, 1.5] }
}

/// The tables of a run, with log p of each class.
struct Tables {
    of: Vec<Table>,
    log_priors: Vec<f64>,
}

/// The counts of a pack's runs.
pub struct Ngram {
    specs: Vec<NgramSpec>,
    /// What each run counts, as its state holds it.
    texts: Vec<Vec<f32>>,
    info: DataInfo,
    device: Device,
    /// What the states said when they were last asked, and what follows.
    known: RefCell<Vec<Option<(Vec<f32>, Rc<Tables>)>>>,
    complaints: Vec<Option<String>>,
}

impl Ngram {
    /// The objective of a pack, a spec a run.
    pub fn new(specs: &[&NgramSpec], sources: &[Arc<dyn Source>], seeds: &[u64], device: Device) -> Self {
        let info = sources[0].info().clone();
        let of_run = |((source, &seed), spec): ((&Arc<dyn Source>, &u64), &&NgramSpec)| -> Vec<f32> {
            let piece = |(x, label): (&[f32], i64)| [&[-1.0 - label as f32], x].concat();
            let texts = source.texts();
            if !texts.is_empty() {
                return texts.iter().flat_map(|(x, label)| piece((x, *label))).collect();
            }
            let (context, n) = (info.shape[0], spec.counted());
            let (mut x, mut labels) = (vec![0.0; n * context], vec![0; n]);
            source.draw(seed, 0, &mut x, &mut labels);
            x.chunks_exact(context).zip(labels).flat_map(piece).collect()
        };
        Self {
            specs: specs.iter().map(|&spec| spec.clone()).collect(),
            texts: sources.iter().zip(seeds).zip(specs).map(of_run).collect(),
            known: RefCell::new(seeds.iter().map(|_| None).collect()),
            complaints: vec![None; seeds.len()],
            info,
            device,
        }
    }

    /// Of how many groups of examples there is a table each.
    fn groups(&self) -> usize {
        if self.specs[0].by_class { self.info.classes } else { 1 }
    }

    /// The pieces of a state with the group of each. What comes before the first is nothing yet.
    fn pieces(&self, state: &[f32]) -> Vec<(usize, Vec<u16>)> {
        let mut pieces: Vec<(usize, Vec<u16>)> = Vec::new();
        for &number in state {
            if number < 0.0 {
                let class = (-1.0 - number) as usize;
                pieces.push((if self.specs[0].by_class { class } else { 0 }, vec![]));
            } else if let Some((_, piece)) = pieces.last_mut() {
                piece.push(number as u16);
            }
        }
        pieces
    }

    /// What follows from the state of a run.
    fn read(&self, player: &Player, run: usize) -> Rc<Tables> {
        let state = host::numbers(&player.memory(TEXT).get(run as i64));
        let mut known = self.known.borrow_mut();
        if let Some((_, tables)) = known[run].as_ref().filter(|(last, _)| *last == state) {
            return tables.clone();
        }
        let (pieces, spec, symbols) = (self.pieces(&state), &self.specs[run], self.info.symbols.len());
        let table = |group: usize| {
            let own = pieces.iter().filter(|(of, _)| *of == group).map(|(_, piece)| &piece[..]);
            Table::of(own, spec, symbols)
        };
        // As often as examples are cut from the texts of a class.
        let examples = |group: usize| -> usize {
            let own = pieces.iter().filter(|(of, _)| *of == group);
            own.map(|(_, piece)| (piece.len() + 1).saturating_sub(self.info.shape[0])).sum()
        };
        let counts: Vec<usize> = (0..self.groups()).map(examples).collect();
        let all = counts.iter().sum::<usize>() as f64;
        let prior = |count: &usize| if all > 0.0 { *count as f64 / all } else { 1.0 / counts.len() as f64 };
        let tables = Rc::new(Tables {
            of: (0..self.groups()).map(table).collect(),
            log_priors: counts.iter().map(|count| prior(count).ln()).collect(),
        });
        known[run] = Some((state, tables.clone()));
        tables
    }

    /// Counts, and gives the bits a symbol that the counted text itself then takes.
    fn count(&self, player: &Player, run: usize) -> Result<f64, String> {
        let memory = player.memory(TEXT);
        memory.get(run as i64).copy_(&Tensor::from_slice(&self.texts[run]).to_device(memory.device()));
        let pieces = self.pieces(&self.texts[run]);
        if let Some(class) = (0..self.groups()).find(|class| !pieces.iter().any(|(of, _)| of == class)) {
            let n = pieces.len();
            return Err(format!("class {class} has none of the {n} examples; count more `examples`"));
        }
        let tables = self.read(player, run);
        let nats: f64 = pieces.iter().map(|(group, piece)| tables.of[*group].log_p(piece)).sum();
        let symbols: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
        Ok(-nats / (symbols as f64 * std::f64::consts::LN_2))
    }

    /// log of prior and chance of each group at each example, `[n][groups]`, for every run.
    fn joint(&self, players: &[Player], x: &Array) -> Vec<Vec<Vec<f64>>> {
        let of_run = |run: usize| {
            let tables = self.read(&players[0], run);
            let at = |i: usize| -> Vec<f64> {
                let text: Vec<u16> = x.row(i).iter().map(|&place| place as u16).collect();
                tables.of.iter().zip(&tables.log_priors).map(|(table, prior)| prior + table.log_p(&text)).collect()
            };
            (0..x.rows()).map(at).collect()
        };
        (0..self.specs.len()).map(of_run).collect()
    }
}

impl Objective for Ngram {
    fn turns(&self) -> &'static [Turn] {
        &[Turn { moves: &[], cadence: Cadence::Once, real: RealDraw::Nothing }]
    }

    fn loss(&mut self, _turn: usize, _batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let _guard = tch::no_grad_guard();
        let mut bits = Vec::with_capacity(self.specs.len());
        for run in 0..self.specs.len() {
            let found = self.count(&cx.players[0], run);
            bits.push(*found.as_ref().unwrap_or(&f64::NAN));
            self.complaints[run] = found.err();
        }
        let bits = column(bits.into_iter(), self.device);
        cx.record("fit/bits", || bits.shallow_clone());
        bits
    }

    fn scalars(&self) -> Vec<&'static str> {
        vec!["fit/bits"]
    }

    fn complaint(&self, run: usize) -> Option<String> {
        self.complaints[run].clone()
    }

    fn provides(&self) -> Provides<'_> {
        Provides {
            samples: Some(self),
            likelihoods: Some(self),
            classes: self.specs[0].by_class.then_some(self),
            ..Provides::default()
        }
    }
}

impl Generate for Ngram {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let context = self.info.shape[0];
        let labels = super::round(if self.specs[0].by_class { self.info.classes } else { 0 }, request);
        let of_run = |(run, mut stream): (usize, Stream)| {
            let (tables, spec) = (self.read(&players[0], run), &self.specs[run]);
            let mut chance = vec![0.0; request.n * context];
            stream.fill_uniform(&mut chance, 0.0, 1.0);
            let mut data = Vec::with_capacity(chance.len());
            for (i, chance) in chance.chunks_exact(context).enumerate() {
                let table = &tables.of[labels.get(i).map_or(0, |label| *label as usize)];
                let mut text: Vec<u16> = Vec::with_capacity(context);
                for &chance in chance {
                    let path = table.path(&text[text.len().saturating_sub(table.order - 1)..]);
                    let logits: Vec<f32> =
                        (0..table.symbols).map(|symbol| table.chance(&path, symbol as u16).ln() as f32).collect();
                    text.push(chosen(&logits, spec.temperature, spec.top_k, chance) as u16);
                }
                data.extend(text.into_iter().map(f32::from));
            }
            Examples { x: Array::new(vec![request.n, context], data), labels: labels.clone() }
        };
        request.streams(request.purpose).into_iter().enumerate().map(of_run).collect()
    }
}

impl Classify for Ngram {
    fn classify(&self, players: &[Player], x: &Array, _averaged: bool) -> Vec<Array> {
        self.joint(players, x).iter().map(|joint| posteriors(joint, self.info.classes)).collect()
    }
}

impl Likelihoods for Ngram {
    fn likelihoods(&self, players: &[Player], real: &Examples, _: &[u32], _: &[u64], _: bool) -> Vec<Vec<Nats>> {
        self.joint(players, &real.x).iter().map(|joint| vec![exactly(joint)]).collect()
    }

    fn kind(&self) -> String {
        format!("mass levels={}", self.info.symbols.len())
    }

    fn law(&self) -> String {
        format!("counts {}", self.specs[0].smoothing.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::markov::MarkovSpec;
    use crate::data::{Split, Truth};
    use crate::player::{OptimizerSpec, PlayerSpec};
    use crate::rng::Purpose;

    fn spec(toml: &str) -> NgramSpec {
        toml::from_str(toml).expect("a spec")
    }

    /// A model of one run, nothing counted yet.
    fn begun(spec: &NgramSpec, source: Arc<dyn Source>, examples: u32) -> (Ngram, Vec<Player>) {
        let spec = &NgramSpec { examples: NonZeroU32::new(examples), ..spec.clone() };
        spec.wirings(source.info()).expect("it fits");
        let plan = NetworkPlan::memory(spec.memory(PLAYER, source.info()));
        let optimizers = vec![OptimizerSpec::still()];
        let player = PlayerSpec { name: PLAYER, index: 0, plan, optimizers, ema: None, clip: None, history: None };
        let players = vec![Player::new(player, &[3], Device::Cpu)];
        (Ngram::new(&[spec], &[source], &[3], Device::Cpu), players)
    }

    fn markov(toml: &str) -> Arc<dyn Source> {
        Arc::new(toml::from_str::<MarkovSpec>(toml).expect("a spec").open().expect("a chain"))
    }

    /// As `text` of `ngram.py`.
    fn text(n: usize, mut state: u64) -> Vec<u16> {
        let mut made: Vec<u16> = Vec::with_capacity(n);
        for _ in 0..n {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            let u = (state >> 16) as f64 / f64::from(1 << 15);
            // Symbol a is number 97 there.
            let last = made.last().map_or(0, |last| last + 97);
            made.push(((u * u * u * 10.0) as u16 + last) % 10);
        }
        made
    }

    fn places(text: &str) -> Vec<u16> {
        text.bytes().map(|byte| u16::from(byte - b'a')).collect()
    }

    /* ngram.py: the formulas as the papers write them, over strings */
    #[test]
    fn chances_are_those_of_the_formulas() {
        let texts = [text(500, 1), text(200, 2)];
        for (smoothing, expected, nats) in [
            (
                "witten-bell",
                [
                    0.101_408_450_704,
                    0.061_383_490_818,
                    0.064_386_317_907,
                    0.038_547_071_905,
                    0.403_173_563_344,
                    0.039_103_039_288,
                ],
                -56.708_922_201_684,
            ),
            (
                "kneser-ney",
                [
                    0.101_428_571_429,
                    0.052_287_862_513,
                    0.042_428_190_205,
                    0.038_718_394_354,
                    0.273_917_322_374,
                    0.062_132_174_760,
                ],
                -55.965_868_371_722,
            ),
        ] {
            let spec = spec(&format!("order = 3\nsmoothing = '{smoothing}'"));
            let table = Table::of(texts.iter().map(|text| &text[..]), &spec, 10);
            let asked = [("", "a"), ("a", "b"), ("jc", "a"), ("ab", "c"), ("dd", "a"), ("gb", "b")];
            for ((history, symbol), expected) in asked.iter().zip(expected) {
                let path = table.path(&places(history));
                let found = table.chance(&path, places(symbol)[0]);
                assert!((found - expected).abs() < 1e-11, "{smoothing} {history} {symbol}: {found} for {expected}");
                let all: f64 = (0..10).map(|symbol| table.chance(&path, symbol)).sum();
                assert!((all - 1.0).abs() < 1e-12, "{all}");
            }
            let found = table.log_p(&text(30, 3));
            assert!((found - nats).abs() < 1e-9, "{smoothing}: {found} for {nats}");
        }
    }

    #[test]
    fn a_model_of_the_right_order_comes_near_the_law_and_one_of_a_lower_does_not() {
        let source = markov("symbols = 5\norder = 2\ncontext = 24");
        let real = source.reference(Split::Test, 0, 2000);
        let Truth::Chain(law) = &source.info().truth else { panic!("a chain has a law") };
        let truth: f64 = (0..2000).map(|i| law.log_p(real.x.row(i))).sum::<f64>() / 2000.0;
        let gap = |text: &str| {
            let (model, players) = begun(&spec(text), source.clone(), 2000);
            model.count(&players[0], 0).expect("it counts");
            let nats = Likelihoods::likelihoods(&model, &players, &real, &[], &[3], false).remove(0).remove(0);
            let mean = nats.of.iter().map(|v| f64::from(*v)).sum::<f64>() / 2000.0;
            (truth - mean) / (24.0 * std::f64::consts::LN_2)
        };
        for smoothing in ["witten-bell", "kneser-ney"] {
            let bits = gap(&format!("order = 3\nsmoothing = '{smoothing}'"));
            assert!((-0.002..0.01).contains(&bits), "{smoothing}: {bits}");
        }
        assert!(gap("order = 2") > 0.1);
    }

    #[test]
    fn before_anything_is_counted_all_symbols_are_as_likely() {
        let source = markov("symbols = 5\ncontext = 6");
        let (model, players) = begun(&spec("order = 3"), source.clone(), 10);
        let real = source.reference(Split::Test, 0, 2);
        let nats = Likelihoods::likelihoods(&model, &players, &real, &[], &[3], false).remove(0).remove(0);
        assert!(nats.of.iter().all(|nats| (nats + 6.0 * 5f32.ln()).abs() < 1e-5), "{:?}", nats.of);
    }

    #[test]
    fn samples_follow_the_chances_that_the_model_tells() {
        let source = markov("symbols = 3\ncontext = 3");
        let (model, players) = begun(&spec("order = 3\nsmoothing = 'kneser-ney'"), source, 40);
        model.count(&players[0], 0).expect("it counts");
        let (seeds, purpose, n) = (&[4][..], Purpose::Sample, 20_000);
        let request = Request { seeds, purpose, index: 0, n, label: None, averaged: false };
        let made = model.generate(&players, &request).remove(0).x;
        let table = &model.read(&players[0], 0).of[0];
        for code in 0..27u16 {
            let text = [code / 9, code / 3 % 3, code % 3];
            let p = table.log_p(&text).exp();
            let same = |i: usize| made.row(i).iter().zip(text).all(|(a, b)| *a == f32::from(b));
            let share = (0..n).filter(|&i| same(i)).count() as f64 / n as f64;
            assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt() + 1e-4, "{text:?}: {share} for {p}");
        }
    }

    /// Of 3,000 examples two standard errors are 0.018.
    #[test]
    fn a_table_a_class_names_classes_nearly_as_well_as_the_law() {
        let source = markov("symbols = 4\norder = 1\ncontext = 12\nclasses = 3\nsharpness = 0.6");
        let (model, players) = begun(&spec("order = 2\nby-class = true"), source.clone(), 6000);
        model.count(&players[0], 0).expect("it counts");
        let real = source.reference(Split::Test, 0, 3000);
        let said = model.classify(&players, &real.x, false).remove(0);
        let Truth::Chain(law) = &source.info().truth else { panic!("a chain has a law") };
        let best = |row: &[f64]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("three") as i64;
        let (mut right, mut best_right) = (0.0, 0.0);
        for (i, &label) in real.labels.iter().enumerate() {
            let row: Vec<f64> = said.row(i).iter().map(|v| f64::from(*v)).collect();
            assert!((row.iter().map(|v| v.exp()).sum::<f64>() - 1.0).abs() < 1e-5);
            right += f64::from(u8::from(best(&row) == label)) / 3000.0;
            best_right += f64::from(u8::from(best(&law.log_joint(real.x.row(i))) == label)) / 3000.0;
        }
        assert!((0.5..0.95).contains(&best_right), "{best_right}");
        assert!((right - best_right).abs() < 0.018, "{right} for {best_right}");
        let request =
            Request { seeds: &[3], purpose: Purpose::Sample, index: 0, n: 4, label: Some(2), averaged: false };
        assert_eq!(model.generate(&players, &request)[0].labels, [2; 4]);
    }

    #[test]
    fn a_class_without_examples_is_said() {
        let source = markov("symbols = 4\nclasses = 70\ncontext = 4");
        let (model, players) = begun(&spec("order = 2\nby-class = true"), source, 8);
        let told = model.count(&players[0], 0).expect_err("there are too few");
        assert_eq!(told, "class 0 has none of the 8 examples; count more `examples`");
    }
}
