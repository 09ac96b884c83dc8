//! A network in a TorchScript file as an extractor: what it is fed, and what it gives. (torch)

use super::rows::Rows;
use super::spec::TorchscriptSpec;
use crate::base::{Array, file, host};
use crate::data::DataInfo;
use tch::{CModule, Device, IValue, Tensor};

/// Examples that the network is asked about at once.
const TOGETHER: usize = 64;

/// A loaded network.
pub(super) struct Judge {
    module: CModule,
    /// Whether features come from a method of their own, and logits from `forward`.
    names_features: bool,
    /// The start of the file's hash.
    pub(super) checksum: String,
    scale: (f64, f64),
    side: Option<i64>,
    color: bool,
}

impl Judge {
    /// Loads the file.
    ///
    /// # Errors
    /// A sentence that says why it is no network for such data.
    pub(super) fn load(spec: &TorchscriptSpec, info: &DataInfo) -> Result<Self, String> {
        let bytes = file::read(&spec.file).map_err(|error| error.to_string())?;
        // What profiling learns would make the first batches round unlike the others.
        tch::jit::set_profiling_mode(false);
        let mut module = CModule::load_data(&mut bytes.as_slice()).map_err(|error| spec.wrong(&error))?;
        module.set_eval();
        let scale = match (spec.range, info.range) {
            (Some(wanted), Some((low, high))) if high > low => {
                let factor = (wanted.high - wanted.low) / f64::from(high - low);
                (factor, wanted.low - f64::from(low) * factor)
            }
            _ => (1.0, 0.0),
        };
        let mut judge = Self {
            module,
            names_features: true,
            checksum: blake3::hash(&bytes).to_hex()[..16].to_owned(),
            scale,
            side: spec.side.map(|side| i64::from(side.get())),
            color: spec.color,
        };
        // A first example tells whether it takes such data, and which methods it has.
        let blank = Array::zeros(std::iter::once(1).chain(info.shape.iter().copied()).collect());
        let input = judge.input(&blank, &[0]);
        judge.names_features = match judge.module.method_ts("features", &[&input]) {
            Ok(_) => true,
            Err(error) if error.to_string().contains("is not defined") => false,
            Err(error) => return Err(spec.wrong(&error)),
        };
        let _answer = judge.ask(&input).map_err(|error| spec.wrong(&error))?;
        Ok(judge)
    }

    /// Features of these examples, and logits where it gives them.
    ///
    /// # Errors
    /// What libtorch says of it.
    pub(super) fn features(&self, x: &Array, places: &[usize]) -> Result<(Rows, Option<Rows>), String> {
        let _guard = tch::no_grad_guard();
        let (mut features, mut logits) = (Rows::empty(), Rows::empty());
        for some in places.chunks(TOGETHER) {
            let (feature, logit) = self.ask(&self.input(x, some)).map_err(|error| first_line(&error))?;
            features.extend(&feature);
            logit.iter().for_each(|logit| logits.extend(logit));
        }
        let named = logits.count > 0;
        Ok((features, named.then_some(logits)))
    }

    /// What the network wants to be fed.
    fn input(&self, x: &Array, places: &[usize]) -> Tensor {
        let shape: Vec<i64> =
            std::iter::once(places.len()).chain(x.shape[1..].iter().copied()).map(|n| n as i64).collect();
        let rows: Vec<f32> = places.iter().flat_map(|&i| x.row(i)).copied().collect();
        let (factor, offset) = self.scale;
        let mut input = host::tensor(&rows, &shape, Device::Cpu) * factor + offset;
        if self.color && shape.get(1) == Some(&1) {
            input = input.repeat([1, 3, 1, 1]);
        }
        match self.side {
            Some(side) => input.internal_upsample_bilinear2d_aa([side, side], false, None, None),
            None => input,
        }
    }

    fn ask(&self, input: &Tensor) -> Result<(Tensor, Option<Tensor>), tch::TchError> {
        if self.names_features {
            return Ok((self.module.method_ts("features", &[input])?, Some(self.module.forward_ts(&[input])?)));
        }
        match self.module.forward_is(&[IValue::Tensor(input.shallow_clone())])? {
            IValue::Tensor(features) => Ok((features, None)),
            IValue::Tuple(mut both) if both.len() == 2 => match (both.remove(0), both.remove(0)) {
                (IValue::Tensor(features), IValue::Tensor(logits)) => Ok((features, Some(logits))),
                _ => Err(tch::TchError::Kind("`forward` gives a pair that is not of tensors".to_owned())),
            },
            _ => Err(tch::TchError::Kind(
                "`forward` gives neither features nor a pair of features and logits".to_owned(),
            )),
        }
    }
}

impl TorchscriptSpec {
    fn wrong(&self, error: &tch::TchError) -> String {
        format!("{} is no network for such data: {}", self.file.display(), first_line(error))
    }
}

/// What libtorch says before it goes on about where in its own code it was.
fn first_line(error: &tch::TchError) -> String {
    let text = error.to_string();
    let told = text.lines().rev().find(|line| line.starts_with("RuntimeError: ")).or_else(|| text.lines().next());
    told.unwrap_or_default().trim_start_matches("RuntimeError: ").to_owned()
}
