//! What nearest neighbors say: precision and recall, density and coverage, the two-sample test. All from three passes over
//! pairs.

use super::rows::{Rows, each_distances};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Precision and recall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PrecisionRecallSpec {
    /// The neighbor that a ball reaches to.
    pub k: NonZeroU32,
}
impl Default for PrecisionRecallSpec {
    fn default() -> Self {
        Self { k: NonZeroU32::new(3).expect("3 is not 0") }
    }
}

/// Density and coverage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DensityCoverageSpec {
    /// The neighbor that a ball reaches to.
    pub k: NonZeroU32,
}
impl Default for DensityCoverageSpec {
    fn default() -> Self {
        Self { k: NonZeroU32::new(5).expect("5 is not 0") }
    }
}

/// Shares, but for the density.
#[derive(Debug)]
pub(super) struct Neighbors {
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) density: f64,
    pub(super) coverage: f64,
    /// Real examples whose nearest other example is real.
    pub(super) real_by_real: f64,
    /// Samples whose nearest other example is a sample.
    pub(super) fake_by_fake: f64,
}

/// Balls reach to neighbor `k` for precision and recall, whose balls are closed as in the paper's code, and to `k_density` for
/// density and coverage, whose balls are open as in theirs. Each side comes with what is [`nearest`] to its rows, as far as
/// that neighbor or further.
pub(super) fn neighbors(
    (real, of_real): (&Rows, &[Vec<f64>]),
    (fake, of_fake): (&Rows, &[Vec<f64>]),
    k: usize,
    k_density: usize,
) -> Neighbors {
    let closed_of_fake: Vec<f64> = of_fake.iter().map(|nearest| nearest[k - 1]).collect();
    let (mut nearest_real, mut in_real) = (vec![f64::INFINITY; fake.count], vec![false; fake.count]);
    let (mut recalled, mut covered, mut hits, mut real_by_real) = (0_usize, 0_usize, 0_usize, 0_usize);
    each_distances(real, fake, |i, row| {
        let (closed, open) = (of_real[i][k - 1], of_real[i][k_density - 1]);
        let (mut nearest_fake, mut in_fake) = (f64::INFINITY, false);
        let of_fake = closed_of_fake.iter().zip(&mut in_real).zip(&mut nearest_real);
        for (&distance, ((&closed_of_fake, in_real), nearest_real)) in row.iter().zip(of_fake) {
            *in_real |= distance <= closed;
            in_fake |= distance <= closed_of_fake;
            hits += usize::from(distance < open);
            nearest_fake = distance.min(nearest_fake);
            *nearest_real = distance.min(*nearest_real);
        }
        recalled += usize::from(in_fake);
        covered += usize::from(nearest_fake < open);
        real_by_real += usize::from(of_real[i][0] < nearest_fake);
    });
    let precise = in_real.into_iter().filter(|&inside| inside).count();
    let fake_by_fake = of_fake.iter().zip(&nearest_real).filter(|(own, other)| own[0] < **other).count();
    let (n, m) = (real.count as f64, fake.count as f64);
    Neighbors {
        precision: precise as f64 / m,
        recall: recalled as f64 / n,
        density: hits as f64 / (k_density as f64 * m),
        coverage: covered as f64 / n,
        real_by_real: real_by_real as f64 / n,
        fake_by_fake: fake_by_fake as f64 / m,
    }
}

/// For each row, the squared distances to its nearest `k` other rows, in order; there are more than `k`.
pub(super) fn nearest(x: &Rows, k: usize) -> Vec<Vec<f64>> {
    let mut all = vec![vec![f64::INFINITY; k]; x.count];
    each_distances(x, x, |i, row| {
        let best = &mut all[i];
        let mut take = |distance: f64| {
            if distance < best[k - 1] {
                let place = best.partition_point(|&nearer| nearer <= distance);
                best.copy_within(place..k - 1, place + 1);
                best[place] = distance;
            }
        };
        row[..i].iter().copied().for_each(&mut take);
        row[i + 1..].iter().copied().for_each(&mut take);
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{all_rows, appendix, close, columns_of, golden, rows_between};

    fn equal(name: &str, found: &Neighbors) {
        let all = [
            ("precision", found.precision),
            ("recall", found.recall),
            ("density", found.density),
            ("coverage", found.coverage),
        ];
        for (what, value) in all {
            close(value, golden(&format!("{what} {name}")), 1e-9);
        }
    }

    fn neighbors(real: &Rows, fake: &Rows, k: usize, k_density: usize) -> Neighbors {
        let far = k.max(k_density);
        super::neighbors((real, &nearest(real, far)), (fake, &nearest(fake, far)), k, k_density)
    }

    #[test]
    fn equals_prdc() {
        let (x, y) = appendix();
        let (x_rows, y_rows) = (all_rows(&x), all_rows(&y));
        equal("3 X Y", &neighbors(&x_rows, &y_rows, 3, 3));
        equal("5 X Y", &neighbors(&x_rows, &y_rows, 5, 5));
        equal("5 X X", &neighbors(&x_rows, &x_rows, 5, 5));
        equal("5 X[:250] X[250:]", &neighbors(&rows_between(&x, 0, 250), &rows_between(&x, 250, 500), 5, 5));
        equal("5 X[:300] Y", &neighbors(&rows_between(&x, 0, 300), &y_rows, 5, 5));
        let line = |x| all_rows(&columns_of(x, 1));
        equal("5 X[:,:1] Y[:,:1]", &neighbors(&line(&x), &line(&y), 5, 5));
        // Different k in one call are those of two calls.
        let both = neighbors(&x_rows, &y_rows, 3, 5);
        close(both.recall, golden("recall 3 X Y"), 1e-9);
        close(both.coverage, golden("coverage 5 X Y"), 1e-9);
    }

    #[test]
    fn the_two_sample_test_equals_scikit_learn_and_sees_copies() {
        let (x, y) = appendix();
        let (x_rows, y_rows) = (all_rows(&x), all_rows(&y));
        let found = neighbors(&x_rows, &y_rows, 1, 1);
        close(found.real_by_real, golden("real by real X Y"), 1e-9);
        close(found.fake_by_fake, golden("fake by fake X Y"), 1e-9);
        let copies = neighbors(&x_rows, &x_rows, 1, 1);
        assert_eq!((copies.real_by_real, copies.fake_by_fake), (0.0, 0.0));
    }
}
