//! What comes back.

use std::io::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::server::Server;
use super::*;
use crate::capability::bindings::cofferdam::capabilities::http::TransportError;
use crate::capability::testing::{audit_lines, audit_text};

async fn failure(pieces: &[u8], request: Request) -> TransportError {
    let server = Server::answering([pieces]).await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let result = match call(&attempt, request).await {
        Ok(mut response) => read_all(&mut response).await,
        Err(error) => Err(error),
    };
    match result {
        Err(Error::Transport(error)) => error,
        other => panic!("{other:?} for {}", String::from_utf8_lossy(pieces)),
    }
}

#[tokio::test]
async fn a_reflected_secret_is_redacted_wherever_it_stands() {
    let body = format!("{{\"got\": \"Bearer {TOKEN}\", \"again\": \"{TOKEN}\"}}");
    let headers = format!(
        "x-echo: Bearer {TOKEN}\r\nx-plain: kept\r\nx-{TOKEN}: gone\r\nset-cookie: a=b\r\n"
    );
    let server = Server::with_body(&headers, body.as_bytes()).await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let mut response = call(&attempt, get("x")).await.unwrap();
    let seen = format!("{:?}", response.parts().1);
    let plain = ("x-plain".to_owned(), b"kept".to_vec());
    assert!(response.parts().1.contains(&plain));
    for gone in [TOKEN, "set-cookie", "content-length"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    let text = String::from_utf8(read_all(&mut response).await.unwrap()).unwrap();
    assert!(!text.contains(TOKEN), "{text}");
    assert!(text.starts_with("{\"got\": \""), "{text}");
    assert!(text.contains(crate::scrub::REDACTED), "{text}");
}

#[tokio::test]
async fn a_secret_split_over_chunks_is_redacted() {
    let (head, tail) = TOKEN.split_at(9);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let server = Server::answering([
        b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n",
        chunk(&format!("before {head}")).as_bytes(),
        chunk(&format!("{tail} after")).as_bytes(),
        format!("0\r\nx-trailer: {TOKEN}\r\n\r\n").as_bytes(),
    ])
    .await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let mut response = call(&attempt, get("x")).await.unwrap();
    let text = String::from_utf8(read_all(&mut response).await.unwrap()).unwrap();
    assert!(
        text.starts_with("before ") && text.ends_with(" after"),
        "{text}"
    );
    assert!(!text.contains(head) && !text.contains(tail), "{text}");
}

/// A few kilobytes that stand for megabytes.
#[tokio::test]
async fn what_much_comes_of_is_taken_in_many_turns() {
    let zeros = vec![0; 4 << 20];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&zeros).unwrap();
    let body = encoder.finish().unwrap();
    let server = Server::with_body("content-encoding: gzip\r\n", &body).await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let mut response = call(&attempt, get("x")).await.unwrap();
    let mut read = std::pin::pin!(read_all(&mut response));
    let mut turns = 0;
    let text = std::future::poll_fn(|cx| {
        turns += 1;
        read.as_mut().poll(cx)
    });
    assert_eq!(text.await.unwrap().len(), zeros.len());
    // The network alone makes for a few.
    assert!(turns > 10, "{turns}");
}

#[tokio::test]
async fn a_compressed_reflection_is_decoded_and_redacted() {
    let text = format!("before {TOKEN} after");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22);
    encoder.write_all(text.as_bytes()).unwrap();
    let brotli = encoder.into_inner();
    for (coding, body) in [("gzip", gzip), ("br", brotli)] {
        let server = Server::with_body(&format!("content-encoding: {coding}\r\n"), &body).await;
        let (attempt, _audit) = attempt_with(&bearer(server.port));
        let mut response = call(&attempt, get("x")).await.unwrap();
        assert!(!format!("{:?}", response.parts().1).contains("content-encoding"));
        let text = String::from_utf8(read_all(&mut response).await.unwrap()).unwrap();
        assert!(
            text.starts_with("before ") && text.ends_with(" after"),
            "{coding}: {text}"
        );
        assert!(!text.contains(TOKEN), "{coding}: {text}");
    }
}

