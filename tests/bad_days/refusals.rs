//! Storms of 403, and a log-in that dies under its attempts.

use cofferdam::vault::Vault;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use crate::common::SOON;
use crate::leaks::traces::no_token_is_written;
use crate::vault::world::{World, config, open, try_open};

use super::day::{Day, call, denial, lease, sign, works};

/// Attempts of one process that meet the same storm.
const ATTEMPTS: usize = 40;

#[tokio::test]
async fn a_storm_of_403_costs_few_calls_and_one_log_in() {
    let day = Day::dawn("timeout = \"2s\"").await;
    let held = day.hold();
    let running = day.start(&[lease(), call(), sign(5), call()]);
    held.wait_hit(SOON).unwrap();
    let before = day.log_ins();
    let storm = day
        .vault
        .inject(Rule::on("*", "", Fault::Status(403, None)));
    held.release();
    let ended = day.end(running);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.unrevoked().is_some());
    for answer in ended.result()[2].as_array().unwrap() {
        assert_eq!(denial(answer), ("revoked", false));
    }
    // The secret of the API was read before.
    assert!(works(&ended.result()[3][0]));
    // Each signature, once whether its token lives and whether the log-in does;
    // then the end, one log-in, and as few questions.
    assert!((7..=14).contains(&storm.hits()), "{} calls", storm.hits());
    assert_eq!(day.log_ins() - before, 1);
    assert!(ended.took < SOON, "{:?}", ended.took);

    // A start in the storm is refused after its log-in.
    let (before, hits) = (day.log_ins(), storm.hits());
    let ended = day.run(&[sign(1)]);
    assert!([3, 4].contains(&ended.code), "{ended:?}");
    assert!(storm.hits() - hits <= 3 && day.log_ins() - before <= 1);
    drop(storm);
    assert_eq!(day.bao().living().await.unwrap().len(), 2);
    day.is_swept(2);
    day.over().await;
}

/// The server of a process with many attempts, through a proxy.
async fn process() -> (World, Proxy, Vault) {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let text = format!(
        "address = {:?}\ntimeout = \"5s\"\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {:?}\n",
        proxy.address(),
        world.files.role_id_file,
        world.files.secret_id_file,
    );
    let vault = Vault::new(config(&text), &world.state()).unwrap();
    (world, proxy, vault)
}

fn log_ins(proxy: &Proxy) -> usize {
    let passed = proxy.passed();
    let log_ins = passed.iter().filter(|it| it.target.contains("/login"));
    log_ins.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_whose_log_in_dies_share_one_new_log_in() {
    let (world, proxy, vault) = process().await;
    let mut sessions = Vec::new();
    for number in 0..ATTEMPTS {
        sessions.push(open(&vault, &format!("a{number}")).await);
    }
    let living = world.bao.living().await.unwrap();
    assert_eq!(living.len(), ATTEMPTS + 1);
    let login = living
        .iter()
        .find(|it| it.policies == ["cofferdam-host"])
        .unwrap();
    let body = json!({"accessor": login.accessor});
    let (status, _) = world
        .root("POST", "auth/token/revoke-accessor", Some(body))
        .await;
    assert_eq!(status, 204);

    let closing = sessions
        .into_iter()
        .map(|session| tokio::spawn(session.close()));
    for closed in closing.collect::<Vec<_>>() {
        assert!(closed.await.unwrap().complete);
    }
    assert_eq!(log_ins(&proxy), 2);
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
    no_token_is_written(world.folder.path(), &proxy);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_begin_in_a_storm_do_not_make_a_storm_of_log_ins() {
    let (world, proxy, vault) = process().await;
    open(&vault, "first").await.close().await;
    // Everything is refused but the log-in itself: the worst case, in which
    // each log-in looks as if it helped.
    let storm = ["auth/token/create", "auth/token/lookup"]
        .map(|path| proxy.inject(Rule::on("*", path, Fault::Status(403, None))));
    let opening = (0..ATTEMPTS).map(|number| {
        let vault = vault.clone();
        tokio::spawn(async move { try_open(&vault, &format!("b{number}")).await.is_err() })
    });
    for refused in opening.collect::<Vec<_>>() {
        assert!(refused.await.unwrap());
    }
    for number in 0..ATTEMPTS {
        assert!(try_open(&vault, &format!("c{number}")).await.is_err());
    }
    assert!(storm.iter().all(|rule| rule.hits() >= 1));
    let made = log_ins(&proxy);
    assert!(made <= 5, "{made} log-ins for {} attempts", 2 * ATTEMPTS);
    drop(storm);
    vault.close().await;
    assert!(world.living().await.is_empty());
    no_token_is_written(world.folder.path(), &proxy);
}
