//! A full disk under the journal while authorities live: they are ended, and what
//! cannot be written down is not used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cofferdam::run::{Outcome, RunReport};
use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::postgres::{DatabaseRole, Options, Postgres};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::disk::{self, Disk};
use super::stage::{Stage, report, result, vaulted};
use crate::common::{alive, api, becomes, get, install, signer, world};

/// A small disk that only the journal is on.
fn mount(world: &World) -> Disk {
    let state = world.path("state");
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    Disk::mount(&world.path("state/journal"))
}

#[tokio::test]
async fn a_full_journal_mints_no_token_and_keeps_none_alive() {
    let upstream = Upstream::start().unwrap();
    let world = vaulted(&upstream).await;
    let disk = mount(&world);
    let mut stage = Stage::of(world, "").await;
    let held = stage.held(&upstream).await;
    disk.fill();
    let bao = stage.world.bao().unwrap();
    let minted = bao.minted().unwrap();
    let refused = stage.run("caller", get("status/200")).await;
    assert_eq!(refused.outcome.word(), "refused", "{refused:?}");
    let told = format!("{:?}", refused.outcome);
    assert!(told.contains("No space"), "{told}");
    assert_eq!(bao.minted().unwrap(), minted);
    disk::becomes(&stage, &["journal"]).await;
    assert_eq!(alive(bao, "caller").await, 1);
    upstream.release();
    stage.held_ended(&upstream, held).await;
    assert_eq!(alive(bao, "caller").await, 0);
    // Its block is free now, on the disk that is as full as before.
    let done = stage.run("caller", get("status/200")).await;
    assert_eq!(done.exit, 0, "{done:?}");
    disk::becomes(&stage, &["journal"]).await;
    // Two at once need more room.
    disk.free();
    disk::becomes(&stage, &[]).await;
    upstream.hold();
    let held = stage.held(&upstream).await;
    let done = stage.run("caller", get("status/200")).await;
    assert_eq!(done.exit, 0, "{done:?}");
    upstream.release();
    stage.held_ended(&upstream, held).await;
    stage.ends_clean().await;
}

/// More leases than the block of one attempt has room for.
const LEASES: usize = 9;

/// A database role. A lease is named after its role: with this one a record of some leases
/// is as long as one of forty.
fn role(number: usize) -> String {
    format!("{}-{number}", "r".repeat(450))
}

/// A service whose task `caller` has a database user of its own for each of its grants,
/// and whose journal has a disk of its own.
struct Leasing {
    stage: Stage,
    postgres: Postgres,
    upstream: Upstream,
    /// Between the service and Vault.
    vault: Proxy,
    disk: Disk,
}

impl Leasing {
    async fn start() -> Self {
        let world = world().await;
        let upstream = Upstream::start().unwrap();
        let postgres = Postgres::start(Options::default()).unwrap();
        let bao = world.bao().unwrap();
        bao.connect_database(&postgres, postgres.socket())
            .await
            .unwrap();
        let address = upstream.address();
        let mut grants = format!("[limits]\ntimeout = \"60s\"\n{}", api(&address));
        for number in 0..LEASES {
            let role = role(number);
            bao.database_role(&DatabaseRole::new(&role)).await.unwrap();
            grants += &format!(
                "[http.lease-{number}]\nbase = \"{address}/\"\nallow = [\"GET **\"]\n\
                 network = \"loopback\"\nplain = true\n\
                 credential = {{ dynamic = {{ mount = \"database\", path = \"creds/{role}\" }} }}\n\
                 inject = {{ basic = {{ username = \"{{username}}\", password = \"{{password}}\" }} }}\n"
            );
        }
        // What else the guest imports.
        grants += &signer("signer", &["sign"]);
        grants += &format!(
            "[reveal.legacy]\nreason = \"test\"\n\
             credential = {{ kv2 = {{ mount = \"secret\", path = \"api\", field = \"token\" }} }}\n\
             [sql.db]\nserver = \"127.0.0.1:{}/{}\"\nnetwork = \"loopback\"\nplain = true\n\
             credential = {{ dynamic = {{ mount = \"database\", path = \"creds/{}\" }} }}\n\
             allow = [\"select\"]\ntables = [\"public.nothing\"]\n",
            postgres.port(),
            postgres.database(),
            role(0)
        );
        install(&world, "caller", "probe-all", &grants);
        let vault = Proxy::start(bao.socket()).unwrap();
        world.vault_at(&vault.address()).unwrap();
        let disk = mount(&world);
        let leasing = Self {
            stage: Stage::of(world, "").await,
            postgres,
            upstream,
            vault,
            disk,
        };
        // The log-in is in the journal now, and one block is free.
        let first = leasing.run(&[get("status/200")]).await;
        assert_eq!(first.exit, 0, "{first:?}");
        leasing.disk.fill();
        leasing
    }

    fn bao(&self) -> &OpenBao {
        self.stage.world.bao().unwrap()
    }

    async fn run(&self, steps: &[Value]) -> RunReport {
        self.stage.run("caller", json!({ "steps": steps })).await
    }

    /// A use of every lease.
    fn uses() -> Vec<Value> {
        let uses = (0..LEASES).map(|number| {
            json!({ "do": "http", "grant": format!("lease-{number}"), "path": "status/200" })
        });
        uses.collect()
    }

