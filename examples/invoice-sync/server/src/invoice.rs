//! Made-up invoices.

use serde::Serialize;

/// How many there are.
pub const INVOICES: u64 = 3_000;
/// How many one page holds; the last page holds what is left.
pub const PAGE_SIZE: usize = 160;

/// One invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice {
    /// Unique, in the order of issue.
    pub id: String,
    /// The customer's name.
    pub customer: &'static str,
    /// The amount in hundredths of the currency.
    pub amount_cents: u64,
    /// ISO 4217.
    pub currency: &'static str,
    /// The day of issue, `YYYY-MM-DD`.
    pub issued: String,
}

/// Names and currencies.
pub(crate) const CUSTOMERS: [(&str, &str); 12] = [
    ("Aldergate Freight Ltd", "GBP"),
    ("Brückner Maschinenbau GmbH", "EUR"),
    ("Calder & Finch Architects", "GBP"),
    ("Delacroix Vins SARL", "EUR"),
    ("Eastmoor Veterinary Group", "GBP"),
    ("Fjordlys Energi AS", "NOK"),
    ("Grupo Herrera Textil SA", "EUR"),
    ("Hollis Street Bakery Inc", "USD"),
    ("Ibex Outdoor Supply LLC", "USD"),
    ("Jansen Bloemen BV", "EUR"),
    ("Kestrel Bay Shipyard Inc", "USD"),
    ("Lindqvist Papper AB", "SEK"),
];

/// All invoices, the same at every call.
pub fn invoices() -> Vec<Invoice> {
    (1..=INVOICES).map(invoice).collect()
}

fn invoice(number: u64) -> Invoice {
    let dice = scatter(number);
    let index = (dice % CUSTOMERS.len() as u64) as usize;
    let (customer, currency) = CUSTOMERS.get(index).copied().unwrap_or(("Nobody", "EUR"));
    // About eight a day over a year of twelve equal months.
    let day = number * 336 / (INVOICES + 1);
    Invoice {
        id: format!("INV-2026-{number:05}"),
        customer,
        amount_cents: 1_500 + (dice >> 8) % 498_500,
        currency,
        issued: format!("2026-{:02}-{:02}", day / 28 + 1, day % 28 + 1),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): evenly scattered and always the same.
pub(crate) fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn they_look_real_and_stay_the_same() {
        let all = invoices();
        assert_eq!(all.len() as u64, INVOICES);
        assert_eq!(all, invoices());
        let ids: HashSet<&str> = all.iter().map(|invoice| invoice.id.as_str()).collect();
        assert_eq!(ids.len(), all.len());
        let customers: HashSet<&str> = all.iter().map(|invoice| invoice.customer).collect();
        assert_eq!(customers.len(), CUSTOMERS.len());
        assert!(
            all.iter()
                .all(|i| (1_500..500_000).contains(&i.amount_cents))
        );
        assert!(all.is_sorted_by_key(|invoice| invoice.issued.as_str()));
        assert!(all.iter().all(|i| i.issued.as_str() <= "2026-12-28"));
    }
}
