//! The files of a DAG folder: what is read, and what is not.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::error::DagsError;

/// Most files that are read: far more than a folder of DAGs has.
pub(super) const MAX_FILES: usize = 10_000;

/// Largest file in bytes, as `dags.py` has it: nobody reviews a larger one.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// Most folders below each other; no loop can come about, since links are not followed.
const MAX_DEPTH: usize = 64;

/// What Airflow does not read either.
const IGNORE_FILE: &str = ".airflowignore";

/// The Python files of a folder.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Sorted, below the folder as it was named.
    pub(super) files: Vec<PathBuf>,
    /// What is not read, and why.
    pub(super) unread: Vec<(PathBuf, Unread)>,
}

/// Why something is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// Over [`MAX_BYTES`].
    TooLarge,
    /// A link to a place outside the folder, or to nothing.
    LeavesFolder,
    /// The system refused.
    Refused(String),
    /// Folders too deep below each other.
    TooDeep,
}

/// A line of `.airflowignore` in its glob form.
struct Rule {
    matcher: GlobMatcher,
    /// Where a rule with a `/` inside is anchored.
    anchor: Option<PathBuf>,
    folders_only: bool,
    /// It takes back an earlier rule.
    negated: bool,
}

impl Folder {
    /// Lists the Python files below `root`. Links are not followed: what they name
    /// within the folder is read where it lies.
    ///
    /// # Errors
    /// When the folder itself cannot be read, or holds more than [`MAX_FILES`].
    pub(super) fn list(root: &Path) -> Result<Self, DagsError> {
        let unreadable = |source| DagsError::Folder {
            folder: root.to_owned(),
            source,
        };
        let real = std::fs::canonicalize(root).map_err(unreadable)?;
        let entries = entries(root).map_err(unreadable)?;
        let mut folder = Self::default();
        folder.walk(root, &real, entries, &mut Vec::new(), 0)?;
        folder.files.sort();
        Ok(folder)
    }

    fn walk(
        &mut self,
        here: &Path,
        real: &Path,
        entries: Vec<PathBuf>,
        rules: &mut Vec<Rule>,
        depth: usize,
    ) -> Result<(), DagsError> {
        let known = rules.len();
        rules.extend(ignore_rules(here));
        for path in entries {
            if let Err(error) = self.entry(&path, real, rules, depth)? {
                let refused = Unread::Refused(error.kind().to_string());
                self.unread.push((path, refused));
            }
        }
        rules.truncate(known);
        Ok(())
    }

    fn entry(
        &mut self,
        path: &Path,
        real: &Path,
        rules: &mut Vec<Rule>,
        depth: usize,
    ) -> Result<io::Result<()>, DagsError> {
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(error)),
        };
        if is_ignored(path, metadata.is_dir(), rules) {
            return Ok(Ok(()));
        }
        if metadata.is_symlink() {
            let inside = std::fs::canonicalize(path).is_ok_and(|target| target.starts_with(real));
            if !inside {
                self.unread.push((path.to_owned(), Unread::LeavesFolder));
            }
        } else if metadata.is_dir() {
            if depth == MAX_DEPTH {
                self.unread.push((path.to_owned(), Unread::TooDeep));
                return Ok(Ok(()));
            }
            match entries(path) {
                Ok(entries) => self.walk(path, real, entries, rules, depth + 1)?,
                Err(error) => return Ok(Err(error)),
            }
        } else if metadata.is_file() && path.extension() == Some(OsStr::new("py")) {
            if metadata.len() > MAX_BYTES {
                self.unread.push((path.to_owned(), Unread::TooLarge));
            } else if self.files.len() == MAX_FILES {
                return Err(DagsError::TooManyFiles);
            } else {
                self.files.push(path.to_owned());
            }
        }
        Ok(Ok(()))
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.file_name() != Some(OsStr::new("__pycache__")));
    paths.sort();
    Ok(paths)
}

