//! The binary: its first line, exit codes, files, and an orderly stop.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use crate::exchange::{Client, Line};
use rustix::process::{Pid, Signal, kill_process};
use tokio_tungstenite::connect_async;

fn simulator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_krx-simulator"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> (i32, Output) {
    let output = simulator(arguments).output().unwrap();
    (output.status.code().unwrap(), output)
}

fn start(arguments: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = simulator(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    (child, out, first.trim_end().to_owned())
}

fn stop(mut child: Child, signal: Signal) -> i32 {
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap().code().unwrap()
}

#[test]
fn wrong_usage_is_told_apart_from_bad_files() {
    let directory = tempfile::tempdir().unwrap();
    let issues = directory.path().join("issues.csv");
    std::fs::write(&issues, "code,market\n000210,NYSE\n").unwrap();
    let issues = issues.to_str().unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    for (arguments, code, part) in [
        (&["--colour"][..], 64, "--colour"),
        (&["--speed", "0"], 64, "a number above 0, or max"),
        (&["--speed", "2", "--rate", "5"], 64, "cannot be used with"),
        (&["--fault", "explode@1"], 64, "unknown kind"),
        (&["--listen", "0.0.0.0:0"], 64, "not a loopback address"),
        (&["--listen", busy.as_str()], 74, "choose another --listen"),
        (
            &["--listen", "127.0.0.1:0", "--ledger", "/no/such/ledger"],
            74,
            "/no/such/ledger",
        ),
        (&["--write-frames", "/no/such/frames"], 74, "/no/such/frames"),
        (&["--pushes", "tick"], 64, "--write-frames"),
        (
            &["--write-frames", "/no/such/frames", "--pushes", "tick5"],
            64,
            "the presets are tick,",
        ),
        (&["--registrations-max", "many"], 64, "--registrations-max"),
        (&["--issues", issues], 78, "line 2: market \"NYSE\""),
        (&["--issues", "/no/such/issues"], 78, "/no/such/issues"),
        (&["--tls-cert", issues, "--tls-key", issues], 78, "certificate"),
    ] {
        let (got, output) = output(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(got, code, "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
    assert_eq!(output(&["--help"]).0, 0);
    assert_eq!(output(&["--version"]).0, 0);
}

#[test]
fn frames_are_the_same_again_and_stop_where_told() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, more: &[&str]| {
        let path = directory.path().join(name);
        let arguments = [
            "--write-frames",
            path.to_str().unwrap(),
            "--trades-per-day",
            "50000",
        ];
        let (code, _) = output(&[&arguments[..], more].concat());
        assert_eq!(code, 0);
        std::fs::read_to_string(path).unwrap()
    };
    let both = write("both", &[]);
    assert_eq!(both, write("again", &[]));
    assert_ne!(both, write("seed", &["--seed", "2"]));
    let kospi = write("kospi", &["--market", "KOSPI"]);
    let kosdaq = write("kosdaq", &["--market", "KOSDAQ"]);
    assert_eq!(
        both.lines().count(),
        kospi.lines().count() + kosdaq.lines().count()
    );
    let some = write("some", &["--records", "1000"]);
    assert!(both.starts_with(&some));
    let records = some.matches("isuSrtCd").count();
    assert!((1_000..1_050).contains(&records), "{records}");

    let books = write("books", &["--pushes", "quote10,index", "--records", "500"]);
    assert_eq!(
        books,
        write("books-again", &["--pushes", "quote10,index", "--records", "500"])
    );
    assert_eq!(books.lines().count(), 500);
    let push = |preset: &str| format!(r#"{{"jsonrpc":"2.0","method":"push","params":{{"preset":"{preset}","#);
    assert!(
        books.lines().all(|line| line.starts_with(&push("quote10"))),
        "no index before nine"
    );
    let indices = write("indices", &["--pushes", "index", "--records", "500"]);
    assert!(indices.lines().all(|line| line.starts_with(&push("index"))));
}

#[tokio::test]
async fn the_first_line_says_where_and_a_signal_stops_in_order() {
    for (signal, json) in [(Signal::TERM, false), (Signal::INT, true)] {
        let directory = tempfile::tempdir().unwrap();
        let ledger = directory.path().join("ledger.jsonl");
        let mut arguments = vec![
            "--listen",
            "127.0.0.1:0",
            "--speed",
            "1",
            "--start",
            "09:10",
            "--ledger",
            ledger.to_str().unwrap(),
        ];
        arguments.extend(json.then_some("--json"));
        let (child, mut out, first) = start(&arguments);
        let url = if json {
            let event: serde_json::Value = serde_json::from_str(&first).unwrap();
            assert_eq!(event["event"], "listening");
            let port = event["port"].as_u64().unwrap();
            assert_eq!(event["url"], format!("ws://127.0.0.1:{port}"));
            event["url"].as_str().unwrap().to_owned()
        } else {
            first.strip_prefix("listening on ").unwrap().to_owned()
        };
        let mut client = Client {
            socket: connect_async(format!("{url}/ws_ksp")).await.unwrap().0,
        };
        client.init("k").await;
        let received = client.take(10).await;
        assert!(received[1].contains("\"trdTm\":\"091000"), "{}", received[1]);
        let stopped = tokio::task::spawn_blocking(move || stop(child, signal));
        client.rest().await;
        assert_eq!(stopped.await.unwrap(), 0);
        let text = std::fs::read_to_string(&ledger).unwrap();
        let lines: Vec<Line> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.len() >= received.len());
        assert!(lines.iter().zip(&received).all(|(line, text)| line.text == *text));
        assert!(lines.windows(2).all(|pair| pair[0].sent_us <= pair[1].sent_us));
        let mut told = String::new();
        out.read_to_string(&mut told).unwrap();
        let part = if json {
            r#""event":"session_ended","market":"KOSPI","session":1"#
        } else {
            "session 1 ended (stopped)"
        };
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn the_options_of_the_per_issue_service_are_heard() {
    let (child, _out, first) = start(&[
        "--listen",
        "127.0.0.1:0",
        "--start",
        "09:30",
        "--registrations-max",
        "1",
        "--per-issue-rate",
        "1000",
        "--per-issue-answers",
        "ok",
        "--leading-zeros",
        "--fault",
        "answer@3:twice",
    ]);
    let url = first.strip_prefix("listening on ").unwrap();
    let mut client = Client {
        socket: connect_async(format!("{url}/ws/")).await.unwrap().0,
    };
    client.init("k").await;
    for (id, code) in (2..).zip(["101N6000", "105N3000", "101N6000"]) {
        client.subscribe(id, "tick", code).await;
    }
    let (mut answers, mut pushes) = (Vec::new(), Vec::new());
    while answers.len() < 5 || pushes.is_empty() {
        let text = client.next().await.unwrap();
        let push = text.contains("\"push\"");
        if push {
            pushes.push(text);
        } else {
            answers.push(text);
        }
    }
    let ok = |id: u64| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"message":"ok"}}}}"#);
    assert_eq!((&answers[0], &answers[1]), (&ok(1), &ok(2)));
    assert!(answers[2].contains(r#""id":3,"error""#), "{answers:?}");
    assert_eq!((&answers[3], &answers[4]), (&ok(4), &ok(4)));
    assert!(pushes[0].contains("\"trdTm\":093"), "{pushes:?}");
    assert_eq!(stop(child, Signal::TERM), 0);

    let (child, _out, first) = start(&["--listen", "127.0.0.1:0", "--no-per-issue"]);
    let url = first.strip_prefix("listening on ").unwrap();
    let error = connect_async(format!("{url}/ws/")).await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(stop(child, Signal::TERM), 0);
}

#[test]
fn tls_is_served_with_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let (child, _out, first) = start(&[
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ]);
    let address = first.strip_prefix("listening on wss://").unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certified.cert.der().clone()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = tokio::net::TcpStream::connect(&address).await.unwrap();
        let connector = tokio_tungstenite::Connector::Rustls(std::sync::Arc::new(config));
        let (socket, _) = tokio_tungstenite::client_async_tls_with_config(
            "wss://localhost/ws_kdq",
            tcp,
            None,
            Some(connector),
        )
        .await
        .unwrap();
        let mut client = Client { socket };
        client.init("k").await;
        assert!(client.next().await.unwrap().contains("\"ok\""));
    });
    assert_eq!(stop(child, Signal::TERM), 0);
}
