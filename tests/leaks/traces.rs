//! What the host wrote or printed, and the search in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::proxy::Proxy;
use cofferdam_devkit::world::World;
use serde_json::Value;

/// What the administrator put there, and the keys that the host keeps: they are
/// the credential.
const GIVEN: [&str; 5] = ["secret-id", "role-id", "admin-token", "key.pem", "next.pem"];

/// What the host wrote or printed.
pub(crate) struct Traces {
    pub(crate) outputs: Vec<(String, Vec<u8>)>,
    pub(crate) files: Vec<PathBuf>,
}

impl Traces {
    /// All that was printed, and every file of the installation.
    pub(crate) fn of(world: &World, outputs: Vec<(String, Vec<u8>)>) -> Self {
        let entries = walkdir::WalkDir::new(world.folder()).into_iter();
        let files = entries
            .map(|entry| entry.unwrap().into_path())
            .filter(|path| path.is_file())
            .filter(|path| !GIVEN.iter().any(|given| path.ends_with(given)));
        Self {
            outputs,
            files: files.collect(),
        }
    }

    /// Where the canary was seen. The journal alone may name accessors.
    pub(crate) fn search(&self, canary: &str, is_accessor: bool) -> Vec<String> {
        let mut hunt = Hunt::new(&Canary::of(canary));
        for (name, bytes) in &self.outputs {
            hunt.bytes(name, bytes);
        }
        for file in &self.files {
            let is_journal = file
                .parent()
                .is_some_and(|it| it.ends_with("state/journal"));
            if !(is_accessor && is_journal) {
                hunt.file(file).unwrap();
            }
        }
        let sightings = hunt.sightings().iter();
        sightings
            .map(|it| format!("{} ({})", it.place, it.form))
            .collect()
    }

    /// None of these was seen anywhere, and the search is one that finds: see
    /// [`Traces::control`].
    pub(crate) fn hold_none_of<'a>(
        &mut self,
        secrets: impl IntoIterator<Item = &'a str>,
        accessors: impl IntoIterator<Item = &'a str>,
    ) {
        for secret in secrets {
            assert_eq!(self.search(secret, false), Vec::<String>::new());
        }
        for accessor in accessors {
            assert_eq!(self.search(accessor, true), Vec::<String>::new());
        }
        self.control();
    }

    /// The same search finds a marker in each place, in each spelling.
    pub(crate) fn control(&mut self) {
        let marker = Canary::random();
        let forms = marker.forms();
        for at in 0..self.outputs.len() {
            let (_, form) = &forms[at % forms.len()];
            let clean = self.outputs[at].1.clone();
            self.outputs[at].1.extend_from_slice(form);
            assert!(
                !self.search(marker.text(), true).is_empty(),
                "{}",
                self.outputs[at].0
            );
            self.outputs[at].1 = clean;
        }
        for at in 0..self.files.len() {
            let (_, form) = &forms[at % forms.len()];
            let clean = std::fs::read(&self.files[at]).unwrap();
            std::fs::write(&self.files[at], [clean.as_slice(), form].concat()).unwrap();
            assert!(
                !self.search(marker.text(), false).is_empty(),
                "{}",
                self.files[at].display()
            );
            std::fs::write(&self.files[at], clean).unwrap();
        }
        assert!(self.search(marker.text(), false).is_empty());
    }
}

/// No token of a process that ran in here, whose Vault was behind this proxy,
/// stands in any file below a folder. The first twenty stand for all.
pub(crate) fn no_token_is_written(folder: &std::path::Path, proxy: &Proxy) {
    let (tokens, _) = minted(proxy);
    assert!(!tokens.is_empty(), "nothing to look for");
    for token in tokens.iter().take(20) {
        let mut hunt = Hunt::new(&Canary::of(token));
        hunt.folder(folder).unwrap();
        assert_eq!(hunt.sightings().len(), 0);
        // The control.
        let planted = folder.join("planted");
        std::fs::write(&planted, format!("x{token}x")).unwrap();
        let mut hunt = Hunt::new(&Canary::of(token));
        hunt.folder(folder).unwrap();
        assert!(!hunt.sightings().is_empty());
        std::fs::remove_file(planted).unwrap();
    }
}

/// What Vault's answers hold: tokens and leased passwords, and the accessors and
/// lease ids that may stand in the journal.
pub(crate) fn minted(proxy: &Proxy) -> (BTreeSet<String>, BTreeSet<String>) {
    minted_in(&proxy.answers())
}

/// The same of these answers.
pub(crate) fn minted_in(answers: &[Vec<u8>]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut tokens, mut accessors) = (BTreeSet::new(), BTreeSet::new());
    for answer in answers {
        let Some(body) = answer.windows(4).position(|it| it == b"\r\n\r\n") else {
            continue;
        };
        let body: Value = serde_json::from_slice(&answer[body + 4..]).unwrap_or_default();
        let text = |field: &str| body["auth"][field].as_str().map(str::to_owned);
        tokens.extend(text("client_token"));
        tokens.extend(body["data"]["password"].as_str().map(str::to_owned));
        accessors.extend(text("accessor"));
        let lease = body["lease_id"].as_str().filter(|id| !id.is_empty());
        accessors.extend(lease.map(str::to_owned));
    }
    (tokens, accessors)
}
