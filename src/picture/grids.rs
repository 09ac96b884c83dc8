//! Pictures of pictures: samples in rows, and two pictures side by side.

use super::canvas::{Anchor, Area, Canvas, Color};
use super::{FAINT, GRID, INK, PAPER};
use crate::base::Array;
use image::{Rgb, RgbImage, imageops};

/// Between images, and around them.
const GAP: u32 = 2;
/// A gray that neither dark nor light images melt into.
const BETWEEN: Color = [118, 118, 118];
/// What is not a number: no image of a range has it by accident.
const NOT_A_NUMBER: Color = [255, 0, 255];
/// Small images are enlarged to about this many pixels where no scale is given.
const VISIBLE: u32 = 56;

/// Images in rows, from the top left.
///
/// `images`: `[n, c, h, w]` in `range`, gray or RGB (of other channel counts, the first channel). `per_row`: 0 for a square
/// grid. `scale`: how many pixels wide a pixel becomes; 0 for what makes small images visible.
///
/// # Panics
/// If `images` does not have four dimensions.
pub fn grid(images: &Array, range: (f32, f32), per_row: usize, scale: u32) -> RgbImage {
    let [n, channels, height, width] = images.shape[..] else { panic!("images of shape {:?}", images.shape) };
    let per_row = if per_row == 0 { (n as f64).sqrt().ceil() as usize } else { per_row }.clamp(1, n.max(1));
    let (width, height) = (width as u32, height as u32);
    let scale = if scale == 0 { (VISIBLE / width.max(height).max(1)).max(1) } else { scale };
    let (step_x, step_y) = (width * scale + GAP, height * scale + GAP);
    let rows = n.div_ceil(per_row).max(1);
    let mut picture = RgbImage::from_pixel(GAP + per_row as u32 * step_x, GAP + rows as u32 * step_y, Rgb(BETWEEN));
    let plane = (width * height) as usize;
    let level = |value: f32| ((value - range.0) / (range.1 - range.0) * 255.0).round().clamp(0.0, 255.0) as u8;
    for i in 0..n {
        let image = images.row(i);
        let (left, top) = (GAP + (i % per_row) as u32 * step_x, GAP + (i / per_row) as u32 * step_y);
        for y in 0..height * scale {
            for x in 0..width * scale {
                let at = ((y / scale) * width + x / scale) as usize;
                let channel = |c: usize| image[if channels == 3 { c * plane + at } else { at }];
                let values = [0, 1, 2].map(channel);
                let color = if values.iter().any(|v| v.is_nan()) { NOT_A_NUMBER } else { values.map(level) };
                picture.put_pixel(left + x, top + y, Rgb(color));
            }
        }
    }
    picture
}

/// Texts one below the other, every second one on a gray ground; their letters stand below each other. The end of a line is
/// a stroke to the left.
pub fn lines(texts: &[String]) -> RgbImage {
    const SIZE: f32 = 13.0;
    const CELL: u32 = 11;
    const HEIGHT: u32 = 21;
    let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0) as u32;
    let mut canvas = Canvas::new(2 * CELL + longest * CELL, HEIGHT * texts.len().max(1) as u32, PAPER);
    for (row, text) in (0u32..).zip(texts) {
        let top = row * HEIGHT;
        if row % 2 == 1 {
            let area = Area {
                left: 0.0,
                right: (2 * CELL + longest * CELL) as f32,
                top: top as f32,
                bottom: (top + HEIGHT) as f32,
            };
            canvas.rectangle(area, GRID, 1.0);
        }
        for (column, letter) in (0u32..).zip(text.chars()) {
            let at = ((CELL + column * CELL + CELL / 2) as f32, (top + 15) as f32);
            match letter {
                '\n' => canvas.text(at, "<", SIZE, Anchor::Middle, FAINT),
                other => canvas.text(at, &other.to_string(), SIZE, Anchor::Middle, INK),
            }
        }
    }
    canvas.finish()
}

