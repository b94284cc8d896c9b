//! A service of a test's, with answers that ours would not give.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

use super::Client;

/// A service that has one answer for each path, whatever is asked.
pub(crate) struct Planted {
    socket: PathBuf,
    _folder: TempDir,
}

/// A status, a media type and a body.
pub(crate) type Answer = (u16, &'static str, String);

impl Planted {
    /// Starts it with these answers, by path.
    pub(crate) fn start<const N: usize>(answers: [(&'static str, Answer); N]) -> Self {
        Self::first(Vec::new(), answers)
    }

    /// The same of one that takes so many requests before and answers none of them.
    pub(crate) fn breaking<const N: usize>(
        first: usize,
        answers: [(&'static str, Answer); N],
    ) -> Self {
        Self::first(vec![None; first], answers)
    }

    /// The same of one that gives these answers, or none, to the requests before.
    pub(crate) fn first<const N: usize>(
        first: Vec<Option<Answer>>,
        answers: [(&'static str, Answer); N],
    ) -> Self {
        let answers = BTreeMap::from(answers);
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("later.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let path = asked(&stream);
                match first.get(number) {
                    Some(None) => {}
                    Some(Some(early)) => answer(&mut stream, early),
                    None => answer(&mut stream, &answers[path.as_str()]),
                }
            }
        });
        Self {
            socket,
            _folder: folder,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::unix(&self.socket)
    }
}

/// Reads a request; its path.
fn asked(stream: &UnixStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push(line);
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    head[0].split([' ', '?']).nth(1).unwrap().to_owned()
}

fn answer(stream: &mut UnixStream, (status, kind, body): &Answer) {
    let told = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(told.as_bytes()).unwrap();
}
