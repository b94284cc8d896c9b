//! Builds the stage, part by part, in the order of the story.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cofferdam_devkit::canary::Canary;
use cofferdam_devkit::openbao::{DevOptions, OpenBao, Provision};
use cofferdam_devkit::postgres::{self, Postgres};
use cofferdam_devkit::process::write_private;
use cofferdam_devkit::tools::{self, GuestEnv};
use serde_json::json;

use super::grants::example;
use super::users::{self, User};
use super::{BillingApi, HELLO, INVOICE_SYNC, SECOND_TRY, Template, WAREHOUSE_LOAD};
use crate::chores::binary;

/// The tables of the example with a database.
const SCHEMA: &str = include_str!("../../../examples/warehouse-load/schema.sql");

/// The grants and the servers, and the folder they are used from.
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
    pub(crate) bao: OpenBao,
    pub(crate) postgres: Postgres,
    pub(crate) api: BillingApi,
    pub(crate) hello: Template,
    pub(crate) invoice_sync: Template,
    pub(crate) second_try: Template,
    pub(crate) warehouse_load: Template,
    env: GuestEnv,
    /// The binary that is used.
    pub(super) program: PathBuf,
    /// The installation is the host's user's.
    pub(super) has_users: bool,
}

/// A command that has ended.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// Starts the servers: Vault holds the canary as the API's token, and the
    /// API demands it; Vault's database engine makes the users of a database
    /// with the warehouse's tables.
    pub(crate) async fn start(name: &str, canary: &Canary, env: GuestEnv) -> Result<Self> {
        let folder = users::folder(name)?;
        clear(&folder)?;
        let hello = Template::of(HELLO)?;
        let invoice_sync = Template::of(INVOICE_SYNC)?;
        let second_try = Template::of(SECOND_TRY)?;
        let warehouse_load = Template::of(WAREHOUSE_LOAD)?;

        let credential = ["http", "billing", "credential", "kv2"];
        let field = invoice_sync.text(&[credential.as_slice(), &["field"]].concat());
        let secret = json!({ field.unwrap_or("token"): canary.text() });
        let path = invoice_sync.text(&[credential.as_slice(), &["path"]].concat())?;
        let key = invoice_sync.text(&["keys", "signer", "transit", "key"])?;
        let bao = OpenBao::start_dev(DevOptions::default())?;
        let what = Provision {
            kv2: vec![(path, secret)],
            transit: vec![(key, "ed25519")],
            ..Provision::default()
        };
        bao.provision(&what, &folder.join("vault")).await?;

        let postgres = Postgres::start(postgres::Options {
            database: "warehouse".to_owned(),
            ..Default::default()
        })?;
        postgres.ask(SCHEMA).await?;
        bao.connect_database(&postgres, postgres.socket()).await?;

        let token_file = folder.join("billing/token");
        write_private(&token_file, canary.text())?;
        let api = BillingApi::start(&token_file, &folder.join("billing/log"))?;
        let stage = Self {
            folder,
            bao,
            postgres,
            api,
            hello,
            invoice_sync,
            second_try,
            warehouse_load,
            env,
            program: binary("cofferdam"),
            has_users: false,
        };
        stage.write_config()?;
        Ok(stage)
    }

    fn write_config(&self) -> Result<()> {
        let config = format!(
            "[vault]\naddress = \"{}\"\n\n[vault.auth.approle]\n\
             role_id_file = \"vault/role-id\"\nsecret_id_file = \"vault/secret-id\"\n",
            self.bao.address()
        );
        write_private(&self.folder.join("cofferdam.toml"), &config)
    }

    /// The example's source, seen from the root of the repository.
    pub(crate) fn source(template: &Template) -> String {
        format!("examples/{}", template.task())
    }

    /// Builds an example with our own command.
    pub(crate) fn build(&self, template: &Template) -> Result<Finished> {
        let mut command = Command::new(binary("cofferdam"));
        command
            .args(["build", &Self::source(template), "--output"])
            .arg(self.folder.join(template.component()))
            .current_dir(tools::workspace());
        tools::forget_outer_cargo(&mut command);
        self.env.apply(&mut command);
        Finished::of(command)
    }

    /// Writes the grants files, with the components as they were just built,
    /// and the inputs.
    pub(crate) fn grant(&mut self) -> Result<()> {
        let base = format!("{}/v1/", self.api.address());
        self.invoice_sync.redirect("billing", &base);
        self.warehouse_load.redirect("shop", &base);
        let server = format!("127.0.0.1:{}/warehouse", self.postgres.port());
        self.warehouse_load.connect("warehouse", &server);
        for template in [
            &mut self.hello,
            &mut self.invoice_sync,
            &mut self.second_try,
            &mut self.warehouse_load,
        ] {
            let task = template.task();
            template.pin(&self.folder.join(template.component()))?;
            let grants = self.folder.join(format!("grants/{task}.toml"));
            write_private(&grants, &template.to_string())?;
            let input = example(task).join("input.json");
            std::fs::copy(&input, self.folder.join(format!("inputs/{task}.json")))
                .with_context(|| format!("cannot copy {}", input.display()))?;
        }
        Ok(())
    }

    /// Lets our own command write all policies and the token role into Vault.
    pub(crate) fn write_policies(&self) -> Result<Finished> {
        self.cofferdam(&POLICY_COMMAND)
    }

    /// Gives Vault the role that our own command writes for the example with a
    /// database, as its administrator would; what the command prints.
    pub(crate) async fn write_database_role(&self) -> Result<Finished> {
        let task = self.warehouse_load.task();
        let arguments = ["policy", task, "--database"];
        let json = ["--format", "json"];
        let machine = self
            .cofferdam(&[&json[..], &arguments].concat())?
            .success()?;
        let written: serde_json::Value =
            serde_json::from_str(&machine.stdout).context("the roles are not JSON")?;
        self.bao.take_database_roles(&written).await?;
        self.cofferdam(&arguments)?.success()
    }

    /// Every example, in the order of the story.
    pub(crate) fn examples(&self) -> [&Template; 4] {
        [
            &self.hello,
            &self.invoice_sync,
            &self.second_try,
            &self.warehouse_load,
        ]
    }

    /// Runs `cofferdam` in the folder of the stage, to its end, as whoever the
    /// installation belongs to.
    pub(crate) fn cofferdam(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.command(User::Host);
        command.args(arguments);
        Finished::of(command)
    }

    /// `cofferdam` in the folder of the stage, as this user once there are users.
    pub(super) fn command(&self, user: User) -> Command {
        let mut command = match self.has_users {
            true => user.command(&self.program),
            false => Command::new(&self.program),
        };
        command.current_dir(&self.folder);
        command
    }

    /// The arguments of a run of this example.
    pub(crate) fn run_arguments(template: &Template) -> Result<Vec<String>> {
        let (task, dag) = (template.task(), template.dag()?);
        let input = format!("@inputs/{task}.json");
        let text = [
            "run", task, "--dag-id", dag, "--run-id", "demo", "--input", &input,
        ];
        Ok(text.map(str::to_owned).to_vec())
    }

    /// Stops the servers. The folder stays, to look into.
    pub(crate) fn stop(self) {
        self.api.stop();
        drop(self.postgres);
        self.bao.stop();
    }
}

