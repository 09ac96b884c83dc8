//! Products of matrices in host memory, with what a layer does after them, by one core.
//!
//! libtorch's products cost a call, a tensor and a pass over memory for each thing that comes before and after. Here
//! transposed operands are read as they lie, bias and activation are done while the sums are in registers, and the place of
//! the result is the caller's.

use std::cell::RefCell;

/// Rows to read, with strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    of_row: usize,
    of_column: usize,
}

impl<'a> Matrix<'a> {
    /// Numbers row by row.
    ///
    /// # Panics
    /// If there are not as many as that is.
    pub fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns, "a matrix of {rows} × {columns}");
        Self { numbers, rows, columns, of_row: columns, of_column: 1 }
    }

    /// Rows as columns; nothing is moved.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, of_row: self.of_column, of_column: self.of_row, ..self }
    }
}

/// What is done to the numbers of a product.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finish<'a> {
    /// Added to every row.
    pub bias: Option<&'a [f32]>,
    /// Applied then.
    pub gate: Option<Gate<'a>>,
}

/// A number as it is, or times `slope` where another is not above zero.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// The others, as many; the number itself where there are none.
    pub by: Option<&'a [f32]>,
    /// 0 for relu.
    pub slope: f32,
}

/// Whether this processor has the instructions.
pub fn is_here() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f")
        || (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"));
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// out = finish(a·b), row by row.
///
/// # Panics
/// If shapes differ, or [`is_here`] says no.
pub fn product(a: Matrix<'_>, b: Matrix<'_>, finish: Finish<'_>, out: &mut [f32]) {
    assert_eq!(a.columns, b.rows, "a product of matrices");
    assert_eq!(out.len(), a.rows * b.columns, "the place of a product");
    assert!(finish.bias.is_none_or(|bias| bias.len() == b.columns), "a bias for every column");
    let by = finish.gate.and_then(|gate| gate.by);
    assert!(by.is_none_or(|by| by.len() == out.len()), "a gate for every number");
    as_detected(a, b, finish, out);
}

/// The sum of rows as long as `out`.
pub fn sum_of_rows(numbers: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    widely(|| {
        for row in numbers.chunks_exact(out.len()) {
            for (sum, number) in out.iter_mut().zip(row) {
                *sum += number;
            }
        }
    });
}

/// Passes numbers through a gate, from one place to another.
pub fn gated(numbers: &[f32], by: &[f32], slope: f32, out: &mut [f32]) {
    widely(|| {
        for ((out, &number), &by) in out.iter_mut().zip(numbers).zip(by) {
            let low = if slope == 0.0 { 0.0 } else { slope * number };
            *out = if by <= 0.0 { low } else { number };
        }
    });
}

/// Does work that is compiled for registers of eight numbers where there are some.
#[inline(always)]
fn widely(work: impl FnOnce()) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide(work: impl FnOnce()) {
            work();
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has been asked.
            #[expect(unsafe_code, reason = "instructions that not every processor of this target has")]
            return unsafe { wide(work) };
        }
    }
    work();
}

/// Numbers of a block of columns, packed so that a pass reads them one after the other.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read as plain numbers")] [f32; 16]);

