// SPDX-License-Identifier: Apache-2.0
//! Which format a scraper gets, by the `Accept` and `Accept-Encoding` that it sends
//! (RFC 9110, 12.5; Prometheus's "content negotiation").
//!
//! The type with the highest weight among those that are spoken here, of two alike
//! the first; text 0.0.4 for who names none of them. Pure: headers come as texts.

/// A format of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The one for this `Accept`.
    pub fn accepted(accept: &str) -> Format {
        let mut best = (Format::Text, 0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut version, mut weight) = (None, 1_000);
            for (key, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
                match key.trim().to_ascii_lowercase().as_str() {
                    "version" => version = Some(value.trim().trim_matches('"').to_owned()),
                    "q" => weight = thousandths(value),
                    _ => {}
                }
            }
            let format = match (name.as_str(), version.as_deref()) {
                ("application/openmetrics-text", None | Some("1.0.0")) => Format::OpenMetrics,
                ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", None) => Format::Text,
                _ => continue,
            };
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Whether this `Accept-Encoding` names gzip and does not refuse it.
pub fn takes_gzip(accept: &str) -> bool {
    accept.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|parameter| {
            let weight = parameter.split_once('=').filter(|(key, _)| key.trim() == "q");
            weight.is_some_and(|(_, weight)| thousandths(weight) == 0)
        });
        named && !refused
    })
}

/// A weight from 0 to 1; one that is none counts as refused.
fn thousandths(weight: &str) -> u32 {
    let weight = weight.trim().parse::<f64>().unwrap_or(0.0);
    (weight.clamp(0.0, 1.0) * 1_000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_type_that_is_spoken_wins() {
        let check = |accept: &str, format| assert_eq!(Format::accepted(accept), format, "{accept}");
        check("", Format::Text);
        check("*/*", Format::Text);
        check("text/html, application/xhtml+xml, */*;q=0.8", Format::Text);
        // As Prometheus 2.42 asks.
        let prometheus = "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        check(prometheus, Format::OpenMetrics);
        // As Prometheus 3 asks, protobuf first.
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.3,*/*;q=0.1";
        check(protobuf, Format::OpenMetrics);
        check("text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.4", Format::Text);
        check("application/openmetrics-text; version=0.0.1", Format::Text);
        check("application/openmetrics-text; version=2.0.0, text/plain;q=0.1", Format::Text);
        check("APPLICATION/OPENMETRICS-TEXT; Version=\"1.0.0\"; Q=0.3", Format::OpenMetrics);
        check("application/openmetrics-text;q=0", Format::Text);
        check("application/openmetrics-text;q=NaN, image/png", Format::Text);
    }

    #[test]
    fn gzip_is_for_who_asks_for_it() {
        for (accept, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("br;q=1.0, gzip; q=0.000", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(accept), takes, "{accept}");
        }
    }
}
