//! From what a TOML says of a network to shapes, parameters and steps, in whole numbers: nothing here touches a tensor,
//! so that the `gantlet` command can show and check networks without libtorch.

use super::init::{Fans, ParamInit};
use super::spec::{
    ActivationSpec, BatchNormSpec, ConvSpec, GatedStackSpec, InitSpec, LabelSpec, LayerSpec, MapLstmSpec, MaskKind,
    MinibatchSpec, NetworkSpec, PoolKind, ResampleKind, ResidualSpec, WeightNormSpec,
};
use crate::base::Problem;
use crate::rng::Stream;

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
    /// number that it says in their place.
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
    /// Unique within the network; mirrors the layer's place: `0.weight`.
    pub name: String,
    /// The shape for one run. Weights of linear layers are `[in, out]`, of convolutions `[out, in, k, k]`, of transposed
    /// ones `[in, out, k, k]`.
    pub shape: Vec<usize>,
    /// How it begins.
    pub init: ParamInit,
    /// Whether an optimizer moves it; running statistics and the vectors of spectral norm are not learned.
    pub learned: bool,
    /// The place of the parameter whose first numbers it has, where they are not its own.
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
    /// Whether layers over maps make it run one run after the other on the CPU.
    pub loops: bool,
    pub(super) role: Role,
    pub(super) classes: usize,
    pub(super) steps: Vec<Step>,
    /// The step whose input is the features.
    pub(super) features_at: Option<usize>,
    pub(super) classifier: Option<Linear>,
    pub(super) projection: Option<Weight>,
    /// The parameter of [`Head::Scale`].
    pub(super) scale: Option<usize>,
    /// Whether its head is [`Head::LogSum`].
    pub(super) sums: bool,
    /// What the twin takes in the place of each of its own parameters; nothing where there is no twin.
    pub(super) twin: Vec<usize>,
    /// What virtual batch norm refers to, where there is any.
    pub(super) reference: Option<Reference>,
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

const RUNNING_MEAN: &str = ".running_mean";

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
            loops: false,
            role: Role::Generator,
            classes: 0,
            steps: vec![],
            features_at: None,
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

    /// Whether it has statistics that training moves and evaluation uses.
    pub fn has_running_statistics(&self) -> bool {
        self.params.iter().any(|param| param.name.ends_with(RUNNING_MEAN))
    }

    /// What its numbers lie between, as far as its last layer says.
    pub fn reach(&self) -> (f32, f32) {
        let last = self.rows.iter().rev().find(|row| !["scale", "twin", "reshape", "flatten"].contains(&row.kind));
        match last.map(|row| row.kind) {
            Some("tanh") => (-1.0, 1.0),
            Some("sigmoid") => (0.0, 1.0),
            Some("relu" | "softplus") => (0.0, f32::INFINITY),
            Some("elu") => (-1.0, f32::INFINITY),
            Some("selu") => (-1.758, f32::INFINITY),
            _ => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }

    /// Gives it a twin: the same layers with parameters of their own, which begin at the same numbers, but for those that are
    /// shared. What is not the weight of a layer (a norm) goes with the layer before it.
    ///
    /// # Errors
    /// The count of its layers with weights, where no fewer are to be shared.
    pub fn twin_of(&mut self, shared: SharedLayers) -> Result<(), usize> {
        // A layer that names classes beside the last one goes with it.
        let layers = ["linear", "conv", "conv-transpose", "maxout", "residual"];
        let weighs = |row: &Row| layers.contains(&row.kind) && row.name != "classes";
        let all = self.rows.iter().filter(|row| weighs(row)).count();
        let is_shared = |layer: usize| match shared {
            SharedLayers::First(count) => layer < count,
            SharedLayers::Last(count) => layer + count >= all,
        };
        let (SharedLayers::First(count) | SharedLayers::Last(count)) = shared;
        if count >= all {
            return Err(all);
        }
        self.twin = (0..self.params.len()).collect();
        let (mut weighed, mut learned) = (0usize, 0);
        for row in &self.rows {
            weighed += usize::from(weighs(row));
            if is_shared(weighed.saturating_sub(1)) {
                continue;
            }
            let own = format!("{}.", row.name);
            for place in 0..self.twin.len() {
                let param = &self.params[place];
                if !param.name.starts_with(&own) {
                    continue;
                }
                let (name, like) = (format!("second.{}", param.name), Some(place));
                self.twin[place] = self.params.len();
                learned += if param.learned { param.len() } else { 0 };
                self.params.push(ParamPlan { name, like, ..self.params[place].clone() });
            }
        }
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
        let mut hidden = false;
        for step in &self.steps {
            match step {
                Step::Fold | Step::Unfold => {}
                Step::Causal(conv) if conv.mask == Some(MaskKind::A) => hidden = true,
                Step::Gated(_) | Step::Embedding(_) => hidden = true,
                Step::Place(_) | Step::PlaceNorm(_) | Step::Recurrent(_) | Step::Block(_) if hidden => {}
                _ if !hidden => {
                    let (first, it) = match self.input.len() {
                        1 => ("`embedding`", "symbol"),
                        _ => ("`masked-conv` with `mask = \"a\"` or `gated-stack`", "pixel"),
                    };
                    return Err(format!("its first layer is no {first}, so that a {it} sees itself"));
                }
                Step::Causal(_) | Step::Masked { .. } | Step::MapLstm(_) | Step::Activation(_) | Step::Dropout(_) => {}
                _ => {
                    return Err(
                        "it has layers over the map that are not masked, so that a pixel sees later ones".into()
                    );
                }
            }
        }
        if hidden { Ok(()) } else { Err("it has no masked layer, so that a pixel sees itself".into()) }
    }

    /// How many numbers of an image are kept where it is made one pixel after the other.
    pub fn kept(&self) -> usize {
        fn of(plan: &NetworkPlan, steps: &[Step]) -> usize {
            let conv = |conv: &Causal| match conv.height * conv.width {
                1 => 0,
                _ => {
                    let (high, wide) = (plan.input[1] + conv.up, plan.input[2] + 2 * conv.left);
                    plan.params[conv.weight].shape[1].saturating_mul(high * wide)
                }
            };
            let step = |step: &Step| match step {
                Step::Causal(one) => conv(one),
                Step::Masked { main } => of(plan, main),
                Step::Gated(layers) => layers.iter().map(|layer| conv(&layer.vertical) + conv(&layer.horizontal)).sum(),
                // Of a row: states, and what they and the map say to gates.
                Step::MapLstm(layer) => {
                    let row = layer.hidden.saturating_mul(12 * plan.input[2]);
                    layer.passes.iter().map(|pass| row.saturating_add(conv(&pass.from_input))).sum()
                }
                _ => 0,
            };
            steps.iter().map(step).sum()
        }
        of(self, &self.steps)
    }

    /// How many numbers are learned.
    pub fn learned(&self) -> usize {
        self.params.iter().filter(|p| p.learned).map(ParamPlan::len).sum()
    }
}

