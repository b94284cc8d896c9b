//! The billing API as a process of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Stdio};

use anyhow::{Context, Result};
use cofferdam_devkit::process::{Guarded, dying_with_us};

use crate::chores::binary;

/// A running billing API, stopped on drop.
pub(crate) struct BillingApi {
    process: Guarded,
    address: String,
    // Open for as long as the process may print.
    _stdout: BufReader<ChildStdout>,
}

impl BillingApi {
    /// Starts it on a free port; callers must send the token in `token_file`.
    pub(crate) fn start(token_file: &Path, log: &Path) -> Result<Self> {
        let log = File::create(log).context("cannot make the billing API's log")?;
        let mut command = dying_with_us(binary("invoice-api"));
        command
            .arg("--token-file")
            .arg(token_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = Guarded::spawn(command)?;
        let stdout = process.child().stdout.take();
        let mut stdout = BufReader::new(stdout.context("the billing API has no stdout")?);
        // It says where it listens, or ends and closes its stdout.
        let mut line = String::new();
        stdout
            .read_line(&mut line)
            .context("cannot read the billing API's address")?;
        let address = line.trim().strip_prefix("listening on ");
        let address = address.context("the billing API did not start; its log says why")?;
        Ok(Self {
            address: address.to_owned(),
            process,
            _stdout: stdout,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn stop(self) {
        self.process.stop();
    }
}
