// SPDX-License-Identifier: Apache-2.0
//! The page's files, which are part of the program.
//!
//! A browser asks each time whether a file has changed and is told by its tag: a page of
//! an earlier release is never mixed with the script of a later one.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file: where it is served, what it is, what is in it.
type Asset = (&'static str, &'static str, &'static [u8]);

const ASSETS: [Asset; 11] = [
    ("/", HTML, include_bytes!("static/index.html")),
    ("/jobs/{id}", HTML, include_bytes!("static/job.html")),
    ("/static/page.css", CSS, include_bytes!("static/page.css")),
    ("/static/index.js", SCRIPT, include_bytes!("static/index.js")),
    ("/static/job.js", SCRIPT, include_bytes!("static/job.js")),
    ("/static/live.js", SCRIPT, include_bytes!("static/live.js")),
    ("/static/charts.js", SCRIPT, include_bytes!("static/charts.js")),
    ("/static/text.js", SCRIPT, include_bytes!("static/text.js")),
    ("/static/icon.svg", SVG, include_bytes!("static/icon.svg")),
    ("/static/uplot.js", SCRIPT, include_bytes!("static/uplot/uPlot.iife.min.js")),
    ("/static/uplot.css", CSS, include_bytes!("static/uplot/uPlot.min.css")),
];

/// One tag for all files, by what is in them.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (_, _, content) in ASSETS {
        digest.update(content);
    }
    let digest = digest.finalize();
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{}-{hex}\"", env!("CARGO_PKG_VERSION"))
});

/// The files' routes.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        router.route(
            path,
            get(move |headers: HeaderMap| async move { serve(&headers, kind, content) }),
        )
    })
}

fn serve(headers: &HeaderMap, kind: &'static str, content: &'static [u8]) -> Response {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| {
        tags.to_str().is_ok_and(|tags| tags.split(',').any(|tag| tag.trim() == TAG.as_str()))
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], content).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
