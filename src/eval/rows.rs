//! Rows of double-precision numbers, and all products and distances between two sets of them. Everything goes through
//! matrix products, tile by tile: no table of all pairs is ever held.

use crate::base::{Array, host};
use nalgebra::{DMatrix, DMatrixView};
use tch::{Kind, Tensor};

/// Rows of which all products with the other side are worked out at once.
const TILE: usize = 128;

/// Rows of numbers, one after the other.
pub(super) struct Rows {
    pub(super) count: usize,
    pub(super) width: usize,
    pub(super) data: Vec<f64>,
}

impl Rows {
    /// Some rows of an array, in this order.
    pub(super) fn of(x: &Array, places: &[usize]) -> Self {
        let data = places.iter().flat_map(|&i| x.row(i)).map(|&v| f64::from(v)).collect();
        Self { count: places.len(), width: x.row_len(), data }
    }

    /// No rows yet.
    pub(super) fn empty() -> Self {
        Self { count: 0, width: 0, data: vec![] }
    }

    /// More rows, of what a network says `[n, …]`.
    pub(super) fn extend(&mut self, more: &Tensor) {
        let numbers = host::numbers(&more.to_kind(Kind::Float));
        self.count += more.size()[0] as usize;
        self.data.extend(numbers.into_iter().map(f64::from));
        self.width = self.data.len() / self.count.max(1);
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    /// Rows `from..to` as the columns of a matrix.
    pub(super) fn columns(&self, from: usize, to: usize) -> DMatrixView<'_, f64> {
        DMatrixView::from_slice(&self.data[from * self.width..to * self.width], self.width, to - from)
    }

    /// The sum of squares of each row.
    fn squares(&self) -> Vec<f64> {
        (0..self.count).map(|i| self.row(i).iter().map(|v| v * v).sum()).collect()
    }

    /// Whether all of them are numbers.
    pub(super) fn are_finite(&self) -> bool {
        self.data.iter().all(|v| v.is_finite())
    }
}

/// Visits `(i, products)` for each row `i` of `a`: its products with all rows of `b`, which may be changed.
pub(super) fn each_products(a: &Rows, b: &Rows, mut visit: impl FnMut(usize, &mut [f64])) {
    // A copy: of a view whose rows are not side by side, nalgebra 0.35 reads outside where the other side has few rows.
    let b = b.columns(0, b.count).transpose();
    let mut tile = DMatrix::zeros(b.nrows(), TILE.min(a.count));
    for first in (0..a.count).step_by(TILE) {
        let last = a.count.min(first + TILE);
        let mut tile = tile.columns_mut(0, last - first);
        tile.gemm(1.0, &b, &a.columns(first, last), 0.0);
        for (k, mut column) in tile.column_iter_mut().enumerate() {
            visit(first + k, column.as_mut_slice());
        }
    }
}

/// Visits `(i, squared distances)` for each row `i` of `a`: those to all rows of `b`.
pub(super) fn each_distances(a: &Rows, b: &Rows, mut visit: impl FnMut(usize, &[f64])) {
    let (of_a, of_b) = (a.squares(), b.squares());
    each_products(a, b, |i, row| {
        for (value, square) in row.iter_mut().zip(&of_b) {
            *value = (of_a[i] + square - 2.0 * *value).max(0.0);
        }
        visit(i, row);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{all_rows, appendix, close};

    #[test]
    fn products_and_distances_are_those_of_a_loop_for_every_row() {
        let (x, y) = appendix();
        for (n, m) in [(1, 1), (3, 500), (131, 7), (300, 9)] {
            let (a, b) = (all_rows(&x.head(n)), all_rows(&y.head(m)));
            let mut seen = 0;
            each_distances(&a, &b, |i, row| {
                assert_eq!((i, row.len()), (seen, m));
                seen += 1;
                for (j, value) in row.iter().enumerate() {
                    let plain: f64 = a.row(i).iter().zip(b.row(j)).map(|(a, b)| (a - b).powi(2)).sum();
                    close(*value, plain, 1e-12);
                }
            });
            assert_eq!(seen, n);
        }
    }
}
