// SPDX-License-Identifier: Apache-2.0
//! What every request goes through before a page sees it: rate, headers, who asks,
//! and that nothing but reading is asked for.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::users::Verdict;

/// The way of a request; without a web file only the method is looked at.
pub async fn guard(State(web): State<Option<Arc<Web>>>, request: Request, next: Next) -> Response {
    let Some(web) = web else { return read_only(request, next).await };
    let config = web.current().await;
    let mut response = if !web.take_token(config.rate) {
        (StatusCode::TOO_MANY_REQUESTS, "too many requests\n").into_response()
    } else {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| value.as_bytes().to_vec());
        match config.users.look(authorization.as_deref(), &web.gate).await {
            Verdict::Welcome => read_only(request, next).await,
            Verdict::Unknown => {
                let scheme = HeaderValue::from_static("Basic realm=\"aimeter\", charset=\"UTF-8\"");
                let headers = [(header::WWW_AUTHENTICATE, scheme)];
                (StatusCode::UNAUTHORIZED, headers, "user or password missing or wrong\n")
                    .into_response()
            }
            Verdict::Busy => {
                let headers = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
                (StatusCode::SERVICE_UNAVAILABLE, headers, "too many logins at once\n")
                    .into_response()
            }
        }
    };
    for (name, value) in &config.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

async fn read_only(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let allow = [(header::ALLOW, HeaderValue::from_static("GET, HEAD"))];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "the pages are there to be read: GET or HEAD\n")
        .into_response()
}