/// The rules of a folder's own file. What is no rule is none for Airflow either.
fn ignore_rules(folder: &Path) -> Vec<Rule> {
    let file = folder.join(IGNORE_FILE);
    let is_small = std::fs::symlink_metadata(&file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_BYTES);
    if !is_small {
        return Vec::new();
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    text.lines()
        .filter_map(|line| Rule::parse(line, folder))
        .collect()
}

impl Rule {
    /// A line as Airflow reads it: `#` begins a comment, `!` takes back, a `/` at the
    /// end means folders, and one elsewhere anchors the rule at the file's folder.
    fn parse(line: &str, folder: &Path) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (negated, pattern) = match line.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, line),
        };
        let bare = pattern.trim_end_matches('/');
        let anchored = bare.contains('/');
        let glob = GlobBuilder::new(bare.trim_start_matches('/'))
            .literal_separator(true)
            .backslash_escape(true)
            .build();
        (!bare.is_empty()).then_some(Self {
            matcher: glob.ok()?.compile_matcher(),
            anchor: anchored.then(|| folder.to_owned()),
            folders_only: bare.len() < pattern.len(),
            negated,
        })
    }

    fn matches(&self, path: &Path, is_folder: bool) -> bool {
        if self.folders_only && !is_folder {
            return false;
        }
        match &self.anchor {
            Some(anchor) => path
                .strip_prefix(anchor)
                .is_ok_and(|path| self.matcher.is_match(path)),
            None => path
                .file_name()
                .is_some_and(|name| self.matcher.is_match(Path::new(name))),
        }
    }
}

/// The last rule that matches decides.
fn is_ignored(path: &Path, is_folder: bool, rules: &[Rule]) -> bool {
    let last = rules
        .iter()
        .rev()
        .find(|rule| rule.matches(path, is_folder));
    last.is_some_and(|rule| !rule.negated)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(folder: &Path) -> (Vec<String>, Vec<(String, Unread)>) {
        let name = |path: PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
        let Folder { files, unread } = Folder::list(folder).unwrap();
        (
            files.into_iter().map(name).collect(),
            unread
                .into_iter()
                .map(|(path, why)| (name(path), why))
                .collect(),
        )
    }

    #[test]
    fn lists_what_airflow_would_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for file in [
            "a.py",
            "notes.md",
            "sub/b.py",
            "sub/old/c.py",
            "sub/test_d.py",
            "vendored/e.py",
            "sub/vendored.py",
            "sub/__pycache__/f.py",
            "kept_test.py",
            "other_test.py",
        ] {
            write(file, "");
        }
        write(
            ".airflowignore",
            "# what others wrote\nvendored/\nsub/old  # since May\n*_test.py\n!kept_*\n/\n[\n",
        );
        write("sub/.airflowignore", "test_*\n");
        assert_eq!(
            listed(folder.path()).0,
            ["a.py", "kept_test.py", "sub/b.py", "sub/vendored.py"]
        );
    }

    #[test]
    fn links_large_files_and_deep_folders_are_not_read() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.py"), "").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a.py"), "").unwrap();
        fs::write(root.join("large.py"), vec![b' '; (1 << 20) + 1]).unwrap();
        symlink(root.join("a.py"), root.join("again.py")).unwrap();
        symlink(outside.path(), root.join("away")).unwrap();
        symlink(root, root.join("loop")).unwrap();
        symlink("nowhere.py", root.join("nothing.py")).unwrap();
        let mut deep = root.to_owned();
        (0..70).for_each(|_| deep.push("d"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("b.py"), "").unwrap();
        let (files, mut unread) = listed(root);
        assert_eq!(files, ["a.py"]);
        let (_, why) = unread.remove(1);
        assert_eq!(why, Unread::TooDeep);
        assert_eq!(
            unread,
            [
                ("away".to_owned(), Unread::LeavesFolder),
                ("large.py".to_owned(), Unread::TooLarge),
                ("nothing.py".to_owned(), Unread::LeavesFolder),
            ]
        );
        // A folder that is itself a link is the folder.
        let link = outside.path().join("link");
        symlink(root, &link).unwrap();
        assert_eq!(Folder::list(&link).unwrap().files, [link.join("a.py")]);
        assert!(Folder::list(&root.join("none")).is_err());
    }
}
