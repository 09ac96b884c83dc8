//! What a file held at a moment, so that a byte that changed since is noticed.

use serde::{Deserialize, Serialize};

/// How many bytes a file had from its beginning, and their hash: `1234 <64 hex digits>`. A file may have grown since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seal {
    bytes: u64,
    hash: blake3::Hash,
}

impl Seal {
    /// The seal of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, hash: blake3::hash(bytes) }
    }

    /// The part of a file's bytes that was sealed, if it still is what it was; else what is wrong, to follow the name of
    /// the file.
    ///
    /// # Errors
    /// If the file is shorter than it was, or something changed.
    pub fn check<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let sealed = usize::try_from(self.bytes)
            .ok()
            .and_then(|length| bytes.get(..length))
            .ok_or_else(|| format!("it has {} bytes, and {} were written", bytes.len(), self.bytes))?;
        if blake3::hash(sealed) == self.hash { Ok(sealed) } else { Err("its checksum does not match".to_owned()) }
    }
}

impl std::fmt::Display for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.bytes, self.hash.to_hex())
    }
}

impl From<Seal> for String {
    fn from(seal: Seal) -> Self {
        seal.to_string()
    }
}

impl TryFrom<String> for Seal {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = || {
            let (bytes, hash) = text.split_once(' ')?;
            Some(Self { bytes: bytes.parse().ok()?, hash: blake3::Hash::from_hex(hash).ok()? })
        };
        read().ok_or("expected a number of bytes and their hash")
    }
}

/// The seal of a file that grows.
#[derive(Clone, Debug, Default)]
pub struct Sealing {
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Sealing {
    /// Takes what is appended.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    /// The seal of all that was taken.
    pub fn seal(&self) -> Seal {
        Seal { bytes: self.bytes, hash: self.hasher.finalize() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_while_a_file_grows_and_breaks_at_a_cut_or_a_changed_byte() {
        let mut sealing = Sealing::default();
        sealing.add(b"step,x\n");
        sealing.add(b"1,0.5\n");
        let seal = Seal::try_from(sealing.seal().to_string()).unwrap();
        assert_eq!(seal, Seal::of(b"step,x\n1,0.5\n"));
        assert_eq!(seal.check(b"step,x\n1,0.5\n2,0.2"), Ok(b"step,x\n1,0.5\n".as_slice()));
        assert_eq!(seal.check(b"step,x\n1,0.5").unwrap_err(), "it has 12 bytes, and 13 were written");
        assert_eq!(seal.check(b"step,x\n1,0.7\n").unwrap_err(), "its checksum does not match");
        for text in ["", "7", "x y", "18446744073709551616 00"] {
            assert!(Seal::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
