//! Keys of an issuer that change.

use std::time::{Duration, Instant};

use cofferdam_devkit::identity::Authority;
use cofferdam_devkit::process::dying_with_us;
use rustix::process::Signal;

use super::publisher::Publisher;
use super::signer::{Signer, claims, key_set};
use super::site::{SUBJECT, Site, jwt, table, world};
use crate::common::{SOON, binary};

#[tokio::test]
async fn published_keys_change_without_a_restart() {
    let issuer = Authority::new("issuer").unwrap();
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let publisher = Publisher::start(&issuer, &key_set(&[&old]));
    let ways = format!("{}jwks_ca = \"issuer.pem\"\n", jwt(&publisher.url()));
    let site = Site::start(&ways, &[("issuer.pem", &issuer.pem())]).await;
    let [by_old, by_new] = [&old, &new].map(|signer| signer.token(&claims(SUBJECT)));
    assert_eq!(site.status(&by_old).await, 200);
    assert_eq!(publisher.asked(), 1, "at the start");
    publisher.publish(&key_set(&[&new]));
    assert_eq!(site.status(&by_old).await, 200, "nobody has asked yet");
    // A key that is not known makes the service ask, and it has it then.
    assert_eq!(site.status(&by_new).await, 200);
    assert_eq!(publisher.asked(), 2);
    assert_eq!(site.status(&by_old).await, 401, "its key is gone");
    // Whoever makes up names of keys does not make it ask again and again.
    for name in 0..20 {
        let made_up = Signer::new(&format!("made-up-{name}"));
        assert_eq!(site.status(&made_up.token(&claims(SUBJECT))).await, 401);
    }
    assert_eq!(publisher.asked(), 2);

    // When nothing comes the keys stay, at a reload too; it is told once.
    publisher.fail("503 Service Unavailable");
    site.stage.signal(Signal::HUP);
    site.stage.logs("were read again").await;
    site.stage.logs("the answer is not 200").await;
    assert_eq!(site.status(&by_new).await, 200);
    publisher.publish("{\"keys\":[]}");
    site.stage.signal(Signal::HUP);
    site.stage.logs("holds no key").await;
    assert_eq!(site.status(&by_new).await, 200);
    publisher.publish(&key_set(&[&old, &new]));
    site.stage.signal(Signal::HUP);
    let begun = Instant::now();
    while site.status(&by_old).await != 200 {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn another_issuer_that_cannot_be_reached_is_not_taken_at_a_reload() {
    let issuer = Authority::new("issuer").unwrap();
    let signer = Signer::new("one");
    let publisher = Publisher::start(&issuer, &key_set(&[&signer]));
    let ways = format!("{}jwks_ca = \"issuer.pem\"\n", jwt(&publisher.url()));
    let site = Site::start(&ways, &[("issuer.pem", &issuer.pem())]).await;
    let world = &site.stage.world;
    let file = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    let other = file.replace(&publisher.url(), "https://127.0.0.1:1/keys");
    assert_ne!(other, file);
    world.write("cofferdam.toml", &other).unwrap();
    site.stage.signal(Signal::HUP);
    site.stage.logs("stay as they were").await;
    site.stage.logs("https://127.0.0.1:1/keys").await;
    let token = signer.token(&claims(SUBJECT));
    assert_eq!(site.status(&token).await, 200);
    // Another audience of the same issuer takes effect, and ends the old tokens.
    let other = file.replace("cofferdam-tests", "cofferdam-others");
    assert_ne!(other, file);
    world.write("cofferdam.toml", &other).unwrap();
    site.stage.signal(Signal::HUP);
    site.stage.logs("were read again").await;
    assert_eq!(site.status(&token).await, 401);
}

#[tokio::test]
async fn keys_in_a_file_are_read_again_at_a_reload() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let site = Site::start(&jwt("keys.json"), &[("keys.json", &key_set(&[&old]))]).await;
    let [by_old, by_new] = [&old, &new].map(|signer| signer.token(&claims(SUBJECT)));
    let statuses = async || (site.status(&by_old).await, site.status(&by_new).await);
    assert_eq!(statuses().await, (200, 401));
    site.stage
        .world
        .write("keys.json", "not a key set")
        .unwrap();
    site.stage.signal(Signal::HUP);
    site.stage.logs("is not a JSON Web Key Set").await;
    assert_eq!(statuses().await, (200, 401));
    site.stage
        .world
        .write("keys.json", &key_set(&[&new]))
        .unwrap();
    site.stage.signal(Signal::HUP);
    site.stage.logs("were read again").await;
    assert_eq!(statuses().await, (401, 200));
}

#[tokio::test]
async fn without_keys_the_service_does_not_start() {
    let authority = Authority::new("one").unwrap();
    let publisher = Publisher::start(&authority, &key_set(&[&Signer::new("one")]));
    let url = publisher.url();
    let with_ca = |ca: &str| format!("{}jwks_ca = \"{ca}\"\n", jwt(&url));
    let start = |ways: String| {
        let world = world(&authority, &authority);
        world.write("issuer.pem", &authority.pem()).unwrap();
        let other = Authority::new("other").unwrap();
        world.write("other.pem", &other.pem()).unwrap();
        world.write("cofferdam.toml", &table(&ways)).unwrap();
        let mut command = dying_with_us(binary());
        command.arg("serve").current_dir(world.folder());
        let ended = command.output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        (ended.status.code().unwrap(), told)
    };
    // Whoever answers in the issuer's place has no certificate of it.
    let (code, told) = start(with_ca("other.pem"));
    assert_eq!(code, 4, "{told}");
    assert!(
        told.contains("not trusted") && told.contains("jwks_ca"),
        "{told}"
    );
    publisher.fail("302 Found\r\nlocation: https://127.0.0.1:1/");
    let (code, told) = start(with_ca("issuer.pem"));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("the answer is not 200"), "{told}");
    publisher.publish(&" ".repeat((256 << 10) + 1));
    let (code, told) = start(with_ca("issuer.pem"));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("larger than 256 KiB"), "{told}");
    publisher.publish("{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0LXNlY3JldA\"}]}");
    let (code, told) = start(with_ca("issuer.pem"));
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("holds no key that can be used"), "{told}");
    let (code, told) = start(jwt("nowhere.json"));
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("server.tcp.jwt.jwks"), "{told}");
}

#[tokio::test]
async fn a_reload_that_hangs_does_not_hold_up_the_end() {
    let issuer = Authority::new("issuer").unwrap();
    let publisher = Publisher::start(&issuer, &key_set(&[&Signer::new("one")]));
    let ways = format!("{}jwks_ca = \"issuer.pem\"\n", jwt(&publisher.url()));
    let mut site = Site::start(&ways, &[("issuer.pem", &issuer.pem())]).await;
    let asked = publisher.asked();
    publisher.hang();
    site.stage.signal(Signal::HUP);
    let begun = Instant::now();
    while publisher.asked() == asked {
        assert!(begun.elapsed() < SOON, "the reload asks for keys");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.stage.signal(Signal::TERM);
    // The service would wait five seconds for an answer.
    site.stage.ends_well(Duration::from_secs(3)).await;
    let log = site.stage.log();
    assert!(
        !log.contains("were read again") && !log.contains("stay as they were"),
        "{log}"
    );
}
