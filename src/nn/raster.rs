//! The sampler by pixel: images drawn one pixel after the other, from what the pixels before have left.

use super::layer::{Order, Step};
use super::plan::NetworkPlan;
use tch::{Kind, Tensor};

/// An operation on one pixel after the other, with what it keeps of the pixels before.
pub(super) trait ByPixel {
    /// Goes on to this row; all rows above are settled.
    fn begin_row(&mut self, _row: i64) {}

    /// Its output at a row and column, `[B, O]`, from its input there, `[B, I]`, of which later colors may be anything.
    fn at(&mut self, at: (i64, i64), x: &Tensor) -> Tensor;

    /// Takes the input at a row and column as it is in the end. Only the operation that hides the order gets it: what follows depends
    /// on settled pixels alone.
    fn settle(&mut self, _at: (i64, i64), _x: &Tensor) {}
}

/// What operations make their steps from.
pub(super) struct Maker<'a> {
    /// The parameters of a run, `[1, …]`.
    pub params: &'a [Tensor],
    /// The labels, `[1, B, classes]`, if there are labels.
    pub one_hot: Option<&'a Tensor>,
    pub batch: i64,
    /// Height and width.
    pub sides: [i64; 2],
}

/// An operation that does nothing in evaluation.
pub(super) struct Same;

impl ByPixel for Same {
    fn at(&mut self, _: (i64, i64), x: &Tensor) -> Tensor {
        x.shallow_clone()
    }
}

/// A network whose order is right ([`NetworkPlan::check_order`]), asked for one pixel after the other: what earlier pixels
/// left is kept, so that a pixel costs one pixel's work and not a whole image's.
///
/// For each row in order [`Self::begin_row`], for each of its pixels [`Self::see`] as often as there are colors, then
/// [`Self::settle`].
pub struct Raster {
    steps: Vec<Box<dyn ByPixel>>,
    /// The index of the step that hides the order.
    hides: usize,
    row: i64,
    batch: i64,
}

impl Raster {
    /// For `batch` images of a run, whose parameters are `[1, …]`, each with a label if the network takes some.
    ///
    /// # Errors
    /// If an operation of the network has no step by pixel, or none hides the order; [`NetworkPlan::check_order`] finds that without
    /// tensors.
    pub fn new(plan: &NetworkPlan, params: &[Tensor], batch: i64, labels: Option<&Tensor>) -> Result<Self, String> {
        let one_hot = labels.filter(|_| plan.takes_labels()).map(|labels| {
            let classes = Tensor::arange(plan.classes as i64, (Kind::Int64, labels.device()));
            labels.view([1, -1, 1]).eq_tensor(&classes).to_kind(Kind::Float)
        });
        let sides = [plan.input[1] as i64, plan.input[2] as i64];
        let maker = Maker { params, one_hot: one_hot.as_ref(), batch, sides };
        let step = |step: &Step| step.by_pixel(&maker).ok_or_else(|| format!("{step:?} has no step by pixel"));
        let hides = plan.steps().position(|step| step.facts().order == Order::Hides);
        Ok(Self {
            steps: plan.steps().map(step).collect::<Result<_, _>>()?,
            hides: hides.ok_or("no layer hides a pixel from itself")?,
            row: 0,
            batch,
        })
    }

    /// Goes on to this row; all rows above are settled.
    pub fn begin_row(&mut self, row: usize) {
        self.row = row as i64;
        self.steps.iter_mut().for_each(|step| step.begin_row(row as i64));
    }

    /// The network's output for the pixel at this column, `[B, O]`, of which the colors so far are `[B, C]`: the others
    /// may be anything.
    pub fn see(&mut self, column: usize, pixel: &Tensor) -> Tensor {
        let at = (self.row, column as i64);
        self.steps.iter_mut().fold(pixel.shallow_clone(), |x, step| step.at(at, &x))
    }

