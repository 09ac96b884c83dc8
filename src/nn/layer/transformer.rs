//! Blocks of a transformer (arXiv:1706.03762, normalized before as in GPT-2).

use super::group_norm::{NormAtEach, NormBySymbol};
use super::linear::{Linear, LinearBySymbol};
use super::noise::Dropout;
use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Probability, Problem, bare_number, or_integer};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::scribe::{self, BySymbol};
use crate::nn::script::Writer;
use crate::nn::spec::zero_probability;
use crate::nn::weight::WeightNormSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

bare_number!(BlockSpec, heads, "the count of heads, or a table with `heads`");

/// A block of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "BlockSpec", transform = or_integer)]
pub struct BlockSpec {
    /// Heads of the attention; they divide the width.
    pub heads: u32,
    /// The share of what each half adds that dropout silences in training.
    #[serde(default = "zero_probability")]
    pub dropout: Probability,
}

impl Layer for arm::TransformerBlock {
    type Spec = BlockSpec;
    const TAG: &'static str = "transformer-block";
    const TAKES: Takes = Takes::Sequence;

    fn facts(spec: &BlockSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("heads", spec.heads)], inner: None, label: false }
    }

    fn plan(spec: &BlockSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        let [_, width] = site.sequence()?;
        let heads = spec.heads as usize;
        if !width.is_multiple_of(heads) {
            let message = format!("{heads} heads do not divide a width of {width}");
            return Err(site.problem(message).with_help("take another count"));
        }
        let (name, builder) = (site.name, &mut *site.builder);
        let mut linear = |part: &str, sides| {
            Linear::plan(builder, &format!("{name}.{part}"), sides, true, None, WeightNormSpec::Plain)
        };
        let asked = linear("attention", (width, 3 * width));
        let joined = linear("joined", (width, width));
        let hidden = linear("hidden", (width, 4 * width));
        let out = linear("out", (4 * width, width));
        let before_attention = NormAtEach::plan(builder, &format!("{name}.norm1"), width);
        let before_hidden = NormAtEach::plan(builder, &format!("{name}.norm2"), width);
        let dropout = Dropout(spec.dropout.get());
        site.push(Transformer { before_attention, asked, joined, before_hidden, hidden, out, heads, dropout });
        Ok(())
    }
}

/// x + attention of its norm, then x + two layers of its norm.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Transformer {
    before_attention: NormAtEach,
    /// To queries, keys and values, one after the other.
    asked: Linear,
    joined: Linear,
    before_hidden: NormAtEach,
    hidden: Linear,
    out: Linear,
    heads: usize,
    dropout: Dropout,
}

impl Operation for Transformer {
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
        let asked = self.asked.of_each(pass, &self.before_attention.of(pass.params, x));
        let attended = self.joined.of_each(pass, &attend(&asked, self.heads as i64));
        let x = x + self.dropout.forward(pass, &attended);
        let hidden = self.hidden.of_each(pass, &self.before_hidden.of(pass.params, &x)).gelu("none");
        let out = self.out.of_each(pass, &hidden);
        x + self.dropout.forward(pass, &out)
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let width = writer.plan.params[self.before_attention.gain].len();
        let (heads, n) = (self.heads, writer.n());
        let entered = self.before_attention.script(writer, x);
        let asked = self.asked.script(writer, &entered);
        let shape = format!("[{n}, -1, 3, {heads}, {}]", width / heads);
        let parts = writer.is(format!("torch.permute(torch.reshape({asked}, {shape}), [2, 0, 3, 1, 4])"));
        let part = |i: usize| format!("torch.select({parts}, 0, {i})");
        let attention = format!("{}, {}, {}, None, 0., True", part(0), part(1), part(2));
        let attended = writer.is(format!("torch.scaled_dot_product_attention({attention})"));
        let attended = writer.is(format!("torch.reshape(torch.transpose({attended}, 1, 2), [{n}, -1, {width}])"));
        let attended = self.joined.script(writer, &attended);
        let x = writer.is(format!("torch.add({x}, {attended})"));
        let entered = self.before_hidden.script(writer, &x);
        let hidden = self.hidden.script(writer, &entered);
        let hidden = writer.is(format!("torch.gelu({hidden})"));
        let out = self.out.script(writer, &hidden);
        writer.is(format!("torch.add({x}, {out})"))
    }

    fn by_symbol(&self, maker: &scribe::Maker<'_>) -> Option<Box<dyn BySymbol>> {
        Some(Box::new(TransformerBySymbol::new(self, maker)))
    }
}

/// Queries, keys and values `[R, B, T, 3·D]` to what each position takes of those up to it, `[R, B, T, D]`.
fn attend(asked: &Tensor, heads: i64) -> Tensor {
    let size = asked.size();
    let (runs, batch, positions, width) = (size[0], size[1], size[2], size[3] / 3);
    let parts = asked.view([runs * batch, positions, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
    let (q, k, v) = (parts.get(0), parts.get(1), parts.get(2));
    let attended = Tensor::scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, true, None, false);
    attended.transpose(1, 2).reshape([runs, batch, positions, width])
}

struct TransformerBySymbol {
    before_attention: NormBySymbol,
    asked: LinearBySymbol,
    joined: LinearBySymbol,
    before_hidden: NormBySymbol,
    hidden: LinearBySymbol,
    out: LinearBySymbol,
    /// Keys and values so far, `[B, heads, T, D/heads]`.
    kept: [Tensor; 2],
}

impl TransformerBySymbol {
    fn new(block: &Transformer, maker: &scribe::Maker<'_>) -> Self {
        let linear = |linear: &Linear| LinearBySymbol::new(linear, maker.params);
        let asked = linear(&block.asked);
        let (width, heads) = (asked.weight.size()[0], block.heads as i64);
        let shape = [maker.batch, heads, maker.positions, width / heads];
        let kept = || Tensor::zeros(shape, (Kind::Float, asked.weight.device()));
        Self {
            kept: [kept(), kept()],
            before_attention: NormBySymbol::new(block.before_attention, maker.params),
            joined: linear(&block.joined),
            before_hidden: NormBySymbol::new(block.before_hidden, maker.params),
            hidden: linear(&block.hidden),
            out: linear(&block.out),
            asked,
        }
    }
}

impl BySymbol for TransformerBySymbol {
    fn next(&mut self, at: i64, _: Option<&[i64]>, x: &Tensor) -> Tensor {
        let (batch, width) = x.size2().expect("a vector per example");
        let heads = self.kept[0].size()[1];
        let asked = self.asked.of(&self.before_attention.of(x)).view([batch, 3, heads, width / heads]);
        for (kept, part) in self.kept.iter().zip(1..) {
            kept.select(2, at).copy_(&asked.select(1, part));
        }
        let [keys, values] = self.kept.each_ref().map(|kept| kept.narrow(2, 0, at + 1));
        let scale = ((width / heads) as f64).sqrt();
        let query = asked.select(1, 0).unsqueeze(2) / scale;
        let shares = query.matmul(&keys.transpose(2, 3)).softmax(-1, Kind::Float);
        let attended = shares.matmul(&values).view([batch, width]);
        let x = x + self.joined.of(&attended);
        let more = self.out.of(&self.hidden.of(&self.before_hidden.of(&x)).gelu("none"));
        x + more
    }
}
