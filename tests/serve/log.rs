//! A run's log, streamed.

use cofferdam::api::{LogEntry, RunState};
use cofferdam::client::{Client, LogEvent};
use serde_json::json;
use uuid::Uuid;

use super::stage::Stage;

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
