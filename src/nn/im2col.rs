//! Convolutions with few channels on one side, as products of matrices: the first of a discriminator, the last of a
//! generator.
//!
//! oneDNN fills its vectors with channels, and spends on a map of one or three what it spends on sixteen. Here each pixel
//! of the side with many channels meets the square of numbers that it sees on the other, its *column*. Both ways between
//! maps and columns are linear and each the other's derivative, so there are derivatives of any order. (CPU, one run)

use super::dense;
use super::fused::Path;
use super::layer::conv::Convolution;
use crate::base::host;
use crate::base::unbound::{self, Derivatives, each_piece};
use tch::{Device, Kind, Tensor};

/// Sides with more channels are left to oneDNN.
const FEW: i64 = 4;

/// The convolution `conv` of maps `[B, C, H, W]` with the weight `[O, C, k, k]` (transposed: `[C, O, k, k]`) and bias
/// `[1, O]`, if one side has few channels. The result has the channels of a pixel together.
pub(super) fn convolve(conv: &Convolution, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Option<Tensor> {
    let (many, few, side, _) = w.size4().expect("a weight is [to, from, side, side]");
    if few > FEW || x.kind() != Kind::Float || x.device() != Device::Cpu || !Path::Im2col.is_on() {
        return None;
    }
    let (batch, _, height, width) = x.size4().expect("folded maps are [batch, channels, height, width]");
    let square = side * side * few;
    let (stride, padding) = (conv.stride as i64, conv.padding as i64);
    let channels_last = x.permute([0, 2, 3, 1]);
    let y = if conv.transposed {
        let grown = |n: i64| (n - 1) * stride - 2 * padding + side + conv.output_padding as i64;
        let size = [grown(height), grown(width), few];
        let window = Window::new(size, [height, width], side, conv);
        let w = w.permute([0, 2, 3, 1]).reshape([1, many, square]);
        let columns = dense::product(&channels_last.reshape([1, batch * height * width, many]), &w, None);
        let y = window.scatter(&columns);
        match bias {
            Some(bias) => y + bias,
            None => y,
        }
    } else {
        let shrunk = |n: i64| (n + 2 * padding - side) / stride + 1;
        let pixels = [shrunk(height), shrunk(width)];
        let window = Window::new([height, width, few], pixels, side, conv);
        let w = w.permute([2, 3, 1, 0]).reshape([1, square, many]);
        dense::product(&window.gather(&channels_last), &w, bias).view([batch, pixels[0], pixels[1], many])
    };
    Some(y.permute([0, 3, 1, 2]))
}

/// Squares of maps `[B, H, W, C]`, and the pixels that see them.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// H, W, C.
    map: [usize; 3],
    /// Rows and columns of pixels.
    pixels: [usize; 2],
    side: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    fn new(map: [i64; 3], pixels: [i64; 2], side: i64, conv: &Convolution) -> Self {
        Self {
            map: map.map(|n| n as usize),
            pixels: pixels.map(|n| n as usize),
            side: side as usize,
            stride: conv.stride,
            padding: conv.padding,
        }
    }

    /// What each pixel sees: maps `[B, H, W, C]` to `[1, B·pixels, side·side·C]`, zeros beyond the border.
    fn gather(self, maps: &Tensor) -> Tensor {
        let value = tch::no_grad(|| {
            let maps = maps.contiguous();
            let rows = maps.size()[0] * self.count();
            let mut columns = Tensor::empty([1, rows, self.row() * self.side as i64], (Kind::Float, Device::Cpu));
            let (numbers, map) = (host::read(&maps), self.map.iter().product::<usize>());
            each_piece(host::write(&mut columns), self.piece(), |image, columns| {
                let image = &numbers[image * map..][..map];
                columns.fill(0.0);
                self.each_line(|at, column, len| columns[column..][..len].copy_from_slice(&image[at..][..len]));
            });
            columns
        });
        let slope = move |_: &[Tensor], by_columns: &Tensor, _: &[bool]| vec![Some(self.scatter(by_columns))];
        unbound::attach(value, &[maps], Derivatives::All, Box::new(slope))
    }

    /// The sum of what all pixels hold for each number: `[1, B·pixels, side·side·C]` to maps `[B, H, W, C]`.
    fn scatter(self, columns: &Tensor) -> Tensor {
        let value = tch::no_grad(|| {
            let columns = columns.contiguous();
            let [height, width, channels] = self.map.map(|n| n as i64);
            let batch = columns.size()[1] / self.count();
            let mut maps = Tensor::empty([batch, height, width, channels], (Kind::Float, Device::Cpu));
            let (numbers, map) = (host::read(&columns), self.map.iter().product());
            each_piece(host::write(&mut maps), map, |image, map| {
                let columns = &numbers[image * self.piece()..][..self.piece()];
                map.fill(0.0);
                self.each_line(|at, column, len| {
                    map[at..][..len].iter_mut().zip(&columns[column..][..len]).for_each(|(sum, x)| *sum += x);
                });
            });
            maps
        });
        let slope = move |_: &[Tensor], by_maps: &Tensor, _: &[bool]| vec![Some(self.gather(by_maps))];
        unbound::attach(value, &[columns], Derivatives::All, Box::new(slope))
    }

    /// Calls `act` for each line of each square of an example: where the part within the map begins there and in the
    /// columns, and how long it is.
    #[inline(always)]
    fn each_line(&self, mut act: impl FnMut(usize, usize, usize)) {
        let [height, width, channels] = self.map;
        let row = self.row() as usize;
        for pixel in 0..self.pixels[0] * self.pixels[1] {
            let (top, left) = (pixel / self.pixels[1] * self.stride, pixel % self.pixels[1] * self.stride);
            let hidden = self.padding.saturating_sub(left) * channels;
            let from = (left.max(self.padding) - self.padding) * channels;
            let len = row.saturating_sub(hidden).min((width * channels).saturating_sub(from));
            for line in 0..self.side {
                let y = (top + line).wrapping_sub(self.padding);
                if y < height && len > 0 {
                    act(y * width * channels + from, (pixel * self.side + line) * row + hidden, len);
                }
            }
        }
    }

    fn count(&self) -> i64 {
        (self.pixels[0] * self.pixels[1]) as i64
    }

    /// Numbers of a line of a square, which lie together in the map too.
    fn row(&self) -> i64 {
        (self.side * self.map[2]) as i64
    }

    /// Numbers of the columns of one example.
    fn piece(&self) -> usize {
        (self.count() * self.row()) as usize * self.side
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::numbers;
    use crate::nn::weight::{Form, Weight};

    /// Value, slopes, and slopes of the slope's square norm, of a way to compute the convolution.
    fn traced(
        conv: &Convolution,
        x: [i64; 4],
        w: [i64; 4],
        way: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
    ) -> Vec<Vec<f32>> {
        let some = |shape: &[i64], at: f64| {
            let n = shape.iter().product::<i64>();
            let x = (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 1.7 + at).sin();
            x.view(shape).set_requires_grad(true)
        };
        let outputs = if conv.transposed { w[1] } else { w[0] };
        let (x, w, bias) = (some(&x, 0.3), some(&w, 0.9), some(&[1, outputs], 2.0));
        let y = way(&x, &w, &bias);
        let loss = (&y * &y * y.sin()).sum(Kind::Float);
        let slopes = Tensor::run_backward(&[&loss], &[&x, &w, &bias], true, true);
        let again = (&slopes[0] * &slopes[0]).sum(Kind::Float);
        let bends = Tensor::run_backward(&[&again], &[&x, &w], false, false);
        std::iter::once(&y).chain(&slopes).chain(&bends).map(numbers).collect()
    }

    #[test]
    fn columns_say_what_libtorch_says_and_so_do_their_slopes_and_bends() {
        tch::set_num_threads(1);
        let cases = [
            // transposed, side, stride, padding, output padding, channels, height and width
            (false, 4, 2, 1, 0, 1, [28, 28]),
            (false, 3, 1, 1, 0, 3, [6, 5]),
            (false, 5, 2, 2, 0, 2, [9, 12]),
            (false, 3, 3, 0, 0, 4, [8, 7]),
            (false, 2, 1, 3, 0, 1, [3, 2]),
            (true, 4, 2, 1, 0, 1, [14, 14]),
            (true, 5, 2, 2, 1, 3, [4, 5]),
            (true, 3, 1, 1, 0, 2, [6, 5]),
            (true, 2, 3, 0, 2, 1, [3, 4]),
            (true, 1, 1, 0, 0, 4, [2, 2]),
        ];
        for case @ (transposed, side, stride, padding, output_padding, few, [height, width]) in cases {
            let weight = Weight { index: 0, outputs_at: 0, form: Form::Plain };
            let conv = Convolution { weight, bias: None, transposed, stride, padding, output_padding };
            let x = [3, if transposed { 6 } else { few }, height, width];
            let ours = traced(&conv, x, [6, few, side, side], |x, w, bias| {
                convolve(&conv, x, w, Some(bias)).expect("few channels").contiguous()
            });
            let theirs = traced(&conv, x, [6, few, side, side], |x, w, bias| {
                let (stride, padding) = ([stride as i64; 2], [padding as i64; 2]);
                let bias = Some(bias.view([-1]));
                if transposed {
                    x.conv_transpose2d(w, bias, stride, padding, [output_padding as i64; 2], 1, [1, 1])
                } else {
                    x.conv2d(w, bias, stride, padding, [1, 1], 1)
                }
            });
            for (what, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                let most = theirs.iter().fold(1.0f32, |most, x| most.max(x.abs()));
                assert_eq!(ours.len(), theirs.len(), "{case:?}: {what}");
                let far = ours.iter().zip(theirs).position(|(a, b)| (a - b).abs() > 1e-5 * most);
                assert_eq!(far, None, "{case:?}: {what}");
            }
        }
    }
}
