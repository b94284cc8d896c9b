//! The billing API, as far as this task uses it.

use cofferdam_guest::http::{Client, Error};
use cofferdam_guest::{Refusal, TaskError};
use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// The API behind the grant `billing`.
pub(crate) struct Billing(Client);

/// One page of invoices.
#[derive(Deserialize)]
pub(crate) struct Page {
    page: u32,
    /// How many pages there are.
    pub(crate) pages: u32,
    pub(crate) invoices: Vec<Invoice>,
}

/// One invoice, as far as the summary needs it.
#[derive(Deserialize)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) amount_cents: i64,
    /// ISO 4217.
    pub(crate) currency: String,
}

#[derive(Serialize)]
struct Posting<'a> {
    summary: &'a Summary,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Receipt {
    receipt: String,
}

impl Billing {
    pub(crate) fn open() -> Result<Self, Refusal> {
        Client::open("billing").map(Self)
    }

    /// One page, counted from 1.
    pub(crate) fn page(&self, number: u32) -> Result<Page, TaskError> {
        let request = self.0.get("invoices").query("page", number);
        let page: Page = request.send()?.error_for_status()?.json()?;
        if page.page != number {
            return Err(TaskError::fail(format_args!(
                "asked for page {number}, got page {}",
                page.page
            )));
        }
        Ok(page)
    }

    /// Posts a signed summary; returns its receipt.
    pub(crate) fn post(&self, summary: &Summary, signature: &str) -> Result<String, Error> {
        let request = self
            .0
            .post("summaries")
            .json(&Posting { summary, signature });
        let receipt: Receipt = request.send()?.error_for_status()?.json()?;
        Ok(receipt.receipt)
    }
}
