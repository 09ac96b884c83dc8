//! LSTMs over maps: x plus what they make of it, all of an image line by line, or one pixel after the other from what the pixels
//! before have left (arXiv:1601.06759, sections 3.1 and 3.2: Row LSTM, Diagonal BiLSTM).

use super::masked_conv::{Causal, CausalByPixel, Kernel, MaskKind};
use super::{Facts, Layer, LayerFacts, Operation, Order, Range, Takes, arm};
use crate::base::{Problem, bare_number, or_integer};
use crate::nn::builder::Site;
use crate::nn::forward::Pass;
use crate::nn::init::{Fans, ParamInit};
use crate::nn::raster::{self, ByPixel};
use crate::nn::script::Writer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

bare_number!(MapLstmSpec, hidden, "the count of units, or a table with `hidden`");

/// An LSTM over a map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
#[schemars(rename = "MapLstmSpec", transform = or_integer)]
pub struct MapLstmSpec {
    /// Its units, of each direction; the colors of the data divide them.
    pub hidden: u32,
}

impl Layer for arm::RowLstm {
    type Spec = MapLstmSpec;
    const TAG: &'static str = "row-lstm";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &MapLstmSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("hidden", spec.hidden)], inner: None, label: false }
    }

    fn plan(spec: &MapLstmSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        plan(*spec, Lines::Rows, site)
    }
}

impl Layer for arm::DiagonalBilstm {
    type Spec = MapLstmSpec;
    const TAG: &'static str = "diagonal-bilstm";
    const TAKES: Takes = Takes::Map;

    fn facts(spec: &MapLstmSpec) -> LayerFacts<'_> {
        LayerFacts { counts: vec![("hidden", spec.hidden)], inner: None, label: false }
    }

    fn plan(spec: &MapLstmSpec, site: &mut Site<'_>) -> Result<(), Problem> {
        plan(*spec, Lines::Diagonals, site)
    }
}

fn plan(spec: MapLstmSpec, lines: Lines, site: &mut Site<'_>) -> Result<(), Problem> {
    let [channels, _, _] = site.over_map()?;
    let (hidden, init, colors) = (spec.hidden as usize, site.builder.init, site.builder.colors);
    if !hidden.is_multiple_of(colors) {
        let message = format!("the {colors} colors of the data do not divide {hidden} units");
        let help = "each color has units of its own in every gate";
        return Err(Problem::at(site.key("hidden"), message).with_help(help));
    }
    let (parts, [high, wide], left): (&[&str], _, _) = match lines {
        Lines::Rows => (&["row"], [1, 3], 1),
        Lines::Diagonals => (&["left", "right"], [2, 1], 0),
    };
    let gates = hidden.saturating_mul(4);
    let mask = Some(MaskKind::B);
    let mut pass = |part: &&str| {
        // A row's kernel of three sees the pixel and the one before it; a diagonal's sees the pixel.
        let kernel = Kernel { height: 1, width: left + 1, up: 0, left, mask, taps: left + 1 };
        let name = format!("{}.{part}", site.name);
        let from_input = Causal::plan(site.builder, &name, (channels, gates), kernel, init);
        let fans = Fans { inputs: hidden.saturating_mul(high * wide), outputs: gates.saturating_mul(high * wide) };
        let shape = vec![gates, hidden, high, wide];
        let from_state = site.builder.param(format!("{name}.state"), shape, ParamInit::weight(init, fans, gates));
        LstmPass { from_input, from_state }
    };
    let passes = parts.iter().map(&mut pass).collect();
    let name = format!("{}.out", site.name);
    let out = Causal::plan(site.builder, &name, (hidden, channels), Kernel::point(mask), init);
    site.push(MapLstm { lines, passes, out, hidden });
    Ok(())
}

/// What states go along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// A state continues the three states above it.
    Rows,
    /// A state continues the state above and the state beside it.
    Diagonals,
}

/// To the gates, one after the other: output, forget, input and candidate.
#[derive(Clone, Debug, PartialEq)]
struct LstmPass {
    from_input: Causal,
    /// A kernel over the states of the line before, `[4·h, h, 1, 3]` of rows and `[4·h, h, 2, 1]` of diagonals, where the
    /// state above comes first.
    from_state: usize,
}

