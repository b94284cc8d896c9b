//! Tokens stay where they belong.

use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::process::dying_with_us;
use serde_json::json;

use super::super::stage::{Stage, submission};
use super::signer::{Signer, claims, key_set};
use super::site::{CLIENT_CA, SUBJECT, jwt, table, world};
use crate::common::binary;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_in_what_the_service_or_its_client_writes() {
    let servers = cofferdam_devkit::identity::Authority::new("servers").unwrap();
    let clients = cofferdam_devkit::identity::Authority::new("clients").unwrap();
    let signer = Signer::new("one");
    let world = world(&servers, &clients);
    world.write("keys.json", &key_set(&[&signer])).unwrap();
    let mut command = dying_with_us(binary());
    command.args(["--log-level", "trace", "serve"]);
    let ways = table(&format!("{CLIENT_CA}{}", jwt("keys.json")));
    let mut stage = Stage::of_command(world, &ways, "cofferdam.sock", command).await;
    let url = format!("https://{}", stage.address().await);

    // One that is taken, one that is not, one whose subject no rule names.
    let tokens = [
        signer.token(&claims(SUBJECT)),
        Signer::new("one").token(&claims(SUBJECT)),
        signer.token(&claims("nobody")),
    ];
    let mut said = Vec::new();
    for (token, code) in tokens.iter().zip([0, 3, 3]) {
        stage.world.write("token", token).unwrap();
        let input = json!({ "name": "Ada" }).to_string();
        let arguments = [
            "--log-level",
            "trace",
            "run",
            "hello",
            "--dag-id",
            "tests",
            "--input",
            &input,
            "--server",
            &url,
            "--server-ca",
            "servers.pem",
            "--token-file",
            "token",
        ];
        let output = stage.world.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        said.extend([output.stdout, output.stderr]);
    }
    let last = submission("hello", json!({ "name": "Ada" }));
    stage.client().submit("k", &last).await.unwrap();
    stage.stop().await;
    assert!(
        stage.log().contains("a token is refused"),
        "the log is at `trace`"
    );
    std::fs::remove_file(stage.world.path("token")).unwrap();

    let search = |stage: &Stage, needle: &str| {
        let mut hunt = Hunt::new(&Canary::of(needle));
        let mut files = 0;
        for entry in walkdir::WalkDir::new(stage.world.folder()) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let name = entry.path().display().to_string();
                hunt.bytes(&name, &std::fs::read(entry.path()).unwrap());
                files += 1;
            }
        }
        for text in &said {
            hunt.bytes("said", text);
        }
        assert!(files > 8, "{files} files");
        hunt.sightings().len()
    };
    for token in &tokens {
        for part in token.split('.').skip(1) {
            assert_eq!(search(&stage, part), 0, "{part}");
        }
    }
    // The same search finds it where it lies.
    stage.world.write("planted", &tokens[0]).unwrap();
    for part in tokens[0].split('.').skip(1) {
        assert_ne!(search(&stage, part), 0);
    }
}
