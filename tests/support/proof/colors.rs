//! The two servers that a rollout is about. Each listens only while it is let, and says its colour.

use crate::support::message::Message;
use std::{
    collections::BTreeMap,
    io::{self, BufReader},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use terrace::base::Side;

/// How long a request may take; the slowest that a test makes takes some seconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Blue and green.
#[derive(Default)]
pub(crate) struct Colors {
    servers: [Server; 2],
    slow: Arc<AtomicU64>,
}

#[derive(Default)]
struct Server {
    listening: Mutex<Option<Listening>>,
    /// Where it listens, or listened last: that port then refuses.
    port: AtomicU16,
    mute: AtomicBool,
}

/// A server that answers, until it is dropped: then also the connections break that it has.
struct Listening {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    open: Connections,
}

type Connections = Arc<Mutex<BTreeMap<u64, TcpStream>>>;

impl Colors {
    /// Whether the pods of a colour are ready: it listens only then.
    pub(crate) fn ready(&self, side: Side, ready: bool) {
        let server = &self.servers[side as usize];
        let wanted = ready && !server.mute.load(Ordering::Relaxed);
        let mut listening = server.listening.lock().unwrap();
        if !wanted {
            *listening = None;
        } else if listening.is_none() {
            let new = Listening::new(side, &self.slow);
            server.port.store(new.address.port(), Ordering::Relaxed);
            *listening = Some(new);
        }
    }

    /// From now on it does not listen, whether its pods are ready or not.
    pub(crate) fn mute(&self, side: Side) {
        self.servers[side as usize].mute.store(true, Ordering::Relaxed);
        self.ready(side, false);
    }

    /// How many slow requests were begun.
    pub(crate) fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// Whether it listens.
    pub(crate) fn listens(&self, side: Side) -> bool {
        self.servers[side as usize].listening.lock().unwrap().is_some()
    }

    /// What it answers at a path, over a new connection: its colour.
    ///
    /// # Errors
    /// It does not listen, or stopped amid the answer.
    pub(crate) fn ask(&self, side: Side, path: &str) -> io::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.servers[side as usize].port.load(Ordering::Relaxed)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: web.example.com\r\nConnection: close\r\n");
        Message { head, body: Vec::new() }.write(&mut &stream)?;
        let mut reader = BufReader::new(stream);
        let mut answer = Message::head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        answer.read_body(&mut reader)?;
        if answer.word(1) == "200" {
            String::from_utf8(answer.body).map_err(|_| io::ErrorKind::InvalidData.into())
        } else {
            Err(io::Error::other(answer.head))
        }
    }
}

impl Listening {
    fn new(side: Side, slow: &Arc<AtomicU64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, ended, open) =
            (listener.local_addr().unwrap(), Arc::<AtomicBool>::default(), Connections::default());
        let (stop, connections, count) = (Arc::clone(&ended), Arc::clone(&open), AtomicU64::new(0));
        let slow = Arc::clone(slow);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (id, connections) = (count.fetch_add(1, Ordering::Relaxed), Arc::clone(&connections));
                let slow = Arc::clone(&slow);
                connections.lock().unwrap().insert(id, client.try_clone().unwrap());
                thread::spawn(move || {
                    // A client that goes away is its own affair, and one that is cut off learns of it by that.
                    drop(serve(&client, side, &slow));
                    connections.lock().unwrap().remove(&id);
                });
            }
        });
        Self { address, ended, open }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for connection in self.open.lock().unwrap().values() {
            drop(connection.shutdown(Shutdown::Both));
        }
        // Wakes it, so that it sees that it has ended.
        drop(TcpStream::connect(self.address));
    }
}

/// One request a connection. `/slow/MILLISECONDS` takes so long.
fn serve(client: &TcpStream, side: Side, slow: &AtomicU64) -> io::Result<()> {
    client.set_nodelay(true)?;
    let Some(request) = Message::head(&mut BufReader::new(client))? else { return Ok(()) };
    if let Some(time) = request.word(1).strip_prefix("/slow/").and_then(|time| time.parse().ok()) {
        slow.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(time));
    }
    let body = side.word().as_bytes().to_vec();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    Message { head, body }.write(&mut &*client)
}
