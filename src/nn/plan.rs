//! From what a TOML says of a network to shapes, parameters and steps, in whole numbers: nothing here touches a tensor,
//! so that the `gantlet` command can show and check networks without libtorch.

use super::builder::{Builder, Flow};
use super::count;
use super::fused::{Link, Steps};
use super::init::{Fans, ParamInit};
use super::layer::label::LabelSpec;
use super::layer::linear::Linear;
use super::layer::shape::View;
use super::layer::{Facts, LayerSpec, Order, Range, Step};
use super::spec::{InitSpec, NetworkSpec};
use super::weight::{Form, Weight, WeightNormSpec};
use crate::base::Problem;
use crate::rng::Stream;
use std::ops::Range as Span;

/// Which player a network belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Latent to data.
    Generator,
    /// Data to one number, or to a number a class.
    Discriminator,
    /// Data to data.
    Autoencoder,
    /// Data to a code.
    Encoder,
    /// A code to what is said of data.
    Decoder,
    /// Data to what is said of each of its numbers, given those before it.
    Predictor,
}

/// What a network says beside its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// Nothing.
    #[default]
    Plain,
    /// A logit a class (AC-GAN, arXiv:1610.09585).
    Classifier,
    /// The number gets ⟨V_y, features⟩ added (arXiv:1802.05637).
    Projection,
    /// One learned number of its own, whatever comes in: the logarithm of a decoder's deviation. It begins at 0.
    Scale,
    /// log Σ exp of the numbers that the network ends in, which are logits of classes (arXiv:1606.03498, section 5): the one
    /// number that it says instead of them.
    LogSum,
}

/// What surrounds a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Wiring {
    /// Whose network it is.
    pub role: Role,
    /// The shape of one example that comes in: `[d]` or `[c, h, w]`.
    pub input: Vec<usize>,
    /// The shape of one example that must come out: the data's for a generator, `[1]` for a discriminator, the classes for a
    /// classifier, the code for an encoder.
    pub output: Vec<usize>,
    /// How many classes there are; 0 where nothing is labeled.
    pub classes: usize,
    /// Whether the label is appended at the input, unless a `label` layer stands in the list.
    pub labels_at_input: bool,
    /// What it says beside its output.
    pub head: Head,
}

/// A line of a network's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The layer's name, which its parameters' names begin with.
    pub name: String,
    /// The layer's tag.
    pub kind: &'static str,
    /// The shape of one example that leaves it.
    pub shape: Vec<usize>,
    /// How many numbers it learns.
    pub params: usize,
}

/// One parameter or buffer of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamPlan {
    /// Unique within the network; begins with the layer's index: `0.weight`.
    pub name: String,
    /// The shape for one run. Weights of linear layers are `[in, out]`, of convolutions `[out, in, k, k]`, of transposed
    /// ones `[in, out, k, k]`.
    pub shape: Vec<usize>,
    /// How it begins.
    pub init: ParamInit,
    /// Whether an optimizer moves it; running statistics and the vectors of spectral norm are not learned.
    pub learned: bool,
    /// The index of the parameter whose first numbers it has, if they are not its own.
    pub like: Option<usize>,
}

impl ParamPlan {
    /// How many numbers it has.
    pub fn len(&self) -> usize {
        count(&self.shape)
    }

    /// Whether it has no numbers, which no plan contains.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out`, as long as the parameter, with the numbers that it begins with: the same on every machine.
    pub fn fill(&self, stream: &mut Stream, out: &mut [f32]) {
        self.init.fill(stream, out);
    }
}

