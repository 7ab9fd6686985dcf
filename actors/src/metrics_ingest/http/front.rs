//! What every request meets before it is routed.

use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::{ConnectionType, HttpMessage as _, Request};
use actix_service::boxed::{self, BoxService};
use actix_service::{IntoServiceFactory as _, Service as _, ServiceFactory as _, map_config};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, ResponseError as _, web};
use tokio::task::yield_now;

use super::client::{Client, Working};
use super::guard::is_admitted;
use super::refusal::Refusal;
use super::{Service, routes};

/// Answers every request of the listener. Only those that come from this device get further. Posts
/// of metrics, of which there may be a hundred thousand a second, are taken here; all else is routed,
/// posts to another spelling of their path among it.
pub(super) struct Front {
    service: web::Data<Service>,
    routes: BoxService<Request, ServiceResponse, actix_web::Error>,
}

impl Front {
    /// Makes the routes; `None` would be one that could not be made, which takes something that
    /// waits, and there is nothing of the kind.
    pub(super) async fn new(service: web::Data<Service>) -> Option<Self> {
        let app = App::new().app_data(service.clone()).configure(routes);
        let app = map_config(app.into_factory(), |()| AppConfig::default());
        let routes = boxed::service(app.new_service(()).await.ok()?);
        Some(Self { service, routes })
    }

    pub(super) async fn answer(&self, mut request: Request, client: &Rc<Client>) -> HttpResponse {
        let working = client.works();
        let mut answer = match is_admitted(&request, client.peer, &self.service.own_addresses) {
            Err(foreign) => Refusal::from(foreign).error_response(),
            Ok(()) if request.path() == "/metrics" && request.method() == Method::POST => {
                let payload = request.take_payload();
                self.service.post(&request.head().headers, payload, client).await
            }
            Ok(()) => {
                request.extensions_mut().insert(Rc::clone(client));
                let answer = self.routes.call(request).await;
                answer.map_or_else(HttpResponse::from_error, HttpResponse::from)
            }
        };
        if answer.status() != StatusCode::NO_CONTENT {
            // Many requests may have come together. Each waits for its turn, as a post does for the
            // evaluator: else they would hold up the actors for as long as all of them take.
            yield_now().await;
        }
        if client.is_leaving() {
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        if answer.body().size().is_eof() {
            return answer;
        }
        // There is no type to guess of nothing.
        let nosniff = header::HeaderValue::from_static("nosniff");
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        answer.map_body(|_, body| BoxBody::new(Answering { body, _working: working }))
    }
}

/// A body that is at work until its connection has all of it.
struct Answering {
    body: BoxBody,
    _working: Working,
}

impl MessageBody for Answering {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(task)
    }
}
