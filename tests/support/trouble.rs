//! What can go wrong between a client and AWS, as a [`Proxy`](super::Proxy) makes it happen: to which calls, how often.

use super::{action::Call, message::Message};
use std::time::{Duration, Instant};

/// One kind of trouble for some calls.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    calls: String,
    what: What,
    skip: u32,
    times: u32,
    every: u32,
    seen: u32,
    budget: Option<Budget>,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It is refused for its rate, in the words of its service, and never reaches it.
    Throttle,
    /// It is refused for want of permission.
    Deny,
    /// It is refused, for the credentials are too old.
    Expire,
    /// Something between answers with a page of HTML.
    Html,
    /// It goes its way this much later.
    Delay(Duration),
    /// It has its effect, and the connection breaks before the answer.
    LoseAnswer,
    /// It has its effect, and the answer does not come for a minute.
    Withhold,
    /// The connection breaks before it reaches the service.
    Cut,
}

/// So many calls a second, and as many at once.
#[derive(Debug, Clone)]
struct Budget {
    rate: f64,
    left: f64,
    filled: Instant,
}

impl Trouble {
    /// Trouble for all calls of this name: `cloudformation:DescribeStacks`, `cloudformation:*`, `*`.
    pub(crate) fn new(calls: &str, what: What) -> Self {
        Self { calls: calls.to_owned(), what, skip: 0, times: u32::MAX, every: 1, seen: 0, budget: None }
    }

    /// Calls beyond `rate` a second are refused, as an account's limit does it.
    pub(crate) fn limit(calls: &str, rate: f64) -> Self {
        let budget = Budget { rate, left: rate, filled: Instant::now() };
        Self { budget: Some(budget), ..Self::new(calls, What::Throttle) }
    }

    /// Leaves the first calls alone.
    pub(crate) fn after(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Ends after so many calls.
    pub(crate) fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Hits only each n-th call.
    pub(crate) fn every(mut self, n: u32) -> Self {
        self.every = n;
        self
    }

    /// What happens to this call, if anything does.
    pub(crate) fn hits(&mut self, call: &Call) -> Option<What> {
        let all = self.calls.strip_suffix('*').is_some_and(|prefix| call.name().starts_with(prefix));
        if self.times == 0 || !(all || self.calls == call.name()) {
            return None;
        }
        self.seen += 1;
        if self.seen <= self.skip || !(self.seen - self.skip).is_multiple_of(self.every) {
            return None;
        }
        if self.budget.as_mut().is_some_and(Budget::allows) {
            return None;
        }
        self.times -= 1;
        Some(self.what)
    }
}

impl Budget {
    fn allows(&mut self) -> bool {
        let now = Instant::now();
        self.left = (self.left + self.rate * now.duration_since(self.filled).as_secs_f64()).min(self.rate);
        self.filled = now;
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

/// The answer that a service gives to a call that it refuses; `None` where the trouble is no answer.
pub(crate) fn answer(what: What, call: &Call) -> Option<Message> {
    let (code, status, message) = match what {
        What::Throttle if call.service == "s3" => ("SlowDown", 503, "Please reduce your request rate.".to_owned()),
        What::Throttle if call.service == "eks" => ("ThrottlingException", 429, "Rate exceeded".to_owned()),
        What::Throttle => ("Throttling", 400, "Rate exceeded".to_owned()),
        What::Deny => {
            let who = "arn:aws:iam::123456789012:user/reader";
            let why = "because no identity-based policy allows the";
            let name = call.name();
            ("AccessDenied", 403, format!("User: {who} is not authorized to perform: {name} {why} {name} action"))
        }
        What::Expire => ("ExpiredToken", 403, "The security token included in the request is expired".to_owned()),
        What::Html => {
            let page = "<html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>";
            return Some(build(500, "text/html", page));
        }
        What::Delay(_) | What::LoseAnswer | What::Withhold | What::Cut => return None,
    };
    Some(match call.service.as_str() {
        "ssm" | "secretsmanager" | "eks" => {
            let code = if code.ends_with("Exception") { code.to_owned() } else { format!("{code}Exception") };
            let status = if status == 403 { 400 } else { status };
            build(status, "application/json", &format!(r#"{{"__type":"{code}","message":"{message}"}}"#))
        }
        "s3" => build(status, "text/xml", &format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>")),
        _ => {
            let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
            build(status, "text/xml", &format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"))
        }
    })
}

fn build(status: u16, kind: &str, body: &str) -> Message {
    let head = format!("HTTP/1.1 {status} Trouble\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    Message { head, body: body.as_bytes().to_vec() }
}
