//! Callers with a certificate.

use cofferdam::client::ClientError;
use cofferdam_devkit::identity::Authority;
use serde_json::json;

use super::super::stage::{refusal, report, result, submission};
use super::signer::{Signer, claims, key_set};
use super::site::{CLIENT_CA, SUBJECT, Site, WORKER, jwt};

#[tokio::test]
async fn a_certificate_gets_a_run_through_and_the_audit_names_it() {
    let site = Site::start(CLIENT_CA, &[]).await;
    let worker = site.certificate("worker", &site.worker());
    let client = site.client(Some(worker), None).unwrap();
    let hello = submission("hello", json!({ "name": "Ada" }));
    let taken = client.submit("k", &hello).await.unwrap();
    let view = client.run(taken.view.run, 60).await.unwrap();
    assert!(result(&report(&view)).to_string().contains("Ada"));
    let told = json!({ "via": "certificate", "subject": WORKER });
    assert_eq!(site.callers(), [told]);
    assert!(client.ready().await.unwrap().ready);
    // What a proxy would say of somebody is said by the caller himself here.
    let stranger = site.clients.client("stranger").unwrap();
    let claimed = format!(
        "x-forwarded-for: 127.0.0.1\r\nforwarded: for=127.0.0.1\r\nx-ssl-client-s-dn: CN=twin\r\n\
         x-forwarded-client-cert: URI={WORKER}\r\n"
    );
    let (status, ..) = site
        .ask(Some(&stranger), "/v1/tasks", &claimed)
        .await
        .unwrap();
    assert_eq!(status, 403);
    let (status, _, page) = site.ask(Some(&site.worker()), "/", "").await.unwrap();
    assert_eq!(status, 200);
    assert!(page.as_str().unwrap().contains("hello"));
    let metrics = site
        .ask(Some(&site.worker()), "/metrics", "")
        .await
        .unwrap();
    assert_eq!(metrics.0, 200);
}

#[tokio::test]
async fn who_shows_no_good_certificate_is_not_let_in() {
    let site = Site::start(CLIENT_CA, &[]).await;
    let others = Authority::new("clients").unwrap();
    let refused = [
        ("another authority's", others.client_of_uri(WORKER).unwrap()),
        ("expired", site.clients.expired_client("twin").unwrap()),
        ("a server's", site.clients.server(&["twin"]).unwrap()),
        ("the service's own", site.servers.server(&["twin"]).unwrap()),
    ];
    let none = site.client(None, None).unwrap();
    let error = none.tasks().await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::NotAdmitted {
                is_shown: false,
                ..
            }
        ),
        "{error:?}"
    );
    for (what, issued) in refused {
        let shown = site.certificate("refused", &issued);
        let client = site.client(Some(shown), None).unwrap();
        let error = client.tasks().await.unwrap_err();
        assert!(
            matches!(error, ClientError::NotAdmitted { is_shown: true, .. }),
            "{what}: {error:?}"
        );
    }
    // One that is good, and that no rule names; and one that has no name.
    let named = site.certificate("named", &site.clients.client("twins").unwrap());
    let (status, kind, _) = refusal(site.client(Some(named), None).unwrap().tasks().await);
    assert_eq!((status, kind.as_str()), (403, "forbidden"));
    let nameless = site.certificate("nameless", &site.clients.client("*").unwrap());
    let nameless = site.client(Some(nameless), None).unwrap();
    let (status, kind, _) = refusal(nameless.tasks().await);
    assert_eq!((status, kind.as_str()), (401, "unauthenticated"));
    // The same caller with the right thing.
    let twin = site.certificate("twin", &site.clients.client("twin").unwrap());
    site.client(Some(twin), None)
        .unwrap()
        .tasks()
        .await
        .unwrap();
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_are_spoken() {
    let site = Site::start(CLIENT_CA, &[]).await;
    for (version, protocol) in [
        (&rustls::version::TLS12, "h2"),
        (&rustls::version::TLS12, "http/1.1"),
        (&rustls::version::TLS13, "h2"),
        (&rustls::version::TLS13, "http/1.1"),
    ] {
        let stream = site.connect_as(&site.worker(), version, protocol).await;
        let (_, session) = stream.get_ref();
        assert_eq!(session.alpn_protocol(), Some(protocol.as_bytes()));
        assert_eq!(session.protocol_version(), Some(version.version));
        let io = hyper_util::rt::TokioIo::new(stream);
        let request = http::Request::get("https://x/v1/tasks").header("host", "x");
        let request = request.body(String::new()).unwrap();
        let response = if protocol == "h2" {
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
                .await
                .unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        assert_eq!(response.status(), 200, "{version:?} {protocol}");
    }
}

#[tokio::test]
async fn a_token_where_none_is_taken_is_refused() {
    let site = Site::start(CLIENT_CA, &[]).await;
    let worker = site.worker();
    let (status, _, problem) = site
        .ask(Some(&worker), "/v1/tasks", "authorization: Bearer x\r\n")
        .await
        .unwrap();
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().unwrap().contains("no tokens"));
    let (status, ..) = site.ask(Some(&worker), "/v1/tasks", "").await.unwrap();
    assert_eq!(status, 200);
}

