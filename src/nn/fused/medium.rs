//! Chains of dense layers with relu or its leaky form, of some dozens to some hundreds of units, on the host: one node of
//! autograd, run by run, with a derivative of its derivative by the input.
//!
//! Between such layers libtorch passes over memory for bias, activation, mask and copies, stacks what runs have, and spends
//! microseconds a call; in a penalty on slopes it multiplies with zeros too, as an activation made of two straight lines has
//! no second derivative. Here a layer is one product, finished while it is in registers (`base::matrix`), and a run goes
//! through all layers before the next one does, so that its numbers stay in the cache. A run's numbers are worked on alone,
//! so a pack of any size gives the same bits.

use super::Link;
use crate::base::host::{self, Rows};
use crate::base::matrix::{self, Finish, Gate, Matrix};
use crate::base::unbound::{self, Derivatives};
use crate::nn::layer::Step;
use crate::nn::layer::activation::ActivationSpec;
use crate::nn::plan::ParamPlan;
use crate::nn::weight::Form;
use std::rc::Rc;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Layers of more units are left to oneDNN.
const MOST_UNITS: usize = 256;

/// A chain of layers `[R, B, F]` to `[R, B, G]`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Chain {
    layers: Vec<Layer>,
    /// Indices of its parameters in the network's.
    params: Vec<usize>,
}

/// Weights and biases are indices of the chain's inputs, of which 0 is its `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layer {
    weight: usize,
    bias: Option<usize>,
    inputs: usize,
    outputs: usize,
    /// The slope of its activation below zero, if it has one.
    slope: Option<f32>,
}

impl Chain {
    /// The longest chain that `steps` begin with, and of how many steps it is.
    pub fn of(steps: &[Step], plans: &[ParamPlan]) -> Option<(Self, usize)> {
        let mut chain = Self { layers: vec![], params: vec![] };
        let mut taken = 0;
        for step in steps {
            match step.link() {
                Link::Linear(linear) if linear.weight.form == Form::Plain => {
                    let [inputs, outputs] = plans[linear.weight.index].shape[..] else { break };
                    if inputs.max(outputs) > MOST_UNITS {
                        break;
                    }
                    let mut slot = |index: usize| {
                        chain.params.push(index);
                        chain.params.len()
                    };
                    let (weight, bias) = (slot(linear.weight.index), linear.bias.map(slot));
                    chain.layers.push(Layer { weight, bias, inputs, outputs, slope: None });
                }
                Link::Activation(activation) => match (slope(activation), chain.layers.last_mut()) {
                    (Some(slope), Some(layer)) if layer.slope.is_none() => layer.slope = Some(slope),
                    _ => break,
                },
                Link::Linear(_) | Link::Minibatch(_) | Link::Outside => break,
            }
            taken += 1;
        }
        (taken > 0).then_some((chain, taken))
    }

    /// Whether this processor and this thread execute chains. Several threads are shared out by oneDNN, and bfloat16 is its too.
    pub fn is_here() -> bool {
        matrix::is_here() && tch::get_num_threads() == 1 && !unbound::is_bfloat16()
    }

    /// What the chain makes of `x`; `params` are the network's. With `slopes`, the slope of the result by `x` can be
    /// differentiated once more.
    pub fn apply(self: &Arc<Self>, x: &Tensor, params: &[Tensor], slopes: bool) -> Tensor {
        let x = &x.contiguous();
        let inputs: Vec<&Tensor> = std::iter::once(x).chain(self.params.iter().map(|&i| &params[i])).collect();
        let recorded = unbound::is_recorded(&inputs);
        let mut values = tch::no_grad(|| self.values(&inputs, recorded));
        let value = values.pop().expect("a chain has a layer");
        if !recorded {
            return value;
        }
        // Another handle on the same numbers, which does not hold the node that holds it.
        values.push(value.detach());
        let (chain, values) = (self.clone(), Rc::new(values));
        let backward = move |inputs: &[Tensor], by_value: &Tensor, wanted: &[bool]| {
            let all: Vec<&Tensor> = inputs.iter().chain([by_value]).collect();
            let again = unbound::is_recorded(&all);
            assert!(!again || wanted[1..].iter().all(|w| !w), "slopes by parameters have no derivative here");
            let (mut found, by_layers) = tch::no_grad(|| chain.slopes(inputs, &values, by_value, wanted, again));
            if let Some(by_x) = found[0].take() {
                found[0] =
                    Some(if again { chain.attach_again(by_x, by_layers, &values, inputs, by_value) } else { by_x });
            }
            found
        };
        let derivatives = if slopes { Derivatives::All } else { Derivatives::One };
        unbound::attach(value, &inputs, derivatives, Box::new(backward))
    }

