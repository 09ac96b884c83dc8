//! What the tests of the layers share: networks from text, parameters for a pack, noise by seed, numbers to compare.

use super::{Head, Mode, NetworkPlan, NetworkSpec, Noise, Output, Role, Wiring};
use crate::base::Problem;
use crate::rng::{Purpose, Stream};
use tch::{Kind, Tensor};

/// The network that a piece of TOML says.
pub(super) fn network(toml: &str) -> NetworkSpec {
    #[derive(serde::Deserialize)]
    struct File {
        network: NetworkSpec,
    }
    let file: File = toml::from_str(&format!("network = {toml}")).expect("the test's TOML is right");
    file.network
}

/// Data to one number, without labels.
pub(super) fn discriminator(input: &[usize]) -> Wiring {
    Wiring {
        role: Role::Discriminator,
        input: input.to_vec(),
        output: vec![1],
        classes: 0,
        labels_at_input: false,
        head: Head::Plain,
    }
}

/// Numbers to data, without labels.
pub(super) fn generator(latent: usize, output: &[usize]) -> Wiring {
    Wiring { role: Role::Generator, input: vec![latent], output: output.to_vec(), ..discriminator(&[]) }
}

pub(super) fn planned(toml: &str, wiring: &Wiring) -> Result<NetworkPlan, Vec<Problem>> {
    network(toml).plan(wiring, &super::InitSpec::Pytorch)
}

/// A pack's parameters: what is learned lies in one leaf `[R, …]`, as players keep it; an odd offset before each
/// parameter makes alignment as bad as it can be.
pub(super) struct Pack {
    pub flat: Tensor,
    pub params: Vec<Tensor>,
}

pub(super) fn pack(plan: &NetworkPlan, seeds: &[u64]) -> Pack {
    let mut rows = Vec::new();
    let mut buffers: Vec<Vec<f32>> = vec![Vec::new(); plan.params.len()];
    for &seed in seeds {
        let mut stream = Stream::new(seed, Purpose::Init, 0, 0);
        for (param, buffer) in plan.params.iter().zip(&mut buffers) {
            let mut numbers = vec![0.0; param.len()];
            param.fill(&mut stream, &mut numbers);
            if param.learned {
                rows.push(0.0);
                rows.extend(numbers);
            } else {
                buffer.extend(numbers);
            }
        }
    }
    let runs = seeds.len() as i64;
    let flat = Tensor::from_slice(&rows).view([runs, -1]).set_requires_grad(true);
    let mut at = 0;
    let params = (plan.params.iter().zip(&buffers))
        .map(|(param, buffer)| {
            let mut shape = vec![runs];
            shape.extend(param.shape.iter().map(|&n| n as i64));
            if param.learned {
                at += 1 + param.len() as i64;
                flat.narrow(1, at - param.len() as i64, param.len() as i64).view(&shape[..])
            } else {
                Tensor::from_slice(buffer).view(&shape[..])
            }
        })
        .collect();
    Pack { flat, params }
}

/// Noise that each run draws from its own seed.
pub(super) struct Seeded {
    seeds: Vec<u64>,
    drawn: u32,
}

impl Seeded {
    pub(super) fn new(seeds: &[u64]) -> Self {
        Self { seeds: seeds.to_vec(), drawn: 0 }
    }

    fn draw(&mut self, shape: &[i64], fill: impl Fn(&mut Stream, &mut [f32])) -> Tensor {
        let len = shape.iter().product::<i64>() as usize;
        let mut all = vec![0.0; len * self.seeds.len()];
        for (seed, numbers) in self.seeds.iter().zip(all.chunks_mut(len)) {
            fill(&mut Stream::new(*seed, Purpose::Noise, self.drawn, 0), numbers);
        }
        self.drawn += 1;
        let mut whole = vec![self.seeds.len() as i64];
        whole.extend(shape);
        Tensor::from_slice(&all).view(&whole[..])
    }
}

impl Noise for Seeded {
    fn uniform(&mut self, shape_of_one_run: &[i64]) -> Tensor {
        self.draw(shape_of_one_run, |stream, out| stream.fill_uniform(out, 0.0, 1.0))
    }

    fn normal(&mut self, shape_of_one_run: &[i64]) -> Tensor {
        self.draw(shape_of_one_run, |stream, out| stream.fill_normal(out, 0.0, 1.0))
    }
}

/// Inputs `[R, B, …]`, each run's from its own seed.
pub(super) fn inputs(seeds: &[u64], batch: usize, shape: &[usize]) -> Tensor {
    let mut one = vec![batch as i64];
    one.extend(shape.iter().map(|&n| n as i64));
    Seeded { seeds: seeds.iter().map(|seed| seed + 1000).collect(), drawn: 0 }.normal(&one)
}

/// What the network says with noise from the seeds; `slopes` as in [`Mode`].
pub(super) fn said(
    plan: &NetworkPlan,
    params: &[Tensor],
    x: &Tensor,
    labels: Option<&Tensor>,
    seeds: &[u64],
    train: bool,
    slopes: bool,
) -> Output {
    plan.forward(params, x, labels, &mut Mode { train, parts: 1, slopes, twin: false, noise: &mut Seeded::new(seeds) })
}

/// The numbers of a tensor in row-major order.
pub(super) fn numbers(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.detach().to_kind(Kind::Float).contiguous().view([-1])).expect("a tensor of numbers")
}

/// A tensor over the given numbers.
pub(super) fn tensor(numbers: &[f32], shape: &[i64]) -> Tensor {
    Tensor::from_slice(numbers).view(shape)
}

/// Fails unless the tensor has the given numbers, up to rounding.
pub(super) fn assert_near(x: &Tensor, expected: &[f32]) {
    let found = numbers(x);
    assert_eq!(found.len(), expected.len(), "{found:?} instead of {expected:?}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "number {i} is {a} instead of {b}: {found:?}");
    }
}
