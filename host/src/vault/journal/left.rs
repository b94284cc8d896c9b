//! Which files nobody of this process will clear any more.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lock::Mutex;

/// The files that tell of something which may live, and belong to nobody who
/// lives in this process.
#[derive(Debug, Default)]
pub(super) struct Left {
    paths: Mutex<HashSet<PathBuf>>,
    /// How many, so that whoever ends well, as nearly all do, takes no lock.
    count: AtomicUsize,
}

/// One file that tells of something which may live. Dropped, it is left.
#[derive(Debug)]
pub(super) struct Unsettled {
    left: Arc<Left>,
    path: PathBuf,
    settled: bool,
}

impl Left {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All there are.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        self.change(|paths| paths.iter().cloned().collect())
    }

    /// Forgets some: they are gone.
    pub(super) fn forget<'a>(&self, gone: impl Iterator<Item = &'a PathBuf>) {
        self.change(|paths| {
            for path in gone {
                paths.remove(path);
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashSet<PathBuf>) -> T) -> T {
        let mut paths = self.paths.lock();
        let changed = change(&mut paths);
        self.count.store(paths.len(), Ordering::Relaxed);
        changed
    }
}

impl Unsettled {
    pub(super) fn new(left: &Arc<Left>, path: &Path) -> Self {
        Self {
            left: Arc::clone(left),
            path: path.to_owned(),
            settled: false,
        }
    }

    /// All that it told of is dead.
    pub(super) fn settle(mut self) {
        self.settled = true;
        if self.left.count() > 0 {
            self.left.forget([&self.path].into_iter());
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if !self.settled {
            let path = std::mem::take(&mut self.path);
            self.left.change(|paths| paths.insert(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_left_until_it_is_settled() {
        let left = Arc::new(Left::default());
        let take = |name: &str| Unsettled::new(&left, Path::new(name));
        take("a").settle();
        assert_eq!(left.count(), 0);
        for name in ["a", "b", "b"] {
            drop(take(name));
        }
        assert_eq!(left.count(), 2);
        take("b").settle();
        assert_eq!(left.all(), [Path::new("a")]);
        left.forget(left.all().iter());
        assert_eq!(left.count(), 0);
    }
}
