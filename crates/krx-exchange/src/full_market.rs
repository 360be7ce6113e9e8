//! The conversation of the full-market service: a market's day, without being asked for.

use std::time::Instant;

use crate::conversation::{Act, Conversation};
use crate::cursor::Cursor;
use crate::script::Script;

impl Conversation for Cursor {
    fn begin_session(&mut self, opened: Instant, now: Instant) {
        Cursor::begin_session(self, opened, now);
    }

    fn act(&mut self, script: &mut dyn Script, _sent: u64, now: Instant) -> Act {
        match script.ahead() {
            Some(message) => Act::Send(message),
            None => self.step(now).into(),
        }
    }

    fn pass_unheard(&mut self, now: Instant) -> Act {
        self.skip_missed(now).into()
    }
}
