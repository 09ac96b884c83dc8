//! Texts: pieces of one file, or of a file a class, as the places of their characters among all that there are.

use super::{DataError, DataInfo, DataRoots, Examples, Source, Split, example_at, reference_order};
use crate::base::{Array, Probability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// More distinct characters than these are no alphabet.
const MOST_SYMBOLS: usize = 4096;

/// Text files in UTF-8. An example is `context` characters one after the other: for training from any place of the first
/// part of a file, for measuring from pieces of its held-out end that do not overlap. Symbols are the characters of all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextSpec {
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// In its place a file a class, which is named as the file is without its ending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<PathBuf>,
    /// The length of an example, in characters.
    #[serde(default = "TextSpec::context")]
    pub context: NonZeroU32,
    /// The share of each file, at its end, that is held out.
    #[serde(default = "TextSpec::test_share")]
    pub test_share: Probability,
}

impl TextSpec {
    fn context() -> NonZeroU32 {
        NonZeroU32::new(64).expect("64 is not 0")
    }
    fn test_share() -> Probability {
        Probability::of(0.1)
    }

    /// What is known of the text, which is read for that.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn info(&self, roots: &DataRoots) -> Result<DataInfo, DataError> {
        Ok(self.open(roots)?.info)
    }

    /// The files, one a class or one alone.
    fn paths(&self) -> Result<Vec<&Path>, DataError> {
        let wrong = |what: &str| Err(DataError::Spec(format!("text: {what}")));
        match (&self.path, &self.classes[..]) {
            (Some(path), []) => Ok(vec![path]),
            (None, []) => wrong("there is no file; say `path`, or `classes` with a file for each"),
            (Some(_), [_, ..]) => wrong("it has both `path` and `classes`; take one of them out"),
            (None, [_]) => {
                wrong("there is one class; name two files or more, or say `path` for a text without classes")
            }
            (None, paths) => Ok(paths.iter().map(PathBuf::as_path).collect()),
        }
    }

    /// The text in memory.
    ///
    /// # Errors
    /// If a file is missing or no text, or a part of it is shorter than an example.
    pub fn open(&self, roots: &DataRoots) -> Result<Text, DataError> {
        let paths: Vec<PathBuf> = self.paths()?.into_iter().map(|path| roots.find(path)).collect::<Result<_, _>>()?;
        let mut texts: Vec<Vec<char>> = Vec::with_capacity(paths.len());
        for path in &paths {
            let text = String::from_utf8(crate::base::file::read(path)?).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                DataError::wrong(path, format!("is no text in UTF-8 from byte {at} on; save it in that encoding"))
            })?;
            if text.is_empty() {
                return Err(DataError::wrong(path, "is empty: there is nothing to learn from".to_owned()));
            }
            texts.push(text.chars().collect());
        }
        let mut symbols = texts.concat();
        symbols.sort_unstable();
        symbols.dedup();
        if symbols.len() < 2 || symbols.len() > MOST_SYMBOLS {
            return Err(DataError::wrong(
                &paths[0],
                format!("has {} distinct characters; a text to learn from has 2 to {MOST_SYMBOLS}", symbols.len()),
            ));
        }
        let context = self.context.get() as usize;
        let (mut places, mut parts) = (Vec::with_capacity(texts.iter().map(Vec::len).sum()), Vec::new());
        for (path, text) in paths.iter().zip(&texts) {
            let held_out = ((text.len() as f64 * self.test_share.get()).round() as usize).min(text.len());
            let split = text.len() - held_out;
            for (part, length) in [("for training", split), ("held out", held_out)] {
                if length < context && (length > 0 || part == "for training") {
                    return Err(DataError::wrong(
                        path,
                        format!("has {length} characters {part}, fewer than one example of `context = {context}`"),
                    ));
                }
            }
            let begin = places.len();
            places.extend(text.iter().map(|c| symbols.binary_search(c).expect("all characters are listed") as u16));
            parts.push(Part { train: begin..begin + split, test: begin + split..places.len() });
        }
        let stem =
            |path: &PathBuf| path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let class_names: Vec<String> = if self.classes.is_empty() { vec![] } else { paths.iter().map(stem).collect() };
        let info = DataInfo {
            classes: class_names.len(),
            class_names,
            len: Some(parts.iter().map(|part| (part.train.len() - context + 1) as u64).sum()),
            range: Some((0.0, (symbols.len() - 1) as f32)),
            levels: Some(symbols.len() as u32),
            symbols,
            texts: parts.iter().map(|part| part.train.len() as u64).collect(),
            ..DataInfo::new(vec![context])
        };
        Ok(Text { info, places, parts })
    }
}

/// A text in memory.
#[derive(Debug)]
pub struct Text {
    info: DataInfo,
    /// All files, one after the other.
    places: Vec<u16>,
    parts: Vec<Part>,
}

/// Where a file is.
#[derive(Debug)]
struct Part {
    train: Range<usize>,
    test: Range<usize>,
}

impl Text {
    fn copy(&self, start: usize, x: &mut [f32]) {
        for (x, place) in x.iter_mut().zip(&self.places[start..]) {
            *x = f32::from(*place);
        }
    }
}