    /// A run that tried to use every lease and is under way until the API is released.
    async fn held(&self) -> uuid::Uuid {
        let mut steps = Self::uses();
        steps.push(get("held"));
        let run = self.stage.submit("caller", json!({ "steps": steps })).await;
        becomes("the API is asked", async || {
            let asked = self.upstream.requests();
            asked.iter().any(|one| one.target == "/held")
        })
        .await;
        run.unwrap()
    }

    /// The numbers of the leases that live, by the word of the server.
    async fn leases(&self) -> Vec<usize> {
        let mut alive = Vec::new();
        for number in 0..LEASES {
            let path = format!("database/creds/{}", role(number));
            let leases = self.bao().leases(&path).await.unwrap();
            alive.extend(leases.iter().map(|_| number));
        }
        alive
    }

    async fn users(&self) -> usize {
        self.postgres.made_users().await.unwrap().len()
    }

    /// How many leases the API was called with.
    fn used(&self) -> usize {
        let asked = self.upstream.requests();
        let basic = asked.iter().filter(|one| {
            let header = one.header("authorization");
            header.is_some_and(|value| value.starts_with(b"Basic "))
        });
        basic.count()
    }

    /// Every lease is used once there is room, and nothing is left.
    async fn ends_clean(mut self) {
        let before = self.used();
        let done = self.run(&Self::uses()).await;
        assert_eq!(done.exit, 0, "{done:?}");
        assert_eq!(self.used() - before, LEASES, "{done:?}");
        assert_eq!((self.leases().await, self.users().await), (vec![], 0));
        self.stage.ends_clean().await;
    }
}

/// Which steps of a run got an answer of the API; the others were refused, in closed words.
fn answered(report: &RunReport) -> Vec<usize> {
    let result = report.result.as_ref().unwrap().get();
    let result: Vec<Value> = serde_json::from_str(result).unwrap();
    let mut answered = Vec::new();
    for (number, step) in result[..LEASES].iter().enumerate() {
        match step[0]["status"] == 200 {
            true => answered.push(number),
            false => assert!(step[0].to_string().contains("internal"), "{step}"),
        }
    }
    answered
}

#[tokio::test]
async fn a_lease_that_cannot_be_written_down_is_not_used_and_ended() {
    let leasing = Leasing::start().await;
    let run = leasing.held().await;
    // Those that had room in the block, and no other.
    let noted = leasing.leases().await;
    assert!((1..LEASES).contains(&noted.len()), "{noted:?}");
    assert_eq!(noted, (0..noted.len()).collect::<Vec<_>>());
    assert_eq!(leasing.users().await, noted.len());
    assert_eq!(leasing.used(), noted.len());
    let asked = leasing.bao().answers_to("database/creds").unwrap();
    assert_eq!(asked.len(), LEASES, "each was made");
    disk::becomes(&leasing.stage, &["journal"]).await;
    leasing.upstream.release();
    let told = report(&leasing.stage.end_of(run).await);
    result(&told);
    assert_eq!(answered(&told), noted, "{told:?}");
    assert!(told.revocation.as_ref().unwrap().complete, "{told:?}");
    assert_eq!((leasing.leases().await, leasing.users().await), (vec![], 0));
    assert_eq!(alive(leasing.bao(), "caller").await, 0);
    leasing.disk.free();
    disk::becomes(&leasing.stage, &[]).await;
    leasing.ends_clean().await;
}

/// The same while Vault ends nothing: what is written down nowhere is in memory, and is
/// swept with the rest once there is room.
#[tokio::test]
async fn leases_that_cannot_be_written_down_nor_ended_are_told_and_swept() {
    let leasing = Leasing::start().await;
    let away = ["sys/leases/revoke", "auth/token/revoke-accessor"].map(|path| {
        let rule = Rule::on("POST", path, Fault::Status(503, None));
        leasing.vault.inject(rule)
    });
    let run = leasing.held().await;
    leasing.upstream.release();
    let told = report(&leasing.stage.end_of(run).await);
    assert_eq!((&told.outcome, told.exit), (&Outcome::Done, 7), "{told:?}");
    assert!(!told.revocation.as_ref().unwrap().complete, "{told:?}");
    assert!(away.iter().all(|it| it.hits() > 0));
    let used = answered(&told);
    assert!((1..LEASES).contains(&used.len()), "{used:?}");
    let all: Vec<usize> = (0..LEASES).collect();
    assert_eq!(
        (leasing.leases().await, leasing.users().await),
        (all, LEASES)
    );
    assert_eq!(alive(leasing.bao(), "caller").await, 1);
    let pending = || {
        let series = "cofferdam_vault_pending_revocations";
        leasing.stage.number(series)
    };
    assert_eq!(pending(), Some(1.0));
    // Its record had no file to move to.
    leasing.stage.logs("a record stays where only").await;
    drop(away);
    leasing.disk.free();
    becomes("all of it is swept", async || {
        let leases = leasing.leases().await.len();
        let users = leasing.users().await;
        (leases, users, alive(leasing.bao(), "caller").await) == (0, 0, 0)
    })
    .await;
    becomes("nothing is pending", async || pending() == Some(0.0)).await;
    leasing.ends_clean().await;
}
