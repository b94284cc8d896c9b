//! Nodes of the cluster go away: proxies before one server, which are closed.

use cofferdam_devkit::proxy::Proxy;

use crate::common::{SOON, journal};

use super::day::{Day, call, denial, lease, sign, works};

#[tokio::test]
async fn one_node_down_is_not_noticed_and_both_down_is_told() {
    let day = Day::dawn("").await;
    let node = || Proxy::start(day.bao().socket()).unwrap();
    let (one, two) = (node(), node());
    let lines = "timeout = \"2s\"";
    day.vault_at(&[one.address(), two.address()], lines);

    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    assert!(!one.passed().is_empty() && two.passed().is_empty());
    let first = one.address();
    day.also(&one);
    drop(one);
    held.release();
    let ended = day.end(running);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    assert!(works(&ended.result()[2][0]), "{ended:?}");
    assert!(!two.passed().is_empty());
    // Down from the start is no matter either.
    let ended = day.run(&[sign(1)]);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");

    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    day.also(&two);
    drop(two);
    held.release();
    let ended = day.end(running);
    assert_eq!(
        (ended.code, ended.unrevoked()),
        (7, Some("unreachable")),
        "{ended:?}"
    );
    assert_eq!(denial(&ended.result()[2][0]), ("unavailable", true));
    assert!(ended.took < SOON, "{:?}", ended.took);
    let ended = day.run(&[sign(1)]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        ended.refusal().contains("no node of vault can serve"),
        "{ended:?}"
    );
    assert_eq!(journal(&day.world).len(), 2);
    assert_eq!(day.bao().living().await.unwrap().len(), 2);

    // A third node of the same cluster ends what the others left.
    day.vault_at(&[first, day.vault.address()], lines);
    day.is_swept(2);
    day.over().await;
}
