//! The credentials, from where AWS's own tools find them.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::connector::Connector;
use crate::vault::VaultError;
use crate::vault::config::AwsConfig;

/// Asks the usual chain anew, because what it finds is rotated: environment,
/// shared files with profiles and `credential_process`, web identity, the
/// container's endpoint, the machine's metadata service. All of it within
/// `limit`.
pub(super) async fn credentials(
    config: &AwsConfig,
    limit: Duration,
) -> Result<Credentials, VaultError> {
    let settings = ProviderConfig::without_region()
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(Connector::default());
    let asked = async {
        let chain = DefaultCredentialsChain::builder()
            .configure(settings)
            .region(Region::new(config.region.as_str().to_owned()))
            .build()
            .await;
        chain.provide_credentials().await
    };
    let found = tokio::time::timeout(limit, asked).await;
    // The texts of these errors may quote files and answers.
    Err(VaultError::AwsCredentials {
        fault: match found {
            Ok(Ok(credentials)) => return Ok(credentials),
            Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => "there are none",
            Ok(Err(CredentialsError::InvalidConfiguration(_))) => {
                "a profile or a variable with settings for AWS is malformed"
            }
            Err(_) | Ok(Err(CredentialsError::ProviderTimedOut(_))) => "no answer in time",
            Ok(Err(_)) => "whoever gives them out failed or refused",
        },
    })
}
