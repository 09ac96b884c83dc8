//! The known data sets for `gantlet data`: list, fetch, check and show them.

use super::known::{Archive, DatasetSpec, Description, FileEntry, FolderEntry, describe, names};
use super::{DataError, DataInfo, DataRoots, DataSpec, Examples, Split};
use crate::base::file::{FileError, make_dir};
use md5::{Digest as _, Md5};
use serde::Deserialize as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A known set.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownSet {
    /// Its name.
    pub name: String,
    /// One sentence, or what is wrong with its description.
    pub about: String,
    /// The license as its source states it.
    pub license: String,
    /// How many bytes it is.
    pub bytes: u64,
    /// Whether it is here.
    pub present: Presence,
}

/// Whether a set is here, by the sizes of its files.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// Not at all.
    Absent,
    /// All of it, in this folder.
    Present(PathBuf),
    /// Some of it, in this folder; or files of other sizes.
    Partial(PathBuf),
}

/// A part of a set under check.
#[derive(Clone, Debug, PartialEq)]
pub struct PartCheck {
    /// Its path in the folder of the set.
    pub path: String,
    /// What was found.
    pub found: Found,
}

/// What a check found of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Size and checksum match the description.
    Good,
    /// Nothing.
    Missing,
    /// Another number of bytes.
    Size {
        /// As described.
        expected: u64,
        /// As found.
        found: u64,
    },
    /// Another number of files in a folder.
    Count {
        /// As described.
        expected: u64,
        /// As found.
        found: u64,
    },
    /// Other content.
    Checksum {
        /// As described.
        expected: String,
        /// As found.
        found: String,
    },
}

/// All known sets, those of the user's `datasets` folders included.
pub fn list(roots: &DataRoots) -> Vec<KnownSet> {
    let entry = |name: String| match describe(&name, roots) {
        Ok(description) => {
            let present = presence(&description, &name, roots);
            let bytes = description.bytes();
            KnownSet { name, about: description.about, license: description.license, bytes, present }
        }
        Err(error) => {
            KnownSet { name, about: error.to_string(), license: String::new(), bytes: 0, present: Presence::Absent }
        }
    };
    names(roots).into_iter().map(entry).collect()
}

/// Each part of a set against its description, byte for byte.
///
/// # Errors
/// If there is no such set, it is nowhere, or it cannot be read.
pub fn check(name: &str, roots: &DataRoots) -> Result<Vec<PartCheck>, DataError> {
    let description = describe(name, roots)?;
    let folder = description.place(name, roots).ok_or_else(|| DataError::Missing {
        what: format!("data set `{name}`"),
        looked: roots.candidates(Path::new(description.folder_name(name))),
        remedy: format!("`gantlet data get {name}` fetches it"),
    })?;
    check_at(&description, &folder)
}

