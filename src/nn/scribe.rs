//! The sampler by symbol: sequences drawn one symbol after the other, from what the symbols before have left.

use super::layer::Step;
use super::plan::NetworkPlan;
use tch::Tensor;

/// An operation on vectors `[B, D]` of one position after the other, with what it keeps.
pub(super) trait BySymbol {
    /// Its output at this position, from its input there and the symbols of the position before, `[B]`, if there is one.
    fn next(&mut self, at: i64, before: Option<&[i64]>, x: &Tensor) -> Tensor;
}

/// What operations make their steps from.
pub(super) struct Maker<'a> {
    /// The parameters of a run, `[1, …]`.
    pub params: &'a [Tensor],
    /// A label per sequence, if there are labels.
    pub labels: Option<&'a Tensor>,
    pub batch: i64,
    /// The length of a sequence.
    pub positions: i64,
}

/// An operation that does nothing in evaluation.
pub(super) struct Same;

impl BySymbol for Same {
    fn next(&mut self, _: i64, _: Option<&[i64]>, x: &Tensor) -> Tensor {
        x.shallow_clone()
    }
}

/// A network over sequences of one run, asked for one symbol after the other: what earlier symbols left is kept, so that a
/// symbol costs one symbol's work and not a whole sequence's.
pub struct Scribe {
    steps: Vec<Box<dyn BySymbol>>,
    at: i64,
}

impl Scribe {
    /// For `batch` sequences of a run, whose parameters are `[1, …]`, with a label each if the network reads labels.
    ///
    /// # Errors
    /// If an operation of the network has no step by symbol; [`NetworkPlan::check_order`] finds that without tensors.
    ///
    /// # Panics
    /// If the network reads labels and there are none.
    pub fn new(plan: &NetworkPlan, params: &[Tensor], batch: i64, labels: Option<&Tensor>) -> Result<Self, String> {
        let maker = Maker { params, labels, batch, positions: plan.input[0] as i64 };
        let step = |step: &Step| step.by_symbol(&maker).ok_or_else(|| format!("{step:?} has no step by symbol"));
        Ok(Self { steps: plan.steps().map(step).collect::<Result<_, _>>()?, at: 0 })
    }

