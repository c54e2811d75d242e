//! What visitors meet: a proxy that spreads requests over the two servers by the weights that the route reports, in smooth weighted round
//! robin, and knows nothing else. A request that goes to a server that does not listen has failed.

use super::{Route, Split, again::Again, colors::Colors};
use crate::support::{
    message::Message,
    web::{Reply, Web},
};
use std::{
    io::{self, BufReader},
    net::TcpStream,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};
use terrace::base::Side;

/// How often the route is asked for its weights.
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// How long the route may take to answer.
const SOON: Duration = Duration::from_secs(30);
/// Requests are made side by side, so many at a time.
const AT_ONCE: usize = 4;
/// How long after the last one a visitor comes who comes all the time.
const TRICKLE: Duration = Duration::from_millis(20);

/// The proxy.
pub(crate) struct Entrance {
    web: Web,
    spread: Arc<Spread>,
    _following: Again,
}

struct Spread {
    taken: Mutex<Taken>,
    came: Condvar,
    turn: Mutex<[i64; 2]>,
}

/// What the route said last.
struct Taken {
    split: Split,
    /// When it was asked.
    asked: Instant,
}

/// Where requests went.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    /// By side: blue, green.
    pub(crate) by: [usize; 2],
    /// What became of the others.
    pub(crate) failed: Vec<String>,
}

impl Counts {
    fn take(&mut self, what: Result<Side, String>) {
        match what {
            Ok(side) => self.by[side as usize] += 1,
            Err(why) => self.failed.push(why),
        }
    }

    fn add(&mut self, other: Self) {
        self.by = [self.by[0] + other.by[0], self.by[1] + other.by[1]];
        self.failed.extend(other.failed);
    }
}

impl Entrance {
    /// In front of these servers, by the weights of this route.
    pub(crate) fn new(route: Arc<dyn Route>, colors: Arc<Colors>) -> Self {
        let first = Taken { split: route.split(), asked: Instant::now() };
        let spread = Arc::new(Spread { taken: Mutex::new(first), came: Condvar::new(), turn: Mutex::default() });
        let (follows, picks) = (Arc::clone(&spread), Arc::clone(&spread));
        let following = Again::every(ASKED_EVERY, move || {
            let asked = Instant::now();
            *follows.taken.lock().unwrap() = Taken { split: route.split(), asked };
            follows.came.notify_all();
        });
        let web = Web::new(move |request| {
            let split = picks.taken.lock().unwrap().split;
            let cookie = request.header("cookie").filter(|_| split.sticky);
            let kept = [Side::Blue, Side::Green].into_iter().find(|side| cookie == Some(&*format!("side={side}")));
            let Some(side) = kept.or_else(|| picks.next(split)) else {
                return Reply::text(503, "no side has any weight");
            };
            match colors.ask(side, request.word(1)) {
                Ok(color) => {
                    let mut reply = Reply::text(200, color);
                    if split.sticky {
                        reply.headers.push(format!("Set-Cookie: side={side}"));
                    }
                    reply
                }
                Err(why) => Reply::text(502, format!("{side}, with the weights {split:?}: {why}")),
            }
        });
        Self { web, spread, _following: following }
    }

    /// Waits until it goes by what the route says from now on.
    pub(crate) fn follows(&self) {
        let now = Instant::now();
        let mut taken = self.spread.taken.lock().unwrap();
        while taken.asked < now {
            let (next, late) = self.spread.came.wait_timeout(taken, SOON).unwrap();
            assert!(!late.timed_out(), "the route does not say its weights");
            taken = next;
        }
    }

    /// A thousand requests, by the weights that the route reports now.
    pub(crate) fn thousand(&self) -> Counts {
        self.follows();
        let some = || {
            let (mut visitor, mut counts) = (self.visitor(), Counts::default());
            for _ in 0..1000 / AT_ONCE {
                visitor.cookie = None;
                counts.take(visitor.get("/"));
            }
            counts
        };
        let mut all = Counts::default();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(some)).collect();
            for thread in threads {
                all.add(thread.join().unwrap());
            }
        });
        all
    }

    /// Somebody new.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor { host: self.web.url.trim_start_matches("http://").to_owned(), stream: None, cookie: None }
    }

    /// Two visitors who come all the time: one who is new each time, and one who keeps the cookie that was given.
    pub(crate) fn trickle(&self) -> Trickle {
        let counts = Arc::<Mutex<Counts>>::default();
        let (sums, mut new, mut faithful) = (Arc::clone(&counts), self.visitor(), self.visitor());
        let coming = Again::every(TRICKLE, move || {
            new.cookie = None;
            for visitor in [&mut new, &mut faithful] {
                let got = visitor.get("/");
                sums.lock().unwrap().take(got);
            }
        });
        Trickle { counts, _coming: coming }
    }
}

impl Spread {
    /// Whose turn it is: smooth weighted round robin, as nginx does it.
    fn next(&self, split: Split) -> Option<Side> {
        let mut turn = self.turn.lock().unwrap();
        let sum: i64 = split.weights.iter().map(|weight| i64::from(*weight)).sum();
        let mut best: Option<Side> = None;
        for side in [Side::Blue, Side::Green] {
            turn[side as usize] += i64::from(split.weights[side as usize]);
            let ahead = best.is_none_or(|best| turn[side as usize] > turn[best as usize]);
            if split.weights[side as usize] > 0 && ahead {
                best = Some(side);
            }
        }
        turn[best? as usize] -= sum;
        best
    }
}

/// Somebody who comes again, over a connection that is kept.
pub(crate) struct Visitor {
    host: String,
    stream: Option<BufReader<TcpStream>>,
    cookie: Option<String>,
}

impl Visitor {
    /// Which side answers.
    ///
    /// # Errors
    /// None does.
    pub(crate) fn get(&mut self, path: &str) -> Result<Side, String> {
        self.answer(path).map_err(|error| error.to_string()).and_then(|answer| {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            if let Some(cookie) = answer.header("set-cookie") {
                self.cookie = Some(cookie.to_owned());
            }
            let side = [Side::Blue, Side::Green].into_iter().find(|side| side.word() == body);
            side.filter(|_| answer.word(1) == "200").ok_or(body)
        })
    }

    fn answer(&mut self, path: &str) -> io::Result<Message> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.host)?;
                stream.set_nodelay(true)?;
                none.insert(BufReader::new(stream))
            }
        };
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nHost: web.example.com\r\n{cookie}");
        Message { head, body: Vec::new() }.write(stream.get_mut())?;
        let mut answer = Message::head(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        answer.read_body(stream)?;
        Ok(answer)
    }
}

/// Visitors who come all the time, until it is dropped.
pub(crate) struct Trickle {
    counts: Arc<Mutex<Counts>>,
    _coming: Again,
}

impl Trickle {
    /// Where their requests went so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }
}