#[tokio::test]
async fn redirects_are_refused() {
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let other = Server::with_body("", b"elsewhere").await;
        let head = format!(
            "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n",
            other.port
        );
        assert_eq!(
            failure(head.as_bytes(), get("x")).await,
            TransportError::RedirectRefused
        );
        assert!(other.requests().is_empty());
    }
    let server = Server::answering([b"HTTP/1.1 304 Not Modified\r\nlocation: /x\r\n\r\n"]).await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let mut response = call(&attempt, get("x")).await.unwrap();
    assert_eq!(response.parts().0, 304);
    assert!(read_all(&mut response).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_scanned_is_refused() {
    for head in [
        "206 Partial Content\r\ncontent-range: bytes 0-4/9",
        "200 OK\r\ncontent-type: multipart/byteranges; boundary=x",
        "200 OK\r\ncontent-encoding: zstd",
        "200 OK\r\ncontent-encoding: deflate",
        "200 OK\r\ncontent-encoding: gzip, br",
        "200 OK\r\ncontent-encoding: gzip\r\ncontent-encoding: gzip",
        "200 OK\r\ncontent-encoding: gzip",
        "200 OK\r\ncontent-type: text/plain; charset=UTF-16LE",
        "200 OK\r\ncontent-type: text/plain; charset=\"utf-7\"",
    ] {
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 5\r\n\r\nhello");
        assert_eq!(
            failure(answer.as_bytes(), get("x")).await,
            TransportError::Protocol,
            "{head}"
        );
    }
    let coded =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(failure(coded, get("x")).await, TransportError::Protocol);
    // The control: the same without its flaw.
    let server = Server::with_body("content-type: text/plain; charset=utf-8\r\n", b"hello").await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let mut response = call(&attempt, get("x")).await.unwrap();
    assert_eq!(read_all(&mut response).await.unwrap(), b"hello");
}

#[tokio::test]
async fn broken_answers_have_their_word() {
    let garbage = b"SSH-2.0-OpenSSH_9.2\r\n\r\n";
    assert_eq!(failure(garbage, get("x")).await, TransportError::Protocol);
    assert_eq!(failure(b"", get("x")).await, TransportError::Reset);
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello";
    assert_eq!(failure(cut, get("x")).await, TransportError::Reset);

    let (attempt, _audit) = attempt_with(&bearer(1));
    let refused = call(&attempt, get("x")).await;
    assert!(matches!(
        refused,
        Err(Error::Transport(TransportError::Connect))
    ));

    // A server that speaks first, and no TLS.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        let greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(greeting).await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
    });
    let https = bearer(port).replace("http://", "https://");
    let mut stage = Stage::default().http("api", &https);
    let roots = Arc::new(rustls::RootCertStore::empty());
    stage.clients = super::super::HttpClients::new(Vec::new()).with_roots(roots);
    let (attempt, _audit) = stage.attempt();
    attempt
        .credentials()
        .plant(&secret_path(), &[("token", TOKEN)]);
    let failed = call(&attempt, get("x")).await;
    assert!(matches!(failed, Err(Error::Transport(TransportError::Tls))));
}

#[tokio::test]
async fn a_silent_server_runs_into_the_time_limit() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let (attempt, _audit) = attempt_with(&bearer(port));
    let request = Request {
        timeout_ms: Some(100),
        ..get("x")
    };
    let late = call(&attempt, request).await;
    assert!(matches!(
        late,
        Err(Error::Transport(TransportError::Timeout))
    ));

    let (attempt, _audit) = attempt_with(&format!("{}\ntimeout = \"100ms\"", bearer(port)));
    let late = tokio::time::timeout(Duration::from_secs(5), call(&attempt, get("x"))).await;
    assert!(matches!(
        late.unwrap(),
        Err(Error::Transport(TransportError::Timeout))
    ));
}

