//! Known data sets: each is a file `datasets/NAME.toml` that says what it is made of and where it comes from. Those of
//! this folder are part of the program; the user's own lie in a folder `datasets` beside their data and win.

use super::images::BinarizeKind;
use super::interval::Interval;
use super::{DataError, DataRoots, DataSpec, cifar::CifarSpec, folder::FolderSpec, idx::IdxSpec, table::CsvSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

/// A known set and what is taken of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DatasetSpec {
    /// The name of its description, as `gantlet data ls` lists it.
    pub name: String,
    /// What black and white become, for images. The default, (v − 0.5) / 0.5 for v from 0 to 1, suits a tanh.
    #[serde(default = "crate::data::images::normalize")]
    pub normalize: Interval,
    /// Only these labels, numbered anew in this order; all where the list is empty.
    #[serde(default)]
    pub classes: Vec<u32>,
    /// Only the first so many training examples (after the choice of classes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU64>,
    /// So many black pixels added at each side: 2 makes 32 of 28.
    #[serde(default)]
    pub pad: u32,
    /// Makes every pixel black or white; nothing said leaves it gray.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binarize: Option<BinarizeKind>,
    /// The side that a folder's pictures are brought to; its description's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<NonZeroU32>,
}

/// What `datasets/NAME.toml` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Description {
    /// One sentence.
    pub about: String,
    /// The license as its source states it.
    pub license: String,
    /// Where to read about it.
    pub home: String,
    /// The folder in a data folder that holds it; its name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Addresses that the names of files (or of the archive) are put behind, tried in order; none where none is stable.
    #[serde(default)]
    pub urls: Vec<String>,
    /// The range of the values as they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Interval>,
    /// What it is made of.
    #[serde(default)]
    pub files: Vec<FileEntry>,
    /// Folders of many files.
    #[serde(default)]
    pub folders: Vec<FolderEntry>,
    /// The archive that its files come in, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// How it is read; paths are from its folder.
    pub format: Format,
}

/// A file of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileEntry {
    /// Its path in the set's folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its checksum; only the archive may have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

/// A folder of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FolderEntry {
    /// Its path in the set's folder.
    pub path: String,
    /// How many files it has.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// The checksum of their bytes, one file after the other in the order of their names.
    pub md5: String,
}

/// A tar archive, packed with gzip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// Its name behind an address.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its checksum.
    pub md5: String,
    /// The folder inside that holds the files.
    pub inside: String,
}

/// How a known set is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Format {
    /// As `data.idx`.
    Idx(IdxSpec),
    /// As `data.cifar`.
    Cifar(CifarSpec),
    /// As `data.folder`.
    Folder(FolderSpec),
    /// As `data.csv`.
    Csv(CsvSpec),
    /// One text, for models of sequences.
    Text(TextFile),
}

/// A text of a known set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextFile {
    /// The file, UTF-8.
    pub path: PathBuf,
}

/// The descriptions that are part of the program.
const SHIPPED: [(&str, &str); 12] = [
    ("mnist", include_str!("../../datasets/mnist.toml")),
    ("fashion-mnist", include_str!("../../datasets/fashion-mnist.toml")),
    ("cifar10", include_str!("../../datasets/cifar10.toml")),
    ("cifar10-first4000", include_str!("../../datasets/cifar10-first4000.toml")),
    ("cifar100", include_str!("../../datasets/cifar100.toml")),
    ("facades", include_str!("../../datasets/facades.toml")),
    ("tinyshakespeare", include_str!("../../datasets/tinyshakespeare.toml")),
    ("iris", include_str!("../../datasets/iris.toml")),
    ("geyser", include_str!("../../datasets/geyser.toml")),
    ("penguins", include_str!("../../datasets/penguins.toml")),
    ("winequality-red", include_str!("../../datasets/winequality-red.toml")),
    ("winequality-white", include_str!("../../datasets/winequality-white.toml")),
];

/// The names of all descriptions, the shipped ones first.
pub fn names(roots: &DataRoots) -> Vec<String> {
    let mut names: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut own = Vec::new();
    for folder in roots.candidates(Path::new("datasets")) {
        for entry in walkdir::WalkDir::new(folder).max_depth(1).into_iter().filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                own.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
    }
    own.sort();
    own.dedup();
    own.retain(|name| !names.contains(name));
    names.extend(own);
    names
}