/// x + an LSTM over a map: line after line, the pixels of a line at once.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct MapLstm {
    lines: Lines,
    /// Of rows one, of diagonals that from the left and that from the right.
    passes: Vec<LstmPass>,
    /// From states to the channels that enter.
    out: Causal,
    hidden: usize,
}

impl Operation for MapLstm {
    fn facts(&self) -> Facts {
        Facts {
            order: Order::Keeps,
            by_symbol: false,
            range: Range::Everything,
            weighs: true,
            moves: false,
            couples: false,
            one_by_one: false,
            statistics: false,
            labels: self.passes.iter().any(|pass| pass.from_input.label.is_some()),
        }
    }

    fn kept_by_pixel(&self, sides: [usize; 2]) -> Option<usize> {
        // Of a row: states, and what they and the map give to gates.
        let row = self.hidden.saturating_mul(12 * sides[1]);
        let passes = self.passes.iter();
        passes.map(|pass| pass.from_input.kept_by_pixel(sides).map(|kept| row.saturating_add(kept))).sum()
    }

    fn forward(&self, pass: &mut Pass<'_, '_, '_>, x: &Tensor) -> Tensor {
        let gates: Vec<Tensor> = self.passes.iter().map(|lstm| lstm.from_input.convolve(pass, x)).collect();
        x + self.out.convolve(pass, &states(self, &gates, pass.params, pass.runs))
    }

    fn script(&self, writer: &mut Writer<'_>, x: &str) -> String {
        let states: Vec<String> = (self.passes.iter().enumerate())
            .map(|(i, pass)| {
                let gates = pass.from_input.script(writer, x);
                match self.lines {
                    Lines::Rows => {
                        states_in_script(writer, pass, &gates, (2, &format!("torch.size({x}, 2)")), "[0, 1]")
                    }
                    Lines::Diagonals => diagonals_in_script(writer, pass, &gates, i == 1),
                }
            })
            .collect();
        let all = match &states[..] {
            [left, right] => writer.is(format!("torch.add({left}, {right})")),
            _ => states[0].clone(),
        };
        let out = self.out.script(writer, &all);
        writer.is(format!("torch.add({out}, {x})"))
    }

    fn by_pixel(&self, maker: &raster::Maker<'_>) -> Option<Box<dyn ByPixel>> {
        Some(Box::new(MapLstmByPixel {
            from_input: self.passes.iter().map(|pass| CausalByPixel::new(&pass.from_input, maker)).collect(),
            states: KeptStates::new(self, maker.params, maker.batch, maker.sides[1]),
            out: CausalByPixel::new(&self.out, maker),
        }))
    }
}

/// The states of diagonals, as columns of a map whose rows begin ever later.
fn diagonals_in_script(writer: &mut Writer<'_>, pass: &LstmPass, gates: &str, from_right: bool) -> String {
    let size = |x: &str, side: usize| format!("torch.size({x}, {side})");
    let (high, wide) = (writer.is(size(gates, 2)), writer.is(size(gates, 3)));
    let n = writer.n();
    let turned = |x: String| if from_right { format!("torch.flip({x}, [3])") } else { x };
    // Beyond the map gates are shut, so that states are zeros.
    let padded = writer.is(format!("torch.constant_pad_nd({}, [0, {high}], -10000.)", turned(gates.to_owned())));
    let count = writer.is(format!("torch.sub(torch.add({high}, {wide}), 1)"));
    let flat = writer.is(format!("torch.flatten({padded}, 2, 3)"));
    let flat = writer.is(format!("torch.slice({flat}, 2, 0, torch.mul({high}, {count}), 1)"));
    let skewed = writer.is(format!("torch.reshape({flat}, [{n}, -1, {high}, {count}])"));
    let states = states_in_script(writer, pass, &skewed, (3, &count), "[1, 0]");
    let flat = writer.is(format!("torch.constant_pad_nd(torch.flatten({states}, 2, 3), [0, {high}], 0)"));
    let straight = writer.is(format!("torch.reshape({flat}, [{n}, -1, {high}, torch.add({high}, {wide})])"));
    let states = writer.is(turned(format!("torch.narrow({straight}, 3, 0, {wide})")));
    if !from_right {
        return states;
    }
    let above = writer.is(format!("torch.narrow({states}, 2, 0, torch.sub({high}, 1))"));
    writer.is(format!("torch.constant_pad_nd({above}, [0, 0, 1, 0], 0)"))
}

