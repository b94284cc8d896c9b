//! `cofferdam identity`: what Vault is told of the host's keys, and rotation.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use cofferdam_devkit::identity::KeySetServer;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::site::{BOTH_AS_ITSELF, identity, install, site, write};
use super::stage::{ISSUER, MOUNT};
use crate::common::nobody_lives;

fn runs(world: &World) -> i32 {
    let input = json!({"do": "reveal", "grant": "billing"});
    let run = world.run("teller").dag("billing").input(input);
    run.finish().unwrap().code
}

fn kids(set: &str) -> Vec<String> {
    let set: Value = serde_json::from_str(set).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether these bytes hold the private number of the key in a file.
fn holds_private(world: &World, file: &str, text: &str) -> bool {
    let pem = std::fs::read_to_string(world.path(&format!("state/identity/{file}"))).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(&body).unwrap();
    // Where RFC 5958 and RFC 5915 put it for this curve.
    assert_eq!(der[34..36], [0x04, 0x20]);
    let number = &der[36..68];
    let forms = [
        BASE64_URL_SAFE_NO_PAD.encode(number),
        BASE64_STANDARD.encode(number),
        hex::encode(number),
        body[40..80].to_owned(),
    ];
    forms.iter().any(|form| text.contains(form))
}

#[tokio::test]
async fn the_key_set_holds_public_keys_alone() {
    let world = site().await;
    identity(&world, &["rotate", "--stage"]);
    let outputs = [
        identity(&world, &["jwks"]),
        identity(&world, &["jwks", "--format", "json"]),
        identity(&world, &["pem"]),
        identity(&world, &["pem", "--format", "json"]),
        identity(&world, &["rotate", "--stage", "--format", "json"]),
        std::fs::read_to_string(world.path("cofferdam.toml")).unwrap(),
    ];
    for output in &outputs {
        assert!(!output.contains("PRIVATE"), "{output}");
        for file in ["key.pem", "next.pem"] {
            assert!(!holds_private(&world, file, output), "{output}");
        }
    }
    // Positive control: the same search finds it where it is.
    let key = std::fs::read_to_string(world.path("state/identity/key.pem")).unwrap();
    assert!(holds_private(&world, "key.pem", &key.replace('\n', "")));

    let set: Value = serde_json::from_str(&outputs[0]).unwrap();
    assert_eq!(set, serde_json::from_str::<Value>(&outputs[1]).unwrap());
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let members: BTreeSet<_> = key
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let public = ["alg", "crv", "kid", "kty", "use", "x", "y"];
        assert_eq!(members, BTreeSet::from(public));
    }
    assert_eq!(outputs[2].matches("BEGIN PUBLIC KEY").count(), 2);
}

#[tokio::test]
async fn a_rotation_through_a_key_set_fails_no_log_in() {
    let world = site().await;
    install(&world, "teller", "probe-reveal", BOTH_AS_ITSELF);
    let published = KeySetServer::start(&identity(&world, &["jwks"])).unwrap();
    let path = format!("auth/{MOUNT}/config");
    let config = json!({
        "jwks_url": published.url(), "jwt_validation_pubkeys": [], "bound_issuer": ISSUER,
    });
    write(&world, &path, config).await;
    assert_eq!(runs(&world), 0);
    assert!(published.fetched() >= 1);
    let first = kids(&identity(&world, &["jwks"]));

    identity(&world, &["rotate"]);
    let set = identity(&world, &["jwks"]);
    let second = kids(&set);
    assert_eq!(
        (second.len(), &second[1]),
        (2, &first[0]),
        "the old one stays"
    );
    // Vault has not fetched it, and does so when it meets the new key.
    let fetched = published.fetched();
    published.publish(&set);
    assert_eq!(runs(&world), 0);
    assert!(published.fetched() > fetched);

    identity(&world, &["rotate", "--forget"]);
    let third = kids(&identity(&world, &["jwks"]));
    assert_eq!(third.len(), 1);
    assert!(!second.contains(&third[0]));
    // Not published yet: Vault does not know the key.
    assert_eq!(runs(&world), 3);
    published.publish(&identity(&world, &["jwks"]));
    assert_eq!(runs(&world), 0);
    nobody_lives(world.bao().unwrap()).await;
}

#[tokio::test]
async fn a_rotation_through_keys_in_the_mount_is_staged() {
    let world = site().await;
    install(&world, "teller", "probe-reveal", BOTH_AS_ITSELF);
    assert_eq!(runs(&world), 0);
    identity(&world, &["rotate", "--stage"]);
    assert_eq!(runs(&world), 0, "still signed with the old key");
    let tell = || {
        let pem = identity(&world, &["pem"]);
        json!({"jwt_validation_pubkeys": pem, "bound_issuer": ISSUER})
    };
    let path = format!("auth/{MOUNT}/config");
    write(&world, &path, tell()).await;
    let (_, config) = world.bao().unwrap().root("GET", &path, None).await.unwrap();
    let known = config["data"]["jwt_validation_pubkeys"].as_array().unwrap();
    assert_eq!(known.len(), 2);
    assert_eq!(runs(&world), 0);
    identity(&world, &["rotate"]);
    assert_eq!(runs(&world), 0, "Vault knew the new key before");
    identity(&world, &["rotate", "--forget"]);
    assert_eq!(runs(&world), 3, "and not this one");
    write(&world, &path, tell()).await;
    assert_eq!(runs(&world), 0);
}

#[tokio::test]
async fn the_operators_own_key_serves_too() {
    let world = site().await;
    install(&world, "teller", "probe-reveal", BOTH_AS_ITSELF);
    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    world.write("own.pem", &made.serialize_pem()).unwrap();
    let text = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    world
        .write("cofferdam.toml", &format!("{text}key_file = \"own.pem\"\n"))
        .unwrap();
    assert_eq!(runs(&world), 3, "Vault does not know it");
    let pem = identity(&world, &["pem"]);
    assert_eq!(pem.trim(), made.public_key_pem().trim());
    let config = json!({"jwt_validation_pubkeys": pem, "bound_issuer": ISSUER});
    write(&world, &format!("auth/{MOUNT}/config"), config).await;
    assert_eq!(runs(&world), 0);
    let output = world.command(&["identity", "rotate"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("own.pem") && told.contains("hint:"), "{told}");
}
