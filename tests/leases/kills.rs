//! SIGKILL at every step that a lease adds to a run, then a sweep.

use std::time::Instant;

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use super::world::Leasing;
use crate::common::{SOON, ended, get, journal, sweep};

#[tokio::test]
async fn a_kill_at_any_request_leaves_no_user_behind_a_sweep() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let vault = Proxy::start(leasing.bao().socket()).unwrap();
    leasing.world.vault_at(&vault.address()).unwrap();
    for (method, path, before, after) in [
        // What lives at the kill: users, when Vault had not yet seen the
        // request, and when it had answered.
        ("GET", "database/creds", 0, 1),
        ("POST", "sys/leases/revoke", 1, 0),
        ("POST", "auth/token/revoke-accessor", 0, 0),
    ] {
        for (fault, users) in [(Fault::HoldRequest, before), (Fault::HoldResponse, after)] {
            let held = vault.inject(Rule::on(method, path, fault.clone()).times(1));
            let run = leasing.world.run("caller").input(get("status/200"));
            let mut child = run.command().spawn().unwrap();
            held.wait_hit(SOON).unwrap();
            child.kill().unwrap();
            assert_eq!(ended(child).code, -1);
            drop(held);
            assert_eq!(leasing.users().await.len(), users, "{fault:?} {path}");

            let (code, report) = sweep(&leasing.world);
            assert_eq!(code, 0, "{fault:?} {path}: {report}");
            // Without a name it goes with its token, in Vault's own time.
            let begun = Instant::now();
            while path == "database/creds" && !leasing.users().await.is_empty() {
                assert!(begun.elapsed() < SOON);
            }
            assert_eq!(leasing.users().await, Vec::<String>::new(), "{path}");
            let named = &report["found"][0]["leases"];
            let known = path != "database/creds";
            assert_eq!(
                *named == json!({"revoked": 1, "left": 0}),
                known,
                "{report}"
            );
            assert!(journal(&leasing.world).is_empty());
        }
    }
    leasing.nothing_is_left().await;
}