thread_local! {
    static PANEL: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

#[cfg(not(target_arch = "x86_64"))]
fn as_detected(_: Matrix<'_>, _: Matrix<'_>, _: Finish<'_>, _: &mut [f32]) {
    unreachable!("`is_here` says no");
}

#[cfg(target_arch = "x86_64")]
fn as_detected(a: Matrix<'_>, b: Matrix<'_>, finish: Finish<'_>, out: &mut [f32]) {
    // One column is read faster as one row.
    let (a, b) = if b.columns == 1 && a.of_row == 1 && finish.bias.is_none() && finish.gate.is_none() {
        (b.transposed(), a.transposed())
    } else {
        (a, b)
    };
    PANEL.with_borrow_mut(|panel| {
        let wide = is_x86_feature_detected!("avx512f");
        assert!(wide || is_here(), "instructions that this processor lacks");
        let most = 16 * 3 * INNER.max(b.rows);
        if panel.len() * 16 < most {
            panel.resize(most.div_ceil(16), Line([0.0; 16]));
        }
        // SAFETY: the lines are numbers and nothing else; the processor has been asked.
        #[expect(unsafe_code, reason = "instructions that not every processor of this target has")]
        unsafe {
            let panel = std::slice::from_raw_parts_mut(panel.as_mut_ptr().cast::<f32>(), panel.len() * 16);
            if wide { avx512::product(a, b, finish, out, panel) } else { avx2::product(a, b, finish, out, panel) }
        }
    });
}

/// The most terms of a sum before the next columns: three registers' width of so many rows stay in the first cache.
#[cfg(target_arch = "x86_64")]
const INNER: usize = 192;

/// What is the same for registers of any width.
#[cfg(target_arch = "x86_64")]
macro_rules! kernels {
    ($feature:literal, $lanes:literal, $rows:literal) => {
        const LANES: usize = $lanes;

        #[target_feature(enable = $feature)]
        pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>, finish: Finish<'_>, out: &mut [f32], panel: &mut [f32]) {
            if b.columns <= 4 && a.of_column == 1 {
                return dots(a, b, finish, out, panel);
            }
            let parts = a.columns.div_ceil(INNER).max(1);
            let inner = a.columns.div_ceil(parts);
            for part in 0..parts {
                let terms = part * inner..((part + 1) * inner).min(a.columns);
                let mut block = Block { a, finish, terms, last: part + 1 == parts, columns: b.columns, first: 0 };
                while block.first < b.columns {
                    let left = (b.columns - block.first).div_ceil(LANES);
                    // Four registers' width is done as two and two, as one alone has too few sums.
                    match left {
                        1 => block.all_rows::<1>(b, out, panel),
                        2 | 4 => block.all_rows::<2>(b, out, panel),
                        _ => block.all_rows::<3>(b, out, panel),
                    }
                }
            }
        }

        /// Some columns of a product, and some terms of their sums.
        struct Block<'a> {
            a: Matrix<'a>,
            finish: Finish<'a>,
            terms: std::ops::Range<usize>,
            /// Whether no terms come after.
            last: bool,
            columns: usize,
            /// The first of the columns.
            first: usize,
        }

        impl Block<'_> {
            #[target_feature(enable = $feature)]
            fn all_rows<const C: usize>(&mut self, b: Matrix<'_>, out: &mut [f32], panel: &mut [f32]) {
                let width = C * LANES;
                let count = width.min(self.columns - self.first);
                let panel = &mut panel[..self.terms.len() * width];
                if b.of_column == 1 {
                    for (k, row) in self.terms.clone().zip(panel.chunks_exact_mut(width)) {
                        let from = &b.numbers[k * b.of_row + self.first..][..count];
                        if count == width {
                            row.copy_from_slice(&from[..width]);
                        } else {
                            row[..count].copy_from_slice(from);
                            row[count..].fill(0.0);
                        }
                    }
                } else {
                    if count < width {
                        panel.fill(0.0);
                    }
                    // Squares of eight by eight as long as there are any.
                    let whole = if b.of_row == 1 { [count / 8 * 8, self.terms.len() / 8 * 8] } else { [0, 0] };
                    for column in (0..whole[0]).step_by(8) {
                        let from = &b.numbers[(self.first + column) * b.of_column + self.terms.start..];
                        for k in (0..whole[1]).step_by(8) {
                            transpose(&from[k..], b.of_column, &mut panel[k * width + column..], width);
                        }
                    }
                    for column in 0..count {
                        let done = if column < whole[0] { whole[1] } else { 0 };
                        let from = &b.numbers[(self.first + column) * b.of_column..];
                        let from = from[(self.terms.start + done) * b.of_row..].iter().step_by(b.of_row);
                        for (row, &number) in panel[done * width..].chunks_exact_mut(width).zip(from) {
                            row[column] = number;
                        }
                    }
                }
                let mut row = 0;
                while row < self.a.rows {
                    row += match self.a.rows - row {
                        left if left >= $rows => self.tile::<$rows, C>(row, out, panel),
                        left if left >= 4 => self.tile::<4, C>(row, out, panel),
                        left if left >= 2 => self.tile::<2, C>(row, out, panel),
                        _ => self.tile::<1, C>(row, out, panel),
                    };
                }
                self.first += width;
            }

            /// Rows `row` to `row + R`; gives R.
            #[target_feature(enable = $feature)]
            fn tile<const R: usize, const C: usize>(&self, row: usize, out: &mut [f32], panel: &[f32]) -> usize {
                let Self { a, finish, terms, columns, first, last } = self;
                let (columns, first) = (*columns, *first);
                let furthest = (row + R - 1) * a.of_row + terms.end.saturating_sub(1) * a.of_column;
                assert!(terms.is_empty() || furthest < a.numbers.len(), "rows of a matrix");
                assert_eq!(panel.len(), terms.len() * C * LANES, "rows of a panel");
                let count = |c: usize| LANES.min(columns.saturating_sub(first + c * LANES));
                let mut sums = [[zero(); C]; R];
                let bias = if terms.start == 0 { finish.bias } else { None };
                for c in 0..C {
                    let (at, n) = (first + c * LANES, count(c));
                    if let Some(bias) = bias {
                        let bias = some(&bias[at..][..n]);
                        sums.iter_mut().for_each(|sums| sums[c] = bias);
                    } else if terms.start > 0 {
                        for (r, sums) in sums.iter_mut().enumerate() {
                            sums[c] = some(&out[(row + r) * columns + at..][..n]);
                        }
                    }
                }
                // SAFETY: what is read lies before `furthest`, and in the panel.
                #[expect(unsafe_code, reason = "bounds would be checked for every number")]
                unsafe {
                    let from = a.numbers.as_ptr().add(row * a.of_row + terms.start * a.of_column);
                    add_up(from, a.of_row, a.of_column, panel.as_ptr(), terms.len(), &mut sums);
                }
                let place = row * columns + first;
                let out = &mut out[place..(row + R - 1) * columns + columns.min(first + C * LANES)];
                match finish.gate.filter(|_| *last) {
                    None => write(&sums, columns, count(C - 1), out, |sum, _, _| sum),
                    Some(Gate { by: None, slope }) => {
                        write(&sums, columns, count(C - 1), out, |sum, _, _| gate(sum, sum, slope))
                    }
                    Some(Gate { by: Some(by), slope }) => {
                        let by = &by[place..][..out.len()];
                        let gated = |sum, at: usize, n: usize| gate(sum, some(&by[at..][..n]), slope);
                        write(&sums, columns, count(C - 1), out, gated)
                    }
                }
                R
            }
        }

        /// Puts rows of sums where they belong, of the last register `n` numbers.
        #[target_feature(enable = $feature)]
        #[inline]
        fn write<const R: usize, const C: usize>(
            sums: &[[Vector; C]; R],
            columns: usize,
            n: usize,
            out: &mut [f32],
            finish: impl Fn(Vector, usize, usize) -> Vector,
        ) {
            for (r, sums) in sums.iter().enumerate() {
                for (c, &sum) in sums.iter().enumerate() {
                    let (at, n) = (r * columns + c * LANES, if c + 1 == C { n } else { LANES });
                    put(finish(sum, at, n), &mut out[at..][..n]);
                }
            }
        }

        /// Adds the terms to the sums. A function of its own, and a copy: so the sums are registers all the while.
        ///
        /// # Safety
        /// Rows of `from` and lines of the panel are there.
        #[target_feature(enable = $feature)]
        #[inline(never)]
        #[expect(unsafe_code, reason = "bounds would be checked for every number")]
        unsafe fn add_up<const R: usize, const C: usize>(
            mut from: *const f32,
            of_row: usize,
            of_term: usize,
            mut panel: *const f32,
            terms: usize,
            all: &mut [[Vector; C]; R],
        ) {
            let mut sums = *all;
            // What is read next: rows of memory some terms ahead, or the next rows of a matrix, which follow these.
            let (mut next, of_next) = if of_term == 1 {
                (from.wrapping_add(R * of_row), R)
            } else {
                (from.wrapping_add(24 * of_term), of_term)
            };
            for _ in 0..terms {
                _mm_prefetch::<_MM_HINT_T0>(next.cast());
                next = next.wrapping_add(of_next);
                // SAFETY: the caller's.
                unsafe {
                    let mut b = [zero(); C];
                    for c in 0..C {
                        b[c] = load(panel.add(c * LANES));
                    }
                    for r in 0..R {
                        let x = splat(*from.add(r * of_row));
                        for c in 0..C {
                            sums[r][c] = multiply_add(x, b[c], sums[r][c]);
                        }
                    }
                }
                (from, panel) = (from.wrapping_add(of_term), panel.wrapping_add(C * LANES));
            }
            *all = sums;
        }

        /// A product of few columns: each number is a sum along two rows of memory.
        #[target_feature(enable = $feature)]
        fn dots(a: Matrix<'_>, b: Matrix<'_>, finish: Finish<'_>, out: &mut [f32], panel: &mut [f32]) {
            let terms = a.columns;
            for column in 0..b.columns {
                for (k, number) in panel[column * terms..][..terms].iter_mut().enumerate() {
                    *number = b.numbers[k * b.of_row + column * b.of_column];
                }
            }
            for (row, out) in out.chunks_exact_mut(b.columns.max(1)).enumerate() {
                let x = &a.numbers[row * a.of_row..][..terms];
                for (column, place) in out.iter_mut().enumerate() {
                    let (xs, ws) = (x.chunks(LANES), panel[column * terms..][..terms].chunks(LANES));
                    let mut sum = zero();
                    for (x, w) in xs.zip(ws) {
                        sum = multiply_add(some(x), some(w), sum);
                    }
                    *place = total(sum) + finish.bias.map_or(0.0, |bias| bias[column]);
                }
                if let Some(Gate { by, slope }) = finish.gate {
                    for (column, place) in out.iter_mut().enumerate() {
                        let by = by.map_or(*place, |by| by[row * b.columns + column]);
                        if by <= 0.0 {
                            *place = if slope == 0.0 { 0.0 } else { slope * *place };
                        }
                    }
                }
            }
        }

        /// The numbers, and zeros up to a register's width.
        #[target_feature(enable = $feature)]
        #[inline]
        fn some(numbers: &[f32]) -> Vector {
            if numbers.len() >= LANES {
                // SAFETY: they are as many.
                #[expect(unsafe_code, reason = "a register from memory")]
                return unsafe { load(numbers.as_ptr()) };
            }
            let mut all = [0.0; LANES];
            all[..numbers.len()].copy_from_slice(numbers);
            // SAFETY: an array of as many.
            #[expect(unsafe_code, reason = "a register from memory")]
            unsafe {
                load(all.as_ptr())
            }
        }

        /// As many numbers as there is place for.
        #[target_feature(enable = $feature)]
        #[inline]
        fn put(numbers: Vector, out: &mut [f32]) {
            // SAFETY: both places are as large as a register.
            #[expect(unsafe_code, reason = "a register into memory")]
            unsafe {
                if out.len() >= LANES {
                    return store(out.as_mut_ptr(), numbers);
                }
                let mut all = [0.0; LANES];
                store(all.as_mut_ptr(), numbers);
                out.copy_from_slice(&all[..out.len()]);
            }
        }

        #[target_feature(enable = $feature)]
        #[inline]
        fn gate(x: Vector, by: Vector, slope: f32) -> Vector {
            let low = if slope == 0.0 { zero() } else { multiply_add(x, splat(slope), zero()) };
            unless_above_zero(by, low, x)
        }
    };
}

