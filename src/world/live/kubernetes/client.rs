//! The HTTP client of one cluster: kube's layers over connections that send at once.
//!
//! kube's own connections gather small writes (Nagle's algorithm), and a server that delays its acknowledgements then lets the first
//! request of each connection wait for forty milliseconds. Through a proxy kube's own are used.

use super::reach::CONNECT;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::client::{Body, Client, ClientBuilder, ConfigExt as _};
use tower::{BoxError, Layer, Service, ServiceBuilder, util::BoxService};

/// A client by this configuration; each request passes `layer` first.
///
/// # Errors
/// A certificate, key or proxy that cannot be used.
pub(super) fn client<F>(config: kube::Config, layer: &tower::util::MapRequestLayer<F>) -> Result<Client, kube::Error>
where
    F: FnMut(Request<Body>) -> Request<Body> + Clone + Send + 'static,
{
    if config.proxy_url.is_some() {
        return ClientBuilder::try_from(config).map(|builder| builder.with_layer(layer).build());
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let secured = config.rustls_https_connector_with_connector(connector)?;
    let connector = tower::service_fn(move |place: http::Uri| {
        let mut secured = secured.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, secured.call(place)).await {
                Ok(connected) => connected,
                Err(late) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, late).into()),
            }
        })
    });
    let http = Http::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    let service: BoxService<Request<Body>, Response<Incoming>, BoxError> = BoxService::new(layer.layer(service));
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
