//! Folders of pictures: every format that the `image` crate decodes, a folder a class where there are folders.

use super::images::{Head, ImageSet, image_spec, most_unpacked};
use super::tiff;
use super::{DataError, DataInfo, DataRoots};
use image::ImageDecoder as _;
use image::imageops::FilterType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

image_spec! {
    /// A folder of pictures. Where none lies in it directly, each folder in it is a class, in the order of their names.
    pub struct FolderSpec {
        /// The folder.
        pub path: PathBuf,
        /// The folder of what is held out, with the same classes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub test_path: Option<PathBuf>,
        /// The side that the square in the middle of a picture is brought to.
        #[serde(default = "FolderSpec::size")]
        pub size: NonZeroU32,
        /// 1 for gray, 3 for color.
        #[serde(default = "FolderSpec::channels")]
        pub channels: u32,
        /// How pictures are brought to their size.
        #[serde(default)]
        pub filter: Filter,
        /// Which half of each picture, where it holds a pair side by side.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub half: Option<Half>,
    }
}

impl FolderSpec {
    fn size() -> NonZeroU32 {
        NonZeroU32::new(64).expect("64 is not 0")
    }
    fn channels() -> u32 {
        3
    }
}

/// How a picture gets another size. All but `nearest` widen with the reduction, so that nothing flickers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// A triangle.
    #[default]
    Bilinear,
    /// Catmull and Rom's cubic.
    Bicubic,
    /// Three lobes of a windowed sinc.
    Lanczos,
}

/// A half of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// The pictures of a part, each with the place of its class.
struct Listing {
    folder: PathBuf,
    class_names: Vec<String>,
    pictures: Vec<(PathBuf, usize)>,
}

impl FolderSpec {
    /// What is known from the names of the files.
    ///
    /// # Errors
    /// If the folder is missing or has no pictures, or the options contradict it.
    pub fn info(&self, roots: &DataRoots) -> Result<DataInfo, DataError> {
        let train = self.list(&self.path, roots)?;
        if let Some(path) = &self.test_path {
            self.list(path, roots)?.labels_as(&train)?;
        }
        self.options().info(&self.head(&train, train.labels_as(&train)?))
    }

    /// The pictures in memory.
    ///
    /// # Errors
    /// As [`Self::info`], and where a picture does not decode.
    pub fn open(&self, roots: &DataRoots) -> Result<ImageSet, DataError> {
        let listed = self.list(&self.path, roots)?;
        let train = self.part(&listed, &listed)?;
        let test = match &self.test_path {
            Some(path) => Some(self.part(&self.list(path, roots)?, &listed)?),
            None => None,
        };
        ImageSet::new(&self.options(), train, test)
    }

