//! Vault is slow while an attempt's authority is opened, and the attempt is
//! cancelled, or its time is over, before its guest starts.

use std::time::Duration;

use cofferdam_devkit::proxy::{Fault, Rule};
use rustix::process::Signal;
use serde_json::json;

use crate::common::{SOON, journal};

use super::day::{Day, sign};

/// How long the end of an attempt may take that was asked to stop: Airflow kills
/// after five seconds.
const AT_MOST: Duration = Duration::from_secs(4);

#[tokio::test]
async fn an_attempt_that_is_cancelled_before_its_guest_starts_leaves_nothing() {
    let day = Day::dawn("timeout = \"15s\"").await;
    for (path, fault, alive) in [
        ("sys/health", Fault::NeverAnswer, 0),
        ("approle/login", Fault::NeverAnswer, 0),
        // The server has made one that nobody can name.
        ("approle/login", Fault::HoldResponse, 1),
        ("token/create", Fault::NeverAnswer, 0),
        // It comes while the attempt waits for it, and is ended properly.
        ("token/create", Fault::Delay(Duration::from_millis(500)), 0),
        // It comes when nobody waits for it any more, and is ended properly too.
        ("token/create", Fault::Delay(Duration::from_millis(1500)), 0),
        // The server has made it, and its log-in takes it along.
        ("token/create", Fault::HoldResponse, 0),
    ] {
        let late = matches!(fault, Fault::Delay(_));
        let waited_for = matches!(fault, Fault::Delay(time) if time < Duration::from_secs(1));
        let name = format!("{path} {fault:?}");
        let slow = day.vault.inject(Rule::on("*", path, fault).times(1));
        let running = day.start(&[sign(1)]);
        slow.wait_hit(SOON).unwrap();
        let asked = running.signal(Signal::TERM);
        let ended = day.end(running);
        assert_eq!(slow.hits(), 1, "{name}");
        assert!(asked.elapsed() < AT_MOST, "{name}: {:?}", asked.elapsed());
        assert_eq!(ended.code, 130, "{name}: {ended:?}");
        assert_eq!(ended.report["outcome"]["kind"], "cancelled", "{name}");
        assert_eq!(ended.report["calls"], json!({}), "{name}");
        let revocation = match waited_for {
            true => json!({"complete": true}),
            false => json!({"complete": false, "reason": "unfinished"}),
        };
        assert_eq!(ended.report["revocation"], revocation, "{name}");
        // The audit has it as well.
        let file = ended.report["audit"]["file"].as_str().unwrap();
        let audit = std::fs::read_to_string(file).unwrap();
        let closed = audit.lines().filter(|it| it.contains("authority_closed"));
        assert_eq!(closed.count(), 1, "{name}");
        assert_eq!(audit.contains("\"unfinished\""), !waited_for, "{name}");
        drop(slow);
        let is_named = late || path == "sys/health";
        assert_eq!(journal(&day.world).is_empty(), is_named, "{name}");
        assert_eq!(day.bao().living().await.unwrap().len(), alive, "{name}");
        if !is_named {
            day.end_the_unnamed().await;
        }
    }
    day.over().await;
}

#[tokio::test]
async fn an_authority_that_takes_longer_than_its_task_may_is_given_up() {
    let day = Day::dawn("timeout = \"15s\"").await;
    day.limit("1s");
    for path in ["approle/login", "token/create"] {
        let silent = Rule::on("*", path, Fault::NeverAnswer).times(1);
        let silent = day.vault.inject(silent);
        let ended = day.run(&[sign(1)]);
        assert_eq!(silent.hits(), 1, "{path}");
        assert_eq!(ended.code, 4, "{path}: {ended:?}");
        assert!(ended.took >= Duration::from_secs(1) && ended.took < AT_MOST);
        assert_eq!(
            ended.report["revocation"],
            json!({"complete": false, "reason": "unfinished"})
        );
        let told = ended.refusal();
        assert!(
            told.contains("within the task's time limit of 1s"),
            "{told}"
        );
        day.end_the_unnamed().await;
    }
    // The control: with Vault as it should be, a second is enough.
    assert_eq!(day.run(&[sign(1)]).code, 0);
    day.over().await;
}
