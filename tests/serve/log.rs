//! A run's log, streamed.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use cofferdam::api::{LogEntry, RunState};
use cofferdam::client::{Client, LogEvent};
use cofferdam_devkit::world::World;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use uuid::Uuid;

use super::stage::{Stage, report};
use crate::common::{binary, guest};

/// A caller may have little memory, which no body makes more.
const SCARCE: &str = "[server.limits]\nmemory_per_caller = \"1MiB\"\nbody = \"64KiB\"\n";

/// Reads on after this line: at most so many, or to the end.
async fn read(client: &Client, run: Uuid, after: u64, most: usize) -> (Vec<LogEntry>, bool) {
    let mut reader = client.log(run, after).await.unwrap();
    let mut lines = Vec::new();
    while lines.len() < most {
        match reader.next().await.unwrap() {
            LogEvent::Line(line) => lines.push(line),
            LogEvent::End(end) => {
                assert_eq!(end.state, RunState::Ended);
                return (lines, true);
            }
        }
    }
    (lines, false)
}

#[tokio::test]
async fn a_reader_that_breaks_off_reads_on_exactly_there() {
    let mut stage = Stage::bare("").await;
    let input = json!({ "do": "log_flood", "lines": 700 });
    let run = stage.submit("probe", input).await.unwrap();
    let client = stage.client();
    let mut all: Vec<LogEntry> = Vec::new();
    loop {
        let after = all.last().map_or(0, |line| line.sequence);
        let (lines, is_over) = read(&client, run, after, 37).await;
        all.extend(lines);
        if is_over {
            break;
        }
    }
    let numbers: Vec<u64> = all.iter().map(|line| line.sequence).collect();
    assert_eq!(numbers, (1..=700).collect::<Vec<_>>());
    stage.end_of(run).await;
    // The kept log is the same, for any service.
    assert_eq!(read(&client, run, 0, 1_000).await, (all.clone(), true));
    stage.stop().await;
    stage.start().await;
    assert_eq!(
        read(&client, run, 650, 1_000).await,
        (all[650..].to_vec(), true)
    );
    assert_eq!(read(&client, run, 9_000, 1_000).await, (vec![], true));
}

#[tokio::test]
async fn lines_come_while_the_run_is_under_way_to_every_reader() {
    let stage = Stage::bare("").await;
    let client = stage.client();
    let talk = json!({ "do": "talk", "every_ms": 100, "lines": 500 });
    let run = stage.submit("probe", talk).await.unwrap();
    let (one, two) = tokio::join!(read(&client, run, 0, 6), read(&client, run, 3, 3));
    assert_eq!(one.0.len(), 6);
    assert_eq!(one.0[3..], two.0[..]);
    // It has most of its lines still to say.
    let view = client.run(run, 0).await.unwrap();
    assert_eq!(view.state, RunState::Running);
    client.cancel(run).await.unwrap();
    let (all, is_over) = read(&client, run, 0, usize::MAX).await;
    assert!(is_over && all.len() < 500);
    assert_eq!(all[..6], one.0[..]);
}

#[tokio::test]
async fn a_log_without_end_is_cut_and_says_so() {
    let stage = Stage::bare("").await;
    let client = stage.client();
    let endless = json!({ "do": "log_flood", "lines": null });
    let run = stage.submit("probe", endless).await.unwrap();
    let (flood, is_over) = read(&client, run, 0, usize::MAX).await;
    assert!(is_over);
    // `limits.log`, and one line that says so.
    assert!(flood.last().unwrap().message.contains("log limit"));
}

/// A line of nothing takes memory and disk as any other does.
#[tokio::test]
async fn a_flood_of_empty_lines_is_cut_as_any_other() {
    let stage = Stage::bare("").await;
    let text = "\n".repeat(1 << 20);
    for input in [
        json!({ "do": "log", "level": "info", "text": text }),
        json!({ "do": "stdout", "text": text }),
    ] {
        let run = stage.submit("probe", input).await.unwrap();
        let told = report(&stage.end_of(run).await);
        assert_eq!(told.exit, 0, "{told:?}");
        let (lines, is_over) = read(&stage.client(), run, 0, usize::MAX).await;
        assert!(is_over);
        assert!(lines.last().unwrap().message.contains("log limit"));
        // `limits.log` is 1 MiB, and each costs 128 bytes at least.
        assert!((1_000..=8_192).contains(&lines.len()), "{}", lines.len());
    }
}

/// What the service has in memory, in bytes.
fn resident(stage: &Stage) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB").parse();
    kib.map(|kib: usize| kib << 10).unwrap()
}

#[tokio::test]
async fn slow_readers_of_large_logs_hold_a_page_each() {
    let world = World::bare(binary()).unwrap();
    let limits = "[limits]\nlog = \"64MiB\"\n";
    world.task("probe", &guest("probe"), limits).unwrap();
    // Room for two pages at once, so that readers wait for each other.
    let mut stage = Stage::of(world, SCARCE).await;
    let input = json!({ "do": "log_flood", "lines": 20_000 });
    let run = stage.submit("probe", input).await.unwrap();
    stage.end_of(run).await;
    // A service that has not had the log in memory.
    stage.stop().await;
    stage.start().await;
    let before = resident(&stage);
    let request = format!("GET /v1/runs/{run}/log HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut readers: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut stream = UnixStream::connect(stage.socket()).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Each has its head and waits for somebody who reads.
    let mut most = 0;
    for _ in 0..100 {
        most = most.max(resident(&stage));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for reader in &mut readers {
        let mut head = [0; 15];
        reader.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    let grown = most.saturating_sub(before);
    // 20 times 20 MB, if each had all of it.
    assert!(grown < 64 << 20, "{grown} bytes for slow readers");
    drop(readers);
    // And who reads gets all of it.
    let (lines, is_over) = read(&stage.client(), run, 0, usize::MAX).await;
    assert!(is_over);
    assert_eq!(lines.len(), 20_000);
    assert!(lines.iter().zip(1..).all(|(line, at)| line.sequence == at));
}

/// Many answers of one connection, of which nobody reads one.
#[tokio::test]
async fn small_answers_of_many_streams_are_counted() {
    let stage = Stage::bare(SCARCE).await;
    // Each of them is small.
    let input = json!({ "do": "huge_output", "bytes": 60_000 });
    let run = stage.submit("probe", input).await.unwrap();
    stage.end_of(run).await;
    let mut statuses = Vec::new();
    let mut unread = Vec::new();
    for _ in 0..3 {
        let stream = tokio::net::UnixStream::connect(stage.socket())
            .await
            .unwrap();
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        // No byte of a body may be sent.
        builder.initial_stream_window_size(0);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..10 {
            let request = http::Request::get(format!("http://x/v1/runs/{run}"));
            let request = request.body(String::new()).unwrap();
            sender.ready().await.unwrap();
            let response = sender.send_request(request).await.unwrap();
            statuses.push(response.status().as_u16());
            unread.push(response);
        }
    }
    let taken = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    // 1 MiB has room for 17 of 60 kB.
    assert!((10..=17).contains(&taken), "{statuses:?}");
    assert_eq!(taken + refused, 30, "{statuses:?}");
    // Once nobody wants them there is room again.
    drop(unread);
    let begun = std::time::Instant::now();
    while let Err(error) = stage.client().run(run, 0).await {
        assert!(begun.elapsed() < crate::common::SOON, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let stream = tokio::net::UnixStream::connect(stage.socket())
        .await
        .unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://x/v1/runs/{run}"));
    let request = request.body(String::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() > 60_000, "{}", body.len());
}
