//! Files: read with the path in the error, written whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What the disk refused, with the path.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried, as in "cannot write".
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

impl FileError {
    /// An error maker for `map_err`.
    pub fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

/// The bytes of a file.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(FileError::at("cannot read", path))
}

/// The text of a file.
///
/// # Errors
/// If it cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(FileError::at("cannot read", path))
}

/// Makes a folder and those above it.
///
/// # Errors
/// If the system refuses.
pub fn make_dir(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(FileError::at("cannot make the folder", path))
}

/// Replaces a file in one step: after a crash there is the old one or the new one, never half of one.
///
/// # Errors
/// If the system refuses; the old file is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomic`], for content that is written piece by piece.
///
/// # Errors
/// If the system refuses; the old file is then untouched.
pub fn write_atomic_with(
    path: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<&mut std::fs::File>) -> std::io::Result<()>,
) -> Result<(), FileError> {
    replace(path, true, write)
}

/// As [`write_atomic`], without waiting for the disk, which takes milliseconds: whole or not at all when a process dies,
/// but perhaps empty when the machine does. For files that can be made again.
///
/// # Errors
/// If the system refuses; the old file is then untouched.
pub fn write_atomic_soon(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, false, |file| file.write_all(bytes))
}

/// The beginning of the names of files that are not whole yet.
const PART: &str = ".part-";

/// Removes what a process that was killed left half written in a folder. Nobody else may be writing there.
pub fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PART) {
            // One that cannot be removed harms nothing.
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

fn replace(
    path: &Path,
    wait_for_disk: bool,
    write: impl FnOnce(&mut std::io::BufWriter<&mut std::fs::File>) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dir(folder)?;
    let failed = || FileError::at("cannot write", path);
    let mut file = tempfile::Builder::new().prefix(PART).tempfile_in(folder).map_err(failed())?;
    {
        let mut buffered = std::io::BufWriter::new(file.as_file_mut());
        write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed())?;
    }
    if wait_for_disk {
        file.as_file().sync_data().map_err(failed())?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A temporary file is private; what stays is a file like any other.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed())?;
    }
    file.persist(path).map_err(|e| failed()(e.error))?;
    Ok(())
}
