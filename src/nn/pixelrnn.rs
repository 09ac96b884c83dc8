//! The states of LSTMs over maps, from what a map says to their gates: all of an image line by line, or one pixel after the
//! other from what the pixels before have left. What happens before the gates and after the states is the caller's.
//!
//! Paper: arXiv:1601.06759 (Row LSTM, Diagonal BiLSTM).

use super::plan::{Lines, MapLstm};
use tch::{Kind, Tensor};

/// The states at every place, `[B, R·h, H, W]`, from the gates of each pass, `[B, R·4h, H, W]`.
pub(super) fn states(layer: &MapLstm, gates: &[Tensor], params: &[Tensor], runs: i64) -> Tensor {
    let (batch, _, height, width) = gates[0].size4().expect("folded maps are [batch, channels, height, width]");
    let (hidden, places) = (layer.hidden as i64, height * width);
    let course = Course::of(layer.lines, height, width);
    // A run's images lie together at each place, and places in the order of the pass: [R, places, B, 4h].
    let in_order = (gates.iter().zip(&course.orders)).map(|(gates, order)| {
        let placed = gates.reshape([batch, runs, 4 * hidden, places]).permute([1, 3, 0, 2]);
        placed.index_select(1, &Tensor::from_slice(order).to_device(gates.device()))
    });
    // The passes are worked on together, as if they were runs.
    let gates = Tensor::cat(&in_order.collect::<Vec<_>>(), 0);
    let weights: Vec<Tensor> = layer.passes.iter().map(|pass| by_taps(&params[pass.from_state])).collect();
    let weight = Tensor::cat(&weights, 0);
    let sizes: Vec<i64> = course.lines.iter().map(|line| line.places).collect();
    let mut before: Option<(Tensor, Tensor)> = None;
    let mut lines = Vec::with_capacity(sizes.len());
    for (line, gates) in course.lines.iter().zip(gates.split_with_sizes(&sizes[..], 1)) {
        let (state, cell) = match &before {
            None => step(&gates, None),
            Some((state, cell)) => {
                let [state, cell] = [state, cell].map(|x| x.constant_pad_nd([0, 0, 0, 0, 1, 1]));
                let seen: Vec<Tensor> = line.seen.iter().map(|&at| state.narrow(1, at, line.places)).collect();
                let seen = Tensor::cat(&seen, 3).flatten(1, 2);
                let sum = gates.flatten(1, 2).baddbmm(&seen, &weight, 1.0, 1.0).view_as(&gates);
                step(&sum, Some(&cell.narrow(1, line.own, line.places)))
            }
        };
        lines.push(state.shallow_clone());
        before = Some((state, cell));
    }
    let passes = Tensor::cat(&lines, 1).chunk(course.orders.len() as i64, 0);
    let placed = |pass: usize| {
        let back = Tensor::from_slice(&inverse(&course.orders[pass])).to_device(passes[pass].device());
        passes[pass].index_select(1, &back)
    };
    let all = match layer.lines {
        Lines::Rows => placed(0),
        // From the right a state knows pixels to the right of its own: it is for the row below.
        Lines::Diagonals => placed(0) + placed(1).narrow(1, 0, places - width).constant_pad_nd([0, 0, 0, 0, width, 0]),
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

/// In what order the places of a map are worked on.
struct Course {
    /// The places in the order of their lines, of each pass.
    orders: Vec<Vec<i64>>,
    lines: Vec<Line>,
}

/// Places that do not wait for each other. What they see of the line before stands one further there, as a zero stands at
/// both of its ends.
struct Line {
    places: i64,
    /// Where what each number of the kernel sees begins.
    seen: Vec<i64>,
    /// Where the cell states that go on begin.
    own: i64,
}

impl Course {
    fn of(lines: Lines, height: i64, width: i64) -> Self {
        match lines {
            Lines::Rows => {
                let row = |_| Line { places: width, seen: vec![0, 1, 2], own: 1 };
                Self { orders: vec![(0..height * width).collect()], lines: (0..height).map(row).collect() }
            }
            Lines::Diagonals => {
                // The rows that diagonal d, of which row + column are d, goes through.
                let first = |d: i64| (d + 1 - width).max(0);
                let last = |d: i64| d.min(height - 1);
                let all = 0..height + width - 1;
                let line = |d: i64| {
                    let above = first(d) - first(d - 1);
                    Line { places: last(d) + 1 - first(d), seen: vec![above, above + 1], own: above + 1 }
                };
                let places = || all.clone().flat_map(|d| (first(d)..=last(d)).map(move |row| (row, d - row)));
                let left = places().map(|(row, column)| row * width + column).collect();
                let right = places().map(|(row, column)| row * width + width - 1 - column).collect();
                Self { orders: vec![left, right], lines: all.clone().map(line).collect() }
            }
        }
    }
}

/// Where each number stands in an order.
fn inverse(order: &[i64]) -> Vec<i64> {
    let mut back = vec![0; order.len()];
    for (at, &place) in order.iter().enumerate() {
        back[place as usize] = at as i64;
    }
    back
}

/// The states of images of one run, asked for one pixel after the other: of all pixels before, those of a row are kept.
pub(super) struct KeptStates {
    lines: Lines,
    /// `[h, 4h]` for each number of a pass' kernel.
    weights: Vec<Vec<Tensor>>,
    /// The states of this row so far, of each pass: `[B, W, h]`. Those from the right are of the row above.
    states: Vec<Tensor>,
    cells: Tensor,
    /// The cell states of the row above.
    cells_above: Tensor,
    /// What the states of the row above say to the gates of this row, `[B, W, 4h]`.
    said: Tensor,
    /// What the map says to the gates from the right, of this row so far: `[B, W, 4h]`.
    waiting: Tensor,
}

impl KeptStates {
    /// For `batch` images that are so wide; `params` are `[1, …]`.
    pub(super) fn new(layer: &MapLstm, params: &[Tensor], batch: i64, width: i64) -> Self {
        let hidden = layer.hidden as i64;
        let device = params[layer.passes[0].from_state].device();
        let zeros = |units: i64| Tensor::zeros([batch, width, units], (Kind::Float, device));
        // Copies, whose places in memory do not depend on the pack.
        let taps = |kernel: &Tensor| by_taps(kernel).squeeze_dim(0).split(hidden, 0).iter().map(Tensor::copy).collect();
        Self {
            lines: layer.lines,
            weights: layer.passes.iter().map(|pass| taps(&params[pass.from_state])).collect(),
            states: layer.passes.iter().map(|_| zeros(hidden)).collect(),
            cells: zeros(hidden),
            cells_above: zeros(hidden),
            said: zeros(4 * hidden),
            waiting: zeros(4 * hidden),
        }
    }

    /// Goes on to this row; the states of all rows above are known.
    pub(super) fn begin_row(&mut self, row: i64) {
        if row == 0 {
            return;
        }
        let width = self.cells.size()[1];
        match self.lines {
            Lines::Rows => {
                let around = self.states[0].constant_pad_nd([0, 0, 1, 1]);
                let seen = |(at, weight): (i64, &Tensor)| around.narrow(1, at, width).matmul(weight);
                self.said = (0..).zip(&self.weights[0]).map(seen).reduce(|sum, more| sum + more).expect("three taps");
                self.cells_above.copy_(&self.cells);
            }
            Lines::Diagonals => {
                self.said = self.states[0].matmul(&self.weights[0][0]);
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

    /// The state at this column, `[B, h]`, where the map says this to the gates of each pass, `[B, 4h]`.
    pub(super) fn at(&mut self, column: i64, gates: &[Tensor]) -> Tensor {
        let of = |x: &Tensor, column: i64| x.select(1, column);
        let mut sum = &gates[0] + of(&self.said, column);
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