/// The states of lines that lie along a dimension, one after the other.
fn states_in_script(
    writer: &mut Writer<'_>,
    pass: &LstmPass,
    gates: &str,
    (along, count): (usize, &str),
    padding: &str,
) -> String {
    let w = writer.plain(pass.from_state);
    let hidden = writer.plan.params[pass.from_state].shape[1];
    let line = |at: &str| format!("torch.narrow({gates}, {along}, {at}, 1)");
    let part = |x: &str, at: usize, n: usize| format!("torch.narrow({x}, 1, {}, {n})", at * hidden);
    let begin = writer.is(format!("torch.zeros_like({})", part(&line("0"), 0, hidden)));
    let own = format!("x{}", writer.next);
    writer.next += 1;
    let (state, cell, all, sum, open) =
        (format!("{own}_s"), format!("{own}_c"), format!("{own}_all"), format!("{own}_z"), format!("{own}_o"));
    let from_state = format!("torch.conv2d({state}, {w}, None, [1, 1], {padding}, [1, 1], 1)");
    let from_state = format!("torch.narrow({from_state}, 2, 0, torch.size({state}, 2))");
    let forgotten = format!("torch.mul({}, {cell})", part(&open, 1, hidden));
    let new = format!("torch.mul({}, torch.tanh({}))", part(&open, 2, hidden), part(&sum, 3, hidden));
    writer.body.extend([
        format!("{state} = {begin}"),
        format!("{cell} = {begin}"),
        format!("{all} = annotate(List[Tensor], [])"),
        format!("for {own}_i in range({count}):"),
        format!("  {sum} = torch.add({}, {from_state})", line(&format!("{own}_i"))),
        format!("  {open} = torch.sigmoid({})", part(&sum, 0, 3 * hidden)),
        format!("  {cell} = torch.add({forgotten}, {new})"),
        format!("  {state} = torch.mul({}, torch.tanh({cell}))", part(&open, 0, hidden)),
        format!("  {own}_n = torch.append({all}, {state})"),
    ]);
    writer.is(format!("torch.cat({all}, {along})"))
}

/// The states at every pixel, `[B, R·h, H, W]`, from the gates of each pass, `[B, R·4h, H, W]`.
fn states(layer: &MapLstm, gates: &[Tensor], params: &[Tensor], runs: i64) -> Tensor {
    let (batch, _, height, width) = gates[0].size4().expect("folded maps are [batch, channels, height, width]");
    let (hidden, pixels) = (layer.hidden as i64, height * width);
    let course = Course::of(layer.lines, height, width);
    // A run's images lie together at each pixel, and pixels in the order of the pass: [R, pixels, B, 4h].
    let in_order = (gates.iter().zip(&course.orders)).map(|(gates, order)| {
        let by_pixel = gates.reshape([batch, runs, 4 * hidden, pixels]).permute([1, 3, 0, 2]);
        by_pixel.index_select(1, &Tensor::from_slice(order).to_device(gates.device()))
    });
    // The passes are worked on together, as if they were runs.
    let gates = Tensor::cat(&in_order.collect::<Vec<_>>(), 0);
    let weights: Vec<Tensor> = layer.passes.iter().map(|pass| by_taps(&params[pass.from_state])).collect();
    let weight = Tensor::cat(&weights, 0);
    let sizes: Vec<i64> = course.lines.iter().map(|line| line.pixels).collect();
    let mut before: Option<(Tensor, Tensor)> = None;
    let mut lines = Vec::with_capacity(sizes.len());
    for (line, gates) in course.lines.iter().zip(gates.split_with_sizes(&sizes[..], 1)) {
        let (state, cell) = match &before {
            None => step(&gates, None),
            Some((state, cell)) => {
                let [state, cell] = [state, cell].map(|x| x.constant_pad_nd([0, 0, 0, 0, 1, 1]));
                let seen: Vec<Tensor> = line.seen.iter().map(|&at| state.narrow(1, at, line.pixels)).collect();
                let seen = Tensor::cat(&seen, 3).flatten(1, 2);
                let sum = gates.flatten(1, 2).baddbmm(&seen, &weight, 1.0, 1.0).view_as(&gates);
                step(&sum, Some(&cell.narrow(1, line.own, line.pixels)))
            }
        };
        lines.push(state.shallow_clone());
        before = Some((state, cell));
    }
    let passes = Tensor::cat(&lines, 1).chunk(course.orders.len() as i64, 0);
    let in_reading_order = |pass: usize| {
        let back = Tensor::from_slice(&inverse(&course.orders[pass])).to_device(passes[pass].device());
        passes[pass].index_select(1, &back)
    };
    let all = match layer.lines {
        Lines::Rows => in_reading_order(0),
        // From the right a state knows pixels to the right of its own: it is for the row below.
        Lines::Diagonals => {
            in_reading_order(0)
                + in_reading_order(1).narrow(1, 0, pixels - width).constant_pad_nd([0, 0, 0, 0, width, 0])
        }
    };
    all.permute([2, 0, 3, 1]).reshape([batch, runs * hidden, height, width])
}

