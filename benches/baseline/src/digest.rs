//! SHA-256 over a whole file.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::time::Instant;

use anyhow::Result;
use sha2::{Digest, Sha256};

/// Read at once, in bytes.
const READ: usize = 256 << 10;

pub(crate) fn digests(path: &str, n: usize) -> Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(n);
    let mut buffer = vec![0; READ];
    for _ in 0..n {
        let start = Instant::now();
        let (mut file, mut hash) = (File::open(path)?, Sha256::new());
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hash.update(buffer.get(..read).unwrap_or_default());
        }
        black_box(hash.finalize());
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(nanos)
}