/// One operation. Numbers of parameters are places in [`NetworkPlan::params`]. Activations are `[R, B, …]`, but between
/// `Fold` and `Unfold` maps are `[B, R·C, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Fold,
    Unfold,
    Reshape(Vec<usize>),
    Linear(Linear),
    Conv(Conv),
    Upsample(usize),
    Downsample(usize),
    GlobalPool(PoolKind),
    Activation(ActivationSpec),
    Maxout {
        linear: Linear,
        pieces: usize,
    },
    BatchNorm(BatchNorm),
    GroupNorm {
        groups: usize,
        gain: Option<usize>,
        bias: Option<usize>,
        folded: bool,
    },
    VirtualBatchNorm {
        gain: usize,
        bias: usize,
        folded: bool,
    },
    Dropout(f64),
    GaussianNoise(f64),
    /// Puts a learned number before the features.
    Parameter(usize),
    Minibatch {
        weight: usize,
        kernels: usize,
        mean: bool,
    },
    Residual {
        main: Vec<Step>,
        shortcut: Vec<Step>,
    },
    /// A convolution that sees what came before.
    Causal(Causal),
    /// x + `main` of x, over pixels that see what came before.
    Masked {
        main: Vec<Step>,
    },
    /// Layers in two stacks.
    Gated(Vec<GatedLayer>),
    /// x + an LSTM of x, over pixels that see what came before.
    MapLstm(MapLstm),
    /// Places of symbols `[R, B, T]` to vectors `[R, B, T, D]` of those before.
    Embedding(Embedding),
    /// A linear layer at each place of a sequence.
    Place(Linear),
    /// A layer norm at each place of a sequence.
    PlaceNorm(PlaceNorm),
    Recurrent(Recurrent),
    Block(Block),
    /// The one-hot label through `steps`, of shape `shape`, appended to the features or channels.
    Label {
        steps: Vec<Step>,
        shape: Vec<usize>,
    },
}

/// A weight and how it is reparameterized.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weight {
    pub index: usize,
    /// The dimension of outputs, the run axis not counted.
    pub outputs_at: usize,
    pub form: Form,
}

/// How a weight is reparameterized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    Plain,
    Spectral { vector: usize },
    Norm { gain: usize },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Linear {
    pub weight: Weight,
    pub bias: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conv {
    pub weight: Weight,
    pub bias: Option<usize>,
    pub transposed: bool,
    pub stride: usize,
    pub padding: usize,
    pub output_padding: usize,
}

/// A convolution over the pixels above and to the left, which the kernel alone holds: `[out, in, height, width]`. Its upper
/// left number meets the pixel `up` rows above and `left` columns before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Causal {
    pub weight: usize,
    pub bias: usize,
    /// A bias a class, `[classes, out]`.
    pub label: Option<usize>,
    pub height: usize,
    pub width: usize,
    pub up: usize,
    pub left: usize,
    /// What is seen of the pixel itself, which the last row of the kernel meets at `left`, and nothing behind it; `None`
    /// where the whole kernel is seen.
    pub mask: Option<MaskKind>,
    pub colors: usize,
}

impl Causal {
    /// Whether an output sees an input at a row and column of the kernel.
    pub fn sees(&self, output: usize, input: usize, row: usize, column: usize) -> bool {
        let Some(mask) = self.mask else { return true };
        let (from, to) = (input % self.colors, output % self.colors);
        row + 1 < self.height
            || column < self.left
            || column == self.left && (from < to || from == to && mask == MaskKind::B)
    }
}

/// A layer of two stacks: v, which knows the rows above, and h, which knows the row so far too.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GatedLayer {
    pub vertical: Causal,
    /// From the vertical convolution to the horizontal one.
    pub across: Causal,
    pub horizontal: Causal,
    pub out: Causal,
    /// Whether what enters h is added to what leaves it.
    pub residual: bool,
}

/// An LSTM over a map: line after line, the places of a line at once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MapLstm {
    pub lines: Lines,
    /// Of rows one, of diagonals that from the left and that from the right.
    pub passes: Vec<LstmPass>,
    /// From states to the channels that enter.
    pub out: Causal,
    pub hidden: usize,
}

/// What states go along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// A state goes on from the three above it.
    Rows,
    /// A state goes on from the one above and the one beside it.
    Diagonals,
}

/// To the gates, one after the other: output, forget, input and candidate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LstmPass {
    pub from_input: Causal,
    /// A kernel over the states of the line before, `[4·h, h, 1, 3]` of rows and `[4·h, h, 2, 1]` of diagonals, where the
    /// state above comes first.
    pub from_state: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Embedding {
    /// A vector a symbol and, last, that of the beginning: `[symbols + 1, width]`.
    pub table: usize,
    /// A vector a place, `[T, width]`.
    pub positions: Option<usize>,
    /// A vector a class, which is added at every place: `[classes, width]`.
    pub label: Option<usize>,
    pub symbols: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PlaceNorm {
    pub gain: usize,
    pub bias: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Gru,
    Lstm,
}

/// Weights as PyTorch has them, gates one below the other: `[gates·H, D]`, `[gates·H, H]` and two biases.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recurrent {
    pub cell: Cell,
    pub weights: [usize; 4],
    pub width: usize,
}

/// x + attention of its norm, then x + two layers of its norm.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    pub before_attention: PlaceNorm,
    /// To queries, keys and values, one after the other.
    pub asked: Linear,
    pub joined: Linear,
    pub before_hidden: PlaceNorm,
    pub hidden: Linear,
    pub out: Linear,
    pub heads: usize,
    pub dropout: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct BatchNorm {
    pub gain: Option<usize>,
    pub bias: Option<usize>,
    pub mean: usize,
    pub var: usize,
    pub eps: f64,
    pub momentum: f64,
    pub folded: bool,
}

/// How many numbers a shape has; the greatest number where that is beyond counting.
pub(super) fn count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |product: usize, &n| product.saturating_mul(n))
}

