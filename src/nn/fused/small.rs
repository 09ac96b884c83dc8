//! Chains of small dense layers on the host: one pass over numbers that stay in the cache, and one node of autograd.
//!
//! A layer of eight units is less work than libtorch's bookkeeping for it. Such layers, one after the other, are computed
//! here run by run, forward and backward; the formulas are those of `dense` and `activation`, which the tests hold them
//! against. A run's numbers are worked on alone and in an order that is written here, so a pack of any size gives the
//! same bits; and so does any processor, as nothing is left to its choice (no fused multiply-add, exponentials of our
//! own).

use super::Link;
use crate::base::host::{self, Rows};
use crate::base::unbound::{self, Derivatives};
use crate::nn::layer::Step;
use crate::nn::layer::activation::ActivationSpec;
use crate::nn::plan::ParamPlan;
use crate::nn::weight::Form;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Weights of more numbers than this (32 × 32), and layers of more units, are left to libtorch's products, which are then
/// faster.
const MOST_WEIGHTS: usize = 1024;
const MOST_UNITS: usize = 64;

/// Examples that are worked on at once.
const LANES: usize = 8;
type Lanes = [f32; LANES];
const ZERO: Lanes = [0.0; LANES];

/// A chain of layers `[R, B, F]` to `[R, B, G]`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Chain {
    layers: Vec<Layer>,
    /// Indices of its parameters in the network's.
    params: Vec<usize>,
    outputs: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Layer {
    kernel: Kernel,
    inputs: usize,
}

/// Weights and biases are indices of the chain's inputs, of which 0 is its `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    Linear { weight: usize, bias: Option<usize> },
    Curve(Curve),
    Minibatch { weight: usize, kernels: usize, mean: bool },
}

impl Chain {
    /// The longest chain that `steps` begin with, and of how many steps it is.
    pub fn of(steps: &[Step], plans: &[ParamPlan]) -> Option<(Self, usize)> {
        let small = |index: usize| {
            let plan = &plans[index];
            plan.len() <= MOST_WEIGHTS && plan.shape.iter().all(|&n| n <= MOST_UNITS)
        };
        // Activations before the first weight have as many inputs as it has.
        let weight = steps.iter().find_map(|step| match step.link() {
            Link::Linear(linear) => Some(linear.weight.index),
            Link::Minibatch(minibatch) => Some(minibatch.weight),
            Link::Activation(_) | Link::Outside => None,
        });
        let mut chain = Self { layers: vec![], params: vec![], outputs: plans[weight?].shape[0] };
        for step in steps {
            let inputs = chain.outputs;
            let mut slot = |index: usize| {
                chain.params.push(index);
                chain.params.len()
            };
            let (kernel, outputs) = match step.link() {
                Link::Linear(linear) if linear.weight.form == Form::Plain && small(linear.weight.index) => {
                    let weight = slot(linear.weight.index);
                    (Kernel::Linear { weight, bias: linear.bias.map(slot) }, plans[linear.weight.index].shape[1])
                }
                Link::Minibatch(layer) if small(layer.weight) => {
                    let kernels = layer.kernels;
                    (Kernel::Minibatch { weight: slot(layer.weight), kernels, mean: layer.mean }, inputs + kernels)
                }
                Link::Activation(activation) => match Curve::of(activation) {
                    Some(curve) => (Kernel::Curve(curve), inputs),
                    None => break,
                },
                Link::Linear(_) | Link::Minibatch(_) | Link::Outside => break,
            };
            chain.layers.push(Layer { kernel, inputs });
            chain.outputs = outputs;
        }
        let steps = chain.layers.len();
        (!chain.params.is_empty()).then_some((chain, steps))
    }

