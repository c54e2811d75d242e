//! For tests: a server on loopback that gives recorded answers in turn and keeps what it was asked.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The server; it ends with the test's runtime.
pub(super) struct Recorded {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Recorded {
    /// A server that answers so, in this order; the last answer is given again and again.
    pub(super) async fn new(answers: Vec<(u16, String)>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answers) = (asked.clone(), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), kept.clone()));
            }
        });
        Self { url, asked }
    }

    /// What it was asked so far, each request's first line and body.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The configuration of a client that asks it.
    pub(super) fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Vec<(u16, String)>>, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let mut request = Vec::new();
        let (head, length) = loop {
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk).await {
                Ok(n @ 1..) => request.extend_from_slice(&chunk[..n]),
                _ => return,
            }
            if let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&request[..end]).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
                });
                break (head, end + 4 + length.unwrap_or_default());
            }
        };
        while request.len() < length {
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk).await {
                Ok(n @ 1..) => request.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        let body = head.len() + 4;
        let said =
            format!("{}\n{}", head.lines().next().unwrap_or_default(), String::from_utf8_lossy(&request[body..]));
        let (status, answer) = {
            let mut asked = asked.lock().unwrap();
            asked.push(said);
            answers[(asked.len() - 1).min(answers.len() - 1)].clone()
        };
        let text = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
