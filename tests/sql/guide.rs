//! docs/SQL.md, as it is written: the owner of a database, the operator of Vault
//! and a reviewer type its blocks, and the example runs.

use cofferdam_devkit::postgres::{Options, Postgres};
use serde_json::json;

use crate::common::{nobody_lives, world};
use crate::examples::{Shop, install_warehouse_load, run_with};
use crate::guide::{section_of, type_in};

/// The address on the page.
const PAGE: &str = "127.0.0.1:5432";

#[tokio::test]
async fn the_page_sets_up_a_database_and_the_example_runs_on_it() {
    let page = section_of("SQL.md", "Setting it up");
    let ([owner], [operator, reviewer], [grant]) =
        (&page.sql[..], &page.shell[..], &page.settings[..])
    else {
        panic!("{page:?}")
    };
    let postgres = Postgres::start(Options {
        database: "warehouse".to_owned(),
        ..Options::default()
    })
    .unwrap();
    let address = format!("127.0.0.1:{}", postgres.port());
    let here = |text: &str| text.replace(PAGE, &address);
    assert!(operator.contains(PAGE) && grant.contains(PAGE));
    postgres.ask(crate::examples::SCHEMA).await.unwrap();
    postgres.ask(owner).await.unwrap();

    let world = world().await;
    let bao = world.bao().unwrap();
    let shop = Shop::open(&world).await;
    install_warehouse_load(&world, &shop, &address);
    // The page's grant is the example's, but for its comments and one limit.
    let file = world.path("grants/warehouse-load.toml");
    let installed: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let mut installed = installed["sql"].clone();
    installed["warehouse"]
        .as_table_mut()
        .unwrap()
        .remove("statement_timeout");
    let written: toml::Table = here(grant).parse().unwrap();
    assert_eq!(installed, written["sql"]);

    for block in [operator, reviewer] {
        type_in(world.folder(), bao, &here(block), &[]);
    }
    let report = run_with(
        &world,
        "warehouse-load",
        "warehouse",
        &json!({"until": "2026-02-01"}),
    );
    assert_eq!(
        report["revocation"]["leases"],
        json!({"revoked": 1, "left": 0})
    );
    assert_eq!(report["result"]["new"], report["result"]["read"]);

    // The user is gone, though Vault's own user is no superuser.
    assert_eq!(postgres.made_users().await.unwrap(), Vec::<String>::new());
    let vaults = postgres
        .ask("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'vault'")
        .await
        .unwrap();
    assert_eq!(vaults, [[Some("f".to_owned()), Some("t".to_owned())]]);
    nobody_lives(bao).await;
    // Only Vault knows the password now.
    let old = postgres.config("vault", "replaced-in-a-moment");
    assert!(old.connect(tokio_postgres::NoTls).await.is_err());
}
