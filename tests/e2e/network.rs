//! Networks as they exist: intermediaries with their own answers, names with several addresses, resolvers that hang,
//! proxies, and private authorities.

use std::fs;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use krx_harness::tree::files_under;
use krx_harness::{Mode, RecorderConfig, Simulator, compare};
use krx_tests::hostile::{HostileServer, Peer, TEXT, frame};
use krx_tests::proxy::Proxy;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};

const WAIT_MAX: Duration = Duration::from_secs(60);

/// One market, and no waiting between sessions.
const ONE_FEED: &str = "[connection]\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\n\n\
    [[feed]]\nmarket = \"KOSPI\"\npath = \"/ws_ksp\"\n";

/// A name that no resolver knows, so that only the test's own means lead to it.
const NAME: &str = "exchange.test";

/// Each of these is a legal answer to the handshake (RFC 9110, 7.6.1, 15.2; RFC 6455, 4.1).
#[test]
fn i1_each_legal_answer_opens_a_session() {
    const ANSWERS: [(&str, &str); 6] = [
        ("", "Connection: keep-alive, Upgrade\r\n"),
        ("", "Connection: keep-alive\r\nConnection: upgrade\r\n"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "Connection: Upgrade\r\n"),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
            "Connection: Upgrade\r\n",
        ),
        (
            "",
            "Connection:\tUpgrade \r\nVia: 1.1 squid\r\nX-Cache: MISS\r\nDate: Fri, 27 Nov 2026 00:00:00 GMT\r\n",
        ),
        ("", "connection: UPGRADE,\r\n"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = HostileServer::start(|index, tcp| {
        let serve = || -> std::io::Result<()> {
            let mut peer = Peer::plain(tcp.try_clone()?)?;
            let (_, accept) = peer.request()?;
            let (before, headers) = ANSWERS.get(index).copied().unwrap_or(ANSWERS[0]);
            let head = format!(
                "{before}HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n{headers}Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let code = 100_000 + index;
            let text = format!(r#"[{{"isuSrtCd":"{code}","trdPrc":"81000","trdVol":"5","trdTm":"14340400"}}]"#);
            if index % 2 == 0 {
                // Head and first message in one packet.
                let both = [head.as_bytes(), &frame(TEXT, text.as_bytes())].concat();
                peer.send(&both)?;
                peer.frame()?;
            } else {
                peer.send(head.as_bytes())?;
                peer.frame()?;
                peer.send(&frame(TEXT, text.as_bytes()))?;
            }
            peer.delivered()?;
            if index + 1 == ANSWERS.len() { peer.live() } else { Ok(()) }
        };
        // A client that leaves is not the server's failure.
        let _ = serve();
    })
    .unwrap();
    let mut config = RecorderConfig::new(folder.path(), &format!("ws://127.0.0.1:{}", server.port));
    config.more = ONE_FEED.to_owned();
    let mut recorder = config.start().unwrap();
    recorder
        .wait_for_log("INFO connected ", ANSWERS.len(), WAIT_MAX)
        .unwrap();
    krx_harness::process::wait_until(WAIT_MAX, "all six messages are exported", || {
        Ok(codes(&config.data_dir) == ANSWERS.len())
    })
    .unwrap();
    recorder.stop().unwrap();
    let log = recorder.log().unwrap();
    assert!(!log.contains("not connected"), "{log}");
    assert_eq!(server.accepted().len(), ANSWERS.len());
}

/// Rows of the trades files.
fn codes(data_dir: &Path) -> usize {
    let files = files_under(&data_dir.join("trades")).unwrap_or_default();
    let rows = files.iter().filter_map(|file| {
        let file = fs::File::open(file).ok()?;
        let reader = parquet::file::reader::SerializedFileReader::new(file).ok()?;
        use parquet::file::reader::FileReader;
        usize::try_from(reader.metadata().file_metadata().num_rows()).ok()
    });
    rows.sum()
}

/// Files of `/etc` as the test needs them, for the recorder only. `None` where private namespaces are not allowed.
fn own_etc(folder: &Path, files: &[(&str, &str)]) -> Option<Vec<String>> {
    let mut script = String::new();
    for (name, text) in files {
        let ours = folder.join(name);
        fs::write(&ours, text).unwrap();
        script.push_str(&format!("mount --bind '{}' /etc/{name} && ", ours.display()));
    }
    let wrapper = |then: &str| {
        let script = format!("{script}{then}");
        let words = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        words.map(str::to_owned).to_vec()
    };
    let words = wrapper("true");
    let tried = Command::new(&words[0]).args(&words[1..]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: it takes root to give a process an /etc of its own");
        return None;
    }
    Some(wrapper("exec \"$@\""))
}

/// A listener whose queue is full: the kernel drops each SYN.
fn swallowing(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let mut taken = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        taken.push(stream);
        assert!(taken.len() < 10, "it still takes connections");
    }
    (socket.into(), taken)
}

/// An exchange that answers at the second address of [`NAME`], the first address at the same port, and a recorder's
/// configuration for it. `None` where a process cannot have its own `/etc`.
fn at_the_second_address(folder: &Path) -> Option<(Simulator, [SocketAddr; 2], RecorderConfig)> {
    // The resolver puts the address closer to the local one first (RFC 6724).
    let hosts = "127.0.0.1 exchange.test\n127.0.0.2 exchange.test\n";
    let wrapper = own_etc(folder, &[("hosts", hosts)])?;
    let simulator = Simulator::start(folder, &["--rate", "2000"]).unwrap();
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let second = listener.local_addr().unwrap();
    let first = SocketAddr::from(([127, 0, 0, 1], second.port()));
    forward(listener, simulator.port);
    let mut config = RecorderConfig::new(folder, &format!("ws://{NAME}:{}", second.port()));
    config.koscom = "allow_plaintext = true\n".to_owned();
    config.wrapper = wrapper;
    Some((simulator, [first, second], config))
}

#[test]
fn an_address_that_swallows_packets_is_passed_over_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut simulator, [dead, good], config)) = at_the_second_address(folder.path()) else {
        return;
    };
    let _dead = swallowing(dead);
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, WAIT_MAX).unwrap();
    let log = recorder.log().unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    assert!(!log.contains("not connected"), "{log}");
    let address = format!("address={good}");
    for words in [
        "connected to one of several addresses",
        &address,
        &format!("{dead}: no answer yet"),
    ] {
        assert!(log.contains(words), "{words:?} in\n{log}");
    }
}