    /// What the chain makes of `x`, which holds `parts` batches; `params` are the network's.
    pub fn apply(self: &Arc<Self>, x: &Tensor, params: &[Tensor], parts: i64) -> Tensor {
        let chain = self.clone();
        let x = &x.contiguous();
        let inputs: Vec<&Tensor> = std::iter::once(x).chain(self.params.iter().map(|&i| &params[i])).collect();
        let value = tch::no_grad(|| {
            let (runs, batch) = extent(x);
            let mut out = Tensor::empty([runs, batch, self.outputs as i64], (Kind::Float, Device::Cpu));
            let rows: Vec<Rows> = inputs.iter().map(|t| host::rows(t)).collect();
            Work::new(self, &rows, batch, parts).pass(Task::Forward(host::write(&mut out)));
            out
        });
        let backward = move |inputs: &[Tensor], of_output: &Tensor, wanted: &[bool]| {
            let of_output = of_output.contiguous();
            let rows: Vec<Rows> = inputs.iter().map(host::rows).collect();
            let mut slopes: Vec<Option<Tensor>> = (inputs.iter().zip(wanted))
                .map(|(input, wanted)| wanted.then(|| Tensor::empty(input.size(), (Kind::Float, Device::Cpu))))
                .collect();
            let slots = slopes.iter_mut().map(|t| t.as_mut().map(host::write)).collect();
            let work = Work::new(&chain, &rows, extent(&inputs[0]).1, parts);
            work.pass(Task::Backward { of_output: host::rows(&of_output), slots });
            slopes
        };
        unbound::attach(value, &inputs, Derivatives::One, Box::new(backward))
    }
}

/// An activation whose formula is here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Curve {
    Linear,
    Relu,
    LeakyRelu(f32),
    Softplus,
    Tanh,
    Sigmoid,
}

impl Curve {
    fn of(activation: ActivationSpec) -> Option<Self> {
        Some(match activation {
            ActivationSpec::Linear => Self::Linear,
            ActivationSpec::Relu => Self::Relu,
            ActivationSpec::LeakyRelu(spec) => Self::LeakyRelu(spec.slope.get() as f32),
            ActivationSpec::Softplus => Self::Softplus,
            ActivationSpec::Tanh => Self::Tanh,
            ActivationSpec::Sigmoid => Self::Sigmoid,
            ActivationSpec::Elu | ActivationSpec::Selu => return None,
        })
    }
}

/// Runs and examples of `[R, B, F]`.
fn extent(x: &Tensor) -> (i64, i64) {
    let (runs, batch, _) = x.size3().expect("a chain takes [runs, batch, features]");
    (runs, batch)
}

/// What to do for all runs.
enum Task<'a> {
    /// Fill the outputs, `[R, B, G]`.
    Forward(&'a mut [f32]),
    /// From the slopes of the loss by the outputs, those by the inputs that have a slot.
    Backward { of_output: Rows<'a>, slots: Vec<Option<&'a mut [f32]>> },
}

/// A chain and the inputs that it works on.
struct Work<'a> {
    chain: &'a Chain,
    /// `x` and the parameters.
    inputs: &'a [Rows<'a>],
    batch: Batch,
}

/// The numbers of one run on their way: what each layer takes and gives, or the slopes by them.
struct Tape {
    /// One after the other: `x`, and the output of every layer.
    values: Vec<Lanes>,
    /// A layer's own, behind each other: projections M and the closeness of pairs, for minibatch discrimination.
    own: Vec<Vec<Lanes>>,
}