    /// What each layer gives, the last for all runs and the others for all runs if they are to be kept.
    fn values(&self, inputs: &[&Tensor], keep: bool) -> Vec<Tensor> {
        let (runs, batch, _) = inputs[0].size3().expect("a chain takes [runs, batch, features]");
        let last = self.layers.len() - 1;
        let mut values: Vec<Tensor> = (self.layers.iter().enumerate())
            .map(|(l, layer)| empty(if keep || l == last { runs } else { 1 }, batch, layer.outputs))
            .collect();
        let rows: Vec<Rows<'_>> = inputs.iter().map(|t| host::rows(t)).collect();
        let mut slots: Vec<&mut [f32]> = values.iter_mut().map(host::write).collect();
        let batch = batch as usize;
        for run in 0..runs as usize {
            for (l, layer) in self.layers.iter().enumerate() {
                let (before, slots) = slots.split_at_mut(l);
                let x = before.last().map_or(rows[0].get(run), |all| of_run(all, batch * layer.inputs, run));
                matrix::product(
                    Matrix::new(x, batch, layer.inputs),
                    Matrix::new(rows[layer.weight].get(run), layer.inputs, layer.outputs),
                    Finish {
                        bias: layer.bias.map(|b| rows[b].get(run)),
                        gate: layer.slope.map(|slope| Gate { by: None, slope }),
                    },
                    of_run_mut(slots[0], batch * layer.outputs, run),
                );
            }
        }
        values
    }

    /// Slopes by the inputs that are wanted, and those by what each layer gives before its activation, for all runs if they
    /// are to be kept.
    fn slopes(
        &self,
        inputs: &[Tensor],
        values: &[Tensor],
        by_value: &Tensor,
        wanted: &[bool],
        keep: bool,
    ) -> (Vec<Option<Tensor>>, Vec<Tensor>) {
        let (runs, batch, _) = inputs[0].size3().expect("a chain takes [runs, batch, features]");
        let by_value = by_value.contiguous();
        let mut found: Vec<Option<Tensor>> = (inputs.iter().zip(wanted))
            .map(|(t, wanted)| wanted.then(|| Tensor::empty(t.size(), (Kind::Float, Device::Cpu))))
            .collect();
        let mut by_layers: Vec<Tensor> =
            self.layers.iter().map(|layer| empty(if keep { runs } else { 1 }, batch, layer.outputs)).collect();
        let rows: Vec<Rows<'_>> = inputs.iter().map(host::rows).collect();
        let values: Vec<&[f32]> = values.iter().map(host::read).collect();
        let by_value = host::read(&by_value);
        let mut slots: Vec<Option<&mut [f32]>> = found.iter_mut().map(|t| t.as_mut().map(host::write)).collect();
        let mut by: Vec<&mut [f32]> = by_layers.iter_mut().map(host::write).collect();
        let batch = batch as usize;
        for run in 0..runs as usize {
            for (l, layer) in self.layers.iter().enumerate().rev() {
                let row = batch * layer.outputs;
                let (before, here) = by.split_at_mut(l);
                let here = of_run_mut(here[0], row, run);
                if l + 1 == self.layers.len() {
                    let by_value = of_run(by_value, row, run);
                    match layer.slope {
                        Some(slope) => matrix::gated(by_value, of_run(values[l], row, run), slope, here),
                        None => here.copy_from_slice(by_value),
                    }
                }
                if let Some(by_bias) = layer.bias.and_then(|b| slots[b].as_deref_mut()) {
                    matrix::sum_of_rows(here, of_run_mut(by_bias, layer.outputs, run));
                }
                let x = if l == 0 { rows[0].get(run) } else { of_run(values[l - 1], batch * layer.inputs, run) };
                let here = Matrix::new(here, batch, layer.outputs);
                if let Some(by_weight) = slots[layer.weight].as_deref_mut() {
                    let out = of_run_mut(by_weight, layer.inputs * layer.outputs, run);
                    matrix::product(Matrix::new(x, batch, layer.inputs).transposed(), here, Finish::default(), out);
                }
                let weight = Matrix::new(rows[layer.weight].get(run), layer.inputs, layer.outputs).transposed();
                let row = batch * layer.inputs;
                if l > 0 {
                    let gate = self.layers[l - 1].slope.map(|slope| Gate { by: Some(x), slope });
                    matrix::product(here, weight, Finish { bias: None, gate }, of_run_mut(before[l - 1], row, run));
                } else if let Some(by_x) = &mut slots[0] {
                    matrix::product(here, weight, Finish::default(), of_run_mut(by_x, row, run));
                }
            }
        }
        (found, by_layers)
    }

