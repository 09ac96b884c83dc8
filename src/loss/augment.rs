//! What a discriminator sees of images in place of the images (arXiv:2006.10738): random changes, an example at a time, that
//! gradients pass through. (torch)
//!
//! Ranges are those of the paper's code (mit-han-lab/data-efficient-gans). What comes in from outside, and what is cut out,
//! is 0, the middle of the default range.

use super::spec::AugmentKind;
use tch::{Kind, Tensor};

/// The furthest an image is moved, of its side.
const FURTHEST: f64 = 0.125;
/// The side of the square that is cut out, of the image's.
const HOLE: f64 = 0.5;

/// Images `[R, B, C, H, W]` after these changes, one after the other. `draw` gives numbers from U[0, 1), `[R, …]` for the
/// shape of one run.
pub fn augmented(changes: &[AugmentKind], x: &Tensor, mut draw: impl FnMut(&[i64]) -> Tensor) -> Tensor {
    let batch = x.size()[1];
    changes.iter().fold(x.shallow_clone(), |x, change| {
        let mut number = || draw(&[batch, 1, 1, 1]);
        match change {
            AugmentKind::Brightness => x + (number() - 0.5),
            AugmentKind::Saturation => about(&x, &[2], &(number() * 2.0)),
            AugmentKind::Contrast => about(&x, &[2, 3, 4], &(number() + 0.5)),
            AugmentKind::Translation => moved(&x, &number(), &number()),
            AugmentKind::Cutout => with_hole(&x, &number(), &number()),
        }
    })
}

/// Scaled about the mean over these dimensions.
fn about(x: &Tensor, dims: &[i64], factor: &Tensor) -> Tensor {
    let mean = x.mean_dim(dims, true, Kind::Float);
    (x - &mean) * factor + mean
}

/// One of 0 to `most`, all as likely, from a number in [0, 1).
fn whole(number: &Tensor, most: i64) -> Tensor {
    // The product may round up to what lies just beyond.
    (number * (most + 1) as f64).floor().clamp_max(most as f64).to_kind(Kind::Int64)
}

/// A share of a side in whole pixels, halves rounded up.
#[expect(clippy::cast_possible_truncation, reason = "a count of pixels")]
fn pixels(side: i64, share: f64) -> i64 {
    (side as f64 * share + 0.5).floor() as i64
}

/// The places along dimension `dim` of `[R, B, C, H, W]`, shaped to be added to one number an example.
fn places(x: &Tensor, dim: usize) -> Tensor {
    let mut shape = [1; 5];
    shape[dim] = x.size()[dim];
    Tensor::arange(shape[dim], (Kind::Int64, x.device())).view(shape)
}

fn moved(x: &Tensor, down: &Tensor, right: &Tensor) -> Tensor {
    let size = x.size();
    let from = |number: &Tensor, dim: usize| {
        let reach = pixels(size[dim], FURTHEST);
        let from = places(x, dim) + (whole(number, 2 * reach) - reach);
        let inside = from.ge(0).logical_and(&from.lt(size[dim]));
        (from.clamp(0, size[dim] - 1), inside)
    };
    let ((row, row_inside), (column, column_inside)) = (from(down, 3), from(right, 4));
    let all = [size[0], size[1], size[2], size[3] * size[4]];
    let place = (row * size[4] + column).flatten(3, 4).expand(all, false);
    let inside = row_inside.logical_and(&column_inside).to_kind(Kind::Float);
    x.reshape(all).gather(3, &place, false).view_as(x) * inside
}

