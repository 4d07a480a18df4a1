// SPDX-License-Identifier: Apache-2.0
//! `tls_server_config`, as rustls does it: TLS 1.2 and 1.3 with their safe suites.
//!
//! What rustls does not do is refused in words, never passed over: older versions,
//! suites without forward secrecy, client certificates that nobody verifies.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::client_names::ClientNames;
use super::file::TlsPart;

/// Reads a file that the web file names, or says why not.
pub type Read<'a> = dyn FnMut(&'static str, &Path) -> Result<Vec<u8>, String> + 'a;

/// rustls's configuration of this part; files are relative to nothing here: `read`
/// finds them.
///
/// # Errors
/// What is wrong, without the text of a key.
pub fn config(part: &TlsPart, read: &mut Read<'_>) -> Result<ServerConfig, String> {
    let provider = Arc::new(provider(part)?);
    let versions = versions(part)?;
    let chain = certificates("cert_file", &pem("cert", &part.cert, &part.cert_file, read)?)?;
    let key = pem("key", &part.key, &part.key_file, read)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| "the key is no private key in PEM (PKCS#8, PKCS#1 or SEC1)".to_owned())?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("these versions and suites do not fit: {error}"))?;
    let builder = match verifier(part, provider, read)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key do not fit: {error}"))?;
    config.ignore_client_order = part.prefer_server_cipher_suites.unwrap_or(true);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The text of a part, written inline or in a file of its own.
