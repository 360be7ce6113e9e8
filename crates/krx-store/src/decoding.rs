//! The decoder of a feed's frames, by what its journal says.

use std::sync::Arc;

use crate::catalog;
use crate::error::StoreError;
use crate::event::Event;
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::service::{FULL_MARKET, FrameDecoder, Service};
use crate::traded::Traded;

/// A feed's service, and the decoder of its frames. The journal names the service, and what else decides how its frames
/// are read: it is given every event, and needs nothing but the journal.
pub(crate) struct Decoding {
    pub(crate) service: &'static Service,
    pub(crate) decoder: Box<dyn FrameDecoder>,
    traded: Option<Arc<Traded>>,
}

impl Default for Decoding {
    fn default() -> Self {
        Self::counting(None)
    }
}

impl Decoding {
    /// One that counts the trades of watched issues, if there are any.
    pub(crate) fn counting(traded: Option<Arc<Traded>>) -> Self {
        Self::of(&FULL_MARKET, traded)
    }

    fn of(service: &'static Service, traded: Option<Arc<Traded>>) -> Self {
        let mut decoder = (service.decoder)();
        if let Some(traded) = &traded {
            decoder.count_trades(traded);
        }
        Self {
            service,
            decoder,
            traded,
        }
    }

    /// Whether an event says that the feed is of another service than it seemed.
    pub(crate) fn is_changed_by(&self, event: &Event) -> bool {
        matches!(event, Event::Segment { service, .. } if service != self.service.name)
    }

    /// Takes an event.
    ///
    /// # Errors
    /// [`StoreError::UnknownService`], when it names a service that this version does not know.
    pub(crate) fn event(&mut self, data: &DataDir, feed: &FeedName, event: &Event) -> Result<(), StoreError> {
        if let Event::Segment { service, .. } = event
            && service != self.service.name
        {
            *self = Self::of(catalog::service_named(data, feed, service)?, self.traded.take());
        }
        self.decoder.event(event);
        Ok(())
    }
}