/// Fetches a set into a data folder: from the addresses of its description, or from another address or folder. Good files
/// are kept, and a partial download resumes. `progress` is called with the bytes done and the total.
///
/// # Errors
/// If there is no such set, no source for it, or the files do not match the description.
pub fn get(
    name: &str,
    roots: &DataRoots,
    from: Option<&str>,
    into: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf, DataError> {
    let description = describe(name, roots)?;
    let target = into.join(description.folder_name(name));
    make_dir(&target)?;
    let mut meter = Meter { done: 0, total: description.bytes(), tell: progress };
    let fails = |problem: String| DataError::Fetch { what: format!("data set `{name}`"), problem };
    match from {
        Some(folder) if !is_url(folder) => copy_set(&description, name, Path::new(folder), &target, &mut meter)?,
        _ => {
            let urls =
                from.map_or_else(|| description.urls.clone(), |url| vec![format!("{}/", url.trim_end_matches('/'))]);
            if urls.is_empty() || !description.folders.is_empty() {
                let home = &description.home;
                let problem = format!("no stable address is known; get it from {home} and name the folder with --from");
                return Err(fails(problem));
            }
            if let Some(archive) = &description.archive {
                let missing = check_at(&description, &target)?.into_iter().any(|part| part.found != Found::Good);
                if missing {
                    meter.total = archive.bytes;
                    let packed = target.join(&archive.file);
                    download(&urls, &archive.file, &packed, archive.bytes, Some(&archive.md5), &mut meter)?;
                    unpack(&description, archive, &packed, &target)?;
                    std::fs::remove_file(&packed).map_err(FileError::at("cannot remove", &packed))?;
                }
            } else {
                for file in &description.files {
                    let path = target.join(&file.path);
                    download(&urls, &file.path, &path, file.bytes, file.md5.as_deref(), &mut meter)?;
                }
            }
        }
    }
    let bad = check_at(&description, &target)?.into_iter().find(|part| part.found != Found::Good);
    match bad {
        None => Ok(target),
        Some(part) => Err(DataError::wrong(&target.join(&part.path), part.found.to_string())),
    }
}

/// `n` training examples of a source, the same as in every preview, with its description.
///
/// # Errors
/// As [`DataSpec::open`].
pub fn preview(spec: &DataSpec, roots: &DataRoots, n: usize) -> Result<(DataInfo, Examples), DataError> {
    let source = spec.open(roots)?;
    Ok((source.info().clone(), source.reference(Split::Train, 0, n)))
}

/// The source with a bare name: a known set, or a distribution or the shapes with all defaults.
///
/// # Errors
/// If there is none.
pub fn named(name: &str, roots: &DataRoots) -> Result<DataSpec, DataError> {
    let table = toml::Table::from_iter([(name.to_owned(), toml::Value::Table(toml::Table::new()))]);
    match DataSpec::deserialize(table) {
        Ok(spec) => Ok(spec),
        Err(_) => describe(name, roots).map(|_| DataSpec::Dataset(DatasetSpec::named(name))),
    }
}

impl std::fmt::Display for Found {
    /// A phrase to follow the name of the part.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good => write!(out, "is good"),
            Self::Missing => write!(out, "is missing"),
            Self::Size { expected, found } => write!(out, "has {found} bytes, expected {expected}"),
            Self::Count { expected, found } => write!(out, "has {found} files, expected {expected}"),
            Self::Checksum { expected, found } => write!(out, "has the md5 checksum {found}, expected {expected}"),
        }
    }
}

impl Description {
    /// How many bytes the set is.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).chain(self.folders.iter().map(|folder| folder.bytes)).sum()
    }
}

/// Progress in bytes.
struct Meter<'a> {
    done: u64,
    total: u64,
    tell: &'a mut dyn FnMut(u64, u64),
}

impl Meter<'_> {
    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        (self.tell)(self.done, self.total);
    }
}

fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

fn presence(description: &Description, name: &str, roots: &DataRoots) -> Presence {
    let Some(found) = description.place(name, roots) else { return Presence::Absent };
    let size = |path: &str| std::fs::metadata(found.join(path)).map(|data| data.len()).ok();
    let whole = description.files.iter().all(|file| size(&file.path) == Some(file.bytes))
        && description.folders.iter().all(|folder| {
            let files = files_of(&found.join(&folder.path)).unwrap_or_default();
            files.len() as u64 == folder.files
        });
    if whole { Presence::Present(found) } else { Presence::Partial(found) }
}

fn check_at(description: &Description, set: &Path) -> Result<Vec<PartCheck>, DataError> {
    let mut parts = Vec::new();
    for file in &description.files {
        let found = check_file(&set.join(&file.path), file.bytes, file.md5.as_deref())?;
        parts.push(PartCheck { path: file.path.clone(), found });
    }
    for folder in &description.folders {
        let found = check_folder(&set.join(&folder.path), folder)?;
        parts.push(PartCheck { path: folder.path.clone(), found });
    }
    Ok(parts)
}

fn check_file(path: &Path, bytes: u64, md5: Option<&str>) -> Result<Found, DataError> {
    let Ok(data) = std::fs::metadata(path) else { return Ok(Found::Missing) };
    if data.len() != bytes {
        return Ok(Found::Size { expected: bytes, found: data.len() });
    }
    let Some(expected) = md5 else { return Ok(Found::Good) };
    Ok(same(expected, checksum(&[path.to_owned()])?))
}

