//! Reads all invoices of a billing API, adds them up per customer, signs the
//! summary and posts it back.
//!
//! The API demands a bearer token and the signature needs a private key. This
//! code holds neither: it names the grants `billing` and `signer`.

mod billing;
mod summary;

use cofferdam_guest::keys::Key;
use cofferdam_guest::{Context, TaskError, task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::billing::Billing;
use crate::summary::{Summary, Total};

/// What to call the summary.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    label: String,
}

/// What was posted.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// The API's number for the posted summary.
    receipt: String,
    /// How many invoices were read.
    invoices: u64,
    /// The sums, by customer and currency.
    totals: Vec<Total>,
}

#[task]
fn run(ctx: Context, input: Input) -> Result<Output, TaskError> {
    let billing = Billing::open()?;
    let mut summary = Summary::new(input.label);
    let mut pages = 1;
    let mut number = 1;
    while number <= pages {
        if ctx.cancelled() {
            return Err(TaskError::retry("cancelled before the summary was posted"));
        }
        let page = billing.page(number)?;
        for invoice in &page.invoices {
            summary.add(invoice)?;
        }
        pages = page.pages;
        log::debug!("page {number} of {pages}: {} invoices", page.invoices.len());
        ctx.heartbeat();
        number += 1;
    }
    if summary.invoices == 0 {
        return Err(TaskError::skip("there are no invoices"));
    }

    let signature = Key::open("signer")?.sign(summary.canonical_json()?)?;
    let receipt = billing.post(&summary, &signature)?;
    log::info!(
        "{} invoices of {} customers posted as {receipt}",
        summary.invoices,
        summary.totals().count()
    );
    Ok(Output {
        receipt,
        invoices: summary.invoices,
        totals: summary.totals().collect(),
    })
}
