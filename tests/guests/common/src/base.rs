//! What a guest can do without any capability.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use cofferdam_guest::{Context, TaskError};
use log::Level;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bombs;

/// One thing to do, chosen by the field `do`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Base {
    /// Loops for ever without a call.
    Spin,
    /// Allocates for ever.
    Memory,
    /// Recurses until the stack ends.
    DeepRecursion,
    /// Calls the host for ever.
    HostCallLoop,
    /// Writes log lines of 1,000 bytes: this many, or for ever.
    LogFlood { lines: Option<u64> },
    /// Returns lists in lists, this many.
    DeepOutput { levels: u32 },
    /// Returns a text of this many bytes.
    HugeOutput { bytes: usize },
    /// Executes the instruction `unreachable`.
    Trap,
    /// Panics with this message.
    Panic { message: String },
    /// Ends the process.
    Exit { code: i32 },
    /// Prints to stdout, exactly this.
    Stdout { text: String },
    /// Prints to stderr, exactly this.
    Stderr { text: String },
    /// Writes terminal codes, line breaks and log groups of Airflow and others.
    ForgeLog,
    /// Fails with terminal codes, line breaks and log groups in its message.
    ForgeFailure,
    /// Writes one log line.
    Log { level: String, text: String },
    /// Fails, not to be tried again.
    Fail { message: String },
    /// Fails, to be tried again.
    Retry { message: String },
    /// Skips.
    Skip { message: String },
    /// Returns the arguments and the environment.
    Env,
    /// Tries to read, write and list.
    Fs { path: String },
    /// Tries to connect.
    Net { address: String },
    /// Sleeps without a heartbeat.
    Sleep { ms: u64 },
    /// Waits until it is cancelled, then ends well.
    PollCancelled,
    /// Sleeps this long, this many times, with a heartbeat after each.
    Heartbeat { every_ms: u64, times: u32 },
    /// Writes so many numbered log lines, with a pause before each.
    Talk { every_ms: u64, lines: u32 },
    /// Returns the identity and the remaining time.
    Context,
    /// Returns the value.
    Echo { value: Value },
}

/// Starts a line, a title, a log group and a screen of its own.
const FORGERY: &str =
    "one\n::group::forged\r\n##[error]forged\n\u{1b}[2J\u{1b}]0;forged\u{7}\u{9b}31m\u{202e}two";

impl Base {
    /// Does it.
    #[allow(
        clippy::disallowed_methods,
        reason = "a guest that looks for an environment; there must be none"
    )]
    pub fn run(self, ctx: &Context) -> Result<Value, TaskError> {
        match self {
            Self::Spin => bombs::spin(),
            Self::Memory => bombs::memory(),
            Self::DeepRecursion => Ok(json!(bombs::recursion(0))),
            Self::HostCallLoop => loop {
                std::hint::black_box(ctx.remaining());
            },
            Self::LogFlood { lines } => {
                let line = "x".repeat(1_000);
                for _ in 0..lines.unwrap_or(u64::MAX) {
                    log::info!("{line}");
                }
                Ok(Value::Null)
            }
            Self::DeepOutput { levels } => {
                Ok((0..levels).fold(Value::Null, |inner, _| json!([inner])))
            }
            Self::HugeOutput { bytes } => Ok(json!("x".repeat(bytes))),
            Self::Trap => bombs::unreachable(),
            Self::Panic { message } => bombs::panic(&message),
            Self::Exit { code } => std::process::exit(code),
            Self::Stdout { text } => written(std::io::stdout().write_all(text.as_bytes())),
            Self::Stderr { text } => written(std::io::stderr().write_all(text.as_bytes())),
            Self::ForgeLog => {
                log::info!(target: FORGERY, "{FORGERY}");
                println!("{FORGERY}");
                eprintln!("{FORGERY}");
                Ok(json!(FORGERY))
            }
            Self::ForgeFailure => Err(TaskError::fail(FORGERY)),
            Self::Log { level, text } => {
                let level: Level = level.parse().map_err(TaskError::fail)?;
                log::log!(level, "{text}");
                Ok(Value::Null)
            }
            Self::Fail { message } => Err(TaskError::fail(message)),
            Self::Retry { message } => Err(TaskError::retry(message)),
            Self::Skip { message } => Err(TaskError::skip(message)),
            Self::Env => Ok(json!({
                "args": std::env::args().collect::<Vec<_>>(),
                "vars": std::env::vars().collect::<Vec<_>>(),
            })),
            Self::Fs { path } => Ok(json!({
                "read": fs::read_to_string(&path).map_err(|it| it.to_string()),
                "write": fs::write(&path, "x").map_err(|it| it.to_string()),
                "list": fs::read_dir(&path).map(Iterator::count).map_err(|it| it.to_string()),
            })),
            Self::Net { address } => Ok(json!({
                "connect": TcpStream::connect(address).map(|_| ()).map_err(|it| it.to_string()),
            })),
            Self::Sleep { ms } => {
                thread::sleep(Duration::from_millis(ms));
                Ok(Value::Null)
            }
            Self::PollCancelled => {
                while !ctx.cancelled() {
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(json!({"cancelled": true}))
            }
            Self::Heartbeat { every_ms, times } => {
                for _ in 0..times {
                    thread::sleep(Duration::from_millis(every_ms));
                    ctx.heartbeat();
                }
                Ok(Value::Null)
            }
            Self::Talk { every_ms, lines } => {
                for line in 1..=lines {
                    thread::sleep(Duration::from_millis(every_ms));
                    log::info!("spoken line {line}");
                }
                Ok(json!({ "lines": lines }))
            }
            Self::Context => Ok(context(ctx)),
            Self::Echo { value } => Ok(value),
        }
    }
}

fn written(result: std::io::Result<()>) -> Result<Value, TaskError> {
    result?;
    Ok(Value::Null)
}

fn context(ctx: &Context) -> Value {
    let identity = ctx.identity();
    let remaining = u64::try_from(ctx.remaining().as_millis()).unwrap_or(u64::MAX);
    json!({
        "dag_id": identity.dag_id,
        "task_id": identity.task_id,
        "run_id": identity.run_id,
        "try_number": identity.try_number,
        "map_index": identity.map_index,
        "logical_date": identity.logical_date,
        "remaining_ms": remaining,
        "cancelled": ctx.cancelled(),
    })
}
