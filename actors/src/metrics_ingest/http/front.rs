//! What every request meets before it is routed.

use actix_http::Request;
use actix_service::boxed::{self, BoxService};
use actix_service::{IntoServiceFactory as _, Service as _, ServiceFactory as _, map_config};
use actix_web::body::MessageBody as _;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::{App, HttpResponse, ResponseError as _, web};

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

    pub(super) async fn answer(&self, mut request: Request) -> HttpResponse {
        let mut answer = match is_admitted(&request, &self.service.own_addresses) {
            Err(foreign) => Refusal::from(foreign).error_response(),
            Ok(()) if request.path() == "/metrics" && request.method() == Method::POST => {
                let payload = request.take_payload();
                self.service.post(&request.head().headers, payload).await
            }
            Ok(()) => {
                let answer = self.routes.call(request).await;
                answer.map_or_else(HttpResponse::from_error, HttpResponse::from)
            }
        };
        // There is no type to guess of nothing.
        if !answer.body().size().is_eof() {
            let nosniff = header::HeaderValue::from_static("nosniff");
            answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        }
        answer
    }
}
