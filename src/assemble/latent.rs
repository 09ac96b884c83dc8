//! Operations on the latents of a trained model: interpolation, and the search for the latent of an example of which only a
//! part is known; and helpers for masks, nearest neighbors and PSNR. (torch)
//!
//! Everything is a pure function of the run, the seed and the settings.

use crate::base::{Array, host};
use crate::base::{NonNegative, Positive, Probability};
use crate::data::Examples;
use crate::objective::{Decode, Latents, decoded};
use crate::player::Player;
use crate::player::optimizer::Step;
use crate::player::spec::{AdamSpec, CosineDecay, LrSchedule, OptimizerSpec};
use crate::record::event::{MaskKind, SearchSettings};
use crate::rng::{Purpose, Stream};
use tch::{Device, Kind, Tensor};

/// A trained model, with raw or averaged weights.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// Its decoder.
    pub decode: &'a dyn Decode,
    /// Its players.
    pub players: &'a [Player],
    /// Whether averaged weights are used.
    pub averaged: bool,
    /// Where tensors live.
    pub device: Device,
}

/// Latents on the host, `[n, width]`, with labels if the model takes any.
#[derive(Clone, Debug)]
pub struct Given {
    /// One row per latent.
    pub z: Array,
    /// One per latent, or none.
    pub labels: Vec<i64>,
}

impl Given {
    /// Those of one run.
    pub fn of(latents: &Latents) -> Self {
        let size = latents.z.size();
        Self {
            z: Array::new(vec![size[1] as usize, size[2] as usize], host::numbers(&latents.z)),
            labels: latents.labels.clone(),
        }
    }

    fn tensor(&self, device: Device) -> Tensor {
        host::tensor(&self.z.data, &[1, self.z.rows() as i64, self.z.row_len() as i64], device)
    }
}

impl Model<'_> {
    /// Decodes latents.
    pub fn images(&self, given: &Given) -> Examples {
        let latents = Latents { z: given.tensor(self.device), labels: given.labels.clone() };
        let x = decoded(self.decode, self.players, &latents, self.averaged).remove(0);
        Examples { x, labels: given.labels.clone() }
    }

    /// The path from each latent of the first half to its partner in the second half, in `points` points including both
    /// ends. All points have the label of the first end.
    pub fn paths(&self, given: &Given, points: usize) -> Given {
        let rows = given.z.rows() / 2;
        let law = self.decode.law();
        let (mut along, mut labels) = (Vec::new(), Vec::new());
        for row in 0..rows {
            for point in 0..points {
                let share = point as f64 / (points.max(2) - 1) as f64;
                along.extend(law.between(given.z.row(row), given.z.row(rows + row), share));
                labels.extend(given.labels.get(row));
            }
        }
        Given { z: Array::new(vec![rows * points, given.z.row_len()], along), labels }
    }

    /// The latents whose examples are closest to these in the known values. Each example is searched for by Adam from
    /// `restarts` starts, with a learning rate that falls to 0; the best result is kept.
    ///
    /// `starts`: `restarts` latents per example, one after the other. `known`: 1 for each known value of an example, 0 for
    /// others. The distance is the mean of squares with `squares`, else of absolute values.
    pub fn search(&self, starts: &Given, wanted: &Array, known: &[f32], squares: bool, how: &SearchSettings) -> Given {
        let (n, restarts, width) = (wanted.rows(), how.restarts, starts.z.row_len());
        let mut found = Given { z: Array::zeros(vec![n, width]), labels: vec![] };
        let together = (TOGETHER / restarts).max(1);
        for start in (0..n).step_by(together) {
            let len = together.min(n - start);
            let rows = start * restarts..(start + len) * restarts;
            let some = Given {
                z: Array::new(vec![rows.len(), width], starts.z.data[rows.start * width..rows.end * width].to_vec()),
                labels: starts.labels.get(rows).unwrap_or_default().to_vec(),
            };
            let target: Vec<f32> =
                (0..len * restarts).flat_map(|i| wanted.row(start + i / restarts)).copied().collect();
            let shape: Vec<i64> = [1, len * restarts].iter().chain(&wanted.shape[1..]).map(|&n| n as i64).collect();
            let target = host::tensor(&target, &shape, self.device);
            let (z, apart) = self.descend(&some, &target, known, squares, how);
            for i in 0..len {
                let own = i * restarts..(i + 1) * restarts;
                let best = own.min_by(|&a, &b| apart[a].total_cmp(&apart[b])).expect("there is one start or more");
                found.z.data[(start + i) * width..][..width].copy_from_slice(z.row(best));
                found.labels.extend(some.labels.get(best));
            }
        }
        found
    }

    /// The end of the search from each start, and its distance from the target.
    fn descend(
        &self,
        starts: &Given,
        target: &Tensor,
        known: &[f32],
        squares: bool,
        how: &SearchSettings,
    ) -> (Array, Vec<f32>) {
        let law = self.decode.law();
        let shape: Vec<i64> = [1, 1].into_iter().chain(target.size()[2..].iter().copied()).collect();
        let mask = host::tensor(known, &shape, self.device);
        let count = f64::from(known.iter().sum::<f32>()).max(1.0);
        let apart = |z: &Tensor| {
            let x = self.decode.decode(self.players, z, &starts.labels, self.averaged);
            let apart = (x - target) * &mask;
            let apart = if squares { apart.square() } else { apart.abs() };
            apart.flatten(2, -1).sum_dim_intlist(-1i64, false, Kind::Float) / count + law.unlikely(z) * how.prior
        };
        let mut z = starts.tensor(self.device);
        // Codes do not change: there is no gradient from one category to another.
        let free = z.ones_like();
        let own = i64::from(law.dim());
        let _zeros = free.narrow(-1, own, z.size()[2] - own).zero_();
        let adam = OptimizerSpec::Adam(AdamSpec {
            lr: NonNegative::of(how.rate),
            betas: [0.9, 0.999].map(Probability::of),
            eps: Positive::of(1e-8),
            weight_decay: NonNegative::of(0.0),
            schedule: LrSchedule::Cosine(CosineDecay { to: Probability::of(0.0) }),
            warm_up: 0,
            clip_norm: None,
        });
        let mut buffers = [z.zeros_like(), z.zeros_like()].map(|buffer| buffer.flatten(1, -1));
        for step in 0..how.steps {
            let leaf = z.detach().set_requires_grad(true);
            let loss = apart(&leaf).sum(Kind::Float);
            let slope = Tensor::run_backward(&[&loss], &[&leaf], false, false).remove(0) * &free;
            let update = adam.step(step as u64 + 1, step as u64, how.steps as u64);
            let mut flat = z.detach().copy().flatten(1, -1);
            Step::on_device(&[update], &mut flat, &slope.flatten(1, -1), &mut buffers);
            z = law.confined(&flat.view_as(&z));
        }
        let _guard = tch::no_grad_guard();
        let apart = host::numbers(&apart(&z));
        let size = z.size();
        (Array::new(vec![size[1] as usize, size[2] as usize], host::numbers(&z)), apart)
    }
}

