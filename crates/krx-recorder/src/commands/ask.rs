//! One request to the status port of a running recorder.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::process::exit::Failure;

/// A recorder answers within milliseconds, even while its disk hangs.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A normal day's answer has 20 kB; a day on which the connection kept breaking has some megabytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What is said at `address` under a path, such as `/status.json`.
///
/// # Errors
/// [`Failure::Unavailable`], with what to check.
pub(super) async fn ask(address: SocketAddr, path: &'static str) -> Result<Bytes, Failure> {
    let answer = match timeout(ANSWER_MAX, get(address, path)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
    };
    answer.map_err(|why| {
        Failure::Unavailable(format!(
            "no recorder answers at {address}: {why}; is it running (systemctl status krx-recorder), and is this the \
             status.listen address of its configuration?"
        ))
    })
}

async fn get(
    address: SocketAddr,
    path: &'static str,
) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asking = async move {
        let request = Request::get(path)
            .header(header::HOST, address.to_string())
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answers with {status}").into());
        }
        Ok(Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await?
            .to_bytes())
    };
    // The connection ends when no more is asked of it; if it breaks, the answer's error says so.
    let (answer, _) = tokio::join!(asking, connection);
    answer
}
