//! Who makes way for whom.

use std::time::{Duration, Instant};

use cofferdam_devkit::process::{Guarded, dying_with_us};
use serde_json::json;

use super::stage::Stage;
use crate::common::SOON;

/// `SCHED_IDLE`, sched(7): it is this and not the nice value that makes way for all others.
const IDLE: i32 = 5;

/// The nice value and the scheduling policy of the thread on which a guest works that works
/// long, once there is one.
async fn background_of(pid: u32) -> (i32, i32) {
    let begun = Instant::now();
    loop {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let stat = thread.unwrap().path().join("stat");
            // A thread can end meanwhile.
            let stat = std::fs::read_to_string(stat).unwrap_or_default();
            if let Some((before, after)) = stat.rsplit_once(") ")
                && before.ends_with("(background")
            {
                // `after` begins with the third field. proc_pid_stat(5).
                let fields: Vec<_> = after.trim_end().split(' ').collect();
                let [nice, policy] = [19, 41].map(|number| fields[number - 3].parse().unwrap());
                return (nice, policy);
            }
        }
        assert!(begun.elapsed() < SOON, "no guest works in the background");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_service_has_others_to_think_of_and_a_single_run_has_not() {
    let stage = Stage::bare("").await;
    let run = stage.submit("probe", json!({"do": "spin"})).await.unwrap();
    assert_eq!(background_of(stage.pid()).await, (19, IDLE));
    stage.client().cancel(run).await.unwrap();

    let command = stage.world.run("probe").input(json!({"do": "spin"}));
    let mut own = dying_with_us(stage.world.binary());
    own.args(command.command().get_args())
        .current_dir(stage.world.folder());
    let single = Guarded::spawn(own).unwrap();
    assert_eq!(background_of(single.id()).await, (0, 0));
    single.stop();
}
