//! The search.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use memchr::memmem::Finder;

use super::Canary;

/// Where and how a canary was found. The canary itself is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// A file, or the name that the caller gave.
    pub place: String,
    /// The spelling.
    pub form: String,
}

/// A search for one canary in many places.
#[derive(Debug)]
pub struct Hunt {
    forms: Vec<(String, Finder<'static>)>,
    places: usize,
    sightings: Vec<Sighting>,
}

/// Nested compression is unpacked this often.
const MAX_DEPTH: u32 = 3;
/// At most this much comes out of one unpacking, in bytes.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024;

impl Hunt {
    /// Prepares a search for all forms of `canary`.
    pub fn new(canary: &Canary) -> Self {
        let forms = canary.forms().into_iter().map(|(name, bytes)| {
            let lower = bytes.to_ascii_lowercase();
            (name, Finder::new(&lower).into_owned())
        });
        Self {
            forms: forms.collect(),
            places: 0,
            sightings: Vec::new(),
        }
    }

    /// Searches `bytes`, whatever the case of letters, and what they unpack to
    /// when they are gzip. Line breaks are ignored in a second pass, for
    /// encoders that wrap their lines.
    pub fn bytes(&mut self, place: &str, bytes: &[u8]) {
        self.places += 1;
        self.search(place, bytes, 0);
    }

    /// Searches a file and its name.
    pub fn file(&mut self, file: &Path) -> Result<()> {
        let place = file.display().to_string();
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {place}"))?;
        self.search("the name of a file", place.as_bytes(), 0);
        self.bytes(&place, &bytes);
        Ok(())
    }

    /// Searches every file below `folder`, which must be there.
    pub fn folder(&mut self, folder: &Path) -> Result<()> {
        for entry in walkdir::WalkDir::new(folder) {
            let entry = entry.context("cannot search a folder")?;
            if entry.file_type().is_file() {
                self.file(entry.path())?;
            }
        }
        Ok(())
    }

    /// How many files and other places were searched.
    pub fn places(&self) -> usize {
        self.places
    }

    /// What was found so far.
    pub fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }

    /// An error that lists every sighting, or how many places are clean.
    pub fn finish(self) -> Result<usize> {
        if self.sightings.is_empty() {
            return Ok(self.places);
        }
        let list: Vec<String> = self
            .sightings
            .iter()
            .map(|sighting| format!("{} ({})", sighting.place, sighting.form))
            .collect();
        bail!("the canary was found in {}", list.join("; "))
    }

    fn search(&mut self, place: &str, bytes: &[u8], depth: u32) {
        let lower = bytes.to_ascii_lowercase();
        let joined: Vec<u8> = lower
            .iter()
            .copied()
            .filter(|byte| !b"\r\n".contains(byte))
            .collect();
        for (form, finder) in &self.forms {
            if finder.find(&lower).is_some() || finder.find(&joined).is_some() {
                self.sightings.push(Sighting {
                    place: place.to_owned(),
                    form: form.clone(),
                });
            }
        }
        if depth < MAX_DEPTH && bytes.starts_with(&[0x1f, 0x8b]) {
            let mut unpacked = Vec::new();
            // What a broken stream gave before it broke is searched too.
            let _ = flate2::read::MultiGzDecoder::new(bytes)
                .take(MAX_UNPACKED)
                .read_to_end(&mut unpacked);
            self.search(&format!("{place}, unpacked"), &unpacked, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Encoding;

    #[test]
    fn every_spelling_is_found() {
        let canary = Canary::random();
        let text = format!("before {} after", canary.text());
        for (name, encoding) in Encoding::ALL {
            // Brotli has no mark by which it could be known; a host that
            // stored brotli would show here as a gap in the test, not in it.
            if matches!(encoding, Encoding::Brotli | Encoding::PercentSome) {
                continue;
            }
            let mut hunt = Hunt::new(&canary);
            hunt.bytes(name, &encoding.encode(text.as_bytes()));
            assert!(!hunt.sightings().is_empty(), "{name}");
            assert!(hunt.finish().is_err());
        }
        for text in [
            format!("{:?}", canary.text().as_bytes()),
            canary.text().to_uppercase(),
        ] {
            let mut hunt = Hunt::new(&canary);
            hunt.bytes("text", text.as_bytes());
            assert!(!hunt.sightings().is_empty(), "{text}");
        }
    }

    #[test]
    fn other_canaries_are_not_found() {
        let canary = Canary::random();
        let mut hunt = Hunt::new(&canary);
        for (name, bytes) in Canary::random().forms() {
            hunt.bytes(&name, &bytes);
        }
        assert_eq!(hunt.finish().unwrap(), Canary::random().forms().len());
    }

    #[test]
    fn folders_are_searched_to_the_bottom() {
        let folder = crate::process::private_folder("hunt").unwrap();
        let canary = Canary::of("a-secret-of-some-length");
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("clean"), "nothing").unwrap();
        let mut hunt = Hunt::new(&canary);
        hunt.folder(folder.path()).unwrap();
        assert_eq!(hunt.finish().unwrap(), 1);

        std::fs::write(deep.join("dirty"), format!("x{}", canary.text())).unwrap();
        std::fs::write(deep.join(canary.text()), "").unwrap();
        let mut hunt = Hunt::new(&canary);
        hunt.folder(folder.path()).unwrap();
        assert_eq!(hunt.sightings().len(), 2);
        assert!(Hunt::new(&canary).folder(&deep.join("missing")).is_err());
    }

    #[test]
    fn debug_keeps_the_canary() {
        let canary = Canary::of("a-secret-of-some-length");
        assert_eq!(format!("{canary:?}"), "Canary(***)");
    }
}
