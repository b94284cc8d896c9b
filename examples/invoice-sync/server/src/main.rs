//! Runs the billing API on its own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use invoice_api::Token;
use tokio::net::TcpListener;

/// A small billing API with made-up invoices.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The file with the token that every caller must send.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let token = Token::from_file(&arguments.token_file)?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    // Whoever started us reads this line to learn the port.
    let address = listener.local_addr().context("no local address")?;
    writeln!(std::io::stdout(), "listening on http://{address}").context("cannot write")?;
    invoice_api::serve(listener, token).await
}
