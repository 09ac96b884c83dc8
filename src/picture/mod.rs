//! Pictures: sample grids, densities, scatters over the critic's surface, curves, animations.
//!
//! Everything is drawn here, text included, so that the same numbers give the same bytes everywhere. Charts are laid out once
//! and drawn on RGB images or as SVG. The colors are those of Okabe and Ito, which are distinct with any color vision: data
//! are orange, samples are blue.

mod animation;
mod axes;
mod canvas;
mod curves;
mod density;
mod font;
mod grids;
mod ink;
mod legend;
mod scatter;
mod svg;
mod view;

pub use animation::{assemble, save_frame};
pub use curves::{Curves, Series, card, curves, svg};
pub use density::{Density1d, Real1d, density};
pub use grids::{beside, grid, lines, tiles};
pub use scatter::{Scatter2d, Surface, scatter};
pub use view::{Answer, POINTS, View};

use crate::base::file::FileError;
use canvas::Color;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use std::path::PathBuf;

const PAPER: Color = [255, 255, 255];
const INK: Color = [51, 51, 51];
const FAINT: Color = [140, 140, 140];
const GRID: Color = [232, 232, 232];
const REAL: Color = [230, 159, 0];
/// A darker orange for lines and hollow points.
const REAL_LINE: Color = [196, 120, 0];
const FAKE: Color = [0, 114, 178];
const DECISION: Color = [0, 138, 101];
/// For several curves, in this order.
const SERIES: [Color; 7] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [85, 85, 85]];

/// What stands in the way of a picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// A picture that cannot be read or written.
    #[error("cannot use the picture {}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder or encoder said.
        #[source]
        source: image::ImageError,
    },
    /// No frames.
    #[error("there are no frames in {}", folder.display())]
    NoFrames {
        /// The folder.
        folder: PathBuf,
    },
    /// Frames that do not fit together.
    #[error("{} is {}x{} pixels where the frames before it have {}x{}", path.display(), found.0, found.1, expected.0, expected.1)]
    Size {
        /// The frame.
        path: PathBuf,
        /// Its width and height.
        found: (u32, u32),
        /// Those of the others.
        expected: (u32, u32),
    },
}

/// The bytes of a PNG file: the same for the same picture.
pub fn encode_png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .expect("a picture in memory can be encoded into memory");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_decodes_to_the_picture_it_was_made_of() {
        let picture = RgbImage::from_fn(17, 5, |x, y| image::Rgb([x as u8 * 15, y as u8 * 50, 7]));
        let bytes = encode_png(&picture);
        assert_eq!(image::load_from_memory(&bytes).expect("a PNG").to_rgb8(), picture);
        assert_eq!(bytes, encode_png(&picture));
    }
}
