//! Made-up orders of a shop, as they stood at the end of a day.

use std::fmt::Write as _;

use crate::invoice::{CUSTOMERS, scatter};

/// How many there are at the end of the year.
pub const ORDERS: u64 = 36_000;

/// A year of twelve equal months, so that every day of it is a date.
const DAYS: u64 = 336;

/// Name and price in hundredths.
const PRODUCTS: [(&str, u64); 10] = [
    ("Filing cabinet, 3 drawers", 14_900),
    ("Desk lamp \"Lumen\"", 4_250),
    ("Standing desk 160x80", 48_900),
    ("Office chair Nordlys", 32_500),
    ("Kraft paper, 500 sheets", 1_290),
    ("Whiteboard 120x90", 7_995),
    ("Cable tray, steel", 2_340),
    ("Monitor arm, twin", 11_780),
    ("Acoustic panel", 5_600),
    ("Coat stand", 3_875),
];

/// A day of 2026 on which the shop is open: the 1st to the 28th of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(u64);

impl Day {
    /// Reads `2026-MM-DD`; what comes after the 28th counts as the 28th.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (month, day) = text.strip_prefix("2026-")?.split_once('-')?;
        let two = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let (month, day) = (two(month)?, two(day)?);
        let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
        fits.then(|| Self((month - 1) * 28 + day.min(28) - 1))
    }

    fn of_order(number: u64) -> Self {
        Self(number * DAYS / (ORDERS + 1))
    }
}

/// The orders that had been placed by the end of this day, as CSV with a head.
pub(crate) fn csv(until: Day) -> Result<Vec<u8>, csv::Error> {
    let mut csv = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    csv.write_record([
        "id",
        "customer",
        "product",
        "quantity",
        "amount",
        "currency",
        "placed_at",
        "status",
    ])?;
    let (mut id, mut quantity, mut amount, mut placed) = Default::default();
    for number in (1..=ORDERS).take_while(|number| Day::of_order(*number) <= until) {
        let dice = scatter(number ^ 0x0bde);
        let pick = |index: u64, len: usize| (index % len as u64) as usize;
        let customer = CUSTOMERS.get(pick(dice, CUSTOMERS.len()));
        let (customer, currency) = customer.copied().unwrap_or(("Nobody", "EUR"));
        let product = PRODUCTS.get(pick(dice >> 16, PRODUCTS.len()));
        let (product, price) = product.copied().unwrap_or(("Nothing", 0));
        let pieces = 1 + (dice >> 32) % 12;
        let day = Day::of_order(number);
        rewrite(&mut id, format_args!("ORD-2026-{number:06}"));
        rewrite(&mut quantity, format_args!("{pieces}"));
        let sum = pieces * price;
        rewrite(&mut amount, format_args!("{}.{:02}", sum / 100, sum % 100));
        rewrite(
            &mut placed,
            format_args!(
                "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                day.0 / 28 + 1,
                day.0 % 28 + 1,
                7 + (dice >> 40) % 12,
                (dice >> 48) % 60,
                (dice >> 56) % 60
            ),
        );
        csv.write_record([
            &id,
            customer,
            product,
            &quantity,
            &amount,
            currency,
            &placed,
            status(dice, until.0 - day.0),
        ])?;
    }
    csv.into_inner().map_err(|error| error.into_error().into())
}

/// Where an order stands so many days after it was placed.
fn status(dice: u64, days: u64) -> &'static str {
    match days {
        0..=1 => "open",
        2..=8 => "shipped",
        _ if dice.is_multiple_of(31) => "returned",
        _ => "paid",
    }
}

fn rewrite(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.clear();
    // Writing into a String cannot fail.
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(until: &str) -> Vec<String> {
        let csv = csv(Day::parse(until).unwrap()).unwrap();
        let text = String::from_utf8(csv).unwrap();
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn they_look_real_and_move_on_from_day_to_day() {
        let all = lines("2026-12-28");
        assert_eq!(all.len() as u64, ORDERS + 1);
        let (yesterday, today) = (lines("2026-11-23"), lines("2026-11-24"));
        assert_eq!(today, lines("2026-11-24"));
        assert!((30_000..35_000).contains(&today.len()), "{}", today.len());
        let new = today.len() - yesterday.len();
        assert!((100..120).contains(&new), "{new}");
        let changed = std::iter::zip(&yesterday, &today).filter(|(old, new)| old != new);
        assert!((150..250).contains(&changed.count()));
        for status in ["open", "shipped", "paid", "returned"] {
            assert!(today.iter().any(|line| line.ends_with(status)), "{status}");
        }
        // What CSV has to quote is there.
        assert!(
            today
                .iter()
                .any(|line| line.contains(r#""Desk lamp ""Lumen""""#))
        );
    }

    #[test]
    fn a_day_is_a_date_of_the_year() {
        assert_eq!(Day::parse("2026-01-01"), Some(Day(0)));
        assert_eq!(Day::parse("2026-12-31"), Some(Day(DAYS - 1)));
        for wrong in [
            "",
            "2025-01-01",
            "2026-1-1",
            "2026-13-01",
            "2026-01-00",
            "2026-01-+1",
        ] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }
}
