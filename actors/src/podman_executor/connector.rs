//! Connects awc to a unix socket, and remembers who listens there.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use tokio::net::UnixStream;

/// Connects to one socket, whatever the address of a request says.
#[derive(Clone)]
pub(super) struct UnixConnector {
    socket: PathBuf,
    peer: Rc<Cell<Option<i32>>>,
}

impl UnixConnector {
    /// Returns a connector that notes the listening process in `peer`.
    pub(super) fn new(socket: PathBuf, peer: Rc<Cell<Option<i32>>>) -> Self {
        Self { socket, peer }
    }
}

impl Service<ConnectInfo<Uri>> for UnixConnector {
    type Response = Connection<Uri, UnixStream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        let uri = request.request().clone();
        let Self { socket, peer } = self.clone();
        Box::pin(async move {
            let stream = UnixStream::connect(socket).await.map_err(ConnectError::Io)?;
            peer.set(stream.peer_cred().ok().and_then(|credentials| credentials.pid()));
            Ok(Connection::new(uri, stream))
        })
    }
}
