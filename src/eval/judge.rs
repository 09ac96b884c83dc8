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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Truth;
    use crate::eval::testing::info;
    use crate::nn::plan::{Head, Role, Wiring};
    use crate::nn::{InitSpec, NetworkSpec, Script};
    use crate::rng::{Purpose, Stream};

    /// A classifier of images 1×6×6 into 3 classes with 4 features, in a file.
    fn classifier(folder: &std::path::Path) -> TorchscriptSpec {
        let network: NetworkSpec =
            toml::from_str("layers = [{ linear = 4 }, 'tanh', { linear = 3 }]").expect("a network");
        let wiring = Wiring {
            role: Role::Discriminator,
            input: vec![1, 6, 6],
            output: vec![3],
            classes: 0,
            labels_at_input: false,
            head: Head::Plain,
        };
        let plan = network.plan(&wiring, &InitSpec::default()).expect("it fits");
        let fill = |(place, param): (usize, &crate::nn::ParamPlan)| {
            let mut numbers = vec![0.0; param.len()];
            param.fill(&mut Stream::new(1, Purpose::Init, 0, place as u64), &mut numbers);
            numbers
        };
        let numbers: Vec<Vec<f32>> = plan.params.iter().enumerate().map(fill).collect();
        let path = folder.join("judge.pt");
        std::fs::write(&path, Script::new(&plan, &numbers).archive("{}")).expect("a file");
        TorchscriptSpec { file: path, name: None, range: None, side: None, color: false }
    }

    fn images(n: usize) -> Array {
        let mut x = Array::zeros(vec![n, 1, 6, 6]);
        Stream::new(2, Purpose::Eval, 0, 0).fill_uniform(&mut x.data, -1.0, 1.0);
        x
    }

    #[test]
    fn features_are_what_enters_the_last_layer_and_logits_what_leaves_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = classifier(folder.path());
        let judge = Judge::load(&spec, &info(vec![1, 6, 6], Truth::Unknown)).expect("a network");
        let x = images(100);
        let (features, logits) = judge.features(&x, &(0..100).collect::<Vec<_>>()).expect("features");
        let logits = logits.expect("classes");
        assert_eq!((features.count, features.width, logits.count, logits.width), (100, 4, 100, 3));
        let module = CModule::load(&spec.file).expect("a module");
        let direct = module.forward_ts(&[host::tensor(&x.data, &[100, 1, 6, 6], Device::Cpu)]).expect("logits");
        for (i, value) in host::numbers(&direct).into_iter().enumerate() {
            assert!((logits.data[i] - f64::from(value)).abs() < 1e-6);
        }
        assert!(features.data.iter().all(|v| v.abs() < 1.0), "they are behind a tanh");
        let (alone, _) = judge.features(&x, &[70]).expect("features");
        assert!(alone.row(0).iter().zip(features.row(70)).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn values_are_moved_to_the_range_that_the_network_wants() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = classifier(folder.path());
        let mut data = info(vec![1, 6, 6], Truth::Unknown);
        data.range = Some((0.0, 1.0));
        let x = images(3);
        let zero_to_one = Array::new(x.shape.clone(), x.data.iter().map(|v| (v + 1.0) / 2.0).collect());
        let moved = TorchscriptSpec { range: Some(crate::data::interval::Interval::of(-1.0, 1.0)), ..spec.clone() };
        let (found, _) =
            Judge::load(&moved, &data).expect("a network").features(&zero_to_one, &[0, 1, 2]).expect("features");
        let (expected, _) = Judge::load(&spec, &data).expect("a network").features(&x, &[0, 1, 2]).expect("features");
        assert!(found.data.iter().zip(&expected.data).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn what_is_no_network_for_the_data_is_said_in_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = classifier(folder.path());
        let wrong = Judge::load(&spec, &info(vec![1, 5, 5], Truth::Unknown)).err().expect("other images");
        assert!(wrong.contains("judge.pt is no network for such data: ") && wrong.lines().count() == 1, "{wrong}");
        std::fs::write(&spec.file, "no archive").expect("a file");
        let wrong = Judge::load(&spec, &info(vec![1, 6, 6], Truth::Unknown)).err().expect("no archive");
        assert!(wrong.contains("judge.pt is no network") && wrong.lines().count() == 1, "{wrong}");
    }
}
