//! TLS: the host's certificate, the server's, and their rotation.

use cofferdam::vault::config::VaultConfig;
use cofferdam::vault::{ConnectionFault, Vault, VaultError};
use cofferdam_devkit::identity::Authority;
use cofferdam_devkit::openbao::DevOptions;

use super::host::Host;
use crate::vault::world::{open, refused};

/// A server with TLS, and the authority of its clients.
async fn host() -> (Host, Authority, Authority) {
    let servers = Authority::new("servers").unwrap();
    let clients = Authority::new("clients").unwrap();
    let server = servers.server(&["vault.example.com"]).unwrap();
    let mut host = Host::with(DevOptions {
        tls: Some((server.certificate, server.key)),
        ..DevOptions::default()
    })
    .await;
    host.write("ca.pem", &servers.pem());
    host.write("clients-ca.pem", &clients.pem());
    host.common = format!(
        "address = {:?}\nca_file = \"ca.pem\"\ntls_server_name = \"vault.example.com\"\n",
        host.bao.tls_address().unwrap()
    );
    show(&host, &clients, "worker-7");
    (host, servers, clients)
}

/// Puts a client's certificate into the host's files.
fn show(host: &Host, authority: &Authority, name: &str) {
    let client = authority.client(name).unwrap();
    host.write("worker.pem", &client.certificate);
    host.write("worker.key", &client.key);
}

#[tokio::test]
async fn a_certificate_as_the_page_says() {
    let (host, _, clients) = host().await;
    let config = host.follow("TLS certificate");
    host.logs_in(&config).await;

    show(&host, &clients, "worker-8");
    let hint = host.is_refused(&config, &[]).await;
    assert!(hint.contains("client_cert_file"), "{hint}");
    show(&host, &Authority::new("strangers").unwrap(), "worker-7");
    host.is_refused(&config, &[]).await;
    let expired = clients.expired_client("worker-7").unwrap();
    host.write("worker.pem", &expired.certificate);
    host.write("worker.key", &expired.key);
    let hint = host.is_refused(&config, &[]).await;
    assert!(hint.contains("expired"), "{hint}");
    show(&host, &clients, "worker-7");
    host.logs_in(&config).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_without_a_restart() {
    let (host, _, clients) = host().await;
    let config = host.follow("TLS certificate");
    show(&host, &clients, "worker-8");
    let vault = host.vault(&config);
    refused(&vault, "one").await;
    show(&host, &clients, "worker-7");
    let session = open(&vault, "two").await;
    assert!(session.close().await.complete);
    vault.close().await;
    host.nothing_is_left().await;
}

fn unreachable(error: &VaultError) -> ConnectionFault {
    match error {
        VaultError::Unreachable { fault, .. } => *fault,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_server_of_another_name_or_authority_gets_no_request() {
    let (mut host, _, _) = host().await;
    let address = host.bao.tls_address().unwrap();
    let good = host.follow("TLS certificate");
    let before = host.bao.answers().unwrap().len();
    host.write("strangers.pem", &Authority::new("x").unwrap().pem());
    let settings = "[vault]\nclient_cert_file = \"worker.pem\"\nclient_key_file = \"worker.key\"\n\n[vault.auth.cert]\n";
    for (common, fault) in [
        // The certificate does not name the address.
        ("ca_file = \"ca.pem\"\n", ConnectionFault::WrongName),
        (
            "ca_file = \"ca.pem\"\ntls_server_name = \"other.example.com\"\n",
            ConnectionFault::WrongName,
        ),
        (
            "ca_file = \"strangers.pem\"\ntls_server_name = \"vault.example.com\"\n",
            ConnectionFault::Tls,
        ),
    ] {
        host.common = format!("address = {address:?}\n{common}");
        let config: VaultConfig = host.config(settings);
        let vault = host.vault(&config);
        let error = refused(&vault, "one").await;
        assert_eq!(unreachable(&error), fault, "{common}");
    }
    assert_eq!(host.bao.answers().unwrap().len(), before);
    let vault = Vault::new(good, &host.state()).unwrap();
    open(&vault, "good").await.close().await;
    vault.close().await;
}

#[tokio::test]
async fn a_key_that_does_not_belong_to_its_certificate_is_told_before_any_request() {
    let (host, servers, clients) = host().await;
    let config = host.follow("TLS certificate");
    host.write("worker.key", &clients.client("x").unwrap().key);
    let told = |host: &Host| match Vault::new(config.clone(), &host.state()) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    };
    assert!(told(&host).contains("client_key_file"), "{}", told(&host));
    host.write("worker.key", &servers.pem());
    assert!(told(&host).contains("no PEM key"), "{}", told(&host));
    show(&host, &clients, "worker-7");
    std::fs::set_permissions(
        host.folder.path().join("worker.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    assert!(told(&host).contains("0644"), "{}", told(&host));
}
