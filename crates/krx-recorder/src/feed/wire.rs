//! A connection's bytes on their way to the WebSocket library: limits how many are read at a time, and tracks whether a
//! message is under way.
//!
//! tungstenite keeps reading within one call until it has a whole message, and says nothing about the part it has. A
//! server that sends empty fragments forever would keep that call busy: tokio's own budget only ends it after 128
//! reads, which can contain millions of fragments, and one thread serves both feeds and all timers. So reading pauses
//! after [`BYTES_AT_A_TIME`] until the others have had their turn, and the frame headers are tracked as they pass.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How much is read without a pause: two milliseconds of work if all of it is empty fragments.
pub(super) const BYTES_AT_A_TIME: usize = 64 << 10;

/// The byte stream below a WebSocket.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    frames: Frames,
    open_since: Option<Instant>,
    /// Bytes read since the last pause.
    passed: usize,
}

impl<S> Wire<S> {
    /// A connection after its WebSocket handshake, along with which `read` has already arrived.
    pub fn new(stream: S, read: &[u8]) -> Self {
        let mut frames = Frames::default();
        frames.pass(read);
        Self {
            stream,
            open_since: frames.message_open.then(Instant::now),
            frames,
            passed: 0,
        }
    }

    /// Since when a fragmented message has been under way.
    pub fn message_open_since(&self) -> Option<Instant> {
        self.open_since
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.passed >= BYTES_AT_A_TIME {
            this.passed = 0;
            // Polled once, this asks to be woken after all others, including sockets and timers, have had their turn.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        match &read {
            Poll::Pending => this.passed = 0,
            Poll::Ready(_) => {
                let (bytes, ended) = (&buf.filled()[before..], this.frames.ended);
                this.passed += bytes.len();
                this.frames.pass(bytes);
                // Each message has its own start, even if it begins in the same bytes in which another ends.
                let same = this.frames.ended == ended;
                this.open_since = this
                    .frames
                    .message_open
                    .then(|| this.open_since.filter(|_| same).unwrap_or_else(Instant::now));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// The longest header of a frame: two bytes, a length of eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;

/// The position in the stream of frames. It follows headers but validates nothing: tungstenite does that.
#[derive(Clone, Copy, Debug)]
struct Frames {
    place: Place,
    /// A fragment has arrived that was not its message's last.
    message_open: bool,
    /// Fragmented messages that have ended.
    ended: u64,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In a frame's header, of which `known` bytes have arrived.
    Header {
        bytes: [u8; HEADER_BYTES_MAX],
        known: usize,
    },
    /// In a payload, with this many bytes left.
    Payload(u64),
}

const NEXT_HEADER: Place = Place::Header {
    bytes: [0; HEADER_BYTES_MAX],
    known: 0,
};

impl Default for Frames {
    fn default() -> Self {
        Self {
            place: NEXT_HEADER,
            message_open: false,
            ended: 0,
        }
    }
}

impl Frames {
    fn pass(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            match &mut self.place {
                Place::Payload(left) => {
                    let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    bytes = &bytes[here..];
                    *left -= here as u64;
                    if *left == 0 {
                        self.place = NEXT_HEADER;
                    }
                    continue;
                }
                Place::Header { bytes: header, known } => {
                    header[*known] = *first;
                    *known += 1;
                    if let Some(payload) = payload_len(&header[..*known]) {
                        let first = header[0];
                        self.place = if payload == 0 {
                            NEXT_HEADER
                        } else {
                            Place::Payload(payload)
                        };
                        self.begin_frame(first);
                    }
                }
            }
            bytes = rest;
        }
    }

    /// A frame begins with this byte: FIN, three reserved bits, and the opcode. Opcodes from eight up are control
    /// frames, which may appear between the fragments of a message.
    fn begin_frame(&mut self, first: u8) {
        let (last, control) = (first & 0x80 != 0, first & 0x08 != 0);
        if control {
            return;
        }
        if last && self.message_open {
            self.ended += 1;
        }
        self.message_open = !last;
    }
}

/// The length of the payload that follows `header`, once the header is complete (RFC 6455, 5.2).
fn payload_len(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let (len, len_bytes) = match second & 0x7f {
        126 => (
            header
                .get(2..4)
                .map(|len| len.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
            2,
        ),
        127 => (
            header
                .get(2..10)
                .map(|len| len.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
            8,
        ),
        len => (Some(u64::from(len)), 0),
    };
    len.filter(|_| header.len() == 2 + len_bytes + mask_bytes)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    fn frame(first: u8, len: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match len {
            0..126 => bytes.push(mask | u8::try_from(len).unwrap()),
            126..65_536 => {
                bytes.push(mask | 126);
                bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0; len + if masked { 4 } else { 0 }]);
        bytes
    }

    #[test]
    fn a_message_is_open_from_its_first_fragment_to_its_last() {
        let mut frames = Frames::default();
        let steps = [
            (0x81, 5, false),
            (0x01, 3, true),
            (0x89, 2, true),
            (0x00, 0, true),
            (0x80, 0, false),
            (0x02, 70_000, true),
            (0x8a, 0, true),
            (0x80, 200, false),
        ];
        for (first, len, open) in steps {
            frames.pass(&frame(first, len, false));
            assert_eq!(frames.message_open, open, "{first:#x}");
        }
        assert_eq!(frames.ended, 2);
        // Even an absurd length must not overflow anything.
        frames.pass(&[0x01, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2]);
        assert!(frames.message_open);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_split(
            sent in prop::collection::vec((any::<u8>(), 0_usize..300, any::<bool>()), 0..20),
            cuts in prop::collection::vec(1_usize..50, 1..50),
        ) {
            let mut bytes = Vec::new();
            for (first, len, masked) in &sent {
                bytes.extend(frame(*first, *len, *masked));
            }
            let (mut whole, mut cut) = (Frames::default(), Frames::default());
            whole.pass(&bytes);
            let (mut left, mut sizes) = (&bytes[..], cuts.iter().cycle());
            while !left.is_empty() {
                let (now, later) = left.split_at((*sizes.next().unwrap()).min(left.len()));
                cut.pass(now);
                left = later;
            }
            prop_assert_eq!((whole.message_open, whole.ended), (cut.message_open, cut.ended));
            let expected = sent.iter().rfind(|(first, ..)| first & 0x08 == 0).is_some_and(|(first, ..)| first & 0x80 == 0);
            prop_assert_eq!(whole.message_open, expected);
        }
    }

    /// A server that always has another fragment ready.
    struct Endless {
        head: Vec<u8>,
        read: usize,
    }

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            if this.head.is_empty() {
                // An empty fragment is two zero bytes.
                buf.put_slice(&vec![0; buf.remaining() & !1]);
            } else {
                buf.put_slice(&this.head);
                this.head.clear();
            }
            this.read += buf.filled().len();
            assert!(this.read <= 3 * BYTES_AT_A_TIME, "read on without a pause");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn i5_a_poll_ends_even_if_fragments_are_always_ready() {
        let wire = Wire::new(
            Endless {
                head: vec![0x01, 0],
                read: 0,
            },
            &[],
        );
        let mut socket = WebSocketStream::from_raw_socket(wire, Role::Client, None).await;
        let mut polls = 0;
        while polls < 10 {
            let polled = std::future::poll_fn(|cx| Poll::Ready(socket.poll_next_unpin(cx).is_ready())).await;
            assert!(!polled, "no message ends");
            socket.get_mut().stream.read = 0;
            polls += 1;
        }
        assert!(socket.get_ref().message_open_since().is_some());
    }

    #[tokio::test]
    async fn it_knows_since_when_a_message_is_open() {
        let (mut server, client) = tokio::io::duplex(1 << 20);
        let wire = Wire::new(client, &[]);
        let mut socket = WebSocketStream::from_raw_socket(wire, Role::Client, None).await;
        let before = Instant::now();
        server.write_all(&[0x01, 1, b'[', 0x89, 0]).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Ping("".into()));
        let open = socket.get_ref().message_open_since().unwrap();
        assert!(open >= before);
        server.write_all(&[0x80, 1, b']']).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("[]"));
        assert_eq!(socket.get_ref().message_open_since(), None);
    }
}
