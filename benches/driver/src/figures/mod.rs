//! The figures, a group a file.

pub(crate) mod cold;
pub(crate) mod line;
pub(crate) mod live;
pub(crate) mod parallel;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod single;
pub(crate) mod sql;
pub(crate) mod trips;
pub(crate) mod upstream;
pub(crate) mod verify;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often the two sides take turns.
    pub(crate) rounds: usize,
    /// Samples of each side in a turn.
    pub(crate) batch: usize,
}

impl Effort {
    /// Whether it is only to be shown that everything runs.
    fn is_quick(self) -> bool {
        self.rounds < 10
    }
}

/// The median, in the unit of which `per` nanoseconds make one.
fn median(mut nanos: Vec<u64>, per: f64) -> f64 {
    nanos.sort_unstable();
    let middle = nanos.get(nanos.len() / 2).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "hours in nanoseconds fit")]
    let middle = middle as f64;
    middle / per
}

/// Nanoseconds of a microsecond.
const MICRO: f64 = 1e3;
/// Nanoseconds of a millisecond.
const MILLI: f64 = 1e6;
