//! TLS: whom a check trusts, who it says it is, and what went wrong.

use std::{io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The roots of the web, and those of a PEM file.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in ca.map(certificates).transpose()?.unwrap_or_default() {
        roots.add(certificate).map_err(|error| format!("holds a certificate that is no authority's: {error}"))?;
    }
    Ok(roots)
}

/// How connections are made, with the PEM files of a client certificate and its key where there are some.
///
/// # Errors
/// What is wrong with the certificate or the key.
pub(super) fn config(roots: RootCertStore, client: Option<(&[u8], &[u8])>) -> Result<Arc<ClientConfig>, Wrong> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Wrong::Certificate(error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate).map_err(Wrong::Certificate)?;
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|_| Wrong::Key("holds no private key in PEM".into()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                Error::InconsistentKeys(_) => Wrong::Key("is not the key of the certificate".into()),
                error => Wrong::Key(format!("cannot be used with the certificate: {error}")),
            })?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(64);
    Ok(Arc::new(config))
}

/// Which file is wrong, and how.
#[derive(Debug)]
pub(super) enum Wrong {
    Certificate(String),
    Key(String),
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(list) if list.is_empty() => Err("holds no certificate in PEM".to_owned()),
        Ok(list) => Ok(list),
        Err(error) => Err(format!("is no PEM: {error}")),
    }
}

/// Speaks TLS on a connection, with a server that has to be this host: a name or an address.
pub(super) async fn handshake(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let host = host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// What TLS has against the other side, in words that stay the same; nothing where it broke its protocol.
pub(super) fn distrust(error: &Error) -> Option<String> {
    Some(match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            CertificateError::UnknownIssuer => {
                "its certificate is signed by nobody whom the check trusts; name its authority in spec.allow.ca"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate names somebody else".to_owned()
            }
            CertificateError::Revoked => "its certificate is revoked".to_owned(),
            _ => "its certificate is not valid".to_owned(),
        },
        Error::AlertReceived(alert) => format!("it ended TLS with the alert {alert:?}"),
        Error::PeerIncompatible(_) => "there is no version or cipher of TLS that both sides speak".to_owned(),
        Error::PeerMisbehaved(_)
        | Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::DecryptError => return None,
        _ => "TLS failed".to_owned(),
    })
}