#[tokio::test]
async fn with_both_ways_either_is_enough_and_a_token_decides() {
    let signer = Signer::new("one");
    let ways = format!("{CLIENT_CA}{}", jwt("keys.json"));
    let site = Site::start(&ways, &[("keys.json", &key_set(&[&signer]))]).await;
    let worker = site.worker();
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let good = bearer(&signer.token(&claims(SUBJECT)));
    let bad = bearer(&Signer::new("one").token(&claims(SUBJECT)));
    let unnamed = bearer(&signer.token(&claims("nobody")));
    for (certificate, headers, status) in [
        (None, "", 401),
        (Some(&worker), "", 200),
        (None, good.as_str(), 200),
        (Some(&worker), &good, 200),
        (Some(&worker), &bad, 401),
        (Some(&worker), &unnamed, 403),
        (Some(&worker), "authorization: Basic eDp5\r\n", 401),
    ] {
        let got = site.ask(certificate, "/v1/tasks", headers).await.unwrap();
        assert_eq!(got.0, status, "{headers} {}", got.2);
    }
    let others = Authority::new("others").unwrap();
    let foreign = others.client_of_uri(WORKER).unwrap();
    site.ask(Some(&foreign), "/v1/tasks", &good)
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_certificate_and_a_token_of_one_name_are_two_callers() {
    let signer = Signer::new("one");
    let ways = format!("{CLIENT_CA}{}", jwt("keys.json"));
    let site = Site::start(&ways, &[("keys.json", &key_set(&[&signer]))]).await;
    let twin = site.certificate("twin", &site.clients.client("twin").unwrap());
    let by_certificate = site.client(Some(twin), None).unwrap();
    let by_token = site.bearer("token", &signer.token(&claims("cn:twin")));
    let by_socket = site.stage.client();
    let clients = [&by_certificate, &by_token, &by_socket];
    let hello = submission("hello", json!({ "name": "Ada" }));
    let mut runs = Vec::new();
    for client in clients {
        // The same key is another run for another caller.
        let taken = client.submit("k", &hello).await.unwrap();
        assert!(!taken.replayed);
        client.run(taken.view.run, 60).await.unwrap();
        runs.push(taken.view.run);
    }
    for (at, client) in clients.iter().enumerate() {
        for (of, run) in runs.iter().enumerate() {
            let seen = client.run(*run, 0).await;
            match at == of {
                true => assert_eq!(seen.unwrap().run, *run),
                false => assert_eq!(refusal(seen).0, 404),
            }
            assert_eq!(client.cancel(*run).await.is_ok(), at == of);
            assert_eq!(client.log(*run, 0).await.is_ok(), at == of);
        }
    }
}
