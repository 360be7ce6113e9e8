//! `krx-recorder status`: asks the running recorder, and prints its answer.

mod sparkline;
mod table;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

use super::ask::ask;
use crate::process::exit::Failure;
use crate::process::out;
use crate::status::Snapshot;

/// Asks at `address`, and prints the answer: as a table, or unchanged with `json`.
///
/// # Errors
/// [`Failure::Unavailable`], if nobody answers there, or the answer is not a recorder's.
pub(super) async fn print(address: SocketAddr, json: bool) -> Result<(), Failure> {
    let answer = ask(address, "/status.json").await?;
    let text = if json {
        String::from_utf8_lossy(&answer).into_owned() + "\n"
    } else {
        let snapshot: Snapshot = serde_json::from_slice(&answer).map_err(|error| {
            Failure::Unavailable(format!(
                "what answers at {address} is not a recorder of this version ({error}); use --json to see its answer"
            ))
        })?;
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        table::table(&snapshot, colours)
    };
    out::print("printing the status", |out| out.write_all(text.as_bytes()))
}
