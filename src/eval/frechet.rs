//! The Fréchet distance between two Gaussians.

use super::rows::Rows;
use nalgebra::{DMatrix, DVector};

/// Rows that are centered at once.
const CHUNK: usize = 1024;
/// Columns of a covariance that are worked out at once.
const BAND: usize = 256;

/// |m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁ S₂)^½) of the rows' means and covariances (n − 1 in the denominator). NaN where the
/// numbers are too large for it; each side has two rows.
///
/// With S = F Fᵀ the eigenvalues of S₁ S₂ are those of G Gᵀ with G = F₁ᵀ F₂, which is symmetric, so that their roots are
/// real, and what rounding puts below 0 is 0. A singular S has an F with fewer columns: nothing is added to a diagonal.
pub(super) fn distance(Moments(mean_a, a): &Moments, Moments(mean_b, b): &Moments) -> f64 {
    let (narrow, wide) = if a.ncols() < b.ncols() { (a, b) } else { (b, a) };
    let between = narrow.transpose() * wide;
    let product = &between * between.transpose();
    if product.iter().any(|v| !v.is_finite()) {
        return f64::NAN;
    }
    // Rows that are all alike have no F.
    let roots: f64 =
        if product.is_empty() { 0.0 } else { product.symmetric_eigenvalues().iter().map(|v| v.max(0.0).sqrt()).sum() };
    (mean_a - mean_b).norm_squared() + a.norm_squared() + b.norm_squared() - 2.0 * roots
}

/// The mean of rows, and F of their covariance: the centered rows themselves where they are fewer than its columns.
pub(super) struct Moments(DVector<f64>, DMatrix<f64>);

impl Moments {
    pub(super) fn of(x: &Rows) -> Self {
        let mean = x.columns(0, x.count).column_mean();
        let scale = 1.0 / ((x.count - 1) as f64).sqrt();
        let centered = |from: usize, to: usize| {
            let mut centered = x.columns(from, to).into_owned();
            centered.column_iter_mut().for_each(|mut row| row -= &mean);
            centered * scale
        };
        if x.count <= x.width {
            let all = centered(0, x.count);
            return Self(mean, all);
        }
        let mut covariance = DMatrix::zeros(x.width, x.width);
        for first in (0..x.count).step_by(CHUNK) {
            let centered = centered(first, x.count.min(first + CHUNK));
            let transposed = centered.transpose();
            // The upper triangle, band by band: half of the work.
            for left in (0..x.width).step_by(BAND) {
                let right = x.width.min(left + BAND);
                let mut band = covariance.view_mut((0, left), (right, right - left));
                band.gemm(1.0, &centered.rows(0, right), &transposed.columns(left, right - left), 1.0);
            }
        }
        covariance.fill_lower_triangle_with_upper_triangle();
        Self(mean, root(&covariance))
    }
}

/// F with F Fᵀ = S for a symmetric S without negative eigenvalues: Cholesky's with the largest pivot next, which ends where
/// what is left is rounding.
fn root(s: &DMatrix<f64>) -> DMatrix<f64> {
    let width = s.nrows();
    let mut left = s.diagonal();
    let enough = left.max() * width as f64 * f64::EPSILON;
    let mut root = DMatrix::zeros(width, width);
    for k in 0..width {
        let (at, pivot) = left.argmax();
        if pivot <= enough {
            return root.columns(0, k).into_owned();
        }
        let (done, mut rest) = root.columns_range_pair_mut(0..k, k..=k);
        let mut column = rest.column_mut(0);
        column.copy_from(&s.column(at));
        column.gemv(-1.0, &done, &done.row(at).transpose(), 1.0);
        column /= pivot.sqrt();
        for (left, value) in left.iter_mut().zip(&column) {
            *left -= value * value;
        }
        left[at] = 0.0;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{all_rows, appendix, close, columns_of, golden, rows_between};

    fn distance(a: &Rows, b: &Rows) -> f64 {
        super::distance(&Moments::of(a), &Moments::of(b))
    }

    #[test]
    fn equals_torch_fidelity() {
        let (x, y) = appendix();
        close(distance(&all_rows(&x), &all_rows(&y)), golden("frechet X Y"), 1e-6);
        let narrow = |x| all_rows(&columns_of(x, 2));
        close(distance(&narrow(&x), &narrow(&y)), golden("frechet X[:,:2] Y[:,:2]"), 1e-6);
        // Both ways round, and of the halves of one set, where the distance is nothing but bias.
        close(distance(&all_rows(&y), &all_rows(&x)), golden("frechet X Y"), 1e-6);
        let halves = [rows_between(&x, 0, 250), rows_between(&x, 250, 500)];
        close(distance(&halves[0], &halves[1]), golden("frechet X[:250] X[250:]"), 1e-6);
    }

    #[test]
    fn fewer_rows_than_features_are_no_trouble() {
        let (x, y) = appendix();
        let (few_x, few_y) = (rows_between(&x, 0, 6), rows_between(&y, 0, 6));
        close(distance(&few_x, &few_y), golden("frechet X[:6] Y[:6]"), 2e-6);
        close(distance(&few_x, &few_x), 0.0, 1e-6);
        // All rows alike: the covariance is 0, and the distance that of the means and the other's trace.
        let point = Rows { count: 3, width: 8, data: vec![0.5; 24] };
        close(distance(&point, &all_rows(&x)), golden("frechet point X"), 1e-6);
        close(distance(&all_rows(&x), &point), golden("frechet point X"), 1e-6);
    }

    #[test]
    fn equal_rows_are_at_distance_zero() {
        let x = all_rows(&appendix().0);
        close(distance(&x, &x), 0.0, 1e-12);
    }

    #[test]
    fn a_root_times_itself_is_the_matrix_and_has_as_many_columns_as_its_rank() {
        let few = Moments::of(&rows_between(&appendix().0, 0, 4)).1;
        let covariance = &few * few.transpose();
        let root = root(&covariance);
        assert_eq!((few.ncols(), root.ncols()), (4, 3));
        close((&root * root.transpose() - covariance).norm(), 0.0, 1e-14);
    }
}