/// A network whose shapes fit: what is shown, what must be stored, and what is executed.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPlan {
    /// A line a layer, heads included.
    pub rows: Vec<Row>,
    /// Parameters and buffers in the order in which `forward` wants them.
    pub params: Vec<ParamPlan>,
    /// The shape of one example that comes in, without labels.
    pub input: Vec<usize>,
    /// The shape of one example that comes out.
    pub output: Vec<usize>,
    /// Width of what enters a discriminator's last linear layer, which feature matching and both heads look at; 0 for a
    /// generator and where there is no linear layer.
    pub features: usize,
    /// Whether examples of a batch see each other, so that real and fake ones must not share a batch.
    pub batch_coupled: bool,
    /// What is known of its layers together.
    pub(super) facts: Facts,
    pub(super) role: Role,
    pub(super) classes: usize,
    /// Up to the last linear layer of a discriminator; nothing where there is none.
    pub(super) body: Steps,
    /// From there on.
    pub(super) last: Steps,
    /// The parameters of each layer, heads included.
    parts: Vec<Part>,
    pub(super) classifier: Option<Linear>,
    pub(super) projection: Option<Weight>,
    /// The parameter of [`Head::Scale`].
    pub(super) scale: Option<usize>,
    /// Whether its head is [`Head::LogSum`].
    pub(super) sums: bool,
    /// What the twin takes instead of each of its own parameters; nothing where there is no twin.
    pub(super) twin: Vec<usize>,
    /// What virtual batch norm refers to, where there is any.
    pub(super) reference: Option<Reference>,
}

/// What a layer has of the parameters.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    params: Span<usize>,
    /// Whether it counts as a layer where layers are shared.
    weighs: bool,
}

/// A batch that goes through the network before every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub examples: usize,
    /// Where it is among the parameters.
    pub batch: usize,
    /// Where its labels are, where the network is asked with labels.
    pub labels: Option<usize>,
}

/// The name of the reference batch among a network's parameters.
pub const REFERENCE: &str = "reference";
/// The name of the labels of the reference batch.
pub const REFERENCE_LABELS: &str = "reference.labels";

/// The layers with weights that a network and its twin have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedLayers {
    /// So many next to the input.
    First(usize),
    /// So many next to the output.
    Last(usize),
}

impl NetworkPlan {
    /// Numbers without a network.
    pub fn memory(params: Vec<ParamPlan>) -> Self {
        Self {
            rows: vec![],
            params,
            input: vec![],
            output: vec![],
            features: 0,
            batch_coupled: false,
            facts: Facts::NOTHING,
            role: Role::Generator,
            classes: 0,
            body: Steps::new(vec![], &[]),
            last: Steps::new(vec![], &[]),
            parts: vec![],
            classifier: None,
            projection: None,
            scale: None,
            sums: false,
            twin: vec![],
            reference: None,
        }
    }

    /// How many examples virtual batch norm refers to; 0 where there is none.
    pub fn reference(&self) -> usize {
        self.reference.map_or(0, |reference| reference.examples)
    }

