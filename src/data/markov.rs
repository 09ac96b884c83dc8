//! A chain of symbols whose law is known: a model of sequences can be held against the truth.

use super::{DataError, DataInfo, Examples, Source, Split, Truth};
use crate::base::{Array, Positive};
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Sequences in which each symbol is drawn by the `order` symbols before it. What follows what is drawn once, the same for
/// every run: the logarithms of chances are N(0, `sharpness`²) before they are brought to a sum of 1. A sequence begins
/// anywhere in the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MarkovSpec {
    /// How many symbols there are.
    #[serde(default = "MarkovSpec::symbols")]
    pub symbols: NonZeroU32,
    /// How many symbols before it a symbol depends on.
    #[serde(default = "MarkovSpec::order")]
    pub order: NonZeroU32,
    /// The length of an example.
    #[serde(default = "MarkovSpec::context")]
    pub context: NonZeroU32,
    /// How unequal chances are: near 0 all symbols are as likely, and the larger it is, the surer what follows.
    #[serde(default = "MarkovSpec::sharpness")]
    pub sharpness: Positive,
    /// How many classes there are, each as likely and a chain with a law of its own; no labels by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<NonZeroU32>,
}

impl MarkovSpec {
    fn symbols() -> NonZeroU32 {
        NonZeroU32::new(8).expect("8 is not 0")
    }
    fn order() -> NonZeroU32 {
        NonZeroU32::new(2).expect("2 is not 0")
    }
    fn context() -> NonZeroU32 {
        NonZeroU32::new(48).expect("48 is not 0")
    }
    fn sharpness() -> Positive {
        Positive::of(2.5)
    }

    /// The chain.
    ///
    /// # Errors
    /// If there are more symbols than characters for them, or more histories than anybody can mean.
    pub fn open(&self) -> Result<Markov, DataError> {
        let (symbols, order, context) = (self.symbols.get() as usize, self.order.get(), self.context.get() as usize);
        let most = alphabet().count();
        if !(2..=most).contains(&symbols) {
            return Err(DataError::Spec(format!("markov: expected 2 to {most} symbols, got {symbols}")));
        }
        let histories = symbols.checked_pow(order).filter(|n| *n <= 1 << 16);
        let Some(histories) = histories else {
            return Err(DataError::Spec(format!(
                "markov: {symbols} symbols have more than 65,536 histories of `order = {order}`; lower one of the two"
            )));
        };
        if context < order as usize {
            return Err(DataError::Spec(format!("markov: `context = {context}` is shorter than `order = {order}`")));
        }
        let classes = self.classes.map_or(0, NonZeroU32::get);
        if classes == 1 {
            return Err(DataError::Spec("markov: expected 2 `classes` or more, got 1; take it out".to_owned()));
        }
        let law = |class: u32| {
            let mut stream = Stream::new(0, Purpose::Data, 1, u64::from(class));
            let mut next = Vec::with_capacity(histories * symbols);
            for _ in 0..histories {
                let row: Vec<f64> =
                    (0..symbols).map(|_| (f64::from(stream.normal()) * self.sharpness.get()).exp()).collect();
                let sum: f64 = row.iter().sum();
                next.extend(row.iter().map(|v| v / sum));
            }
            Law { start: stationary(&next, symbols), next }
        };
        let chain = Chain { symbols, order: order as usize, laws: (0..classes.max(1)).map(law).collect() };
        let info = DataInfo {
            classes: classes as usize,
            range: Some((0.0, (symbols - 1) as f32)),
            levels: Some(symbols as u32),
            symbols: alphabet().take(symbols).collect(),
            truth: Truth::Chain(Box::new(chain.clone())),
            ..DataInfo::new(vec![context])
        };
        Ok(Markov { info, chain })
    }
}

/// What symbols look like, in their order.
fn alphabet() -> impl Iterator<Item = char> {
    ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("!?.,;:+-*/".chars())
}

/// The law of a chain, or those of the chains of all classes, each as likely.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    symbols: usize,
    order: usize,
    laws: Vec<Law>,
}

