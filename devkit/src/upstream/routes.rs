//! What each path answers: a list of steps on the raw connection.

use std::time::Duration;

use super::encoding::{Encoding, gzip};
use crate::wire::Request;

/// One step of an answer.
#[derive(Debug)]
pub(super) enum Step {
    Write(Vec<u8>),
    Pause(Duration),
    /// Until the client leaves.
    Forever,
    /// Until the test lets go of it.
    Held,
}

/// More chunks than this go out without pauses between them.
const PAUSED_CHUNKS: usize = 200;
/// Bytes of `/big` written at once.
const PIECE: usize = 64 * 1024;

/// The answer to one request.
pub(super) fn answer(request: &Request) -> Vec<Step> {
    let query = Query::of(request);
    let everything = [request.head.as_slice(), request.body.as_slice()].concat();
    let mut segments = request.path().trim_start_matches('/').split('/');
    let (name, rest) = (
        segments.next().unwrap_or_default(),
        segments.next().unwrap_or_default(),
    );
    let number = rest.parse::<usize>().ok();
    match (name, number) {
        ("reflect", _) => {
            Encoding::named(rest).map(|encoding| reflect(encoding, &everything, &query))
        }
        ("reflect-header", _) => Encoding::named(rest).map(|encoding| {
            let value = one_line(&encoding.encode(one_line(&everything).as_bytes()));
            head_only(200, "OK", &format!("x-reflected: {value}\r\n"))
        }),
        ("reflect-header-name", _) => {
            let name = authorization(request);
            let word = name.rsplit(' ').next().unwrap_or_default();
            Some(head_only(200, "OK", &format!("x-{word}: 1\r\n")))
        }
        ("reflect-reason", _) => Some(head_only(200, &authorization(request), "")),
        ("trailers", _) => Some(trailers(&authorization(request))),
        ("set-cookie", _) => {
            let cookie = authorization(request).replace(' ', "+");
            Some(head_only(
                200,
                "OK",
                &format!("set-cookie: session={cookie}; Path=/\r\n"),
            ))
        }
        ("206", _) => {
            let range = format!("content-range: bytes 0-{}/999999\r\n", everything.len());
            Some(with_body(206, &range, everything))
        }
        ("multipart-ranges", _) => {
            let header = "content-type: multipart/byteranges; boundary=b\r\n";
            let part = [b"--b\r\n\r\n".as_slice(), &everything, b"\r\n--b--\r\n"].concat();
            Some(with_body(200, header, part))
        }
        ("encoding", _) => {
            let header = format!("content-encoding: {rest}\r\n");
            Some(with_body(200, &header, everything))
        }
        ("redirect", _) => {
            let location = format!(
                "location: {}\r\n",
                query.text("to").unwrap_or("/status/200".to_owned())
            );
            Some(head_only(
                query.number("code").unwrap_or(307),
                "Elsewhere",
                &location,
            ))
        }
        ("status", Some(status)) => Some(head_only(status, "As Asked", "")),
        ("big", Some(size)) => Some(big(size)),
        ("bomb", Some(size)) => Some(with_body(
            200,
            "content-encoding: gzip\r\n",
            gzip(&vec![0; size]),
        )),
        ("slow", _) => Some(slow(&query)),
        ("short", _) => Some(vec![Step::Write(
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nshort".to_vec(),
        )]),
        ("never", _) => Some(vec![Step::Forever]),
        ("held", _) => {
            let mut steps = head_only(200, "OK", "");
            steps.insert(0, Step::Held);
            Some(steps)
        }
        _ => None,
    }
    .unwrap_or_else(|| head_only(404, "Not Found", ""))
}

fn reflect(encoding: Encoding, everything: &[u8], query: &Query) -> Vec<Step> {
    let body = encoding.encode(everything);
    let header = encoding
        .content_encoding()
        .map(|name| format!("content-encoding: {name}\r\n"))
        .unwrap_or_default();
    let status = query.number("status").unwrap_or(200);
    match query.number("split") {
        Some(size) => chunked(status, &header, &body, size.max(1), ""),
        None => with_body(status, &header, body),
    }
}

fn head_only(status: usize, reason: &str, headers: &str) -> Vec<Step> {
    // 204 and 304 have no body and so no length.
    let length = match status {
        204 | 304 => "",
        _ => "content-length: 0\r\n",
    };
    let head = format!("HTTP/1.1 {status} {reason}\r\n{headers}{length}connection: close\r\n\r\n");
    vec![Step::Write(head.into_bytes())]
}

fn with_body(status: usize, headers: &str, body: Vec<u8>) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 {status} Reflected\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    vec![Step::Write(head.into_bytes()), Step::Write(body)]
}

/// Each chunk leaves on its own, so that a reader sees the borders.
fn chunked(status: usize, headers: &str, body: &[u8], size: usize, trailers: &str) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 {status} Reflected\r\n{headers}transfer-encoding: chunked\r\n\
         connection: close\r\n\r\n"
    );
    let mut steps = vec![Step::Write(head.into_bytes())];
    let paused = body.len() / size <= PAUSED_CHUNKS;
    for chunk in body.chunks(size) {
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        steps.push(Step::Write(bytes));
        if paused {
            steps.push(Step::Pause(Duration::from_millis(1)));
        }
    }
    steps.push(Step::Write(format!("0\r\n{trailers}\r\n").into_bytes()));
    steps
}

fn trailers(value: &str) -> Vec<Step> {
    let trailer = format!("x-reflected: {value}\r\n");
    chunked(200, "trailer: x-reflected\r\n", b"body", 4, &trailer)
}

fn big(size: usize) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n");
    let mut steps = vec![Step::Write(head.into_bytes())];
    let mut left = size;
    while left > 0 {
        let piece = left.min(PIECE);
        steps.push(Step::Write(vec![b'x'; piece]));
        left -= piece;
    }
    steps
}

fn slow(query: &Query) -> Vec<Step> {
    let pieces = query.number("pieces").unwrap_or(10);
    let pause = query.number("pause").unwrap_or(100);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {pieces}\r\nconnection: close\r\n\r\n");
    let mut steps = vec![Step::Write(head.into_bytes())];
    for _ in 0..pieces {
        steps.push(Step::Pause(Duration::from_millis(pause as u64)));
        steps.push(Step::Write(b"x".to_vec()));
    }
    steps
}

fn authorization(request: &Request) -> String {
    let value = request.header("authorization").unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

/// Fit for a header: line breaks become spaces.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.replace("\r\n", " ").replace(['\r', '\n'], " ")
}

/// The query of a request; the first of several values counts.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(request: &Request) -> Self {
        let query = request
            .target
            .split_once('?')
            .map_or("", |(_, query)| query);
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn text(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }
}
