//! Heads of requests that come a byte a second, after the handshake and a request that
//! was answered.

use std::time::{Duration, Instant};

use cofferdam_devkit::identity::Issued;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::site::{CLIENT_CA, Site, ask};

type Stream = TlsStream<TcpStream>;

/// What a test waits for at most: twice what is promised.
const PATIENCE: Duration = Duration::from_secs(100);

/// A connection that speaks this protocol.
async fn connect(site: &Site, worker: &Issued, protocol: &str) -> Stream {
    site.connect_as(worker, &rustls::version::TLS13, protocol)
        .await
}

/// Sends `start` and then a byte a second, and tells how long the other side took it.
async fn trickle(stream: Stream, start: &[u8]) -> Duration {
    let begun = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(stream);
    writer.write_all(start).await.unwrap();
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Whoever is gone is noticed by the other half.
            let _ = writer.write_all(b"x").await;
            let _ = writer.flush().await;
        }
    };
    let end = async {
        while let Ok(1..) = reader.read(&mut [0; 4_096]).await {}
        begun.elapsed()
    };
    tokio::select! {
        waited = end => waited,
        () = drip => unreachable!("it never ends"),
        () = tokio::time::sleep(PATIENCE) => panic!("it is still there"),
    }
}

#[tokio::test]
async fn a_head_that_trickles_after_the_handshake_is_cut_off() {
    let site = Site::start(CLIENT_CA, &[]).await;
    let worker = site.worker();
    let start = b"POST /v1/runs HTTP/1.1\r\nx-slow: ";
    let first = connect(&site, &worker, "http/1.1").await;
    // One that is known and was answered has no timer of the connection's any more.
    let mut later = connect(&site, &worker, "http/1.1").await;
    let (status, ..) = ask(&mut later, "/v1/tasks", "").await.unwrap();
    assert_eq!(status, 200);
    let waited = tokio::join!(trickle(first, start), trickle(later, start));
    let limits = Duration::from_secs(29)..Duration::from_secs(45);
    for waited in [waited.0, waited.1] {
        assert!(limits.contains(&waited), "{waited:?}");
    }
}

// HTTP/2 by hand (RFC 9113): no client sends half a head.

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// Also the flag of an acknowledgement.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// GET of `/` at `x` over https, in words of HPACK's own table (RFC 7541, appendix A).
const GET: &[u8] = b"\x82\x84\x87\x41\x01x";

/// The head of a frame whose payload has so many bytes.
fn head(length: u16, kind: u8, flags: u8, stream: u8) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    vec![0, high, low, kind, flags, 0, 0, 0, stream]
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(payload.len().try_into().unwrap(), kind, flags, stream);
    frame.extend(payload);
    frame
}

/// The next frame: kind, flags, stream and payload; none at the end.
async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = usize::from(head[1]) << 8 | usize::from(head[2]);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], head[8], payload))
}

/// Asks for the page on this stream, and answers pings meanwhile.
async fn get(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), number: u8) {
    let request = frame(HEADERS, END_STREAM | END_HEADERS, number, GET);
    stream.write_all(&request).await.unwrap();
    stream.flush().await.unwrap();
    loop {
        let (kind, flags, of, payload) = next(stream).await.expect("an answer");
        match kind {
            // 200 is number 8 of HPACK's table.
            HEADERS => assert_eq!((of, payload[0]), (number, 0x88)),
            DATA if of == number && flags & END_STREAM != 0 => return,
            PING if flags == 0 => pong(stream, &payload).await,
            _ => {}
        }
    }
}

async fn pong(stream: &mut (impl AsyncWrite + Unpin), payload: &[u8]) {
    let answer = frame(PING, END_STREAM, 0, payload);
    stream.write_all(&answer).await.unwrap();
    stream.flush().await.unwrap();
}

/// A connection that has spoken: one request was made and answered.
async fn spoken(site: &Site, worker: &Issued) -> Stream {
    let mut stream = connect(site, worker, "h2").await;
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    hello.extend(frame(SETTINGS, 0, 0, b""));
    hello.extend(frame(SETTINGS, END_STREAM, 0, b""));
    stream.write_all(&hello).await.unwrap();
    get(&mut stream, 1).await;
    stream
}

/// Nothing may come between the parts of a head: while it trickles no ping can be
/// answered, and that ends the connection.
#[tokio::test]
async fn a_head_of_http_2_that_trickles_is_cut_off() {
    let site = Site::start(CLIENT_CA, &[]).await;
    let worker = site.worker();
    let in_one = head(16_000, HEADERS, END_STREAM | END_HEADERS, 3);
    let in_one = trickle(spoken(&site, &worker).await, &in_one);
    let begin = frame(HEADERS, END_STREAM, 3, &GET[..1]);
    let mut in_parts = begin.clone();
    in_parts.extend(head(16_000, CONTINUATION, 0, 3));
    let in_parts = trickle(spoken(&site, &worker).await, &in_parts);
    // One that answers the ping in the middle of its head.
    let mut answering = spoken(&site, &worker).await;
    let answering = async {
        let begun = Instant::now();
        answering.write_all(&begin).await.unwrap();
        answering.flush().await.unwrap();
        let mut pings = 0;
        while let Some((kind, flags, _, payload)) = next(&mut answering).await {
            if kind == PING && flags == 0 {
                pings += 1;
                pong(&mut answering, &payload).await;
            }
        }
        (begun.elapsed(), pings)
    };
    // The control: whoever answers pings may stay.
    let mut idle = spoken(&site, &worker).await;
    let idle = async {
        let mut pings = 0;
        while pings < 2 {
            let (kind, flags, _, payload) = next(&mut idle).await.expect("it may stay");
            if kind == PING && flags == 0 {
                pings += 1;
                pong(&mut idle, &payload).await;
            }
        }
        get(&mut idle, 3).await;
    };
    let all = async { tokio::join!(in_one, in_parts, answering, idle) };
    let all = tokio::time::timeout(PATIENCE, all).await;
    let (in_one, in_parts, (answering, pings), ()) = all.expect("one of them is still there");
    let limits = Duration::from_secs(45)..Duration::from_secs(60);
    for (what, waited) in [("in one", in_one), ("in parts", in_parts)] {
        assert!(limits.contains(&waited), "{what}: {waited:?}");
    }
    assert_eq!(pings, 1);
    assert!(answering < Duration::from_secs(40), "{answering:?}");
}
