//! An actix-web server with the settings of the agent's listener whose handler only parses the body.

use std::io;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};

/// As in the agent.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// As in the agent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// As in the agent.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// As in the agent.
const MAX_CONNECTIONS: usize = 256;

#[derive(serde::Deserialize)]
struct Sample {
    name: String,
    value: f64,
}

async fn post(body: web::Bytes) -> HttpResponse {
    match serde_json::from_slice::<Sample>(&body) {
        Ok(sample) if !sample.name.is_empty() && sample.value.is_finite() => {
            HttpResponse::NoContent().finish()
        }
        Ok(_) | Err(_) => HttpResponse::BadRequest().finish(),
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    actix_rt::System::new().block_on(async {
        HttpServer::new(|| App::new().route("/metrics", web::post().to(post)))
            .workers(1)
            .max_connections(MAX_CONNECTIONS)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .bind(address)?
            .run()
            .await
    })
}
