//! Texts: pieces of one file, as the places of their characters among all that it has.

use super::{DataError, DataInfo, DataRoots, Examples, Source, Split, Truth, example_at, reference_order};
use crate::base::{Array, Probability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// More distinct characters than these are no alphabet.
const MOST_SYMBOLS: usize = 4096;

/// A text file in UTF-8. An example is `context` characters one after the other: for training from any place of the first
/// part, for measuring from pieces of the held-out end that do not overlap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextSpec {
    /// The file.
    pub path: PathBuf,
    /// The length of an example, in characters.
    #[serde(default = "TextSpec::context")]
    pub context: NonZeroU32,
    /// The share of the text, at its end, that is held out.
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

    /// The text in memory.
    ///
    /// # Errors
    /// If the file is missing or no text, or a part of it is shorter than an example.
    pub fn open(&self, roots: &DataRoots) -> Result<Text, DataError> {
        let path = roots.find(&self.path)?;
        let wrong = |problem: String| DataError::wrong(&path, problem);
        let text: Vec<char> = crate::base::file::read_text(&path)?.chars().collect();
        let mut symbols = text.clone();
        symbols.sort_unstable();
        symbols.dedup();
        if symbols.len() < 2 || symbols.len() > MOST_SYMBOLS {
            return Err(wrong(format!(
                "has {} distinct characters; a text to learn from has 2 to {MOST_SYMBOLS}",
                symbols.len()
            )));
        }
        let places: Vec<u16> =
            text.iter().map(|c| symbols.binary_search(c).expect("all characters are listed") as u16).collect();
        let context = self.context.get() as usize;
        let held_out = (places.len() as f64 * self.test_share.get()).round() as usize;
        let split = places.len() - held_out.min(places.len());
        for (part, length) in [("for training", split), ("held out", held_out)] {
            if length < context && (length > 0 || part == "for training") {
                return Err(wrong(format!(
                    "has {length} characters {part}, fewer than one example of `context = {context}`"
                )));
            }
        }
        let info = DataInfo {
            shape: vec![context],
            classes: 0,
            class_names: vec![],
            len: Some((split - context + 1) as u64),
            range: Some((0.0, (symbols.len() - 1) as f32)),
            levels: Some(symbols.len() as u32),
            binarized: None,
            symbols,
            truth: Truth::Unknown,
        };
        Ok(Text { info, places, split })
    }
}

/// A text in memory.
#[derive(Debug)]
pub struct Text {
    info: DataInfo,
    places: Vec<u16>,
    /// Where the held-out part begins.
    split: usize,
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
        let starts = (self.split - context + 1) as u64;
        for (x, i) in x.chunks_exact_mut(context).zip(0..) {
            self.copy(example_at(seed, draw * n + i, starts), x);
        }
    }

    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples {
        let context = self.info.shape[0];
        let (begin, end) =
            if split == Split::Test && self.has_test() { (self.split, self.places.len()) } else { (0, self.split) };
        let order: Vec<usize> = reference_order(seed, n, (end - begin) / context).collect();
        let mut data = vec![0.0; order.len() * context];
        for (x, piece) in data.chunks_exact_mut(context).zip(&order) {
            self.copy(begin + piece * context, x);
        }
        Examples { x: Array::new(vec![order.len(), context], data), labels: vec![] }
    }

    fn has_test(&self) -> bool {
        self.split < self.places.len()
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
    }
}
