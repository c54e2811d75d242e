//! One cluster: the one path that every request takes.

use super::{
    client::client,
    discovery::Types,
    exec,
    failure::{Call, Refused, unsent},
    reach::{self, Account, Way},
};
use crate::world::{Class, ClusterConnection, Failure, Outcome};
use futures::TryStreamExt as _;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use kube::client::{Body, Client};
use serde_json::Value as Json;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::{Mutex, Semaphore};

/// How many requests to one server are under way at once. More make it queue them itself.
const BUDGET: usize = 64;
/// How long one try of a request may take, its answer included: the server's own limit is a minute.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to find the cluster and get credentials; an exec plugin may ask a person to log in.
const FINDING: Duration = Duration::from_secs(120);
/// How often a request is sent that the server asks to send again.
const TRIES: u32 = 4;
/// The longest pause that a server is granted.
const LONGEST: Duration = Duration::from_secs(20);
/// The longest answer that is read.
const BIGGEST: usize = 256 << 20;

/// One cluster over one connection; a process has one of these for each. Nothing is called before the first use.
pub(in crate::world::live) struct Cluster {
    pub(super) connection: ClusterConnection,
    account: Option<Account>,
    /// Whether its kubeconfig may start a program for credentials.
    logins: bool,
    met: Mutex<Option<Arc<Met>>>,
    budget: Semaphore,
    /// What the server has.
    pub(super) types: Types,
}

/// A cluster that was found.
pub(super) struct Met {
    /// The client.
    pub(super) client: Client,
    /// The server's address.
    pub(super) server: String,
    way: Arc<Way>,
    bearer: Bearer,
    /// When it should no longer be begun with, where its credentials come from a program that says so.
    until: Option<jiff::Timestamp>,
}

/// The `Authorization` header of the next request, where this process makes tokens.
type Bearer = Arc<RwLock<Option<HeaderValue>>>;

/// A request to be.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// The method.
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    /// What it accepts; JSON where `None`.
    pub(super) accept: Option<&'static str>,
    /// The body with its type.
    pub(super) body: Option<(&'static str, Vec<u8>)>,
}

impl Ask {
    /// A GET.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), accept: None, body: None }
    }

    fn request(&self) -> Result<Request<Vec<u8>>, http::Error> {
        let accept = self.accept.unwrap_or("application/json");
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path).header(header::ACCEPT, accept);
        if let Some((kind, _)) = &self.body {
            request = request.header(header::CONTENT_TYPE, *kind);
        }
        request.body(self.body.as_ref().map(|(_, bytes)| bytes.clone()).unwrap_or_default())
    }
}

