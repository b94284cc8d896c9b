//! How much memory callers may have of the service, whatever they ask for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::caller::Owner;
use crate::lock::Mutex;

/// Bytes of one kind that are held for callers. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    all: usize,
    of: HashMap<Owner, usize>,
}

/// What is held for one purpose of one caller. Given back when dropped.
pub(super) struct Share {
    budget: Budget,
    owner: Owner,
    bytes: usize,
}

/// How much may be held.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// In all.
    pub(super) all: usize,
    /// Of one caller.
    pub(super) of_one: usize,
}

/// Which bound was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// That of all together.
    InAll,
    /// The caller's own.
    OfOne,
}

impl Budget {
    /// So many bytes more for this caller. One thing alone is never too much, however
    /// large: it could never be had.
    ///
    /// # Errors
    /// When that is too much.
    pub(super) fn take(
        &self,
        owner: &Owner,
        bytes: usize,
        bounds: Bounds,
    ) -> Result<Share, TooMuch> {
        let mut held = self.0.lock();
        let own = held.of.get(owner).copied().unwrap_or_default();
        let is_over = |held: usize, bound: usize| held > 0 && held + bytes > bound;
        if is_over(own, bounds.of_one) {
            return Err(TooMuch::OfOne);
        }
        if is_over(held.all, bounds.all) {
            return Err(TooMuch::InAll);
        }
        held.all += bytes;
        held.of.insert(owner.clone(), own + bytes);
        Ok(Share {
            budget: self.clone(),
            owner: owner.clone(),
            bytes,
        })
    }

    fn give_back(&self, owner: &Owner, bytes: usize) {
        let mut held = self.0.lock();
        held.all = held.all.saturating_sub(bytes);
        if let Some(own) = held.of.get_mut(owner) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                held.of.remove(owner);
            }
        }
    }
}

impl Share {
    /// Keeps so many bytes of it, and gives the rest back.
    pub(super) fn shrink(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.budget.give_back(&self.owner, self.bytes - bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(&self.owner, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_bound_and_all_together() {
        let [one, other, third] = ["1", "2", "3"].map(|name| Owner::from(name.to_owned()));
        let bounds = Bounds {
            all: 100,
            of_one: 60,
        };
        let budget = Budget::default();
        let mut held = budget.take(&one, 50, bounds).unwrap();
        let refused = |owner, bytes| budget.take(owner, bytes, bounds).err();
        assert_eq!(refused(&one, 11), Some(TooMuch::OfOne));
        let more = budget.take(&other, 50, bounds).unwrap();
        assert_eq!(refused(&third, 1), Some(TooMuch::InAll));
        held.shrink(20);
        let last = budget.take(&third, 30, bounds).unwrap();
        assert_eq!(refused(&one, 1), Some(TooMuch::InAll));
        drop((held, more, last));
        drop(budget.take(&one, 1_000, bounds).unwrap());
        let held = budget.0.lock();
        assert_eq!((held.all, held.of.len()), (0, 0));
    }
}