#[test]
fn check_tries_the_other_address_after_one_that_opens_no_session() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut simulator, [broken, _], config)) = at_the_second_address(folder.path()) else {
        return;
    };
    // Nothing listens on port 1: each connection is accepted, and ended at once.
    forward(TcpListener::bind(broken).unwrap(), 1);
    let checked = config.run_to_end("check", &[], WAIT_MAX).unwrap();
    simulator.stop().unwrap();
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
}

/// Connects everything to a port of 127.0.0.1. The threads end with the connections, and with the test.
fn forward(listener: TcpListener, to_port: u16) {
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", to_port)) else {
                continue;
            };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
}

#[test]
fn all_addresses_are_named_when_none_answers() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = "127.0.0.1 exchange.test\n::1 exchange.test\n127.0.0.2 exchange.test\n";
    let Some(wrapper) = own_etc(folder.path(), &[("hosts", hosts)]) else {
        return;
    };
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _dead = swallowing(dead);
    let mut config = RecorderConfig::new(folder.path(), &format!("wss://{NAME}:{}", dead.port()));
    config.more = "[connection]\nconnect_timeout = \"1s\"\n".to_owned();
    config.wrapper = wrapper;
    let checked = config.run_to_end("check", &[], WAIT_MAX).unwrap();
    assert_eq!(checked.code, Some(69), "{}", checked.stdout);
    let said = &checked.stdout;
    for words in [
        format!("no session within 1s: still waiting for a TCP connection to {dead} ("),
        format!("127.0.0.2:{}: Connection refused", dead.port()),
        format!("[::1]:{}: ", dead.port()),
    ] {
        assert!(said.contains(&words), "{words:?} in\n{said}");
    }
}

