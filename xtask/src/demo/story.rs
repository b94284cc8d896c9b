//! The steps, in the order of the story.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use cofferdam_devkit::canary::Canary;
use cofferdam_devkit::tools;
use serde_json::{Value, json};

use super::alive;
use super::hunt::Search;
use super::reviewer;
use crate::chores::build_binaries;
use crate::console::{heading, quote, say};
use crate::preflight::{Need, check};
use crate::stage::{Finished, POLICY_COMMAND, SOCKET, Service, Stage, Template, User, is_root};

pub(crate) async fn run() -> Result<()> {
    let start = Instant::now();
    check(&[Need::Compiler, Need::Bao, Need::Postgres, Need::WasmTarget])?;
    heading("Building cofferdam (some minutes on a fresh machine)");
    build_binaries()?;
    let env = tools::wasm_target()?;
    let canary = Canary::random();
    let mut search = Search::default();

    heading("A Vault, an API that wants a token, a database that wants a password");
    let mut stage = Stage::start("demo", &canary, env).await?;
    say(format_args!(
        "OpenBao is up at {} with an AppRole for the host, a",
        stage.bao.address()
    ));
    say("secret for the billing API, and a signing key that never leaves it.");
    say(format_args!(
        "PostgreSQL is up on port {}, with the tables of a warehouse. Vault makes",
        stage.postgres.port()
    ));
    say("its users, when they are needed.");
    say(format_args!(
        "The API is up at {}. It knows nobody without",
        stage.api.address()
    ));
    say("that secret, which was made up a moment ago. We hunt for it at the end.");

    build(&stage, &mut search)?;
    grant(&mut stage, &mut search).await?;
    let accessor = users(&mut stage).await?;
    doctor(&stage, &accessor, &mut search).await?;
    let service = serve(&stage)?;
    hello(&stage, &mut search)?;
    let report = invoice_sync(&stage, &mut search)?;
    audit(&stage, &report, &mut search)?;
    warehouse_load(&stage, &mut search).await?;
    end(service, &mut search)?;
    credentials_are_dead(&stage).await?;
    canary_is_nowhere(&stage, &canary, search)?;

    heading("Stopping the servers");
    let folder = stage.folder.clone();
    let sockets = [stage.bao.socket(), stage.postgres.socket()];
    stage.stop();
    for socket in sockets {
        ensure!(
            std::net::TcpStream::connect(socket).is_err(),
            "a server is still up"
        );
    }
    say(format_args!(
        "All is stopped. What the demo made lies in {}.",
        folder.display()
    ));
    say(format_args!(
        "Every claim held. {:.0} s.",
        start.elapsed().as_secs_f32()
    ));
    Ok(())
}

fn build(stage: &Stage, search: &mut Search) -> Result<()> {
    heading("Four tasks become components");
    for template in stage.examples() {
        let source = Stage::source(template);
        let built = stage.build(template)?.success()?;
        show(
            &format!("cofferdam build {source} --output {}", template.component()),
            &built,
        );
        search.output(&format!("build {}", template.task()), &built);
    }
    Ok(())
}

async fn grant(stage: &mut Stage, search: &mut Search) -> Result<()> {
    heading("Security decides what they may do");
    stage.grant()?;
    say("grants/invoice-sync.toml, the file that a reviewer reads:");
    quote(&stage.invoice_sync.to_string());
    for arguments in [
        ["check"].as_slice(),
        &["policy", "invoice-sync"],
        &POLICY_COMMAND,
    ] {
        let done = stage.cofferdam(arguments)?.success()?;
        show(&format!("cofferdam {}", arguments.join(" ")), &done);
        search.output(&arguments.join(" "), &done);
    }
    say("Vault itself now refuses what the file does not grant, and PostgreSQL will:");
    let role = stage.write_database_role().await?;
    show("cofferdam policy warehouse-load --database", &role);
    search.output("policy --database", &role);
    Ok(())
}

/// Everybody gets what is theirs. Gives the accessor of the reviewer's token.
async fn users(stage: &mut Stage) -> Result<Value> {
    heading("To each what is theirs");
    let policy = [
        "policy",
        "--reviewer",
        "--write",
        "--admin-token-file",
        "vault/admin-token",
    ];
    let written = stage.cofferdam(&policy)?.success()?;
    show(&format!("cofferdam {}", policy.join(" ")), &written);
    let accessor = reviewer::make_token(&stage.bao, &stage.folder.join("reviewer-token")).await?;
    stage.hand_over()?;
    stage.give("reviewer-token")?;
    if !is_root() {
        say("You are not root, so the host works as your own user, who could read its");
        say("log-in. In production it has a user of its own: run the demo as root to see that.");
        return Ok(accessor);
    }
    say(format_args!(
        "The host is user {} from here on: to it belong the log-in, the grants, the audit.",
        User::Host.id()
    ));
    say("Vault's administrator keeps his token.");
    Ok(accessor)
}

