//! `cargo xtask dev-vault`: the demo's stage, kept standing for trying by hand.

use anyhow::{Context, Result};
use cofferdam_devkit::canary::Canary;
use cofferdam_devkit::tools;

use crate::chores::{binary, build_binaries};
use crate::console::{heading, say};
use crate::preflight::{Need, check};
use crate::stage::{Stage, Template};

pub(crate) async fn run() -> Result<()> {
    check(&[Need::Compiler, Need::Bao, Need::Postgres, Need::WasmTarget])?;
    build_binaries()?;
    let mut stage = Stage::start("dev-vault", &Canary::random(), tools::wasm_target()?).await?;
    for template in stage.examples() {
        say(format_args!("building {}", Stage::source(template)));
        stage.build(template)?.success()?;
    }
    stage.grant()?;
    stage.write_policies()?.success()?;
    stage.write_database_role().await?;
    introduce(&stage)?;

    tokio::signal::ctrl_c()
        .await
        .context("cannot wait for Ctrl-C")?;
    say("\nstopping the servers");
    stage.stop();
    Ok(())
}

fn introduce(stage: &Stage) -> Result<()> {
    let folder = stage.folder.display();
    heading("OpenBao, PostgreSQL and the API are up; Ctrl-C stops them");
    say(format_args!("OpenBao        {}", stage.bao.address()));
    say(format_args!(
        "PostgreSQL     127.0.0.1:{}/warehouse",
        stage.postgres.port()
    ));
    say(format_args!("API            {}/v1/", stage.api.address()));
    say(format_args!("folder         {folder}"));
    say("  cofferdam.toml     the configuration");
    say("  grants/            what each task may do");
    say("  vault/role-id      the host's log-in …");
    say("  vault/secret-id    … by AppRole");
    say("  vault/admin-token  root's token, for `cofferdam policy --write` and `bao`");
    say("  billing/token      the secret that no task can read");

    heading("to try");
    say(format_args!("cd {folder}"));
    say(format_args!(
        "export PATH={}:$PATH",
        parent(&binary("cofferdam"))
    ));
    for template in stage.examples() {
        say(command_line(template)?);
    }
    say("cofferdam check");
    say("cofferdam policy invoice-sync");
    say("cofferdam policy warehouse-load --database");
    say("cofferdam audit verify audit");

    heading("to ask the server");
    say(format_args!(
        "export BAO_ADDR={} BAO_TOKEN=$(cat vault/admin-token)",
        stage.bao.address()
    ));
    say(format_args!("export PATH={}:$PATH", parent(&tools::bao()?)));
    say("bao list auth/token/accessors");
    say(format_args!("tail -f {}", stage.bao.audit_file().display()));
    Ok(())
}

/// A run of the example as one types it.
fn command_line(template: &Template) -> Result<String> {
    Ok(format!(
        "cofferdam {}",
        Stage::run_arguments(template)?.join(" ")
    ))
}

fn parent(file: &std::path::Path) -> String {
    file.parent().unwrap_or(file).display().to_string()
}
