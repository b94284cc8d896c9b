//! The search for the canary, with its own proof that it can find something.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::upstream::Encoding;

use crate::stage::Finished;

/// Everything that is searched.
#[derive(Default)]
pub(super) struct Search {
    outputs: Vec<(String, String)>,
    folders: Vec<PathBuf>,
}

/// The spellings in which the marker is hidden.
const SPELLINGS: [Encoding; 5] = [
    Encoding::Raw,
    Encoding::Base64(1),
    Encoding::HexUpper,
    Encoding::PercentLower,
    Encoding::JsonUnicode,
];

impl Search {
    /// Adds what a command printed.
    pub(super) fn output(&mut self, name: &str, done: &Finished) {
        for (stream, text) in [("stdout", &done.stdout), ("stderr", &done.stderr)] {
            self.outputs
                .push((format!("{stream} of {name}"), text.clone()));
        }
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &str, text: String) {
        self.outputs.push((name.to_owned(), text));
    }

    /// Adds a folder that is there.
    pub(super) fn folder(&mut self, folder: PathBuf) {
        self.folders.push(folder);
    }

    /// Hides a marker in every place and lets the same search find it there.
    /// Gives the number of places.
    pub(super) fn control(&self) -> Result<usize> {
        let marker = Canary::random();
        for spelling in SPELLINGS {
            let hidden = spelling.encode(marker.text().as_bytes());
            for (name, text) in &self.outputs {
                let mut hunt = Hunt::new(&marker);
                hunt.bytes(name, &[text.as_bytes(), &hidden].concat());
                ensure!(
                    !hunt.sightings().is_empty(),
                    "{spelling:?} is not found in {name}"
                );
            }
            for folder in &self.folders {
                let file = folder.join("marker");
                std::fs::write(&file, &hidden).context("cannot hide a marker")?;
                let mut hunt = Hunt::new(&marker);
                let result = hunt.folder(folder);
                std::fs::remove_file(&file).context("cannot remove a marker")?;
                result?;
                let is_found = !hunt.sightings().is_empty();
                ensure!(
                    is_found,
                    "{spelling:?} is not found in {}",
                    folder.display()
                );
            }
        }
        Ok(self.outputs.len() + self.folders.len())
    }

    /// Searches everything. Gives how many outputs and files there were.
    pub(super) fn finish(self, canary: &Canary) -> Result<usize> {
        let mut hunt = Hunt::new(canary);
        for (name, text) in &self.outputs {
            hunt.bytes(name, text.as_bytes());
        }
        for folder in &self.folders {
            hunt.folder(folder)?;
        }
        hunt.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stdout: &str) -> Finished {
        Finished {
            code: Some(0),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        }
    }

    #[test]
    fn a_canary_is_found_in_outputs_and_folders() {
        let canary = Canary::random();
        let folder = cofferdam_devkit::process::private_folder("search").unwrap();
        let search = || {
            let mut search = Search::default();
            search.output("nothing", &said("nothing"));
            search.folder(folder.path().to_owned());
            search
        };
        assert_eq!(search().control().unwrap(), 3);
        assert_eq!(search().finish(&canary).unwrap(), 2);

        let mut told = search();
        told.output("a traitor", &said(canary.text()));
        assert!(told.finish(&canary).is_err());

        std::fs::write(folder.path().join("log"), canary.text()).unwrap();
        assert!(search().finish(&canary).is_err());
    }
}