    /// Its operations in order.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.body.iter().chain(&self.last)
    }

    /// Whether it has statistics that training moves and evaluation uses.
    pub fn has_running_statistics(&self) -> bool {
        self.facts.statistics
    }

    /// What its numbers lie between, as far as its last layers decide it.
    pub fn reach(&self) -> (f32, f32) {
        match self.facts.range {
            Range::Within(low, high) => (low, high),
            Range::Kept | Range::Everything => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }

    /// The parameters of each layer that has some, in order. The reference batch of virtual batch norm counts as a layer, and so does
    /// what a family has added to the parameters.
    pub fn layers_with_parameters(&self) -> Vec<Span<usize>> {
        let reference =
            self.reference.map(|reference| reference.batch..reference.labels.unwrap_or(reference.batch) + 1);
        let mut all: Vec<Span<usize>> = self.parts.iter().map(|part| part.params.clone()).chain(reference).collect();
        let end = all.iter().map(|params| params.end).max().unwrap_or(0);
        all.push(end..self.params.len());
        all.retain(|params| !params.is_empty());
        all.sort_by_key(|params| params.start);
        all
    }

    /// Gives it a twin: the same layers with parameters of their own, which begin at the same numbers, but for those that are
    /// shared. What is not the weight of a layer (a norm) goes with the layer before it.
    ///
    /// # Errors
    /// The count of its layers with weights, where no fewer are to be shared.
    pub fn twin_of(&mut self, shared: SharedLayers) -> Result<(), usize> {
        let all = self.parts.iter().filter(|part| part.weighs).count();
        let is_shared = |layer: usize| match shared {
            SharedLayers::First(count) => layer < count,
            SharedLayers::Last(count) => layer + count >= all,
        };
        let (SharedLayers::First(count) | SharedLayers::Last(count)) = shared;
        if count >= all {
            return Err(all);
        }
        let before = self.params.len();
        self.twin = (0..before).collect();
        let mut weighed = 0usize;
        for part in &self.parts {
            weighed += usize::from(part.weighs);
            if is_shared(weighed.saturating_sub(1)) {
                continue;
            }
            for index in part.params.clone() {
                let (name, like) = (format!("second.{}", self.params[index].name), Some(index));
                self.twin[index] = self.params.len();
                self.params.push(ParamPlan { name, like, ..self.params[index].clone() });
            }
        }
        self.parts.push(Part { params: before..self.params.len(), weighs: false });
        let learned = learned(&self.params[before..]);
        self.rows.push(Row { name: "second".to_owned(), kind: "twin", shape: self.output.clone(), params: learned });
        Ok(())
    }

    /// Whether it is asked with labels.
    pub fn takes_labels(&self) -> bool {
        self.classes > 0
    }

    /// Whether what it says of a number of an image depends on those before it alone: pixels in reading order, of a pixel
    /// the first color first.
    ///
    /// # Errors
    /// What lets a number see itself or later ones.
    pub fn check_order(&self) -> Result<(), String> {
        let (what, first) = match self.input.len() {
            1 => ("symbol", "`embedding`"),
            _ => ("pixel", "`masked-conv` with `mask = \"a\"` or `gated-stack`"),
        };
        let mut hidden = false;
        for facts in self.steps().map(Step::facts) {
            match facts.order {
                Order::Hides => hidden = true,
                Order::Keeps if hidden || facts.moves => {}
                Order::Keeps | Order::Mixes if !hidden => {
                    return Err(format!("its first layer is no {first}, so that a {what} sees itself"));
                }
                Order::Keeps | Order::Mixes => {
                    return Err(
                        "it has layers over the map that are not masked, so that a pixel sees later ones".into()
                    );
                }
            }
        }
        if !hidden {
            return Err(format!("it has no masked layer, so that a {what} sees itself"));
        }
        let sampled = match self.input[..] {
            [_, high, wide] => self.steps().all(|step| step.kept_by_pixel([high, wide]).is_some()),
            _ => self.facts.by_symbol,
        };
        if sampled { Ok(()) } else { Err(format!("it has layers that cannot be executed {what} by {what}")) }
    }

    /// How many numbers of an image are kept where it is made one pixel after the other.
    pub fn kept(&self) -> usize {
        let sides = [self.input[1], self.input[2]];
        self.steps().filter_map(|step| step.kept_by_pixel(sides)).sum()
    }

    /// How many numbers are learned.
    pub fn learned(&self) -> usize {
        learned(&self.params)
    }
}

/// How many numbers of parameters are learned.
fn learned(params: &[ParamPlan]) -> usize {
    params.iter().filter(|p| p.learned).map(ParamPlan::len).sum()
}

