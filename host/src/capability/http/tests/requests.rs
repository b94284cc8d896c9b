//! What goes out.

use std::time::Duration;

use proptest::test_runner::{Config, TestRunner};

use super::server::Server;
use super::*;

#[tokio::test]
async fn the_credential_is_on_the_wire_and_nothing_else_is_added() {
    let server = Server::with_body("", b"hello").await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let mut request = get("invoices/42?page=2");
    request.headers = vec![("Accept".to_owned(), b"application/json".to_vec())];
    let mut response = call(&attempt, request).await.unwrap();
    assert_eq!(response.parts().0, 200);
    assert_eq!(read_all(&mut response).await.unwrap(), b"hello");

    let requests = server.requests();
    let (first, rest) = requests[0].split_once("\r\n").unwrap();
    assert_eq!(first, "GET /v1/invoices/42?page=2 HTTP/1.1");
    let mut headers: Vec<_> = rest.lines().filter(|line| !line.is_empty()).collect();
    headers.sort_unstable();
    let host = format!("host: 127.0.0.1:{}", server.port);
    let authorization = format!("authorization: Bearer {TOKEN}");
    let agent = concat!("user-agent: cofferdam/", env!("CARGO_PKG_VERSION"));
    let mut expected = vec![
        "accept: application/json",
        "accept-encoding: gzip, br",
        &authorization,
        &host,
        agent,
    ];
    expected.sort_unstable();
    assert_eq!(headers, expected);
    assert_eq!(attempt.calls()["http.api.send"], 1);
    assert!(attempt.denials().is_empty());
}