impl NetworkSpec {
    /// The key under which the network is written.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Mlp(_) => "mlp",
            Self::Dcgan(_) => "dcgan",
            Self::Resnet(_) => "resnet",
            Self::Pixelcnn(_) => "pixelcnn",
            Self::RowLstm(_) => "row-lstm",
            Self::DiagonalBilstm(_) => "diagonal-bilstm",
            Self::Layers(_) => "layers",
        }
    }

    /// Shapes, parameters and steps of the network.
    ///
    /// # Errors
    /// Every number that cannot be; else the first layer whose shape does not fit.
    pub fn plan(&self, wiring: &Wiring, init: &InitSpec) -> Result<NetworkPlan, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Self::Mlp(spec) = self {
            for (i, _) in spec.hidden.iter().enumerate().filter(|(_, width)| **width == 0) {
                problems.push(at_least_one(format!("mlp.hidden.{i}")));
            }
        }
        if let Self::Dcgan(super::spec::DcganSpec { channels: 0, .. }) = self {
            problems.push(at_least_one("dcgan.channels".to_owned()));
        }
        if let Self::Resnet(super::spec::ResnetSpec { channels: 0, .. }) = self {
            problems.push(at_least_one("resnet.channels".to_owned()));
        }
        if let Self::Pixelcnn(spec) = self {
            for (key, n) in [("channels", spec.channels), ("layers", spec.layers), ("head", spec.head)] {
                problems.extend((n == 0).then(|| at_least_one(format!("pixelcnn.{key}"))));
            }
        }
        if let Self::RowLstm(spec) | Self::DiagonalBilstm(spec) = self {
            for (key, n) in [("hidden", spec.hidden), ("layers", spec.layers), ("head", spec.head)] {
                problems.extend((n == 0).then(|| at_least_one(format!("{}.{key}", self.tag()))));
            }
        }
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
        let mut builder =
            Builder { classes, colors, symbols, init, params, batch_coupled: false, loops: false, reference: None };
        let mut flow = Flow::new(wiring.input.clone());
        let mut rows = Vec::new();

        if wiring.labels_at_input && !layers.iter().any(|layer| matches!(layer, LayerSpec::Label(_))) {
            if layers.iter().find_map(wants_map) == Some(false) {
                flow.flatten();
            }
            builder.label(&mut flow, &LabelSpec::default(), "label", tag)?;
            rows.push(Row { name: "label".to_owned(), kind: "label", shape: flow.shape.clone(), params: 0 });
        }
        let mut features = None;
        for (i, layer) in layers.iter().enumerate() {
            let name = i.to_string();
            let before = builder.params.len();
            if matches!(layer, LayerSpec::Linear(_)) && !flow.is_sequence() {
                flow.flatten();
                features = Some((flow.steps.len(), flow.shape[0]));
            }
            builder.layer(&mut flow, layer, &name, &path_of(i))?;
            rows.push(Row {
                name,
                kind: layer.kind(),
                shape: flow.shape.clone(),
                params: builder.learned_since(before),
            });
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
            flow.steps.push(Step::Reshape(wiring.output.clone()));
        }
        let features = features.filter(|_| wiring.role == Role::Discriminator);
        let (classifier, projection) = builder.head(wiring, &flow.steps, features, tag, &mut rows)?;
        let scale = (wiring.head == Head::Scale).then(|| {
            rows.push(Row { name: "scale".to_owned(), kind: "scale", shape: vec![1], params: 1 });
            builder.param("scale".to_owned(), vec![1], ParamInit::Constant(0.0))
        });
        let reference = builder.reference_batch(wiring, tag)?;
        Ok(NetworkPlan {
            rows,
            params: builder.params,
            input: wiring.input.clone(),
            output: wiring.output.clone(),
            features: features.map_or(0, |(_, width)| width),
            batch_coupled: builder.batch_coupled,
            loops: builder.loops,
            role: wiring.role,
            classes: wiring.classes,
            steps: flow.steps,
            features_at: features.map(|(at, _)| at),
            classifier,
            projection,
            scale,
            sums: wiring.head == Head::LogSum,
            twin: Vec::new(),
            reference,
        })
    }
}

/// Steps so far and what leaves them.
struct Flow {
    steps: Vec<Step>,
    shape: Vec<usize>,
    folded: bool,
}

impl Flow {
    fn new(shape: Vec<usize>) -> Self {
        Self { steps: Vec::new(), shape, folded: false }
    }

    fn fold(&mut self) {
        if !self.folded {
            self.steps.push(Step::Fold);
            self.folded = true;
        }
    }

    fn unfold(&mut self) {
        if self.folded {
            self.steps.push(Step::Unfold);
            self.folded = false;
        }
    }

    fn reshape(&mut self, shape: Vec<usize>) {
        self.unfold();
        if self.shape != shape {
            self.steps.push(Step::Reshape(shape.clone()));
            self.shape = shape;
        }
    }

    fn flatten(&mut self) {
        self.reshape(vec![count(&self.shape)]);
    }

    /// Whether vectors flow, one after the other: `[T, D]`.
    fn is_sequence(&self) -> bool {
        self.shape.len() == 2
    }

    /// Channels, height and width of the map that a layer of the given kind needs.
    fn map(&self, layer: &LayerSpec, path: &str) -> Result<[usize; 3], Problem> {
        <[usize; 3]>::try_from(self.shape.as_slice()).map_err(|_| Problem {
            path: path.to_owned(),
            message: format!(
                "{} takes a map [channels, height, width], but a vector of shape {:?} arrives",
                layer.kind(),
                self.shape
            ),
            help: Some(format!("put a reshape before it, such as {{ reshape = [{}, 1, 1] }}", count(&self.shape))),
        })
    }
}

struct Builder {
    classes: usize,
    /// Channels of the image that comes in.
    colors: usize,
    /// Symbols of the sequence that comes in.
    symbols: usize,
    init: InitSpec,
    params: Vec<ParamPlan>,
    batch_coupled: bool,
    loops: bool,
    /// How many examples virtual batch norms refer to.
    reference: Option<usize>,
}

impl Builder {
    fn learned_since(&self, before: usize) -> usize {
        self.params[before..].iter().filter(|p| p.learned).map(ParamPlan::len).sum()
    }

    fn param(&mut self, name: String, shape: Vec<usize>, init: ParamInit) -> usize {
        self.params.push(ParamPlan { name, shape, init, learned: true, like: None });
        self.params.len() - 1
    }

    fn buffer(&mut self, name: String, shape: Vec<usize>, init: ParamInit) -> usize {
        self.params.push(ParamPlan { name, shape, init, learned: false, like: None });
        self.params.len() - 1
    }

    /// A weight with what its reparameterization keeps beside it.
    fn weight(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        outputs_at: usize,
        fans: Fans,
        (init, form): (InitSpec, WeightNormSpec),
    ) -> Weight {
        let (outputs, rows) = (shape[outputs_at], shape[0]);
        let others = count(&shape) / outputs;
        let init = ParamInit::weight(init, fans, rows);
        let index = self.param(format!("{name}.weight"), shape, init);
        let form = match form {
            WeightNormSpec::Plain => Form::Plain,
            WeightNormSpec::Spectral => {
                let start = ParamInit::Normal { mean: 0.0, std: 1.0 };
                Form::Spectral { vector: self.buffer(format!("{name}.spectral"), vec![outputs], start) }
            }
            WeightNormSpec::Norm => {
                let start = ParamInit::Constant(init.typical_norm(others, outputs));
                Form::Norm { gain: self.param(format!("{name}.gain"), vec![outputs], start) }
            }
        };
        Weight { index, outputs_at, form }
    }

    fn linear(
        &mut self,
        name: &str,
        (inputs, outputs): (usize, usize),
        bias: bool,
        init: Option<InitSpec>,
        form: WeightNormSpec,
    ) -> Linear {
        let init = init.unwrap_or(self.init);
        let fans = Fans { inputs, outputs };
        let weight = self.weight(name, vec![inputs, outputs], 1, fans, (init, form));
        let bias = bias.then(|| self.param(format!("{name}.bias"), vec![outputs], ParamInit::bias(init, fans)));
        Linear { weight, bias }
    }