#[test]
fn a_resolver_that_hangs_is_named_and_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    // Port 53 of a local address: it accepts questions, and answers none.
    let Ok(_silent) = UdpSocket::bind("127.0.0.77:53") else {
        eprintln!("skipped: it takes root to listen on port 53");
        return;
    };
    let resolv = "nameserver 127.0.0.77\noptions timeout:30 attempts:5\n";
    let nsswitch = "hosts: dns\n";
    let files = [("resolv.conf", resolv), ("nsswitch.conf", nsswitch)];
    let Some(wrapper) = own_etc(folder.path(), &files) else {
        return;
    };
    let mut config = RecorderConfig::new(folder.path(), &format!("wss://{NAME}"));
    config.more = "[connection]\nconnect_timeout = \"1s\"\n".to_owned();
    config.wrapper = wrapper;
    let mut recorder = config.start().unwrap();
    let words = "no session within 1s: still waiting for the addresses of exchange.test";
    recorder.wait_for_log(words, 2, WAIT_MAX).unwrap();
    let asked = Instant::now();
    recorder.stop().unwrap();
    let took = asked.elapsed();
    assert!(
        took < Duration::from_secs(25),
        "a resolver that waits for 30 s held up the end for {took:?}"
    );
    config.more.clear();
    let (asked, checked) = (Instant::now(), config.run_to_end("check", &[], WAIT_MAX).unwrap());
    assert_eq!(checked.code, Some(69), "{}", checked.stdout);
    assert!(
        checked.stdout.contains("still waiting for the addresses"),
        "{}",
        checked.stdout
    );
    assert!(asked.elapsed() < Duration::from_secs(28), "{:?}", asked.elapsed());
}

/// A simulated exchange with the name [`NAME`], and the certificate file of its private authority.
fn exchange(folder: &Path) -> (Simulator, PathBuf) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let [authority, certificate, private] =
        ["authority.pem", "exchange.pem", "exchange.key"].map(|name| folder.join(name));
    fs::write(&authority, issuer.pem()).unwrap();
    fs::write(&certificate, leaf.pem()).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    let [certificate, private] = [&certificate, &private].map(|path| path.to_str().unwrap());
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "50000",
        "--tls-cert",
        certificate,
        "--tls-key",
        private,
    ];
    (Simulator::start(folder, &arguments).unwrap(), authority)
}

/// `Basic` of `user:open sesame`, and the password itself: neither may appear anywhere that people look.
const AUTHORIZATION: &str = "Basic dXNlcjpvcGVuIHNlc2FtZQ==";
const SECRETS: [&str; 3] = ["open sesame", "open%20sesame", "dXNlcjpvcGVuIHNlc2FtZQ"];

fn holds_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} has the proxy's password:\n{text}");
    }
}

