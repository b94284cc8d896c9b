//! The real servers around the measured work.

use std::path::PathBuf;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::get;
use cofferdam_devkit::guests;
use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::process::Background;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

/// The secret that travels.
const TOKEN: &str = "bench-token-5f0d3c2a91";

/// A program that was built with this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let path = own.with_file_name(name);
    path.exists()
        .then_some(path)
        .with_context(|| format!("`{name}` is not built; `cargo xtask bench` builds it"))
}

/// An OpenBao, an API, and three tasks: `caller` calls the API with a KV
/// secret, `teller` reads one, `plain` does neither.
pub(crate) struct Stage {
    pub(crate) world: World,
    api: String,
    _serving: Background,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let what = Provision {
            kv2: vec![("api", json!({ "token": TOKEN }))],
            ..Provision::default()
        };
        let world = World::with_vault(&beside("cofferdam")?, &what).await?;
        let (serving, api) = serve()?;
        let grants = format!(
            "[limits]\ntimeout = \"5m\"\n\n[http.api]\nbase = \"{api}/\"\nallow = [\"GET **\"]\n\
             network = \"loopback\"\nplain = true\n\
             credential = {{ kv2 = {{ mount = \"secret\", path = \"api\" }} }}\n\
             inject = {{ header = \"Authorization\", value = \"Bearer {{token}}\" }}\n"
        );
        world.task("caller", &guests::component("probe-http")?, &grants)?;
        world.policy("caller")?;
        let reveal = |name: &str, more: &str| {
            format!(
                "[reveal.{name}]\nreason = \"measured\"\ncredential = {{ kv2 = {{ \
                 mount = \"secret\", path = \"api\", field = \"token\"{more} }} }}\n"
            )
        };
        let grants = reveal("own", "") + &reveal("shared", ", cache_ttl = \"60s\"");
        world.task("teller", &guests::component("probe-reveal")?, &grants)?;
        world.policy("teller")?;
        world.task("plain", &guests::component("probe")?, "")?;
        // Two hundred at once.
        let config = std::fs::read_to_string(world.path("cofferdam.toml"))?;
        world.write(
            "cofferdam.toml",
            &format!("{config}\n[engine]\ninstances = 256\n"),
        )?;
        baseline_token(&world).await?;
        Ok(Self {
            world,
            api,
            _serving: serving,
        })
    }

    /// The same work without the API, under the policy of `teller`.
    pub(crate) fn plan_without_upstream(&self) -> Result<Value> {
        let mut plan = self.plan()?;
        if let Some(plan) = plan.as_object_mut() {
            plan.remove("upstream");
            plan.insert("policy".to_owned(), json!("cofferdam-task-teller"));
        }
        Ok(plan)
    }

    /// The same work for the bare side.
    pub(crate) fn plan(&self) -> Result<Value> {
        let mut plan = plan(&self.world, "caller", ("secret/data/api", "token"))?;
        if let Some(plan) = plan.as_object_mut() {
            plan.insert("upstream".to_owned(), json!(format!("{}/item", self.api)));
        }
        Ok(plan)
    }
}

/// What the bare side does under the policy of a task: mint, read a field at a
/// path, revoke.
pub(crate) fn plan(world: &World, task: &str, (path, field): (&str, &str)) -> Result<Value> {
    let file = |name: &str| world.path(name);
    Ok(json!({
        "vault": world.bao()?.address(),
        "token_file": file("baseline-token"),
        "role_id_file": file("role-id"),
        "secret_id_file": file("secret-id"),
        "token_role": "cofferdam",
        "policy": format!("cofferdam-task-{task}"),
        "read_path": path,
        "field": field,
        // The journal's folder: the same disk, the same file system.
        "sync_folder": file("state/journal"),
    }))
}

/// What the bare side mints with: the token of a log-in with the host's own role. One that
/// root made would belong to no entity, and so would its children, which is less work for the
/// server in every request.
pub(crate) async fn baseline_token(world: &World) -> Result<()> {
    let file = |name: &str| {
        let text = std::fs::read_to_string(world.path(name));
        text.map(|text| text.trim_end().to_owned())
            .with_context(|| format!("cannot read {name}"))
    };
    let body = json!({ "role_id": file("role-id")?, "secret_id": file("secret-id")? });
    let (_, made) = world
        .bao()?
        .root("POST", "auth/approle/login", Some(body))
        .await?;
    let token = made.pointer("/auth/client_token").and_then(Value::as_str);
    world.write("baseline-token", token.context("no token was made")?)
}

/// An API with kept connections that demands the token and gives 200 bytes, on
/// a thread of its own.
fn serve() -> Result<(Background, String)> {
    let (address, background) = Background::listen(|listener| async move {
        let routes = Router::new().route("/item", get(item));
        // Ends with the thread; whoever calls then sees it.
        let _ = axum::serve(listener, routes).await;
    })?;
    Ok((background, format!("http://{address}")))
}

async fn item(headers: HeaderMap) -> (StatusCode, String) {
    let sent = headers.get("authorization").map(HeaderValue::as_bytes);
    let known = [TOKEN, "baseline-token-0123456789"].map(|token| format!("Bearer {token}"));
    if known.iter().any(|known| sent == Some(known.as_bytes())) {
        (StatusCode::OK, "x".repeat(200))
    } else {
        (StatusCode::UNAUTHORIZED, String::new())
    }
}