    /// The network's output for the next symbol, `[B, symbols]`, given the one before it, `[B]`; nothing at the first position.
    ///
    /// # Panics
    /// Beyond the positions that the network has learned.
    pub fn next(&mut self, before: Option<&[i64]>) -> Tensor {
        let at = self.at;
        self.at += 1;
        self.steps.iter_mut().fold(Tensor::new(), |x, step| step.next(at, before, &x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::unbound;
    use crate::nn::script::Script;
    use crate::nn::testing::{assert_near, generator, numbers, pack, planned, said, tensor};
    use crate::nn::{Head, Role, Wiring};
    use tch::{CModule, Kind};

    const POSITIONS: usize = 6;
    const SYMBOLS: usize = 5;
    const DEEP: &str = "{ layers = [{ embedding = { width = 4, positions = true } }, { gru = 3 }, { lstm = 4 }, \
                        { transformer-block = 2 }, 'layer-norm', { linear = 5 }] }";

    fn plan(toml: &str) -> NetworkPlan {
        let wiring = Wiring {
            role: Role::Predictor,
            head: Head::Plain,
            input: vec![POSITIONS],
            ..generator(1, &[POSITIONS, SYMBOLS])
        };
        let plan = planned(toml, &wiring).expect("it fits");
        plan.check_order().expect("its order is right");
        plan
    }

    fn texts() -> Tensor {
        tensor(&[0.0, 3.0, 1.0, 4.0, 2.0, 2.0, 4.0, 4.0, 0.0, 1.0, 3.0, 0.0], &[1, 2, POSITIONS as i64])
    }

    /* torch 2.11, float64: nn.GRU, nn.LSTM, functional.layer_norm and gelu, attention by its formula, every parameter k of
    the network 0.5·sin(1 + i + 10·k) at its position i; logits of text 0 at position 0 and of text 1 at position 5. */
    #[test]
    fn layers_say_what_pytorch_says() {
        let plan = plan(DEEP);
        let parameter = |(k, param): (usize, &crate::nn::plan::ParamPlan)| {
            let value = |i: usize| (0.5 * (1.0 + i as f64 + 10.0 * k as f64).sin()) as f32;
            let mut shape = vec![1];
            shape.extend(param.shape.iter().map(|&n| n as i64));
            tensor(&(0..param.len()).map(value).collect::<Vec<_>>(), &shape)
        };
        let params: Vec<Tensor> = plan.params.iter().enumerate().map(parameter).collect();
        let logits = said(&plan, &params, &texts(), None, &[1], false, false).out;
        let at = |text: i64, position: i64| logits.get(0).get(text).get(position);
        assert_near(&at(0, 0), &[-0.952_218_1, 0.245_288_85, 1.217_278_4, 1.070_107_8, -0.060_914_976]);
        assert_near(&at(1, 5), &[-0.984_527_2, 0.167_432_17, 1.165_455_2, 1.091_964_1, 0.014_526_238]);
    }

    #[test]
    fn recurrent_layers_stay_float32_where_bfloat16_is_asked_for() {
        let plan = plan("{ layers = [{ embedding = 4 }, { gru = 3 }, { lstm = 5 }] }");
        let params = pack(&plan, &[1]).params;
        let logits = || said(&plan, &params, &texts(), None, &[1], true, false).out;
        let rounded = unbound::in_bfloat16(tch::Device::Cpu, logits);
        assert_eq!(rounded.kind(), Kind::Float);
        assert_eq!(numbers(&rounded), numbers(&logits()));
    }

    #[test]
    fn no_symbol_sees_itself_or_a_later_one() {
        let plan = plan(DEEP);
        let params = pack(&plan, &[3]).params;
        let all = said(&plan, &params, &texts(), None, &[3], false, false).out;
        for position in 0..POSITIONS as i64 {
            let other = texts();
            let symbol = other.narrow(2, position, 1);
            let changed = (&symbol + 1.0).remainder(SYMBOLS as f64);
            other.narrow(2, position, 1).copy_(&changed);
            let now = said(&plan, &params, &other, None, &[3], false, false).out;
            let upto = |logits: &Tensor| numbers(&logits.narrow(2, 0, position + 1));
            assert_eq!(upto(&all), upto(&now), "position {position} is seen too early");
            if position + 1 < POSITIONS as i64 {
                assert_ne!(numbers(&all), numbers(&now), "position {position} is never seen");
            }
        }
    }

    #[test]
    fn one_symbol_after_the_other_is_said_as_all_at_once() {
        for toml in [DEEP, "{ layers = [{ embedding = 4 }, { linear = 5 }] }"] {
            let plan = plan(toml);
            let params: Vec<Tensor> = pack(&plan, &[5]).params.iter().map(Tensor::detach).collect();
            let all = said(&plan, &params, &texts(), None, &[5], false, false).out;
            let mut scribe = Scribe::new(&plan, &params, 2, None).expect("steps by symbol");
            let mut before: Option<Vec<i64>> = None;
            for position in 0..POSITIONS as i64 {
                assert_near(&scribe.next(before.as_deref()), &numbers(&all.get(0).select(1, position)));
                let symbols = texts().get(0).select(1, position).to_kind(Kind::Int64);
                before = Some(Vec::try_from(symbols).expect("two symbols"));
            }
        }
    }

    /// A network that is told the label says something else for each, and the same symbol by symbol and as a script.
    #[test]
    fn a_label_is_added_to_every_symbol() {
        let wiring = Wiring {
            role: Role::Predictor,
            head: Head::Plain,
            input: vec![POSITIONS],
            classes: 3,
            ..generator(1, &[POSITIONS, SYMBOLS])
        };
        let plan = planned(DEEP, &wiring).expect("it fits");
        let params: Vec<Tensor> = pack(&plan, &[5]).params.iter().map(Tensor::detach).collect();
        let labels = Tensor::from_slice(&[2i64, 0]);
        let all = said(&plan, &params, &texts(), Some(&labels.unsqueeze(0)), &[5], false, false).out;
        let turned = said(&plan, &params, &texts(), Some(&labels.flip([0]).unsqueeze(0)), &[5], false, false).out;
        for position in 0..POSITIONS as i64 {
            assert_ne!(numbers(&all.select(2, position)), numbers(&turned.select(2, position)), "position {position}");
        }
        let mut scribe = Scribe::new(&plan, &params, 2, Some(&labels)).expect("steps by symbol");
        let mut before: Option<Vec<i64>> = None;
        for position in 0..POSITIONS as i64 {
            assert_near(&scribe.next(before.as_deref()), &numbers(&all.get(0).select(1, position)));
            before = Some(Vec::try_from(texts().get(0).select(1, position).to_kind(Kind::Int64)).expect("two symbols"));
        }
        let values: Vec<Vec<f32>> = params.iter().map(numbers).collect();
        let script = Script::new(&plan, &values);
        let module = CModule::load_data(&mut script.archive("{}").as_slice()).expect("it loads");
        let found = module.forward_ts(&[texts().squeeze_dim(0), labels]).expect("it runs");
        assert_near(&found, &numbers(&all));
    }

    #[test]
    fn a_run_of_a_pack_has_the_bits_that_it_has_alone() {
        tch::set_num_threads(1);
        let plan = plan(&DEEP.replace("transformer-block = 2", "transformer-block = { heads = 2, dropout = 0.2 }"));
        let learned = |seeds: &[u64]| {
            let pack = pack(&plan, seeds);
            let x = texts().expand([seeds.len() as i64, -1, -1], false).contiguous();
            let out = said(&plan, &pack.params, &x, None, seeds, true, false).out;
            let loss = out.log_softmax(-1, Kind::Float).square().sum(Kind::Float);
            let slopes = Tensor::run_backward(&[&loss], &[&pack.flat], false, false).pop().expect("one gradient");
            let of_run = |run: i64| (numbers(&out.get(run)), numbers(&slopes.get(run)));
            (0..seeds.len() as i64).map(of_run).collect::<Vec<_>>()
        };
        let together = learned(&[1, 2, 3]);
        for (run, seed) in [1, 2, 3].into_iter().enumerate() {
            assert!(learned(&[seed])[0] == together[run], "seed {seed}");
        }
    }

    #[test]
    fn a_script_says_what_evaluation_says() {
        let plan = plan(DEEP);
        let params = pack(&plan, &[7]).params;
        let wanted = said(&plan, &params, &texts(), None, &[7], false, false).out.squeeze_dim(0);
        let values: Vec<Vec<f32>> = params.iter().map(numbers).collect();
        let script = Script::new(&plan, &values);
        let bytes = script.archive("{}");
        let module = CModule::load_data(&mut bytes.as_slice()).unwrap_or_else(|e| panic!("{e}\n{}", script.code));
        let found = module.forward_ts(&[texts().squeeze_dim(0)]).unwrap_or_else(|e| panic!("{e}\n{}", script.code));
        assert_near(&found, &numbers(&wanted));
    }

    /// A step that the sampler does not know must not be left out: samples would come from another network.
    #[test]
    fn a_sampler_is_not_made_of_a_network_that_has_no_step_by_symbol() {
        let plan =
            planned("{ layers = [{ linear = 4 }, { linear = 6 }] }", &generator(POSITIONS, &[6])).expect("it fits");
        let error = Scribe::new(&plan, &pack(&plan, &[1]).params, 2, None).err().expect("it is refused");
        assert!(error.starts_with("Linear") && error.ends_with("has no step by symbol"), "{error}");
    }

    #[test]
    fn what_does_not_go_with_sequences_is_said() {
        let wiring = Wiring { role: Role::Predictor, input: vec![POSITIONS], ..generator(1, &[POSITIONS, SYMBOLS]) };
        let said = |toml: &str| planned(toml, &wiring).expect_err("it is wrong")[0].message.clone();
        assert_eq!(said("{ layers = [{ gru = 4 }] }"), "gru takes a sequence of vectors");
        assert_eq!(said("{ layers = [{ embedding = 4 }, 'flatten', { linear = 5 }] }"), "flatten takes no sequence");
        assert_eq!(
            said("{ layers = [{ embedding = 4 }, { transformer-block = 3 }] }"),
            "3 heads do not divide a width of 4"
        );
        assert_eq!(
            said("{ layers = [{ embedding = 4 }, { linear = 4 }] }"),
            "it ends in [6, 4], but must end in [6, 5]: logits of the symbols at each position"
        );
    }
}
