//! A door before the control plane, which can be shut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use actors::testing::edge_api::EdgeApi;

use crate::agent::eventually;

/// Passes connections on to the control plane, or breaks them.
pub struct Gate {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    shut: AtomicBool,
    refused: AtomicUsize,
}

impl Gate {
    /// Opens one on a port of its own.
    pub fn before(edge: &EdgeApi) -> Self {
        let server = edge.url().trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        let gate = Self { port, state: Arc::clone(&state) };
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                if state.shut.load(Ordering::SeqCst) {
                    // Dropped unread, it would end by a reset or not, as it happens.
                    let _ = client.read(&mut [0; 4096]);
                    state.refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (there, back) = (Arc::clone(&state), Arc::clone(&state));
                thread::spawn(move || pass_on(from, to, &there));
                thread::spawn(move || pass_on(server, client, &back));
            }
        });
        gate
    }

    /// Returns the value for SERVER.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Breaks every connection from now on.
    pub fn close(&self) {
        self.state.shut.store(true, Ordering::SeqCst);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.state.shut.store(false, Ordering::SeqCst);
    }

    /// Waits until so many connections were broken.
    pub fn wait_for_refused(&self, count: usize) {
        eventually("the server is tried again and again", || {
            (self.state.refused.load(Ordering::SeqCst) >= count).then_some(())
        });
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if state.shut.load(Ordering::SeqCst) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