    /// The slope by `x`, as the result of a node of the slope by the value and the weights. From where the gates stand it
    /// is a product of matrices, and nothing of it depends on `x` or on biases.
    fn attach_again(
        self: &Arc<Self>,
        by_x: Tensor,
        by_layers: Vec<Tensor>,
        values: &Rc<Vec<Tensor>>,
        inputs: &[Tensor],
        by_value: &Tensor,
    ) -> Tensor {
        let weights = self.layers.iter().map(|layer| &inputs[layer.weight]);
        let inputs: Vec<&Tensor> = std::iter::once(by_value).chain(weights).collect();
        let (chain, values) = (self.clone(), values.clone());
        let backward = move |inputs: &[Tensor], by_slope: &Tensor, wanted: &[bool]| {
            tch::no_grad(|| chain.slopes_of_slope(inputs, &values, &by_layers, by_slope, wanted))
        };
        unbound::attach(by_x, &inputs, Derivatives::One, Box::new(backward))
    }

    /// Slopes by the slope by the value, and by the weights, which are the inputs here.
    fn slopes_of_slope(
        &self,
        inputs: &[Tensor],
        values: &[Tensor],
        by_layers: &[Tensor],
        by_slope: &Tensor,
        wanted: &[bool],
    ) -> Vec<Option<Tensor>> {
        let (runs, batch, _) = inputs[0].size3().expect("a chain gives [runs, batch, features]");
        let by_slope = by_slope.contiguous();
        let mut found: Vec<Option<Tensor>> = (inputs.iter().zip(wanted))
            .map(|(t, wanted)| wanted.then(|| Tensor::empty(t.size(), (Kind::Float, Device::Cpu))))
            .collect();
        let mut through: Vec<Tensor> = self.layers.iter().map(|layer| empty(1, batch, layer.outputs)).collect();
        let weights: Vec<Rows<'_>> = inputs[1..].iter().map(host::rows).collect();
        let values: Vec<&[f32]> = values.iter().map(host::read).collect();
        let by_layers: Vec<&[f32]> = by_layers.iter().map(host::read).collect();
        let by_slope = host::read(&by_slope);
        let (by_value, by_weights) = found.split_first_mut().expect("the value's slope is an input");
        let mut by_value = by_value.as_mut().map(host::write);
        let mut by_weights: Vec<Option<&mut [f32]>> =
            by_weights.iter_mut().map(|t| t.as_mut().map(host::write)).collect();
        let mut through: Vec<&mut [f32]> = through.iter_mut().map(host::write).collect();
        let batch = batch as usize;
        for run in 0..runs as usize {
            for (l, layer) in self.layers.iter().enumerate() {
                let (before, here) = through.split_at_mut(l);
                let x = match before.last() {
                    Some(all) => all,
                    None => of_run(by_slope, batch * layer.inputs, run),
                };
                let x = Matrix::new(x, batch, layer.inputs);
                let row = batch * layer.outputs;
                if let Some(by_weight) = by_weights[l].as_deref_mut() {
                    let by_layer = Matrix::new(of_run(by_layers[l], row, run), batch, layer.outputs);
                    let out = of_run_mut(by_weight, layer.inputs * layer.outputs, run);
                    matrix::product(x.transposed(), by_layer, Finish::default(), out);
                }
                let last = l + 1 == self.layers.len();
                let out = match &mut by_value {
                    Some(by_value) if last => of_run_mut(by_value, row, run),
                    None if last => continue,
                    _ => &mut *here[0],
                };
                let weight = Matrix::new(weights[l].get(run), layer.inputs, layer.outputs);
                let gate = layer.slope.map(|slope| Gate { by: Some(of_run(values[l], row, run)), slope });
                matrix::product(x, weight, Finish { bias: None, gate }, out);
            }
        }
        found
    }
}