fn pem(
    name: &'static str,
    inline: &Option<String>,
    file: &Option<String>,
    read: &mut Read<'_>,
) -> Result<Vec<u8>, String> {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (set(inline), set(file)) {
        (Some(_), Some(_)) => Err(format!("`{name}` and `{name}_file` are both there")),
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(path)) => read(name, Path::new(&path)),
        (None, None) => Err(format!("`{name}_file` is missing, or `{name}`")),
    }
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| format!("`{name}` holds a certificate that is no PEM"))?;
    if certificates.is_empty() {
        return Err(format!("`{name}` holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn verifier(
    part: &TlsPart,
    provider: Arc<CryptoProvider>,
    read: &mut Read<'_>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let kind = part.client_auth_type.as_deref().unwrap_or_default();
    let has_ca = [&part.client_ca, &part.client_ca_file].into_iter().flatten();
    let has_ca = has_ca.into_iter().any(|text| !text.is_empty());
    let names = part.client_allowed_sans.as_deref();
    let optional = match kind {
        "" | "NoClientCert" if has_ca => {
            return Err("`client_ca_file` does nothing without `client_auth_type`: \
                        write RequireAndVerifyClientCert"
                .into());
        }
        "" | "NoClientCert" if names.is_some() => return Err(NAMES_NEED.into()),
        "" | "NoClientCert" => return Ok(None),
        "RequireAndVerifyClientCert" => false,
        "VerifyClientCertIfGiven" if names.is_some() => return Err(NAMES_NEED.into()),
        "VerifyClientCertIfGiven" => true,
        "RequestClientCert" | "RequireClientCert" | "RequireAnyClientCert" => {
            return Err(format!(
                "`client_auth_type: {kind}` takes certificates that nobody has signed; \
                 write RequireAndVerifyClientCert"
            ));
        }
        _ => {
            return Err("unknown `client_auth_type`; known are NoClientCert, \
                        VerifyClientCertIfGiven, RequireAndVerifyClientCert"
                .into());
        }
    };
    let pem = pem("client_ca", &part.client_ca, &part.client_ca_file, read)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca_file", &pem)? {
        roots.add(certificate).map_err(|error| format!("`client_ca_file`: {error}"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    let verifier = builder.build().map_err(|error| format!("`client_ca_file`: {error}"))?;
    Ok(Some(match names {
        Some(names) => Arc::new(ClientNames::new(verifier, names)?),
        None => verifier,
    }))
}

const NAMES_NEED: &str =
    "`client_allowed_sans` needs `client_auth_type: RequireAndVerifyClientCert`";

fn versions(part: &TlsPart) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let rank = |name: &str, text: &Option<String>, default: u8| match text.as_deref() {
        None | Some("") => Ok(default),
        Some("TLS12") => Ok(2),
        Some("TLS13") => Ok(3),
        Some("TLS10" | "TLS11") => {
            Err(format!("`{name}`: TLS 1.0 and 1.1 are not offered; write TLS12 or TLS13"))
        }
        Some(_) => Err(format!("`{name}`: unknown version; write TLS12 or TLS13")),
    };
    let least = rank("min_version", &part.min_version, 2)?;
    let most = rank("max_version", &part.max_version, 3)?;
    let all = [(3, &rustls::version::TLS13), (2, &rustls::version::TLS12)];
    let versions: Vec<_> = all
        .into_iter()
        .filter(|(rank, _)| (least..=most).contains(rank))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err("`min_version` is above `max_version`".into());
    }
    Ok(versions)
}

fn provider(part: &TlsPart) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if let Some(names) = part.cipher_suites.as_deref().filter(|names| !names.is_empty()) {
        provider.cipher_suites = suites(names, &provider.cipher_suites)?;
    }
    if let Some(names) = part.curve_preferences.as_deref().filter(|names| !names.is_empty()) {
        let group = |name: &String| {
            let group = match name.as_str() {
                "X25519" => NamedGroup::X25519,
                "CurveP256" => NamedGroup::secp256r1,
                "CurveP384" => NamedGroup::secp384r1,
                _ => {
                    return Err(format!(
                        "`curve_preferences`: `{name}` is not offered; known are X25519, \
                         CurveP256, CurveP384"
                    ));
                }
            };
            let found = provider.kx_groups.iter().find(|known| known.name() == group).copied();
            found.ok_or_else(|| format!("`curve_preferences`: `{name}` is not offered"))
        };
        provider.kx_groups = names.iter().map(group).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

/// Those of TLS 1.3, which cannot be chosen (as in Go), and of TLS 1.2 these, in
/// their order.
fn suites(
    names: &[String],
    known: &[SupportedCipherSuite],
) -> Result<Vec<SupportedCipherSuite>, String> {
    let is_new = |suite: &SupportedCipherSuite| suite.version() == &rustls::version::TLS13;
    let mut chosen: Vec<_> = known.iter().copied().filter(is_new).collect();
    for name in names {
        let word = |suite: &SupportedCipherSuite| suite.suite().as_str().unwrap_or_default();
        let same = |suite: &&SupportedCipherSuite| word(suite).replace("TLS13_", "TLS_") == *name;
        match known.iter().find(same) {
            Some(suite) if is_new(suite) => {}
            Some(suite) => chosen.push(*suite),
            None => {
                let known = known.iter().filter(|suite| !is_new(suite)).map(word);
                return Err(format!(
                    "`cipher_suites`: `{name}` is not offered; known are {}",
                    known.collect::<Vec<_>>().join(", ")
                ));
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate for `a.test` and its key.
    fn part() -> TlsPart {
        let key = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let (cert, key) = (Some(key.cert.pem()), Some(key.signing_key.serialize_pem()));
        TlsPart { cert, key, ..TlsPart::default() }
    }

    fn message(change: impl FnOnce(&mut TlsPart)) -> String {
        let mut part = part();
        change(&mut part);
        config(&part, &mut |name, _| Err(format!("read {name}"))).map(drop).unwrap_err()
    }

    fn taken(change: impl FnOnce(&mut TlsPart)) -> ServerConfig {
        let mut part = part();
        change(&mut part);
        config(&part, &mut |name, _| Err(format!("read {name}"))).unwrap()
    }

    #[test]
    fn what_rustls_does_is_taken() {
        taken(|_| {});
        taken(|part| part.min_version = Some("TLS13".into()));
        taken(|part| part.max_version = Some("TLS12".into()));
        let config = taken(|part| {
            part.cipher_suites = Some(vec![
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into(),
                "TLS_AES_128_GCM_SHA256".into(),
            ]);
            part.curve_preferences = Some(vec!["CurveP256".into(), "X25519".into()]);
            part.client_auth_type = Some("RequireAndVerifyClientCert".into());
            part.client_ca = part.cert.clone();
            part.prefer_server_cipher_suites = Some(false);
        });
        let provider = config.crypto_provider();
        let suites: Vec<_> = provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert_eq!(suites.len(), 4);
        assert_eq!(suites[3].as_str(), Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
        assert_eq!(provider.kx_groups[0].name(), NamedGroup::secp256r1);
        assert!(!config.ignore_client_order);
    }

    #[test]
    fn every_mistake_is_said_and_no_key_is_shown() {
        let check = |message: String, start: &str| {
            assert!(message.starts_with(start), "{message}");
            assert!(!message.contains("s3cr3t"), "{message}");
        };
        check(message(|part| part.cert = None), "`cert_file` is missing");
        check(message(|part| part.key_file = Some("/k".into())), "`key` and `key_file` are both");
        let named = message(|part| {
            part.key = None;
            part.key_file = Some("/k".into());
        });
        check(named, "read key");
        check(message(|part| part.key = Some("s3cr3t".into())), "the key is no private key");
        check(message(|part| part.cert = Some("s3cr3t".into())), "`cert_file` holds no");
        let other = || rcgen::KeyPair::generate().unwrap().serialize_pem();
        check(message(|part| part.key = Some(other())), "certificate and key do not fit");
        check(message(|part| part.min_version = Some("TLS10".into())), "`min_version`: TLS 1.0");
        check(message(|part| part.max_version = Some("SSL3".into())), "`max_version`: unknown");
        let crossed = message(|part| {
            part.min_version = Some("TLS13".into());
            part.max_version = Some("TLS12".into());
        });
        check(crossed, "`min_version` is above");
        let weak = || Some(vec!["TLS_RSA_WITH_AES_128_CBC_SHA".to_owned()]);
        check(message(|part| part.cipher_suites = weak()), "`cipher_suites`: `TLS_RSA");
        let wide = || Some(vec!["CurveP521".to_owned()]);
        check(message(|part| part.curve_preferences = wide()), "`curve_preferences`: `CurveP521`");
        for kind in ["RequestClientCert", "RequireAnyClientCert", "RequireClientCert"] {
            let unsafe_kind = message(|part| part.client_auth_type = Some(kind.into()));
            check(unsafe_kind, &format!("`client_auth_type: {kind}` takes certificates"));
        }
        let unknown = message(|part| part.client_auth_type = Some("Both".into()));
        check(unknown, "unknown `client_auth_type`");
        let no_ca = message(|part| {
            part.client_auth_type = Some("RequireAndVerifyClientCert".into());
        });
        check(no_ca, "`client_ca_file` is missing");
        check(message(|part| part.client_ca = part.cert.clone()), "`client_ca_file` does nothing");
        let names = || Some(vec!["a.test".to_owned()]);
        check(message(|part| part.client_allowed_sans = names()), "`client_allowed_sans` needs");
    }
}
