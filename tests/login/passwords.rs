//! AppRole, userpass and its relatives, a token file.

use super::host::Host;
use crate::guide::section;
use crate::vault::world::open;

const PASSWORD: &str = "correct-horse-battery";

#[tokio::test]
async fn approle_as_the_page_says() {
    let host = Host::start().await;
    let config = host.follow("AppRole");
    host.logs_in(&config).await;
    let wrong = "00000000-wrong-secret-id";
    host.write("secret-id", wrong);
    let hint = host.is_refused(&config, &[wrong]).await;
    assert!(hint.contains("secret-id is wrong"), "{hint}");
}

#[tokio::test]
async fn a_wrapped_approle_as_the_page_says() {
    let host = Host::start().await;
    let config = host.follow("AppRole, wrapped");
    host.logs_in(&config).await;
}

#[tokio::test]
async fn userpass_as_the_page_says() {
    let host = Host::start().await;
    host.write("password", PASSWORD);
    let config = host.follow("userpass");
    host.logs_in(&config).await;
    host.write("password", "wrong-horse-battery");
    let hint = host.is_refused(&config, &["wrong-horse"]).await;
    assert!(hint.contains("password is wrong"), "{hint}");
    // The file is read anew, so its owner may rotate it.
    host.write("password", PASSWORD);
    host.logs_in(&config).await;
}

/// *userpass* in their place: OpenBao has none of the three.
#[tokio::test]
async fn ldap_okta_and_radius_against_a_stand_in() {
    for method in ["ldap", "okta", "radius"] {
        let host = Host::start().await;
        host.write("password", PASSWORD);
        let user = "worker-7";
        host.sh(
            &format!(
                "bao auth enable -path={method} userpass\n\
                 bao write auth/{method}/users/{user} password=@password \
                 token_policies=cofferdam-host token_no_default_policy=true token_ttl=1h"
            ),
            &[],
        );
        let settings = &section("LDAP, Okta, RADIUS").settings[0];
        let settings = settings.replace("ldap", method);
        let config = host.config(&settings);
        host.logs_in(&config).await;
        host.write("password", "wrong-horse-battery");
        host.is_refused(&config, &["wrong-horse"]).await;
        host.write("password", PASSWORD);
        let stranger = host.config(&settings.replace(user, "nobody"));
        host.is_refused(&stranger, &[PASSWORD]).await;
    }
}

#[tokio::test]
async fn a_token_file_as_the_page_says() {
    let host = Host::start().await;
    let config = host.follow("Token file");
    let vault = host.vault(&config);
    let session = open(&vault, "good").await;
    assert!(session.close().await.complete);
    assert!(vault.close().await.is_none(), "it is not ours to end");
    assert_eq!(host.bao.living().await.unwrap().len(), 1);
}
