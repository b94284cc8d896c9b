//! What nobody of this process will clear any more.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::place::Place;
use crate::lock::Mutex;

/// The places that tell of something which may live, and belong to nobody who
/// lives in this process.
#[derive(Debug, Default)]
pub(super) struct Left {
    places: Mutex<HashSet<Place>>,
    /// How many, so that whoever ends well, as nearly all do, takes no lock.
    count: AtomicUsize,
}

impl Left {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All there are.
    pub(super) fn all(&self) -> Vec<Place> {
        self.change(|places| places.iter().cloned().collect())
    }

    /// One more.
    pub(super) fn add(&self, place: Place) {
        self.change(|places| places.insert(place));
    }

    /// All that this one told of is dead, or stands elsewhere.
    pub(super) fn settle(&self, place: impl FnOnce() -> Place) {
        if self.count() > 0 {
            let place = place();
            self.change(|places| places.remove(&place));
        }
    }

    /// Forgets some: they are gone.
    pub(super) fn forget<'a>(&self, gone: impl Iterator<Item = &'a Place>) {
        self.change(|places| {
            for place in gone {
                places.remove(place);
            }
        });
    }

    /// Only these blocks of a file still say something.
    pub(super) fn keep_blocks(&self, path: &Path, said: &[u32]) {
        if self.count() > 0 {
            self.change(|places| {
                places.retain(|place| {
                    place.path != path || place.block.is_none_or(|block| said.contains(&block))
                });
            });
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashSet<Place>) -> T) -> T {
        let mut places = self.places.lock();
        let changed = change(&mut places);
        self.count.store(places.len(), Ordering::Relaxed);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, block: Option<u32>) -> Place {
        Place {
            path: name.into(),
            block,
        }
    }

    #[test]
    fn what_is_left_counts_until_it_is_settled() {
        let left = Left::default();
        left.settle(|| unreachable!("nothing is left"));
        for name in ["a", "b", "b"] {
            left.add(place(name, None));
        }
        assert_eq!(left.count(), 2);
        left.settle(|| place("b", None));
        assert_eq!(left.all(), [place("a", None)]);
        left.forget(left.all().iter());
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn each_block_of_a_file_is_left_by_itself() {
        let left = Left::default();
        for block in 0..3 {
            left.add(place("a", Some(block)));
        }
        left.add(place("b", Some(0)));
        left.settle(|| place("a", Some(0)));
        assert_eq!(left.count(), 3);
        // Another process cleared a block meanwhile.
        left.keep_blocks(Path::new("a"), &[0, 2]);
        let mut all = left.all();
        all.sort_by_key(ToString::to_string);
        assert_eq!(all, [place("a", Some(2)), place("b", Some(0))]);
    }
}