    fn layer(&mut self, flow: &mut Flow, layer: &LayerSpec, name: &str, path: &str) -> Result<(), Problem> {
        let problem = |message: String, help: Option<String>| Problem { path: path.to_owned(), message, help };
        if flow.is_sequence() && !goes_with_sequences(layer) {
            let help = "take `gru`, `lstm`, `transformer-block`, `linear`, `layer-norm`, `dropout` or an activation";
            return Err(problem(format!("{} takes no sequence", layer.kind()), Some(help.to_owned())));
        }
        match layer {
            LayerSpec::Embedding(_) | LayerSpec::Gru(_) | LayerSpec::Lstm(_) | LayerSpec::TransformerBlock(_) => {
                self.sequence(flow, layer, name, path)?;
            }
            LayerSpec::LayerNorm if flow.is_sequence() => {
                let norm = self.place_norm(name, flow.shape[1]);
                flow.steps.push(Step::PlaceNorm(norm));
            }
            LayerSpec::Linear(spec) if flow.is_sequence() => {
                let sides = (flow.shape[1], spec.out as usize);
                let linear = self.linear(name, sides, spec.bias, spec.init, spec.weight);
                flow.steps.push(Step::Place(linear));
                flow.shape[1] = sides.1;
            }
            LayerSpec::Linear(spec) => {
                flow.flatten();
                let sides = (flow.shape[0], spec.out as usize);
                let linear = self.linear(name, sides, spec.bias, spec.init, spec.weight);
                flow.steps.push(Step::Linear(linear));
                flow.shape = vec![sides.1];
            }
            LayerSpec::Maxout(spec) => {
                flow.flatten();
                let (units, pieces) = (spec.units as usize, spec.pieces as usize);
                let sides = (flow.shape[0], units.saturating_mul(pieces));
                let linear = self.linear(name, sides, true, spec.init, WeightNormSpec::Plain);
                flow.steps.push(Step::Maxout { linear, pieces });
                flow.shape = vec![units];
            }
            LayerSpec::Conv(spec) => self.conv(flow, layer, spec, false, name, path)?,
            LayerSpec::ConvTranspose(spec) => self.conv(flow, layer, spec, true, name, path)?,
            LayerSpec::Upsample(spec) => {
                let [c, h, w] = self.over_map(flow, layer, path)?;
                let factor = spec.factor as usize;
                flow.steps.push(Step::Upsample(factor));
                flow.shape = vec![c, h.saturating_mul(factor), w.saturating_mul(factor)];
            }
            LayerSpec::Downsample(spec) => {
                let [c, h, w] = self.over_map(flow, layer, path)?;
                let factor = spec.factor as usize;
                if h % factor != 0 || w % factor != 0 {
                    return Err(problem(
                        format!("a map of {h}×{w} does not divide into patches of {factor}×{factor}"),
                        None,
                    ));
                }
                flow.steps.push(Step::Downsample(factor));
                flow.shape = vec![c, h / factor, w / factor];
            }
            LayerSpec::GlobalPool(spec) => {
                let [c, _, _] = flow.map(layer, path)?;
                flow.unfold();
                flow.steps.push(Step::GlobalPool(spec.by));
                flow.shape = vec![c];
            }
            LayerSpec::Reshape(dims) => {
                let shape: Vec<usize> = dims.iter().map(|&n| n as usize).collect();
                if shape.len() != 1 && shape.len() != 3 {
                    let help = "write [numbers] or [channels, height, width]; the batch is not counted".to_owned();
                    return Err(problem(format!("{shape:?} is neither a vector nor a map"), Some(help)));
                }
                let (came, wanted) = (count(&flow.shape), count(&shape));
                if came != wanted {
                    return Err(problem(
                        format!("cannot reshape {:?} ({came} numbers) to {shape:?} ({wanted} numbers)", flow.shape),
                        Some(format!("put {{ linear = {wanted} }} before it")),
                    ));
                }
                flow.reshape(shape);
            }
            LayerSpec::Flatten => flow.flatten(),
            LayerSpec::Parameter(spec) => {
                flow.flatten();
                let init = ParamInit::Constant(spec.value);
                let index = self.param(format!("{name}.value"), vec![1], init);
                flow.steps.push(Step::Parameter(index));
                flow.shape = vec![flow.shape[0].saturating_add(1)];
            }
            LayerSpec::Relu => flow.steps.push(Step::Activation(ActivationSpec::Relu)),
            LayerSpec::LeakyRelu(spec) => flow.steps.push(Step::Activation(ActivationSpec::LeakyRelu(*spec))),
            LayerSpec::Elu => flow.steps.push(Step::Activation(ActivationSpec::Elu)),
            LayerSpec::Selu => flow.steps.push(Step::Activation(ActivationSpec::Selu)),
            LayerSpec::Softplus => flow.steps.push(Step::Activation(ActivationSpec::Softplus)),
            LayerSpec::Tanh => flow.steps.push(Step::Activation(ActivationSpec::Tanh)),
            LayerSpec::Sigmoid => flow.steps.push(Step::Activation(ActivationSpec::Sigmoid)),
            LayerSpec::BatchNorm(spec) => self.batch_norm(flow, *spec, name),
            LayerSpec::LayerNorm => self.group_norm(flow, 1, true, name),
            LayerSpec::InstanceNorm => {
                let [c, h, w] = flow.map(layer, path)?;
                if h * w == 1 {
                    return Err(problem("instance norm over a map of one number leaves only zeros".to_owned(), None));
                }
                self.group_norm(flow, c, false, name);
            }
            LayerSpec::GroupNorm(spec) => {
                let (groups, channels) = (spec.groups as usize, flow.shape[0]);
                if !channels.is_multiple_of(groups) {
                    return Err(problem(format!("{groups} groups do not divide {channels} channels"), None));
                }
                self.group_norm(flow, groups, true, name);
            }
            LayerSpec::VirtualBatchNorm(spec) => {
                let examples = spec.examples as usize;
                if let Some(other) = self.reference.replace(examples).filter(|&other| other != examples) {
                    let message = format!("a reference of {examples} examples, and another norm has one of {other}");
                    let help = "all virtual batch norms of a network refer to the same batch".to_owned();
                    return Err(problem(message, Some(help)));
                }
                let channels = vec![flow.shape[0]];
                let folded = self.fold_for_norm(flow);
                let gain = self.param(format!("{name}.weight"), channels.clone(), ParamInit::norm_gain(self.init));
                let bias = self.param(format!("{name}.bias"), channels, ParamInit::Constant(0.0));
                flow.steps.push(Step::VirtualBatchNorm { gain, bias, folded });
            }
            LayerSpec::Dropout(spec) => {
                flow.unfold();
                flow.steps.push(Step::Dropout(spec.rate.get()));
            }
            LayerSpec::GaussianNoise(spec) => {
                flow.unfold();
                flow.steps.push(Step::GaussianNoise(spec.std.get()));
            }
            LayerSpec::MinibatchDiscrimination(spec) => self.minibatch(flow, spec, name),
            LayerSpec::Residual(spec) => self.residual(flow, layer, spec, name, path)?,
            LayerSpec::MaskedConv(spec) => {
                let [channels, height, width] = self.over_map(flow, layer, path)?;
                let side = odd(spec.kernel, 1, &format!("{path}.{}.kernel", layer.kind()))?;
                let (out, init) = (spec.out as usize, spec.init.unwrap_or(self.init));
                let conv = self.masked(name, (channels, out), side, spec.mask, init);
                flow.steps.push(Step::Causal(conv));
                flow.shape = vec![out, height, width];
            }
            LayerSpec::MaskedResidual(spec) => {
                let [channels, _, _] = self.over_map(flow, layer, path)?;
                let side = odd(spec.kernel, 1, &format!("{path}.{}.kernel", layer.kind()))?;
                let half = channels.div_ceil(2);
                let mut main = Vec::new();
                for (part, sides, side) in
                    [("conv1", (channels, half), 1), ("conv2", (half, half), side), ("conv3", (half, channels), 1)]
                {
                    main.push(Step::Activation(ActivationSpec::Relu));
                    let conv = self.masked(&format!("{name}.{part}"), sides, side, MaskKind::B, self.init);
                    main.push(Step::Causal(conv));
                }
                flow.steps.push(Step::Masked { main });
            }
            LayerSpec::GatedStack(spec) => {
                let [channels, height, width] = self.over_map(flow, layer, path)?;
                let layers = self.gated(spec, channels, name, &format!("{path}.{}", layer.kind()))?;
                flow.steps.push(Step::Gated(layers));
                flow.shape = vec![spec.channels as usize, height, width];
            }
            LayerSpec::RowLstm(spec) => self.map_lstm(flow, layer, (*spec, Lines::Rows), name, path)?,
            LayerSpec::DiagonalBilstm(spec) => self.map_lstm(flow, layer, (*spec, Lines::Diagonals), name, path)?,
            LayerSpec::Label(spec) => self.label(flow, spec, name, path)?,
        }
        Ok(())
    }

