//! The decoder of a feed's frames, by what its journal says.

use crate::catalog;
use crate::error::StoreError;
use crate::event::Event;
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::service::{FULL_MARKET, FrameDecoder, Service};

/// A feed's service, and the decoder of its frames. The journal names the service, and what else decides how its frames
/// are read: it is given every event, and needs nothing but the journal.
pub(crate) struct Decoding {
    pub(crate) service: &'static Service,
    pub(crate) decoder: Box<dyn FrameDecoder>,
}

impl Default for Decoding {
    fn default() -> Self {
        Self::of(&FULL_MARKET)
    }
}

impl Decoding {
    fn of(service: &'static Service) -> Self {
        Self {
            service,
            decoder: (service.decoder)(),
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
            *self = Self::of(catalog::service_named(data, feed, service)?);
        }
        self.decoder.event(event);
        Ok(())
    }
}