impl<'a> Work<'a> {
    fn new(chain: &'a Chain, inputs: &'a [Rows<'a>], batch: i64, parts: i64) -> Self {
        Self { chain, inputs, batch: Batch::new(batch as usize, parts as usize) }
    }

    /// Does the task with the widest instructions that the processor has. They change how many numbers are worked on at
    /// a time, and nothing else. A generic function around a closure is not inlined whole, which cost a fifth of the speed.
    fn pass(&self, task: Task<'_>) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn wide(work: &Work<'_>, task: Task<'_>) {
                work.pass_as_compiled(task);
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has been asked.
                #[expect(unsafe_code, reason = "instructions that not every processor of this target has")]
                return unsafe { wide(self, task) };
            }
        }
        self.pass_as_compiled(task);
    }

    // What follows is inlined so that it is compiled for each set of instructions.

    #[inline(always)]
    fn pass_as_compiled(&self, task: Task<'_>) {
        let mut values = self.tape();
        match task {
            Task::Forward(outputs) => {
                let row = self.batch.examples * self.batch.parts * self.chain.outputs;
                for (run, output) in outputs.chunks_exact_mut(row).enumerate() {
                    self.forward(run, &mut values);
                    self.batch.store(&values.values[self.offset(self.chain.layers.len())..], output);
                }
            }
            Task::Backward { of_output, mut slots } => {
                let mut slopes = self.tape();
                for run in 0..of_output.len() {
                    // Cheaper again than to keep until now: it stays in the cache.
                    self.forward(run, &mut values);
                    self.batch.load(of_output.get(run), &mut slopes.values[self.offset(self.chain.layers.len())..]);
                    self.backward(run, &mut values, &mut slopes, &mut slots);
                }
            }
        }
    }

    fn tape(&self) -> Tape {
        let width = self.batch.width();
        let own = |layer: &Layer| match layer.kernel {
            Kernel::Minibatch { weight, kernels, .. } => {
                let projections = self.inputs[weight].row() / layer.inputs;
                vec![ZERO; (projections + kernels * self.batch.examples) * width]
            }
            Kernel::Linear { .. } | Kernel::Curve(_) => vec![],
        };
        let values = vec![ZERO; self.offset(self.chain.layers.len()) + self.chain.outputs * width];
        Tape { values, own: self.chain.layers.iter().map(own).collect() }
    }

    /// Where the input of a layer begins on the tape, or, after the last, the output.
    fn offset(&self, layer: usize) -> usize {
        self.chain.layers[..layer].iter().map(|l| l.inputs).sum::<usize>() * self.batch.width()
    }

    #[inline(always)]
    fn forward(&self, run: usize, tape: &mut Tape) {
        let width = self.batch.width();
        self.batch.load(self.inputs[0].get(run), &mut tape.values[..self.chain.layers[0].inputs * width]);
        let mut rest = &mut tape.values[..];
        for (layer, own) in self.chain.layers.iter().zip(&mut tape.own) {
            let (x, after) = rest.split_at_mut(layer.inputs * width);
            match layer.kernel {
                Kernel::Linear { weight, bias } => {
                    let bias = bias.map(|b| self.inputs[b].get(run));
                    let outputs = self.inputs[weight].row() / layer.inputs;
                    product(x, self.inputs[weight].get(run), [1, outputs], bias, &mut after[..outputs * width], width);
                }
                Kernel::Curve(curve) => activate(curve, x, &mut after[..x.len()]),
                Kernel::Minibatch { weight, kernels, mean } => {
                    let projections = self.inputs[weight].row() / layer.inputs;
                    let (m, pairs) = own.split_at_mut(projections * width);
                    product(x, self.inputs[weight].get(run), [1, projections], None, m, width);
                    after[..x.len()].copy_from_slice(x);
                    let closeness = &mut after[x.len()..][..kernels * width];
                    self.batch.closeness(m, pairs, closeness, self.batch.share(mean));
                }
            }
            rest = after;
        }
    }

    #[inline(always)]
    fn backward(&self, run: usize, tape: &mut Tape, slopes: &mut Tape, slots: &mut [Option<&mut [f32]>]) {
        let width = self.batch.width();
        for (at, layer) in self.chain.layers.iter().enumerate().rev() {
            let (from, to) = (self.offset(at), self.offset(at + 1));
            let x = &tape.values[from..to];
            let (by_x, by_y) = slopes.values[from..].split_at_mut(to - from);
            // Nobody looks at slopes by what comes in, unless the chain is in the middle of something.
            let needed = at > 0 || slots[0].is_some();
            match layer.kernel {
                Kernel::Linear { weight, bias } => {
                    let outputs = self.inputs[weight].row() / layer.inputs;
                    let by_y = &by_y[..outputs * width];
                    if let Some(by_bias) = bias.and_then(|b| slots[b].as_deref_mut()) {
                        sums(by_y, &mut by_bias[run * outputs..][..outputs], width);
                    }
                    if let Some(by_weight) = &mut slots[weight] {
                        let row = layer.inputs * outputs;
                        inner_products(x, by_y, &mut by_weight[run * row..][..row], width);
                    }
                    if needed {
                        product(by_y, self.inputs[weight].get(run), [outputs, 1], None, by_x, width);
                    }
                }
                Kernel::Curve(curve) => slope(curve, x, by_y, by_x),
                Kernel::Minibatch { weight, kernels, mean } => {
                    let projections = self.inputs[weight].row() / layer.inputs;
                    let (m, pairs) = tape.own[at].split_at_mut(projections * width);
                    let by_m = &mut slopes.own[at][..projections * width];
                    let (through, by_closeness) = by_y.split_at(x.len());
                    let by_closeness = &by_closeness[..kernels * width];
                    self.batch.slope_of_closeness(m, pairs, by_closeness, by_m, self.batch.share(mean));
                    if let Some(by_weight) = &mut slots[weight] {
                        let row = layer.inputs * projections;
                        inner_products(x, by_m, &mut by_weight[run * row..][..row], width);
                    }
                    if needed {
                        product(by_m, self.inputs[weight].get(run), [projections, 1], None, by_x, width);
                        for (sum, through) in by_x.iter_mut().zip(through) {
                            each(sum, through, |a, b| a + b);
                        }
                    }
                }
            }
        }
        if let Some(by_x) = &mut slots[0] {
            let row = self.inputs[0].row();
            let features = self.chain.layers[0].inputs;
            self.batch.store(&slopes.values[..features * width], &mut by_x[run * row..][..row]);
        }
    }
}

