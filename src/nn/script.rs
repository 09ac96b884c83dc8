//! A network for others: its weights in PyTorch's layout, and TorchScript that computes with them as evaluation does.
//!
//! The script is written as text from the plan, so that nothing in it depends on a batch size, its weights move with
//! `.to(device)` and whoever opens it can read it (`module.code`). Numbers that only training needs are worked in:
//! a weight is the one that its layer multiplies with. No tensor is needed here.

use super::archive;
use super::plan::{
    BatchNorm, Block, Causal, Cell, Conv, Embedding, Form, GatedLayer, Linear, Lines, LstmPass, MapLstm, NetworkPlan,
    PlaceNorm, Recurrent, Step, Weight, count,
};
use super::spec::{ActivationSpec, PoolKind};

/// A parameter or buffer as PyTorch has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    /// The layer's place and the name that PyTorch's module gives it: `0.weight`, `1.running_mean`.
    pub name: String,
    /// Its shape; the weight of a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub data: Vec<f32>,
    /// Whether it learned.
    pub learned: bool,
}

/// A network as weights and what is done with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The weights, in the order in which layers use them.
    pub weights: Vec<Plain>,
    /// The class that holds them, with its method `forward(z)`, or `forward(z, labels)` where there are labels; of a
    /// discriminator or classifier also `features(z)`, what enters its last linear layer.
    pub code: String,
}

impl Script {
    /// The script of a network with these numbers, one vector a parameter of the plan.
    pub fn new(plan: &NetworkPlan, numbers: &[Vec<f32>]) -> Self {
        let mut writer =
            Writer { plan, numbers, weights: Vec::new(), body: Vec::new(), next: 0, map: false, sized: false };
        writer.map = plan.input.len() == 3;
        let (before, mut after) = plan.steps.split_at(plan.features_at.unwrap_or(0));
        let mut methods = String::new();
        let labels = if plan.takes_labels() { (",\n    labels: Tensor", "labels, ") } else { ("", "") };
        if let (Some(_), false) = (plan.reference, before.is_empty()) {
            // The reference goes through each method from the start.
            let out = writer.through(before, "z");
            methods.push_str(&writer.method("features", labels.0, &out));
            writer.map = plan.input.len() == 3;
            after = &plan.steps;
        } else if !before.is_empty() {
            let out = writer.through(before, "z");
            methods.push_str(&writer.method("features", labels.0, &out));
            writer.is(format!("(self).features(z, {})", labels.1));
        }
        let start = format!("x{}", writer.next.saturating_sub(1));
        let from_start = before.is_empty() || plan.reference.is_some();
        let out = writer.through(after, if from_start { "z" } else { &start });
        methods.push_str(&writer.method("forward", labels.0, &out));
        let weights = writer.weights;
        let quoted = |learned: bool| -> String {
            weights.iter().filter(|w| w.learned == learned).map(|w| format!("\"{}\", ", identifier(&w.name))).collect()
        };
        let mut code = format!("class {}(Module):\n", archive::CLASS);
        code.push_str(&format!("  __parameters__ = [{}]\n  __buffers__ = [{}]\n", quoted(true), quoted(false)));
        for weight in &weights {
            code.push_str(&format!("  {} : Tensor\n", identifier(&weight.name)));
        }
        code.push_str("  training : bool\n");
        code.push_str(&methods);
        Self { weights, code }
    }

    /// The bytes of a file that `torch.jit.load` reads, with a text beside the code (`_extra_files`).
    pub fn archive(&self, about: &str) -> Vec<u8> {
        let weights = self.weights.iter().map(|w| (identifier(&w.name), w)).collect::<Vec<_>>();
        archive::torchscript(&self.code, &weights, about)
    }
}

/// A name that an attribute may have: `0.weight` is `layer0_weight`.
fn identifier(name: &str) -> String {
    let plain = name.replace(['.', '-'], "_");
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("layer{plain}") } else { plain }
}

/// Writes the body of `forward`, a line an operation, and collects the weights that it names.
struct Writer<'a> {
    plan: &'a NetworkPlan,
    numbers: &'a [Vec<f32>],
    weights: Vec<Plain>,
    body: Vec<String>,
    next: usize,
    /// Whether what was computed last is a map; it is a vector otherwise.
    map: bool,
    /// Whether the size of the batch is asked for.
    sized: bool,
}

