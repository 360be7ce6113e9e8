//! A server of the per-issue service that does everything wrong, and what the recorder makes of it
//! (docs/hostile-server.md).
//!
//! Each case has its own recorder and server, and all cases of a test run at the same time. The server is hostile on the
//! first connection, which ends only once the recorder has taken what it said, and good on the second.

mod answers;
mod case;
mod forgets;
mod pushes;
