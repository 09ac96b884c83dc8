//! What layers plan with: the shape that flows through a network, and the parameters so far.

use super::count;
use super::fused::Steps;
use super::init::ParamInit;
use super::layer::{LAYERS, LayerSpec, Step, shape};
use super::plan::ParamPlan;
use super::spec::InitSpec;
use crate::base::Problem;

/// Steps so far and what leaves them.
pub(super) struct Flow {
    pub steps: Vec<Step>,
    pub shape: Vec<usize>,
    folded: bool,
}

impl Flow {
    pub fn new(shape: Vec<usize>) -> Self {
        Self { steps: Vec::new(), shape, folded: false }
    }

    fn fold(&mut self) {
        if !self.folded {
            self.steps.push(shape::Fold.into());
            self.folded = true;
        }
    }

    pub fn unfold(&mut self) {
        if self.folded {
            self.steps.push(shape::Unfold.into());
            self.folded = false;
        }
    }

    pub fn reshape(&mut self, shape: Vec<usize>) {
        self.unfold();
        if self.shape != shape {
            self.steps.push(shape::View(shape.clone()).into());
            self.shape = shape;
        }
    }

    pub fn flatten(&mut self) {
        self.reshape(vec![count(&self.shape)]);
    }

    /// Whether vectors flow, one after the other: `[T, D]`.
    pub fn is_sequence(&self) -> bool {
        self.shape.len() == 2
    }
}

/// Parameters so far, and what surrounds the layers.
pub(super) struct Builder {
    pub classes: usize,
    /// Channels of the image that comes in.
    pub colors: usize,
    /// Symbols of the sequence that comes in.
    pub symbols: usize,
    /// How weights begin by default.
    pub init: InitSpec,
    pub params: Vec<ParamPlan>,
    /// How many examples virtual batch norms refer to.
    pub reference: Option<usize>,
}

impl Builder {
    pub fn param(&mut self, name: String, shape: Vec<usize>, init: ParamInit) -> usize {
        self.params.push(ParamPlan { name, shape, init, learned: true, like: None });
        self.params.len() - 1
    }

    pub fn buffer(&mut self, name: String, shape: Vec<usize>, init: ParamInit) -> usize {
        self.params.push(ParamPlan { name, shape, init, learned: false, like: None });
        self.params.len() - 1
    }

    /// Plans a layer whose parameters' names begin with `name`, and which a file has at `path`.
    pub fn layer(&mut self, flow: &mut Flow, layer: &LayerSpec, name: &str, path: &str) -> Result<(), Problem> {
        if flow.is_sequence() && !layer.takes().sequences() {
            let those = LAYERS.iter().filter(|(_, takes)| takes.sequences()).map(|(tag, _)| format!("`{tag}`"));
            let help = format!("these do: {}", those.collect::<Vec<_>>().join(", "));
            return Err(Problem::at(path, format!("{} takes no sequence", layer.kind())).with_help(help));
        }
        layer.plan(&mut Site { tag: layer.kind(), builder: self, flow, name, path })
    }
}

/// Where a layer is planned.
pub(super) struct Site<'a> {
    tag: &'static str,
    pub builder: &'a mut Builder,
    pub flow: &'a mut Flow,
    /// What its parameters' names begin with.
    pub name: &'a str,
    /// Where the file has it.
    pub path: &'a str,
}

impl Site<'_> {
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::at(self.path, message)
    }

    /// The path of a setting of the layer. A preset may have the name of its layers.
    pub fn key(&self, key: &str) -> String {
        if self.path == self.tag { format!("{}.{key}", self.path) } else { format!("{}.{}.{key}", self.path, self.tag) }
    }

    pub fn push(&mut self, operation: impl Into<Step>) {
        self.flow.steps.push(operation.into());
    }

    pub fn param(&mut self, part: &str, shape: Vec<usize>, init: ParamInit) -> usize {
        self.builder.param(format!("{}.{part}", self.name), shape, init)
    }

    pub fn buffer(&mut self, part: &str, shape: Vec<usize>, init: ParamInit) -> usize {
        self.builder.buffer(format!("{}.{part}", self.name), shape, init)
    }

    /// Channels, height and width of the map that arrives.
    pub fn map(&self) -> Result<[usize; 3], Problem> {
        let shape = &self.flow.shape;
        <[usize; 3]>::try_from(shape.as_slice()).map_err(|_| {
            let takes = "takes a map [channels, height, width], but a vector of shape";
            let help = format!("put a reshape before it, such as {{ reshape = [{}, 1, 1] }}", count(shape));
            self.problem(format!("{} {takes} {shape:?} arrives", self.tag)).with_help(help)
        })
    }

    /// The same for a layer that works on folded maps.
    pub fn over_map(&mut self) -> Result<[usize; 3], Problem> {
        let map = self.map()?;
        self.flow.fold();
        Ok(map)
    }

    /// Folds a map and leaves a vector as it is; whether it is a map.
    pub fn fold_if_map(&mut self) -> bool {
        let map = self.flow.shape.len() == 3;
        if map {
            self.flow.fold();
        }
        map
    }

    /// Length and width of the sequence that arrives.
    pub fn sequence(&self) -> Result<[usize; 2], Problem> {
        <[usize; 2]>::try_from(self.flow.shape.as_slice()).map_err(|_| {
            self.problem(format!("{} takes a sequence of vectors", self.tag)).with_help("put an `embedding` before it")
        })
    }

    /// Layers from here on over folded maps, each with the part that its parameters' names have; and the shape that leaves them.
    pub fn branch(&mut self, layers: &[(&str, LayerSpec)]) -> Result<(Steps, Vec<usize>), Problem> {
        let mut inner = Flow { steps: Vec::new(), shape: self.flow.shape.clone(), folded: true };
        for (part, layer) in layers {
            self.builder.layer(&mut inner, layer, &format!("{}.{part}", self.name), self.path)?;
        }
        Ok((Steps::new(inner.steps, &self.builder.params), inner.shape))
    }
}
