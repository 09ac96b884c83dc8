//! How parameters begin: specs and fans resolved to a distribution, drawn on the host so that a seed gives the same
//! bits on every device.

use super::spec::InitSpec;
use crate::rng::Stream;

/// How one parameter begins, with everything that depends on shapes resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamInit {
    /// The same number everywhere.
    Constant(f64),
    /// U(−bound, bound).
    Uniform {
        /// Half the width.
        bound: f64,
    },
    /// N(mean, std²).
    Normal {
        /// The center.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// A random matrix with orthonormal rows or columns, whichever are fewer, times the gain.
    Orthogonal {
        /// The factor.
        gain: f64,
        /// The length of the parameter's first dimension; the others together are the columns.
        rows: usize,
    },
}

/// The sizes that initializations look at. For transposed convolutions they are swapped, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fans {
    /// Numbers that enter one output.
    pub inputs: usize,
    /// Numbers that one input enters.
    pub outputs: usize,
}

impl ParamInit {
    /// What a spec means for a weight whose first dimension has `rows` entries.
    pub(super) fn weight(spec: InitSpec, fans: Fans, rows: usize) -> Self {
        let (inputs, outputs) = (fans.inputs.max(1) as f64, fans.outputs.max(1) as f64);
        match spec {
            InitSpec::Pytorch => Self::Uniform { bound: 1.0 / inputs.sqrt() },
            InitSpec::Dcgan => Self::Normal { mean: 0.0, std: 0.02 },
            InitSpec::Xavier(spec) => Self::Uniform { bound: spec.gain.get() * (6.0 / (inputs + outputs)).sqrt() },
            InitSpec::He(spec) => Self::Normal { mean: 0.0, std: spec.gain.get() * (2.0 / inputs).sqrt() },
            InitSpec::Orthogonal(spec) => Self::Orthogonal { gain: spec.gain.get(), rows },
            InitSpec::Normal(spec) => Self::Normal { mean: 0.0, std: spec.std.get() },
            InitSpec::Uniform(spec) => Self::Uniform { bound: spec.bound.get() },
        }
    }

    /// What a spec means for a bias.
    pub(super) fn bias(spec: InitSpec, fans: Fans) -> Self {
        if spec == InitSpec::Pytorch { Self::weight(spec, fans, 1) } else { Self::Constant(0.0) }
    }

    /// What a spec means for the gain of a batch norm.
    pub(super) fn norm_gain(spec: InitSpec) -> Self {
        if spec == InitSpec::Dcgan { Self::Normal { mean: 1.0, std: 0.02 } } else { Self::Constant(1.0) }
    }

    /// The root mean square norm of `inputs` numbers that begin like this, where `outputs` such vectors form the weight.
    pub(super) fn typical_norm(self, inputs: usize, outputs: usize) -> f64 {
        let one = match self {
            Self::Constant(value) => value.abs(),
            Self::Uniform { bound } => bound / 3f64.sqrt(),
            Self::Normal { mean, std } => mean.hypot(std),
            // All vectors together hold as many unit lengths as there are orthonormal vectors.
            Self::Orthogonal { gain, .. } => gain / (inputs.max(outputs) as f64).sqrt(),
        };
        one * (inputs as f64).sqrt()
    }

    /// Fills a parameter in row-major order.
    pub(super) fn fill(self, stream: &mut Stream, out: &mut [f32]) {
        #[expect(clippy::cast_possible_truncation, reason = "parameters are 32-bit numbers")]
        match self {
            Self::Constant(value) => out.fill(value as f32),
            Self::Uniform { bound } => stream.fill_uniform(out, -bound as f32, bound as f32),
            Self::Normal { mean, std } => stream.fill_normal(out, mean as f32, std as f32),
            Self::Orthogonal { gain, rows } => orthogonal(stream, out, gain, rows),
        }
    }
}

/// Gram-Schmidt in its modified form over normal vectors, in 64 bits; the result is distributed uniformly.
#[expect(clippy::cast_possible_truncation, reason = "parameters are 32-bit numbers")]
fn orthogonal(stream: &mut Stream, out: &mut [f32], gain: f64, rows: usize) {
    let columns = out.len() / rows.max(1);
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let mut vector: Vec<f64> = (0..length).map(|_| f64::from(stream.normal())).collect();
        for other in &vectors {
            let along = dot(other, &vector);
            for (v, o) in vector.iter_mut().zip(other) {
                *v -= along * o;
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        // A draw that lies in the span of the others by chance is drawn again.
        if norm > 1e-6 {
            vector.iter_mut().for_each(|v| *v /= norm);
            vectors.push(vector);
        }
    }
    for (i, value) in out.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let entry = if rows <= columns { vectors[row][column] } else { vectors[column][row] };
        *value = (gain * entry) as f32;
    }
}

