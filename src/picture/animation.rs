//! Animations: frames are PNG files in a folder, so that a run that was interrupted goes on where it was; the GIF is put
//! together at the end.

use super::{PictureError, encode_png};
use crate::base::file;
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbImage, Rgba, RgbaImage};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The most frames of an animation; more of them are thinned evenly.
const MOST_FRAMES: usize = 200;
/// How many frames the palette is taken from.
const PALETTE_FRAMES: usize = 12;
/// How long the last frame stays, as a multiple of the others.
const LAST_STAYS: u32 = 20;

/// Keeps a picture as the frame of a step; a frame that is there already is replaced.
///
/// # Errors
/// If it cannot be written.
pub fn save_frame(folder: &Path, step: u64, picture: &RgbImage) -> Result<(), PictureError> {
    Ok(file::write_atomic(&folder.join(format!("{step:08}.png")), &encode_png(picture))?)
}

/// Puts the frames of a folder together, in the order of their steps, into a GIF that starts over for ever, with a pause on
/// the last frame. All frames share one palette, so that nothing flickers. Gives how many frames it has.
///
/// # Errors
/// If there are no frames, or a frame cannot be read or differs in size, or the GIF cannot be written.
pub fn assemble(folder: &Path, out: &Path, delay_ms: u32) -> Result<usize, PictureError> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(file::FileError::at("cannot list", folder))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "png") && step_of(path).is_some())
        .collect();
    paths.sort_by_key(|path| step_of(path));
    let paths = thinned(&paths, MOST_FRAMES);
    let Some(&first) = paths.first() else { return Err(PictureError::NoFrames { folder: folder.to_owned() }) };

    let expected = read(first)?.dimensions();
    let sources: Vec<RgbImage> =
        thinned(&paths, PALETTE_FRAMES).into_iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let mut palette = Palette::of(&sources);
    drop(sources);

    let failed = |source| PictureError::Image { path: out.to_owned(), source };
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut bytes);
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        for (i, path) in paths.iter().enumerate() {
            let picture = read(path)?;
            if picture.dimensions() != expected {
                return Err(PictureError::Size { path: (*path).clone(), found: picture.dimensions(), expected });
            }
            let stays = if i + 1 == paths.len() { delay_ms * LAST_STAYS } else { delay_ms };
            let frame = Frame::from_parts(palette.apply(&picture), 0, 0, Delay::from_numer_denom_ms(stays, 1));
            encoder.encode_frame(frame).map_err(failed)?;
        }
    }
    file::write_atomic(out, &bytes)?;
    Ok(paths.len())
}

fn step_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

fn read(path: &Path) -> Result<RgbImage, PictureError> {
    let bytes = file::read(path)?;
    let failed = |source| PictureError::Image { path: path.to_owned(), source };
    Ok(image::load_from_memory_with_format(&bytes, image::ImageFormat::Png).map_err(failed)?.to_rgb8())
}

/// At most `most` of the items, evenly, the first and the last among them.
fn thinned<T>(items: &[T], most: usize) -> Vec<&T> {
    let n = items.len();
    if n <= most {
        return items.iter().collect();
    }
    (0..most).map(|i| &items[i * (n - 1) / (most - 1)]).collect()
}

/// At most 256 colors, and which of them stands for a color.
struct Palette {
    colors: Vec<[u8; 3]>,
    nearest: HashMap<[u8; 3], [u8; 3]>,
}

/// A GIF has 256 colors.
const COLORS: usize = 256;
/// How many of them are the most frequent ones as they are: backgrounds, fills and text stay exact.
const EXACT: usize = 96;

