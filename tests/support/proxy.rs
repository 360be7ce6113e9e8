//! An HTTP proxy that makes tunnels (CONNECT), such as companies use.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use crate::hostile::HostileServer;

/// A proxy on loopback, through which every name leads to one port.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
    /// Dropping it ends the proxy's connections.
    _server: HostileServer,
}

#[derive(Debug)]
struct Shared {
    to_port: u16,
    /// The required value of `Proxy-Authorization`, if any.
    authorization: Option<String>,
    asked: Mutex<Vec<String>>,
}

impl Proxy {
    /// Connects each client that presents `authorization` to `to_port` on loopback.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(to_port: u16, authorization: Option<&str>) -> Result<Self> {
        let shared = Arc::new(Shared {
            to_port,
            authorization: authorization.map(str::to_owned),
            asked: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        let server = HostileServer::start(move |_, client| {
            // A client that leaves is not the proxy's failure.
            let _ = ours.serve(client);
        })?;
        Ok(Self {
            port: server.port,
            shared,
            _server: server,
        })
    }

    /// The targets that it was asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut words = head.split(' ');
        if words.next() != Some("CONNECT") {
            return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
        }
        let target = words.next().unwrap_or_default().to_owned();
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(target);
        let shown = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then(|| value.trim().to_owned())
        });
        if self.authorization.is_some() && self.authorization != shown {
            // A proxy may well repeat what it was given.
            let body = format!("who may you be? {}", shown.unwrap_or_default());
            let refusal = format!(
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"edge\"\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(refusal.as_bytes());
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.to_port))?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 edge\r\n\r\n")?;
        let (mut from_client, mut to_client) = (client.try_clone()?, client);
        let mut to_server = server.try_clone()?;
        let up = thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
        let _ = up.join();
        Ok(())
    }
}
