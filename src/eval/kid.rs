//! The kernel distance over subsets.

use super::rows::{Rows, each_products};
use super::{Choice, Context};
use crate::rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::OnceLock;

/// The kernel distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KidSpec {
    /// Random subsets.
    pub subsets: NonZeroU32,
    /// Examples of each side in a subset, without replacement; all where there are fewer.
    pub size: NonZeroU32,
}
impl Default for KidSpec {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).expect("not 0");
        Self { subsets: of(100), size: of(1000) }
    }
}

/// The mean and the deviation over the subsets, their number and their size.
pub(super) struct Kid {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) subsets: usize,
    pub(super) size: usize,
}

/// Over random subsets. Each side has two rows. `within_real` keeps what the real side gives by itself, which is the same for
/// as many samples.
pub(super) fn kid(spec: &KidSpec, real: &Rows, fake: &Rows, within_real: &OnceLock<Vec<f64>>, cx: &Context) -> Kid {
    let size = (spec.size.get() as usize).min(real.count).min(fake.count);
    // Where a subset is all there is, one is enough.
    let subsets = if size == real.count && size == fake.count { 1 } else { spec.subsets.get() as usize };
    let draw = |choice: Choice, rows: usize| -> Vec<Vec<usize>> {
        let place = |s: usize, i: usize| {
            rng::permuted(cx.seed, choice as u64 | (s as u64 + 1) << 32, i as u64, rows as u64) as usize
        };
        (0..subsets).map(|s| (0..size).map(|i| place(s, i)).collect()).collect()
    };
    let (of_real, of_fake) = (draw(Choice::KidReal, real.count), draw(Choice::KidFake, fake.count));
    let within_real = within_real.get_or_init(|| within(real, &of_real));
    let values = distances(real, fake, &of_real, &of_fake, within_real);
    let mean = values.iter().sum::<f64>() / subsets as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / subsets as f64;
    Kid { mean, deviation: variance.sqrt(), subsets, size }
}

/// The unbiased MMD² of each subset: rows of the first side, with what they give by themselves, and as many rows of the second.
fn distances(a: &Rows, b: &Rows, of_a: &[Vec<usize>], of_b: &[Vec<usize>], within_a: &[f64]) -> Vec<f64> {
    let (within_b, between) = (within(b, of_b), sums(a, b, of_a, of_b));
    let value = |s: usize| {
        let m = of_a[s].len() as f64;
        (within_a[s] + within_b[s]) / (m * (m - 1.0)) - 2.0 * between[s] / (m * m)
    };
    (0..of_a.len()).map(value).collect()
}

/// The sum of the kernel over the pairs of different rows of each subset.
fn within(x: &Rows, subsets: &[Vec<usize>]) -> Vec<f64> {
    let diagonal = |places: &Vec<usize>| -> f64 {
        places.iter().map(|&i| kernel(x.row(i).iter().map(|v| v * v).sum(), x.width)).sum()
    };
    sums(x, x, subsets, subsets).into_iter().zip(subsets).map(|(all, places)| all - diagonal(places)).collect()
}

/// The sum, over the pairs of each subset, of the kernel. A row's kernels are worked out once for all subsets: they overlap.
fn sums(a: &Rows, b: &Rows, of_a: &[Vec<usize>], of_b: &[Vec<usize>]) -> Vec<f64> {
    let mut subsets_of = vec![Vec::new(); a.count];
    for (s, places) in of_a.iter().enumerate() {
        places.iter().for_each(|&i| subsets_of[i].push(s));
    }
    let mut sums = vec![0.0; of_a.len()];
    each_products(a, b, |i, row| {
        row.iter_mut().for_each(|value| *value = kernel(*value, a.width));
        for &s in &subsets_of[i] {
            sums[s] += of_b[s].iter().map(|&j| row[j]).sum::<f64>();
        }
    });
    sums
}

fn kernel(product: f64, width: usize) -> f64 {
    let base = product / width as f64 + 1.0;
    base * base * base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{all_rows, appendix, close, golden};

    fn distances(a: &Rows, b: &Rows, of_a: &[Vec<usize>], of_b: &[Vec<usize>]) -> Vec<f64> {
        super::distances(a, b, of_a, of_b, &within(a, of_a))
    }

    #[test]
    fn equals_torch_fidelity() {
        let (x, y) = appendix();
        let (x, y) = (all_rows(&x), all_rows(&y));
        let all = vec![(0..500).collect::<Vec<_>>()];
        close(distances(&x, &y, &all, &all)[0], golden("kid X Y"), 1e-6);
        let (first, second) = ((0..250).collect(), (250..500).collect());
        close(distances(&x, &x, &[first], &[second])[0], golden("kid X[:250] X[250:]"), 1e-6);
    }

    #[test]
    fn subsets_that_overlap_are_each_what_they_would_be_alone() {
        let (x, y) = appendix();
        let places = |step: usize, s: usize| (0..100).map(|i| (step * i + s) % 500).collect::<Vec<_>>();
        let (of_x, of_y): (Vec<_>, Vec<_>) = (0..3).map(|s| (places(7, s), places(3, s))).unzip();
        for (s, value) in distances(&all_rows(&x), &all_rows(&y), &of_x, &of_y).into_iter().enumerate() {
            close(value, golden(&format!("kid subset {s}")), 1e-6);
        }
    }
}
