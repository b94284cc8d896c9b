//! Vault is killed and started again. Its storage survives, so its tokens do.

use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::proxy::{Fault, Rule};

use crate::common::SOON;

use super::day::{Day, call, lease, sign, works};

#[tokio::test]
async fn a_run_goes_on_after_a_restart() {
    let bao = OpenBao::start_durable().await.unwrap();
    let mut day = Day::with(bao, "timeout = \"10s\"").await;

    // Gone and back while the task is busy elsewhere.
    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    restart(&mut day).await;
    held.release();
    let ended = day.end(running);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    assert!(works(&ended.result()[2][0]), "{ended:?}");

    // Gone while the task waits for a signature: the call outlasts it.
    let held = day.hold();
    let running = day.start(&[call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    day.world.bao_mut().unwrap().kill();
    let before = day.vault.passed().len();
    held.release();
    crate::common::until("the first try", || day.vault.passed().len() > before);
    day.world.bao_mut().unwrap().start_again().await.unwrap();
    let ended = day.end(running);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    assert!(works(&ended.result()[1][0]), "{ended:?}");

    // Gone when the attempt ends, and back too late for it.
    let revoke = day
        .vault
        .inject(Rule::on("POST", "revoke-accessor", Fault::HoldRequest).times(1));
    let running = day.start(&[lease()]);
    revoke.wait_hit(SOON).unwrap();
    day.world.bao_mut().unwrap().kill();
    revoke.release();
    let ended = day.end(running);
    assert_eq!(
        (ended.code, ended.unrevoked()),
        (7, Some("unreachable")),
        "{ended:?}"
    );
    assert!(ended.took < SOON, "{:?}", ended.took);
    day.world.bao_mut().unwrap().start_again().await.unwrap();
    assert_eq!(day.bao().living().await.unwrap().len(), 2);
    day.is_swept(2);
    day.over().await;
}

async fn restart(day: &mut Day) {
    let bao = day.world.bao_mut().unwrap();
    bao.kill();
    assert!(
        bao.root("GET", "sys/health", None).await.is_err(),
        "it is gone"
    );
    bao.start_again().await.unwrap();
}