#[tokio::test]
async fn a_large_answer_stops_at_the_limit_and_stays_failed() {
    let limited = |port| format!("{}\nmax_response = \"10B\"", bearer(port));
    let declared = Server::with_body("", b"12345678901").await;
    let (attempt, _audit) = attempt_with(&limited(declared.port));
    assert!(matches!(
        call(&attempt, get("x")).await,
        Err(Error::TooLarge(10))
    ));

    let streamed = Server::answering([b"HTTP/1.1 200 OK\r\n\r\n12345", b"678901"]).await;
    let (attempt, _audit) = attempt_with(&limited(streamed.port));
    let mut response = call(&attempt, get("x")).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(
            read_all(&mut response).await,
            Err(Error::TooLarge(10))
        ));
    }

    let fits = Server::with_body("", b"1234567890").await;
    let (attempt, _audit) = attempt_with(&limited(fits.port));
    let mut response = call(&attempt, get("x")).await.unwrap();
    assert_eq!(read_all(&mut response).await.unwrap(), b"1234567890");
}

#[tokio::test]
async fn a_bodiless_answer_is_over_at_once() {
    let server =
        Server::answering([b"HTTP/1.1 200 OK\r\ncontent-length: 5000000000\r\n\r\n"]).await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let head = Request {
        method: "HEAD".to_owned(),
        ..get("x")
    };
    let mut response = call(&attempt, head).await.unwrap();
    assert!(read_all(&mut response).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cookie_passes_when_the_grant_says_so() {
    let server = Server::with_body("set-cookie: a=b\r\n", b"ok").await;
    let (attempt, _audit) = attempt_with(&format!(
        "{}\npass_headers = [\"set-cookie\"]",
        bearer(server.port)
    ));
    let mut response = call(&attempt, get("x")).await.unwrap();
    assert!(
        response
            .parts()
            .1
            .contains(&("set-cookie".to_owned(), b"a=b".to_vec()))
    );
}

#[tokio::test]
async fn the_outcome_is_written_when_the_body_is_over() {
    let server = Server::with_body("", format!("x {TOKEN} y").as_bytes()).await;
    let (attempt, folder) = attempt_with(&bearer(server.port));
    let mut response = call(&attempt, get("a/b?secret=query")).await.unwrap();
    assert_eq!(audit_lines(&folder).len(), 1);
    read_all(&mut response).await.unwrap();
    let lines = audit_lines(&folder);
    assert_eq!(lines.len(), 2);
    let target = format!("GET http://127.0.0.1:{}/v1/a/b", server.port);
    assert_eq!(lines[0]["target"], target);
    assert_eq!(lines[1]["outcome"], "ok");
    let detail = &lines[1]["detail"];
    assert_eq!(detail["status"], 200);
    assert_eq!(detail["bytes_sent"], 0);
    assert_eq!(detail["bytes_received"], TOKEN.len() + 4);
    assert_eq!(detail["redactions"], 1);

    // Dropped with the store: interrupted. Let go by the task: done.
    drop(call(&attempt, get("x")).await.unwrap());
    call(&attempt, get("x")).await.unwrap().abandon();
    let lines = audit_lines(&folder);
    assert_eq!(lines[3]["outcome"], "interrupted");
    assert_eq!(lines[5]["outcome"], "ok");
    assert_eq!(lines[5]["reason"], "not_read_to_end");
    assert!(!audit_text(&folder).contains(TOKEN));
}

#[tokio::test]
async fn a_reflection_in_another_spelling_is_redacted() {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let percent: String = TOKEN.bytes().map(|b| format!("%{b:02x}")).collect();
    let escaped: String = TOKEN.bytes().map(|b| format!("\\u00{b:02X}")).collect();
    for spelled in [
        engine.encode(TOKEN),
        engine.encode(format!("x{TOKEN}y")),
        hex::encode_upper(TOKEN),
        percent,
        escaped,
    ] {
        let server = Server::with_body("", format!("<{spelled}>").as_bytes()).await;
        let (attempt, _audit) = attempt_with(&bearer(server.port));
        let mut response = call(&attempt, get("x")).await.unwrap();
        let text = read_all(&mut response).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        let middle = &spelled[8..spelled.len() - 8];
        assert!(!text.contains(middle), "{spelled}: {text}");
        assert!(text.starts_with('<') && text.ends_with('>'), "{text}");
    }
}
