//! Defects that can be built in on purpose, to prove that the tests would find them.
//!
//! Without the feature `sabotage`, which no shipped program has, there are none.

/// One thing done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Directories are never synced: a new name may be lost in a power cut.
    NoDirSync,
    /// A failed sync is retried on the same file, and trusted.
    RetryFsync,
    /// Journal segments are removed before committed files cover them.
    DeleteEarly,
    /// Records are accepted without checking their checksums.
    NoCrc,
    /// A frame with the text `KRX-POISON` makes the exporter panic.
    Poison,
}

/// Whether this defect is built in and chosen by `$KRX_SABOTAGE`.
#[cfg(feature = "sabotage")]
pub(crate) fn is(defect: Defect) -> bool {
    use std::sync::LazyLock;
    static CHOSEN: LazyLock<Option<Defect>> =
        LazyLock::new(|| match std::env::var("KRX_SABOTAGE").ok()?.as_str() {
            "no_dir_sync" => Some(Defect::NoDirSync),
            "retry_fsync" => Some(Defect::RetryFsync),
            "delete_early" => Some(Defect::DeleteEarly),
            "no_crc" => Some(Defect::NoCrc),
            "poison" => Some(Defect::Poison),
            _ => None,
        });
    *CHOSEN == Some(defect)
}

/// Whether this defect is built in: it never is.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub(crate) fn is(_defect: Defect) -> bool {
    false
}
