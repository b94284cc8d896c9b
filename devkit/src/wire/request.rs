//! A request, read whole.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest request head, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The largest request body, in bytes.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// The most headers of one request.
const MAX_HEADERS: usize = 128;

/// One HTTP/1.1 request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, exactly as sent.
    pub(crate) target: String,
    /// Names as sent, in order.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// The head, byte for byte, with the empty line.
    pub(crate) head: Vec<u8>,
}

impl Request {
    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// Reads one request. `None` when the connection ends before it begins.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Request>> {
    let mut bytes = Vec::with_capacity(4096);
    let head = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > MAX_HEAD {
            return Err(bad("the request's head is too large"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return match bytes.is_empty() {
                true => Ok(None),
                false => Err(bad("the request's head is cut off")),
            };
        }
    };
    let mut body = bytes.split_off(head);
    let mut request = parse_head(bytes)?;
    let length = body_length(&request)?;
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(bad("the request's body is cut off"));
        }
    }
    // Nothing is pipelined here: every connection serves one request.
    body.truncate(length);
    request.body = body;
    Ok(Some(request))
}

fn parse_head(head: Vec<u8>) -> io::Result<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed
        .parse(&head)
        .map_err(|_| bad("the request's head is malformed"))?;
    Ok(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), header.value.to_vec()))
            .collect(),
        body: Vec::new(),
        head,
    })
}

fn body_length(request: &Request) -> io::Result<usize> {
    if request.header("transfer-encoding").is_some() {
        return Err(bad("a chunked request body is not read here"));
    }
    let Some(length) = request.header("content-length") else {
        return Ok(0);
    };
    std::str::from_utf8(length)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|length| *length <= MAX_BODY)
        .ok_or_else(|| bad("the request's length is malformed or too large"))
}

fn bad(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_head_and_body() {
        let mut bytes: &[u8] =
            b"POST /a?b=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcdef";
        let request = read_request(&mut bytes).await.unwrap().unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.target, "/a?b=1");
        assert_eq!(request.path(), "/a");
        assert_eq!(request.header("host"), Some(&b"x"[..]));
        assert_eq!(request.body, b"abc");
    }

    #[tokio::test]
    async fn what_is_cut_or_chunked_is_an_error() {
        assert!(read_request(&mut &b""[..]).await.unwrap().is_none());
        for bytes in [
            &b"GET / HT"[..],
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
            b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"\0\0\0\r\n\r\n",
        ] {
            let mut bytes = bytes;
            assert!(read_request(&mut bytes).await.is_err());
        }
    }
}
