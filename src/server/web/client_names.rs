// SPDX-License-Identifier: Apache-2.0
//! `client_allowed_sans`: of the client certificates that a CA of ours has signed,
//! only those that bear one of these names (DNS, URI or IP address), to the letter.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
};
use webpki::EndEntityCert;

/// A verifier that asks another, and then for a name.
#[derive(Debug)]
pub struct ClientNames {
    inner: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl ClientNames {
    /// With these names.
    ///
    /// # Errors
    /// Where there is none, or one that cannot be looked for.
    pub fn new(
        inner: Arc<dyn ClientCertVerifier>,
        names: &[String],
    ) -> Result<ClientNames, String> {
        if names.is_empty() {
            return Err("`client_allowed_sans` is empty: nobody could connect".into());
        }
        if let Some(name) = names.iter().find(|name| name.contains('@') && !name.contains("://")) {
            return Err(format!(
                "`client_allowed_sans`: `{name}` is an e-mail address, which is not looked for; \
                 write a DNS name, a URI or an IP address"
            ));
        }
        Ok(ClientNames { inner, names: names.to_vec() })
    }

    fn bears_one(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
        let is_one = |found: &str| self.names.iter().any(|name| name == found);
        let has_address = |name: &String| {
            let address = name.parse::<IpAddr>().ok().map(|address| address.into());
            address.is_some_and(|address| {
                let name = ServerName::IpAddress(address);
                certificate.verify_is_valid_for_subject_name(&name).is_ok()
            })
        };
        certificate.valid_dns_names().any(is_one)
            || certificate.valid_uri_names().any(is_one)
            || self.names.iter().any(has_address)
    }
}

impl ClientCertVerifier for ClientNames {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        if self.bears_one(end_entity) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
