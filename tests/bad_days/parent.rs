//! Somebody revokes the host's log-in while an attempt runs under it.

use serde_json::json;

use crate::common::{SOON, journal};

use super::day::{Day, call, denial, lease, sign, works};

#[tokio::test]
async fn a_log_in_that_is_revoked_under_us_takes_the_attempt_along() {
    let day = Day::dawn("timeout = \"2s\"").await;
    let bao = day.bao();
    let held = day.hold();
    let before = day.log_ins();
    let running = day.start(&[lease(), call(), sign(50), call()]);
    held.wait_hit(SOON).unwrap();
    let living = bao.living().await.unwrap();
    assert_eq!(living.len(), 2);
    let login = living
        .iter()
        .find(|it| it.policies == ["cofferdam-host"])
        .unwrap();
    let body = json!({"accessor": login.accessor});
    let (status, _) = bao
        .root("POST", "auth/token/revoke-accessor", Some(body))
        .await
        .unwrap();
    assert_eq!(status, 204);
    assert!(
        bao.living().await.unwrap().is_empty(),
        "the child goes with it"
    );
    held.release();

    // The task is told, and ends as it likes; what it had is gone.
    let ended = day.end(running);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    let result = ended.result();
    assert!(works(&result[1][0]), "{result}");
    assert_eq!(denial(&result[2][0]), ("revoked", false));
    assert_eq!(ended.report["denials"].as_array().unwrap().len(), 1);
    assert!(ended.took < SOON, "{:?}", ended.took);
    // Fifty calls of the task ask but once what has died.
    let passed = day.vault.passed();
    let lookups = passed.iter().filter(|it| it.target.contains("lookup"));
    assert!((1..=4).contains(&lookups.count()), "{passed:?}");
    // One more log-in, to make sure that the child is dead.
    assert_eq!(day.log_ins() - before, 2);
    assert!(journal(&day.world).is_empty());
    day.over().await;
}