#[test]
fn i1_i7_a_day_is_recorded_through_a_proxy_with_a_private_authority() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, authority) = exchange(folder.path());
    let proxy = Proxy::start(simulator.port, Some(AUTHORIZATION)).unwrap();
    let credentials = folder.path().join("proxy-credentials");
    fs::write(&credentials, "user:wrong\n").unwrap();
    let mut config = RecorderConfig::new(folder.path(), &format!("wss://{NAME}"));
    config.more = format!(
        "[connection]\nproxy = \"http://localhost:{}\"\nproxy_credentials_file = \"{}\"\nca_file = \"{}\"\n",
        proxy.port,
        credentials.display(),
        authority.display()
    );
    let checked = config.run_to_end("check", &[], WAIT_MAX).unwrap();
    assert_eq!(checked.code, Some(69), "{}", checked.stdout);
    for words in [
        "HTTP 407",
        "it rejects this user and password, see connection.proxy_credentials_file",
        "(connection.proxy)",
    ] {
        assert!(checked.stdout.contains(words), "{words:?} in\n{}", checked.stdout);
    }
    for secret in ["wrong", "dXNlcjp3cm9uZw"] {
        assert!(!checked.stdout.contains(secret), "{}", checked.stdout);
    }
    assert!(
        checked.stdout.contains("who may you be? Basic (the password)"),
        "{}",
        checked.stdout
    );
    fs::write(&credentials, "\u{feff}user:open sesame\r\n").unwrap();
    // Without the authority, nothing is sent, and the message says what is missing.
    let with_authority = config.more.clone();
    config.more = config
        .more
        .lines()
        .filter(|line| !line.starts_with("ca_file"))
        .collect::<Vec<_>>()
        .join("\n");
    let checked = config.run_to_end("check", &[], WAIT_MAX).unwrap();
    assert_eq!(checked.code, Some(69), "{}", checked.stdout);
    assert!(
        checked.stdout.contains("into connection.ca_file"),
        "{}",
        checked.stdout
    );
    holds_no_secret("check", &checked.stdout);
    config.more = with_authority;
    let mut recorder = config.start().unwrap();
    simulator.finish_day(&mut recorder, 2, WAIT_MAX).unwrap();
    recorder.stop().unwrap();
    assert!(
        compare(&simulator.ledger, &config.data_dir, Mode::Exact)
            .unwrap()
            .trades()
            > 40_000
    );
    assert!(
        proxy.asked().iter().all(|asked| *asked == format!("{NAME}:443")),
        "{:?}",
        proxy.asked()
    );
    let log = recorder.log().unwrap();
    assert!(log.contains("connecting through a proxy"), "{log}");
    holds_no_secret("the log", &log);
}

#[test]
fn i7_the_usual_variables_name_a_proxy_and_no_proxy_is_passed_over_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, authority) = exchange(folder.path());
    let proxy = Proxy::start(simulator.port, Some(AUTHORIZATION)).unwrap();
    let mut config = RecorderConfig::new(folder.path(), &format!("wss://{NAME}"));
    config.more = format!(
        "[connection]\nconnect_timeout = \"30s\"\nca_file = \"{}\"\n",
        authority.display()
    );
    let set = |name: &str, value: &str| (name.to_owned(), PathBuf::from(value));
    let url = format!("http://user:open%20sesame@127.0.0.1:{}", proxy.port);
    config.variables = vec![set("https_proxy", &url)];
    let checked = config.run_to_end("check", &[], WAIT_MAX).unwrap();
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains("($https_proxy)"), "{}", checked.stdout);
    holds_no_secret("check", &format!("{}{}", checked.stdout, checked.stderr));
    assert_eq!(proxy.asked().len(), 2);
    // One that is skipped.
    config.variables.push(set("NO_PROXY", "localhost,.test"));
    let checked = config.run_to_end("check", &[], WAIT_MAX).unwrap();
    assert_eq!(checked.code, Some(69), "{}", checked.stdout);
    let words = "without a proxy: $https_proxy is set, but $NO_PROXY excludes exchange.test";
    assert!(checked.stdout.contains(words), "{}", checked.stdout);
    assert_eq!(proxy.asked().len(), 2);
    // One that cannot be used.
    config.variables = vec![set("ALL_PROXY", "socks5://user:open%20sesame@127.0.0.1:1080")];
    for command in ["check", "run"] {
        let done = config.run_to_end(command, &[], WAIT_MAX).unwrap();
        let said = format!("{}{}", done.stdout, done.stderr);
        assert_eq!(done.code, Some(78), "{command}: {said}");
        assert!(said.contains("$ALL_PROXY: names a socks5:// proxy"), "{said}");
        holds_no_secret(command, &said);
    }
    simulator.stop().unwrap();
}