    /// A layer that is for sequences alone.
    fn sequence(&mut self, flow: &mut Flow, layer: &LayerSpec, name: &str, path: &str) -> Result<(), Problem> {
        let problem = |message: String, help: &str| Err(Problem::at(path, message).with_help(help));
        // On the CPU runs go one by one: libtorch's recurrent layers and attention know no axis of runs.
        self.loops = true;
        if let LayerSpec::Embedding(spec) = layer {
            let &[places] = &flow.shape[..] else {
                return problem("embedding takes places of symbols, and vectors arrive".to_owned(), "take it out");
            };
            if self.symbols == 0 {
                let help = "take a text, or `markov`, as data for a predictor";
                return problem("embedding takes symbols, and the data has none".to_owned(), help);
            }
            let (symbols, width) = (self.symbols, spec.width as usize);
            // PyTorch's embeddings are N(0, 1).
            let init = match self.init {
                InitSpec::Pytorch => ParamInit::Normal { mean: 0.0, std: 1.0 },
                other => ParamInit::weight(other, Fans { inputs: 1, outputs: width }, symbols + 1),
            };
            let table = self.param(format!("{name}.weight"), vec![symbols + 1, width], init);
            let positions = spec.positions.then(|| self.param(format!("{name}.positions"), vec![places, width], init));
            let label =
                (self.classes > 0).then(|| self.param(format!("{name}.label"), vec![self.classes, width], init));
            flow.steps.push(Step::Embedding(Embedding { table, positions, label, symbols }));
            flow.shape = vec![places, width];
            return Ok(());
        }
        let &[places, inputs] = &flow.shape[..] else {
            return problem(format!("{} takes a sequence of vectors", layer.kind()), "put an `embedding` before it");
        };
        match layer {
            LayerSpec::Gru(spec) | LayerSpec::Lstm(spec) => {
                let (cell, gates) = match layer {
                    LayerSpec::Gru(_) => (Cell::Gru, 3),
                    _ => (Cell::Lstm, 4),
                };
                let width = spec.width as usize;
                let rows = gates * width;
                // PyTorch's recurrent layers begin within 1/√width, whatever comes in.
                let weight = |inputs: usize| match self.init {
                    InitSpec::Pytorch => ParamInit::Uniform { bound: 1.0 / (width as f64).sqrt() },
                    other => ParamInit::weight(other, Fans { inputs, outputs: width }, rows),
                };
                let (from_input, from_state) = (weight(inputs), weight(width));
                let bias = match self.init {
                    InitSpec::Pytorch => from_state,
                    _ => ParamInit::Constant(0.0),
                };
                let weights = [
                    self.param(format!("{name}.weight_ih"), vec![rows, inputs], from_input),
                    self.param(format!("{name}.weight_hh"), vec![rows, width], from_state),
                    self.param(format!("{name}.bias_ih"), vec![rows], bias),
                    self.param(format!("{name}.bias_hh"), vec![rows], bias),
                ];
                flow.steps.push(Step::Recurrent(Recurrent { cell, weights, width }));
                flow.shape = vec![places, width];
            }
            LayerSpec::TransformerBlock(spec) => {
                let heads = spec.heads as usize;
                if !inputs.is_multiple_of(heads) {
                    return problem(format!("{heads} heads do not divide a width of {inputs}"), "take another count");
                }
                let mut linear = |part: &str, sides| {
                    self.linear(&format!("{name}.{part}"), sides, true, None, WeightNormSpec::Plain)
                };
                let asked = linear("attention", (inputs, 3 * inputs));
                let joined = linear("joined", (inputs, inputs));
                let hidden = linear("hidden", (inputs, 4 * inputs));
                let out = linear("out", (4 * inputs, inputs));
                let block = Block {
                    before_attention: self.place_norm(&format!("{name}.norm1"), inputs),
                    asked,
                    joined,
                    before_hidden: self.place_norm(&format!("{name}.norm2"), inputs),
                    hidden,
                    out,
                    heads,
                    dropout: spec.dropout.get(),
                };
                flow.steps.push(Step::Block(block));
            }
            _ => unreachable!("the caller hands over layers of sequences alone"),
        }
        Ok(())
    }

    fn place_norm(&mut self, name: &str, width: usize) -> PlaceNorm {
        let gain = self.param(format!("{name}.weight"), vec![width], ParamInit::Constant(1.0));
        let bias = self.param(format!("{name}.bias"), vec![width], ParamInit::Constant(0.0));
        PlaceNorm { gain, bias }
    }

    /// Channels, height and width for a layer that works on folded maps.
    fn over_map(&mut self, flow: &mut Flow, layer: &LayerSpec, path: &str) -> Result<[usize; 3], Problem> {
        let map = flow.map(layer, path)?;
        flow.fold();
        self.loops = true;
        Ok(map)
    }

