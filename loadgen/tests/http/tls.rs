//! TLS: who is believed, and what is said where nobody is.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::cluster::How;
use loadgen::control::at::{ControlAt, PATIENCE, RayControlAt};
use loadgen::control::ray::RayNames;
use loadgen::http::{HttpOptions, ProxyAddress, Trust};
use loadgen::sample::Outcome;
use loadgen::target::TargetEvent;
use loadgen::target::http::{HttpTarget, OpenError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::client::{Client, refused, target};
use crate::server::{Act, Asked, Server, full};

/// What a server shows, and the file that makes one believe it.
struct Identity {
    shown: Arc<CertifiedKey>,
    pem: tempfile::NamedTempFile,
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair, trusted: &str) -> Self {
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        let shown = CertifiedKey::from_der(vec![certificate.der().clone()], key, &ring::default_provider());
        let pem = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(pem.path(), trusted).expect("room");
        Self { shown: Arc::new(shown.expect("a certificate")), pem }
    }

    /// Signed by an authority of its own.
    fn signed(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        Self::new(&certificate, &key, &authority.as_ref().pem())
    }

    /// Signed by itself, as an authority: what `openssl req -x509` makes.
    fn own(name: &str) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self::new(&certificate, &key, &certificate.pem())
    }

    fn trust(&self) -> HttpOptions {
        HttpOptions { trust: Trust::read(self.pem.path()).expect("a certificate"), ..HttpOptions::default() }
    }

    fn server(&self) -> Server {
        self.and_later(self).server(full)
    }

    fn and_later(&self, later: &Self) -> Shown {
        Shown { first: Arc::clone(&self.shown), later: Arc::clone(&later.shown), count: AtomicUsize::new(0) }
    }
}

/// Shows one certificate on its first connection, and another one later.
#[derive(Debug)]
struct Shown {
    first: Arc<CertifiedKey>,
    later: Arc<CertifiedKey>,
    count: AtomicUsize,
}

impl Shown {
    fn server(self, script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Server {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(self));
        // A connection that is resumed shows no certificate.
        config.send_tls13_tickets = 0;
        Server::with_tls(config, script)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = if self.count.fetch_add(1, Ordering::Relaxed) == 0 { &self.first } else { &self.later };
        Some(Arc::clone(shown))
    }
}

fn believing(server: &Server, http: HttpOptions) -> HttpTarget {
    HttpTarget { http, ..target(&server.url()) }
}

const UNKNOWN: &str = "its certificate is of no authority that is trusted here\nhint: trust it, or the authority that has \
                       signed it, with --ca-file FILE.pem";

#[test]
fn a_server_is_believed_by_its_authority_or_by_its_own_certificate_and_by_nothing_else() {
    for identity in [Identity::signed("127.0.0.1"), Identity::own("127.0.0.1")] {
        let trust = identity.trust();
        let server = identity.server();
        let answered = Client::new(believing(&server, trust)).ask(3, 4);
        assert_eq!((answered.outcome, answered.tokens.len(), answered.sent), (Outcome::Completed, 4, true));
        let error = refused(target(&server.url()));
        assert!(matches!(error, OpenError::Tls { .. }) && !error.may_pass(), "waiting makes no authority: {error:?}");
        assert_eq!(error.to_string(), format!("cannot reach {}: {UNKNOWN}", server.url()));
        let other = Identity::signed("127.0.0.1").trust();
        assert!(refused(believing(&server, other)).to_string().ends_with(UNKNOWN));
    }
}

#[test]
fn a_certificate_with_another_name_is_not_that_of_the_server() {
    for identity in [Identity::signed("elsewhere.example"), Identity::own("elsewhere.example")] {
        let trust = identity.trust();
        let server = identity.server();
        let error = refused(believing(&server, trust)).to_string();
        assert!(error.contains("not valid for name"), "{error}");
    }
}

#[test]
fn tls_spoken_to_a_server_that_does_not_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("its address"));
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").expect("it listens");
        // It goes away then.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = refused(target(&url)).to_string();
    answering.join().expect("it answered");
    assert!(error.ends_with("it does not speak TLS\nhint: is it an http:// address?"), "{error}");
}

#[test]
fn a_certificate_that_is_replaced_by_one_that_nobody_trusts_fails_the_request_as_tls() {
    let [before, after] = [Identity::own("127.0.0.1"), Identity::own("127.0.0.1")];
    let server = before.and_later(&after).server(|_| vec![Act::Hold]);
    let mut client = Client::new(believing(&server, before.trust()));
    // One takes the connection that is there, the other has to make one.
    client.submit(0, 1);
    client.submit(1, 1);
    client.until(|event| matches!(event, TargetEvent::Ended { .. }));
    let ended = client.events.iter().find_map(|event| match event {
        TargetEvent::Ended { index, .. } => Some(*index),
        _ => None,
    });
    let answered = client.answered(ended.expect("one of them"));
    assert_eq!(answered.failure(), "tls: its certificate is of no authority that is trusted here");
    assert!(!answered.sent);
}

#[test]
fn a_control_plane_is_reached_by_the_same_options() {
    let identity = Identity::own("127.0.0.1");
    let trust = identity.trust();
    let server = identity.server();
    let ray = |http| {
        let address = format!("ray+{}", server.url()).parse().expect("an address");
        ControlAt::Ray(RayControlAt { address, names: RayNames::default(), key: None, http, patience: PATIENCE })
    };
    let etcd = |http| {
        let at = server.url().replace("https://", "dynamo+etcds://").parse().expect("an address");
        ControlAt::DynamoEtcd { at, login: None, http, patience: PATIENCE }
    };
    for control in [&ray as &dyn Fn(HttpOptions) -> ControlAt, &etcd] {
        let preview = |http| {
            control(http).preview("3P1D".parse().expect("a split"), How::Drain).expect_err("it is no control plane")
        };
        let error = preview(HttpOptions::default());
        assert!(error.ends_with(UNKNOWN), "{error}");
        let error = preview(trust.clone());
        assert!(error.contains("answered 404"), "{error}");
        let error =
            refused(HttpTarget { control: Some(control(HttpOptions::default())), ..believing(&server, trust.clone()) });
        assert!(!error.may_pass() && error.to_string().ends_with(UNKNOWN), "waiting makes no authority: {error:?}");
    }
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_for_nothing_else() {
    let identity = Identity::own("127.0.0.1");
    let trust = identity.trust();
    let server = identity.server();
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address: ProxyAddress =
        format!("http://{}", proxy.local_addr().expect("its address")).parse().expect("a proxy");
    let proxying = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n").expect("it listens");
        String::from_utf8(head).expect("text")
    });
    let error = refused(believing(&server, HttpOptions { proxy: Some(address), ..trust })).to_string();
    assert!(error.starts_with("cannot reach https://127.0.0.1"), "{error}");
    let head = proxying.join().expect("a head");
    assert!(
        head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.url().trim_start_matches("https://"))),
        "{head}"
    );
    assert_eq!(server.connections(), 0, "nothing went past the proxy");
}
