//! Services: the conversation with the server decides which datasets a feed has.
//!
//! A [`Service`] names its datasets and makes their decoder. To add a dataset, write its [`DatasetSpec`], give it to its
//! service, and have the decoder fill it.
//!
//! [`DatasetSpec`]: crate::dataset::DatasetSpec

mod full_market;
mod spec;

pub use full_market::{FULL_MARKET, TRADES, TradeColumns};
pub use spec::{FrameDecoder, FrameFacts, FrameRows, Rejects, Service};

/// All services.
pub static SERVICES: [&Service; 1] = [&FULL_MARKET];