    fn conv(
        &mut self,
        flow: &mut Flow,
        layer: &LayerSpec,
        spec: &ConvSpec,
        transposed: bool,
        name: &str,
        path: &str,
    ) -> Result<(), Problem> {
        let problem = |message: String, help: &str| Problem {
            path: path.to_owned(),
            message,
            help: (!help.is_empty()).then(|| help.to_owned()),
        };
        let [channels, height, width] = self.over_map(flow, layer, path)?;
        let (out, kernel, stride) = (spec.out as usize, spec.kernel as usize, spec.stride as usize);
        let (padding, output_padding) = (spec.padding as usize, spec.output_padding as usize);
        if !transposed && output_padding != 0 {
            return Err(problem("only a transposed convolution has an output padding".to_owned(), ""));
        }
        if transposed && output_padding >= stride && output_padding != 0 {
            let text = format!("an output padding of {output_padding} is not below the stride of {stride}");
            return Err(problem(text, ""));
        }
        let side = |side: usize| {
            if transposed {
                let reached = (side - 1).saturating_mul(stride).saturating_add(kernel + output_padding);
                reached.checked_sub(2 * padding).filter(|&side| side > 0)
            } else {
                (side + 2 * padding).checked_sub(kernel).map(|rest| rest / stride + 1)
            }
        };
        let (Some(high), Some(wide)) = (side(height), side(width)) else {
            let text =
                format!("a kernel of {kernel} with padding {padding} leaves nothing of a map of {height}×{width}");
            return Err(problem(text, "take a smaller kernel, or fewer layers that halve the side"));
        };
        let area = kernel.saturating_mul(kernel);
        let (shape, outputs_at) = if transposed {
            (vec![channels, out, kernel, kernel], 1)
        } else {
            (vec![out, channels, kernel, kernel], 0)
        };
        // PyTorch computes fans from the first two dimensions of the weight, whichever way the layer goes.
        let fans = Fans { inputs: shape[1].saturating_mul(area), outputs: shape[0].saturating_mul(area) };
        let init = spec.init.unwrap_or(self.init);
        let weight = self.weight(name, shape, outputs_at, fans, (init, spec.weight));
        let bias = spec.bias.then(|| self.param(format!("{name}.bias"), vec![out], ParamInit::bias(init, fans)));
        flow.steps.push(Step::Conv(Conv { weight, bias, transposed, stride, padding, output_padding }));
        flow.shape = vec![out, high, wide];
        Ok(())
    }

    fn batch_norm(&mut self, flow: &mut Flow, spec: BatchNormSpec, name: &str) {
        self.batch_coupled = true;
        let channels = vec![flow.shape[0]];
        let folded = self.fold_for_norm(flow);
        let gain = spec
            .affine
            .then(|| self.param(format!("{name}.weight"), channels.clone(), ParamInit::norm_gain(self.init)));
        let bias = spec.affine.then(|| self.param(format!("{name}.bias"), channels.clone(), ParamInit::Constant(0.0)));
        let mean = self.buffer(format!("{name}{RUNNING_MEAN}"), channels.clone(), ParamInit::Constant(0.0));
        let var = self.buffer(format!("{name}.running_var"), channels, ParamInit::Constant(1.0));
        let (eps, momentum) = (spec.eps.get(), spec.momentum.get());
        flow.steps.push(Step::BatchNorm(BatchNorm { gain, bias, mean, var, eps, momentum, folded }));
    }