#[derive(Clone, Debug, PartialEq)]
struct Law {
    /// The chance of each history of `order` symbols, the oldest symbol first and counting most.
    start: Vec<f64>,
    /// The chance of each symbol after each history, a row a history.
    next: Vec<f64>,
}

impl Chain {
    /// log p of a sequence of places, in nats; −∞ where it has others than the chain's.
    pub fn log_p(&self, x: &[f32]) -> f64 {
        let terms = self.log_joint(x);
        let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY { most } else { most + terms.iter().map(|t| (t - most).exp()).sum::<f64>().ln() }
    }

    /// How many laws there are: one, or one a class.
    pub fn classes(&self) -> usize {
        self.laws.len()
    }

    /// log p of a sequence of places and of each class, in nats.
    pub fn log_joint(&self, x: &[f32]) -> Vec<f64> {
        let prior = (self.laws.len() as f64).ln();
        self.laws.iter().map(|law| self.log_p_of(law, x) - prior).collect()
    }

    fn log_p_of(&self, law: &Law, x: &[f32]) -> f64 {
        let places: Option<Vec<usize>> = x
            .iter()
            .map(|&v| (v >= 0.0 && v < self.symbols as f32 && v.fract() == 0.0).then_some(v as usize))
            .collect();
        let Some(places) = places else { return f64::NEG_INFINITY };
        let history = |at: usize| places[at - self.order..at].iter().fold(0, |sum, place| sum * self.symbols + place);
        let begin = law.start[history(self.order)].ln();
        let steps = self.order..places.len();
        begin + steps.map(|at| law.next[history(at) * self.symbols + places[at]].ln()).sum::<f64>()
    }
}

/// The chance of each history in a chain that has gone on for long.
fn stationary(next: &[f64], symbols: usize) -> Vec<f64> {
    let histories = next.len() / symbols;
    let mut now = vec![1.0 / histories as f64; histories];
    // Every symbol can follow every history, so that differences shrink with every step.
    for _ in 0..100_000 {
        let mut then = vec![0.0; histories];
        for (history, chance) in now.iter().enumerate() {
            for symbol in 0..symbols {
                then[(history * symbols + symbol) % histories] += chance * next[history * symbols + symbol];
            }
        }
        let moved: f64 = now.iter().zip(&then).map(|(a, b)| (a - b).abs()).sum();
        now = then;
        if moved < 1e-14 {
            break;
        }
    }
    now
}

/// Sequences of a chain.
#[derive(Clone, Debug)]
pub struct Markov {
    /// What is known of it.
    pub info: DataInfo,
    chain: Chain,
}

impl Markov {
    /// Sequences and, where there are classes, their labels.
    fn fill(&self, stream: &mut Stream, x: &mut [f32], labels: &mut [i64]) {
        let Chain { symbols, order, laws } = &self.chain;
        if self.info.classes > 0 {
            labels.iter_mut().for_each(|label| *label = i64::from(stream.below(laws.len() as u32)));
        }
        let mut drawn = |chances: &[f64]| {
            let mut left = f64::from(stream.uniform());
            let fits = |chance: &f64| {
                left -= chance;
                left < 0.0
            };
            chances.iter().position(fits).unwrap_or(chances.len() - 1)
        };
        for (sequence, label) in x.chunks_exact_mut(self.info.shape[0]).zip(labels) {
            let Law { start, next } = if self.info.classes > 0 { &laws[*label as usize] } else { &laws[0] };
            let mut history = drawn(start);
            let mut rest = history;
            for place in sequence[..*order].iter_mut().rev() {
                *place = (rest % symbols) as f32;
                rest /= symbols;
            }
            for place in &mut sequence[*order..] {
                let symbol = drawn(&next[history * symbols..][..*symbols]);
                *place = symbol as f32;
                history = (history * symbols + symbol) % start.len();
            }
        }
    }
}