fn with_hole(x: &Tensor, down: &Tensor, right: &Tensor) -> Tensor {
    let hidden = |number: &Tensor, dim: usize| {
        let side = x.size()[dim];
        let hole = pixels(side, HOLE);
        let start = whole(number, side - hole % 2) - hole / 2;
        let place = places(x, dim);
        place.ge_tensor(&start).logical_and(&place.lt_tensor(&(start + hole)))
    };
    let hole = hidden(down, 3).logical_and(&hidden(right, 4));
    x * hole.logical_not().to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x of the script below, [1, 2, 2, 4, 4].
    fn images() -> Tensor {
        let numbers: Vec<f32> = (0..64).map(|i| ((i * 7 % 37) - 18) as f32 / 8.0).collect();
        Tensor::from_slice(&numbers).view([1, 2, 2, 4, 4])
    }

    /// The changed images where the numbers drawn are these, two for each change that takes one an example, and each pair
    /// for one that takes two.
    fn changed(changes: &[AugmentKind], drawn: &[[f32; 2]]) -> Vec<f32> {
        let mut drawn = drawn.iter();
        let x = augmented(changes, &images(), |shape| {
            let whole = [&[1], shape].concat();
            Tensor::from_slice(drawn.next().expect("as many as are drawn")).view(&whole[..])
        });
        assert!(drawn.next().is_none());
        Vec::try_from(x.contiguous().view([-1])).expect("numbers")
    }

    /* SciPy 1.17 and NumPy 2.4:
    x = ((np.arange(64) * 7 % 37) - 18).reshape(2, 2, 4, 4) / 8
    m = x.mean(1, keepdims=True); print(((x - m) * np.array([.5, 1.5]).reshape(2,1,1,1) + m).ravel()[[0, 21, 37, 63]])
    m = x.mean((1,2,3), keepdims=True); print(((x - m) * np.array([.75, 1.25]).reshape(2,1,1,1) + m).ravel()[[0, 21, 37, 63]])
    s = [scipy.ndimage.shift(x[i], (0, *by), order=0, cval=0) for i, by in enumerate([(1, -1), (0, 1)])]
    print(np.stack(s)[:, 1].ravel()) */
    #[test]
    fn colors_change_about_means_and_places_as_scipy_shifts_them() {
        let at = |all: Vec<f32>| [0, 21, 37, 63].map(|i| all[i]);
        let near = |found: &[f32], expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
        };
        let plain: Vec<f32> = Vec::try_from(images().view([-1])).expect("numbers");
        let brighter = changed(&[AugmentKind::Brightness], &[[0.75, 0.25]]);
        let expected: Vec<f32> = plain.iter().enumerate().map(|(i, v)| v + if i < 32 { 0.25 } else { -0.25 }).collect();
        near(&brighter, &expected);
        near(&at(changed(&[AugmentKind::Saturation], &[[0.25, 0.75]])), &[-2.21875, 2.21875, -2.28125, 2.03125]);
        near(&at(changed(&[AugmentKind::Contrast], &[[0.25, 0.75]])), &[-1.677_734_4, 1.697_265_6, -2.8125, 2.5]);
        // Sides of 4 move by 1 at most: a third of the interval for each of −1, 0 and 1; out[i] = x[i + move].
        let there = changed(&[AugmentKind::Translation], &[[0.1, 0.5], [0.9, 0.1]]);
        near(
            &[&there[16..32], &there[48..64]].concat(),
            &[
                0.0, 0.0, 0.0, 0.0, -1.25, -0.375, 0.5, 0.0, 2.25, -1.5, -0.625, 0.0, 1.125, 2.0, -1.75, 0.0, 0.0,
                -1.875, -1.0, -0.125, 0.0, 1.625, -2.125, -1.25, 0.0, 0.5, 1.375, 2.25, 0.0, -0.625, 0.25, 1.125,
            ],
        );
    }

    #[test]
    fn a_square_of_half_the_side_is_cut_out_around_any_place_and_the_rest_stays() {
        // A hole of 2 of 4 begins one before its place, which is one of 0 to 4: rows 1 and 2, columns 2 and 3; and of the
        // second image row 0 (the other lies outside) and column 3.
        let there = changed(&[AugmentKind::Cutout], &[[0.45, 0.0], [0.7, 0.99]]);
        let plain: Vec<f32> = Vec::try_from(images().view([-1])).expect("numbers");
        for (i, (found, plain)) in there.iter().zip(plain).enumerate() {
            let (image, row, column) = (i / 32, i / 4 % 4, i % 4);
            let hidden = match image {
                0 => (1..3).contains(&row) && column >= 2,
                _ => row == 0 && column == 3,
            };
            assert_eq!(*found, if hidden { 0.0 } else { plain }, "{i}");
        }
    }

    #[test]
    fn gradients_and_their_gradients_pass_through_every_change() {
        use AugmentKind::{Brightness, Contrast, Cutout, Saturation, Translation};
        let x = images().set_requires_grad(true);
        let seen = augmented(&[Brightness, Saturation, Contrast, Translation, Cutout], &x, |shape| {
            Tensor::full([&[1], shape].concat(), 0.3, (Kind::Float, tch::Device::Cpu))
        });
        let slope =
            Tensor::run_backward(&[seen.pow_tensor_scalar(3).sum(Kind::Float)], &[&x], true, true).swap_remove(0);
        let again = Tensor::run_backward(&[slope.square().sum(Kind::Float)], &[&x], false, false).swap_remove(0);
        for gradient in [slope, again] {
            assert_eq!(gradient.isfinite().all().int64_value(&[]), 1);
            assert!(gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0);
        }
    }
}
