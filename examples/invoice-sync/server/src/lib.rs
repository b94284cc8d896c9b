//! The API that the examples `invoice-sync` and `warehouse-load` talk to.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/invoices?page=N` | `{"page", "pages", "invoices": [{"id", "customer", "amount_cents", "currency", "issued"}]}` |
//! | `GET /v1/orders.csv?until=YYYY-MM-DD` | the orders as they stood at the end of that day, as CSV |
//! | `POST /v1/summaries` with `{"summary", "signature"}` | 201 and `{"receipt"}` |
//! | `GET /v1/summaries/RECEIPT` | what was posted |
//!
//! Each demands `authorization: Bearer TOKEN`; without it the answer is 401.
//! The invoices are made up, always the same
//! 3,000, and so are the orders: up to 36,000, of which the last ones change with the day.

mod invoice;
mod order;
mod routes;
mod token;

pub use invoice::{INVOICES, Invoice, PAGE_SIZE, invoices};
pub use order::ORDERS;
pub use token::Token;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

/// Serves until the future is dropped. Bind the listener to port 0 of
/// 127.0.0.1 and ask it for its address.
pub async fn serve(listener: TcpListener, token: Token) -> Result<()> {
    axum::serve(listener, routes::routes(token))
        .await
        .context("the billing API stopped")
}
