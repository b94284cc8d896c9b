//! Vault answers with statuses only: it is limited, or comes and goes.

use std::time::Duration;

use cofferdam_devkit::proxy::{Fault, Rule};

use crate::common::SOON;

use super::day::{Day, call, denial, lease, sign, works};

/// How long the rate limit lasts.
const LIMITED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_rate_limit_of_ten_seconds_is_waited_out_when_there_is_time() {
    let day = Day::dawn("timeout = \"20s\"").await;
    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    let limited = Rule::on("*", "", Fault::Status(429, Some(1))).lasting(LIMITED);
    let limited = day.vault.inject(limited);
    held.release();
    let ended = day.end(running);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    assert!(works(&ended.result()[2][0]), "{ended:?}");
    assert!(ended.took >= LIMITED, "{:?}", ended.took);
    // Each wait is a second at least, and they grow.
    assert!(
        (3..=8).contains(&limited.hits()),
        "{} calls",
        limited.hits()
    );

    // It meets a start: nothing was made yet, so that is repeated too.
    let limited = Rule::on("POST", "", Fault::Status(429, Some(1)));
    let limited = day.vault.inject(limited.lasting(Duration::from_secs(2)));
    let ended = day.run(&[sign(1)]);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    assert!(
        (2..=6).contains(&limited.hits()),
        "{} calls",
        limited.hits()
    );
    day.over().await;
}

#[tokio::test]
async fn a_rate_limit_beyond_the_time_is_told() {
    let day = Day::dawn("timeout = \"3s\"").await;
    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    let limited = day
        .vault
        .inject(Rule::on("*", "", Fault::Status(429, Some(1))));
    held.release();
    let ended = day.end(running);
    assert_eq!(
        (ended.code, ended.unrevoked()),
        (7, Some("overloaded")),
        "{ended:?}"
    );
    assert_eq!(denial(&ended.result()[2][0]), ("unavailable", true));
    assert!(ended.took < SOON, "{:?}", ended.took);
    assert!(
        (3..=20).contains(&limited.hits()),
        "{} calls",
        limited.hits()
    );
    let before = limited.hits();
    let ended = day.run(&[sign(1)]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
    assert!(limited.hits() - before <= 8, "{} calls", limited.hits());
    drop(limited);
    assert_eq!(day.bao().living().await.unwrap().len(), 2);
    day.is_swept(2);
    day.over().await;
}

#[tokio::test]
async fn a_server_that_comes_and_goes_is_not_noticed() {
    let day = Day::dawn("timeout = \"10s\"").await;
    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(6), call()]);
    held.wait_hit(SOON).unwrap();
    let flapping = day
        .vault
        .inject(Rule::on("*", "", Fault::Status(503, None)).every(2));
    held.release();
    let ended = day.end(running);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    let signatures = ended.result()[2].as_array().unwrap();
    assert!(
        signatures.len() == 6 && signatures.iter().all(works),
        "{ended:?}"
    );
    // Six signatures and three revocations, each refused once.
    assert_eq!(flapping.hits(), 9);
    drop(flapping);

    // A start takes its chance at each request: it works, or leaves nothing.
    // With every second one refused, none ever came through.
    let flapping = day
        .vault
        .inject(Rule::on("*", "", Fault::Status(503, None)).every(5));
    let mut codes = Vec::new();
    while codes.len() < 4 || !(codes.contains(&0) && codes.contains(&4)) {
        let ended = day.run(&[sign(1)]);
        assert!([0, 4].contains(&ended.code), "{ended:?}");
        assert!(ended.took < SOON, "{:?}", ended.took);
        codes.push(ended.code);
        assert!(codes.len() < 20, "one of the two never happens: {codes:?}");
    }
    assert!(flapping.hits() >= 4);
    drop(flapping);
    day.over().await;
}
