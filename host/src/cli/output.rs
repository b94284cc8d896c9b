//! Where words for people and data for machines go.

use std::fmt::Display;
use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

use crate::api::Record;
use crate::capability::LogLevel;
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// How results are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON document.
    Json,
}

/// How everything on stderr is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON document a line.
    Json,
}

/// Any error that ends a command.
#[derive(Debug)]
pub struct Failure(Box<dyn Diagnostic + Send + Sync>);

impl<E: Diagnostic + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// Stdout for data, stderr for everything else.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    log: LogFormat,
}

impl Output {
    /// Output in these formats.
    pub fn new(format: Format, log: LogFormat) -> Self {
        Self { format, log }
    }

    /// The format that was asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes data for people or machines. A closed pipe is not an error.
    pub fn data(&self, text: impl Display) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Writes one JSON document.
    pub fn json(&self, value: &impl Serialize) {
        self.written(serde_json::to_string(value));
    }

    /// Writes one JSON document for people.
    pub fn json_pretty(&self, value: &impl Serialize) {
        self.written(serde_json::to_string_pretty(value));
    }

    fn written(&self, document: serde_json::Result<String>) {
        match document {
            Ok(text) => self.data(text),
            Err(error) => self.complain(format_args!(
                "error: the result cannot be written as JSON: {error}"
            )),
        }
    }

    /// Writes a line for people.
    pub fn note(&self, text: impl Display) {
        self.say(LogLevel::Info, text);
    }

    /// The same, about something that went wrong.
    fn complain(&self, text: impl Display) {
        self.say(LogLevel::Error, text);
    }

    fn say(&self, level: LogLevel, text: impl Display) {
        match self.log {
            LogFormat::Text => {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
            LogFormat::Json => self.record(&Record::note(level, "cofferdam", text.to_string())),
        }
    }

    /// Whether stderr is for machines.
    pub fn records(&self) -> bool {
        self.log == LogFormat::Json
    }

    /// Writes a line for machines to stderr.
    pub fn record(&self, record: &Record) {
        // Every part of a record can be written as JSON.
        if let Ok(text) = serde_json::to_string(record) {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Writes the error that a command ended with in place of its document.
    pub fn ended_by(&self, failure: &Failure) -> Exit {
        let exit = self.failure(failure);
        if self.format == Format::Json {
            let Failure(error) = failure;
            self.json(&Ended {
                error: Told {
                    message: error.to_string(),
                    causes: causes(&**error),
                    hint: error.hint(),
                    blame: error.blame(),
                },
                exit: exit.code(),
            });
        }
        exit
    }

    /// Writes an error with its causes and cure, and returns its exit code.
    pub fn failure(&self, Failure(error): &Failure) -> Exit {
        let mut message = format!("error: {error}");
        for cause in causes(&**error) {
            message.push_str(&format!("\n  caused by: {cause}"));
        }
        if let Some(hint) = error.hint() {
            message.push_str(&format!("\n\nhint: {hint}"));
        }
        self.complain(message);
        error.exit()
    }
}

/// What machines read when there is no report.
#[derive(Serialize)]
struct Ended {
    error: Told,
    exit: u8,
}

/// An error, as `outcome` of a report tells it.
#[derive(Serialize)]
struct Told {
    message: String,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    blame: Blame,
}

fn causes(error: &(dyn Diagnostic + Send + Sync)) -> Vec<String> {
    std::iter::successors(error.source(), |cause| cause.source())
        .map(ToString::to_string)
        .collect()
}