/// Two pictures side by side under a heading each.
pub fn beside(left: &RgbImage, right: &RgbImage, headings: (&str, &str)) -> RgbImage {
    const MARGIN: u32 = 16;
    const HEADING: u32 = 26;
    let height = left.height().max(right.height());
    let mut canvas = Canvas::new(left.width() + right.width() + 3 * MARGIN, height + 2 * MARGIN + HEADING, PAPER);
    let second = 2 * MARGIN + left.width();
    for (x, heading) in [(MARGIN, headings.0), (second, headings.1)] {
        canvas.heading((x as f32, (MARGIN + 13) as f32), heading, 17.0, Anchor::Left, INK);
    }
    let mut picture = canvas.finish();
    let top = i64::from(MARGIN + HEADING);
    imageops::replace(&mut picture, left, i64::from(MARGIN), top);
    imageops::replace(&mut picture, right, i64::from(second), top);
    picture
}

/// Pictures in rows of so many, on paper.
///
/// # Panics
/// If there are no pictures.
pub fn tiles(pictures: &[RgbImage], per_row: usize) -> RgbImage {
    let per_row = per_row.clamp(1, pictures.len());
    let width = pictures.iter().map(RgbImage::width).max().expect("there are pictures");
    let height = pictures.iter().map(RgbImage::height).max().expect("there are pictures");
    let rows = pictures.len().div_ceil(per_row) as u32;
    let mut all = RgbImage::from_pixel(width * per_row as u32, height * rows, Rgb(PAPER));
    for (i, picture) in pictures.iter().enumerate() {
        let (column, row) = ((i % per_row) as u32, (i / per_row) as u32);
        imageops::replace(&mut all, picture, i64::from(column * width), i64::from(row * height));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixels_of_a_grid_are_those_of_its_images() {
        // Three gray images of 1×2 in [-1, 1], two a row, each pixel enlarged to 3×3.
        let images = Array::new(vec![3, 1, 1, 2], vec![-1.0, 1.0, 0.0, 9.0, f32::NAN, -9.0]);
        let picture = grid(&images, (-1.0, 1.0), 2, 3);
        assert_eq!(picture.dimensions(), (2 + 2 * 8, 2 + 2 * 5));
        let at = |x, y| picture.get_pixel(x, y).0;
        assert_eq!([at(2, 2), at(4, 4), at(5, 2), at(7, 4)], [[0; 3], [0; 3], [255; 3], [255; 3]]);
        assert_eq!((at(10, 3), at(13, 3)), ([128; 3], [255; 3]));
        assert_eq!((at(3, 8), at(6, 8)), (NOT_A_NUMBER, [0; 3]));
        assert_eq!([at(0, 0), at(8, 3), at(9, 3), at(12, 8)], [BETWEEN; 4]);
    }

    #[test]
    fn channels_are_red_green_and_blue() {
        let image = Array::new(vec![1, 3, 1, 1], vec![1.0, 0.0, 0.5]);
        assert_eq!(grid(&image, (0.0, 1.0), 0, 1).get_pixel(2, 2).0, [255, 0, 128]);
    }

    #[test]
    fn ten_images_make_a_square_of_four_and_small_ones_are_enlarged() {
        let picture = grid(&Array::zeros(vec![10, 1, 28, 28]), (0.0, 1.0), 0, 0);
        assert_eq!(picture.dimensions(), (2 + 4 * 58, 2 + 3 * 58));
        assert_eq!(grid(&Array::zeros(vec![3, 1, 28, 28]), (0.0, 1.0), 8, 1).dimensions(), (2 + 3 * 30, 32));
    }

    #[test]
    fn tiles_stand_in_rows_from_the_top_left() {
        let of = |color| RgbImage::from_pixel(4, 3, Rgb(color));
        let all = tiles(&[of([1; 3]), of([2; 3]), of([3; 3])], 2);
        assert_eq!(all.dimensions(), (8, 6));
        let at = |x, y| all.get_pixel(x, y).0;
        assert_eq!([at(0, 0), at(7, 2), at(3, 5), at(4, 3)], [[1; 3], [2; 3], [3; 3], PAPER]);
    }

    #[test]
    fn two_pictures_stand_beside_each_other() {
        let (red, blue) =
            (RgbImage::from_pixel(30, 20, Rgb([255, 0, 0])), RgbImage::from_pixel(10, 40, Rgb([0, 0, 255])));
        let both = beside(&red, &blue, ("A", "B"));
        assert_eq!(both.dimensions(), (30 + 10 + 48, 40 + 58));
        assert_eq!((both.get_pixel(16, 42).0, both.get_pixel(62, 81).0), ([255, 0, 0], [0, 0, 255]));
        assert_eq!(both.get_pixel(20, 70).0, PAPER);
    }
}
