//! The sums per customer. Nothing here touches the host, so `cargo test`
//! covers it on any laptop.

use std::collections::BTreeMap;

use cofferdam_guest::TaskError;
use schemars::JsonSchema;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::billing::Invoice;

/// The sums of all invoices.
#[derive(Serialize)]
pub(crate) struct Summary {
    label: String,
    pub(crate) invoices: u64,
    #[serde(serialize_with = "as_list")]
    totals: Totals,
}

type Totals = BTreeMap<(String, String), Sum>;

#[derive(Default)]
struct Sum {
    invoices: u64,
    cents: i64,
}

/// The sum of one customer in one currency.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Total {
    customer: String,
    /// ISO 4217.
    currency: String,
    invoices: u64,
    /// In hundredths of the currency.
    amount_cents: i64,
}

impl Summary {
    pub(crate) fn new(label: String) -> Self {
        Self {
            label,
            invoices: 0,
            totals: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, invoice: &Invoice) -> Result<(), TaskError> {
        let key = (invoice.customer.clone(), invoice.currency.clone());
        let sum = self.totals.entry(key).or_default();
        sum.cents = sum.cents.checked_add(invoice.amount_cents).ok_or_else(|| {
            TaskError::fail(format_args!("invoice {}: the sum is too large", invoice.id))
        })?;
        sum.invoices += 1;
        self.invoices += 1;
        Ok(())
    }

    /// The sums, ordered by customer and currency.
    pub(crate) fn totals(&self) -> impl Iterator<Item = Total> {
        totals(&self.totals)
    }

    /// The bytes that are signed: fields sorted by name, no white space.
    pub(crate) fn canonical_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        // A `Value` keeps its fields sorted.
        serde_json::to_vec(&serde_json::to_value(self)?)
    }
}

fn totals(totals: &Totals) -> impl Iterator<Item = Total> {
    totals.iter().map(|((customer, currency), sum)| Total {
        customer: customer.clone(),
        currency: currency.clone(),
        invoices: sum.invoices,
        amount_cents: sum.cents,
    })
}

fn as_list<S: Serializer>(sums: &Totals, serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(sums.len()))?;
    for total in totals(sums) {
        list.serialize_element(&total)?;
    }
    list.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoice(customer: &str, currency: &str, amount_cents: i64) -> Invoice {
        Invoice {
            id: "INV-1".to_owned(),
            customer: customer.to_owned(),
            amount_cents,
            currency: currency.to_owned(),
        }
    }

    #[test]
    fn adds_up_per_customer_and_currency() {
        let mut summary = Summary::new("May".to_owned());
        for (customer, currency, cents) in [
            ("B", "EUR", 5),
            ("A", "EUR", 100),
            ("A", "USD", 7),
            ("A", "EUR", -30),
        ] {
            assert_eq!(summary.add(&invoice(customer, currency, cents)), Ok(()));
        }
        let text = summary.canonical_json().map(String::from_utf8);
        let expected = concat!(
            r#"{"invoices":4,"label":"May","totals":["#,
            r#"{"amount_cents":70,"currency":"EUR","customer":"A","invoices":2},"#,
            r#"{"amount_cents":7,"currency":"USD","customer":"A","invoices":1},"#,
            r#"{"amount_cents":5,"currency":"EUR","customer":"B","invoices":1}]}"#
        );
        assert_eq!(text.ok().and_then(Result::ok).as_deref(), Some(expected));
    }

    #[test]
    fn a_sum_that_overflows_fails() {
        let mut summary = Summary::new(String::new());
        assert_eq!(summary.add(&invoice("A", "EUR", i64::MAX)), Ok(()));
        let error = summary
            .add(&invoice("A", "EUR", 1))
            .map_err(|it| it.to_string());
        assert_eq!(error, Err("invoice INV-1: the sum is too large".to_owned()));
    }
}
