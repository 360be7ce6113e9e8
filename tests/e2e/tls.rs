//! Over TLS: what a trusted server sends is recorded, and an untrusted server is sent nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use krx_harness::tree::files_under;
use krx_harness::{Mode, RecorderConfig, Simulator, compare};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// A test authority; its certificate is written to `folder`.
fn authority(folder: &Path, name: &str) -> (CertifiedIssuer<'static, KeyPair>, PathBuf) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = folder.join(format!("{name}.pem"));
    fs::write(&path, issuer.pem()).unwrap();
    (issuer, path)
}

fn simulator(folder: &Path) -> (Simulator, PathBuf) {
    let (issuer, trusted) = authority(folder, "authority");
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let [certificate, private] = ["localhost.pem", "localhost.key"].map(|name| folder.join(name));
    fs::write(&certificate, leaf.pem()).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "100000",
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        private.to_str().unwrap(),
    ];
    let simulator = Simulator::start(folder, &arguments).unwrap();
    assert!(simulator.url.starts_with("wss://"), "{}", simulator.url);
    (simulator, trusted)
}

fn config(folder: &Path, port: u16, trusted: PathBuf) -> RecorderConfig {
    let mut config = RecorderConfig::new(folder, &format!("wss://localhost:{port}"));
    config.variables.push(("SSL_CERT_FILE".to_owned(), trusted));
    config
}

#[test]
fn i1_a_trusted_server_is_recorded_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, trusted) = simulator(folder.path());
    let config = config(folder.path(), simulator.port, trusted);
    let mut recorder = config.start().unwrap();
    simulator
        .finish_day(&mut recorder, 2, Duration::from_secs(60))
        .unwrap();
    recorder.stop().unwrap();
    let report = compare(&simulator.ledger, &config.data_dir, Mode::Exact).unwrap();
    println!("{report}");
    assert!(report.trades() > 80_000);
}

#[test]
fn i7_a_server_of_an_unknown_authority_is_not_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, _) = simulator(folder.path());
    let (_, other) = authority(folder.path(), "another");
    let config = config(folder.path(), simulator.port, other);
    let mut recorder = config.start().unwrap();
    recorder
        .wait_for_log("not connected", 2, Duration::from_secs(20))
        .unwrap();
    let log = recorder.log().unwrap();
    assert!(
        log.contains("UnknownIssuer") || log.contains("certificate"),
        "{log}"
    );
    assert!(!log.contains("INFO connected "), "{log}");
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    assert_eq!(
        fs::read(&simulator.ledger).unwrap(),
        b"",
        "nothing was sent, since no key was"
    );
    let files = files_under(&config.data_dir.join("trades")).unwrap();
    assert!(files.is_empty(), "{files:?}");
}
