//! The service keeps to its OpenAPI document, by the word of schemathesis: it
//! makes thousands of requests, good and bad, out of the document and holds every
//! answer against it.

use std::path::Path;
use std::process::{Command, Output};

use cofferdam_devkit::tools;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};

use super::stage::Stage;

/// schemathesis speaks TCP only: a way from there to the socket, as long as the
/// test lasts.
async fn bridge(stage: &Stage) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let socket = stage.socket();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut to = UnixStream::connect(socket).await?;
                copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    address
}

async fn schemathesis(folder: &Path, document: &Path, url: &str, more: &[&str]) -> Output {
    let mut command = Command::new(tools::schemathesis().unwrap());
    command
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(document)
        .args(["--url", url, "--phases", "coverage,fuzzing,stateful"])
        // Bounded by their number: on a busy machine a time would cut some off.
        .args([
            "--max-examples",
            "20",
            "--request-timeout",
            "90",
            "--no-color",
        ])
        .args(more)
        .current_dir(folder)
        .env("HYPOTHESIS_STORAGE_DIRECTORY", folder.join("hypothesis"));
    let ended = tokio::task::spawn_blocking(move || command.output());
    ended.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_the_document_says() {
    let stage = Stage::bare("").await;
    let run = stage
        .submit("hello", json!({ "name": "Ada" }))
        .await
        .unwrap();
    stage.end_of(run).await;
    let url = bridge(&stage).await;
    let folder = stage.world.folder();
    // A run and a task that are there. Rules of a submission that no schema can
    // tell (lengths in bytes, no two dots) are refused with 422.
    let settings = format!(
        "[parameters]\nrun = \"{run}\"\ntask = \"hello\"\n\n\
         [[operations]]\ninclude-operation-id = \"submit\"\n\
         checks.positive_data_acceptance.expected-statuses = \
         [\"2xx\", \"404\", \"422\", \"429\"]\n"
    );
    stage.world.write("schemathesis.toml", &settings).unwrap();
    // What the service says of itself.
    let served = String::from_utf8(stage.get("/openapi.json")).unwrap();
    let (_, served) = served.split_once("\r\n\r\n").unwrap();
    let mut document: Value = serde_json::from_str(served).unwrap();
    let write = |document: &Value| {
        let path = stage.world.path("openapi.json");
        std::fs::write(&path, document.to_string()).unwrap();
        path
    };
    let file = write(&document);
    let done = schemathesis(folder, &file, &url, &["--report", "junit"]).await;
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(told.contains("Tested: 14"), "{told}");

    // It would have seen a document that is wrong.
    let version = &mut document["components"]["schemas"]["Version"]["properties"]["version"];
    assert_eq!(version["type"], "string");
    version["type"] = json!("integer");
    let file = write(&document);
    let only = ["--include-path", "/v1/version"];
    let done = schemathesis(folder, &file, &url, &only).await;
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("is not of type"), "{told}");
}
