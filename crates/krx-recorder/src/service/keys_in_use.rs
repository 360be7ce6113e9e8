//! The keys that feeds have, and what the server said of each: a refused key ends its own feeds, and no others.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use crate::config::key::{ApiKey, Keys};

/// The keys that feeds have, each with what is known of it.
pub(super) struct KeysInUse {
    pub(super) keys: Keys,
    known: Vec<KnownKey>,
    /// The key of each feed.
    of_feeds: Vec<usize>,
}

/// What is known of a key.
pub(super) struct KnownKey {
    /// Whether a session with it was ever accepted, of any feed.
    pub(super) accepted: Arc<AtomicBool>,
    /// What the server said when it refused it, if it never accepted it.
    refused: Option<String>,
    /// Ends the feeds that have it.
    pub(super) stop: watch::Sender<bool>,
}

impl KeysInUse {
    pub(super) fn new(keys: &[ApiKey]) -> Self {
        let of = Keys::of(keys.iter().cloned());
        let known = || KnownKey {
            accepted: Arc::default(),
            refused: None,
            stop: watch::Sender::new(false),
        };
        Self {
            known: (0..of.count()).map(|_| known()).collect(),
            of_feeds: keys.iter().filter_map(|key| of.position(key)).collect(),
            keys: of,
        }
    }

    pub(super) fn of_feed(&self, feed: usize) -> &KnownKey {
        &self.known[self.of_feeds[feed]]
    }

    pub(super) fn refuse(&mut self, feed: usize, words: String) {
        let key = &mut self.known[self.of_feeds[feed]];
        key.refused = Some(words);
        key.stop.send_replace(true);
    }

    pub(super) fn refusal(&self, feed: usize) -> Option<&str> {
        self.of_feed(feed).refused.as_deref()
    }

    pub(super) fn stop_all(&self) {
        for key in &self.known {
            key.stop.send_replace(true);
        }
    }
}