/// How the examples of a batch lie in lanes: part after part, each filled up with zeros to whole lanes.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// Examples a part.
    examples: usize,
    parts: usize,
    /// Lanes a part and feature.
    groups: usize,
}

impl Batch {
    fn new(batch: usize, parts: usize) -> Self {
        Self { examples: batch / parts, parts, groups: (batch / parts).div_ceil(LANES) }
    }

    /// Lanes a feature.
    fn width(&self) -> usize {
        self.parts * self.groups
    }

    /// The weight of a pair in a closeness.
    fn share(&self, mean: bool) -> f32 {
        if mean { 1.0 / self.examples as f32 } else { 1.0 }
    }

    /// The lanes of an example, counted over all parts, and its index in them.
    #[inline(always)]
    fn lane(&self, example: usize) -> (usize, usize) {
        let (part, example) = (example / self.examples, example % self.examples);
        (part * self.groups + example / LANES, example % LANES)
    }

    /// From examples `[B, F]` to lanes `[F, width]`.
    #[inline(always)]
    fn load(&self, examples: &[f32], lanes: &mut [Lanes]) {
        let features = examples.len() / (self.examples * self.parts);
        let lanes = &mut lanes[..features * self.width()];
        if !self.examples.is_multiple_of(LANES) {
            lanes.fill(ZERO);
        }
        for (i, example) in examples.chunks_exact(features).enumerate() {
            let (group, lane) = self.lane(i);
            for (feature, &number) in example.iter().enumerate() {
                lanes[feature * self.width() + group][lane] = number;
            }
        }
    }

    /// From lanes `[F, width]` to examples `[B, F]`.
    #[inline(always)]
    fn store(&self, lanes: &[Lanes], examples: &mut [f32]) {
        let features = examples.len() / (self.examples * self.parts);
        for (i, example) in examples.chunks_exact_mut(features).enumerate() {
            let (group, lane) = self.lane(i);
            for (feature, number) in example.iter_mut().enumerate() {
                *number = lanes[feature * self.width() + group][lane];
            }
        }
    }