    fn list(&self, path: &Path, roots: &DataRoots) -> Result<Listing, DataError> {
        if ![1, 3].contains(&self.channels) {
            return Err(DataError::Spec(format!("folder: expected 1 or 3 channels, got {}", self.channels)));
        }
        if self.size.get() > 4096 {
            return Err(DataError::Spec(format!("folder: expected a size of at most 4096, got {}", self.size)));
        }
        let folder = roots.find(path)?;
        if !folder.is_dir() {
            return Err(DataError::wrong(&folder, "is a file, expected a folder of pictures"));
        }
        // A link may lead from one given folder to another, and nowhere else.
        let given: Vec<PathBuf> =
            roots.folders.iter().chain([&folder]).filter_map(|path| path.canonicalize().ok()).collect();
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(&folder).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| {
                let at = error.path().unwrap_or(&folder).to_owned();
                DataError::wrong(&at, format!("cannot be listed: {error}"))
            })?;
            if entry.path_is_symlink() && entry.depth() > 0 {
                let target = entry.path().canonicalize().unwrap_or_default();
                if !given.iter().any(|inside| target.starts_with(inside)) {
                    let problem = format!(
                        "is a link to {}, outside of {} and the data folders: copy what it leads to, or name a folder that holds both",
                        target.display(),
                        folder.display()
                    );
                    return Err(DataError::wrong(entry.path(), problem));
                }
            }
            let format = entry.path().extension().and_then(image::ImageFormat::from_extension);
            if entry.file_type().is_file() && format.is_some_and(|format| format.reading_enabled()) {
                files.push(entry.into_path());
            }
        }
        if files.is_empty() {
            return Err(DataError::wrong(
                &folder,
                format!("has no pictures: looked for files that end in {}, in all its folders", endings()),
            ));
        }
        // The first folder on the way down to a picture names its class, unless a picture has none.
        let first = |file: &PathBuf| {
            let inside = file.strip_prefix(&folder).unwrap_or(file);
            let mut parts = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
            parts.next().filter(|_| parts.next().is_some())
        };
        let names: Option<Vec<String>> = files.iter().map(first).collect();
        let mut class_names = names.clone().unwrap_or_default();
        class_names.dedup();
        let place = |i: usize| {
            names.as_ref().map_or(0, |names| class_names.iter().position(|name| *name == names[i]).unwrap_or(0))
        };
        let pictures = files.into_iter().enumerate().map(|(i, file)| (file, place(i))).collect();
        Ok(Listing { folder, class_names, pictures })
    }

    fn head(&self, train: &Listing, labels: Vec<i64>) -> Head {
        let side = self.size.get() as usize;
        Head {
            shape: [self.channels as usize, side, side],
            classes: train.class_names.len(),
            class_names: train.class_names.clone(),
            count: train.pictures.len(),
            labels,
        }
    }

    fn part(&self, listed: &Listing, train: &Listing) -> Result<(Head, Vec<u8>), DataError> {
        let labels = listed.labels_as(train)?;
        let row = self.channels as usize * (self.size.get() as usize).pow(2);
        let mut pixels = vec![0; row * listed.pictures.len()];
        // Pictures decode independently of each other, so the cores share them.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = listed.pictures.len().div_ceil(cores);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (listed.pictures.chunks(share).zip(pixels.chunks_mut(share * row)))
                .map(|(pictures, out)| {
                    scope.spawn(move || {
                        pictures
                            .iter()
                            .zip(out.chunks_exact_mut(row))
                            .try_for_each(|((path, _), out)| self.decode(path, out))
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("decoding answers with errors"))
        })?;
        Ok((Head { count: listed.pictures.len(), ..self.head(train, labels) }, pixels))
    }

    /// The picture at its size, channel after channel.
    fn decode(&self, path: &Path, out: &mut [u8]) -> Result<(), DataError> {
        let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format);
        let mut reader = reader.map_err(crate::base::file::FileError::at("cannot read", path))?;
        let most = most_unpacked(path)?;
        if reader.format() == Some(image::ImageFormat::Tiff) {
            let file = std::fs::File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let (length, file) = file.map_err(crate::base::file::FileError::at("cannot read", path))?;
            if !tiff::claims_fit(std::io::BufReader::new(file), length) {
                return Err(DataError::wrong(path, "is no picture: it claims more values than its size can hold"));
            }
        }
        let mut limits = image::Limits::default();
        limits.max_alloc = Some(most);
        reader.limits(limits);
        let broken = |error| DataError::wrong(path, format!("does not decode as a picture: {error}"));
        let decoder = reader.into_decoder().map_err(broken)?;
        if decoder.total_bytes() > most {
            let (width, height) = decoder.dimensions();
            let problem = format!("is no picture: it claims {width}×{height} pixels, which its size cannot hold");
            return Err(DataError::wrong(path, problem));
        }
        let mut picture = image::DynamicImage::from_decoder(decoder).map_err(broken)?;
        let (width, height) = (picture.width(), picture.height());
        if let Some(half) = self.half {
            let from = if half == Half::Left { 0 } else { width - width / 2 };
            picture = picture.crop_imm(from, 0, width / 2, height);
        }
        let square = picture.width().min(picture.height());
        if square == 0 {
            return Err(DataError::wrong(path, format!("is too small: {width}×{height} pixels")));
        }
        picture = picture.crop_imm((picture.width() - square) / 2, (picture.height() - square) / 2, square, square);
        let side = self.size.get();
        if square != side {
            let filter = match self.filter {
                Filter::Nearest => FilterType::Nearest,
                Filter::Bilinear => FilterType::Triangle,
                Filter::Bicubic => FilterType::CatmullRom,
                Filter::Lanczos => FilterType::Lanczos3,
            };
            picture = picture.resize_exact(side, side, filter);
        }
        if self.channels == 1 {
            out.copy_from_slice(picture.to_luma8().as_raw());
        } else {
            let plane = (side * side) as usize;
            for (i, pixel) in picture.to_rgb8().pixels().enumerate() {
                for channel in 0..3 {
                    out[channel * plane + i] = pixel[channel];
                }
            }
        }
        Ok(())
    }
}

impl Listing {
    /// The labels, by the training part's names.
    fn labels_as(&self, train: &Self) -> Result<Vec<i64>, DataError> {
        if train.class_names.is_empty() {
            return Ok(Vec::new());
        }
        let place = |(path, class): &(PathBuf, usize)| {
            let name = self.class_names.get(*class);
            let known = name.and_then(|name| train.class_names.iter().position(|other| other == name));
            known.map(|place| place as i64).ok_or_else(|| {
                let problem = format!("lies in no folder of a class that {} has", train.folder.display());
                DataError::wrong(path, problem)
            })
        };
        self.pictures.iter().map(place).collect()
    }
}

