//! Each fault, seen from a client made by hand and a server that counts.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;
use crate::upstream::Upstream;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(5);

struct Call(TcpStream);

impl Call {
    fn get(proxy: &Proxy, path: &str) -> Self {
        let mut stream = TcpStream::connect(proxy.socket()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        Self(stream)
    }

    /// Nothing has come yet.
    fn is_waiting(&mut self) -> bool {
        self.0.set_read_timeout(Some(SHORT)).unwrap();
        let silence = self.0.read(&mut [0]).unwrap_err().kind();
        matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }

    fn answer(mut self) -> std::io::Result<String> {
        self.0.set_read_timeout(Some(LONG)).unwrap();
        let mut text = String::new();
        self.0.read_to_string(&mut text)?;
        Ok(text)
    }
}

fn servers() -> (Upstream, Proxy) {
    let upstream = Upstream::start().unwrap();
    let proxy = Proxy::start(upstream.socket()).unwrap();
    (upstream, proxy)
}

#[test]
fn without_rules_everything_passes_and_is_noted() {
    let (upstream, proxy) = servers();
    let answer = Call::get(&proxy, "/status/204").answer().unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(upstream.requests().len(), 1);
    let passed = Passed {
        method: "GET".to_owned(),
        target: "/status/204".to_owned(),
        is_marked: false,
    };
    assert_eq!(proxy.passed(), [passed]);
}

#[test]
fn a_held_request_reaches_the_server_after_its_release() {
    let (upstream, proxy) = servers();
    let hold = proxy.inject(Rule::on("GET", "/status", Fault::HoldRequest));
    let mut call = Call::get(&proxy, "/status/200");
    hold.wait_hit(LONG).unwrap();
    assert!(call.is_waiting());
    assert_eq!(upstream.requests().len(), 0);

    hold.release();
    assert!(call.answer().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(hold.hits(), 1);
}

#[test]
fn a_held_request_is_forgotten_when_its_client_leaves() {
    let (upstream, proxy) = servers();
    let hold = proxy.inject(Rule::on("GET", "/status", Fault::HoldRequest));
    let call = Call::get(&proxy, "/status/200");
    hold.wait_hit(LONG).unwrap();
    drop(call);
    std::thread::sleep(SHORT);
    hold.release();
    std::thread::sleep(SHORT);
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_held_response_was_already_served() {
    let (upstream, proxy) = servers();
    let hold = proxy.inject(Rule::on("*", "/status", Fault::HoldResponse));
    let mut call = Call::get(&proxy, "/status/200");
    hold.wait_hit(LONG).unwrap();
    assert!(call.is_waiting());
    assert_eq!(upstream.requests().len(), 1);
    drop(hold);
    assert!(call.answer().unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn resets_come_before_or_after_the_server() {
    let (upstream, proxy) = servers();
    let before = proxy.inject(Rule::on("GET", "/status", Fault::Reset).times(1));
    let error = Call::get(&proxy, "/status/200").answer().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!((before.hits(), upstream.requests().len()), (1, 0));

    let after = proxy.inject(Rule::on("GET", "/status", Fault::ResetAfterAnswer).times(1));
    let error = Call::get(&proxy, "/status/200").answer().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!((after.hits(), upstream.requests().len()), (1, 1));

    // Both rules are used up.
    assert!(Call::get(&proxy, "/status/200").answer().is_ok());
}

#[test]
fn an_answer_is_cut_where_told() {
    let (_upstream, proxy) = servers();
    let _cut = proxy.inject(Rule::on("GET", "/status", Fault::Cut(20)));
    assert_eq!(Call::get(&proxy, "/status/200").answer().unwrap().len(), 20);
}

#[test]
fn half_an_answer_ends_in_its_body_or_in_its_head() {
    let (upstream, proxy) = servers();
    let whole = Call::get(&proxy, "/reflect/raw").answer().unwrap();
    let head = whole.find("\r\n\r\n").unwrap() + 4;
    let cut = proxy.inject(Rule::on("GET", "", Fault::Half));
    let half = Call::get(&proxy, "/reflect/raw").answer().unwrap();
    assert_eq!(half.len(), head + (whole.len() - head) / 2);
    let half = Call::get(&proxy, "/status/204").answer().unwrap();
    assert!(half.starts_with("HTTP/1.1 204") && !half.contains("\r\n\r\n"));
    assert_eq!((cut.hits(), upstream.requests().len()), (2, 3));
}

#[test]
fn a_padded_answer_is_as_large_as_told_and_whole() {
    let (_upstream, proxy) = servers();
    let whole = Call::get(&proxy, "/reflect/raw").answer().unwrap();
    let _padded = proxy.inject(Rule::on("GET", "", Fault::Padded(100_000)));
    let padded = Call::get(&proxy, "/reflect/raw").answer().unwrap();
    assert!(!padded.to_lowercase().contains("content-length"));
    let body = |text: &str| text.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&padded), " ".repeat(100_000) + &body(&whole));
}

#[test]
fn a_page_is_answered_by_somebody_else() {
    let (upstream, proxy) = servers();
    let _page = proxy.inject(Rule::on("GET", "", Fault::Page(404, "default".to_owned())));
    let answer = Call::get(&proxy, "/status/200").answer().unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("text/html") && answer.ends_with("\r\n\r\ndefault"));
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn numbers_of_one_name_are_replaced() {
    let json = r#"{"ttl":60,"ttl_text":5,"data":{"ttl":0},"other":{"ttl":null}}"#;
    let changed = server::with_number(json, "ttl", u64::MAX);
    let huge = u64::MAX.to_string();
    let wanted =
        format!(r#"{{"ttl":{huge},"ttl_text":5,"data":{{"ttl":{huge}}},"other":{{"ttl":null}}}}"#);
    assert_eq!(changed, wanted);

    let (upstream, proxy) = servers();
    let number = proxy.inject(Rule::on("GET", "", Fault::Number("no".to_owned(), 7)));
    assert!(Call::get(&proxy, "/status/200").answer().is_ok());
    assert_eq!((number.hits(), upstream.requests().len()), (1, 1));
}

#[test]
fn delays_take_their_time() {
    let (upstream, proxy) = servers();
    let _delay = proxy.inject(Rule::on("GET", "/status", Fault::Delay(SHORT)));
    let start = Instant::now();
    assert!(Call::get(&proxy, "/status/200").answer().is_ok());
    assert!(start.elapsed() >= SHORT);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_storm_of_statuses_starts_late_and_ends() {
    let (upstream, proxy) = servers();
    let storm = proxy.inject(
        Rule::on("GET", "/status", Fault::Status(503, Some(7)))
            .skip(1)
            .times(2),
    );
    let statuses: Vec<String> = (0..4)
        .map(|_| Call::get(&proxy, "/status/200").answer().unwrap())
        .collect();
    let is_storm: Vec<bool> = statuses
        .iter()
        .map(|answer| answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 7"))
        .collect();
    assert_eq!(is_storm, [false, true, true, false]);
    assert_eq!((storm.hits(), upstream.requests().len()), (2, 2));
}

#[test]
fn a_flapping_server_fails_every_other_time() {
    let (_upstream, proxy) = servers();
    let flapping = proxy.inject(
        Rule::on("GET", "", Fault::Status(503, None))
            .every(2)
            .times(2),
    );
    let fails = |_| {
        Call::get(&proxy, "/status/200")
            .answer()
            .unwrap()
            .contains("503")
    };
    let seen: Vec<bool> = (0..5).map(fails).collect();
    assert_eq!(seen, [true, false, true, false, false]);
    assert_eq!(flapping.hits(), 2);
}

#[test]
fn a_storm_ends_after_its_time() {
    let (_upstream, proxy) = servers();
    let storm = proxy.inject(Rule::on("GET", "", Fault::Status(429, None)).lasting(SHORT));
    let limited = || {
        Call::get(&proxy, "/status/200")
            .answer()
            .unwrap()
            .contains("429")
    };
    assert!(limited() && limited());
    std::thread::sleep(SHORT);
    assert!(!limited());
    assert_eq!(storm.hits(), 2);
}

#[test]
fn spans_tell_how_many_were_served_at_once() {
    let (_upstream, proxy) = servers();
    let _delay = proxy.inject(Rule::on("GET", "", Fault::Delay(SHORT)));
    let calls: Vec<Call> = (0..3).map(|_| Call::get(&proxy, "/status/200")).collect();
    for call in calls {
        call.answer().unwrap();
    }
    // A span is noted once its answer is sent, so perhaps a moment after it came.
    let begun = Instant::now();
    while proxy.spans().len() < 3 && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let spans = proxy.spans();
    assert_eq!(spans.len(), 3);
    let ends = spans.iter().map(|span| span.to).min().unwrap();
    assert!(
        spans
            .iter()
            .all(|span| span.from < ends && span.target == "/status/200")
    );
}

#[test]
fn never_answered_until_the_rule_ends() {
    let (upstream, proxy) = servers();
    let never = proxy.inject(Rule::on("GET", "", Fault::NeverAnswer));
    let mut call = Call::get(&proxy, "/status/200");
    never.wait_hit(LONG).unwrap();
    assert!(call.is_waiting());
    drop(never);
    assert_eq!(call.answer().unwrap(), "");
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn waiting_for_a_hit_ends_in_time() {
    let (_upstream, proxy) = servers();
    let rule = proxy.inject(Rule::on("POST", "", Fault::Reset));
    assert!(rule.wait_hit(SHORT).is_err());
    assert!(rule.hit(SHORT).await.is_err());
    let mut stream = TcpStream::connect(proxy.socket()).unwrap();
    write!(stream, "POST /x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    rule.hit(LONG).await.unwrap();
    rule.wait_hit(LONG).unwrap();
}
