//! An installation with a database behind its OpenBao.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_devkit::openbao::{OpenBao, Provision};
use cofferdam_devkit::postgres::{DatabaseRole, Options, Postgres};
use cofferdam_devkit::upstream::{Recorded, Upstream};
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::common::{binary, install, nobody_lives};

/// Where the leases of these tests lie.
const LEASES: &str = "database/creds/reader";

/// A world whose task `caller` calls an API as a database user of its own.
pub(super) struct Leasing {
    pub(super) world: World,
    pub(super) postgres: Postgres,
    pub(super) upstream: Upstream,
}

impl Leasing {
    /// With leases of this life, and this in the grant's `dynamic`.
    pub(super) async fn start(ttl: &str, max_ttl: &str, refresh: &str) -> Self {
        let what = Provision::default();
        let world = World::with_vault(binary(), &what).await.unwrap();
        let postgres = Postgres::start(Options::default()).unwrap();
        let bao = world.bao().unwrap();
        bao.connect_database(&postgres, postgres.socket())
            .await
            .unwrap();
        let role = DatabaseRole {
            ttl,
            max_ttl,
            ..DatabaseRole::new("reader")
        };
        bao.database_role(&role).await.unwrap();
        let leasing = Self {
            world,
            postgres,
            upstream: Upstream::start().unwrap(),
        };
        leasing.calls(&leasing.upstream.address(), refresh);
        leasing
    }

    /// Installs the task with the API at this address.
    pub(super) fn calls(&self, address: &str, refresh: &str) {
        let dynamic =
            format!("dynamic = {{ mount = \"database\", path = \"creds/reader\"{refresh} }}");
        self.calls_with(address, &dynamic);
    }

    /// Installs the task with this source of its credential.
    pub(super) fn calls_with(&self, address: &str, source: &str) {
        let grants = format!(
            "[limits]\ntimeout = \"20s\"\n\n\
             [http.api]\nbase = \"{address}/\"\nallow = [\"GET **\"]\n\
             network = \"loopback\"\nplain = true\ncredential = {{ {source} }}\n\
             inject = {{ basic = {{ username = \"{{username}}\", password = \"{{password}}\" }} }}\n"
        );
        install(&self.world, "caller", "probe-http", &grants);
    }

    pub(super) fn bao(&self) -> &OpenBao {
        self.world.bao().unwrap()
    }

    /// The leases that live.
    pub(super) async fn leases(&self) -> Vec<String> {
        self.bao().leases(LEASES).await.unwrap()
    }

    /// The database users that exist.
    pub(super) async fn users(&self) -> Vec<String> {
        self.postgres.made_users().await.unwrap()
    }

    /// No user, no lease and no token is left. The search itself is shown to
    /// find each.
    pub(super) async fn nothing_is_left(&self) {
        assert_eq!(self.users().await, Vec::<String>::new());
        assert_eq!(self.leases().await, Vec::<String>::new());
        nobody_lives(self.bao()).await;
        let (_, made) = self.bao().root("GET", LEASES, None).await.unwrap();
        let user = made["data"]["username"].as_str().unwrap();
        let lease = made["lease_id"].as_str().unwrap();
        assert_eq!(self.users().await, [user]);
        assert_eq!(self.leases().await, [lease]);
        let body = json!({"lease_id": lease, "sync": true});
        let (status, _) = self
            .bao()
            .root("POST", "sys/leases/revoke", Some(body))
            .await
            .unwrap();
        assert_eq!(status, 204);
    }

    /// The users as whom the API was called, in order.
    pub(super) fn callers(&self) -> Vec<String> {
        let pairs = self.pairs().into_iter();
        pairs
            .map(|(user, password)| {
                assert!(user.starts_with("v-") && password.len() >= 16, "{user}");
                user
            })
            .collect()
    }

    /// The users and passwords with which the API was called, in order.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        self.upstream.requests().iter().map(pair_of).collect()
    }

    /// The lines of one kind of event in the audit.
    pub(super) fn audit(&self, event: &str) -> Vec<Value> {
        let mut lines = self.world.audit().unwrap();
        lines.retain(|line| line["event"] == event);
        lines
    }
}

/// User name and password of a request's basic credentials.
fn pair_of(request: &Recorded) -> (String, String) {
    let header = std::str::from_utf8(request.header("authorization").unwrap()).unwrap();
    let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap());
    let pair = String::from_utf8(pair.unwrap()).unwrap();
    let (user, password) = pair.split_once(':').unwrap();
    (user.to_owned(), password.to_owned())
}

/// A task that calls the API again and again for so many seconds.
pub(super) fn calls_for(seconds: u32) -> Value {
    json!({
        "do": "http",
        "grant": "api",
        "path": "slow?pieces=5&pause=100",
        "times": seconds * 2,
    })
}
