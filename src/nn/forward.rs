//! Networks at work: all runs of a pack at once, each with the numbers that it would get alone.
//!
//! Activations are `[R, B, …]`, parameters `[R, …]`. On the CPU with one thread a run of a pack of any size R has, bit
//! for bit, the outputs and derivatives that it has with R = 1; how is written beside each operation.

use super::dense;
use super::fused::{Chains, Path, Piece, Steps, medium};
use super::plan::{NetworkPlan, Role};
use tch::{Device, Kind, Tensor};

/// What a network says.
#[derive(Debug)]
pub struct Output {
    /// A generator's or autoencoder's examples `[R, B, …]`, a discriminator's logits `[R, B]`, a classifier's
    /// `[R, B, classes]`, an encoder's codes or what a decoder says of data, `[R, B, …]`.
    pub out: Tensor,
    /// What entered the last linear layer of a discriminator or classifier, `[R, B, F]`.
    pub features: Option<Tensor>,
    /// The class logits of an auxiliary classifier, or those that [`Head::LogSum`](super::Head::LogSum) sums,
    /// `[R, B, classes]`.
    pub class_logits: Option<Tensor>,
    /// The learned number of a decoder, `[R]`.
    pub scale: Option<Tensor>,
}

impl Output {
    /// The same as float32 numbers.
    pub fn float32(self) -> Self {
        let float = |x: Tensor| x.to_kind(Kind::Float);
        Self {
            out: float(self.out),
            features: self.features.map(float),
            class_logits: self.class_logits.map(float),
            scale: self.scale.map(float),
        }
    }
}

/// Where dropout and noise come from: each run draws from its own seed.
pub trait Noise {
    /// Numbers from U[0, 1): `[R, …]` for the shape that one run needs.
    fn uniform(&mut self, shape_of_one_run: &[i64]) -> Tensor;
    /// Numbers from N(0, 1): `[R, …]` for the shape that one run needs.
    fn normal(&mut self, shape_of_one_run: &[i64]) -> Tensor;
}

/// How a network is used.
pub struct Mode<'a> {
    /// Whether it learns: batch statistics, dropout and noise on, running statistics and spectral vectors updated.
    pub train: bool,
    /// Of how many batches the examples are, one after the other: what couples the examples of a batch (batch norm,
    /// minibatch discrimination) keeps them apart. Real and fake examples go through a discriminator in one pass of two.
    pub parts: i64,
    /// Whether the loss contains slopes of the output by the input, so that a backward pass goes through another.
    pub slopes: bool,
    /// Whether the network's twin is asked, where it has one.
    pub twin: bool,
    /// Where dropout and noise come from.
    pub noise: &'a mut dyn Noise,
}

impl<'a> Mode<'a> {
    /// As in evaluation: nothing is updated, and all examples are of one batch.
    pub fn evaluation(noise: &'a mut dyn Noise) -> Self {
        Self { train: false, parts: 1, slopes: false, twin: false, noise }
    }
}

impl NetworkPlan {
    /// What the network says of `x`.
    ///
    /// # Shape
    /// `params`: in the order of [`NetworkPlan::params`], each `[R, …]`, where runs may lie apart. `x`: `[R, B, …input]`.
    /// `labels`: whole numbers below the count of classes, `[R, B]`.
    ///
    /// # Panics
    /// If shapes are others, or a network that looks at labels gets none.
    pub fn forward(&self, params: &[Tensor], x: &Tensor, labels: Option<&Tensor>, mode: &mut Mode<'_>) -> Output {
        if mode.twin && !self.twin.is_empty() {
            let params: Vec<Tensor> = self.twin.iter().map(|&index| params[index].shallow_clone()).collect();
            let mode = &mut Mode { twin: false, noise: mode.noise, ..*mode };
            return self.forward(&params, x, labels, mode);
        }
        let runs = x.size()[0];
        if !self.facts.one_by_one || x.device() != Device::Cpu {
            return self.together(params, x, labels, mode);
        }
        if runs > 1 {
            return self.one_by_one(runs, params, x, labels, mode);
        }
        // The gradients of one pass are summed before they meet those of another, as they are at a pack's slices:
        // another order of the same sum would round differently.
        let params: Vec<Tensor> = (params.iter().zip(&self.params))
            .map(|(param, plan)| if plan.learned { param.alias() } else { param.shallow_clone() })
            .collect();
        self.together(&params, &x.alias(), labels, mode)
    }

