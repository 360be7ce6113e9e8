//! What a tail is made of, and the client that takes it.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use krx_store::DataDir;
use tokio::sync::mpsc;

use crate::pipeline::feed_view::FeedView;
use crate::status::connection::Connection;

/// How long a client may take nothing of what is sent.
const STALLED_MAX: Duration = Duration::from_secs(30);

/// How often the wait for room is looked at while a client takes nothing.
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// What a tail is made of, and where it goes.
pub(super) struct Source {
    pub(super) data: DataDir,
    pub(super) feed: FeedView,
    pub(super) connection: Connection,
    pub(super) chunks: mpsc::Sender<io::Result<Bytes>>,
}

impl Source {
    /// Whether nobody waits for what is read.
    pub(super) fn is_left(&self) -> bool {
        self.chunks.is_closed() || self.connection.client_is_gone()
    }

    /// Hands something on once there is room; returns whether there was.
    pub(super) fn hand_on(&self, piece: io::Result<Bytes>) -> bool {
        let (mut piece, asked) = (piece, Instant::now());
        while asked.elapsed() < STALLED_MAX {
            match self.chunks.try_send(piece) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                Err(mpsc::error::TrySendError::Full(back)) => piece = back,
            }
            std::thread::sleep(ROOM_LOOK);
        }
        false
    }
}
