//! Answers that end in the middle, and answers without an end.

use cofferdam_devkit::proxy::{Fault, Rule};
use serde_json::Value;

use crate::common::{SOON, journal};

use super::day::{Day, Ended, call, lease, sign, works};

/// Each request of a run: what it is, how to find it, and how the run ends
/// when its answer never comes whole.
const REQUESTS: [(&str, &str, &str); 9] = [
    ("health check", "GET", "sys/health"),
    ("log-in", "POST", "approle/login"),
    ("mint", "POST", "token/create"),
    ("signature", "POST", "transit/sign"),
    ("read", "GET", "secret/data/api"),
    ("database user", "GET", "database/creds/reader"),
    ("revocation of the lease", "POST", "leases/revoke"),
    ("revocation of the child", "POST", "revoke-accessor"),
    ("revocation of the log-in", "POST", "revoke-self"),
];

/// 100 MB.
const HUGE: usize = 100 << 20;
/// How much more memory a huge answer may cost: four times what is read of it.
const SPARE: u64 = 16 << 20;

fn steps() -> [Value; 3] {
    [sign(1), call(), lease()]
}

/// What must hold after a run that met the fault at this request.
async fn is_told(day: &Day, request: &str, ended: &Ended) {
    assert!(ended.took < SOON, "{request}: {:?}", ended.took);
    let living = day.bao().living().await.unwrap().len();
    match ended.code {
        0 => {
            assert_eq!(
                (ended.unrevoked(), living),
                (None, 0),
                "{request}: {ended:?}"
            );
            assert!(journal(&day.world).is_empty(), "{request}");
        }
        4 => {
            assert!(!ended.refusal().ends_with("null"), "a cure: {ended:?}");
            // What was made and cannot be named, but the log-in that we have.
            assert_eq!(living, usize::from(request == "log-in"), "{request}");
            if !journal(&day.world).is_empty() {
                day.end_the_unnamed().await;
            }
        }
        7 => day.is_swept(journal(&day.world).len()),
        _ => panic!("{request}: {ended:?}"),
    }
    crate::common::nobody_lives(day.bao()).await;
    day.no_user_lives().await;
}

#[tokio::test]
async fn half_an_answer_is_asked_for_again_or_told() {
    let day = Day::dawn("timeout = \"3s\"").await;
    for (request, method, path) in REQUESTS {
        let cut = day
            .vault
            .inject(Rule::on(method, path, Fault::Half).times(1));
        let ended = day.run(&steps());
        assert_eq!(cut.hits(), 1, "{request}");
        drop(cut);
        // What makes a token is not asked for again, and before that a run that
        // does not start costs nothing; all else is asked for again.
        let expected = match request {
            "health check" | "log-in" | "mint" => 4,
            // What may have been made is nobody's to name: it is told.
            "database user" => 7,
            _ => 0,
        };
        assert_eq!(ended.code, expected, "{request}: {ended:?}");
        is_told(&day, request, &ended).await;

        let cut = day.vault.inject(Rule::on(method, path, Fault::Half));
        let ended = day.run(&steps());
        assert!((1..=8).contains(&cut.hits()), "{request}: {}", cut.hits());
        drop(cut);
        if matches!(request, "signature" | "read" | "database user") {
            assert_eq!(
                ended.report["denials"].as_array().unwrap().len(),
                1,
                "{request}"
            );
        }
        is_told(&day, request, &ended).await;
    }
    day.over().await;
}

#[tokio::test]
async fn an_answer_of_a_hundred_megabytes_is_not_taken_in() {
    let day = Day::dawn("timeout = \"5s\"").await;
    let usual = (0..2).map(|_| day.run(&steps()).peak).max().unwrap();
    assert!(usual > 4 << 20, "no memory was measured");
    for (request, method, path) in REQUESTS {
        let huge = day
            .vault
            .inject(Rule::on(method, path, Fault::Padded(HUGE)));
        let ended = day.run(&steps());
        assert!((1..=8).contains(&huge.hits()), "{request}: {}", huge.hits());
        drop(huge);
        println!(
            "{request}: {} KiB, usually {}",
            ended.peak >> 10,
            usual >> 10
        );
        assert!(
            ended.peak < usual + SPARE,
            "{request}: {} after {usual}",
            ended.peak
        );
        if matches!(request, "signature" | "read" | "database user") {
            let at = ["signature", "read", "database user"]
                .iter()
                .position(|it| *it == request);
            let at = at.unwrap();
            assert!(!works(&ended.result()[at][0]), "{request}: {ended:?}");
        }
        is_told(&day, request, &ended).await;
    }
    day.over().await;
}