    /// o_i = share·Σ_j c_ij with c_ij = exp(−‖M_i − M_j‖₁): `m` is `[K·D, width]`, `pairs` gets c as `[K, width, j]`,
    /// `closeness` is `[K, width]`.
    #[inline(always)]
    fn closeness(&self, m: &[Lanes], pairs: &mut [Lanes], closeness: &mut [Lanes], share: f32) {
        let width = self.width();
        let dims = m.len() * self.examples / pairs.len();
        let kernels = m.chunks_exact(dims * width).zip(pairs.chunks_exact_mut(self.examples * width));
        for ((m, pairs), closeness) in kernels.zip(closeness.chunks_exact_mut(width)) {
            for (group, pairs) in pairs.chunks_exact_mut(self.examples).enumerate() {
                let mut sum = ZERO;
                for (j, pair) in pairs.iter_mut().enumerate() {
                    let (other, lane) = self.beside(group, j);
                    let mut distance = ZERO;
                    for m in m.chunks_exact(width) {
                        let there = m[other][lane];
                        each(&mut distance, &m[group], |sum, here| sum + (here - there).abs());
                    }
                    each(&mut distance, &ZERO, |distance, _| exp(-distance));
                    each(&mut sum, &distance, |sum, c| sum + c);
                    *pair = distance;
                }
                each(&mut sum, &ZERO, |sum, _| share * sum);
                closeness[group] = sum;
            }
        }
    }

    /// The slopes by M: Σ_j −(s_i + s_j)·c_ij·sign(M_i − M_j), where s are the slopes by the closeness (a pair counts for
    /// both of its examples). Leaves the slopes by the distances in `pairs`.
    #[inline(always)]
    fn slope_of_closeness(&self, m: &[Lanes], pairs: &mut [Lanes], by_o: &[Lanes], by_m: &mut [Lanes], share: f32) {
        let width = self.width();
        let dims = m.len() * self.examples / pairs.len();
        let kernels = m.chunks_exact(dims * width).zip(by_m.chunks_exact_mut(dims * width));
        let kernels = kernels.zip(pairs.chunks_exact_mut(self.examples * width).zip(by_o.chunks_exact(width)));
        for ((m, by_m), (pairs, by_o)) in kernels {
            for (group, pairs) in pairs.chunks_exact_mut(self.examples).enumerate() {
                let here = by_o[group];
                for (j, pair) in pairs.iter_mut().enumerate() {
                    let (other, lane) = self.beside(group, j);
                    let there = by_o[other][lane];
                    each(pair, &here, |c, here| -share * (here + there) * c);
                }
                for (m, by_m) in m.chunks_exact(width).zip(by_m.chunks_exact_mut(width)) {
                    let (here, mut sum) = (m[group], ZERO);
                    for (j, pair) in pairs.iter().enumerate() {
                        let (other, lane) = self.beside(group, j);
                        let there = m[other][lane];
                        let mut sign = here;
                        each(&mut sign, &ZERO, |here, _| f32::from(here > there) - f32::from(here < there));
                        each(&mut sign, pair, |sign, slope| sign * slope);
                        each(&mut sum, &sign, |sum, term| sum + term);
                    }
                    by_m[group] = sum;
                }
            }
        }
        // Lanes without an example saw the others too.
        let last = self.examples % LANES;
        if last > 0 {
            for lanes in by_m.iter_mut().skip(self.groups - 1).step_by(self.groups) {
                lanes[last..].fill(0.0);
            }
        }
    }

    /// Where example `j` of the part that lanes `group` belong to lies.
    #[inline(always)]
    fn beside(&self, group: usize, j: usize) -> (usize, usize) {
        let first = if self.parts == 1 { 0 } else { group / self.groups * self.groups };
        (first + j / LANES, j % LANES)
    }
}

