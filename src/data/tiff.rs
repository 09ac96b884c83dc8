//! What the directory of a TIFF file claims, checked before the decoder believes it: the decoder reserves 32 bytes for each
//! value of an entry, up to a limit of its own of 256 MB, before any limit of ours reaches it.
//!
//! Format: TIFF 6.0, section 2; BigTIFF has 64-bit counts and offsets.

use std::io::{Read, Seek, SeekFrom};

/// Whether each entry of the first directory has values that a file of this length can hold. A directory that cannot be read
/// claims nothing: the decoder will say what is wrong.
pub(super) fn claims_fit(mut file: impl Read + Seek, length: u64) -> bool {
    entries(&mut file).is_none_or(|entries| entries.iter().all(|(size, count)| count.saturating_mul(*size) <= length))
}

/// The size of a value and the number of values of each entry.
fn entries(file: &mut (impl Read + Seek)) -> Option<Vec<(u64, u64)>> {
    let order: [u8; 2] = bytes(file)?;
    let little = match &order {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |bytes: [u8; 2]| if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
    let word = |bytes: [u8; 4]| u64::from(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) });
    let long = |bytes: [u8; 8]| if little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) };
    let big = match short(bytes(file)?) {
        42 => false,
        43 => true,
        _ => return None,
    };
    let directory = if big {
        let _sizes: [u8; 4] = bytes(file)?;
        long(bytes(file)?)
    } else {
        word(bytes(file)?)
    };
    file.seek(SeekFrom::Start(directory)).ok()?;
    let n = if big { long(bytes(file)?) } else { u64::from(short(bytes(file)?)) };
    let mut found = Vec::new();
    for _ in 0..n {
        let _tag: [u8; 2] = bytes(file)?;
        let size = match short(bytes(file)?) {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        if big {
            found.push((size, long(bytes(file)?)));
            let _value: [u8; 8] = bytes(file)?;
        } else {
            found.push((size, word(bytes(file)?)));
            let _value: [u8; 4] = bytes(file)?;
        }
    }
    Some(found)
}

fn bytes<const N: usize>(file: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A directory with one entry of type 4 (four bytes a value).
    fn file(big: bool, little: bool, count: u64) -> Vec<u8> {
        let number = |value: u64, size: usize| {
            if little { value.to_le_bytes()[..size].to_vec() } else { value.to_be_bytes()[8 - size..].to_vec() }
        };
        let order = if little { b"II" } else { b"MM" };
        let parts = if big {
            [number(43, 2), number(8, 2), number(0, 2), number(16, 8), number(1, 8), number(273, 2), number(4, 2)]
        } else {
            [number(42, 2), vec![], vec![], number(8, 4), number(1, 2), number(273, 2), number(4, 2)]
        };
        let width = if big { 8 } else { 4 };
        [order.to_vec(), parts.concat(), number(count, width), number(0, width)].concat()
    }

    #[test]
    fn more_values_than_the_file_has_bytes_do_not_fit() {
        for (big, little) in [(false, false), (false, true), (true, false), (true, true)] {
            let fits = |count| {
                let file = file(big, little, count);
                let length = file.len() as u64;
                claims_fit(Cursor::new(file), length)
            };
            assert!(fits(5) && !fits(12) && !fits(7 << 20), "{big} {little}");
        }
        let cut = &file(true, true, 7 << 20)[..20];
        assert!(claims_fit(Cursor::new(cut), 20), "what cannot be read is the decoder's to name");
    }
}