/// The description of a set.
///
/// # Errors
/// If there is none of this name, or a user's own does not parse.
pub fn describe(name: &str, roots: &DataRoots) -> Result<Description, DataError> {
    let plain = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
    let file = PathBuf::from("datasets").join(format!("{name}.toml"));
    if let Some(path) = roots.candidates(&file).into_iter().find(|path| plain && path.is_file()) {
        let text = crate::base::file::read_text(&path)?;
        let description: Description = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            DataError::Spec(format!("{}, line {line}: {}", path.display(), error.message()))
        })?;
        if let Some(part) = description.places().find(|part| !stays_inside(part)) {
            let problem = format!("{}: `{part}` leads out of the set's folder", path.display());
            return Err(DataError::Spec(problem));
        }
        return Ok(description);
    }
    let shipped = SHIPPED.iter().find(|(known, _)| *known == name);
    let (_, text) = shipped.ok_or_else(|| DataError::UnknownSet { name: name.to_owned(), known: names(roots) })?;
    Ok(toml::from_str(text).expect("a test parses every shipped description"))
}

/// Whether a path stays in the folder that it is put in.
fn stays_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
}

impl Description {
    /// All paths at which something of the set is written.
    fn places(&self) -> impl Iterator<Item = &str> {
        self.parts().chain(self.folder.as_deref()).chain(self.archive.iter().map(|archive| archive.file.as_str()))
    }

    /// The folder in a data folder that holds the set of this name.
    pub fn folder_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.folder.as_deref().unwrap_or(name)
    }

    /// All that the set is made of, as paths in its folder.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str()).chain(self.folders.iter().map(|folder| folder.path.as_str()))
    }

    /// The first place that holds a part of the set of this name.
    pub fn place(&self, name: &str, roots: &DataRoots) -> Option<PathBuf> {
        let places = roots.candidates(Path::new(self.folder_name(name)));
        // A place with everything wins over one with a part.
        let whole = places.iter().find(|place| self.parts().all(|part| place.join(part).exists()));
        whole.or_else(|| places.iter().find(|place| self.parts().any(|part| place.join(part).exists()))).cloned()
    }
}