/// The inner product in eight interleaved sums: a fixed order that the compiler can still make fast.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_whole, a_rest) = a.as_chunks::<8>();
    let (b_whole, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{NonNegative, Positive};
    use crate::nn::spec::{BoundSpec, GainSpec, StdSpec};
    use crate::rng::Purpose;

    fn drawn(init: ParamInit, len: usize) -> Vec<f32> {
        let mut out = vec![0.0; len];
        init.fill(&mut Stream::new(3, Purpose::Init, 0, 0), &mut out);
        out
    }

    fn mean_and_std(numbers: &[f32]) -> (f64, f64) {
        let n = numbers.len() as f64;
        let mean = numbers.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        (mean, (numbers.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    // torch.nn.Linear(512, 256).weight.std() = 0.0255 (1/sqrt(3*512)); torch.nn.Conv2d(64, 64, 4): 0.0180 (1/sqrt(3*1024)).
    // xavier_uniform_ on (256, 512): 0.0510; kaiming_normal_(nonlinearity="relu") on (256, 512): 0.0625.
    #[test]
    fn weights_spread_as_in_pytorch() {
        let fans = Fans { inputs: 512, outputs: 256 };
        let gain = GainSpec { gain: Positive::of(1.0) };
        for (spec, fans, std) in [
            (InitSpec::Pytorch, fans, 0.0255),
            (InitSpec::Pytorch, Fans { inputs: 1024, outputs: 1024 }, 0.0180),
            (InitSpec::Dcgan, fans, 0.02),
            (InitSpec::Xavier(gain), fans, 0.0510),
            (InitSpec::He(gain), fans, 0.0625),
            (InitSpec::Normal(StdSpec { std: NonNegative::of(0.3) }), fans, 0.3),
            (InitSpec::Uniform(BoundSpec { bound: NonNegative::of(0.3) }), fans, 0.3 / 3f64.sqrt()),
        ] {
            let numbers = drawn(ParamInit::weight(spec, fans, 512), 131_072);
            let (mean, measured) = mean_and_std(&numbers);
            assert!((measured / std - 1.0).abs() < 0.01, "{spec:?}: {measured} instead of {std}");
            assert!(mean.abs() < std * 0.02, "{spec:?}: a mean of {mean}");
        }
    }

    #[test]
    fn biases_begin_at_zero_but_for_pytorch_and_gains_at_one_but_for_dcgan() {
        let fans = Fans { inputs: 25, outputs: 1 };
        assert_eq!(ParamInit::bias(InitSpec::Pytorch, fans), ParamInit::Uniform { bound: 0.2 });
        assert_eq!(ParamInit::bias(InitSpec::Dcgan, fans), ParamInit::Constant(0.0));
        assert_eq!(ParamInit::norm_gain(InitSpec::Dcgan), ParamInit::Normal { mean: 1.0, std: 0.02 });
        assert_eq!(ParamInit::norm_gain(InitSpec::Pytorch), ParamInit::Constant(1.0));
    }

    #[test]
    fn orthogonal_vectors_are_orthonormal_times_the_gain_in_either_direction() {
        for (rows, columns) in [(5, 12), (12, 5), (7, 7)] {
            let m = drawn(ParamInit::Orthogonal { gain: 2.0, rows }, rows * columns);
            let along_rows = rows <= columns;
            let count = rows.min(columns);
            let entry =
                |v: usize, i: usize| f64::from(if along_rows { m[v * columns + i] } else { m[i * columns + v] });
            for a in 0..count {
                for b in 0..count {
                    let product: f64 = (0..rows.max(columns)).map(|i| entry(a, i) * entry(b, i)).sum();
                    let expected = if a == b { 4.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-5, "{rows}x{columns}: <{a}, {b}> = {product}");
                }
            }
        }
    }

    #[test]
    fn the_norm_that_weight_norm_begins_with_is_the_norm_that_weights_have() {
        for init in [
            ParamInit::Uniform { bound: 0.4 },
            ParamInit::Normal { mean: 0.0, std: 0.3 },
            ParamInit::Orthogonal { gain: 1.5, rows: 64 },
            ParamInit::Orthogonal { gain: 1.5, rows: 16 },
        ] {
            let rows = if let ParamInit::Orthogonal { rows, .. } = init { rows } else { 64 };
            let columns = 1024 / rows;
            let m = drawn(init, 1024);
            let squares = m.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / columns as f64;
            assert!((init.typical_norm(rows, columns) / squares.sqrt() - 1.0).abs() < 0.05, "{init:?}");
        }
    }
}
