//! What a task prints in pieces: a key has many lines.

use cofferdam_devkit::world::Finished;
use serde_json::json;

use crate::common::{install, world};

/// A key as `openssl genpkey` writes it, of no use to anybody.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n\
    OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n\
    SMwZBfuUYn1LuIM6KNMdMkw9Zj2KtqnVbZDL7v1mBAzpXVRXvlz6Zqxx\n\
    -----END PRIVATE KEY-----\n";

const GRANT: &str = "[reveal.legacy]\nreason = \"test\"\n\
    credential = { kv2 = { mount = \"secret\", path = \"pem\", field = \"key\" } }\n";

/// The lines of the key's body that stand in what a run wrote.
fn seen(finished: &Finished) -> usize {
    let body = KEY.lines().filter(|line| !line.starts_with('-'));
    let told = format!("{}{}", finished.stdout, finished.stderr);
    body.map(|line| told.matches(line).count()).sum()
}

#[tokio::test]
async fn a_key_that_is_printed_line_by_line_stands_in_no_log() {
    let world = world().await;
    let key = json!({"data": {"key": KEY}});
    let bao = world.bao().unwrap();
    let (status, _) = bao
        .root("POST", "secret/data/pem", Some(key))
        .await
        .unwrap();
    assert_eq!(status, 200);
    install(&world, "teller", "probe-reveal", GRANT);
    let tell = |mark: &str| {
        let input = json!({"do": "reveal_by_lines", "grant": "legacy", "mark": mark});
        let finished = world.run("teller").input(input).finish().unwrap();
        assert_eq!(finished.code, 0, "{finished:?}");
        assert_eq!(finished.result().unwrap()["lines"], KEY.lines().count());
        finished
    };
    let plain = tell("");
    assert_eq!(seen(&plain), 0, "{plain:?}");
    let marks = plain.stderr.matches("[redacted]").count();
    // Twice by lines, and once over the cut.
    assert_eq!(marks, 3, "{plain:?}");
    // The control, which SECURITY.md names: a task that spells it in its own way is
    // not stopped, and the search sees it in both streams.
    assert_eq!(seen(&tell("> ")), 6);
}
