//! Loads the orders of a shop's API into a warehouse: CSV through `COPY` into a
//! staging table, from there an upsert, and a report over the whole table.
//!
//! The API demands a bearer token and the database a user with a password. This
//! code holds neither: it names the grants `shop` and `warehouse`.

mod warehouse;

use cofferdam_guest::http::Client;
use cofferdam_guest::sql::{Connection, Isolation};
use cofferdam_guest::{Context, TaskError, task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::warehouse::{Changes, Sales};

/// Which orders to load.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The last day, `YYYY-MM-DD`.
    until: String,
}

/// What the load did.
#[derive(Serialize, JsonSchema)]
struct Output {
    #[serde(flatten)]
    changes: Changes,
    /// What was sold so far, by currency.
    sales: Vec<Sales>,
}

#[task]
fn run(ctx: Context, input: Input) -> Result<Output, TaskError> {
    let shop = Client::open("shop")?;
    let mut csv = shop
        .get("orders.csv")
        .query("until", &input.until)
        .send()?
        .error_for_status()?;

    let connection = Connection::open("warehouse")?;
    // Whoever loads at the same time makes one of the two start over: then
    // `?` asks for a retry, and what is counted here is exact.
    let changes = connection.transaction_at(Isolation::RepeatableRead, |transaction| {
        let loaded = warehouse::stage(transaction, &mut csv)?;
        log::info!("{loaded} orders until {} staged", input.until);
        ctx.heartbeat();
        warehouse::merge(transaction, loaded)
    })?;
    log::info!("{} new, {} changed", changes.new, changes.changed);

    let sales = warehouse::sales(&connection)?;
    Ok(Output { changes, sales })
}
