// SPDX-License-Identifier: Apache-2.0
//! The web file: YAML in the form of Prometheus's exporter-toolkit.
//!
//! Every key of the toolkit is known here; an unknown or doubled one is refused, as
//! there. Messages name line and column and never repeat a value: it may be a
//! password's hash or a key.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Error;

use super::WebError;

/// The file. No `Debug`: it holds secrets.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "keys and values")]
pub struct WebFile {
    /// TLS.
    pub tls_server_config: Option<TlsPart>,
    /// HTTP.
    pub http_server_config: Option<HttpPart>,
    /// Users and their passwords' bcrypt hashes.
    pub basic_auth_users: Option<BTreeMap<String, String>>,
    /// Requests in a time.
    pub rate_limit: Option<RatePart>,
}

/// `tls_server_config`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "keys and values")]
pub struct TlsPart {
    /// Certificates, PEM.
    pub cert: Option<String>,
    /// Key, PEM.
    pub key: Option<String>,
    /// CAs of clients, PEM.
    pub client_ca: Option<String>,
    /// File of the certificates.
    pub cert_file: Option<String>,
    /// File of the key.
    pub key_file: Option<String>,
    /// How clients show who they are.
    pub client_auth_type: Option<String>,
    /// File of the CAs of clients.
    pub client_ca_file: Option<String>,
    /// Names that a client's certificate may have.
    pub client_allowed_sans: Option<Vec<String>>,
    /// Lowest version.
    pub min_version: Option<String>,
    /// Highest version.
    pub max_version: Option<String>,
    /// Suites of TLS 1.2.
    pub cipher_suites: Option<Vec<String>>,
    /// Whose order of suites counts.
    pub prefer_server_cipher_suites: Option<bool>,
    /// Curves, best first.
    pub curve_preferences: Option<Vec<String>>,
}

impl TlsPart {
    /// Whether TLS is asked for, by the toolkit's rule.
    pub fn is_enabled(&self) -> bool {
        let parts = [
            &self.cert,
            &self.key,
            &self.client_ca,
            &self.cert_file,
            &self.key_file,
            &self.client_auth_type,
            &self.client_ca_file,
        ];
        parts.into_iter().flatten().any(|part| !part.is_empty())
    }
}

/// `http_server_config`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "keys and values")]
pub struct HttpPart {
    /// HTTP/2. Taken and not offered: TLS lets a client know in time.
    pub http2: Option<bool>,
    /// Headers of every answer.
    pub headers: Option<BTreeMap<String, String>>,
}

/// `rate_limit`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "keys and values")]
pub struct RatePart {
    /// Time in which one more request is allowed.
    pub interval: Option<String>,
    /// Requests that may come at once.
    pub burst: Option<u32>,
}

/// Reads the text of a web file; `path` is for messages.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(path: &Path, text: &str) -> Result<WebFile, WebError> {
    let file: Result<Option<WebFile>, Error> = serde_saphyr::from_str(text);
    file.map(Option::unwrap_or_default).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location();
        let (line, column) = place.map_or((1, 1), |place| (place.line(), place.column()));
        WebError::Form { path: path.to_owned(), line, column, what: what(error) }
    })
}

/// The mistake without any value of the file.
fn what(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key `{field}`; known are {}", expected.join(", "))
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` is there twice"),
        Error::DuplicateMappingKey { .. } => "a key is there twice".into(),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {}", in_words(expected))
        }
        Error::Unexpected { expected, .. } => format!("expected {}", in_words(expected)),
        Error::InvalidScalar { ty, .. } => format!("expected {}", in_words(ty)),
        Error::MultipleDocuments { .. } => "the file holds more than one document".into(),
        _ => "the file is no YAML of a form that is known".into(),
    }
}

/// A form by a name that people know.
fn in_words(form: &str) -> &str {
    match form {
        "mapping start" => "keys and values",
        "sequence start" => "a list",
        "string scalar" => "a text",
        "boolean" => "true or false",
        "u32" => "a whole number",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        match parse(Path::new("web.yml"), text) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("no mistake in {text}"),
        }
    }

    #[test]
    fn an_empty_file_and_empty_parts_set_nothing() {
        for text in ["", "# nothing\n", "tls_server_config:\nbasic_auth_users:\n", "{}\n"] {
            let file = parse(Path::new("web.yml"), text).unwrap_or_else(|error| panic!("{error}"));
            assert!(!file.tls_server_config.unwrap_or_default().is_enabled());
            assert!(file.basic_auth_users.unwrap_or_default().is_empty());
        }
    }

    #[test]
    fn mistakes_name_their_place_and_never_a_value() {
        assert_eq!(
            message("tls_server_config:\n  cert_fil: x\n").split(';').next().unwrap(),
            "web.yml:2:3: unknown key `cert_fil`"
        );
        let top = message("tls_sever_config: {}\n");
        assert_eq!(
            top,
            "web.yml:1:1: unknown key `tls_sever_config`; known are tls_server_config, \
             http_server_config, basic_auth_users, rate_limit"
        );
        assert!(
            message("basic_auth_users:\n  a: h1\n  a: h2\n").ends_with("`a` is there twice"),
            "{}",
            message("basic_auth_users:\n  a: h1\n  a: h2\n")
        );
        for text in [
            "basic_auth_users: alice:$2y$10$s3cr3t\n",
            "basic_auth_users:\n  - alice: $2y$10$s3cr3t\n",
            "basic_auth_users:\n  alice: [\"$2y$10$s3cr3t\"]\n",
            "basic_auth_users:\n  alice: \"$2y$10$s3cr3t\n",
            "basic_auth_users:\n  alice: *s3cr3t\n",
            "basic_auth_users:\n\talice: s3cr3t\n",
            "tls_server_config:\n  key: |\n  s3cr3t\n",
            "rate_limit:\n  burst: s3cr3t\n",
            "tls_server_config:\n  prefer_server_cipher_suites: s3cr3t\n",
            "s3cr3t",
        ] {
            let message = message(text);
            println!("{message}");
            assert!(!message.contains("s3cr3t"), "{message}");
            assert!(message.starts_with("web.yml:"), "{message}");
        }
    }
}
