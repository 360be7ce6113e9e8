//! TCP to a host that may have several addresses, some of them dead: Happy Eyeballs (RFC 8305).
//!
//! ```text
//!   203.0.113.1    SYN . . . . . . . . . . . . . . . . .   no answer
//!   2001:db8::1         SYN ── unreachable
//!   203.0.113.2               SYN ── SYN-ACK               connected, and the others are dropped
//!                  |─ 250 ms ─|  or as soon as an attempt fails
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;

use super::failure::ConnectFailure;
use super::step::Step;
use crate::config::proxy::authority;

/// How long to wait for one address before trying the next in parallel: the Connection Attempt Delay that RFC 8305
/// recommends (section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// More addresses than anybody could want to try within one `connect_timeout`.
const ADDRESSES_MAX: usize = 32;

/// A connection, and what was tried before it.
#[derive(Debug)]
pub(super) struct Dialed<S> {
    pub(super) stream: S,
    pub(super) address: SocketAddr,
    /// How many addresses the host has.
    pub(super) addresses: usize,
    /// The addresses that gave no connection, and why not; empty if the first one did.
    pub(super) missed: String,
}

/// Connects to the first address of `host` that answers. Tries `last` last, because no session could be opened there
/// the last time.
pub(super) async fn dial(
    host: &str,
    port: u16,
    last: Option<SocketAddr>,
    step: &Step,
) -> Result<Dialed<TcpStream>, ConnectFailure> {
    step.begin(format!("the addresses of {host} (is the name server working?)"));
    let found = lookup_host((host, port)).await.map_err(|error| {
        ConnectFailure::unreachable(format!(
            "looking up the addresses of {host}: {error}; check the name and /etc/resolv.conf"
        ))
    })?;
    let addresses = in_turn(found.take(ADDRESSES_MAX).collect(), last);
    race(addresses, TcpStream::connect, step).await.map_err(|missed| {
        let to = authority(host, port);
        ConnectFailure::unreachable(if missed.is_empty() {
            format!("connecting to {to}: it has no address")
        } else if missed.starts_with(&to) {
            // The host is an address, not a name.
            format!("connecting to {missed}")
        } else {
            format!("connecting to {to}: {missed}")
        })
    })
}

/// The order in which to try addresses: the resolver's (RFC 6724), but alternating between address families (RFC 8305,
/// section 4).
fn in_turn(addresses: Vec<SocketAddr>, last: Option<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else {
        return VecDeque::new();
    };
    let is_like_first = |address: &SocketAddr| address.is_ipv4() == first.is_ipv4();
    let (mut these, mut those): (VecDeque<_>, VecDeque<_>) =
        addresses.iter().copied().partition(is_like_first);
    let mut ordered = VecDeque::new();
    while !these.is_empty() || !those.is_empty() {
        ordered.extend(these.pop_front());
        ordered.extend(those.pop_front());
    }
    let mut seen = Vec::new();
    ordered.retain(|address| {
        let is_new = !seen.contains(address);
        seen.push(*address);
        is_new
    });
    if let Some(place) = ordered.iter().position(|address| Some(*address) == last) {
        ordered.rotate_left(place + 1);
    }
    ordered
}

/// Tries addresses one after the other, each in parallel with those that have not answered yet, until one does. The
/// error names all of them.
async fn race<S, F: Future<Output = io::Result<S>>>(
    mut waiting: VecDeque<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
    step: &Step,
) -> Result<Dialed<S>, String> {
    let mut attempts = FuturesUnordered::new();
    let (mut open, mut missed): (Vec<SocketAddr>, _) = (Vec::new(), String::new());
    let addresses = waiting.len();
    loop {
        if let Some(address) = waiting.pop_front() {
            open.push(address);
            let connecting = connect(address);
            attempts.push(async move { (address, connecting.await) });
        }
        step.begin(tcp_words(&open, &missed));
        let (address, result) = tokio::select! {
            Some(ended) = attempts.next() => ended,
            () = sleep(ATTEMPT_DELAY), if !waiting.is_empty() => continue,
            else => return Err(missed),
        };
        open.retain(|of| *of != address);
        match result {
            Ok(stream) => {
                for address in open {
                    note(&mut missed, address, "no answer yet");
                }
                return Ok(Dialed {
                    stream,
                    address,
                    addresses,
                    missed,
                });
            }
            Err(error) => note(&mut missed, address, &error.to_string()),
        }
    }
}