impl Source for Markov {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn draw(&self, seed: u64, draw: u64, x: &mut [f32], labels: &mut [i64]) {
        self.fill(&mut Stream::new(seed, Purpose::Data, 0, draw), x, labels);
    }

    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples {
        let part = match split {
            Split::Test => 0xDA7A,
            Split::Train => 0xDA7B,
        };
        let (mut x, mut labels) = (vec![0.0; n * self.info.shape[0]], vec![0; n]);
        self.fill(&mut Stream::new(seed, Purpose::Data, part, 0), &mut x, &mut labels);
        if self.info.classes == 0 {
            labels.clear();
        }
        Examples { x: Array::new(vec![n, self.info.shape[0]], x), labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(toml: &str) -> Result<Markov, DataError> {
        toml::from_str::<MarkovSpec>(toml).expect("a spec").open()
    }

    /// Over all sequences of four symbols of two kinds the chances sum to 1, and those of every beginning to its chance.
    #[test]
    fn chances_of_all_sequences_sum_to_one() {
        let source = open("symbols = 3\norder = 2\ncontext = 5").expect("a chain");
        let mut total = 0.0;
        for code in 0..3usize.pow(5) {
            let x: Vec<f32> = (0..5).map(|place| (code / 3usize.pow(place) % 3) as f32).collect();
            total += source.chain.log_p(&x).exp();
        }
        assert!((total - 1.0).abs() < 1e-9, "{total}");
        assert_eq!(source.chain.log_p(&[0.0, 1.0, 3.0, 0.0, 0.0]), f64::NEG_INFINITY);
    }

    #[test]
    fn sequences_follow_the_law_that_is_told() {
        let source = open("symbols = 3\norder = 1\ncontext = 2").expect("a chain");
        let drawn = source.reference(Split::Test, 0, 200_000).x;
        let mut counts = [0.0; 9];
        (0..drawn.rows()).for_each(|i| counts[(drawn.row(i)[0] * 3.0 + drawn.row(i)[1]) as usize] += 1.0);
        for (code, count) in counts.iter().enumerate() {
            let p = source.chain.log_p(&[(code / 3) as f32, (code % 3) as f32]).exp();
            let share = count / drawn.rows() as f64;
            // Five standard errors.
            assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / drawn.rows() as f64).sqrt(), "{code}: {share} for {p}");
        }
    }

    #[test]
    fn classes_are_as_likely_and_the_law_of_the_first_is_that_of_a_chain_without() {
        let alone = open("symbols = 3\norder = 1\ncontext = 4").expect("a chain");
        let source = open("symbols = 3\norder = 1\ncontext = 4\nclasses = 2").expect("chains");
        assert_eq!((source.info.classes, alone.info.classes), (2, 0));
        assert_eq!(source.chain.laws[0], alone.chain.laws[0]);
        assert_ne!(source.chain.laws[1], alone.chain.laws[0]);
        let drawn = source.reference(Split::Test, 0, 100_000);
        let mut counts = [[0.0; 2]; 81];
        for i in 0..drawn.x.rows() {
            let code = drawn.x.row(i).iter().fold(0, |code, place| code * 3 + *place as usize);
            counts[code][drawn.labels[i] as usize] += 1.0;
        }
        for (code, counts) in counts.iter().enumerate() {
            let x = [code / 27, code / 9 % 3, code / 3 % 3, code % 3].map(|place| place as f32);
            let joint = source.chain.log_joint(&x);
            for (count, p) in counts.iter().zip(joint.iter().map(|joint| joint.exp())) {
                let share = count / drawn.x.rows() as f64;
                assert!((share - p).abs() < 5.0 * (p / drawn.x.rows() as f64).sqrt(), "{code}: {share} for {p}");
            }
            let whole = source.chain.log_p(&x).exp();
            assert!((joint.iter().map(|joint| joint.exp()).sum::<f64>() - whole).abs() < 1e-12);
        }
        assert!(alone.reference(Split::Test, 0, 3).labels.is_empty());
    }

    #[test]
    fn a_chain_that_nobody_can_mean_is_one_sentence() {
        assert!(open("symbols = 73").expect_err("wrong").to_string().contains("2 to 72 symbols"));
        assert!(open("symbols = 20\norder = 5").expect_err("wrong").to_string().contains("65,536 histories"));
        assert!(open("classes = 1").expect_err("wrong").to_string().contains("2 `classes` or more"));
        assert!(open("context = 1").expect_err("wrong").to_string().contains("shorter than"));
    }
}