impl Source for Text {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn draw(&self, seed: u64, draw: u64, x: &mut [f32], labels: &mut [i64]) {
        let (context, n) = (self.info.shape[0], labels.len() as u64);
        let starts = self.info.len.expect("a text has a length");
        for ((x, label), i) in x.chunks_exact_mut(context).zip(labels).zip(0..) {
            let mut start = example_at(seed, draw * n + i, starts);
            for (part, class) in self.parts.iter().zip(0..) {
                let own = part.train.len() - context + 1;
                if start < own {
                    self.copy(part.train.start + start, x);
                    if self.info.classes > 0 {
                        *label = class;
                    }
                    break;
                }
                start -= own;
            }
        }
    }

    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples {
        let context = self.info.shape[0];
        let held_out = split == Split::Test && self.has_test();
        let range = |part: &Part| if held_out { part.test.clone() } else { part.train.clone() };
        let piece = |(part, class): (&Part, i64)| {
            let range = range(part);
            (0..range.len() / context).map(move |piece| (range.start + piece * context, class))
        };
        let pieces: Vec<(usize, i64)> = self.parts.iter().zip(0..).flat_map(piece).collect();
        let order: Vec<usize> = reference_order(seed, n, pieces.len()).collect();
        let mut data = vec![0.0; order.len() * context];
        for (x, &at) in data.chunks_exact_mut(context).zip(&order) {
            self.copy(pieces[at].0, x);
        }
        let labels = if self.info.classes > 0 { order.iter().map(|&at| pieces[at].1).collect() } else { vec![] };
        Examples { x: Array::new(vec![order.len(), context], data), labels }
    }

    fn texts(&self) -> Vec<(Vec<f32>, i64)> {
        let text = |(part, class): (&Part, i64)| {
            (self.places[part.train.clone()].iter().map(|&place| f32::from(place)).collect(), class)
        };
        self.parts.iter().zip(0..).map(text).collect()
    }

    fn has_test(&self) -> bool {
        self.parts.iter().all(|part| !part.test.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str, options: &str) -> Result<Text, DataError> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.txt"), text).expect("a file");
        let spec: TextSpec = toml::from_str(&format!("path = 'a.txt'\n{options}")).expect("a spec");
        spec.open(&DataRoots { folders: vec![folder.path().to_owned()] })
    }

    #[test]
    fn examples_are_pieces_of_the_text_and_the_end_is_held_out() {
        let text = "abcdefghij".repeat(10);
        let source = open(&text, "context = 4").expect("a text");
        assert_eq!((source.info.symbols.len(), source.info.levels, source.info.len), (10, Some(10), Some(87)));
        let (mut x, mut labels) = ([0.0; 12], [0; 3]);
        source.draw(1, 0, &mut x, &mut labels);
        for piece in x.chunks(4) {
            assert!(text.contains(&source.info.text(piece)), "{piece:?}");
        }
        let mut again = [0.0; 12];
        source.draw(1, 0, &mut again, &mut labels);
        assert_eq!(x, again);
        // Ten characters are held out: two pieces of four.
        let held_out = source.reference(Split::Test, 0, 100).x;
        let mut pieces: Vec<String> = (0..held_out.rows()).map(|i| source.info.text(held_out.row(i))).collect();
        pieces.sort();
        assert_eq!(pieces, ["abcd", "efgh"]);
        assert_eq!(source.reference(Split::Train, 0, 5).x.rows(), 5);
    }

    #[test]
    fn a_text_that_is_too_short_says_so() {
        let said = |text: &str, options: &str| open(text, options).expect_err("it is wrong").to_string();
        assert!(said("abc", "").contains("3 characters for training, fewer than one example of `context = 64`"));
        assert!(said(&"ab".repeat(20), "context = 10").contains("4 characters held out"));
        assert!(said("aaaa", "context = 1").contains("1 distinct characters"));
        assert!(said("", "").ends_with("is empty: there is nothing to learn from"));
    }

    #[test]
    fn a_file_a_class_makes_labels() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("low.txt"), "abcde".repeat(20)).expect("a file");
        std::fs::write(folder.path().join("high.txt"), "vwxyz".repeat(40)).expect("a file");
        let roots = DataRoots { folders: vec![folder.path().to_owned()] };
        let open = |text: &str| toml::from_str::<TextSpec>(text).expect("a spec").open(&roots);
        let source = open("classes = ['low.txt', 'high.txt']\ncontext = 5").expect("texts");
        let info = source.info();
        assert_eq!((info.classes, &info.class_names[..]), (2, &["low".to_owned(), "high".to_owned()][..]));
        assert_eq!((&info.texts[..], info.len), (&[90, 180][..], Some(86 + 176)));
        let is_low = |x: &[f32]| x.iter().all(|&place| place < 5.0);
        let (mut x, mut labels) = ([0.0; 5 * 262], [7; 262]);
        source.draw(3, 0, &mut x, &mut labels);
        assert_eq!(labels.iter().filter(|label| **label == 0).count(), 86, "each place once an epoch");
        assert!(x.chunks(5).zip(labels).all(|(x, label)| is_low(x) == (label == 0)));
        let held_out = source.reference(Split::Test, 0, 100);
        assert_eq!((held_out.x.rows(), held_out.labels.iter().sum::<i64>()), (2 + 4, 4));
        assert!((0..6).all(|i| is_low(held_out.x.row(i)) == (held_out.labels[i] == 0)));
        let texts = source.texts();
        assert_eq!((texts[0].0.len(), texts[0].1, texts[1].0.len(), texts[1].1), (90, 0, 180, 1));
        for (text, what) in [
            ("", "there is no file"),
            ("classes = ['low.txt']", "there is one class"),
            ("path = 'low.txt'\nclasses = ['low.txt', 'high.txt']", "both `path` and `classes`"),
        ] {
            let error = open(text).expect_err("it is wrong");
            assert!(error.is_spec_mistake() && error.to_string().contains(what), "{error}");
        }
        std::fs::write(folder.path().join("other.txt"), b"abc\xff").expect("a file");
        let error = open("path = 'other.txt'").expect_err("it is no text").to_string();
        assert!(error.ends_with("other.txt is no text in UTF-8 from byte 3 on; save it in that encoding"), "{error}");
    }
}
