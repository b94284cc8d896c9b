//! Vault takes what it is asked and never answers, or refuses the same thing for
//! ever; and the database is away when a user of it has to go.

use std::time::Duration;

use cofferdam_devkit::postgres::DatabaseRole;
use cofferdam_devkit::proxy::{Fault, Rule};
use serde_json::json;

use crate::common::{SOON, journal};

use super::day::{Day, call, denial, lease, sign, works};

#[tokio::test]
async fn a_vault_that_never_answers_is_waited_for_in_bounds() {
    let day = Day::dawn("timeout = \"2s\"").await;
    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(1)]);
    held.wait_hit(SOON).unwrap();
    let silent = day.vault.inject(Rule::on("*", "", Fault::NeverAnswer));
    held.release();
    let ended = day.end(running);
    assert!((3..=20).contains(&silent.hits()), "{} calls", silent.hits());
    assert_eq!(
        (ended.code, ended.unrevoked()),
        (7, Some("unreachable")),
        "{ended:?}"
    );
    let result = ended.result();
    assert!(works(&result[0][0]) && works(&result[1][0]), "{result}");
    assert_eq!(denial(&result[2][0]), ("unavailable", true));
    assert!(ended.took < SOON, "{:?}", ended.took);
    drop(silent);
    assert_eq!(journal(&day.world).len(), 2);
    assert_eq!(day.bao().living().await.unwrap().len(), 2);
    day.is_swept(2);
    day.over().await;
}

#[tokio::test]
async fn a_database_that_is_away_when_its_user_has_to_go_is_told() {
    let mut day = Day::dawn("").await;
    let held = day.hold();
    let running = day.start(&[lease(), call()]);
    held.wait_hit(SOON).unwrap();
    day.postgres.kill().unwrap();
    held.release();
    let ended = day.end(running);
    assert_eq!(
        (ended.code, ended.unrevoked()),
        (7, Some("engine_failed")),
        "{ended:?}"
    );
    assert_eq!(
        ended.report["revocation"]["leases"],
        json!({"revoked": 0, "left": 1})
    );
    day.postgres.start_again().unwrap();
    assert_eq!(day.postgres.made_users().await.unwrap().len(), 1);
    day.is_swept(1);
    day.over().await;
}

#[tokio::test]
async fn renewals_that_are_refused_for_ever_are_few() {
    let day = Day::dawn("").await;
    let short = DatabaseRole {
        ttl: "3s",
        ..DatabaseRole::new("reader")
    };
    day.bao().database_role(&short).await.unwrap();
    let refused = Rule::on("*", "leases/renew", Fault::Status(403, None));
    let refused = day.vault.inject(refused);
    let held = day.hold();
    let running = day.start(&[lease(), call()]);
    held.wait_hit(SOON).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    held.release();
    let ended = day.end(running);
    assert!((1..=8).contains(&refused.hits()), "{}", refused.hits());
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    drop(refused);
    day.over().await;
}
