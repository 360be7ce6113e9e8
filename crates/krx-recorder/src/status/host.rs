//! The names by which this machine may be addressed. Otherwise a browser would take a page from elsewhere, whose name
//! an attacker points to 127.0.0.1, for ours, and it could read what is shown here.

use std::net::IpAddr;

/// Whether a `Host` header, or the authority of a request's target, names this machine in a way that nobody else can:
/// `localhost` or a loopback address, with any port or none.
pub(super) fn is_ours(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return is_loopback(address) && is_port(port);
    }
    let (name, port) = match host.find(':') {
        Some(colon) => host.split_at(colon),
        None => (host, ""),
    };
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || (is_loopback(name) && !name.contains(':')))
}

/// `127.0.0.1`, `::1`, and the rest of 127/8, on which the status may listen too.
fn is_loopback(address: &str) -> bool {
    address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.2:1",
            "[::1]",
            "[::1]:9464",
        ] {
            assert!(is_ours(host), "{host}");
        }
        for host in [
            "",
            ":9464",
            "example.com",
            "localhost.example.com",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "localhost:+80",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "[::1]x",
            "::1",
            "[127.0.0.1]x",
            "127.0.0.1:80:80",
            "user@localhost",
            "localhost ",
        ] {
            assert!(!is_ours(host), "{host}");
        }
    }
}
