//! A directory tree as names and contents, for comparison with another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Every file under `dir`, by its path below it, with the SHA-256 of its bytes; a directory that does not exist has
/// none.
///
/// # Errors
/// When something in it cannot be read.
pub fn tree(dir: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    for path in files_under(dir)? {
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.strip_prefix(dir).unwrap_or(&path).to_owned();
        files.insert(name, hex(&Sha256::digest(&bytes)));
    }
    Ok(files)
}

/// The directory of a feed's files of a date in a dataset: `trades` is partitioned by market, everything else by feed.
/// A market's feed has the market's name.
#[must_use]
pub fn partition(dataset: &str, feed: &str) -> String {
    let key = if dataset == "trades" { "market" } else { "feed" };
    format!("{key}={feed}")
}

/// Every file under `dir`, in order of path.
///
/// # Errors
/// When a directory cannot be listed.
pub fn files_under(dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut left) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = left.pop() {
        if !dir.exists() {
            continue;
        }
        for entry in fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a directory tree.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for path in files_under(from)? {
        let target = to.join(path.strip_prefix(from)?);
        fs::create_dir_all(target.parent().context("a file has a directory")?)?;
        fs::copy(&path, &target).with_context(|| format!("copying {}", path.display()))?;
    }
    Ok(())
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