    /// What enters each layer with weights but the first, and what comes out of a network that is no discriminator: maps
    /// `[B, C, H, W]` and rows `[B, F]`. Nothing where a layer reads labels.
    ///
    /// # Shape
    /// As those of [`Self::forward`], of one run.
    pub fn layers(&self, params: &[Tensor], x: &Tensor, mode: &mut Mode<'_>) -> Option<Vec<Tensor>> {
        if self.facts.labels {
            return None;
        }
        let mut pass = Pass { plan: self, params, one_hot: None, runs: 1, batch: x.size()[1], mode };
        let (mut x, mut out, mut weighed, mut layers) = (x.shallow_clone(), None, false, vec![]);
        for step in self.steps() {
            let facts = step.facts();
            if facts.weighs {
                layers.extend(out.take().filter(|_| weighed));
                weighed = true;
            }
            x = step.forward(&mut pass, &x);
            // What is only moved is seen as it was before: maps as maps.
            if !facts.moves {
                out = Some(if x.dim() == 4 { x.shallow_clone() } else { x.squeeze_dim(0) });
            }
        }
        layers.extend(out.filter(|_| self.role != Role::Discriminator));
        Some(layers)
    }

    /// One run after the other: convolutions over many channels do not gain from a pack on the CPU, and their bits
    /// would depend on it.
    fn one_by_one(
        &self,
        runs: i64,
        params: &[Tensor],
        x: &Tensor,
        labels: Option<&Tensor>,
        mode: &mut Mode<'_>,
    ) -> Output {
        // A split's backward joins the gradients of all runs at once. Buffers are written to, which needs plain slices.
        let params: Vec<Vec<Tensor>> = (params.iter().zip(&self.params))
            .map(|(p, plan)| if plan.learned { p.split(1, 0) } else { (0..runs).map(|r| p.narrow(0, r, 1)).collect() })
            .collect();
        let inputs = x.split(1, 0);
        let mut drawn = Drawn { source: mode.noise, all: Vec::new(), run: 0, next: 0 };
        let outputs: Vec<Output> = (inputs.iter().zip(0..runs))
            .map(|(x, r)| {
                (drawn.run, drawn.next) = (r, 0);
                let params: Vec<Tensor> = params.iter().map(|slices| slices[r as usize].shallow_clone()).collect();
                let labels = labels.map(|labels| labels.narrow(0, r, 1));
                let mut mode = Mode { noise: &mut drawn, ..*mode };
                self.together(&params, x, labels.as_ref(), &mut mode)
            })
            .collect();
        let joined = |part: fn(&Output) -> Option<&Tensor>| {
            let parts: Option<Vec<&Tensor>> = outputs.iter().map(part).collect();
            parts.map(|parts| Tensor::cat(&parts, 0))
        };
        Output {
            out: joined(|o| Some(&o.out)).expect("every run has an output"),
            features: joined(|o| o.features.as_ref()),
            class_logits: joined(|o| o.class_logits.as_ref()),
            scale: joined(|o| o.scale.as_ref()),
        }
    }

    /// With the reference batch before the examples, where there is one: nothing else couples them then.
    fn together(&self, params: &[Tensor], x: &Tensor, labels: Option<&Tensor>, mode: &mut Mode<'_>) -> Output {
        let Some(reference) = self.reference else { return self.through_all(params, x, labels, mode) };
        let all = Tensor::cat(&[&params[reference.batch], x], 1);
        let labels = labels.zip(reference.labels);
        let labels = labels.map(|(labels, index)| Tensor::cat(&[&params[index].to_kind(labels.kind()), labels], 1));
        let said = self.through_all(params, &all, labels.as_ref(), &mut Mode { parts: 1, noise: mode.noise, ..*mode });
        let of_examples = |all: Tensor| all.narrow(1, reference.examples as i64, x.size()[1]);
        Output {
            out: of_examples(said.out),
            features: said.features.map(of_examples),
            class_logits: said.class_logits.map(of_examples),
            scale: said.scale,
        }
    }