/// The endings of the files that are read, for a message.
fn endings() -> String {
    let read = image::ImageFormat::all().filter(image::ImageFormat::reading_enabled);
    let endings: Vec<&str> = read.flat_map(|format| format.extensions_str().iter().copied()).collect();
    endings.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSpec, Split};

    /// A picture of one color, but for a blue left edge of a quarter of its width.
    fn picture(path: &Path, width: u32, height: u32, color: [u8; 3]) {
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder of the test");
        let pixel = |x, _| image::Rgb(if x < width / 4 { [0, 0, 255] } else { color });
        image::RgbImage::from_fn(width, height, pixel).save(path).expect("a picture of the test");
    }

    fn spec(options: &str) -> DataSpec {
        toml::from_str(&format!("[folder]\npath = 'set'\nsize = 8\n{options}")).expect("a spec of the test")
    }

    fn folder() -> (tempfile::TempDir, DataRoots) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let roots = DataRoots { folders: vec![folder.path().to_owned()] };
        (folder, roots)
    }

    #[test]
    fn a_folder_a_class_in_the_order_of_names() {
        let (folder, roots) = folder();
        picture(&folder.path().join("set/dogs/deep/1.png"), 16, 8, [255, 0, 0]);
        picture(&folder.path().join("set/cats/2.bmp"), 8, 8, [0, 255, 0]);
        picture(&folder.path().join("set/cats/1.png"), 8, 8, [0, 255, 0]);
        std::fs::write(folder.path().join("set/notes.txt"), "not a picture").expect("a file of the test");
        let info = spec("").info(&roots).expect("a good folder");
        assert_eq!((info.shape.clone(), info.classes, info.len), (vec![3, 8, 8], 2, Some(3)));
        assert_eq!(info.class_names, ["cats", "dogs"]);
        let source = spec("").open(&roots).expect("a good folder");
        let all = source.reference(Split::Train, 0, 9);
        for i in 0..3 {
            // The red dogs are twice as wide as high, so their blue edge of 4 pixels is cropped away.
            let (red, green, blue) = (all.x.row(i)[0], all.x.row(i)[64 + 4], all.x.row(i)[128]);
            assert_eq!((red, green, blue), if all.labels[i] == 1 { (1.0, -1.0, -1.0) } else { (-1.0, 1.0, 1.0) });
        }
        let cats = spec("classes = [0]\nchannels = 1").open(&roots).expect("a good folder");
        assert_eq!((cats.info().shape.clone(), cats.info().len), (vec![1, 8, 8], Some(2)));
    }

    #[test]
    fn pictures_without_folders_have_no_labels_and_halves_are_cut() {
        let (folder, roots) = folder();
        picture(&folder.path().join("set/a.png"), 32, 16, [255, 255, 255]);
        picture(&folder.path().join("test/b.png"), 16, 16, [0, 0, 0]);
        let source =
            spec("half = 'right'\ntest-path = 'test'\nfilter = 'lanczos'").open(&roots).expect("a good folder");
        assert_eq!((source.info().classes, source.has_test()), (0, true));
        let all = source.reference(Split::Train, 0, 9);
        assert!(all.labels.is_empty());
        assert!(all.x.data.iter().all(|&v| v == 1.0), "the blue edge lies in the left half");
        assert!(source.reference(Split::Test, 0, 9).x.data.iter().all(|&v| v == -1.0));
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_one_sentence() {
        let (folder, roots) = folder();
        let fail = |spec: &DataSpec| {
            let error = spec.open(&roots).err().expect("a wrong folder");
            assert!(!error.is_spec_mistake());
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        };
        assert!(fail(&spec("")).starts_with("set is missing: looked at "));
        std::fs::create_dir(folder.path().join("set")).expect("a folder of the test");
        std::fs::write(folder.path().join("set/notes.txt"), "").expect("a file of the test");
        let text = fail(&spec(""));
        assert!(text.starts_with("set has no pictures: looked for files that end in gif, jpg, jpeg, png"), "{text}");
        picture(&folder.path().join("set/cats/1.png"), 8, 8, [0; 3]);
        std::fs::write(folder.path().join("set/cats/2.png"), "no picture at all").expect("a file of the test");
        let text = fail(&spec(""));
        assert!(text.starts_with("set/cats/2.png does not decode as a picture: "), "{text}");
        std::fs::remove_file(folder.path().join("set/cats/2.png")).expect("it is there");
        picture(&folder.path().join("test/birds/1.png"), 8, 8, [0; 3]);
        assert_eq!(fail(&spec("test-path = 'test'")), "test/birds/1.png lies in no folder of a class that set has");
    }
}
