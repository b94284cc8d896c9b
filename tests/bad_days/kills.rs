//! SIGKILL at fifty moments, spread over a run with several capabilities and a
//! database user of its own.
//! `lifecycle::kills` kills at every request, on both of its sides.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::day::{Day, call, lease, sign};

const KILLS: u32 = 50;
/// A sweep follows after so many.
const ROUND: u32 = 10;

fn steps() -> [Value; 6] {
    let reveal = json!({"do": "reveal", "grant": "legacy"});
    [sign(2), lease(), call(), reveal, sign(2), call()]
}

/// How long a run takes: the middle one of five.
fn usual(day: &Day) -> Duration {
    let mut times = [(); 5].map(|()| {
        let ended = day.run(&steps());
        assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
        ended.took
    });
    times.sort_unstable();
    times[2]
}

/// What lives now are log-ins whose answer never came: nobody can name them,
/// the journal says that they were asked for, and each ends within an hour.
async fn only_unnamed_log_ins_live(day: &Day) {
    let bao = day.bao();
    let living = bao.living().await.unwrap();
    let answers = bao.answers_to("auth/approle/login").unwrap();
    for token in &living {
        assert_eq!(token.policies, ["cofferdam-host"], "a child lives");
        assert!(token.ttl <= 3_600);
        let hash = json!(bao.audit_hash(&token.accessor).await.unwrap());
        let of_it = |answer: &&Value| answer.pointer("/response/auth/accessor") == Some(&hash);
        assert_eq!(answers.iter().filter(of_it).count(), 1);
    }
    let (_, report) = day.sweep();
    let found = report["found"].as_array().unwrap();
    let in_flight = |kind: &str| {
        let of_kind = found.iter().filter(|one| one["kind"] == kind);
        of_kind.filter(|one| one["outcome"] == "in_flight").count()
    };
    assert!(in_flight("login") >= living.len(), "{report}");
    assert_eq!(
        found.len(),
        in_flight("login") + in_flight("attempt"),
        "{report}"
    );
}

#[tokio::test]
async fn fifty_kills_leave_nothing_that_a_sweep_or_the_next_start_does_not_end() {
    let day = Day::dawn("").await;
    let whole = usual(&day);
    let seed: u64 = rand::random();
    println!("seed {seed}, a run takes {whole:?}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut killed, mut left, mut users) = (0, BTreeMap::new(), 0);
    // A kill that comes after the run's end does not count.
    for number in 0..2 * KILLS {
        if killed == KILLS {
            break;
        }
        let running = day.start(&steps());
        let moment = (f64::from(number % KILLS) + random.random::<f64>()) / f64::from(KILLS);
        std::thread::sleep(whole.mul_f64(moment));
        killed += u32::from(day.kill(running).code == -1);
        let alive = day.bao().living().await.unwrap().len();
        *left.entry(alive).or_insert(0) += 1;
        users = users.max(day.postgres.made_users().await.unwrap().len());
        if (number + 1) % ROUND == 0 {
            day.sweep();
            only_unnamed_log_ins_live(&day).await;
            day.no_user_lives().await;
        }
    }
    println!("how many tokens each left: {left:?}");
    assert_eq!(killed, KILLS, "too many came too late");
    day.sweep();
    assert!(
        left.keys().max() >= Some(&2),
        "no kill left an attempt alive: {left:?}"
    );
    assert!(users > 0, "no kill left a database user");

    // And without a sweep, the next start.
    for number in 0..ROUND {
        let running = day.start(&steps());
        std::thread::sleep(whole.mul_f64(0.4 + f64::from(number) * 0.05));
        day.kill(running);
    }
    let ended = day.run(&steps());
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    only_unnamed_log_ins_live(&day).await;
    day.no_user_lives().await;
    day.end_the_unnamed().await;
    day.over().await;
}