impl DatasetSpec {
    /// The set of this name with every default.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            normalize: super::images::normalize(),
            classes: Vec::new(),
            limit: None,
            pad: 0,
            binarize: None,
            size: None,
        }
    }

    /// How the set is read, with paths from the one root that holds it.
    ///
    /// # Errors
    /// If there is no such set, or its files are nowhere, or an option does not go with it.
    pub(crate) fn resolve(&self, roots: &DataRoots) -> Result<(DataSpec, DataRoots), DataError> {
        let name = &self.name;
        let description = describe(name, roots)?;
        let mistake = |text: &str| Err(DataError::Spec(format!("data set `{name}`: {text}")));
        if self.size.is_some() && !matches!(description.format, Format::Folder(_)) {
            return mistake("`size` goes with folders of pictures only");
        }
        let spec = match description.format.clone() {
            Format::Idx(mut spec) => {
                (spec.normalize, spec.limit, spec.pad) = (self.normalize, self.limit, self.pad);
                spec.binarize = self.binarize;
                spec.classes.clone_from(&self.classes);
                DataSpec::Idx(spec)
            }
            Format::Cifar(mut spec) => {
                (spec.normalize, spec.limit, spec.pad) = (self.normalize, self.limit, self.pad);
                spec.binarize = self.binarize;
                spec.classes.clone_from(&self.classes);
                DataSpec::Cifar(spec)
            }
            Format::Folder(mut spec) => {
                (spec.normalize, spec.limit, spec.pad) = (self.normalize, self.limit, self.pad);
                spec.binarize = self.binarize;
                spec.classes.clone_from(&self.classes);
                spec.size = self.size.unwrap_or(spec.size);
                DataSpec::Folder(spec)
            }
            Format::Csv(_) if *self != Self::named(name) => {
                return mistake("is a table, which has none of the options of images; `data.csv` has those of tables");
            }
            Format::Csv(spec) => DataSpec::Csv(spec),
            Format::Text(file) => {
                let place = Path::new(description.folder_name(name)).join(&file.path);
                return mistake(&format!("is a text: take `[data.text]` with `path = \"{}\"`", place.display()));
            }
        };
        let missing = |what: String| {
            let looked = roots.candidates(Path::new(description.folder_name(name)));
            DataError::Missing { what, looked, remedy: format!("`gantlet data get {name}` fetches it") }
        };
        let Some(place) = description.place(name, roots) else { return Err(missing(format!("data set `{name}`"))) };
        if let Some(part) = description.parts().find(|part| !place.join(part).exists()) {
            return Err(missing(format!("`{part}` of data set `{name}`")));
        }
        Ok((spec, DataRoots { folders: vec![place] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_description_parses_and_names_files_that_its_format_reads() {
        for (name, _) in SHIPPED {
            let description = describe(name, &DataRoots { folders: vec!["/nowhere".into()] }).expect(name);
            let parts: Vec<PathBuf> = description.parts().map(PathBuf::from).collect();
            let read: Vec<PathBuf> = match &description.format {
                Format::Idx(spec) => [&spec.labels, &spec.test_images, &spec.test_labels]
                    .into_iter()
                    .flatten()
                    .chain([&spec.images])
                    .cloned()
                    .collect(),
                Format::Cifar(spec) => spec.files.iter().chain(&spec.test_files).cloned().collect(),
                Format::Folder(spec) => spec.test_path.iter().chain([&spec.path]).cloned().collect(),
                Format::Csv(spec) => vec![spec.path.clone()],
                Format::Text(text) => vec![text.path.clone()],
            };
            assert!(read.iter().all(|path| parts.contains(path)), "{name}: {read:?} of {parts:?}");
            assert!(description.urls.iter().all(|url| url.ends_with('/')), "{name}");
        }
    }

    #[test]
    fn an_unknown_set_is_a_mistake_that_lists_the_known_ones() {
        let error =
            DataSpec::Dataset(DatasetSpec::named("mnits")).info(&DataRoots::default()).expect_err("no such set");
        assert!(error.is_spec_mistake());
        assert!(
            error
                .to_string()
                .starts_with("there is no data set named `mnits`, the known ones are mnist, fashion-mnist,")
        );
    }

    #[test]
    fn a_missing_set_says_where_was_looked_and_how_to_get_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let roots = DataRoots { folders: vec![folder.path().to_owned(), "/nowhere".into()] };
        let spec = DataSpec::Dataset(DatasetSpec::named("mnist"));
        let text = |spec: &DataSpec| {
            let error = spec.info(&roots).expect_err("no set");
            assert!(!error.is_spec_mistake());
            error.to_string().replace(&folder.path().display().to_string(), "ROOT")
        };
        assert_eq!(
            text(&spec),
            "data set `mnist` is missing: looked at ROOT/mnist, /nowhere/mnist; `gantlet data get mnist` fetches it"
        );
        std::fs::create_dir(folder.path().join("mnist")).expect("a folder of the test");
        std::fs::write(folder.path().join("mnist/train-images-idx3-ubyte.gz"), "").expect("a file of the test");
        assert!(text(&spec).starts_with("`train-labels-idx1-ubyte.gz` of data set `mnist` is missing"));
    }

    #[test]
    fn a_description_of_the_users_own_is_found_beside_their_data() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let roots = DataRoots { folders: vec![folder.path().to_owned()] };
        std::fs::create_dir(folder.path().join("datasets")).expect("a folder of the test");
        let text = "about = 'mine'\nlicense = 'mine'\nhome = ''\n[[files]]\npath = 'a.csv'\nbytes = 8\n[format.csv]\npath = 'a.csv'\n";
        std::fs::write(folder.path().join("datasets/own.toml"), text).expect("a file of the test");
        std::fs::write(folder.path().join("datasets/bad.toml"), "about = 'x'\nlicence = 'y'\n")
            .expect("a file of the test");
        assert_eq!(names(&roots)[12..], ["bad".to_owned(), "own".to_owned()]);
        assert_eq!(describe("own", &roots).expect("it is there").about, "mine");
        let error = describe("bad", &roots).expect_err("a wrong key");
        assert!(
            error.is_spec_mistake() && error.to_string().contains("bad.toml, line 2: unknown field `licence`"),
            "{error}"
        );
        for (from, to) in [("path = 'a.csv'", "path = '../a.csv'"), ("home = ''", "home = ''\nfolder = '/etc'")] {
            std::fs::write(folder.path().join("datasets/out.toml"), text.replacen(from, to, 1))
                .expect("a file of the test");
            let error = describe("out", &roots).expect_err("a path that leads out").to_string();
            assert!(error.ends_with("leads out of the set's folder"), "{error}");
        }
    }
}
