//! What a session does beside reading where there are registrations: it sends requests when they are due, and journals
//! what happens to them. The conversation decides all of it.

use futures_util::{FutureExt, SinkExt};
use krx_protocol::conversation::Conversation;
use krx_protocol::per_issue::{RegistrationEvent, RegistrationState, WishList};
use krx_store::Event;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, warn};

use crate::config::key::InitRequest;
use crate::feed::connect::Connection;
use crate::feed::feed_status::FeedStatus;
use crate::feed::queue::{JournalStopped, Queue};

/// What is wanted of the service, and follows every reload; `None` for a service without registrations.
pub(crate) type Wanted = Option<watch::Receiver<WishList>>;

/// Waits until something else is wanted.
pub(super) async fn changed(wanted: &mut Wanted) -> WishList {
    if let Some(wanted) = wanted
        && wanted.changed().await.is_ok()
    {
        return wanted.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// Waits until a request is due.
pub(super) async fn due(request: Option<std::time::Instant>) {
    match request {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Where it is told what happens to registrations.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) feed: &'a str,
    pub(super) init: &'a InitRequest,
    pub(super) queue: &'a Queue,
    pub(super) status: &'a FeedStatus,
}

impl Told<'_> {
    /// Sends what is due, and journals what has become of the rest. A subscribe is journaled before it is sent: its id decides how the answer is read. Nothing waits
    /// for the server here. What does not fit into the buffers of a server that does not read is not sent, and becomes
    /// `unanswered`.
    pub(super) async fn ask(
        self,
        conversation: &mut dyn Conversation,
        connection: &mut Connection,
    ) -> Result<bool, JournalStopped> {
        let mut has_sent = false;
        while let Some(due) = conversation.request_due()
            && due <= Instant::now().into_std()
            && let Some(request) = conversation.request(Instant::now().into_std())
        {
            self.journal(request.events).await?;
            let _ = connection.feed(Message::text(request.text)).now_or_never();
            has_sent = true;
        }
        // What time has brought about, such as an answer that did not come, needs no request and no message to be on record.
        self.journal(conversation.take_events()).await?;
        Ok(has_sent)
    }

    /// Journals what has happened to registrations.
    pub(super) async fn journal(self, events: Vec<RegistrationEvent>) -> Result<(), JournalStopped> {
        for mut event in events {
            if let Some(detail) = event.detail_mut() {
                *detail = self.init.plain(detail);
            }
            self.log(&event);
            self.status.registration(&event);
            self.queue.event(Event::Registration(event)).await?;
        }
        Ok(())
    }

    fn log(self, event: &RegistrationEvent) {
        let RegistrationEvent::State {
            pair, state, detail, ..
        } = event
        else {
            return;
        };
        let feed = self.feed;
        if !self.status.is_news(pair, *state) {
            debug!(%feed, %pair, %state, detail, "a registration");
            return;
        }
        match state {
            RegistrationState::Refused => warn!(%feed, %pair, detail, "the server refuses a registration"),
            RegistrationState::Unanswered => {
                warn!(%feed, %pair, "the server does not answer a registration; it is tried again");
            }
            RegistrationState::Silent => {
                warn!(%feed, %pair, detail, "a registration brings nothing any more; it is made again");
            }
            RegistrationState::Requested | RegistrationState::Active => {
                debug!(%feed, %pair, %state, "a registration");
            }
        }
    }
}
