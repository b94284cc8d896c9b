//! What the service listens on, and the files that it reads for it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use cofferdam_devkit::identity::Authority;
use cofferdam_devkit::process::dying_with_us;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::super::stage::Stage;
use super::site::{CLIENT_CA, Site, ask, connect, install, jwt, table, world};
use crate::common::{SOON, becomes, binary};

/// The addresses on which a process listens for TCP.
fn listens_on(pid: u32) -> Vec<String> {
    let own: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?.to_owned();
            link.strip_suffix(']').map(str::to_owned)
        })
        .collect();
    assert!(!own.is_empty(), "it has its Unix socket");
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // 0A: listening. The tenth column is the inode.
            if columns[3] == "0A" && own.iter().any(|inode| inode == columns[9]) {
                found.push(columns[1].to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn nothing_listens_on_tcp_that_was_not_asked_for() {
    let stage = Stage::bare("").await;
    assert_eq!(listens_on(stage.pid()), Vec::<String>::new());
    let site = Site::start(CLIENT_CA, &[]).await;
    let port: u16 = site.address.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!(
        listens_on(site.stage.pid()),
        [format!("0100007F:{port:04X}")]
    );
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_at_the_start() {
    let authority = Authority::new("one").unwrap();
    let start = |ways: &str, change: &dyn Fn(&cofferdam_devkit::world::World)| {
        let world = world(&authority, &authority);
        world.write("cofferdam.toml", &table(ways)).unwrap();
        change(&world);
        let mut command = dying_with_us(binary());
        command.arg("serve").current_dir(world.folder());
        let ended = command.output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{told}");
        assert!(!world.path("cofferdam.sock").exists());
        told
    };
    let told = start("", &|_| ());
    assert!(
        told.contains("`server.tcp.client_ca`: is missing"),
        "{told}"
    );
    let mode = |name: &'static str, mode| {
        move |world: &cofferdam_devkit::world::World| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(world.path(name), mode).unwrap();
        }
    };
    for change in [mode("server.key", 0o640), mode("server.key", 0o604)] {
        let told = start(CLIENT_CA, &change);
        for word in ["`server.tcp.key`", "server.key", "06", "chmod 600"] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
    // Who can write these says who may call.
    for (name, field) in [("clients.pem", "client_ca"), ("server.pem", "certificate")] {
        let told = start(CLIENT_CA, &mode(name, 0o620));
        for word in [&format!("`server.tcp.{field}`"), name, "hint:"] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
    let told = start(CLIENT_CA, &|world| {
        let other = authority.server(&["x"]).unwrap();
        world.write("server.key", &other.key).unwrap();
    });
    assert!(told.contains("does not belong"), "{told}");
    for name in ["server.pem", "server.key", "clients.pem"] {
        let told = start(CLIENT_CA, &|world| world.write(name, "nothing").unwrap());
        assert!(told.contains(name) && told.contains("PEM"), "{told}");
        let told = start(CLIENT_CA, &|world| {
            std::fs::remove_file(world.path(name)).unwrap();
        });
        assert!(
            told.contains(name) && told.contains("server.tcp."),
            "{told}"
        );
    }
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let told = start(CLIENT_CA, &|world| {
        let text = table(CLIENT_CA).replace("127.0.0.1:0", &taken);
        world.write("cofferdam.toml", &text).unwrap();
    });
    assert!(
        told.contains(&format!("cannot listen on {taken}")),
        "{told}"
    );
    drop(held);
}

#[tokio::test]
async fn a_reload_takes_new_certificates_and_open_connections_go_on() {
    let site = Site::start(CLIENT_CA, &[]).await;
    let (world, worker) = (&site.stage.world, site.worker());
    let mut open = site.connect(Some(&worker)).await.unwrap();
    assert_eq!(ask(&mut open, "/v1/tasks", "").await.unwrap().0, 200);

    // Half of a change, and a wrong one: all stays.
    let renewed = Authority::new("renewed").unwrap();
    let issued = renewed.server(&["127.0.0.1"]).unwrap();
    world.write("server.pem", &issued.certificate).unwrap();
    site.stage.signal(Signal::HUP);
    site.stage.logs("does not belong to the certificate").await;
    site.stage.logs("stay as they were").await;
    assert_eq!(
        site.ask(Some(&worker), "/v1/tasks", "").await.unwrap().0,
        200
    );

    install(world, &issued);
    site.stage.signal(Signal::HUP);
    site.stage.logs("were read again").await;
    site.connect(Some(&worker)).await.unwrap_err();
    let mut fresh = connect(&site.address, &renewed.pem(), Some(&worker))
        .await
        .unwrap();
    assert_eq!(ask(&mut fresh, "/v1/tasks", "").await.unwrap().0, 200);
    assert_eq!(ask(&mut open, "/v1/tasks", "").await.unwrap().0, 200);

    // Those who vouched for callers do so no more, on open connections neither.
    let others = Authority::new("others").unwrap();
    world.write("clients.pem", &others.pem()).unwrap();
    site.stage.signal(Signal::HUP);
    becomes("it is not known any more", async || {
        ask(&mut open, "/v1/tasks", "").await.unwrap().0 == 401
    })
    .await;
    assert_eq!(ask(&mut fresh, "/v1/tasks", "").await.unwrap().0, 401);
    let other = others.client("twin").unwrap();
    let mut taken = connect(&site.address, &renewed.pem(), Some(&other))
        .await
        .unwrap();
    assert_eq!(ask(&mut taken, "/v1/tasks", "").await.unwrap().0, 200);

    // Where it listens takes a restart, and so does that it listens at all.
    let file = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    let moved = file.replace("127.0.0.1:0", "127.0.0.1:1");
    world.write("cofferdam.toml", &moved).unwrap();
    site.stage.signal(Signal::HUP);
    site.stage.logs("`server.tcp.listen` has changed").await;
    let told = site.stage.log().matches("stay as they were").count();
    let deaf = super::site::rules("");
    world
        .write("cofferdam.toml", &format!("[paths]\n{deaf}"))
        .unwrap();
    site.stage.signal(Signal::HUP);
    becomes("it says so", async || {
        site.stage.log().matches("stay as they were").count() > told
    })
    .await;
    let log = site.stage.log();
    assert_eq!(
        log.matches("`server.tcp.listen` has changed").count(),
        2,
        "{log}"
    );
    assert_eq!(ask(&mut taken, "/v1/tasks", "").await.unwrap().0, 200);
}

#[tokio::test]
async fn an_open_connection_ends_with_its_certificate() {
    let site = Site::start(CLIENT_CA, &[]).await;
    let short = site
        .clients
        .client_for("twin", Duration::from_secs(3))
        .unwrap();
    let mut open = site.connect(Some(&short)).await.unwrap();
    assert_eq!(ask(&mut open, "/v1/tasks", "").await.unwrap().0, 200);
    becomes("it ends", async || {
        ask(&mut open, "/v1/tasks", "").await.unwrap().0 != 200
    })
    .await;
    assert_eq!(ask(&mut open, "/v1/tasks", "").await.unwrap().0, 401);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_closed_and_takes_little_room() {
    let signer = super::signer::Signer::new("one");
    let keys = super::signer::key_set(&[&signer]);
    let site = Site::start(&jwt("keys.json"), &[("keys.json", &keys)]).await;
    // Plain HTTP is no handshake.
    let mut plain = TcpStream::connect(&site.address).await.unwrap();
    plain
        .write_all(b"GET /v1/tasks HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let read = plain.read_to_end(&mut answer);
    let _ = tokio::time::timeout(SOON, read).await.unwrap();
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP/"),
        "{answer:?}"
    );

    drop(plain);
    tokio::time::sleep(Duration::from_millis(200)).await;

    // As many as there may be of one address that say nothing, and ten who find no
    // room.
    let begun = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..42 {
        silent.push(TcpStream::connect(&site.address).await.unwrap());
    }
    let mut closed_at_once = 0;
    for stream in &mut silent {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut byte));
        closed_at_once += u32::from(read.await.is_ok());
    }
    assert_eq!(closed_at_once, 10);
    // Whoever comes from elsewhere finds room.
    let elsewhere = TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let address = site.address.parse().unwrap();
    let mut elsewhere = elsewhere.connect(address).await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_millis(500), elsewhere.read(&mut byte));
    assert!(read.await.is_err(), "it was sent away");
    // Those on the socket do not notice.
    site.stage.client().tasks().await.unwrap();
    for stream in &mut silent {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(SOON, stream.read_to_end(&mut rest));
        let _ = read.await.unwrap();
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(4), "{took:?}");
    assert!(took < Duration::from_secs(12), "{took:?}");
    // There is room again.
    let token = signer.token(&super::signer::claims(super::site::SUBJECT));
    assert_eq!(site.status(&token).await, 200);
}
