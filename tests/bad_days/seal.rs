//! Somebody seals Vault.

use crate::common::{SOON, journal};

use super::day::{Day, call, denial, lease, sign, works};

#[tokio::test]
async fn a_seal_in_the_middle_of_a_run_is_told_and_survived() {
    let day = Day::dawn("timeout = \"2s\"").await;
    let bao = day.bao();

    // For good: what needs Vault is denied, and what lives is told.
    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    bao.seal().await.unwrap();
    held.release();
    let ended = day.end(running);
    assert_eq!(ended.code, 7, "{ended:?}");
    let result = ended.result();
    assert!(works(&result[0][0]) && works(&result[1][0]), "{result}");
    assert_eq!(denial(&result[2][0]), ("unavailable", true));
    assert_eq!(ended.unrevoked(), Some("sealed"));
    assert!(ended.took < SOON, "{:?}", ended.took);
    // A sweep meanwhile forgets nothing.
    let (code, report) = day.sweep();
    assert_eq!(code, 4, "{report}");
    assert_eq!(journal(&day.world).len(), 2);
    bao.unseal().await.unwrap();
    assert_eq!(bao.living().await.unwrap().len(), 2);
    day.is_swept(2);

    // For a moment: only what came in it is denied.
    let (first, second) = (day.hold(), day.hold());
    let running = day.start(&[call(), sign(1), call(), sign(1)]);
    first.wait_hit(SOON).unwrap();
    bao.seal().await.unwrap();
    first.release();
    second.wait_hit(SOON).unwrap();
    bao.unseal().await.unwrap();
    second.release();
    let ended = day.end(running);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    let result = ended.result();
    assert_eq!(denial(&result[1][0]), ("unavailable", true));
    assert!(works(&result[2][0]) && works(&result[3][0]), "{result}");
    day.over().await;
}