impl Palette {
    /// All colors where they are few, else the most frequent ones and, for the rest, the means of boxes cut at medians.
    fn of(pictures: &[RgbImage]) -> Self {
        let mut counts: HashMap<[u8; 3], u64> = HashMap::new();
        for picture in pictures {
            let mut pixels = picture.pixels().map(|pixel| pixel.0).peekable();
            while let Some(color) = pixels.next() {
                let mut run = 1;
                while pixels.next_if_eq(&color).is_some() {
                    run += 1;
                }
                *counts.entry(color).or_default() += run;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|&(color, count)| (std::cmp::Reverse(count), color));
        let mut colors: Vec<_> = counts.iter().map(|&(color, _)| color).collect();
        if colors.len() > COLORS {
            colors.truncate(EXACT);
            colors.extend(median_cut(counts.split_off(EXACT), COLORS - EXACT));
        }
        Self { colors, nearest: HashMap::new() }
    }

    fn nearest(&mut self, color: [u8; 3]) -> [u8; 3] {
        let distance = |known: &[u8; 3]| -> i32 {
            // The eye is most exact for green and least for blue.
            let weights = [2, 4, 1];
            known.iter().zip(color).zip(weights).map(|((&a, b), w)| w * (i32::from(a) - i32::from(b)).pow(2)).sum()
        };
        let colors = &self.colors;
        *self
            .nearest
            .entry(color)
            .or_insert_with(|| colors.iter().copied().min_by_key(distance).expect("a palette of a picture has a color"))
    }

    fn apply(&mut self, picture: &RgbImage) -> RgbaImage {
        let mut last = None;
        let mut out = RgbaImage::new(picture.width(), picture.height());
        for (pixel, out) in picture.pixels().zip(out.pixels_mut()) {
            let color = match last {
                Some((from, to)) if from == pixel.0 => to,
                _ => self.nearest(pixel.0),
            };
            last = Some((pixel.0, color));
            *out = Rgba([color[0], color[1], color[2], 255]);
        }
        out
    }
}

/// So many colors for these counted ones: the box that holds most error is cut at its median, until there are enough.
fn median_cut(counts: Vec<([u8; 3], u64)>, most: usize) -> Vec<[u8; 3]> {
    // The longest side of a box, and which it is.
    let side = |colors: &[([u8; 3], u64)]| {
        let length = |c: usize| {
            let values = || colors.iter().map(|(color, _)| color[c]);
            values().max().unwrap_or(0) - values().min().unwrap_or(0)
        };
        (0..3).map(|c| (length(c), c)).max().unwrap_or((0, 0))
    };
    let error = |colors: &[([u8; 3], u64)]| {
        let count: u64 = colors.iter().map(|(_, count)| count).sum();
        // Rare colors count too: a thin line is few pixels, and is looked at.
        (count as f64).sqrt() * f64::from(side(colors).0)
    };
    let mut boxes = vec![(error(&counts), counts)];
    while boxes.len() < most {
        let worst = (0..boxes.len()).max_by(|&a, &b| boxes[a].0.total_cmp(&boxes[b].0)).unwrap_or(0);
        if boxes[worst].0 <= 0.0 {
            break;
        }
        let (_, mut low) = boxes.swap_remove(worst);
        let (_, c) = side(&low);
        low.sort_unstable_by_key(|&(color, _)| (color[c], color));
        let half = low.iter().map(|(_, count)| count).sum::<u64>() / 2;
        let mut below = 0;
        let cut = low
            .iter()
            .position(|(_, count)| {
                below += count;
                below >= half
            })
            .map_or(1, |at| (at + 1).min(low.len() - 1).max(1));
        let high = low.split_off(cut);
        boxes.extend([(error(&low), low), (error(&high), high)]);
    }
    let mean = |colors: &[([u8; 3], u64)]| {
        let count: u64 = colors.iter().map(|(_, count)| count).sum();
        [0, 1, 2].map(|c| {
            let sum: u64 = colors.iter().map(|(color, count)| u64::from(color[c]) * count).sum();
            ((sum + count / 2) / count) as u8
        })
    };
    boxes.iter().map(|(_, colors)| mean(colors)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::AnimationDecoder as _;
    use image::codecs::gif::GifDecoder;

    fn decoded(path: &Path) -> Vec<Frame> {
        let bytes = file::read(path).expect("the animation");
        GifDecoder::new(std::io::Cursor::new(bytes)).expect("a GIF").into_frames().collect_frames().expect("frames")
    }

    fn delay(frame: &Frame) -> u32 {
        frame.delay().numer_denom_ms().0 / frame.delay().numer_denom_ms().1
    }

    #[test]
    fn frames_come_in_the_order_of_steps_with_their_colors_and_a_pause_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let frames = folder.path().join("frames");
        for step in [500, 1000, 20_000_000, 0] {
            let level = (step % 251) as u8;
            save_frame(&frames, step, &RgbImage::from_pixel(9, 7, image::Rgb([level, 10, 200]))).expect("written");
        }
        let out = folder.path().join("animation.gif");
        assert_eq!(assemble(&frames, &out, 80).expect("assembled"), 4);
        let gif = decoded(&out);
        let levels: Vec<_> = gif.iter().map(|frame| frame.buffer().get_pixel(4, 4).0).collect();
        let expected = [0_u64, 500, 1000, 20_000_000].map(|step| [(step % 251) as u8, 10, 200, 255]);
        assert_eq!(levels, expected);
        assert_eq!(gif.iter().map(delay).collect::<Vec<_>>(), [80, 80, 80, 1600]);
    }

    #[test]
    fn many_frames_are_thinned_evenly_and_keep_both_ends() {
        let items: Vec<usize> = (0..1000).collect();
        let kept = thinned(&items, MOST_FRAMES);
        assert_eq!((kept.len(), *kept[0], *kept[199]), (200, 0, 999));
        assert!(kept.windows(2).all(|pair| (5..=6).contains(&(pair[1] - pair[0]))));
    }

    #[test]
    fn more_colors_than_a_gif_has_are_met_closely_and_the_same_in_every_frame() {
        // 32,768 colors, and a background that fills half of the picture.
        let picture = RgbImage::from_fn(512, 128, |x, y| {
            if x < 256 { image::Rgb([250, 251, 252]) } else { image::Rgb([(x - 256) as u8, y as u8 * 2, 90]) }
        });
        let mut palette = Palette::of(std::slice::from_ref(&picture));
        assert_eq!(palette.colors.len(), COLORS);
        let out = palette.apply(&picture);
        assert_eq!(out.get_pixel(3, 3).0, [250, 251, 252, 255]);
        let error = |(a, b): (&image::Rgb<u8>, &Rgba<u8>)| (0..3).map(|c| a.0[c].abs_diff(b.0[c])).max().unwrap_or(0);
        let errors: Vec<u8> = picture.pixels().zip(out.pixels()).map(error).collect();
        let mean = errors.iter().map(|&e| f64::from(e)).sum::<f64>() / errors.len() as f64;
        assert!(mean < 6.0, "{mean}");
        assert_eq!(out, Palette::of(std::slice::from_ref(&picture)).apply(&picture));
    }

    #[test]
    fn frames_that_are_missing_or_do_not_fit_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("animation.gif");
        let error = assemble(folder.path(), &out, 80).unwrap_err().to_string();
        assert!(error.starts_with("there are no frames in "), "{error}");
        save_frame(folder.path(), 1, &RgbImage::new(4, 4)).expect("written");
        save_frame(folder.path(), 2, &RgbImage::new(5, 4)).expect("written");
        let error = assemble(folder.path(), &out, 80).unwrap_err().to_string();
        assert!(error.ends_with("00000002.png is 5x4 pixels where the frames before it have 4x4"), "{error}");
        std::fs::write(folder.path().join("00000002.png"), b"no picture").expect("written");
        let error = assemble(folder.path(), &out, 80).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the picture "), "{error}");
        assert!(!out.exists());
    }
}
