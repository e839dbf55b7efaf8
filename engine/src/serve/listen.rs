//! Listening.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// What the system buffers for a client that does not read. More would only hide for longer that it does not.
const SEND_BUFFER: u32 = 256 * 1024;

/// Why a server could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// Listens, with room for `backlog` connections that wait to be accepted; and where, the port as it really is. Has to be called
/// within a tokio runtime.
pub(super) fn listen(address: SocketAddr, backlog: u32) -> Result<(TcpListener, SocketAddr), ListenError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that was restarted may have its port back at once.
        socket.set_reuseaddr(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(address)?;
        let listener = socket.listen(backlog)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|source| ListenError { address, source })
}