/// A kernel over states `[R, 4h, h, high, wide]` as what a product takes, `[R, taps·h, 4h]`.
fn by_taps(kernel: &Tensor) -> Tensor {
    let size = kernel.size();
    kernel.permute([0, 3, 4, 2, 1]).reshape([size[0], -1, size[1]])
}

/// Hidden and cell states `[…, h]` from the gates `[…, 4h]` and the cell states before, if there are any.
fn step(gates: &Tensor, before: Option<&Tensor>) -> (Tensor, Tensor) {
    let hidden = gates.size()[gates.dim() - 1] / 4;
    let open = gates.narrow(-1, 0, 3 * hidden).sigmoid();
    let [output, forget, input] = [0, 1, 2].map(|gate| open.narrow(-1, gate * hidden, hidden));
    let new = input * gates.narrow(-1, 3 * hidden, hidden).tanh();
    let cell = match before {
        Some(before) => forget * before + new,
        None => new,
    };
    (output * cell.tanh(), cell)
}

/// In what order the pixels of a map are worked on.
struct Course {
    /// The pixels in the order of their lines, of each pass.
    orders: Vec<Vec<i64>>,
    lines: Vec<Line>,
}

/// Places that do not wait for each other. What they see of the line before stands one further there, as a zero stands at
/// both of its ends.
struct Line {
    pixels: i64,
    /// Where what each number of the kernel sees begins.
    seen: Vec<i64>,
    /// Where the cell states that go on begin.
    own: i64,
}

impl Course {
    fn of(lines: Lines, height: i64, width: i64) -> Self {
        match lines {
            Lines::Rows => {
                let row = |_| Line { pixels: width, seen: vec![0, 1, 2], own: 1 };
                Self { orders: vec![(0..height * width).collect()], lines: (0..height).map(row).collect() }
            }
            Lines::Diagonals => {
                // The rows that diagonal d, of which row + column are d, goes through.
                let first = |d: i64| (d + 1 - width).max(0);
                let last = |d: i64| d.min(height - 1);
                let all = 0..height + width - 1;
                let line = |d: i64| {
                    let above = first(d) - first(d - 1);
                    Line { pixels: last(d) + 1 - first(d), seen: vec![above, above + 1], own: above + 1 }
                };
                let pixels = || all.clone().flat_map(|d| (first(d)..=last(d)).map(move |row| (row, d - row)));
                let left = pixels().map(|(row, column)| row * width + column).collect();
                let right = pixels().map(|(row, column)| row * width + width - 1 - column).collect();
                Self { orders: vec![left, right], lines: all.clone().map(line).collect() }
            }
        }
    }
}

/// Where each number stands in an order.
fn inverse(order: &[i64]) -> Vec<i64> {
    let mut back = vec![0; order.len()];
    for (at, &pixel) in order.iter().enumerate() {
        back[pixel as usize] = at as i64;
    }
    back
}