/// With a token that a reviewer would have, and without one.
async fn doctor(stage: &Stage, accessor: &Value, search: &mut Search) -> Result<()> {
    heading("Is the host fit, and has it no right too many?");
    let examine = ["doctor", "--token-file", "reviewer-token"];
    let examined = stage.cofferdam(&examine)?.success()?;
    show(&format!("cofferdam {}", examine.join(" ")), &examined);
    search.output("doctor", &examined);
    for proven in ["policy.host", "policy.task", "role.policies"] {
        let is_ok = |line: &str| line.trim_start().starts_with("ok") && line.contains(proven);
        ensure!(examined.stdout.lines().any(is_ok), "{proven} is not ok");
    }
    reviewer::end_token(&stage.bao, accessor).await?;
    let alone = stage.cofferdam(&["doctor"])?.success()?;
    search.output("doctor without a reviewer", &alone);
    let is_open =
        |line: &str| line.trim_start().starts_with("not proven") && line.contains("policy.host");
    ensure!(
        alone.stdout.lines().any(is_open),
        "the width is proven without a reviewer"
    );
    say("Every right was held against the grants. Without the reviewer's token the");
    say("same lines read \"not proven\": a host cannot vouch for itself.");
    Ok(())
}

fn serve(stage: &Stage) -> Result<Service> {
    heading("The host becomes a service");
    let service = stage.serve()?;
    say("cofferdam serve is up: one log-in, a warm engine, many tasks.");
    if !is_root() {
        return Ok(service);
    }
    say(format_args!(
        "From here on everything is asked for by user {}, over a socket.",
        User::Caller.id()
    ));
    for file in ["vault/secret-id", "cofferdam.toml", "serve.log"] {
        let [host, caller] = [User::Host, User::Caller].map(|user| stage.can_read(user, file));
        ensure!(host?, "the host cannot read {file}");
        ensure!(!caller?, "the caller can read {file}");
    }
    say("That user tried to read the log-in, and was refused; the host's user was not.");
    Ok(service)
}

fn end(service: Service, search: &mut Search) -> Result<()> {
    heading("The service ends");
    let log = service.log()?;
    // What is said at a level that nobody sees otherwise.
    ensure!(log.contains("DEBUG"), "the service's log is not talkative");
    search.text("the service's log at trace level", log);
    service.end()?;
    say("With it ends its log-in: one for all that it ran.");
    Ok(())
}

fn hello(stage: &Stage, search: &mut Search) -> Result<()> {
    heading("A task without capabilities");
    let before = stage.bao.answers()?.len();
    let done = play(stage, &stage.hello, search)?;
    let result: Value = serde_json::from_str(&done.stdout).context("the result is not JSON")?;
    ensure!(result.is_object(), "the result is no object");
    ensure!(
        stage.bao.answers()?.len() == before,
        "hello contacted Vault"
    );
    say("Vault was not contacted: this task has no business there.");
    Ok(())
}

/// The same run twice: as people see it, and as machines do, with the host's
/// log at its most talkative for the search.
fn invoice_sync(stage: &Stage, search: &mut Search) -> Result<Value> {
    heading("A task that uses a secret it cannot read");
    play(stage, &stage.invoice_sync, search)?;
    say("It read every page of the invoices, added them up per customer, signed the");
    say("summary and handed it in. The token and the key stayed with the host.");

    let run = Stage::run_arguments(&stage.invoice_sync)?;
    let mut arguments = vec!["--format", "json", "--log-level", "trace"];
    arguments.extend(run.iter().map(String::as_str));
    arguments.extend(["--server", SOCKET]);
    let done = stage.call(&arguments)?.success()?;
    search.output("run invoice-sync at trace level", &done);
    let report: Value = serde_json::from_str(&done.stdout).context("the report is not JSON")?;
    let revoked = report.pointer("/revocation/complete");
    ensure!(
        revoked == Some(&Value::Bool(true)),
        "the report tells of no revocation: {report}"
    );
    Ok(report)
}

