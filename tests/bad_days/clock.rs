//! The host's clock is two hours off. Vault's is right.

use cofferdam_devkit::clock::Skew;
use cofferdam_devkit::proxy::{Fault, Rule};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::common::{SOON, journal};

use super::day::{Day, Ended, call, sign, works};

/// Ahead and behind, in seconds.
const OFF: [i64; 2] = [7_200, -7_200];

/// The time of the first line of a run's audit: what the host's clock said.
fn audited(ended: &Ended) -> Timestamp {
    let file = ended.report["audit"]["file"].as_str().unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    line["time"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_run_works_and_says_so_when_the_clock_is_two_hours_off() {
    let day = Day::dawn("").await;
    let skew = Skew::new().unwrap();
    for (seconds, word) in OFF.into_iter().zip(["ahead of", "behind"]) {
        let mut command = day.command(&[sign(1), call(), sign(1)]);
        skew.apply(&mut command, seconds);
        let ended = day.end_command(command);
        // The clock was off, by the host's own word.
        let off = audited(&ended).duration_since(Timestamp::now()).as_secs();
        assert!((off - seconds).abs() < 60, "{off}");
        assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
        assert!(works(&ended.result()[2][0]));
        let told = ended
            .stderr
            .lines()
            .filter(|line| line.contains("this host's clock is"));
        let told: Vec<_> = told.collect();
        assert!(told.len() == 1 && told[0].contains(word), "{ended:?}");
        assert!(journal(&day.world).is_empty());
        assert!(day.bao().living().await.unwrap().is_empty());
    }
    // And nobody is told when the clock is right.
    let ended = day.run(&[sign(1)]);
    assert!(!ended.stderr.contains("clock"), "{ended:?}");
    day.over().await;
}

/// Kills a host, whose clock is off by so much, while Vault's answer to this
/// request is on its way; what the journal says of the end.
fn killed(day: &Day, skew: &Skew, seconds: i64, path: &str) -> Timestamp {
    let held = day
        .vault
        .inject(Rule::on("POST", path, Fault::HoldResponse).times(1));
    let mut command = day.command(&[sign(1)]);
    skew.apply(&mut command, seconds);
    let running = day.start_command(command);
    held.wait_hit(SOON).unwrap();
    assert_eq!(day.kill(running).code, -1);
    let entries = journal(&day.world)
        .into_iter()
        .map(|record| serde_json::from_str::<Value>(record.text.lines().next().unwrap()).unwrap());
    let ends = entries.map(|entry| entry["expires"].as_str().unwrap().parse().unwrap());
    ends.max().unwrap()
}

#[tokio::test]
async fn what_lives_is_not_taken_for_expired_by_a_clock_that_is_off() {
    let day = Day::dawn("").await;
    let skew = Skew::new().unwrap();
    // A log-in whose answer never came lives for an hour, and has no name.
    for (made, swept) in [(0, 7_200), (-7_200, 0), (-7_200, 7_200)] {
        let ends = killed(&day, &skew, made, "approle/login");
        assert_eq!(day.bao().living().await.unwrap().len(), 1);
        let left = ends.duration_since(Timestamp::now());
        let hour = SignedDuration::from_hours(1);
        assert!(left > hour - SignedDuration::from_mins(1), "{left}");
        assert!(left < hour + SignedDuration::from_mins(10), "{left}");

        let (code, report) = day.sweep_with(|command| skew.apply(command, swept));
        let found = report["found"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{report}");
        assert_eq!(
            (code, &found[0]["outcome"]),
            (1, &json!("in_flight")),
            "{report}"
        );
        assert_eq!(journal(&day.world).len(), 1);
        day.end_the_unnamed().await;
    }
    // What has a name is ended whatever the clocks say.
    for (made, swept) in [(7_200, 0), (0, 7_200), (0, -7_200)] {
        killed(&day, &skew, made, "transit/sign");
        assert_eq!(day.bao().living().await.unwrap().len(), 2);
        let (code, report) = day.sweep_with(|command| skew.apply(command, swept));
        assert_eq!(code, 0, "{report}");
        assert!(journal(&day.world).is_empty());
        assert!(day.bao().living().await.unwrap().is_empty());
    }
    // A token in flight is dead after its time, by Vault's clock, which only
    // a host that is ahead would not wait for.
    killed(&day, &skew, 0, "token/create");
    let (code, report) = day.sweep_with(|command| skew.apply(command, 7_200));
    assert_eq!(code, 1, "{report}");
    assert!(report.to_string().contains("in_flight"), "{report}");
    day.end_the_unnamed().await;
    day.over().await;
}

#[tokio::test]
async fn nothing_is_taken_for_expired_while_nobody_tells_the_time() {
    let day = Day::dawn("timeout = \"1s\"").await;
    let skew = Skew::new().unwrap();
    killed(&day, &skew, 0, "approle/login");
    let away = day.vault.inject(Rule::on("*", "", Fault::Reset));
    let (code, report) = day.sweep_with(|command| skew.apply(command, 7_200));
    assert_eq!(code, 1, "{report}");
    assert_eq!(report["found"][0]["outcome"], "in_flight", "{report}");
    assert!(away.hits() >= 1);
    drop(away);
    day.end_the_unnamed().await;
    day.over().await;
}