    /// The place of the reference batch, which whoever makes the network fills.
    fn reference_batch(&mut self, wiring: &Wiring, tag: &str) -> Result<Option<Reference>, Problem> {
        let Some(examples) = self.reference else { return Ok(None) };
        if self.batch_coupled {
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

    fn group_norm(&mut self, flow: &mut Flow, groups: usize, affine: bool, name: &str) {
        let channels = vec![flow.shape[0]];
        let folded = self.fold_for_norm(flow);
        let gain = affine.then(|| self.param(format!("{name}.weight"), channels.clone(), ParamInit::Constant(1.0)));
        let bias = affine.then(|| self.param(format!("{name}.bias"), channels, ParamInit::Constant(0.0)));
        flow.steps.push(Step::GroupNorm { groups, gain, bias, folded });
    }

    /// Maps are normalized folded, vectors as they are.
    fn fold_for_norm(&mut self, flow: &mut Flow) -> bool {
        let map = flow.shape.len() == 3;
        if map {
            flow.fold();
            self.loops = true;
        }
        map
    }

    fn minibatch(&mut self, flow: &mut Flow, spec: &MinibatchSpec, name: &str) {
        self.batch_coupled = true;
        flow.flatten();
        let (inputs, kernels) = (flow.shape[0], spec.kernels as usize);
        let outputs = kernels.saturating_mul(spec.dims as usize);
        let init = ParamInit::weight(spec.init, Fans { inputs, outputs }, inputs);
        let weight = self.param(format!("{name}.weight"), vec![inputs, outputs], init);
        flow.steps.push(Step::Minibatch { weight, kernels, mean: spec.mean });
        flow.shape = vec![inputs.saturating_add(kernels)];
    }

    /// [norm] relu conv3 [norm] relu conv3; the shortcut is a 1×1 convolution where the shape changes. A 1×1
    /// convolution commutes with enlarging and with means over patches, so it runs where the map is smaller.
    fn residual(
        &mut self,
        flow: &mut Flow,
        layer: &LayerSpec,
        spec: &ResidualSpec,
        name: &str,
        path: &str,
    ) -> Result<(), Problem> {
        let [channels, _, _] = self.over_map(flow, layer, path)?;
        let conv = |kernel: u32| {
            LayerSpec::Conv(ConvSpec {
                out: spec.out,
                kernel,
                stride: 1,
                padding: kernel / 2,
                output_padding: 0,
                bias: true,
                init: None,
                weight: spec.weight,
            })
        };
        let resample = |wanted: ResampleKind| {
            let factor = super::spec::FactorSpec { factor: 2 };
            (spec.resample == wanted).then_some(match wanted {
                ResampleKind::Up => LayerSpec::Upsample(factor),
                _ => LayerSpec::Downsample(factor),
            })
        };
        let mut main: Vec<(&str, LayerSpec)> = Vec::new();
        if !spec.first {
            main.extend(spec.norm.layer().map(|norm| ("norm1", norm)));
            main.push(("", LayerSpec::Relu));
        }
        main.extend(resample(ResampleKind::Up).map(|up| ("", up)));
        main.push(("conv1", conv(3)));
        main.extend(spec.norm.layer().map(|norm| ("norm2", norm)));
        main.push(("", LayerSpec::Relu));
        main.push(("conv2", conv(3)));
        main.extend(resample(ResampleKind::Down).map(|down| ("", down)));

        let mut shortcut: Vec<(&str, LayerSpec)> = Vec::new();
        if spec.resample != ResampleKind::None || spec.out as usize != channels {
            shortcut.extend(resample(ResampleKind::Down).map(|down| ("", down)));
            shortcut.push(("shortcut", conv(1)));
            shortcut.extend(resample(ResampleKind::Up).map(|up| ("", up)));
        }
        let [main, shortcut] = [main, shortcut].map(|layers| -> Result<Flow, Problem> {
            let mut inner = Flow { steps: Vec::new(), shape: flow.shape.clone(), folded: true };
            for (part, layer) in &layers {
                self.layer(&mut inner, layer, &format!("{name}.{part}"), path)?;
            }
            Ok(inner)
        });
        let (main, shortcut) = (main?, shortcut?);
        flow.shape = main.shape;
        flow.steps.push(Step::Residual { main: main.steps, shortcut: shortcut.steps });
        Ok(())
    }

    /// A convolution whose kernel has these sides. What an output sees counts as its fan, and not what a mask takes away.
    fn causal(&mut self, name: &str, (inputs, outputs): (usize, usize), shape: Kernel, init: InitSpec) -> Causal {
        let Kernel { height, width, up, left, mask, taps } = shape;
        let fans = Fans { inputs: inputs.saturating_mul(taps.max(1)), outputs: outputs.saturating_mul(taps.max(1)) };
        let shape = vec![outputs, inputs, height, width];
        let weight = self.param(format!("{name}.weight"), shape, ParamInit::weight(init, fans, outputs));
        let bias = self.param(format!("{name}.bias"), vec![outputs], ParamInit::bias(init, fans));
        // A 1×1 convolution only mixes what its neighbors know of the class.
        let label = (self.classes > 0 && height * width > 1).then(|| {
            let init = ParamInit::weight(init, Fans { inputs: self.classes, outputs }, self.classes);
            self.param(format!("{name}.classes"), vec![self.classes, outputs], init)
        });
        Causal { weight, bias, label, height, width, up, left, mask, colors: self.colors }
    }

    /// A square kernel of which the part that is seen is stored: the rows above, and the row of the pixel.
    fn masked(&mut self, name: &str, sides: (usize, usize), side: usize, mask: MaskKind, init: InitSpec) -> Causal {
        let half = side / 2;
        let taps = side * half + half + usize::from(mask == MaskKind::B);
        let kernel = Kernel { height: half + 1, width: side, up: half, left: half, mask: Some(mask), taps };
        self.causal(name, sides, kernel, init)
    }

    fn gated(
        &mut self,
        spec: &GatedStackSpec,
        inputs: usize,
        name: &str,
        path: &str,
    ) -> Result<Vec<GatedLayer>, Problem> {
        let channels = spec.channels as usize;
        if !channels.is_multiple_of(self.colors) {
            let message = format!("the {} colors of the data do not divide {channels} channels", self.colors);
            let help = "each color has channels of its own in both halves of a gate".to_owned();
            return Err(Problem { path: format!("{path}.channels"), message, help: Some(help) });
        }
        let sides = [odd(spec.first, 3, &format!("{path}.first"))?, odd(spec.kernel, 3, &format!("{path}.kernel"))?];
        let init = self.init;
        let mut layers = Vec::new();
        for layer in 0..spec.layers as usize {
            let first = layer == 0;
            let (side, from) = if first { (sides[0], inputs) } else { (sides[1], channels) };
            let half = side / 2;
            let name = |part: &str| format!("{name}.{layer}.{part}");
            // The first vertical kernel ends above the pixel's row; of features from rows above, that row may be seen.
            let height = half + usize::from(!first);
            let vertical = Kernel { height, width: side, up: half, left: half, mask: None, taps: height * side };
            let mask = if first { MaskKind::A } else { MaskKind::B };
            let width = half + 1;
            let taps = if first { half } else { width };
            let horizontal = Kernel { height: 1, width, up: 0, left: half, mask: Some(mask), taps };
            let point = |mask| Kernel { height: 1, width: 1, up: 0, left: 0, mask, taps: 1 };
            layers.push(GatedLayer {
                vertical: self.causal(&name("vertical"), (from, 2 * channels), vertical, init),
                across: self.causal(&name("across"), (2 * channels, 2 * channels), point(None), init),
                horizontal: self.causal(&name("horizontal"), (from, 2 * channels), horizontal, init),
                out: self.causal(&name("out"), (channels, channels), point(Some(MaskKind::B)), init),
                residual: !first,
            });
        }
        Ok(layers)
    }

    fn map_lstm(
        &mut self,
        flow: &mut Flow,
        layer: &LayerSpec,
        (spec, lines): (MapLstmSpec, Lines),
        name: &str,
        path: &str,
    ) -> Result<(), Problem> {
        let [channels, _, _] = self.over_map(flow, layer, path)?;
        let (hidden, init) = (spec.hidden as usize, self.init);
        if !hidden.is_multiple_of(self.colors) {
            let message = format!("the {} colors of the data do not divide {hidden} units", self.colors);
            let help = "each color has units of its own in every gate";
            // A preset has the name of its layers.
            let own = if path == layer.kind() { path.to_owned() } else { format!("{path}.{}", layer.kind()) };
            return Err(Problem::at(format!("{own}.hidden"), message).with_help(help));
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
            let from_input = self.causal(&format!("{name}.{part}"), (channels, gates), kernel, init);
            let fans = Fans { inputs: hidden.saturating_mul(high * wide), outputs: gates.saturating_mul(high * wide) };
            let from_state = self.param(
                format!("{name}.{part}.state"),
                vec![gates, hidden, high, wide],
                ParamInit::weight(init, fans, gates),
            );
            LstmPass { from_input, from_state }
        };
        let passes = parts.iter().map(&mut pass).collect();
        let point = Kernel { height: 1, width: 1, up: 0, left: 0, mask, taps: 1 };
        let out = self.causal(&format!("{name}.out"), (hidden, channels), point, init);
        flow.steps.push(Step::MapLstm(MapLstm { lines, passes, out, hidden }));
        Ok(())
    }

    fn label(&mut self, flow: &mut Flow, spec: &LabelSpec, name: &str, path: &str) -> Result<(), Problem> {
        let problem =
            |message: String, help: &str| Problem { path: path.to_owned(), message, help: Some(help.to_owned()) };
        if self.classes == 0 {
            let help = "take labeled data, or leave the condition out";
            return Err(problem("a label is to be appended, but the data has no labels".to_owned(), help));
        }
        flow.unfold();
        let mut inner = Flow::new(vec![self.classes]);
        for (i, layer) in spec.layers.iter().enumerate() {
            self.layer(&mut inner, layer, &format!("{name}.{i}"), &format!("{path}.label.layers.{i}"))?;
        }
        inner.unfold();
        match (flow.shape.as_slice(), inner.shape.as_slice()) {
            ([_], [_]) | ([_, _, _], [_]) => {}
            (&[_, h, w], &[_, inner_h, inner_w]) if (h, w) == (inner_h, inner_w) => {}
            (here, label) => {
                let text = format!("the label's layers end in {label:?}, which cannot be appended to {here:?}");
                return Err(problem(text, "end them in a vector, or in a map of the same height and width"));
            }
        }
        flow.shape[0] = flow.shape[0].saturating_add(inner.shape[0]);
        flow.steps.push(Step::Label { steps: inner.steps, shape: inner.shape });
        Ok(())
    }

    /// What a discriminator has beside its last linear layer; divided by its spectral norm where that layer is.
    fn head(
        &mut self,
        wiring: &Wiring,
        steps: &[Step],
        features: Option<(usize, usize)>,
        tag: &str,
        rows: &mut Vec<Row>,
    ) -> Result<(Option<Linear>, Option<Weight>), Problem> {
        if matches!(wiring.head, Head::Plain | Head::Scale | Head::LogSum) || wiring.role != Role::Discriminator {
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
        let Some((at, width)) = features else {
            let text = "the discriminator has no linear layer whose input could tell classes apart";
            return Err(problem(text, "end with { linear = 1 }"));
        };
        let spectral = matches!(&steps[at], Step::Linear(last) if matches!(last.weight.form, Form::Spectral { .. }));
        let form = if spectral { WeightNormSpec::Spectral } else { WeightNormSpec::Plain };
        let (before, classes) = (self.params.len(), wiring.classes);
        let parts = if wiring.head == Head::Classifier {
            (Some(self.linear("classes", (width, classes), true, None, form)), None)
        } else {
            let fans = Fans { inputs: width, outputs: classes };
            (None, Some(self.weight("projection", vec![classes, width], 0, fans, (self.init, form))))
        };
        let (name, kind) = if parts.0.is_some() { ("classes", "linear") } else { ("projection", "embedding") };
        let row = Row { name: name.to_owned(), kind, shape: vec![classes], params: self.learned_since(before) };
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
            let message =
                format!("it ends in {shape:?}, but must end in {:?}: a symbol of a place each", wiring.output);
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

/// What a kernel covers, as [`Causal`] has it, and how many of its numbers an output sees.
struct Kernel {
    height: usize,
    width: usize,
    up: usize,
    left: usize,
    mask: Option<MaskKind>,
    taps: usize,
}

/// The side of a kernel that has a middle.
fn odd(side: u32, least: u32, path: &str) -> Result<usize, Problem> {
    if side % 2 == 1 && side >= least {
        return Ok(side as usize);
    }
    let message = format!("expected an odd number from {least} on, got {side}");
    Err(Problem::at(path, message).with_help("a masked kernel has a middle, which lies on the pixel"))
}

fn at_least_one(path: String) -> Problem {
    Problem { path, message: "expected a whole number above 0, got 0".to_owned(), help: None }
}

/// Finds every number that may not be 0.
fn zeros(layers: &[LayerSpec], path: &str, problems: &mut Vec<Problem>) {
    for (i, layer) in layers.iter().enumerate() {
        let here = format!("{path}.{i}.{}", layer.kind());
        let numbers: &[(&str, u32)] = match layer {
            LayerSpec::Linear(spec) => &[(".out", spec.out)],
            LayerSpec::Conv(spec) | LayerSpec::ConvTranspose(spec) => {
                &[(".out", spec.out), (".kernel", spec.kernel), (".stride", spec.stride)]
            }
            LayerSpec::Upsample(spec) | LayerSpec::Downsample(spec) => &[(".factor", spec.factor)],
            LayerSpec::Maxout(spec) => &[(".units", spec.units), (".pieces", spec.pieces)],
            LayerSpec::GroupNorm(spec) => &[(".groups", spec.groups)],
            LayerSpec::VirtualBatchNorm(spec) => &[(".examples", spec.examples)],
            LayerSpec::MinibatchDiscrimination(spec) => &[(".kernels", spec.kernels), (".dims", spec.dims)],
            LayerSpec::Residual(spec) => &[(".out", spec.out)],
            LayerSpec::MaskedConv(spec) => &[(".out", spec.out)],
            LayerSpec::GatedStack(spec) => &[(".channels", spec.channels), (".layers", spec.layers)],
            LayerSpec::RowLstm(spec) | LayerSpec::DiagonalBilstm(spec) => &[(".hidden", spec.hidden)],
            LayerSpec::Embedding(spec) => &[(".width", spec.width)],
            LayerSpec::Gru(spec) | LayerSpec::Lstm(spec) => &[(".width", spec.width)],
            LayerSpec::TransformerBlock(spec) => &[(".heads", spec.heads)],
            LayerSpec::Reshape(dims) if dims.contains(&0) => &[("", 0)],
            LayerSpec::Label(spec) => {
                zeros(&spec.layers, &format!("{here}.layers"), problems);
                &[]
            }
            _ => &[],
        };
        problems.extend(numbers.iter().filter(|(_, n)| *n == 0).map(|(key, _)| at_least_one(format!("{here}{key}"))));
    }
}

/// Whether a layer works on vectors one after the other.
fn goes_with_sequences(layer: &LayerSpec) -> bool {
    matches!(
        layer,
        LayerSpec::Gru(_)
            | LayerSpec::Lstm(_)
            | LayerSpec::TransformerBlock(_)
            | LayerSpec::Linear(_)
            | LayerSpec::LayerNorm
            | LayerSpec::Dropout(_)
            | LayerSpec::Relu
            | LayerSpec::LeakyRelu(_)
            | LayerSpec::Elu
            | LayerSpec::Selu
            | LayerSpec::Softplus
            | LayerSpec::Tanh
            | LayerSpec::Sigmoid
    )
}

/// Whether a layer needs a map (or else a vector), where it is not indifferent.
fn wants_map(layer: &LayerSpec) -> Option<bool> {
    match layer {
        LayerSpec::Linear(_)
        | LayerSpec::Maxout(_)
        | LayerSpec::Flatten
        | LayerSpec::Parameter(_)
        | LayerSpec::MinibatchDiscrimination(_) => Some(false),
        LayerSpec::Conv(_)
        | LayerSpec::ConvTranspose(_)
        | LayerSpec::Upsample(_)
        | LayerSpec::Downsample(_)
        | LayerSpec::GlobalPool(_)
        | LayerSpec::InstanceNorm
        | LayerSpec::MaskedConv(_)
        | LayerSpec::MaskedResidual(_)
        | LayerSpec::GatedStack(_)
        | LayerSpec::RowLstm(_)
        | LayerSpec::DiagonalBilstm(_)
        | LayerSpec::Residual(_) => Some(true),
        _ => None,
    }
}

impl LayerSpec {
    /// The layer's tag, as the TOML writes it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Conv(_) => "conv",
            Self::ConvTranspose(_) => "conv-transpose",
            Self::Upsample(_) => "upsample",
            Self::Downsample(_) => "downsample",
            Self::GlobalPool(_) => "global-pool",
            Self::Reshape(_) => "reshape",
            Self::Flatten => "flatten",
            Self::Parameter(_) => "parameter",
            Self::Relu => "relu",
            Self::LeakyRelu(_) => "leaky-relu",
            Self::Elu => "elu",
            Self::Selu => "selu",
            Self::Softplus => "softplus",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Maxout(_) => "maxout",
            Self::BatchNorm(_) => "batch-norm",
            Self::LayerNorm => "layer-norm",
            Self::InstanceNorm => "instance-norm",
            Self::GroupNorm(_) => "group-norm",
            Self::VirtualBatchNorm(_) => "virtual-batch-norm",
            Self::Dropout(_) => "dropout",
            Self::GaussianNoise(_) => "gaussian-noise",
            Self::MinibatchDiscrimination(_) => "minibatch-discrimination",
            Self::Residual(_) => "residual",
            Self::MaskedConv(_) => "masked-conv",
            Self::MaskedResidual(_) => "masked-residual",
            Self::GatedStack(_) => "gated-stack",
            Self::RowLstm(_) => "row-lstm",
            Self::DiagonalBilstm(_) => "diagonal-bilstm",
            Self::Embedding(_) => "embedding",
            Self::Gru(_) => "gru",
            Self::Lstm(_) => "lstm",
            Self::TransformerBlock(_) => "transformer-block",
            Self::Label(_) => "label",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::trial::{discriminator, generator, inputs, pack, planned, said};

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
        assert!(plan.batch_coupled && plan.loops);
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