/// out_r = bias_r + Σ_c w[r·strides₀ + c·strides₁]·x_c, of lanes `[·, width]`.
#[inline(always)]
fn product(x: &[Lanes], w: &[f32], strides: [usize; 2], bias: Option<&[f32]>, out: &mut [Lanes], width: usize) {
    let rows = out.len() / width;
    let whole = rows / 4 * 4;
    for row in (0..whole).step_by(4) {
        product_rows::<4>(x, w, strides, bias, out, width, row);
    }
    for row in whole..rows {
        product_rows::<1>(x, w, strides, bias, out, width, row);
    }
}

/// Rows `row` to `row + N` of a product: several at once, as a sum waits for its last term.
#[inline(always)]
fn product_rows<const N: usize>(
    x: &[Lanes],
    w: &[f32],
    [of_row, of_column]: [usize; 2],
    bias: Option<&[f32]>,
    out: &mut [Lanes],
    width: usize,
    row: usize,
) {
    for group in 0..width {
        let mut sums = [ZERO; N];
        if let Some(bias) = bias {
            for (sum, &bias) in sums.iter_mut().zip(&bias[row..row + N]) {
                *sum = [bias; LANES];
            }
        }
        for (column, x) in x.chunks_exact(width).enumerate() {
            let x = &x[group];
            for (r, sum) in sums.iter_mut().enumerate() {
                let w = w[(row + r) * of_row + column * of_column];
                each(sum, x, |sum, x| sum + w * x);
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            out[(row + r) * width + group] = *sum;
        }
    }
}

/// Σ over lanes of x_i·y_o, `[I, O]`.
#[inline(always)]
fn inner_products(x: &[Lanes], y: &[Lanes], out: &mut [f32], width: usize) {
    let outputs = y.len() / width;
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(outputs)) {
        for (y, out) in y.chunks_exact(width).zip(out) {
            let mut sum = ZERO;
            for (x, y) in x.iter().zip(y) {
                let mut product = *x;
                each(&mut product, y, |x, y| x * y);
                each(&mut sum, &product, |sum, term| sum + term);
            }
            *out = total(&sum);
        }
    }
}

/// Σ over lanes of y_o, `[O]`.
#[inline(always)]
fn sums(y: &[Lanes], out: &mut [f32], width: usize) {
    for (y, out) in y.chunks_exact(width).zip(out) {
        let mut sum = ZERO;
        for y in y {
            each(&mut sum, y, |sum, y| sum + y);
        }
        *out = total(&sum);
    }
}

#[inline(always)]
fn total(x: &Lanes) -> f32 {
    ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}

/// a = f(a, b), lane by lane. Compilers see that nothing else is written to meanwhile, and take all lanes at once.
#[inline(always)]
fn each(a: &mut Lanes, b: &Lanes, f: impl Fn(f32, f32) -> f32) {
    let (x, y, mut out) = (*a, *b, ZERO);
    for lane in 0..LANES {
        out[lane] = f(x[lane], y[lane]);
    }
    *a = out;
}

#[inline(always)]
fn activate(curve: Curve, x: &[Lanes], y: &mut [Lanes]) {
    #[inline(always)]
    fn all(x: &[Lanes], y: &mut [Lanes], f: impl Fn(f32) -> f32) {
        for (x, y) in x.iter().zip(y) {
            *y = *x;
            each(y, &ZERO, |x, _| f(x));
        }
    }
    match curve {
        Curve::Linear => y.copy_from_slice(x),
        // Written so that a number that is none stays none.
        Curve::Relu => all(x, y, |x| if x <= 0.0 { 0.0 } else { x }),
        Curve::LeakyRelu(slope) => all(x, y, |x| if x > 0.0 { x } else { slope * x }),
        Curve::Softplus => all(x, y, |x| log1p(exp(-x.abs())) + if x <= 0.0 { 0.0 } else { x }),
        Curve::Tanh => all(x, y, tanh),
        Curve::Sigmoid => all(x, y, sigmoid),
    }
}