/// The numbers of a run, `row` of them, of a buffer for all runs or for one after the other.
fn of_run(all: &[f32], row: usize, run: usize) -> &[f32] {
    let first = if all.len() > row { run * row } else { 0 };
    &all[first..first + row]
}

/// As [`of_run`], to change.
fn of_run_mut(all: &mut [f32], row: usize, run: usize) -> &mut [f32] {
    let first = if all.len() > row { run * row } else { 0 };
    &mut all[first..first + row]
}

fn empty(runs: i64, batch: i64, features: usize) -> Tensor {
    Tensor::empty([runs, batch, features as i64], (Kind::Float, Device::Cpu))
}

/// The slope below zero of an activation made of two straight lines.
fn slope(activation: ActivationSpec) -> Option<f32> {
    match activation {
        ActivationSpec::Relu => Some(0.0),
        ActivationSpec::LeakyRelu(spec) => Some(spec.slope.get() as f32),
        ActivationSpec::Linear
        | ActivationSpec::Elu
        | ActivationSpec::Selu
        | ActivationSpec::Softplus
        | ActivationSpec::Tanh
        | ActivationSpec::Sigmoid => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::dense;
    use crate::nn::fused::Link;
    use crate::nn::testing::{Pack, assert_near, discriminator, inputs, numbers, pack, planned, said};
    use tch::{Kind, Tensor};

    /// Value, slopes by the input and the parameters, and slopes by the parameters of a penalty on the slope by the input:
    /// against libtorch's own operations and derivatives.
    #[test]
    fn a_chain_has_the_values_and_both_derivatives_of_its_layers() {
        tch::set_num_threads(1);
        for (hidden, activation, features, batch) in
            [("[33, 65]", "\"relu\"", 2, 21), ("[128, 48, 7]", "{ leaky-relu = 0.2 }", 100, 64)]
        {
            let toml = format!("{{ mlp = {{ hidden = {hidden}, activation = {activation} }} }}");
            let plan = planned(&toml, &discriminator(&[features])).expect("the network fits");
            let seeds = [3, 4];
            let Pack { flat, params } = pack(&plan, &seeds);
            let x = inputs(&seeds, batch, &plan.input).set_requires_grad(true);
            let by_layers = || {
                plan.steps().fold(x.shallow_clone(), |x, step| match step.link() {
                    Link::Linear(linear) => {
                        let w = &params[linear.weight.index];
                        dense::product(&x, w, linear.bias.map(|b| &params[b]))
                    }
                    Link::Activation(activation) => activation.of(&x, plan.role),
                    Link::Minibatch(_) | Link::Outside => panic!("{step:?} is no step of a chain"),
                })
            };
            let all = |out: Tensor| {
                let out = out.view([2, -1]);
                let by = |of: &Tensor, by: &Tensor, again| Tensor::run_backward(&[of], &[by], true, again).remove(0);
                let loss = (&out * &out).sum(Kind::Float);
                let slope = by(&out.sum(Kind::Float), &x, true);
                let penalty =
                    ((&slope * &slope).sum_dim_intlist(2, false, None).sqrt() - 1.0).square().sum(Kind::Float);
                let both = &loss + &penalty;
                [
                    by(&loss, &flat, false),
                    by(&loss, &x, false),
                    by(&both, &flat, false),
                    by(&penalty, &flat, false),
                    out,
                    slope,
                ]
            };
            let ours = all(said(&plan, &params, &x, None, &seeds, true, true).out);
            for (ours, theirs) in ours.iter().zip(all(by_layers())) {
                let largest = f64::try_from(theirs.abs().max()).expect("a number").max(1.0);
                assert_near(&(ours / largest), &numbers(&(theirs / largest)));
            }
        }
    }
}
