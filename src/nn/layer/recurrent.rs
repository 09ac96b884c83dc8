//! Recurrent layers over a sequence: GRU (arXiv:1406.1078), LSTM (Hochreiter and Schmidhuber 1997).

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer, unbound};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::init::{Fans, ParamInit};
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use crate::nn::spec::InitSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

bare_number!(RecurrentSpec, width, "the length of the state, or a table with `width`");

/// A recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "RecurrentSpec", transform = or_integer)]
pub struct RecurrentSpec {
    /// The length of the state.
    pub width: u32,
}

impl Layer for arm::Gru {
    type Spec = RecurrentSpec;
    const TAG: &'static str = "gru";
    const TAKES: Takes = Takes::Sequence;

    fn facts(spec: &RecurrentSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("width", spec.width)], inner: None, label: false }
    }

    fn plan(spec: &RecurrentSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        plan(*spec, Cell::Gru, site)
    }
}

impl Layer for arm::Lstm {
    type Spec = RecurrentSpec;
    const TAG: &'static str = "lstm";
    const TAKES: Takes = Takes::Sequence;

    fn facts(spec: &RecurrentSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("width", spec.width)], inner: None, label: false }
    }

    fn plan(spec: &RecurrentSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        plan(*spec, Cell::Lstm, site)
    }
}

fn plan(spec: RecurrentSpec, cell: Cell, site: &mut Site<'_>) -> Result<(), Problem> {
    let [positions, inputs] = site.sequence()?;
    let gates = match cell {
        Cell::Gru => 3,
        Cell::Lstm => 4,
    };
    let width = spec.width as usize;
    let rows = gates * width;
    // PyTorch's recurrent layers begin within 1/√width, whatever comes in.
    let weight = |inputs: usize| match site.builder.init {
        InitSpec::Pytorch => ParamInit::Uniform { bound: 1.0 / (width as f64).sqrt() },
        other => ParamInit::weight(other, Fans { inputs, outputs: width }, rows),
    };
    let (from_input, from_state) = (weight(inputs), weight(width));
    let bias = if site.builder.init == InitSpec::Pytorch { from_state } else { ParamInit::Constant(0.0) };
    let weights = [
        site.param("weight_ih", vec![rows, inputs], from_input),
        site.param("weight_hh", vec![rows, width], from_state),
        site.param("bias_ih", vec![rows], bias),
        site.param("bias_hh", vec![rows], bias),
    ];
    site.push(Recurrent { cell, weights, width });
    site.flow.shape = vec![positions, width];
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Gru,
    Lstm,
}

/// The states of a recurrent layer at each position. Weights are as PyTorch has them, gates one below the other: `[gates·H, D]`,
/// `[gates·H, H]` and two biases.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Recurrent {
    cell: Cell,
    weights: [usize; 4],
    width: usize,
}

impl Operation for Recurrent {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: true,
            range: Range::Everything,
            weighs: true,
            moves: false,
            couples: false,
            one_by_one: true,
            statistics: false,
            labels: false,
        }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        // Under autocast, libtorch computes cuDNN's GRU and LSTM in float16, whatever type was asked for, and without scaled losses
        // the gradients underflow.
        unbound::in_float32(x.device(), || self.of(pass.params, &x.to_kind(Kind::Float), pass.mode.train))
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let weights = self.weights.map(|index| writer.plain(index)).join(", ");
        let n = writer.n();
        let begin = writer.is(format!("torch.new_zeros({x}, [1, {n}, {}])", self.width));
        let out = format!("x{}", writer.next);
        let rest = "True, 1, 0., False, False, True";
        writer.next += 1;
        writer.body.push(match self.cell {
            Cell::Gru => format!("{out}, {out}_h = torch.gru({x}, {begin}, [{weights}], {rest})"),
            Cell::Lstm => format!("{out}, {out}_h, {out}_c = torch.lstm({x}, [{begin}, {begin}], [{weights}], {rest})"),
        });
        out
    }

    fn by_symbol(&self, maker: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        let weights: Vec<Tensor> = self.weights.iter().map(|&index| maker.params[index].squeeze_dim(0)).collect();
        let state = || Tensor::zeros([maker.batch, self.width as i64], (Kind::Float, weights[0].device()));
        Some(match self.cell {
            Cell::Gru => Box::new(GruBySymbol { state: state(), weights }),
            Cell::Lstm => Box::new(LstmBySymbol { state: [state(), state()], weights }),
        })
    }
}

impl Recurrent {
    /// Run after run: libtorch's layers have no axis of runs.
    fn of(&self, params: &[Tensor], x: &Tensor, train: bool) -> Tensor {
        let (runs, batch) = (x.size()[0], x.size()[1]);
        let begin = Tensor::zeros([1, batch, self.width as i64], (x.kind(), x.device()));
        let of_run = |run: i64| {
            let weights: Vec<Tensor> = self.weights.iter().map(|&index| params[index].select(0, run)).collect();
            let x = x.select(0, run);
            match self.cell {
                Cell::Gru => x.gru(&begin, &weights, true, 1, 0.0, train, false, true).0,
                Cell::Lstm => {
                    x.lstm(&[&begin, &begin], &weights.iter().collect::<Vec<_>>(), true, 1, 0.0, train, false, true).0
                }
            }
        };
        Tensor::stack(&(0..runs).map(of_run).collect::<Vec<_>>(), 0)
    }
}

struct GruBySymbol {
    weights: Vec<Tensor>,
    state: Tensor,
}

impl BySymbol for GruBySymbol {
    fn next(&mut self, _: i64, _: Option<&[i64]>, x: &Tensor) -> Tensor {
        let w = &self.weights;
        self.state = x.gru_cell(&self.state, &w[0], &w[1], Some(&w[2]), Some(&w[3]));
        self.state.shallow_clone()
    }
}

struct LstmBySymbol {
    weights: Vec<Tensor>,
    /// Hidden and cell states.
    state: [Tensor; 2],
}

impl BySymbol for LstmBySymbol {
    fn next(&mut self, _: i64, _: Option<&[i64]>, x: &Tensor) -> Tensor {
        let w = &self.weights;
        let (hidden, cell) = x.lstm_cell(&self.state.each_ref(), &w[0], &w[1], Some(&w[2]), Some(&w[3]));
        self.state = [hidden, cell];
        self.state[0].shallow_clone()
    }
}