/// The slopes by x from x and the slopes by y.
#[inline(always)]
fn slope(curve: Curve, x: &[Lanes], by_y: &[Lanes], by_x: &mut [Lanes]) {
    #[inline(always)]
    fn all(x: &[Lanes], by_y: &[Lanes], by_x: &mut [Lanes], f: impl Fn(f32, f32) -> f32) {
        for ((x, by_y), by_x) in x.iter().zip(by_y).zip(by_x) {
            *by_x = *by_y;
            each(by_x, x, |by_y, x| f(x, by_y));
        }
    }
    match curve {
        Curve::Linear => by_x.copy_from_slice(&by_y[..x.len()]),
        Curve::Relu => all(x, by_y, by_x, |x, s| if x > 0.0 { s } else { 0.0 }),
        Curve::LeakyRelu(slope) => all(x, by_y, by_x, |x, s| if x > 0.0 { s } else { slope * s }),
        Curve::Softplus => all(x, by_y, by_x, |x, s| s * sigmoid(x)),
        Curve::Tanh => all(x, by_y, by_x, |x, s| {
            let y = tanh(x);
            s * (1.0 - y * y)
        }),
        Curve::Sigmoid => all(x, by_y, by_x, |x, s| {
            let y = sigmoid(x);
            s * (y * (1.0 - y))
        }),
    }
}

// Exponentials from arithmetic alone, which compilers turn into vector instructions. The polynomials are those of
// Moshier's Cephes library (single precision: expf, logf, tanhf), each good to about one unit in the last place.

/// ln 2 in two parts, of which the first has so few digits that its product with a whole number is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// eˣ for x ≤ 0; below −87, where numbers lose their digits, e⁻⁸⁷.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * (r * r) + r + 1.0) * power
}

