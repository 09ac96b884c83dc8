//! Symbols as vectors, `[R, B, T]` to `[R, B, T, D]`.

use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::Site;
use crate::nn::dense;
use crate::nn::forward::Pass;
use crate::nn::init::{Fans, ParamInit};
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use crate::nn::spec::InitSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

bare_number!(EmbeddingSpec, width, "the length of a symbol's vector, or a table with `width`");

/// Vectors of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "EmbeddingSpec", transform = or_integer)]
pub struct EmbeddingSpec {
    /// The length of a symbol's vector.
    pub width: u32,
    /// Whether each place adds a learned vector of its own, without which attention does not know of order.
    #[serde(default)]
    pub positions: bool,
}

impl Layer for arm::Embedding {
    type Spec = EmbeddingSpec;
    const TAG: &'static str = "embedding";
    const TAKES: Takes = Takes::Symbols;

    fn facts(spec: &EmbeddingSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("width", spec.width)], inner: None, label: false }
    }

    fn plan(spec: &EmbeddingSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let &[positions] = &site.flow.shape[..] else {
            return Err(site
                .problem("embedding takes indices of symbols, and vectors arrive")
                .with_help("take it out"));
        };
        let (symbols, classes) = (site.builder.symbols, site.builder.classes);
        if symbols == 0 {
            let help = "take a text, or `markov`, as data for a predictor";
            return Err(site.problem("embedding takes symbols, and the data has none").with_help(help));
        }
        let width = spec.width as usize;
        // PyTorch's embeddings are N(0, 1).
        let init = match site.builder.init {
            InitSpec::Pytorch => ParamInit::Normal { mean: 0.0, std: 1.0 },
            other => ParamInit::weight(other, Fans { inputs: 1, outputs: width }, symbols + 1),
        };
        let table = site.param("weight", vec![symbols + 1, width], init);
        let own = spec.positions.then(|| site.param("positions", vec![positions, width], init));
        let label = (classes > 0).then(|| site.param("label", vec![classes, width], init));
        site.push(Embedding { table, positions: own, label, symbols });
        site.flow.shape = vec![positions, width];
        Ok(())
    }
}

/// The vector of the symbol before each position, with that of its label if it has one.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Embedding {
    /// A vector per symbol and, last, that of the beginning: `[symbols + 1, width]`.
    table: usize,
    /// A vector per position, `[T, width]`.
    positions: Option<usize>,
    /// A vector per class, which is added at every position: `[classes, width]`.
    label: Option<usize>,
    symbols: usize,
}

impl Operation for Embedding {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Hides,
            by_symbol: true,
            range: Range::Everything,
            weighs: true,
            moves: false,
            couples: false,
            one_by_one: true,
            statistics: false,
            labels: self.label.is_some(),
        }
    }

    fn kept_by_pixel(&self, _: [usize; 2]) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let (runs, batch, positions) = x.size3().expect("sequences are [runs, batch, positions]");
        let symbols = self.symbols as i64;
        let begin = Tensor::full([runs, batch, 1], symbols, (Kind::Int64, x.device()));
        let before = Tensor::cat(&[begin, x.narrow(2, 0, positions - 1).round().to_kind(Kind::Int64)], 2);
        // The tables of all runs one below the other.
        let table = &pass.params[self.table];
        let first = (Tensor::arange(runs, (Kind::Int64, x.device())) * (symbols + 1)).view([runs, 1, 1]);
        let chosen = (before + first).view([-1]);
        let mut vectors = table.flatten(0, 1).index_select(0, &chosen).view([runs, batch, positions, -1]);
        if let Some(positions) = self.positions {
            vectors = vectors + pass.params[positions].unsqueeze(1);
        }
        if let Some(label) = self.label {
            vectors = vectors + dense::product(pass.labels(), &pass.params[label], None).unsqueeze(2);
        }
        vectors
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let table = writer.plain(self.table);
        // The symbols before, after the one that stands for the beginning.
        let symbols = writer.is(format!("torch.slice(torch.to({x}, 4), 1, 0, -1, 1)"));
        let before = writer.is(format!("torch.constant_pad_nd({symbols}, [1, 0], {})", self.symbols));
        let mut vectors = writer.is(format!("torch.embedding({table}, {before})"));
        if let Some(positions) = self.positions {
            let positions = writer.plain(positions);
            vectors = writer.is(format!("torch.add({vectors}, {positions})"));
        }
        if let Some(label) = self.label {
            let label = writer.plain(label);
            let own = writer.is(format!("torch.unsqueeze(torch.embedding({label}, labels), 1)"));
            vectors = writer.is(format!("torch.add({vectors}, {own})"));
        }
        vectors
    }

    fn by_symbol(&self, maker: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        let params = maker.params;
        Some(Box::new(EmbeddingBySymbol {
            table: params[self.table].squeeze_dim(0),
            positions: self.positions.map(|index| params[index].squeeze_dim(0)),
            label: self.label.map(|index| {
                let labels = maker.labels.expect("a network that reads labels is given labels");
                params[index].squeeze_dim(0).index_select(0, labels)
            }),
            begin: self.symbols as i64,
            batch: maker.batch,
        }))
    }
}

struct EmbeddingBySymbol {
    table: Tensor,
    positions: Option<Tensor>,
    label: Option<Tensor>,
    begin: i64,
    batch: i64,
}

impl BySymbol for EmbeddingBySymbol {
    fn next(&mut self, at: i64, before: Option<&[i64]>, _: &Tensor) -> Tensor {
        let begin = [self.begin];
        let chosen = Tensor::from_slice(before.unwrap_or(&begin)).to_device(self.table.device());
        let vectors = self.table.index_select(0, &chosen).expand([self.batch, -1], false);
        let vectors = match &self.positions {
            Some(positions) => vectors + positions.narrow(0, at, 1),
            None => vectors.contiguous(),
        };
        match &self.label {
            Some(label) => vectors + label,
            None => vectors,
        }
    }
}