    fn through_all(&self, params: &[Tensor], x: &Tensor, labels: Option<&Tensor>, mode: &mut Mode<'_>) -> Output {
        let (runs, batch) = (x.size()[0], x.size()[1]);
        let one_hot = labels.filter(|_| self.classes > 0).map(|labels| one_hot(labels, self.classes as i64));
        let mut pass = Pass { plan: self, params, one_hot: one_hot.as_ref(), runs, batch, mode };
        let at_last = pass.through(&self.body, x);
        let out = pass.through(&self.last, &at_last);
        if self.role != Role::Discriminator {
            let scale = self.scale.map(|index| params[index].view([runs]));
            return Output { out, features: None, class_logits: None, scale };
        }
        let features = (self.features > 0).then_some(at_last);
        // One number an example needs no axis of its own.
        let logits = if self.output == [1] { out.view([runs, batch]) } else { out };
        if self.sums {
            return Output { out: log_sum(&logits), features, class_logits: Some(logits), scale: None };
        }
        let class_logits = self.classifier.as_ref().zip(features.as_ref()).map(|(head, h)| head.of(&pass, h));
        let out = match (&self.projection, &features) {
            (Some(embedding), Some(h)) => {
                let v = embedding.effective(params, pass.mode.train);
                let chosen = dense::product(pass.labels(), &v, None);
                logits + (chosen * h).sum_dim_intlist(-1, false, None)
            }
            _ => logits,
        };
        Output { out, features, class_logits, scale: None }
    }
}

/// log Σ exp over the last dimension, `[…, K]` to `[…]`: what a logit lies above its own log-softmax, whose bits do not depend
/// on the pack as those of an exponential may.
pub(crate) fn log_sum(logits: &Tensor) -> Tensor {
    let first = |x: &Tensor| x.select(-1, 0);
    first(logits) - first(&logits.log_softmax(-1, Kind::Float))
}

/// Whole numbers `[R, B]` as `[R, B, classes]` of zeros and ones.
fn one_hot(labels: &Tensor, classes: i64) -> Tensor {
    let all = Tensor::arange(classes, (Kind::Int64, labels.device()));
    labels.unsqueeze(-1).eq_tensor(&all).to_kind(Kind::Float)
}

/// One way through the steps.
pub(super) struct Pass<'a, 'm, 'n> {
    pub plan: &'a NetworkPlan,
    pub params: &'a [Tensor],
    pub one_hot: Option<&'a Tensor>,
    pub runs: i64,
    pub batch: i64,
    pub mode: &'m mut Mode<'n>,
}

impl Pass<'_, '_, '_> {
    pub fn through(&mut self, steps: &Steps, x: &Tensor) -> Tensor {
        let pieces = if steps.has_chains() { steps.pieces(self.chains(x)) } else { None };
        let Some(pieces) = pieces else {
            return steps.iter().fold(x.shallow_clone(), |x, step| step.forward(self, &x));
        };
        pieces.iter().fold(x.shallow_clone(), |x, piece| match piece {
            Piece::Step(at) => steps[*at].forward(self, &x),
            Piece::Small(chain) => chain.apply(&x, self.params, self.mode.parts),
            Piece::Medium(chain) => chain.apply(&x, self.params, self.mode.slopes),
        })
    }

    /// The chains that are faster here, and whose derivatives suffice.
    fn chains(&self, x: &Tensor) -> Chains {
        let here = x.device() == Device::Cpu && x.kind() == Kind::Float;
        Chains {
            small: here && !self.mode.slopes && Path::Small.is_on(),
            medium: here && medium::Chain::is_here() && Path::Medium.is_on(),
        }
    }

    /// The labels, `[R, B, classes]`.
    pub fn labels(&self) -> &Tensor {
        self.one_hot.expect("a network that reads labels is given labels")
    }
}

/// Noise for one run after the other: drawn for all of them at once, so that each gets what it gets together with them.
struct Drawn<'a> {
    source: &'a mut dyn Noise,
    all: Vec<Tensor>,
    run: i64,
    next: usize,
}

impl Drawn<'_> {
    fn slice(&mut self, draw: impl FnOnce(&mut dyn Noise) -> Tensor) -> Tensor {
        if self.next == self.all.len() {
            self.all.push(draw(self.source));
        }
        self.next += 1;
        self.all[self.next - 1].narrow(0, self.run, 1)
    }
}