impl NetworkSpec {
    /// Shapes, parameters and steps of the network.
    ///
    /// # Errors
    /// Every number that cannot be; else the first layer whose shape does not fit.
    pub fn plan(&self, wiring: &Wiring, init: &InitSpec) -> Result<NetworkPlan, Vec<Problem>> {
        let mut problems = Vec::new();
        let zero = self.counts().into_iter().filter(|(_, n)| *n == 0);
        problems.extend(zero.map(|(key, _)| at_least_one(format!("{}.{key}", self.tag()))));
        if let Self::Layers(layers) = self {
            zeros(layers, "layers", &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        self.wired(wiring, *init).map_err(|problem| vec![problem])
    }

    fn wired(&self, wiring: &Wiring, init: InitSpec) -> Result<NetworkPlan, Problem> {
        let layers = self.expand(wiring)?;
        let tag = self.tag();
        let path_of = |i: usize| if tag == "layers" { format!("layers.{i}") } else { tag.to_owned() };
        let colors = if wiring.input.len() == 3 { wiring.input[0] } else { 1 };
        let symbols = if wiring.output.len() == 2 { wiring.output[1] } else { 0 };
        let (classes, params) = (wiring.classes, Vec::new());
        let mut builder = Builder { classes, colors, symbols, init, params, reference: None };
        let mut flow = Flow::new(wiring.input.clone());
        let (mut rows, mut parts) = (Vec::new(), Vec::new());

        if wiring.labels_at_input && !layers.iter().any(|layer| layer.facts().label) {
            if layers.iter().find_map(|layer| layer.takes().wants_map()) == Some(false) {
                flow.flatten();
            }
            let label = LayerSpec::Label(LabelSpec::default());
            builder.layer(&mut flow, &label, "label", tag)?;
            rows.push(Row { name: "label".to_owned(), kind: label.kind(), shape: flow.shape.clone(), params: 0 });
        }
        for (i, layer) in layers.iter().enumerate() {
            let name = i.to_string();
            let (before, steps) = (builder.params.len(), flow.steps.len());
            builder.layer(&mut flow, layer, &name, &path_of(i))?;
            let params = before..builder.params.len();
            rows.push(Row {
                name,
                kind: layer.kind(),
                shape: flow.shape.clone(),
                params: learned(&builder.params[params.clone()]),
            });
            parts.push(Part { params, weighs: Facts::of(&flow.steps[steps..]).weighs });
        }
        flow.unfold();

        let (came, wanted) = (count(&flow.shape), count(&wiring.output));
        if came != wanted {
            return Err(wrong_end(wiring, &flow.shape, path_of(layers.len().saturating_sub(1))));
        }
        if wiring.role == Role::Predictor && flow.shape != wiring.output {
            return Err(wrong_end(wiring, &flow.shape, path_of(layers.len().saturating_sub(1))));
        }
        if flow.shape != wiring.output {
            flow.steps.push(View(wiring.output.clone()).into());
        }
        // The last linear layer of a discriminator, whose input is the features.
        let linear = |step: &Step| match step.link() {
            Link::Linear(linear) => Some(linear.clone()),
            Link::Activation(_) | Link::Minibatch(_) | Link::Outside => None,
        };
        let ends = flow.steps.iter().enumerate().rev().find_map(|(at, step)| Some((at, linear(step)?)));
        let ends = ends.filter(|_| wiring.role == Role::Discriminator);
        let (body, last) = flow.steps.split_at(ends.as_ref().map_or(0, |(at, _)| *at));
        let [body, last] = [body, last].map(|steps| Steps::new(steps.to_vec(), &builder.params));
        let features = ends.as_ref().map_or(0, |(_, linear)| builder.params[linear.weight.index].shape[0]);
        let before = builder.params.len();
        let (classifier, projection) = builder.head(wiring, ends.map(|(_, last)| last), tag, &mut rows)?;
        parts.push(Part { params: before..builder.params.len(), weighs: false });
        let scale = (wiring.head == Head::Scale).then(|| {
            rows.push(Row { name: "scale".to_owned(), kind: "scale", shape: vec![1], params: 1 });
            let scale = builder.param("scale".to_owned(), vec![1], ParamInit::Constant(0.0));
            parts.push(Part { params: scale..scale + 1, weighs: false });
            scale
        });
        let facts = Facts::of(body.iter().chain(&last));
        let reference = builder.reference_batch(wiring, facts, tag)?;
        Ok(NetworkPlan {
            rows,
            params: builder.params,
            input: wiring.input.clone(),
            output: wiring.output.clone(),
            features,
            batch_coupled: facts.couples,
            facts,
            role: wiring.role,
            classes: wiring.classes,
            body,
            last,
            parts,
            classifier,
            projection,
            scale,
            sums: wiring.head == Head::LogSum,
            twin: Vec::new(),
            reference,
        })
    }
}

impl Builder {
    /// The parameters of the reference batch, which whoever makes the network fills.
    fn reference_batch(&mut self, wiring: &Wiring, facts: Facts, tag: &str) -> Result<Option<Reference>, Problem> {
        let Some(examples) = self.reference else { return Ok(None) };
        if facts.couples {
            let message = "virtual batch norm stands beside a layer that couples the examples of a batch";
            return Err(Problem::at(tag, message).with_help(
                "its reference would be coupled to them too: take out batch norm and minibatch discrimination",
            ));
        }
        let shape = [&[examples], &wiring.input[..]].concat();
        let batch = self.buffer(REFERENCE.to_owned(), shape, ParamInit::Normal { mean: 0.0, std: 1.0 });
        let labels = (wiring.classes > 0)
            .then(|| self.buffer(REFERENCE_LABELS.to_owned(), vec![examples], ParamInit::Constant(0.0)));
        Ok(Some(Reference { examples, batch, labels }))
    }

    /// What a discriminator has beside its last linear layer; divided by its spectral norm where that layer is.
    fn head(
        &mut self,
        wiring: &Wiring,
        last: Option<Linear>,
        tag: &str,
        rows: &mut Vec<Row>,
    ) -> Result<(Option<Linear>, Option<Weight>), Problem> {
        let classifies = match wiring.head {
            Head::Plain | Head::Scale | Head::LogSum => return Ok((None, None)),
            Head::Classifier => true,
            Head::Projection => false,
        };
        if wiring.role != Role::Discriminator {
            return Ok((None, None));
        }
        let problem = |message: &str, help: &str| Problem {
            path: tag.to_owned(),
            message: message.to_owned(),
            help: Some(help.to_owned()),
        };
        if wiring.classes == 0 {
            return Err(problem(
                "the discriminator is to tell classes apart, but the data has no labels",
                "take labeled data",
            ));
        }
        let Some(last) = last else {
            let text = "the discriminator has no linear layer whose input could tell classes apart";
            return Err(problem(text, "end with { linear = 1 }"));
        };
        let form = match last.weight.form {
            Form::Spectral { .. } => WeightNormSpec::Spectral,
            Form::Plain | Form::Norm { .. } => WeightNormSpec::Plain,
        };
        let width = self.params[last.weight.index].shape[0];
        let (before, classes) = (self.params.len(), wiring.classes);
        let parts = if classifies {
            (Some(Linear::plan(self, "classes", (width, classes), true, None, form)), None)
        } else {
            let fans = Fans { inputs: width, outputs: classes };
            (None, Some(Weight::plan(self, "projection", vec![classes, width], 0, fans, (self.init, form))))
        };
        let (name, kind) = if classifies { ("classes", "linear") } else { ("projection", "embedding") };
        let row = Row { name: name.to_owned(), kind, shape: vec![classes], params: learned(&self.params[before..]) };
        rows.push(row);
        Ok(parts)
    }
}

fn wrong_end(wiring: &Wiring, shape: &[usize], path: String) -> Problem {
    let (came, wanted) = (count(shape), count(&wiring.output));
    let message = match wiring.role {
        Role::Generator => {
            format!(
                "the generator ends in {shape:?} ({came} numbers), but data has shape {:?} ({wanted} numbers)",
                wiring.output
            )
        }
        Role::Autoencoder => format!(
            "it ends in {shape:?} ({came} numbers), but must end in data of shape {:?} ({wanted} numbers)",
            wiring.output
        ),
        Role::Discriminator if wanted == 1 => format!("the discriminator ends in {shape:?}, but must end in 1 number"),
        Role::Discriminator | Role::Encoder | Role::Decoder => {
            format!("it ends in {shape:?}, but must end in {wanted} numbers")
        }
        Role::Predictor if wiring.output.len() == 2 => {
            let symbols = wiring.output[1];
            let message = format!(
                "it ends in {shape:?}, but must end in {:?}: logits of the symbols at each position",
                wiring.output
            );
            return Problem { path, message, help: Some(format!("end with {{ linear = {symbols} }}")) };
        }
        Role::Predictor => {
            let message = format!("it ends in {shape:?}, but must end in {:?}: a level of a color each", wiring.output);
            let help =
                format!("end with {{ masked-conv = {{ out = {}, kernel = 1, mask = \"b\" }} }}", wiring.output[0]);
            return Problem { path, message, help: Some(help) };
        }
    };
    Problem { path, message, help: Some(format!("end with {{ linear = {wanted} }}")) }
}

fn at_least_one(path: String) -> Problem {
    Problem { path, message: "expected a whole number above 0, got 0".to_owned(), help: None }
}

/// Finds every number of layers that may not be 0.
fn zeros(layers: &[LayerSpec], path: &str, problems: &mut Vec<Problem>) {
    for (i, layer) in layers.iter().enumerate() {
        let (here, facts) = (format!("{path}.{i}.{}", layer.kind()), layer.facts());
        for (key, _) in facts.counts.iter().filter(|(_, n)| *n == 0) {
            let dot = if key.is_empty() { "" } else { "." };
            problems.push(at_least_one(format!("{here}{dot}{key}")));
        }
        if let Some((key, inner)) = facts.inner {
            zeros(inner, &format!("{here}.{key}"), problems);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{discriminator, generator, inputs, pack, planned, said};

    fn problem(toml: &str, wiring: &Wiring) -> (String, String, String) {
        let problem = planned(toml, wiring).expect_err(toml).remove(0);
        (problem.path, problem.message, problem.help.unwrap_or_default())
    }

    // pytorch/examples dcgan main.py: sum(p.numel() for p in Generator(0).parameters()) with nz=100, ngf=64, nc=3;
    // gains and biases of batch norm are in it.
    #[test]
    fn dcgan_at_64_has_the_parameters_of_the_pytorch_port() {
        let dcgan = "{ dcgan = {} }";
        assert_eq!(planned(dcgan, &generator(100, &[3, 64, 64])).expect("it fits").learned(), 3_576_704);
        assert_eq!(planned(dcgan, &discriminator(&[3, 64, 64])).expect("it fits").learned(), 2_765_568);
    }

    #[test]
    fn virtual_batch_norm_refers_to_one_batch_and_stands_beside_nothing_that_couples_examples() {
        let plan = planned("{ mlp = { hidden = [4, 5], norm = { virtual-batch = {} } } }", &generator(3, &[2]))
            .expect("it fits");
        assert_eq!((plan.reference(), plan.batch_coupled), (64, false));
        let last = plan.params.last().expect("it has parameters");
        assert_eq!((last.name.as_str(), &last.shape[..], last.learned), (REFERENCE, &[64, 3][..], false));
        let two =
            "{ layers = [{ virtual-batch-norm = 8 }, { linear = 4 }, { virtual-batch-norm = 9 }, { linear = 1 }] }";
        let (path, message, _) = problem(two, &discriminator(&[3]));
        assert_eq!(path, "layers.2");
        assert_eq!(message, "a reference of 9 examples, and another norm has one of 8");
        let beside = "{ layers = [{ virtual-batch-norm = 8 }, { linear = 4 }, { batch-norm = {} }, { linear = 1 }] }";
        let (path, message, _) = problem(beside, &discriminator(&[3]));
        assert_eq!(path, "layers");
        assert_eq!(message, "virtual batch norm stands beside a layer that couples the examples of a batch");
        let (path, ..) = problem("{ layers = [{ virtual-batch-norm = 0 }] }", &discriminator(&[1]));
        assert_eq!(path, "layers.0.virtual-batch-norm.examples");
    }

    #[test]
    fn dcgan_at_28_goes_over_14_and_7() {
        let shapes = |plan: NetworkPlan| -> Vec<Vec<usize>> {
            let sides = plan.rows.into_iter().filter(|row| row.params > 0 && row.kind != "batch-norm");
            sides.map(|row| row.shape).collect()
        };
        for kernel in 2..=6 {
            let dcgan = format!("{{ dcgan = {{ channels = 8, kernel = {kernel} }} }}");
            let down = planned(&dcgan, &discriminator(&[1, 28, 28])).expect("it fits");
            assert_eq!(shapes(down), [vec![8, 14, 14], vec![16, 7, 7], vec![1]]);
            let up = planned(&dcgan, &generator(10, &[1, 28, 28])).expect("it fits");
            assert_eq!(shapes(up), [vec![16 * 49], vec![8, 14, 14], vec![1, 28, 28]]);
        }
    }

    #[test]
    fn dcgan_has_biases_only_where_no_norm_follows_anywhere() {
        let names = |toml: &str| -> Vec<String> {
            let plan = planned(toml, &discriminator(&[1, 8, 8])).expect("it fits");
            plan.params.into_iter().map(|param| param.name).collect()
        };
        assert_eq!(names("{ dcgan = {} }"), ["0.weight", "2.weight"]);
        assert_eq!(names(r#"{ dcgan = { norm = "none" } }"#), ["0.weight", "0.bias", "2.weight", "2.bias"]);
    }

    /// Each network's rows are what its pieces really give, and its output what the plan says.
    #[test]
    fn shapes_are_those_that_come_out() {
        tch::set_num_threads(1);
        let presets = ["{ mlp = { hidden = [7] } }", "{ dcgan = { channels = 4 } }", "{ resnet = { channels = 4 } }"];
        for preset in presets {
            for shape in [[1, 8, 8], [3, 16, 16], [1, 28, 28], [2, 32, 32], [3, 64, 64]] {
                let plan = planned(preset, &generator(5, &shape)).expect(preset);
                assert_comes_out(&plan, &shape);
                if !(preset.contains("resnet") && shape[1] == 8) {
                    assert_comes_out(&planned(preset, &discriminator(&shape)).expect(preset), &[]);
                }
            }
        }
        let map = |layer: &str, output: &[usize]| {
            let wiring = Wiring { input: vec![4, 6, 6], ..generator(1, output) };
            let plan = planned(&format!("{{ layers = [{layer}] }}"), &wiring).expect(layer);
            assert_eq!(plan.rows[0].shape, output, "{layer}");
            assert_comes_out(&plan, output);
        };
        map("{ linear = 8 }", &[8]);
        map("{ maxout = { units = 3, pieces = 2 } }", &[3]);
        map("{ conv = { out = 5, kernel = 4, stride = 2, padding = 1 } }", &[5, 3, 3]);
        map("{ conv = { out = 5, kernel = 3, stride = 2 } }", &[5, 2, 2]);
        map("{ conv-transpose = { out = 5, kernel = 4, stride = 3, padding = 1, output-padding = 2 } }", &[5, 19, 19]);
        map("{ upsample = 3 }", &[4, 18, 18]);
        map("{ downsample = 3 }", &[4, 2, 2]);
        map("{ global-pool = {} }", &[4]);
        map("{ reshape = [9, 4, 4] }", &[9, 4, 4]);
        map("\"flatten\"", &[144]);
        map("{ residual = { out = 5, resample = \"up\" } }", &[5, 12, 12]);
        map("{ residual = { out = 5, resample = \"down\" } }", &[5, 3, 3]);
        map("{ residual = 5 }", &[5, 6, 6]);
        map("{ minibatch-discrimination = { kernels = 3, dims = 2 } }", &[147]);
        for layer in
            ["{ batch-norm = {} }", "\"layer-norm\"", "\"instance-norm\"", "{ group-norm = 2 }", "{ dropout = 0.3 }"]
        {
            map(layer, &[4, 6, 6]);
        }
    }

    fn assert_comes_out(plan: &NetworkPlan, output: &[usize]) {
        let seeds = [1, 2];
        let out =
            said(plan, &pack(plan, &seeds).params, &inputs(&seeds, 3, &plan.input), None, &seeds, true, false).out;
        let expected: Vec<i64> = [2, 3].into_iter().chain(output.iter().map(|&n| n as i64)).collect();
        assert_eq!(out.size(), expected, "{:?}", plan.rows);
    }

    #[test]
    fn names_of_parameters_are_unique_and_rows_count_them() {
        let wiring = Wiring { classes: 3, head: Head::Projection, ..discriminator(&[3, 32, 32]) };
        let plan = planned(r#"{ resnet = { channels = 4, norm = "batch", spectral-norm = true } }"#, &wiring)
            .expect("it fits");
        let mut names: Vec<&str> = plan.params.iter().map(|param| param.name.as_str()).collect();
        assert!(names.contains(&"1.conv1.weight") && names.contains(&"projection.spectral"), "{names:?}");
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(plan.rows.iter().map(|row| row.params).sum::<usize>(), plan.learned());
        assert!(plan.batch_coupled && plan.facts.one_by_one);
    }

    #[test]
    fn a_label_enters_flat_networks_after_flattening_and_others_as_maps() {
        let wiring = Wiring { classes: 10, labels_at_input: true, ..discriminator(&[1, 28, 28]) };
        let mlp = planned("{ mlp = { hidden = [4] } }", &wiring).expect("it fits");
        assert_eq!(mlp.rows[0].shape, [794]);
        let dcgan = planned("{ dcgan = { channels = 4 } }", &wiring).expect("it fits");
        assert_eq!(dcgan.rows[0].shape, [11, 28, 28]);
        let own = planned(r#"{ layers = ["flatten", { linear = 5 }, { label = {} }, { linear = 1 }] }"#, &wiring)
            .expect("it fits");
        assert_eq!(own.rows[0].shape, [784]);
        assert_eq!(own.rows[2].shape, [15]);
    }

    #[test]
    fn a_generator_that_ends_in_the_right_count_is_reshaped() {
        let plan = planned("{ layers = [{ linear = 784 }] }", &generator(3, &[1, 28, 28])).expect("it fits");
        assert_eq!(plan.output, [1, 28, 28]);
        assert_comes_out(&plan, &[1, 28, 28]);
    }

    #[test]
    fn mistakes_say_where_what_arrived_and_what_to_do() {
        let image = discriminator(&[1, 28, 28]);
        assert_eq!(
            problem("{ layers = [{ linear = 100 }, { conv = { out = 3, kernel = 3 } }, { linear = 1 }] }", &image),
            (
                "layers.1".to_owned(),
                "conv takes a map [channels, height, width], but a vector of shape [100] arrives".to_owned(),
                "put a reshape before it, such as { reshape = [100, 1, 1] }".to_owned()
            )
        );
        assert_eq!(
            problem("{ layers = [{ linear = 100 }, { reshape = [128, 7, 7] }] }", &generator(5, &[1, 28, 28])),
            (
                "layers.1".to_owned(),
                "cannot reshape [100] (100 numbers) to [128, 7, 7] (6272 numbers)".to_owned(),
                "put { linear = 6272 } before it".to_owned()
            )
        );
        assert_eq!(
            problem("{ layers = [{ linear = 100 }] }", &generator(5, &[1, 28, 28])),
            (
                "layers.0".to_owned(),
                "the generator ends in [100] (100 numbers), but data has shape [1, 28, 28] (784 numbers)".to_owned(),
                "end with { linear = 784 }".to_owned()
            )
        );
        assert_eq!(
            problem("{ layers = [{ linear = 10 }] }", &image),
            (
                "layers.0".to_owned(),
                "the discriminator ends in [10], but must end in 1 number".to_owned(),
                "end with { linear = 1 }".to_owned()
            )
        );
        let text = |toml: &str, wiring: &Wiring| {
            let (path, message, _) = problem(toml, wiring);
            format!("{path}: {message}")
        };
        assert_eq!(
            text("{ layers = [{ conv = { out = 3, kernel = 31 } }, { linear = 1 }] }", &image),
            "layers.0: a kernel of 31 with padding 0 leaves nothing of a map of 28×28"
        );
        assert_eq!(
            text("{ layers = [{ group-norm = 3 }, { linear = 1 }] }", &discriminator(&[4])),
            "layers.0: 3 groups do not divide 4 channels"
        );
        assert_eq!(
            text("{ layers = [{ downsample = 3 }, { linear = 1 }] }", &image),
            "layers.0: a map of 28×28 does not divide into patches of 3×3"
        );
        assert_eq!(
            text("{ dcgan = {} }", &discriminator(&[3, 48, 48])),
            "dcgan: dcgan is for square images whose side is 28 or a power of two from 8 on, but the data is 48×48"
        );
        assert_eq!(
            text("{ dcgan = {} }", &discriminator(&[2])),
            "dcgan: dcgan is for images [channels, height, width], but the data has shape [2]"
        );
        assert_eq!(text("{ dcgan = { kernel = 1 } }", &image), "dcgan.kernel: a kernel of 1 cannot halve a side");
        assert_eq!(
            text("{ layers = [{ label = {} }, { linear = 1 }] }", &image),
            "layers.0: a label is to be appended, but the data has no labels"
        );
        let projection = Wiring { classes: 3, head: Head::Projection, ..discriminator(&[1, 1, 1]) };
        assert_eq!(
            text("{ layers = [{ conv = { out = 1, kernel = 1 } }] }", &projection),
            "layers: the discriminator has no linear layer whose input could tell classes apart"
        );
    }

    #[test]
    fn every_number_that_may_not_be_zero_is_named_at_once() {
        let toml = "{ layers = [{ linear = 0 }, { conv = { out = 3, kernel = 0, stride = 0 } }, { label = { layers = [{ linear = 0 }] } }] }";
        let problems = planned(toml, &discriminator(&[3])).expect_err("zeros");
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        let expected = [
            "layers.0.linear.out",
            "layers.1.conv.kernel",
            "layers.1.conv.stride",
            "layers.2.label.layers.0.linear.out",
        ];
        assert_eq!(paths, expected);
        assert_eq!(problems[0].message, "expected a whole number above 0, got 0");
    }

    #[test]
    fn absurd_sizes_are_counted_without_overflow() {
        let huge = "{ layers = [{ reshape = [4000000000, 4000000000, 4000000000] }, { linear = 1 }] }";
        assert!(problem(huge, &discriminator(&[3])).1.contains("18446744073709551615 numbers"));
    }
}
