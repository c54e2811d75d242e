//! An HTTP/1.1 message as it goes over the wire: its head as text, its body untouched, chunks and all.

use std::io::{self, BufRead, Read as _, Write};

/// A request or an answer.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The first line and the headers, each with its line end; without the empty line.
    pub(crate) head: String,
    /// The body, in chunks where it came in chunks.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Reads the next head; `None` where the other side has nothing more to say.
    ///
    /// # Errors
    /// The connection broke, or what came is no HTTP.
    pub(crate) fn head(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = String::new();
        loop {
            let start = head.len();
            if from.read_line(&mut head)? == 0 {
                return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            if head[start..].trim_end().is_empty() {
                head.truncate(start);
                return Ok(Some(Self { head, body: Vec::new() }));
            }
        }
    }

    /// Reads the body that the head announces.
    ///
    /// # Errors
    /// The connection broke, or a length is no number.
    pub(crate) fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        if self.header("transfer-encoding").is_some_and(|e| e.eq_ignore_ascii_case("chunked")) {
            return self.read_chunks(from);
        }
        let length = self.header("content-length").map_or(Ok(0), str::parse::<u64>).map_err(invalid)?;
        from.take(length).read_to_end(&mut self.body)?;
        if self.body.len() as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The n-th word of the first line: method and target of a request, status of an answer.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.head.lines().next().and_then(|line| line.split(' ').nth(n)).unwrap_or_default()
    }

    /// Sends it.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut all = Vec::with_capacity(self.head.len() + self.body.len() + 2);
        all.extend_from_slice(self.head.as_bytes());
        all.extend_from_slice(b"\r\n");
        all.extend_from_slice(&self.body);
        to.write_all(&all)?;
        to.flush()
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        loop {
            let mut line = Vec::new();
            from.read_until(b'\n', &mut line)?;
            let size = String::from_utf8_lossy(&line);
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(invalid)?;
            self.body.extend_from_slice(&line);
            if size == 0 {
                break;
            }
            from.take(size + 2).read_to_end(&mut self.body)?;
        }
        // What follows the last chunk: trailers, and an empty line.
        loop {
            let start = self.body.len();
            if from.read_until(b'\n', &mut self.body)? == 0 || self.body[start..].trim_ascii().is_empty() {
                return Ok(());
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