/// log(1 + u) for u in [0, 1].
#[inline(always)]
fn log1p(u: f32) -> f32 {
    let large = u > std::f32::consts::SQRT_2 - 1.0;
    let f = if large { (u - 1.0) * 0.5 } else { u };
    let twos = if large { 1.0 } else { 0.0 };
    let z = f * f;
    let p = 7.037_683_6e-2;
    let p = p * f - 1.151_461e-1;
    let p = p * f + 1.167_699_84e-1;
    let p = p * f - 1.242_014_1e-1;
    let p = p * f + 1.424_932_3e-1;
    let p = p * f - 1.666_805_7e-1;
    let p = p * f + 2.000_071_4e-1;
    let p = p * f - 2.499_999_4e-1;
    let p = p * f + 3.333_333e-1;
    let rest = p * f * z + twos * LN_2_LOW - 0.5 * z;
    f + rest + twos * LN_2_HIGH
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    let s = x * x;
    let p = -5.704_988_7e-3;
    let p = p * s + 2.063_908_8e-2;
    let p = p * s - 5.373_971_5e-2;
    let p = p * s + 1.333_144_2e-1;
    let p = p * s - 3.333_328e-1;
    if x.abs() < 0.625 { p * s * x + x } else { far }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{discriminator, inputs, numbers, pack, planned, said};

    /// The two ways are of different making; a mistake in either, or lanes that see each other, would tell them apart.
    #[test]
    fn chains_say_and_learn_what_the_layers_of_libtorch_do() {
        tch::set_num_threads(1);
        let minibatch = |mean| {
            format!(
                r#"{{ linear = 6 }}, "tanh", {{ minibatch-discrimination = {{ kernels = 3, dims = 2, mean = {mean} }} }},
                {{ linear = 5 }}"#
            )
        };
        let seeds = [1, 2, 3];
        for middle in [minibatch(false), minibatch(true)] {
            for activation in [r#""relu""#, "{ leaky-relu = 0.3 }", r#""softplus""#, r#""tanh""#, r#""sigmoid""#] {
                for (batch, parts) in [(1, 1), (5, 1), (8, 1), (6, 2), (26, 2), (32, 2)] {
                    let toml = format!("{{ layers = [{middle}, {activation}, {{ linear = 1 }}] }}");
                    let plan = planned(&toml, &discriminator(&[2])).expect(&toml);
                    let [fused, composed] = [false, true].map(|slopes| {
                        let pack = pack(&plan, &seeds);
                        let x = inputs(&seeds, batch, &[2]).set_requires_grad(true);
                        let mut noise = crate::nn::testing::Seeded::new(&seeds);
                        let mut mode = crate::nn::Mode { train: true, parts, slopes, twin: false, noise: &mut noise };
                        let out = plan.forward(&pack.params, &x, None, &mut mode).out;
                        let loss = (&out * &out + &out).sum(Kind::Float);
                        let slopes = Tensor::run_backward(&[&loss], &[&pack.flat, &x], false, false);
                        [&out, &slopes[0], &slopes[1]].map(numbers)
                    });
                    for (what, (a, b)) in ["output", "weights", "x"].iter().zip(fused.iter().zip(&composed)) {
                        assert_eq!(a.len(), b.len());
                        let far = a.iter().zip(b).find(|(a, b)| (*a - *b).abs() > 2e-5 * (1.0 + b.abs()));
                        assert_eq!(far, None, "{what} of {toml} with {parts} × {}", batch / parts as usize);
                    }
                }
            }
        }
    }

    #[test]
    fn a_frozen_chain_passes_slopes_on_and_a_learning_one_does_not_look_for_more() {
        let plan = planned("{ mlp = { hidden = [4] } }", &discriminator(&[3])).expect("it fits");
        let frozen: Vec<Tensor> = pack(&plan, &[1]).params.iter().map(|p| p.detach()).collect();
        let x = inputs(&[1], 4, &[3]).set_requires_grad(true);
        let slope = |params: &[Tensor], x: &Tensor, by: &Tensor| {
            let out = said(&plan, params, x, None, &[1], true, false).out;
            numbers(&Tensor::run_backward(&[out.sum(Kind::Float)], &[by], false, false)[0])
        };
        let learning = pack(&plan, &[1]);
        assert_eq!(slope(&frozen, &x, &x), slope(&learning.params, &x, &x));
        assert_eq!(slope(&learning.params, &x.detach(), &learning.flat), slope(&learning.params, &x, &learning.flat));
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        for f in [exp, log1p, tanh, sigmoid] {
            assert!(f(f32::NAN).is_nan());
        }
        for curve in [Curve::Relu, Curve::Softplus] {
            let mut y = [ZERO];
            activate(curve, &[[f32::NAN; LANES]], &mut y);
            assert!(y[0][0].is_nan(), "{curve:?}");
        }
    }

    /// Against the same in double precision.
    #[test]
    fn exponentials_are_good_to_two_units_in_the_last_place() {
        let near = |name: &str, x: f32, found: f32, exact: f64| {
            let unit = f64::from(f32::EPSILON) * exact.abs().max(1e-30);
            assert!((f64::from(found) - exact).abs() <= 2.0 * unit, "{name}({x}) is {found} instead of {exact}");
        };
        for i in 0..200_000 {
            let (x, u) = (i as f32 * -4.3e-4, i as f32 * 5e-6);
            near("exp", x, exp(x), libm::exp(x.into()));
            near("log1p", u, log1p(u), libm::log1p(u.into()));
            for x in [x * 0.2, -x * 0.2] {
                near("tanh", x, tanh(x), libm::tanh(x.into()));
                near("sigmoid", x, sigmoid(x), 1.0 / (1.0 + libm::exp(-f64::from(x))));
            }
        }
        assert_eq!((exp(0.0), exp(-1e9) > 0.0, log1p(0.0), tanh(0.0), sigmoid(0.0)), (1.0, true, 0.0, 0.0, 0.5));
        assert_eq!((tanh(-100.0), sigmoid(100.0)), (-1.0, 1.0));
    }
}