/// The states of images of one run, asked for one pixel after the other: of all pixels before, those of a row are kept.
struct KeptStates {
    lines: Lines,
    /// `[h, 4h]` for each number of a pass' kernel.
    weights: Vec<Vec<Tensor>>,
    /// The states of this row so far, of each pass: `[B, W, h]`. Those from the right are of the row above.
    states: Vec<Tensor>,
    cells: Tensor,
    /// The cell states of the row above.
    cells_above: Tensor,
    /// What the states of the row above give to the gates of this row, `[B, W, 4h]`.
    from_above: Tensor,
    /// What the map gives to the gates from the right, of this row so far: `[B, W, 4h]`.
    waiting: Tensor,
}

impl KeptStates {
    /// For `batch` images that are so wide; `params` are `[1, …]`.
    fn new(layer: &MapLstm, params: &[Tensor], batch: i64, width: i64) -> Self {
        let hidden = layer.hidden as i64;
        let device = params[layer.passes[0].from_state].device();
        let zeros = |units: i64| Tensor::zeros([batch, width, units], (Kind::Float, device));
        // Copies, whose addresses do not depend on the pack.
        let taps = |kernel: &Tensor| by_taps(kernel).squeeze_dim(0).split(hidden, 0).iter().map(Tensor::copy).collect();
        Self {
            lines: layer.lines,
            weights: layer.passes.iter().map(|pass| taps(&params[pass.from_state])).collect(),
            states: layer.passes.iter().map(|_| zeros(hidden)).collect(),
            cells: zeros(hidden),
            cells_above: zeros(hidden),
            from_above: zeros(4 * hidden),
            waiting: zeros(4 * hidden),
        }
    }

    /// Goes on to this row; the states of all rows above are known.
    fn begin_row(&mut self, row: i64) {
        if row == 0 {
            return;
        }
        let width = self.cells.size()[1];
        match self.lines {
            Lines::Rows => {
                let around = self.states[0].constant_pad_nd([0, 0, 1, 1]);
                let seen = |(at, weight): (i64, &Tensor)| around.narrow(1, at, width).matmul(weight);
                self.from_above =
                    (0..).zip(&self.weights[0]).map(seen).reduce(|sum, more| sum + more).expect("three taps");
                self.cells_above.copy_(&self.cells);
            }
            Lines::Diagonals => {
                self.from_above = self.states[0].matmul(&self.weights[0][0]);
                let above = self.states[1].matmul(&self.weights[1][0]) + &self.waiting;
                let mut before: Option<(Tensor, Tensor)> = None;
                for column in (0..width).rev() {
                    let gates = above.select(1, column);
                    let now = match &before {
                        None => step(&gates, None),
                        Some((state, cell)) => step(&gates.addmm(state, &self.weights[1][1]), Some(cell)),
                    };
                    self.states[1].select(1, column).copy_(&now.0);
                    before = Some(now);
                }
            }
        }
    }

    /// The state at this column, `[B, h]`, where the map gives this to the gates of each pass, `[B, 4h]`.
    fn at(&mut self, column: i64, gates: &[Tensor]) -> Tensor {
        let of = |x: &Tensor, column: i64| x.select(1, column);
        let mut sum = &gates[0] + of(&self.from_above, column);
        let before = match self.lines {
            Lines::Rows => Some(of(&self.cells_above, column)),
            Lines::Diagonals if column == 0 => None,
            Lines::Diagonals => {
                sum = sum.addmm(&of(&self.states[0], column - 1), &self.weights[0][1]);
                Some(of(&self.cells, column - 1))
            }
        };
        let (state, cell) = step(&sum, before.as_ref());
        of(&self.states[0], column).copy_(&state);
        of(&self.cells, column).copy_(&cell);
        match self.lines {
            Lines::Rows => state,
            Lines::Diagonals => {
                of(&self.waiting, column).copy_(&gates[1]);
                state + of(&self.states[1], column)
            }
        }
    }
}

struct MapLstmByPixel {
    from_input: Vec<CausalByPixel>,
    states: KeptStates,
    out: CausalByPixel,
}

impl ByPixel for MapLstmByPixel {
    fn begin_row(&mut self, row: i64) {
        self.states.begin_row(row);
    }

    fn at(&mut self, at: (i64, i64), x: &Tensor) -> Tensor {
        let gates: Vec<Tensor> = self.from_input.iter_mut().map(|conv| conv.at(at, x)).collect();
        let state = self.states.at(at.1, &gates);
        x + self.out.at(at, &state)
    }
}
