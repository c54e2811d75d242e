//! An HTTP server on loopback whose answers a function makes: what pods answer, a repository of charts, who a token belongs to.

use super::message::Message;
use std::{
    io::{self, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The server; it ends when it is dropped.
pub(crate) struct Web {
    /// Where it is, like `http://127.0.0.1:40123`.
    pub(crate) url: String,
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The status, like 200; 0 closes the connection without an answer.
    pub(crate) status: u16,
    /// Headers beside `Content-Length`, each `Name: value`.
    pub(crate) headers: Vec<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// An answer of this status and text.
    pub(crate) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// JSON, with status 200.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self { status: 200, headers: vec!["Content-Type: application/json".to_owned()], body: body.to_string().into() }
    }
}

impl Web {
    /// A server that answers each request so.
    pub(crate) fn new(answer: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (answer, stop) = (Arc::new(answer), Arc::clone(&ended));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let answer = Arc::clone(&answer);
                // A client that goes away in the middle is its own affair.
                thread::spawn(move || drop(serve(&client, answer.as_ref())));
            }
        });
        Self { url: format!("http://{address}"), address, ended }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes it, so that it sees that it has ended.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(client: &TcpStream, answer: &(impl Fn(&Message) -> Reply + ?Sized)) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut reader = BufReader::new(client);
    while let Some(mut request) = Message::head(&mut reader)? {
        request.read_body(&mut reader)?;
        let mut reply = answer(&request);
        if reply.status == 0 {
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} -\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
        for header in &reply.headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if request.word(0) == "HEAD" {
            reply.body.clear();
        }
        Message { head, body: reply.body }.write(&mut &*client)?;
    }
    Ok(())
}
