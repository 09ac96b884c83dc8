//! Layers over sequences `[R, B, T, D]`: all places at once for training, or one symbol after the other from what the
//! symbols before have left.
//!
//! Papers: arXiv:1406.1078 (GRU), Hochreiter and Schmidhuber 1997 (LSTM), arXiv:1706.03762 (attention).

use super::activation::activate;
use super::plan::{Block, Cell, Embedding, Linear, NetworkPlan, PlaceNorm, Recurrent, Role, Step};
use super::spec::ActivationSpec;
use super::{dense, weight};
use crate::base::unbound;
use tch::{Kind, Tensor};

/// As PyTorch has it.
const EPS: f64 = 1e-5;

/// Places of symbols `[R, B, T]` to the vectors of the symbols before them, each with that of its label (`[R, B, classes]` of
/// zeros and ones) where labels are looked at.
pub(super) fn embed(embedding: &Embedding, x: &Tensor, params: &[Tensor], one_hot: Option<&Tensor>) -> Tensor {
    let (runs, batch, places) = x.size3().expect("sequences are [runs, batch, places]");
    let symbols = embedding.symbols as i64;
    let begin = Tensor::full([runs, batch, 1], symbols, (Kind::Int64, x.device()));
    let before = Tensor::cat(&[begin, x.narrow(2, 0, places - 1).round().to_kind(Kind::Int64)], 2);
    // The tables of all runs one below the other.
    let table = &params[embedding.table];
    let first = (Tensor::arange(runs, (Kind::Int64, x.device())) * (symbols + 1)).view([runs, 1, 1]);
    let chosen = (before + first).view([-1]);
    let mut vectors = table.flatten(0, 1).index_select(0, &chosen).view([runs, batch, places, -1]);
    if let Some(positions) = embedding.positions {
        vectors = vectors + params[positions].unsqueeze(1);
    }
    if let Some(label) = embedding.label {
        let one_hot = one_hot.expect("a network that looks at labels is given labels");
        vectors = vectors + dense::product(one_hot, &params[label], None).unsqueeze(2);
    }
    vectors
}

/// A layer norm over the last dimension of `[R, B, T, D]`.
pub(super) fn norm(norm: PlaceNorm, x: &Tensor, params: &[Tensor]) -> Tensor {
    let at_each_place = |index: usize| params[index].unsqueeze(1).unsqueeze(1);
    normal(x) * at_each_place(norm.gain) + at_each_place(norm.bias)
}

fn normal(x: &Tensor) -> Tensor {
    x.layer_norm([x.size()[x.dim() - 1]], None::<&Tensor>, None, EPS, false)
}

/// The states of a recurrent layer at each position, run after run: libtorch's layers have no axis of runs.
///
/// Always in float32: under autocast, libtorch computes cuDNN's GRU and LSTM in float16, whatever type was asked for, and
/// without scaled losses the gradients underflow.
pub(super) fn recurrent(layer: &Recurrent, x: &Tensor, params: &[Tensor], train: bool) -> Tensor {
    unbound::in_float32(x.device(), || recurrent_in_float32(layer, &x.to_kind(Kind::Float), params, train))
}

fn recurrent_in_float32(layer: &Recurrent, x: &Tensor, params: &[Tensor], train: bool) -> Tensor {
    let (runs, batch) = (x.size()[0], x.size()[1]);
    let begin = Tensor::zeros([1, batch, layer.width as i64], (x.kind(), x.device()));
    let of_run = |run: i64| {
        let weights: Vec<Tensor> = layer.weights.iter().map(|&index| params[index].select(0, run)).collect();
        let x = x.select(0, run);
        match layer.cell {
            Cell::Gru => x.gru(&begin, &weights, true, 1, 0.0, train, false, true).0,
            Cell::Lstm => {
                x.lstm(&[&begin, &begin], &weights.iter().collect::<Vec<_>>(), true, 1, 0.0, train, false, true).0
            }
        }
    };
    Tensor::stack(&(0..runs).map(of_run).collect::<Vec<_>>(), 0)
}

