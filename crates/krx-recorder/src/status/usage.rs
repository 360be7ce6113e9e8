//! What the kernel says about this process, in `/proc/self`, which is not on a disk.

use std::fs;

/// The kernel's unit of processor time in /proc: the same on every architecture this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Processor time, user and system together.
    pub(super) cpu_seconds: f64,
    /// Resident memory.
    pub(super) resident_bytes: u64,
    /// Address space.
    pub(super) virtual_bytes: u64,
    /// Open files.
    pub(super) open_files: u64,
    /// How many files may be open.
    pub(super) open_files_max: u64,
    /// Threads.
    pub(super) threads: u64,
}

impl Usage {
    /// What this process uses now; 0 where the kernel does not say.
    pub(super) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let page_bytes = rustix::param::page_size() as u64;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
            open_files_max: limit.unwrap_or(u64::MAX),
            ..Self::of_stat(&stat, page_bytes)
        }
    }

    /// Reads the text of `/proc/self/stat`.
    fn of_stat(stat: &str, page_bytes: u64) -> Self {
        // The second field is the name in parentheses, which may contain blanks. The fields after it count from 3.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<u64> = rest
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        Self {
            cpu_seconds: (field(14) + field(15)) as f64 / TICKS_PER_SECOND,
            threads: field(20),
            virtual_bytes: field(23),
            resident_bytes: field(24) * page_bytes,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_from_proc() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 150 0 0 20 0 9 0 100 1048576 256 1 2";
        let usage = Usage::of_stat(stat, 4096);
        assert_eq!((usage.cpu_seconds, usage.threads), (4.0, 9));
        assert_eq!((usage.virtual_bytes, usage.resident_bytes), (1 << 20, 1 << 20));
        let own = Usage::now();
        assert!(
            own.resident_bytes > 1 << 20 && own.open_files > 2 && own.threads > 0,
            "{own:?}"
        );
    }
}