async fn warehouse_load(stage: &Stage, search: &mut Search) -> Result<()> {
    heading("A task that works on a database without a password");
    play(stage, &stage.warehouse_load, search)?;
    let rows = stage.postgres.ask("SELECT count(*) FROM orders").await?;
    let rows = rows.first().and_then(|row| row.first()?.clone());
    say(format_args!(
        "The warehouse has {} orders now.",
        rows.unwrap_or_default()
    ));
    let users = stage.postgres.made_users().await?;
    ensure!(users.is_empty(), "database users live: {users:?}");
    // Positive control: a user made on purpose is seen.
    let (_, made) = stage
        .bao
        .root("GET", "database/creds/warehouse-load", None)
        .await?;
    let seen = stage.postgres.made_users().await?.len();
    ensure!(seen == 1, "of one user made on purpose {seen} were seen");
    let body = json!({"lease_id": made.get("lease_id"), "sync": true});
    stage
        .bao
        .root("POST", "sys/leases/revoke", Some(body))
        .await?;
    let left = stage.postgres.made_users().await?.len();
    ensure!(left == 0, "the user made on purpose is not gone");
    say("The database user that Vault made for the attempt is gone from PostgreSQL.");
    say("(One made on purpose was seen there, so the question works.)");
    Ok(())
}

fn play(stage: &Stage, template: &Template, search: &mut Search) -> Result<Finished> {
    let arguments = Stage::run_arguments(template)?;
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--server", SOCKET]);
    let done = stage.call(&arguments)?.success()?;
    show(&format!("cofferdam {}", arguments.join(" ")), &done);
    search.output(&format!("run {}", template.task()), &done);
    Ok(done)
}

fn audit(stage: &Stage, report: &Value, search: &mut Search) -> Result<()> {
    heading("What the audit says");
    let field = |name: &str| {
        let text = report.pointer(name).and_then(Value::as_str);
        text.with_context(|| format!("the report has no {name}"))
    };
    let (run, head) = (field("/run")?, field("/audit/head")?);
    let file = audit_file(stage, run)?;
    let name = file.display().to_string();
    let shown = stage.cofferdam(&["audit", "show", run])?.success()?;
    show(&format!("cofferdam audit show {run}"), &shown);
    search.output("audit show", &shown);

    let verify = ["audit", "verify", &name, "--head", head];
    let verified = stage.cofferdam(&verify)?.success()?;
    show(&format!("cofferdam {}", verify.join(" ")), &verified);

    // A check that cannot fail proves nothing: change one letter of a copy.
    let copy = stage.folder.join("changed.jsonl");
    let text =
        std::fs::read_to_string(stage.folder.join(&file)).context("cannot read the audit")?;
    let changed = text.replacen("\"event\":\"run_started\"", "\"event\":\"run_startet\"", 1);
    ensure!(changed != text, "the audit does not begin a run");
    std::fs::write(&copy, changed).context("cannot copy the audit")?;
    stage
        .cofferdam(&["audit", "verify", "changed.jsonl"])?
        .exits_with(1)?;
    say("A copy with one changed letter is found out.");
    Ok(())
}

/// The audit file of a run, relative to the stage: one file for each process.
fn audit_file(stage: &Stage, run: &str) -> Result<PathBuf> {
    for entry in std::fs::read_dir(stage.folder.join("audit")).context("there is no audit")? {
        let name = entry.context("cannot read the audit folder")?.file_name();
        let file = PathBuf::from("audit").join(name);
        let text = std::fs::read_to_string(stage.folder.join(&file)).unwrap_or_default();
        if text.contains(run) {
            return Ok(file);
        }
    }
    bail!("no audit file tells of run {run}")
}

async fn credentials_are_dead(stage: &Stage) -> Result<()> {
    heading("Are the credentials dead? Vault is asked with root");
    let minted = stage.bao.minted()?;
    ensure!(minted >= 3, "three runs minted {minted} tokens");
    say(format_args!(
        "Vault's own audit shows {minted} tokens minted: for three attempts, and for\n\
         the doctor, who tries what the host will need."
    ));
    alive::control(&stage.bao).await?;
    let living = stage.bao.living_policies().await?;
    ensure!(living.is_empty(), "tokens are alive: {living:?}");
    say("None of them is alive, and the host's own log-in is not either.");
    say("(A token made on purpose was seen alive, so the question works.)");
    Ok(())
}

fn canary_is_nowhere(stage: &Stage, canary: &Canary, mut search: Search) -> Result<()> {
    heading("Is the secret anywhere?");
    for name in ["audit", "state", "cache", "components", "grants"] {
        let folder = stage.folder.join(name);
        if folder.exists() {
            search.folder(folder);
        }
    }
    let places = search.control()?;
    say(format_args!(
        "A marker was hidden in each of {places} places, in several spellings: all found."
    ));
    let searched = search.finish(canary)?;
    say(format_args!(
        "The billing token was looked for in {searched} outputs and files of the host,\n\
         its log at trace level, audit, state and cache among them: found nowhere."
    ));
    Ok(())
}

fn show(command: &str, done: &Finished) {
    say(format_args!("$ {command}"));
    quote(&done.stderr);
    quote(&done.stdout);
}
