//! The statements.

use std::io::Read;

use cofferdam_guest::TaskError;
use cofferdam_guest::sql::{Connection, Error, Transaction, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a load changed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Changes {
    /// Orders that the API sent.
    read: u64,
    /// Those that the warehouse did not have.
    pub(crate) new: u64,
    /// Those that it had otherwise.
    pub(crate) changed: u64,
}

/// The sales in one currency.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Sales {
    /// ISO 4217.
    currency: String,
    /// How many orders.
    orders: i64,
    /// Their sum: a decimal number, as text.
    total: String,
}

/// Loads CSV into the staging table, as it comes.
pub(crate) fn stage(transaction: &Transaction<'_>, csv: &mut impl Read) -> Result<u64, TaskError> {
    let mut copy =
        transaction.copy_in("COPY staging.orders FROM STDIN WITH (FORMAT csv, HEADER true)")?;
    // `?` looks into the error: it knows whether the API, the database or a
    // limit was the cause, and whether to try again.
    std::io::copy(csv, &mut copy)?;
    Ok(copy.finish()?)
}

/// Brings the warehouse up to what is staged, and empties the staging table
/// again: nobody else ever sees a row in it.
pub(crate) fn merge(transaction: &Transaction<'_>, read: u64) -> Result<Changes, TaskError> {
    let new: i64 = transaction.query_one(
        "SELECT count(*)
         FROM staging.orders s
         WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = s.id)",
        params![],
    )?;
    let new = u64::try_from(new).unwrap_or_default();
    let written = transaction.execute(
        "INSERT INTO orders AS o
         SELECT * FROM staging.orders
         ON CONFLICT (id) DO UPDATE
         SET status = excluded.status, amount = excluded.amount, quantity = excluded.quantity
         WHERE (o.status, o.amount, o.quantity)
            IS DISTINCT FROM (excluded.status, excluded.amount, excluded.quantity)",
        params![],
    )?;
    transaction.execute("DELETE FROM staging.orders", params![])?;
    Ok(Changes {
        read,
        new,
        changed: written.saturating_sub(new),
    })
}

/// What was sold and kept, by currency.
pub(crate) fn sales(connection: &Connection) -> Result<Vec<Sales>, Error> {
    connection
        .query(
            "SELECT currency, count(*) AS orders, sum(amount) AS total
             FROM orders
             WHERE status <> $1
             GROUP BY currency
             ORDER BY currency",
            params!["returned"],
        )?
        .collect()
}
