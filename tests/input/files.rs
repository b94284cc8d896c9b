//! Grants and configuration that cannot be used.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::Desk;

#[tokio::test]
async fn a_grants_file_that_is_wrong_names_file_field_and_cure() {
    let mut desk = Desk::new().await;
    for (name, from, to) in [
        ("not TOML", "task =", "task"),
        ("an unknown field", "plain = true", "plane = true"),
        ("an unknown table", "[http.api]", "[ftp.api]"),
        (
            "an unknown limit",
            "[http.api]",
            "[limits]\nfuel = 1\n\n[http.api]",
        ),
        (
            "a limit out of range",
            "[http.api]",
            "[limits]\ntimeout = \"25h\"\n\n[http.api]",
        ),
        (
            "a limit without unit",
            "[http.api]",
            "[limits]\nmemory = \"12\"\n\n[http.api]",
        ),
        (
            "two grants of one name",
            "[http.api]",
            "[keys.api]\ntransit = { mount = \"t\", key = \"k\" }\nallow = [\"sign\"]\n\n[http.api]",
        ),
        (
            "the same table twice",
            "[http.api]",
            "[http.api]\nbase = \"https://a.example.com/\"\nallow = []\n\n[http.api]",
        ),
        ("a path with ..", "path = \"api\"", "path = \"../api\""),
        ("a path with *", "path = \"api\"", "path = \"*\""),
        ("a path with a quote", "path = \"api\"", "path = 'a\"b'"),
        (
            "a path with a newline",
            "path = \"api\"",
            "path = \"a\\nb\"",
        ),
        ("an empty path", "path = \"api\"", "path = \"\""),
        ("a path with //", "path = \"api\"", "path = \"a//b\""),
        ("no digest", "digest", "# digest"),
        (
            "a short digest",
            "digest = \"sha256:",
            "digest = \"sha256:0\"\n#",
        ),
        ("another task", "task = \"hello\"", "task = \"other\""),
        ("no caller", "dags = [\"tests\"]", "dags = []"),
        ("a dag with a star", "dags = [\"tests\"]", "dags = [\"*\"]"),
        (
            "a base with a password",
            "base = \"http://",
            "base = \"http://user:hunter2@",
        ),
        ("http without plain", "plain = true\n", ""),
        ("no inject", "inject =", "# inject ="),
        ("an allow rule without method", "\"GET **\"", "\"**\""),
        (
            "a component outside",
            "component = \"/",
            "component = \"../",
        ),
    ] {
        desk.reset();
        desk.change(from, to);
        desk.run(name, 2);
    }
    desk.reset();
    std::fs::remove_file(desk.world.path("grants/hello.toml")).unwrap();
    desk.run("no file", 2);
    std::fs::write(desk.world.path("grants/hello.toml"), [0xff; 8]).unwrap();
    desk.run("not UTF-8", 2);
    std::fs::write(desk.world.path("grants/hello.toml"), vec![b' '; 300_000]).unwrap();
    desk.run("300 KB", 2);
    desk.close("grants").await;
}

#[tokio::test]
async fn files_that_others_can_write_decide_nothing() {
    let mut desk = Desk::new().await;
    let mode = |desk: &Desk, name: &str, mode| {
        std::fs::set_permissions(desk.world.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&desk, "grants/hello.toml", 0o646);
    desk.run("grants for all", 2);
    mode(&desk, "grants/hello.toml", 0o600);
    mode(&desk, "grants", 0o777);
    desk.run("a folder for all", 2);
    mode(&desk, "grants", 0o700);
    mode(&desk, "cofferdam.toml", 0o666);
    desk.run("a configuration for all", 2);
    mode(&desk, "cofferdam.toml", 0o600);

    // A link into a folder that others can write is as bad as the folder.
    std::fs::create_dir(desk.world.path("open")).unwrap();
    std::fs::rename(
        desk.world.path("grants/hello.toml"),
        desk.world.path("open/hello.toml"),
    )
    .unwrap();
    symlink(
        desk.world.path("open/hello.toml"),
        desk.world.path("grants/hello.toml"),
    )
    .unwrap();
    mode(&desk, "open", 0o777);
    desk.run("a link into an open folder", 2);
    mode(&desk, "open", 0o700);
    for folder in ["state", "cache", "audit"] {
        let _ = std::fs::create_dir(desk.world.path(folder));
        mode(&desk, folder, 0o777);
        desk.run(&format!("{folder} for all"), 2);
        mode(&desk, folder, 0o700);
    }
    desk.close("rights").await;
}

#[tokio::test]
async fn a_configuration_that_is_wrong_names_file_field_and_cure() {
    let mut desk = Desk::new().await;
    let good = std::fs::read_to_string(desk.world.path("cofferdam.toml")).unwrap();
    for (name, from, to) in [
        ("an unknown field", "address", "adress"),
        (
            "an address that is none",
            "address = \"http://",
            "address = \"vault://",
        ),
        (
            "plain http to another machine",
            "address = \"http://127.0.0.1",
            "address = \"http://10.0.0.1",
        ),
        (
            "no log-in",
            "[vault.auth.approle]\nrole_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"\n",
            "",
        ),
        (
            "two log-ins",
            "[vault.auth.approle]",
            "[vault.auth.token_file]\npath = \"t\"\n\n[vault.auth.approle]",
        ),
        ("no secret-id", "secret_id_file", "# secret_id_file"),
        (
            "an engine of nothing",
            "[vault]",
            "[engine]\ninstances = 0\n\n[vault]",
        ),
    ] {
        assert!(good.contains(from));
        desk.world
            .write("cofferdam.toml", &good.replacen(from, to, 1))
            .unwrap();
        desk.run(name, 2);
    }
    std::fs::remove_file(desk.world.path("cofferdam.toml")).unwrap();
    desk.run("none", 2);
    desk.world.write("cofferdam.toml", "").unwrap();
    desk.run("no vault", 2);

    // A machine gets one JSON document even when there is no report.
    desk.world
        .write("cofferdam.toml", "[vault]\nadress = \"x\"\n")
        .unwrap();
    let finished = desk.world.run("hello").finish().unwrap();
    let document = finished.report().unwrap();
    assert_eq!((finished.code, &document["exit"]), (2, &2.into()));
    let error = &document["error"];
    assert!(
        error["message"].as_str().unwrap().contains("vault.adress"),
        "{document}"
    );
    assert_eq!(error["blame"], "operator", "{document}");
    assert!(error["hint"].is_string(), "{document}");
    desk.close("configuration").await;
}
