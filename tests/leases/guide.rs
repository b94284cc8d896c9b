//! docs/VAULT.md, as it is written: the role of a database user.

use cofferdam_devkit::postgres::Postgres;
use serde_json::json;
use tokio_postgres::NoTls;

use crate::common::get;
use crate::guide::{section, type_in};

use super::world::Leasing;

/// A session of this user that stays open.
async fn session(postgres: &Postgres, user: &str, password: &str) -> tokio_postgres::Client {
    let config = postgres.config(user, password);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn the_page_makes_users_that_go_with_all_that_they_have() {
    let page = section("Leases");
    let [block] = page.shell.as_slice() else {
        panic!("{page:?}")
    };
    let leasing = Leasing::start("1h", "1h", "").await;
    let (bao, postgres) = (leasing.bao(), &leasing.postgres);
    let (status, _) = bao
        .root("DELETE", "database/roles/reader", None)
        .await
        .unwrap();
    assert_eq!(status, 204);
    let scheme = "CREATE TABLE orders (id int); CREATE SCHEMA sandbox; \
                  GRANT CREATE ON SCHEMA sandbox TO PUBLIC";
    postgres.ask(scheme).await.unwrap();
    type_in(leasing.world.folder(), bao, block, &[]);

    let run = leasing.world.run("caller").input(get("status/200"));
    let finished = run.finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(leasing.callers().len(), 1);
    leasing.nothing_is_left().await;

    // One who is connected and owns something goes as well.
    let (_, made) = bao
        .root("GET", "database/creds/reader", None)
        .await
        .unwrap();
    let text = |pointer: &str| made.pointer(pointer).unwrap().as_str().unwrap();
    let client = session(postgres, text("/data/username"), text("/data/password")).await;
    client.query("SELECT * FROM orders", &[]).await.unwrap();
    let own = "CREATE TABLE sandbox.mine (id int)";
    client.execute(own, &[]).await.unwrap();
    let body = json!({"lease_id": text("/lease_id"), "sync": true});
    let (status, answer) = bao
        .root("POST", "sys/leases/revoke", Some(body))
        .await
        .unwrap();
    assert_eq!(status, 204, "{answer}");
    assert!(client.query("SELECT 1", &[]).await.is_err(), "it is ended");
    leasing.nothing_is_left().await;
}
