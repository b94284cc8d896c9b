//! Counting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strum::{EnumCount, IntoEnumIterator};

use super::{LogInStats, RequestOutcome, RequestStats};
use crate::vault::error::Operation;

/// The numbers of one process. Each stands for itself, so no order between them
/// is asked for.
#[derive(Debug, Default)]
pub(in crate::vault) struct Counters {
    requests: [[Requests; RequestOutcome::COUNT]; Operation::COUNT],
    live_tokens: AtomicU64,
    live_leases: AtomicU64,
    made: AtomicU64,
    failed: AtomicU64,
    renewed: AtomicU64,
    not_renewed: AtomicU64,
}

#[derive(Debug, Default)]
struct Requests {
    count: AtomicU64,
    /// Nanoseconds: u64 has room for five hundred years of them.
    nanos: AtomicU64,
}

/// A request under way. Dropped before it was answered, it counts as abandoned.
pub(in crate::vault) struct Asked<'a> {
    counters: &'a Counters,
    operation: Operation,
    since: Instant,
    outcome: RequestOutcome,
}

/// A token of an attempt, for as long as this value lives.
#[derive(Debug)]
pub(in crate::vault) struct LiveToken(Arc<Counters>);

/// A lease of an attempt, for as long as this value lives.
#[derive(Debug)]
pub(in crate::vault) struct LiveLease(Arc<Counters>);

impl Counters {
    /// Begins to count a request.
    pub(in crate::vault) fn ask(&self, operation: Operation) -> Asked<'_> {
        Asked {
            counters: self,
            operation,
            since: Instant::now(),
            outcome: RequestOutcome::Abandoned,
        }
    }

    /// Counts a token.
    pub(in crate::vault) fn token(self: &Arc<Self>) -> LiveToken {
        add(&self.live_tokens);
        LiveToken(Arc::clone(self))
    }

    /// Counts a lease.
    pub(in crate::vault) fn lease(self: &Arc<Self>) -> LiveLease {
        add(&self.live_leases);
        LiveLease(Arc::clone(self))
    }

    /// Counts a log-in of the process.
    pub(in crate::vault) fn logged_in(&self, success: bool) {
        add(if success { &self.made } else { &self.failed });
    }

    /// Counts a renewal of such a log-in.
    pub(in crate::vault) fn renewed(&self, success: bool) {
        add(if success {
            &self.renewed
        } else {
            &self.not_renewed
        });
    }

    /// The requests so far.
    pub(in crate::vault) fn requests(&self) -> Vec<RequestStats> {
        let pairs = Operation::iter()
            .flat_map(|operation| RequestOutcome::iter().map(move |outcome| (operation, outcome)));
        pairs
            .filter_map(|(operation, outcome)| {
                let requests = self.of(operation, outcome)?;
                let count = read(&requests.count);
                (count > 0).then(|| RequestStats {
                    operation,
                    outcome,
                    count,
                    time: Duration::from_nanos(read(&requests.nanos)),
                })
            })
            .collect()
    }

    /// The tokens and the leases that live.
    pub(in crate::vault) fn live(&self) -> (u64, u64) {
        (read(&self.live_tokens), read(&self.live_leases))
    }

    /// The log-ins so far.
    pub(in crate::vault) fn log_ins(&self) -> LogInStats {
        LogInStats {
            made: read(&self.made),
            failed: read(&self.failed),
            renewed: read(&self.renewed),
            not_renewed: read(&self.not_renewed),
        }
    }

    fn of(&self, operation: Operation, outcome: RequestOutcome) -> Option<&Requests> {
        self.requests.get(operation as usize)?.get(outcome as usize)
    }
}

impl Asked<'_> {
    /// Notes how it ended.
    pub(in crate::vault) fn ended(mut self, outcome: RequestOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(requests) = self.counters.of(self.operation, self.outcome) {
            let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            requests.nanos.fetch_add(nanos, Ordering::Relaxed);
            add(&requests.count);
        }
    }
}

impl Drop for LiveToken {
    fn drop(&mut self) {
        self.0.live_tokens.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for LiveLease {
    fn drop(&mut self) {
        self.0.live_leases.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}

fn read(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_counts_once_whatever_becomes_of_it() {
        let counters = Counters::default();
        assert!(counters.requests().is_empty());
        for (operation, outcome) in Operation::iter().zip(RequestOutcome::iter().cycle()) {
            counters.ask(operation).ended(outcome);
        }
        drop(counters.ask(Operation::Read));
        let counted = counters.requests();
        let all: u64 = counted.iter().map(|one| one.count).sum();
        assert_eq!(all, Operation::COUNT as u64 + 1);
        let abandoned = counted.iter().find(|one| {
            one.outcome == RequestOutcome::Abandoned && one.operation == Operation::Read
        });
        assert_eq!(abandoned.map(|one| one.count), Some(1));
    }

    #[test]
    fn time_adds_up() {
        let counters = Counters::default();
        for _ in 0..2 {
            let asked = counters.ask(Operation::Mint);
            std::thread::sleep(Duration::from_millis(2));
            asked.ended(RequestOutcome::Ok);
        }
        let [only] = counters.requests()[..] else {
            panic!("one kind");
        };
        assert_eq!(only.count, 2);
        assert!(only.time >= Duration::from_millis(4), "{:?}", only.time);
    }

    #[test]
    fn what_lives_is_counted_as_long_as_it_lives() {
        let counters = Arc::new(Counters::default());
        let (token, leases) = (counters.token(), [counters.lease(), counters.lease()]);
        assert_eq!(counters.live(), (1, 2));
        drop(leases);
        assert_eq!(counters.live(), (1, 0));
        drop(token);
        assert_eq!(counters.live(), (0, 0));
    }

    #[test]
    fn a_status_has_one_meaning() {
        for (status, outcome) in [
            (200, RequestOutcome::Ok),
            (204, RequestOutcome::Ok),
            (302, RequestOutcome::Faulty),
            (400, RequestOutcome::Invalid),
            (403, RequestOutcome::Refused),
            (404, RequestOutcome::NotFound),
            (412, RequestOutcome::Unavailable),
            (429, RequestOutcome::Limited),
            (473, RequestOutcome::Unavailable),
            (503, RequestOutcome::Unavailable),
            (600, RequestOutcome::Faulty),
        ] {
            assert_eq!(RequestOutcome::of(status), outcome, "{status}");
        }
    }
}