/// Eight rows of eight numbers as columns. `from` and `to` have rows that far apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
fn transpose(from: &[f32], of_from: usize, to: &mut [f32], of_to: usize) {
    use std::arch::x86_64::{
        _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_storeu_ps,
        _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    let mut rows = [_mm256_setzero_ps(); 8];
    for (r, row) in rows.iter_mut().enumerate() {
        // SAFETY: a slice of eight.
        #[expect(unsafe_code, reason = "a register from memory")]
        unsafe {
            *row = _mm256_loadu_ps(from[r * of_from..][..8].as_ptr());
        }
    }
    // Pairs of rows, then fours, then halves of registers.
    let mut fours = [_mm256_setzero_ps(); 8];
    for half in [0, 4] {
        let low = [0, 2].map(|r| _mm256_unpacklo_ps(rows[half + r], rows[half + r + 1]));
        let high = [0, 2].map(|r| _mm256_unpackhi_ps(rows[half + r], rows[half + r + 1]));
        fours[half] = _mm256_shuffle_ps::<0x44>(low[0], low[1]);
        fours[half + 1] = _mm256_shuffle_ps::<0xEE>(low[0], low[1]);
        fours[half + 2] = _mm256_shuffle_ps::<0x44>(high[0], high[1]);
        fours[half + 3] = _mm256_shuffle_ps::<0xEE>(high[0], high[1]);
    }
    for k in 0..8 {
        let (a, b) = (fours[k % 4], fours[k % 4 + 4]);
        let column = if k < 4 { _mm256_permute2f128_ps::<0x20>(a, b) } else { _mm256_permute2f128_ps::<0x31>(a, b) };
        // SAFETY: a slice of eight.
        #[expect(unsafe_code, reason = "a register into memory")]
        unsafe {
            _mm256_storeu_ps(to[k * of_to..][..8].as_mut_ptr(), column);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Finish, Gate, INNER, Matrix, transpose};
    use std::arch::x86_64::{
        __m512 as Vector, _CMP_LE_OQ, _MM_HINT_T0, _mm_prefetch, _mm512_cmp_ps_mask, _mm512_fmadd_ps as multiply_add,
        _mm512_loadu_ps as load, _mm512_mask_blend_ps, _mm512_reduce_add_ps as total, _mm512_set1_ps as splat,
        _mm512_setzero_ps as zero, _mm512_storeu_ps as store,
    };

    kernels!("avx512f", 16, 8);

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn unless_above_zero(by: Vector, low: Vector, x: Vector) -> Vector {
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(by, zero()), x, low)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Finish, Gate, INNER, Matrix, transpose};
    use std::arch::x86_64::{
        __m256 as Vector, _CMP_LE_OQ, _MM_HINT_T0, _mm_prefetch, _mm256_blendv_ps, _mm256_cmp_ps,
        _mm256_fmadd_ps as multiply_add, _mm256_loadu_ps as load, _mm256_set1_ps as splat, _mm256_setzero_ps as zero,
        _mm256_storeu_ps as store,
    };

    kernels!("avx2,fma", 8, 4);

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn unless_above_zero(by: Vector, low: Vector, x: Vector) -> Vector {
        _mm256_blendv_ps(x, low, _mm256_cmp_ps::<_CMP_LE_OQ>(by, zero()))
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn total(x: Vector) -> f32 {
        let mut all = [0.0; 8];
        put(x, &mut all);
        ((all[0] + all[4]) + (all[2] + all[6])) + ((all[1] + all[5]) + (all[3] + all[7]))
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn numbers(n: usize, phase: f64) -> Vec<f32> {
        (0..n).map(|i| (phase + 0.7 * i as f64).sin() as f32).collect()
    }

    /// Against sums in float64, with registers of both widths where the processor has them.
    #[test]
    fn products_of_any_shape_are_what_they_should_be() {
        for (m, k, n) in [(1, 1, 1), (9, 2, 130), (21, 200, 1), (15, 33, 3), (8, 500, 48), (30, 17, 77), (3, 64, 64)] {
            let (a, b) = (numbers(m * k, 1.0), numbers(k * n, 2.0));
            let (bias, by) = (numbers(n, 3.0), numbers(m * n, 4.0));
            for (turned_a, turned_b, finished) in
                [(false, false, 1), (true, false, 0), (false, true, 2), (true, true, 2)]
            {
                let of = |numbers, rows, columns, turned| match turned {
                    true => Matrix::new(numbers, columns, rows).transposed(),
                    false => Matrix::new(numbers, rows, columns),
                };
                let (x, w) = (of(&a, m, k, turned_a), of(&b, k, n, turned_b));
                let finish = match finished {
                    0 => Finish::default(),
                    1 => Finish { bias: Some(&bias), gate: Some(Gate { by: None, slope: 0.0 }) },
                    _ => Finish { bias: None, gate: Some(Gate { by: Some(&by), slope: 0.25 }) },
                };
                let at = |m: &Matrix<'_>, r: usize, c: usize| f64::from(m.numbers[r * m.of_row + c * m.of_column]);
                let expected = |i: usize| {
                    let terms = || (0..k).map(|l| at(&x, i / n, l) * at(&w, l, i % n));
                    let (sum, size) = (terms().sum::<f64>(), 1.0 + terms().map(f64::abs).sum::<f64>());
                    let sum = sum + finish.bias.map_or(0.0, |bias| f64::from(bias[i % n]));
                    let sum = match finish.gate {
                        Some(Gate { by: None, .. }) => sum.max(0.0),
                        Some(Gate { by: Some(by), slope }) if by[i] <= 0.0 => sum * f64::from(slope),
                        _ => sum,
                    };
                    (sum, size)
                };
                let near = |out: &[f32]| {
                    for (i, &found) in out.iter().enumerate() {
                        let (expected, size) = expected(i);
                        // A rounding of float32 is 6e-8 of a partial sum.
                        let far = (f64::from(found) - expected).abs() > 1e-6 * size || found.is_nan();
                        assert!(!far, "{m} × {k} × {n}, {i}: {found}, {expected}");
                    }
                };
                let mut out = vec![f32::NAN; m * n];
                if is_here() {
                    product(x, w, finish, &mut out);
                    near(&out);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    let mut panel = vec![0.0; 48 * 500];
                    out.fill(f32::NAN);
                    // SAFETY: the processor has been asked.
                    #[expect(unsafe_code, reason = "instructions that not every processor of this target has")]
                    unsafe {
                        avx2::product(x, w, finish, &mut out, &mut panel);
                    }
                    near(&out);
                }
            }
        }
    }
}