/// How the policies and the token role get into Vault.
pub(crate) const POLICY_COMMAND: [&str; 6] = [
    "policy",
    "--host",
    "--all",
    "--write",
    "--admin-token-file",
    "vault/admin-token",
];

impl Finished {
    pub(super) fn of(mut command: Command) -> Result<Self> {
        let output = command
            .stdin(std::process::Stdio::null())
            .output()
            .context("cannot start `cofferdam`")?;
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).context("stdout is not UTF-8")?,
            stderr: String::from_utf8(output.stderr).context("stderr is not UTF-8")?,
        })
    }

    /// Itself, when the exit code is 0.
    pub(crate) fn success(self) -> Result<Self> {
        self.exits_with(0)
    }

    /// Itself, when this is the exit code.
    pub(crate) fn exits_with(self, code: i32) -> Result<Self> {
        if self.code != Some(code) {
            bail!(
                "exit code {:?}, not {code}:\n{}{}",
                self.code,
                self.stdout,
                self.stderr
            );
        }
        Ok(self)
    }
}

/// Makes the folder empty, with its parts, for its owner only.
fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    for part in ["", "vault", "billing", "grants", "components", "inputs"] {
        let part = folder.join(part);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&part)
            .and_then(|()| std::fs::set_permissions(&part, Permissions::from_mode(0o700)))
            .with_context(|| format!("cannot make {}", part.display()))?;
    }
    Ok(())
}
