//! A file of the audit that has grown is followed by another.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use super::stage::Stage;

/// `cofferdam audit verify`: exit code and report.
fn verify(stage: &Stage) -> (i32, Value) {
    let mut command = stage
        .world
        .command(&["--format", "json", "audit", "verify"]);
    let Output { status, stdout, .. } = command.output().unwrap();
    (
        status.code().unwrap(),
        serde_json::from_slice(&stdout).unwrap(),
    )
}

fn files(stage: &Stage) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(stage.world.path("audit")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_file_that_has_grown_is_followed_and_what_is_cut_off_it_is_found() {
    let mut stage = Stage::bare("[server]\naudit_file = \"1MiB\"\n").await;
    // One that is under way all the while writes its end where it began.
    let sleep = json!({ "do": "sleep", "ms": 3_600_000 });
    let long = stage.submit("probe", sleep).await.unwrap();
    stage.running(long).await;
    let (key, value) = ("name", "x".repeat(40));
    while files(&stage).len() < 2 {
        for _ in 0..50 {
            let run = stage.submit("hello", json!({ key: value })).await.unwrap();
            stage.end_of(run).await;
        }
    }
    let report = stage.run("hello", json!({ "name": "y" })).await;
    assert_eq!(report.exit, 0);
    let [old, new] = files(&stage).try_into().unwrap();
    assert_eq!(report.audit.file, new);
    let ended = stage.client().cancel(long).await.unwrap();
    assert_eq!(super::stage::report(&ended).audit.file, old);
    stage.stop().await;

    let (code, whole) = verify(&stage);
    assert_eq!(code, 0, "{whole}");
    let checked = &whole["files"][1]["previous"]["checked"];
    assert_eq!(checked, &json!(true), "{whole}");
    // Its end, from before the line that the next file names.
    let text = std::fs::read_to_string(&old).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(&old, lines[..lines.len() / 2].concat()).unwrap();
    let (code, cut) = verify(&stage);
    assert_eq!(code, 1, "{cut}");
    assert_eq!(
        cut["files"][0]["findings"][0]["kind"],
        json!("unlinked"),
        "{cut}"
    );
    // In an archive: told, and no finding.
    std::fs::remove_file(&old).unwrap();
    let (code, archived) = verify(&stage);
    assert_eq!(code, 0, "{archived}");
    let checked = &archived["files"][0]["previous"]["checked"];
    assert_eq!(checked, &json!(false), "{archived}");
}