/// Queries, keys and values `[R, B, T, 3·D]` to what each place takes of those up to it, `[R, B, T, D]`.
pub(super) fn attend(asked: &Tensor, heads: i64) -> Tensor {
    let size = asked.size();
    let (runs, batch, places, width) = (size[0], size[1], size[2], size[3] / 3);
    let parts = asked.view([runs * batch, places, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
    let (q, k, v) = (parts.get(0), parts.get(1), parts.get(2));
    let said = Tensor::scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, true, None, false);
    said.transpose(1, 2).reshape([runs, batch, places, width])
}

/// A network over sequences of one run, asked for one symbol after the other: what earlier symbols left is kept, so that a
/// symbol costs one symbol's work and not a whole sequence's.
pub struct Scribe {
    nodes: Vec<Node>,
    at: i64,
    batch: i64,
}

/// A layer with what it keeps. Vectors are `[B, D]`.
enum Node {
    Embedding { table: Tensor, positions: Option<Tensor>, label: Option<Tensor>, begin: i64 },
    Place(Dense),
    Norm(Affine),
    Activation(ActivationSpec),
    Gru { weights: Vec<Tensor>, state: Tensor },
    Lstm { weights: Vec<Tensor>, state: [Tensor; 2] },
    Block(Box<KeptBlock>),
}

struct Dense {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Dense {
    fn of(linear: &Linear, params: &[Tensor]) -> Self {
        // A copy, whose place in memory does not depend on the pack.
        let weight = weight::effective(&linear.weight, params, false).squeeze_dim(0).copy();
        Self { weight, bias: linear.bias.map(|index| params[index].view([1, -1])) }
    }

    fn at(&self, x: &Tensor) -> Tensor {
        match &self.bias {
            Some(bias) => bias.addmm(x, &self.weight),
            None => x.mm(&self.weight),
        }
    }
}

struct Affine {
    gain: Tensor,
    bias: Tensor,
}

impl Affine {
    fn of(norm: PlaceNorm, params: &[Tensor]) -> Self {
        Self { gain: params[norm.gain].view([1, -1]), bias: params[norm.bias].view([1, -1]) }
    }

    fn at(&self, x: &Tensor) -> Tensor {
        normal(x) * &self.gain + &self.bias
    }
}

struct KeptBlock {
    before_attention: Affine,
    asked: Dense,
    joined: Dense,
    before_hidden: Affine,
    hidden: Dense,
    out: Dense,
    /// Keys and values so far, `[B, heads, T, D/heads]`.
    kept: [Tensor; 2],
}

impl KeptBlock {
    fn of(block: &Block, params: &[Tensor], batch: i64, places: i64) -> Self {
        let asked = Dense::of(&block.asked, params);
        let (width, heads) = (asked.weight.size()[0], block.heads as i64);
        let kept = || Tensor::zeros([batch, heads, places, width / heads], (Kind::Float, asked.weight.device()));
        Self {
            kept: [kept(), kept()],
            before_attention: Affine::of(block.before_attention, params),
            joined: Dense::of(&block.joined, params),
            before_hidden: Affine::of(block.before_hidden, params),
            hidden: Dense::of(&block.hidden, params),
            out: Dense::of(&block.out, params),
            asked,
        }
    }

    fn at(&mut self, x: &Tensor, at: i64) -> Tensor {
        let (batch, width) = x.size2().expect("a vector an example");
        let heads = self.kept[0].size()[1];
        let asked = self.asked.at(&self.before_attention.at(x)).view([batch, 3, heads, width / heads]);
        for (kept, part) in self.kept.iter().zip(1..) {
            kept.select(2, at).copy_(&asked.select(1, part));
        }
        let [keys, values] = self.kept.each_ref().map(|kept| kept.narrow(2, 0, at + 1));
        let scale = ((width / heads) as f64).sqrt();
        let query = asked.select(1, 0).unsqueeze(2) / scale;
        let shares = query.matmul(&keys.transpose(2, 3)).softmax(-1, Kind::Float);
        let said = shares.matmul(&values).view([batch, width]);
        let x = x + self.joined.at(&said);
        let more = self.out.at(&self.hidden.at(&self.before_hidden.at(&x)).gelu("none"));
        x + more
    }
}

impl Scribe {
    /// For `batch` sequences of a run, whose parameters are `[1, …]`, with a label each where the network looks at labels.
    ///
    /// # Panics
    /// If it does and there are none.
    pub fn new(plan: &NetworkPlan, params: &[Tensor], batch: i64, labels: Option<&Tensor>) -> Self {
        let state = |width: usize| Tensor::zeros([batch, width as i64], (Kind::Float, params[0].device()));
        let node = |step: &Step| match step {
            Step::Embedding(embedding) => Some(Node::Embedding {
                table: params[embedding.table].squeeze_dim(0),
                positions: embedding.positions.map(|index| params[index].squeeze_dim(0)),
                label: embedding.label.map(|index| {
                    let labels = labels.expect("a network that looks at labels is given labels");
                    params[index].squeeze_dim(0).index_select(0, labels)
                }),
                begin: embedding.symbols as i64,
            }),
            Step::Place(linear) => Some(Node::Place(Dense::of(linear, params))),
            Step::PlaceNorm(norm) => Some(Node::Norm(Affine::of(*norm, params))),
            Step::Activation(activation) => Some(Node::Activation(*activation)),
            Step::Recurrent(layer) => {
                let weights = layer.weights.iter().map(|&index| params[index].squeeze_dim(0)).collect();
                Some(match layer.cell {
                    Cell::Gru => Node::Gru { weights, state: state(layer.width) },
                    Cell::Lstm => Node::Lstm { weights, state: [state(layer.width), state(layer.width)] },
                })
            }
            Step::Block(block) => {
                Some(Node::Block(Box::new(KeptBlock::of(block, params, batch, plan.input[0] as i64))))
            }
            // Dropout, which is for training.
            _ => None,
        };
        Self { nodes: plan.steps.iter().filter_map(node).collect(), at: 0, batch }
    }

    /// What the network says of the next symbol, `[B, symbols]`, given the one before it, `[B]`; nothing at the first place.
    ///
    /// # Panics
    /// Beyond the places that the network has learned.
    pub fn next(&mut self, before: Option<&[i64]>) -> Tensor {
        let at = self.at;
        self.at += 1;
        let mut x = Tensor::new();
        for node in &mut self.nodes {
            x = match node {
                Node::Embedding { table, positions, label, begin } => {
                    let chosen = match before {
                        Some(symbols) => Tensor::from_slice(symbols).to_device(table.device()),
                        None => Tensor::from_slice(&[*begin]).to_device(table.device()),
                    };
                    let vectors = table.index_select(0, &chosen).expand([self.batch, -1], false);
                    let vectors = match positions {
                        Some(positions) => vectors + positions.narrow(0, at, 1),
                        None => vectors.contiguous(),
                    };
                    match label {
                        Some(label) => vectors + &*label,
                        None => vectors,
                    }
                }
                Node::Place(dense) => dense.at(&x),
                Node::Norm(affine) => affine.at(&x),
                Node::Activation(activation) => activate(&x, *activation, Role::Predictor),
                Node::Gru { weights: w, state } => {
                    *state = x.gru_cell(state, &w[0], &w[1], Some(&w[2]), Some(&w[3]));
                    state.shallow_clone()
                }
                Node::Lstm { weights: w, state } => {
                    let (hidden, cell) = x.lstm_cell(&[&state[0], &state[1]], &w[0], &w[1], Some(&w[2]), Some(&w[3]));
                    *state = [hidden, cell];
                    state[0].shallow_clone()
                }
                Node::Block(block) => block.at(&x, at),
            };
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::script::Script;
    use crate::nn::trial::{assert_near, generator, numbers, pack, planned, said, tensor};
    use crate::nn::{Head, Wiring};
    use tch::CModule;

    const PLACES: usize = 6;
    const SYMBOLS: usize = 5;
    const DEEP: &str = "{ layers = [{ embedding = { width = 4, positions = true } }, { gru = 3 }, { lstm = 4 }, \
                        { transformer-block = 2 }, 'layer-norm', { linear = 5 }] }";

    fn plan(toml: &str) -> NetworkPlan {
        let wiring = Wiring {
            role: Role::Predictor,
            head: Head::Plain,
            input: vec![PLACES],
            ..generator(1, &[PLACES, SYMBOLS])
        };
        let plan = planned(toml, &wiring).expect("it fits");
        plan.check_order().expect("its order is right");
        plan
    }

    fn texts() -> Tensor {
        tensor(&[0.0, 3.0, 1.0, 4.0, 2.0, 2.0, 4.0, 4.0, 0.0, 1.0, 3.0, 0.0], &[1, 2, PLACES as i64])
    }

    /* torch 2.11, float64: nn.GRU, nn.LSTM, functional.layer_norm and gelu, attention by its formula, every parameter k of
    the network 0.5·sin(1 + i + 10·k) at its place i; logits of text 0 at place 0 and of text 1 at place 5. */
    #[test]
    fn layers_say_what_pytorch_says() {
        let plan = plan(DEEP);
        let parameter = |(k, param): (usize, &crate::nn::plan::ParamPlan)| {
            let value = |i: usize| (0.5 * (1.0 + i as f64 + 10.0 * k as f64).sin()) as f32;
            let mut shape = vec![1];
            shape.extend(param.shape.iter().map(|&n| n as i64));
            tensor(&(0..param.len()).map(value).collect::<Vec<_>>(), &shape)
        };
        let params: Vec<Tensor> = plan.params.iter().enumerate().map(parameter).collect();
        let logits = said(&plan, &params, &texts(), None, &[1], false, false).out;
        let at = |text: i64, place: i64| logits.get(0).get(text).get(place);
        assert_near(&at(0, 0), &[-0.952_218_1, 0.245_288_85, 1.217_278_4, 1.070_107_8, -0.060_914_976]);
        assert_near(&at(1, 5), &[-0.984_527_2, 0.167_432_17, 1.165_455_2, 1.091_964_1, 0.014_526_238]);
    }

    #[test]
    fn recurrent_layers_stay_float32_where_bfloat16_is_asked_for() {
        let plan = plan("{ layers = [{ embedding = 4 }, { gru = 3 }, { lstm = 5 }] }");
        let params = pack(&plan, &[1]).params;
        let logits = || said(&plan, &params, &texts(), None, &[1], true, false).out;
        let rounded = unbound::in_bfloat16(tch::Device::Cpu, logits);
        assert_eq!(rounded.kind(), Kind::Float);
        assert_eq!(numbers(&rounded), numbers(&logits()));
    }

    #[test]
    fn no_symbol_sees_itself_or_a_later_one() {
        let plan = plan(DEEP);
        let params = pack(&plan, &[3]).params;
        let all = said(&plan, &params, &texts(), None, &[3], false, false).out;
        for place in 0..PLACES as i64 {
            let other = texts();
            let symbol = other.narrow(2, place, 1);
            let changed = (&symbol + 1.0).remainder(SYMBOLS as f64);
            other.narrow(2, place, 1).copy_(&changed);
            let now = said(&plan, &params, &other, None, &[3], false, false).out;
            let upto = |logits: &Tensor| numbers(&logits.narrow(2, 0, place + 1));
            assert_eq!(upto(&all), upto(&now), "place {place} is seen too early");
            if place + 1 < PLACES as i64 {
                assert_ne!(numbers(&all), numbers(&now), "place {place} is never seen");
            }
        }
    }

    #[test]
    fn one_symbol_after_the_other_is_said_as_all_at_once() {
        for toml in [DEEP, "{ layers = [{ embedding = 4 }, { linear = 5 }] }"] {
            let plan = plan(toml);
            let params: Vec<Tensor> = pack(&plan, &[5]).params.iter().map(Tensor::detach).collect();
            let all = said(&plan, &params, &texts(), None, &[5], false, false).out;
            let mut scribe = Scribe::new(&plan, &params, 2, None);
            let mut before: Option<Vec<i64>> = None;
            for place in 0..PLACES as i64 {
                assert_near(&scribe.next(before.as_deref()), &numbers(&all.get(0).select(1, place)));
                let symbols = texts().get(0).select(1, place).to_kind(Kind::Int64);
                before = Some(Vec::try_from(symbols).expect("two symbols"));
            }
        }
    }

    /// A network that is told the label says something else for each, and the same symbol by symbol and as a script.
    #[test]
    fn a_label_is_added_to_every_symbol() {
        let wiring = Wiring {
            role: Role::Predictor,
            head: Head::Plain,
            input: vec![PLACES],
            classes: 3,
            ..generator(1, &[PLACES, SYMBOLS])
        };
        let plan = planned(DEEP, &wiring).expect("it fits");
        let params: Vec<Tensor> = pack(&plan, &[5]).params.iter().map(Tensor::detach).collect();
        let labels = Tensor::from_slice(&[2i64, 0]);
        let all = said(&plan, &params, &texts(), Some(&labels.unsqueeze(0)), &[5], false, false).out;
        let turned = said(&plan, &params, &texts(), Some(&labels.flip([0]).unsqueeze(0)), &[5], false, false).out;
        for place in 0..PLACES as i64 {
            assert_ne!(numbers(&all.select(2, place)), numbers(&turned.select(2, place)), "place {place}");
        }
        let mut scribe = Scribe::new(&plan, &params, 2, Some(&labels));
        let mut before: Option<Vec<i64>> = None;
        for place in 0..PLACES as i64 {
            assert_near(&scribe.next(before.as_deref()), &numbers(&all.get(0).select(1, place)));
            before = Some(Vec::try_from(texts().get(0).select(1, place).to_kind(Kind::Int64)).expect("two symbols"));
        }
        let values: Vec<Vec<f32>> = params.iter().map(numbers).collect();
        let script = Script::new(&plan, &values);
        let module = CModule::load_data(&mut script.archive("{}").as_slice()).expect("it loads");
        let found = module.forward_ts(&[texts().squeeze_dim(0), labels]).expect("it runs");
        assert_near(&found, &numbers(&all));
    }

    #[test]
    fn a_run_of_a_pack_has_the_bits_that_it_has_alone() {
        tch::set_num_threads(1);
        let plan = plan(&DEEP.replace("transformer-block = 2", "transformer-block = { heads = 2, dropout = 0.2 }"));
        let learned = |seeds: &[u64]| {
            let pack = pack(&plan, seeds);
            let x = texts().expand([seeds.len() as i64, -1, -1], false).contiguous();
            let out = said(&plan, &pack.params, &x, None, seeds, true, false).out;
            let loss = out.log_softmax(-1, Kind::Float).square().sum(Kind::Float);
            let slopes = Tensor::run_backward(&[&loss], &[&pack.flat], false, false).pop().expect("one gradient");
            let of_run = |run: i64| (numbers(&out.get(run)), numbers(&slopes.get(run)));
            (0..seeds.len() as i64).map(of_run).collect::<Vec<_>>()
        };
        let together = learned(&[1, 2, 3]);
        for (run, seed) in [1, 2, 3].into_iter().enumerate() {
            assert!(learned(&[seed])[0] == together[run], "seed {seed}");
        }
    }

    #[test]
    fn a_script_says_what_evaluation_says() {
        let plan = plan(DEEP);
        let params = pack(&plan, &[7]).params;
        let wanted = said(&plan, &params, &texts(), None, &[7], false, false).out.squeeze_dim(0);
        let values: Vec<Vec<f32>> = params.iter().map(numbers).collect();
        let script = Script::new(&plan, &values);
        let bytes = script.archive("{}");
        let module = CModule::load_data(&mut bytes.as_slice()).unwrap_or_else(|e| panic!("{e}\n{}", script.code));
        let found = module.forward_ts(&[texts().squeeze_dim(0)]).unwrap_or_else(|e| panic!("{e}\n{}", script.code));
        assert_near(&found, &numbers(&wanted));
    }

    #[test]
    fn what_does_not_go_with_sequences_is_said() {
        let wiring = Wiring { role: Role::Predictor, input: vec![PLACES], ..generator(1, &[PLACES, SYMBOLS]) };
        let said = |toml: &str| planned(toml, &wiring).expect_err("it is wrong")[0].message.clone();
        assert_eq!(said("{ layers = [{ gru = 4 }] }"), "gru takes a sequence of vectors");
        assert_eq!(said("{ layers = [{ embedding = 4 }, 'flatten', { linear = 5 }] }"), "flatten takes no sequence");
        assert_eq!(
            said("{ layers = [{ embedding = 4 }, { transformer-block = 3 }] }"),
            "3 heads do not divide a width of 4"
        );
        assert_eq!(
            said("{ layers = [{ embedding = 4 }, { linear = 4 }] }"),
            "it ends in [6, 4], but must end in [6, 5]: a symbol of a place each"
        );
    }
}
