//! A network for others: its weights in PyTorch's layout, and TorchScript that computes with them as evaluation does.
//!
//! The script is written as text from the plan, so that nothing in it depends on a batch size, its weights move with
//! `.to(device)` and whoever opens it can read it (`module.code`). Numbers that only training needs are worked in:
//! a weight is the one that its layer multiplies with. No tensor is needed here.

use super::archive;
use super::layer::Step;
use super::plan::NetworkPlan;

/// A parameter or buffer as PyTorch has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    /// The layer's index and the name that PyTorch's module gives it: `0.weight`, `1.running_mean`.
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
        let mut methods = String::new();
        let labels = if plan.takes_labels() { (",\n    labels: Tensor", "labels, ") } else { ("", "") };
        let mut start = "z".to_owned();
        if !plan.body.is_empty() {
            let out = writer.through(&plan.body, "z");
            methods.push_str(&writer.method("features", labels.0, &out));
            // A reference goes through each method from the start.
            start = if plan.reference.is_some() {
                writer.map = plan.input.len() == 3;
                writer.through(&plan.body, "z")
            } else {
                writer.is(format!("(self).features(z, {})", labels.1))
            };
        }
        let out = writer.through(&plan.last, &start);
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
pub(super) struct Writer<'a> {
    pub plan: &'a NetworkPlan,
    pub numbers: &'a [Vec<f32>],
    weights: Vec<Plain>,
    pub body: Vec<String>,
    /// The number of the next variable.
    pub next: usize,
    /// Whether what was computed last is a map; it is a vector otherwise.
    pub map: bool,
    /// Whether the size of the batch is asked for.
    sized: bool,
}

impl Writer<'_> {
    pub fn through(&mut self, steps: &[Step], x: &str) -> String {
        steps.iter().fold(x.to_owned(), |x, step| step.script(self, &x))
    }

    /// The method of what was written since the last one, which gives `out`.
    fn method(&mut self, name: &str, labels: &str, out: &str) -> String {
        let mut code = format!("  def {name}(self: {},\n    z: Tensor{labels}) -> Tensor:\n", archive::QUALIFIED);
        let reference = self.plan.reference.map(|reference| {
            let batch = self.plain(reference.batch);
            code.push_str(&format!("    z = torch.cat([{batch}, z], 0)\n"));
            if let Some(index) = reference.labels {
                let own = self.plain(index);
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
    pub fn is(&mut self, expression: String) -> String {
        let name = format!("x{}", self.next);
        self.next += 1;
        self.body.push(format!("{name} = {expression}"));
        name
    }

    pub fn n(&mut self) -> &'static str {
        self.sized = true;
        "n"
    }

    /// A parameter as it is.
    pub fn plain(&mut self, index: usize) -> String {
        let param = &self.plan.params[index];
        self.named(index, param.shape.clone(), self.numbers[index].clone())
    }

    pub fn optional(&mut self, index: Option<usize>) -> String {
        index.map_or_else(|| "None".to_owned(), |index| self.plain(index))
    }

    pub fn named(&mut self, index: usize, shape: Vec<usize>, data: Vec<f32>) -> String {
        let param = &self.plan.params[index];
        // Two methods may use the same.
        if self.weights.iter().all(|weight| weight.name != param.name) {
            self.weights.push(Plain { name: param.name.clone(), shape, data, learned: param.learned });
        }
        format!("self.{}", identifier(&param.name))
    }

    /// The one-hot labels.
    pub fn one_hot(&self) -> String {
        format!("torch.type_as(torch.one_hot(labels, {}), z)", self.plan.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{generator, inputs, numbers, pack, planned, said};
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
        // Running statistics and vectors of spectral norm leave the values that they began with.
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