    /// Takes the pixel at this column as it is in the end, `[B, C]`.
    pub fn settle(&mut self, column: usize, pixel: &Tensor) {
        debug_assert_eq!(pixel.size()[0], self.batch, "a pixel per image");
        self.steps[self.hides].settle((self.row, column as i64), pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{Pack, generator, inputs, numbers, pack, planned, said};
    use crate::nn::{Role, Wiring};

    const LEVELS: usize = 2;

    fn predictor(shape: [usize; 3], classes: usize) -> Wiring {
        let output = [LEVELS * shape[0], shape[1], shape[2]];
        Wiring { role: Role::Predictor, input: shape.to_vec(), classes, ..generator(1, &output) }
    }

    const PLAIN: &str = "{ pixelcnn = { channels = 12, layers = 5, head = 12 } }";
    const GATED: &str = "{ pixelcnn = { channels = 12, layers = 5, head = 12, gated = true } }";
    const ROWS: &str = "{ row-lstm = { hidden = 12, layers = 2, head = 12 } }";
    const DIAGONALS: &str = "{ diagonal-bilstm = { hidden = 12, layers = 2, head = 12 } }";
    const NETWORKS: [&str; 4] = [PLAIN, GATED, ROWS, DIAGONALS];

    /// How often an output at a pixel and color depends on each input: what its slope by the image is not zero at, for
    /// several random networks together, since a relu may hide what it sees.
    fn seen(plan: &NetworkPlan, (color, row, column): (usize, i64, i64)) -> Vec<bool> {
        let colors = plan.input[0] as i64;
        let mut all = vec![false; plan.input.iter().product()];
        for seed in 1..8 {
            let params = pack(plan, &[seed]).params;
            let x = inputs(&[seed], 1, &plan.input).set_requires_grad(true);
            let out = said(plan, &params, &x, None, &[seed], true, false).out;
            let (_, _, channels, _, _) = out.size5().expect("[R, B, channels, H, W]");
            for channel in (0..channels).filter(|channel| channel % colors == color as i64) {
                let one = out.narrow(2, channel, 1).narrow(3, row, 1).narrow(4, column, 1).sum(Kind::Float);
                let slope = Tensor::run_backward(&[&one], &[&x], true, false).pop().expect("one gradient");
                numbers(&slope).iter().zip(&mut all).for_each(|(slope, seen)| *seen |= *slope != 0.0);
            }
        }
        all
    }

    #[test]
    fn no_number_sees_itself_or_a_later_one() {
        for network in NETWORKS {
            for colors in [1, 3] {
                let plan = planned(network, &predictor([colors, 5, 6], 0)).expect("it fits");
                plan.check_order().expect("its order is right");
                for (color, row, column) in
                    [(0, 0, 0), (colors - 1, 0, 3), (0, 2, 0), (colors - 1, 3, 2), (1 % colors, 4, 5)]
                {
                    let seen = seen(&plan, (color, row as i64, column as i64));
                    let later = (0..seen.len()).filter(|&at| {
                        let (c, pixel) = (at / 30, at % 30);
                        seen[at] && (pixel, c) >= (row * 6 + column, color)
                    });
                    assert_eq!(later.count(), 0, "{network}, {colors} colors: {color} at {row}, {column}");
                    // The colors before, of the pixel itself.
                    let here = (0..color).filter(|c| seen[c * 30 + row * 6 + column]).count();
                    assert_eq!(here, color, "{network}, {colors} colors: {color} at {row}, {column}");
                }
            }
        }
    }

    /// By gradients in another implementation, on 8×8 images with a first kernel of 7×7: of 42 pixels before (5, 2) the plain
    /// network, with five blocks, sees 39, as one layer of Row LSTM does; one of Diagonal BiLSTM misses the last of the row
    /// before, which is masked at its own position and from which on there are only columns beyond the first kernel.
    #[test]
    fn the_plain_network_has_a_blind_spot_and_the_gated_one_has_none() {
        let count = |network: &str| {
            let plan = planned(network, &predictor([1, 8, 8], 0)).expect("it fits");
            seen(&plan, (0, 5, 2)).iter().filter(|seen| **seen).count()
        };
        let one = |network: &str| count(&network.replace("layers = 2, ", ""));
        assert_eq!((count(PLAIN), count(GATED), one(ROWS), one(DIAGONALS)), (39, 42, 39, 41));
    }

    #[test]
    fn pixel_by_pixel_a_network_says_what_it_says_of_whole_images() {
        tch::set_num_threads(1);
        let _guard = tch::no_grad_guard();
        for (network, (colors, classes)) in NETWORKS.into_iter().flat_map(|one| [(one, (1, 0)), (one, (3, 4))]) {
            let plan = planned(network, &predictor([colors, 6, 5], classes)).expect("it fits");
            let Pack { params, .. } = pack(&plan, &[3]);
            let x = inputs(&[3], 4, &plan.input);
            let labels = (classes > 0).then(|| Tensor::from_slice(&[0i64, 3, 1, 1]));
            let of_run = labels.as_ref().map(|labels| labels.unsqueeze(0));
            let whole = said(&plan, &params, &x, of_run.as_ref(), &[3], false, false).out;
            let mut raster = Raster::new(&plan, &params, 4, labels.as_ref()).expect("steps by pixel");
            for row in 0..6 {
                raster.begin_row(row);
                for column in 0..5 {
                    let pixel = x.select(0, 0).select(2, row as i64).select(2, column as i64);
                    for color in 0..colors as i64 {
                        // What is not known yet is wrong on purpose.
                        let known = pixel.copy();
                        let _unknown = known.narrow(1, color, colors as i64 - color).fill_(7.0);
                        let found = raster.see(column, &known);
                        for level in 0..LEVELS as i64 {
                            let channel = level * colors as i64 + color;
                            let expected =
                                whole.select(0, 0).select(1, channel).select(1, row as i64).select(1, column as i64);
                            let far = (found.select(1, channel) - expected).abs().max().double_value(&[]);
                            assert!(far < 1e-5, "{network}, color {color} at {row}, {column}: {far}");
                        }
                    }
                    raster.settle(column, &pixel);
                }
            }
        }
    }

    /// A step that the sampler does not know must not be left out: samples would come from another network.
    #[test]
    fn a_sampler_is_not_made_of_a_network_that_has_no_step_by_pixel() {
        let a = "{ masked-conv = { out = 4, kernel = 3, mask = \"a\" } }";
        for (layers, step) in [
            (format!("{a}, {{ conv = {{ out = 2, kernel = 3, padding = 1 }} }}"), "Convolution"),
            (format!("{a}, \"layer-norm\", {{ masked-conv = {{ out = 2, kernel = 1, mask = \"b\" }} }}"), "GroupNorm"),
        ] {
            let plan = planned(&format!("{{ layers = [{layers}] }}"), &predictor([1, 4, 4], 0)).expect("it fits");
            let error = Raster::new(&plan, &pack(&plan, &[1]).params, 2, None).err().expect("it is refused");
            assert!(error.starts_with(step) && error.ends_with("has no step by pixel"), "{error}");
            assert!(plan.check_order().is_err());
        }
    }

    #[test]
    fn layers_in_a_wrong_order_are_noticed() {
        let order = |layers: &str| {
            planned(&format!("{{ layers = [{layers}] }}"), &predictor([1, 4, 4], 0)).expect(layers).check_order()
        };
        let a = "{ masked-conv = { out = 4, kernel = 3, mask = \"a\" } }";
        let last = "{ masked-conv = { out = 2, kernel = 1, mask = \"b\" } }";
        assert_eq!(order(&format!("{a}, \"relu\", {{ masked-residual = 3 }}, {{ dropout = 0.1 }}, {last}")), Ok(()));
        assert_eq!(order(&format!("{{ gated-stack = {{ channels = 3, layers = 2 }} }}, {last}")), Ok(()));
        assert_eq!(order(&format!("{a}, {{ row-lstm = 2 }}, {{ diagonal-bilstm = 3 }}, {last}")), Ok(()));
        let label = format!("{a}, {{ label = {{}} }}, {last}");
        let labeled = planned(&format!("{{ layers = [{label}] }}"), &predictor([1, 4, 4], 3)).expect("it fits");
        assert_eq!(labeled.check_order(), Err("it has layers that cannot be executed pixel by pixel".to_owned()));
        for wrong in [
            last.to_owned(),
            format!("\"relu\", {a}, {last}"),
            format!("{{ row-lstm = 2 }}, {last}"),
            format!("{a}, {{ conv = {{ out = 2, kernel = 3, padding = 1 }} }}"),
            format!("{a}, \"layer-norm\", {last}"),
        ] {
            assert!(order(&wrong).is_err(), "{wrong}");
        }
    }
}
