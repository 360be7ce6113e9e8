//! A server that costs next to nothing: the frames lie ready on its side as WebSocket bytes.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result};
use krx_bench::Frames;
use tokio_tungstenite::tungstenite;

/// Serves until it is killed; each client gets all frames after its first message.
pub(crate) fn serve(frames: &Frames) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening on a free port")?;
    println!("ws://{}", listener.local_addr()?);
    let bytes = Arc::new(websocket_bytes(frames));
    for stream in listener.incoming() {
        let (stream, bytes) = (stream.context("accepting a client")?, Arc::clone(&bytes));
        std::thread::spawn(move || {
            if let Err(error) = serve_client(stream, &bytes) {
                eprintln!("client: {error:#}");
            }
        });
    }
    Ok(())
}

fn serve_client(stream: TcpStream, bytes: &[u8]) -> Result<()> {
    let mut client = tungstenite::accept(stream).context("handshake")?;
    client.read().context("waiting for init")?;
    client.get_mut().write_all(bytes).context("sending")?;
    while client.read().is_ok() {}
    Ok(())
}

/// Unmasked text frames (RFC 6455, section 5.2).
fn websocket_bytes(frames: &Frames) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frames.bytes() + frames.len() * 4);
    for frame in frames.iter() {
        bytes.push(0x81);
        match u16::try_from(frame.len()) {
            Ok(len) if len < 126 => bytes.push(u8::try_from(len).unwrap_or(125)),
            Ok(len) => {
                bytes.push(126);
                bytes.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                bytes.push(127);
                bytes.extend_from_slice(&(frame.len() as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(frame);
    }
    bytes
}