#[tokio::test]
async fn basic_and_query_credentials_are_put_where_the_grant_says() {
    let server = Server::with_body("", b"ok").await;
    let credential = "credential = { kv2 = { mount = \"secret\", path = \"billing\" } }\n";
    let basic = "inject = { basic = { username = \"{user}\", password = \"{pass}\" } }";
    let (attempt, _audit) = attempt_with(&table(server.port, &format!("{credential}{basic}")));
    call(&attempt, get("x")).await.unwrap();
    // `printf 'alice:p/ss+wörd-long' | base64`
    assert!(server.requests()[0].contains("authorization: Basic YWxpY2U6cC9zcyt3w7ZyZC1sb25n\r\n"));

    let query = "inject = { query = \"key\", value = \"{pass}\" }";
    let (attempt, _audit) = attempt_with(&table(server.port, &format!("{credential}{query}")));
    call(&attempt, get("x")).await.unwrap();
    call(&attempt, get("x?a=b")).await.unwrap();
    let sent = server.requests();
    assert!(sent[1].starts_with("GET /v1/x?key=p%2Fss%2Bw%C3%B6rd-long HTTP/1.1\r\n"));
    assert!(sent[2].starts_with("GET /v1/x?a=b&key=p%2Fss%2Bw%C3%B6rd-long HTTP/1.1\r\n"));
    let repeated = call(&attempt, get("x?k%65y=mine")).await;
    assert_eq!(denial(repeated), Denial::OutOfScope);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn no_body_and_an_empty_body_differ() {
    let server = Server::with_body("", b"ok").await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    for body in [None, Some(Vec::new()), Some(b"{}".to_vec())] {
        let method = "POST".to_owned();
        let request = Request {
            method,
            body,
            ..get("x")
        };
        call(&attempt, request).await.unwrap();
    }
    let sent = server.requests();
    assert!(!sent[0].contains("content-length"), "{}", sent[0]);
    assert!(sent[1].contains("content-length: 0\r\n"), "{}", sent[1]);
    assert!(sent[2].ends_with("\r\n\r\n{}"), "{}", sent[2]);
}

#[tokio::test]
async fn what_the_grant_does_not_cover_never_leaves() {
    let server = Server::with_body("", b"ok").await;
    let narrow = bearer(server.port).replace(
        "\"GET **\", \"POST **\", \"HEAD **\"",
        "\"GET invoices/**\"",
    );
    let (attempt, _audit) = attempt_with(&narrow);
    let with = |name: &str| Request {
        headers: vec![(name.to_owned(), b"x".to_vec())],
        ..get("invoices/1")
    };
    let method = |method: &str| Request {
        method: method.to_owned(),
        ..get("invoices/1")
    };
    for (request, expected) in [
        (get("invoices"), Denial::OutOfScope),
        (get("admin"), Denial::OutOfScope),
        (get("invoices/../admin"), Denial::InvalidArgument),
        (get("invoices/%2e%2e/admin"), Denial::InvalidArgument),
        (get("/v1/invoices/1"), Denial::InvalidArgument),
        (get("http://127.0.0.1/x"), Denial::InvalidArgument),
        (method("DELETE"), Denial::OutOfScope),
        (method("get"), Denial::InvalidArgument),
        (method("TRACE"), Denial::OutOfScope),
        (method("CONNECT"), Denial::OutOfScope),
        (method("GET x"), Denial::InvalidArgument),
        (with("host"), Denial::OutOfScope),
        (with("authorization"), Denial::OutOfScope),
        (with("x\r\ny"), Denial::InvalidArgument),
    ] {
        let what = format!("{request:?}");
        assert_eq!(denial(call(&attempt, request).await), expected, "{what}");
    }
    assert!(server.requests().is_empty());
    assert_eq!(attempt.denials().iter().map(|it| it.count).sum::<u64>(), 14);
    call(&attempt, get("invoices/1")).await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_request_over_the_size_is_refused() {
    let server = Server::with_body("", b"ok").await;
    let (attempt, _audit) =
        attempt_with(&format!("{}\nmax_request = \"10B\"", bearer(server.port)));
    let post = |size: usize| Request {
        method: "POST".to_owned(),
        body: Some(vec![b'x'; size]),
        ..get("x")
    };
    assert!(matches!(
        call(&attempt, post(11)).await,
        Err(Error::TooLarge(10))
    ));
    assert!(server.requests().is_empty());
    call(&attempt, post(10)).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_not_granted_and_one_that_is_not_there_look_the_same() {
    let (attempt, _audit) = Stage::default().http("api", &bearer(1)).attempt();
    for name in ["other", "API", "", "api\n", "../api", "http.api"] {
        let Err(failure) = ClientHandle::open(&attempt, name) else {
            panic!("{name:?} was opened");
        };
        assert_eq!(failure.kind, Denial::NotGranted, "{name:?}");
        assert!(!failure.retryable);
    }
    assert!(ClientHandle::open(&attempt, "api").is_ok());
}

#[tokio::test]
async fn a_handle_is_dead_after_the_attempt() {
    let server = Server::with_body("", b"ok").await;
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let client = ClientHandle::open(&attempt, "api").unwrap();
    send(&attempt, &client, get("x")).await.unwrap();
    attempt.end();
    let late = send(&attempt, &client, get("x")).await;
    assert_eq!(denial(late), Denial::Revoked);
    assert_eq!(server.requests().len(), 1);
    assert!(attempt.credentials().known(&secret_path()).is_none());
}

#[tokio::test]
async fn nothing_is_sent_past_the_deadline() {
    let server = Server::with_body("", b"ok").await;
    let mut stage = Stage::default().http("api", &bearer(server.port));
    stage.time = Duration::ZERO;
    let (attempt, _audit) = stage.attempt();
    assert_eq!(denial(call(&attempt, get("x")).await), Denial::Expired);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_or_guarded_sends_nothing() {
    let server = Server::with_body("", b"ok").await;
    let (attempt, _audit) = Stage::default().http("api", &bearer(server.port)).attempt();
    assert_eq!(denial(call(&attempt, get("x")).await), Denial::Internal);
    attempt
        .credentials()
        .plant(&secret_path(), &[("token", "short")]);
    assert_eq!(denial(call(&attempt, get("x")).await), Denial::Internal);
    attempt
        .credentials()
        .plant(&secret_path(), &[("other", TOKEN)]);
    assert_eq!(denial(call(&attempt, get("x")).await), Denial::Internal);
    assert!(server.requests().is_empty());
}

#[test]
fn the_path_that_was_matched_is_the_path_that_is_sent() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::with_body("", b"ok"));
    let (attempt, _audit) = attempt_with(&bearer(server.port));
    let sent = std::cell::Cell::new(0);
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let paths = "[a-c.~%/2eEfF5C?&='+,:@!$()*;_-]{1,16}|[a-z0-9]{1,5}(/[a-z0-9._~!$&'()*+,=:@-]{1,6}){0,3}(\\?[a-z0-9=&%25/?:@!$()*+,;-]{0,8})?";
    TestRunner::new(config)
        .run(&paths, |path| {
            if runtime.block_on(call(&attempt, get(&path))).is_ok() {
                let seen = server.requests();
                sent.set(sent.get() + 1);
                proptest::prop_assert_eq!(seen.len(), sent.get());
                let line = seen[sent.get() - 1].lines().next().unwrap();
                proptest::prop_assert_eq!(line, format!("GET /v1/{path} HTTP/1.1"));
            }
            Ok(())
        })
        .unwrap();
    assert!(sent.get() > 20, "only {} were sent", sent.get());
}
