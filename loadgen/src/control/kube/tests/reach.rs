//! How a cluster is reached: whom to believe, and through what.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, Stream};

use super::super::Kube;
use super::world::block_on;
use crate::control::plane::{Adapter, Unseen};
use crate::http::{HttpOptions, Trust};

/// What came up to the end of a request's head.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    String::from_utf8(head).ok()
}

/// Somebody who answers everybody by 401, over TLS with a certificate for its address, and the authority that has signed that.
fn secret_cluster() -> (SocketAddr, String) {
    let mut params = CertificateParams::new([]).expect("an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = Stream::new(&mut tls, &mut socket);
            // A client that does not believe us goes away.
            if head(&mut stream).is_some() {
                let _ = stream.write_all(b"HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                tls.send_close_notify();
                let _ = tls.write_tls(&mut socket);
            }
        }
    });
    (address, authority.as_ref().pem())
}

/// Why the cluster at `server` is not seen, reached so.
fn unseen(server: &str, http: HttpOptions) -> Unseen {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let config = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: c, user: u}}}}], clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}], users: [{{name: u, user: {{token: hunter2}}}}]}}"
    );
    std::fs::write(file.path(), config).expect("room");
    let address = "kube://llm/deployment/p,deployment/d".parse().expect("an address");
    let mut kube = Kube::new(address, Some(PathBuf::from(file.path())), http);
    block_on(kube.observe()).expect_err("it lets nobody in")
}

#[test]
fn a_cluster_is_believed_by_an_authority_of_the_users_beside_those_of_the_kubeconfig() {
    let (address, authority) = secret_cluster();
    let server = format!("https://{address}");
    let Unseen::Never(why) = unseen(&server, HttpOptions::default()) else { panic!("waiting makes no authority") };
    assert!(
        why.contains("of no authority that is trusted here\nhint: ") && why.ends_with("--ca-file FILE.pem"),
        "{why}"
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), authority).expect("room");
    let trust = Trust::read(file.path()).expect("a certificate");
    let Unseen::Never(why) = unseen(&server, HttpOptions { trust, ..HttpOptions::default() }) else {
        panic!("waiting makes no credentials")
    };
    assert!(why.contains("the cluster does not know who asks (401"), "{why}");
}

#[test]
fn a_cluster_is_reached_through_the_proxy_that_is_named() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", proxy.local_addr().expect("its address")).parse().expect("a proxy");
    let proxying = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().expect("a client");
        let head = head(&mut stream).expect("a head");
        stream.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n").expect("it listens");
        head
    });
    let unseen = unseen("https://cluster.invalid", HttpOptions { proxy: Some(address), ..HttpOptions::default() });
    let head = proxying.join().expect("a head");
    assert!(head.starts_with("CONNECT cluster.invalid:443 HTTP/1.1\r\n"), "{head} {unseen}");
    assert!(!format!("{head} {unseen}").contains("hunter2"), "{head} {unseen}");
}