impl Cluster {
    /// A cluster behind a connection. Makes no call.
    /// `logins` says whether its kubeconfig may start a program for credentials.
    pub(in crate::world::live) fn new(
        connection: ClusterConnection,
        account: Option<Account>,
        logins: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            connection,
            account,
            logins,
            met: Mutex::new(None),
            budget: Semaphore::new(BUDGET),
            types: Types::default(),
        })
    }

    /// How it is reached.
    ///
    /// # Errors
    /// As the first request.
    pub(super) async fn way(&self) -> Outcome<Arc<Way>> {
        Ok(self.met().await?.way.clone())
    }

    /// The cluster, found and with fresh credentials.
    pub(super) async fn met(&self) -> Outcome<Arc<Met>> {
        let met = {
            let mut met = self.met.lock().await;
            match met.as_ref().filter(|found| exec::are_good(found.until)) {
                Some(found) => found.clone(),
                None => met.insert(Arc::new(Box::pin(self.find()).await?)).clone(),
            }
        };
        if let Some(tokens) = &met.way.tokens {
            let token = Box::pin(tokens.token()).await?;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|e| self.failure(Class::Invalid, e.to_string()))?;
            value.set_sensitive(true);
            *met.bearer.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }
        Ok(met)
    }

    async fn find(&self) -> Outcome<Met> {
        let finding = async {
            let way = reach::way(&self.connection, self.account.as_ref()).await?;
            let mut config = way.config().await?;
            if !self.logins {
                exec::spare(&config.auth_info)?;
            }
            let until = exec::credentials(&mut config.auth_info).await?;
            let server = config.cluster_url.to_string();
            let bearer = Bearer::default();
            let (current, subject) = (bearer.clone(), self.connection.spoken());
            let asked = server.clone();
            // Files are read, and former ways to log in are programs that are waited for.
            let built = tokio::task::spawn_blocking(move || {
                let layer = tower::util::MapRequestLayer::new(move |mut request: Request<Body>| {
                    if let Some(value) = &*current.read().unwrap_or_else(PoisonError::into_inner) {
                        request.headers_mut().insert(header::AUTHORIZATION, value.clone());
                    }
                    request
                });
                client(config, &layer)
            });
            let client = built
                .await
                .map_err(|e| self.failure(Class::Local, e.to_string()))?
                .map_err(|e| unsent(&Call::new("kubernetes:Connect", subject), &asked, e))?;
            Ok(Met { client, server, way: Arc::new(way), bearer, until })
        };
        let late = || {
            let what = format!("the cluster was not found within {}", crate::base::format_duration(FINDING));
            Err(self.failure(Class::TimedOut, what))
        };
        tokio::time::timeout(FINDING, finding).await.unwrap_or_else(|_| late())
    }

    fn failure(&self, class: Class, message: String) -> Failure {
        Failure::new(class, "kubernetes:Connect", self.connection.spoken(), message)
    }

    /// Sends a request and reads its answer as JSON.
    ///
    /// # Errors
    /// What the server refuses, by its reason; a server that does not answer in time, or not at all.
    pub(super) async fn ask(&self, call: &Call, ask: &Ask) -> Outcome<Json> {
        let bytes = match self.answer(call, ask).await? {
            Ok(bytes) => bytes,
            Err(refused) => return Err(refused.failure(call)),
        };
        serde_json::from_slice(&bytes).map_err(|e| {
            let what = format!("the answer is no JSON, and so none of a Kubernetes API server: {e}");
            call.failure(Class::Unsupported, what).hint("check the cluster's address, HTTPS_PROXY and NO_PROXY")
        })
    }

    /// As [`Cluster::ask`], where a refusal may be an answer.
    ///
    /// # Errors
    /// A server that does not answer in time, or not at all.
    pub(super) async fn answer(&self, call: &Call, ask: &Ask) -> Outcome<Result<Vec<u8>, Refused>> {
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let met = Box::pin(self.met()).await?;
            let refused = match self.once(call, ask, &met).await? {
                Ok(bytes) => return Ok(Ok(bytes)),
                Err(refused) => refused,
            };
            tries += 1;
            if refused.status == StatusCode::UNAUTHORIZED && !renewed {
                renewed = true;
                self.renew(&met).await;
            } else if refused.passes() && tries < TRIES {
                let pause = refused.retry_after.unwrap_or(Duration::from_millis(250) * (1 << tries)).min(LONGEST);
                rest(pause).await;
            } else {
                return Ok(Err(refused));
            }
        }
    }

    /// One try of a request, within the budget.
    async fn once(&self, call: &Call, ask: &Ask, met: &Met) -> Outcome<Result<Vec<u8>, Refused>> {
        let _permit = self.budget.acquire().await.map_err(|e| self.failure(Class::Local, e.to_string()))?;
        let exchange = async {
            let response = self.send(call, ask, met).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = read(response).await.map_err(|why| {
                call.failure(Class::Unavailable, format!("the answer of {} broke off: {why}", met.server))
            })?;
            Ok(if status.is_success() { Ok(body) } else { Err(Refused::new(status, &headers, &body)) })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| {
            let within = crate::base::format_duration(TIMEOUT);
            Err(call.failure(Class::TimedOut, format!("{} did not answer within {within}", met.server)))
        })
    }

    /// Sends a request whose answer is read elsewhere. No budget, no timeout.
    ///
    /// # Errors
    /// A server that does not answer.
    pub(super) async fn send(&self, call: &Call, ask: &Ask, met: &Met) -> Outcome<Response<Body>> {
        let request = ask.request().map_err(|e| call.failure(Class::Invalid, e.to_string()))?;
        met.client.send(request.map(Body::from)).await.map_err(|e| unsent(call, &met.server, e))
    }

    /// Lets go of credentials that the cluster did not take: a token is signed anew, a kubeconfig read and its exec plugin run
    /// again.
    async fn renew(&self, met: &Arc<Met>) {
        if let Some(tokens) = &met.way.tokens {
            return tokens.forget().await;
        }
        let mut held = self.met.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, met)) {
            *held = None;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the server's own pause is of real time")]
pub(super) async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}

/// The whole body.
pub(super) async fn read(response: Response<Body>) -> Result<Vec<u8>, String> {
    let mut stream = http_body_util::BodyDataStream::new(response.into_body());
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.try_next().await.map_err(|e| e.to_string())? {
        if bytes.len() + chunk.len() > BIGGEST {
            return Err(format!("it is longer than {BIGGEST} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
