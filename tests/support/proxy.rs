//! A proxy on loopback in front of a server: it counts the calls that go through, and makes [`Trouble`] for some.

use super::{
    action::Call,
    message::Message,
    trouble::{self, Trouble, What},
};
use std::{
    collections::BTreeMap,
    io::{self, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long an answer is withheld.
const WITHHELD: Duration = Duration::from_secs(60);

/// The proxy; it ends when it is dropped.
pub(crate) struct Proxy {
    /// Where it is.
    pub(crate) url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the answer of the server to a request becomes.
type Rewrite = Arc<dyn Fn(&Message, Message) -> Message + Send + Sync>;

struct Shared {
    server: String,
    calls: Mutex<Vec<Call>>,
    came: Condvar,
    troubles: Mutex<Vec<Trouble>>,
    rewrites: Mutex<BTreeMap<String, Rewrite>>,
    ended: AtomicBool,
}

impl Proxy {
    /// A proxy in front of the server at this URL.
    pub(crate) fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: server.trim_start_matches("http://").to_owned(),
            calls: Mutex::default(),
            came: Condvar::new(),
            troubles: Mutex::default(),
            rewrites: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle is what tests do to it.
                thread::spawn(move || drop(shared.serve(&client)));
            }
        });
        Self { url: format!("http://{address}"), address, shared }
    }

    /// Adds trouble; of several, the first that hits a call counts.
    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.shared.troubles.lock().unwrap().push(trouble);
    }

    /// From now on the answers to this call, like `elasticloadbalancing:DescribeTargetHealth`, become what is made of them; those of a call that
    /// trouble kept from the server are not asked.
    pub(crate) fn rewrite(&self, name: &str, with: impl Fn(&Message, Message) -> Message + Send + Sync + 'static) {
        self.shared.rewrites.lock().unwrap().insert(name.to_owned(), Arc::new(with));
    }

    /// Ends all trouble.
    pub(crate) fn peace(&self) {
        self.shared.troubles.lock().unwrap().clear();
    }

    /// All calls so far, those included that did not get through.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// How often each call was made, by `service:Action`.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call.name()).or_default() += 1;
        }
        counts
    }

    /// How often this call was made.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.calls().iter().filter(|call| call.name() == name).count()
    }

    /// Forgets the calls so far.
    pub(crate) fn forget(&self) {
        self.shared.calls.lock().unwrap().clear();
    }

    /// Waits until this call was made so often, and has had its effect unless trouble kept it from that; at most a minute.
    pub(crate) fn wait_for(&self, name: &str, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut calls = self.shared.calls.lock().unwrap();
        while calls.iter().filter(|call| call.name() == name).count() < times {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{name} was not called {times} times within a minute: {calls:?}");
            calls = self.shared.came.wait_timeout(calls, left).unwrap().0;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes it, so that it sees that it has ended.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    /// Serves one client until it closes the connection.
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client);
        let mut server: Option<BufReader<TcpStream>> = None;
        while let Some(mut request) = Message::head(&mut reader)? {
            if request.header("expect").is_some() {
                (&mut &*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            request.read_body(&mut reader)?;
            let call = Call::of(&request);
            let hit = self.troubles.lock().unwrap().iter_mut().find_map(|trouble| trouble.hits(&call));
            let refused = hit.and_then(|what| trouble::answer(what, &call));
            if let Some(What::Delay(time)) = hit {
                thread::sleep(time);
            }
            let answer = match (hit, refused) {
                (Some(What::Cut), _) => None,
                (_, Some(answer)) => Some(answer),
                _ => {
                    let answer = self.forward(&mut server, &request)?;
                    let rewrite = self.rewrites.lock().unwrap().get(&call.name()).cloned();
                    Some(match rewrite {
                        Some(rewrite) => rewrite(&request, answer),
                        None => answer,
                    })
                }
            };
            self.calls.lock().unwrap().push(call);
            self.came.notify_all();
            match (hit, answer) {
                (Some(What::LoseAnswer), _) | (_, None) => return client.shutdown(std::net::Shutdown::Both),
                (Some(What::Withhold), Some(answer)) => {
                    thread::sleep(WITHHELD);
                    answer.write(&mut &*client)?;
                }
                (_, Some(answer)) => answer.write(&mut &*client)?,
            }
        }
        Ok(())
    }

    /// What the server says, over the connection at hand where it still holds.
    fn forward(&self, server: &mut Option<BufReader<TcpStream>>, request: &Message) -> io::Result<Message> {
        if let Some(open) = server
            && let Ok(answer) = ask(open, request)
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(&self.server)?;
        stream.set_nodelay(true)?;
        ask(server.insert(BufReader::new(stream)), request)
    }
}

fn ask(server: &mut BufReader<TcpStream>, request: &Message) -> io::Result<Message> {
    request.write(server.get_mut())?;
    let mut answer = Message::head(server)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let bodiless = request.word(0) == "HEAD" || matches!(answer.word(1), "204" | "304");
    if !bodiless {
        answer.read_body(server)?;
    }
    Ok(answer)
}
