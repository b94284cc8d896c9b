//! Files that hold a credential.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{MIN_SECRET_LEN, Secret};
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// Log-in credentials have well under this many bytes; a service token of
/// Vault Enterprise has about 100, a batch token a few hundred.
const MAX_FILE: u64 = 16 << 10;

/// A file with a credential that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the file {} {fault}", file.display())]
pub struct CredentialFileError {
    file: PathBuf,
    fault: CredentialFault,
}

/// What is wrong with a credential file. The content is never part of it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFault {
    /// The file system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// A folder, a pipe, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// Others may read or write it.
    #[error("may be read or written by others (mode {0:04o})")]
    TooOpen(u32),
    /// It belongs to somebody who is neither root nor this process's user.
    #[error("belongs to another user (uid {0})")]
    Foreign(u32),
    /// No, too few or too many characters.
    #[error("does not hold a credential of {MIN_SECRET_LEN} to {MAX_FILE} characters")]
    Length,
    /// Not one line of text.
    #[error("holds control characters or is not text")]
    Malformed,
}

impl CredentialFileError {
    fn new(file: &Path, fault: CredentialFault) -> Self {
        Self {
            file: file.to_owned(),
            fault,
        }
    }

    /// What is wrong.
    pub fn fault(&self) -> &CredentialFault {
        &self.fault
    }
}

impl Diagnostic for CredentialFileError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        let cure = match self.fault {
            CredentialFault::Unreadable(_) => {
                "check the path, and that the user that runs cofferdam may read it"
            }
            CredentialFault::NotAFile => "name a regular file",
            CredentialFault::TooOpen(_) => {
                "take the rights of group and others away: `chmod 600 FILE`; if others could read it, replace the credential"
            }
            CredentialFault::Foreign(_) => {
                "give the file to the user that runs cofferdam, or to root"
            }
            CredentialFault::Length | CredentialFault::Malformed => {
                "the file holds the credential alone, in one line"
            }
        };
        Some(cure.to_owned())
    }
}

/// Whether others may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Nobody but the owner may read it.
    Secret,
    /// Others may read it, but not write it.
    Public,
}

/// Reads a credential: one line, without its line end.
///
/// # Errors
/// As [`read_whole`], and content that is no such line.
pub fn read_file(path: &Path, privacy: Privacy) -> Result<Secret, CredentialFileError> {
    let faulty = |fault| CredentialFileError::new(path, fault);
    let text = read_whole(path, privacy)?;
    let text = text.expose();
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if privacy == Privacy::Secret && line.len() < MIN_SECRET_LEN || line.is_empty() {
        return Err(faulty(CredentialFault::Length));
    }
    let well_formed =
        std::str::from_utf8(line).is_ok_and(|line| !line.chars().any(char::is_control));
    if !well_formed {
        return Err(faulty(CredentialFault::Malformed));
    }
    Ok(Secret::new(line))
}

/// Reads a whole file that holds a credential, such as a key in PEM.
///
/// The rights are those of the file that was opened, so nobody can change it
/// between check and use. Inline: such a file has a few bytes.
///
/// # Errors
/// [`CredentialFileError`] names the file and the fault, never the content.
pub fn read_whole(path: &Path, privacy: Privacy) -> Result<Secret, CredentialFileError> {
    let faulty = |fault| CredentialFileError::new(path, fault);
    let unreadable = |error| faulty(CredentialFault::Unreadable(error));
    // Without NONBLOCK a pipe in its place would hold us up for ever.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(faulty(CredentialFault::NotAFile));
    }
    let forbidden = match privacy {
        Privacy::Secret => 0o077,
        Privacy::Public => 0o022,
    };
    if metadata.mode() & forbidden != 0 {
        return Err(faulty(CredentialFault::TooOpen(metadata.mode() & 0o7777)));
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me && metadata.uid() != 0 {
        return Err(faulty(CredentialFault::Foreign(metadata.uid())));
    }
    if metadata.len() > MAX_FILE {
        return Err(faulty(CredentialFault::Length));
    }
    // Room for all of it at once: growing would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(
        usize::try_from(MAX_FILE).unwrap_or_default() + 1,
    ));
    (&mut file)
        .take(MAX_FILE)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    Ok(Secret::new(text.as_slice()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::TempDir::new().expect("folder");
        let path = folder.path().join("secret-id");
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        (folder, path)
    }

    #[test]
    fn reads_one_line() {
        for content in [
            "hunter2-hunter2",
            "hunter2-hunter2\n",
            "hunter2-hunter2\r\n",
        ] {
            let (_folder, path) = file(content.as_bytes(), 0o600);
            let secret = read_file(&path, Privacy::Secret).expect(content);
            assert_eq!(secret.expose(), b"hunter2-hunter2");
        }
        let (_folder, path) = file(b"role", 0o644);
        assert_eq!(
            read_file(&path, Privacy::Public).expect("public").expose(),
            b"role"
        );
    }

    #[test]
    fn refuses_and_never_shows_the_content() {
        type Check = fn(&CredentialFault) -> bool;
        let cases: [(&[u8], u32, Check); 8] = [
            (b"hunter2-hunter2", 0o640, |f| {
                matches!(f, CredentialFault::TooOpen(0o640))
            }),
            (b"hunter2-hunter2", 0o602, |f| {
                matches!(f, CredentialFault::TooOpen(_))
            }),
            (b"", 0o600, |f| matches!(f, CredentialFault::Length)),
            (b"hunter2\n", 0o600, |f| {
                matches!(f, CredentialFault::Length)
            }),
            (b"hunter2-hunter2\n\n", 0o600, |f| {
                matches!(f, CredentialFault::Malformed)
            }),
            (b"hunter2\0hunter2", 0o600, |f| {
                matches!(f, CredentialFault::Malformed)
            }),
            (b"hunter2-\xff\xfe", 0o600, |f| {
                matches!(f, CredentialFault::Malformed)
            }),
            (&[b'x'; (16 << 10) + 1], 0o600, |f| {
                matches!(f, CredentialFault::Length)
            }),
        ];
        for (content, mode, check) in cases {
            let (_folder, path) = file(content, mode);
            let error = read_file(&path, Privacy::Secret).expect_err("refused");
            assert!(check(error.fault()), "{error}");
            assert!(!format!("{error} {error:?} {}", error.hint().unwrap()).contains("hunter2"));
        }
        let folder = tempfile::TempDir::new().expect("folder");
        assert!(matches!(
            read_file(folder.path(), Privacy::Secret)
                .expect_err("a folder")
                .fault(),
            CredentialFault::NotAFile
        ));
        assert!(matches!(
            read_file(&folder.path().join("none"), Privacy::Secret)
                .expect_err("none")
                .fault(),
            CredentialFault::Unreadable(_)
        ));
        let (_folder, path) = file(b"role", 0o646);
        assert!(matches!(
            read_file(&path, Privacy::Public)
                .expect_err("writable")
                .fault(),
            CredentialFault::TooOpen(_)
        ));
    }
}