fn check_folder(path: &Path, entry: &FolderEntry) -> Result<Found, DataError> {
    if !path.is_dir() {
        return Ok(Found::Missing);
    }
    let files = files_of(path)?;
    if files.len() as u64 != entry.files {
        return Ok(Found::Count { expected: entry.files, found: files.len() as u64 });
    }
    let found = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum();
    if found != entry.bytes {
        return Ok(Found::Size { expected: entry.bytes, found });
    }
    Ok(same(&entry.md5, checksum(&files)?))
}

fn same(expected: &str, found: String) -> Found {
    if expected == found { Found::Good } else { Found::Checksum { expected: expected.to_owned(), found } }
}

/// The files directly in a folder, in the order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = std::fs::read_dir(path).map_err(FileError::at("cannot list", path))?;
    let mut files: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// The md5 of the bytes of these files, one after the other.
fn checksum(files: &[PathBuf]) -> Result<String, DataError> {
    let mut digest = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    for path in files {
        let mut file = File::open(path).map_err(FileError::at("cannot read", path))?;
        loop {
            let n = file.read(&mut buffer).map_err(FileError::at("cannot read", path))?;
            if n == 0 {
                break;
            }
            digest.update(&buffer[..n]);
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The path of a partial file.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Moves a complete file to its path, and removes one that does not match its description.
fn settle(part: &Path, path: &Path, bytes: u64, md5: Option<&str>, whence: &str) -> Result<(), DataError> {
    let found = check_file(part, bytes, md5)?;
    if found != Found::Good {
        std::fs::remove_file(part).map_err(FileError::at("cannot remove", part))?;
        return Err(DataError::Fetch { what: whence.to_owned(), problem: format!("the file {found}") });
    }
    std::fs::rename(part, path).map_err(FileError::at("cannot write", path))?;
    Ok(())
}

fn copy_set(
    description: &Description,
    name: &str,
    from: &Path,
    target: &Path,
    meter: &mut Meter<'_>,
) -> Result<(), DataError> {
    // The folder named may be that of the set, or a data folder with the set in it.
    let from = [from.join(description.folder_name(name)), from.to_owned()]
        .into_iter()
        .find(|folder| description.parts().any(|part| folder.join(part).exists()))
        .ok_or_else(|| DataError::Fetch {
            what: format!("data set `{name}`"),
            problem: format!("none of its files lies in {}", from.display()),
        })?;
    for file in &description.files {
        let (source, path) = (from.join(&file.path), target.join(&file.path));
        copy(&source, &path, meter)?;
        settle(&part_of(&path), &path, file.bytes, file.md5.as_deref(), &source.display().to_string())?;
    }
    for folder in &description.folders {
        for source in files_of(&from.join(&folder.path))? {
            let path = target.join(&folder.path).join(source.file_name().unwrap_or_default());
            copy(&source, &path, meter)?;
            std::fs::rename(part_of(&path), &path).map_err(FileError::at("cannot write", &path))?;
        }
    }
    Ok(())
}

/// Copies a file to its path with the ending of a partial one.
fn copy(source: &Path, path: &Path, meter: &mut Meter<'_>) -> Result<(), DataError> {
    make_dir(path.parent().unwrap_or(Path::new(".")))?;
    let mut file = File::open(source).map_err(FileError::at("cannot read", source))?;
    let part = part_of(path);
    let mut out = File::create(&part).map_err(FileError::at("cannot write", &part))?;
    pour(&mut file, &mut out, &part, &source.display().to_string(), meter)
}

/// Copies all of a reader into a file, and waits until it is on the disk.
fn pour(
    from: &mut dyn Read,
    out: &mut File,
    path: &Path,
    whence: &str,
    meter: &mut Meter<'_>,
) -> Result<(), DataError> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DataError::Fetch { what: whence.to_owned(), problem: error.to_string() }),
        };
        out.write_all(&buffer[..n]).map_err(FileError::at("cannot write", path))?;
        meter.add(n as u64);
    }
    out.sync_data().map_err(FileError::at("cannot write", path))?;
    Ok(())
}