impl Writer<'_> {
    fn through(&mut self, steps: &[Step], x: &str) -> String {
        steps.iter().fold(x.to_owned(), |x, step| self.step(step, &x))
    }

    /// The method of what was written since the last one, which gives `out`.
    fn method(&mut self, name: &str, labels: &str, out: &str) -> String {
        let mut code = format!("  def {name}(self: {},\n    z: Tensor{labels}) -> Tensor:\n", archive::QUALIFIED);
        let reference = self.plan.reference.map(|reference| {
            let batch = self.plain(reference.batch);
            code.push_str(&format!("    z = torch.cat([{batch}, z], 0)\n"));
            if let Some(place) = reference.labels {
                let own = self.plain(place);
                code.push_str(&format!("    labels = torch.cat([torch.type_as({own}, labels), labels], 0)\n"));
            }
            reference.examples
        });
        if std::mem::take(&mut self.sized) {
            code.push_str("    n = torch.size(z, 0)\n");
        }
        for line in self.body.drain(..) {
            code.push_str(&format!("    {line}\n"));
        }
        match reference {
            Some(examples) => code.push_str(&format!("    return torch.slice({out}, 0, {examples})\n")),
            None => code.push_str(&format!("    return {out}\n")),
        }
        code
    }

    /// A new variable for what an expression gives.
    fn is(&mut self, expression: String) -> String {
        let name = format!("x{}", self.next);
        self.next += 1;
        self.body.push(format!("{name} = {expression}"));
        name
    }

    fn n(&mut self) -> &'static str {
        self.sized = true;
        "n"
    }

    /// A parameter as it is.
    fn plain(&mut self, index: usize) -> String {
        let param = &self.plan.params[index];
        self.named(index, param.shape.clone(), self.numbers[index].clone())
    }

    fn optional(&mut self, index: Option<usize>) -> String {
        index.map_or_else(|| "None".to_owned(), |index| self.plain(index))
    }

    fn named(&mut self, index: usize, shape: Vec<usize>, data: Vec<f32>) -> String {
        let param = &self.plan.params[index];
        // Two methods may use the same.
        if self.weights.iter().all(|weight| weight.name != param.name) {
            self.weights.push(Plain { name: param.name.clone(), shape, data, learned: param.learned });
        }
        format!("self.{}", identifier(&param.name))
    }

    /// The numbers that a layer multiplies with.
    fn effective(&self, weight: &Weight) -> Vec<f32> {
        let (shape, w) = (&self.plan.params[weight.index].shape, &self.numbers[weight.index]);
        let outputs = shape[weight.outputs_at];
        let inner: usize = shape[weight.outputs_at + 1..].iter().product();
        // To which output the number at a place belongs.
        let output = |place: usize| place / inner % outputs;
        let scale: Vec<f64> = match weight.form {
            Form::Plain => return w.clone(),
            Form::Norm { gain } => {
                let mut squares = vec![0.0; outputs];
                w.iter().enumerate().for_each(|(i, &v)| squares[output(i)] += f64::from(v).powi(2));
                squares.iter().zip(&self.numbers[gain]).map(|(square, &gain)| f64::from(gain) / square.sqrt()).collect()
            }
            Form::Spectral { vector } => vec![1.0 / self.spectral_norm(weight, vector, &output); outputs],
        };
        w.iter().enumerate().map(|(i, &v)| (f64::from(v) * scale[output(i)]) as f32).collect()
    }

    /// uᵀWv after one power step from the stored u, as in evaluation.
    fn spectral_norm(&self, weight: &Weight, vector: usize, output: &dyn Fn(usize) -> usize) -> f64 {
        let (shape, w) = (&self.plan.params[weight.index].shape, &self.numbers[weight.index]);
        let (outputs, all) = (shape[weight.outputs_at], count(shape));
        let inner: usize = shape[weight.outputs_at + 1..].iter().product();
        // To which place among the other dimensions a number belongs.
        let other = |place: usize| place / (inner * outputs) * inner + place % inner;
        let mut v = vec![0.0; all / outputs];
        w.iter()
            .enumerate()
            .for_each(|(i, &w)| v[other(i)] += f64::from(w) * f64::from(self.numbers[vector][output(i)]));
        unit(&mut v);
        let mut u = vec![0.0; outputs];
        w.iter().enumerate().for_each(|(i, &w)| u[output(i)] += f64::from(w) * v[other(i)]);
        let product = u.clone();
        unit(&mut u);
        u.iter().zip(&product).map(|(a, b)| a * b).sum()
    }

    fn linear(&mut self, linear: &Linear, x: &str) -> String {
        let shape = &self.plan.params[linear.weight.index].shape;
        let (inputs, outputs) = (shape[0], shape[1]);
        let w = self.effective(&linear.weight);
        let turned = (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o)).map(|at| w[at]).collect();
        let w = self.named(linear.weight.index, vec![outputs, inputs], turned);
        let bias = self.optional(linear.bias);
        self.map = false;
        self.is(format!("torch.linear({x}, {w}, {bias})"))
    }

    fn conv(&mut self, conv: &Conv, x: &str) -> String {
        let shape = self.plan.params[conv.weight.index].shape.clone();
        let w = self.effective(&conv.weight);
        let w = self.named(conv.weight.index, shape, w);
        let bias = self.optional(conv.bias);
        let [stride, padding, more] = [conv.stride, conv.padding, conv.output_padding].map(|n| format!("[{n}, {n}]"));
        self.is(if conv.transposed {
            format!("torch.conv_transpose2d({x}, {w}, {bias}, {stride}, {padding}, {more}, 1, [1, 1])")
        } else {
            format!("torch.conv2d({x}, {w}, {bias}, {stride}, {padding}, [1, 1], 1)")
        })
    }

    /// A convolution whose kernel holds zeros where it sees nothing.
    fn causal(&mut self, conv: &Causal, x: &str) -> String {
        let shape = self.plan.params[conv.weight].shape.clone();
        let mut w = self.numbers[conv.weight].clone();
        for (at, value) in w.iter_mut().enumerate() {
            let (column, rest) = (at % conv.width, at / conv.width);
            let (row, rest) = (rest % conv.height, rest / conv.height);
            if !conv.sees(rest / shape[1], rest % shape[1], row, column) {
                *value = 0.0;
            }
        }
        let w = self.named(conv.weight, shape, w);
        let bias = self.plain(conv.bias);
        let (up, left) = (conv.up, conv.left);
        let y = self.is(format!("torch.conv2d({x}, {w}, {bias}, [1, 1], [{up}, {left}], [1, 1], 1)"));
        let high = self.is(format!("torch.narrow({y}, 2, 0, torch.size({x}, 2))"));
        let y = self.is(format!("torch.narrow({high}, 3, 0, torch.size({x}, 3))"));
        let Some(label) = conv.label else { return y };
        let label = self.plain(label);
        let one_hot = format!("torch.type_as(torch.one_hot(labels, {}), z)", self.plan.classes);
        let own = self.is(format!("torch.unsqueeze(torch.unsqueeze(torch.matmul({one_hot}, {label}), 2), 3)"));
        self.is(format!("torch.add({y}, {own})"))
    }

    fn gated(&mut self, layers: &[GatedLayer], x: &str) -> String {
        let (mut v, mut h) = (x.to_owned(), x.to_owned());
        for layer in layers {
            let p = self.plan.params[layer.out.bias].shape[0];
            let gate = |x: &str| {
                let half = |at: usize| format!("torch.narrow({x}, 1, {at}, {p})");
                format!("torch.mul(torch.tanh({}), torch.sigmoid({}))", half(0), half(p))
            };
            let vertical = self.causal(&layer.vertical, &v);
            let across = self.causal(&layer.across, &vertical);
            let horizontal = self.causal(&layer.horizontal, &h);
            let sum = self.is(format!("torch.add({horizontal}, {across})"));
            v = self.is(gate(&vertical));
            let gated = self.is(gate(&sum));
            let out = self.causal(&layer.out, &gated);
            h = if layer.residual { self.is(format!("torch.add({out}, {h})")) } else { out };
        }
        h
    }

    fn map_lstm(&mut self, layer: &MapLstm, x: &str) -> String {
        let states: Vec<String> = (layer.passes.iter().enumerate())
            .map(|(i, pass)| {
                let gates = self.causal(&pass.from_input, x);
                match layer.lines {
                    Lines::Rows => self.states(pass, &gates, (2, &format!("torch.size({x}, 2)")), "[0, 1]"),
                    Lines::Diagonals => self.diagonals(pass, &gates, i == 1),
                }
            })
            .collect();
        let all = match &states[..] {
            [left, right] => self.is(format!("torch.add({left}, {right})")),
            _ => states[0].clone(),
        };
        let out = self.causal(&layer.out, &all);
        self.is(format!("torch.add({out}, {x})"))
    }

    /// The states of diagonals, as columns of a map whose rows begin ever later.
    fn diagonals(&mut self, pass: &LstmPass, gates: &str, from_right: bool) -> String {
        let size = |x: &str, side: usize| format!("torch.size({x}, {side})");
        let (high, wide) = (self.is(size(gates, 2)), self.is(size(gates, 3)));
        let n = self.n();
        let turned = |x: String| if from_right { format!("torch.flip({x}, [3])") } else { x };
        // Beyond the map gates are shut, so that states are zeros.
        let padded = self.is(format!("torch.constant_pad_nd({}, [0, {high}], -10000.)", turned(gates.to_owned())));
        let count = self.is(format!("torch.sub(torch.add({high}, {wide}), 1)"));
        let flat = self.is(format!("torch.flatten({padded}, 2, 3)"));
        let flat = self.is(format!("torch.slice({flat}, 2, 0, torch.mul({high}, {count}), 1)"));
        let skewed = self.is(format!("torch.reshape({flat}, [{n}, -1, {high}, {count}])"));
        let states = self.states(pass, &skewed, (3, &count), "[1, 0]");
        let flat = self.is(format!("torch.constant_pad_nd(torch.flatten({states}, 2, 3), [0, {high}], 0)"));
        let straight = self.is(format!("torch.reshape({flat}, [{n}, -1, {high}, torch.add({high}, {wide})])"));
        let states = self.is(turned(format!("torch.narrow({straight}, 3, 0, {wide})")));
        if !from_right {
            return states;
        }
        let above = self.is(format!("torch.narrow({states}, 2, 0, torch.sub({high}, 1))"));
        self.is(format!("torch.constant_pad_nd({above}, [0, 0, 1, 0], 0)"))
    }

    /// The states of lines that lie along a dimension, one after the other.
    fn states(&mut self, pass: &LstmPass, gates: &str, (along, count): (usize, &str), padding: &str) -> String {
        let w = self.plain(pass.from_state);
        let hidden = self.plan.params[pass.from_state].shape[1];
        let line = |at: &str| format!("torch.narrow({gates}, {along}, {at}, 1)");
        let part = |x: &str, at: usize, n: usize| format!("torch.narrow({x}, 1, {}, {n})", at * hidden);
        let begin = self.is(format!("torch.zeros_like({})", part(&line("0"), 0, hidden)));
        let own = format!("x{}", self.next);
        self.next += 1;
        let (state, cell, all, sum, open) =
            (format!("{own}_s"), format!("{own}_c"), format!("{own}_all"), format!("{own}_z"), format!("{own}_o"));
        let from_state = format!("torch.conv2d({state}, {w}, None, [1, 1], {padding}, [1, 1], 1)");
        let from_state = format!("torch.narrow({from_state}, 2, 0, torch.size({state}, 2))");
        let forgotten = format!("torch.mul({}, {cell})", part(&open, 1, hidden));
        let new = format!("torch.mul({}, torch.tanh({}))", part(&open, 2, hidden), part(&sum, 3, hidden));
        self.body.extend([
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
        self.is(format!("torch.cat({all}, {along})"))
    }

    fn batch_norm(&mut self, norm: &BatchNorm, x: &str) -> String {
        let (gain, bias) = (self.optional(norm.gain), self.optional(norm.bias));
        let (mean, var) = (self.plain(norm.mean), self.plain(norm.var));
        let (momentum, eps) = (norm.momentum, norm.eps);
        self.is(format!("torch.batch_norm({x}, {gain}, {bias}, {mean}, {var}, False, {momentum:?}, {eps:?}, True)"))
    }

    fn embedding(&mut self, embedding: &Embedding, x: &str) -> String {
        let table = self.plain(embedding.table);
        // The symbols before, after the one that stands for the beginning.
        let symbols = self.is(format!("torch.slice(torch.to({x}, 4), 1, 0, -1, 1)"));
        let before = self.is(format!("torch.constant_pad_nd({symbols}, [1, 0], {})", embedding.symbols));
        let mut vectors = self.is(format!("torch.embedding({table}, {before})"));
        if let Some(positions) = embedding.positions {
            let positions = self.plain(positions);
            vectors = self.is(format!("torch.add({vectors}, {positions})"));
        }
        if let Some(label) = embedding.label {
            let label = self.plain(label);
            let own = self.is(format!("torch.unsqueeze(torch.embedding({label}, labels), 1)"));
            vectors = self.is(format!("torch.add({vectors}, {own})"));
        }
        vectors
    }

    fn place_norm(&mut self, norm: PlaceNorm, x: &str) -> String {
        let width = self.plan.params[norm.gain].len();
        let (gain, bias) = (self.plain(norm.gain), self.plain(norm.bias));
        self.is(format!("torch.layer_norm({x}, [{width}], {gain}, {bias}, 1e-05, True)"))
    }

    fn recurrent(&mut self, layer: &Recurrent, x: &str) -> String {
        let weights = layer.weights.map(|index| self.plain(index)).join(", ");
        let n = self.n();
        let begin = self.is(format!("torch.new_zeros({x}, [1, {n}, {}])", layer.width));
        let out = format!("x{}", self.next);
        let rest = "True, 1, 0., False, False, True";
        self.next += 1;
        self.body.push(match layer.cell {
            Cell::Gru => format!("{out}, {out}_h = torch.gru({x}, {begin}, [{weights}], {rest})"),
            Cell::Lstm => format!("{out}, {out}_h, {out}_c = torch.lstm({x}, [{begin}, {begin}], [{weights}], {rest})"),
        });
        out
    }

    fn block(&mut self, block: &Block, x: &str) -> String {
        let width = self.plan.params[block.before_attention.gain].len();
        let (heads, n) = (block.heads, self.n());
        let entered = self.place_norm(block.before_attention, x);
        let asked = self.linear(&block.asked, &entered);
        let shape = format!("[{n}, -1, 3, {heads}, {}]", width / heads);
        let parts = self.is(format!("torch.permute(torch.reshape({asked}, {shape}), [2, 0, 3, 1, 4])"));
        let part = |i: usize| format!("torch.select({parts}, 0, {i})");
        let attention = format!("{}, {}, {}, None, 0., True", part(0), part(1), part(2));
        let said = self.is(format!("torch.scaled_dot_product_attention({attention})"));
        let said = self.is(format!("torch.reshape(torch.transpose({said}, 1, 2), [{n}, -1, {width}])"));
        let said = self.linear(&block.joined, &said);
        let x = self.is(format!("torch.add({x}, {said})"));
        let entered = self.place_norm(block.before_hidden, &x);
        let hidden = self.linear(&block.hidden, &entered);
        let hidden = self.is(format!("torch.gelu({hidden})"));
        let said = self.linear(&block.out, &hidden);
        self.is(format!("torch.add({x}, {said})"))
    }

    fn virtual_batch_norm(&mut self, (gain, bias): (usize, usize), x: &str) -> String {
        let examples = self.plan.reference.map_or(0, |reference| reference.examples);
        let share = 1.0 / (examples + 1) as f64;
        let (all, map) = if self.map { ("[0, 2, 3]", true) } else { ("[0]", false) };
        let own = |x: String| if map { format!("torch.mean({x}, [2, 3], True)") } else { x };
        let mean = self.is(format!("torch.mean(torch.slice({x}, 0, 0, {examples}), {all}, True)"));
        let centered = self.is(format!("torch.sub({x}, {mean})"));
        let first = self.is(format!("torch.slice({centered}, 0, 0, {examples})"));
        let others = self.is(format!("torch.slice({centered}, 0, {examples})"));
        let var = self.is(format!("torch.mean(torch.mul({first}, {first}), {all}, True)"));
        let first = self.is(format!("torch.mul({first}, torch.rsqrt(torch.add({var}, 1e-05)))"));
        let mean = self.is(format!("torch.mul({}, {share:?})", own(others.clone())));
        let square = self.is(format!("torch.mul({}, {share:?})", own(format!("torch.mul({others}, {others})"))));
        let kept = self.is(format!("torch.mul({var}, {:?})", 1.0 - share));
        let var = self.is(format!("torch.sub(torch.add({kept}, {square}), torch.mul({mean}, {mean}))"));
        let others = format!("torch.mul(torch.sub({others}, {mean}), torch.rsqrt(torch.add({var}, 1e-05)))");
        let others = self.is(others);
        let normal = self.is(format!("torch.cat([{first}, {others}], 0)"));
        let sides = if map { "[1, -1, 1, 1]" } else { "[1, -1]" };
        let [gain, bias] = [gain, bias].map(|index| format!("torch.reshape({}, {sides})", self.plain(index)));
        self.is(format!("torch.add(torch.mul({normal}, {gain}), {bias})"))
    }

    fn step(&mut self, step: &Step, x: &str) -> String {
        match step {
            // There is one run, and noise is for training.
            Step::Fold | Step::Unfold | Step::Dropout(_) | Step::GaussianNoise(_) => x.to_owned(),
            Step::Reshape(shape) => {
                self.map = shape.len() == 3;
                let n = self.n();
                let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
                self.is(format!("torch.reshape({x}, [{n}, {}])", sides.join(", ")))
            }
            Step::Linear(linear) => self.linear(linear, x),
            Step::Conv(conv) => self.conv(conv, x),
            Step::Upsample(factor) => self.is(format!("torch.upsample_nearest2d({x}, None, [{factor}.0, {factor}.0])")),
            Step::Downsample(factor) => {
                let side = format!("[{factor}, {factor}]");
                self.is(format!("torch.avg_pool2d({x}, {side}, {side}, [0, 0], False, True, None)"))
            }
            Step::GlobalPool(kind) => {
                self.map = false;
                let by = match kind {
                    PoolKind::Mean => "mean",
                    PoolKind::Sum => "sum",
                };
                self.is(format!("torch.{by}({x}, [2, 3])"))
            }
            Step::Activation(activation) => match activation {
                ActivationSpec::Linear => x.to_owned(),
                ActivationSpec::Relu => self.is(format!("torch.relu({x})")),
                ActivationSpec::LeakyRelu(spec) => self.is(format!("torch.leaky_relu({x}, {:?})", spec.slope.get())),
                ActivationSpec::Elu => self.is(format!("torch.elu({x})")),
                ActivationSpec::Selu => self.is(format!("torch.selu({x})")),
                ActivationSpec::Softplus => self.is(format!("torch.softplus({x})")),
                ActivationSpec::Tanh => self.is(format!("torch.tanh({x})")),
                ActivationSpec::Sigmoid => self.is(format!("torch.sigmoid({x})")),
            },
            Step::Maxout { linear, pieces } => {
                let units = self.plan.params[linear.weight.index].shape[1] / pieces;
                let all = self.linear(linear, x);
                let n = self.n();
                self.is(format!("torch.amax(torch.reshape({all}, [{n}, {units}, {pieces}]), [2])"))
            }
            Step::BatchNorm(norm) => self.batch_norm(norm, x),
            Step::GroupNorm { groups, gain, bias, .. } => {
                let (gain, bias) = (self.optional(*gain), self.optional(*bias));
                self.is(format!("torch.group_norm({x}, {groups}, {gain}, {bias}, 1e-05, True)"))
            }
            Step::VirtualBatchNorm { gain, bias, .. } => self.virtual_batch_norm((*gain, *bias), x),
            Step::Parameter(index) => {
                let value = self.plain(*index);
                let n = self.n();
                let column = self.is(format!("torch.expand(torch.reshape({value}, [1, 1]), [{n}, 1])"));
                self.is(format!("torch.cat([{column}, {x}], 1)"))
            }
            Step::Minibatch { weight, kernels, mean } => {
                let dims = self.plan.params[*weight].shape[1] / kernels;
                let t = self.plain(*weight);
                let n = self.n();
                let m = self.is(format!("torch.reshape(torch.matmul({x}, {t}), [{n}, {kernels}, {dims}])"));
                let apart = self.is(format!("torch.sub(torch.unsqueeze({m}, 1), torch.unsqueeze({m}, 0))"));
                let near = self.is(format!("torch.exp(torch.neg(torch.sum(torch.abs({apart}), [3])))"));
                let by = if *mean { "mean" } else { "sum" };
                self.is(format!("torch.cat([{x}, torch.{by}({near}, [1])], 1)"))
            }
            Step::Causal(conv) => self.causal(conv, x),
            Step::Masked { main } => {
                let main = self.through(main, x);
                self.is(format!("torch.add({main}, {x})"))
            }
            Step::Gated(layers) => self.gated(layers, x),
            Step::MapLstm(layer) => self.map_lstm(layer, x),
            Step::Embedding(embedding) => self.embedding(embedding, x),
            Step::Place(linear) => self.linear(linear, x),
            Step::PlaceNorm(norm) => self.place_norm(*norm, x),
            Step::Recurrent(layer) => self.recurrent(layer, x),
            Step::Block(block) => self.block(block, x),
            Step::Residual { main, shortcut } => {
                let main = self.through(main, x);
                let shortcut = self.through(shortcut, x);
                self.is(format!("torch.add({main}, {shortcut})"))
            }
            Step::Label { steps, shape } => {
                let onto_map = std::mem::replace(&mut self.map, false);
                let one_hot = self.is(format!("torch.type_as(torch.one_hot(labels, {}), z)", self.plan.classes));
                let mut label = self.through(steps, &one_hot);
                self.map = onto_map;
                if let (true, [features]) = (onto_map, shape.as_slice()) {
                    let n = self.n();
                    let sides = format!("torch.size({x}, 2), torch.size({x}, 3)");
                    let one = self.is(format!("torch.reshape({label}, [{n}, {features}, 1, 1])"));
                    label = self.is(format!("torch.expand({one}, [{n}, {features}, {sides}])"));
                }
                self.is(format!("torch.cat([{x}, {label}], 1)"))
            }
        }
    }
}

fn unit(v: &mut [f64]) {
    let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt() + 1e-12;
    v.iter_mut().for_each(|v| *v /= norm);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::trial::{generator, inputs, numbers, pack, planned, said};
    use crate::nn::{Head, Role, Wiring};
    use tch::{CModule, Kind, Tensor};

    /// Fails unless the script says what evaluation says, for batches of several sizes.
    fn assert_says_the_same(toml: &str, wiring: &Wiring) {
        let seeds = [7];
        let plan = planned(toml, wiring).unwrap_or_else(|problems| panic!("{toml}: {problems:?}"));
        let params = pack(&plan, &seeds).params;
        let labels = |n: i64| {
            (plan.classes > 0)
                .then(|| Tensor::arange(n, (Kind::Int64, tch::Device::Cpu)).remainder(plan.classes as i64))
        };
        let row = |labels: &Tensor| labels.unsqueeze(0);
        // Running statistics and vectors of spectral norm leave the place where they began.
        for _ in 0..3 {
            let x = inputs(&seeds, 9, &plan.input);
            said(&plan, &params, &x, labels(9).as_ref().map(row).as_ref(), &seeds, true, false);
        }
        let values: Vec<Vec<f32>> = params.iter().map(numbers).collect();
        let script = Script::new(&plan, &values);
        let bytes = script.archive("{}");
        let module =
            CModule::load_data(&mut bytes.as_slice()).unwrap_or_else(|e| panic!("{toml}: {e}\n{}", script.code));
        for n in [1, 2, 5] {
            let z = inputs(&seeds, n as usize, &plan.input);
            let labels = labels(n);
            let wanted =
                said(&plan, &params, &z, labels.as_ref().map(row).as_ref(), &seeds, false, false).out.squeeze_dim(0);
            let given: Vec<Tensor> = std::iter::once(z.squeeze_dim(0)).chain(labels).collect();
            let found = module.forward_ts(&given).unwrap_or_else(|e| panic!("{toml}: {e}\n{}", script.code));
            assert_eq!(found.size(), wanted.size(), "{toml}");
            let far = f64::try_from((&found - &wanted).abs().max()).expect("a number");
            let scale = f64::try_from(wanted.abs().max()).expect("a number");
            assert!(far <= 1e-5 * (1.0 + scale), "{toml}, {n} examples: {far}\n{}", script.code);
        }
    }

    #[test]
    fn a_script_of_any_layers_says_what_evaluation_says() {
        let vectors =
            |classes: usize| Wiring { classes, labels_at_input: classes > 0, head: Head::Plain, ..generator(5, &[6]) };
        for toml in [
            "{ mlp = { hidden = [8, 7] } }",
            "{ mlp = { hidden = [8, 8], norm = 'batch', activation = { leaky-relu = 0.2 }, output = 'tanh', dropout = 0.3 } }",
            "{ mlp = { hidden = [8], norm = 'layer', activation = 'softplus', spectral-norm = true, output = 'sigmoid' } }",
            "{ mlp = { hidden = [8], norm = { group = 2 }, activation = 'selu' } }",
            "{ layers = [{ linear = { out = 7, weight = 'norm' } }, 'elu', { gaussian-noise = 0.1 }, { maxout = { units = 5, pieces = 3 } }, \
               { batch-norm = { affine = false } }, { minibatch-discrimination = { kernels = 4, dims = 3 } }, { linear = { out = 6, bias = false } }] }",
            "{ mlp = { hidden = [8, 7], norm = { virtual-batch = 5 }, activation = 'tanh' } }",
            "{ layers = [{ minibatch-discrimination = { kernels = 2, dims = 3, mean = true } }, { linear = 5 }, { parameter = 0.5 }] }",
        ] {
            assert_says_the_same(toml, &vectors(0));
            assert_says_the_same(toml, &vectors(3));
        }
        assert_says_the_same("{ layers = [] }", &generator(2, &[2]));
        assert_says_the_same("{ layers = [{ parameter = 1.0 }] }", &generator(1, &[2]));
    }

    #[test]
    fn a_script_of_any_images_says_what_evaluation_says() {
        for (toml, shape) in [
            ("{ dcgan = { channels = 4 } }", [1, 28, 28]),
            ("{ dcgan = { channels = 3, kernel = 5 } }", [3, 32, 32]),
            ("{ dcgan = { channels = 2, norm = 'none', activation = 'elu' } }", [3, 64, 64]),
            ("{ dcgan = { channels = 4, norm = 'instance' } }", [1, 16, 16]),
            ("{ dcgan = { channels = 4, norm = { virtual-batch = 3 } } }", [1, 16, 16]),
            ("{ resnet = { channels = 4 } }", [1, 28, 28]),
            ("{ resnet = { channels = 4, norm = { group = 2 }, output = 'sigmoid' } }", [3, 32, 32]),
            (
                "{ layers = [{ linear = 32 }, { reshape = [2, 4, 4] }, { label = { layers = [{ linear = 3 }, 'relu'] } }, \
                   { conv = { out = 4, kernel = 3, padding = 1, weight = 'spectral' } }, { label = { layers = [{ linear = 16 }, { reshape = [1, 4, 4] }] } }, \
                   { upsample = 4 }, { downsample = 2 }, { conv-transpose = { out = 3, kernel = 4, stride = 2, padding = 1, weight = 'norm' } }, \
                   'layer-norm', { residual = 5 }, { global-pool = {} }, { linear = 768 }] }",
                [3, 16, 16],
            ),
        ] {
            for classes in [0, 4] {
                if classes > 0 || !toml.contains("label") {
                    assert_says_the_same(
                        toml,
                        &Wiring { classes, labels_at_input: classes > 0, ..generator(6, &shape) },
                    );
                }
            }
        }
    }

    #[test]
    fn a_script_that_refers_to_a_batch_says_what_evaluation_says_of_classes_too() {
        let toml = "{ layers = [{ conv = { out = 3, kernel = 3 } }, { virtual-batch-norm = 4 }, 'relu', { linear = 5 }, \
                      { virtual-batch-norm = 4 }, 'tanh', { linear = 3 }] }";
        let wiring = Wiring { role: Role::Discriminator, input: vec![2, 6, 6], ..generator(1, &[3]) };
        assert_says_the_same(toml, &wiring);
        assert_says_the_same(toml, &Wiring { classes: 4, labels_at_input: true, ..wiring });
    }

    #[test]
    fn a_script_of_masked_layers_says_what_evaluation_says() {
        for classes in [0, 3] {
            for gated in [false, true] {
                let toml =
                    format!("{{ pixelcnn = {{ channels = 4, layers = 2, first = 5, head = 6, gated = {gated} }} }}");
                let wiring = Wiring { role: Role::Predictor, classes, ..generator(1, &[6, 5, 4]) };
                assert_says_the_same(&toml, &Wiring { input: vec![2, 5, 4], ..wiring });
            }
            for tag in ["row-lstm", "diagonal-bilstm"] {
                let toml = format!("{{ {tag} = {{ hidden = 4, layers = 2, first = 5, head = 6 }} }}");
                let wiring = Wiring { role: Role::Predictor, classes, ..generator(1, &[6, 5, 4]) };
                assert_says_the_same(&toml, &Wiring { input: vec![2, 5, 4], ..wiring });
            }
        }
    }

    #[test]
    fn weights_have_pytorchs_names_and_layout() {
        let plan =
            planned("{ mlp = { hidden = [3], norm = 'batch' } }", &generator(2, &[1])).expect("the network fits");
        let mut values: Vec<Vec<f32>> = plan.params.iter().map(|p| vec![0.5; p.len()]).collect();
        // [in, out] here.
        values[0] = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let script = Script::new(&plan, &values);
        let names: Vec<(&str, &[usize])> = script.weights.iter().map(|w| (w.name.as_str(), &w.shape[..])).collect();
        let expected: [(&str, &[usize]); 8] = [
            ("0.weight", &[3, 2]),
            ("0.bias", &[3]),
            ("1.weight", &[3]),
            ("1.bias", &[3]),
            ("1.running_mean", &[3]),
            ("1.running_var", &[3]),
            ("3.weight", &[1, 3]),
            ("3.bias", &[1]),
        ];
        assert_eq!(names, expected);
        assert_eq!(script.weights[0].data, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let expected = "class Network(Module):
  __parameters__ = [\"layer0_weight\", \"layer0_bias\", \"layer1_weight\", \"layer1_bias\", \"layer3_weight\", \"layer3_bias\", ]
  __buffers__ = [\"layer1_running_mean\", \"layer1_running_var\", ]
  layer0_weight : Tensor
  layer0_bias : Tensor
  layer1_weight : Tensor
  layer1_bias : Tensor
  layer1_running_mean : Tensor
  layer1_running_var : Tensor
  layer3_weight : Tensor
  layer3_bias : Tensor
  training : bool
  def forward(self: __torch__.gantlet.Network,
    z: Tensor) -> Tensor:
    x0 = torch.linear(z, self.layer0_weight, self.layer0_bias)
    x1 = torch.batch_norm(x0, self.layer1_weight, self.layer1_bias, self.layer1_running_mean, self.layer1_running_var, False, 0.1, 1e-5, True)
    x2 = torch.relu(x1)
    x3 = torch.linear(x2, self.layer3_weight, self.layer3_bias)
    return x3
";
        assert_eq!(script.code, expected);
    }
}