impl Noise for Drawn<'_> {
    fn uniform(&mut self, shape_of_one_run: &[i64]) -> Tensor {
        self.slice(|source| source.uniform(shape_of_one_run))
    }

    fn normal(&mut self, shape_of_one_run: &[i64]) -> Tensor {
        self.slice(|source| source.normal(shape_of_one_run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::plan::SharedLayers;
    use crate::nn::testing::{self, Pack, discriminator, generator, inputs, numbers, pack, planned, said};
    use crate::nn::{Head, Wiring};

    const SEEDS: [u64; 3] = [11, 12, 13];

    /// Everything that a run can notice of how it was executed, as bits, each with one row a run.
    fn trace(plan: &NetworkPlan, seeds: &[u64], batch: usize, slopes: bool) -> Vec<(&'static str, Vec<Vec<u32>>)> {
        let Pack { flat, params } = pack(plan, seeds);
        let runs = seeds.len() as i64;
        let x = inputs(seeds, batch, &plan.input).set_requires_grad(true);
        let labels = (plan.classes > 0).then(|| {
            let one: Vec<i64> = (0..batch as i64).map(|i| (i * i + 1) % plan.classes as i64).collect();
            Tensor::from_slice(&one).view([1, -1]).expand([runs, batch as i64], false)
        });
        let mut rows = Vec::new();
        let mut keep = |what, x: &Tensor| {
            let all = numbers(x);
            let len = all.len() / seeds.len();
            rows.push((what, all.chunks(len).map(|run| run.iter().map(|v| v.to_bits()).collect()).collect()));
        };
        let gradient = |of: &Tensor, by: &Tensor, again: bool| {
            Tensor::run_backward(&[of], &[by], true, again).pop().expect("one input gives one gradient")
        };

        let output = said(plan, &params, &x, labels.as_ref(), seeds, true, slopes);
        keep("output", &output.out);
        let mut parts = vec![(&output.out * &output.out).sum(Kind::Float), output.out.sum(Kind::Float)];
        if let Some(features) = &output.features {
            keep("features", features);
            parts.push((features * features).sum(Kind::Float));
        }
        if let Some(logits) = &output.class_logits {
            keep("class logits", logits);
            parts.push((logits * logits).sum(Kind::Float));
        }
        let loss = Tensor::stack(&parts, 0).sum(Kind::Float);
        keep("gradient", &gradient(&loss, &flat, false));
        keep("gradient of the input", &gradient(&loss, &x, false));
        for (param, plan) in params.iter().zip(&plan.params) {
            if !plan.learned {
                keep("buffer", param);
            }
        }

        // Two passes before one backward, as for real and fake examples: what the second moves, the first must not need.
        let first = said(plan, &params, &x, labels.as_ref(), seeds, true, slopes);
        let output = said(plan, &params, &(&x * 0.9), labels.as_ref(), seeds, true, slopes);
        keep("gradient through two passes", &gradient(&(&first.out * &output.out).sum(Kind::Float), &flat, false));
        if slopes {
            let slope = gradient(&output.out.sum(Kind::Float), &x, true);
            let norms = ((&slope * &slope).flatten(2, -1).sum_dim_intlist(-1, false, None) + 1e-12).sqrt();
            keep("norms of slopes", &norms);
            let penalty = (&norms - 1.0) * (&norms - 1.0);
            let loss = penalty.sum(Kind::Float) + (first.out * output.out).sum(Kind::Float);
            keep("gradient of two passes and a penalty", &gradient(&loss, &flat, false));
        }

        keep("evaluation", &said(plan, &params, &x, labels.as_ref(), seeds, false, slopes).out);
        rows
    }

    fn assert_packs(toml: &str, wiring: &Wiring, batch: usize) {
        tch::set_num_threads(1);
        let plan = planned(toml, wiring).expect("the network fits");
        // Nothing differentiates a generator twice.
        let ways: &[bool] = if plan.role == Role::Discriminator { &[false, true] } else { &[false] };
        for &slopes in ways {
            let together = trace(&plan, &SEEDS, batch, slopes);
            for (r, &seed) in SEEDS.iter().enumerate() {
                let alone = trace(&plan, &[seed], batch, slopes);
                for ((what, packed), (_, alone)) in together.iter().zip(&alone) {
                    let differ = packed[r].iter().zip(&alone[0]).filter(|(a, b)| a != b).count();
                    assert_eq!(differ, 0, "{toml}, batch {batch}, run {r}: {what} ({} numbers)", alone[0].len());
                    assert_eq!(packed[r].len(), alone[0].len(), "{toml}: {what}");
                }
            }
        }
    }

    #[test]
    fn a_run_of_a_dense_pack_has_the_bits_that_it_has_alone() {
        for batch in [1, 2, 8, 13] {
            let tiny = r#"{ mlp = { hidden = [4], activation = "softplus" } }"#;
            assert_packs(tiny, &generator(1, &[1]), batch);
            assert_packs(tiny, &discriminator(&[1]), batch);
            assert_packs(r#"{ mlp = { hidden = [5, 1, 3], activation = "tanh" } }"#, &discriminator(&[3]), batch);
            assert_packs(r#"{ mlp = { hidden = [33, 7], activation = "elu" } }"#, &discriminator(&[2]), batch);
        }
        assert_packs(r#"{ mlp = { hidden = [128, 128] } }"#, &discriminator(&[2]), 256);
        assert_packs(r#"{ mlp = { hidden = [530, 520] } }"#, &discriminator(&[2]), 200);
        assert_packs(r#"{ mlp = { hidden = [128, 128] } }"#, &generator(2, &[2]), 256);
        assert_packs(
            r#"{ mlp = { hidden = [100, 50], activation = { leaky-relu = 0.2 } } }"#,
            &discriminator(&[1, 12, 12]),
            20,
        );
    }

    #[test]
    fn every_activation_keeps_its_bits_in_a_pack() {
        for activation in ["relu", "elu", "selu", "softplus", "tanh", "sigmoid", "linear"] {
            for batch in [3, 8, 13] {
                let toml = format!(
                    r#"{{ mlp = {{ hidden = [7, 3], activation = "{activation}", output = "{activation}" }} }}"#
                );
                assert_packs(&toml, &discriminator(&[2]), batch);
            }
        }
    }

    #[test]
    fn every_dense_layer_keeps_its_bits_in_a_pack() {
        for layers in [
            r#"{ linear = 8 }, "relu", { minibatch-discrimination = { kernels = 5, dims = 3 } }, { linear = 1 }"#,
            r#"{ linear = 6 }, "tanh", { minibatch-discrimination = { kernels = 1, dims = 1, mean = true } }, { linear = 1 }"#,
            r#"{ linear = 9 }, { batch-norm = {} }, "tanh", { linear = 1 }"#,
            r#"{ linear = 8 }, "layer-norm", "tanh", { linear = 1 }"#,
            r#"{ linear = 9 }, { group-norm = 3 }, "tanh", { linear = 1 }"#,
            r#"{ linear = 9 }, { virtual-batch-norm = 5 }, "tanh", { dropout = 0.3 }, { linear = 1 }"#,
            r#"{ linear = 9 }, { dropout = 0.4 }, "tanh", { gaussian-noise = 0.3 }, { linear = 1 }"#,
            r#"{ maxout = { units = 5, pieces = 3 } }, { linear = 1 }"#,
            r#"{ linear = { out = 7, weight = "spectral" } }, "tanh", { linear = { out = 1, weight = "spectral" } }"#,
            r#"{ linear = { out = 7, weight = "norm" } }, "tanh", { linear = { out = 1, weight = "norm" } }"#,
        ] {
            for batch in [8, 13] {
                assert_packs(&format!("{{ layers = [{layers}] }}"), &discriminator(&[3]), batch);
            }
        }
    }

    #[test]
    fn heads_and_labels_keep_their_bits_in_a_pack() {
        let toml = r#"{ mlp = { hidden = [9, 5], activation = "tanh", spectral-norm = true } }"#;
        for head in [Head::Projection, Head::Classifier] {
            assert_packs(toml, &Wiring { classes: 4, head, ..discriminator(&[3]) }, 13);
        }
        assert_packs(toml, &Wiring { classes: 4, labels_at_input: true, ..discriminator(&[3]) }, 8);
        for classes in [2, 10] {
            assert_packs(toml, &Wiring { output: vec![classes], head: Head::LogSum, ..discriminator(&[3]) }, 13);
        }
        let inside =
            r#"{ layers = [{ linear = 6 }, { label = { layers = [{ linear = 3 }, "tanh"] } }, { linear = 1 }] }"#;
        assert_packs(inside, &Wiring { classes: 4, ..discriminator(&[3]) }, 8);
    }

    /// Shapes at random, so that no product hides behind a lucky one.
    #[test]
    fn dense_networks_of_any_width_keep_their_bits_in_a_pack() {
        let mut stream = crate::rng::Stream::new(5, crate::rng::Purpose::Eval, 0, 0);
        for _ in 0..40 {
            let [input, first, second, batch] = [40, 130, 70, 70].map(|most| 1 + stream.below(most) as usize);
            let toml = format!(r#"{{ mlp = {{ hidden = [{first}, {second}], activation = "tanh" }} }}"#);
            assert_packs(&toml, &discriminator(&[input]), batch);
            assert_packs(&toml, &generator(input, &[second]), batch);
        }
    }

    #[test]
    fn a_run_of_a_convolutional_pack_has_the_bits_that_it_has_alone() {
        let dcgan = "{ dcgan = { channels = 3 } }";
        assert_packs(dcgan, &generator(5, &[1, 8, 8]), 4);
        assert_packs(dcgan, &discriminator(&[1, 8, 8]), 4);
        let spectral = r#"{ dcgan = { channels = 4, kernel = 5, norm = "none", spectral-norm = true } }"#;
        let labeled =
            Wiring { classes: 3, labels_at_input: true, head: Head::Projection, ..discriminator(&[1, 28, 28]) };
        assert_packs(spectral, &labeled, 3);
        let referring = r#"{ dcgan = { channels = 3, norm = { virtual-batch = 3 } } }"#;
        assert_packs(referring, &generator(5, &[1, 8, 8]), 4);
        let labeled =
            Wiring { classes: 3, labels_at_input: true, head: Head::Classifier, ..discriminator(&[1, 16, 16]) };
        assert_packs(referring, &labeled, 3);
        assert_packs("{ resnet = { channels = 2 } }", &generator(5, &[3, 8, 8]), 3);
        assert_packs("{ resnet = { channels = 2 } }", &discriminator(&[3, 16, 16]), 3);
        let noisy = r#"{ layers = [{ gaussian-noise = 0.2 }, { conv = { out = 3, kernel = 3 } }, "relu", { dropout = 0.3 }, "layer-norm", { linear = 1 }] }"#;
        assert_packs(noisy, &discriminator(&[2, 5, 5]), 3);
        for layer in ["row-lstm", "diagonal-bilstm"] {
            let recurrent = format!("{{ layers = [{{ {layer} = 4 }}, {{ linear = 1 }}] }}");
            assert_packs(&recurrent, &discriminator(&[2, 5, 4]), 3);
        }
    }

    /// The way that packs of maps go on a GPU, taken here on the CPU: right up to rounding, whatever the bits.
    #[test]
    fn runs_beside_each_other_in_the_channels_give_what_they_give_one_by_one() {
        tch::set_num_threads(1);
        let layers = r#"{ layers = [
            { conv = { out = 4, kernel = 3, padding = 1 } }, { batch-norm = {} }, { leaky-relu = 0.2 },
            { conv-transpose = { out = 6, kernel = 4, stride = 2, padding = 1, bias = false } }, { group-norm = 3 },
            { gaussian-noise = 0.1 }, "instance-norm", { downsample = 2 }, { row-lstm = 4 }, { diagonal-bilstm = 2 },
            { residual = { out = 4, resample = "up", norm = "layer", weight = "spectral" } }, { dropout = 0.2 },
            { conv = { out = 4, kernel = 3, stride = 2, weight = "norm" } }, { label = {} }, "relu",
            { global-pool = "sum" }, { linear = 1 }] }"#
            .replace("\"sum\"", "{ by = \"sum\" }");
        let wiring = Wiring { classes: 3, head: Head::Classifier, ..discriminator(&[2, 8, 8]) };
        let plan = planned(&layers, &wiring).expect("the network fits");
        let x = inputs(&SEEDS, 5, &plan.input);
        let labels = Tensor::from_slice(&[0i64, 2, 1, 1, 0]).view([1, 5]).expand([3, 5], false);
        let with = |grouped: bool, train: bool| {
            let Pack { flat, params } = pack(&plan, &SEEDS);
            let mut noise = testing::Seeded::new(&SEEDS);
            let mut mode = Mode { train, parts: 1, slopes: false, twin: false, noise: &mut noise };
            let output = if grouped {
                plan.together(&params, &x, Some(&labels), &mut mode)
            } else {
                plan.forward(&params, &x, Some(&labels), &mut mode)
            };
            let logits = output.class_logits.expect("a classifier has logits");
            let loss = (&output.out * &output.out).sum(Kind::Float) + (&logits * &logits).sum(Kind::Float);
            let gradient = Tensor::run_backward(&[&loss], &[&flat], false, false).pop().expect("one gradient");
            let mut all = numbers(&output.out);
            all.extend(numbers(&gradient));
            for (param, _) in params.iter().zip(&plan.params).filter(|(_, plan)| !plan.learned) {
                all.extend(numbers(param));
            }
            all
        };
        for train in [true, false] {
            let (grouped, alone) = (with(true, train), with(false, train));
            assert_eq!(grouped.len(), alone.len());
            // What is zero but for rounding (a bias before a norm) is as large as the rounding of the others.
            let largest = alone.iter().fold(0.0f32, |most, b| most.max(b.abs()));
            let far = grouped.iter().zip(&alone).find(|(a, b)| (*a - *b).abs() > 1e-4 * largest);
            assert_eq!(far, None, "of {} numbers up to {largest}", alone.len());
        }
    }

    #[test]
    fn what_virtual_batch_norm_says_of_an_example_does_not_depend_on_the_others() {
        let toml =
            "{ layers = [{ conv = { out = 3, kernel = 3 } }, { virtual-batch-norm = 4 }, 'relu', { linear = 1 }] }";
        let plan = planned(toml, &discriminator(&[1, 6, 6])).expect("it fits");
        let params = pack(&plan, &SEEDS).params;
        let x = inputs(&SEEDS, 7, &plan.input);
        let of = |x: &Tensor, train: bool| said(&plan, &params, x, None, &SEEDS, train, false);
        let whole = of(&x, true);
        let first = of(&x.narrow(1, 0, 2), true);
        assert_eq!(whole.out.size(), [3, 7]);
        let far = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert!(far(&whole.out.narrow(1, 0, 2), &first.out) < 1e-6);
        let features =
            |output: &Output| output.features.as_ref().expect("a discriminator has features").shallow_clone();
        assert!(far(&features(&whole).narrow(1, 0, 2), &features(&first)) < 1e-6);
        assert_eq!(numbers(&of(&x, false).out), numbers(&whole.out));
    }

    #[test]
    fn a_twin_has_numbers_of_its_own_in_the_layers_that_are_not_shared_and_begins_as_its_original() {
        let plain = planned("{ mlp = { hidden = [4, 5], norm = 'batch' } }", &generator(2, &[3])).expect("it fits");
        let mut plan = plain.clone();
        plan.twin_of(SharedLayers::First(1)).expect("one of three is fewer");
        let (count, own) = (plain.params.len(), &plan.params[plain.params.len()..]);
        // The second and third linear layer, and the norm of the second.
        let from = count - own.len();
        assert!(plain.params[from].name.starts_with("3.") && !plain.params[from - 1].name.starts_with("3."));
        for (param, index) in own.iter().zip(from..) {
            assert_eq!((param.name.clone(), param.like), (format!("second.{}", plain.params[index].name), Some(index)));
        }
        assert_eq!(
            plan.rows.last().map(|row| row.params),
            Some(own.iter().filter(|p| p.learned).map(|p| p.len()).sum())
        );

        let seeds = [5, 6];
        let params = testing::pack(&plan, &seeds).params;
        let replaced: Vec<Tensor> =
            (0..count).map(|i| params[if i < from { i } else { i + own.len() }].shallow_clone()).collect();
        let x = testing::inputs(&seeds, 7, &[2]);
        let said = |plan: &NetworkPlan, params: &[Tensor], twin: bool| {
            let mode =
                &mut Mode { train: false, parts: 1, slopes: false, twin, noise: &mut testing::Seeded::new(&seeds) };
            testing::numbers(&plan.forward(params, &x, None, mode).out)
        };
        assert_eq!(said(&plan, &params, true), said(&plain, &replaced, false));
        assert_eq!(said(&plan, &params, false), said(&plain, &params[..count], false));
        assert_ne!(said(&plan, &params, true), said(&plan, &params, false));
        assert_eq!(plain.clone().twin_of(SharedLayers::Last(3)), Err(3));
    }
}