/// Downloads a file from the first address that has it; resumes a partial download.
fn download(
    urls: &[String],
    name: &str,
    path: &Path,
    bytes: u64,
    md5: Option<&str>,
    meter: &mut Meter<'_>,
) -> Result<(), DataError> {
    if check_file(path, bytes, md5)? == Found::Good {
        meter.add(bytes);
        return Ok(());
    }
    make_dir(path.parent().unwrap_or(Path::new(".")))?;
    let before = meter.done;
    let mut outcome = Ok(());
    for url in urls {
        meter.done = before;
        let url = format!("{url}{name}");
        outcome =
            fetch(&url, &part_of(path), bytes, meter).and_then(|()| settle(&part_of(path), path, bytes, md5, &url));
        // A full disk is full for every address.
        if matches!(outcome, Ok(()) | Err(DataError::File(_))) {
            break;
        }
    }
    outcome
}

fn fetch(url: &str, part: &Path, bytes: u64, meter: &mut Meter<'_>) -> Result<(), DataError> {
    let fails = |problem: String| DataError::Fetch { what: url.to_owned(), problem };
    let have = std::fs::metadata(part).map_or(0, |data| data.len());
    if have == bytes {
        meter.add(bytes);
        return Ok(());
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(url);
    if have > 0 && have < bytes {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| fails(error.to_string()))?;
    // A server without support for ranges sends the whole file.
    let resumes = match response.status().as_u16() {
        200 => false,
        206 => true,
        status => return Err(fails(format!("the server answers {status}"))),
    };
    let mut options = std::fs::OpenOptions::new();
    let options = if resumes { options.append(true) } else { options.write(true).create(true).truncate(true) };
    let mut out = options.open(part).map_err(FileError::at("cannot write", part))?;
    if resumes {
        meter.add(have);
    }
    // One byte too many is enough to notice a longer file.
    let due = bytes - if resumes { have } else { 0 };
    let mut body = response.into_body().into_reader().take(due + 1);
    pour(&mut body, &mut out, part, url, meter)?;
    let now = std::fs::metadata(part).map_or(0, |data| data.len());
    if now < bytes {
        return Err(fails(format!(
            "the connection ended after {now} of {bytes} bytes; run the command again to resume"
        )));
    }
    Ok(())
}

/// Extracts a set's files from its archive.
fn unpack(description: &Description, archive: &Archive, packed: &Path, target: &Path) -> Result<(), DataError> {
    let broken =
        |error: std::io::Error| DataError::wrong(packed, format!("is not a tar archive, or is broken: {error}"));
    let mut tar = tar::Archive::new(super::images::unpacked(packed)?);
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let path = path.strip_prefix(".").unwrap_or(&path);
        let is_wanted = |file: &&FileEntry| path == Path::new(&archive.inside).join(&file.path);
        let Some(file) = description.files.iter().find(is_wanted) else { continue };
        let (whence, path) = (packed.display().to_string(), target.join(&file.path));
        let part = part_of(&path);
        let mut out = File::create(&part).map_err(FileError::at("cannot write", &part))?;
        let mut meter = Meter { done: 0, total: file.bytes, tell: &mut |_, _| () };
        pour(&mut entry, &mut out, &part, &whence, &mut meter)?;
        settle(&part, &path, file.bytes, file.md5.as_deref(), &whence)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    const TEXT: &[u8] = b"a,b\n1,2\n3,4\n5,6\n";

    fn hex(bytes: &[u8]) -> String {
        Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A data folder with a description `own` of one file `a.csv`.
    fn described(md5: &str, more: &str) -> (tempfile::TempDir, DataRoots) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("datasets")).expect("a folder of the test");
        let text = format!(
            "about = 'mine'\nlicense = 'mine'\nhome = 'my desk'\n{more}\n[[files]]\npath = 'a.csv'\nbytes = {}\nmd5 = '{md5}'\n\
             [format.csv]\npath = 'a.csv'\ntest-share = 0\n",
            TEXT.len()
        );
        std::fs::write(folder.path().join("datasets/own.toml"), text).expect("a file of the test");
        let roots = DataRoots { folders: vec![folder.path().to_owned()] };
        (folder, roots)
    }

    /// Answers so many requests with these bytes, with ranges where asked; cuts the first answer short after `cut` bytes.
    fn serve(bytes: Vec<u8>, requests: usize, cut: Option<usize>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/files/", listener.local_addr().expect("a bound port"));
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for i in 0..requests {
                let (mut stream, _) = listener.accept().expect("a request");
                let lines: Vec<String> = BufReader::new(stream.try_clone().expect("a stream"))
                    .lines()
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let range =
                    lines.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
                let from: usize =
                    range.as_ref().and_then(|range| range.trim_end_matches('-').parse().ok()).unwrap_or(0);
                asked.push(format!("{} {}", lines[0], range.clone().unwrap_or_default()));
                let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len() - from);
                let end = cut.filter(|_| i == 0).unwrap_or(bytes.len());
                stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(&bytes[from..end]))
                    .expect("an answer");
            }
            asked
        });
        (url, server)
    }

    #[test]
    fn a_download_that_was_cut_off_resumes_where_it_stopped() {
        let (folder, roots) = described(&hex(TEXT), "");
        let (url, server) = serve(TEXT.to_vec(), 2, Some(6));
        let get = |url: &str| {
            let mut told = Vec::new();
            let outcome = get("own", &roots, Some(url), folder.path(), &mut |done, total| told.push((done, total)));
            (outcome, told)
        };
        let (outcome, _) = get(&url);
        assert!(outcome.expect_err("cut off").to_string().starts_with(&format!("cannot get {url}a.csv: ")));
        assert_eq!(std::fs::read(folder.path().join("own/a.csv.part")).expect("what came"), TEXT[..6]);
        assert_eq!(presence_of(&roots), Presence::Absent);
        let (outcome, told) = get(&url);
        assert_eq!(outcome.expect("the rest came"), folder.path().join("own"));
        assert_eq!((told[0], *told.last().expect("progress")), ((6, 16), (16, 16)));
        assert_eq!(server.join().expect("a server"), ["GET /files/a.csv HTTP/1.1 ", "GET /files/a.csv HTTP/1.1 6-"]);
        assert_eq!(std::fs::read(folder.path().join("own/a.csv")).expect("the file"), TEXT);
        assert_eq!(presence_of(&roots), Presence::Present(folder.path().join("own")));
        assert_eq!(named("own", &roots).expect("a set").info(&roots).expect("a table").len, Some(3));
        // Again, without a server: nothing is left to do.
        get(&url).0.expect("all is there");
    }

    fn presence_of(roots: &DataRoots) -> Presence {
        list(roots).into_iter().find(|entry| entry.name == "own").expect("a described set").present
    }

    #[test]
    fn what_came_with_another_checksum_is_not_kept() {
        let (folder, roots) = described("00000000000000000000000000000000", "");
        let (url, server) = serve(TEXT.to_vec(), 1, None);
        let error = get("own", &roots, Some(&url), folder.path(), &mut |_, _| ()).expect_err("a wrong sum");
        let expected = format!(
            "cannot get {url}a.csv: the file has the md5 checksum {}, expected 00000000000000000000000000000000",
            hex(TEXT)
        );
        assert_eq!((error.to_string(), error.is_spec_mistake()), (expected, false));
        server.join().expect("a server");
        assert!(files_of(&folder.path().join("own")).expect("a folder").is_empty());
    }

    #[test]
    fn a_set_comes_from_a_folder_and_is_checked() {
        let (folder, roots) = described(&hex(TEXT), "");
        let desk = tempfile::tempdir().expect("a temporary folder");
        let from = desk.path().to_str().expect("a path of the test");
        let fetch = || get("own", &roots, Some(from), folder.path(), &mut |_, _| ());
        let error = fetch().expect_err("nothing is there").to_string();
        assert_eq!(error, format!("cannot get data set `own`: none of its files lies in {from}"));
        std::fs::create_dir(desk.path().join("own")).expect("a folder of the test");
        std::fs::write(desk.path().join("own/a.csv"), TEXT).expect("a file of the test");
        fetch().expect("a good set");
        let checked = |found| vec![PartCheck { path: "a.csv".to_owned(), found }];
        assert_eq!(check("own", &roots).expect("it is there"), checked(Found::Good));
        std::fs::write(folder.path().join("own/a.csv"), b"a,b\n1,2\n3,4\n5,7\n").expect("a file of the test");
        let (expected, found) = (hex(TEXT), hex(b"a,b\n1,2\n3,4\n5,7\n"));
        assert_eq!(check("own", &roots).expect("it is there"), checked(Found::Checksum { expected, found }));
        std::fs::write(folder.path().join("own/a.csv"), b"a").expect("a file of the test");
        assert_eq!(check("own", &roots).expect("it is there"), checked(Found::Size { expected: 16, found: 1 }));
        assert_eq!(presence_of(&roots), Presence::Partial(folder.path().join("own")));
        std::fs::remove_file(folder.path().join("own/a.csv")).expect("it is there");
        let error = check("own", &roots).expect_err("nothing is there").to_string();
        assert!(error.ends_with("`gantlet data get own` fetches it"), "{error}");
    }

    #[test]
    fn an_archive_is_fetched_and_unpacked() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut append = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, bytes).expect("memory takes bytes");
        };
        // Tar stores names of more than 100 bytes in an entry of their own.
        let inside = format!("a-folder-with-{}-name", ["long"; 25].join("-"));
        append(&format!("{inside}/read.me"), &[7; 700]);
        append(&format!("./{inside}/a.csv"), TEXT);
        let tar = tar.into_inner().expect("memory takes bytes");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&tar).expect("memory takes bytes");
        let packed = packed.finish().expect("memory takes bytes");
        let archive = format!(
            "archive = {{ file = 'a.tar.gz', bytes = {}, md5 = '{}', inside = '{inside}' }}",
            packed.len(),
            hex(&packed)
        );
        let (folder, roots) = described(&hex(TEXT), &archive);
        let (url, server) = serve(packed, 1, None);
        get("own", &roots, Some(&url), folder.path(), &mut |_, _| ()).expect("a good archive");
        server.join().expect("a server");
        let files = files_of(&folder.path().join("own")).expect("a folder");
        assert_eq!(files, [folder.path().join("own/a.csv")]);
        assert_eq!(std::fs::read(&files[0]).expect("the file"), TEXT);
        let broken = folder.path().join("broken.tar");
        std::fs::write(&broken, [b'x'; 1024]).expect("a file of the test");
        let description = describe("own", &roots).expect("a set");
        let archive = description.archive.as_ref().expect("an archive");
        let error = unpack(&description, archive, &broken, folder.path()).expect_err("no archive").to_string();
        assert!(error.contains("is not a tar archive, or is broken: "), "{error}");
    }

    #[test]
    fn a_set_without_an_address_says_where_to_look() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = get("facades", &DataRoots::default(), None, folder.path(), &mut |_, _| ()).expect_err("no address");
        assert_eq!(
            error.to_string(),
            "cannot get data set `facades`: no stable address is known; get it from \
             https://cmp.felk.cvut.cz/~tylecr1/facade/ and name the folder with --from"
        );
    }

    #[test]
    fn a_bare_name_is_a_distribution_or_a_known_set() {
        let roots = DataRoots::default();
        let moons: DataSpec = toml::from_str("[two-moons]\n").expect("a spec of the test");
        assert!(matches!(&moons, DataSpec::TwoMoons(_)));
        assert_eq!(named("two-moons", &roots).expect("a distribution"), moons);
        assert_eq!(named("mnist", &roots).expect("a set"), DataSpec::Dataset(DatasetSpec::named("mnist")));
        assert!(matches!(named("nothing", &roots), Err(DataError::UnknownSet { .. })));
        let (info, examples) = preview(&named("shapes", &roots).expect("a set"), &roots, 12).expect("it draws");
        assert_eq!((info.classes, examples.x.shape), (10, vec![12, 1, 28, 28]));
    }
}