/// Searches that run at once.
const TOGETHER: usize = 256;

/// The mean of some rows.
pub fn mean_row(x: &Array, rows: &[usize]) -> Vec<f32> {
    let mut sum = vec![0.0f64; x.row_len()];
    for &row in rows {
        sum.iter_mut().zip(x.row(row)).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    sum.into_iter().map(|sum| (sum / rows.len().max(1) as f64) as f32).collect()
}

/// Copies of a row, each value with its own noise from U(−most, most).
pub fn scattered(center: &[f32], copies: usize, most: f64, seed: u64) -> Array {
    let mut noise = vec![0.0; copies * center.len()];
    Stream::new(seed, Purpose::Sample, 1, 0).fill_uniform(&mut noise, -most as f32, most as f32);
    noise.chunks_exact_mut(center.len()).for_each(|row| row.iter_mut().zip(center).for_each(|(v, c)| *v += c));
    Array::new(vec![copies, center.len()], noise)
}

/// 1 for each known value of an image, 0 for each that a mask removes.
pub fn known(mask: MaskKind, shape: &[usize]) -> Vec<f32> {
    let [channels, height, width] = shape[..] else { return vec![1.0; shape.iter().product()] };
    let middle = |at: usize, side: usize| at >= side / 4 && at < side - side / 4;
    let is_lost = |y: usize, x: usize| match mask {
        MaskKind::Left => x < width / 2,
        MaskKind::Right => x >= width.div_ceil(2),
        MaskKind::Top => y < height / 2,
        MaskKind::Bottom => y >= height.div_ceil(2),
        MaskKind::Center => middle(y, height) && middle(x, width),
    };
    let plane = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let plane: Vec<f32> = plane.map(|(y, x)| if is_lost(y, x) { 0.0 } else { 1.0 }).collect();
    plane.repeat(channels)
}

/// The known values of `seen`, and all others of `other`.
pub fn patched(seen: &Array, other: &Array, known: &[f32]) -> Array {
    let row = seen.row_len();
    let one = |(i, (a, b)): (usize, (&f32, &f32))| if known[i % row] > 0.0 { *a } else { *b };
    Array::new(seen.shape.clone(), seen.data.iter().zip(&other.data).enumerate().map(one).collect())
}

/// The `count` rows nearest to each example in the known values, with their distances.
pub fn nearest(x: &Array, among: &Array, known: &[f32], count: usize) -> Vec<Vec<(usize, f64)>> {
    let of_row = |i: usize| {
        let mut best: Vec<(usize, f64)> = Vec::with_capacity(count + 1);
        for j in 0..among.rows() {
            let apart = x.row(i).iter().zip(among.row(j)).zip(known).map(|((a, b), k)| (a - b) * (a - b) * k);
            let apart = f64::from(apart.sum::<f32>());
            let rank = best.partition_point(|(_, nearer)| *nearer <= apart);
            if rank < count {
                best.insert(rank, (j, apart));
                best.truncate(count);
            }
        }
        best.into_iter().map(|(j, squared)| (j, squared.sqrt())).collect()
    };
    (0..x.rows()).map(of_row).collect()
}

/// Some rows of an array, in this order.
pub fn rows_of(x: &Array, rows: impl Iterator<Item = usize>) -> Array {
    let mut out = Array { shape: x.shape.clone(), data: vec![] };
    let mut count = 0;
    for row in rows {
        out.data.extend_from_slice(x.row(row));
        count += 1;
    }
    out.shape[0] = count;
    out
}

/// The peak signal-to-noise ratio in decibels, over the values that are not known (over all if every value is known).
pub fn decibels(x: &Array, truth: &Array, known: &[f32], range: (f32, f32)) -> f64 {
    let (low, high) = range;
    let row = x.row_len();
    let lost = known.contains(&0.0);
    let (mut sum, mut count) = (0.0, 0usize);
    for (i, (a, b)) in x.data.iter().zip(&truth.data).enumerate() {
        if !lost || known[i % row] == 0.0 {
            sum += f64::from(a.clamp(low, high) - b).powi(2);
            count += 1;
        }
    }
    10.0 * (f64::from(high - low).powi(2) * count as f64 / sum).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataInfo;
    use crate::loss::LossSpec;
    use crate::nn::{InitSpec, NetworkSpec};
    use crate::objective::gan::GanSpec;
    use crate::objective::{Family as _, Gan, Objective, Request};
    use crate::player::{OptimizerSpec, PlayerSpec};

    /// A generator of images 1×8×8 that nobody trained, with its objective.
    fn generator(latent: &str) -> (Gan, Vec<Player>) {
        let info = DataInfo { range: Some((-1.0, 1.0)), ..DataInfo::new(vec![1, 8, 8]) };
        let spec: GanSpec = toml::from_str(&format!("latent = {latent}")).expect("a spec");
        let network: NetworkSpec =
            toml::from_str("layers = [{ linear = 24 }, 'tanh', { linear = 64 }, 'tanh', { reshape = [1, 8, 8] }]")
                .expect("a network");
        let wiring = spec.wirings(&info).expect("it learns from images").remove(0);
        let player = PlayerSpec {
            name: "generator",
            index: 0,
            plan: network.plan(&wiring, &InitSpec::default()).expect("it fits"),
            optimizers: vec![OptimizerSpec::still()],
            ema: None,
            clip: None,
            history: None,
        };
        let loss: LossSpec = toml::from_str("adversarial = 'hinge'").expect("a loss");
        (Gan::new(&spec, &[&loss], &info, Device::Cpu), vec![Player::new(player, &[7], Device::Cpu)])
    }

    fn drawn(gan: &Gan, n: usize, index: u32) -> Given {
        let request = Request { seeds: &[3], purpose: Purpose::Sample, index, n, label: None, averaged: false };
        Given::of(&gan.provides().latents.expect("a generator").latents(&request))
    }

    #[test]
    fn a_search_finds_what_a_sample_was_where_only_half_of_it_is_known() {
        let (gan, players) = generator("{ normal = { dim = 3 } }");
        let model = Model { decode: &gan, players: &players, averaged: false, device: Device::Cpu };
        let truth = model.images(&drawn(&gan, 5, 0)).x;
        let known = known(MaskKind::Left, &[1, 8, 8]);
        let how = SearchSettings { steps: 200, restarts: 4, rate: 0.1, prior: 0.0 };
        for squares in [false, true] {
            let starts = drawn(&gan, 20, 1);
            let found = model.images(&model.search(&starts, &truth, &known, squares, &how)).x;
            let range = (-1.0, 1.0);
            assert!(decibels(&found, &truth, &known, range) > 40.0, "{}", decibels(&found, &truth, &known, range));
            // None of the starts is close.
            let began = model.images(&Given { z: starts.z.head(5), labels: vec![] }).x;
            assert!(decibels(&began, &truth, &known, range) < 20.0);
        }
        // An unlikely latent costs more where the prior counts, so that what is found is nearer to the mean.
        let length = |prior: f64| {
            let found =
                model.search(&drawn(&gan, 20, 1), &truth, &known, true, &SearchSettings { prior, ..how.clone() });
            found.z.data.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>()
        };
        assert!(length(1.0) < 0.5 * length(0.0));
    }

    #[test]
    fn a_search_stays_within_the_bounds_of_the_law() {
        let (gan, players) = generator("{ uniform = { dim = 3 } }");
        let model = Model { decode: &gan, players: &players, averaged: false, device: Device::Cpu };
        let white = Array::new(vec![2, 1, 8, 8], vec![1.0; 128]);
        let how = SearchSettings { steps: 50, restarts: 3, rate: 0.5, prior: 0.1 };
        let found = model.search(&drawn(&gan, 6, 1), &white, &[1.0; 64], true, &how);
        assert!(found.z.data.iter().all(|v| v.abs() <= 1.0) && found.z.data.contains(&1.0), "{:?}", found.z.data);
    }

    #[test]
    fn paths_go_from_the_first_half_to_the_second() {
        let (gan, players) = generator("{ uniform = { dim = 1 } }");
        let model = Model { decode: &gan, players: &players, averaged: false, device: Device::Cpu };
        let given = Given { z: Array::new(vec![4, 1], vec![-1.0, 0.0, 1.0, 0.5]), labels: vec![4, 5, 6, 7] };
        let paths = model.paths(&given, 3);
        assert_eq!(paths.z.data, [-1.0, 0.0, 1.0, 0.0, 0.25, 0.5]);
        assert_eq!(paths.labels, [4, 4, 4, 5, 5, 5]);
    }

    #[test]
    fn masks_patches_neighbors_and_decibels_are_those_counted_by_hand() {
        let lost = |mask| known(mask, &[1, 4, 4]).iter().map(|k| if *k > 0.0 { '.' } else { 'x' }).collect::<String>();
        assert_eq!(lost(MaskKind::Left), "xx..xx..xx..xx..");
        assert_eq!(lost(MaskKind::Right), "..xx..xx..xx..xx");
        assert_eq!(lost(MaskKind::Top), "xxxxxxxx........");
        assert_eq!(lost(MaskKind::Bottom), "........xxxxxxxx");
        assert_eq!(lost(MaskKind::Center), ".....xx..xx.....");
        let image = |v: [f32; 2]| Array::new(vec![1, 1, 1, 2], v.to_vec());
        assert_eq!(patched(&image([1.0, 2.0]), &image([3.0, 4.0]), &[0.0, 1.0]).data, [3.0, 2.0]);
        let among = Array::new(vec![3, 1, 1, 2], vec![0.0, 3.0, 5.0, 0.0, 1.0, 1.0]);
        assert_eq!(nearest(&image([0.0, 0.0]), &among, &[1.0, 1.0], 2), [[(2, 2f64.sqrt()), (0, 3.0)]]);
        assert_eq!(nearest(&image([0.0, 0.0]), &among, &[1.0, 0.0], 1), [[(0, 0.0)]]);
        // 10 log10(2² / 0.5²), of the first number alone, and 10 log10(2² / 0.25) of both.
        let (x, truth) = (image([0.5, 7.0]), image([0.0, 0.5]));
        assert!((decibels(&x, &truth, &[0.0, 1.0], (-1.0, 1.0)) - 12.041_199_8).abs() < 1e-6);
        assert!((decibels(&x, &truth, &[1.0, 1.0], (-1.0, 1.0)) - 12.041_199_8).abs() < 1e-6);
        assert_eq!(mean_row(&among, &[0, 1]), [2.5, 1.5]);
        let around = scattered(&[1.0, -1.0], 50, 0.25, 0);
        assert!(around.data.chunks(2).all(|v| (v[0] - 1.0).abs() <= 0.25 && (v[1] + 1.0).abs() <= 0.25));
        assert!(around.data.iter().any(|v| (v.abs() - 1.0).abs() > 0.2));
    }
}
