//! The bare side, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use cofferdam_devkit::process::{Guarded, dying_with_us};
use serde_json::Value;

/// A running `cofferdam-baseline`.
pub(crate) struct Baseline {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _process: Guarded,
}

impl Baseline {
    /// Starts the program that lies beside this one.
    pub(crate) fn start() -> Result<Self> {
        let program = crate::stage::beside("cofferdam-baseline")?;
        let mut command = dying_with_us(&program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Guarded::spawn(command)?;
        let child = process.child();
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the baseline has no pipes");
        };
        Ok(Self {
            input,
            output: BufReader::new(output),
            _process: process,
        })
    }

    /// One batch; the durations in nanoseconds.
    pub(crate) fn batch(&mut self, command: &Value) -> Result<Vec<u64>> {
        writeln!(self.input, "{command}").context("the baseline is gone")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let answer: Value =
            serde_json::from_str(&line).context("the baseline failed; see above")?;
        let nanos = answer.get("nanos").and_then(Value::as_array);
        let nanos = nanos.context("the baseline measured nothing")?;
        Ok(nanos.iter().filter_map(Value::as_u64).collect())
    }
}