fn note(missed: &mut String, address: SocketAddr, why: &str) {
    if !missed.is_empty() {
        missed.push_str("; ");
    }
    let _ = write!(missed, "{address}: {why}");
}

fn tcp_words(open: &[SocketAddr], missed: &str) -> String {
    let open: Vec<_> = open.iter().map(ToString::to_string).collect();
    let missed = if missed.is_empty() {
        String::new()
    } else {
        format!(" ({missed})")
    };
    format!("a TCP connection to {}{missed}", open.join(", "))
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_the_address_that_failed_last_comes_last() {
        let found = addresses(&[
            "[2001:db8::1]:443",
            "[2001:db8::2]:443",
            "192.0.2.1:443",
            "[2001:db8::1]:443",
            "192.0.2.2:443",
            "192.0.2.3:443",
        ]);
        let ordered = addresses(&[
            "[2001:db8::1]:443",
            "192.0.2.1:443",
            "[2001:db8::2]:443",
            "192.0.2.2:443",
            "192.0.2.3:443",
        ]);
        assert_eq!(in_turn(found.clone(), None), ordered);
        let next = in_turn(found.clone(), Some(found[2]));
        assert_eq!(next, [&ordered[2..], &ordered[..2]].concat());
        let gone = Some("192.0.2.9:443".parse().unwrap());
        assert_eq!(in_turn(found, gone), ordered);
        assert!(in_turn(Vec::new(), None).is_empty());
    }

    /// A listener with a full backlog: the kernel drops each SYN, as a dead host does.
    async fn swallowing() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut taken = Vec::new();
        while let Ok(connected) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            taken.push(connected.unwrap());
            assert!(taken.len() < 10, "it still accepts connections");
        }
        (address, listener, taken)
    }

    #[tokio::test]
    async fn an_address_that_swallows_packets_does_not_block_the_next_one() {
        let (dead, _listener, _taken) = swallowing().await;
        let refused = {
            let listener = TcpListener::bind("[::1]:0").await;
            listener.map_or_else(
                |_| "127.0.0.1:1".parse().unwrap(),
                |listener| listener.local_addr().unwrap(),
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let step = Step::default();
        let dialed = race(VecDeque::from([dead, refused, good]), TcpStream::connect, &step)
            .await
            .unwrap();
        assert_eq!(dialed.address, good);
        assert_eq!(dialed.stream.peer_addr().unwrap(), good);
        assert!(
            dialed.missed.contains(&format!("{refused}: ")) && dialed.missed.contains("refused"),
            "{}",
            dialed.missed
        );
        assert!(
            dialed.missed.ends_with(&format!("{dead}: no answer yet")),
            "{}",
            dialed.missed
        );
    }

    #[tokio::test]
    async fn each_address_is_named_when_none_answers() {
        let refused = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let step = Step::default();
        let missed = race(
            VecDeque::from([refused(1), refused(2)]),
            TcpStream::connect,
            &step,
        )
        .await
        .unwrap_err();
        assert!(
            missed.starts_with("127.0.0.1:1: ") && missed.contains("; 127.0.0.1:2: "),
            "{missed}"
        );
        let (dead, _listener, _taken) = swallowing().await;
        let limited = tokio::time::timeout(
            Duration::from_millis(600),
            race(VecDeque::from([dead, refused(1)]), TcpStream::connect, &step),
        );
        assert!(limited.await.is_err());
        let words = step.words();
        assert!(
            words.starts_with(&format!("a TCP connection to {dead} (127.0.0.1:1: ")),
            "{words}"
        );
        assert_eq!(
            race(VecDeque::new(), TcpStream::connect, &step)
                .await
                .unwrap_err(),
            ""
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_after_a_quarter_of_a_second_or_a_failure() {
        let begun = tokio::time::Instant::now();
        let at = std::sync::Mutex::new(Vec::new());
        let addresses = addresses(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1"]);
        let connect = |address: SocketAddr| {
            let order = address.to_string().as_bytes()[8] - b'0';
            at.lock().unwrap().push((order, begun.elapsed().as_millis()));
            async move {
                match order {
                    2 => Err(io::Error::other("refused")),
                    4 => {
                        sleep(Duration::from_millis(100)).await;
                        Ok(order)
                    }
                    _ => std::future::pending().await,
                }
            }
        };
        let dialed = race(addresses.into(), connect, &Step::default()).await.unwrap();
        assert_eq!(dialed.stream, 4);
        assert_eq!(*at.lock().unwrap(), [(1, 0), (2, 250), (3, 250), (4, 500)]);
    }
}
