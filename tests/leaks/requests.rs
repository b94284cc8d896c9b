//! What a task may not ask for: nothing of it reaches the wire.

use cofferdam_devkit::upstream::Upstream;
use serde_json::{Value, json};

use crate::common::{api, install, nobody_lives, world};

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Value {
    json!({"do": "http", "grant": "api", "method": method, "path": path, "headers": headers})
}

#[tokio::test]
async fn headers_and_paths_of_the_guest_cannot_escape_the_grant() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    let grants = api(&upstream.address()).replace(
        "[\"GET **\", \"POST **\"]",
        "[\"GET allowed/*\", \"GET x\"]",
    );
    install(&world, "caller", "probe-http", &grants);

    let mut refused = Vec::new();
    for (name, value) in [
        ("Host", "evil.example.com"),
        ("authorization", "Bearer mine"),
        ("Proxy-Authorization", "x"),
        ("Cookie", "a=b"),
        ("X-Vault-Token", "s.guess"),
        ("X-Vault-Namespace", "root"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "a"),
        ("Forwarded", "for=1"),
        ("Connection", "authorization"),
        ("Keep-Alive", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "5"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("Range", "bytes=0-1"),
        ("Accept-Encoding", "zstd"),
        ("x-a", "b\r\nx-b: c"),
        ("x-a", "b\nx-b: c"),
        ("x-a", "b\0"),
        ("x a", "b"),
        ("x-a\r\nx-b", "c"),
        ("", "b"),
        (":path", "/x"),
    ] {
        refused.push(request("GET", "x", &[(name, value)]));
    }
    for path in [
        "allowed/../admin",
        "../x",
        "./x",
        "allowed/%2e%2e/admin",
        "allowed/%2E%2e",
        "allowed/..%2fadmin",
        "allowed%2fx",
        "allowed%5cx",
        "allowed\\x",
        "allowed/\\..\\x",
        "//evil.example.com/x",
        "/x",
        "allowed//x",
        "allowed/x;y/../z",
        "allowed/x/y",
        "http://evil.example.com/x",
        "@evil.example.com/x",
        "x#fragment",
        "x\r\nHost: evil",
        "x HTTP/1.1",
        "x\0",
        "allowed/é",
        "admin",
        "",
    ] {
        refused.push(request("GET", path, &[]));
    }
    for method in ["POST", "get", "GET x", "CONNECT", "TRACE", "", "GET\r\n"] {
        refused.push(request(method, "x", &[]));
    }
    let reads = bao.answers_to("secret/data").unwrap().len();
    for input in refused {
        let finished = world.run("caller").input(input.clone()).finish().unwrap();
        assert_eq!(finished.code, 0, "{input}: {finished:?}");
        let answer = &finished.result().unwrap()[0];
        assert_eq!(answer["error"], "denied", "{input}: {answer}");
        let kind = answer["kind"].as_str().unwrap();
        assert!(
            ["invalid-argument", "out-of-scope"].contains(&kind),
            "{input}: {answer}"
        );
        assert_eq!(upstream.requests().len(), 0, "{input}");
    }
    // A denial costs no read of the secret.
    assert_eq!(bao.answers_to("secret/data").unwrap().len(), reads);

    // Positive control: the same guest, within the grant.
    for path in ["x", "allowed/y", "allowed/y?z=1"] {
        let input = request("GET", path, &[("x-mine", "1")]);
        let finished = world.run("caller").input(input).finish().unwrap();
        assert_eq!(finished.result().unwrap()[0]["status"], 404, "{finished:?}");
    }
    assert_eq!(upstream.requests().len(), 3);
    assert_eq!(bao.answers_to("secret/data").unwrap().len(), reads + 3);
    nobody_lives(bao).await;
}

#[tokio::test]
async fn vault_itself_and_what_is_not_a_public_host_are_no_destinations() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let port = bao.socket().port();
    // The server's own address in several spellings: refused at the call, or
    // refused as a grant already.
    for base in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f.1:{port}"),
        format!("http://127.0.0.1.:{port}"),
    ] {
        world
            .task("caller", &crate::common::guest("probe-http"), &api(&base))
            .unwrap();
        let policy = world.command(&[
            "policy",
            "caller",
            "--write",
            "--admin-token-file",
            "admin-token",
        ]);
        let _ = { policy }.output().unwrap();
        let before = bao.answers().unwrap().len();
        let finished = world
            .run("caller")
            .input(request("GET", "v1/sys/health", &[]))
            .finish()
            .unwrap();
        if finished.code == 2 {
            assert_eq!(bao.answers().unwrap().len(), before, "{base}");
            assert!(finished.stdout.contains("base"), "{base}: {finished:?}");
            continue;
        }
        assert_eq!(finished.code, 0, "{base}: {finished:?}");
        let answer = &finished.result().unwrap()[0];
        assert!(answer.get("status").is_none(), "{base}: {answer}");
        let asked = bao.answers_to("sys/health").unwrap();
        assert!(asked.is_empty(), "{base}: the guest reached Vault");
    }
    // Addresses of clouds and of this network are not public.
    for base in [
        "https://169.254.169.254",
        "https://169.254.170.2",
        "https://168.63.129.16",
        "https://100.100.100.200",
        "https://10.0.0.1",
        "https://192.168.0.1",
        "https://127.0.0.1",
        "https://0.0.0.0",
        "https://[::]",
        "https://[::1]",
        "https://[fd00::1]",
        "https://[fe80::1]",
        "https://[::ffff:10.0.0.1]",
        "https://[64:ff9b::a00:1]",
        "https://[2002:a00:1::]",
        "https://localhost",
    ] {
        let grants = api(base).replace("network = \"loopback\"\nplain = true\n", "");
        world
            .task("caller", &crate::common::guest("probe-http"), &grants)
            .unwrap();
        let finished = world
            .run("caller")
            .input(request("GET", "x", &[]))
            .finish()
            .unwrap();
        if finished.code == 2 {
            continue;
        }
        let answer = &finished.result().unwrap()[0];
        assert_eq!(
            (&answer["error"], &answer["kind"]),
            (&json!("denied"), &json!("out-of-scope")),
            "{base}: {answer}"
        );
    }
    nobody_lives(bao).await;
}
