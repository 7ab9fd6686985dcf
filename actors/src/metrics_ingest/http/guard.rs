//! Lets requests through that come from this device.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::web;

use super::Service;
use super::refusal::Refusal;
use super::serving::OverUnix;
use crate::metrics_ingest::admission::{Asked, admit};

/// Answers a request that does not, by what [`admit`] decides.
pub(super) async fn admit_own(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let own = request.app_data::<web::Data<Service>>();
    let own = own.map_or(&[][..], |service| &service.own_addresses);
    let headers = request.headers();
    let values = |name: &str| -> Vec<&[u8]> {
        headers.get_all(name).map(header::HeaderValue::as_bytes).collect()
    };
    // Clients of a unix socket name its path, or anything else: no name resolves to it.
    let is_named = request.conn_data::<OverUnix>().is_none();
    let hosts = if is_named { values("host") } else { Vec::new() };
    let (origins, sites) = (values("origin"), values("sec-fetch-site"));
    let asked = Asked {
        reads_only: request.method() == Method::GET,
        hosts: &hosts,
        authority: request.uri().authority().filter(|_| is_named).map(|it| it.as_str().as_bytes()),
        origins: &origins,
        sites: &sites,
    };
    if let Err(foreign) = admit(asked, own) {
        let response = request.error_response(Refusal::from(foreign));
        return Ok(response.map_into_right_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}
